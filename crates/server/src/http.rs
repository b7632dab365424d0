//! The server: what listens, and how it ends.
//!
//! `router.rs` lists all routes; each has its handler in `api/`. `layers.rs` is what happens to every request on its way there
//! and back, `auth.rs` says who asks, `errors.rs` turns errors into answers, `wire.rs` has the conventions of JSON and queries.
//! `datastore.rs` is the family of projects and traces, whose errors and lists are others'. `jobs.rs` is work that takes time, `runs.rs`
//! does what that family asks to be computed.

mod api;
pub(crate) mod app;
pub(crate) mod auth;
mod base_url;
mod body;
mod budget;
mod client;
mod configuration;
mod connection;
mod datastore;
mod errors;
mod extract;
mod jobs;
mod layers;
mod metrics;
mod openapi;
mod router;
mod runs;
mod streaming;
mod values;
mod wire;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum_server::tls_rustls::RustlsConfig;
use axum_server::{Handle, Server};
use hyper_util::rt::TokioTimer;

use crate::data::DataError;
use crate::settings::{Settings, Tls};
use app::App;
use connection::Patient;

/// Listens until it is told to stop, then lets requests end.
///
/// `first` is called with the first token, if nobody could sign in yet, and `ready` with the URL once connections are accepted.
///
/// # Errors
/// The address is taken, the certificate can't be used, or the data can't be opened.
pub(crate) async fn serve(
    settings: Settings,
    first: impl FnOnce(&str),
    ready: impl FnOnce(&str),
) -> Result<(), ServeError> {
    let tls = match &settings.tls {
        Some(tls) => Some(certificate(tls).await?),
        None => None,
    };
    let data = settings.place.create().await?;
    let app = Arc::new(App::new(data, settings)?);
    if let Some(token) = auth::first::first_token(app.access.rows()).await.map_err(DataError::from)? {
        first(&token);
    }
    let attachments = app.data.catalogs.attachments().clone();
    let cleaning = tokio::spawn(async move {
        match attachments.clean().await {
            Ok(0) => {}
            Ok(files) => tracing::info!(files, "removed files of attachments that nobody names"),
            Err(error) => {
                tracing::warn!(cause = sheaf_store::in_full(&error), "attachments can't be tidied up");
            }
        }
    });
    let (worker, runs) = (jobs::work(&app), runs::work(&app));
    let served = serve_app(&app, tls, ready).await;
    cleaning.abort();
    app.stop();
    worker.ended().await;
    runs.ended().await;
    app.close().await;
    served
}

async fn serve_app(
    app: &Arc<App>,
    tls: Option<RustlsConfig>,
    ready: impl FnOnce(&str),
) -> Result<(), ServeError> {
    let settings = &app.settings;
    let failed = |source| ServeError::Listen { address: settings.listen, source };
    let listener = std::net::TcpListener::bind(settings.listen).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    if tls.is_none() && !address.ip().is_loopback() {
        tracing::warn!(
            %address,
            "listening without TLS on an address that others can reach: tokens and data go over the wire in clear text; \
             set tls.certificate and tls.key, or put a server with TLS before this one"
        );
    }
    let service = router::service(app).into_make_service_with_connect_info::<SocketAddr>();
    let handle = Handle::new();
    let stopping = tokio::spawn(stop(app.clone(), handle.clone()));
    let scheme = if tls.is_some() { "https" } else { "http" };
    ready(&format!("{scheme}://{address}"));
    let served = match tls {
        None => {
            patient(axum_server::from_tcp(listener).map_err(failed)?, app).handle(handle).serve(service).await
        }
        Some(config) => {
            let server = axum_server::from_tcp_rustls(listener, config).map_err(failed)?;
            patient(server, app).handle(handle).serve(service).await
        }
    };
    stopping.abort();
    served.map_err(failed)
}

/// With limits on how long a connection may take to say what it wants.
fn patient<A: axum_server::Address, Acceptor>(
    server: Server<A, Acceptor>,
    app: &Arc<App>,
) -> Server<A, Patient<Acceptor>> {
    let limit = app.settings.limits.headers;
    let stall = app.settings.limits.stall;
    let mut server = server.map(|acceptor| Patient::new(acceptor, stall)).first_request_timeout(limit);
    let builder = server.http_builder();
    builder.http1().timer(TokioTimer::new()).header_read_timeout(limit);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(limit);
    server
}

/// Waits for a signal to stop, then lets requests end as long as they may.
async fn stop(app: Arc<App>, handle: Handle<SocketAddr>) {
    signal().await;
    let patience = app.settings.limits.shutdown;
    tracing::info!(patience_s = patience.as_secs(), open = handle.connection_count(), "stopping");
    app.stop();
    handle.graceful_shutdown(Some(patience));
    // Who asks twice means it.
    signal().await;
    handle.shutdown();
}

#[cfg(unix)]
async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        let _ = tokio::signal::ctrl_c().await;
        return;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

#[cfg(not(unix))]
async fn signal() {
    let _ = tokio::signal::ctrl_c().await;
}

async fn certificate(tls: &Tls) -> Result<RustlsConfig, ServeError> {
    RustlsConfig::from_pem_file(&tls.certificate, &tls.key).await.map_err(|source| ServeError::Certificate {
        certificate: tls.certificate.clone(),
        key: tls.key.clone(),
        source,
    })
}

/// A server that can't be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    /// The address can't be listened on.
    #[error("can't listen on {address} (--listen)")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The certificate or its key can't be used.
    #[error("can't use the certificate {} with the key {}", certificate.display(), key.display())]
    Certificate {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The data can't be opened.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A setting that is not right.
    #[error("setting `{key}`: {problem}")]
    Setting {
        /// Its name.
        key: &'static str,
        /// What is wrong, and what would be right.
        problem: String,
    },
}
