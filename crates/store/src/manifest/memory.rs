//! A manifest in memory, for tests: what is committed survives, what is not is gone, as in a database.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::OwnedMutexGuard;

use super::{
    CommitRow, HeadRow, KeyRow, LeaseRow, Manifest, ManifestError, ManifestRead, ManifestWrite, PendingRow,
    PieceKey, PieceRow, Row, SegmentRow, SegmentStateRow, SeriesRow, Stored,
};

/// A manifest in memory. Clones are the same database.
#[derive(Clone, Default)]
pub struct MemoryManifest {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// What is committed.
    state: Mutex<Arc<State>>,
    /// Held by the one transaction.
    writer: Arc<tokio::sync::Mutex<()>>,
    faults: Mutex<Faults>,
}

/// How the next commit fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailCommit {
    /// Nothing has happened.
    Before,
    /// It is committed, and the caller does not learn of it.
    After,
}

#[derive(Default)]
struct Faults {
    /// How many commits still succeed before one fails.
    commit: Option<(u64, FailCommit)>,
    /// How many calls still succeed; `None` while nothing fails.
    reads: Option<u64>,
    writes: Option<u64>,
}

impl MemoryManifest {
    /// A new database.
    pub fn new() -> MemoryManifest {
        MemoryManifest::default()
    }

    /// The next commit fails; those after it do not.
    pub fn fail_commit(&self, fault: FailCommit) {
        self.fail_commit_after(0, fault);
    }

    /// After `commits` more commits one fails; those after it do not.
    pub fn fail_commit_after(&self, commits: u64, fault: FailCommit) {
        lock(&self.shared.faults).commit = Some((commits, fault));
    }

    /// Another database with the same rows; what is committed to one of them later is not in the other.
    pub fn fork(&self) -> MemoryManifest {
        let fork = MemoryManifest::new();
        *lock(&fork.shared.state) = self.present();
        fork
    }

    /// After `calls` more calls that read rows, each one fails, in views and transactions alike, until
    /// [`MemoryManifest::heal`].
    pub fn fail_reads_after(&self, calls: u64) {
        lock(&self.shared.faults).reads = Some(calls);
    }

    /// After `calls` more calls that change rows, each one fails until [`MemoryManifest::heal`]. Commits do not count.
    pub fn fail_writes_after(&self, calls: u64) {
        lock(&self.shared.faults).writes = Some(calls);
    }

    /// Nothing fails any more.
    pub fn heal(&self) {
        *lock(&self.shared.faults) = Faults::default();
    }

    fn present(&self) -> Arc<State> {
        Arc::clone(&lock(&self.shared.state))
    }
}

impl fmt::Debug for MemoryManifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryManifest")
    }
}

const NAME: &str = "the manifest in memory";

#[async_trait]
impl Manifest for MemoryManifest {
    fn describe(&self) -> String {
        NAME.to_string()
    }

    async fn read(&self) -> Result<Box<dyn ManifestRead>, ManifestError> {
        Ok(Box::new(Transaction { state: (*self.present()).clone(), manifest: self.clone(), _turn: None }))
    }

    async fn write(&self) -> Result<Box<dyn ManifestWrite>, ManifestError> {
        let turn = Arc::clone(&self.shared.writer).lock_owned().await;
        Ok(Box::new(Transaction {
            state: (*self.present()).clone(),
            manifest: self.clone(),
            _turn: Some(turn),
        }))
    }
}

/// Tables are shared between states until one of them changes; of the pieces, only the series that change are copied.
#[derive(Clone, Default)]
struct State {
    head: Option<Stored<HeadRow>>,
    commits: Table<i64, CommitRow>,
    series: Table<i64, SeriesRow>,
    series_ids: Arc<BTreeMap<String, i64>>,
    pieces: Arc<BTreeMap<i64, Table<PieceKey, PieceRow>>>,
    segments: Table<i64, SegmentRow>,
    segment_states: Table<i64, SegmentStateRow>,
    keys: Table<String, KeyRow>,
    pending: Table<String, PendingRow>,
    leases: Table<String, LeaseRow>,
}

type Table<K, R> = Arc<BTreeMap<K, Stored<R>>>;

/// A view, or a transaction with its own changes.
struct Transaction {
    state: State,
    manifest: MemoryManifest,
    _turn: Option<OwnedMutexGuard<()>>,
}

impl Transaction {
    fn reading(&self) -> Result<(), ManifestError> {
        count_down(&mut lock(&self.manifest.shared.faults).reads, "read")
    }

    fn writing(&self) -> Result<(), ManifestError> {
        count_down(&mut lock(&self.manifest.shared.faults).writes, "write")
    }
}

fn count_down(left: &mut Option<u64>, action: &str) -> Result<(), ManifestError> {
    match left {
        Some(0) => Err(failure(action, "told to fail")),
        Some(left) => {
            *left -= 1;
            Ok(())
        }
        None => Ok(()),
    }
}

fn failure(action: &str, problem: &str) -> ManifestError {
    ManifestError::Database { database: NAME.to_string(), action: action.to_string(), source: problem.into() }
}

/// A test that panics while it holds a lock has failed already; the others may go on.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn find<K: Ord + Clone, R: Row>(table: &Table<K, R>, keys: &[K]) -> Vec<Stored<R>>
where
    Stored<R>: Clone,
{
    // Each row once, however often it is asked for: as in SQL.
    let keys: BTreeSet<&K> = keys.iter().collect();
    keys.into_iter().filter_map(|key| table.get(key)).cloned().collect()
}

fn after<R: Row>(table: &Table<i64, R>, id: i64, limit: u64) -> Vec<Stored<R>>
where
    Stored<R>: Clone,
{
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    table.range((Bound::Excluded(id), Bound::Unbounded)).take(limit).map(|(_, row)| row.clone()).collect()
}

fn insert<K: Ord + Clone, R: Row + Clone>(
    table: &mut Table<K, R>,
    key: K,
    row: Stored<R>,
) -> Result<(), ManifestError> {
    match Arc::make_mut(table).insert(key, row) {
        None => Ok(()),
        Some(_) => Err(failure(&format!("insert into table `{}`", R::TABLE), "there is such a row already")),
    }
}

#[async_trait]
impl ManifestRead for Transaction {
    async fn head(&mut self) -> Result<Option<Stored<HeadRow>>, ManifestError> {
        self.reading()?;
        Ok(self.state.head.clone())
    }

    async fn commit_row(&mut self, commit: i64) -> Result<Option<Stored<CommitRow>>, ManifestError> {
        self.reading()?;
        Ok(self.state.commits.get(&commit).cloned())
    }

    async fn series(&mut self, ids: &[i64]) -> Result<Vec<Stored<SeriesRow>>, ManifestError> {
        self.reading()?;
        Ok(find(&self.state.series, ids))
    }

    async fn series_with_keys(&mut self, keys: &[String]) -> Result<Vec<Stored<SeriesRow>>, ManifestError> {
        self.reading()?;
        let ids: Vec<i64> = keys.iter().filter_map(|key| self.state.series_ids.get(key)).copied().collect();
        Ok(find(&self.state.series, &ids))
    }

    async fn series_after(&mut self, id: i64, limit: u64) -> Result<Vec<Stored<SeriesRow>>, ManifestError> {
        self.reading()?;
        Ok(after(&self.state.series, id, limit))
    }

    async fn series_with_prefix(
        &mut self,
        prefix: &str,
        after: Option<&str>,
        limit: u64,
    ) -> Result<Vec<Stored<SeriesRow>>, ManifestError> {
        self.reading()?;
        let begin = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let keys = self.state.series_ids.range::<str, _>((begin, Bound::Unbounded));
        let ids = keys
            .take_while(|(key, _)| key.starts_with(prefix))
            .take(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(ids.filter_map(|(_, id)| self.state.series.get(id)).cloned().collect())
    }

    async fn pieces(&mut self, series: &[i64]) -> Result<Vec<Stored<PieceRow>>, ManifestError> {
        self.reading()?;
        let ids: BTreeSet<&i64> = series.iter().collect();
        let tables = ids.into_iter().filter_map(|id| self.state.pieces.get(id));
        Ok(tables.flat_map(|table| table.values()).cloned().collect())
    }

    async fn series_in_segments(&mut self, segments: &[i64]) -> Result<Vec<i64>, ManifestError> {
        self.reading()?;
        // -1 is no segment.
        let segments: BTreeSet<i64> = segments.iter().copied().filter(|&id| id >= 0).collect();
        let is_in = |piece: &Stored<PieceRow>| segments.contains(&piece.row.segment);
        Ok(self
            .state
            .pieces
            .iter()
            .filter(|(_, table)| table.values().any(is_in))
            .map(|(&id, _)| id)
            .collect())
    }

    async fn segments(&mut self, ids: &[i64]) -> Result<Vec<Stored<SegmentRow>>, ManifestError> {
        self.reading()?;
        Ok(find(&self.state.segments, ids))
    }

    async fn segment_states(&mut self, ids: &[i64]) -> Result<Vec<Stored<SegmentStateRow>>, ManifestError> {
        self.reading()?;
        Ok(find(&self.state.segment_states, ids))
    }

    async fn segment_states_after(
        &mut self,
        id: i64,
        limit: u64,
    ) -> Result<Vec<Stored<SegmentStateRow>>, ManifestError> {
        self.reading()?;
        Ok(after(&self.state.segment_states, id, limit))
    }

    async fn key(&mut self, key: &str) -> Result<Option<Stored<KeyRow>>, ManifestError> {
        self.reading()?;
        Ok(self.state.keys.get(key).cloned())
    }

    async fn pending(&mut self) -> Result<Vec<Stored<PendingRow>>, ManifestError> {
        self.reading()?;
        Ok(self.state.pending.values().cloned().collect())
    }

    async fn lease(&mut self, name: &str) -> Result<Option<Stored<LeaseRow>>, ManifestError> {
        self.reading()?;
        Ok(self.state.leases.get(name).cloned())
    }
}

#[async_trait]
impl ManifestWrite for Transaction {
    async fn put_head(&mut self, row: Stored<HeadRow>) -> Result<(), ManifestError> {
        self.writing()?;
        self.state.head = Some(row);
        Ok(())
    }

    async fn insert_commit(&mut self, row: Stored<CommitRow>) -> Result<(), ManifestError> {
        self.writing()?;
        insert(&mut self.state.commits, row.row.commit, row)
    }

    async fn delete_commits_below(&mut self, commit: i64) -> Result<(), ManifestError> {
        self.writing()?;
        let commits = Arc::make_mut(&mut self.state.commits);
        *commits = commits.split_off(&commit);
        Ok(())
    }

    async fn put_series(&mut self, rows: Vec<Stored<SeriesRow>>) -> Result<(), ManifestError> {
        self.writing()?;
        let series = Arc::make_mut(&mut self.state.series);
        let ids = Arc::make_mut(&mut self.state.series_ids);
        for row in rows {
            let id = row.row.id;
            if ids.get(&row.row.key).is_some_and(|&other| other != id) {
                return Err(failure("write table `series`", "another series has the key"));
            }
            ids.insert(row.row.key.clone(), id);
            let key = row.row.key.clone();
            if let Some(former) = series.insert(id, row)
                && former.row.key != key
            {
                ids.remove(&former.row.key);
            }
        }
        Ok(())
    }

    async fn delete_series(&mut self, ids: &[i64]) -> Result<(), ManifestError> {
        self.writing()?;
        for id in ids {
            if let Some(former) = Arc::make_mut(&mut self.state.series).remove(id) {
                Arc::make_mut(&mut self.state.series_ids).remove(&former.row.key);
            }
        }
        Ok(())
    }

    async fn insert_pieces(&mut self, rows: Vec<Stored<PieceRow>>) -> Result<(), ManifestError> {
        self.writing()?;
        let pieces = Arc::make_mut(&mut self.state.pieces);
        for row in rows {
            insert(pieces.entry(row.row.series).or_default(), row.row.piece_key(), row)?;
        }
        Ok(())
    }

    async fn delete_pieces(&mut self, keys: &[PieceKey]) -> Result<u64, ManifestError> {
        self.writing()?;
        let pieces = Arc::make_mut(&mut self.state.pieces);
        let mut deleted = 0;
        for key in keys {
            let Some(table) = pieces.get_mut(&key.series) else { continue };
            let table = Arc::make_mut(table);
            deleted += u64::from(table.remove(key).is_some());
            if table.is_empty() {
                pieces.remove(&key.series);
            }
        }
        Ok(deleted)
    }

    async fn insert_segments(&mut self, rows: Vec<Stored<SegmentRow>>) -> Result<(), ManifestError> {
        self.writing()?;
        rows.into_iter().try_for_each(|row| insert(&mut self.state.segments, row.row.id, row))
    }

    async fn put_segment_states(&mut self, rows: Vec<Stored<SegmentStateRow>>) -> Result<(), ManifestError> {
        self.writing()?;
        Arc::make_mut(&mut self.state.segment_states).extend(rows.into_iter().map(|row| (row.row.id, row)));
        Ok(())
    }

    async fn delete_segments(&mut self, ids: &[i64]) -> Result<(), ManifestError> {
        self.writing()?;
        for id in ids {
            Arc::make_mut(&mut self.state.segments).remove(id);
            Arc::make_mut(&mut self.state.segment_states).remove(id);
        }
        Ok(())
    }

    async fn insert_key(&mut self, row: Stored<KeyRow>) -> Result<(), ManifestError> {
        self.writing()?;
        insert(&mut self.state.keys, row.row.key.clone(), row)
    }

    async fn delete_keys_before(&mut self, at_ms: i64) -> Result<(), ManifestError> {
        self.writing()?;
        Arc::make_mut(&mut self.state.keys).retain(|_, row| row.row.at_ms >= at_ms);
        Ok(())
    }

    async fn put_pending(&mut self, rows: Vec<Stored<PendingRow>>) -> Result<(), ManifestError> {
        self.writing()?;
        Arc::make_mut(&mut self.state.pending)
            .extend(rows.into_iter().map(|row| (row.row.file.clone(), row)));
        Ok(())
    }

    async fn delete_pending(&mut self, files: &[String]) -> Result<u64, ManifestError> {
        self.writing()?;
        let pending = Arc::make_mut(&mut self.state.pending);
        Ok(files.iter().map(|file| u64::from(pending.remove(file).is_some())).sum())
    }

    async fn put_lease(&mut self, row: Stored<LeaseRow>) -> Result<(), ManifestError> {
        self.writing()?;
        Arc::make_mut(&mut self.state.leases).insert(row.row.name.clone(), row);
        Ok(())
    }

    async fn commit(self: Box<Self>) -> Result<(), ManifestError> {
        let fault = {
            let mut faults = lock(&self.manifest.shared.faults);
            match &mut faults.commit {
                Some((commits, _)) if *commits > 0 => {
                    *commits -= 1;
                    None
                }
                other => other.take().map(|(_, fault)| fault),
            }
        };
        if fault != Some(FailCommit::Before) {
            *lock(&self.manifest.shared.state) = Arc::new(self.state.clone());
        }
        match fault {
            None => Ok(()),
            Some(_) => Err(failure("commit", "told to fail")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::testing::{Subject, laws};

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_laws_hold() {
        let databases: Mutex<BTreeMap<String, MemoryManifest>> = Mutex::default();
        laws(async |name: &str| -> Subject {
            Arc::new(lock(&databases).entry(name.to_string()).or_default().clone()) as Subject
        })
        .await;
    }

    #[tokio::test]
    async fn faults_come_when_told() {
        let manifest = MemoryManifest::new();
        let commit = async |nonce: i64| {
            let mut write = manifest.write().await.unwrap();
            write.insert_commit(Stored::seal(CommitRow { commit: nonce, nonce, at_ms: 0 })).await.unwrap();
            write.commit().await
        };
        let has =
            async |number: i64| manifest.read().await.unwrap().commit_row(number).await.unwrap().is_some();

        manifest.fail_commit(FailCommit::Before);
        assert!(commit(1).await.is_err());
        assert!(!has(1).await);
        manifest.fail_commit(FailCommit::After);
        assert!(commit(2).await.is_err());
        assert!(has(2).await);
        assert!(commit(3).await.is_ok());
        assert!(has(3).await);

        manifest.fail_reads_after(1);
        let mut view = manifest.read().await.unwrap();
        assert!(view.head().await.is_ok());
        assert!(view.head().await.is_err());
        assert!(view.pending().await.is_err());
        manifest.heal();
        assert!(view.head().await.is_ok());

        manifest.fail_writes_after(0);
        let mut write = manifest.write().await.unwrap();
        assert!(write.delete_segments(&[]).await.is_err());
        assert!(write.head().await.is_ok());
    }
}
