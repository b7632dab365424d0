//! The reference meters, prepared as they were for eemeter, and comparisons with its numbers.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::OnceLock;

use serde_json::Value;
use sheaf_model::Tick;
use sheaf_savings::design::Design;
use sheaf_savings::features::{Features, Purpose};
use sheaf_savings::interpretation::Interpretation;
use sheaf_savings::meter::{MeterSeries, Reading};
use sheaf_savings::model::{Fit, fit};
use sheaf_savings::period::{PeriodSettings, baseline, reporting};
use sheaf_savings::prepare::prepare;
use sheaf_savings::settings::{FitSettings, Interval, Mode};
use sheaf_savings::weather::Weather;
use sheaf_savings::zone::Zone;

/// The meters with their periods, and whether they are gas.
pub(crate) const METERS: [(&str, Interval, bool); 12] = [
    ("il-electricity-cdd-hdd-daily", Interval::Daily, false),
    ("il-electricity-cdd-hdd-billing_monthly", Interval::BillingMonthly, false),
    ("il-electricity-cdd-hdd-billing_bimonthly", Interval::BillingBimonthly, false),
    ("il-electricity-cdd-only-daily", Interval::Daily, false),
    ("il-electricity-cdd-only-billing_monthly", Interval::BillingMonthly, false),
    ("il-electricity-cdd-only-billing_bimonthly", Interval::BillingBimonthly, false),
    ("il-gas-hdd-only-daily", Interval::Daily, true),
    ("il-gas-hdd-only-billing_monthly", Interval::BillingMonthly, true),
    ("il-gas-hdd-only-billing_bimonthly", Interval::BillingBimonthly, true),
    ("il-gas-intercept-only-daily", Interval::Daily, true),
    ("il-gas-intercept-only-billing_monthly", Interval::BillingMonthly, true),
    ("il-gas-intercept-only-billing_bimonthly", Interval::BillingBimonthly, true),
];

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
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(path);
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

pub(crate) fn expected(meter: &str) -> Value {
    json(&format!("eemeter320/{meter}.json"))
}

pub(crate) fn readings(meter: &str) -> Vec<Reading> {
    let rows = csv(&format!("inputs/{meter}.csv"));
    rows.into_iter()
        .map(|(start, values)| Reading {
            start,
            value: Some(values[0]).filter(|value| !value.is_nan()),
            estimated: false,
        })
        .collect()
}

pub(crate) fn hourly_degf() -> Vec<(Tick, f64)> {
    csv("inputs/il-tempF.csv").into_iter().map(|(start, values)| (start, values[0])).collect()
}

pub(crate) fn weather() -> &'static Weather {
    static WEATHER: OnceLock<Weather> = OnceLock::new();
    WEATHER.get_or_init(|| Weather::from_degf(hourly_degf(), Zone::UTC))
}

/// A meter before and after its intervention, fitted.
pub(crate) struct Fitted {
    pub(crate) interval: Interval,
    pub(crate) settings: FitSettings,
    pub(crate) reporting: MeterSeries,
    pub(crate) designs: [Design; 2],
    pub(crate) fits: [Fit; 2],
}

pub(crate) fn fitted(meter: &str, mode: Mode, weather: &Weather) -> Fitted {
    let (_, interval, is_gas) = METERS.into_iter().find(|(name, ..)| *name == meter).unwrap();
    let interpretation = if is_gas {
        Interpretation::NaturalGasConsumptionSupplied
    } else {
        Interpretation::ElectricityConsumptionSupplied
    };
    let prepared = prepare(&readings(meter), None, interpretation, weather.zone(), mode);
    assert_eq!(prepared.interval, interval);
    let settings = FitSettings::new(interval, interpretation.may_cool());
    let (before, warnings) = baseline(&prepared.meter, baseline_end(), &PeriodSettings::default());
    assert!(warnings.is_empty());
    let (after, warnings) = reporting(&prepared.meter, reporting_start(), &PeriodSettings::default());
    assert!(warnings.is_empty());
    let designs = [&before, &after].map(|meter| {
        let features = Features::new(meter.bounds(), weather, interval, Purpose::Fit, mode);
        Design::new(meter, features, interval, mode)
    });
    let fits = [fit(&designs[0], &settings), fit(&designs[1], &settings)];
    Fitted { interval, settings, reporting: after, designs, fits }
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
