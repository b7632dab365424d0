//! Metered series: what was read, and what it covers.

use serde::{Deserialize, Serialize};
use sheaf_model::Tick;

use crate::zone::elapsed_days;

/// One record of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// The first moment that the value covers; it covers the time to the next record's start.
    pub start: Tick,
    /// Energy in the trace's unit; nothing if it is missing. The last record's value has no end and is ignored.
    pub value: Option<f64>,
    /// Whether the value is somebody's guess.
    pub estimated: bool,
}

/// Consecutive periods with their energy: n + 1 bounds, strictly ascending, and n values, NaN where one is missing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MeterSeries {
    bounds: Vec<Tick>,
    energy: Vec<f64>,
    /// Days of each period whose energy somebody guessed before the meter was read again.
    estimated_days: Vec<f64>,
}

impl MeterSeries {
    /// The series of these bounds and of the energy between each two of them; what is infinite counts as missing. Of
    /// bounds that do not ascend, and of values without an end, only what comes before them is taken.
    pub fn new(mut bounds: Vec<Tick>, mut energy: Vec<f64>) -> MeterSeries {
        let ascending = bounds.windows(2).take_while(|pair| pair[0] < pair[1]).count() + 1;
        bounds.truncate(ascending.min(energy.len() + 1));
        energy.truncate(bounds.len().saturating_sub(1));
        for value in &mut energy {
            if value.is_infinite() {
                *value = f64::NAN;
            }
        }
        let estimated_days = vec![0.0; energy.len()];
        MeterSeries { bounds, energy, estimated_days }
    }

    /// The same series, of which so many days of each period were estimated; periods beyond these have none.
    pub(crate) fn with_estimated_days(mut self, estimated_days: &[f64]) -> MeterSeries {
        for (days, estimated) in self.estimated_days.iter_mut().zip(estimated_days) {
            *days = *estimated;
        }
        self
    }

    /// How many periods there are.
    pub fn len(&self) -> usize {
        self.energy.len()
    }

    /// Whether there is no period.
    pub fn is_empty(&self) -> bool {
        self.energy.is_empty()
    }

    /// Where each period begins, and last where the last one ends: one more than periods, or none.
    pub fn bounds(&self) -> &[Tick] {
        &self.bounds
    }

    /// The energy of each period, in the trace's unit; NaN if missing.
    pub fn energy(&self) -> &[f64] {
        &self.energy
    }

    /// How many of each period's days came with an estimated read. Their energy is right together with the actual read that
    /// they were combined with; as data they count as missing (CalTRACK 2.2.3.1).
    pub fn estimated_days(&self) -> &[f64] {
        &self.estimated_days
    }

    /// The same periods with other energy.
    pub(crate) fn map_energy(mut self, energy: impl Fn(f64) -> f64) -> MeterSeries {
        for value in &mut self.energy {
            *value = energy(*value);
        }
        self
    }

    /// Length of each period in elapsed days.
    pub fn days(&self) -> impl Iterator<Item = f64> {
        self.bounds.windows(2).map(|pair| elapsed_days(pair[0], pair[1]))
    }

    /// The periods whose bounds are the ones of these numbers.
    pub(crate) fn between(&self, first_bound: usize, last_bound: usize) -> MeterSeries {
        MeterSeries {
            bounds: self.bounds[first_bound..=last_bound].to_vec(),
            energy: self.energy[first_bound..last_bound].to_vec(),
            estimated_days: self.estimated_days[first_bound..last_bound].to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_ascend_is_left_out() {
        let ticks = |numbers: &[i64]| numbers.iter().map(|n| Tick::new(*n).unwrap()).collect::<Vec<_>>();
        let series = MeterSeries::new(ticks(&[1, 3, 2]), vec![1.0, 2.0, 3.0]);
        assert_eq!((series.len(), series.bounds().len()), (1, 2));
        assert!(MeterSeries::new(Vec::new(), vec![1.0]).is_empty());
        assert!(MeterSeries::new(ticks(&[1]), Vec::new()).is_empty());
        assert!(MeterSeries::new(ticks(&[1, 2]), vec![f64::INFINITY]).energy()[0].is_nan());
    }
}
