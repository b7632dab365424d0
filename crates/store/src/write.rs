//! Writing: what a write may hold, and how it is checked. `stream.rs` has what becomes of it.

use std::collections::HashMap;

use sheaf_model::{SamplePeriod, Tick, TimeRange};
use xxhash_rust::xxh3::Xxh3;

use crate::error::{InvalidRows, StoreError};
use crate::listing::SeenSeries;
use crate::manifest::Stored;
use crate::publish::Publication;
use crate::rows::{Rows, Starts, with_values};
use crate::runs::sorted;
use crate::series::{Layout, SeriesId, SeriesSpec};
use crate::snapshot::Snapshot;
use crate::store::Store;
use crate::stream::StreamedWrite;

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
    unchanged: Option<Unchanged>,
}

/// What a write was made from, and must still be so when it is published.
///
/// Two processes may look at the same series, and each may write what follows from what it saw. With this, the second one gets
/// [`StoreError::Conflict`], and looks again.
#[derive(Clone, Debug, Default)]
pub struct Unchanged {
    /// The id that the next series was to have, without those that the writer has made.
    next_series: i64,
    /// Versions of series; `None` of those that the writer has made, which have no pieces.
    versions: HashMap<SeriesId, Option<i64>>,
}

impl Unchanged {
    /// Nobody but the writer makes a series after this.
    pub fn since(seen: SeenSeries) -> Unchanged {
        Unchanged { next_series: seen.next, versions: HashMap::new() }
    }

    /// Nobody writes to this series after the snapshot.
    ///
    /// # Errors
    /// It is not part of the snapshot.
    pub fn series(&mut self, snapshot: &Snapshot, series: SeriesId) -> Result<(), StoreError> {
        self.versions.insert(series, Some(snapshot.view(series)?.version));
        Ok(())
    }

    /// The writer itself makes this series, and nobody else writes to it.
    pub fn made(&mut self, series: SeriesId) {
        self.versions.insert(series, None);
    }

    /// The series that must not change.
    pub(crate) fn ids(&self) -> impl Iterator<Item = SeriesId> {
        self.versions.keys().copied()
    }

    /// Whether a change of this series counts.
    pub(crate) fn concerns(&self, series: SeriesId) -> bool {
        self.versions.contains_key(&series)
    }

    /// Whether all is so still, in a publication that has loaded the series and changed nothing yet.
    pub(crate) fn holds(&self, publication: &Publication) -> bool {
        let made = self.versions.values().filter(|version| version.is_none()).count() as i64;
        let is_same = |(id, version): (&SeriesId, &Option<i64>)| match version {
            Some(version) => publication.version(*id) == Some(*version),
            None => publication.series(*id).is_some_and(|row| row.piece_count == 0),
        };
        publication.next_series() == self.next_series + made && self.versions.iter().all(is_same)
    }
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

    /// Only if what it was made from is unchanged; [`StoreError::Conflict`] otherwise.
    #[must_use]
    pub fn if_unchanged(mut self, unchanged: Unchanged) -> Write {
        self.unchanged = Some(unchanged);
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
        let Write { parts, deletions, key, unchanged } = write;
        key.as_deref().map_or(Ok(()), check_key)?;
        self.0.specs(&deletions.iter().map(|(id, _)| *id).collect::<Vec<_>>()).await?;
        let mut streamed = StreamedWrite::new(self, key);
        streamed.unchanged = unchanged;
        deletions.into_iter().for_each(|(series, range)| streamed.delete(series, range));
        match streamed.append(parts).await {
            Ok(()) => streamed.commit().await,
            Err(error) => {
                streamed.abandon().await;
                Err(error)
            }
        }
    }

    /// The commit of the write that had this idempotency key, and the checksum of its contents; `None` if there was none, or
    /// it was long ago.
    ///
    /// # Errors
    /// The manifest can't be read.
    pub async fn write_with_key(&self, key: &str) -> Result<Option<(i64, u64)>, StoreError> {
        check_key(key)?;
        let stored = self.0.manifest.read().await?.key(key).await?.filter(Stored::is_intact);
        Ok(stored.map(|stored| (stored.row.commit, stored.row.payload as u64)))
    }

    /// Deletes all rows of a series that start in `range`.
    ///
    /// # Errors
    /// As [`Store::write`].
    pub async fn delete(&self, series: SeriesId, range: TimeRange) -> Result<Receipt, StoreError> {
        self.write(Write::new().delete(series, range)).await
    }
}

/// Checks that a text can be an idempotency key.
pub(crate) fn check_key(key: &str) -> Result<(), StoreError> {
    if (1..=255).contains(&key.len()) && !key.contains('\0') {
        Ok(())
    } else {
        Err(StoreError::InvalidKey { len: key.len() })
    }
}

/// The rows as they may be stored: of the right type, on the grid, sorted, each start once.
pub(crate) fn check(spec: &SeriesSpec, rows: Rows) -> Result<Rows, InvalidRows> {
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

/// Adds a deletion to the checksum of all that a write says, which tells a repetition from another write with the same key.
pub(crate) fn feed_deletion(sum: &mut Xxh3, series: SeriesId, range: TimeRange) {
    feed_ints(sum, &[series.0, range.begin().ticks(), range.end().ticks()]);
}

/// Adds rows to it.
pub(crate) fn feed_rows(sum: &mut Xxh3, series: SeriesId, rows: &Rows) {
    feed_ints(sum, &[series.0, rows.len() as i64]);
    match &rows.starts {
        Starts::Grid { first_ticks, step_ticks } => feed_ints(sum, &[*first_ticks, *step_ticks]),
        Starts::Listed(starts) => feed_ints(sum, starts),
    }
    for bits in [&rows.validity, &rows.estimated] {
        feed_ints(sum, &[i64::from(bits.is_some())]);
        bits.iter().flatten().for_each(|&word| feed_ints(sum, &[word as i64]));
    }
    with_values!(&rows.values, values => values.iter().for_each(|value| sum.update(&value.to_le_bytes())));
}

fn feed_ints(sum: &mut Xxh3, values: &[i64]) {
    values.iter().for_each(|value| sum.update(&value.to_le_bytes()));
}
