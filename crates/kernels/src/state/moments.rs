//! {n, Σx, mean, m2, min, max}: everything of first and second order.
//!
//! m2 = Σ(x-mean)². Within a block it is computed in two passes, between blocks it is merged as by Chan, Golub and
//! LeVeque 1979, "Updating formulae and a pairwise algorithm for computing sample variances", equation 2.1 written with
//! the means: δ = mean_b - mean_a, m2 = m2_a + m2_b + δ²·n_a·n_b/n.

use super::sums::Sums;
use super::{maximum, minimum};
use crate::block::{Block, Scratch};
use crate::{Family, Level, Sample, SampleRun, State, Statistic};

/// Count, sum, mean, spread and extremes of the valid samples.
///
/// | statistic | from the state |
/// |---|---|
/// | count, sum, mean | as [`Sums`] |
/// | min, max | min, max |
/// | std | √(m2/(n-1)), NaN for n < 2 |
/// | rms | √(m2/n + mean²), infinite where a sample is |
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moments {
    pub(crate) sums: Sums,
    /// Σ(x-mean)²; NaN where a sample is infinite, infinite where it overflows.
    pub(crate) m2: f64,
    /// +∞ without samples.
    pub(crate) min: f64,
    /// -∞ without samples.
    pub(crate) max: f64,
}

impl Default for Moments {
    fn default() -> Moments {
        Moments { sums: Sums::default(), m2: 0.0, min: f64::INFINITY, max: f64::NEG_INFINITY }
    }
}

impl Moments {
    #[inline(always)]
    fn of_block(level: Level, block: Block<'_>) -> Moments {
        let (n, sum) = block.count_and_sum(level);
        if n == 0 {
            return Moments::default();
        }
        let sums = Sums::of_block(block, n, sum);
        let (min, max) = block.extremes(level);
        // Equal samples have no spread, whatever rounding did to their mean.
        let m2 = if min == max { no_spread(min) } else { block.squared_deviations(level, sums.mean) };
        Moments { sums, m2, min, max }
    }
}

impl State for Moments {
    const FAMILY: Family = Family::Moments;

    #[inline(always)]
    fn append<T: Sample>(states: &mut Vec<Moments>, run: SampleRun<'_, T>, scratch: &mut Scratch) {
        scratch.append_merged(states, run, Moments::of_block);
    }

    #[inline]
    fn merge(&mut self, later: &Moments) {
        if later.sums.n == 0 {
            return;
        }
        if self.sums.n == 0 {
            *self = *later;
            return;
        }
        let (n_a, n_b) = (self.sums.n as f64, later.sums.n as f64);
        let delta = later.sums.mean - self.sums.mean;
        self.sums.merge(&later.sums);
        self.min = minimum(self.min, later.min);
        self.max = maximum(self.max, later.max);
        self.m2 = if self.min == self.max {
            no_spread(self.min)
        } else {
            self.m2 + later.m2 + delta * delta * (n_a * (n_b / (n_a + n_b)))
        };
    }

    fn valid(&self) -> u64 {
        self.sums.n
    }

    #[inline]
    fn value(&self, statistic: Statistic) -> Option<f64> {
        let n = self.sums.n as f64;
        match statistic {
            Statistic::Min | Statistic::Max | Statistic::Std | Statistic::Rms if self.sums.n == 0 => {
                Some(f64::NAN)
            }
            Statistic::Min => Some(self.min),
            Statistic::Max => Some(self.max),
            Statistic::Std if self.sums.n < 2 => Some(f64::NAN),
            Statistic::Std => Some((self.m2 / (n - 1.0)).sqrt()),
            Statistic::Rms if self.min.is_infinite() || self.max.is_infinite() => Some(f64::INFINITY),
            Statistic::Rms => Some((self.m2 / n + self.sums.mean * self.sums.mean).sqrt()),
            _ => self.sums.value(statistic),
        }
    }
}

/// m2 of samples that all equal `value`.
fn no_spread(value: f64) -> f64 {
    if value.is_finite() { 0.0 } else { f64::NAN }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Grid, fold};

    fn moments(values: &[f64]) -> Moments {
        fold::<Moments, _>(SampleRun::new(values), Grid::new(values.len().max(1), 0).unwrap())
            .unwrap()
            .pop()
            .unwrap_or_default()
    }

    #[test]
    fn numbers_checkable_by_hand() {
        let state = moments(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]);
        assert_eq!(state.value(Statistic::Mean), Some(5.0));
        assert_eq!(state.m2, 32.0);
        assert_eq!(state.value(Statistic::Std), Some((32.0_f64 / 7.0).sqrt()));
        assert_eq!(state.value(Statistic::Rms), Some(29.0_f64.sqrt()));
    }

    #[test]
    fn merging_follows_the_formula() {
        let mut state = moments(&[1.0, 3.0]);
        state.merge(&moments(&[5.0, 7.0]));
        // Means 2 and 6: m2 = 2 + 2 + 4²·2·2/4 = 20 = 3² + 1² + 1² + 3².
        assert_eq!(state.m2, 20.0);
    }

    #[test]
    fn equal_samples_have_no_spread() {
        for value in [0.1, 1e200, -1e308, 5e-324, 123_456.789] {
            let mut state = moments(&[value; 5000]);
            state.merge(&moments(&[value; 3]));
            assert_eq!(state.value(Statistic::Std), Some(0.0), "{value}");
            let mean = state.value(Statistic::Mean).unwrap();
            assert!((mean / value - 1.0).abs() < 1e-12, "{value}: {mean}");
        }
    }

    #[test]
    fn extremes_know_the_sign_of_zero() {
        for values in [&[0.0, -0.0][..], &[-0.0, 0.0], &[-0.0, f64::NAN, 0.0, -0.0]] {
            let state = moments(values);
            assert!(state.min.is_sign_negative() && state.max.is_sign_positive(), "{values:?}");
        }
        assert!(moments(&[-0.0]).max.is_sign_negative());
        assert!(moments(&[0.0]).min.is_sign_positive());
    }

    #[test]
    fn an_infinite_sample_leaves_no_std_but_an_infinite_rms() {
        let state = moments(&[1.0, f64::NEG_INFINITY]);
        assert!(state.value(Statistic::Std).unwrap().is_nan());
        assert_eq!(state.value(Statistic::Rms), Some(f64::INFINITY));
        assert_eq!((state.min, state.max), (f64::NEG_INFINITY, 1.0));
    }
}
