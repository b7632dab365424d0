//! How fast the server answers: the program itself as a process of its own, asked over loopback.
//!
//! All answers are compared with those of `sheaf read` before a time is believed. Whoever asks has to share the machine with the
//! server, so it does as little as it can: `wrk` counts requests, and what is large is read and thrown away.
//!
//! Only `cargo xtask bench http` runs this: it has a program, `wrk` and a Python with a client of Nexus.

mod client;
mod cold;
mod raw;
mod server;
mod slow;
mod stores;
mod warm;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Map, Value};
use sheaf_bench::asked::{Asked, is_test};
use sheaf_bench::store::Failure;

/// How large everything is.
struct Scale {
    /// Rounds that count.
    rounds: usize,
    /// Days of the long channel, at 100 Hz; and of those that are read as they are, at 1 Hz.
    days: i64,
    raw_days: i64,
    /// How long requests are counted.
    seconds: u32,
    /// Clients that hardly read.
    readers: usize,
}

const FULL: Scale = Scale { rounds: 5, days: 10, raw_days: 31, seconds: 4, readers: 1_000 };
const SMALL: Scale = Scale { rounds: 1, days: 1, raw_days: 2, seconds: 1, readers: 20 };

/// What the cases need.
struct Bench {
    folder: PathBuf,
    program: PathBuf,
    python: PathBuf,
    scale: Scale,
}

const ALL: [&str; 4] = ["warm", "raw", "cold", "slow"];

/// Says what is going on: it takes a while.
fn say(what: &str) {
    eprintln!("    {what}");
}

fn main() -> ExitCode {
    let Some(asked) = Asked::from_env().filter(|_| !is_test()) else {
        println!("nothing is measured without a program; `cargo xtask bench http` has one");
        return ExitCode::SUCCESS;
    };
    match run(&asked) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(asked: &Asked) -> Result<(), Failure> {
    // A dry run shows that everything works, not how fast it is.
    let is_dry = std::env::var_os("SHEAF_BENCH_DRY").is_some();
    let (name, scale) = if is_dry { ("http-dry", SMALL) } else { ("http", FULL) };
    let folder = asked.folder.join(name);
    fs::create_dir_all(&folder)?;
    let built = std::env::var_os("SHEAF_BENCH_PROGRAM").ok_or("SHEAF_BENCH_PROGRAM names no program")?;
    // As it is installed: copied.
    let program = folder.join("sheaf");
    fs::copy(&built, &program)?;
    let bench = Bench { folder, program, python: asked.python.clone(), scale };
    let wanted = |case: &&str| asked.cases.is_empty() || asked.cases.iter().any(|wanted| wanted == case);
    let mut report = Map::new();
    for case in ALL.into_iter().filter(wanted) {
        say(&format!("case {case}"));
        let part = match case {
            "warm" => warm::run(&bench),
            "raw" => raw::run(&bench),
            "cold" => cold::run(&bench),
            _ => slow::run(&bench),
        };
        report.insert(case.to_owned(), part?);
    }
    fs::write(asked.folder.join("http.json"), Value::from(report).to_string())?;
    Ok(())
}
