//! Records of traces in the store.
//!
//! A record is a value from its start to the start of the next one. Records that lie exactly at a period become a regular series,
//! `/traces/<trace>/1_d`, which has aggregates along time; all others, bills above all, an irregular one, `/traces/<trace>`,
//! whose rows are kept one by one. So are records of which some are estimated, as only irregular rows can say so.
//! Which of the two a trace is follows from its records, and may change with new ones: they move in the same commit.
//!
//! Where records are is known to the store alone: they are in those series of the trace that have rows. A write says what it was
//! made from ([`Unchanged`]), and is made again if somebody else wrote to the trace meanwhile, in this process or another one.
//!
//! A missing value is a record, too. An irregular series has a row for it. A regular one has a slot without a value, so from
//! the first record to the last one a regular trace has a record for every slot; what lies beyond the values is known to the
//! row of the trace only ([`Known`]), which never forgets a record. If a process dies between the commit and that row, missing
//! values at the ends of that write are not there, and whoever sent it heard of no success.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use rayon::prelude::*;
use sheaf_db::datastore::Trace;
use sheaf_model::{
    CatalogId, DataType, IdError, ResourceId, SamplePeriod, SeriesKey, Tick, TimeRange, Values,
};
use sheaf_sources::{Spacing, spacing};
use sheaf_store::{
    Layout, Rows, SeenSeries, SeriesId, SeriesSpec, Snapshot, Store, StoreError, Unchanged, Write,
};

use crate::times::tick;

/// The catalog of all traces.
pub const TRACES: &str = "/traces";

/// An irregular trace with more records than this stays one: to find out would mean to read all of them.
const MOST_LOOKED_AT: usize = 100_000;

/// Fewer records than this are at no period: two are always as far from each other as they are.
const FEWEST_REGULAR: usize = 3;

/// What was metered from a time to that of the next record.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Record {
    /// From when on.
    pub start: Tick,
    /// How much, in the unit of the trace; `None` if nobody knows.
    pub value: Option<f64>,
    /// Whether the value is an estimate.
    pub estimated: bool,
}

/// A trace, and what its row says of its records beside what the store knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its name.
    pub trace: ResourceId,
    /// Starts of its first and its last record.
    pub first_last: Option<(Tick, Tick)>,
}

impl Known {
    /// A trace by its row.
    ///
    /// # Errors
    /// Its name can't be one.
    pub fn of(row: &Trace) -> Result<Known, IdError> {
        let first_last = row.first_start.and_then(tick).zip(row.last_start.and_then(tick));
        Ok(Known { trace: row.name.parse()?, first_last })
    }

    /// A trace of which nothing else is known.
    pub fn new(trace: ResourceId) -> Known {
        Known { trace, first_last: None }
    }
}

/// Where the records of a trace are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// The period of a regular trace.
    pub period: Option<SamplePeriod>,
    /// Starts of the first and the last record; `None` if there is none.
    pub first_last: Option<(Tick, Tick)>,
}

/// Records that are to be a part of a trace.
#[derive(Clone, Debug)]
pub struct NewRecords {
    /// The trace.
    pub known: Known,
    /// The new ones, in any order. Of two with the same start the later one counts; one that is there already is replaced.
    pub records: Vec<Record>,
}

/// What became of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Where the records of the trace are now.
    pub span: Span,
    /// How many there are now.
    pub count: u64,
    /// How many of the new ones were not there already, as they are.
    pub changed: u64,
}

/// Records that can't be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordsError {
    /// The store fails.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A value that is no number.
    #[error("record {start} of the trace `{trace}`: a value is a number or missing, not {value}")]
    Value {
        /// The trace.
        trace: ResourceId,
        /// The record.
        start: Tick,
        /// The value.
        value: f64,
    },
    /// A task failed.
    #[error("reading records ended early: {0}")]
    Task(String),
}

/// How often a write is made again because others wrote meanwhile.
const MOST_ATTEMPTS: u32 = 30;

/// How long it waits before that, times the number of attempts.
const PAUSE: Duration = Duration::from_millis(5);

/// The id of the catalog of all traces.
///
/// # Errors
/// None: [`TRACES`] is one.
pub fn catalog() -> Result<CatalogId, IdError> {
    TRACES.parse()
}

/// A series of a trace.
fn key(trace: &ResourceId, layout: Layout) -> Result<String, StoreError> {
    let catalog = catalog().map_err(impossible)?;
    Ok(SeriesKey { catalog, resource: trace.clone(), period: period_of(layout) }.to_string())
}

fn period_of(layout: Layout) -> Option<SamplePeriod> {
    match layout {
        Layout::Regular { period, .. } => Some(period),
        Layout::Irregular => None,
    }
}

/// A series of a trace in a snapshot.
#[derive(Clone, Copy, Debug)]
struct Place {
    id: SeriesId,
    layout: Layout,
    /// From its first to its last row; nothing without any.
    range: Option<TimeRange>,
}

/// The series of some traces at one state of the store.
struct Places {
    /// Which series there were before.
    seen: SeenSeries,
    snapshot: Snapshot,
    /// Of each trace.
    of: Vec<Vec<Place>>,
}

impl Places {
    async fn find<'a>(
        store: &Store,
        traces: impl Iterator<Item = &'a ResourceId>,
    ) -> Result<Places, StoreError> {
        let traces: Vec<&ResourceId> = traces.collect();
        let seen = store.seen_series().await?;
        let mut found: HashMap<String, Vec<(SeriesId, Layout)>> = HashMap::new();
        for (id, spec) in series_of(store, traces.iter().copied()).await? {
            let Ok(SeriesKey { resource, .. }) = spec.key.parse() else { continue };
            found.entry(resource.to_string()).or_default().push((id, spec.layout));
        }
        let ids: Vec<SeriesId> = found.values().flatten().map(|(id, _)| *id).collect();
        let snapshot = store.snapshot(&ids).await?;
        let place = |&(id, layout): &(SeriesId, Layout)| {
            Ok::<_, StoreError>(Place { id, layout, range: snapshot.range(id)? })
        };
        let mut of = Vec::with_capacity(traces.len());
        for trace in traces {
            let series = found.get(trace.as_str()).map(Vec::as_slice).unwrap_or_default();
            of.push(series.iter().map(place).collect::<Result<Vec<_>, _>>()?);
        }
        Ok(Places { seen, snapshot, of })
    }
}

/// The series of traces, those without rows included.
///
/// # Errors
/// The store fails.
pub async fn series_of(
    store: &Store,
    traces: impl Iterator<Item = &ResourceId>,
) -> Result<Vec<(SeriesId, SeriesSpec)>, StoreError> {
    let mut names: Vec<&str> = traces.map(ResourceId::as_str).collect();
    names.sort_unstable();
    names.dedup();
    // From the series without a period to those whose period begins with a 9; the colon is the character behind it.
    let range = |name| {
        let key = format!("{TRACES}/{name}");
        Some(before(&key)?..format!("{key}/:"))
    };
    let ranges: Vec<_> = names.into_iter().filter_map(range).collect();
    store.series_in(&ranges).await
}

/// A text that no key lies between it and this one: the last character one less, and then what is behind all that names have.
fn before(key: &str) -> Option<String> {
    let mut before = key.to_owned();
    let last = before.pop()?;
    before.push(char::from_u32(u32::from(last).checked_sub(1)?)?);
    before.push('~');
    Some(before)
}

/// The places with rows, those with periods first.
fn filled_places(places: &[Place]) -> Vec<(Place, TimeRange)> {
    let mut filled: Vec<_> = places.iter().filter_map(|place| Some((*place, place.range?))).collect();
    filled.sort_by_key(|(place, _)| period_of(place.layout).is_none());
    filled
}

/// From the first to the last slot of a regular trace. What its row says counts where it lies in slots.
fn slots_of(place: Place, range: TimeRange, known: &Known) -> Option<Slots> {
    let Layout::Regular { period, phase_ticks } = place.layout else { return None };
    let (mut first, mut last) = (range.begin().ticks(), range.end().ticks() - period.ticks());
    for said in
        known.first_last.map_or([None; 2], |(first, last)| [Some(first), Some(last)]).into_iter().flatten()
    {
        if (said.ticks() - phase_ticks).rem_euclid(period.ticks()) == 0 {
            (first, last) = (first.min(said.ticks()), last.max(said.ticks()));
        }
    }
    Some(Slots { period, first: Tick::new(first).ok()?, last: Tick::new(last).ok()? })
}

/// The records of a regular trace: one in each slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slots {
    /// From each to the next.
    pub period: SamplePeriod,
    /// Where the first one begins.
    pub first: Tick,
    /// Where the last one begins.
    pub last: Tick,
}

impl Slots {
    /// How many there are.
    pub fn count(self) -> u64 {
        (self.last.ticks() - self.first.ticks()).unsigned_abs() / self.period.ticks().unsigned_abs() + 1
    }

    /// How many begin before a time.
    pub fn before(self, time: Tick) -> u64 {
        let since = time.ticks().saturating_sub(self.first.ticks()).max(0).unsigned_abs();
        since.div_ceil(self.period.ticks().unsigned_abs()).min(self.count())
    }

    /// Those from one number to another, from 0; nothing if there are none.
    pub fn part(self, from: u64, to: u64) -> Option<Slots> {
        let start = |number: u64| {
            let ticks = self.period.ticks().checked_mul(i64::try_from(number).ok()?)?;
            self.first.checked_add(ticks)
        };
        let to = to.min(self.count());
        (from < to).then_some(())?;
        Some(Slots { first: start(from)?, last: start(to - 1)?, ..self })
    }

    fn range(self) -> Option<TimeRange> {
        TimeRange::new(self.first, self.last.checked_add(1)?).ok()
    }
}

/// The records of traces, in one state of the store.
///
/// # Errors
/// The store fails.
pub async fn read(store: &Store, traces: &[Known]) -> Result<Vec<Vec<Record>>, RecordsError> {
    Ok(read_at(store, traces).await?.1)
}

/// The same, with the state that they were read in.
///
/// # Errors
/// The store fails.
pub async fn read_at(store: &Store, traces: &[Known]) -> Result<(Snapshot, Vec<Vec<Record>>), RecordsError> {
    let mut attempt = 1;
    loop {
        let read = async {
            let places = Places::find(store, traces.iter().map(|known| &known.trace)).await?;
            let wanted: Vec<_> = traces.iter().zip(&places.of).collect();
            let records = read_all(&places.snapshot, &wanted).await?;
            Ok((places.snapshot, records))
        };
        match read.await {
            Err(RecordsError::Store(error)) if is_outdated(&error) && attempt < MOST_ATTEMPTS => attempt += 1,
            read => return read,
        }
    }
}

/// Whether others were faster, so that it may go well when it is done again.
fn is_outdated(error: &StoreError) -> bool {
    matches!(error.root(), StoreError::Conflict | StoreError::UnknownSeries(_) | StoreError::Vanished { .. })
}

/// All records of each trace.
async fn read_all(
    snapshot: &Snapshot,
    traces: &[(&Known, &Vec<Place>)],
) -> Result<Vec<Vec<Record>>, RecordsError> {
    let filled: Vec<_> = traces.iter().map(|(_, places)| filled_places(places)).collect();
    let wanted: Vec<_> = filled.iter().flatten().map(|(place, _)| (place.id, None)).collect();
    let scans = snapshot.scans(&wanted).await?;
    let slots: Vec<Option<Slots>> = traces
        .iter()
        .zip(&filled)
        .map(|((known, _), filled)| match filled.first() {
            Some(&(place, range)) => slots_of(place, range, known),
            None => None,
        })
        .collect();
    let read = tokio::task::spawn_blocking(move || {
        let mut scans = scans.into_iter();
        let of = |(filled, slots): (Vec<(Place, TimeRange)>, Option<Slots>)| {
            let mut records: Vec<Record> = Vec::new();
            for (scan, index) in scans.by_ref().take(filled.len()).zip(0..) {
                let mut part = Vec::new();
                for rows in scan {
                    append(&rows?, &mut part);
                }
                // Only if others wrote without looking there are several.
                records = if index == 0 { part } else { merged(&records, &part) };
            }
            Ok(match slots {
                Some(slots) if filled.len() == 1 => in_slots(records, slots),
                _ => records,
            })
        };
        filled.into_iter().zip(slots).map(of).collect::<Result<Vec<_>, StoreError>>()
    });
    Ok(read.await.map_err(|error| RecordsError::Task(error.to_string()))??)
}

fn append(rows: &Rows, records: &mut Vec<Record>) {
    let Values::F64(values) = rows.values() else { return };
    for (row, value) in values.iter().enumerate() {
        let Ok(start) = Tick::new(rows.start_ticks(row)) else { continue };
        let value = Some(*value).filter(|_| rows.is_valid(row));
        records.push(Record { start, value, estimated: rows.is_estimated(row) });
    }
}

/// A record for every slot.
fn in_slots(records: Vec<Record>, slots: Slots) -> Vec<Record> {
    if records.len() as u64 == slots.count() {
        return records;
    }
    let mut known = records.into_iter().peekable();
    let step = usize::try_from(slots.period.ticks()).unwrap_or(usize::MAX);
    let starts = (slots.first.ticks()..=slots.last.ticks()).step_by(step);
    let mut all = Vec::new();
    for start in starts.filter_map(|ticks| Tick::new(ticks).ok()) {
        while known.next_if(|record| record.start < start).is_some() {}
        let record = known.next_if(|record| record.start == start);
        all.push(record.unwrap_or(Record { start, value: None, estimated: false }));
    }
    all
}

/// Records of two lists in order; of two with the same start the one of the later list.
fn merged(before: &[Record], later: &[Record]) -> Vec<Record> {
    let mut all = Vec::with_capacity(before.len() + later.len());
    let mut before = before.iter().copied().peekable();
    for &record in later {
        while let Some(earlier) = before.next_if(|earlier| earlier.start < record.start) {
            all.push(earlier);
        }
        before.next_if(|same| same.start == record.start);
        all.push(record);
    }
    all.extend(before);
    all
}

/// The records of one trace, read as far as they are asked for.
pub struct Reader {
    snapshot: Snapshot,
    known: Known,
    places: Vec<Place>,
}

impl Reader {
    /// The records as they are now.
    ///
    /// # Errors
    /// The store fails.
    pub async fn open(store: &Store, known: Known) -> Result<Reader, RecordsError> {
        let places = Places::find(store, std::iter::once(&known.trace)).await?;
        let of = places.of.into_iter().next().unwrap_or_default();
        Ok(Reader { snapshot: places.snapshot, known, places: of })
    }

    /// The slots of a regular trace.
    pub fn slots(&self) -> Option<Slots> {
        match filled_places(&self.places)[..] {
            [(place, range)] => slots_of(place, range, &self.known),
            _ => None,
        }
    }

    /// All records.
    ///
    /// # Errors
    /// The store fails.
    pub async fn all(&self) -> Result<Vec<Record>, RecordsError> {
        Ok(read_all(&self.snapshot, &[(&self.known, &self.places)]).await?.pop().unwrap_or_default())
    }

    /// The records of some slots of a regular trace.
    ///
    /// # Errors
    /// The store fails.
    pub async fn part(&self, slots: Slots) -> Result<Vec<Record>, RecordsError> {
        let Some(&(place, _)) = filled_places(&self.places).first() else { return Ok(Vec::new()) };
        let scan = self.snapshot.scan(place.id, slots.range()).await?;
        let read = tokio::task::spawn_blocking(move || {
            let mut records = Vec::new();
            for rows in scan {
                append(&rows?, &mut records);
            }
            Ok::<_, StoreError>(in_slots(records, slots))
        });
        Ok(read.await.map_err(|error| RecordsError::Task(error.to_string()))??)
    }
}

/// Makes records a part of their traces, all of them in one commit. A trace must be there once only.
///
/// # Errors
/// A value is infinite, or the store fails; nothing is written then.
pub async fn write(store: &Store, new: Vec<NewRecords>) -> Result<Vec<Written>, RecordsError> {
    let checked = tokio::task::spawn_blocking(|| new.into_par_iter().map(checked).collect());
    let new: Result<Vec<NewRecords>, _> =
        checked.await.map_err(|error| RecordsError::Task(error.to_string()))?;
    let new = Arc::new(new?);
    let mut attempt = 1;
    loop {
        match write_once(store, &new).await {
            Err(RecordsError::Store(error)) if is_outdated(&error) && attempt < MOST_ATTEMPTS => {
                tokio::time::sleep(PAUSE * attempt).await;
                attempt += 1;
            }
            written => return written,
        }
    }
}

async fn write_once(store: &Store, new: &Arc<Vec<NewRecords>>) -> Result<Vec<Written>, RecordsError> {
    let places = Places::find(store, new.iter().map(|new| &new.known.trace)).await?;
    // What follows on a regular trace leaves all that is there as it is.
    let follows: Vec<Option<Slots>> = new.iter().zip(&places.of).map(|(new, of)| follows(new, of)).collect();
    let to_read: Vec<_> = new
        .iter()
        .zip(&places.of)
        .zip(&follows)
        .filter(|(_, follows)| follows.is_none())
        .map(|((new, of), _)| (&new.known, of))
        .collect();
    let mut before = read_all(&places.snapshot, &to_read).await?.into_iter();
    let of: Vec<(Vec<Place>, Before)> = places
        .of
        .iter()
        .zip(follows)
        .map(|(of, follows)| {
            let before = match follows {
                Some(slots) => Before::Slots(slots),
                None => Before::All(before.next().unwrap_or_default()),
            };
            (of.clone(), before)
        })
        .collect();
    let planned = {
        let new = new.clone();
        tokio::task::spawn_blocking(move || {
            new.par_iter().zip(of).map(|(new, (places, before))| Part::new(new, &places, &before)).collect()
        })
    };
    let parts: Result<Vec<Part>, StoreError> =
        planned.await.map_err(|error| RecordsError::Task(error.to_string()))?;
    publish(store, &places, parts?).await.map_err(RecordsError::from)
}

/// Writes what was planned, unless others write to one of the traces first.
async fn publish(store: &Store, places: &Places, parts: Vec<Part>) -> Result<Vec<Written>, StoreError> {
    let mut unchanged = Unchanged::since(places.seen);
    for place in places.of.iter().flatten() {
        unchanged.series(&places.snapshot, place.id)?;
    }
    let to_make = parts.iter().filter_map(|part| part.new_series.clone());
    let mut made = store.create_series(&to_make.collect::<Vec<_>>()).await?.into_iter();
    let (mut write, mut all) = (Write::new(), Vec::with_capacity(parts.len()));
    let mut is_change = false;
    for part in parts {
        all.push(part.written);
        let series = match part.series {
            Some(series) => series,
            None if part.new_series.is_some() => {
                let series =
                    made.next().ok_or_else(|| StoreError::Task("a series was not made".to_owned()))?;
                unchanged.made(series);
                series
            }
            None => continue,
        };
        is_change |= !part.deleted.is_empty() || part.rows.is_some();
        for old in part.left {
            write = write.delete(old, TimeRange::new(Tick::MIN, Tick::MAX).map_err(impossible)?);
        }
        for range in part.deleted {
            write = write.delete(series, range);
        }
        if let Some(rows) = part.rows {
            write = write.rows(series, rows);
        }
    }
    if is_change {
        store.write(write.if_unchanged(unchanged)).await?;
    }
    Ok(all)
}

/// Removes all records of traces, in one commit.
///
/// # Errors
/// The store fails; nothing is removed then.
pub async fn delete(store: &Store, traces: &[ResourceId]) -> Result<(), RecordsError> {
    let places = Places::find(store, traces.iter()).await?;
    let mut write = Write::new();
    for place in places.of.iter().flatten().filter(|place| place.range.is_some()) {
        write = write.delete(place.id, TimeRange::new(Tick::MIN, Tick::MAX).map_err(impossible)?);
    }
    store.write(write).await?;
    Ok(())
}

fn impossible(error: impl std::fmt::Display) -> StoreError {
    StoreError::Task(error.to_string())
}

/// The records in order, each start once.
fn checked(mut new: NewRecords) -> Result<NewRecords, RecordsError> {
    let wrong = |record: &&Record| record.value.is_some_and(|value| !value.is_finite());
    if let Some(Record { start, value: Some(value), .. }) = new.records.iter().find(wrong) {
        return Err(RecordsError::Value { trace: new.known.trace, start: *start, value: *value });
    }
    if !new.records.is_sorted_by(|one, next| one.start < next.start) {
        // Those with one start stay in their order, and the last one counts.
        new.records.sort_by_key(|record| record.start);
        new.records.reverse();
        new.records.dedup_by_key(|record| record.start);
        new.records.reverse();
    }
    Ok(new)
}

/// The slots of a regular trace if new records follow on its values, so that nothing of it needs to be read.
fn follows(new: &NewRecords, places: &[Place]) -> Option<Slots> {
    let [(place, range)] = filled_places(places)[..] else { return None };
    let slots = slots_of(place, range, &new.known)?;
    let (first, last) = (new.records.first()?.start, new.records.last()?.start);
    let ticks = slots.period.ticks();
    let is_in_slot = |record: &Record| {
        !record.estimated && (record.start.ticks() - slots.first.ticks()).rem_euclid(ticks) == 0
    };
    let more = (last.ticks() - range.end().ticks()) / ticks + 1;
    let empty = more.unsigned_abs().saturating_sub(new.records.len() as u64);
    // As `layout_of` would decide it for all records.
    let fits = slots.count() >= FEWEST_REGULAR as u64 && empty <= (slots.count() + more.unsigned_abs()) / 8;
    (range.end() <= first && fits && new.records.iter().all(is_in_slot)).then_some(slots)
}

/// What was there of a trace.
enum Before {
    /// Slots, which new records follow on.
    Slots(Slots),
    /// All records.
    All(Vec<Record>),
}

/// What is written of a trace.
struct Part {
    /// The series that is written to, if it is there.
    series: Option<SeriesId>,
    /// The series that has to be made for that.
    new_series: Option<SeriesSpec>,
    /// Series that it moves away from.
    left: Vec<SeriesId>,
    /// Where values are taken away: a row without one leaves what is there.
    deleted: Vec<TimeRange>,
    rows: Option<Rows>,
    written: Written,
}

impl Part {
    fn new(new: &NewRecords, places: &[Place], before: &Before) -> Result<Part, StoreError> {
        let before = match before {
            Before::Slots(slots) => return Part::following(new, places, *slots),
            Before::All(before) => before,
        };
        let is_there = |record: &&Record| {
            let at = before.binary_search_by_key(&record.start, |record| record.start);
            at.is_ok_and(|at| before[at] == **record)
        };
        let changes: Vec<Record> = new.records.iter().filter(|record| !is_there(record)).copied().collect();
        let all = match before.is_empty() {
            true => Cow::Borrowed(&new.records[..]),
            false => Cow::Owned(merged(before, &changes)),
        };
        let filled = filled_places(places);
        let was_regular = filled.iter().any(|(place, _)| period_of(place.layout).is_some());
        let mut layout = match was_regular || all.len() <= MOST_LOOKED_AT || filled.is_empty() {
            true => layout_of(&all),
            false => Layout::Irregular,
        };
        let of_period = |place: &&Place| period_of(place.layout) == period_of(layout);
        if places.iter().find(of_period).is_some_and(|place| place.layout != layout) {
            // There is a series for this period, with rows at other times of it.
            layout = Layout::Irregular;
        }
        let place = places.iter().find(|place| place.layout == layout);
        let left: Vec<SeriesId> = filled
            .iter()
            .map(|(place, _)| *place)
            .filter(|place| place.layout != layout)
            .map(|place| place.id)
            .collect();
        let first_last = all.first().zip(all.last()).map(|(first, last)| (first.start, last.start));
        let count = match (layout, first_last) {
            (Layout::Regular { period, .. }, Some((first, last))) => Slots { period, first, last }.count(),
            _ => all.len() as u64,
        };
        let mut deleted = Vec::new();
        if left.is_empty() {
            let had_value = |start: Tick| {
                let at = before.binary_search_by_key(&start, |record| record.start);
                at.is_ok_and(|at| before[at].value.is_some())
            };
            for record in changes.iter().filter(|new| new.value.is_none() && had_value(new.start)) {
                let end = record.start.checked_add(1).unwrap_or(Tick::MAX);
                deleted.push(TimeRange::new(record.start, end).map_err(impossible)?);
            }
        }
        let rows = if left.is_empty() { &changes[..] } else { &all[..] };
        let span = Span { period: period_of(layout), first_last };
        Ok(Part {
            series: place.map(|place| place.id),
            new_series: match place {
                None if !rows.is_empty() => Some(spec(&new.known.trace, layout)?),
                _ => None,
            },
            rows: rows_of(rows, layout)?,
            left,
            deleted,
            written: Written { span, count, changed: changes.len() as u64 },
        })
    }

    /// Records that follow on the slots of a regular trace.
    fn following(new: &NewRecords, places: &[Place], slots: Slots) -> Result<Part, StoreError> {
        let place = filled_places(places).first().map(|(place, _)| *place);
        let last = new.records.last().map_or(slots.last, |record| record.start.max(slots.last));
        let span = Span { period: Some(slots.period), first_last: Some((slots.first, last)) };
        let is_new = |record: &&Record| record.value.is_some() || slots.last < record.start;
        let changed = new.records.iter().filter(is_new).count() as u64;
        Ok(Part {
            series: place.map(|place| place.id),
            new_series: None,
            left: Vec::new(),
            deleted: Vec::new(),
            rows: place.map_or(Ok(None), |place| rows_of(&new.records, place.layout))?,
            written: Written { span, count: Slots { last, ..slots }.count(), changed },
        })
    }
}

fn spec(trace: &ResourceId, layout: Layout) -> Result<SeriesSpec, StoreError> {
    Ok(SeriesSpec { key: key(trace, layout)?, data_type: DataType::Float64, layout })
}

/// Records, in order, as rows of a series; nothing without any.
fn rows_of(records: &[Record], layout: Layout) -> Result<Option<Rows>, StoreError> {
    let (Some(first), Some(last)) = (records.first(), records.last()) else { return Ok(None) };
    if let Layout::Regular { period, .. } = layout {
        let count = Slots { period, first: first.start, last: last.start }.count();
        let slots = usize::try_from(count).unwrap_or(usize::MAX);
        if slots / 2 <= records.len() {
            let mut values = vec![f64::NAN; slots];
            for record in records {
                let slot = (record.start.ticks() - first.start.ticks()) / period.ticks();
                let place = usize::try_from(slot).ok().and_then(|slot| values.get_mut(slot));
                place.into_iter().for_each(|place| *place = record.value.unwrap_or(f64::NAN));
            }
            return Ok(Some(Rows::grid(first.start, period, Values::F64(values))));
        }
    }
    let starts = records.iter().map(|record| record.start).collect();
    let values = records.iter().map(|record| record.value.unwrap_or(f64::NAN)).collect();
    let rows = Rows::listed(starts, Values::F64(values)).map_err(impossible)?;
    if !records.iter().any(|record| record.estimated) {
        return Ok(Some(rows));
    }
    let mut words = vec![0_u64; records.len().div_ceil(64)];
    for (row, _) in records.iter().enumerate().filter(|(_, record)| record.estimated) {
        words[row / 64] |= 1 << (row % 64);
    }
    rows.with_estimated(words).map(Some).map_err(impossible)
}

/// A period, if each record lies exactly at one, four of five slots at least have a record, one has a value, and none is
/// estimated.
fn layout_of(records: &[Record]) -> Layout {
    let has_value = records.iter().any(|record| record.value.is_some());
    if records.len() < FEWEST_REGULAR || !has_value || records.iter().any(|record| record.estimated) {
        return Layout::Irregular;
    }
    let starts: Vec<i64> = records.iter().map(|record| record.start.ticks()).collect();
    match spacing(&starts, None) {
        Some(Spacing::Regular(slots))
            if slots.jittered == 0
                && slots.beside.is_none()
                && slots.shared.is_none()
                && slots.empty <= records.len() as u64 / 4
                && slots.period.ticks() <= LONGEST_PERIOD_TICKS =>
        {
            Layout::Regular { period: slots.period, phase_ticks: slots.phase_ticks }
        }
        _ => Layout::Irregular,
    }
}

/// Bills that happen to lie thirty days apart are bills.
const LONGEST_PERIOD_TICKS: i64 = 86_400 * Tick::PER_SECOND;
