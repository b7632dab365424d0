//! Runs that commands ask for, done in this process or by a server beside it.

use std::time::Duration;

use sheaf_db::RepositoryError;
use sheaf_db::datastore::{AggregationFilter, Progress, RunFilter};
use sheaf_metering::worker::{Worker, WorkerError, WorkerSettings};
use sheaf_store::{StoreError, Watch};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::data::Data;

/// How often progress is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// Why runs were not waited for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunsError {
    /// The database fails.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// Runs can't be done.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// Somebody has interrupted the command.
    #[error("interrupted: runs that have not begun wait for a server, or for the next `--wait`")]
    Interrupted,
}

/// Runs of one kind.
#[derive(Clone, Debug)]
pub(crate) enum Which {
    /// Meter runs.
    Meter(RunFilter),
    /// Aggregation runs.
    Aggregation(AggregationFilter),
}

impl Which {
    /// How far they are.
    pub(crate) async fn progress(&self, data: &Data) -> Result<Progress, RepositoryError> {
        let datastore = data.database.datastore();
        match self {
            Which::Meter(filter) => datastore.run_progress(filter).await,
            Which::Aggregation(filter) => datastore.aggregation_progress(filter).await,
        }
    }

    const fn name(&self) -> &'static str {
        match self {
            Which::Meter(_) => "meter runs",
            Which::Aggregation(_) => "aggregations",
        }
    }
}

/// Does all runs that wait, together with others who do, until these have ended.
pub(crate) async fn work_until_ended(
    data: &Data,
    which: &Which,
    watch: &Watch,
) -> Result<Progress, RunsError> {
    let (datastore, store) = (data.database.datastore(), data.store.clone());
    let worker = Worker::new(datastore, store, (), WorkerSettings::default(), rand::random());
    let (stop, stopped) = watch::channel(false);
    loop {
        let working = worker.work_off(&stopped);
        tokio::pin!(working);
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                done = &mut working => break done.map(drop)?,
                _ = look.tick() => {
                    let progress = which.progress(data).await?;
                    if say(watch, which, &progress).is_err() {
                        // What is being computed is put down first.
                        stop.send_replace(true);
                    }
                }
            }
        }
        let progress = which.progress(data).await?;
        if progress.unended() == 0 {
            return Ok(progress);
        }
        say(watch, which, &progress).map_err(|_| RunsError::Interrupted)?;
        // Others do them, or have died over them.
        sleep(LOOK).await;
    }
}

/// Waits until others have ended these runs; for at most so long.
pub(crate) async fn wait_until_ended(
    data: &Data,
    which: &Which,
    watch: &Watch,
    every: Duration,
    at_most: Option<Duration>,
) -> Result<Progress, RunsError> {
    let begun = std::time::Instant::now();
    loop {
        let progress = which.progress(data).await?;
        let left = at_most.map(|at_most| at_most.saturating_sub(begun.elapsed()));
        if progress.unended() == 0 || left.is_some_and(|left| left.is_zero()) {
            return Ok(progress);
        }
        let next = every.min(left.unwrap_or(every));
        let until = std::time::Instant::now() + next;
        loop {
            say(watch, which, &progress).map_err(|_| RunsError::Interrupted)?;
            let left = until.saturating_duration_since(std::time::Instant::now());
            if left.is_zero() {
                break;
            }
            sleep(left.min(LOOK)).await;
        }
    }
}

fn say(watch: &Watch, which: &Which, progress: &Progress) -> Result<(), StoreError> {
    watch.step(which.name(), progress.ended(), progress.ended() + progress.unended())
}
