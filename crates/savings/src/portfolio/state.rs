//! The mergeable state of a portfolio, and the figures that follow from it.

use serde::{Deserialize, Serialize};

use super::derivative::{Direction, Estimate};

/// How members become one figure. With weights `w` over the accepted members, each side by itself:
///
/// | method | weight | value | bound | n |
/// |---|---|---|---|---|
/// | `SUM` | 1 | `Σv` | `√Σb²` | `Σn` |
/// | `MEAN` | 1 | `Σv / Σw` | `√Σb² / Σw` | `Σn` |
/// | `WEIGHTED_MEAN` | the member's | `Σwv / Σw` | `√Σ(wb)² / Σw` | `Σn` |
/// | `INVERSE_VARIANCE_MEAN` | `1 / (h_b² + h_r²)` | `Σwv / Σw` | `√Σ(wb)² / Σw` | `Σn` |
///
/// `h` is half the width of a side's interval, so the last one weighs a member by the variance of its *savings*: both
/// sides share one weight, and the difference of the means is the mean of the differences with the least variance
/// (Cochran 1954). Bounds combine as those of independent members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Method {
    /// The total.
    Sum,
    /// The average member.
    Mean,
    /// The average with a weight for each member, such as its floor area.
    WeightedMean,
    /// The average that trusts a member the more the narrower its savings are known.
    InverseVarianceMean,
}

impl Method {
    /// All of them, in the order they are offered in.
    pub const ALL: [Method; 4] =
        [Method::Sum, Method::Mean, Method::WeightedMean, Method::InverseVarianceMean];

    /// The word of `aggregation_interpretation`.
    pub fn word(self) -> &'static str {
        match self {
            Method::Sum => "SUM",
            Method::Mean => "MEAN",
            Method::WeightedMean => "WEIGHTED_MEAN",
            Method::InverseVarianceMean => "INVERSE_VARIANCE_MEAN",
        }
    }

    /// The method of a word, letter by letter.
    pub fn of(word: &str) -> Option<Method> {
        Method::ALL.into_iter().find(|method| method.word() == word)
    }
}

/// Weighted sums over members. States of parts of a portfolio [merge](PortfolioState::merge) into that of the whole; the
/// order of merging shows in the last bits only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PortfolioState {
    totals: Option<Totals>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Totals {
    members: u64,
    /// Σw
    weight: f64,
    /// Σwv, √Σ(w·lower)², √Σ(w·upper)², Σn
    baseline: Estimate,
    reporting: Estimate,
    /// Σw²(h_b² + h_r²): the square of what the savings are uncertain by.
    savings_square: f64,
    /// Σw·bias, of the members that know theirs.
    savings_bias: f64,
}

impl PortfolioState {
    /// The state of no member.
    pub fn new() -> PortfolioState {
        PortfolioState::default()
    }

    /// Adds a member with its weight, 1 for a plain sum or mean, and the bias of its savings, 0 if that is not known.
    pub fn push(&mut self, baseline: Estimate, reporting: Estimate, weight: f64, savings_bias: f64) {
        let member = Totals {
            members: 1,
            weight,
            baseline: weighted(baseline, weight),
            reporting: weighted(reporting, weight),
            savings_square: weight * weight * savings_variance(&baseline, &reporting),
            savings_bias: weight * savings_bias,
        };
        self.merge(PortfolioState { totals: Some(member) });
    }

    /// Adds the members of another part.
    pub fn merge(&mut self, other: PortfolioState) {
        self.totals = match (self.totals, other.totals) {
            (Some(left), Some(right)) => Some(Totals {
                members: left.members + right.members,
                weight: left.weight + right.weight,
                baseline: added(left.baseline, right.baseline),
                reporting: added(left.reporting, right.reporting),
                savings_square: left.savings_square + right.savings_square,
                savings_bias: left.savings_bias + right.savings_bias,
            }),
            // A lone member stays as it is: no square root of a square, no sign lost.
            (totals, None) | (None, totals) => totals,
        };
    }

    /// The figure of the members; none without members, and none if a sum has grown beyond what a float holds.
    pub fn finish(&self, method: Method) -> Option<Figure> {
        let totals = self.totals?;
        let divisor = match method {
            Method::Sum => 1.0,
            Method::Mean | Method::WeightedMean | Method::InverseVarianceMean => totals.weight,
        };
        let figure = Figure {
            members: totals.members,
            baseline: divided(totals.baseline, divisor),
            reporting: divided(totals.reporting, divisor),
            savings_half_width: totals.savings_square.sqrt() / divisor,
            savings_bias: totals.savings_bias / divisor,
        };
        figure.is_finite().then_some(figure)
    }

    /// How many members there are.
    pub fn members(&self) -> u64 {
        self.totals.map_or(0, |totals| totals.members)
    }
}

/// What the savings of a member are uncertain by, squared: both sides are independent.
pub(super) fn savings_variance(baseline: &Estimate, reporting: &Estimate) -> f64 {
    baseline.half_width() * baseline.half_width() + reporting.half_width() * reporting.half_width()
}

fn weighted(side: Estimate, weight: f64) -> Estimate {
    Estimate { value: weight * side.value, lower: weight * side.lower, upper: weight * side.upper, n: side.n }
}

fn added(left: Estimate, right: Estimate) -> Estimate {
    Estimate {
        value: left.value + right.value,
        lower: quadrature(left.lower, right.lower),
        upper: quadrature(left.upper, right.upper),
        n: left.n + right.n,
    }
}

fn divided(side: Estimate, divisor: f64) -> Estimate {
    Estimate {
        value: side.value / divisor,
        lower: side.lower / divisor,
        upper: side.upper / divisor,
        n: side.n,
    }
}

/// Not `hypot`: the contract squares, adds and takes the root, and its bits are to be met.
fn quadrature(left: f64, right: f64) -> f64 {
    (left * left + right * right).sqrt()
}

/// One figure of a portfolio.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// How many members went in.
    pub members: u64,
    /// Before the intervention.
    pub baseline: Estimate,
    /// After it.
    pub reporting: Estimate,
    /// Half the width of the interval of the savings, `√Σw²(h_b² + h_r²) / Σw`; `√ΣΔU²` for a sum.
    pub savings_half_width: f64,
    /// `Σw·bias / Σw`: how far the choice of balance points makes the savings be off, in the mean. Members that share their
    /// weather share the sign of theirs, so it does not average out.
    pub savings_bias: f64,
}

impl Figure {
    /// The difference of the sides. The bounds cross where they differ: the savings are at their lowest where what is
    /// subtracted from is low and what is subtracted is high.
    pub fn savings(&self, direction: Direction) -> Estimate {
        let (from, what) = match direction {
            Direction::BaselineMinusReporting => (self.baseline, self.reporting),
            Direction::ReportingMinusBaseline => (self.reporting, self.baseline),
        };
        Estimate {
            value: from.value - what.value,
            lower: quadrature(from.lower, what.upper),
            upper: quadrature(from.upper, what.lower),
            n: from.n + what.n,
        }
    }

    /// Half the width of the interval that holds the true savings of the portfolio: what averages out, and on top of it what
    /// does not, `√ΣΔU² + |Σ bias|`.
    pub fn savings_bound(&self) -> f64 {
        self.savings_half_width + self.savings_bias.abs()
    }

    /// Fractional savings uncertainty of the portfolio, `√ΣΔU² / |ΣU|` (CalTRACK 4.3.2.5), at the confidence level of the
    /// members' bounds. None without savings.
    pub fn fractional_savings_uncertainty(&self) -> Option<f64> {
        let fraction = self.savings_half_width / (self.baseline.value - self.reporting.value).abs();
        fraction.is_finite().then_some(fraction)
    }

    fn is_finite(&self) -> bool {
        self.baseline.is_finite() && self.reporting.is_finite() && self.savings_bound().is_finite()
    }
}
