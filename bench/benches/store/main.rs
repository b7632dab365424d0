//! How fast the store writes and reads, and how large it is.
//!
//! Everything runs on the real thing: a folder on a disk, SQLite that waits for it, the settings as they are by default.
//! What was written is compared, bit for bit, before a time is believed. Where there is a peer, a round measures it and us
//! one after the other, because a shared machine changes its speed within seconds; ratios are taken within rounds.
//!
//! Only `cargo xtask bench store` asks for it all. Anyone else gets a small version of it, without peers, as a test.

mod commits;
mod many;
mod read;
mod size;
mod write;
mod year;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use serde_json::{Map, Value};
use sheaf_bench::asked::{Asked, is_test};
use sheaf_bench::data::SAMPLES_PER_DAY;
use sheaf_bench::peer::Peer;
use sheaf_bench::store::Failure;

/// How large everything is.
struct Scale {
    /// Rounds that count, where a round takes seconds.
    rounds: usize,
    /// Samples of the channel.
    samples: usize,
    /// Values of each shape.
    shape_values: usize,
    /// Samples of a day of the year, and its days.
    day_samples: usize,
    days: i64,
    /// Samples of an hour of it.
    hour_samples: i64,
    /// Series of the large manifest, and pieces of each.
    many_series: i64,
    many_pieces: i64,
    /// Fresh processes.
    processes: usize,
    /// How long small writes go on.
    commit_seconds: f64,
    /// Commits of an hour with one a second, and series in each.
    hour_commits: usize,
    hour_series: usize,
}

const FULL: Scale = Scale {
    rounds: 5,
    samples: 10 * SAMPLES_PER_DAY,
    shape_values: 4_000_000,
    day_samples: SAMPLES_PER_DAY,
    days: 365,
    hour_samples: 360_000,
    many_series: 100_000,
    many_pieces: 100,
    processes: 25,
    commit_seconds: 10.0,
    hour_commits: 3_600,
    hour_series: 100,
};

const SMALL: Scale = Scale {
    rounds: 1,
    samples: 150_000,
    shape_values: 20_000,
    day_samples: 24_000,
    days: 3,
    hour_samples: 1_000,
    many_series: 50,
    many_pieces: 10,
    processes: 2,
    commit_seconds: 0.2,
    hour_commits: 20,
    hour_series: 5,
};

/// What the cases need.
struct Bench {
    folder: PathBuf,
    scale: Scale,
    /// None in a test.
    peer: Option<Peer>,
}

impl Bench {
    /// Asks the peer, if there is one.
    fn ask(&mut self, request: &str) -> Result<Option<Value>, Failure> {
        match &mut self.peer {
            Some(peer) => Ok(Some(serde_json::from_str(&peer.ask(request)?)?)),
            None => Ok(None),
        }
    }

    /// Asks for a number of seconds.
    fn ask_seconds(&mut self, request: &str) -> Result<Option<f64>, Failure> {
        let Some(answer) = self.ask(request)? else { return Ok(None) };
        match answer.as_f64() {
            Some(seconds) => Ok(Some(seconds)),
            None => {
                Err(format!("the peer should have told how long `{request}` took, it said {answer}").into())
            }
        }
    }

    /// Takes the files of a folder in ours out of the page cache; only the peer knows how.
    fn forget(&mut self, folder: &str) -> Result<(), Failure> {
        self.ask(&format!("forget {folder}")).map(drop)
    }

    /// Runs `fresh`, and returns what it said with the seconds from its start to its end.
    fn fresh(&self, args: &[&str], folder: &Path) -> Result<(Value, f64), Failure> {
        let (what, rest) = args.split_first().ok_or("what is `fresh` to do?")?;
        let begin = std::time::Instant::now();
        let output = Command::new(env!("CARGO_BIN_EXE_fresh")).arg(what).arg(folder).args(rest).output()?;
        let seconds = begin.elapsed().as_secs_f64();
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
        }
        Ok((serde_json::from_slice(&output.stdout)?, seconds))
    }
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
        let mut bench = Bench { folder: folder.path().to_owned(), scale: SMALL, peer: None };
        println!("a small version, as a test; `cargo xtask bench store` measures");
        return runtime.block_on(cases(&mut bench, &[])).map(drop);
    };
    let folder = asked.folder.join("store");
    std::fs::create_dir_all(&folder)?;
    // Cargo starts benchmarks in the folder of their package.
    let peer = Peer::start(Command::new(&asked.python).arg("peers/store.py").arg(&folder))?;
    let name = peer.name().to_owned();
    let mut bench = Bench { folder, scale: FULL, peer: Some(peer) };
    let mut report = runtime.block_on(cases(&mut bench, &asked.cases))?;
    report.insert("peer".to_owned(), name.into());
    std::fs::write(asked.folder.join("store.json"), Value::Object(report).to_string())?;
    Ok(())
}

/// The cases, or those of them that are named. Each leaves its part of the report.
async fn cases(bench: &mut Bench, names: &[String]) -> Result<Map<String, Value>, Failure> {
    let mut report = Map::new();
    for case in ["write", "size", "year", "many", "commits", "read"] {
        if !names.is_empty() && !names.iter().any(|name| name == case) {
            continue;
        }
        say(&format!("{case} …"));
        let part = match case {
            "write" => write::run(bench).await?,
            "size" => size::run(bench).await?,
            "year" => year::run(bench).await?,
            "many" => many::run(bench).await?,
            "commits" => commits::run(bench).await?,
            _ => read::run(bench).await?,
        };
        report.insert(case.to_owned(), part);
    }
    if report.is_empty() {
        return Err(format!("no case is called {}", names.join(" or ")).into());
    }
    Ok(report)
}
