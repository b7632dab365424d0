//! Sums, means and groups of portfolios, against the tables of the OpenEEmeter aggregator.

mod beyond;
mod contract;
mod laws;

use sheaf_savings::portfolio::{AggregationInput, DerivativePair, Estimate, Side};

const TRACE: &str = "NATURAL_GAS_CONSUMPTION_SUPPLIED";
const DERIVATIVE: &str = "annualized_weather_normal";
const UNIT: &str = "therm";

/// A value with the same bound on both sides: `10±3(5)`.
fn estimate(value: f64, bound: f64, n: f64) -> Estimate {
    Estimate { value, lower: bound, upper: bound, n }
}

fn side(value: f64, bound: f64, n: f64) -> Side {
    estimate(value, bound, n).into()
}

fn pair(label: &str, baseline: Side, reporting: Side) -> DerivativePair {
    DerivativePair {
        label: label.to_owned(),
        derivative_interpretation: Some(DERIVATIVE.to_owned()),
        trace_interpretation: Some(TRACE.to_owned()),
        unit: Some(UNIT.to_owned()),
        baseline,
        reporting,
        weight: None,
        savings_bias: None,
    }
}

fn request(method: &str, pairs: Vec<DerivativePair>) -> AggregationInput {
    AggregationInput {
        aggregation_interpretation: method.to_owned(),
        trace_interpretation: TRACE.to_owned(),
        derivative_interpretation: DERIVATIVE.to_owned(),
        baseline_default: None,
        reporting_default: None,
        pairs,
    }
}
