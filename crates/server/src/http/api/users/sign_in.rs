//! Sessions of browsers: how they begin, with a password or by way of a provider, and how they end.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER, USER_AGENT};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum_extra::extract::CookieJar;
use axum_extra::extract::cookie::Cookie;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sheaf_db::{Credential, NewEvent, NewSession, User};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{Me, describe};
use crate::http::app::{App, Shared};
use crate::http::auth::well_known::{self, FromHere};
use crate::http::auth::{
    Caller, now_ms, origin, passwords, secret, session_cookie, session_secret, tick_of_ms,
};
use crate::http::client::ClientAddress;
use crate::http::errors::ApiError;
use crate::http::extract::{Json, Path, Query};
use crate::http::wire::WireTick;

/// The longest id and password that are looked at, in bytes.
const LONGEST: usize = 1024;

/// What of a request says who sends it, and from where.
#[derive(Debug)]
pub(crate) struct Browser {
    address: IpAddr,
    agent: String,
    request: Option<String>,
    /// A page of another server makes the browser send it.
    is_other_page: bool,
    session: Option<String>,
}

impl FromRequestParts<Shared> for Browser {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Browser, ApiError> {
        let text =
            |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let address = parts.extensions.get::<ClientAddress>().map(|ClientAddress(address)| *address);
        Ok(Browser {
            address: address.unwrap_or(Ipv4Addr::UNSPECIFIED.into()),
            agent: text(USER_AGENT.as_str()).unwrap_or_default(),
            request: text("x-request-id"),
            is_other_page: origin::is_other(parts, app.settings.general.public_url.as_deref()),
            session: session_secret(parts, app.is_secure()),
        })
    }
}

impl Browser {
    fn event(&self, action: &str, user: Option<&str>, subject: &str, outcome: &str) -> NewEvent {
        NewEvent {
            user: user.map(str::to_owned),
            token: None,
            action: action.to_owned(),
            subject: subject.to_owned(),
            outcome: outcome.to_owned(),
            detail: json!({"address": self.address.to_string()}),
            request: self.request.clone(),
        }
    }

    /// Signs a user in: the cookie of a new session.
    pub(crate) async fn begin(
        &self,
        app: &App,
        user: &User,
        with: &str,
    ) -> Result<Cookie<'static>, ApiError> {
        let secret = secret::new_secret();
        let lifetime_ms = i64::try_from(app.settings.auth.session.as_millis()).unwrap_or(i64::MAX);
        let session = NewSession {
            user: user.id.clone(),
            secret: secret::digest(&secret),
            agent: self.agent.clone(),
            expires_at_ms: now_ms().saturating_add(lifetime_ms),
        };
        let event = self.event("session.begin", Some(&user.id), with, "done");
        let begun = app.access.rows().add_session(session, event).await?;
        begun.ok_or_else(|| ApiError::unauthorized("this user was just removed"))?;
        cookie(app, session_cookie(app.is_secure()), &secret, app.settings.auth.session)
    }

    /// Puts a sign-in on record that failed.
    pub(crate) async fn refused(&self, app: &App, subject: &str) -> Result<(), ApiError> {
        Ok(app.access.rows().record(self.event("session.begin", None, subject, "refused")).await?)
    }
}

/// A cookie that pages can't read, and that other sites' pages don't send along. The value must be plain, as secrets are.
pub(crate) fn cookie(
    app: &App,
    name: &str,
    value: &str,
    lifetime: Duration,
) -> Result<Cookie<'static>, ApiError> {
    let secure = if app.is_secure() { "; Secure" } else { "" };
    let lifetime_s = lifetime.as_secs();
    let text = format!("{name}={value}; Path=/; Max-Age={lifetime_s}; HttpOnly; SameSite=Lax{secure}");
    Cookie::parse(text).map_err(|error| ApiError::internal("a cookie can't be made", &error))
}

/// The cookie that takes another one away.
pub(crate) fn no_cookie(app: &App, name: &str) -> Result<Cookie<'static>, ApiError> {
    cookie(app, name, "", Duration::ZERO)
}

/// Who signs in.
#[derive(Deserialize, ToSchema)]
pub(crate) struct SignIn {
    /// The user's id.
    name: String,
    /// The user's password.
    password: String,
}

/// Sign in with a password. The answer sets the cookie of a session.
#[utoipa::path(post, path = "/api/v1/users/signin", tag = "users", security(()), request_body = SignIn, responses(
    (status = 200, body = Me),
    (status = 401, description = "There is no such user, or the password is wrong", body = String),
    (status = 403, description = "A page of another server asks", body = String),
    (status = 429, description = "Too many failures", body = String),
))]
pub(crate) async fn sign_in(
    State(app): State<Shared>,
    browser: Browser,
    from_here: FromHere,
    cookies: CookieJar,
    Json(SignIn { name, password }): Json<SignIn>,
) -> Result<(CookieJar, Json<Me>), ApiError> {
    if browser.is_other_page {
        return Err(ApiError::forbidden("a page of another server can't sign anybody in here"));
    }
    let wrong = || ApiError::unauthorized("there is no user with this id and password");
    if name.len() > LONGEST || password.len() > LONGEST {
        return Err(wrong());
    }
    if let Some(pause) = app.sign_ins.pause(&name, browser.address) {
        let pause_s = pause.as_secs().max(1);
        let error = ApiError::too_many(format!("too many failures to sign in; try again in {pause_s} s"));
        return Err(error.with_header(RETRY_AFTER, HeaderValue::from(pause_s)));
    }
    let rows = app.access.rows();
    let hash = rows.password_hash(&name).await?;
    let is_known_to_all = password == well_known::PASSWORD && !from_here.0;
    let is_right = passwords::is_right(password, hash).await;
    let is_right = is_right.ok_or_else(|| ApiError::unavailable("too many sign in at the same time"))?;
    let is_right = is_right && !is_known_to_all;
    let who = if is_right { app.access.by_id(&name).await? } else { None };
    let Some(who) = who else {
        app.sign_ins.failed(&name, browser.address);
        browser.refused(&app, &name).await?;
        return Err(wrong());
    };
    app.sign_ins.succeeded(&name, browser.address);
    let cookie = browser.begin(&app, &who.user, "password").await?;
    // What the session may do is what the user may.
    Ok((cookies.add(cookie), Json(describe(&app, &who).await?)))
}

/// Where to go then.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReturnTo {
    /// A path on this server.
    return_url: Option<String>,
}

/// The path to go back to: one of this server, whatever else was asked for.
pub(crate) fn local(url: Option<&str>) -> &str {
    let is_local = |url: &&str| {
        // `//host` and `/\host` are other servers to a browser, and it drops tabs and line ends.
        url.starts_with('/')
            && !url[1..].starts_with(['/', '\\'])
            && url.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
    };
    url.filter(is_local).unwrap_or("/")
}

/// Sends a browser elsewhere, with a GET.
pub(crate) fn see_other(location: &str) -> Result<Response, ApiError> {
    let location = HeaderValue::try_from(location)
        .map_err(|error| ApiError::internal("the address to go to can't be written", &error))?;
    let headers = [(LOCATION, location), (CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    Ok((StatusCode::SEE_OTHER, headers).into_response())
}

/// Whether it is a browser that shows pages, and not a program.
fn shows_pages(headers: &HeaderMap) -> bool {
    let accept = headers.get(axum::http::header::ACCEPT).and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html"))
}

/// End the session.
#[utoipa::path(post, path = "/api/v1/users/signout", tag = "users", security(()), params(ReturnTo), responses(
    (status = 204),
    (status = 303, description = "For browsers: to `returnUrl`"),
    (status = 403, description = "A page of another server asks", body = String),
))]
pub(crate) async fn sign_out(
    State(app): State<Shared>,
    browser: Browser,
    cookies: CookieJar,
    headers: HeaderMap,
    Query(ReturnTo { return_url }): Query<ReturnTo>,
) -> Result<(CookieJar, Response), ApiError> {
    if browser.is_other_page {
        return Err(ApiError::forbidden("a page of another server can't sign anybody out here"));
    }
    if let Some(secret) = &browser.session
        && let Some(who) = app.access.by_session(secret).await?
        && let Credential::Session(session) = &who.credential
    {
        let event = browser.event("session.end", Some(&who.user.id), &session.id.to_string(), "done");
        app.access.rows().remove_session(session.id, &who.user.id, event).await?;
    }
    let response = match return_url.as_deref() {
        Some(url) if shows_pages(&headers) => see_other(local(Some(url)))?,
        _ => StatusCode::NO_CONTENT.into_response(),
    };
    Ok((cookies.add(no_cookie(&app, session_cookie(app.is_secure()))?), response))
}

/// A browser that has signed in.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WireSession {
    /// Its id.
    id: Uuid,
    /// What the browser calls itself.
    agent: String,
    /// Since when.
    created: WireTick,
    /// From when on the user must sign in again.
    expires: WireTick,
    /// Whether this request belongs to it.
    is_this: bool,
}

/// The caller's sessions.
#[utoipa::path(get, path = "/api/v1/users/sessions", tag = "users", responses(
    (status = 200, body = Vec<WireSession>),
    (status = 401, body = String),
))]
pub(crate) async fn sessions(
    State(app): State<Shared>,
    caller: Caller,
) -> Result<Json<Vec<WireSession>>, ApiError> {
    let who = caller.require_user()?;
    let this = match &who.credential {
        Credential::Session(session) => Some(session.id),
        _ => None,
    };
    let sessions = app.access.rows().sessions_of(&who.user.id).await?;
    let wire = sessions.into_iter().map(|session| WireSession {
        id: session.id,
        agent: session.agent,
        created: WireTick(tick_of_ms(session.created_at_ms)),
        expires: WireTick(tick_of_ms(session.expires_at_ms)),
        is_this: this == Some(session.id),
    });
    Ok(Json(wire.collect()))
}

/// End one of the caller's sessions.
#[utoipa::path(delete, path = "/api/v1/users/sessions/{id}", tag = "users", params(("id" = Uuid, Path)), responses(
    (status = 200),
    (status = 401, body = String),
    (status = 403, body = String),
    (status = 404, body = String),
))]
pub(crate) async fn end_session(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Result<(), ApiError> {
    caller.require_whole_user()?;
    let user = caller.require_user()?.user.id.clone();
    let event = caller.event("session.end", id.to_string(), json!({}));
    if app.access.rows().remove_session(id, &user, event).await? {
        return Ok(());
    }
    Err(ApiError::not_found(format!("you have no session {id}")))
}

/// Read again what the user may do: nothing to be done here, where that is read with every request.
#[utoipa::path(get, path = "/api/v1/users/reauthenticate", tag = "users", responses(
    (status = 303, description = "To the first page"),
    (status = 401, body = String),
))]
pub(crate) async fn reauthenticate(caller: Caller) -> Result<Response, ApiError> {
    caller.require_user()?;
    see_other("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_goes_back_to_pages_of_this_server_only() {
        for url in ["/", "/catalogs/%2FA?x=1#y", "/a//b"] {
            assert_eq!(local(Some(url)), url);
        }
        for url in [
            "",
            "x",
            "//evil.org",
            "/\\evil.org",
            "\\\\evil.org",
            "https://evil.org",
            "/\t/evil.org",
            "/a b",
            "/\n/evil.org",
            "javascript:alert(1)",
            " /",
            "/é",
        ] {
            assert_eq!(local(Some(url)), "/", "{url:?}");
        }
        assert_eq!(local(None), "/");
    }
}
