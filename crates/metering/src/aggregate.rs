//! Aggregation runs: one figure of many derivatives, and what became of each.
//!
//! [`Request::resolve`] says, when an aggregation is asked for, what all members are, or why they can't be added up.
//! [`compute`] does it, by the rules of [`sheaf_savings::portfolio`]; [`input_json`] and [`output_json`] are what went in and what
//! came out in the form of the OpenEEmeter aggregator. Members are known by the ids of their derivatives.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use sheaf_db::RepositoryError;
use sheaf_db::datastore::{
    AggregationDerivativeStatus, AggregationResult, AggregationRun, Datastore, FinishedAggregation, Member,
    MemberSelection, MemberStatus, NewAggregation, NewAggregationResult, NewMemberStatus, RunEnding,
};
use sheaf_savings::portfolio::{
    self, AggregationInput, DerivativePair, Direction, Estimate, Method, PairStatus, Portfolio, Side,
    SideStatus, aggregate,
};
use xxhash_rust::xxh3::Xxh3;

use crate::run::{EEMETER_VERSION, ENGINE_VERSION};

/// What is asked of an aggregation besides which derivatives go in.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// What traces are to mean, by the long name; what all members are if nothing.
    pub trace_interpretation: Option<&'a str>,
    /// What derivatives are to say; likewise.
    pub derivative_interpretation: Option<&'a str>,
    /// What is done with them: the word of a [`Method`].
    pub aggregation_interpretation: &'a str,
}

/// What all members are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// What the traces mean, by the long name.
    pub trace_interpretation: String,
    /// What the derivatives say.
    pub derivative_interpretation: String,
    /// Of all values.
    pub unit: String,
    /// What is done with them.
    pub method: Method,
}

/// Why derivatives can't be added up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// A word that is none.
    #[error("unknown aggregation_interpretation `{found}`; allowed: SUM, MEAN, INVERSE_VARIANCE_MEAN")]
    UnknownMethod {
        /// What was given.
        found: String,
    },
    /// No derivative fits.
    #[error("nothing to aggregate: no derivative of a successful run fits")]
    Nothing,
    /// The members differ in what they are.
    #[error("the derivatives differ in {field}: {}; name one of them", found.join(", "))]
    Differ {
        /// `trace_interpretation` or `derivative_interpretation`.
        field: &'static str,
        /// What there is, in order.
        found: Vec<String>,
    },
    /// The members differ in their units.
    #[error("the derivatives have different units, which can't be added up: {}", found.join(", "))]
    Units {
        /// What there is, in order.
        found: Vec<String>,
    },
}

impl Refusal {
    /// The field of the request that is to be changed; nothing if it is none of them.
    pub const fn field(&self) -> Option<&'static str> {
        match self {
            Refusal::UnknownMethod { .. } => Some("aggregation_interpretation"),
            Refusal::Differ { field, .. } => Some(field),
            Refusal::Nothing | Refusal::Units { .. } => None,
        }
    }
}

impl Request<'_> {
    /// What a run asks for.
    fn of(run: &AggregationRun) -> Request<'_> {
        Request {
            trace_interpretation: run.trace_interpretation.as_deref(),
            derivative_interpretation: run.derivative_interpretation.as_deref(),
            aggregation_interpretation: &run.aggregation_interpretation,
        }
    }

    /// What all members are. They have been selected by the interpretations that are given.
    ///
    /// # Errors
    /// There are no members, they differ in what they are, or nobody knows what is to be done with them.
    pub fn resolve(&self, members: &[Member]) -> Result<Resolved, Refusal> {
        let found = || Refusal::UnknownMethod { found: self.aggregation_interpretation.to_owned() };
        // Derivatives have no weights of their own.
        let known =
            Method::of(self.aggregation_interpretation).filter(|method| *method != Method::WeightedMean);
        let method = known.ok_or_else(found)?;
        if members.is_empty() {
            return Err(Refusal::Nothing);
        }
        let one = |field, given: Option<&str>, of: fn(&Member) -> &String| {
            let found: BTreeSet<&String> = members.iter().map(of).collect();
            match (given, found.len()) {
                (Some(given), _) => Ok(given.to_owned()),
                (None, 1) => Ok(of(&members[0]).clone()),
                (None, _) => Err(Refusal::Differ { field, found: found.into_iter().cloned().collect() }),
            }
        };
        let derivative_interpretation =
            one("derivative_interpretation", self.derivative_interpretation, |member| {
                &member.interpretation
            })?;
        let trace_interpretation =
            one("trace_interpretation", self.trace_interpretation, |member| &member.trace_interpretation)?;
        let units: BTreeSet<&String> = members.iter().map(|member| &member.unit).collect();
        if units.len() > 1 {
            return Err(Refusal::Units { found: units.into_iter().cloned().collect() });
        }
        let unit = members[0].unit.clone();
        Ok(Resolved { trace_interpretation, derivative_interpretation, unit, method })
    }
}

/// What a request may say in its options.
#[derive(Clone, Debug, Default, Deserialize)]
struct Options {
    #[serde(default)]
    baseline_default_value: Option<DefaultValue>,
    #[serde(default)]
    reporting_default_value: Option<DefaultValue>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct DefaultValue {
    value: Option<f64>,
    lower: Option<f64>,
    upper: Option<f64>,
    n: Option<f64>,
}

impl From<DefaultValue> for Side {
    fn from(DefaultValue { value, lower, upper, n }: DefaultValue) -> Side {
        Side { value, lower, upper, n }
    }
}

/// Which derivatives an aggregation run takes.
///
/// # Errors
/// The database fails.
pub async fn selection_of(
    datastore: &Datastore,
    run: &AggregationRun,
) -> Result<MemberSelection, RepositoryError> {
    let new = NewAggregation {
        projects: run.projects.0.clone(),
        traces: run.traces.0.clone(),
        derivatives: run.derivatives.0.clone(),
        group_id: run.group_id,
        trace_interpretation: run.trace_interpretation.clone(),
        trace_interpretation_given: None,
        derivative_interpretation: run.derivative_interpretation.clone(),
        derivative_interpretation_given: None,
        aggregation_interpretation: run.aggregation_interpretation.clone(),
        all_runs: run.all_runs,
        options: run.options.clone(),
    };
    selection(datastore, &new).await
}

/// Which derivatives an aggregation takes that is asked for. A group has those traces that belong to it now.
pub(crate) async fn selection(
    datastore: &Datastore,
    run: &NewAggregation,
) -> Result<MemberSelection, RepositoryError> {
    let mut traces = run.traces.clone();
    if let Some(group) = run.group_id {
        traces.extend(datastore.group_members(group).await?.unwrap_or_default());
    }
    Ok(MemberSelection {
        projects: run.projects.clone(),
        traces,
        derivatives: run.derivatives.clone(),
        trace_interpretation: run.trace_interpretation.clone(),
        derivative_interpretation: run.derivative_interpretation.clone(),
        all_runs: run.all_runs,
    })
}

/// The aggregator's input.
fn input_of(run: &AggregationRun, resolved: &Resolved, members: &[Member]) -> AggregationInput {
    let options: Options = serde_json::from_str(&run.options).unwrap_or_default();
    // A house that makes electricity since the intervention made none before: datastores asked for one side only.
    let is_unconsumed = resolved.trace_interpretation == "ELECTRICITY_ON_SITE_GENERATION_UNCONSUMED";
    let zeros = Side { value: Some(0.0), lower: Some(0.0), upper: Some(0.0), n: Some(0.0) };
    let pair = |member: &Member| DerivativePair {
        label: member.id.to_string(),
        derivative_interpretation: Some(member.interpretation.clone()),
        trace_interpretation: Some(member.trace_interpretation.clone()),
        unit: Some(member.unit.clone()),
        baseline: Side {
            value: member.baseline_value,
            lower: member.baseline_lower,
            upper: member.baseline_upper,
            n: member.baseline_n,
        },
        reporting: Side {
            value: member.reporting_value,
            lower: member.reporting_lower,
            upper: member.reporting_upper,
            n: member.reporting_n,
        },
        weight: None,
        savings_bias: None,
    };
    AggregationInput {
        aggregation_interpretation: resolved.method.word().to_owned(),
        trace_interpretation: resolved.trace_interpretation.clone(),
        derivative_interpretation: resolved.derivative_interpretation.clone(),
        baseline_default: options.baseline_default_value.map(Side::from).or(is_unconsumed.then_some(zeros)),
        reporting_default: options.reporting_default_value.map(Side::from),
        pairs: members.iter().map(pair).collect(),
    }
}

/// XXH3-128 of an input and the version of the arithmetic, in hexadecimal.
fn hash_of(input: &Value) -> String {
    let mut hash = Xxh3::new();
    hash.update(ENGINE_VERSION.as_bytes());
    hash.update(input.to_string().as_bytes());
    format!("{:032x}", hash.digest128())
}

/// Computes an aggregation of members, which come by id.
pub fn compute(run: &AggregationRun, members: &[Member]) -> FinishedAggregation {
    let failed = |message: String, input_hash| FinishedAggregation {
        id: run.id,
        ending: RunEnding::Failed,
        failure_message: Some(message),
        traceback: None,
        input_hash,
        result: None,
    };
    let resolved = match Request::of(run).resolve(members) {
        Ok(resolved) => resolved,
        Err(refusal) => return failed(refusal.to_string(), None),
    };
    let input = input_of(run, &resolved, members);
    let input_hash = Some(hash_of(&json_of(&input)));
    let portfolio = match aggregate(&input) {
        Ok(portfolio) => portfolio,
        Err(error) => return failed(error.to_string(), input_hash),
    };
    FinishedAggregation {
        id: run.id,
        ending: RunEnding::Success,
        failure_message: None,
        traceback: None,
        input_hash,
        result: Some(Box::new(result_of(&portfolio, members))),
    }
}

fn result_of(portfolio: &Portfolio, members: &[Member]) -> NewAggregationResult {
    let direction =
        Direction::of(&portfolio.trace_interpretation).unwrap_or(Direction::BaselineMinusReporting);
    let figure = portfolio.figure.as_ref();
    let baseline = figure.map(|figure| figure.baseline);
    let reporting = figure.map(|figure| figure.reporting);
    let differential = figure.map(|figure| figure.savings(direction));
    let value = |side: Option<Estimate>| side.map(|side| side.value);
    let lower = |side: Option<Estimate>| side.map(|side| side.lower);
    let upper = |side: Option<Estimate>| side.map(|side| side.upper);
    let n = |side: Option<Estimate>| side.map(|side| side.n);
    let details = figure.map(|figure| {
        json!({
            "members": figure.members,
            "savings_half_width": figure.savings_half_width,
            "fractional_savings_uncertainty": figure.fractional_savings_uncertainty(),
        })
    });
    // Members are the pairs, in their order.
    let statuses = members.iter().zip(&portfolio.members).map(|(member, verdict)| NewMemberStatus {
        derivative_id: member.id,
        status: match verdict.status {
            PairStatus::Accepted => MemberStatus::Accepted,
            PairStatus::Rejected => MemberStatus::Rejected,
        },
        baseline_status: status_of(&verdict.baseline),
        reporting_status: status_of(&verdict.reporting),
    });
    NewAggregationResult {
        trace_interpretation: Some(portfolio.trace_interpretation.clone()),
        derivative_interpretation: Some(portfolio.derivative_interpretation.clone()),
        aggregation_interpretation: portfolio.method.word().to_owned(),
        eemeter_version: Some(EEMETER_VERSION.to_owned()),
        datastore_version: Some(ENGINE_VERSION.to_owned()),
        unit: portfolio.unit.clone(),
        baseline_value: value(baseline),
        baseline_lower: lower(baseline),
        baseline_upper: upper(baseline),
        baseline_n: n(baseline),
        reporting_value: value(reporting),
        reporting_lower: lower(reporting),
        reporting_upper: upper(reporting),
        reporting_n: n(reporting),
        differential_direction: serde_json::to_value(direction)
            .ok()
            .and_then(|word| word.as_str().map(str::to_owned)),
        differential_value: value(differential),
        differential_lower: lower(differential),
        differential_upper: upper(differential),
        differential_n: n(differential),
        engine_version: Some(ENGINE_VERSION.to_owned()),
        warnings: None,
        details: details.map(|details| details.to_string()),
        statuses: statuses.collect(),
    }
}

fn status_of(verdict: &portfolio::SideVerdict) -> MemberStatus {
    match verdict.status {
        SideStatus::Accepted => MemberStatus::Accepted,
        SideStatus::Default => MemberStatus::Default,
        SideStatus::Rejected => MemberStatus::Rejected,
    }
}

/// The members of an aggregation are not what they were: some were deleted, or have other numbers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the derivatives that were aggregated are gone or have changed; their hash was {hash}")]
pub struct Gone {
    /// The hash of what went in.
    pub hash: String,
}

/// What an aggregation run that has not ended would be made from, if it began now.
///
/// # Errors
/// These derivatives can't be aggregated.
pub fn pending_input_json(run: &AggregationRun, members: &[Member]) -> Result<Value, Refusal> {
    Ok(json_of(&input_of(run, &Request::of(run).resolve(members)?, members)))
}

/// The input of an aggregation that is done, from its members as they are now.
///
/// # Errors
/// They are not what they were.
pub fn input_json(
    run: &AggregationRun,
    result: &AggregationResult,
    members: &[Member],
) -> Result<Value, Gone> {
    let hash = result.input_hash.clone().unwrap_or_default();
    let request = Request {
        trace_interpretation: result.trace_interpretation.as_deref(),
        derivative_interpretation: result.derivative_interpretation.as_deref(),
        aggregation_interpretation: &result.aggregation_interpretation,
    };
    let resolved = request.resolve(members).map_err(|_| Gone { hash: hash.clone() })?;
    let json = json_of(&input_of(run, &resolved, members));
    if hash_of(&json) == hash { Ok(json) } else { Err(Gone { hash }) }
}

/// An input in the form of the OpenEEmeter aggregator; labels are the ids of derivatives.
fn json_of(input: &AggregationInput) -> Value {
    let default = |side: Option<Side>| {
        side.map(|side| {
            json!({
                "type": "SIMPLE_DEFAULT",
                "value": side.value, "lower": side.lower, "upper": side.upper, "n": side.n,
            })
        })
    };
    let pair = |pair: &DerivativePair| {
        json!({
            "label": pair.label.parse::<i64>().ok(),
            "derivative_interpretation": pair.derivative_interpretation,
            "trace_interpretation": pair.trace_interpretation,
            "unit": pair.unit,
            "baseline_value": pair.baseline.value,
            "baseline_lower": pair.baseline.lower,
            "baseline_upper": pair.baseline.upper,
            "baseline_n": pair.baseline.n,
            "reporting_value": pair.reporting.value,
            "reporting_lower": pair.reporting.lower,
            "reporting_upper": pair.reporting.upper,
            "reporting_n": pair.reporting.n,
        })
    };
    json!({
        "type": "BASIC_AGGREGATION",
        "aggregation_interpretation": input.aggregation_interpretation,
        "trace_interpretation": input.trace_interpretation,
        "derivative_interpretation": input.derivative_interpretation,
        "baseline_default_value": default(input.baseline_default),
        "reporting_default_value": default(input.reporting_default),
        "derivatives": {
            "type": "DERIVATIVE_PAIRS",
            "derivative_pairs": input.pairs.iter().map(pair).collect::<Vec<_>>(),
        },
    })
}

/// What came of an aggregation, in the form of the OpenEEmeter aggregator.
pub fn output_json(result: &AggregationResult, statuses: &[AggregationDerivativeStatus]) -> Value {
    let side = |[value, lower, upper, n]: [Option<f64>; 4]| json!({ "label": null, "value": value, "lower": lower, "upper": upper, "n": n, "demand_fixture": null });
    let aggregated = result.baseline_value.map(|_| {
        json!({
            "label": null,
            "derivative_interpretation": result.derivative_interpretation,
            "trace_interpretation": result.trace_interpretation,
            "unit": result.unit,
            "baseline": side([
                result.baseline_value, result.baseline_lower, result.baseline_upper, result.baseline_n,
            ]),
            "reporting": side([
                result.reporting_value, result.reporting_lower, result.reporting_upper, result.reporting_n,
            ]),
        })
    });
    let status: Map<String, Value> = statuses
        .iter()
        .map(|status| {
            let json = json!({
                "baseline_status": status.baseline_status.word(),
                "reporting_status": status.reporting_status.word(),
                "status": status.status.word(),
            });
            (status.derivative_id.to_string(), json)
        })
        .collect();
    json!({
        "aggregated": aggregated,
        "aggregation_interpretation": result.aggregation_interpretation,
        "derivative_interpretation": result.derivative_interpretation,
        "trace_interpretation": result.trace_interpretation,
        "unit": result.unit,
        "status": status,
    })
}

#[cfg(test)]
mod tests {
    use sheaf_db::datastore::{Ids, Micros, RunStatus};

    use super::*;

    const GAS: &str = "NATURAL_GAS_CONSUMPTION_SUPPLIED";
    const NORMAL: &str = "annualized_weather_normal";

    fn run() -> AggregationRun {
        AggregationRun {
            id: 7,
            aggregation_input: None,
            status: RunStatus::Running,
            failure_message: None,
            traceback: None,
            trace_interpretation: None,
            derivative_interpretation: None,
            aggregation_interpretation: "SUM".to_owned(),
            group_id: None,
            added: Micros(0),
            updated: Micros(0),
            batch_id: 1,
            priority: 0,
            attempt: 1,
            holder: 1,
            until: Micros(0),
            cancel_requested: false,
            started: None,
            finished: None,
            trace_interpretation_given: None,
            derivative_interpretation_given: None,
            all_runs: false,
            input_hash: None,
            options: "{}".to_owned(),
            projects: Ids::default(),
            traces: Ids::default(),
            derivatives: Ids::default(),
        }
    }

    /// A member of so many therms; a side is a value, both bounds, and how many points.
    fn member(id: i64, baseline: Option<[f64; 3]>, reporting: Option<[f64; 3]>) -> Member {
        let of = |side: Option<[f64; 3]>, index: usize| side.map(|side| side[index]);
        Member {
            id,
            trace_interpretation: GAS.to_owned(),
            interpretation: NORMAL.to_owned(),
            unit: "THERM".to_owned(),
            baseline_value: of(baseline, 0),
            baseline_lower: of(baseline, 1),
            baseline_upper: of(baseline, 1),
            baseline_n: of(baseline, 2),
            reporting_value: of(reporting, 0),
            reporting_lower: of(reporting, 1),
            reporting_upper: of(reporting, 1),
            reporting_n: of(reporting, 2),
        }
    }

    const FIRST: [Option<[f64; 3]>; 2] = [Some([10.0, 3.0, 5.0]), Some([10.0, 6.0, 5.0])];
    const SECOND: [Option<[f64; 3]>; 2] = [Some([10.0, 4.0, 5.0]), Some([10.0, 8.0, 5.0])];

    fn pairs(first: [Option<[f64; 3]>; 2], second: [Option<[f64; 3]>; 2]) -> Vec<Member> {
        vec![member(1, first[0], first[1]), member(2, second[0], second[1])]
    }

    fn sides(result: &NewAggregationResult) -> [[Option<f64>; 4]; 2] {
        [
            [result.baseline_value, result.baseline_lower, result.baseline_upper, result.baseline_n],
            [result.reporting_value, result.reporting_lower, result.reporting_upper, result.reporting_n],
        ]
    }

    fn statuses(result: &NewAggregationResult) -> Vec<[&'static str; 3]> {
        let words = |status: &NewMemberStatus| {
            [status.status.word(), status.baseline_status.word(), status.reporting_status.word()]
        };
        result.statuses.iter().map(words).collect()
    }

    /// Cases and numbers of the tests of the OpenEEmeter aggregator.
    #[test]
    fn sums_are_those_of_the_aggregator() {
        const YES: [&str; 3] = ["ACCEPTED"; 3];
        let zero = r#"{"value": 0, "lower": 0, "upper": 0, "n": 0}"#;
        let baseline_default = format!(r#"{{"baseline_default_value": {zero}}}"#);
        let reporting_default = format!(r#"{{"reporting_default_value": {zero}}}"#);
        let without = [None, FIRST[1]];
        for (first, second, options, expected, first_status, second_status) in [
            (FIRST, SECOND, "{}", [[20.0, 5.0, 10.0], [20.0, 10.0, 10.0]], YES, YES),
            (
                without,
                SECOND,
                "{}",
                [[10.0, 4.0, 5.0], [10.0, 8.0, 5.0]],
                ["REJECTED", "REJECTED", "ACCEPTED"],
                YES,
            ),
            (
                without,
                SECOND,
                &baseline_default,
                [[10.0, 4.0, 5.0], [20.0, 10.0, 10.0]],
                ["ACCEPTED", "DEFAULT", "ACCEPTED"],
                YES,
            ),
            (
                FIRST,
                [SECOND[0], None],
                &reporting_default,
                [[20.0, 5.0, 10.0], [10.0, 6.0, 5.0]],
                YES,
                ["ACCEPTED", "ACCEPTED", "DEFAULT"],
            ),
        ] {
            let run = AggregationRun { options: options.to_owned(), ..run() };
            let finished = compute(&run, &pairs(first, second));
            assert_eq!((finished.id, finished.ending), (7, RunEnding::Success));
            let result = finished.result.unwrap();
            let expected = expected.map(|[value, bound, n]| [Some(value), Some(bound), Some(bound), Some(n)]);
            assert_eq!(sides(&result), expected);
            assert_eq!(statuses(&result), [first_status, second_status]);
        }
    }

    #[test]
    fn one_member_stays_as_it_is_and_none_accepted_is_no_figure() {
        let result = compute(&run(), &[member(1, FIRST[0], FIRST[1])]).result.unwrap();
        assert_eq!(sides(&result)[1], [Some(10.0), Some(6.0), Some(6.0), Some(5.0)]);
        assert_eq!(result.differential_direction.as_deref(), Some("BASELINE_MINUS_REPORTING"));
        assert_eq!((result.differential_value, result.differential_n), (Some(0.0), Some(10.0)));
        assert_eq!(result.differential_lower, Some(45.0_f64.sqrt()));
        let finished = compute(&run(), &[member(1, None, FIRST[1])]);
        assert_eq!(finished.ending, RunEnding::Success);
        assert_eq!(sides(&finished.result.unwrap()), [[None; 4]; 2]);
    }

    #[test]
    fn what_can_not_be_added_up_is_refused_with_what_there_is() {
        let request = Request {
            trace_interpretation: None,
            derivative_interpretation: None,
            aggregation_interpretation: "SUM",
        };
        let changed = |change: fn(&mut Member)| {
            let mut members = pairs(FIRST, SECOND);
            change(&mut members[1]);
            let refusal = request.resolve(&members).unwrap_err();
            let finished = compute(&run(), &members);
            assert_eq!(finished.ending, RunEnding::Failed);
            assert_eq!(finished.failure_message, Some(refusal.to_string()));
            (refusal.field(), refusal.to_string())
        };
        assert_eq!(request.resolve(&[]).unwrap_err(), Refusal::Nothing);
        assert_eq!(
            changed(|member| member.interpretation = "gross_predicted".to_owned()),
            (
                Some("derivative_interpretation"),
                "the derivatives differ in derivative_interpretation: annualized_weather_normal, gross_predicted; name one of them"
                    .to_owned()
            )
        );
        assert_eq!(
            changed(|member| member.trace_interpretation = "ELECTRICITY_CONSUMPTION_SUPPLIED".to_owned()).0,
            Some("trace_interpretation")
        );
        assert_eq!(
            changed(|member| member.unit = "KWH".to_owned()),
            (None, "the derivatives have different units, which can't be added up: KWH, THERM".to_owned())
        );
        let unknown = Request { aggregation_interpretation: "MAX", ..request };
        assert_eq!(
            unknown.resolve(&pairs(FIRST, SECOND)).unwrap_err().to_string(),
            "unknown aggregation_interpretation `MAX`; allowed: SUM, MEAN, INVERSE_VARIANCE_MEAN"
        );
    }

    /// The base input of the tests of the OpenEEmeter deserialiser; its figure is in no test of theirs.
    #[test]
    fn what_goes_in_is_what_the_aggregator_reads() {
        let base = |id| Member {
            baseline_value: Some(12.7673693526363),
            baseline_lower: Some(6.64513428655014),
            baseline_upper: Some(16.6902599327546),
            baseline_n: Some(365.0),
            reporting_value: Some(10.4456308079608),
            reporting_lower: Some(6.87143931976653),
            reporting_upper: Some(19.4891794773991),
            reporting_n: Some(365.0),
            ..member(id, None, None)
        };
        let members = [base(1), base(3)];
        let request = Request {
            trace_interpretation: None,
            derivative_interpretation: None,
            aggregation_interpretation: "SUM",
        };
        let resolved = request.resolve(&members).unwrap();
        let json = json_of(&input_of(&run(), &resolved, &members));
        assert_eq!(json["derivatives"]["derivative_pairs"][1]["label"], 3);
        let read = AggregationInput::from_json(&json).unwrap();
        assert_eq!(read, input_of(&run(), &resolved, &members));
        let result = compute(&run(), &members).result.unwrap();
        assert_eq!((result.baseline_value, result.baseline_n), (Some(25.5347387052726), Some(730.0)));
        let bound = 6.64513428655014_f64;
        assert_eq!(result.baseline_lower, Some((bound * bound + bound * bound).sqrt()));
    }

    #[test]
    fn a_house_without_a_baseline_made_no_electricity_before() {
        let mut members = vec![member(1, None, Some([5.0, 1.0, 365.0]))];
        members[0].trace_interpretation = "ELECTRICITY_ON_SITE_GENERATION_UNCONSUMED".to_owned();
        let result = compute(&run(), &members).result.unwrap();
        assert_eq!(statuses(&result), [["ACCEPTED", "DEFAULT", "ACCEPTED"]]);
        assert_eq!(result.differential_direction.as_deref(), Some("REPORTING_MINUS_BASELINE"));
        assert_eq!((result.baseline_value, result.differential_value), (Some(0.0), Some(5.0)));
    }
}
