//! Who asks, and what the caller may do.
//!
//! A [`Caller`] shows a token (`Authorization: Bearer …`), or, in a browser, the cookie of a session, or nothing. `gate.rs`
//! finds out whose it is, `rights.rs` has the rules and `claims.rs` what claims mean. `facts.rs` asks what the rules want to
//! know of a catalog. `secret.rs` makes secrets, `passwords.rs` checks passwords, `limiter.rs` slows guessing down,
//! `origin.rs` tells our pages from those of others, `oidc.rs` lets others sign users in, `well_known.rs` is about the token that
//! everybody knows.

pub(crate) mod claims;
pub(crate) mod facts;
pub(crate) mod first;
pub(crate) mod gate;
pub(crate) mod limiter;
pub(crate) mod oidc;
pub(crate) mod origin;
pub(crate) mod passwords;
pub(crate) mod rights;
pub(crate) mod secret;
pub(crate) mod well_known;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::FromRequestParts;
use axum::http::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use axum::http::request::Parts;
use axum_extra::extract::CookieJar;
use serde_json::Value;
use sheaf_db::{Credential, NewEvent, Token};
use sheaf_model::{CatalogId, Tick};

use super::ServeError;
use super::app::{App, Shared};
use super::errors::ApiError;
use claims::Pattern;
use gate::Who;
use rights::{Action, CatalogFacts};

/// The longest secret that is looked at, in bytes.
const LONGEST_SECRET: usize = 1000;

/// Catalogs that can be read without credentials.
#[derive(Debug)]
pub(crate) struct Anonymous(Vec<Pattern>);

impl Anonymous {
    /// Those whose whole id fits one of these patterns.
    pub(crate) fn new(patterns: &[String]) -> Result<Anonymous, ServeError> {
        let patterns = claims::patterns(patterns).map_err(|error| ServeError::Setting {
            key: "auth.anonymous_read",
            problem: error.to_string(),
        })?;
        Ok(Anonymous(patterns))
    }

    fn allows(&self, catalog: &CatalogId) -> bool {
        claims::any(&self.0, catalog.as_str())
    }
}

/// Who asks.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    who: Option<Arc<Who>>,
    /// The id of the request, for the record.
    request: Option<String>,
}

impl FromRequestParts<Shared> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Caller, ApiError> {
        let request = parts.headers.get("x-request-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
        if let Some(secret) = bearer(parts)? {
            if !well_known::may_show(secret, parts) {
                return Err(invalid_token(well_known::REFUSAL));
            }
            let who = app.access.by_token(secret).await?;
            let who = who.ok_or_else(|| invalid_token("this token is not known, or it was revoked"))?;
            match who.expires_at_ms() {
                Some(at_ms) if at_ms <= now_ms() => {
                    let at = tick_of_ms(at_ms);
                    return Err(invalid_token(&format!("The token expired at {at}; make another one")));
                }
                _ => return Ok(Caller { who: Some(who), request }),
            }
        }
        let public_url = app.settings.general.public_url.as_deref();
        let who = match session_secret(parts, app.is_secure()) {
            Some(secret) => app.access.by_session(&secret).await?,
            None => None,
        };
        // A session that has ended is as good as none: the browser does not know that it has.
        let who = who.filter(|who| who.expires_at_ms().is_some_and(|at_ms| at_ms > now_ms()));
        if who.is_some() && !origin::is_safe(&parts.method) && !origin::is_same(parts, public_url) {
            return Err(ApiError::forbidden(
                "a session changes something only at the request of a page of this server (its headers Origin or \
                 Sec-Fetch-Site say which one it was); programs use a token",
            ));
        }
        Ok(Caller { who, request })
    }
}

/// The token that a request shows. Whatever else stands in the header is an error, and never taken for no header.
fn bearer(parts: &Parts) -> Result<Option<&str>, ApiError> {
    let mut headers = parts.headers.get_all(AUTHORIZATION).iter();
    let Some(header) = headers.next() else { return Ok(None) };
    let wrong = || invalid_token("the header Authorization must be `Bearer TOKEN`, once");
    if headers.next().is_some() {
        return Err(wrong());
    }
    let (scheme, secret) =
        header.to_str().ok().and_then(|text| text.trim().split_once(' ')).ok_or_else(wrong)?;
    let secret = secret.trim_start();
    // As RFC 6750 has it.
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    let is_token = (1..=LONGEST_SECRET).contains(&secret.len()) && secret.bytes().all(is_plain);
    if scheme.eq_ignore_ascii_case("bearer") && is_token { Ok(Some(secret)) } else { Err(wrong()) }
}

/// 401 for a token that is none (any more).
fn invalid_token(text: &str) -> ApiError {
    let challenge = format!("Bearer error=\"invalid_token\", error_description=\"{text}\"");
    let error = ApiError::unauthorized(text);
    match HeaderValue::try_from(challenge) {
        Ok(challenge) => error.with_header(WWW_AUTHENTICATE, challenge),
        Err(_) => error,
    }
}

/// The name of the cookie of a session. With the prefix, browsers take it over TLS and from this very host only.
pub(crate) fn session_cookie(is_secure: bool) -> &'static str {
    if is_secure { "__Host-sheaf_session" } else { "sheaf_session" }
}

/// The secret of the session that a browser shows.
pub(crate) fn session_secret(parts: &Parts, is_secure: bool) -> Option<String> {
    let cookies = CookieJar::from_headers(&parts.headers);
    let cookie = cookies.get(session_cookie(is_secure))?;
    Some(cookie.value().to_owned()).filter(|secret| (1..=LONGEST_SECRET).contains(&secret.len()))
}

/// Now, in milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

const TICKS_PER_MS: i64 = Tick::PER_SECOND / 1000;

/// A point in time of a row.
pub(crate) fn tick_of_ms(ms: i64) -> Tick {
    let ticks = ms.saturating_mul(TICKS_PER_MS).saturating_add(Tick::UNIX_EPOCH.ticks());
    Tick::new(ticks.clamp(Tick::MIN.ticks(), Tick::MAX.ticks())).unwrap_or(Tick::MAX)
}

/// A point in time for a row.
pub(crate) fn ms_of_tick(tick: Tick) -> i64 {
    tick.unix_ticks().div_euclid(TICKS_PER_MS)
}

impl Caller {
    /// The id of the user who asks.
    pub(crate) fn user_id(&self) -> Option<&str> {
        self.who.as_ref().map(|who| who.user.id.as_str())
    }

    /// Whether the caller may do everything.
    pub(crate) fn is_admin(&self) -> bool {
        self.who.as_ref().is_some_and(|who| who.rights.is_admin())
    }

    /// Whether a catalog may be read.
    pub(crate) async fn may_read(&self, app: &App, catalog: &CatalogId) -> Result<bool, ApiError> {
        Ok(app.anonymous.allows(catalog) || self.may(app, Action::Read, catalog).await?)
    }

    /// Whether a catalog may be changed.
    pub(crate) async fn may_write(&self, app: &App, catalog: &CatalogId) -> Result<bool, ApiError> {
        self.may(app, Action::Write, catalog).await
    }

    async fn may(&self, app: &App, action: Action, catalog: &CatalogId) -> Result<bool, ApiError> {
        let Some(who) = &self.who else { return Ok(false) };
        // Most of the time, ids decide. More that is known never allows less.
        if who.rights.may(action, catalog, &CatalogFacts::default()) {
            return Ok(true);
        }
        let facts = facts::of(app, catalog).await?;
        Ok(who.rights.may(action, catalog, &facts))
    }

    /// Whether the id of something opens it that is no catalog of its own, and so has no groups, owner or licence.
    pub(crate) fn may_by_id(&self, app: &App, action: Action, id: &CatalogId) -> bool {
        let may = |who: &Arc<Who>| who.rights.may(action, id, &CatalogFacts::default());
        action == Action::Read && app.anonymous.allows(id) || self.who.as_ref().is_some_and(may)
    }

    /// Whether sources of the caller may read from there.
    pub(crate) fn may_use_locator(&self, locator: &str) -> bool {
        self.who.as_ref().is_some_and(|who| who.rights.may_use_locator(locator))
    }

    /// An error unless a catalog may be read.
    pub(crate) async fn require_read(&self, app: &App, catalog: &CatalogId) -> Result<(), ApiError> {
        match self.may_read(app, catalog).await? {
            true => Ok(()),
            false => Err(self.refused(&format!("read the catalog {catalog}"))),
        }
    }

    /// An error unless a catalog may be changed.
    pub(crate) async fn require_write(&self, app: &App, catalog: &CatalogId) -> Result<(), ApiError> {
        match self.may_write(app, catalog).await? {
            true => Ok(()),
            false => Err(self.refused(&format!("change the catalog {catalog}"))),
        }
    }

    /// Whoever has signed in; an error if nobody has.
    pub(crate) fn require_user(&self) -> Result<&Who, ApiError> {
        self.who.as_deref().ok_or_else(|| {
            ApiError::unauthorized("sign in first: send a token in the header `Authorization: Bearer TOKEN`")
        })
    }

    /// An error unless an administrator has signed in.
    pub(crate) fn require_admin(&self) -> Result<(), ApiError> {
        if self.is_admin() { Ok(()) } else { Err(self.refused("do what only administrators may")) }
    }

    /// An error unless the caller is this user, or an administrator.
    pub(crate) fn require_self_or_admin(&self, user: &str) -> Result<(), ApiError> {
        self.require_user()?;
        if self.user_id() == Some(user) || self.is_admin() {
            return Ok(());
        }
        Err(self.refused(&format!("see to what belongs to the user {user}")))
    }

    /// An error unless the caller shows what is worth as much as the user: a session, or a token for everything. Others must
    /// not make themselves worth more.
    pub(crate) fn require_whole_user(&self) -> Result<(), ApiError> {
        match &self.require_user()?.rights.of_token {
            Some(claims) if !claims.is_admin() => Err(ApiError::forbidden(
                "this token is for some of what its user may do; sign in, or use a token with the role Administrator",
            )),
            _ => Ok(()),
        }
    }

    /// The token that the caller shows.
    pub(crate) fn token(&self) -> Option<&Token> {
        match &self.who.as_ref()?.credential {
            Credential::Token(token) => Some(token),
            _ => None,
        }
    }

    /// 401 for nobody, 403 for somebody.
    pub(crate) fn refused(&self, what: &str) -> ApiError {
        match &self.who {
            None => ApiError::unauthorized(format!("sign in to {what}")),
            Some(who) => {
                let by = match who.credential {
                    Credential::Token(_) => " with this token",
                    _ => "",
                };
                ApiError::forbidden(format!("{} may not {what}{by}", who.user.name))
            }
        }
    }

    /// Something that the caller does, for the record.
    pub(crate) fn event(&self, action: &str, subject: impl Into<String>, detail: Value) -> NewEvent {
        NewEvent {
            user: self.user_id().map(str::to_owned),
            token: self.token().map(|token| token.id),
            action: action.to_owned(),
            subject: subject.into(),
            outcome: "done".to_owned(),
            detail,
            request: self.request.clone(),
        }
    }
}

/// How something went, for the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    Refused,
}

impl App {
    /// Puts something that a caller does on record.
    pub(crate) async fn audit(
        &self,
        caller: &Caller,
        action: &str,
        subject: impl Into<String>,
        outcome: Outcome,
        detail: Value,
    ) -> Result<(), ApiError> {
        let mut event = caller.event(action, subject, detail);
        if outcome == Outcome::Refused {
            event.outcome = "refused".to_owned();
        }
        Ok(self.access.rows().record(event).await?)
    }

    /// Whether browsers reach this server over TLS.
    pub(crate) fn is_secure(&self) -> bool {
        let general = &self.settings.general;
        self.settings.tls.is_some()
            || general.public_url.as_deref().is_some_and(|url| url.starts_with("https://"))
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn parse(headers: &[&[u8]]) -> Result<Option<String>, u16> {
        let mut request = Request::builder();
        for header in headers {
            request = request.header(AUTHORIZATION, HeaderValue::from_bytes(header).unwrap());
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        bearer(&parts).map(|secret| secret.map(str::to_owned)).map_err(|error| error.status().as_u16())
    }

    #[test]
    fn whatever_is_no_token_is_a_401() {
        let some = |secret: &str| Ok(Some(secret.to_owned()));
        assert_eq!(parse(&[]), Ok(None));
        assert_eq!(parse(&[b"Bearer abc_D-1"]), some("abc_D-1"));
        assert_eq!(parse(&[b"bEARER   abc+/="]), some("abc+/="));
        for wrong in [
            &b""[..],
            b"Bearer",
            b"Bearer ",
            b"Bearer a b",
            b"Bearer a,b",
            b"Basic abc",
            b"abc",
            b"Bearer\tabc",
            b"Bearer \xff\xfe",
            b"Bearer %00",
            &[b"Bearer ", &b"x".repeat(1001)[..]].concat(),
        ] {
            assert_eq!(parse(&[wrong]), Err(401), "{}", String::from_utf8_lossy(wrong));
        }
        assert_eq!(parse(&[b"Bearer a", b"Bearer b"]), Err(401));
    }

    #[test]
    fn times_of_rows_are_those_of_the_wire() {
        assert_eq!(tick_of_ms(0), Tick::UNIX_EPOCH);
        assert_eq!(ms_of_tick(tick_of_ms(1_700_000_000_123)), 1_700_000_000_123);
        assert_eq!(tick_of_ms(i64::MAX), Tick::MAX);
        assert_eq!(tick_of_ms(i64::MIN), Tick::MIN);
    }
}
