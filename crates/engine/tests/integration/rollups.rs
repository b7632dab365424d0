//! A reading with rollups is one without them, to the bit, whatever happens to the store, to the rollups and between them.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestRunner};
use sheaf_engine::{Query, Usage, read_stored, rollup_series};
use sheaf_model::{DataType, Kind, SamplePeriod, Samples, Threshold, Tick, TimeRange, Values};
use sheaf_store::manifest::MemoryManifest;
use sheaf_store::testing::FaultyDisk;
use sheaf_store::{
    CompactOptions, Layout, RollupSettings, Rollups, Rows, SeriesId, SeriesSpec, Settings, Snapshot, Store,
    Watch, Write,
};
use tempfile::TempDir;

use super::stored::{bits, run, value};

/// 2020-01-01, a Wednesday.
const ORIGIN: i64 = 637_134_336_000_000_000;

/// Everything is kept, however little it took.
const KEEP_ALL: RollupSettings = RollupSettings { limit_bytes: 1 << 30, fewest_samples: 0 };

fn settings() -> Settings {
    Settings { tail_write_bytes: 4096, ..Settings::default() }
}

fn rollups(folder: &Path) -> Arc<Rollups> {
    Arc::new(Rollups::new(folder.join("rollups.redb"), KEEP_ALL))
}

/// A series of the tests.
struct Series {
    data_type: DataType,
    period: &'static str,
    phase_ticks: i64,
    /// Periods to read it at: of the ladder and off it, within a job and beyond one.
    wanted: &'static [&'static str],
}

const SERIES: [Series; 3] = [
    Series {
        data_type: DataType::Float64,
        period: "1_s",
        phase_ticks: 0,
        wanted: &["1_min", "7_min", "10_min", "90_min", "1_h", "6_h", "1_d", "3_d", "5_d", "300007_s"],
    },
    Series {
        data_type: DataType::Int32,
        period: "1_min",
        phase_ticks: 13 * Tick::PER_SECOND,
        wanted: &["30_min", "1_h", "97_min", "1_d", "7_d"],
    },
    Series {
        data_type: DataType::Float32,
        period: "100_ms",
        phase_ticks: 0,
        wanted: &["10_s", "1_min", "5_min", "10_min", "13_min", "1_h", "12_h"],
    },
];

const FLOAT_KINDS: [Kind; 12] = [
    Kind::Mean,
    Kind::Max,
    Kind::Std,
    Kind::Sum,
    Kind::Min,
    Kind::Rms,
    Kind::Count,
    Kind::First,
    Kind::Last,
    Kind::MeanPolarDeg,
    Kind::Median,
    Kind::Resampled,
];
const INTEGER_KINDS: [Kind; 6] =
    [Kind::MinBitwise, Kind::MaxBitwise, Kind::Mean, Kind::Std, Kind::Median, Kind::Last];

/// Periods that the samples of a series lie within.
const SLOTS: i64 = 500_000;

fn at(period: SamplePeriod, slot: i64) -> Tick {
    Tick::new(ORIGIN + slot * period.ticks()).unwrap()
}

async fn new_store(series: &[Series]) -> (FaultyDisk, MemoryManifest, Store, Vec<SeriesId>) {
    let (disk, manifest) = (FaultyDisk::new(), MemoryManifest::new());
    let store = Store::open(Arc::new(disk.clone()), Arc::new(manifest.clone()), settings()).await.unwrap();
    let specs: Vec<SeriesSpec> = series
        .iter()
        .map(|series| SeriesSpec {
            key: format!("/a/T1/{}", series.period),
            data_type: series.data_type,
            layout: Layout::Regular {
                period: series.period.parse().unwrap(),
                phase_ticks: series.phase_ticks,
            },
        })
        .collect();
    let ids = store.create_series(&specs).await.unwrap();
    (disk, manifest, store, ids)
}

async fn write(store: &Store, id: SeriesId, series: &Series, slot: i64, values: &[f64]) {
    let period: SamplePeriod = series.period.parse().unwrap();
    let start = at(period, slot);
    if series.data_type == DataType::Int32 {
        let valid = values.iter().enumerate().filter(|(_, value)| !value.is_nan());
        let (starts, values): (Vec<Tick>, Vec<i32>) = valid
            .map(|(row, value)| {
                let start = at(period, slot + row as i64).ticks() + series.phase_ticks;
                (Tick::new(start).unwrap(), *value as i32)
            })
            .unzip();
        if !starts.is_empty() {
            let rows = Rows::listed(starts, Values::I32(values)).unwrap();
            store.write(Write::new().rows(id, rows)).await.unwrap();
        }
        return;
    }
    let samples = match series.data_type {
        DataType::Float32 => {
            let values = values.iter().map(|value| *value as f32).collect();
            Samples::new(start, period, Values::F32(values)).unwrap()
        }
        _ => Samples::new(start, period, Values::F64(values.to_vec())).unwrap(),
    };
    store.write(Write::new().rows(id, samples)).await.unwrap();
}

async fn read(
    snapshot: &Snapshot,
    id: SeriesId,
    query: &Query,
    rollups: Option<&Arc<Rollups>>,
) -> (Vec<Vec<u64>>, Usage) {
    read_in_blocks(snapshot, id, query, rollups, &[]).await
}

/// Reads blocks of so many values, one after the other, and lets go of memory after each; or all as it comes.
async fn read_in_blocks(
    snapshot: &Snapshot,
    id: SeriesId,
    query: &Query,
    rollups: Option<&Arc<Rollups>>,
    blocks: &'static [usize],
) -> (Vec<Vec<u64>>, Usage) {
    let mut reading = read_stored(snapshot, id, query.clone(), rollups).await.unwrap();
    let wanted = reading.values() as usize;
    let columns = tokio::task::spawn_blocking(move || {
        let mut columns: Vec<Vec<u64>> = Vec::new();
        let mut sizes = blocks.iter().cycle();
        loop {
            if let Some(&values) = sizes.next() {
                reading.release();
                reading.set_block(values);
            }
            let Some(block) = reading.next() else { break };
            let block = block.unwrap();
            assert!(blocks.is_empty() || block[0].len() <= 3000);
            columns.resize(block.len(), Vec::new());
            columns.iter_mut().zip(block).for_each(|(column, part)| column.extend(bits(&part)));
        }
        (columns, reading.usage())
    });
    let (columns, usage) = columns.await.unwrap();
    assert!(columns.iter().all(|column| column.len() == wanted));
    (columns, usage)
}

/// Reads with and without rollups, and compares.
async fn compare(
    snapshot: &Snapshot,
    id: SeriesId,
    query: &Query,
    rollups: &Arc<Rollups>,
) -> Result<Usage, String> {
    let (cold, alone) = read(snapshot, id, query, None).await;
    assert_eq!(alone.kept_buckets, 0);
    let (kept, usage) = read(snapshot, id, query, Some(rollups)).await;
    for rollups in [None, Some(rollups)] {
        let (slow, _) = read_in_blocks(snapshot, id, query, rollups, &[1, 3000, 70]).await;
        assert!(slow == cold, "{query:?} read slowly");
    }
    match cold.iter().zip(&kept).position(|(cold, kept)| cold != kept) {
        None => Ok(usage),
        Some(column) => {
            let row = (0..cold[column].len()).find(|&row| cold[column][row] != kept[column][row]).unwrap();
            Err(format!(
                "{query:?}: {} is {} instead of {} in row {row} ({usage:?})",
                query.kinds[column],
                f64::from_bits(kept[column][row]),
                f64::from_bits(cold[column][row]),
            ))
        }
    }
}

fn hours(kinds: &[Kind], period: &str, begin: i64, end: i64) -> Query {
    let range = TimeRange::new(hour(begin), hour(end)).unwrap();
    Query { kinds: kinds.to_vec(), period: period.parse().unwrap(), range, threshold: None }
}

fn hour(hour: i64) -> Tick {
    Tick::new(ORIGIN + hour * 3600 * Tick::PER_SECOND).unwrap()
}

#[derive(Clone, Debug)]
enum Step {
    /// Values from a slot on, with so many percent missing; some of them over older ones.
    Write {
        series: usize,
        slot: i64,
        len: usize,
        seed: u64,
        missing_percent: u64,
    },
    Delete {
        series: usize,
        slot: i64,
        slots: i64,
    },
    Compact,
    ReopenStore,
    /// The next reads go through another handle on the same file.
    OtherHandle,
    ReopenRollups,
    RemoveFile,
    Flush,
    /// Later reads may go to the store as it is now.
    KeepSnapshot,
    Read {
        series: usize,
        old: bool,
        wanted: usize,
        begin: i64,
        len: i64,
        kinds: u16,
        threshold: Option<f64>,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let series = || 0..SERIES.len();
    let len = prop_oneof![4 => 1_usize..700, 2 => 700_usize..9000, 1 => 100_000_usize..300_000];
    let write = (series(), 0_i64..200_000, len, any::<u64>(), prop_oneof![Just(0_u64), Just(1), Just(60)])
        .prop_map(|(series, slot, len, seed, missing_percent)| Step::Write {
            series,
            slot,
            len,
            seed,
            missing_percent,
        });
    let delete = (series(), 0_i64..SLOTS, 1_i64..20_000).prop_map(|(series, slot, slots)| Step::Delete {
        series,
        slot,
        slots,
    });
    let threshold = prop_oneof![Just(None), Just(Some(0.0)), Just(Some(0.5)), Just(Some(1.0))];
    let span = prop_oneof![3 => 1_i64..5000, 2 => 5000_i64..100_000, 1 => 100_000_i64..SLOTS];
    let read =
        (series(), prop::bool::weighted(0.15), 0_usize..16, -9000_i64..SLOTS, span, any::<u16>(), threshold)
            .prop_map(|(series, old, wanted, begin, len, kinds, threshold)| Step::Read {
                series,
                old,
                wanted,
                begin,
                len,
                kinds,
                threshold,
            });
    prop_oneof![
        5 => write,
        2 => delete,
        1 => Just(Step::Compact),
        1 => Just(Step::ReopenStore),
        1 => Just(Step::OtherHandle),
        1 => Just(Step::ReopenRollups),
        1 => (0_u8..4).prop_map(|n| if n == 0 { Step::RemoveFile } else { Step::Flush }),
        2 => Just(Step::KeepSnapshot),
        14 => read,
    ]
}

async fn play(steps: &[Step], total: &mut Usage) -> Result<(), String> {
    let folder = TempDir::new().unwrap();
    let (disk, manifest, mut store, ids) = new_store(&SERIES).await;
    let mut handles = [rollups(folder.path()), rollups(folder.path())];
    let mut old = store.snapshot(&ids).await.unwrap();
    for step in steps {
        match step {
            Step::Write { series, slot, len, seed, missing_percent } => {
                let values: Vec<f64> = (0..*len).map(|index| value(*seed, index, *missing_percent)).collect();
                write(&store, ids[*series], &SERIES[*series], *slot, &values).await;
            }
            Step::Delete { series, slot, slots } => {
                let period = SERIES[*series].period.parse().unwrap();
                let range = TimeRange::new(at(period, *slot), at(period, slot + slots)).unwrap();
                store.delete(ids[*series], range).await.unwrap();
            }
            Step::Compact => {
                store.compact(CompactOptions { all: true }, &Watch::default()).await.unwrap();
            }
            Step::ReopenStore => {
                let opened = Store::open(Arc::new(disk.clone()), Arc::new(manifest.clone()), settings());
                store = opened.await.unwrap();
            }
            Step::OtherHandle => handles.swap(0, 1),
            Step::ReopenRollups => handles[0] = rollups(folder.path()),
            Step::RemoveFile => {
                // Where there is none yet, so much the better.
                let _ = fs::remove_file(handles[0].path());
            }
            Step::Flush => handles[0].flush().await,
            Step::KeepSnapshot => old = store.snapshot(&ids).await.unwrap(),
            Step::Read { series, old: is_old, wanted, begin, len, kinds, threshold } => {
                let described = &SERIES[*series];
                let base: SamplePeriod = described.period.parse().unwrap();
                let period: SamplePeriod = described.wanted[wanted % described.wanted.len()].parse().unwrap();
                let range = TimeRange::new(at(base, *begin), at(base, begin + len)).unwrap();
                let all: &[Kind] = if described.data_type.is_float() { &FLOAT_KINDS } else { &INTEGER_KINDS };
                let mut kinds: Vec<Kind> =
                    (0..3).map(|n| all[usize::from(kinds >> (4 * n) & 15) % all.len()]).collect();
                kinds.truncate(1 + begin.rem_euclid(3) as usize);
                let threshold = threshold.and_then(Threshold::new);
                let query = Query { kinds, period, range: period.widen(range).unwrap(), threshold };
                let snapshot = if *is_old { old.clone() } else { store.snapshot(&ids).await.unwrap() };
                let usage = compare(&snapshot, ids[*series], &query, &handles[0]).await?;
                total.kept_buckets += usage.kept_buckets;
                total.folded_buckets += usage.folded_buckets;
            }
        }
    }
    Ok(())
}

fn play_any(steps: impl Strategy<Value = Vec<Step>>) -> Usage {
    let mut runner =
        TestRunner::new(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() });
    let total = std::cell::RefCell::new(Usage::default());
    let result = runner.run(&steps, |steps| {
        let mut used = Usage::default();
        run(play(&steps, &mut used)).map_err(TestCaseError::fail)?;
        let mut total = total.borrow_mut();
        total.kept_buckets += used.kept_buckets;
        total.folded_buckets += used.folded_buckets;
        Ok(())
    });
    result.unwrap();
    total.into_inner()
}

#[test]
fn reads_with_rollups_are_reads_without_them_whatever_happens() {
    let total = play_any(prop::collection::vec(step(), 10..60));
    assert!(total.kept_buckets > 1000, "{total:?}");
}

/// The same few questions again and again, so that values that were given before have the answer.
#[test]
fn values_that_were_given_before_are_those_that_hold() {
    let alike = |mut step: Step| {
        match &mut step {
            Step::Write { series, .. } | Step::Delete { series, .. } => *series = 0,
            Step::Read { series, wanted, kinds, threshold, .. } => {
                (*series, *wanted, *threshold) = (0, 0, None);
                *kinds &= 0x11;
            }
            _ => {}
        }
        step
    };
    let total = play_any(prop::collection::vec(step().prop_map(alike), 30..90));
    assert!(total.kept_buckets > 100_000, "{total:?}");
}

/// A day of seconds; then any coarser period, any kind of the family and any part of it without a single sample.
#[test]
fn one_read_answers_others() {
    run(async {
        let folder = TempDir::new().unwrap();
        let (_, _, store, ids) = new_store(&SERIES[..1]).await;
        let values: Vec<f64> = (0..200_000).map(|index| value(3, index, 1)).collect();
        write(&store, ids[0], &SERIES[0], 0, &values).await;
        let kept = rollups(folder.path());
        let snapshot = store.snapshot(&ids).await.unwrap();
        let first = compare(&snapshot, ids[0], &hours(&[Kind::Mean], "10_min", 0, 48), &kept).await.unwrap();
        assert_eq!(
            first,
            Usage { kept_buckets: 0, folded_buckets: 288, scanned_samples: first.scanned_samples }
        );
        assert_eq!(first.scanned_samples, 48 * 3600);
        let none = |kept_buckets| Usage { kept_buckets, ..Usage::default() };
        for round in 0..2 {
            for (kinds, period, begin, end, buckets) in [
                (&[Kind::Mean][..], "10_min", 0, 48, 288),
                (&[Kind::Max], "1_h", 0, 48, 288),
                (&[Kind::Std, Kind::Rms, Kind::Count], "1_d", 0, 48, 288),
                (&[Kind::Sum], "90_min", 3, 12, 54),
                (&[Kind::Min], "20_min", 47, 48, 6),
            ] {
                let query = hours(kinds, period, begin, end);
                let usage = compare(&snapshot, ids[0], &query, &kept).await.unwrap();
                assert_eq!(usage, none(buckets), "{kinds:?} {period}, round {round}");
            }
            // Now from the file.
            kept.flush().await;
        }
        let kept = rollups(folder.path());
        let other = rollups(folder.path());
        for handle in [&kept, &other] {
            let query = hours(&[Kind::Std], "1_d", 0, 48);
            assert_eq!(compare(&snapshot, ids[0], &query, handle).await.unwrap(), none(288));
        }
        let of_series = |key: &[u8]| rollup_series(key, store.id()) == Some(ids[0]);
        assert!(!kept.entries().is_empty() && kept.entries().iter().all(|(key, _)| of_series(key)));
    });
}

/// What changed is read anew: exactly the buckets that it touches, and what was not asked for before.
#[test]
fn only_what_changed_is_folded_again() {
    run(async {
        let folder = TempDir::new().unwrap();
        let (_, _, store, ids) = new_store(&SERIES[..1]).await;
        let (id, series) = (ids[0], &SERIES[0]);
        let values: Vec<f64> = (0..172_800).map(|index| value(4, index, 0)).collect();
        write(&store, id, series, 0, &values).await;
        let kept = rollups(folder.path());
        let usage = async |query: &Query| {
            let snapshot = store.snapshot(&ids).await.unwrap();
            let usage = compare(&snapshot, id, query, &kept).await.unwrap();
            (usage.kept_buckets, usage.folded_buckets, usage.scanned_samples)
        };
        let days = hours(&[Kind::Mean, Kind::Std], "1_h", 0, 48);
        // Hundreds of pieces, in a scattered order; then what lies between them.
        for piece in 0..144 {
            let bucket = piece * 55 % 144 * 2;
            let range = TimeRange::new(
                at("10_min".parse().unwrap(), bucket),
                at("10_min".parse().unwrap(), bucket + 1),
            );
            let query = Query { period: "10_min".parse().unwrap(), range: range.unwrap(), ..days.clone() };
            assert_eq!(usage(&query).await, (0, 1, 600), "{piece}");
        }
        assert_eq!(usage(&days).await, (144, 144, 144 * 600));
        assert_eq!(usage(&days).await, (288, 0, 0));
        // A late sample in the first bucket, three of them over a border, and a deletion.
        write(&store, id, series, 17, &[1e6]).await;
        write(&store, id, series, 5998, &[1e6, 2e6, 3e6]).await;
        assert_eq!(usage(&days).await, (285, 3, 3 * 600));
        let range = TimeRange::new(hour(20), hour(22)).unwrap();
        store.delete(id, range).await.unwrap();
        assert_eq!(usage(&hours(&[Kind::Max], "1_h", 0, 20)).await, (120, 0, 0));
        let (buckets, folded, _) = usage(&days).await;
        assert_eq!((buckets, folded), (276, 12));
        store.compact(CompactOptions { all: true }, &Watch::default()).await.unwrap();
        assert_eq!(usage(&days).await, (288, 0, 0), "compaction changes no answer");
        // The future is known to be empty, until it is not.
        assert_eq!(usage(&hours(&[Kind::Mean], "1_h", 48, 50)).await, (0, 12, 0));
        assert_eq!(usage(&hours(&[Kind::Mean], "1_h", 48, 50)).await, (12, 0, 0));
        write(&store, id, series, 172_800, &[7.0; 1200]).await;
        assert_eq!(usage(&hours(&[Kind::Mean], "1_h", 48, 50)).await, (10, 2, 1200));
    });
}

/// More states than are loaded at once, wanted as they are: those further on are never loaded, but finished from the bytes.
#[test]
fn states_that_lie_ahead_are_finished_as_those_that_are_loaded() {
    run(async {
        let folder = TempDir::new().unwrap();
        let (_, _, store, ids) = new_store(&SERIES[..1]).await;
        let (id, series) = (ids[0], &SERIES[0]);
        let mut values: Vec<f64> = (0..3_000_000).map(|index| value(5, index, 1)).collect();
        // Minutes without a sample, and some with one.
        values[2_500_000..2_600_000].fill(f64::NAN);
        values[2_550_000] = 3.0;
        write(&store, id, series, 0, &values).await;
        let kept = rollups(folder.path());
        let minute: SamplePeriod = "1_min".parse().unwrap();
        let usage = async |kinds: &[Kind], begin: i64, end: i64| {
            let snapshot = store.snapshot(&ids).await.unwrap();
            let range = TimeRange::new(at(minute, begin), at(minute, end)).unwrap();
            let query =
                Query { kinds: kinds.to_vec(), period: minute, range, threshold: Threshold::new(0.5) };
            let usage = compare(&snapshot, id, &query, &kept).await.unwrap();
            (usage.kept_buckets, usage.folded_buckets, usage.scanned_samples)
        };
        let kinds = [Kind::Mean, Kind::Last, Kind::Count, Kind::Std];
        assert_eq!(usage(&kinds, 7, 49_990).await, (0, 49_983, 49_983 * 60));
        assert_eq!(usage(&kinds, 7, 49_990).await, (49_983, 0, 0));
        assert_eq!(usage(&kinds[1..2], 5_000, 49_990).await, (44_990, 0, 0));
        // A kind of another family has no states yet.
        assert_eq!(usage(&[Kind::Mean, Kind::Median], 48_000, 48_100).await, (0, 100, 6000));
        assert_eq!(usage(&[Kind::Count], 7, 50_000).await, (49_983, 10, 600));
        // A late sample, and an hour that is deleted.
        write(&store, id, series, 2_700_017, &[1e6]).await;
        store.delete(id, TimeRange::new(at(minute, 46_000), at(minute, 46_060)).unwrap()).await.unwrap();
        assert_eq!(usage(&kinds[..1], 7, 49_990).await, (49_983 - 61, 61, 60));
        assert_eq!(usage(&kinds[..1], 7, 49_990).await, (49_983, 0, 0));
        assert_eq!(usage(&kinds, 7, 49_990).await, (49_983 - 61, 61, 60));
        kept.flush().await;
        assert_eq!(usage(&kinds, 7, 49_990).await, (49_983, 0, 0));
    });
}

/// A database that is set back, and then goes another way through commits of the same numbers.
#[test]
fn a_store_that_was_set_back_gets_nothing_of_its_lost_future() {
    run(async {
        let folder = TempDir::new().unwrap();
        let (disk, manifest, store, ids) = new_store(&SERIES[..1]).await;
        let (id, series) = (ids[0], &SERIES[0]);
        for slot in 0..20 {
            write(&store, id, series, slot * 360, &[1.0; 360]).await;
        }
        let kept = rollups(folder.path());
        let query = hours(&[Kind::Mean, Kind::Max, Kind::First], "10_min", 0, 2);
        let first = hours(&[Kind::Median], "10_min", 0, 2);
        let snapshot = store.snapshot(&ids).await.unwrap();
        compare(&snapshot, id, &first, &kept).await.unwrap();
        // The copy, and the file that says how far it has come.
        let (copy, copy_disk) = (manifest.fork(), FaultyDisk::new());
        copy_disk.put("HEAD", &disk.contents("HEAD").unwrap());
        for (slot, rise) in [(0, 2.0), (1, 3.0)] {
            write(&store, id, series, slot * 600, &[rise; 600]).await;
            let snapshot = store.snapshot(&ids).await.unwrap();
            compare(&snapshot, id, &query, &kept).await.unwrap();
        }
        kept.flush().await;

        let set_back = Store::open(Arc::new(copy_disk), Arc::new(copy), settings()).await.unwrap();
        let behind = set_back.snapshot(&ids).await.unwrap();
        let usage = compare(&behind, id, &query, &kept).await.unwrap();
        assert_eq!(usage.kept_buckets, 0, "states of commits that are no more");
        // Back to the states of the lost future, which the lost store keeps again.
        let snapshot = store.snapshot(&ids).await.unwrap();
        compare(&snapshot, id, &query, &kept).await.unwrap();
        write(&set_back, id, series, 600, &[5.0; 600]).await;
        write(&set_back, id, series, 1200, &[6.0; 600]).await;
        for commit in 0..3 {
            write(&set_back, id, series, 3000 + commit * 100, &[-4.0; 100]).await;
            let snapshot = set_back.snapshot(&ids).await.unwrap();
            let usage = compare(&snapshot, id, &query, &kept).await.unwrap();
            assert_eq!(usage.kept_buckets > 0, commit > 0, "{commit}: {usage:?}");
        }
        // What both have in common holds for both.
        let usage = compare(&behind, id, &first, &kept).await.unwrap();
        assert_eq!(usage.folded_buckets, 0);
    });
}

/// An older snapshot is not answered from the states of a newer one, and does not take their place.
#[test]
fn an_older_snapshot_leaves_the_states_of_a_newer_one_alone() {
    run(async {
        let folder = TempDir::new().unwrap();
        let (_, _, store, ids) = new_store(&SERIES[..1]).await;
        let (id, series) = (ids[0], &SERIES[0]);
        write(&store, id, series, 0, &vec![1.0; 7200]).await;
        let old = store.snapshot(&ids).await.unwrap();
        write(&store, id, series, 100, &[2.0; 10]).await;
        let new = store.snapshot(&ids).await.unwrap();
        let kept = rollups(folder.path());
        let query = hours(&[Kind::Sum], "10_min", 0, 2);
        assert_eq!(compare(&new, id, &query, &kept).await.unwrap().folded_buckets, 12);
        assert_eq!(compare(&old, id, &query, &kept).await.unwrap().kept_buckets, 0);
        assert_eq!(compare(&new, id, &query, &kept).await.unwrap().kept_buckets, 12);
    });
}

#[test]
fn a_reading_that_is_dropped_keeps_what_it_has_done() {
    run(async {
        let folder = TempDir::new().unwrap();
        let (_, _, store, ids) = new_store(&SERIES[..1]).await;
        write(&store, ids[0], &SERIES[0], 0, &vec![1.0; 400_000]).await;
        let snapshot = store.snapshot(&ids).await.unwrap();
        let kept = rollups(folder.path());
        let query = hours(&[Kind::Mean], "10_min", 0, 20_000);
        let mut reading = read_stored(&snapshot, ids[0], query.clone(), Some(&kept)).await.unwrap();
        let block = tokio::task::spawn_blocking(move || reading.next().unwrap().unwrap().remove(0).len());
        let done = block.await.unwrap() as u64;
        assert!(done < 20_000 * 6);
        let usage = compare(&snapshot, ids[0], &query, &kept).await.unwrap();
        assert_eq!((usage.kept_buckets, usage.folded_buckets), (done, 20_000 * 6 - done));
    });
}

/// Flipped bytes anywhere in the file, and files that end early: never another answer.
#[test]
fn damage_to_the_file_changes_no_answer() {
    run(async {
        let folder = TempDir::new().unwrap();
        let (_, _, store, ids) = new_store(&SERIES[..1]).await;
        let values: Vec<f64> = (0..20_000).map(|index| value(5, index, 1)).collect();
        write(&store, ids[0], &SERIES[0], 0, &values).await;
        let snapshot = store.snapshot(&ids).await.unwrap();
        let queries = [
            hours(&[Kind::Mean, Kind::First], "10_min", 0, 5),
            hours(&[Kind::MeanPolarDeg], "10_min", 0, 5),
            hours(&[Kind::Max], "1_min", 0, 5),
        ];
        let kept = rollups(folder.path());
        for query in &queries {
            compare(&snapshot, ids[0], query, &kept).await.unwrap();
        }
        let path = kept.path().to_owned();
        drop(kept);
        let intact = fs::read(&path).unwrap();
        let mut cold = Vec::new();
        for query in &queries {
            cold.push(read(&snapshot, ids[0], query, None).await.0);
        }
        // Where there is something, and beside it.
        let filled: Vec<usize> = (0..intact.len()).filter(|&at| intact[at] != 0).collect();
        let mut positions: Vec<usize> = (0..300).map(|n| filled[n * filled.len() / 300]).collect();
        positions.extend((0..512).step_by(4));
        positions.extend((0..60).map(|n| n * intact.len() / 60));
        let (mut served, mut changed) = (0, 0);
        for (number, position) in positions.into_iter().enumerate() {
            let mut damaged = intact.clone();
            match number % 8 {
                0 if number % 3 == 0 => damaged.truncate(position),
                1 => damaged[position..(position + 4096).min(intact.len())].fill(0xa5),
                bit => damaged[position] ^= 1 << bit,
            }
            fs::write(&path, &damaged).unwrap();
            let kept = Arc::new(Rollups::new(&path, KEEP_ALL));
            for (query, cold) in queries.iter().zip(&cold) {
                let (values, usage) = read(&snapshot, ids[0], query, Some(&kept)).await;
                assert_eq!(&values, cold, "{position}");
                served += usage.kept_buckets;
                changed += usage.folded_buckets;
            }
            // Whatever it was, it is a file of rollups again, or none.
            drop(kept);
            let kept = Arc::new(Rollups::new(&path, KEEP_ALL));
            for (query, cold) in queries.iter().zip(&cold) {
                assert_eq!(&read(&snapshot, ids[0], query, Some(&kept)).await.0, cold, "{position}");
            }
        }
        assert!(served > 0 && changed > 0, "{served} {changed}");
    });
}
