//! Tokens: what programs sign in with.

use axum::extract::State;
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sheaf_db::{NewEvent, NewToken};
use sheaf_model::Tick;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{RefreshToken, WireClaim, expires, grants, no_user, user_of, wire_claims};
use crate::http::app::{App, Shared};
use crate::http::auth::well_known::{self, FromHere};
use crate::http::auth::{Caller, ms_of_tick, now_ms, secret};
use crate::http::errors::ApiError;
use crate::http::extract::{Json, Path, Query};
use crate::http::wire::WireTick;

/// Whose tokens.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Of {
    /// Another user; administrators only.
    user_id: Option<String>,
}

/// A token, without its secret, which nobody knows.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WireToken {
    /// What it is for.
    description: String,
    /// From when on it is worth nothing; the last point in time there is, if never.
    expires: WireTick,
    /// What it is good for, of what the user may do.
    claims: Vec<WireClaim>,
    /// What the user may do.
    grant_claims: Vec<WireClaim>,
}

/// The tokens of a user, by id.
#[utoipa::path(get, path = "/api/v1/users/tokens", tag = "users", params(Of), responses(
    (status = 200, body = HashMap<String, WireToken>),
    (status = 401, body = String),
    (status = 403, body = String),
))]
pub(crate) async fn list(
    State(app): State<Shared>,
    caller: Caller,
    Query(of): Query<Of>,
) -> Result<Json<IndexMap<Uuid, WireToken>>, ApiError> {
    let user = user_of(&caller, of.user_id)?;
    let rows = app.access.rows();
    let of_user = wire_claims(&rows.claims_of(&user).await?);
    let tokens = rows.tokens_of(&user).await?.into_iter().map(|token| {
        let wire = WireToken {
            description: token.name.clone(),
            expires: expires(&token),
            claims: token.grants.iter().map(Into::into).collect(),
            grant_claims: of_user.clone(),
        };
        (token.id, wire)
    });
    Ok(Json(tokens.collect()))
}

/// A token to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CreateToken {
    /// What it is for.
    description: String,
    /// From when on it is worth nothing. Left out, or the last point in time there is: never.
    #[serde(default)]
    expires: Option<WireTick>,
    /// What it is good for. It is never good for more than the user may do.
    #[serde(default)]
    claims: Vec<WireClaim>,
}

/// Make a token. The answer is its secret, this once.
#[utoipa::path(post, path = "/api/v1/users/tokens/create", tag = "users", params(Of), request_body = CreateToken, responses(
    (status = 200, body = String, content_type = "application/json"),
    (status = 401, body = String),
    (status = 403, body = String),
    (status = 404, description = "There is no such user", body = String),
    (status = 422, description = "The token can't be made like this", body = String),
))]
pub(crate) async fn create(
    State(app): State<Shared>,
    caller: Caller,
    Query(of): Query<Of>,
    Json(token): Json<CreateToken>,
) -> Result<Json<String>, ApiError> {
    let user = user_of(&caller, of.user_id)?;
    let expires_at_ms = match token.expires {
        // Clients write the last point in time with as many digits as they have.
        Some(WireTick(at)) if at.ticks() < Tick::MAX.ticks() - Tick::PER_SECOND => Some(ms_of_tick(at)),
        _ => None,
    };
    if expires_at_ms.is_some_and(|at_ms| at_ms <= now_ms()) {
        return Err(ApiError::unprocessable("`expires` has passed: such a token is worth nothing"));
    }
    let secret = add(&app, &caller, user, token.description, expires_at_ms, token.claims).await?;
    Ok(Json(secret))
}

async fn add(
    app: &App,
    caller: &Caller,
    user: String,
    name: String,
    expires_at_ms: Option<i64>,
    claims: Vec<WireClaim>,
) -> Result<String, ApiError> {
    let secret = secret::new_token();
    let grants = grants(claims)?;
    // A token makes no token that is worth more.
    let has_all = caller.token().is_some_and(|token| grants.iter().all(|grant| token.grants.contains(grant)));
    if !has_all {
        caller.require_whole_user()?;
    }
    let detail = json!({"name": name, "user": user, "claims": grants, "expires": expires_at_ms});
    let event = caller.event("token.create", name.as_str(), detail);
    let token = NewToken { user: user.clone(), name, secret: secret::digest(&secret), expires_at_ms, grants };
    app.access.rows().add_token(token, event).await?.ok_or_else(|| no_user(&user))?;
    Ok(secret)
}

/// Revoke a token. It is worth nothing from now on.
#[utoipa::path(delete, path = "/api/v1/users/tokens/{id}", tag = "users", params(("id" = Uuid, Path)), responses(
    (status = 200),
    (status = 401, body = String),
    (status = 403, description = "A token for some of what its user may do revokes itself only", body = String),
    (status = 404, description = "The user has no such token", body = String),
))]
pub(crate) async fn delete(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Result<(), ApiError> {
    let user = caller.require_user()?.user.id.clone();
    if caller.token().is_none_or(|token| token.id != id) {
        caller.require_whole_user()?;
    }
    let only = (!caller.is_admin()).then_some(user.as_str());
    let event = caller.event("token.revoke", id.to_string(), json!({}));
    match app.access.rows().remove_token(id, only, event).await? {
        Some(_) => Ok(()),
        None => Err(ApiError::not_found(format!("there is no token {id} of yours"))),
    }
}

/// A secret.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ByValue {
    /// The whole token.
    value: String,
}

/// Revoke the token with this secret; whoever has it may. The answer is the same if there is none.
#[utoipa::path(delete, path = "/api/v1/users/tokens/delete", tag = "users", security(()), params(ByValue), responses(
    (status = 200),
    (status = 400, body = String),
))]
pub(crate) async fn delete_by_value(
    State(app): State<Shared>,
    from_here: FromHere,
    Query(ByValue { value }): Query<ByValue>,
) -> Result<(), ApiError> {
    revoke_by_value(&app, &value, from_here).await
}

async fn revoke_by_value(app: &App, value: &str, from_here: FromHere) -> Result<(), ApiError> {
    if value == well_known::SECRET && !from_here.0 {
        return Ok(());
    }
    let digest = secret::digest(value);
    // Whoever sends what is no token doesn't keep writers waiting.
    if app.access.rows().holder_of_token(&digest).await?.1.is_none() {
        return Ok(());
    }
    let event = NewEvent {
        user: None,
        token: None,
        action: "token.revoke".to_owned(),
        subject: String::new(),
        outcome: "done".to_owned(),
        detail: json!({"by": "its secret"}),
        request: None,
    };
    app.access.rows().remove_token_with_secret(&digest, event).await?;
    Ok(())
}

/// What clients of 2023 sign in with.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RefreshTokenRequest {
    /// A token.
    refresh_token: String,
}

/// What clients of 2023 sign in with, and then use. Here it is one and the same.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TokenPair {
    /// The token.
    access_token: String,
    /// The token.
    refresh_token: String,
}

/// Sign in as clients of 2023 do.
#[utoipa::path(post, path = "/api/v1/users/tokens/refresh", tag = "users", security(()),
    request_body = RefreshTokenRequest, responses(
    (status = 200, body = TokenPair),
    (status = 401, description = "The token is not known, or has expired", body = String),
))]
pub(crate) async fn refresh(
    State(app): State<Shared>,
    from_here: FromHere,
    Json(RefreshTokenRequest { refresh_token }): Json<RefreshTokenRequest>,
) -> Result<Json<TokenPair>, ApiError> {
    if refresh_token == well_known::SECRET && !from_here.0 {
        return Err(ApiError::unauthorized(well_known::REFUSAL));
    }
    let who = app.access.by_token(&refresh_token).await?;
    match who.filter(|who| who.expires_at_ms().is_none_or(|at_ms| at_ms > now_ms())) {
        Some(_) => Ok(Json(TokenPair { access_token: refresh_token.clone(), refresh_token })),
        None => Err(ApiError::unauthorized("this token is not known, was revoked, or has expired")),
    }
}

/// Revoke the token with this secret, as clients of 2023 do.
#[utoipa::path(post, path = "/api/v1/users/tokens/revoke", tag = "users", security(()),
    request_body = RefreshTokenRequest, responses((status = 200)))]
pub(crate) async fn revoke(
    State(app): State<Shared>,
    from_here: FromHere,
    Json(RefreshTokenRequest { refresh_token }): Json<RefreshTokenRequest>,
) -> Result<(), ApiError> {
    revoke_by_value(&app, &refresh_token, from_here).await
}

/// What a token is for, and whose it is.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Generate {
    /// What it is for.
    description: String,
    /// Another user; administrators only.
    user_id: Option<String>,
}

/// Make a token that is good for whatever the user may do, as clients of 2023 do.
#[utoipa::path(post, path = "/api/v1/users/tokens/generate", tag = "users", params(Generate), responses(
    (status = 200, body = String, content_type = "application/json"),
    (status = 401, body = String),
    (status = 403, body = String),
    (status = 404, description = "There is no such user", body = String),
    (status = 422, body = String),
))]
pub(crate) async fn generate(
    State(app): State<Shared>,
    caller: Caller,
    Query(generate): Query<Generate>,
) -> Result<Json<String>, ApiError> {
    let user = user_of(&caller, generate.user_id)?;
    let claims = wire_claims(&app.access.rows().claims_of(&user).await?);
    Ok(Json(add(&app, &caller, user, generate.description, None, claims).await?))
}

/// The tokens of a user, as clients of 2023 list them.
#[utoipa::path(get, path = "/api/v1/users/{user}/tokens", tag = "users", params(("user" = String, Path)), responses(
    (status = 200, body = HashMap<String, RefreshToken>),
    (status = 401, body = String),
    (status = 403, body = String),
))]
pub(crate) async fn list_of(
    State(app): State<Shared>,
    caller: Caller,
    Path(user): Path<String>,
) -> Result<Json<IndexMap<Uuid, RefreshToken>>, ApiError> {
    let user = user_of(&caller, Some(user))?;
    let tokens = app.access.rows().tokens_of(&user).await?;
    Ok(Json(tokens.iter().map(|token| (token.id, token.into())).collect()))
}
