//! The same means for the first time, over HTTP and by the command line.

use std::time::Instant;

use serde_json::{Value, json};
use sheaf_bench::seconds::Seconds;
use sheaf_bench::store::Failure;

use crate::server::{Server, read, sheaf};
use crate::stores::Set;
use crate::warm::same_bits;
use crate::{Bench, client, say};

pub(crate) fn run(bench: &Bench) -> Result<Value, Failure> {
    let set = Set::channel(bench);
    let folder = set.folder(bench)?;
    let path = set.path(0, "10_min_mean")?;
    let server = Server::start(bench, &folder)?;
    let url = client::url(&path, &set.range()?);
    let mut seconds = Seconds::default();
    for round in 0..=bench.scale.rounds {
        say(&format!("round {round} of {}", bench.scale.rounds));
        if round == 1 {
            seconds = Seconds::default();
        }
        // Twice, and the second time counts: a core that has had nothing to do takes a while to be fast.
        for is_counted in [false, true] {
            sheaf(bench, &["rollups", "clear"], &folder)?;
            let (expected, took) = read(bench, &path, &[], &folder)?;
            sheaf(bench, &["rollups", "clear"], &folder)?;
            let begin = Instant::now();
            let found = client::values(&server.address, &url)?;
            let over_http = begin.elapsed().as_secs_f64();
            same_bits(&found, &expected)?;
            if is_counted {
                seconds.add("command line", took);
                seconds.add("HTTP", over_http);
            }
        }
    }
    Ok(json!({ "samples": set.len(), "seconds": Value::from(seconds) }))
}
