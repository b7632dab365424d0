//! Files that are wrong in every way: each gets an error that names file, line, column and text, in bounded memory.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sheaf_sources::{CsvOptions, CsvReader, Input, OnError, SourceError};

use crate::integration::common::{options, read, read_with, refused};

/// Tables with a row that is wrong, and what is said of it.
const ROWS: &[(&str, &str)] = &[
    // Ragged rows.
    ("time,T\n2020-01-01,1\n2020-01-02\n", "line 3: the row has 1 field, the table 2 fields: `2020-01-02`"),
    (
        "time,T\n2020-01-01,1\n2020-01-02,1,2\n",
        "line 3: the row has 3 fields, the table 2 fields: `2020-01-02,1,2`",
    ),
    (
        "time,T\n2020-01-01,1\n2020-01-02,1,,\n",
        "line 3: the row has 4 fields, the table 2 fields: `2020-01-02,1,,`",
    ),
    (
        "time,T\r2020-01-01,1\r\n2020-01-02,1\n2020-01-03\r",
        "line 4: the row has 1 field, the table 2 fields: `2020-01-03`",
    ),
    (
        "time,T\n2020-01-01,1\n2020-01-02,1\n2020-01-03;1\n",
        "line 4: the row has 1 field, the table 2 fields: `2020-01-03;1`",
    ),
    // Quotes.
    (
        "time,T\n2020-01-01,1\n2020-01-02,\"1\n2020-01-03,1\n",
        "line 3: a quote is opened here and never closed: `2020-01-02,\"1`",
    ),
    (
        "time,T\n2020-01-01,1\n\"2020-01-02,1\n",
        "line 3: a quote is opened here and never closed: `\"2020-01-02,1`",
    ),
    (
        "time,T\n2020-01-01,1\n2020-01-02,\"1\"5\n",
        "line 3: text follows a closing quote; a quote inside of a quoted field is written twice: `2020-01-02,\"1\"5`",
    ),
    ("time,T\n2020-01-01,1\n2020-01-02,\"1\n5\"\n", "line 3, column 2 (`T`): `1\\n5` is no number"),
    ("time,T\n2020-01-01,1\n2020-01-02,1\"\n", "line 3, column 2 (`T`): `1\"` is no number"),
    ("time,T\n2020-01-01,1\n2020-01-02,'1'\n", "line 3, column 2 (`T`): `'1'` is no number"),
    // Dates.
    (
        "time,T\n2020-01-01,1\n2020-02-30,1\n",
        "line 3, column 1 (`time`): `2020-02-30` has a date that does not exist",
    ),
    (
        "time,T\n2020-01-01,1\n2019-02-29,1\n",
        "line 3, column 1 (`time`): `2019-02-29` has a date that does not exist",
    ),
    (
        "time,T\n2020-01-01,1\n2020-13-01,1\n",
        "line 3, column 1 (`time`): `2020-13-01` has a date that does not exist",
    ),
    (
        "time,T\n2020-01-01,1\n2020-00-01,1\n",
        "line 3, column 1 (`time`): `2020-00-01` has a date that does not exist",
    ),
    (
        "time,T\n2020-01-01,1\n2020-01-32,1\n",
        "line 3, column 1 (`time`): `2020-01-32` has a date that does not exist",
    ),
    (
        "time,T\n2020-01-01,1\n0000-01-01,1\n",
        "line 3, column 1 (`time`): `0000-01-01` is not in the years 1 to 9999",
    ),
    ("time,T\n2020-01-01,1\n10000-01-01,1\n", "line 3, column 1 (`time`): `10000-01-01` is no time like"),
    ("time,T\n2020-01-01,1\n-001-01-01,1\n", "line 3, column 1 (`time`): `-001-01-01` is no time like"),
    (
        "time,T\n2020-01-01,1\n0001-01-01T00:00+01:00,1\n",
        "line 3, column 1 (`time`): `0001-01-01T00:00+01:00` is not in the years 1 to 9999",
    ),
    (
        "time,T\n2020-01-01,1\n9999-12-31T23:30-01:00,1\n",
        "line 3, column 1 (`time`): `9999-12-31T23:30-01:00` is not in the years 1 to 9999",
    ),
    (
        "time,T\n2020-01-01,1\n01/02/2020,1\n",
        "line 3, column 1 (`time`): `01/02/2020` may have the day first or the month",
    ),
    ("time,T\n2020-01-01,1\n2020-1-2,1\n", "line 3, column 1 (`time`): `2020-1-2` is no time like"),
    ("time,T\n2020-01-01,1\n2020-01/02,1\n", "line 3, column 1 (`time`): `2020-01/02` is no time like"),
    ("time,T\n2020-01-01,1\n43831,1\n", "line 3, column 1 (`time`): `43831` is no time like"),
    ("time,T\n2020-01-01,1\n,1\n", "line 3, column 1 (`time`): the time is missing"),
    ("time,T\n2020-01-01,1\nNaN,1\n", "line 3, column 1 (`time`): the time is missing"),
    ("time,T\n2020-01-01,1\ntotal,1\n", "line 3, column 1 (`time`): `total` is no time like"),
    // Times of day.
    (
        "time,T\n2020-01-01,1\n2020-01-01 24:00,1\n",
        "line 3, column 1 (`time`): `2020-01-01 24:00` has the hour 24; write midnight as 00:00 of the next day",
    ),
    (
        "time,T\n2020-01-01,1\n2020-01-01 24:00:01,1\n",
        "line 3, column 1 (`time`): `2020-01-01 24:00:01` has a time of day that does not exist",
    ),
    (
        "time,T\n2020-01-01,1\n2020-01-01 12:60:00,1\n",
        "line 3, column 1 (`time`): `2020-01-01 12:60:00` has a time of day that does not exist",
    ),
    // The second one is in the minute of the first one, which is at hand.
    (
        "time,T\n2020-01-01 12:34:59,1\n2020-01-01 12:34:60,1\n",
        "line 3, column 1 (`time`): `2020-01-01 12:34:60` is a leap second",
    ),
    (
        "time,T\n2020-01-01 12:34:59,1\n2020-01-01 12:34:61,1\n",
        "line 3, column 1 (`time`): `2020-01-01 12:34:61` has a time of day that does not exist",
    ),
    (
        "time,T\n2020-01-01 12:34:59,1\n2020-01-01 12:34:5x,1\n",
        "line 3, column 1 (`time`): `2020-01-01 12:34:5x` is no time like",
    ),
    (
        "time,T\n2020-01-01,1\n2020-01-01 12:34:56.00000001,1\n",
        "line 3, column 1 (`time`): `2020-01-01 12:34:56.00000001` is not a multiple of 100 ns",
    ),
    (
        "time,T\n2020-01-01,1\n2020-01-01 12:00+25:00,1\n",
        "line 3, column 1 (`time`): `2020-01-01 12:00+25:00` has an offset from UTC",
    ),
    ("time,T\n1577836800,1\n1e30,1\n", "line 2: column 1 (`time`) has numbers such as `1577836800`"),
    (
        "time,T\n1577836800,1\n-99999999999999,1\n",
        "line 2: column 1 (`time`) has numbers such as `1577836800`",
    ),
    (
        "time,T\n1577836800,1\n2020-01-01,1\n",
        "line 3, column 1 (`time`): `2020-01-01` is no number, but the times of this table are seconds since 1970",
    ),
    // Numbers.
    (
        "time,T\n2020-01-01,1\n2020-01-02,1e999\n",
        "line 3, column 2 (`T`): `1e999` is larger than any number that can be stored",
    ),
    (
        "time,T\n2020-01-01,1\n2020-01-02,-1e309\n",
        "line 3, column 2 (`T`): `-1e309` is larger than any number that can be stored",
    ),
    ("time,T\n2020-01-01,1\n2020-01-02,1e\n", "line 3, column 2 (`T`): `1e` is no number"),
    ("time,T\n2020-01-01,1\n2020-01-02,0x1F\n", "line 3, column 2 (`T`): `0x1F` is no number"),
    ("time,T\n2020-01-01,1\n2020-01-02,1 000\n", "line 3, column 2 (`T`): `1 000` is no number"),
    ("time,T\n2020-01-01,1\n2020-01-02,1'000\n", "line 3, column 2 (`T`): `1'000` is no number"),
    ("time,T\n2020-01-01,1\n2020-01-02,1_000\n", "line 3, column 2 (`T`): `1_000` is no number"),
    (
        "time,T\n2020-01-01,1\n2020-01-02,\"1,000\"\n",
        "line 3: `1,000` may have a decimal comma or groups of thousands",
    ),
    ("time,T\n2020-01-01,1\n2020-01-02,\"1,000.5\"\n", "line 3, column 2 (`T`): `1,000.5` is no number"),
    (
        "time;T\n2020-01-01;1.5\n2020-01-02;1,5\n",
        "line 3: is the decimal separator a point or a comma? Both `1.5` and `1,5` are there",
    ),
    ("time,T\n2020-01-01,1\n2020-01-02,--1\n", "line 3, column 2 (`T`): `--1` is no number"),
    ("time,T\n2020-01-01,1\n2020-01-02,5 kW\n", "line 3, column 2 (`T`): `5 kW` is no number"),
    ("time,T\n2020-01-01,1\n2020-01-02,50%\n", "line 3, column 2 (`T`): `50%` is no number"),
    ("time,T\n2020-01-01,1\n2020-01-02,true\n", "line 3, column 2 (`T`): `true` is no number"),
    ("time,T\n2020-01-01,1\n2020-01-02,infinit\n", "line 3, column 2 (`T`): `infinit` is no number"),
    ("time,T\n2020-01-01,1\n2020-01-02,nan(0)\n", "line 3, column 2 (`T`): `nan(0)` is no number"),
    ("time,T\n2020-01-01,1\n2020-01-02,１\n", "line 3, column 2 (`T`): `１` is no number"),
    ("time,T\n2020-01-01,1\n2020-01-02,−1\n", "line 3, column 2 (`T`): `−1` is no number"),
    ("time,T\n2020-01-01,1\n2020-01-02,1\u{a0}\n", "line 3, column 2 (`T`): `1\\u{a0}` is no number"),
    ("time,T\n2020-01-01,1\n2020-01-02,1\u{0}\n", "line 3, column 2 (`T`): `1\\0` is no number"),
    ("time,T\n2020-01-01,1\n2020-01-02,\u{1b}[31m1\n", "line 3, column 2 (`T`): `\\u{1b}[31m1` is no number"),
    // Long tables.
    (
        "series,time,value\na,2020-01-01,1\n,2020-01-02,1\n",
        "line 3: the name of the series is missing: `,2020-01-02,1`",
    ),
    ("series,time,value\na,2020-01-01,1\na,2020-01-02,x\n", "line 3, column 3 (`value`): `x` is no number"),
    ("series,time,value\na,2020-01-01,1\na\n", "line 3: the row has 1 field, the table 3 fields: `a`"),
    // The first of several is told.
    ("time,T\n2020-01-01,1\n2020-01-02,x\n2020-01-03\n\"", "line 3, column 2 (`T`): `x` is no number"),
    ("time,a,b\n2020-01-01,1,2\nx,y,z\n", "line 3, column 1 (`time`): `x` is no time"),
    ("time,a,b\n2020-01-01,1,2\n2020-01-02,y,z\n", "line 3, column 2 (`a`): `y` is no number"),
];

/// Tables that are wrong as a whole.
const TABLES: &[(&[u8], &str)] = &[
    (b"", ": there is no table"),
    (b"\n\r\n  \n", ": there is no table"),
    (b"# only\n# comments", ": there is no table"),
    (b"\xEF\xBB\xBF", ": there is no table"),
    (b"\xEF\xBB\xBF# nothing\n", ": there is no table"),
    (b"time\n2020-01-01\n2020-01-02\n", ", line 1: `,`, `;`, tab and `|` all leave a single column (`time`)"),
    (b"1\n2\n3\n", ", line 1: `,`, `;`, tab and `|` all leave a single column (`1`)"),
    (b"hello world", ", line 1: `,`, `;`, tab and `|` all leave a single column (`hello world`)"),
    (b"a,b\n1,2\n3,4\n", ": no column holds times that can be recognized"),
    (b"a,b\nx,y\n", ": no column holds times that can be recognized"),
    (
        b"time,T\nsoon,1\nlater,2\n",
        ", line 2: column 1 (`time`) has `soon`, which is no time in a known form",
    ),
    (
        b"time,T\n2020-01-01,1\n10000-01-01,1\n",
        ", line 3: column 1 (`time`) has `10000-01-01`, which is no time in a known form",
    ),
    (b"time,T,T\n2020-01-01,1,2\n", ": columns 2 and 3 are both called `T`"),
    (b"time,T,T\n2020-01-01,1,2\n2020-01-02,1,2\n", ": columns 2 and 3 are both called `T`"),
    (b"time,a,a (kW)\n2020-01-01,1,2\n", ""),
    (b"time,,\n2020-01-01,1,2\n", ": columns 2 and 3 are both called ``"),
    (b"time,T\n2020-01-01,good\n", ", line 2: column 2 (`T`) holds text such as `good`"),
    (
        b"time,T\n01/02/2020,1\n",
        ", line 2: column 1 (`time`) has `01/02/2020`: is the day first, or the month?",
    ),
    (
        b"Report\nof things\n\ntime,T\n2020-01-01,1\n2020-01-02,1\n2020-01-03,1\n",
        ", line 1: this line has 1 field, but the table seems to begin in line 4",
    ),
    (b"\"time,T\n2020-01-01,1\n", ", line 1: a quote is opened here and never closed"),
    (b"\"time\"x,T\n2020-01-01,1\n", ", line 1: text follows a closing quote"),
    (b"\"time\"x,T\ntime,T\n2020-01-01,1\n2020-01-02,1\n", ", line 1: text follows a closing quote"),
    // Other encodings and formats.
    (b"\xFF\xFEt\0,\0T\0\n\0", " is text in UTF-16; save it as UTF-8"),
    (b"\xFE\xFF\0t\0,\0T\0\n", " is text in UTF-16; save it as UTF-8"),
    (b"t\0i\0m\0e\0,\0T\0\n\0", " is text in UTF-16; save it as UTF-8"),
    (b"\0t\0i\0m\0e\0,\0T\0\n", " is text in UTF-16; save it as UTF-8"),
    (b"\xFF\xFE\0\0t\0\0\0,\0\0\0", " is text in UTF-32; save it as UTF-8"),
    (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x01\0", " is a PNG image"),
    (b"PAR1\x15\x04\x15\x10", " is a Parquet file"),
    (
        b"PK\x03\x04\x14\0\0\0\x08\0",
        " is a zip archive or a spreadsheet; unpack it, or save the sheet as CSV",
    ),
    (b"%PDF-1.7\n%\xE2\xE3", " is a PDF file"),
    (b"SQLite format 3\0\x10\0", " is an SQLite database"),
    (b"\x7FELF\x02\x01\x01\0\0\0\0\0", " is a program"),
    (b"BZh91AY&SY", " is compressed with bzip2"),
    (b"\xFD7zXZ\0\0\x04", " is compressed with xz"),
    (
        b"\x01\0\0\0\x05\0\0\0\x80\0\0\0,\0\0\0\n\0\0\0",
        " is no text but binary data, with byte 0x01 at offset 0",
    ),
];

fn message(text: impl Into<Vec<u8>>) -> String {
    refused(text, CsvOptions::default())
}

fn check(text: &[u8], error: &str, expected: &str) {
    let text = String::from_utf8_lossy(text);
    assert!(error.starts_with(expected), "{text:?}:\n{error}\n{expected}");
    assert!(!error.contains(char::is_control), "{error:?}");
    assert!(error.len() < 1000, "{error}");
}

#[test]
fn wrong_rows_are_named() {
    for (text, expected) in ROWS {
        // Where one of two is no time, or could be of another kind, times are not recognized at all.
        if ["is no time", "may have the day first"].iter().any(|part| expected.contains(part))
            || text.contains("1577836800")
        {
            continue;
        }
        check(text.as_bytes(), &message(*text), &format!("test.csv, {expected}"));
    }
}

/// The same rows far behind what was looked at to recognize the table: another block, other lines.
#[test]
fn wrong_rows_are_named_far_into_a_file() {
    for (text, expected) in ROWS {
        // Some are recognized as wrong before any row is read.
        if expected.contains("thousands") || expected.contains("Both") || !expected.starts_with("line 3") {
            continue;
        }
        let mut lines = text.split_inclusive('\n');
        let (header, first) = (lines.next().unwrap(), lines.next().unwrap());
        let far = 20_000;
        let wrong = expected.strip_prefix("line 3").unwrap();
        let text = [header, &first.repeat(far), lines.collect::<String>().as_str()].concat();
        let read = |block: usize, ahead: usize| {
            let input = Input::bytes("test.csv", text.as_str());
            let mut reader = CsvReader::open_in_blocks(input, CsvOptions::default(), block, ahead).unwrap();
            loop {
                match reader.next_batch() {
                    Ok(Some(_)) => {}
                    Ok(None) => panic!("{text} was read"),
                    Err(error) => return (error.to_string(), reader.report().rows),
                }
            }
        };
        let (error, rows) = read(50_000, 4);
        check(&text.as_bytes()[text.len() - 40..], &error, &format!("test.csv, line {}{wrong}", far + 2));
        assert_eq!((error, rows), read(usize::MAX / 4, 1));
        assert_eq!(rows, far as u64);
    }
}

#[test]
fn wrong_tables_are_named() {
    for (text, expected) in TABLES.iter().filter(|(_, expected)| !expected.is_empty()) {
        check(text, &message(*text), &format!("test.csv{expected}"));
    }
}

#[test]
fn what_only_looks_wrong_is_read() {
    for text in [
        "time,T\n2020-01-01,1\r2020-01-02,2\r\n2020-01-03,3",
        "time,T,\n2020-01-01,1,\n2020-01-02,2,\n2020-01-03,3,\n",
        "time,T\n2020-01-01,1,\n2020-01-02,2\n2020-01-03,3,\n",
        "\u{FEFF}\"time\",\"T\"\n\"2020-01-01\",\"1\"\n 2020-01-02 , \"2\" \n\n\n2020-01-03,3\n# end",
        "# 5\" pipe\ntime,T 5\" pipe\n2020-01-01,1\n# \"\n2020-01-02,2\n2020-01-03,3",
        "time;T\n2020/01/01;1,0\n2020/01/02;2,\n2020/01/03;+3,0e0\n",
    ] {
        let table = read(text);
        assert_eq!(table.column(0), [1.0, 2.0, 3.0], "{text:?}");
        assert_eq!(table.times()[2], "2020-01-03T00:00:00Z");
    }
    // A unit is part of a title: these are two.
    assert_eq!(read("time,a,a (kW)\n2020-01-01,1,2\n").names(), ["a", "a"]);
    assert_eq!(read("time,T\n").reader.report().rows, 0);
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn rows(count: usize) -> String {
    (0..count).fold("time,a\n".to_owned(), |text, row| text + &format!("{},{row}\n", 1_577_836_800 + row))
}

#[test]
fn damaged_compression_is_an_error() {
    let text = rows(50_000);
    let (gz, zst) = (gzip(text.as_bytes()), zstd::encode_all(text.as_bytes(), 3).unwrap());
    let fails = |bytes: Vec<u8>| match read_with(bytes, CsvOptions::default()) {
        Ok(table) => panic!("{} rows were read", table.reader.report().rows),
        Err(error) => error,
    };
    for whole in [&gz, &zst] {
        assert_eq!(read(whole.clone()).reader.report().rows, 50_000);
        // Cut off anywhere.
        for part in [1, 3, 7] {
            let error = fails(whole[..whole.len() * part / 8].to_vec());
            assert!(matches!(&error, SourceError::Read { input, .. } if input == "test.csv"), "{error}");
        }
        assert!(matches!(fails(whole[..whole.len() - 1].to_vec()), SourceError::Read { .. }));
        // Something else behind it.
        assert!(matches!(fails([whole.as_slice(), b"garbage!"].concat()), SourceError::Read { .. }));
        // Several members, the second one without titles.
        let more = if std::ptr::eq(whole, &gz) {
            gzip(b"2,2\n")
        } else {
            zstd::encode_all(&b"2,2\n"[..], 1).unwrap()
        };
        assert_eq!(read([whole.clone(), more].concat()).reader.report().rows, 50_001);
        // A checksum that is wrong, or rows.
        let mut damaged = whole.clone();
        let middle = damaged.len() / 2;
        damaged[middle] ^= 0x10;
        drop(fails(damaged));
    }
    assert!(fails(gzip(&gz)).to_string().ends_with("is compressed twice; unpack it once"));
    assert!(fails(gzip(&zst)).to_string().ends_with("is compressed twice; unpack it once"));
}

/// What a frame asks for in memory is limited, too.
#[test]
fn large_windows_are_refused() {
    let frame = |window_log: u32| {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(window_log).unwrap();
        encoder.write_all(rows(1000).as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    assert_eq!(read(frame(24)).reader.report().rows, 1000);
    let error = read_with(frame(28), CsvOptions::default()).map(|_| ()).unwrap_err();
    assert!(matches!(error, SourceError::Read { .. }), "{error}");
}

/// A reader that counts what is taken from it.
struct Counted<R> {
    reader: R,
    count: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.count.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// A gigabyte without a line end is refused after a few dozen megabytes, wherever it comes.
#[test]
fn endless_lines_are_not_read() {
    const GIB: u64 = 1 << 30;
    for (begin, byte, expected) in [
        ("", b'x', ", line 1: the line is longer than 16 MiB"),
        ("", b',', ", line 1: the line is longer than 16 MiB"),
        ("#", b'x', ", line 1: the line is longer than 16 MiB"),
        ("time,T\n2020-01-01,1\n", b'0', ", line 3: the line is longer than 16 MiB"),
        (
            "time,T\n2020-01-01,1\n2020-01-02,\"",
            b'\n',
            ", line 3: a quote is opened here and not closed within 16 MiB",
        ),
        ("time,T\n2020-01-01,1\n#", b'x', ", line 3: the line is longer than 16 MiB"),
        ("time,T\n2020-01-01,1\n", b' ', ", line 3: the line is longer than 16 MiB"),
        ("time,T\n2020-01-01,1\n", b'\0', ", line 3: the line is longer than 16 MiB"),
    ] {
        let count = Arc::new(AtomicU64::new(0));
        let endless = io::Cursor::new(begin).chain(io::repeat(byte).take(GIB));
        let input = Input::reader("test.csv", Counted { reader: endless, count: Arc::clone(&count) });
        let skip = options(|o| o.on_error = OnError::Skip);
        let error = CsvReader::open(input, skip).and_then(|mut reader| {
            while reader.next_batch()?.is_some() {}
            Ok(())
        });
        let error = error.unwrap_err().to_string();
        // Zeros are no text at all.
        let expected = if byte == 0 { " is no text but binary data" } else { expected };
        check(begin.as_bytes(), &error, &format!("test.csv{expected}"));
        let read = count.load(Ordering::Relaxed);
        assert!(read < 80 << 20, "{begin:?} {read}");
    }
}

#[test]
fn blank_lines_without_end_are_streamed() {
    let text = io::Cursor::new("time,T\n2020-01-01,1\n").chain(io::repeat(b'\n').take(20 << 20));
    let mut reader = CsvReader::open(Input::reader("test.csv", text), CsvOptions::default()).unwrap();
    let batch = reader.next_batch().unwrap().unwrap();
    assert_eq!(batch.lines, [2]);
    assert!(reader.next_batch().unwrap().is_none());
    assert_eq!(reader.progress(), (20 + (20 << 20), None));
}

#[test]
fn a_hundred_thousand_columns() {
    let columns = 100_000;
    let titles: Vec<String> = (0..columns).map(|column| format!("c{column}")).collect();
    let ones = ",1".repeat(columns);
    let mut text = format!("time,{}\n", titles.join(","));
    (1..=9).for_each(|day| text.push_str(&format!("2020-01-0{day}{ones}\n")));
    let table = read(text.clone());
    assert_eq!((table.names().len(), table.reader.report().rows), (columns, 9));
    assert_eq!(table.column(columns - 1), [1.0; 9]);
    let error = message(text + "2020-01-10" + &ones[2..] + "\n");
    assert!(error.starts_with(
        "test.csv, line 11: the row has 100000 fields, the table 100001 fields: `2020-01-10,1,"
    ));
    assert!(error.len() < 300, "{error}");
}

#[test]
fn a_long_comment_hides_no_table() {
    let comments = "# this is said again and again\n".repeat(10_000);
    let table = read(format!("{comments}time,T\n2020-01-01,1\n2020-01-02,2\n"));
    assert_eq!((table.names(), table.lines()), (vec!["T"], vec![10_002, 10_003]));
}

#[test]
fn series_have_a_limit() {
    let mut text = "series,time,value\n".to_owned();
    (0..=1_000_000).for_each(|series| text.push_str(&format!("{series},2020-01-01,1\n")));
    let skip = options(|o| o.on_error = OnError::Skip);
    let error = refused(text, skip);
    assert!(
        error.starts_with("test.csv, line 1000002, column 1 (`series`): there are more than 1000000 series")
    );
}

#[test]
fn how_much_was_read_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.csv.gz");
    std::fs::write(&path, gzip(rows(10_000).as_bytes())).unwrap();
    let len = std::fs::metadata(&path).unwrap().len();
    // Whoever shows it may do so on another thread than it was opened on.
    let open = || CsvReader::open(Input::file(&path), CsvOptions::default()).unwrap();
    let mut reader = std::thread::scope(|scope| scope.spawn(open).join()).unwrap();
    assert!(reader.progress().0 > 0);
    assert_eq!(reader.progress().1, Some(len));
    while reader.next_batch().unwrap().is_some() {}
    assert_eq!(reader.progress(), (len, Some(len)));
}
