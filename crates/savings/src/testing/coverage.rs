//! Whether bounds mean what they say: savings of meters whose truth is known.

use std::fmt;

use sheaf_model::Tick;

use super::{House, Random, weather};
use crate::design::Design;
use crate::features::{Features, Purpose};
use crate::meter::MeterSeries;
use crate::model::fit;
use crate::savings::metered_savings;
use crate::settings::{FitSettings, Interval, Mode};
use crate::weather::Weather;

/// Days of a year of the study: months of 30 days and pairs of them.
const DAYS: usize = 360;

/// What is simulated: portfolios of meters that share their weather, each meter with the whole search of candidates.
///
/// A meter is a [`House`] in the first year and another one in the second, with noise on each day. The truth is what the house
/// of before would have used in the second year, in the mean, minus what the house of after used in the mean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Study {
    /// Days, or bills of 30 or 60 days.
    pub interval: Interval,
    /// Of each day's noise with that of the day before: 0 is independent noise.
    pub autocorrelation: f64,
    /// How many portfolios, each with weather of its own.
    pub portfolios: usize,
    /// How many meters each has.
    pub members: usize,
    /// The same seed gives the same numbers.
    pub seed: u64,
    /// At what confidence the bounds are, 0 to 1, exclusive.
    pub confidence: f64,
}

/// How many of something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// Those that hold.
    pub part: usize,
    /// All.
    pub all: usize,
}

impl Share {
    fn add(&mut self, holds: bool) {
        self.part += usize::from(holds);
        self.all += 1;
    }

    /// 0 to 1; NaN of none.
    pub fn fraction(self) -> f64 {
        self.part as f64 / self.all as f64
    }
}

/// In per cent.
impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} %", 100.0 * self.fraction())
    }
}

/// What came out.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Coverage {
    /// Meters whose truth lies within the bound of strict mode. A meter without a bound holds nothing.
    pub strict: Share,
    /// The same of the fractional savings uncertainty of compat mode.
    pub compat: Share,
    /// Portfolios whose truth lies within the bounds of strict mode in quadrature.
    pub portfolios: Share,
    /// Within those and, on top, the sum of the biases.
    pub portfolios_with_bias: Share,
    /// Mean error of a meter in strict mode: estimated minus true savings, in kWh.
    pub mean_error: f64,
    /// What strict mode says of that, in kWh.
    pub mean_bias: f64,
    /// Mean width of a meter's bound in strict mode, in kWh, of those that have one.
    pub mean_bound: f64,
}

impl Study {
    /// Simulates, fits and compares.
    pub fn run(&self) -> Coverage {
        let mut random = Random::new(self.seed);
        let mut coverage = Coverage::default();
        for _ in 0..self.portfolios {
            self.add_portfolio(&mut random, &mut coverage);
        }
        let meters = coverage.strict.all as f64;
        coverage.mean_error /= meters;
        coverage.mean_bias /= meters;
        coverage.mean_bound /= meters;
        coverage
    }

    fn add_portfolio(&self, random: &mut Random, coverage: &mut Coverage) {
        let weather = weather(random, Tick::UNIX_EPOCH, 2 * DAYS);
        let sides = [Mode::Strict, Mode::Compat].map(|mode| Sides::new(&weather, self.interval, mode));
        let (mut error, mut bound_square, mut bias) = (0.0, 0.0, 0.0);
        for _ in 0..self.members {
            let meter = Meter::random(random, &weather, self);
            let [strict, compat] = sides.each_ref().map(|sides| meter.estimate(sides, self));
            coverage.strict.add(strict.bound.is_some_and(|bound| strict.error.abs() <= bound));
            coverage.compat.add(compat.bound.is_some_and(|bound| compat.error.abs() <= bound));
            let bound = strict.bound.unwrap_or(0.0);
            coverage.mean_error += strict.error;
            coverage.mean_bias += strict.bias;
            coverage.mean_bound += bound;
            error += strict.error;
            bound_square += bound * bound;
            bias += strict.bias;
        }
        let half_width = bound_square.sqrt();
        coverage.portfolios.add(error.abs() <= half_width);
        coverage.portfolios_with_bias.add(error.abs() <= half_width + bias.abs());
    }

    /// Days of a period.
    const fn period_days(&self) -> usize {
        match self.interval {
            Interval::Daily => 1,
            Interval::BillingMonthly => 30,
            Interval::BillingBimonthly => 60,
        }
    }
}

/// The weather of both years, as a mode sees it.
struct Sides {
    mode: Mode,
    before: Features,
    after: Features,
}

impl Sides {
    fn new(weather: &Weather, interval: Interval, mode: Mode) -> Sides {
        let study = Study { interval, ..Study::default() };
        let bounds: Vec<Tick> = weather.day_bounds().iter().step_by(study.period_days()).copied().collect();
        let (before, after) = bounds.split_at(bounds.len() / 2);
        let before = [before, &after[..1]].concat();
        Sides {
            mode,
            before: Features::new(&before, weather, interval, Purpose::Fit, mode),
            after: Features::new(after, weather, interval, Purpose::Predict, mode),
        }
    }
}

/// Daily fits of 100 meters in ten weathers.
impl Default for Study {
    fn default() -> Study {
        Study {
            interval: Interval::Daily,
            autocorrelation: 0.0,
            portfolios: 10,
            members: 10,
            seed: 1,
            confidence: 0.95,
        }
    }
}

struct Meter {
    before: MeterSeries,
    after: MeterSeries,
    true_savings: f64,
}

struct Estimate {
    error: f64,
    bound: Option<f64>,
    bias: f64,
}

impl Meter {
    fn random(random: &mut Random, weather: &Weather, study: &Study) -> Meter {
        let houses = [House::random(random), House::random(random)];
        let sigma = random.between(1.0, 6.0);
        let fresh = (1.0 - study.autocorrelation * study.autocorrelation).sqrt();
        let mut noise = sigma * random.normal();
        let mut energy = Vec::with_capacity(2 * DAYS);
        let mut true_savings = 0.0;
        for (index, degf) in weather.day_degf().iter().enumerate() {
            let mean = houses[index / DAYS].energy(*degf);
            noise = study.autocorrelation * noise + fresh * sigma * random.normal();
            energy.push(mean + noise);
            if index >= DAYS {
                true_savings += houses[0].energy(*degf) - mean;
            }
        }
        let days = study.period_days();
        let bounds: Vec<Tick> = weather.day_bounds().iter().step_by(days).copied().collect();
        let energy: Vec<f64> = energy.chunks(days).map(|period| period.iter().sum()).collect();
        let middle = energy.len() / 2;
        Meter {
            before: MeterSeries::new(bounds[..=middle].to_vec(), energy[..middle].to_vec()),
            after: MeterSeries::new(bounds[middle..].to_vec(), energy[middle..].to_vec()),
            true_savings,
        }
    }

    /// Without a model nothing is saved, and nothing bounds it.
    fn estimate(&self, sides: &Sides, study: &Study) -> Estimate {
        let design = Design::new(&self.before, sides.before.clone(), study.interval, sides.mode);
        let settings = FitSettings::new(study.interval, true);
        let Some(model) = fit(&design, &settings).model else {
            return Estimate { error: -self.true_savings, bound: None, bias: 0.0 };
        };
        let savings = metered_savings(&model, &self.after, &sides.after, study.confidence);
        let bound = match sides.mode {
            Mode::Strict => savings.bound,
            Mode::Compat => savings.error_bands.map(|bands| bands.fsu),
        };
        let error = savings.metered_savings - self.true_savings;
        Estimate { error, bound, bias: savings.bias.unwrap_or(0.0) }
    }
}
