//! `cargo xtask bench`: sets the peers up, runs the benchmarks and puts the results into a table.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::run::{Workspace, output, run, succeeds};

/// A target is a rate, so that it does not depend on the machine's mood it has a ratio beside it.
const TARGET_GIGA_PER_S: f64 = 1.5;
const TARGET_OF_PLAIN_SUM: f64 = 0.9;
const TARGET_MOMENTS_OF_MEAN: f64 = 0.5;
const TARGET_I16_OF_F64: f64 = 2.0;
const TARGET_OF_NUMPY: f64 = 5.0;

/// The kernels against NumPy.
pub(crate) fn kernels() -> Result<(), String> {
    let workspace = Workspace::find()?;
    let folder = workspace.target.join("bench-data");
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let criterion = workspace.target.join("criterion");
    let python = python(&workspace)?;
    run(workspace
        .cargo(&["bench", "--package", "sheaf-bench", "--bench", "kernels", "--", "--quiet", "--noplot"])
        .env("CRITERION_HOME", &criterion)
        .env("SHEAF_BENCH_FOLDER", &folder)
        .env("SHEAF_BENCH_PYTHON", &python))?;
    let report = read_json(&folder.join("kernels.json"))?;
    println!("{}", kernels_table(&report, &criterion.join("kernels"))?);
    Ok(())
}

/// A Python with the peers' requirements, in a virtual environment of its own; made anew when they change.
fn python(workspace: &Workspace) -> Result<PathBuf, String> {
    let venv = workspace.target.join("bench-venv");
    let python = venv.join("bin").join("python");
    let requirements = workspace.root.join("bench/peers/requirements.txt");
    let wanted =
        fs::read_to_string(&requirements).map_err(|error| format!("{}: {error}", requirements.display()))?;
    let stamp = venv.join("installed-requirements.txt");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted)
        && succeeds(Command::new(&python).arg("--version"))
    {
        return Ok(python);
    }
    println!("==> setting up the peers in {}", venv.display());
    if !succeeds(Command::new("python3").args(["-c", "import venv, ensurepip"])) {
        install_python()?;
    }
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
    run(Command::new(&python)
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"])
        .arg(&requirements))?;
    fs::write(&stamp, wanted).map_err(|error| format!("{}: {error}", stamp.display()))?;
    Ok(python)
}

/// Debian splits `venv` off its Python.
fn install_python() -> Result<(), String> {
    let is_root = output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    if !is_root || !succeeds(Command::new("apt-get").arg("--version")) {
        return Err("python3 with venv and pip is needed for the peers. On Debian or Ubuntu: \
                    apt-get install python3 python3-venv"
            .to_owned());
    }
    let mut install = Command::new("apt-get");
    install.args(["install", "--yes", "--no-install-recommends", "python3", "python3-venv"]);
    // A machine that never looked at its package lists has to do so first.
    run(&mut install).or_else(|_| {
        run(Command::new("apt-get").arg("update"))?;
        run(&mut install)
    })
}

fn read_json(path: &Path) -> Result<Value, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
}

/// The seconds of each case of a report.
struct Rounds<'a>(&'a Value);

impl Rounds<'_> {
    fn seconds(&self, case: &str) -> Result<Vec<f64>, String> {
        let seconds = self.0["seconds"][case].as_array().into_iter().flatten();
        let seconds: Vec<f64> = seconds.filter_map(Value::as_f64).collect();
        if seconds.is_empty() {
            Err(format!("the benchmark's report has no times of {case}"))
        } else {
            Ok(seconds)
        }
    }

    fn samples(&self) -> Result<f64, String> {
        self.0["samples"].as_f64().ok_or_else(|| "the benchmark's report has no number of samples".to_owned())
    }

    /// Giga samples a second, by the median time.
    fn rate(&self, case: &str) -> Result<f64, String> {
        Ok(self.samples()? / median(self.seconds(case)?) / 1e9)
    }

    /// How many times as fast one case is as another: the median of the ratios within each round.
    fn speed(&self, case: &str, than: &str) -> Result<f64, String> {
        let (own, other) = (self.seconds(case)?, self.seconds(than)?);
        Ok(median(other.iter().zip(&own).map(|(other, own)| other / own).collect()))
    }
}

/// The middle one, or the mean of the two middle ones. There is at least one.
fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    if numbers.len() % 2 == 1 { numbers[middle] } else { (numbers[middle - 1] + numbers[middle]) / 2.0 }
}

/// The report in Markdown. `criterion` is the folder of the benchmark group.
fn kernels_table(report: &Value, criterion: &Path) -> Result<String, String> {
    let rounds = Rounds(report);
    let mut lines = vec![
        String::new(),
        "## Kernels".to_owned(),
        String::new(),
        machine(report),
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

    lines.extend([
        String::new(),
        "| target | wanted | measured | |".to_owned(),
        "|---|---|---|---|".to_owned(),
    ]);
    for target in targets(&rounds)? {
        let verdict = if target.is_met { "met" } else { "missed" };
        lines.push(format!("| {} | {} | {} | {verdict} |", target.name, target.wanted, target.measured));
    }

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

struct Target {
    name: String,
    wanted: String,
    measured: String,
    is_met: bool,
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
fn machine(report: &Value) -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("model name"))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    });
    let cpu = cpu
        .or_else(|| output(Command::new("sysctl").args(["-n", "machdep.cpu.brand_string"])).ok())
        .map_or_else(|| "unknown CPU".to_owned(), |name| name.trim().to_owned());
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let levels: Vec<&str> =
        report["levels"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    format!("Machine: {cpu}, {cores} cores, SIMD levels {}.", levels.join(", "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ratios_are_taken_within_a_round() {
        // The machine is half as fast in the second round; the ratio does not notice.
        let report = json!({ "samples": 1e9, "seconds": { "a": [1.0, 2.0, 1.0], "b": [3.0, 6.0, 3.0] } });
        let rounds = Rounds(&report);
        assert_eq!(rounds.speed("a", "b"), Ok(3.0));
        assert_eq!(rounds.rate("a"), Ok(1.0));
        assert_eq!(rounds.rate("c"), Err("the benchmark's report has no times of c".to_owned()));
    }

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
