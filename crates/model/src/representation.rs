//! Representations: a resource at one sample period.

use std::fmt;
use std::str::FromStr;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::text::{Quoted, list, serde_as_text};
use crate::{Arguments, DataType, Kind, ParameterKey, PathError, ResourcePath, SamplePeriod};

/// Period and kind together, the last part of a resource path: `10_min_mean`, `1_s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepresentationId {
    /// The sample period.
    pub period: SamplePeriod,
    /// What is done to the samples.
    pub kind: Kind,
}

impl RepresentationId {
    /// The stored samples of this period.
    pub const fn original(period: SamplePeriod) -> RepresentationId {
        RepresentationId { period, kind: Kind::Original }
    }
}

impl fmt::Display for RepresentationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Original => self.period.fmt(f),
            kind => write!(f, "{}_{kind}", self.period),
        }
    }
}

impl FromStr for RepresentationId {
    type Err = PathError;

    fn from_str(text: &str) -> Result<RepresentationId, PathError> {
        ResourcePath::representation_from_str(text)
    }
}

serde_as_text!(RepresentationId);

/// The parameters that a representation declares, in order.
pub type Parameters = IndexMap<ParameterKey, Parameter>;

/// What a parameter may be: its description, a JSON object that is kept as it was written.
///
/// The member `type` decides: `input-integer` takes a whole number, from `minimum` to `maximum` where they are given;
/// `select` takes one of the keys of `items`; no argument is accepted for any other type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Parameter(Map<String, Value>);

/// Arguments that do not fit the parameters of a representation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArgumentError {
    /// No parameters are declared.
    #[error("takes no arguments, but `{0}` was given")]
    NotDeclared(ParameterKey),
    /// A parameter without a value.
    #[error("needs arguments for its parameters; missing: {}", list(.0))]
    Missing(Vec<ParameterKey>),
    /// No whole number in the range.
    #[error("needs a whole number from {minimum} to {maximum} for `{key}`, got {}", Quoted(value))]
    Integer {
        /// Of which parameter.
        key: ParameterKey,
        /// What was given.
        value: String,
        /// Smallest value.
        minimum: i64,
        /// Largest value.
        maximum: i64,
    },
    /// None of the items.
    #[error("needs one of {} for `{key}`, got {}", list(items), Quoted(value))]
    Select {
        /// Of which parameter.
        key: ParameterKey,
        /// What was given.
        value: String,
        /// What could be.
        items: Vec<String>,
    },
    /// A parameter of a type that is not known.
    #[error("has a parameter `{0}` of a type that takes no arguments")]
    UnknownType(ParameterKey),
}

impl Parameter {
    fn accept(&self, key: &ParameterKey, value: &str) -> Result<(), ArgumentError> {
        let (key, value) = (key.clone(), value.to_owned());
        let limit = |name: &str, otherwise| self.0.get(name).and_then(Value::as_i64).unwrap_or(otherwise);
        match self.0.get("type").and_then(Value::as_str) {
            Some("input-integer") => {
                let (minimum, maximum) = (limit("minimum", i64::MIN), limit("maximum", i64::MAX));
                // Blanks behind a value belong to it, but not to a number.
                match value.trim_end().parse::<i64>() {
                    Ok(number) if (minimum..=maximum).contains(&number) => Ok(()),
                    _ => Err(ArgumentError::Integer { key, value, minimum, maximum }),
                }
            }
            Some("select") => match self.0.get("items").and_then(Value::as_object) {
                Some(items) if items.contains_key(&value) => Ok(()),
                items => {
                    let items = items.into_iter().flat_map(Map::keys).cloned().collect();
                    Err(ArgumentError::Select { key, value, items })
                }
            },
            _ => Err(ArgumentError::UnknownType(key)),
        }
    }
}

/// Samples of a resource at one period.
///
/// Its JSON form is ours, with the period as a unit string; that of a Nexus server writes it as `00:00:01`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Representation {
    /// Type of the stored samples.
    pub data_type: DataType,
    /// Distance from sample to sample.
    pub sample_period: SamplePeriod,
    /// What has to be given to read it, if anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Parameters>,
}

impl Representation {
    /// A representation without parameters.
    pub fn new(data_type: DataType, sample_period: SamplePeriod) -> Representation {
        Representation { data_type, sample_period, parameters: None }
    }

    /// Its name in the resource.
    pub fn id(&self) -> RepresentationId {
        RepresentationId::original(self.sample_period)
    }

    /// Checks arguments against the declared parameters. Every declared one must be given and fit; what is given
    /// beyond them is let through, unless nothing is declared at all.
    ///
    /// # Errors
    /// The first argument that does not fit.
    pub fn accept(&self, arguments: &Arguments) -> Result<(), ArgumentError> {
        let Some(parameters) = self.parameters.as_ref().filter(|parameters| !parameters.is_empty()) else {
            return match arguments.iter().next() {
                Some((key, _)) => Err(ArgumentError::NotDeclared(key.clone())),
                None => Ok(()),
            };
        };
        let missing: Vec<_> = parameters.keys().filter(|key| arguments.get(key).is_none()).cloned().collect();
        if !missing.is_empty() {
            return Err(ArgumentError::Missing(missing));
        }
        for (key, parameter) in parameters {
            if let Some(value) = arguments.get(key) {
                parameter.accept(key, value)?;
            }
        }
        Ok(())
    }

    /// Whether two representations of one period can be the same one: equal types, and no parameters that disagree.
    pub(crate) fn merge(self, over: Representation) -> Option<Representation> {
        let fits = self.data_type == over.data_type && self.sample_period == over.sample_period;
        let parameters = match (self.parameters, over.parameters) {
            (Some(under), Some(over)) if under != over => return None,
            (under, over) => over.or(under),
        };
        fits.then_some(Representation {
            data_type: self.data_type,
            sample_period: self.sample_period,
            parameters,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn arguments(text: &str) -> Arguments {
        format!("/a/T1/1_s{text}").parse::<ResourcePath>().unwrap().arguments().clone()
    }

    fn representation(parameters: Option<Value>) -> Representation {
        Representation {
            parameters: parameters.map(|json| serde_json::from_value(json).unwrap()),
            ..Representation::new(DataType::Float32, "1_s".parse().unwrap())
        }
    }

    /// Reference 1.8, "representation id".
    #[test]
    fn ids_of_the_reference() {
        let id = RepresentationId { period: "1_s".parse().unwrap(), kind: Kind::MeanPolarDeg };
        assert_eq!(id.to_string(), "1_s_mean_polar_deg");
        assert_eq!("60_s".parse::<RepresentationId>().unwrap().to_string(), "1_min");
        assert!(
            "1_s_maen".parse::<RepresentationId>().unwrap_err().to_string().contains("did you mean `mean`")
        );
    }

    /// Reference 1.4, rule 4.
    #[test]
    fn arguments_must_fit_the_parameters() {
        let none = representation(None);
        assert_eq!(none.accept(&arguments("()")), Ok(()));
        assert!(matches!(none.accept(&arguments("(a=1)")), Err(ArgumentError::NotDeclared(_))));

        let both = representation(Some(json!({
            "n": {"type": "input-integer", "label": "N", "default": 1, "minimum": 1, "maximum": 9},
            "mode": {"type": "select", "label": "Mode", "default": "a", "items": {"a": "A", "b": "B"}}
        })));
        assert_eq!(both.accept(&arguments("(n=9,mode=b,more=x)")), Ok(()));
        let message = |text: &str| both.accept(&arguments(text)).unwrap_err().to_string();
        assert_eq!(message(""), "needs arguments for its parameters; missing: n, mode");
        assert_eq!(message("(n=x,mode=a)"), "needs a whole number from 1 to 9 for `n`, got `x`");
        assert_eq!(message("(n=10,mode=a)"), "needs a whole number from 1 to 9 for `n`, got `10`");
        assert_eq!(message("(n=1,mode=../x)"), "needs one of a, b for `mode`, got `../x`");

        let open = representation(Some(json!({"n": {"type": "input-integer", "label": "N", "default": 1}})));
        assert_eq!(open.accept(&arguments("(n=-3)")), Ok(()));
        assert_eq!(open.accept(&arguments("(n=3 )")), Ok(()), "blanks behind a number");
        let empty = representation(Some(json!({})));
        assert!(matches!(empty.accept(&arguments("(a=1)")), Err(ArgumentError::NotDeclared(_))));

        let other = representation(Some(json!({"x": {"type": "colour"}})));
        assert!(matches!(other.accept(&arguments("(x=1)")), Err(ArgumentError::UnknownType(_))));
    }

    #[test]
    fn json_keeps_what_it_does_not_know() {
        let json = json!({
            "dataType": "FLOAT32", "samplePeriod": "1_s",
            "parameters": {"x": {"type": "colour", "depth": 24}, "n": {"label": "N", "type": "input-integer", "unit": "m"}, "a": {"type": "select", "label": "", "default": "", "items": {}}}
        });
        let representation: Representation = serde_json::from_value(json.clone()).unwrap();
        assert_eq!(serde_json::to_string(&representation).unwrap(), json.to_string());
    }
}
