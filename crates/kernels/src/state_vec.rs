//! The same for callers that learn sample type and family at run time: from a file, a path, a request.

use std::ops::Range;

use crate::codec::Encode;
use crate::{
    Bits, CodecError, Edges, Error, Family, Gate, Grid, Moments, Polar, Quantiles, SampleRun, State,
    Statistic, Sums, coarsen, decode, encode, finish, finish_encoded, fold,
};

macro_rules! any_run {
    ($($variant:ident $t:ty),*) => {
        /// A run of samples of any of the ten types.
        #[derive(Clone, Copy, Debug)]
        pub enum AnyRun<'a> {
            $(
                #[doc = concat!("Samples of type `", stringify!($t), "`.")]
                $variant(SampleRun<'a, $t>),
            )*
        }

        $(
            impl<'a> From<SampleRun<'a, $t>> for AnyRun<'a> {
                fn from(run: SampleRun<'a, $t>) -> AnyRun<'a> {
                    AnyRun::$variant(run)
                }
            }
        )*

        impl AnyRun<'_> {
            /// How many samples, valid or not.
            pub fn len(&self) -> usize {
                match self { $(AnyRun::$variant(run) => run.len()),* }
            }

            /// Whether there is no sample at all.
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            fn fold<S: State>(self, grid: Grid) -> Result<Vec<S>, Error> {
                match self { $(AnyRun::$variant(run) => fold(run, grid)),* }
            }

            /// As [`resample`](crate::resample()).
            ///
            /// # Errors
            /// A step of zero or less, or times beyond `i64`.
            pub fn resample(self, begin: i64, step: i64, out: &mut [f64]) -> Result<(), Error> {
                match self { $(AnyRun::$variant(run) => crate::resample(run, begin, step, out)),* }
            }
        }
    };
}

any_run!(U8 u8, I8 i8, U16 u16, I16 i16, U32 u32, I32 i32, U64 u64, I64 i64, F32 f32, F64 f64);

/// One state per bucket, all of one family.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum StateVec {
    /// Of [`Family::Sums`].
    Sums(Vec<Sums>),
    /// Of [`Family::Moments`].
    Moments(Vec<Moments>),
    /// Of [`Family::Polar`].
    Polar(Vec<Polar>),
    /// Of [`Family::Bits`].
    Bits(Vec<Bits>),
    /// Of [`Family::Edges`].
    Edges(Vec<Edges>),
    /// Of [`Family::Quantiles`].
    Quantiles(Vec<Quantiles>),
}

/// Runs one expression for whichever family there is.
macro_rules! with_states {
    ($value:expr, $states:ident => $body:expr) => {
        match $value {
            StateVec::Sums($states) => $body,
            StateVec::Moments($states) => $body,
            StateVec::Polar($states) => $body,
            StateVec::Bits($states) => $body,
            StateVec::Edges($states) => $body,
            StateVec::Quantiles($states) => $body,
        }
    };
}

impl StateVec {
    /// As [`fold()`].
    ///
    /// # Errors
    /// Bits of floating-point samples.
    pub fn fold(family: Family, run: AnyRun<'_>, grid: Grid) -> Result<StateVec, Error> {
        Ok(match family {
            Family::Sums => StateVec::Sums(run.fold(grid)?),
            Family::Moments => StateVec::Moments(run.fold(grid)?),
            Family::Polar => StateVec::Polar(run.fold(grid)?),
            Family::Bits => StateVec::Bits(run.fold(grid)?),
            Family::Edges => StateVec::Edges(run.fold(grid)?),
            Family::Quantiles => StateVec::Quantiles(run.fold(grid)?),
        })
    }

    /// The states of buckets without samples.
    pub fn empty(family: Family, buckets: usize) -> StateVec {
        fn states<S: State>(buckets: usize) -> Vec<S> {
            vec![S::default(); buckets]
        }
        match family {
            Family::Sums => StateVec::Sums(states(buckets)),
            Family::Moments => StateVec::Moments(states(buckets)),
            Family::Polar => StateVec::Polar(states(buckets)),
            Family::Bits => StateVec::Bits(states(buckets)),
            Family::Edges => StateVec::Edges(states(buckets)),
            Family::Quantiles => StateVec::Quantiles(states(buckets)),
        }
    }

    /// The family of the states.
    pub fn family(&self) -> Family {
        fn family<S: State>(_: &[S]) -> Family {
            S::FAMILY
        }
        with_states!(self, states => family(states))
    }

    /// How many buckets.
    pub fn len(&self) -> usize {
        with_states!(self, states => states.len())
    }

    /// Whether there are no buckets.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn capacity(&self) -> usize {
        with_states!(self, states => states.capacity())
    }

    /// Merges later states in, bucket by bucket.
    ///
    /// # Errors
    /// Another family, or another number of buckets; nothing is merged then.
    pub fn merge(&mut self, later: &StateVec) -> Result<(), Error> {
        fn merge<S: State>(left: &mut [S], right: &[S]) -> Result<(), Error> {
            if left.len() != right.len() {
                return Err(Error::LengthsDiffer { left: left.len(), right: right.len() });
            }
            left.iter_mut().zip(right).for_each(|(state, later)| state.merge(later));
            Ok(())
        }
        match (self, later) {
            (StateVec::Sums(left), StateVec::Sums(right)) => merge(left, right),
            (StateVec::Moments(left), StateVec::Moments(right)) => merge(left, right),
            (StateVec::Polar(left), StateVec::Polar(right)) => merge(left, right),
            (StateVec::Bits(left), StateVec::Bits(right)) => merge(left, right),
            (StateVec::Edges(left), StateVec::Edges(right)) => merge(left, right),
            (StateVec::Quantiles(left), StateVec::Quantiles(right)) => merge(left, right),
            (left, right) => Err(Error::FamiliesDiffer { left: left.family(), right: right.family() }),
        }
    }

    /// As [`coarsen()`].
    pub fn coarsen(&self, grid: Grid) -> StateVec {
        match self {
            StateVec::Sums(states) => StateVec::Sums(coarsen(states, grid)),
            StateVec::Moments(states) => StateVec::Moments(coarsen(states, grid)),
            StateVec::Polar(states) => StateVec::Polar(coarsen(states, grid)),
            StateVec::Bits(states) => StateVec::Bits(coarsen(states, grid)),
            StateVec::Edges(states) => StateVec::Edges(coarsen(states, grid)),
            StateVec::Quantiles(states) => StateVec::Quantiles(coarsen(states, grid)),
        }
    }

    /// As [`coarsen()`], of the states in `range` alone.
    ///
    /// # Panics
    /// Where the range is not within the states, like a slice.
    pub fn coarsen_range(&self, range: Range<usize>, grid: Grid) -> StateVec {
        match self {
            StateVec::Sums(states) => StateVec::Sums(coarsen(&states[range], grid)),
            StateVec::Moments(states) => StateVec::Moments(coarsen(&states[range], grid)),
            StateVec::Polar(states) => StateVec::Polar(coarsen(&states[range], grid)),
            StateVec::Bits(states) => StateVec::Bits(coarsen(&states[range], grid)),
            StateVec::Edges(states) => StateVec::Edges(coarsen(&states[range], grid)),
            StateVec::Quantiles(states) => StateVec::Quantiles(coarsen(&states[range], grid)),
        }
    }

    /// As [`finish()`], of the states in `range` alone.
    ///
    /// # Errors
    /// The family does not hold what the statistic needs.
    ///
    /// # Panics
    /// Where the range is not within the states, like a slice.
    pub fn finish_range(
        &self,
        range: Range<usize>,
        statistic: Statistic,
        gate: Gate,
    ) -> Result<Vec<f64>, Error> {
        with_states!(self, states => finish(&states[range], statistic, gate))
    }

    /// Makes room for so many states more.
    pub fn reserve(&mut self, states: usize) {
        with_states!(self, all => all.reserve(states));
    }

    /// Whether a state holds any valid sample.
    ///
    /// # Panics
    /// Where there is no state of this number, like a slice.
    pub fn is_filled(&self, index: usize) -> bool {
        with_states!(self, states => states[index].valid() > 0)
    }

    /// The states of these numbers, in this order.
    ///
    /// # Panics
    /// Where there is no state of a number, like a slice.
    pub fn select(&self, indices: impl IntoIterator<Item = usize>) -> StateVec {
        fn select<S: State>(states: &[S], indices: impl IntoIterator<Item = usize>) -> Vec<S> {
            indices.into_iter().map(|index| states[index].clone()).collect()
        }
        match self {
            StateVec::Sums(states) => StateVec::Sums(select(states, indices)),
            StateVec::Moments(states) => StateVec::Moments(select(states, indices)),
            StateVec::Polar(states) => StateVec::Polar(select(states, indices)),
            StateVec::Bits(states) => StateVec::Bits(select(states, indices)),
            StateVec::Edges(states) => StateVec::Edges(select(states, indices)),
            StateVec::Quantiles(states) => StateVec::Quantiles(select(states, indices)),
        }
    }

    /// Adds states behind the last one.
    ///
    /// # Errors
    /// Another family; nothing is added then.
    pub fn append(&mut self, later: StateVec) -> Result<(), Error> {
        match (self, later) {
            // What comes first comes as it is.
            (states, later) if states.capacity() == 0 && states.family() == later.family() => *states = later,
            (StateVec::Sums(states), StateVec::Sums(later)) => states.extend(later),
            (StateVec::Moments(states), StateVec::Moments(later)) => states.extend(later),
            (StateVec::Polar(states), StateVec::Polar(later)) => states.extend(later),
            (StateVec::Bits(states), StateVec::Bits(later)) => states.extend(later),
            (StateVec::Edges(states), StateVec::Edges(later)) => states.extend(later),
            (StateVec::Quantiles(states), StateVec::Quantiles(later)) => states.extend(later),
            (states, later) => {
                return Err(Error::FamiliesDiffer { left: states.family(), right: later.family() });
            }
        }
        Ok(())
    }

    /// Puts states in the place of those of these numbers: one after the other, as long as there are both.
    ///
    /// # Errors
    /// Another family; nothing is replaced then.
    ///
    /// # Panics
    /// Where there is no state of a number, like a slice.
    pub fn put(&mut self, indices: impl IntoIterator<Item = usize>, new: StateVec) -> Result<(), Error> {
        fn put<S: State>(states: &mut [S], indices: impl IntoIterator<Item = usize>, new: Vec<S>) {
            indices.into_iter().zip(new).for_each(|(index, state)| states[index] = state);
        }
        match (self, new) {
            (StateVec::Sums(states), StateVec::Sums(new)) => put(states, indices, new),
            (StateVec::Moments(states), StateVec::Moments(new)) => put(states, indices, new),
            (StateVec::Polar(states), StateVec::Polar(new)) => put(states, indices, new),
            (StateVec::Bits(states), StateVec::Bits(new)) => put(states, indices, new),
            (StateVec::Edges(states), StateVec::Edges(new)) => put(states, indices, new),
            (StateVec::Quantiles(states), StateVec::Quantiles(new)) => put(states, indices, new),
            (states, new) => {
                return Err(Error::FamiliesDiffer { left: states.family(), right: new.family() });
            }
        }
        Ok(())
    }

    /// Removes the first states, at most `count`.
    pub fn remove_first(&mut self, count: usize) {
        with_states!(self, states => drop(states.drain(..count.min(states.len()))));
    }

    /// As [`finish()`].
    ///
    /// # Errors
    /// The family does not hold what the statistic needs.
    pub fn finish(&self, statistic: Statistic, gate: Gate) -> Result<Vec<f64>, Error> {
        with_states!(self, states => finish(states, statistic, gate))
    }

    /// As [`encode()`].
    pub fn encode(&self) -> Vec<u8> {
        with_states!(self, states => encode(states))
    }

    /// As [`finish_encoded()`].
    ///
    /// # Errors
    /// Anything but whole states of this family; it does not hold what a statistic needs.
    pub fn finish_encoded(
        family: Family,
        bytes: &[u8],
        statistics: &[Statistic],
        gate: Gate,
    ) -> Result<Vec<Vec<f64>>, Error> {
        match family {
            Family::Sums => finish_encoded::<Sums>(bytes, statistics, gate),
            Family::Moments => finish_encoded::<Moments>(bytes, statistics, gate),
            Family::Polar => finish_encoded::<Polar>(bytes, statistics, gate),
            Family::Bits => finish_encoded::<Bits>(bytes, statistics, gate),
            Family::Edges => finish_encoded::<Edges>(bytes, statistics, gate),
            Family::Quantiles => finish_encoded::<Quantiles>(bytes, statistics, gate),
        }
    }

    /// As [`decode()`].
    ///
    /// # Errors
    /// Anything but whole states of this family.
    pub fn decode(family: Family, bytes: &[u8]) -> Result<StateVec, CodecError> {
        fn states<S: Encode>(bytes: &[u8]) -> Result<Vec<S>, CodecError> {
            decode(bytes)
        }
        Ok(match family {
            Family::Sums => StateVec::Sums(states(bytes)?),
            Family::Moments => StateVec::Moments(states(bytes)?),
            Family::Polar => StateVec::Polar(states(bytes)?),
            Family::Bits => StateVec::Bits(states(bytes)?),
            Family::Edges => StateVec::Edges(states(bytes)?),
            Family::Quantiles => StateVec::Quantiles(states(bytes)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(states: &StateVec) -> Vec<f64> {
        states.finish(Statistic::Count, Gate::new(1, 0.0).unwrap()).unwrap()
    }

    #[test]
    fn states_are_picked_replaced_and_strung_together() {
        let samples = [1.0, f64::NAN, f64::NAN, f64::NAN, 5.0, 6.0];
        for family in [Family::Sums, Family::Moments, Family::Polar, Family::Edges, Family::Quantiles] {
            let grid = Grid::new(2, 0).unwrap();
            let mut states = StateVec::fold(family, SampleRun::new(&samples).into(), grid).unwrap();
            assert_eq!([0, 1, 2].map(|index| states.is_filled(index)), [true, false, true]);
            assert_eq!(counts(&states.select([2, 0])), [2.0, 1.0]);
            assert_eq!(counts(&states.coarsen_range(1..3, grid)), [2.0]);
            states.append(states.select([2])).unwrap();
            states.put([1, 0], states.select([3, 1])).unwrap();
            assert_eq!(counts(&states), [0.0, 2.0, 2.0, 2.0]);
            states.remove_first(1);
            assert_eq!(counts(&states), [2.0, 2.0, 2.0]);
            states.remove_first(9);
            assert!(states.is_empty());
            assert!(states.append(StateVec::empty(Family::Bits, 1)).is_err());
            assert!(states.put([], StateVec::empty(Family::Bits, 1)).is_err());
        }
    }
}
