//! A reading of a source with rollups is one without them, to the bit, whatever happens to the source.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestRunner};
use sheaf_engine::{Query, Reading, SourceIdentity, SourceRollups, Usage, read_in_place};
use sheaf_model::{DataType, Kind, ResourceId, SamplePeriod, Samples, Threshold, Tick, TimeRange, Values};
use sheaf_sources::{
    DataSource, FolderConfig, FolderSource, Revision, SourceError, SourceProblem, SourceSeries,
};
use sheaf_store::{RollupSettings, Rollups};
use tempfile::TempDir;

use super::stored::{bits, run, value};

/// 2020-01-01, a Wednesday.
const ORIGIN: i64 = 637_134_336_000_000_000;

/// Seconds of all that there is: a fortnight.
const SLOTS: i64 = 14 * 86_400;

fn rollups(folder: &Path) -> Arc<Rollups> {
    let keep_all = RollupSettings { limit_bytes: 1 << 30, fewest_samples: 0 };
    Arc::new(Rollups::new(folder.join("rollups.redb"), keep_all))
}

fn at(second: i64) -> Tick {
    Tick::new(ORIGIN + second * Tick::PER_SECOND).unwrap()
}

fn query(kinds: &[Kind], period: &str, begin: i64, end: i64) -> Query {
    let period: SamplePeriod = period.parse().unwrap();
    let range = period.widen(TimeRange::new(at(begin), at(end)).unwrap()).unwrap();
    Query { kinds: kinds.to_vec(), period, range, threshold: Threshold::new(0.5) }
}

/// What happens to a source while somebody reads it, before so many reads are over.
type Change = Box<dyn FnOnce(&mut State) + Send>;

/// A source with a revision for each hour, whose samples can be changed.
struct Changing {
    state: Mutex<State>,
    reads: AtomicU64,
    revisions: AtomicU64,
    fails: AtomicBool,
    /// What happens in the middle of the next read of samples.
    next: Mutex<Option<Change>>,
}

struct State {
    values: Vec<f64>,
    revisions: HashMap<i64, u64>,
}

impl State {
    fn write(&mut self, second: i64, values: &[f64]) {
        let second = second.clamp(0, SLOTS);
        let end = (second + values.len() as i64).min(SLOTS);
        self.values[second as usize..end as usize].copy_from_slice(&values[..(end - second) as usize]);
        for hour in second / 3600..=(end - 1).max(second) / 3600 {
            *self.revisions.entry(hour).or_default() += 1;
        }
    }
}

impl std::fmt::Debug for Changing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Changing").finish_non_exhaustive()
    }
}

impl Changing {
    fn new(seed: u64) -> Arc<Changing> {
        let values = (0..SLOTS as usize).map(|index| value(seed, index, 1)).collect();
        Arc::new(Changing {
            state: Mutex::new(State { values, revisions: HashMap::new() }),
            reads: AtomicU64::new(0),
            revisions: AtomicU64::new(0),
            fails: AtomicBool::new(false),
            next: Mutex::new(None),
        })
    }

    fn write(&self, second: i64, values: &[f64]) {
        self.state.lock().unwrap().write(second, values);
    }

    fn series() -> SourceSeries {
        let mut series = SourceSeries::new("T1".parse().unwrap(), "1_s".parse().unwrap(), DataType::Float64);
        series.range = TimeRange::new(at(0), at(SLOTS)).ok();
        series
    }
}

impl DataSource for Changing {
    fn name(&self) -> &str {
        "the source that changes"
    }

    fn refresh(&self) -> Result<(), SourceError> {
        Ok(())
    }

    fn series(&self) -> Result<Vec<SourceSeries>, SourceError> {
        Ok(vec![Changing::series()])
    }

    fn read(&self, _: &ResourceId, _: SamplePeriod, range: TimeRange) -> Result<Samples, SourceError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let mut state = self.state.lock().unwrap();
        if let Some(change) = self.next.lock().unwrap().take() {
            change(&mut state);
        }
        let second = |tick: Tick| (tick.ticks() - ORIGIN) / Tick::PER_SECOND;
        let values = (second(range.begin())..second(range.end()))
            .map(|second| if (0..SLOTS).contains(&second) { state.values[second as usize] } else { f64::NAN })
            .collect();
        Ok(Samples::new(range.begin(), "1_s".parse().unwrap(), Values::F64(values)).unwrap())
    }

    fn revision(&self, _: &ResourceId, _: SamplePeriod, range: TimeRange) -> Result<Revision, SourceError> {
        self.revisions.fetch_add(1, Ordering::Relaxed);
        if self.fails.load(Ordering::Relaxed) {
            return Err(SourceError::of_source(self.name(), SourceProblem::NoFiles));
        }
        let state = self.state.lock().unwrap();
        let hour = |ticks: i64| (ticks - ORIGIN).div_euclid(3600 * Tick::PER_SECOND);
        let hours = hour(range.begin().ticks())..=hour(range.end().ticks() - 1);
        let changes = state.revisions.iter().filter(|(hour, _)| hours.contains(hour)).map(|(_, count)| count);
        Ok(Revision(changes.sum()))
    }
}

/// Where states of a source with this name are kept.
fn kept(rollups: &Arc<Rollups>, mount: &str) -> SourceRollups {
    let source = SourceIdentity::new(1, &mount.parse().unwrap(), "{}");
    SourceRollups { rollups: rollups.clone(), source }
}

fn finish(reading: Reading) -> Result<(Vec<Vec<u64>>, Usage), String> {
    let (mut reading, mut columns) = (reading, Vec::new());
    for block in reading.by_ref() {
        let block = block.map_err(|error| error.to_string())?;
        columns.resize(block.len(), Vec::new());
        columns
            .iter_mut()
            .zip(block)
            .for_each(|(column, part): (&mut Vec<u64>, _)| column.extend(bits(&part)));
    }
    Ok((columns, reading.usage()))
}

fn read(
    source: &Arc<dyn DataSource>,
    query: &Query,
    rollups: Option<&SourceRollups>,
) -> Result<(Vec<Vec<u64>>, Usage), String> {
    let series = source.series().unwrap().remove(0);
    finish(read_in_place(source, &series, query.clone(), rollups).unwrap())
}

/// Reads with and without rollups, and compares.
fn compare(source: &Arc<dyn DataSource>, query: &Query, rollups: &SourceRollups) -> Result<Usage, String> {
    let (cold, _) = read(source, query, None)?;
    let (kept, usage) = read(source, query, Some(rollups))?;
    if cold == kept { Ok(usage) } else { Err(format!("{query:?} differs ({usage:?})")) }
}

fn none(kept_buckets: u64) -> Usage {
    Usage { kept_buckets, ..Usage::default() }
}

#[test]
fn chunks_hold_as_long_as_their_revision_is_the_same() {
    let folder = TempDir::new().unwrap();
    let (changing, rollups) = (Changing::new(1), rollups(folder.path()));
    let source: Arc<dyn DataSource> = changing.clone();
    let kept = kept(&rollups, "/a");
    let minutes = query(&[Kind::Mean, Kind::Std], "1_min", 0, SLOTS);
    let all = (SLOTS / 60) as u64;
    let first = compare(&source, &minutes, &kept).unwrap();
    assert_eq!((first.kept_buckets, first.folded_buckets), (0, all));
    for _ in 0..2 {
        // Out of values, not a sample is read.
        let before = changing.reads.load(Ordering::Relaxed);
        let (_, usage) = read(&source, &minutes, Some(&kept)).unwrap();
        assert_eq!((usage, changing.reads.load(Ordering::Relaxed)), (none(all), before));
        // A part, and another kind of the family.
        let part = query(&[Kind::Max], "1_min", 90_000, 600_000);
        assert_eq!(compare(&source, &part, &kept).unwrap().folded_buckets, 0);
        run(rollups.flush());
    }
    // One chunk of states is 1024 minutes; all of it is void.
    changing.write(500_000, &[1e6; 3]);
    let usage = compare(&source, &minutes, &kept).unwrap();
    assert_eq!((usage.kept_buckets, usage.folded_buckets), (all - 1024, 1024));
    assert_eq!(compare(&source, &minutes, &kept).unwrap(), none(all));
    // Coarser periods share states with each other.
    let hours = query(&[Kind::Mean], "1_h", 0, SLOTS);
    assert!(compare(&source, &hours, &kept).unwrap().folded_buckets > 0);
    let days = query(&[Kind::Min], "1_d", 0, SLOTS);
    assert_eq!(compare(&source, &days, &kept).unwrap().folded_buckets, 0);
}

#[test]
fn sources_share_nothing() {
    let folder = TempDir::new().unwrap();
    let rollups = rollups(folder.path());
    let sources = [Changing::new(1), Changing::new(2)];
    let minutes = query(&[Kind::Mean], "1_min", 0, 86_400);
    for (source, mount) in sources.iter().zip(["/a", "/b"]) {
        let source: Arc<dyn DataSource> = source.clone();
        // The same resource at the same revisions.
        assert_eq!(compare(&source, &minutes, &kept(&rollups, mount)).unwrap().kept_buckets, 0);
        assert_eq!(compare(&source, &minutes, &kept(&rollups, mount)).unwrap(), none(1440));
    }
    assert!(rollups.entries().iter().all(|(key, _)| sheaf_engine::rollup_series(key, 1).is_none()));
}

#[test]
fn a_source_without_a_revision_is_an_error_and_never_what_was_kept() {
    let folder = TempDir::new().unwrap();
    let (changing, rollups) = (Changing::new(1), rollups(folder.path()));
    let source: Arc<dyn DataSource> = changing.clone();
    let kept = kept(&rollups, "/a");
    let minutes = query(&[Kind::Mean], "1_min", 0, 86_400);
    compare(&source, &minutes, &kept).unwrap();
    changing.fails.store(true, Ordering::Relaxed);
    let error = read(&source, &minutes, Some(&kept)).unwrap_err();
    assert!(error.contains("the source that changes"), "{error}");
    // It is not asked where nothing is kept.
    assert!(read(&source, &minutes, None).is_ok());
    changing.fails.store(false, Ordering::Relaxed);
    assert_eq!(compare(&source, &minutes, &kept).unwrap(), none(1440));
    // One that fails once the samples are there only costs what would be kept.
    changing.write(0, &[1.0]);
    let failing = changing.clone();
    *changing.next.lock().unwrap() = Some(Box::new(move |_| failing.fails.store(true, Ordering::Relaxed)));
    assert!(read(&source, &minutes, Some(&kept)).is_ok());
    changing.fails.store(false, Ordering::Relaxed);
    assert!(compare(&source, &minutes, &kept).unwrap().folded_buckets > 0);
}

/// Whatever a reading saw of a change in its middle, nothing of it is found later that is not so.
#[test]
fn a_change_in_the_middle_of_a_reading_costs_what_it_would_keep() {
    let folder = TempDir::new().unwrap();
    let (changing, rollups) = (Changing::new(1), rollups(folder.path()));
    let source: Arc<dyn DataSource> = changing.clone();
    let kept = kept(&rollups, "/a");
    for (period, seconds) in [("1_min", SLOTS), ("1_h", SLOTS), ("1_d", SLOTS)] {
        let wanted = query(&[Kind::Mean], period, 0, seconds);
        *changing.next.lock().unwrap() =
            Some(Box::new(|state| (0..SLOTS / 3600).for_each(|hour| state.write(hour * 3600, &[-1e9; 7]))));
        read(&source, &wanted, Some(&kept)).unwrap();
        compare(&source, &wanted, &kept).unwrap();
        assert_eq!(compare(&source, &wanted, &kept).unwrap().folded_buckets, 0);
    }
}

#[derive(Clone, Debug)]
enum Step {
    Write {
        second: i64,
        len: usize,
        seed: u64,
    },
    /// A read in whose middle something is written.
    Disturbed {
        second: i64,
        len: usize,
        seed: u64,
        wanted: usize,
        begin: i64,
        span: i64,
    },
    /// A part of a reading.
    Dropped {
        wanted: usize,
        begin: i64,
        span: i64,
    },
    Read {
        wanted: usize,
        begin: i64,
        span: i64,
        kinds: usize,
    },
    Flush,
}

const WANTED: [&str; 5] = ["1_min", "7_min", "10_min", "1_h", "1_d"];
const KINDS: [&[Kind]; 4] =
    [&[Kind::Mean], &[Kind::Std, Kind::Max], &[Kind::Mean, Kind::Last], &[Kind::Mean, Kind::Resampled]];

fn step() -> impl Strategy<Value = Step> {
    let write = || (0..SLOTS, prop_oneof![3 => 1_usize..50, 1 => 1000_usize..200_000], any::<u64>());
    let read = || (0..WANTED.len(), 0..SLOTS, prop_oneof![1 => 1..50_000_i64, 1 => 100_000..SLOTS]);
    prop_oneof![
        3 => write().prop_map(|(second, len, seed)| Step::Write { second, len, seed }),
        2 => (write(), read()).prop_map(|((second, len, seed), (wanted, begin, span))| Step::Disturbed {
            second, len, seed, wanted, begin, span
        }),
        1 => read().prop_map(|(wanted, begin, span)| Step::Dropped { wanted, begin, span }),
        6 => (read(), 0..KINDS.len())
            .prop_map(|((wanted, begin, span), kinds)| Step::Read { wanted, begin, span, kinds }),
        1 => Just(Step::Flush),
    ]
}

fn play(steps: &[Step]) -> Result<u64, String> {
    let folder = TempDir::new().unwrap();
    let (changing, rollups) = (Changing::new(9), rollups(folder.path()));
    let source: Arc<dyn DataSource> = changing.clone();
    let kept = kept(&rollups, "/a");
    let mut served = 0;
    for step in steps {
        match *step {
            Step::Write { second, len, seed } => {
                let values: Vec<f64> = (0..len).map(|index| value(seed, index, 1)).collect();
                changing.write(second, &values);
            }
            Step::Disturbed { second, len, seed, wanted, begin, span } => {
                let values: Vec<f64> = (0..len).map(|index| value(seed, index, 1)).collect();
                *changing.next.lock().unwrap() = Some(Box::new(move |state| state.write(second, &values)));
                read(&source, &query(KINDS[0], WANTED[wanted], begin, begin + span), Some(&kept))?;
                *changing.next.lock().unwrap() = None;
            }
            Step::Dropped { wanted, begin, span } => {
                let query = query(KINDS[1], WANTED[wanted], begin, begin + span);
                let mut reading = read_in_place(&source, &Changing::series(), query, Some(&kept)).unwrap();
                reading.next().transpose().map_err(|error| error.to_string())?;
            }
            Step::Read { wanted, begin, span, kinds } => {
                let query = query(KINDS[kinds], WANTED[wanted], begin, begin + span);
                served += compare(&source, &query, &kept)?.kept_buckets;
            }
            Step::Flush => run(rollups.flush()),
        }
    }
    Ok(served)
}

#[test]
fn reads_with_rollups_are_reads_without_them_whatever_happens_to_the_source() {
    let config = ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() };
    let served = AtomicU64::new(0);
    let result = TestRunner::new(config).run(&prop::collection::vec(step(), 5..25), |steps| {
        served.fetch_add(play(&steps).map_err(TestCaseError::fail)?, Ordering::Relaxed);
        Ok(())
    });
    result.unwrap();
    // How many is up to chance; without any, nothing would have been compared.
    assert!(served.into_inner() > 0);
}

/// Days of seconds, a file each.
#[test]
fn a_folder_holds_as_long_as_its_files_are_what_they_were() {
    let (folder, data) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let write = |day: i64, rise: f64| {
        let mut text = "time,T1\n".to_owned();
        for second in 0..86_400 {
            text += &format!("{},{}\n", at(day * 86_400 + second), second as f64 / 8.0 + rise);
        }
        fs::write(data.path().join(format!("2020-01-0{}.csv", day + 1)), text).unwrap();
    };
    (0..3).for_each(|day| write(day, 0.0));
    let config = FolderConfig {
        root: data.path().to_owned(),
        template: "{yyyy}-{MM}-{dd}.csv".to_owned(),
        ..FolderConfig::default()
    };
    let source: Arc<dyn DataSource> = Arc::new(FolderSource::open(config).unwrap());
    let rollups = rollups(folder.path());
    let kept = kept(&rollups, "/a");
    let minutes = query(&[Kind::Mean], "1_min", 0, 3 * 86_400);
    assert_eq!(compare(&source, &minutes, &kept).unwrap().kept_buckets, 0);
    assert_eq!(compare(&source, &minutes, &kept).unwrap(), none(4320));
    // Other numbers of the same length, written later.
    write(0, 0.5);
    let path = data.path().join("2020-01-01.csv");
    fs::File::options()
        .append(true)
        .open(&path)
        .unwrap()
        .set_modified(SystemTime::now() + Duration::from_secs(9))
        .unwrap();
    source.refresh().unwrap();
    let usage = compare(&source, &minutes, &kept).unwrap();
    assert!(usage.kept_buckets > 0 && usage.folded_buckets >= 1440, "{usage:?}");
    assert_eq!(compare(&source, &minutes, &kept).unwrap(), none(4320));
    // Another day.
    write(3, 1.0);
    source.refresh().unwrap();
    let longer = query(&[Kind::Mean], "1_min", 0, 4 * 86_400);
    let usage = compare(&source, &longer, &kept).unwrap();
    assert!(usage.kept_buckets > 2880 && usage.folded_buckets >= 1440, "{usage:?}");
}
