//! Licences that users have accepted. What is kept is the digest of the text: another text must be accepted again.

use sheaf_model::{CatalogId, IdError};

use super::super::{Transaction, check_catalog, damaged_row, now_ms};
use super::{Access, Licenses, NewEvent, SecretDigest, digest, of_user};
use crate::Database;
use crate::entity::license_acceptances::Model;
use crate::error::RepositoryError;
use crate::table::Existing;

/// A licence that a user has accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acceptance {
    /// The catalog that it is the licence of.
    pub catalog: CatalogId,
    /// The SHA-256 of its text.
    pub license: SecretDigest,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
}

impl Access {
    /// The licences that a user has accepted, by catalog.
    ///
    /// # Errors
    /// The database fails, or a row is damaged.
    pub async fn licenses_of(&self, user: &str) -> Result<Vec<Acceptance>, RepositoryError> {
        match Transaction::read::<Licenses>(&self.database).await? {
            Some(transaction) => of(&transaction, user).await,
            None => Ok(Vec::new()),
        }
    }

    /// Keeps that a user accepts the licence of a catalog. Twice is the same as once.
    ///
    /// # Errors
    /// The database fails.
    pub async fn accept_license(
        &self,
        user: &str,
        catalog: &CatalogId,
        license: SecretDigest,
        event: NewEvent,
    ) -> Result<(), RepositoryError> {
        check_catalog(catalog, catalog.as_str())?;
        let change = self.write().await?;
        let accepted = of(&change.transaction, user).await?;
        if accepted.iter().any(|there| there.catalog == *catalog && there.license == license) {
            return Ok(());
        }
        let row = Model {
            user_id: user.to_owned(),
            catalog: catalog.to_string(),
            license: license.to_vec(),
            at_ms: now_ms(),
        };
        change.put::<Licenses>([row], Existing::Refuse).await?;
        change.commit(event).await
    }
}

pub(super) async fn of(
    transaction: &Transaction<'_>,
    user: &str,
) -> Result<Vec<Acceptance>, RepositoryError> {
    let rows = of_user::<Licenses>(transaction, user, "\"catalog\", \"at_ms\"").await?;
    rows.into_iter().map(|row| acceptance(transaction.database, row)).collect()
}

fn acceptance(database: &Database, row: Model) -> Result<Acceptance, RepositoryError> {
    let name = format!("{} {}", row.user_id, row.catalog);
    let damaged = |error: IdError| damaged_row::<Licenses>(database, &name, &error);
    let catalog = row.catalog.parse().map_err(damaged)?;
    Ok(Acceptance { catalog, license: digest::<Licenses>(database, &name, row.license)?, at_ms: row.at_ms })
}
