//! Meters and weather made up from a seed, and what the bounds of their savings cover: for the tests of this crate, its example
//! `coverage` and benchmarks (feature `testing`).

mod coverage;

pub use coverage::{Coverage, Share, Study};

use sheaf_model::Tick;

use crate::meter::Reading;
use crate::weather::Weather;
use crate::zone::{TICKS_PER_DAY, TICKS_PER_HOUR, Zone};

/// A generator of random numbers that is the same everywhere (SplitMix64; Steele, Lea, Flood, 2014).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// From a seed on.
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// In [0, 1).
    pub fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// In [low, high).
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// Of mean 0 and variance 1 (Box and Muller, 1958).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

/// A house: energy a day at a mean temperature.
#[derive(Clone, Copy, Debug)]
pub struct House {
    /// Energy a day that does not depend on the weather.
    pub base: f64,
    /// Energy a heating degree day.
    pub beta_hdd: f64,
    /// Energy a cooling degree day.
    pub beta_cdd: f64,
    /// In °F, any number: balance points of models are whole.
    pub heats_below_degf: f64,
    /// In °F.
    pub cools_above_degf: f64,
}

impl House {
    /// Electricity of a dwelling, in kWh.
    pub fn random(random: &mut Random) -> House {
        House {
            base: random.between(5.0, 30.0),
            beta_hdd: random.between(0.3, 2.0),
            beta_cdd: random.between(0.3, 2.0),
            heats_below_degf: random.between(50.0, 62.0),
            cools_above_degf: random.between(64.0, 74.0),
        }
    }

    /// In the mean, at a mean temperature of the day.
    pub fn energy(&self, degf: f64) -> f64 {
        self.base
            + self.beta_hdd * (self.heats_below_degf - degf).max(0.0)
            + self.beta_cdd * (degf - self.cools_above_degf).max(0.0)
    }
}

/// So many days later; the last moment that there is, if that is not enough.
pub fn day(start: Tick, days: usize) -> Tick {
    start.checked_add(days as i64 * TICKS_PER_DAY).unwrap_or(Tick::MAX)
}

/// Hours of years with a cold January, from midnight UTC on, of days that differ from each other.
pub fn hours(random: &mut Random, start: Tick, days: usize) -> Vec<(Tick, f64)> {
    let mut weather_of_day = 0.0;
    let mut hours = Vec::with_capacity(days * 24);
    for index in 0..days {
        weather_of_day = 0.7 * weather_of_day + 6.0 * random.normal();
        let season = (std::f64::consts::TAU * (index as f64 - 20.0) / 365.25).cos();
        for hour in 0..24 {
            let of_hour = 7.0 * (std::f64::consts::TAU * (hour as f64 - 15.0) / 24.0).cos();
            let degf = 55.0 - 25.0 * season + weather_of_day + of_hour;
            hours.extend(day(start, index).checked_add(hour * TICKS_PER_HOUR).map(|start| (start, degf)));
        }
    }
    hours
}

/// The same, with their days.
pub fn weather(random: &mut Random, start: Tick, days: usize) -> Weather {
    Weather::from_degf(hours(random, start, days), Zone::UTC)
}

/// A daily reading for each day of the weather; energy by the number of the day and its mean temperature.
pub fn daily(weather: &Weather, mut energy: impl FnMut(usize, f64) -> f64) -> Vec<Reading> {
    let days = weather.day_bounds();
    let values = weather.day_degf().iter().enumerate().map(|(index, degf)| Some(energy(index, *degf)));
    days.iter()
        .zip(values.chain([None]))
        .map(|(start, value)| Reading { start: *start, value, estimated: false })
        .collect()
}
