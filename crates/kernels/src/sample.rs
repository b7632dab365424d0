//! What goes in: a run of equidistant samples of one of the ten data types, with or without validity bits.

use std::ops::Range;

use crate::block::IntegerSum;
use crate::{Error, Level};

mod private {
    pub trait Sealed {}
}

/// One of the ten sample types. All arithmetic but the bitwise one is done in `f64`.
pub trait Sample: private::Sealed + Copy + Default + PartialEq + Send + Sync + 'static {
    /// The type's name in messages.
    const NAME: &'static str;
    /// Whether the type has NaN, infinities and a negative zero.
    const IS_FLOAT: bool;

    /// The value as `f64`, rounded to nearest; unsigned types stay positive.
    fn to_f64(self) -> f64;

    /// False for NaN: a float that is missing says so itself, an integer needs a validity bit.
    fn is_present(self) -> bool;

    /// The two's complement bits with the sign extended without end; `None` for floats, whose bits mean nothing here.
    fn to_bits(self) -> Option<i128>;

    /// Bitwise AND; the left side for floats, which never get here.
    #[doc(hidden)]
    fn and(self, other: Self) -> Self;

    /// Bitwise OR; the left side for floats, which never get here.
    #[doc(hidden)]
    fn or(self, other: Self) -> Self;

    /// The neutral element of AND.
    #[doc(hidden)]
    const ALL_ONES: Self;

    /// Whether [`Sample::exact_sum`] is exact: for integers of at most 32 bits.
    #[doc(hidden)]
    const HAS_EXACT_SUM: bool = false;

    /// Σx of at most one block of integers of at most 32 bits.
    #[doc(hidden)]
    fn exact_sum(_: Level, _: &[Self]) -> f64 {
        f64::NAN
    }

    /// The same samples where they are `f64` already.
    #[doc(hidden)]
    fn as_f64(_: &[Self]) -> Option<&[f64]> {
        None
    }
}

macro_rules! integer_sample {
    ($($t:ty $({ $($exact_sum:tt)* })?),*) => {$(
        impl private::Sealed for $t {}
        impl Sample for $t {
            const NAME: &'static str = stringify!($t);
            const IS_FLOAT: bool = false;
            const ALL_ONES: $t = !0;
            #[inline(always)]
            fn to_f64(self) -> f64 { self as f64 }
            #[inline(always)]
            fn is_present(self) -> bool { true }
            #[inline(always)]
            fn to_bits(self) -> Option<i128> { Some(i128::from(self)) }
            #[inline(always)]
            fn and(self, other: $t) -> $t { self & other }
            #[inline(always)]
            fn or(self, other: $t) -> $t { self | other }
            $($($exact_sum)*)?
        }
    )*};
}

macro_rules! float_sample {
    ($($t:ty, $as_f64:expr);*) => {$(
        impl private::Sealed for $t {}
        impl Sample for $t {
            const NAME: &'static str = stringify!($t);
            const IS_FLOAT: bool = true;
            const ALL_ONES: $t = 0.0;
            #[inline(always)]
            fn to_f64(self) -> f64 { f64::from(self) }
            #[inline(always)]
            fn is_present(self) -> bool { !self.is_nan() }
            #[inline(always)]
            fn to_bits(self) -> Option<i128> { None }
            #[inline(always)]
            fn and(self, _: $t) -> $t { self }
            #[inline(always)]
            fn or(self, _: $t) -> $t { self }
            #[inline(always)]
            fn as_f64(values: &[$t]) -> Option<&[f64]> { $as_f64(values) }
        }
    )*};
}

macro_rules! narrow_integer_sample {
    ($($t:ty),*) => {$(
        integer_sample!($t {
            const HAS_EXACT_SUM: bool = true;
            fn exact_sum(level: Level, values: &[$t]) -> f64 { level.run(IntegerSum(values)) }
        });
    )*};
}

narrow_integer_sample!(u8, i8, u16, i16, u32, i32);
integer_sample!(u64, i64);
float_sample!(f32, |_| None; f64, Some);

/// Validity bits of a run: bit i is set where sample i is valid. Least significant bit first, as Arrow lays them out.
#[derive(Clone, Copy, Debug)]
pub struct Validity<'a> {
    words: &'a [u64],
    /// Bit of the first sample.
    first: usize,
}

impl<'a> Validity<'a> {
    /// Bits of `words`, from bit number `first` on.
    pub fn new(words: &'a [u64], first: usize) -> Validity<'a> {
        Validity { words, first }
    }

    /// Whether sample `index` is valid; false beyond the last bit.
    #[inline(always)]
    pub fn get(&self, index: usize) -> bool {
        let bit = self.first.checked_add(index);
        bit.is_some_and(|bit| self.words.get(bit / 64).is_some_and(|word| word >> (bit % 64) & 1 == 1))
    }

    fn bits(&self) -> usize {
        (self.words.len().saturating_mul(64)).saturating_sub(self.first)
    }

    /// The 64 bits from sample `index` on; zeros beyond the last bit. Only for samples of a run, which has checked that
    /// there are bits for all of them.
    #[inline(always)]
    pub(crate) fn word(&self, index: usize) -> u64 {
        let (word, shift) = ((self.first + index) / 64, (self.first + index) % 64);
        let low = self.words.get(word).copied().unwrap_or(0) >> shift;
        let high = self.words.get(word + 1).copied().unwrap_or(0);
        if shift == 0 { low } else { low | high << (64 - shift) }
    }

    /// Whether the first `len` samples are all valid.
    #[inline(always)]
    fn all(&self, len: usize) -> bool {
        (0..len).step_by(64).all(|index| {
            let missing = !self.word(index);
            let wanted = if len - index >= 64 { u64::MAX } else { (1 << (len - index)) - 1 };
            missing & wanted == 0
        })
    }
}

/// Equidistant samples: sample i belongs to time `start + i·step`.
///
/// Time is a plain count here (ticks of 100 ns in the rest of Sheaf). Only [`Edges`](crate::Edges) and
/// [`resample`](crate::resample) look at it; a run without times counts from 0 in steps of 1.
#[derive(Clone, Copy, Debug)]
pub struct SampleRun<'a, T> {
    values: &'a [T],
    validity: Option<Validity<'a>>,
    start: i64,
    step: i64,
}

impl<'a, T: Sample> SampleRun<'a, T> {
    /// Samples that are all valid, but for NaN.
    pub fn new(values: &'a [T]) -> SampleRun<'a, T> {
        SampleRun { values, validity: None, start: 0, step: 1 }
    }

    /// The same samples, valid where their bit is set (and they are not NaN).
    ///
    /// # Errors
    /// Fewer bits than samples.
    pub fn with_validity(self, validity: Validity<'a>) -> Result<SampleRun<'a, T>, Error> {
        if validity.bits() < self.values.len() {
            return Err(Error::ValidityTooShort { bits: validity.bits(), samples: self.values.len() });
        }
        Ok(SampleRun { validity: Some(validity), ..self })
    }

    /// The same samples at `start`, `start + step`, …
    ///
    /// # Errors
    /// A step of zero or less; a last slot that ends beyond `i64`.
    pub fn at(self, start: i64, step: i64) -> Result<SampleRun<'a, T>, Error> {
        if step <= 0 {
            return Err(Error::StepNotPositive { step });
        }
        let end = i128::from(start) + self.values.len() as i128 * i128::from(step);
        if end > i128::from(i64::MAX) {
            return Err(Error::TimeOutOfRange { start, step, len: self.values.len() });
        }
        Ok(SampleRun { start, step, ..self })
    }

    /// How many samples, valid or not.
    #[inline(always)]
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is no sample at all.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The raw samples; those that are not valid hold anything.
    #[inline(always)]
    pub fn values(&self) -> &'a [T] {
        self.values
    }

    /// Time of sample `index`.
    #[inline(always)]
    pub fn time(&self, index: usize) -> i64 {
        // The steps alone may be too much for an `i64`; the time is not (`at` has seen to it), so wrapping gives it.
        self.start.wrapping_add((index as i64).wrapping_mul(self.step))
    }

    /// Distance from sample to sample.
    #[inline(always)]
    pub fn step(&self) -> i64 {
        self.step
    }

    /// Sample `index` where it is valid.
    #[inline(always)]
    pub fn get(&self, index: usize) -> Option<T> {
        let value = self.values.get(index).copied()?;
        (value.is_present() && self.validity.is_none_or(|validity| validity.get(index))).then_some(value)
    }

    /// The samples of `range`, with their times and validity.
    ///
    /// # Panics
    /// Where `range` is not within the run, like a slice.
    #[inline(always)]
    pub fn slice(&self, range: Range<usize>) -> SampleRun<'a, T> {
        SampleRun {
            values: &self.values[range.clone()],
            validity: self
                .validity
                .map(|validity| Validity { words: validity.words, first: validity.first + range.start }),
            start: self.time(range.start),
            step: self.step,
        }
    }

    /// The run without its validity bits where they are all set, so that the quicker loop can be taken.
    #[inline(always)]
    pub(crate) fn without_idle_validity(self) -> SampleRun<'a, T> {
        match self.validity {
            Some(validity) if validity.all(self.len()) => SampleRun { validity: None, ..self },
            _ => self,
        }
    }

    /// Validity of the 64 samples from `index` on, a bit each; whether a float is NaN does not count here.
    #[inline(always)]
    pub(crate) fn valid_bits(&self, index: usize) -> u64 {
        self.validity.map_or(u64::MAX, |validity| validity.word(index))
    }

    #[inline(always)]
    pub(crate) fn validity(&self) -> Option<Validity<'a>> {
        self.validity
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn validity_words_are_read_at_any_bit() {
        let words = [0x8000_0000_0000_0001, 0b10];
        let validity = Validity::new(&words, 63);
        assert!(validity.get(0) && !validity.get(1) && validity.get(2) && !validity.get(3));
        assert_eq!(validity.word(0), 0b101);
        assert!(!validity.get(64 * 2), "beyond the last bit nothing is valid");
        assert_eq!(Validity::new(&words, 500).word(7), 0);
        assert!(Validity::new(&[u64::MAX, 1], 3).all(62));
        assert!(!Validity::new(&[u64::MAX, 1], 3).all(63));
    }

    #[test]
    fn unsigned_values_stay_positive() {
        assert_eq!(u32::MAX.to_f64(), 4_294_967_295.0);
        assert_eq!((1_u64 << 63).to_f64(), 9_223_372_036_854_775_808.0);
        assert_eq!(i64::MIN.to_f64(), -9_223_372_036_854_775_808.0);
    }

    #[test]
    fn runs_refuse_what_has_no_meaning() {
        let values = [1_i32, 2, 3];
        let run = SampleRun::new(&values);
        assert_eq!(run.at(0, 0).unwrap_err(), Error::StepNotPositive { step: 0 });
        assert!(run.at(i64::MAX - 2, 1).is_err());
        assert!(run.at(i64::MAX - 3, 1).is_ok());
        assert!(run.at(0, i64::MAX).is_err());
        assert!(run.with_validity(Validity::new(&[7], 62)).is_err());
        assert_eq!(run.with_validity(Validity::new(&[0b101], 0)).unwrap().get(1), None);
        assert_eq!(
            run.at(i64::MIN, i64::MAX / 2).unwrap().time(3),
            i64::MIN + i64::MAX / 2 * 2 + i64::MAX / 2
        );
        assert!(!Validity::new(&[1], usize::MAX).get(1));
        assert_eq!(run.slice(1..3).get(1), Some(3));
        assert_eq!(run.at(10, 5).unwrap().slice(1..3).time(0), 15);
    }
}
