//! `sheaf delete`: samples out of the store.

use std::io::Write;
use std::process::ExitCode;

use serde_json::json;
use sheaf_db::NewEvent;
use sheaf_model::{SeriesKey, Tick, TimeRange};
use sheaf_store::Write as StoreWrite;

use super::Outcome;
use super::data::{self, DataArgs};

/// Delete the samples of series in a range, all in one commit
#[derive(clap::Args)]
#[command(after_help = "Examples:
  sheaf delete /plant/mast/T1/10_ms --begin 2020-01-01T12:00Z --end 2020-01-01T13:00Z
  sheaf delete /plant/mast/T1/10_ms /plant/mast/T2/10_ms --all

Samples that begin in the range are gone for every read from then on. What was written can be written again. The space is
given back by `sheaf compact`.")]
pub(crate) struct Args {
    /// Series, as `sheaf catalogs` lists them: /catalog/resource/period, or /catalog/resource where they are irregular
    #[arg(required = true, value_name = "PATH")]
    series: Vec<SeriesKey>,
    /// Begin of the range
    #[arg(long, value_name = "TIME", required_unless_present = "all")]
    begin: Option<Tick>,
    /// End of the range; it is not included
    #[arg(long, value_name = "TIME", required_unless_present = "all")]
    end: Option<Tick>,
    /// Delete all samples
    #[arg(long, conflicts_with_all = ["begin", "end"])]
    all: bool,
    #[command(flatten)]
    data: DataArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, out: &mut (impl Write + Send)) -> Outcome {
    let range = TimeRange::new(args.begin.unwrap_or(Tick::MIN), args.end.unwrap_or(Tick::MAX))?;
    let (begin, end) = (range.begin().to_string(), range.end().to_string());
    let receipt = data::run(data::Unit::Count, async |_| {
        let data = args.data.open().await?;
        let keys: Vec<String> = args.series.iter().map(ToString::to_string).collect();
        let mut write = StoreWrite::new();
        for (series, key) in data.store.find_all(&keys).await?.into_iter().zip(&keys) {
            write = write.delete(series.ok_or_else(|| data::no_series(key))?, range);
        }
        let receipt = data.store.write(write).await?;
        let detail = json!({"begin": begin, "end": end, "commit": receipt.commit});
        let event = NewEvent::by_command("series.delete", keys.join(", "), detail);
        data.database.access().record(event).await?;
        Ok(receipt)
    })?;
    if args.json {
        let series: Vec<_> = args.series.iter().map(ToString::to_string).collect();
        writeln!(out, "{}", json!({"series": series, "begin": begin, "end": end, "commit": receipt.commit}))?;
        return Ok(ExitCode::SUCCESS);
    }
    for series in &args.series {
        writeln!(out, "deleted {series} from {begin} to {end}")?;
    }
    writeln!(out, "with commit {}", receipt.commit)?;
    Ok(ExitCode::SUCCESS)
}
