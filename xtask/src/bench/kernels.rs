//! The kernels against NumPy.

use std::path::Path;

use serde_json::Value;

use super::{Rounds, Setup, Target, machine, median, read_json, targets_table};
use crate::run::run;

/// A target is a rate, so that it does not depend on the machine's mood it has a ratio beside it.
const TARGET_GIGA_PER_S: f64 = 1.5;
const TARGET_OF_PLAIN_SUM: f64 = 0.9;
const TARGET_MOMENTS_OF_MEAN: f64 = 0.5;
const TARGET_I16_OF_F64: f64 = 2.0;
const TARGET_OF_NUMPY: f64 = 5.0;

/// The kernels against NumPy.
pub(crate) fn kernels() -> Result<(), String> {
    let setup = Setup::new()?;
    let criterion = setup.workspace.target.join("criterion");
    run(setup.cargo_bench("kernels").args(["--", "--quiet", "--noplot"]).env("CRITERION_HOME", &criterion))?;
    println!("{}", table(&setup.report("kernels")?, &criterion.join("kernels"))?);
    Ok(())
}

/// The report in Markdown. `criterion` is the folder of the benchmark group.
fn table(report: &Value, criterion: &Path) -> Result<String, String> {
    let rounds = Rounds(report);
    let mut lines = vec![
        String::new(),
        "## Kernels".to_owned(),
        String::new(),
        machine_line(report),
        String::new(),
        format!(
            "{:.1} M samples in buckets of {}, one core; answers equal to those of {} to 1e-12. Medians of {} rounds.",
            rounds.samples()? / 1e6,
            report["per_bucket"],
            report["peer"].as_str().unwrap_or("the peer"),
            rounds.seconds("mean_f64")?.len(),
        ),
        String::new(),
        "| case | median ms | fastest … slowest ms | G values/s |".to_owned(),
        "|---|---:|---:|---:|".to_owned(),
    ];
    for (case, label) in [
        ("sum_in_order", "plain sum, one addition after the other"),
        ("sum_in_lanes", "plain sum, 16 lanes"),
        ("mean_f64", "f64 → mean"),
        ("moments_f64", "f64 → mean, std, min, max"),
        ("mean_i16", "i16 → mean"),
        ("numpy_mean_f64", "NumPy: f64 → mean (nanmean)"),
        ("numpy_moments_f64", "NumPy: f64 → mean, std, min, max"),
        ("numpy_mean_i16", "NumPy: i16 → mean"),
    ] {
        let seconds = rounds.seconds(case)?;
        let fastest = seconds.iter().copied().fold(f64::INFINITY, f64::min);
        let slowest = seconds.iter().copied().fold(0.0, f64::max);
        lines.push(format!(
            "| {label} | {:.1} | {:.1} … {:.1} | {:.3} |",
            median(seconds) * 1e3,
            fastest * 1e3,
            slowest * 1e3,
            rounds.rate(case)?
        ));
    }

    lines.push(String::new());
    lines.extend(targets_table(&targets(&rounds)?));

    lines.extend([
        String::new(),
        "Without a target, one after the other on one day of samples:".to_owned(),
        String::new(),
        "| case | median ms | G values/s |".to_owned(),
        "|---|---:|---:|".to_owned(),
    ]);
    for single in report["singles"].as_array().into_iter().flatten() {
        let (Some(name), Some(samples)) = (single["name"].as_str(), single["samples"].as_f64()) else {
            return Err(format!("the benchmark's report has a case without name or samples: {single}"));
        };
        let path = criterion.join(name).join("new").join("estimates.json");
        let nanos = read_json(&path)?["median"]["point_estimate"]
            .as_f64()
            .ok_or_else(|| format!("{}: it has no median", path.display()))?;
        lines.push(format!("| {name} | {:.2} | {:.3} |", nanos / 1e6, samples / nanos));
    }
    Ok(lines.join("\n"))
}

/// All targets. What is lower of a rate and a share of the plain sum is reached where either is.
fn targets(rounds: &Rounds) -> Result<Vec<Target>, String> {
    let mut targets = Vec::new();
    for (name, case, share) in [
        ("f64 → mean", "mean_f64", 1.0),
        ("f64 → mean, std, min, max", "moments_f64", TARGET_MOMENTS_OF_MEAN),
    ] {
        let rate = rounds.rate(case)?;
        let (wanted_rate, wanted_speed) = (share * TARGET_GIGA_PER_S, share * TARGET_OF_PLAIN_SUM);
        for (sum, sum_name) in
            [("sum_in_order", "plain sum in order"), ("sum_in_lanes", "plain sum in 16 lanes")]
        {
            let speed = rounds.speed(case, sum)?;
            targets.push(Target {
                name: format!("{name}, against the {sum_name}"),
                wanted: format!("{wanted_rate:.2} G values/s or {:.0} % of the sum", wanted_speed * 100.0),
                measured: format!("{rate:.2} G values/s, {:.0} % of the sum", speed * 100.0),
                is_met: rate >= wanted_rate || speed >= wanted_speed,
            });
        }
    }
    for (name, case, than, wanted) in [
        ("i16 → mean, against f64 → mean", "mean_i16", "mean_f64", TARGET_I16_OF_F64),
        ("f64 → mean, against NumPy's nanmean", "mean_f64", "numpy_mean_f64", TARGET_OF_NUMPY),
    ] {
        let speed = rounds.speed(case, than)?;
        targets.push(Target {
            name: name.to_owned(),
            wanted: format!("{wanted:.1} ×"),
            measured: format!("{speed:.2} ×"),
            is_met: speed >= wanted,
        });
    }
    Ok(targets)
}

/// One line about the machine.
fn machine_line(report: &Value) -> String {
    let levels: Vec<&str> =
        report["levels"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    format!("Machine: {}, SIMD levels {}.", machine(), levels.join(", "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_missed_target_says_so() {
        let seconds = json!({
            "sum_in_order": [1.0], "sum_in_lanes": [0.5], "mean_f64": [1.0], "moments_f64": [2.5],
            "mean_i16": [0.5], "numpy_mean_f64": [4.0],
        });
        let report = json!({ "samples": 1e9, "seconds": seconds });
        let met: Vec<bool> = targets(&Rounds(&report)).unwrap().iter().map(|target| target.is_met).collect();
        assert_eq!(met, [true, false, false, false, true, false]);
    }
}
