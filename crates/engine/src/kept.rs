//! States that are kept: taken from the rollups, validated, added to, and put back.
//!
//! The states of one family at one fold period are kept in *chunks*, each with a stamp that says what they were folded
//! from ([`crate::validity`]). A chunk holds any of the states of its time. Numbers are little-endian:
//!
//! | bytes | what |
//! |---|---|
//! | 8, 8 | stamp: commit and nonce, or 0 and the revision of a source |
//! | n/8 | a bit for each of the n states of a chunk: whether it is known |
//! | n/8 | a bit for each: whether it is known and has seen valid samples |
//! | … | the states that have, as `sheaf_kernels` encodes them |

use std::collections::{HashMap, HashSet, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;
use sheaf_kernels::{Error as KernelError, Family, Gate, Grid, StateVec, Statistic};
use sheaf_model::{DataType, TimeRange};
use sheaf_sources::SourceError;
use sheaf_store::Rollups;

use crate::rollup_key::RollupKey;
use crate::validity::{Stamp, Validity, Verdict};

/// States of a chunk. A thousand of fixed size take 64 KiB of the file; ten days of half minutes are 29 chunks. Those of
/// quantiles may have 2 MiB each.
pub(crate) fn states_per_chunk(family: Family) -> usize {
    if family == Family::Quantiles { 16 } else { 1024 }
}

/// Chunks that are taken at once: 2 MiB of states, eleven days of half minutes.
const WINDOW_CHUNKS: i64 = 32;

/// A state in memory, with what is known of it: sums and moments have seven numbers, those of quantiles are more and rare.
const STATE_BYTES: usize = 64;

/// The most series of which chunks are loaded before the first of them is read: 128 MiB. Those of more are loaded one
/// after the other.
const MOST_LOADED_TOGETHER: usize = 64;

/// Chunks that a thread loads at a time.
const PART_CHUNKS: usize = 4;

/// Chunks that a thread finishes at a time; each time costs as much as a chunk.
const PART_AHEAD: usize = 16;

/// Chunks whose stamps are looked up before a read begins. Nobody has states of a longer range: the rollups would not hold
/// them.
pub(crate) const MOST_CHUNKS: i64 = 1 << 16;

/// States are kept if they are this much smaller than their samples. A minute of seconds is 480 bytes against 56; with
/// fewer samples a state, decoding them is not much slower than decoding states.
const LIGHTER: usize = 4;

/// The fewest samples of a state that is kept: those of fewer are decoded and folded in less time than a state is found.
const FEWEST_SAMPLES: u64 = 60;

/// Whether it pays to keep states of so many samples.
pub(crate) fn pays(family: Family, samples: u64, data_type: DataType) -> bool {
    if samples < FEWEST_SAMPLES {
        return false;
    }
    let state_bytes = StateVec::empty(family, 1).encode().len() - StateVec::empty(family, 0).encode().len();
    samples.saturating_mul(data_type.size_bytes() as u64) >= (LIGHTER * state_bytes) as u64
}

/// What is kept of a series of the store; it holds for a snapshot if its stamp is of the past of that, but for what changed
/// since.
pub(crate) trait Validated: Send {
    /// Loads the first of it, and finds all stamps on which [`Validated::judge`] then wants to hear a verdict. Blocks.
    fn open(&mut self) -> HashSet<Stamp>;

    /// Takes verdicts, and with them what is loaded.
    fn judge(&mut self, verdicts: &HashMap<Stamp, Verdict>) -> Result<(), SourceError>;
}

/// The states of a range that are kept, chunk by chunk.
pub(crate) struct Kept {
    rollups: Arc<Rollups>,
    key: RollupKey,
    validity: Validity,
    /// The numbers of the states that are asked for: state 0 begins with tick 0.
    wanted: Range<i64>,
    samples_per_state: u64,
    sample_bytes: u64,
    /// Samples that were folded because a state was not there.
    folded_samples: u64,
    /// Chunks that are loaded before anything is asked for.
    first_chunks: i64,
    /// The number of the first chunk that is loaded.
    first_chunk: i64,
    chunks: VecDeque<Chunk>,
    /// The states of the loaded chunks, and which of them are known.
    states: StateVec,
    known: Vec<bool>,
}

/// A chunk that is loaded.
#[derive(Clone, Copy, Debug)]
struct Chunk {
    /// As it was found; none if it was not.
    stamp: Option<Stamp>,
    is_judged: bool,
    /// It must not be replaced.
    is_apart: bool,
    has_changed: bool,
}

/// What is read, and where its states are kept.
pub(crate) struct Place {
    pub(crate) rollups: Arc<Rollups>,
    pub(crate) key: RollupKey,
    pub(crate) validity: Validity,
    pub(crate) range: TimeRange,
    pub(crate) data_type: DataType,
    /// How many series are read together.
    pub(crate) together: usize,
}

impl Kept {
    /// The states of a range. Nothing is loaded yet.
    pub(crate) fn new(place: Place) -> Kept {
        let Place { rollups, key, validity, range, data_type, together } = place;
        let fold = key.fold_period_ticks;
        let wanted = range.begin().ticks().div_euclid(fold)..range.end().ticks().div_euclid(fold);
        Kept {
            rollups,
            validity,
            samples_per_state: (fold / key.folded.base.ticks()).unsigned_abs(),
            sample_bytes: data_type.size_bytes() as u64,
            folded_samples: 0,
            first_chunks: if together > MOST_LOADED_TOGETHER { 0 } else { WINDOW_CHUNKS },
            first_chunk: wanted.start.div_euclid(states_per_chunk(key.family) as i64),
            chunks: VecDeque::new(),
            states: StateVec::empty(key.family, 0),
            known: Vec::new(),
            wanted,
            key,
        }
    }

    fn per_chunk(&self) -> i64 {
        states_per_chunk(self.key.family) as i64
    }

    /// The number of the first state that is loaded.
    fn first(&self) -> i64 {
        self.first_chunk * self.per_chunk()
    }

    /// Behind the last chunk that is asked for.
    fn end_chunk(&self) -> i64 {
        -(-self.wanted.end).div_euclid(self.per_chunk())
    }

    /// Where a state is among those that are loaded.
    fn at(&self, state: i64) -> usize {
        (state - self.first()) as usize
    }

    fn judge_loaded(&mut self) -> Result<(), SourceError> {
        let (per_chunk, fold) = (self.per_chunk(), self.key.fold_period_ticks);
        for (index, chunk) in self.chunks.iter_mut().enumerate().filter(|(_, chunk)| !chunk.is_judged) {
            chunk.is_judged = true;
            let Some(stamp) = chunk.stamp else { continue };
            let number = self.first_chunk + index as i64;
            let first = number * per_chunk;
            let known = &mut self.known[index * per_chunk as usize..][..per_chunk as usize];
            match self.validity.verdict(number, stamp)? {
                Verdict::Past(changed) => {
                    for changed in touched(changed, &(first..first + per_chunk), fold) {
                        known[(changed.start - first) as usize..(changed.end - first) as usize].fill(false);
                    }
                }
                Verdict::Void => known.fill(false),
                Verdict::Apart => {
                    known.fill(false);
                    chunk.is_apart = true;
                }
            }
        }
        Ok(())
    }

    /// Makes states from number `from` on available, at least up to `until`; those before `from` are let go. Blocks.
    ///
    /// # Errors
    /// The source can't say whether they hold.
    pub(crate) fn cover(&mut self, from: i64, until: i64) -> Result<(), SourceError> {
        let until_chunk = -(-until).div_euclid(self.per_chunk());
        if until_chunk <= self.first_chunk + self.chunks.len() as i64 {
            return Ok(());
        }
        self.let_go(from.div_euclid(self.per_chunk()));
        self.load(until_chunk.max(self.first_chunk + WINDOW_CHUNKS).min(self.end_chunk()));
        self.judge_loaded()
    }

    /// Loads chunks behind those that are loaded, up to this one.
    fn load(&mut self, until_chunk: i64) {
        let per_chunk = self.per_chunk() as usize;
        let from_chunk = self.first_chunk + self.chunks.len() as i64;
        let mut found: Vec<Option<Found>> = Vec::new();
        found.resize_with((until_chunk - from_chunk).max(0) as usize, || None);
        let load_part = |(part, found): (usize, &mut [Option<Found>])| {
            let first = from_chunk + (part * PART_CHUNKS) as i64;
            let keys = (first..).take(found.len()).map(|chunk| self.key.of_chunk(chunk));
            self.rollups.visit(keys, |index, value| {
                if let Some(slot) = found.get_mut(index) {
                    *slot = read_chunk(self.key.family, per_chunk, value);
                }
            });
        };
        if found.len() > PART_CHUNKS {
            found.par_chunks_mut(PART_CHUNKS).enumerate().for_each(load_part);
        } else {
            load_part((0, &mut found));
        }
        self.states.reserve(found.len() * per_chunk);
        for found in found {
            let chunk = Chunk { stamp: None, is_judged: true, is_apart: false, has_changed: false };
            // A chunk that does not fit the family is none; there are no such chunks.
            let appended = found.and_then(|found| {
                self.states.append(found.states).ok()?;
                self.known.extend(found.known);
                Some(Chunk { stamp: Some(found.stamp), is_judged: false, ..chunk })
            });
            if appended.is_none() {
                // The same family, so this can't fail either.
                let _ = self.states.append(StateVec::empty(self.key.family, per_chunk));
                self.known.resize(self.known.len() + per_chunk, false);
            }
            self.chunks.push_back(appended.unwrap_or(chunk));
        }
    }

    /// Lets go of the chunks before this one; what has changed is put back.
    fn let_go(&mut self, before_chunk: i64) {
        let count = (before_chunk - self.first_chunk).clamp(0, self.chunks.len() as i64) as usize;
        self.put_back(count);
        let states = count * self.per_chunk() as usize;
        self.chunks.drain(..count);
        self.states.remove_first(states);
        self.known.drain(..states);
        // With nothing loaded, the next chunk to load may be any.
        self.first_chunk =
            if self.chunks.is_empty() { before_chunk } else { self.first_chunk + count as i64 };
        self.validity.forget_before(self.first_chunk);
    }

    /// Lets go of all that is loaded, to go on with state number `from` some time later; what has changed is put back.
    pub(crate) fn release(&mut self, from: i64) {
        self.put_back(self.chunks.len());
        self.chunks.clear();
        self.states = StateVec::empty(self.key.family, 0);
        self.known = Vec::new();
        self.first_chunk = from.div_euclid(self.per_chunk());
    }

    /// About how many bytes the loaded states take.
    pub(crate) fn held_bytes(&self) -> usize {
        self.known.len() * STATE_BYTES
    }

    /// Puts the first `count` chunks back, as far as they have changed and it pays.
    fn put_back(&mut self, count: usize) {
        if self.folded_samples < self.rollups.settings().fewest_samples {
            return;
        }
        let per_chunk = self.per_chunk() as usize;
        let mut chunks = Vec::new();
        for index in 0..count {
            let chunk = &mut self.chunks[index];
            if !std::mem::take(&mut chunk.has_changed) || chunk.is_apart {
                continue;
            }
            let number = self.first_chunk + index as i64;
            // A source that does not answer now is no matter for those who have their values.
            if let Ok(Some(stamp)) = self.validity.stamp(number) {
                chunks.push((index, number, stamp));
            }
        }
        if chunks.is_empty() || !self.validity.may_put() {
            return;
        }
        for (index, number, stamp) in chunks {
            let begin = index * per_chunk;
            let known: Vec<usize> = (begin..begin + per_chunk).filter(|&at| self.known[at]).collect();
            let sample_bytes = known.len() as u64 * self.samples_per_state * self.sample_bytes;
            let (value, states_bytes) = write_chunk(stamp, &self.states, begin..begin + per_chunk, &known);
            if (states_bytes * LIGHTER) as u64 <= sample_bytes {
                self.rollups.put(self.key.of_chunk(number), value);
            }
        }
    }

    /// The first state from number `from` on that is not known; `until` at the latest. Both are covered.
    pub(crate) fn known_until(&self, from: i64, until: i64) -> i64 {
        let until = until.min(self.first() + self.known.len() as i64);
        if from >= until {
            return from;
        }
        let known = &self.known[self.at(from)..self.at(until)];
        known.iter().position(|known| !known).map_or(until, |at| from + at as i64)
    }

    /// Whether a state is known. It is covered.
    pub(crate) fn is_known(&self, state: i64) -> bool {
        self.known[self.at(state)]
    }

    /// These states, merged. They are covered and known.
    pub(crate) fn merged(&self, states: Range<i64>, grid: Grid) -> StateVec {
        self.states.coarsen_range(self.at(states.start)..self.at(states.end), grid)
    }

    /// The values of these states. They are covered and known.
    pub(crate) fn finish(
        &self,
        states: Range<i64>,
        statistic: Statistic,
        gate: Gate,
    ) -> Result<Vec<f64>, KernelError> {
        self.states.finish_range(self.at(states.start)..self.at(states.end), statistic, gate)
    }

    /// Whether this state is covered.
    pub(crate) fn is_covered(&self, state: i64) -> bool {
        (self.first()..self.first() + self.known.len() as i64).contains(&state)
    }

    /// The values of states that are not covered, a column for each statistic, straight from what is kept: without states in
    /// memory this takes a third of the time. They end with the first chunk of which anything is not known.
    ///
    /// # Errors
    /// The source can't say whether they hold.
    pub(crate) fn finish_ahead(
        &self,
        states: Range<i64>,
        statistics: &[Statistic],
        gate: Gate,
    ) -> Result<Vec<Vec<f64>>, SourceError> {
        let per_chunk = self.per_chunk();
        let end = -(-states.end).div_euclid(per_chunk);
        let finish_part = |first: i64| {
            let part = first..end.min(first + PART_AHEAD as i64);
            let mut found: Vec<Result<Option<Vec<Vec<f64>>>, SourceError>> = Vec::new();
            found.resize_with((part.end - part.start) as usize, || Ok(None));
            let keys = part.map(|chunk| self.key.of_chunk(chunk));
            self.rollups.visit(keys, |index, value| {
                if let Some(slot) = found.get_mut(index) {
                    let number = first + index as i64;
                    let start = number * per_chunk;
                    let within = states.start.max(start)..states.end.min(start + per_chunk);
                    *slot = self.finish_chunk(number, within, value, statistics, gate);
                }
            });
            found
        };
        let parts: Vec<i64> = (states.start.div_euclid(per_chunk)..end).step_by(PART_AHEAD).collect();
        let found: Vec<_> = match parts[..] {
            [part] => finish_part(part),
            _ => parts.into_par_iter().flat_map_iter(finish_part).collect(),
        };
        let mut columns: Vec<Vec<f64>> = vec![Vec::new(); statistics.len()];
        for found in found {
            let Some(found) = found? else { break };
            columns.iter_mut().zip(found).for_each(|(column, values)| column.extend(values));
        }
        Ok(columns)
    }

    /// The values of these states of the chunk with this number; none if any of them is not known.
    fn finish_chunk(
        &self,
        number: i64,
        within: Range<i64>,
        value: &[u8],
        statistics: &[Statistic],
        gate: Gate,
    ) -> Result<Option<Vec<Vec<f64>>>, SourceError> {
        let Some(parts) = Parts::read(self.per_chunk() as usize, value) else { return Ok(None) };
        let Verdict::Past(changed) = self.validity.verdict(number, parts.stamp)? else { return Ok(None) };
        if touched(changed, &within, self.key.fold_period_ticks).next().is_some() {
            return Ok(None);
        }
        let start = number * self.per_chunk();
        let within = (within.start - start) as usize..(within.end - start) as usize;
        Ok(self.finish_parts(&parts, within, statistics, gate))
    }

    /// The same, where it is known that they hold.
    fn finish_parts(
        &self,
        parts: &Parts<'_>,
        within: Range<usize>,
        statistics: &[Statistic],
        gate: Gate,
    ) -> Option<Vec<Vec<f64>>> {
        let per_chunk = self.per_chunk() as usize;
        if !within.clone().all(|at| is_set(parts.known, at)) {
            return None;
        }
        let mut columns = StateVec::finish_encoded(self.key.family, parts.states, statistics, gate).ok()?;
        let filled = parts.filled();
        for (column, &statistic) in columns.iter_mut().zip(statistics) {
            if column.len() != filled {
                return None;
            }
            if filled < per_chunk {
                let empty = StateVec::empty(self.key.family, 1);
                let &[missing] = empty.finish(statistic, gate).ok()?.as_slice() else { return None };
                let mut values = column.iter();
                let all = (0..per_chunk)
                    .map(|at| if is_set(parts.filled, at) { values.next().copied() } else { Some(missing) });
                *column = all.collect::<Option<_>>()?;
            }
            column.truncate(within.end);
            column.drain(..within.start);
        }
        Some(columns)
    }

    /// These states, known or not. They are covered.
    pub(crate) fn states(&self, states: Range<i64>) -> StateVec {
        self.states.select(self.at(states.start)..self.at(states.end))
    }

    /// Adds states that were folded from samples. They are covered.
    pub(crate) fn add(&mut self, first: i64, states: StateVec) -> Result<(), KernelError> {
        let at = self.at(first)..self.at(first) + states.len();
        let chunks = at.start / self.per_chunk() as usize..at.end.div_ceil(self.per_chunk() as usize);
        self.folded_samples += at.len() as u64 * self.samples_per_state;
        self.states.put(at.clone(), states)?;
        self.known[at].fill(true);
        self.chunks.range_mut(chunks).for_each(|chunk| chunk.has_changed = true);
        Ok(())
    }
}

impl Validated for Kept {
    fn open(&mut self) -> HashSet<Stamp> {
        let loaded = self.first_chunk.saturating_add(self.first_chunks).min(self.end_chunk());
        self.load(loaded);
        let mut stamps: HashSet<Stamp> = self.chunks.iter().filter_map(|chunk| chunk.stamp).collect();
        let until = self.end_chunk().min(self.first_chunk.saturating_add(MOST_CHUNKS));
        // Of those that are loaded later, a stamp that is damaged now is only one too many.
        let others = (loaded..until).map(|chunk| self.key.of_chunk(chunk));
        self.rollups.peek(others, |_, head| stamps.extend(read_stamp(head)));
        stamps
    }

    fn judge(&mut self, verdicts: &HashMap<Stamp, Verdict>) -> Result<(), SourceError> {
        self.validity.judge(verdicts);
        self.judge_loaded()
    }
}

/// What was made of samples is worth keeping, whoever lost interest in the values.
impl Drop for Kept {
    fn drop(&mut self) {
        self.put_back(self.chunks.len());
    }
}

struct Found {
    stamp: Stamp,
    known: Vec<bool>,
    states: StateVec,
}

/// Which of these states or values, of so many ticks each, changes touch.
pub(crate) fn touched(
    changed: &[TimeRange],
    numbers: &Range<i64>,
    period_ticks: i64,
) -> impl Iterator<Item = Range<i64>> {
    let clamp = |number: i64| number.clamp(numbers.start, numbers.end);
    changed
        .iter()
        .map(move |range| {
            let from = range.begin().ticks().div_euclid(period_ticks);
            // Of a change of which only the start of a sample counts, its end may be one too far.
            let until = -(-range.end().ticks()).div_euclid(period_ticks);
            clamp(from)..clamp(until)
        })
        .filter(|range| !range.is_empty())
}

/// The stamp that a chunk begins with.
pub(crate) fn read_stamp(value: &[u8]) -> Option<Stamp> {
    let (commit, rest) = value.split_first_chunk()?;
    let (nonce, _) = rest.split_first_chunk()?;
    Some((i64::from_le_bytes(*commit), i64::from_le_bytes(*nonce)))
}

/// Begins a chunk, as [`read_stamp`] reads it.
pub(crate) fn write_stamp(stamp: Stamp, value: &mut Vec<u8>) {
    value.extend(stamp.0.to_le_bytes());
    value.extend(stamp.1.to_le_bytes());
}

/// The parts of a chunk.
struct Parts<'a> {
    stamp: Stamp,
    /// Bits.
    known: &'a [u8],
    filled: &'a [u8],
    states: &'a [u8],
}

impl Parts<'_> {
    fn read(per_chunk: usize, value: &[u8]) -> Option<Parts<'_>> {
        let stamp = read_stamp(value)?;
        let (known, rest) = value.get(16..)?.split_at_checked(per_chunk / 8)?;
        let (filled, states) = rest.split_at_checked(per_chunk / 8)?;
        let is_right = known.iter().zip(filled).all(|(known, filled)| filled & !known == 0);
        is_right.then_some(Parts { stamp, known, filled, states })
    }

    /// How many states there are bytes of.
    fn filled(&self) -> usize {
        self.filled.iter().map(|byte| byte.count_ones() as usize).sum()
    }
}

fn is_set(bits: &[u8], at: usize) -> bool {
    bits[at / 8] >> (at % 8) & 1 == 1
}

fn read_chunk(family: Family, per_chunk: usize, value: &[u8]) -> Option<Found> {
    let parts = Parts::read(per_chunk, value)?;
    let states = StateVec::decode(family, parts.states).ok()?;
    if states.len() != parts.filled() {
        return None;
    }
    let states = if states.len() == per_chunk {
        states
    } else {
        let mut all = StateVec::empty(family, per_chunk);
        all.put((0..per_chunk).filter(|&at| is_set(parts.filled, at)), states).ok()?;
        all
    };
    let known = if parts.known.iter().all(|byte| *byte == u8::MAX) {
        vec![true; per_chunk]
    } else {
        (0..per_chunk).map(|at| is_set(parts.known, at)).collect()
    };
    Some(Found { stamp: parts.stamp, known, states })
}

/// A chunk of the states in a range, of which these are known; and how many bytes of it are states.
fn write_chunk(stamp: Stamp, states: &StateVec, range: Range<usize>, known: &[usize]) -> (Vec<u8>, usize) {
    let filled: Vec<usize> = known.iter().copied().filter(|&at| states.is_filled(at)).collect();
    let mut value = Vec::new();
    write_stamp(stamp, &mut value);
    for set in [known, &filled] {
        let mut bits = vec![0_u8; range.len() / 8];
        set.iter().map(|at| at - range.start).for_each(|at| bits[at / 8] |= 1 << (at % 8));
        value.extend(bits);
    }
    let none = states.select([]).encode().len();
    let encoded = states.select(filled).encode();
    value.extend(&encoded);
    (value, encoded.len() - none)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sheaf_kernels::SampleRun;

    #[test]
    fn chunks_come_back_as_they_were() {
        let samples: Vec<f64> = (0..4096).map(|i| if i % 7 < 3 { f64::NAN } else { f64::from(i) }).collect();
        for family in [Family::Moments, Family::Polar, Family::Edges, Family::Quantiles] {
            let per_chunk = states_per_chunk(family);
            let run = SampleRun::new(&samples[..2 * per_chunk]);
            let states = StateVec::fold(family, run.into(), Grid::new(1, 0).unwrap()).unwrap();
            for known in [(0..per_chunk).collect::<Vec<_>>(), vec![], vec![0, 5, per_chunk - 1]] {
                let known: Vec<usize> = known.into_iter().map(|at| at + per_chunk).collect();
                let (value, _) = write_chunk((3, -4), &states, per_chunk..2 * per_chunk, &known);
                assert_eq!(read_stamp(&value), Some((3, -4)));
                let found = read_chunk(family, per_chunk, &value).unwrap();
                assert_eq!(found.stamp, (3, -4));
                let expected: Vec<usize> = (0..per_chunk).filter(|&at| found.known[at]).collect();
                assert_eq!(expected, known.iter().map(|at| at - per_chunk).collect::<Vec<_>>());
                for at in known {
                    assert_eq!(found.states.select([at - per_chunk]), states.select([at]), "{family} {at}");
                }
                // Whatever else it is, it is no chunk.
                for len in (0..value.len()).step_by(97) {
                    assert!(read_chunk(family, per_chunk, &value[..len]).is_none(), "{len}");
                }
            }
        }
    }

    #[test]
    fn states_that_outweigh_their_samples_are_not_kept() {
        assert!(pays(Family::Moments, 3000, DataType::Float64));
        assert!(pays(Family::Moments, 60, DataType::Float32));
        assert!(!pays(Family::Sums, 59, DataType::Float64));
        assert!(!pays(Family::Moments, 60, DataType::Int16));
        assert!(pays(Family::Bits, 3600, DataType::Uint8));
    }
}
