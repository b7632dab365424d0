//! Values that are kept as they were given.
//!
//! Where the same is asked again, states are more than is needed: seven numbers for one, merged and finished once more. So
//! the values of a statistic are kept beside them, for one period and one gate. They are validated as states are
//! ([`crate::validity`]), and made of these again where they do not hold.
//!
//! A chunk holds one run of values. Numbers are little-endian:
//!
//! | bytes | what |
//! |---|---|
//! | 8, 8 | stamp: commit and nonce, or 0 and the revision of a source |
//! | 8 | the number of values of the chunk that lie before the run |
//! | 8 each | the values; NaN where there is none |

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;
use sheaf_kernels::Statistic;
use sheaf_model::TimeRange;
use sheaf_sources::SourceError;
use sheaf_store::Rollups;

use crate::kept::{MOST_CHUNKS, Validated, read_stamp, touched, write_stamp};
use crate::rollup_key::ValueKey;
use crate::validity::{Stamp, Validity, Verdict};

/// Values of a chunk: with key and header they fill eight pages of the file nearly to the end.
pub(crate) const VALUES_PER_CHUNK: i64 = 4032;
const CHUNK: i64 = VALUES_PER_CHUNK;

/// Values that a thread loads at a time; each time costs as much as a chunk.
const PART: i64 = 4 * CHUNK;

/// The most values that are loaded at once, 1 MiB of a column; and those of all columns that are read together, 64 MiB, as
/// far as that leaves a few to each.
const MOST_LOADED: usize = 1 << 17;
const LOADED_TOGETHER: usize = 1 << 23;
const FEWEST_LOADED: usize = 1 << 10;

/// The fewest values that are kept: fewer are made of states in less time than they are found.
const FEWEST_VALUES: i64 = 64;

/// What is read, and where its values are kept.
pub(crate) struct ValuePlace {
    pub(crate) rollups: Arc<Rollups>,
    pub(crate) key: ValueKey,
    /// One for each column.
    pub(crate) statistics: Vec<Statistic>,
    pub(crate) validity: Validity,
    /// Of whole values.
    pub(crate) range: TimeRange,
    /// How many series are read together.
    pub(crate) together: usize,
}

/// The values of a range that are kept.
pub(crate) struct KeptValues {
    place: ValuePlace,
    /// The numbers of the values that are asked for: value 0 begins with tick 0.
    wanted: Range<i64>,
    window: Window,
    /// Values that were made of states or samples, and not put away yet, from this number on.
    first_new: i64,
    new: Vec<Vec<f64>>,
    new_samples: u64,
}

/// Values that are loaded.
#[derive(Default)]
struct Window {
    /// The number of the first.
    first: i64,
    columns: Vec<Vec<f64>>,
    /// Which of them are known in all columns.
    known: Vec<bool>,
    /// Where they come from, until that is judged: column, stamp, and the numbers of the values.
    found: Vec<(usize, Stamp, Range<i64>)>,
}

impl Window {
    fn end(&self) -> i64 {
        self.first + self.known.len() as i64
    }

    fn at(&self, number: i64) -> usize {
        (number - self.first) as usize
    }
}

impl KeptValues {
    /// The values of a range. Nothing is loaded yet.
    pub(crate) fn new(place: ValuePlace) -> KeptValues {
        let period = place.key.period_ticks;
        let wanted =
            place.range.begin().ticks().div_euclid(period)..place.range.end().ticks().div_euclid(period);
        KeptValues {
            window: Window { first: wanted.start, ..Window::default() },
            first_new: wanted.start,
            new: vec![Vec::new(); place.statistics.len()],
            new_samples: 0,
            wanted,
            place,
        }
    }

    /// The number of the value that begins with this tick.
    pub(crate) fn number(&self, tick: i64) -> i64 {
        tick.div_euclid(self.place.key.period_ticks)
    }

    /// Whether all values are known, and loaded.
    pub(crate) fn is_answered(&self) -> bool {
        self.window.first == self.wanted.start
            && self.window.end() == self.wanted.end
            && self.window.known.iter().all(|known| *known)
    }

    /// The values from number `from` on, `most` at most, as far as they are known in all columns; `None` if the first is not.
    /// Loads what lies beyond what is loaded. Blocks.
    ///
    /// # Errors
    /// The source can't say whether they hold.
    pub(crate) fn take(&mut self, from: i64, most: i64) -> Result<Option<Vec<Vec<f64>>>, SourceError> {
        if from >= self.window.end() {
            self.load(from);
            self.judge_loaded()?;
        }
        Ok(self.take_loaded(from, most))
    }

    fn take_loaded(&mut self, from: i64, most: i64) -> Option<Vec<Vec<f64>>> {
        let window = &mut self.window;
        let known = window.known.get(window.at(from)..)?;
        let count =
            known.iter().take(usize::try_from(most).unwrap_or(usize::MAX)).take_while(|known| **known);
        let run = window.at(from)..window.at(from) + count.count();
        if run.is_empty() {
            return None;
        }
        if run.len() < window.known.len() {
            return Some(window.columns.iter().map(|column| column[run.clone()].to_vec()).collect());
        }
        let taken = std::mem::take(window);
        window.first = taken.end();
        Some(taken.columns)
    }

    /// Loads a window from number `first` on.
    fn load(&mut self, first: i64) {
        let ValuePlace { rollups, key, statistics, together, .. } = &self.place;
        let fair = LOADED_TOGETHER / together.saturating_mul(statistics.len()).max(1);
        let most = fair.clamp(FEWEST_LOADED, MOST_LOADED);
        let len = (self.wanted.end.min(first.saturating_add(most as i64)) - first).max(0) as usize;
        let mut columns = vec![vec![f64::NAN; len]; statistics.len()];
        let mut parts = Vec::new();
        for (column, values) in columns.iter_mut().enumerate() {
            let (mut at, mut left) = (first, &mut values[..]);
            while !left.is_empty() {
                let whole = (PART - at.rem_euclid(PART)) as usize;
                let (part, later) = left.split_at_mut(whole.min(left.len()));
                (at, left) = (at + part.len() as i64, later);
                parts.push((column, at - part.len() as i64, part));
            }
        }
        let load_part = |(column, first, values): (usize, i64, &mut [f64])| {
            let part = first..first + values.len() as i64;
            let first_chunk = first.div_euclid(CHUNK);
            let keys = (first_chunk..=(part.end - 1).div_euclid(CHUNK))
                .map(|chunk| key.of_chunk(statistics[column], chunk));
            let mut found = Vec::new();
            rollups.visit(keys, |index, bytes| {
                let Some(run) = Run::read(first_chunk + index as i64, bytes) else { return };
                let within = run.numbers.start.max(first)..run.numbers.end.min(part.end);
                if within.is_empty() {
                    return;
                }
                let bytes = &run.values[(within.start - run.numbers.start) as usize..];
                let values = &mut values[(within.start - first) as usize..(within.end - first) as usize];
                values.iter_mut().zip(bytes).for_each(|(value, bytes)| *value = f64::from_le_bytes(*bytes));
                found.push((column, run.stamp, within));
            });
            found
        };
        let found = match parts.len() {
            // Other threads would take longer to come than this one needs.
            _ if len * statistics.len() <= PART as usize => parts.into_iter().flat_map(load_part).collect(),
            _ => parts.into_par_iter().flat_map_iter(load_part).collect(),
        };
        self.window = Window { first, columns, known: vec![false; len], found };
    }

    fn judge_loaded(&mut self) -> Result<(), SourceError> {
        let Window { first, known, found, columns } = &mut self.window;
        let mut known_in = vec![vec![false; known.len()]; columns.len()];
        for (column, stamp, numbers) in found.drain(..) {
            let known = &mut known_in[column];
            let at = |number: i64| (number - *first) as usize;
            let chunk = numbers.start.div_euclid(CHUNK);
            if let Verdict::Past(changed) = self.place.validity.verdict(chunk, stamp)? {
                known[at(numbers.start)..at(numbers.end)].fill(true);
                for changed in touched(changed, &numbers, self.place.key.period_ticks) {
                    known[at(changed.start)..at(changed.end)].fill(false);
                }
            }
        }
        let mut known_in = known_in.into_iter();
        *known = known_in.next().unwrap_or_default();
        for other in known_in {
            known.iter_mut().zip(other).for_each(|(known, other)| *known &= other);
        }
        Ok(())
    }

    /// Lets go of all that is loaded.
    pub(crate) fn release(&mut self) {
        self.window = Window::default();
    }

    /// About how many bytes the values take that are loaded, and those that wait to be put away.
    pub(crate) fn held_bytes(&self) -> usize {
        let columns = self.window.columns.iter().chain(&self.new);
        columns.map(|column| column.capacity() * size_of::<f64>()).sum::<usize>() + self.window.known.len()
    }

    /// Keeps values that were made of so many samples each, from number `first` on, a column for each statistic.
    pub(crate) fn add(&mut self, first: i64, columns: &[Vec<f64>], samples_per_value: u64) {
        let values = columns.iter().map(Vec::len).min().unwrap_or_default();
        self.new_samples = self.new_samples.saturating_add(samples_per_value.saturating_mul(values as u64));
        if first != self.first_new + self.new.first().map_or(0, |new| new.len() as i64) {
            self.put_back(i64::MAX);
            self.first_new = first;
        }
        self.new.iter_mut().zip(columns).for_each(|(new, column)| new.extend(&column[..values]));
        let end = first + values as i64;
        self.put_back(end - end.rem_euclid(CHUNK));
    }

    /// Puts away new values up to this number.
    fn put_back(&mut self, until: i64) {
        let first = self.first_new;
        let end = until.min(first + self.new.first().map_or(0, |new| new.len() as i64));
        if end <= first {
            return;
        }
        if self.new_samples >= self.place.rollups.settings().fewest_samples {
            let chunks = first.div_euclid(CHUNK)..-(-end).div_euclid(CHUNK);
            // A source that does not answer now is no matter for those who have their values.
            let stamps: Vec<Option<Stamp>> =
                chunks.clone().map(|chunk| self.place.validity.stamp(chunk).ok().flatten()).collect();
            let may_put = self.place.validity.may_put();
            for (chunk, stamp) in chunks.zip(stamps).filter(|_| may_put) {
                let Some(stamp) = stamp else { continue };
                let numbers = first.max(chunk * CHUNK)..end.min((chunk + 1) * CHUNK);
                for (new, &statistic) in self.new.iter().zip(&self.place.statistics) {
                    let values = &new[(numbers.start - first) as usize..(numbers.end - first) as usize];
                    self.put(statistic, chunk, stamp, numbers.clone(), values);
                }
            }
        }
        self.place.validity.forget_before(end.div_euclid(CHUNK));
        self.new.iter_mut().for_each(|new| drop(new.drain(..(end - first) as usize)));
        self.first_new = end;
    }

    /// Puts values into a chunk, together with those beside them that still hold there.
    fn put(&self, statistic: Statistic, chunk: i64, stamp: Stamp, numbers: Range<i64>, values: &[f64]) {
        let ValuePlace { rollups, key, validity, .. } = &self.place;
        let (mut joined, mut before, mut after) = (numbers.clone(), Vec::new(), Vec::new());
        let mut is_to_stay = false;
        let id = key.of_chunk(statistic, chunk);
        rollups.visit(std::iter::once(id.clone()), |_, bytes| {
            let Some(run) = Run::read(chunk, bytes) else { return };
            let changed = match validity.verdict(chunk, run.stamp) {
                Ok(Verdict::Past(changed)) => changed,
                Ok(Verdict::Void) => return,
                Ok(Verdict::Apart) | Err(_) => return is_to_stay = true,
            };
            // What holds in front of these values and behind them, up to the next change.
            let (Range { start: mut from, end: mut until }, mut holding) =
                (run.numbers.clone(), run.values.len());
            for changed in touched(changed, &run.numbers, key.period_ticks) {
                holding = holding.saturating_sub((changed.end - changed.start) as usize);
                if changed.start < numbers.start {
                    from = from.max(changed.end.min(numbers.start));
                }
                if changed.end > numbers.end {
                    until = until.min(changed.start.max(numbers.end));
                }
            }
            let values_of = |part: Range<i64>| {
                let at = |number: i64| (number - run.numbers.start) as usize;
                run.values[at(part.start)..at(part.end)].to_vec()
            };
            if (from + 1..=until).contains(&numbers.start) {
                before = values_of(from..numbers.start);
                joined.start = from;
            }
            if (from..until).contains(&numbers.end) {
                after = values_of(numbers.end..until);
                joined.end = until;
            }
            is_to_stay = joined == numbers && holding > values.len();
        });
        if is_to_stay || joined.end - joined.start < FEWEST_VALUES {
            return;
        }
        let mut value = Vec::with_capacity(HEADER_LEN + 8 * (joined.end - joined.start) as usize);
        write_stamp(stamp, &mut value);
        value.extend((joined.start - chunk * CHUNK).to_le_bytes());
        value.extend(before.as_flattened());
        value.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        value.extend(after.as_flattened());
        rollups.put(id, value);
    }
}

impl Validated for KeptValues {
    fn open(&mut self) -> HashSet<Stamp> {
        self.load(self.wanted.start);
        let mut stamps: HashSet<Stamp> = self.window.found.iter().map(|(_, stamp, _)| *stamp).collect();
        let ValuePlace { rollups, key, statistics, .. } = &self.place;
        let first = self.window.end().div_euclid(CHUNK);
        let until = -(-self.wanted.end).div_euclid(CHUNK);
        let chunks = if self.window.end() < self.wanted.end {
            first..until.min(first.saturating_add(MOST_CHUNKS))
        } else {
            0..0
        };
        for &statistic in statistics {
            let keys = chunks.clone().map(|chunk| key.of_chunk(statistic, chunk));
            rollups.peek(keys, |_, head| stamps.extend(read_stamp(head)));
        }
        stamps
    }

    fn judge(&mut self, verdicts: &HashMap<Stamp, Verdict>) -> Result<(), SourceError> {
        self.place.validity.judge(verdicts);
        self.judge_loaded()
    }
}

/// What was given is worth keeping, whoever lost interest in the rest.
impl Drop for KeptValues {
    fn drop(&mut self) {
        self.put_back(i64::MAX);
    }
}

/// Commit, nonce, and where the run begins.
const HEADER_LEN: usize = 24;

/// A chunk as it is kept.
struct Run<'a> {
    stamp: Stamp,
    numbers: Range<i64>,
    values: &'a [[u8; 8]],
}

impl Run<'_> {
    fn read(chunk: i64, bytes: &[u8]) -> Option<Run<'_>> {
        let stamp = read_stamp(bytes)?;
        let (fields, rest) = bytes.as_chunks::<8>();
        let (header, values) = fields.split_at_checked(HEADER_LEN / 8)?;
        let before = i64::from_le_bytes(*header.last()?);
        let end = before.checked_add(values.len() as i64)?;
        let is_right = rest.is_empty() && 0 <= before && end <= CHUNK;
        is_right.then(|| Run { stamp, numbers: chunk * CHUNK + before..chunk * CHUNK + end, values })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollup_key::{Folded, Whose};
    use sheaf_kernels::Gate;
    use sheaf_model::Tick;
    use sheaf_store::{ROLLUPS_FILE, RollupSettings, SeriesId};
    use tempfile::TempDir;

    const PERIOD_TICKS: i64 = 1000;

    /// The range of these values.
    fn ticks(numbers: Range<i64>) -> TimeRange {
        let tick = |number: i64| Tick::new(number * PERIOD_TICKS).unwrap();
        TimeRange::new(tick(numbers.start), tick(numbers.end)).unwrap()
    }

    struct Case {
        _folder: TempDir,
        rollups: Arc<Rollups>,
    }

    impl Case {
        fn new() -> Case {
            let folder = TempDir::new().unwrap();
            let settings = RollupSettings { fewest_samples: 5000, ..RollupSettings::default() };
            let rollups = Arc::new(Rollups::new(folder.path().join(ROLLUPS_FILE), settings));
            Case { _folder: folder, rollups }
        }

        fn at(&self, commit: i64, statistics: &[Statistic], numbers: Range<i64>) -> KeptValues {
            let of = Whose::Stored { store: 1, series: SeriesId(2) };
            let folded = Folded { of, base: "1_ms".parse().unwrap() };
            let key = ValueKey { folded, period_ticks: PERIOD_TICKS, gate: Gate::new(100, 0.5).unwrap() };
            KeptValues::new(ValuePlace {
                rollups: self.rollups.clone(),
                key,
                statistics: statistics.to_vec(),
                validity: Validity::of_snapshot((commit, 7)),
                range: ticks(numbers),
                together: 1,
            })
        }

        /// Adds values of 100 samples, each its number and the commit behind the point.
        fn give(&self, commit: i64, verdicts: &[(i64, Verdict)], numbers: Range<i64>) {
            let mut values = self.at(commit, &[Statistic::Mean], numbers.clone());
            values.judge(&judged(verdicts)).unwrap();
            let given: Vec<f64> = numbers.clone().map(|number| value(number, commit)).collect();
            values.add(numbers.start, &[given], 100);
        }

        /// The numbers of the values that are known to a read of mean at a commit, with the commits they are of.
        fn known(
            &self,
            commit: i64,
            verdicts: &[(i64, Verdict)],
            numbers: Range<i64>,
        ) -> Vec<(Range<i64>, i64)> {
            let mut values = self.at(commit, &[Statistic::Mean], numbers.clone());
            values.open();
            values.judge(&judged(verdicts)).unwrap();
            let (mut runs, mut next): (Vec<(Range<i64>, i64)>, i64) = (Vec::new(), numbers.start);
            while next < numbers.end {
                let Some(columns) = values.take(next, 1000).unwrap() else {
                    next += 1;
                    continue;
                };
                assert!(columns[0].len() <= 1000);
                for &found in &columns[0] {
                    let of = (0..10).find(|&commit| value(next, commit) == found).unwrap();
                    match runs.last_mut() {
                        Some((run, commit)) if run.end == next && *commit == of => run.end += 1,
                        _ => runs.push((next..next + 1, of)),
                    }
                    next += 1;
                }
            }
            runs
        }
    }

    fn value(number: i64, commit: i64) -> f64 {
        number as f64 + commit as f64 / 16.0
    }

    fn judged(verdicts: &[(i64, Verdict)]) -> HashMap<Stamp, Verdict> {
        verdicts.iter().map(|(commit, verdict)| ((*commit, 7), verdict.clone())).collect()
    }

    #[test]
    fn values_are_found_again_all_at_once_or_piece_by_piece() {
        let case = Case::new();
        // More than are loaded at once.
        case.give(1, &[], 50_000..300_000);
        let mut values = case.at(1, &[Statistic::Mean], 90_000..110_000);
        // Its own stamp needs no verdict.
        assert_eq!(values.open(), HashSet::from([(1, 7)]));
        assert!(!values.is_answered());
        values.judge(&HashMap::new()).unwrap();
        assert!(values.is_answered());
        let all: Vec<f64> = (90_000..110_000).map(|number| value(number, 1)).collect();
        assert_eq!(values.take(90_000, i64::MAX).unwrap().unwrap(), [all]);
        assert_eq!(case.known(1, &[], 40_000..310_000), [(50_000..300_000, 1)]);
        // All columns must be there.
        let mut both = case.at(1, &[Statistic::Mean, Statistic::Max], 0..100);
        both.open();
        both.judge(&HashMap::new()).unwrap();
        assert!(!both.is_answered() && both.take(0, 1).unwrap().is_none());
    }

    #[test]
    fn what_changed_is_not_known_and_what_holds_beside_it_is_kept() {
        let case = Case::new();
        case.give(1, &[], 0..3000);
        let past = |numbers: Range<i64>| vec![(1, Verdict::Past(vec![ticks(numbers)]))];
        let changed = past(1000..1010);
        assert_eq!(case.known(2, &changed, 0..3000), [(0..1000, 1), (1010..3000, 1)]);
        // What is given anew joins both sides, and what is given behind the end.
        case.give(2, &changed, 990..1100);
        let joined = [(0..990, 1), (990..1100, 2), (1100..3000, 1)];
        assert_eq!(case.known(2, &[], 0..4000), joined);
        case.give(2, &[], 3000..3070);
        assert_eq!(case.known(2, &[], 0..4000)[2..], [(1100..3000, 1), (3000..3070, 2)]);
        // Up to the next change only.
        let changes = Verdict::Past(vec![ticks(100..101), ticks(500..600), ticks(2000..2001)]);
        case.give(3, &[(2, changes)], 550..700);
        assert_eq!(
            case.known(3, &[], 0..4000),
            [(550..700, 3), (700..990, 1), (990..1100, 2), (1100..2000, 1)]
        );
        // Less than what holds elsewhere in the chunk is not worth it.
        case.give(3, &[], 3500..3600);
        assert_eq!(case.known(3, &[], 0..4000).len(), 4);
    }

    #[test]
    fn other_histories_are_replaced_and_the_future_is_left_alone() {
        let case = Case::new();
        case.give(5, &[], 0..1000);
        assert_eq!(case.known(4, &[(5, Verdict::Apart)], 0..1000), []);
        case.give(4, &[(5, Verdict::Apart)], 0..2000);
        case.give(4, &[], 0..2000);
        assert_eq!(case.known(5, &[], 0..2000), [(0..1000, 5)]);
        case.give(4, &[(5, Verdict::Void)], 100..200);
        assert_eq!(case.known(4, &[], 0..2000), [(100..200, 4)]);
        // Few values, and those of few samples, are not kept.
        case.give(4, &[], 5000..5063);
        case.give(4, &[], 9000..9049);
        assert_eq!(case.known(4, &[], 4000..10_000), []);
    }

    #[test]
    fn what_is_no_chunk_is_none() {
        let case = Case::new();
        case.give(1, &[], 10..200);
        let key = case.at(1, &[], 0..1).place.key.of_chunk(Statistic::Mean, 0);
        let mut bytes = Vec::new();
        case.rollups.visit(std::iter::once(key), |_, value| bytes = value.to_vec());
        assert_eq!(Run::read(0, &bytes).unwrap().numbers, 10..200);
        assert_eq!(Run::read(-1, &bytes).unwrap().numbers, 10 - CHUNK..200 - CHUNK);
        for len in (0..bytes.len()).filter(|len| len % 8 != 0 || *len < HEADER_LEN) {
            assert!(Run::read(0, &bytes[..len]).is_none(), "{len}");
        }
        for before in [-1, CHUNK - 189, i64::MAX] {
            bytes[16..24].copy_from_slice(&before.to_le_bytes());
            assert!(Run::read(0, &bytes).is_none(), "{before}");
        }
    }
}
