//! Users, and what they may do.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::super::{Transaction, now_ms};
use super::{
    Access, Change, Claims, Grant, LONGEST_NAME, Licenses, NewEvent, Users, check_grants, check_text,
    of_user, one, page, parse_id,
};
use crate::entity::{claims, sessions, tokens, users};
use crate::error::RepositoryError;
use crate::table::Existing;

/// A user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// What everything that belongs to the user refers to.
    pub id: String,
    /// For people to read.
    pub name: String,
    /// The provider that signs the user in; `None` for those who are known here only.
    pub scheme: Option<String>,
    /// Whether the user can sign in with a password.
    pub has_password: bool,
    /// Since when the user is known, in milliseconds since 1970.
    pub created_at_ms: i64,
}

/// A user who is not known yet.
#[derive(Clone)]
pub struct NewUser {
    /// What everything that belongs to the user refers to.
    pub id: String,
    /// For people to read.
    pub name: String,
    /// The provider that signs the user in.
    pub scheme: Option<String>,
    /// The hash of the password, as text with its parameters.
    pub password_hash: Option<String>,
}

/// Something that a user may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Its id.
    pub id: Uuid,
    /// The user.
    pub user: String,
    /// What.
    pub grant: Grant,
}

impl Access {
    /// Adds a user who may do these things.
    ///
    /// # Errors
    /// There is one with that id, it can't be kept, or the database fails.
    pub async fn add_user(
        &self,
        user: NewUser,
        grants: &[Grant],
        event: NewEvent,
    ) -> Result<User, RepositoryError> {
        check(&user, grants)?;
        let change = self.write().await?;
        if with_id(&change.transaction, &user.id).await?.is_some() {
            let problem = "there is a user with that id already; take another one".to_owned();
            return Err(RepositoryError::Invalid { name: user.id, problem });
        }
        let user = change.add_user(user, grants).await?;
        change.commit(event).await?;
        Ok(user)
    }

    /// The user with that id and name, who is added if there is none, and named anew otherwise.
    ///
    /// # Errors
    /// It can't be kept, another provider's user has that id, or the database fails.
    pub async fn known_user(&self, user: NewUser, event: NewEvent) -> Result<User, RepositoryError> {
        check(&user, &[])?;
        let change = self.write().await?;
        let Some(there) = one::<Users>(&change.transaction, users::Column::Id, user.id.as_str()).await?
        else {
            let user = change.add_user(user, &[]).await?;
            change.commit(event).await?;
            return Ok(user);
        };
        if there.scheme != user.scheme {
            let problem = "there is a user with that id who signs in in another way".to_owned();
            return Err(RepositoryError::Invalid { name: user.id, problem });
        }
        if there.name == user.name {
            return Ok(from(there));
        }
        let named = users::Model { name: user.name, ..there };
        change.put::<Users>([named.clone()], Existing::Replace).await?;
        change.commit(NewEvent { action: "user.rename".to_owned(), ..event }).await?;
        Ok(from(named))
    }

    /// The user with that id.
    ///
    /// # Errors
    /// The database fails.
    pub async fn user(&self, id: &str) -> Result<Option<User>, RepositoryError> {
        match Transaction::read::<Users>(&self.database).await? {
            Some(transaction) => with_id(&transaction, id).await,
            None => Ok(None),
        }
    }

    /// The user with that id, and the hash of his password.
    ///
    /// # Errors
    /// The database fails.
    pub async fn password_hash(&self, id: &str) -> Result<Option<String>, RepositoryError> {
        let Some(transaction) = Transaction::read::<Users>(&self.database).await? else { return Ok(None) };
        let row = one::<Users>(&transaction, users::Column::Id, id).await?;
        Ok(row.and_then(|row| row.password_hash))
    }

    /// The first `limit` users behind `after`, by id, byte by byte.
    ///
    /// # Errors
    /// The database fails.
    pub async fn users(&self, after: Option<&str>, limit: usize) -> Result<Vec<User>, RepositoryError> {
        let Some(transaction) = Transaction::read::<Users>(&self.database).await? else {
            return Ok(Vec::new());
        };
        let rows = page::<Users>(&transaction, "id", after.unwrap_or_default(), limit).await?;
        Ok(rows.into_iter().map(from).collect())
    }

    /// Gives a user another password, or none. All sessions of the user end. Returns whether there is such a user.
    ///
    /// # Errors
    /// The database fails.
    pub async fn set_password(
        &self,
        id: &str,
        hash: Option<String>,
        event: NewEvent,
    ) -> Result<bool, RepositoryError> {
        let change = self.write().await?;
        let Some(row) = one::<Users>(&change.transaction, users::Column::Id, id).await? else {
            return Ok(false);
        };
        let row = users::Model { password_hash: hash, ..row };
        change.put::<Users>([row], Existing::Replace).await?;
        change.remove::<sessions::Entity>(OF_USER, id).await?;
        change.commit(event).await?;
        Ok(true)
    }

    /// Removes a user with all claims, tokens and sessions. Returns whether there was one.
    ///
    /// # Errors
    /// The database fails.
    pub async fn remove_user(&self, id: &str, event: NewEvent) -> Result<bool, RepositoryError> {
        let change = self.write().await?;
        if change.remove::<Users>(" WHERE \"id\" = ", id).await? == 0 {
            return Ok(false);
        }
        change.remove::<Claims>(OF_USER, id).await?;
        change.remove::<tokens::Entity>(OF_USER, id).await?;
        change.remove::<sessions::Entity>(OF_USER, id).await?;
        change.remove::<Licenses>(OF_USER, id).await?;
        change.commit(event).await?;
        Ok(true)
    }

    /// What a user may do, by type and value.
    ///
    /// # Errors
    /// The database fails, or a row is damaged.
    pub async fn claims_of(&self, user: &str) -> Result<Vec<Claim>, RepositoryError> {
        match Transaction::read::<Claims>(&self.database).await? {
            Some(transaction) => claims_of(&transaction, user).await,
            None => Ok(Vec::new()),
        }
    }

    /// Lets a user do something. Who may do it already keeps the claim there is. `None` if there is no such user.
    ///
    /// # Errors
    /// It can't be kept, or the database fails.
    pub async fn add_claim(
        &self,
        user: &str,
        grant: Grant,
        event: NewEvent,
    ) -> Result<Option<Claim>, RepositoryError> {
        check_grants([&grant])?;
        let change = self.write().await?;
        if with_id(&change.transaction, user).await?.is_none() {
            return Ok(None);
        }
        let there = claims_of(&change.transaction, user).await?;
        if let Some(claim) = there.into_iter().find(|claim| claim.grant == grant) {
            return Ok(Some(claim));
        }
        let claim = change.add_grants(user, [grant]).await?.pop();
        change.commit(event).await?;
        Ok(claim)
    }

    /// Takes a claim from whoever has it, and returns it.
    ///
    /// # Errors
    /// The database fails.
    pub async fn remove_claim(&self, id: Uuid, event: NewEvent) -> Result<Option<Claim>, RepositoryError> {
        let change = self.write().await?;
        let Some(row) = one::<Claims>(&change.transaction, claims::Column::Id, id.to_string()).await? else {
            return Ok(None);
        };
        change.remove::<Claims>(" WHERE \"id\" = ", id.to_string()).await?;
        change.commit(event).await?;
        Ok(Some(Claim { id, user: row.user_id, grant: Grant::new(row.kind, row.value) }))
    }
}

const OF_USER: &str = " WHERE \"user_id\" = ";

impl Change<'_> {
    pub(super) async fn add_user(&self, user: NewUser, grants: &[Grant]) -> Result<User, RepositoryError> {
        let row = users::Model {
            id: user.id,
            name: user.name,
            scheme: user.scheme,
            password_hash: user.password_hash,
            created_at_ms: now_ms(),
        };
        self.put::<Users>([row.clone()], Existing::Refuse).await?;
        self.add_grants(&row.id, grants.iter().cloned().collect::<BTreeSet<_>>()).await?;
        Ok(from(row))
    }

    /// Adds claims that the user does not have.
    pub(super) async fn add_grants(
        &self,
        user: &str,
        grants: impl IntoIterator<Item = Grant>,
    ) -> Result<Vec<Claim>, RepositoryError> {
        let new = |grant| Claim { id: Uuid::new_v4(), user: user.to_owned(), grant };
        let added: Vec<Claim> = grants.into_iter().map(new).collect();
        let rows: Vec<claims::Model> = added
            .iter()
            .cloned()
            .map(|claim| claims::Model {
                id: claim.id.to_string(),
                user_id: claim.user,
                kind: claim.grant.kind,
                value: claim.grant.value,
            })
            .collect();
        self.put::<Claims>(rows, Existing::Refuse).await?;
        Ok(added)
    }
}

pub(super) fn check(user: &NewUser, grants: &[Grant]) -> Result<(), RepositoryError> {
    check_text("the id of a user", &user.id, LONGEST_NAME)?;
    check_text("the name of a user", &user.name, LONGEST_NAME)?;
    check_grants(grants)
}

pub(super) async fn with_id(
    transaction: &Transaction<'_>,
    id: &str,
) -> Result<Option<User>, RepositoryError> {
    Ok(one::<Users>(transaction, users::Column::Id, id).await?.map(from))
}

pub(super) async fn claims_of(
    transaction: &Transaction<'_>,
    user: &str,
) -> Result<Vec<Claim>, RepositoryError> {
    let rows = of_user::<Claims>(transaction, user, "\"kind\", \"value\"").await?;
    rows.into_iter()
        .map(|row| {
            let id = parse_id::<Claims>(transaction.database, &row.id)?;
            Ok(Claim { id, user: row.user_id, grant: Grant::new(row.kind, row.value) })
        })
        .collect()
}

fn from(row: users::Model) -> User {
    User {
        id: row.id,
        name: row.name,
        scheme: row.scheme,
        has_password: row.password_hash.is_some(),
        created_at_ms: row.created_at_ms,
    }
}
