//! {n, AND, OR}: the bits that all samples have, and those that any has.

use super::add_counts;
use crate::block::Scratch;
use crate::dispatch::Kernel;
use crate::{Error, Family, Sample, SampleRun, State, Statistic};

/// AND and OR of the valid samples, which must be integers.
///
/// Both are kept as two's complement with the sign extended to 128 bits, so one state serves all integer types:
/// AND and OR of sign-extended numbers are the sign-extended AND and OR.
///
/// | statistic | from the state |
/// |---|---|
/// | count | n |
/// | min_bitwise | AND |
/// | max_bitwise | OR |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bits {
    pub(crate) n: u64,
    /// All ones without samples.
    pub(crate) and: i128,
    /// Zero without samples.
    pub(crate) or: i128,
}

impl Default for Bits {
    fn default() -> Bits {
        Bits { n: 0, and: -1, or: 0 }
    }
}

/// AND and OR of samples in their own type: an `f64` would lose bits of the large ones.
struct AndOr<'a, T>(&'a [T]);

impl<T: Sample> Kernel for AndOr<'_, T> {
    type Output = (T, T);

    #[inline(always)]
    fn run(self) -> (T, T) {
        let (mut and, mut or) = (T::ALL_ONES, T::default());
        for &x in self.0 {
            (and, or) = (and.and(x), or.or(x));
        }
        (and, or)
    }
}

impl State for Bits {
    const FAMILY: Family = Family::Bits;

    fn accept<T: Sample>() -> Result<(), Error> {
        if T::IS_FLOAT { Err(Error::BitwiseOnFloat { sample_type: T::NAME }) } else { Ok(()) }
    }

    fn append<T: Sample>(states: &mut Vec<Bits>, run: SampleRun<'_, T>, scratch: &mut Scratch) {
        let n = scratch.count_valid(run);
        let (and, or) = match run.without_idle_validity() {
            run if run.validity().is_none() => scratch.level.run(AndOr(run.values())),
            run => (0..run.len())
                .filter_map(|index| run.get(index))
                .fold((T::ALL_ONES, T::default()), |(and, or), x| (and.and(x), or.or(x))),
        };
        // Without a valid sample the AND is all ones of T, which for an unsigned type is not the neutral -1.
        states.push(match (n, and.to_bits(), or.to_bits()) {
            (1.., Some(and), Some(or)) => Bits { n, and, or },
            _ => Bits::default(),
        });
    }

    fn merge(&mut self, later: &Bits) {
        self.n = add_counts(self.n, later.n);
        self.and &= later.and;
        self.or |= later.or;
    }

    fn valid(&self) -> u64 {
        self.n
    }

    fn value(&self, statistic: Statistic) -> Option<f64> {
        match statistic {
            Statistic::Count => Some(self.n as f64),
            Statistic::MinBitwise | Statistic::MaxBitwise if self.n == 0 => Some(f64::NAN),
            Statistic::MinBitwise => Some(self.and as f64),
            Statistic::MaxBitwise => Some(self.or as f64),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Grid, Validity, fold};

    fn bits<T: Sample>(values: &[T]) -> (f64, f64) {
        let state: Bits = fold(SampleRun::new(values), Grid::new(values.len(), 0).unwrap()).unwrap()[0];
        (state.value(Statistic::MinBitwise).unwrap(), state.value(Statistic::MaxBitwise).unwrap())
    }

    #[test]
    fn known_bits() {
        assert_eq!(bits(&[3_u8, 4]).1, 7.0);
        assert_eq!(bits(&[-2_i32, -3]).1, -1.0);
        assert_eq!(bits(&[168_u8, 44]).0, 40.0);
        assert_eq!(bits(&[-88_i8, 44]).0, 40.0);
        assert_eq!(bits(&[i64::MIN, i64::MIN]), (i64::MIN as f64, i64::MIN as f64));
        assert_eq!(bits(&[u64::MAX]), (u64::MAX as f64, u64::MAX as f64));
        assert_eq!(bits(&[u32::MAX, 1 << 31]), (2_147_483_648.0, 4_294_967_295.0));
    }

    #[test]
    fn floats_are_refused_and_missing_samples_do_not_count() {
        let error = fold::<Bits, _>(SampleRun::new(&[1.0_f32]), Grid::new(1, 0).unwrap()).unwrap_err();
        assert_eq!(error, Error::BitwiseOnFloat { sample_type: "f32" });

        let none = SampleRun::new(&[7_u16]).with_validity(Validity::new(&[0], 0)).unwrap();
        let state: Bits = fold(none, Grid::new(1, 0).unwrap()).unwrap()[0];
        assert_eq!(state, Bits::default());
        assert!(state.value(Statistic::MinBitwise).unwrap().is_nan());
    }
}
