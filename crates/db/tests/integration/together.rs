//! Two processes on one store, for a minute: they write, compact and read together.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use sheaf_db::testing::TestDatabase;
use sheaf_store::{CheckOptions, CompactOptions, LocalDisk, Watch, check};

use super::worker::{Orders, Said, rows_of};

/// How long they run together at least.
const TOGETHER: Duration = Duration::from_secs(60);
/// How long they may take to do enough: a loaded machine is slow, not wrong.
const PATIENCE: Duration = Duration::from_secs(600);

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
        let (child, heard) = orders.start();
        running.push((child, heard, Vec::new()));
    }
    let begin = Instant::now();
    loop {
        tokio::time::sleep(Duration::from_millis(200)).await;
        for (child, heard, said) in &mut running {
            assert!(child.try_wait().unwrap().is_none(), "a worker gave up; its output says why");
            said.extend(heard.try_iter());
        }
        let enough = running.iter().all(|(_, _, said)| has_done_enough(said, both[0].first.len()));
        if enough && begin.elapsed() > TOGETHER {
            break;
        }
        assert!(begin.elapsed() < PATIENCE, "too little done in {PATIENCE:?}");
    }
    let mut said = Vec::new();
    for (mut child, heard, mut before) in running {
        child.kill().unwrap();
        child.wait().unwrap();
        before.extend(heard);
        said.push(before);
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
            let [regular, irregular] = orders.series(&store, task).await.unwrap();
            let found = rows_of(store.scan(regular, None).await.unwrap()).unwrap();
            assert_eq!(found, rows_of(store.scan(irregular, None).await.unwrap()).unwrap());
            let known = orders.model(task, done.iter().copied());
            let with_open = orders.model(task, done.iter().copied().chain(open));
            assert!(found == known || found == with_open, "worker {}, task {task}: other rows", orders.name);
        }
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

/// Whether a worker has done enough of everything for its traces to say something.
fn has_done_enough(said: &[Said], tasks: usize) -> bool {
    let count = |wanted: fn(&Said) -> bool| said.iter().filter(|said| wanted(said)).count();
    let operations = |task: usize| {
        said.iter().filter(move |said| matches!(said, Said::Done { task: of, .. } if *of == task)).count()
    };
    (0..tasks).all(|task| operations(task) > 20)
        && count(|said| *said == Said::Read) > 20
        && count(|said| *said == Said::Compacted) > 2
}
