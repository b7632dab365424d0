//! How the server is set up, watched and stopped.

use super::http::{Server, sheaf_in};
use super::text;

#[test]
fn the_description_is_there_to_be_browsed() {
    let server = Server::start(&[]);
    let document = server.get("/openapi/v1.json").send().json();
    assert!(document["paths"]["/health/ready"]["get"].is_object(), "{document}");
    let answer = server.get("/api").send();
    assert_eq!((answer.status, answer.header("location")), (303, Some("/api/index.html")));
    assert!(server.get("/api/index.html").send().text().contains("swagger"));
    assert_eq!(server.get("/api/none.html").send().status, 404);
}

#[test]
fn a_method_that_is_not_there_is_named() {
    let server = Server::start(&[]);
    let answer = server.post("/health/live").send();
    assert_eq!((answer.status, answer.header("allow")), (405, Some("GET,HEAD")), "{answer}");
    assert!(answer.text().contains("POST"), "{answer}");
}

#[test]
fn a_wrong_setting_ends_the_start_and_says_where_it_was_set() {
    let folder = tempfile::tempdir().unwrap();
    let fails = |args: &[&str], words: &[&str]| {
        let output = sheaf_in(folder.path(), args);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(words.iter().all(|word| error.contains(word)), "{args:?}: {error}");
    };
    fails(&["serve", "--listen", "nowhere"], &["listen", "nowhere", "--listen"]);
    fails(&["serve", "--limits-body", "much"], &["limits.body", "much", "512 MB"]);
    fails(&["serve", "--tls-key", "key.pem"], &["tls.certificate"]);
    fails(&["serve", "--tls-key", "key.pem", "--tls-certificate", "chain.pem"], &["chain.pem", "key.pem"]);
    fails(&["serve", "--auth-anonymous-read", "("], &["auth.anonymous_read", "("]);
    fails(&["serve", "--log-level", "=="], &["log.level"]);
    std::fs::write(folder.path().join("sheaf.toml"), "[limit]\nbody = 3\n").unwrap();
    fails(&["serve"], &["sheaf.toml", "`limit`", "no such setting"]);
    fails(&["config"], &["sheaf.toml", "`limit`", "no such setting"]);
}

#[test]
fn every_setting_is_shown_with_where_it_comes_from() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("sheaf.toml"), "[limits]\nscans = 3\n").unwrap();
    let output = sheaf_in(folder.path(), &["config", "--json", "--limits-body", "1 MB"]);
    let lines: Vec<serde_json::Value> =
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |key: &str| lines.iter().find(|line| line["key"] == key).unwrap();
    assert_eq!(
        (&of("limits.body")["value"], &of("limits.body")["origin"]),
        (&"1 MB".into(), &"--limits-body".into())
    );
    assert_eq!(of("limits.scans")["value"], "3");
    assert!(of("limits.scans")["origin"].as_str().unwrap().ends_with("sheaf.toml"));
    assert_eq!(of("listen")["origin"], "default");
}

#[test]
fn who_listens_for_others_without_tls_is_warned() {
    let open = Server::start(&["--listen", "0.0.0.0:0"]);
    assert!(open.log().contains("without TLS"), "{}", open.log());
    let closed = Server::start(&[]);
    assert!(!closed.log().contains("without TLS"), "{}", closed.log());
}

#[test]
fn tls_is_spoken_with_a_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let (certificate, key) = (folder.path().join("chain.pem"), folder.path().join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let flags = ["--tls-certificate", certificate.to_str().unwrap(), "--tls-key", key.to_str().unwrap()];
    let server = Server::start(&flags);
    let root = ureq::tls::Certificate::from_der(made.cert.der()).to_owned();
    let tls =
        ureq::tls::TlsConfig::builder().root_certs(ureq::tls::RootCerts::new_with_certs(&[root])).build();
    let agent = ureq::Agent::config_builder().tls_config(tls).build().new_agent();
    let port = server.address().rsplit(':').next().unwrap();
    let answer = agent.get(format!("https://localhost:{port}/health/live")).call().unwrap();
    assert_eq!(answer.status(), 200);
    let plain = server.raw(b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(!plain.contains("200 OK"), "{plain}");
}
