//! Things to be said about a result: a code for machines with its data, and a sentence for people.

use serde_json::{Value, json};
use sheaf_savings::warning::Warning;

/// A remark, in the form that warnings of models have.
pub(crate) fn note(name: &str, description: &str, data: Value) -> Value {
    json!({ "qualified_name": name, "description": description, "data": data })
}

/// A warning of a model, about one period or all.
pub(crate) fn of_warning(warning: &Warning, period: Option<&str>) -> Value {
    let mut json = serde_json::to_value(warning).unwrap_or_default();
    json["description"] = warning.to_string().into();
    if let Some(period) = period {
        json["period"] = period.into();
    }
    json
}
