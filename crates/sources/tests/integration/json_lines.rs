//! JSON lines are a table like any other.

use std::io::Write;

use proptest::prelude::*;
use sheaf_model::Tick;
use sheaf_sources::{
    Batch, ColumnRef, ColumnValues, CsvOptions, Input, JsonLinesReader, Layout, OnError, Rows, SourceError,
    Table, TableOptions, TimeFormat, open_table,
};

use crate::integration::common::options;

/// Name, time and value of each row, series by series.
type Whole = Vec<(String, String, f64)>;

fn read_all(mut table: impl Table) -> Result<(Whole, Vec<Batch>, String), SourceError> {
    let (mut all, mut batches) = (Vec::new(), Vec::new());
    while let Some(batch) = table.next_batch()? {
        let Rows::Long { series, values } = &batch.rows else { panic!("a wide batch") };
        assert_eq!((series.len(), values.len(), batch.lines.len()), (batch.len(), batch.len(), batch.len()));
        for (row, &series) in series.iter().enumerate() {
            let name = table.columns()[series as usize].name.clone();
            let time = Tick::new(batch.starts[row]).unwrap().to_string();
            all.push((name, time, values.get(row).unwrap()));
        }
        batches.push(batch);
    }
    assert_eq!(table.next_batch()?, None);
    Ok((all, batches, table.summary().detected))
}

fn read_with(
    text: impl Into<Vec<u8>>,
    options: CsvOptions,
) -> Result<(Whole, Vec<Batch>, String), SourceError> {
    read_all(JsonLinesReader::open(Input::bytes("test.jsonl", text), options)?)
}

fn refused(text: &str, options: CsvOptions) -> String {
    read_with(text, options).unwrap_err().to_string()
}

fn row(name: &str, time: &str, value: f64) -> (String, String, f64) {
    (name.to_owned(), time.to_owned(), value)
}

#[test]
fn wide_lines_may_have_any_keys() {
    let text = r#"{"time": "2020-01-01T00:00:00Z", "T1 (°C)": 1.5, "n": 1, "note": "calm"}

{"time": "2020-01-01T00:01:00Z", "n": null, "note": null}
{"n": "3", "p": 7, "time": "2020-01-01 01:02:00+01:00"}
"#;
    let (rows, batches, detected) = read_with(text, CsvOptions::default()).unwrap();
    assert_eq!(rows.len(), 5);
    assert_eq!(rows[0], row("n", "2020-01-01T00:00:00Z", 1.0));
    assert!(rows[1].2.is_nan());
    assert_eq!(rows[2], row("n", "2020-01-01T00:02:00Z", 3.0));
    assert_eq!(rows[3], row("p", "2020-01-01T00:02:00Z", 7.0));
    assert_eq!(rows[4], row("T1", "2020-01-01T00:00:00Z", 1.5));
    // Integers stay integers beside fractions of another series.
    assert!(matches!(&batches[0].rows, Rows::Long { values: ColumnValues::Ints { .. }, .. }));
    assert_eq!(batches[0].lines, [1, 3, 4, 4]);
    assert_eq!(
        detected,
        "wide table in JSON lines, times in key `time` as iso, not read: key `note`, time zone UTC"
    );
}

#[test]
fn long_lines_name_their_series() {
    let text = r#"{"ts": 1577836800, "series": "T1", "value": 20.5, "unit": "°C"}
{"ts": 1577836800, "series": "n", "value": null}
{"ts": 1577836801.5, "series": "T1", "value": 21, "unit": "°C"}"#;
    let mut reader = JsonLinesReader::open(Input::bytes("test", text), CsvOptions::default()).unwrap();
    let batch = reader.next_batch().unwrap().unwrap();
    assert_eq!(batch.lines, [2]);
    assert_eq!(reader.columns()[0].unit.as_deref(), Some("°C"));
    assert_eq!(reader.columns()[1].name, "n");
    let batch = reader.next_batch().unwrap().unwrap();
    let Rows::Long { series, values } = batch.rows else { panic!("a wide batch") };
    assert_eq!((series, values), (vec![0, 0], ColumnValues::Floats(vec![20.5, 21.0])));
    assert_eq!(
        reader.summary().detected,
        "long table in JSON lines, times in key `ts` as unix_s, time zone UTC"
    );
    assert_eq!(reader.summary().rows, 3);
}

#[test]
fn options_decide() {
    let text = r#"{"a": 1577836800000, "b": 5, "tag": 7, "x": 9}
{"a": 1577836801000, "b": 6, "tag": 7}"#;
    let named = |name: &str| Some(ColumnRef::from(name));
    let time = options(|options| options.time_column = named("a"));
    assert_eq!(read_with(text, time.clone()).unwrap().0.len(), 5);
    let only = CsvOptions { value_columns: vec![ColumnRef::from("x")], ..time.clone() };
    assert_eq!(read_with(text, only).unwrap().0, [row("x", "2020-01-01T00:00:00Z", 9.0)]);
    let without = CsvOptions { ignored_columns: vec!["x".into(), "tag".into()], ..time.clone() };
    assert_eq!(read_with(text, without).unwrap().0.len(), 2);
    let long = CsvOptions {
        layout: Some(Layout::Long),
        series_column: named("tag"),
        value_columns: vec!["b".into()],
        ..time
    };
    let rows = read_with(text, long).unwrap().0;
    assert_eq!(rows[1], row("7", "2020-01-01T00:00:01Z", 6.0));

    let local = options(|options| {
        options.time_format = TimeFormat::Custom("%d.%m.%Y %H:%M".to_owned());
        options.time_zone = Some("Europe/Berlin".to_owned());
        options.missing = Some(vec!["-999".to_owned()]);
        options.flags = true;
    });
    let text = r#"{"date": "01.07.2020 12:00", "T": -999, "on": true}"#;
    let rows = read_with(text, local).unwrap().0;
    assert_eq!(rows[1], row("on", "2020-07-01T10:00:00Z", 1.0));
    assert!(rows[0].2.is_nan());
}

#[test]
fn hours_that_occur_twice_are_told_by_the_order_of_rows() {
    let text = ["02:00", "02:30", "02:00", "02:30", "03:00"]
        .map(|clock| format!("{{\"time\": \"2020-10-25 {clock}\", \"T\": 1}}\n"))
        .concat();
    let berlin = options(|options| options.time_zone = Some("Europe/Berlin".to_owned()));
    let times: Vec<String> =
        read_with(text, berlin).unwrap().0.into_iter().map(|(_, time, _)| time).collect();
    let clocks: Vec<&str> = times.iter().map(|time| &time[11..16]).collect();
    assert_eq!(clocks, ["00:00", "00:30", "01:00", "01:30", "02:00"]);
}

#[test]
fn numbers_are_exact() {
    let text =
        r#"{"time": "2020-01-01", "a": 9007199254740993, "b": 0.1, "c": 2.4703282292062328e-324, "d": -0}"#;
    let (rows, batches, _) = read_with(text, CsvOptions::default()).unwrap();
    let Rows::Long { values, .. } = &batches[0].rows else { panic!("a wide batch") };
    assert_eq!(*values, ColumnValues::Ints { values: vec![9_007_199_254_740_993], validity: None });
    assert_eq!(rows[1].2, 0.1);
    assert_eq!(rows[2].2, 5e-324);
    assert!(rows[3].2 == 0.0 && rows[3].2.is_sign_negative());
}

#[test]
fn lines_that_are_wrong_are_named() {
    let first = "{\"time\": \"2020-01-01\", \"T\": 1}\n";
    for (line, problem) in [
        ("{\"time\": \"2020-01-02\", \"T\": \"warm\"}", "line 2, key `T`: `warm` is no number like"),
        ("{\"time\": \"2020-01-02\", \"T\": \"1,5\"}", "line 2, key `T`: `1,5` is no number like"),
        (
            "{\"time\": \"2020-01-02\", \"T\": true}",
            "line 2, key `T`: `true` is a truth value; those are numbers only",
        ),
        (
            "{\"time\": \"2020-01-02\", \"T\": [1]}",
            "line 2, key `T`: `[1]` is no number but an object or a list",
        ),
        ("{\"time\": \"2020-01-02\", \"T\": 1e999}", "line 2, key `T`: `1e999` is larger than any number"),
        (
            "{\"time\": \"2020-02-30\", \"T\": 1}",
            "line 2, key `time`: `2020-02-30` has a date that does not exist",
        ),
        ("{\"time\": null, \"T\": 1}", "line 2, key `time`: the time is missing"),
        ("{\"T\": 1}", "line 2: the time is missing: `{\"T\": 1}`"),
        (
            "{\"time\": \"2020-01-02\", \"T\": 1, \"T\": 2}",
            "line 2, key `T`: the key occurs twice in the line, the second time with: `2`",
        ),
        ("{\"time\": \"2020-01-02\", \"time\": \"2020-01-02\"}", "line 2, key `time`: the key occurs twice"),
        (
            "{\"time\": \"2020-01-02\", \"T\": 1",
            "line 2: the line is no JSON object (EOF while parsing an object at character 29): `{\"time\"",
        ),
        ("[1, 2]", "line 2: the line is no JSON object (invalid type: sequence, expected an object like"),
        ("2020-01-02,1", "line 2: the line is no JSON object ("),
    ] {
        let text = format!("{first}{line}\n{}", first.replace("01-01", "01-03"));
        let error = refused(&text, CsvOptions::default());
        assert!(error.starts_with("test.jsonl, ") && error.contains(problem), "{line}: {error}");
        // Or they are left out, as a whole.
        let skip = options(|options| options.on_error = OnError::Skip);
        let mut reader = JsonLinesReader::open(Input::bytes("test.jsonl", text), skip).unwrap();
        let mut rows = 0;
        while let Some(batch) = reader.next_batch().unwrap() {
            rows += batch.len();
        }
        let summary = reader.summary();
        assert_eq!((rows, summary.rows, summary.skipped), (2, 2, 1), "{line}");
        assert!(summary.errors[0].contains(problem), "{line}: {}", summary.errors[0]);
    }
}

#[test]
fn what_is_no_table_is_refused_when_it_is_opened() {
    for (text, problem) in [
        ("", "there is no line with an object"),
        ("\n\n", "there is no line with an object"),
        ("[\n  {\"time\": 1}\n]\n", "no line is a JSON object"),
        ("{\n", "no line is a JSON object (EOF while parsing an object at character 1), such as `{`"),
        ("{\"T\": 1}", "no column holds times that can be recognized"),
        (
            "{\"time\": 5, \"T\": 1}",
            "key `time` has numbers such as `5`, which could be times in several ways",
        ),
        ("{\"time\": \"2020-01-01\"}", "there is no column with values"),
        ("{\"time\": \"2020-01-01\", \"T\": \"warm\"}", "there is no column with values"),
        ("{\"a\": \"2020-01-01\", \"b\": \"2020-01-01\", \"T\": 1}", "key `a` and key `b` both hold times"),
    ] {
        let error = refused(text, CsvOptions::default());
        assert!(error.starts_with("test.jsonl") && error.contains(problem), "{text}: {error}");
    }
    let clock = options(|options| options.clock_column = Some("clock".into()));
    assert!(refused("{\"time\": \"2020-01-01\", \"T\": 1}", clock).contains("option `clock_column`"));
}

#[test]
fn it_is_recognized_and_unpacked() {
    let text = "{\"time\": \"2020-01-01\", \"T\": 1}\n".repeat(3);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(text.as_bytes()).unwrap();
    let packed = packed.finish().unwrap();
    for (name, bytes) in [("body", text.into_bytes()), ("a.jsonl.gz", packed)] {
        let mut table = open_table(Input::bytes(name, bytes), &TableOptions::default()).unwrap();
        assert_eq!(table.next_batch().unwrap().unwrap().len(), 3);
        assert!(table.summary().detected.contains("JSON lines"));
        assert!(table.progress().0 > 0);
    }
}

/// More than one block, so that blocks and parts meet in the middle of lines.
#[test]
fn many_lines_are_read_as_few_are() {
    let lines = 150_000_u64;
    let mut text = String::new();
    for line in 0..lines {
        let time = 1_577_836_800 + line;
        text.push_str(&format!("{{\"time\":{time},\"a\":{line},\"b\":{}.5}}\n", line % 7));
    }
    let mut reader = JsonLinesReader::open(Input::bytes("test", text), CsvOptions::default()).unwrap();
    let mut next = [0_u64; 2];
    while let Some(batch) = reader.next_batch().unwrap() {
        let Rows::Long { series, values } = &batch.rows else { panic!("a wide batch") };
        for (row, &series) in series.iter().enumerate() {
            let line = next[series as usize];
            next[series as usize] += 1;
            let wanted = if series == 0 { line as f64 } else { (line % 7) as f64 + 0.5 };
            assert_eq!((batch.lines[row], values.get(row)), (line + 1, Some(wanted)));
        }
    }
    assert_eq!(next, [lines; 2]);
}

proptest! {
    /// What is written as JSON is read as what it was.
    #[test]
    fn values_come_back(
        rows in prop::collection::vec(
            (0_i64..4_000_000_000_000, prop::collection::btree_map("[a-zé\"\\\\]{1,4}", any::<Option<f64>>(), 0..5)),
            1..40,
        ),
    ) {
        let mut text = String::new();
        let mut wanted: Vec<(String, i64, Option<u64>)> = Vec::new();
        for (time, values) in &rows {
            let mut line = serde_json::Map::new();
            line.insert("timestamp".to_owned(), (time + 1_000_000_000_000).into());
            for (key, value) in values {
                line.insert(format!("v_{key}"), (*value).filter(|value| value.is_finite()).into());
                let value = value.filter(|value| value.is_finite()).map(f64::to_bits);
                wanted.push((format!("v_{key}"), time + 1_000_000_000_000, value));
            }
            text.push_str(&serde_json::to_string(&line).unwrap());
            text.push('\n');
        }
        let options = options(|options| options.time_format = TimeFormat::UnixMs);
        let mut reader = match JsonLinesReader::open(Input::bytes("test", text), options) {
            Ok(reader) => reader,
            Err(_) if wanted.is_empty() => return Ok(()),
            Err(error) => panic!("{error}"),
        };
        let mut found = Vec::new();
        while let Some(batch) = reader.next_batch().unwrap() {
            let Rows::Long { series, values } = &batch.rows else { panic!("a wide batch") };
            for (row, &series) in series.iter().enumerate() {
                let value = values.get(row).filter(|value| !value.is_nan()).map(f64::to_bits);
                let ms = (batch.starts[row] - Tick::UNIX_EPOCH.ticks()) / 10_000;
                found.push((reader.columns()[series as usize].title.clone(), ms, value));
            }
        }
        wanted.sort();
        found.sort();
        prop_assert_eq!(found, wanted);
    }

    /// Any text is refused or read, and never more rows than lines.
    #[test]
    fn anything_is_refused_or_read(
        pieces in prop::collection::vec(
            prop::sample::select(&["{", "}", "\"time\"", ":", ",", "\"2020-01-01\"", "1.5", "null", "\n", "[", "]", "\"T\"", "-", "true", "\\", "é"][..]),
            0..60,
        ),
    ) {
        let text = pieces.concat();
        let lines = text.lines().count() as u64;
        if let Ok(mut reader) = JsonLinesReader::open(Input::bytes("test", text), CsvOptions::default()) {
            while let Ok(Some(_)) = reader.next_batch() {}
            prop_assert!(reader.summary().rows <= lines);
        }
    }
}
