//! Runs a program to its end, and says how long that took and how much memory it had at most. It does nothing else, because
//! what the system tells of a program includes the memory of whoever started it.
//!
//! ```text
//!   measured OUTPUT PROGRAM ARGUMENT…      what the program prints goes to the file OUTPUT
//! ```

use std::fs::File;
use std::process::{Command, ExitCode};
use std::time::Instant;

use serde_json::{Value, json};
use sheaf_bench::store::Failure;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match run(&args) {
        Ok(found) => {
            println!("{found}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[String]) -> Result<Value, Failure> {
    let [output, program, args @ ..] = args else { return Err("measured OUTPUT PROGRAM ARGUMENT…".into()) };
    let mut command = Command::new(program);
    command.args(args).stdout(File::options().write(true).create(true).truncate(true).open(output)?);
    let begin = Instant::now();
    let status = command.status().map_err(|error| format!("{program}: {error}"))?;
    let seconds = begin.elapsed().as_secs_f64();
    if !status.success() {
        return Err(format!("{program} failed: {status}").into());
    }
    Ok(json!({ "seconds": seconds, "peak_bytes": peak_bytes() }))
}

/// The most memory that a child had which has ended; `None` where there is no such number.
#[cfg(unix)]
fn peak_bytes() -> Option<i64> {
    // SAFETY: all zeros are a valid `rusage`, which is numbers only.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: `usage` is a valid place for a `rusage`, and lives longer than the call.
    let done = unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage) };
    // Linux counts in KiB, macOS in bytes.
    let unit = if cfg!(target_os = "macos") { 1 } else { 1024 };
    (done == 0).then(|| usage.ru_maxrss * unit)
}

#[cfg(not(unix))]
fn peak_bytes() -> Option<i64> {
    None
}
