//! Tokens: secrets that programs sign in with. What is kept is a digest.

use uuid::Uuid;

use super::super::{Transaction, damaged_row, now_ms, to_json};
use super::{
    Access, Change, Grant, LONGEST_NAME, NewEvent, NewUser, SecretDigest, check_grants, check_text, of_user,
    one, page, parse_id, users,
};
use crate::Database;
use crate::entity::tokens;
use crate::error::RepositoryError;
use crate::table::{Existing, Sql};

type Table = tokens::Entity;

/// A token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Its id.
    pub id: Uuid,
    /// The user who signs in with it.
    pub user: String,
    /// What it is for.
    pub name: String,
    /// Since when, in milliseconds since 1970.
    pub created_at_ms: i64,
    /// From when on it is worth nothing.
    pub expires_at_ms: Option<i64>,
    /// What it may be used for, of what the user may do.
    pub grants: Vec<Grant>,
}

/// A token that is not known yet.
#[derive(Clone)]
pub struct NewToken {
    /// The user who will sign in with it.
    pub user: String,
    /// What it is for.
    pub name: String,
    /// The digest of the secret.
    pub secret: SecretDigest,
    /// From when on it is worth nothing.
    pub expires_at_ms: Option<i64>,
    /// What it may be used for, of what the user may do.
    pub grants: Vec<Grant>,
}

impl Access {
    /// Adds a token; `None` if there is no such user.
    ///
    /// # Errors
    /// It can't be kept, or the database fails.
    pub async fn add_token(
        &self,
        token: NewToken,
        event: NewEvent,
    ) -> Result<Option<Token>, RepositoryError> {
        check(&token)?;
        let change = self.write().await?;
        if users::with_id(&change.transaction, &token.user).await?.is_none() {
            return Ok(None);
        }
        let token = change.add_token(token).await?;
        change.commit(event).await?;
        Ok(Some(token))
    }

    /// Adds a token for a user who exists for such tokens only: who is added if there is none, and may do what the token may.
    ///
    /// # Errors
    /// It can't be kept, or the database fails.
    pub async fn add_token_with_user(
        &self,
        token: NewToken,
        user: NewUser,
        event: NewEvent,
    ) -> Result<Token, RepositoryError> {
        check(&token)?;
        users::check(&user, &token.grants)?;
        let change = self.write().await?;
        let id = user.id.clone();
        if users::with_id(&change.transaction, &id).await?.is_none() {
            change.add_user(user, &token.grants).await?;
        } else {
            let has = users::claims_of(&change.transaction, &id).await?;
            let lacks = |grant: &&Grant| !has.iter().any(|claim| claim.grant == **grant);
            let more: Vec<Grant> = token.grants.iter().filter(lacks).cloned().collect();
            change.add_grants(&id, more).await?;
        }
        let token = change.add_token(NewToken { user: id, ..token }).await?;
        change.commit(event).await?;
        Ok(token)
    }

    /// As [`Access::add_token_with_user`], but only if there are neither users nor tokens.
    ///
    /// # Errors
    /// It can't be kept, or the database fails.
    pub async fn add_first_token(
        &self,
        token: NewToken,
        user: NewUser,
        event: NewEvent,
    ) -> Result<Option<Token>, RepositoryError> {
        check(&token)?;
        users::check(&user, &token.grants)?;
        let change = self.write().await?;
        let tx = &change.transaction.tx;
        let mut any = false;
        let sql = "SELECT (SELECT count(*) FROM \"users\") + (SELECT count(*) FROM \"tokens\")";
        let counted = Sql::new(tx, sql).query(tx, |columns| {
            any = columns.next::<i64>()? > 0;
            Ok(())
        });
        let counted = counted.await;
        change.transaction.reading::<Table, _>(counted)?;
        if any {
            return Ok(None);
        }
        let user = change.add_user(user, &token.grants).await?;
        let token = change.add_token(NewToken { user: user.id, ..token }).await?;
        change.commit(event).await?;
        Ok(Some(token))
    }

    /// The tokens of a user, the oldest first.
    ///
    /// # Errors
    /// The database fails, or a row is damaged.
    pub async fn tokens_of(&self, user: &str) -> Result<Vec<Token>, RepositoryError> {
        let Some(transaction) = Transaction::read::<Table>(&self.database).await? else {
            return Ok(Vec::new());
        };
        let rows = of_user::<Table>(&transaction, user, "\"created_at_ms\", \"id\"").await?;
        rows.into_iter().map(|row| from(&self.database, row)).collect()
    }

    /// The first `limit` tokens behind `after`, by id.
    ///
    /// # Errors
    /// The database fails, or a row is damaged.
    pub async fn tokens(&self, after: Option<Uuid>, limit: usize) -> Result<Vec<Token>, RepositoryError> {
        let Some(transaction) = Transaction::read::<Table>(&self.database).await? else {
            return Ok(Vec::new());
        };
        let after = after.map(|id| id.to_string()).unwrap_or_default();
        let rows = page::<Table>(&transaction, "id", &after, limit).await?;
        rows.into_iter().map(|row| from(&self.database, row)).collect()
    }

    /// Revokes a token, and returns it. With a user, only one of that user's.
    ///
    /// # Errors
    /// The database fails.
    pub async fn remove_token(
        &self,
        id: Uuid,
        user: Option<&str>,
        event: NewEvent,
    ) -> Result<Option<Token>, RepositoryError> {
        let change = self.write().await?;
        let row = one::<Table>(&change.transaction, tokens::Column::Id, id.to_string()).await?;
        change.remove_token(row.filter(|row| user.is_none_or(|user| row.user_id == user)), event).await
    }

    /// Revokes the token with this secret, and returns it.
    ///
    /// # Errors
    /// The database fails.
    pub async fn remove_token_with_secret(
        &self,
        secret: &SecretDigest,
        event: NewEvent,
    ) -> Result<Option<Token>, RepositoryError> {
        let change = self.write().await?;
        let row = one::<Table>(&change.transaction, tokens::Column::Secret, secret.to_vec()).await?;
        let subject = row.as_ref().map(|row| row.id.clone()).unwrap_or_default();
        let user = row.as_ref().map(|row| row.user_id.clone());
        change.remove_token(row, NewEvent { subject, user: event.user.or(user), ..event }).await
    }
}

impl Change<'_> {
    async fn add_token(&self, token: NewToken) -> Result<Token, RepositoryError> {
        let row = tokens::Model {
            id: Uuid::new_v4().to_string(),
            user_id: token.user,
            name: token.name,
            secret: token.secret.to_vec(),
            created_at_ms: now_ms(),
            expires_at_ms: token.expires_at_ms,
            claims: to_json(&token.grants, "the claims of a token")?,
        };
        self.put::<Table>([row.clone()], Existing::Refuse).await?;
        from(self.transaction.database, row)
    }

    async fn remove_token(
        self,
        row: Option<tokens::Model>,
        event: NewEvent,
    ) -> Result<Option<Token>, RepositoryError> {
        let Some(row) = row else { return Ok(None) };
        self.remove::<Table>(" WHERE \"id\" = ", row.id.as_str()).await?;
        let token = from(self.transaction.database, row)?;
        self.commit(event).await?;
        Ok(Some(token))
    }
}

fn check(token: &NewToken) -> Result<(), RepositoryError> {
    check_text("the name of a token", &token.name, LONGEST_NAME)?;
    check_grants(&token.grants)
}

pub(super) async fn with_secret(
    transaction: &Transaction<'_>,
    secret: &SecretDigest,
) -> Result<Option<Token>, RepositoryError> {
    let row = one::<Table>(transaction, tokens::Column::Secret, secret.to_vec()).await?;
    row.map(|row| from(transaction.database, row)).transpose()
}

fn from(database: &Database, row: tokens::Model) -> Result<Token, RepositoryError> {
    let grants =
        serde_json::from_str(&row.claims).map_err(|error| damaged_row::<Table>(database, &row.id, &error))?;
    Ok(Token {
        id: parse_id::<Table>(database, &row.id)?,
        user: row.user_id,
        name: row.name,
        created_at_ms: row.created_at_ms,
        expires_at_ms: row.expires_at_ms,
        grants,
    })
}
