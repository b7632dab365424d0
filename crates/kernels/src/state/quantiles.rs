//! {n, how often each value}: the middle of the samples.
//!
//! A median can't be had from a few sums. What is kept is the multiset of the values, as long as it is small: up to
//! [`LARGEST_EXACT`] different values, which no bucket of ten minutes at 100 Hz can exceed, the median is exact. Above
//! that, neighbouring values share an entry: the bits of an `f64`, mapped so that they sort like the numbers, are
//! shifted right until few enough different ones are left (the uniform collapse of Epicoco, Melle, Cafaro, Pulimeno
//! and Morleo 2020, "UDDSketch: accurate tracking of quantiles in data streams", with the bins of IEEE 754 in place
//! of logarithms).
//!
//! The shift is the smallest one that fits, so it depends on the set of values alone. A part never needs a larger
//! shift than the whole, hence merged parts are the whole to the last bit, in whatever order.

use std::borrow::Cow;

use super::{LARGEST_COUNT, add_counts};
use crate::block::Scratch;
use crate::{Family, Sample, SampleRun, State, Statistic};

/// How many different values are told apart; 1 MiB of entries.
pub(crate) const LARGEST_EXACT: usize = 65_536;

/// Keys that wait to be sorted in. They are sorted a quarter million at a time.
const LARGEST_PENDING: usize = 4 * LARGEST_EXACT;

/// Samples of a state that is small enough to be taken apart again when it is merged.
const FEW: u64 = 4096;

/// The multiset of the valid samples, coarsened where it would grow too large.
///
/// | statistic | from the state |
/// |---|---|
/// | count | n |
/// | median | the entry of rank n/2, or the mean of those of rank n/2 - 1 and n/2 |
#[derive(Clone, Debug, Default)]
pub struct Quantiles {
    /// Bits dropped from each key in `entries`.
    pub(crate) shift: u32,
    /// Shifted key and how often it occurs, sorted by key.
    pub(crate) entries: Vec<(u64, u64)>,
    /// Whole keys not yet in `entries`, in any order.
    pending: Vec<u64>,
}

impl Quantiles {
    /// Largest error of the middle values, relative to their size. Zero, that is exact, up to 65 536 different values
    /// in the bucket; beyond that 2^(shift-53), where `shift` is how far the values had to be coarsened: about 10⁻⁴ for
    /// any number of values spread over three decades. (Numbers below 2·10⁻³⁰⁸ have fewer digits to begin with.)
    pub fn relative_error_bound(&self) -> f64 {
        match self.settled().shift {
            0 => 0.0,
            shift => (f64::from(shift) - 53.0).exp2(),
        }
    }

    /// A state from its parts, as the codec reads them.
    pub(crate) fn from_entries(shift: u32, entries: Vec<(u64, u64)>) -> Quantiles {
        Quantiles { shift, entries, pending: Vec::new() }
    }

    /// The same state with nothing pending: the one form that is compared and written.
    pub(crate) fn settled(&self) -> Cow<'_, Quantiles> {
        if self.pending.is_empty() {
            return Cow::Borrowed(self);
        }
        let mut settled = self.clone();
        settled.settle();
        Cow::Owned(settled)
    }

    #[inline]
    fn push_pending(&mut self, key: u64) {
        if self.pending.len() == LARGEST_PENDING {
            self.settle();
        }
        self.pending.push(key);
    }

    fn settle(&mut self) {
        self.pending.sort_unstable();
        let mut later = Quantiles { shift: 0, ..Quantiles::default() };
        for key in self.pending.drain(..) {
            push(&mut later.entries, key, 1);
        }
        self.merge_entries(&later.entries, later.shift);
    }

    /// Merges sorted entries in and coarsens until they fit.
    fn merge_entries(&mut self, later: &[(u64, u64)], later_shift: u32) {
        let shift = self.shift.max(later_shift);
        let shifted = |&(key, count): &(u64, u64), from: u32| (key >> (shift - from), count);
        let mut merged = Vec::with_capacity(self.entries.len().max(later.len()));
        let mut room = LARGEST_COUNT;
        let mut left = self.entries.iter().map(|entry| shifted(entry, self.shift)).peekable();
        let mut right = later.iter().map(|entry| shifted(entry, later_shift)).peekable();
        while let Some((key, count)) = match (left.peek(), right.peek()) {
            (Some(a), Some(b)) if b.0 < a.0 => right.next(),
            (Some(_), _) => left.next(),
            (None, _) => right.next(),
        } {
            let count = count.min(room);
            room -= count;
            if count > 0 {
                push(&mut merged, key, count);
            }
        }
        self.shift = shift;
        while merged.len() > LARGEST_EXACT {
            self.shift += 1;
            let mut coarser = Vec::with_capacity(merged.len());
            for (key, count) in merged {
                push(&mut coarser, key >> 1, count);
            }
            merged = coarser;
        }
        self.entries = merged;
    }

    fn median(&self) -> f64 {
        let n = self.valid();
        if n == 0 {
            return f64::NAN;
        }
        let (low, high) = ((n - 1) / 2, n / 2);
        if self.entries.is_empty() && self.pending.len() <= LARGEST_EXACT {
            // Nothing to coarsen, so nothing to sort either: selection finds the same two values.
            let mut keys = self.pending.clone();
            let (below, &mut upper, _) = keys.select_nth_unstable(high as usize);
            let lower = if low == high { Some(upper) } else { below.iter().copied().max() };
            return middle(lower.unwrap_or(upper), upper, 0);
        }
        let settled = self.settled();
        middle(settled.key_of_rank(low), settled.key_of_rank(high), settled.shift)
    }

    /// The entry that holds the value of `rank`, which is below n.
    fn key_of_rank(&self, rank: u64) -> u64 {
        let mut below = 0;
        for &(key, count) in &self.entries {
            below += count;
            if rank < below {
                return key;
            }
        }
        self.entries.last().map_or(0, |entry| entry.0)
    }
}

/// Equality of the multisets, whatever is still pending.
impl PartialEq for Quantiles {
    fn eq(&self, other: &Quantiles) -> bool {
        let (a, b) = (self.settled(), other.settled());
        a.shift == b.shift && a.entries == b.entries
    }
}

impl State for Quantiles {
    const FAMILY: Family = Family::Quantiles;

    fn append<T: Sample>(states: &mut Vec<Quantiles>, run: SampleRun<'_, T>, _: &mut Scratch) {
        let mut quantiles = Quantiles::default();
        for x in (0..run.len()).filter_map(|index| run.get(index)) {
            quantiles.push_pending(to_key(x.to_f64()));
        }
        states.push(quantiles);
    }

    fn merge(&mut self, later: &Quantiles) {
        // Sorted entries are merged by copying all of them, so those of small states wait with the rest.
        if later.shift == 0 && later.valid() <= FEW {
            for &(key, count) in &later.entries {
                (0..count).for_each(|_| self.push_pending(key));
            }
        } else if !later.entries.is_empty() {
            self.merge_entries(&later.entries, later.shift);
        }
        for &key in &later.pending {
            self.push_pending(key);
        }
    }

    fn valid(&self) -> u64 {
        let settled = self.entries.iter().map(|entry| entry.1).sum::<u64>();
        add_counts(settled, self.pending.len() as u64)
    }

    fn value(&self, statistic: Statistic) -> Option<f64> {
        match statistic {
            Statistic::Count => Some(self.valid() as f64),
            Statistic::Median => Some(self.median()),
            _ => None,
        }
    }
}

/// Appends to sorted entries.
#[inline(always)]
fn push(entries: &mut Vec<(u64, u64)>, key: u64, count: u64) {
    match entries.last_mut() {
        Some(last) if last.0 == key => last.1 += count,
        _ => entries.push((key, count)),
    }
}

/// Bits that sort as the numbers do, -0.0 below 0.0 (the order of `f64::total_cmp`).
#[inline(always)]
fn to_key(x: f64) -> u64 {
    let bits = x.to_bits();
    bits ^ (((bits as i64 >> 63) as u64) | 1 << 63)
}

fn from_key(key: u64) -> f64 {
    f64::from_bits(if key >> 63 == 1 { key ^ 1 << 63 } else { !key })
}

/// The value in the middle of an entry; zero for one that holds a zero, next to which all others are nothing. The
/// patterns beyond the infinities are NaN, which no sample is.
fn representative(key: u64, shift: u32) -> f64 {
    for zero in [-0.0, 0.0] {
        if key == to_key(zero) >> shift {
            return zero;
        }
    }
    let half = if shift == 0 { 0 } else { 1 << (shift - 1) };
    from_key(((key << shift) | half).clamp(to_key(f64::NEG_INFINITY), to_key(f64::INFINITY)))
}

/// The entries that the infinities fall into at a shift; no key lies beyond them.
pub(crate) fn key_range(shift: u32) -> std::ops::RangeInclusive<u64> {
    to_key(f64::NEG_INFINITY) >> shift..=to_key(f64::INFINITY) >> shift
}

/// The mean of two values; without overflow, and NaN between the two infinities.
fn middle(low: u64, high: u64, shift: u32) -> f64 {
    f64::midpoint(representative(low, shift), representative(high, shift))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Grid, fold};

    fn quantiles(values: &[f64]) -> Quantiles {
        let grid = Grid::new(values.len().max(1), 0).unwrap();
        fold(SampleRun::new(values), grid).unwrap().pop().unwrap_or_default()
    }

    #[test]
    fn medians_checkable_by_hand() {
        assert_eq!(quantiles(&[3.0, 1.0, 2.0]).median(), 2.0);
        assert_eq!(quantiles(&[4.0, 1.0, 3.0, 2.0]).median(), 2.5);
        assert_eq!(quantiles(&[-5.0, f64::NAN]).median(), -5.0);
        assert_eq!(quantiles(&[f64::MAX, f64::MAX]).median(), f64::MAX);
        assert_eq!(quantiles(&[f64::NEG_INFINITY, 1.0, f64::INFINITY]).median(), 1.0);
        assert!(quantiles(&[f64::NEG_INFINITY, f64::INFINITY]).median().is_nan());
        assert!(quantiles(&[]).median().is_nan());
    }

    #[test]
    fn selection_and_sorted_entries_agree() {
        let values: Vec<f64> = (0..1001).map(|i| f64::from(i * 7919 % 1009) - 500.0).collect();
        let state = quantiles(&values);
        let settled = state.settled().into_owned();
        assert!(settled.pending.is_empty() && settled == state);
        assert_eq!(settled.median(), state.median());
        assert_eq!(settled.valid(), 1001);
    }

    #[test]
    fn too_many_values_are_coarsened_within_the_bound() {
        // 200 000 different values between 1 and 1000, in a scattered order; their median is known.
        let n = 200_001_u64;
        let values: Vec<f64> =
            (0..n).map(|i| 1.0 + (i * 77_773 % n) as f64 * 999.0 / (n - 1) as f64).collect();
        let whole = quantiles(&values);
        let bound = whole.relative_error_bound();
        assert!(bound > 0.0 && bound < 2e-4, "{bound}");
        assert!((whole.median() / 500.5 - 1.0).abs() <= bound, "{}", whole.median());
        assert_eq!(quantiles(&values[..65_536]).relative_error_bound(), 0.0);

        let mut merged = quantiles(&values[123_456..]);
        merged.merge(&quantiles(&values[..123_456]));
        assert_eq!(merged, whole);
        assert_eq!(merged.median().to_bits(), whole.median().to_bits());
    }

    #[test]
    fn a_coarsened_zero_is_zero() {
        let scattered = (0..150_000_u32).map(|i| f64::from(i).sqrt() * if i % 2 == 0 { 1.0 } else { -1.0 });
        let values: Vec<f64> = scattered.chain(std::iter::repeat_n(0.0, 150_000)).collect();
        let state = quantiles(&values);
        assert!(state.relative_error_bound() > 0.0);
        assert_eq!(state.median(), 0.0);
    }

    #[test]
    fn keys_sort_like_numbers_and_come_back() {
        let mut last = None;
        for x in [f64::NEG_INFINITY, -1.0, -5e-324, -0.0, 0.0, 5e-324, 1.0, f64::INFINITY] {
            assert_eq!(from_key(to_key(x)).to_bits(), x.to_bits());
            assert!(last < Some(to_key(x)));
            last = Some(to_key(x));
        }
        for shift in [1, 20, 52, 60] {
            for x in [f64::INFINITY, f64::NEG_INFINITY] {
                assert!(!representative(to_key(x) >> shift, shift).is_nan());
            }
        }
    }
}
