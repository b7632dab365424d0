//! Fuzz targets: what must hold for any bytes whatever.
//!
//! Each target takes bytes and panics where a promise is broken; that they are refused is no such thing. The tests of this
//! crate run all of them on random and on damaged input: a few hundred cases as a part of all tests, and as many as one
//! likes with
//!
//! ```sh
//! PROPTEST_CASES=1000000 cargo test --release -p sheaf-fuzz
//! ```
//!
//! A coverage-guided fuzzer needs no more than `fuzz_target!(|bytes: &[u8]| sheaf_fuzz::csv(bytes))`.

use std::fmt::Display;
use std::str::FromStr;

use sheaf_kernels::{Family, Gate, Level, StateVec, Statistic};
use sheaf_model::{CatalogId, ResourcePath, SamplePeriod, SeriesKey, Tick};
use sheaf_sources::{ColumnValues, Input, Rows, TableFormat, TableOptions, open_table};
use sheaf_store::testing::decode_alp;

/// Paths and their parts: what is read is written so that it is read as the same again.
pub fn resource_path(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    comes_back::<ResourcePath>(&text);
    comes_back::<CatalogId>(&text);
    comes_back::<SeriesKey>(&text);
    comes_back::<SamplePeriod>(&text);
    comes_back::<Tick>(&text);
}

fn comes_back<T: FromStr<Err: Display> + Display + PartialEq>(text: &str) {
    match text.parse::<T>() {
        Ok(read) => {
            let written = read.to_string();
            let again = written.parse::<T>();
            assert!(again.is_ok_and(|again| again == read), "{text:?} is written as {written:?}");
        }
        Err(error) => assert!(!error.to_string().is_empty(), "{text:?} is refused without a reason"),
    }
}

/// Tables of text: every batch has as many values as times, and no more rows come than the input has bytes.
pub fn csv(bytes: &[u8]) {
    table(bytes, TableFormat::Csv);
}

/// Parquet files, as [`csv`].
pub fn parquet(bytes: &[u8]) {
    table(bytes, TableFormat::Parquet);
}

/// JSON lines, as [`csv`].
pub fn json_lines(bytes: &[u8]) {
    table(bytes, TableFormat::JsonLines);
}

/// Streams of Arrow, as [`csv`].
pub fn arrow(bytes: &[u8]) {
    table(bytes, TableFormat::ArrowStream);
}

fn table(bytes: &[u8], format: TableFormat) {
    let options = TableOptions { format: Some(format), ..TableOptions::default() };
    let Ok(mut table) = open_table(Input::bytes("fuzz", bytes), &options) else { return };
    // A row of text has a byte at least; a page of Parquet may repeat one value as often as a page may.
    let is_text = matches!(format, TableFormat::Csv | TableFormat::JsonLines);
    let most_rows = if is_text { bytes.len() } else { 1 << 24 };
    let mut rows = 0;
    while let Ok(Some(batch)) = table.next_batch() {
        let values = match &batch.rows {
            Rows::Wide(columns) => columns.iter().map(ColumnValues::len).collect(),
            Rows::Long { series, values } => vec![series.len(), values.len()],
            _ => Vec::new(),
        };
        assert!(values.iter().all(|&len| len == batch.len()) && batch.lines.len() == batch.len());
        rows += batch.len();
        assert!(rows <= most_rows, "{rows} rows of {} bytes", bytes.len());
    }
}

/// States of rollups: what is decoded is encoded as the same bytes again, and has a value for each state.
pub fn states(bytes: &[u8]) {
    for family in Family::ALL {
        let Ok(states) = StateVec::decode(family, bytes) else { continue };
        assert_eq!(states.encode(), bytes, "{family} states");
        let Ok(gate) = Gate::new(100, 0.5) else { continue };
        for statistic in Statistic::ALL.into_iter().filter(|statistic| family.answers(*statistic)) {
            let values = states.finish(statistic, gate);
            assert!(values.is_ok_and(|values| values.len() == states.len()), "{statistic} of {family}");
        }
    }
}

/// Pages of ALP: all levels give the same bits, and a part of a page is that part of the whole.
pub fn alp(bytes: &[u8]) {
    // The number of values is written in the header; without a plausible one there is nothing to decode.
    let Some(&[a, b, ..]) = bytes.get(3..) else { return };
    let len = usize::from(u16::from_le_bytes([a, b]));
    let whole = decode_alp(bytes, len, Level::BASELINE, 0..len);
    for level in Level::available() {
        assert_eq!(whole.is_ok(), decode_alp(bytes, len, level, 0..len).is_ok(), "at {}", level.name());
        let part = len / 3..len - len / 5;
        if let (Ok(whole), Ok(found)) = (&whole, decode_alp(bytes, len, level, part.clone())) {
            let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&whole[part]), bits(&found), "at {}", level.name());
        }
    }
}
