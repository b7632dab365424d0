//! What models and formatters are called, and what can be chosen of them.
//!
//! There are two models: CalTRACK by days and CalTRACK by bills. Which one it is follows from the records, unless a request names
//! one. The names that eemeter has had for models since 0.4 stand for the nearest one; a result names the one that was used. A
//! formatter makes days or bills of records, so it goes with its model.
//!
//! | model | also called | formatter |
//! |---|---|---|
//! | `CaltrackDailyModel` | `SeasonalElasticNetCVModel` | `ModelDataFormatter` |
//! | `CaltrackBillingModel` | `BillingElasticNetCVModel`, `CaltrackMonthlyModel` | `ModelDataBillingFormatter` |
//!
//! | settings of models | |
//! |---|---|
//! | `heating_base_temp`, `cooling_base_temp` | the one balance point that is tried, in whole °F; all of the grid otherwise |
//! | `mode` | `strict` (default) or `compat` |
//!
//! | settings of formatters | |
//! |---|---|
//! | `freq_str` | `D`, of `ModelDataFormatter`: there are no other days |
//! | `time_zone` | the zone whose days count, like `America/Chicago`; `UTC` by default |

use serde_json::{Map, Value, json};
use sheaf_savings::settings::{Interval, LEGAL_BALANCE_POINTS_DEGF, Mode};
use sheaf_savings::zone::Zone;

/// A model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelClass {
    /// Of days.
    Daily,
    /// Of bills.
    Billing,
}

impl ModelClass {
    /// Which one there are for such periods.
    pub const fn of(interval: Interval) -> ModelClass {
        if interval.is_billing() { ModelClass::Billing } else { ModelClass::Daily }
    }

    /// The name in results.
    pub const fn name(self) -> &'static str {
        match self {
            ModelClass::Daily => "CaltrackDailyModel",
            ModelClass::Billing => "CaltrackBillingModel",
        }
    }

    /// The name of the formatter.
    pub const fn formatter(self) -> &'static str {
        match self {
            ModelClass::Daily => "ModelDataFormatter",
            ModelClass::Billing => "ModelDataBillingFormatter",
        }
    }

    fn of_model(name: &str) -> Option<ModelClass> {
        match name {
            "CaltrackDailyModel" | "SeasonalElasticNetCVModel" => Some(ModelClass::Daily),
            "CaltrackBillingModel" | "BillingElasticNetCVModel" | "CaltrackMonthlyModel" => {
                Some(ModelClass::Billing)
            }
            _ => None,
        }
    }

    fn of_formatter(name: &str) -> Option<ModelClass> {
        [ModelClass::Daily, ModelClass::Billing].into_iter().find(|class| class.formatter() == name)
    }
}

/// What a request says of models and formatters, as it says it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request<'a> {
    /// The model.
    pub model_class: Option<&'a str>,
    /// Its settings, a JSON object or null.
    pub model_kwargs: Option<&'a Value>,
    /// The formatter.
    pub formatter_class: Option<&'a str>,
    /// Its settings, a JSON object or null.
    pub formatter_kwargs: Option<&'a Value>,
}

/// What it means.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// The model; it follows from the records if nothing.
    pub class: Option<ModelClass>,
    /// Which arithmetic is followed.
    pub mode: Mode,
    /// The one heating balance point that is tried, in °F.
    pub heating_base_degf: Option<i16>,
    /// The one cooling balance point that is tried, in °F.
    pub cooling_base_degf: Option<i16>,
    /// The zone whose days count.
    pub zone: Zone,
    /// A name that stands for another model, if one was given.
    pub replaced: Option<String>,
}

/// A request for what there is not. The field of the request that is wrong is [`ClassError::field`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClassError {
    /// No model, or no formatter.
    #[error("unknown class `{found}`; allowed: {allowed}")]
    UnknownClass {
        /// `model_class` or `formatter_class`.
        field: &'static str,
        /// What was given.
        found: String,
        /// What there is.
        allowed: &'static str,
    },
    /// A formatter of the other model.
    #[error("formatter `{formatter}` does not go with model `{model}`, which takes `{wanted}`")]
    Mismatch {
        /// What was given.
        formatter: String,
        /// What was given.
        model: String,
        /// What would be right.
        wanted: &'static str,
    },
    /// Settings that are no object.
    #[error("it must be an object or null, not {found}")]
    NoObject {
        /// `model_kwargs` or `formatter_kwargs`.
        field: &'static str,
        /// What was given.
        found: String,
    },
    /// No setting.
    #[error("unknown setting `{found}`; allowed: {allowed}")]
    UnknownKey {
        /// `model_kwargs` or `formatter_kwargs`.
        field: &'static str,
        /// What was given.
        found: String,
        /// What there is.
        allowed: &'static str,
    },
    /// A setting can't be that.
    #[error("`{key}` is {found}; {wanted}")]
    Value {
        /// `model_kwargs` or `formatter_kwargs`.
        field: &'static str,
        /// The setting.
        key: &'static str,
        /// What was given.
        found: String,
        /// What would be right.
        wanted: String,
    },
}

impl ClassError {
    /// The field of the request that is wrong.
    pub const fn field(&self) -> &'static str {
        match self {
            ClassError::UnknownClass { field, .. }
            | ClassError::NoObject { field, .. }
            | ClassError::UnknownKey { field, .. }
            | ClassError::Value { field, .. } => field,
            ClassError::Mismatch { .. } => "formatter_class",
        }
    }
}

const MODEL: &str = "model_kwargs";
const FORMATTER: &str = "formatter_kwargs";

impl Choice {
    /// What a request means.
    ///
    /// # Errors
    /// It names a model, a formatter or a setting that there is not, or a value that a setting can't have.
    pub fn of(request: Request<'_>) -> Result<Choice, ClassError> {
        let class = |field, name: Option<&str>, of: fn(&str) -> Option<ModelClass>, allowed| {
            let known = |name: &str| {
                of(name).ok_or_else(|| ClassError::UnknownClass { field, found: name.to_owned(), allowed })
            };
            name.map(known).transpose()
        };
        let allowed = "CaltrackDailyModel (also called SeasonalElasticNetCVModel), CaltrackBillingModel \
             (BillingElasticNetCVModel, CaltrackMonthlyModel)";
        let model = class("model_class", request.model_class, ModelClass::of_model, allowed)?;
        let allowed = "ModelDataFormatter, ModelDataBillingFormatter";
        let formatter = class("formatter_class", request.formatter_class, ModelClass::of_formatter, allowed)?;
        if let (Some(model), Some(formatter)) = (model, formatter)
            && model != formatter
        {
            return Err(ClassError::Mismatch {
                formatter: formatter.formatter().to_owned(),
                model: request.model_class.unwrap_or_default().to_owned(),
                wanted: model.formatter(),
            });
        }
        let given = request.model_class.zip(model);
        let replaced =
            given.filter(|(given, model)| *given != model.name()).map(|(given, _)| given.to_owned());
        let mut choice = Choice {
            class: model.or(formatter),
            mode: Mode::Strict,
            heating_base_degf: None,
            cooling_base_degf: None,
            zone: Zone::UTC,
            replaced,
        };
        for (key, value) in object(MODEL, request.model_kwargs)?.into_iter().flatten() {
            choice.set_of_model(key, value)?;
        }
        for (key, value) in object(FORMATTER, request.formatter_kwargs)?.into_iter().flatten() {
            choice.set_of_formatter(key, value)?;
        }
        if let (Some(heating), Some(cooling)) = (choice.heating_base_degf, choice.cooling_base_degf)
            && heating > cooling
        {
            let wanted = format!("it must not be above `cooling_base_temp`, {cooling}");
            return Err(ClassError::Value {
                field: MODEL,
                key: "heating_base_temp",
                found: heating.to_string(),
                wanted,
            });
        }
        Ok(choice)
    }

    fn set_of_model(&mut self, key: &str, value: &Value) -> Result<(), ClassError> {
        match key {
            "heating_base_temp" => self.heating_base_degf = degf("heating_base_temp", value)?,
            "cooling_base_temp" => self.cooling_base_degf = degf("cooling_base_temp", value)?,
            "mode" => {
                self.mode = match value.as_str() {
                    Some("strict") => Mode::Strict,
                    Some("compat") => Mode::Compat,
                    _ => return Err(wrong(MODEL, "mode", value, "allowed: \"strict\", \"compat\"")),
                }
            }
            _ => return Err(unknown(MODEL, key, "heating_base_temp, cooling_base_temp, mode")),
        }
        Ok(())
    }

    fn set_of_formatter(&mut self, key: &str, value: &Value) -> Result<(), ClassError> {
        match key {
            "freq_str" if value.as_str() == Some("D") => {}
            "freq_str" => return Err(wrong(FORMATTER, "freq_str", value, "allowed: \"D\"")),
            "time_zone" => {
                let zone = value.as_str().and_then(|name| Zone::new(name).ok());
                self.zone = zone.ok_or_else(|| {
                    wrong(
                        FORMATTER,
                        "time_zone",
                        value,
                        "it is the name of a time zone like \"America/Chicago\"",
                    )
                })?;
            }
            _ => return Err(unknown(FORMATTER, key, "freq_str, time_zone")),
        }
        Ok(())
    }

    /// The settings of the model that are in force, as results have them.
    pub fn model_kwargs(&self) -> Value {
        let mut kwargs = Map::new();
        kwargs.insert("mode".to_owned(), json!(self.mode));
        for (key, degf) in
            [("heating_base_temp", self.heating_base_degf), ("cooling_base_temp", self.cooling_base_degf)]
        {
            if let Some(degf) = degf {
                kwargs.insert(key.to_owned(), degf.into());
            }
        }
        Value::Object(kwargs)
    }

    /// The settings of the formatter, likewise.
    pub fn formatter_kwargs(&self, class: ModelClass) -> Value {
        let zone = self.zone.to_string();
        match class {
            ModelClass::Daily => json!({ "freq_str": "D", "time_zone": zone }),
            ModelClass::Billing => json!({ "time_zone": zone }),
        }
    }
}

fn object<'a>(
    field: &'static str,
    kwargs: Option<&'a Value>,
) -> Result<Option<&'a Map<String, Value>>, ClassError> {
    match kwargs {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(map)) => Ok(Some(map)),
        Some(other) => Err(ClassError::NoObject { field, found: other.to_string() }),
    }
}

fn unknown(field: &'static str, key: &str, allowed: &'static str) -> ClassError {
    ClassError::UnknownKey { field, found: key.to_owned(), allowed }
}

fn wrong(field: &'static str, key: &'static str, value: &Value, wanted: &str) -> ClassError {
    ClassError::Value { field, key, found: value.to_string(), wanted: wanted.to_owned() }
}

/// Whole degrees, written `65` or `65.0`; null is as if it were not there.
fn degf(key: &'static str, value: &Value) -> Result<Option<i16>, ClassError> {
    if value.is_null() {
        return Ok(None);
    }
    let legal = LEGAL_BALANCE_POINTS_DEGF;
    let is_legal = |degf: &f64| {
        degf.fract() == 0.0 && (f64::from(*legal.start())..=f64::from(*legal.end())).contains(degf)
    };
    match value.as_f64().filter(is_legal) {
        Some(degf) => Ok(Some(degf as i16)),
        None => {
            let wanted = format!("it must be a whole number of °F from {} to {}", legal.start(), legal.end());
            Err(wrong(MODEL, key, value, &wanted))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(model_class: Option<&str>, model_kwargs: Value) -> Result<Choice, ClassError> {
        Choice::of(Request { model_class, model_kwargs: Some(&model_kwargs), ..Request::default() })
    }

    #[test]
    fn old_names_stand_for_the_nearest_model() {
        for (name, class, replaced) in [
            (None, None, false),
            (Some("CaltrackDailyModel"), Some(ModelClass::Daily), false),
            (Some("SeasonalElasticNetCVModel"), Some(ModelClass::Daily), true),
            (Some("CaltrackBillingModel"), Some(ModelClass::Billing), false),
            (Some("BillingElasticNetCVModel"), Some(ModelClass::Billing), true),
            (Some("CaltrackMonthlyModel"), Some(ModelClass::Billing), true),
        ] {
            let choice = choice(name, Value::Null).unwrap();
            assert_eq!((choice.class, choice.replaced.is_some()), (class, replaced), "{name:?}");
        }
        let formatter =
            Choice::of(Request { formatter_class: Some("ModelDataBillingFormatter"), ..Request::default() });
        assert_eq!(formatter.unwrap().class, Some(ModelClass::Billing));
    }

    #[test]
    fn settings_are_read_and_named_again() {
        let choice =
            choice(None, json!({ "heating_base_temp": 64.0, "cooling_base_temp": 64, "mode": "compat" }));
        let choice = choice.unwrap();
        assert_eq!((choice.heating_base_degf, choice.cooling_base_degf), (Some(64), Some(64)));
        let kwargs = json!({ "mode": "compat", "heating_base_temp": 64, "cooling_base_temp": 64 });
        assert_eq!(choice.model_kwargs(), kwargs);
        assert_eq!(
            choice.formatter_kwargs(ModelClass::Daily),
            json!({ "freq_str": "D", "time_zone": "UTC" })
        );
    }

    #[test]
    fn what_there_is_not_is_refused_with_what_there_is() {
        let error = choice(Some("Prophet"), Value::Null).unwrap_err();
        assert_eq!(error.field(), "model_class");
        assert!(error.to_string().starts_with("unknown class `Prophet`; allowed: CaltrackDailyModel"));
        for (kwargs, message) in [
            (
                json!({ "alpha": 1 }),
                "unknown setting `alpha`; allowed: heating_base_temp, cooling_base_temp, mode",
            ),
            (json!({ "mode": "fast" }), "`mode` is \"fast\"; allowed: \"strict\", \"compat\""),
            (
                json!({ "heating_base_temp": 64.5 }),
                "`heating_base_temp` is 64.5; it must be a whole number of °F from -100 to 200",
            ),
            (
                json!({ "heating_base_temp": 70, "cooling_base_temp": 60 }),
                "`heating_base_temp` is 70; it must not be above `cooling_base_temp`, 60",
            ),
            (json!([1]), "it must be an object or null, not [1]"),
        ] {
            let error = choice(None, kwargs).unwrap_err();
            assert_eq!((error.field(), error.to_string().as_str()), ("model_kwargs", message));
        }
        let formatter = |class, kwargs: Value| {
            let request = Request {
                model_class: Some("CaltrackDailyModel"),
                formatter_class: class,
                formatter_kwargs: Some(&kwargs),
                ..Request::default()
            };
            Choice::of(request).unwrap_err().to_string()
        };
        assert_eq!(
            formatter(Some("ModelDataBillingFormatter"), Value::Null),
            "formatter `ModelDataBillingFormatter` does not go with model `CaltrackDailyModel`, which takes `ModelDataFormatter`"
        );
        assert_eq!(formatter(None, json!({ "freq_str": "H" })), "`freq_str` is \"H\"; allowed: \"D\"");
        assert!(formatter(None, json!({ "time_zone": "Mars" })).contains("the name of a time zone"));
    }
}
