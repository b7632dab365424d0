//! Errors as answers: the one place where an error gets a status.
//!
//! The text of an error goes to the client where the request was wrong. Where the server is at fault it is logged, and the
//! client hears which thing failed, for instance which file is damaged, since an error must never look like an answer.

use std::fmt::Display;

use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::http::header::{HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use sheaf_db::RepositoryError;
use sheaf_engine::{IngestError, ReadError, ResolveError};
use sheaf_model::{PathError, TimeRangeError};
use sheaf_sources::SourceError;
use sheaf_store::{StoreError, in_full};

use crate::catalogs::{AttachmentError, CatalogError};
use crate::data::DataError;

/// Seconds after which it may be worth to try again.
const RETRY_AFTER_S: u32 = 1;

/// An answer that is none: a status and what to say.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    text: String,
    /// What only the log hears.
    cause: Option<String>,
    /// Boxed, so that a result is small that has none.
    headers: Box<HeaderMap>,
}

/// The text of an error, beside its answer: a layer writes it in the form that the client asked for.
#[derive(Clone, Debug)]
pub(crate) struct ErrorText(pub(crate) String);

impl ApiError {
    pub(crate) fn new(status: StatusCode, text: impl Display) -> ApiError {
        ApiError { status, text: text.to_string(), cause: None, headers: Box::default() }
    }

    /// 400: the request can't be read.
    pub(crate) fn bad_request(text: impl Display) -> ApiError {
        ApiError::new(StatusCode::BAD_REQUEST, text)
    }

    /// 401: nobody, or nobody known.
    pub(crate) fn unauthorized(text: impl Display) -> ApiError {
        ApiError::new(StatusCode::UNAUTHORIZED, text)
            .with_header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    }

    /// 403: somebody who may not.
    pub(crate) fn forbidden(text: impl Display) -> ApiError {
        ApiError::new(StatusCode::FORBIDDEN, text)
    }

    /// 404: there is no such thing.
    pub(crate) fn not_found(text: impl Display) -> ApiError {
        ApiError::new(StatusCode::NOT_FOUND, text)
    }

    /// 409: something else is there.
    pub(crate) fn conflict(text: impl Display) -> ApiError {
        ApiError::new(StatusCode::CONFLICT, text)
    }

    /// 413: too much.
    pub(crate) fn too_large(text: impl Display) -> ApiError {
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, text)
    }

    /// 415: of another type than can be read.
    pub(crate) fn unsupported(text: impl Display) -> ApiError {
        ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, text)
    }

    /// 422: it can be read, but not be done.
    pub(crate) fn unprocessable(text: impl Display) -> ApiError {
        ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, text)
    }

    /// 429: too often.
    pub(crate) fn too_many(text: impl Display) -> ApiError {
        ApiError::new(StatusCode::TOO_MANY_REQUESTS, text).retry()
    }

    /// 501: nobody does that here.
    pub(crate) fn not_implemented(text: impl Display) -> ApiError {
        ApiError::new(StatusCode::NOT_IMPLEMENTED, text)
    }

    /// 503: not now.
    pub(crate) fn unavailable(text: impl Display) -> ApiError {
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, text).retry()
    }

    /// 500: the server is at fault; `what` is for the client, the error for the log.
    pub(crate) fn internal(what: impl Display, error: &(dyn std::error::Error + 'static)) -> ApiError {
        let cause = Some(in_full(error));
        ApiError { cause, ..ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, what) }
    }

    /// 502: another server, or a folder, that this one depends on fails.
    pub(crate) fn bad_gateway(text: impl Display) -> ApiError {
        ApiError::new(StatusCode::BAD_GATEWAY, text)
    }

    /// The same error of a part of the request.
    pub(crate) fn within(self, part: &str) -> ApiError {
        ApiError { text: format!("{part}: {}", self.text), ..self }
    }

    fn retry(self) -> ApiError {
        self.with_header(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_S))
    }

    pub(crate) fn with_header(mut self, name: axum::http::HeaderName, value: HeaderValue) -> ApiError {
        self.headers.insert(name, value);
        self
    }

    /// The status.
    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// What the client hears.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        if let Some(cause) = &self.cause {
            tracing::error!(status = self.status.as_u16(), cause, "{}", self.text);
        } else if self.status.is_server_error() {
            tracing::warn!(status = self.status.as_u16(), "{}", self.text);
        }
        let mut response = (self.status, *self.headers, self.text.clone()).into_response();
        response.extensions_mut().insert(ErrorText(self.text));
        response
    }
}

impl From<PathError> for ApiError {
    fn from(error: PathError) -> ApiError {
        ApiError::unprocessable(error)
    }
}

impl From<TimeRangeError> for ApiError {
    fn from(error: TimeRangeError) -> ApiError {
        ApiError::unprocessable(error)
    }
}

impl From<ResolveError> for ApiError {
    fn from(error: ResolveError) -> ApiError {
        match error {
            ResolveError::NoCatalog { .. } | ResolveError::NotThere(_) => ApiError::not_found(error),
            ResolveError::Store(error) => (*error).into(),
            ResolveError::Source(error) => (*error).into(),
            error => ApiError::internal(in_full(&error), &error),
        }
    }
}

impl From<ReadError> for ApiError {
    fn from(error: ReadError) -> ApiError {
        match error {
            ReadError::Store(error) => (*error).into(),
            ReadError::Source(error) => (*error).into(),
            error => ApiError::unprocessable(error),
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> ApiError {
        match error.root() {
            StoreError::KeyReused { .. } => ApiError::conflict(in_full(&error)),
            _ if error.is_invalid_input() => ApiError::unprocessable(in_full(&error)),
            StoreError::Vanished { .. } | StoreError::Conflict | StoreError::LeaseHeld { .. } => {
                ApiError::unavailable(in_full(&error))
            }
            StoreError::Cancelled => ApiError::unavailable("the work was cancelled"),
            _ => ApiError::internal(in_full(&error), &error),
        }
    }
}

impl From<SourceError> for ApiError {
    fn from(error: SourceError) -> ApiError {
        if error.is_invalid_input() {
            ApiError::unprocessable(in_full(&error))
        } else {
            ApiError::bad_gateway(in_full(&error))
        }
    }
}

impl From<IngestError> for ApiError {
    fn from(error: IngestError) -> ApiError {
        match error {
            IngestError::Store { source, .. } if !source.is_invalid_input() => (*source).into(),
            IngestError::Task { .. } => ApiError::internal(in_full(&error), &error),
            // A table that can't be read is wrong, whatever the reason: it came with the request.
            error => ApiError::unprocessable(in_full(&error)),
        }
    }
}

impl From<RepositoryError> for ApiError {
    fn from(error: RepositoryError) -> ApiError {
        match &error {
            RepositoryError::Mounted { .. } => ApiError::conflict(error),
            RepositoryError::Busy { .. } => ApiError::unavailable(error),
            error if error.is_invalid_input() => ApiError::unprocessable(error),
            error => ApiError::internal(in_full(error), error),
        }
    }
}

impl From<DataError> for ApiError {
    fn from(error: DataError) -> ApiError {
        match error {
            DataError::Store(error) => error.into(),
            DataError::Repository(error) => error.into(),
            DataError::Catalog(error) => error.into(),
            error => ApiError::internal(in_full(&error), &error),
        }
    }
}

impl From<CatalogError> for ApiError {
    fn from(error: CatalogError) -> ApiError {
        match error {
            CatalogError::NoCatalog { .. } | CatalogError::NoResource { .. } => ApiError::not_found(error),
            CatalogError::Resolve(error) => error.into(),
            CatalogError::Source(_) | CatalogError::Merge { .. } => ApiError::bad_gateway(error),
            CatalogError::Configuration { .. } | CatalogError::Property(_) => ApiError::unprocessable(error),
            CatalogError::Store(error) => error.into(),
            CatalogError::Repository(error) => error.into(),
            CatalogError::Attachment(error) => error.into(),
            CatalogError::Said { .. } => ApiError::internal(error.to_string(), &error),
        }
    }
}

impl From<AttachmentError> for ApiError {
    fn from(error: AttachmentError) -> ApiError {
        match error {
            AttachmentError::Name { .. } => ApiError::unprocessable(error),
            AttachmentError::TooLarge { .. } => ApiError::too_large(error),
            AttachmentError::Repository(error) => error.into(),
            error => ApiError::internal(error.to_string(), &error),
        }
    }
}

impl From<JsonRejection> for ApiError {
    fn from(rejection: JsonRejection) -> ApiError {
        match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => too_large_body(),
            // What is no JSON, and what is other JSON than expected: the message says where.
            status => ApiError::new(status, rejection.body_text()),
        }
    }
}

impl From<QueryRejection> for ApiError {
    fn from(rejection: QueryRejection) -> ApiError {
        ApiError::bad_request(rejection.body_text())
    }
}

impl From<PathRejection> for ApiError {
    fn from(rejection: PathRejection) -> ApiError {
        ApiError::bad_request(rejection.body_text())
    }
}

/// What to say of an upload beyond the limit.
pub(crate) fn too_large_upload() -> ApiError {
    ApiError::too_large("the body of the request is too large (limits.upload); nothing was written")
}

/// What to say of a body beyond the limit.
pub(crate) fn too_large_body() -> ApiError {
    ApiError::too_large("the body of the request is too large (limits.body)")
}
