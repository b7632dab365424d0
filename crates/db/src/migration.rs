//! The tables, as the list of changes that led to them. A change that has been released is never edited: another one
//! follows it. There is no way down: an older Sheaf refuses a newer database.
//!
//! A database that lacks changes gets them with the first transaction that writes: who only reads need not have the right
//! to make them, nor wait for others. So whoever reads a table that came later must ask first whether it is there, with
//! `Database::begin_read_of`. A change that readers can't do without must be made in `Database::with`.

mod m0001_manifest;
mod m0002_metadata;
mod m0003_access;
mod m0004_jobs;
pub(crate) mod m0005_catalogs;
mod m0006_datastore;
mod m0007_marts;

use sea_orm::sea_query::{Alias, IntoIden};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, DynIden, Statement};
use sea_orm_migration::{MigrationTrait, MigratorTrait, SchemaManager};

/// All changes, in their order.
pub(crate) struct Migrator;

/// Which changes have been made. A name of our own: another program may keep its tables in the same database.
const TABLE: &str = "sheaf_migrations";

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_manifest::Migration),
            Box::new(m0002_metadata::Migration),
            Box::new(m0003_access::Migration),
            Box::new(m0004_jobs::Migration),
            Box::new(m0005_catalogs::Migration),
            Box::new(m0006_datastore::Migration),
            Box::new(m0007_marts::Migration),
        ]
    }

    fn migration_table_name() -> DynIden {
        Alias::new(TABLE).into_iden()
    }
}

/// What is to be done with a database before it is used.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It has no tables of ours.
    Empty,
    /// It lacks changes.
    Behind,
    /// Nothing.
    Current,
    /// It has this change, which we don't know.
    Newer(String),
}

/// Compares the changes made with those we know: two statements that read a row or two, whatever the database holds.
pub(crate) async fn standing(connection: &impl ConnectionTrait) -> Result<Standing, DbErr> {
    let backend = connection.get_database_backend();
    if !has_table(connection, TABLE).await? {
        return Ok(Standing::Empty);
    }
    let versions = Statement::from_string(backend, format!("SELECT version FROM {TABLE}"));
    let mut made = Vec::new();
    for row in connection.query_all_raw(versions).await? {
        made.push(row.try_get_by_index::<String>(0)?);
    }
    let known: Vec<String> =
        Migrator::migrations().iter().map(|migration| migration.name().to_string()).collect();
    if let Some(unknown) = made.iter().find(|version| !known.contains(version)) {
        return Ok(Standing::Newer(unknown.clone()));
    }
    Ok(if made.len() < known.len() { Standing::Behind } else { Standing::Current })
}

/// Whether there is a table or a view with this name.
pub(crate) async fn has_table(connection: &impl ConnectionTrait, table: &str) -> Result<bool, DbErr> {
    let backend = connection.get_database_backend();
    let exists = match backend {
        DbBackend::Sqlite => {
            format!("SELECT 1 FROM sqlite_schema WHERE type IN ('table', 'view') AND name = '{table}'")
        }
        _ => format!("SELECT 1 WHERE to_regclass('{table}') IS NOT NULL"),
    };
    Ok(connection.query_one_raw(Statement::from_string(backend, exists)).await?.is_some())
}

/// Runs statements whose types are those of the database: `{int}`, `{bool}`, `{real}`, `{bytes}`, `{text}`, and `{name}`, a text that
/// is compared byte by byte; `{table}` and `{clustered}` come behind a table's columns, the latter where rows lie in the
/// order of their key.
async fn execute(manager: &SchemaManager<'_>, statements: &[&str]) -> Result<(), DbErr> {
    let connection = manager.get_connection();
    let types = match connection.get_database_backend() {
        DbBackend::Sqlite => [
            ("{int}", "INTEGER"),
            ("{bool}", "INTEGER"),
            ("{real}", "REAL"),
            ("{bytes}", "BLOB"),
            ("{text}", "TEXT"),
            ("{name}", "TEXT"),
            ("{table}", "STRICT"),
            ("{clustered}", "STRICT, WITHOUT ROWID"),
        ],
        _ => [
            ("{int}", "BIGINT"),
            ("{bool}", "BOOLEAN"),
            ("{real}", "DOUBLE PRECISION"),
            ("{bytes}", "BYTEA"),
            ("{text}", "TEXT"),
            ("{name}", "TEXT COLLATE \"C\""),
            ("{table}", ""),
            ("{clustered}", ""),
        ],
    };
    for statement in statements {
        let statement =
            types.iter().fold((*statement).to_owned(), |text, (word, meaning)| text.replace(word, meaning));
        connection.execute_unprepared(&statement).await?;
    }
    Ok(())
}

/// Makes the changes that are missing. The transaction must be the only one that writes: it makes them all or none.
pub(crate) async fn up(transaction: &DatabaseTransaction) -> Result<(), DbErr> {
    Migrator::up(transaction, None).await
}
