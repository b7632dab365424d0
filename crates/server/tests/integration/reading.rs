//! From files to aggregates and back, with the program.

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::text;

/// A data folder, and the program on it.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Place {
        Place(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, contents: &str) -> String {
        let file = self.0.path().join(name);
        std::fs::write(&file, contents).unwrap();
        file.to_str().unwrap().to_owned()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sheaf"));
        command.args(args).arg("--data-dir").arg(self.0.path().join("data"));
        command
    }

    /// What the program prints, which must succeed.
    fn run(&self, args: &[&str]) -> String {
        let output = self.command(args).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{args:?}: {}", text(&output.stderr));
        assert!(output.stderr.is_empty(), "nothing but data on a pipe: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// What the program complains about, which must fail with this code.
    fn fail(&self, code: i32, args: &[&str]) -> String {
        let output = self.command(args).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", text(&output.stdout));
        text(&output.stderr)
    }

    fn json(&self, args: &[&str]) -> Vec<Value> {
        let lines = self.run(&[args, &["--json"]].concat());
        serde_json::Deserializer::from_str(&lines).into_iter().map(Result::unwrap).collect()
    }
}

/// Two hours of seconds: `T1` counts the seconds of the minute, `n` the minutes; `T1` is missing from 01:30 to 01:40.
fn two_hours() -> String {
    let mut csv = "time,T1 (°C),n\n".to_owned();
    for second in 0..7200 {
        let (h, m, s) = (second / 3600, second / 60 % 60, second % 60);
        let value = if (5400..6000).contains(&second) { String::new() } else { format!("{s}.5") };
        writeln!(csv, "2020-01-01T{h:02}:{m:02}:{s:02}Z,{value},{}", second / 60).unwrap();
    }
    csv
}

#[test]
fn a_table_becomes_aggregates() {
    let place = Place::new();
    let file = place.file("mast.csv", &two_hours());
    let done = place.run(&["ingest", &file, "--catalog", "/plant/mast"]);
    assert!(done.contains("/plant/mast/T1/1_s FLOAT64 °C: 6,600 values"), "{done}");

    let catalogs = place.run(&["catalogs"]);
    assert!(
        catalogs.starts_with("/plant/mast\n  T1 (°C)\n    1_s        FLOAT64  2020-01-01T00:00:00Z"),
        "{catalogs}"
    );

    // The mean of 0.5 to 59.5 is 30. Of 01:00 to 02:00, a sixth is missing, so the hour has no mean.
    let csv = place.run(&["read", "/plant/mast/T1/1_h_mean", "/plant/mast/n/1_h_max", "--format", "csv"]);
    assert_eq!(
        csv,
        "time,/plant/mast/T1/1_h_mean (°C),/plant/mast/n/1_h_max\n\
         2020-01-01T00:00:00Z,30,59\n2020-01-01T01:00:00Z,,119\n"
    );
    let half = ["--nan-threshold", "0.5", "--format", "csv"];
    let csv = place.run(&[&["read", "/plant/mast/T1/1_h_mean#base=1_s"][..], &half].concat());
    assert!(csv.ends_with("00:00:00Z,30\n2020-01-01T01:00:00Z,30\n"), "{csv}");

    let json = &place.json(&["read", "/plant/mast/T1/30_min_count", "/plant/mast/T1/30_min_mean"])[0];
    assert_eq!(json["begin"], "2020-01-01T00:00:00Z");
    assert_eq!(json["samplePeriod"], "30_min");
    assert_eq!(json["series"][0]["values"], serde_json::json!([1800, 1800, 1800, 1200]));
    assert_eq!(json["series"][1]["values"], serde_json::json!([30.0, 30.0, 30.0, null]));
    assert_eq!(json["series"][1]["unit"], "°C");

    let range = ["--begin", "2020-01-01T00:10Z", "--end", "2020-01-01T00:12Z"];
    let paths = ["/plant/mast/n/1_min_mean", "/plant/mast/T1/1_min_max"];
    let bytes =
        place.command(&[&["read", "--format", "f64"], &paths[..], &range].concat()).output().unwrap().stdout;
    let doubles: Vec<f64> =
        bytes.chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect();
    assert_eq!(doubles, [10.0, 11.0, 59.5, 59.5]);

    let table = place.run(&["read", "/plant/mast/T1/10_min_mean", "--rows", "4"]);
    assert!(
        table.contains("min 30, mean 30, max 30 °C, 1 missing") && table.contains("… 8 more rows"),
        "{table}"
    );
    let plan = place.run(&["read", "/plant/mast/T1/10_min_mean", "--explain"]);
    assert!(plan.contains("12 values from 7,200 slots of /plant/mast/T1/1_s"), "{plan}");
}

#[test]
fn units_stay_what_they_are() {
    let place = Place::new();
    let file = place.file("mast.csv", &two_hours());
    place.run(&["ingest", &file, "--catalog", "/plant/mast"]);
    let other = place.file("other.csv", &two_hours().replace("°C", "°F").replace("2020", "2021"));
    let error = place.fail(1, &["ingest", &other, "--catalog", "/plant/mast"]);
    assert!(error.contains("column `T1 (°F)` is in `°F`, but resource `T1` is in `°C` so far"), "{error}");
    assert!(place.json(&["catalogs"])[0]["end"].as_str().unwrap().starts_with("2020"));
    let none = place.file("none.csv", &two_hours().replace(" (°C)", "").replace("2020", "2021"));
    place.run(&["ingest", &none, "--catalog", "/plant/mast"]);
    assert_eq!(place.json(&["catalogs"])[0]["unit"], "°C");
}

#[test]
fn deletions_and_exports() {
    let place = Place::new();
    let file = place.file("mast.csv", &two_hours());
    place.run(&["ingest", &file, "--catalog", "/plant/mast"]);
    let range = ["--begin", "2020-01-01T00:30Z", "--end", "2020-01-01T01:00Z"];
    place.run(&[&["delete", "/plant/mast/n/1_s"][..], &range].concat());
    let counts = |path: &str| place.json(&["read", path])[0]["series"][0]["values"].clone();
    assert_eq!(counts("/plant/mast/n/30_min_count"), serde_json::json!([1800, 0, 1800, 1800]));

    for format in ["parquet", "csv"] {
        let folder = place.0.path().join(format);
        let exported = place.json(&["export", "/plant", "--format", format, "-o", folder.to_str().unwrap()]);
        assert_eq!(exported[0]["samples"], 6600, "{exported:?}");
        assert_eq!(exported[1]["samples"], 5400, "{exported:?}");
        let other = Place::new();
        let file = |name: &str| {
            folder.join("plant/mast").join(format!("{name}.{format}")).to_str().unwrap().to_owned()
        };
        other.run(&["ingest", &file("T1_1_s"), &file("n_1_s"), "--catalog", "/plant/mast"]);
        for path in ["/plant/mast/T1/1_s", "/plant/mast/n/1_s", "/plant/mast/T1/7_min_std"] {
            let f64s =
                |place: &Place| place.command(&["read", path, "--format", "f64"]).output().unwrap().stdout;
            assert_eq!(f64s(&place), f64s(&other), "{path} by way of {format}");
        }
        let unit = &other.json(&["catalogs"])[0]["unit"];
        assert_eq!(unit, "°C", "by way of {format}");
    }

    place.run(&["delete", "--all", "/plant/mast/n/1_s", "/plant/mast/T1/1_s"]);
    let error = place.fail(1, &["read", "/plant/mast/T1/1_h_mean"]);
    assert!(error.contains("no samples"), "{error}");
}

#[test]
fn an_output_is_whole_or_not_there() {
    let place = Place::new();
    let file = place.file("mast.csv", &two_hours());
    place.run(&["ingest", &file, "--catalog", "/plant/mast"]);
    let output = place.file("values.csv", "what was there before");
    // A range that does not fit the period fails before anything is written.
    let wrong = ["read", "/plant/mast/T1/1_h_mean", "--begin", "2020-01-01T00:10Z", "-o", &output];
    let error = place.fail(1, &wrong);
    assert!(error.contains("begin 2020-01-01T00:10:00Z is not a multiple of 1_h"), "{error}");
    assert_eq!(std::fs::read_to_string(&output).unwrap(), "what was there before");
    place.run(&["read", "/plant/mast/T1/1_h_mean", "-o", &output]);
    assert!(std::fs::read_to_string(&output).unwrap().starts_with("time,/plant/mast/T1/1_h_mean (°C)\n2020"));
    let nowhere = place.0.path().join("no/such/folder.csv");
    let error = place.fail(1, &["read", "/plant/mast/T1/1_h_mean", "-o", nowhere.to_str().unwrap()]);
    assert!(error.contains("can't write"), "{error}");
    let left: Vec<_> =
        std::fs::read_dir(place.0.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_str().unwrap().starts_with(".sheaf")), "{left:?}");
}

#[test]
fn mistakes_are_named() {
    let place = Place::new();
    let file = place.file("mast.csv", &two_hours());
    let error = place.fail(1, &["read", "/plant/mast/T1/1_s"]);
    assert!(error.contains("there is no store in"), "{error}");
    place.run(&["ingest", &file, "--catalog", "/plant/mast"]);
    for (code, args, expected) in [
        (2, &["read"][..], "<PATH>"),
        (2, &["read", "/plant/mast/T1"], "expected a sample period"),
        (2, &["read", "/plant/mast/T1/1_h_mean", "--nan-threshold", "2"], "from 0 to 1"),
        (2, &["read", "/plant/mast/T1/1_h_mean", "--begin", "yesterday"], "yesterday"),
        (1, &["read", "/plant/mast/T1/1_h_mean", "/plant/mast/T1/1_min_mean"], "same sample period"),
        (1, &["read", "/plant/mast/T11/1_h_mean"], "no resource `T11`, did you mean `T1`?"),
        (1, &["read", "/plant/nacelle/T1/1_h_mean"], "there is no catalog `/plant/nacelle`"),
        (1, &["read", "/plant/mast/T1/1_h_mean#base=10_s"], "no representation `10_s`; available: 1_s"),
        (1, &["read", "/plant/mast/T1/2_s"], "no representation `2_s`"),
        (1, &["read", "/plant/mast/T1/1500_ms_mean"], "1_s"),
        (1, &["read", "/plant/mast/T1/1_h_min_bitwise"], "integer"),
        (1, &["read", "/plant/mast/T1/1_h_mean", "-o", "values.xyz"], "--format"),
        (1, &["delete", "/plant/mast/T2/1_s", "--all"], "no series `/plant/mast/T2/1_s`"),
        (2, &["delete", "/plant/mast/T1/1_s"], "--begin"),
        (1, &["export", "/plant/nacelle"], "no series, resource or catalog"),
        (1, &["catalogs", "/nowhere"], "nothing in catalog"),
    ] {
        let error = place.fail(code, args);
        assert!(error.contains(expected), "{args:?}: {error}");
    }
}

#[test]
fn many_commands_at_once() {
    let place = Place::new();
    let files: Vec<String> = (0..6)
        .map(|column| {
            let csv =
                two_hours().replace("T1", &format!("T{column}")).replace(",n\n", &format!(",n{column}\n"));
            place.file(&format!("{column}.csv"), &csv)
        })
        .collect();
    let running: Vec<_> = files
        .iter()
        .map(|file| {
            let mut command = place.command(&["ingest", file, "--catalog", "/plant/mast"]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for child in running {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
    assert_eq!(place.json(&["catalogs"]).len(), 12);
    assert_eq!(place.json(&["catalogs", "--limit", "5"]).len(), 5);
    assert_eq!(place.json(&["catalogs", "/plant", "--after", "/plant/mast/T5/1_s"]).len(), 6);
    let first = place.run(&["catalogs", "--limit", "5"]);
    assert!(first.ends_with("go on with --after /plant/mast/T4/1_s\n"), "{first}");
    for column in 0..6 {
        let values =
            &place.json(&["read", &format!("/plant/mast/T{column}/1_h_mean")])[0]["series"][0]["values"];
        assert_eq!(*values, serde_json::json!([30.0, null]));
    }
}

/// A day of seconds of three series: more than is read before something is written.
#[test]
fn what_is_long_is_read_ahead() {
    let place = Place::new();
    let mut csv = "time,a,b,c\n".to_owned();
    for second in 0..86_400 {
        let (h, m, s) = (second / 3600, second / 60 % 60, second % 60);
        writeln!(csv, "2020-01-01T{h:02}:{m:02}:{s:02}Z,{second},{},{}", -second, second % 60).unwrap();
    }
    let file = place.file("day.csv", &csv);
    place.run(&["ingest", &file, "--catalog", "/day"]);
    let paths = ["/day/a/1_s", "/day/b/1_s", "/day/c/1_s"];
    let expected: Vec<f64> = (0..86_400)
        .chain((0..86_400).map(|s| -s))
        .chain((0..86_400).map(|s| s % 60))
        .map(f64::from)
        .collect();

    let read = [&["read"], &paths[..]].concat();
    let raw = place.command(&[&read[..], &["--format", "f64"]].concat()).output().unwrap();
    let values: Vec<f64> = raw.stdout.as_chunks().0.iter().map(|&bytes| f64::from_le_bytes(bytes)).collect();
    assert!(values == expected);

    let json: Value = serde_json::from_str(&place.run(&[&read[..], &["--json"]].concat())).unwrap();
    let series = json["series"].as_array().unwrap().iter().flat_map(|one| one["values"].as_array().unwrap());
    assert!(series.map(|value| value.as_f64().unwrap()).eq(expected.iter().copied()));

    let csv = place.run(&[&read[..], &["--format", "csv"]].concat());
    let line = csv.lines().find(|line| line.contains("23:59:59")).unwrap();
    assert!(line.ends_with(",86399,-86399,59"), "{line}");
    assert_eq!(csv.lines().count(), 86_401);

    // Whoever has had enough after the first bytes, like `head`, ends it quietly.
    for format in ["f64", "csv", "json", "parquet"] {
        let mut command = place.command(&[&read[..], &["--format", format]].concat());
        let mut cut = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        cut.stdout.take().unwrap().read_exact(&mut [0; 4]).unwrap();
        let ended = cut.wait_with_output().unwrap();
        assert_eq!((ended.status.code(), text(&ended.stderr).as_str()), (Some(0), ""), "{format}");
    }

    // A segment that is damaged where the values lie says so; nothing is left of the output.
    let segments = place.0.path().join("data/segments");
    for segment in std::fs::read_dir(&segments).unwrap() {
        let segment = segment.unwrap().path();
        let mut bytes = std::fs::read(&segment).unwrap();
        let at = bytes.len() / 3;
        bytes[at] ^= 0xff;
        std::fs::write(&segment, bytes).unwrap();
    }
    let output = place.0.path().join("day.f64");
    let complaint = place.fail(1, &[&read[..], &["-o", output.to_str().unwrap()]].concat());
    assert!(complaint.contains("segments") && !output.exists(), "{complaint}");
}

#[test]
fn the_demo_is_made_and_read() {
    let place = Place::new();
    let shown = place.run(&["demo", "--no-serve", "--projects", "20"]);
    assert!(shown.contains("/demo/mast/temperature/100_ms: wrote 864,000 samples"), "{shown}");
    assert!(shown.contains("Try next:"), "{shown}");
    let again = place.json(&["demo", "--no-serve", "--projects", "20"]);
    assert!(again[..4].iter().all(|series| series["written"] == false), "{again:?}");
    let hours = &again[4]["series"];
    assert_eq!(hours[0]["unit"], "°C");
    // 12:30 to 12:40 has no wind, more than 1 % of the hour; and north is not south.
    assert!(hours[2]["values"][12].is_null() && hours[2]["values"][13].is_number());
    let north = hours[3]["values"][7].as_f64().unwrap();
    assert!(!(90.0..270.0).contains(&north), "{north}");
    // Every command that is suggested works.
    for line in
        shown.lines().skip_while(|line| *line != "Try next:").filter(|line| line.contains("sheaf read"))
    {
        let mut words = line.split_whitespace().map(|word| word.trim_matches('\'')).skip(1);
        let args: Vec<&str> = words.by_ref().take_while(|word| *word != "--data-dir").collect();
        place.run(&args);
    }
    assert!(Path::new(words_after(&shown, "--data-dir")).is_dir());
}

fn words_after<'a>(text: &'a str, word: &str) -> &'a str {
    text.split_whitespace().skip_while(|found| *found != word).nth(1).unwrap()
}

/// A day of seconds: what is made of it is kept, until its file is another one.
#[test]
fn what_is_made_of_a_folder_is_kept_until_its_files_change() {
    let place = Place::new();
    let folder = place.0.path().join("files");
    std::fs::create_dir_all(&folder).unwrap();
    let write = |value: u32| {
        let row = |second: u32| {
            let (h, m, s) = (second / 3600, second / 60 % 60, second % 60);
            format!("2020-01-01T{h:02}:{m:02}:{s:02}Z,{}.5\n", value + second % 7)
        };
        let rows: String = (0..86_400).map(row).collect();
        std::fs::write(folder.join("2020-01-01.csv"), format!("time,T1 (K)\n{rows}")).unwrap();
    };
    write(10);
    let template = format!("{}/{{yyyy}}-{{MM}}-{{dd}}.csv", folder.to_str().unwrap());
    place.run(&["source", "add", "/live/csv", "--csv", &template]);
    let entries = || place.json(&["rollups", "stats"])[0]["entries"].as_u64().unwrap();
    let means = |more: &[&str]| {
        let read = place.json(&[&["read", "/live/csv/T1/10_min_mean"], more].concat());
        read[0]["series"][0]["values"].clone()
    };
    assert_eq!(entries(), 0);
    let first = means(&[]);
    let kept = entries();
    assert!(kept > 0);
    assert_eq!((means(&[]), means(&["--no-rollups"]), entries()), (first.clone(), first.clone(), kept));
    write(20);
    let second = means(&[]);
    assert!(second != first && second == means(&["--no-rollups"]));
    place.run(&["rollups", "clear"]);
    place.run(&["rollups", "exclude", "/live/csv/T1/1_s"]);
    assert_eq!((means(&[]), entries()), (second.clone(), 0));
    place.run(&["rollups", "include", "/live/csv/T1/1_s"]);
    assert_eq!(means(&[]), second);
    assert!(entries() > 0);
    let error = place.fail(1, &["rollups", "exclude", "/live/csv/T2/1_s"]);
    assert!(error.contains("/live/csv/T2/1_s"), "{error}");
}

#[test]
fn a_folder_is_read_in_place() {
    let place = Place::new();
    let folder = place.0.path().join("files");
    for (day, value) in [("01", 1.5), ("02", 2.5)] {
        let day_folder = folder.join("2020").join("01");
        std::fs::create_dir_all(&day_folder).unwrap();
        let rows: String = (0..24).map(|hour| format!("2020-01-{day}T{hour:02}:00Z,{value}\n")).collect();
        std::fs::write(day_folder.join(format!("{day}.csv")), format!("time,P (kW)\n{rows}")).unwrap();
    }
    let template = format!("{}/{{yyyy}}/{{MM}}/{{dd}}.csv", folder.to_str().unwrap());
    let added = place.run(&["source", "add", "/live/csv", "--csv", &template]);
    assert!(added.contains("P (kW)") && added.contains("1_h"), "{added}");
    let days = &place.json(&["read", "/live/csv/P/1_d_sum"])[0]["series"][0];
    assert_eq!(days["values"], serde_json::json!([36.0, 60.0]));
    assert_eq!(days["unit"], "kW");
    // What changes is seen at once; what is damaged is named.
    std::fs::write(folder.join("2020/01/03.csv"), "time,P (kW)\n2020-01-03T00:00Z,7\n2020-01-03T01:00Z,x\n")
        .unwrap();
    let error = place.fail(1, &["read", "/live/csv/P/1_d_sum"]);
    assert!(error.contains("03.csv, line 3, column 2 (`P (kW)`): `x`"), "{error}");
    std::fs::remove_file(folder.join("2020/01/03.csv")).unwrap();
    assert_eq!(place.json(&["catalogs"])[0]["path"], "/live/csv/P/1_h");
    let file = place.file("mast.csv", &two_hours());
    place.run(&["ingest", &file, "--catalog", "/plant/mast"]);
    let error = place.fail(1, &["source", "add", "/plant/mast", "--csv", &template]);
    assert!(error.contains("has samples in the store already"), "{error}");
    // Both kinds of series side by side.
    let both = &place.json(&[
        "read",
        "/live/csv/P/1_h_max",
        "/plant/mast/T1/1_h_mean",
        "--end",
        "2020-01-01T02:00Z",
    ])[0];
    assert_eq!(both["series"][0]["values"], serde_json::json!([1.5, 1.5]));
    assert_eq!(both["series"][1]["values"], serde_json::json!([30.0, null]));
    let error = place.fail(1, &["ingest", &file, "--catalog", "/live/csv"]);
    assert!(error.contains("`/live/csv` is read in place"), "{error}");
    let error = place.fail(1, &["export", "/live/csv", "-o", "out"]);
    assert!(error.contains("`/live/csv` is read in place"), "{error}");
    place.run(&["source", "remove", "/live/csv"]);
    assert!(place.fail(1, &["read", "/live/csv/P/1_d_sum"]).contains("no catalog `/live/csv`"));
}

#[test]
fn states_are_kept_and_thrown_away() {
    let place = Place::new();
    let csv: String =
        (0..100_000).map(|row| format!("{},{}\n", 1_577_836_800_000_i64 + row * 100, row % 10)).collect();
    let file = place.file("fast.csv", &format!("time,T1\n{csv}"));
    place.run(&["ingest", &file, "--catalog", "/plant/mast"]);
    let mean = ["read", "/plant/mast/T1/10_min_mean", "--format", "f64"];
    let read = |args: &[&str]| place.command(args).output().unwrap().stdout;
    let cold = read(&[&mean[..], &["--no-rollups"]].concat());
    assert_eq!(place.json(&["rollups", "stats"])[0]["entries"], 0);
    assert_eq!(read(&mean), cold);
    let stats = &place.json(&["rollups", "stats"])[0];
    assert_eq!(stats["series"][0]["series"], "/plant/mast/T1/100_ms", "{stats}");
    assert_eq!(read(&mean), cold);
    assert!(place.run(&["read", "/plant/mast/T1/1_h_max", "--explain"]).contains("states are kept"));
    // What is deleted is gone from what was kept.
    place.run(&[
        "delete",
        "/plant/mast/T1/100_ms",
        "--begin",
        "2020-01-01T01:00Z",
        "--end",
        "2020-01-01T02:00Z",
    ]);
    assert_eq!(read(&mean), read(&[&mean[..], &["--no-rollups"]].concat()));
    place.run(&["rollups", "clear"]);
    assert_eq!(place.json(&["rollups", "stats"])[0]["entries"], 0);

    // Of a series that is excluded nothing is kept, until it is included again.
    let series = "/plant/mast/T1/100_ms";
    place.run(&["rollups", "exclude", series, series]);
    assert_eq!(read(&mean), read(&[&mean[..], &["--no-rollups"]].concat()));
    let stats = &place.json(&["rollups", "stats"])[0];
    assert_eq!((&stats["entries"], &stats["excluded"][0]), (&0.into(), &series.into()), "{stats}");
    assert!(place.run(&["read", "/plant/mast/T1/1_h_max", "--explain"]).contains("states are not kept"));
    place.run(&["rollups", "include", series]);
    read(&mean);
    let stats = &place.json(&["rollups", "stats"])[0];
    assert!(stats["entries"] != 0 && stats["excluded"].as_array().unwrap().is_empty(), "{stats}");
    let error = place.fail(1, &["rollups", "exclude", "/plant/mast/T2/1_s"]);
    assert!(error.contains("no series `/plant/mast/T2/1_s`"), "{error}");
}

#[test]
fn bills_are_spread_over_days() {
    let place = Place::new();
    let file = place.file(
        "bills.csv",
        "start,energy (kWh)\n2020-01-01,310\n2020-02-01,58\n2020-03-01,\n2020-04-01,60\n2020-05-01,\n",
    );
    place.run(&["ingest", &file, "--catalog", "/meters/m1"]);
    let paths = ["/meters/m1/energy/1_d_spread", "/meters/m1/energy/1_d_spread"];
    let csv = place.run(&[&["read"], &paths[..], &["--format", "csv"]].concat());
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines.len(), 1 + 121 + 1, "{csv}");
    assert!(lines[1].ends_with(",10,10") && lines[31].ends_with(",10,10"), "{csv}");
    assert!(lines[32].ends_with(",2,2") && lines[60].ends_with(",2,2"), "{csv}");
    assert!(lines[61].ends_with(",,") && lines[92].ends_with(",2,2") && lines[122].ends_with(",,"), "{csv}");
    let explained = place.run(&["read", paths[0], "--explain"]);
    assert!(explained.contains("from records of /meters/m1/energy"), "{explained}");
    let error = place.fail(1, &["read", "/meters/m1/energy/1_d_sum"]);
    assert!(error.contains("irregular") && error.contains("`1_d_spread`"), "{error}");
}
