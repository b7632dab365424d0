//! How the starts of rows lie: at a period, perhaps with a phase, or anywhere. A pure function of the starts.
//!
//! What is found is what the rows say by themselves. A period is the usual distance between neighbours, or one near it that
//! people use, whichever fits the rows better; a phase is how long after its multiples the rows start. Rows may be a little
//! beside their slots, at most [`MOST_JITTER`] of the period and two hours, which is more than clocks are changed by. So
//! bills, whose months differ by days, have no slots. Whether a few rows that are farther off are refused is for the caller
//! to decide.

use sheaf_model::{SamplePeriod, Tick};

/// How far beside its slot a row may start, as a share of the period.
pub const MOST_JITTER: f64 = 0.1;

/// How far beside its slot a row may start at most, whatever the period.
const MOST_JITTER_TICKS: i64 = 2 * 3600 * Tick::PER_SECOND;

/// Where more of the rows than this lie beside their slots, they have none.
const MOST_BESIDE: f64 = 0.2;

/// Periods that people use are tried where they are so near to the usual distance, as a share of it: jitter makes a distance
/// longer or shorter at both ends.
const NEAR: f64 = 2.0 * MOST_JITTER;

/// How rows lie.
#[derive(Clone, Debug, PartialEq)]
pub enum Spacing {
    /// In slots.
    Regular(Slots),
    /// Anywhere.
    Irregular,
}

/// Slots, and how well rows fit them.
#[derive(Clone, Debug, PartialEq)]
pub struct Slots {
    /// From a slot to the next.
    pub period: SamplePeriod,
    /// How long after its multiples the rows start, in ticks: 0 ≤ phase < period.
    pub phase_ticks: i64,
    /// How many rows start beside their slot, by [`MOST_JITTER`] at most.
    pub jittered: u64,
    /// The farthest of those is so many ticks beside it.
    pub most_jitter_ticks: i64,
    /// The first row that is farther beside its slot, and how many such rows there are.
    pub beside: Option<(usize, u64)>,
    /// The first row in the slot of the row before, and how many such rows there are.
    pub shared: Option<(usize, u64)>,
    /// Slots between the first row and the last one that no row has.
    pub empty: u64,
    /// How many stretches of them there are, and the row before the first one.
    pub gaps: Option<(usize, u64)>,
}

impl Slots {
    /// Slots without any row so far.
    pub fn new(period: SamplePeriod, phase_ticks: i64) -> Slots {
        Slots {
            period,
            phase_ticks,
            jittered: 0,
            most_jitter_ticks: 0,
            beside: None,
            shared: None,
            empty: 0,
            gaps: None,
        }
    }

    /// The slot of a row, as the start of it.
    pub fn start_of(&self, ticks: i64) -> i64 {
        let period = self.period.ticks();
        let before = (ticks - self.phase_ticks).div_euclid(period);
        let rest = (ticks - self.phase_ticks).rem_euclid(period);
        let slot = if rest * 2 > period { before + 1 } else { before };
        slot * period + self.phase_ticks
    }
}

/// How far beside its slot a row of this period may start, in ticks.
pub fn most_jitter_ticks(period: SamplePeriod) -> i64 {
    ((MOST_JITTER * period.ticks() as f64) as i64).min(MOST_JITTER_TICKS)
}

/// How these starts lie, which are in order; `period` if it is known. `None` where nothing can be said: of fewer than two
/// different starts without a period.
pub fn spacing(starts: &[i64], period: Option<SamplePeriod>) -> Option<Spacing> {
    let first = *starts.first()?;
    let candidates = match period {
        Some(period) => vec![period],
        None => usual_periods(starts)?,
    };
    let slots =
        candidates.into_iter().map(|period| fit(starts, period, phase(starts, first, period.ticks())));
    let rows = |found: Option<(usize, u64)>| found.map_or(0, |(_, count)| count);
    let best = slots.min_by_key(|slots| {
        (rows(slots.beside) + rows(slots.shared), slots.most_jitter_ticks, slots.jittered)
    });
    Some(match best {
        Some(slots) if rows(slots.beside) as f64 <= MOST_BESIDE * starts.len() as f64 => {
            Spacing::Regular(slots)
        }
        _ => Spacing::Irregular,
    })
}

/// The usual distance between neighbours, and the periods near it that people use. `None` where all starts are the same.
fn usual_periods(starts: &[i64]) -> Option<Vec<SamplePeriod>> {
    const UNITS: [i64; 6] = [
        1,
        Tick::PER_SECOND / 1000,
        Tick::PER_SECOND,
        60 * Tick::PER_SECOND,
        3600 * Tick::PER_SECOND,
        86_400 * Tick::PER_SECOND,
    ];
    const COUNTS: [i64; 18] = [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 25, 30, 50, 100, 200, 500];
    let distances = starts.windows(2).map(|pair| pair[1] - pair[0]);
    let mut distances: Vec<i64> = distances.filter(|&distance| distance > 0).collect();
    if distances.is_empty() {
        return None;
    }
    let middle = (distances.len() - 1) / 2;
    let (_, &mut usual, _) = distances.select_nth_unstable(middle);
    let people_use = UNITS.into_iter().flat_map(|unit| COUNTS.into_iter().map(move |count| unit * count));
    let is_near = |period: &i64| (period - usual).abs() as f64 <= NEAR * *period as f64;
    let candidates = std::iter::once(usual).chain(people_use.filter(is_near));
    Some(candidates.filter_map(|ticks| SamplePeriod::from_ticks(ticks).ok()).collect())
}

/// The usual place of the rows in their slots. Rows that are only a little beside the multiples of the period mean those.
fn phase(starts: &[i64], first: i64, period: i64) -> i64 {
    // Beside the first row, from -period / 2 to period / 2: rows about a multiple must not count as being apart.
    let beside = |start: i64| {
        let rest = (start - first).rem_euclid(period);
        if rest * 2 > period { rest - period } else { rest }
    };
    let mut rests: Vec<i64> = starts.iter().map(|&start| beside(start)).collect();
    let middle = (rests.len() - 1) / 2;
    let (_, &mut usual, _) = rests.select_nth_unstable(middle);
    let phase = (first + usual).rem_euclid(period);
    let is_exact = rests.iter().filter(|&&rest| rest == usual).count() * 2 >= rests.len();
    let from_multiple = phase.min(period - phase);
    if !is_exact && from_multiple as f64 <= MOST_JITTER * period as f64 { 0 } else { phase }
}

fn fit(starts: &[i64], period: SamplePeriod, phase_ticks: i64) -> Slots {
    let mut slots = Slots::new(period, phase_ticks);
    let ticks = period.ticks();
    let most = most_jitter_ticks(period);
    let count = |found: &mut Option<(usize, u64)>, row| {
        let (_, rows) = found.get_or_insert((row, 0));
        *rows += 1;
    };
    let mut before: Option<i64> = None;
    for (row, &start) in starts.iter().enumerate() {
        let slot = slots.start_of(start);
        let jitter = (start - slot).abs();
        if jitter > most {
            count(&mut slots.beside, row);
        } else if jitter > 0 {
            slots.jittered += 1;
            slots.most_jitter_ticks = slots.most_jitter_ticks.max(jitter);
        }
        match before {
            Some(before) if slot == before => count(&mut slots.shared, row),
            Some(before) if slot > before + ticks => {
                slots.empty += ((slot - before) / ticks - 1).unsigned_abs();
                count(&mut slots.gaps, row - 1);
            }
            _ => {}
        }
        before = Some(slot);
    }
    slots
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: i64 = 60 * Tick::PER_SECOND;
    const ORIGIN: i64 = 637_134_336_000_000_000;

    fn regular(starts: &[i64]) -> Slots {
        match spacing(starts, None) {
            Some(Spacing::Regular(slots)) => slots,
            other => panic!("{other:?}"),
        }
    }

    fn minutes(minutes: impl IntoIterator<Item = i64>) -> Vec<i64> {
        minutes.into_iter().map(|minute| ORIGIN + minute * MINUTE).collect()
    }

    #[test]
    fn ten_minute_data_with_a_gap() {
        let slots = regular(&minutes([0, 10, 20, 50, 60, 70]));
        assert_eq!((slots.period.to_string().as_str(), slots.phase_ticks), ("10_min", 0));
        assert_eq!((slots.empty, slots.gaps, slots.jittered), (2, Some((2, 1)), 0));
    }

    #[test]
    fn stamps_in_the_middle_of_their_slot_are_a_phase() {
        let slots = regular(&minutes([5, 15, 25, 35]));
        assert_eq!((slots.period.ticks(), slots.phase_ticks), (10 * MINUTE, 5 * MINUTE));
        assert_eq!(slots.start_of(ORIGIN + 15 * MINUTE), ORIGIN + 15 * MINUTE);
    }

    #[test]
    fn a_little_jitter_means_the_slot_and_much_of_it_is_told() {
        let jitter = [0_i64, 900_000, -800_000, 400_000, -300_000, 100_000];
        let mut starts: Vec<i64> =
            (0..60).map(|second| ORIGIN + second * Tick::PER_SECOND + jitter[second as usize % 6]).collect();
        let slots = regular(&starts);
        assert_eq!((slots.period.to_string().as_str(), slots.phase_ticks), ("1_s", 0));
        assert_eq!((slots.jittered, slots.most_jitter_ticks, slots.beside), (50, 900_000, None));
        starts[7] += 3_000_000;
        assert_eq!(regular(&starts).beside, Some((7, 1)));
        // Two rows in one slot.
        starts[7] = starts[6] + 10;
        assert_eq!(regular(&starts).shared, Some((7, 1)));
    }

    #[test]
    fn bills_are_irregular() {
        let days = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365];
        let starts = minutes(days.map(|day| day * 1440));
        assert_eq!(spacing(&starts, None), Some(Spacing::Irregular));
    }

    #[test]
    fn one_row_says_nothing_but_with_a_period() {
        assert_eq!(spacing(&[], None), None);
        assert_eq!(spacing(&[ORIGIN], None), None);
        assert_eq!(spacing(&[ORIGIN, ORIGIN], None), None);
        let period = "1_h".parse().unwrap();
        match spacing(&[ORIGIN + MINUTE], Some(period)) {
            Some(Spacing::Regular(slots)) => assert_eq!(slots.phase_ticks, MINUTE),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn odd_periods_are_taken_as_they_are() {
        let starts: Vec<i64> = (0..20).map(|row| row * 17_000_001).collect();
        assert_eq!(regular(&starts).period.ticks(), 17_000_001);
    }

    proptest! {
        #[test]
        fn whatever_lies_on_a_grid_is_found_on_it(
            period in prop_oneof![Just(100_000_i64), Just(Tick::PER_SECOND), Just(MINUTE), 1_i64..1_000_000_000],
            phase in 0.0..1.0_f64,
            present in proptest::collection::vec(0.0..1.0_f64, 3..200),
        ) {
            let phase = (phase * period as f64) as i64;
            // Most rows are there, so that the usual distance is the period.
            let starts: Vec<i64> = (0_i64..)
                .zip(&present)
                .filter(|(_, chance)| **chance > 0.1)
                .map(|(slot, _)| 5_000_000_000 / period * period + slot * period + phase)
                .collect();
            prop_assume!(starts.windows(2).filter(|pair| pair[1] - pair[0] == period).count() * 2 > starts.len());
            match spacing(&starts, None) {
                Some(Spacing::Regular(slots)) => {
                    prop_assert_eq!((slots.period.ticks(), slots.phase_ticks), (period, phase));
                    prop_assert_eq!((slots.jittered, slots.beside, slots.shared), (0, None, None));
                    let span = (starts[starts.len() - 1] - starts[0]) / period + 1;
                    prop_assert_eq!(slots.empty, span as u64 - starts.len() as u64);
                }
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }
}
