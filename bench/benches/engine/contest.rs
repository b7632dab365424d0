//! A fresh process reads paths; the peers answer the same question from what they read fastest.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use sheaf_bench::data;
use sheaf_bench::seconds::Seconds;
use sheaf_bench::store::{self, Failure};
use sheaf_store::ROLLUPS_FILE;

use crate::own::Own;
use crate::samples::Set;
use crate::{Bench, PEERS, Peaks, compare, say};

/// So many variants of a peer stay in the contest after the first round.
const FINALISTS: usize = 3;

/// A variant of a peer that is measured in every round.
struct Finalist {
    /// Which of the peers.
    peer: usize,
    /// The number that the peer has for it.
    variant: usize,
    case: String,
    first_seconds: f64,
}

pub(crate) async fn run(bench: &mut Bench, case: &str) -> Result<Value, Failure> {
    let (set, period, kinds): (Set, &str, &[&str]) = match case {
        "kinds" => (Set::channel(&bench.scale), "10_min", &["mean", "std", "min", "max"]),
        "i16" => (Set::thousandths(&bench.scale), "10_min", &["mean"]),
        "channels" => (Set::channels(&bench.scale), "10_min", &["mean"]),
        "hourly" => (Set::meters(&bench.scale), "1_d", &["sum"]),
        _ => (Set::channel(&bench.scale), "10_min", &["mean"]),
    };
    let folder = set.in_store(bench).await?;
    let (mut paths, mut expected) = (Vec::new(), Vec::new());
    for series in 0..set.series {
        for kind in kinds {
            paths.push(set.path(series, &format!("{period}_{kind}"))?);
            expected.extend(set.expected(series, kind));
        }
    }
    if bench.others.is_none() {
        let own = Own::open(&folder).await?;
        compare("sheaf", &own.read(&paths, false).await?, &expected)?;
        own.opened.close().await;
        return Ok(Value::Null);
    }

    let question = format!("{} {}", set.name, kinds.join("+"));
    let finalists = first_round(bench, &question, &expected)?;
    let (mut seconds, mut peaks) = (Seconds::default(), Peaks::default());
    for round in 0..=bench.scale.rounds {
        say(&format!("round {round} of {}", bench.scale.rounds));
        if round == 1 {
            seconds = Seconds::default();
        }
        read(bench, &folder, &paths, &expected, &mut seconds, &mut peaks)?;
        for finalist in &finalists {
            let took = ask(bench, finalist.peer, &format!("run {question} {}", finalist.variant))?;
            seconds.add(&finalist.case, took);
        }
        // The last of the peers is NumPy.
        seconds.add("bound", ask(bench, PEERS.len() - 1, &format!("bound {}", set.name))?);
        fresh_peers(bench, &question, &finalists, &mut seconds, &mut peaks)?;
    }
    let finalists: Vec<Value> = finalists.iter().map(|finalist| finalist.case.as_str().into()).collect();
    Ok(json!({
        "samples": set.series * set.len,
        "series": set.series,
        "per_bucket": set.per_bucket,
        "period": period,
        "kinds": kinds,
        "bytes": store::segment_files(&folder)?.0,
        "finalists": finalists,
        "seconds": Value::from(seconds),
        "peaks": peaks.0,
    }))
}

/// The program without rollups, and with them when there are none yet. Once more before that, which does not count: a core of a
/// virtual machine that has had nothing to do takes a while to be as fast as it can.
fn read(
    bench: &Bench,
    folder: &Path,
    paths: &[String],
    expected: &[f64],
    seconds: &mut Seconds,
    peaks: &mut Peaks,
) -> Result<(), Failure> {
    let Some(others) = &bench.others else { return Ok(()) };
    let folder_arg = folder.to_string_lossy();
    let mut args = vec!["read", "--data-dir", &folder_arg, "--format", "f64"];
    args.extend(paths.iter().map(String::as_str));
    let rollups = folder.join(ROLLUPS_FILE);
    let alone: Vec<&str> = args.iter().copied().chain(["--no-rollups"]).collect();
    bench.run(&bench.output(), &others.program, &alone)?;
    for (case, extra) in [("sheaf", Some("--no-rollups")), ("sheaf_rollups", None), ("sheaf_again", None)] {
        if case == "sheaf_rollups" && rollups.exists() {
            fs::remove_file(&rollups)?;
        }
        let args: Vec<&str> = args.iter().copied().chain(extra).collect();
        bench.measured(case, &others.program, &args, seconds, peaks)?;
        compare(case, &bench.answer()?, expected)?;
    }
    Ok(())
}

/// Asks a peer for a number of seconds, twice: the first time wakes the cores up.
fn ask(bench: &mut Bench, peer: usize, request: &str) -> Result<f64, Failure> {
    let others = bench.others.as_mut().ok_or("there are no peers")?;
    others.peers[peer].1.seconds(request)?;
    Ok(others.peers[peer].1.seconds(request)?)
}

/// All variants of all peers once: those that are fastest, with their answers compared.
fn first_round(bench: &mut Bench, question: &str, expected: &[f64]) -> Result<Vec<Finalist>, Failure> {
    let answer = bench.folder.join("peer.answer.f64");
    let others = bench.others.as_mut().ok_or("there are no peers")?;
    let mut finalists = Vec::new();
    for (peer, (name, process)) in others.peers.iter_mut().enumerate() {
        say(&format!("all ways of {}", process.name()));
        let set = question.split(' ').next().unwrap_or_default();
        let variants: Vec<String> = serde_json::from_str(&process.ask(&format!("variants {set}"))?)?;
        let mut all = Vec::new();
        for (variant, title) in variants.iter().enumerate() {
            let request = format!("run {question} {variant}");
            let first_seconds = process.seconds(&request)?;
            process.save(question)?;
            compare(&format!("{name}, {title}"), &data::read_raw(&answer)?, expected)?;
            say(&format!("{:8.0} ms  {title}", first_seconds * 1e3));
            all.push(Finalist { peer, variant, case: format!("{name}: {title}"), first_seconds });
        }
        all.sort_by(|a, b| a.first_seconds.total_cmp(&b.first_seconds));
        all.truncate(FINALISTS);
        finalists.extend(all);
    }
    Ok(finalists)
}

/// What the fastest variant of each peer takes as a process of its own, with its start, and its memory.
fn fresh_peers(
    bench: &Bench,
    question: &str,
    finalists: &[Finalist],
    seconds: &mut Seconds,
    peaks: &mut Peaks,
) -> Result<(), Failure> {
    let Some(others) = &bench.others else { return Ok(()) };
    let folder = bench.folder.to_string_lossy();
    for (peer, (name, _)) in others.peers.iter().enumerate() {
        let Some(best) = finalists.iter().find(|finalist| finalist.peer == peer) else { continue };
        let request = format!("run {question} {}", best.variant);
        let args = ["peers/engine.py", &folder, name, &request];
        bench.run(&bench.output(), &others.python, &args)?;
        bench.measured(&format!("{name}_process"), &others.python, &args, seconds, peaks)?;
    }
    Ok(())
}
