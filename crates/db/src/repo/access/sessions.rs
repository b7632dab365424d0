//! Browsers that have signed in, and those that are about to, by way of a provider.

use uuid::Uuid;

use super::super::{Transaction, now_ms};
use super::{Access, LONGEST_NAME, NewEvent, SecretDigest, of_user, one, parse_id, users};
use crate::Database;
use crate::entity::{logins, sessions};
use crate::error::RepositoryError;
use crate::table::{Existing, delete, insert};

type Table = sessions::Entity;

/// A browser that has signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its id.
    pub id: Uuid,
    /// The user.
    pub user: String,
    /// What the browser calls itself.
    pub agent: String,
    /// Since when, in milliseconds since 1970.
    pub created_at_ms: i64,
    /// From when on the user must sign in again.
    pub expires_at_ms: i64,
}

/// A browser that signs in.
#[derive(Clone)]
pub struct NewSession {
    /// The user.
    pub user: String,
    /// The digest of the secret in its cookie.
    pub secret: SecretDigest,
    /// What the browser calls itself.
    pub agent: String,
    /// From when on the user must sign in again.
    pub expires_at_ms: i64,
}

/// A sign-in that a provider has not answered yet.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The digest of what the provider gives back with its answer.
    pub state: SecretDigest,
    /// The provider.
    pub scheme: String,
    /// What the provider's answer must contain.
    pub nonce: String,
    /// What proves to the provider that the answer is fetched by whoever asked (PKCE).
    pub verifier: String,
    /// Where the browser goes then.
    pub return_url: String,
    /// From when on it is too late.
    pub expires_at_ms: i64,
}

impl Access {
    /// Adds a session, and forgets those that have expired; `None` if there is no such user.
    ///
    /// # Errors
    /// The database fails.
    pub async fn add_session(
        &self,
        session: NewSession,
        event: NewEvent,
    ) -> Result<Option<Session>, RepositoryError> {
        let change = self.write().await?;
        if users::with_id(&change.transaction, &session.user).await?.is_none() {
            return Ok(None);
        }
        let now = now_ms();
        change.remove::<Table>(" WHERE \"expires_at_ms\" <= ", now).await?;
        let printable = session.agent.chars().filter(|c| !c.is_control());
        let row = sessions::Model {
            id: Uuid::new_v4().to_string(),
            user_id: session.user,
            secret: session.secret.to_vec(),
            agent: printable.take(LONGEST_NAME).collect(),
            created_at_ms: now,
            expires_at_ms: session.expires_at_ms,
        };
        change.put::<Table>([row.clone()], Existing::Refuse).await?;
        let session = from(&self.database, row)?;
        change.commit(event).await?;
        Ok(Some(session))
    }

    /// The sessions of a user, the oldest first, without those that have expired.
    ///
    /// # Errors
    /// The database fails, or a row is damaged.
    pub async fn sessions_of(&self, user: &str) -> Result<Vec<Session>, RepositoryError> {
        let Some(transaction) = Transaction::read::<Table>(&self.database).await? else {
            return Ok(Vec::new());
        };
        let rows = of_user::<Table>(&transaction, user, "\"created_at_ms\", \"id\"").await?;
        let now = now_ms();
        let rows = rows.into_iter().filter(|row| row.expires_at_ms > now);
        rows.map(|row| from(&self.database, row)).collect()
    }

    /// Ends a session of a user; returns whether there was one.
    ///
    /// # Errors
    /// The database fails.
    pub async fn remove_session(
        &self,
        id: Uuid,
        user: &str,
        event: NewEvent,
    ) -> Result<bool, RepositoryError> {
        let change = self.write().await?;
        let row = one::<Table>(&change.transaction, sessions::Column::Id, id.to_string()).await?;
        if row.is_none_or(|row| row.user_id != user) {
            return Ok(false);
        }
        change.remove::<Table>(" WHERE \"id\" = ", id.to_string()).await?;
        change.commit(event).await?;
        Ok(true)
    }

    /// Keeps a sign-in until the provider answers, and forgets those that it is too late for.
    ///
    /// # Errors
    /// The database fails.
    pub async fn add_login(&self, login: Login) -> Result<(), RepositoryError> {
        type Logins = logins::Entity;
        let transaction = Transaction::write::<Logins>(&self.database).await?;
        let old = delete::<Logins>(&transaction.tx).text(" WHERE \"expires_at_ms\" <= ").value(now_ms());
        let removed = old.execute(&transaction.tx).await;
        transaction.changing::<Logins, _>(removed)?;
        let row = logins::Model {
            state: login.state.to_vec(),
            scheme: login.scheme,
            nonce: login.nonce,
            verifier: login.verifier,
            return_url: login.return_url,
            expires_at_ms: login.expires_at_ms,
        };
        let inserted = insert::<Logins>(&transaction.tx, [row], Existing::Refuse).await;
        transaction.changing::<Logins, _>(inserted)?;
        transaction.commit::<Logins>().await
    }

    /// Takes the sign-in that a provider answers; each can be taken once.
    ///
    /// # Errors
    /// The database fails.
    pub async fn take_login(&self, state: &SecretDigest) -> Result<Option<Login>, RepositoryError> {
        type Logins = logins::Entity;
        let transaction = Transaction::write::<Logins>(&self.database).await?;
        let Some(row) = one::<Logins>(&transaction, logins::Column::State, state.to_vec()).await? else {
            return Ok(None);
        };
        let taken = delete::<Logins>(&transaction.tx).text(" WHERE \"state\" = ").value(state.to_vec());
        let removed = taken.execute(&transaction.tx).await;
        transaction.changing::<Logins, _>(removed)?;
        transaction.commit::<Logins>().await?;
        let login = Login {
            state: *state,
            scheme: row.scheme,
            nonce: row.nonce,
            verifier: row.verifier,
            return_url: row.return_url,
            expires_at_ms: row.expires_at_ms,
        };
        Ok(Some(login).filter(|login| login.expires_at_ms > now_ms()))
    }
}

pub(super) async fn with_secret(
    transaction: &Transaction<'_>,
    secret: &SecretDigest,
) -> Result<Option<Session>, RepositoryError> {
    let row = one::<Table>(transaction, sessions::Column::Secret, secret.to_vec()).await?;
    row.map(|row| from(transaction.database, row)).transpose()
}

fn from(database: &Database, row: sessions::Model) -> Result<Session, RepositoryError> {
    Ok(Session {
        id: parse_id::<Table>(database, &row.id)?,
        user: row.user_id,
        agent: row.agent,
        created_at_ms: row.created_at_ms,
        expires_at_ms: row.expires_at_ms,
    })
}
