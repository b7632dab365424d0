//! Usage per day beside the weather of its period: what models are fitted to.

use crate::features::{Features, PeriodWeather};
use crate::meter::MeterSeries;
use crate::settings::{Interval, Mode};

/// The rows of a fit (CalTRACK 3.3): one for each period, usable or not.
#[derive(Clone, Debug, PartialEq)]
pub struct Design {
    interval: Interval,
    mode: Mode,
    features: Features,
    /// In the trace's unit per elapsed day; NaN if missing.
    usage_per_day: Vec<f64>,
    estimated_days: Vec<f64>,
}

impl Design {
    /// Rows of a meter's periods and of their weather, made of the same bounds. Beyond the shorter of both nothing is taken.
    pub fn new(meter: &MeterSeries, features: Features, interval: Interval, mode: Mode) -> Design {
        let usage_per_day = meter.energy().iter().zip(meter.days()).map(|(energy, days)| energy / days);
        let usage_per_day = usage_per_day.take(features.periods().len()).collect();
        Design { interval, mode, features, usage_per_day, estimated_days: meter.estimated_days().to_vec() }
    }

    /// Days or bills.
    pub const fn interval(&self) -> Interval {
        self.interval
    }

    /// Which arithmetic the rows follow.
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// The weather of the rows.
    pub const fn features(&self) -> &Features {
        &self.features
    }

    /// Usage of each row in the trace's unit per elapsed day (CalTRACK 3.3.3); NaN if missing.
    pub fn usage_per_day(&self) -> &[f64] {
        &self.usage_per_day
    }

    /// How many of a row's days came with an estimated read.
    pub fn estimated_days(&self, row: usize) -> f64 {
        self.estimated_days[row]
    }

    /// Whether a row has both usage and weather.
    pub fn is_usable(&self, row: usize) -> bool {
        self.features.periods()[row].is_known() && !self.usage_per_day[row].is_nan()
    }

    /// The numbers of the rows that have both.
    pub(crate) fn usable_rows(&self) -> Vec<usize> {
        (0..self.usage_per_day.len()).filter(|row| self.is_usable(*row)).collect()
    }

    /// The weight of a row in the fit: 1 for days, for bills their days (CalTRACK 3.4.1, 3.4.2).
    pub(crate) fn weight(&self, row: usize) -> f64 {
        if self.interval.is_billing() {
            weight_of_bill(&self.features.periods()[row], self.mode)
        } else {
            1.0
        }
    }
}

/// eemeter takes the days that have a temperature; the method those that have usage, which is all of a bill.
fn weight_of_bill(period: &PeriodWeather, mode: Mode) -> f64 {
    match mode {
        Mode::Strict => period.days,
        Mode::Compat => period.n_days_kept,
    }
}
