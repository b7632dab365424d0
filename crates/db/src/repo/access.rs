//! Who may do what: users and what they may, their tokens and sessions, the licences they accepted, and the record of all that
//! was done about it.
//!
//! Each change writes its event into the record in the same transaction, and makes the number of [`Access::state`] another
//! one: so whoever keeps answers in memory finds out about changes of other processes with one cheap read.

mod audit;
mod licenses;
mod sessions;
mod tokens;
mod users;

use std::sync::Arc;

use rand::RngExt;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Transaction, damaged_row};
use crate::Database;
use crate::coalesced::Coalesced;
use crate::entity::access_state;
use crate::error::RepositoryError;
use crate::table::{Existing, Sql, Table, insert, select, select_in};

pub use audit::{Event, NewEvent};
pub use licenses::Acceptance;
pub use sessions::{Login, NewSession, Session};
pub use tokens::{NewToken, Token};
pub use users::{Claim, NewUser, User};

/// The SHA-256 of a secret.
pub type SecretDigest = [u8; 32];

/// What somebody may do: the kind of right, and on what.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Grant {
    /// `CanReadCatalog`, `role`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// A pattern, or the name of a role.
    pub value: String,
}

impl Grant {
    /// A right of this kind.
    pub fn new(kind: impl Into<String>, value: impl Into<String>) -> Grant {
        Grant { kind: kind.into(), value: value.into() }
    }
}

/// What a secret stands for.
#[derive(Clone, Debug, PartialEq)]
pub enum Credential {
    /// A token, which programs send.
    Token(Token),
    /// A session, which browsers send.
    Session(Session),
    /// Nothing was shown: the user was looked up.
    None,
}

/// Whoever has a secret: the user, and all that decides what he may do.
#[derive(Clone, Debug, PartialEq)]
pub struct Holder {
    /// The user.
    pub user: User,
    /// What the user may do.
    pub claims: Vec<Claim>,
    /// The licences that the user has accepted.
    pub licenses: Vec<Acceptance>,
    /// What the secret is.
    pub credential: Credential,
}

/// Users, tokens, sessions, licences and the record.
#[derive(Clone, Debug)]
pub struct Access {
    database: Database,
    state: Arc<Coalesced<i64>>,
}

/// The longest id and name of a user or token, in bytes.
const LONGEST_NAME: usize = 255;

/// The longest pattern of a claim, in bytes.
const LONGEST_VALUE: usize = 1000;

/// The id of the one row of `access_state`.
const STATE: i64 = 1;

impl Access {
    pub(crate) fn new(database: Database) -> Access {
        Access { database, state: Arc::new(Coalesced::new()) }
    }

    /// A number that is another one after each change of users, claims, tokens, sessions and licences, by whatever process.
    /// One statement for all who ask at the same time.
    ///
    /// # Errors
    /// The database fails.
    pub async fn state(&self) -> Result<i64, RepositoryError> {
        self.state
            .get(async || {
                let sql = "SELECT \"nonce\" FROM \"access_state\" WHERE \"id\" = 1";
                let found = self.database.peek::<i64>("access_state", sql).await;
                let found = found
                    .map_err(|error| super::failed::<access_state::Entity>(&self.database, "read", &error))?;
                Ok(found.unwrap_or_default())
            })
            .await
    }

    /// Whoever has the token with this secret, and the state that this was true in.
    ///
    /// # Errors
    /// The database fails, or a row is damaged.
    pub async fn holder_of_token(
        &self,
        secret: &SecretDigest,
    ) -> Result<(i64, Option<Holder>), RepositoryError> {
        let Some(transaction) = Transaction::read::<access_state::Entity>(&self.database).await? else {
            return Ok((0, None));
        };
        let state = state_in(&transaction).await?;
        let Some(token) = tokens::with_secret(&transaction, secret).await? else { return Ok((state, None)) };
        let user = token.user.clone();
        Ok((state, holder(&transaction, &user, Credential::Token(token)).await?))
    }

    /// Whoever has the session with this secret, and the state that this was true in.
    ///
    /// # Errors
    /// The database fails, or a row is damaged.
    pub async fn holder_of_session(
        &self,
        secret: &SecretDigest,
    ) -> Result<(i64, Option<Holder>), RepositoryError> {
        let Some(transaction) = Transaction::read::<access_state::Entity>(&self.database).await? else {
            return Ok((0, None));
        };
        let state = state_in(&transaction).await?;
        let Some(session) = sessions::with_secret(&transaction, secret).await? else {
            return Ok((state, None));
        };
        let user = session.user.clone();
        Ok((state, holder(&transaction, &user, Credential::Session(session)).await?))
    }

    /// All that decides what a user may do, and the state that this was true in.
    ///
    /// # Errors
    /// The database fails, or a row is damaged.
    pub async fn holder_of_id(&self, user: &str) -> Result<(i64, Option<Holder>), RepositoryError> {
        let Some(transaction) = Transaction::read::<access_state::Entity>(&self.database).await? else {
            return Ok((0, None));
        };
        let state = state_in(&transaction).await?;
        Ok((state, holder(&transaction, user, Credential::None).await?))
    }

    async fn write(&self) -> Result<Change<'_>, RepositoryError> {
        Ok(Change { transaction: Transaction::write::<access_state::Entity>(&self.database).await? })
    }
}

async fn state_in(transaction: &Transaction<'_>) -> Result<i64, RepositoryError> {
    type Table = access_state::Entity;
    let rows = select::<Table>(&transaction.tx).rows::<Table>(&transaction.tx).await;
    let rows = transaction.reading::<Table, _>(rows)?;
    Ok(rows.first().map(|row| row.nonce).unwrap_or_default())
}

async fn holder(
    transaction: &Transaction<'_>,
    user: &str,
    credential: Credential,
) -> Result<Option<Holder>, RepositoryError> {
    let Some(user) = users::with_id(transaction, user).await? else { return Ok(None) };
    let claims = users::claims_of(transaction, &user.id).await?;
    let licenses = licenses::of(transaction, &user.id).await?;
    Ok(Some(Holder { user, claims, licenses, credential }))
}

/// A transaction that changes who may do what.
struct Change<'a> {
    transaction: Transaction<'a>,
}

impl Change<'_> {
    async fn put<E: Table>(
        &self,
        rows: impl IntoIterator<Item = E::Row> + Send,
        existing: Existing,
    ) -> Result<(), RepositoryError> {
        let rows: Vec<E::Row> = rows.into_iter().collect();
        let inserted = insert::<E>(&self.transaction.tx, rows, existing).await;
        self.transaction.changing::<E, _>(inserted)
    }

    /// Removes the rows that the condition holds for, which begins with ` WHERE `.
    async fn remove<E: Table>(
        &self,
        condition: &str,
        value: impl Into<sea_orm::Value>,
    ) -> Result<u64, RepositoryError> {
        let sql = crate::table::delete::<E>(&self.transaction.tx).text(condition).value(value);
        let removed = sql.execute(&self.transaction.tx).await;
        self.transaction.changing::<E, _>(removed)
    }

    /// Records what was done, tells all processes that something has changed, and ends.
    async fn commit(self, event: NewEvent) -> Result<(), RepositoryError> {
        let nonce: i64 = rand::rng().random();
        let told = Sql::new(&self.transaction.tx, "UPDATE \"access_state\" SET \"nonce\" = ")
            .value(nonce)
            .text(" WHERE \"id\" = ")
            .value(STATE)
            .execute(&self.transaction.tx)
            .await;
        self.transaction.changing::<access_state::Entity, _>(told)?;
        audit::append(&self.transaction, event).await?;
        self.transaction.commit::<access_state::Entity>().await
    }
}

/// Refuses texts that are empty, too long or not printable.
fn check_text(what: &str, text: &str, longest: usize) -> Result<(), RepositoryError> {
    if !text.is_empty() && text.len() <= longest && !text.chars().any(char::is_control) {
        return Ok(());
    }
    let problem = format!(
        "{what} has 1 to {longest} bytes and no control characters; this one has {} bytes",
        text.len()
    );
    Err(RepositoryError::Invalid { name: text.chars().take(60).collect(), problem })
}

fn check_grants<'a>(grants: impl IntoIterator<Item = &'a Grant>) -> Result<(), RepositoryError> {
    grants.into_iter().try_for_each(|grant| {
        check_text("the type of a claim", &grant.kind, LONGEST_NAME)?;
        check_text("the value of a claim", &grant.value, LONGEST_VALUE)
    })
}

fn parse_id<E: Table>(database: &Database, id: &str) -> Result<Uuid, RepositoryError> {
    id.parse().map_err(|error: uuid::Error| damaged_row::<E>(database, id, &error))
}

fn digest<E: Table>(database: &Database, row: &str, bytes: Vec<u8>) -> Result<[u8; 32], RepositoryError> {
    bytes.try_into().map_err(|bytes: Vec<u8>| {
        damaged_row::<E>(database, row, &format!("a digest has 32 bytes, this one {}", bytes.len()))
    })
}

/// The rows of a user, in the order of `order`.
async fn of_user<E: Table>(
    transaction: &Transaction<'_>,
    user: &str,
    order: &str,
) -> Result<Vec<E::Row>, RepositoryError> {
    let sql =
        select::<E>(&transaction.tx).text(" WHERE \"user_id\" = ").value(user).text(" ORDER BY ").text(order);
    transaction.reading::<E, _>(sql.rows::<E>(&transaction.tx).await)
}

/// The row with this value in a column that has each value once.
async fn one<E: Table>(
    transaction: &Transaction<'_>,
    column: E::Column,
    value: impl Into<sea_orm::Value>,
) -> Result<Option<E::Row>, RepositoryError> {
    let rows = select_in::<E>(&transaction.tx, column, vec![value.into()]).await;
    Ok(transaction.reading::<E, _>(rows)?.pop())
}

/// A page of a table, behind the row with the key `after`.
async fn page<E: Table>(
    transaction: &Transaction<'_>,
    key: &str,
    after: &str,
    limit: usize,
) -> Result<Vec<E::Row>, RepositoryError> {
    let sql = select::<E>(&transaction.tx).text(&format!(" WHERE \"{key}\" > ")).value(after);
    let sql = sql.page(&format!("\"{key}\""), limit as u64);
    transaction.reading::<E, _>(sql.rows::<E>(&transaction.tx).await)
}

type Users = crate::entity::users::Entity;
type Claims = crate::entity::claims::Entity;
type Licenses = crate::entity::license_acceptances::Entity;
