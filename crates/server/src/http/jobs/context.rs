//! A job that is being done: how far it is, and whether it shall stop.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sheaf_db::{Artifact, Job};
use sheaf_store::{Progress, Watch};
use uuid::Uuid;

use super::JobError;
use crate::catalogs::RequestConfiguration;
use crate::http::app::Shared;

/// How far a job is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Live {
    /// From 0 to 1.
    pub(crate) progress: f64,
    /// What is being done.
    pub(crate) activity: &'static str,
}

/// Why a job shall stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// Somebody cancelled it.
    Canceled,
    /// The server ends; it goes on another time.
    Released,
    /// Somebody else does it now, or it is gone: nothing of what is done here counts.
    Lost,
}

/// A job that is being done.
pub(super) struct Running {
    live: Arc<Mutex<Live>>,
    stop: Mutex<Option<Stop>>,
    watch: Watch,
}

/// The data behind such a lock are whole at any time.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Running {
    pub(super) fn new() -> Arc<Running> {
        let live: Arc<Mutex<Live>> = Arc::default();
        let watch = Watch::new({
            let live = live.clone();
            move |Progress { what, done, total }| {
                let progress = if total == 0 { 0.0 } else { (done as f64 / total as f64).min(1.0) };
                *lock(&live) = Live { progress, activity: what };
            }
        });
        Arc::new(Running { live, stop: Mutex::default(), watch })
    }

    pub(super) fn live(&self) -> Live {
        *lock(&self.live)
    }

    /// Tells it to stop. The first reason counts, but for one: what is lost is lost.
    pub(super) fn stop(&self, why: Stop) {
        let mut stop = lock(&self.stop);
        if stop.is_none() || why == Stop::Lost {
            *stop = Some(why);
        }
        self.watch.cancel();
    }

    pub(super) fn stopped(&self) -> Option<Stop> {
        *lock(&self.stop)
    }
}

/// What a job works with.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) app: Shared,
    pub(crate) id: Uuid,
    /// The id of the user who asked for it.
    pub(crate) owner: String,
    /// What the request brought along for sources, if that was here.
    pub(crate) configuration: RequestConfiguration,
    /// Hears how far it is, and says whether to go on.
    pub(crate) watch: Watch,
}

impl Context {
    pub(super) fn new(app: Shared, job: &Job, running: &Running) -> Context {
        let configuration = app.jobs.configurations().get(&job.id).map(|kept| kept.configuration.clone());
        Context { app, id: job.id, owner: job.owner.clone(), configuration, watch: running.watch.clone() }
    }

    /// Says how far it is; an error if it shall stop.
    pub(crate) fn step(&self, what: &'static str, done: u64, total: u64) -> Result<(), JobError> {
        Ok(self.watch.step(what, done, total)?)
    }
}

/// What came of a job.
#[derive(Debug, Default)]
pub(crate) struct Done {
    pub(crate) result: Option<String>,
    pub(crate) artifacts: Vec<Artifact>,
}
