//! Statements on the database, in transactions that only read. They run on threads of their own, so that whoever asks may block.

use std::future::Future;
use std::sync::OnceLock;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{
    PgArgumentBuffer, PgConnectOptions, PgDatabaseError, PgPool, PgPoolOptions, PgTypeInfo,
};
use sqlx::{Encode, Error, Postgres, Transaction, Type};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use crate::source::SourceProblem;

/// Connections to one database, at most: more readers wait.
const MOST_CONNECTIONS: u32 = 4;

/// For how long one of them is waited for, or for a new one to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// After this time a connection that nobody uses is closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// A database and how to talk to it.
#[derive(Clone)]
pub(super) struct Session {
    pool: PgPool,
    time_zone: String,
    timeout: Duration,
}

impl Session {
    /// Nothing is connected before it is needed.
    pub(super) fn new(
        options: PgConnectOptions,
        time_zone: String,
        timeout: Duration,
    ) -> Result<Session, String> {
        let runtime = runtime()?;
        let _entered = runtime.enter();
        let pool = PgPoolOptions::new()
            .min_connections(0)
            .max_connections(MOST_CONNECTIONS)
            .acquire_timeout(CONNECT_TIMEOUT)
            .idle_timeout(IDLE_TIMEOUT)
            .connect_lazy_with(options.application_name("sheaf"));
        Ok(Session { pool, time_zone, timeout })
    }

    /// Begins a transaction that can't change anything.
    pub(super) async fn begin(&self) -> Result<Transaction<'static, Postgres>, Error> {
        let mut transaction = self.pool.begin_with("BEGIN READ ONLY").await?;
        sqlx::query("SELECT set_config('TimeZone', $1, true), set_config('statement_timeout', $2, true)")
            .bind(&self.time_zone)
            .bind(self.timeout.as_millis().to_string())
            .execute(&mut *transaction)
            .await?;
        Ok(transaction)
    }

    /// Waits for some work on the database, from any thread.
    pub(super) fn wait<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Failure>> + Send + 'static,
    ) -> Result<T, Failure> {
        let runtime = runtime().map_err(Failure::Other)?;
        // Statements end by themselves; this is for a connection that is dead.
        let most = self.timeout.saturating_add(CONNECT_TIMEOUT).saturating_add(CONNECT_TIMEOUT);
        let (sender, receiver) = sync_channel(1);
        runtime.spawn(async move {
            let done = timeout(most, work).await;
            let done = done.unwrap_or_else(|_| Err(Failure::Other("it does not answer".to_owned())));
            // Nobody waits if the other thread is gone.
            let _ = sender.send(done);
        });
        receiver.recv().unwrap_or_else(|_| Err(Failure::Other("reading it was given up".to_owned())))
    }
}

/// Why something can't be had from the database.
#[derive(Debug)]
pub(super) enum Failure {
    /// The database, or the way to it.
    Database(Error),
    /// What came from it.
    Source(SourceProblem),
    /// Anything else.
    Other(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Database(error)
    }
}

impl From<SourceProblem> for Failure {
    fn from(problem: SourceProblem) -> Failure {
        Failure::Source(problem)
    }
}

impl From<Failure> for SourceProblem {
    fn from(failure: Failure) -> SourceProblem {
        match failure {
            Failure::Source(problem) => problem,
            Failure::Other(error) => SourceProblem::Query { error },
            Failure::Database(Error::Database(error)) => {
                let hint = error.try_downcast_ref::<PgDatabaseError>().and_then(PgDatabaseError::hint);
                let hint = hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
                SourceProblem::Query { error: format!("{}{hint}", error.message()) }
            }
            Failure::Database(error) => SourceProblem::Query { error: error.to_string() },
        }
    }
}

/// A point in time as the database takes it: `timestamptz`, in microseconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(super) struct Micros(pub(super) i64);

/// The number of the type `timestamptz`, which never changes.
const TIMESTAMPTZ: Oid = Oid(1184);

/// What databases count from, 2000-01-01, in microseconds since 1970.
const EPOCH: i64 = 946_684_800_000_000;

impl Micros {
    pub(super) const fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(TIMESTAMPTZ)
    }
}

impl Type<Postgres> for Micros {
    fn type_info() -> PgTypeInfo {
        Micros::type_info()
    }
}

impl Encode<'_, Postgres> for Micros {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        buffer.extend(&(self.0 - EPOCH).to_be_bytes());
        Ok(IsNull::No)
    }
}

fn runtime() -> Result<&'static Runtime, String> {
    static RUNTIME: OnceLock<Result<Runtime, String>> = OnceLock::new();
    let make = || {
        let runtime =
            Builder::new_multi_thread().worker_threads(2).thread_name("sheaf-postgres").enable_all().build();
        runtime.map_err(|error| error.to_string())
    };
    RUNTIME.get_or_init(make).as_ref().map_err(Clone::clone)
}
