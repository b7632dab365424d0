//! The program: as a server, and as a command beside it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use sheaf_bench::data;
use sheaf_bench::store::Failure;

use crate::Bench;

/// A running server; it ends when this is dropped.
pub(crate) struct Server {
    process: Child,
    /// Like `127.0.0.1:40123`.
    pub(crate) address: String,
}

impl Server {
    /// Serves the store in a folder to anybody, on a free port.
    pub(crate) fn start(bench: &Bench, folder: &Path) -> Result<Server, Failure> {
        let mut command = Command::new(&bench.program);
        command.args(["serve", "--listen", "127.0.0.1:0", "--auth-anonymous-read", "/bench/.*"]);
        command.args(["--log-level", "warn,sheaf=info", "--data-dir"]).arg(folder);
        let mut process =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let output = process.stdout.take().ok_or("the server has no output")?;
        let mut lines = BufReader::new(output).lines();
        let found = lines.by_ref().map_while(Result::ok).find_map(|line| address_in(&line));
        // The rest is read, so that the server never waits for us.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        let server = Server { process, address: found.clone().unwrap_or_default() };
        found.map(|_| server).ok_or_else(|| "the server did not say where it listens".into())
    }

    /// Seconds of CPU that it has used; `None` where nobody counts them.
    pub(crate) fn cpu_seconds(&self) -> Option<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id())).ok()?;
        // Behind the name, which is in parentheses and may hold anything.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
        // Linux counts hundredths of a second, whatever its clock does.
        Some((ticks(11)? + ticks(12)?) / 100.0)
    }

    /// The memory that it has now, in bytes.
    pub(crate) fn memory_bytes(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        Some(line.split_whitespace().next()?.parse::<u64>().ok()? << 10)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // There is nothing in it that is needed any more.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn address_in(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("http://127.0.0.1:")?;
    let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Some(format!("127.0.0.1:{port}"))
}

/// Runs the program to its end; how long that took.
pub(crate) fn sheaf(bench: &Bench, args: &[&str], folder: &Path) -> Result<f64, Failure> {
    let begin = Instant::now();
    let mut command = Command::new(&bench.program);
    let output = command.args(args).arg("--data-dir").arg(folder).stdout(Stdio::null()).output()?;
    let seconds = begin.elapsed().as_secs_f64();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    Ok(seconds)
}

/// The values of a path as the command line reads them, and how long it took.
pub(crate) fn read(
    bench: &Bench,
    path: &str,
    args: &[&str],
    folder: &Path,
) -> Result<(Vec<f64>, f64), Failure> {
    let file = bench.folder.join("values.f64");
    let output = file.display().to_string();
    let args = [&["read", path, "--format", "f64", "-o", &output], args].concat();
    let seconds = sheaf(bench, &args, folder)?;
    Ok((data::read_raw(&file)?, seconds))
}
