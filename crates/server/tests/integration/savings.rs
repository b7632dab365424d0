//! Savings with the program, from files as analysts have them.

use std::fmt::Write as _;
use std::fs;

use serde_json::Value;

use super::{sheaf, text};

/// The reference meters of the crate of savings.
const INPUTS: &str = "../savings/reference/inputs";
const ELECTRICITY: &str = "../savings/reference/inputs/il-electricity-cdd-hdd-daily.csv";
const BILLS: &str = "../savings/reference/inputs/il-electricity-cdd-hdd-billing_monthly.csv";
const TEMPERATURE: &str = "../savings/reference/inputs/il-tempF.csv";
const PERIODS: [&str; 4] = ["--baseline-end", "2016-12-26", "--reporting-start", "2017-01-04"];

fn savings(meter: &str, temperature: &str, more: &[&str]) -> std::process::Output {
    sheaf(&[&["savings", meter, "--temperature", temperature], &PERIODS[..], more].concat())
}

fn json(meter: &str, temperature: &str, more: &[&str]) -> Value {
    let output = savings(meter, temperature, &[more, &["--json"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn near(found: &Value, expected: f64, tolerance: f64) {
    let found = found.as_f64().unwrap();
    assert!((found - expected).abs() <= tolerance * expected.abs(), "{found} instead of {expected}");
}

/// The numbers of eemeter 3.2.0 for this meter.
#[test]
fn a_meter_in_compat_mode_is_what_eemeter_computes() {
    let found = json(ELECTRICITY, TEMPERATURE, &["--mode", "compat"]);
    let path = "../savings/reference/eemeter320/il-electricity-cdd-hdd-daily.json";
    let expected: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    for (side, model) in [("baseline", "baseline_model"), ("reporting", "reporting_model")] {
        let (found, expected) = (&found["models"][side], &expected[model]);
        assert_eq!(found["type"], expected["model_type"]);
        for name in ["intercept", "beta_hdd", "beta_cdd", "heating_balance_point", "cooling_balance_point"] {
            near(&found[name], expected["params"][name].as_f64().unwrap(), 1e-9);
        }
        near(&found["r_squared_adj"], expected["r_squared_adj"].as_f64().unwrap(), 1e-9);
        let cvrmse = &expected["avgs_metrics"]["cvrmse"];
        near(&found["metrics"]["cvrmse"], cvrmse.as_f64().unwrap(), 1e-9);
    }
    near(&found["metered_savings"], expected["metered_savings"]["metered_savings"].as_f64().unwrap(), 1e-9);
    let bands = &expected["metered_error_bands_95"];
    near(&found["metered_savings_bound"], bands["FSU Error Band"].as_f64().unwrap(), 1e-9);
    assert_eq!(found["mode"], "compat");
    assert_eq!(found["unit"], "KWH");
    assert_eq!(found["interval"], "daily");
    assert_eq!(found["status"]["code"], "success");
    assert_eq!(found["sufficiency"]["baseline"]["status"], "PASS");
}

#[test]
fn the_same_input_gives_the_same_bytes_and_a_chart() {
    let [once, again] = [(); 2].map(|()| savings(ELECTRICITY, TEMPERATURE, &["--json"]).stdout);
    assert!(!once.is_empty() && once == again);
    let output = savings(ELECTRICITY, TEMPERATURE, &[]);
    let text = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{text}");
    for part in
        ["strict", "cdd_68 + hdd_53", "Metered savings   793.91 ± 388.85 KWH (95 %)", "2017-07", "█", "░"]
    {
        assert!(text.contains(part), "{part} is missing:\n{text}");
    }
    assert_eq!(text.lines().filter(|line| line.trim_start().starts_with("2017-")).count(), 12, "{text}");
}

/// Other units, another order, °C, estimated reads and a column beside them: the same numbers.
#[test]
fn units_and_flags_are_read_from_the_table() {
    let folder = tempfile::tempdir().unwrap();
    let expected = json(BILLS, TEMPERATURE, &[]);
    let mut meter = "read at,energy (Wh),estimated,cost\n".to_owned();
    for line in fs::read_to_string(BILLS).unwrap().lines().skip(1) {
        let (start, value) = line.split_once(',').unwrap();
        let value = value.parse::<f64>().map_or(String::new(), |value| format!("{:.3}", value * 1000.0));
        writeln!(meter, "{start},{value},False,1.5").unwrap();
    }
    let mut temperature = "time,T (°C)\n".to_owned();
    for line in fs::read_to_string(TEMPERATURE).unwrap().lines().skip(1) {
        let (start, value) = line.split_once(',').unwrap();
        let value = value.parse::<f64>().map_or(String::new(), |degf| format!("{:?}", (degf - 32.0) / 1.8));
        writeln!(temperature, "{start},{value}").unwrap();
    }
    let paths = [("meter.csv", &meter), ("temperature.csv", &temperature)].map(|(name, contents)| {
        let path = folder.path().join(name);
        fs::write(&path, contents).unwrap();
        path.to_str().unwrap().to_owned()
    });
    let complaint = savings(&paths[0], &paths[1], &[]);
    assert_eq!(complaint.status.code(), Some(1));
    assert!(
        text(&complaint.stderr).contains("--value-column: `energy`, `estimated`, `cost`"),
        "{complaint:?}"
    );
    let found = json(&paths[0], &paths[1], &["--value-column", "energy"]);
    near(&found["metered_savings"], expected["metered_savings"].as_f64().unwrap(), 1e-9);

    // Two bills that somebody guessed are one with the next read.
    let guessed = meter.replacen("False", "True", 2);
    fs::write(&paths[0], guessed).unwrap();
    let found = json(&paths[0], &paths[1], &["--value-column", "energy"]);
    assert!(found["warnings"].to_string().contains("sheaf.meter.estimated_reads_combined"), "{found}");
}

#[test]
fn days_and_times_are_those_of_the_zone() {
    // The reporting period begins at six o'clock UTC there, within a day of this meter: with the next one.
    for (zone, start) in [("UTC", "2017-01-04T00:00:00Z"), ("America/Chicago", "2017-01-05T00:00:00Z")] {
        let found = json(ELECTRICITY, TEMPERATURE, &["--time-zone", zone]);
        assert_eq!(found["models"]["reporting"]["data_start"], start);
    }
    // Bills that are read at six o'clock are dated by the zone.
    let shown = savings(BILLS, TEMPERATURE, &["--time-zone", "Asia/Tokyo"]);
    assert!(text(&shown.stdout).contains("2017-01-"), "{shown:?}");
    let output = savings(ELECTRICITY, TEMPERATURE, &["--time-zone", "Springfield"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn what_is_wrong_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, contents: &str| {
        let path = folder.path().join(name);
        fs::write(&path, contents).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let fails = |meter: &str, temperature: &str, more: &[&str]| {
        let output = savings(meter, temperature, more);
        assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
        text(&output.stderr) + &text(&output.stdout)
    };
    let none = file("none.csv", "start,value\n");
    assert!(fails(&none, TEMPERATURE, &[]).contains("none.csv"));
    assert!(fails("nowhere.csv", TEMPERATURE, &[]).contains("nowhere.csv"));
    let wrong = file("wrong.csv", "start,value\n2016-01-01,1\n2016-01-02,much\n");
    assert!(fails(&wrong, TEMPERATURE, &[]).contains("line 3, column 2 (`value`): `much`"));
    let gallons = file("gallons.csv", "start,value (gal)\n2016-01-01,1\n2016-01-02,2\n");
    assert!(fails(&gallons, TEMPERATURE, &[]).contains("`gal`, which is no unit that is known here"));
    let one = file("one.csv", "start,value\n2016-01-01,1\n");
    assert!(fails(&one, TEMPERATURE, &[]).contains("No savings: none of the 1 records"));
    let long = file("long.csv", "start,series,value\n2016-01-01,a,1\n2016-01-02,b,2\n");
    assert!(fails(&long, TEMPERATURE, &[]).contains("long table"));
    // Overlapping periods, and a temperature file of another time.
    let periods = ["--baseline-end", "2017-06-01", "--reporting-start", "2017-01-04"];
    let output = sheaf(&[&["savings", ELECTRICITY, "--temperature", TEMPERATURE], &periods[..]].concat());
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("before the baseline ends"), "{}", text(&output.stdout));
    let later = file("later.csv", "start,degf\n2030-01-01T00:00Z,50\n2030-01-01T01:00Z,51\n");
    assert!(fails(ELECTRICITY, &later, &[]).contains("No savings: no model fits the baseline"));
    let output = savings(ELECTRICITY, TEMPERATURE, &["--interpretation", "GAS"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("NATURAL_GAS_CONSUMPTION_SUPPLIED"));
    let periods = ["--baseline-end", "soon", "--reporting-start", "2017-01-04"];
    let output = sheaf(&[&["savings", ELECTRICITY, "--temperature", TEMPERATURE], &periods[..]].concat());
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("\"soon\" is no time"), "{}", text(&output.stderr));

    // Gas is in therms.
    let gas = format!("{INPUTS}/il-gas-hdd-only-daily.csv");
    let found = json(&gas, TEMPERATURE, &["--interpretation", "NG_C_S"]);
    assert_eq!((&found["unit"], &found["models"]["baseline"]["beta_cdd"]), (&"THERM".into(), &Value::Null));
}

#[test]
fn the_reference_meters_are_verified() {
    let output = sheaf(&["verify"]);
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{shown}");
    assert!(shown.contains("il-gas-intercept-only-billing_bimonthly: 8 candidates"), "{shown}");
    let found: Value = serde_json::from_slice(&sheaf(&["verify", "--json"]).stdout).unwrap();
    assert_eq!(found["met"], true);
    assert_eq!(found["meters"].as_array().unwrap().len(), 12);
}
