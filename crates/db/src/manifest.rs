//! The store's manifest in SQL.

use std::sync::Arc;

use async_trait::async_trait;
use sea_orm::{DatabaseTransaction, DbErr, Value};
use sheaf_store::manifest::{
    CommitRow, HeadRow, KeyRow, LeaseRow, Manifest, ManifestError, ManifestRead, ManifestWrite, PendingRow,
    PieceKey, PieceRow, Pulse, SegmentRow, SegmentStateRow, SeriesRow, Stored,
};
use tokio::sync::OwnedMutexGuard;

use crate::Database;
use crate::entity::{commits, head, keys, leases, pending, pieces, segment_states, segments, series};
use crate::error::Failure;
use crate::table::{
    Existing, Sql, Table, behind, delete, delete_in, delete_keys, insert, select, select_in, table_name,
};

/// The manifest of the one store in a database.
#[derive(Clone, Debug)]
pub struct SqlManifest {
    database: Database,
}

impl SqlManifest {
    pub(crate) fn new(database: Database) -> SqlManifest {
        SqlManifest { database }
    }
}

#[async_trait]
impl Manifest for SqlManifest {
    fn describe(&self) -> String {
        self.database.describe().to_string()
    }

    async fn pulse(&self) -> Result<Pulse, ManifestError> {
        self.database.pulse().await
    }

    async fn read(&self) -> Result<Box<dyn ManifestRead>, ManifestError> {
        let name = self.database.name();
        let transaction =
            self.database.begin_read().await.map_err(|error| failed(&name, "read", "head", &error))?;
        let mut view = Transaction { transaction, name, head: None, broken: false, turn: None };
        // A database takes its view of the rows with the first statement, not before. The head is what is read first.
        view.head = Some(view.read_head().await?);
        Ok(Box::new(view))
    }

    async fn write(&self) -> Result<Box<dyn ManifestWrite>, ManifestError> {
        let name = self.database.name();
        let turn = self.database.turn().await;
        let transaction =
            self.database.begin_write().await.map_err(|error| failed(&name, "change", "head", &error))?;
        Ok(Box::new(Transaction { transaction, name, head: None, broken: false, turn: Some(turn) }))
    }
}

/// A view, or the one transaction.
struct Transaction {
    /// Before `turn`: it is rolled back before the next writer of this process begins.
    transaction: DatabaseTransaction,
    /// The database's, for messages.
    name: Arc<str>,
    /// The head as the view began with.
    head: Option<Option<Stored<HeadRow>>>,
    /// A change has failed, or was given up half-way. It must not be committed without the rest; and SQLite ends a
    /// transaction by itself after some errors, so what followed would not even be part of one.
    broken: bool,
    turn: Option<OwnedMutexGuard<()>>,
}

pub(crate) fn failed(name: &Arc<str>, verb: &str, table: &'static str, error: &DbErr) -> ManifestError {
    let database = name.to_string();
    match Failure::of(error) {
        Failure::Busy => ManifestError::Busy { database },
        Failure::Damaged(problem) => ManifestError::Damaged { database, table, problem },
        Failure::Other(problem) => ManifestError::Database {
            database,
            action: format!("{verb} table `{table}`"),
            source: problem.into(),
        },
    }
}

impl Transaction {
    fn reading<E: Table, T>(&self, result: Result<T, DbErr>) -> Result<T, ManifestError> {
        result.map_err(|error| failed(&self.name, "read", table_name::<E>(), &error))
    }

    /// Begins a change. It counts as failed until [`Transaction::changed`] is told otherwise, so a change that the
    /// caller gives up while it waits for it counts as failed, too.
    fn changing(&mut self) -> Result<(), ManifestError> {
        if self.broken {
            return Err(ManifestError::Database {
                database: self.name.to_string(),
                action: "go on with a transaction".to_string(),
                source: "an earlier change of it has failed".into(),
            });
        }
        self.broken = true;
        Ok(())
    }

    fn changed<E: Table, T>(&mut self, result: Result<T, DbErr>) -> Result<T, ManifestError> {
        self.broken = result.is_err();
        result.map_err(|error| failed(&self.name, "change", table_name::<E>(), &error))
    }

    async fn put<E: Table>(&mut self, rows: Vec<E::Row>, existing: Existing) -> Result<(), ManifestError> {
        self.changing()?;
        let result = insert::<E>(&self.transaction, rows, existing).await;
        self.changed::<E, _>(result)
    }

    async fn remove<E: Table>(
        &mut self,
        column: E::Column,
        values: Vec<Value>,
    ) -> Result<u64, ManifestError> {
        self.changing()?;
        let result = delete_in::<E>(&self.transaction, column, values).await;
        self.changed::<E, _>(result)
    }

    async fn remove_below<E: Table>(&mut self, condition: &str, value: i64) -> Result<(), ManifestError> {
        self.changing()?;
        let result =
            delete::<E>(&self.transaction).text(condition).value(value).execute(&self.transaction).await;
        self.changed::<E, _>(result).map(drop)
    }

    async fn find<E: Table>(
        &self,
        column: E::Column,
        values: Vec<Value>,
    ) -> Result<Vec<E::Row>, ManifestError> {
        self.reading::<E, _>(select_in::<E>(&self.transaction, column, values).await)
    }

    async fn find_one<E: Table>(
        &self,
        column: E::Column,
        value: Value,
    ) -> Result<Option<E::Row>, ManifestError> {
        Ok(self.find::<E>(column, vec![value]).await?.pop())
    }

    async fn after<E: Table>(&self, id: i64, limit: u64) -> Result<Vec<E::Row>, ManifestError> {
        let sql = select::<E>(&self.transaction).text(" WHERE \"id\" > ").value(id).page("\"id\"", limit);
        self.reading::<E, _>(sql.rows::<E>(&self.transaction).await)
    }

    /// Whatever row is there: with a condition, a damaged id would look like a new database.
    async fn read_head(&self) -> Result<Option<Stored<HeadRow>>, ManifestError> {
        let rows = select::<head::Entity>(&self.transaction).rows::<head::Entity>(&self.transaction).await;
        Ok(self.reading::<head::Entity, _>(rows)?.pop())
    }
}

fn values<T: Clone + Into<Value>>(values: &[T]) -> Vec<Value> {
    values.iter().cloned().map(Into::into).collect()
}

#[async_trait]
impl ManifestRead for Transaction {
    async fn head(&mut self) -> Result<Option<Stored<HeadRow>>, ManifestError> {
        match &self.head {
            Some(head) => Ok(head.clone()),
            None => self.read_head().await,
        }
    }

    async fn commit_row(&mut self, commit: i64) -> Result<Option<Stored<CommitRow>>, ManifestError> {
        self.find_one::<commits::Entity>(commits::Column::Commit, commit.into()).await
    }

    async fn series(&mut self, ids: &[i64]) -> Result<Vec<Stored<SeriesRow>>, ManifestError> {
        self.find::<series::Entity>(series::Column::Id, values(ids)).await
    }

    async fn series_with_keys(&mut self, keys: &[String]) -> Result<Vec<Stored<SeriesRow>>, ManifestError> {
        self.find::<series::Entity>(series::Column::Key, values(keys)).await
    }

    async fn series_after(
        &mut self,
        after: i64,
        limit: u64,
    ) -> Result<Vec<Stored<SeriesRow>>, ManifestError> {
        self.after::<series::Entity>(after, limit).await
    }

    async fn series_with_prefix(
        &mut self,
        prefix: &str,
        after: Option<&str>,
        limit: u64,
    ) -> Result<Vec<Stored<SeriesRow>>, ManifestError> {
        let sql = select::<series::Entity>(&self.transaction);
        // One lower bound, so that the database need not find out which of two it had better begin at.
        let sql = match after {
            Some(after) if after >= prefix => sql.text(" WHERE \"key\" > ").value(after),
            _ => sql.text(" WHERE \"key\" >= ").value(prefix),
        };
        let sql = match behind(prefix) {
            Some(end) => sql.text(" AND \"key\" < ").value(end),
            None => sql,
        };
        let rows = sql.page("\"key\"", limit).rows::<series::Entity>(&self.transaction).await;
        self.reading::<series::Entity, _>(rows)
    }

    async fn pieces(&mut self, series: &[i64]) -> Result<Vec<Stored<PieceRow>>, ManifestError> {
        self.find::<pieces::Entity>(pieces::Column::Series, values(series)).await
    }

    async fn series_in_segments(&mut self, segments: &[i64]) -> Result<Vec<i64>, ManifestError> {
        let mut series = Vec::new();
        // One by one: each is a run of the index, which already has the series in order.
        for &segment in segments {
            // The second condition tells the database that the partial index has all of them.
            let sql = Sql::new(
                &self.transaction,
                "SELECT DISTINCT \"series\" FROM \"pieces\" WHERE \"segment\" = ",
            )
            .value(segment)
            .text(" AND \"segment\" >= 0");
            let result = sql.query(&self.transaction, |columns| {
                series.push(columns.next()?);
                Ok(())
            });
            let result = result.await;
            self.reading::<pieces::Entity, _>(result)?;
        }
        series.sort_unstable();
        series.dedup();
        Ok(series)
    }

    async fn segments(&mut self, ids: &[i64]) -> Result<Vec<Stored<SegmentRow>>, ManifestError> {
        self.find::<segments::Entity>(segments::Column::Id, values(ids)).await
    }

    async fn segment_states(&mut self, ids: &[i64]) -> Result<Vec<Stored<SegmentStateRow>>, ManifestError> {
        self.find::<segment_states::Entity>(segment_states::Column::Id, values(ids)).await
    }

    async fn segment_states_after(
        &mut self,
        after: i64,
        limit: u64,
    ) -> Result<Vec<Stored<SegmentStateRow>>, ManifestError> {
        self.after::<segment_states::Entity>(after, limit).await
    }

    async fn key(&mut self, key: &str) -> Result<Option<Stored<KeyRow>>, ManifestError> {
        self.find_one::<keys::Entity>(keys::Column::Key, key.into()).await
    }

    async fn pending(&mut self) -> Result<Vec<Stored<PendingRow>>, ManifestError> {
        let rows =
            select::<pending::Entity>(&self.transaction).rows::<pending::Entity>(&self.transaction).await;
        self.reading::<pending::Entity, _>(rows)
    }

    async fn lease(&mut self, name: &str) -> Result<Option<Stored<LeaseRow>>, ManifestError> {
        self.find_one::<leases::Entity>(leases::Column::Name, name.into()).await
    }
}

#[async_trait]
impl ManifestWrite for Transaction {
    async fn put_head(&mut self, row: Stored<HeadRow>) -> Result<(), ManifestError> {
        self.put::<head::Entity>(vec![row], Existing::Replace).await
    }

    async fn insert_commit(&mut self, row: Stored<CommitRow>) -> Result<(), ManifestError> {
        self.put::<commits::Entity>(vec![row], Existing::Refuse).await
    }

    async fn delete_commits_below(&mut self, commit: i64) -> Result<(), ManifestError> {
        self.remove_below::<commits::Entity>(" WHERE \"commit\" < ", commit).await
    }

    async fn put_series(&mut self, rows: Vec<Stored<SeriesRow>>) -> Result<(), ManifestError> {
        self.put::<series::Entity>(rows, Existing::Replace).await
    }

    async fn delete_series(&mut self, ids: &[i64]) -> Result<(), ManifestError> {
        self.remove::<series::Entity>(series::Column::Id, values(ids)).await.map(drop)
    }

    async fn insert_pieces(&mut self, rows: Vec<Stored<PieceRow>>) -> Result<(), ManifestError> {
        self.put::<pieces::Entity>(rows, Existing::Refuse).await
    }

    async fn delete_pieces(&mut self, keys: &[PieceKey]) -> Result<u64, ManifestError> {
        self.changing()?;
        let keys =
            keys.iter().flat_map(|key| [key.series, key.commit, key.ordinal]).map(Value::from).collect();
        let result = delete_keys::<pieces::Entity>(&self.transaction, keys).await;
        self.changed::<pieces::Entity, _>(result)
    }

    async fn insert_segments(&mut self, rows: Vec<Stored<SegmentRow>>) -> Result<(), ManifestError> {
        self.put::<segments::Entity>(rows, Existing::Refuse).await
    }

    async fn put_segment_states(&mut self, rows: Vec<Stored<SegmentStateRow>>) -> Result<(), ManifestError> {
        self.put::<segment_states::Entity>(rows, Existing::Replace).await
    }

    async fn delete_segments(&mut self, ids: &[i64]) -> Result<(), ManifestError> {
        self.remove::<segments::Entity>(segments::Column::Id, values(ids)).await?;
        self.remove::<segment_states::Entity>(segment_states::Column::Id, values(ids)).await.map(drop)
    }

    async fn insert_key(&mut self, row: Stored<KeyRow>) -> Result<(), ManifestError> {
        self.put::<keys::Entity>(vec![row], Existing::Refuse).await
    }

    async fn delete_keys_before(&mut self, at_ms: i64) -> Result<(), ManifestError> {
        self.remove_below::<keys::Entity>(" WHERE \"at_ms\" < ", at_ms).await
    }

    async fn put_pending(&mut self, rows: Vec<Stored<PendingRow>>) -> Result<(), ManifestError> {
        self.put::<pending::Entity>(rows, Existing::Replace).await
    }

    async fn delete_pending(&mut self, files: &[String]) -> Result<u64, ManifestError> {
        self.remove::<pending::Entity>(pending::Column::File, values(files)).await
    }

    async fn put_lease(&mut self, row: Stored<LeaseRow>) -> Result<(), ManifestError> {
        self.put::<leases::Entity>(vec![row], Existing::Replace).await
    }

    async fn commit(mut self: Box<Self>) -> Result<(), ManifestError> {
        self.changing()?;
        let Transaction { transaction, name, turn, .. } = *self;
        let result = transaction.commit().await.map_err(|error| match Failure::of(&error) {
            Failure::Busy => ManifestError::Busy { database: name.to_string() },
            Failure::Damaged(problem) | Failure::Other(problem) => ManifestError::Database {
                database: name.to_string(),
                action: "commit".to_string(),
                source: problem.into(),
            },
        });
        drop(turn);
        result
    }
}
