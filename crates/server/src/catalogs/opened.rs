//! Sources that are open. Each is opened when somebody asks for it first, looked at again when what is known of it has become
//! old, and kept as long as its settings stay the same. One that fails is a matter of its own catalog alone.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use sheaf_model::{CatalogId, Properties};
use sheaf_sources::{DataSource, SourceConfig, SourceError, SourceSeries};
use sheaf_store::in_full;
use tokio::sync::Mutex;

/// How long what is known of a source counts as new. 5 s: nobody waits long for a new file to show, and a folder that many
/// look at is listed rarely.
const FRESH: Duration = Duration::from_secs(5);

/// How long a source that has failed is left alone. 2 s: whoever waits for it to come back does not wait long, and one that
/// takes its time to fail does not hold up everybody.
const RETRY: Duration = Duration::from_secs(2);

/// How long a source may take to say what it has.
const PATIENCE: Duration = Duration::from_secs(60);

/// A source that can't be had.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum SourceFailure {
    /// It says why.
    #[error("the source of the catalog `{catalog}` fails: {}", in_full(&**error))]
    Failed {
        /// The catalog.
        catalog: CatalogId,
        /// Why.
        error: Arc<SourceError>,
    },
    /// It does not answer.
    #[error("the source of the catalog `{catalog}` ({kind}) did not answer within {seconds} s")]
    NoAnswer {
        /// The catalog.
        catalog: CatalogId,
        /// The kind of the source.
        kind: String,
        /// How long it was waited for.
        seconds: u64,
    },
    /// Its settings can't be.
    #[error("the source of the catalog `{catalog}` ({kind}) has settings that can't be: {problem}")]
    Settings {
        /// The catalog.
        catalog: CatalogId,
        /// The kind of the source.
        kind: String,
        /// What is wrong.
        problem: String,
    },
    /// It panicked.
    #[error("the source of the catalog `{catalog}` ({kind}) failed in a way it should not: {problem}")]
    Task {
        /// The catalog.
        catalog: CatalogId,
        /// The kind of the source.
        kind: String,
        /// What happened.
        problem: String,
    },
}

/// A source as it was when somebody last looked.
#[derive(Debug)]
pub(crate) struct OpenSource {
    pub(crate) source: Arc<dyn DataSource>,
    /// What it has, in the order of resources and periods.
    pub(crate) series: Vec<SourceSeries>,
    /// What it says of its catalog.
    pub(crate) properties: Properties,
}

impl OpenSource {
    /// Asks a source what it has. Blocks.
    fn look(source: Arc<dyn DataSource>) -> Result<OpenSource, SourceError> {
        let (series, properties) = (source.series()?, source.properties()?);
        Ok(OpenSource { source, series, properties })
    }

    fn says_the_same(&self, other: &OpenSource) -> bool {
        self.series == other.series && self.properties == other.properties
    }
}

/// The place of a source, open or not.
pub(crate) struct Slot {
    /// Whose catalog it is, or is a part of.
    catalog: CatalogId,
    kind: String,
    /// Its settings, or what is wrong with them.
    config: Result<SourceConfig, String>,
    /// What tells its settings from others.
    fingerprint: String,
    state: Mutex<State>,
    /// What is known of it without asking.
    known: std::sync::Mutex<Option<Arc<OpenSource>>>,
}

#[derive(Default)]
struct State {
    open: Option<Arc<OpenSource>>,
    looked: Option<Instant>,
    failed: Option<(Instant, SourceFailure)>,
}

/// Without its settings, which may hold passwords.
impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot")
            .field("catalog", &self.catalog)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

impl Slot {
    pub(super) fn new(
        catalog: CatalogId,
        kind: String,
        config: Result<SourceConfig, String>,
        fingerprint: String,
    ) -> Slot {
        Slot {
            catalog,
            kind,
            config,
            fingerprint,
            state: Mutex::default(),
            known: std::sync::Mutex::default(),
        }
    }

    /// What tells its settings from others.
    pub(super) fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// What was known of it when somebody last asked; it is not asked now.
    pub(super) fn known(&self) -> Option<Arc<OpenSource>> {
        self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// The source, with what it has now. Those who ask at the same time wait for one answer.
    pub(super) async fn open(&self) -> Result<Arc<OpenSource>, SourceFailure> {
        let config = match &self.config {
            Ok(config) => config.clone(),
            Err(problem) => {
                let (catalog, problem) = (self.catalog.clone(), problem.clone());
                return Err(SourceFailure::Settings { catalog, kind: self.kind.clone(), problem });
            }
        };
        let mut state = self.state.lock().await;
        if let Some((at, error)) = &state.failed
            && at.elapsed() < RETRY
        {
            return Err(error.clone());
        }
        if let (Some(open), Some(looked), None) = (&state.open, state.looked, &state.failed)
            && looked.elapsed() < FRESH
        {
            return Ok(open.clone());
        }
        let before = state.open.clone();
        let found = self
            .asked(move || match before {
                Some(open) => {
                    open.source.refresh()?;
                    OpenSource::look(open.source.clone())
                }
                None => OpenSource::look(config.open()?),
            })
            .await;
        match found {
            Ok(found) => {
                let same = state.open.take().filter(|open| open.says_the_same(&found));
                let open = same.unwrap_or_else(|| Arc::new(found));
                if state.failed.take().is_some() {
                    tracing::info!(catalog = %self.catalog, kind = self.kind, "a source answers again");
                }
                (state.open, state.looked) = (Some(open.clone()), Some(Instant::now()));
                *self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(open.clone());
                Ok(open)
            }
            Err(error) => {
                if state.failed.is_none() {
                    let cause = in_full(&error);
                    tracing::warn!(catalog = %self.catalog, kind = self.kind, cause, "a source fails");
                }
                state.failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    /// The same source for a request that brings a configuration of its own; `None` if that is no matter of this source.
    pub(super) async fn for_request(
        &self,
        open: &OpenSource,
        configuration: &Arc<Value>,
    ) -> Result<Option<OpenSource>, SourceFailure> {
        let (source, configuration) = (open.source.clone(), configuration.clone());
        self.asked(move || source.with_request(&configuration)?.map(OpenSource::look).transpose()).await
    }

    /// How much of some ranges is there, as far as the source knows.
    pub(super) async fn availability(
        &self,
        source: &Arc<dyn DataSource>,
        ranges: Vec<sheaf_model::TimeRange>,
    ) -> Result<Vec<Option<f64>>, SourceFailure> {
        let source = source.clone();
        self.asked(move || ranges.into_iter().map(|range| source.availability(range)).collect()).await
    }

    /// What a source says, within reasonable time.
    async fn asked<T: Send + 'static>(
        &self,
        ask: impl FnOnce() -> Result<T, SourceError> + Send + 'static,
    ) -> Result<T, SourceFailure> {
        let (catalog, kind) = (self.catalog.clone(), self.kind.clone());
        match tokio::time::timeout(PATIENCE, tokio::task::spawn_blocking(ask)).await {
            Ok(Ok(Ok(answer))) => Ok(answer),
            Ok(Ok(Err(error))) => Err(SourceFailure::Failed { catalog, error: Arc::new(error) }),
            Ok(Err(error)) => Err(SourceFailure::Task { catalog, kind, problem: error.to_string() }),
            Err(_) => Err(SourceFailure::NoAnswer { catalog, kind, seconds: PATIENCE.as_secs() }),
        }
    }
}
