//! Whether anything has changed: one cheap question for all reads that wait for its answer.
//!
//! SQLite counts the commits of others than the connection that asks (`PRAGMA data_version`), so a connection that never
//! writes sees every commit, of this process and of all others. As long as the number is the same, what was read after it was
//! is still so. PostgreSQL has no such number, and is asked for the head and the counter of changes with one statement.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use sea_orm::sqlx::postgres::{PgConnectOptions, PgConnection};
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sea_orm::sqlx::{self, AssertSqlSafe, ConnectOptions, Connection as _};
use sea_orm::{DbErr, QueryResult, RuntimeErr};
use sheaf_store::manifest::{Manifest, ManifestError, Pulse};
use tokio::sync::Mutex;

use crate::Database;
use crate::coalesced::Coalesced;
use crate::entity::head;
use crate::manifest::failed;
use crate::table::{columns, row_of};

/// How a connection for this question is made.
#[derive(Clone)]
pub(crate) enum Options {
    Sqlite(Box<SqliteConnectOptions>),
    Postgres(Box<PgConnectOptions>),
}

/// Who asks, and what was answered last.
pub(crate) struct Pulses {
    options: Options,
    coalesced: Coalesced<Pulse>,
    connection: Mutex<Option<Connection>>,
    /// How many connections there were.
    connections: AtomicI64,
}

/// A connection of its own, which never writes and on which no view is open. Made when it is first needed, and anew after an
/// error.
enum Connection {
    Sqlite {
        connection: SqliteConnection,
        /// The how many-eth it is. Each of them counts commits anew.
        number: i64,
        /// What was read after the count was this.
        last: Option<(i64, Pulse)>,
    },
    Postgres(PgConnection),
}

impl Pulses {
    pub(crate) fn new(options: Options) -> Pulses {
        Pulses {
            options,
            coalesced: Coalesced::new(),
            connection: Mutex::new(None),
            connections: AtomicI64::new(0),
        }
    }

    /// Closes the connection. SQLite tidies up its files when the last one is closed.
    pub(crate) async fn close(&self) {
        // An error here would be one of a connection that is gone anyway.
        let _ = match self.connection.lock().await.take() {
            Some(Connection::Sqlite { connection, .. }) => connection.close().await,
            Some(Connection::Postgres(connection)) => connection.close().await,
            None => Ok(()),
        };
    }
}

fn failure(database: &Database, error: sqlx::Error) -> ManifestError {
    failed(&database.name(), "read", "head", &DbErr::Conn(RuntimeErr::SqlxError(Arc::new(error))))
}

impl Database {
    /// The head and the number of other changes, as of some time after the call.
    pub(crate) async fn pulse(&self) -> Result<Pulse, ManifestError> {
        let asked = async || {
            let database = self.clone();
            // A task of its own goes on when nobody waits for it any more: a connection in the middle of a question would be lost.
            let answer = tokio::spawn(async move { database.ask().await }).await;
            answer.unwrap_or_else(|error| {
                Err(ManifestError::Database {
                    database: self.describe().to_string(),
                    action: "read table `head`".to_string(),
                    source: error.into(),
                })
            })
        };
        self.pulses().coalesced.get(asked).await
    }

    async fn ask(&self) -> Result<Pulse, ManifestError> {
        let mut place = self.pulses().connection.lock().await;
        // Taken out, so that one that has failed is not asked again.
        if let Some(connection) = place.take()
            && let Ok((connection, pulse)) = self.ask_on(connection).await
        {
            *place = Some(connection);
            return Ok(pulse);
        }
        // None was there, or it was cut off.
        let number = self.pulses().connections.fetch_add(1, Ordering::Relaxed);
        let connection = match &self.pulses().options {
            Options::Sqlite(options) => {
                let connection = options.connect().await;
                connection.map(|connection| Connection::Sqlite { connection, number, last: None })
            }
            Options::Postgres(options) => options.connect().await.map(Connection::Postgres),
        };
        let connection = connection.map_err(|error| failure(self, error))?;
        let (connection, pulse) = self.ask_on(connection).await?;
        *place = Some(connection);
        Ok(pulse)
    }

    async fn ask_on(&self, connection: Connection) -> Result<(Connection, Pulse), ManifestError> {
        match connection {
            Connection::Sqlite { mut connection, number, last } => {
                let version: i64 = sqlx::query_scalar("PRAGMA data_version")
                    .fetch_one(&mut connection)
                    .await
                    .map_err(|error| failure(self, error))?;
                let pulse = match last {
                    Some((known, pulse)) if known == version => pulse,
                    // What is committed after the number was asked for changes the next one.
                    _ => {
                        let mut read = self.manifest().read().await?;
                        Pulse { head: read.head().await?, beside: number << 32 | version & 0xffff_ffff }
                    }
                };
                let last = Some((version, pulse.clone()));
                Ok((Connection::Sqlite { connection, number, last }, pulse))
            }
            Connection::Postgres(mut connection) => {
                // The number of the next transaction that changes anything.
                let sql = format!(
                    "SELECT {}, pg_snapshot_xmax(pg_current_snapshot())::text::bigint FROM \"head\"",
                    columns::<head::Entity>()
                );
                let row = sqlx::query(AssertSqlSafe(sql)).fetch_optional(&mut connection).await;
                let row = row.map_err(|error| failure(self, error))?.map(QueryResult::from);
                let pulse = match row.as_ref().map(row_of::<head::Entity, i64>).transpose() {
                    Ok(Some((head, beside))) => Pulse { head: Some(head), beside },
                    Ok(None) => Pulse { head: None, beside: 0 },
                    Err(error) => return Err(failed(&self.name(), "read", "head", &error)),
                };
                Ok((Connection::Postgres(connection), pulse))
            }
        }
    }
}
