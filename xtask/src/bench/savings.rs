//! Savings against eemeter and opendsm.

use serde_json::Value;

use super::lines::{Lines, extremes, ms, number, text};
use super::{Rounds, Setup, Target, machine, median, targets_table};
use crate::environment;
use crate::run::run;

/// All cases.
pub(crate) const CASES: [&str; 3] = ["fit", "portfolio", "sum"];

const TARGET_EEMETER: f64 = 1_000.0;
const TARGET_OPENDSM: f64 = 200.0;
const TARGET_PORTFOLIO_S: f64 = 30.0;
const TARGET_PORTFOLIO_GIB: f64 = 1.0;
const TARGET_SUM_S: f64 = 0.5;

const GIB: f64 = (1 << 30) as f64;

/// The peers, as in `bench/benches/savings.rs`: each needs other versions of the same packages.
const PEERS: [(&str, &str, f64); 2] =
    [("eemeter", "compat", TARGET_EEMETER), ("opendsm", "strict", TARGET_OPENDSM)];

/// All cases of the savings, or some.
pub(crate) fn savings(cases: &[&str]) -> Result<(), String> {
    let setup = Setup::with("bench-venv-eemeter", "eemeter-requirements.txt")?;
    let opendsm =
        environment::python(&setup.workspace, "bench-venv-opendsm", "bench/peers/opendsm-requirements.txt")?;
    let mut bench = setup.cargo_bench("savings");
    bench.env("SHEAF_BENCH_PYTHON_EEMETER", &setup.python).env("SHEAF_BENCH_PYTHON_OPENDSM", opendsm);
    // One core each: as many threads as they like make linear algebra of this size slower.
    bench.env("OMP_NUM_THREADS", "1").env("OPENBLAS_NUM_THREADS", "1");
    run(bench.env("SHEAF_BENCH_CASES", cases.join(" ")))?;
    println!("{}", table(&setup.report("savings")?)?);
    Ok(())
}

/// The report in Markdown.
fn table(report: &Value) -> Result<String, String> {
    let mut lines = Lines(vec![String::new(), "## Savings".to_owned(), String::new()]);
    lines.add(format!("Machine: {}. Medians of the rounds; ratios are taken within a round.", machine()));
    let mut targets = Vec::new();
    for (case, part) in CASES.map(|case| (case, &report[case])) {
        if part.is_null() {
            continue;
        }
        match case {
            "fit" => fit(part, &mut lines, &mut targets)?,
            "portfolio" => portfolio(part, &mut lines, &mut targets)?,
            _ => sum(part, &mut lines, &mut targets)?,
        }
    }
    lines.add("");
    lines.0.extend(targets_table(&targets));
    Ok(lines.0.join("\n"))
}

fn fit(part: &Value, lines: &mut Lines, targets: &mut Vec<Target>) -> Result<(), String> {
    let rounds = Rounds(part);
    let fits = number(part, "fits")?;
    let about = format!(
        "A year of days of electricity, all candidates, one core, to `{}`. Peers: {}. Parameters and adjusted R² in compat mode \
         equal eemeter's to 1e-9.",
        text(part, "model")?,
        text(part, "peer")?
    );
    lines.head("fit", about, "fit | median ms | fastest … slowest ms");
    for (case, label, times) in [
        ("compat", "sheaf, compat", fits),
        ("strict", "sheaf, strict", fits),
        ("eemeter", "eemeter", 1.0),
        ("opendsm", "opendsm, warm", 1.0),
    ] {
        let seconds: Vec<f64> = rounds.seconds(case)?.into_iter().map(|seconds| seconds / times).collect();
        lines.row(&[label.to_owned(), ms(median(seconds.clone())), extremes(&seconds)]);
    }
    for (peer, mode, wanted) in PEERS {
        let ratio = rounds.speed(mode, peer)? * fits;
        targets.push(Target {
            name: format!("a daily fit against {peer}"),
            wanted: format!("{wanted:.0} ×"),
            measured: format!("{ratio:.0} ×"),
            is_met: ratio >= wanted,
        });
    }
    Ok(())
}

fn portfolio(part: &Value, lines: &mut Lines, targets: &mut Vec<Target>) -> Result<(), String> {
    let seconds = Rounds(part).seconds("portfolio")?;
    let gib = part["peak_bytes"].as_f64().map(|bytes| bytes / GIB);
    let about = format!(
        "{} meters of {} days in memory, both periods fitted, derivatives, portfolio sum; {} threads.",
        number(part, "meters")?,
        number(part, "days")?,
        number(part, "threads")?
    );
    lines.head("portfolio", about, "portfolio | median s | memory GiB");
    let memory = gib.map_or("unknown".to_owned(), |gib| format!("{gib:.2}"));
    let median = median(seconds);
    lines.row(&["sheaf, strict".to_owned(), format!("{median:.2}"), memory.clone()]);
    targets.push(Target {
        name: "10 000 meters of two years".to_owned(),
        wanted: format!("{TARGET_PORTFOLIO_S} s"),
        measured: format!("{median:.2} s"),
        is_met: median <= TARGET_PORTFOLIO_S,
    });
    targets.push(Target {
        name: "their memory".to_owned(),
        wanted: format!("{TARGET_PORTFOLIO_GIB} GiB"),
        measured: format!("{memory} GiB"),
        is_met: gib.is_some_and(|gib| gib <= TARGET_PORTFOLIO_GIB),
    });
    Ok(())
}

fn sum(part: &Value, lines: &mut Lines, targets: &mut Vec<Target>) -> Result<(), String> {
    let seconds = Rounds(part).seconds("sum")?;
    let about = format!("{} derivatives, a tenth of them rejected.", number(part, "derivatives")?);
    lines.head("sum", about, "sum | median ms | fastest … slowest ms");
    let median = median(seconds.clone());
    lines.row(&["sheaf".to_owned(), ms(median), extremes(&seconds)]);
    targets.push(Target {
        name: "a million derivatives with statuses".to_owned(),
        wanted: format!("{TARGET_SUM_S} s"),
        measured: format!("{median:.2} s"),
        is_met: median <= TARGET_SUM_S,
    });
    Ok(())
}
