//! Records of traces in the store.
//!
//! A record is a value from its start to the start of the next one. Records that lie exactly at a period become a regular series,
//! `/traces/<trace>/1_d`, which has aggregates along time; all others, bills above all, an irregular one, `/traces/<trace>`,
//! whose rows are kept one by one. So are records of which some are estimated, as only irregular rows can say so.
//! Which of the two a trace is follows from its records, and may change with new ones: they move in the same commit.
//!
//! A missing value is a record, too. An irregular series has a row for it. A regular one has a slot without a value, so from
//! the first record to the last one a regular trace has a record for every slot; what lies beyond the last value is known to
//! [`Span`] only, which whoever lists traces keeps.

use std::collections::BTreeMap;

use sheaf_model::{CatalogId, DataType, ResourceId, SamplePeriod, SeriesKey, Tick, TimeRange, Values};
use sheaf_sources::{Spacing, spacing};
use sheaf_store::{Layout, Rows, SeriesId, SeriesSpec, Snapshot, Store, StoreError, Write};

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
    /// The name of the trace.
    pub trace: ResourceId,
    /// Where its records are so far.
    pub span: Span,
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

/// The series of a trace.
fn key(trace: &ResourceId, period: Option<SamplePeriod>) -> Result<SeriesKey, StoreError> {
    let catalog: CatalogId =
        TRACES.parse().map_err(|error| StoreError::Task(format!("{TRACES}: {error}")))?;
    Ok(SeriesKey { catalog, resource: trace.clone(), period })
}

/// The records of traces, in one state of the store.
///
/// # Errors
/// The store fails.
pub async fn read(store: &Store, traces: &[(ResourceId, Span)]) -> Result<Vec<Vec<Record>>, RecordsError> {
    Ok(read_at(store, traces).await?.1)
}

/// The same, with the state that they were read in.
///
/// # Errors
/// The store fails.
pub async fn read_at(
    store: &Store,
    traces: &[(ResourceId, Span)],
) -> Result<(Snapshot, Vec<Vec<Record>>), RecordsError> {
    let keys = traces.iter().map(|(trace, span)| Ok(key(trace, span.period)?.to_string()));
    let series = store.find_all(&keys.collect::<Result<Vec<_>, StoreError>>()?).await?;
    let known: Vec<SeriesId> = series.iter().flatten().copied().collect();
    let snapshot = store.snapshot(&known).await?;
    let wanted: Vec<_> = known.iter().map(|series| (*series, None)).collect();
    let scans = snapshot.scans(&wanted).await?;
    let spans: Vec<Span> = traces.iter().map(|(_, span)| *span).collect();
    let read = tokio::task::spawn_blocking(move || {
        let mut scans = scans.into_iter();
        let of = |(series, span): (Option<SeriesId>, Span)| {
            let mut records = Vec::new();
            if series.is_some() {
                for rows in scans.next().into_iter().flatten() {
                    append(&rows?, &mut records);
                }
            }
            Ok(filled(records, span))
        };
        series.into_iter().zip(spans).map(of).collect::<Result<Vec<_>, StoreError>>()
    });
    let records = read.await.map_err(|error| RecordsError::Task(error.to_string()))??;
    Ok((snapshot, records))
}

fn append(rows: &Rows, records: &mut Vec<Record>) {
    let Values::F64(values) = rows.values() else { return };
    for (row, value) in values.iter().enumerate() {
        let Ok(start) = Tick::new(rows.start_ticks(row)) else { continue };
        let value = Some(*value).filter(|_| rows.is_valid(row));
        records.push(Record { start, value, estimated: rows.is_estimated(row) });
    }
}

/// A record for every slot of a regular trace, from its first to its last one.
fn filled(records: Vec<Record>, span: Span) -> Vec<Record> {
    let (Some(period), Some((first, last))) = (span.period, span.first_last) else { return records };
    let mut known = records.into_iter().peekable();
    let slots = (first.ticks()..=last.ticks()).step_by(usize::try_from(period.ticks()).unwrap_or(usize::MAX));
    let mut all = Vec::new();
    for start in slots.filter_map(|ticks| Tick::new(ticks).ok()) {
        while known.next_if(|record| record.start < start).is_some() {}
        let record = known.next_if(|record| record.start == start);
        all.push(record.unwrap_or(Record { start, value: None, estimated: false }));
    }
    all
}

/// Makes records a part of their traces, all of them in one commit. A trace must be there once only.
///
/// # Errors
/// A value is infinite, or the store fails; nothing is written then.
pub async fn write(store: &Store, new: Vec<NewRecords>) -> Result<Vec<Written>, RecordsError> {
    let new = new.into_iter().map(checked).collect::<Result<Vec<_>, _>>()?;
    let traces: Vec<_> = new.iter().map(|new| (new.trace.clone(), new.span)).collect();
    let before = read(store, &traces).await?;
    let mut parts = Vec::with_capacity(new.len());
    for (new, before) in new.iter().zip(&before) {
        parts.push(Part::new(new, before));
    }
    let mut specs = Vec::new();
    for part in &parts {
        let layout = part.layout;
        let period = match layout {
            Layout::Regular { period, .. } => Some(period),
            Layout::Irregular => None,
        };
        specs.push(SeriesSpec {
            key: key(&part.new.trace, period)?.to_string(),
            data_type: DataType::Float64,
            layout,
        });
    }
    let series = store.create_series(&specs).await?;
    let mut write = Write::new();
    for (part, series) in parts.iter().zip(series) {
        if let Some(period) = part.leaves {
            let old = store.find_series(&key(&part.new.trace, period)?.to_string()).await?;
            if let Some(old) = old {
                write = write.delete(old, TimeRange::new(Tick::MIN, Tick::MAX).map_err(impossible)?);
            }
        }
        for record in part.emptied() {
            let end = record.start.checked_add(1).unwrap_or(Tick::MAX);
            write = write.delete(series, TimeRange::new(record.start, end).map_err(impossible)?);
        }
        if let Some(rows) = part.rows().map_err(impossible)? {
            write = write.rows(series, rows);
        }
    }
    store.write(write).await?;
    Ok(parts.into_iter().map(|part| part.written).collect())
}

/// Removes all records of traces, in one commit.
///
/// # Errors
/// The store fails; nothing is removed then.
pub async fn delete(store: &Store, traces: &[(ResourceId, Span)]) -> Result<(), RecordsError> {
    let keys = traces.iter().map(|(trace, span)| Ok(key(trace, span.period)?.to_string()));
    let series = store.find_all(&keys.collect::<Result<Vec<_>, StoreError>>()?).await?;
    let mut write = Write::new();
    for series in series.into_iter().flatten() {
        write = write.delete(series, TimeRange::new(Tick::MIN, Tick::MAX).map_err(impossible)?);
    }
    store.write(write).await?;
    Ok(())
}

fn impossible(error: impl std::fmt::Display) -> StoreError {
    StoreError::Task(error.to_string())
}

/// The records in order, each start once.
fn checked(mut new: NewRecords) -> Result<NewRecords, RecordsError> {
    let mut sorted = BTreeMap::new();
    for record in new.records {
        if let Some(value) = record.value.filter(|value| !value.is_finite()) {
            return Err(RecordsError::Value { trace: new.trace, start: record.start, value });
        }
        sorted.insert(record.start, record);
    }
    new.records = sorted.into_values().collect();
    Ok(new)
}

/// What is written of a trace.
struct Part<'a> {
    new: &'a NewRecords,
    before: &'a [Record],
    /// All records of a trace that moves.
    moved: Option<Vec<Record>>,
    layout: Layout,
    /// The period of the series that it moves away from, if it does.
    leaves: Option<Option<SamplePeriod>>,
    written: Written,
}

impl<'a> Part<'a> {
    fn new(new: &'a NewRecords, before: &'a [Record]) -> Part<'a> {
        let mut all: BTreeMap<Tick, Record> = before.iter().map(|record| (record.start, *record)).collect();
        all.extend(new.records.iter().map(|record| (record.start, *record)));
        let all: Vec<Record> = all.into_values().collect();
        let was = new.span.period;
        let may_change = was.is_some() || all.len() <= MOST_LOOKED_AT;
        let layout = if may_change { layout_of(&all) } else { Layout::Irregular };
        let period = match layout {
            Layout::Regular { period, .. } => Some(period),
            Layout::Irregular => None,
        };
        let first_last = all.first().zip(all.last()).map(|(first, last)| (first.start, last.start));
        let count = match (period, first_last) {
            (Some(period), Some((first, last))) => {
                (last.ticks() - first.ticks()).unsigned_abs() / period.ticks().unsigned_abs() + 1
            }
            _ => all.len() as u64,
        };
        let moves = was != period && !before.is_empty();
        Part {
            new,
            before,
            moved: moves.then_some(all),
            layout,
            leaves: moves.then_some(was),
            written: Written { span: Span { period, first_last }, count },
        }
    }

    /// Records whose value is taken away: a row without one leaves what is there.
    fn emptied(&self) -> impl Iterator<Item = &Record> {
        let had_value = |start: Tick| {
            let at = self.before.binary_search_by_key(&start, |record| record.start);
            at.is_ok_and(|at| self.before[at].value.is_some())
        };
        let stays = self.moved.is_none();
        self.new.records.iter().filter(move |new| stays && new.value.is_none() && had_value(new.start))
    }

    fn rows(&self) -> Result<Option<Rows>, sheaf_store::RowsError> {
        let records = self.moved.as_deref().unwrap_or(&self.new.records);
        if records.is_empty() {
            return Ok(None);
        }
        let starts = records.iter().map(|record| record.start).collect();
        let values = records.iter().map(|record| record.value.unwrap_or(f64::NAN)).collect();
        let rows = Rows::listed(starts, Values::F64(values))?;
        if !records.iter().any(|record| record.estimated) {
            return Ok(Some(rows));
        }
        let mut words = vec![0_u64; records.len().div_ceil(64)];
        for (row, _) in records.iter().enumerate().filter(|(_, record)| record.estimated) {
            words[row / 64] |= 1 << (row % 64);
        }
        rows.with_estimated(words).map(Some)
    }
}

/// A period, if each record lies exactly at one, four of five slots at least have a record, and none is estimated.
fn layout_of(records: &[Record]) -> Layout {
    if records.len() < FEWEST_REGULAR || records.iter().any(|record| record.estimated) {
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
