//! The one way in which the manifest changes: a transaction that counts a new commit and keeps all digests right.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::error::{SeriesName, StoreError};
use crate::head_file::{self, Acknowledged};
use crate::manifest::{
    CommitRow, HeadRow, KeyRow, Manifest, ManifestWrite, PieceKey, PieceKind, PieceRow, Row, SegmentRow,
    SegmentStateRow, SeriesRow, Stored,
};
use crate::segment::SegmentFacts;
use crate::series::{Piece, SeriesId, SeriesSpec};
use crate::store::{Inner, compare, read_head_file};
use crate::view;

/// Version of all that is written. Older ones are read; a store gets this one with its next commit, so that an older
/// program refuses it from then on.
pub(crate) const FORMAT: i64 = 2;

/// What a piece of the tail costs beside its blob: its row in the database.
const TAIL_PIECE_BYTES: i64 = 64;

/// Milliseconds since 1970. Only leases, ages and what is shown to people depend on it, never which sample wins.
pub(crate) fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

/// What a piece of the tail with a blob of so many bytes counts for.
pub(crate) fn tail_bytes(blob_bytes: usize) -> i64 {
    blob_bytes as i64 + TAIL_PIECE_BYTES
}

/// A duration in milliseconds; one that is too long for that is for ever.
pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// A piece before it has a place in a commit.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) series: SeriesId,
    pub(crate) kind: PieceKind,
    pub(crate) begin_ticks: i64,
    pub(crate) end_ticks: i64,
    pub(crate) place: Place,
    pub(crate) rows: u64,
    pub(crate) missing: u64,
}

/// Where the samples of a piece are.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// In the file with this nonce, from this row on.
    File { nonce: i64, first_row: u64 },
    /// In a segment that is there, from this row on.
    Segment { id: i64, first_row: u64 },
    /// In the piece itself.
    Blob(Vec<u8>),
    /// It has none.
    Nowhere,
}

/// A finished file that no segment is yet.
#[derive(Clone, Debug)]
pub(crate) struct NewFile {
    pub(crate) nonce: i64,
    pub(crate) facts: SegmentFacts,
}

/// Name of the file of a segment.
pub(crate) fn file_name(nonce: i64) -> String {
    format!("{}/{nonce:016x}.parquet", crate::store::SEGMENTS)
}

/// A transaction on the manifest. Dropped without [`finish`](Publication::finish), nothing has happened.
pub(crate) struct Publication {
    tx: Box<dyn ManifestWrite>,
    database: String,
    head: HeadRow,
    nonce: i64,
    at_ms: i64,
    series: HashMap<i64, Changed<SeriesRow>>,
    states: BTreeMap<i64, Changed<SegmentStateRow>>,
    /// Segments of this transaction, by the nonce of their files.
    files: HashMap<i64, i64>,
    added: Vec<Stored<PieceRow>>,
    removed: Vec<PieceKey>,
}

/// A row, and its checksum as it counts in the digest; none if it is new.
struct Changed<R> {
    row: R,
    before: Option<i64>,
}

impl Publication {
    /// Waits for the right to write, and begins.
    pub(crate) async fn begin(inner: &Inner) -> Result<Publication, StoreError> {
        let mut tx = inner.manifest.write().await?;
        let head = view::head(&mut *tx, inner).await?;
        // Nobody else commits now, so the database is at the file's commit or ahead, unless it was replaced while in use.
        let head_file = read_head_file(&inner.disk).await?;
        compare(&*inner.disk, &*inner.manifest, &mut *tx, &head, head_file).await?;
        Ok(Publication {
            tx,
            database: inner.manifest.describe(),
            nonce: rand::random(),
            at_ms: now_ms(),
            head: HeadRow { format: FORMAT, commit: head.commit + 1, ..head },
            series: HashMap::new(),
            states: BTreeMap::new(),
            files: HashMap::new(),
            added: Vec::new(),
            removed: Vec::new(),
        })
    }

    /// The number that this commit will have.
    pub(crate) fn commit(&self) -> i64 {
        self.head.commit
    }

    /// The id that the next series gets.
    pub(crate) fn next_series(&self) -> i64 {
        self.head.next_series
    }

    /// For what has no method here.
    pub(crate) fn tx(&mut self) -> &mut dyn ManifestWrite {
        &mut *self.tx
    }

    /// Reads series that pieces will be added to or removed from. Returns those that are not there.
    pub(crate) async fn load_series(&mut self, ids: &[i64]) -> Result<Vec<i64>, StoreError> {
        let new: Vec<i64> = ids.iter().copied().filter(|id| !self.series.contains_key(id)).collect();
        for stored in self.tx.series(&new).await? {
            if !stored.is_intact() {
                return Err(self.damaged_series(&stored.row, "its row does not match its checksum"));
            }
            let before = Some(stored.checksum);
            self.series.insert(stored.row.id, Changed { row: stored.row, before });
        }
        Ok(new.into_iter().filter(|id| !self.series.contains_key(id)).collect())
    }

    /// What a loaded series is.
    pub(crate) fn series(&self, id: SeriesId) -> Option<&SeriesRow> {
        self.series.get(&id.0).map(|series| &series.row)
    }

    /// The checksum of a loaded series as it was before this transaction: its version.
    pub(crate) fn version(&self, id: SeriesId) -> Option<i64> {
        self.series.get(&id.0).and_then(|series| series.before)
    }

    /// Reads the states of segments that pieces will be removed from.
    pub(crate) async fn load_states(&mut self, ids: &[i64]) -> Result<(), StoreError> {
        let new: Vec<i64> = ids.iter().copied().filter(|id| !self.states.contains_key(id)).collect();
        for stored in self.tx.segment_states(&new).await? {
            if !stored.is_intact() {
                let problem = format!("the state of segment {} does not match its checksum", stored.row.id);
                return Err(StoreError::DamagedManifest { database: self.database.clone(), problem });
            }
            let before = Some(stored.checksum);
            self.states.insert(stored.row.id, Changed { row: stored.row, before });
        }
        match new.into_iter().find(|id| !self.states.contains_key(id)) {
            Some(id) => {
                let problem = format!("pieces lie in segment {id}, but it is not listed");
                Err(StoreError::DamagedManifest { database: self.database.clone(), problem })
            }
            None => Ok(()),
        }
    }

    /// Adds a series.
    pub(crate) fn create_series(&mut self, spec: &SeriesSpec) -> SeriesId {
        let id = self.reserve_series();
        self.add_series(id, spec);
        id
    }

    /// Adds a series with an id that was reserved for it.
    pub(crate) fn add_series(&mut self, id: SeriesId, spec: &SeriesSpec) {
        self.head.series_count += 1;
        self.series.insert(id.0, Changed { row: spec.row(id.0), before: None });
    }

    /// An id for a series that is added later, or never.
    pub(crate) fn reserve_series(&mut self) -> SeriesId {
        let id = self.head.next_series;
        self.head.next_series += 1;
        SeriesId(id)
    }

    /// Removes a loaded series without pieces, or whose pieces are removed. Its key is free at once.
    pub(crate) async fn remove_series(&mut self, id: SeriesId) -> Result<(), StoreError> {
        if let Some(Changed { before: Some(before), .. }) = self.series.remove(&id.0) {
            self.head.series_count -= 1;
            self.head.series_digest = self.head.series_digest.wrapping_sub(before);
            // An id that nobody gets: whoever knows count and next id sees that it is gone, even if another series came.
            self.head.next_series += 1;
            self.tx.delete_series(&[id.0]).await?;
        }
        Ok(())
    }

    /// Adds files as segments; they must still be pending. Returns one that is not, and adds none then.
    pub(crate) async fn add_files(&mut self, files: &[NewFile]) -> Result<Option<String>, StoreError> {
        if files.is_empty() {
            return Ok(None);
        }
        let pending: HashSet<String> =
            self.tx.pending().await?.into_iter().map(|stored| stored.row.file).collect();
        let names: Vec<String> = files.iter().map(|file| file_name(file.nonce)).collect();
        if let Some(gone) = names.iter().find(|name| !pending.contains(*name)) {
            return Ok(Some(gone.clone()));
        }
        self.tx.delete_pending(&names).await?;
        let mut rows = Vec::new();
        for NewFile { nonce, facts } in files {
            let id = self.head.next_segment;
            self.head.next_segment += 1;
            self.head.segment_count += 1;
            self.files.insert(*nonce, id);
            let (data_type, bytes) = (i64::from(facts.data_type.code()), facts.bytes as i64);
            rows.push(Stored::seal(SegmentRow {
                id,
                data_type,
                rows: facts.rows as i64,
                bytes,
                has_estimated: i64::from(facts.has_estimated),
                block_sums: facts.block_sums.iter().flat_map(|sum| sum.to_le_bytes()).collect(),
            }));
            let row = SegmentStateRow {
                id,
                file_nonce: *nonce,
                data_type,
                bytes,
                rows: facts.rows as i64,
                live_rows: 0,
                live_pieces: 0,
                retired_ms: 0,
            };
            self.states.insert(id, Changed { row, before: None });
        }
        self.tx.insert_segments(rows).await?;
        Ok(None)
    }

    /// Adds a piece to a loaded series, as part of `commit`; in a loaded segment if it is in one that is there.
    pub(crate) fn add(&mut self, draft: Draft, commit: i64) {
        let (segment, first_row, blob) = match draft.place {
            Place::File { nonce, first_row } => {
                (self.files.get(&nonce).copied().unwrap_or(-1), first_row, Vec::new())
            }
            Place::Segment { id, first_row } => (id, first_row, Vec::new()),
            Place::Blob(blob) => (0, 0, blob),
            Place::Nowhere => (-1, 0, Vec::new()),
        };
        if segment == 0 {
            if self.head.tail_bytes == 0 {
                self.head.tail_since_ms = self.at_ms;
            }
            self.head.tail_rows += draft.rows as i64;
            self.head.tail_bytes += tail_bytes(blob.len());
        }
        if let Some(state) = self.states.get_mut(&segment) {
            state.row.live_rows += draft.rows as i64;
            state.row.live_pieces += 1;
        }
        let stored = Stored::seal(PieceRow {
            series: draft.series.0,
            commit,
            ordinal: self.head.next_ordinal,
            kind: draft.kind.code(),
            begin_ticks: draft.begin_ticks,
            end_ticks: draft.end_ticks,
            segment,
            first_row: first_row as i64,
            rows: draft.rows as i64,
            missing: draft.missing as i64,
            blob,
        });
        self.head.next_ordinal += 1;
        if let Some(series) = self.series.get_mut(&draft.series.0) {
            series.row.piece_count += 1;
            series.row.piece_digest = series.row.piece_digest.wrapping_add(stored.checksum);
        }
        self.added.push(stored);
    }

    /// Removes a piece of a loaded series, in a loaded segment if it is in one.
    pub(crate) fn remove(&mut self, piece: &Piece) {
        if piece.segment == 0 {
            self.head.tail_rows -= piece.rows as i64;
            self.head.tail_bytes -= tail_bytes(piece.blob_bytes);
        }
        if let Some(state) = self.states.get_mut(&piece.segment) {
            state.row.live_rows -= piece.rows as i64;
            state.row.live_pieces -= 1;
            if state.row.live_pieces == 0 {
                state.row.retired_ms = self.at_ms;
            }
        }
        if let Some(series) = self.series.get_mut(&piece.key.series) {
            series.row.piece_count -= 1;
            series.row.piece_digest = series.row.piece_digest.wrapping_sub(piece.checksum);
        }
        self.removed.push(piece.key);
    }

    /// Remembers an idempotency key.
    pub(crate) async fn add_key(&mut self, key: String, payload: i64) -> Result<(), StoreError> {
        let row = KeyRow { key, payload, commit: self.head.commit, at_ms: self.at_ms };
        Ok(self.tx.insert_key(Stored::seal(row)).await?)
    }

    /// Forgets a segment whose pieces are all gone.
    pub(crate) async fn forget_segments(
        &mut self,
        states: &[Stored<SegmentStateRow>],
    ) -> Result<(), StoreError> {
        for state in states {
            self.head.segment_count -= 1;
            self.head.segment_digest = self.head.segment_digest.wrapping_sub(state.checksum);
        }
        let ids: Vec<i64> = states.iter().map(|state| state.row.id).collect();
        Ok(self.tx.delete_segments(&ids).await?)
    }

    /// Publishes: from here on every new snapshot sees it. Returns when it is durable and the file `HEAD` says so.
    pub(crate) async fn finish(mut self, inner: &Inner) -> Result<Committed, StoreError> {
        if self.tx.delete_pieces(&self.removed).await? != self.removed.len() as u64 {
            return Err(StoreError::Conflict);
        }
        self.tx.insert_pieces(std::mem::take(&mut self.added)).await?;
        let (rows, change) = seal_changed(self.series.into_values());
        self.head.series_digest = self.head.series_digest.wrapping_add(change);
        self.tx.put_series(rows).await?;
        let (rows, change) = seal_changed(self.states.into_values());
        self.head.segment_digest = self.head.segment_digest.wrapping_add(change);
        self.tx.put_segment_states(rows).await?;
        self.head.nonce = self.nonce;
        let (commit, nonce) = (self.head.commit, self.nonce);
        self.tx.insert_commit(Stored::seal(CommitRow { commit, nonce, at_ms: self.at_ms })).await?;
        let store = self.head.store;
        let tail_bytes = self.head.tail_bytes;
        self.tx.put_head(Stored::seal(self.head)).await?;
        let undecided = |source| StoreError::Undecided { commit, source: Box::new(source) };
        self.tx.commit().await.map_err(undecided)?;
        let disk = inner.disk.clone();
        let raised = tokio::task::spawn_blocking(move || {
            head_file::raise(&*disk, Acknowledged { store, commit, nonce })
        });
        let raised =
            raised.await.map_err(|error| StoreError::Task(error.to_string())).and_then(|raised| raised);
        raised.map_err(|source| StoreError::NotAcknowledged { commit, source: Box::new(source) })?;
        Ok(Committed { commit, tail_bytes })
    }

    fn damaged_series(&self, row: &SeriesRow, problem: &str) -> StoreError {
        let series = SeriesName { id: SeriesId(row.id), key: Some(row.key.clone()), range: None };
        StoreError::DamagedSeries { database: self.database.clone(), series, problem: problem.to_owned() }
    }
}

/// What has been committed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Committed {
    pub(crate) commit: i64,
    pub(crate) tail_bytes: i64,
}

/// The rows that changed, sealed, and by how much they change the sum of all checksums.
fn seal_changed<R: Row>(rows: impl Iterator<Item = Changed<R>>) -> (Vec<Stored<R>>, i64) {
    let mut change = 0_i64;
    let mut sealed = Vec::new();
    for Changed { row, before } in rows {
        let stored = Stored::seal(row);
        if before == Some(stored.checksum) {
            continue;
        }
        change = change.wrapping_add(stored.checksum).wrapping_sub(before.unwrap_or(0));
        sealed.push(stored);
    }
    (sealed, change)
}

/// Makes the first head of a new store, unless another process is faster.
pub(crate) async fn create_head(manifest: &dyn Manifest) -> Result<(), StoreError> {
    let mut tx = manifest.write().await?;
    if tx.head().await?.is_some() {
        return Ok(());
    }
    let head = HeadRow {
        format: FORMAT,
        store: rand::random(),
        commit: 0,
        nonce: rand::random(),
        series_count: 0,
        series_digest: 0,
        segment_count: 0,
        segment_digest: 0,
        tail_rows: 0,
        tail_bytes: 0,
        tail_since_ms: 0,
        next_series: 1,
        next_segment: 1,
        next_ordinal: 1,
    };
    let row = CommitRow { commit: 0, nonce: head.nonce, at_ms: now_ms() };
    tx.insert_commit(Stored::seal(row)).await?;
    tx.put_head(Stored::seal(head)).await?;
    Ok(tx.commit().await?)
}
