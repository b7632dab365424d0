//! Repositories: what the database keeps beside the manifest, as plain structs. Their rows have no checksums: what is in
//! them decides about no sample.

mod access;
mod attachments;
pub mod datastore;
mod jobs;
mod metadata;
mod overrides;
mod pipelines;

use std::time::{SystemTime, UNIX_EPOCH};

use sea_orm::{DatabaseTransaction, DbErr};
use serde_json::Value;
use sheaf_model::CatalogId;
use tokio::sync::OwnedMutexGuard;

use crate::Database;
use crate::entity::generations;
use crate::error::RepositoryError;
use crate::table::{Sql, Table, table_name};

pub use access::{
    Acceptance, Access, Claim, Credential, Event, Grant, Holder, Login, NewEvent, NewSession, NewToken,
    NewUser, SecretDigest, Session, Token, User,
};
pub use attachments::{Attachment, Attachments};
pub use jobs::{Artifact, Beat, Ending, Hold, Job, JobState, Jobs, NewJob, Reservation};
pub use metadata::{CatalogMetadata, Metadata, ResourceMetadata};
pub use overrides::{CatalogOverrides, Overrides};
pub use pipelines::{Pipeline, Pipelines, Registration};

/// The longest catalog id in a row, in bytes: with a resource id behind it, what every database can index.
const LONGEST_CATALOG_ID: usize = 2000;

/// The longest JSON text in a row, in bytes. 1 MiB: a long readme, and a page of rows still fits into memory.
const LONGEST_JSON: usize = 1 << 20;

/// The name of what is counted in `generations`: changes of metadata, overrides, attachments and pipelines.
const CATALOGS: &str = "catalogs";

/// The same for changes of which traces belong to which projects.
const MAPPINGS: &str = "mappings";

impl Database {
    /// A number that grows with every change of metadata, overrides, attachments and pipelines, by any process. What was made
    /// of them is right as long as it is the same. One statement for all who ask at the same time.
    ///
    /// # Errors
    /// The database fails.
    pub async fn generation(&self) -> Result<i64, RepositoryError> {
        let read = async || {
            let sql = "SELECT \"value\" FROM \"generations\" WHERE \"name\" = 'catalogs'";
            let found = self.peek::<i64>(table_name::<generations::Entity>(), sql).await;
            let found = found.map_err(|error| failed::<generations::Entity>(self, "read", &error))?;
            Ok(found.unwrap_or_default())
        };
        self.last_generation().get(read).await
    }

    /// A number that grows with every change of which traces belong to which projects. Each of them changes
    /// [`Database::generation`], too.
    ///
    /// # Errors
    /// The database fails.
    pub async fn mapping_generation(&self) -> Result<i64, RepositoryError> {
        let sql = "SELECT \"value\" FROM \"generations\" WHERE \"name\" = 'mappings'";
        let found = self.peek::<i64>(table_name::<generations::Entity>(), sql).await;
        let found = found.map_err(|error| failed::<generations::Entity>(self, "read", &error))?;
        Ok(found.unwrap_or_default())
    }
}

/// A transaction of a repository. Its errors name the table of the entity they are asked for.
struct Transaction<'a> {
    /// Before `turn`: it is rolled back before the next writer of this process begins.
    tx: DatabaseTransaction,
    database: &'a Database,
    _turn: Option<OwnedMutexGuard<()>>,
}

impl<'a> Transaction<'a> {
    /// One that reads from `E`; `None` as long as the table is not there, which is then as good as empty.
    async fn read<E: Table>(database: &'a Database) -> Result<Option<Transaction<'a>>, RepositoryError> {
        Transaction::read_view::<E>(database, table_name::<E>()).await
    }

    /// One that reads from a view of `E`, likewise.
    async fn read_view<E: Table>(
        database: &'a Database,
        view: &str,
    ) -> Result<Option<Transaction<'a>>, RepositoryError> {
        let tx = database.begin_read_of(view).await;
        let tx = tx.map_err(|error| failed::<E>(database, "read", &error))?;
        Ok(tx.map(|tx| Transaction { tx, database, _turn: None }))
    }

    /// The one that writes.
    async fn write<E: Table>(database: &'a Database) -> Result<Transaction<'a>, RepositoryError> {
        let turn = database.turn().await;
        let tx = database.begin_write().await.map_err(|error| failed::<E>(database, "change", &error))?;
        Ok(Transaction { tx, database, _turn: Some(turn) })
    }

    fn reading<E: Table, T>(&self, result: Result<T, DbErr>) -> Result<T, RepositoryError> {
        result.map_err(|error| failed::<E>(self.database, "read", &error))
    }

    fn changing<E: Table, T>(&self, result: Result<T, DbErr>) -> Result<T, RepositoryError> {
        result.map_err(|error| failed::<E>(self.database, "change", &error))
    }

    /// Commits a change of what there is beside samples, and counts it, see [`Database::generation`].
    async fn commit_counted<E: Table>(self) -> Result<(), RepositoryError> {
        self.count(CATALOGS).await?;
        self.commit::<E>().await
    }

    /// The same of a change of which traces belong to which projects.
    async fn commit_mappings<E: Table>(self) -> Result<(), RepositoryError> {
        self.count(MAPPINGS).await?;
        self.commit_counted::<E>().await
    }

    async fn count(&self, what: &str) -> Result<(), RepositoryError> {
        let sql = Sql::new(&self.tx, "INSERT INTO \"generations\" (\"name\", \"value\") VALUES (")
            .value(what)
            .text(", 1) ON CONFLICT (\"name\") DO UPDATE SET \"value\" = \"generations\".\"value\" + 1");
        let counted = sql.execute(&self.tx).await;
        self.changing::<generations::Entity, _>(counted)?;
        Ok(())
    }

    async fn commit<E: Table>(self) -> Result<(), RepositoryError> {
        let result = self.tx.commit().await;
        result.map_err(|error| failed::<E>(self.database, "change", &error))
    }
}

fn failed<E: Table>(database: &Database, verb: &'static str, error: &DbErr) -> RepositoryError {
    RepositoryError::new(database.describe(), verb, table_name::<E>(), error)
}

fn damaged_row<E: Table>(database: &Database, row: &str, problem: &impl ToString) -> RepositoryError {
    RepositoryError::DamagedRow {
        database: database.describe().to_string(),
        table: table_name::<E>(),
        row: row.to_string(),
        problem: problem.to_string(),
    }
}

fn check_catalog(id: &CatalogId, name: &str) -> Result<(), RepositoryError> {
    let len = id.as_str().len();
    if len <= LONGEST_CATALOG_ID {
        return Ok(());
    }
    let problem =
        format!("the id of a catalog has at most {LONGEST_CATALOG_ID} bytes here, this one has {len}");
    Err(RepositoryError::Invalid { name: name.to_string(), problem })
}

/// The text of a value, for a row.
fn to_json(value: &impl serde::Serialize, name: &str) -> Result<String, RepositoryError> {
    let invalid = |problem: String| RepositoryError::Invalid { name: name.to_string(), problem };
    let text = serde_json::to_string(value).map_err(|error| invalid(error.to_string()))?;
    if text.len() > LONGEST_JSON {
        let len = text.len();
        return Err(invalid(format!("as JSON it has at most {LONGEST_JSON} bytes, but this has {len}")));
    }
    // What nests too deep can be written, but not read.
    serde_json::from_str::<Value>(&text).map_err(|error| invalid(error.to_string()))?;
    Ok(text)
}

/// Now, in milliseconds since 1970.
fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}
