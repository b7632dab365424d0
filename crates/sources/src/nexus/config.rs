//! The settings of a catalog elsewhere, as they are stored.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sheaf_model::{CatalogId, SamplePeriod};

use crate::secret::Secret;

/// A catalog of another Nexus or Sheaf.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NexusConfig {
    /// Where the server is: `https://nexus.example.org`.
    pub url: String,
    /// The catalog on that server.
    pub remote: CatalogId,
    /// The token that requests are sent with, unless they bring their own: `{"Sheaf.Sources.Nexus": {"token": "…"}}` in the
    /// configuration of a request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Secret>,
    /// For how long data are taken as unchanged, once they were looked at; five minutes by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<SamplePeriod>,
    /// For how long an answer is waited for; a minute by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<SamplePeriod>,
}

/// A JSON schema of the settings but for the URL: properties, and which of them have to be there.
pub(crate) fn schema() -> (Value, Value) {
    let text = |description: &str| json!({"type": "string", "description": description});
    let properties = json!({
        "remote": text("The catalog on that server, like /A/B/C"),
        "token": text("The token that requests are sent with, unless they bring their own in their configuration"),
        "ttl": text("For how long data are taken as unchanged, like 5_min"),
        "timeout": text("For how long an answer is waited for, like 60_s"),
    });
    (properties, json!(["remote"]))
}
