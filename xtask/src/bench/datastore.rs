//! Ten thousand meters: from CSV files into the store, and in a server, with the program itself.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::lines::Lines;
use super::{Target, machine, targets_table};
use crate::run::{Workspace, output, run};

mod served;

/// All cases; the hourly one takes 12 GB of disk.
pub(crate) const CASES: [&str; 4] = ["daily", "by-time", "runs", "hourly"];

const METERS: usize = 10_000;
const DAYS: usize = 730;
const HOURLY_FILES: usize = 8;

const TARGET_DAILY_S: f64 = 30.0;
const TARGET_HOURLY_S: f64 = 180.0;
const TARGET_GIB: f64 = 2.0;

/// Meters whose sums are computed again from what was generated.
const CHECKED: usize = 50;

/// All cases that need no more than 2 GB of disk, or those that are named.
pub(crate) fn datastore(cases: &[&str]) -> Result<(), String> {
    let cases = if cases.is_empty() { &CASES[..3] } else { cases };
    let workspace = Workspace::find()?;
    run(&mut workspace.cargo(&["build", "--release", "--package", "sheaf-server"]))?;
    let program = workspace.target.join("release").join(format!("sheaf{}", std::env::consts::EXE_SUFFIX));
    let folder = workspace.target.join("bench-data").join("datastore");
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut lines = Lines(vec![String::new(), "## Meters from files".to_owned(), String::new()]);
    lines.add(format!("Machine: {}. One run of each; sums of {CHECKED} meters checked.", machine()));
    let (mut targets, mut again) = (Vec::new(), Vec::new());
    lines.head(
        "load",
        format!("{METERS} meters of two years, long CSV, into a new data folder with SQLite."),
        "case | records | s | records/s | memory GiB",
    );
    for case in cases.iter().filter(|case| **case != "runs") {
        let shape = Shape::of(case);
        let done = load(&program, &folder, &shape)?;
        let gib = done.peak_bytes.map(|bytes| bytes as f64 / f64::from(1 << 30));
        let records = (METERS * shape.steps) as f64;
        let memory = gib.map_or("unknown".to_owned(), |gib| format!("{gib:.2}"));
        let (seconds, rate) = (done.seconds, records / done.seconds);
        lines.row(&[
            (*case).to_owned(),
            format!("{records}"),
            format!("{seconds:.1}"),
            format!("{rate:.0}"),
            memory.clone(),
        ]);
        let wanted = if shape.step_hours == 1 { TARGET_HOURLY_S } else { TARGET_DAILY_S };
        targets.push(Target {
            name: format!("{case}: load"),
            wanted: format!("{wanted} s"),
            measured: format!("{seconds:.1} s"),
            is_met: seconds <= wanted,
        });
        targets.push(Target {
            name: format!("{case}: memory"),
            wanted: format!("{TARGET_GIB} GiB"),
            measured: format!("{memory} GiB"),
            is_met: gib.is_some_and(|gib| gib <= TARGET_GIB),
        });
        if shape.step_hours == 1 {
            served::runs_of_hours(&program, &folder.join("data"), &folder, &mut targets)?;
        }
        again.push(format!("`{case}` again, all of it there already: {:.1} s.", done.again_seconds));
    }
    lines.add("");
    again.into_iter().for_each(|line| lines.add(line));
    if cases.contains(&"runs") {
        let data = folder.join("data");
        load(&program, &folder, &Shape::of("daily"))?;
        served::served(&program, &data, &folder, &mut lines, &mut targets)?;
    }
    lines.add("");
    lines.0.extend(targets_table(&targets));
    println!("{}", lines.0.join("\n"));
    Ok(())
}

/// What files hold.
struct Shape {
    step_hours: usize,
    steps: usize,
    files: usize,
    /// Rows in order of time, of all meters after each other.
    by_time: bool,
}

impl Shape {
    fn of(case: &str) -> Shape {
        match case {
            "hourly" => Shape { step_hours: 1, steps: DAYS * 24, files: HOURLY_FILES, by_time: false },
            "by-time" => Shape { step_hours: 24, steps: DAYS, files: 1, by_time: true },
            _ => Shape { step_hours: 24, steps: DAYS, files: 1, by_time: false },
        }
    }

    fn paths(&self, folder: &Path) -> Vec<PathBuf> {
        let order = if self.by_time { "time" } else { "meter" };
        let name = |file| format!("{}h-by-{order}-{file}.csv", self.step_hours);
        (0..self.files).map(|file| folder.join(name(file))).collect()
    }

    /// Writes the files, unless they are there.
    fn generate(&self, folder: &Path) -> Result<Vec<PathBuf>, String> {
        let paths = self.paths(folder);
        let times: Vec<String> = (0..self.steps).map(|step| time(step * self.step_hours)).collect();
        let meters = METERS / self.files;
        for (number, path) in paths.iter().enumerate().filter(|(_, path)| !path.exists()) {
            let failed = |error: std::io::Error| format!("{}: {error}", path.display());
            let unfinished = path.with_extension("unfinished");
            let mut file = BufWriter::with_capacity(1 << 20, File::create(&unfinished).map_err(failed)?);
            writeln!(file, "trace_id,start,interpretation,value,estimated,unit").map_err(failed)?;
            let mut row = |meter: usize, step: usize| {
                let hundredths = value(meter, step);
                writeln!(
                    file,
                    "M{meter:05},{},E_C_S,{}.{:02},false,KWH",
                    times[step],
                    hundredths / 100,
                    hundredths % 100
                )
                .map_err(failed)
            };
            let own = number * meters..(number + 1) * meters;
            if self.by_time {
                (0..self.steps).try_for_each(|step| own.clone().try_for_each(|meter| row(meter, step)))?;
            } else {
                own.clone().try_for_each(|meter| (0..self.steps).try_for_each(|step| row(meter, step)))?;
            }
            file.into_inner().map_err(|error| failed(error.into_error()))?;
            fs::rename(&unfinished, path).map_err(failed)?;
        }
        Ok(paths)
    }
}

/// What a meter counts in a step, in hundredths of a kWh.
fn value(meter: usize, step: usize) -> usize {
    500 + meter % 700 + (step * 7919 + meter * 104_729 + step * step * (meter + 1) % 9973) % 1000
}

/// An hour since 2016 begins, which is a leap year, in ISO 8601.
fn time(hour: usize) -> String {
    let (mut day, hour) = (hour / 24, hour % 24);
    let mut year = 2016;
    loop {
        let leap = year % 4 == 0;
        let months = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        for (month, days) in months.into_iter().enumerate() {
            if day < days {
                return format!("{year}-{:02}-{:02}T{hour:02}:00:00Z", month + 1, day + 1);
            }
            day -= days;
        }
        year += 1;
    }
}

struct Done {
    seconds: f64,
    again_seconds: f64,
    peak_bytes: Option<u64>,
}

fn load(program: &Path, folder: &Path, shape: &Shape) -> Result<Done, String> {
    let files = shape.generate(folder)?;
    let data = folder.join("data");
    if data.exists() {
        fs::remove_dir_all(&data).map_err(|error| format!("{}: {error}", data.display()))?;
    }
    let command = || {
        let mut command = Command::new(program);
        command.args(["load", "traces", "--json", "--data-dir"]).arg(&data).args(&files);
        command
    };
    let (seconds, peak_bytes, text) = measured(&mut command())?;
    let records = |key: &str, text: &str| -> u64 {
        let objects = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        objects.filter_map(|object| object[key].as_u64()).sum()
    };
    let all = (METERS * shape.steps) as u64;
    if records("created", &text) != all {
        return Err(format!("{} records are new, not {all}", records("created", &text)));
    }
    let (again_seconds, _, text) = measured(&mut command())?;
    if records("unchanged", &text) != all {
        return Err(format!("{} records were there, not {all}", records("unchanged", &text)));
    }
    check(program, &data, shape)?;
    Ok(Done { seconds, again_seconds, peak_bytes })
}

/// Compares sums of some meters with what was generated.
fn check(program: &Path, data: &Path, shape: &Shape) -> Result<(), String> {
    let step = if shape.step_hours == 24 { "1_d" } else { "1_h" };
    let end = time(shape.steps * shape.step_hours);
    for meter in (0..METERS).step_by(METERS / CHECKED) {
        let mut read = Command::new(program);
        read.args(["read", &format!("/traces/M{meter:05}/{step}"), "--begin", "2016-01-01T00:00:00Z"]);
        let text = output(read.args(["--end", &end, "--format", "csv", "--data-dir"]).arg(data))?;
        let values: Vec<f64> = text
            .lines()
            .filter_map(|line| line.rsplit_once([',', ';']).and_then(|(_, value)| value.trim().parse().ok()))
            .collect();
        let found = (values.iter().sum::<f64>() * 100.0).round();
        let expected: usize = (0..shape.steps).map(|step| value(meter, step)).sum();
        if values.len() != shape.steps || found != expected as f64 {
            let (count, steps) = (values.len(), shape.steps);
            return Err(format!(
                "M{meter:05}: {count} values with the sum {found}, not {steps} with {expected}"
            ));
        }
    }
    Ok(())
}

/// Runs a command: seconds, the most memory that it had, and what it printed.
fn measured(command: &mut Command) -> Result<(f64, Option<u64>, String), String> {
    let started = Instant::now();
    let failed = |error: std::io::Error| format!("the program could not be run: {error}");
    let child: Child = command.stdout(Stdio::piped()).spawn().map_err(failed)?;
    let status = PathBuf::from(format!("/proc/{}/status", child.id()));
    let peak = thread::spawn(move || {
        let mut peak = None;
        // It only grows, so the last one counts.
        while let Some(bytes) = peak_of(&status) {
            peak = Some(bytes);
            thread::sleep(Duration::from_millis(20));
        }
        peak
    });
    let output = child.wait_with_output().map_err(failed)?;
    let seconds = started.elapsed().as_secs_f64();
    if !output.status.success() {
        return Err(format!("the program failed: {}", output.status));
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok((seconds, peak.join().unwrap_or(None), text))
}

fn peak_of(status: &Path) -> Option<u64> {
    let text = fs::read_to_string(status).ok()?;
    let line = text.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_have_dates() {
        assert_eq!(time(0), "2016-01-01T00:00:00Z");
        assert_eq!(time(59 * 24 + 5), "2016-02-29T05:00:00Z");
        assert_eq!(time(731 * 24), "2018-01-01T00:00:00Z");
        assert_eq!(time(DAYS * 24), "2017-12-31T00:00:00Z");
    }
}
