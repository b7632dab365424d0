//! What is fitted for a month, from it and its neighbours.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::grouped_least_squares::{Row, Solution, solve};
use super::temperature_bins::{kept_endpoints, push_features};
use super::{HOURS_PER_WEEK, Hour, HourlyError, HourlySettings, NoPrediction, occupancy};

/// Names of the segments, that around January first; as eemeter names them.
const NAMES: [&str; 12] = [
    "dec-jan-feb-weighted",
    "jan-feb-mar-weighted",
    "feb-mar-apr-weighted",
    "mar-apr-may-weighted",
    "apr-may-jun-weighted",
    "may-jun-jul-weighted",
    "jun-jul-aug-weighted",
    "jul-aug-sep-weighted",
    "aug-sep-oct-weighted",
    "sep-oct-nov-weighted",
    "oct-nov-dec-weighted",
    "nov-dec-jan-weighted",
];

/// One of [`NAMES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
struct Name(&'static str);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Name, D::Error> {
        let found = String::deserialize(deserializer)?;
        let known = NAMES.into_iter().find(|name| *name == found);
        known.map(Name).ok_or_else(|| D::Error::custom(format_args!("there is no segment {found}")))
    }
}

/// What an hour of month `other` counts in the segment around `month`, both 1 to 12 (CalTRACK 3.7.5): all of it in the month
/// itself, half of it next to it.
pub(super) fn weight_of_month(month: usize, other: usize) -> f64 {
    match (12 + other - month) % 12 {
        0 => 1.0,
        1 | 11 => 0.5,
        _ => 0.0,
    }
}

/// The model of a month: energy = coefficient of the hour of the week + Σ slope · temperature in the bin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Segment {
    name: Name,
    /// Hours with data, those of the neighbours included.
    hours: usize,
    /// For each hour of the week.
    #[serde(deserialize_with = "whole_week")]
    occupied: Vec<bool>,
    /// Coefficients of the hours of the week, in energy; none where the segment has no data.
    #[serde(deserialize_with = "whole_week")]
    hour_of_week: Vec<Option<f64>>,
    occupied_response: TemperatureResponse,
    unoccupied_response: TemperatureResponse,
    warnings: Vec<SegmentWarning>,
}

/// How energy depends on the temperature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "UncheckedResponse")]
pub struct TemperatureResponse {
    /// Where the bins end, °F, ascending; the lowest bin has no lower end and the highest no upper one.
    pub bin_endpoints_degf: Vec<f64>,
    /// Energy per °F in each bin, one more than endpoints.
    pub slopes: Vec<f64>,
}

impl TemperatureResponse {
    /// One bin for all temperatures, where they don't matter.
    fn flat() -> TemperatureResponse {
        TemperatureResponse { bin_endpoints_degf: Vec::new(), slopes: vec![0.0] }
    }

    /// The part of the energy that goes with the temperature.
    fn energy(&self, temp_degf: f64) -> f64 {
        let mut features = Vec::with_capacity(self.slopes.len());
        push_features(temp_degf, &self.bin_endpoints_degf, &mut features);
        features.iter().zip(&self.slopes).map(|(feature, slope)| feature * slope).sum()
    }
}

/// The same as it is read.
#[derive(Deserialize)]
struct UncheckedResponse {
    bin_endpoints_degf: Vec<f64>,
    slopes: Vec<f64>,
}

impl TryFrom<UncheckedResponse> for TemperatureResponse {
    type Error = String;

    fn try_from(unchecked: UncheckedResponse) -> Result<TemperatureResponse, String> {
        let UncheckedResponse { bin_endpoints_degf, slopes } = unchecked;
        if slopes.len() == bin_endpoints_degf.len() + 1 {
            Ok(TemperatureResponse { bin_endpoints_degf, slopes })
        } else {
            Err(format!(
                "{} endpoints of bins need one slope more, not {}",
                bin_endpoints_degf.len(),
                slopes.len()
            ))
        }
    }
}

/// What to know of a segment before trusting it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "code", content = "data", rename_all = "snake_case")]
pub enum SegmentWarning {
    /// Not an hour of the three months has data.
    NoData,
    /// These hours of the week have no data.
    UnobservedHoursOfWeek {
        /// 0 to 167, Monday 0:00 to 1:00 first.
        hours_of_week: Vec<usize>,
    },
    /// The data don't tell some slopes from each other or from the hours of the week. Those of least norm are chosen; what
    /// they predict outside the temperatures of the data means little.
    RankDeficient {
        /// Slopes, of occupied and unoccupied hours together.
        slopes: usize,
        /// How many of their directions are determined.
        rank: usize,
    },
}

impl Segment {
    /// Fits the segment around a month to hours with their weights, all of them positive.
    pub(super) fn fit(
        month: usize,
        hours: &[(Hour, f64)],
        settings: &HourlySettings,
    ) -> Result<Segment, HourlyError> {
        let name = Name(NAMES[month - 1]);
        if hours.is_empty() {
            return Ok(Segment {
                name,
                hours: 0,
                occupied: vec![true; HOURS_PER_WEEK],
                hour_of_week: vec![None; HOURS_PER_WEEK],
                occupied_response: TemperatureResponse::flat(),
                unoccupied_response: TemperatureResponse::flat(),
                warnings: vec![SegmentWarning::NoData],
            });
        }
        let unsolvable = || HourlyError::Unsolvable { segment: name.0 };
        let occupied = occupancy::estimate(hours, settings).ok_or_else(unsolvable)?;
        let occupied_endpoints = endpoints(hours, &occupied, true, settings);
        let unoccupied_endpoints = endpoints(hours, &occupied, false, settings);
        let solution =
            regress(hours, &occupied, &occupied_endpoints, &unoccupied_endpoints).ok_or_else(unsolvable)?;

        let warnings = warnings(&solution);
        let mut slopes = solution.slopes;
        let unoccupied_slopes = slopes.split_off(occupied_endpoints.len() + 1);
        Ok(Segment {
            name,
            hours: hours.len(),
            occupied,
            hour_of_week: solution.intercepts,
            occupied_response: TemperatureResponse { bin_endpoints_degf: occupied_endpoints, slopes },
            unoccupied_response: TemperatureResponse {
                bin_endpoints_degf: unoccupied_endpoints,
                slopes: unoccupied_slopes,
            },
            warnings,
        })
    }

    /// The energy of an hour of this month.
    pub(super) fn predict(&self, hour_of_week: usize, temp_degf: f64) -> Result<f64, NoPrediction> {
        if !temp_degf.is_finite() {
            return Err(NoPrediction::TemperatureMissing);
        }
        if self.hours == 0 {
            return Err(NoPrediction::SegmentWithoutData { segment: self.name.0 });
        }
        let coefficient = self
            .hour_of_week_coefficient(hour_of_week)
            .ok_or(NoPrediction::HourOfWeekUnobserved { segment: self.name.0, hour_of_week })?;
        let response =
            if self.is_occupied(hour_of_week) { &self.occupied_response } else { &self.unoccupied_response };
        Ok(coefficient + response.energy(temp_degf))
    }

    /// The name, as eemeter has it: `dec-jan-feb-weighted` is the segment that predicts January.
    pub fn name(&self) -> &'static str {
        self.name.0
    }

    /// How many hours it was fitted to, those of the neighbouring months included.
    pub fn hours(&self) -> usize {
        self.hours
    }

    /// Whether an hour of the week, 0 to 167, is occupied.
    pub fn is_occupied(&self, hour_of_week: usize) -> bool {
        self.occupied.get(hour_of_week).copied().unwrap_or(true)
    }

    /// The coefficient of an hour of the week, 0 to 167, in energy; none without data for it.
    pub fn hour_of_week_coefficient(&self, hour_of_week: usize) -> Option<f64> {
        self.hour_of_week.get(hour_of_week).copied().flatten()
    }

    /// How energy depends on the temperature in occupied hours.
    pub fn occupied_response(&self) -> &TemperatureResponse {
        &self.occupied_response
    }

    /// How energy depends on the temperature in unoccupied hours.
    pub fn unoccupied_response(&self) -> &TemperatureResponse {
        &self.unoccupied_response
    }

    /// What to know before trusting the segment.
    pub fn warnings(&self) -> &[SegmentWarning] {
        &self.warnings
    }
}

/// The twelve segments of a stored model, that around January first.
pub(super) fn all_months<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[Segment; 12], D::Error> {
    let segments = <[Segment; 12]>::deserialize(deserializer)?;
    match segments.iter().zip(NAMES).find(|(segment, name)| segment.name.0 != *name) {
        None => Ok(segments),
        Some((segment, name)) => {
            Err(D::Error::custom(format_args!("segment {} stands where {name} must", segment.name.0)))
        }
    }
}

fn whole_week<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    let hours = Vec::deserialize(deserializer)?;
    if hours.len() == HOURS_PER_WEEK {
        Ok(hours)
    } else {
        Err(D::Error::custom(format_args!("a week has {HOURS_PER_WEEK} hours, not {}", hours.len())))
    }
}

/// The bins of the occupied or of the unoccupied hours.
fn endpoints(hours: &[(Hour, f64)], occupied: &[bool], wanted: bool, settings: &HourlySettings) -> Vec<f64> {
    let temps: Vec<f64> = hours
        .iter()
        .filter(|(hour, _)| occupied[hour.hour_of_week] == wanted)
        .map(|(hour, _)| hour.temp_degf)
        .collect();
    kept_endpoints(&temps, &settings.bin_endpoints_degf, settings.min_hours_per_bin)
}

/// `energy ~ hour of the week + occupied bins + unoccupied bins` (CalTRACK 3.10, 3.11). The bins of the other kind of hour
/// are zero.
fn regress(
    hours: &[(Hour, f64)],
    occupied: &[bool],
    occupied_endpoints: &[f64],
    unoccupied_endpoints: &[f64],
) -> Option<Solution> {
    let occupied_bins = occupied_endpoints.len() + 1;
    let bins = occupied_bins + unoccupied_endpoints.len() + 1;
    let mut features = Vec::with_capacity(hours.len() * bins);
    for (hour, _) in hours {
        let end = features.len() + bins;
        if occupied[hour.hour_of_week] {
            push_features(hour.temp_degf, occupied_endpoints, &mut features);
        } else {
            features.resize(features.len() + occupied_bins, 0.0);
            push_features(hour.temp_degf, unoccupied_endpoints, &mut features);
        }
        features.resize(end, 0.0);
    }
    let rows: Vec<Row<'_>> = hours
        .iter()
        .zip(features.chunks_exact(bins))
        .map(|(&(hour, weight), features)| Row { group: hour.hour_of_week, weight, y: hour.energy, features })
        .collect();
    solve(&rows, HOURS_PER_WEEK, bins)
}

fn warnings(solution: &Solution) -> Vec<SegmentWarning> {
    let mut warnings = Vec::new();
    let unobserved = |hour: &usize| solution.intercepts[*hour].is_none();
    let hours_of_week: Vec<usize> = (0..HOURS_PER_WEEK).filter(unobserved).collect();
    if !hours_of_week.is_empty() {
        warnings.push(SegmentWarning::UnobservedHoursOfWeek { hours_of_week });
    }
    let (slopes, rank) = (solution.slopes.len(), solution.rank);
    if rank < slopes {
        warnings.push(SegmentWarning::RankDeficient { slopes, rank });
    }
    warnings
}
