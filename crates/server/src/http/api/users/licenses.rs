//! Accepting the licence of a catalog, which opens it for reading.

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{ALLOW, HeaderValue};
use serde::Deserialize;
use serde_json::json;
use sheaf_model::CatalogId;
use utoipa::IntoParams;

use crate::http::app::Shared;
use crate::http::auth::{Caller, facts, secret};
use crate::http::errors::ApiError;
use crate::http::extract::{Path, Query};

/// Accept the licence of a catalog. Then the catalog may be read, until its licence changes.
#[utoipa::path(post, path = "/api/v1/catalogs/{id}/accept-license", tag = "catalogs", params(("id" = String, Path)), responses(
    (status = 204),
    (status = 401, body = String),
    (status = 404, description = "The catalog has no licence", body = String),
    (status = 422, description = "This is no id of a catalog", body = String),
))]
pub(crate) async fn accept(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let user = caller.require_user()?.user.id.clone();
    // An id, and never a pattern.
    let catalog: CatalogId =
        id.parse().map_err(|error: sheaf_model::IdError| ApiError::unprocessable(error))?;
    let license = facts::license(&app, &catalog).await?;
    let license = license
        .ok_or_else(|| ApiError::not_found(format!("the catalog {catalog} has no licence to accept")))?;
    let event = caller.event("license.accept", catalog.as_str(), json!({"bytes": license.len()}));
    app.access.rows().accept_license(&user, &catalog, secret::digest(&license), event).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A catalog.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OldWay {
    /// Its id.
    #[serde(default)]
    #[expect(dead_code, reason = "what it says changes nothing")]
    catalog_id: Option<String>,
}

/// The way of older clients, which does nothing: reading an address must not accept anything.
#[utoipa::path(get, path = "/api/v1/users/accept-license", tag = "users", security(()), params(OldWay), responses(
    (status = 405, body = String),
))]
pub(crate) async fn old_way(Query(_): Query<OldWay>) -> ApiError {
    let text =
        "a licence is accepted with POST /api/v1/catalogs/{id}/accept-license, never by following a link";
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, text).with_header(ALLOW, HeaderValue::from_static("POST"))
}
