//! The reference meters, prepared as they were for eemeter, and comparisons with its numbers.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use sheaf_model::Tick;
use sheaf_savings::meter::Reading;
use sheaf_savings::settings::Mode;
use sheaf_savings::verification::{self, Fitted, METERS, ReferenceMeter};
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

/// The largest relative deviation of each quantity, over all comparisons.
#[derive(Default)]
pub(crate) struct Deviations(BTreeMap<String, f64>);

impl Deviations {
    /// Compares with a JSON number or null. What eemeter has as rounding of zero, below 1e-9 of `scale`, is compared with it.
    pub(crate) fn compare(&mut self, name: &str, got: Option<f64>, expected: &Value, scale: f64) {
        let Some(expected) = expected.as_f64() else {
            assert!(got.is_none_or(f64::is_nan), "{name}: {got:?} instead of null");
            return;
        };
        let got = got.unwrap_or_else(|| panic!("{name}: nothing instead of {expected}"));
        let scale = if expected.abs() > 1e-9 * scale { expected.abs() } else { scale };
        let deviation = if got == expected { 0.0 } else { (got - expected).abs() / scale };
        assert!(deviation <= 1e-9, "{name}: {got} instead of {expected}, off by {deviation:e}");
        let largest = self.0.entry(name.to_owned()).or_default();
        *largest = largest.max(deviation);
    }

    pub(crate) fn largest(&self) -> f64 {
        self.0.values().copied().fold(0.0, f64::max)
    }
}
