//! The manifest: the rows that say what the store holds, and the trait that any database for them implements.
//!
//! An implementation keeps rows and knows nothing about them. Every row travels as [`Stored`], with a checksum over its
//! fields: an implementation writes and returns both as they are, and the store verifies what it reads. Fields are plain
//! numbers, texts and bytes for that reason; nothing is interpreted before it is verified.
//!
//! What an implementation owes the store:
//! - a [`ManifestRead`] sees one state of the database, however long it lives: all of a transaction or nothing of it;
//! - there is at most one [`ManifestWrite`] at a time, over all processes, and it sees what the one before committed;
//! - when [`ManifestWrite::commit`] returns, the rows are durable; dropped without it, nothing has happened;
//! - a [`Pulse`] that is asked for after that shows them.

#[cfg(any(test, feature = "testing"))]
mod memory;
mod rows;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

use std::error::Error;
use std::fmt::Debug;

use async_trait::async_trait;

#[cfg(any(test, feature = "testing"))]
pub use memory::{FailCommit, MemoryManifest};
pub use rows::{
    CommitRow, HeadRow, KeyRow, LeaseRow, PendingRow, PieceKey, PieceKind, PieceRow, Row, SegmentRow,
    SegmentStateRow, SeriesRow, Stored,
};

/// A database that keeps the rows of a store.
#[async_trait]
pub trait Manifest: Debug + Send + Sync {
    /// What the database is, for messages: its file, or its URL without a password.
    fn describe(&self) -> String;

    /// What the present state is, as of some time after the call. Asked for every read, so it should cost less than a view, and
    /// may be answered once for all who wait.
    async fn pulse(&self) -> Result<Pulse, ManifestError> {
        Ok(Pulse { head: self.read().await?.head().await?, beside: 0 })
    }

    /// A view of the present state.
    async fn read(&self) -> Result<Box<dyn ManifestRead>, ManifestError>;

    /// A transaction. Waits until no other one is open, in any process.
    async fn write(&self) -> Result<Box<dyn ManifestWrite>, ManifestError>;
}

/// What state a database is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulse {
    /// The head; `None` in a new database.
    pub head: Option<Stored<HeadRow>>,
    /// Another number after each change of what the database keeps beside the manifest; it may also be one without such a
    /// change.
    pub beside: i64,
}

/// One state of the rows. Rows come in no particular order unless it says so.
#[async_trait]
pub trait ManifestRead: Send {
    /// The head; `None` in a new database.
    async fn head(&mut self) -> Result<Option<Stored<HeadRow>>, ManifestError>;

    /// The commit with this number.
    async fn commit_row(&mut self, commit: i64) -> Result<Option<Stored<CommitRow>>, ManifestError>;

    /// The series with these ids, as far as there are such.
    async fn series(&mut self, ids: &[i64]) -> Result<Vec<Stored<SeriesRow>>, ManifestError>;

    /// The series with these keys, as far as there are such.
    async fn series_with_keys(&mut self, keys: &[String]) -> Result<Vec<Stored<SeriesRow>>, ManifestError>;

    /// The first `limit` series with ids above `after`, by id.
    async fn series_after(&mut self, after: i64, limit: u64)
    -> Result<Vec<Stored<SeriesRow>>, ManifestError>;

    /// The first `limit` series whose keys begin with `prefix` and come after `after`, by key. Texts are compared byte by
    /// byte, everywhere.
    async fn series_with_prefix(
        &mut self,
        prefix: &str,
        after: Option<&str>,
        limit: u64,
    ) -> Result<Vec<Stored<SeriesRow>>, ManifestError>;

    /// All pieces of these series.
    async fn pieces(&mut self, series: &[i64]) -> Result<Vec<Stored<PieceRow>>, ManifestError>;

    /// The ids of the series with pieces in these segments, ascending, each once. Segment 0 is the tail.
    async fn series_in_segments(&mut self, segments: &[i64]) -> Result<Vec<i64>, ManifestError>;

    /// The segments with these ids, as far as there are such.
    async fn segments(&mut self, ids: &[i64]) -> Result<Vec<Stored<SegmentRow>>, ManifestError>;

    /// The states of the segments with these ids, as far as there are such.
    async fn segment_states(&mut self, ids: &[i64]) -> Result<Vec<Stored<SegmentStateRow>>, ManifestError>;

    /// The first `limit` states of segments with ids above `after`, by id.
    async fn segment_states_after(
        &mut self,
        after: i64,
        limit: u64,
    ) -> Result<Vec<Stored<SegmentStateRow>>, ManifestError>;

    /// The idempotency key.
    async fn key(&mut self, key: &str) -> Result<Option<Stored<KeyRow>>, ManifestError>;

    /// All files that are being written.
    async fn pending(&mut self) -> Result<Vec<Stored<PendingRow>>, ManifestError>;

    /// The lease with this name.
    async fn lease(&mut self, name: &str) -> Result<Option<Stored<LeaseRow>>, ManifestError>;
}

/// A transaction: the state at its begin with its own changes.
#[async_trait]
pub trait ManifestWrite: ManifestRead {
    /// Sets the head.
    async fn put_head(&mut self, row: Stored<HeadRow>) -> Result<(), ManifestError>;

    /// Adds a commit.
    async fn insert_commit(&mut self, row: Stored<CommitRow>) -> Result<(), ManifestError>;

    /// Removes the commits with numbers below `commit`.
    async fn delete_commits_below(&mut self, commit: i64) -> Result<(), ManifestError>;

    /// Adds series, or replaces those with the same ids.
    async fn put_series(&mut self, rows: Vec<Stored<SeriesRow>>) -> Result<(), ManifestError>;

    /// Removes the series with these ids.
    async fn delete_series(&mut self, ids: &[i64]) -> Result<(), ManifestError>;

    /// Adds pieces.
    async fn insert_pieces(&mut self, rows: Vec<Stored<PieceRow>>) -> Result<(), ManifestError>;

    /// Removes pieces; returns how many there were.
    async fn delete_pieces(&mut self, keys: &[PieceKey]) -> Result<u64, ManifestError>;

    /// Adds segments.
    async fn insert_segments(&mut self, rows: Vec<Stored<SegmentRow>>) -> Result<(), ManifestError>;

    /// Adds states of segments, or replaces those with the same ids.
    async fn put_segment_states(&mut self, rows: Vec<Stored<SegmentStateRow>>) -> Result<(), ManifestError>;

    /// Removes segments and their states.
    async fn delete_segments(&mut self, ids: &[i64]) -> Result<(), ManifestError>;

    /// Adds an idempotency key.
    async fn insert_key(&mut self, row: Stored<KeyRow>) -> Result<(), ManifestError>;

    /// Removes the idempotency keys used before this time, in milliseconds since 1970.
    async fn delete_keys_before(&mut self, at_ms: i64) -> Result<(), ManifestError>;

    /// Adds files that are being written, or replaces those of the same names.
    async fn put_pending(&mut self, rows: Vec<Stored<PendingRow>>) -> Result<(), ManifestError>;

    /// Removes files that are being written; returns how many there were.
    async fn delete_pending(&mut self, files: &[String]) -> Result<u64, ManifestError>;

    /// Sets a lease.
    async fn put_lease(&mut self, row: Stored<LeaseRow>) -> Result<(), ManifestError>;

    /// Makes the changes durable and visible, all at once. After an error they may have become so or not.
    async fn commit(self: Box<Self>) -> Result<(), ManifestError>;
}

/// The database did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// A row is not what was written.
    #[error("{database}: a row of table `{table}` is damaged: {problem}")]
    Damaged {
        /// The database.
        database: String,
        /// The table.
        table: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// The database failed.
    #[error("{database}: can't {action}")]
    Database {
        /// The database.
        database: String,
        /// What was to be done.
        action: String,
        /// Why it could not.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// Others hold the database for too long.
    #[error("{database} is locked by another process for too long; try again")]
    Busy {
        /// The database.
        database: String,
    },
}
