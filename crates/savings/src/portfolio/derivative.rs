//! What is gathered: pairs of a baseline and a reporting value with their bounds.

use serde::{Deserialize, Serialize};

use crate::derivative;

/// A value with its bounds, all four numbers known and finite.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// In the unit of the derivative.
    pub value: f64,
    /// Distance from the value down to its lower bound, same unit, same confidence level for all members.
    pub lower: f64,
    /// Distance from the value up to its upper bound.
    pub upper: f64,
    /// How many observations are behind it; may be a fraction.
    pub n: f64,
}

impl Estimate {
    /// Half the width of the interval: one number for both bounds, also where they differ.
    pub(super) fn half_width(&self) -> f64 {
        0.5 * (self.lower + self.upper)
    }

    pub(super) fn is_finite(&self) -> bool {
        self.value.is_finite() && self.lower.is_finite() && self.upper.is_finite() && self.n.is_finite()
    }
}

/// The same as it arrives: a model that failed leaves nulls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Side {
    /// In the unit of the derivative.
    pub value: Option<f64>,
    /// Distance down to the lower bound.
    pub lower: Option<f64>,
    /// Distance up to the upper bound.
    pub upper: Option<f64>,
    /// How many observations are behind it.
    pub n: Option<f64>,
}

/// One of the four numbers of a side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// The value itself.
    Value,
    /// The distance to the lower bound.
    Lower,
    /// The distance to the upper bound.
    Upper,
    /// The number of observations.
    N,
}

impl From<Estimate> for Side {
    fn from(estimate: Estimate) -> Side {
        Side {
            value: Some(estimate.value),
            lower: Some(estimate.lower),
            upper: Some(estimate.upper),
            n: Some(estimate.n),
        }
    }
}

/// One member of a portfolio.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DerivativePair {
    /// What the status is reported under; unique within a portfolio.
    pub label: String,
    /// What the values are, such as `annualized_weather_normal`.
    pub derivative_interpretation: Option<String>,
    /// What the trace is, such as `ELECTRICITY_CONSUMPTION_SUPPLIED`.
    pub trace_interpretation: Option<String>,
    /// Compared letter by letter; nothing is converted.
    pub unit: Option<String>,
    /// Before the intervention.
    pub baseline: Side,
    /// After it.
    pub reporting: Side,
    /// What the member counts in a weighted mean: positive, of any scale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
    /// How far the savings of many such members lie above the truth in the mean, in the unit of the derivative. What is not
    /// there, or not finite, is nothing known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub savings_bias: Option<f64>,
}

impl DerivativePair {
    /// A derivative of a run as a member of a portfolio.
    pub fn of_run(label: String, pair: &derivative::DerivativePair) -> DerivativePair {
        let side = |side: Option<derivative::Derivative>| {
            side.map_or_else(Side::default, |side| Side {
                value: Some(side.value),
                lower: side.lower,
                upper: side.upper,
                n: Some(side.n),
            })
        };
        let bias = |side: Option<derivative::Derivative>| side.and_then(|side| side.bias);
        let sign = match Direction::of(pair.trace_interpretation.name()) {
            Some(Direction::ReportingMinusBaseline) => -1.0,
            Some(Direction::BaselineMinusReporting) | None => 1.0,
        };
        let savings_bias = bias(pair.baseline).zip(bias(pair.reporting));
        DerivativePair {
            label,
            derivative_interpretation: Some(pair.derivative_interpretation.name().to_owned()),
            trace_interpretation: Some(pair.trace_interpretation.name().to_owned()),
            unit: Some(pair.unit.to_string()),
            baseline: side(pair.baseline),
            reporting: side(pair.reporting),
            weight: None,
            savings_bias: savings_bias.map(|(baseline, reporting)| sign * (baseline - reporting)),
        }
    }
}

/// Which side is subtracted from which to make a benefit a positive number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Direction {
    /// Using less is the benefit.
    BaselineMinusReporting,
    /// Generating more is the benefit.
    ReportingMinusBaseline,
}

impl Direction {
    /// The direction for a trace interpretation, long or short; none for an unknown one.
    pub fn of(trace_interpretation: &str) -> Option<Direction> {
        match trace_interpretation {
            "ELECTRICITY_CONSUMPTION_SUPPLIED"
            | "ELECTRICITY_CONSUMPTION_TOTAL"
            | "ELECTRICITY_CONSUMPTION_NET"
            | "NATURAL_GAS_CONSUMPTION_SUPPLIED"
            | "ALL_FUELS_CONSUMPTION_SUPPLIED"
            | "E_C_S"
            | "E_C_T"
            | "E_C_N"
            | "NG_C_S" => Some(Direction::BaselineMinusReporting),
            "ELECTRICITY_ON_SITE_GENERATION_TOTAL"
            | "ELECTRICITY_ON_SITE_GENERATION_CONSUMED"
            | "ELECTRICITY_ON_SITE_GENERATION_UNCONSUMED"
            | "E_OSG_T"
            | "E_OSG_C"
            | "E_OSG_U" => Some(Direction::ReportingMinusBaseline),
            _ => None,
        }
    }
}
