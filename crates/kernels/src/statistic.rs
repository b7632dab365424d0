//! The numbers that can be had, and the families of states they are had from.

use std::fmt;

/// A number that summarises the valid samples x₁…xₙ of a bucket. The result is always an `f64`; with no valid sample
/// it is NaN, except for [`Statistic::Count`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Statistic {
    /// Arithmetic mean Σx/n. One infinity gives that infinity, both give NaN.
    Mean,
    /// Direction in degrees, 0 ≤ r < 360, of the sum of the unit vectors at xᵢ degrees. NaN where that sum, divided
    /// by n, is shorter than 10⁻¹²: such samples have no direction.
    MeanPolarDeg,
    /// Smallest sample; -0.0 is below 0.0.
    Min,
    /// Largest sample; 0.0 is above -0.0.
    Max,
    /// Sample standard deviation √(Σ(x-x̄)²/(n-1)); NaN for n = 1 and where a sample is infinite.
    Std,
    /// Root mean square √(Σx²/n).
    Rms,
    /// Sum Σx. One infinity gives that infinity, both give NaN.
    Sum,
    /// Bitwise AND of all samples, in their own integer type.
    MinBitwise,
    /// Bitwise OR of all samples, in their own integer type.
    MaxBitwise,
    /// How many samples are valid. Never gated.
    Count,
    /// The first valid sample in time.
    First,
    /// The last valid sample in time.
    Last,
    /// The middle sample, or the mean of the two middle ones. Exact up to 65 536 different values in a bucket; beyond
    /// that see [`Quantiles::relative_error_bound`](crate::Quantiles::relative_error_bound).
    Median,
}

impl Statistic {
    /// Every statistic. The laws are checked for each member of this list.
    pub const ALL: [Statistic; 13] = [
        Statistic::Mean,
        Statistic::MeanPolarDeg,
        Statistic::Min,
        Statistic::Max,
        Statistic::Std,
        Statistic::Rms,
        Statistic::Sum,
        Statistic::MinBitwise,
        Statistic::MaxBitwise,
        Statistic::Count,
        Statistic::First,
        Statistic::Last,
        Statistic::Median,
    ];

    /// The name in a resource path.
    pub const fn name(self) -> &'static str {
        match self {
            Statistic::Mean => "mean",
            Statistic::MeanPolarDeg => "mean_polar_deg",
            Statistic::Min => "min",
            Statistic::Max => "max",
            Statistic::Std => "std",
            Statistic::Rms => "rms",
            Statistic::Sum => "sum",
            Statistic::MinBitwise => "min_bitwise",
            Statistic::MaxBitwise => "max_bitwise",
            Statistic::Count => "count",
            Statistic::First => "first",
            Statistic::Last => "last",
            Statistic::Median => "median",
        }
    }

    /// The family that answers with the least work. [`Family::Moments`] answers all that [`Family::Sums`] does.
    pub const fn lightest_family(self) -> Family {
        match self {
            Statistic::Mean | Statistic::Sum | Statistic::Count => Family::Sums,
            Statistic::Min | Statistic::Max | Statistic::Std | Statistic::Rms => Family::Moments,
            Statistic::MeanPolarDeg => Family::Polar,
            Statistic::MinBitwise | Statistic::MaxBitwise => Family::Bits,
            Statistic::First | Statistic::Last => Family::Edges,
            Statistic::Median => Family::Quantiles,
        }
    }

    /// Whether the share of valid samples must reach the threshold. A count is the one number that says how many
    /// samples are missing, so it is never withheld for it.
    pub const fn is_gated(self) -> bool {
        !matches!(self, Statistic::Count)
    }
}

impl fmt::Display for Statistic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// States of one family merge with each other and answer the same statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Family {
    /// {n, Σx, mean}: the light part of the moments, for a mean that is not kept.
    Sums,
    /// {n, Σx, mean, m2, min, max}.
    Moments,
    /// {n, Σsin, Σcos}.
    Polar,
    /// {n, AND, OR}.
    Bits,
    /// {n, first, last} with their times.
    Edges,
    /// {n, how often each value}, coarsened where a bucket holds very many different values.
    Quantiles,
}

impl Family {
    /// Every family.
    pub const ALL: [Family; 6] =
        [Family::Sums, Family::Moments, Family::Polar, Family::Bits, Family::Edges, Family::Quantiles];

    /// Whether a state of this family holds what `statistic` needs. Each one counts.
    pub const fn answers(self, statistic: Statistic) -> bool {
        let lightest = statistic.lightest_family();
        self as u8 == lightest as u8
            || matches!((self, lightest), (Family::Moments, Family::Sums))
            || matches!(statistic, Statistic::Count)
    }

    /// The name in messages and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Family::Sums => "sums",
            Family::Moments => "moments",
            Family::Polar => "polar",
            Family::Bits => "bits",
            Family::Edges => "edges",
            Family::Quantiles => "quantiles",
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_statistic_is_answered_by_its_lightest_family() {
        for statistic in Statistic::ALL {
            assert!(statistic.lightest_family().answers(statistic), "{statistic}");
        }
        assert!(Family::Moments.answers(Statistic::Mean));
        assert!(!Family::Sums.answers(Statistic::Std));
        assert!(Family::Quantiles.answers(Statistic::Count));
    }
}
