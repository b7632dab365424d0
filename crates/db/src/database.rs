//! A database: how it is opened, and how transactions begin.

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sea_orm::sqlx::pool::PoolOptions;
use sea_orm::sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sea_orm::sqlx::{self, ConnectOptions, Connection, SqlitePool};
use sea_orm::{
    AccessMode, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, IsolationLevel,
    RuntimeErr, SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait, TryGetable,
};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::coalesced::Coalesced;
use crate::datastore::Datastore;
use crate::error::{DatabaseError, Failure};
use crate::migration::{self, Standing};
use crate::pulse::{self, Pulses};
use crate::{Access, Attachments, Jobs, Metadata, Overrides, Pipelines, SqlManifest};

/// How long to wait for others who hold the database: longer than any transaction of ours takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a PostgreSQL server may take to answer at all.
const FIRST_ANSWER: Duration = Duration::from_secs(20);

/// Views at a time; more of them wait for their turn.
const READERS: u32 = 8;

/// Statements that a connection keeps prepared: more than there are, see `table`.
const STATEMENTS: usize = 512;

/// A database. Clones are the same one.
#[derive(Clone)]
pub struct Database {
    shared: Arc<Shared>,
}

struct Shared {
    name: Arc<str>,
    /// For SQLite, one connection; for PostgreSQL, the same as `readers`.
    writer: DatabaseConnection,
    readers: DatabaseConnection,
    /// Tasks of this process queue here, in their order, and only one of them waits for other processes.
    turn: Arc<Mutex<()>>,
    /// It lacked changes of its tables when somebody last looked.
    behind: AtomicBool,
    pulses: Pulses,
    /// The number of changes of what there is beside samples.
    generation: Coalesced<i64>,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Database").field(&self.shared.name).finish()
    }
}

impl Database {
    /// Opens the database at `sqlite://path` or `postgres://user:password@host/name`. A SQLite file is made if there is
    /// none, in a folder that exists; a PostgreSQL database must exist. Tables are made in a database without any; those of
    /// an older Sheaf are brought up to date when something is written.
    ///
    /// # Errors
    /// The URL is wrong, the database can't be reached or opened, or it belongs to a newer Sheaf.
    pub async fn connect(url: &str) -> Result<Database, DatabaseError> {
        let wrong = |problem: String| DatabaseError::Url { problem };
        match url.split_once(':') {
            Some(("sqlite", path)) => {
                let path = path.strip_prefix("//").unwrap_or(path);
                if path.is_empty() || path == ":memory:" {
                    return Err(wrong("it names no file".to_string()));
                }
                Database::sqlite(Path::new(path)).await
            }
            Some(("postgres" | "postgresql", _)) => {
                let options = PgConnectOptions::from_str(url).map_err(|error| wrong(error.to_string()))?;
                Database::postgres(options).await
            }
            Some((scheme, rest)) if rest.starts_with("//") => {
                Err(wrong(format!("`{scheme}` is no kind of database")))
            }
            _ => Err(wrong("it does not begin with `sqlite:` or `postgres:`".to_string())),
        }
    }

    /// Opens the SQLite file at `path`, and makes it if there is none; its folder must exist.
    ///
    /// # Errors
    /// It can't be opened, it is something else, or it belongs to a newer Sheaf.
    pub async fn sqlite(path: &Path) -> Result<Database, DatabaseError> {
        let name: Arc<str> = path.display().to_string().into();
        let open_error = |problem: String| DatabaseError::Open { database: name.to_string(), problem };
        // SQLite takes some names for URLs and options; absolute ones it does not.
        let file = std::path::absolute(path).map_err(|error| open_error(error.to_string()))?;
        probe(&file).map_err(open_error)?;

        let options = SqliteConnectOptions::new()
            .filename(&file)
            .create_if_missing(true)
            .busy_timeout(PATIENCE)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(false)
            .statement_cache_capacity(STATEMENTS)
            // A mapped file that another process truncates kills this one.
            .pragma("mmap_size", "0")
            // What a damaged file says is not believed.
            .pragma("trusted_schema", "OFF")
            .pragma("cell_size_check", "ON")
            // After a large transaction the log gives its space back.
            .pragma("journal_size_limit", "67108864")
            // Rows come in batches: fewer changes of threads.
            .row_buffer_size(1024)
            .disable_statement_logging();
        let writing = options.clone().journal_mode(SqliteJournalMode::Wal).pragma("cache_size", "-16384");
        let reading =
            options.create_if_missing(false).pragma("query_only", "ON").pragma("cache_size", "-4096");

        let opened = Instant::now();
        let (writer, readers, standing) = loop {
            // Two who make the file at the same time are in each other's way for a moment, and so is one who repairs
            // it after a crash; SQLite does not wait for that by itself.
            match open_sqlite(&file, &writing, &reading).await {
                Ok(found) => break found,
                Err(error) if Failure::of(&error) == Failure::Busy && opened.elapsed() < PATIENCE => {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                Err(error) => return Err(DatabaseError::new(&name, &error)),
            }
        };
        let pulses = Pulses::new(pulse::Options::Sqlite(Box::new(reading)));
        Database::with(name, writer, readers, pulses, standing).await
    }

    async fn postgres(options: PgConnectOptions) -> Result<Database, DatabaseError> {
        let name: Arc<str> = describe_postgres(&options).into();
        let options = options
            .application_name("sheaf")
            .statement_cache_capacity(STATEMENTS)
            .disable_statement_logging();
        // The pool would try for as long as its patience lasts where nobody listens.
        let failed =
            |error: sqlx::Error| DatabaseError::new(&name, &DbErr::Conn(RuntimeErr::SqlxError(error.into())));
        match tokio::time::timeout(FIRST_ANSWER, options.connect()).await {
            Ok(connection) => connection.map_err(failed)?.close().await.map_err(failed)?,
            Err(_) => {
                let problem = format!("the server does not answer within {} seconds", FIRST_ANSWER.as_secs());
                return Err(DatabaseError::Open { database: name.to_string(), problem });
            }
        }
        let pulses = Pulses::new(pulse::Options::Postgres(Box::new(options.clone())));
        // One more for the writer.
        let pool: DatabaseConnection = pool(PgPoolOptions::new(), READERS + 1)
            .test_before_acquire(true)
            .connect_lazy_with(options)
            .into();
        let standing = migration::standing(&pool).await.map_err(|error| DatabaseError::new(&name, &error))?;
        Database::with(name, pool.clone(), pool, pulses, standing).await
    }

    async fn with(
        name: Arc<str>,
        writer: DatabaseConnection,
        readers: DatabaseConnection,
        pulses: Pulses,
        mut standing: Standing,
    ) -> Result<Database, DatabaseError> {
        let behind = AtomicBool::new(standing == Standing::Behind);
        let generation = Coalesced::new();
        let shared = Shared { name, writer, readers, turn: Arc::default(), behind, pulses, generation };
        let database = Database { shared: Arc::new(shared) };
        if standing == Standing::Empty {
            let migrated = database.migrate().await;
            standing = migrated.map_err(|error| DatabaseError::new(database.describe(), &error))?;
        }
        match standing {
            Standing::Newer(migration) => {
                Err(DatabaseError::Newer { database: database.describe().to_string(), migration })
            }
            _ => Ok(database),
        }
    }

    /// Makes the changes of the tables that are missing, unless they are newer than ours. Whoever comes second finds the
    /// work done.
    async fn migrate(&self) -> Result<Standing, DbErr> {
        let transaction = self.begin_exclusive().await?;
        let standing = migration::standing(&transaction).await?;
        if standing == Standing::Empty && !is_free(&transaction).await? {
            return Err(DbErr::Custom("it has tables of another program".to_string()));
        }
        if let Standing::Newer(_) = standing {
            return Ok(standing);
        }
        if standing != Standing::Current {
            migration::up(&transaction).await?;
            transaction.commit().await?;
        }
        self.shared.behind.store(false, Ordering::Relaxed);
        Ok(Standing::Current)
    }

    /// Its file, or its URL without a password.
    pub fn describe(&self) -> &str {
        &self.shared.name
    }

    /// The manifest of the store in this database.
    pub fn manifest(&self) -> SqlManifest {
        SqlManifest::new(self.clone())
    }

    /// What is known of catalogs and resources beside their samples.
    pub fn metadata(&self) -> Metadata {
        Metadata::new(self.clone())
    }

    /// The sources that are read in place.
    pub fn pipelines(&self) -> Pipelines {
        Pipelines::new(self.clone())
    }

    /// What people say of catalogs, over what sources say.
    pub fn overrides(&self) -> Overrides {
        Overrides::new(self.clone())
    }

    /// The files that belong to catalogs.
    pub fn attachments(&self) -> Attachments {
        Attachments::new(self.clone())
    }

    /// Who may do what.
    pub fn access(&self) -> Access {
        Access::new(self.clone())
    }

    /// Work that takes time, and what it leaves behind.
    pub fn jobs(&self) -> Jobs {
        Jobs::new(self.clone())
    }

    /// Projects, traces, meter runs and aggregation runs.
    pub fn datastore(&self) -> Datastore {
        Datastore::new(self.clone())
    }

    /// Closes all connections, once the views and transactions on them have ended. Not needed for what is committed to
    /// be safe; but SQLite then tidies up its files.
    pub async fn close(self) {
        self.shared.pulses.close().await;
        // An error here would be one of a connection that is gone anyway.
        let _ = self.shared.readers.close_by_ref().await;
        let _ = self.shared.writer.close_by_ref().await;
    }

    /// For [`Database::generation`].
    pub(crate) fn last_generation(&self) -> &Coalesced<i64> {
        &self.shared.generation
    }

    pub(crate) fn name(&self) -> Arc<str> {
        Arc::clone(&self.shared.name)
    }

    pub(crate) fn pulses(&self) -> &Pulses {
        &self.shared.pulses
    }

    /// Waits until no other task of this process writes.
    pub(crate) async fn turn(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.shared.turn).lock_owned().await
    }

    /// Begins a transaction that only reads. It sees the state at its first statement.
    pub(crate) async fn begin_read(&self) -> Result<DatabaseTransaction, DbErr> {
        let readers = &self.shared.readers;
        let options = match readers.get_database_backend() {
            DbBackend::Postgres => TransactionOptions {
                isolation_level: Some(IsolationLevel::RepeatableRead),
                access_mode: Some(AccessMode::ReadOnly),
                ..TransactionOptions::default()
            },
            _ => {
                await_connection(readers.get_sqlite_connection_pool()).await;
                TransactionOptions {
                    sqlite_transaction_mode: Some(SqliteTransactionMode::Deferred),
                    ..TransactionOptions::default()
                }
            }
        };
        readers.begin_with_options(options).await
    }

    /// As [`Database::begin_read`], for a table that came later; `None` as long as it is not there.
    pub(crate) async fn begin_read_of(&self, table: &str) -> Result<Option<DatabaseTransaction>, DbErr> {
        let transaction = self.begin_read().await?;
        if self.shared.behind.load(Ordering::Relaxed) {
            if migration::standing(&transaction).await? != Standing::Behind {
                self.shared.behind.store(false, Ordering::Relaxed);
            } else if !migration::has_table(&transaction, table).await? {
                return Ok(None);
            }
        }
        Ok(Some(transaction))
    }

    /// The one value that a statement on a table answers with, without a transaction: one way to the database and back. `None`
    /// as long as the table is not there.
    pub(crate) async fn peek<T: TryGetable>(&self, table: &str, sql: &str) -> Result<Option<T>, DbErr> {
        let readers = &self.shared.readers;
        if self.shared.behind.load(Ordering::Relaxed) && self.begin_read_of(table).await?.is_none() {
            return Ok(None);
        }
        let backend = readers.get_database_backend();
        if backend == DbBackend::Sqlite {
            await_connection(readers.get_sqlite_connection_pool()).await;
        }
        let row = readers.query_one_raw(Statement::from_string(backend, sql)).await?;
        row.map(|row| row.try_get_by_index(0)).transpose()
    }

    /// Begins a transaction that writes: the only one, over all processes, until it ends. Before the first one, tables
    /// are brought up to date.
    pub(crate) async fn begin_write(&self) -> Result<DatabaseTransaction, DbErr> {
        if self.shared.behind.load(Ordering::Relaxed)
            && let Standing::Newer(migration) = self.migrate().await?
        {
            let problem = format!("it belongs to a newer Sheaf now (its tables have `{migration}`)");
            return Err(DbErr::Custom(problem));
        }
        self.begin_exclusive().await
    }

    async fn begin_exclusive(&self) -> Result<DatabaseTransaction, DbErr> {
        let writer = &self.shared.writer;
        match writer.get_database_backend() {
            DbBackend::Postgres => {
                // Each statement sees what is committed: after the lock, all that the writer before did.
                let options = TransactionOptions {
                    isolation_level: Some(IsolationLevel::ReadCommitted),
                    access_mode: Some(AccessMode::ReadWrite),
                    ..TransactionOptions::default()
                };
                let transaction = writer.begin_with_options(options).await?;
                transaction.execute_unprepared(LOCK).await?;
                Ok(transaction)
            }
            _ => {
                let options = TransactionOptions {
                    sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
                    ..TransactionOptions::default()
                };
                writer.begin_with_options(options).await
            }
        }
    }
}

/// Waits for the other writers: those whose tables are in the same schema. A lock of the transaction, which ends with it
/// however that happens, and needs no row to exist. A server or user may have switched off that a commit waits for the
/// disk; ours do wait.
const LOCK: &str = "
    SET LOCAL lock_timeout = '60s';
    SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off';
    SELECT pg_advisory_xact_lock(1936221542, hashtext(current_schema()));
";

/// What all pools have in common.
fn pool<D: sea_orm::sqlx::Database>(options: PoolOptions<D>, connections: u32) -> PoolOptions<D> {
    options
        .max_connections(connections)
        .acquire_timeout(PATIENCE)
        .idle_timeout(None)
        .max_lifetime(None)
        // SQLite is in this process: nothing can have happened to it.
        .test_before_acquire(false)
}

/// A pool that closes connections whose transaction did not end. When the disk is full, or fails, SQLite ends it by
/// itself; the driver does not notice, and would take the next one for a part of it: nothing would be committed any more,
/// and a view would never change.
fn sqlite_pool(connections: u32) -> SqlitePoolOptions {
    pool(SqlitePoolOptions::new(), connections).after_release(|connection, _| {
        Box::pin(async move {
            // The rollback of a dropped transaction is only queued: this waits for it.
            connection.ping().await?;
            Ok(!connection.is_in_transaction())
        })
    })
}

/// Waits for the connection of a view that has just ended, for a moment: it is on its way back to the pool, and making
/// another one takes a millisecond.
async fn await_connection(pool: &SqlitePool) {
    const MOMENT: Duration = Duration::from_micros(300);
    let begun = Instant::now();
    while pool.num_idle() == 0 && (1..READERS).contains(&pool.size()) && begun.elapsed() < MOMENT {
        // Those who bring it may be waiting for this very core: without giving it up, they would for milliseconds.
        std::thread::yield_now();
        tokio::task::yield_now().await;
    }
}

/// The pools that write and read. A connection takes a millisecond to make: in a file that is as it should be, the one
/// that writes is made when something is written.
async fn open_sqlite(
    file: &Path,
    writing: &SqliteConnectOptions,
    reading: &SqliteConnectOptions,
) -> Result<(DatabaseConnection, DatabaseConnection, Standing), DbErr> {
    let failed = |error: sqlx::Error| DbErr::Conn(RuntimeErr::SqlxError(error.into()));
    if file.metadata().is_ok_and(|metadata| metadata.len() > 0) {
        let readers: DatabaseConnection =
            sqlite_pool(READERS).connect_with(reading.clone()).await.map_err(failed)?.into();
        // One transaction is one connection: others would be made while it is on its way back to the pool.
        let look = readers.begin().await?;
        check_schema(&look).await?;
        let standing = migration::standing(&look).await?;
        // What lacks changes gets them with the first transaction that writes.
        let is_ready = matches!(standing, Standing::Current | Standing::Behind) && has_log(&look).await?;
        look.rollback().await?;
        if is_ready {
            let writer = sqlite_pool(1).connect_lazy_with(writing.clone()).into();
            return Ok((writer, readers, standing));
        }
        readers.close().await?;
    }
    let writer: DatabaseConnection =
        sqlite_pool(1).connect_with(writing.clone()).await.map_err(failed)?.into();
    check_schema(&writer).await?;
    let standing = migration::standing(&writer).await?;
    let readers = sqlite_pool(READERS).connect_lazy_with(reading.clone()).into();
    Ok((writer, readers, standing))
}

/// Whether the file has a log of its own (WAL), and so needs no change before it is written to.
async fn has_log(connection: &impl ConnectionTrait) -> Result<bool, DbErr> {
    let mode = Statement::from_string(DbBackend::Sqlite, "PRAGMA journal_mode");
    let row = connection.query_one_raw(mode).await?;
    Ok(row.map(|row| row.try_get_by_index::<String>(0)).transpose()?.as_deref() == Some("wal"))
}

/// The driver takes the names and types in SQLite's schema for UTF-8 and panics where they are not; ours are ASCII.
async fn check_schema(connection: &impl ConnectionTrait) -> Result<(), DbErr> {
    let sql = "SELECT hex(coalesce(name, '')), hex(coalesce(sql, '')) FROM sqlite_schema";
    let rows = connection.query_all_raw(Statement::from_string(DbBackend::Sqlite, sql)).await?;
    for row in rows {
        for column in 0..2 {
            let hex: String = row.try_get_by_index(column)?;
            if hex.bytes().step_by(2).any(|digit| digit >= b'8') {
                return Err(DbErr::Type("the file is damaged where it describes its tables".to_string()));
            }
        }
    }
    Ok(())
}

/// Whether no other program has tables here. PostgreSQL has schemas for that, and whoever set it up decided.
async fn is_free(transaction: &DatabaseTransaction) -> Result<bool, DbErr> {
    match transaction.get_database_backend() {
        DbBackend::Sqlite => {
            let sql = "SELECT 1 FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' LIMIT 1";
            let any = transaction.query_one_raw(Statement::from_string(DbBackend::Sqlite, sql)).await?;
            Ok(any.is_none())
        }
        _ => Ok(true),
    }
}

/// Asks the operating system first: SQLite's own words are the same for every reason. The file itself is not opened:
/// closing it again would drop the locks that SQLite holds on it elsewhere in this process.
fn probe(file: &Path) -> Result<(), String> {
    if file.is_dir() {
        return Err("it is a folder".to_string());
    }
    match file.parent() {
        Some(folder) if !folder.is_dir() => Err(format!("there is no folder {}", folder.display())),
        _ => Ok(()),
    }
}

/// The URL, without a password.
fn describe_postgres(options: &PgConnectOptions) -> String {
    let host = match options.get_socket() {
        Some(socket) => socket.display().to_string(),
        None => options.get_host().to_string(),
    };
    let user = options.get_username();
    let name = options.get_database().unwrap_or(user);
    format!("postgres://{user}@{host}:{}/{name}", options.get_port())
}
