//! What does runs: it claims a batch, reads what it is made from, computes it on all cores, and ends it in one transaction.
//!
//! Meter runs come first; aggregation runs are begun when no meter run waits, so that they see what was asked for before them. A
//! worker whose process dies has leases that end: the next one does its runs anew, and nothing of the first is kept. A run whose
//! input is that of an earlier one gets the result of that, unless the request says `"force": true`.
//!
//! A server calls [`Worker::work`], which goes on until it is told to stop; a command calls [`Worker::work_off`], which ends
//! when nothing waits any more.

use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rayon::prelude::*;
use sheaf_db::datastore::{
    AggregationRun, ClaimedRun, Datastore, FinishedAggregation, FinishedRun, NewMeterResult, Page,
    ResultFilter, RunEnding,
};
use sheaf_db::{Hold, RepositoryError};
use sheaf_store::{Store, in_full};
use tokio::sync::{Notify, watch};
use tokio::time::{MissedTickBehavior, interval};

use crate::aggregate;
use crate::run::{ENGINE_VERSION, Preparation, PrepareError, Prepared, copies_of};
use crate::times::now;
use crate::weather::WeatherStore;

/// How long to wait before a batch that could not be ended is ended again.
const PAUSE: Duration = Duration::from_millis(200);

/// How often the end of a batch is tried.
const TRIES: usize = 3;

/// How a worker works.
#[derive(Clone, Copy, Debug)]
pub struct WorkerSettings {
    /// Runs that are claimed and ended at once: enough for all cores, and few enough that each transaction is short.
    pub batch: usize,
    /// For how long others leave runs to this worker; renewed three times as often.
    pub lease: Duration,
    /// How often it looks for runs that others asked for.
    pub look: Duration,
}

impl Default for WorkerSettings {
    fn default() -> WorkerSettings {
        WorkerSettings { batch: 256, lease: Duration::from_secs(30), look: Duration::from_secs(1) }
    }
}

/// A run that has ended here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended<'a> {
    /// A meter run.
    MeterRun {
        /// The row.
        id: i64,
        /// How.
        ending: RunEnding,
        /// Why it has failed.
        failure: Option<&'a str>,
    },
    /// An aggregation run.
    Aggregation {
        /// The row.
        id: i64,
        /// How.
        ending: RunEnding,
        /// Why it has failed.
        failure: Option<&'a str>,
    },
}

/// Who wants to know what happens.
pub trait Observer: Send + Sync {
    /// A run has ended, and that is in the database.
    fn ended(&self, ended: Ended<'_>);
}

/// Nobody does.
impl Observer for () {
    fn ended(&self, _: Ended<'_>) {}
}

/// Runs that can't be done now; they wait.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkerError {
    /// The database fails.
    #[error(transparent)]
    Database(#[from] RepositoryError),
    /// What runs are made from can't be read.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Meter runs that have ended.
    pub meter_runs: u64,
    /// Those of them that got the result of an earlier one.
    pub answered_from_earlier: u64,
    /// Aggregation runs that have ended.
    pub aggregations: u64,
}

impl Done {
    fn is_nothing(self) -> bool {
        self == Done::default()
    }

    fn add(&mut self, other: Done) {
        self.meter_runs += other.meter_runs;
        self.answered_from_earlier += other.answered_from_earlier;
        self.aggregations += other.aggregations;
    }
}

/// The worker.
pub struct Worker<O> {
    datastore: Datastore,
    store: Store,
    weather: WeatherStore,
    observer: O,
    settings: WorkerSettings,
    holder: i64,
    wake: Arc<Notify>,
}

/// What is not to be done any more of a batch.
#[derive(Clone, Default)]
struct Dropped {
    /// Runs that somebody has cancelled.
    cancelled: Arc<Mutex<HashSet<i64>>>,
    /// Runs that somebody else has now.
    lost: Arc<Mutex<HashSet<i64>>>,
}

fn locked(set: &Mutex<HashSet<i64>>) -> std::sync::MutexGuard<'_, HashSet<i64>> {
    set.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What has become of a run of a batch.
enum Outcome {
    Finished(Box<FinishedRun>),
    /// The worker goes home.
    NotBegun(i64),
    Lost,
}

impl<O: Observer> Worker<O> {
    /// A worker of these runs. `holder` tells it from all other workers of the database.
    pub fn new(
        datastore: Datastore,
        store: Store,
        observer: O,
        settings: WorkerSettings,
        holder: i64,
    ) -> Worker<O> {
        let weather = WeatherStore::new(store.clone());
        Worker { datastore, store, weather, observer, settings, holder, wake: Arc::default() }
    }

    /// The same, which looks for runs at once when somebody in this process notifies it.
    pub fn woken_by(self, wake: Arc<Notify>) -> Worker<O> {
        Worker { wake, ..self }
    }

    /// Does runs until `stop` says true, or nobody is left to say it. Those that are not begun then go back.
    pub async fn work(&self, mut stop: watch::Receiver<bool>) {
        let mut look = interval(self.settings.look);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !*stop.borrow() {
            match self.batch(&stop).await {
                Ok(done) if !done.is_nothing() => continue,
                Ok(_) => {}
                Err(error) => tracing::warn!(cause = in_full(&error), "can't do runs"),
            }
            tokio::select! {
                changed = stop.changed() => if changed.is_err() { return },
                () = self.wake.notified() => {}
                _ = look.tick() => {}
            }
        }
    }

    /// Does all runs that wait, unless `stop` says true before.
    ///
    /// # Errors
    /// The database or the store fails.
    pub async fn work_off(&self, stop: &watch::Receiver<bool>) -> Result<Done, WorkerError> {
        let mut all = Done::default();
        while !*stop.borrow() {
            let done = self.batch(stop).await?;
            if done.is_nothing() {
                break;
            }
            all.add(done);
        }
        Ok(all)
    }

    /// Does one batch; nothing if no run waits.
    async fn batch(&self, stop: &watch::Receiver<bool>) -> Result<Done, WorkerError> {
        let WorkerSettings { batch, lease, .. } = self.settings;
        let runs = self.datastore.claim_runs(self.holder, batch, lease, now()).await?;
        if !runs.is_empty() {
            let runs = self.without_company(runs).await?;
            return self.meter_runs(runs, stop).await;
        }
        let runs = self.datastore.claim_aggregations(self.holder, batch, lease, now()).await?;
        if runs.is_empty() { Ok(Done::default()) } else { Ok(self.aggregations(runs, stop).await?) }
    }

    /// A run over which a process has died is done alone, so that it takes no others with it if that happens again; those others
    /// go back. All of them otherwise.
    async fn without_company(&self, mut runs: Vec<ClaimedRun>) -> Result<Vec<ClaimedRun>, RepositoryError> {
        let Some(at) = runs.iter().position(|claimed| claimed.run.attempt > 1) else { return Ok(runs) };
        let alone = runs.swap_remove(at);
        let others: Vec<i64> = runs.iter().map(|claimed| claimed.run.id).collect();
        self.datastore.release_runs(self.holder, &others, now()).await?;
        Ok(vec![alone])
    }

    async fn meter_runs(
        &self,
        runs: Vec<ClaimedRun>,
        stop: &watch::Receiver<bool>,
    ) -> Result<Done, WorkerError> {
        let ids: Vec<i64> = runs.iter().map(|claimed| claimed.run.id).collect();
        let dropped = Dropped::default();
        let renewed = async {
            let mut renewal = interval(self.settings.lease / 3);
            renewal.tick().await;
            loop {
                renewal.tick().await;
                let holds = self.datastore.renew_runs(self.holder, &ids, self.settings.lease, now()).await;
                self.drop_some(&ids, holds, &dropped);
            }
        };
        let outcomes = tokio::select! {
            outcomes = self.outcomes(&runs, &dropped, stop) => outcomes,
            () = renewed => return Ok(Done::default()),
        };
        let (outcomes, answered_from_earlier) = match outcomes {
            Ok(outcomes) => outcomes,
            Err(error) => {
                // If that fails, too, the leases end.
                drop(self.datastore.release_runs(self.holder, &ids, now()).await);
                return Err(error);
            }
        };
        let (mut finished, mut not_begun) = (Vec::with_capacity(outcomes.len()), Vec::new());
        for outcome in outcomes {
            match outcome {
                Outcome::Finished(run) => finished.push(*run),
                Outcome::NotBegun(id) => not_begun.push(id),
                Outcome::Lost => {}
            }
        }
        if !not_begun.is_empty() {
            self.datastore.release_runs(self.holder, &not_begun, now()).await?;
        }
        let held = again(|| self.datastore.finish_runs(self.holder, finished.clone(), now())).await?;
        let mut done = Done { answered_from_earlier, ..Done::default() };
        for (run, held) in finished.iter().zip(held) {
            if held {
                done.meter_runs += 1;
                let (id, ending, failure) = (run.id, run.ending, run.failure_message.as_deref());
                self.observer.ended(Ended::MeterRun { id, ending, failure });
            } else {
                tracing::warn!(
                    run = run.id,
                    "somebody else has the meter run now; what was done here is thrown away"
                );
            }
        }
        Ok(done)
    }

    /// Reads and computes a batch; with how many got the result of an earlier run.
    async fn outcomes(
        &self,
        runs: &[ClaimedRun],
        dropped: &Dropped,
        stop: &watch::Receiver<bool>,
    ) -> Result<(Vec<Outcome>, u64), WorkerError> {
        let (prepared, unreadable) = self.prepared(runs).await?;
        let mut outcomes: Vec<Outcome> =
            unreadable.into_iter().map(|run| Outcome::Finished(Box::new(run))).collect();
        let mut earlier = self.earlier(&prepared).await?;
        let answered = earlier.len() as u64;
        let (dropped, stop) = (dropped.clone(), stop.clone());
        let with_earlier = |run: Prepared| {
            let earlier = earlier.remove(&run.id);
            (run, earlier)
        };
        let todo: Vec<_> = prepared.into_iter().map(with_earlier).collect();
        let computed = tokio::task::spawn_blocking(move || {
            let outcome = |(run, earlier): (Prepared, Option<NewMeterResult>)| {
                if locked(&dropped.lost).contains(&run.id) {
                    Outcome::Lost
                } else if locked(&dropped.cancelled).contains(&run.id) {
                    Outcome::Finished(Box::new(ended(run.id, RunEnding::Cancelled, None)))
                } else if *stop.borrow() {
                    Outcome::NotBegun(run.id)
                } else {
                    Outcome::Finished(Box::new(computed(&run, earlier)))
                }
            };
            todo.into_par_iter().map(outcome).collect::<Vec<_>>()
        });
        match computed.await {
            Ok(computed) => outcomes.extend(computed),
            // The runtime goes down, and takes this task with it: the leases end.
            Err(error) => tracing::error!(%error, "computing meter runs ended early"),
        }
        Ok((outcomes, answered))
    }

    /// What runs are made from. What is damaged of one of them is no matter of the others; if nothing can be read, all wait.
    async fn prepared(&self, runs: &[ClaimedRun]) -> Result<(Vec<Prepared>, Vec<FinishedRun>), PrepareError> {
        let preparation = Preparation::new(&self.store, &self.weather);
        match preparation.of(runs).await {
            Ok(prepared) => return Ok((prepared, Vec::new())),
            Err(error) if !error.is_damage() => return Err(error),
            Err(_) => {}
        }
        let (mut prepared, mut failed) = (Vec::with_capacity(runs.len()), Vec::new());
        for run in runs {
            match preparation.of(std::slice::from_ref(run)).await {
                Ok(one) => prepared.extend(one),
                Err(error) if error.is_damage() => {
                    failed.push(ended(run.run.id, RunEnding::Failed, Some(in_full(&error))));
                }
                Err(error) => return Err(error),
            }
        }
        Ok((prepared, failed))
    }

    /// The results that earlier runs with the same inputs had, by run.
    async fn earlier(&self, runs: &[Prepared]) -> Result<HashMap<i64, NewMeterResult>, RepositoryError> {
        let hashed = || {
            let unforced = runs.iter().filter(|run| !run.force);
            unforced.filter_map(|run| Some((run.id, run.input_hash.as_deref()?)))
        };
        let hashes: Vec<&str> = hashed().map(|(_, hash)| hash).collect();
        if hashes.is_empty() {
            return Ok(HashMap::new());
        }
        let ids = self.datastore.earlier_results(&hashes, ENGINE_VERSION).await?;
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let distinct: HashSet<i64> = ids.values().copied().collect();
        let distinct: Vec<i64> = distinct.into_iter().collect();
        let parts = self.datastore.result_parts(&distinct).await?;
        let filter = ResultFilter { ids: Some(distinct), ..ResultFilter::default() };
        let results = self.datastore.meter_results(&filter, Page::ALL).await?;
        let copies = copies_of(results, parts);
        let copy = |(id, hash): (i64, &str)| Some((id, copies.get(ids.get(hash)?)?.clone()));
        Ok(hashed().filter_map(copy).collect())
    }

    async fn aggregations(
        &self,
        runs: Vec<AggregationRun>,
        stop: &watch::Receiver<bool>,
    ) -> Result<Done, RepositoryError> {
        let mut waiting: Vec<i64> = runs.iter().map(|run| run.id).collect();
        let dropped = Dropped::default();
        let mut done = Done::default();
        for run in runs {
            // One aggregation may have a hundred thousand members; the leases of those behind it are to last.
            let lease = self.settings.lease;
            let holds = self.datastore.renew_aggregations(self.holder, &waiting, lease, now()).await;
            self.drop_some(&waiting, holds, &dropped);
            if *stop.borrow() {
                self.datastore.release_aggregations(self.holder, &waiting, now()).await?;
                return Ok(done);
            }
            waiting.retain(|id| *id != run.id);
            if locked(&dropped.lost).contains(&run.id) {
                continue;
            }
            let is_cancelled = locked(&dropped.cancelled).contains(&run.id);
            let finished = if is_cancelled {
                aggregation_ended(run.id, RunEnding::Cancelled, None)
            } else {
                self.aggregation(run).await
            };
            let held =
                again(|| self.datastore.finish_aggregations(self.holder, vec![finished.clone()], now()))
                    .await?;
            if held == [true] {
                done.aggregations += 1;
                let (id, ending, failure) =
                    (finished.id, finished.ending, finished.failure_message.as_deref());
                self.observer.ended(Ended::Aggregation { id, ending, failure });
            }
        }
        Ok(done)
    }

    async fn aggregation(&self, run: AggregationRun) -> FinishedAggregation {
        let id = run.id;
        let members = async {
            let selection = aggregate::selection_of(&self.datastore, &run).await?;
            self.datastore.aggregation_members(&selection).await
        };
        match members.await {
            Ok(members) => {
                let computed = tokio::task::spawn_blocking(move || aggregate::compute(&run, &members)).await;
                let failed = |error: tokio::task::JoinError| {
                    aggregation_ended(id, RunEnding::Failed, Some(format!("a fault of the program: {error}")))
                };
                computed.unwrap_or_else(failed)
            }
            Err(error) => aggregation_ended(id, RunEnding::Failed, Some(in_full(&error))),
        }
    }

    fn drop_some(&self, ids: &[i64], holds: Result<Vec<Hold>, RepositoryError>, dropped: &Dropped) {
        match holds {
            Ok(holds) => {
                for (id, hold) in ids.iter().zip(holds) {
                    match hold {
                        Hold::Held => {}
                        Hold::Cancel => drop(locked(&dropped.cancelled).insert(*id)),
                        Hold::Lost => drop(locked(&dropped.lost).insert(*id)),
                    }
                }
            }
            Err(error) => tracing::warn!(cause = in_full(&error), "can't renew the leases of runs"),
        }
    }
}

/// A run is one of thousands: a fault in it is its own.
fn computed(run: &Prepared, earlier: Option<NewMeterResult>) -> FinishedRun {
    if let Some(result) = earlier {
        return run.with_earlier(result);
    }
    catch_unwind(AssertUnwindSafe(|| run.compute())).unwrap_or_else(|_| {
        let message = "a fault of the program: the computation panicked; the log has more".to_owned();
        ended(run.id, RunEnding::Failed, Some(message))
    })
}

fn ended(id: i64, ending: RunEnding, failure_message: Option<String>) -> FinishedRun {
    FinishedRun { id, ending, failure_message, traceback: None, input_hash: None, result: None }
}

fn aggregation_ended(id: i64, ending: RunEnding, failure_message: Option<String>) -> FinishedAggregation {
    FinishedAggregation { id, ending, failure_message, traceback: None, input_hash: None, result: None }
}

/// Tries once more where a database fails in passing: what was computed is not to be lost for that.
async fn again<T, F: Future<Output = Result<T, RepositoryError>>>(
    mut finish: impl FnMut() -> F,
) -> Result<T, RepositoryError> {
    let mut tries = 1;
    loop {
        match finish().await {
            Err(error) if tries < TRIES => {
                tracing::warn!(cause = in_full(&error), "can't put down how runs ended");
                tries += 1;
                tokio::time::sleep(PAUSE).await;
            }
            answer => return answer,
        }
    }
}
