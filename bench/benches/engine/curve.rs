//! How time and memory grow with the samples: cold in a straight line, warm hardly, memory not at all.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sheaf_bench::data::Channel;
use sheaf_bench::seconds::Seconds;
use sheaf_bench::store::{self, FIRST_TICKS, Failure, STEP_TICKS};
use sheaf_model::{DataType, SamplePeriod, Samples, Tick, Values};
use sheaf_store::Write;

use crate::own::Own;
use crate::samples::plain;
use crate::warm::same_bits;
use crate::{Bench, Peaks, compare, say};

/// The samples repeat after so many: 1000 buckets of ten minutes, and a commit.
const TURN: usize = 60_000_000;

const PER_BUCKET: usize = 60_000;

/// All formats that have all samples.
const FORMATS: [&str; 4] = ["f64", "csv", "parquet", "json"];

fn key(len: usize) -> String {
    format!("/bench/curve/T{len}/10_ms")
}

pub(crate) async fn run(bench: &mut Bench) -> Result<Value, Failure> {
    let lengths = bench.scale.lengths;
    let longest = lengths.iter().copied().max().unwrap_or_default();
    let turn = Channel::new(TURN.min(longest)).values;
    let folder = in_store(bench, &turn).await?;
    let mean = |bucket: usize| {
        // The last bucket may have only a part of its samples, and is not compared.
        let first = bucket * PER_BUCKET % turn.len();
        turn.get(first..first + PER_BUCKET).map(|values| plain(values, "mean"))
    };
    let means: Vec<f64> = (0..turn.len() / PER_BUCKET).filter_map(mean).collect();

    let (mut seconds, mut peaks) = (Seconds::default(), Peaks::default());
    let rounds = bench.scale.rounds.min(3);
    for round in 0..=rounds {
        say(&format!("round {round} of {rounds}"));
        if round == 1 {
            seconds = Seconds::default();
        }
        for &len in lengths {
            let own = Own::open(&folder).await?;
            own.rollups.clear();
            let paths = [format!("/bench/curve/T{len}/10_min_mean")];
            let cold = seconds.time_async(&format!("{len} cold"), own.read(&paths, false)).await?;
            own.read(&paths, true).await?;
            own.rollups.flush().await;
            let warm = seconds.time_async(&format!("{len} warm"), own.read(&paths, true)).await?;
            same_bits(&paths[0], &warm, &cold)?;
            let full = len / PER_BUCKET;
            let expected: Vec<f64> = means.iter().cycle().take(full).copied().collect();
            compare(&paths[0], &cold[..full], &expected)?;
            own.opened.close().await;
        }
        if round < 2 {
            formats(bench, &folder, longest, &mut seconds, &mut peaks)?;
        }
    }
    Ok(json!({
        "samples": longest,
        "lengths": lengths,
        "formats": FORMATS,
        "bytes": store::segment_files(&folder)?.0,
        "seconds": Value::from(seconds),
        "peaks": peaks.0,
    }))
}

/// All samples of the longest channel in each format, into nothing; and the means of all.
fn formats(
    bench: &Bench,
    folder: &Path,
    len: usize,
    seconds: &mut Seconds,
    peaks: &mut Peaks,
) -> Result<(), Failure> {
    let Some(others) = &bench.others else { return Ok(()) };
    let folder = folder.to_string_lossy();
    let original = key(len);
    let means = format!("/bench/curve/T{len}/10_min_mean");
    let originals = FORMATS.map(|format| (format, format, &original));
    for (case, format, path) in originals.into_iter().chain([("means", "f64", &means)]) {
        say(&format!("{len} samples as {case}"));
        let args = ["read", "--data-dir", &folder, "--format", format, "--no-rollups", path];
        let (took, peak) = bench.run(Path::new("/dev/null"), &others.program, &args)?;
        seconds.add(case, took);
        peaks.add(case, peak);
    }
    Ok(())
}

/// A store with a channel of each length.
async fn in_store(bench: &Bench, turn: &[f64]) -> Result<PathBuf, Failure> {
    let folder = bench.folder.join("curve");
    let note = folder.join("complete.txt");
    let wanted = format!("{:?} samples, the same after {}\n", bench.scale.lengths, turn.len());
    if fs::read_to_string(&note).is_ok_and(|found| found == wanted) {
        return Ok(folder);
    }
    say(&format!("writing {}", wanted.trim_end()));
    let opened = store::open_new(&folder).await?;
    let period = SamplePeriod::from_ticks(STEP_TICKS)?;
    for &len in bench.scale.lengths {
        let series = opened.series(&key(len), DataType::Float64, STEP_TICKS).await?;
        for first in (0..len).step_by(turn.len()) {
            let values = Values::F64(turn[..turn.len().min(len - first)].to_vec());
            let start = Tick::new(FIRST_TICKS + first as i64 * STEP_TICKS)?;
            opened.store.write(Write::new().rows(series, Samples::new(start, period, values)?)).await?;
        }
    }
    opened.close().await;
    fs::write(&note, wanted)?;
    Ok(folder)
}
