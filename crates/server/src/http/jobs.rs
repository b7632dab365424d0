//! Work that takes time. A job is a row first (`sheaf_db::Jobs`), so it survives whatever happens to this process; what runs
//! it is `worker.rs`. Each kind of job is a file here: it reads its parameters, does its work between two looks at its
//! [`Context`], and can be begun again at any time.

mod artifacts;
mod clear_cache;
mod compact;
mod context;
mod counts;
mod error;
mod export;
mod refresh;
mod worker;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus_client::registry::Registry;
use serde::Serialize;
use serde_json::Value;
use sheaf_db::{Job, NewJob, RepositoryError, Reservation};
use tokio::sync::Notify;
use uuid::Uuid;

pub(crate) use artifacts::Artifacts;
pub(crate) use clear_cache::ClearCache;
pub(crate) use compact::Compact;
pub(crate) use context::{Context, Done, Live};
pub(crate) use error::JobError;
pub(crate) use export::{Export, ExportParameters, Precision};
pub(crate) use refresh::Refresh;
pub(crate) use worker::work;

use context::{Running, Stop};
use counts::Counts;

use super::auth::Caller;
use super::errors::ApiError;
use crate::catalogs::RequestConfiguration;

/// How often a job is begun at most: twice more if the process dies over it, or if what it needs is in use.
const MOST_ATTEMPTS: u32 = 3;

/// For how long a job is taken. A process that dies over one holds it up for so long.
const LEASE: Duration = Duration::from_secs(30);

/// The most jobs whose configuration is kept at a time.
const MOST_KEPT: usize = 1000;

/// A kind of job.
pub(crate) trait Kind: Serialize {
    /// Its name.
    const NAME: &'static str;
}

/// All kinds of jobs.
const KINDS: [&str; 4] = [Export::NAME, Refresh::NAME, ClearCache::NAME, Compact::NAME];

/// Does a job.
async fn run(job: &Job, context: &Context) -> Result<Done, JobError> {
    match job.kind.as_str() {
        Export::NAME => parameters::<Export>(job)?.run(context).await,
        Refresh::NAME => parameters::<Refresh>(job)?.run(context).await,
        ClearCache::NAME => parameters::<ClearCache>(job)?.run(context).await,
        Compact::NAME => parameters::<Compact>(job)?.run(context).await,
        kind => Err(JobError::Kind { kind: kind.to_owned() }),
    }
}

/// What exactly is to be done.
pub(crate) fn parameters<T: serde::de::DeserializeOwned>(job: &Job) -> Result<T, JobError> {
    serde_json::from_value(job.parameters.clone()).map_err(|source| JobError::Parameters { source })
}

/// Who asks for a job.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owner<'a> {
    pub(crate) id: &'a str,
    pub(crate) name: &'a str,
}

impl<'a> Owner<'a> {
    /// Whoever has signed in; an error if nobody has.
    pub(crate) fn of(caller: &'a Caller) -> Result<Owner<'a>, ApiError> {
        let who = caller.require_user()?;
        Ok(Owner { id: &who.user.id, name: &who.user.name })
    }
}

/// The configuration of a job.
struct Kept {
    configuration: Arc<Value>,
    /// Whether its row is there, unless it has failed.
    is_accepted: bool,
}

/// A job with a configuration that is being accepted, or was given up: then no row is found for what is kept, and it goes.
struct Accepting<'a> {
    jobs: &'a Jobs,
    id: Uuid,
}

impl Drop for Accepting<'_> {
    fn drop(&mut self) {
        if let Some(kept) = self.jobs.configurations().get_mut(&self.id) {
            kept.is_accepted = true;
        }
    }
}

/// The jobs of this process, and the way to those of all.
pub(crate) struct Jobs {
    pub(crate) rows: sheaf_db::Jobs,
    pub(crate) artifacts: Artifacts,
    /// What is done here right now.
    running: Mutex<HashMap<Uuid, Arc<Running>>>,
    /// What requests brought along for the sources of jobs that have not ended. It has credentials, so it is here and nowhere
    /// else; that is why these jobs are reserved for this process.
    configurations: Mutex<HashMap<Uuid, Kept>>,
    counts: Counts,
    /// There may be something to do.
    wake: Notify,
    /// Who this process is, for leases.
    holder: i64,
}

impl Jobs {
    pub(crate) fn new(rows: sheaf_db::Jobs, artifacts: Artifacts) -> Jobs {
        let holder = rand::random();
        let (running, configurations) = (Mutex::default(), Mutex::default());
        let (counts, wake) = (Counts::new(), Notify::new());
        Jobs { rows, artifacts, running, configurations, counts, wake, holder }
    }

    /// Adds what is counted of jobs.
    pub(crate) fn register(&self, registry: &mut Registry) {
        self.counts.register(registry);
    }

    /// Brings the number of jobs up to date, more or less.
    pub(crate) async fn count(&self) {
        self.counts.ask(&self.rows).await;
    }

    /// Accepts a job, and keeps what its request brought along for sources. The job is there for good once this returns.
    pub(crate) async fn submit<K: Kind>(
        &self,
        work: &K,
        owner: Owner<'_>,
        configuration: RequestConfiguration,
    ) -> Result<Job, ApiError> {
        let invalid = |error: serde_json::Error| RepositoryError::Invalid {
            name: format!("a job `{}`", K::NAME),
            problem: error.to_string(),
        };
        let id = Uuid::new_v4();
        let lease = Reservation { holder: self.holder, lease: LEASE };
        let job = NewJob {
            id,
            kind: K::NAME.to_owned(),
            owner: owner.id.to_owned(),
            owner_name: owner.name.to_owned(),
            parameters: serde_json::to_value(work).map_err(invalid)?,
            max_attempts: MOST_ATTEMPTS,
            reserved: configuration.is_some().then_some(lease),
        };
        let accepting = configuration.map(|configuration| self.keep(id, configuration)).transpose()?;
        let accepted = self.rows.insert(vec![job], now_ms()).await?;
        drop(accepting);
        self.wake.notify_one();
        let accepted = accepted.into_iter().next().ok_or_else(|| RepositoryError::Invalid {
            name: format!("a job `{}`", K::NAME),
            problem: "it was not kept".to_owned(),
        });
        Ok(accepted?)
    }

    /// Keeps a configuration for a job whose row comes next. Whether it came is looked at once the answer is dropped.
    fn keep(&self, id: Uuid, configuration: Arc<Value>) -> Result<Accepting<'_>, ApiError> {
        let mut kept = self.configurations();
        if kept.len() >= MOST_KEPT {
            return Err(ApiError::unavailable(format!(
                "{MOST_KEPT} jobs with a configuration of their own wait already; ask again when some have ended"
            )));
        }
        kept.insert(id, Kept { configuration, is_accepted: false });
        Ok(Accepting { jobs: self, id })
    }

    /// The job with this id, as far as it is right now.
    pub(crate) async fn find(&self, id: Uuid) -> Result<Option<Job>, RepositoryError> {
        Ok(self.rows.find(id).await?.map(|job| self.up_to_date(job)))
    }

    /// A job with the progress of this moment, if it is done here.
    pub(crate) fn up_to_date(&self, mut job: Job) -> Job {
        if !job.state.is_ended()
            && let Some(live) = self.live(job.id)
        {
            (job.progress, job.activity) = (live.progress, live.activity.to_owned());
        }
        job
    }

    /// How far a job is that is done here.
    pub(crate) fn live(&self, id: Uuid) -> Option<Live> {
        self.running().get(&id).map(|running| running.live())
    }

    /// Cancels a job, wherever it is done; returns how it stands then.
    pub(crate) async fn cancel(&self, id: Uuid) -> Result<Option<Job>, RepositoryError> {
        let job = self.rows.cancel(id, now_ms()).await?;
        if job.as_ref().is_some_and(|job| job.cancel_requested)
            && let Some(running) = self.running().get(&id)
        {
            running.stop(Stop::Canceled);
        }
        Ok(job)
    }

    /// The jobs that are done here, and those that wait for this process.
    fn leased(&self) -> Vec<(Uuid, Option<Arc<Running>>)> {
        let kept = self.configurations();
        let waiting = kept.iter().filter(|(_, kept)| kept.is_accepted).map(|(id, _)| (*id, None));
        let mut all: HashMap<Uuid, Option<Arc<Running>>> = waiting.collect();
        all.extend(self.running().iter().map(|(id, running)| (*id, Some(running.clone()))));
        all.into_iter().collect()
    }

    fn configurations(&self) -> MutexGuard<'_, HashMap<Uuid, Kept>> {
        self.configurations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn running(&self) -> MutexGuard<'_, HashMap<Uuid, Arc<Running>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}
