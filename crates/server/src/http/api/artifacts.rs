//! What exports have made, to be downloaded.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH, IF_RANGE,
    RANGE,
};
use axum::response::{IntoResponse, Response};
use sheaf_db::Artifact;
use tower_http::services::ServeFile;
use uuid::Uuid;

use crate::http::app::{App, Shared};
use crate::http::auth::Caller;
use crate::http::errors::ApiError;
use crate::http::extract::Path;
use crate::http::jobs::Owner;

/// An artifact, by the name that the result of its job has: `<id>.zip`. Ranges of bytes can be asked for, so a download that
/// broke off can go on.
#[utoipa::path(get, path = "/api/v1/artifacts/{id}", tag = "jobs", params(("id" = String, Path)), responses(
    (status = 200, body = Vec<u8>, content_type = "application/octet-stream"),
    (status = 206, description = "A range of its bytes", body = Vec<u8>, content_type = "application/octet-stream"),
    (status = 304, description = "The client has it"),
    (status = 401, description = "Nobody has signed in", body = String),
    (status = 404, description = "The caller has no such artifact, or no more", body = String),
    (status = 416, description = "There are no such bytes"),
))]
pub(crate) async fn download(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
    mut request: Request,
) -> Result<Response, ApiError> {
    let artifact = own(&app, &caller, &id).await?;
    let tag = format!("\"{}\"", artifact.sha256);
    let headers = request.headers();
    if names_tag(headers, &tag) {
        return Ok((StatusCode::NOT_MODIFIED, [(ETAG, header(&tag))]).into_response());
    }
    // A range of another file than the client has the rest of would be of no use.
    let is_other = |condition: &HeaderValue| condition.as_bytes() != tag.as_bytes();
    if headers.get(IF_RANGE).is_some_and(is_other) {
        request.headers_mut().remove(RANGE);
    }
    request.headers_mut().remove(IF_RANGE);
    let file = app.jobs.artifacts.file(artifact.id);
    let served = ServeFile::new(&file).try_call(request).await;
    let served =
        served.map_err(|error| ApiError::internal(format!("the artifact {id} can't be read"), &error))?;
    if served.status() == StatusCode::NOT_FOUND {
        return Err(missing(&id));
    }
    let mut response = served.map(axum::body::Body::new);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(CONTENT_DISPOSITION, header(&format!("attachment; filename=\"{}\"", artifact.file_name)));
    headers.insert(ETAG, header(&tag));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    Ok(response)
}

fn missing(id: &str) -> ApiError {
    ApiError::not_found(format!("there is no artifact `{}`, or no more", id.escape_debug()))
}

/// An artifact of the caller, or of anybody for an administrator.
async fn own(app: &App, caller: &Caller, id: &str) -> Result<Artifact, ApiError> {
    let user = Owner::of(caller)?;
    let name: Uuid = id.strip_suffix(".zip").unwrap_or(id).parse().map_err(|_| missing(id))?;
    let artifact = app.jobs.rows.artifacts(&[name]).await?.pop().ok_or_else(|| missing(id))?;
    if artifact.owner == user.id || caller.is_admin() { Ok(artifact) } else { Err(missing(id)) }
}

fn header(text: &str) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("attachment"))
}

fn names_tag(headers: &HeaderMap, tag: &str) -> bool {
    let named = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    named.flat_map(|value| value.split(',')).any(|named| {
        let named = named.trim();
        named == "*" || named.strip_prefix("W/").unwrap_or(named) == tag
    })
}
