//! The reference meters, prepared as they were for eemeter, and comparisons with its numbers.

use std::path::Path;

use serde_json::Value;
use sheaf_model::Tick;
use sheaf_savings::meter::Reading;
use sheaf_savings::settings::Mode;
use sheaf_savings::verification::{self, Comparison, Fitted, METERS, ReferenceMeter};
use sheaf_savings::weather::Weather;

pub(crate) fn meters() -> impl Iterator<Item = &'static str> {
    METERS.iter().map(|meter| meter.name)
}

fn meter(name: &str) -> &'static ReferenceMeter {
    METERS.iter().find(|meter| meter.name == name).unwrap()
}

/// Its baseline has eight candidates that fit equally well: in the temperatures that eemeter looks at only one of the five bills
/// has days below 38 °F, so that the heating degree days of 30 to 37 °F are multiples of each other. eemeter's rounding takes
/// 31 °F.
pub(crate) const TIED_METER: &str = "il-gas-intercept-only-billing_bimonthly";

pub(crate) fn at(text: &str) -> Tick {
    text.parse().unwrap()
}

pub(crate) fn baseline_end() -> Tick {
    at("2016-12-26")
}

pub(crate) fn reporting_start() -> Tick {
    at("2017-01-04")
}

pub(crate) fn data(path: &str) -> String {
    // Tests run in the folder of their package, wherever they were built.
    let path = Path::new("reference").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Rows of a time and numbers, NaN where a field is empty.
pub(crate) fn csv(path: &str) -> Vec<(Tick, Vec<f64>)> {
    let row = |line: &str| {
        let mut fields = line.split(',');
        let start = at(fields.next().unwrap());
        (start, fields.map(|field| field.parse().unwrap_or(f64::NAN)).collect())
    };
    data(path).lines().skip(1).map(row).collect()
}

pub(crate) fn json(path: &str) -> Value {
    serde_json::from_str(&data(path)).unwrap()
}

pub(crate) fn expected(name: &str) -> Value {
    meter(name).expected().unwrap()
}

pub(crate) fn readings(name: &str) -> Vec<Reading> {
    meter(name).readings().unwrap()
}

pub(crate) fn hourly_degf() -> Vec<(Tick, f64)> {
    csv("inputs/il-tempF.csv").into_iter().map(|(start, values)| (start, values[0])).collect()
}

pub(crate) fn weather() -> &'static Weather {
    verification::weather().unwrap()
}

pub(crate) fn fitted(name: &str, mode: Mode, weather: &Weather) -> Fitted {
    let fitted = meter(name).fitted(mode, weather).unwrap();
    assert_eq!(fitted.interval, meter(name).interval);
    fitted
}

/// Comparisons that must hold, one as all.
#[derive(Default)]
pub(crate) struct Deviations(Comparison);

impl Deviations {
    pub(crate) fn compare(&mut self, name: &str, got: Option<f64>, expected: &Value, scale: f64) {
        self.0.add(name, got, expected, scale);
        assert!(self.0.is_met(), "{:?}", self.0);
    }

    pub(crate) fn largest(&self) -> f64 {
        self.0.largest
    }
}
