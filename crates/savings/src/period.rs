//! The parts of a trace before and after an intervention. What lies between both, the blackout, is not used.

use serde::{Deserialize, Serialize};
use sheaf_model::Tick;

use crate::meter::MeterSeries;
use crate::warning::Warning;
use crate::zone::{TICKS_PER_DAY, whole_days};

/// How a period is cut out of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeriodSettings {
    /// The most days, 365 by default (CalTRACK 3.1.3); nothing for no limit.
    pub max_days: Option<i64>,
    /// Counts the days from the bill's bound next to the period's end (or start, when reporting) instead of from the time
    /// that was asked for.
    pub ignore_billing_period_gap_for_day_count: bool,
    /// With that: only if the bound is so near, in days. For the baseline.
    pub n_days_billing_period_overshoot: Option<i64>,
    /// Lets the first bill (the last one, when reporting) reach beyond the period, if that is nearer to its bound.
    pub allow_billing_period_overshoot: bool,
}

impl Default for PeriodSettings {
    fn default() -> PeriodSettings {
        PeriodSettings {
            max_days: Some(365),
            ignore_billing_period_gap_for_day_count: false,
            n_days_billing_period_overshoot: None,
            allow_billing_period_overshoot: false,
        }
    }
}

/// The part of `meter` that lies in the `max_days` before `end`, both bounds included, and what is missing of it. Empty if
/// nothing lies there.
pub fn baseline(meter: &MeterSeries, end: Tick, settings: &PeriodSettings) -> (MeterSeries, Vec<Warning>) {
    let bounds = meter.bounds();
    let (Some(data_start), Some(data_end)) = (bounds.first().copied(), bounds.last().copied()) else {
        return (MeterSeries::default(), Vec::new());
    };
    let mut warnings = Vec::new();
    if data_end < end {
        warnings.push(Warning::GapAtBaselineEnd { requested_end: end, data_end });
    }
    let Some(last_bound) = bounds.partition_point(|bound| *bound <= end).checked_sub(1) else {
        return (MeterSeries::default(), warnings);
    };
    let is_near = settings
        .n_days_billing_period_overshoot
        .is_none_or(|most_days| whole_days(bounds[last_bound], end) < most_days);
    let counted_end =
        if settings.ignore_billing_period_gap_for_day_count && is_near { bounds[last_bound] } else { end };
    let start = settings.max_days.map_or(data_start, |days| shifted(counted_end, -days));
    if start < data_start {
        warnings.push(Warning::GapAtBaselineStart { requested_start: start, data_start });
    }
    let first_bound = if settings.allow_billing_period_overshoot {
        nearest(bounds, start)
    } else {
        bounds.partition_point(|bound| *bound < start)
    };
    (between(meter, first_bound, last_bound), warnings)
}

/// The part of `meter` that lies in the `max_days` after `start`, both bounds included, and what is missing of it. Empty if
/// nothing lies there.
pub fn reporting(meter: &MeterSeries, start: Tick, settings: &PeriodSettings) -> (MeterSeries, Vec<Warning>) {
    let bounds = meter.bounds();
    let (Some(data_start), Some(data_end)) = (bounds.first().copied(), bounds.last().copied()) else {
        return (MeterSeries::default(), Vec::new());
    };
    let mut warnings = Vec::new();
    if data_start > start {
        warnings.push(Warning::GapAtReportingStart { requested_start: start, data_start });
    }
    let first_bound = bounds.partition_point(|bound| *bound < start);
    let Some(first) = bounds.get(first_bound) else {
        return (MeterSeries::default(), warnings);
    };
    let counted_start = if settings.ignore_billing_period_gap_for_day_count { *first } else { start };
    let end = settings.max_days.map_or(data_end, |days| shifted(counted_start, days));
    if end > data_end {
        warnings.push(Warning::GapAtReportingEnd { requested_end: end, data_end });
    }
    let last_bound = if settings.allow_billing_period_overshoot {
        nearest(bounds, end)
    } else {
        bounds.partition_point(|bound| *bound <= end).saturating_sub(1)
    };
    (between(meter, first_bound, last_bound), warnings)
}

fn between(meter: &MeterSeries, first_bound: usize, last_bound: usize) -> MeterSeries {
    if first_bound < last_bound { meter.between(first_bound, last_bound) } else { MeterSeries::default() }
}

/// The bound nearest to a time; of two, the later one.
fn nearest(bounds: &[Tick], time: Tick) -> usize {
    let after = bounds.partition_point(|bound| *bound < time).min(bounds.len() - 1);
    let before = after.saturating_sub(1);
    let distance = |index: usize| (bounds[index].ticks() - time.ticks()).abs();
    if distance(before) < distance(after) { before } else { after }
}

fn shifted(time: Tick, days: i64) -> Tick {
    let limit = if days < 0 { Tick::MIN } else { Tick::MAX };
    days.checked_mul(TICKS_PER_DAY).and_then(|ticks| time.checked_add(ticks)).unwrap_or(limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Tick {
        text.parse().unwrap()
    }

    /// Bills that begin on the tenth of each month of 2016 and 2017.
    fn bills() -> MeterSeries {
        let bounds: Vec<Tick> =
            (0..24).map(|month| at(&format!("{}-{:02}-10", 2016 + month / 12, month % 12 + 1))).collect();
        MeterSeries::new(bounds, (0..23).map(f64::from).collect())
    }

    fn ends(meter: &MeterSeries) -> [String; 2] {
        [meter.bounds()[0], meter.bounds()[meter.len()]].map(|tick| tick.to_string()[..10].to_owned())
    }

    #[test]
    fn a_baseline_ends_before_the_intervention() {
        let settings = PeriodSettings::default();
        let (meter, warnings) = baseline(&bills(), at("2017-03-20"), &settings);
        assert_eq!(ends(&meter), ["2016-04-10", "2017-03-10"]);
        assert_eq!(meter.energy()[0], 3.0);
        assert_eq!(warnings, []);
        // Counted from the last bill, the year reaches back to the tenth of March.
        let from_bill = PeriodSettings { ignore_billing_period_gap_for_day_count: true, ..settings };
        assert_eq!(ends(&baseline(&bills(), at("2017-03-20"), &from_bill).0), ["2016-03-10", "2017-03-10"]);
        let too_far = PeriodSettings { n_days_billing_period_overshoot: Some(5), ..from_bill };
        assert_eq!(ends(&baseline(&bills(), at("2017-03-20"), &too_far).0), ["2016-04-10", "2017-03-10"]);
        // 2016-03-20 is nearer to the tenth of March than to that of April.
        let overshoot = PeriodSettings { allow_billing_period_overshoot: true, ..settings };
        assert_eq!(ends(&baseline(&bills(), at("2017-03-20"), &overshoot).0), ["2016-03-10", "2017-03-10"]);
    }

    #[test]
    fn a_reporting_period_begins_after_it() {
        let settings = PeriodSettings::default();
        let (meter, warnings) = reporting(&bills(), at("2016-03-20"), &settings);
        assert_eq!(ends(&meter), ["2016-04-10", "2017-03-10"]);
        assert_eq!(warnings, []);
        let (meter, warnings) = reporting(&bills(), at("2017-10-05"), &settings);
        assert_eq!(ends(&meter), ["2017-10-10", "2017-12-10"]);
        assert!(matches!(warnings[..], [Warning::GapAtReportingEnd { .. }]));
    }

    #[test]
    fn outside_the_data_there_is_nothing() {
        let settings = PeriodSettings::default();
        let (meter, warnings) = baseline(&bills(), at("2015-01-01"), &settings);
        assert!(meter.is_empty() && warnings.is_empty());
        let (meter, warnings) = baseline(&bills(), at("2019-01-01"), &settings);
        assert!(meter.is_empty());
        assert!(matches!(warnings[..], [Warning::GapAtBaselineEnd { .. }]));
        assert!(reporting(&bills(), at("2019-01-01"), &settings).0.is_empty());
        assert!(reporting(&MeterSeries::default(), Tick::MAX, &settings).0.is_empty());
        let whole = PeriodSettings { max_days: None, ..settings };
        assert_eq!(baseline(&bills(), Tick::MAX, &whole).0, bills());
        let endless = PeriodSettings { max_days: Some(i64::MAX), ..settings };
        assert_eq!(reporting(&bills(), Tick::MIN, &endless).0, bills());
    }
}
