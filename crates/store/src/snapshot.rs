//! Snapshots: some series as they were after one commit.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use sheaf_model::TimeRange;

use crate::error::{SeriesName, StoreError};
use crate::manifest::ManifestRead;
use crate::plan::{How, Step, plan};
use crate::scan::Scan;
use crate::segment::SegmentFacts;
use crate::segment_cache::{MOST_HELD, SegmentsOf, facts};
use crate::series::{SeriesId, SeriesSpec, SeriesView};
use crate::store::{Inner, Store, blocking};
use crate::view;

/// Some series as they were after one commit, whatever is written, deleted or compacted meanwhile.
#[derive(Clone)]
pub struct Snapshot {
    inner: Arc<Inner>,
    commit: i64,
    nonce: i64,
    views: BTreeMap<SeriesId, Arc<SeriesView>>,
}

impl Store {
    /// These series as they are now.
    ///
    /// # Errors
    /// One of them is not there, or what the manifest says of it is damaged. The database fails.
    pub async fn snapshot(&self, series: &[SeriesId]) -> Result<Snapshot, StoreError> {
        self.snapshot_of(&mut *self.0.manifest.read().await?, series).await
    }

    async fn snapshot_of(
        &self,
        read: &mut dyn ManifestRead,
        series: &[SeriesId],
    ) -> Result<Snapshot, StoreError> {
        let head = view::head(read, &self.0).await?;
        let views = view::load(read, &self.0, &head, series).await?.into_iter().collect();
        Ok(Snapshot::new(self.0.clone(), head.commit, head.nonce, views))
    }

    /// The rows of a series as they are now, all or those that start in `range`.
    ///
    /// # Errors
    /// As [`Store::snapshot`] and [`Snapshot::scan`].
    pub async fn scan(&self, series: SeriesId, range: Option<TimeRange>) -> Result<Scan, StoreError> {
        match self.scan_now(series, range).await {
            // Compaction was faster: what the new snapshot names is there, or it is lost.
            Err(StoreError::Vanished { .. }) => match self.scan_now(series, range).await {
                Err(StoreError::Vanished { series, file }) => Err(StoreError::MissingFile { series, file }),
                other => other,
            },
            other => other,
        }
    }

    /// A scan from a single view of the manifest.
    async fn scan_now(&self, series: SeriesId, range: Option<TimeRange>) -> Result<Scan, StoreError> {
        let mut read = self.0.manifest.read().await?;
        let snapshot = self.snapshot_of(&mut *read, &[series]).await?;
        snapshot.scan_in(Some(read), series, range).await
    }
}

impl Snapshot {
    pub(crate) fn new(
        inner: Arc<Inner>,
        commit: i64,
        nonce: i64,
        views: BTreeMap<SeriesId, Arc<SeriesView>>,
    ) -> Snapshot {
        Snapshot { inner, commit, nonce, views }
    }

    /// The commit that the snapshot shows.
    pub fn commit(&self) -> i64 {
        self.commit
    }

    /// The random number of that commit.
    pub fn nonce(&self) -> i64 {
        self.nonce
    }

    pub(crate) fn view(&self, series: SeriesId) -> Result<&Arc<SeriesView>, StoreError> {
        self.views.get(&series).ok_or(StoreError::UnknownSeries(series))
    }

    /// What a series is.
    ///
    /// # Errors
    /// It is not part of the snapshot.
    pub fn spec(&self, series: SeriesId) -> Result<&SeriesSpec, StoreError> {
        Ok(&self.view(series)?.spec)
    }

    /// From the first to the last row of a series; `None` without any. Found without reading segments, so ranges that
    /// hold nothing but missing samples may be included.
    ///
    /// # Errors
    /// The series is not part of the snapshot.
    pub fn range(&self, series: SeriesId) -> Result<Option<TimeRange>, StoreError> {
        Ok(self.view(series)?.range())
    }

    /// The ranges of a series in which something was written, overwritten or deleted after `commit`; they may be larger
    /// than what changed, never smaller. In order of time, none touches another.
    ///
    /// # Errors
    /// The series is not part of the snapshot.
    pub fn changed_since(&self, series: SeriesId, commit: i64) -> Result<Vec<TimeRange>, StoreError> {
        let pieces = self.view(series)?.pieces.iter();
        let mut ranges: Vec<TimeRange> = pieces
            .filter(|piece| piece.is_change() && piece.key.commit > commit)
            .map(|piece| piece.range)
            .collect();
        ranges.sort_by_key(|range| range.begin());
        let mut joined: Vec<TimeRange> = Vec::new();
        for range in ranges {
            match joined.last_mut() {
                Some(last) if range.begin() <= last.end() => *last = last.hull(range),
                _ => joined.push(range),
            }
        }
        Ok(joined)
    }

    /// Which of these commits are part of the same history as the snapshot, before or after it, and recent enough to be
    /// remembered. None are if the snapshot itself is not.
    ///
    /// # Errors
    /// The manifest can't be read.
    pub async fn remembers(&self, commits: &[(i64, i64)]) -> Result<Vec<bool>, StoreError> {
        if commits.is_empty() {
            return Ok(Vec::new());
        }
        let own = (self.commit, self.nonce);
        let mut memory = self.inner.remembered.lock().await;
        let is_known = |memory: &Remembered, pair: &(i64, i64)| *pair == own || memory.commits.contains(pair);
        if memory.at != Some(own) || !commits.iter().all(|pair| is_known(&memory, pair)) {
            let mut read = self.inner.manifest.read().await?;
            if memory.at != Some(own) {
                if !is_in_history(&mut *read, own).await? {
                    return Ok(vec![false; commits.len()]);
                }
                // What belongs to the same history as that commit belongs to this one's.
                match memory.at {
                    Some(before) if is_in_history(&mut *read, before).await? => {}
                    _ => memory.commits.clear(),
                }
                memory.at = Some(own);
            }
            for pair in commits {
                if !is_known(&memory, pair) && is_in_history(&mut *read, *pair).await? {
                    if memory.commits.len() > MOST_REMEMBERED {
                        memory.commits.clear();
                    }
                    memory.commits.insert(*pair);
                }
            }
        }
        Ok(commits.iter().map(|pair| is_known(&memory, pair)).collect())
    }

    /// Whether this commit is part of the snapshot's past, and recent enough to be remembered.
    ///
    /// # Errors
    /// The manifest can't be read.
    pub async fn knows(&self, commit: i64, nonce: i64) -> Result<bool, StoreError> {
        Ok(commit <= self.commit && self.remembers(&[(commit, nonce)]).await? == [true])
    }

    /// As [`Store::id`].
    pub fn store_id(&self) -> i64 {
        self.inner.id
    }

    /// The rows of a series, all or those that start in `range`.
    ///
    /// # Errors
    /// The series is not part of the snapshot. A segment can't be opened, or was removed because the snapshot is older
    /// than [`Settings::grace`](crate::Settings::grace). The manifest can't be read.
    pub async fn scan(&self, series: SeriesId, range: Option<TimeRange>) -> Result<Scan, StoreError> {
        self.scan_in(None, series, range).await
    }

    /// As [`Snapshot::scan`], of many series: one scan for each. Of the manifest this asks no more than for one.
    ///
    /// # Errors
    /// As [`Snapshot::scan`].
    pub async fn scans(&self, wanted: &[(SeriesId, Option<TimeRange>)]) -> Result<Vec<Scan>, StoreError> {
        self.scans_in(None, wanted).await
    }

    async fn scan_in(
        &self,
        read: Option<Box<dyn ManifestRead>>,
        series: SeriesId,
        range: Option<TimeRange>,
    ) -> Result<Scan, StoreError> {
        self.scans_in(read, &[(series, range)]).await?.pop().ok_or(StoreError::UnknownSeries(series))
    }

    async fn scans_in(
        &self,
        read: Option<Box<dyn ManifestRead>>,
        wanted: &[(SeriesId, Option<TimeRange>)],
    ) -> Result<Vec<Scan>, StoreError> {
        let planned = wanted.iter().map(|&(series, range)| {
            let view = self.view(series)?.clone();
            let steps = plan(&view, range);
            Ok((view, steps))
        });
        scan_steps(&self.inner, read, planned.collect::<Result<_, StoreError>>()?).await
    }

    /// How a range is read, for people: one line for each step.
    ///
    /// # Errors
    /// The series is not part of the snapshot.
    pub fn explain(&self, series: SeriesId, range: Option<TimeRange>) -> Result<Vec<String>, StoreError> {
        let view = self.view(series)?;
        let describe = |index: &usize| {
            let piece = &view.pieces[*index];
            let place = match piece.segment {
                0 => "tail".to_owned(),
                id if id > 0 => format!("segment {id} from row {}", piece.first_row),
                _ => "tombstone".to_owned(),
            };
            format!("{place} (commit {})", piece.key.commit)
        };
        let explain = |step: Step| match step.how {
            How::Direct(piece) => format!("{} from {}", step.range, describe(&piece)),
            How::Overlay(layers) => {
                format!(
                    "{} from {}",
                    step.range,
                    layers.iter().map(describe).collect::<Vec<_>>().join(", then ")
                )
            }
        };
        Ok(plan(view, range).into_iter().map(explain).collect())
    }
}

/// Commits of one history, to spare asking the database for each of them again.
#[derive(Debug, Default)]
pub(crate) struct Remembered {
    /// A commit that was in the database together with all of them.
    at: Option<(i64, i64)>,
    commits: HashSet<(i64, i64)>,
}

/// The most commits that are kept in memory; about 1 MB.
const MOST_REMEMBERED: usize = 50_000;

async fn is_in_history(read: &mut dyn ManifestRead, (commit, nonce): (i64, i64)) -> Result<bool, StoreError> {
    let row = read.commit_row(commit).await?;
    Ok(row.is_some_and(|row| row.is_intact() && row.row.nonce == nonce))
}

/// A scan of the steps of each view. Their segments are looked up, in `read` or else in a new view, and as many as is
/// reasonable are opened.
async fn scan_steps(
    inner: &Arc<Inner>,
    read: Option<Box<dyn ManifestRead>>,
    planned: Vec<(Arc<SeriesView>, Vec<Step>)>,
) -> Result<Vec<Scan>, StoreError> {
    // Of which series each segment is wanted, the first one.
    let mut of_segments: HashMap<i64, Arc<SeriesView>> = HashMap::new();
    for (view, steps) in &planned {
        for step in steps {
            let pieces: &[usize] = match &step.how {
                How::Direct(piece) => std::slice::from_ref(piece),
                How::Overlay(layers) => layers,
            };
            for segment in pieces.iter().map(|&piece| view.pieces[piece].segment).filter(|&id| id > 0) {
                of_segments.entry(segment).or_insert_with(|| view.clone());
            }
        }
    }
    let mut ids: Vec<i64> = of_segments.keys().copied().collect();
    let facts = if ids.is_empty() {
        HashMap::new()
    } else {
        let mut read = match read {
            Some(read) => read,
            None => inner.manifest.read().await?,
        };
        find_segments(inner, &mut *read, &mut ids, &|id| of_segments[&id].name()).await?
    };
    let segments = Arc::new(SegmentsOf::new(inner.clone(), facts));
    if !ids.is_empty() {
        let segments = segments.clone();
        let open = move |id: &i64| {
            let view = &of_segments[id];
            segments.open(*id, view.spec.data_type, &view.name()).map(drop)
        };
        blocking(move || ids.iter().take(MOST_HELD).try_for_each(open)).await?;
    }
    Ok(planned.into_iter().map(|(view, steps)| Scan::new(view, segments.clone(), steps)).collect())
}

/// The facts of the segments with these ids; each is asked for once. `name_of` says which series wants a segment.
pub(crate) async fn find_segments(
    inner: &Inner,
    read: &mut dyn ManifestRead,
    ids: &mut Vec<i64>,
    name_of: &(dyn Fn(i64) -> SeriesName + Sync),
) -> Result<HashMap<i64, (i64, SegmentFacts)>, StoreError> {
    ids.sort_unstable();
    ids.dedup();
    let mut found = HashMap::new();
    let Some(&first) = ids.first() else { return Ok(found) };
    let of_series =
        |source| StoreError::ManifestOfSeries { series: name_of(first), source: Box::new(source) };
    let states = read.segment_states(ids).await.map_err(of_series)?;
    let states: HashMap<i64, _> = states.into_iter().map(|state| (state.row.id, state)).collect();
    for segment in read.segments(ids).await.map_err(of_series)? {
        let id = segment.row.id;
        if let Some(state) = states.get(&id) {
            let facts = facts(segment, state).map_err(|problem| StoreError::DamagedSeries {
                database: inner.manifest.describe(),
                series: name_of(id),
                problem,
            })?;
            found.insert(id, facts);
        }
    }
    match ids.iter().find(|id| !found.contains_key(id)) {
        Some(&id) => Err(StoreError::Vanished { series: name_of(id), file: format!("segment {id}") }),
        None => Ok(found),
    }
}
