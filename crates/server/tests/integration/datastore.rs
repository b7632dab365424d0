//! Projects, traces and records over HTTP, as clients of OpenEEmeter's datastore ask for them.

use std::thread;

use serde_json::{Value, json};

use crate::http::{Answer, Ask, Server};

pub(crate) fn keys(object: &Value) -> Vec<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}

/// What must hold of every answer of this family that is an error: it is JSON in the form of Django REST framework.
pub(crate) fn check_error(answer: &Answer) {
    let body = answer.json();
    let object = body.as_object().unwrap_or_else(|| panic!("{answer}"));
    match answer.status {
        400 => {
            for (field, messages) in object {
                assert!(messages.as_array().is_some_and(|list| !list.is_empty()), "{field} of {answer}");
            }
        }
        401 | 403 | 404 | 405 | 413 | 415 => {
            assert_eq!(keys(&body), ["detail"], "{answer}");
            assert!(body["detail"].is_string(), "{answer}");
        }
        status => panic!("{status} is none of this family: {answer}"),
    }
}

pub(crate) struct Client<'a> {
    pub(crate) server: &'a Server,
    pub(crate) token: String,
}

impl<'a> Client<'a> {
    pub(crate) fn new(server: &'a Server, rights: &[&str]) -> Client<'a> {
        Client { server, token: server.token(rights) }
    }

    pub(crate) fn ask(&self, method: &str, path: &str) -> Ask<'_> {
        self.server.ask(method, &format!("/api/v1/{path}")).token(&self.token)
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask("GET", path).send()
    }

    pub(crate) fn send(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.ask(method, path).json(body).send()
    }

    /// What a request answers that must succeed with this status.
    pub(crate) fn made(&self, status: u16, path: &str, body: &Value) -> Value {
        let answer = self.send("POST", path, body);
        assert_eq!(answer.status, status, "{path}: {answer}");
        answer.json()
    }

    pub(crate) fn wrong(&self, method: &str, path: &str, body: &Value) -> Value {
        let answer = self.send(method, path, body);
        assert_eq!(answer.status, 400, "{method} {path}: {answer}");
        check_error(&answer);
        answer.json()
    }
}

#[test]
fn projects_are_kept_as_the_samples_show_them() {
    let server = Server::start(&[]);
    let client = Client::new(&server, &["--admin"]);
    let created = client.made(
        201,
        "projects/",
        &json!({
            "project_id": "P-1", "zipcode": "91104", "baseline_period_end": "2012-01-01T00:00:00Z",
            "reporting_period_start": "2012-02-01T01:00:00+01:00", "added": "ignored", "unknown": [1],
        }),
    );
    let order = [
        "baseline_period_end",
        "baseline_period_start",
        "id",
        "project_id",
        "project_owner_id",
        "reporting_period_end",
        "reporting_period_start",
        "zipcode",
        "added",
        "updated",
        "weather_station",
        "weather_normal_station",
    ];
    assert_eq!(keys(&created), order);
    assert_eq!(created["id"], 1);
    assert_eq!(created["baseline_period_start"], Value::Null);
    assert_eq!(created["reporting_period_start"], "2012-02-01T00:00:00Z");
    let added = created["added"].as_str().unwrap();
    assert_eq!((added.len(), &added[19..20], &added[26..]), (27, ".", "Z"), "{added}");

    // With and without the slash.
    for path in ["projects", "projects/", "projects?projects=1+7-9", "projects/?zipcode=91104&project_id=P-1"]
    {
        assert_eq!(client.get(path).json(), json!([created]), "{path}");
    }
    for path in [
        "projects/?zipcode=1",
        "projects/?projects=2-9",
        "projects/?projects=none",
        "projects/?project_owner=3",
        "projects/?baseline_period_end_0=2012-01-02",
        "projects/?baseline_period_end_1=2011-12-31",
        "projects/?after=1",
    ] {
        let answer = client.get(path);
        assert_eq!((answer.status, answer.text()), (200, "[]"), "{path}");
    }
    assert_eq!(
        client.get("projects/?baseline_period_end_0=2012-01-01&baseline_period_end_1=2012-01-01").json()[0]["id"],
        1
    );
    assert_eq!(client.get("projects/1").json(), created);
    assert_eq!(client.get("projects/ids/").text(), r#"[{"id":1,"project_id":"P-1"}]"#);

    // What is left out stays, also with PUT; null takes it away.
    let changed = client.send("PATCH", "projects/1/", &json!({ "zipcode": null })).json();
    assert_eq!(
        (&changed["zipcode"], &changed["baseline_period_end"]),
        (&Value::Null, &json!("2012-01-01T00:00:00Z"))
    );
    let changed = client.send("PUT", "projects/1/", &json!({ "project_id": "P-2", "zipcode": 12345 })).json();
    assert_eq!((&changed["project_id"], &changed["zipcode"]), (&json!("P-2"), &json!("12345")));
    assert!(changed["updated"].as_str() > changed["added"].as_str(), "{changed}");
    assert_eq!(
        client.wrong("PUT", "projects/1/", &json!({})),
        json!({ "project_id": ["This field is required."] })
    );

    client.made(201, "project_metadata/", &json!({ "project_id": "P-2", "key": "cost", "value": 100 }));
    let with = client.get("projects/?with_attributes=True").json();
    assert_eq!(with[0]["attributes"], json!([{ "key": "cost", "value": "100" }]));

    let deleted = client.ask("DELETE", "projects/1/").send();
    assert_eq!((deleted.status, deleted.text()), (204, ""));
    check_error(&client.get("projects/1/"));
    assert_eq!(client.get("project_metadata/").text(), "[]");
}

#[test]
fn what_is_wrong_is_said_field_by_field() {
    let server = Server::start(&[]);
    let client = Client::new(&server, &["--admin"]);
    client.made(201, "projects/", &json!({ "project_id": "a" }));
    let trace = json!({ "trace_id": "t", "interpretation": "E_C_S", "unit": "kWh" });
    client.made(201, "traces/", &trace);
    client.made(201, "trace_groups/", &json!({ "name": "g", "filter_specification": null }));
    let exact = [
        (
            "projects",
            json!({ "project_id": "a" }),
            json!({ "project_id": ["project with this project id already exists."] }),
        ),
        ("projects", json!({}), json!({ "project_id": ["This field is required."] })),
        (
            "projects",
            json!({ "project_id": "b", "project_owner_id": 99 }),
            json!({ "project_owner_id": ["Invalid pk \"99\" - object does not exist."] }),
        ),
        ("traces", trace, json!({ "trace_id": ["trace with this trace id already exists."] })),
        (
            "trace_groups",
            json!({ "name": "g" }),
            json!({ "name": ["trace group with this name already exists."] }),
        ),
        (
            "project_trace_mappings",
            json!({ "project_id": 9, "trace_id": -1 }),
            json!({
                "project_id": ["Invalid pk \"9\" - object does not exist."],
                "trace_id": ["Invalid pk \"-1\" - object does not exist."],
            }),
        ),
        (
            "trace_records",
            json!({ "trace_id": 7, "start": "2012-01-01", "value": 1 }),
            json!({ "trace_id": ["Invalid pk \"7\" - object does not exist."] }),
        ),
        (
            "project_metadata",
            json!({ "project_id": "nobody", "key": "k", "value": "v" }),
            json!({ "project_id": ["Invalid pk \"nobody\" - object does not exist."] }),
        ),
    ];
    for (path, body, expected) in exact {
        assert_eq!(client.wrong("POST", path, &body), expected, "{path} {body}");
    }
    let begins = [
        (
            "projects",
            json!({ "project_id": "x".repeat(256) }),
            "/project_id/0",
            "Ensure this field has no more than 255",
        ),
        ("projects", json!({ "project_id": "\u{e9}".repeat(200) }), "/project_id/0", ""),
        (
            "projects",
            json!({ "project_id": "c", "zipcode": "12345678901" }),
            "/zipcode/0",
            "Ensure this field",
        ),
        (
            "projects",
            json!({ "project_id": "c", "baseline_period_end": "soon" }),
            "/baseline_period_end/0",
            "Datetime has wrong",
        ),
        (
            "projects",
            json!({ "project_id": { "a": 1 } }),
            "/project_id/0",
            "Not a valid text. Found an object.",
        ),
        ("projects", json!([1]), "/non_field_errors/0", "Invalid data. Expected an object, but got a list."),
        (
            "traces",
            json!({ "trace_id": "u", "interpretation": "COAL", "unit": "KWH" }),
            "/interpretation/0",
            "Not a valid choice",
        ),
        (
            "traces",
            json!({ "trace_id": "u", "interpretation": "E_C_S", "unit": "MWH" }),
            "/unit/0",
            "Not a valid choice",
        ),
        (
            "traces",
            json!({ "trace_id": "u", "interpretation": "E_C_S", "unit": "Wh" }),
            "/unit/0",
            "The values of a trace",
        ),
        (
            "trace_records",
            json!({ "trace_id": 1, "start": "2012-01-01" }),
            "/value/0",
            "This field is required",
        ),
        (
            "trace_records",
            json!({ "trace_id": 1, "start": "0001-01-01", "value": 1 }),
            "/start/0",
            "Records begin in the years",
        ),
        (
            "trace_records",
            json!({ "trace_id": 1, "start": "2012-01-01", "value": 1, "unit": "therm" }),
            "/unit/0",
            "The trace is in KWH",
        ),
        (
            "trace_groups",
            json!({ "name": "h", "filter_specification": { "filter": { "target": "zipcode", "comparison": "==", "value": 1 } } }),
            "/filter_specification/0",
            "/filter/target: it must be",
        ),
        (
            "trace_groups",
            json!({ "name": "h", "filter_specification": [] }),
            "/filter_specification/0",
            "/: it must be",
        ),
    ];
    for (path, body, pointer, begin) in begins {
        let errors = client.wrong("POST", path, &body);
        let text = errors.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("{errors}"));
        assert!(text.starts_with(begin), "{text}");
    }
    for (path, field) in [
        ("projects/?limit=0", "limit"),
        ("projects/?limit=x", "limit"),
        ("projects/?after=1.5", "after"),
        ("projects/?format=xml", "format"),
        ("projects/?baseline_period_end_0=x", "baseline_period_end"),
        ("traces/?interpretation=COAL", "interpretation"),
        ("traces/?projects=a", "projects"),
        ("trace_records/", "trace"),
        ("trace_records/?trace=9", "trace"),
        ("trace_records/?trace=1&begin=x", "begin"),
    ] {
        let answer = client.get(path);
        assert_eq!(answer.status, 400, "{path}: {answer}");
        check_error(&answer);
        assert!(keys(&answer.json())[0].starts_with(field), "{path}: {answer}");
    }
    for (method, path, status) in [
        ("GET", "projects/99/", 404),
        ("GET", "projects/-1/", 404),
        ("GET", "projects/x/", 404),
        ("GET", "projects/99999999999999999999999/", 404),
        ("GET", "projects/1/nothing/", 404),
        ("DELETE", "project_trace_mappings/5/", 404),
        ("GET", "trace_groups/5/traces/", 404),
        ("PATCH", "traces/9", 404),
        ("DELETE", "projects/", 405),
        ("POST", "project_owners/", 405),
        ("PUT", "projects/ids/", 405),
    ] {
        let answer = client.ask(method, path).header("content-type", "application/json").send();
        assert_eq!(answer.status, status, "{method} {path}: {answer}");
        check_error(&answer);
    }
}

#[test]
fn bodies_that_are_no_objects_are_refused_and_never_end_the_server() {
    let server = Server::start(&["--limits-body", "20 MB"]);
    let client = Client::new(&server, &["--admin"]);
    let nested = "[".repeat(10_000_000);
    let nested_objects = "{\"a\":".repeat(2_000_000);
    let large = format!("{{\"project_id\": \"{}\"}}", "x".repeat(21_000_000));
    let bodies = [
        "",
        "{",
        "[",
        "null",
        "1",
        "\"text\"",
        "{\"project_id\": NaN}",
        "[{\"trace_id\": 1, \"start\": \"2012-01-01\", \"value\": NaN}]",
        "{\"project_id\": 1e999}",
        "{\"project_id\": -99999999999999999999999999999999}",
        "{\"project_id\": \"\\ud800\"}",
        "{} {}",
        "{\"project_id\": \"a\\u0000b\"}",
        "\u{feff}{}",
        "[1, null, [], \"a\"]",
        &nested,
        &nested_objects,
        &large,
    ];
    let paths = [
        "projects/",
        "traces/",
        "trace_records/",
        "project_trace_mappings/",
        "project_metadata/",
        "trace_groups/",
        "trace_blacklist/",
        "projects/bulk_upsert/",
        "traces/bulk_upsert_verbose/",
        "trace_records/bulk_insert/",
        "trace_records/bulk_upsert/",
    ];
    for path in paths {
        for body in bodies {
            // Whole numbers of any size are texts where texts are wanted.
            if path.starts_with("projects/") && body.starts_with("{\"project_id\": -9") {
                continue;
            }
            let answer = match client.ask("POST", path).body("application/json", body).try_send() {
                Ok(answer) => answer,
                // What is wrong at its begin is not read to its end; not every client hears why.
                Err(_) if body.len() > 1 << 20 => continue,
                Err(error) => panic!("{path}: {error}"),
            };
            let begin: String = body.chars().take(30).collect();
            assert!([400, 413].contains(&answer.status), "{path} {begin}: {answer}");
            check_error(&answer);
        }
        let bytes = client.ask("POST", path).body("application/json", [0xff, 0xfe, 0x00]).send();
        assert_eq!(bytes.status, 400, "{path}");
        let form = client.ask("POST", path).body("application/x-www-form-urlencoded", "project_id=1").send();
        assert_eq!(form.status, 415, "{path}");
        check_error(&form);
    }
    assert_eq!(client.get("projects/").text(), "[]");
    assert_eq!(server.get("/health/live").send().status, 200);
}

#[test]
fn many_are_written_as_a_whole_or_with_a_report() {
    let server = Server::start(&[]);
    let client = Client::new(&server, &["--admin"]);
    let projects: Vec<Value> =
        (0..3000).map(|n| json!({ "project_id": format!("p{n}"), "zipcode": "91104" })).collect();
    let summary = client.made(200, "projects/bulk_upsert/", &json!(projects));
    assert_eq!(summary, json!({ "created": 3000, "updated": 0, "unchanged": 0 }));
    assert_eq!(client.made(200, "projects/bulk_upsert/", &json!(projects))["unchanged"], 3000);
    let verbose = client.made(
        201,
        "projects/bulk_upsert_verbose/",
        &json!([
            { "project_id": "p7", "zipcode": "1" }, { "project_id": "new" }, { "project_id": "p7" },
        ]),
    );
    let ids: Vec<_> = verbose
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["id"].as_i64().unwrap(), &row["zipcode"]))
        .collect();
    assert_eq!(ids, [(8, &json!("1")), (3001, &Value::Null), (8, &json!("1"))]);

    let some_wrong = json!([
        { "project_id": "q1" }, { "zipcode": "1" }, 5, { "project_id": "q2", "project_owner_id": 77 }, { "project_id": "q3" },
    ]);
    let refused = client.wrong("POST", "projects/bulk_upsert/", &some_wrong);
    assert_eq!(keys(&refused), ["non_field_errors", "rows"]);
    assert_eq!(
        refused["rows"][0],
        json!({ "row": 1, "errors": { "project_id": ["This field is required."] } })
    );
    assert_eq!(refused["rows"][1]["row"], 2);
    assert_eq!(client.get("projects/?project_id=q1").text(), "[]", "nothing was written");
    let part = client.made(207, "projects/bulk_upsert/?on_error=skip", &some_wrong);
    assert_eq!((&part["results"]["created"], &part["skipped"]), (&json!(2), &json!(3)));
    let rows: Vec<_> =
        part["rows"].as_array().unwrap().iter().map(|row| row["row"].as_i64().unwrap()).collect();
    assert_eq!(rows, [1, 2, 3]);
    assert_eq!(
        client.wrong("POST", "projects/bulk_upsert/?on_error=later", &json!([]))["on_error"]
            .as_array()
            .unwrap()
            .len(),
        1
    );

    // Lines of JSON do as well.
    let lines = "{\"project_id\": \"l1\"}\n{\"project_id\": \"l2\"}\n";
    let answer =
        client.ask("POST", "projects/bulk_upsert_verbose/").body("application/x-ndjson", lines).send();
    assert_eq!((answer.status, answer.json()[1]["project_id"].as_str()), (201, Some("l2")), "{answer}");

    // Pages, lines and CSV.
    let mut path = "/api/v1/projects/?limit=1000&zipcode=91104".to_owned();
    let (mut seen, mut pages) = (Vec::new(), 0);
    loop {
        let answer = server.get(&path).token(&client.token).send();
        seen.extend(answer.json().as_array().unwrap().iter().map(|row| row["id"].as_i64().unwrap()));
        pages += 1;
        let Some(link) = answer.header("link") else { break };
        assert!(link.ends_with(">; rel=\"next\""), "{link}");
        path = link[1..link.find('>').unwrap()].to_owned();
    }
    assert_eq!((pages, seen.len()), (3, 2999));
    assert!(seen.is_sorted());
    let whole = client.get("projects/");
    assert_eq!(whole.json().as_array().unwrap().len(), 3005);
    assert_eq!(whole.header("link"), None);
    let lines = client.get("projects/?format=ndjson");
    assert_eq!(lines.text().lines().count(), 3005);
    let csv = client.ask("GET", "projects/ids/").accept("text/csv").send();
    assert_eq!(csv.text().lines().take(2).collect::<Vec<_>>(), ["id,project_id", "1,p0"]);
    assert_eq!(client.get("traces/ids/?format=csv").text(), "id,trace_id\n", "a header, whatever there is");
}

#[test]
fn records_of_traces_come_back_as_series() {
    let server = Server::start(&[]);
    let client = Client::new(&server, &["--admin"]);
    let trace = client.made(
        201,
        "traces/",
        &json!({ "trace_id": "meter-7", "interpretation": "E_C_S", "unit": "kwh", "interval": "daily" }),
    );
    assert_eq!(
        keys(&trace),
        [
            "id",
            "trace_id",
            "interpretation",
            "unit",
            "interval",
            "added",
            "updated",
            "sample_period",
            "n_records",
            "first_start",
            "last_start",
            "resource_path",
        ]
    );
    assert_eq!(trace["interpretation"], "ELECTRICITY_CONSUMPTION_SUPPLIED");
    assert_eq!((&trace["unit"], &trace["resource_path"]), (&json!("KWH"), &json!("/traces/__meter_2D7")));

    let day = |day: u32, value: Value| json!({ "trace_id": 1, "start": format!("2012-01-{day:02}T00:00:00Z"), "value": value });
    let one = client.made(201, "trace_records/", &day(2, json!(2.0)));
    assert_eq!(keys(&one), ["id", "trace_id", "start", "value", "estimated"]);
    assert_eq!(
        one,
        json!({ "id": 100_000_001, "trace_id": 1, "start": "2012-01-02T00:00:00Z", "value": 2.0, "estimated": false })
    );
    let mut wh = day(1, json!(1500));
    wh["unit"] = json!("Wh");
    let two = client.made(201, "trace_records/", &json!([wh, day(3, Value::Null)]));
    assert_eq!(
        (&two[0]["value"], &two[1]["value"], &two[1]["id"]),
        (&json!(1.5), &Value::Null, &json!(100_000_003))
    );
    let days: Vec<Value> = (4..=10).map(|n| day(n, json!(f64::from(n)))).collect();
    let summary = client.made(200, "trace_records/bulk_insert/", &json!(days));
    assert_eq!(summary, json!({ "written": 7, "traces": 1 }));
    let cap =
        client.made(200, "trace_records/bulk_upsert/", &json!([day(11, Value::Null), day(4, json!(40.0))]));
    assert_eq!(cap["written"], 2);

    let records = client.get("trace_records/?trace=1").json();
    let values: Vec<_> = records.as_array().unwrap().iter().map(|record| record["value"].as_f64()).collect();
    let expected = [1.5, 2.0, f64::NAN, 40.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, f64::NAN];
    assert_eq!(values, expected.map(|value| Some(value).filter(|value| !value.is_nan())));
    let trace = client.get("traces/1/").json();
    assert_eq!((&trace["sample_period"], &trace["n_records"]), (&json!("1_d"), &json!(11)));
    assert_eq!(
        (&trace["first_start"], &trace["last_start"]),
        (&json!("2012-01-01T00:00:00Z"), &json!("2012-01-11T00:00:00Z"))
    );
    let part = client.get("trace_records/?trace=1&begin=2012-01-04&end=2012-01-09&limit=3");
    let days = |answer: &Answer| -> Vec<String> {
        answer
            .json()
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["start"].as_str().unwrap()[8..10].to_owned())
            .collect()
    };
    assert_eq!(days(&part), ["04", "05", "06"]);
    let link = part.header("link").unwrap();
    let next = server.get(&link[1..link.find('>').unwrap()]).token(&client.token).send();
    assert_eq!((days(&next), next.header("link")), (vec!["07".to_owned(), "08".to_owned()], None));
    let csv = client.get("trace_records/?trace=1&end=2012-01-02&format=csv");
    assert_eq!(csv.text(), "id,trace_id,start,value,estimated\n100000001,1,2012-01-01T00:00:00Z,1.5,false\n");

    // The same numbers by way of the catalog.
    let path =
        "/api/v1/series?resourcePath=/traces/__meter_2D7/2_d_sum&begin=2012-01-03&end=2012-01-07&format=json";
    let series = server.get(path).token(&client.token).send();
    assert_eq!(series.status, 200, "{series}");
    assert!(series.text().contains("11"), "5 + 6: {series}");
    let catalog = server.get("/api/v1/catalogs/%2Ftraces").token(&client.token).send();
    let resource = &catalog.json()["resources"][0];
    assert_eq!(resource["id"], "__meter_2D7", "{catalog}");
    let properties = &resource["properties"];
    assert_eq!(
        (&properties["unit"], &properties["description"]),
        (&json!("KWH"), &json!("ELECTRICITY_CONSUMPTION_SUPPLIED"))
    );
    assert_eq!(properties["original-name"], "meter-7");
    client.send("PATCH", "traces/1", &json!({ "interpretation": "ELECTRICITY_CONSUMPTION_NET" }));
    let catalog = server.get("/api/v1/catalogs/%2Ftraces").token(&client.token).send().json();
    assert_eq!(catalog["resources"][0]["properties"]["description"], "ELECTRICITY_CONSUMPTION_NET");

    // Records stay with their name; without any, the name may change.
    assert!(client.wrong("PATCH", "traces/1", &json!({ "trace_id": "other" }))["trace_id"].is_array());
    client.made(201, "traces/", &json!({ "trace_id": "empty", "interpretation": "NG_C_S", "unit": "thm" }));
    let renamed = client.send("PATCH", "traces/2", &json!({ "trace_id": "full" })).json();
    assert_eq!((&renamed["resource_path"], &renamed["unit"]), (&json!("/traces/full"), &json!("THERM")));

    assert_eq!(client.ask("DELETE", "traces/1").send().status, 204);
    assert_eq!(client.get("traces/ids").text(), r#"[{"id":2,"trace_id":"full"}]"#);
    client.made(201, "traces/", &json!({ "trace_id": "meter-7", "interpretation": "E_C_S", "unit": "KWH" }));
    assert_eq!(client.get("trace_records/?trace=3").text(), "[]", "its records were removed with it");
}

#[test]
fn groups_have_the_traces_that_fit_now() {
    let server = Server::start(&[]);
    let client = Client::new(&server, &["--admin"]);
    for (project, cost) in [("p1", "5000"), ("p2", "20000")] {
        client.made(201, "projects/", &json!({ "project_id": project }));
        client.made(
            200,
            "project_metadata/bulk_upsert/",
            &json!([{ "project_id": project, "key": "project_cost", "value": cost }]),
        );
    }
    for trace in ["t1", "t2", "t3"] {
        client.made(201, "traces/", &json!({ "trace_id": trace, "interpretation": "E_C_S", "unit": "KWH" }));
    }
    let mappings = client.made(201, "project_trace_mappings/bulk_upsert_verbose/", &json!([
        { "project_id": 1, "trace_id": 1 }, { "project_id": 2, "trace_id": 2 }, { "project_id": 2, "trace_id": 1 },
    ]));
    assert_eq!(mappings[2], json!({ "id": 3, "project_id": 2, "trace_id": 1 }));
    assert_eq!(client.get("project_trace_mappings/?project=2&trace=1").json(), json!([mappings[2]]));
    let traces = |path: &str| -> Vec<i64> {
        client.get(path).json().as_array().unwrap().iter().map(|row| row["id"].as_i64().unwrap()).collect()
    };
    assert_eq!(traces("traces/?projects=1"), [1]);
    assert_eq!(traces("traces/?projects=2"), [1, 2]);
    let cheap = json!({ "filter": { "target": "project_metadata|project_cost", "comparison": "<=", "value": 10000 } });
    let group = client.made(201, "trace_groups/", &json!({ "name": "cheap", "filter_specification": cheap }));
    assert_eq!(group, json!({ "id": 1, "name": "cheap", "filter_specification": cheap }));
    assert_eq!(keys(&group), ["id", "name", "filter_specification"]);
    let as_text = client.made(
        201,
        "trace_groups/",
        &json!({ "name": "text", "filter_specification": cheap.to_string() }),
    );
    assert_eq!(as_text["filter_specification"], cheap);
    client.made(201, "trace_groups/", &json!({ "name": "all", "filter_specification": "" }));
    assert_eq!(traces("trace_groups/1/traces/"), [1]);
    assert_eq!(traces("trace_groups/3/traces/?limit=2"), [1, 2]);
    assert_eq!(traces("trace_groups/3/traces/?after=2"), [3]);
    assert_eq!(client.ask("DELETE", "project_trace_mappings/1/").send().status, 204);
    assert_eq!(traces("trace_groups/1/traces/"), [] as [i64; 0]);
    let renamed = client.send("PATCH", "trace_groups/1/", &json!({ "name": "dear" })).json();
    assert_eq!((&renamed["name"], &renamed["filter_specification"]), (&json!("dear"), &cheap));
    assert_eq!(client.ask("DELETE", "trace_groups/1/").send().status, 204);
    assert_eq!(client.get("trace_groups/").json().as_array().unwrap().len(), 2);
    let black = client.made(
        201,
        "trace_blacklist/bulk_upsert_verbose/",
        &json!([{ "trace_id": "t9", "reason": "broken" }]),
    );
    assert_eq!(black, json!([{ "id": 1, "trace_id": "t9", "reason": "broken" }]));
    assert_eq!(client.get("trace_blacklist/").json(), black);
}

#[test]
fn a_token_sees_what_its_claims_name() {
    let server = Server::start(&[]);
    let admin = Client::new(&server, &["--admin"]);
    for project in ["P1", "P2"] {
        admin.made(201, "projects/", &json!({ "project_id": project }));
        let trace = json!({ "trace_id": format!("of_{project}"), "interpretation": "E_C_S", "unit": "KWH" });
        admin.made(201, "traces/", &trace);
    }
    admin.made(
        200,
        "project_trace_mappings/bulk_upsert/",
        &json!([{ "project_id": 1, "trace_id": 1 }, { "project_id": 2, "trace_id": 2 }]),
    );
    let ids = |client: &Client<'_>, path: &str| -> Vec<i64> {
        client.get(path).json().as_array().unwrap().iter().map(|row| row["id"].as_i64().unwrap()).collect()
    };
    let one = Client::new(&server, &["--read", "/projects/P1"]);
    for path in ["projects/", "projects/ids/", "traces/", "traces/ids/", "project_trace_mappings/"] {
        assert_eq!(ids(&one, path), [1], "{path}");
    }
    assert_eq!(ids(&one, "traces/?projects=2"), [] as [i64; 0]);
    for (path, status) in [
        ("projects/1/", 200),
        ("projects/2/", 404),
        ("traces/1/", 200),
        ("traces/2/", 404),
        ("trace_records/?trace=1", 200),
        ("trace_records/?trace=2", 400),
        ("trace_groups/", 403),
        ("trace_blacklist/", 403),
    ] {
        let answer = one.get(path);
        assert_eq!(answer.status, status, "{path}: {answer}");
    }
    let new =
        json!({ "project_id": "P1", "trace_id": "t", "interpretation": "E_C_S", "unit": "KWH", "name": "n" });
    for (method, path, status) in [
        ("PATCH", "projects/1/", 403),
        ("PATCH", "projects/2/", 404),
        ("POST", "projects/", 403),
        ("POST", "traces/", 403),
        ("POST", "projects/bulk_upsert/", 403),
        ("POST", "trace_groups/", 403),
        ("DELETE", "projects/1/", 403),
        ("DELETE", "traces/1/", 403),
        ("DELETE", "traces/2/", 404),
        ("DELETE", "project_trace_mappings/1/", 403),
        ("DELETE", "project_trace_mappings/2/", 404),
    ] {
        let answer = one.send(method, path, &new);
        assert_eq!(answer.status, status, "{method} {path}: {answer}");
        check_error(&answer);
    }
    let writer = Client::new(&server, &["--write", "/projects/P.*"]);
    assert_eq!(writer.made(201, "projects/", &json!({ "project_id": "P3" }))["id"], 3);
    assert_eq!(writer.send("POST", "projects/", &json!({ "project_id": "Q" })).status, 403);
    assert_eq!(
        writer.send("PATCH", "projects/3/", &json!({ "project_id": "Q" })).status,
        403,
        "out of what it may write"
    );
    writer.made(201, "project_metadata/", &json!({ "project_id": 3, "key": "k", "value": "v" }));
    writer.made(201, "project_trace_mappings/", &json!({ "project_id": 3, "trace_id": 1 }));
    // A trace that it must not see can't be drawn into a project of its own.
    let own = Client::new(&server, &["--write", "/projects/P3"]);
    own.wrong("POST", "project_trace_mappings/", &json!({ "project_id": 3, "trace_id": 2 }));
    let traces = Client::new(&server, &["--write", "/traces"]);
    assert_eq!((ids(&traces, "traces/"), ids(&traces, "projects/")), (vec![1, 2], vec![]));
    traces.made(201, "trace_records/", &json!({ "trace_id": 2, "start": "2012-01-01", "value": 1 }));

    for (method, path) in [
        ("GET", "projects/"),
        ("GET", "projects/1/"),
        ("GET", "projects/99/"),
        ("GET", "traces/"),
        ("GET", "traces/1/"),
        ("GET", "trace_records/?trace=1"),
        ("GET", "trace_groups/"),
        ("GET", "project_owners/"),
        ("POST", "projects/"),
        ("POST", "projects/bulk_upsert/"),
        ("POST", "trace_records/bulk_insert/"),
        ("DELETE", "projects/1/"),
        ("DELETE", "project_trace_mappings/1/"),
        ("PATCH", "traces/1/"),
        ("POST", "trace_groups/"),
    ] {
        for token in [None, Some("nonsense")] {
            let ask = server.ask(method, &format!("/api/v1/{path}"));
            let ask = token.into_iter().fold(ask, Ask::token);
            let answer = if method == "GET" {
                ask.send()
            } else {
                ask.json(&json!({ "project_id": 1, "name": "n" })).send()
            };
            assert_eq!(answer.status, 401, "{method} {path} by {token:?}: {answer}");
            check_error(&answer);
            assert!(answer.header("www-authenticate").is_some());
        }
    }
    let own = admin.get("project_owners/").json();
    assert_eq!(keys(&own[0]), ["id", "user"]);
    let owned = json!({ "project_id": "P9", "project_owner": own[0]["id"] });
    assert_eq!(admin.made(201, "projects/", &owned)["project_owner_id"], own[0]["id"]);
}

#[test]
fn what_anybody_may_read_needs_no_token() {
    let server = Server::start(&["--auth-anonymous-read", "/projects/Open"]);
    let admin = Client::new(&server, &["--admin"]);
    for project in ["Open", "Closed"] {
        admin.made(201, "projects/", &json!({ "project_id": project }));
    }
    let list = server.get("/api/v1/projects/").send();
    assert_eq!((list.status, list.json().as_array().map(Vec::len)), (200, Some(1)), "{list}");
    assert_eq!(server.get("/api/v1/projects/1/").send().status, 200);
    assert_eq!(server.get("/api/v1/projects/2/").send().status, 401);
}

#[test]
fn those_who_write_the_same_at_once_leave_one_of_each() {
    let server = Server::start(&[]);
    let client = Client::new(&server, &["--admin"]);
    client.made(201, "traces/", &json!({ "trace_id": "t", "interpretation": "E_C_S", "unit": "KWH" }));
    thread::scope(|scope| {
        for writer in 0..4_u32 {
            let client = &client;
            scope.spawn(move || {
                for round in 0..4_u32 {
                    let projects: Vec<Value> = (0..200).map(|n| json!({ "project_id": format!("p{n}") })).collect();
                    client.made(200, "projects/bulk_upsert/", &json!(projects));
                    let hour = |hour: u32| {
                        let day = 1 + writer * 4 + round;
                        json!({ "trace_id": 1, "start": format!("2012-01-{day:02}T{hour:02}:00:00Z"), "value": hour })
                    };
                    client.made(200, "trace_records/bulk_upsert/", &json!((0..24).map(hour).collect::<Vec<_>>()));
                }
            });
        }
    });
    let ids: Vec<i64> = client
        .get("projects/ids")
        .json()
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["id"].as_i64().unwrap())
        .collect();
    assert_eq!((ids.len(), ids.is_sorted()), (200, true));
    let records = client.get("trace_records/?trace=1").json();
    assert_eq!(records.as_array().unwrap().len(), 16 * 24);
    let trace = client.get("traces/1/").json();
    assert_eq!((&trace["n_records"], &trace["sample_period"]), (&json!(16 * 24), &json!("1_h")));
}
