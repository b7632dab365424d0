//! What is wrong is named: file, line, column, text, and what would be right.

use std::io::{self, Read};

use sheaf_sources::{ColumnRef, CsvReader, Input, OnError, Report, RowProblem, SourceError};

use crate::integration::common::{ints, options, read, read_with, refused};

fn message(text: impl Into<Vec<u8>>) -> String {
    refused(text, options(|_| ()))
}

#[test]
fn each_message_names_the_place() {
    for (text, expected) in [
        (
            "time,T1\n2020-01-01,1\n2020-01-02,12x\n",
            "test.csv, line 3, column 2 (`T1`): `12x` is no number like `-12.5` or `1.5e-3`, and none of the words for a \
             missing value",
        ),
        (
            "time,T1\n2020-01-01,1\n2020-01-02,1e999\n",
            "test.csv, line 3, column 2 (`T1`): `1e999` is larger than any number that can be stored (1.8e308)",
        ),
        (
            "time,T1\n2020-01-01,1\n2020-02-30,1\n",
            "test.csv, line 3, column 1 (`time`): `2020-02-30` has a date that does not exist",
        ),
        (
            "time,T1\n2020-01-01,1\n2020-01-01 24:00:00,1\n",
            "test.csv, line 3, column 1 (`time`): `2020-01-01 24:00:00` has the hour 24; write midnight as 00:00 of the \
             next day",
        ),
        (
            "time,T1\n2016-12-31T23:59:60Z,1\n",
            "test.csv, line 2, column 1 (`time`): `2016-12-31T23:59:60Z` is a leap second, which can't be represented",
        ),
        (
            "time,T1\n2020-01-01T00:00:00.12345678Z,1\n",
            "test.csv, line 2, column 1 (`time`): `2020-01-01T00:00:00.12345678Z` is not a multiple of 100 ns, the finest \
             time there is",
        ),
        ("time,T1\n2020-01-01,1\n,1\n", "test.csv, line 3, column 1 (`time`): the time is missing"),
        ("time,T1\n2020-01-01,1\nNaN,1\n", "test.csv, line 3, column 1 (`time`): the time is missing"),
        ("time,T1\n2020-01-01,1\n2020-01-02\n", "test.csv, line 3: the row has 1 field, the table 2 fields"),
        (
            "time,T1\n2020-01-01,1\n2020-01-02,1,2\n",
            "test.csv, line 3: the row has 3 fields, the table 2 fields",
        ),
        (
            "time,T1\n2020-01-01,1\n2020-01-02,\"1\n2020-01-03,1\n",
            "test.csv, line 3: a quote is opened here and never closed",
        ),
        (
            "time,T1\n2020-01-01,1\n2020-01-02,\"1\"5\n",
            "test.csv, line 3: text follows a closing quote; a quote inside of a quoted field is written twice",
        ),
        (
            "series,time,value\na,2020-01-01,1\n,2020-01-02,1\n",
            "test.csv, line 3: the name of the series is missing",
        ),
        (
            "time,T1\n2020-01-01,1\n2020-01-02,\u{0}1\u{1b}[31m\n",
            "test.csv, line 3, column 2 (`T1`): `\\0` is no number",
        ),
    ] {
        let found = message(text);
        let expected = expected.strip_suffix("`\\0` is no number").unwrap_or(expected);
        assert!(found.starts_with(expected), "{found}");
        assert!(!found.contains(char::is_control), "{found:?}");
    }
    assert!(message("time,T1\n2020-01-01,\u{0}1\u{1b}[31m\n").contains("`\\01\\u{1b}[31m`"));
}

#[test]
fn long_texts_are_cut() {
    let error = message(format!("time,T1\n2020-01-01,1\n2020-01-02,{}\n", "x".repeat(1 << 20)));
    assert!(error.len() < 300 && error.contains("xxx…`"), "{error}");
}

#[test]
fn nothing_follows_an_error() {
    let input = Input::bytes("test.csv", "time,a\n2020-01-01,x1\n2020-01-02,1\n2020-01-03,2\n");
    let mut reader = CsvReader::open(input, options(|_| ())).unwrap();
    assert!(reader.next_batch().is_err());
    assert!(reader.next_batch().unwrap().is_none());
    assert_eq!(reader.report().rows, 0);
}

#[test]
fn rows_may_be_skipped() {
    let mut text = "time,a,b\n".to_owned();
    for row in 0..100 {
        let value = if row % 2 == 0 { "1" } else { "one" };
        text.push_str(&format!("{},5,{value}\n", 1_577_836_800 + row));
    }
    text.push_str("1577840000,1\n1577840001,1.5,\"2\"2\nnever,1,1\n1577840002,1,1\n");
    let table = read_with(text, options(|o| o.on_error = OnError::Skip)).unwrap();
    let report = table.reader.report();
    assert_eq!((report.rows, report.skipped, report.errors.len()), (51, 53, Report::MOST_ERRORS));
    assert_eq!(report.errors[0].line, 3);
    assert_eq!(report.errors[0].text, "one");
    assert!(matches!(report.errors[19].problem, RowProblem::Number(_)));
    // Nothing of a skipped row is left: no value of the column before the wrong one, and no fraction.
    assert_eq!(table.wide()[0].len(), 51);
    assert_eq!(table.reader.columns()[0].seen.fractions, 0);
    assert_eq!(table.lines().last(), Some(&105));

    let text = "time,a\n2020-01-01,1\n2020-01-02,\"\n";
    assert!(refused(text, options(|o| o.on_error = OnError::Skip)).contains("never closed"));
}

#[test]
fn a_skipped_row_opens_no_series() {
    let text = "series,time,value\na,2020-01-01,1\nb,2020-01-01,x1\nc,2020-01-01,2\n";
    let table = read_with(text, options(|o| o.on_error = OnError::Skip)).unwrap();
    assert_eq!(table.names(), ["a", "c"]);
}

#[test]
fn other_encodings_are_refused() {
    assert_eq!(message(b"\xFF\xFEt\0i\0".to_vec()), "test.csv is text in UTF-16; save it as UTF-8");
    assert!(message(b"PK\x03\x04zip".to_vec()).contains("save the sheet as CSV"));
}

#[test]
fn what_is_cut_off_is_an_error() {
    let text: String =
        (0..20_000).map(|row| format!("{},{}\n", 1_577_836_800 + row, row * 7919 % 1000)).collect();
    let whole = zstd::encode_all(format!("time,a\n{text}").as_bytes(), 3).unwrap();
    let error = read_with(&whole[..whole.len() - 10], options(|_| ())).map(|_| ()).unwrap_err();
    assert!(matches!(error, SourceError::Read { .. }), "{error}");
    assert!(!error.is_invalid_input());
    assert_eq!(read(whole).reader.report().rows, 20_000);
}

/// 64 GiB of zeros in 6 MiB of zstd would be one endless line.
#[test]
fn a_bomb_is_refused_in_bounded_memory() {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    io::copy(&mut io::repeat(b'0').take(256 << 20), &mut encoder).unwrap();
    let bomb = encoder.finish().unwrap();
    assert!(bomb.len() < 1 << 20);
    let error = message([zstd::encode_all(&b"time,a\n2020-01-01,1\n"[..], 1).unwrap(), bomb].concat());
    assert!(error.starts_with("test.csv, line 3: the line is longer than 16 MiB: `000"), "{error}");
}

/// A stream that fails at once.
struct Failing;

impl Read for Failing {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("the cable was pulled"))
    }
}

#[test]
fn a_stream_that_fails_is_an_error() {
    let text = io::Cursor::new("2020-01-01,1\n".repeat(100_000)).chain(Failing);
    let mut reader = CsvReader::open(Input::reader("body", text), options(|_| ())).unwrap();
    let error = loop {
        match reader.next_batch() {
            Ok(Some(_)) => {}
            Ok(None) => panic!("all was well"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.to_string(), "can't read body beyond line 100000");
}

#[test]
fn columns_that_are_not_there() {
    let error = refused("time,a\n2020-01-01,1\n", options(|o| o.time_column = Some("when".into())));
    assert_eq!(
        error,
        "test.csv: there is no column `when` for option `time_column`; the columns are 1 (`time`), 2 (`a`)"
    );
    let error = refused("time,a\n2020-01-01,1\n", options(|o| o.value_columns = vec![ColumnRef::Number(3)]));
    assert!(error.contains("there is no column 3 for option `value_columns`"), "{error}");
    let error = refused("time,a\n2020-01-01,1\n", options(|o| o.value_columns = vec!["time".into()]));
    assert!(error.contains("can't be both the column of `time_column` and of `value_columns`"), "{error}");
}

#[test]
fn names_of_series_have_a_limit() {
    let text = format!("series,time,value\na,2020-01-01,1\n{},2020-01-01,1\n", "x".repeat(2000));
    assert!(message(text).contains("is too long for the name of a series"));
}

#[test]
fn zero_bytes_are_text_like_any_other() {
    let table = read("time,a\u{0}b\n2020-01-01,1\n");
    assert_eq!(table.names(), ["a\u{0}b"]);
    assert_eq!(table.wide(), [ints(&[1])]);
}
