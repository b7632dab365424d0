//! Work that takes time, from outside: exports and their files, owners, cancelling, restarts.

use std::io::{Cursor, Read};
use std::time::{Duration, Instant};

use base64::Engine;
use serde_json::{Value, json};

use super::http::{Answer, Server, encoded, sheaf_in};

const PATIENCE: Duration = Duration::from_secs(60);

/// A folder with `/plant/mast`: `T1`, an hour of seconds, 0, 1, 2, …, and `T2`, the same times ten.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut table = "time,T1 (°C),T2\n".to_owned();
    for second in 0..3600 {
        let (minute, second_of) = (second / 60, second % 60);
        table.push_str(&format!("2020-01-01T00:{minute:02}:{second_of:02}Z,{second},{}\n", second * 10));
    }
    let file = folder.path().join("table.csv");
    std::fs::write(&file, table).unwrap();
    let output = sheaf_in(folder.path(), &["ingest", file.to_str().unwrap(), "--catalog", "/plant/mast"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    folder
}

/// An export of ten-minute means of `T1`, changed.
fn export(changes: Value) -> Value {
    let mut body = json!({
        "begin": "2020-01-01T00:00:00Z",
        "end": "2020-01-01T01:00:00Z",
        "filePeriod": "00:00:00",
        "type": "Nexus.Writers.Csv",
        "resourcePaths": ["/plant/mast/T1/10_min_mean"],
        "configuration": {},
    });
    body.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    body
}

fn submit(server: &Server, token: &str, path: &str, body: &Value) -> String {
    let answer = server.post(path).token(token).json(body).send();
    assert_eq!(answer.status, 202, "{answer}");
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(answer.header("location"), Some(format!("/api/v1/jobs/{id}/status").as_str()));
    id
}

fn status(server: &Server, token: &str, id: &str) -> Value {
    let answer = server.get(&format!("/api/v1/jobs/{id}/status")).token(token).send();
    assert_eq!(answer.status, 200, "{answer}");
    answer.json()
}

/// The status of a job once it has ended.
fn ended(server: &Server, token: &str, id: &str) -> Value {
    let begun = Instant::now();
    loop {
        let status = status(server, token, id);
        if ["RanToCompletion", "Faulted", "Canceled"].contains(&status["status"].as_str().unwrap()) {
            return status;
        }
        assert!(begun.elapsed() < PATIENCE, "{status}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Name and bytes of each file of an archive.
fn unpacked(answer: &Answer) -> Vec<(String, Vec<u8>)> {
    let mut archive = zip::ZipArchive::new(Cursor::new(answer.body.clone())).unwrap();
    (0..archive.len())
        .map(|at| {
            let mut file = archive.by_index(at).unwrap();
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).unwrap();
            (file.name().unwrap().into_owned(), bytes)
        })
        .collect()
}

fn download(server: &Server, token: &str, id: &str) -> Answer {
    let status = ended(server, token, id);
    assert_eq!(status["status"], "RanToCompletion", "{status}");
    server.get(&format!("/api/v1/artifacts/{}", status["result"].as_str().unwrap())).token(token).send()
}

fn artifacts(server: &Server) -> usize {
    std::fs::read_dir(server.folder().join("artifacts")).map_or(0, Iterator::count)
}

#[test]
fn an_export_from_begin_to_end() {
    let server = Server::start_in(folder(), &[]);
    let token = server.token(&["--admin"]);
    let body = export(json!({"configuration": {"significant-figures": "7", "row-index-format": "iso-8601"}}));
    let id = submit(&server, &token, "/api/v1/jobs/export", &body);
    let status = ended(&server, &token, &id);
    assert_eq!((&status["status"], &status["progress"]), (&json!("RanToCompletion"), &json!(1.0)));
    assert_eq!((&status["exceptionMessage"], &status["attempt"]), (&Value::Null, &json!(1)));
    let answer = download(&server, &token, &id);
    assert_eq!(answer.header("content-length"), Some(answer.body.len().to_string().as_str()));
    assert_eq!(
        answer.header("content-disposition"),
        Some("attachment; filename=\"plant_mast_2020-01-01_10_min.zip\"")
    );
    let files = unpacked(&answer);
    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["plant_mast_2020-01-01T00-00-00Z_10_min.csv", "plant_mast_10_min.resource.json"]);
    assert_eq!(
        String::from_utf8(files[0].1.clone()).unwrap(),
        "\u{feff}# date_time: 2020-01-01T00-00-00Z\r\n# sample_period: 10_min\r\n# catalog_id: /plant/mast\r\n\
         ISO 8601 time,T1_10_min_mean (°C)\r\n\
         2020-01-01T00:00:00.0000000Z,299.5\r\n2020-01-01T00:10:00.0000000Z,899.5\r\n\
         2020-01-01T00:20:00.0000000Z,1499.5\r\n2020-01-01T00:30:00.0000000Z,2099.5\r\n\
         2020-01-01T00:40:00.0000000Z,2699.5\r\n2020-01-01T00:50:00.0000000Z,3299.5\r\n"
    );

    // A part of it, and nothing if the client has it.
    let path = format!("/api/v1/artifacts/{}", status["result"].as_str().unwrap());
    let part = server.get(&path).token(&token).header("range", "bytes=2-5").send();
    assert_eq!((part.status, &part.body[..]), (206, &answer.body[2..6]));
    let tag = answer.header("etag").unwrap();
    let known = server.get(&path).token(&token).header("if-none-match", tag).send();
    assert_eq!((known.status, known.body.len()), (304, 0));
    let stale =
        server.get(&path).token(&token).header("range", "bytes=2-5").header("if-range", "\"x\"").send();
    assert_eq!(stale.status, 200);

    let list = server.get("/api/v1/jobs").token(&token).send().json();
    assert_eq!(list[0]["id"], json!(id));
    assert_eq!(list[0]["type"], "export");
    assert_eq!(list[0]["parameters"]["resourcePaths"], json!(["/plant/mast/T1/10_min_mean"]));

    // The same in 32 bits, with all their figures.
    let body = export(json!({"precision": "FLOAT32", "configuration": {"significant-figures": 0},
        "resourcePaths": ["/plant/mast/T1/1_h_std"]}));
    let id = submit(&server, &token, "/api/v2/jobs/export", &body);
    let text = String::from_utf8(unpacked(&download(&server, &token, &id))[0].1.clone()).unwrap();
    assert!(text.ends_with("\r\n0,1039.3748\r\n"), "{text}");
}

#[test]
fn files_by_period_catalog_and_writer() {
    let server = Server::start_in(folder(), &[]);
    let token = server.token(&["--admin"]);
    let paths = json!(["/plant/mast/T1/1_min_mean", "/plant/mast/T2/1_min_max", "/plant/mast/T1/1_min_mean"]);
    for (writer, extension, count) in [
        ("Nexus.Writers.Csv", "csv", 4),
        ("Sheaf.Writers.Parquet", "parquet", 3),
        ("Sheaf.Writers.Arrow", "arrow", 3),
        ("Sheaf.Writers.Json", "jsonl", 3),
    ] {
        let body = export(json!({"type": writer, "resourcePaths": paths, "filePeriod": "00:20:00"}));
        let id = submit(&server, &token, "/api/v1/jobs/export", &body);
        let files = unpacked(&download(&server, &token, &id));
        assert_eq!(files.len(), count, "{writer}");
        for (minute, (name, bytes)) in [0, 20, 40].into_iter().zip(&files) {
            assert_eq!(*name, format!("plant_mast_2020-01-01T00-{minute:02}-00Z_1_min.{extension}"));
            assert!(!bytes.is_empty());
        }
        if extension == "jsonl" {
            let text = String::from_utf8(files[1].1.clone()).unwrap();
            let first: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
            assert_eq!(
                first,
                json!({"time": "2020-01-01T00:20:00Z", "T1_1_min_mean (°C)": 1229.5, "T2_1_min_max": 12590.0})
            );
        }
    }

    // One file of all catalogs, of which no process leaves a part behind.
    let body =
        export(json!({"type": "Nexus.Writers.Hdf5", "resourcePaths": paths, "filePeriod": "00:20:00"}));
    let id = submit(&server, &token, "/api/v1/jobs/export", &body);
    let files = unpacked(&download(&server, &token, &id));
    for (minute, (name, bytes)) in [0, 20, 40].into_iter().zip(&files) {
        assert_eq!(*name, format!("2020-01-01T00-{minute:02}-00Z_1_min.h5"));
        assert!(bytes.starts_with(b"\x89HDF\r\n\x1a\n"));
    }
    assert_eq!((files.len(), artifacts(&server)), (3, 5));

    // What was exported can be read in again.
    let body =
        export(json!({"resourcePaths": ["/plant/mast/T1/1_s"], "configuration": {"significant-figures": 0}}));
    let id = submit(&server, &token, "/api/v1/jobs/export", &body);
    let (name, bytes) = unpacked(&download(&server, &token, &id)).swap_remove(0);
    let file = server.folder().join(&name);
    std::fs::write(&file, bytes).unwrap();
    let output = server.sheaf(&["ingest", file.to_str().unwrap(), "--catalog", "/copy", "--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read = |path: &str| {
        let output = server.sheaf(&["read", path, "--format", "csv"]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(read("/copy/T1/1_s"), read("/plant/mast/T1/1_s"));
}

#[test]
fn nothing_to_write_is_an_empty_text() {
    let server = Server::start_in(folder(), &[]);
    let token = server.token(&["--admin"]);
    for changes in [json!({"type": null}), json!({"end": "2020-01-01T00:00:00Z"})] {
        let id = submit(&server, &token, "/api/v1/jobs/export", &export(changes));
        let status = ended(&server, &token, &id);
        assert_eq!((&status["status"], &status["result"]), (&json!("RanToCompletion"), &json!("")));
    }
    assert_eq!(artifacts(&server), 0);
}

#[test]
fn what_is_wrong_is_said_before_a_job_is_accepted() {
    let server = Server::start_in(folder(), &[]);
    let token = server.token(&["--admin"]);
    for (changes, expected, words) in [
        (json!({"resourcePaths": []}), 400, "at least one"),
        (json!({"resourcePaths": ["/plant/mast/T1/10_min_maen"]}), 422, "did you mean `mean`"),
        (json!({"resourcePaths": ["/plant/mast/T9/10_min_mean"]}), 422, "T9"),
        (json!({"resourcePaths": ["/plant/mast/T1/1_s", "/plant/mast/T1/1_min_mean"]}), 422, "one period"),
        (json!({"resourcePaths": ["/a/b/T1/1_s", "/a_b/T1/1_s"]}), 422, "both be called a_b"),
        (json!({"resourcePaths": ["/plant/mast/T1/1500_ms_mean"]}), 422, "1500_ms"),
        (json!({"type": "Nexus.Writers.Stone"}), 422, "`Nexus.Writers.Csv`"),
        (json!({"configuration": {"significant-figures": "four"}}), 422, "significant-figures"),
        (json!({"configuration": {"row-index": "iso"}}), 422, "row-index-format"),
        (json!({"filePeriod": "00:15:00"}), 422, "no multiple"),
        (json!({"filePeriod": "-00:10:00"}), 422, "filePeriod"),
        (json!({"begin": "2020-01-01T00:00:01Z"}), 422, "begin"),
        (json!({"begin": "2020-01-02T00:00:00Z"}), 422, "before"),
        (json!({"begin": "yesterday"}), 422, "yesterday"),
    ] {
        let answer = server.post("/api/v1/jobs/export").token(&token).json(&export(changes.clone())).send();
        assert_eq!(answer.status, expected, "{changes}: {answer}");
        assert!(answer.text().contains(words), "{changes}: {answer}");
    }
    assert_eq!(server.post("/api/v1/jobs/export").json(&export(json!({}))).send().status, 401);
    assert_eq!(server.get("/api/v1/jobs").token(&token).send().json(), json!([]));
    let clear = |catalog: &str, begin: &str, end: &str| {
        let catalog = encoded(catalog);
        let path = format!("/api/v1/jobs/clear-cache?catalogId={catalog}&begin={begin}&end={end}");
        server.post(&path).token(&token).send().status
    };
    assert_eq!(clear("/nowhere", "2020-01-01", "2020-01-02"), 404);
    assert_eq!(clear("/plant/mast", "2020-01-02", "2020-01-01"), 422);
    assert_eq!(clear("plant", "2020-01-01", "2020-01-02"), 422);
}

#[test]
fn jobs_and_artifacts_are_their_owners() {
    let server = Server::start_in(folder(), &[]);
    let admin = server.token(&["--admin"]);
    let (ann, bob) = (reader(&server, "ann"), reader(&server, "bob"));
    let id = submit(&server, &ann, "/api/v1/jobs/export", &export(json!({})));
    let artifact = format!("/api/v1/artifacts/{}", ended(&server, &ann, &id)["result"].as_str().unwrap());
    for (method, path) in [
        ("GET", format!("/api/v1/jobs/{id}/status")),
        ("GET", format!("/api/v1/jobs/{id}/events")),
        ("GET", artifact.clone()),
        ("DELETE", format!("/api/v1/jobs/{id}")),
    ] {
        assert_eq!(server.ask(method, &path).token(&bob).send().status, 404, "{method} {path}");
        assert_eq!(server.ask(method, &path).send().status, 401, "{method} {path}");
        let expected = if method == "GET" { 200 } else { 202 };
        assert_eq!(server.ask(method, &path).token(&ann).send().status, expected, "{method} {path}");
        assert_eq!(server.ask(method, &path).token(&admin).send().status, expected, "{method} {path}");
    }
    assert_eq!(server.get("/api/v1/jobs").token(&bob).send().json(), json!([]));
    assert_eq!(server.get("/api/v1/jobs").token(&ann).send().json()[0]["id"], json!(id));
    assert_eq!(server.get("/api/v1/jobs").token(&admin).send().json()[0]["id"], json!(id));
    for wrong in ["nothing", "..%2F..%2Fsheaf.db", &id, "00000000-0000-0000-0000-000000000000.zip"] {
        assert_eq!(server.get(&format!("/api/v1/artifacts/{wrong}")).token(&admin).send().status, 404);
        assert_eq!(server.get(&format!("/api/v1/jobs/x{wrong}/status")).token(&admin).send().status, 404);
    }
    assert_eq!(server.post("/api/v1/jobs/compact").token(&ann).send().status, 403);
    let outside = export(json!({"resourcePaths": ["/other/T1/1_s"]}));
    assert_eq!(server.post("/api/v1/jobs/export").token(&ann).json(&outside).send().status, 403);
}

/// An export that takes long: a year of seconds that are not there, in many figures.
fn long() -> Value {
    export(json!({
        "resourcePaths": ["/plant/mast/T1/1_s"], "end": "2030-01-01T00:00:00Z",
        "configuration": {"significant-figures": 0, "row-index-format": "iso-8601"},
    }))
}

#[test]
fn cancelling_leaves_nothing_behind() {
    let server = Server::start_in(folder(), &[]);
    let token = server.token(&["--admin"]);
    let begun = Instant::now();
    let wait_for_running = |id: &str| {
        while status(&server, &token, id)["status"] != "Running" {
            assert!(begun.elapsed() < PATIENCE);
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    let id = submit(&server, &token, "/api/v1/jobs/export", &long());
    wait_for_running(&id);
    assert_eq!(server.delete(&format!("/api/v1/jobs/{id}")).token(&token).send().status, 202);
    let is_on_record = |id: &str, user: Value| {
        let [event] = on_record(&server, &token, 1).try_into().unwrap();
        assert_eq!(
            (&event["action"], &event["subject"], &event["user"]),
            (&json!("job.cancel"), &json!(id), &user)
        );
    };
    is_on_record(&id, json!("test@cli"));
    let asked = Instant::now();
    assert_eq!(ended(&server, &token, &id)["status"], "Canceled");
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    assert_eq!(artifacts(&server), 0);

    // From another process, too.
    let id = submit(&server, &token, "/api/v1/jobs/export", &long());
    wait_for_running(&id);
    let output = server.sheaf(&["jobs", "cancel", &id]);
    assert!(String::from_utf8(output.stdout).unwrap().contains("is told to end"));
    is_on_record(&id, Value::Null);
    assert_eq!(ended(&server, &token, &id)["status"], "Canceled");
    let listed = server.sheaf(&["jobs", "list"]);
    assert!(String::from_utf8(listed.stdout).unwrap().contains("cancelled"));
    let shown = server.sheaf(&["jobs", "show", &id, "--json"]);
    assert_eq!(serde_json::from_slice::<Value>(&shown.stdout).unwrap()["state"], "cancelled");
    assert_eq!(artifacts(&server), 0);
}

#[test]
fn what_has_not_come_to_its_end_can_be_asked_for_again() {
    let server = Server::start_in(folder(), &[]);
    let admin = server.token(&["--admin"]);
    let (ann, bob) = (reader(&server, "ann"), reader(&server, "bob"));
    let retry = |id: &str, token: &str| server.post(&format!("/api/v1/jobs/{id}/retry")).token(token).send();
    let id = submit(&server, &ann, "/api/v1/jobs/export", &long());
    let early = retry(&id, &ann);
    assert!(early.status == 409 && early.text().contains("has not ended"), "{early}");
    assert_eq!(server.delete(&format!("/api/v1/jobs/{id}")).token(&ann).send().status, 202);
    ended(&server, &ann, &id);
    assert_eq!((retry(&id, &bob).status, retry("x", &ann).status), (404, 404));
    assert_eq!(server.post(&format!("/api/v1/jobs/{id}/retry")).send().status, 401);
    let again = retry(&id, &ann);
    assert_eq!(again.status, 202, "{again}");
    let new = again.json();
    let new_id = new["id"].as_str().unwrap();
    assert_eq!(again.header("location"), Some(format!("/api/v1/jobs/{new_id}/status").as_str()));
    assert_eq!((new_id != id, &new["owner"]), (true, &json!("ann")));
    assert_eq!(new["parameters"]["end"], "2030-01-01T00:00:00Z");
    let [event] = on_record(&server, &admin, 1).try_into().unwrap();
    assert_eq!((&event["action"], &event["subject"]), (&json!("job.retry"), &json!(id)));
    assert_eq!(event["detail"]["job"], new["id"]);
    server.delete(&format!("/api/v1/jobs/{new_id}")).token(&ann).send();
    ended(&server, &ann, new_id);

    // On the command line it stays its owner's. What is done is done.
    let output = server.sheaf(&["jobs", "retry", new_id, "--json"]);
    let again: Value = serde_json::from_slice(&output.stdout).unwrap();
    let third = again["id"].as_str().unwrap();
    assert_eq!((&again["ownerName"], &again["state"]), (&json!("ann"), &json!("waits")));
    server.delete(&format!("/api/v1/jobs/{third}")).token(&ann).send();
    ended(&server, &ann, third);
    let done = submit(&server, &ann, "/api/v1/jobs/export", &export(json!({})));
    ended(&server, &ann, &done);
    let refused = retry(&done, &ann);
    assert!(refused.status == 409 && refused.text().contains("is done"), "{refused}");
    let output = server.sheaf(&["jobs", "retry", &done]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("its state is `done`"));

    // With the rights of now.
    assert!(server.sheaf(&["user", "revoke", "ann@cli", "--read", "/plant/.*"]).status.success());
    assert_eq!(retry(&id, &ann).status, 403);
    assert_eq!(retry(&id, &admin).json()["owner"], "test");
}

/// A token of a user of its own, who may read the plant.
fn reader(server: &Server, name: &str) -> String {
    let output = server.sheaf(&["token", "create", "--name", name, "--read", "/plant/.*"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().next_back().unwrap().trim().to_owned()
}

#[test]
fn a_restart_goes_on() {
    let mut server = Server::start_in(folder(), &["--jobs-workers", "1"]);
    let token = server.token(&["--admin"]);
    let first = submit(&server, &token, "/api/v1/jobs/export", &long());
    let second = submit(&server, &token, "/api/v1/jobs/export", &export(json!({})));
    let begun = Instant::now();
    while artifacts(&server) == 0 {
        assert!(begun.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(server.stop().success());
    assert_eq!(artifacts(&server), 0, "what was put back has left nothing");
    server.restart();
    let now = status(&server, &token, &first);
    assert!(["WaitingToRun", "Running"].contains(&now["status"].as_str().unwrap()), "{now}");
    assert_eq!(server.delete(&format!("/api/v1/jobs/{first}")).token(&token).send().status, 202);
    assert_eq!(ended(&server, &token, &second)["status"], "RanToCompletion");

    // Killed in the middle of one, it leaves a file; the next start takes both away once the lease has ended.
    let kept = artifacts(&server);
    let third = submit(&server, &token, "/api/v1/jobs/export", &long());
    let begun = Instant::now();
    while artifacts(&server) == kept {
        assert!(begun.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(10));
    }
    server.kill();
    server.restart();
    let now = status(&server, &token, &third);
    assert_eq!(now["status"], "Running", "its lease has not ended yet: {now}");
    server.delete(&format!("/api/v1/jobs/{third}")).token(&token).send();
    assert_eq!(ended(&server, &token, &third)["status"], "Canceled");
}

/// A server that reads `/plant/mast` of another one as `/far`, and has a `/plant/mast` of its own.
fn near(far: &Server) -> (Server, String) {
    let near = Server::start_in(folder(), &["--jobs-workers", "1"]);
    let admin = near.token(&["--admin"]);
    let pipeline = json!({"registrations": [{
        "type": "Sheaf.Sources.Nexus",
        "resourceLocator": format!("http://{}", far.address()),
        "configuration": {"catalog": "/far", "remote": "/plant/mast", "token": far.token(&["--admin"]), "ttl": "1_ms"},
    }]});
    let answer = near.post("/api/v1/sources/pipelines").token(&admin).json(&pipeline).send();
    assert_eq!(answer.status, 200, "{answer}");
    (near, admin)
}

/// Asks for an export with a token for the other server.
fn export_with(server: &Server, token: &str, of_far: &str, body: &Value) -> Answer {
    let header = for_far(of_far);
    server.post("/api/v1/jobs/export").token(token).header("nexus-configuration", &header).json(body).send()
}

/// The configuration of a request that has a token for the other server.
fn for_far(token: &str) -> String {
    let configuration = json!({"Sheaf.Sources.Nexus": {"token": token}}).to_string();
    base64::engine::general_purpose::STANDARD.encode(configuration)
}

#[test]
fn an_export_reads_sources_with_what_its_request_brought_along() {
    let far = Server::start_in(folder(), &[]);
    let (near, admin) = near(&far);
    let body = export(json!({"resourcePaths": ["/far/T1/10_min_mean"]}));
    let refused = export_with(&near, &admin, "sheaf_nonsense", &body);
    assert_eq!(refused.status, 502, "{refused}");

    let of_far = far.token(&["--read", "/plant/.*"]);
    let accepted = |body: &Value| {
        let answer = export_with(&near, &admin, &of_far, body);
        assert_eq!(answer.status, 202, "{answer}");
        answer.json()["id"].as_str().unwrap().to_owned()
    };
    let values = unpacked(&download(&near, &admin, &accepted(&body)));
    assert!(String::from_utf8(values[0].1.clone()).unwrap().ends_with("\r\n5,3300\r\n"));

    // Accepted with a token that is worth nothing when its turn comes: it is that one that counts.
    let first = submit(&near, &admin, "/api/v1/jobs/export", &long());
    let with = accepted(&body);
    let without = submit(&near, &admin, "/api/v1/jobs/export", &body);
    let revoked = far.delete(&format!("/api/v1/users/tokens/delete?value={of_far}")).send();
    assert_eq!(revoked.status, 200, "{revoked}");
    assert_eq!(near.delete(&format!("/api/v1/jobs/{first}")).token(&admin).send().status, 202);
    let failed = ended(&near, &admin, &with);
    assert_eq!(failed["status"], "Faulted", "{failed}");
    assert!(failed["exceptionMessage"].as_str().unwrap().contains("401"), "{failed}");
    assert_eq!(ended(&near, &admin, &without)["status"], "RanToCompletion");

    // It is in no file and in no log.
    let listed = near.get("/api/v1/jobs").token(&admin).send();
    assert!(!listed.text().contains(&of_far) && !near.log().contains(&of_far));
    for file in ["sheaf.db", "sheaf.db-wal"] {
        let bytes = std::fs::read(near.folder().join(file)).unwrap_or_default();
        assert!(!bytes.windows(of_far.len()).any(|window| window == of_far.as_bytes()), "{file}");
    }
}

#[test]
fn an_export_whose_configuration_is_gone_fails_and_says_so() {
    let far = Server::start_in(folder(), &[]);
    let of_far = far.token(&["--read", "/plant/.*"]);
    let (mut near, admin) = near(&far);
    let id = export_with(&near, &admin, &of_far, &long()).json()["id"].as_str().unwrap().to_owned();
    let begun = Instant::now();
    while artifacts(&near) == 0 {
        assert!(begun.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(near.stop().success());
    near.restart();
    let failed = ended(&near, &admin, &id);
    assert_eq!(failed["status"], "Faulted", "{failed}");
    let message = failed["exceptionMessage"].as_str().unwrap();
    assert!(
        message.contains("Nexus-Configuration") && message.contains("ask for the export again"),
        "{failed}"
    );
    assert_eq!(artifacts(&near), 0);

    // Again, but not without it.
    let retry = || near.post(&format!("/api/v1/jobs/{id}/retry")).token(&admin);
    let refused = retry().send();
    assert!(refused.status == 422 && refused.text().contains("Nexus-Configuration"), "{refused}");
    let again = retry().header("nexus-configuration", &for_far(&of_far)).send();
    assert_eq!(again.status, 202, "{again}");
}

/// Of two servers with the same data, the one that accepted an export does it: the other one could not.
#[test]
fn an_export_with_a_configuration_stays_where_it_was_accepted() {
    let far = Server::start_in(folder(), &[]);
    let of_far = far.token(&["--read", "/plant/.*"]);
    let (near, admin) = near(&far);
    // The one that accepts is busy, the other one has nothing to do, and looks for jobs once a second.
    let first = submit(&near, &admin, "/api/v1/jobs/export", &long());
    let begun = Instant::now();
    while status(&near, &admin, &first)["status"] != "Running" {
        assert!(begun.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(10));
    }
    let other = near.beside(&["--jobs-workers", "8"]);
    let body = export(json!({"resourcePaths": ["/far/T1/10_min_mean"]}));
    let id = export_with(&near, &admin, &of_far, &body).json()["id"].as_str().unwrap().to_owned();
    let without = submit(&near, &admin, "/api/v1/jobs/export", &body);
    assert_eq!(ended(&near, &admin, &without)["status"], "RanToCompletion");
    assert_eq!(status(&near, &admin, &id)["status"], "WaitingToRun");
    assert_eq!(near.delete(&format!("/api/v1/jobs/{first}")).token(&admin).send().status, 202);
    assert_eq!(ended(&near, &admin, &id)["status"], "RanToCompletion");
    drop(other);
}

#[test]
fn a_job_can_be_followed() {
    let server = Server::start_in(folder(), &[]);
    let token = server.token(&["--admin"]);
    let id = submit(&server, &token, "/api/v1/jobs/export", &export(json!({})));
    let answer = server.get(&format!("/api/v1/jobs/{id}/events")).token(&token).send();
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    let events: Vec<&str> = answer.text().trim_end().split("\n\n").collect();
    let (name, data) = events.last().unwrap().split_once('\n').unwrap();
    assert_eq!(name, "event: end");
    let last: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
    assert_eq!(last["status"], "RanToCompletion");
    assert!(events[..events.len() - 1].iter().all(|event| event.starts_with("event: progress\n")));
}

#[test]
fn jobs_that_look_after_the_server() {
    let server = Server::start_in(folder(), &[]);
    let token = server.token(&["--admin"]);
    let read = || {
        let output = server.sheaf(&["read", "/plant/mast/T1/10_min_mean", "--format", "csv"]);
        String::from_utf8(output.stdout).unwrap()
    };
    let before = read();
    let clear = "/api/v1/jobs/clear-cache?catalogId=%2Fplant%2Fmast&begin=2020-01-01T00:00:00&end=2020-01-02";
    for path in [clear, "/api/v1/jobs/refresh-database", "/api/v1/jobs/compact?all=true"] {
        let answer = server.post(path).token(&token).send();
        assert_eq!(answer.status, 202, "{answer}");
        let id = answer.json()["id"].as_str().unwrap().to_owned();
        let status = ended(&server, &token, &id);
        assert_eq!(status["status"], "RanToCompletion", "{status}");
        assert_eq!(answer.json()["parameters"], Value::Null);
        let [event] = on_record(&server, &token, 1).try_into().unwrap();
        assert_eq!((&event["subject"], &event["outcome"]), (&json!(id), &json!("done")));
        assert_eq!(event["action"], format!("job.{}", answer.json()["type"].as_str().unwrap()));
        if path == clear {
            assert_eq!(event["detail"]["catalogId"], "/plant/mast");
        }
    }
    assert_eq!(read(), before);
}

/// The last events of the record, the newest first.
fn on_record(server: &Server, token: &str, limit: usize) -> Vec<Value> {
    let answer = server.get(&format!("/api/v1/audit?limit={limit}")).token(token).send();
    assert_eq!(answer.status, 200, "{answer}");
    answer.json().as_array().unwrap().clone()
}

#[test]
fn the_record_has_its_time() {
    let mut server = Server::start_in(folder(), &["--audit-keep", "1 s"]);
    let token = server.token(&["--admin"]);
    for _ in 0..3 {
        let answer = server.post("/api/v1/jobs/refresh-database").token(&token).send();
        ended(&server, &token, answer.json()["id"].as_str().unwrap());
    }
    let last = on_record(&server, &token, 1);
    std::thread::sleep(Duration::from_millis(1100));
    server.stop();
    server.restart();
    let begun = Instant::now();
    while on_record(&server, &token, 9) != last {
        assert!(begun.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn jobs_are_counted() {
    let server = Server::start_in(folder(), &["--jobs-workers", "1"]);
    let token = server.token(&["--admin"]);
    let metric = |line: &str| {
        let text = server.get("/metrics").send().text().to_owned();
        let found = text.lines().find_map(|of| of.strip_prefix(line)?.trim().parse::<f64>().ok());
        found.unwrap_or_else(|| panic!("{line} in {text}"))
    };
    let done = submit(&server, &token, "/api/v1/jobs/export", &export(json!({})));
    ended(&server, &token, &done);
    let running = submit(&server, &token, "/api/v1/jobs/export", &long());
    let waiting = submit(&server, &token, "/api/v1/jobs/export", &export(json!({})));
    let begun = Instant::now();
    while status(&server, &token, &running)["status"] != "Running" {
        assert!(begun.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(metric("sheaf_jobs{kind=\"export\",status=\"queued\"}"), 1.0);
    assert_eq!(metric("sheaf_jobs{kind=\"export\",status=\"running\"}"), 1.0);
    assert_eq!(metric("sheaf_jobs{kind=\"compact\",status=\"running\"}"), 0.0);
    server.delete(&format!("/api/v1/jobs/{running}")).token(&token).send();
    assert_eq!(ended(&server, &token, &waiting)["status"], "RanToCompletion");
    assert_eq!(metric("sheaf_jobs_ended_total{kind=\"export\",outcome=\"succeeded\"}"), 2.0);
    assert_eq!(metric("sheaf_jobs_ended_total{kind=\"export\",outcome=\"canceled\"}"), 1.0);
    assert_eq!(metric("sheaf_job_duration_seconds_count{kind=\"export\"}"), 3.0);
    assert_eq!(metric("sheaf_job_wait_seconds_count{kind=\"export\"}"), 3.0);
    assert!(metric("sheaf_job_wait_seconds_sum{kind=\"export\"}") < 60.0);
}

#[test]
fn artifacts_have_their_time() {
    let mut server = Server::start_in(folder(), &["--jobs-artifact-retention", "1 s"]);
    let token = server.token(&["--admin"]);
    let id = submit(&server, &token, "/api/v1/jobs/export", &export(json!({})));
    let status = ended(&server, &token, &id);
    assert_eq!(artifacts(&server), 1);
    std::thread::sleep(Duration::from_millis(1100));
    // It is looked after at the start, and from time to time.
    server.stop();
    server.restart();
    let begun = Instant::now();
    while artifacts(&server) > 0 {
        assert!(begun.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(20));
    }
    let path = format!("/api/v1/artifacts/{}", status["result"].as_str().unwrap());
    assert_eq!(server.get(&path).token(&token).send().status, 404);
    assert_eq!(ended(&server, &token, &id)["status"], "RanToCompletion", "the job is still known");
}
