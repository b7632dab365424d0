//! Who has a secret, without asking the database for more than whether anything has changed.
//!
//! What was found out once is kept in memory, and is right as long as `Access::state` is the same number: each change by
//! whatever process makes it another one. So a token that the command line made or revoked counts at once.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use sheaf_db::{Access, Claim, Credential, Database, Holder, RepositoryError, SecretDigest, User};

use super::claims::Claims;
use super::rights::{Enabled, Rights};

/// Answers that are kept at most; with more, it begins anew.
const MOST: usize = 10_000;

/// A user, what the user showed, and what may be done with it.
#[derive(Debug)]
pub(crate) struct Who {
    pub(crate) user: User,
    pub(crate) claims: Vec<Claim>,
    pub(crate) credential: Credential,
    pub(crate) rights: Rights,
}

impl Who {
    /// From when on, in milliseconds since 1970, the credential is worth nothing.
    pub(crate) fn expires_at_ms(&self) -> Option<i64> {
        match &self.credential {
            Credential::Token(token) => token.expires_at_ms,
            Credential::Session(session) => Some(session.expires_at_ms),
            Credential::None => None,
        }
    }
}

/// What a user is looked up by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Token(SecretDigest),
    Session(SecretDigest),
    Id(String),
}

/// What was found out, and when that was true.
#[derive(Debug, Default)]
struct Known {
    state: i64,
    who: HashMap<Key, Arc<Who>>,
}

/// Knows who has a secret, and what users may do.
#[derive(Debug)]
pub(crate) struct Gate {
    rows: Access,
    /// Which catalogs there are for users of a provider, by its scheme.
    enabled: HashMap<String, Enabled>,
    known: RwLock<Known>,
}

impl Gate {
    /// The gate to what a database says. `enabled` is which catalogs there are for users of each provider.
    pub(crate) fn new(database: &Database, enabled: HashMap<String, Enabled>) -> Gate {
        Gate { rows: database.access(), enabled, known: RwLock::default() }
    }

    /// What the database says, to read and to change it.
    pub(crate) fn rows(&self) -> &Access {
        &self.rows
    }

    /// Whoever has the token with this secret.
    pub(crate) async fn by_token(&self, secret: &str) -> Result<Option<Arc<Who>>, RepositoryError> {
        let digest = super::secret::digest(secret);
        self.find(Key::Token(digest), async || self.rows.holder_of_token(&digest).await).await
    }

    /// Whoever has the session with this secret.
    pub(crate) async fn by_session(&self, secret: &str) -> Result<Option<Arc<Who>>, RepositoryError> {
        let digest = super::secret::digest(secret);
        self.find(Key::Session(digest), async || self.rows.holder_of_session(&digest).await).await
    }

    /// The user with this id, and what the user may do without a token's limits; `None` if there is none.
    pub(crate) async fn by_id(&self, user: &str) -> Result<Option<Arc<Who>>, RepositoryError> {
        self.find(Key::Id(user.to_owned()), async || self.rows.holder_of_id(user).await).await
    }

    async fn find(
        &self,
        key: Key,
        load: impl AsyncFnOnce() -> Result<(i64, Option<Holder>), RepositoryError>,
    ) -> Result<Option<Arc<Who>>, RepositoryError> {
        let state = self.rows.state().await?;
        {
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            if known.state == state
                && let Some(who) = known.who.get(&key)
            {
                return Ok(Some(who.clone()));
            }
        }
        let (state, holder) = load().await?;
        // Strangers' secrets are not kept: there is no end of them.
        let Some(holder) = holder else { return Ok(None) };
        let who = Arc::new(self.who(holder));
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.state != state || known.who.len() >= MOST {
            *known = Known { state, who: HashMap::new() };
        }
        known.who.insert(key, who.clone());
        Ok(Some(who))
    }

    fn who(&self, holder: Holder) -> Who {
        let Holder { user, claims, licenses, credential } = holder;
        let enabled = match &user.scheme {
            None => Enabled::All,
            Some(scheme) => self.enabled.get(scheme).cloned().unwrap_or(Enabled::None),
        };
        let rights = Rights {
            user: user.id.clone(),
            of_user: Claims::new(claims.iter().map(|claim| &claim.grant)),
            of_token: match &credential {
                Credential::Token(token) => Some(Claims::new(&token.grants)),
                _ => None,
            },
            enabled,
            licenses,
        };
        Who { user, claims, credential, rights }
    }
}
