//! Blocks: what the states read samples through.
//!
//! The samples of a block are dealt out to sixteen lanes, like cards: sample i goes to lane i mod 16. Sixteen lanes of
//! `f64` are two AVX-512, four AVX2 or eight SSE2 registers: enough independent additions to hide their latency, and
//! few enough to stay in registers. As the assignment is part of the definition and not of the machine, every
//! [`Level`] computes the same bits.
//!
//! A block is always `f64`, with NaN for a missing sample. Samples that are `f64` without validity bits are read where
//! they are; all others are converted one block at a time into a buffer that stays in the L1 cache, so each pass exists
//! once and not once per data type.

use crate::dispatch::Kernel;
use crate::{Level, Sample, SampleRun, State};

pub(crate) const LANES: usize = 16;

/// One number for each lane.
pub(crate) type Lanes<A> = [A; LANES];

/// Samples folded at a time: 16 KiB of `f64`, so that a second pass over them still finds them in the L1 cache, and a
/// lane never adds more than 128 numbers before its sum goes into a compensated one.
pub(crate) const BLOCK: usize = 2048;

/// Up to this many samples it is quicker to go through them one by one than to set up the lanes.
const FEW: usize = 32;

/// At most [`BLOCK`] samples; NaN where one is missing.
#[derive(Clone, Copy)]
pub(crate) enum Block<'a> {
    /// More than [`FEW`]; the rest is not enough for all lanes.
    Dealt { deals: &'a [Lanes<f64>], rest: &'a [f64] },
    /// At most [`FEW`], not dealt out to all lanes.
    Few(&'a [f64]),
}

impl<'a> Block<'a> {
    /// All samples, in two parts; NaN where one is missing.
    fn samples(self) -> [&'a [f64]; 2] {
        match self {
            Block::Dealt { deals, rest } => [deals.as_flattened(), rest],
            Block::Few(samples) => [samples, &[]],
        }
    }

    /// The valid samples. For rare cases: the passes below are quicker.
    pub(crate) fn valid(self) -> impl Iterator<Item = f64> {
        self.samples().into_iter().flatten().copied().filter(|x| !x.is_nan())
    }

    /// How many samples are valid, and what they add up to.
    #[inline(always)]
    pub(crate) fn count_and_sum(self, level: Level) -> (u64, f64) {
        // A sum that is a number has seen no NaN.
        match self {
            Block::Dealt { deals, rest } => count_and_sum_dealt(deals, rest, level),
            Block::Few(samples) => match sum_in_fours(samples, |x| x) {
                sum if sum.is_nan() => self.count_and_sum_valid(),
                sum => (samples.len() as u64, sum),
            },
        }
    }

    #[cold]
    fn count_and_sum_valid(self) -> (u64, f64) {
        self.valid().fold((0, 0.0), |(n, sum), x| (n + 1, sum + x))
    }

    /// How many samples are valid.
    pub(crate) fn count(self, level: Level) -> u64 {
        self.count_and_sum(level).0
    }

    /// The smallest and the largest valid sample; +∞ and -∞ without any.
    pub(crate) fn extremes(self, level: Level) -> (f64, f64) {
        let (min, max) = match self {
            Block::Dealt { deals, rest } => {
                let (mins, maxs) = level.run(Extremes { deals, rest });
                (reduce(mins, lesser), reduce(maxs, greater))
            }
            Block::Few(samples) => {
                let first = (f64::INFINITY, f64::NEG_INFINITY);
                samples.iter().fold(first, |(min, max), &x| (lesser(x, min), greater(x, max)))
            }
        };
        if min == 0.0 || max == 0.0 { self.with_sign_of_zero(min, max) } else { (min, max) }
    }

    /// Σ(x - mean)² over the valid samples.
    pub(crate) fn squared_deviations(self, level: Level, mean: f64) -> f64 {
        match self {
            Block::Dealt { deals, rest } => total(level.run(SquaredDeviations { deals, rest, mean })),
            Block::Few(samples) => match sum_in_fours(samples, |x| (x - mean) * (x - mean)) {
                sum if sum.is_nan() => self.valid().fold(0.0, |sum, x| sum + (x - mean) * (x - mean)),
                sum => sum,
            },
        }
    }

    /// `<` sees no difference between the zeros, so which of them a lane kept depends on their order. Where an extreme
    /// is zero, a second look tells whether a zero of the sign that IEEE 754 puts there is among the samples.
    fn with_sign_of_zero(self, min: f64, max: f64) -> (f64, f64) {
        // Without an early end in a part, which would keep this from being vectorised: zeros are common, -0.0 is not.
        let is = |zero: f64| move |found, x: &f64| found | (x.to_bits() == zero.to_bits());
        let has_zero = |sign: f64| self.samples().iter().any(|part| part.iter().fold(false, is(sign)));
        let zero_if = |condition: bool, yes: f64| if condition { yes } else { -yes };
        let min = if min == 0.0 { zero_if(has_zero(-0.0), -0.0) } else { min };
        let max = if max == 0.0 { zero_if(has_zero(0.0), 0.0) } else { max };
        (min, max)
    }
}

fn count_and_sum_dealt(deals: &[Lanes<f64>], rest: &[f64], level: Level) -> (u64, f64) {
    let sum = total(level.run(Sum { deals, rest }));
    if !sum.is_nan() {
        return ((deals.len() * LANES + rest.len()) as u64, sum);
    }
    let (counts, sums) = level.run(CountAndSum { deals, rest });
    (total(counts) as u64, total(sums))
}

/// The last deal of a block, filled up; `None` if nothing is left for it.
#[inline(always)]
pub(crate) fn last_deal(rest: &[f64], fill: f64) -> Option<Lanes<f64>> {
    let mut last = [fill; LANES];
    last.get_mut(..rest.len())?.copy_from_slice(rest);
    (!rest.is_empty()).then_some(last)
}

/// Runs a loop over all deals of a kernel, the last one filled up. A macro, as closures are inlined at will, not always.
macro_rules! for_each_deal {
    ($kernel:ident filled with $fill:expr, |$x:ident| $body:block) => {
        for $x in $kernel.deals $body
        if let Some(last) = last_deal($kernel.rest, $fill) {
            let $x = &last;
            $body
        }
    };
}

/// What a fold needs beside its states: the level to run on, and where samples are converted to `f64`.
#[doc(hidden)]
pub struct Scratch {
    pub(crate) level: Level,
    /// [`BLOCK`] numbers, made when the first one is needed.
    buffer: Vec<Lanes<f64>>,
}

impl Scratch {
    pub(crate) fn new(level: Level) -> Scratch {
        Scratch { level, buffer: Vec::new() }
    }

    /// Appends the states of all blocks, merged into one.
    #[inline(always)]
    pub(crate) fn append_merged<S: State, T: Sample>(
        &mut self,
        states: &mut Vec<S>,
        run: SampleRun<'_, T>,
        of_block: impl Fn(Level, Block<'_>) -> S,
    ) {
        // Small buckets come by the million: no copying of runs and no calls for those that are blocks as they are. Their states
        // are made where they stay: one that is written in parts, and moved as a whole, is waited for.
        match (T::as_f64(run.values()), run.validity(), run.len()) {
            (Some(values), None, ..=FEW) => states.push(of_block(self.level, Block::Few(values))),
            _ => states.push(self.merged_of_many(run, of_block)),
        }
    }

    fn merged_of_many<S: State, T: Sample>(
        &mut self,
        run: SampleRun<'_, T>,
        of_block: impl Fn(Level, Block<'_>) -> S,
    ) -> S {
        let mut state = S::default();
        self.for_each_block(run, |level, block| state.merge(&of_block(level, block)));
        state
    }

    /// Calls `f` with one block after the other.
    fn for_each_block<T: Sample>(&mut self, run: SampleRun<'_, T>, mut f: impl FnMut(Level, Block<'_>)) {
        let mut begin = 0;
        while begin < run.len() {
            let end = run.len().min(begin + BLOCK);
            let samples = run.slice(begin..end).without_idle_validity();
            f(self.level, self.block(samples));
            begin = end;
        }
    }

    /// How many samples of a run are valid.
    pub(crate) fn count_valid<T: Sample>(&mut self, run: SampleRun<'_, T>) -> u64 {
        let mut n = 0;
        if T::IS_FLOAT {
            self.for_each_block(run, |level, block| n += block.count(level));
        } else {
            for index in (0..run.len()).step_by(64) {
                let within = u64::MAX >> (64 - (run.len() - index).min(64));
                n += u64::from((run.valid_bits(index) & within).count_ones());
            }
        }
        n
    }

    /// At most [`BLOCK`] samples as a block, converted if need be.
    fn block<'a, T: Sample>(&'a mut self, samples: SampleRun<'a, T>) -> Block<'a> {
        let len = samples.len();
        let values = match T::as_f64(samples.values()) {
            Some(values) if samples.validity().is_none() => values,
            _ => {
                if self.buffer.is_empty() {
                    self.buffer.resize(BLOCK / LANES, [f64::NAN; LANES]);
                }
                let values = &mut self.buffer.as_flattened_mut()[..len];
                convert(self.level, samples, values);
                values
            }
        };
        if len <= FEW {
            return Block::Few(values);
        }
        let (deals, rest) = values.as_chunks();
        Block::Dealt { deals, rest }
    }
}

/// Fills `out` with the samples as `f64`, NaN where one is missing.
fn convert<T: Sample>(level: Level, samples: SampleRun<'_, T>, out: &mut [f64]) {
    let values = samples.values();
    if values.len() <= FEW {
        for (index, out) in out.iter_mut().enumerate() {
            *out = samples.get(index).map_or(f64::NAN, T::to_f64);
        }
    } else if samples.validity().is_none() {
        level.run(Convert { values, out });
    } else {
        for (index, (values, out)) in values.chunks(64).zip(out.chunks_mut(64)).enumerate() {
            level.run(ConvertValid { values, bits: samples.valid_bits(index * 64), out });
        }
    }
}

/// Σf(x) over a few samples, NaN if one is. In four lanes, so that one addition need not wait for the one before.
#[inline(always)]
fn sum_in_fours(samples: &[f64], f: impl Fn(f64) -> f64) -> f64 {
    let mut sums = [0.0; 4];
    let (fours, rest) = samples.as_chunks::<4>();
    for x in fours {
        for lane in 0..4 {
            sums[lane] += f(x[lane]);
        }
    }
    for (lane, x) in rest.iter().enumerate() {
        sums[lane] += f(*x);
    }
    (sums[0] + sums[2]) + (sums[1] + sums[3])
}

/// The smaller one; `b` if `a` is NaN, or both are zero.
#[inline(always)]
fn lesser(a: f64, b: f64) -> f64 {
    if a < b { a } else { b }
}

/// The larger one; `b` if `a` is NaN, or both are zero.
#[inline(always)]
fn greater(a: f64, b: f64) -> f64 {
    if a > b { a } else { b }
}

/// Folds the lanes into one number, in a fixed order: each half onto the other.
pub(crate) fn reduce<A: Copy>(lanes: Lanes<A>, f: impl Fn(A, A) -> A) -> A {
    let eight: [A; 8] = std::array::from_fn(|lane| f(lanes[lane], lanes[lane + 8]));
    let four: [A; 4] = std::array::from_fn(|lane| f(eight[lane], eight[lane + 4]));
    f(f(four[0], four[2]), f(four[1], four[3]))
}

/// Adds the lanes up.
pub(crate) fn total(lanes: Lanes<f64>) -> f64 {
    reduce(lanes, |a, b| a + b)
}

/// What each lane adds up to.
struct Sum<'a> {
    deals: &'a [Lanes<f64>],
    rest: &'a [f64],
}

impl Kernel for Sum<'_> {
    type Output = Lanes<f64>;

    #[inline(always)]
    fn run(self) -> Lanes<f64> {
        let mut sums = [0.0; LANES];
        // A lane is never -0.0, so adding 0.0 changes none.
        for_each_deal!(self filled with 0.0, |x| {
            for lane in 0..LANES {
                sums[lane] += x[lane];
            }
        });
        sums
    }
}

/// How many valid samples each lane has, and what they add up to.
struct CountAndSum<'a> {
    deals: &'a [Lanes<f64>],
    rest: &'a [f64],
}

impl Kernel for CountAndSum<'_> {
    type Output = (Lanes<f64>, Lanes<f64>);

    #[inline(always)]
    fn run(self) -> (Lanes<f64>, Lanes<f64>) {
        // Counts are whole numbers, exact in `f64`, and so they need no other registers than the sums.
        let mut counts = [0.0; LANES];
        let mut sums = [0.0; LANES];
        for_each_deal!(self filled with f64::NAN, |x| {
            for lane in 0..LANES {
                counts[lane] += if x[lane].is_nan() { 0.0 } else { 1.0 };
            }
            for lane in 0..LANES {
                sums[lane] += if x[lane].is_nan() { 0.0 } else { x[lane] };
            }
        });
        (counts, sums)
    }
}

/// The extremes of each lane.
struct Extremes<'a> {
    deals: &'a [Lanes<f64>],
    rest: &'a [f64],
}

impl Kernel for Extremes<'_> {
    type Output = (Lanes<f64>, Lanes<f64>);

    #[inline(always)]
    fn run(self) -> (Lanes<f64>, Lanes<f64>) {
        let mut mins = [f64::INFINITY; LANES];
        let mut maxs = [f64::NEG_INFINITY; LANES];
        for_each_deal!(self filled with f64::NAN, |x| {
            for lane in 0..LANES {
                mins[lane] = lesser(x[lane], mins[lane]);
            }
            for lane in 0..LANES {
                maxs[lane] = greater(x[lane], maxs[lane]);
            }
        });
        (mins, maxs)
    }
}

/// Σ(x - mean)² of each lane.
struct SquaredDeviations<'a> {
    deals: &'a [Lanes<f64>],
    rest: &'a [f64],
    mean: f64,
}

impl Kernel for SquaredDeviations<'_> {
    type Output = Lanes<f64>;

    #[inline(always)]
    fn run(self) -> Lanes<f64> {
        let mut squares = [0.0; LANES];
        for_each_deal!(self filled with f64::NAN, |x| {
            for lane in 0..LANES {
                let deviation = if x[lane].is_nan() { 0.0 } else { x[lane] - self.mean };
                squares[lane] += deviation * deviation;
            }
        });
        squares
    }
}

struct Convert<'a, T> {
    values: &'a [T],
    out: &'a mut [f64],
}

impl<T: Sample> Kernel for Convert<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for (out, x) in self.out.iter_mut().zip(self.values) {
            *out = x.to_f64();
        }
    }
}

/// At most 64 samples, valid where their bit is set.
struct ConvertValid<'a, T> {
    values: &'a [T],
    bits: u64,
    out: &'a mut [f64],
}

impl<T: Sample> Kernel for ConvertValid<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for (bit, (out, x)) in self.out.iter_mut().zip(self.values).enumerate() {
            *out = if self.bits >> bit & 1 == 1 { x.to_f64() } else { f64::NAN };
        }
    }
}

/// Σx of at most [`BLOCK`] integers of at most 32 bits: exact, as it is in `f64`, and so the same to the bit.
pub(crate) struct IntegerSum<'a, T>(pub(crate) &'a [T]);

/// Adding 2048 numbers of 16 bits fits 32 bits, of 32 bits 64 bits: half the width is twice the speed.
macro_rules! integer_sum {
    ($($t:ty => $wide:ty),*) => {$(
        impl Kernel for IntegerSum<'_, $t> {
            type Output = f64;

            #[inline(always)]
            fn run(self) -> f64 {
                self.0.iter().map(|&x| <$wide>::from(x)).sum::<$wide>() as f64
            }
        }
    )*};
}

integer_sum!(u8 => i32, i8 => i32, u16 => i32, i16 => i32, u32 => i64, i32 => i64);
