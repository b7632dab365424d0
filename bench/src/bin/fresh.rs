//! A process that opens a store, does one thing and ends, as the commands of the program do. It says what it found, and how
//! long the parts of it took; whoever starts it knows how long all of it took.
//!
//! ```text
//!   fresh read FOLDER KEY FIRST_SLOT SLOTS     the samples of a series
//!   fresh plan FOLDER KEY                      what there is of a series, without reading it
//!   fresh mean FOLDER KEY FIRST_SLOT SLOTS     means of 10 minutes
//!   fresh write FOLDER KEY SLOTS               a new store with the channel of the benchmarks
//! ```

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use serde_json::{Value, json};
use sheaf_bench::data::Channel;
use sheaf_bench::store::{self, Failure, Opened};
use sheaf_engine::{Query, read_stored};
use sheaf_model::{DataType, Kind, SamplePeriod, Samples, Tick, Values};
use sheaf_store::{SeriesId, Write};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match run(&args) {
        Ok(found) => {
            println!("{found}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[&str]) -> Result<Value, Failure> {
    let begin = Instant::now();
    // As the program has it.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match *args {
            ["read", folder, key, first, count] => {
                read(Path::new(folder), key, first.parse()?, count.parse()?, begin).await
            }
            ["plan", folder, key] => plan(Path::new(folder), key, begin).await,
            ["mean", folder, key, first, count] => {
                mean(Path::new(folder), key, first.parse()?, count.parse()?, begin).await
            }
            ["write", folder, key, count] => write(Path::new(folder), key, count.parse()?).await,
            _ => Err(
                "fresh read|mean FOLDER KEY FIRST_SLOT SLOTS, fresh write FOLDER KEY SLOTS, or fresh plan \
                      FOLDER KEY"
                    .into(),
            ),
        }
    })
}

async fn find(opened: &Opened, key: &str) -> Result<SeriesId, Failure> {
    Ok(opened.store.find_series(key).await?.ok_or_else(|| format!("there is no series {key}"))?)
}

async fn read(folder: &Path, key: &str, first: i64, count: i64, begin: Instant) -> Result<Value, Failure> {
    let started = begin.elapsed();
    let opened = store::open(folder).await?;
    let open = begin.elapsed();
    let series = find(&opened, key).await?;
    let found = begin.elapsed();
    let scan = opened.store.scan(series, Some(store::slots(first, count)?)).await?;
    let planned = begin.elapsed();
    let (mut digest, mut values) = (0_u64, 0);
    for rows in scan {
        let rows = rows?;
        let slot = (rows.start_ticks(0) - store::FIRST_TICKS) / store::STEP_TICKS;
        let Values::F64(part) = rows.values() else { return Err("the series has no doubles".into()) };
        let (part_digest, part_values) = store::digest(slot, part);
        digest = digest.wrapping_add(part_digest);
        values += part_values;
    }
    let read = begin.elapsed();
    Ok(json!({
        "digest": digest,
        "values": values,
        "runtime_s": started.as_secs_f64(),
        "open_s": (open - started).as_secs_f64(),
        "find_s": (found - open).as_secs_f64(),
        "plan_s": (planned - found).as_secs_f64(),
        "read_s": (read - planned).as_secs_f64(),
    }))
}

async fn mean(folder: &Path, key: &str, first: i64, count: i64, begin: Instant) -> Result<Value, Failure> {
    let started = begin.elapsed();
    let opened = store::open(folder).await?;
    let open = begin.elapsed();
    let series = find(&opened, key).await?;
    let found = begin.elapsed();
    let snapshot = opened.store.snapshot(&[series]).await?;
    let query = Query {
        kinds: vec![Kind::Mean],
        period: SamplePeriod::from_ticks(600 * Tick::PER_SECOND)?,
        range: store::slots(first, count)?,
        threshold: None,
    };
    let reading = read_stored(&snapshot, series, query, None).await?;
    let planned = begin.elapsed();
    let mut means = Vec::new();
    for block in reading {
        means.extend(block?.into_iter().flatten());
    }
    let (digest, values) = store::digest(0, &means);
    let read = begin.elapsed();
    Ok(json!({
        "digest": digest,
        "values": values,
        "runtime_s": started.as_secs_f64(),
        "open_s": (open - started).as_secs_f64(),
        "find_s": (found - open).as_secs_f64(),
        "plan_s": (planned - found).as_secs_f64(),
        "read_s": (read - planned).as_secs_f64(),
    }))
}

async fn write(folder: &Path, key: &str, count: usize) -> Result<Value, Failure> {
    let opened = store::open_new(folder).await?;
    let series = opened.series(key, DataType::Float64, store::STEP_TICKS).await?;
    let period = SamplePeriod::from_ticks(store::STEP_TICKS)?;
    let values = Values::F64(Channel::new(count).values);
    let samples = Samples::new(Tick::new(store::FIRST_TICKS)?, period, values)?;
    opened.store.write(Write::new().rows(series, samples)).await?;
    opened.close().await;
    Ok(json!({ "bytes": store::segment_files(folder)?.0 }))
}

async fn plan(folder: &Path, key: &str, begin: Instant) -> Result<Value, Failure> {
    let started = begin.elapsed();
    let opened = store::open(folder).await?;
    let open = begin.elapsed();
    let series = find(&opened, key).await?;
    let found = begin.elapsed();
    let snapshot = opened.store.snapshot(&[series]).await?;
    let pieces = store::planned_pieces(&snapshot, series)?;
    let range = snapshot.range(series)?.ok_or("the series is empty")?;
    let planned = begin.elapsed();
    Ok(json!({
        "pieces": pieces,
        "ticks": range.ticks(),
        "open_s": (open - started).as_secs_f64(),
        "find_s": (found - open).as_secs_f64(),
        "plan_s": (planned - found).as_secs_f64(),
    }))
}
