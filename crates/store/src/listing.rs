//! Series by their keys.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::Store;
use crate::error::StoreError;
use crate::manifest::{HeadRow, ManifestRead, SeriesRow, Stored};
use crate::series::{SeriesId, SeriesSpec};
use crate::store::Inner;
use crate::view;

/// Keys that are looked at at once.
const FEWEST_KEYS: usize = 16;
const MOST_KEYS: usize = 1024;

/// What is remembered of listings.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// Whether all series were found by their keys once.
    is_complete: AtomicBool,
    last: Mutex<Option<Listed>>,
}

/// The rows that were listed last, by the ids of the series.
#[derive(Debug)]
struct Listed {
    at: At,
    rows: HashMap<i64, Stored<SeriesRow>>,
}

/// A commit, by its number and its nonce.
type At = (i64, i64);

/// The most rows that are remembered; a few dozen megabytes.
const MOST_REMEMBERED: usize = 100_000;

impl Listing {
    /// The rows of these series, once, if they were listed last and nothing has changed since: a snapshot of what was just
    /// listed need not read them again.
    pub(crate) fn take(&self, at: At, ids: &[i64]) -> Option<Vec<Stored<SeriesRow>>> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let mut listed =
            last.take_if(|listed| listed.at == at && ids.iter().all(|id| listed.rows.contains_key(id)))?;
        Some(ids.iter().filter_map(|id| listed.rows.remove(id)).collect())
    }

    fn put(&self, at: At, rows: Vec<Stored<SeriesRow>>) {
        let listed = (rows.len() <= MOST_REMEMBERED).then(|| {
            let rows = rows.into_iter().map(|stored| (stored.row.id, stored)).collect();
            Listed { at, rows }
        });
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = listed;
    }
}

/// Which series there were at one time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SeenSeries {
    pub(crate) next: i64,
    count: i64,
}

/// Series that somebody has not seen yet.
#[derive(Clone, Debug)]
pub struct UnseenSeries {
    /// Which there are now.
    pub seen: SeenSeries,
    /// Whether these are all series, because some that were seen are gone, or none was.
    pub is_all: bool,
    /// The series, by id.
    pub series: Vec<(SeriesId, SeriesSpec)>,
}

impl Store {
    /// Which series there are now, to ask later whether others came.
    ///
    /// # Errors
    /// The manifest can't be read, or is damaged.
    pub async fn seen_series(&self) -> Result<SeenSeries, StoreError> {
        let mut read = self.0.manifest.read().await?;
        let head = view::head(&mut *read, &self.0).await?;
        Ok(SeenSeries { next: head.next_series, count: head.series_count })
    }

    /// The series that were made since `seen`; all there are where others were removed meanwhile. Costs one row where nothing
    /// has happened to the set of series, however much was written.
    ///
    /// # Errors
    /// The manifest can't be read, or is damaged.
    pub async fn series_unseen(&self, seen: SeenSeries) -> Result<UnseenSeries, StoreError> {
        let mut read = self.0.manifest.read().await?;
        let head = view::head(&mut *read, &self.0).await?;
        let now = SeenSeries { next: head.next_series, count: head.series_count };
        let is_new = seen == SeenSeries::default();
        if seen == now && !is_new {
            return Ok(UnseenSeries { seen: now, is_all: false, series: Vec::new() });
        }
        if !is_new {
            let rows = self.0.series_from(&mut *read, seen.next).await?;
            if seen.count + rows.len() as i64 == now.count {
                let series = rows.iter().map(|stored| self.0.listed(stored)).collect::<Result<_, _>>()?;
                return Ok(UnseenSeries { seen: now, is_all: false, series });
            }
        }
        let mut series = Vec::new();
        let mut problem = None;
        view::all_series(&mut *read, &self.0, &head, &mut |row| match SeriesSpec::from_row(row) {
            Ok(spec) => series.push((SeriesId(row.id), spec)),
            Err(error) => problem = Some(error),
        })
        .await?;
        match problem {
            Some(problem) => Err(self.0.damaged(problem)),
            None => Ok(UnseenSeries { seen: now, is_all: true, series }),
        }
    }

    /// The first `limit` series whose keys begin with `prefix` and come after `after`, by key, byte by byte; all of them
    /// with several calls. The first call in a process looks at the keys of all series, to be sure that none is missing.
    ///
    /// # Errors
    /// The manifest can't be read, or is damaged.
    pub async fn series_below(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(SeriesId, SeriesSpec)>, StoreError> {
        // No key has a zero character, and not every database knows what it is.
        if prefix.contains('\0') {
            return Ok(Vec::new());
        }
        let after = after.and_then(|after| after.split('\0').next());
        let mut read = self.0.manifest.read().await?;
        let head = view::head(&mut *read, &self.0).await?;
        self.0.check_keys(&mut *read, &head, &mut |_| {}).await?;
        let rows = read.series_with_prefix(prefix, after, limit as u64).await?;
        rows.iter().map(|stored| self.0.listed(stored)).collect()
    }

    /// The series whose keys lie between the ends of one of these ranges, both left out, by key, byte by byte. The ranges
    /// are in order, and none overlaps another. The first call in a process looks at the keys of all series, to be sure
    /// that none is missing; later ones leap over those that lie between the ranges.
    ///
    /// # Errors
    /// The manifest can't be read, or is damaged.
    pub async fn series_in(
        &self,
        ranges: &[Range<String>],
    ) -> Result<Vec<(SeriesId, SeriesSpec)>, StoreError> {
        let mut read = self.0.manifest.read().await?;
        let head = view::head(&mut *read, &self.0).await?;
        let mut rows = Vec::new();
        let mut left = ranges;
        let mut collect = |stored: Stored<SeriesRow>| {
            left = behind(left, &stored.row.key);
            if left.first().is_some_and(|range| *range.start < *stored.row.key) {
                rows.push(stored);
            }
        };
        if !self.0.check_keys(&mut *read, &head, &mut collect).await? {
            rows = leap(&mut *read, ranges).await?;
        }
        let found = rows.iter().map(|stored| self.0.listed(stored)).collect();
        self.0.listing.put((head.commit, head.nonce), rows);
        found
    }
}

/// The ranges that do not end before a key.
fn behind<'a>(ranges: &'a [Range<String>], key: &str) -> &'a [Range<String>] {
    // As keys come in order, it is one of the first.
    let ended = ranges.iter().take_while(|range| *range.end <= *key).count();
    &ranges[ended..]
}

/// The rows in these ranges. Walks along the keys and leaps over those that lie between: it does as well on a few of many
/// series as on all of them.
async fn leap(
    read: &mut dyn ManifestRead,
    mut ranges: &[Range<String>],
) -> Result<Vec<Stored<SeriesRow>>, StoreError> {
    let mut rows = Vec::new();
    // The last key that was seen.
    let mut seen: Option<String> = None;
    let mut limit = FEWEST_KEYS;
    while let Some(first) = ranges.first() {
        let after = seen.as_ref().filter(|seen| **seen > first.start).unwrap_or(&first.start);
        let page = read.series_with_prefix("", Some(after), limit as u64).await?;
        let (found, is_last) = (rows.len(), page.len() < limit);
        for stored in page {
            ranges = behind(ranges, &stored.row.key);
            seen = Some(stored.row.key.clone());
            if ranges.first().is_some_and(|range| *range.start < *stored.row.key) {
                rows.push(stored);
            }
        }
        if is_last {
            break;
        }
        // Where few of the keys were wanted, the next ones are far away.
        limit = if rows.len() - found > limit / 4 { (2 * limit).min(MOST_KEYS) } else { FEWEST_KEYS };
    }
    Ok(rows)
}

impl Inner {
    /// Verifies once that every series is found by its key: the index of the keys is another thing than the rows. Then it
    /// visits all of them, in order, and returns true.
    async fn check_keys(
        &self,
        read: &mut dyn ManifestRead,
        head: &HeadRow,
        visit: &mut (dyn FnMut(Stored<SeriesRow>) + Send),
    ) -> Result<bool, StoreError> {
        if self.listing.is_complete.load(Ordering::Relaxed) {
            return Ok(false);
        }
        view::all_keys(read, self, head, visit).await?;
        self.listing.is_complete.store(true, Ordering::Relaxed);
        Ok(true)
    }

    /// The rows of series with ids from `first` on.
    async fn series_from(
        &self,
        read: &mut dyn ManifestRead,
        first: i64,
    ) -> Result<Vec<Stored<SeriesRow>>, StoreError> {
        let mut rows: Vec<Stored<SeriesRow>> = Vec::new();
        loop {
            let after = rows.last().map_or(first - 1, |last| last.row.id);
            let page = read.series_after(after, MOST_KEYS as u64).await?;
            if page.is_empty() {
                return Ok(rows);
            }
            rows.extend(page);
        }
    }

    fn listed(&self, stored: &Stored<SeriesRow>) -> Result<(SeriesId, SeriesSpec), StoreError> {
        if !stored.is_intact() {
            return Err(
                self.damaged(format!("the row of series {} does not match its checksum", stored.row.id))
            );
        }
        let spec = SeriesSpec::from_row(&stored.row).map_err(|problem| self.damaged(problem))?;
        Ok((SeriesId(stored.row.id), spec))
    }
}
