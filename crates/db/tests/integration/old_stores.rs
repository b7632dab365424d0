//! Stores of every format version are opened for ever. One of each is in `tests/stores/`.
//!
//! A new version gets a folder of its own: `SHEAF_WRITE_STORE=1 cargo test -p sheaf-db old_stores` writes the one that is
//! missing. The others are never changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sheaf_db::{Database, ResourceMetadata};
use sheaf_model::{DataType, SamplePeriod, Samples, Tick, TimeRange, Values};
use sheaf_store::{
    CheckOptions, CompactOptions, Layout, LocalDisk, Rows, SeriesSpec, Settings, Store, Watch, Write, check,
};

fn stored(version: u32) -> PathBuf {
    PathBuf::from(format!("tests/stores/v{version}"))
}

fn settings() -> Settings {
    Settings { tail_write_bytes: 256, ..Settings::default() }
}

fn specs() -> Vec<SeriesSpec> {
    let period: SamplePeriod = "1_s".parse().unwrap();
    let regular = |phase_ticks| Layout::Regular { period, phase_ticks };
    let mut specs: Vec<SeriesSpec> = DataType::ALL
        .into_iter()
        .map(|data_type| SeriesSpec { key: format!("/old/{data_type}/1_s"), data_type, layout: regular(0) })
        .collect();
    let float = DataType::Float64;
    specs.push(SeriesSpec { key: "/old/phase/1_s".to_owned(), data_type: float, layout: regular(5) });
    specs.push(SeriesSpec { key: "/traces/bill".to_owned(), data_type: float, layout: Layout::Irregular });
    specs
}

fn origin() -> Tick {
    "2020-01-01".parse().unwrap()
}

fn at(second: i64, phase_ticks: i64) -> Tick {
    origin().checked_add(second * Tick::PER_SECOND + phase_ticks).unwrap()
}

/// `0, 1, 2, …` in any type; floats in eighths, below zero where there is such a thing.
fn values(data_type: DataType, len: usize) -> Values {
    let floats = || (0..len).map(|i| i as f64 / 8.0 - 3.0);
    match data_type {
        DataType::Uint8 => Values::U8((0..len).map(|i| i as u8).collect()),
        DataType::Int8 => Values::I8((0..len).map(|i| i as i8).collect()),
        DataType::Uint16 => Values::U16((0..len).map(|i| i as u16).collect()),
        DataType::Int16 => Values::I16((0..len).map(|i| -(i as i16)).collect()),
        DataType::Uint32 => Values::U32((0..len).map(|i| i as u32).collect()),
        DataType::Int32 => Values::I32((0..len).map(|i| -(i as i32)).collect()),
        DataType::Uint64 => Values::U64((0..len).map(|i| u64::MAX - i as u64).collect()),
        DataType::Int64 => Values::I64((0..len).map(|i| i64::MIN + i as i64).collect()),
        DataType::Float32 => Values::F32(floats().map(|value| value as f32).collect()),
        DataType::Float64 => Values::F64(floats().collect()),
    }
}

const LEN: usize = 200;

async fn open(folder: &Path) -> (Store, Database) {
    let database = Database::sqlite(&folder.join("sheaf.db")).await.unwrap();
    let disk = Arc::new(LocalDisk::new(folder).unwrap());
    (Store::open(disk, Arc::new(database.manifest()), settings()).await.unwrap(), database)
}

/// Every kind of piece: dense and listed, merged, in the tail, deleted, changed.
async fn write(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    let (store, database) = open(folder).await;
    let specs = specs();
    let ids = store.create_series(&specs).await.unwrap();
    let period: SamplePeriod = "1_s".parse().unwrap();
    for (&id, spec) in ids.iter().zip(&specs) {
        let values = values(spec.data_type, LEN);
        let listed = |phase| {
            Rows::listed((0..LEN as i64).map(|second| at(second, phase)).collect(), values.clone()).unwrap()
        };
        let rows = match spec.layout {
            Layout::Regular { phase_ticks: 0, .. } => {
                // Every 64th sample is missing.
                let samples = Samples::new(origin(), period, values.clone()).unwrap();
                samples.with_validity(vec![u64::MAX << 1; LEN.div_ceil(64)]).unwrap().into()
            }
            Layout::Regular { phase_ticks, .. } => listed(phase_ticks),
            Layout::Irregular => {
                let mut estimated = vec![0; LEN.div_ceil(64)];
                estimated[0] = 0b1010;
                listed(7).with_estimated(estimated).unwrap()
            }
        };
        store.write(Write::new().rows(id, rows)).await.unwrap();
    }
    store.compact(CompactOptions { all: true }, &Watch::default()).await.unwrap();
    let mut small = Write::new();
    for (&id, spec) in ids.iter().zip(&specs) {
        let phase = match spec.layout {
            Layout::Regular { phase_ticks, .. } => phase_ticks,
            Layout::Irregular => 7,
        };
        small = small.rows(id, Rows::listed(vec![at(1000, phase)], values(spec.data_type, 1)).unwrap());
        small = small.delete(id, TimeRange::new(at(100, 0), at(110, 0)).unwrap());
    }
    store.write(small.key("the small one")).await.unwrap();
    // One more segment that is not merged.
    let more = Samples::new(at(2000, 0), period, values(DataType::Float64, LEN)).unwrap();
    store.write(Write::new().rows(ids[9], more)).await.unwrap();
    drop(store);
    database.close().await;
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// The newest format.
const NEWEST: u32 = 2;

#[tokio::test(flavor = "multi_thread")]
async fn every_version_is_read() {
    for version in 1..=NEWEST {
        version_is_read(version).await;
    }
}

async fn version_is_read(version: u32) {
    let stored = stored(version);
    if !stored.exists() {
        let may_write = version == NEWEST && std::env::var_os("SHEAF_WRITE_STORE").is_some();
        assert!(may_write, "{} is missing", stored.display());
        write(&stored).await;
    }
    // Opening changes files; those that are checked in stay as they are.
    let folder = tempfile::tempdir().unwrap();
    copy(&stored, folder.path());
    version_is_read_in(folder.path(), version).await;
}

async fn version_is_read_in(folder: &Path, version: u32) {
    for round in 0..2 {
        let (store, database) = open(folder).await;
        for spec in specs() {
            let id = store.find_series(&spec.key).await.unwrap().unwrap();
            assert_eq!(*store.spec(id).await.unwrap(), spec);
            let mut found = Vec::new();
            for rows in store.scan(id, None).await.unwrap() {
                let rows = rows.unwrap();
                for row in (0..rows.len()).filter(|&row| rows.is_valid(row)) {
                    found.push((
                        rows.start_ticks(row),
                        rows.values().get(row).unwrap(),
                        rows.is_estimated(row),
                    ));
                }
            }
            assert_eq!(found, expected(&spec), "{} of version {version} in round {round}", spec.key);
        }
        // A key is remembered, and what it wrote is not written again.
        store.compact(CompactOptions { all: true }, &Watch::default()).await.unwrap();
        let disk = Arc::new(LocalDisk::new(folder).unwrap());
        let report = check(
            disk,
            Arc::new(database.manifest()),
            settings(),
            CheckOptions::default(),
            &Watch::default(),
        )
        .await
        .unwrap();
        assert_eq!(report.damages(), 0, "{:?}", report.findings);
        drop(store);
        database.close().await;
    }
}

/// The stores that are kept were written before there was metadata.
#[tokio::test(flavor = "multi_thread")]
async fn reading_an_old_store_does_not_change_it_and_metadata_can_be_added() {
    for version in 1..=NEWEST {
        let folder = tempfile::tempdir().unwrap();
        copy(&stored(version), folder.path());
        let file = folder.path().join("sheaf.db");
        let before = fs::read(&file).unwrap();
        let (catalog, resource) = ("/old".parse().unwrap(), "FLOAT64".parse().unwrap());

        let (store, database) = open(folder.path()).await;
        let keys =
            |found: Vec<(_, SeriesSpec)>| found.into_iter().map(|(_, spec)| spec.key).collect::<Vec<_>>();
        let mut wanted: Vec<String> = specs().into_iter().map(|spec| spec.key).collect();
        wanted.sort_unstable();
        assert_eq!(keys(store.series_below("", None, 99).await.unwrap()), wanted);
        let id = store.find_series("/old/FLOAT64/1_s").await.unwrap().unwrap();
        // Three runs of rows without the ten deleted ones; the first slot is missing, so no run has it. A store of format 1 has a
        // tombstone over the run; later ones cut it in two, and of the three others that are missing nobody knows then on
        // which side they are, so they count on both.
        let missing = if version == 1 { 3 } else { 6 };
        let stats = store.series_stats(&[id]).await.unwrap()[0];
        assert_eq!((stats.rows, stats.missing), (2 * LEN as u64 + 1 - 10 - 1, missing), "{stats:?}");
        let metadata = database.metadata();
        assert!(metadata.resource(&catalog, &resource).await.unwrap().is_empty());
        assert_eq!(database.pipelines().all().await.unwrap(), []);
        drop(store);
        database.close().await;
        assert!(fs::read(&file).unwrap() == before, "version {version} was changed");

        for round in 0..2 {
            let (store, database) = open(folder.path()).await;
            let metadata = database.metadata();
            let known = metadata.resource(&catalog, &resource).await.unwrap();
            assert_eq!(known.unit(), (round > 0).then_some("m/s"));
            let properties = serde_json::from_value(serde_json::json!({"unit": "m/s"})).unwrap();
            let (catalog, resource) = (catalog.clone(), resource.clone());
            metadata.patch(vec![], vec![ResourceMetadata { catalog, resource, properties }]).await.unwrap();
            assert_eq!(keys(store.series_below("/traces/", None, 99).await.unwrap()), ["/traces/bill"]);
            drop(store);
            database.close().await;
        }
        version_is_read_in(folder.path(), version).await;
    }
}

/// Start, value and whether it was estimated, of all rows with a value.
fn expected(spec: &SeriesSpec) -> Vec<(i64, f64, bool)> {
    let first = values(spec.data_type, LEN);
    let (phase, irregular) = match spec.layout {
        Layout::Regular { phase_ticks, .. } => (phase_ticks, false),
        Layout::Irregular => (7, true),
    };
    let mut rows = Vec::new();
    for second in 0..LEN {
        let is_missing = !irregular && phase == 0 && second % 64 == 0;
        if !is_missing && !(100..110).contains(&second) {
            let is_estimated = irregular && (second == 1 || second == 3);
            rows.push((at(second as i64, phase).ticks(), first.get(second).unwrap(), is_estimated));
        }
    }
    rows.push((at(1000, phase).ticks(), first.get(0).unwrap(), false));
    if spec.key == "/old/FLOAT64/1_s" {
        rows.extend((0..LEN).map(|i| (at(2000 + i as i64, 0).ticks(), first.get(i).unwrap(), false)));
    }
    rows
}
