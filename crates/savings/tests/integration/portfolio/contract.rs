//! The aggregator and the deserialiser, case by case.

use serde_json::{Value, json};
use sheaf_savings::portfolio::{
    AggregationError, AggregationInput, DerivativePair, Estimate, Field, InputError, PairStatus, Portfolio,
    Side, SideProblem, SideStatus, aggregate,
};

use super::{estimate, pair, request, side};

const NOTHING: Side = Side { value: None, lower: None, upper: None, n: None };

/// The two pairs that the cases start from: 10±3(5) | 10±6(5) and 10±4(5) | 10±8(5).
fn basic() -> Vec<DerivativePair> {
    vec![
        pair("1", side(10.0, 3.0, 5.0), side(10.0, 6.0, 5.0)),
        pair("2", side(10.0, 4.0, 5.0), side(10.0, 8.0, 5.0)),
    ]
}

/// Status of baseline, reporting and pair, by position.
fn statuses(portfolio: &Portfolio) -> Vec<(SideStatus, SideStatus, PairStatus)> {
    portfolio
        .members
        .iter()
        .map(|member| (member.baseline.status, member.reporting.status, member.status))
        .collect()
}

fn sides(portfolio: &Portfolio) -> (Estimate, Estimate) {
    let figure = portfolio.figure.unwrap();
    (figure.baseline, figure.reporting)
}

const ACCEPTED: (SideStatus, SideStatus, PairStatus) =
    (SideStatus::Accepted, SideStatus::Accepted, PairStatus::Accepted);

#[test]
fn two_whole_pairs() {
    let portfolio = aggregate(&request("SUM", basic())).unwrap();
    assert_eq!(statuses(&portfolio), [ACCEPTED, ACCEPTED]);
    assert_eq!(sides(&portfolio), (estimate(20.0, 5.0, 10.0), estimate(20.0, 10.0, 10.0)));
    assert_eq!(portfolio.figure.unwrap().members, 2);
}

#[test]
fn the_output_has_the_keys_of_the_contract_in_their_order() {
    let portfolio = aggregate(&request("SUM", basic())).unwrap();
    let side = |bound: &str| {
        format!(
            r#"{{"label":null,"value":20.0,"lower":{bound},"upper":{bound},"n":10.0,"demand_fixture":null}}"#
        )
    };
    let status = r#"{"baseline_status":"ACCEPTED","reporting_status":"ACCEPTED","status":"ACCEPTED"}"#;
    assert_eq!(
        serde_json::to_string(&portfolio.contract()).unwrap(),
        format!(
            concat!(
                r#"{{"aggregated":{{"label":null,"derivative_interpretation":"annualized_weather_normal","#,
                r#""trace_interpretation":"NATURAL_GAS_CONSUMPTION_SUPPLIED","unit":"therm","#,
                r#""baseline":{},"reporting":{}}},"aggregation_interpretation":"SUM","#,
                r#""derivative_interpretation":"annualized_weather_normal","#,
                r#""trace_interpretation":"NATURAL_GAS_CONSUMPTION_SUPPLIED","unit":"therm","#,
                r#""status":{{"1":{},"2":{}}}}}"#
            ),
            side("5.0"),
            side("10.0"),
            status,
            status
        )
    );
}

#[test]
fn no_pair() {
    assert_eq!(aggregate(&request("SUM", vec![])).unwrap_err(), AggregationError::Empty);
}

#[test]
fn one_pair_keeps_its_numbers() {
    // The square of the bounds is beyond the range of floats in one direction or the other, and a negative one has a sign.
    let odd = Side { value: Some(-0.0), lower: Some(-1.0e-170), upper: Some(1.0e-170), n: Some(0.5) };
    let portfolio = aggregate(&request("SUM", vec![pair("1", odd, side(10.0, 6.0, 5.0))])).unwrap();
    assert_eq!(statuses(&portfolio), [ACCEPTED]);
    let (baseline, reporting) = sides(&portfolio);
    assert_eq!(Side::from(baseline), odd);
    assert!(baseline.value.is_sign_negative());
    assert_eq!(reporting, estimate(10.0, 6.0, 5.0));
}

#[test]
fn pairs_that_differ_in_what_they_are() {
    let mut pairs = basic();
    pairs[1].derivative_interpretation = Some("gross_predicted".to_owned());
    pairs[1].trace_interpretation = Some("ELECTRICITY_CONSUMPTION_SUPPLIED".to_owned());
    pairs[1].unit = Some("kWh".to_owned());

    let error = aggregate(&request("SUM", pairs.clone())).unwrap_err();
    assert!(matches!(error, AggregationError::DerivativeInterpretationDiffers { .. }));
    assert_eq!(
        error.to_string(),
        "derivative_interpretation of pair `2` is gross_predicted, but annualized_weather_normal is asked for"
    );

    pairs[1].derivative_interpretation = Some("annualized_weather_normal".to_owned());
    let error = aggregate(&request("SUM", pairs.clone())).unwrap_err();
    assert!(matches!(error, AggregationError::TraceInterpretationDiffers { .. }));
    assert!(error.to_string().contains("ELECTRICITY_CONSUMPTION_SUPPLIED"));
    assert!(error.to_string().contains("NATURAL_GAS_CONSUMPTION_SUPPLIED"));

    pairs[1].trace_interpretation = Some("NATURAL_GAS_CONSUMPTION_SUPPLIED".to_owned());
    let error = aggregate(&request("SUM", pairs.clone())).unwrap_err();
    assert_eq!(error.to_string(), "unit of pair `2` is kWh, but the first pair has therm");

    pairs[1].unit = None;
    let error = aggregate(&request("SUM", pairs.clone())).unwrap_err();
    assert_eq!(error.to_string(), "unit of pair `2` is null, but the first pair has therm");

    pairs[0].unit = None;
    assert_eq!(aggregate(&request("SUM", pairs)).unwrap().unit, None);
}

#[test]
fn the_derivatives_of_all_pairs_are_checked_before_the_first_trace() {
    let mut pairs = basic();
    pairs[0].trace_interpretation = Some("ELECTRICITY_CONSUMPTION_SUPPLIED".to_owned());
    pairs[1].derivative_interpretation = None;
    let error = aggregate(&request("SUM", pairs)).unwrap_err();
    assert!(matches!(error, AggregationError::DerivativeInterpretationDiffers { label, .. } if label == "2"));
}

#[test]
fn a_side_without_numbers_rejects_its_pair() {
    let mut pairs = basic();
    pairs[0].baseline = NOTHING;
    let portfolio = aggregate(&request("SUM", pairs)).unwrap();
    assert_eq!(
        statuses(&portfolio),
        [(SideStatus::Rejected, SideStatus::Accepted, PairStatus::Rejected), ACCEPTED]
    );
    assert_eq!(portfolio.members[0].baseline.problem, Some(SideProblem::Missing { field: Field::Value }));
    assert_eq!(sides(&portfolio), (estimate(10.0, 4.0, 5.0), estimate(10.0, 8.0, 5.0)));
}

#[test]
fn a_default_stands_for_the_baseline() {
    let mut pairs = basic();
    pairs[0].baseline = NOTHING;
    let mut request = request("SUM", pairs);
    request.baseline_default = Some(side(0.0, 0.0, 0.0));
    let portfolio = aggregate(&request).unwrap();
    assert_eq!(
        statuses(&portfolio),
        [(SideStatus::Default, SideStatus::Accepted, PairStatus::Accepted), ACCEPTED]
    );
    assert_eq!(sides(&portfolio), (estimate(10.0, 4.0, 5.0), estimate(20.0, 10.0, 10.0)));
}

#[test]
fn a_default_stands_for_the_reporting_side() {
    let mut pairs = basic();
    pairs[1].reporting = NOTHING;
    let mut request = request("SUM", pairs);
    request.reporting_default = Some(side(0.0, 0.0, 0.0));
    let portfolio = aggregate(&request).unwrap();
    assert_eq!(
        statuses(&portfolio),
        [ACCEPTED, (SideStatus::Accepted, SideStatus::Default, PairStatus::Accepted)]
    );
    assert_eq!(sides(&portfolio), (estimate(20.0, 5.0, 10.0), estimate(10.0, 6.0, 5.0)));
}

#[test]
fn a_default_without_numbers_makes_nothing_valid() {
    let mut pairs = basic();
    pairs[0].baseline = NOTHING;
    let mut request = request("SUM", pairs);
    request.baseline_default = Some(NOTHING);
    let portfolio = aggregate(&request).unwrap();
    assert_eq!(portfolio.members[0].baseline.status, SideStatus::Rejected);
    assert_eq!(
        portfolio.members[0].baseline.problem,
        Some(SideProblem::DefaultIncomplete { field: Field::Value })
    );
}

#[test]
fn a_nan_is_rejected_with_its_reason() {
    let mut pairs = basic();
    pairs[0].reporting.upper = Some(f64::NAN);
    pairs[1].baseline.n = Some(f64::INFINITY);
    let portfolio = aggregate(&request("SUM", pairs)).unwrap();
    assert_eq!(portfolio.figure, None);
    assert_eq!(serde_json::to_value(portfolio.contract()).unwrap()["aggregated"], Value::Null);
    assert_eq!(
        serde_json::to_value(&portfolio.members).unwrap(),
        json!([
            { "label": "1", "baseline": { "status": "ACCEPTED" },
              "reporting": { "status": "REJECTED", "problem": { "code": "not_finite", "field": "upper" } },
              "status": "REJECTED" },
            { "label": "2", "baseline": { "status": "REJECTED", "problem": { "code": "not_finite", "field": "n" } },
              "reporting": { "status": "ACCEPTED" }, "status": "REJECTED" },
        ])
    );
}

#[test]
fn a_label_occurs_once() {
    let mut pairs = basic();
    pairs[1].label = "1".to_owned();
    let error = aggregate(&request("SUM", pairs)).unwrap_err();
    assert_eq!(
        serde_json::to_value(&error).unwrap(),
        json!({ "code": "duplicate_label", "data": { "label": "1" } })
    );
}

#[test]
fn a_sum_beyond_the_range_of_floats() {
    let huge = side(f64::MAX, 1.0, 1.0);
    let pairs = vec![pair("1", huge, huge), pair("2", huge, huge)];
    assert_eq!(aggregate(&request("SUM", pairs)).unwrap_err(), AggregationError::OutOfRange { members: 2 });
}

fn base_input() -> Value {
    serde_json::from_str(include_str!("../../../reference/portfolio/base_input.json")).unwrap()
}

/// The message for the base input after a change.
fn message(change: impl FnOnce(&mut Value)) -> String {
    let mut input = base_input();
    change(&mut input);
    AggregationInput::from_json(&input).unwrap_err().to_string()
}

fn remove(input: &mut Value, key: &str) {
    input.as_object_mut().unwrap().remove(key).unwrap();
}

#[test]
fn the_base_input_is_read_and_summed() {
    let input = AggregationInput::from_json(&base_input()).unwrap();
    assert_eq!(input.aggregation_interpretation, "SUM");
    assert_eq!(input.trace_interpretation, "ELECTRICITY_CONSUMPTION_SUPPLIED");
    assert_eq!(input.derivative_interpretation, "annualized_weather_normal");
    assert_eq!((input.baseline_default, input.reporting_default), (None, None));
    assert_eq!(input.pairs.iter().map(|pair| pair.label.as_str()).collect::<Vec<_>>(), ["1", "3"]);

    let (baseline, _) = sides(&aggregate(&input).unwrap());
    assert_eq!(baseline.value, 25.5347387052726);
    assert_eq!(baseline.lower, (2.0 * 6.64513428655014_f64 * 6.64513428655014).sqrt());
    assert_eq!(baseline.n, 730.0);
}

#[test]
fn the_type_comes_first() {
    assert!(message(|input| remove(input, "type")).starts_with("Serialization \"type\""));
    assert!(message(|input| input["type"] = Value::Null).starts_with("Serialization \"type\""));
    assert!(message(|input| *input = json!({})).starts_with("Serialization \"type\""));
    assert!(message(|input| input["type"] = json!("UNKNOWN")).starts_with("Serialization type \"UNKNOWN\""));
}

#[test]
fn then_the_parts() {
    for key in
        ["aggregation_interpretation", "trace_interpretation", "derivative_interpretation", "derivatives"]
    {
        let absent = message(|input| remove(input, key));
        assert!(absent.starts_with("For serialization") && absent.contains(key), "{absent}");
        assert_eq!(message(|input| input[key] = Value::Null), absent);
    }
    // Several at once: the first in the order of the contract is named.
    let first = message(|input| *input = json!({ "type": "BASIC_AGGREGATION", "trace_interpretation": "X" }));
    assert!(first.contains("aggregation_interpretation"));
}

#[test]
fn then_the_defaults() {
    for key in ["baseline_default_value", "reporting_default_value"] {
        assert!(message(|input| input[key] = json!({})).starts_with("Serialization"));
        assert!(message(|input| input[key] = json!({ "type": "Unknown" })).starts_with("Serialization"));
        let lacking = message(|input| {
            input[key] = json!({ "type": "SIMPLE_DEFAULT", "value": null, "lower": null, "upper": null });
        });
        assert!(lacking.starts_with("Missing") && lacking.contains("\"n\""), "{lacking}");
        // The default of the baseline is looked at before the derivatives, that of the reporting side too.
        assert!(
            message(|input| {
                input[key] = json!({});
                input["derivatives"] = json!({});
            })
            .contains(key)
        );

        let mut input = base_input();
        input[key] =
            json!({ "type": "SIMPLE_DEFAULT", "value": null, "lower": null, "upper": null, "n": null });
        let read = AggregationInput::from_json(&input).unwrap();
        let default = if key.starts_with('b') { read.baseline_default } else { read.reporting_default };
        assert_eq!(default, Some(NOTHING));
    }
}

#[test]
fn then_the_pairs() {
    assert!(message(|input| input["derivatives"] = json!({})).starts_with("Serialization"));
    assert!(
        message(|input| input["derivatives"] = json!({ "type": "Unknown" })).starts_with("Serialization")
    );
    assert!(
        message(|input| input["derivatives"] = json!({ "type": "DERIVATIVE_PAIRS" }))
            .starts_with("For serialization")
    );
    let keys = base_input()["derivatives"]["derivative_pairs"][1].as_object().unwrap().clone();
    assert_eq!(keys.len(), 12);
    for key in keys.keys() {
        let absent = message(|input| remove(&mut input["derivatives"]["derivative_pairs"][1], key));
        assert_eq!(absent, format!("Missing key \"{key}\" in derivative_pairs[1]"));
        if key != "label" {
            let mut input = base_input();
            input["derivatives"]["derivative_pairs"][1][key] = Value::Null;
            assert!(AggregationInput::from_json(&input).is_ok(), "{key} may be null");
        }
    }
}

#[test]
fn values_of_the_wrong_type() {
    assert_eq!(message(|input| *input = json!([])), "aggregation_input must be an object, got an array");
    assert_eq!(
        message(|input| input["derivatives"]["derivative_pairs"][0]["baseline_n"] = json!("365")),
        "\"baseline_n\" in derivative_pairs[0] must be a number or null, got a string"
    );
    assert_eq!(
        message(|input| input["derivatives"]["derivative_pairs"][0]["label"] = json!([1])),
        "\"label\" in derivative_pairs[0] must be a string, a number, a boolean or null, got an array"
    );
}

#[test]
fn another_word_is_read_but_not_aggregated() {
    let mut json = base_input();
    json["aggregation_interpretation"] = json!("MEDIAN");
    let input = AggregationInput::from_json(&json).unwrap();
    assert_eq!(
        aggregate(&input).unwrap_err(),
        AggregationError::UnknownMethod { found: "MEDIAN".to_owned() }
    );
}

#[test]
fn errors_have_a_code_and_data() {
    let mut json = base_input();
    json["derivatives"]["type"] = json!(5);
    let error = AggregationInput::from_json(&json).unwrap_err();
    assert!(matches!(error, InputError::TypeUnknown { .. }));
    assert_eq!(
        serde_json::to_value(&error).unwrap(),
        json!({ "code": "type_unknown",
                "data": { "object": "derivatives", "found": "5", "expected": "DERIVATIVE_PAIRS" } })
    );
}
