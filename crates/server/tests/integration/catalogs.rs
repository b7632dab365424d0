//! What there is, over HTTP: shapes as clients of Nexus read them, ids of all kinds, sources that come, fail and go.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::http::{Answer, Server, encoded, sheaf_in};

const CATALOGS: &str = "/api/v1/catalogs";

fn of(id: &str, rest: &str) -> String {
    format!("{CATALOGS}/{}{rest}", encoded(id))
}

fn run(folder: &Path, args: &[&str]) {
    let output = sheaf_in(folder, args);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A table with so many rows, one each second.
fn table(rows: u32) -> String {
    let row = |second: u32| format!("2020-01-01T00:{:02}:{:02}Z,{second}.5\n", second / 60, second % 60);
    format!("time,T1 (°C)\n{}", (0..rows).map(row).collect::<String>())
}

/// A server with `/plant/mast` and `/plant/mast/deep` in the store, all of it readable but `/secret`.
fn plant() -> Server {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("table.csv");
    fs::write(&file, table(600)).unwrap();
    for catalog in ["/plant/mast", "/plant/mast/deep", "/secret/vault"] {
        run(folder.path(), &["ingest", file.to_str().unwrap(), "--catalog", catalog]);
    }
    Server::start_in(
        folder,
        &[
            "--auth-anonymous-read",
            "/plant/.*",
            "--auth-anonymous-read",
            "/SAMPLE/.*",
            "--auth-anonymous-read",
            "/live/.*",
        ],
    )
}

fn search(server: &Server, paths: &Value) -> Answer {
    server.post(&format!("{CATALOGS}/search-items")).json(paths).send()
}

#[test]
fn items_have_the_shape_that_clients_expect() {
    let server = plant();
    let answer = search(
        &server,
        &json!([
            "/plant/mast/T1/60_s_mean#base=1_s",
            "/SAMPLE/LOCAL/T1/1_s",
            "/plant/mast/T1/60_s_mean#base=1_s"
        ]),
    );
    assert_eq!(answer.status, 200, "{answer}");
    let sample = answer.json()["/SAMPLE/LOCAL/T1/1_s"].clone();
    assert_eq!(sample["resource"]["properties"]["unit"], "°C");
    assert_eq!(sample["resource"]["properties"]["nexus"], json!({"pipeline-position": 0}));
    // Keys are what was sent, in that order and each once; nulls are written.
    let stored = json!({
        "catalog": {"id": "/plant/mast", "properties": null, "resources": null},
        "resource": {"id": "T1", "properties": {"unit": "°C"}, "representations": null},
        "representation": {"dataType": "FLOAT64", "samplePeriod": "00:01:00", "parameters": null},
        "parameters": null
    });
    assert_eq!(
        answer.text(),
        format!("{{\"/plant/mast/T1/60_s_mean#base=1_s\":{stored},\"/SAMPLE/LOCAL/T1/1_s\":{sample}}}")
    );
    assert_eq!(search(&server, &json!([])).text(), "{}");

    for (paths, status, problem) in [
        (json!(["/plant/mast/T1"]), 422, "/plant/mast/T1"),
        (json!(["/plant/mast/T1/1_w"]), 422, "1_w"),
        (json!(["/plant/mast/T1/1_s#base=1s"]), 422, "1s"),
        (json!(["/plant/mast/T1/10_min_maen"]), 422, "did you mean `mean`"),
        (json!(["/plant/mast/T11/1_s"]), 422, "no resource `T11`, did you mean `T1`?"),
        (json!(["/plant/mast/T1/10_s"]), 422, "available: 1_s"),
        (json!(["/plant/nowhere/T1/1_s"]), 422, "there is no catalog `/plant/nowhere`"),
        (json!(["/SAMPLE/LOCAL/T2/1_s"]), 422, "/SAMPLE/LOCAL"),
        (json!(["/secret/vault/T1/1_s"]), 401, "/secret/vault"),
        (json!(["/secret/nothing/T1/1_s"]), 401, "/secret/nothing"),
        (json!({"a": 1}), 422, "expected a sequence"),
        (json!([1]), 422, "expected a string"),
    ] {
        let answer = search(&server, &paths);
        assert_eq!(answer.status, status, "{paths}: {answer}");
        assert!(answer.text().contains(problem), "{paths}: {answer}");
    }
    let answer = server.post(&format!("{CATALOGS}/search-items")).body("application/json", "[").send();
    assert_eq!(answer.status, 400, "{answer}");
    assert_eq!(server.post(&format!("{CATALOGS}/search-items")).body("text/plain", "[]").send().status, 415);
}

#[test]
fn catalogs_have_the_shape_that_clients_expect() {
    let server = plant();
    let answer = server.get(&of("/plant/mast", "")).send();
    assert_eq!(
        answer.json(),
        json!({
            "id": "/plant/mast", "properties": null,
            "resources": [{
                "id": "T1", "properties": {"unit": "°C"},
                "representations": [{"dataType": "FLOAT64", "samplePeriod": "00:00:01", "parameters": null}]
            }]
        })
    );
    let sample = server.get(&of("/SAMPLE/LOCAL", "")).send().json();
    let ids: Vec<&str> =
        sample["resources"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["T1", "V1", "unix_time1", "unix_time2"]);
    assert_eq!(sample["resources"][2]["representations"][0]["samplePeriod"], "00:00:00.0400000");
    let page = server.get(&of("/SAMPLE/LOCAL", "?limit=2&after=T1")).send().json();
    assert_eq!(page["resources"].as_array().unwrap().len(), 2);
    assert_eq!(page["resources"][0]["id"], "V1");

    let range = |id: &str| server.get(&of(id, "/timerange")).send().text().to_owned();
    assert_eq!(range("/plant/mast"), r#"{"begin":"2020-01-01T00:00:00Z","end":"2020-01-01T00:10:00Z"}"#);
    assert_eq!(
        range("/SAMPLE/LOCAL"),
        r#"{"begin":"0001-01-01T00:00:00","end":"9999-12-31T23:59:59.9999999"}"#
    );

    let availability = |id: &str, query: &str| server.get(&of(id, &format!("/availability?{query}"))).send();
    let day = "begin=2020-01-01T00:00:00Z&end=2020-01-01T00:20:00Z";
    assert_eq!(
        availability("/plant/mast", &format!("{day}&step=00:05:00")).text(),
        r#"{"data":[1.0,1.0,0.0,0.0]}"#
    );
    assert_eq!(
        availability("/SAMPLE/LOCAL", "begin=2020-01-01&end=2020-01-03&step=1%20day%2C%200%3A00%3A00").text(),
        r#"{"data":[1.0,1.0]}"#
    );
    for (query, status, problem) in [
        ("begin=2020-01-02&end=2020-01-01&step=1_d", 422, "before end"),
        ("begin=2020-01-01&end=2020-01-02&step=0:00:00", 422, "longer than nothing"),
        ("begin=2020-01-01&end=2021-01-02&step=1_min", 422, "1000 may be at once"),
        ("begin=2020-01-01&end=2020-01-02&step=never", 400, "step"),
        ("begin=2020-01-01&end=2020-01-02", 400, "step"),
    ] {
        let answer = availability("/plant/mast", query);
        assert!(answer.status == status && answer.text().contains(problem), "{query}: {answer}");
    }
    let license = server.get(&of("/plant/mast", "/license")).send();
    assert_eq!((license.status, license.text()), (200, "null"));
    let metadata = server.get(&of("/plant/mast", "/metadata")).send();
    assert_eq!(metadata.text(), r#"{"contact":null,"groupMemberships":null,"overrides":null}"#);
    assert_eq!(server.get(&of("/plant/mast", "/attachments")).send().text(), "[]");
}

#[test]
fn children_are_listed_as_far_as_the_caller_may_know() {
    let server = plant();
    let children = |id: &str, query: &str| -> Vec<String> {
        let answer = server.get(&of(id, &format!("/child-catalog-infos{query}"))).send();
        assert_eq!(answer.status, 200, "{answer}");
        answer.json().as_array().unwrap().iter().map(|info| info["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(children("/", ""), ["/SAMPLE/LOCAL", "/SAMPLE/REMOTE", "/plant/mast"]);
    assert_eq!(children("/plant", ""), ["/plant/mast"]);
    assert_eq!(children("/plant/mast", ""), ["/plant/mast/deep"]);
    assert_eq!(children("/plant/mast/deep", ""), Vec::<String>::new());
    assert_eq!(children("/", "?limit=1"), ["/SAMPLE/LOCAL"]);
    assert_eq!(children("/", "?limit=5&after=%2FSAMPLE%2FLOCAL"), ["/SAMPLE/REMOTE", "/plant/mast"]);
    let infos = server.get(&of("/", "/child-catalog-infos")).send().json();
    assert_eq!(
        infos[2],
        json!({
            "id": "/plant/mast", "title": null, "contact": null, "readme": null, "license": null,
            "isReadable": true, "isWritable": false, "isReleased": true, "isVisible": true, "isOwner": false,
            "packageReferenceIds": [],
            "pipelineInfo": {"id": "00000000-0000-0000-0000-000000000000", "types": ["Sheaf.Store"], "infoUrls": [null]}
        })
    );
    assert_eq!(infos[0]["pipelineInfo"]["types"], json!(["Sheaf.Sources.Sample"]));
    // Nothing is said of what may not be read, whether it is there or not.
    for id in ["/secret", "/secret/vault", "/secret/nothing"] {
        assert_eq!(server.get(&of(id, "/child-catalog-infos")).send().status, 401, "{id}");
    }
    assert_eq!(server.get(&of("/plant/nothing", "/child-catalog-infos")).send().status, 404);
}

#[test]
fn ids_are_one_segment_and_decoded_once() {
    let server = plant();
    for (segment, status, problem) in [
        ("%2Fplant%2Fmast", 200, ""),
        ("%2fplant%2fmast", 200, ""),
        ("%2Fplant%2Fnowhere", 404, "there is no catalog `/plant/nowhere`"),
        ("%252Fplant%252Fmast", 422, "%2Fplant%2Fmast"),
        ("%2Fplant%2Fma+st", 422, "'+'"),
        ("%2Fplant%2Fma%2Bst", 422, "'+'"),
        ("%2Fplant%2F%2e%2e%2Fsecret", 422, "'.'"),
        ("%2e%2e", 422, "must begin with `/`"),
        ("%2Fplant%2Fm%C3%A4st", 422, "'ä'"),
        ("%2Fplant%2Fmast%0A", 422, "'\\n'"),
        ("%2Fplant%2Fmast%00", 422, "'\\0'"),
        ("%2Fplant%2F", 422, "must not be empty"),
        ("plant", 422, "must begin with `/`"),
        ("%FF", 400, ""),
        ("%2Fsecret%2Fvault", 401, ""),
        ("%2FSECRET%2Fvault", 401, ""),
    ] {
        for rest in ["", "/timerange", "/metadata", "/attachments", "/license"] {
            if status == 401 && rest == "/license" {
                continue;
            }
            let answer = server.get(&format!("{CATALOGS}/{segment}{rest}")).send();
            assert_eq!(answer.status, status, "{segment}{rest}: {answer}");
            assert!(answer.text().contains(problem), "{segment}{rest}: {answer}");
        }
    }
    // Words of routes are taken in any case, and with a slash at the end.
    assert_eq!(server.get("/API/v1/Catalogs/%2Fplant%2Fmast/TimeRange/").send().status, 200);
}

/// Sources that the command line adds and removes beside the server, and one whose folder goes away.
#[test]
fn a_source_that_fails_is_a_matter_of_its_own_catalog() {
    let server = plant();
    let data = tempfile::tempdir().unwrap();
    for name in ["one", "two"] {
        fs::create_dir(data.path().join(name)).unwrap();
        fs::write(data.path().join(name).join("a.csv"), table(60)).unwrap();
        let template = format!("{}/{name}/*.csv", data.path().display());
        run(server.folder(), &["source", "add", &format!("/live/{name}"), "--csv", &template]);
    }
    run(server.folder(), &["source", "add", "/live/sample", "--type", "sample"]);
    let status = |id: &str| server.get(&of(id, "")).send().status;
    assert_eq!(["/live/one", "/live/two", "/live/sample", "/plant/mast"].map(status), [200; 4]);
    let found = search(&server, &json!(["/live/one/T1/1_s", "/live/two/T1/10_s_mean"])).json();
    assert_eq!(found["/live/one/T1/1_s"]["resource"]["properties"]["original-name"], "T1 (°C)");
    assert_eq!(found["/live/two/T1/10_s_mean"]["representation"]["samplePeriod"], "00:00:10");

    let (here, away) = (data.path().join("one"), data.path().join("gone"));
    fs::rename(&here, &away).unwrap();
    let begun = std::time::Instant::now();
    let answer = loop {
        let answer = server.get(&of("/live/one", "")).send();
        if answer.status != 200 || begun.elapsed().as_secs() > 30 {
            break answer;
        }
        std::thread::sleep(std::time::Duration::from_millis(300));
    };
    assert_eq!(answer.status, 502, "{answer}");
    assert!(answer.text().contains("`/live/one`") && answer.text().contains("one"), "{answer}");
    assert_eq!(["/live/two", "/live/sample", "/plant/mast"].map(status), [200; 3]);
    let answer = search(&server, &json!(["/live/two/T1/1_s", "/live/one/T1/1_s"]));
    assert!(answer.status == 502 && answer.text().contains("`/live/one`"), "{answer}");
    // It is still listed: nobody has to open it for that.
    let children = server.get(&of("/live", "/child-catalog-infos")).send().json();
    assert_eq!(children.as_array().unwrap().len(), 3);
    let checked = server.sheaf(&["source", "check"]);
    assert_eq!(checked.status.code(), Some(1));
    let said = String::from_utf8(checked.stdout).unwrap();
    assert!(
        said.contains("/live/one folder") && said.contains("FAILS") && said.contains("/live/two folder"),
        "{said}"
    );

    fs::rename(&away, &here).unwrap();
    let begun = std::time::Instant::now();
    while status("/live/one") != 200 {
        assert!(begun.elapsed().as_secs() < 30, "it does not come back");
        std::thread::sleep(std::time::Duration::from_millis(300));
    }
    // A new file shows, and a source that is removed is gone at once.
    fs::write(here.join("b.csv"), table(60).replace("2020-01-01T00:", "2020-01-01T01:")).unwrap();
    let begun = std::time::Instant::now();
    while server.get(&of("/live/one", "/timerange")).send().json()["end"] != "2020-01-01T01:01:00Z" {
        assert!(begun.elapsed().as_secs() < 30, "the new file does not show");
        std::thread::sleep(std::time::Duration::from_millis(300));
    }
    run(server.folder(), &["source", "remove", "/live/one"]);
    assert_eq!(status("/live/one"), 404);
}

#[test]
fn sections_of_the_settings_are_sources() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("files");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("a.csv"), table(60)).unwrap();
    let config = folder.path().join("sheaf.toml");
    let sections = format!(
        "[general]\nsample_catalog = false\n\n[[source]]\ncatalog = \"/live/files\"\ntype = \"folder\"\nroot = \"{}\"\ntemplate = \"*.csv\"\n",
        data.display()
    );
    fs::write(&config, sections).unwrap();
    let server =
        Server::start_in(folder, &["--config", config.to_str().unwrap(), "--auth-anonymous-read", "/.*"]);
    assert_eq!(server.get(&of("/live/files", "")).send().status, 200);
    assert_eq!(server.get(&of("/SAMPLE/LOCAL", "")).send().status, 404);
    // Commands have them, too.
    let listed = server.sheaf(&["source", "list", "--config", config.to_str().unwrap()]);
    assert!(String::from_utf8(listed.stdout).unwrap().starts_with("/live/files folder: *.csv in "));
    let read = server.sheaf(&[
        "read",
        "/live/files/T1/10_s_mean",
        "--config",
        config.to_str().unwrap(),
        "--format",
        "csv",
    ]);
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
}

#[test]
fn configurations_of_requests_are_checked() {
    let server = plant();
    let ask = |value: &str| server.get(&of("/SAMPLE/LOCAL", "")).header("nexus-configuration", value).send();
    assert_eq!(ask("e30=").status, 200);
    for value in ["not base64!", "W10=", "eyJh"] {
        let answer = ask(value);
        assert!(answer.status == 400 && answer.text().contains("Nexus-Configuration"), "{value}: {answer}");
    }
}

#[test]
fn the_sample_that_needs_it_is_read_by_requests_that_sign_in() {
    let server = plant();
    let path =
        "/api/v1/series?resourcePath=/SAMPLE/REMOTE/T1/10_s_mean&begin=2020-01-01&end=2020-01-01T00:00:10";
    let with = |value: serde_json::Value| {
        let value = STANDARD.encode(value.to_string());
        server.get(path).header("nexus-configuration", &value).send()
    };
    let refused = server.get(path).send();
    assert!(refused.status == 422 && refused.text().contains("\"user\""), "{refused}");
    for user in ["test", "nobody"] {
        let answer = with(json!({"Nexus.Sources.Sample": {"user": user, "password": "1234"}}));
        assert_eq!(answer.status, if user == "test" { 200 } else { 422 }, "{answer}");
    }
    // What was computed for somebody else is not for everybody.
    assert_eq!(server.get(path).send().status, refused.status);
}

/// What needs somebody who has signed in.
mod signed_in {
    use super::*;

    #[test]
    fn people_have_the_last_word_on_a_catalog() {
        let server = plant();
        let token = server.token(&["--admin"]);
        let put = |body: &Value| server.put(&of("/plant/mast", "/metadata")).token(&token).json(body).send();
        let said = json!({
            "contact": "me@example.org", "groupMemberships": ["wind"],
            "overrides": {
                "id": "/plant/mast", "properties": {"readme": "# Mast", "title": "The mast"},
                "resources": [{"id": "T1", "properties": {"unit": "K", "groups": ["a", "a"]}, "representations": null}]
            }
        });
        assert_eq!(put(&said).status, 200);
        assert_eq!(server.get(&of("/plant/mast", "/metadata")).send().json(), said);
        let catalog = server.get(&of("/plant/mast", "")).send().json();
        assert_eq!(catalog["properties"]["readme"], "# Mast");
        assert_eq!(catalog["resources"][0]["properties"], json!({"unit": "K", "groups": ["a"]}));
        let found = search(&server, &json!(["/plant/mast/T1/1_s"])).json();
        assert_eq!(found["/plant/mast/T1/1_s"]["resource"]["properties"]["unit"], "K");
        let info = server.get(&of("/plant", "/child-catalog-infos")).token(&token).send().json();
        assert_eq!(
            (&info[0]["contact"], &info[0]["title"], &info[0]["isWritable"]),
            (&json!("me@example.org"), &json!("The mast"), &json!(true))
        );
        for (body, problem) in [
            (json!({"overrides": {"id": "/plant/other"}}), "overrides.id must be `/plant/mast`"),
            (json!({"overrides": {"id": "/plant/mast", "resources": [{"id": "T9"}]}}), "no resource `T9`"),
            (json!({"overrides": {"id": "/plant/mast", "resources": [{"id": "T 1"}]}}), "T 1"),
            (json!({"overrides": {"id": "/plant/mast", "resources": [{"id": "T1"}, {"id": "T1"}]}}), "twice"),
            (json!({"overrides": {"id": "/plant/mast", "properties": []}}), "properties"),
            (json!({"groupMemberships": ["a\nb"]}), "groupMemberships"),
            (json!({"contact": 1}), "contact"),
        ] {
            let answer = put(&body);
            assert!(answer.status == 422 && answer.text().contains(problem), "{body}: {answer}");
        }
        assert_eq!(put(&json!({})).status, 200);
        assert_eq!(server.get(&of("/plant/mast", "")).send().json()["properties"], Value::Null);
        assert_eq!(server.put(&of("/plant/mast", "/metadata")).json(&json!({})).send().status, 401);
        assert_eq!(
            server.put(&of("/plant/nothing", "/metadata")).token(&token).json(&json!({})).send().status,
            404
        );
    }

    #[test]
    fn attachments_come_back_as_they_were() {
        let server = plant();
        let token = server.token(&["--admin"]);
        let at = |name: &str| of("/plant/mast", &format!("/attachments/{}", encoded(name)));
        let put = |name: &str, content: &[u8]| {
            server.put(&at(name)).token(&token).body("application/octet-stream", content).send()
        };
        let large: Vec<u8> = (0..3_000_000_u32).map(|i| i as u8).collect();
        for (name, content) in [
            ("docs/plan 1.pdf", &large[..]),
            ("日本+1.txt", b"x"),
            ("license.MD", b"be nice"),
            ("empty", b""),
        ] {
            assert_eq!(put(name, content).status, 200, "{name}");
            let answer = server.get(&format!("{}/content", at(name))).send();
            assert_eq!((answer.status, &answer.body[..]), (200, content), "{name}");
            assert_eq!(answer.header("content-length"), Some(content.len().to_string().as_str()));
            let etag = answer.header("etag").unwrap();
            let again = server.get(&format!("{}/content", at(name))).header("if-none-match", etag).send();
            assert_eq!((again.status, again.body.len()), (304, 0));
        }
        let answer = server.get(&format!("{}/content", at("docs/plan 1.pdf"))).send();
        assert_eq!(
            answer.header("content-disposition"),
            Some("attachment; filename=\"plan 1.pdf\"; filename*=UTF-8''plan%201.pdf")
        );
        assert_eq!(
            server.get(&of("/plant/mast", "/attachments")).send().json(),
            json!(["docs/plan 1.pdf", "empty", "license.MD", "日本+1.txt"])
        );
        assert_eq!(
            server.get(&of("/plant/mast", "/attachments?limit=1&after=empty")).send().json(),
            json!(["license.MD"])
        );
        assert_eq!(server.get(&of("/plant/mast", "/license")).send().json(), "be nice");
        // Another catalog has none of them.
        assert_eq!(server.get(&of("/plant/mast/deep", "/attachments")).send().json(), json!([]));

        for name in ["../x", "a/../../x", "/etc/passwd", "a\u{1}b", "..", "a\\b", &"x".repeat(300)] {
            assert_eq!(put(name, b"x").status, 422, "{name}");
        }
        let wrong = server.put(&at("x")).token(&token).body("text/plain", "x").send();
        assert_eq!(wrong.status, 415, "{wrong}");
        assert_eq!(server.put(&at("x")).body("application/octet-stream", "x").send().status, 401);
        assert_eq!(server.get(&format!("{}/content", at("x"))).send().status, 404);
        let delete = |name: &str| server.delete(&at(name)).token(&token).send().status;
        assert_eq!((delete("license.MD"), delete("license.MD")), (200, 200));
        assert_eq!(server.get(&of("/plant/mast", "/license")).send().text(), "null");
        let files = fs::read_dir(server.folder().join("attachments")).unwrap().count();
        assert_eq!(files, 3);
    }

    #[test]
    fn pipelines_are_checked_kept_and_shown_without_secrets() {
        let server = plant();
        let admin = server.token(&["--admin"]);
        let path = "/api/v1/sources/pipelines";
        let data = tempfile::tempdir().unwrap();
        fs::write(data.path().join("a.csv"), table(60)).unwrap();
        let root = data.path().to_str().unwrap();
        let pipeline = |catalog: &str, locator: &str| {
            json!({"registrations": [{
                "type": "Sheaf.Sources.Folder", "resourceLocator": locator,
                "configuration": {"catalog": catalog, "template": "*.csv"}, "infoUrl": null
            }], "releasePattern": null, "visibilityPattern": null})
        };
        let post = |body: &Value| server.post(path).token(&admin).json(body).send();
        let answer = post(&pipeline("/live/a", root));
        assert_eq!(answer.status, 200, "{answer}");
        let id = answer.json().as_str().unwrap().to_owned();
        assert_eq!(server.get(&of("/live/a", "")).send().status, 200);
        let shown = server.get(path).token(&admin).send().json();
        assert_eq!(shown[&id]["registrations"], pipeline("/live/a", root)["registrations"]);
        assert_eq!(
            (&shown[&id]["isReadOnly"], shown.as_object().unwrap().len()),
            (&json!(false), 3),
            "{shown}"
        );

        for (body, problem) in [
            (pipeline("/live/b", "/no/such/folder"), "registrations[0]: "),
            (pipeline("live", root), "registrations[0]: setting `catalog`"),
            (pipeline("/live/A", root), "another pipeline provides `/live/A`"),
            (pipeline("/plant/mast", root), "has samples in the store"),
            (json!({"registrations": [{"type": "Famos", "configuration": {}}]}), "Famos"),
            (
                json!({"registrations": [{"type": "Sheaf.Sources.Folder", "configuration": {"catalog": "/live/c"}}]}),
                "missing field `root`",
            ),
            (json!({"registrations": [], "releasePattern": "("}), "releasePattern"),
            (json!({}), "registrations"),
        ] {
            let answer = post(&body);
            assert!(answer.status == 422 && answer.text().contains(problem), "{body}: {answer}");
        }
        let one = format!("{path}/{id}");
        let mut changed = pipeline("/live/b", root);
        changed["registrations"].as_array_mut().unwrap().push(json!({
            "type": "Sheaf.Sources.Sample", "resourceLocator": null, "configuration": {"catalog": "/live/b"}, "infoUrl": null
        }));
        // Both have T1, with the same period and type: the first one provides it.
        let answer = server.put(&one).token(&admin).json(&changed).send();
        assert_eq!(answer.status, 200, "{answer}");
        assert_eq!(server.get(&of("/live/a", "")).send().status, 404);
        let both = server.get(&of("/live/b", "")).send().json();
        let position =
            |resource: usize| &both["resources"][resource]["properties"]["nexus"]["pipeline-position"];
        assert_eq!((position(0), position(1)), (&json!(0), &json!(1)), "{both}");

        // Another user: tokens of one name share theirs.
        let made = server.sheaf(&["token", "create", "--name", "other", "--read", "/live/.*"]);
        let other = String::from_utf8(made.stdout).unwrap().lines().next_back().unwrap().trim().to_owned();
        assert_eq!(server.get(path).token(&other).send().text(), "{}");
        assert_eq!(server.put(&one).token(&other).json(&changed).send().status, 404);
        assert_eq!(server.delete(&one).token(&other).send().status, 404);
        assert_eq!(server.get(&format!("{path}?userId=somebody")).token(&other).send().status, 403);
        assert_eq!(server.post(path).token(&other).json(&pipeline("/live/z", root)).send().status, 403);
        assert_eq!(server.get(path).send().status, 401);
        assert_eq!(server.delete(&one).token(&admin).send().status, 200);
        assert_eq!(server.delete(&one).token(&admin).send().status, 404);
        assert_eq!(server.get(&of("/live/b", "")).send().status, 404);

        let kinds = server.get("/api/v1/sources/descriptions").token(&other).send().json();
        assert_eq!(kinds[0]["type"], "Sheaf.Sources.Folder");
        let schema = &kinds[0]["additionalInformation"]["source-configuration-schema"];
        assert!(
            schema["properties"]["catalog"].is_object() && schema["properties"]["template"].is_object(),
            "{schema}"
        );
    }

    #[test]
    fn the_server_says_what_it_is() {
        let server = Server::start(&["--general-help-link", "https://example.org/help"]);
        let token = server.token(&["--admin"]);
        let get = |path: &str| server.get(path).token(&token).send();
        assert_eq!(get("/api/v1/system/file-type").json(), "Nexus.Writers.Csv");
        assert_eq!(get("/api/v1/system/help-link").json(), "https://example.org/help");
        let system = get("/api/v1/system").json();
        assert_eq!(
            (&system["applicationName"], &system["decimationAvailable"]),
            (&json!("Sheaf"), &json!(false))
        );
        let answer = get("/api/v1/packagereferences");
        assert!(answer.status == 501 && answer.text().contains("no packages"), "{answer}");
        assert_eq!(server.get("/api/v1/system").send().status, 401);
    }
}
