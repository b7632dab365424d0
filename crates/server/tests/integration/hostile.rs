//! Clients that don't keep to the rules: the server closes on them, and everybody else is answered meanwhile.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use super::http::Server;

/// Short, so that tests don't wait.
const LIMIT: &str = "1 s";
/// When the server must have closed a connection that has broken a limit of a second.
const SOON: Duration = Duration::from_secs(15);

fn server() -> Server {
    let limits = ["--limits-headers", LIMIT, "--limits-stall", LIMIT];
    Server::start(&[&limits[..], &["--limits-body", "100 kB", "--limits-upload", "1 MB"]].concat())
}

/// What is sent back until the connection ends, and how long that took.
fn rest(mut stream: TcpStream) -> (String, Duration) {
    let begun = Instant::now();
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(len) => bytes.extend_from_slice(&buffer[..len]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // A connection that is reset has ended.
            Err(_) => break,
        }
    }
    (String::from_utf8_lossy(&bytes).into_owned(), begun.elapsed())
}

fn is_well(server: &Server) {
    let begun = Instant::now();
    assert_eq!(server.get("/health/live").send().status, 200);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

/// Each sends a byte now and then and never ends its headers.
#[test]
fn slow_headers_hold_nothing() {
    let server = server();
    let begun = Instant::now();
    let clients: Vec<_> = (0..50)
        .map(|_| {
            let mut stream = server.connect();
            stream.write_all(b"GET /health/live HTTP/1.1\r\nhost: x\r\nx-slow: ").unwrap();
            thread::spawn(move || {
                // Writing fails once the server has closed the connection.
                while stream.write_all(b"a").is_ok() {
                    assert!(begun.elapsed() < SOON, "the server still listens");
                    thread::sleep(Duration::from_millis(100));
                }
            })
        })
        .collect();
    is_well(&server);
    for client in clients {
        client.join().unwrap();
    }
    is_well(&server);
}

/// One that says nothing at all, from the start or after a request.
#[test]
fn silence_is_ended() {
    let server = server();
    let silent = server.connect();
    let mut once = server.connect();
    once.write_all(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    for stream in [silent, once] {
        let (_, after) = rest(stream);
        assert!(after < SOON, "{after:?}");
    }
}

#[test]
fn a_body_that_stops_is_not_waited_for() {
    let server = server();
    let token = server.token(&["--admin"]);
    for path in [
        "/api/v1/ingest?catalog=/a",
        "/api/v1/catalogs/search-items",
        "/api/v1/catalogs/%2FSAMPLE%2FLOCAL/attachments/b",
    ] {
        let method = if path.ends_with("/b") { "PUT" } else { "POST" };
        let kind = if path.ends_with("items") { "application/json" } else { "application/octet-stream" };
        let mut stream = server.connect();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-type: {kind}\r\ncontent-length: 1000\r\n\r\n[\"a"
        );
        stream.write_all(head.as_bytes()).unwrap();
        let (answer, after) = rest(stream);
        assert!(after < SOON, "{path}: {after:?}");
        let status = answer.split(' ').nth(1).unwrap_or("none");
        assert!(["408", "400", "none"].contains(&status), "{path}: {answer}");
        is_well(&server);
    }
    let attachments = server.get("/api/v1/catalogs/%2FSAMPLE%2FLOCAL/attachments").token(&token).send();
    assert_eq!(attachments.text(), "[]", "half a body was kept");
}

#[test]
fn bodies_that_are_too_large_are_refused() {
    let server = server();
    let token = server.token(&["--admin"]);
    let text = vec![b' '; 2_000_000];
    for (method, path, kind) in [
        ("POST", "/api/v1/catalogs/search-items", "application/json"),
        ("POST", "/api/v2/data", "application/json"),
        ("POST", "/api/v1/jobs/export", "application/json"),
        ("POST", "/api/v1/ingest?catalog=/a", "text/csv"),
        ("PUT", "/api/v1/catalogs/%2FSAMPLE%2FLOCAL/attachments/b", "application/octet-stream"),
    ] {
        // A client that asks first does not send it at all.
        let mut stream = server.connect();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-type: {kind}\r\n\
             content-length: {}\r\nexpect: 100-continue\r\nconnection: close\r\n\r\n",
            text.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let (answer, _) = rest(stream);
        assert!(answer.starts_with("HTTP/1.1 413 "), "{path}: {answer}");
        assert!(answer.contains("limits."), "{path}: the answer names the setting: {answer}");
        // Others may see the connection end before they have sent all of it, or get the answer.
        if let Ok(answer) = server.ask(method, path).token(&token).body(kind, text.clone()).try_send() {
            assert_eq!(answer.status, 413, "{answer}");
        }
    }
    is_well(&server);
}

/// Chunks without end: the connection is closed when there are too many, not when memory is.
#[test]
fn a_body_without_end_ends() {
    let server = server();
    let token = server.token(&["--admin"]);
    for (method, path, kind) in [
        ("POST", "/api/v1/catalogs/search-items", "application/json"),
        ("POST", "/api/v1/ingest?catalog=/a", "text/csv"),
        ("PUT", "/api/v1/catalogs/%2FSAMPLE%2FLOCAL/attachments/b", "application/octet-stream"),
        ("POST", "/health/live", "text/plain"),
    ] {
        let mut stream = server.connect();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-type: {kind}\r\n\
             transfer-encoding: chunked\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        let chunk = format!("2000\r\n{}\r\n", "time,a\n2020".repeat(0x2000 / 11 + 1).split_at(0x2000).0);
        let begun = Instant::now();
        let mut sent = 0;
        while stream.write_all(chunk.as_bytes()).is_ok() {
            sent += chunk.len();
            assert!(begun.elapsed() < SOON && sent < 1_000_000_000, "{path} takes {sent} bytes");
        }
        is_well(&server);
    }
}

/// The answer comes before the body: a client that keeps the connection must be told that it ends, or its next request fails.
#[test]
fn who_is_refused_early_learns_that_the_connection_ends() {
    let server = server();
    let token = server.token(&["--admin"]);
    for (method, path, kind) in [
        ("POST", "/api/v1/jobs/nothing", "application/json"),
        ("POST", "/api/v1/users/tokens/create", "text/plain"),
        ("PUT", "/api/v1/catalogs/%2FSAMPLE%2FLOCAL/attachments/..%2Fx", "application/octet-stream"),
        ("POST", "/api/v1/ingest?catalog=no", "text/csv"),
    ] {
        let mut stream = server.connect();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-type: {kind}\r\n\
             content-length: 2\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        let (answer, after) = rest(stream);
        assert!(answer.starts_with("HTTP/1.1 4") && after < SOON, "{path}: {answer}");
        assert!(answer.to_lowercase().contains("\r\nconnection: close\r\n"), "{path}: {answer}");
    }
    // Whose body was read may go on.
    let mut stream = server.connect();
    stream
        .write_all(b"POST /api/v1/users/signin HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n")
        .unwrap();
    stream
        .write_all(
            b"content-length: 28\r\n\r\n{\"name\":\"x\",\"password\":\"y\"} GET /health/live HTTP/1.1\r\n",
        )
        .unwrap();
    stream.write_all(b"host: x\r\nconnection: close\r\n\r\n").unwrap();
    let (answers, _) = rest(stream);
    assert!(answers.starts_with("HTTP/1.1 401") && answers.contains("HTTP/1.1 200"), "{answers}");
}

#[test]
fn what_is_no_http_is_answered_or_closed() {
    let server = server();
    let long = format!("GET /{} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", "a".repeat(1_000_000));
    let headers =
        format!("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{}\r\n", "x: y\r\n".repeat(5000));
    for bytes in [
        &b"\0\x01\x02\xff\xfe"[..],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        b"GET /api/v1/catalogs/%ff%fe%00 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        b"GET /api/v1/catalogs/%2 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        long.as_bytes(),
        headers.as_bytes(),
    ] {
        let mut stream = server.connect();
        // It may close before it has read everything.
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(Shutdown::Write);
        let (answer, after) = rest(stream);
        let status = answer.split(' ').nth(1).unwrap_or("400");
        assert!(
            status.starts_with('4'),
            "{:?}: {answer}",
            String::from_utf8_lossy(&bytes[..bytes.len().min(60)])
        );
        assert!(after < SOON);
    }
    is_well(&server);
    assert!(!server.log().contains("panicked"));
}
