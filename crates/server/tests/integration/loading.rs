//! Files into the datastore: `sheaf load` beside a server, and the same over HTTP.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::datastore::{Client, check_error};
use crate::http::Server;

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// What a command prints with `--json`, one object for each file.
fn load(server: &Server, args: &[&str]) -> (bool, Vec<Value>, String) {
    let output = server.sheaf(&[&["load"], args, &["--json"]].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    let objects = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (output.status.success(), objects, String::from_utf8(output.stderr).unwrap())
}

fn counts(loaded: &[Value]) -> Vec<(u64, u64, u64, u64)> {
    let count = |object: &Value, key: &str| object[key].as_u64().unwrap();
    let all = |object: &Value| {
        let [created, updated] = ["created", "updated"].map(|key| count(object, key));
        (created, updated, count(object, "unchanged"), count(object, "refused"))
    };
    loaded.iter().map(all).collect()
}

/// Readings of a trace by its name.
fn readings(client: &Client, trace_id: &str) -> (Value, Vec<(String, Option<f64>)>) {
    let trace = client.get(&format!("traces/?trace_id={trace_id}")).json()[0].take();
    let records = client.get(&format!("trace_records/?trace={}", trace["id"])).json();
    let record = |row: &Value| (row["start"].as_str().unwrap().to_owned(), row["value"].as_f64());
    (trace, records.as_array().unwrap().iter().map(record).collect())
}

const TRACES: &str = "trace_id,start,interpretation,value,estimated,unit\n\
    a,2016-01-01T00:00:00Z,E_C_S,1500,false,Wh\n\
    a,2016-01-02T00:00:00Z,E_C_S,2500,false,Wh\n\
    b-1,2016-01-01T00:00:00Z,NG_C_S,3,false,THM\n\
    a,2016-01-03T00:00:00Z,E_C_S,,false,Wh\n\
    b-1,2016-02-01T00:00:00Z,NG_C_S,4,true,THM\n\
    b-1,2016-03-01T00:00:00Z,NG_C_S,,false,THM\n";

#[test]
fn a_folder_of_the_old_loaders_is_loaded_once() {
    let server = Server::start(&[]);
    let client = Client::new(&server, &["--admin"]);
    let files = tempfile::tempdir().unwrap();
    let folder = files.path();
    write(
        folder,
        "oeem-format/projects/p.csv",
        "project_id,zipcode,baseline_period_end,reporting_period_start\nP,91104,2016-01-02,2016-01-02T00:00:00Z\n",
    );
    write(folder, "oeem-format/traces/t.csv", TRACES);
    write(folder, "oeem-format/project-trace-mappings/m.csv", "project_id,trace_id\nP,a\nP,b-1\n");
    write(folder, "oeem-format/project-metadata.csv", "project_id,climate,sqft\nP,hot,\n");
    write(folder, "oeem-format/trace-blacklist.csv", "trace_id,reason\nb-1,too old\n");
    let folder = folder.to_str().unwrap();
    let (is_done, loaded, error) = load(&server, &["folder", folder]);
    assert!(is_done, "{error}");
    assert_eq!(counts(&loaded), [(1, 0, 0, 0), (6, 0, 0, 0), (2, 0, 0, 0), (1, 0, 0, 0), (1, 0, 0, 0)]);
    let (is_done, again, error) = load(&server, &["folder", folder]);
    assert!(is_done, "{error}");
    assert_eq!(counts(&again), [(0, 0, 1, 0), (0, 0, 6, 0), (0, 0, 2, 0), (0, 0, 1, 0), (0, 0, 1, 0)]);

    let (trace, records) = readings(&client, "a");
    assert_eq!((&trace["unit"], &trace["sample_period"]), (&json!("KWH"), &json!("1_d")));
    let day = |day: u32, value| (format!("2016-01-{day:02}T00:00:00Z"), value);
    assert_eq!(records, [day(1, Some(1.5)), day(2, Some(2.5)), day(3, None)]);
    let (trace, records) = readings(&client, "b-1");
    assert_eq!((&trace["unit"], &trace["n_records"]), (&json!("THERM"), &json!(3)));
    assert_eq!(trace["resource_path"], "/traces/__b_2D1");
    assert_eq!(records.iter().map(|(_, value)| *value).collect::<Vec<_>>(), [Some(3.0), Some(4.0), None]);
    let catalog = client.get("catalogs/%2Ftraces/metadata");
    assert_eq!(catalog.status, 200, "{catalog}");
}

/// A trace is a resource of its projects, too, for those who may read these.
#[test]
fn traces_are_in_the_catalogs_of_their_projects() {
    let server = Server::start(&[]);
    let client = Client::new(&server, &["--admin"]);
    let answer = client.ask("POST", "traces/load").body("text/csv", TRACES).send();
    assert_eq!(answer.status, 200, "{answer}");
    client.made(201, "projects/", &json!({ "project_id": "P" }));
    let reader = Client::new(&server, &["--read", "/projects/P"]);
    let path = "series?resourcePath=%2Fprojects%2FP%2Fa%2F1_d_sum&begin=2016-01-01&end=2016-01-03&format=csv";
    assert_eq!(reader.get(path).status, 404);
    client.made(201, "project_trace_mappings/", &json!({ "project_id": 1, "trace_id": 1 }));
    let catalog = reader.get("catalogs/%2Fprojects%2FP");
    assert_eq!(catalog.status, 200, "{catalog}");
    let resources = catalog.json()["resources"].clone();
    assert_eq!(resources.as_array().unwrap().len(), 1, "{catalog}");
    assert!(resources[0].to_string().contains("KWH"), "{catalog}");
    let values = reader.get(path);
    assert_eq!(values.status, 200, "{values}");
    assert!(values.text().contains("2016-01-02T00:00:00Z,2.5"), "{values}");
    let records = reader.get("records?resourcePath=%2Fprojects%2FP%2Fa%2F1_d&limit=1");
    assert_eq!(
        (records.status, &records.json()["records"][0]["start"]),
        (200, &json!("2016-01-01T00:00:00Z"))
    );
    assert_eq!(
        reader.get("records?resourcePath=%2Ftraces%2Fa%2F1_d").status,
        403,
        "only as one of its project"
    );
    let range = reader.get("catalogs/%2Fprojects%2FP/timerange");
    assert!(range.text().contains("2016-01-01"), "{range}");
    assert_eq!(reader.get(&path.replace("projects%2FP", "traces")).status, 403);
    // It is gone with the mapping.
    assert_eq!(client.send("DELETE", "project_trace_mappings/1/", &json!({})).status, 204);
    assert_eq!(reader.get(path).status, 404);
}

#[test]
fn wrong_rows_are_named_and_nothing_is_written_unless_they_are_left_out() {
    let server = Server::start(&[]);
    let client = Client::new(&server, &["--admin"]);
    let files = tempfile::tempdir().unwrap();
    let wrong = format!("{TRACES}a,2016-13-01T00:00:00Z,E_C_S,1,false,Wh\na,2016-01-04,E_C_S,1,false,l\n");
    let file = write(files.path(), "wrong.csv", &wrong);
    let (is_done, loaded, error) = load(&server, &["traces", &file]);
    assert!(!is_done && error.contains("nothing of it was written"), "{error}");
    assert_eq!(counts(&loaded)[0].3, 2);
    assert_eq!(
        (&loaded[0]["rows"][0]["line"], &loaded[0]["rows"][0]["column"]),
        (&json!(8), &json!("start"))
    );
    assert_eq!(client.get("traces/").json(), json!([]));
    let (is_done, loaded, error) = load(&server, &["traces", &file, "--on-error", "skip"]);
    assert!(is_done, "{error}");
    assert_eq!(counts(&loaded), [(6, 0, 0, 2)]);

    // A trace keeps its unit, and a new one needs one.
    let other = write(files.path(), "other.csv", "trace_id,start,value,unit\na,2016-01-05,1,THERM\n");
    let (is_done, _, error) = load(&server, &["traces", &other]);
    assert!(!is_done && error.contains("is in KWH"), "{error}");
    let new = write(files.path(), "new.csv", "trace_id,start,value\nc,2016-01-05,1\n");
    let (is_done, _, error) = load(&server, &["traces", &new]);
    assert!(!is_done && error.contains("say its interpretation"), "{error}");
    let mapping = write(files.path(), "mapping.csv", "project_id,trace_id\nQ,a\n");
    let (is_done, _, error) = load(&server, &["mappings", &mapping]);
    assert!(!is_done && error.contains("there is no project `Q`"), "{error}");
}

#[test]
fn files_are_loaded_over_http_as_well() {
    let server = Server::start(&[]);
    let client = Client::new(&server, &["--admin"]);
    let wide =
        "time,house-1,house-2\n2016-01-01T00:00,1000,\n2016-01-01T01:00,2000,500\n2016-01-01T02:00,,\n";
    let path = "traces/load?format=wide&unit=Wh&interpretation=E_C_S&time_zone=-06:00";
    let answer = client.ask("POST", path).body("text/csv", wide).send();
    assert_eq!(answer.status, 200, "{answer}");
    assert_eq!((&answer.json()["created"], &answer.json()["traces"]), (&json!(5), &json!(2)));
    let (_, records) = readings(&client, "house-1");
    assert_eq!(records[0], ("2016-01-01T06:00:00Z".to_owned(), Some(1.0)));
    assert_eq!(readings(&client, "house-2").1.len(), 2);

    let answer =
        client.ask("POST", "traces/load").body("text/csv", "trace_id,start,value\nx,2016-01-01,1\n").send();
    assert_eq!(answer.status, 400, "{answer}");
    check_error(&answer);
    let answer = client.ask("POST", "traces/load?format=pdf").body("text/csv", "").send();
    assert_eq!(answer.status, 400, "{answer}");
    let reader = Client::new(&server, &["--read", "/traces"]);
    assert_eq!(reader.ask("POST", path).body("text/csv", wide).send().status, 403);

    // Tables instead of JSON; an empty cell is null, or nothing where nothing may stand.
    let projects = "project_id,zipcode,baseline_period_end\nP,91104,2016-01-01\nQ,,\n";
    let answer = client.ask("POST", "projects/bulk_upsert/").body("text/csv", projects).send();
    assert_eq!((answer.status, &answer.json()["created"]), (200, &json!(2)), "{answer}");
    let records = "trace_id,start,value,estimated\n1,2016-01-01T08:00:00-06:00,,\n1,nonsense,1,\n";
    let answer =
        client.ask("POST", "trace_records/bulk_upsert/?on_error=skip").body("text/csv", records).send();
    assert_eq!((answer.status, &answer.json()["skipped"]), (207, &json!(1)), "{answer}");

    let weather = "time,temperature_c\n2016-01-01T00:00Z,10\n2016-01-01T01:00Z,12\n";
    let answer = client.ask("POST", "weather_stations/722880/load").body("text/csv", weather).send();
    assert_eq!((answer.status, &answer.json()["hours"]), (200, &json!(2)), "{answer}");
    let stations = client.get("weather_stations/").json();
    assert_eq!(stations[0]["station"], "722880");
    assert_eq!(stations[0]["observed_end"], "2016-01-01T02:00:00Z");
    assert_eq!(stations.as_array().unwrap().len(), 1);
    let near = client.get("weather_stations/?zipcode=91104&limit=3").json();
    let distances: Vec<f64> =
        near.as_array().unwrap().iter().map(|row| row["distance_km"].as_f64().unwrap()).collect();
    assert!(distances.len() == 3 && distances.is_sorted() && distances[0] < 30.0, "{distances:?}");
    let resource = client.get("catalogs/%2Fweather%2Fstation_722880");
    assert!(resource.text().contains("°C"), "{resource}");
}
