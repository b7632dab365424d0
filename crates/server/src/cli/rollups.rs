//! `sheaf rollups`: states that are kept.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;

use serde_json::json;
use sheaf_engine::rollup_series;
use sheaf_store::SeriesId;

use super::Outcome;
use super::data::{self, DataArgs};

/// Series that are listed to people.
const MOST_LISTED: usize = 20;

/// Look into the states that are kept to answer the next read faster, or throw them away
///
/// They never change an answer: whether they still hold is checked whenever they are used.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  sheaf rollups stats --data-dir /srv/sheaf")]
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

pub(crate) fn run(args: &Args, out: &mut (impl Write + Send)) -> Outcome {
    match &args.command {
        Command::Stats { data, json } => stats(data, *json, out),
        Command::Clear { data, json } => clear(data, *json, out),
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
                json!({"entries": entries, "bytes": bytes, "fileBytes": file_bytes, "limitBytes": limit, "series": series})
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
