//! From the request to the result: check what all pairs must share, judge each pair, fold those that count.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use serde::Serialize;

use super::derivative::{DerivativePair, Estimate, Field, Side};
use super::input::AggregationInput;
use super::report::{
    GroupedPortfolio, Member, PairProblem, PairStatus, Portfolio, SideProblem, SideStatus, SideVerdict,
};
use super::state::{Method, PortfolioState, savings_variance};
use crate::version::FormatVersion;

/// Why pairs can't become one figure. Checked in the order of the variants, but for the last.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize)]
#[serde(tag = "code", content = "data", rename_all = "snake_case")]
#[non_exhaustive]
pub enum AggregationError {
    /// The word is none of [`Method::ALL`].
    #[error(
        "unknown aggregation_interpretation `{found}`; allowed: SUM, MEAN, WEIGHTED_MEAN, INVERSE_VARIANCE_MEAN"
    )]
    UnknownMethod {
        /// The word.
        found: String,
    },
    /// There is no pair.
    #[error("cannot aggregate an empty list of derivative pairs")]
    Empty,
    /// Pairs of different kinds of value.
    #[error("derivative_interpretation of pair `{label}` is {}, but {expected} is asked for", or_null(found))]
    DerivativeInterpretationDiffers {
        /// Of the pair.
        label: String,
        /// What the pair has.
        found: Option<String>,
        /// What the request asks for.
        expected: String,
    },
    /// Pairs of different kinds of trace.
    #[error("trace_interpretation of pair `{label}` is {}, but {expected} is asked for", or_null(found))]
    TraceInterpretationDiffers {
        /// Of the pair.
        label: String,
        /// What the pair has.
        found: Option<String>,
        /// What the request asks for.
        expected: String,
    },
    /// Pairs of different units.
    #[error("unit of pair `{label}` is {}, but the first pair has {}", or_null(found), or_null(expected))]
    UnitDiffers {
        /// Of the pair.
        label: String,
        /// What the pair has.
        found: Option<String>,
        /// What the first pair has.
        expected: Option<String>,
    },
    /// Two pairs of one label: the status of one would hide that of the other.
    #[error("label `{label}` occurs more than once")]
    DuplicateLabel {
        /// The label.
        label: String,
    },
    /// Finite members add up to more than a float can hold.
    #[error("the sum of {members} members is beyond the range of 64-bit floats")]
    OutOfRange {
        /// How many were accepted.
        members: u64,
    },
}

/// The word as it stands, `null` for none.
fn or_null(word: &Option<String>) -> &str {
    word.as_deref().unwrap_or("null")
}

/// One figure of all accepted pairs, and the status of every pair.
///
/// # Errors
/// The word for the method is unknown, there is no pair, pairs differ in what they are, a label occurs twice, or the sum
/// leaves the range of floats. A pair with missing numbers is no error: it gets a status.
pub fn aggregate(input: &AggregationInput) -> Result<Portfolio, AggregationError> {
    let method = check(input)?;
    let mut state = PortfolioState::new();
    let members = input.pairs.iter().map(|pair| admit(input, method, pair, &mut state)).collect();
    portfolio(input, method, &state, members)
}

/// The same, and one figure for each group besides: pairs of the same key form a group.
///
/// # Errors
/// As [`aggregate`].
pub fn aggregate_by(
    input: &AggregationInput,
    mut key: impl FnMut(&DerivativePair) -> String,
) -> Result<GroupedPortfolio, AggregationError> {
    let method = check(input)?;
    let mut total = PortfolioState::new();
    let mut states: BTreeMap<String, PortfolioState> = BTreeMap::new();
    let mut members = Vec::with_capacity(input.pairs.len());
    for pair in &input.pairs {
        let mut alone = PortfolioState::new();
        members.push(admit(input, method, pair, &mut alone));
        states.entry(key(pair)).or_default().merge(alone);
        total.merge(alone);
    }
    let groups = states.into_iter().map(|(key, state)| (key, state.finish(method))).collect();
    Ok(GroupedPortfolio { total: portfolio(input, method, &total, members)?, groups })
}

/// What all pairs must share, in the order of the contract: every pair's derivative, then every trace, then every unit.
fn check(input: &AggregationInput) -> Result<Method, AggregationError> {
    let method = Method::of(&input.aggregation_interpretation)
        .ok_or_else(|| AggregationError::UnknownMethod { found: input.aggregation_interpretation.clone() })?;
    let first = input.pairs.first().ok_or(AggregationError::Empty)?;

    // One pass over what may be millions of pairs; what it finds is reported in the order of the contract.
    let (mut derivative, mut trace, mut unit) = (None, None, None);
    for pair in &input.pairs {
        if pair.derivative_interpretation.as_ref() != Some(&input.derivative_interpretation) {
            derivative.get_or_insert(pair);
        }
        if pair.trace_interpretation.as_ref() != Some(&input.trace_interpretation) {
            trace.get_or_insert(pair);
        }
        if pair.unit != first.unit {
            unit.get_or_insert(pair);
        }
    }
    if let Some(pair) = derivative {
        return Err(AggregationError::DerivativeInterpretationDiffers {
            label: pair.label.clone(),
            found: pair.derivative_interpretation.clone(),
            expected: input.derivative_interpretation.clone(),
        });
    }
    if let Some(pair) = trace {
        return Err(AggregationError::TraceInterpretationDiffers {
            label: pair.label.clone(),
            found: pair.trace_interpretation.clone(),
            expected: input.trace_interpretation.clone(),
        });
    }
    if let Some(pair) = unit {
        return Err(AggregationError::UnitDiffers {
            label: pair.label.clone(),
            found: pair.unit.clone(),
            expected: first.unit.clone(),
        });
    }
    if let Some(pair) = first_duplicate(&input.pairs) {
        return Err(AggregationError::DuplicateLabel { label: pair.label.clone() });
    }
    Ok(method)
}

/// The first pair whose label an earlier one has. A set of a million labels misses the cache at every step, so it is made
/// only if two labels have the same hash.
fn first_duplicate(pairs: &[DerivativePair]) -> Option<&DerivativePair> {
    let hash = |pair: &DerivativePair| {
        let mut hasher = DefaultHasher::new();
        pair.label.hash(&mut hasher);
        hasher.finish()
    };
    let mut hashes: Vec<u64> = pairs.iter().map(hash).collect();
    hashes.sort_unstable();
    if hashes.windows(2).all(|pair| pair[0] != pair[1]) {
        return None;
    }
    let mut labels = HashSet::with_capacity(pairs.len());
    pairs.iter().find(|pair| !labels.insert(pair.label.as_str()))
}

/// Judges a pair, and adds it to the state if it counts.
fn admit(
    input: &AggregationInput,
    method: Method,
    pair: &DerivativePair,
    state: &mut PortfolioState,
) -> Member {
    let (baseline, baseline_numbers) = judge(&pair.baseline, input.baseline_default.as_ref());
    let (reporting, reporting_numbers) = judge(&pair.reporting, input.reporting_default.as_ref());
    let mut status = PairStatus::Rejected;
    let mut problem = None;
    if let (Some(baseline), Some(reporting)) = (baseline_numbers, reporting_numbers) {
        match weight(method, pair, &baseline, &reporting) {
            Ok(weight) => {
                let savings_bias = pair.savings_bias.filter(|bias| bias.is_finite()).unwrap_or(0.0);
                state.push(baseline, reporting, weight, savings_bias);
                status = PairStatus::Accepted;
            }
            Err(reason) => problem = Some(reason),
        }
    }
    Member { label: pair.label.clone(), baseline, reporting, status, problem }
}

/// The numbers that count for a side: its own, else the default's, else none.
fn judge(side: &Side, default: Option<&Side>) -> (SideVerdict, Option<Estimate>) {
    let problem = match complete(side) {
        Ok(estimate) => {
            return (SideVerdict { status: SideStatus::Accepted, problem: None }, Some(estimate));
        }
        Err(problem) => problem,
    };
    let (status, problem, estimate) = match default.map(complete) {
        None => (SideStatus::Rejected, problem, None),
        Some(Ok(estimate)) => (SideStatus::Default, problem, Some(estimate)),
        Some(Err(lacking)) => {
            (SideStatus::Rejected, SideProblem::DefaultIncomplete { field: lacking.field() }, None)
        }
    };
    (SideVerdict { status, problem: Some(problem) }, estimate)
}

/// All four numbers, or the first that is missing or not finite.
fn complete(side: &Side) -> Result<Estimate, SideProblem> {
    let known = |field: Field, number: Option<f64>| match number {
        None => Err(SideProblem::Missing { field }),
        Some(number) if !number.is_finite() => Err(SideProblem::NotFinite { field }),
        Some(number) => Ok(number),
    };
    Ok(Estimate {
        value: known(Field::Value, side.value)?,
        lower: known(Field::Lower, side.lower)?,
        upper: known(Field::Upper, side.upper)?,
        n: known(Field::N, side.n)?,
    })
}

/// What a pair counts with a method.
fn weight(
    method: Method,
    pair: &DerivativePair,
    baseline: &Estimate,
    reporting: &Estimate,
) -> Result<f64, PairProblem> {
    match method {
        Method::Sum | Method::Mean => Ok(1.0),
        Method::WeightedMean => match pair.weight {
            None => Err(PairProblem::WeightMissing),
            Some(weight) if weight > 0.0 && weight.is_finite() => Ok(weight),
            Some(_) => Err(PairProblem::WeightNotPositive),
        },
        Method::InverseVarianceMean => {
            let weight = savings_variance(baseline, reporting).recip();
            // A variance beyond the range of floats, in either direction, weighs nothing or everything.
            if weight > 0.0 && weight.is_finite() { Ok(weight) } else { Err(PairProblem::NoUncertainty) }
        }
    }
}

fn portfolio(
    input: &AggregationInput,
    method: Method,
    state: &PortfolioState,
    members: Vec<Member>,
) -> Result<Portfolio, AggregationError> {
    let figure = state.finish(method);
    if figure.is_none() && state.members() > 0 {
        return Err(AggregationError::OutOfRange { members: state.members() });
    }
    Ok(Portfolio {
        version: FormatVersion,
        engine_version: env!("CARGO_PKG_VERSION").to_owned(),
        method,
        derivative_interpretation: input.derivative_interpretation.clone(),
        trace_interpretation: input.trace_interpretation.clone(),
        unit: input.pairs.first().and_then(|pair| pair.unit.clone()),
        figure,
        members,
    })
}
