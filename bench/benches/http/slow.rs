//! Many clients that have asked for much and read next to nothing, and one that is served beside them.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sheaf_bench::store::Failure;

use crate::server::{Server, read};
use crate::stores::Set;
use crate::warm::same_bits;
use crate::{Bench, client, say};

/// How long it takes until nothing moves any more.
const SETTLED: Duration = Duration::from_secs(3);

/// What the server may use for answers if nobody says otherwise, as its settings have it.
const BUDGET_BYTES: u64 = 512_000_000;

pub(crate) fn run(bench: &Bench) -> Result<Value, Failure> {
    let set = Set::seconds(bench);
    let folder = set.folder(bench)?;
    more_files()?;
    let server = Server::start(bench, &folder)?;
    let address = server.address.as_str();
    let means = set.path(0, "10_min_mean")?;
    let (expected, _) = read(bench, &means, &[], &folder)?;
    let quick = client::url(&means, &set.range()?);
    let original = client::url(&set.original(1)?, &set.range()?);
    same_bits(&client::values(address, &quick)?, &expected)?;
    let alone = client::wrk(address, &quick, 1, bench.scale.seconds)?;
    let (read_alone, before) = (time(address, &original)?, server.memory_bytes());
    say(&format!("{} clients ask", bench.scale.readers));
    let readers = (0..bench.scale.readers).map(|_| client::open(address, &original));
    let readers: Vec<_> = readers.collect::<Result<_, _>>()?;
    thread::sleep(SETTLED);
    let during = server.memory_bytes();
    say("one more");
    let beside = client::wrk(address, &quick, 1, bench.scale.seconds)?;
    let read_beside = time(address, &original)?;
    same_bits(&client::values(address, &quick)?, &expected)?;
    let most = during.max(server.memory_bytes());
    drop(readers);
    thread::sleep(SETTLED);
    Ok(json!({
        "readers": bench.scale.readers,
        "budget_bytes": BUDGET_BYTES,
        "before_bytes": before,
        "during_bytes": most,
        "after_bytes": server.memory_bytes(),
        "alone": alone,
        "beside": beside,
        "bytes": set.len() * size_of::<f64>(),
        "read_alone": read_alone,
        "read_beside": read_beside,
    }))
}

/// Seconds that one long answer takes.
fn time(address: &str, url: &str) -> Result<f64, Failure> {
    let begin = Instant::now();
    client::discard(address, &client::get(address, url))?;
    Ok(begin.elapsed().as_secs_f64())
}

/// Allows this process, and the server that it starts, as many open connections as the system has for them.
#[cfg(unix)]
fn more_files() -> Result<(), Failure> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid place for an `rlimit`, and lives longer than the call.
    let found = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: `limit` is a valid `rlimit`, and lives longer than the call.
    let raised = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    if found == 0 && raised == 0 { Ok(()) } else { Err(std::io::Error::last_os_error().into()) }
}

#[cfg(not(unix))]
fn more_files() -> Result<(), Failure> {
    Ok(())
}
