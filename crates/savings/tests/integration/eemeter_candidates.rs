//! Every candidate of two reference meters: status, reasons, coefficients and adjusted R².

use serde_json::Value;
use sheaf_savings::search::{Candidate, candidates};
use sheaf_savings::settings::Mode;

use super::reference::{Deviations, fitted, json, weather};

fn formula(candidate: &Candidate) -> String {
    match (candidate.cooling_balance_point, candidate.heating_balance_point) {
        (Some(cooling), Some(heating)) => format!("meter_value ~ cdd_{cooling} + hdd_{heating}"),
        (Some(cooling), None) => format!("meter_value ~ cdd_{cooling}"),
        (None, Some(heating)) => format!("meter_value ~ hdd_{heating}"),
        (None, None) => "meter_value ~ 1".to_owned(),
    }
}

#[test]
fn every_candidate_of_two_meters() {
    let mut deviations = Deviations::default();
    for meter in ["il-electricity-cdd-hdd-daily", "il-electricity-cdd-hdd-billing_monthly"] {
        let fitted = fitted(meter, Mode::Compat, weather());
        let expected = json(&format!("eemeter320/{meter}.candidates.json"));
        let got = candidates(&fitted.designs[0], &fitted.settings);
        assert_eq!((got.len(), expected.as_array().unwrap().len()), (2014, 2014));
        for (got, expected) in got.iter().zip(expected.as_array().unwrap()) {
            assert_eq!(formula(got), expected["f"]);
            let name = format!("{meter} {}", formula(got));
            assert_eq!(serde_json::to_value(got.status).unwrap(), expected["status"], "{name}");
            assert_eq!(Value::from(got.codes()), expected["w"], "{name}");
            let r_squared_adj = Some(got.r_squared_adj).filter(|r2| !r2.is_nan());
            deviations.compare(&name, r_squared_adj, &expected["r2"], 1.0);
            let Some(coefficients) = got.coefficients else { continue };
            deviations.compare(&name, Some(coefficients.intercept), &expected["p"]["intercept"], 1.0);
            if got.heating_balance_point.is_some() {
                deviations.compare(&name, Some(coefficients.beta_hdd), &expected["p"]["beta_hdd"], 1.0);
            }
            if got.cooling_balance_point.is_some() {
                deviations.compare(&name, Some(coefficients.beta_cdd), &expected["p"]["beta_cdd"], 1.0);
            }
        }
    }
    println!("largest deviation of candidates: {:e}", deviations.largest());
}
