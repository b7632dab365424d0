//! {n, first, last}: the valid samples at both ends, with their times.

use super::add_counts;
use crate::block::Scratch;
use crate::{Family, Sample, SampleRun, State, Statistic};

/// The first and the last valid sample in time.
///
/// | statistic | from the state |
/// |---|---|
/// | count | n |
/// | first | first |
/// | last | last |
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Edges {
    pub(crate) n: u64,
    /// Time and value; zeros without samples.
    pub(crate) first: Edge,
    /// Time and value; zeros without samples.
    pub(crate) last: Edge,
}

/// A sample with its time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Edge {
    pub(crate) time: i64,
    pub(crate) value: f64,
}

impl Edges {
    /// Time of the first valid sample.
    pub fn first_time(&self) -> Option<i64> {
        (self.n > 0).then_some(self.first.time)
    }

    /// Time of the last valid sample.
    pub fn last_time(&self) -> Option<i64> {
        (self.n > 0).then_some(self.last.time)
    }
}

impl State for Edges {
    const FAMILY: Family = Family::Edges;

    fn append<T: Sample>(states: &mut Vec<Edges>, run: SampleRun<'_, T>, scratch: &mut Scratch) {
        let edge =
            |index: usize| run.get(index).map(|value| Edge { time: run.time(index), value: value.to_f64() });
        let first = (0..run.len()).find_map(edge);
        let last = (0..run.len()).rev().find_map(edge);
        states.push(match first.zip(last) {
            Some((first, last)) => Edges { n: scratch.count_valid(run), first, last },
            None => Edges::default(),
        });
    }

    /// Goes by the times, so parts may be merged in any order. Parts that overlap are no parts of one series.
    fn merge(&mut self, later: &Edges) {
        if later.n == 0 {
            return;
        }
        if self.n == 0 {
            *self = *later;
            return;
        }
        self.n = add_counts(self.n, later.n);
        if later.first.time < self.first.time {
            self.first = later.first;
        }
        if later.last.time > self.last.time {
            self.last = later.last;
        }
    }

    fn valid(&self) -> u64 {
        self.n
    }

    fn value(&self, statistic: Statistic) -> Option<f64> {
        match statistic {
            Statistic::Count => Some(self.n as f64),
            Statistic::First | Statistic::Last if self.n == 0 => Some(f64::NAN),
            Statistic::First => Some(self.first.value),
            Statistic::Last => Some(self.last.value),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Grid, fold};

    #[test]
    fn missing_samples_are_no_edges() {
        let values = [f64::NAN, 2.0, 3.0, f64::NAN];
        let run = SampleRun::new(&values).at(100, 10).unwrap();
        let states: Vec<Edges> = fold(run, Grid::new(4, 0).unwrap()).unwrap();
        assert_eq!(states[0].value(Statistic::First), Some(2.0));
        assert_eq!(states[0].value(Statistic::Last), Some(3.0));
        assert_eq!((states[0].first_time(), states[0].last_time()), (Some(110), Some(120)));
        assert_eq!(states[0].valid(), 2);
        assert_eq!(Edges::default().first_time(), None);
    }

    #[test]
    fn merging_goes_by_time() {
        let values = [1.0, 2.0];
        let part = |index: usize| {
            let run = SampleRun::new(&values).at(-5, 1).unwrap().slice(index..index + 1);
            fold::<Edges, _>(run, Grid::new(1, 0).unwrap()).unwrap()[0]
        };
        let mut state = part(1);
        state.merge(&part(0));
        assert_eq!((state.first_time(), state.last_time()), (Some(-5), Some(-4)));
    }
}
