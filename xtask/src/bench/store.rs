//! The store against PyArrow and DuckDB.

use serde_json::Value;

use super::lines::{Lines, case_cells, extremes, list, ms, number, text};
use super::{Rounds, Setup, Target, machine, median, targets_table};
use crate::run::run;

/// The parts of the benchmark, in its order.
pub(crate) const CASES: [&str; 6] = ["write", "size", "year", "many", "commits", "read"];

const TARGET_WRITE_MEGA_PER_S: f64 = 40.0;
const TARGET_SIZE_OF_CHANNEL: f64 = 0.5;
const TARGET_SIZE: f64 = 1.05;
/// Levels of the noise in the benchmark's channel: ±2 in thousandths.
const CHANNEL_LEVELS: f64 = 4_001.0;
/// The shape that the other target for sizes is about, as the benchmark calls it.
const DECIMALS: &str = "a walk of three decimals";
const TARGET_HOUR_MS: f64 = 15.0;
const TARGET_OPEN_MS: f64 = 300.0;
const TARGET_PLAN_MS: f64 = 2.0;
const TARGET_COMMITS_PER_S: f64 = 2_000.0;

/// All cases of the store, or some.
pub(crate) fn store(cases: &[&str]) -> Result<(), String> {
    let setup = Setup::new()?;
    run(setup.cargo_bench("store").env("SHEAF_BENCH_CASES", cases.join(" ")))?;
    println!("{}", table(&setup.report("store")?)?);
    Ok(())
}

/// The report in Markdown.
fn table(report: &Value) -> Result<String, String> {
    let mut lines = Lines(vec![String::new(), "## Store".to_owned(), String::new()]);
    lines.add(format!(
        "Machine: {}. Peers: {}. Medians of the rounds; ratios are taken within a round.",
        machine(),
        report["peer"].as_str().unwrap_or("none")
    ));
    let mut targets = Vec::new();
    for (case, part) in CASES.map(|case| (case, &report[case])) {
        if part.is_null() {
            continue;
        }
        match case {
            "write" => write(part, &mut lines, &mut targets)?,
            "size" => size(part, &mut lines, &mut targets)?,
            "year" => year(part, &mut lines, &mut targets)?,
            "many" => many(part, &mut lines, &mut targets)?,
            "commits" => commits(part, &mut lines, &mut targets)?,
            _ => read(part, &mut lines)?,
        }
    }
    lines.add("");
    lines.0.extend(targets_table(&targets));
    Ok(lines.0.join("\n"))
}

/// The cells of a case that ran with files in the page cache and without.
fn warm_and_cold(rounds: &Rounds<'_>, label: &str, warm: &str, cold: &str) -> Result<Vec<String>, String> {
    let mut cells = vec![label.to_owned()];
    for case in [warm, cold] {
        let seconds = rounds.seconds(case)?;
        cells.extend([ms(median(seconds.clone())), extremes(&seconds)]);
    }
    Ok(cells)
}

fn write(report: &Value, lines: &mut Lines, targets: &mut Vec<Target>) -> Result<(), String> {
    let rounds = Rounds(report);
    let samples = rounds.samples()?;
    lines.head(
        "Write",
        format!(
            "{:.1} M doubles of one series from memory to the acknowledgement, on all cores, synced. The peers sync file \
             and folder; their clock starts when the samples are an Arrow table.",
            samples / 1e6
        ),
        "case | median ms | fastest … slowest ms | M samples/s | sheaf is faster by | bytes/sample",
    );
    let sheaf_bytes = number(&report["bytes"], "sheaf")?;
    for (case, label) in [
        ("sheaf", "sheaf"),
        ("pyarrow", "PyArrow, zstd Parquet, time and value"),
        ("pyarrow_values", "PyArrow, zstd Parquet, value only"),
        ("duckdb", "DuckDB, zstd Parquet, time and value"),
        ("duckdb_table", "DuckDB, own table, time and value"),
    ] {
        let mut cells = case_cells(&rounds, label, case, "sheaf")?;
        cells.push(format!("{:.3}", number(&report["bytes"], case)? / samples));
        lines.row(&cells);
    }
    let rate = rounds.rate("sheaf")? * 1e3;
    targets.push(Target {
        name: "write, durable".to_owned(),
        wanted: format!("{TARGET_WRITE_MEGA_PER_S:.0} M samples/s"),
        measured: format!("{rate:.1} M samples/s"),
        is_met: rate >= TARGET_WRITE_MEGA_PER_S,
    });
    let bits = CHANNEL_LEVELS.log2();
    lines.add("");
    lines.add(format!(
        "The noise of the channel has {CHANNEL_LEVELS} levels, all as likely: no lossless code gets by with fewer than \
         log2({CHANNEL_LEVELS}) = {bits:.2} bits, {:.3} bytes, for a sample.",
        bits / 8.0
    ));
    let least = samples * bits / 8.0;
    for (case, label, counts) in [
        ("pyarrow", "PyArrow's zstd Parquet", true),
        ("duckdb", "DuckDB's zstd Parquet", true),
        ("pyarrow_values", "PyArrow's zstd Parquet without times (for information)", false),
    ] {
        let peer_bytes = number(&report["bytes"], case)?;
        let ratio = sheaf_bytes / peer_bytes;
        if counts {
            targets.push(Target {
                name: format!("size of the channel, against {label}"),
                wanted: format!("{TARGET_SIZE_OF_CHANNEL:.2} ×"),
                measured: format!("{ratio:.3} ×, of {:.3} × that are possible", least / peer_bytes),
                is_met: ratio <= TARGET_SIZE_OF_CHANNEL,
            });
        } else {
            lines.add("");
            lines.add(format!("Size against {label}: {ratio:.3} ×."));
        }
    }
    Ok(())
}

/// The smallest of what a peer wrote, among the versions that are meant.
fn smallest(peers: &Value, is_meant: impl Fn(&str) -> bool) -> Result<(&str, f64), String> {
    let found = peers.as_object().into_iter().flatten();
    let found = found.filter_map(|(name, bytes)| Some((name.as_str(), bytes.as_f64()?)));
    found
        .filter(|(name, _)| is_meant(name))
        .min_by(|a, b| a.1.total_cmp(&b.1))
        .ok_or_else(|| "the benchmark's report has no size of the peers".to_owned())
}

fn size(report: &Value, lines: &mut Lines, targets: &mut Vec<Target>) -> Result<(), String> {
    lines.head(
        "Size",
        "Bytes of the segment against the smallest zstd Parquet with times or slot numbers, by PyArrow at its default \
         level and at level 3 and by DuckDB; of sparse samples also with a null for every slot between. *Values only* \
         knows less."
            .to_owned(),
        "shape | samples | sheaf bytes/sample | smallest peer bytes/sample | ratio | smallest with values only | ratio | \
         the smallest peer is",
    );
    let mut worst = ("", 0.0);
    let mut decimals = None;
    for shape in list(report, "shapes")? {
        let (name, samples, bytes) =
            (text(shape, "shape")?, number(shape, "samples")?, number(shape, "bytes")?);
        let (peer, with_times) = smallest(&shape["peers"], |name| !name.contains("values only"))?;
        let (_, values_only) = smallest(&shape["peers"], |name| name.contains("values only"))?;
        let ratio = bytes / with_times;
        if name == DECIMALS {
            decimals = Some(ratio);
        }
        if ratio > worst.1 {
            worst = (name, ratio);
        }
        lines.row(&[
            name.to_owned(),
            format!("{samples}"),
            format!("{:.4}", bytes / samples),
            format!("{:.4}", with_times / samples),
            format!("{ratio:.3} ×"),
            format!("{:.4}", values_only / samples),
            format!("{:.3} ×", bytes / values_only),
            peer.to_owned(),
        ]);
    }
    if let Some(ratio) = decimals {
        targets.push(Target {
            name: format!("size of {DECIMALS}, against the smallest zstd Parquet"),
            wanted: format!("{TARGET_SIZE_OF_CHANNEL:.2} ×"),
            measured: format!("{ratio:.3} ×"),
            is_met: ratio <= TARGET_SIZE_OF_CHANNEL,
        });
    }
    targets.push(Target {
        name: "size of any shape, against the smallest zstd Parquet".to_owned(),
        wanted: format!("{TARGET_SIZE:.2} ×"),
        measured: format!("at most {:.3} × ({})", worst.1, worst.0),
        is_met: worst.1 <= TARGET_SIZE,
    });
    Ok(())
}

fn year(report: &Value, lines: &mut Lines, targets: &mut Vec<Target>) -> Result<(), String> {
    let rounds = Rounds(report);
    let processes = rounds.seconds("warm")?.len();
    lines.head(
        "One hour out of a year",
        format!(
            "{:.0} k samples at a random time out of {:.2} G, in {} segments and {:.2} GB, by {processes} fresh processes: \
             from starting the process to its end, SQLite opened and everything verified. *Cold*: all files of the store \
             were taken out of the page cache before. The peers read from one Parquet file with the right day, in a \
             process that has been running: their start is not in their time.",
            rounds.samples()? / 1e3,
            number(report, "all_samples")? / 1e9,
            number(report, "files")?,
            number(report, "bytes")? / 1e9
        ),
        "case | warm ms | fastest … slowest ms | cold ms | fastest … slowest ms",
    );
    for (case, label) in [
        ("", "sheaf, the process"),
        ("_runtime", "… of it, starting the runtime"),
        ("_open", "… of it, opening the store"),
        ("_find", "… of it, finding the series"),
        ("_plan", "… of it, snapshot, plan and opening the segment"),
        ("_read", "… of it, reading"),
        ("_pyarrow", "PyArrow, without its start"),
        ("_duckdb", "DuckDB, without its start"),
    ] {
        lines.row(&warm_and_cold(&rounds, label, &format!("warm{case}"), &format!("cold{case}"))?);
    }
    for (case, label) in [("warm", "files in the page cache"), ("cold", "files not in the page cache")] {
        let found = median(rounds.seconds(case)?) * 1e3;
        targets.push(Target {
            name: format!("an hour out of a year, fresh process, {label}"),
            wanted: format!("{TARGET_HOUR_MS:.0} ms"),
            measured: format!("{found:.1} ms"),
            is_met: found <= TARGET_HOUR_MS,
        });
    }
    Ok(())
}

fn many(report: &Value, lines: &mut Lines, targets: &mut Vec<Target>) -> Result<(), String> {
    let rounds = Rounds(report);
    lines.head(
        "A large manifest",
        format!(
            "{:.0} series and {:.0} M pieces in {:.2} GB of SQLite; {} fresh processes.",
            number(report, "series")?,
            number(report, "pieces")? / 1e6,
            number(report, "bytes")? / 1e9,
            rounds.seconds("warm_open")?.len()
        ),
        "case | warm ms | fastest … slowest ms | cold ms | fastest … slowest ms",
    );
    for (case, label) in [
        ("open", "opening the store"),
        ("find", "finding a series by its key"),
        ("plan", "snapshot and plan of one series, the first one"),
        ("process", "the process"),
    ] {
        lines.row(&warm_and_cold(&rounds, label, &format!("warm_{case}"), &format!("cold_{case}"))?);
    }
    for (case, label) in [
        ("again_find", "finding a series, the process has been running"),
        ("again_plan", "snapshot and plan of another series, the process has been running"),
        ("absent", "being sure that a series is not there, once per process"),
    ] {
        let seconds = rounds.seconds(case)?;
        lines.row(&[
            label.to_owned(),
            ms(median(seconds.clone())),
            extremes(&seconds),
            String::new(),
            String::new(),
        ]);
    }
    for (case, label, wanted) in [
        ("warm_open", "opening 100 000 series with 10 M pieces", TARGET_OPEN_MS),
        ("warm_plan", "planning one of them, the first in its process", TARGET_PLAN_MS),
        ("again_plan", "planning one of them, the process has been running", TARGET_PLAN_MS),
    ] {
        let found = median(rounds.seconds(case)?) * 1e3;
        targets.push(Target {
            name: label.to_owned(),
            wanted: format!("{wanted:.0} ms"),
            measured: format!("{found:.2} ms"),
            is_met: found <= wanted,
        });
    }
    Ok(())
}

fn commits(report: &Value, lines: &mut Lines, targets: &mut Vec<Target>) -> Result<(), String> {
    let syncs: Vec<f64> = list(report, "syncs_per_s")?.iter().filter_map(Value::as_f64).collect();
    lines.head(
        "Small writes",
        format!(
            "Each a sample of a series of its own, waiting for the acknowledgement. In the same {} rounds the disk alone made \
             {:.0} appends of 4 KiB a second durable ({:.0} … {:.0}). A commit takes two syncs: one of SQLite's log, one of \
             HEAD.",
            syncs.len(),
            median(syncs.clone()),
            syncs.iter().copied().fold(f64::INFINITY, f64::min),
            syncs.iter().copied().fold(0.0, f64::max),
        ),
        "writers | acknowledged/s | commits/s | commits for each sync of the disk alone | writes in a commit | median ms | \
         99th percentile ms",
    );
    for case in ["many", "one"] {
        let rounds = list(report, case)?;
        let median_of = |value: &dyn Fn(&Value) -> Result<f64, String>| {
            Ok::<_, String>(median(rounds.iter().map(value).collect::<Result<_, _>>()?))
        };
        let per_second = |key: &'static str| {
            move |round: &Value| Ok::<_, String>(number(round, key)? / number(round, "seconds")?)
        };
        let acknowledged = median_of(&per_second("acknowledged"))?;
        let commits: Vec<f64> = rounds.iter().map(per_second("commits")).collect::<Result<_, _>>()?;
        let of_syncs = median(commits.iter().zip(&syncs).map(|(commits, syncs)| commits / syncs).collect());
        let group = median_of(&|round| Ok(number(round, "acknowledged")? / number(round, "commits")?))?;
        lines.row(&[
            format!("{}", median_of(&|round| number(round, "writers"))?),
            format!("{acknowledged:.0}"),
            format!("{:.0}", median(commits)),
            format!("{of_syncs:.2}"),
            format!("{group:.1}"),
            ms(median_of(&|round| number(round, "latency_median_s"))?),
            ms(median_of(&|round| number(round, "latency_99_s"))?),
        ]);
        if case == "many" {
            targets.push(Target {
                name: "64 writers of one sample each".to_owned(),
                wanted: format!(
                    "{TARGET_COMMITS_PER_S:.0} acknowledged/s, or a commit for each sync of the disk alone"
                ),
                measured: format!("{acknowledged:.0} acknowledged/s, {of_syncs:.2} commits for each sync"),
                is_met: acknowledged >= TARGET_COMMITS_PER_S || of_syncs >= 1.0,
            });
        }
    }
    let hour = &report["hour"];
    let (seconds, commits) = (number(hour, "seconds")?, number(hour, "commits")?);
    lines.head(
        "An hour, second by second",
        format!(
            "{commits} commits of a sample of {} series each took {seconds:.1} s ({:.2} ms each). Then:",
            number(hour, "series")?,
            seconds / commits * 1e3
        ),
        "after | took ms | segments | their bytes | files | samples in the tail | bytes of the tail | reading one series, \
         median ms",
    );
    for stage in list(hour, "stages")? {
        lines.row(&[
            text(stage, "stage")?.to_owned(),
            ms(number(stage, "compact_s")?),
            number(stage, "segments")?.to_string(),
            number(stage, "segment_bytes")?.to_string(),
            number(stage, "files")?.to_string(),
            number(stage, "tail_rows")?.to_string(),
            number(stage, "tail_bytes")?.to_string(),
            ms(median(Rounds(stage).seconds("read")?)),
        ]);
    }
    Ok(())
}

fn read(report: &Value, lines: &mut Lines) -> Result<(), String> {
    let rounds = Rounds(report);
    lines.head(
        "Read all",
        format!(
            "{:.1} M doubles out of the page cache, verified; PyArrow reads the value column of its zstd Parquet. `check` \
             reads everything and compares it with the manifest.",
            rounds.samples()? / 1e6
        ),
        "case | median ms | fastest … slowest ms | M values/s | sheaf's scan is faster by",
    );
    for (case, label) in [
        ("scan", "sheaf, one thread"),
        ("pyarrow", "PyArrow, one thread"),
        ("pyarrow_threads", "PyArrow, all cores"),
        ("check", "sheaf check"),
    ] {
        lines.row(&case_cells(&rounds, label, case, "scan")?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_smallest_peer_has_times() {
        let shape = json!({
            "shape": "constant", "samples": 100, "bytes": 105,
            "peers": { "PyArrow, values only": 50, "PyArrow, with times": 100, "DuckDB, with slots": 120 },
        });
        let (mut lines, mut targets) = (Lines(Vec::new()), Vec::new());
        size(&json!({ "shapes": [shape] }), &mut lines, &mut targets).unwrap();
        assert_eq!(
            lines.0.last().unwrap(),
            "| constant | 100 | 1.0500 | 1.0000 | 1.050 × | 0.5000 | 2.100 × | PyArrow, with times |"
        );
        assert_eq!(targets[0].measured, "at most 1.050 × (constant)");
        assert!(targets[0].is_met);
    }

    #[test]
    fn a_slow_disk_is_no_excuse_for_more_than_it_is() {
        let writers = |acknowledged: u64| {
            json!({
                "writers": 64, "seconds": 10.0, "acknowledged": acknowledged, "commits": 100,
                "latency_median_s": 0.1, "latency_99_s": 0.2,
            })
        };
        let stage = json!({ "stage": "written", "compact_s": 0.0, "segments": 1, "segment_bytes": 1, "files": 1,
            "tail_rows": 0, "tail_bytes": 0, "seconds": { "read": [0.001] } });
        let hour = json!({ "commits": 1, "series": 1, "seconds": 1.0, "stages": [stage] });
        for (acknowledged, syncs, is_met) in [(20_000, 1e6, true), (5_000, 10.0, true), (5_000, 20.0, false)]
        {
            let report = json!({
                "syncs_per_s": [syncs], "many": [writers(acknowledged)], "one": [writers(100)], "hour": hour,
            });
            let (mut lines, mut targets) = (Lines(Vec::new()), Vec::new());
            commits(&report, &mut lines, &mut targets).unwrap();
            assert_eq!(targets[0].is_met, is_met, "{acknowledged} with {syncs} syncs");
        }
    }
}
