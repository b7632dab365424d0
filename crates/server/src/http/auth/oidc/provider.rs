//! One provider: what is asked of it, and what its answers are worth.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use openidconnect::core::{CoreAuthenticationFlow, CoreClient, CoreGenderClaim, CoreProviderMetadata};
use openidconnect::{
    AdditionalClaims, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointMaybeSet, EndpointNotSet,
    EndpointSet, HttpRequest, HttpResponse, IssuerUrl, Nonce, OAuth2TokenResponse, PkceCodeChallenge,
    PkceCodeVerifier, RedirectUrl, Scope, TokenResponse, UserInfoClaims,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::ProviderSettings;
use crate::http::auth::rights::Enabled;

/// How long what a provider says of itself is believed; its keys change rarely.
const FRESH: Duration = Duration::from_secs(3600);

/// How long a provider may take to answer.
const PATIENCE: Duration = Duration::from_secs(15);

/// The largest answer of a provider, in bytes.
const LARGEST_ANSWER: u64 = 1 << 20;

/// What stays in an id of a user as it is, as .NET has it.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');

type Client = CoreClient<
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// A provider that fails, or whose answer is not believed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OidcError {
    /// It can't be asked.
    #[error("the provider `{scheme}` can't be asked: {problem}")]
    Provider {
        /// Its short name.
        scheme: String,
        /// Why not.
        problem: String,
    },
    /// Its answer does not prove who the user is.
    #[error("the answer of the provider `{scheme}` is not believed: {problem}")]
    Answer {
        /// Its short name.
        scheme: String,
        /// Why not.
        problem: String,
    },
    /// Its answer lacks a claim.
    #[error("the provider `{scheme}` does not say the claim `{claim}` of this user")]
    Claim {
        /// Its short name.
        scheme: String,
        /// The claim.
        claim: String,
    },
}

impl OidcError {
    /// Whether the provider fails, and not the user.
    pub(crate) fn is_providers(&self) -> bool {
        matches!(self, OidcError::Provider { .. })
    }
}

/// A sign-in that begins.
pub(crate) struct Begun {
    /// Where the browser goes.
    pub(crate) url: String,
    /// What comes back with the answer.
    pub(crate) state: String,
    /// What the answer must contain.
    pub(crate) nonce: String,
    /// What proves that the answer is fetched by whoever asked.
    pub(crate) verifier: String,
}

/// Whom a provider says that a user is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The id of the user here.
    pub(crate) id: String,
    /// For people to read.
    pub(crate) name: String,
}

/// A provider.
pub(crate) struct Provider {
    settings: ProviderSettings,
    issuer: IssuerUrl,
    enabled: Enabled,
    agent: ureq::Agent,
    metadata: Mutex<Option<(Instant, CoreProviderMetadata)>>,
}

/// Without the secret.
impl std::fmt::Debug for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Provider").field("scheme", &self.settings.scheme).finish_non_exhaustive()
    }
}

/// Claims, whatever they are.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct AnyClaims(Map<String, Value>);

impl AdditionalClaims for AnyClaims {}

impl Provider {
    pub(super) fn new(settings: ProviderSettings) -> Result<Provider, String> {
        let issuer = IssuerUrl::new(settings.issuer.clone())
            .map_err(|error| format!("the issuer `{}` is no address: {error}", settings.issuer))?;
        let host = issuer.url().host_str().unwrap_or_default();
        let is_here = ["localhost", "127.0.0.1", "[::1]"].contains(&host);
        if issuer.url().scheme() != "https" && !is_here {
            return Err(format!("the issuer `{}` must be asked over https", settings.issuer));
        }
        let enabled = super::enabled(settings.enabled_catalogs.as_deref())?;
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            // A provider that sends elsewhere could send into our own network.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(PATIENCE))
            .build()
            .new_agent();
        Ok(Provider { settings, issuer, enabled, agent, metadata: Mutex::new(None) })
    }

    /// Its short name.
    pub(crate) fn scheme(&self) -> &str {
        &self.settings.scheme
    }

    /// Its name for people to read.
    pub(crate) fn name(&self) -> &str {
        self.settings.name.as_deref().unwrap_or(&self.settings.scheme)
    }

    /// Which catalogs there are for its users.
    pub(super) fn enabled(&self) -> Enabled {
        self.enabled.clone()
    }

    /// Begins a sign-in whose answer goes to `redirect`. Waits for the provider.
    ///
    /// # Errors
    /// The provider can't be asked.
    pub(crate) fn begin(&self, redirect: &str) -> Result<Begun, OidcError> {
        let client = self.client(redirect, false)?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let scopes = self.settings.scopes.iter().cloned().map(Scope::new);
        let (url, state, nonce) = client
            .authorize_url(
                CoreAuthenticationFlow::AuthorizationCode,
                CsrfToken::new_random,
                Nonce::new_random,
            )
            .add_scopes(scopes)
            .set_pkce_challenge(challenge)
            .url();
        Ok(Begun {
            url: url.to_string(),
            state: state.into_secret(),
            nonce: nonce.secret().clone(),
            verifier: verifier.into_secret(),
        })
    }

    /// Turns the code that a browser brought back into whom it stands for. Waits for the provider.
    ///
    /// # Errors
    /// The provider can't be asked, or its answer proves nothing.
    pub(crate) fn finish(
        &self,
        redirect: &str,
        code: String,
        nonce: String,
        verifier: String,
    ) -> Result<Identity, OidcError> {
        let mut client = self.client(redirect, false)?;
        let response = client
            .exchange_code(AuthorizationCode::new(code))
            .map_err(|error| self.failed(&error))?
            .set_pkce_verifier(PkceCodeVerifier::new(verifier))
            .request(&|request| self.send(request))
            .map_err(|error| self.not_believed(&error))?;
        let token = response.id_token().ok_or_else(|| self.not_believed(&Missing))?;
        let nonce = Nonce::new(nonce);
        if token.claims(&client.id_token_verifier(), &nonce).is_err() {
            // The provider may have other keys by now.
            client = self.client(redirect, true)?;
        }
        let subject = token
            .claims(&client.id_token_verifier(), &nonce)
            .map_err(|error| self.not_believed(&error))?
            .subject()
            .clone();
        let mut claims = payload(&token.to_string()).ok_or_else(|| self.not_believed(&Missing))?;
        let wanted = [self.settings.identifier_claim.as_str(), "name"];
        if wanted.iter().any(|claim| text(&claims, claim).is_none())
            && let Ok(request) = client.user_info(response.access_token().clone(), Some(subject))
        {
            let info: UserInfoClaims<AnyClaims, CoreGenderClaim> =
                request.request(&|request| self.send(request)).map_err(|error| self.failed(&error))?;
            if let Ok(Value::Object(more)) = serde_json::to_value(info) {
                // What is signed comes first.
                for (claim, value) in more {
                    claims.entry(claim).or_insert(value);
                }
            }
        }
        self.identity(&claims)
    }

    fn identity(&self, claims: &Map<String, Value>) -> Result<Identity, OidcError> {
        let claim = &self.settings.identifier_claim;
        let scheme = &self.settings.scheme;
        let missing = || OidcError::Claim { scheme: scheme.clone(), claim: claim.clone() };
        let identifier = text(claims, claim).ok_or_else(missing)?;
        let id = format!("{}@{scheme}", utf8_percent_encode(identifier, PLAIN));
        let name = ["name", "preferred_username", "email"].into_iter().find_map(|claim| text(claims, claim));
        let name: String = name.unwrap_or(identifier).chars().filter(|c| !c.is_control()).take(60).collect();
        Ok(Identity { id, name })
    }

    fn client(&self, redirect: &str, anew: bool) -> Result<Client, OidcError> {
        let redirect = RedirectUrl::new(redirect.to_owned()).map_err(|error| self.failed(&error))?;
        let secret = self.settings.client_secret.clone().map(ClientSecret::new);
        let id = ClientId::new(self.settings.client_id.clone());
        let client = CoreClient::from_provider_metadata(self.metadata(anew)?, id, secret);
        Ok(client.set_redirect_uri(redirect))
    }

    fn metadata(&self, anew: bool) -> Result<CoreProviderMetadata, OidcError> {
        let lock = || self.metadata.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, metadata)) = lock().as_ref()
            && !anew
            && at.elapsed() < FRESH
        {
            return Ok(metadata.clone());
        }
        let metadata = CoreProviderMetadata::discover(&self.issuer, &|request| self.send(request));
        let metadata = metadata.map_err(|error| self.failed(&error))?;
        *lock() = Some((Instant::now(), metadata.clone()));
        Ok(metadata)
    }

    fn send(&self, request: HttpRequest) -> Result<HttpResponse, ureq::Error> {
        let (parts, mut body) = self.agent.run(request)?.into_parts();
        let body = body.with_config().limit(LARGEST_ANSWER).read_to_vec()?;
        Ok(HttpResponse::from_parts(parts, body))
    }

    fn failed(&self, error: &(dyn std::error::Error + 'static)) -> OidcError {
        OidcError::Provider { scheme: self.settings.scheme.clone(), problem: sheaf_store::in_full(error) }
    }

    fn not_believed(&self, error: &(dyn std::error::Error + 'static)) -> OidcError {
        OidcError::Answer { scheme: self.settings.scheme.clone(), problem: sheaf_store::in_full(error) }
    }
}

/// There is no ID token, or none that is one.
#[derive(Debug, thiserror::Error)]
#[error("it has no ID token")]
struct Missing;

/// The claims of an ID token. Only for one that was verified.
fn payload(token: &str) -> Option<Map<String, Value>> {
    use base64::Engine;
    let payload = token.split('.').nth(1)?;
    let json = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).ok()?;
    serde_json::from_slice(&json).ok()
}

/// A claim that is a text, and not empty.
fn text<'a>(claims: &'a Map<String, Value>, claim: &str) -> Option<&'a str> {
    claims.get(claim)?.as_str().filter(|text| !text.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn provider(more: Value) -> Provider {
        let mut entry = json!({"scheme": "corp", "issuer": "https://id.example.org", "client_id": "sheaf"});
        for (key, value) in more.as_object().unwrap() {
            entry[key] = value.clone();
        }
        Provider::new(serde_json::from_value(entry).unwrap()).unwrap()
    }

    #[test]
    fn a_user_is_known_by_the_claim_that_stays() {
        let claims = |value: Value| value.as_object().unwrap().clone();
        let all = claims(json!({"sub": "7/a b@x", "name": "Ann", "oid": "00-1", "empty": " "}));
        let identity = provider(json!({})).identity(&all).unwrap();
        assert_eq!(identity, Identity { id: "7%2Fa%20b%40x@corp".to_owned(), name: "Ann".to_owned() });
        let identity = provider(json!({"identifier_claim": "oid"})).identity(&all).unwrap();
        assert_eq!(identity.id, "00-1@corp");
        for claim in ["nothing", "empty"] {
            let error = provider(json!({"identifier_claim": claim})).identity(&all).unwrap_err();
            assert!(error.to_string().contains(&format!("`{claim}`")), "{error}");
        }
        let identity = provider(json!({})).identity(&claims(json!({"sub": "7", "email": "a@x"}))).unwrap();
        assert_eq!(identity.name, "a@x");
        assert_eq!(provider(json!({})).identity(&claims(json!({"sub": "7"}))).unwrap().name, "7");
    }
}
