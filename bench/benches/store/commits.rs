//! Small writes: many writers at once, one alone, and an hour of a hundred series with a sample a second.

use std::collections::HashSet;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sheaf_bench::seconds::Seconds;
use sheaf_bench::store::{self, Expected, FIRST_TICKS, Failure};
use sheaf_model::{DataType, SamplePeriod, Samples, Tick, Values};
use sheaf_store::{CompactOptions, SeriesId, Store, Watch, Write};

use crate::{Bench, say};

/// A sample a second.
const STEP_TICKS: i64 = Tick::PER_SECOND;

/// How many writers there are where there are many.
const WRITERS: usize = 64;

pub(crate) async fn run(bench: &mut Bench) -> Result<Value, Failure> {
    // In each round the disk by itself, too: it changes its mood by a factor of ten.
    let time = Duration::from_secs_f64(bench.scale.commit_seconds / bench.scale.rounds as f64);
    let (mut syncs, mut many, mut one) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..bench.scale.rounds {
        say(&format!("{WRITERS} writers and one, round {} of {}", round + 1, bench.scale.rounds));
        syncs.push(syncs_per_second(&bench.folder, time / 2)?);
        many.push(writers(bench, WRITERS, time).await?);
        one.push(writers(bench, 1, time / 2).await?);
    }
    say("an hour, second by second");
    let hour = hour(bench).await?;
    Ok(json!({ "syncs_per_s": syncs, "many": many, "one": one, "hour": hour }))
}

/// How often the disk makes 4 KiB at the end of a file durable.
fn syncs_per_second(folder: &Path, time: Duration) -> Result<f64, Failure> {
    let path = folder.join("syncs");
    let mut file = File::create(&path)?;
    let (begin, mut count) = (Instant::now(), 0);
    while begin.elapsed() < time {
        file.write_all(&[count as u8; 4096])?;
        file.sync_data()?;
        count += 1;
    }
    let rate = f64::from(count) / begin.elapsed().as_secs_f64();
    std::fs::remove_file(path)?;
    Ok(rate)
}

fn one_sample(second: usize, value: f64) -> Result<Samples, Failure> {
    let start = Tick::new(FIRST_TICKS + second as i64 * STEP_TICKS)?;
    Ok(Samples::new(start, SamplePeriod::from_ticks(STEP_TICKS)?, Values::F64(vec![value]))?)
}

/// Writers that each write sample after sample of a series of their own, and wait for each.
async fn writers(bench: &Bench, count: usize, time: Duration) -> Result<Value, Failure> {
    let opened = store::open_new(&bench.folder.join(format!("commits-{count}"))).await?;
    let mut tasks = Vec::new();
    let mut ids = Vec::new();
    for number in 0..count {
        ids.push(opened.series(&format!("/plant/T{number}/1_s"), DataType::Float64, STEP_TICKS).await?);
    }
    let begin = Instant::now();
    for &id in &ids {
        tasks.push(tokio::spawn(writer(opened.store.clone(), id, begin + time)));
    }
    let mut commits = HashSet::new();
    let mut latencies = Vec::new();
    let mut written = Vec::new();
    for task in tasks {
        let (own_commits, own_latencies) = task.await??;
        written.push(own_commits.len());
        commits.extend(own_commits);
        latencies.extend(own_latencies);
    }
    let seconds = begin.elapsed().as_secs_f64();
    let head = opened.store.head().await?.0;
    for (&id, count) in ids.iter().zip(written) {
        let values = Values::F64((0..count).map(|second| second as f64).collect());
        let expected = Expected { step_ticks: STEP_TICKS, slots: None, values: &values };
        store::verify(&opened.store, id, expected).await?;
    }
    opened.close().await;
    latencies.sort_by(f64::total_cmp);
    let acknowledged = latencies.len();
    let percentile = |percent: usize| latencies.get(acknowledged * percent / 100).copied();
    Ok(json!({
        "writers": count,
        "seconds": seconds,
        "acknowledged": acknowledged,
        "commits": commits.len(),
        "head": head,
        "latency_median_s": percentile(50),
        "latency_99_s": percentile(99),
    }))
}

/// The commits and the seconds of each write.
async fn writer(store: Store, series: SeriesId, end: Instant) -> Result<(Vec<i64>, Vec<f64>), Failure> {
    let (mut commits, mut latencies) = (Vec::new(), Vec::new());
    while Instant::now() < end {
        let second = commits.len();
        let begin = Instant::now();
        let receipt = store.write(Write::new().rows(series, one_sample(second, second as f64)?)).await?;
        latencies.push(begin.elapsed().as_secs_f64());
        commits.push(receipt.commit);
    }
    Ok((commits, latencies))
}

/// A commit for each second of an hour, with a sample of each series.
async fn hour(bench: &Bench) -> Result<Value, Failure> {
    let folder = bench.folder.join("commits-hour");
    let opened = store::open_new(&folder).await?;
    let mut ids = Vec::new();
    for number in 0..bench.scale.hour_series {
        ids.push(opened.series(&format!("/plant/T{number}/1_s"), DataType::Float64, STEP_TICKS).await?);
    }
    let value = |second: usize, id: SeriesId| second as f64 / 8.0 + id.0 as f64;
    let begin = Instant::now();
    for second in 0..bench.scale.hour_commits {
        let mut write = Write::new();
        for &id in &ids {
            write = write.rows(id, one_sample(second, value(second, id))?);
        }
        opened.store.write(write).await?;
    }
    let seconds = begin.elapsed().as_secs_f64();
    opened.close().await;

    let mut stages = Vec::new();
    for (name, options) in [
        ("written", None),
        ("compact", Some(CompactOptions { all: false })),
        ("compact --all", Some(CompactOptions { all: true })),
    ] {
        let opened = store::open(&folder).await?;
        let begin = Instant::now();
        if let Some(options) = options {
            let done = opened.store.compact(options, &Watch::default()).await?;
            if !done.failures.is_empty() {
                return Err(format!("{name}: {}", done.failures.join(", ")).into());
            }
        }
        let compact_s = begin.elapsed().as_secs_f64();
        opened.close().await;

        // What was just compacted is still in memory: begin anew.
        let opened = store::open(&folder).await?;
        let stats = opened.store.stats().await?;
        let mut reading = Seconds::default();
        for &id in &ids {
            let values = Values::F64((0..bench.scale.hour_commits).map(|second| value(second, id)).collect());
            let rows = reading
                .time_async("read", async {
                    let mut scan = opened.store.scan(id, None).await?;
                    scan.try_fold(0, |rows, chunk| Ok::<_, Failure>(rows + chunk?.len()))
                })
                .await?;
            if rows != values.len() {
                return Err(format!("{name}: series {id} has {rows} rows, not {}", values.len()).into());
            }
            let expected = Expected { step_ticks: STEP_TICKS, slots: None, values: &values };
            store::verify(&opened.store, id, expected).await?;
        }
        opened.close().await;
        let segments: u64 = stats.segments.iter().map(|segments| segments.segments).sum();
        let bytes: u64 = stats.segments.iter().map(|segments| segments.bytes).sum();
        stages.push(json!({
            "stage": name,
            "compact_s": compact_s,
            "segments": segments,
            "segment_bytes": bytes,
            "files": store::segment_files(&folder)?.1,
            "tail_rows": stats.tail_rows,
            "tail_bytes": stats.tail_bytes,
            "database_bytes": std::fs::metadata(folder.join("sheaf.db"))?.len(),
            "seconds": Value::from(reading),
        }));
    }
    Ok(json!({
        "commits": bench.scale.hour_commits,
        "series": bench.scale.hour_series,
        "seconds": seconds,
        "stages": stages,
    }))
}
