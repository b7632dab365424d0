//! Rows of a table into series of the store: which series, at which period, of which type. All of a table in one commit,
//! whatever its size.
//!
//! ```text
//! read.rs ──batches──▶ pass.rs: gather.rs ──▶ timeline.rs, values.rs ──rows.rs──▶ a streamed write of the store
//! ```
//!
//! A thread reads, another one gathers rows until there are enough of them, brings them into slots and into the type of
//! their series, and hands them to the store, which encodes them while reading goes on. A table that never has enough is
//! looked at as a whole. In a larger one, period, phase and type of a series are what its first rows say, and later rows
//! that contradict them are refused; only a fraction after integers makes reading begin again.

mod covered;
mod error;
mod gather;
mod pass;
mod read;
mod rows;
mod timeline;
mod values;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use sheaf_model::{CatalogId, DataType, ResourceId, SamplePeriod, Tick};
use sheaf_sources::{SourceError, Summary, Table};
use sheaf_store::{Layout, Receipt, Store, StoreError, StreamedWrite, Watch};
use tokio::runtime::Handle;

pub use error::{ColumnProblem, IngestError, RowProblem};
use pass::{Done, Hints, Order, Pass, Stop};
pub use timeline::Found;

/// Where the series of a table go, and what is to be made of rows that lie badly.
#[derive(Clone, Debug)]
pub struct IngestOptions {
    /// The catalog of their resources; what the table says if none is given.
    pub catalog: Option<CatalogId>,
    /// Their period; found out if none is given.
    pub period: Option<SamplePeriod>,
    /// Rows have no slots: bills, events.
    pub irregular: bool,
    /// Rows beside their slots take the nearest one, and of two in a slot the later row counts. Otherwise both are refused.
    pub align: bool,
    /// The type of all values. Otherwise INT64 or FLOAT64, or what the series in the store have.
    pub data_type: Option<DataType>,
    /// The units that resources of the catalog have so far. A column in another unit is refused.
    pub units: Arc<HashMap<ResourceId, String>>,
    /// The same input with the same key is written once, however often it is sent.
    pub key: Option<IngestKey>,
    /// Rows are written once so many bytes of them are gathered: about a third of the memory that is needed at most.
    pub budget_bytes: usize,
}

impl Default for IngestOptions {
    fn default() -> IngestOptions {
        // 64 MiB are more than a million rows of four series: a row group of each.
        let budget_bytes = 64 << 20;
        IngestOptions {
            catalog: None,
            period: None,
            irregular: false,
            align: false,
            data_type: None,
            units: Arc::default(),
            key: None,
            budget_bytes,
        }
    }
}

/// An idempotency key, and what it stands for.
#[derive(Clone, Debug)]
pub struct IngestKey {
    /// The key.
    pub key: String,
    /// A checksum of the input, and of all that says how it is read. It must be there once the last row was read: whoever
    /// opened the input puts it here.
    pub contents: Arc<OnceLock<u64>>,
}

/// What became of a table.
#[derive(Clone, Debug)]
pub struct Ingested {
    /// The input.
    pub input: String,
    /// The commit with which all of it became visible.
    pub commit: i64,
    /// Whether that was earlier: the same input was written with the same key before.
    pub repeated: bool,
    /// Its series, in the order of the columns.
    pub series: Vec<IngestedSeries>,
    /// What the reader has to say.
    pub summary: Summary,
}

/// What became of a column.
#[derive(Clone, Debug)]
pub struct IngestedSeries {
    /// The key of the series in the store.
    pub key: String,
    /// The catalog of its resource.
    pub catalog: CatalogId,
    /// Its resource.
    pub resource: ResourceId,
    /// The title of the column.
    pub title: String,
    /// The unit of the resource, if the title or the table has one.
    pub unit: Option<String>,
    /// Type of the values.
    pub data_type: DataType,
    /// Whether the series was INT64 before, and all its values became FLOAT64.
    pub promoted: bool,
    /// Period and phase, or neither.
    pub layout: Layout,
    /// Rows with a value.
    pub valid: u64,
    /// Rows without one.
    pub missing: u64,
    /// Starts of the first row and the last one.
    pub first_last: Option<(Tick, Tick)>,
    /// Slots between them without a row.
    pub empty_slots: u64,
    /// How many stretches of such slots there are.
    pub gaps: u64,
    /// Where the first of them begins.
    pub first_gap: Option<Tick>,
    /// Rows that did not start where their slot does.
    pub jittered: Found,
    /// How far the farthest of them was from it.
    pub most_jitter_ticks: i64,
    /// Rows for a slot that had one already; the later one counts, if it has a value.
    pub duplicates: Found,
    /// Rows that came after a later one.
    pub out_of_order: Found,
}

/// Opens the same table once more.
pub type Reopen = Box<dyn FnMut() -> Result<Box<dyn Table>, SourceError> + Send>;

/// How often a table is read from the beginning at most.
const MOST_PASSES: usize = 4;

/// Reads a table of any size and writes all of it in one commit. `again` opens it a second time, if that is possible.
///
/// # Errors
/// The table can't be read, does not fit its series, or the store fails; or `watch` cancelled it. Nothing is written then,
/// unless [`StoreError::may_be_written`] says that this is not known.
pub async fn ingest(
    store: &Store,
    table: Box<dyn Table>,
    mut again: Option<Reopen>,
    options: &IngestOptions,
    watch: &Watch,
) -> Result<Ingested, IngestError> {
    let input = table.name().to_owned();
    let failed = |source| IngestError::Store { input: input.clone(), source: Box::new(source) };
    let task = |problem: String| IngestError::Task { input: input.clone(), problem };
    let catalog = options.catalog.clone().or_else(|| table.metadata().catalog.clone());
    let catalog = catalog.ok_or_else(|| IngestError::NoCatalog { input: input.clone() })?;
    let mut hints = Hints::default();
    let mut next = Some(table);
    let mut passes = 0;
    while let Some(table) = next.take() {
        passes += 1;
        // The thread notices when nobody waits for it any more.
        let wanted = Arc::new(());
        let order = Order {
            store: store.clone(),
            runtime: Handle::current(),
            options: options.clone(),
            catalog: catalog.clone(),
            hints: std::mem::take(&mut hints),
            watch: watch.clone(),
            wanted: Arc::downgrade(&wanted),
            can_repeat: again.is_some() && passes < MOST_PASSES,
        };
        let read = tokio::task::spawn_blocking(move || Pass::run(order, table));
        let Done { write, created, result } = read.await.map_err(|error| task(error.to_string()))?;
        let outcome = match (result, write) {
            (Ok((series, summary)), Some(write)) => match commit(*write, options.key.as_ref()).await {
                Ok(Receipt { commit, repeated }) => {
                    return Ok(Ingested { input: input.clone(), commit, repeated, series, summary });
                }
                // A series was replaced or removed meanwhile: its successor is found in the next pass.
                Err(error) if is_outdated(&error) && again.is_some() && passes < MOST_PASSES => {
                    Stop::Again(Hints::default())
                }
                Err(error) => Stop::Failed(failed(error)),
            },
            (Ok(_), None) => Stop::Failed(task("its write got lost".to_owned())),
            (Err(stop), write) => {
                if let Some(write) = write {
                    write.abandon().await;
                }
                stop
            }
        };
        // Series that nothing was written to: they can stay, but nobody asked for them.
        let _can_stay = store.remove_empty(&created).await;
        match (outcome, again.take()) {
            (Stop::Failed(error), _) => return Err(error),
            (Stop::Again(found), Some(mut open)) => {
                hints = found;
                let opened = tokio::task::spawn_blocking(move || (open(), open)).await;
                let (opened, open) = opened.map_err(|error| task(error.to_string()))?;
                again = Some(open);
                next = Some(opened?);
            }
            (Stop::Again(_), None) => break,
        }
    }
    Err(task("it changes each time it is read".to_owned()))
}

async fn commit(write: StreamedWrite, key: Option<&IngestKey>) -> Result<Receipt, StoreError> {
    let Some(IngestKey { key, contents }) = key else { return write.commit().await };
    match contents.get() {
        Some(&contents) => write.commit_with_key(key.as_str(), contents).await,
        None => {
            write.abandon().await;
            Err(StoreError::Task("the input was not read to its end".to_owned()))
        }
    }
}

fn is_outdated(error: &StoreError) -> bool {
    matches!(error.root(), StoreError::UnknownSeries(_) | StoreError::Conflict)
}
