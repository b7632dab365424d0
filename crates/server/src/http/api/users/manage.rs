//! What administrators do with users.

use axum::extract::State;
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sheaf_db::NewUser;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{WireClaim, WireUser, grant, grants, no_user, wire_claims};
use crate::http::app::Shared;
use crate::http::auth::{Caller, first, passwords, tick_of_ms};
use crate::http::errors::ApiError;
use crate::http::extract::{Json, Path, Query};
use crate::http::wire::WireTick;

/// Users that are looked up at once.
const PAGE: usize = 500;

/// Events in an answer, at most.
const MOST_EVENTS: usize = 1000;

/// All users, by id.
#[utoipa::path(get, path = "/api/v1/users", tag = "users", responses(
    (status = 200, body = HashMap<String, WireUser>),
    (status = 401, body = String),
    (status = 403, body = String),
))]
pub(crate) async fn list(
    State(app): State<Shared>,
    caller: Caller,
) -> Result<Json<IndexMap<String, WireUser>>, ApiError> {
    caller.require_admin()?;
    let rows = app.access.rows();
    let mut users = IndexMap::new();
    loop {
        let after = users.keys().next_back().cloned();
        let page = rows.users(after.as_deref(), PAGE).await?;
        if page.is_empty() {
            return Ok(Json(users));
        }
        for user in page {
            let claims = wire_claims(&rows.claims_of(&user.id).await?);
            users.insert(user.id, WireUser { name: user.name, claims });
        }
    }
}

/// A user to be added.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CreateUser {
    /// For people to read. It is the user's id, too, unless another one is given.
    name: String,
    /// What everything that belongs to the user refers to: letters, digits, `-`, `_` and points.
    #[serde(default)]
    id: Option<String>,
    /// With one, the user can sign in in a browser.
    #[serde(default)]
    password: Option<String>,
    /// What the user may do.
    #[serde(default)]
    claims: Vec<WireClaim>,
}

/// Add a user. The answer is the user's id.
#[utoipa::path(post, path = "/api/v1/users", tag = "users", request_body = CreateUser, responses(
    (status = 200, body = String, content_type = "application/json"),
    (status = 401, body = String),
    (status = 403, body = String),
    (status = 422, description = "The user can't be added like this", body = String),
))]
pub(crate) async fn create(
    State(app): State<Shared>,
    caller: Caller,
    Json(user): Json<CreateUser>,
) -> Result<Json<String>, ApiError> {
    caller.require_admin()?;
    let id = user.id.unwrap_or_else(|| user.name.clone());
    first::check_id(&id).map_err(ApiError::unprocessable)?;
    let grants = grants(user.claims)?;
    let password_hash = match user.password {
        Some(password) => Some(hash(password).await?),
        None => None,
    };
    let event = caller.event("user.create", id.as_str(), json!({"name": user.name, "claims": grants}));
    let new = NewUser { id, name: user.name, scheme: None, password_hash };
    Ok(Json(app.access.rows().add_user(new, &grants, event).await?.id))
}

async fn hash(password: String) -> Result<String, ApiError> {
    let hashed = tokio::task::spawn_blocking(move || passwords::hash(&password)).await;
    let hashed = hashed.map_err(|error| ApiError::internal("the password can't be hashed", &error))?;
    hashed.map_err(ApiError::unprocessable)
}

/// Remove a user with all tokens and sessions.
#[utoipa::path(delete, path = "/api/v1/users/{user}", tag = "users", params(("user" = String, Path)), responses(
    (status = 200),
    (status = 401, body = String),
    (status = 403, body = String),
    (status = 404, body = String),
))]
pub(crate) async fn delete(
    State(app): State<Shared>,
    caller: Caller,
    Path(user): Path<String>,
) -> Result<(), ApiError> {
    caller.require_admin()?;
    let event = caller.event("user.remove", user.as_str(), json!({}));
    if app.access.rows().remove_user(&user, event).await? { Ok(()) } else { Err(no_user(&user)) }
}

/// What a user may do, by the id of the claim.
#[utoipa::path(get, path = "/api/v1/users/{user}/claims", tag = "users", params(("user" = String, Path)), responses(
    (status = 200, body = HashMap<String, WireClaim>),
    (status = 401, body = String),
    (status = 403, body = String),
    (status = 404, body = String),
))]
pub(crate) async fn claims(
    State(app): State<Shared>,
    caller: Caller,
    Path(user): Path<String>,
) -> Result<Json<IndexMap<Uuid, WireClaim>>, ApiError> {
    caller.require_admin()?;
    let rows = app.access.rows();
    if rows.user(&user).await?.is_none() {
        return Err(no_user(&user));
    }
    let claims = rows.claims_of(&user).await?;
    Ok(Json(claims.iter().map(|claim| (claim.id, (&claim.grant).into())).collect()))
}

/// Let a user do something. The answer is the id of the claim.
#[utoipa::path(post, path = "/api/v1/users/{user}/claims", tag = "users", params(("user" = String, Path)),
    request_body = WireClaim, responses(
    (status = 200, body = Uuid, content_type = "application/json"),
    (status = 401, body = String),
    (status = 403, body = String),
    (status = 404, body = String),
    (status = 422, description = "The claim means nothing here, or its pattern can't be used", body = String),
))]
pub(crate) async fn create_claim(
    State(app): State<Shared>,
    caller: Caller,
    Path(user): Path<String>,
    Json(claim): Json<WireClaim>,
) -> Result<Json<Uuid>, ApiError> {
    caller.require_admin()?;
    let grant = grant(claim)?;
    let event = caller.event("claim.create", user.as_str(), json!({"claim": grant}));
    let claim = app.access.rows().add_claim(&user, grant, event).await?;
    claim.map(|claim| Json(claim.id)).ok_or_else(|| no_user(&user))
}

/// Let a user no longer do something.
#[utoipa::path(delete, path = "/api/v1/users/claims/{id}", tag = "users", params(("id" = Uuid, Path)), responses(
    (status = 200),
    (status = 401, body = String),
    (status = 403, body = String),
    (status = 404, body = String),
))]
pub(crate) async fn delete_claim(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Result<(), ApiError> {
    caller.require_admin()?;
    let event = caller.event("claim.remove", id.to_string(), json!({}));
    match app.access.rows().remove_claim(id, event).await? {
        Some(_) => Ok(()),
        None => Err(ApiError::not_found(format!("there is no claim {id}"))),
    }
}

/// Which part of the record.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Page {
    /// Events with lower numbers than this one, which is where the page before ended.
    before: Option<i64>,
    /// Events at most, up to 1000.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

/// Something that was done, or refused.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WireEvent {
    /// Its number.
    seq: i64,
    /// When.
    at: WireTick,
    /// By which user; `null` for commands on the server's machine, and for strangers.
    user: Option<String>,
    /// With which token.
    token: Option<Uuid>,
    /// What.
    action: String,
    /// To what.
    subject: String,
    /// `done` or `refused`.
    outcome: String,
    /// What else is known.
    detail: Value,
    /// The id of the request.
    request: Option<String>,
}

/// The record of what was done, the newest first.
#[utoipa::path(get, path = "/api/v1/audit", tag = "users", params(Page), responses(
    (status = 200, body = Vec<WireEvent>),
    (status = 400, body = String),
    (status = 401, body = String),
    (status = 403, body = String),
    (status = 422, body = String),
))]
pub(crate) async fn audit(
    State(app): State<Shared>,
    caller: Caller,
    Query(page): Query<Page>,
) -> Result<Json<Vec<WireEvent>>, ApiError> {
    caller.require_admin()?;
    let limit = page.limit.unwrap_or(100);
    if !(1..=MOST_EVENTS).contains(&limit) {
        return Err(ApiError::unprocessable(format!("`limit` is 1 to {MOST_EVENTS}, not {limit}")));
    }
    let events = app.access.rows().events(page.before, limit).await?;
    let wire = events.into_iter().map(|event| WireEvent {
        seq: event.seq,
        at: WireTick(tick_of_ms(event.at_ms)),
        user: event.event.user,
        token: event.event.token,
        action: event.event.action,
        subject: event.event.subject,
        outcome: event.event.outcome,
        detail: event.event.detail,
        request: event.event.request,
    });
    Ok(Json(wire.collect()))
}
