//! Whether the data of a period suffice for a model (CalTRACK 2.2), with eemeter's codes.

use serde::{Deserialize, Serialize};
use sheaf_model::Tick;

use crate::design::Design;
use crate::settings::{Mode, SufficiencySettings};
use crate::warning::Warning;
use crate::zone::whole_days;

/// The verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SufficiencyStatus {
    /// No row has both usage and weather.
    #[serde(rename = "NO DATA")]
    NoData,
    /// A criterion is not met.
    #[serde(rename = "FAIL")]
    Fail,
    /// All criteria are met.
    #[serde(rename = "PASS")]
    Pass,
}

/// What the criteria looked at.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SufficiencyData {
    /// Begin of the data.
    pub data_start: Tick,
    /// End of the data.
    pub data_end: Tick,
    /// Whole days between the requested start and the data; 0 if nothing was requested.
    pub n_days_start_gap: i64,
    /// Whole days between the data and the requested end; 0 if nothing was requested.
    pub n_days_end_gap: i64,
    /// Whole days of data and gaps.
    pub n_days_total: i64,
    /// Days with both usage and temperature.
    pub n_valid_days: i64,
    /// Days with usage.
    pub n_valid_meter_data_days: i64,
    /// Days with temperature.
    pub n_valid_temperature_data_days: i64,
    /// Days of bills that came with an estimated read; neither kind of valid day with usage counts them (CalTRACK 2.2.3.1).
    pub n_estimated_days: i64,
    /// Periods with negative usage.
    pub n_negative_meter_values: usize,
    /// Periods with usage a day above the limit.
    pub n_extreme_values: usize,
    /// Of usage a day.
    pub median: f64,
    /// 75 % quantile of usage a day.
    pub upper_quantile: f64,
    /// 25 % quantile of usage a day.
    pub lower_quantile: f64,
    /// Median + 3 × (upper − lower quantile) (CalTRACK 2.3.6).
    pub extreme_value_limit: f64,
    /// Of usage a day.
    pub max_value: f64,
}

/// The verdict with its reasons, what it looked at, and the thresholds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sufficiency {
    /// The verdict.
    pub status: SufficiencyStatus,
    /// `caltrack_sufficiency_criteria`
    pub criteria_name: String,
    /// Failed criteria first, then what only is to be reviewed.
    pub warnings: Vec<Warning>,
    /// Nothing without data.
    pub data: Option<SufficiencyData>,
    /// The thresholds.
    pub settings: SufficiencySettings,
}

/// Judges the rows of a design against the period that was asked for, if its start or end were.
///
/// In [`Mode::Strict`] a row's temperature is valid if the row has degree days, and of the days of a bill those that came with
/// an estimated read have no valid usage (CalTRACK 2.2.3.1). In [`Mode::Compat`] a row that lacks usage or
/// weather lacks both, days of estimated reads count, and more than the share of `settings` of the temperatures that there are must be known.
pub fn sufficiency(
    design: &Design,
    requested_start: Option<Tick>,
    requested_end: Option<Tick>,
    settings: &SufficiencySettings,
) -> Sufficiency {
    let mut result = Sufficiency {
        status: SufficiencyStatus::NoData,
        criteria_name: "caltrack_sufficiency_criteria".to_owned(),
        warnings: vec![Warning::NoData {}],
        data: None,
        settings: *settings,
    };
    let rows = 0..design.usage_per_day().len();
    let (Some(first), Some(last)) = (design.features().periods().first(), design.features().periods().last())
    else {
        return result;
    };
    if !rows.clone().any(|row| design.is_usable(row)) {
        return result;
    }
    let (data_start, data_end) = (first.start, last.end);
    let mut critical = Vec::new();
    let n_days_end_gap = requested_end.map_or(0, |requested_end| {
        let gap = whole_days(data_end, requested_end);
        if gap < 0 {
            critical.push(Warning::ExtraDataAfterRequestedEnd { requested_end, data_end });
        }
        gap.max(0)
    });
    let n_days_start_gap = requested_start.map_or(0, |requested_start| {
        let gap = whole_days(requested_start, data_start);
        if gap < 0 {
            critical.push(Warning::ExtraDataBeforeRequestedStart { requested_start, data_start });
        }
        gap.max(0)
    });
    let n_days_total = whole_days(data_start, data_end) + n_days_start_gap + n_days_end_gap;
    let validity: Vec<Validity> = rows.map(|row| Validity::of(design, row, settings)).collect();
    let days = |of_row: &dyn Fn(&Validity) -> f64| validity.iter().map(of_row).sum::<f64>() as i64;
    let metered_days = |row: &Validity| if row.meter { row.days - row.estimated_days } else { 0.0 };
    let n_valid_days = days(&|row| if row.weather { metered_days(row) } else { 0.0 });
    let n_valid_meter_data_days = days(&metered_days);
    let n_valid_temperature_data_days = days(&|row| if row.weather { row.days } else { 0.0 });
    let n_estimated_days = days(&|row| row.estimated_days);
    let mut usage: Vec<f64> = design
        .usage_per_day()
        .iter()
        .zip(&validity)
        .filter_map(|(usage, row)| row.meter.then_some(*usage))
        .collect();
    usage.sort_by(f64::total_cmp);
    let (median, upper_quantile, lower_quantile) =
        (quantile(&usage, 0.5), quantile(&usage, 0.75), quantile(&usage, 0.25));
    let extreme_value_limit = median + 3.0 * (upper_quantile - lower_quantile);
    let data = SufficiencyData {
        data_start,
        data_end,
        n_days_start_gap,
        n_days_end_gap,
        n_days_total,
        n_valid_days,
        n_valid_meter_data_days,
        n_valid_temperature_data_days,
        n_estimated_days,
        n_negative_meter_values: usage.iter().filter(|usage| **usage < 0.0).count(),
        n_extreme_values: usage.iter().filter(|usage| **usage > extreme_value_limit).count(),
        median,
        upper_quantile,
        lower_quantile,
        extreme_value_limit,
        max_value: usage.last().copied().unwrap_or(f64::NAN),
    };
    add_failures(&data, settings, &mut critical);
    result.status = if critical.is_empty() { SufficiencyStatus::Pass } else { SufficiencyStatus::Fail };
    if data.n_extreme_values > 0 {
        critical.push(Warning::ExtremeValuesDetected {
            n_extreme_values: data.n_extreme_values,
            median,
            upper_quantile,
            lower_quantile,
            extreme_value_limit,
            max_value: data.max_value,
        });
    }
    result.warnings = critical;
    result.data = Some(data);
    result
}

/// What of a row is valid.
struct Validity {
    meter: bool,
    weather: bool,
    days: f64,
    /// Those of `days` that don't count for the meter.
    estimated_days: f64,
}

impl Validity {
    fn of(design: &Design, row: usize, settings: &SufficiencySettings) -> Validity {
        let period = &design.features().periods()[row];
        match design.mode() {
            Mode::Strict => Validity {
                meter: !design.usage_per_day()[row].is_nan(),
                weather: period.is_known(),
                days: period.days,
                estimated_days: if design.interval().is_billing() { design.estimated_days(row) } else { 0.0 },
            },
            Mode::Compat => {
                let is_usable = design.is_usable(row);
                let known = period.temperature_not_null as f64;
                let share = known / (known + period.temperature_null as f64);
                let least = settings.min_fraction_hourly_temperature_coverage_per_period;
                Validity {
                    meter: is_usable,
                    weather: is_usable && share > least,
                    days: period.days,
                    estimated_days: 0.0,
                }
            }
        }
    }
}

fn add_failures(data: &SufficiencyData, settings: &SufficiencySettings, critical: &mut Vec<Warning>) {
    let n_days_total = data.n_days_total;
    if data.n_negative_meter_values > 0 {
        let n_negative_meter_values = data.n_negative_meter_values;
        critical.push(Warning::NegativeMeterValues { n_negative_meter_values });
    }
    if !(settings.least_days..=settings.most_days).contains(&n_days_total) {
        critical.push(Warning::IncorrectNumberOfTotalDays { num_days: settings.num_days, n_days_total });
    }
    let is_too_few = |days: i64| (days as f64) < settings.min_fraction_daily_coverage * n_days_total as f64;
    if is_too_few(data.n_valid_days) {
        critical.push(Warning::TooManyDaysWithMissingData { n_valid_days: data.n_valid_days, n_days_total });
    }
    let n_valid_meter_data_days = data.n_valid_meter_data_days;
    if is_too_few(n_valid_meter_data_days) {
        critical.push(Warning::TooManyDaysWithMissingMeterData { n_valid_meter_data_days, n_days_total });
    }
    let n_valid_temperature_data_days = data.n_valid_temperature_data_days;
    if is_too_few(n_valid_temperature_data_days) {
        critical.push(Warning::TooManyDaysWithMissingTemperatureData {
            n_valid_temperature_data_days,
            n_days_total,
        });
    }
}

/// Of sorted values, linear between them; NaN of none.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let position = share * last as f64;
    let below = position.floor();
    let low = sorted[below as usize];
    let high = sorted[(below as usize + 1).min(last)];
    low + (high - low) * (position - below)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::{Features, Purpose};
    use crate::interpretation::Interpretation;
    use crate::meter::Reading;
    use crate::prepare::prepare;
    use crate::weather::Weather;
    use crate::zone::{TICKS_PER_DAY, TICKS_PER_HOUR, Zone};

    /// Twelve bills of 30 days, all with usage and weather; the reads of some are somebody's guess.
    fn year_of_bills(estimated: &[usize], mode: Mode) -> Sufficiency {
        let start: Tick = "2020-01-01".parse().unwrap();
        let at = |days: i64| start.checked_add(days * TICKS_PER_DAY).unwrap();
        let readings: Vec<Reading> = (0..13)
            .map(|bill| Reading {
                start: at(bill * 30),
                value: Some(300.0),
                estimated: estimated.contains(&(bill as usize)),
            })
            .collect();
        let hours = (0..360 * 24).map(|hour| (start.checked_add(hour * TICKS_PER_HOUR).unwrap(), 50.0));
        let weather = Weather::from_degf(hours, Zone::UTC);
        let gas = Interpretation::NaturalGasConsumptionSupplied;
        let prepared = prepare(&readings, None, gas, &Zone::UTC, mode);
        let features =
            Features::new(prepared.meter.bounds(), &weather, prepared.interval, Purpose::Fit, mode);
        let design = Design::new(&prepared.meter, features, prepared.interval, mode);
        sufficiency(&design, None, None, &SufficiencySettings::new(mode))
    }

    /// 37 days of 365 may be missing (2.2.1.2), and an estimated bill is 30 of them: one passes, two don't.
    #[test]
    fn estimated_reads_count_as_missing() {
        let verdicts = [&[][..], &[3], &[3, 8]].map(|estimated| {
            let verdict = year_of_bills(estimated, Mode::Strict);
            let data = verdict.data.unwrap();
            (verdict.status, data.n_estimated_days, data.n_valid_meter_data_days, data.n_valid_days)
        });
        assert_eq!(
            verdicts,
            [
                (SufficiencyStatus::Pass, 0, 360, 360),
                (SufficiencyStatus::Pass, 30, 330, 330),
                (SufficiencyStatus::Fail, 60, 300, 300),
            ]
        );
        let lost = year_of_bills(&[3, 8], Mode::Strict).warnings;
        assert!(matches!(
            lost[1],
            Warning::TooManyDaysWithMissingMeterData { n_valid_meter_data_days: 300, .. }
        ));
        // eemeter counts them as if they had been read.
        let compat = year_of_bills(&[3, 8], Mode::Compat).data.unwrap();
        assert_eq!((compat.n_estimated_days, compat.n_valid_meter_data_days), (0, 360));
    }

    #[test]
    fn quantiles_are_linear_between_values() {
        assert_eq!(quantile(&[1.0, 2.0, 4.0], 0.5), 2.0);
        assert_eq!(quantile(&[1.0, 2.0, 4.0], 0.75), 3.0);
        assert_eq!(quantile(&[5.0], 0.25), 5.0);
        assert!(quantile(&[], 0.5).is_nan());
    }
}
