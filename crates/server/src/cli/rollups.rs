//! `sheaf rollups`: states that are kept.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::io::Write;
use std::process::ExitCode;

use serde_json::json;
use sheaf_db::ResourceMetadata;
use sheaf_engine::rollup_series;
use sheaf_model::{CatalogId, CatalogPath, Properties, ResourceId, SamplePeriod, SeriesKey};
use sheaf_store::SeriesId;

use super::Outcome;
use super::data::{self, Data, DataArgs, no_series};

/// Series that are listed to people.
const MOST_LISTED: usize = 20;

/// Resources that are looked up at once.
const PAGE: usize = 1000;

/// Look into the states that are kept to answer the next read faster, or throw them away
///
/// They never change an answer: whether they still hold is checked whenever they are used.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  sheaf rollups stats --data-dir /srv/sheaf\n  sheaf rollups exclude /plant/mast/T1/10_ms"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// What is kept, and for which series
    #[command(after_help = "Example:\n  sheaf rollups stats --json")]
    Stats {
        #[command(flatten)]
        data: DataArgs,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Keep no states of these series from now on
    ///
    /// For series that change so often that what is kept rarely holds. What was kept is no longer used, and gives way to
    /// other states.
    #[command(after_help = "Example:\n  sheaf rollups exclude /plant/mast/T1/10_ms")]
    Exclude {
        #[command(flatten)]
        which: Which,
    },
    /// Keep states of these series again
    #[command(after_help = "Example:\n  sheaf rollups include /plant/mast/T1/10_ms")]
    Include {
        #[command(flatten)]
        which: Which,
    },
    /// Throw all of it away; no answer changes, but the next ones take longer
    #[command(after_help = "Example:\n  sheaf rollups clear")]
    Clear {
        #[command(flatten)]
        data: DataArgs,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
}

#[derive(clap::Args)]
struct Which {
    /// Series with a period, as `sheaf catalogs` lists them
    #[arg(required = true, value_name = "PATH")]
    series: Vec<SeriesKey>,
    #[command(flatten)]
    data: DataArgs,
    /// Print one JSON object for each
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, out: &mut (impl Write + Send)) -> Outcome {
    match &args.command {
        Command::Stats { data, json } => stats(data, *json, out),
        Command::Exclude { which } => keep(which, false, out),
        Command::Include { which } => keep(which, true, out),
        Command::Clear { data, json } => clear(data, *json, out),
    }
}

/// Says whether states of series are to be kept.
fn keep(which: &Which, is_kept: bool, out: &mut (impl Write + Send)) -> Outcome {
    data::run(data::Unit::Count, async |_| {
        let data = which.data.open().await?;
        let mut without: BTreeMap<(CatalogId, ResourceId), BTreeSet<SamplePeriod>> = BTreeMap::new();
        let keys: Vec<String> = which.series.iter().map(ToString::to_string).collect();
        for (key, found) in which.series.iter().zip(data.store.find_all(&keys).await?) {
            if found.is_none() && !is_in_place(&data, key).await? {
                return Err(no_series(key));
            }
            let Some(period) = key.period else {
                return Err(format!("`{key}` is irregular, so no states are made of it").into());
            };
            let resource = (key.catalog.clone(), key.resource.clone());
            if !without.contains_key(&resource) {
                let properties = data.database.metadata().resource(&key.catalog, &key.resource).await?;
                without.insert(resource.clone(), properties.without_rollups()?.into_iter().collect());
            }
            let periods = without.entry(resource).or_default();
            if is_kept {
                periods.remove(&period)
            } else {
                periods.insert(period)
            };
        }
        let entry = |((catalog, resource), periods): ((CatalogId, ResourceId), BTreeSet<SamplePeriod>)| {
            ResourceMetadata { catalog, resource, properties: Properties::of_no_rollups(periods) }
        };
        let entries = without.into_iter().map(entry).collect();
        data.database.metadata().patch(Vec::new(), entries).await?;
        for series in &which.series {
            if which.json {
                writeln!(out, "{}", json!({"series": series.to_string(), "isKept": is_kept}))?;
            } else {
                writeln!(out, "states of {series} are {}", if is_kept { "kept" } else { "not kept" })?;
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Whether a source has this series.
async fn is_in_place(data: &Data, key: &SeriesKey) -> Result<bool, Box<dyn Error>> {
    let series = data.catalogs.series_in_place(&key.catalog).await?;
    Ok(series.iter().any(|series| series.resource == key.resource && Some(series.period) == key.period))
}

/// The series of which no states are to be kept.
async fn excluded(data: &Data) -> Result<Vec<String>, Box<dyn Error>> {
    let metadata = data.database.metadata();
    let mut excluded = Vec::new();
    let mut after: Option<(CatalogId, ResourceId)> = None;
    loop {
        let behind = after.as_ref().map(|(catalog, resource)| (catalog, resource));
        let page = metadata.resources_below(&CatalogPath::Root, behind, PAGE).await?;
        let Some(last) = page.last() else { return Ok(excluded) };
        after = Some((last.catalog.clone(), last.resource.clone()));
        for ResourceMetadata { catalog, resource, properties } in page {
            for period in properties.without_rollups()? {
                let (catalog, resource) = (catalog.clone(), resource.clone());
                excluded.push(SeriesKey { catalog, resource, period: Some(period) }.to_string());
            }
        }
    }
}

fn stats(data: &DataArgs, json: bool, out: &mut (impl Write + Send)) -> Outcome {
    data::run(data::Unit::Count, async |_| {
        let data = data.open().await?;
        let stats = data.rollups.stats();
        let mut of_series: BTreeMap<SeriesId, (u64, u64)> = BTreeMap::new();
        for (key, bytes) in data.rollups.entries() {
            if let Some(series) = rollup_series(&key, data.store.id()) {
                let (entries, all) = of_series.entry(series).or_default();
                *entries += 1;
                *all += bytes;
            }
        }
        let ids: Vec<_> = of_series.keys().copied().collect();
        let specs = data.store.specs(&ids).await?;
        let mut series: Vec<_> = specs.iter().zip(of_series.into_values()).collect();
        series.sort_by_key(|(spec, (_, bytes))| (std::cmp::Reverse(*bytes), spec.key.clone()));
        let limit = data.rollups.settings().limit_bytes;
        let excluded = excluded(&data).await?;
        if json {
            let series: Vec<_> = series
                .iter()
                .map(|(spec, (entries, bytes))| json!({"series": spec.key, "entries": entries, "bytes": bytes}))
                .collect();
            let (entries, bytes) = (stats.entries, stats.bytes);
            let file_bytes = stats.file_bytes;
            writeln!(
                out,
                "{}",
                json!({"entries": entries, "bytes": bytes, "fileBytes": file_bytes, "limitBytes": limit, "series": series, "excluded": excluded})
            )?;
            return Ok(ExitCode::SUCCESS);
        }
        writeln!(
            out,
            "{} entries, {} of at most {}, in a file of {}",
            data::count(stats.entries),
            data::bytes(stats.bytes),
            data::bytes(limit),
            data::bytes(stats.file_bytes)
        )?;
        for (spec, (entries, bytes)) in series.iter().take(MOST_LISTED) {
            writeln!(out, "  {}: {} entries, {}", spec.key, data::count(*entries), data::bytes(*bytes))?;
        }
        if series.len() > MOST_LISTED {
            writeln!(out, "  and {} more series, all in the output of --json", series.len() - MOST_LISTED)?;
        }
        for series in excluded.iter().take(MOST_LISTED) {
            writeln!(out, "  {series}: excluded")?;
        }
        if excluded.len() > MOST_LISTED {
            let more = excluded.len() - MOST_LISTED;
            writeln!(out, "  and {more} more that are excluded, all in the output of --json")?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn clear(data: &DataArgs, json: bool, out: &mut (impl Write + Send)) -> Outcome {
    data::run(data::Unit::Count, async |_| {
        let data = data.open().await?;
        let before = data.rollups.stats();
        data.rollups.clear();
        if json {
            writeln!(out, "{}", json!({"entries": before.entries, "bytes": before.bytes}))?;
        } else {
            writeln!(
                out,
                "threw away {} entries, {}",
                data::count(before.entries),
                data::bytes(before.bytes)
            )?;
        }
        Ok(ExitCode::SUCCESS)
    })
}
