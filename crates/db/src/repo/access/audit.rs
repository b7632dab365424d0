//! The record of what was done, and by whom. Rows are added, and never changed; those that have had their time go.

use serde_json::Value;
use uuid::Uuid;

use super::super::{Transaction, damaged_row, now_ms, to_json};
use super::{Access, parse_id};
use crate::Database;
use crate::entity::audit;
use crate::error::RepositoryError;
use crate::table::{Existing, Sql, delete_in, insert, select};

type Table = audit::Entity;

/// The longest subject of an event, in characters. Longer ones are cut: what a stranger sends must not fill the record.
const LONGEST_SUBJECT: usize = 300;

/// Something that is done.
#[derive(Clone, Debug, PartialEq)]
pub struct NewEvent {
    /// The user who does it; `None` for whoever runs commands on this machine, and for strangers.
    pub user: Option<String>,
    /// The token that is used for it.
    pub token: Option<Uuid>,
    /// What is done: `token.create`, `user.remove`, …
    pub action: String,
    /// To what.
    pub subject: String,
    /// How it went: `done`, or `refused`.
    pub outcome: String,
    /// What else is to be known. No secrets.
    pub detail: Value,
    /// The id of the request.
    pub request: Option<String>,
}

impl NewEvent {
    /// Something that is done by a command on this machine.
    pub fn by_command(action: &str, subject: impl Into<String>, detail: Value) -> NewEvent {
        NewEvent {
            user: None,
            token: None,
            action: action.to_owned(),
            subject: subject.into(),
            outcome: "done".to_owned(),
            detail,
            request: None,
        }
    }
}

/// Something that was done.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Its number; later ones have higher numbers.
    pub seq: i64,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// What.
    pub event: NewEvent,
}

impl Access {
    /// Records something that changes nothing here.
    ///
    /// # Errors
    /// The database fails, or the detail is too large.
    pub async fn record(&self, event: NewEvent) -> Result<(), RepositoryError> {
        let transaction = Transaction::write::<Table>(&self.database).await?;
        append(&transaction, event).await?;
        transaction.commit::<Table>().await
    }

    /// The last `limit` events whose number is lower than `before`, the newest first.
    ///
    /// # Errors
    /// The database fails, or a row is damaged.
    pub async fn events(&self, before: Option<i64>, limit: usize) -> Result<Vec<Event>, RepositoryError> {
        let Some(transaction) = Transaction::read::<Table>(&self.database).await? else {
            return Ok(Vec::new());
        };
        let sql = select::<Table>(&transaction.tx)
            .text(" WHERE \"seq\" < ")
            .value(before.unwrap_or(i64::MAX))
            .page("\"seq\" DESC", limit as u64);
        let rows = transaction.reading::<Table, _>(sql.rows::<Table>(&transaction.tx).await)?;
        rows.into_iter().map(|row| event(&self.database, row)).collect()
    }

    /// Removes up to `limit` events from before a time, the oldest first, and returns how many. The last of all stays,
    /// because the next one gets the number after it.
    ///
    /// # Errors
    /// The database fails.
    pub async fn remove_events(&self, before_ms: i64, limit: usize) -> Result<u64, RepositoryError> {
        let Some(look) = Transaction::read::<Table>(&self.database).await? else { return Ok(0) };
        let mut old = Vec::new();
        let sql = Sql::new(&look.tx, "SELECT \"seq\" FROM \"audit\" WHERE \"at_ms\" < ")
            .value(before_ms)
            .text(" AND \"seq\" < (SELECT max(\"seq\") FROM \"audit\")")
            .page("\"at_ms\"", limit as u64);
        let found = sql.query(&look.tx, |columns| {
            old.push(columns.next::<i64>()?.into());
            Ok(())
        });
        let found = found.await;
        look.reading::<Table, _>(found)?;
        drop(look);
        if old.is_empty() {
            return Ok(0);
        }
        let transaction = Transaction::write::<Table>(&self.database).await?;
        let deleted = delete_in::<Table>(&transaction.tx, audit::Column::Seq, old).await;
        let deleted = transaction.changing::<Table, _>(deleted)?;
        transaction.commit::<Table>().await?;
        Ok(deleted)
    }
}

/// Adds an event to a transaction. There is one writer at a time, so numbers have no gaps.
pub(super) async fn append(transaction: &Transaction<'_>, event: NewEvent) -> Result<(), RepositoryError> {
    let mut seq = 1;
    let last = Sql::new(&transaction.tx, "SELECT coalesce(max(\"seq\"), 0) FROM \"audit\"");
    let found = last.query(&transaction.tx, |columns| {
        seq = columns.next::<i64>()? + 1;
        Ok(())
    });
    let found = found.await;
    transaction.reading::<Table, _>(found)?;
    let short =
        |text: &str| text.chars().filter(|c| !c.is_control()).take(LONGEST_SUBJECT).collect::<String>();
    let row = audit::Model {
        seq,
        at_ms: now_ms(),
        user_id: event.user,
        token_id: event.token.map(|id| id.to_string()),
        subject: short(&event.subject),
        detail: to_json(&event.detail, &event.action)?,
        action: event.action,
        outcome: event.outcome,
        request: event.request.as_deref().map(short),
    };
    let inserted = insert::<Table>(&transaction.tx, [row], Existing::Refuse).await;
    transaction.changing::<Table, _>(inserted)
}

fn event(database: &Database, row: audit::Model) -> Result<Event, RepositoryError> {
    let detail = serde_json::from_str(&row.detail)
        .map_err(|error| damaged_row::<Table>(database, &row.seq.to_string(), &error))?;
    let token = row.token_id.as_deref().map(|id| parse_id::<Table>(database, id)).transpose()?;
    let event = NewEvent {
        user: row.user_id,
        token,
        action: row.action,
        subject: row.subject,
        outcome: row.outcome,
        detail,
        request: row.request,
    };
    Ok(Event { seq: row.seq, at_ms: row.at_ms, event })
}
