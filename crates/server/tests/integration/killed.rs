//! The server is killed under load and started again: what it has acknowledged is there, and nothing is there by half.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::http::{Answer, Ask, Server, encoded};

const WRITERS: usize = 4;
/// Rows of a write, one a second.
const ROWS: usize = 10;
const KILLS: usize = 3;

/// The begin of all series.
const BEGIN: &str = "2024-01-01T00:00:00Z";

fn time(second: usize) -> String {
    let (day, second) = (second / 86_400 + 1, second % 86_400);
    format!("2024-01-{day:02}T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60)
}

/// The write of a number: its rows have values of their own.
fn write<'a>(server: &'a Server, token: &str, writer: usize, number: usize) -> Ask<'a> {
    let mut table = format!("time,r{writer}\n");
    for second in number * ROWS..(number + 1) * ROWS {
        writeln!(table, "{},{second}.5", time(second)).unwrap();
    }
    let key = format!("{writer}-{number}");
    let ask =
        server.post("/api/v1/ingest?catalog=/load&period=1_s").token(token).header("idempotency-key", &key);
    ask.body("text/csv", table)
}

fn export<'a>(server: &'a Server, token: &str) -> Ask<'a> {
    server.post("/api/v1/jobs/export").token(token).json(&json!({
        "begin": BEGIN,
        "end": time(60),
        "filePeriod": "00:00:00",
        "type": "Nexus.Writers.Csv",
        "resourcePaths": ["/load/r0/1_s"],
        "configuration": {},
    }))
}

/// What was acknowledged: how many writes of each writer, and the jobs.
#[derive(Default)]
struct Acknowledged {
    writes: BTreeMap<usize, usize>,
    jobs: Vec<String>,
}

/// Writes and starts jobs until the server is gone.
fn load(server: &mut Server, token: &str, acknowledged: &Mutex<Acknowledged>) {
    let is_over = AtomicBool::new(false);
    let ended = |answer: Result<Answer, _>, expected: u16| match answer {
        Ok(answer) => {
            assert_eq!(answer.status, expected, "{answer}");
            Some(answer)
        }
        Err(_) => None,
    };
    thread::scope(|scope| {
        let running = &*server;
        for writer in 0..WRITERS {
            let (is_over, ended) = (&is_over, &ended);
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    let next = acknowledged.lock().unwrap().writes.get(&writer).copied().unwrap_or(0);
                    let Some(_) = ended(write(running, token, writer, next).try_send(), 200) else { break };
                    acknowledged.lock().unwrap().writes.insert(writer, next + 1);
                }
            });
        }
        let (is_over, ended) = (&is_over, &ended);
        scope.spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                let Some(answer) = ended(export(running, token).try_send(), 202) else { break };
                let id = answer.json()["id"].as_str().unwrap().to_owned();
                acknowledged.lock().unwrap().jobs.push(id);
                thread::sleep(Duration::from_millis(50));
            }
        });
        thread::sleep(Duration::from_millis(1500));
        running.kill_now();
        is_over.store(true, Ordering::Relaxed);
    });
    server.kill();
}

/// Each acknowledged row, and of the last write all of it or nothing.
fn rows_are_whole(server: &Server, token: &str, writer: usize, acknowledged: usize) {
    let seconds = (acknowledged + 1) * ROWS;
    let path = encoded(&format!("/load/r{writer}/1_s"));
    let (begin, end) = (encoded(BEGIN), encoded(&time(seconds)));
    let answer =
        server.get(&format!("/api/v1/data?resourcePath={path}&begin={begin}&end={end}")).token(token).send();
    assert_eq!(answer.status, 200, "{answer}");
    let values = answer.doubles();
    let (before, last) = values.split_at(acknowledged * ROWS);
    for (second, value) in before.iter().enumerate() {
        assert_eq!(*value, second as f64 + 0.5, "r{writer} at {second} s was acknowledged");
    }
    let there = last.iter().filter(|value| !value.is_nan()).count();
    assert!([0, ROWS].contains(&there), "{there} of {ROWS} rows of a write of r{writer}");
}

fn finished(server: &Server, token: &str, job: &str) -> Value {
    let begun = Instant::now();
    loop {
        let answer = server.get(&format!("/api/v1/jobs/{job}/status")).token(token).send();
        assert_eq!(answer.status, 200, "job {job} was acknowledged: {answer}");
        let status = answer.json();
        if ["RanToCompletion", "Faulted", "Canceled"].contains(&status["status"].as_str().unwrap()) {
            return status;
        }
        assert!(begun.elapsed() < Duration::from_secs(120), "job {job} does not end: {status}");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn what_was_acknowledged_survives_kill_9() {
    let mut server = Server::start(&[]);
    let token = server.token(&["--admin"]);
    for writer in 0..WRITERS {
        // So that jobs have something to read from the start.
        assert_eq!(write(&server, &token, writer, 0).send().status, 200);
    }
    let acknowledged = Mutex::new(Acknowledged::default());
    for _ in 0..KILLS {
        load(&mut server, &token, &acknowledged);
        server.restart();
        let acknowledged = acknowledged.lock().unwrap();
        for (&writer, &writes) in &acknowledged.writes {
            rows_are_whole(&server, &token, writer, writes);
            // Nobody knows whether the next one was written; its key makes it harmless to send it again, and again.
            for _ in 0..2 {
                let answer = write(&server, &token, writer, writes).send();
                assert_eq!(answer.status, 200, "{answer}");
            }
            rows_are_whole(&server, &token, writer, writes + 1);
        }
    }
    let acknowledged = acknowledged.into_inner().unwrap();
    assert!(
        acknowledged.writes.values().sum::<usize>() > 20 && !acknowledged.jobs.is_empty(),
        "there was no load"
    );
    for job in &acknowledged.jobs {
        let status = finished(&server, &token, job);
        assert_eq!(status["status"], "RanToCompletion", "{job}: {status}");
        let artifact = server
            .get(&format!("/api/v1/artifacts/{}", status["result"].as_str().unwrap()))
            .token(&token)
            .send();
        assert!(artifact.status == 200 && artifact.body.starts_with(b"PK"), "{artifact}");
    }
    let check = server.sheaf(&["check"]);
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stdout));
}
