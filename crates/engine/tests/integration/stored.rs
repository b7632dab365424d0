//! Reads from a store are those of the same samples in memory, whatever happened to the store.

use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use sheaf_engine::{Query, read_samples, read_stored};
use sheaf_model::{
    DataType, Kind, RepresentationId, SamplePeriod, Samples, Threshold, Tick, TimeRange, Values,
};
use sheaf_store::manifest::MemoryManifest;
use sheaf_store::testing::FaultyDisk;
use sheaf_store::{CompactOptions, Layout, SeriesId, SeriesSpec, Settings, Store, Watch, Write};

pub(super) fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

async fn new_store(data_type: DataType, period: SamplePeriod, phase_ticks: i64) -> (Store, SeriesId) {
    let settings = Settings { tail_write_bytes: 4096, ..Settings::default() };
    let store = Store::open(Arc::new(FaultyDisk::new()), Arc::new(MemoryManifest::new()), settings);
    let store = store.await.unwrap();
    let layout = Layout::Regular { period, phase_ticks };
    let spec = SeriesSpec { key: "/a/T1/1_s".to_owned(), data_type, layout };
    let id = store.create_series(&[spec]).await.unwrap()[0];
    (store, id)
}

async fn read(store: &Store, id: SeriesId, query: Query) -> Vec<Vec<f64>> {
    let snapshot = store.snapshot(&[id]).await.unwrap();
    let reading = read_stored(&snapshot, id, query, None).await.unwrap();
    let wanted = reading.values() as usize;
    let columns = tokio::task::spawn_blocking(|| {
        let mut columns: Vec<Vec<f64>> = Vec::new();
        for block in reading {
            let block = block.unwrap();
            columns.resize(block.len(), Vec::new());
            columns.iter_mut().zip(block).for_each(|(column, part)| column.extend(part));
        }
        columns
    });
    let columns = columns.await.unwrap();
    assert!(columns.iter().all(|column| column.len() == wanted));
    columns
}

pub(super) fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|value| value.to_bits()).collect()
}

const ORIGIN: i64 = 637_134_336_000_000_000;

fn at(second: i64) -> Tick {
    Tick::new(ORIGIN + second * Tick::PER_SECOND).unwrap()
}

/// A write of so many values from a second on, and what is deleted after it.
#[derive(Clone, Debug)]
struct Step {
    second: i64,
    len: usize,
    seed: u64,
    missing_percent: u64,
    deleted: Option<(i64, i64)>,
    compact: bool,
}

fn step() -> impl Strategy<Value = Step> {
    let len = prop_oneof![3 => 1_usize..300, 2 => 300_usize..9000, 1 => 200_000_usize..400_000];
    let missing = prop_oneof![Just(0_u64), Just(1), Just(60)];
    let deleted = prop_oneof![2 => Just(None), 1 => (0_i64..20_000, 1_i64..9000).prop_map(Some)];
    (0_i64..20_000, len, any::<u64>(), missing, deleted, any::<bool>()).prop_map(
        |(second, len, seed, missing_percent, deleted, compact)| Step {
            second,
            len,
            seed,
            missing_percent,
            deleted,
            compact,
        },
    )
}

pub(super) fn value(seed: u64, index: usize, missing_percent: u64) -> f64 {
    let mut mixed = seed.wrapping_add(index as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed ^= mixed >> 29;
    mixed = mixed.wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed ^= mixed >> 32;
    if mixed % 100 < missing_percent { f64::NAN } else { (mixed >> 40) as f64 / 1000.0 - 4000.0 }
}

const SECONDS: usize = 450_000;

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_store_is_read_as_its_samples_in_memory_are(
        steps in proptest::collection::vec(step(), 1..5),
        begin in -2_i64..40,
        hours in 1_i64..130,
        minutes in prop_oneof![Just(1_i64), Just(7), Just(10), Just(60), Just(97), Just(6 * 60)],
    ) {
        let result = run(async {
            let (store, id) = new_store(DataType::Float64, "1_s".parse().unwrap(), 0).await;
            let mut all = vec![f64::NAN; SECONDS];
            for step in steps {
                let values: Vec<f64> =
                    (0..step.len).map(|index| value(step.seed, index, step.missing_percent)).collect();
                for (slot, value) in values.iter().enumerate().filter(|(_, value)| !value.is_nan()) {
                    all[step.second as usize + slot] = *value;
                }
                let samples = Samples::new(at(step.second), "1_s".parse().unwrap(), Values::F64(values));
                store.write(Write::new().rows(id, samples.unwrap())).await.unwrap();
                if let Some((from, len)) = step.deleted {
                    store.delete(id, TimeRange::new(at(from), at(from + len)).unwrap()).await.unwrap();
                    all[from as usize..(from + len) as usize].fill(f64::NAN);
                }
                if step.compact {
                    store.compact(CompactOptions { all: true }, &Watch::default()).await.unwrap();
                }
            }
            let memory = Samples::new(at(0), "1_s".parse().unwrap(), Values::F64(all)).unwrap();
            let period: SamplePeriod = format!("{minutes}_min").parse().unwrap();
            let range = TimeRange::new(at(begin * 3600), at((begin + hours) * 3600)).unwrap();
            let range = period.widen(range).unwrap();
            let kinds = [Kind::Mean, Kind::Std, Kind::Max, Kind::Count, Kind::First, Kind::Resampled];
            let threshold = Threshold::new(0.3);
            let query = Query { kinds: kinds.to_vec(), period, range, threshold };
            let found = read(&store, id, query).await;
            for (kind, found) in kinds.into_iter().zip(found) {
                let wanted = RepresentationId { period, kind };
                let wanted = read_samples(&memory, wanted, range, threshold).unwrap();
                // Another order of adding: the last bits may differ.
                let is_same = |(a, b): (&f64, &f64)| {
                    a.is_nan() == b.is_nan() && (a.is_nan() || (a - b).abs() <= 1e-12 * b.abs().max(1.0))
                };
                if found.len() != wanted.len() || !found.iter().zip(&wanted).all(is_same) {
                    return Err(format!("{kind}: {found:?} instead of {wanted:?}"));
                }
            }
            Ok(())
        });
        result.map_err(TestCaseError::fail)?;
    }
}

#[test]
fn the_same_samples_give_the_same_bits_however_they_are_stored_and_asked_for() {
    run(async {
        let (store, id) = new_store(DataType::Float64, "1_s".parse().unwrap(), 0).await;
        let values: Vec<f64> = (0..SECONDS).map(|index| value(7, index, 1)).collect();
        for (number, part) in values.chunks(70_001).enumerate() {
            let second = number as i64 * 70_001;
            let samples =
                Samples::new(at(second), "1_s".parse().unwrap(), Values::F64(part.to_vec())).unwrap();
            store.write(Write::new().rows(id, samples)).await.unwrap();
        }
        let ask = async |period: &str, from: i64, hours: i64| {
            let period: SamplePeriod = period.parse().unwrap();
            let range = TimeRange::new(at(from * 3600), at((from + hours) * 3600)).unwrap();
            let range = period.widen(range).unwrap();
            let query = Query { kinds: vec![Kind::Mean], period, range, threshold: None };
            read(&store, id, query).await.remove(0)
        };
        // A day of seconds fits in a job, five days do not; and half an hour is no multiple of a fold period.
        for (period, from, hours) in [("30_min", 0, 120), ("1_d", 0, 120), ("5_d", -48, 120)] {
            let before = ask(period, from, hours).await;
            store.compact(CompactOptions { all: true }, &Watch::default()).await.unwrap();
            assert_eq!(bits(&ask(period, from, hours).await), bits(&before), "{period}");
        }
        let all = ask("1_h", 0, 120).await;
        for hour in [0, 1, 50, 119] {
            assert_eq!(bits(&ask("1_h", hour, 1).await), bits(&all[hour as usize..=hour as usize]));
        }
    });
}

#[test]
fn a_period_longer_than_a_job_is_resampled_from_one_sample_each() {
    run(async {
        let (store, id) = new_store(DataType::Float64, "1_s".parse().unwrap(), 0).await;
        let values: Vec<f64> = (0..SECONDS).map(|index| index as f64).collect();
        let samples = Samples::new(at(0), "1_s".parse().unwrap(), Values::F64(values)).unwrap();
        store.write(Write::new().rows(id, samples.clone())).await.unwrap();
        let period: SamplePeriod = "400000_s".parse().unwrap();
        let range = period.widen(TimeRange::new(at(0), at(900_000)).unwrap()).unwrap();
        for kinds in [vec![Kind::Resampled], vec![Kind::Resampled, Kind::Count]] {
            let query = Query { kinds, period, range, threshold: None };
            let found = read(&store, id, query).await.remove(0);
            let wanted = RepresentationId { period, kind: Kind::Resampled };
            assert_eq!(bits(&found), bits(&read_samples(&samples, wanted, range, None).unwrap()));
            assert!(found.iter().any(|value| !value.is_nan()));
        }
    });
}

#[test]
fn a_phase_is_no_obstacle_and_integers_keep_their_gaps() {
    run(async {
        // Ten-minute data that were stamped at minute five.
        let phase = 300 * Tick::PER_SECOND;
        let period: SamplePeriod = "10_min".parse().unwrap();
        let (store, id) = new_store(DataType::Int32, period, phase).await;
        let starts = [0_i64, 600, 1800, 3000].map(|second| at(second + 300));
        let rows = sheaf_store::Rows::listed(starts.to_vec(), Values::I32(vec![1, 2, 4, 6])).unwrap();
        store.write(Write::new().rows(id, rows)).await.unwrap();
        let range = TimeRange::new(at(0), at(3600)).unwrap();
        let query = Query { kinds: vec![Kind::Original], period, range, threshold: None };
        let found = read(&store, id, query).await.remove(0);
        assert_eq!(bits(&found), bits(&[1.0, 2.0, f64::NAN, 4.0, f64::NAN, 6.0]));
        let period = "1_h".parse().unwrap();
        let query =
            Query { kinds: vec![Kind::Sum, Kind::Count], period, range, threshold: Threshold::new(0.5) };
        assert_eq!(read(&store, id, query).await, [[13.0], [4.0]]);
    });
}
