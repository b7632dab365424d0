//! Savings: what a baseline model expects minus what was metered, or minus what a reporting model expects.

use serde::{Deserialize, Serialize};
use sheaf_model::Tick;

use crate::features::Features;
use crate::meter::MeterSeries;
use crate::model::Model;
use crate::predict::{PredictedPeriod, PredictedRow, predicted_rows};
use crate::settings::{Interval, Mode};
use crate::uncertainty::{ErrorBands, ReportingSide, SumOfPredictions, error_bands, fsu_band};
use crate::zone::whole_days;

/// How long eemeter takes a month to be when it counts bills, in days.
const DAYS_PER_MONTH: f64 = 30.0;

/// Base, heating and cooling load, in the trace's unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Loads {
    /// What does not depend on the weather.
    pub base: f64,
    /// What comes with cold.
    pub heating: f64,
    /// What comes with warmth.
    pub cooling: f64,
}

impl Loads {
    fn add(&mut self, period: &PredictedPeriod) {
        self.base += period.base_load;
        self.heating += period.heating_load;
        self.cooling += period.cooling_load;
    }
}

/// A period of metered savings.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MeteredPeriod {
    /// Begin of the period.
    pub start: Tick,
    /// Metered energy.
    pub observed: Option<f64>,
    /// What the baseline model expects.
    pub counterfactual: Option<PredictedPeriod>,
}

impl MeteredPeriod {
    /// Expected minus metered (CalTRACK 3.6.1); nothing if one of both is missing (3.5.3.1, 3.5.4.1).
    pub fn savings(&self) -> Option<f64> {
        Some(self.counterfactual?.total() - self.observed?)
    }
}

/// Metered savings over a reporting period, in the trace's unit. Sums are over the periods that have savings, except where said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MeteredSavings {
    /// Metered energy.
    pub reporting_observed: f64,
    /// What the baseline model expects.
    pub counterfactual_usage: f64,
    /// Expected minus metered.
    pub metered_savings: f64,
    /// The expected loads.
    pub counterfactual_loads: Loads,
    /// Periods that have savings.
    pub n_periods: usize,
    /// Their days.
    pub n_days: f64,
    /// At what confidence the bounds hold.
    pub confidence: f64,
    /// As eemeter computes them.
    pub error_bands: Option<ErrorBands>,
    /// Half the width of the interval by [`SumOfPredictions::bound`].
    pub bound: Option<f64>,
    /// Of the counterfactual, by [`SumOfPredictions::bias`]; not subtracted.
    pub bias: Option<f64>,
    /// Every period.
    pub periods: Vec<MeteredPeriod>,
}

impl MeteredSavings {
    /// How far the truth may lie from the savings on either side, as this mode says it.
    pub fn bound_in(&self, mode: Mode) -> Option<f64> {
        mode.bound(self.bound, self.error_bands.map(|bands| bands.fsu))
    }
}

/// Metered savings of a baseline model over the periods of a meter and their weather (made of the same bounds), with bounds at
/// a confidence between 0 and 1.
pub fn metered_savings(
    baseline: &Model,
    reporting: &MeterSeries,
    features: &Features,
    confidence: f64,
) -> MeteredSavings {
    let rows: Vec<Option<PredictedRow>> = predicted_rows(baseline, features).collect();
    let periods: Vec<MeteredPeriod> = rows
        .iter()
        .zip(reporting.energy())
        .zip(reporting.bounds())
        .map(|((row, energy), start)| MeteredPeriod {
            start: *start,
            observed: Some(*energy).filter(|energy| !energy.is_nan()),
            counterfactual: row.map(|row| row.loads(baseline)),
        })
        .collect();
    let (mut observed, mut savings, mut loads) = (0.0, 0.0, Loads::default());
    let mut sum = SumOfPredictions::default();
    for (period, row) in periods.iter().zip(&rows) {
        if let (Some(energy), Some(expected), Some(row)) = (period.observed, period.counterfactual, row) {
            observed += energy;
            savings += expected.total() - energy;
            loads.add(&expected);
            sum.add(baseline, row);
        }
    }
    let side = ReportingSide {
        n_periods: counted_periods(baseline.interval, sum.n_periods, reporting.bounds()),
        observed_mean: observed / sum.n_periods as f64,
    };
    MeteredSavings {
        reporting_observed: observed,
        counterfactual_usage: sum.value,
        metered_savings: savings,
        counterfactual_loads: loads,
        n_periods: sum.n_periods,
        n_days: sum.days(),
        confidence,
        error_bands: error_bands(&baseline.totals_metrics, baseline.interval, &side, confidence),
        bound: sum.bound(baseline, confidence),
        bias: sum.bias(baseline),
        periods,
    }
}

/// Modelled savings, in the trace's unit. Sums are over the periods whose weather is known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModeledSavings {
    /// What the baseline model expects.
    pub modeled_baseline_usage: f64,
    /// What the reporting model expects.
    pub modeled_reporting_usage: f64,
    /// The one minus the other.
    pub modeled_savings: f64,
    /// The baseline model's loads.
    pub baseline_loads: Loads,
    /// The reporting model's loads.
    pub reporting_loads: Loads,
    /// Periods whose weather is known.
    pub n_periods: usize,
    /// Their days.
    pub n_days: f64,
    /// At what confidence the bounds hold.
    pub confidence: f64,
    /// Fractional savings uncertainty of the baseline side, as eemeter computes it.
    pub fsu_baseline: Option<f64>,
    /// The same of the reporting side.
    pub fsu_reporting: Option<f64>,
    /// Both in quadrature.
    pub fsu: Option<f64>,
    /// Half the width of the baseline side's interval by [`SumOfPredictions::bound`].
    pub bound_baseline: Option<f64>,
    /// The same of the reporting side.
    pub bound_reporting: Option<f64>,
    /// Both in quadrature.
    pub bound: Option<f64>,
    /// Of the savings, by [`SumOfPredictions::bias`] of each side; not subtracted.
    pub bias: Option<f64>,
}

impl ModeledSavings {
    /// How far the truth may lie from the savings on either side, as this mode says it.
    pub const fn bound_in(&self, mode: Mode) -> Option<f64> {
        mode.bound(self.bound, self.fsu)
    }
}

/// Modelled savings of two models over the same weather, such as a normal year's, with bounds at a confidence between 0 and 1.
pub fn modeled_savings(
    baseline: &Model,
    reporting: &Model,
    features: &Features,
    confidence: f64,
) -> ModeledSavings {
    let of_baseline = modeled_side(baseline, features, confidence);
    let of_reporting = modeled_side(reporting, features, confidence);
    let in_quadrature = |a: Option<f64>, b: Option<f64>| a.zip(b).map(|(a, b)| a.hypot(b));
    ModeledSavings {
        modeled_baseline_usage: of_baseline.sum.value,
        modeled_reporting_usage: of_reporting.sum.value,
        modeled_savings: of_baseline.sum.value - of_reporting.sum.value,
        baseline_loads: of_baseline.loads,
        reporting_loads: of_reporting.loads,
        n_periods: of_baseline.sum.n_periods,
        n_days: of_baseline.sum.days(),
        confidence,
        fsu_baseline: of_baseline.fsu,
        fsu_reporting: of_reporting.fsu,
        fsu: in_quadrature(of_baseline.fsu, of_reporting.fsu),
        bound_baseline: of_baseline.bound,
        bound_reporting: of_reporting.bound,
        bound: in_quadrature(of_baseline.bound, of_reporting.bound),
        bias: of_baseline.bias.zip(of_reporting.bias).map(|(baseline, reporting)| baseline - reporting),
    }
}

/// What one model expects in all.
pub(crate) struct ModeledSide {
    pub(crate) sum: SumOfPredictions,
    pub(crate) loads: Loads,
    pub(crate) fsu: Option<f64>,
    pub(crate) bound: Option<f64>,
    pub(crate) bias: Option<f64>,
}

pub(crate) fn modeled_side(model: &Model, features: &Features, confidence: f64) -> ModeledSide {
    let mut sum = SumOfPredictions::default();
    let mut loads = Loads::default();
    for row in predicted_rows(model, features).flatten() {
        sum.add(model, &row);
        loads.add(&row.loads(model));
    }
    let bounds = features.bounds();
    let n_periods = counted_periods(model.interval, sum.n_periods, &bounds);
    let fsu = fsu_band(&model.totals_metrics, model.interval, n_periods, confidence);
    ModeledSide { sum, loads, fsu, bound: sum.bound(model, confidence), bias: sum.bias(model) }
}

/// Days count as they are; of bills eemeter counts months between the first bound and the last.
fn counted_periods(interval: Interval, n_periods: usize, bounds: &[Tick]) -> f64 {
    match (bounds.first(), bounds.last()) {
        (Some(first), Some(last)) if interval.is_billing() => {
            (whole_days(*first, *last) as f64 / DAYS_PER_MONTH).round_ties_even()
        }
        _ => n_periods as f64,
    }
}
