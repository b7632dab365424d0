//! What comes in: the request of an aggregation, checked key by key in the order of the contract.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::derivative::{DerivativePair, Side};

const BASIC_AGGREGATION: &str = "BASIC_AGGREGATION";
const SIMPLE_DEFAULT: &str = "SIMPLE_DEFAULT";
const DERIVATIVE_PAIRS: &str = "DERIVATIVE_PAIRS";

/// The request of an aggregation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AggregationInput {
    /// The word of a [`Method`](super::Method). A word that is none of them is found out by the aggregation.
    pub aggregation_interpretation: String,
    /// What the traces of all pairs must be.
    pub trace_interpretation: String,
    /// What the values of all pairs must be.
    pub derivative_interpretation: String,
    /// What stands for a baseline side without numbers, such as zeros for on-site generation.
    pub baseline_default: Option<Side>,
    /// What stands for a reporting side without numbers.
    pub reporting_default: Option<Side>,
    /// The members, in the order they are folded in.
    pub pairs: Vec<DerivativePair>,
}

/// What is wrong with the request of an aggregation. The first that is found wins; the texts begin as those of the
/// OpenEEmeter deserialiser.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize)]
#[serde(tag = "code", content = "data", rename_all = "snake_case")]
#[non_exhaustive]
pub enum InputError {
    /// An object does not say what it is.
    #[error("Serialization \"type\" must be provided in {object}")]
    TypeMissing {
        /// Which object.
        object: String,
    },
    /// An object says it is something unknown.
    #[error("Serialization type \"{found}\" is not recognised in {object}; \"{expected}\" is")]
    TypeUnknown {
        /// Which object.
        object: String,
        /// What it says.
        found: String,
        /// What would be right.
        expected: &'static str,
    },
    /// An object lacks a part.
    #[error("For serialization type \"{type_name}\", key \"{key}\" must be provided in {object}")]
    PartMissing {
        /// Which object.
        object: String,
        /// Its type.
        type_name: &'static str,
        /// The key that is absent or null.
        key: &'static str,
    },
    /// An object lacks a value. A null would do.
    #[error("Missing key \"{key}\" in {object}")]
    KeyMissing {
        /// Which object.
        object: String,
        /// The key that is absent.
        key: String,
    },
    /// Something else stands where an object must.
    #[error("{object} must be an object, got {found}")]
    NotAnObject {
        /// Which object.
        object: String,
        /// The JSON type there is.
        found: &'static str,
    },
    /// A value is of the wrong JSON type.
    #[error("\"{key}\" in {object} must be {expected}, got {found}")]
    WrongType {
        /// Which object.
        object: String,
        /// The key of the value.
        key: String,
        /// What would be right.
        expected: &'static str,
        /// The JSON type there is.
        found: &'static str,
    },
}

impl AggregationInput {
    /// Reads a `BASIC_AGGREGATION` object.
    ///
    /// Labels are strings, numbers or booleans; one that is not a string is known by its JSON text from here on. A pair may
    /// carry a `weight` and a `savings_bias`.
    ///
    /// # Errors
    /// In this order: the type is absent or unknown, a part is absent, the default of the baseline and then that of the
    /// reporting side is not whole, the type of `derivatives` is absent or unknown, its pairs are absent, a key of a pair
    /// is absent.
    pub fn from_json(json: &Value) -> Result<AggregationInput, InputError> {
        let input = Object::new("aggregation_input", json)?;
        input.check_type(BASIC_AGGREGATION)?;
        let aggregation_interpretation = input.part(BASIC_AGGREGATION, "aggregation_interpretation")?;
        let trace_interpretation = input.part(BASIC_AGGREGATION, "trace_interpretation")?;
        let derivative_interpretation = input.part(BASIC_AGGREGATION, "derivative_interpretation")?;
        let derivatives = input.part(BASIC_AGGREGATION, "derivatives")?;
        let baseline_default = default_value(&input, "baseline_default_value")?;
        let reporting_default = default_value(&input, "reporting_default_value")?;

        let derivatives = Object::new("derivatives", derivatives)?;
        derivatives.check_type(DERIVATIVE_PAIRS)?;
        let pairs = derivatives.part(DERIVATIVE_PAIRS, "derivative_pairs")?;
        let Value::Array(pairs) = pairs else {
            return Err(derivatives.wrong_type("derivative_pairs", "an array", pairs));
        };
        let pairs = pairs
            .iter()
            .enumerate()
            .map(|(index, pair)| derivative_pair(index, pair))
            .collect::<Result<_, _>>()?;
        Ok(AggregationInput {
            aggregation_interpretation: input
                .word("aggregation_interpretation", aggregation_interpretation)?,
            trace_interpretation: input.word("trace_interpretation", trace_interpretation)?,
            derivative_interpretation: input.word("derivative_interpretation", derivative_interpretation)?,
            baseline_default,
            reporting_default,
            pairs,
        })
    }
}

fn default_value(input: &Object<'_>, key: &'static str) -> Result<Option<Side>, InputError> {
    let Some(value) = input.map.get(key).filter(|value| !value.is_null()) else { return Ok(None) };
    let default = Object::new(key, value)?;
    default.check_type(SIMPLE_DEFAULT)?;
    default.side("").map(Some)
}

fn derivative_pair(index: usize, json: &Value) -> Result<DerivativePair, InputError> {
    let pair = Object::new(format!("derivative_pairs[{index}]"), json)?;
    Ok(DerivativePair {
        label: pair.label()?,
        derivative_interpretation: pair.optional_word("derivative_interpretation")?,
        trace_interpretation: pair.optional_word("trace_interpretation")?,
        unit: pair.optional_word("unit")?,
        baseline: pair.side("baseline_")?,
        reporting: pair.side("reporting_")?,
        weight: pair.optional_number("weight")?,
        savings_bias: pair.optional_number("savings_bias")?,
    })
}

/// A JSON object with the name that messages call it by.
struct Object<'a> {
    name: String,
    map: &'a Map<String, Value>,
}

impl<'a> Object<'a> {
    fn new(name: impl Into<String>, json: &'a Value) -> Result<Object<'a>, InputError> {
        let name = name.into();
        match json {
            Value::Object(map) => Ok(Object { name, map }),
            other => Err(InputError::NotAnObject { object: name, found: json_type(other) }),
        }
    }

    fn check_type(&self, expected: &'static str) -> Result<(), InputError> {
        match self.map.get("type") {
            None | Some(Value::Null) => Err(InputError::TypeMissing { object: self.name.clone() }),
            Some(Value::String(found)) if found == expected => Ok(()),
            Some(found) => {
                Err(InputError::TypeUnknown { object: self.name.clone(), found: text(found), expected })
            }
        }
    }

    /// What must be there and not null.
    fn part(&self, type_name: &'static str, key: &'static str) -> Result<&'a Value, InputError> {
        self.map.get(key).filter(|value| !value.is_null()).ok_or_else(|| InputError::PartMissing {
            object: self.name.clone(),
            type_name,
            key,
        })
    }

    /// What must be there, be it null.
    fn value(&self, key: &str) -> Result<&'a Value, InputError> {
        self.map
            .get(key)
            .ok_or_else(|| InputError::KeyMissing { object: self.name.clone(), key: key.to_owned() })
    }

    fn word(&self, key: &str, value: &Value) -> Result<String, InputError> {
        value.as_str().map(str::to_owned).ok_or_else(|| self.wrong_type(key, "a string", value))
    }

    fn optional_word(&self, key: &str) -> Result<Option<String>, InputError> {
        match self.value(key)? {
            Value::Null => Ok(None),
            value => self.word(key, value).map(Some),
        }
    }

    fn number(&self, key: &str, value: &Value) -> Result<Option<f64>, InputError> {
        match value {
            Value::Null => Ok(None),
            Value::Number(number) => Ok(number.as_f64()),
            other => Err(self.wrong_type(key, "a number or null", other)),
        }
    }

    /// What need not be there.
    fn optional_number(&self, key: &str) -> Result<Option<f64>, InputError> {
        self.map.get(key).map_or(Ok(None), |value| self.number(key, value))
    }

    fn label(&self) -> Result<String, InputError> {
        match self.value("label")? {
            compound @ (Value::Array(_) | Value::Object(_)) => {
                Err(self.wrong_type("label", "a string, a number, a boolean or null", compound))
            }
            scalar => Ok(text(scalar)),
        }
    }

    fn side(&self, prefix: &str) -> Result<Side, InputError> {
        let number = |name: &str| {
            let key = format!("{prefix}{name}");
            self.number(&key, self.value(&key)?)
        };
        Ok(Side {
            value: number("value")?,
            lower: number("lower")?,
            upper: number("upper")?,
            n: number("n")?,
        })
    }

    fn wrong_type(&self, key: &str, expected: &'static str, found: &Value) -> InputError {
        InputError::WrongType {
            object: self.name.clone(),
            key: key.to_owned(),
            expected,
            found: json_type(found),
        }
    }
}

/// A string as it is, anything else as JSON.
fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn json_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
