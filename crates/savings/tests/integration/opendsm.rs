//! Stored models of opendsm: what they predict, and that they are kept as they came.

use jiff::civil::{Date, date};
use serde_json::{Value, json};
use sheaf_savings::opendsm::{ModelType, NoPrediction, StoredFormat, StoredModel, StoredModelError};

macro_rules! meter {
    ($name:literal) => {
        (
            $name,
            include_str!(concat!("../../reference/opendsm/", $name, ".json")),
            include_str!(concat!("../../reference/opendsm/", $name, ".predict.csv")),
        )
    };
}

/// Name, stored model, predictions.
const METERS: [(&str, &str, &str); 7] = [
    meter!("il-electricity-cdd-hdd-billing_bimonthly"),
    meter!("il-electricity-cdd-hdd-billing_monthly"),
    meter!("il-electricity-cdd-hdd-daily"),
    meter!("il-electricity-cdd-only-daily"),
    meter!("il-gas-hdd-only-billing_monthly"),
    meter!("il-gas-hdd-only-daily"),
    meter!("il-gas-intercept-only-daily"),
];

/// The predictions are printed with ten digits, and so are the temperatures they come from.
const TOLERANCE: f64 = 1e-8;

/// How far a number is from the reference, relative to it or, if that is small, to 1.
fn deviation(found: f64, expected: f64) -> f64 {
    (found - expected).abs() / expected.abs().max(1.0)
}

fn stored(text: &str) -> Value {
    serde_json::from_str::<Value>(text).unwrap()["model"].clone()
}

#[test]
fn every_day_of_the_reference_meters() {
    let mut worst = 0.0_f64;
    for (name, text, predictions) in METERS {
        let model = StoredModel::from_json(&stored(text)).unwrap();
        assert_eq!(model.format(), StoredFormat::Opendsm);
        assert_eq!(model.baseline_timezone(), Some("UTC"));
        let mut days = 0;
        for line in predictions.lines().skip(1) {
            let cells: Vec<&str> = line.split(',').collect();
            let number = |column: usize| cells[column].parse::<f64>().unwrap();
            let date: Date = cells[0][..10].parse().unwrap();
            let day = model.predict(date, number(4)).unwrap();
            let found = [day.energy, day.uncertainty.unwrap(), day.heating_load, day.cooling_load];
            for (found, column) in found.into_iter().zip(6..) {
                let deviation = deviation(found, number(column));
                assert!(deviation <= TOLERANCE, "{name} {line}: {day:?}");
                worst = worst.max(deviation);
            }
            assert_eq!(day.submodel, cells[10], "{name} {line}");
            assert_eq!(day.model_type.to_string(), cells[11], "{name} {line}");
            days += 1;
        }
        assert!(days >= 318, "{name} has {days} days");
    }
    println!("worst day {worst:.1e}");
}

#[test]
fn curves_of_every_shape() {
    let reference: Value = serde_json::from_str(include_str!("../../reference/opendsm/curves.json")).unwrap();
    let temps: Vec<f64> = serde_json::from_value(reference["temps_degf"].clone()).unwrap();
    for case in reference["cases"].as_array().unwrap() {
        let model = StoredModel::from_json(&json!({ "submodels": { "fw-su_sh_wi": {
            "coefficients": case["coefficients"],
            "temperature_constraints": reference["temperature_constraints"],
            "f_unc": 1.0,
        } } }))
        .unwrap();
        let expected: Vec<[f64; 3]> = serde_json::from_value(case["energy_heating_cooling"].clone()).unwrap();
        for (&temp, expected) in temps.iter().zip(expected) {
            let day = model.predict(date(2017, 1, 4), temp).unwrap();
            for (found, expected) in [day.energy, day.heating_load, day.cooling_load].iter().zip(expected) {
                assert!(
                    (found - expected).abs() <= 1e-13 * expected.abs().max(1.0),
                    "{} at {temp} °F: {found}, not {expected}",
                    case["name"]
                );
            }
        }
    }
}

/// A submodel that always says the same.
fn flat(energy: f64) -> Value {
    json!({
        "coefficients": { "model_type": "tidd", "intercept": energy },
        "temperature_constraints": { "T_min": 0.0, "T_max": 90.0, "T_min_seg": 5.0, "T_max_seg": 85.0 },
        "f_unc": 1.0,
    })
}

#[test]
fn a_day_belongs_to_its_season_and_part_of_the_week() {
    let mut json = json!({ "submodels": {
        "fw-su": flat(1.0), "wd-sh_wi": flat(2.0), "we-sh": flat(3.0), "we-wi": flat(4.0),
    } });
    let energy = |model: &StoredModel, date: Date| model.predict(date, 50.0).unwrap().energy;
    let model = StoredModel::from_json(&json).unwrap();
    assert_eq!(energy(&model, date(2017, 6, 1)), 1.0);
    assert_eq!(energy(&model, date(2017, 9, 30)), 1.0);
    assert_eq!(energy(&model, date(2017, 10, 2)), 2.0);
    assert_eq!(energy(&model, date(2017, 2, 28)), 2.0);
    assert_eq!(energy(&model, date(2017, 3, 4)), 3.0);
    assert_eq!(energy(&model, date(2017, 11, 5)), 4.0);
    assert_eq!(energy(&model, date(1969, 12, 31)), 2.0);

    // The settings that are stored with the model say what a season and a weekend are.
    json["settings"] = json!({ "season": { "march": "summer" }, "weekday_weekend": { "friday": "weekend" } });
    let model = StoredModel::from_json(&json).unwrap();
    assert_eq!(energy(&model, date(2017, 3, 4)), 1.0);
    assert_eq!(energy(&model, date(2017, 11, 3)), 4.0);
    assert_eq!(energy(&model, date(2017, 11, 5)), 4.0);
}

#[test]
fn days_without_a_prediction() {
    let model = StoredModel::from_json(&json!({ "submodels": { "wd-su_sh_wi": flat(1.0) } })).unwrap();
    let (friday, saturday) = (date(2017, 3, 3), date(2017, 3, 4));
    for temp in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert_eq!(model.predict(friday, temp), Err(NoPrediction::TemperatureMissing { date: friday }));
    }
    let error = model.predict(saturday, 50.0).unwrap_err();
    assert_eq!(error, NoPrediction::NoSubmodel { date: saturday });
    assert_eq!(error.to_string(), "no submodel covers 2017-03-04");
}

#[test]
fn models_of_eemeter_2() {
    let params = json!({
        "intercept": 10.0, "beta_hdd": 0.5, "beta_cdd": 2.0, "heating_balance_point": 55, "cooling_balance_point": 68,
    });
    let at = |model_type: &str, temp: f64| {
        let model = json!({ "model_type": model_type, "model_params": params });
        let day = date(2017, 7, 4);
        let bare = StoredModel::from_json(&model).unwrap();
        assert_eq!(bare.format(), StoredFormat::Eemeter2);
        let wrapped = StoredModel::from_json(&json!({ "status": "SUCCESS", "model": model })).unwrap();
        let prediction = bare.predict(day, temp).unwrap();
        assert_eq!(prediction, wrapped.predict(day, temp).unwrap());
        assert_eq!(prediction.uncertainty, None);
        prediction.energy
    };
    for (model_type, at_45, at_60, at_78) in [
        ("intercept_only", 10.0, 10.0, 10.0),
        ("hdd_only", 15.0, 10.0, 10.0),
        ("cdd_only", 10.0, 10.0, 30.0),
        ("cdd_hdd", 15.0, 10.0, 30.0),
    ] {
        assert_eq!((at(model_type, 45.0), at(model_type, 60.0), at(model_type, 78.0)), (at_45, at_60, at_78));
    }
}

#[test]
fn what_was_loaded_is_exported() {
    let eemeter2 = json!({ "model_type": "cdd_only", "formula": "meter_value ~ cdd_65", "model_params":
        { "intercept": 0.1, "beta_cdd": 1.0 / 3.0, "cooling_balance_point": 65 } });
    let models = METERS.iter().map(|(_, text, _)| stored(text)).chain([eemeter2]);
    for json in models {
        let model = StoredModel::from_json(&json).unwrap();
        assert_eq!(model.to_json().to_string(), json.to_string());

        let kept = serde_json::to_string(&model).unwrap();
        assert!(kept.starts_with(r#"{"version":1,"model":{"#));
        let again: StoredModel = serde_json::from_str(&kept).unwrap();
        assert_eq!(again, model);
        assert_eq!(serde_json::to_string(&again).unwrap(), kept);
    }
}

/// What is said of a model of one submodel after a change.
fn error(change: impl FnOnce(&mut Value)) -> StoredModelError {
    let mut json = json!({ "submodels": { "fw-su_sh_wi": flat(1.0) } });
    change(&mut json);
    StoredModel::from_json(&json).unwrap_err()
}

#[test]
fn models_that_can_not_be_loaded() {
    for nonsense in [json!(null), json!([]), json!({}), json!("model"), json!({ "model": 5 })] {
        assert_eq!(StoredModel::from_json(&nonsense).unwrap_err(), StoredModelError::UnknownFormat);
    }
    assert_eq!(error(|json| json["submodels"] = json!({})), StoredModelError::NoSubmodels);
    for name in ["", "fw", "fw-", "fw-spring", "xx-su", "fw-su_", "wd-su-wi"] {
        let named = error(|json| json["submodels"] = json!({ name: flat(1.0) }));
        assert_eq!(named, StoredModelError::SubmodelName { name: name.to_owned() });
    }
    assert_eq!(
        error(|json| json["submodels"] = json!({ "wd-su_wi": flat(1.0), "fw-wi": flat(2.0) })).to_string(),
        "submodels `wd-su_wi` and `fw-wi` cover the same days"
    );
    let coefficients = |json: &mut Value, coefficients: Value| {
        json["submodels"]["fw-su_sh_wi"]["coefficients"] = coefficients;
    };
    let missing = error(|json| {
        coefficients(json, json!({ "model_type": "hdd_tidd", "intercept": 1.0, "hdd_bp": 60.0 }));
    });
    assert_eq!(
        serde_json::to_value(&missing).unwrap(),
        json!({ "code": "coefficient_missing", "data": {
            "submodel": "fw-su_sh_wi", "model_type": "hdd_tidd", "coefficient": "hdd_beta" } })
    );
    assert!(matches!(missing, StoredModelError::CoefficientMissing { model_type: ModelType::HddTidd, .. }));
    let negative = error(|json| {
        coefficients(
            json,
            json!({ "model_type": "tidd_cdd_smooth", "intercept": 1.0, "cdd_bp": 60.0, "cdd_beta": 1.0, "cdd_k": -1.0 }),
        );
    });
    assert_eq!(negative.to_string(), "submodel `fw-su_sh_wi` has a negative `cdd_k`");
    let shape = error(|json| coefficients(json, json!({ "model_type": "quadratic", "intercept": 1.0 })));
    assert!(shape.to_string().contains("quadratic"), "{shape}");
    let intercept = error(|json| coefficients(json, json!({ "model_type": "tidd" })));
    assert!(intercept.to_string().contains("intercept"), "{intercept}");
    assert_eq!(
        error(|json| json["settings"] = json!({ "season": { "may": "spring" } })).to_string(),
        "the settings assign may to `\"spring\"`, allowed: summer, shoulder, winter"
    );
    let unknown = json!({ "model_type": "quadratic", "model_params": { "intercept": 1.0 } });
    assert!(StoredModel::from_json(&unknown).unwrap_err().to_string().contains("quadratic"));
}
