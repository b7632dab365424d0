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
/// In [`Mode::Strict`] a row's temperature is valid if the row has degree days. In [`Mode::Compat`] a row that lacks usage or
/// weather lacks both, and more than the share of `settings` of the temperatures that there are must be known.
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
    let validity: Vec<(bool, bool, f64)> = rows.map(|row| valid(design, row, settings)).collect();
    let days = |is_valid: &dyn Fn(bool, bool) -> bool| -> i64 {
        validity
            .iter()
            .filter(|(meter, weather, _)| is_valid(*meter, *weather))
            .map(|(_, _, days)| days)
            .sum::<f64>() as i64
    };
    let n_valid_days = days(&|meter, weather| meter && weather);
    let n_valid_meter_data_days = days(&|meter, _| meter);
    let n_valid_temperature_data_days = days(&|_, weather| weather);
    let mut usage: Vec<f64> = design
        .usage_per_day()
        .iter()
        .zip(&validity)
        .filter_map(|(usage, (meter, _, _))| meter.then_some(*usage))
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

/// Whether the usage and the temperature of a row are valid, and its days.
fn valid(design: &Design, row: usize, settings: &SufficiencySettings) -> (bool, bool, f64) {
    let period = &design.features().periods()[row];
    match design.mode() {
        Mode::Strict => (!design.usage_per_day()[row].is_nan(), period.is_known(), period.days),
        Mode::Compat => {
            let is_usable = design.is_usable(row);
            let known = period.temperature_not_null as f64;
            let share = known / (known + period.temperature_null as f64);
            let least = settings.min_fraction_hourly_temperature_coverage_per_period;
            (is_usable, is_usable && share > least, period.days)
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

    #[test]
    fn quantiles_are_linear_between_values() {
        assert_eq!(quantile(&[1.0, 2.0, 4.0], 0.5), 2.0);
        assert_eq!(quantile(&[1.0, 2.0, 4.0], 0.75), 3.0);
        assert_eq!(quantile(&[5.0], 0.25), 5.0);
        assert!(quantile(&[], 0.5).is_nan());
    }
}
