//! Ten thousand meters in a server: their runs, sums of them, and lists.

use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{METERS, Shape, peak_of, time};
use crate::bench::lines::Lines;
use crate::bench::{Target, median};
use crate::run::output;

/// The meters run so many times, so that there are a hundred thousand runs and derivatives.
const ROUNDS: usize = 10;

const TARGET_SUM_S: f64 = 3.0;
const TARGET_PAGE_S: f64 = 0.05;
const TARGET_RUNS_S: f64 = 60.0;
const TARGET_RUNS_OF_HOURS_S: f64 = 150.0;
const TARGET_SUM_OF_METERS_S: f64 = 2.0;

/// Pages that are asked for.
const PAGES: usize = 200;

/// A server on a data folder, which ends with this.
struct Server {
    process: Child,
    url: String,
    token: String,
    folder: PathBuf,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Server {
    fn start(program: &Path, data: &Path, folder: &Path) -> Result<Server, String> {
        let token = output(
            Command::new(program)
                .args(["token", "create", "--name", "bench", "--admin", "--data-dir"])
                .arg(data),
        )?;
        let token = token.lines().last().unwrap_or_default().trim().to_owned();
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let address = free.map_err(|error| format!("no port is free: {error}"))?.to_string();
        let mut command = Command::new(program);
        command.args(["serve", "--listen", &address, "--data-dir"]).arg(data);
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let process = process.map_err(|error| format!("the server can't be started: {error}"))?;
        let url = format!("http://{address}");
        let server = Server { process, url, token, folder: folder.to_owned() };
        for _ in 0..300 {
            if server.get("/api/v1/projects/?limit=1").is_ok() {
                return Ok(server);
            }
            thread::sleep(Duration::from_millis(100));
        }
        Err("the server does not answer".to_owned())
    }

    fn ask(&self, args: &[&str], path: &str) -> Result<Value, String> {
        let mut curl = Command::new("curl");
        curl.args(["--fail-with-body", "-s", "-H", &format!("Authorization: Bearer {}", self.token)]);
        let text = output(curl.args(args).arg(format!("{}{path}", self.url)))?;
        serde_json::from_str(&text).map_err(|error| format!("{path}: {error}"))
    }

    fn get(&self, path: &str) -> Result<Value, String> {
        self.ask(&[], path)
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value, String> {
        let file = self.folder.join("request.json");
        fs::write(&file, body.to_string()).map_err(|error| format!("{}: {error}", file.display()))?;
        let data = format!("@{}", file.display());
        self.ask(&["-H", "Content-Type: application/json", "--data-binary", &data], path)
    }

    /// Waits until all runs of all requests have ended, and returns the last batch.
    fn wait(&self) -> Result<Value, String> {
        loop {
            let batches = self.get("/api/v1/batches/")?;
            let batches = batches.as_array().ok_or("batches are no list")?;
            let is_open =
                |batch: &&Value| ["pending", "running"].iter().any(|state| batch[*state] != json!(0));
            if !batches.iter().any(|batch| is_open(&batch)) {
                return batches.last().cloned().ok_or_else(|| "there is no batch".to_owned());
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Meters all of them; seconds from the request to the last result.
    fn run_all(&self, force: bool) -> Result<f64, String> {
        let targets: Vec<Value> = (1..=METERS).map(|id| json!({ "project": id })).collect();
        let started = Instant::now();
        self.post("/api/v1/meter_runs/bulk/", &json!({ "targets": targets, "force": force }))?;
        let batch = self.wait()?;
        let seconds = started.elapsed().as_secs_f64();
        if batch["success"] == json!(METERS) {
            Ok(seconds)
        } else {
            Err(format!("not all runs succeed: {batch}"))
        }
    }

    /// Adds up what all meters say, or all runs of them; seconds from the request to the result, and that.
    fn sum(&self, all_runs: bool) -> Result<(f64, Value), String> {
        let all: Vec<usize> = (1..=METERS).collect();
        let wanted = json!({
            "projects": all, "all_runs": all_runs,
            "trace_interpretation": "E_C_S", "derivative_interpretation": "gross_predicted",
        });
        let started = Instant::now();
        let run = self.post("/api/v1/aggregation_runs/", &wanted)?;
        self.wait()?;
        let seconds = started.elapsed().as_secs_f64();
        let result = self.get(&format!("/api/v1/aggregation_results/{}/", run["id"]))?;
        if result["status"] == json!("SUCCESS") {
            Ok((seconds, result))
        } else {
            Err(format!("the aggregation fails: {result}"))
        }
    }

    /// The most memory that it had.
    fn peak_gib(&self) -> Option<f64> {
        let bytes = peak_of(Path::new(&format!("/proc/{}/status", self.process.id())))?;
        Some(bytes as f64 / f64::from(1 << 30))
    }

    /// Seconds of a request, without those of starting curl.
    fn seconds(&self, path: &str) -> Result<f64, String> {
        let mut curl = Command::new("curl");
        let token = format!("Authorization: Bearer {}", self.token);
        curl.args(["--fail", "-s", "-o", "/dev/null", "-w", "%{time_total}", "-H", &token]);
        let text = output(curl.arg(format!("{}{path}", self.url)))?;
        text.trim().parse().map_err(|error| format!("{path}: {error}"))
    }
}

/// Projects, mappings and weather beside the meters that are loaded in `data`.
fn prepare(program: &Path, data: &Path, folder: &Path) -> Result<(), String> {
    let mut projects = "project_id,zipcode,baseline_period_end,reporting_period_start\n".to_owned();
    let mut mappings = "project_id,trace_id\n".to_owned();
    for meter in 0..METERS {
        let _ = writeln!(projects, "P{meter:05},91104,2016-12-31T00:00:00Z,2017-01-01T00:00:00Z");
        let _ = writeln!(mappings, "P{meter:05},M{meter:05}");
    }
    let mut weather = "time,temperature_c\n".to_owned();
    for hour in 0..2 * 366 * 24 {
        let of_year = (hour % 8766) as f64 / 8766.0 * std::f64::consts::TAU;
        let _ =
            writeln!(weather, "{},{:.2}", time(hour), 15.0 - 12.0 * of_year.cos() + (hour % 24) as f64 / 6.0);
    }
    for (kind, text) in [("projects", projects), ("mappings", mappings), ("weather", weather)] {
        let file = folder.join(format!("{kind}.csv"));
        fs::write(&file, text).map_err(|error| format!("{}: {error}", file.display()))?;
        let mut load = Command::new(program);
        load.args(["load", kind]).arg(&file);
        if kind == "weather" {
            load.args(["--station", "722880"]);
        }
        output(load.arg("--data-dir").arg(data))?;
    }
    Ok(())
}

/// Measures runs, sums and lists of the meters that are loaded in `data`.
pub(super) fn served(
    program: &Path,
    data: &Path,
    folder: &Path,
    lines: &mut Lines,
    targets: &mut Vec<Target>,
) -> Result<(), String> {
    prepare(program, data, folder)?;
    let server = Server::start(program, data, folder)?;
    lines.head(
        "runs",
        format!(
            "{METERS} meters of {} days, with the server; both periods fitted.",
            Shape::of("daily").steps
        ),
        "what | s",
    );
    let mut rounds = Vec::new();
    for round in 0..ROUNDS {
        rounds.push(server.run_all(round > 0)?);
        if round == 0 {
            let (seconds, _) = server.sum(false)?;
            target(targets, "a sum of all meters", TARGET_SUM_OF_METERS_S, seconds, "s");
        }
    }
    let first = rounds[0];
    lines.row(&["all meters, from the request to the last result".to_owned(), format!("{first:.1}")]);
    lines.row(&[
        "again, without what is remembered".to_owned(),
        format!("{:.1}", median(rounds[1..].to_vec())),
    ]);
    target(targets, "run all meters", TARGET_RUNS_S, first, "s");

    let (seconds, result) = server.sum(true)?;
    check_sum(&server, &result)?;
    lines.row(&[format!("the sum of {} derivatives", METERS * ROUNDS), format!("{seconds:.2}")]);
    target(targets, "a sum of 100 000 derivatives, from the request to SUCCESS", TARGET_SUM_S, seconds, "s");

    for (name, path) in [
        ("a page of 100 of 100 000 runs", "/api/v1/meter_runs/?limit=100"),
        ("a page of those that succeeded", "/api/v1/meter_runs/?limit=100&status=SUCCESS"),
        (
            "a page of derivatives of a kind",
            "/api/v1/meter_derivatives/?limit=100&interpretation=gross_predicted",
        ),
    ] {
        let mut seconds = Vec::new();
        for page in 0..PAGES {
            let after = page * (METERS * ROUNDS - 200) / PAGES;
            seconds.push(server.seconds(&format!("{path}&after={after}"))?);
        }
        seconds.sort_by(f64::total_cmp);
        let high = seconds[PAGES * 95 / 100];
        target(targets, &format!("{name}, 95th percentile"), TARGET_PAGE_S * 1e3, high * 1e3, "ms");
    }
    if let Some(gib) = server.peak_gib() {
        lines.add("");
        lines.add(format!("Memory of the server, at most: {gib:.2} GiB."));
    }
    Ok(())
}

/// Measures runs of the hourly meters that are loaded in `data`.
pub(super) fn runs_of_hours(
    program: &Path,
    data: &Path,
    folder: &Path,
    targets: &mut Vec<Target>,
) -> Result<(), String> {
    prepare(program, data, folder)?;
    let server = Server::start(program, data, folder)?;
    target(targets, "hourly: run all meters", TARGET_RUNS_OF_HOURS_S, server.run_all(false)?, "s");
    let gib = server.peak_gib().unwrap_or(f64::INFINITY);
    target(targets, "hourly: memory of the server", super::TARGET_GIB, gib, "GiB");
    Ok(())
}

fn target(targets: &mut Vec<Target>, name: &str, wanted: f64, measured: f64, unit: &str) {
    targets.push(Target {
        name: name.to_owned(),
        wanted: format!("{wanted} {unit}"),
        measured: format!("{measured:.2} {unit}"),
        is_met: measured <= wanted,
    });
}

/// Compares a sum with that of the single values.
fn check_sum(server: &Server, result: &Value) -> Result<(), String> {
    let (mut sum, mut count, mut after) = (0.0, 0_usize, json!(0));
    loop {
        let path =
            format!("/api/v1/meter_derivatives/?interpretation=gross_predicted&limit=10000&after={after}");
        let page = server.get(&path)?;
        let Some(rows) = page.as_array().filter(|rows| !rows.is_empty()) else { break };
        for row in rows {
            sum += row["baseline_value"].as_f64().unwrap_or(f64::NAN);
        }
        count += rows.len();
        after = rows[rows.len() - 1]["id"].clone();
    }
    let found = result["baseline_value"].as_f64().unwrap_or(f64::NAN);
    let is_same = (found - sum).abs() <= 1e-9 * sum.abs();
    if count != METERS * ROUNDS || !is_same {
        return Err(format!("the sum of {count} derivatives is {sum}, and the server says {found}"));
    }
    Ok(())
}
