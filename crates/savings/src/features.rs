//! What the weather of each period says: its days' mean temperatures, from which degree days of any balance point follow.

use std::ops::Range;

use sheaf_model::Tick;

use crate::settings::{Interval, Mode};
use crate::weather::{LEAST_DAY_COVERAGE, Weather};
use crate::zone::{TICKS_PER_DAY, TICKS_PER_HOUR, elapsed_days};

/// The share of a bill's hours that must have a temperature (CalTRACK 2.2.3.2).
const LEAST_BILL_COVERAGE: f64 = 0.9;

/// A period up to this long is one day, whatever the clocks did.
const LONGEST_DAY_TICKS: i64 = 25 * TICKS_PER_HOUR;

/// How far from the start of a bill eemeter looks for temperatures when it fits; of two months it sees the first 35 days.
const COMPAT_BILL_TOLERANCE_TICKS: i64 = 35 * TICKS_PER_DAY;

/// What the features are for: eemeter looks at less of a bill when it fits than when it predicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A model will be fitted.
    Fit,
    /// A model will be evaluated.
    Predict,
}

/// The weather of one period.
#[derive(Clone, Debug, PartialEq)]
pub struct PeriodWeather {
    /// Begin of the period.
    pub start: Tick,
    /// End of the period, and begin of the next one.
    pub end: Tick,
    /// Length in elapsed days.
    pub days: f64,
    /// Days with a mean temperature; whole ones in [`Mode::Compat`].
    pub n_days_kept: f64,
    /// Days without.
    pub n_days_dropped: f64,
    /// What degree days per day are multiplied by for the period's total. In [`Mode::Strict`] `days` (CalTRACK 3.6.1), in
    /// [`Mode::Compat`] the number of begun groups of 24 hours, which is two for a day of 25 hours.
    pub degree_day_factor: f64,
    /// How many temperatures the period has.
    pub temperature_not_null: usize,
    /// How many are missing.
    pub temperature_null: usize,
    /// Mean of the temperatures, in °F; NaN if there are none.
    pub temperature_mean: f64,
    /// Where the period's days are.
    day_range: Range<usize>,
}

impl PeriodWeather {
    /// Whether there are degree days for the period.
    pub fn is_known(&self) -> bool {
        !self.day_range.is_empty()
    }
}

/// The weather of consecutive periods.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Features {
    periods: Vec<PeriodWeather>,
    /// Mean temperatures of all kept days of all periods, in °F, and how much each counts in its period.
    day_degf: Vec<f64>,
    day_weight: Vec<f64>,
    has_one_day_each: bool,
}

impl Features {
    /// The weather of the periods between `bounds`, which ascend.
    ///
    /// [`Mode::Strict`]: a period of at most 25 hours is one day, the mean of its own temperatures, if half of them are
    /// there (CalTRACK 2.2.2.3). A longer one consists of the days of the weather's zone, each by the part of it that lies in
    /// the period; nine tenths of the hours must be there (2.2.3.2).
    ///
    /// [`Mode::Compat`]: groups of 24 rows, counted from the period's first one.
    pub fn new(
        bounds: &[Tick],
        weather: &Weather,
        interval: Interval,
        purpose: Purpose,
        mode: Mode,
    ) -> Features {
        let n_periods = bounds.len().saturating_sub(1);
        let mut features = Features {
            periods: Vec::with_capacity(n_periods),
            day_degf: Vec::with_capacity(n_periods),
            day_weight: Vec::with_capacity(n_periods),
            has_one_day_each: true,
        };
        let tolerance = match (interval, purpose) {
            (Interval::Daily, _) => TICKS_PER_DAY,
            (_, Purpose::Fit) => COMPAT_BILL_TOLERANCE_TICKS,
            (_, Purpose::Predict) => i64::MAX,
        };
        for period in bounds.windows(2) {
            let (begin, end) = (period[0], period[1]);
            match mode {
                Mode::Strict => features.push_strict(begin, end, weather),
                Mode::Compat => features.push_compat(begin, end, weather, tolerance),
            }
        }
        features.has_one_day_each = features.periods.iter().all(|period| period.day_range.len() <= 1);
        features
    }

    /// The periods.
    pub fn periods(&self) -> &[PeriodWeather] {
        &self.periods
    }

    /// Begins of the periods, and the last one's end.
    pub(crate) fn bounds(&self) -> Vec<Tick> {
        let ends = self.periods.last().map(|period| period.end);
        self.periods.iter().map(|period| period.start).chain(ends).collect()
    }

    /// Whether every period is one day, or unknown.
    pub(crate) const fn has_one_day_each(&self) -> bool {
        self.has_one_day_each
    }

    /// Mean temperatures of the period's days, in °F, and how much each counts; none if unknown.
    pub(crate) fn days_of(&self, period: usize) -> (&[f64], &[f64]) {
        let range = self.periods[period].day_range.clone();
        (&self.day_degf[range.clone()], &self.day_weight[range])
    }

    /// Heating degree days a day: the mean over the period's days of max(balance point − mean temperature, 0); NaN if
    /// unknown (CalTRACK 3.3.5).
    pub fn hdd_per_day(&self, period: usize, balance_point_degf: f64) -> f64 {
        self.mean_over_days(period, |degf| (balance_point_degf - degf).max(0.0))
    }

    /// Cooling degree days a day: the mean over the period's days of max(mean temperature − balance point, 0); NaN if
    /// unknown (CalTRACK 3.3.4).
    pub fn cdd_per_day(&self, period: usize, balance_point_degf: f64) -> f64 {
        self.mean_over_days(period, |degf| (degf - balance_point_degf).max(0.0))
    }

    fn mean_over_days(&self, period: usize, degree_days: impl Fn(f64) -> f64) -> f64 {
        let (degf, weights) = self.days_of(period);
        if let [degf] = degf {
            return degree_days(*degf);
        }
        let sum: f64 = degf.iter().zip(weights).map(|(degf, weight)| weight * degree_days(*degf)).sum();
        sum / weights.iter().sum::<f64>()
    }

    fn push_strict(&mut self, begin: Tick, end: Tick, weather: &Weather) {
        let days = elapsed_days(begin, end);
        let first_day = self.day_degf.len();
        let hours = Hours::of(weather.hours(begin, end));
        let is_one_day = end.ticks() - begin.ticks() <= LONGEST_DAY_TICKS;
        let least = if is_one_day { LEAST_DAY_COVERAGE } else { LEAST_BILL_COVERAGE };
        let suffices =
            hours.known > 0 && hours.known as f64 >= least * weather.expected_hours(begin, end) - 1e-9;
        if suffices && is_one_day {
            self.day_degf.push(hours.mean());
            self.day_weight.push(days);
        } else if suffices {
            let bounds = weather.day_bounds();
            let first = bounds.partition_point(|bound| *bound <= begin).saturating_sub(1);
            for (day, degf) in bounds[first..].windows(2).zip(&weather.day_degf()[first..]) {
                if day[0] >= end {
                    break;
                }
                if !degf.is_nan() {
                    self.day_degf.push(*degf);
                    self.day_weight.push(elapsed_days(day[0].max(begin), day[1].min(end)));
                }
            }
        }
        let n_days_kept = self.day_weight[first_day..].iter().sum();
        self.push([begin, end], n_days_kept, days - n_days_kept, days, &hours, first_day);
    }

    fn push_compat(&mut self, begin: Tick, end: Tick, weather: &Weather, tolerance: i64) {
        // The tolerance is inclusive: a day may have 25 rows.
        let limit = tolerance.checked_add(1).and_then(|ticks| begin.checked_add(ticks)).unwrap_or(end);
        let rows = weather.hours(begin, end.min(limit));
        let hours = Hours::of(rows);
        let first_day = self.day_degf.len();
        let n_days_total = rows.len().div_ceil(24);
        if rows.len() > 24 {
            if hours.known as f64 >= LEAST_BILL_COVERAGE * rows.len() as f64 {
                let groups = rows.chunks(24).map(Hours::of).filter(|group| group.known > 12);
                self.day_degf.extend(groups.map(|group| group.mean()));
            }
        } else if rows.len() > 12 && hours.known > 0 {
            // How many of them are missing is not looked at.
            self.day_degf.push(hours.mean());
        }
        self.day_weight.resize(self.day_degf.len(), 1.0);
        let n_days_kept = (self.day_degf.len() - first_day) as f64;
        let n_days_total = n_days_total as f64;
        let n_days_dropped = n_days_total - n_days_kept;
        self.push([begin, end], n_days_kept, n_days_dropped, n_days_total, &hours, first_day);
    }

    fn push(
        &mut self,
        [start, end]: [Tick; 2],
        n_days_kept: f64,
        n_days_dropped: f64,
        degree_day_factor: f64,
        hours: &Hours,
        first_day: usize,
    ) {
        self.periods.push(PeriodWeather {
            start,
            end,
            days: elapsed_days(start, end),
            n_days_kept,
            n_days_dropped,
            degree_day_factor,
            temperature_not_null: hours.known,
            temperature_null: hours.missing,
            temperature_mean: hours.mean(),
            day_range: first_day..self.day_degf.len(),
        });
    }
}

struct Hours {
    sum: f64,
    known: usize,
    missing: usize,
}

impl Hours {
    fn of(degf: &[f64]) -> Hours {
        let (mut sum, mut known) = (0.0, 0);
        for degf in degf.iter().filter(|degf| !degf.is_nan()) {
            sum += degf;
            known += 1;
        }
        Hours { sum, known, missing: degf.len() - known }
    }

    /// NaN if there are none.
    fn mean(&self) -> f64 {
        self.sum / self.known as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zone::Zone;

    fn hourly(begin: &str, degf: &[f64], zone: Zone) -> Weather {
        let begin: Tick = begin.parse().unwrap();
        let at = |hour: usize| begin.checked_add(hour as i64 * TICKS_PER_HOUR).unwrap();
        Weather::from_degf(degf.iter().enumerate().map(|(hour, degf)| (at(hour), *degf)), zone)
    }

    fn features(bounds: &[&str], weather: &Weather, interval: Interval, mode: Mode) -> Features {
        let bounds: Vec<Tick> = bounds.iter().map(|text| text.parse().unwrap()).collect();
        Features::new(&bounds, weather, interval, Purpose::Fit, mode)
    }

    /// A local day of 25 hours has 25/24 of a day's load, and eemeter gives it that of two days.
    #[test]
    fn the_day_that_summer_time_ends() {
        let zone = Zone::new("America/Chicago").unwrap();
        let weather = hourly("2017-11-04T05:00Z", &[50.0; 73], zone);
        let bounds = ["2017-11-04T05:00Z", "2017-11-05T05:00Z", "2017-11-06T06:00Z", "2017-11-07T06:00Z"];
        let factors = |mode| -> Vec<f64> {
            let features = features(&bounds, &weather, Interval::Daily, mode);
            assert!((0..3).all(|day| features.hdd_per_day(day, 60.0) == 10.0));
            features.periods().iter().map(|period| period.degree_day_factor).collect()
        };
        assert_eq!(factors(Mode::Strict), [1.0, 25.0 / 24.0, 1.0]);
        assert_eq!(factors(Mode::Compat), [1.0, 2.0, 1.0]);
    }

    #[test]
    fn a_day_with_one_known_hour() {
        let mut degf = [f64::NAN; 48];
        degf[0] = 40.0;
        degf[24..36].fill(40.0);
        let weather = hourly("2017-01-01", &degf, Zone::UTC);
        let bounds = ["2017-01-01", "2017-01-02", "2017-01-03"];
        let known = |mode| -> Vec<bool> {
            features(&bounds, &weather, Interval::Daily, mode)
                .periods()
                .iter()
                .map(PeriodWeather::is_known)
                .collect()
        };
        assert_eq!(known(Mode::Strict), [false, true]);
        assert_eq!(known(Mode::Compat), [true, true]);
    }

    #[test]
    fn a_bill_of_two_months() {
        let mut degf = vec![50.0; 60 * 24];
        degf[36 * 24..].fill(30.0);
        let weather = hourly("2017-01-01", &degf, Zone::UTC);
        let bounds = ["2017-01-01", "2017-03-02"];
        let mean = |mode| features(&bounds, &weather, Interval::BillingBimonthly, mode).hdd_per_day(0, 60.0);
        assert_eq!(mean(Mode::Strict), 10.0 * 36.0 / 60.0 + 30.0 * 24.0 / 60.0);
        assert_eq!(mean(Mode::Compat), 10.0);
    }

    #[test]
    fn parts_of_days_count_as_parts() {
        let mut degf = vec![40.0; 24 * 4];
        degf[24 * 3..].fill(60.0);
        let weather = hourly("2017-01-01", &degf, Zone::UTC);
        let features = features(
            &["2017-01-02T12:00", "2017-01-04T12:00"],
            &weather,
            Interval::BillingMonthly,
            Mode::Strict,
        );
        assert_eq!(features.hdd_per_day(0, 60.0), 20.0 * 1.5 / 2.0);
        assert_eq!(features.periods()[0].n_days_kept, 2.0);
    }

    #[test]
    fn without_weather_nothing_is_known() {
        let weather = hourly("2017-01-01", &[], Zone::UTC);
        for mode in [Mode::Strict, Mode::Compat] {
            for interval in [Interval::Daily, Interval::BillingBimonthly] {
                let features =
                    features(&["2017-01-01", "2017-01-02", "2017-03-01"], &weather, interval, mode);
                assert!(features.periods().iter().all(|period| !period.is_known()));
                assert!(features.hdd_per_day(0, 60.0).is_nan());
            }
        }
    }
}
