//! The files that belong to catalogs. Here is what is known of them; their bytes lie elsewhere.

use sheaf_model::{CatalogId, IdError};

use super::{Transaction, check_catalog, damaged_row, now_ms};
use crate::Database;
use crate::entity::attachments;
use crate::error::RepositoryError;
use crate::table::{Existing, delete_keys, insert, select, select_keys};

/// A file that belongs to a catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// The catalog.
    pub catalog: CatalogId,
    /// Its name there: a relative path.
    pub name: String,
    /// How long it is.
    pub bytes: u64,
    /// SHA-256 of its bytes, in hexadecimal digits.
    pub sha256: String,
    /// The file that its bytes lie in, which no other attachment has.
    pub file: String,
    /// Since when it is here, in milliseconds since 1970.
    pub created_at_ms: i64,
}

/// The files that belong to catalogs.
#[derive(Clone, Debug)]
pub struct Attachments {
    database: Database,
}

/// The longest name, in bytes: with a catalog id before it, what every database can index.
const LONGEST_NAME: usize = 512;

type Table = attachments::Entity;

impl Attachments {
    pub(crate) fn new(database: Database) -> Attachments {
        Attachments { database }
    }

    /// The first `limit` attachments of a catalog behind `after`, by name, byte by byte.
    ///
    /// # Errors
    /// The database fails, or a row is damaged.
    pub async fn of(
        &self,
        catalog: &CatalogId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Attachment>, RepositoryError> {
        let Some(transaction) = Transaction::read::<Table>(&self.database).await? else {
            return Ok(Vec::new());
        };
        let sql = select::<Table>(&transaction.tx)
            .text(" WHERE \"catalog\" = ")
            .value(catalog.as_str())
            .text(" AND \"name\" > ")
            .value(after.unwrap_or_default())
            .page("\"name\"", limit as u64);
        let rows = transaction.reading::<Table, _>(sql.rows::<Table>(&transaction.tx).await)?;
        rows.into_iter().map(|row| self.parse(row)).collect()
    }

    /// The attachments of all catalogs that have one of these names, in whatever case of ASCII letters; the names are in lower
    /// case.
    ///
    /// # Errors
    /// The database fails, or a row is damaged.
    pub async fn called(&self, names: &[&str]) -> Result<Vec<Attachment>, RepositoryError> {
        let Some(transaction) = Transaction::read::<Table>(&self.database).await? else {
            return Ok(Vec::new());
        };
        let mut rows = Vec::new();
        for &name in names {
            let sql = select::<Table>(&transaction.tx).text(" WHERE lower(\"name\") = ").value(name);
            rows.extend(transaction.reading::<Table, _>(sql.rows::<Table>(&transaction.tx).await)?);
        }
        rows.into_iter().map(|row| self.parse(row)).collect()
    }

    /// The first `limit` attachments of any catalog behind `after`, by catalog and name, byte by byte.
    ///
    /// # Errors
    /// The database fails, or a row is damaged.
    pub async fn list(
        &self,
        after: Option<(&CatalogId, &str)>,
        limit: usize,
    ) -> Result<Vec<Attachment>, RepositoryError> {
        let Some(transaction) = Transaction::read::<Table>(&self.database).await? else {
            return Ok(Vec::new());
        };
        let (catalog, name) = after.map_or(("", ""), |(catalog, name)| (catalog.as_str(), name));
        let sql = select::<Table>(&transaction.tx)
            .text(" WHERE (\"catalog\", \"name\") > (")
            .value(catalog)
            .text(", ")
            .value(name)
            .text(")")
            .page("\"catalog\", \"name\"", limit as u64);
        let rows = transaction.reading::<Table, _>(sql.rows::<Table>(&transaction.tx).await)?;
        rows.into_iter().map(|row| self.parse(row)).collect()
    }

    /// The attachment with this name.
    ///
    /// # Errors
    /// The database fails, or the row is damaged.
    pub async fn get(&self, catalog: &CatalogId, name: &str) -> Result<Option<Attachment>, RepositoryError> {
        // No name has a zero character, and not every database knows what it is.
        if name.contains('\0') {
            return Ok(None);
        }
        let Some(transaction) = Transaction::read::<Table>(&self.database).await? else { return Ok(None) };
        let key = vec![catalog.as_str().into(), name.into()];
        let rows = select_keys::<Table>(&transaction.tx, key).await;
        transaction.reading::<Table, _>(rows)?.pop().map(|row| self.parse(row)).transpose()
    }

    /// Puts an attachment in place of the one with its name; returns the file of that one. The time of it is now.
    ///
    /// # Errors
    /// It can't be kept, or the database fails.
    pub async fn put(&self, new: Attachment) -> Result<Option<String>, RepositoryError> {
        check_catalog(&new.catalog, &new.name)?;
        if new.name.is_empty() || new.name.len() > LONGEST_NAME || new.name.contains('\0') {
            let problem = format!(
                "the name of an attachment has 1 to {LONGEST_NAME} bytes and no zero character; this one has {}",
                new.name.len()
            );
            return Err(RepositoryError::Invalid { name: new.catalog.to_string(), problem });
        }
        let transaction = Transaction::write::<Table>(&self.database).await?;
        let key = vec![new.catalog.as_str().into(), new.name.as_str().into()];
        let before = select_keys::<Table>(&transaction.tx, key).await;
        let before = transaction.reading::<Table, _>(before)?.pop();
        let row = attachments::Model {
            catalog: new.catalog.to_string(),
            name: new.name,
            bytes: i64::try_from(new.bytes).unwrap_or(i64::MAX),
            sha256: new.sha256,
            file: new.file,
            created_at_ms: now_ms(),
        };
        let inserted = insert::<Table>(&transaction.tx, [row], Existing::Replace).await;
        transaction.changing::<Table, _>(inserted)?;
        transaction.commit_counted::<Table>().await?;
        Ok(before.map(|row| row.file))
    }

    /// Removes an attachment; returns the file of it, if there was one.
    ///
    /// # Errors
    /// The database fails.
    pub async fn remove(&self, catalog: &CatalogId, name: &str) -> Result<Option<String>, RepositoryError> {
        if name.contains('\0') {
            return Ok(None);
        }
        let transaction = Transaction::write::<Table>(&self.database).await?;
        let key = || vec![catalog.as_str().into(), name.into()];
        let before = select_keys::<Table>(&transaction.tx, key()).await;
        let Some(before) = transaction.reading::<Table, _>(before)?.pop() else { return Ok(None) };
        let removed = delete_keys::<Table>(&transaction.tx, key()).await;
        transaction.changing::<Table, _>(removed)?;
        transaction.commit_counted::<Table>().await?;
        Ok(Some(before.file))
    }

    fn parse(&self, row: attachments::Model) -> Result<Attachment, RepositoryError> {
        let name = || format!("{}/{}", row.catalog, row.name);
        let catalog = row.catalog.parse();
        let catalog =
            catalog.map_err(|error: IdError| damaged_row::<Table>(&self.database, &name(), &error))?;
        let bytes = u64::try_from(row.bytes)
            .map_err(|_| damaged_row::<Table>(&self.database, &name(), &"its length is negative"))?;
        let attachments::Model { name, sha256, file, created_at_ms, .. } = row;
        Ok(Attachment { catalog, name, bytes, sha256, file, created_at_ms })
    }
}
