//! The server as an operator meets it: how it starts, answers, and ends.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use super::http::{Server, sheaf_in};

#[test]
fn it_is_well_and_ends_when_it_is_told_to() {
    let mut server = Server::start(&[]);
    for path in ["/health/live", "/health/ready", "/openapi/v1.json", "/metrics", "/API/", "/health/live/"] {
        let answer = server.get(path).send();
        assert!([200, 303, 307, 308].contains(&answer.status), "{path}: {answer}");
    }
    assert!(server.get("/metrics").send().text().contains("sheaf_http_requests_total"));
    assert_eq!(server.stop().code(), Some(0));
    server.restart();
    assert_eq!(server.get("/health/ready").send().status, 200);
}

#[test]
fn errors_are_text_or_json_as_the_client_asks() {
    let server = Server::start(&[]);
    let plain = server.get("/api/v1/nothing").header("x-request-id", "my-own-1").send();
    assert_eq!((plain.status, plain.header("x-request-id")), (404, Some("my-own-1")));
    assert!(plain.text().contains("/api/v1/nothing"), "{plain}");
    let quoted = server.get("/api/v1/nothing").accept("application/json").send();
    assert_eq!((quoted.status, quoted.json().as_str()), (404, Some(plain.text())));
    assert_eq!(server.raw(b"GET /x HTTP/1.0\r\n\r\n").split(' ').nth(1), Some("404"));
}

#[test]
fn an_address_that_is_taken_is_an_error_that_names_it() {
    let server = Server::start(&[]);
    let output = sheaf_in(server.folder(), &["serve", "--listen", server.address()]);
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains(server.address()) && error.contains("in use"), "{error}");
}

/// `deploy/sheaf.toml` has every setting with its default, and can be used as it is or with all of its lines.
#[test]
fn the_example_of_settings_is_complete() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/sheaf.toml");
    let text = std::fs::read_to_string(example).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let all = folder.path().join("all.toml");
    // A comment that has a value after a name is a setting.
    let is_setting = |line: &str| line.starts_with('#') && !line.starts_with("# ") && line.contains(" = ");
    let lines: Vec<&str> =
        text.lines().map(|line| if is_setting(line) { &line[1..] } else { line }).collect();
    std::fs::write(&all, lines.join("\n")).unwrap();
    let config = |file: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sheaf"));
        let output = command.args(["config", "--json", "--config", file]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        let values = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        values.collect::<Vec<_>>()
    };
    let (defaults, all) = (config(example), config(all.to_str().unwrap()));
    let names = |settings: &[serde_json::Value], is_set: bool| -> BTreeSet<String> {
        let of_file =
            |setting: &serde_json::Value| setting["origin"].as_str().is_some_and(|o| o.ends_with(".toml"));
        let found = settings.iter().filter(|setting| !is_set || of_file(setting));
        found.map(|setting| setting["key"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&all, true), names(&all, false), "settings of the example, and all settings");
    for (default, shown) in defaults.iter().zip(&all) {
        if default["origin"] == "default" {
            let text = |setting: &serde_json::Value| setting["value"].to_string();
            assert_eq!(text(default), text(shown), "the default of {}", default["key"]);
        }
    }
}

#[test]
fn ending_waits_for_answers_but_not_for_ever() {
    let mut server = Server::start(&["--limits-shutdown", "1 s"]);
    // A connection that is kept open and says nothing does not hold it up for long.
    let _idle = server.connect();
    server.terminate();
    assert!(server.wait(Duration::from_secs(20)).is_some());
}
