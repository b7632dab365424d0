//! What the server says of itself, and what it does not have.

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::app::Shared;
use crate::http::auth::Caller;
use crate::http::errors::ApiError;
use crate::http::extract::Json;

/// The type of files that exports have where nobody says which.
const FILE_TYPE: &str = "Nexus.Writers.Csv";

/// The type of files that exports have where nobody says which.
#[utoipa::path(get, path = "/api/v1/system/file-type", tag = "system", responses(
    (status = 200, body = Option<String>),
    (status = 401, description = "Nobody has signed in", body = String),
))]
pub(crate) async fn file_type(caller: Caller) -> Result<Json<Option<&'static str>>, ApiError> {
    caller.require_user()?;
    Ok(Json(Some(FILE_TYPE)))
}

/// Where users find help; null if nobody has said.
#[utoipa::path(get, path = "/api/v1/system/help-link", tag = "system", responses(
    (status = 200, body = Option<String>),
    (status = 401, description = "Nobody has signed in", body = String),
))]
pub(crate) async fn help_link(
    State(app): State<Shared>,
    caller: Caller,
) -> Result<Json<Option<String>>, ApiError> {
    caller.require_user()?;
    Ok(Json(app.settings.general.help_link.clone()))
}

/// What the server is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SystemInfo {
    /// The version of the program.
    version: &'static str,
    /// What the server calls itself.
    application_name: String,
    /// Where users find help.
    help_link: Option<String>,
    /// Where a browser signs out.
    logout_url: Option<String>,
    /// Whether there is an endpoint for Nexus's own charts. There is none; `series` has `maxPoints`.
    decimation_available: bool,
    /// The type of files that exports have where nobody says which.
    default_file_type: &'static str,
}

/// What the server is.
#[utoipa::path(get, path = "/api/v1/system", tag = "system", responses(
    (status = 200, body = SystemInfo),
    (status = 401, description = "Nobody has signed in", body = String),
))]
pub(crate) async fn system(State(app): State<Shared>, caller: Caller) -> Result<Json<SystemInfo>, ApiError> {
    caller.require_user()?;
    let general = &app.settings.general;
    Ok(Json(SystemInfo {
        version: env!("CARGO_PKG_VERSION"),
        application_name: general.application_name.clone(),
        help_link: general.help_link.clone(),
        logout_url: None,
        decimation_available: false,
        default_file_type: FILE_TYPE,
    }))
}

/// There are no packages: sources and writers are part of the program.
fn no_packages(caller: &Caller) -> ApiError {
    match caller.require_admin() {
        Err(error) => error,
        Ok(()) => ApiError::not_implemented(
            "there are no packages here: sources and writers are part of the program, see sources/descriptions and \
             writers/descriptions",
        ),
    }
}

/// Packages, which there are none of.
#[utoipa::path(get, path = "/api/v1/packagereferences", tag = "system", responses(
    (status = 401, description = "Nobody has signed in", body = String),
    (status = 403, description = "For administrators", body = String),
    (status = 501, description = "There are no packages", body = String),
))]
pub(crate) async fn packages(caller: Caller) -> ApiError {
    no_packages(&caller)
}

/// Adds a package, which there are none of.
#[utoipa::path(post, path = "/api/v1/packagereferences", tag = "system", responses(
    (status = 401, description = "Nobody has signed in", body = String),
    (status = 403, description = "For administrators", body = String),
    (status = 501, description = "There are no packages", body = String),
))]
pub(crate) async fn create_package(caller: Caller) -> ApiError {
    no_packages(&caller)
}

/// Replaces a package, which there are none of.
#[utoipa::path(put, path = "/api/v1/packagereferences", tag = "system", responses(
    (status = 401, description = "Nobody has signed in", body = String),
    (status = 403, description = "For administrators", body = String),
    (status = 501, description = "There are no packages", body = String),
))]
pub(crate) async fn replace_package(caller: Caller) -> ApiError {
    no_packages(&caller)
}

/// Removes a package, which there are none of.
#[utoipa::path(delete, path = "/api/v1/packagereferences/{packageId}", tag = "system",
    params(("packageId" = String, Path, description = "Its id")),
    responses(
        (status = 401, description = "Nobody has signed in", body = String),
        (status = 403, description = "For administrators", body = String),
        (status = 501, description = "There are no packages", body = String),
))]
pub(crate) async fn delete_package(caller: Caller) -> ApiError {
    no_packages(&caller)
}

/// Versions of a package, which there are none of.
#[utoipa::path(get, path = "/api/v1/packagereferences/{packageId}/versions", tag = "system",
    params(("packageId" = String, Path, description = "Its id")),
    responses(
        (status = 401, description = "Nobody has signed in", body = String),
        (status = 403, description = "For administrators", body = String),
        (status = 501, description = "There are no packages", body = String),
))]
pub(crate) async fn package_versions(caller: Caller) -> ApiError {
    no_packages(&caller)
}
