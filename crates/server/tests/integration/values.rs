//! Values over HTTP: the same bytes as those of the program, in bounded memory, and clear words where there are none.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, Int32Type, Int64Type};
use arrow_ipc::reader::StreamReader;
use serde_json::json;
use sheaf_db::Database;
use sheaf_model::{DataType, Samples, Values};
use sheaf_store::{Layout, LocalDisk, SeriesSpec, Settings, Store, Write as StoreWrite};
use tempfile::TempDir;

use super::http::{Answer, Server, encoded, sheaf_in};

/// Two hours of seconds with an hour's sixth missing, and of minutes; bills.
fn plant() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut seconds = "time,T1 (°C),n\n".to_owned();
    for second in 0..7200 {
        let (h, m, s) = (second / 3600, second / 60 % 60, second % 60);
        let value = if (5400..6000).contains(&second) { String::new() } else { format!("{s}.5") };
        writeln!(seconds, "2020-01-01T{h:02}:{m:02}:{s:02}Z,{value},{}", second / 60).unwrap();
    }
    let mut minutes = "time,P (kW)\n".to_owned();
    for minute in 0..120 {
        writeln!(minutes, "2020-01-01T{:02}:{:02}:00Z,{minute}.25", minute / 60, minute % 60).unwrap();
    }
    let bills = "time,bill (kWh)\n2019-01-01,100\n2019-02-03,\n2019-03-01,300.5\n";
    let tables = [
        ("/plant/mast", seconds, ""),
        ("/plant/grid", minutes, ""),
        ("/plant/bills", bills.to_owned(), "--irregular"),
    ];
    for (catalog, table, flag) in tables {
        let file = folder.path().join("table.csv");
        std::fs::write(&file, table).unwrap();
        let mut args = vec!["ingest", file.to_str().unwrap(), "--catalog", catalog];
        args.extend(Some(flag).filter(|flag| !flag.is_empty()));
        let output = sheaf_in(folder.path(), &args);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    folder
}

fn serve(folder: TempDir) -> Server {
    Server::start_in(folder, &["--auth-anonymous-read", "/plant/.*", "--auth-anonymous-read", "/big"])
}

/// `/api/v1/data` of a path.
fn data(path: &str, begin: &str, end: &str) -> String {
    format!("/api/v1/data?resourcePath={}&begin={}&end={}", encoded(path), encoded(begin), encoded(end))
}

/// What the program reads.
fn read(server: &Server, args: &[&str]) -> Vec<u8> {
    let output = server.sheaf(&[&["read"], args].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
fn raw_values_are_those_of_the_program() {
    let server = serve(plant());
    for (path, begin, end) in [
        ("/plant/mast/T1/1_s", "2020-01-01T01:29:00Z", "2020-01-01T01:41:00Z"),
        ("/plant/mast/T1/10_min_mean", "2020-01-01T00:00:00Z", "2020-01-01T02:00:00Z"),
        ("/plant/mast/T1/600_s_mean#base=1_s", "2020-01-01", "2020-01-01T03:00"),
        ("/plant/mast/n/1_h_max", "2019-12-31T22:00:00+00:00", "2020-01-01T02:00:00+00:00"),
        ("/plant/grid/P/1_s_resampled", "2020-01-01T00:59:50", "2020-01-01T01:00:10"),
    ] {
        let answer = server.get(&data(path, begin, end)).send();
        assert_eq!(answer.status, 200, "{answer}");
        let program = read(&server, &[path, "--begin", begin, "--end", end, "--format", "f64"]);
        assert!(answer.body == program && !program.is_empty(), "{path}");
        assert_eq!(answer.header("content-length"), Some(program.len().to_string().as_str()));
        assert_eq!(answer.header("content-type"), Some("application/octet-stream"));
        assert_eq!(answer.header("content-disposition"), Some("attachment; filename=data.bin"));
    }
    // Nobody packs them, whatever the client takes.
    let path = data("/plant/mast/T1/1_s", "2020-01-01", "2020-01-01T02:00");
    let answer = server.get(&path).header("accept-encoding", "gzip, zstd").send();
    assert_eq!((answer.header("content-encoding"), answer.doubles().len()), (None, 7200));
    let head = server.ask("HEAD", &path).send();
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, Some("57600"), 0));
}

#[test]
fn what_can_not_be_read_is_said_before_the_first_byte() {
    let server = serve(plant());
    let day = ("2020-01-01T00:00:00Z", "2020-01-02T00:00:00Z");
    for (path, (begin, end), status, text) in [
        ("/plant/mast/T1/10_min_median2", day, 422, "unknown kind `median2`"),
        ("/plant/mast/T1", day, 422, "/plant/mast/T1"),
        ("/plant/mast/T1/1_w", day, 422, "1_w"),
        ("/plant/mast/T1/1_s#base=", day, 422, "base"),
        ("/plant/mast/T1/10_min_mean", ("2020-01-01T00:05:00Z", day.1), 422, "2020-01-01T00:00:00Z"),
        ("/plant/mast/T1/1_s", (day.1, day.0), 422, "2020-01-02"),
        ("/plant/mast/T1/1_s", (day.0, day.0), 422, "2020-01-01"),
        ("/plant/mast/T1/7_s_mean#base=2_s", day, 422, ""),
        ("/plant/mast/T2/1_s", day, 404, "T2"),
        ("/plant/nothing/T1/1_s", day, 404, "/plant/nothing"),
        ("/plant/mast/T1/2_s", day, 404, "2_s"),
        ("/plant/bills/bill/1_d_mean", day, 404, ""),
        ("/secret/mast/T1/1_s", day, 401, "/secret/mast"),
        ("/plant2/mast/T1/1_s", day, 401, "/plant2/mast"),
        ("/plant/mast/T1/1_s", ("noon", day.1), 400, "noon"),
    ] {
        let answer = server.get(&data(path, begin, end)).send();
        assert_eq!(answer.status, status, "{path}: {answer}");
        assert!(answer.text().contains(text), "{path}: {answer}");
        if status == 422 || status == 404 {
            let body = json!({ "begin": begin, "end": end, "resourcePaths": [path] });
            assert_eq!(server.post("/api/v2/data").json(&body).send().status, status, "{path} in a batch");
            let series = format!("/api/v1/series?resourcePath={}&begin={begin}&end={end}", encoded(path));
            assert_eq!(server.get(&series).send().status, status, "{path} as a series");
        }
    }
    assert_eq!(server.get("/api/v1/data?begin=2020-01-01&end=2020-01-02").send().status, 400);
}

/// The values of each resource of a batch stream, and how many there were in a row of it.
fn lists(answer: &Answer) -> Vec<Vec<f64>> {
    let mut all: Vec<Vec<f64>> = Vec::new();
    for batch in StreamReader::try_new(&answer.body[..], None).unwrap() {
        let batch = batch.unwrap();
        let names: Vec<_> = batch.schema().fields().iter().map(|field| field.name().clone()).collect();
        assert_eq!(names, ["resourceIndex", "offset", "values"]);
        let (resources, offsets) =
            (batch.column(0).as_primitive::<Int32Type>(), batch.column(1).as_primitive::<Int64Type>());
        let values = batch.column(2).as_list::<i32>();
        for row in 0..batch.num_rows() {
            let resource = resources.value(row) as usize;
            all.resize(all.len().max(resource + 1), Vec::new());
            assert_eq!(offsets.value(row) as usize, all[resource].len());
            let values = values.value(row);
            match values.as_primitive_opt::<Float64Type>() {
                Some(values) => all[resource].extend(values.values()),
                None => all[resource].extend(
                    values.as_primitive::<Float32Type>().values().iter().map(|&value| f64::from(value)),
                ),
            }
        }
    }
    all
}

#[test]
fn a_batch_has_the_values_of_all_its_paths() {
    let server = serve(plant());
    let paths = ["/plant/mast/T1/1_min_mean", "/plant/mast/n/1_min_max#base=1_s", "/plant/grid/P/1_min"];
    let (begin, end) = ("2020-01-01T00:00:00Z", "2020-01-01T02:00:00Z");
    let body = json!({ "begin": begin, "end": end, "resourcePaths": paths, "precision": "FLOAT64" });
    let answer = server.post("/api/v2/data").accept("application/vnd.apache.arrow.stream").json(&body).send();
    assert_eq!(answer.status, 200, "{answer}");
    assert_eq!(answer.header("content-type"), Some("application/vnd.apache.arrow.stream"));
    let program = read(&server, &[&paths[..], &["--begin", begin, "--end", end, "--format", "f64"]].concat());
    let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    let expected: Vec<u64> = program.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect();
    assert_eq!(bits(&lists(&answer).concat()), expected);

    let single = json!({ "begin": begin, "end": end, "resourcePaths": paths, "precision": "FLOAT32" });
    let values = lists(&server.post("/api/v2/data").json(&single).send());
    assert_eq!((values[2][3], values[0].len()), (3.25, 120));

    for (paths, text) in [
        (json!([]), "at least one"),
        (json!([paths[0], paths[0]]), "twice"),
        (json!([paths[0], "/plant/mast/T1/1_s"]), "1_s"),
        (json!((0..101).map(|at| format!("/plant/mast/T{at}/1_s")).collect::<Vec<_>>()), "at most 100"),
    ] {
        let body = json!({ "begin": begin, "end": end, "resourcePaths": paths });
        let answer = server.post("/api/v2/data").json(&body).send();
        assert!(answer.status == 422 && answer.text().contains(text), "{answer}");
    }
}

fn series(paths: &[&str], rest: &str) -> String {
    let paths: Vec<String> = paths.iter().map(|path| format!("resourcePath={}", encoded(path))).collect();
    format!("/api/v1/series?{}{rest}", paths.join("&"))
}

#[test]
fn series_come_in_every_format_as_from_the_program() {
    let server = serve(plant());
    let paths = ["/plant/mast/T1/10_min_mean", "/plant/mast/n/10_min_max", "/plant/grid/P/10_min_mean"];
    for (format, kind) in [
        ("json", "application/json"),
        ("csv", "text/csv; charset=utf-8; header=present"),
        ("parquet", "application/vnd.apache.parquet"),
        ("f64", "application/octet-stream"),
    ] {
        let program = read(&server, &[&paths[..], &["--format", format]].concat());
        let answer = server.get(&series(&paths, &format!("&format={format}"))).send();
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(kind)), "{answer}");
        assert!(answer.body == program, "{format}: {answer}");
        let accept = kind.split(';').next().unwrap();
        assert!(server.get(&series(&paths, "")).accept(accept).send().body == program, "{format}");
    }
    let json = server.get(&series(&paths[..1], "&begin=2020-01-01T01:00&end=2020-01-01T02:00")).send().json();
    assert_eq!(json["samplePeriod"], "10_min");
    assert_eq!(json["series"][0]["unit"], "°C");
    assert_eq!(json["series"][0]["values"], json!([30.0, 30.0, 30.0, null, 30.0, 30.0]));

    let arrow = server.get(&series(&paths, "&format=arrow")).send();
    let reader = StreamReader::try_new(&arrow.body[..], None).unwrap();
    let schema = reader.schema();
    assert_eq!(schema.metadata()["samplePeriod"], "10_min");
    assert_eq!(schema.field(1).name(), paths[0]);
    assert_eq!(schema.field(1).metadata()["unit"], "°C");
    let batches: Vec<_> = reader.map(Result::unwrap).collect();
    let column = batches[0].column(1);
    assert_eq!((batches[0].num_rows(), column.null_count(), column.is_null(9)), (12, 1, true));

    // A threshold for all, which shows what is there.
    let json = server.get(&series(&paths[..1], "&threshold=0")).send().json();
    assert_eq!(json["series"][0]["values"].as_array().unwrap().len(), 12);

    for (query, text) in [
        ("&threshold=2", "threshold"),
        ("&maxPoints=0", "maxPoints"),
        ("&format=xls", "format"),
        ("&color=red", "color"),
        ("&begin=2020-01-01T00:01", "begin"),
    ] {
        let answer = server.get(&series(&paths, query)).send();
        assert!(answer.status == 422 && answer.text().contains(text), "{query}: {answer}");
    }
    assert_eq!(server.get("/api/v1/series").send().status, 422);
    let answer = server.get(&series(&["/plant/mast/T1/1_s"], "&begin=0001-01-01&end=9999-12-31")).send();
    assert!(answer.status == 422 && answer.text().contains("limits.response_points"), "{answer}");
    let packed = server.raw(
        format!(
            "GET {} HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n",
            series(&["/plant/mast/T1/1_s"], "&format=csv")
        )
        .as_bytes(),
    );
    assert!(packed.contains("content-encoding: gzip") && packed.contains("authorization"), "{packed}");
}

#[test]
fn what_a_client_has_is_not_computed_again() {
    let server = serve(plant());
    for format in ["json", "arrow"] {
        let path = series(&["/plant/mast/T1/10_min_mean"], &format!("&format={format}"));
        let first = server.get(&path).send();
        assert_eq!(first.header("cache-control"), Some("private, no-cache"));
        let tag = first.header("etag").unwrap().to_owned();
        assert_eq!(tag.starts_with("W/"), format == "json");
        let again = server.get(&path).header("if-none-match", &tag).send();
        assert_eq!((again.status, again.body.len(), again.header("etag")), (304, 0, Some(tag.as_str())));
        let other = series(&["/plant/mast/T1/10_min_mean"], &format!("&format={format}&threshold=0"));
        assert_eq!(server.get(&other).header("if-none-match", &tag).send().status, 200);
        assert_eq!(server.ask("HEAD", &path).send().header("etag"), Some(tag.as_str()));

        let file = server.folder().join("more.csv");
        std::fs::write(&file, "time,T1 (°C)\n2020-01-01T00:00:00Z,100\n2020-01-01T00:00:01Z,100\n").unwrap();
        let output =
            server.sheaf(&["ingest", file.to_str().unwrap(), "--catalog", "/plant/mast", "--period", "1_s"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let changed = server.get(&path).header("if-none-match", &tag).send();
        assert_eq!(changed.status, 200);
        assert_ne!(changed.header("etag"), Some(tag.as_str()));
    }
}

#[test]
fn a_screen_gets_as_many_buckets_as_fit_it() {
    let server = serve(plant());
    let get = |paths: &[&str], rest: &str| server.get(&series(paths, rest)).send();
    let json = get(&["/plant/mast/T1/1_s", "/plant/grid/P/1_min"], "&maxPoints=24").json();
    assert_eq!((&json["samplePeriod"], &json["begin"]), (&json!("5_min"), &json!("2020-01-01T00:00:00Z")));
    let [temperature, power] = json["series"].as_array().unwrap().as_slice() else { panic!("{json}") };
    assert_eq!((&temperature["path"], &temperature["unit"]), (&json!("/plant/mast/T1/1_s"), &json!("°C")));
    let column = |series: &serde_json::Value, name: &str, at: usize| series[name][at].clone();
    assert_eq!(column(temperature, "count", 0), json!(300));
    assert_eq!((column(temperature, "min", 0), column(temperature, "max", 0)), (json!(0.5), json!(59.5)));
    assert_eq!(column(temperature, "mean", 0), json!(30.0));
    // 01:30 to 01:40 has no samples.
    assert_eq!((column(temperature, "count", 18), column(temperature, "mean", 18)), (json!(0), json!(null)));
    assert_eq!((column(power, "count", 23), column(power, "max", 23)), (json!(5), json!(119.25)));

    // The range is widened to whole buckets; one with any sample has a value.
    let json =
        get(&["/plant/mast/T1/1_s"], "&maxPoints=3&begin=2020-01-01T01:05&end=2020-01-01T01:45:01").json();
    assert_eq!((&json["samplePeriod"], &json["begin"]), (&json!("20_min"), &json!("2020-01-01T01:00:00Z")));
    let json =
        get(&["/plant/mast/T1/1_s"], "&maxPoints=2&begin=2020-01-01T01:05&end=2020-01-01T01:45:01").json();
    assert_eq!(json["series"][0]["count"], json!([1800, 1200]));
    assert_eq!(json["series"][0]["mean"], json!([30.0, 30.0]));

    // Samples that fit are given as they are.
    let json = get(&["/plant/mast/T1/1_s"], "&maxPoints=60&end=2020-01-01T00:01").json();
    assert_eq!(
        (&json["samplePeriod"], json["series"][0]["values"].as_array().unwrap().len()),
        (&json!("1_s"), 60)
    );
    let csv = get(&["/plant/mast/T1/1_s"], "&maxPoints=4&format=csv");
    let title = csv.text().lines().next().unwrap();
    assert!(title.contains("/plant/mast/T1/30_min_count") && title.contains("30_min_max"), "{title}");
    assert_eq!(csv.text().lines().count(), 5);

    let wrong = get(&["/plant/mast/T1/1_min_mean"], "&maxPoints=4");
    assert!(wrong.status == 422 && wrong.text().contains("/plant/mast/T1/1_min"), "{wrong}");
}

#[test]
fn records_come_page_by_page() {
    let server = serve(plant());
    let page = server.get("/api/v1/records?resourcePath=/plant/bills/bill&limit=2").send().json();
    assert_eq!(
        page,
        json!({
            "records": [
                { "start": "2019-01-01T00:00:00Z", "value": 100.0, "estimated": false },
                { "start": "2019-02-03T00:00:00Z", "value": null, "estimated": false },
            ],
            "next": "2019-03-01T00:00:00Z",
        })
    );
    let last =
        server.get("/api/v1/records?resourcePath=/plant/bills/bill&begin=2019-03-01T00:00:00Z").send().json();
    assert_eq!((&last["records"][0]["value"], &last["next"]), (&json!(300.5), &json!(null)));
    assert_eq!(server.get("/api/v1/records?resourcePath=/plant/bills/no").send().status, 404);
    assert_eq!(server.get("/api/v1/records?resourcePath=/secret/bill").send().status, 401);
    assert_eq!(server.get("/api/v1/records?resourcePath=bill").send().status, 422);
}

/// A month of seconds of four channels in `/big`.
fn month() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(fill(folder.path()));
    folder
}

const MONTH: usize = 31 * 86_400;

async fn fill(folder: &Path) {
    let database = Database::sqlite(&folder.join("sheaf.db")).await.unwrap();
    let disk = Arc::new(LocalDisk::new(folder).unwrap());
    let store = Store::open(disk, Arc::new(database.manifest()), Settings::default()).await.unwrap();
    let period = "1_s".parse().unwrap();
    let layout = Layout::Regular { period, phase_ticks: 0 };
    let spec =
        |at: usize| SeriesSpec { key: format!("/big/c{at}/1_s"), data_type: DataType::Float64, layout };
    let ids = store.create_series(&(0..4).map(spec).collect::<Vec<_>>()).await.unwrap();
    for (at, id) in ids.into_iter().enumerate() {
        let values = (0..MONTH).map(|row| big(at, row)).collect();
        let samples = Samples::new("2020-01-01".parse().unwrap(), period, Values::F64(values)).unwrap();
        store.write(StoreWrite::new().rows(id, samples)).await.unwrap();
    }
    drop(store);
    database.close().await;
}

fn big(channel: usize, row: usize) -> f64 {
    // Noise, so that the files are as large as those of real channels.
    let noise = (row as u32).wrapping_mul(2_654_435_761).wrapping_add(channel as u32 * 40_503) >> 12;
    f64::from(noise % 100_000) / 100.0
}

fn month_of(channel: usize) -> String {
    data(&format!("/big/c{channel}/1_s"), "2020-01-01", "2020-02-01")
}

#[test]
fn a_month_comes_whole_in_every_format() {
    let server = serve(month());
    let values = server.get(&month_of(1)).send().doubles();
    assert_eq!(values.len(), MONTH);
    assert!(values.iter().enumerate().all(|(row, &value)| value == big(1, row)));
    let paths: Vec<String> = (0..4).map(|channel| format!("/big/c{channel}/1_s")).collect();
    let body =
        json!({ "begin": "2020-01-01T00:00:00Z", "end": "2020-02-01T00:00:00Z", "resourcePaths": paths });
    let all = lists(&server.post("/api/v2/data").json(&body).send());
    for (channel, values) in all.iter().enumerate() {
        assert_eq!(values.len(), MONTH);
        assert!(values.iter().enumerate().all(|(row, &value)| value == big(channel, row)));
    }
    let paths: Vec<&str> = paths[..2].iter().map(String::as_str).collect();
    for format in ["csv", "parquet", "json"] {
        let answer = server.get(&series(&paths, &format!("&end=2020-01-03&format={format}"))).send();
        let program = read(&server, &[&paths[..], &["--end", "2020-01-03", "--format", format]].concat());
        assert!(answer.body == program || format == "parquet", "{format}");
        assert!(!answer.body.is_empty());
    }
    assert_eq!(gauge(&server, "sheaf_streams_open"), 0.0);
    assert_eq!(gauge(&server, "sheaf_stream_bytes"), 0.0);
    assert!(gauge(&server, "sheaf_values_sent_total") >= 5.0 * MONTH as f64);
}

/// A number that the server counts.
fn gauge(server: &Server, name: &str) -> f64 {
    let text = server.get("/metrics").send();
    let line = text.text().lines().find(|line| line.split([' ', '{']).next() == Some(name));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).rsplit(' ').next().unwrap().parse().unwrap()
}

/// Waits until something holds.
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(30), "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A client that reads the headers of an answer and then no more.
fn slow_reader(server: &Server, path: &str) -> (TcpStream, String) {
    let mut stream = server.connect();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", server.address()).unwrap();
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
        head.push(byte[0]);
    }
    (stream, String::from_utf8(head).unwrap())
}

#[test]
fn slow_readers_take_no_more_than_their_memory_and_nobody_waits_for_them() {
    let server = serve(month());
    let before = server.resident_bytes();
    let readers: Vec<_> = (0..100).map(|at| slow_reader(&server, &month_of(at % 4))).collect();
    assert!(readers.iter().all(|(_, head)| head.starts_with("HTTP/1.1 200")));
    assert_eq!(gauge(&server, "sheaf_streams_open"), 100.0);
    eventually("nobody computes for those who don't read", || gauge(&server, "sheaf_scans_running") == 0.0);
    let held = gauge(&server, "sheaf_stream_bytes");
    assert!(held < 512e6, "{held}");
    // Others are served at once, with little and with much.
    let begun = Instant::now();
    let mean = server.get(&data("/big/c0/10_min_mean", "2020-01-01", "2020-01-11")).send();
    assert_eq!(mean.doubles().len(), 1440);
    assert_eq!(server.get(&month_of(2)).send().doubles().len(), MONTH);
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    let grown = server.resident_bytes().saturating_sub(before);
    assert!(grown < 512 << 20, "{} MiB more", grown >> 20);
    // What they hold is given back as soon as they go.
    drop(readers);
    eventually("streams end with their clients", || gauge(&server, "sheaf_streams_open") == 0.0);
    assert_eq!(gauge(&server, "sheaf_stream_bytes"), 0.0);
}

#[test]
fn who_gets_no_memory_is_told_to_come_again_and_small_answers_have_their_own() {
    let flags = ["--auth-anonymous-read", "/big", "--limits-memory", "8 MB"];
    let server = Server::start_in(month(), &flags);
    let readers: Vec<_> = (0..20).map(|_| slow_reader(&server, &month_of(0))).collect();
    let refused: Vec<_> = readers.iter().filter(|(_, head)| head.starts_with("HTTP/1.1 503")).collect();
    assert!((1..20).contains(&refused.len()), "{}", refused.len());
    assert!(refused.iter().all(|(_, head)| head.contains("retry-after: 5")), "{}", refused[0].1);
    let mean = server.get(&data("/big/c0/10_min_mean", "2020-01-01", "2020-01-11")).send();
    assert_eq!(mean.doubles().len(), 1440);
    drop(readers);
    eventually("there is memory again", || server.get(&month_of(3)).send().status == 200);
}

#[test]
fn a_client_that_takes_nothing_is_cut_off() {
    let flags = ["--auth-anonymous-read", "/big", "--limits-stall", "1 s"];
    let server = Server::start_in(month(), &flags);
    let (mut stream, head) = slow_reader(&server, &month_of(0));
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    eventually("it is cut off", || gauge(&server, "sheaf_streams_open") == 0.0);
    let mut rest = Vec::new();
    let _reset = stream.read_to_end(&mut rest);
    assert!(rest.len() < 8 * MONTH, "it looks whole");
}

#[test]
fn who_leaves_ends_the_scan_at_once() {
    let server = Server::start(&["--auth-anonymous-read", "/SAMPLE/.*"]);
    let mut stream = server.connect();
    // Thirty billion samples.
    let path = data("/SAMPLE/LOCAL/T1/1_d_mean", "1000-01-01", "2000-01-01");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    eventually("it computes", || gauge(&server, "sheaf_scans_running") == 1.0);
    drop(stream);
    let begun = Instant::now();
    eventually("it has ended", || gauge(&server, "sheaf_scans_running") == 0.0);
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    eventually("nothing is left of it", || gauge(&server, "sheaf_stream_bytes") == 0.0);
}

#[test]
fn damage_is_an_error_and_never_a_number() {
    let folder = month();
    let segments = std::fs::read_dir(folder.path().join("segments")).unwrap();
    for segment in segments.map(|entry| entry.unwrap().path()) {
        let mut bytes = std::fs::read(&segment).unwrap();
        // Late in the file, so that the begin of an answer is right.
        let at = bytes.len() * 3 / 4;
        bytes[at] ^= 0x55;
        std::fs::write(&segment, bytes).unwrap();
    }
    let server = Server::start_in(folder, &["--auth-anonymous-read", "/big"]);
    let whole = server.get(&month_of(0)).try_send();
    let is_short = match whole {
        Ok(answer) => answer.status == 500,
        Err(_) => true,
    };
    assert!(is_short, "a damaged file gave a whole answer");
    eventually("it is logged", || server.log().contains("broke off") || server.log().contains("checksum"));
    let fine = server.get(&data("/big/c0/1_s", "2020-01-01", "2020-01-01T00:10")).send();
    assert_eq!(fine.doubles().len(), 600);
    assert_eq!(gauge(&server, "sheaf_streams_open"), 0.0);
}
