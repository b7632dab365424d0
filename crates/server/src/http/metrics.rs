//! What the server counts, as Prometheus reads it at `/metrics`.

use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// A request, as far as it is counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    method: String,
    /// The route, not the path: that has names of catalogs.
    route: String,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    route: String,
}

/// All that is counted. Parts of the server add what is theirs with [`Metrics::register`].
pub(crate) struct Metrics {
    registry: Mutex<Registry>,
    requests: Family<Request, Counter>,
    seconds: Family<Route, Histogram, fn() -> Histogram>,
    /// Requests whose answer has not begun.
    pub(crate) waiting: Gauge,
}

impl Default for Metrics {
    fn default() -> Metrics {
        let requests = Family::default();
        // From 0.1 ms to 100 s.
        let buckets: fn() -> Histogram = || Histogram::new(exponential_buckets(1e-4, 4.0, 11));
        let seconds = Family::new_with_constructor(buckets);
        let waiting = Gauge::default();
        let mut registry = Registry::with_prefix("sheaf");
        registry.register("http_requests", "Requests that were answered", requests.clone());
        registry.register(
            "http_request_duration_seconds",
            "Time until an answer began, in seconds",
            seconds.clone(),
        );
        registry.register("http_requests_waiting", "Requests whose answer has not begun", waiting.clone());
        Metrics { registry: Mutex::new(registry), requests, seconds, waiting }
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// Adds metrics of a part of the server.
    pub(crate) fn register(&self, add: impl FnOnce(&mut Registry)) {
        if let Ok(mut registry) = self.registry.lock() {
            add(&mut registry);
        }
    }

    /// Counts a request that was answered.
    pub(crate) fn answered(&self, method: &str, route: &str, status: u16, after: Duration) {
        let request = Request { method: method.to_owned(), route: route.to_owned(), status };
        self.requests.get_or_create(&request).inc();
        self.seconds.get_or_create(&Route { route: route.to_owned() }).observe(after.as_secs_f64());
    }

    /// All of it, in the text format of OpenMetrics.
    pub(crate) fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        if let Ok(registry) = self.registry.lock() {
            encode(&mut text, &registry)?;
        }
        Ok(text)
    }
}
