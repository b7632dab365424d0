//! The curve of a submodel: energy of a day over its mean temperature.

use super::StoredModelError;
use super::document::{ModelType, StoredSubmodel};

/// Smoothing below this fraction of the distance between the breakpoints is none.
const MIN_SMOOTHING_FRACTION: f64 = 0.01;

/// Slopes that leave a flat middle at two breakpoints, `heating.at ≤ cooling.at`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Curve {
    heating: Branch,
    cooling: Branch,
    intercept: f64,
    /// Lowest and highest temperature of the fit, °F.
    fitted: (f64, f64),
}

/// One sloped end of the curve.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Branch {
    /// Breakpoint, °F.
    at: f64,
    /// Energy per °F away from the breakpoint.
    slope: f64,
    /// Scale of the exponential that smooths the corner, °F; 0 for a sharp corner.
    k: f64,
}

/// What a curve says for a temperature.
pub(super) struct Loads {
    pub(super) energy: f64,
    pub(super) heating: f64,
    pub(super) cooling: f64,
}

impl Curve {
    /// The curve of a stored submodel: coefficients of each shape brought into the one form that is evaluated.
    pub(super) fn new(name: &str, stored: &StoredSubmodel) -> Result<Curve, StoredModelError> {
        let coefficients = &stored.coefficients;
        let bounds = &stored.temperature_constraints;
        let model_type = coefficients.model_type;
        let needed = |coefficient: &'static str, value: Option<f64>| {
            value.ok_or_else(|| StoredModelError::CoefficientMissing {
                submodel: name.to_owned(),
                model_type,
                coefficient,
            })
        };
        let smoothing = |coefficient: &'static str, value: Option<f64>| match needed(coefficient, value)? {
            k if k < 0.0 => {
                Err(StoredModelError::NegativeSmoothing { submodel: name.to_owned(), coefficient })
            }
            k => Ok(k),
        };
        let heating = || -> Result<Branch, StoredModelError> {
            Ok(Branch {
                at: needed("hdd_bp", coefficients.hdd_bp)?,
                slope: needed("hdd_beta", coefficients.hdd_beta)?,
                k: 0.0,
            })
        };
        let cooling = || -> Result<Branch, StoredModelError> {
            Ok(Branch {
                at: needed("cdd_bp", coefficients.cdd_bp)?,
                slope: needed("cdd_beta", coefficients.cdd_beta)?,
                k: 0.0,
            })
        };
        // A sharp single corner stays within the temperatures that a segment may begin at, a smoothed one may lie anywhere.
        let within = |branch: Branch| Branch {
            at: if branch.at < bounds.min_segment {
                bounds.min_segment
            } else if branch.at > bounds.max_segment {
                bounds.max_segment
            } else {
                branch.at
            },
            ..branch
        };
        let (heating, cooling) = match model_type {
            ModelType::Tidd => (Branch::default(), Branch::default()),
            ModelType::HddTidd => one_sided(within(heating()?)),
            ModelType::TiddCdd => one_sided(within(cooling()?)),
            ModelType::HddTiddSmooth => {
                one_sided(Branch { k: smoothing("hdd_k", coefficients.hdd_k)?, ..heating()? })
            }
            ModelType::TiddCddSmooth => {
                one_sided(Branch { k: smoothing("cdd_k", coefficients.cdd_k)?, ..cooling()? })
            }
            ModelType::HddTiddCdd => (heating()?, cooling()?),
            ModelType::HddTiddCddSmooth => (
                Branch { k: smoothing("hdd_k", coefficients.hdd_k)?, ..heating()? },
                Branch { k: smoothing("cdd_k", coefficients.cdd_k)?, ..cooling()? },
            ),
        };
        let fitted = (bounds.min, bounds.max);
        let (mut heating, mut cooling) = settled(heating, cooling, fitted);
        if model_type == ModelType::HddTiddCddSmooth {
            (heating, cooling) = smoothed(heating, cooling);
        }
        Ok(Curve { heating, cooling, intercept: coefficients.intercept, fitted })
    }

    /// The energy of a day of this mean temperature, and what of it is heating and cooling.
    pub(super) fn evaluate(&self, temp_degf: f64) -> Loads {
        let energy = self.energy(temp_degf);
        let load = energy - self.intercept;
        Loads {
            energy,
            heating: if temp_degf <= self.heating.at { load } else { 0.0 },
            cooling: if temp_degf >= self.cooling.at { load } else { 0.0 },
        }
    }

    /// `β(T − bp) + c + |βk|·(e^((T − bp)/k) − 1)` on a branch, `c` between them; heating has `−β` and `k`, cooling `β` and
    /// `−k`. Where both breakpoints are one at an end of the fitted temperatures, one branch covers everything.
    fn energy(&self, temp_degf: f64) -> f64 {
        let (min, max) = self.fitted;
        let (heating, cooling) = (self.heating, self.cooling);
        let one_breakpoint = heating.at == cooling.at;
        let (at, beta, k) = if temp_degf < heating.at || (one_breakpoint && cooling.at >= max) {
            (heating.at, -heating.slope, heating.k)
        } else if temp_degf > cooling.at || (one_breakpoint && heating.at <= min) {
            (cooling.at, cooling.slope, -cooling.k)
        } else {
            return self.intercept;
        };
        if beta == 0.0 {
            return self.intercept;
        }
        let sharp = beta * (temp_degf - at) + self.intercept;
        if k == 0.0 { sharp } else { (beta * k).abs() * ((1.0 / k * (temp_degf - at)).exp() - 1.0) + sharp }
    }
}

/// A single slope is heating if it is negative, else cooling, whatever the model calls it. Its corner is both breakpoints.
fn one_sided(branch: Branch) -> (Branch, Branch) {
    let flat = Branch { at: branch.at, slope: 0.0, k: 0.0 };
    if branch.slope < 0.0 { (Branch { slope: -branch.slope, ..branch }, flat) } else { (flat, branch) }
}

/// Whatever branch has the lower breakpoint is heating.
fn ordered(heating: Branch, cooling: Branch) -> (Branch, Branch) {
    if cooling.at < heating.at { (cooling, heating) } else { (heating, cooling) }
}

/// Breakpoints in order, and no slope beyond the fitted temperatures: it would cover no day of the fit.
fn settled(heating: Branch, cooling: Branch, (min, max): (f64, f64)) -> (Branch, Branch) {
    let (mut heating, mut cooling) = ordered(heating, cooling);
    if heating.at != cooling.at {
        if cooling.at >= max {
            cooling.slope = 0.0;
        } else if heating.at <= min {
            heating.slope = 0.0;
        }
    }
    for branch in [&mut heating, &mut cooling] {
        if branch.slope == 0.0 {
            branch.k = 0.0;
        }
    }
    (heating, cooling)
}

/// The two-sided model stores its `k` as fractions of the distance between the breakpoints, and keeps the branches from
/// reaching beyond each other: the breakpoints move inwards by what is smoothed.
fn smoothed(heating: Branch, cooling: Branch) -> (Branch, Branch) {
    if heating.k < MIN_SMOOTHING_FRACTION && cooling.k < MIN_SMOOTHING_FRACTION {
        return (Branch { k: 0.0, ..heating }, Branch { k: 0.0, ..cooling });
    }
    let sum = heating.k + cooling.k;
    let shrink = if sum > 1.0 { sum } else { 1.0 };
    let distance = cooling.at - heating.at;
    let heating_k = heating.k / shrink * distance;
    let cooling_k = cooling.k / shrink * distance;
    // Where all of the distance is smoothed, rounding may let the breakpoints pass each other. opendsm changes the branches
    // over then, while it fits as well as when it predicts.
    ordered(
        Branch { at: heating.at + heating_k, k: heating_k, ..heating },
        Branch { at: cooling.at - cooling_k, k: cooling_k, ..cooling },
    )
}
