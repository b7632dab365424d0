//! Student's t distribution of whole degrees of freedom, which is all that counting rows and coefficients gives: a finite
//! sum then, exact to the last few bits (Abramowitz and Stegun 1964, 26.7.3 and 26.7.4).

use std::f64::consts::{FRAC_1_PI, PI};

/// The sum has a term for each two degrees of freedom.
const MOST_DEGREES_OF_FREEDOM: f64 = 1e7;

/// Newton's method doubles the digits once it is near, and far out on a heavy tail it doubles the value.
const MOST_STEPS: usize = 100;

/// The value below which a share `probability` of the distribution with so many degrees of freedom lies; `None` unless both
/// make sense: 0 < probability < 1, degrees of freedom a whole number from 1 on.
pub(crate) fn quantile(probability: f64, degrees_of_freedom: f64) -> Option<f64> {
    let distribution = StudentsT::new(degrees_of_freedom)?;
    if !(probability > 0.0 && probability < 1.0) {
        return None;
    }
    let within = (2.0 * probability - 1.0).abs();
    let t = half_width(within, |t| distribution.share_within(t), |t| distribution.density(t));
    Some(if probability < 0.5 { -t } else { t }).filter(|t| t.is_finite())
}

/// The t for which a share lies between −t and t, of a distribution that is symmetric and falls from zero on.
///
/// The share within ±t is concave in t > 0, so that from zero every step falls short of the answer, and none too far.
fn half_width(share: f64, share_within: impl Fn(f64) -> f64, density: impl Fn(f64) -> f64) -> f64 {
    let mut t = 0.0;
    for _ in 0..MOST_STEPS {
        let step = (share - share_within(t)) / (2.0 * density(t));
        t += step;
        if step.abs() <= f64::EPSILON * t {
            break;
        }
    }
    t
}

/// The same as CDFLIB (Brown, Lovato, Russell 1994) computes it, which eemeter's libraries call: it looks for the zero to a
/// relative 1e-8 only, and is off by up to that. Its path is followed: what it gives is
/// given, to the last few bits. For a probability of 0.5 or more, below 1.
pub(crate) fn quantile_of_cdflib(probability: f64, degrees_of_freedom: f64) -> Option<f64> {
    const FIRST_STEP: f64 = 0.5;
    const STEP_FACTOR: f64 = 5.0;
    let distribution = StudentsT::new(degrees_of_freedom)?;
    if !(0.5..1.0).contains(&probability) {
        return None;
    }
    let excess = |t: f64| distribution.share_above(t) - (1.0 - probability);
    let guess = nearly_normal_quantile(probability, degrees_of_freedom);
    let mut step = f64::max(FIRST_STEP, FIRST_STEP * guess.abs());
    let of_guess = excess(guess);
    if of_guess == 0.0 {
        return Some(guess);
    }
    let direction = if of_guess > 0.0 { 1.0 } else { -1.0 };
    let (mut near, mut far) = (guess, guess + direction * step);
    while excess(far) * direction > 0.0 {
        step *= STEP_FACTOR;
        near = far;
        far = near + direction * step;
    }
    Some(zero_between(excess, near.min(far), near.max(far))).filter(|t| t.is_finite())
}

/// The first terms of Cornish and Fisher's expansion (Abramowitz and Stegun 1964, 26.7.5).
fn nearly_normal_quantile(probability: f64, degrees_of_freedom: f64) -> f64 {
    let x = normal_quantile(probability);
    let xx = x * x;
    let terms = [
        (xx + 1.0) / 4.0,
        ((5.0 * xx + 16.0) * xx + 3.0) / 96.0,
        (((3.0 * xx + 19.0) * xx + 17.0) * xx - 15.0) / 384.0,
        ((((79.0 * xx + 776.0) * xx + 1482.0) * xx - 1920.0) * xx - 945.0) / 92_160.0,
    ];
    let mut power = 1.0;
    x + terms.iter().fold(0.0, |sum, term| {
        power *= degrees_of_freedom;
        sum + term * x / power
    })
}

/// For a probability of 0.5 or more. The share is that of Abramowitz and Stegun 1964, 26.2.10, of positive terms only.
fn normal_quantile(probability: f64) -> f64 {
    let density = |x: f64| (-0.5 * x * x).exp() / (2.0 * PI).sqrt();
    let share_within = |x: f64| {
        let (mut term, mut sum, mut odd) = (x, 0.0, 1.0);
        while sum + term != sum {
            sum += term;
            odd += 2.0;
            term *= x * x / odd;
        }
        2.0 * density(x) * sum
    };
    half_width(2.0 * probability - 1.0, share_within, density)
}

/// Algorithm R of Bus and Dekker, "Two efficient algorithms with guaranteed convergence for finding a zero of a function"
/// (1975), with its letters: b is the best value, the zero lies between b and c, a and d are the values before. The
/// tolerance is that of the latest value, which at first is not b.
fn zero_between(f: impl Fn(f64) -> f64, low: f64, high: f64) -> f64 {
    const RELATIVE_TOLERANCE: f64 = 1e-8;
    const MOST_EXTRAPOLATIONS: u32 = 3;
    let (mut b, mut a) = (low, high);
    let (mut fb, mut fa) = (f(b), f(a));
    let (mut c, mut fc) = (a, fa);
    let mut latest = high;
    let mut before: Option<(f64, f64)> = None;
    let mut extrapolations = 0;
    loop {
        if fc.abs() < fb.abs() {
            if c != a {
                before = Some((a, fa));
            }
            (a, fa, b, fb) = (b, fb, c, fc);
            (c, fc) = (a, fa);
            latest = b;
        }
        let tolerance = 0.5 * RELATIVE_TOLERANCE * latest.abs();
        let to_middle = (c + b) * 0.5 - b;
        if to_middle.abs() <= tolerance || to_middle.is_nan() {
            return latest;
        }
        let step = if extrapolations > MOST_EXTRAPOLATIONS {
            to_middle
        } else {
            let least = tolerance.copysign(to_middle);
            let (mut p, mut q) = match before {
                None => ((b - a) * fb, fa - fb),
                Some((d, fd)) => {
                    let (slope_b, slope_a) = ((fd - fb) / (d - b), (fd - fa) / (d - a));
                    (slope_a * (b - a) * fb, slope_b * fa - slope_a * fb)
                }
            };
            if p < 0.0 {
                (p, q) = (-p, -q);
            }
            if extrapolations == MOST_EXTRAPOLATIONS {
                p *= 2.0;
            }
            if p == 0.0 || p <= q * least {
                least
            } else if p < to_middle * q {
                p / q
            } else {
                to_middle
            }
        };
        before = Some((a, fa));
        (a, fa) = (b, fb);
        b += step;
        latest = b;
        fb = f(b);
        if fc * fb >= 0.0 {
            (c, fc) = (a, fa);
            extrapolations = 0;
        } else if step == to_middle {
            extrapolations = 0;
        } else {
            extrapolations += 1;
        }
    }
}

/// The probability of a value at least as far from zero as `t`.
pub(crate) fn two_sided_p_value(t: f64, degrees_of_freedom: f64) -> Option<f64> {
    let distribution = StudentsT::new(degrees_of_freedom)?;
    (!t.is_nan()).then(|| (1.0 - distribution.share_within(t.abs())).max(0.0))
}

struct StudentsT {
    degrees_of_freedom: f64,
    /// Density at zero.
    peak: f64,
}

impl StudentsT {
    fn new(degrees_of_freedom: f64) -> Option<StudentsT> {
        let is_whole = degrees_of_freedom.fract() == 0.0;
        if !is_whole || !(1.0..=MOST_DEGREES_OF_FREEDOM).contains(&degrees_of_freedom) {
            return None;
        }
        // Γ((ν + 1)/2)/Γ(ν/2), from its value for ν = 1 or 2 on.
        let is_odd = degrees_of_freedom % 2.0 == 1.0;
        let (mut nu, mut ratio) = if is_odd { (1.0, FRAC_1_PI.sqrt()) } else { (2.0, PI.sqrt() / 2.0) };
        while nu < degrees_of_freedom {
            ratio *= (nu + 1.0) / nu;
            nu += 2.0;
        }
        Some(StudentsT { degrees_of_freedom, peak: ratio / (degrees_of_freedom * PI).sqrt() })
    }

    fn density(&self, t: f64) -> f64 {
        let nu = self.degrees_of_freedom;
        self.peak * (-(nu + 1.0) / 2.0 * (t * t / nu).ln_1p()).exp()
    }

    fn share_above(&self, t: f64) -> f64 {
        0.5 - (0.5 * self.share_within(t.abs())).copysign(t)
    }

    /// The share between −t and t, for t from 0 on.
    fn share_within(&self, t: f64) -> f64 {
        let nu = self.degrees_of_freedom;
        let angle = (t / nu.sqrt()).atan();
        let (sin, cos) = angle.sin_cos();
        let is_odd = nu % 2.0 == 1.0;
        // Odd: cos + 2/3 cos³ + 2·4/(3·5) cos⁵ + …; even: 1 + 1/2 cos² + 1·3/(2·4) cos⁴ + …; both up to the power ν − 2.
        let (mut power, mut term) = if is_odd { (1.0, cos) } else { (0.0, 1.0) };
        let mut sum = 0.0;
        while power <= nu - 2.0 {
            sum += term;
            term *= (power + 1.0) / (power + 2.0) * cos * cos;
            power += 2.0;
        }
        if is_odd { 2.0 * FRAC_1_PI * (angle + sin * sum) } else { sin * sum }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(got: Option<f64>, expected: f64) {
        assert!((got.unwrap() / expected - 1.0).abs() < 1e-13, "{got:?} {expected}");
    }

    #[test]
    fn quantiles_in_closed_form() {
        // One degree of freedom: tan(π(p − ½)). Two: (2p − 1)·√(2 / (4p(1 − p))).
        for probability in [0.6, 0.9, 0.975, 0.9999] {
            close(quantile(probability, 1.0), (PI * (probability - 0.5)).tan());
            let of_two = (2.0 * probability - 1.0) * (0.5 / (probability * (1.0 - probability))).sqrt();
            close(quantile(probability, 2.0), of_two);
        }
    }

    #[test]
    fn quantiles_of_tables() {
        // By numerical integration of the density.
        close(quantile(0.95, 4.0), 2.131_846_786_326_65);
        close(quantile(0.05, 6.0), -1.943_180_280_515_30);
        close(quantile(0.975, 10.0), 2.228_138_851_986_274);
        close(two_sided_p_value(2.131_846_786_326_65, 4.0), 0.1);
        assert_eq!(quantile(0.5, 6.0), Some(0.0));
        // Nearly normal.
        assert!((quantile(0.975, 1e7).unwrap() - 1.959_963_984_540_054).abs() < 1e-6);
    }

    /// What scipy 1.10.1 gives; the first two are off in the ninth digit.
    #[test]
    fn quantiles_of_cdflib() {
        for (degrees_of_freedom, expected) in [
            (4.0, 2.131_846_781_336_29),
            (6.0, 1.943_180_280_392_781_6),
            (3.0, 2.353_363_434_801_826_4),
            (9.0, 1.833_112_932_653_633_5),
            (26.0, 1.705_617_919_759_272_7),
            (32.0, 1.693_888_742_390_654_8),
            (374.0, 1.648_938_048_121_818_8),
        ] {
            close(quantile_of_cdflib(0.95, degrees_of_freedom), expected);
        }
        for (probability, degrees_of_freedom) in [(0.5, 5.0), (0.9999, 1.0), (0.6, 1.0), (0.975, 1e6)] {
            let exact = quantile(probability, degrees_of_freedom).unwrap();
            let got = quantile_of_cdflib(probability, degrees_of_freedom).unwrap();
            assert!((got - exact).abs() <= 1e-7 * exact, "{got} {exact}");
        }
    }

    #[test]
    fn what_has_no_quantile() {
        for degrees_of_freedom in [0.0, -3.0, 2.5, f64::NAN, f64::INFINITY] {
            assert_eq!(quantile(0.95, degrees_of_freedom), None);
            assert_eq!(quantile_of_cdflib(0.95, degrees_of_freedom), None);
            assert_eq!(two_sided_p_value(1.0, degrees_of_freedom), None);
        }
        for probability in [0.0, 1.0, -1.0, f64::NAN] {
            assert_eq!(quantile(probability, 5.0), None);
            assert_eq!(quantile_of_cdflib(probability, 5.0), None);
        }
        assert_eq!(two_sided_p_value(f64::NAN, 5.0), None);
    }
}
