//! What eemeter 3.2.0 computes from the twelve reference meters, to 1e-9.

use serde_json::Value;
use sheaf_savings::features::{Features, Purpose};
use sheaf_savings::metrics::Metrics;
use sheaf_savings::model::{Fit, Model};
use sheaf_savings::savings::{Loads, MeteredPeriod, metered_savings, modeled_savings};
use sheaf_savings::settings::{Mode, SufficiencySettings};
use sheaf_savings::sufficiency::sufficiency;
use sheaf_savings::uncertainty::ErrorBands;
use sheaf_savings::warning::Warning;
use sheaf_savings::zone::Zone;

use super::reference::{
    Deviations, Fitted, METERS, TIED_METER, at, baseline_end, csv, expected, fitted, weather,
};

fn compat(meter: &str) -> Fitted {
    fitted(meter, Mode::Compat, weather())
}

/// The tied meter's baseline aside: see [`TIED_METER`].
fn is_tied(meter: &str, side: &str) -> bool {
    meter == TIED_METER && side == "baseline_model"
}

fn compare_model(deviations: &mut Deviations, fit: &Fit, expected: &Value) {
    let model = fit.model.as_ref().unwrap();
    assert_eq!(serde_json::to_value(fit.status).unwrap(), expected["status"]);
    assert_eq!(serde_json::to_value(model.model_type).unwrap(), expected["model_type"]);
    assert_eq!(model.formula(), expected["formula"]);
    let params = &expected["params"];
    deviations.compare("intercept", Some(model.intercept), &params["intercept"], 1.0);
    deviations.compare("beta_hdd", model.beta_hdd, &params["beta_hdd"], 1.0);
    deviations.compare("beta_cdd", model.beta_cdd, &params["beta_cdd"], 1.0);
    let points = [model.heating_balance_point, model.cooling_balance_point];
    assert_eq!(points[0], params["heating_balance_point"].as_f64());
    assert_eq!(points[1], params["cooling_balance_point"].as_f64());
    deviations.compare("r_squared_adj", Some(model.r_squared_adj), &expected["r_squared_adj"], 1.0);
    compare_metrics(deviations, &model.totals_metrics, &expected["totals_metrics"]);
    compare_metrics(deviations, &model.avgs_metrics, &expected["avgs_metrics"]);
}

fn compare_metrics(deviations: &mut Deviations, metrics: &Metrics, expected: &Value) {
    let metrics = serde_json::to_value(metrics).unwrap();
    for (name, expected) in expected.as_object().unwrap() {
        deviations.compare(name, metrics[name].as_f64(), expected, 1.0);
    }
}

fn compare_counts(fit: &Fit, expected: &Value) {
    let counts = serde_json::to_value(fit.candidates).unwrap();
    for (model_type, statuses) in counts.as_object().unwrap() {
        for (status, count) in statuses.as_object().unwrap() {
            let name = format!("{model_type}|{}", status.to_uppercase().replace('_', " "));
            assert_eq!(*count, expected.get(&name).cloned().unwrap_or(0.into()), "{name}");
        }
    }
}

#[test]
fn models_and_metrics() {
    let mut deviations = Deviations::default();
    for (meter, ..) in METERS {
        let fitted = compat(meter);
        let expected = expected(meter);
        for (fit, side) in fitted.fits.iter().zip(["baseline_model", "reporting_model"]) {
            compare_counts(fit, &expected[side]["candidate_status_counts"]);
            if !is_tied(meter, side) {
                compare_model(&mut deviations, fit, &expected[side]);
                assert!(fit.warnings.is_empty(), "{meter} {side}: {:?}", fit.warnings);
            }
        }
    }
    println!("largest deviation of models and metrics: {:e}", deviations.largest());
}

/// Eight balance points fit equally well; the lowest is taken. Fit and savings are those of eemeter's choice.
#[test]
fn the_tie() {
    let fitted = compat(TIED_METER);
    let expected = &expected(TIED_METER)["baseline_model"];
    let fit = &fitted.fits[0];
    let model = fit.model.as_ref().unwrap();
    assert!(matches!(fit.warnings[..], [Warning::Tie { n_tied: 8, .. }]), "{:?}", fit.warnings);
    assert_eq!(
        (model.heating_balance_point, &expected["params"]["heating_balance_point"]),
        (Some(30.0), &31.into())
    );
    let mut deviations = Deviations::default();
    deviations.compare("r_squared_adj", Some(model.r_squared_adj), &expected["r_squared_adj"], 1.0);
    compare_metrics(&mut deviations, &model.totals_metrics, &expected["totals_metrics"]);
}

fn compare_bands(deviations: &mut Deviations, bands: Option<ErrorBands>, expected: &Value) {
    deviations.compare("fsu", bands.map(|bands| bands.fsu), &expected["FSU Error Band"], 1.0);
    deviations.compare("ols", bands.map(|bands| bands.ols), &expected["OLS Error Band"], 1.0);
    let model = bands.map(|bands| bands.ols_model);
    deviations.compare("ols model", model, &expected["OLS Error Band: Model Error"], 1.0);
    deviations.compare(
        "ols noise",
        bands.map(|bands| bands.ols_noise),
        &expected["OLS Error Band: Noise"],
        1.0,
    );
}

#[test]
fn metered_savings_and_bands() {
    let mut deviations = Deviations::default();
    for (meter, ..) in METERS {
        let fitted = compat(meter);
        let expected = expected(meter);
        let baseline = fitted.fits[0].model.as_ref().unwrap();
        let features = Features::new(
            fitted.reporting.bounds(),
            weather(),
            fitted.interval,
            Purpose::Predict,
            Mode::Compat,
        );
        for (confidence, bands) in [(0.9, "metered_error_bands_90"), (0.95, "metered_error_bands_95")] {
            let got = metered_savings(baseline, &fitted.reporting, &features, confidence);
            compare_bands(&mut deviations, got.error_bands, &expected[bands]);
            if is_tied(meter, "baseline_model") {
                continue;
            }
            let expected = &expected["metered_savings"];
            let usage = got.counterfactual_usage;
            let Loads { base, heating, cooling } = got.counterfactual_loads;
            for (name, value) in [
                ("reporting_observed", got.reporting_observed),
                ("counterfactual_usage", usage),
                ("metered_savings", got.metered_savings),
                ("counterfactual_base_load", base),
                ("counterfactual_heating_load", heating),
                ("counterfactual_cooling_load", cooling),
                ("n_rows_not_null", got.n_periods as f64),
            ] {
                deviations.compare(name, Some(value), &expected[name], usage);
            }
            compare_periods(meter, &got.periods.iter().map(MeteredPeriod::savings).collect::<Vec<_>>());
        }
    }
    println!("largest deviation of metered savings: {:e}", deviations.largest());
}

/// Printed with ten digits; the last row is the cap.
fn compare_periods(meter: &str, savings: &[Option<f64>]) {
    let expected = csv(&format!("eemeter320/{meter}.metered_savings.csv"));
    assert!(expected.len() >= savings.len());
    for ((start, values), got) in expected.iter().zip(savings) {
        let got = got.unwrap_or(f64::NAN);
        assert!(
            (got - values[2]).abs() < 1e-8 * values[1].abs().max(1.0),
            "{meter} {start}: {got} instead of {}",
            values[2]
        );
    }
}

#[test]
fn modeled_savings_of_2017() {
    let mut deviations = Deviations::default();
    let days = Zone::UTC.day_bounds(at("2017-01-01"), at("2018-01-01"));
    for (meter, ..) in METERS {
        let fitted = compat(meter);
        let expected = expected(meter);
        let [baseline, reporting]: [&Model; 2] =
            [fitted.fits[0].model.as_ref().unwrap(), fitted.fits[1].model.as_ref().unwrap()];
        let features = Features::new(&days, weather(), fitted.interval, Purpose::Predict, Mode::Compat);
        let got = modeled_savings(baseline, reporting, &features, 0.9);
        let bands = &expected["modeled_error_bands_90"];
        deviations.compare("fsu", got.fsu, &bands["FSU Error Band"], 1.0);
        deviations.compare("fsu baseline", got.fsu_baseline, &bands["FSU Error Band: Baseline"], 1.0);
        deviations.compare("fsu reporting", got.fsu_reporting, &bands["FSU Error Band: Reporting"], 1.0);
        if is_tied(meter, "baseline_model") {
            continue;
        }
        let expected = &expected["modeled_savings_calendar_2017_as_normal_year"];
        for (name, value) in [
            ("modeled_baseline_usage", got.modeled_baseline_usage),
            ("modeled_reporting_usage", got.modeled_reporting_usage),
            ("modeled_savings", got.modeled_savings),
            ("modeled_baseline_base_load", got.baseline_loads.base),
            ("modeled_baseline_heating_load", got.baseline_loads.heating),
            ("modeled_baseline_cooling_load", got.baseline_loads.cooling),
            ("modeled_reporting_base_load", got.reporting_loads.base),
            ("modeled_reporting_heating_load", got.reporting_loads.heating),
            ("modeled_reporting_cooling_load", got.reporting_loads.cooling),
            ("n_rows_not_null", got.n_periods as f64),
        ] {
            deviations.compare(name, Some(value), &expected[name], got.modeled_baseline_usage);
        }
    }
    println!("largest deviation of modeled savings: {:e}", deviations.largest());
}

#[test]
fn sufficiency_of_baselines() {
    for (meter, ..) in METERS {
        let fitted = compat(meter);
        let expected = expected(meter);
        for (requested_end, name) in [
            (Some(baseline_end()), "baseline_sufficiency_requested_end"),
            (None, "baseline_sufficiency_none"),
        ] {
            let settings = SufficiencySettings::new(Mode::Compat);
            let got = sufficiency(&fitted.designs[0], None, requested_end, &settings);
            let expected = &expected[name];
            assert_eq!(serde_json::to_value(got.status).unwrap(), expected["status"], "{meter}");
            assert_eq!(got.criteria_name, expected["criteria_name"]);
            let warnings = expected["warnings"].as_array().unwrap();
            assert_eq!(got.warnings.len(), warnings.len(), "{meter}");
            for (got, expected) in got.warnings.iter().zip(warnings) {
                assert_eq!(got.code(), expected["qualified_name"]);
                compare_data(&serde_json::to_value(got).unwrap()["data"], &expected["data"]);
            }
            let data = serde_json::to_value(got.data.unwrap()).unwrap();
            for expected in expected["data"].as_object().unwrap().values() {
                compare_data(&data, expected);
            }
        }
    }
}

/// Numbers of the same name.
fn compare_data(got: &Value, expected: &Value) {
    let mut deviations = Deviations::default();
    for (name, expected) in expected.as_object().unwrap() {
        if expected.is_number() && name != "num_days" {
            deviations.compare(name, got[name].as_f64(), expected, 1.0);
        }
    }
}
