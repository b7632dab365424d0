//! What all requests share.

use std::sync::Arc;

use sheaf_metering::weather::WeatherStore;
use sheaf_model::CatalogId;
use tokio::sync::{Mutex, watch};

use super::ServeError;
use super::auth::Anonymous;
use super::auth::gate::{Gate, Who};
use super::auth::limiter::Limiter;
use super::auth::oidc::Providers;
use super::auth::rights::{Action, CatalogFacts};
use super::jobs::{Artifacts, Jobs};
use super::metrics::Metrics;
use super::runs::Runs;
use super::streaming::{StreamLimits, Streams};
use crate::catalogs::{OwnerRights, Owners};
use crate::data::Data;
use crate::settings::Settings;

/// The application, as handlers take it.
pub(crate) type Shared = Arc<App>;

/// What all requests share.
pub(crate) struct App {
    pub(crate) data: Data,
    pub(crate) settings: Settings,
    pub(crate) metrics: Metrics,
    /// Makes answers of values.
    pub(crate) streams: Streams,
    /// What can be read without credentials.
    pub(crate) anonymous: Anonymous,
    /// Who has which secret, and what users may do.
    pub(crate) access: Arc<Gate>,
    /// Who signs users in, beside passwords.
    pub(crate) providers: Providers,
    /// Failures to sign in with a password.
    pub(crate) sign_ins: Limiter,
    pub(crate) jobs: Jobs,
    pub(crate) runs: Runs,
    /// Temperatures for inputs and outputs of runs.
    pub(crate) weather: WeatherStore,
    /// Held by whoever changes which records a trace has.
    pub(crate) trace_records: Mutex<()>,
    stopping: watch::Sender<bool>,
}

impl App {
    /// The application over these data.
    ///
    /// # Errors
    /// A setting that is not right.
    pub(crate) fn new(mut data: Data, settings: Settings) -> Result<App, ServeError> {
        data.catalogs
            .configure(settings.general.sample_catalog, &settings.sources)
            .map_err(|problem| ServeError::Setting { key: "source", problem })?;
        let anonymous = Anonymous::new(&settings.auth.anonymous_read)?;
        let limits = &settings.limits;
        let streams = Streams::new(StreamLimits {
            scans: limits.scans,
            memory: limits.memory_bytes as u64,
            stall: limits.stall,
        });
        let metrics = Metrics::default();
        metrics.register(|registry| streams.register(registry));
        let providers = Providers::new(&settings.auth.oidc)?;
        let access = Arc::new(Gate::new(&data.database, providers.enabled()));
        data.catalogs.set_owners(owners(access.clone()));
        let artifacts = Artifacts::new(&data.folder, settings.jobs.artifact_retention);
        let jobs = Jobs::new(data.database.jobs(), artifacts);
        metrics.register(|registry| jobs.register(registry));
        let runs = Runs::default();
        metrics.register(|registry| runs.register(registry));
        let weather = WeatherStore::new(data.store.clone());
        Ok(App {
            data,
            settings,
            metrics,
            streams,
            anonymous,
            access,
            providers,
            sign_ins: Limiter::default(),
            jobs,
            runs,
            weather,
            trace_records: Mutex::new(()),
            stopping: watch::Sender::new(false),
        })
    }

    /// Tells all that goes on in the background to end.
    pub(crate) fn stop(&self) {
        self.stopping.send_replace(true);
    }

    /// Waits until the server is told to stop.
    pub(crate) async fn stopped(&self) {
        // An error would mean that the sender is gone, and it is a part of this.
        let _ = self.stopping.subscribe().wait_for(|stops| *stops).await;
    }

    /// Says true once the server is told to stop.
    pub(crate) fn stops(&self) -> watch::Receiver<bool> {
        self.stopping.subscribe()
    }

    /// Whether the server was told to stop.
    pub(crate) fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// Puts away what is still to be written.
    pub(crate) async fn close(&self) {
        self.data.rollups.flush().await;
        self.data.database.clone().close().await;
    }
}

/// What owners of pipelines may do.
fn owners(access: Arc<Gate>) -> Owners {
    Arc::new(move |owner: String| {
        let access = access.clone();
        Box::pin(async move {
            let who = access.by_id(&owner).await?;
            Ok(who.map(|who| Arc::new(Owner(who)) as Arc<dyn OwnerRights>))
        })
    })
}

/// The owner of a pipeline.
struct Owner(Arc<Who>);

impl OwnerRights for Owner {
    fn may_write(&self, catalog: &CatalogId, groups: &[String]) -> bool {
        let facts = CatalogFacts { groups: groups.to_vec(), ..CatalogFacts::default() };
        self.0.rights.may(Action::Write, catalog, &facts)
    }

    fn may_use_locator(&self, locator: &str) -> bool {
        self.0.rights.may_use_locator(locator)
    }
}
