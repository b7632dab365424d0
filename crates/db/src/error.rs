//! What goes wrong with a database, in our words.

use sea_orm::sqlx;
use sea_orm::{ConnAcquireErr, DbErr, RuntimeErr};

/// The database can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatabaseError {
    /// What was given names no database. The text itself is not repeated, since it may hold a password.
    #[error(
        "the database's URL is wrong: {problem}; it is like `sqlite:///path/to/file` or `postgres://user@host/name`"
    )]
    Url {
        /// What is wrong with it.
        problem: String,
    },
    /// It can't be opened, or its tables can't be made.
    #[error("can't open the database {database}: {problem}")]
    Open {
        /// Its file, or its URL without a password.
        database: String,
        /// What is wrong.
        problem: String,
    },
    /// A later version of Sheaf has changed its tables.
    #[error(
        "the database {database} belongs to a newer Sheaf (its tables have `{migration}`); use that one or a later one"
    )]
    Newer {
        /// Its file, or its URL without a password.
        database: String,
        /// A change of its tables that this version does not know.
        migration: String,
    },
    /// Others hold it for too long.
    #[error("the database {database} is locked by another process for too long; try again")]
    Busy {
        /// Its file, or its URL without a password.
        database: String,
    },
}

impl DatabaseError {
    pub(crate) fn new(database: &str, error: &DbErr) -> DatabaseError {
        let database = database.to_string();
        match Failure::of(error) {
            Failure::Busy => DatabaseError::Busy { database },
            Failure::Damaged(problem) | Failure::Other(problem) => DatabaseError::Open { database, problem },
        }
    }
}

/// Metadata or a source can't be kept or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepositoryError {
    /// What was to be kept can't be.
    #[error("{name}: {problem}")]
    Invalid {
        /// The catalog, resource or source.
        name: String,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// Something else has this name already.
    #[error("a {what} with this {field} already exists: `{}`", value.escape_debug())]
    Exists {
        /// What kind of thing.
        what: &'static str,
        /// What must be unique.
        field: &'static str,
        /// The name.
        value: String,
    },
    /// What it refers to is not there.
    #[error("there is no {what} `{}`", value.escape_debug())]
    Missing {
        /// What kind of thing.
        what: &'static str,
        /// Its id or name.
        value: String,
    },
    /// Another source is mounted there.
    #[error("{mount}: a source of kind `{kind}` is mounted there; remove it first")]
    Mounted {
        /// Where.
        mount: String,
        /// The kind of the source that is there.
        kind: String,
    },
    /// A row makes no sense.
    #[error("{database}: row `{}` of table `{table}` is damaged: {problem}", row.escape_debug())]
    DamagedRow {
        /// The database.
        database: String,
        /// The table.
        table: &'static str,
        /// The key of the row.
        row: String,
        /// What is wrong.
        problem: String,
    },
    /// The database failed.
    #[error("{database}: can't {verb} table `{table}`: {problem}")]
    Database {
        /// The database.
        database: String,
        /// What was to be done.
        verb: &'static str,
        /// With which table.
        table: &'static str,
        /// Why it could not.
        problem: String,
    },
    /// Others hold it for too long.
    #[error("the database {database} is locked by another process for too long; try again")]
    Busy {
        /// The database.
        database: String,
    },
}

impl RepositoryError {
    /// Whether what was asked for can't be, and not the database failed.
    pub fn is_invalid_input(&self) -> bool {
        matches!(
            self,
            RepositoryError::Invalid { .. }
                | RepositoryError::Exists { .. }
                | RepositoryError::Missing { .. }
                | RepositoryError::Mounted { .. }
        )
    }

    pub(crate) fn new(
        database: &str,
        verb: &'static str,
        table: &'static str,
        error: &DbErr,
    ) -> RepositoryError {
        let database = database.to_string();
        match Failure::of(error) {
            Failure::Busy => RepositoryError::Busy { database },
            Failure::Damaged(problem) | Failure::Other(problem) => {
                RepositoryError::Database { database, verb, table, problem }
            }
        }
    }
}

/// What kind of failure an error of the driver is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Another process holds the lock that we need.
    Busy,
    /// What is stored makes no sense.
    Damaged(String),
    /// All else.
    Other(String),
}

impl Failure {
    pub(crate) fn of(error: &DbErr) -> Failure {
        match error {
            DbErr::Conn(RuntimeErr::SqlxError(error))
            | DbErr::Exec(RuntimeErr::SqlxError(error))
            | DbErr::Query(RuntimeErr::SqlxError(error)) => Failure::of_driver(error),
            DbErr::ConnectionAcquire(ConnAcquireErr::Timeout) => {
                Failure::Other("all connections are in use for too long".to_string())
            }
            // What a value of NULL becomes where there must be one.
            DbErr::Type(problem) => Failure::Damaged(problem.clone()),
            // Ours.
            DbErr::Custom(problem) => Failure::Other(problem.clone()),
            error => Failure::Other(error.to_string()),
        }
    }

    pub(crate) fn of_driver(error: &sqlx::Error) -> Failure {
        match error {
            sqlx::Error::Database(error) => {
                let code = error.code().unwrap_or_default();
                let message = error.message();
                match SqliteCode::of(&code) {
                    _ if code == LOCK_NOT_AVAILABLE => Failure::Busy,
                    Some(SqliteCode::Busy) => Failure::Busy,
                    Some(SqliteCode::Damaged) => {
                        Failure::Damaged(format!("{message} (SQLite's code {code})"))
                    }
                    Some(SqliteCode::CannotOpen) => Failure::Other(
                        "it can't be opened or made; this user must be allowed to write it and its folder"
                            .to_string(),
                    ),
                    Some(SqliteCode::Other) => Failure::Other(format!("{message} (SQLite's code {code})")),
                    None => Failure::Other(format!("{message} (SQLSTATE {code})")),
                }
            }
            sqlx::Error::ColumnDecode { index, source } => {
                Failure::Damaged(format!("column {index} can't be read: {source}"))
            }
            sqlx::Error::WorkerCrashed => {
                Failure::Damaged("SQLite could not cope with what is in the file".to_string())
            }
            error => Failure::Other(error.to_string()),
        }
    }
}

/// PostgreSQL's `lock_timeout` has passed.
const LOCK_NOT_AVAILABLE: &str = "55P03";

enum SqliteCode {
    Busy,
    Damaged,
    CannotOpen,
    Other,
}

impl SqliteCode {
    /// The kind of an extended result code, of which the low byte is the primary one. The codes of PostgreSQL have five
    /// characters and are no numbers of SQLite, which stay below 10 000.
    fn of(code: &str) -> Option<SqliteCode> {
        const BUSY: u32 = 5;
        const LOCKED: u32 = 6;
        const CORRUPT: u32 = 11;
        const CANTOPEN: u32 = 14;
        const NOTADB: u32 = 26;
        if code.len() >= 5 {
            return None;
        }
        Some(match code.parse::<u32>().ok()? & 0xff {
            BUSY | LOCKED => SqliteCode::Busy,
            CORRUPT | NOTADB => SqliteCode::Damaged,
            CANTOPEN => SqliteCode::CannotOpen,
            _ => SqliteCode::Other,
        })
    }
}
