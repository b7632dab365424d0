//! Who may use a server: the user and the token of the seeds, which everybody knows, or an administrator with secrets of its own.

use serde_json::json;
use sheaf_db::{Access, Grant, NewEvent, NewToken, NewUser};

use super::SeedError;
use crate::http::auth::claims::{ADMINISTRATOR, ROLE};
use crate::http::auth::{passwords, secret, well_known};

/// The administrator of a server that is set up for work.
const ADMIN: &str = "admin";

/// What was made that was not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) is_new_user: bool,
    pub(crate) is_new_token: bool,
}

/// The user and the token that everybody knows; both are good on this machine only.
pub(crate) async fn well_known(access: &Access) -> Result<Known, SeedError> {
    let is_new_user = access.user(well_known::USER).await?.is_none();
    if is_new_user {
        add_user(access, well_known::USER, well_known::PASSWORD, "dev-seed").await?;
    }
    let digest = secret::digest(well_known::SECRET);
    let is_new_token = access.holder_of_token(&digest).await?.1.is_none();
    if is_new_token {
        add_token(access, well_known::USER, well_known::SECRET, "dev-seed").await?;
    }
    Ok(Known { is_new_user, is_new_token })
}

/// The secrets of a new administrator.
pub(crate) struct Secrets {
    pub(crate) user: &'static str,
    pub(crate) password: String,
    pub(crate) token: String,
}

/// Makes an administrator with a password and a token; `None` if there is one.
pub(crate) async fn administrator(access: &Access) -> Result<Option<Secrets>, SeedError> {
    if access.user(ADMIN).await?.is_some() {
        return Ok(None);
    }
    let (password, token) = (secret::new_secret(), secret::new_token());
    add_user(access, ADMIN, &password, "prod-seed").await?;
    add_token(access, ADMIN, &token, "prod-seed").await?;
    Ok(Some(Secrets { user: ADMIN, password, token }))
}

async fn add_user(access: &Access, id: &str, password: &str, why: &str) -> Result<(), SeedError> {
    let password_hash = Some(passwords::hash(password)?);
    let user = NewUser { id: id.to_owned(), name: id.to_owned(), scheme: None, password_hash };
    let event = NewEvent::by_command("user.create", id, json!({"why": why}));
    access.add_user(user, &[Grant::new(ROLE, ADMINISTRATOR)], event).await?;
    Ok(())
}

async fn add_token(access: &Access, user: &str, secret: &str, why: &str) -> Result<(), SeedError> {
    let token = NewToken {
        user: user.to_owned(),
        name: why.to_owned(),
        secret: secret::digest(secret),
        expires_at_ms: None,
        grants: vec![Grant::new(ROLE, ADMINISTRATOR)],
    };
    let event = NewEvent::by_command("token.create", why, json!({"name": why, "user": user}));
    access.add_token(token, event).await?;
    Ok(())
}
