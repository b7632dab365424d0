//! Derivatives of a run: pairs of a figure before and a figure after, with bounds, that portfolios are made of.

use serde::{Deserialize, Serialize};

use crate::interpretation::{EnergyUnit, Interpretation};

/// What a derivative says. B and R are the sides, baseline and reporting; savings are B − R.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DerivativeInterpretation {
    /// B: Σ of the baseline model over the days of a normal year. R: Σ of the reporting model over them.
    AnnualizedWeatherNormal,
    /// B: Σ of the baseline model over the days of the reporting period, in its weather. R: Σ of the reporting model over them.
    GrossPredicted,
    /// B: Σ of the baseline model over the metered periods of the reporting period whose weather is known, the
    /// counterfactual. R: Σ of what was metered in them, without bounds: it is known.
    MeteredSavings,
    /// As `AnnualizedWeatherNormal` if there is a normal year, else as `GrossPredicted`.
    ModeledSavings,
}

impl DerivativeInterpretation {
    /// `annualized_weather_normal` and so on, as in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            DerivativeInterpretation::AnnualizedWeatherNormal => "annualized_weather_normal",
            DerivativeInterpretation::GrossPredicted => "gross_predicted",
            DerivativeInterpretation::MeteredSavings => "metered_savings",
            DerivativeInterpretation::ModeledSavings => "modeled_savings",
        }
    }
}

/// One side of a derivative.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Derivative {
    /// In the pair's unit.
    pub value: f64,
    /// How far below the value the truth may lie, at 95 %; nothing if that is not known.
    pub lower: Option<f64>,
    /// How far above.
    pub upper: Option<f64>,
    /// How far the values of many such meters lie above the truth in the mean, by [`SumOfPredictions::bias`]. It is small
    /// against the bounds, but adds up in a portfolio. Not subtracted; nothing where it is not known.
    ///
    /// [`SumOfPredictions::bias`]: crate::uncertainty::SumOfPredictions::bias
    pub bias: Option<f64>,
    /// Days that the value is the sum of, those without weather not counted.
    pub n: f64,
}

impl Derivative {
    pub(crate) const fn new(value: f64, bound: Option<f64>, bias: Option<f64>, n: f64) -> Derivative {
        Derivative { value, lower: bound, upper: bound, bias, n }
    }
}

/// Both sides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DerivativePair {
    /// What it says.
    pub derivative_interpretation: DerivativeInterpretation,
    /// What was metered.
    pub trace_interpretation: Interpretation,
    /// Of value, lower and upper.
    pub unit: EnergyUnit,
    /// Nothing without a baseline model or any day.
    pub baseline: Option<Derivative>,
    /// Nothing without a reporting model, if it takes one, or any day.
    pub reporting: Option<Derivative>,
}
