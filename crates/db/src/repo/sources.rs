//! Sources that are read in place, and where they are mounted.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;
use sheaf_model::CatalogId;

use super::{LONGEST_CATALOG_ID, Transaction, check_catalog, damaged_row, to_json};
use crate::Database;
use crate::entity::sources;
use crate::error::RepositoryError;
use crate::table::{Existing, delete_in, insert, select, select_in};

/// A source that is read in place.
#[derive(Clone, PartialEq)]
pub struct Source {
    /// The catalog that it provides, with all catalogs below.
    pub mount: CatalogId,
    /// What kind of source it is: what knows how to read it.
    pub kind: String,
    /// What that needs to know.
    pub configuration: Value,
    /// Since when it is here, in milliseconds since 1970.
    pub created_at_ms: i64,
}

/// Without the configuration, which may hold a password.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("mount", &self.mount)
            .field("kind", &self.kind)
            .field("created_at_ms", &self.created_at_ms)
            .finish_non_exhaustive()
    }
}

/// The sources that are read in place. They may be mounted below each other: the nearest one above a catalog provides it.
#[derive(Clone, Debug)]
pub struct Sources {
    database: Database,
}

/// The longest kind, in bytes.
const LONGEST_KIND: usize = 255;

type Table = sources::Entity;

impl Sources {
    pub(crate) fn new(database: Database) -> Sources {
        Sources { database }
    }

    /// Adds a source.
    ///
    /// # Errors
    /// Another one is mounted there, it can't be kept, or the database fails.
    pub async fn add(
        &self,
        mount: CatalogId,
        kind: String,
        configuration: Value,
    ) -> Result<Source, RepositoryError> {
        check_catalog(&mount, mount.as_str())?;
        if kind.is_empty() || kind.len() > LONGEST_KIND || kind.contains('\0') {
            let problem = format!(
                "the kind of a source has 1 to {LONGEST_KIND} bytes and no zero character; this one has {}",
                kind.len()
            );
            return Err(RepositoryError::Invalid { name: mount.to_string(), problem });
        }
        let json = to_json(&configuration, mount.as_str())?;
        let transaction = Transaction::write::<Table>(&self.database).await?;
        let there = select_in::<Table>(&transaction.tx, sources::Column::Mount, vec![mount.as_str().into()]);
        if let Some(there) = transaction.reading::<Table, _>(there.await)?.pop() {
            return Err(RepositoryError::Mounted { mount, kind: there.kind });
        }
        let created_at_ms =
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
        let row = sources::Model {
            mount: mount.to_string(),
            kind: kind.clone(),
            configuration: json,
            created_at_ms,
        };
        let inserted = insert::<Table>(&transaction.tx, [row], Existing::Refuse).await;
        transaction.changing::<Table, _>(inserted)?;
        transaction.commit::<Table>().await?;
        Ok(Source { mount, kind, configuration, created_at_ms })
    }

    /// The first `limit` sources mounted behind `after`, by mount, byte by byte.
    ///
    /// # Errors
    /// The database fails, or a row is damaged.
    pub async fn list(
        &self,
        after: Option<&CatalogId>,
        limit: usize,
    ) -> Result<Vec<Source>, RepositoryError> {
        let Some(transaction) = Transaction::read::<Table>(&self.database).await? else {
            return Ok(Vec::new());
        };
        let sql = select::<Table>(&transaction.tx)
            .text(" WHERE \"mount\" > ")
            .value(after.map_or("", CatalogId::as_str))
            .page("\"mount\"", limit as u64);
        let rows = transaction.reading::<Table, _>(sql.rows::<Table>(&transaction.tx).await)?;
        rows.into_iter().map(|row| self.source(row)).collect()
    }

    /// The source that provides a catalog: of those mounted there or above, the nearest.
    ///
    /// # Errors
    /// The database fails, or the row is damaged.
    pub async fn find(&self, catalog: &CatalogId) -> Result<Option<Source>, RepositoryError> {
        let Some(transaction) = Transaction::read::<Table>(&self.database).await? else { return Ok(None) };
        let mounts = std::iter::successors(Some(catalog.clone()), CatalogId::parent)
            .filter(|mount| mount.as_str().len() <= LONGEST_CATALOG_ID)
            .map(|mount| mount.as_str().into())
            .collect();
        let rows = select_in::<Table>(&transaction.tx, sources::Column::Mount, mounts).await;
        let rows = transaction.reading::<Table, _>(rows)?;
        rows.into_iter().max_by_key(|row| row.mount.len()).map(|row| self.source(row)).transpose()
    }

    /// Removes the source that is mounted there; returns whether there was one. Works on a damaged row, too.
    ///
    /// # Errors
    /// The database fails.
    pub async fn remove(&self, mount: &CatalogId) -> Result<bool, RepositoryError> {
        let transaction = Transaction::write::<Table>(&self.database).await?;
        let removed =
            delete_in::<Table>(&transaction.tx, sources::Column::Mount, vec![mount.as_str().into()]);
        let removed = transaction.changing::<Table, _>(removed.await)?;
        transaction.commit::<Table>().await?;
        Ok(removed > 0)
    }

    fn source(&self, row: sources::Model) -> Result<Source, RepositoryError> {
        let damaged = |problem: String| damaged_row::<Table>(&self.database, &row.mount, &problem);
        let mount = row.mount.parse().map_err(|error: sheaf_model::IdError| damaged(error.to_string()))?;
        let configuration = serde_json::from_str(&row.configuration)
            .map_err(|error| damaged(format!("its configuration is no JSON: {error}")))?;
        Ok(Source { mount, kind: row.kind, configuration, created_at_ms: row.created_at_ms })
    }
}
