//! Where clients reach this server, for answers with whole URLs.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::header::HOST;
use axum::http::request::Parts;

use super::app::{App, Shared};

/// What stands before the path of a URL at this server, as the client of a request writes it: `http://127.0.0.1:8080`. Nothing if
/// the request does not say; URLs are paths then.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct BaseUrl(pub(crate) String);

impl BaseUrl {
    /// That of the settings, or what the request was sent to.
    pub(crate) fn new(app: &App, parts: &Parts) -> BaseUrl {
        if let Some(url) = &app.settings.general.public_url {
            return BaseUrl(url.trim_end_matches('/').to_owned());
        }
        let authority = parts.uri.authority().map(axum::http::uri::Authority::as_str);
        let host = authority.or_else(|| parts.headers.get(HOST).and_then(|host| host.to_str().ok()));
        let scheme = if app.is_secure() { "https" } else { "http" };
        BaseUrl(host.map(|host| format!("{scheme}://{host}")).unwrap_or_default())
    }

    /// The URL of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }
}

impl FromRequestParts<Shared> for BaseUrl {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<BaseUrl, Infallible> {
        Ok(BaseUrl::new(app, parts))
    }
}
