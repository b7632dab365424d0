//! What comes out: the figure, and the status of every member.

use std::collections::BTreeMap;

use serde::ser::{SerializeMap, SerializeStruct};
use serde::{Deserialize, Serialize, Serializer};

use super::derivative::{Estimate, Field};
use super::state::{Figure, Method};
use crate::version::FormatVersion;

/// What became of one side of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SideStatus {
    /// Its own numbers count.
    Accepted,
    /// The default of the request counts in its place.
    Default,
    /// Nothing counts.
    Rejected,
}

/// Why the numbers of a side don't count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum SideProblem {
    /// A number is null.
    Missing {
        /// Which.
        field: Field,
    },
    /// A number is NaN or infinite.
    NotFinite {
        /// Which.
        field: Field,
    },
    /// The side is missing, and the default that would stand for it has no such number.
    DefaultIncomplete {
        /// Which number of the default.
        field: Field,
    },
}

impl SideProblem {
    /// The number that is at fault.
    pub fn field(self) -> Field {
        match self {
            SideProblem::Missing { field }
            | SideProblem::NotFinite { field }
            | SideProblem::DefaultIncomplete { field } => field,
        }
    }
}

/// Status and, unless accepted, the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SideVerdict {
    /// What became of it.
    pub status: SideStatus,
    /// Why its own numbers don't count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<SideProblem>,
}

/// What became of a pair. A rejected pair contributes neither side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PairStatus {
    /// Both sides count.
    Accepted,
    /// Neither does.
    Rejected,
}

/// Why a pair of two good sides does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum PairProblem {
    /// A weighted mean needs a weight.
    WeightMissing,
    /// The weight is zero, negative, NaN or infinite.
    WeightNotPositive,
    /// Bounds of width zero would weigh infinitely much in an inverse-variance mean.
    NoUncertainty,
}

/// A member and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The label of the pair.
    pub label: String,
    /// What became of the baseline side.
    pub baseline: SideVerdict,
    /// What became of the reporting side.
    pub reporting: SideVerdict,
    /// What became of the pair.
    pub status: PairStatus,
    /// Why it does not count although both sides would.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<PairProblem>,
}

/// The result of an aggregation. The same input gives the same bytes as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Portfolio {
    /// Of this document.
    pub version: FormatVersion<1>,
    /// The version of this crate that computed it.
    pub engine_version: String,
    /// How members became one figure.
    pub method: Method,
    /// What the values of all members are.
    pub derivative_interpretation: String,
    /// What the traces of all members are.
    pub trace_interpretation: String,
    /// The unit of all members.
    pub unit: Option<String>,
    /// None if no pair was accepted.
    pub figure: Option<Figure>,
    /// Every pair of the request, in its order.
    pub members: Vec<Member>,
}

impl Portfolio {
    /// The result in the shape of the OpenEEmeter aggregator: same keys in the same order, without reasons.
    pub fn contract(&self) -> ContractOutput<'_> {
        ContractOutput(self)
    }
}

/// A portfolio with the same figure for each group of its members.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupedPortfolio {
    /// The whole, with the status of every member.
    pub total: Portfolio,
    /// By key, in the order of keys; none for a group without an accepted pair.
    pub groups: BTreeMap<String, Option<Figure>>,
}

/// A [`Portfolio`] as the OpenEEmeter aggregator writes it.
#[derive(Clone, Copy, Debug)]
pub struct ContractOutput<'a>(&'a Portfolio);

impl Serialize for ContractOutput<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let portfolio = self.0;
        let mut output = serializer.serialize_struct("AggregationOutput", 6)?;
        output.serialize_field(
            "aggregated",
            &portfolio.figure.map(|figure| ContractPair {
                label: None,
                derivative_interpretation: &portfolio.derivative_interpretation,
                trace_interpretation: &portfolio.trace_interpretation,
                unit: portfolio.unit.as_deref(),
                baseline: figure.baseline.into(),
                reporting: figure.reporting.into(),
            }),
        )?;
        output.serialize_field("aggregation_interpretation", portfolio.method.word())?;
        output.serialize_field("derivative_interpretation", &portfolio.derivative_interpretation)?;
        output.serialize_field("trace_interpretation", &portfolio.trace_interpretation)?;
        output.serialize_field("unit", &portfolio.unit)?;
        output.serialize_field("status", &ContractStatus(&portfolio.members))?;
        output.end()
    }
}

#[derive(Serialize)]
struct ContractPair<'a> {
    label: Option<&'a str>,
    derivative_interpretation: &'a str,
    trace_interpretation: &'a str,
    unit: Option<&'a str>,
    baseline: ContractSide,
    reporting: ContractSide,
}

#[derive(Serialize)]
struct ContractSide {
    label: Option<&'static str>,
    #[serde(flatten)]
    estimate: Estimate,
    /// Temperatures that the value was predicted from: a portfolio has none.
    demand_fixture: Option<()>,
}

impl From<Estimate> for ContractSide {
    fn from(estimate: Estimate) -> ContractSide {
        ContractSide { label: None, estimate, demand_fixture: None }
    }
}

struct ContractStatus<'a>(&'a [Member]);

impl Serialize for ContractStatus<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Statuses {
            baseline_status: SideStatus,
            reporting_status: SideStatus,
            status: PairStatus,
        }
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for member in self.0 {
            map.serialize_entry(
                &member.label,
                &Statuses {
                    baseline_status: member.baseline.status,
                    reporting_status: member.reporting.status,
                    status: member.status,
                },
            )?;
        }
        map.end()
    }
}
