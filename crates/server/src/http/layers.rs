//! What happens to every request before its handler, and to every answer after it.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::header::{ACCEPT, CONNECTION, CONTENT_TYPE, HeaderValue};
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, Uri, Version};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use futures_util::stream::poll_fn;
use tower::util::MapRequest;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{Predicate, SizeAbove};
use tower_http::timeout::TimeoutBody;
use tracing::Instrument;
use uuid::Uuid;

use super::app::{App, Shared};
use super::client::ClientAddress;
use super::datastore;
use super::errors::{ApiError, ErrorText, too_large_body, too_large_upload};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What upstream says of its versions, and some clients look at.
const VERSIONS: HeaderName = HeaderName::from_static("api-supported-versions");

/// The longest request id that is taken from a client.
const LONGEST_REQUEST_ID: usize = 128;

/// What follows `/users/` and is no id of a user.
const WORDS_OF_USERS: [&str; 10] = [
    "accept-license",
    "authenticate",
    "authentication-schemes",
    "claims",
    "me",
    "reauthenticate",
    "sessions",
    "signin",
    "signout",
    "tokens",
];

/// Puts all layers around the routes.
pub(super) fn around(router: Router, app: &Arc<App>) -> Router {
    let router = router
        .layer(middleware::from_fn_with_state(app.clone(), bounded))
        .layer(CompressionLayer::new().compress_when(SizeAbove::new(1024).and(IsText)))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(DefaultBodyLimit::max(app.settings.limits.body_bytes))
        .layer(middleware::from_fn_with_state(app.clone(), watched));
    // Routes are looked for after this layer has changed the path, so it is around a router of its own.
    Router::new().fallback_service(MapRequest::new(router, plain_path))
}

/// What has no route.
pub(super) async fn no_route(method: Method, uri: Uri) -> ApiError {
    let path = uri.path().chars().take(200).collect::<String>();
    ApiError::not_found(format!("there is no {method} {path}; /api lists what there is"))
}

/// What has a route, but not with this method. The router names those that there are in `Allow`.
pub(super) async fn no_method(method: Method, uri: Uri) -> ApiError {
    let path = uri.path().chars().take(200).collect::<String>();
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("{path} can't be asked with {method}; /api lists what can"),
    )
}

/// Without a slash at the end, and with the words of the routes in lower case: as Nexus takes them. Ids, which are segments
/// of their own, stay as they are.
fn plain_path(mut request: Request) -> Request {
    let path = request.uri().path();
    let trimmed = path.trim_end_matches('/');
    let needs_lower = |segment: &str| segment.bytes().any(|byte| byte.is_ascii_uppercase());
    let mut segments: Vec<String> = trimmed.split('/').map(str::to_owned).collect();
    // "", api, v1, family, then an id or a word, a word, an id, a word.
    let is_id = |at: usize, segments: &[String]| match segments.get(3).map(String::as_str) {
        Some("catalogs") => at == 4 && segments.get(4).is_some_and(|id| id.contains('%')) || at == 6,
        Some("users") => {
            at == 4 && !WORDS_OF_USERS.iter().any(|word| word.eq_ignore_ascii_case(&segments[4]))
        }
        Some("data" | "series" | "ingest" | "system" | "writers") => false,
        _ => at >= 4 && segments[at].len() > 20 || at >= 5,
    };
    let is_ours = |first: &String| {
        ["api", "health", "metrics", "openapi"].iter().any(|ours| first.eq_ignore_ascii_case(ours))
    };
    if segments.get(1).is_some_and(is_ours) {
        for at in 1..segments.len() {
            if needs_lower(&segments[at]) && !is_id(at, &segments) {
                segments[at] = segments[at].to_ascii_lowercase();
            }
        }
    }
    let mut plain = segments.join("/");
    if plain.is_empty() {
        plain.push('/');
    }
    if plain != path {
        let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
        if let Ok(both) = PathAndQuery::try_from(format!("{plain}{query}")) {
            let mut parts = request.uri().clone().into_parts();
            parts.path_and_query = Some(both);
            if let Ok(uri) = Uri::from_parts(parts) {
                *request.uri_mut() = uri;
            }
        }
    }
    request
}

/// Gives a request its id, logs and counts it, and writes errors as the client asked for.
async fn watched(State(app): State<Shared>, mut request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let id = request_id(request.headers());
    request.headers_mut().insert(REQUEST_ID, id.clone());
    let wants_json = accepts_json(request.headers());
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    let proxies = &app.settings.server.trusted_proxies;
    let client = ClientAddress::new(request.extensions(), request.headers(), proxies);
    request.extensions_mut().insert(client);
    let (shown, path, client) = (id.to_str().unwrap_or_default(), uri.path(), client.0);
    let span = tracing::info_span!("request", id = shown, %client, %method, path);
    app.metrics.waiting.inc();
    let mut response = next.run(request).instrument(span.clone()).await;
    app.metrics.waiting.dec();
    if let Some(ErrorText(text)) = response.extensions_mut().remove()
        && let Some(json) = json_of(&mut response, &text, path, wants_json)
    {
        *response.body_mut() = Body::from(json);
        response.headers_mut().remove(axum::http::header::CONTENT_LENGTH);
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    }
    let (status, after) = (response.status(), begun.elapsed());
    app.metrics.answered(method.as_str(), route, status.as_u16(), after);
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, id);
    headers.insert(VERSIONS, HeaderValue::from_static("1, 2"));
    headers.entry("x-content-type-options").or_insert(HeaderValue::from_static("nosniff"));
    span.in_scope(|| {
        let after_ms = after.as_micros() as f64 / 1e3;
        let changes = !matches!(method, Method::GET | Method::HEAD | Method::OPTIONS);
        if status.is_server_error() || status.is_client_error() || changes {
            tracing::info!(status = status.as_u16(), after_ms, "answered");
        } else {
            tracing::debug!(status = status.as_u16(), after_ms, "answered");
        }
    });
    response
}

/// An error as JSON: an object in the family of the datastore, elsewhere a string if the client takes JSON.
fn json_of(response: &mut Response, text: &str, path: &str, wants_json: bool) -> Option<String> {
    if datastore::is_ours(path) {
        let (status, body) = datastore::in_words_of_ours(response.status(), text);
        *response.status_mut() = status;
        return Some(body.to_string());
    }
    if wants_json { serde_json::to_string(text).ok() } else { None }
}

/// The id that the client gave, if it can be shown, or a new one.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let given = headers.get(REQUEST_ID).filter(|id| {
        let is_plain = |byte: &u8| byte.is_ascii_graphic();
        (1..=LONGEST_REQUEST_ID).contains(&id.len()) && id.as_bytes().iter().all(is_plain)
    });
    given.cloned().unwrap_or_else(|| {
        let id = Uuid::new_v4().simple().to_string();
        HeaderValue::try_from(id).unwrap_or(HeaderValue::from_static("none"))
    })
}

/// Whether the client named JSON among what it takes.
fn accepts_json(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|kind| kind.trim().starts_with("application/json"))
}

/// Ends a request whose body is too large, before it is sent if that can be known, or stops, and one whose answer does not begin
/// in time. Uploads take as long as they take, but must not stall.
async fn bounded(State(app): State<Shared>, request: Request, next: Next) -> Response {
    let (path, limits) = (request.uri().path(), &app.settings.limits);
    let is_streamed = path.ends_with("/ingest") || datastore::is_upload(request.method(), path);
    let is_upload = is_streamed || (path.contains("/attachments/") && request.method() == Method::PUT);
    let most = if is_upload { limits.upload_bytes } else { limits.body_bytes as u64 };
    let is_kept_alive = request.version() < Version::HTTP_2;
    let is_read = Arc::new(AtomicBool::new(request.body().is_end_stream()));
    let mut response = if request.body().size_hint().lower() > most {
        let error = if is_upload { too_large_upload() } else { too_large_body() };
        error.into_response()
    } else {
        let noted = is_read.clone();
        let request = request.map(|body| {
            let end = poll_fn(move |_| {
                noted.store(true, Ordering::Relaxed);
                Poll::Ready(None)
            });
            let body = Body::from_stream(body.into_data_stream().chain(end));
            // What takes samples says itself that nothing was written.
            if is_streamed { body } else { Body::new(TimeoutBody::new(limits.stall, body)) }
        });
        let response = next.run(request);
        if is_upload { response.await } else { in_time(limits.request, response).await }
    };
    // A connection whose request was not read to its end can't have another one. A client that is not told would send it there.
    if is_kept_alive && !is_read.load(Ordering::Relaxed) {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

async fn in_time(limit: Duration, response: impl Future<Output = Response>) -> Response {
    match tokio::time::timeout(limit, response).await {
        Ok(response) => response,
        Err(_) => {
            let limit_s = limit.as_secs_f64();
            ApiError::unavailable(format!(
                "the answer did not begin within {limit_s} s (limits.request); ask for less at a time, or later"
            ))
            .into_response()
        }
    }
}

fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let what = panic.downcast_ref::<String>().map(String::as_str);
    let what = what.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("something");
    tracing::error!(what, "a handler panicked");
    let text = "the server failed; its log has more under the id of this request";
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
}

/// Answers that become smaller: text of known kinds. Samples as raw numbers keep their length, and events come at once.
#[derive(Clone, Copy, Debug)]
struct IsText;

impl Predicate for IsText {
    fn should_compress<B>(&self, response: &axum::http::Response<B>) -> bool
    where
        B: HttpBody,
    {
        let kind =
            response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        matches!(
            kind,
            "application/json"
                | "application/x-ndjson"
                | "text/csv"
                | "text/plain"
                | "text/html"
                | "text/css"
                | "text/javascript"
                | "application/javascript"
                | "application/openmetrics-text"
                | "image/svg+xml"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(uri: &str) -> String {
        let request = Request::builder().uri(uri).body(Body::empty()).unwrap();
        plain_path(request).uri().to_string()
    }

    #[test]
    fn words_are_taken_in_any_case_and_ids_are_left_alone() {
        for (given, expected) in [
            ("/", "/"),
            ("/api/v1/jobs/", "/api/v1/jobs"),
            ("/API/V1/Jobs/Refresh-Database", "/api/v1/jobs/refresh-database"),
            ("/api/v1/Catalogs/%2FSAMPLE%2FLOCAL/TimeRange/", "/api/v1/catalogs/%2FSAMPLE%2FLOCAL/timerange"),
            (
                "/api/v1/catalogs/%2FA/Attachments/LICENSE.md/Content",
                "/api/v1/catalogs/%2FA/attachments/LICENSE.md/content",
            ),
            ("/api/v1/catalogs/Search-Items", "/api/v1/catalogs/search-items"),
            ("/api/v1/Users/Tokens/Create/", "/api/v1/users/tokens/create"),
            ("/api/v1/users/Ann/Claims", "/api/v1/users/Ann/claims"),
            ("/api/v1/Data?resourcePath=%2FA%2FB", "/api/v1/data?resourcePath=%2FA%2FB"),
            ("/Api", "/api"),
            ("/Health/Live/", "/health/live"),
        ] {
            assert_eq!(plain(given), expected);
        }
    }

    #[test]
    fn ids_of_requests_can_be_shown() {
        let mut headers = HeaderMap::new();
        assert_eq!(request_id(&headers).len(), 32);
        headers.insert(REQUEST_ID, HeaderValue::from_static("abc-1"));
        assert_eq!(request_id(&headers), "abc-1");
        headers.insert(REQUEST_ID, HeaderValue::from_static("a b"));
        assert_eq!(request_id(&headers).len(), 32);
    }
}
