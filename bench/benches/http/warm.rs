//! The same means again and again.

use serde_json::{Value, json};
use sheaf_bench::store::Failure;

use crate::server::{Server, read};
use crate::stores::Set;
use crate::{Bench, client, say};

pub(crate) fn run(bench: &Bench) -> Result<Value, Failure> {
    let set = Set::channel(bench);
    let folder = set.folder(bench)?;
    let path = set.path(0, "10_min_mean")?;
    let (expected, _) = read(bench, &path, &[], &folder)?;
    let server = Server::start(bench, &folder)?;
    let url = client::url(&path, &set.range()?);
    let mut rounds = Vec::new();
    for round in 0..=bench.scale.rounds {
        say(&format!("round {round} of {}", bench.scale.rounds));
        same_bits(&client::values(&server.address, &url)?, &expected)?;
        let one = client::wrk(&server.address, &url, 1, bench.scale.seconds)?;
        let before = server.cpu_seconds();
        let many = client::wrk(&server.address, &url, 64, bench.scale.seconds)?;
        let cpu = before.and_then(|before| Some(server.cpu_seconds()? - before));
        let requests = many["per_second"].as_f64().unwrap_or(f64::NAN) * f64::from(bench.scale.seconds);
        let alive = client::wrk(&server.address, "/health/live", 64, bench.scale.seconds)?;
        if round > 0 {
            let cpu_per_request = cpu.map(|cpu| cpu / requests);
            rounds.push(
                json!({ "one": one, "many": many, "alive": alive, "cpu_per_request": cpu_per_request }),
            );
        }
    }
    Ok(json!({ "values": expected.len(), "rounds": rounds }))
}

/// That two answers are the same.
pub(crate) fn same_bits(found: &[f64], expected: &[f64]) -> Result<(), Failure> {
    let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    if bits(found) == bits(expected) {
        Ok(())
    } else {
        Err(format!("{} values are not the {} of the command line", found.len(), expected.len()).into())
    }
}
