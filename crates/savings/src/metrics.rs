//! How well predictions fit observations, as eemeter states it (F.5).

use serde::{Deserialize, Serialize};

use crate::least_squares::is_rounding;
use crate::students_t;

/// The confidence at which the metrics' `t_stat` and `fsu_base_term` are stated.
const CONFIDENCE_LEVEL: f64 = 0.9;

/// Metrics of predictions and observations of the same n rows, by a model with p slopes; r is predicted − observed. Means
/// are means of absolute values. What cannot be computed is null.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// n.
    pub observed_length: f64,
    /// n.
    pub predicted_length: f64,
    /// n.
    pub merged_length: f64,
    /// p: the intercept is not counted.
    pub num_parameters: f64,
    /// Mean of |observed|.
    pub observed_mean: Option<f64>,
    /// Mean of |predicted|.
    pub predicted_mean: Option<f64>,
    /// Mean squared distance from the mean.
    pub observed_variance: Option<f64>,
    /// The same of predictions.
    pub predicted_variance: Option<f64>,
    /// Corrected for bias.
    pub observed_skew: Option<f64>,
    /// Corrected for bias.
    pub predicted_skew: Option<f64>,
    /// Excess, corrected for bias.
    pub observed_kurtosis: Option<f64>,
    /// Excess, corrected for bias.
    pub predicted_kurtosis: Option<f64>,
    /// Sample standard deviation over the mean.
    pub observed_cvstd: Option<f64>,
    /// The same of predictions.
    pub predicted_cvstd: Option<f64>,
    /// Squared correlation of predicted and observed.
    pub r_squared: Option<f64>,
    /// 1 − (1 − R²)(n − 1)/(n − p − 1).
    pub r_squared_adj: Option<f64>,
    /// √(Σr²/n), in the unit of the observations.
    pub rmse: Option<f64>,
    /// √(Σr²/(n − p)).
    pub rmse_adj: Option<f64>,
    /// rmse / observed mean.
    pub cvrmse: Option<f64>,
    /// rmse_adj / observed mean.
    pub cvrmse_adj: Option<f64>,
    /// Mean of |r / observed|.
    pub mape: Option<f64>,
    /// The same of observations above 0.
    pub mape_no_zeros: Option<f64>,
    /// Observations of 0 or less.
    pub num_meter_zeros: f64,
    /// Σ|r| / Σ observed.
    pub nmae: Option<f64>,
    /// Σr / Σ observed.
    pub nmbe: Option<f64>,
    /// ρ: correlation of each residual with the one before.
    pub autocorr_resid: Option<f64>,
    /// 0.9
    pub confidence_level: f64,
    /// n′ = n(1 − ρ)/(1 + ρ): how many independent rows tell as much.
    pub n_prime: Option<f64>,
    /// (1 + confidence level) / 2.
    pub single_tailed_confidence_level: f64,
    /// n′ − p, rounded.
    pub degrees_of_freedom: Option<f64>,
    /// Quantile of Student's t, good to eight digits as eemeter's.
    pub t_stat: Option<f64>,
    /// √((n − p)/(n′ − p)).
    pub cvrmse_auto_corr_correction: Option<f64>,
    /// √(1 + 2/n′).
    pub approx_factor_auto_corr_correction: Option<f64>,
    /// t · cvrmse_adj · both corrections.
    pub fsu_base_term: Option<f64>,
}

impl Metrics {
    /// The metrics of as many predictions as observations, by a model with so many slopes.
    pub fn new(predicted: &[f64], observed: &[f64], n_slopes: usize) -> Metrics {
        let n = observed.len() as f64;
        let p = n_slopes as f64;
        let residuals: Vec<f64> =
            predicted.iter().zip(observed).map(|(predicted, observed)| predicted - observed).collect();
        let sum_of_squares: f64 = residuals.iter().map(|residual| residual * residual).sum();
        let observed_sum: f64 = observed.iter().sum();
        let observed_mean = finite(mean(observed.iter().map(|value| value.abs())));
        let rmse = finite((sum_of_squares / n).sqrt());
        let rmse_adj = finite((sum_of_squares / (n - p)).sqrt());
        let over_mean = |value: Option<f64>| finite(value? / observed_mean?);
        let cvrmse_adj = over_mean(rmse_adj);
        let r_squared = correlation(predicted, observed).map(|correlation| correlation * correlation);
        let ratios = residuals.iter().zip(observed).map(|(residual, observed)| (residual / observed).abs());
        let of_positive = residuals.iter().zip(observed).filter(|(_, observed)| **observed > 0.0);
        let autocorr_resid = residuals
            .len()
            .checked_sub(1)
            .and_then(|lagged| correlation(&residuals[1..], &residuals[..lagged]));
        let n_prime = autocorr_resid.and_then(|rho| finite(n * (1.0 - rho) / (1.0 + rho)));
        let degrees_of_freedom =
            n_prime.map(|n_prime| (n_prime - p).round_ties_even()).filter(|dof| *dof >= 1.0);
        let single_tailed_confidence_level = 1.0 - (1.0 - CONFIDENCE_LEVEL) / 2.0;
        let t_stat = degrees_of_freedom
            .and_then(|dof| students_t::quantile_of_cdflib(single_tailed_confidence_level, dof));
        let cvrmse_auto_corr_correction =
            n_prime.and_then(|n_prime| finite(((n - p) / (n_prime - p)).sqrt()));
        let approx_factor_auto_corr_correction =
            n_prime.and_then(|n_prime| finite((1.0 + 2.0 / n_prime).sqrt()));
        let fsu_base_term = t_stat
            .zip(cvrmse_adj)
            .zip(cvrmse_auto_corr_correction.zip(approx_factor_auto_corr_correction))
            .map(|((t, cvrmse_adj), (correction, factor))| t * cvrmse_adj * correction * factor);
        Metrics {
            observed_length: n,
            predicted_length: n,
            merged_length: n,
            num_parameters: p,
            observed_mean,
            predicted_mean: finite(mean(predicted.iter().map(|value| value.abs()))),
            observed_variance: variance(observed),
            predicted_variance: variance(predicted),
            observed_skew: skew(observed),
            predicted_skew: skew(predicted),
            observed_kurtosis: kurtosis(observed),
            predicted_kurtosis: kurtosis(predicted),
            observed_cvstd: cvstd(observed),
            predicted_cvstd: cvstd(predicted),
            r_squared,
            r_squared_adj: r_squared.and_then(|r2| finite(1.0 - (1.0 - r2) * (n - 1.0) / (n - p - 1.0))),
            rmse,
            rmse_adj,
            cvrmse: over_mean(rmse),
            cvrmse_adj,
            mape: finite(mean(ratios)),
            mape_no_zeros: finite(mean(of_positive.map(|(residual, observed)| (residual / observed).abs()))),
            num_meter_zeros: observed.iter().filter(|value| **value <= 0.0).count() as f64,
            nmae: finite(residuals.iter().map(|residual| residual.abs()).sum::<f64>() / observed_sum),
            nmbe: finite(residuals.iter().sum::<f64>() / observed_sum),
            autocorr_resid,
            confidence_level: CONFIDENCE_LEVEL,
            n_prime,
            single_tailed_confidence_level,
            degrees_of_freedom,
            t_stat,
            cvrmse_auto_corr_correction,
            approx_factor_auto_corr_correction,
            fsu_base_term,
        }
    }
}

fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

/// NaN of nothing.
fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, n) = values.fold((0.0, 0.0), |(sum, n), value| (sum + value, n + 1.0));
    sum / n
}

/// Sum of a power of the distances from the mean.
fn moment(values: &[f64], power: i32) -> f64 {
    let mean = mean(values.iter().copied());
    values.iter().map(|value| (value - mean).powi(power)).sum()
}

fn variance(values: &[f64]) -> Option<f64> {
    finite(moment(values, 2) / values.len() as f64)
}

fn cvstd(values: &[f64]) -> Option<f64> {
    let std = (moment(values, 2) / (values.len() as f64 - 1.0)).sqrt();
    finite(std / mean(values.iter().map(|value| value.abs())))
}

/// Whether values differ by no more than their rounding.
fn is_constant(values: &[f64]) -> bool {
    is_rounding(moment(values, 2), values.iter().map(|value| value * value).sum())
}

/// G₁ of Joanes and Gill (1998); 0 of a constant.
fn skew(values: &[f64]) -> Option<f64> {
    let n = values.len() as f64;
    if n <= 2.0 || is_constant(values) {
        return (n > 2.0).then_some(0.0);
    }
    let (m2, m3) = (moment(values, 2) / n, moment(values, 3) / n);
    finite(m3 / m2.powf(1.5) * (n * (n - 1.0)).sqrt() / (n - 2.0))
}

/// G₂ of Joanes and Gill (1998); 0 of a constant.
fn kurtosis(values: &[f64]) -> Option<f64> {
    let n = values.len() as f64;
    if n <= 3.0 || is_constant(values) {
        return (n > 3.0).then_some(0.0);
    }
    let (m2, m4) = (moment(values, 2) / n, moment(values, 4) / n);
    let g2 = m4 / (m2 * m2) - 3.0;
    finite((n - 1.0) / ((n - 2.0) * (n - 3.0)) * ((n + 1.0) * g2 + 6.0))
}

/// Pearson's; nothing if one of both is constant.
fn correlation(a: &[f64], b: &[f64]) -> Option<f64> {
    if is_constant(a) || is_constant(b) {
        return None;
    }
    let (mean_a, mean_b) = (mean(a.iter().copied()), mean(b.iter().copied()));
    let product: f64 = a.iter().zip(b).map(|(a, b)| (a - mean_a) * (b - mean_b)).sum();
    finite(product / (moment(a, 2) * moment(b, 2)).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_little_there_is_little_to_say() {
        let none = Metrics::new(&[], &[], 0);
        assert_eq!((none.observed_length, none.rmse, none.autocorr_resid), (0.0, None, None));
        let one = Metrics::new(&[1.0], &[2.0], 0);
        assert_eq!((one.rmse, one.nmbe, one.n_prime, one.fsu_base_term), (Some(1.0), Some(-0.5), None, None));
        let zeros = Metrics::new(&[0.0; 5], &[0.0; 5], 1);
        assert_eq!((zeros.rmse, zeros.cvrmse, zeros.num_meter_zeros), (Some(0.0), None, 5.0));
    }

    #[test]
    fn metrics_by_hand() {
        let metrics = Metrics::new(&[2.0, 4.0, 2.0, 4.0], &[1.0, 5.0, 2.0, 4.0], 1);
        assert_eq!(metrics.rmse, Some(0.5_f64.sqrt()));
        assert_eq!(metrics.rmse_adj, Some((2.0 / 3.0_f64).sqrt()));
        assert_eq!((metrics.nmae, metrics.nmbe), (Some(2.0 / 12.0), Some(0.0)));
        assert_eq!(metrics.observed_variance, Some(2.5));
        assert_eq!(metrics.r_squared_adj.map(|r2| (r2 * 1e12).round() / 1e12), Some(0.85));
    }
}
