//! Filters of trace groups: the grammar, and which traces fit.
//!
//! ```text
//! spec := null | F
//! F    := {"filter": {"target": T, "comparison": C, "value": V}}
//!       | {"filter_boolean": {"boolean": "and" | "or", "filter_a": F, "filter_b": F}}
//! T    := "project_id" | "trace_id" | "project_metadata|KEY"
//! C    := ">" ">=" "<" "<=" "==" "!="  (V: number or text)  |  "in" "not in"  (V: list of them)
//! ```
//!
//! A filter is asked about a trace in one of its projects. What it looks at is always a text: what their people call the project
//! or the trace, or a value of the project's metadata. With a number it is compared as a number, and fits nothing if it
//! is none; with a text it is compared character by character. Where there is nothing to look at, nothing fits, not even
//! `!=` and `not in`.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt;

use serde_json::{Map, Value};

/// How deep filters may nest: JSON itself ends at 128 levels, and each filter takes two.
const DEEPEST: usize = 60;

/// Which traces belong to a group.
#[derive(Clone, Debug, PartialEq)]
pub enum TraceFilter {
    /// Those of which one thing is true.
    Compare {
        /// What is looked at.
        target: Target,
        /// What must be true of it.
        comparison: Comparison,
    },
    /// Those that fit both.
    And(Box<TraceFilter>, Box<TraceFilter>),
    /// Those that fit one of both, or both.
    Or(Box<TraceFilter>, Box<TraceFilter>),
}

/// What a filter looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// What the project's people call it.
    ProjectId,
    /// What the trace's people call it.
    TraceId,
    /// The value of this key in the project's metadata.
    Metadata(String),
}

/// What must be true of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Comparison {
    /// It is to a value as the operator says.
    Is(Operator, Scalar),
    /// It is one of these.
    In(Vec<Scalar>),
    /// It is none of these.
    NotIn(Vec<Scalar>),
}

/// How two values are to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "their names say it")]
pub enum Operator {
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    Equal,
    NotEqual,
}

impl Operator {
    const ALL: [(&'static str, Operator); 6] = [
        (">", Operator::Greater),
        (">=", Operator::GreaterOrEqual),
        ("<", Operator::Less),
        ("<=", Operator::LessOrEqual),
        ("==", Operator::Equal),
        ("!=", Operator::NotEqual),
    ];

    const fn holds(self, ordering: Ordering) -> bool {
        match self {
            Operator::Greater => ordering.is_gt(),
            Operator::GreaterOrEqual => ordering.is_ge(),
            Operator::Less => ordering.is_lt(),
            Operator::LessOrEqual => ordering.is_le(),
            Operator::Equal => ordering.is_eq(),
            Operator::NotEqual => ordering.is_ne(),
        }
    }
}

/// What something is compared with.
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar {
    /// A finite number.
    Number(f64),
    /// A text.
    Text(String),
}

impl Scalar {
    /// How a stored text is to this; `None` if it is no number, but must be.
    fn compare(&self, stored: &str) -> Option<Ordering> {
        match self {
            Scalar::Number(number) => {
                let stored = stored.trim().parse::<f64>().ok().filter(|stored| stored.is_finite())?;
                stored.partial_cmp(number)
            }
            Scalar::Text(text) => Some(stored.cmp(text)),
        }
    }

    fn holds(&self, operator: Operator, stored: &str) -> bool {
        self.compare(stored).is_some_and(|ordering| operator.holds(ordering))
    }
}

impl Comparison {
    fn holds(&self, stored: &str) -> bool {
        match self {
            Comparison::Is(operator, value) => value.holds(*operator, stored),
            Comparison::In(values) => values.iter().any(|value| value.holds(Operator::Equal, stored)),
            Comparison::NotIn(values) => values.iter().all(|value| value.holds(Operator::NotEqual, stored)),
        }
    }
}

/// What is wrong with a filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("filter_specification{pointer}: {problem}")]
pub struct FilterError {
    /// Where: a JSON pointer into the specification.
    pub pointer: String,
    /// What is wrong there, and what would be right.
    pub problem: String,
}

/// A way into a specification, as a chain from its end to its begin.
struct At<'a> {
    before: Option<&'a At<'a>>,
    key: &'a str,
}

impl<'a> At<'a> {
    const ROOT: At<'static> = At { before: None, key: "" };

    fn at(&'a self, key: &'a str) -> At<'a> {
        At { before: Some(self), key }
    }

    fn error(&self, problem: impl Into<String>) -> FilterError {
        FilterError { pointer: self.to_string(), problem: problem.into() }
    }
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.before {
            Some(before) => write!(f, "{before}/{}", self.key),
            None => Ok(()),
        }
    }
}

impl TraceFilter {
    /// The filter that a specification says; `None` where all traces fit: nothing, or a blank text. A text may hold the
    /// specification as JSON.
    ///
    /// # Errors
    /// It is no filter.
    pub fn parse(specification: &Value) -> Result<Option<TraceFilter>, FilterError> {
        match specification {
            Value::Null => Ok(None),
            Value::String(text) if text.trim().is_empty() => Ok(None),
            Value::String(text) => match serde_json::from_str(text) {
                // Not a text in a text.
                Ok(Value::String(_)) | Err(_) => Err(At::ROOT.error(
                    "it is a text that is no JSON; a filter is an object, and `null` fits all traces",
                )),
                Ok(specification) => TraceFilter::parse(&specification),
            },
            specification => filter(specification, &At::ROOT, 0).map(Some),
        }
    }

    /// The keys of metadata that it looks at.
    pub fn metadata_keys(&self) -> BTreeSet<&str> {
        let mut keys = BTreeSet::new();
        self.each_target(&mut |target| {
            if let Target::Metadata(key) = target {
                keys.insert(key.as_str());
            }
        });
        keys
    }

    /// Whether it fits what `look` finds.
    pub fn fits<'a>(&self, look: &impl Fn(&Target) -> Option<&'a str>) -> bool {
        match self {
            TraceFilter::Compare { target, comparison } => {
                look(target).is_some_and(|stored| comparison.holds(stored))
            }
            TraceFilter::And(a, b) => a.fits(look) && b.fits(look),
            TraceFilter::Or(a, b) => a.fits(look) || b.fits(look),
        }
    }

    fn each_target<'a>(&'a self, visit: &mut impl FnMut(&'a Target)) {
        match self {
            TraceFilter::Compare { target, .. } => visit(target),
            TraceFilter::And(a, b) | TraceFilter::Or(a, b) => {
                a.each_target(visit);
                b.each_target(visit);
            }
        }
    }
}

fn filter(value: &Value, at: &At<'_>, depth: usize) -> Result<TraceFilter, FilterError> {
    if depth > DEEPEST {
        return Err(at.error(format!("filters nest at most {DEEPEST} deep; `in` takes a list")));
    }
    let right = "it must be an object with one key, `filter` or `filter_boolean`";
    let object = value.as_object().filter(|object| object.len() == 1).ok_or_else(|| at.error(right))?;
    match object.iter().next() {
        Some((key, value)) if key == "filter" => compare(value, &at.at(key)),
        Some((key, value)) if key == "filter_boolean" => {
            let at = at.at(key);
            let object = members(value, &at, ["boolean", "filter_a", "filter_b"])?;
            let operand = |name| filter(&object[name], &at.at(name), depth + 1).map(Box::new);
            match object["boolean"].as_str() {
                Some("and") => Ok(TraceFilter::And(operand("filter_a")?, operand("filter_b")?)),
                Some("or") => Ok(TraceFilter::Or(operand("filter_a")?, operand("filter_b")?)),
                _ => Err(at.at("boolean").error("it must be `and` or `or`")),
            }
        }
        _ => Err(at.error(right)),
    }
}

/// An object with exactly these members.
fn members<'a>(
    value: &'a Value,
    at: &At<'_>,
    names: [&str; 3],
) -> Result<&'a Map<String, Value>, FilterError> {
    let [a, b, c] = names;
    let right = || format!("it must be an object with `{a}`, `{b}` and `{c}`");
    let object = value.as_object().ok_or_else(|| at.error(right()))?;
    if let Some(missing) = names.into_iter().find(|&name| !object.contains_key(name)) {
        return Err(at.error(format!("`{missing}` is missing; {}", right())));
    }
    match object.keys().find(|key| !names.contains(&key.as_str())) {
        Some(key) => Err(at.error(format!("nobody knows `{}`; {}", key.escape_debug(), right()))),
        None => Ok(object),
    }
}

fn compare(value: &Value, at: &At<'_>) -> Result<TraceFilter, FilterError> {
    let object = members(value, at, ["target", "comparison", "value"])?;
    let target = match object["target"].as_str() {
        Some("project_id") => Target::ProjectId,
        Some("trace_id") => Target::TraceId,
        text => match text.and_then(|text| text.strip_prefix("project_metadata|")) {
            Some(key) if !key.is_empty() => Target::Metadata(key.to_string()),
            _ => {
                let right = "it must be `project_id`, `trace_id` or `project_metadata|` and a key";
                return Err(at.at("target").error(right));
            }
        },
    };
    let value = &object["value"];
    let here = at.at("value");
    let comparison = object["comparison"].as_str().unwrap_or_default();
    let comparison = match comparison {
        "in" => Comparison::In(scalars(value, &here)?),
        "not in" => Comparison::NotIn(scalars(value, &here)?),
        _ => {
            let Some((_, operator)) = Operator::ALL.into_iter().find(|(text, _)| *text == comparison) else {
                let right = "it must be one of `>`, `>=`, `<`, `<=`, `==`, `!=`, `in` and `not in`";
                return Err(at.at("comparison").error(right));
            };
            let right = || here.error(format!("with `{comparison}` it must be a number or a text"));
            Comparison::Is(operator, scalar(value).ok_or_else(right)?)
        }
    };
    Ok(TraceFilter::Compare { target, comparison })
}

fn scalars(value: &Value, at: &At<'_>) -> Result<Vec<Scalar>, FilterError> {
    let right = "it must be a list of numbers and texts";
    let list = value.as_array().ok_or_else(|| at.error(right))?;
    let entry = |(index, value): (usize, &Value)| {
        scalar(value).ok_or_else(|| at.at(&index.to_string()).error("it must be a number or a text"))
    };
    list.iter().enumerate().map(entry).collect()
}

fn scalar(value: &Value) -> Option<Scalar> {
    match value {
        Value::Number(number) => number.as_f64().filter(|number| number.is_finite()).map(Scalar::Number),
        Value::String(text) => Some(Scalar::Text(text.clone())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn leaf(target: &str, comparison: &str, value: Value) -> Value {
        json!({"filter": {"target": target, "comparison": comparison, "value": value}})
    }

    fn both(boolean: &str, a: Value, b: Value) -> Value {
        json!({"filter_boolean": {"boolean": boolean, "filter_a": a, "filter_b": b}})
    }

    fn parsed(specification: &Value) -> TraceFilter {
        TraceFilter::parse(specification).unwrap().unwrap()
    }

    #[test]
    fn a_text_fits_numbers_and_texts() {
        let cases: [(&str, Value, &str, bool); 24] = [
            ("<=", json!(10000), "9999.5", true),
            ("<=", json!(10000), " 1e4 ", true),
            ("<=", json!(10000), "10001", false),
            ("<=", json!(10000), "cheap", false),
            ("<=", json!(10000), "NaN", false),
            ("<", json!(1), "-inf", false),
            (">", json!(9), "10", true),
            (">", json!("9"), "10", false),
            (">=", json!("b"), "b", true),
            ("==", json!(94), "094.0", true),
            ("==", json!("94"), "094.0", false),
            ("==", json!(-0.0), "0", true),
            ("!=", json!(1), "2", true),
            ("!=", json!(1), "one", false),
            ("!=", json!("1"), "one", true),
            ("!=", json!("é"), "é", false),
            ("in", json!(["a", 2]), "2.0", true),
            ("in", json!(["a", 2]), "a", true),
            ("in", json!(["a", 2]), "b", false),
            ("in", json!([]), "a", false),
            ("not in", json!(["a", "c"]), "b", true),
            ("not in", json!(["a", 2]), "3", true),
            ("not in", json!(["a", 2]), "b", false),
            ("not in", json!([]), "b", true),
        ];
        for (comparison, value, stored, fits) in cases {
            let filter = parsed(&leaf("project_metadata|k", comparison, value.clone()));
            assert_eq!(filter.fits(&|_| Some(stored)), fits, "{stored} {comparison} {value}");
            assert!(!filter.fits(&|_| None), "nothing {comparison} {value}");
        }
    }

    #[test]
    fn filters_nest() {
        let specification = both(
            "or",
            leaf("trace_id", "==", json!("t")),
            both("and", leaf("project_id", "!=", json!("p")), leaf("project_metadata|a|b", ">", json!(1))),
        );
        let filter = parsed(&specification);
        assert_eq!(filter.metadata_keys().into_iter().collect::<Vec<_>>(), ["a|b"]);
        let fits = |trace: &'static str, project: Option<&'static str>, value: Option<&'static str>| {
            filter.fits(&|target| match target {
                Target::ProjectId => project,
                Target::TraceId => Some(trace),
                Target::Metadata(key) => value.filter(|_| key == "a|b"),
            })
        };
        assert!(fits("t", None, None));
        assert!(!fits("u", None, None));
        assert!(fits("u", Some("q"), Some("2")));
        assert!(!fits("u", Some("p"), Some("2")));
        assert!(!fits("u", Some("q"), None));
        assert_eq!(parsed(&Value::from(specification.to_string())), filter, "a text with JSON");
    }

    #[test]
    fn nothing_fits_all() {
        for all in [json!(null), json!(""), json!(" \n"), json!("null")] {
            assert_eq!(TraceFilter::parse(&all), Ok(None), "{all}");
        }
    }

    #[test]
    fn errors_say_where_and_what_would_be_right() {
        let error = |specification: Value| TraceFilter::parse(&specification).unwrap_err().to_string();
        let cases = [
            (json!([]), "filter_specification: it must be an object with one key"),
            (json!({}), "filter_specification: it must be an object with one key"),
            (json!({"filter": {}, "filter_boolean": {}}), "it must be an object with one key"),
            (json!("all"), "it is a text that is no JSON"),
            (json!({"filters": {}}), "`filter` or `filter_boolean`"),
            (json!({"filter": {"target": "trace_id"}}), "/filter: `comparison` is missing"),
            (leaf("zipcode", "==", json!(1)), "/filter/target: it must be `project_id`"),
            (leaf("project_metadata|", "==", json!(1)), "/filter/target"),
            (leaf("trace_id", "=", json!(1)), "/filter/comparison: it must be one of `>`"),
            (leaf("trace_id", "==", json!([1])), "/filter/value: with `==` it must be a number or a text"),
            (leaf("trace_id", ">", json!(true)), "/filter/value"),
            (leaf("trace_id", "in", json!("a")), "/filter/value: it must be a list"),
            (leaf("trace_id", "in", json!(["a", null])), "/filter/value/1: it must be a number or a text"),
            (both("xor", leaf("trace_id", "==", json!(1)), json!({})), "/filter_boolean/boolean"),
            (
                both("or", leaf("trace_id", "==", json!(1)), json!(3)),
                "/filter_boolean/filter_b: it must be an object",
            ),
        ];
        for (specification, text) in cases {
            let found = error(specification.clone());
            assert!(found.contains(text), "{specification}: {found}");
        }
        let mut extra = leaf("trace_id", "==", json!(1));
        extra["filter"]["negate"] = json!(true);
        assert!(error(extra).contains("nobody knows `negate`"));
    }

    #[test]
    fn nesting_has_an_end() {
        let chain = |length: usize| {
            (0..length).fold(leaf("trace_id", "==", json!(1)), |a, _| {
                both("or", a, leaf("trace_id", "==", json!(2)))
            })
        };
        assert!(TraceFilter::parse(&chain(DEEPEST)).is_ok());
        assert!(serde_json::from_str::<Value>(&chain(DEEPEST).to_string()).is_ok(), "JSON can be that deep");
        // Made in memory: no parser of JSON would let it through.
        let error = TraceFilter::parse(&chain(500)).unwrap_err();
        assert!(error.problem.contains("at most 60 deep"), "{error}");
    }
}
