//! Users, and what they sign in with.

pub(crate) mod licenses;
pub(crate) mod manage;
pub(crate) mod oidc;
pub(crate) mod sign_in;
pub(crate) mod tokens;

use axum::extract::State;
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use sheaf_db::{Claim, Grant, Token};
use sheaf_model::Tick;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::http::app::{App, Shared};
use crate::http::auth::claims::{ROLE, USER};
use crate::http::auth::gate::Who;
use crate::http::auth::{Caller, claims, tick_of_ms};
use crate::http::errors::ApiError;
use crate::http::extract::Json;
use crate::http::wire::WireTick;

/// Something that a user may do, or a token is good for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct WireClaim {
    /// `CanReadCatalog`, `CanWriteCatalog`, `CanReadCatalogGroup`, `CanWriteCatalogGroup`, `CanUseResourceLocator` or `role`.
    #[serde(rename = "type")]
    kind: String,
    /// A regular expression that must fit the whole id, or `Administrator`.
    value: String,
}

impl From<&Grant> for WireClaim {
    fn from(grant: &Grant) -> WireClaim {
        WireClaim { kind: grant.kind.clone(), value: grant.value.clone() }
    }
}

/// The claims of a request, each of which can be used.
fn grants(claims: Vec<WireClaim>) -> Result<Vec<Grant>, ApiError> {
    claims.into_iter().map(grant).collect()
}

fn grant(claim: WireClaim) -> Result<Grant, ApiError> {
    let grant = Grant::new(claim.kind, claim.value);
    claims::check(&grant).map_err(ApiError::unprocessable)?;
    Ok(grant)
}

fn wire_claims(claims: &[Claim]) -> Vec<WireClaim> {
    claims.iter().map(|claim| (&claim.grant).into()).collect()
}

/// A user.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WireUser {
    /// For people to read.
    name: String,
    /// What the user may do.
    claims: Vec<WireClaim>,
}

/// A token as clients of 2023 know it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RefreshToken {
    /// From when on it is worth nothing; the last point in time there is, if never.
    expires: WireTick,
    /// What it is for.
    description: String,
}

impl From<&Token> for RefreshToken {
    fn from(token: &Token) -> RefreshToken {
        RefreshToken { expires: expires(token), description: token.name.clone() }
    }
}

fn expires(token: &Token) -> WireTick {
    WireTick(token.expires_at_ms.map_or(Tick::MAX, tick_of_ms))
}

/// Whoever asks, in the forms of all generations of clients.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Me {
    /// The user's id.
    user_id: String,
    /// For people to read.
    name: String,
    /// What the user may do; a token may be good for less.
    claims: Vec<WireClaim>,
    /// The same once more.
    user: WireUser,
    /// Whether everything may be done with what was shown.
    is_admin: bool,
    /// The user's tokens, by id.
    #[schema(value_type = HashMap<String, RefreshToken>)]
    refresh_tokens: IndexMap<Uuid, RefreshToken>,
}

/// Who is signed in.
#[utoipa::path(get, path = "/api/v1/users/me", tag = "users", responses(
    (status = 200, body = Me),
    (status = 401, description = "Nobody", body = String),
))]
pub(crate) async fn me(State(app): State<Shared>, caller: Caller) -> Result<Json<Me>, ApiError> {
    Ok(Json(describe(&app, caller.require_user()?).await?))
}

async fn describe(app: &App, who: &Who) -> Result<Me, ApiError> {
    let tokens = app.access.rows().tokens_of(&who.user.id).await?;
    let mut claims = wire_claims(&who.claims);
    // Everybody has it; clients look for it.
    let user = WireClaim { kind: ROLE.to_owned(), value: USER.to_owned() };
    if !claims.contains(&user) {
        claims.push(user);
    }
    Ok(Me {
        user_id: who.user.id.clone(),
        name: who.user.name.clone(),
        claims: claims.clone(),
        user: WireUser { name: who.user.name.clone(), claims },
        is_admin: who.rights.is_admin(),
        refresh_tokens: tokens.iter().map(|token| (token.id, token.into())).collect(),
    })
}

/// The user of a request: the caller, or another one, if the caller is an administrator.
fn user_of(caller: &Caller, user: Option<String>) -> Result<String, ApiError> {
    let own = caller.require_user()?.user.id.clone();
    let user = user.unwrap_or(own);
    caller.require_self_or_admin(&user)?;
    Ok(user)
}

fn no_user(user: &str) -> ApiError {
    ApiError::not_found(format!("there is no user `{user}`"))
}
