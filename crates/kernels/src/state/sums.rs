//! {n, Σx, mean}: count, sum and mean.
//!
//! The sum is carried as an unevaluated pair of `f64` (Knuth's TwoSum; Dekker 1971, "A floating-point technique for
//! extending the available precision"), so merging ten thousand parts loses nothing that one pass would have kept.
//! The mean has a field of its own because it exists where the sum overflows.

use super::add_counts;
use crate::block::{BLOCK, Block, Scratch};
use crate::{Family, Sample, SampleRun, State, Statistic};

/// Count, sum and mean of the valid samples.
///
/// | statistic | from the state |
/// |---|---|
/// | count | n |
/// | sum | Σx, or n·mean where that has overflowed on the way |
/// | mean | mean |
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sums {
    pub(crate) n: u64,
    /// The sum, rounded. An infinity stays one.
    pub(crate) sum: f64,
    /// What rounding took from `sum`; 0 where `sum` is not finite.
    pub(crate) sum_low: f64,
    /// Σx/n; differs from `sum / n` only where the sum has overflowed.
    pub(crate) mean: f64,
}

impl Sums {
    /// The sums of `n` samples of a block that add up to `sum`.
    #[inline(always)]
    pub(super) fn of_block(block: Block<'_>, n: u64, sum: f64) -> Sums {
        if n == 0 {
            return Sums::default();
        }
        let mean = if sum.is_finite() { sum / n as f64 } else { mean_without_sum(block, n) };
        Sums { n, sum, sum_low: 0.0, mean }
    }
}

impl State for Sums {
    const FAMILY: Family = Family::Sums;

    #[inline(always)]
    fn append<T: Sample>(states: &mut Vec<Sums>, run: SampleRun<'_, T>, scratch: &mut Scratch) {
        if run.validity().is_none() && T::HAS_EXACT_SUM {
            let mut sums = Sums::default();
            for values in run.values().chunks(BLOCK) {
                let (n, sum) = (values.len() as u64, T::exact_sum(scratch.level, values));
                sums.merge(&Sums { n, sum, sum_low: 0.0, mean: sum / n as f64 });
            }
            states.push(sums);
            return;
        }
        scratch.append_merged(states, run, |level, block| {
            let (n, sum) = block.count_and_sum(level);
            Sums::of_block(block, n, sum)
        });
    }

    #[inline]
    fn merge(&mut self, later: &Sums) {
        if later.n == 0 {
            return;
        }
        if self.n == 0 {
            *self = *later;
            return;
        }
        let n = add_counts(self.n, later.n);
        let (plain, error) = two_sum(self.sum, later.sum);
        let (sum, sum_low) = two_sum(plain, self.sum_low + later.sum_low + error);
        // Not finite where the sum is not, or where an intermediate result has overflowed.
        *self = if sum_low.is_finite() {
            Sums { n, sum, sum_low, mean: sum / n as f64 }
        } else {
            Sums { n, sum: plain, sum_low: 0.0, mean: self.merged_mean(later) }
        };
    }

    fn valid(&self) -> u64 {
        self.n
    }

    #[inline]
    fn value(&self, statistic: Statistic) -> Option<f64> {
        let some = self.n > 0;
        match statistic {
            Statistic::Count => Some(self.n as f64),
            // Parts that overflow may cancel, and a real infinity outweighs them: the mean has not lost sight of it.
            Statistic::Sum if !self.sum.is_finite() => Some(self.mean * self.n as f64),
            Statistic::Sum => Some(if some { self.sum } else { f64::NAN }),
            Statistic::Mean => Some(if some { self.mean } else { f64::NAN }),
            _ => None,
        }
    }
}

impl Sums {
    /// The mean where the sum is beyond `f64`: the weighted mean of the means. Infinities stay what they are, and
    /// those of both signs give NaN.
    #[cold]
    fn merged_mean(&self, later: &Sums) -> f64 {
        let n = self.n as f64 + later.n as f64;
        self.mean * (self.n as f64 / n) + later.mean * (later.n as f64 / n)
    }
}

/// a + b and exactly what rounding took from it (Knuth, The Art of Computer Programming, vol. 2, 4.2.2, theorem B).
#[inline(always)]
fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let b_part = sum - a;
    let a_part = sum - b_part;
    (sum, (a - a_part) + (b - b_part))
}

/// The mean of a block whose sum is not finite: that of its infinities, or else the samples are only large, and their
/// sum fits when each is scaled down by a power of two (which loses nothing that such a sum could show).
#[cold]
fn mean_without_sum(block: Block<'_>, n: u64) -> f64 {
    const SCALE: f64 = 1.0 / (2 * BLOCK) as f64;
    if block.valid().any(f64::is_infinite) {
        return block.valid().filter(|x| x.is_infinite()).sum();
    }
    block.valid().map(|x| x * SCALE).sum::<f64>() / n as f64 / SCALE
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Grid, fold};

    fn sums(values: &[f64]) -> Sums {
        fold::<Sums, _>(SampleRun::new(values), Grid::new(values.len().max(1), 0).unwrap())
            .unwrap()
            .pop()
            .unwrap_or_default()
    }

    #[test]
    fn a_mean_exists_where_the_sum_overflows() {
        let state = sums(&[1e308; 10]);
        assert_eq!(state.value(Statistic::Sum), Some(f64::INFINITY));
        assert!((state.value(Statistic::Mean).unwrap() / 1e308 - 1.0).abs() < 1e-15);

        let mut merged = sums(&[1.5e308]);
        merged.merge(&sums(&[1.5e308]));
        merged.merge(&sums(&[0.0]));
        assert!((merged.value(Statistic::Mean).unwrap() / 1e308 - 1.0).abs() < 1e-15);
    }

    #[test]
    fn one_infinity_stays_and_both_are_nan() {
        let inf = f64::INFINITY;
        for (values, expected) in [
            (&[1.0, inf, f64::NAN][..], inf),
            (&[-inf, 3.0], -inf),
            (&[inf, inf], inf),
            (&[inf, -inf, 1.0], f64::NAN),
        ] {
            let whole = sums(values);
            let mut merged = Sums::default();
            for value in values {
                merged.merge(&sums(&[*value]));
            }
            for state in [whole, merged] {
                for statistic in [Statistic::Mean, Statistic::Sum] {
                    let value = state.value(statistic).unwrap();
                    assert!(value == expected || (value.is_nan() && expected.is_nan()), "{values:?}");
                }
            }
        }
    }

    #[test]
    fn merging_many_parts_keeps_what_one_pass_would_have() {
        let mut state = Sums::default();
        let part = sums(&[0.1]);
        for _ in 0..1_000_000 {
            state.merge(&part);
        }
        // A plain sum of a million times 0.1 gives 100000.00000133288.
        assert_eq!(state.value(Statistic::Sum), Some(100_000.0));
        assert_eq!(state.value(Statistic::Mean), Some(0.1));
    }
}
