//! Samples as they are: a month of seconds of four channels.

use std::process::Command;
use std::thread;
use std::time::Instant;

use serde_json::{Map, Value, json};
use sheaf_bench::peer::Peer;
use sheaf_bench::seconds::Seconds;
use sheaf_bench::store::Failure;

use crate::server::{Server, read};
use crate::stores::Set;
use crate::warm::same_bits;
use crate::{Bench, client, say};

pub(crate) fn run(bench: &Bench) -> Result<Value, Failure> {
    let set = Set::seconds(bench);
    let folder = set.folder(bench)?;
    let server = Server::start(bench, &folder)?;
    let address = server.address.as_str();
    let (begin, end) = set.range()?;
    let paths: Vec<String> = (0..set.series).map(|series| set.original(series)).collect::<Result<_, _>>()?;
    let urls: Vec<String> =
        paths.iter().map(|path| client::url(path, &(begin.clone(), end.clone()))).collect();
    for (path, url) in paths.iter().zip(&urls) {
        same_bits(&client::values(address, url)?, &read(bench, path, &[], &folder)?.0)?;
    }
    let mut nexus = Peer::start(
        Command::new(&bench.python)
            .args(["peers/nexus.py", &format!("http://{address}"), &begin, &end])
            .args(&paths),
    )?;
    nexus.seconds("load")?;
    nexus.save("load")?;
    let (mut seconds, mut cpu) = (Seconds::default(), Seconds::default());
    for round in 0..=bench.scale.rounds {
        say(&format!("round {round} of {}", bench.scale.rounds));
        if round == 1 {
            (seconds, cpu) = (Seconds::default(), Seconds::default());
        }
        let mut measure = |case: &str, work: &mut dyn FnMut() -> Result<f64, Failure>| {
            let before = server.cpu_seconds();
            seconds.add(case, work()?);
            if let (Some(before), Some(after)) = (before, server.cpu_seconds()) {
                cpu.add(case, after - before);
            }
            Ok::<(), Failure>(())
        };
        measure("nexus-api", &mut || Ok(nexus.seconds("load")?))?;
        measure("batch", &mut || {
            timed(|| client::discard(address, &client::batch(address, &paths, &begin, &end)).map(drop))
        })?;
        measure("f64, one after the other", &mut || {
            timed(|| {
                urls.iter().try_for_each(|url| client::discard(address, &client::get(address, url)).map(drop))
            })
        })?;
        measure("f64, side by side", &mut || timed(|| side_by_side(address, &urls)))?;
    }
    let bytes = set.len() * set.series * size_of::<f64>();
    let mut report = Map::new();
    report.insert("client".to_owned(), json!(nexus.name()));
    report.insert("bytes".to_owned(), json!(bytes));
    report.insert("seconds".to_owned(), seconds.into());
    report.insert("cpu".to_owned(), cpu.into());
    Ok(report.into())
}

fn timed(work: impl FnOnce() -> Result<(), Failure>) -> Result<f64, Failure> {
    let begin = Instant::now();
    work()?;
    Ok(begin.elapsed().as_secs_f64())
}

fn side_by_side(address: &str, urls: &[String]) -> Result<(), Failure> {
    thread::scope(|scope| {
        let read = |url: &String| {
            client::discard(address, &client::get(address, url)).map_err(|error| error.to_string())
        };
        let readers: Vec<_> = urls.iter().map(|url| scope.spawn(move || read(url))).collect();
        readers.into_iter().try_for_each(|reader| match reader.join() {
            Ok(read) => Ok(read.map(drop)?),
            Err(_) => Err("a reader panicked".into()),
        })
    })
}
