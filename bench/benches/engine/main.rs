//! How fast resource paths are read and tables written, by the program itself and inside a process.
//!
//! The same samples are in our store, in whatever DuckDB and Polars read fastest, and in a plain file for NumPy. All answers
//! are compared before a time is believed. A round measures ours and the peers' one after the other, because a shared machine
//! changes its speed within seconds.
//!
//! Only `cargo xtask bench engine` asks for it all. Anyone else gets a small version of it, without peers and inside this
//! process, as a test.

mod contest;
mod curve;
mod ingest;
mod own;
mod samples;
mod warm;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use serde_json::{Map, Value};
use sheaf_bench::asked::{Asked, is_test};
use sheaf_bench::data;
use sheaf_bench::peer::Peer;
use sheaf_bench::seconds::Seconds;
use sheaf_bench::store::Failure;
use sheaf_kernels::Level;

/// How large everything is.
struct Scale {
    /// Rounds that count.
    rounds: usize,
    /// Buckets of ten minutes, of the long channel.
    buckets: usize,
    /// Short channels, and the buckets of each.
    channels: usize,
    channel_buckets: usize,
    /// Meters, and the days of each.
    meters: usize,
    days: usize,
    /// Rows of the table that is written.
    rows: usize,
    /// Lengths of the channels that are read cold, warm and in every format.
    lengths: &'static [usize],
}

const FULL: Scale = Scale {
    rounds: 7,
    buckets: 1_440,
    channels: 100,
    channel_buckets: 144,
    meters: 10_000,
    days: 365,
    rows: 20_000_000,
    lengths: &[1_000_000, 10_000_000, 100_000_000, 1_000_000_000],
};

const SMALL: Scale = Scale {
    rounds: 1,
    buckets: 5,
    channels: 3,
    channel_buckets: 4,
    meters: 20,
    days: 5,
    rows: 1_000,
    lengths: &[60_000, 300_000],
};

/// What the cases need.
struct Bench {
    folder: PathBuf,
    scale: Scale,
    /// None in a test.
    others: Option<Others>,
}

/// What is measured in processes of their own.
struct Others {
    /// The program `sheaf`.
    program: PathBuf,
    python: PathBuf,
    /// One process each, so that none has the memory of another.
    peers: Vec<(&'static str, Peer)>,
}

/// The peers, as `peers/engine.py` calls them.
const PEERS: [&str; 3] = ["duckdb", "polars", "numpy"];

impl Bench {
    /// Runs something to its end, its output into a file of ours. Adds its time to a case, and its memory to the peaks.
    fn measured(
        &self,
        case: &str,
        program: &Path,
        args: &[&str],
        seconds: &mut Seconds,
        peaks: &mut Peaks,
    ) -> Result<(), Failure> {
        let (took, peak) = self.run(&self.output(), program, args)?;
        seconds.add(case, took);
        peaks.add(case, peak);
        Ok(())
    }

    /// Runs something to its end; how long that took, and the most memory that it had.
    fn run(&self, output: &Path, program: &Path, args: &[&str]) -> Result<(f64, Option<u64>), Failure> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_measured"));
        command.arg(output).arg(program).args(args).stderr(Stdio::piped());
        let found = command.output()?;
        if !found.status.success() {
            return Err(String::from_utf8_lossy(&found.stderr).into_owned().into());
        }
        let found: Value = serde_json::from_slice(&found.stdout)?;
        let seconds = found["seconds"].as_f64().ok_or("a time is missing")?;
        Ok((seconds, found["peak_bytes"].as_u64()))
    }

    /// Where the output of what is measured goes.
    fn output(&self) -> PathBuf {
        self.folder.join("output")
    }

    /// The last output, as `f64`.
    fn answer(&self) -> Result<Vec<f64>, Failure> {
        Ok(data::read_raw(&self.output())?)
    }
}

/// The most memory that each case had in any round.
#[derive(Default)]
struct Peaks(Map<String, Value>);

impl Peaks {
    fn add(&mut self, case: &str, bytes: Option<u64>) {
        let before = self.0.get(case).and_then(Value::as_u64);
        if let Some(most) = before.max(bytes) {
            self.0.insert(case.to_owned(), most.into());
        }
    }
}

/// That two answers are the same but for the rounding of sums.
///
/// # Errors
/// They are not.
fn compare(who: &str, found: &[f64], expected: &[f64]) -> Result<(), Failure> {
    const TOLERANCE: f64 = 1e-11;
    if found.len() != expected.len() {
        return Err(format!("{who}: {} values instead of {}", found.len(), expected.len()).into());
    }
    for (at, (&found, &expected)) in found.iter().zip(expected).enumerate() {
        if (found - expected).abs() > TOLERANCE * expected.abs() || found.is_nan() != expected.is_nan() {
            return Err(format!("{who}: value {at} is {found:?} instead of {expected:?}").into());
        }
    }
    Ok(())
}

/// Says what is going on: it takes a while.
fn say(what: &str) {
    eprintln!("    {what}");
}

fn main() -> ExitCode {
    let asked = Asked::from_env().filter(|_| !is_test());
    match run(asked.as_ref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(asked: Option<&Asked>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let Some(asked) = asked else {
        let folder = tempfile::tempdir()?;
        let mut bench = Bench { folder: folder.path().to_owned(), scale: SMALL, others: None };
        println!("a small version, as a test; `cargo xtask bench engine` measures");
        return runtime.block_on(cases(&mut bench, &ALL.map(str::to_owned))).map(drop);
    };
    // A dry run shows that everything works, not how fast it is.
    let is_dry = std::env::var_os("SHEAF_BENCH_DRY").is_some();
    let (name, scale) = if is_dry { ("engine-dry", SMALL) } else { ("engine", FULL) };
    let folder = asked.folder.join(name);
    fs::create_dir_all(&folder)?;
    let built = std::env::var_os("SHEAF_BENCH_PROGRAM").ok_or("SHEAF_BENCH_PROGRAM names no program")?;
    // As it is installed, and as the peers are: copied. A linker writes here and there, and what it has written lies in
    // small pages, from which a process starts a millisecond later.
    let program = folder.join("sheaf");
    fs::copy(&built, &program)?;
    let mut peers = Vec::new();
    for peer in PEERS {
        // Cargo starts benchmarks in the folder of their package.
        let mut command = Command::new(&asked.python);
        peers.push((peer, Peer::start(command.arg("peers/engine.py").arg(&folder).arg(peer))?));
    }
    let names: Vec<&str> = peers.iter().map(|(_, peer)| peer.name()).collect();
    let names = names.join(", ");
    let others = Others { program, python: asked.python.clone(), peers };
    let mut bench = Bench { folder, scale, others: Some(others) };
    let default = DEFAULT.map(str::to_owned);
    let wanted = if asked.cases.is_empty() { &default[..] } else { &asked.cases };
    let mut report = runtime.block_on(cases(&mut bench, wanted))?;
    report.insert("peer".to_owned(), names.into());
    report.insert("levels".to_owned(), Level::available().into_iter().map(Level::name).collect());
    fs::write(asked.folder.join("engine.json"), Value::Object(report).to_string())?;
    Ok(())
}

/// The cases that nobody has to ask for.
const DEFAULT: [&str; 7] = ["cold", "kinds", "i16", "channels", "hourly", "warm", "ingest"];

/// All cases.
const ALL: [&str; 8] = ["cold", "kinds", "i16", "channels", "hourly", "warm", "ingest", "curve"];

/// The cases that are named. Each leaves its part of the report.
async fn cases(bench: &mut Bench, names: &[String]) -> Result<Map<String, Value>, Failure> {
    let mut report = Map::new();
    for case in ALL {
        if !names.iter().any(|name| name == case) {
            continue;
        }
        say(&format!("{case} …"));
        let part = match case {
            "warm" => warm::run(bench).await?,
            "ingest" => ingest::run(bench).await?,
            "curve" => curve::run(bench).await?,
            _ => contest::run(bench, case).await?,
        };
        report.insert(case.to_owned(), part);
    }
    if report.is_empty() {
        return Err(format!("no case is called {}", names.join(" or ")).into());
    }
    Ok(report)
}
