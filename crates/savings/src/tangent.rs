//! How the prediction of a period changes with each parameter of a model. Balance points are parameters too: the search
//! estimates them from the same rows as the coefficients.

use crate::features::Features;
use crate::model::Model;

/// Intercept, heating slope, cooling slope, heating balance point, cooling balance point.
pub(crate) const N_PARAMETERS: usize = 5;

/// How many of them a line has whose balance points are known.
pub(crate) const N_COEFFICIENTS: usize = 3;

/// A number for each parameter; 0 for one that a model doesn't have.
pub(crate) type Parameters = [f64; N_PARAMETERS];

/// Balance points are tried in whole degrees: how usage changes with one is how it changes over a step of the grid.
const HALF_STEP_DEGF: f64 = 0.5;

/// A side of a model: heating or cooling.
#[derive(Clone, Copy, Debug)]
struct Slope {
    beta: f64,
    balance_point_degf: f64,
}

/// The slopes of a model, as far as it has them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slopes {
    heating: Option<Slope>,
    cooling: Option<Slope>,
}

impl Slopes {
    /// Of pairs of a slope and its balance point in °F.
    pub(crate) fn new(heating: Option<(f64, f64)>, cooling: Option<(f64, f64)>) -> Slopes {
        let slope = |(beta, balance_point_degf)| Slope { beta, balance_point_degf };
        Slopes { heating: heating.map(slope), cooling: cooling.map(slope) }
    }

    pub(crate) fn of(model: &Model) -> Slopes {
        Slopes::new(
            model.beta_hdd.zip(model.heating_balance_point),
            model.beta_cdd.zip(model.cooling_balance_point),
        )
    }

    /// Which balance points there are: of heating, of cooling.
    pub(crate) const fn has_point(&self) -> [bool; 2] {
        [self.heating.is_some(), self.cooling.is_some()]
    }

    /// ∂(usage per day)/∂(parameter): 1, HDD, CDD, β_h·∂HDD/∂T_h, β_c·∂CDD/∂T_c. The last two are slopes times the share of the
    /// period's days that are colder, or warmer, than the balance point.
    pub(crate) fn gradient(&self, features: &Features, period: usize) -> Parameters {
        let mut gradient = [1.0, 0.0, 0.0, 0.0, 0.0];
        let sides = [(self.heating, 1), (self.cooling, 2)];
        for (slope, place) in sides {
            let Some(Slope { beta, balance_point_degf }) = slope else { continue };
            let [below, at, above] = degree_days(features, period, place, balance_point_degf, HALF_STEP_DEGF);
            gradient[place] = at;
            gradient[place + 2] = beta * (above - below) / (2.0 * HALF_STEP_DEGF);
        }
        gradient
    }

    /// ½·tr(C·H) of usage per day, H its second derivatives and C the covariance of the parameters: how much more usage is
    /// expected, in the mean over all parameters there may be, than at the ones that were found. Degree days have a corner at the
    /// balance point, so their second derivative is taken over its standard error.
    pub(crate) fn curvature(
        &self,
        covariance: &[Parameters; N_PARAMETERS],
        features: &Features,
        period: usize,
    ) -> f64 {
        let mut sum = 0.0;
        for (slope, place) in [(self.heating, 1), (self.cooling, 2)] {
            let Some(Slope { beta, balance_point_degf }) = slope else { continue };
            let variance = covariance[place + 2][place + 2];
            let step = variance.sqrt().max(HALF_STEP_DEGF);
            let [below, at, above] = degree_days(features, period, place, balance_point_degf, step);
            let second = (above - 2.0 * at + below) / (step * step);
            let first = (above - below) / (2.0 * step);
            sum += 0.5 * beta * variance * second + covariance[place][place + 2] * first;
        }
        sum
    }
}

/// Per day, at the balance point and a step to each side; `place` is that of the slope among the parameters.
fn degree_days(
    features: &Features,
    period: usize,
    place: usize,
    point_degf: f64,
    step_degf: f64,
) -> [f64; 3] {
    [point_degf - step_degf, point_degf, point_degf + step_degf].map(|point| {
        if place == 1 { features.hdd_per_day(period, point) } else { features.cdd_per_day(period, point) }
    })
}

/// aᵀb
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
