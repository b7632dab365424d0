//! Writes that wait for the same transaction share it, and with it one commit and one sync.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sheaf_model::TimeRange;
use tokio::sync::oneshot;

use crate::error::StoreError;
use crate::manifest::{PieceKind, Stored};
use crate::plan::to_slots;
use crate::publish::{Committed, Draft, Place, Publication};
use crate::replace::{self, Replaced};
use crate::series::{Piece, SeriesId, SeriesView};
use crate::sink::Written;
use crate::store::{Inner, Store};
use crate::view;
use crate::write::{Receipt, Unchanged};

/// A write that is ready to be published.
#[derive(Debug)]
pub(crate) struct Item {
    /// Idempotency key, and checksum of the contents.
    pub(crate) key: Option<(String, i64)>,
    pub(crate) deletions: Vec<(SeriesId, TimeRange)>,
    /// Series that take the place of others.
    pub(crate) replaced: Vec<Replaced>,
    pub(crate) written: Written,
    /// What must be so still.
    pub(crate) unchanged: Option<Unchanged>,
}

impl Item {
    /// Whether publishing it would change nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.key.is_none()
            && self.deletions.is_empty()
            && self.replaced.is_empty()
            && self.written.drafts.is_empty()
    }

    /// The series that it adds pieces to.
    fn series(&self) -> impl Iterator<Item = SeriesId> {
        let deleted = self.deletions.iter().map(|(series, _)| *series);
        self.written.drafts.iter().map(|draft| draft.series).chain(deleted)
    }

    /// Whether it replaces a series that has changed since it was copied, or that others of its group change.
    fn is_outdated<'a>(
        &self,
        publication: &Publication,
        mut others: impl Iterator<Item = &'a Item> + Clone,
    ) -> bool {
        self.replaced.iter().any(|replaced| {
            publication.version(replaced.old) != Some(replaced.version)
                || others.any(|other| {
                    other.series().any(|series| series == replaced.old)
                        || other.replaced.iter().any(|too| too.old == replaced.old)
                })
        })
    }
}

type Answer = oneshot::Sender<Result<Receipt, StoreError>>;

/// An item that waits, and who wants to know what became of it.
#[derive(Debug)]
struct Waiting {
    ticket: u64,
    item: Item,
    answer: Answer,
}

/// Takes an item back that nobody waits for any more, if its transaction has not begun. Otherwise a write that was given
/// up could become visible much later.
struct TakeBack<'a> {
    group: &'a Group,
    ticket: u64,
}

impl Drop for TakeBack<'_> {
    fn drop(&mut self) {
        self.group.lock().retain(|waiting| waiting.ticket != self.ticket);
    }
}

/// The writes that wait.
#[derive(Debug, Default)]
pub(crate) struct Group {
    waiting: Mutex<Vec<Waiting>>,
    tickets: AtomicU64,
    turn: Arc<tokio::sync::Mutex<()>>,
}

/// So many items share a transaction at most, so that none waits for long.
const MOST_ITEMS: usize = 1024;

/// A write with more new dense pieces than this does not look for pieces that it hides: compaction does.
const MOST_HIDING: usize = 256;

impl Group {
    /// Publishes an item, together with all that wait.
    pub(crate) async fn publish(&self, inner: &Arc<Inner>, item: Item) -> Result<Receipt, StoreError> {
        let (answer, mut result) = oneshot::channel();
        let ticket = self.tickets.fetch_add(1, Ordering::Relaxed);
        self.lock().push(Waiting { ticket, item, answer });
        let _take_back = TakeBack { group: self, ticket };
        loop {
            let turn = self.turn.clone().lock_owned().await;
            match result.try_recv() {
                Ok(result) => return result,
                Err(oneshot::error::TryRecvError::Closed) => return Err(ended_early()),
                Err(oneshot::error::TryRecvError::Empty) => {}
            }
            let items = {
                let mut waiting = self.lock();
                let most = waiting.len().min(MOST_ITEMS);
                waiting.drain(..most).collect()
            };
            // A task of its own: others wait for it too, so it must not end with this future.
            let inner = inner.clone();
            let done = tokio::spawn(async move {
                let _turn = turn;
                publish_all(&inner, items).await;
            });
            done.await.map_err(|error| StoreError::Task(error.to_string()))?;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn ended_early() -> StoreError {
    StoreError::Task("the transaction was given up".to_owned())
}

/// Publishes items and answers each of them.
async fn publish_all(inner: &Arc<Inner>, waiting: Vec<Waiting>) {
    let (items, answers): (Vec<Item>, Vec<Answer>) =
        waiting.into_iter().map(|waiting| (waiting.item, waiting.answer)).unzip();
    let mut results: Vec<Option<Result<Receipt, StoreError>>> = items.iter().map(|_| None).collect();
    let mut outcome = publish_together(inner, &items, &mut results).await;
    if items.len() > 1 && outcome.as_ref().is_err_and(StoreError::is_damage) {
        // Only those that concern what is damaged fail.
        for (item, result) in items.iter().zip(&mut results) {
            *result = None;
            let alone =
                publish_together(inner, std::slice::from_ref(item), std::slice::from_mut(result)).await;
            match alone {
                Ok(Some(Committed { commit, .. })) => *result = Some(Ok(Receipt { commit, repeated: false })),
                Ok(None) => {}
                Err(error) => *result = Some(Err(error)),
            }
        }
        outcome = Ok(None);
    }
    if let Ok(Some(committed)) = &outcome {
        Store(inner.clone()).move_tail_if_due(committed);
    }
    let commit = outcome.as_ref().ok().and_then(Option::as_ref).map(|committed| committed.commit);
    let failure = Arc::new(outcome.err().unwrap_or_else(ended_early));
    for (answer, result) in answers.into_iter().zip(results) {
        let result = match (result, commit) {
            (Some(result), _) => result,
            (None, Some(commit)) => Ok(Receipt { commit, repeated: false }),
            (None, None) => Err(StoreError::Shared(failure.clone())),
        };
        // Nobody waits for it any more: that changes nothing.
        let _unheard = answer.send(result);
    }
}

/// Publishes all items that can be, in one transaction. Items that can't be get their result here; those that get none
/// share the outcome: `None` if there was nothing to publish.
async fn publish_together(
    inner: &Inner,
    items: &[Item],
    results: &mut [Option<Result<Receipt, StoreError>>],
) -> Result<Option<Committed>, StoreError> {
    let mut publication = Publication::begin(inner).await?;
    let mut ids: Vec<i64> = Vec::new();
    for item in items {
        ids.extend(item.series().map(|series| series.0));
        ids.extend(item.replaced.iter().map(|replaced| replaced.old.0));
        ids.extend(item.unchanged.iter().flat_map(Unchanged::ids).map(|series| series.0));
    }
    ids.sort_unstable();
    ids.dedup();
    let unknown = publication.load_series(&ids).await?;

    let mut keys: HashMap<&str, i64> = HashMap::new();
    let mut chosen = Vec::new();
    // Repetitions of an item of this group share its fate.
    let mut repeats = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let is_new = |id: SeriesId| item.replaced.iter().any(|replaced| replaced.new == id);
        let is_unknown = |id: &SeriesId| unknown.binary_search(&id.0).is_ok() && !is_new(*id);
        let replaced = item.replaced.iter().map(|replaced| replaced.old);
        if let Some(id) = item.series().chain(replaced).find(is_unknown) {
            results[index] = Some(Err(StoreError::UnknownSeries(id)));
            continue;
        }
        if let Some((key, payload)) = &item.key {
            let reused = |commit| StoreError::KeyReused { key: key.clone(), commit };
            if let Some(other) = keys.get(key.as_str()) {
                if other == payload {
                    repeats.push(index);
                } else {
                    results[index] = Some(Err(reused(publication.commit())));
                }
                continue;
            }
            if let Some(stored) = publication.tx().key(key).await?.filter(Stored::is_intact) {
                let commit = stored.row.commit;
                let is_same = stored.row.payload == *payload;
                results[index] =
                    Some(if is_same { Ok(Receipt { commit, repeated: true }) } else { Err(reused(commit)) });
                continue;
            }
        }
        let others = items.iter().enumerate().filter(|(other, _)| *other != index).map(|(_, item)| item);
        if item.is_outdated(&publication, others) {
            results[index] = Some(Err(StoreError::Conflict));
            continue;
        }
        if let Some(unchanged) = &item.unchanged {
            let mut others = chosen.iter().flat_map(|&other: &usize| items[other].series());
            if !unchanged.holds(&publication) || others.any(|series| unchanged.concerns(series)) {
                results[index] = Some(Err(StoreError::Conflict));
                continue;
            }
        }
        if let Some(file) = publication.add_files(&item.written.files).await? {
            let lease_s = inner.settings.writer_lease.as_secs();
            let file = inner.disk.describe(&file);
            results[index] = Some(Err(StoreError::WriterTooSlow { file, lease_s }));
            continue;
        }
        if let Some((key, payload)) = &item.key {
            keys.insert(key, *payload);
        }
        chosen.push(index);
    }
    if chosen.is_empty() {
        return Ok(None);
    }
    let commit = publication.commit();
    for replaced in chosen.iter().flat_map(|&index| &items[index].replaced) {
        replace::publish(inner, &mut publication, replaced).await?;
    }
    delete_and_hide(inner, &mut publication, chosen.iter().map(|&index| &items[index])).await?;
    for &index in &chosen {
        let item = &items[index];
        if let Some((key, payload)) = &item.key {
            publication.add_key(key.clone(), *payload).await?;
        }
        for draft in &item.written.drafts {
            publication.add(draft.clone(), commit);
        }
    }
    let committed = publication.finish(inner).await?;
    for index in repeats {
        results[index] = Some(Ok(Receipt { commit, repeated: true }));
    }
    Ok(Some(committed))
}

/// A range of a series whose samples so far nobody sees any more.
#[derive(Clone, Copy)]
struct Hidden {
    range: TimeRange,
    is_deletion: bool,
}

/// Adds the tombstones. Removes pieces of which nothing is left to see, those in a deleted range and those under a new
/// dense run without missing samples, and cuts the dense ones of which a part is.
async fn delete_and_hide(
    inner: &Inner,
    publication: &mut Publication,
    items: impl Iterator<Item = &Item>,
) -> Result<(), StoreError> {
    let mut hidden: BTreeMap<SeriesId, Vec<Hidden>> = BTreeMap::new();
    for item in items {
        for &(series, range) in &item.deletions {
            hidden.entry(series).or_default().push(Hidden { range, is_deletion: true });
        }
        let is_full = |draft: &&Draft| draft.kind == PieceKind::Dense && draft.missing == 0;
        let full = || item.written.drafts.iter().filter(is_full);
        if full().count() <= MOST_HIDING {
            for draft in full() {
                if let Some(range) = draft_range(draft) {
                    hidden.entry(draft.series).or_default().push(Hidden { range, is_deletion: false });
                }
            }
        }
    }
    if hidden.is_empty() {
        return Ok(());
    }
    let ids: Vec<i64> = hidden.keys().map(|series| series.0).collect();
    let mut pieces: HashMap<i64, Vec<_>> = HashMap::new();
    for stored in publication.tx().pieces(&ids).await? {
        pieces.entry(stored.row.series).or_default().push(stored);
    }
    let mut removed: Vec<Piece> = Vec::new();
    let mut added: Vec<(Draft, i64)> = Vec::new();
    for (series, hidden) in hidden {
        let Some(row) = publication.series(series).cloned() else { continue };
        let stored = Stored::seal(row);
        let view = view::verified(inner, &stored, pieces.remove(&series.0).unwrap_or_default())?;
        let mut left: Vec<TimeRange> = Vec::new();
        for piece in &view.pieces {
            match visible_parts(&view, piece, &hidden) {
                Some(parts) => {
                    added.extend(parts.into_iter().map(|part| cut(&view, piece, part)));
                    removed.push(piece.clone());
                }
                None if piece.is_data() => left.push(piece.range),
                None => {}
            }
        }
        for Hidden { range, .. } in hidden.into_iter().filter(|hidden| hidden.is_deletion) {
            // Without samples left to hide, it is still a change.
            let is_needed = left.iter().any(|piece| range.intersection(*piece).is_some());
            let kind = if is_needed { PieceKind::Tombstone } else { PieceKind::Change };
            let (begin_ticks, end_ticks) = (range.begin().ticks(), range.end().ticks());
            let (place, rows, missing) = (Place::Nowhere, 0, 0);
            let draft = Draft { series, kind, begin_ticks, end_ticks, place, rows, missing };
            added.push((draft, publication.commit()));
        }
    }
    let mut segments: Vec<i64> =
        removed.iter().filter(|piece| piece.is_in_segment()).map(|piece| piece.segment).collect();
    segments.sort_unstable();
    segments.dedup();
    publication.load_states(&segments).await?;
    // Parts first: a segment that loses all pieces is retired.
    added.into_iter().for_each(|(draft, commit)| publication.add(draft, commit));
    removed.iter().for_each(|piece| publication.remove(piece));
    Ok(())
}

/// What stays of a piece; `None` if it stays as it is.
fn visible_parts(view: &SeriesView, piece: &Piece, hidden: &[Hidden]) -> Option<Vec<TimeRange>> {
    let lies_in = |range: TimeRange| range.begin() <= piece.range.begin() && piece.range.end() <= range.end();
    if hidden.iter().any(|hidden| lies_in(hidden.range)) {
        return Some(Vec::new());
    }
    if !piece.is_dense() || !piece.is_in_segment() {
        return None;
    }
    let covers = hidden.iter().filter_map(|hidden| to_slots(hidden.range, view.spec.layout));
    let covers: Vec<TimeRange> = covers.filter(|cover| cover.intersection(piece.range).is_some()).collect();
    // What is written again gets the last place in its commit, and must not rise above its siblings there.
    let lies_under = |other: &Piece| {
        other.is_data()
            && other.key.commit == piece.key.commit
            && other.key.ordinal > piece.key.ordinal
            && other.range.intersection(piece.range).is_some()
    };
    if covers.is_empty() || view.pieces.iter().any(lies_under) {
        return None;
    }
    let mut parts = vec![piece.range];
    for cover in covers {
        parts = parts
            .into_iter()
            .flat_map(|part| {
                let before = TimeRange::new(part.begin(), part.end().min(cover.begin()));
                let after = TimeRange::new(part.begin().max(cover.end()), part.end());
                [before, after].into_iter().filter_map(Result::ok)
            })
            .collect();
    }
    Some(parts)
}

/// A part of a dense piece, in the same segment and with the same commit. How many samples are missing in it is not known
/// without reading it: no more than in all of the piece.
fn cut(view: &SeriesView, piece: &Piece, part: TimeRange) -> (Draft, i64) {
    let rows = |ticks: i64| (ticks / view.spec.row_ticks()).unsigned_abs();
    let len = rows(part.ticks());
    let first_row = piece.first_row + rows(part.begin().ticks() - piece.range.begin().ticks());
    let draft = Draft {
        series: view.id,
        kind: piece.kind,
        begin_ticks: part.begin().ticks(),
        end_ticks: part.end().ticks(),
        place: Place::Segment { id: piece.segment, first_row },
        rows: len,
        missing: piece.missing.min(len),
    };
    (draft, piece.key.commit)
}

/// The range of a draft; `None` if it is none, which the checks before have ruled out.
fn draft_range(draft: &Draft) -> Option<TimeRange> {
    let tick = |ticks| sheaf_model::Tick::new(ticks).ok();
    TimeRange::new(tick(draft.begin_ticks)?, tick(draft.end_ticks)?).ok()
}
