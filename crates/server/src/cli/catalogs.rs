//! `sheaf catalogs`: what there is to read.

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;

use serde_json::json;
use sheaf_db::Metadata;
use sheaf_model::{CatalogId, ResourceId, SeriesKey};
use sheaf_store::{Layout, SeriesId, SeriesSpec, SeriesStats};

use super::Outcome;
use super::data::{self, Data, DataArgs};
use super::source;
use crate::catalogs::Origin;

/// Series that are looked up at once.
const PAGE: usize = 1000;

/// List catalogs, their resources and representations: time range, samples and bytes on disk
#[derive(clap::Args)]
#[command(after_help = "Examples:
  sheaf catalogs
  sheaf catalogs /plant --limit 100
  sheaf catalogs --json | jq -r .path

Samples and bytes are what is known without reading them: an upper bound, and a share of the files by rows.")]
pub(crate) struct Args {
    /// Only this catalog and those below it
    #[arg(value_name = "CATALOG")]
    catalog: Option<CatalogId>,
    /// Representations that are listed at most
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Go on after this representation: what the list before ended with
    #[arg(long, value_name = "PATH")]
    after: Option<String>,
    #[command(flatten)]
    data: DataArgs,
    /// Print one JSON object for each representation
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, out: &mut (impl Write + Send)) -> Outcome {
    data::run(data::Unit::Count, async |watch| {
        let data = args.data.open().await?;
        let prefix = args.catalog.as_ref().map_or("/".to_owned(), SeriesKey::prefix_of_catalog);
        let mut list = List { json: args.json, catalog: None, resource: None, listed: 0 };
        let mut after = args.after.clone();
        loop {
            let left = args.limit.map_or(PAGE, |limit| limit - list.listed.min(limit));
            let page = data.store.series_below(&prefix, after.as_deref(), left.min(PAGE)).await?;
            watch.step("listing series", list.listed as u64, 0)?;
            list.page(&data, &page, out).await?;
            match page.last() {
                Some((_, spec)) => after = Some(spec.key.clone()),
                None => break,
            }
        }
        list.in_place(args, &data, out).await?;
        if list.listed == 0 && !args.json {
            match &args.catalog {
                Some(catalog) => return Err(format!("there is nothing in catalog `{catalog}`").into()),
                None => writeln!(out, "there is nothing yet: write something with `sheaf ingest`")?,
            }
        }
        let more = match (args.limit, &after) {
            (Some(_), Some(after)) => !data.store.series_below(&prefix, Some(after), 1).await?.is_empty(),
            _ => false,
        };
        if let Some(after) = after.filter(|_| more && !args.json) {
            writeln!(out, "there is more: go on with --after {after}")?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// A list in the making.
struct List {
    json: bool,
    /// What was listed last.
    catalog: Option<CatalogId>,
    resource: Option<ResourceId>,
    listed: usize,
}

impl List {
    async fn page(
        &mut self,
        data: &Data,
        page: &[(SeriesId, SeriesSpec)],
        out: &mut impl Write,
    ) -> Result<(), Box<dyn Error>> {
        let ids: Vec<_> = page.iter().map(|(id, _)| *id).collect();
        let stats = data.store.series_stats(&ids).await?;
        let metadata = data.database.metadata();
        for ((_, spec), stats) in page.iter().zip(stats) {
            // A program that uses the library may call its series whatever it likes.
            match spec.key.parse() {
                Ok(key) => self.series(&metadata, &key, spec, stats, out).await?,
                Err(_) => self.other(spec, stats, out)?,
            }
            self.listed += 1;
        }
        Ok(())
    }

    async fn series(
        &mut self,
        metadata: &Metadata,
        key: &SeriesKey,
        spec: &SeriesSpec,
        stats: SeriesStats,
        out: &mut impl Write,
    ) -> Result<(), Box<dyn Error>> {
        let is_new =
            self.resource.as_ref() != Some(&key.resource) || self.catalog.as_ref() != Some(&key.catalog);
        if self.json {
            let properties = metadata.resource(&key.catalog, &key.resource).await?;
            let phase_ticks = match spec.layout {
                Layout::Regular { phase_ticks, .. } => Some(phase_ticks),
                Layout::Irregular => None,
            };
            writeln!(
                out,
                "{}",
                json!({
                    "path": spec.key,
                    "catalog": key.catalog.as_str(),
                    "resource": key.resource.as_str(),
                    "samplePeriod": key.period.map(|period| period.to_string()),
                    "phaseTicks": phase_ticks,
                    "dataType": spec.data_type.name(),
                    "unit": properties.unit(),
                    "description": properties.description(),
                    "begin": stats.range.map(|range| range.begin().to_string()),
                    "end": stats.range.map(|range| range.end().to_string()),
                    "samples": stats.rows - stats.missing,
                    "bytes": stats.bytes,
                })
            )?;
            return Ok(());
        }
        if self.catalog.as_ref() != Some(&key.catalog) {
            writeln!(out, "{}", key.catalog)?;
            self.catalog = Some(key.catalog.clone());
        }
        if is_new {
            let properties = metadata.resource(&key.catalog, &key.resource).await?;
            let unit = properties.unit().map(|unit| format!(" ({unit})")).unwrap_or_default();
            let description = properties.description().map(|text| format!(": {text}")).unwrap_or_default();
            writeln!(out, "  {}{unit}{description}", key.resource)?;
            self.resource = Some(key.resource.clone());
        }
        let period = key.period.map_or("irregular".to_owned(), |period| period.to_string());
        writeln!(out, "    {period:<10} {}", describe(spec, stats))?;
        Ok(())
    }

    /// The series of sources. They come last, and all together.
    async fn in_place(
        &mut self,
        args: &Args,
        data: &Data,
        out: &mut impl Write,
    ) -> Result<(), Box<dyn Error>> {
        if args.limit.is_some_and(|limit| self.listed >= limit) {
            return Ok(());
        }
        let view = data.catalogs.view().await?;
        for provision in view.provisions() {
            let mount = &provision.catalog;
            let is_wanted = match &args.catalog {
                Some(catalog) => catalog.contains(mount),
                // What is made up is shown to those who ask for it.
                None => provision.pipeline.origin != Origin::BuiltIn,
            };
            if !is_wanted {
                continue;
            }
            if !self.json {
                writeln!(out, "{mount}")?;
            }
            for series in &data.catalogs.series_in_place(mount).await? {
                if self.json {
                    writeln!(out, "{}", source::describe(mount, series))?;
                } else {
                    writeln!(out, "{}", source::line(series))?;
                }
                self.listed += 1;
            }
        }
        Ok(())
    }

    fn other(&mut self, spec: &SeriesSpec, stats: SeriesStats, out: &mut impl Write) -> std::io::Result<()> {
        if self.json {
            let samples = stats.rows - stats.missing;
            let (path, data_type) = (&spec.key, spec.data_type.name());
            return writeln!(
                out,
                "{}",
                json!({"path": path, "dataType": data_type, "samples": samples, "bytes": stats.bytes})
            );
        }
        writeln!(out, "{} {}", spec.key, describe(spec, stats))
    }
}

/// `FLOAT64  2020-01-01T00:00:00Z to 2020-01-02T00:00:00Z, 86,400 samples, 1.2 MiB`
fn describe(spec: &SeriesSpec, stats: SeriesStats) -> String {
    let Some(range) = stats.range else { return format!("{:<8} no samples", spec.data_type.name()) };
    format!(
        "{:<8} {} to {}, {} samples, {}",
        spec.data_type.name(),
        range.begin(),
        range.end(),
        data::count(stats.rows - stats.missing),
        data::bytes(stats.bytes)
    )
}
