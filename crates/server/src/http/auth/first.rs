//! Users that exist for tokens, and the first of all tokens.

use serde_json::json;
use sheaf_db::{Access, Grant, NewEvent, NewToken, NewUser, RepositoryError};

use super::claims::{ADMINISTRATOR, ROLE};
use super::secret;

/// The longest id of a user who is known here only.
const LONGEST_ID: usize = 64;

/// What the first token is called.
const FIRST: &str = "admin";

/// The user of tokens that the command line makes and that belong to nobody else: one for each name. So a token that takes the
/// place of another one goes on with its jobs, and tokens for different purposes don't see each other's.
pub(crate) fn own_user(token: &str) -> NewUser {
    // What people may call themselves, with providers or without, never ends like this.
    NewUser { id: format!("{token}@cli"), name: token.to_owned(), scheme: None, password_hash: None }
}

/// Refuses ids that could be mistaken for those of users of providers, or don't fit into an address.
pub(crate) fn check_id(id: &str) -> Result<(), String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    if (1..=LONGEST_ID).contains(&id.len()) && id.chars().all(is_plain) && id.starts_with(|c: char| c != '.')
    {
        return Ok(());
    }
    let shown: String = id.chars().take(LONGEST_ID).collect();
    Err(format!(
        "`{}` is no id for a user: it has 1 to {LONGEST_ID} letters, digits, -, _ or points, and begins with none of the latter",
        shown.escape_debug()
    ))
}

/// The token of whoever sets up a server: for everything, and only if there are neither users nor tokens yet.
pub(crate) async fn first_token(access: &Access) -> Result<Option<String>, RepositoryError> {
    if !access.users(None, 1).await?.is_empty() || !access.tokens(None, 1).await?.is_empty() {
        return Ok(None);
    }
    let secret = secret::new_token();
    let token = NewToken {
        user: String::new(),
        name: FIRST.to_owned(),
        secret: secret::digest(&secret),
        expires_at_ms: None,
        grants: vec![Grant::new(ROLE, ADMINISTRATOR)],
    };
    let event = NewEvent::by_command("token.create", FIRST, json!({"name": FIRST, "why": "first start"}));
    let token = access.add_first_token(token, own_user(FIRST), event).await?;
    Ok(token.map(|_| secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_users_are_plain() {
        for id in ["ann", "Ann.B-2_c", "7"] {
            assert_eq!(check_id(id), Ok(()));
        }
        for id in ["", ".", "..", ".a", "a@b", "ann@cli", "a/b", "a b", "a%2Fb", "é", "a\n", &"x".repeat(65)]
        {
            assert!(check_id(id).is_err(), "{id:?}");
        }
    }
}
