//! Samples into buckets: the one loop every aggregation goes through.

use std::ops::Range;

use crate::block::Scratch;
use crate::{Error, Gate, Level, Sample, SampleRun, State, Statistic};

/// How samples fall into buckets: `per_bucket` samples each, of which the first bucket has `offset` before the run.
///
/// ```text
///   per_bucket = 4, offset = 3          │· · · x│x x x x│x x . .│
///                                        bucket 0   1       2
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    per_bucket: usize,
    offset: usize,
}

impl Grid {
    /// Buckets of `per_bucket` samples. `offset` is the place of the run's first sample in its bucket; whole buckets
    /// in it are ignored, so the place of the first sample in a longer series will do.
    ///
    /// # Errors
    /// `per_bucket` is 0.
    pub fn new(per_bucket: usize, offset: usize) -> Result<Grid, Error> {
        if per_bucket == 0 {
            return Err(Error::EmptyBucket);
        }
        Ok(Grid { per_bucket, offset: offset % per_bucket })
    }

    /// How many buckets a run of `len` samples touches.
    pub fn buckets(self, len: usize) -> usize {
        if len == 0 { 0 } else { self.bucket_of(len - 1) + 1 }
    }

    /// The bucket of sample `index`. `offset` is below `per_bucket`, so the sum is only beyond `usize` for runs that
    /// no memory holds.
    fn bucket_of(self, index: usize) -> usize {
        (index / self.per_bucket) + (index % self.per_bucket >= self.per_bucket - self.offset) as usize
    }

    /// The place of sample `index` in its bucket.
    fn place_of(self, index: usize) -> usize {
        let place = index % self.per_bucket;
        let before_end = self.per_bucket - self.offset;
        if place >= before_end { place - before_end } else { place + self.offset }
    }
}

/// Folds a run into one state per bucket, with the fastest instructions of the machine. Empty runs have no buckets.
///
/// # Errors
/// The state does not take samples of this type ([`Error::BitwiseOnFloat`]).
pub fn fold<S: State, T: Sample>(run: SampleRun<'_, T>, grid: Grid) -> Result<Vec<S>, Error> {
    fold_at(Level::best(), run, grid)
}

/// As [`fold`], with the instructions of `level`. All levels give the same bits.
///
/// # Errors
/// As [`fold`].
pub fn fold_at<S: State, T: Sample>(
    level: Level,
    run: SampleRun<'_, T>,
    grid: Grid,
) -> Result<Vec<S>, Error> {
    S::accept::<T>()?;
    let mut scratch = Scratch::new(level);
    let mut states = Vec::with_capacity(grid.buckets(run.len()));
    let mut begin = 0;
    let mut room = grid.per_bucket - grid.offset;
    while begin < run.len() {
        let end = begin + room.min(run.len() - begin);
        S::append(&mut states, run.slice(begin..end), &mut scratch);
        begin = end;
        room = grid.per_bucket;
    }
    Ok(states)
}

/// The states of one piece of a run, and where they belong.
#[derive(Clone, Debug, PartialEq)]
pub struct Partial<S> {
    first_bucket: usize,
    states: Vec<S>,
}

/// Cuts a run of `len` samples into pieces of `piece_len`, for several threads to fold. The cuts depend on nothing
/// else, so neither does the result; `piece_len` 0 counts as 1.
pub fn pieces(len: usize, piece_len: usize) -> impl ExactSizeIterator<Item = Range<usize>> {
    let piece_len = piece_len.max(1);
    (0..len.div_ceil(piece_len)).map(move |index| {
        let begin = index * piece_len;
        begin..begin + piece_len.min(len - begin)
    })
}

/// Folds one piece of a run; any thread may do this at any time.
///
/// # Errors
/// As [`fold`].
///
/// # Panics
/// Where `piece` is not within the run, like a slice.
pub fn fold_piece<S: State, T: Sample>(
    run: SampleRun<'_, T>,
    grid: Grid,
    piece: Range<usize>,
) -> Result<Partial<S>, Error> {
    let inner = Grid { per_bucket: grid.per_bucket, offset: grid.place_of(piece.start) };
    let first_bucket = grid.bucket_of(piece.start);
    Ok(Partial { first_bucket, states: fold(run.slice(piece), inner)? })
}

/// Puts the pieces of a run together, in the order given: that of the run. Buckets that no piece touches stay empty.
pub fn merge_partials<S: State>(partials: impl IntoIterator<Item = Partial<S>>) -> Vec<S> {
    let mut merged: Vec<S> = Vec::new();
    for partial in partials {
        let end = partial.first_bucket + partial.states.len();
        if merged.len() < end {
            merged.resize_with(end, S::default);
        }
        for (state, later) in merged[partial.first_bucket..end].iter_mut().zip(&partial.states) {
            state.merge(later);
        }
    }
    merged
}

/// Merges fine buckets into coarse ones: `grid` counts states where it counted samples before.
pub fn coarsen<S: State>(states: &[S], grid: Grid) -> Vec<S> {
    let (head, body) = states.split_at(states.len().min(grid.per_bucket - grid.offset));
    let merge = |fine: &[S]| {
        let mut coarse = S::default();
        for state in fine {
            coarse.merge(state);
        }
        coarse
    };
    let head = (!head.is_empty()).then(|| merge(head));
    head.into_iter().chain(body.chunks(grid.per_bucket).map(merge)).collect()
}

/// Makes numbers of states: NaN where the gate does not pass (a count always does).
///
/// # Errors
/// The family does not hold what the statistic needs ([`Error::NotInFamily`]).
pub fn finish<S: State>(states: &[S], statistic: Statistic, gate: Gate) -> Result<Vec<f64>, Error> {
    if !S::FAMILY.answers(statistic) {
        return Err(Error::NotInFamily { statistic, family: S::FAMILY });
    }
    let mut numbers = Vec::with_capacity(states.len());
    append_numbers(states, statistic, gate, &mut numbers);
    Ok(numbers)
}

/// Appends the numbers of states whose family holds what the statistic needs. Each statistic has a loop of its own: a choice
/// within one would take longer than most of the numbers.
pub(crate) fn append_numbers<S: State>(
    states: &[S],
    statistic: Statistic,
    gate: Gate,
    numbers: &mut Vec<f64>,
) {
    macro_rules! with_constant {
        ($($name:ident)*) => {
            match statistic {
                $(Statistic::$name => {
                    numbers.extend(states.iter().map(|state| number(state, Statistic::$name, gate)));
                })*
            }
        };
    }
    with_constant!(
        Mean MeanPolarDeg Min Max Std Rms Sum MinBitwise MaxBitwise Count First Last Median
    );
}

#[inline(always)]
fn number<S: State>(state: &S, statistic: Statistic, gate: Gate) -> f64 {
    match state.value(statistic) {
        // Which NaN arithmetic makes depends on the machine; this one does not.
        Some(value) if !value.is_nan() && (!statistic.is_gated() || gate.passes(state.valid())) => value,
        _ => f64::NAN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Moments, Sums};

    fn counts(len: usize, grid: Grid) -> Vec<u64> {
        let states: Vec<Sums> = fold(SampleRun::new(&vec![1_u8; len]), grid).unwrap();
        states.iter().map(State::valid).collect()
    }

    #[test]
    fn samples_fall_into_their_buckets() {
        assert_eq!(counts(7, Grid::new(4, 3).unwrap()), [1, 4, 2]);
        assert_eq!(counts(8, Grid::new(4, 0).unwrap()), [4, 4]);
        assert_eq!(counts(2, Grid::new(4, 1).unwrap()), [2]);
        assert_eq!(counts(0, Grid::new(4, 1).unwrap()), []);
        assert_eq!(counts(2, Grid::new(4, 7).unwrap()), [1, 1]);
        assert_eq!(Grid::new(0, 0), Err(Error::EmptyBucket));
        assert_eq!(Grid::new(usize::MAX, usize::MAX - 1).unwrap().buckets(3), 2);
    }

    #[test]
    fn pieces_cover_the_run_once() {
        assert_eq!(pieces(7, 3).collect::<Vec<_>>(), [0..3, 3..6, 6..7]);
        assert_eq!(pieces(0, 3).len(), 0);
        assert_eq!(pieces(2, 0).len(), 2);
    }

    #[test]
    fn coarse_buckets_are_merged_fine_ones() {
        let values: Vec<i32> = (0..20).collect();
        let fine: Vec<Moments> = fold(SampleRun::new(&values), Grid::new(2, 0).unwrap()).unwrap();
        let coarse = coarsen(&fine, Grid::new(4, 1).unwrap());
        let gate = Gate::new(8, 0.0).unwrap();
        assert_eq!(finish(&coarse, Statistic::Sum, gate).unwrap(), [15.0, 76.0, 99.0]);
        assert_eq!(coarsen::<Sums>(&[], Grid::new(4, 1).unwrap()), []);
    }

    #[test]
    fn a_family_says_what_it_can_not_answer() {
        let error = finish::<Sums>(&[], Statistic::Std, Gate::new(1, 1.0).unwrap()).unwrap_err();
        assert_eq!(error.to_string(), "std can't be computed from sums states; it needs moments");
    }
}
