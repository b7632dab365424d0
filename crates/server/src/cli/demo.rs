//! `sheaf demo`: one hour of a made-up mast, aggregated in memory.

use std::f64::consts::TAU;
use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

use serde_json::json;
use sheaf_engine::read_samples;
use sheaf_model::{Kind, RepresentationId, SamplePeriod, Samples, TimeRange, Values};

use super::Outcome;

/// Aggregate an hour of made-up samples in memory and show what became of them
#[derive(clap::Args)]
#[command(after_help = "Example:\n  sheaf demo")]
pub(crate) struct Args {
    /// Print one JSON object per row
    #[arg(long)]
    json: bool,
}

const KINDS: [Kind; 6] = [Kind::Count, Kind::Mean, Kind::Std, Kind::Min, Kind::Max, Kind::Median];

pub(crate) fn run(args: &Args, out: &mut impl Write) -> Outcome {
    let samples = temperatures()?;
    let period: SamplePeriod = "10_min".parse()?;
    let range = TimeRange::new("2020-01-01T00:00Z".parse()?, "2020-01-01T01:00Z".parse()?)?;
    let started = Instant::now();
    let columns = KINDS
        .into_iter()
        .map(|kind| read_samples(&samples, RepresentationId { period, kind }, range, None))
        .collect::<Result<Vec<_>, _>>()?;
    let elapsed_ms = started.elapsed().as_secs_f64() * 1e3;

    if args.json {
        for (row, _) in columns[0].iter().enumerate() {
            let mut object = serde_json::Map::new();
            object.insert("begin".to_owned(), json!(begin(range, period, row)));
            for (kind, column) in KINDS.iter().zip(&columns) {
                // JSON has no NaN: it becomes null.
                object.insert(kind.name().to_owned(), json!(column[row]));
            }
            writeln!(out, "{}", serde_json::Value::Object(object))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(
        out,
        "/plant/mast/T1, °C: {} samples of {}, made up; 00:31 to 00:32 is missing.",
        samples.len(),
        samples.period()
    )?;
    writeln!(
        out,
        "\n{:<22}{}",
        "/plant/mast/T1/10_min_",
        KINDS.map(|kind| format!("{:>10}", kind.name())).concat()
    )?;
    for row in 0..columns[0].len() {
        write!(out, "{:<22}", begin(range, period, row))?;
        for (kind, column) in KINDS.iter().zip(&columns) {
            let decimals = if *kind == Kind::Count { 0 } else { 3 };
            write!(out, "{:>10.decimals$}", column[row])?;
        }
        writeln!(out)?;
    }
    writeln!(out, "\nNaN: less than 99 % of the bucket's samples are valid. The count is never withheld.")?;
    writeln!(out, "{} reads of {} samples took {elapsed_ms:.1} ms.", KINDS.len(), samples.len())?;
    writeln!(out, "\nThere is no ingest and no server yet. Try next:")?;
    writeln!(out, "  sheaf kinds")?;
    writeln!(out, "  sheaf path '/plant/mast/T1/600_s_mean#base=10_ms'")?;
    Ok(ExitCode::SUCCESS)
}

fn begin(range: TimeRange, period: SamplePeriod, row: usize) -> String {
    range.begin().checked_add(period.ticks() * row as i64).map(|tick| tick.to_string()).unwrap_or_default()
}

/// An hour at 100 Hz: a slow swing and a fast one.
fn temperatures() -> Result<Samples, Box<dyn std::error::Error>> {
    let values = (0..360_000).map(|index| {
        let minutes = f64::from(index) / 6000.0;
        let value = 12.0 + 3.0 * (minutes / 60.0 * TAU).sin() + 0.2 * (minutes * 7.0 * TAU).sin();
        if (31.0..32.0).contains(&minutes) { f64::NAN } else { (value * 1e3).round() / 1e3 }
    });
    Ok(Samples::new("2020-01-01T00:00Z".parse()?, "10_ms".parse()?, Values::F64(values.collect()))?)
}
