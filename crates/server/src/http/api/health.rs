//! Whether the server is well, and what it has counted.

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::app::Shared;
use crate::http::errors::ApiError;
use crate::http::extract::Json;

/// How the server is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    /// `ok`.
    status: &'static str,
    /// The version of the program.
    version: &'static str,
}

const WELL: Health = Health { status: "ok", version: env!("CARGO_PKG_VERSION") };

/// The process is there.
#[utoipa::path(get, path = "/health/live", tag = "health", security(()), responses((status = 200, body = Health)))]
pub(crate) async fn live() -> Json<Health> {
    Json(WELL)
}

/// The database answers, and the server is not about to stop.
#[utoipa::path(get, path = "/health/ready", tag = "health", security(()), responses(
    (status = 200, body = Health),
    (status = 503, description = "It stops, or the database does not answer", body = String),
))]
pub(crate) async fn ready(State(app): State<Shared>) -> Result<Json<Health>, ApiError> {
    if app.is_stopping() {
        return Err(ApiError::unavailable("the server is about to stop"));
    }
    match app.data.store.head().await {
        Ok(_) => Ok(Json(WELL)),
        Err(error) => {
            tracing::error!(cause = sheaf_store::in_full(&error), "not ready");
            Err(ApiError::unavailable("the database does not answer"))
        }
    }
}

/// What was counted, in the text format of OpenMetrics.
#[utoipa::path(get, path = "/metrics", tag = "health", security(()), responses(
    (status = 200, body = String, content_type = "application/openmetrics-text"),
))]
pub(crate) async fn metrics(State(app): State<Shared>) -> Result<impl IntoResponse, ApiError> {
    app.jobs.count().await;
    let text = app.metrics.text().map_err(|error| ApiError::internal("metrics can't be written", &error))?;
    Ok(([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text))
}
