//! Sources that are read in place, in pipelines: the sources of one that provide the same catalog enrich each other.

use std::fmt;

use sea_orm::{ConnectionTrait, Statement};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sheaf_model::CatalogId;
use uuid::Uuid;

use super::{LONGEST_CATALOG_ID, Transaction, damaged_row, failed, now_ms, to_json};
use crate::Database;
use crate::entity::pipelines;
use crate::error::RepositoryError;
use crate::migration::has_table;
use crate::migration::m0005_catalogs::{OldSource, SOURCES};
use crate::table::{Existing, delete_in, insert, select, select_in};

/// A source of a pipeline.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Registration {
    /// What kind of source it is: what knows how to read it.
    #[serde(rename = "type")]
    pub kind: String,
    /// Where it is: a folder or a URL.
    #[serde(default)]
    pub resource_locator: Option<String>,
    /// What else that needs to know, and in `catalog` the catalog that it provides.
    #[serde(default)]
    pub configuration: Map<String, Value>,
    /// Where people can read about it.
    #[serde(default)]
    pub info_url: Option<String>,
}

impl Registration {
    /// The text of `catalog` in its configuration: the catalog that it provides.
    pub fn catalog(&self) -> Option<&str> {
        self.configuration.get("catalog").and_then(Value::as_str)
    }
}

/// Without locator and configuration, which may hold passwords.
impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration")
            .field("kind", &self.kind)
            .field("catalog", &self.catalog())
            .finish_non_exhaustive()
    }
}

/// Sources that are read in place, and whose they are.
#[derive(Clone, Debug, PartialEq)]
pub struct Pipeline {
    /// Its number.
    pub id: Uuid,
    /// Whose it is; `None` if it is the operator's.
    pub owner: Option<String>,
    /// Its sources, in order.
    pub registrations: Vec<Registration>,
    /// Which of its catalogs are ready for others, all where nothing is said.
    pub release_pattern: Option<String>,
    /// Which of its catalogs are shown to those who may not read them, all where nothing is said.
    pub visibility_pattern: Option<String>,
    /// Since when it is here, in milliseconds since 1970.
    pub created_at_ms: i64,
}

impl Pipeline {
    /// A new pipeline.
    pub fn new(owner: Option<String>, registrations: Vec<Registration>) -> Pipeline {
        Pipeline {
            id: Uuid::new_v4(),
            owner,
            registrations,
            release_pattern: None,
            visibility_pattern: None,
            created_at_ms: now_ms(),
        }
    }
}

/// The sources that are read in place.
#[derive(Clone, Debug)]
pub struct Pipelines {
    database: Database,
}

/// The most pipelines there may be: all of them are in memory.
const MOST: usize = 10_000;

/// The longest short text, in bytes.
const LONGEST_TEXT: usize = 4096;

type Table = pipelines::Entity;

impl Pipelines {
    pub(crate) fn new(database: Database) -> Pipelines {
        Pipelines { database }
    }

    /// All of them, those that came first first.
    ///
    /// # Errors
    /// The database fails, or a row is damaged.
    pub async fn all(&self) -> Result<Vec<Pipeline>, RepositoryError> {
        let Some(transaction) = Transaction::read::<Table>(&self.database).await? else {
            return self.of_older_database().await;
        };
        let sql = select::<Table>(&transaction.tx).page("\"created_at_ms\", \"id\"", 2 * MOST as u64);
        let rows = transaction.reading::<Table, _>(sql.rows::<Table>(&transaction.tx).await)?;
        rows.into_iter().map(|row| self.parse(row)).collect()
    }

    /// What will be pipelines once something is written.
    async fn of_older_database(&self) -> Result<Vec<Pipeline>, RepositoryError> {
        let failed = |error| failed::<Table>(&self.database, "read", &error);
        let transaction = self.database.begin_read().await.map_err(failed)?;
        if !has_table(&transaction, "sources").await.map_err(failed)? {
            return Ok(Vec::new());
        }
        let backend = ConnectionTrait::get_database_backend(&transaction);
        let sql = Statement::from_string(backend, format!("{SOURCES} ORDER BY \"mount\""));
        let mut pipelines = Vec::new();
        for (position, row) in transaction.query_all_raw(sql).await.map_err(failed)?.into_iter().enumerate() {
            let source = OldSource {
                mount: row.try_get_by_index(0).map_err(failed)?,
                kind: row.try_get_by_index(1).map_err(failed)?,
                configuration: row.try_get_by_index(2).map_err(failed)?,
                created_at_ms: row.try_get_by_index(3).map_err(failed)?,
            };
            pipelines.push(self.parse(pipelines::Model {
                id: source.id(position),
                owner: None,
                registrations: source.registrations(),
                release_pattern: None,
                visibility_pattern: None,
                created_at_ms: source.created_at_ms,
            })?);
        }
        Ok(pipelines)
    }

    /// The pipeline with this number.
    ///
    /// # Errors
    /// The database fails, or the row is damaged.
    pub async fn get(&self, id: Uuid) -> Result<Option<Pipeline>, RepositoryError> {
        Ok(self.all().await?.into_iter().find(|pipeline| pipeline.id == id))
    }

    /// Adds a pipeline. With `only`, this must be the only one with its catalogs; of several who want the same at the same
    /// time one gets it.
    ///
    /// # Errors
    /// It can't be kept, another one provides one of its catalogs, or the database fails.
    pub async fn add(&self, new: &Pipeline, only: bool) -> Result<(), RepositoryError> {
        let row = row_of(new)?;
        let transaction = Transaction::write::<Table>(&self.database).await?;
        let sql = select::<Table>(&transaction.tx);
        let there = transaction.reading::<Table, _>(sql.rows::<Table>(&transaction.tx).await)?;
        if there.len() >= MOST {
            let problem = format!("there are {MOST} pipelines already, and no more are kept; remove some");
            return Err(RepositoryError::Invalid { name: new.id.to_string(), problem });
        }
        if only {
            for row in there {
                let other = self.parse(row)?;
                for registration in &other.registrations {
                    let is_same = |ours: &&Registration| {
                        ours.catalog().is_some() && ours.catalog() == registration.catalog()
                    };
                    if let Some(ours) = new.registrations.iter().find(is_same) {
                        let (mount, kind) =
                            (ours.catalog().unwrap_or_default().to_owned(), registration.kind.clone());
                        return Err(RepositoryError::Mounted { mount, kind });
                    }
                }
            }
        }
        let inserted = insert::<Table>(&transaction.tx, [row], Existing::Refuse).await;
        transaction.changing::<Table, _>(inserted)?;
        transaction.commit_counted::<Table>().await
    }

    /// Replaces a pipeline by one with the same number; returns whether there was one.
    ///
    /// # Errors
    /// It can't be kept, or the database fails.
    pub async fn replace(&self, new: &Pipeline) -> Result<bool, RepositoryError> {
        let row = row_of(new)?;
        let transaction = Transaction::write::<Table>(&self.database).await?;
        let there = select_in::<Table>(&transaction.tx, pipelines::Column::Id, vec![row.id.as_str().into()]);
        if transaction.reading::<Table, _>(there.await)?.is_empty() {
            return Ok(false);
        }
        let inserted = insert::<Table>(&transaction.tx, [row], Existing::Replace).await;
        transaction.changing::<Table, _>(inserted)?;
        transaction.commit_counted::<Table>().await?;
        Ok(true)
    }

    /// Removes a pipeline; returns whether there was one. Works on a damaged row, too.
    ///
    /// # Errors
    /// The database fails.
    pub async fn remove(&self, id: Uuid) -> Result<bool, RepositoryError> {
        let transaction = Transaction::write::<Table>(&self.database).await?;
        let removed =
            delete_in::<Table>(&transaction.tx, pipelines::Column::Id, vec![id.to_string().into()]).await;
        let removed = transaction.changing::<Table, _>(removed)?;
        transaction.commit_counted::<Table>().await?;
        Ok(removed > 0)
    }

    fn parse(&self, row: pipelines::Model) -> Result<Pipeline, RepositoryError> {
        let damaged = |problem: String| damaged_row::<Table>(&self.database, &row.id, &problem);
        let id = row.id.parse().map_err(|error: uuid::Error| damaged(error.to_string()))?;
        let registrations = serde_json::from_str(&row.registrations)
            // Without the text of the error, which may repeat a password.
            .map_err(|error| {
                damaged(format!("its registrations can't be read from column {} on", error.column()))
            })?;
        Ok(Pipeline {
            id,
            owner: row.owner,
            registrations,
            release_pattern: row.release_pattern,
            visibility_pattern: row.visibility_pattern,
            created_at_ms: row.created_at_ms,
        })
    }
}

/// The row of a pipeline, if it can be kept.
fn row_of(new: &Pipeline) -> Result<pipelines::Model, RepositoryError> {
    let name = new.id.to_string();
    let invalid = |problem: String| Err(RepositoryError::Invalid { name: name.clone(), problem });
    for registration in &new.registrations {
        if registration.kind.is_empty() {
            return invalid("the type of a source must not be empty".to_owned());
        }
        let texts = [
            Some(&registration.kind),
            registration.resource_locator.as_ref(),
            registration.info_url.as_ref(),
        ];
        for text in texts.into_iter().flatten() {
            if text.len() > LONGEST_TEXT || text.contains('\0') {
                return invalid(format!(
                    "type, locator and info URL of a source have at most {LONGEST_TEXT} bytes and no zero character"
                ));
            }
        }
        if let Some(catalog) = registration.catalog() {
            if let Err(error) = catalog.parse::<CatalogId>() {
                return invalid(error.to_string());
            }
            if catalog.len() > LONGEST_CATALOG_ID {
                return invalid(format!(
                    "the id of a catalog has at most {LONGEST_CATALOG_ID} bytes here, this one has {}",
                    catalog.len()
                ));
            }
        }
    }
    for pattern in [&new.release_pattern, &new.visibility_pattern].into_iter().flatten() {
        if pattern.len() > LONGEST_TEXT || pattern.contains('\0') {
            return invalid(format!("a pattern has at most {LONGEST_TEXT} bytes and no zero character"));
        }
    }
    Ok(pipelines::Model {
        id: name.clone(),
        owner: new.owner.clone(),
        registrations: to_json(&new.registrations, &name)?,
        release_pattern: new.release_pattern.clone(),
        visibility_pattern: new.visibility_pattern.clone(),
        created_at_ms: new.created_at_ms,
    })
}
