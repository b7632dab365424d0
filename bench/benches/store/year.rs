//! One hour out of a year at 100 Hz, in a process that has just begun.

use std::path::Path;

use serde_json::{Value, json};
use sheaf_bench::data::{self, Channel, SplitMix64};
use sheaf_bench::seconds::Seconds;
use sheaf_bench::store::{self, FIRST_TICKS, Failure, STEP_TICKS};
use sheaf_model::{DataType, SamplePeriod, Samples, Tick, Values};
use sheaf_store::Write;

use crate::{Bench, say};

const KEY: &str = "/plant/met_mast/T1/10_ms";

/// Every day has the samples of the first one, begun so many samples later than the day before.
const SHIFT: usize = 1_009;

pub(crate) async fn run(bench: &mut Bench) -> Result<Value, Failure> {
    let day = Channel::new(bench.scale.day_samples).values;
    let folder = bench.folder.join("year");
    let built = build(bench, &folder, &day).await?;
    if bench.peer.is_some() {
        data::write_raw(&bench.folder.join("day.f64"), &day, f64::to_le_bytes)?;
        bench.ask("make_day")?;
    }

    let hour = bench.scale.hour_samples;
    let mut random = SplitMix64::new(3);
    let mut seconds = Seconds::default();
    for round in 0..=bench.scale.processes {
        if round == 1 {
            seconds = Seconds::default();
        }
        for cache in ["warm", "cold"] {
            // Not at a whole hour, and across midnight now and then.
            let first = (random.next_u64() % (bench.scale.days * day.len() as i64 - hour) as u64) as i64;
            let expected: Vec<f64> = (first..first + hour).map(|slot| value(&day, slot as usize)).collect();
            let args = ["read", KEY, &first.to_string(), &hour.to_string()];
            if cache == "cold" {
                bench.forget("year")?;
            } else {
                bench.fresh(&args, &folder)?;
            }
            let (found, taken) = bench.fresh(&args, &folder)?;
            let (digest, values) = store::digest(first, &expected);
            if found["digest"] != json!(digest) || found["values"] != json!(values) {
                return Err(format!("slot {first} of the year: {found} instead of {values} values").into());
            }
            seconds.add(cache, taken);
            for part in ["runtime", "open", "find", "plan", "read"] {
                let taken = found[format!("{part}_s")].as_f64().ok_or("a time is missing")?;
                seconds.add(&format!("{cache}_{part}"), taken);
            }
            let first = random.next_u64() % (day.len() as u64 - hour as u64);
            for peer in ["pyarrow", "duckdb"] {
                if cache == "cold" {
                    bench.forget("peer")?;
                }
                let request = format!("hour {peer} {first}");
                if cache == "warm" {
                    bench.ask(&request)?;
                }
                if let Some(taken) = bench.ask_seconds(&request)? {
                    seconds.add(&format!("{cache}_{peer}"), taken);
                }
            }
        }
    }
    let (bytes, files) = store::segment_files(&folder)?;
    Ok(json!({
        "samples": hour,
        "all_samples": bench.scale.days * day.len() as i64,
        "bytes": bytes,
        "files": files,
        "build_s": built,
        "seconds": Value::from(seconds),
    }))
}

/// The value in a slot of the year.
fn value(day: &[f64], slot: usize) -> f64 {
    day[(slot % day.len() + slot / day.len() * SHIFT) % day.len()]
}

/// The year, a commit for each day, unless it is there. Returns how long it took.
async fn build(bench: &Bench, folder: &Path, day: &[f64]) -> Result<Option<f64>, Failure> {
    // It is there when all of it is: the note is written last.
    let note = folder.join("complete.txt");
    let wanted = format!("{} days of {} samples, shifted by {SHIFT}\n", bench.scale.days, day.len());
    if std::fs::read_to_string(&note).is_ok_and(|found| found == wanted) {
        return Ok(None);
    }
    say(&format!("writing {}", wanted.trim_end()));
    let begin = std::time::Instant::now();
    let opened = store::open_new(folder).await?;
    let series = opened.series(KEY, DataType::Float64, STEP_TICKS).await?;
    for number in 0..bench.scale.days {
        let first = number as usize * day.len();
        let values = (first..first + day.len()).map(|slot| value(day, slot)).collect();
        let start = Tick::new(FIRST_TICKS + first as i64 * STEP_TICKS)?;
        let samples = Samples::new(start, SamplePeriod::from_ticks(STEP_TICKS)?, Values::F64(values))?;
        opened.store.write(Write::new().rows(series, samples)).await?;
        if number % 30 == 29 {
            say(&format!("{} of {} days", number + 1, bench.scale.days));
        }
    }
    opened.close().await;
    std::fs::write(&note, wanted)?;
    Ok(Some(begin.elapsed().as_secs_f64()))
}
