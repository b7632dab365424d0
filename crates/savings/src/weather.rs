//! Outdoor temperatures: hourly, and the days made of them.

use sheaf_model::Tick;
use xxhash_rust::xxh3::Xxh3;

use crate::warning::Warning;
use crate::zone::{TICKS_PER_HOUR, Zone, elapsed_days};

/// Dry-bulb temperatures that were ever measured on Earth lie between these, with some room.
const PLAUSIBLE_DEGF: std::ops::RangeInclusive<f64> = -135.0..=140.0;

/// A place where it never gets warmer than this in half a year is rather one whose temperatures are in °C.
const WARM_DEGF: f64 = 50.0;
const HALF_A_YEAR_DAYS: f64 = 180.0;

/// Temperatures beyond this are taken for infinite: so squares, and sums of them, stay numbers.
const LARGEST_DEGF: f64 = 1e6;

/// The share of a day's hours that must have a temperature for the day to have one (CalTRACK 2.2.2.3, 2.2.3.3).
pub(crate) const LEAST_DAY_COVERAGE: f64 = 0.5;

/// Temperatures of one place, by hour and by day of a time zone. Many meters share one.
#[derive(Clone, Debug)]
pub struct Weather {
    starts: Vec<Tick>,
    degf: Vec<f64>,
    /// Usual distance of two temperatures, in ticks.
    spacing: i64,
    zone: Zone,
    day_bounds: Vec<Tick>,
    /// NaN where less than half of the day is known.
    day_degf: Vec<f64>,
    warnings: Vec<Warning>,
    content_hash: u128,
}

impl Weather {
    /// Weather of hourly means in °F, each for the hour from its time on, in any order; NaN where there is none. Of several
    /// with one time the first counts. Days are those of `zone`.
    pub fn from_degf(hours: impl IntoIterator<Item = (Tick, f64)>, zone: Zone) -> Weather {
        let mut hours: Vec<(Tick, f64)> = hours.into_iter().collect();
        let mut warnings = Vec::new();
        let n_out_of_order = hours.windows(2).filter(|pair| pair[1].0 < pair[0].0).count();
        if n_out_of_order > 0 {
            warnings.push(Warning::UnorderedTemperatureTimes { n_out_of_order });
            hours.sort_by_key(|(start, _)| *start);
        }
        let n_given = hours.len();
        hours.dedup_by_key(|(start, _)| *start);
        if hours.len() < n_given {
            warnings.push(Warning::DuplicateTemperatureTimes { n_duplicates: n_given - hours.len() });
        }
        let n_infinite_values = hours.iter().filter(|(_, degf)| degf.abs() > LARGEST_DEGF).count();
        if n_infinite_values > 0 {
            warnings.push(Warning::InfiniteTemperatures { n_infinite_values });
        }
        let (starts, mut degf): (Vec<Tick>, Vec<f64>) = hours.into_iter().unzip();
        for value in degf.iter_mut().filter(|degf| degf.abs() > LARGEST_DEGF) {
            *value = f64::NAN;
        }
        let spacing = usual_spacing(&starts);
        warn_of_implausible(&starts, &degf, spacing, &mut warnings);
        let mut weather = Weather {
            starts,
            degf,
            spacing,
            zone,
            day_bounds: Vec::new(),
            day_degf: Vec::new(),
            warnings,
            content_hash: 0,
        };
        weather.add_days();
        weather.add_content_hash();
        weather
    }

    /// The same of °C.
    pub fn from_degc(hours: impl IntoIterator<Item = (Tick, f64)>, zone: Zone) -> Weather {
        Weather::from_degf(hours.into_iter().map(|(start, degc)| (start, 32.0 + 1.8 * degc)), zone)
    }

    /// When each temperature begins.
    pub fn starts(&self) -> &[Tick] {
        &self.starts
    }

    /// Temperatures in °F; NaN if missing.
    pub fn degf(&self) -> &[f64] {
        &self.degf
    }

    /// The zone whose days count.
    pub const fn zone(&self) -> &Zone {
        &self.zone
    }

    /// Bounds of the days of the zone that have temperatures; one more than days, or none.
    pub fn day_bounds(&self) -> &[Tick] {
        &self.day_bounds
    }

    /// Mean temperature of each day, in °F; NaN if less than half of the day is known.
    pub fn day_degf(&self) -> &[f64] {
        &self.day_degf
    }

    /// What was found in the temperatures.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// The temperatures that begin in [from, to).
    pub(crate) fn hours(&self, from: Tick, to: Tick) -> &[f64] {
        let begin = self.starts.partition_point(|start| *start < from);
        let len = self.starts[begin..].partition_point(|start| *start < to);
        &self.degf[begin..begin + len]
    }

    /// How many temperatures an elapsed time has if none is missing.
    pub(crate) fn expected_hours(&self, from: Tick, to: Tick) -> f64 {
        (to.ticks() - from.ticks()) as f64 / self.spacing as f64
    }

    /// XXH3-128 of temperatures and days: many runs share a weather, so it is computed once.
    pub(crate) const fn content_hash(&self) -> u128 {
        self.content_hash
    }

    fn add_content_hash(&mut self) {
        let mut hash = Xxh3::new();
        for (start, degf) in self.starts.iter().zip(&self.degf) {
            hash.update(&start.ticks().to_le_bytes());
            hash.update(&degf.to_bits().to_le_bytes());
        }
        for bound in &self.day_bounds {
            hash.update(&bound.ticks().to_le_bytes());
        }
        self.content_hash = hash.digest128();
    }

    fn add_days(&mut self) {
        let (Some(first), Some(last)) = (self.starts.first(), self.starts.last()) else { return };
        let Some(end) = last.checked_add(self.spacing) else { return };
        self.day_bounds = self.zone.day_bounds(*first, end);
        let mut hour = 0;
        for day in self.day_bounds.windows(2) {
            let (mut sum, mut known) = (0.0, 0);
            while let Some(start) = self.starts.get(hour)
                && *start < day[1]
            {
                if !self.degf[hour].is_nan() {
                    sum += self.degf[hour];
                    known += 1;
                }
                hour += 1;
            }
            let suffices = f64::from(known) >= LEAST_DAY_COVERAGE * self.expected_hours(day[0], day[1]);
            self.day_degf.push(if suffices && known > 0 { sum / f64::from(known) } else { f64::NAN });
        }
    }
}

/// The median distance, in ticks; an hour if there are no two.
fn usual_spacing(starts: &[Tick]) -> i64 {
    let mut spacings: Vec<i64> = starts.windows(2).map(|pair| pair[1].ticks() - pair[0].ticks()).collect();
    if spacings.is_empty() {
        return TICKS_PER_HOUR;
    }
    let middle = spacings.len() / 2;
    *spacings.select_nth_unstable(middle).1
}

fn warn_of_implausible(starts: &[Tick], degf: &[f64], spacing: i64, warnings: &mut Vec<Warning>) {
    let known = || degf.iter().copied().filter(|degf| !degf.is_nan());
    let (Some(first), Some(last)) = (starts.first(), starts.last()) else {
        warnings.push(Warning::NoTemperature {});
        return;
    };
    if known().next().is_none() {
        warnings.push(Warning::NoTemperature {});
        return;
    }
    if spacing > TICKS_PER_HOUR {
        let spacing_hours = spacing as f64 / TICKS_PER_HOUR as f64;
        warnings.push(Warning::TemperatureSpacing { spacing_hours });
    }
    let (lowest, highest) = known().fold((f64::INFINITY, f64::NEG_INFINITY), |(lowest, highest), degf| {
        (lowest.min(degf), highest.max(degf))
    });
    let n_implausible = known().filter(|degf| !PLAUSIBLE_DEGF.contains(degf)).count();
    if n_implausible > 0 {
        let (lowest_degf, highest_degf) = (lowest, highest);
        warnings.push(Warning::ImplausibleTemperatures { n_implausible, lowest_degf, highest_degf });
    }
    let span_days = elapsed_days(*first, *last);
    if highest < WARM_DEGF && span_days >= HALF_A_YEAR_DAYS {
        warnings.push(Warning::PerhapsCelsius { highest_degf: highest, span_days });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn year(degf: impl Fn(i64) -> f64) -> Weather {
        let begin: Tick = "2017-01-01".parse().unwrap();
        let hours = (0..365 * 24).map(|hour| (begin.checked_add(hour * TICKS_PER_HOUR).unwrap(), degf(hour)));
        Weather::from_degf(hours, Zone::UTC)
    }

    #[test]
    fn celsius_is_suspected() {
        let celsius = year(|hour| 10.0 - 20.0 * (hour as f64 / 8760.0 * std::f64::consts::TAU).cos());
        assert!(matches!(celsius.warnings(), [Warning::PerhapsCelsius { .. }]));
        let kelvin = year(|_| 290.0);
        assert!(matches!(kelvin.warnings(), [Warning::ImplausibleTemperatures { n_implausible: 8760, .. }]));
        assert!(year(|_| 60.0).warnings().is_empty());
        assert!(year(|_| f64::NAN).warnings() == [Warning::NoTemperature {}]);
    }

    #[test]
    fn a_day_needs_half_of_its_hours() {
        let weather = year(|hour| if hour < 36 && hour % 2 == 0 || hour < 24 { 50.0 } else { f64::NAN });
        assert_eq!(weather.day_degf()[0], 50.0);
        assert!(weather.day_degf()[1].is_nan());
        assert_eq!((weather.day_bounds().len(), weather.day_degf().len()), (366, 365));
        let none = Weather::from_degf([], Zone::UTC);
        assert!(none.day_bounds().is_empty());
        let one = Weather::from_degc([(Tick::MAX, 20.0)], Zone::UTC);
        assert_eq!((one.degf(), one.day_degf().len()), (&[68.0][..], 0));
    }
}
