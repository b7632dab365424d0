//! The process is killed at random moments, hundreds of times; nothing that was acknowledged may be missing, and nothing
//! else may be there.

use std::process::Command;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sheaf_store::{CheckOptions, Finding, LocalDisk, Watch, check};

use super::worker::{Orders, Said, rows_of};

/// Kills for each seed. With four seeds the suite kills 240 times.
const KILLS: usize = 60;

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_random_moments_1() {
    killed_at_random_moments(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_random_moments_2() {
    killed_at_random_moments(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_random_moments_3() {
    killed_at_random_moments(3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_random_moments_4() {
    killed_at_random_moments(4).await;
}

async fn killed_at_random_moments(seed: u64) {
    let folder = tempfile::tempdir().unwrap();
    let mut rng = StdRng::seed_from_u64(seed);
    let mut orders = Orders {
        folder: folder.path().display().to_string(),
        url: format!("sqlite://{}/sheaf.db", folder.path().display()),
        seed,
        first: vec![0; 3],
        name: 0,
        compacts: true,
        patient: false,
        grace: Duration::ZERO,
    };
    // The operations of each task that are known to be there.
    let mut done: Vec<Vec<u64>> = vec![Vec::new(); orders.first.len()];
    let mut acknowledged = 0;
    for kill in 0..KILLS {
        let (mut child, saying) = orders.start();
        // A number of steps, however fast the machine is, and a moment on top.
        let mut said = Vec::new();
        let steps = rng.random_range(0..50);
        while said.len() < steps {
            said.push(
                saying.recv_timeout(Duration::from_secs(60)).expect("the worker lives until it is killed"),
            );
        }
        std::thread::sleep(Duration::from_micros(rng.random_range(0..5000)));
        // SIGKILL on Unix: the process does nothing more.
        child.kill().unwrap();
        child.wait().unwrap();
        let mut open: Vec<Option<u64>> = vec![None; orders.first.len()];
        for said in said.into_iter().chain(saying) {
            match said {
                Said::Begin { task, operation } => {
                    open[task] = Some(operation);
                    orders.first[task] = operation + 1;
                }
                Said::Done { task, operation, .. } => {
                    assert_eq!(open[task].take(), Some(operation));
                    done[task].push(operation);
                    acknowledged += 1;
                }
                Said::Read | Said::Compacted | Said::Failed => {}
            }
        }

        let store = orders.open().await.unwrap_or_else(|error| panic!("seed {seed}, kill {kill}: {error}"));
        for task in 0..open.len() {
            let mut found = Vec::new();
            for series in orders.series(&store, task).await.unwrap() {
                found.push(rows_of(store.scan(series, None).await.unwrap()).unwrap());
            }
            assert_eq!(found[0], found[1], "seed {seed}, kill {kill}, task {task}: half a commit");
            // What was not acknowledged may have happened or not, but nothing in between.
            let known = orders.model(task, done[task].iter().copied());
            if found[0] != known {
                let operation =
                    open[task].unwrap_or_else(|| panic!("seed {seed}, kill {kill}, task {task}: other rows"));
                done[task].push(operation);
                let with_it = orders.model(task, done[task].iter().copied());
                assert!(
                    found[0] == with_it,
                    "seed {seed}, kill {kill}, task {task}: neither with {operation} nor without"
                );
            }
        }
        drop(store);
        let disk = std::sync::Arc::new(LocalDisk::new(folder.path()).unwrap());
        let manifest =
            std::sync::Arc::new(sheaf_db::Database::connect(&orders.url).await.unwrap().manifest());
        let report = check(disk, manifest, orders.settings(), CheckOptions::default(), &Watch::default())
            .await
            .unwrap();
        let damages: Vec<&Finding> =
            report.findings.iter().filter(|finding| matches!(finding, Finding::Damage { .. })).collect();
        assert!(damages.is_empty(), "seed {seed}, kill {kill}: {damages:?}");
    }
    assert!(acknowledged > 100, "only {acknowledged} operations were acknowledged in {KILLS} lives");
}

/// No file may grow any more, as on a full disk, the log of the database included; then there is room again, and then the
/// process is killed. What was acknowledged before, meanwhile and after is there.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let orders = Orders {
        folder: folder.path().display().to_string(),
        url: format!("sqlite://{}/sheaf.db", folder.path().display()),
        seed: 77,
        first: vec![0; 3],
        name: 0,
        compacts: true,
        patient: true,
        grace: Duration::ZERO,
    };
    let (mut child, saying) = orders.start();
    let mut said = Vec::new();
    let mut wait_for = |wanted: fn(&Said) -> bool, times: usize| {
        let mut seen = 0;
        while seen < times {
            let next =
                saying.recv_timeout(Duration::from_secs(60)).expect("the worker lives until it is killed");
            seen += usize::from(wanted(&next));
            said.push(next);
        }
    };
    let is_done: fn(&Said) -> bool = |said| matches!(said, Said::Done { .. });
    let limit_files_to = |bytes: &str| {
        let pid = child.id().to_string();
        let status =
            Command::new("prlimit").args(["--pid", &pid, &format!("--fsize={bytes}:unlimited")]).status();
        assert!(status.unwrap().success());
    };
    wait_for(is_done, 20);
    for _ in 0..3 {
        limit_files_to("8192");
        wait_for(|said| *said == Said::Failed, 30);
        limit_files_to("unlimited");
        wait_for(is_done, 30);
    }
    child.kill().unwrap();
    child.wait().unwrap();
    said.extend(saying);

    let store = orders.open().await.unwrap();
    for task in 0..orders.first.len() {
        let of_task = |said: &Said| match *said {
            Said::Done { task: of, operation, .. } if of == task => Some(operation),
            _ => None,
        };
        let done: Vec<u64> = said.iter().filter_map(of_task).collect();
        let next = done.last().map_or(0, |last| last + 1);
        for series in orders.series(&store, task).await.unwrap() {
            let found = rows_of(store.scan(series, None).await.unwrap()).unwrap();
            let known = orders.model(task, done.iter().copied());
            let with_open = orders.model(task, done.iter().copied().chain([next]));
            assert!(found == known || found == with_open, "task {task}: other rows");
        }
    }
}
