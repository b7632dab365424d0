//! Which slots of a series have had a row, in bounded memory: it tells a late row from a second one.

/// Slots as a sorted list of ranges that neither overlap nor touch. Slots are numbers; in irregular series each tick is one.
///
/// Where there are too many ranges, those are forgotten that lie farthest from where rows come. A row that comes among
/// them later may be a second one or not, nobody can tell.
#[derive(Clone, Debug, Default)]
pub(super) struct Covered {
    ranges: Vec<(i64, i64)>,
    forgotten: Option<Forgotten>,
}

/// From the first to the last of the ranges that are not known any more, and what lay between them.
#[derive(Clone, Copy, Debug)]
struct Forgotten {
    begin: i64,
    end: i64,
    gaps: Gaps,
}

/// Stretches of slots between the first and the last one that no row has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Gaps {
    pub(super) gaps: u64,
    pub(super) slots: u64,
    /// The first slot of the first one.
    pub(super) first: Option<i64>,
}

impl Gaps {
    /// Adds what lies between these ranges, which are in order.
    fn add_between(&mut self, ranges: &[(i64, i64)]) {
        for pair in ranges.windows(2) {
            let (begin, end) = (pair[0].1, pair[1].0);
            if begin < end {
                self.gaps += 1;
                self.slots += begin.abs_diff(end);
                self.first = Some(self.first.map_or(begin, |first| first.min(begin)));
            }
        }
    }
}

/// What is known of some slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// None had a row.
    Free,
    /// Some had.
    Taken,
    /// That was forgotten.
    Forgotten,
}

impl Covered {
    /// Whether any slot from `begin` to before `end` has had a row.
    pub(super) fn find(&self, begin: i64, end: i64) -> Known {
        let at = self.ranges.partition_point(|range| range.1 <= begin);
        if self.ranges.get(at).is_some_and(|range| range.0 < end) {
            Known::Taken
        } else if self.forgotten.is_some_and(|forgotten| begin < forgotten.end && forgotten.begin < end) {
            Known::Forgotten
        } else {
            Known::Free
        }
    }

    /// Adds ranges, in order and apart from each other, and keeps at most `most` in memory.
    pub(super) fn add(&mut self, new: &[(i64, i64)], most: usize) {
        let (Some(first), Some(last)) = (new.first(), new.last()) else { return };
        let is_newest = self.ranges.last().is_none_or(|range| range.1 < last.1);
        if self.ranges.last().is_none_or(|range| range.1 <= first.0) {
            new.iter().for_each(|&range| push(&mut self.ranges, range));
        } else {
            let mut merged = Vec::with_capacity(self.ranges.len() + new.len());
            let (mut old, mut new) = (self.ranges.iter().peekable(), new.iter().peekable());
            while let Some(next) = match (old.peek(), new.peek()) {
                (Some(a), Some(b)) if a <= b => old.next(),
                (_, Some(_)) => new.next(),
                (_, None) => old.next(),
            } {
                push(&mut merged, *next);
            }
            self.ranges = merged;
        }
        if self.ranges.len() > most.max(2) {
            let kept = self.ranges.len() / 2;
            let gone: Vec<(i64, i64)> = if is_newest {
                self.ranges.drain(..self.ranges.len() - kept).collect()
            } else {
                self.ranges.drain(kept..).collect()
            };
            self.forget(gone);
        }
    }

    /// Forgets ranges that were taken out, and those that lie between them and what was forgotten before.
    fn forget(&mut self, mut gone: Vec<(i64, i64)>) {
        let mut gaps = Gaps::default();
        if let Some(before) = self.forgotten.take() {
            gone.push((before.begin, before.end));
            gaps = before.gaps;
        }
        let begin = gone.iter().map(|range| range.0).min().unwrap_or_default();
        let end = gone.iter().map(|range| range.1).max().unwrap_or_default();
        let is_between = |range: &(i64, i64)| range.0 < end && begin < range.1;
        gone.extend(self.ranges.iter().copied().filter(is_between));
        self.ranges.retain(|range| !is_between(range));
        gone.sort_unstable();
        gaps.add_between(&gone);
        self.forgotten = Some(Forgotten { begin, end, gaps });
    }

    /// From the first slot to behind the last one.
    pub(super) fn hull(&self) -> Option<(i64, i64)> {
        let forgotten = self.forgotten.map(|forgotten| (forgotten.begin, forgotten.end));
        let known = self.ranges.first().zip(self.ranges.last()).map(|(first, last)| (first.0, last.1));
        match (forgotten, known) {
            (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
            (a, b) => a.or(b),
        }
    }

    /// What lies between the ranges.
    pub(super) fn gaps(&self) -> Gaps {
        let mut gaps = self.forgotten.map_or(Gaps::default(), |forgotten| forgotten.gaps);
        let forgotten = self.forgotten.map(|forgotten| (forgotten.begin, forgotten.end));
        let mut all: Vec<(i64, i64)> = self.ranges.iter().copied().chain(forgotten).collect();
        all.sort_unstable();
        gaps.add_between(&all);
        gaps
    }
}

/// Appends a range that begins no earlier than the last one.
fn push(ranges: &mut Vec<(i64, i64)>, (begin, end): (i64, i64)) {
    match ranges.last_mut() {
        Some(last) if begin <= last.1 => last.1 = last.1.max(end),
        _ => ranges.push((begin, end)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn late_rows_fill_gaps_and_far_ones_are_forgotten() {
        let mut covered = Covered::default();
        covered.add(&[(0, 10), (20, 30)], 100);
        assert_eq!(covered.gaps(), Gaps { gaps: 1, slots: 10, first: Some(10) });
        assert_eq!((covered.find(10, 20), covered.find(9, 12)), (Known::Free, Known::Taken));
        covered.add(&[(10, 20)], 100);
        assert_eq!((covered.gaps(), covered.hull()), (Gaps::default(), Some((0, 30))));
        // Ten rows with a gap after each, of which four ranges may be kept.
        let mut covered = Covered::default();
        (0..10).for_each(|row| covered.add(&[(row * 2, row * 2 + 1)], 4));
        assert_eq!(covered.gaps(), Gaps { gaps: 9, slots: 9, first: Some(1) });
        assert_eq!((covered.find(1, 2), covered.find(18, 19)), (Known::Forgotten, Known::Taken));
        assert_eq!((covered.find(19, 30), covered.find(-5, 0)), (Known::Free, Known::Free));
    }

    proptest! {
        #[test]
        fn it_is_a_set_of_slots(
            rows in proptest::collection::vec(proptest::collection::btree_set(0_i64..300, 1..20), 1..30),
            most in 2_usize..60,
        ) {
            let mut covered = Covered::default();
            let mut all = BTreeSet::new();
            for chunk in rows {
                for &slot in &chunk {
                    match covered.find(slot, slot + 1) {
                        Known::Free => prop_assert!(!all.contains(&slot)),
                        Known::Taken => prop_assert!(all.contains(&slot)),
                        Known::Forgotten => {}
                    }
                }
                // As the caller does: what may be a second row does not come.
                let chunk: Vec<i64> =
                    chunk.into_iter().filter(|&slot| covered.find(slot, slot + 1) != Known::Forgotten).collect();
                let mut runs = Vec::new();
                chunk.iter().for_each(|&slot| push(&mut runs, (slot, slot + 1)));
                covered.add(&runs, most);
                all.extend(chunk);
            }
            let sorted: Vec<i64> = all.into_iter().collect();
            let mut gaps = Gaps::default();
            gaps.add_between(&sorted.iter().map(|&slot| (slot, slot + 1)).collect::<Vec<_>>());
            prop_assert_eq!(covered.gaps(), gaps);
            prop_assert_eq!(covered.hull(), Some((sorted[0], sorted[sorted.len() - 1] + 1)));
        }
    }
}
