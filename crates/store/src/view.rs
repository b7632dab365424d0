//! What the manifest says, verified: the head against the file `HEAD`, series against the head, pieces against the series.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{SeriesName, StoreError};
use crate::manifest::{HeadRow, ManifestRead, PieceRow, SegmentStateRow, SeriesRow, Stored};
use crate::publish::FORMAT;
use crate::series::{SeriesId, SeriesView};
use crate::store::Inner;

/// The head, verified, and not behind what this process has seen.
pub(crate) async fn head<R: ManifestRead + ?Sized>(
    read: &mut R,
    inner: &Inner,
) -> Result<HeadRow, StoreError> {
    let head = intact_head(read, &inner.manifest.describe()).await?;
    inner.saw(&head)?;
    Ok(head)
}

/// The head, verified by itself.
pub(crate) async fn intact_head<R: ManifestRead + ?Sized>(
    read: &mut R,
    database: &str,
) -> Result<HeadRow, StoreError> {
    intact(read.head().await?, || database.to_owned())
}

/// The head as it was read, verified by itself.
pub(crate) fn intact(
    head: Option<Stored<HeadRow>>,
    database: impl Fn() -> String,
) -> Result<HeadRow, StoreError> {
    let damaged =
        |problem: &str| StoreError::DamagedManifest { database: database(), problem: problem.to_owned() };
    let stored = head.ok_or_else(|| damaged("the head is missing"))?;
    if !stored.is_intact() {
        return Err(damaged("the head does not match its checksum"));
    }
    if stored.row.format > FORMAT {
        let (found, newest) = (stored.row.format, FORMAT);
        return Err(StoreError::NewerFormat { database: database(), found, newest });
    }
    Ok(stored.row)
}

/// How many series are read at once when all are.
pub(crate) const PAGE: u64 = 10_000;

/// Series in memory, to spare reading them again while they don't change.
#[derive(Debug, Default)]
pub(crate) struct ViewCache(Mutex<Cached>);

#[derive(Debug, Default)]
struct Cached {
    /// Each with the commit and nonce at which it was last known to be true.
    views: HashMap<i64, (Arc<SeriesView>, (i64, i64))>,
    pieces: usize,
}

/// The most pieces that are kept in memory; about 200 MB.
const MOST_PIECES: usize = 1_000_000;

impl ViewCache {
    fn get(&self, id: i64) -> Option<(Arc<SeriesView>, (i64, i64))> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).views.get(&id).cloned()
    }

    fn put(&self, view: &Arc<SeriesView>, at: (i64, i64)) {
        let mut cached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if cached.pieces > MOST_PIECES {
            *cached = Cached::default();
        }
        cached.pieces += view.pieces.len();
        if let Some((before, _)) = cached.views.insert(view.id.0, (view.clone(), at)) {
            cached.pieces -= before.pieces.len();
        }
    }
}

/// The series with these ids, if all of them are in memory as they were after this commit.
pub(crate) fn known(
    inner: &Inner,
    at: (i64, i64),
    ids: &[SeriesId],
) -> Option<BTreeMap<SeriesId, Arc<SeriesView>>> {
    let cached = inner.views.0.lock().unwrap_or_else(PoisonError::into_inner);
    let view = |id: &SeriesId| {
        let (view, known) = cached.views.get(&id.0)?;
        (*known == at).then(|| (*id, view.clone()))
    };
    ids.iter().map(view).collect()
}

/// The series with these ids, verified, at the state of `read`.
pub(crate) async fn load(
    read: &mut dyn ManifestRead,
    inner: &Inner,
    head: &HeadRow,
    ids: &[SeriesId],
) -> Result<HashMap<SeriesId, Arc<SeriesView>>, StoreError> {
    let at = (head.commit, head.nonce);
    let mut views = HashMap::new();
    let mut to_check = Vec::new();
    for &id in ids {
        match inner.views.get(id.0) {
            Some((view, known)) if known == at => {
                views.insert(id, view);
            }
            _ => to_check.push(id.0),
        }
    }
    to_check.sort_unstable();
    to_check.dedup();
    if to_check.is_empty() {
        return Ok(views);
    }
    let rows = match inner.listing.take(at, &to_check) {
        Some(rows) => rows,
        None => read.series(&to_check).await.map_err(|source| with_series(inner, &to_check, source))?,
    };
    let found: HashSet<i64> = rows.iter().map(|stored| stored.row.id).collect();
    if let Some(&missing) = to_check.iter().find(|id| !found.contains(id)) {
        all_series(read, inner, head, &mut |_| {}).await?;
        return Err(StoreError::UnknownSeries(SeriesId(missing)));
    }
    let mut changed = HashMap::new();
    for stored in rows {
        match inner.views.get(stored.row.id) {
            Some((view, _)) if view.version == stored.checksum && stored.is_intact() => {
                inner.views.put(&view, at);
                views.insert(view.id, view);
            }
            _ => {
                changed.insert(stored.row.id, (stored, Vec::new()));
            }
        }
    }
    let ids: Vec<i64> = changed.keys().copied().collect();
    let pieces = read.pieces(&ids).await.map_err(|source| with_series(inner, &ids, source))?;
    for piece in pieces {
        match changed.get_mut(&piece.row.series) {
            Some((_, pieces)) => pieces.push(piece),
            None => {
                return Err(
                    inner.damaged(format!("a piece of series {} was not asked for", piece.row.series))
                );
            }
        }
    }
    for (stored, pieces) in changed.into_values() {
        let view = Arc::new(verified(inner, &stored, pieces)?);
        inner.views.put(&view, at);
        views.insert(view.id, view);
    }
    Ok(views)
}

/// Verifies a series.
pub(crate) fn verified(
    inner: &Inner,
    stored: &Stored<SeriesRow>,
    pieces: Vec<Stored<PieceRow>>,
) -> Result<SeriesView, StoreError> {
    SeriesView::new(stored, pieces).map_err(|problem| {
        let key = stored.is_intact().then(|| stored.row.key.clone());
        let series = SeriesName { id: SeriesId(stored.row.id), key, range: None };
        StoreError::DamagedSeries { database: inner.manifest.describe(), series, problem }
    })
}

/// Names the series that could not be read, as far as they are known.
fn with_series(inner: &Inner, ids: &[i64], source: crate::manifest::ManifestError) -> StoreError {
    match ids.first() {
        Some(&id) => {
            let key = inner.views.get(id).map(|(view, _)| view.spec.key.clone());
            StoreError::ManifestOfSeries {
                series: SeriesName { id: SeriesId(id), key, range: None },
                source: Box::new(source),
            }
        }
        None => StoreError::Manifest(source),
    }
}

/// Visits all series, by id, and verifies that none is missing. Whether something is *not* there can only be believed
/// after that: a damaged index looks like an absence.
pub(crate) async fn all_series(
    read: &mut dyn ManifestRead,
    inner: &Inner,
    head: &HeadRow,
    visit: &mut (dyn FnMut(&SeriesRow) + Send),
) -> Result<(), StoreError> {
    let (mut after, mut all) = (i64::MIN, AllSeries::default());
    loop {
        let page = read.series_after(after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.row.id;
        for stored in &page {
            all.add(inner, stored)?;
            visit(&stored.row);
        }
    }
    all.check(inner, head)
}

/// Visits all series by their keys, and verifies that none is missing: a damaged index of the keys hides some.
pub(crate) async fn all_keys(
    read: &mut dyn ManifestRead,
    inner: &Inner,
    head: &HeadRow,
    visit: &mut (dyn FnMut(Stored<SeriesRow>) + Send),
) -> Result<(), StoreError> {
    let (mut after, mut all) = (None::<String>, AllSeries::default());
    loop {
        let page = read.series_with_prefix("", after.as_deref(), PAGE).await?;
        if page.is_empty() {
            return all.check(inner, head);
        }
        for stored in page {
            all.add(inner, &stored)?;
            if after.is_some_and(|after| after >= stored.row.key) {
                return Err(inner.damaged("the index of the series' keys is out of order".to_owned()));
            }
            after = Some(stored.row.key.clone());
            visit(stored);
        }
    }
}

/// Count and digest of all series.
#[derive(Default)]
struct AllSeries {
    count: i64,
    digest: i64,
}

impl AllSeries {
    fn add(&mut self, inner: &Inner, stored: &Stored<SeriesRow>) -> Result<(), StoreError> {
        if !stored.is_intact() {
            return Err(
                inner.damaged(format!("the row of series {} does not match its checksum", stored.row.id))
            );
        }
        self.count += 1;
        self.digest = self.digest.wrapping_add(stored.checksum);
        Ok(())
    }

    fn check(&self, inner: &Inner, head: &HeadRow) -> Result<(), StoreError> {
        if (self.count, self.digest) == (head.series_count, head.series_digest) {
            return Ok(());
        }
        let problem = if self.count == head.series_count {
            "the series are intact, but not the ones of the last commit".to_owned()
        } else {
            format!("{} series are there, {} were written", self.count, head.series_count)
        };
        Err(inner.damaged(problem))
    }
}

/// The states of all segments, verified to be all.
pub(crate) async fn all_segment_states(
    read: &mut dyn ManifestRead,
    inner: &Inner,
    head: &HeadRow,
) -> Result<Vec<Stored<SegmentStateRow>>, StoreError> {
    let (mut states, mut digest) = (Vec::new(), 0_i64);
    loop {
        let after = states.last().map_or(i64::MIN, |last: &Stored<SegmentStateRow>| last.row.id);
        let page = read.segment_states_after(after, PAGE).await?;
        if page.is_empty() {
            break;
        }
        for state in page {
            if !state.is_intact() {
                return Err(inner
                    .damaged(format!("the state of segment {} does not match its checksum", state.row.id)));
            }
            digest = digest.wrapping_add(state.checksum);
            states.push(state);
        }
    }
    if (states.len() as i64, digest) != (head.segment_count, head.segment_digest) {
        return Err(inner.damaged(format!(
            "{} segments are listed, {} were written, or they are not the ones of the last commit",
            states.len(),
            head.segment_count
        )));
    }
    Ok(states)
}
