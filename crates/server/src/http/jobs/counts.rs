//! What is counted of jobs. How many there are is asked of the database, for all processes; how they end, how long they take
//! and how long they waited is counted where they are done.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use sheaf_db::{Ending, Job, JobState};
use sheaf_store::in_full;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::{KINDS, Stop};

/// How long the number of jobs is taken as it was.
const FRESH: Duration = Duration::from_secs(5);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfKind {
    kind: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Standing {
    kind: String,
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    kind: String,
    outcome: &'static str,
}

type Seconds = Family<OfKind, Histogram, fn() -> Histogram>;

/// What is counted.
pub(super) struct Counts {
    open: Family<Standing, Gauge>,
    ended: Family<Ended, Counter>,
    took: Seconds,
    waited: Seconds,
    /// When the database was asked last.
    asked: Mutex<Option<Instant>>,
}

impl Counts {
    pub(super) fn new() -> Counts {
        // From 10 ms to 3 hours.
        let buckets: fn() -> Histogram = || Histogram::new(exponential_buckets(0.01, 4.0, 11));
        Counts {
            open: Family::default(),
            ended: Family::default(),
            took: Family::new_with_constructor(buckets),
            waited: Family::new_with_constructor(buckets),
            asked: Mutex::default(),
        }
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        let (open, ended, took) = (self.open.clone(), self.ended.clone(), self.took.clone());
        registry.register("jobs", "Jobs that wait or are being done, by any process", open);
        registry.register("jobs_ended", "Jobs that this process has ended", ended);
        registry.register(
            "job_duration_seconds",
            "How long the last attempt at a job took, in seconds",
            took,
        );
        let waited = self.waited.clone();
        registry.register(
            "job_wait_seconds",
            "How long jobs waited until they were begun, in seconds",
            waited,
        );
    }

    /// Asks the database how many jobs there are, unless that was done a moment ago.
    pub(super) async fn ask(&self, rows: &sheaf_db::Jobs) {
        let mut asked = self.asked.lock().await;
        if asked.is_some_and(|asked| asked.elapsed() < FRESH) {
            return;
        }
        match rows.open().await {
            Ok(open) => {
                for (state, status) in [(JobState::Queued, "queued"), (JobState::Running, "running")] {
                    for kind in KINDS {
                        let found = open.iter().find(|(of, in_state, _)| of == kind && *in_state == state);
                        let count = found.map_or(0, |(.., count)| i64::try_from(*count).unwrap_or(i64::MAX));
                        self.open.get_or_create(&Standing { kind: kind.to_owned(), status }).set(count);
                    }
                }
                *asked = Some(Instant::now());
            }
            Err(error) => tracing::warn!(cause = in_full(&error), "can't count jobs"),
        }
    }

    /// Counts a job that this process has worked on for some time, if it has ended by that.
    pub(super) fn ended(&self, job: &Job, ending: &Ending, stopped: Option<Stop>, took: Duration) {
        if stopped == Some(Stop::Lost) {
            // Somebody else has it, or has ended it.
            return;
        }
        let outcome = match ending {
            Ending::Succeeded { .. } => "succeeded",
            Ending::Faulted { .. } => "faulted",
            Ending::Canceled => "canceled",
            Ending::Again { .. } if job.attempt >= job.max_attempts => "faulted",
            Ending::Again { .. } | Ending::Released => return,
        };
        let kind = job.kind.clone();
        self.ended.get_or_create(&Ended { kind: kind.clone(), outcome }).inc();
        self.took.get_or_create(&OfKind { kind: kind.clone() }).observe(took.as_secs_f64());
        let waited_ms = job.started_at_ms.unwrap_or(job.created_at_ms).saturating_sub(job.created_at_ms);
        self.waited.get_or_create(&OfKind { kind }).observe(waited_ms.max(0) as f64 / 1e3);
    }
}
