//! Secrets in the settings of sources: never shown, and left as they are where what is shown comes back.

use serde_json::{Map, Value};
use sheaf_db::Registration;
use sheaf_sources::SourceKind;

use super::kind_of;

/// What is shown instead of a secret. Sent back, it means what was there before.
const HIDDEN: &str = "********";

/// Parts of the names of settings that are secret, whatever kind of source has them.
const SECRETS: [&str; 6] = ["password", "passwd", "token", "secret", "credential", "api_key"];

/// A source of a pipeline without its secrets.
pub(crate) fn hidden(registration: &Registration) -> Registration {
    let mut configuration = hide_in(&registration.configuration);
    for key in kind_of(&registration.kind).map(SourceKind::secret_settings).unwrap_or_default() {
        if let Some(value) = configuration.get_mut(*key).filter(|value| !value.is_null()) {
            *value = HIDDEN.into();
        }
    }
    Registration {
        kind: registration.kind.clone(),
        resource_locator: registration.resource_locator.as_deref().map(hide_in_url),
        configuration,
        info_url: registration.info_url.clone(),
    }
}

fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase().replace('-', "_");
    SECRETS.iter().any(|secret| key.contains(secret))
}

/// Settings without secrets.
fn hide_in(settings: &Map<String, Value>) -> Map<String, Value> {
    let hide = |(key, value): (&String, &Value)| {
        let value = match value {
            Value::Null => Value::Null,
            _ if is_secret(key) => HIDDEN.into(),
            Value::Object(inner) => hide_in(inner).into(),
            Value::Array(items) => items.iter().map(hide_in_item).collect(),
            Value::String(text) => hide_in_url(text).into(),
            other => other.clone(),
        };
        (key.clone(), value)
    };
    settings.iter().map(hide).collect()
}

fn hide_in_item(item: &Value) -> Value {
    match item {
        Value::Object(inner) => hide_in(inner).into(),
        Value::String(text) => hide_in_url(text).into(),
        other => other.clone(),
    }
}

/// A URL without its password; any other text as it is.
pub(crate) fn hide_in_url(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let (address, query) =
        rest.split_once('?').map_or((rest, None), |(address, query)| (address, Some(query)));
    let (authority, path) =
        address.split_once('/').map_or((address, None), |(authority, path)| (authority, Some(path)));
    let authority = match authority.rsplit_once('@') {
        Some((user, host)) => match user.split_once(':') {
            Some((user, _)) => format!("{user}:{HIDDEN}@{host}"),
            None => format!("{user}@{host}"),
        },
        None => authority.to_owned(),
    };
    let path = path.map(|path| format!("/{path}")).unwrap_or_default();
    let query = query.map(|query| {
        let hide = |pair: &str| match pair.split_once('=') {
            Some((key, _)) if is_secret(key) => format!("{key}={HIDDEN}"),
            _ => pair.to_owned(),
        };
        format!("?{}", query.split('&').map(hide).collect::<Vec<_>>().join("&"))
    });
    format!("{scheme}://{authority}{path}{}", query.unwrap_or_default())
}

/// Puts the secrets of what was there before where they are hidden.
pub(crate) fn reveal(new: &mut Registration, old: &Registration) {
    let shown = hidden(old);
    if new.resource_locator == shown.resource_locator {
        new.resource_locator.clone_from(&old.resource_locator);
    }
    reveal_in(&mut new.configuration, &old.configuration, &shown.configuration);
}

fn reveal_in(new: &mut Map<String, Value>, old: &Map<String, Value>, hidden: &Map<String, Value>) {
    for (key, value) in new {
        match (value, old.get(key)) {
            (Value::Object(new), Some(Value::Object(old))) if !is_secret(key) => {
                reveal_in(new, old, &hide_in(old));
            }
            (value, Some(old)) if hidden.get(key) == Some(value) => value.clone_from(old),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_are_hidden_and_come_back() {
        let configuration = json!({
            "catalog": "/a", "url": "https://u:p@h/a?x=1&password=p#f", "token": "t",
            "deep": {"apiKey": "k", "api-key": "k", "n": 1},
            "list": ["postgres://u:p:q@h:1/d", {"Password": "p"}], "none_token": null
        });
        let Value::Object(configuration) = configuration else { panic!() };
        let old = Registration {
            kind: "Sheaf.Sources.Folder".to_owned(),
            resource_locator: Some("https://user:p@ss@host/a".to_owned()),
            configuration,
            info_url: None,
        };
        let shown = hidden(&old);
        assert_eq!(
            Value::Object(shown.configuration.clone()),
            json!({
                "catalog": "/a", "url": "https://u:********@h/a?x=1&password=********", "token": HIDDEN,
                "deep": {"apiKey": "k", "api-key": HIDDEN, "n": 1},
                "list": ["postgres://u:********@h:1/d", {"Password": HIDDEN}], "none_token": null
            })
        );
        assert_eq!(shown.resource_locator.as_deref(), Some("https://user:********@host/a"));
        let mut back = shown.clone();
        reveal(&mut back, &old);
        assert!(back == old);
        // What is new is new.
        let mut changed = shown;
        changed.configuration.insert("token".to_owned(), "new".into());
        reveal(&mut changed, &old);
        assert_eq!(changed.configuration["token"], "new");
        assert_eq!(changed.configuration["deep"]["api-key"], "k");
    }
}
