//! The commands of OpenEEmeter's datastore: seeds, runs, and what became of them.

use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};

use super::http::{Server, sheaf_in};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs a command that must succeed.
fn run(folder: &Path, args: &[&str]) -> String {
    let output = sheaf_in(folder, args);
    assert_eq!(output.status.code(), Some(0), "{args:?}: {}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// The objects that a command prints with `--json`.
fn json(folder: &Path, args: &[&str]) -> Vec<Value> {
    let printed = run(folder, &[args, &["--json"]].concat());
    serde_json::Deserializer::from_str(&printed).into_iter().collect::<Result<_, _>>().unwrap()
}

/// What a command complains of that must fail.
fn fails(folder: &Path, args: &[&str], code: i32) -> String {
    let Output { status, stdout, stderr } = sheaf_in(folder, args);
    assert_eq!(status.code(), Some(code), "{args:?}: {}{}", text(&stdout), text(&stderr));
    text(&stderr)
}

const DEV: [&str; 3] = ["--use-project-id", "--projects", "DEV_SEED_PROJECT"];

#[test]
fn the_seed_is_metered_on_this_machine() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    let made = &json(place, &["dev-seed"])[0];
    assert_eq!((&made["project"], &made["tracesWritten"]), (&json!(1), &json!(6)), "{made}");
    let again = &json(place, &["dev-seed"])[0];
    assert_eq!((&again["tracesWritten"], &again["tokenIsNew"]), (&json!(0), &json!(false)), "{again}");

    let asked = json(place, &[&["run-meters"], &DEV[..], &["--wait", "--detailed-output"]].concat());
    assert_eq!(asked[0]["runs"], 6, "{asked:?}");
    let traces: Vec<&Value> = asked[1..7].iter().map(|run| &run["trace"]).collect();
    assert_eq!(traces, [1, 2, 3, 4, 5, 6], "{asked:?}");
    assert!(asked[1..7].iter().all(|run| run["status"] == "SUCCESS"), "{asked:?}");
    assert_eq!(asked[7]["SUCCESS"], 6);

    // By numbers, and over what is there.
    let args = ["run-meters", "--traces", "1", "3", "--delete-previous-meters", "--label", "again"];
    let asked = &json(place, &args)[0];
    assert_eq!((&asked["runs"], &asked["deleted"]), (&json!(2), &json!(2)), "{asked}");
    let progress = &json(place, &["meter-progress", "--all-meters"])[0];
    assert_eq!((&progress["PENDING"], &progress["SUCCESS"]), (&json!(2), &json!(4)));
    let args = [
        "meter-progress",
        "--all-meters",
        "--poll-until-complete",
        "--poll-max",
        "0.2",
        "--poll-interval",
        "0.1",
    ];
    fails(place, &args, 1);
    let purged = &json(place, &["run-meters", "--projects", "1", "--purge-queue", "--wait"])[0];
    assert_eq!(purged["purged"], 2);
    let progress = &json(place, &["meter-progress", "--meters", "7", "8", "9"])[0];
    assert_eq!((&progress["CANCELLED"], &progress["SUCCESS"]), (&json!(2), &json!(1)));

    assert_eq!(json(place, &["delete-meters", "--meters", "7", "8", "--traces", "6"])[0]["deleted"], 4);
    assert_eq!(json(place, &[&["delete-meters"], &DEV[..]].concat())[0]["deleted"], 8);
    assert_eq!(json(place, &["meter-progress", "--all-meters"])[0]["SUCCESS"], 0);

    assert_eq!(
        run(place, &["trace-record-indexes", "create"]),
        run(place, &["trace-record-indexes", "destroy"])
    );
}

#[test]
fn what_can_t_be_asked_for_is_refused_as_a_whole() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    assert!(fails(place, &["run-meters", "--all-projects"], 1).contains("there is no store"));
    run(place, &["dev-seed"]);
    for (args, complaint) in [
        (&["run-meters"][..], "say what, with --projects"),
        (&["run-meters", "--projects", "1", "9"], "project 9: Invalid pk \"9\""),
        (&["run-meters", "--projects", "DEV_SEED_PROJECT"], "with --use-project-id"),
        (&["run-meters", "--use-trace-id", "--traces", "x"], "no trace with the trace_id `x`"),
        (&["run-meters", "--all-traces", "--model-class", "Magic"], "Magic"),
        (&["delete-meters"], "say what, with --meters"),
        (
            &["meter-progress", "--meters", "1", "2", "2"],
            "2 of the 2 meter runs that are named are not there",
        ),
        (&["meter-progress", "--request", "9"], "no request 9"),
        (&["run-aggregations", "--group-names", "nobody"], "no group of traces `nobody`"),
    ] {
        let error = fails(place, args, 1);
        assert!(error.contains(complaint), "{args:?}: {error}");
    }
    fails(place, &["run-meters", "--all-projects", "--model-kwargs", "[1]"], 2);
    fails(place, &["meter-progress"], 2);
    fails(place, &["run-aggregations"], 2);
    assert_eq!(json(place, &["meter-progress", "--all-meters"])[0]["PENDING"], 0);
}

#[test]
fn the_token_of_the_seeds_is_good_on_this_machine_only() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), &["dev-seed"]);
    let server = Server::start_in(folder, &["--server-trusted-proxies", "127.0.0.1/32"]);
    let ask = || server.get("/api/v1/projects/").token("tokstr");
    let answer = ask().send();
    assert_eq!(answer.status, 200, "{answer}");
    assert_eq!(answer.json()[0]["project_id"], "DEV_SEED_PROJECT");
    let answer = ask().header("x-forwarded-for", "203.0.113.9").send();
    assert_eq!(answer.status, 401, "{answer}");
    assert_eq!(ask().header("x-forwarded-for", "127.0.0.1").send().status, 200);
    assert_eq!(ask().header("host", "sheaf.example.org").send().status, 401);

    let sign_in = |headers: &[(&str, &str)]| {
        let mut ask = server.post("/api/v1/users/signin");
        for (name, value) in headers {
            ask = ask.header(name, value);
        }
        ask.json(&json!({"name": "demo", "password": "demo-password"})).send().status
    };
    assert_eq!(sign_in(&[]), 200);
    assert_eq!(sign_in(&[("x-forwarded-for", "203.0.113.9")]), 401);
    let refresh = |address: &str| {
        let ask = server.post("/api/v1/users/tokens/refresh").header("x-forwarded-for", address);
        ask.json(&json!({"refreshToken": "tokstr"})).send().status
    };
    assert_eq!((refresh("127.0.0.1"), refresh("203.0.113.9")), (200, 401));
}

#[test]
fn an_administrator_has_secrets_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let printed = run(folder.path(), &["prod-seed"]);
    let secret = |of: &str| {
        let line = printed.lines().find_map(|line| line.strip_prefix(of));
        line.unwrap().to_owned()
    };
    let (password, token) = (secret("Admin password: "), secret("Admin token: "));
    assert!(fails(folder.path(), &["prod-seed"], 1).contains("already"));
    let server = Server::start_in(folder, &[]);
    let me = server.get("/api/v1/users/me").token(&token).send().json();
    assert_eq!((&me["userId"], &me["isAdmin"]), (&json!("admin"), &json!(true)));
    let sign_in = server.post("/api/v1/users/signin").json(&json!({"name": "admin", "password": password}));
    assert_eq!(sign_in.send().status, 200);
}

/// What is computed of the homes of the demo is near what is true, and the same in every run.
#[test]
fn the_programme_saves_what_it_should() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let mut seen = Vec::new();
    for folder in folders {
        let made = json(folder.path(), &["demo", "--no-serve", "--projects", "40"]);
        let seeds = made.last().unwrap();
        assert_eq!((&seeds["projects"], &seeds["meterRuns"]["failed"]), (&json!(41), &json!(0)), "{seeds}");
        let groups = ["demo: all", "demo: heat pump"];
        let asked =
            json(folder.path(), &["run-aggregations", "--group-names", groups[0], groups[1], "--wait"]);
        assert_eq!((&asked[2]["runs"], &asked[3]["SUCCESS"]), (&json!(8), &json!(8)), "{asked:?}");

        let server = Server::start_in(folder, &[]);
        let get = |path: &str| server.get(path).token("tokstr").send().json();
        let all = get("/api/v1/aggregation_results/1/");
        assert_eq!(
            (&all["trace_interpretation"], &all["derivative_interpretation"]),
            (&json!("ELECTRICITY_CONSUMPTION_SUPPLIED"), &json!("annualized_weather_normal"))
        );
        let metadata = get("/api/v1/project_metadata/");
        let values = metadata.as_array().unwrap().iter().filter(|row| row["key"] == "true_savings_kwh");
        let truth: f64 = values.map(|row| row["value"].as_str().unwrap().parse::<f64>().unwrap()).sum();
        let value = all["differential_value"].as_f64().unwrap();
        assert!((value - truth).abs() < 0.1 * truth, "{value} of {truth}");
        let number = |name: &str| all[name].as_f64().unwrap();
        let within = (number("differential_lower"), number("differential_upper"));
        seen.push((value, within, all["derivatives"].clone(), metadata));
        marts(&server);
    }
    assert_eq!(seen[0], seen[1]);
}

/// The marts over HTTP and as files say the same.
fn marts(server: &Server) {
    let get = |path: &str| server.get(path).token("tokstr").send();
    let listed = get("/api/v1/marts/").json();
    let names: Vec<&str> =
        listed.as_array().unwrap().iter().map(|mart| mart["name"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 6, "{names:?}");
    for name in names {
        let whole = get(&format!("/api/v1/marts/{name}/?format=csv"));
        assert_eq!(whole.status, 200, "{whole}");
        let file = run(server.folder(), &["mart", "export", name]);
        assert!(text(&whole.body) == file, "{name}");
        assert!(file.lines().count() > 1, "{name}");
        let parquet = server.folder().join(format!("{name}.parquet"));
        run(server.folder(), &["mart", "export", name, "-o", parquet.to_str().unwrap()]);
        let over_http = get(&format!("/api/v1/marts/warehouse_{name}/?format=parquet")).body;
        assert!(over_http == std::fs::read(parquet).unwrap(), "{name}");
    }
    // Page by page.
    let page = get("/api/v1/marts/projectsummarymart/?limit=2&after=1");
    let ids: Vec<Value> = page.json().as_array().unwrap().iter().map(|row| row["id"].clone()).collect();
    assert_eq!(ids, [2, 3]);
    assert_eq!(
        page.header("link"),
        Some("</api/v1/marts/projectsummarymart/?limit=2&after=3>; rel=\"next\"")
    );
    let rows = get("/api/v1/marts/meterresultmart/?limit=100000").json();
    let saved =
        rows.as_array().unwrap().iter().find(|row| row["derivative_interpretation"] == "gross_predicted");
    assert!(saved.unwrap()["differential_lower_bound"].is_number());

    for (path, status, complaint) in [
        ("/api/v1/marts/countyinfo/", 404, "no table of counties"),
        ("/api/v1/marts/x/", 404, "unknown mart `x`; there are: meterresultmart"),
        ("/api/v1/marts/zctainfo/?format=xml", 400, "json, ndjson, csv and parquet"),
        ("/api/v1/marts/zctainfo/?limit=0", 400, "from 1 to"),
    ] {
        let answer = get(path);
        assert_eq!(answer.status, status, "{answer}");
        assert!(text(&answer.body).contains(complaint), "{answer}");
    }
    let token = server.token(&["--read", "/projects/.*"]);
    assert_eq!(server.get("/api/v1/marts/").token(&token).send().status, 403);
    assert_eq!(server.get("/api/v1/marts/projectsummarymart/").send().status, 401);
    for (args, complaint) in [
        (&["mart", "export", "countyinfo"][..], "no table of counties"),
        (&["mart", "export", "zctainfo", "-o", "x.xls"], "say --format"),
    ] {
        assert!(fails(server.folder(), args, 1).contains(complaint), "{args:?}");
    }
    assert!(run(server.folder(), &["meterresultmart", "recreate"]).contains("always current"));
    assert!(run(server.folder(), &["geoinfo", "destroy"]).contains("comes with the program"));
}
