//! What a user should know of the data: codes for machines, with the numbers that led to them, and a sentence for people.

use std::fmt;

use serde::{Deserialize, Serialize};
use sheaf_model::Tick;

/// Something to know about a trace, its weather or a fit. As JSON: `qualified_name`, the code, and `data`.
///
/// Codes that begin with `eemeter.` are those of eemeter, for the same conditions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "qualified_name", content = "data")]
#[non_exhaustive]
#[expect(
    missing_docs,
    reason = "the sentence of each is in `Display`, the fields are named as eemeter names them"
)]
pub enum Warning {
    #[serde(rename = "eemeter.caltrack_sufficiency_criteria.no_data")]
    NoData {},
    #[serde(rename = "eemeter.caltrack_sufficiency_criteria.extra_data_after_requested_end_date")]
    ExtraDataAfterRequestedEnd { requested_end: Tick, data_end: Tick },
    #[serde(rename = "eemeter.caltrack_sufficiency_criteria.extra_data_before_requested_start_date")]
    ExtraDataBeforeRequestedStart { requested_start: Tick, data_start: Tick },
    #[serde(rename = "eemeter.caltrack_sufficiency_criteria.negative_meter_values")]
    NegativeMeterValues { n_negative_meter_values: usize },
    #[serde(rename = "eemeter.caltrack_sufficiency_criteria.incorrect_number_of_total_days")]
    IncorrectNumberOfTotalDays { num_days: i64, n_days_total: i64 },
    #[serde(rename = "eemeter.caltrack_sufficiency_criteria.too_many_days_with_missing_data")]
    TooManyDaysWithMissingData { n_valid_days: i64, n_days_total: i64 },
    #[serde(rename = "eemeter.caltrack_sufficiency_criteria.too_many_days_with_missing_meter_data")]
    TooManyDaysWithMissingMeterData { n_valid_meter_data_days: i64, n_days_total: i64 },
    #[serde(rename = "eemeter.caltrack_sufficiency_criteria.too_many_days_with_missing_temperature_data")]
    TooManyDaysWithMissingTemperatureData { n_valid_temperature_data_days: i64, n_days_total: i64 },
    #[serde(rename = "eemeter.caltrack_sufficiency_criteria.extreme_values_detected")]
    ExtremeValuesDetected {
        n_extreme_values: usize,
        median: f64,
        upper_quantile: f64,
        lower_quantile: f64,
        extreme_value_limit: f64,
        max_value: f64,
    },
    #[serde(rename = "eemeter.get_baseline_data.gap_at_baseline_start")]
    GapAtBaselineStart { requested_start: Tick, data_start: Tick },
    #[serde(rename = "eemeter.get_baseline_data.gap_at_baseline_end")]
    GapAtBaselineEnd { requested_end: Tick, data_end: Tick },
    #[serde(rename = "eemeter.get_reporting_data.gap_at_reporting_start")]
    GapAtReportingStart { requested_start: Tick, data_start: Tick },
    #[serde(rename = "eemeter.get_reporting_data.gap_at_reporting_end")]
    GapAtReportingEnd { requested_end: Tick, data_end: Tick },
    #[serde(rename = "sheaf.meter.unordered_times")]
    UnorderedMeterTimes { n_out_of_order: usize },
    #[serde(rename = "sheaf.meter.duplicate_times")]
    DuplicateMeterTimes { n_duplicates: usize },
    #[serde(rename = "sheaf.meter.infinite_values")]
    InfiniteMeterValues { n_infinite_values: usize },
    #[serde(rename = "sheaf.meter.zero_values_are_missing")]
    ZeroMeterValuesAreMissing { n_zero_values: usize },
    #[serde(rename = "sheaf.meter.gaps")]
    MeterGaps { n_gaps: usize, longest_gap_days: f64 },
    #[serde(rename = "sheaf.meter.estimated_reads_combined")]
    EstimatedReadsCombined { n_estimated: usize, n_lost: usize },
    #[serde(rename = "sheaf.meter.periods_of_wrong_length")]
    PeriodsOfWrongLength { n_too_short: usize, n_too_long: usize, shortest_days: i64, longest_days: i64 },
    #[serde(rename = "sheaf.meter.sparse_days")]
    SparseDays { n_days: usize, min_fraction_coverage: f64 },
    #[serde(rename = "sheaf.meter.unusual_spacing")]
    UnusualSpacing { median_days: f64 },
    #[serde(rename = "sheaf.temperature.none")]
    NoTemperature {},
    #[serde(rename = "sheaf.temperature.unordered_times")]
    UnorderedTemperatureTimes { n_out_of_order: usize },
    #[serde(rename = "sheaf.temperature.duplicate_times")]
    DuplicateTemperatureTimes { n_duplicates: usize },
    #[serde(rename = "sheaf.temperature.infinite_values")]
    InfiniteTemperatures { n_infinite_values: usize },
    #[serde(rename = "sheaf.temperature.implausible_values")]
    ImplausibleTemperatures { n_implausible: usize, lowest_degf: f64, highest_degf: f64 },
    #[serde(rename = "sheaf.temperature.perhaps_celsius")]
    PerhapsCelsius { highest_degf: f64, span_days: f64 },
    #[serde(rename = "sheaf.temperature.spacing")]
    TemperatureSpacing { spacing_hours: f64 },
    #[serde(rename = "sheaf.fit.tie")]
    Tie { n_tied: usize, tolerance: f64 },
}

impl Warning {
    /// The code, as in JSON.
    pub fn code(&self) -> String {
        match serde_json::to_value(self) {
            Ok(serde_json::Value::Object(fields)) => {
                fields.get("qualified_name").and_then(|name| name.as_str()).unwrap_or_default().to_owned()
            }
            _ => String::new(),
        }
    }
}

/// A sentence, with the numbers.
impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::NoData {} => f.write_str("no period has both a meter value and a temperature"),
            Warning::ExtraDataAfterRequestedEnd { requested_end, data_end } => {
                write!(f, "data reach to {data_end}, beyond the requested end {requested_end}")
            }
            Warning::ExtraDataBeforeRequestedStart { requested_start, data_start } => {
                write!(f, "data begin at {data_start}, before the requested start {requested_start}")
            }
            Warning::NegativeMeterValues { n_negative_meter_values } => {
                write!(f, "{n_negative_meter_values} meter values are negative: is energy fed in?")
            }
            Warning::IncorrectNumberOfTotalDays { num_days, n_days_total } => {
                write!(f, "data span {n_days_total} days, {num_days} are asked for")
            }
            Warning::TooManyDaysWithMissingData { n_valid_days, n_days_total } => {
                write!(f, "only {n_valid_days} of {n_days_total} days have meter values and temperatures")
            }
            Warning::TooManyDaysWithMissingMeterData { n_valid_meter_data_days, n_days_total } => {
                write!(f, "only {n_valid_meter_data_days} of {n_days_total} days have meter values")
            }
            Warning::TooManyDaysWithMissingTemperatureData {
                n_valid_temperature_data_days,
                n_days_total,
            } => {
                write!(f, "only {n_valid_temperature_data_days} of {n_days_total} days have temperatures")
            }
            Warning::ExtremeValuesDetected { n_extreme_values, extreme_value_limit, .. } => {
                write!(
                    f,
                    "{n_extreme_values} values a day lie above {extreme_value_limit:.2}: median + 3 × IQR"
                )
            }
            Warning::GapAtBaselineStart { requested_start, data_start } => {
                write!(f, "the baseline should begin at {requested_start}, but data begin at {data_start}")
            }
            Warning::GapAtBaselineEnd { requested_end, data_end } => {
                write!(f, "the baseline should end at {requested_end}, but data end at {data_end}")
            }
            Warning::GapAtReportingStart { requested_start, data_start } => {
                write!(
                    f,
                    "the reporting period should begin at {requested_start}, but data begin at {data_start}"
                )
            }
            Warning::GapAtReportingEnd { requested_end, data_end } => {
                write!(f, "the reporting period should end at {requested_end}, but data end at {data_end}")
            }
            Warning::UnorderedMeterTimes { n_out_of_order } => {
                write!(f, "{n_out_of_order} readings came before an earlier one; they were sorted")
            }
            Warning::DuplicateMeterTimes { n_duplicates } => {
                write!(f, "{n_duplicates} readings repeat a time; the first of each was kept")
            }
            Warning::InfiniteMeterValues { n_infinite_values } => {
                write!(f, "{n_infinite_values} meter values are infinite; they count as missing")
            }
            Warning::ZeroMeterValuesAreMissing { n_zero_values } => {
                write!(f, "{n_zero_values} values of zero count as missing (CalTRACK 2.2.1.4)")
            }
            Warning::MeterGaps { n_gaps, longest_gap_days } => {
                write!(f, "{n_gaps} gaps in a daily meter, the longest of {longest_gap_days} days")
            }
            Warning::EstimatedReadsCombined { n_estimated, n_lost } => {
                write!(f, "{n_estimated} estimated reads: combined with the next actual one, except {n_lost}")
            }
            Warning::PeriodsOfWrongLength { n_too_short, n_too_long, shortest_days, longest_days } => write!(
                f,
                "{n_too_short} periods of less than {shortest_days} days and {n_too_long} of more than \
                 {longest_days} were dropped (CalTRACK 2.2.3.4, 2.2.3.5)"
            ),
            Warning::SparseDays { n_days, min_fraction_coverage } => {
                write!(f, "{n_days} days have values for no more than {min_fraction_coverage} of the time")
            }
            Warning::UnusualSpacing { median_days } => {
                write!(f, "readings are {median_days} days apart, which is neither daily nor a usual bill")
            }
            Warning::NoTemperature {} => f.write_str("there are no temperatures"),
            Warning::UnorderedTemperatureTimes { n_out_of_order } => {
                write!(f, "{n_out_of_order} temperatures came before an earlier one; they were sorted")
            }
            Warning::DuplicateTemperatureTimes { n_duplicates } => {
                write!(f, "{n_duplicates} temperatures repeat a time; the first of each was kept")
            }
            Warning::InfiniteTemperatures { n_infinite_values } => {
                write!(f, "{n_infinite_values} temperatures are infinite; they count as missing")
            }
            Warning::ImplausibleTemperatures { n_implausible, lowest_degf, highest_degf } => {
                write!(
                    f,
                    "{n_implausible} temperatures are implausible: {lowest_degf:.1} to {highest_degf:.1} °F"
                )
            }
            Warning::PerhapsCelsius { highest_degf, span_days } => write!(
                f,
                "no temperature of {span_days:.0} days is above {highest_degf:.1} °F: are these degrees Celsius?"
            ),
            Warning::TemperatureSpacing { spacing_hours } => {
                write!(f, "temperatures are {spacing_hours} hours apart; the method takes hourly ones")
            }
            Warning::Tie { n_tied, tolerance } => write!(
                f,
                "{n_tied} candidates fit equally well (adjusted R² within {tolerance}); the first one was taken"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_has_a_code_data_and_a_sentence() {
        let warning = Warning::IncorrectNumberOfTotalDays { num_days: 365, n_days_total: 339 };
        assert_eq!(warning.code(), "eemeter.caltrack_sufficiency_criteria.incorrect_number_of_total_days");
        assert_eq!(
            serde_json::to_string(&warning).unwrap(),
            r#"{"qualified_name":"eemeter.caltrack_sufficiency_criteria.incorrect_number_of_total_days","data":{"num_days":365,"n_days_total":339}}"#
        );
        assert_eq!(warning.to_string(), "data span 339 days, 365 are asked for");
    }
}
