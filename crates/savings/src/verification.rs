//! The reference meters, computed anew and compared with what eemeter 3.2.0 makes of them: so that whoever has the program can
//! see on their own machine what its numbers are worth.
//!
//! The meters and the numbers of eemeter are part of the program; where they come from is said beside them, in
//! `crates/savings/reference/README.md`.

use std::sync::OnceLock;

use serde::Serialize;
use serde_json::Value;
use sheaf_model::Tick;

use crate::design::Design;
use crate::features::{Features, Purpose};
use crate::interpretation::Interpretation;
use crate::meter::{MeterSeries, Reading};
use crate::metrics::Metrics;
use crate::model::{Fit, Model, fit};
use crate::period::{PeriodSettings, baseline, reporting};
use crate::prepare::prepare;
use crate::savings::{MeteredSavings, ModeledSavings, metered_savings, modeled_savings};
use crate::settings::{FitSettings, Interval, Mode};
use crate::uncertainty::ErrorBands;
use crate::warning::Warning;
use crate::weather::Weather;
use crate::zone::Zone;

/// How far a number may be from eemeter's, relative to it.
pub const TOLERANCE: f64 = 1e-9;

/// The version of eemeter that the numbers are of.
pub const EEMETER: &str = "3.2.0";

/// A meter with its name, its records and what eemeter computes from them.
#[derive(Debug)]
pub struct ReferenceMeter {
    /// `il-gas-hdd-only-daily`
    pub name: &'static str,
    /// What its periods are.
    pub interval: Interval,
    /// What it measures.
    pub interpretation: Interpretation,
    records: &'static str,
    expected: &'static str,
}

macro_rules! meter {
    ($name:literal, $interval:ident, $interpretation:ident) => {
        ReferenceMeter {
            name: $name,
            interval: Interval::$interval,
            interpretation: Interpretation::$interpretation,
            records: include_str!(concat!("../reference/inputs/", $name, ".csv")),
            expected: include_str!(concat!("../reference/eemeter320/", $name, ".json")),
        }
    };
}

/// All twelve.
pub static METERS: [ReferenceMeter; 12] = [
    meter!("il-electricity-cdd-hdd-daily", Daily, ElectricityConsumptionSupplied),
    meter!("il-electricity-cdd-hdd-billing_monthly", BillingMonthly, ElectricityConsumptionSupplied),
    meter!("il-electricity-cdd-hdd-billing_bimonthly", BillingBimonthly, ElectricityConsumptionSupplied),
    meter!("il-electricity-cdd-only-daily", Daily, ElectricityConsumptionSupplied),
    meter!("il-electricity-cdd-only-billing_monthly", BillingMonthly, ElectricityConsumptionSupplied),
    meter!("il-electricity-cdd-only-billing_bimonthly", BillingBimonthly, ElectricityConsumptionSupplied),
    meter!("il-gas-hdd-only-daily", Daily, NaturalGasConsumptionSupplied),
    meter!("il-gas-hdd-only-billing_monthly", BillingMonthly, NaturalGasConsumptionSupplied),
    meter!("il-gas-hdd-only-billing_bimonthly", BillingBimonthly, NaturalGasConsumptionSupplied),
    meter!("il-gas-intercept-only-daily", Daily, NaturalGasConsumptionSupplied),
    meter!("il-gas-intercept-only-billing_monthly", BillingMonthly, NaturalGasConsumptionSupplied),
    meter!("il-gas-intercept-only-billing_bimonthly", BillingBimonthly, NaturalGasConsumptionSupplied),
];

static TEMPERATURES: &str = include_str!("../reference/inputs/il-tempF.csv");

/// Where the intervention of all meters begins, and where it is over.
const BLACKOUT: [&str; 2] = ["2016-12-26", "2017-01-04"];

/// The year over which modelled savings are.
const YEAR: [&str; 2] = ["2017-01-01", "2018-01-01"];

/// Bands were computed at these confidences.
const CONFIDENCES: [(f64, &str); 2] = [(0.9, "metered_error_bands_90"), (0.95, "metered_error_bands_95")];

/// The data that come with the program can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the reference data of {meter} are damaged: {problem}")]
pub struct DamagedReference {
    /// Which meter, or the temperatures.
    pub meter: &'static str,
    /// What is wrong.
    pub problem: String,
}

impl ReferenceMeter {
    /// Its records.
    ///
    /// # Errors
    /// They are damaged.
    pub fn readings(&self) -> Result<Vec<Reading>, DamagedReference> {
        let rows = rows(self.name, self.records)?;
        let reading = |(start, value): (Tick, f64)| Reading {
            start,
            value: Some(value).filter(|value| !value.is_nan()),
            estimated: false,
        };
        Ok(rows.into_iter().map(reading).collect())
    }

    /// What eemeter computes.
    ///
    /// # Errors
    /// It is damaged.
    pub fn expected(&self) -> Result<Value, DamagedReference> {
        let damaged =
            |error: serde_json::Error| DamagedReference { meter: self.name, problem: error.to_string() };
        serde_json::from_str(self.expected).map_err(damaged)
    }

    /// Both periods, prepared and fitted as they were for eemeter.
    ///
    /// # Errors
    /// Its data are damaged.
    pub fn fitted(&self, mode: Mode, weather: &Weather) -> Result<Fitted, DamagedReference> {
        let prepared = prepare(&self.readings()?, None, self.interpretation, weather.zone(), mode);
        let settings = FitSettings::new(prepared.interval, self.interpretation.may_cool());
        let [baseline_end, reporting_start] = blackout(self.name)?;
        let (before, _) = baseline(&prepared.meter, baseline_end, &PeriodSettings::default());
        let (after, _) = reporting(&prepared.meter, reporting_start, &PeriodSettings::default());
        let designs = [&before, &after].map(|meter| {
            let features = Features::new(meter.bounds(), weather, prepared.interval, Purpose::Fit, mode);
            Design::new(meter, features, prepared.interval, mode)
        });
        let fits = [fit(&designs[0], &settings), fit(&designs[1], &settings)];
        Ok(Fitted { mode, interval: prepared.interval, settings, reporting: after, designs, fits })
    }
}

/// When the intervention begins, and when it is over.
fn blackout(meter: &'static str) -> Result<[Tick; 2], DamagedReference> {
    Ok([tick(meter, BLACKOUT[0])?, tick(meter, BLACKOUT[1])?])
}

/// The weather of all meters.
///
/// # Errors
/// The temperatures are damaged.
pub fn weather() -> Result<&'static Weather, DamagedReference> {
    static WEATHER: OnceLock<Weather> = OnceLock::new();
    if let Some(weather) = WEATHER.get() {
        return Ok(weather);
    }
    let hours = rows("il-tempF", TEMPERATURES)?;
    Ok(WEATHER.get_or_init(|| Weather::from_degf(hours, Zone::UTC)))
}

fn tick(meter: &'static str, text: &str) -> Result<Tick, DamagedReference> {
    text.parse().map_err(|error| DamagedReference { meter, problem: format!("{error}") })
}

/// Rows of a time and a number, NaN where there is none.
fn rows(meter: &'static str, text: &str) -> Result<Vec<(Tick, f64)>, DamagedReference> {
    let row = |line: &str| {
        let (start, value) = line.split_once(',').unwrap_or((line, ""));
        Ok((tick(meter, start)?, value.parse().unwrap_or(f64::NAN)))
    };
    text.lines().skip(1).map(row).collect()
}

/// A meter before and after its intervention, fitted.
#[derive(Clone, Debug)]
pub struct Fitted {
    /// Which arithmetic it follows.
    pub mode: Mode,
    /// What the periods are.
    pub interval: Interval,
    /// Which candidates were tried.
    pub settings: FitSettings,
    /// The periods after the intervention.
    pub reporting: MeterSeries,
    /// Rows of the baseline and of the reporting period.
    pub designs: [Design; 2],
    /// Their fits.
    pub fits: [Fit; 2],
}

impl Fitted {
    /// Metered savings; nothing without a model of the baseline.
    pub fn metered(&self, weather: &Weather, confidence: f64) -> Option<MeteredSavings> {
        let bounds = self.reporting.bounds();
        let features = Features::new(bounds, weather, self.interval, Purpose::Predict, self.mode);
        Some(metered_savings(self.fits[0].model.as_ref()?, &self.reporting, &features, confidence))
    }

    /// Modelled savings over so many days; nothing without both models.
    pub fn modeled(&self, weather: &Weather, days: &[Tick], confidence: f64) -> Option<ModeledSavings> {
        let features = Features::new(days, weather, self.interval, Purpose::Predict, self.mode);
        let [baseline, reporting] = [self.fits[0].model.as_ref()?, self.fits[1].model.as_ref()?];
        Some(modeled_savings(baseline, reporting, &features, confidence))
    }
}

/// Numbers of one kind, compared with eemeter's.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Comparison {
    /// How many were compared.
    pub n: usize,
    /// The largest deviation, relative to eemeter's number; infinite where one of both has none.
    pub largest: f64,
    /// Which one that is, with both numbers; nothing if all are the same.
    pub worst: Option<String>,
}

impl Comparison {
    /// Whether all are as near as they are to be.
    pub fn is_met(&self) -> bool {
        self.n > 0 && self.largest <= TOLERANCE
    }

    /// Compares with a number or null. What eemeter has as rounding of zero, below [`TOLERANCE`] of `scale`, is compared with it.
    pub fn add(&mut self, name: &str, found: Option<f64>, expected: &Value, scale: f64) {
        self.n += 1;
        let found = found.filter(|found| !found.is_nan());
        let deviation = match (found, expected.as_f64()) {
            (None, None) => 0.0,
            (Some(found), Some(expected)) if found == expected => 0.0,
            (Some(found), Some(expected)) if expected.abs() > TOLERANCE * scale => {
                ((found - expected) / expected).abs()
            }
            (Some(found), Some(expected)) => (found - expected).abs() / scale,
            _ => f64::INFINITY,
        };
        if deviation > self.largest {
            self.largest = deviation;
            let found = found.map_or("nothing".to_owned(), |found| format!("{found:?}"));
            self.worst = Some(format!("{name}: {found} instead of {expected}"));
        }
    }

    fn add_text(&mut self, name: &str, found: &str, expected: &Value) {
        self.n += 1;
        if expected.as_str() != Some(found) {
            self.largest = f64::INFINITY;
            self.worst = Some(format!("{name}: {found} instead of {expected}"));
        }
    }
}

/// What was compared of one meter, in `compat` mode.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MeterVerification {
    /// Its name.
    pub meter: &'static str,
    /// The best candidate of the baseline and of the reporting period.
    pub formulas: [Option<String>; 2],
    /// How many candidates of the baseline fit as well as the best, if eemeter took another one of them: then what follows
    /// from the choice is not compared.
    pub n_tied: Option<usize>,
    /// How many candidates had which status.
    pub candidates: Comparison,
    /// Intercepts, slopes and balance points.
    pub parameters: Comparison,
    /// Adjusted R².
    pub r_squared_adj: Comparison,
    /// All metrics, of totals and of usage per day.
    pub metrics: Comparison,
    /// Metered savings, usage and loads.
    pub metered_savings: Comparison,
    /// Modelled savings, usage and loads over a year.
    pub modeled_savings: Comparison,
    /// FSU and OLS bands of both at 90 %, of metered savings at 95 %, too.
    pub error_bands: Comparison,
}

impl MeterVerification {
    /// Every comparison with its name.
    pub fn comparisons(&self) -> [(&'static str, &Comparison); 7] {
        [
            ("candidates", &self.candidates),
            ("parameters", &self.parameters),
            ("adjusted R²", &self.r_squared_adj),
            ("metrics", &self.metrics),
            ("metered savings", &self.metered_savings),
            ("modelled savings", &self.modeled_savings),
            ("error bands", &self.error_bands),
        ]
    }

    /// Whether all of them are as near as they are to be.
    pub fn is_met(&self) -> bool {
        self.comparisons().iter().all(|(_, comparison)| comparison.is_met())
    }
}

/// Computes a reference meter, and compares all of it with eemeter's numbers.
///
/// # Errors
/// The reference data are damaged.
pub fn verify(meter: &ReferenceMeter) -> Result<MeterVerification, DamagedReference> {
    let weather = weather()?;
    let expected = meter.expected()?;
    let fitted = meter.fitted(Mode::Compat, weather)?;
    let n_tied = fitted.fits[0].warnings.iter().find_map(|warning| match warning {
        Warning::Tie { n_tied, .. } => Some(*n_tied),
        _ => None,
    });
    let formulas = [0, 1].map(|side: usize| fitted.fits[side].model.as_ref().map(Model::formula));
    let is_other = formulas[0].as_deref() != expected["baseline_model"]["formula"].as_str();
    let mut found = MeterVerification {
        meter: meter.name,
        formulas,
        n_tied: n_tied.filter(|_| is_other),
        candidates: Comparison::default(),
        parameters: Comparison::default(),
        r_squared_adj: Comparison::default(),
        metrics: Comparison::default(),
        metered_savings: Comparison::default(),
        modeled_savings: Comparison::default(),
        error_bands: Comparison::default(),
    };
    found.compare_models(&fitted, &expected);
    found.compare_metered(&fitted, weather, &expected);
    let days = weather.zone().day_bounds(tick(meter.name, YEAR[0])?, tick(meter.name, YEAR[1])?);
    found.compare_modeled(&fitted, weather, &days, &expected);
    Ok(found)
}

impl MeterVerification {
    fn compare_models(&mut self, fitted: &Fitted, expected: &Value) {
        for (fit, side) in fitted.fits.iter().zip(["baseline_model", "reporting_model"]) {
            let expected = &expected[side];
            self.compare_counts(fit, &expected["candidate_status_counts"]);
            let model = fit.model.as_ref();
            let r_squared_adj = model.map(|model| model.r_squared_adj);
            self.r_squared_adj.add(side, r_squared_adj, &expected["r_squared_adj"], 1.0);
            self.compare_metrics(model.map(|model| &model.totals_metrics), &expected["totals_metrics"]);
            if self.n_tied.is_some() && side == "baseline_model" {
                continue;
            }
            self.compare_metrics(model.map(|model| &model.avgs_metrics), &expected["avgs_metrics"]);
            let formula = model.map(Model::formula).unwrap_or_default();
            self.parameters.add_text("formula", &formula, &expected["formula"]);
            for (name, number) in [
                ("intercept", model.map(|model| model.intercept)),
                ("beta_hdd", model.and_then(|model| model.beta_hdd)),
                ("beta_cdd", model.and_then(|model| model.beta_cdd)),
                ("heating_balance_point", model.and_then(|model| model.heating_balance_point)),
                ("cooling_balance_point", model.and_then(|model| model.cooling_balance_point)),
            ] {
                self.parameters.add(name, number, &expected["params"][name], 1.0);
            }
        }
    }

    fn compare_counts(&mut self, fit: &Fit, expected: &Value) {
        // A structure of numbers is always JSON.
        let counts = serde_json::to_value(fit.candidates).unwrap_or_default();
        for (model_type, statuses) in counts.as_object().into_iter().flatten() {
            for (status, count) in statuses.as_object().into_iter().flatten() {
                let name = format!("{model_type}|{}", status.to_uppercase().replace('_', " "));
                let expected = expected.get(&name).cloned().unwrap_or_else(|| 0.into());
                self.candidates.add(&name, count.as_f64(), &expected, 1.0);
            }
        }
    }

    fn compare_metrics(&mut self, metrics: Option<&Metrics>, expected: &Value) {
        let metrics = serde_json::to_value(metrics).unwrap_or_default();
        for (name, expected) in expected.as_object().into_iter().flatten() {
            self.metrics.add(name, metrics[name].as_f64(), expected, 1.0);
        }
    }

    fn compare_metered(&mut self, fitted: &Fitted, weather: &Weather, expected: &Value) {
        let by_confidence = CONFIDENCES.map(|(confidence, _)| fitted.metered(weather, confidence));
        for (savings, (_, bands)) in by_confidence.iter().zip(CONFIDENCES) {
            let found = savings.as_ref().and_then(|savings| savings.error_bands);
            let band = |get: fn(&ErrorBands) -> f64| found.as_ref().map(get);
            for (name, found) in [
                ("FSU Error Band", band(|bands| bands.fsu)),
                ("OLS Error Band", band(|bands| bands.ols)),
                ("OLS Error Band: Model Error", band(|bands| bands.ols_model)),
                ("OLS Error Band: Noise", band(|bands| bands.ols_noise)),
            ] {
                self.error_bands.add(name, found, &expected[bands][name], 1.0);
            }
        }
        let [savings, _] = by_confidence;
        let expected = &expected["metered_savings"];
        let number = |get: fn(&MeteredSavings) -> f64| savings.as_ref().map(get);
        let scale = savings.as_ref().map_or(1.0, |savings| savings.counterfactual_usage);
        self.metered_savings.add(
            "n_rows_not_null",
            number(|of| of.n_periods as f64),
            &expected["n_rows_not_null"],
            1.0,
        );
        let observed = number(|of| of.reporting_observed);
        self.metered_savings.add("reporting_observed", observed, &expected["reporting_observed"], scale);
        if self.n_tied.is_some() {
            return;
        }
        for (name, found) in [
            ("counterfactual_usage", number(|of| of.counterfactual_usage)),
            ("metered_savings", number(|of| of.metered_savings)),
            ("counterfactual_base_load", number(|of| of.counterfactual_loads.base)),
            ("counterfactual_heating_load", number(|of| of.counterfactual_loads.heating)),
            ("counterfactual_cooling_load", number(|of| of.counterfactual_loads.cooling)),
        ] {
            self.metered_savings.add(name, found, &expected[name], scale);
        }
    }

    fn compare_modeled(&mut self, fitted: &Fitted, weather: &Weather, days: &[Tick], expected: &Value) {
        let savings = fitted.modeled(weather, days, CONFIDENCES[0].0);
        let of = |get: fn(&ModeledSavings) -> Option<f64>| savings.as_ref().and_then(get);
        let bands = &expected["modeled_error_bands_90"];
        for (name, found) in [
            ("FSU Error Band", of(|of| of.fsu)),
            ("FSU Error Band: Baseline", of(|of| of.fsu_baseline)),
            ("FSU Error Band: Reporting", of(|of| of.fsu_reporting)),
        ] {
            self.error_bands.add(name, found, &bands[name], 1.0);
        }
        let expected = &expected["modeled_savings_calendar_2017_as_normal_year"];
        let number = |get: fn(&ModeledSavings) -> f64| savings.as_ref().map(get);
        let scale = savings.as_ref().map_or(1.0, |savings| savings.modeled_baseline_usage);
        for (name, found) in [
            ("n_rows_not_null", number(|of| of.n_periods as f64)),
            ("modeled_reporting_usage", number(|of| of.modeled_reporting_usage)),
            ("modeled_reporting_base_load", number(|of| of.reporting_loads.base)),
            ("modeled_reporting_heating_load", number(|of| of.reporting_loads.heating)),
            ("modeled_reporting_cooling_load", number(|of| of.reporting_loads.cooling)),
        ] {
            self.modeled_savings.add(name, found, &expected[name], scale);
        }
        if self.n_tied.is_some() {
            return;
        }
        for (name, found) in [
            ("modeled_baseline_usage", number(|of| of.modeled_baseline_usage)),
            ("modeled_savings", number(|of| of.modeled_savings)),
            ("modeled_baseline_base_load", number(|of| of.baseline_loads.base)),
            ("modeled_baseline_heating_load", number(|of| of.baseline_loads.heating)),
            ("modeled_baseline_cooling_load", number(|of| of.baseline_loads.cooling)),
        ] {
            self.modeled_savings.add(name, found, &expected[name], scale);
        }
    }
}
