//! Sign-in by way of providers that speak OpenID Connect: the code flow, with PKCE and a nonce.
//!
//! There is no provider unless the settings name one, and whoever signs in first gets no rights by that. `oidc/provider.rs`
//! talks to a provider; here is which ones there are.

mod provider;

use std::collections::{HashMap, HashSet};

use serde::Deserialize;

pub(crate) use provider::{OidcError, Provider};

use super::claims::Pattern;
use super::rights::Enabled;
use crate::http::ServeError;

/// A provider, as an entry `[[auth.oidc]]` of the settings file names it.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProviderSettings {
    /// Its short name: part of the address that it sends browsers back to, `/signin-oidc/<scheme>`, and of ids of users.
    pub(crate) scheme: String,
    /// Its name for people to read; without one, the short name.
    #[serde(default)]
    pub(crate) name: Option<String>,
    /// Its address, below which `.well-known/openid-configuration` is.
    pub(crate) issuer: String,
    /// What it knows this server as.
    pub(crate) client_id: String,
    /// The secret that goes with it; clients without one are public ones.
    #[serde(default)]
    pub(crate) client_secret: Option<String>,
    /// What it is asked for, beside `openid`.
    #[serde(default = "default_scopes")]
    pub(crate) scopes: Vec<String>,
    /// The claim that says which user it is, for ever.
    #[serde(default = "default_identifier")]
    pub(crate) identifier_claim: String,
    /// The catalogs that its users may be allowed at all; all without it.
    #[serde(default)]
    pub(crate) enabled_catalogs: Option<String>,
}

fn default_scopes() -> Vec<String> {
    vec!["profile".to_owned()]
}

fn default_identifier() -> String {
    "sub".to_owned()
}

/// The providers of the settings.
#[derive(Debug, Default)]
pub(crate) struct Providers(Vec<std::sync::Arc<Provider>>);

impl Providers {
    /// Reads the entries of the settings file.
    pub(crate) fn new(entries: &[serde_json::Value]) -> Result<Providers, ServeError> {
        let wrong = |problem: String| ServeError::Setting { key: "auth.oidc", problem };
        let mut providers = Vec::new();
        let mut schemes = HashSet::new();
        for entry in entries {
            let settings: ProviderSettings =
                serde_json::from_value(entry.clone()).map_err(|error| wrong(error.to_string()))?;
            let scheme = settings.scheme.clone();
            let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
            // `cli` is what ids of users of the command line's tokens end with.
            if scheme.is_empty() || !scheme.chars().all(is_plain) || scheme == "cli" {
                return Err(wrong(format!(
                    "`{}` is no scheme: it has small letters, digits, - and _, and is not `cli`",
                    scheme.escape_debug()
                )));
            }
            if !schemes.insert(scheme.clone()) {
                return Err(wrong(format!("there are two providers with the scheme `{scheme}`")));
            }
            let provider =
                Provider::new(settings).map_err(|problem| wrong(format!("`{scheme}`: {problem}")))?;
            providers.push(std::sync::Arc::new(provider));
        }
        Ok(Providers(providers))
    }

    /// All, in the order of the settings.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &std::sync::Arc<Provider>> {
        self.0.iter()
    }

    /// The one with this scheme.
    pub(crate) fn get(&self, scheme: &str) -> Option<&std::sync::Arc<Provider>> {
        self.iter().find(|provider| provider.scheme() == scheme)
    }

    /// Which catalogs there are for users of each.
    pub(crate) fn enabled(&self) -> HashMap<String, Enabled> {
        self.iter().map(|provider| (provider.scheme().to_owned(), provider.enabled())).collect()
    }
}

/// Which catalogs a pattern leaves, if there is one.
fn enabled(pattern: Option<&str>) -> Result<Enabled, String> {
    match pattern.filter(|pattern| !pattern.is_empty()) {
        Some(pattern) => Pattern::new(pattern).map(Enabled::Matching).map_err(|error| error.to_string()),
        None => Ok(Enabled::All),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn providers_are_read_and_wrong_ones_named() {
        let one = json!({"scheme": "corp", "issuer": "https://id.example.org", "client_id": "sheaf"});
        let providers = Providers::new(std::slice::from_ref(&one)).unwrap();
        assert_eq!(providers.get("corp").unwrap().name(), "corp");
        assert!(providers.get("other").is_none());
        let wrong = |entries: &[serde_json::Value]| Providers::new(entries).unwrap_err().to_string();
        assert!(wrong(&[one.clone(), one.clone()]).contains("two providers"));
        let with = |key: &str, value: &str| {
            let mut entry = one.clone();
            entry[key] = value.into();
            wrong(&[entry])
        };
        for scheme in ["", "Corp", "a/b", "cli", "a@b"] {
            assert!(with("scheme", scheme).contains("is no scheme"), "{scheme}");
        }
        assert!(with("issuer", "nonsense").contains("`corp`"));
        assert!(with("issuer", "http://id.example.org").contains("https"));
        assert!(with("enabled_catalogs", "(").contains("`(`"));
        assert!(with("secret", "x").contains("unknown field `secret`"));
    }
}
