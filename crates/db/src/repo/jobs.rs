//! Work that takes time, as rows: what is asked for, who does it, how far it is, and how it ended.
//!
//! Whoever does jobs takes some for a while (a *lease*) and renews that while they run. If the process dies, the lease ends,
//! and another one takes them up. A job that has ended never runs again: what it left behind and that it has ended are one
//! transaction, which only the holder of the lease can make. So a job may run twice, in part, but it ends once.
//!
//! A job that waits may be somebody's already: while its lease lasts, only its holder takes it.
//!
//! All that moves is moved in batches: a claim, a renewal or an end of a thousand jobs is one transaction.

use std::collections::HashMap;
use std::time::Duration;

use sea_orm::DatabaseTransaction;
use serde_json::Value;
use uuid::Uuid;

use super::{Transaction, damaged_row, to_json};
use crate::Database;
use crate::entity::{artifacts, jobs};
use crate::error::RepositoryError;
use crate::table::{Existing, Sql, delete_in, insert, select, select_in};

type Row = jobs::Entity;
type ArtifactRow = artifacts::Entity;

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobState {
    /// It waits for its turn.
    Queued,
    /// Somebody does it.
    Running,
    /// It is done.
    Succeeded,
    /// It has failed for good; the failure says why.
    Faulted,
    /// It was cancelled.
    Canceled,
}

impl JobState {
    const ALL: [JobState; 5] =
        [JobState::Queued, JobState::Running, JobState::Succeeded, JobState::Faulted, JobState::Canceled];

    /// Its number in rows; the tables' indexes count on those below 2 being the ones with something to do.
    const fn number(self) -> i64 {
        match self {
            JobState::Queued => 0,
            JobState::Running => 1,
            JobState::Succeeded => 2,
            JobState::Faulted => 3,
            JobState::Canceled => 4,
        }
    }

    /// Whether nothing will happen to it any more.
    pub const fn is_ended(self) -> bool {
        self.number() >= 2
    }

    /// Whether it makes sense to ask for the same again: it has ended, and has not come to its end.
    pub const fn can_be_retried(self) -> bool {
        matches!(self, JobState::Faulted | JobState::Canceled)
    }
}

/// A job.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// Its id.
    pub id: Uuid,
    /// What is to be done.
    pub kind: String,
    /// The id of the user who wants it.
    pub owner: String,
    /// What that user was called.
    pub owner_name: String,
    /// What exactly.
    pub parameters: Value,
    /// Where it stands.
    pub state: JobState,
    /// How often it was begun.
    pub attempt: u32,
    /// How often it may be begun.
    pub max_attempts: u32,
    /// How far it is, from 0 to 1.
    pub progress: f64,
    /// What is being done right now.
    pub activity: String,
    /// What came of it.
    pub result: Option<String>,
    /// Why it failed, for good or the last time.
    pub failure: Option<String>,
    /// Whether somebody wants it to stop.
    pub cancel_requested: bool,
    /// When it was asked for, in milliseconds since 1970.
    pub created_at_ms: i64,
    /// When it was begun first.
    pub started_at_ms: Option<i64>,
    /// When it ended.
    pub finished_at_ms: Option<i64>,
}

/// A job that is asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct NewJob {
    /// Its id, which nothing else may have.
    pub id: Uuid,
    /// What is to be done.
    pub kind: String,
    /// The id of the user who wants it.
    pub owner: String,
    /// What that user is called.
    pub owner_name: String,
    /// What exactly.
    pub parameters: Value,
    /// How often it may be begun: once more for every process that dies over it.
    pub max_attempts: u32,
    /// Who alone may take it as long as he renews his lease; `None` for whoever comes first.
    pub reserved: Option<Reservation>,
}

/// A job is for somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// For this holder.
    pub holder: i64,
    /// For so long, unless he renews it.
    pub lease: Duration,
}

/// A file that a job has left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// Its id.
    pub id: Uuid,
    /// The job.
    pub job: Uuid,
    /// The id of the user who may have it.
    pub owner: String,
    /// What it is called where it is downloaded to.
    pub file_name: String,
    /// Its size.
    pub bytes: u64,
    /// The SHA-256 of its bytes, in hexadecimal digits.
    pub sha256: String,
    /// Since when it is there, in milliseconds since 1970.
    pub created_at_ms: i64,
    /// When it goes.
    pub expires_at_ms: i64,
}

/// How far a job is.
#[derive(Clone, Debug, PartialEq)]
pub struct Beat {
    /// The job.
    pub id: Uuid,
    /// From 0 to 1.
    pub progress: f64,
    /// What is being done.
    pub activity: String,
}

/// How a job that somebody does stands with him.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// It is still his.
    Held,
    /// It is still his, and he shall stop.
    Cancel,
    /// Somebody else has it, or it has ended: his work is for nothing.
    Lost,
}

/// How the work on a job ends.
#[derive(Clone, Debug, PartialEq)]
pub enum Ending {
    /// It is done.
    Succeeded {
        /// What came of it.
        result: Option<String>,
        /// Files that it leaves behind, which are there already.
        artifacts: Vec<Artifact>,
    },
    /// It can't be done.
    Faulted {
        /// Why.
        failure: String,
    },
    /// It was stopped, as was wanted.
    Canceled,
    /// It failed, and may work another time, which it waits for with its holder until his lease ends. If it was begun as often
    /// as allowed, it has failed for good.
    Again {
        /// Why.
        failure: String,
        /// How long to wait.
        after: Duration,
    },
    /// It goes back to where it came from, as if it had not been begun: who does it goes home.
    Released,
}

/// Jobs and what they left behind. All times are those of whoever calls: processes that share jobs share a clock, more or
/// less; a lease is longer than the difference.
#[derive(Clone, Debug)]
pub struct Jobs {
    database: Database,
}

impl Jobs {
    pub(crate) fn new(database: Database) -> Jobs {
        Jobs { database }
    }

    /// Adds jobs, all or none of them.
    ///
    /// # Errors
    /// Parameters that can't be kept, an id that is there already, or the database fails.
    pub async fn insert(&self, jobs: Vec<NewJob>, now_ms: i64) -> Result<Vec<Job>, RepositoryError> {
        let mut rows = Vec::with_capacity(jobs.len());
        for job in jobs {
            let name = format!("job {}", job.id);
            if job.kind.is_empty() || job.kind.contains('\0') || job.owner.contains('\0') {
                let problem = "its kind and owner are texts without a zero character".to_string();
                return Err(RepositoryError::Invalid { name, problem });
            }
            rows.push(jobs::Model {
                id: job.id.to_string(),
                kind: job.kind,
                owner: job.owner,
                owner_name: job.owner_name.replace('\0', ""),
                parameters: to_json(&job.parameters, &name)?,
                state: JobState::Queued.number(),
                attempt: 0,
                max_attempts: i64::from(job.max_attempts.max(1)),
                ready_at_ms: now_ms,
                holder: job.reserved.map_or(0, |reserved| reserved.holder),
                until_ms: job.reserved.map_or(0, |reserved| later(now_ms, reserved.lease)),
                progress: 0.0,
                activity: String::new(),
                result: None,
                failure: None,
                cancel_requested: 0,
                created_at_ms: now_ms,
                started_at_ms: None,
                finished_at_ms: None,
            });
        }
        let transaction = Transaction::write::<Row>(&self.database).await?;
        let inserted = insert::<Row>(&transaction.tx, rows.clone(), Existing::Refuse).await;
        transaction.changing::<Row, _>(inserted)?;
        transaction.commit::<Row>().await?;
        rows.into_iter().map(|row| self.job(row)).collect()
    }

    /// The job with this id.
    ///
    /// # Errors
    /// The database fails, or the row is damaged.
    pub async fn find(&self, id: Uuid) -> Result<Option<Job>, RepositoryError> {
        let Some(transaction) = Transaction::read::<Row>(&self.database).await? else { return Ok(None) };
        let rows = select_in::<Row>(&transaction.tx, jobs::Column::Id, vec![id.to_string().into()]).await;
        transaction.reading::<Row, _>(rows)?.pop().map(|row| self.job(row)).transpose()
    }

    /// The first `limit` jobs of an owner, or of all, that are older than the job `before`, the newest first.
    ///
    /// # Errors
    /// The database fails, or a row is damaged.
    pub async fn list(
        &self,
        owner: Option<&str>,
        before: Option<&Job>,
        limit: usize,
    ) -> Result<Vec<Job>, RepositoryError> {
        let Some(transaction) = Transaction::read::<Row>(&self.database).await? else {
            return Ok(Vec::new());
        };
        let mut sql = select::<Row>(&transaction.tx).text(" WHERE ");
        sql = match owner {
            Some(owner) => sql.text("\"owner\" = ").value(owner),
            None => sql.text("\"created_at_ms\" >= ").value(i64::MIN),
        };
        if let Some(before) = before {
            sql = sql
                .text(" AND (\"created_at_ms\", \"id\") < (")
                .value(before.created_at_ms)
                .text(", ")
                .value(before.id.to_string())
                .text(")");
        }
        let sql = sql.page("\"created_at_ms\" DESC, \"id\" DESC", limit as u64);
        let rows = transaction.reading::<Row, _>(sql.rows::<Row>(&transaction.tx).await)?;
        rows.into_iter().map(|row| self.job(row)).collect()
    }

    /// How many jobs of each kind wait for their turn, and how many are being done. Those that have ended are not looked at.
    ///
    /// # Errors
    /// The database fails.
    pub async fn open(&self) -> Result<Vec<(String, JobState, u64)>, RepositoryError> {
        let Some(transaction) = Transaction::read::<Row>(&self.database).await? else {
            return Ok(Vec::new());
        };
        let mut counts = Vec::new();
        let sql = "SELECT \"kind\", \"state\", COUNT(*) FROM \"jobs\" WHERE \"state\" < 2 \
                   GROUP BY \"kind\", \"state\" ORDER BY \"kind\", \"state\"";
        let counted = Sql::new(&transaction.tx, sql).query(&transaction.tx, |columns| {
            let (kind, state): (String, i64) = (columns.next()?, columns.next()?);
            let state = if state == 0 { JobState::Queued } else { JobState::Running };
            counts.push((kind, state, columns.next::<i64>()?.unsigned_abs()));
            Ok(())
        });
        transaction.reading::<Row, _>(counted.await)?;
        Ok(counts)
    }

    /// Takes up to `most` jobs of these kinds that wait or whose holder has died, the oldest first, for as long as `lease`.
    /// On the way, jobs end that can't be begun once more, and those that were cancelled. Where there is nothing to do,
    /// nobody else has to wait for the answer.
    ///
    /// # Errors
    /// The database fails, or a row is damaged.
    pub async fn claim(
        &self,
        holder: i64,
        kinds: &[&str],
        most: usize,
        lease: Duration,
        now_ms: i64,
    ) -> Result<Vec<Job>, RepositoryError> {
        if most == 0 || kinds.is_empty() {
            return Ok(Vec::new());
        }
        let Some(look) = Transaction::read::<Row>(&self.database).await? else { return Ok(Vec::new()) };
        let any = claimable(&look.tx, holder, kinds, now_ms, 1).rows::<Row>(&look.tx).await;
        if look.reading::<Row, _>(any)?.is_empty() {
            return Ok(Vec::new());
        }
        drop(look);

        let transaction = Transaction::write::<Row>(&self.database).await?;
        let mut claimed = Vec::new();
        while claimed.len() < most {
            let page = claimable(&transaction.tx, holder, kinds, now_ms, most - claimed.len());
            let rows = transaction.reading::<Row, _>(page.rows::<Row>(&transaction.tx).await)?;
            if rows.is_empty() {
                break;
            }
            let mut changed = Vec::with_capacity(rows.len());
            for mut row in rows {
                if row.cancel_requested != 0 {
                    end(&mut row, JobState::Canceled, now_ms);
                } else if row.attempt >= row.max_attempts {
                    row.failure = Some(died(&row));
                    end(&mut row, JobState::Faulted, now_ms);
                } else {
                    row.state = JobState::Running.number();
                    row.attempt += 1;
                    row.holder = holder;
                    row.until_ms = later(now_ms, lease);
                    row.progress = 0.0;
                    row.activity = String::new();
                    row.started_at_ms = row.started_at_ms.or(Some(now_ms));
                    claimed.push(row.clone());
                }
                changed.push(row);
            }
            let updated = insert::<Row>(&transaction.tx, changed, Existing::Replace).await;
            transaction.changing::<Row, _>(updated)?;
        }
        transaction.commit::<Row>().await?;
        claimed.into_iter().map(|row| self.job(row)).collect()
    }

    /// Renews the lease of jobs that are being done, or wait for this holder, and says how far they are; one answer for each.
    ///
    /// # Errors
    /// The database fails. The leases are as they were.
    pub async fn renew(
        &self,
        holder: i64,
        beats: Vec<Beat>,
        lease: Duration,
        now_ms: i64,
    ) -> Result<Vec<Hold>, RepositoryError> {
        if beats.is_empty() {
            return Ok(Vec::new());
        }
        let transaction = Transaction::write::<Row>(&self.database).await?;
        let mut rows = rows_of(&transaction, beats.iter().map(|beat| beat.id)).await?;
        let (mut holds, mut changed) = (Vec::with_capacity(beats.len()), Vec::with_capacity(beats.len()));
        for beat in beats {
            let is_his = |row: &jobs::Model| row.state <= JobState::Running.number() && row.holder == holder;
            let Some(mut row) = rows.remove(&beat.id.to_string()).filter(is_his) else {
                holds.push(Hold::Lost);
                continue;
            };
            holds.push(if row.cancel_requested != 0 { Hold::Cancel } else { Hold::Held });
            row.until_ms = later(now_ms, lease);
            row.progress = beat.progress.clamp(0.0, 1.0);
            row.activity = beat.activity.replace('\0', "");
            changed.push(row);
        }
        let updated = insert::<Row>(&transaction.tx, changed, Existing::Replace).await;
        transaction.changing::<Row, _>(updated)?;
        transaction.commit::<Row>().await?;
        Ok(holds)
    }

    /// Ends the work on jobs; for each, whether it was still the holder's. If not, nothing of it is kept.
    ///
    /// # Errors
    /// The database fails. Nothing has changed.
    pub async fn finish(
        &self,
        holder: i64,
        endings: Vec<(Uuid, Ending)>,
        now_ms: i64,
    ) -> Result<Vec<bool>, RepositoryError> {
        if endings.is_empty() {
            return Ok(Vec::new());
        }
        let transaction = Transaction::write::<Row>(&self.database).await?;
        let mut rows = rows_of(&transaction, endings.iter().map(|(id, _)| *id)).await?;
        let (mut held, mut changed, mut left) = (Vec::new(), Vec::new(), Vec::new());
        for (id, ending) in endings {
            let row = rows.remove(&id.to_string()).filter(|row| is_held(row, holder));
            held.push(row.is_some());
            if let Some(mut row) = row {
                left.extend(apply(&mut row, ending, now_ms));
                changed.push(row);
            }
        }
        let updated = insert::<Row>(&transaction.tx, changed, Existing::Replace).await;
        transaction.changing::<Row, _>(updated)?;
        let left = left.into_iter().map(artifact_row);
        let inserted = insert::<ArtifactRow>(&transaction.tx, left, Existing::Refuse).await;
        transaction.changing::<ArtifactRow, _>(inserted)?;
        transaction.commit::<Row>().await?;
        Ok(held)
    }

    /// Cancels a job: one that waits ends at once, one that runs is told to. Returns how it stands then.
    ///
    /// # Errors
    /// The database fails, or the row is damaged.
    pub async fn cancel(&self, id: Uuid, now_ms: i64) -> Result<Option<Job>, RepositoryError> {
        let transaction = Transaction::write::<Row>(&self.database).await?;
        let row = rows_of(&transaction, [id]).await?.remove(&id.to_string());
        let Some(mut row) = row else { return Ok(None) };
        let state = self.state(&row)?;
        if !state.is_ended() {
            row.cancel_requested = 1;
            if state == JobState::Queued {
                end(&mut row, JobState::Canceled, now_ms);
            }
            let updated = insert::<Row>(&transaction.tx, [row.clone()], Existing::Replace).await;
            transaction.changing::<Row, _>(updated)?;
            transaction.commit::<Row>().await?;
        }
        self.job(row).map(Some)
    }

    /// Which of these jobs somebody holds right now.
    ///
    /// # Errors
    /// The database fails.
    pub async fn held(&self, ids: &[Uuid], now_ms: i64) -> Result<Vec<bool>, RepositoryError> {
        let Some(transaction) = Transaction::read::<Row>(&self.database).await? else {
            return Ok(vec![false; ids.len()]);
        };
        let rows = rows_of(&transaction, ids.iter().copied()).await?;
        let is_held = |row: &jobs::Model| row.state == JobState::Running.number() && row.until_ms >= now_ms;
        Ok(ids.iter().map(|id| rows.get(&id.to_string()).is_some_and(is_held)).collect())
    }

    /// The artifacts with these ids, as far as they are there.
    ///
    /// # Errors
    /// The database fails, or a row is damaged.
    pub async fn artifacts(&self, ids: &[Uuid]) -> Result<Vec<Artifact>, RepositoryError> {
        let Some(transaction) = Transaction::read::<ArtifactRow>(&self.database).await? else {
            return Ok(Vec::new());
        };
        let ids = ids.iter().map(|id| id.to_string().into()).collect();
        let rows = select_in::<ArtifactRow>(&transaction.tx, artifacts::Column::Id, ids).await;
        let rows = transaction.reading::<ArtifactRow, _>(rows)?;
        rows.into_iter().map(|row| self.artifact(row)).collect()
    }

    /// Removes up to `limit` artifacts whose time has come, and returns them: their files can go then.
    ///
    /// # Errors
    /// The database fails, or a row is damaged.
    pub async fn remove_expired(&self, limit: usize, now_ms: i64) -> Result<Vec<Artifact>, RepositoryError> {
        let expired = |tx: &DatabaseTransaction| {
            select::<ArtifactRow>(tx)
                .text(" WHERE \"expires_at_ms\" < ")
                .value(now_ms)
                .page("\"expires_at_ms\"", limit as u64)
        };
        let Some(look) = Transaction::read::<ArtifactRow>(&self.database).await? else {
            return Ok(Vec::new());
        };
        let rows = look.reading::<ArtifactRow, _>(expired(&look.tx).rows::<ArtifactRow>(&look.tx).await)?;
        drop(look);
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let transaction = Transaction::write::<ArtifactRow>(&self.database).await?;
        let rows = expired(&transaction.tx).rows::<ArtifactRow>(&transaction.tx).await;
        let rows = transaction.reading::<ArtifactRow, _>(rows)?;
        let ids = rows.iter().map(|row| row.id.as_str().into()).collect();
        let deleted = delete_in::<ArtifactRow>(&transaction.tx, artifacts::Column::Id, ids).await;
        transaction.changing::<ArtifactRow, _>(deleted)?;
        transaction.commit::<ArtifactRow>().await?;
        rows.into_iter().map(|row| self.artifact(row)).collect()
    }

    /// Removes up to `limit` jobs that ended before a time and have left nothing behind; returns how many.
    ///
    /// # Errors
    /// The database fails.
    pub async fn remove_ended(&self, before_ms: i64, limit: usize) -> Result<u64, RepositoryError> {
        let ended = |tx: &DatabaseTransaction| {
            select::<Row>(tx)
                .text(" WHERE \"state\" >= 2 AND \"created_at_ms\" < ")
                .value(before_ms)
                .text(" AND \"finished_at_ms\" < ")
                .value(before_ms)
                .text(" AND \"id\" NOT IN (SELECT \"job\" FROM \"artifacts\")")
                .page("\"created_at_ms\", \"id\"", limit as u64)
        };
        let Some(look) = Transaction::read::<Row>(&self.database).await? else { return Ok(0) };
        let rows = look.reading::<Row, _>(ended(&look.tx).rows::<Row>(&look.tx).await)?;
        drop(look);
        if rows.is_empty() {
            return Ok(0);
        }
        // What has ended stays as it is: another one can only have removed it meanwhile.
        let transaction = Transaction::write::<Row>(&self.database).await?;
        let ids = rows.into_iter().map(|row| row.id.into()).collect();
        let deleted = delete_in::<Row>(&transaction.tx, jobs::Column::Id, ids).await;
        let deleted = transaction.changing::<Row, _>(deleted)?;
        transaction.commit::<Row>().await?;
        Ok(deleted)
    }

    fn state(&self, row: &jobs::Model) -> Result<JobState, RepositoryError> {
        let state = JobState::ALL.into_iter().find(|state| state.number() == row.state);
        state.ok_or_else(|| {
            let problem = format!("there is no state {}", row.state);
            damaged_row::<Row>(&self.database, &row.id, &problem)
        })
    }

    fn job(&self, row: jobs::Model) -> Result<Job, RepositoryError> {
        let state = self.state(&row)?;
        let damaged = |problem: String| damaged_row::<Row>(&self.database, &row.id, &problem);
        let parameters = serde_json::from_str(&row.parameters)
            .map_err(|error| damaged(format!("its parameters are no JSON: {error}")))?;
        let id = row.id.parse().map_err(|error: uuid::Error| damaged(error.to_string()))?;
        let count = |count: i64| u32::try_from(count).map_err(|_| damaged(format!("{count} attempts")));
        let (attempt, max_attempts) = (count(row.attempt)?, count(row.max_attempts)?);
        Ok(Job {
            id,
            kind: row.kind,
            owner: row.owner,
            owner_name: row.owner_name,
            parameters,
            state,
            attempt,
            max_attempts,
            progress: row.progress,
            activity: row.activity,
            result: row.result,
            failure: row.failure,
            cancel_requested: row.cancel_requested != 0,
            created_at_ms: row.created_at_ms,
            started_at_ms: row.started_at_ms,
            finished_at_ms: row.finished_at_ms,
        })
    }

    fn artifact(&self, row: artifacts::Model) -> Result<Artifact, RepositoryError> {
        let id = |text: &str| {
            text.parse().map_err(|error: uuid::Error| {
                damaged_row::<ArtifactRow>(&self.database, &row.id, &error.to_string())
            })
        };
        Ok(Artifact {
            id: id(&row.id)?,
            job: id(&row.job)?,
            owner: row.owner,
            file_name: row.file_name,
            bytes: row.bytes.unsigned_abs(),
            sha256: row.sha256,
            created_at_ms: row.created_at_ms,
            expires_at_ms: row.expires_at_ms,
        })
    }
}

/// The first jobs of these kinds that a holder can take: those whose lease has ended, and those that wait for him.
fn claimable(tx: &DatabaseTransaction, holder: i64, kinds: &[&str], now_ms: i64, limit: usize) -> Sql {
    let mut sql = select::<Row>(tx)
        .text(" WHERE \"state\" < 2 AND (\"until_ms\" < ")
        .value(now_ms)
        .text(" OR (\"state\" = 0 AND \"holder\" IN (0, ")
        .value(holder)
        .text("))) AND (\"state\" = 1 OR \"ready_at_ms\" <= ")
        .value(now_ms)
        .text(") AND \"kind\" IN (");
    for (at, &kind) in kinds.iter().enumerate() {
        sql = if at == 0 { sql } else { sql.text(", ") }.value(kind);
    }
    sql.text(")").page("\"created_at_ms\", \"id\"", limit as u64)
}

async fn rows_of(
    transaction: &Transaction<'_>,
    ids: impl IntoIterator<Item = Uuid>,
) -> Result<HashMap<String, jobs::Model>, RepositoryError> {
    let ids = ids.into_iter().map(|id| id.to_string().into()).collect();
    let rows = select_in::<Row>(&transaction.tx, jobs::Column::Id, ids).await;
    Ok(transaction.reading::<Row, _>(rows)?.into_iter().map(|row| (row.id.clone(), row)).collect())
}

/// A lease that has ended still holds as long as nobody else has taken the job.
fn is_held(row: &jobs::Model, holder: i64) -> bool {
    row.state == JobState::Running.number() && row.holder == holder
}

fn later(now_ms: i64, wait: Duration) -> i64 {
    now_ms.saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX))
}

fn end(row: &mut jobs::Model, state: JobState, now_ms: i64) {
    row.state = state.number();
    row.finished_at_ms = Some(now_ms);
    row.activity = String::new();
}

fn died(row: &jobs::Model) -> String {
    let before = row.failure.as_ref().map(|failure| format!("; before that: {failure}")).unwrap_or_default();
    match row.attempt {
        1 => format!("the process that did it has ended in the middle of it{before}"),
        times => format!("{times} times the process that did it has ended in the middle of it{before}"),
    }
}

/// Ends the work on a job; returns what it leaves behind.
fn apply(row: &mut jobs::Model, ending: Ending, now_ms: i64) -> Vec<Artifact> {
    let is_unwanted = row.cancel_requested != 0;
    let back = |row: &mut jobs::Model, ready_at_ms: i64| {
        row.state = JobState::Queued.number();
        row.ready_at_ms = ready_at_ms;
        row.progress = 0.0;
        row.activity = String::new();
    };
    match ending {
        Ending::Succeeded { result, artifacts } => {
            row.result = result;
            row.failure = None;
            row.progress = 1.0;
            end(row, JobState::Succeeded, now_ms);
            return artifacts;
        }
        Ending::Faulted { failure } => {
            row.failure = Some(failure);
            end(row, JobState::Faulted, now_ms);
        }
        Ending::Canceled => end(row, JobState::Canceled, now_ms),
        Ending::Again { .. } | Ending::Released if is_unwanted => end(row, JobState::Canceled, now_ms),
        Ending::Again { failure, after } => {
            row.failure = Some(failure);
            if row.attempt >= row.max_attempts {
                end(row, JobState::Faulted, now_ms);
            } else {
                back(row, later(now_ms, after));
            }
        }
        Ending::Released => {
            row.attempt = (row.attempt - 1).max(0);
            row.holder = 0;
            back(row, now_ms);
        }
    }
    Vec::new()
}

fn artifact_row(artifact: Artifact) -> artifacts::Model {
    artifacts::Model {
        id: artifact.id.to_string(),
        job: artifact.job.to_string(),
        owner: artifact.owner,
        file_name: artifact.file_name,
        bytes: i64::try_from(artifact.bytes).unwrap_or(i64::MAX),
        sha256: artifact.sha256,
        created_at_ms: artifact.created_at_ms,
        expires_at_ms: artifact.expires_at_ms,
    }
}
