//! What every source promises, as functions that panic where one does not keep it.

use std::collections::HashSet;
use std::thread;

use sheaf_model::{ResourceId, Samples, TimeRange, Values};

use crate::source::{DataSource, SourceSeries};

/// Slots of a series that are read as a whole, at most.
const MOST_SLOTS: u64 = 200_000;

/// Parts that a range is read in.
const PARTS: i64 = 7;

/// Checks all that can be seen of a source without changing it, which has to have at least one series with samples.
///
/// # Panics
/// The source does not keep what [`DataSource`] promises, or can't be read.
pub fn laws_of_sources(source: &dyn DataSource) {
    let all = series(source);
    assert!(all.iter().any(|series| series.range.is_some()), "{}: no series has samples", source.name());
    let names: HashSet<&ResourceId> = all.iter().map(|series| &series.resource).collect();
    assert_eq!(names.len(), all.len(), "{}: two series have one name", source.name());
    assert!(
        all.is_sorted_by_key(|series| series.resource.as_str()),
        "{}: series are in no order",
        source.name()
    );
    for one in &all {
        check_series(source, one);
    }
    wrong_questions_are_errors(source, &all[0]);
    let before: Vec<_> = all.iter().filter_map(|one| Some((one, one.range?))).collect();
    let revisions =
        || -> Vec<_> { before.iter().map(|(one, range)| revision(source, &one.resource, *range)).collect() };
    let known = revisions();
    assert_eq!(revisions(), known, "{}: revisions change by themselves", source.name());
    if let Err(error) = source.refresh() {
        panic!("{}: {error}", source.name());
    }
    assert_eq!(revisions(), known, "{}: a refresh changes revisions of what has not changed", source.name());
    assert_eq!(series(source), all, "{}: a refresh changes what has not changed", source.name());
}

/// Checks that a change of the samples in a range, which `change` makes, is seen after a refresh.
///
/// # Panics
/// It is not, or the source can't be read.
pub fn a_change_is_seen(
    source: &dyn DataSource,
    resource: &ResourceId,
    range: TimeRange,
    change: impl FnOnce(),
) {
    let (samples, before) = (read(source, resource, range), revision(source, resource, range));
    change();
    if let Err(error) = source.refresh() {
        panic!("{}: {error}", source.name());
    }
    let name = source.name();
    assert_ne!(
        revision(source, resource, range),
        before,
        "{name}: the revision does not follow what has changed"
    );
    assert!(!same(&read(source, resource, range), &samples), "{name}: the samples are what they were");
}

fn series(source: &dyn DataSource) -> Vec<SourceSeries> {
    source.series().unwrap_or_else(|error| panic!("{}: {error}", source.name()))
}

fn read(source: &dyn DataSource, resource: &ResourceId, range: TimeRange) -> Samples {
    source
        .read(resource, range)
        .unwrap_or_else(|error| panic!("{}: {resource} of {range}: {error}", source.name()))
}

fn revision(source: &dyn DataSource, resource: &ResourceId, range: TimeRange) -> crate::Revision {
    source
        .revision(resource, range)
        .unwrap_or_else(|error| panic!("{}: {resource} of {range}: {error}", source.name()))
}

fn check_series(source: &dyn DataSource, series: &SourceSeries) {
    let (name, resource, period) = (source.name(), &series.resource, series.period);
    assert!(
        (0..period.ticks()).contains(&series.phase_ticks),
        "{name}: {resource} has a phase beyond its period"
    );
    let Some(known) = series.range else { return };
    assert!(
        period.divides(known.begin()) && period.divides(known.end()),
        "{name}: {resource} has half a slot"
    );
    let slots = i64::try_from(known.count(period).min(MOST_SLOTS)).unwrap_or(i64::MAX);
    let at = |slot: i64| known.begin().checked_add(slot * period.ticks());
    let range_of = |begin: i64, end: i64| TimeRange::new(at(begin)?, at(end)?).ok();
    let Some(whole_range) = range_of(0, slots) else { panic!("{name}: {resource} ends before it begins") };
    let whole = read(source, resource, whole_range);
    assert_eq!(whole.start(), whole_range.begin(), "{name}: {resource}");
    assert_eq!((whole.len() as i64, whole.period()), (slots, period), "{name}: {resource}");
    assert_eq!(whole.values().data_type(), series.data_type, "{name}: {resource}");
    assert!((0..whole.len()).any(|slot| whole.get(slot).is_some()), "{name}: {resource} has no sample");
    // In parts, from several threads, in any order.
    let step = (slots / PARTS).max(1);
    thread::scope(|scope| {
        for part in 0..=PARTS {
            let whole = &whole;
            scope.spawn(move || {
                let (begin, end) = (part * step, (part * step + step).min(slots));
                let Some(range) = range_of(begin, end) else { return };
                let read = read(source, resource, range);
                assert_eq!(read.values().data_type(), whole.values().data_type(), "{name}: {resource}");
                for slot in 0..end - begin {
                    let (here, there) = (read.get(slot as usize), whole.get((begin + slot) as usize));
                    assert_eq!(here, there, "{name}: {resource}, slot {slot} of {range}");
                }
            });
        }
    });
    // Before and after all that is known.
    let outside = [
        range_of(-3, 0),
        TimeRange::new(known.end(), known.end().checked_add(3 * period.ticks()).unwrap_or(known.end())).ok(),
    ];
    for range in outside.into_iter().flatten() {
        let read = read(source, resource, range);
        assert_eq!((read.len(), read.start()), (3, range.begin()), "{name}: {resource}");
        assert!(
            (0..3).all(|slot| read.get(slot).is_none()),
            "{name}: {resource} has samples outside of its range"
        );
    }
}

fn wrong_questions_are_errors(source: &dyn DataSource, series: &SourceSeries) {
    let name = source.name();
    let Some(range) = series.range else { return };
    let Ok(unknown) = "there_is_no_such_series_here".parse::<ResourceId>() else { return };
    for error in [source.read(&unknown, range).err(), source.revision(&unknown, range).map(|_| ()).err()] {
        let error = error.unwrap_or_else(|| panic!("{name}: there is anything")).to_string();
        assert!(error.contains(name) && error.contains(unknown.as_str()), "{name} is not in this: {error}");
    }
    if series.period.ticks() > 1
        && let Some(range) =
            range.begin().checked_add(1).and_then(|begin| TimeRange::new(begin, range.end()).ok())
    {
        let error = source
            .read(&series.resource, range)
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
