//! The server over loopback, against its targets and the command line.

use std::process::Command;

use serde_json::Value;

use super::lines::{Lines, extremes, list, ms, number, text};
use super::{Rounds, Setup, Target, machine, median, targets_table};
use crate::environment;
use crate::run::run;

/// All cases.
pub(crate) const CASES: [&str; 4] = ["warm", "raw", "cold", "slow"];

/// The median of a warm answer on one connection, and how many a second on 64.
const TARGET_WARM_SECONDS: f64 = 2e-3;
const TARGET_WARM_RATE: f64 = 3_000.0;
const TARGET_RAW_MB: f64 = 300.0;
/// What a cold answer may take more than by the command line.
const TARGET_COLD: f64 = 1.1;

/// The clients of the server's own tests: the newest one is the peer.
const REQUIREMENTS: &str = "../../crates/server/tests/clients/nexus/requirements-2.0.0b60.txt";

const MB: f64 = 1e6;

/// All cases over HTTP, or some.
pub(crate) fn http(cases: &[&str]) -> Result<(), String> {
    environment::wrk()?;
    let setup = Setup::with("bench-venv-http", REQUIREMENTS)?;
    run(&mut setup.workspace.cargo(&["build", "--release", "--package", "sheaf-server"]))?;
    let program =
        setup.workspace.target.join("release").join(format!("sheaf{}", std::env::consts::EXE_SUFFIX));
    let mut bench: Command = setup.cargo_bench("http");
    run(bench.env("SHEAF_BENCH_PROGRAM", program).env("SHEAF_BENCH_CASES", cases.join(" ")))?;
    println!("{}", table(&setup.report("http")?)?);
    Ok(())
}

/// The report in Markdown.
fn table(report: &Value) -> Result<String, String> {
    let mut lines = Lines(vec![String::new(), "## Over HTTP".to_owned(), String::new()]);
    lines.add(format!(
        "Machine: {}, shared by the server and whoever asks it over loopback. Medians of the rounds; ratios are taken within a \
         round.",
        machine()
    ));
    let mut targets = Vec::new();
    for (case, part) in CASES.map(|case| (case, &report[case])) {
        if part.is_null() {
            continue;
        }
        match case {
            "warm" => warm(part, &mut lines, &mut targets)?,
            "raw" => raw(part, &mut lines, &mut targets)?,
            "cold" => cold(part, &mut lines, &mut targets)?,
            _ => slow(part, &mut lines, &mut targets)?,
        }
    }
    lines.add("");
    lines.0.extend(targets_table(&targets));
    Ok(lines.0.join("\n"))
}

/// The median of a number over the rounds.
fn of_rounds(rounds: &[Value], case: &str, key: &str) -> Result<f64, String> {
    Ok(median(rounds.iter().map(|round| number(&round[case], key)).collect::<Result<_, _>>()?))
}

fn warm(part: &Value, lines: &mut Lines, targets: &mut Vec<Target>) -> Result<(), String> {
    let rounds = list(part, "rounds")?;
    lines.head(
        "The same means again",
        format!(
            "`10_min_mean` of ten days at 100 Hz, {} values, from rollups; `wrk` on one thread for one connection and on two for \
             64. `/health/live` is what the server takes to say anything at all.",
            number(part, "values")?
        ),
        "case | median ms | 99th percentile ms | requests a second | CPU of the server, ms a request",
    );
    let cpu: Option<Vec<f64>> = rounds.iter().map(|round| round["cpu_per_request"].as_f64()).collect();
    for (case, label) in
        [("one", "one connection"), ("many", "64 connections"), ("alive", "64 connections, `/health/live`")]
    {
        let cpu = cpu.clone().filter(|_| case == "many").map_or_else(String::new, |cpu| ms(median(cpu)));
        lines.row(&[
            label.to_owned(),
            ms(of_rounds(rounds, case, "median")?),
            ms(of_rounds(rounds, case, "high")?),
            format!("{:.0}", of_rounds(rounds, case, "per_second")?),
            cpu,
        ]);
    }
    let seconds = of_rounds(rounds, "one", "median")?;
    targets.push(Target {
        name: "warm, one connection".to_owned(),
        wanted: "median below 2 ms".to_owned(),
        measured: format!("{} ms", ms(seconds)),
        is_met: seconds < TARGET_WARM_SECONDS,
    });
    let rate = of_rounds(rounds, "many", "per_second")?;
    targets.push(Target {
        name: "warm, 64 connections".to_owned(),
        wanted: format!("{TARGET_WARM_RATE:.0} requests a second"),
        measured: format!("{rate:.0}"),
        is_met: rate >= TARGET_WARM_RATE,
    });
    Ok(())
}

fn raw(part: &Value, lines: &mut Lines, targets: &mut Vec<Target>) -> Result<(), String> {
    let megabytes = number(part, "bytes")? / MB;
    let client = text(part, "client")?;
    lines.head(
        "Samples as they are",
        format!(
            "31 days of seconds of four channels, {megabytes:.1} MB of doubles. *Of the server* is what it would do if it had its \
             cores for itself: bytes for each second of CPU that it used."
        ),
        "case | median ms | fastest … slowest ms | MB/s | of the server, MB/s and core",
    );
    let (rounds, cpu) = (Rounds(part), &part["cpu"]);
    let cases = ["nexus-api", "batch", "f64, one after the other", "f64, side by side"];
    let mut rates = Vec::new();
    for case in cases {
        let seconds = rounds.seconds(case)?;
        let label = match case {
            "nexus-api" => client.to_owned(),
            "batch" => "the same batch, read and thrown away".to_owned(),
            other => other.to_owned(),
        };
        let cpu: Vec<f64> = cpu[case].as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
        let of_server = (!cpu.is_empty()).then(|| megabytes / median(cpu));
        let rate = megabytes / median(seconds.clone());
        lines.row(&[
            label,
            ms(median(seconds.clone())),
            extremes(&seconds),
            format!("{rate:.0}"),
            of_server.map_or_else(String::new, |rate| format!("{rate:.0}")),
        ]);
        rates.push((rate, of_server));
    }
    let mut target = |name: &str, rate: f64| {
        targets.push(Target {
            name: name.to_owned(),
            wanted: format!("{TARGET_RAW_MB:.0} MB/s"),
            measured: format!("{rate:.0} MB/s"),
            is_met: rate >= TARGET_RAW_MB,
        });
    };
    if let Some(of_server) = rates[0].1 {
        target("samples through nexus-api, of the server", of_server);
    }
    target("samples as f64, one after the other", rates[2].0);
    Ok(())
}

fn cold(part: &Value, lines: &mut Lines, targets: &mut Vec<Target>) -> Result<(), String> {
    let rounds = Rounds(part);
    lines.head(
        "The same means for the first time",
        format!(
            "`10_min_mean` of {:.1} M samples without anything kept, which is kept along the way; bits compared. The command line is \
             timed from starting the process to its end.",
            rounds.samples()? / 1e6
        ),
        "case | median ms | fastest … slowest ms | M samples/s",
    );
    for case in ["command line", "HTTP"] {
        let seconds = rounds.seconds(case)?;
        lines.row(&[
            case.to_owned(),
            ms(median(seconds.clone())),
            extremes(&seconds),
            format!("{:.0}", rounds.rate(case)? * 1e3),
        ]);
    }
    let ratio = 1.0 / rounds.speed("HTTP", "command line")?;
    targets.push(Target {
        name: "cold means, against the command line".to_owned(),
        wanted: "at most 10 % more".to_owned(),
        measured: format!("{:+.0} %", (ratio - 1.0) * 100.0),
        is_met: ratio <= TARGET_COLD,
    });
    Ok(())
}

fn slow(part: &Value, lines: &mut Lines, targets: &mut Vec<Target>) -> Result<(), String> {
    let readers = number(part, "readers")?;
    lines.head(
        "Clients that hardly read",
        format!(
            "{readers} of them have asked for {:.0} MB each, and read no more than its begin; others are served beside them.",
            number(part, "bytes")? / MB
        ),
        "case | without them | with them | after them",
    );
    let memory = |key: &str| number(part, key).map(|bytes| format!("{:.0} MB", bytes / MB));
    lines.row(&[
        "memory of the server".to_owned(),
        memory("before_bytes")?,
        memory("during_bytes")?,
        memory("after_bytes")?,
    ]);
    for (key, label) in [("median", "median of warm means"), ("high", "99th percentile of warm means")] {
        let of = |case: &str| number(&part[case], key).map(|seconds| format!("{} ms", ms(seconds)));
        lines.row(&[label.to_owned(), of("alone")?, of("beside")?, String::new()]);
    }
    let of = |case: &str| number(part, case).map(|seconds| format!("{} ms", ms(seconds)));
    lines.row(&["one that reads all of it".to_owned(), of("read_alone")?, of("read_beside")?, String::new()]);
    let grown = number(part, "during_bytes")? - number(part, "before_bytes")?;
    let budget = number(part, "budget_bytes")?;
    targets.push(Target {
        name: format!("{readers} slow readers, memory beyond that without them"),
        wanted: format!("{:.0} MB, as is set", budget / MB),
        measured: format!("{:.0} MB", grown / MB),
        is_met: grown <= budget,
    });
    let beside = number(&part["beside"], "median")?;
    targets.push(Target {
        name: "warm means beside them".to_owned(),
        wanted: "median below 2 ms".to_owned(),
        measured: format!("{} ms", ms(beside)),
        is_met: beside < TARGET_WARM_SECONDS,
    });
    Ok(())
}
