//! Tables over HTTP: all of one or nothing, once.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::http::{Answer, Ask, Server, encoded};

/// A server, and a token that may write below `/plant` and read everything there.
fn serve(flags: &[&str]) -> (Server, String) {
    let server = Server::start(flags);
    let token = server.token(&["--read", "/plant/.*", "--write", "/plant/.*"]);
    (server, token)
}

fn minutes(rows: usize) -> String {
    let mut table = "time,T1 (°C),n\n".to_owned();
    for row in 0..rows {
        writeln!(
            table,
            "2020-01-{:02}T{:02}:{:02}:00Z,{row}.5,{row}",
            1 + row / 1440,
            row / 60 % 24,
            row % 60
        )
        .unwrap();
    }
    table
}

fn ingest<'a>(server: &'a Server, token: &str, query: &str) -> Ask<'a> {
    server.post(&format!("/api/v1/ingest?{query}")).token(token)
}

/// The keys of all series.
fn series(server: &Server) -> Vec<String> {
    let output = server.sheaf(&["catalogs", "--json"]);
    let text = String::from_utf8(output.stdout).unwrap();
    text.split('"')
        .filter(|part| part.starts_with("/plant/") && part.matches('/').count() > 2)
        .map(str::to_owned)
        .collect()
}

fn values(server: &Server, token: &str, path: &str) -> Vec<f64> {
    let answer =
        server.get(&format!("/api/v1/series?resourcePath={}&format=f64", encoded(path))).token(token).send();
    assert_eq!(answer.status, 200, "{answer}");
    answer.doubles()
}

fn refused(answer: &Answer, status: u16, text: &str) {
    assert!(answer.status == status && answer.text().contains(text), "{answer}");
}

#[test]
fn tables_of_all_kinds_become_series() {
    let (server, token) = serve(&[]);
    let table = minutes(200);
    let answer = ingest(&server, &token, "catalog=/plant/mast").body("text/csv", table.clone()).send();
    assert_eq!(answer.status, 200, "{answer}");
    let report = answer.json();
    assert_eq!((&report["rows"], &report["repeated"]), (&json!(200), &json!(false)));
    assert_eq!(report["series"][0]["series"], "/plant/mast/T1/1_min");
    assert_eq!(report["series"][0]["unit"], "°C");
    let expected: Vec<f64> = (0..200).map(|row| f64::from(row) + 0.5).collect();
    assert_eq!(values(&server, &token, "/plant/mast/T1/1_min"), expected);

    let mut gzip = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(table.as_bytes()).unwrap();
    let packed = [("gzip", gzip.finish().unwrap()), ("zstd", zstd::encode_all(table.as_bytes(), 1).unwrap())];
    for (encoding, body) in packed {
        let answer = ingest(&server, &token, &format!("catalog=/plant/{encoding}&period=1_min"))
            .header("content-encoding", encoding)
            .body("text/csv", body)
            .send();
        assert_eq!(answer.status, 200, "{answer}");
        assert_eq!(values(&server, &token, &format!("/plant/{encoding}/T1/1_min")), expected);
    }

    let lines: String = (0..200)
        .map(|row| {
            format!("{{\"time\":\"2020-01-01T{:02}:{:02}:00Z\",\"T1\":{row}.5}}\n", row / 60, row % 60)
        })
        .collect();
    let answer = ingest(&server, &token, "catalog=/plant/lines").body("application/x-ndjson", lines).send();
    assert_eq!(answer.status, 200, "{answer}");
    assert_eq!(values(&server, &token, "/plant/lines/T1/1_min"), expected);

    let path = format!("/api/v1/series?resourcePath={}", encoded("/plant/mast/T1/1_min"));
    for (format, kind) in [
        ("parquet", "application/vnd.apache.parquet"),
        ("arrow", "application/vnd.apache.arrow.stream"),
        ("arrow", "application/octet-stream"),
    ] {
        let body = server.get(&format!("{path}&format={format}")).token(&token).send().body;
        let catalog = kind.replace(['/', '.', '-'], "_");
        let answer =
            ingest(&server, &token, &format!("catalog=/plant/{catalog}")).body(kind, body.clone()).send();
        assert_eq!(answer.status, 200, "{answer}");
        let copied = answer.json()["series"][0]["series"].as_str().unwrap().to_owned();
        assert_eq!(values(&server, &token, &copied), expected, "{kind}");
        let cut = body[..body.len() - 9].to_vec();
        let answer = ingest(&server, &token, "catalog=/plant/cut").body(kind, cut).send();
        refused(&answer, 422, "the body");
    }
}

#[test]
fn what_can_not_be_taken_is_said_and_leaves_nothing() {
    let (server, token) = serve(&[]);
    let good = minutes(10);
    let send = |query: &str, kind: &str, body: &str| ingest(&server, &token, query).body(kind, body).send();
    refused(&server.post("/api/v1/ingest?catalog=/plant/a").body("text/csv", good.clone()).send(), 401, "");
    refused(&send("catalog=/other/a", "text/csv", &good), 403, "/other/a");
    refused(&send("", "text/csv", &good), 422, "`catalog`");
    refused(&send("catalog=plant", "text/csv", &good), 422, "parameter `catalog`: `plant`");
    refused(&send("catalog=/plant/a&colour=red", "text/csv", &good), 422, "`colour`");
    refused(&send("catalog=/plant/a&onError=stop", "text/csv", &good), 422, "`refuse` or `skip`");
    refused(&send("catalog=/plant/a&format=xls", "text/csv", &good), 422, "xls");
    refused(&send("catalog=/plant/a", "image/png", &good), 415, "image/png");
    refused(&send("catalog=/plant/a", "text/csv", ""), 422, "the body");
    let wrong = good.replace("3.5,3", "cold,3");
    refused(&send("catalog=/plant/a", "text/csv", &wrong), 422, "line 5");
    refused(&send("catalog=/plant/a", "text/csv", &wrong), 422, "cold");
    refused(&send("catalog=/plant/a&type=FLOAT31", "text/csv", &good), 422, "FLOAT31");
    let answer = ingest(&server, &token, "catalog=/plant/a")
        .header("content-encoding", "br")
        .body("text/csv", good.clone())
        .send();
    refused(&answer, 415, "br");
    let answer = ingest(&server, &token, "catalog=/plant/a")
        .header("idempotency-key", "")
        .body("text/csv", good.clone())
        .send();
    refused(&answer, 422, "Idempotency-Key");
    assert_eq!(series(&server), Vec::<String>::new());

    let skipped = send("catalog=/plant/a&onError=skip", "text/csv", &wrong);
    assert_eq!(skipped.status, 207, "{skipped}");
    assert_eq!(skipped.json()["skipped"], 1);
    assert!(skipped.json()["errors"][0].as_str().unwrap().contains("line 5"), "{skipped}");
}

#[test]
fn the_same_with_the_same_key_happens_once() {
    let (server, token) = serve(&[]);
    let send = |query: &str, body: String| {
        ingest(&server, &token, query).header("idempotency-key", "upload 1").body("text/csv", body).send()
    };
    let first = send("catalog=/plant/mast", minutes(50));
    assert_eq!(first.status, 200, "{first}");
    let commit = first.json()["commit"].clone();
    // Somebody else overwrites it meanwhile.
    let other = minutes(50).replace(".5,", ".75,");
    assert_eq!(ingest(&server, &token, "catalog=/plant/mast").body("text/csv", other).send().status, 200);
    let again = send("catalog=/plant/mast", minutes(50));
    assert_eq!(
        (again.status, &again.json()["commit"], &again.json()["repeated"]),
        (200, &commit, &json!(true))
    );
    assert_eq!(values(&server, &token, "/plant/mast/T1/1_min")[0], 0.75);
    refused(&send("catalog=/plant/mast", minutes(51)), 409, "Idempotency-Key");
    refused(&send("catalog=/plant/mast&align=true", minutes(50)), 409, "Idempotency-Key");
    assert_eq!(send("catalog=/plant/elsewhere", minutes(50)).json()["repeated"], json!(false));
}

#[test]
fn a_body_beyond_the_limit_leaves_nothing() {
    let (server, token) = serve(&["--limits-upload", "10 kB"]);
    let answer = ingest(&server, &token, "catalog=/plant/a").body("text/csv", minutes(2000)).send();
    refused(&answer, 413, "limits.upload");
    // Without a length, and without an end.
    let mut stream = server.connect();
    write!(
        stream,
        "POST /api/v1/ingest?catalog=/plant/a HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: text/csv\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    .unwrap();
    let begun = Instant::now();
    let table = minutes(100);
    while write!(stream, "{:x}\r\n{table}\r\n", table.len()).is_ok() {
        assert!(begun.elapsed() < Duration::from_secs(30), "it takes more and more");
    }
    let mut answer = Vec::new();
    let _reset = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert_eq!(series(&server), Vec::<String>::new());
}

#[test]
fn who_hangs_up_or_falls_asleep_has_written_nothing() {
    let (server, token) = serve(&["--limits-stall", "1 s"]);
    let begin = |len: usize| {
        let mut stream = server.connect();
        let table = minutes(3000);
        write!(
            stream,
            "POST /api/v1/ingest?catalog=/plant/a HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: text/csv\r\nContent-Length: {}\r\n\r\n{}",
            table.len() + len,
            table
        )
        .unwrap();
        stream
    };
    drop(begin(1));
    let mut sleeper = begin(1000);
    let mut answer = Vec::new();
    let _reset = sleeper.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("limits.stall"), "{answer}");
    assert_eq!(series(&server), Vec::<String>::new());
    // All of it came: it is there, whoever waits for the answer.
    let answer = ingest(&server, &token, "catalog=/plant/a").body("text/csv", minutes(3000)).send();
    assert_eq!(answer.status, 200, "{answer}");
}

#[test]
fn a_killed_server_has_what_it_acknowledged_and_nothing_else() {
    let (mut server, token) = serve(&[]);
    let done = ingest(&server, &token, "catalog=/plant/done").body("text/csv", minutes(1000)).send();
    assert_eq!(done.status, 200, "{done}");
    let mut stream = server.connect();
    let table = minutes(20_000);
    write!(
        stream,
        "POST /api/v1/ingest?catalog=/plant/half HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: text/csv\r\nContent-Length: {}\r\n\r\n{table}",
        table.len() + 10
    )
    .unwrap();
    server.kill();
    server.restart();
    assert_eq!(series(&server), ["/plant/done/T1/1_min", "/plant/done/n/1_min"]);
    assert_eq!(values(&server, &token, "/plant/done/n/1_min").len(), 1000);
    assert!(server.sheaf(&["check"]).status.success());
}

#[test]
fn ranges_are_deleted() {
    let (server, token) = serve(&[]);
    assert_eq!(
        ingest(&server, &token, "catalog=/plant/mast").body("text/csv", minutes(60)).send().status,
        200
    );
    let path = "/api/v1/series?path=%2Fplant%2Fmast%2FT1%2F1_min";
    let delete = |rest: &str| server.delete(&format!("{path}{rest}")).token(&token).send();
    refused(&delete(""), 422, "all=true");
    refused(&delete("&begin=2020-01-01"), 422, "`end`");
    refused(&delete("&all=true&begin=2020-01-01&end=2020-01-02"), 422, "all=true");
    refused(&delete("&path=%2Fplant%2Fmast%2FT9%2F1_min&all=true"), 404, "/plant/mast/T9/1_min");
    refused(
        &server.delete("/api/v1/series?path=/other/a/T/1_s&all=true").token(&token).send(),
        403,
        "/other/a",
    );
    refused(&server.delete(&format!("{path}&all=true")).send(), 401, "");
    let answer = delete("&begin=2020-01-01T00:10&end=2020-01-01T00:20");
    assert_eq!(answer.status, 200, "{answer}");
    assert!(answer.json()["commit"].as_i64().unwrap() > 0);
    let missing =
        values(&server, &token, "/plant/mast/T1/1_min").iter().filter(|value| value.is_nan()).count();
    assert_eq!(missing, 10);
    assert_eq!(delete("&all=true").status, 200);
    let left: Value =
        server.get("/api/v1/records?resourcePath=/plant/mast/T1/1_min").token(&token).send().json();
    assert_eq!(left["records"], json!([]));
}
