//! The files that belong to catalogs.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{
    CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderValue, IF_NONE_MATCH,
};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use futures_util::stream;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::json;
use sheaf_model::CatalogId;
use tokio::fs::File;
use tokio::io::AsyncReadExt;
use utoipa::IntoParams;

use super::catalogs::{catalog_id, require_catalog};
use crate::catalogs::check_name;
use crate::http::app::{App, Shared};
use crate::http::auth::{Caller, Outcome};
use crate::http::errors::ApiError;
use crate::http::extract::{Json, Path, Query};

/// Bytes of a file that are read at once.
const PART: usize = 1 << 16;

/// Attachments that are looked up at once where nobody says how many.
const PAGE: usize = 1000;

/// What the type of an attachment has to be.
const OCTETS: &str = "application/octet-stream";

/// Characters of a file name that are written as they are (RFC 8187).
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'-').remove(b'_');

/// Pages of attachments, for who does not want all at once.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct AttachmentPage {
    /// Attachments at most; without it, all.
    limit: Option<usize>,
    /// Go on behind this attachment: the last one of the page before.
    after: Option<String>,
}

/// The names of the attachments of a catalog: relative paths.
#[utoipa::path(get, path = "/api/v1/catalogs/{catalogId}/attachments", tag = "attachments",
    params(("catalogId" = String, Path, description = "The id, as one segment", example = "/SAMPLE/LOCAL"), AttachmentPage),
    responses(
        (status = 200, body = Vec<String>),
        (status = 400, description = "A parameter can't be read", body = String),
        (status = 401, description = "Nobody has signed in", body = String),
        (status = 403, description = "The catalog may not be read", body = String),
        (status = 404, description = "There is no such catalog", body = String),
        (status = 422, description = "The id is none", body = String),
))]
pub(crate) async fn list(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
    Query(page): Query<AttachmentPage>,
) -> Result<Json<Vec<String>>, ApiError> {
    let id = catalog_id(&id)?;
    caller.require_read(&app, &id).await?;
    require_catalog(&app, &id).await?;
    let limit = page.limit.unwrap_or(usize::MAX);
    let (mut names, mut after) = (Vec::new(), page.after.filter(|after| !after.contains('\0')));
    while names.len() < limit {
        let wanted = PAGE.min(limit - names.len());
        let found = app.data.catalogs.attachments().of(&id, after.as_deref(), wanted).await?;
        match found.last() {
            Some(last) => after = Some(last.name.clone()),
            None => break,
        }
        names.extend(found.into_iter().map(|attachment| attachment.name));
    }
    Ok(Json(names))
}

/// Puts an attachment, in place of one with the same name. It is received as a whole, or not at all.
#[utoipa::path(put, path = "/api/v1/catalogs/{catalogId}/attachments/{attachmentId}", tag = "attachments",
    params(
        ("catalogId" = String, Path, description = "The id, as one segment", example = "/SAMPLE/LOCAL"),
        ("attachmentId" = String, Path, description = "Its name, as one segment: a relative path", example = "docs/plan.pdf"),
    ),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses(
        (status = 200, description = "It is kept"),
        (status = 401, description = "Nobody has signed in", body = String),
        (status = 403, description = "The catalog may not be changed", body = String),
        (status = 404, description = "There is no such catalog", body = String),
        (status = 413, description = "The file is too large", body = String),
        (status = 415, description = "The body is not declared as application/octet-stream", body = String),
        (status = 422, description = "The id or the name is none", body = String),
))]
pub(crate) async fn put(
    State(app): State<Shared>,
    caller: Caller,
    Path((id, name)): Path<(String, String)>,
    request: Request,
) -> Result<(), ApiError> {
    let id = catalog_id(&id)?;
    caller.require_write(&app, &id).await?;
    require_catalog(&app, &id).await?;
    check_name(&name)?;
    if request.headers().get(CONTENT_TYPE).is_none_or(|found| found != OCTETS) {
        return Err(ApiError::unsupported(format!("the header Content-Type must be exactly {OCTETS}")));
    }
    let most_bytes = app.settings.limits.upload_bytes;
    let length =
        request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > most_bytes) {
        return Err(ApiError::too_large(format!(
            "the attachment is larger than {most_bytes} bytes (limits.upload)"
        )));
    }
    let mut upload = app.data.catalogs.attachments().receive(most_bytes).await?;
    let mut body = request.into_body().into_data_stream();
    while let Some(part) = body.next().await {
        let part = part.map_err(|error| ApiError::bad_request(format!("the body ended early: {error}")))?;
        upload.write(&part).await?;
    }
    upload.finish(&id, &name).await?;
    record(&app, &caller, "attachment.put", &id, &name).await
}

/// Removes an attachment. It is no error if there is none.
#[utoipa::path(delete, path = "/api/v1/catalogs/{catalogId}/attachments/{attachmentId}", tag = "attachments",
    params(
        ("catalogId" = String, Path, description = "The id, as one segment", example = "/SAMPLE/LOCAL"),
        ("attachmentId" = String, Path, description = "Its name, as one segment", example = "docs/plan.pdf"),
    ),
    responses(
        (status = 200, description = "It is not there"),
        (status = 401, description = "Nobody has signed in", body = String),
        (status = 403, description = "The catalog may not be changed", body = String),
        (status = 404, description = "There is no such catalog", body = String),
        (status = 422, description = "The id is none", body = String),
))]
pub(crate) async fn delete(
    State(app): State<Shared>,
    caller: Caller,
    Path((id, name)): Path<(String, String)>,
) -> Result<(), ApiError> {
    let id = catalog_id(&id)?;
    caller.require_write(&app, &id).await?;
    require_catalog(&app, &id).await?;
    app.data.catalogs.attachments().remove(&id, &name).await?;
    record(&app, &caller, "attachment.remove", &id, &name).await
}

/// Puts on record what was done with an attachment: one of them is the licence.
async fn record(
    app: &App,
    caller: &Caller,
    action: &str,
    id: &CatalogId,
    name: &str,
) -> Result<(), ApiError> {
    app.audit(caller, action, id.as_str(), Outcome::Done, json!({ "attachment": name })).await
}

/// The bytes of an attachment.
#[utoipa::path(get, path = "/api/v1/catalogs/{catalogId}/attachments/{attachmentId}/content", tag = "attachments",
    params(
        ("catalogId" = String, Path, description = "The id, as one segment", example = "/SAMPLE/LOCAL"),
        ("attachmentId" = String, Path, description = "Its name, as one segment", example = "docs/plan.pdf"),
        ("If-None-Match" = Option<String>, Header, description = "The ETag of what the client has"),
    ),
    responses(
        (status = 200, body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 304, description = "The client has it"),
        (status = 401, description = "Nobody has signed in", body = String),
        (status = 403, description = "The catalog may not be read", body = String),
        (status = 404, description = "There is no such catalog or attachment", body = String),
        (status = 422, description = "The id is none", body = String),
))]
pub(crate) async fn content(
    State(app): State<Shared>,
    caller: Caller,
    Path((id, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let id = catalog_id(&id)?;
    caller.require_read(&app, &id).await?;
    let found = app.data.catalogs.attachments().open(&id, &name).await?;
    let Some((attachment, file)) = found else {
        let name = name.escape_debug();
        return Err(ApiError::not_found(format!("the catalog `{id}` has no attachment `{name}`")));
    };
    let etag = format!("\"{}\"", attachment.sha256);
    let is_known = |value: &HeaderValue| {
        value.to_str().is_ok_and(|tags| {
            tags.split(',').map(str::trim).any(|tag| tag == "*" || tag.trim_start_matches("W/") == etag)
        })
    };
    let tag = HeaderValue::try_from(&etag)
        .map_err(|error| ApiError::internal("the digest can't be sent", &error))?;
    if headers.get_all(IF_NONE_MATCH).iter().any(is_known) {
        return Ok((StatusCode::NOT_MODIFIED, [(ETAG, tag)]).into_response());
    }
    let file_name = attachment.name.rsplit('/').next().unwrap_or_default();
    let encoded = utf8_percent_encode(file_name, PLAIN);
    let plain: String = file_name
        .chars()
        .map(|c| if c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '%') || c == ' ' { c } else { '_' })
        .collect();
    let disposition = format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}");
    let disposition = HeaderValue::try_from(disposition)
        .map_err(|error| ApiError::internal("the file name can't be sent", &error))?;
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(OCTETS)),
        (CONTENT_LENGTH, HeaderValue::from(attachment.bytes)),
        (CONTENT_DISPOSITION, disposition),
        (ETAG, tag),
    ];
    Ok((headers, body_of(file, attachment.bytes)).into_response())
}

/// The bytes of a file, part by part; an error ends the connection.
fn body_of(file: File, bytes: u64) -> Body {
    let parts = stream::try_unfold((file, bytes), |(mut file, left)| async move {
        if left == 0 {
            return Ok::<_, std::io::Error>(None);
        }
        let mut part = vec![0; PART.min(usize::try_from(left).unwrap_or(PART))];
        let read = file.read(&mut part).await?;
        if read == 0 {
            return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof));
        }
        part.truncate(read);
        Ok(Some((bytes::Bytes::from(part), (file, left - read as u64))))
    });
    Body::from_stream(parts)
}
