//! The program as a user runs it.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

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
    for command in [&["--help"][..], &["path", "--help"], &["kinds", "--help"], &["demo", "--help"]] {
        let output = sheaf(command);
        assert_eq!(output.status.code(), Some(0));
        assert!(text(&output.stdout).contains("Example"), "{command:?}");
    }
}

#[test]
fn the_demo_aggregates_and_shows_a_gap() {
    let output = sheaf(&["demo", "--json"]);
    assert_eq!(output.status.code(), Some(0));
    let rows: Vec<serde_json::Value> =
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let counts: Vec<_> = rows.iter().map(|row| row["count"].as_f64().unwrap()).collect();
    assert_eq!(counts, [60_000.0, 60_000.0, 60_000.0, 54_000.0, 60_000.0, 60_000.0]);
    assert!(rows[3]["mean"].is_null() && rows[3]["begin"] == "2020-01-01T00:30:00Z");
    // The mean of 12 + 3·sin over the first sixth of its period: 12 + 3·(1 - cos 60°)/(π/3).
    assert!((rows[0]["mean"].as_f64().unwrap() - (12.0 + 4.5 / std::f64::consts::PI)).abs() < 1e-3);
    assert!(text(&sheaf(&["demo"]).stdout).contains("sheaf kinds"));
}

#[test]
fn every_kind_is_listed() {
    let output = sheaf(&["kinds"]);
    for kind in ["original", "mean_polar_deg", "median", "spread"] {
        assert!(text(&output.stdout).lines().any(|line| line.starts_with(kind)), "{kind}");
    }
}
