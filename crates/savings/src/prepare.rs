//! From the records of a trace to periods a model can be fitted to: sorted, without duplicates, resampled to days where they
//! are shorter, with estimated reads combined and periods of the wrong length dropped.

use sheaf_model::Tick;

use crate::interpretation::Interpretation;
use crate::meter::{MeterSeries, Reading};
use crate::resample::spread;
use crate::settings::{Interval, Mode};
use crate::warning::Warning;
use crate::zone::{TICKS_PER_DAY, Zone, elapsed_days, whole_days};

/// The shortest bill that is kept, in whole days (CalTRACK 2.2.3.4).
const SHORTEST_BILL_DAYS: i64 = 25;

/// How long a bill may get by combining estimated reads, in days (CalTRACK 2.2.3.1).
const LONGEST_COMBINED_DAYS: i64 = 70;

/// The share of a day that must be metered for the day to count (CalTRACK 2.2.2.1).
const LEAST_DAY_COVERAGE: f64 = 0.5;

/// Energy beyond this is taken for infinite: so squares, and sums of them, stay numbers.
const LARGEST_ENERGY: f64 = 1e100;

/// Where readings are further apart than this many times their usual distance, something is missing between them. A day of
/// 25 hours is not.
const GAP_FACTOR: i64 = 3;
const GAP_DIVISOR: i64 = 2;

/// A trace, ready to be cut into periods and fitted.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    /// Days or bills, with their energy.
    pub meter: MeterSeries,
    /// Which of both.
    pub interval: Interval,
    /// What was found on the way.
    pub warnings: Vec<Warning>,
}

/// Prepares a trace. Readings may come in any order; of several with one start the first counts (F.1). An `interval` of
/// nothing is inferred from their median distance: shorter than a day is resampled to days of `zone`, longer than 35 days is
/// bimonthly.
///
/// In [`Mode::Strict`] a daily value covers one day even if the next reading comes later, electricity of zero is missing,
/// and all estimated reads before an actual one are combined with it, in a period that begins with the first of them. In
/// [`Mode::Compat`] only the last estimated read is, and the period before it grows.
pub fn prepare(
    readings: &[Reading],
    interval: Option<Interval>,
    interpretation: Interpretation,
    zone: &Zone,
    mode: Mode,
) -> Prepared {
    let mut warnings = Vec::new();
    let mut readings = in_order(readings, &mut warnings);
    let spacing = median_spacing(&readings);
    let is_short = interval.is_none() && spacing * 10 < TICKS_PER_DAY * 9;
    let interval = interval.unwrap_or_else(|| infer_interval(spacing, &mut warnings));
    if mode == Mode::Strict && interval == Interval::Daily {
        readings = with_gaps(readings, if is_short { spacing } else { TICKS_PER_DAY }, &mut warnings);
    }
    let mut meter = if is_short {
        to_days(&series(&readings), zone, mode, &mut warnings)
    } else if mode == Mode::Strict {
        combined(&readings, interval, &mut warnings)
    } else {
        let kept =
            if interval.is_billing() { of_right_length(readings, interval, &mut warnings) } else { readings };
        series(&merged_by_one(kept, &mut warnings))
    };
    if mode == Mode::Strict && interpretation.zero_is_missing() {
        meter = without_zeros(meter, &mut warnings);
    }
    Prepared { meter, interval, warnings }
}

/// Sorted by start, the first of each start, no infinities; the last one caps the series.
fn in_order(readings: &[Reading], warnings: &mut Vec<Warning>) -> Vec<Reading> {
    let mut sorted = readings.to_vec();
    let n_out_of_order = readings.windows(2).filter(|pair| pair[1].start < pair[0].start).count();
    if n_out_of_order > 0 {
        warnings.push(Warning::UnorderedMeterTimes { n_out_of_order });
        sorted.sort_by_key(|reading| reading.start);
    }
    sorted.dedup_by_key(|reading| reading.start);
    if sorted.len() < readings.len() {
        warnings.push(Warning::DuplicateMeterTimes { n_duplicates: readings.len() - sorted.len() });
    }
    let mut n_infinite_values = 0;
    for reading in &mut sorted {
        n_infinite_values += usize::from(reading.value.is_some_and(|value| value.abs() > LARGEST_ENERGY));
        reading.value = reading.value.filter(|value| value.abs() <= LARGEST_ENERGY);
    }
    if n_infinite_values > 0 {
        warnings.push(Warning::InfiniteMeterValues { n_infinite_values });
    }
    if let Some(cap) = sorted.last_mut() {
        *cap = Reading { start: cap.start, value: None, estimated: false };
    }
    sorted
}

/// In ticks; a day if there are no two readings.
fn median_spacing(readings: &[Reading]) -> i64 {
    let mut spacings: Vec<i64> =
        readings.windows(2).map(|pair| pair[1].start.ticks() - pair[0].start.ticks()).collect();
    if spacings.is_empty() {
        return TICKS_PER_DAY;
    }
    let middle = spacings.len() / 2;
    *spacings.select_nth_unstable(middle).1
}

fn infer_interval(spacing: i64, warnings: &mut Vec<Warning>) -> Interval {
    let days = spacing as f64 / TICKS_PER_DAY as f64;
    let interval = if days <= 1.1 {
        Interval::Daily
    } else if days <= Interval::BillingMonthly.longest_bill_days() as f64 {
        Interval::BillingMonthly
    } else {
        Interval::BillingBimonthly
    };
    if interval.is_billing()
        && (days < SHORTEST_BILL_DAYS as f64 || days > interval.longest_bill_days() as f64)
    {
        warnings.push(Warning::UnusualSpacing { median_days: days });
    }
    interval
}

/// With a missing value wherever the next reading comes too late.
fn with_gaps(readings: Vec<Reading>, spacing: i64, warnings: &mut Vec<Warning>) -> Vec<Reading> {
    let mut result = Vec::with_capacity(readings.len());
    let (mut n_gaps, mut longest_gap_days) = (0, 0.0);
    for (index, reading) in readings.iter().enumerate() {
        result.push(*reading);
        let Some(next) = readings.get(index + 1) else { break };
        if next.start.ticks() - reading.start.ticks() <= spacing / GAP_DIVISOR * GAP_FACTOR {
            continue;
        }
        if let Some(start) = reading.start.checked_add(spacing) {
            result.push(Reading { start, value: None, estimated: false });
            n_gaps += 1;
            longest_gap_days = f64::max(longest_gap_days, elapsed_days(start, next.start));
        }
    }
    if n_gaps > 0 {
        warnings.push(Warning::MeterGaps { n_gaps, longest_gap_days });
    }
    result
}

fn series(readings: &[Reading]) -> MeterSeries {
    let bounds = readings.iter().map(|reading| reading.start).collect();
    let energy = readings.iter().map(|reading| reading.value.unwrap_or(f64::NAN)).collect();
    MeterSeries::new(bounds, energy)
}

/// Sums of days; a day of which a part is unknown gets its mean for that part, if enough is known.
fn to_days(meter: &MeterSeries, zone: &Zone, mode: Mode, warnings: &mut Vec<Warning>) -> MeterSeries {
    let (Some(first), Some(last)) = (meter.bounds().first(), meter.bounds().last()) else {
        return MeterSeries::default();
    };
    let bounds = zone.day_bounds(*first, *last);
    let bins = spread(meter, &bounds);
    let suffices = |coverage: f64| match mode {
        Mode::Strict => coverage >= LEAST_DAY_COVERAGE,
        Mode::Compat => coverage > LEAST_DAY_COVERAGE,
    };
    let n_days = bins.iter().filter(|bin| !suffices(bin.coverage)).count();
    if n_days > 0 {
        warnings.push(Warning::SparseDays { n_days, min_fraction_coverage: LEAST_DAY_COVERAGE });
    }
    let energy =
        bins.iter().map(|bin| if suffices(bin.coverage) { bin.value / bin.coverage } else { f64::NAN });
    MeterSeries::new(bounds, energy.collect())
}

/// Estimated reads combined with the next actual one, then bills of the wrong length blanked.
fn combined(readings: &[Reading], interval: Interval, warnings: &mut Vec<Warning>) -> MeterSeries {
    let Some((cap, reads)) = readings.split_last() else { return MeterSeries::default() };
    let mut bounds: Vec<Tick> = Vec::with_capacity(readings.len());
    let mut energy = Vec::with_capacity(reads.len());
    let mut estimated_days = Vec::with_capacity(reads.len());
    let mut dropped = Dropped::default();
    let (mut first, mut n_lost) = (0, 0);
    for (index, reading) in reads.iter().enumerate() {
        if reading.estimated {
            continue;
        }
        let n_estimated = index - first;
        let start = readings[first].start;
        let sum: f64 = reads[first..=index].iter().map(|read| read.value.unwrap_or(f64::NAN)).sum();
        let longest = if n_estimated > 0 { LONGEST_COMBINED_DAYS } else { interval.longest_bill_days() };
        let keeps = dropped.keeps(interval, longest, start, readings[index + 1].start, sum);
        n_lost += if keeps { 0 } else { n_estimated };
        bounds.push(start);
        energy.push(if keeps { sum } else { f64::NAN });
        estimated_days.push(elapsed_days(start, reading.start));
        first = index + 1;
    }
    if first < reads.len() {
        // Nobody has read the meter since.
        n_lost += reads.len() - first;
        bounds.push(reads[first].start);
        energy.push(f64::NAN);
    }
    bounds.push(cap.start);
    let n_estimated = reads.iter().filter(|reading| reading.estimated).count();
    if n_estimated > 0 {
        warnings.push(Warning::EstimatedReadsCombined { n_estimated, n_lost });
    }
    dropped.warn(interval, warnings);
    MeterSeries::new(bounds, energy).with_estimated_days(&estimated_days)
}

/// Bills of the wrong length blanked, as eemeter does it: before estimated reads are looked at.
fn of_right_length(
    mut readings: Vec<Reading>,
    interval: Interval,
    warnings: &mut Vec<Warning>,
) -> Vec<Reading> {
    let mut dropped = Dropped::default();
    for index in 1..readings.len() {
        let (start, end) = (readings[index - 1].start, readings[index].start);
        let value = readings[index - 1].value.unwrap_or(f64::NAN);
        if !dropped.keeps(interval, interval.longest_bill_days(), start, end, value) {
            readings[index - 1].value = None;
        }
    }
    dropped.warn(interval, warnings);
    readings
}

/// Estimated reads as eemeter combines them: the one right before an actual read is added to it and its row removed, so that
/// the row before it lasts longer; the energy of those before that is lost.
fn merged_by_one(readings: Vec<Reading>, warnings: &mut Vec<Warning>) -> Vec<Reading> {
    let mut result: Vec<Reading> = Vec::with_capacity(readings.len());
    let n_estimated = readings.iter().filter(|reading| reading.estimated).count();
    let last = readings.len().saturating_sub(1);
    for (index, mut reading) in readings.into_iter().enumerate() {
        if !reading.estimated
            && index < last
            && let Some(before) = result.pop_if(|before| before.estimated)
        {
            reading.value = reading.value.zip(before.value).map(|(value, guess)| value + guess);
        }
        result.push(reading);
    }
    let mut n_lost = 0;
    for reading in result.iter_mut().filter(|reading| reading.estimated) {
        reading.value = None;
        n_lost += 1;
    }
    if n_estimated > 0 {
        warnings.push(Warning::EstimatedReadsCombined { n_estimated, n_lost });
    }
    result
}

/// Bills that were dropped for their length.
#[derive(Default)]
struct Dropped {
    n_too_short: usize,
    n_too_long: usize,
}

impl Dropped {
    /// Whether a bill may stay; days may always.
    fn keeps(&mut self, interval: Interval, longest_days: i64, start: Tick, end: Tick, energy: f64) -> bool {
        let days = whole_days(start, end);
        if !interval.is_billing() || (SHORTEST_BILL_DAYS..=longest_days).contains(&days) {
            return true;
        }
        if !energy.is_nan() {
            let counter =
                if days < SHORTEST_BILL_DAYS { &mut self.n_too_short } else { &mut self.n_too_long };
            *counter += 1;
        }
        false
    }

    fn warn(&self, interval: Interval, warnings: &mut Vec<Warning>) {
        if self.n_too_short + self.n_too_long > 0 {
            warnings.push(Warning::PeriodsOfWrongLength {
                n_too_short: self.n_too_short,
                n_too_long: self.n_too_long,
                shortest_days: SHORTEST_BILL_DAYS,
                longest_days: interval.longest_bill_days(),
            });
        }
    }
}

fn without_zeros(meter: MeterSeries, warnings: &mut Vec<Warning>) -> MeterSeries {
    let n_zero_values = meter.energy().iter().filter(|energy| **energy == 0.0).count();
    if n_zero_values == 0 {
        return meter;
    }
    warnings.push(Warning::ZeroMeterValuesAreMissing { n_zero_values });
    meter.map_energy(|energy| if energy == 0.0 { f64::NAN } else { energy })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Monthly reads of these values, `e` behind a guess, `-` for a missing one; the last one caps.
    fn monthly(values: &[&str]) -> Vec<Reading> {
        let start = |month: usize| format!("2020-{:02}-01", month + 1).parse().unwrap();
        let reading = |(month, text): (usize, &&str)| Reading {
            start: start(month),
            value: text.trim_end_matches('e').parse().ok(),
            estimated: text.ends_with('e'),
        };
        values.iter().enumerate().map(reading).collect()
    }

    fn prepared(readings: &[Reading], mode: Mode) -> Prepared {
        prepare(readings, None, Interpretation::NaturalGasConsumptionSupplied, &Zone::UTC, mode)
    }

    fn rows(prepared: &Prepared) -> Vec<(String, Option<f64>)> {
        let date = |tick: &Tick| tick.to_string()[5..10].to_owned();
        let value = |energy: &f64| Some(*energy).filter(|energy| !energy.is_nan());
        prepared.meter.bounds().iter().map(date).zip(prepared.meter.energy().iter().map(value)).collect()
    }

    /// The example of the reference (F.8).
    #[test]
    fn estimated_reads() {
        let readings = monthly(&["2", "3", "5e", "4", "6e", "3e", "4", "-"]);
        let row = |date: &str, value| (date.to_owned(), value);
        let compat = prepared(&readings, Mode::Compat);
        assert_eq!(
            rows(&compat),
            [
                row("01-01", Some(2.0)),
                row("02-01", Some(3.0)),
                row("04-01", Some(9.0)),
                row("05-01", None),
                row("07-01", Some(7.0))
            ]
        );
        assert_eq!(compat.warnings, [Warning::EstimatedReadsCombined { n_estimated: 3, n_lost: 1 }]);
        // Strict: May to July are 92 days, beyond the limit of 70.
        let strict = prepared(&readings, Mode::Strict);
        assert_eq!(
            rows(&strict),
            [row("01-01", Some(2.0)), row("02-01", Some(3.0)), row("03-01", Some(9.0)), row("05-01", None),]
        );
        assert!(strict.warnings.contains(&Warning::EstimatedReadsCombined { n_estimated: 3, n_lost: 2 }));
    }

    #[test]
    fn bills_of_the_wrong_length_are_dropped() {
        let starts = ["2020-01-01", "2020-01-25", "2020-02-25", "2020-04-05", "2020-05-05", "2020-06-04"];
        let readings =
            starts.map(|start| Reading { start: start.parse().unwrap(), value: Some(1.0), estimated: false });
        for mode in [Mode::Strict, Mode::Compat] {
            let prepared = prepared(&readings, mode);
            let kept: Vec<bool> = prepared.meter.energy().iter().map(|energy| !energy.is_nan()).collect();
            assert_eq!(kept, [false, true, false, true, true]);
            assert_eq!(
                prepared.warnings,
                [Warning::PeriodsOfWrongLength {
                    n_too_short: 1,
                    n_too_long: 1,
                    shortest_days: 25,
                    longest_days: 35
                }]
            );
        }
    }

    #[test]
    fn hours_become_days_of_the_zone() {
        let zone = Zone::new("America/Chicago").unwrap();
        let begin: Tick = "2017-03-11T06:00Z".parse().unwrap();
        // 24 hours, then a day of 23 of which 12 are missing, then one of 24 of which all but one are.
        let readings: Vec<Reading> = (0..=71)
            .map(|hour| Reading {
                start: begin.checked_add(hour * crate::zone::TICKS_PER_HOUR).unwrap(),
                value: (!(35..47).contains(&hour) && hour < 48).then_some(2.0),
                estimated: false,
            })
            .collect();
        for mode in [Mode::Strict, Mode::Compat] {
            let prepared =
                prepare(&readings, None, Interpretation::ElectricityConsumptionSupplied, &zone, mode);
            assert_eq!(prepared.interval, Interval::Daily);
            let energy = prepared.meter.energy();
            assert_eq!(energy[0], 48.0);
            // 11 of 23 hours are no half.
            assert!(energy[1].is_nan() && energy[2].is_nan());
            let hours: Vec<f64> = prepared.meter.days().map(|days| days * 24.0).collect();
            assert_eq!(hours, [24.0, 23.0, 24.0]);
        }
    }

    #[test]
    fn a_daily_value_covers_one_day() {
        let reading = |start: &str, value| Reading {
            start: start.parse().unwrap(),
            value: Some(value),
            estimated: false,
        };
        let readings = [
            reading("2020-01-01", 3.0),
            reading("2020-01-02", 0.0),
            reading("2020-01-03", 5.0),
            reading("2020-01-07", 4.0),
            reading("2020-01-08", 1.0),
        ];
        let electric =
            |mode| prepare(&readings, None, Interpretation::ElectricityConsumptionTotal, &Zone::UTC, mode);
        let strict = electric(Mode::Strict);
        assert_eq!(strict.meter.days().collect::<Vec<_>>(), [1.0, 1.0, 1.0, 3.0, 1.0]);
        assert!(strict.meter.energy()[1].is_nan() && strict.meter.energy()[3].is_nan());
        assert_eq!(
            strict.warnings,
            [
                Warning::MeterGaps { n_gaps: 1, longest_gap_days: 3.0 },
                Warning::ZeroMeterValuesAreMissing { n_zero_values: 1 }
            ]
        );
        assert_eq!(electric(Mode::Compat).meter.days().collect::<Vec<_>>(), [1.0, 1.0, 4.0, 1.0]);
    }

    #[test]
    fn whatever_comes_is_put_in_order() {
        let reading = |start: &str, value| Reading { start: start.parse().unwrap(), value, estimated: false };
        let readings = [
            reading("2020-01-02", Some(2.0)),
            reading("2020-01-01", Some(f64::INFINITY)),
            reading("2020-01-02", Some(7.0)),
            reading("2020-01-03", Some(f64::NAN)),
        ];
        let got = prepared(&readings, Mode::Strict);
        assert_eq!(rows(&got), [("01-01".to_owned(), None), ("01-02".to_owned(), Some(2.0))]);
        assert_eq!(
            got.warnings,
            [
                Warning::UnorderedMeterTimes { n_out_of_order: 1 },
                Warning::DuplicateMeterTimes { n_duplicates: 1 },
                Warning::InfiniteMeterValues { n_infinite_values: 1 }
            ]
        );
        for few in [&readings[..0], &readings[..1]] {
            assert!(prepared(few, Mode::Strict).meter.is_empty());
            assert!(prepared(few, Mode::Compat).meter.is_empty());
        }
    }
}
