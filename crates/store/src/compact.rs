//! Compaction: the tail moves to segments, small segments become larger ones. It changes no answer.
//!
//! Pieces of a series may become one only if no other piece with samples that overlaps them has a commit between the
//! lowest and the highest of theirs: the result has the highest one, and that must not lift an older sample over a newer
//! one. Tombstones are no obstacle: they are applied on the way.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use sheaf_model::{DataType, TimeRange};

use crate::announce::Announced;
use crate::changes::{MOST_CHANGES, coalesce};
use crate::collect::{Collected, collect};
use crate::error::{StoreError, in_full};
use crate::lease::Lease;
use crate::manifest::{PieceKey, PieceKind};
use crate::merge_policy::SegmentInfo;
use crate::plan::plan;
use crate::publish::{Committed, Draft, NewFile, Place, Publication, millis, now_ms};
use crate::runs::Splitter;
use crate::scan::Scan;
use crate::segment_cache::SegmentsOf;
use crate::series::{Layout, Piece, SeriesId, SeriesView, data_type_from_code};
use crate::sink::{FileSink, Written, finish_all};
use crate::snapshot::find_segments;
use crate::store::{Inner, Store, blocking};
use crate::view;
use crate::watch::Watch;

/// What to compact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompactOptions {
    /// Moves the whole tail and merges all there is, instead of what the policy asks for.
    pub all: bool,
}

/// What a compaction did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Compacted {
    /// Pieces that were moved from the tail to segments.
    pub moved_pieces: u64,
    /// Segments that were merged.
    pub merged_segments: u64,
    /// Segments that were written instead.
    pub new_segments: u64,
    /// Files that were removed, with their bytes.
    pub removed_files: u64,
    /// Bytes of the files that were removed.
    pub removed_bytes: u64,
    /// What could not be merged, and why; everything else was.
    pub failures: Vec<String>,
}

/// So many times the policy is asked in one compaction: a segment climbs at most so many tiers.
const MOST_ROUNDS: usize = 8;

/// So many series are merged in one transaction, into files of their own; what is known of them takes some 100 MB.
const SERIES_AT_ONCE: usize = 1 << 17;

impl Store {
    /// Compacts what the policy asks for, and removes files that nothing refers to. Whatever has been done when it fails
    /// or is cancelled stays done.
    ///
    /// # Errors
    /// Another process is at it. The disk or the database fails. It was cancelled. Damage is no error: what is damaged
    /// stays as it is, and is listed.
    pub async fn compact(&self, options: CompactOptions, watch: &Watch) -> Result<Compacted, StoreError> {
        let lease = Lease::take(&self.0).await?;
        let result = self.compact_under_lease(options, watch).await;
        lease.give_back().await;
        result
    }

    async fn compact_under_lease(
        &self,
        options: CompactOptions,
        watch: &Watch,
    ) -> Result<Compacted, StoreError> {
        let inner = &self.0;
        let mut done = Compacted::default();
        if options.all || self.tail_is_due().await? {
            move_tail(inner, watch, &mut done).await?;
        }
        // A merge may fill the next tier: again until nothing is left to do. Others may write faster than this merges, so
        // not for ever; and never the same segment twice.
        let mut failed: BTreeSet<i64> = BTreeSet::new();
        for _ in 0..MOST_ROUNDS {
            let segments: Vec<SegmentInfo> = live_segments(inner)
                .await?
                .into_iter()
                .filter(|segment| !failed.contains(&segment.id))
                .collect();
            let policy = &inner.settings.merge_policy;
            let full_rows = inner.settings.segment_most_rows;
            let merges = if options.all {
                policy.merge_all(&segments, full_rows)
            } else {
                policy.merges(&segments, full_rows)
            };
            let total = merges.len() as u64;
            let (new_before, merged_before) = (done.new_segments, done.merged_segments);
            for (at, merge) in merges.iter().enumerate() {
                watch.step("merging segments", at as u64, total)?;
                match merge_segments(inner, merge, watch, &mut done).await {
                    Ok(()) => done.merged_segments += merge.len() as u64,
                    // Something it was to merge is overwritten or deleted: the next round sees what is left.
                    Err(StoreError::Conflict) => {}
                    Err(error) if error.is_damage() => {
                        done.failures.push(in_full(&error));
                        failed.extend(merge);
                    }
                    Err(error) => return Err(error),
                }
            }
            // Rows of different layouts stay in different segments.
            let is_worth_it = done.new_segments - new_before < done.merged_segments - merged_before;
            if merges.is_empty() || options.all || !is_worth_it {
                break;
            }
        }
        watch.step("removing files", 0, 1)?;
        let Collected { files, bytes } = collect(inner).await?;
        done.removed_files = files;
        done.removed_bytes = bytes;
        Ok(done)
    }

    /// Moves the tail to segments in the background, if it has grown too large.
    pub(crate) fn move_tail_if_due(&self, committed: &Committed) {
        let settings = &self.0.settings;
        let is_due = committed.tail_bytes >= settings.tail_most_bytes as i64;
        if !settings.moves_tail || !is_due || self.0.moving_tail.swap(true, Ordering::AcqRel) {
            return;
        }
        let inner = self.0.clone();
        tokio::spawn(async move {
            // Another process may be at it, and what fails now is tried again after the next write.
            if let Ok(lease) = Lease::take(&inner).await {
                let _tried_again = move_tail(&inner, &Watch::default(), &mut Compacted::default()).await;
                lease.give_back().await;
            }
            inner.moving_tail.store(false, Ordering::Release);
        });
    }

    async fn tail_is_due(&self) -> Result<bool, StoreError> {
        let mut read = self.0.manifest.read().await?;
        let head = view::head(&mut *read, &self.0).await?;
        let settings = &self.0.settings;
        let oldest_ms = now_ms().saturating_sub(millis(settings.tail_most_age));
        Ok(head.tail_bytes > 0
            && (head.tail_bytes >= settings.tail_most_bytes as i64 || head.tail_since_ms <= oldest_ms))
    }
}

/// All segments with pieces in them, verified to be all.
async fn live_segments(inner: &Inner) -> Result<Vec<SegmentInfo>, StoreError> {
    let mut read = inner.manifest.read().await?;
    let head = view::head(&mut *read, inner).await?;
    let mut segments = Vec::new();
    for state in view::all_segment_states(&mut *read, inner, &head).await? {
        let row = state.row;
        segments.push(SegmentInfo {
            id: row.id,
            data_type: data_type_from_code(row.data_type).map_err(|problem| inner.damaged(problem))?,
            bytes: row.bytes.max(0) as u64,
            rows: row.rows.max(0) as u64,
            live_rows: row.live_rows.max(0) as u64,
        });
    }
    segments.retain(|segment| segment.live_rows > 0);
    Ok(segments)
}

async fn move_tail(inner: &Arc<Inner>, watch: &Watch, done: &mut Compacted) -> Result<(), StoreError> {
    let ids = inner.manifest.read().await?.series_in_segments(&[0]).await?;
    let total = ids.len() as u64;
    for (at, ids) in ids.chunks(SERIES_AT_ONCE).enumerate() {
        watch.step("moving the tail", (at * SERIES_AT_ONCE) as u64, total)?;
        let merged = merge(inner, ids, &|piece| piece.segment == 0, watch).await;
        match merged {
            Ok(Merged { pieces, segments, failures }) => {
                done.moved_pieces += pieces;
                done.new_segments += segments;
                done.failures.extend(failures);
            }
            Err(StoreError::Conflict) => {}
            Err(error) if error.is_damage() => done.failures.push(in_full(&error)),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn merge_segments(
    inner: &Arc<Inner>,
    segments: &[i64],
    watch: &Watch,
    done: &mut Compacted,
) -> Result<(), StoreError> {
    let ids = inner.manifest.read().await?.series_in_segments(segments).await?;
    if ids.len().div_ceil(SERIES_AT_ONCE) >= segments.len() && segments.len() > 1 {
        // It would end in as many files as it began with.
        return Ok(());
    }
    for ids in ids.chunks(SERIES_AT_ONCE) {
        let merged = merge(inner, ids, &|piece| segments.contains(&piece.segment), watch).await?;
        done.new_segments += merged.segments;
        done.failures.extend(merged.failures);
    }
    Ok(())
}

struct Merged {
    pieces: u64,
    segments: u64,
    /// Series that are damaged, and stay as they are.
    failures: Vec<String>,
}

/// The series with these ids; those that are damaged are left out, and why.
async fn load_intact(
    inner: &Inner,
    series: &[SeriesId],
) -> Result<(Vec<Arc<SeriesView>>, Vec<String>), StoreError> {
    let mut read = inner.manifest.read().await?;
    let head = view::head(&mut *read, inner).await?;
    match view::load(&mut *read, inner, &head, series).await {
        Ok(views) => return Ok((views.into_values().collect(), Vec::new())),
        Err(error) if error.is_damage() => {}
        Err(error) => return Err(error),
    }
    let (mut views, mut failures) = (Vec::new(), Vec::new());
    for &id in series {
        match view::load(&mut *read, inner, &head, &[id]).await {
            Ok(view) => views.extend(view.into_values()),
            Err(error) if error.is_damage() => failures.push(in_full(&error)),
            Err(error) => return Err(error),
        }
    }
    Ok((views, failures))
}

/// A series whose pieces are merged: which ones, in groups.
struct Job {
    view: Arc<SeriesView>,
    groups: Vec<Vec<usize>>,
}

/// Merges the pieces of these series that `is_input` chooses, and publishes the result.
async fn merge(
    inner: &Arc<Inner>,
    ids: &[i64],
    is_input: &(dyn Fn(&Piece) -> bool + Sync),
    watch: &Watch,
) -> Result<Merged, StoreError> {
    let series: Vec<SeriesId> = ids.iter().map(|&id| SeriesId(id)).collect();
    let (views, failures) = load_intact(inner, &series).await?;
    let mut jobs: Vec<Job> = Vec::new();
    for view in views {
        let inputs: Vec<usize> = (0..view.pieces.len())
            .filter(|&at| view.pieces[at].is_data() && is_input(&view.pieces[at]))
            .collect();
        let inputs = with_later_siblings(&view.pieces, inputs);
        if !inputs.is_empty() {
            let groups = groups(&view.pieces, &inputs);
            jobs.push(Job { view, groups });
        }
    }
    jobs.sort_by_key(|job| job.view.id);
    let mut segments: Vec<i64> = jobs
        .iter()
        .flat_map(|job| job.groups.iter().flatten().map(|&at| job.view.pieces[at].segment))
        .filter(|&segment| segment > 0)
        .collect();
    let Some(first) = jobs.first() else { return Ok(Merged { pieces: 0, segments: 0, failures }) };
    let name_of = |segment| {
        let whose = jobs.iter().find(|job| job.view.pieces.iter().any(|piece| piece.segment == segment));
        whose.unwrap_or(first).view.name()
    };
    let facts = find_segments(inner, &mut *inner.manifest.read().await?, &mut segments, &name_of).await?;
    let jobs = Arc::new(jobs);
    let announced = Announced::new(inner.clone());
    let results = {
        let (announced, jobs, watch) = (announced.clone(), jobs.clone(), watch.clone());
        let segments = Arc::new(SegmentsOf::new(inner.clone(), facts));
        blocking(move || write_merged(&announced, &jobs, segments, &watch)).await?
    };
    let (files, drafts) = results;
    announced.keep();
    let result = publish(inner, &jobs, &files, drafts, &segments).await;
    if result.as_ref().is_err_and(|error| !error.may_be_written()) {
        announced.discard().await;
    }
    result?;
    let pieces = jobs.iter().flat_map(|job| &job.groups).map(|group| group.len() as u64).sum();
    Ok(Merged { pieces, segments: files.len() as u64, failures })
}

/// The inputs, and the pieces of their commits that lie over them: what is rewritten gets the last place in its commit, and
/// must not rise above those.
fn with_later_siblings(pieces: &[Piece], inputs: Vec<usize>) -> Vec<usize> {
    let mut by_commit: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
    for (at, piece) in pieces.iter().enumerate().filter(|(_, piece)| piece.is_data()) {
        by_commit.entry(piece.key.commit).or_default().push(at);
    }
    let mut chosen: BTreeSet<usize> = inputs.iter().copied().collect();
    let mut unseen = inputs;
    while let Some(at) = unseen.pop() {
        let piece = &pieces[at];
        for &other in by_commit.get(&piece.key.commit).into_iter().flatten() {
            let lies_over = pieces[other].key.ordinal > piece.key.ordinal
                && pieces[other].range.intersection(piece.range).is_some();
            if lies_over && chosen.insert(other) {
                unseen.push(other);
            }
        }
    }
    chosen.into_iter().collect()
}

/// Groups of inputs that may become one, by rank. `inputs` are places in `pieces`.
fn groups(pieces: &[Piece], inputs: &[usize]) -> Vec<Vec<usize>> {
    let is_input: BTreeSet<usize> = inputs.iter().copied().collect();
    let others: Vec<&Piece> = (0..pieces.len())
        .filter(|at| pieces[*at].is_data() && !is_input.contains(at))
        .map(|at| &pieces[at])
        .collect();
    let mut inputs = inputs.to_vec();
    inputs.sort_by_key(|&at| pieces[at].rank());
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut hull: Option<(TimeRange, i64)> = None;
    for at in inputs {
        let piece = &pieces[at];
        let joined = hull.map(|(range, lowest)| (range.hull(piece.range), lowest));
        let fits = joined.is_some_and(|(range, lowest)| {
            !others.iter().any(|other| {
                (lowest..=piece.key.commit).contains(&other.key.commit)
                    && other.range.intersection(range).is_some()
            })
        });
        match groups.last_mut() {
            Some(group) if fits => {
                group.push(at);
                hull = joined;
            }
            _ => {
                groups.push(vec![at]);
                hull = Some((piece.range, piece.key.commit));
            }
        }
    }
    groups
}

/// Which drafts of a sink belong to which commit.
type Commits = (Range<usize>, i64);

/// A draft with the commit that it belongs to.
type Dated = (Draft, i64);

fn write_merged(
    announced: &Arc<Announced>,
    jobs: &[Job],
    segments: Arc<SegmentsOf>,
    watch: &Watch,
) -> Result<(Vec<NewFile>, Vec<Dated>), StoreError> {
    let mut sinks: BTreeMap<(DataType, bool), (FileSink, Vec<Commits>)> = BTreeMap::new();
    for (at, job) in jobs.iter().enumerate() {
        watch.step("merging series", at as u64, jobs.len() as u64)?;
        let spec = &job.view.spec;
        let irregular = spec.layout == Layout::Irregular;
        let (sink, commits) = sinks.entry((spec.data_type, irregular)).or_insert_with(|| {
            (FileSink::new(announced.clone(), spec.data_type, irregular, true), Vec::new())
        });
        sink.set_series(job.view.id, spec.layout);
        for group in &job.groups {
            let from = sink.drafts();
            let Some(commit) = group.iter().map(|&at| job.view.pieces[at].key.commit).max() else { continue };
            let part = Arc::new(restricted(&job.view, group));
            let steps = plan(&part, None);
            let mut splitter = Splitter::new(spec);
            for rows in Scan::new(part, segments.clone(), steps) {
                watch.check()?;
                splitter.push(&rows?, sink)?;
            }
            splitter.finish(sink)?;
            commits.push((from..sink.drafts(), commit));
        }
    }
    let (mut files, mut dated) = (Vec::new(), Vec::new());
    let (sinks, commits): (Vec<FileSink>, Vec<Vec<Commits>>) = sinks.into_values().unzip();
    for (written, commits) in finish_all(sinks.into_iter())?.into_iter().zip(commits) {
        let Written { files: new, drafts } = written;
        files.extend(new);
        let mut drafts = drafts.into_iter();
        for (range, commit) in commits {
            dated.extend(drafts.by_ref().take(range.len()).map(|draft| (draft, commit)));
        }
    }
    Ok((files, dated))
}

/// The series with these pieces alone, and with all its tombstones.
fn restricted(view: &SeriesView, group: &[usize]) -> SeriesView {
    let tombstones = view.pieces.iter().filter(|piece| piece.kind == PieceKind::Tombstone);
    let pieces = group.iter().map(|&at| &view.pieces[at]).chain(tombstones).cloned().collect();
    SeriesView { id: view.id, spec: view.spec.clone(), version: view.version, pieces }
}

/// Publishes what was merged, but for series of which an input is gone: somebody deleted or overwrote it meanwhile. What was
/// written of those is garbage, and the next round merges what is left of them.
async fn publish(
    inner: &Inner,
    jobs: &[Job],
    files: &[NewFile],
    drafts: Vec<Dated>,
    segments: &[i64],
) -> Result<Committed, StoreError> {
    let mut publication = Publication::begin(inner).await?;
    let ids: Vec<i64> = jobs.iter().map(|job| job.view.id.0).collect();
    if !publication.load_series(&ids).await?.is_empty() {
        return Err(StoreError::Conflict);
    }
    publication.load_states(segments).await?;
    let present = present_pieces(&mut publication, jobs).await?;
    let is_there = |view: &SeriesView, at: usize| {
        present.get(&view.id).is_none_or(|keys| keys.contains(&view.pieces[at].key))
    };
    let lost: BTreeSet<SeriesId> = jobs
        .iter()
        .filter(|job| job.groups.iter().flatten().any(|&at| !is_there(&job.view, at)))
        .map(|job| job.view.id)
        .collect();
    if lost.len() == jobs.len() {
        return Err(StoreError::Conflict);
    }
    if let Some(file) = publication.add_files(files).await? {
        let lease_s = inner.settings.writer_lease.as_secs();
        return Err(StoreError::WriterTooSlow { file: inner.disk.describe(&file), lease_s });
    }
    for job in jobs.iter().filter(|job| !lost.contains(&job.view.id)) {
        let view = &job.view;
        let inputs: BTreeSet<usize> = job.groups.iter().flatten().copied().collect();
        let unchanged = publication.version(view.id) == Some(view.version);
        let mut changes = Vec::new();
        for (at, piece) in view.pieces.iter().enumerate() {
            let goes = inputs.contains(&at)
                || piece.kind == PieceKind::Change
                || (unchanged && piece.kind == PieceKind::Tombstone && hides_nothing(view, &inputs, piece));
            if !goes || !is_there(view, at) {
                continue;
            }
            if piece.is_change() {
                changes.push((piece.range, piece.key.commit));
            }
            publication.remove(piece);
        }
        for (range, commit) in coalesce(changes, MOST_CHANGES) {
            let (begin_ticks, end_ticks) = (range.begin().ticks(), range.end().ticks());
            let (series, kind, place) = (view.id, PieceKind::Change, Place::Nowhere);
            publication
                .add(Draft { series, kind, begin_ticks, end_ticks, place, rows: 0, missing: 0 }, commit);
        }
    }
    for (draft, commit) in drafts {
        if !lost.contains(&draft.series) {
            publication.add(draft, commit);
        }
    }
    publication.finish(inner).await
}

/// The pieces that are still there of those series that have changed since they were merged.
async fn present_pieces(
    publication: &mut Publication,
    jobs: &[Job],
) -> Result<BTreeMap<SeriesId, BTreeSet<PieceKey>>, StoreError> {
    let has_changed = |job: &&Job| publication.version(job.view.id) != Some(job.view.version);
    let changed: Vec<i64> = jobs.iter().filter(has_changed).map(|job| job.view.id.0).collect();
    let mut present: BTreeMap<SeriesId, BTreeSet<PieceKey>> =
        changed.iter().map(|&id| (SeriesId(id), BTreeSet::new())).collect();
    for piece in publication.tx().pieces(&changed).await? {
        present.entry(SeriesId(piece.row.series)).or_default().insert(piece.row.piece_key());
    }
    Ok(present)
}

/// Whether no piece but the inputs, to which the tombstone was applied, has samples that it hides.
fn hides_nothing(view: &SeriesView, inputs: &BTreeSet<usize>, tombstone: &Piece) -> bool {
    !view.pieces.iter().enumerate().any(|(at, piece)| {
        piece.is_data()
            && !inputs.contains(&at)
            && piece.key.commit < tombstone.key.commit
            && piece.range.intersection(tombstone.range).is_some()
    })
}
