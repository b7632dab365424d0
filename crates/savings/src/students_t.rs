//! Student's t distribution.

use statrs::distribution::{Continuous, ContinuousCDF, StudentsT};

/// The value below which a share `probability` of the distribution with so many degrees of freedom lies; `None` unless both
/// make sense: 0 < probability < 1, degrees of freedom above 0.
pub(crate) fn quantile(probability: f64, degrees_of_freedom: f64) -> Option<f64> {
    let distribution = StudentsT::new(0.0, 1.0, degrees_of_freedom).ok()?;
    if !(probability > 0.0 && probability < 1.0) || degrees_of_freedom.is_infinite() {
        return None;
    }
    let mut t = distribution.inverse_cdf(probability);
    // The library's inverse is good to about ten digits; its distribution function is good to nearly all.
    for _ in 0..2 {
        let step = (distribution.cdf(t) - probability) / distribution.pdf(t);
        if step.is_finite() {
            t -= step;
        }
    }
    t.is_finite().then_some(t)
}

/// The probability of a value at least as far from zero as `t`.
pub(crate) fn two_sided_p_value(t: f64, degrees_of_freedom: f64) -> Option<f64> {
    let distribution = StudentsT::new(0.0, 1.0, degrees_of_freedom).ok()?;
    (!t.is_nan()).then(|| 2.0 * distribution.sf(t.abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_tables() {
        // One degree of freedom: tan(π(p − ½)). Two: (2p − 1)·√(2 / (4p(1 − p))).
        let close = |got: Option<f64>, expected: f64| {
            assert!((got.unwrap() / expected - 1.0).abs() < 1e-12, "{got:?} {expected}");
        };
        close(quantile(0.975, 1.0), (std::f64::consts::PI * 0.475).tan());
        close(quantile(0.95, 2.0), 0.9 * (2.0_f64 / (4.0 * 0.95 * 0.05)).sqrt());
        close(quantile(0.95, 374.0), 1.6489380481218188);
        close(quantile(0.05, 6.0), -1.9431802803927816);
        close(two_sided_p_value(1.9431802803927816, 6.0), 0.1);
        assert_eq!(quantile(0.95, 0.0), None);
        assert_eq!(quantile(0.95, -3.0), None);
        assert_eq!(quantile(0.95, f64::NAN), None);
        assert_eq!(quantile(1.0, 5.0), None);
    }
}
