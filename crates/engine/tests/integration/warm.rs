//! Reads that ask no more than whether anything has changed give what all others do.

use std::collections::HashMap;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestRunner};
use sheaf_engine::{Base, Resolved, read_columns, resolve};
use sheaf_model::{DataType, ResourcePath, SamplePeriod, Samples, Tick, TimeRange, Values};
use sheaf_store::manifest::MemoryManifest;
use sheaf_store::testing::FaultyDisk;
use sheaf_store::{
    CompactOptions, Layout, Now, RollupSettings, Rollups, SeriesId, SeriesSpec, Settings, Snapshot, Store,
    Watch, Write,
};
use tempfile::TempDir;

use super::stored::{bits, run, value};

/// 2020-01-01, a Wednesday.
const ORIGIN: i64 = 637_134_336_000_000_000;

/// Seconds that samples lie within.
const SECONDS: i64 = 40_000;

/// Periods that each of the resources may have samples at, the finest of which is what a path without a base means.
const PERIODS: [&str; 3] = ["1_s", "10_s", "1_min"];

const PATHS: [&str; 6] = [
    "/a/T1/10_min_mean",
    "/a/T2/10_min_mean",
    "/a/T1/10_min_max#base=1_min",
    "/a/T2/1_min_mean#base=10_s",
    "/a/T1/1_h_std",
    "/a/T2/1_min",
];

#[derive(Clone, Debug)]
enum Step {
    /// One of the stores writes to a series, which it makes if it is not there.
    Write {
        second: i64,
        len: usize,
        seed: u64,
        series: usize,
        is_other: bool,
        is_int: bool,
    },
    Delete {
        second: i64,
        seconds: i64,
        series: usize,
        is_other: bool,
    },
    /// All samples of a series go, and then the series.
    Remove {
        series: usize,
        is_other: bool,
    },
    /// Integers become floats, in a series that takes the place of the one before.
    Promote {
        series: usize,
        is_other: bool,
    },
    Compact,
    Read {
        path: usize,
        other_path: usize,
        begin: i64,
        seconds: i64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let series = || 0..2 * PERIODS.len();
    let write = (0..SECONDS, 1_usize..3000, any::<u64>(), series(), any::<bool>(), any::<bool>());
    prop_oneof![
        4 => write.prop_map(|(second, len, seed, series, is_other, is_int)| Step::Write {
            second, len, seed, series, is_other, is_int
        }),
        1 => (0..SECONDS, 1..9000_i64, series(), any::<bool>())
            .prop_map(|(second, seconds, series, is_other)| Step::Delete { second, seconds, series, is_other }),
        1 => (series(), any::<bool>()).prop_map(|(series, is_other)| Step::Remove { series, is_other }),
        1 => (series(), any::<bool>()).prop_map(|(series, is_other)| Step::Promote { series, is_other }),
        1 => Just(Step::Compact),
        8 => (0..PATHS.len(), 0..PATHS.len(), -3600..SECONDS, 3600..SECONDS)
            .prop_map(|(path, other_path, begin, seconds)| Step::Read { path, other_path, begin, seconds }),
    ]
}

fn at(second: i64) -> Tick {
    Tick::new(ORIGIN + second * Tick::PER_SECOND).unwrap()
}

fn spec(series: usize, data_type: DataType) -> SeriesSpec {
    let period = PERIODS[series % PERIODS.len()];
    SeriesSpec {
        key: format!("/a/T{}/{period}", 1 + series / PERIODS.len()),
        data_type,
        layout: Layout::Regular { period: period.parse().unwrap(), phase_ticks: 0 },
    }
}

async fn write(store: &Store, series: usize, second: i64, values: &[f64], is_int: bool) {
    let key = spec(series, DataType::Int64).key;
    let wanted = if is_int { DataType::Int64 } else { DataType::Float64 };
    let id = match store.find_series(&key).await.unwrap() {
        Some(id) => id,
        None => store.create_series(&[spec(series, wanted)]).await.unwrap()[0],
    };
    let period: SamplePeriod = PERIODS[series % PERIODS.len()].parse().unwrap();
    let start = period.floor(at(second));
    let values = match store.spec(id).await.unwrap().data_type {
        DataType::Int64 => Values::I64(values.iter().map(|value| *value as i64).collect()),
        _ => Values::F64(values.to_vec()),
    };
    let samples = Samples::new(start, period, values).unwrap();
    store.write(Write::new().rows(id, samples)).await.unwrap();
}

/// What a server does for each read: it remembers what paths mean for as long as nothing has changed.
struct Warm {
    store: Store,
    at: Option<Now>,
    paths: HashMap<ResourcePath, Resolved>,
    rollups: Arc<Rollups>,
    /// Paths that were known.
    known: u64,
}

impl Warm {
    async fn resolved(&mut self, paths: &[ResourcePath]) -> Result<(Snapshot, Vec<Resolved>), String> {
        let now = self.store.now().await.unwrap();
        if self.at != Some(now) {
            (self.at, self.paths) = (Some(now), HashMap::new());
        }
        let mut items = Vec::new();
        for path in paths {
            if let Some(known) = self.paths.get(path) {
                self.known += 1;
                items.push(known.clone());
                continue;
            }
            let found = resolve(&self.store, std::slice::from_ref(path)).await;
            let mut found = found.map_err(|error| error.to_string())?.remove(0);
            if let Base::Stored { rollups, .. } = &mut found.base {
                *rollups = Some(self.rollups.clone());
            }
            self.paths.insert(path.clone(), found.clone());
            items.push(found);
        }
        let series: Vec<SeriesId> = items.iter().map(series_of).collect();
        Ok((self.store.snapshot_at(now, &series).await.unwrap(), items))
    }
}

fn series_of(item: &Resolved) -> SeriesId {
    match item.base {
        Base::Stored { series, .. } => series,
        Base::InPlace { .. } => unreachable!("there is no source"),
    }
}

async fn values(snapshot: &Snapshot, items: &[Resolved], range: TimeRange) -> Result<Vec<Vec<u64>>, String> {
    let columns = read_columns(snapshot, items, range, None).await.map_err(|error| error.to_string())?;
    let read = tokio::task::spawn_blocking(move || {
        let mut all: Vec<Vec<u64>> = Vec::new();
        for block in columns {
            let block = block.unwrap();
            all.resize(block.len(), Vec::new());
            all.iter_mut().zip(block).for_each(|(all, part)| all.extend(bits(&part)));
        }
        all
    });
    Ok(read.await.unwrap())
}

async fn play(steps: &[Step]) -> Result<u64, String> {
    let folder = TempDir::new().unwrap();
    let (disk, manifest) = (FaultyDisk::new(), MemoryManifest::new());
    let open = || {
        let settings = Settings { tail_write_bytes: 4096, ..Settings::default() };
        Store::open(Arc::new(disk.clone()), Arc::new(manifest.clone()), settings)
    };
    let (store, other) = (open().await.unwrap(), open().await.unwrap());
    let keep_all = RollupSettings { limit_bytes: 1 << 30, fewest_samples: 0 };
    let mut warm = Warm {
        store: store.clone(),
        at: None,
        paths: HashMap::new(),
        rollups: Arc::new(Rollups::new(folder.path().join("rollups.redb"), keep_all)),
        known: 0,
    };
    for step in steps {
        let by = |is_other: bool| if is_other { &other } else { &store };
        match *step {
            Step::Write { second, len, seed, series, is_other, is_int } => {
                let values: Vec<f64> = (0..len).map(|index| value(seed, index, 0)).collect();
                write(by(is_other), series, second, &values, is_int).await;
            }
            Step::Delete { second, seconds, series, is_other } => {
                let key = spec(series, DataType::Int64).key;
                if let Some(id) = by(is_other).find_series(&key).await.unwrap() {
                    let range = TimeRange::new(at(second), at(second + seconds)).unwrap();
                    by(is_other).delete(id, range).await.unwrap();
                }
            }
            Step::Remove { series, is_other } => {
                let store = by(is_other);
                let key = spec(series, DataType::Int64).key;
                if let Some(id) = store.find_series(&key).await.unwrap() {
                    store.remove_empty(&[id]).await.unwrap();
                }
            }
            Step::Promote { series, is_other } => {
                let store = by(is_other);
                let key = spec(series, DataType::Int64).key;
                if let Some(id) = store.find_series(&key).await.unwrap()
                    && store.spec(id).await.unwrap().data_type == DataType::Int64
                {
                    let mut write = store.begin_write();
                    write.replace(id, spec(series, DataType::Float64)).await.unwrap();
                    write.commit().await.unwrap();
                }
            }
            Step::Compact => {
                store.compact(CompactOptions { all: true }, &Watch::default()).await.unwrap();
            }
            Step::Read { path, other_path, begin, seconds } => {
                let paths: Vec<ResourcePath> =
                    [path, other_path].iter().map(|&path| PATHS[path].parse().unwrap()).collect();
                let paths: Vec<ResourcePath> =
                    paths.iter().filter(|path| path.period() == paths[0].period()).cloned().collect();
                let range = TimeRange::new(at(begin), at(begin + seconds)).unwrap();
                let range = paths[0].period().widen(range).unwrap();
                let fresh = open().await.unwrap();
                let expected = match resolve(&fresh, &paths).await {
                    Ok(items) => {
                        let series: Vec<SeriesId> = items.iter().map(series_of).collect();
                        values(&fresh.snapshot(&series).await.unwrap(), &items, range).await
                    }
                    Err(error) => Err(error.to_string()),
                };
                for _ in 0..2 {
                    let found = match warm.resolved(&paths).await {
                        Ok((snapshot, items)) => values(&snapshot, &items, range).await,
                        Err(error) => Err(error),
                    };
                    if found != expected {
                        return Err(format!("{paths:?} of {range}: {found:?} instead of {expected:?}"));
                    }
                }
            }
        }
    }
    Ok(warm.known)
}

#[test]
fn warm_reads_are_cold_reads_whatever_happens_and_wherever() {
    let config = ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() };
    let known = std::cell::Cell::new(0);
    let result = TestRunner::new(config).run(&prop::collection::vec(step(), 10..50), |steps| {
        known.set(known.get() + run(play(&steps)).map_err(TestCaseError::fail)?);
        Ok(())
    });
    result.unwrap();
    assert!(known.get() > 100);
}

/// Nothing but whether anything has changed is asked twice.
#[test]
fn a_snapshot_of_what_is_known_is_no_question_to_the_database() {
    run(async {
        let (disk, manifest) = (FaultyDisk::new(), MemoryManifest::new());
        let open = || Store::open(Arc::new(disk.clone()), Arc::new(manifest.clone()), Settings::default());
        let (store, other) = (open().await.unwrap(), open().await.unwrap());
        write(&store, 0, 0, &[1.0; 100], false).await;
        let id = store.find_series("/a/T1/1_s").await.unwrap().unwrap();
        let now = store.now().await.unwrap();
        let first = store.snapshot_at(now, &[id]).await.unwrap();
        assert_eq!((first.commit(), first.nonce()), (now.commit(), now.nonce()));
        write(&other, 0, 50, &[2.0; 100], false).await;
        // Of the state before, as that is what was asked for, and it is at hand.
        assert_eq!(store.snapshot_at(now, &[id]).await.unwrap().commit(), first.commit());
        let later = store.now().await.unwrap();
        assert!(later != now && store.now().await.unwrap() == later);
        assert_eq!(store.snapshot_at(later, &[id]).await.unwrap().commit(), later.commit());
    });
}
