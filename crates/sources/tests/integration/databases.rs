//! Queries on a PostgreSQL database: a temporary one, which these tests start.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sheaf_model::{DataType, ResourceId, Samples, TimeRange};
use sheaf_sources::testing::{a_change_is_seen, laws_of_sources};
use sheaf_sources::{DataSource, PostgresSource, SourceConfig, SourceError};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};

/// A server with a socket in its own folder and no port. It ends with this process, however that ends: then the input of the
/// shell that watches it ends, too.
struct Server {
    folder: PathBuf,
    _shell: Child,
}

const WATCH: &str = r#"
trap '' HUP INT TERM
"$0" -D "$1/data" -k "$1" -c listen_addresses= -c fsync=off -c shared_buffers=16MB >"$1/log" 2>&1 </dev/null &
cat >/dev/null
kill -QUIT $!
wait $!
rm -rf "$1"
"#;

impl Server {
    fn of_this_process() -> &'static Server {
        static SERVER: OnceLock<Server> = OnceLock::new();
        SERVER.get_or_init(Server::start)
    }

    fn start() -> Server {
        let programs = programs();
        let folder = tempfile::Builder::new().prefix("sheaf-query-").tempdir().unwrap().keep();
        // PostgreSQL does not run as root.
        let user = if fs::metadata(&folder).unwrap().uid() == 0 { Some(other_user()) } else { None };
        let command = |program: &Path| {
            let mut command = Command::new(program);
            command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C").current_dir(&folder);
            if let Some((uid, gid)) = user {
                command.uid(uid).gid(gid);
            }
            command
        };
        if let Some((uid, gid)) = user {
            chown(&folder, Some(uid), Some(gid)).unwrap();
        }
        let made = command(&programs.join("initdb"))
            .args(["--auth=trust", "--username=sheaf", "--no-locale", "--encoding=UTF8", "--no-sync", "-D"])
            .arg(folder.join("data"))
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let shell = command(Path::new("/bin/sh"))
            .args(["-c", WATCH])
            .arg(programs.join("postgres"))
            .arg(&folder)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let server = Server { folder, _shell: shell };
        let begun = Instant::now();
        while run(&server.url("postgres"), "SELECT 1").is_err() {
            let log = fs::read_to_string(server.folder.join("log")).unwrap_or_default();
            assert!(begun.elapsed() < Duration::from_secs(60), "PostgreSQL does not get ready: {log}");
            thread::sleep(Duration::from_millis(50));
        }
        server
    }

    fn url(&self, database: &str) -> String {
        format!("postgres://sheaf@localhost/{database}?host={}", self.folder.display())
    }
}

/// User and group of PostgreSQL, or of nobody.
fn other_user() -> (u32, u32) {
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let number_of = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut numbers = line.split(':').skip(2).map_while(|field| field.parse().ok());
        numbers.next().zip(numbers.next())
    };
    number_of("postgres").or_else(|| number_of("nobody")).unwrap()
}

/// The folder with PostgreSQL's programs.
fn programs() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    versions
        .map(|version| version.path().join("bin"))
        .chain(std::env::split_paths(&on_path))
        .find(|folder| folder.join("initdb").exists())
        .expect("these tests need PostgreSQL's programs: apt-get install postgresql")
}

fn run(url: &str, sql: &str) -> Result<(), sqlx::Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let options: sqlx::postgres::PgConnectOptions = url.parse()?;
        let mut connection = options.connect().await?;
        connection.execute(AssertSqlSafe(sql.to_owned())).await?;
        connection.close().await
    })
}

/// A database of its own for a test.
struct Database {
    url: String,
}

impl Database {
    fn with(sql: &str) -> Database {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let server = Server::of_this_process();
        let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        run(&server.url("postgres"), &format!("CREATE DATABASE {name}")).unwrap();
        let database = Database { url: server.url(&name) };
        database.run(sql);
        database
    }

    fn run(&self, sql: &str) {
        run(&self.url, sql).unwrap();
    }

    fn open(&self, settings: Value) -> PostgresSource {
        let config = SourceConfig::from_type("Sheaf.Sources.Postgres", Some(&self.url), settings).unwrap();
        let SourceConfig::Postgres(config) = config else { panic!("{config:?}") };
        PostgresSource::open(config).unwrap()
    }
}

fn range(begin: &str, end: &str) -> TimeRange {
    TimeRange::new(begin.parse().unwrap(), end.parse().unwrap()).unwrap()
}

fn read(source: &dyn DataSource, resource: &str, of: TimeRange) -> Result<Samples, SourceError> {
    let resource: ResourceId = resource.parse().unwrap();
    let all = source.series()?;
    let series = all.iter().find(|series| series.resource == resource).unwrap();
    source.read(&resource, series.period, of)
}

fn values(samples: &Samples) -> Vec<Option<f64>> {
    (0..samples.len()).map(|slot| samples.get(slot)).collect()
}

/// Six hours of a row each ten minutes: with one that is missing, and one null.
const LOG: &str = r#"
CREATE TABLE log (time timestamptz PRIMARY KEY, "T1 (°C)" float8, n int2, big numeric, small real, "on" bool, note text);
INSERT INTO log SELECT time, i + 0.5, i, i * 1e10, i / 4.0, i % 2 = 1, 'x'
    FROM generate_series(0, 35) AS i, LATERAL (SELECT timestamptz '2020-01-01 00:00Z' + i * interval '10 min' AS time) AS t
    WHERE i <> 3;
UPDATE log SET "T1 (°C)" = NULL, n = NULL WHERE time = '2020-01-01 00:40Z';
"#;

#[test]
fn a_query_is_a_source() {
    let database = Database::with(LOG);
    let source = database.open(json!({
        "query": "SELECT * FROM log; ", "period": "10_min", "ttl": "36500_d", "units": {"n": "1"},
    }));
    laws_of_sources(&source);
    let all = source.series().unwrap();
    let said: Vec<String> = all
        .iter()
        .map(|series| format!("{} {} {}", series.resource, series.data_type, series.unit().unwrap_or("-")))
        .collect();
    assert_eq!(said, ["T1 FLOAT64 °C", "big FLOAT64 -", "n INT16 1", "on UINT8 -", "small FLOAT32 -"]);
    assert_eq!(all[0].range, Some(range("2020-01-01", "2020-01-01T06:00")));
    let first = range("2020-01-01", "2020-01-01T01:00");
    assert_eq!(
        values(&read(&source, "T1", first).unwrap()),
        [Some(0.5), Some(1.5), Some(2.5), None, None, Some(5.5)]
    );
    let samples = read(&source, "n", first).unwrap();
    assert_eq!((samples.values().data_type(), samples.validity()), (DataType::Int16, Some(&[0b10_0111][..])));
    assert_eq!(read(&source, "on", first).unwrap().get(1), Some(1.0));
    assert_eq!(read(&source, "big", first).unwrap().get(4), Some(4e10));
    assert_eq!(read(&source, "small", first).unwrap().get(1), Some(0.25));
}

#[test]
fn revisions_come_from_a_query() {
    let database =
        Database::with(&format!("{LOG} ALTER TABLE log ADD COLUMN changed timestamptz DEFAULT now();"));
    let source = database.open(json!({
        "query": "SELECT time, n FROM log WHERE time >= $1 AND time < $2 -- only what is needed",
        "period": "10_min",
        "revision_query": "SELECT count(*), max(changed) FROM log WHERE time >= $1 AND time < $2",
    }));
    laws_of_sources(&source);
    let series = &source.series().unwrap()[0];
    let (early, late) =
        (range("2020-01-01", "2020-01-01T01:00"), range("2020-01-01T05:00", "2020-01-01T06:00"));
    let before = source.revision(&series.resource, series.period, early).unwrap();
    a_change_is_seen(&source, series, late, || {
        database.run("UPDATE log SET n = 7, changed = clock_timestamp() WHERE time = '2020-01-01 05:10Z'");
    });
    a_change_is_seen(&source, series, range("2020-01-01T06:00", "2020-01-01T07:00"), || {
        database.run("INSERT INTO log (time, n) VALUES ('2020-01-01 06:10Z', 9)");
    });
    assert_eq!(source.revision(&series.resource, series.period, early).unwrap(), before);
}

#[test]
fn rows_may_name_their_series() {
    let database = Database::with(
        "CREATE TABLE long (at timestamp, tag text, v int, quality int);
         INSERT INTO long VALUES ('2020-03-29 01:30', 'P (kW)', 1, 0), ('2020-03-29 03:00', 'P (kW)', 2, 0),
             ('2020-03-29 03:00', 'Q', 3, 0);",
    );
    let settings = json!({
        "query": "SELECT * FROM long", "period": "30_min", "series_column": "tag", "value_columns": ["v"],
        "time_zone": "Europe/Berlin", "ttl": "36500_d",
    });
    let source = database.open(settings.clone());
    laws_of_sources(&source);
    let all = source.series().unwrap();
    assert_eq!((all.len(), all[0].unit(), all[0].data_type), (2, Some("kW"), DataType::Int32));
    // The hour that is skipped is no gap.
    let hour = range("2020-03-29T00:30", "2020-03-29T01:30");
    assert_eq!(values(&read(&source, "P", hour).unwrap()), [Some(1.0), Some(2.0)]);
    assert_eq!(values(&read(&source, "Q", hour).unwrap()), [None, Some(3.0)]);
    // With an offset that PostgreSQL counts the other way around, and names that are said.
    let mut other = settings;
    (other["time_zone"], other["series"]) = (json!("+01:00"), json!(["Q", "R"]));
    let source = database.open(other);
    assert_eq!(
        values(&read(&source, "Q", range("2020-03-29T02:00", "2020-03-29T02:30")).unwrap()),
        [Some(3.0)]
    );
    assert_eq!(values(&read(&source, "R", range("2020-03-29T02:00", "2020-03-29T02:30")).unwrap()), [None]);
}

#[test]
fn rows_that_lie_badly_are_named() {
    let database = Database::with(
        "CREATE TABLE log (time timestamptz, v int8);
         INSERT INTO log VALUES ('2020-01-01 00:00Z', 1), ('2020-01-01 00:10:00.5Z', 2), ('2020-01-01 00:20Z', NULL),
             ('2020-01-01 00:20Z', 3), ('2020-01-01 00:30Z', 4), ('2020-01-01 00:30Z', 5);",
    );
    let source = database.open(json!({"query": "SELECT time, v FROM log", "period": "10_min"}));
    let refused = |begin, end| read(&source, "v", range(begin, end)).unwrap_err().to_string();
    assert_eq!(values(&read(&source, "v", range("2020-01-01", "2020-01-01T00:10")).unwrap()), [Some(1.0)]);
    // A null is no value, so there is one.
    assert_eq!(
        values(&read(&source, "v", range("2020-01-01T00:20", "2020-01-01T00:30")).unwrap()),
        [Some(3.0)]
    );
    let error = refused("2020-01-01T00:10", "2020-01-01T00:20");
    assert!(error.starts_with("query on database test_"), "{error}");
    assert!(
        error.contains(
            "column `time` has a row at 2020-01-01T00:10:00.5000000Z, which is not at a multiple of 10_min; say with"
        ),
        "{error}"
    );
    let error = refused("2020-01-01T00:30", "2020-01-01T00:40");
    assert!(error.contains("column `v` has two values at 2020-01-01T00:30:00Z"), "{error}");
    // With a phase, that one row is where it should be.
    let query = "SELECT time, v FROM log WHERE v = 2";
    let source = database.open(json!({"query": query, "period": "10_min", "phase": "500_ms"}));
    assert_eq!(source.series().unwrap()[0].phase_ticks, 5_000_000);
    assert_eq!(
        values(&read(&source, "v", range("2020-01-01T00:10", "2020-01-01T00:20")).unwrap()),
        [Some(2.0)]
    );
}

#[test]
fn what_the_database_refuses_is_told() {
    let database = Database::with(LOG);
    let refused = |settings: Value| {
        let error = database.open(settings).series().unwrap_err();
        assert!(error.to_string().starts_with("query on database test_"), "{error}");
        error.to_string()
    };
    for (settings, problem) in [
        (json!({"query": "SELECT x FROM log", "period": "1_s"}), "column \"x\" does not exist"),
        (json!({"query": "SELEC", "period": "1_s"}), "syntax error"),
        (json!({"query": "SELECT 1) q; DROP TABLE log; --", "period": "1_s"}), "syntax error"),
        (
            json!({"query": "SELECT n FROM log", "period": "1_s"}),
            "gives no column of times; its columns are `n` (int2)",
        ),
        (json!({"query": "SELECT time, note FROM log", "period": "1_s"}), "gives no column of numbers"),
        (
            json!({"query": "SELECT * FROM log", "period": "1_s", "time_column": "n"}),
            "setting `time_column`: `n` is of type int2; times are timestamptz, timestamp or date",
        ),
        (
            json!({"query": "SELECT * FROM log", "period": "1_s", "value_columns": ["note"]}),
            "setting `value_columns`: `note` is of type text, which is no number",
        ),
        (
            json!({"query": "SELECT * FROM log", "period": "1_s", "series_column": "note"}),
            "setting `value_columns`: the query gives several columns of numbers",
        ),
        (
            json!({"query": "SELECT time, n AS \"a b\", small AS a_b FROM log", "period": "1_s"}),
            "would be resource `a_b`, and so would another one",
        ),
    ] {
        let error = refused(settings);
        assert!(error.contains(problem), "{error}");
    }
    let error = refused(json!({
        "query": "SELECT time, pg_sleep(10)::text, n FROM log", "period": "10_min", "timeout": "100_ms",
    }));
    assert!(error.contains("statement timeout"), "{error}");
}

#[test]
fn nothing_is_ever_written() {
    let database = Database::with(
        "CREATE TABLE log (time timestamptz, v int8);
         CREATE FUNCTION write() RETURNS int8 LANGUAGE sql VOLATILE AS
             $$ INSERT INTO log VALUES (now(), 1) RETURNING v $$;",
    );
    let source = database.open(json!({"query": "SELECT now() AS time, write() AS v", "period": "1_s"}));
    let error =
        source.series().and_then(|_| read(&source, "v", range("2020-01-01", "2020-01-02"))).unwrap_err();
    assert!(error.to_string().contains("read-only transaction"), "{error}");
    let source = database.open(json!({"query": "SELECT time, v FROM log", "period": "1_s"}));
    assert_eq!(source.series().unwrap()[0].range, None);
}

#[test]
fn a_database_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("postgres://a@localhost/b?host={}", folder.path().display());
    let settings = json!({"query": "SELECT 1", "period": "1_s"});
    let source =
        SourceConfig::from_type("Sheaf.Sources.Postgres", Some(&url), settings).unwrap().open().unwrap();
    let error = source.series().unwrap_err();
    assert!(error.is_unavailable(), "{error}");
    assert!(error.to_string().starts_with("query on database b of "), "{error}");
}
