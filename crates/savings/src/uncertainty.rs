//! How far a sum may be off: fractional savings uncertainty and ordinary least squares as eemeter computes them (F.6), and the
//! bound of a sum of predictions.
//!
//! # The bound of strict mode
//!
//! A model of usage per day, μ + β_h·HDD(T_h) + β_c·CDD(T_c), has p parameters: its coefficients and the balance points that
//! the search chose. J are the derivatives of the rows by them, W the weights, r the residuals:
//!
//! | | formula | source |
//! |---|---|---|
//! | residual variance | s² = rᵀWr / (n − p) | Seber and Wild, Nonlinear Regression (1989), 2.1 |
//! | covariance of the parameters | C = s²·(JᵀWJ + Λ)⁻¹ | the same, with Λ: s²/τ² for each balance point |
//! | what is known of a balance point beforehand | τ = (highest − lowest of the grid)/√12 | a uniform distribution over the grid of CalTRACK 3.2.1 |
//! | rows that tell as much | n″ = min(n, n′), n′ = n(1 − ρ)/(1 + ρ) | n′ as in ASHRAE Guideline 14 and F.5 |
//! | bound | t₍ₙ₋ₚ₎·√((n/n″)·(zᵀCz + s²·m)) | z: the sum of the predicted rows of J, m: predicted days |
//! | bias | Σc − zᵀ(JᵀWJ + Λ)⁻¹JᵀWc, c = ½·tr(C·H) of each row | Box, J. R. Stat. Soc. B 33 (1971) 171 |
//!
//! The first term under the root is how well the parameters are known, together for all periods: their errors are the same
//! ones in each. The second is what is left over each day; of a bill's energy the variance grows with its days, as its weight
//! says. Residuals that resemble their neighbours spoil both alike. A negative autocorrelation of a dozen residuals is an
//! accident of the fit, so n″ is never above n.
//!
//! The bias is what the choice of balance points makes the mean of many such meters be off by, of second order; it is at most
//! one standard error of the parameters' part, beyond which its series means nothing. It is reported, not subtracted: the
//! value is the method's. For one meter it is small against the bound; in a portfolio it adds up while bounds average out.

use serde::{Deserialize, Serialize};

use crate::features::Features;
use crate::metrics::Metrics;
use crate::model::Model;
use crate::predict::PredictedRow;
use crate::settings::Interval;
use crate::students_t;
use crate::tangent::{N_COEFFICIENTS, N_PARAMETERS, Parameters, Slopes, dot};

/// How well a model is known: all that bounds of its predictions need.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Uncertainty {
    /// s², of usage per day.
    pub residual_variance: f64,
    /// n − p: rows minus coefficients and balance points.
    pub degrees_of_freedom: f64,
    /// C of intercept, heating slope, cooling slope, heating balance point and cooling balance point; zeros where the model has
    /// none.
    pub parameter_covariance: [[f64; N_PARAMETERS]; N_PARAMETERS],
    /// (JᵀWJ + Λ)⁻¹JᵀWc of the same: how far the parameters of many such meters lie from the true ones, in the mean.
    pub parameter_bias: [f64; N_PARAMETERS],
}

impl Uncertainty {
    /// Of a fit to such rows. `None` if they leave no degree of freedom.
    ///
    /// `linear_inverse` is (XᵀWX)⁻¹ of the coefficients alone, `grid_degf` how far the highest balance point that was tried
    /// lies above the lowest, for heating and for cooling.
    pub(crate) fn new(
        features: &Features,
        rows: &[usize],
        weights: &[f64],
        slopes: Slopes,
        weighted_sse: f64,
        linear_inverse: &[[f64; N_COEFFICIENTS]; N_COEFFICIENTS],
        grid_degf: [f64; 2],
    ) -> Option<Uncertainty> {
        let has_point = slopes.has_point();
        let is_searched = [0, 1].map(|side| has_point[side] && grid_degf[side] > 0.0);
        let n_coefficients = 1 + has_point.into_iter().filter(|has_point| *has_point).count();
        let n_points = is_searched.into_iter().filter(|is_searched| *is_searched).count();
        let n_left = rows.len().checked_sub(n_coefficients + n_points).filter(|n_left| *n_left > 0)?;
        let degrees_of_freedom = n_left as f64;
        let residual_variance = weighted_sse / degrees_of_freedom;
        let gradients: Vec<Parameters> = rows.iter().map(|row| slopes.gradient(features, *row)).collect();
        // A uniform distribution of this width has a twelfth of its square for variance.
        let least_information = grid_degf.map(|width| residual_variance * 12.0 / (width * width));
        let inverse = inverse_normal(&gradients, weights, linear_inverse, is_searched, least_information);
        let parameter_covariance = inverse.map(|row| row.map(|element| residual_variance * element));
        let mut curved = [0.0; N_PARAMETERS];
        for ((row, gradient), weight) in rows.iter().zip(&gradients).zip(weights) {
            let curvature = weight * slopes.curvature(&parameter_covariance, features, *row);
            curved.iter_mut().zip(gradient).for_each(|(sum, x)| *sum += curvature * x);
        }
        let parameter_bias = inverse.map(|row| dot(&row, &curved));
        Some(Uncertainty { residual_variance, degrees_of_freedom, parameter_covariance, parameter_bias })
    }

    /// Half the width of the interval of one parameter, of [the five](Uncertainty::parameter_covariance).
    pub(crate) fn bound_of_parameter(&self, index: usize, confidence: f64) -> Option<f64> {
        let t = students_t::quantile((1.0 + confidence) / 2.0, self.degrees_of_freedom)?;
        Some(t * self.parameter_covariance[index][index].max(0.0).sqrt()).filter(|bound| bound.is_finite())
    }
}

/// (JᵀWJ + Λ)⁻¹, from that of the coefficients alone and what of the balance points' columns these leave over: the same
/// elimination as of two blocks of equations, but no product of nearly equal numbers is subtracted.
fn inverse_normal(
    gradients: &[Parameters],
    weights: &[f64],
    linear_inverse: &[[f64; N_COEFFICIENTS]; N_COEFFICIENTS],
    is_searched: [bool; 2],
    least_information: [f64; 2],
) -> [Parameters; N_PARAMETERS] {
    let mut inverse = [[0.0; N_PARAMETERS]; N_PARAMETERS];
    for (row, linear) in inverse.iter_mut().zip(linear_inverse) {
        row[..N_COEFFICIENTS].copy_from_slice(linear);
    }
    let sides = (0..2).filter(|side| is_searched[*side]);
    let (points, least_information): (Vec<usize>, Vec<f64>) =
        sides.map(|side| (N_COEFFICIENTS + side, least_information[side])).unzip();
    // How the coefficients follow each balance point, and what is left over of its column.
    let followed: Vec<[f64; N_COEFFICIENTS]> = points
        .iter()
        .map(|point| {
            let mut products = [0.0; N_COEFFICIENTS];
            for (gradient, weight) in gradients.iter().zip(weights) {
                for (sum, x) in products.iter_mut().zip(gradient) {
                    *sum += weight * x * gradient[*point];
                }
            }
            linear_inverse.map(|row| dot(&row, &products))
        })
        .collect();
    let left = |index: usize, gradient: &Parameters| {
        gradient[points[index]] - dot(&followed[index], &gradient[..N_COEFFICIENTS])
    };
    let information = |first: usize, second: usize| -> f64 {
        gradients
            .iter()
            .zip(weights)
            .map(|(gradient, weight)| weight * left(first, gradient) * left(second, gradient))
            .sum()
    };
    let of_points: [[f64; 2]; 2] = match points.len() {
        0 => return inverse,
        1 => [[(information(0, 0) + least_information[0]).recip(), 0.0], [0.0, 0.0]],
        _ => {
            let (first, second) =
                (information(0, 0) + least_information[0], information(1, 1) + least_information[1]);
            let both = information(0, 1);
            let determinant = first * second - both * both;
            [[second / determinant, -both / determinant], [-both / determinant, first / determinant]]
        }
    };
    if !of_points.iter().flatten().all(|element| element.is_finite()) {
        // Residuals of zero: nothing is uncertain.
        return inverse;
    }
    for (first, point) in points.iter().enumerate() {
        for (second, other) in points.iter().enumerate() {
            let element = of_points[first][second];
            inverse[*point][*other] = element;
            for row in 0..N_COEFFICIENTS {
                inverse[row][*other] -= followed[first][row] * element;
                inverse[*other][row] = inverse[row][*other];
                for column in 0..N_COEFFICIENTS {
                    inverse[row][column] += followed[first][row] * element * followed[second][column];
                }
            }
        }
    }
    inverse
}

/// The sum of a model's predictions over some periods, and the sums that its bound and its bias are made of.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SumOfPredictions {
    /// In the trace's unit.
    pub value: f64,
    /// z: days, heating degree days, cooling degree days, and how the value changes with each balance point, in °F.
    pub gradient: [f64; N_PARAMETERS],
    /// Σc, in the trace's unit.
    pub curvature: f64,
    /// Predicted periods.
    pub n_periods: usize,
}

impl SumOfPredictions {
    /// m: predicted days.
    pub fn days(&self) -> f64 {
        self.gradient[0]
    }

    pub(crate) fn add(&mut self, model: &Model, row: &PredictedRow) {
        self.value += dot(&row.gradient, &model.coefficients());
        for (sum, x) in self.gradient.iter_mut().zip(row.gradient) {
            *sum += x;
        }
        self.curvature += row.curvature;
        self.n_periods += 1;
    }

    /// Half the width of the interval, in the trace's unit, that holds the truth with such a confidence (0 to 1, exclusive):
    /// t·√((n/n″)·(zᵀCz + s²·m)), see [the module](self).
    ///
    /// 0 where the model fits but for rounding. `None` of nothing, or if the fit left no degree of freedom, or its residuals no n′.
    pub fn bound(&self, model: &Model, confidence: f64) -> Option<f64> {
        let uncertainty = model.uncertainty.as_ref().filter(|_| self.n_periods > 0)?;
        let mean = self.value / self.days();
        if uncertainty.residual_variance.sqrt() <= ROUNDING * mean.abs() {
            return Some(0.0);
        }
        let n = model.totals_metrics.observed_length;
        let n_prime = model.totals_metrics.n_prime.filter(|n_prime| *n_prime > 0.0)?;
        let variance = self.variance_of_parameters(uncertainty) + uncertainty.residual_variance * self.days();
        let t = students_t::quantile((1.0 + confidence) / 2.0, uncertainty.degrees_of_freedom)?;
        Some(t * (n / n_prime.min(n) * variance).sqrt()).filter(|bound| bound.is_finite())
    }

    /// How far the choice of balance points makes the sum of many such meters be off, in the mean and the trace's unit, see
    /// [the module](self). `None` where there is no bound for want of degrees of freedom.
    pub fn bias(&self, model: &Model) -> Option<f64> {
        let uncertainty = model.uncertainty.as_ref().filter(|_| self.n_periods > 0)?;
        let limit = self.variance_of_parameters(uncertainty).sqrt();
        let bias = self.curvature - dot(&self.gradient, &uncertainty.parameter_bias);
        (bias.is_finite() && limit.is_finite()).then(|| bias.clamp(-limit, limit))
    }

    /// zᵀCz
    fn variance_of_parameters(&self, uncertainty: &Uncertainty) -> f64 {
        dot(&uncertainty.parameter_covariance.map(|row| dot(&row, &self.gradient)), &self.gradient).max(0.0)
    }
}

/// Residuals of this part of the mean are what sums of doubles leave over of a meter that always shows the same. They have no
/// autocorrelation that would mean anything, and no width either.
const ROUNDING: f64 = 64.0 * f64::EPSILON;

/// Half widths of the interval around savings, in the trace's unit, as eemeter 3.2 computes them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ErrorBands {
    /// Fractional savings uncertainty (ASHRAE Guideline 14, with the polynomials of Sun and Baltazar 2013).
    pub fsu: f64,
    /// Model error and noise in quadrature.
    pub ols: f64,
    /// How well the baseline's mean is known.
    pub ols_model: f64,
    /// What is left over each period.
    pub ols_noise: f64,
}

/// What error bands look at of the reporting side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReportingSide {
    /// m: predicted days, or for bills the months between the first bound and the last.
    pub n_periods: f64,
    /// Mean of the observed periods, in the trace's unit.
    pub observed_mean: f64,
}

/// Bands of metered savings of a model with such metrics of totals. `None` where eemeter has none: of nothing, of usage that
/// is zero or constant, and of residuals without an autocorrelation or with one of ±1.
pub fn error_bands(
    baseline: &Metrics,
    interval: Interval,
    reporting: &ReportingSide,
    confidence: f64,
) -> Option<ErrorBands> {
    let fsu = fsu_band(baseline, interval, reporting.n_periods, confidence)?;
    let Basis { n, n_prime, t, mean, rmse_adj } = Basis::of(baseline, confidence)?;
    let m = reporting.n_periods;
    let variance = baseline.observed_variance.filter(|variance| *variance != 0.0)?;
    let distance = mean - reporting.observed_mean;
    let ols_model = t * rmse_adj * (m / n.sqrt()) * (1.0 + distance * distance / variance).sqrt();
    let ols_noise = t * rmse_adj * (m * n / n_prime).sqrt();
    Some(ErrorBands { fsu, ols: ols_model.hypot(ols_noise), ols_model, ols_noise })
        .filter(|bands| bands.ols.is_finite())
}

/// Fractional savings uncertainty of a sum of m predictions, as an absolute width:
///
/// n·x̄ · t·(a·M² + b·M + c) · (rmse_adj/x̄) · √((n/n′)(1 + 2/n′)/m)
///
/// with M the months. `None` as for [`error_bands`].
pub fn fsu_band(metrics: &Metrics, interval: Interval, n_periods: f64, confidence: f64) -> Option<f64> {
    let Basis { n, n_prime, t, mean, rmse_adj } = Basis::of(metrics, confidence)?;
    if n_periods == 0.0 || metrics.observed_variance.is_none_or(|variance| variance == 0.0) {
        return None;
    }
    let (a, b, c, months) = if interval.is_billing() {
        (-0.00022, 0.03306, 0.94054, n_periods)
    } else {
        (-0.00024, 0.03535, 1.00286, n_periods / 30.0)
    };
    let polynomial = a * months * months + b * months + c;
    let correction = (n / n_prime * (1.0 + 2.0 / n_prime) / n_periods).sqrt();
    Some(mean * n * t * polynomial * (rmse_adj / mean) * correction).filter(|band| band.is_finite())
}

struct Basis {
    n: f64,
    n_prime: f64,
    t: f64,
    mean: f64,
    rmse_adj: f64,
}

impl Basis {
    fn of(metrics: &Metrics, confidence: f64) -> Option<Basis> {
        let n = metrics.observed_length;
        let n_prime = metrics.n_prime.filter(|n_prime| *n_prime != 0.0)?;
        let t = students_t::quantile_of_cdflib(1.0 - (1.0 - confidence) / 2.0, n - metrics.num_parameters)?;
        let mean = metrics.observed_mean.filter(|mean| *mean != 0.0)?;
        Some(Basis { n, n_prime, t, mean, rmse_adj: metrics.rmse_adj? })
    }
}
