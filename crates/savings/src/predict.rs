//! A model evaluated over periods.

use serde::{Deserialize, Serialize};
use sheaf_model::Tick;

use crate::features::Features;
use crate::model::Model;
use crate::tangent::{Parameters, Slopes};

/// What a model expects of one period, in the trace's unit; the three loads add up to the total.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PredictedPeriod {
    /// Begin of the period.
    pub start: Tick,
    /// Length in elapsed days.
    pub days: f64,
    /// Intercept times days.
    pub base_load: f64,
    /// Heating slope times heating degree days.
    pub heating_load: f64,
    /// Cooling slope times cooling degree days.
    pub cooling_load: f64,
}

impl PredictedPeriod {
    /// All loads.
    pub fn total(&self) -> f64 {
        self.base_load + self.heating_load + self.cooling_load
    }
}

/// What a period's total is predicted from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PredictedRow {
    /// Begin of the period.
    start: Tick,
    /// Days, heating and cooling degree days at the model's balance points, and how the total changes with each of those; 0 for
    /// what the model doesn't have.
    pub(crate) gradient: Parameters,
    /// ½·tr(C·H) of the total.
    pub(crate) curvature: f64,
}

impl PredictedRow {
    /// What the model expects.
    pub(crate) fn loads(&self, model: &Model) -> PredictedPeriod {
        let [days, hdd, cdd, ..] = self.gradient;
        PredictedPeriod {
            start: self.start,
            days,
            base_load: model.intercept * days,
            heating_load: model.beta_hdd.unwrap_or(0.0) * hdd,
            cooling_load: model.beta_cdd.unwrap_or(0.0) * cdd,
        }
    }
}

/// What a model expects of each period; nothing where the weather is unknown.
pub fn predict(model: &Model, features: &Features) -> Vec<Option<PredictedPeriod>> {
    predicted_rows(model, features).map(|row| row.map(|row| row.loads(model))).collect()
}

/// What each period is predicted from; nothing where the weather is unknown.
pub(crate) fn predicted_rows(
    model: &Model,
    features: &Features,
) -> impl Iterator<Item = Option<PredictedRow>> {
    let slopes = Slopes::of(model);
    let covariance = model.uncertainty.as_ref().map(|uncertainty| &uncertainty.parameter_covariance);
    features.periods().iter().enumerate().map(move |(index, period)| {
        if !period.is_known() {
            return None;
        }
        let factor = period.degree_day_factor;
        let mut gradient = slopes.gradient(features, index).map(|of_day| of_day * factor);
        gradient[0] = period.days;
        let curvature =
            covariance.map_or(0.0, |covariance| factor * slopes.curvature(covariance, features, index));
        Some(PredictedRow { start: period.start, gradient, curvature })
    })
}
