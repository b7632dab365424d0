//! The program as a user runs it.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "integration/access.rs"]
mod access;
#[path = "integration/beside.rs"]
mod beside;
#[path = "integration/catalogs.rs"]
mod catalogs;
#[path = "integration/datastore.rs"]
mod datastore;
#[path = "integration/hostile.rs"]
mod hostile;
#[path = "integration/http.rs"]
mod http;
#[path = "integration/jobs.rs"]
mod jobs;
#[path = "integration/killed.rs"]
mod killed;
#[path = "integration/loading.rs"]
mod loading;
#[path = "integration/operating.rs"]
mod operating;
#[path = "integration/reading.rs"]
mod reading;
#[path = "integration/remotes.rs"]
mod remotes;
#[path = "integration/runs.rs"]
mod runs;
#[path = "integration/savings.rs"]
mod savings;
#[path = "integration/seeds.rs"]
mod seeds;
#[path = "integration/serving.rs"]
mod serving;
#[path = "integration/uploads.rs"]
mod uploads;
#[path = "integration/values.rs"]
mod values;

use std::process::{Command, Output};

fn sheaf(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sheaf")).args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn a_path_is_explained() {
    let output = sheaf(&["path", "/plant/mast/T1/600_s_mean(height=80)#base=1_s&threshold=0.5"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        text(&output.stdout),
        "/plant/mast/T1/10_min_mean(height=80)#base=1_s&threshold=0.5
  catalog    /plant/mast
  resource   T1
  period     10_min
  kind       mean: arithmetic mean
  argument   height = 80
  base       1_s
  threshold  0.5 of a bucket's samples must be valid
"
    );
}

#[test]
fn a_wrong_path_fails_and_says_where() {
    let output = sheaf(&["path", "/a/b/T1/10_min_maen", "/a/T1/1_s"]);
    assert_eq!(output.status.code(), Some(1));
    let error = text(&output.stderr);
    assert!(error.starts_with(
        "sheaf: `/a/b/T1/10_min_maen`: unknown kind `maen` at position 15, did you mean `mean`?"
    ));
    assert!(text(&output.stdout).starts_with("/a/T1/1_s\n"), "the other path is still explained");

    let output = sheaf(&["path", "--json", "/a/T1/10_s_mean#base=3_s"]);
    assert_eq!(output.status.code(), Some(1));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(json["error"].as_str().unwrap().ends_with("nearest: 9_s and 12_s"), "{json}");
}

#[test]
fn wrong_usage_is_2_and_help_has_an_example() {
    assert_eq!(sheaf(&[]).status.code(), Some(2));
    assert_eq!(sheaf(&["path"]).status.code(), Some(2));
    assert_eq!(sheaf(&["pth"]).status.code(), Some(2));
    for command in [
        &["--help"][..],
        &["path", "--help"],
        &["kinds", "--help"],
        &["config", "--help"],
        &["demo", "--help"],
        &["serve", "--help"],
        &["read", "--help"],
        &["catalogs", "--help"],
        &["delete", "--help"],
        &["export", "--help"],
        &["ingest", "--help"],
        &["jobs", "--help"],
        &["jobs", "list", "--help"],
        &["savings", "--help"],
        &["verify", "--help"],
        &["dev-seed", "--help"],
        &["prod-seed", "--help"],
        &["run-meters", "--help"],
        &["meter-progress", "--help"],
        &["delete-meters", "--help"],
        &["run-aggregations", "--help"],
        &["trace-record-indexes", "--help"],
        &["mart", "--help"],
        &["mart", "export", "--help"],
        &["geoinfo", "--help"],
    ] {
        let output = sheaf(command);
        assert_eq!(output.status.code(), Some(0));
        assert!(text(&output.stdout).contains("Example"), "{command:?}");
    }
}

#[test]
fn every_kind_is_listed() {
    let output = sheaf(&["kinds"]);
    for kind in ["original", "mean_polar_deg", "median", "spread"] {
        assert!(text(&output.stdout).lines().any(|line| line.starts_with(kind)), "{kind}");
    }
}

mod store {
    //! The commands that look after a store.

    use std::path::Path;
    use std::sync::Arc;

    use sheaf_db::Database;
    use sheaf_model::{DataType, Samples, Values};
    use sheaf_store::{Layout, LocalDisk, SeriesSpec, Settings, Store, Write};

    use super::{sheaf, text};

    /// A store with a large and a small write.
    fn fill(folder: &Path) {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let database = Database::sqlite(&folder.join("sheaf.db")).await.unwrap();
            let disk = Arc::new(LocalDisk::new(folder).unwrap());
            let store = Store::open(disk, Arc::new(database.manifest()), Settings::default()).await.unwrap();
            let period = "1_s".parse().unwrap();
            let layout = Layout::Regular { period, phase_ticks: 0 };
            let spec =
                SeriesSpec { key: "/plant/mast/T1/1_s".to_owned(), data_type: DataType::Float64, layout };
            let id = store.create_series(&[spec]).await.unwrap()[0];
            for len in [100_000, 10] {
                let values = Values::F64((0..len).map(f64::from).collect());
                let samples = Samples::new("2020-01-01".parse().unwrap(), period, values).unwrap();
                store.write(Write::new().rows(id, samples)).await.unwrap();
            }
            drop(store);
            database.close().await;
        });
    }

    fn json(args: &[&str]) -> serde_json::Value {
        let output = sheaf(args);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    #[test]
    fn a_store_is_counted_compacted_and_verified() {
        let folder = tempfile::tempdir().unwrap();
        fill(folder.path());
        let place = folder.path().to_str().unwrap();
        let stats = json(&["store", "stats", "--data-dir", place, "--json"]);
        assert_eq!((&stats["series"], &stats["tailRows"]), (&1.into(), &10.into()));
        assert_eq!(stats["segments"][0]["rows"], 100_000);
        assert!(text(&sheaf(&["store", "stats", "--data-dir", place]).stdout).contains("100,000 rows"));

        let done = json(&["compact", "--all", "--data-dir", place, "--json"]);
        assert_eq!((&done["movedPieces"], &done["mergedSegments"]), (&1.into(), &2.into()));
        let stats = json(&["store", "stats", "--data-dir", place, "--json"]);
        assert_eq!((&stats["tailRows"], &stats["segments"][0]["segments"]), (&0.into(), &1.into()));

        let report = json(&["check", "--data-dir", place, "--json"]);
        assert_eq!((&report["damages"], &report["series"]), (&0.into(), &1.into()));
        assert!(text(&sheaf(&["check", "--data-dir", place]).stdout).ends_with("no damage\n"));
    }

    #[test]
    fn damage_is_named_and_what_is_left_over_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        fill(folder.path());
        let place = folder.path().to_str().unwrap();
        let segments = folder.path().join("segments");
        let segment = std::fs::read_dir(&segments).unwrap().next().unwrap().unwrap().path();
        std::fs::write(segments.join("0123456789abcdef.parquet"), "left over").unwrap();
        std::fs::write(segments.join("notes.txt"), "not ours").unwrap();
        std::fs::remove_file(folder.path().join("HEAD")).unwrap();

        let output = sheaf(&["check", "--data-dir", place]);
        assert_eq!(output.status.code(), Some(1));
        let report = text(&output.stdout);
        assert!(
            report.contains("HEAD is missing") && report.contains("0123456789abcdef.parquet"),
            "{report}"
        );
        assert_eq!(sheaf(&["store", "stats", "--data-dir", place]).status.code(), Some(1));

        let output = sheaf(&["check", "--repair", "--data-dir", place]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
        assert!(!segments.join("0123456789abcdef.parquet").exists() && segments.join("notes.txt").exists());

        let mut bytes = std::fs::read(&segment).unwrap();
        bytes[1000] ^= 1;
        std::fs::write(&segment, bytes).unwrap();
        let output = sheaf(&["check", "--data-dir", place]);
        assert_eq!(output.status.code(), Some(1));
        let report = text(&output.stdout);
        assert!(
            report.contains(segment.to_str().unwrap()) && report.contains("/plant/mast/T1/1_s"),
            "{report}"
        );
    }

    #[test]
    fn nothing_is_made_where_there_is_no_store() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("nowhere");
        for command in [&["check"][..], &["compact"], &["store", "stats"]] {
            let output = sheaf(&[command, &["--data-dir", place.to_str().unwrap()]].concat());
            assert_eq!(output.status.code(), Some(1));
            assert!(text(&output.stderr).contains("there is no store in"), "{}", text(&output.stderr));
            assert!(!place.exists());
            assert!(text(&sheaf(&[command, &["--help"]].concat()).stdout).contains("Example"));
        }
        assert_eq!(sheaf(&["check", "--accept-loss"]).status.code(), Some(2));
        let output = sheaf(&[
            "store",
            "stats",
            "--data-dir",
            folder.path().to_str().unwrap(),
            "--database",
            "mysql://x",
        ]);
        assert_eq!(output.status.code(), Some(1));
    }
}

mod ingest {
    //! Tables from the command line.

    use std::io::Write;
    use std::path::Path;
    use std::process::{Command, Output, Stdio};

    use super::{sheaf, text};

    fn take(folder: &Path, more: &[&str]) -> Output {
        let place = folder.join("data");
        sheaf(
            &[&["ingest", "--data-dir", place.to_str().unwrap(), "--catalog", "/plant/mast"], more].concat(),
        )
    }

    /// A table with a row each second of a minute.
    fn table(minute: u32, value: &str) -> String {
        let rows: Vec<String> =
            (0..60).map(|second| format!("2020-01-01T00:{minute:02}:{second:02}Z,{value}")).collect();
        format!("time,T1 (°C)\n{}\n", rows.join("\n"))
    }

    fn json(output: &Output) -> Vec<serde_json::Value> {
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_folder_is_taken_file_by_file_and_what_was_done_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let files = folder.path().join("files");
        std::fs::create_dir_all(files.join("b")).unwrap();
        std::fs::write(files.join("a.csv"), table(0, "1")).unwrap();
        std::fs::write(files.join("b/c.csv"), table(1, "2")).unwrap();
        std::fs::write(files.join(".hidden.csv"), "nothing").unwrap();
        std::fs::write(files.join("readme.txt"), "nothing").unwrap();
        let done = json(&take(folder.path(), &["--json", files.to_str().unwrap()]));
        assert_eq!(done.len(), 2);
        let series = &done[1]["series"][0];
        assert_eq!((&series["series"], &series["unit"]), (&"/plant/mast/T1/1_s".into(), &"°C".into()));
        assert_eq!((&series["valid"], &series["duplicates"]["rows"]), (&60.into(), &0.into()));
        assert_eq!((&series["dataType"], &series["promoted"]), (&"INT64".into(), &false.into()));

        // The second of three is wrong: the first one is there, and the message says so.
        std::fs::write(files.join("a.csv"), table(2, "1.5")).unwrap();
        std::fs::write(files.join("b/c.csv"), "time,T1\n2020-01-01T00:00:00Z,one\n").unwrap();
        std::fs::write(files.join("d.csv"), table(3, "4")).unwrap();
        let output = take(folder.path(), &[files.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(1));
        let (said, error) = (text(&output.stdout), text(&output.stderr));
        assert!(
            said.contains("a.csv: 60 rows") && said.contains("was INT64, all of it is FLOAT64 now"),
            "{said}"
        );
        assert!(error.contains("a.csv (commit ") && error.contains("not read: "), "{error}");
        assert!(error.contains("d.csv") && error.contains("c.csv, line 2"), "{error}");
    }

    #[test]
    fn types_are_asked_for_and_hold() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("T1.csv");
        std::fs::write(&file, table(0, "21.3")).unwrap();
        let file = file.to_str().unwrap();
        let done = json(&take(folder.path(), &["--json", "--type", "float32", file]));
        assert_eq!(done[0]["series"][0]["dataType"], "FLOAT32");
        let output = take(folder.path(), &["--type", "INT8", file]);
        assert_eq!(output.status.code(), Some(1));
        let error = text(&output.stderr);
        assert!(
            error.contains("was to be INT8 (--type), but series `/plant/mast/T1/1_s` is FLOAT32"),
            "{error}"
        );
        assert_eq!(take(folder.path(), &["--type", "INT9", file]).status.code(), Some(2));
        assert!(text(&sheaf(&["ingest", "--help"]).stdout).contains("Example"));
    }

    #[test]
    #[cfg(unix)]
    fn an_interrupt_while_it_waits_for_its_input_ends_it_and_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("data");
        let mut child = Command::new(env!("CARGO_BIN_EXE_sheaf"))
            .args(["ingest", "-", "--catalog", "/plant/mast", "--data-dir", place.to_str().unwrap()])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        input.write_all(table(0, "1").as_bytes()).unwrap();
        input.flush().unwrap();
        // It is there once it has made its store; then it waits.
        let started = std::time::Instant::now();
        while !place.join("HEAD").exists() && started.elapsed().as_secs() < 60 {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        std::thread::sleep(std::time::Duration::from_millis(300));
        let status = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
        assert!(status.success());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
        assert!(text(&output.stderr).contains("cancelled"), "{}", text(&output.stderr));
        drop(input);
        let stats = sheaf(&["store", "stats", "--data-dir", place.to_str().unwrap(), "--json"]);
        let stats: serde_json::Value = serde_json::from_slice(&stats.stdout).unwrap();
        assert_eq!(stats["series"], 0);
    }
}
