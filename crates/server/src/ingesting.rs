//! Tables into the store: for the program, which reads files, and for the server, which reads bodies of requests.

use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use sheaf_db::ResourceMetadata;
use sheaf_engine::{Found, IngestError, IngestKey, IngestOptions, Ingested, IngestedSeries, Reopen, ingest};
use sheaf_model::{CatalogId, DataType, Properties, SamplePeriod, UnknownDataType};
use sheaf_sources::{Input, SourceError, Table, TableOptions};
use sheaf_store::{Layout, StoreError, Watch};

use crate::cli::table_args::TableArgs;
use crate::data::{Data, DataError};

/// What is to become of a table.
#[derive(clap::Args)]
pub(crate) struct IngestArgs {
    /// Catalog of the resources [default: what an export of Nexus says]
    #[arg(long, value_name = "PATH")]
    pub(crate) catalog: Option<CatalogId>,
    /// Type of all values, like FLOAT32; a value that does not fit exactly is refused [default: that of the series in the
    /// store, or INT64 or FLOAT64]
    #[arg(long = "type", value_name = "TYPE", value_parser = data_type)]
    data_type: Option<DataType>,
    /// Sample period of all columns, like 10_min [default: found out]
    #[arg(long)]
    period: Option<SamplePeriod>,
    /// Rows have no period: bills, events
    #[arg(long, conflicts_with_all = ["period", "align"])]
    irregular: bool,
    /// Move rows to the nearest slots; of two in a slot the later one counts
    #[arg(long)]
    align: bool,
    #[command(flatten)]
    table: TableArgs,
}

fn data_type(text: &str) -> Result<DataType, UnknownDataType> {
    text.to_ascii_uppercase().parse()
}

impl IngestArgs {
    /// The same for whoever opens a table and takes it.
    pub(crate) fn order(&self) -> Order {
        let options = IngestOptions {
            catalog: self.catalog.clone(),
            period: self.period,
            irregular: self.irregular,
            align: self.align,
            data_type: self.data_type,
            ..IngestOptions::default()
        };
        Order { table: self.table.options(self.period), options }
    }
}

/// How a table is read, and where its series go.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) table: TableOptions,
    options: IngestOptions,
}

/// Opens a table.
pub(crate) type Opener = Box<dyn FnMut(Input, &TableOptions) -> Result<Box<dyn Table>, SourceError> + Send>;

/// A table that did not get into the store.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IngestFailure {
    /// It can't be opened.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// It can't be read, or written.
    #[error(transparent)]
    Ingest(#[from] IngestError),
    /// Where it goes is no place to write to.
    #[error("`{0}` is read in place: write into another catalog, or into the files of it")]
    InPlace(CatalogId),
    /// The caller ended it.
    #[error(transparent)]
    Cancelled(StoreError),
    /// The data can't be had.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A task failed.
    #[error(transparent)]
    Other(#[from] Box<dyn Error + Send + Sync>),
}

/// How often somebody looks whether it was cancelled while nothing can be read.
const PATIENCE: Duration = Duration::from_millis(50);

impl Order {
    /// The same, written once with this key.
    #[must_use]
    pub(crate) fn with_key(mut self, key: IngestKey) -> Order {
        self.options.key = Some(key);
        self
    }

    /// Reads a table and writes it, in one commit. What it says of units is kept.
    ///
    /// # Errors
    /// Nothing is written then, unless the store does not know.
    pub(crate) async fn take(
        mut self,
        data: &Data,
        input: Input,
        open: Opener,
        watch: &Watch,
    ) -> Result<Ingested, IngestFailure> {
        let again = input.again();
        let table_options = self.table.clone();
        let (table, mut open) = opened(input, self.table, open, watch).await?;
        let again = again.map(|input| {
            Box::new(move || {
                let once = || std::io::Error::other("it can be read only once");
                let failed = || SourceError::Open { input: input.name().to_owned(), source: once() };
                open(input.again().ok_or_else(failed)?, &table_options)
            }) as Reopen
        });
        let catalog = self.options.catalog.take().or_else(|| table.metadata().catalog.clone());
        let units = match &catalog {
            Some(catalog) if data.is_in_place(catalog).await? => {
                return Err(IngestFailure::InPlace(catalog.clone()));
            }
            Some(catalog) => data.units(catalog).await?,
            None => HashMap::new(),
        };
        let options = IngestOptions { catalog, units: Arc::new(units), ..self.options };
        let ingested = ingest(&data.store, table, again, &options, watch).await?;
        let known = ingested.series.iter().filter_map(|series| {
            let mut properties = Properties::default();
            properties.insert("unit", series.unit.clone()?);
            let (catalog, resource) = (series.catalog.clone(), series.resource.clone());
            Some(ResourceMetadata { catalog, resource, properties })
        });
        data.database.metadata().patch(Vec::new(), known.collect()).await.map_err(DataError::from)?;
        Ok(ingested)
    }
}

fn boxed(error: impl Error + Send + Sync + 'static) -> IngestFailure {
    IngestFailure::Other(Box::new(error))
}

/// Opens a table. It may wait for its first rows for ever, so that is a thread which nobody waits for in the end.
async fn opened(
    input: Input,
    options: TableOptions,
    mut open: Opener,
    watch: &Watch,
) -> Result<(Box<dyn Table>, Opener), IngestFailure> {
    let (sender, mut receiver) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let table = open(input, &options);
        // Nobody waits for it any more: that is all right.
        let _unheard = sender.send(table.map(|table| (table, open)));
    });
    loop {
        match tokio::time::timeout(PATIENCE, &mut receiver).await {
            Ok(opened) => return Ok(opened.map_err(boxed)??),
            Err(_) => watch.step("waiting", 0, 0).map_err(IngestFailure::Cancelled)?,
        }
    }
}

/// The report of a table as JSON.
pub(crate) fn describe(ingested: &Ingested) -> serde_json::Value {
    let rows = |found: Found| json!({ "rows": found.rows, "first": found.first });
    let series = |series: &IngestedSeries| {
        let (period, phase_ticks) = match series.layout {
            Layout::Regular { period, phase_ticks } => (Some(period.to_string()), Some(phase_ticks)),
            Layout::Irregular => (None, None),
        };
        json!({
            "series": series.key,
            "catalog": series.catalog.as_str(),
            "resource": series.resource.as_str(),
            "title": series.title,
            "unit": series.unit,
            "dataType": series.data_type.name(),
            "promoted": series.promoted,
            "samplePeriod": period,
            "phaseTicks": phase_ticks,
            "first": series.first_last.map(|(first, _)| first.to_string()),
            "last": series.first_last.map(|(_, last)| last.to_string()),
            "valid": series.valid,
            "missing": series.missing,
            "gaps": series.gaps,
            "firstGap": series.first_gap.map(|start| start.to_string()),
            "emptySlots": series.empty_slots,
            "jittered": rows(series.jittered),
            "mostJitterTicks": series.most_jitter_ticks,
            "duplicates": rows(series.duplicates),
            "outOfOrder": rows(series.out_of_order),
        })
    };
    json!({
        "input": ingested.input,
        "commit": ingested.commit,
        "repeated": ingested.repeated,
        "rows": ingested.summary.rows,
        "skipped": ingested.summary.skipped,
        "errors": ingested.summary.errors,
        "folds": ingested.summary.folds,
        "detected": ingested.summary.detected,
        "series": ingested.series.iter().map(series).collect::<Vec<_>>(),
    })
}
