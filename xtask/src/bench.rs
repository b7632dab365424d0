//! `cargo xtask bench`: sets the peers up, runs the benchmarks and puts the results into tables.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::environment;
use crate::run::{Workspace, output};

mod datastore;
mod engine;
mod http;
mod kernels;
mod lines;
mod savings;
mod store;

pub(crate) use datastore::{CASES as DATASTORE_CASES, datastore};
pub(crate) use engine::{CASES as ENGINE_CASES, engine};
pub(crate) use http::{CASES as HTTP_CASES, http};
pub(crate) use kernels::kernels;
pub(crate) use savings::{CASES as SAVINGS_CASES, savings};
pub(crate) use store::{CASES as STORE_CASES, store};

/// Where a benchmark runs, and what it needs.
struct Setup {
    workspace: Workspace,
    /// The data and the reports.
    folder: PathBuf,
    /// A Python that has the peers.
    python: PathBuf,
}

impl Setup {
    /// With the peers that most benchmarks have in common.
    fn new() -> Result<Setup, String> {
        Setup::with("bench-venv", "requirements.txt")
    }

    /// With the peers of other requirements, in an environment of another name.
    fn with(venv: &str, requirements: &str) -> Result<Setup, String> {
        let workspace = Workspace::find()?;
        let folder = workspace.target.join("bench-data");
        fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let python = environment::python(&workspace, venv, &format!("bench/peers/{requirements}"))?;
        Ok(Setup { workspace, folder, python })
    }

    /// `cargo bench` of one benchmark; its report will be in a file of its name.
    fn cargo_bench(&self, name: &str) -> Command {
        let mut command = self.workspace.cargo(&["bench", "--package", "sheaf-bench", "--bench", name]);
        command.env("SHEAF_BENCH_FOLDER", &self.folder).env("SHEAF_BENCH_PYTHON", &self.python);
        command
    }

    fn report(&self, name: &str) -> Result<Value, String> {
        read_json(&self.folder.join(format!("{name}.json")))
    }
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

    /// How many samples a case works on.
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

/// What was promised, and what was measured.
struct Target {
    name: String,
    wanted: String,
    measured: String,
    is_met: bool,
}

/// The targets as a table.
fn targets_table(targets: &[Target]) -> Vec<String> {
    let mut lines = vec!["| target | wanted | measured | |".to_owned(), "|---|---|---|---|".to_owned()];
    for Target { name, wanted, measured, is_met } in targets {
        let verdict = if *is_met { "met" } else { "missed" };
        lines.push(format!("| {name} | {wanted} | {measured} | {verdict} |"));
    }
    lines
}

/// The CPU and its cores.
fn machine() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("model name"))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    });
    let cpu = cpu
        .or_else(|| output(Command::new("sysctl").args(["-n", "machdep.cpu.brand_string"])).ok())
        .map_or_else(|| "unknown CPU".to_owned(), |name| name.trim().to_owned());
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{cpu}, {cores} cores")
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
}
