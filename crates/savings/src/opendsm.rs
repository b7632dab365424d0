//! Stored models of opendsm, evaluated.
//!
//! opendsm fits one or several submodels to a year of days: each is a curve over the day's mean temperature, and covers
//! some seasons on all days of the week, on weekdays or on weekend days. What it stores can be loaded here, evaluated to
//! the last digits, and written out again as it came. Nothing is fitted.
//!
//! ```
//! use jiff::civil::date;
//! use sheaf_savings::opendsm::StoredModel;
//!
//! let model = StoredModel::from_json(&serde_json::json!({
//!     "submodels": { "fw-su_sh_wi": {
//!         "coefficients": { "model_type": "hdd_tidd", "intercept": 10.0, "hdd_bp": 60.0, "hdd_beta": -0.5 },
//!         "temperature_constraints": { "T_min": 0.0, "T_max": 90.0, "T_min_seg": 5.0, "T_max_seg": 85.0 },
//!         "f_unc": 1.5,
//!     } },
//!     "info": { "baseline_timezone": "America/Chicago" },
//! }))?;
//! let day = model.predict(date(2017, 1, 4), 40.0)?;
//! assert_eq!((day.energy, day.heating_load, day.uncertainty), (20.0, 10.0, Some(1.5)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Models stored by eemeter 2 (`model_type` and `model_params`) are read, too: they become a single submodel for all days,
//! with temperature bounds of −100 and 200 °F.
//!
//! Reading order: [`StoredModel`] loads and predicts, `document` says what the JSON holds, `calendar` which submodel a day
//! belongs to, `curve` what a submodel says for a temperature.

mod calendar;
mod curve;
mod document;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::version::FormatVersion;
use calendar::{Calendar, Component};
use curve::Curve;
use document::{Document, eemeter2_document};

pub use document::ModelType;

/// A model that opendsm (or eemeter 2) has fitted and stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Envelope", into = "Envelope")]
pub struct StoredModel {
    /// The JSON it was loaded from: exported as it is.
    source: Value,
    format: StoredFormat,
    baseline_timezone: Option<String>,
    calendar: Calendar,
    submodels: Vec<Submodel>,
}

/// Which program's form the JSON has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoredFormat {
    /// `submodels`, `info`, `settings`: opendsm 1.x, daily and billing.
    Opendsm,
    /// `model_type`, `model_params`: eemeter 2.x.
    Eemeter2,
}

#[derive(Clone, Debug, PartialEq)]
struct Submodel {
    name: String,
    model_type: ModelType,
    component: Component,
    curve: Curve,
    uncertainty: Option<f64>,
}

/// What a stored model says for a day. Energies are per day, in the unit of the meter that the model was fitted to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct DayPrediction<'a> {
    /// Name of the submodel that the day belongs to, such as `fw-su_sh_wi`.
    pub submodel: &'a str,
    /// Shape of its curve.
    pub model_type: ModelType,
    /// The energy predicted.
    pub energy: f64,
    /// Half the width of the prediction interval of a single day (opendsm's `f_unc`, at its `uncertainty_alpha`); none if
    /// the model doesn't know.
    pub uncertainty: Option<f64>,
    /// The part above the intercept at or below the heating breakpoint.
    pub heating_load: f64,
    /// The part above the intercept at or above the cooling breakpoint.
    pub cooling_load: f64,
}

/// Why a model can't be loaded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize)]
#[serde(tag = "code", content = "data", rename_all = "snake_case")]
#[non_exhaustive]
pub enum StoredModelError {
    /// The JSON has neither form.
    #[error("neither `submodels` (opendsm) nor `model_type` and `model_params` (eemeter 2) are there")]
    UnknownFormat,
    /// A part is missing or of the wrong type.
    #[error("{detail}")]
    Malformed {
        /// What the reader says.
        detail: String,
    },
    /// A model without submodels predicts nothing.
    #[error("there is no submodel")]
    NoSubmodels,
    /// A curve of this shape needs the coefficient.
    #[error("submodel `{submodel}` is {model_type}, which needs `{coefficient}`")]
    CoefficientMissing {
        /// The submodel.
        submodel: String,
        /// Its shape.
        model_type: ModelType,
        /// The coefficient that is absent or null.
        coefficient: &'static str,
    },
    /// The width of a smoothed corner is below zero.
    #[error("submodel `{submodel}` has a negative `{coefficient}`")]
    NegativeSmoothing {
        /// The submodel.
        submodel: String,
        /// The coefficient.
        coefficient: &'static str,
    },
    /// The name of a submodel does not say which days it covers.
    #[error(
        "`{name}` does not name days: fw, wd or we, a hyphen, and some of su, sh, wi joined by underscores"
    )]
    SubmodelName {
        /// The name.
        name: String,
    },
    /// Two submodels cover the same days.
    #[error("submodels `{first}` and `{second}` cover the same days")]
    Overlap {
        /// The one that was named earlier.
        first: String,
        /// The other.
        second: String,
    },
    /// The settings assign a month or a day of the week to something unknown.
    #[error("the settings assign {key} to `{found}`, allowed: {allowed}")]
    CalendarSetting {
        /// Name of the month or day.
        key: &'static str,
        /// What it is assigned to, as JSON.
        found: String,
        /// What would be right.
        allowed: &'static str,
    },
}

/// Why there is no prediction for a day.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error, Serialize)]
#[serde(tag = "code", content = "data", rename_all = "snake_case")]
#[non_exhaustive]
pub enum NoPrediction {
    /// The temperature is NaN or infinite.
    #[error("the mean temperature of {date} is missing")]
    TemperatureMissing {
        /// The day.
        date: Date,
    },
    /// No submodel covers days like this one.
    #[error("no submodel covers {date}")]
    NoSubmodel {
        /// The day.
        date: Date,
    },
}

impl StoredModel {
    /// Loads a model from the JSON of either program, told apart by its keys. The results that eemeter 2 wraps its model
    /// into (under the key `model`) are unwrapped.
    ///
    /// # Errors
    /// The JSON has neither form, is incomplete, names days that don't exist or names days twice.
    pub fn from_json(json: &Value) -> Result<StoredModel, StoredModelError> {
        if json.get("submodels").is_some() {
            let document = Document::deserialize(json)
                .map_err(|error| StoredModelError::Malformed { detail: error.to_string() })?;
            return StoredModel::new(json, StoredFormat::Opendsm, document);
        }
        let model = json.get("model").filter(|model| model.is_object()).unwrap_or(json);
        if model.get("model_type").is_none() && model.get("model_params").is_none() {
            return Err(StoredModelError::UnknownFormat);
        }
        StoredModel::new(json, StoredFormat::Eemeter2, eemeter2_document(model)?)
    }

    fn new(
        source: &Value,
        format: StoredFormat,
        document: Document,
    ) -> Result<StoredModel, StoredModelError> {
        let calendar = Calendar::from_settings(&document.settings)?;
        let mut submodels: Vec<Submodel> = Vec::with_capacity(document.submodels.len());
        for (name, stored) in document.submodels {
            let component =
                name.parse().map_err(|_| StoredModelError::SubmodelName { name: name.clone() })?;
            if let Some(other) = submodels.iter().find(|other| other.component.overlaps(component)) {
                return Err(StoredModelError::Overlap { first: other.name.clone(), second: name });
            }
            submodels.push(Submodel {
                model_type: stored.coefficients.model_type,
                curve: Curve::new(&name, &stored)?,
                component,
                uncertainty: stored.f_unc,
                name,
            });
        }
        if submodels.is_empty() {
            return Err(StoredModelError::NoSubmodels);
        }
        Ok(StoredModel {
            source: source.clone(),
            format,
            baseline_timezone: document.info.and_then(|info| info.baseline_timezone),
            calendar,
            submodels,
        })
    }

    /// The JSON that the model was loaded from, every key of it.
    pub fn to_json(&self) -> &Value {
        &self.source
    }

    /// Which program's form that JSON has.
    pub fn format(&self) -> StoredFormat {
        self.format
    }

    /// The time zone whose days the model was fitted to, if stored. A prediction takes days of this zone.
    pub fn baseline_timezone(&self) -> Option<&str> {
        self.baseline_timezone.as_deref()
    }

    /// The energy of a day of mean temperature `temp_degf`, in °F.
    ///
    /// # Errors
    /// The temperature is missing, or no submodel covers the day.
    pub fn predict(&self, date: Date, temp_degf: f64) -> Result<DayPrediction<'_>, NoPrediction> {
        if !temp_degf.is_finite() {
            return Err(NoPrediction::TemperatureMissing { date });
        }
        let kind = self.calendar.kind_of(date);
        let submodel = self
            .submodels
            .iter()
            .find(|submodel| submodel.component.covers(kind))
            .ok_or(NoPrediction::NoSubmodel { date })?;
        let loads = submodel.curve.evaluate(temp_degf);
        Ok(DayPrediction {
            submodel: &submodel.name,
            model_type: submodel.model_type,
            energy: loads.energy,
            uncertainty: submodel.uncertainty,
            heating_load: loads.heating,
            cooling_load: loads.cooling,
        })
    }
}

/// A stored model as Sheaf stores it: the document of its program, unchanged.
#[derive(Serialize, Deserialize)]
struct Envelope {
    version: FormatVersion<1>,
    model: Value,
}

impl From<StoredModel> for Envelope {
    fn from(model: StoredModel) -> Envelope {
        Envelope { version: FormatVersion, model: model.source }
    }
}

impl TryFrom<Envelope> for StoredModel {
    type Error = StoredModelError;

    fn try_from(envelope: Envelope) -> Result<StoredModel, StoredModelError> {
        StoredModel::from_json(&envelope.model)
    }
}
