//! Two processes on one store, for a minute: they write, compact and read together.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use sheaf_db::testing::TestDatabase;
use sheaf_store::{CheckOptions, CompactOptions, LocalDisk, Watch, check};

use super::worker::{Orders, Said, rows_of};

/// How long they run together.
const TOGETHER: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_share_a_sqlite_database() {
    two_processes(&TestDatabase::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_share_a_postgresql_database() {
    two_processes(&TestDatabase::postgres().await).await;
}

async fn two_processes(database: &TestDatabase) {
    let folder = tempfile::tempdir().unwrap();
    let orders = |name| Orders {
        folder: folder.path().display().to_string(),
        url: database.url().to_owned(),
        seed: name,
        first: vec![0; 3],
        name,
        compacts: true,
        patient: false,
        // A read takes milliseconds: no file may vanish under it.
        grace: Duration::from_secs(5),
    };
    let both = [orders(1), orders(2)];
    let mut running = Vec::new();
    for orders in &both {
        let (child, said) = orders.start();
        let listener = std::thread::spawn(move || said.into_iter().collect::<Vec<Said>>());
        running.push((child, listener));
    }
    let until = Instant::now() + TOGETHER;
    while Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(200)).await;
        for (child, _) in &mut running {
            assert!(child.try_wait().unwrap().is_none(), "a worker gave up; its output says why");
        }
    }
    let mut said = Vec::new();
    for (mut child, listener) in running {
        child.kill().unwrap();
        child.wait().unwrap();
        said.push(listener.join().unwrap());
    }

    let store = both[0].open().await.unwrap();
    let mut commits: Vec<HashSet<i64>> = Vec::new();
    for (orders, said) in both.iter().zip(&said) {
        let mut own = HashSet::new();
        for task in 0..orders.first.len() {
            let mut done = Vec::new();
            let mut open = None;
            let mut last_commit = 0;
            for said in said {
                match *said {
                    Said::Begin { task: of, operation } if of == task => open = Some(operation),
                    Said::Done { task: of, operation, commit } if of == task => {
                        assert!(commit > last_commit, "commits of one task rise");
                        last_commit = commit;
                        own.insert(commit);
                        done.push(operation);
                        open = None;
                    }
                    _ => {}
                }
            }
            assert!(done.len() > 20, "worker {}, task {task}: only {} operations", orders.name, done.len());
            let [regular, irregular] = orders.series(&store, task).await.unwrap();
            let found = rows_of(store.scan(regular, None).await.unwrap()).unwrap();
            assert_eq!(found, rows_of(store.scan(irregular, None).await.unwrap()).unwrap());
            let known = orders.model(task, done.iter().copied());
            let with_open = orders.model(task, done.iter().copied().chain(open));
            assert!(found == known || found == with_open, "worker {}, task {task}: other rows", orders.name);
        }
        let count = |wanted: Said| said.iter().filter(|&&said| said == wanted).count();
        assert!(count(Said::Read) > 20, "{} reads", count(Said::Read));
        assert!(count(Said::Compacted) > 2, "{} compactions", count(Said::Compacted));
        commits.push(own);
    }
    assert!(commits[0].is_disjoint(&commits[1]), "two processes got the same commit");

    store.compact(CompactOptions { all: true }, &Watch::default()).await.unwrap();
    let disk = std::sync::Arc::new(LocalDisk::new(folder.path()).unwrap());
    let manifest = std::sync::Arc::new(database.open().await.manifest());
    let report =
        check(disk, manifest, both[0].settings(), CheckOptions::default(), &Watch::default()).await.unwrap();
    assert_eq!(report.damages(), 0, "{:?}", report.findings);
}
