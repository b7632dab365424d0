//! Mending a store: what can be mended without losing anything, and giving up what is lost.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use sheaf_model::{Tick, TimeRange};

use crate::check::{CheckOptions, CheckReport};
use crate::collect;
use crate::error::StoreError;
use crate::head_file::{self, Acknowledged};
use crate::manifest::{
    CommitRow, HeadRow, ManifestWrite, PieceKey, PieceKind, PieceRow, SegmentStateRow, SeriesRow, Stored,
};
use crate::publish::{file_name, now_ms, tail_bytes};
use crate::series::{Piece, SeriesSpec};
use crate::store::{Inner, SEGMENTS, blocking};
use crate::view::{self, PAGE};

/// Ids and ordinals that commits which are gone may have used.
const SKIPPED: i64 = 1 << 32;

/// Removes what nothing refers to and, if that is wanted, gives up what is lost. If the database may not be the newest
/// one, or not the one of this folder, its files are not garbage because it does not know them.
pub(crate) async fn mend(
    inner: &Arc<Inner>,
    options: CheckOptions,
    is_trusted: bool,
    report: &mut CheckReport,
) -> Result<(), StoreError> {
    if !is_trusted {
        report.note("nothing was removed: database and folder do not agree".to_owned(), None);
        return Ok(());
    }
    if options.accept_loss && report.losses > 0 {
        if report.disk_failed {
            let text = "nothing was given up: a file could not be read, but may be intact; see to the disk, or to who \
                        may read it, and check again";
            report.note(text.to_owned(), None);
            return Ok(());
        }
        give_up(inner, &report.unreadable).await?;
        report.losses_are_mended("what is lost was given up");
    }
    match collect::collect(inner).await {
        Ok(_) => Ok(()),
        // With a damaged manifest nobody knows which files are needed.
        Err(error) if error.is_damage() => {
            report.note(format!("no files were removed: {error}"), None);
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// Makes a database that was set back the newest one: it goes on with a commit that never was, and with ids that the
/// commits which are gone have not used.
pub(crate) async fn accept_rewind(inner: &Arc<Inner>, acknowledged: i64) -> Result<(), StoreError> {
    let mut tx = inner.manifest.write().await?;
    let mut head = view::intact_head(&mut *tx, &inner.manifest.describe()).await?;
    head.commit = head.commit.max(acknowledged) + 1;
    head.nonce = rand::random();
    head.next_series += SKIPPED;
    head.next_segment += SKIPPED;
    head.next_ordinal += SKIPPED;
    let to = Acknowledged { store: head.store, commit: head.commit, nonce: head.nonce };
    let row = CommitRow { commit: head.commit, nonce: head.nonce, at_ms: now_ms() };
    tx.insert_commit(Stored::seal(row)).await?;
    tx.put_head(Stored::seal(head)).await?;
    tx.commit().await?;
    let disk = inner.disk.clone();
    blocking(move || head_file::reset(&*disk, to)).await
}

/// Leaves all series with the pieces that are intact and can be read. All digests are made anew.
async fn give_up(inner: &Arc<Inner>, unreadable: &HashSet<PieceKey>) -> Result<(), StoreError> {
    // First the transaction: the files of all that was published until now are there, and nothing is published meanwhile.
    let mut tx = inner.manifest.write().await?;
    let files: HashSet<String> =
        collect::list(inner).await?.into_iter().map(|file| format!("{SEGMENTS}/{}", file.name)).collect();
    let mut head = view::intact_head(&mut *tx, &inner.manifest.describe()).await?;
    (head.commit, head.nonce) = (head.commit + 1, rand::random());
    (head.tail_rows, head.tail_bytes) = (0, 0);

    let mut states: BTreeMap<i64, SegmentStateRow> = BTreeMap::new();
    let mut gone = Vec::new();
    for state in tx.segment_states_after(i64::MIN, i64::MAX as u64).await? {
        if files.contains(&file_name(state.row.file_nonce)) && state.is_intact() {
            let empty = SegmentStateRow { live_rows: 0, live_pieces: 0, retired_ms: 0, ..state.row };
            states.insert(empty.id, empty);
        } else {
            gone.push(state.row.id);
        }
    }
    tx.delete_segments(&gone).await?;

    (head.series_count, head.series_digest) = (0, 0);
    let mut after = i64::MIN;
    loop {
        let page = tx.series_after(after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.row.id;
        for stored in page {
            let series =
                Stored::seal(leave_intact(&mut *tx, stored, &mut head, &mut states, unreadable).await?);
            head.series_count += 1;
            head.series_digest = head.series_digest.wrapping_add(series.checksum);
            tx.put_series(vec![series]).await?;
        }
    }
    let now = now_ms();
    let seal = |mut state: SegmentStateRow| {
        state.retired_ms = if state.live_pieces == 0 { now } else { 0 };
        Stored::seal(state)
    };
    let states: Vec<_> = states.into_values().map(seal).collect();
    head.segment_count = states.len() as i64;
    head.segment_digest = states.iter().fold(0, |sum, state| sum.wrapping_add(state.checksum));
    tx.put_segment_states(states).await?;
    let (store, commit, nonce) = (head.store, head.commit, head.nonce);
    tx.insert_commit(Stored::seal(CommitRow { commit, nonce, at_ms: now })).await?;
    tx.put_head(Stored::seal(head)).await?;
    tx.commit().await?;
    let disk = inner.disk.clone();
    blocking(move || head_file::raise(&*disk, Acknowledged { store, commit, nonce })).await
}

/// Removes the pieces of a series that are lost. What they hid stays hidden: a tombstone takes the place of each.
async fn leave_intact(
    tx: &mut dyn ManifestWrite,
    stored: Stored<SeriesRow>,
    head: &mut HeadRow,
    states: &mut BTreeMap<i64, SegmentStateRow>,
    unreadable: &HashSet<PieceKey>,
) -> Result<SeriesRow, StoreError> {
    let is_intact = stored.is_intact();
    let mut series = stored.row;
    let spec = SeriesSpec::from_row(&series);
    if !is_intact {
        // Nobody knows whose data these are: they keep their id, and lose the name.
        series.key = format!("/damaged/series_{}", series.id);
    }
    let (mut left, mut lost) = (Vec::new(), Vec::new());
    let (mut count, mut digest) = (0, 0_i64);
    for piece in tx.pieces(&[series.id]).await? {
        count += 1;
        digest = digest.wrapping_add(piece.checksum);
        let checked = spec.as_ref().ok().map(|spec| Piece::from_stored(piece.clone(), spec.data_type));
        match checked {
            Some(Ok(checked))
                if !unreadable.contains(&checked.key)
                    && (!checked.is_in_segment() || states.contains_key(&checked.segment)) =>
            {
                left.push(checked);
            }
            _ => lost.push(piece.row),
        }
    }
    let keys: Vec<PieceKey> = lost.iter().map(PieceRow::piece_key).collect();
    tx.delete_pieces(&keys).await?;
    let mut new: Vec<Stored<PieceRow>> = Vec::new();
    for piece in lost.iter().filter(|piece| piece.kind != PieceKind::Change.code()) {
        new.push(bare_piece(
            series.id,
            PieceKind::Tombstone,
            piece.commit.min(head.commit),
            stated_range(piece),
            head,
        ));
    }
    if !lost.is_empty() || (count, digest) != (series.piece_count, series.piece_digest) {
        new.push(bare_piece(series.id, PieceKind::Change, head.commit, None, head));
    }
    for piece in &left {
        count_piece(piece, head, states);
    }
    let checksums = left.iter().map(|piece| piece.checksum).chain(new.iter().map(|piece| piece.checksum));
    series.piece_digest = checksums.fold(0, i64::wrapping_add);
    series.piece_count = (left.len() + new.len()) as i64;
    tx.insert_pieces(new).await?;
    Ok(series)
}

/// The range that a lost piece says it had, if it can be one.
fn stated_range(piece: &PieceRow) -> Option<TimeRange> {
    TimeRange::new(Tick::new(piece.begin_ticks).ok()?, Tick::new(piece.end_ticks).ok()?).ok()
}

/// A piece without samples, for a range or for all time.
fn bare_piece(
    series: i64,
    kind: PieceKind,
    commit: i64,
    range: Option<TimeRange>,
    head: &mut HeadRow,
) -> Stored<PieceRow> {
    let ordinal = head.next_ordinal;
    head.next_ordinal += 1;
    Stored::seal(PieceRow {
        series,
        commit,
        ordinal,
        kind: kind.code(),
        begin_ticks: range.map_or(Tick::MIN, TimeRange::begin).ticks(),
        end_ticks: range.map_or(Tick::MAX, TimeRange::end).ticks(),
        segment: -1,
        first_row: 0,
        rows: 0,
        missing: 0,
        blob: Vec::new(),
    })
}

/// Counts a piece that stays.
fn count_piece(piece: &Piece, head: &mut HeadRow, states: &mut BTreeMap<i64, SegmentStateRow>) {
    if piece.kind == PieceKind::Tail {
        head.tail_rows += piece.rows as i64;
        head.tail_bytes += tail_bytes(piece.blob_bytes);
    }
    if let Some(state) = states.get_mut(&piece.segment) {
        state.live_rows += piece.rows as i64;
        state.live_pieces += 1;
    }
}
