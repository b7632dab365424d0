//! Free-form properties of catalogs and resources.

use indexmap::IndexSet;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::text::Quoted;
use crate::{PeriodError, SamplePeriod};

/// A JSON object; keys keep their spelling and their order. Some have a meaning, those with a method here.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Properties(Map<String, Value>);

impl Properties {
    /// The value of a key, which may be `null`.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key)
    }

    /// Sets the value of a key.
    pub fn insert(&mut self, key: impl Into<String>, value: impl Into<Value>) {
        self.0.insert(key.into(), value.into());
    }

    /// Keys and values in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.as_str()
    }

    /// `readme` of a catalog, in Markdown.
    pub fn readme(&self) -> Option<&str> {
        self.text("readme")
    }

    /// `license` of a catalog, in Markdown.
    pub fn license(&self) -> Option<&str> {
        self.text("license")
    }

    /// `unit` of a resource: `°C`.
    pub fn unit(&self) -> Option<&str> {
        self.text("unit")
    }

    /// `description` of a resource.
    pub fn description(&self) -> Option<&str> {
        self.text("description")
    }

    /// `warning` that goes with a resource.
    pub fn warning(&self) -> Option<&str> {
        self.text("warning")
    }

    /// `groups` that a resource is shown in, without nulls and repetitions.
    pub fn groups(&self) -> Vec<&str> {
        let groups = self.0.get("groups").and_then(Value::as_array).into_iter().flatten();
        groups.filter_map(Value::as_str).collect::<IndexSet<_>>().into_iter().collect()
    }

    /// `original-name`: what the source calls a resource.
    pub fn original_name(&self) -> Option<&str> {
        self.text("original-name")
    }

    /// `base-path`: for processed data, the path of what it was made from.
    pub fn base_path(&self) -> Option<&str> {
        self.text("base-path")
    }

    /// `nexus.pipeline-position`: which stage of a pipeline provided a resource first.
    pub fn pipeline_position(&self) -> Option<u64> {
        self.0.get("nexus")?.get("pipeline-position")?.as_u64()
    }

    /// `sheaf.withoutRollups` of a resource: the periods of its representations that must not be kept in rollups, each
    /// once. A property of ours.
    ///
    /// # Errors
    /// It is something else than an array of periods.
    pub fn without_rollups(&self) -> Result<Vec<SamplePeriod>, PropertyError> {
        let shape = |found: &Value| PropertyError::Shape { found: found.to_string() };
        let ours = match self.0.get("sheaf") {
            None | Some(Value::Null) => return Ok(Vec::new()),
            Some(Value::Object(ours)) => ours,
            Some(other) => return Err(PropertyError::NoObject { found: other.to_string() }),
        };
        let periods = match ours.get("withoutRollups") {
            None | Some(Value::Null) => return Ok(Vec::new()),
            Some(Value::Array(periods)) => periods,
            Some(other) => return Err(shape(other)),
        };
        let periods: IndexSet<SamplePeriod> = periods
            .iter()
            .map(|period| Ok(period.as_str().ok_or_else(|| shape(period))?.parse()?))
            .collect::<Result<_, PropertyError>>()?;
        Ok(periods.into_iter().collect())
    }

    /// The patch that makes [`Properties::without_rollups`] these periods, and changes nothing else.
    pub fn of_no_rollups(periods: impl IntoIterator<Item = SamplePeriod>) -> Properties {
        let periods: Vec<Value> = periods.into_iter().map(|period| period.to_string().into()).collect();
        let periods = if periods.is_empty() { Value::Null } else { periods.into() };
        let ours = Map::from_iter([("withoutRollups".to_owned(), periods)]);
        Properties(Map::from_iter([("sheaf".to_owned(), ours.into())]))
    }

    /// Changes what `patch` names, as a JSON merge patch (RFC 7396) does: null removes a key, an object changes the keys
    /// in it, anything else replaces what is there. Not to be confused with [`Properties::merge`].
    pub fn patch(&mut self, patch: Properties) {
        patch_object(&mut self.0, patch.0);
    }

    /// These properties under those of `over`: objects merge key by key, arrays are put one behind the other, a null
    /// gives way to the other side, and in any other clash `over` wins.
    pub fn merge(mut self, over: Properties) -> Properties {
        merge_objects(&mut self.0, over.0);
        self
    }
}

impl From<Map<String, Value>> for Properties {
    fn from(map: Map<String, Value>) -> Properties {
        Properties(map)
    }
}

fn patch_object(object: &mut Map<String, Value>, patch: Map<String, Value>) {
    for (key, value) in patch {
        match value {
            Value::Null => {
                object.shift_remove(&key);
            }
            Value::Object(patch) => {
                let inner = object.entry(key).or_insert(Value::Null);
                if !inner.is_object() {
                    *inner = Value::Object(Map::new());
                }
                if let Value::Object(inner) = inner {
                    patch_object(inner, patch);
                }
            }
            value => {
                object.insert(key, value);
            }
        }
    }
}

/// A property of ours that means nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PropertyError {
    /// `sheaf` is no object.
    #[error(
        "the property `sheaf` must be an object, like `{{\"withoutRollups\": [\"1_s\"]}}`, not {}",
        Quoted(found)
    )]
    NoObject {
        /// What it is, as JSON.
        found: String,
    },
    /// No list of texts.
    #[error(
        "the property `sheaf.withoutRollups` must be an array of periods, like `[\"1_s\"]`; {} is none",
        Quoted(found)
    )]
    Shape {
        /// What is there instead, as JSON.
        found: String,
    },
    /// A text that is no period.
    #[error("the property `sheaf.withoutRollups`: {0}")]
    Period(#[from] PeriodError),
}

fn merge_objects(under: &mut Map<String, Value>, over: Map<String, Value>) {
    for (key, over) in over {
        match under.get_mut(&key) {
            Some(under) => merge_values(under, over),
            None => {
                under.insert(key, over);
            }
        }
    }
}

fn merge_values(under: &mut Value, over: Value) {
    match (under, over) {
        (_, Value::Null) => {}
        (Value::Object(under), Value::Object(over)) => merge_objects(under, over),
        (Value::Array(under), Value::Array(over)) => under.extend(over),
        (under, over) => *under = over,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn properties(value: Value) -> Properties {
        serde_json::from_value(value).unwrap()
    }

    /// Reference 1.6, "merge rules".
    #[test]
    fn merging_follows_the_reference() {
        let under = properties(
            json!({"A": "A_0", "B": 1, "list": [1], "deep": {"x": null, "y": [1]}, "n": null, "v": 1}),
        );
        let over = properties(
            json!({"A": "A_1", "C": 2, "list": [2, 3], "deep": {"x": 1, "y": [2], "z": 3}, "n": 4, "v": null}),
        );
        let merged = under.merge(over);
        let expected = json!({
            "A": "A_1", "B": 1, "list": [1, 2, 3], "deep": {"x": 1, "y": [1, 2], "z": 3}, "n": 4, "v": 1, "C": 2
        });
        assert_eq!(merged, properties(expected.clone()));
        // Keys keep their order: those on the left first.
        assert_eq!(serde_json::to_string(&merged).unwrap(), expected.to_string());
    }

    #[test]
    fn values_of_different_shape_are_replaced() {
        let merged =
            properties(json!({"a": [1], "b": {"x": 1}})).merge(properties(json!({"a": 2, "b": [3]})));
        assert_eq!(merged, properties(json!({"a": 2, "b": [3]})));
    }

    /// RFC 7396, section 3 and appendix A, as far as target and patch are objects.
    #[test]
    fn patches_follow_the_rfc() {
        let cases = [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
            (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
            (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
            (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
            (json!({"a": "foo"}), json!({"a": {"b": 1, "n": null}}), json!({"a": {"b": 1}})),
            (
                json!({
                    "title": "Goodbye!", "author": {"givenName": "John", "familyName": "Doe"},
                    "tags": ["example", "sample"], "content": "This will be unchanged"
                }),
                json!({
                    "title": "Hello!", "phoneNumber": "+01-123-456-7890", "author": {"familyName": null},
                    "tags": ["example"]
                }),
                json!({
                    "title": "Hello!", "author": {"givenName": "John"}, "tags": ["example"],
                    "content": "This will be unchanged", "phoneNumber": "+01-123-456-7890"
                }),
            ),
        ];
        for (target, patch, expected) in cases {
            let mut patched = properties(target.clone());
            patched.patch(properties(patch.clone()));
            // The order of the keys is kept, too.
            assert_eq!(
                serde_json::to_string(&patched).unwrap(),
                expected.to_string(),
                "{target} and {patch}"
            );
            let once = patched.clone();
            patched.patch(properties(patch));
            assert_eq!(patched, once, "a patch may come twice");
        }
    }

    #[test]
    fn representations_without_rollups() {
        let periods = |value: Value| properties(value).without_rollups();
        let expected: Vec<SamplePeriod> = vec!["1_s".parse().unwrap(), "1_min".parse().unwrap()];
        assert_eq!(periods(json!({"sheaf": {"withoutRollups": ["1_s", "60_s", "1_min"]}})), Ok(expected));
        for none in [
            json!({}),
            json!({"sheaf": {}}),
            json!({"sheaf": null}),
            json!({"sheaf": {"withoutRollups": []}}),
        ] {
            assert_eq!(periods(none), Ok(Vec::new()));
        }
        let message = |value: Value| periods(value).unwrap_err().to_string();
        assert_eq!(
            message(json!({"sheaf": ["1_s"]})),
            "the property `sheaf` must be an object, like `{\"withoutRollups\": [\"1_s\"]}`, not `[\"1_s\"]`"
        );
        assert_eq!(
            message(json!({"sheaf": {"withoutRollups": "1_s"}})),
            "the property `sheaf.withoutRollups` must be an array of periods, like `[\"1_s\"]`; `\"1_s\"` is none"
        );
        assert!(message(json!({"sheaf": {"withoutRollups": [1]}})).ends_with("; `1` is none"));
        let text = message(json!({"sheaf": {"withoutRollups": ["1_s", "1_sec"]}}));
        assert!(
            text.starts_with("the property `sheaf.withoutRollups`: unknown unit `sec`, did you mean `s`?")
        );
        let period = message(json!({"sheaf": {"withoutRollups": ["0_s"]}}));
        assert!(period.contains("0_s"), "{period}");
    }

    /// Reference 1.6, "keys with meaning".
    #[test]
    fn known_keys_of_the_reference() {
        let all = properties(json!({
            "readme": "# Mast", "license": "CC0", "unit": "°C", "description": "air", "warning": "drifts",
            "groups": ["a", null, "b", "a"], "original-name": "Temp 1", "nexus": {"pipeline-position": 2},
            "base-path": "/a/T1/1_s"
        }));
        assert_eq!((all.readme(), all.license(), all.unit()), (Some("# Mast"), Some("CC0"), Some("°C")));
        assert_eq!((all.description(), all.warning()), (Some("air"), Some("drifts")));
        assert_eq!(all.groups(), ["a", "b"]);
        assert_eq!((all.original_name(), all.pipeline_position()), (Some("Temp 1"), Some(2)));
        assert_eq!(all.base_path(), Some("/a/T1/1_s"));
        // Upper case, as in some documents, is another key.
        assert_eq!(properties(json!({"Unit": "m", "description": 1})).unit(), None);
        assert_eq!(properties(json!({"groups": "a"})).groups(), Vec::<&str>::new());
    }
}
