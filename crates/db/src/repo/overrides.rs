//! What people say of catalogs, over what sources say: whom to ask, which groups it belongs to, other properties.

use std::collections::HashMap;

use serde_json::Value;
use sheaf_model::CatalogId;

use super::{Transaction, check_catalog, damaged_row, to_json};
use crate::Database;
use crate::entity::overrides;
use crate::error::RepositoryError;
use crate::table::{Existing, delete_in, insert, select, select_in};

/// What people say of a catalog.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CatalogOverrides {
    /// Whom to ask.
    pub contact: Option<String>,
    /// The groups that it belongs to: claims on a group hold for all catalogs in it.
    pub groups: Option<Vec<String>>,
    /// A catalog, as JSON, that is merged over what sources say.
    pub overrides: Option<Value>,
}

impl CatalogOverrides {
    fn is_empty(&self) -> bool {
        *self == CatalogOverrides::default()
    }
}

/// What people say of catalogs.
#[derive(Clone, Debug)]
pub struct Overrides {
    database: Database,
}

/// The longest contact, in bytes.
const LONGEST_CONTACT: usize = 4096;

type Table = overrides::Entity;

impl Overrides {
    pub(crate) fn new(database: Database) -> Overrides {
        Overrides { database }
    }

    /// What is said of a catalog; nothing if there is no row.
    ///
    /// # Errors
    /// The database fails, or the row is damaged.
    pub async fn get(&self, catalog: &CatalogId) -> Result<CatalogOverrides, RepositoryError> {
        Ok(self.of(std::slice::from_ref(catalog)).await?.pop().unwrap_or_default())
    }

    /// What is said of catalogs, one answer for each.
    ///
    /// # Errors
    /// The database fails, or a row is damaged.
    pub async fn of(&self, wanted: &[CatalogId]) -> Result<Vec<CatalogOverrides>, RepositoryError> {
        let Some(transaction) = Transaction::read::<Table>(&self.database).await? else {
            return Ok(vec![CatalogOverrides::default(); wanted.len()]);
        };
        let ids = wanted.iter().map(|id| id.as_str().into()).collect();
        let rows = select_in::<Table>(&transaction.tx, overrides::Column::Catalog, ids).await;
        let rows = transaction.reading::<Table, _>(rows)?.into_iter();
        let found: HashMap<_, _> = rows.map(|row| self.parse(row)).collect::<Result<_, _>>()?;
        Ok(wanted.iter().map(|id| found.get(id).cloned().unwrap_or_default()).collect())
    }

    /// The first `limit` catalogs behind `after` of which something is said, by id, byte by byte.
    ///
    /// # Errors
    /// The database fails, or a row is damaged.
    pub async fn list(
        &self,
        after: Option<&CatalogId>,
        limit: usize,
    ) -> Result<Vec<(CatalogId, CatalogOverrides)>, RepositoryError> {
        let Some(transaction) = Transaction::read::<Table>(&self.database).await? else {
            return Ok(Vec::new());
        };
        let sql = select::<Table>(&transaction.tx)
            .text(" WHERE \"catalog\" > ")
            .value(after.map_or("", CatalogId::as_str))
            .page("\"catalog\"", limit as u64);
        let rows = transaction.reading::<Table, _>(sql.rows::<Table>(&transaction.tx).await)?;
        rows.into_iter().map(|row| self.parse(row)).collect()
    }

    /// Replaces what is said of a catalog.
    ///
    /// # Errors
    /// It can't be kept, or the database fails.
    pub async fn set(&self, catalog: &CatalogId, new: &CatalogOverrides) -> Result<(), RepositoryError> {
        let name = catalog.as_str();
        check_catalog(catalog, name)?;
        if let Some(len) = new.contact.as_ref().map(String::len).filter(|&len| len > LONGEST_CONTACT) {
            let problem = format!("a contact has at most {LONGEST_CONTACT} bytes, this one has {len}");
            return Err(RepositoryError::Invalid { name: name.to_owned(), problem });
        }
        let row = overrides::Model {
            catalog: name.to_owned(),
            contact: new.contact.clone(),
            groups: new.groups.as_ref().map(|groups| to_json(groups, name)).transpose()?,
            overrides: new.overrides.as_ref().map(|overrides| to_json(overrides, name)).transpose()?,
        };
        let transaction = Transaction::write::<Table>(&self.database).await?;
        if new.is_empty() {
            let column = overrides::Column::Catalog;
            let deleted = delete_in::<Table>(&transaction.tx, column, vec![name.into()]).await;
            transaction.changing::<Table, _>(deleted)?;
        } else {
            let inserted = insert::<Table>(&transaction.tx, [row], Existing::Replace).await;
            transaction.changing::<Table, _>(inserted)?;
        }
        transaction.commit_counted::<Table>().await
    }

    fn parse(&self, row: overrides::Model) -> Result<(CatalogId, CatalogOverrides), RepositoryError> {
        let damaged = |problem: String| damaged_row::<Table>(&self.database, &row.catalog, &problem);
        let catalog =
            row.catalog.parse().map_err(|error: sheaf_model::IdError| damaged(error.to_string()))?;
        let groups = row.groups.as_deref().map(serde_json::from_str).transpose();
        let overrides = row.overrides.as_deref().map(serde_json::from_str).transpose();
        let found = CatalogOverrides {
            contact: row.contact.clone(),
            groups: groups.map_err(|error| damaged(format!("its groups are no list of texts: {error}")))?,
            overrides: overrides.map_err(|error| damaged(format!("its overrides are no JSON: {error}")))?,
        };
        Ok((catalog, found))
    }
}
