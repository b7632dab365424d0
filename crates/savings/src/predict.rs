//! A model evaluated over periods.

use serde::{Deserialize, Serialize};
use sheaf_model::Tick;

use crate::features::Features;
use crate::model::Model;

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

/// A row of the design that a period's total is predicted from: days, heating degree days, cooling degree days; the latter
/// at the model's balance points, 0 if it has none.
pub(crate) type DesignRow = [f64; 3];

/// What a model expects of each period; nothing where the weather is unknown.
pub fn predict(model: &Model, features: &Features) -> Vec<Option<PredictedPeriod>> {
    let rows = design_rows(model, features);
    let expected = |(row, start): (Option<DesignRow>, Tick)| {
        let [days, hdd, cdd] = row?;
        Some(PredictedPeriod {
            start,
            days,
            base_load: model.intercept * days,
            heating_load: model.beta_hdd.unwrap_or(0.0) * hdd,
            cooling_load: model.beta_cdd.unwrap_or(0.0) * cdd,
        })
    };
    rows.zip(features.periods().iter().map(|period| period.start)).map(expected).collect()
}

/// The rows of the design of each period; nothing where the weather is unknown.
pub(crate) fn design_rows(model: &Model, features: &Features) -> impl Iterator<Item = Option<DesignRow>> {
    features.periods().iter().enumerate().map(|(index, period)| {
        let hdd = model.heating_balance_point.map_or(0.0, |point| features.hdd_per_day(index, point));
        let cdd = model.cooling_balance_point.map_or(0.0, |point| features.cdd_per_day(index, point));
        let factor = period.degree_day_factor;
        period.is_known().then_some([period.days, hdd * factor, cdd * factor])
    })
}
