//! CalTRACK hourly models.
//!
//! A year of hours is divided into twelve overlapping [segments](Segment), one around each month: the month itself counts
//! fully, its two neighbours half. In each segment the energy of an hour is explained by the hour of the week (168 of
//! them, Monday 0:00 first, in the meter's time zone) and by the temperature, piecewise linear over bins, with slopes of
//! their own for hours of the week that are *occupied* and that are not. An hour is predicted by the segment of its month.
//!
//! ```
//! use jiff::{Timestamp, ToSpan, tz::TimeZone};
//! use sheaf_savings::hourly::{HourlyModel, HourlyRow, HourlySettings};
//!
//! // A meter that uses 1 kWh in every hour, and another 2 % of a kWh for each °F above 65.
//! let energy = |temp_degf: f64| 1.0 + 0.02 * (temp_degf - 65.0).max(0.0);
//! let first: Timestamp = "2016-01-01T00:00Z".parse()?;
//! let rows: Vec<HourlyRow> = (0..366 * 24)
//!     .map(|hour| {
//!         let temp_degf = 60.0 + 25.0 * (hour as f64 * 0.37).sin();
//!         HourlyRow { start: first + hour.hours(), energy: energy(temp_degf), temp_degf }
//!     })
//!     .collect();
//! let model = HourlyModel::fit(&rows, TimeZone::UTC, HourlySettings::default())?;
//! let hot = model.predict("2017-07-04T15:00Z".parse()?, 80.0)?;
//! assert!((hot - 1.3).abs() < 1e-9);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Clauses are those of the CalTRACK methods, 2.0: 3.7.5 (weights of the months), 3.8 (occupancy), 3.9 (temperature bins),
//! 3.10 and 3.11 (the regression). The numbers are those of eemeter 3.2 but in one case: what has not been observed is not
//! predicted. A month without data in its segment, or an hour of the week that its segment has no data for, has no
//! prediction; eemeter gives them a coefficient of zero, and with it predicts that a month without data uses nothing.
//!
//! Reading order: [`HourlyModel`] fits and predicts, `segment` holds what is fitted for a month, `occupancy` and
//! `temperature_bins` prepare it, `grouped_least_squares` solves it.

mod grouped_least_squares;
mod occupancy;
mod segment;
mod temperature_bins;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::version::FormatVersion;
use segment::{all_months, weight_of_month};

pub use segment::{Segment, SegmentWarning, TemperatureResponse};

/// Hours of a week: the number of coefficients that tell them apart.
pub const HOURS_PER_WEEK: usize = 168;

/// One hour of a meter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HourlyRow {
    /// Begin of the hour.
    pub start: Timestamp,
    /// Energy used in the hour, in the unit of the meter. NaN if missing.
    pub energy: f64,
    /// Outdoor temperature of the hour, °F. NaN if missing.
    pub temp_degf: f64,
}

/// What CalTRACK leaves to be chosen, with the choices of CalTRACK 2.0 as defaults.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HourlySettings {
    /// An hour of the week is occupied if more than this share of its hours use more than their degrees explain; 0 to 1.
    /// 0.65 by clause 3.8.4.
    pub occupancy_threshold: f64,
    /// Degrees below this count as heating when occupancy is estimated, °F. 50 by clause 3.8.3.
    pub heating_balance_degf: f64,
    /// Degrees above this count as cooling when occupancy is estimated, °F. 65 by clause 3.8.3.
    pub cooling_balance_degf: f64,
    /// Where temperature bins may end, °F, ascending. 30, 45, 55, 65, 75, 90 by clause 3.9.1.1.
    pub bin_endpoints_degf: Vec<f64>,
    /// A bin with fewer hours than this is joined with its neighbour. 20 by clause 3.9.1.2.
    pub min_hours_per_bin: usize,
}

impl Default for HourlySettings {
    fn default() -> HourlySettings {
        HourlySettings {
            occupancy_threshold: 0.65,
            heating_balance_degf: 50.0,
            cooling_balance_degf: 65.0,
            bin_endpoints_degf: vec![30.0, 45.0, 55.0, 65.0, 75.0, 90.0],
            min_hours_per_bin: 20,
        }
    }
}

/// Why there is no model.
#[derive(Clone, Debug, PartialEq, thiserror::Error, Serialize)]
#[serde(tag = "code", content = "data", rename_all = "snake_case")]
#[non_exhaustive]
pub enum HourlyError {
    /// No hour has both energy and temperature.
    #[error("none of {rows} hours has both energy and temperature")]
    NoData {
        /// How many rows were given.
        rows: usize,
    },
    /// Rows are out of order or closer than an hour: what is summed over less than an hour is no hourly value.
    #[error("row {index} begins at {start}, less than an hour after {previous}")]
    NotHourly {
        /// Position of the row.
        index: usize,
        /// Its begin.
        start: Timestamp,
        /// The begin of the row before.
        previous: Timestamp,
    },
    /// A share is not between 0 and 1.
    #[error("the threshold of occupancy must lie between 0 and 1, got {threshold}")]
    OccupancyThreshold {
        /// What was asked for.
        threshold: f64,
    },
    /// Balance points must be finite.
    #[error("the balance points {heating_degf} and {cooling_degf} °F must be finite")]
    BalancePoints {
        /// For heating, °F.
        heating_degf: f64,
        /// For cooling, °F.
        cooling_degf: f64,
    },
    /// The ends of bins are not finite and ascending.
    #[error("the endpoints of temperature bins must be finite and ascending, got {endpoints_degf:?}")]
    BinEndpoints {
        /// What was asked for, °F.
        endpoints_degf: Vec<f64>,
    },
    /// The numbers are so extreme that the equations of a segment have no finite solution.
    #[error("the equations of segment {segment} have no finite solution")]
    Unsolvable {
        /// Name of the segment.
        segment: &'static str,
    },
}

/// Why an hour has no prediction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, Serialize)]
#[serde(tag = "code", content = "data", rename_all = "snake_case")]
#[non_exhaustive]
pub enum NoPrediction {
    /// The temperature is NaN or infinite.
    #[error("the temperature is missing")]
    TemperatureMissing,
    /// The segment of the month has no data at all.
    #[error("segment {segment} has no data")]
    SegmentWithoutData {
        /// Name of the segment.
        segment: &'static str,
    },
    /// The segment of the month has no data for the hour of the week.
    #[error("segment {segment} has no data for hour {hour_of_week} of the week")]
    HourOfWeekUnobserved {
        /// Name of the segment.
        segment: &'static str,
        /// 0 to 167, Monday 0:00 to 1:00 first.
        hour_of_week: usize,
    },
}

/// A row that counts, with what a model needs to know of its time.
#[derive(Clone, Copy, Debug)]
struct Hour {
    /// 1 to 12.
    month: usize,
    hour_of_week: usize,
    energy: f64,
    temp_degf: f64,
}

/// A fitted CalTRACK hourly model. The same rows give the same bytes as JSON. To be written as JSON, its time zone must have
/// a name or a fixed offset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HourlyModel {
    version: FormatVersion<1>,
    engine_version: String,
    #[serde(with = "jiff::fmt::serde::tz::required")]
    time_zone: TimeZone,
    settings: HourlySettings,
    /// Rows given, and those of them with both energy and temperature.
    rows: usize,
    rows_used: usize,
    /// January first.
    #[serde(deserialize_with = "all_months")]
    segments: [Segment; 12],
}

impl HourlyModel {
    /// Fits a model to the hours of a baseline or reporting period, usually a year. Rows without energy or temperature are
    /// left out; months and hours of the week are those of `time_zone`.
    ///
    /// # Errors
    /// The settings are out of range, rows are not in order and at least an hour apart, or none of them is whole.
    pub fn fit(
        rows: &[HourlyRow],
        time_zone: TimeZone,
        settings: HourlySettings,
    ) -> Result<HourlyModel, HourlyError> {
        check(&settings)?;
        let hours = hours(rows, &time_zone)?;
        let segments = (1..=12)
            .map(|month| {
                let weighted: Vec<(Hour, f64)> = hours
                    .iter()
                    .map(|&hour| (hour, weight_of_month(month, hour.month)))
                    .filter(|&(_, weight)| weight > 0.0)
                    .collect();
                Segment::fit(month, &weighted, &settings)
            })
            .collect::<Result<Vec<Segment>, HourlyError>>()?;
        let Ok(segments) = <[Segment; 12]>::try_from(segments) else {
            unreachable!("there are twelve months")
        };
        Ok(HourlyModel {
            version: FormatVersion,
            engine_version: env!("CARGO_PKG_VERSION").to_owned(),
            time_zone,
            settings,
            rows: rows.len(),
            rows_used: hours.len(),
            segments,
        })
    }

    /// The energy of the hour that begins at `start` with a temperature of `temp_degf`, in °F.
    ///
    /// # Errors
    /// The temperature is missing, or the baseline has no data to tell from.
    pub fn predict(&self, start: Timestamp, temp_degf: f64) -> Result<f64, NoPrediction> {
        let local = self.time_zone.to_datetime(start);
        self.segments[month_of(local) - 1].predict(hour_of_week(local), temp_degf)
    }

    /// What was fitted for each month, January first.
    pub fn segments(&self) -> &[Segment; 12] {
        &self.segments
    }

    /// The time zone of months and hours of the week.
    pub fn time_zone(&self) -> &TimeZone {
        &self.time_zone
    }

    /// What the model was fitted with.
    pub fn settings(&self) -> &HourlySettings {
        &self.settings
    }
}

fn check(settings: &HourlySettings) -> Result<(), HourlyError> {
    let threshold = settings.occupancy_threshold;
    if !(0.0..=1.0).contains(&threshold) {
        return Err(HourlyError::OccupancyThreshold { threshold });
    }
    let (heating_degf, cooling_degf) = (settings.heating_balance_degf, settings.cooling_balance_degf);
    if !heating_degf.is_finite() || !cooling_degf.is_finite() {
        return Err(HourlyError::BalancePoints { heating_degf, cooling_degf });
    }
    let endpoints = &settings.bin_endpoints_degf;
    let finite = endpoints.iter().all(|endpoint| endpoint.is_finite());
    if !finite || !endpoints.is_sorted_by(|left, right| left < right) {
        return Err(HourlyError::BinEndpoints { endpoints_degf: endpoints.clone() });
    }
    Ok(())
}

/// The rows that have both numbers, with their local time.
fn hours(rows: &[HourlyRow], time_zone: &TimeZone) -> Result<Vec<Hour>, HourlyError> {
    const SECONDS_PER_HOUR: i64 = 3600;
    for (index, pair) in rows.windows(2).enumerate() {
        let (previous, start) = (pair[0].start, pair[1].start);
        if start.duration_since(previous).as_secs() < SECONDS_PER_HOUR {
            return Err(HourlyError::NotHourly { index: index + 1, start, previous });
        }
    }
    let hours: Vec<Hour> = rows
        .iter()
        .filter(|row| row.energy.is_finite() && row.temp_degf.is_finite())
        .map(|row| {
            let local = time_zone.to_datetime(row.start);
            Hour {
                month: month_of(local),
                hour_of_week: hour_of_week(local),
                energy: row.energy,
                temp_degf: row.temp_degf,
            }
        })
        .collect();
    if hours.is_empty() { Err(HourlyError::NoData { rows: rows.len() }) } else { Ok(hours) }
}

/// 1 to 12.
fn month_of(local: DateTime) -> usize {
    usize::from(local.month().unsigned_abs())
}

/// 0 to 167, Monday 0:00 to 1:00 first.
fn hour_of_week(local: DateTime) -> usize {
    let day = usize::from(local.weekday().to_monday_zero_offset().unsigned_abs());
    day * 24 + usize::from(local.hour().unsigned_abs())
}
