//! Who asks, and what may be read without credentials.

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use regex::{Regex, RegexSet, RegexSetBuilder};
use sheaf_model::CatalogId;

use super::ServeError;
use super::app::{App, Shared};
use super::errors::ApiError;

/// The largest program that patterns may become, in bytes.
const MOST_PATTERN_BYTES: usize = 1 << 20;

/// Catalogs that can be read without credentials.
#[derive(Debug)]
pub(crate) struct Anonymous(RegexSet);

impl Anonymous {
    /// Those whose whole id fits one of these patterns.
    pub(crate) fn new(patterns: &[String]) -> Result<Anonymous, ServeError> {
        let failed = |problem: String| ServeError::Setting { key: "auth.anonymous_read", problem };
        for pattern in patterns {
            Regex::new(pattern).map_err(|error| failed(format!("`{pattern}`: {error}")))?;
        }
        let anchored = patterns.iter().map(|pattern| format!("^(?:{pattern})$"));
        let set = RegexSetBuilder::new(anchored).size_limit(MOST_PATTERN_BYTES).build();
        Ok(Anonymous(set.map_err(|error| failed(error.to_string()))?))
    }

    fn allows(&self, catalog: &CatalogId) -> bool {
        self.0.is_match(catalog.as_str())
    }
}

/// Who asks.
#[derive(Clone, Debug)]
pub(crate) struct Caller {}

impl FromRequestParts<Shared> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<Caller, ApiError> {
        if parts.headers.contains_key(AUTHORIZATION) {
            return Err(ApiError::unauthorized("this token is not known"));
        }
        Ok(Caller {})
    }
}

impl Caller {
    /// Whether a catalog may be read.
    pub(crate) async fn may_read(&self, app: &App, catalog: &CatalogId) -> Result<bool, ApiError> {
        Ok(app.anonymous.allows(catalog))
    }

    /// An error unless a catalog may be read.
    pub(crate) async fn require_read(&self, app: &App, catalog: &CatalogId) -> Result<(), ApiError> {
        match self.may_read(app, catalog).await? {
            true => Ok(()),
            false => Err(ApiError::unauthorized(format!("sign in to read the catalog {catalog}"))),
        }
    }

    /// An error unless a catalog may be changed.
    pub(crate) async fn require_write(&self, _: &App, catalog: &CatalogId) -> Result<(), ApiError> {
        Err(ApiError::unauthorized(format!("sign in to change the catalog {catalog}")))
    }

    /// An error unless somebody has signed in.
    pub(crate) fn require_user(&self) -> Result<(), ApiError> {
        Err(ApiError::unauthorized("sign in first"))
    }

    /// An error unless an administrator has signed in.
    pub(crate) fn require_admin(&self) -> Result<(), ApiError> {
        Err(ApiError::unauthorized("sign in as an administrator first"))
    }
}
