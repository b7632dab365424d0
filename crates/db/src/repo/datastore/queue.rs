//! What meter runs and aggregation runs have in common: they wait, are claimed for a while, renewed, and end once.
//!
//! Both tables have the same columns for that. The ids of runs are all that moves; whoever ends runs writes what came of them
//! in the same transaction.

use std::collections::HashMap;
use std::time::Duration;

use sea_orm::Value;

use super::{Batch, Datastore, Micros, Page, RunStatus, Transaction, without_zero};
use crate::Database;
use crate::entity::datastore::batches;
use crate::error::RepositoryError;
use crate::repo::Hold;
use crate::table::{Sql, Table, table_name, update};

/// How often a run is begun: once more for every process that dies over it.
const ATTEMPTS: i64 = 3;

/// A request that makes runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewBatch {
    /// The id of the user who wants it.
    pub owner: String,
    /// What kind of request it is.
    pub kind: String,
    /// Runs with a higher one come first.
    pub priority: i64,
    /// What to call it.
    pub label: Option<String>,
}

/// The runs that a request has made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inserted {
    /// The request's row.
    pub batch: i64,
    /// The ids of the runs, in the order in which they were given.
    pub ids: Vec<i64>,
}

/// How a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "their names say it")]
pub enum RunEnding {
    Success,
    Failed,
    Cancelled,
}

impl From<RunEnding> for RunStatus {
    fn from(ending: RunEnding) -> RunStatus {
        match ending {
            RunEnding::Success => RunStatus::Success,
            RunEnding::Failed => RunStatus::Failed,
            RunEnding::Cancelled => RunStatus::Cancelled,
        }
    }
}

/// What a wish to cancel runs has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cancelled {
    /// Runs that waited, and have ended.
    pub ended: u64,
    /// Runs that somebody does, who will hear of it when he renews them.
    pub asked: u64,
}

/// How far runs are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// How many wait.
    pub pending: u64,
    /// How many are being done.
    pub running: u64,
    /// How many are done.
    pub success: u64,
    /// How many have failed.
    pub failed: u64,
    /// How many were cancelled.
    pub cancelled: u64,
    /// When the first was begun.
    pub first_started: Option<Micros>,
    /// When the last one that has ended did.
    pub last_finished: Option<Micros>,
}

impl Progress {
    /// How many have ended.
    pub const fn ended(&self) -> u64 {
        self.success + self.failed + self.cancelled
    }

    /// How many have not.
    pub const fn unended(&self) -> u64 {
        self.pending + self.running
    }
}

/// Which runs.
pub(super) trait Conditions: Sync {
    /// Adds what must be true of them.
    fn conditions(&self, sql: Sql) -> Sql;
}

/// One more condition, if there are any statuses: that a run has one of these. They are words in the text, not parameters, so
/// that the database knows which index has them.
pub(super) fn and_status(sql: Sql, statuses: &[RunStatus]) -> Sql {
    match statuses {
        [] => sql,
        [status] => sql.text(&format!(" AND \"status\" = '{status}'")),
        statuses => {
            let words: Vec<String> = statuses.iter().map(|status| format!("'{status}'")).collect();
            sql.text(&format!(" AND \"status\" IN ({})", words.join(", ")))
        }
    }
}

fn update_all<E: Table>(transaction: &Transaction<'_>, set: &str) -> Sql {
    Sql::new(&transaction.tx, format!("UPDATE \"{}\" SET {set}", table_name::<E>()))
}

fn later(now: Micros, wait: Duration) -> Micros {
    Micros(now.0.saturating_add(i64::try_from(wait.as_micros()).unwrap_or(i64::MAX)))
}

/// Adds the row of a request.
pub(super) async fn insert_batch(
    transaction: &Transaction<'_>,
    batch: NewBatch,
    now: Micros,
) -> Result<i64, RepositoryError> {
    let id = transaction.new_ids::<batches::Entity>(1).await?;
    let clean = |text: String| text.replace('\0', "");
    let row = Batch {
        id,
        owner: clean(batch.owner),
        kind: clean(batch.kind),
        priority: batch.priority,
        label: without_zero(batch.label),
        added: now,
    };
    transaction.insert_all::<batches::Entity>([row]).await?;
    Ok(id)
}

/// Takes up to `most` runs that wait, or whose holder has died, for as long as `lease`: those with the highest priority
/// first, then those that were asked for first. On the way, runs end that can't be begun once more. Where there is nothing to
/// do, nobody else has to wait for the answer. The transaction is to be committed.
pub(super) async fn claim<'a, E: Table>(
    database: &'a Database,
    holder: i64,
    most: usize,
    lease: Duration,
    now: Micros,
) -> Result<Option<(Transaction<'a>, Vec<i64>)>, RepositoryError> {
    let table = table_name::<E>();
    let Some(look) = Transaction::read::<E>(database).await? else { return Ok(None) };
    let any = |condition: &str| format!("SELECT EXISTS (SELECT 1 FROM \"{table}\" WHERE {condition}");
    let exists = |sql: Sql| async {
        let mut found = false;
        let answer = sql.query(&look.tx, |columns| {
            found = columns.next()?;
            Ok(())
        });
        look.reading::<E, _>(answer.await)?;
        Ok::<bool, RepositoryError>(found)
    };
    let dead = Sql::new(&look.tx, any("\"status\" = 'RUNNING' AND \"until\" < ")).value(now).text(")");
    let has_dead = exists(dead).await?;
    let has_pending = exists(Sql::new(&look.tx, any("\"status\" = 'PENDING')"))).await?;
    if most == 0 || !has_dead && !has_pending {
        return Ok(None);
    }
    drop(look);

    let transaction = Transaction::write::<E>(database).await?;
    if has_dead {
        take_back::<E>(&transaction, now).await?;
    }
    let pending =
        Sql::new(&transaction.tx, format!("SELECT \"id\" FROM \"{table}\" WHERE \"status\" = 'PENDING'"));
    let ids = transaction.query_ids::<E>(pending.page("\"priority\" DESC, \"id\"", most as u64)).await?;
    if !ids.is_empty() {
        let sql = update_all::<E>(
            &transaction,
            "\"status\" = 'RUNNING', \"attempt\" = \"attempt\" + 1, \"holder\" = ",
        )
        .value(holder)
        .text(", \"until\" = ")
        .value(later(now, lease))
        .text(", \"started\" = COALESCE(\"started\", ")
        .value(now)
        .text("), \"updated\" = ")
        .value(now)
        .text(" WHERE \"id\" IN ")
        .ids(&ids);
        transaction.run::<E>(sql).await?;
    }
    Ok(Some((transaction, ids)))
}

/// Takes runs back from holders who have died.
async fn take_back<E: Table>(transaction: &Transaction<'_>, now: Micros) -> Result<(), RepositoryError> {
    let dead = |sql: Sql| sql.text(" WHERE \"status\" = 'RUNNING' AND \"until\" < ").value(now);
    let ended = |set: &str| {
        update_all::<E>(transaction, set)
            .text(", \"finished\" = ")
            .value(now)
            .text(", \"updated\" = ")
            .value(now)
    };
    let cancelled = dead(ended("\"status\" = 'CANCELLED'")).text(" AND \"cancel_requested\"");
    transaction.run::<E>(cancelled).await?;
    let failed = format!(
        "\"status\" = 'FAILED', \"failure_message\" = '{ATTEMPTS} times the process that did it has ended in the middle of it'"
    );
    transaction.run::<E>(dead(ended(&failed)).text(" AND \"attempt\" >= ").value(ATTEMPTS)).await?;
    transaction.run::<E>(dead(update_all::<E>(transaction, "\"status\" = 'PENDING'"))).await?;
    Ok(())
}

/// A condition: runs with these ids that somebody holds. A lease that has ended still holds as long as nobody else has taken
/// the run.
fn held_by(sql: Sql, holder: i64, ids: &[i64]) -> Sql {
    sql.text(" WHERE \"id\" IN ").ids(ids).text(" AND \"status\" = 'RUNNING' AND \"holder\" = ").value(holder)
}

/// The rows of the runs with these ids that somebody holds.
pub(super) async fn held<E: Table>(
    transaction: &Transaction<'_>,
    holder: i64,
    ids: &[i64],
) -> Result<Vec<E::Row>, RepositoryError> {
    transaction.rows_where::<E>(|sql| held_by(sql, holder, ids)).await
}

/// Renews the lease of runs; one answer for each.
async fn renew<E: Table>(
    database: &Database,
    holder: i64,
    ids: &[i64],
    lease: Duration,
    now: Micros,
) -> Result<Vec<Hold>, RepositoryError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let transaction = Transaction::write::<E>(database).await?;
    let until = update_all::<E>(&transaction, "\"until\" = ").value(later(now, lease));
    transaction.run::<E>(held_by(until, holder, ids)).await?;
    let mut holds = HashMap::new();
    let sql = format!("SELECT \"id\", \"cancel_requested\" FROM \"{}\"", table_name::<E>());
    let answer = held_by(Sql::new(&transaction.tx, sql), holder, ids).query(&transaction.tx, |columns| {
        let id: i64 = columns.next()?;
        holds.insert(id, if columns.next()? { Hold::Cancel } else { Hold::Held });
        Ok(())
    });
    transaction.reading::<E, _>(answer.await)?;
    transaction.commit::<E>().await?;
    Ok(ids.iter().map(|id| holds.get(id).copied().unwrap_or(Hold::Lost)).collect())
}

/// Gives runs back, as if they had not been begun: who does them goes home.
async fn release<E: Table>(
    database: &Database,
    holder: i64,
    ids: &[i64],
    now: Micros,
) -> Result<(), RepositoryError> {
    let transaction = Transaction::write::<E>(database).await?;
    let cancelled = update_all::<E>(&transaction, "\"status\" = 'CANCELLED', \"finished\" = ").value(now);
    let cancelled = cancelled.text(", \"updated\" = ").value(now);
    transaction.run::<E>(held_by(cancelled, holder, ids).text(" AND \"cancel_requested\"")).await?;
    let back = update_all::<E>(
        &transaction,
        "\"status\" = 'PENDING', \"attempt\" = \"attempt\" - 1, \"updated\" = ",
    );
    transaction.run::<E>(held_by(back.value(now), holder, ids)).await?;
    transaction.commit::<E>().await
}

/// How a run has ended, for its row.
pub(super) struct End {
    pub(super) id: i64,
    pub(super) ending: RunEnding,
    pub(super) failure_message: Option<String>,
    pub(super) traceback: Option<String>,
    pub(super) input_hash: Option<String>,
    /// Where its input is.
    pub(super) input: Option<String>,
}

/// Ends runs that are held.
pub(super) async fn end<E: Table>(
    transaction: &Transaction<'_>,
    input_column: &str,
    ends: Vec<End>,
    now: Micros,
) -> Result<(), RepositoryError> {
    let columns =
        ["status", "failure_message", "traceback", "input_hash", input_column, "finished", "updated"];
    let mut values: Vec<Value> = Vec::with_capacity(ends.len() * (1 + columns.len()));
    for end in ends {
        values.extend([
            end.id.into(),
            RunStatus::from(end.ending).into(),
            without_zero(end.failure_message).into(),
            without_zero(end.traceback).into(),
            end.input_hash.into(),
            end.input.into(),
            now.into(),
            now.into(),
        ]);
    }
    let updated = update::<E>(&transaction.tx, &columns, values).await;
    transaction.changing::<E, _>(updated)
}

/// Cancels runs: those that wait end at once, those that run are told to.
async fn cancel<E: Table>(
    database: &Database,
    which: &dyn Conditions,
    now: Micros,
) -> Result<Cancelled, RepositoryError> {
    let transaction = Transaction::write::<E>(database).await?;
    let end = update_all::<E>(
        &transaction,
        "\"status\" = 'CANCELLED', \"cancel_requested\" = TRUE, \"finished\" = ",
    )
    .value(now)
    .text(", \"updated\" = ")
    .value(now)
    .text(" WHERE \"status\" = 'PENDING'");
    let ended = transaction.run::<E>(which.conditions(end)).await?;
    let ask = update_all::<E>(&transaction, "\"cancel_requested\" = TRUE, \"updated\" = ")
        .value(now)
        .text(" WHERE \"status\" = 'RUNNING'");
    let asked = transaction.run::<E>(which.conditions(ask)).await?;
    transaction.commit::<E>().await?;
    Ok(Cancelled { ended, asked })
}

/// Puts runs that have failed or were cancelled back into the queue; returns their ids. The transaction is to be committed.
pub(super) async fn retry<'a, E: Table>(
    database: &'a Database,
    which: &dyn Conditions,
    now: Micros,
) -> Result<(Transaction<'a>, Vec<i64>), RepositoryError> {
    let transaction = Transaction::write::<E>(database).await?;
    let sql =
        format!("SELECT \"id\" FROM \"{}\" WHERE \"status\" IN ('FAILED', 'CANCELLED')", table_name::<E>());
    let ids = transaction.query_ids::<E>(which.conditions(Sql::new(&transaction.tx, sql))).await?;
    let set = "\"status\" = 'PENDING', \"attempt\" = 0, \"cancel_requested\" = FALSE, \"failure_message\" = NULL, \
        \"traceback\" = NULL, \"started\" = NULL, \"finished\" = NULL, \"updated\" = ";
    let sql = update_all::<E>(&transaction, set).value(now).text(" WHERE \"id\" IN ").ids(&ids);
    transaction.run::<E>(sql).await?;
    Ok((transaction, ids))
}

/// How far runs are.
async fn progress<E: Table>(
    database: &Database,
    which: &dyn Conditions,
) -> Result<Progress, RepositoryError> {
    let mut progress = Progress::default();
    let Some(transaction) = Transaction::read::<E>(database).await? else { return Ok(progress) };
    let sql = format!(
        "SELECT \"status\", COUNT(*), MIN(\"started\"), MAX(\"finished\") FROM \"{}\" WHERE TRUE",
        table_name::<E>()
    );
    let sql = which.conditions(Sql::new(&transaction.tx, sql)).text(" GROUP BY \"status\"");
    let answer = sql.query(&transaction.tx, |columns| {
        let (status, count): (RunStatus, i64) = (columns.next()?, columns.next()?);
        let (started, finished): (Option<Micros>, Option<Micros>) = (columns.next()?, columns.next()?);
        let place = match status {
            RunStatus::Pending => &mut progress.pending,
            RunStatus::Running => &mut progress.running,
            RunStatus::Success => &mut progress.success,
            RunStatus::Failed => &mut progress.failed,
            RunStatus::Cancelled => &mut progress.cancelled,
        };
        *place = count.unsigned_abs();
        progress.first_started = progress.first_started.into_iter().chain(started).min();
        progress.last_finished = progress.last_finished.max(finished);
        Ok(())
    });
    transaction.reading::<E, _>(answer.await)?;
    Ok(progress)
}

/// The methods of a queue, under the names of its runs.
macro_rules! queue_methods {
    ($entity:ty, $filter:ty, $renew:ident, $release:ident, $cancel:ident, $purge:ident, $progress:ident) => {
        impl Datastore {
            /// Renews the lease of runs; one answer for each.
            ///
            /// # Errors
            /// The database fails. The leases are as they were.
            pub async fn $renew(
                &self,
                holder: i64,
                ids: &[i64],
                lease: Duration,
                now: Micros,
            ) -> Result<Vec<Hold>, RepositoryError> {
                renew::<$entity>(&self.database, holder, ids, lease, now).await
            }

            /// Gives runs back, as if they had not been begun: who does them goes home. Those that were cancelled end.
            ///
            /// # Errors
            /// The database fails.
            pub async fn $release(
                &self,
                holder: i64,
                ids: &[i64],
                now: Micros,
            ) -> Result<(), RepositoryError> {
                release::<$entity>(&self.database, holder, ids, now).await
            }

            /// Cancels runs: those that wait end at once, those that run are told to when they are renewed.
            ///
            /// # Errors
            /// The database fails.
            pub async fn $cancel(&self, which: &$filter, now: Micros) -> Result<Cancelled, RepositoryError> {
                cancel::<$entity>(&self.database, which, now).await
            }

            /// Cancels all runs that wait; returns how many.
            ///
            /// # Errors
            /// The database fails.
            pub async fn $purge(&self, now: Micros) -> Result<u64, RepositoryError> {
                let waiting = <$filter>::with_status(RunStatus::Pending);
                Ok(cancel::<$entity>(&self.database, &waiting, now).await?.ended)
            }

            /// How far runs are.
            ///
            /// # Errors
            /// The database fails.
            pub async fn $progress(&self, which: &$filter) -> Result<Progress, RepositoryError> {
                progress::<$entity>(&self.database, which).await
            }
        }
    };
}

queue_methods!(
    crate::entity::datastore::meter_runs::Entity,
    super::RunFilter,
    renew_runs,
    release_runs,
    cancel_runs,
    purge_runs,
    run_progress
);
queue_methods!(
    crate::entity::datastore::aggregation_runs::Entity,
    super::AggregationFilter,
    renew_aggregations,
    release_aggregations,
    cancel_aggregations,
    purge_aggregations,
    aggregation_progress
);

impl Datastore {
    /// The request with this id.
    ///
    /// # Errors
    /// The database fails.
    pub async fn batch(&self, id: i64) -> Result<Option<Batch>, RepositoryError> {
        self.one::<batches::Entity>(id).await
    }

    /// A page of the requests of a user, or of all.
    ///
    /// # Errors
    /// The database fails.
    pub async fn batches(&self, owner: Option<&str>, page: Page) -> Result<Vec<Batch>, RepositoryError> {
        self.page::<batches::Entity>(page, |sql| sql.and_is("\"owner\"", owner)).await
    }
}
