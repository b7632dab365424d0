//! What eemeter 3.2.0 computes from the twelve reference meters, to 1e-9.

use serde_json::Value;
use sheaf_savings::savings::MeteredPeriod;
use sheaf_savings::settings::{Mode, SufficiencySettings};
use sheaf_savings::sufficiency::sufficiency;
use sheaf_savings::verification::{METERS, verify};
use sheaf_savings::warning::Warning;

use super::reference::{Deviations, TIED_METER, baseline_end, csv, expected, fitted, meters, weather};

/// Everything that `verify` compares: models, metrics, candidates' statuses, savings and bands.
#[test]
fn all_meters_are_those_of_eemeter() {
    let mut largest = 0.0_f64;
    for meter in &METERS {
        let found = verify(meter).unwrap();
        for (name, comparison) in found.comparisons() {
            assert!(comparison.is_met(), "{} {name}: {comparison:?}", meter.name);
            largest = largest.max(comparison.largest);
        }
        assert_eq!(found.n_tied, (meter.name == TIED_METER).then_some(8));
        // Sixteen counts of candidates, six parameters and one R² of each side, and so on: nothing is left out.
        let compared: Vec<usize> = found.comparisons().iter().map(|(_, comparison)| comparison.n).collect();
        if found.n_tied.is_none() {
            assert_eq!(compared, [32, 12, 2, compared[3], 7, 10, 11]);
            assert!(compared[3] >= 100, "{compared:?}");
        }
        let expected = expected(meter.name);
        let fits = fitted(meter.name, Mode::Compat, weather()).fits;
        for (fit, side) in fits.iter().zip(["baseline_model", "reporting_model"]) {
            assert_eq!(serde_json::to_value(fit.status).unwrap(), expected[side]["status"]);
            let model_type = fit.model.as_ref().unwrap().model_type;
            let is_tied = found.n_tied.is_some() && side == "baseline_model";
            if !is_tied {
                assert_eq!(serde_json::to_value(model_type).unwrap(), expected[side]["model_type"]);
                assert!(fit.warnings.is_empty(), "{} {side}: {:?}", meter.name, fit.warnings);
            }
        }
    }
    println!("largest deviation: {largest:e}");
}

/// Eight balance points fit equally well; the lowest is taken. Fit and savings are those of eemeter's choice.
#[test]
fn the_tie() {
    let fitted = fitted(TIED_METER, Mode::Compat, weather());
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
}

#[test]
fn metered_savings_of_each_period() {
    for meter in meters().filter(|meter| *meter != TIED_METER) {
        let savings = fitted(meter, Mode::Compat, weather()).metered(weather(), 0.9).unwrap();
        compare_periods(meter, &savings.periods.iter().map(MeteredPeriod::savings).collect::<Vec<_>>());
    }
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
fn sufficiency_of_baselines() {
    for meter in meters() {
        let fitted = fitted(meter, Mode::Compat, weather());
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
