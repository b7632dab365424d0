//! How far a sum may be off: fractional savings uncertainty and ordinary least squares as eemeter computes them (F.6), and the
//! bound of a sum of predictions.

use serde::{Deserialize, Serialize};

use crate::metrics::Metrics;
use crate::model::Model;
use crate::predict::DesignRow;
use crate::settings::Interval;
use crate::students_t;

/// The sum of a model's predictions over some periods, and the sum of the rows of the design they are made of.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SumOfPredictions {
    /// In the trace's unit.
    pub value: f64,
    /// z: days, heating degree days and cooling degree days.
    pub design_sum: [f64; 3],
    /// Predicted periods.
    pub n_periods: usize,
}

impl SumOfPredictions {
    /// m: predicted days.
    pub fn days(&self) -> f64 {
        self.design_sum[0]
    }

    pub(crate) fn add(&mut self, model: &Model, row: &DesignRow) {
        let coefficients = coefficients(model);
        self.value += row.iter().zip(coefficients).map(|(x, coefficient)| x * coefficient).sum::<f64>();
        for (sum, x) in self.design_sum.iter_mut().zip(row) {
            *sum += x;
        }
        self.n_periods += 1;
    }

    /// Half the width of the interval, in the trace's unit, that holds the truth with such a confidence (0 to 1, exclusive):
    ///
    /// t·√(s²·zᵀ(XᵀWX)⁻¹z + s²·m·n/n′)
    ///
    /// with z the summed rows of the design, s² the residual variance of usage per day, m the predicted days, n the rows of
    /// the fit and n′ = n(1 − ρ)/(1 + ρ) by the autocorrelation ρ of the residuals of the periods' totals. The first term is how
    /// well the coefficients are known, together for all periods: their errors are the same ones in each. The second is what
    /// is left over each day; of a bill's energy the variance grows with its days, as its weight says. t has the fit's
    /// degrees of freedom, n − coefficients.
    ///
    /// `None` of nothing, or if the fit left no degree of freedom, or its residuals no n′.
    pub fn bound(&self, model: &Model, confidence: f64) -> Option<f64> {
        let [of_coefficients, of_noise] = self.variances(model)?;
        let t = students_t::quantile((1.0 + confidence) / 2.0, model.residual_degrees_of_freedom)?;
        Some(t * (of_coefficients + of_noise).max(0.0).sqrt()).filter(|bound| bound.is_finite())
    }

    /// The two terms under the root.
    fn variances(&self, model: &Model) -> Option<[f64; 2]> {
        let residual_variance = model.residual_variance.filter(|_| self.n_periods > 0)?;
        if residual_variance == 0.0 {
            return Some([0.0, 0.0]);
        }
        let n = model.totals_metrics.observed_length;
        let n_prime = model.totals_metrics.n_prime.filter(|n_prime| *n_prime > 0.0)?;
        let of_coefficients = residual_variance * quadratic(&model.inverse_normal, &self.design_sum);
        Some([of_coefficients, residual_variance * self.days() * n / n_prime])
    }
}

fn coefficients(model: &Model) -> [f64; 3] {
    [model.intercept, model.beta_hdd.unwrap_or(0.0), model.beta_cdd.unwrap_or(0.0)]
}

/// zᵀAz
fn quadratic(matrix: &[[f64; 3]; 3], z: &[f64; 3]) -> f64 {
    let row = |row: &[f64; 3]| row.iter().zip(z).map(|(a, z)| a * z).sum::<f64>();
    matrix.iter().map(row).zip(z).map(|(az, z)| az * z).sum()
}

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
