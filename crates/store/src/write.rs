//! Writing: what a write may hold, how it is checked, and what becomes of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use sheaf_model::{DataType, SamplePeriod, Tick, TimeRange};
use tokio::runtime::Handle;
use xxhash_rust::xxh3::Xxh3;

use crate::error::{InvalidRows, StoreError};
use crate::group::Item;
use crate::manifest::PieceKind;
use crate::publish::{Draft, Place};
use crate::rows::{Rows, Starts, with_values};
use crate::runs::{Splitter, compact, count_missing, sorted};
use crate::series::{Layout, SeriesId, SeriesSpec};
use crate::sink::{FileSink, Written, discard, finish_all};
use crate::store::{Inner, Store, blocking};
use crate::tail;

/// Rows of any number of series that become visible together.
///
/// A row replaces the one of the same series and start. A row without a value replaces no value: in a regular series it is
/// as if it were not there, in an irregular one it is a row of its own where none has a value. Where two batches of
/// rows in one write have the same start, the later one counts.
#[derive(Clone, Debug, Default)]
pub struct Write {
    parts: Vec<(SeriesId, Rows)>,
    deletions: Vec<(SeriesId, TimeRange)>,
    key: Option<String>,
}

impl Write {
    /// A write of nothing.
    pub fn new() -> Write {
        Write::default()
    }

    /// With rows of a series.
    #[must_use]
    pub fn rows(mut self, series: SeriesId, rows: impl Into<Rows>) -> Write {
        self.parts.push((series, rows.into()));
        self
    }

    /// With the deletion of all rows of a series that start in a range. Rows of the same write stay, whatever the order.
    #[must_use]
    pub fn delete(mut self, series: SeriesId, range: TimeRange) -> Write {
        self.deletions.push((series, range));
        self
    }

    /// With an idempotency key: the same write with the same key happens once, however often it is sent.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Write {
        self.key = Some(key.into());
        self
    }
}

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The commit with which it became visible.
    pub commit: i64,
    /// Whether that was earlier: a write with the same idempotency key and contents.
    pub repeated: bool,
}

impl Store {
    /// Writes. When this returns, the write is durable and every later snapshot sees it, all of it. If the future is
    /// dropped, the write may happen or not.
    ///
    /// # Errors
    /// The rows don't fit their series, the idempotency key belongs to another write, or the disk or the database fails.
    /// Nothing is written then, unless [`StoreError::may_be_written`] says that this is not known: a write with an
    /// idempotency key may be sent again.
    pub async fn write(&self, write: Write) -> Result<Receipt, StoreError> {
        let item = self.prepare(write).await?;
        if item.is_empty() {
            return Ok(Receipt { commit: self.head().await?.0, repeated: false });
        }
        let files = item.written.files.clone();
        let result = self.0.group.publish(&self.0, item).await;
        let is_published = match &result {
            Ok(receipt) => !receipt.repeated,
            Err(error) => error.may_be_written(),
        };
        if !is_published {
            discard(&self.0, &files).await;
        }
        result
    }

    /// Deletes all rows of a series that start in `range`.
    ///
    /// # Errors
    /// As [`Store::write`].
    pub async fn delete(&self, series: SeriesId, range: TimeRange) -> Result<Receipt, StoreError> {
        self.write(Write::new().delete(series, range)).await
    }

    /// Checks a write, and writes its files if it is not a small one.
    async fn prepare(&self, write: Write) -> Result<Item, StoreError> {
        let Write { parts, deletions, key } = write;
        if let Some(key) = key.as_ref().filter(|key| !(1..=255).contains(&key.len()) || key.contains('\0')) {
            return Err(StoreError::InvalidKey { len: key.len() });
        }
        let ids: Vec<SeriesId> =
            parts.iter().map(|(id, _)| *id).chain(deletions.iter().map(|(id, _)| *id)).collect();
        let specs = self.0.specs(&ids).await?;
        let spec = |id: &SeriesId| specs.get(id).cloned().ok_or(StoreError::UnknownSeries(*id));
        let mut checked: BTreeMap<SeriesId, (Arc<SeriesSpec>, Vec<Rows>)> = BTreeMap::new();
        let is_small =
            parts.iter().map(|(_, rows)| tail_bytes(rows)).sum::<usize>() < self.0.settings.tail_write_bytes;
        for (id, rows) in parts {
            let spec = spec(&id)?;
            let rows = check(&spec, rows)
                .map_err(|problem| StoreError::InvalidRows { key: spec.key.clone(), problem })?;
            if !rows.is_empty() {
                checked.entry(id).or_insert_with(|| (spec, Vec::new())).1.push(rows);
            }
        }
        let payload = if key.is_some() { payload(&checked, &deletions) } else { 0 };
        let key = key.map(|key| (key, payload));
        let written = if is_small {
            Written { files: Vec::new(), drafts: tail_drafts(&checked) }
        } else {
            let (inner, runtime) = (self.0.clone(), Handle::current());
            blocking(move || write_files(&inner, &runtime, checked)).await?
        };
        Ok(Item { key, deletions, written })
    }
}

fn tail_bytes(rows: &Rows) -> usize {
    tail::bytes(&rows.values, matches!(rows.starts, Starts::Listed(_)))
}

/// The rows as they may be stored: of the right type, on the grid, sorted, each start once.
fn check(spec: &SeriesSpec, rows: Rows) -> Result<Rows, InvalidRows> {
    let (found, wanted) = (rows.values.data_type(), spec.data_type);
    if found != wanted {
        return Err(InvalidRows::DataType { found, wanted });
    }
    if rows.is_empty() {
        return Ok(rows);
    }
    let rows = match sorted(&rows) {
        Ok(None) => rows,
        Ok(Some(sorted)) => sorted,
        Err(ticks) => return Err(duplicate(ticks)),
    };
    let last = rows.len() - 1;
    match spec.layout {
        Layout::Regular { period, phase_ticks } => {
            if rows.estimated.is_some() {
                return Err(InvalidRows::Estimated);
            }
            check_time(&rows, 0, period.ticks())?;
            check_time(&rows, last, period.ticks())?;
            check_grid(&rows, period, phase_ticks)?;
        }
        Layout::Irregular => {
            if let Starts::Grid { step_ticks, .. } = rows.starts
                && step_ticks <= 0
            {
                return Err(InvalidRows::Step { step_ticks });
            }
            check_time(&rows, 0, 1)?;
            check_time(&rows, last, 1)?;
        }
    }
    Ok(rows)
}

fn duplicate(ticks: i64) -> InvalidRows {
    match Tick::new(ticks) {
        Ok(start) => InvalidRows::Duplicate { start },
        Err(_) => InvalidRows::OutOfTime { row: 0, start_ticks: ticks },
    }
}

/// Checks that every row starts where a row of the series may.
fn check_grid(rows: &Rows, period: SamplePeriod, phase_ticks: i64) -> Result<(), InvalidRows> {
    let is_on_grid = |start: i64| (start - phase_ticks).rem_euclid(period.ticks()) == 0;
    let row = match &rows.starts {
        Starts::Grid { step_ticks, .. } if *step_ticks != period.ticks() => {
            return Err(match SamplePeriod::from_ticks(*step_ticks) {
                Ok(found) => InvalidRows::Period { found, wanted: Some(period) },
                Err(_) => InvalidRows::Step { step_ticks: *step_ticks },
            });
        }
        Starts::Grid { first_ticks, .. } => (!is_on_grid(*first_ticks)).then_some(0),
        Starts::Listed(starts) => starts.iter().position(|&start| !is_on_grid(start)),
    };
    match row {
        Some(row) => {
            let start_ticks = rows.start_ticks(row);
            let start = Tick::new(start_ticks).map_err(|_| InvalidRows::OutOfTime { row, start_ticks })?;
            Err(InvalidRows::OffGrid { row, start, period, phase_ticks })
        }
        None => Ok(()),
    }
}

/// Checks that a row begins and ends within the time that can be named.
fn check_time(rows: &Rows, row: usize, row_ticks: i64) -> Result<(), InvalidRows> {
    let start = match &rows.starts {
        Starts::Grid { first_ticks, step_ticks } => {
            i128::from(*first_ticks) + row as i128 * i128::from(*step_ticks)
        }
        Starts::Listed(starts) => i128::from(starts[row]),
    };
    let end = start + i128::from(row_ticks);
    if start < i128::from(Tick::MIN.ticks()) || end > i128::from(Tick::MAX.ticks()) {
        let start_ticks = start.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64;
        return Err(InvalidRows::OutOfTime { row, start_ticks });
    }
    Ok(())
}

/// A checksum of all that a write says, to tell a repetition from another write with the same key.
fn payload(
    parts: &BTreeMap<SeriesId, (Arc<SeriesSpec>, Vec<Rows>)>,
    deletions: &[(SeriesId, TimeRange)],
) -> i64 {
    let mut sum = Xxh3::new();
    let ints =
        |sum: &mut Xxh3, values: &[i64]| values.iter().for_each(|value| sum.update(&value.to_le_bytes()));
    for (id, range) in deletions {
        ints(&mut sum, &[id.0, range.begin().ticks(), range.end().ticks()]);
    }
    for (id, (_, parts)) in parts {
        for rows in parts {
            ints(&mut sum, &[id.0, rows.len() as i64]);
            match &rows.starts {
                Starts::Grid { first_ticks, step_ticks } => ints(&mut sum, &[*first_ticks, *step_ticks]),
                Starts::Listed(starts) => ints(&mut sum, starts),
            }
            for bits in [&rows.validity, &rows.estimated] {
                ints(&mut sum, &[i64::from(bits.is_some())]);
                bits.iter().flatten().for_each(|&word| ints(&mut sum, &[word as i64]));
            }
            with_values!(&rows.values, values => values.iter().for_each(|value| sum.update(&value.to_le_bytes())));
        }
    }
    sum.digest() as i64
}

fn tail_drafts(parts: &BTreeMap<SeriesId, (Arc<SeriesSpec>, Vec<Rows>)>) -> Vec<Draft> {
    let mut drafts = Vec::new();
    for (&series, (spec, parts)) in parts {
        for rows in parts {
            let rows = compact(rows, spec.layout);
            let Some(last) = rows.len().checked_sub(1) else { continue };
            drafts.push(Draft {
                series,
                kind: PieceKind::Tail,
                begin_ticks: rows.start_ticks(0),
                end_ticks: rows.start_ticks(last) + spec.row_ticks(),
                place: Place::Blob(tail::encode(&rows)),
                rows: rows.len() as u64,
                missing: count_missing(&rows) as u64,
            });
        }
    }
    drafts
}

fn write_files(
    inner: &Arc<Inner>,
    runtime: &Handle,
    parts: BTreeMap<SeriesId, (Arc<SeriesSpec>, Vec<Rows>)>,
) -> Result<Written, StoreError> {
    let mut sinks: BTreeMap<(DataType, bool), FileSink> = BTreeMap::new();
    for (series, (spec, parts)) in parts {
        let irregular = spec.layout == Layout::Irregular;
        let new_sink = || FileSink::new(inner.clone(), runtime.clone(), spec.data_type, irregular, false);
        let sink = sinks.entry((spec.data_type, irregular)).or_insert_with(new_sink);
        sink.set_series(series, spec.layout);
        for rows in parts {
            let mut splitter = Splitter::new(&spec);
            splitter.push(&rows, sink)?;
            splitter.finish(sink)?;
        }
    }
    let mut all = Written::default();
    for written in finish_all(sinks.into_values())? {
        all.files.extend(written.files);
        all.drafts.extend(written.drafts);
    }
    Ok(all)
}
