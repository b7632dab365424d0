//! What does jobs: it takes as many as it may do at a time, renews their leases while they run, and ends them.
//!
//! It is woken by those who ask for jobs in this process, and looks by itself for those that others asked for and those
//! whose process died: that look is one cheap read. What it does outside is the same whatever woke it, so a wake-up that
//! is lost costs a second and nothing else.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use sheaf_db::{Beat, Ending, Hold, Job};
use sheaf_store::in_full;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval};
use uuid::Uuid;

use super::context::{Running, Stop};
use super::{Context, JobError, KINDS, LEASE, Live, now_ms, run};
use crate::http::app::Shared;

/// How often leases are renewed, and progress is put down for other processes to see.
const RENEWAL: Duration = Duration::from_secs(3);

/// How often it looks for jobs that others asked for.
const LOOK: Duration = Duration::from_secs(1);

/// How often it looks for what is to be thrown away.
const SWEEP: Duration = Duration::from_secs(60);

/// Rows that go at once.
const SWEPT_AT_ONCE: usize = 1000;

/// How long to wait before something that failed in passing is begun again; twice that the next time.
const PAUSE: Duration = Duration::from_secs(5);

/// The worker of this process.
pub(crate) struct Worker(JoinHandle<()>);

impl Worker {
    /// Waits until it has ended, after the server was told to stop.
    pub(crate) async fn ended(self) {
        if let Err(error) = self.0.await {
            tracing::error!(%error, "the worker of jobs ended early");
        }
    }
}

/// Begins to do jobs, until the server is told to stop.
pub(crate) fn work(app: &Shared) -> Worker {
    Worker(tokio::spawn(Works::new(app.clone()).work()))
}

struct Works {
    app: Shared,
    running: JoinSet<(Uuid, Ending)>,
    /// Endings that could not be put down yet.
    ended: Vec<(Uuid, Ending)>,
}

impl Works {
    fn new(app: Shared) -> Works {
        Works { app, running: JoinSet::new(), ended: Vec::new() }
    }

    async fn work(mut self) {
        let every = |period| {
            let mut interval = interval(period);
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
            interval
        };
        let (mut look, mut renewal, mut sweep) = (every(LOOK), every(RENEWAL), every(SWEEP));
        let app = self.app.clone();
        while !app.is_stopping() {
            self.put_down().await;
            self.take().await;
            tokio::select! {
                () = app.stopped() => break,
                Some(ended) = self.running.join_next() => self.end(ended),
                () = app.jobs.wake.notified() => {}
                _ = look.tick() => {}
                _ = renewal.tick() => self.renew().await,
                _ = sweep.tick() => sweep_once(&app).await,
            }
        }
        self.go_home().await;
    }

    /// Takes jobs and begins them.
    async fn take(&mut self) {
        let free = self.app.settings.jobs.workers.saturating_sub(self.running.len());
        if free == 0 {
            return;
        }
        let jobs = &self.app.jobs;
        match jobs.rows.claim(jobs.holder, &KINDS, free, LEASE, now_ms()).await {
            Ok(claimed) => claimed.into_iter().for_each(|job| self.begin(job)),
            Err(error) => tracing::warn!(cause = in_full(&error), "can't look for jobs"),
        }
    }

    fn begin(&mut self, job: Job) {
        let running = Running::new();
        self.app.jobs.running().insert(job.id, running.clone());
        let context = Context::new(self.app.clone(), &job, &running);
        self.running.spawn(async move {
            let begun = Instant::now();
            tracing::info!(job = %job.id, kind = job.kind, owner = job.owner_name, attempt = job.attempt, "job begins");
            let result = AssertUnwindSafe(run(&job, &context)).catch_unwind().await;
            let result = result.unwrap_or_else(|_| {
                Err(JobError::Task { problem: "it panicked; the log of the server has more".to_owned() })
            });
            let ending = ending(&job, &running, result);
            let after = begun.elapsed();
            context.app.jobs.counts.ended(&job, &ending, running.stopped(), after);
            let after_ms = after.as_micros() as f64 / 1e3;
            match &ending {
                Ending::Faulted { failure } | Ending::Again { failure, .. } => {
                    tracing::warn!(job = %job.id, kind = job.kind, after_ms, failure, "job failed");
                }
                ending => {
                    let how = match ending {
                        Ending::Succeeded { .. } => "done",
                        Ending::Canceled => "cancelled",
                        _ => "put back",
                    };
                    tracing::info!(job = %job.id, kind = job.kind, after_ms, how, "job ends");
                }
            }
            (job.id, ending)
        });
    }

    fn end(&mut self, ended: Result<(Uuid, Ending), tokio::task::JoinError>) {
        self.ended.extend(ended.ok());
        while let Some(ended) = self.running.try_join_next() {
            self.ended.extend(ended.ok());
        }
    }

    /// Puts down how jobs ended: all of them in one transaction. If that fails it is tried again.
    async fn put_down(&mut self) {
        if self.ended.is_empty() {
            return;
        }
        let jobs = &self.app.jobs;
        match jobs.rows.finish(jobs.holder, self.ended.clone(), now_ms()).await {
            Ok(held) => {
                for ((id, ending), held) in self.ended.drain(..).zip(held) {
                    jobs.running().remove(&id);
                    if let (Ending::Succeeded { artifacts, .. }, false) = (&ending, held) {
                        tracing::warn!(job = %id, "somebody else has the job now; what was done here is thrown away");
                        jobs.artifacts.remove(artifacts);
                    }
                }
            }
            Err(error) => tracing::warn!(cause = in_full(&error), "can't put down how jobs ended"),
        }
    }

    /// Renews the leases of all jobs that are not put down as ended, and of those that wait for this process because it has
    /// their configuration. Tells those to stop that shall, and forgets configurations of what has ended.
    async fn renew(&self) {
        let jobs = &self.app.jobs;
        let all = jobs.leased();
        let beats = all.iter().map(|(id, running)| {
            let Live { progress, activity } =
                running.as_ref().map(|running| running.live()).unwrap_or_default();
            Beat { id: *id, progress, activity: activity.to_owned() }
        });
        match jobs.rows.renew(jobs.holder, beats.collect(), LEASE, now_ms()).await {
            Ok(holds) => {
                for ((id, running), hold) in all.iter().zip(holds) {
                    match (hold, running) {
                        (Hold::Held, _) | (Hold::Cancel, None) => {}
                        (Hold::Cancel, Some(running)) => running.stop(Stop::Canceled),
                        (Hold::Lost, running) => {
                            jobs.configurations().remove(id);
                            running.iter().for_each(|running| running.stop(Stop::Lost));
                        }
                    }
                }
            }
            Err(error) => tracing::warn!(cause = in_full(&error), "can't renew the leases of jobs"),
        }
    }

    /// Puts all jobs back to where they came from.
    async fn go_home(&mut self) {
        let app = self.app.clone();
        app.jobs.running().values().for_each(|running| running.stop(Stop::Released));
        let until = Instant::now() + app.settings.limits.shutdown;
        while let Ok(Some(ended)) = tokio::time::timeout_at(until, self.running.join_next()).await {
            self.end(ended);
        }
        // Who does not stop in time is put back, too: what it does from here on nobody will see.
        let ended: HashMap<Uuid, ()> = self.ended.iter().map(|(id, _)| (*id, ())).collect();
        let left: Vec<Uuid> =
            app.jobs.running().keys().filter(|id| !ended.contains_key(id)).copied().collect();
        self.ended.extend(left.into_iter().map(|id| (id, Ending::Released)));
        self.put_down().await;
        self.running.abort_all();
    }
}

/// How a job ends.
fn ending(job: &Job, running: &Running, result: Result<super::Done, JobError>) -> Ending {
    match (result, running.stopped()) {
        (Ok(done), _) => Ending::Succeeded { result: done.result, artifacts: done.artifacts },
        (Err(_), Some(Stop::Released)) => Ending::Released,
        (Err(_), Some(Stop::Canceled | Stop::Lost)) => Ending::Canceled,
        (Err(error), None) => {
            let failure = in_full(&error);
            if error.is_passing() {
                Ending::Again { failure, after: PAUSE * 2_u32.pow(job.attempt.clamp(1, 10) - 1) }
            } else {
                Ending::Faulted { failure }
            }
        }
    }
}

/// Throws away what has had its time: artifacts, jobs that ended long ago, what is on record, and files of processes that died.
async fn sweep_once(app: &Shared) {
    let (jobs, record) = (&app.jobs, app.access.rows());
    let before = |age: Duration| now_ms().saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
    let swept = async {
        loop {
            let expired = jobs.rows.remove_expired(SWEPT_AT_ONCE, now_ms()).await?;
            if expired.is_empty() {
                break;
            }
            tracing::info!(artifacts = expired.len(), "artifacts have had their time");
            jobs.artifacts.remove(&expired);
        }
        let before_ms = before(app.settings.jobs.retention);
        while jobs.rows.remove_ended(before_ms, SWEPT_AT_ONCE).await? == SWEPT_AT_ONCE as u64 {}
        let before_ms = before(app.settings.audit.keep);
        while record.remove_events(before_ms, SWEPT_AT_ONCE).await? == SWEPT_AT_ONCE as u64 {}
        let left = jobs.artifacts.clean(&jobs.rows).await?;
        if left > 0 {
            tracing::info!(files = left, "removed files that unfinished jobs had left");
        }
        Ok::<(), sheaf_db::RepositoryError>(())
    };
    if let Err(error) = swept.await {
        tracing::warn!(cause = in_full(&error), "can't throw away what has had its time");
    }
}
