//! What all requests share.

use std::sync::Arc;

use tokio::sync::watch;

use super::ServeError;
use super::auth::Anonymous;
use super::auth::gate::Gate;
use super::auth::limiter::Limiter;
use super::auth::oidc::Providers;
use super::metrics::Metrics;
use super::streaming::{StreamLimits, Streams};
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
    pub(crate) access: Gate,
    /// Who signs users in, beside passwords.
    pub(crate) providers: Providers,
    /// Failures to sign in with a password.
    pub(crate) sign_ins: Limiter,
    stopping: watch::Sender<bool>,
}

impl App {
    /// The application over these data.
    ///
    /// # Errors
    /// A setting that is not right.
    pub(crate) fn new(data: Data, settings: Settings) -> Result<App, ServeError> {
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
        let access = Gate::new(&data.database, providers.enabled());
        Ok(App {
            data,
            settings,
            metrics,
            streams,
            anonymous,
            access,
            providers,
            sign_ins: Limiter::default(),
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
