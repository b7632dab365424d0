//! The laws that every state obeys, and the plain formulas its numbers are held against.
//!
//! For the tests of this crate, and of all those that carry states about (feature `testing`). Each law is a function of
//! samples that returns the first [`Violation`] it finds, so it works with any source of samples and any test harness.
//!
//! ```
//! use sheaf_kernels::testing::{check_sequential, check_split_anywhere};
//! use sheaf_kernels::{Grid, SampleRun, Statistic};
//!
//! let samples = [3, 1, 4, 1, 5, 9, 2, 6];
//! let run = SampleRun::new(&samples);
//! for statistic in Statistic::ALL {
//!     check_split_anywhere(statistic, run, &[2, 3, 7], Grid::new(5, 0)?)?;
//!     check_sequential(statistic, run, Grid::new(5, 0)?)?;
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! How far two ways to one number may be apart, with x₁…xₙ the valid samples of a bucket and ε = 2⁻⁵²:
//!
//! | statistic | bound |
//! |---|---|
//! | sum | 10⁻¹²·Σ\|x\|; none where Σ\|x\| is beyond `f64` |
//! | mean | 10⁻¹²·Σ\|x\|/n |
//! | std | 2·ε·n·(1 + (mean/std)²), relative; none where (nx)² is beyond `f64` |
//! | rms | 2·ε·n, relative; none where (nx)² is beyond `f64` |
//! | mean_polar_deg | parts: none at all; sequential: what the formula loses in the sum of the unit vectors |
//! | median | parts: none at all; sequential: [`Quantiles::relative_error_bound`] |
//! | all others | the same bits |
//!
//! Numbers below the normal ones have fewer digits, so there a few units of 2⁻¹⁰⁷⁴ are added (and its root for std and
//! rms, which go through squares). Why a factor of 2: with two samples, each side's std is made by up to seven roundings
//! of ε/2, whereas ε·n alone would allow for four on both sides together.

use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use crate::{
    AnyRun, Bits, CodecError, Edges, Encode, Error, Family, Gate, Grid, Level, Moments, Partial, Polar,
    Quantiles, Sample, SampleRun, State, StateVec, Statistic, Sums, coarsen, decode, encode, finish,
    finish_encoded, fold, fold_at, fold_piece, merge_partials, pieces,
};

/// A law that does not hold, and where.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Violation {
    /// Two ways to the same number disagree.
    Number {
        /// The law.
        law: &'static str,
        /// The family of the states.
        family: Family,
        /// The number.
        statistic: Statistic,
        /// The bucket it belongs to.
        bucket: usize,
        /// What the law asks for.
        expected: f64,
        /// What there is.
        found: f64,
        /// How far they may be apart; 0 if not at all.
        allowed: f64,
    },
    /// Two ways to the same states give other bytes.
    Bytes {
        /// The law.
        law: &'static str,
        /// The family of the states.
        family: Family,
        /// What was done differently.
        variant: String,
        /// The first byte of the encoded states that differs.
        offset: usize,
    },
    /// Two ways to the same buckets give other numbers of them.
    Buckets {
        /// The law.
        law: &'static str,
        /// The family of the states.
        family: Family,
        /// Buckets that the law asks for.
        expected: usize,
        /// Buckets there are.
        found: usize,
    },
    /// The samples, or the question, were refused.
    Refused(Error),
    /// Bytes that had just been written were refused.
    Unreadable {
        /// The family of the states.
        family: Family,
        /// Why.
        error: CodecError,
    },
    /// Bytes that are refused as states became numbers, or were refused for another reason.
    Finished {
        /// The family of the states.
        family: Family,
        /// Why they are refused as states.
        refused: CodecError,
    },
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Violation::Number { law, family, statistic, bucket, expected, found, allowed } => {
                write!(f, "{law}: {statistic} of bucket {bucket} from {family} states is {found:?}, ")?;
                write!(f, "expected {expected:?}")?;
                if *allowed > 0.0 {
                    let apart = (found - expected).abs();
                    write!(f, " within {allowed:e} (they are {apart:e} apart)")?;
                }
                Ok(())
            }
            Violation::Bytes { law, family, variant, offset } => {
                write!(
                    f,
                    "{law}: {family} states differ with {variant}, from byte {offset} of their encoding on"
                )
            }
            Violation::Buckets { law, family, expected, found } => {
                write!(f, "{law}: {found} buckets of {family} states, expected {expected}")
            }
            Violation::Refused(error) => write!(f, "refused: {error}"),
            Violation::Unreadable { family, error } => {
                write!(f, "{family} states can't be read back: {error}")
            }
            Violation::Finished { family, refused } => {
                write!(f, "numbers of bytes that are no {family} states: {refused}")
            }
        }
    }
}

impl std::error::Error for Violation {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Violation::Refused(error) => Some(error),
            Violation::Unreadable { error, .. } | Violation::Finished { refused: error, .. } => Some(error),
            Violation::Number { .. } | Violation::Bytes { .. } | Violation::Buckets { .. } => None,
        }
    }
}

impl From<Error> for Violation {
    fn from(error: Error) -> Violation {
        Violation::Refused(error)
    }
}

/// Evaluates an expression for the run of whichever type there is.
macro_rules! with_run {
    ($run:expr, $typed:ident => $body:expr) => {
        match $run {
            AnyRun::U8($typed) => $body,
            AnyRun::I8($typed) => $body,
            AnyRun::U16($typed) => $body,
            AnyRun::I16($typed) => $body,
            AnyRun::U32($typed) => $body,
            AnyRun::I32($typed) => $body,
            AnyRun::U64($typed) => $body,
            AnyRun::I64($typed) => $body,
            AnyRun::F32($typed) => $body,
            AnyRun::F64($typed) => $body,
        }
    };
}

/// Evaluates an expression for the state type of a family.
macro_rules! with_state {
    ($family:expr, $state:ident => $body:expr) => {
        match $family {
            Family::Sums => {
                type $state = Sums;
                $body
            }
            Family::Moments => {
                type $state = Moments;
                $body
            }
            Family::Polar => {
                type $state = Polar;
                $body
            }
            Family::Bits => {
                type $state = Bits;
                $body
            }
            Family::Edges => {
                type $state = Edges;
                $body
            }
            Family::Quantiles => {
                type $state = Quantiles;
                $body
            }
        }
    };
}

/// *Split anywhere.* Folds the run whole, and in parts that end at `cuts`: the merged parts must answer `statistic` as
/// the whole does, merged from left to right and merged in pairs, in every family that knows it. States that promise
/// it must be the same to the bit.
///
/// `cuts` may come in any order and repeat (which makes empty parts); those beyond the run are ignored.
///
/// # Errors
/// The first difference.
pub fn check_split_anywhere<'a>(
    statistic: Statistic,
    run: impl Into<AnyRun<'a>>,
    cuts: &[usize],
    grid: Grid,
) -> Result<(), Violation> {
    let run = run.into();
    let mut cuts: Vec<usize> = cuts.iter().copied().filter(|cut| *cut <= run.len()).collect();
    cuts.extend([0, run.len()]);
    cuts.sort_unstable();
    let numbers = with_run!(run, run => Numbers::new("split anywhere", statistic, run, grid));
    for family in families_for(statistic, run) {
        with_state!(family, S => split_anywhere::<S>(&numbers, run, &cuts, grid))?;
    }
    Ok(())
}

fn split_anywhere<S: Encode>(
    numbers: &Numbers,
    run: AnyRun<'_>,
    cuts: &[usize],
    grid: Grid,
) -> Result<(), Violation> {
    let whole: Vec<S> = with_run!(run, run => fold(run, grid))?;
    let parts = cuts
        .windows(2)
        .map(|ends| piece(run, grid, ends[0]..ends[1]))
        .collect::<Result<Vec<Partial<S>>, Error>>()?;

    let mut in_pairs: Vec<Vec<S>> = Vec::new();
    for part in parts.iter().cloned() {
        let mut states = merge_partials([part]);
        states.resize(whole.len(), S::default());
        in_pairs.push(states);
    }
    while in_pairs.len() > 1 {
        in_pairs = in_pairs.chunks(2).map(merge_buckets).collect();
    }
    let left_to_right = merge_partials(parts);
    let in_pairs = in_pairs.pop().unwrap_or_default();

    let (law, statistic) = (numbers.law, numbers.statistic);
    for (states, variant) in [(left_to_right, "parts merged in a row"), (in_pairs, "parts merged in pairs")] {
        if merges_exactly(S::FAMILY) {
            check_bytes(law, S::FAMILY, variant, &encode(&whole), &encode(&states))?;
        }
        numbers.check(
            S::FAMILY,
            &finish(&whole, statistic, open()?)?,
            &finish(&states, statistic, open()?)?,
        )?;
    }
    Ok(())
}

/// *Coarsen.* Folds the run into buckets of `per_bucket` samples and merges `factor` of those at a time: this must
/// answer `statistic` as folding straight into the coarse buckets does. `offset` is the place of the first sample in
/// its coarse bucket.
///
/// # Errors
/// The first difference; `per_bucket` or `factor` of 0.
pub fn check_coarsen<'a>(
    statistic: Statistic,
    run: impl Into<AnyRun<'a>>,
    per_bucket: usize,
    factor: usize,
    offset: usize,
) -> Result<(), Violation> {
    let (law, run) = ("coarsen", run.into());
    let fine = Grid::new(per_bucket, offset)?;
    let coarse = Grid::new(per_bucket.saturating_mul(factor), offset)?;
    let of_states = Grid::new(factor, offset / per_bucket)?;
    let numbers = with_run!(run, run => Numbers::new(law, statistic, run, coarse));
    for family in families_for(statistic, run) {
        let straight = StateVec::fold(family, run, coarse)?;
        let merged = StateVec::fold(family, run, fine)?.coarsen(of_states);
        if merges_exactly(family) {
            check_bytes(law, family, "fine buckets", &straight.encode(), &merged.encode())?;
        }
        numbers.check(family, &straight.finish(statistic, open()?)?, &merged.finish(statistic, open()?)?)?;
    }
    Ok(())
}

/// *One answer.* Every family that knows `statistic` answers with the same bits, also after `factor` buckets are merged:
/// so the states that were kept answer as those that are folded anew, of whichever family either are.
///
/// # Errors
/// The first difference; a `factor` of 0.
pub fn check_one_answer<'a>(
    statistic: Statistic,
    run: impl Into<AnyRun<'a>>,
    grid: Grid,
    factor: usize,
) -> Result<(), Violation> {
    let (law, run) = ("one answer", run.into());
    let mut expected: Option<Vec<f64>> = None;
    for family in families_for(statistic, run) {
        let fine = StateVec::fold(family, run, grid)?;
        let mut found = fine.finish(statistic, open()?)?;
        found.extend(fine.coarsen(Grid::new(factor, 0)?).finish(statistic, open()?)?);
        let expected = expected.get_or_insert_with(|| found.clone());
        check_numbers(law, family, statistic, expected, &found)?;
    }
    Ok(())
}

/// Checks that these numbers of one statistic are the same, see [`same`].
fn check_numbers(
    law: &'static str,
    family: Family,
    statistic: Statistic,
    expected: &[f64],
    found: &[f64],
) -> Result<(), Violation> {
    match expected.iter().zip(found).position(|(&expected, &found)| !same(expected, found)) {
        None => Ok(()),
        Some(bucket) => {
            let (expected, found) = (expected[bucket], found[bucket]);
            Err(Violation::Number { law, family, statistic, bucket, expected, found, allowed: 0.0 })
        }
    }
}

/// *Sequential.* Every family that knows `statistic` answers as [`sequential`] does.
///
/// # Errors
/// The first difference.
pub fn check_sequential<'a>(
    statistic: Statistic,
    run: impl Into<AnyRun<'a>>,
    grid: Grid,
) -> Result<(), Violation> {
    let run = run.into();
    let numbers = with_run!(run, run => Numbers::new("sequential", statistic, run, grid));
    let expected: Vec<f64> = numbers.buckets.iter().map(|bucket| bucket.sequential(statistic)).collect();
    for family in families_for(statistic, run) {
        numbers.check(family, &expected, &StateVec::fold(family, run, grid)?.finish(statistic, open()?)?)?;
    }
    Ok(())
}

/// *Levels.* Every [`Level`] that this machine has makes the bits of [`Level::BASELINE`].
///
/// # Errors
/// The first level that differs. The family does not take these samples ([`Violation::Refused`]).
pub fn check_levels<'a>(family: Family, run: impl Into<AnyRun<'a>>, grid: Grid) -> Result<(), Violation> {
    let run = run.into();
    let encoded = |level: Level| -> Result<Vec<u8>, Error> {
        with_state!(family, S => with_run!(run, run => Ok(encode::<S>(&fold_at(level, run, grid)?))))
    };
    let baseline = encoded(Level::BASELINE)?;
    for level in Level::available() {
        check_bytes("levels", family, level.name(), &baseline, &encoded(level)?)?;
    }
    Ok(())
}

/// *Threads.* `threads` of them fold the pieces of the run, out of order; the bits are those of one thread in order.
///
/// # Errors
/// The bits differ. The family does not take these samples ([`Violation::Refused`]).
pub fn check_threads<'a>(
    family: Family,
    run: impl Into<AnyRun<'a>>,
    grid: Grid,
    piece_len: usize,
    threads: usize,
) -> Result<(), Violation> {
    let run = run.into();
    with_state!(family, S => same_bits_with_threads::<S>(run, grid, piece_len, threads))
}

fn same_bits_with_threads<S: Encode>(
    run: AnyRun<'_>,
    grid: Grid,
    piece_len: usize,
    threads: usize,
) -> Result<(), Violation> {
    let ranges: Vec<_> = pieces(run.len(), piece_len).collect();
    let in_order = ranges
        .iter()
        .map(|range| piece(run, grid, range.clone()))
        .collect::<Result<Vec<Partial<S>>, Error>>()?;

    // The pieces are handed out last first, every other one before those between.
    let odd = (0..ranges.len()).rev().filter(|index| index % 2 == 1);
    let even = (0..ranges.len()).rev().filter(|index| index % 2 == 0);
    let scrambled: Vec<usize> = odd.chain(even).collect();
    let next = AtomicUsize::new(0);
    let (sender, receiver) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            let (sender, scrambled, ranges, next) = (sender.clone(), &scrambled, &ranges, &next);
            scope.spawn(move || {
                while let Some(index) = scrambled.get(next.fetch_add(1, Ordering::Relaxed)) {
                    // The receiver outlives the scope, so sending can't fail.
                    let _ = sender.send((*index, piece(run, grid, ranges[*index].clone())));
                    std::thread::yield_now();
                }
            });
        }
    });
    drop(sender);
    let mut finished: Vec<(usize, Result<Partial<S>, Error>)> = receiver.iter().collect();
    finished.sort_by_key(|(index, _)| *index);
    let by_threads =
        finished.into_iter().map(|(_, partial)| partial).collect::<Result<Vec<Partial<S>>, Error>>()?;

    let (expected, found) = (merge_partials(in_order), merge_partials(by_threads));
    check_bytes("threads", S::FAMILY, &format!("{threads} threads"), &encode(&expected), &encode(&found))
}

/// *Codec.* States that were written and read back are the same ones, to the bit.
///
/// # Errors
/// What differs. The family does not take these samples ([`Violation::Refused`]).
pub fn check_codec<'a>(family: Family, run: impl Into<AnyRun<'a>>, grid: Grid) -> Result<(), Violation> {
    let run = run.into();
    let states = StateVec::fold(family, run, grid)?;
    let bytes = states.encode();
    let read = StateVec::decode(family, &bytes).map_err(|error| Violation::Unreadable { family, error })?;
    check_bytes("codec", family, "states read back", &bytes, &read.encode())?;
    let answered: Vec<Statistic> =
        Statistic::ALL.into_iter().filter(|statistic| family.answers(*statistic)).collect();
    let encoded = StateVec::finish_encoded(family, &bytes, &answered, open()?)?;
    for (&statistic, encoded) in answered.iter().zip(&encoded) {
        let (expected, found) = (states.finish(statistic, open()?)?, read.finish(statistic, open()?)?);
        check_numbers("codec", family, statistic, &expected, &found)?;
        check_numbers("codec", family, statistic, &expected, encoded)?;
    }
    Ok(())
}

/// *Bytes.* Bytes of any origin are refused, or are states whose bytes they are, and which can be used like any others.
///
/// # Errors
/// What was read is written differently.
///
/// # Panics
/// Where reading, merging or finishing does; none of them should.
pub fn check_bytes_of_any_origin(family: Family, bytes: &[u8]) -> Result<(), Violation> {
    with_state!(family, S => {
        let states = match decode::<S>(bytes) {
            Ok(states) => states,
            Err(refused) => {
                return match finish_encoded::<S>(bytes, &[Statistic::Count], open()?) {
                    Err(Error::Codec(error)) if error == refused => Ok(()),
                    _ => Err(Violation::Finished { family, refused }),
                };
            }
        };
        check_bytes("bytes", family, "states read", bytes, &encode(&states))?;
        let merged = coarsen(&states, Grid::new(2, 1)?);
        for statistic in Statistic::ALL.into_iter().filter(|statistic| family.answers(*statistic)) {
            let numbers = finish(&states, statistic, open()?)?;
            let encoded = finish_encoded::<S>(bytes, &[statistic], open()?)?.concat();
            check_numbers("bytes", family, statistic, &numbers, &encoded)?;
            finish(&merged, statistic, open()?)?;
        }
        Ok(())
    })
}

/// The statistic of samples taken one after the other, as its definition reads: slow, plain, and independent of the
/// states. NaN are missing samples.
///
/// These are the formulas of Nexus, but for what Sheaf defines otherwise: with no valid sample there is no number
/// except the count; unit vectors that cancel have no direction; a mean of infinities of one sign is that infinity;
/// of the two zeros -0.0 is the smaller one; a std with an infinity is NaN.
///
/// The bitwise ones take the samples for the whole numbers they are; [`sequential_integers`] has no limit of 2⁵³.
pub fn sequential(statistic: Statistic, samples: &[f64]) -> f64 {
    let x: Vec<f64> = samples.iter().copied().filter(|x| !x.is_nan()).collect();
    let n = x.len() as f64;
    if x.is_empty() && statistic != Statistic::Count {
        return f64::NAN;
    }
    let infinite = x.iter().any(|x| x.is_infinite());
    match statistic {
        Statistic::Count => n,
        // Infinities decide; the numbers beside them might overflow to the other one.
        Statistic::Mean | Statistic::Sum if infinite => x.iter().filter(|x| x.is_infinite()).sum(),
        Statistic::Mean => running_mean(x.iter().copied()),
        Statistic::MeanPolarDeg => match resultant(&x) {
            (sin, cos) if sin.hypot(cos) / n >= 1e-12 => {
                let degrees = sin.atan2(cos) / RADIANS_PER_DEGREE;
                if degrees < 0.0 { degrees + 360.0 } else { degrees }
            }
            _ => f64::NAN,
        },
        Statistic::Min => {
            x.iter().copied().reduce(|a, b| if b.total_cmp(&a).is_lt() { b } else { a }).unwrap_or(f64::NAN)
        }
        Statistic::Max => {
            x.iter().copied().reduce(|a, b| if b.total_cmp(&a).is_gt() { b } else { a }).unwrap_or(f64::NAN)
        }
        Statistic::Std if infinite || x.len() < 2 => f64::NAN,
        Statistic::Std => {
            let (mut t, mut v) = (x[0], 0.0);
            for (index, x) in x.iter().enumerate().skip(1) {
                let i = (index + 1) as f64;
                t += x;
                let d = i * x - t;
                v += d * d / (i * (i - 1.0));
            }
            (v / (n - 1.0)).sqrt()
        }
        Statistic::Rms if infinite => f64::INFINITY,
        Statistic::Rms => running_mean(x.iter().map(|x| x * x)).sqrt(),
        Statistic::Sum => x.iter().sum(),
        Statistic::MinBitwise | Statistic::MaxBitwise => {
            sequential_integers(statistic, &x.iter().map(|x| *x as i128).collect::<Vec<_>>())
        }
        Statistic::First => x[0],
        Statistic::Last => x[x.len() - 1],
        Statistic::Median => {
            let (low, high) = middle(x);
            f64::midpoint(low, high)
        }
    }
}

/// As [`sequential`], of valid integers: the bitwise statistics see all their bits, with the sign extended.
pub fn sequential_integers(statistic: Statistic, samples: &[i128]) -> f64 {
    match statistic {
        Statistic::MinBitwise | Statistic::MaxBitwise if samples.is_empty() => f64::NAN,
        Statistic::MinBitwise => samples.iter().fold(!0, |and, x| and & x) as f64,
        Statistic::MaxBitwise => samples.iter().fold(0, |or, x| or | x) as f64,
        _ => sequential(statistic, &samples.iter().map(|x| *x as f64).collect::<Vec<_>>()),
    }
}

/// A gate that lets every bucket through.
fn open() -> Result<Gate, Error> {
    Gate::new(1, 0.0)
}

const RADIANS_PER_DEGREE: f64 = 2.0 * std::f64::consts::PI / 360.0;

/// The smallest number above 0.
const TINY: f64 = 5e-324;

/// μ ← μ + (x - μ)/i, with the difference taken after the division, so that it does not overflow.
fn running_mean(x: impl Iterator<Item = f64>) -> f64 {
    let mut mean = 0.0;
    for (index, x) in x.enumerate() {
        let i = (index + 1) as f64;
        mean += x / i - mean / i;
    }
    mean
}

/// Σsin and Σcos of angles in degrees.
fn resultant(x: &[f64]) -> (f64, f64) {
    x.iter()
        .map(|x| (x * RADIANS_PER_DEGREE).sin_cos())
        .fold((0.0, 0.0), |(s, c), (sin, cos)| (s + sin, c + cos))
}

/// The two middle ones, or the middle one twice. `x` is not empty.
fn middle(mut x: Vec<f64>) -> (f64, f64) {
    x.sort_unstable_by(f64::total_cmp);
    (x[(x.len() - 1) / 2], x[x.len() / 2])
}

/// The families that answer `statistic` and take the samples of `run`.
fn families_for(statistic: Statistic, run: AnyRun<'_>) -> impl Iterator<Item = Family> {
    Family::ALL.into_iter().filter(move |&family| family.answers(statistic) && takes(family, run))
}

/// Whether a family takes the samples of a run.
fn takes(family: Family, run: AnyRun<'_>) -> bool {
    fn accepts<S: State, T: Sample>(_: SampleRun<'_, T>) -> bool {
        S::accept::<T>().is_ok()
    }
    with_state!(family, S => with_run!(run, run => accepts::<S, _>(run)))
}

/// Whether merged parts are the whole to the bit. Sums of `f64` are rounded, all else is not.
fn merges_exactly(family: Family) -> bool {
    match family {
        Family::Sums | Family::Moments => false,
        Family::Polar | Family::Bits | Family::Edges | Family::Quantiles => true,
    }
}

fn piece<S: State>(run: AnyRun<'_>, grid: Grid, piece: Range<usize>) -> Result<Partial<S>, Error> {
    with_run!(run, run => fold_piece(run, grid, piece))
}

/// Merges rows of buckets, from the first to the last.
fn merge_buckets<S: State>(rows: &[Vec<S>]) -> Vec<S> {
    let mut merged = rows[0].clone();
    for row in &rows[1..] {
        merged.iter_mut().zip(row).for_each(|(state, later)| state.merge(later));
    }
    merged
}

fn check_bytes(
    law: &'static str,
    family: Family,
    variant: &str,
    expected: &[u8],
    found: &[u8],
) -> Result<(), Violation> {
    if expected == found {
        return Ok(());
    }
    let offset = expected.iter().zip(found).take_while(|(a, b)| a == b).count();
    Err(Violation::Bytes { law, family, variant: variant.to_owned(), offset })
}

/// The same bits, or both NaN.
fn same(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
}

/// Numbers of one statistic, with the samples that tell how exact they must be.
struct Numbers {
    law: &'static str,
    statistic: Statistic,
    buckets: Vec<Bucket>,
}

/// The valid samples of a bucket.
#[derive(Clone, Default)]
struct Bucket {
    floats: Vec<f64>,
    /// The same ones, as they were; empty for samples that are floats.
    integers: Vec<i128>,
}

impl Numbers {
    fn new<T: Sample>(law: &'static str, statistic: Statistic, run: SampleRun<'_, T>, grid: Grid) -> Numbers {
        let mut buckets = vec![Bucket::default(); grid.buckets(run.len())];
        for index in 0..run.len() {
            if let Some(x) = run.get(index) {
                let bucket = &mut buckets[grid.buckets(index + 1) - 1];
                bucket.floats.push(x.to_f64());
                bucket.integers.extend(x.to_bits());
            }
        }
        Numbers { law, statistic, buckets }
    }

    fn check(&self, family: Family, expected: &[f64], found: &[f64]) -> Result<(), Violation> {
        let (law, statistic) = (self.law, self.statistic);
        if expected.len() != found.len() {
            return Err(Violation::Buckets { law, family, expected: expected.len(), found: found.len() });
        }
        for (bucket, (&expected, &found)) in expected.iter().zip(found).enumerate() {
            if same(expected, found) {
                continue;
            }
            let allowed = self.buckets[bucket].allowed(statistic);
            let apart = (expected - found).abs();
            let apart = if statistic == Statistic::MeanPolarDeg { apart.min(360.0 - apart) } else { apart };
            // Infinite where nothing is promised, and then NaN is within the promise.
            if !(apart <= allowed || allowed == f64::INFINITY) {
                return Err(Violation::Number { law, family, statistic, bucket, expected, found, allowed });
            }
        }
        Ok(())
    }
}

impl Bucket {
    fn sequential(&self, statistic: Statistic) -> f64 {
        if self.integers.is_empty() {
            sequential(statistic, &self.floats)
        } else {
            sequential_integers(statistic, &self.integers)
        }
    }

    /// How far two ways to `statistic` may be apart: the table at the top of the module.
    fn allowed(&self, statistic: Statistic) -> f64 {
        let x = &self.floats;
        let n = x.len() as f64;
        if x.is_empty() || x.iter().any(|x| x.is_infinite()) {
            return 0.0;
        }
        let largest = x.iter().fold(0.0, |largest: f64, x| largest.max(x.abs()));
        let squares_overflow = (n * largest * n * largest).is_infinite();
        let mean_abs: f64 = x.iter().map(|x| x.abs() / n).sum();
        match statistic {
            Statistic::Sum => 1e-12 * x.iter().map(|x| x.abs()).sum::<f64>(),
            Statistic::Mean => 1e-12 * mean_abs + n * TINY,
            Statistic::Std | Statistic::Rms if squares_overflow => f64::INFINITY,
            Statistic::Std => {
                let mean = running_mean(x.iter().copied());
                let m2: f64 = x.iter().map(|x| (x - mean) * (x - mean)).sum();
                let std = (m2 / (n - 1.0)).sqrt();
                // Samples that are equal have no spread to compare with; a formula may still see rounding errors.
                let relative_to = if m2 == 0.0 { mean.abs() } else { std + mean / std * mean };
                2.0 * f64::EPSILON * n * relative_to + (4.0 * n * TINY).sqrt()
            }
            Statistic::Rms => {
                let rms = running_mean(x.iter().map(|x| x * x)).sqrt();
                2.0 * f64::EPSILON * n * rms + (4.0 * n * TINY).sqrt()
            }
            Statistic::MeanPolarDeg => {
                // n additions of up to n, and angles whose radians are rounded twice.
                let error = 2.0 * f64::EPSILON * n * (n + RADIANS_PER_DEGREE * mean_abs);
                let (sin, cos) = resultant(x);
                let length = sin.hypot(cos);
                let limit = 1e-12 * n;
                if length + error < limit {
                    0.0
                } else if length - error < limit {
                    f64::INFINITY
                } else {
                    // A hair for the angle itself.
                    (error / length).asin().to_degrees() + 360.0 * f64::EPSILON
                }
            }
            Statistic::Median => {
                let grid = Grid::new(x.len(), 0);
                let state = grid.and_then(|grid| fold::<Quantiles, _>(SampleRun::new(x), grid));
                let bound = state.map_or(0.0, |states| states[0].relative_error_bound());
                let (low, high) = middle(x.clone());
                bound * low.abs().max(high.abs())
            }
            Statistic::Min
            | Statistic::Max
            | Statistic::MinBitwise
            | Statistic::MaxBitwise
            | Statistic::Count
            | Statistic::First
            | Statistic::Last => 0.0,
        }
    }
}
