//! What a request brings along for sources: the header `Nexus-Configuration`.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::Value;

use super::app::Shared;
use super::errors::ApiError;
use crate::catalogs::RequestConfiguration;

/// The name of the header.
const HEADER: &str = "nexus-configuration";

/// Base64 with padding or without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The configuration that a request brings along for sources, if any. It has credentials, so it is never logged, and kept in
/// memory only, for as long as a job of the request has not ended.
pub(crate) struct Configuration(pub(crate) RequestConfiguration);

impl FromRequestParts<Shared> for Configuration {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<Configuration, ApiError> {
        let mut values = parts.headers.get_all(HEADER).iter();
        let Some(value) = values.next() else { return Ok(Configuration(None)) };
        if values.next().is_some() {
            return Err(ApiError::bad_request("the header Nexus-Configuration must not come twice"));
        }
        read(value.as_bytes()).map(|value| Configuration(value.map(Arc::new))).map_err(ApiError::bad_request)
    }
}

/// An object with one key for each type of source; `None` for an empty one.
fn read(header: &[u8]) -> Result<Option<Value>, String> {
    let wrong = |problem: &str| {
        format!("the header Nexus-Configuration must be a JSON object in UTF-8, encoded as base64; {problem}")
    };
    let json =
        BASE64.decode(header.trim_ascii()).map_err(|error| wrong(&format!("it is no base64: {error}")))?;
    // Without the text of the error, which may repeat a password.
    let value: Value = serde_json::from_slice(&json)
        .map_err(|error| wrong(&format!("it is no JSON from column {} on", error.column())))?;
    match value {
        Value::Object(object) if object.is_empty() => Ok(None),
        Value::Object(object) => Ok(Some(Value::Object(object))),
        _ => Err(wrong("it is no object")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn configurations_are_objects() {
        let encoded = |text: &str| BASE64.encode(text);
        assert_eq!(read(encoded("{}").as_bytes()), Ok(None));
        let wanted = json!({"Nexus.Sources.Sample": {"user": "tést"}});
        assert_eq!(read(encoded(&wanted.to_string()).as_bytes()), Ok(Some(wanted.clone())));
        let bare = encoded(&wanted.to_string());
        assert_eq!(read(bare.trim_end_matches('=').as_bytes()), Ok(Some(wanted)));
        for (header, problem) in [
            ("{}".to_owned(), "no base64"),
            (encoded("{\"a\": "), "no JSON from column"),
            (encoded("[1]"), "no object"),
            (encoded("\"secret\" x"), "no JSON"),
        ] {
            let error = read(header.as_bytes()).unwrap_err();
            assert!(error.contains(problem) && !error.contains("secret"), "{error}");
        }
    }
}
