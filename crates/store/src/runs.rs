//! How rows become pieces: where a dense run begins and ends, and which rows are better listed.
//!
//! A *dense* run has a row for each slot, so a row's place follows from its start, and reading a range touches nothing
//! else. It ends at a gap of more than 1 024 missing samples. Rows that are too scattered for that are *listed*, each with
//! its start, in pieces of at most 65 536 rows: a piece is read whole, so this bounds what a read needs.

use std::mem;
use std::ops::Range;

use sheaf_model::DataType;

use crate::rows::{Rows, Starts, bit, clear_bit, set_bit, with_both, zeros};
use crate::series::{Layout, SeriesSpec};

/// The longest gap inside a dense run, in slots.
pub(crate) const LONGEST_GAP: usize = 1024;

/// The most rows of a listed piece.
pub(crate) const MOST_LISTED: usize = 65_536;

/// Where there are many runs, those with fewer rows than this are listed: a piece for each would cost more than it saves.
const FEWEST_DENSE: usize = 256;

/// So many short runs are few, whatever the number of parts in which they come.
const FEW_RUNS: usize = 4;

/// Takes the runs of one series, in order of time.
pub(crate) trait RunSink {
    /// What can go wrong.
    type Error;

    /// Rows `range` of `rows`, which are a grid; `missing` of them have no value. `gap` says how many slots lie between
    /// the dense run before and these, if they continue it.
    fn dense(
        &mut self,
        rows: &Rows,
        range: Range<usize>,
        missing: usize,
        gap: Option<usize>,
    ) -> Result<(), Self::Error>;

    /// Listed rows.
    fn listed(&mut self, rows: &Rows) -> Result<(), Self::Error>;
}

/// Splits the rows of one series into runs. Rows come in order of time, in any number of parts.
pub(crate) struct Splitter {
    layout: Layout,
    /// Rows to be listed.
    scattered: Rows,
    /// End of the last dense run in ticks, if nothing came after it.
    dense_end_ticks: Option<i64>,
    /// Runs with fewer rows than [`FEWEST_DENSE`] in the parts that came before.
    short_runs: usize,
}

impl Splitter {
    pub(crate) fn new(spec: &SeriesSpec) -> Splitter {
        Splitter {
            layout: spec.layout,
            scattered: Rows::none(spec.data_type),
            dense_end_ticks: None,
            short_runs: 0,
        }
    }

    /// Adds rows, sorted by start. Rows without a value count in irregular series only.
    pub(crate) fn push<S: RunSink>(&mut self, rows: &Rows, sink: &mut S) -> Result<(), S::Error> {
        match (&rows.starts, self.layout) {
            (_, Layout::Irregular) => self.list(rows, 0..rows.len(), true, sink),
            (Starts::Grid { step_ticks, .. }, Layout::Regular { .. }) => {
                self.push_grid(rows, *step_ticks, sink)
            }
            (Starts::Listed(starts), Layout::Regular { period, .. }) => {
                self.push_listed(rows, starts, period.ticks(), sink)
            }
        }
    }

    /// Passes on what is left.
    pub(crate) fn finish<S: RunSink>(mut self, sink: &mut S) -> Result<(), S::Error> {
        self.pass_scattered(sink)
    }

    fn push_grid<S: RunSink>(&mut self, rows: &Rows, step_ticks: i64, sink: &mut S) -> Result<(), S::Error> {
        let runs = grid_runs(rows);
        let few = self.are_few(runs.len());
        for (range, missing) in runs {
            let valid = range.len() - missing;
            if self.is_dense(rows.start_ticks(range.start), range.len(), valid, few, step_ticks) {
                self.dense(rows, range, missing, step_ticks, sink)?;
            } else {
                self.list(rows, range, false, sink)?;
            }
        }
        Ok(())
    }

    fn push_listed<S: RunSink>(
        &mut self,
        rows: &Rows,
        starts: &[i64],
        step_ticks: i64,
        sink: &mut S,
    ) -> Result<(), S::Error> {
        let valid = (0..rows.len()).filter(|&row| rows.is_valid(row));
        let mut runs: Vec<Range<usize>> = Vec::new();
        let mut last_start = 0;
        for row in valid {
            match runs.last_mut() {
                Some(run) if (starts[row] - last_start) / step_ticks <= LONGEST_GAP as i64 + 1 => {
                    run.end = row + 1;
                }
                _ => runs.push(row..row + 1),
            }
            last_start = starts[row];
        }
        let few = self.are_few(runs.len());
        for run in runs {
            let valid = run.clone().filter(|&row| rows.is_valid(row)).count();
            let slots = ((starts[run.end - 1] - starts[run.start]) / step_ticks) as usize + 1;
            if self.is_dense(starts[run.start], slots, valid, few, step_ticks) {
                let grid = to_grid(rows, run, step_ticks, slots);
                self.dense(&grid, 0..slots, slots - valid, step_ticks, sink)?;
            } else {
                self.list(rows, run, false, sink)?;
            }
        }
        Ok(())
    }

    /// Whether these runs and the short ones before are few.
    fn are_few(&self, runs: usize) -> bool {
        runs + self.short_runs <= FEW_RUNS
    }

    /// Whether a run with so many slots and rows is better dense than listed.
    fn is_dense(&mut self, begin_ticks: i64, slots: usize, valid: usize, few: bool, step_ticks: i64) -> bool {
        let longest = (LONGEST_GAP as i64).saturating_mul(step_ticks);
        // What goes on where the last dense run ends is a part of it, however it was cut.
        let goes_on = self.dense_end_ticks.is_some_and(|end| begin_ticks - end <= longest);
        let is_short = valid < FEWEST_DENSE && !goes_on;
        self.short_runs += usize::from(is_short);
        valid * 2 >= slots && (few || !is_short)
    }

    fn dense<S: RunSink>(
        &mut self,
        rows: &Rows,
        range: Range<usize>,
        missing: usize,
        step_ticks: i64,
        sink: &mut S,
    ) -> Result<(), S::Error> {
        self.pass_scattered(sink)?;
        let begin = rows.start_ticks(range.start);
        let end = rows.start_ticks(range.end - 1) + step_ticks;
        let gap = self.dense_end_ticks.map(|before| ((begin - before) / step_ticks) as usize);
        sink.dense(rows, range, missing, gap.filter(|&gap| gap <= LONGEST_GAP))?;
        self.dense_end_ticks = Some(end);
        Ok(())
    }

    fn list<S: RunSink>(
        &mut self,
        rows: &Rows,
        range: Range<usize>,
        with_missing: bool,
        sink: &mut S,
    ) -> Result<(), S::Error> {
        for row in range {
            if with_missing || rows.is_valid(row) {
                append_row(&mut self.scattered, rows, row);
                if self.scattered.len() == MOST_LISTED {
                    self.pass_scattered(sink)?;
                }
            }
        }
        Ok(())
    }

    fn pass_scattered<S: RunSink>(&mut self, sink: &mut S) -> Result<(), S::Error> {
        if self.scattered.is_empty() {
            return Ok(());
        }
        self.dense_end_ticks = None;
        let none = Rows::none(self.scattered.values.data_type());
        sink.listed(&mem::replace(&mut self.scattered, none))
    }
}

/// Adds row `row` of `from` to listed rows of the same type.
pub(crate) fn append_row(to: &mut Rows, from: &Rows, row: usize) {
    let at = to.len();
    if let Starts::Listed(starts) = &mut to.starts {
        starts.push(from.start_ticks(row));
    }
    let same_type = with_both!(&mut to.values, &from.values, (to, from) => to.push(from[row]));
    debug_assert!(same_type.is_some(), "rows of one series have one type");
    append_bit(&mut to.validity, at, from.validity.as_deref().is_none_or(|words| bit(words, row)), true);
    append_bit(&mut to.estimated, at, from.is_estimated(row), false);
}

/// Appends a bit to bits that are only there once one of them is not `usual`.
fn append_bit(words: &mut Option<Vec<u64>>, at: usize, value: bool, usual: bool) {
    if words.is_none() && value == usual {
        return;
    }
    let words = words.get_or_insert_with(|| vec![if usual { u64::MAX } else { 0 }; at.div_ceil(64)]);
    if words.len() * 64 <= at {
        words.push(0);
    }
    if value { set_bit(words, at) } else { clear_bit(words, at) }
}

/// The runs of a grid, each from a row with a value to one with a value, and how many rows between have none.
fn grid_runs(rows: &Rows) -> Vec<(Range<usize>, usize)> {
    let mut runs: Vec<(Range<usize>, usize)> = Vec::new();
    let mut at = 0;
    while let Some(begin) = next_row(rows, at, true) {
        let end = next_row(rows, begin, false).unwrap_or(rows.len());
        match runs.last_mut() {
            Some((run, missing)) if begin - run.end <= LONGEST_GAP => {
                *missing += begin - run.end;
                run.end = end;
            }
            _ => runs.push((begin..end, 0)),
        }
        at = end;
    }
    runs
}

/// The first row from `at` on that has a value, or that has none.
fn next_row(rows: &Rows, at: usize, valid: bool) -> Option<usize> {
    if at >= rows.len() {
        return None;
    }
    let found = match (&rows.values, &rows.validity) {
        (sheaf_model::Values::F64(values), None) => {
            values[at..].iter().position(|value| value.is_nan() != valid)
        }
        (sheaf_model::Values::F32(values), None) => {
            values[at..].iter().position(|value| value.is_nan() != valid)
        }
        (_, None) => return valid.then_some(at),
        _ => (at..rows.len()).position(|row| rows.is_valid(row) == valid),
    };
    found.map(|found| at + found)
}

/// Listed rows on a grid of `slots` slots, missing where there is none.
pub(crate) fn to_grid(rows: &Rows, range: Range<usize>, step_ticks: i64, slots: usize) -> Rows {
    let first_ticks = rows.start_ticks(range.start);
    let data_type = rows.values.data_type();
    let mut values = zeros(data_type, slots);
    let mut validity = (!data_type.is_float()).then(|| vec![0; slots.div_ceil(64)]);
    for row in range.filter(|&row| rows.is_valid(row)) {
        let slot = ((rows.start_ticks(row) - first_ticks) / step_ticks) as usize;
        with_both!(&mut values, &rows.values, (to, from) => to[slot] = from[row]);
        if let Some(words) = &mut validity {
            set_bit(words, slot);
        }
    }
    Rows { starts: Starts::Grid { first_ticks, step_ticks }, values, validity, estimated: None }
}

/// Rows sorted by start, if they are not already. `Err` has a start that two rows have.
pub(crate) fn sorted(rows: &Rows) -> Result<Option<Rows>, i64> {
    let Starts::Listed(starts) = &rows.starts else { return Ok(None) };
    if starts.is_sorted() {
        let duplicate = starts.windows(2).find(|pair| pair[0] == pair[1]);
        return duplicate.map_or(Ok(None), |pair| Err(pair[0]));
    }
    let mut order: Vec<usize> = (0..starts.len()).collect();
    order.sort_by_key(|&row| starts[row]);
    if let Some(pair) = order.windows(2).find(|pair| starts[pair[0]] == starts[pair[1]]) {
        return Err(starts[pair[0]]);
    }
    let mut in_order = Rows::none(rows.values.data_type());
    order.into_iter().for_each(|row| append_row(&mut in_order, rows, row));
    Ok(Some(in_order))
}

/// A grid without a single value, to fill a gap.
pub(crate) fn missing_grid(data_type: DataType, first_ticks: i64, step_ticks: i64, len: usize) -> Rows {
    let validity = (!data_type.is_float()).then(|| vec![0; len.div_ceil(64)]);
    Rows {
        starts: Starts::Grid { first_ticks, step_ticks },
        values: zeros(data_type, len),
        validity,
        estimated: None,
    }
}

/// What goes into the tail: rows without those that have no value, on a grid where that is shorter.
pub(crate) fn compact(rows: &Rows, layout: Layout) -> Rows {
    let Layout::Regular { period, .. } = layout else {
        let mut listed = Rows::none(rows.values.data_type());
        (0..rows.len()).for_each(|row| append_row(&mut listed, rows, row));
        return listed;
    };
    let mut listed = Rows::none(rows.values.data_type());
    (0..rows.len()).filter(|&row| rows.is_valid(row)).for_each(|row| append_row(&mut listed, rows, row));
    let Some(last) = listed.len().checked_sub(1) else { return listed };
    let slots = (listed.start_ticks(last) - listed.start_ticks(0)) / period.ticks() + 1;
    // Eight bytes for a start against eight or fewer for an empty slot.
    if slots <= 2 * listed.len() as i64 {
        to_grid(&listed, 0..listed.len(), period.ticks(), slots as usize)
    } else {
        listed
    }
}

/// How many rows of this range have no value.
pub(crate) fn count_missing(rows: &Rows) -> usize {
    match (&rows.values, &rows.validity) {
        (sheaf_model::Values::F64(_) | sheaf_model::Values::F32(_), _) | (_, Some(_)) => {
            (0..rows.len()).filter(|&row| !rows.is_valid(row)).count()
        }
        _ => 0,
    }
}
