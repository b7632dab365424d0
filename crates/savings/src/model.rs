//! The best candidate, with all that predicting and bounding needs: fitted once, kept as JSON, evaluated anywhere.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::design::Design;
use crate::metrics::Metrics;
use crate::search::{Candidate, CandidateStatus, Coefficients, ModelType, Search};
use crate::settings::{FitSettings, Interval, Mode};
use crate::tangent::{N_COEFFICIENTS, Slopes};
use crate::uncertainty::Uncertainty;
use crate::warning::Warning;

/// Version of [`Model`] as JSON.
pub const MODEL_VERSION: u32 = 1;

/// Candidates this near to the best by the search's sums are solved again from the data.
const NEAR: f64 = 1e-9;

/// Candidates whose adjusted R² differs by no more than this fit equally well: what is left is rounding. Of those the first in
/// the order of the search is taken: fewest slopes, then heating before cooling, then the lowest balance points.
pub const TIE_TOLERANCE: f64 = 1e-12;

/// How a fit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FitStatus {
    /// There is a model.
    #[serde(rename = "SUCCESS")]
    Success,
    /// No row has both usage and weather.
    #[serde(rename = "NO DATA")]
    NoData,
    /// No candidate qualified.
    #[serde(rename = "NO MODEL")]
    NoModel,
}

/// A fitted model: usage per day = intercept + beta_hdd · HDD per day + beta_cdd · CDD per day.
///
/// Serialises to JSON that reads back to the same bits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// [`MODEL_VERSION`] when it was fitted.
    pub version: u32,
    /// Which arithmetic it follows.
    pub mode: Mode,
    /// Which periods it was fitted to.
    pub interval: Interval,
    /// Its loads.
    #[serde(rename = "type")]
    pub model_type: ModelType,
    /// The trace's unit per day.
    pub intercept: f64,
    /// The trace's unit per heating degree day (°F · d); nothing without heating.
    pub beta_hdd: Option<f64>,
    /// The trace's unit per cooling degree day (°F · d); nothing without cooling.
    pub beta_cdd: Option<f64>,
    /// In °F.
    pub heating_balance_point: Option<f64>,
    /// In °F.
    pub cooling_balance_point: Option<f64>,
    /// Of usage per day, weighted (CalTRACK 3.4.3.3.1); 0 by definition without slopes.
    pub r_squared_adj: f64,
    /// How well it is known; nothing if there are no more rows than coefficients and balance points.
    pub uncertainty: Option<Uncertainty>,
    /// Of the periods' totals.
    pub totals_metrics: Metrics,
    /// Of usage per day.
    pub avgs_metrics: Metrics,
}

impl Model {
    /// Intercept, heating slope, cooling slope; 0 for one that the model doesn't have.
    pub(crate) fn coefficients(&self) -> [f64; 3] {
        [self.intercept, self.beta_hdd.unwrap_or(0.0), self.beta_cdd.unwrap_or(0.0)]
    }

    /// The number of slopes.
    pub fn n_slopes(&self) -> usize {
        usize::from(self.beta_hdd.is_some()) + usize::from(self.beta_cdd.is_some())
    }

    /// `meter_value ~ cdd_68 + hdd_53`
    pub fn formula(&self) -> String {
        let cooling = self.cooling_balance_point.map(|point| format!("cdd_{point}"));
        let heating = self.heating_balance_point.map(|point| format!("hdd_{point}"));
        let terms: Vec<String> = cooling.into_iter().chain(heating).collect();
        format!("meter_value ~ {}", if terms.is_empty() { "1".to_owned() } else { terms.join(" + ") })
    }
}

/// How many candidates had which status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusCounts {
    /// May be chosen.
    pub qualified: u32,
    /// A coefficient is negative or its p-value too high.
    pub disqualified: u32,
    /// Too few degree days.
    pub not_attempted: u32,
    /// No one solution.
    pub error: u32,
}

/// How many candidates of each type had which status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CandidateCounts {
    /// A constant.
    pub intercept_only: StatusCounts,
    /// A constant and heating.
    pub hdd_only: StatusCounts,
    /// A constant and cooling.
    pub cdd_only: StatusCounts,
    /// All three.
    pub cdd_hdd: StatusCounts,
}

impl CandidateCounts {
    fn add(&mut self, candidate: &Candidate) {
        let counts = match candidate.model_type {
            ModelType::InterceptOnly => &mut self.intercept_only,
            ModelType::HddOnly => &mut self.hdd_only,
            ModelType::CddOnly => &mut self.cdd_only,
            ModelType::CddHdd => &mut self.cdd_hdd,
        };
        let count = match candidate.status {
            CandidateStatus::Qualified => &mut counts.qualified,
            CandidateStatus::Disqualified => &mut counts.disqualified,
            CandidateStatus::NotAttempted => &mut counts.not_attempted,
            CandidateStatus::Error => &mut counts.error,
        };
        *count += 1;
    }
}

/// A fit: its status, and the model if there is one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fit {
    /// How it ended.
    pub status: FitStatus,
    /// The best candidate.
    pub model: Option<Model>,
    /// What was tried.
    pub candidates: CandidateCounts,
    /// What to know of it.
    pub warnings: Vec<Warning>,
}

/// Tries all candidates and takes the qualified one with the highest adjusted R² (CalTRACK 3.4.3.3); of those within
/// [`TIE_TOLERANCE`] of it, the first.
pub fn fit(design: &Design, settings: &FitSettings) -> Fit {
    let mut fit = Fit {
        status: FitStatus::NoData,
        model: None,
        candidates: CandidateCounts::default(),
        warnings: Vec::new(),
    };
    let Some(search) = Search::new(design, settings) else { return fit };
    let mut best = f64::NEG_INFINITY;
    let mut near: Vec<Candidate> = Vec::new();
    search.visit(&mut |candidate| {
        fit.candidates.add(&candidate);
        if candidate.status == CandidateStatus::Qualified && candidate.r_squared_adj >= best - NEAR {
            best = best.max(candidate.r_squared_adj);
            near.push(candidate);
        }
    });
    near.retain(|candidate| candidate.r_squared_adj >= best - NEAR);
    let solved: Vec<_> = near.iter().map(|candidate| search.solve_exactly(candidate)).collect();
    let qualified = || solved.iter().filter(|(candidate, _)| candidate.status == CandidateStatus::Qualified);
    let best = qualified().map(|(candidate, _)| candidate.r_squared_adj).fold(f64::NEG_INFINITY, f64::max);
    let mut tied = qualified().filter(|(candidate, _)| candidate.r_squared_adj >= best - TIE_TOLERANCE);
    let Some((candidate, Some(solution))) = tied.next() else {
        fit.status = FitStatus::NoModel;
        return fit;
    };
    let n_tied = tied.count() + 1;
    if n_tied > 1 {
        fit.warnings.push(Warning::Tie { n_tied, tolerance: TIE_TOLERANCE });
    }
    let Some(coefficients) = candidate.coefficients else { return fit };
    let slopes = Slopes::new(
        candidate.heating_balance_point.map(|point| (coefficients.beta_hdd, f64::from(point))),
        candidate.cooling_balance_point.map(|point| (coefficients.beta_cdd, f64::from(point))),
    );
    let width = |points: RangeInclusive<i16>| f64::from(*points.end()) - f64::from(*points.start());
    let uncertainty = Uncertainty::new(
        design.features(),
        search.rows(),
        search.weights(),
        slopes,
        solution.weighted_sse,
        &spread_out(candidate, &solution.inverse_normal),
        [settings.heating_balance_points_degf(), settings.cooling_balance_points_degf()].map(width),
    );
    let (totals_metrics, avgs_metrics) = metrics(design, search.rows(), candidate, &coefficients);
    fit.status = FitStatus::Success;
    fit.model = Some(Model {
        version: MODEL_VERSION,
        mode: design.mode(),
        interval: design.interval(),
        model_type: candidate.model_type,
        intercept: coefficients.intercept,
        beta_hdd: candidate.heating_balance_point.map(|_| coefficients.beta_hdd),
        beta_cdd: candidate.cooling_balance_point.map(|_| coefficients.beta_cdd),
        heating_balance_point: candidate.heating_balance_point.map(f64::from),
        cooling_balance_point: candidate.cooling_balance_point.map(f64::from),
        r_squared_adj: candidate.r_squared_adj,
        uncertainty,
        totals_metrics,
        avgs_metrics,
    });
    fit
}

/// Of totals, and of usage per day.
fn metrics(
    design: &Design,
    rows: &[usize],
    candidate: &Candidate,
    coefficients: &Coefficients,
) -> (Metrics, Metrics) {
    let features = design.features();
    let predicted = |row: usize| {
        let mut usage = coefficients.intercept;
        if let Some(point) = candidate.heating_balance_point {
            usage += coefficients.beta_hdd * features.hdd_per_day(row, f64::from(point));
        }
        if let Some(point) = candidate.cooling_balance_point {
            usage += coefficients.beta_cdd * features.cdd_per_day(row, f64::from(point));
        }
        usage
    };
    let predicted: Vec<f64> = rows.iter().map(|row| predicted(*row)).collect();
    let observed: Vec<f64> = rows.iter().map(|row| design.usage_per_day()[*row]).collect();
    let total = |per_day: &[f64]| -> Vec<f64> {
        rows.iter().zip(per_day).map(|(row, usage)| usage * features.periods()[*row].days).collect()
    };
    let n_slopes = usize::from(candidate.heating_balance_point.is_some())
        + usize::from(candidate.cooling_balance_point.is_some());
    (
        Metrics::new(&total(&predicted), &total(&observed), n_slopes),
        Metrics::new(&predicted, &observed, n_slopes),
    )
}

/// The matrix of the model's coefficients, in the places of intercept, HDD and CDD.
fn spread_out(candidate: &Candidate, inverse_normal: &[Vec<f64>]) -> [[f64; N_COEFFICIENTS]; N_COEFFICIENTS] {
    let places: &[usize] = match candidate.model_type {
        ModelType::InterceptOnly => &[0],
        ModelType::HddOnly => &[0, 1],
        ModelType::CddOnly => &[0, 2],
        ModelType::CddHdd => &[0, 1, 2],
    };
    let mut matrix = [[0.0; N_COEFFICIENTS]; N_COEFFICIENTS];
    for (row, place) in places.iter().enumerate() {
        for (column, other) in places.iter().enumerate() {
            matrix[*place][*other] = inverse_normal[row][column];
        }
    }
    matrix
}
