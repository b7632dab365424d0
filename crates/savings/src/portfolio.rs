//! Figures of a portfolio: many derivatives, one value with its bounds, and what became of each member.
//!
//! ```
//! use sheaf_savings::portfolio::{AggregationInput, aggregate};
//!
//! let input = AggregationInput::from_json(&serde_json::json!({
//!     "type": "BASIC_AGGREGATION",
//!     "aggregation_interpretation": "SUM",
//!     "trace_interpretation": "NATURAL_GAS_CONSUMPTION_SUPPLIED",
//!     "derivative_interpretation": "annualized_weather_normal",
//!     "derivatives": { "type": "DERIVATIVE_PAIRS", "derivative_pairs": [
//!         { "label": "1", "unit": "THERM", "derivative_interpretation": "annualized_weather_normal",
//!           "trace_interpretation": "NATURAL_GAS_CONSUMPTION_SUPPLIED",
//!           "baseline_value": 10, "baseline_lower": 3, "baseline_upper": 3, "baseline_n": 5,
//!           "reporting_value": 8, "reporting_lower": 6, "reporting_upper": 6, "reporting_n": 5 },
//!         { "label": "2", "unit": "THERM", "derivative_interpretation": "annualized_weather_normal",
//!           "trace_interpretation": "NATURAL_GAS_CONSUMPTION_SUPPLIED",
//!           "baseline_value": 10, "baseline_lower": 4, "baseline_upper": 4, "baseline_n": 5,
//!           "reporting_value": 8, "reporting_lower": 8, "reporting_upper": 8, "reporting_n": 5 },
//!     ] },
//! }))?;
//! let figure = aggregate(&input)?.figure.expect("both pairs are complete");
//! assert_eq!((figure.baseline.value, figure.baseline.lower), (20.0, 5.0));
//! assert_eq!((figure.reporting.value, figure.reporting.lower), (16.0, 10.0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Reading order: [`AggregationInput`] is what goes in, [`aggregate`] checks it, judges each pair and folds the accepted
//! ones into a [`PortfolioState`]; [`Portfolio`] is what comes out. States merge, so a portfolio may be folded in parts.
//!
//! `SUM` is that of the OpenEEmeter aggregator, step by step: the value adds up, each bound is `√(a² + b²)` with a square
//! root at every step, in the order of the input. It differs in three things, all of them on purpose: a NaN or an infinity
//! counts as missing (it would spoil the whole sum), a label may occur only once (the later would hide the earlier), and
//! a default with a missing number makes nothing valid. Squares and square roots are correctly rounded here, so the same
//! input gives the same bits on every machine; the C library's `pow` in upstream's `x ** 0.5` is off by the last bit about
//! once in a thousand times.

mod aggregate;
mod derivative;
mod input;
mod report;
mod state;

pub use aggregate::{AggregationError, aggregate, aggregate_by};
pub use derivative::{DerivativePair, Direction, Estimate, Field, Side};
pub use input::{AggregationInput, InputError};
pub use report::{
    ContractOutput, GroupedPortfolio, Member, PairProblem, PairStatus, Portfolio, SideProblem, SideStatus,
    SideVerdict,
};
pub use state::{Figure, Method, PortfolioState};
