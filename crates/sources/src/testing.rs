//! What every source promises, as functions that panic where one does not keep it.
//!
//! They are for the tests of any [`DataSource`], also one that is written outside of this project. Put some data where the
//! source finds them, open it, and call [`laws_of_sources`]; then change the data, if you can, in [`a_change_is_seen`]:
//!
//! ```
//! use std::fs;
//!
//! use sheaf_sources::testing::{a_change_is_seen, laws_of_sources};
//! use sheaf_sources::{DataSource, FolderConfig, FolderSource};
//!
//! let folder = tempfile::tempdir()?;
//! let file = folder.path().join("a.csv");
//! fs::write(&file, "time,T1\n2020-01-01 00:00,1\n2020-01-01 00:10,2\n2020-01-01 00:20,4\n")?;
//! let config = FolderConfig { root: folder.path().into(), template: "*.csv".into(), ..FolderConfig::default() };
//! let source = FolderSource::open(config)?;
//!
//! laws_of_sources(&source);
//! let series = &source.series()?[0];
//! a_change_is_seen(&source, series, series.range.unwrap(), || {
//!     fs::write(&file, "time,T1\n2020-01-01 00:00,1\n2020-01-01 00:10,3\n2020-01-01 00:20,400\n").unwrap();
//! });
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What is checked:
//!
//! - Series have different keys and come in their order; ranges and phases fit their periods.
//! - A range gives one sample for each slot, of the type that was announced, whether it is read as a whole, in parts, or
//!   from several threads. Outside of the range of a series there are no samples.
//! - Unknown series, other periods and half slots are errors with the name of the source in them.
//! - A revision stays the same as long as the samples do, also after a refresh, and becomes another one when they change.
//! - The availability of a range is a share.
//! - What is printed of it for debugging is no secret: there is none to check, so look at it yourself.

use std::collections::HashSet;
use std::thread;

use sheaf_model::{Properties, ResourceId, SamplePeriod, Samples, TimeRange, Values};

use crate::source::{DataSource, Revision, SourceSeries};

/// Slots of a series that are read as a whole, at most.
const MOST_SLOTS: u64 = 200_000;

/// Parts that a range is read in.
const PARTS: i64 = 7;

/// Checks all that can be seen of a source without changing it. At least one series has to have samples among the first ones
/// of its range.
///
/// # Panics
/// The source does not keep what [`DataSource`] promises, or can't be read.
pub fn laws_of_sources(source: &dyn DataSource) {
    let all = series(source);
    assert!(all.iter().any(|series| series.range.is_some()), "{}: no series has samples", source.name());
    let keys: HashSet<(&ResourceId, SamplePeriod)> = all.iter().map(key).collect();
    assert_eq!(keys.len(), all.len(), "{}: two series have one key", source.name());
    assert!(
        all.is_sorted_by_key(|series| (series.resource.as_str(), series.period)),
        "{}: series are in no order",
        source.name()
    );
    for [one, next] in all.array_windows() {
        assert!(
            one.resource != next.resource || (&one.title, &one.properties) == (&next.title, &next.properties),
            "{}: two periods of {} differ in what is said of it",
            source.name(),
            one.resource
        );
    }
    let with_samples = all.iter().filter(|one| check_series(source, one)).count();
    assert!(with_samples > 0, "{}: no series has a sample", source.name());
    wrong_questions_are_errors(source, &all);
    let ranges: Vec<_> = all.iter().filter_map(|one| Some((one, one.range?))).collect();
    for &(_, range) in &ranges {
        let share = source.availability(range).unwrap_or_else(|error| panic!("{}: {error}", source.name()));
        assert!(
            share.is_none_or(|share| (0.0..=1.0).contains(&share)),
            "{}: {share:?} is no share",
            source.name()
        );
    }
    let revisions =
        || -> Vec<_> { ranges.iter().map(|(one, range)| revision(source, one, *range)).collect() };
    let (known, said) = (revisions(), properties(source));
    assert_eq!(revisions(), known, "{}: revisions change by themselves", source.name());
    refresh(source);
    assert_eq!(revisions(), known, "{}: a refresh changes revisions of what has not changed", source.name());
    assert_eq!(series(source), all, "{}: a refresh changes what has not changed", source.name());
    assert_eq!(properties(source), said, "{}: a refresh changes what has not changed", source.name());
    assert!(
        source.with_request(&serde_json::json!({})).is_ok_and(|other| other.is_none()),
        "{}: a request without a configuration makes it another source",
        source.name()
    );
}

/// Checks that a change of the samples in a range, which `change` makes, is seen after a refresh.
///
/// # Panics
/// It is not, or the source can't be read.
pub fn a_change_is_seen(
    source: &dyn DataSource,
    series: &SourceSeries,
    range: TimeRange,
    change: impl FnOnce(),
) {
    let (samples, before) = (read(source, series, range), revision(source, series, range));
    change();
    refresh(source);
    let name = source.name();
    assert_ne!(
        revision(source, series, range),
        before,
        "{name}: the revision does not follow what has changed"
    );
    assert!(!same(&read(source, series, range), &samples), "{name}: the samples are what they were");
}

fn key(series: &SourceSeries) -> (&ResourceId, SamplePeriod) {
    (&series.resource, series.period)
}

fn series(source: &dyn DataSource) -> Vec<SourceSeries> {
    source.series().unwrap_or_else(|error| panic!("{}: {error}", source.name()))
}

fn properties(source: &dyn DataSource) -> Properties {
    source.properties().unwrap_or_else(|error| panic!("{}: {error}", source.name()))
}

fn refresh(source: &dyn DataSource) {
    source.refresh().unwrap_or_else(|error| panic!("{}: {error}", source.name()));
}

fn read(source: &dyn DataSource, series: &SourceSeries, range: TimeRange) -> Samples {
    let (resource, period) = key(series);
    source
        .read(resource, period, range)
        .unwrap_or_else(|error| panic!("{}: {resource}/{period} of {range}: {error}", source.name()))
}

fn revision(source: &dyn DataSource, series: &SourceSeries, range: TimeRange) -> Revision {
    let (resource, period) = key(series);
    source
        .revision(resource, period, range)
        .unwrap_or_else(|error| panic!("{}: {resource}/{period} of {range}: {error}", source.name()))
}

/// Whether there were samples.
fn check_series(source: &dyn DataSource, series: &SourceSeries) -> bool {
    let (name, resource, period) = (source.name(), &series.resource, series.period);
    assert!(
        (0..period.ticks()).contains(&series.phase_ticks),
        "{name}: {resource} has a phase beyond its period"
    );
    let Some(known) = series.range else { return false };
    assert!(
        period.divides(known.begin()) && period.divides(known.end()),
        "{name}: {resource} has half a slot"
    );
    let slots = i64::try_from(known.count(period).min(MOST_SLOTS)).unwrap_or(i64::MAX);
    let at = |slot: i64| known.begin().checked_add(slot * period.ticks());
    let range_of = |begin: i64, end: i64| TimeRange::new(at(begin)?, at(end)?).ok();
    let Some(whole_range) = range_of(0, slots) else { panic!("{name}: {resource} ends before it begins") };
    let whole = read(source, series, whole_range);
    assert_eq!(whole.start(), whole_range.begin(), "{name}: {resource}");
    assert_eq!((whole.len() as i64, whole.period()), (slots, period), "{name}: {resource}");
    assert_eq!(whole.values().data_type(), series.data_type, "{name}: {resource}");
    // In parts, from several threads, in any order.
    let step = (slots / PARTS).max(1);
    thread::scope(|scope| {
        for part in 0..=PARTS {
            let whole = &whole;
            scope.spawn(move || {
                let (begin, end) = (part * step, (part * step + step).min(slots));
                let Some(range) = range_of(begin, end) else { return };
                let read = read(source, series, range);
                assert_eq!(read.values().data_type(), whole.values().data_type(), "{name}: {resource}");
                for slot in 0..end - begin {
                    let (here, there) = (read.get(slot as usize), whole.get((begin + slot) as usize));
                    assert_eq!(here, there, "{name}: {resource}, slot {slot} of {range}");
                }
            });
        }
    });
    // Before and after all that is known; all of time has neither.
    let outside = [
        range_of(-3, 0),
        TimeRange::new(known.end(), known.end().checked_add(3 * period.ticks()).unwrap_or(known.end())).ok(),
    ];
    for range in outside.into_iter().flatten() {
        let read = read(source, series, range);
        assert_eq!((read.len(), read.start()), (3, range.begin()), "{name}: {resource}");
        assert!(
            (0..3).all(|slot| read.get(slot).is_none()),
            "{name}: {resource} has samples outside of its range"
        );
    }
    (0..whole.len()).any(|slot| whole.get(slot).is_some())
}

fn wrong_questions_are_errors(source: &dyn DataSource, all: &[SourceSeries]) {
    let name = source.name();
    let Some((series, range)) = all.iter().find_map(|series| Some((series, series.range?))) else { return };
    let (resource, period) = key(series);
    let Ok(unknown) = "there_is_no_such_series_here".parse::<ResourceId>() else { return };
    // A period that it does not have, and that the range fits.
    let other = (2..).find_map(|times| {
        let period = SamplePeriod::from_ticks(period.ticks().checked_mul(times)?).ok()?;
        all.iter().all(|series| key(series) != (resource, period)).then_some(period)
    });
    for (resource, period) in
        [Some((&unknown, period)), other.map(|period| (resource, period))].into_iter().flatten()
    {
        let range = period.widen(range).unwrap_or(range);
        for error in [
            source.read(resource, period, range).err(),
            source.revision(resource, period, range).map(|_| ()).err(),
        ] {
            let error = error.unwrap_or_else(|| panic!("{name}: there is anything")).to_string();
            assert!(
                error.contains(name) && error.contains(resource.as_str()),
                "{name} is not in this: {error}"
            );
        }
    }
    if period.ticks() > 1
        && let Some(range) =
            range.begin().checked_add(1).and_then(|begin| TimeRange::new(begin, range.end()).ok())
    {
        let error = source
            .read(resource, period, range)
            .err()
            .unwrap_or_else(|| panic!("{name}: half a slot is read"));
        assert!(error.to_string().contains(name), "{name} is not in this: {error}");
    }
}

fn same(one: &Samples, other: &Samples) -> bool {
    let is_int = |samples: &Samples| !matches!(samples.values(), Values::F32(_) | Values::F64(_));
    is_int(one) == is_int(other)
        && one.len() == other.len()
        && (0..one.len()).all(|slot| one.get(slot) == other.get(slot))
}
