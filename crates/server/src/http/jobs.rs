//! Work that takes time. A job is a row first (`sheaf_db::Jobs`), so it survives whatever happens to this process; what runs
//! it is `worker.rs`. Each kind of job is a file here: it reads its parameters, does its work between two looks at its
//! [`Context`], and can be begun again at any time.

mod artifacts;
mod clear_cache;
mod compact;
mod context;
mod error;
mod export;
mod refresh;
mod worker;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use sheaf_db::{Job, NewJob, RepositoryError};
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

use super::auth::Caller;
use super::errors::ApiError;

/// How often a job is begun at most: twice more if the process dies over it, or if what it needs is in use.
const MOST_ATTEMPTS: u32 = 3;

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

fn parameters<T: serde::de::DeserializeOwned>(job: &Job) -> Result<T, JobError> {
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

/// The jobs of this process, and the way to those of all.
pub(crate) struct Jobs {
    pub(crate) rows: sheaf_db::Jobs,
    pub(crate) artifacts: Artifacts,
    /// What is done here right now.
    running: Mutex<HashMap<Uuid, Arc<Running>>>,
    /// There may be something to do.
    wake: Notify,
    /// Who this process is, for leases.
    holder: i64,
}

impl Jobs {
    pub(crate) fn new(rows: sheaf_db::Jobs, artifacts: Artifacts) -> Jobs {
        let holder = rand::random();
        Jobs { rows, artifacts, running: Mutex::default(), wake: Notify::new(), holder }
    }

    /// Accepts a job. It is there for good once this returns.
    pub(crate) async fn submit<K: Kind>(&self, work: &K, owner: Owner<'_>) -> Result<Job, RepositoryError> {
        let invalid = |error: serde_json::Error| RepositoryError::Invalid {
            name: format!("a job `{}`", K::NAME),
            problem: error.to_string(),
        };
        let job = NewJob {
            id: Uuid::new_v4(),
            kind: K::NAME.to_owned(),
            owner: owner.id.to_owned(),
            owner_name: owner.name.to_owned(),
            parameters: serde_json::to_value(work).map_err(invalid)?,
            max_attempts: MOST_ATTEMPTS,
        };
        let accepted = self.rows.insert(vec![job], now_ms()).await?;
        self.wake.notify_one();
        accepted.into_iter().next().ok_or_else(|| RepositoryError::Invalid {
            name: format!("a job `{}`", K::NAME),
            problem: "it was not kept".to_owned(),
        })
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

    fn running(&self) -> MutexGuard<'_, HashMap<Uuid, Arc<Running>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}
