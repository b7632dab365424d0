//! What the JSON of a stored model holds, as far as a prediction needs it.

use std::fmt;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::StoredModelError;

/// An opendsm model, keys that a prediction does not need left out.
#[derive(Deserialize)]
pub(super) struct Document {
    /// In the order they were stored in.
    pub(super) submodels: IndexMap<String, StoredSubmodel>,
    pub(super) info: Option<Info>,
    #[serde(default)]
    pub(super) settings: Value,
}

#[derive(Deserialize)]
pub(super) struct Info {
    pub(super) baseline_timezone: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct StoredSubmodel {
    pub(super) coefficients: Coefficients,
    pub(super) temperature_constraints: TemperatureConstraints,
    /// What a day is uncertain by; eemeter 2 did not know.
    pub(super) f_unc: Option<f64>,
}

/// Seven numbers at most, in °F and energy per day. A `beta` is the slope, a `k` the width of a smoothed corner.
#[derive(Deserialize)]
pub(super) struct Coefficients {
    pub(super) model_type: ModelType,
    pub(super) intercept: f64,
    pub(super) hdd_bp: Option<f64>,
    pub(super) hdd_beta: Option<f64>,
    pub(super) hdd_k: Option<f64>,
    pub(super) cdd_bp: Option<f64>,
    pub(super) cdd_beta: Option<f64>,
    pub(super) cdd_k: Option<f64>,
}

/// The temperatures that the submodel was fitted to, °F: the extremes, and the extremes that a segment may begin at.
#[derive(Deserialize)]
pub(super) struct TemperatureConstraints {
    #[serde(rename = "T_min")]
    pub(super) min: f64,
    #[serde(rename = "T_max")]
    pub(super) max: f64,
    #[serde(rename = "T_min_seg")]
    pub(super) min_segment: f64,
    #[serde(rename = "T_max_seg")]
    pub(super) max_segment: f64,
}

/// Shape of a curve: heating slope, flat middle, cooling slope, and whether the corners are smoothed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelType {
    /// Independent of the temperature.
    Tidd,
    /// Heating only.
    HddTidd,
    /// Heating only, smoothed.
    HddTiddSmooth,
    /// Cooling only.
    TiddCdd,
    /// Cooling only, smoothed.
    TiddCddSmooth,
    /// Heating and cooling.
    HddTiddCdd,
    /// Heating and cooling, smoothed.
    HddTiddCddSmooth,
}

impl fmt::Display for ModelType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ModelType::Tidd => "tidd",
            ModelType::HddTidd => "hdd_tidd",
            ModelType::HddTiddSmooth => "hdd_tidd_smooth",
            ModelType::TiddCdd => "tidd_cdd",
            ModelType::TiddCddSmooth => "tidd_cdd_smooth",
            ModelType::HddTiddCdd => "hdd_tidd_cdd",
            ModelType::HddTiddCddSmooth => "hdd_tidd_cdd_smooth",
        })
    }
}

/// A model of eemeter 2 as it stands.
#[derive(Deserialize)]
struct Eemeter2Model {
    model_type: Eemeter2Type,
    model_params: Eemeter2Params,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Eemeter2Type {
    InterceptOnly,
    HddOnly,
    CddOnly,
    CddHdd,
}

#[derive(Deserialize)]
struct Eemeter2Params {
    intercept: f64,
    beta_hdd: Option<f64>,
    heating_balance_point: Option<f64>,
    beta_cdd: Option<f64>,
    cooling_balance_point: Option<f64>,
}

/// The bounds that opendsm gives a model of eemeter 2, which stores none. No day on Earth is beyond them.
const EEMETER2_BOUNDS: TemperatureConstraints =
    TemperatureConstraints { min: -100.0, max: 200.0, min_segment: -100.0, max_segment: 200.0 };

/// A model of eemeter 2 as an opendsm model of one submodel, for all days.
pub(super) fn eemeter2_document(json: &Value) -> Result<Document, StoredModelError> {
    let model = Eemeter2Model::deserialize(json)
        .map_err(|error| StoredModelError::Malformed { detail: error.to_string() })?;
    let params = model.model_params;
    let (model_type, hdd_beta) = match model.model_type {
        Eemeter2Type::InterceptOnly => (ModelType::Tidd, None),
        // Where there is one slope only, its sign tells heating from cooling.
        Eemeter2Type::HddOnly => (ModelType::HddTidd, params.beta_hdd.map(|slope| -slope)),
        Eemeter2Type::CddOnly => (ModelType::TiddCdd, None),
        Eemeter2Type::CddHdd => (ModelType::HddTiddCdd, params.beta_hdd),
    };
    let submodel = StoredSubmodel {
        coefficients: Coefficients {
            model_type,
            intercept: params.intercept,
            hdd_bp: params.heating_balance_point,
            hdd_beta,
            hdd_k: None,
            cdd_bp: params.cooling_balance_point,
            cdd_beta: params.beta_cdd,
            cdd_k: None,
        },
        temperature_constraints: EEMETER2_BOUNDS,
        f_unc: None,
    };
    Ok(Document {
        submodels: IndexMap::from([("fw-su_sh_wi".to_owned(), submodel)]),
        info: None,
        settings: Value::Null,
    })
}
