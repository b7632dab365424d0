//! Any byte of the database or of its log may be another one: a read gives the right numbers, or an error that says where.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sheaf_db::Database;
use sheaf_model::{DataType, SamplePeriod, Samples, Tick, TimeRange, Values};
use sheaf_store::{
    CheckOptions, CompactOptions, Layout, LocalDisk, Rows, SeriesId, SeriesSpec, Settings, Store, Watch,
    Write, check, in_full,
};

use super::worker::rows_of;

const SERIES: usize = 12;

fn settings() -> Settings {
    Settings { tail_write_bytes: 2 << 10, ..Settings::default() }
}

async fn open(folder: &Path) -> Result<(Store, Database), String> {
    let database = Database::sqlite(&folder.join("sheaf.db")).await.map_err(|error| in_full(&error))?;
    let disk = Arc::new(LocalDisk::new(folder).unwrap());
    match Store::open(disk, Arc::new(database.manifest()), settings()).await {
        Ok(store) => Ok((store, database)),
        Err(error) => {
            database.close().await;
            Err(in_full(&error))
        }
    }
}

fn key(series: usize) -> String {
    format!("/plant/mast_{series}/T1/1_s")
}

/// Writes everything there is a kind of piece for: large and small, deleted and merged.
async fn fill(store: &Store, round: u32) -> Vec<SeriesId> {
    let period: SamplePeriod = "1_s".parse().unwrap();
    let spec = |series| SeriesSpec {
        key: key(series),
        data_type: DataType::Float64,
        layout: if series % 3 == 2 { Layout::Irregular } else { Layout::Regular { period, phase_ticks: 0 } },
    };
    let specs: Vec<SeriesSpec> = (0..SERIES).map(spec).collect();
    let ids = store.create_series(&specs).await.unwrap();
    let origin: Tick = "2020-01-01".parse().unwrap();
    let at = |second: i64| origin.checked_add(second * Tick::PER_SECOND).unwrap();
    for (number, (&id, spec)) in ids.iter().zip(&specs).enumerate() {
        let begin = i64::from(round) * 300;
        let values: Vec<f64> = (0..400).map(|i| f64::from(i * 7 + round) + number as f64 / 8.0).collect();
        let rows = match spec.layout {
            Layout::Regular { .. } => Samples::new(at(begin), period, Values::F64(values)).unwrap().into(),
            Layout::Irregular => {
                Rows::listed((0..400).map(|i| at(begin + i)).collect(), Values::F64(values)).unwrap()
            }
        };
        store.write(Write::new().rows(id, rows)).await.unwrap();
    }
    for small in 0..4 {
        let mut write = Write::new();
        for &id in &ids {
            let rows =
                Rows::listed(vec![at(1000 + small)], Values::F64(vec![f64::from(round) + 0.5])).unwrap();
            write = write.rows(id, rows);
        }
        store.write(write.key(format!("{round}/{small}"))).await.unwrap();
    }
    for &id in ids.iter().step_by(2) {
        store.delete(id, TimeRange::new(at(350), at(360)).unwrap()).await.unwrap();
    }
    if round == 0 {
        store.compact(CompactOptions { all: true }, &Watch::default()).await.unwrap();
    }
    ids
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.join("segments")).unwrap();
    for (folder, file) in [("", "sheaf.db"), ("", "sheaf.db-wal"), ("", "HEAD")] {
        let source = from.join(folder).join(file);
        if source.exists() {
            fs::copy(source, to.join(folder).join(file)).unwrap();
        }
    }
    for file in fs::read_dir(from.join("segments")).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), to.join("segments").join(file.file_name())).unwrap();
    }
}

type Answers = Vec<BTreeMap<i64, u64>>;

async fn answers(store: &Store, ids: &[SeriesId]) -> Answers {
    let mut answers = Vec::new();
    for &id in ids {
        answers.push(rows_of(store.scan(id, None).await.unwrap()).unwrap());
    }
    answers
}

/// A closed store, and one whose newest commits are only in the log.
async fn templates(folder: &Path) -> [(PathBuf, Vec<SeriesId>, Answers); 2] {
    let closed = folder.join("closed");
    fs::create_dir(&closed).unwrap();
    let (store, database) = open(&closed).await.unwrap();
    let ids = fill(&store, 0).await;
    let first = answers(&store, &ids).await;
    drop(store);
    database.close().await;

    let logged = folder.join("logged");
    copy(&closed, &logged);
    let (store, database) = open(&logged).await.unwrap();
    fill(&store, 1).await;
    let second = answers(&store, &ids).await;
    assert_ne!(first, second);
    let copied = folder.join("copied");
    copy(&logged, &copied);
    assert!(
        fs::metadata(copied.join("sheaf.db-wal")).unwrap().len() > 10_000,
        "the log holds the newest commits"
    );
    drop(store);
    database.close().await;
    [(closed, ids.clone(), first), (copied, ids, second)]
}

/// How a damaged store answers.
#[derive(Debug, Default)]
struct Outcomes {
    right: u32,
    refused: u32,
    errors: u32,
}

/// Opens a store and reads all of it by keys. Every answer is the right one, or an error that names file and series.
async fn read_all(folder: &Path, ids: &[SeriesId], expected: &Answers, outcomes: &mut Outcomes, what: &str) {
    let place = folder.display().to_string();
    let (store, database) = match open(folder).await {
        Ok(opened) => opened,
        Err(error) => {
            assert!(error.contains(&place), "{what}: the error does not say where: {error}");
            outcomes.refused += 1;
            return;
        }
    };
    for (number, (&id, expected)) in ids.iter().zip(expected).enumerate() {
        let read = async {
            // Series are asked for by their keys.
            let found = store.find_series(&key(number)).await?;
            assert_eq!(found, Some(id), "{what}: series {number} is lost in silence");
            let scan = store.scan(id, None).await?;
            tokio::task::spawn_blocking(move || rows_of(scan)).await.unwrap()
        };
        match read.await {
            Ok(rows) => {
                assert!(rows == *expected, "{what}: series {number} has wrong rows");
                outcomes.right += 1;
            }
            Err(error) => {
                let error = in_full(&error);
                assert!(error.contains(&place), "{what}: the error does not say where: {error}");
                outcomes.errors += 1;
            }
        }
    }
    drop(store);
    database.close().await;
}

/// Flips bytes of one file of a store, one at a time, and reads everything.
async fn flip(template: usize, file: &str, flips: usize, seed: u64) -> Outcomes {
    let folder = tempfile::tempdir().unwrap();
    let templates = templates(folder.path()).await;
    let (template, ids, expected) = &templates[template];
    let mut rng = StdRng::seed_from_u64(seed);
    let intact = fs::read(template.join(file)).unwrap();
    let mut outcomes = Outcomes::default();
    for round in 0..flips {
        let damaged = folder.path().join(format!("{round}"));
        copy(template, &damaged);
        let mut bytes = intact.clone();
        // A database has much in its first bytes.
        let offset = if round < 100 { round } else { rng.random_range(0..bytes.len()) };
        let flip = 1_u8 << rng.random_range(0..8);
        bytes[offset] ^= flip;
        fs::write(damaged.join(file), bytes).unwrap();
        read_all(&damaged, ids, expected, &mut outcomes, &format!("{file}, offset {offset}, bit {flip:#x}"))
            .await;
        fs::remove_dir_all(damaged).unwrap();
    }
    outcomes
}

#[tokio::test(flavor = "multi_thread")]
async fn flipped_bytes_of_the_database_never_give_wrong_numbers() {
    let outcomes = flip(0, "sheaf.db", 800, 1).await;
    assert!(outcomes.right > 0 && outcomes.refused > 0 && outcomes.errors > 0, "{outcomes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn flipped_bytes_of_the_log_never_give_wrong_numbers() {
    let outcomes = flip(1, "sheaf.db-wal", 800, 2).await;
    // A damaged frame takes all commits after it with it.
    assert!(outcomes.refused > 700, "{outcomes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn flipped_bytes_below_the_log_never_give_wrong_numbers() {
    let outcomes = flip(1, "sheaf.db", 400, 3).await;
    // The log has newer versions of most pages.
    assert!(outcomes.right > 0, "{outcomes:?}");
}

/// A log that is cut off, or gone, is a consistent database without its newest commits. `HEAD` tells.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_cut_off_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let templates = templates(folder.path()).await;
    let (template, ids, expected) = &templates[1];
    let log = fs::read(template.join("sheaf.db-wal")).unwrap();
    for (round, len) in [0, 32, log.len() / 3, log.len() - 4120, log.len() - 1].into_iter().enumerate() {
        let damaged = folder.path().join(format!("{round}"));
        copy(template, &damaged);
        fs::write(damaged.join("sheaf.db-wal"), &log[..len]).unwrap();
        let mut outcomes = Outcomes::default();
        read_all(&damaged, ids, expected, &mut outcomes, &format!("log of {len} bytes")).await;
        assert_eq!(outcomes.refused, 1, "{len} of {} bytes: {outcomes:?}", log.len());
        let error = open(&damaged).await.map(drop).unwrap_err();
        assert!(error.contains("was set back") && error.contains("HEAD"), "{error}");

        // The operator goes on without what is gone.
        let options = CheckOptions { repair: true, accept_loss: true };
        let database = Database::sqlite(&damaged.join("sheaf.db")).await.unwrap();
        let disk = Arc::new(LocalDisk::new(&damaged).unwrap());
        let report =
            check(disk, Arc::new(database.manifest()), settings(), options, &Watch::default()).await.unwrap();
        assert_eq!(report.damages(), 0, "{:?}", report.findings);
        database.close().await;
        let (store, _database) = open(&damaged).await.unwrap();
        fill(&store, 1).await;
        assert_eq!(&answers(&store, ids).await, expected, "written again, it is as before");
    }
}
