//! Rows in time: each in its slot, none twice, and what there is to say about it.

use sheaf_model::{SamplePeriod, Tick};
use sheaf_sources::{Slots, most_jitter_ticks};
use sheaf_store::Layout;

use super::covered::{Covered, Gaps, Known};
use super::gather::Times;

/// How many rows of a sort there were, and the line of the first one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// How many.
    pub rows: u64,
    /// The first line, or the first row where there are no lines.
    pub first: Option<u64>,
}

impl Found {
    fn add(&mut self, line: u64) {
        self.rows += 1;
        self.first = Some(self.first.map_or(line, |first| first.min(line)));
    }

    fn join(&mut self, other: Found) {
        self.rows += other.rows;
        self.first = self.first.into_iter().chain(other.first).min();
    }
}

/// A row that lies where it must not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Misplaced {
    pub(super) why: Why,
    pub(super) line: u64,
    pub(super) start: Tick,
    /// How many such rows were found.
    pub(super) rows: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// Too far beside its slot.
    Beside,
    /// Another row has its slot.
    Second,
    /// Perhaps another row has its slot: it comes too late to know.
    TooLate,
    /// It begins or ends beyond the time that can be named; its start is something near.
    BeyondTime,
}

/// The rows of one series, or of all those of a wide table that share their starts.
#[derive(Debug)]
pub(super) struct Timeline {
    pub(super) layout: Layout,
    covered: Covered,
    /// The latest start so far.
    latest: i64,
    pub(super) out_of_order: Found,
    pub(super) jittered: Found,
    pub(super) most_jitter_ticks: i64,
    pub(super) duplicates: Found,
}

/// Rows at their starts.
#[derive(Debug)]
pub(super) enum Placed {
    /// Each in the slot after the one before, from this start on.
    Dense { first_ticks: i64, period: SamplePeriod },
    /// By start, and rows of the same start by their order in the table.
    Listed(Vec<(i64, u32)>),
}

impl Timeline {
    pub(super) fn new(layout: Layout) -> Timeline {
        Timeline {
            layout,
            covered: Covered::default(),
            latest: i64::MIN,
            out_of_order: Found::default(),
            jittered: Found::default(),
            most_jitter_ticks: 0,
            duplicates: Found::default(),
        }
    }

    /// Places some more rows. With `align` they may lie anywhere beside their slots, and several in one. At most
    /// `most_ranges` are kept to know what later rows meet.
    pub(super) fn place(
        &mut self,
        times: &Times,
        align: bool,
        most_ranges: usize,
    ) -> Result<Placed, Misplaced> {
        for (row, &start) in times.starts.iter().enumerate() {
            if start < self.latest {
                self.out_of_order.add(times.line(row));
            }
            self.latest = self.latest.max(start);
        }
        let mut order: Vec<u32> = (0..times.len() as u32).collect();
        if !times.starts.is_sorted() {
            order.sort_by_key(|&row| times.starts[row as usize]);
        }
        let mut places = self.place_in_slots(times, &order, align)?;
        let (second, has_several) = self.find_seconds(times, &mut places)?;
        if second.rows > 0 && !align {
            return Err(misplaced(Why::Second, times, second));
        }
        self.duplicates.join(second);
        let mut runs: Vec<(i64, i64)> = Vec::new();
        for &(start, _) in &places {
            let slot = self.slot(start);
            match runs.last_mut() {
                Some(run) if slot <= run.1 => run.1 = run.1.max(slot + 1),
                _ => runs.push((slot, slot + 1)),
            }
        }
        self.covered.add(&runs, most_ranges);
        // Rows that follow each other in the table and in time are taken as they are.
        let in_order = !has_several && order.windows(2).all(|pair| pair[0] < pair[1]);
        Ok(match self.layout {
            Layout::Regular { period, .. } if in_order && runs.len() == 1 => {
                let first_ticks = places.first().map_or(0, |place| place.0);
                Placed::Dense { first_ticks, period }
            }
            _ => Placed::Listed(places),
        })
    }

    /// The slot of each row, in order of time.
    fn place_in_slots(
        &mut self,
        times: &Times,
        order: &[u32],
        align: bool,
    ) -> Result<Vec<(i64, u32)>, Misplaced> {
        let (slots, step, most) = match self.layout {
            Layout::Regular { period, phase_ticks } => {
                (Some(Slots::new(period, phase_ticks)), period.ticks(), most_jitter_ticks(period))
            }
            Layout::Irregular => (None, 1, 0),
        };
        let (first, last) = (Tick::MIN.ticks(), Tick::MAX.ticks() - step);
        let mut beside = Found::default();
        let mut before: Option<i64> = None;
        let mut places = Vec::with_capacity(order.len());
        for &row in order {
            let start = times.starts[row as usize];
            let next = before.map(|before| before + step);
            // Most rows are where they are expected: no division for them.
            let slot = match &slots {
                Some(slots) if next != Some(start) => slots.start_of(start),
                _ => start,
            };
            if !(first..=last).contains(&slot) {
                let rows = Found { rows: 1, first: Some(times.line(row as usize)) };
                return Err(misplaced(Why::BeyondTime, times, rows));
            }
            let jitter = (start - slot).abs();
            if jitter > 0 {
                let line = times.line(row as usize);
                if jitter > most {
                    beside.add(line);
                }
                self.jittered.add(line);
                self.most_jitter_ticks = self.most_jitter_ticks.max(jitter);
            }
            places.push((slot, row));
            before = Some(slot);
        }
        if beside.rows > 0 && !align {
            return Err(misplaced(Why::Beside, times, beside));
        }
        Ok(places)
    }

    /// The rows whose slot an earlier one has, in these places or before, and whether several of these share one.
    fn find_seconds(&self, times: &Times, places: &mut [(i64, u32)]) -> Result<(Found, bool), Misplaced> {
        let mut second = Found::default();
        let has_several = places.windows(2).any(|pair| pair[0].0 == pair[1].0);
        if has_several {
            places.sort_unstable();
            for pair in places.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
                second.add(times.line(pair[1].1 as usize));
            }
        }
        let (Some(first), Some(last)) = (places.first(), places.last()) else {
            return Ok((second, has_several));
        };
        if self.covered.find(self.slot(first.0), self.slot(last.0) + 1) != Known::Free {
            let mut before = None;
            for &(start, row) in places.iter() {
                let slot = self.slot(start);
                // The others of the slot are counted already.
                let is_first = before.replace(slot) != Some(slot);
                match self.covered.find(slot, slot + 1) {
                    Known::Taken if is_first => second.add(times.line(row as usize)),
                    Known::Free | Known::Taken => {}
                    Known::Forgotten => {
                        let rows = Found { rows: 1, first: Some(times.line(row as usize)) };
                        return Err(misplaced(Why::TooLate, times, rows));
                    }
                }
            }
        }
        Ok((second, has_several))
    }

    /// Starts of the first row and the last one.
    pub(super) fn first_last(&self) -> Option<(Tick, Tick)> {
        let (begin, end) = self.covered.hull()?;
        Tick::new(self.start_of(begin)).ok().zip(Tick::new(self.start_of(end - 1)).ok())
    }

    /// The gaps between the rows, and where the first one begins. Irregular rows have none.
    pub(super) fn gaps(&self) -> (Gaps, Option<Tick>) {
        match self.layout {
            Layout::Irregular => (Gaps::default(), None),
            Layout::Regular { .. } => {
                let gaps = self.covered.gaps();
                (gaps, gaps.first.and_then(|slot| Tick::new(self.start_of(slot)).ok()))
            }
        }
    }

    /// The number of the slot that starts there.
    fn slot(&self, start: i64) -> i64 {
        match self.layout {
            Layout::Regular { period, phase_ticks } => (start - phase_ticks).div_euclid(period.ticks()),
            Layout::Irregular => start,
        }
    }

    fn start_of(&self, slot: i64) -> i64 {
        match self.layout {
            Layout::Regular { period, phase_ticks } => slot * period.ticks() + phase_ticks,
            Layout::Irregular => slot,
        }
    }
}

fn misplaced(why: Why, times: &Times, found: Found) -> Misplaced {
    let line = found.first.unwrap_or_default();
    let row = times.lines.iter().position(|&other| other == line).unwrap_or_default();
    let start = times.starts.get(row).copied().unwrap_or_default();
    let start = Tick::new(start.clamp(Tick::MIN.ticks(), Tick::MAX.ticks())).unwrap_or(Tick::MIN);
    Misplaced { why, line, start, rows: found.rows }
}
