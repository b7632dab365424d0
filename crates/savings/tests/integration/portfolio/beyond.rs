//! Means, weights, uncertainty of savings, groups: what goes beyond the contract, with numbers to check by hand.

use sheaf_savings::derivative::DerivativeInterpretation;
use sheaf_savings::interpretation::{EnergyUnit, Interpretation};
use sheaf_savings::portfolio::{
    AggregationInput, DerivativePair, Direction, Estimate, Figure, PairProblem, PairStatus, Portfolio, Side,
    SideStatus, aggregate, aggregate_by,
};
use sheaf_savings::run::{RunInput, RunResult, RunSettings, run};
use sheaf_savings::settings::Mode;

use super::super::reference::{baseline_end, readings, reporting_start, weather};
use super::{estimate, pair, request, side};

fn weighted(pair: DerivativePair, weight: f64) -> DerivativePair {
    DerivativePair { weight: Some(weight), ..pair }
}

fn figure(method: &str, pairs: Vec<DerivativePair>) -> Figure {
    aggregate(&request(method, pairs)).unwrap().figure.unwrap()
}

#[test]
fn a_mean_divides_values_and_bounds_but_not_n() {
    let pairs = vec![
        pair("1", side(10.0, 3.0, 5.0), side(8.0, 6.0, 5.0)),
        pair("2", side(20.0, 4.0, 5.0), side(14.0, 8.0, 5.0)),
    ];
    let mean = figure("MEAN", pairs);
    assert_eq!(mean.baseline, estimate(15.0, 2.5, 10.0));
    assert_eq!(mean.reporting, estimate(11.0, 5.0, 10.0));
}

#[test]
fn a_weighted_mean() {
    let pairs = vec![
        weighted(pair("1", side(10.0, 4.0, 5.0), side(8.0, 8.0, 5.0)), 3.0),
        weighted(pair("2", side(30.0, 5.0, 5.0), side(20.0, 7.0, 5.0)), 1.0),
    ];
    let mean = figure("WEIGHTED_MEAN", pairs);
    // (3·10 + 30) / 4 and √((3·4)² + 5²) / 4; (3·8 + 20) / 4 and √((3·8)² + 7²) / 4.
    assert_eq!(mean.baseline, estimate(15.0, 3.25, 10.0));
    assert_eq!(mean.reporting, estimate(11.0, 6.25, 10.0));
}

#[test]
fn a_weighted_mean_needs_positive_weights() {
    let whole = || pair("", side(10.0, 3.0, 5.0), side(10.0, 6.0, 5.0));
    let weights = [None, Some(0.0), Some(-1.0), Some(f64::NAN), Some(f64::INFINITY), Some(2.0)];
    let pairs = weights.iter().enumerate();
    let pairs = pairs.map(|(label, &weight)| DerivativePair { label: label.to_string(), weight, ..whole() });
    let portfolio = aggregate(&request("WEIGHTED_MEAN", pairs.collect())).unwrap();
    assert_eq!(portfolio.members[0].problem, Some(PairProblem::WeightMissing));
    for member in &portfolio.members[1..5] {
        assert_eq!(member.problem, Some(PairProblem::WeightNotPositive));
        assert_eq!((member.baseline.status, member.status), (SideStatus::Accepted, PairStatus::Rejected));
    }
    assert_eq!(portfolio.figure.unwrap().baseline, estimate(10.0, 3.0, 5.0));
}

#[test]
fn an_inverse_variance_mean_trusts_the_narrower_member() {
    // Savings 4 ± 5 and 10 ± 10: weights 1/25 and 1/100.
    let pairs = vec![
        pair("1", side(10.0, 3.0, 5.0), side(6.0, 4.0, 5.0)),
        pair("2", side(20.0, 6.0, 5.0), side(10.0, 8.0, 5.0)),
        pair("3", side(20.0, 0.0, 5.0), side(10.0, 0.0, 5.0)),
    ];
    let portfolio = aggregate(&request("INVERSE_VARIANCE_MEAN", pairs)).unwrap();
    assert_eq!(portfolio.members[2].problem, Some(PairProblem::NoUncertainty));
    let mean = portfolio.figure.unwrap();
    let savings = mean.savings(Direction::BaselineMinusReporting);
    // (4/25 + 10/100) / (1/25 + 1/100) and 1 / √(1/25 + 1/100).
    assert!((savings.value - 5.2).abs() < 1e-13, "{savings:?}");
    assert!((savings.lower - 20.0_f64.sqrt()).abs() < 1e-13, "{savings:?}");
    assert!((mean.savings_half_width - 20.0_f64.sqrt()).abs() < 1e-13);
}

#[test]
fn the_fractional_savings_uncertainty_of_a_portfolio() {
    // Savings 2 ± 5 and 3 ± 10 add up to 5 ± √125.
    let pairs = vec![
        pair("1", side(10.0, 3.0, 5.0), side(8.0, 4.0, 5.0)),
        pair("2", side(10.0, 6.0, 5.0), side(7.0, 8.0, 5.0)),
    ];
    let sum = figure("SUM", pairs.clone());
    assert_eq!(sum.fractional_savings_uncertainty(), Some(125.0_f64.sqrt() / 5.0));
    // A fraction is the same for the sum and the mean.
    assert_eq!(figure("MEAN", pairs).fractional_savings_uncertainty(), Some(125.0_f64.sqrt() / 5.0));

    let nothing_saved = vec![pair("1", side(10.0, 3.0, 5.0), side(10.0, 4.0, 5.0))];
    assert_eq!(figure("SUM", nothing_saved).fractional_savings_uncertainty(), None);
}

#[test]
fn bounds_cross_in_a_difference() {
    let baseline = Estimate { value: 10.0, lower: 3.0, upper: 6.0, n: 5.0 };
    let reporting = Estimate { value: 7.0, lower: 8.0, upper: 4.0, n: 6.0 };
    let sum = figure("SUM", vec![pair("1", baseline.into(), reporting.into())]);
    assert_eq!(
        sum.savings(Direction::BaselineMinusReporting),
        Estimate { value: 3.0, lower: 5.0, upper: 10.0, n: 11.0 }
    );
    assert_eq!(
        sum.savings(Direction::ReportingMinusBaseline),
        Estimate { value: -3.0, lower: 10.0, upper: 5.0, n: 11.0 }
    );
}

#[test]
fn more_generation_is_a_benefit() {
    assert_eq!(Direction::of("ELECTRICITY_CONSUMPTION_SUPPLIED"), Some(Direction::BaselineMinusReporting));
    assert_eq!(Direction::of("E_OSG_U"), Some(Direction::ReportingMinusBaseline));
    assert_eq!(Direction::of("WATER"), None);
}

#[test]
fn groups_have_figures_of_their_own() {
    let mut pairs = vec![
        pair("gas-1", side(10.0, 3.0, 5.0), side(10.0, 6.0, 5.0)),
        pair("oil-1", side(30.0, 1.0, 5.0), side(20.0, 2.0, 5.0)),
        pair("gas-2", side(10.0, 4.0, 5.0), side(10.0, 8.0, 5.0)),
        pair("peat-1", side(10.0, 4.0, 5.0), Side::default()),
    ];
    let by = |pairs: Vec<DerivativePair>| {
        aggregate_by(&request("SUM", pairs), |pair| {
            pair.label.split('-').next().unwrap_or_default().to_owned()
        })
        .unwrap()
    };
    let grouped = by(pairs.clone());
    assert_eq!(grouped.groups.keys().collect::<Vec<_>>(), ["gas", "oil", "peat"]);
    assert_eq!(grouped.groups["gas"].unwrap().baseline, estimate(20.0, 5.0, 10.0));
    assert_eq!(grouped.groups["oil"].unwrap().reporting, estimate(20.0, 2.0, 5.0));
    assert_eq!(grouped.groups["peat"], None);
    assert_eq!(grouped.total, aggregate(&request("SUM", pairs.clone())).unwrap());

    // The order of groups is that of their keys, whatever the order of pairs.
    pairs.rotate_left(1);
    assert_eq!(by(pairs).groups.keys().collect::<Vec<_>>(), ["gas", "oil", "peat"]);
}

#[test]
fn requests_and_results_are_stored_and_read_again() {
    let mut pairs = vec![
        pair("1", side(10.0, 3.0, 5.0), side(10.0, 6.0, 5.0)),
        pair("2", Side::default(), side(1.0 / 3.0, 8.0, 5.0)),
    ];
    pairs[0].weight = Some(0.1);
    let request = request("WEIGHTED_MEAN", pairs);
    let text = serde_json::to_string(&request).unwrap();
    assert_eq!(serde_json::from_str::<AggregationInput>(&text).unwrap(), request);

    let portfolio = aggregate(&request).unwrap();
    let text = serde_json::to_string(&portfolio).unwrap();
    assert_eq!(text, serde_json::to_string(&aggregate(&request).unwrap()).unwrap());
    assert!(text.starts_with(r#"{"version":1,"engine_version":""#), "{text}");
    assert_eq!(serde_json::from_str::<Portfolio>(&text).unwrap(), portfolio);
    let newer = text.replacen(r#""version":1"#, r#""version":2"#, 1);
    let error = serde_json::from_str::<Portfolio>(&newer).unwrap_err();
    assert!(error.to_string().starts_with("format version 2 can't be read"));
}

/// Bounds of 3 and 4 are 5 together, biases of 1 and 2 are 3: the portfolio's savings are known to 8.
#[test]
fn a_bias_adds_up_while_bounds_average_out() {
    let biased = |label: &str, bound: f64, bias: f64| DerivativePair {
        savings_bias: Some(bias),
        ..pair(label, side(10.0, bound, 5.0), side(8.0, 0.0, 5.0))
    };
    let sum = figure("SUM", vec![biased("1", 3.0, 1.0), biased("2", 4.0, 2.0), biased("3", 0.0, f64::NAN)]);
    assert_eq!((sum.savings_half_width, sum.savings_bias, sum.savings_bound()), (5.0, 3.0, 8.0));
    let mean = figure("MEAN", vec![biased("1", 3.0, 1.0), biased("2", 4.0, -2.0)]);
    assert_eq!((mean.savings_bias, mean.savings_bound()), (-0.5, 3.0));
}

/// From traces to one figure.
#[test]
fn runs_become_members() {
    let meters = ["il-electricity-cdd-hdd-daily", "il-electricity-cdd-only-daily"];
    let readings = meters.map(readings);
    let results = readings.each_ref().map(|readings| {
        run(RunInput {
            readings,
            interpretation: Interpretation::ElectricityConsumptionSupplied,
            unit: EnergyUnit::Kwh,
            weather: weather(),
            normal_year: None,
            baseline_end: baseline_end(),
            reporting_start: reporting_start(),
            settings: RunSettings::new(Mode::Strict),
        })
        .result
    });
    let name = DerivativeInterpretation::MeteredSavings;
    let member = |(meter, result): (&str, &RunResult)| {
        let derivative =
            result.derivatives.iter().find(|pair| pair.derivative_interpretation == name).unwrap();
        DerivativePair::of_run(meter.to_owned(), derivative)
    };
    let input = AggregationInput {
        aggregation_interpretation: "SUM".into(),
        trace_interpretation: "ELECTRICITY_CONSUMPTION_SUPPLIED".into(),
        derivative_interpretation: "metered_savings".into(),
        baseline_default: None,
        reporting_default: None,
        pairs: meters.into_iter().zip(&results).map(member).collect(),
    };
    let portfolio = aggregate(&input).unwrap();
    let figure = portfolio.figure.unwrap();
    assert_eq!(portfolio.unit.as_deref(), Some("KWH"));
    let savings = results.map(|result| result.metered_savings.unwrap());
    let sum: f64 = savings.iter().map(|savings| savings.metered_savings).sum();
    let bias: f64 = savings.iter().map(|savings| savings.bias.unwrap()).sum();
    let half_width = savings[0].bound.unwrap().hypot(savings[1].bound.unwrap());
    let found = figure.savings(Direction::BaselineMinusReporting);
    for (found, expected) in [(found.value, sum), (found.lower, half_width), (figure.savings_bias, bias)] {
        assert!((found - expected).abs() <= 1e-9 * sum.abs(), "{found} instead of {expected}");
    }
    assert!((figure.savings_bound() - half_width - bias.abs()).abs() <= 1e-9 * half_width);
}
