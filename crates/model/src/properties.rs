//! Free-form properties of catalogs and resources.

use indexmap::IndexSet;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

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
