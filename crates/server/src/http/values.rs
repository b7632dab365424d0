//! From what a client asks for to an answer with values: what the routes that read have in common.

use axum::Extension;
use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue,
    IF_NONE_MATCH, RETRY_AFTER, VARY,
};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use sheaf_engine::Base;
use sheaf_model::{CatalogId, ResourcePath};
use sheaf_sources::WriteError;
use sheaf_store::in_full;

use super::app::{App, Shared};
use super::auth::Caller;
use super::configuration::Configuration;
use super::connection::Connection;
use super::errors::ApiError;
use super::streaming::{RETRY_AFTER_S, StreamError};
use crate::catalogs::RequestConfiguration;
use crate::data::{Found, blocking};
use crate::reading::encode::Format;
use crate::reading::{Request, RequestError};

/// The most paths of one request.
pub(crate) const MOST_PATHS: usize = 100;

/// What is known of a request beside its parameters.
pub(crate) struct Reader {
    caller: Caller,
    method: Method,
    headers: HeaderMap,
    connection: Option<Connection>,
    configuration: RequestConfiguration,
}

impl FromRequestParts<Shared> for Reader {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Reader, ApiError> {
        let caller = Caller::from_request_parts(parts, app).await?;
        let connection = Option::<Extension<Connection>>::from_request_parts(parts, app).await;
        let connection = connection.ok().flatten().map(|Extension(connection)| connection);
        let Configuration(configuration) = Configuration::from_request_parts(parts, app).await?;
        let (method, headers) = (parts.method.clone(), parts.headers.clone());
        Ok(Reader { caller, method, headers, connection, configuration })
    }
}

/// How an answer is sent.
pub(crate) struct Sent {
    pub(crate) format: Format,
    /// Its name in the browser's folder, if it is to go there.
    pub(crate) file: Option<&'static str>,
    /// Whether a client may keep it and ask whether it still holds.
    pub(crate) is_kept: bool,
}

impl Reader {
    /// The headers of the request.
    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// What is behind these paths, of which the caller may read all.
    pub(crate) async fn find(&self, app: &App, paths: &[ResourcePath]) -> Result<Vec<Found>, ApiError> {
        let mut allowed: Vec<&CatalogId> = Vec::new();
        for path in paths {
            if !allowed.contains(&path.catalog()) {
                self.caller.require_read(app, path.catalog()).await?;
                allowed.push(path.catalog());
            }
        }
        Ok(app.data.resolve_for(paths, &self.configuration).await?)
    }

    /// The answer to a request.
    pub(crate) async fn answer(&self, app: &App, request: Request, sent: Sent) -> Result<Response, ApiError> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type(sent.format)));
        if let Some(file) = sent.file {
            let disposition = format!("attachment; filename={file}");
            headers.extend(HeaderValue::try_from(disposition).ok().map(|value| (CONTENT_DISPOSITION, value)));
        }
        if sent.is_kept {
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
            headers.insert(VARY, HeaderValue::from_static("accept, authorization"));
            let tag = tag(&request, sent.format).await?;
            let is_known = is_known(&self.headers, &tag);
            headers.extend(HeaderValue::try_from(tag).ok().map(|value| (ETAG, value)));
            if is_known {
                headers.remove(CONTENT_TYPE);
                headers.remove(CONTENT_DISPOSITION);
                return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
            }
        }
        if self.method == Method::HEAD {
            if sent.format == Format::F64 {
                headers.insert(CONTENT_LENGTH, HeaderValue::from(request.values().saturating_mul(8)));
            }
            return Ok((headers, Body::empty()).into_response());
        }
        let (values, most) = (request.values(), app.settings.limits.response_points);
        if values > most {
            return Err(ApiError::unprocessable(format!(
                "these are {values} values; at most {most} are sent at once (limits.response_points): take a shorter range, \
                 a longer period or fewer paths"
            )));
        }
        let made = app.streams.body(request, sent.format, self.connection.clone()).await?;
        headers.extend(made.len.map(|len| (CONTENT_LENGTH, HeaderValue::from(len))));
        Ok((headers, made.body).into_response())
    }
}

/// Whether the client has what this tag stands for. Weak and strong ones are the same here: nobody asks for ranges.
fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let plain = tag.trim_start_matches("W/");
    let known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut known = known.flat_map(|value| value.split(',')).map(str::trim);
    known.any(|known| known == "*" || known.trim_start_matches("W/") == plain)
}

/// Resource paths from texts.
pub(crate) fn parse_paths(texts: &[String]) -> Result<Vec<ResourcePath>, ApiError> {
    match texts.len() {
        0 => {
            return Err(ApiError::unprocessable("there is no path to read: give at least one resource path"));
        }
        count if count > MOST_PATHS => {
            return Err(ApiError::unprocessable(format!(
                "these are {count} resource paths; at most {MOST_PATHS} are read at once"
            )));
        }
        _ => {}
    }
    texts.iter().map(|text| Ok(text.parse()?)).collect()
}

fn content_type(format: Format) -> &'static str {
    match format {
        Format::Csv => "text/csv; charset=utf-8; header=present",
        Format::Json { .. } => "application/json",
        Format::Parquet { .. } => "application/vnd.apache.parquet",
        Format::Arrow | Format::ArrowLists { .. } => "application/vnd.apache.arrow.stream",
        Format::F64 => "application/octet-stream",
    }
}

/// What changes whenever the answer to a request may. Text may be sent compressed or not, so its tag is weak.
async fn tag(request: &Request, format: Format) -> Result<String, ApiError> {
    let mut sum = Sha256::new();
    let mut add = |text: String| {
        sum.update((text.len() as u64).to_le_bytes());
        sum.update(text);
    };
    let snapshot = &request.snapshot;
    // What another version makes of the same samples may look different.
    add(env!("CARGO_PKG_VERSION").to_owned());
    add(format!("{} {} {}", snapshot.store_id(), snapshot.commit(), snapshot.nonce()));
    add(format!("{format:?} {} {}", request.range, request.period));
    add(format!("{:?}", request.threshold.map(|threshold| threshold.share().to_bits())));
    for (item, unit) in request.items.iter().zip(&request.units) {
        add(item.path.to_string());
        add(unit.clone().unwrap_or_default());
        if let Base::InPlace { source, series, .. } = &item.base {
            let (source, resource, period) = (source.clone(), series.resource.clone(), series.period);
            let range = period.widen(request.range)?;
            let revision = blocking(move || source.revision(&resource, period, range)).await??;
            add(revision.to_string());
        }
    }
    let is_text = matches!(format, Format::Csv | Format::Json { .. });
    let digits = sum.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect::<String>();
    Ok(format!("{}\"{digits}\"", if is_text { "W/" } else { "" }))
}

impl From<RequestError> for ApiError {
    fn from(error: RequestError) -> ApiError {
        match error {
            RequestError::Store(error) => error.into(),
            error => ApiError::unprocessable(error),
        }
    }
}

impl From<StreamError> for ApiError {
    fn from(error: StreamError) -> ApiError {
        match error {
            StreamError::Read(error) => error.into(),
            StreamError::Write(WriteError::Io(_)) => ApiError::internal(in_full(&error), &error),
            StreamError::Write(error) => ApiError::unprocessable(in_full(&error)),
            StreamError::Busy => {
                ApiError::unavailable(error).with_header(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_S))
            }
            StreamError::Stalled | StreamError::Task(_) => ApiError::internal(in_full(&error), &error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_known_in_any_of_its_forms() {
        let knows = |known: &'static str, tag: &str| {
            is_known(&HeaderMap::from_iter([(IF_NONE_MATCH, HeaderValue::from_static(known))]), tag)
        };
        assert!(knows("\"ab\"", "W/\"ab\""));
        assert!(knows("\"x\", W/\"ab\"", "\"ab\""));
        assert!(knows("*", "\"ab\""));
        assert!(!knows("\"abc\"", "\"ab\"") && !knows("ab", "\"ab\""));
    }
}
