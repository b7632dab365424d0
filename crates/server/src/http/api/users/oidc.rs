//! Sign-in by way of a provider.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{HOST, HeaderMap};
use axum::response::Response;
use axum_extra::extract::CookieJar;
use serde::{Deserialize, Serialize};
use sheaf_db::{Login, NewEvent, NewUser};
use utoipa::{IntoParams, ToSchema};

use super::sign_in::{Browser, cookie, local, no_cookie, see_other};
use crate::http::app::{App, Shared};
use crate::http::auth::oidc::{OidcError, Provider};
use crate::http::auth::{now_ms, secret};
use crate::http::errors::ApiError;
use crate::http::extract::{Json, Path, Query};

/// How long a user may take to sign in with the provider.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// The cookie that says which sign-in a browser has begun: so nobody can be made to end somebody else's.
const LOGIN_COOKIE: &str = "sheaf_login";

/// A provider that users can sign in with.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Scheme {
    /// Its short name.
    scheme: String,
    /// Its name for people to read.
    display_name: String,
}

/// The providers that users can sign in with, beside a password.
#[utoipa::path(get, path = "/api/v1/users/authentication-schemes", tag = "users", security(()), responses(
    (status = 200, body = Vec<Scheme>),
))]
pub(crate) async fn schemes(State(app): State<Shared>) -> Json<Vec<Scheme>> {
    let scheme = |provider: &std::sync::Arc<Provider>| Scheme {
        scheme: provider.scheme().to_owned(),
        display_name: provider.name().to_owned(),
    };
    Json(app.providers.iter().map(scheme).collect())
}

/// With which provider, and where to go then.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Authenticate {
    /// The short name of the provider.
    scheme: String,
    /// A path on this server.
    return_url: Option<String>,
}

/// Sign in with a provider: sends the browser there.
#[utoipa::path(post, path = "/api/v1/users/authenticate", tag = "users", security(()), params(Authenticate), responses(
    (status = 303, description = "To the provider"),
    (status = 404, description = "There is no such provider", body = String),
    (status = 502, description = "The provider fails", body = String),
))]
pub(crate) async fn authenticate(
    app: State<Shared>,
    headers: HeaderMap,
    cookies: CookieJar,
    query: Query<Authenticate>,
) -> Result<(CookieJar, Response), ApiError> {
    begin(app, headers, cookies, query).await
}

/// Sign in with a provider, by following a link.
#[utoipa::path(get, path = "/api/v1/users/authenticate", tag = "users", security(()), params(Authenticate), responses(
    (status = 303, description = "To the provider"),
    (status = 404, description = "There is no such provider", body = String),
    (status = 502, description = "The provider fails", body = String),
))]
pub(crate) async fn authenticate_by_link(
    app: State<Shared>,
    headers: HeaderMap,
    cookies: CookieJar,
    query: Query<Authenticate>,
) -> Result<(CookieJar, Response), ApiError> {
    begin(app, headers, cookies, query).await
}

async fn begin(
    State(app): State<Shared>,
    headers: HeaderMap,
    cookies: CookieJar,
    Query(Authenticate { scheme, return_url }): Query<Authenticate>,
) -> Result<(CookieJar, Response), ApiError> {
    let provider = provider(&app, &scheme)?;
    let redirect = redirect(&app, &headers, &scheme)?;
    let begun = waiting(move || provider.begin(&redirect)).await?;
    let login = Login {
        state: secret::digest(&begun.state),
        scheme,
        nonce: begun.nonce,
        verifier: begun.verifier,
        return_url: local(return_url.as_deref()).to_owned(),
        expires_at_ms: now_ms().saturating_add(PATIENCE.as_millis() as i64),
    };
    app.access.rows().add_login(login).await?;
    let cookie = cookie(&app, LOGIN_COOKIE, &begun.state, PATIENCE)?;
    Ok((cookies.add(cookie), see_other(&begun.url)?))
}

/// What a provider answers by way of the browser.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Answer {
    /// What began.
    state: String,
    /// What stands for the user.
    code: Option<String>,
    /// Why the user is not signed in.
    error: Option<String>,
    /// That in words.
    error_description: Option<String>,
}

/// Where a provider sends the browser back to.
#[utoipa::path(get, path = "/signin-oidc/{scheme}", tag = "users", security(()),
    params(("scheme" = String, Path), Answer), responses(
    (status = 303, description = "Signed in; to where the user came from"),
    (status = 400, body = String),
    (status = 401, description = "Not signed in", body = String),
    (status = 404, description = "There is no such provider", body = String),
    (status = 502, description = "The provider fails", body = String),
))]
pub(crate) async fn answer(
    State(app): State<Shared>,
    Path(scheme): Path<String>,
    Query(answer): Query<Answer>,
    headers: HeaderMap,
    browser: Browser,
    cookies: CookieJar,
) -> Result<(CookieJar, Response), ApiError> {
    let provider = provider(&app, &scheme)?;
    // What this very browser has begun, and what is answered once.
    let is_its = cookies.get(LOGIN_COOKIE).is_some_and(|cookie| cookie.value() == answer.state);
    let login = match is_its {
        true => app.access.rows().take_login(&secret::digest(&answer.state)).await?,
        false => None,
    };
    let login = login.filter(|login| login.scheme == scheme);
    let login = login.ok_or_else(|| {
        ApiError::unauthorized("this browser has begun no such sign-in, or it took too long: begin it anew")
    })?;
    let Some(code) = answer.code else {
        let error = answer.error.unwrap_or_else(|| "no code".to_owned());
        let described = answer.error_description.map(|text| format!(" ({text})")).unwrap_or_default();
        browser.refused(&app, &scheme).await?;
        return Err(ApiError::unauthorized(format!("the provider `{scheme}` says: {error}{described}")));
    };
    let redirect = redirect(&app, &headers, &scheme)?;
    let (nonce, verifier) = (login.nonce, login.verifier);
    let finished = waiting(move || provider.finish(&redirect, code, nonce, verifier)).await;
    let identity = match finished {
        Ok(identity) => identity,
        Err(error) => {
            browser.refused(&app, &scheme).await?;
            return Err(error);
        }
    };
    let event = NewEvent {
        user: Some(identity.id.clone()),
        ..NewEvent::by_command("user.create", identity.id.as_str(), serde_json::json!({"provider": scheme}))
    };
    let new =
        NewUser { id: identity.id, name: identity.name, scheme: Some(scheme.clone()), password_hash: None };
    let user = app.access.rows().known_user(new, event).await?;
    let session = browser.begin(&app, &user, &scheme).await?;
    let cookies = cookies.add(session).add(no_cookie(&app, LOGIN_COOKIE)?);
    Ok((cookies, see_other(&login.return_url)?))
}

fn provider(app: &App, scheme: &str) -> Result<std::sync::Arc<Provider>, ApiError> {
    app.providers.get(scheme).cloned().ok_or_else(|| {
        let shown: String = scheme.chars().take(60).collect();
        ApiError::not_found(format!("there is no provider `{}` to sign in with", shown.escape_debug()))
    })
}

/// The address that the provider sends the browser back to.
fn redirect(app: &App, headers: &HeaderMap, scheme: &str) -> Result<String, ApiError> {
    let base = match &app.settings.general.public_url {
        Some(url) => url.trim_end_matches('/').to_owned(),
        None => {
            let host = headers.get(HOST).and_then(|host| host.to_str().ok());
            let host = host.ok_or_else(|| ApiError::bad_request("the header Host is missing"))?;
            format!("{}://{host}", if app.is_secure() { "https" } else { "http" })
        }
    };
    Ok(format!("{base}/signin-oidc/{scheme}"))
}

/// Lets something wait for a provider.
async fn waiting<T: Send + 'static>(
    ask: impl FnOnce() -> Result<T, OidcError> + Send + 'static,
) -> Result<T, ApiError> {
    let asked = tokio::task::spawn_blocking(ask).await;
    let asked = asked.map_err(|error| ApiError::internal("the provider could not be asked", &error))?;
    asked.map_err(|error| match error.is_providers() {
        true => ApiError::bad_gateway(error),
        false => ApiError::new(StatusCode::UNAUTHORIZED, error),
    })
}
