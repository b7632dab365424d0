//! Meter runs and aggregation runs over HTTP: asked for, done, followed, killed, shared.

use std::f64::consts::TAU;
use std::fmt::Write as _;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sheaf_db::testing::TestDatabase;
use sheaf_model::{EnergyUnit, Interpretation};
use sheaf_savings::derivative::{DerivativeInterpretation, DerivativePair};
use sheaf_savings::meter::Reading;
use sheaf_savings::run::{RunInput, RunSettings, run};
use sheaf_savings::settings::Mode;
use sheaf_savings::verification::{METERS, weather as weather_of_reference_meters};

use super::datastore::{Client, check_error, keys};
use super::http::Server;

const METER_RUN: [&str; 14] = [
    "id",
    "trace",
    "project",
    "meter_result",
    "meter_input",
    "status",
    "failure_message",
    "traceback",
    "model_class",
    "model_kwargs",
    "formatter_class",
    "formatter_kwargs",
    "added",
    "updated",
];

/// A meter that heats below 18 °C and has done it better since the year 2012; another one for each number.
fn day(number: usize, day: usize) -> Value {
    let degc = degc(24 * day + 12);
    let heating = (18.0 - degc).max(0.0) * if day < 730 { 1.0 } else { 0.7 };
    let noise = (day * 7919 % 13) as f64 / 10.0;
    let (year, of_year) = (2010 + day / 365, day % 365);
    // Years of 365 days: nobody minds that a day in five years is missing.
    let lengths = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let (mut month, mut left) = (0, of_year);
    while left >= lengths[month] {
        left -= lengths[month];
        month += 1;
    }
    let start = format!("{year}-{:02}-{:02}T00:00:00Z", month + 1, left + 1);
    json!({ "start": start, "value": 10.0 + number as f64 + heating + noise, "estimated": false })
}

fn degc(hour: usize) -> f64 {
    15.0 - 12.0 * (hour as f64 / 8760.0 * TAU).cos()
}

/// Four years of weather at a station in Los Angeles.
fn weather(server: &Server) {
    let files = tempfile::tempdir().unwrap();
    let mut table = "time,temperature (°C)\n".to_owned();
    for hour in 0..4 * 8760 {
        let start =
            day(0, hour / 24)["start"].as_str().unwrap().replace("T00", &format!("T{:02}", hour % 24));
        writeln!(table, "{start},{:.3}", degc(hour)).unwrap();
    }
    // The 29th of February, which is in no year of 365 days.
    for hour in 0..24 {
        writeln!(table, "2012-02-29T{hour:02}:00:00Z,{:.3}", degc(24 * 59 + hour)).unwrap();
    }
    let file = files.path().join("weather.csv");
    std::fs::write(&file, table).unwrap();
    let output = server.sheaf(&["ingest", file.to_str().unwrap(), "--catalog", "/weather/station_722880"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Two projects with a trace of electricity and a trace of gas each.
fn two_projects(client: &Client<'_>) {
    weather(client.server);
    for project in 1..=2 {
        let project = json!({
            "project_id": format!("P{project}"), "zipcode": "91104",
            "baseline_period_end": "2012-01-01T00:00:00Z", "reporting_period_start": "2012-02-01T00:00:00Z",
        });
        client.made(201, "projects/", &project);
    }
    for trace in 1..=4_usize {
        let (interpretation, unit) = if trace % 2 == 1 { ("E_C_S", "KWH") } else { ("NG_C_S", "THERM") };
        let new = json!({ "trace_id": format!("T{trace}"), "interpretation": interpretation, "unit": unit });
        client.made(201, "traces/", &new);
        let mapping = json!({ "project_id": trace.div_ceil(2), "trace_id": trace });
        client.made(201, "project_trace_mappings/", &mapping);
        let records: Vec<Value> = (300..4 * 365)
            .map(|at| {
                let mut record = day(trace, at);
                record["trace_id"] = trace.into();
                record
            })
            .collect();
        client.made(200, "trace_records/bulk_upsert/", &json!(records));
    }
}

/// Waits until all runs of all requests have ended.
fn wait(client: &Client<'_>) {
    let begun = Instant::now();
    loop {
        let batches = client.get("batches/").json();
        let is_open =
            |batch: &Value| batch["pending"].as_u64() > Some(0) || batch["running"].as_u64() > Some(0);
        if !batches.as_array().unwrap().iter().any(is_open) {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(240), "runs don't end: {batches}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// What is behind a URL of an answer, with the same token.
fn fetched(client: &Client<'_>, url: &Value) -> Value {
    let url = url.as_str().unwrap_or_else(|| panic!("{url} is no URL"));
    let path = url.strip_prefix(&format!("http://{}/api/v1/", client.server.address())).unwrap();
    let answer = client.get(path);
    assert_eq!(answer.status, 200, "{url}: {answer}");
    answer.json()
}

fn first_keys(object: &Value, count: usize) -> Vec<&str> {
    keys(object)[..count].to_vec()
}

#[test]
fn meter_runs_answer_as_the_samples_show_them() {
    let server = Server::start(&[]);
    let client = Client::new(&server, &["--admin"]);
    two_projects(&client);
    let run = client.made(201, "meter_runs/", &json!({ "trace": 1 }));
    assert_eq!(first_keys(&run, 14), METER_RUN);
    assert_eq!(
        (&run["project"], &run["meter_result"], &run["status"]),
        (&1.into(), &1.into(), &"PENDING".into())
    );
    assert_eq!(run["meter_input"], Value::Null);

    let lists = client.made(
        201,
        "meter_runs/bulk/",
        &json!({
            "targets": [{ "project": 1 }, { "trace": 3 }, { "project": 1, "trace": 4 }],
            "model_kwargs": { "heating_base_temp": 64, "cooling_base_temp": 64 },
        }),
    );
    let pairs = |list: &Value| -> Vec<(i64, i64)> {
        let pair = |run: &Value| (run["project"].as_i64().unwrap(), run["trace"].as_i64().unwrap());
        list.as_array().unwrap().iter().map(pair).collect()
    };
    let lists: Vec<_> = lists.as_array().unwrap().iter().collect();
    // A pair that is named need not be mapped.
    assert_eq!(pairs(lists[0]), [(1, 1), (1, 2)]);
    assert_eq!((pairs(lists[1]), pairs(lists[2])), (vec![(2, 3)], vec![(1, 4)]));
    assert_eq!(first_keys(&lists[0][0], 14), METER_RUN);
    assert_eq!(lists[0][0]["model_kwargs"]["heating_base_temp"], 64);
    wait(&client);

    let run = client.get("meter_runs/1/").json();
    assert_eq!((&run["status"], &run["failure_message"]), (&"SUCCESS".into(), &Value::Null));
    let result = client.get("meter_results/1/").json();
    let order = [
        "id",
        "trace",
        "project",
        "meter_run",
        "meter_output",
        "status",
        "eemeter_version",
        "datastore_version",
        "model_class",
        "model_kwargs",
        "formatter_class",
        "formatter_kwargs",
        "added",
        "updated",
    ];
    assert_eq!(first_keys(&result, 14), order);
    assert_eq!(
        (&result["status"], &result["model_class"]),
        (&"SUCCESS".into(), &"CaltrackDailyModel".into())
    );
    assert_eq!(
        (&result["formatter_kwargs"]["freq_str"], &result["weather_station"]),
        (&"D".into(), &"722880".into())
    );
    let fixed = client.get("meter_results/2/").json();
    assert_eq!(fixed["model_kwargs"]["heating_base_temp"], 64);

    let input = fetched(&client, &run["meter_input"]);
    assert_eq!(
        (&input["type"], &input["trace"]["trace_id"]),
        (&"SINGLE_TRACE_SIMPLE_PROJECT".into(), &"T1".into())
    );
    // The 29th of February is missing, so it is a record without a value.
    assert_eq!(input["trace"]["records"].as_array().unwrap().len(), 1161);
    let output = fetched(&client, &result["meter_output"]);
    let fits = &output["modeled_energy_trace"]["fits"];
    assert_eq!(keys(fits), ["baseline", "reporting"]);

    // The derivatives are those of the output, and what was saved is what the meter has saved.
    let derivatives = client.get("meter_derivatives/?meter_result=1").json();
    let gross = &derivatives[1];
    assert_eq!((&gross["interpretation"], &gross["unit"]), (&"gross_predicted".into(), &"KWH".into()));
    assert_eq!(gross["baseline_value"], output["derivatives"][1]["baseline"]["value"]);
    let saved: f64 = gross["differential_value"].as_f64().unwrap();
    let truth: f64 = (731 + 31..731 + 31 + 365).map(|day| 0.3 * (18.0 - degc(24 * day + 12)).max(0.0)).sum();
    assert!((saved / truth - 1.0).abs() < 0.05, "{saved} kWh were said to be saved, {truth} are");

    // The same input, as an object and as a text, yields the same.
    for input in [input.clone(), Value::String(input.to_string())] {
        let run = client.made(201, "meter_runs/", &json!({ "meter_input": input }));
        assert_eq!((&run["trace"], &run["project"]), (&Value::Null, &Value::Null));
        assert_eq!(fetched(&client, &run["meter_input"])["trace"]["trace_id"], "T1");
        wait(&client);
        let derivatives = client.get(&format!("meter_derivatives/?meter_result={}", run["id"])).json();
        assert_eq!(derivatives[1]["differential_value"], gross["differential_value"]);
    }

    // Both words for a failure are understood, and filters page.
    for (query, ids) in [
        ("status=SUCCESS&limit=2", vec![1, 2]),
        ("status=FAILED", vec![]),
        ("status=FAILURE,CANCELLED", vec![]),
        ("traces=1", vec![1, 2]),
        ("project=2", vec![4]),
        ("batch=2&after=3", vec![4, 5]),
    ] {
        let runs = client.get(&format!("meter_runs/?{query}")).json();
        let found: Vec<i64> =
            runs.as_array().unwrap().iter().map(|run| run["id"].as_i64().unwrap()).collect();
        assert_eq!(found, ids, "{query}");
    }
    let answer = client.send(
        "POST",
        "meter_runs/bulk/?limit=1",
        &json!({ "targets": [{ "project": 1 }, { "project": 2 }] }),
    );
    assert_eq!(answer.json()[0].as_array().unwrap().len(), 1, "{answer}");
    assert_eq!(answer.json()[1], json!([]));
    let link = answer.header("link").unwrap().to_owned();
    let next = link.trim_start_matches("</api/v1/").split('>').next().unwrap();
    assert_eq!(client.get(next).json()[0]["trace"], 2, "{link}");
}

#[test]
fn aggregations_answer_as_the_samples_show_them() {
    let server = Server::start(&[]);
    let client = Client::new(&server, &["--admin"]);
    two_projects(&client);
    let empty = json!({ "projects": [1, 2], "derivatives": [], "traces": [], "trace_interpretation": "E_C_S",
        "derivative_interpretation": "gross_predicted", "aggregation_interpretation": "SUM" });
    let wrong = client.wrong("POST", "aggregation_runs/", &empty);
    assert!(wrong["non_field_errors"][0].as_str().unwrap().starts_with("nothing to aggregate"), "{wrong}");
    client.made(201, "meter_runs/bulk/", &json!({ "targets": [{ "project": 1 }, { "project": 2 }] }));
    wait(&client);

    let single = client.made(201, "aggregation_runs/", &empty);
    let order = [
        "id",
        "status",
        "projects",
        "traces",
        "derivatives",
        "aggregation_input",
        "trace_interpretation",
        "derivative_interpretation",
        "aggregation_interpretation",
    ];
    assert_eq!(first_keys(&single, 9), order);
    assert_eq!((&single["trace_interpretation"], &single["status"]), (&"E_C_S".into(), &"PENDING".into()));
    let bulk = json!({ "targets": [{ "projects": [1, 2], "derivatives": [], "traces": [] },
        { "traces": [1], "trace_interpretations": ["NG_C_S", "E_C_S"], "derivative_interpretations": ["metered_savings"] }] });
    let lists = client.made(201, "aggregation_runs/bulk/", &bulk);
    let order = [
        "id",
        "status",
        "derivatives",
        "projects",
        "traces",
        "aggregation_input",
        "trace_interpretation",
        "derivative_interpretation",
        "aggregation_interpretation",
    ];
    assert_eq!(first_keys(&lists[0][0], 9), order);
    let kinds = |list: &Value| -> Vec<(String, String)> {
        let word = |value: &Value| value.as_str().unwrap().to_owned();
        let kind =
            |run: &Value| (word(&run["trace_interpretation"]), word(&run["derivative_interpretation"]));
        list.as_array().unwrap().iter().map(kind).collect()
    };
    let (electricity, gas) = ("ELECTRICITY_CONSUMPTION_SUPPLIED", "NATURAL_GAS_CONSUMPTION_SUPPLIED");
    let of = |trace: &str, derivative: &str| (trace.to_owned(), derivative.to_owned());
    assert_eq!(
        kinds(&lists[0]),
        [
            of(electricity, "annualized_weather_normal"),
            of(electricity, "gross_predicted"),
            of(gas, "annualized_weather_normal"),
            of(gas, "gross_predicted"),
        ]
    );
    assert_eq!(kinds(&lists[1]), [of("E_C_S", "metered_savings")]);
    let group = client.made(201, "trace_groups/", &json!({ "name": "all", "filter_specification": null }));
    let group = json!({ "group": group["id"], "trace_interpretation": electricity, "derivative_interpretation": "gross_predicted" });
    let of_group = client.made(201, "aggregation_runs/", &group);
    let order = [
        "id",
        "group",
        "aggregation_result",
        "aggregation_input",
        "status",
        "traceback",
        "failure_message",
        "trace_interpretation",
        "derivative_interpretation",
        "aggregation_interpretation",
        "added",
        "updated",
    ];
    assert_eq!(first_keys(&of_group, 12), order);
    assert_eq!(
        (&of_group["aggregation_input"], &of_group["aggregation_interpretation"]),
        (&Value::Null, &"SUM".into())
    );
    wait(&client);

    // The sum, computed here.
    let members =
        client.get("meter_derivatives/?interpretation=gross_predicted&trace_interpretation=E_C_S").json();
    let members = members.as_array().unwrap();
    let number = |row: &Value, key: &str| row[key].as_f64().unwrap();
    let sum = |key: &str| members.iter().map(|row| number(row, key)).sum::<f64>();
    let root = |key: &str| members.iter().map(|row| number(row, key).powi(2)).sum::<f64>().sqrt();
    assert_eq!(members.len(), 2);
    for run in [&single, &of_group] {
        let result = client.get(&format!("aggregation_results/{}/", run["aggregation_result"])).json();
        let order = [
            "id",
            "aggregation_run",
            "trace_interpretation",
            "derivative_interpretation",
            "aggregation_interpretation",
            "aggregation_output",
            "derivatives",
            "unit",
            "baseline_value",
            "baseline_lower",
            "baseline_upper",
            "baseline_n",
            "reporting_value",
            "reporting_lower",
            "reporting_upper",
            "reporting_n",
            "differential_direction",
            "differential_value",
            "differential_lower",
            "differential_upper",
            "differential_n",
            "eemeter_version",
            "datastore_version",
            "added",
            "updated",
        ];
        assert_eq!(first_keys(&result, 25), order);
        let check = |key: &str, expected: f64| {
            let found = number(&result, key);
            assert!((found / expected - 1.0).abs() < 1e-12, "{key}: {found} is not {expected}");
        };
        check("baseline_value", sum("baseline_value"));
        check("baseline_lower", root("baseline_lower"));
        check("reporting_value", sum("reporting_value"));
        check("differential_value", sum("baseline_value") - sum("reporting_value"));
        let both = [root("baseline_upper"), root("reporting_lower")];
        check("differential_upper", (both[0].powi(2) + both[1].powi(2)).sqrt());
        check("differential_n", sum("baseline_n") + sum("reporting_n"));
        assert_eq!(result["differential_direction"], "BASELINE_MINUS_REPORTING");
        let output = fetched(&client, &result["aggregation_output"]);
        assert_eq!(output["aggregated"]["baseline"]["value"], result["baseline_value"]);
        let run = client.get(&format!("aggregation_runs/{}/", run["id"])).json();
        let input = fetched(&client, &run["aggregation_input"]);
        assert_eq!(input["derivatives"]["derivative_pairs"].as_array().unwrap().len(), 2);
    }

    // A newer success counts in place of an older one, unless all are asked for.
    client.made(201, "meter_runs/", &json!({ "trace": 1, "force": true }));
    wait(&client);
    for (all_runs, count) in [(false, 2), (true, 3)] {
        let mut again = empty.clone();
        again["all_runs"] = all_runs.into();
        let run = client.made(201, "aggregation_runs/", &again);
        wait(&client);
        let result = client.get(&format!("aggregation_results/{}/", run["id"])).json();
        assert_eq!(result["derivatives"].as_array().unwrap().len(), count, "all_runs: {all_runs}");
    }
    let gone = client.send("DELETE", "meter_runs/1/", &json!({}));
    assert_eq!(gone.status, 204, "{gone}");
    let input = client.get("aggregation_runs/1/input/");
    assert_eq!(input.status, 410, "{input}");
    assert!(input.json()["detail"].as_str().unwrap().contains("hash"), "{input}");
}

#[test]
fn a_portfolio_of_reference_meters_is_what_the_arithmetic_says_of_them() {
    let server = Server::start(&[]);
    let client = Client::new(&server, &["--admin"]);
    let weather = weather_of_reference_meters().unwrap();
    let mut table = "time,tempF\n".to_owned();
    for (start, degf) in weather.starts().iter().zip(weather.degf()) {
        writeln!(table, "{start},{degf}").unwrap();
    }
    load(&server, table, &["weather", "--station", "725300"]);
    let mut table = "trace_id,start,interpretation,value,estimated,unit\n".to_owned();
    let (mut expected, mut rejected, mut of_meters) = ([0.0; 2], [0; 2], Vec::new());
    for meter in &METERS {
        let is_gas = meter.interpretation == Interpretation::NaturalGasConsumptionSupplied;
        let unit = if is_gas { EnergyUnit::Therm } else { EnergyUnit::Kwh };
        let readings = meter.readings().unwrap();
        for Reading { start, value, estimated } in &readings {
            let value = value.map(|value| value.to_string()).unwrap_or_default();
            writeln!(table, "{},{start},{},{value},{estimated},{unit}", meter.name, meter.interpretation)
                .unwrap();
        }
        let result = run(RunInput {
            readings: &readings,
            interpretation: meter.interpretation,
            unit,
            weather,
            normal_year: None,
            baseline_end: "2016-12-26".parse().unwrap(),
            reporting_start: "2017-01-04".parse().unwrap(),
            settings: RunSettings::new(Mode::Strict),
        });
        let of = |known: &&DerivativePair| {
            known.derivative_interpretation == DerivativeInterpretation::MeteredSavings
        };
        let pair = result.result.derivatives.iter().find(of).unwrap();
        let (baseline, reporting) = (pair.baseline.unwrap(), pair.reporting.unwrap());
        let savings = baseline.value - reporting.value;
        // Five bills leave a model with two slopes no degree of freedom, so there is no bound: aggregators reject that.
        if baseline.lower.is_some() && reporting.lower.is_some() {
            expected[usize::from(is_gas)] += savings;
        } else {
            rejected[usize::from(is_gas)] += 1;
        }
        of_meters.push(savings);
    }
    load(&server, table, &["traces"]);
    let project = json!({ "project_id": "all", "weather_station": "725300", "baseline_period_end": "2016-12-26",
        "reporting_period_start": "2017-01-04" });
    client.made(201, "projects/", &project);
    let mappings: Vec<Value> =
        (1..=METERS.len()).map(|trace| json!({ "project_id": 1, "trace_id": trace })).collect();
    client.made(201, "project_trace_mappings/bulk_upsert_verbose/", &json!(mappings));
    client.made(201, "meter_runs/bulk/", &json!({ "targets": [{ "project": 1 }] }));
    wait(&client);
    for (trace, (meter, expected)) in (1..).zip(METERS.iter().zip(of_meters)) {
        let found =
            client.get(&format!("meter_derivatives/?interpretation=metered_savings&trace={trace}")).json();
        let found =
            found[0]["differential_value"].as_f64().unwrap_or_else(|| panic!("{}: {found}", meter.name));
        assert!((found / expected - 1.0).abs() < 1e-9, "{}: {found} is not {expected}", meter.name);
    }
    let kinds = ["E_C_S", "NG_C_S"].into_iter().zip(expected.into_iter().zip(rejected));
    for (interpretation, (expected, rejected)) in kinds {
        let run = client.made(
            201,
            "aggregation_runs/",
            &json!({ "projects": [1], "trace_interpretation": interpretation, "derivative_interpretation": "metered_savings" }),
        );
        wait(&client);
        let result = client.get(&format!("aggregation_results/{}/", run["id"])).json();
        let found = result["differential_value"].as_f64().unwrap_or_else(|| panic!("{result}"));
        assert!((found / expected - 1.0).abs() < 1e-9, "{interpretation}: {found} is not {expected}");
        assert_eq!(result["n_rejected"], rejected, "{result}");
    }
}

/// Loads a table with `sheaf load`.
fn load(server: &Server, table: String, args: &[&str]) {
    let files = tempfile::tempdir().unwrap();
    let file = files.path().join("table.csv");
    std::fs::write(&file, table).unwrap();
    let output = server.sheaf(&[&["load", args[0], file.to_str().unwrap()], &args[1..]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn what_is_wrong_with_a_request_for_runs_is_said() {
    let server = Server::start(&[]);
    let client = Client::new(&server, &["--admin"]);
    two_projects(&client);
    client.made(201, "project_trace_mappings/", &json!({ "project_id": 2, "trace_id": 1 }));
    client.made(201, "traces/", &json!({ "trace_id": "alone", "interpretation": "E_C_S", "unit": "KWH" }));
    client.made(201, "trace_blacklist/", &json!({ "trace_id": "T4" }));
    for (body, field, begin) in [
        (json!({}), "trace", "This field is required"),
        (json!({ "trace": 99 }), "trace", "Invalid pk \"99\""),
        (json!({ "trace": "x" }), "trace", "A valid integer is required"),
        (json!({ "trace": 1 }), "project", "trace 1 belongs to several projects: 1 (P1), 2 (P2)"),
        (json!({ "trace": 5 }), "project", "trace 5 belongs to no project"),
        (json!({ "trace": 4 }), "trace", "trace 4 is on the blacklist"),
        (json!({ "trace": 3, "project": 9 }), "project", "Invalid pk \"9\""),
        (json!({ "trace": 3, "meter_input": {} }), "meter_input", "An input has its own"),
        (json!({ "meter_input": "{" }), "meter_input", "/: "),
        (json!({ "meter_input": { "type": "x" } }), "meter_input", "/type: "),
        (json!({ "trace": 3, "model_class": "Nope" }), "model_class", "unknown class `Nope`"),
        (json!({ "trace": 3, "model_kwargs": [1] }), "model_kwargs", "it must be an object"),
        (json!({ "trace": 3, "priority": 1e9 }), "priority", "Ensure this value"),
    ] {
        let wrong = client.wrong("POST", "meter_runs/", &body);
        let text = wrong[field][0].as_str().unwrap_or_else(|| panic!("{body}: {wrong}"));
        assert!(text.starts_with(begin), "{body}: {wrong}");
    }
    for (body, begin) in [
        (json!({}), "This field is required"),
        (json!({ "targets": {} }), "A list of objects is required"),
        (json!({ "targets": [{ "project": 1 }, 7] }), "targets[1].non_field_errors: Invalid data"),
        (json!({ "targets": [{ "project": 1 }, {}] }), "targets[1]: name a project"),
        (json!({ "targets": [{ "trace": 1 }] }), "targets[0].project: trace 1 belongs to several"),
    ] {
        let wrong = client.wrong("POST", "meter_runs/bulk/", &body);
        assert!(wrong["targets"][0].as_str().unwrap().starts_with(begin), "{body}: {wrong}");
    }
    // Nothing was asked for, and what is blacklisted is no part of its project.
    assert_eq!(client.get("meter_runs/").text(), "[]");
    let lists = client.made(201, "meter_runs/bulk/", &json!({ "targets": [{ "project": 2 }] }));
    assert_eq!(lists[0].as_array().unwrap().len(), 2, "{lists}");
    wait(&client);
    for (body, field, begin) in [
        (json!({}), "non_field_errors", "nothing to aggregate"),
        (json!({ "projects": [9] }), "projects", "Invalid pk \"9\""),
        (json!({ "projects": [2] }), "derivative_interpretation", "the derivatives differ"),
        (json!({ "projects": "x" }), "projects", "A valid integer"),
        (json!({ "derivatives": [77] }), "derivatives", "Invalid pk \"77\""),
        (json!({ "group": 7 }), "group", "Invalid pk \"7\""),
        (json!({ "group": 7, "projects": [1] }), "group", "Send either"),
        (json!({ "projects": [2], "trace_interpretation": "E" }), "trace_interpretation", "unknown"),
        (
            json!({ "projects": [2], "derivative_interpretation": "gross_predicted", "aggregation_interpretation": "MODE" }),
            "aggregation_interpretation",
            "unknown aggregation_interpretation `MODE`",
        ),
        (json!({ "projects": [2], "baseline_default_value": {} }), "baseline_default_value", "It is {"),
    ] {
        let wrong = client.wrong("POST", "aggregation_runs/", &body);
        let text = wrong[field][0].as_str().unwrap_or_else(|| panic!("{body}: {wrong}"));
        assert!(text.starts_with(begin), "{body}: {wrong}");
    }
    for path in
        ["meter_runs/99/", "meter_results/x/", "meter_runs/99/input/", "aggregation_runs/1/", "batches/9/"]
    {
        let answer = client.get(path);
        assert_eq!(answer.status, 404, "{path}: {answer}");
        check_error(&answer);
    }
    let answer = client.send("POST", "meter_runs/1/retry/", &json!({}));
    assert_eq!((answer.status, keys(&answer.json())), (409, vec!["detail"]), "{answer}");
    // A run without weather has failed, and says why; its result has the word of results.
    client.made(
        201,
        "projects/",
        &json!({ "project_id": "P3", "zipcode": "60604", "weather_station": "725300",
        "baseline_period_end": "2012-01-01T00:00:00Z", "reporting_period_start": "2012-02-01T00:00:00Z" }),
    );
    let run = client.made(201, "meter_runs/", &json!({ "trace": 3, "project": 3 }));
    wait(&client);
    let run = client.get(&format!("meter_runs/{}/", run["id"])).json();
    assert_eq!(run["status"], "FAILED");
    assert!(run["failure_message"].as_str().unwrap().contains("725300"), "{run}");
    let result = client.get(&format!("meter_results/{}/", run["id"])).json();
    assert_eq!((&result["status"], &result["failure_message"]), (&"FAILURE".into(), &run["failure_message"]));
    let retried = client.send("POST", &format!("meter_runs/{}/retry/", run["id"]), &json!({}));
    assert_eq!((retried.status, &retried.json()["status"]), (202, &"PENDING".into()), "{retried}");
}

#[test]
fn tokens_start_and_see_runs_of_their_projects_only() {
    let server = Server::start(&[]);
    let admin = Client::new(&server, &["--admin"]);
    two_projects(&admin);
    admin.made(201, "meter_runs/bulk/", &json!({ "targets": [{ "project": 1 }, { "project": 2 }] }));
    wait(&admin);
    let reader = Client::new(&server, &["--read", "^/projects/P1$"]);
    let writer = Client::new(&server, &["--read", "^/projects/P1$", "--write", "^/projects/P1$"]);
    let status = |client: &Client<'_>, path: &str, body: &Value| {
        let answer = client.send("POST", path, body);
        if answer.status >= 400 {
            check_error(&answer);
        }
        answer.status
    };
    for (path, body, of_reader, of_writer) in [
        ("meter_runs/", json!({ "trace": 1 }), 403, 201),
        ("meter_runs/", json!({ "trace": 3 }), 400, 400),
        ("meter_runs/", json!({ "project": 1, "trace": 3 }), 400, 400),
        ("meter_runs/bulk/", json!({ "targets": [{ "project": 1 }] }), 403, 201),
        ("meter_runs/bulk/", json!({ "targets": [{ "project": 2 }] }), 400, 400),
        (
            "aggregation_runs/",
            json!({ "projects": [1], "trace_interpretation": "E_C_S", "derivative_interpretation": "gross_predicted" }),
            403,
            201,
        ),
        ("aggregation_runs/", json!({ "projects": [1, 2] }), 400, 400),
        ("aggregation_runs/", json!({ "derivatives": [16] }), 400, 400),
        ("meter_runs/1/cancel/", json!({}), 403, 202),
        ("meter_runs/3/cancel/", json!({}), 404, 404),
        // That request was for other projects, too.
        ("batches/1/cancel/", json!({}), 403, 403),
    ] {
        assert_eq!(status(&reader, path, &body), of_reader, "{path} {body} of a reader");
        assert_eq!(status(&writer, path, &body), of_writer, "{path} {body} of a writer");
    }
    wait(&admin);
    for client in [&reader, &writer] {
        for kind in ["meter_runs", "meter_results", "meter_derivatives"] {
            let rows = client.get(&format!("{kind}/")).json();
            let traces: Vec<i64> =
                rows.as_array().unwrap().iter().map(|row| row["trace"].as_i64().unwrap()).collect();
            assert!(!traces.is_empty() && traces.iter().all(|trace| *trace < 3), "{kind}: {traces:?}");
        }
        assert_eq!(client.get("meter_results/3/").status, 404);
        assert_eq!(client.get("meter_results/1/output/").status, 200);
        assert_eq!(client.get("meter_derivatives/16/").status, 404);
    }
    let nobody = server.post("/api/v1/meter_runs/").json(&json!({ "trace": 1 })).send();
    assert_eq!(nobody.status, 401, "{nobody}");
}

/// Many runs of the same traces, each computed anew.
fn ask_for_many(client: &Client<'_>, count: usize) -> i64 {
    let targets: Vec<Value> = (0..count).map(|at| json!({ "trace": at % 4 + 1 })).collect();
    let lists =
        client.made(201, "meter_runs/bulk/", &json!({ "targets": targets, "force": true, "label": "many" }));
    let lists = lists.as_array().unwrap();
    assert!(lists.len() == count && lists.iter().all(|list| list.as_array().unwrap().len() == 1));
    lists[0][0]["batch"].as_i64().unwrap()
}

fn rows(client: &Client<'_>, path: &str) -> Vec<Value> {
    client.get(path).json().as_array().unwrap().clone()
}

/// Each run has succeeded once: it has one result, with its four derivatives.
fn each_once(client: &Client<'_>, batch: i64, count: usize) {
    let runs = rows(client, &format!("meter_runs/?batch={batch}"));
    assert_eq!(runs.len(), count);
    for run in &runs {
        assert_eq!(run["status"], "SUCCESS", "{run}");
    }
    let results = rows(client, "meter_results/");
    let of_runs: Vec<&Value> = results.iter().map(|result| &result["meter_run"]).collect();
    assert_eq!(of_runs, runs.iter().map(|run| &run["id"]).collect::<Vec<_>>());
    assert_eq!(rows(client, "meter_derivatives/").len(), 4 * count);
}

fn kill_amid_runs(flags: &[&str]) {
    const RUNS: usize = 3000;
    let mut server = Server::start(flags);
    let token = {
        let client = Client::new(&server, &["--admin"]);
        two_projects(&client);
        client.token
    };
    let batch = ask_for_many(&Client { server: &server, token: token.clone() }, RUNS);
    let mut ended: Vec<Value> = Vec::new();
    for _ in 0..2 {
        let client = Client { server: &server, token: token.clone() };
        let begun = Instant::now();
        let path = format!("meter_runs/?batch={batch}&status=SUCCESS");
        loop {
            let now = rows(&client, &path);
            if now.len() > ended.len() || begun.elapsed() > Duration::from_secs(120) {
                assert!(now.len() < RUNS, "all had ended before the server was killed");
                ended = now;
                break;
            }
        }
        server.kill();
        server.restart();
    }
    let client = Client { server: &server, token };
    wait(&client);
    each_once(&client, batch, RUNS);
    // What had ended stays as it was.
    for before in &ended {
        assert_eq!(
            client.get(&format!("meter_runs/{}/", before["id"])).json()["finished"],
            before["finished"]
        );
    }
}

#[test]
fn kill_9_amid_runs_loses_none_and_does_none_twice() {
    kill_amid_runs(&[]);
}

fn postgres() -> TestDatabase {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(TestDatabase::postgres())
}

#[test]
fn kill_9_amid_runs_loses_none_on_postgresql() {
    let database = postgres();
    kill_amid_runs(&["--database", database.url()]);
}

#[test]
fn two_servers_on_one_postgresql_share_the_queue() {
    const RUNS: usize = 2000;
    let database = postgres();
    let server = Server::start(&["--database", database.url()]);
    let client = Client::new(&server, &["--admin"]);
    two_projects(&client);
    let other = server.beside(&["--database", database.url()]);
    let batch = ask_for_many(&client, RUNS);
    wait(&client);
    each_once(&client, batch, RUNS);
    assert!(rows(&client, &format!("meter_runs/?batch={batch}")).iter().all(|run| run["attempt"] == 1));
    let metrics = server.get("/metrics").token(&client.token).send();
    let line = metrics.text().lines().find(|line| line.starts_with("sheaf_runs_ended_total{kind=\"meter\""));
    let here: usize = line.unwrap().rsplit(' ').next().unwrap().parse().unwrap();
    assert!(0 < here && here < RUNS, "{here} of {RUNS} runs were done by one of two servers");
    drop(other);
}

#[test]
fn requests_are_followed_and_cancelled() {
    let server = Server::start(&[]);
    let client = Client::new(&server, &["--admin"]);
    two_projects(&client);
    let batch = ask_for_many(&client, 3000);
    let first = client.made(201, "meter_runs/", &json!({ "trace": 2, "priority": 5, "force": true }));
    let cancelled = client.send("POST", &format!("batches/{batch}/cancel/"), &json!({}));
    assert_eq!(cancelled.status, 202, "{cancelled}");
    let answer = client.get(&format!("batches/{batch}/events/"));
    assert_eq!(answer.status, 200, "{answer}");
    let text = answer.text();
    let last = text.split("event: end\ndata: ").nth(1).unwrap_or_else(|| panic!("{text}"));
    let row: Value = serde_json::from_str(last.trim()).unwrap();
    let count = |key: &str| row[key].as_u64().unwrap();
    assert_eq!((count("total"), count("pending") + count("running")), (3000, 0), "{row}");
    assert!(count("cancelled") > 0 && count("cancelled") + count("success") == 3000, "{row}");
    assert_eq!((&row["label"], &row["kind"]), (&"many".into(), &"meter_runs".into()));
    wait(&client);
    assert_eq!(client.get(&format!("meter_runs/{}/", first["id"])).json()["status"], "SUCCESS");
    let retried = client.send("POST", &format!("batches/{batch}/retry/"), &json!({}));
    assert_eq!(retried.status, 202, "{retried}");
    wait(&client);
    let row = client.get(&format!("batches/{batch}/")).json();
    assert_eq!((&row["success"], &row["progress"]), (&3000.into(), &1.0.into()), "{row}");
    let progress = client.get(&format!("meter_runs/progress/?batch={batch}")).json();
    assert_eq!(progress["total"], 3000, "{progress}");
}
