//! Meter runs and aggregation runs, as they are done in this process.

use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use sheaf_db::datastore::RunEnding;
use sheaf_metering::worker::{Ended, Observer, Worker, WorkerSettings};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::app::Shared;

/// The way to what does runs in this process.
#[derive(Clone, Default)]
pub(crate) struct Runs {
    wake: Arc<Notify>,
    ended: Family<Ending, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ending {
    kind: &'static str,
    status: &'static str,
}

impl Runs {
    /// Adds what is counted of runs.
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register(
            "runs_ended",
            "Meter runs and aggregation runs that ended here",
            self.ended.clone(),
        );
    }

    /// Says that there are new ones.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }
}

impl Observer for Runs {
    fn ended(&self, ended: Ended<'_>) {
        let (kind, id, ending, failure) = match ended {
            Ended::MeterRun { id, ending, failure } => ("meter", id, ending, failure),
            Ended::Aggregation { id, ending, failure } => ("aggregation", id, ending, failure),
        };
        let status = match ending {
            RunEnding::Success => "SUCCESS",
            RunEnding::Failed => "FAILED",
            RunEnding::Cancelled => "CANCELLED",
        };
        self.ended.get_or_create(&Ending { kind, status }).inc();
        tracing::debug!(kind, run = id, status, failure, "run ends");
    }
}

/// What does runs in this process.
pub(crate) struct Doing(JoinHandle<()>);

impl Doing {
    /// Waits until it has ended, after the server was told to stop.
    pub(crate) async fn ended(self) {
        if let Err(error) = self.0.await {
            tracing::error!(%error, "the worker of runs ended early");
        }
    }
}

/// Begins to do runs, until the server is told to stop.
pub(crate) fn work(app: &Shared) -> Doing {
    let (datastore, store) = (app.data.database.datastore(), app.data.store.clone());
    let worker = Worker::new(datastore, store, app.runs.clone(), WorkerSettings::default(), rand::random());
    let worker = worker.woken_by(app.runs.wake.clone());
    let stops = app.stops();
    Doing(tokio::spawn(async move { worker.work(stops).await }))
}
