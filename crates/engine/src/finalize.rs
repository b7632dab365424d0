//! Which statistic a kind is: the one place where a name in a path becomes arithmetic.

use sheaf_kernels::{Family, Statistic};
use sheaf_model::Kind;

/// The statistic behind a kind; `None` for those that aggregate nothing.
pub fn statistic(kind: Kind) -> Option<Statistic> {
    Some(match kind {
        Kind::Mean => Statistic::Mean,
        Kind::MeanPolarDeg => Statistic::MeanPolarDeg,
        Kind::Min => Statistic::Min,
        Kind::Max => Statistic::Max,
        Kind::Std => Statistic::Std,
        Kind::Rms => Statistic::Rms,
        Kind::Sum => Statistic::Sum,
        Kind::MinBitwise => Statistic::MinBitwise,
        Kind::MaxBitwise => Statistic::MaxBitwise,
        Kind::Count => Statistic::Count,
        Kind::First => Statistic::First,
        Kind::Last => Statistic::Last,
        Kind::Median => Statistic::Median,
        _ => return None,
    })
}

/// The family of states that answers a statistic: the one choice for all reads. A mean needs sums alone, but where states
/// are kept, those of the same samples are to answer a maximum later. Either way the mean has the same bits: that is a law
/// of the kernels.
pub(crate) fn family(statistic: Statistic, is_kept: impl Fn(Family) -> bool) -> Family {
    match statistic.lightest_family() {
        Family::Sums if is_kept(Family::Moments) => Family::Moments,
        lightest => lightest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_aggregation_has_a_statistic_of_its_name_and_every_statistic_a_kind() {
        for kind in Kind::ALL {
            assert_eq!(
                statistic(kind).map(Statistic::name),
                kind.is_aggregation().then_some(kind.name()),
                "{kind}"
            );
        }
        for wanted in Statistic::ALL {
            assert!(Kind::ALL.into_iter().any(|kind| statistic(kind) == Some(wanted)), "{wanted}");
        }
    }
}
