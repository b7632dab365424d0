//! The engine and the program against DuckDB, Polars and NumPy.

use serde_json::Value;

use super::lines::{Lines, case_cells, extremes, list, ms, number};
use super::{Rounds, Setup, Target, machine, median, targets_table};
use crate::run::run;

/// All cases; `curve` runs only where it is named.
pub(crate) const CASES: [&str; 8] = ["cold", "kinds", "i16", "channels", "hourly", "warm", "ingest", "curve"];

const TARGET_DUCKDB_AVX512: f64 = 8.0;
const TARGET_DUCKDB_AVX2: f64 = 6.0;
const TARGET_POLARS: f64 = 10.0;
/// Against DuckDB, where it is not about the mean of one long channel.
const TARGET_OTHERS: f64 = 5.0;
/// Cold against warm, where a bucket has many samples, and where it has few.
const TARGET_WARM_MANY: f64 = 50.0;
const TARGET_WARM_FEW: f64 = 5.0;
const MANY_SAMPLES: f64 = 1_000.0;
const TARGET_INGEST: f64 = 1.0;
const TARGET_PEAK_MIB: f64 = 512.0;
/// What ten times the samples may take more than ten times the time.
const TARGET_LINEAR: f64 = 1.5;

const PEERS: [(&str, &str); 3] = [("duckdb", "DuckDB"), ("polars", "Polars"), ("numpy", "NumPy")];

const MIB: f64 = (1 << 20) as f64;

/// All cases of the engine but the longest, or some.
pub(crate) fn engine(cases: &[&str]) -> Result<(), String> {
    let setup = Setup::new()?;
    run(&mut setup.workspace.cargo(&["build", "--release", "--package", "sheaf-server"]))?;
    let program =
        setup.workspace.target.join("release").join(format!("sheaf{}", std::env::consts::EXE_SUFFIX));
    let mut bench = setup.cargo_bench("engine");
    run(bench.env("SHEAF_BENCH_PROGRAM", program).env("SHEAF_BENCH_CASES", cases.join(" ")))?;
    println!("{}", table(&setup.report("engine")?)?);
    Ok(())
}

/// The report in Markdown.
fn table(report: &Value) -> Result<String, String> {
    let mut lines = Lines(vec![String::new(), "## Engine".to_owned(), String::new()]);
    let levels: Vec<&str> = list(report, "levels")?.iter().filter_map(Value::as_str).collect();
    lines.add(format!(
        "Machine: {}, SIMD levels {}. Peers: {}. Medians of the rounds; ratios are taken within a round. *Peak* is the most \
         memory that a process had in any round.",
        machine(),
        levels.join(", "),
        report["peer"].as_str().unwrap_or("none")
    ));
    let has_avx512 = levels.iter().any(|level| level.contains("512"));
    let mut targets = Vec::new();
    for (case, part) in CASES.map(|case| (case, &report[case])) {
        if part.is_null() {
            continue;
        }
        match case {
            "warm" => warm(part, &mut lines, &mut targets)?,
            "ingest" => ingest(part, &mut lines, &mut targets)?,
            "curve" => curve(part, &mut lines, &mut targets)?,
            _ => contest(case, part, has_avx512, &mut lines, &mut targets)?,
        }
    }
    lines.add("");
    lines.0.extend(targets_table(&targets));
    Ok(lines.0.join("\n"))
}

fn title(case: &str) -> &'static str {
    match case {
        "kinds" => "Mean, deviation, minimum and maximum at once",
        "i16" => "A channel of 16-bit integers",
        "channels" => "Many channels at once",
        "hourly" => "Daily sums of many meters",
        _ => "Means of one long channel",
    }
}

/// `37 MiB`, or nothing.
fn peak(report: &Value, case: &str) -> String {
    report["peaks"][case].as_f64().map_or_else(String::new, |bytes| format!("{:.0}", bytes / MIB))
}

fn contest(
    case: &str,
    report: &Value,
    has_avx512: bool,
    lines: &mut Lines,
    targets: &mut Vec<Target>,
) -> Result<(), String> {
    let rounds = Rounds(report);
    let kinds: Vec<&str> = list(report, "kinds")?.iter().filter_map(Value::as_str).collect();
    lines.head(
        title(case),
        format!(
            "{:.1} M samples in {} series → {} {}, {} samples in a bucket; files in the page cache ({:.0} MB of ours), all \
             cores, {} rounds. `sheaf read` is a fresh process from its start to its end. Of the peers it is the question \
             alone, in a process that has been running and has asked it before; then the fastest one as a fresh process.",
            rounds.samples()? / 1e6,
            number(report, "series")?,
            report["period"].as_str().unwrap_or_default(),
            kinds.join(", "),
            number(report, "per_bucket")?,
            number(report, "bytes")? / 1e6,
            rounds.seconds("sheaf")?.len(),
        ),
        "case | median ms | fastest … slowest ms | M samples/s | sheaf is faster by | peak MiB",
    );
    let finalists: Vec<&str> = list(report, "finalists")?.iter().filter_map(Value::as_str).collect();
    let own = [
        ("sheaf", "sheaf read --no-rollups"),
        ("sheaf_rollups", "sheaf read, and rollups written"),
        ("sheaf_again", "sheaf read, out of rollups"),
    ];
    let own = own.into_iter().map(|(case, label)| (case.to_owned(), label.to_owned()));
    let others = finalists.iter().map(|case| ((*case).to_owned(), (*case).to_owned()));
    let fresh = PEERS.map(|(peer, name)| (format!("{peer}_process"), format!("{name}, a fresh process")));
    let bound = ("bound".to_owned(), "NumPy: plain sum of all, no answer".to_owned());
    for (case, label) in own.chain(others).chain([bound]).chain(fresh) {
        let mut cells = case_cells(&rounds, &label, &case, "sheaf")?;
        cells.push(peak(report, &case));
        lines.row(&cells);
    }
    for (peer, name) in PEERS {
        let wanted = match (peer, case) {
            ("duckdb", "cold") if has_avx512 => TARGET_DUCKDB_AVX512,
            ("duckdb", "cold") => TARGET_DUCKDB_AVX2,
            ("duckdb", _) => TARGET_OTHERS,
            ("polars", "cold") => TARGET_POLARS,
            _ => continue,
        };
        let (best, speed) = against_best(&rounds, &finalists, peer)?;
        targets.push(Target {
            name: format!("{}, against the best of {name} ({best})", title(case).to_lowercase()),
            wanted: format!("{wanted:.0} ×"),
            measured: format!("{speed:.2} ×"),
            is_met: speed >= wanted,
        });
    }
    Ok(())
}

/// The variant of a peer with the smallest median, and how many times as fast we are.
fn against_best<'a>(
    rounds: &Rounds<'_>,
    finalists: &[&'a str],
    peer: &str,
) -> Result<(&'a str, f64), String> {
    let mut best: Option<(&str, f64)> = None;
    for case in finalists {
        if let Some(variant) = case.strip_prefix(peer).and_then(|rest| rest.strip_prefix(": ")) {
            let seconds = median(rounds.seconds(case)?);
            if best.is_none_or(|(_, fastest)| seconds < fastest) {
                best = Some((variant, seconds));
            }
        }
    }
    let (variant, _) = best.ok_or_else(|| format!("the benchmark's report has no times of {peer}"))?;
    Ok((variant, rounds.speed("sheaf", &format!("{peer}: {variant}"))?))
}

fn warm(report: &Value, lines: &mut Lines, targets: &mut Vec<Target>) -> Result<(), String> {
    let rounds = Rounds(report);
    lines.head(
        "Out of rollups",
        format!(
            "{:.1} M samples of one series at 100 Hz, read inside one process. *Cold* is without rollups, *filling* leaves \
             states for the reads below it; those have the same bits as cold ones.",
            rounds.samples()? / 1e6
        ),
        "case | median ms | fastest … slowest ms | faster than cold by",
    );
    for (first, coarser, per_bucket) in [
        ("10_min_mean", &["1_h_max", "1_d_std"][..], 60_000.0),
        ("1_min_mean", &[], 6_000.0),
        ("10_s_mean", &[], 1_000.0),
        ("1_s_mean", &[], 100.0),
    ] {
        let cold = format!("{first} cold");
        let again = std::iter::once(&first).chain(coarser).map(|what| format!("{what} warm"));
        for case in [cold.clone(), format!("{first} filling")].into_iter().chain(again) {
            let seconds = rounds.seconds(&case)?;
            let speed = rounds.speed(&case, &cold)?;
            lines.row(&[
                case.clone(),
                ms(median(seconds.clone())),
                extremes(&seconds),
                format!("{speed:.2} ×"),
            ]);
            if case.ends_with(" warm") {
                let wanted = if per_bucket >= MANY_SAMPLES { TARGET_WARM_MANY } else { TARGET_WARM_FEW };
                targets.push(Target {
                    name: format!("{case}, after {first}, against {cold}"),
                    wanted: format!("{wanted:.0} ×"),
                    measured: format!("{speed:.1} ×"),
                    is_met: speed >= wanted,
                });
            }
        }
    }
    Ok(())
}

fn ingest(report: &Value, lines: &mut Lines, targets: &mut Vec<Target>) -> Result<(), String> {
    let rounds = Rounds(report);
    lines.head(
        "A wide table of text",
        format!(
            "{:.0} M rows of four channels, {:.2} GB of CSV. `sheaf ingest` makes a new store of it, durable at its end \
             ({:.0} MB); DuckDB copies it into a zstd Parquet file ({:.0} MB), synced.",
            number(report, "rows")? / 1e6,
            number(report, "csv_bytes")? / 1e9,
            number(report, "bytes")? / 1e6,
            number(report, "peer_bytes")? / 1e6,
        ),
        "case | median ms | fastest … slowest ms | M values/s | sheaf is faster by | peak MiB",
    );
    for (case, label) in [
        ("sheaf", "sheaf ingest, a fresh process"),
        ("duckdb", "DuckDB"),
        ("duckdb_process", "DuckDB, a fresh process"),
    ] {
        let mut cells = case_cells(&rounds, label, case, "sheaf")?;
        cells.push(peak(report, case));
        lines.row(&cells);
    }
    let speed = rounds.speed("sheaf", "duckdb")?;
    targets.push(Target {
        name: "a wide table of text, against DuckDB".to_owned(),
        wanted: format!("{TARGET_INGEST:.0} ×"),
        measured: format!("{speed:.2} ×"),
        is_met: speed >= TARGET_INGEST,
    });
    Ok(())
}

fn curve(report: &Value, lines: &mut Lines, targets: &mut Vec<Target>) -> Result<(), String> {
    let rounds = Rounds(report);
    lines.head(
        "From a million samples to a billion",
        "Means of 10 minutes out of a series at 100 Hz, inside one process: cold without rollups, warm out of them.".to_owned(),
        "samples | cold ms | fastest … slowest ms | M samples/s | warm ms | fastest … slowest ms",
    );
    let mut points = Vec::new();
    for samples in list(report, "lengths")?.iter().filter_map(Value::as_f64) {
        let (cold, warm) =
            (rounds.seconds(&format!("{samples} cold"))?, rounds.seconds(&format!("{samples} warm"))?);
        points.push((samples, median(cold.clone()), median(warm.clone())));
        lines.row(&[
            format!("{samples}"),
            ms(median(cold.clone())),
            extremes(&cold),
            format!("{:.1}", samples / median(cold) / 1e6),
            ms(median(warm.clone())),
            extremes(&warm),
        ]);
    }
    if let [.., (fewer, fewer_s, _), (most, most_s, _)] = points[..] {
        let growth = (most_s / fewer_s) / (most / fewer);
        targets.push(Target {
            name: format!("cold, {most} samples against {fewer}: time for a sample"),
            wanted: format!("at most {TARGET_LINEAR} ×"),
            measured: format!("{growth:.2} ×"),
            is_met: growth <= TARGET_LINEAR,
        });
    }
    lines.head(
        "A billion samples in each format",
        format!("`sheaf read` of {} samples, or of their means, to nowhere.", rounds.samples()?),
        "format | seconds | M samples/s | peak MiB",
    );
    let formats = list(report, "formats")?.iter().filter_map(Value::as_str);
    for format in formats.chain(["means"]) {
        lines.row(&[
            format.to_owned(),
            format!("{:.1}", median(rounds.seconds(format)?)),
            format!("{:.1}", rounds.rate(format)? * 1e3),
            peak(report, format),
        ]);
        let mib = number(&report["peaks"], format)? / MIB;
        targets.push(Target {
            name: format!("memory, {} samples as {format}", rounds.samples()?),
            wanted: format!("at most {TARGET_PEAK_MIB:.0} MiB"),
            measured: format!("{mib:.0} MiB"),
            is_met: mib <= TARGET_PEAK_MIB,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_fastest_way_of_a_peer_counts() {
        let seconds = json!({
            "sheaf": [0.1], "duckdb: table": [0.9], "duckdb: Parquet": [0.7], "polars: Parquet": [0.5],
        });
        let report = json!({ "seconds": seconds });
        let finalists = ["duckdb: table", "duckdb: Parquet", "polars: Parquet"];
        let (best, speed) = against_best(&Rounds(&report), &finalists, "duckdb").unwrap();
        assert_eq!(best, "Parquet");
        assert!((speed - 7.0).abs() < 1e-9);
        assert!(against_best(&Rounds(&report), &finalists, "numpy").is_err());
    }
}
