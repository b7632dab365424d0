//! What other processes do to the data while the server runs: the next answer has it, however warm the server is.

use std::fmt::Write as _;
use std::path::Path;

use super::http::{Server, encoded, sheaf_in};

/// A table with a row every so many seconds, from one second of the day to another.
fn table((from, until, step): (u32, u32, usize), value: &str) -> String {
    let mut table = "time,T1 (°C)\n".to_owned();
    for second in (from..until).step_by(step) {
        let (h, m, s) = (second / 3600, second / 60 % 60, second % 60);
        writeln!(table, "2020-01-01T{h:02}:{m:02}:{s:02}Z,{value}").unwrap();
    }
    table
}

/// Takes a table into a catalog.
fn take(folder: &Path, catalog: &str, table: &str) {
    let tables = tempfile::tempdir().unwrap();
    let file = tables.path().join("table.csv");
    std::fs::write(&file, table).unwrap();
    sheaf(folder, &["ingest", file.to_str().unwrap(), "--catalog", catalog]);
}

fn sheaf(folder: &Path, args: &[&str]) {
    let output = sheaf_in(folder, args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

const RANGE: [&str; 2] = ["2020-01-01T00:00:00Z", "2020-01-02T00:00:00Z"];

/// Paths that are answered out of rollups, of samples, and of whatever is the finest there is.
const PATHS: [&str; 4] = [
    "/plant/mast/T1/1_min_mean#base=1_s",
    "/plant/mast/T1/10_min_max",
    "/plant/mast/T1/1_h_std",
    "/plant/mast/T1/10_s",
];

/// That the server says of each path what the program says, which begins anew each time; several times in a row.
fn compare(server: &Server, after: &str) {
    for path in PATHS {
        let args = ["read", path, "--begin", RANGE[0], "--end", RANGE[1], "--format", "f64", "--no-rollups"];
        let program = sheaf_in(server.folder(), &args);
        let url = format!(
            "/api/v1/data?resourcePath={}&begin={}&end={}",
            encoded(path),
            encoded(RANGE[0]),
            encoded(RANGE[1])
        );
        for _ in 0..3 {
            let answer = server.get(&url).send();
            assert_eq!(answer.status == 200, program.status.success(), "after {after}, {path}: {answer}");
            assert!(
                answer.status != 200 || answer.body == program.stdout,
                "after {after}, {path} is not what it was"
            );
        }
    }
}

#[test]
fn what_others_do_is_in_the_next_answer() {
    let folder = tempfile::tempdir().unwrap();
    take(folder.path(), "/plant/mast", &table((0, 20_000, 10), "7"));
    let server = Server::start_in(folder, &["--auth-anonymous-read", "/plant/.*"]);
    let ingest = |what: &str, rows: (u32, u32, usize), value: &str| {
        take(server.folder(), "/plant/mast", &table(rows, value));
        compare(&server, what);
    };
    let run = |args: &[&str]| {
        sheaf(server.folder(), args);
        compare(&server, args[0]);
    };
    compare(&server, "the begin");
    ingest("a finer series of integers", (0, 30_000, 1), "3");
    ingest("a few samples over others", (1_000, 1_007, 1), "1000");
    ingest("floats, which need another series in its place", (2_000, 2_060, 1), "2.5");
    ingest("samples at the end", (30_000, 60_000, 1), "4.25");
    run(&["rollups", "exclude", "/plant/mast/T1/1_s"]);
    ingest("samples of which nothing is kept", (50_000, 51_000, 1), "-1");
    run(&["rollups", "include", "/plant/mast/T1/1_s"]);
    run(&["compact", "--all"]);
    run(&["rollups", "clear"]);
    run(&["delete", "/plant/mast/T1/1_s", "--begin", "2020-01-01T01:00", "--end", "2020-01-01T02:30"]);
}

#[test]
fn a_catalog_that_came_a_moment_ago_is_there() {
    let folder = tempfile::tempdir().unwrap();
    take(folder.path(), "/plant/one", &table((0, 100, 1), "7"));
    let server = Server::start_in(folder, &["--auth-anonymous-read", "/plant/.*"]);
    let ask = |catalog: &str| {
        let path = encoded(&format!("/plant/{catalog}/T1/1_s"));
        let range = "begin=2020-01-01T00:00:00Z&end=2020-01-01T00:01:00Z";
        server.get(&format!("/api/v1/data?resourcePath={path}&{range}")).send()
    };
    for (catalog, status) in [("one", 200), ("two", 404), ("two", 404)] {
        assert_eq!(ask(catalog).status, status, "{catalog}");
    }
    take(server.folder(), "/plant/two", &table((0, 100, 1), "8"));
    assert_eq!(ask("two").doubles(), [8.0; 60]);
}
