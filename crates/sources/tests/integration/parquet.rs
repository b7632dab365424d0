//! Parquet files of other writers, and of ours.

use std::io::Read;
use std::sync::Arc;

use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DoubleType, FixedLenByteArray, FixedLenByteArrayType, Int32Type,
    Int64Type,
};
use parquet::file::metadata::{
    FileMetaData, ParquetMetaData, ParquetMetaDataReader, ParquetMetaDataWriter, RowGroupMetaData,
};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use proptest::prelude::*;
use sheaf_model::Tick;
use sheaf_sources::{
    Batch, ColumnRef, ColumnValues, CsvOptions, Input, Layout, OnError, ParquetOptions, ParquetReader, Place,
    Rows, SourceError, Summary, Table, TableFormat, TableOptions, TimeFormat, open_table,
};

/// Everything that a reader gives.
pub(crate) struct Whole {
    pub(crate) names: Vec<String>,
    pub(crate) units: Vec<Option<String>>,
    pub(crate) summary: Summary,
    pub(crate) batches: Vec<Batch>,
}

pub(crate) fn read_all(mut reader: Box<dyn Table>) -> Result<Whole, SourceError> {
    let mut batches = Vec::new();
    while let Some(batch) = reader.next_batch()? {
        assert_eq!(batch.starts.len(), batch.lines.len());
        assert!(!batch.is_empty());
        batches.push(batch);
    }
    assert!(reader.next_batch()?.is_none());
    let columns = reader.columns();
    Ok(Whole {
        names: columns.iter().map(|column| column.name.clone()).collect(),
        units: columns.iter().map(|column| column.unit.clone()).collect(),
        summary: reader.summary(),
        batches,
    })
}

fn fixture(name: &str) -> std::path::PathBuf {
    std::path::Path::new("tests/data/parquet").join(name)
}

fn read_with(bytes: Vec<u8>, options: ParquetOptions) -> Result<Whole, SourceError> {
    read_all(Box::new(ParquetReader::open(Input::bytes("test.parquet", bytes), options)?))
}

fn read_fixture(name: &str, options: ParquetOptions) -> Result<Whole, SourceError> {
    read_all(Box::new(ParquetReader::open(Input::file(fixture(name)), options)?))
}

fn refused(bytes: Vec<u8>, options: ParquetOptions) -> String {
    match read_with(bytes, options) {
        Ok(read) => panic!("{} rows were read: {}", read.summary.rows, read.summary.detected),
        Err(error) => error.to_string(),
    }
}

impl Whole {
    fn starts(&self) -> Vec<i64> {
        self.batches.iter().flat_map(|batch| batch.starts.iter().copied()).collect()
    }

    fn times(&self) -> Vec<String> {
        self.starts().into_iter().map(|start| Tick::new(start).unwrap().to_string()).collect()
    }

    /// All values of a column of a wide table.
    fn column(&self, name: &str) -> Vec<f64> {
        let index = self.names.iter().position(|known| known == name).unwrap();
        let mut all = Vec::new();
        for batch in &self.batches {
            let Rows::Wide(columns) = &batch.rows else { panic!("a long table") };
            all.extend((0..columns[index].len()).map(|row| columns[index].get(row).unwrap()));
        }
        all
    }

    fn are_ints(&self, name: &str) -> bool {
        let index = self.names.iter().position(|known| known == name).unwrap();
        self.batches.iter().all(|batch| {
            matches!(&batch.rows, Rows::Wide(columns) if matches!(columns[index], ColumnValues::Ints { .. }))
        })
    }

    /// Series, time and value of each row of a long table.
    fn long(&self) -> Vec<(&str, String, f64)> {
        let mut all = Vec::new();
        for batch in &self.batches {
            let Rows::Long { series, values } = &batch.rows else { panic!("a wide table") };
            for (row, &series) in series.iter().enumerate() {
                let time = Tick::new(batch.starts[row]).unwrap().to_string();
                all.push((self.names[series as usize].as_str(), time, values.get(row).unwrap()));
            }
        }
        all
    }
}

/// `count` starts every 10 minutes from 2020-01-01T00:00Z on, or from a few minutes later.
fn ten_minutes(count: usize, later_minutes: i64) -> Vec<i64> {
    let begin = "2020-01-01T00:00:00Z".parse::<Tick>().unwrap().ticks();
    (0..count as i64).map(|row| begin + (10 * row + later_minutes) * 60 * Tick::PER_SECOND).collect()
}

fn ramp(count: usize) -> Vec<f64> {
    (0..count).map(|row| row as f64 / 4.0).collect()
}

fn counts(count: usize) -> Vec<f64> {
    (0..count).map(|row| row as f64).collect()
}

/// The same numbers, one of them missing.
fn without(mut values: Vec<f64>, row: usize) -> Vec<f64> {
    values[row] = f64::NAN;
    values
}

#[track_caller]
fn assert_values(found: &[f64], expected: &[f64]) {
    let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    let canonical =
        |values: &[f64]| values.iter().map(|v| if v.is_nan() { f64::NAN } else { *v }).collect::<Vec<_>>();
    assert_eq!(bits(&canonical(found)), bits(&canonical(expected)), "{found:?} {expected:?}");
}

#[test]
fn data_frames_of_pandas() {
    let read = read_fixture("pandas_unnamed_index.parquet", ParquetOptions::default()).unwrap();
    assert_eq!(read.starts(), ten_minutes(20, 0));
    assert_eq!(read.names, ["T1", "n", "on"]);
    assert_eq!(read.units[0].as_deref(), Some("°C"));
    assert_values(&read.column("T1"), &ramp(20));
    assert_values(&read.column("n"), &without(counts(20), 3));
    assert!(read.are_ints("n") && read.are_ints("on") && !read.are_ints("T1"));
    assert_values(&read.column("on")[..3], &[1.0, 0.0, 1.0]);
    assert_eq!(
        read.summary.detected,
        "wide table in Parquet, times in column 5 (`__index_level_0__`) as timestamps in µs (UTC), not read: column 4 \
         (`note`) (text), time zone UTC, 1 row group"
    );

    // The index is preferred to other times. It has no zone.
    let read = read_fixture("pandas_named_index.parquet", ParquetOptions::default()).unwrap();
    assert_eq!(read.starts(), ten_minutes(20, 0));
    assert_eq!((read.names[0].as_str(), read.units[0].as_deref()), ("v", Some("m/s")));
    assert_values(&read.column("v"), &without(ramp(20), 5));
    let berlin = ParquetOptions { time_zone: Some("Europe/Berlin".to_owned()), ..ParquetOptions::default() };
    let read = read_fixture("pandas_named_index.parquet", berlin.clone()).unwrap();
    assert_eq!(read.starts(), ten_minutes(20, -60));
    // Points in time have no zone.
    let received = ParquetOptions { time_column: Some(ColumnRef::from("received")), ..berlin };
    assert_eq!(read_fixture("pandas_named_index.parquet", received).unwrap().starts(), ten_minutes(20, 0));
}

#[test]
fn data_frames_of_polars() {
    let read = read_fixture("polars_wide.parquet", ParquetOptions::default()).unwrap();
    assert_eq!(read.starts(), ten_minutes(20, 0));
    assert_eq!(read.names, ["state", "cost", "p", "small"]);
    let mut states = counts(20);
    states[7] = u64::MAX as f64;
    assert_values(&read.column("state"), &states);
    assert!(!read.are_ints("state"));
    assert_values(&read.column("cost"), &counts(20).iter().map(|cents| cents / 100.0).collect::<Vec<_>>());
    assert_values(&read.column("p"), &ramp(20));
    assert_values(&read.column("small"), &counts(20).iter().map(|value| value - 10.0).collect::<Vec<_>>());
    assert!(read.are_ints("small"));
    let detected = read.summary.detected;
    assert!(
        detected.contains("not read: column 6 (`history`) (nested columns), column 7 (`place`)"),
        "{detected}"
    );

    let read = read_fixture("polars_long.parquet", ParquetOptions::default()).unwrap();
    assert_eq!(read.names, ["T1", "T2"]);
    assert_eq!(read.units[1].as_deref(), Some("°C"));
    let rows = read.long();
    assert_eq!(rows.len(), 20);
    assert_eq!(rows[3], ("T2", "2020-01-01T00:20:00Z".to_owned(), 0.75));
    assert!(read.batches.len() > 1 && read.summary.detected.starts_with("long table in Parquet"));
}

#[test]
fn tables_of_duckdb() {
    let read = read_fixture("duckdb_wide.parquet", ParquetOptions::default()).unwrap();
    assert_eq!(read.starts(), ten_minutes(20, 0));
    assert_eq!(read.names, ["cost", "p", "small", "n"]);
    assert_values(&read.column("cost"), &ramp(20));
    assert_values(&read.column("p"), &ramp(20));
    assert_values(&read.column("n"), &without(counts(20), 3));
    assert!(read.summary.detected.contains("column 7 (`clock`) (times of day)"), "{}", read.summary.detected);

    let read = read_fixture("duckdb_long.parquet", ParquetOptions::default()).unwrap();
    assert_eq!(read.names, ["meter_0", "meter_1", "meter_2"]);
    let rows = read.long();
    assert_eq!((rows.len(), &rows[20]), (21, &("meter_2", "2020-01-07T00:00:00Z".to_owned(), 5.0)));
}

#[test]
fn old_and_new_ways_to_write_the_same() {
    let read = read_fixture("pyarrow_int96.parquet", ParquetOptions::default()).unwrap();
    assert_eq!(read.starts(), ten_minutes(20, 0));
    assert_eq!(read.names, ["v", "count"]);
    assert_eq!(read.units, [Some("m/s".to_owned()), Some("1".to_owned())]);
    assert_values(&read.column("v"), &ramp(20));
    let read = read_fixture("pyarrow_delta.parquet", ParquetOptions::default()).unwrap();
    assert_eq!(read.long()[3], ("series_1", "2020-01-01T00:03:00Z".to_owned(), 0.75));
    for codec in ["snappy", "gzip", "zstd", "lz4", "none"] {
        let read = read_fixture(&format!("pyarrow_{codec}.parquet"), ParquetOptions::default()).unwrap();
        assert_eq!(read.starts(), ten_minutes(20, 0), "{codec}");
        assert_values(&read.column("v"), &ramp(20));
        let lines: Vec<u64> = read.batches.iter().flat_map(|batch| batch.lines.clone()).collect();
        assert_eq!(lines, (1..=20).collect::<Vec<u64>>());
        assert!(read.summary.detected.contains("(`time`) as unix_s"), "{}", read.summary.detected);
    }
    let error = read_fixture("pyarrow_brotli.parquet", ParquetOptions::default()).map(|_| ()).unwrap_err();
    let error = error.to_string();
    assert!(
        error.contains("pages compressed with brotli can't be read; write the file with zstd"),
        "{error}"
    );
}

/// A page that was changed on disk, where the writer has added checksums.
#[test]
fn a_checksum_finds_what_was_changed() {
    let mut bytes = std::fs::read(fixture("pyarrow_int96.parquet")).unwrap();
    let sound = read_with(bytes.clone(), ParquetOptions::default()).unwrap().starts();
    // Halves count from 0 to 4.75: the bits of 4.5 and 4.75 stand at the end of a dictionary.
    let at = bytes.windows(4).position(|bytes| bytes == [0x80, 0x44, 0xC0, 0x44]).unwrap();
    bytes[at] ^= 1;
    let error = refused(bytes, ParquetOptions::default());
    assert_eq!(sound.len(), 20);
    assert_eq!(
        error,
        "test.parquet, from row 1 on, column 2 (`v`): the file is damaged: a page does not have its checksum"
    );
}

enum Values {
    Ints(Vec<i64>),
    Ints32(Vec<i32>),
    Floats(Vec<f64>),
    Texts(Vec<&'static str>),
    Bools(Vec<bool>),
    Fixed(Vec<Vec<u8>>),
}

/// Columns of a row group, and levels where values may be missing.
type Group = Vec<(Values, Option<Vec<i16>>)>;

/// A file with this schema. For each row group and column the values, and levels where a column is optional.
fn write(schema: &str, groups: &[Group]) -> Vec<u8> {
    let schema = Arc::new(parse_message_type(&format!("message m {{ {schema} }}")).unwrap());
    let properties =
        WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default())).build();
    let mut bytes = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut bytes, schema, Arc::new(properties)).unwrap();
    for group in groups {
        let mut group_writer = writer.next_row_group().unwrap();
        for (values, levels) in group {
            let mut column = group_writer.next_column().unwrap().unwrap();
            let levels = levels.as_deref();
            match values {
                Values::Ints(values) => {
                    column.typed::<Int64Type>().write_batch(values, levels, None).unwrap()
                }
                Values::Ints32(values) => {
                    column.typed::<Int32Type>().write_batch(values, levels, None).unwrap()
                }
                Values::Floats(values) => {
                    column.typed::<DoubleType>().write_batch(values, levels, None).unwrap()
                }
                Values::Bools(values) => {
                    column.typed::<BoolType>().write_batch(values, levels, None).unwrap()
                }
                Values::Texts(texts) => {
                    let texts: Vec<ByteArray> = texts.iter().map(|text| ByteArray::from(*text)).collect();
                    column.typed::<ByteArrayType>().write_batch(&texts, levels, None).unwrap()
                }
                Values::Fixed(values) => {
                    let values: Vec<FixedLenByteArray> =
                        values.iter().map(|bytes| ByteArray::from(bytes.clone()).into()).collect();
                    column.typed::<FixedLenByteArrayType>().write_batch(&values, levels, None).unwrap()
                }
            };
            column.close().unwrap();
        }
        group_writer.close().unwrap();
    }
    writer.close().unwrap();
    bytes
}

const WIDE: &str = "required int64 time (TIMESTAMP(MILLIS, true)); optional double v;";

/// 2020-01-01T00:00Z and then every second, in milliseconds.
fn millis(rows: usize) -> Values {
    Values::Ints((0..rows as i64).map(|row| 1_577_836_800_000 + 1000 * row).collect())
}

fn small_file() -> Vec<u8> {
    let group = |begin: usize| {
        let levels: Vec<i16> = (0..50).map(|row| i16::from(row % 7 != 0)).collect();
        let values = (0..50).filter(|row| row % 7 != 0).map(|row| (begin + row) as f64 / 8.0).collect();
        let times = (0..50).map(|row| 1_577_836_800_000 + 1000 * (begin + row) as i64).collect();
        vec![(Values::Ints(times), None), (Values::Floats(values), Some(levels))]
    };
    write(WIDE, &[group(0), group(50)])
}

#[test]
fn nulls_and_row_groups() {
    let read = read_with(small_file(), ParquetOptions::default()).unwrap();
    let values = read.column("v");
    assert_eq!((values.len(), read.summary.rows, read.batches.len()), (100, 100, 2));
    assert!(values[0].is_nan() && values[7].is_nan() && values[50].is_nan());
    assert_eq!((values[1], values[98]), (0.125, 98.0 / 8.0));
    assert_eq!(read.times()[99], "2020-01-01T00:01:39Z");
}

#[test]
fn times_of_all_kinds() {
    let read = |schema: &str, values: Values, options: ParquetOptions| {
        let rows = 2;
        let file = write(
            &format!("required {schema}; required double v;"),
            &[vec![(values, None), (Values::Floats(vec![0.5; rows]), None)]],
        );
        read_with(file, options).map(|read| read.times()[1].clone()).map_err(|error| error.to_string())
    };
    let none = ParquetOptions::default;
    let berlin = || ParquetOptions { time_zone: Some("Europe/Berlin".to_owned()), ..none() };
    let as_format =
        |format: &str| ParquetOptions { time_format: format.parse::<TimeFormat>().unwrap(), ..none() };
    let second = 1_577_836_800_i64;
    let two = |value: i64| Values::Ints(vec![value, value + 1]);
    assert_eq!(
        read("int64 t (TIMESTAMP(MILLIS, true))", two(second * 1000), none()).unwrap(),
        "2020-01-01T00:00:00.0010000Z"
    );
    assert_eq!(
        read("int64 t (TIMESTAMP(MICROS, true))", two(second * 1_000_000), none()).unwrap(),
        "2020-01-01T00:00:00.0000010Z"
    );
    let nanos = Values::Ints(vec![0, second * 1_000_000_000 + 100]);
    assert_eq!(
        read("int64 t (TIMESTAMP(NANOS, false))", nanos, berlin()).unwrap(),
        "2019-12-31T23:00:00.0000001Z"
    );
    assert_eq!(
        read("int64 t (TIMESTAMP_MILLIS)", two(second * 1000), berlin()).unwrap(),
        "2020-01-01T00:00:00.0010000Z"
    );
    assert_eq!(
        read("int32 t (DATE)", Values::Ints32(vec![0, 18_262]), none()).unwrap(),
        "2020-01-01T00:00:00Z"
    );
    assert_eq!(
        read("int32 t (DATE)", Values::Ints32(vec![0, 18_262]), berlin()).unwrap(),
        "2019-12-31T23:00:00Z"
    );
    for unit in [1, 1000, 1_000_000, 1_000_000_000] {
        let values = Values::Ints(vec![second * unit, (second + 1) * unit]);
        assert_eq!(read("int64 t", values, none()).unwrap(), "2020-01-01T00:00:01Z");
    }
    let texts = Values::Texts(vec!["2020-01-01", "2020-01-01T01:00:00+01:00"]);
    assert_eq!(read("binary whenever (STRING)", texts, none()).unwrap(), "2020-01-01T00:00:00Z");
    let texts = Values::Texts(vec!["31.12.2019", "01.01.2020"]);
    assert_eq!(read("binary t (UTF8)", texts, as_format("%d.%m.%Y")).unwrap(), "2020-01-01T00:00:00Z");
    let days = Values::Ints32(vec![20_191_231, 20_200_101]);
    assert_eq!(read("int32 date", days, as_format("%Y%m%d")).unwrap(), "2020-01-01T00:00:00Z");
    let index = ParquetOptions {
        begin: Some("2020-01-01T00:00Z".parse().unwrap()),
        period: Some("10_min".parse().unwrap()),
        ..none()
    };
    assert_eq!(read("int64 index", Values::Ints(vec![0, 6]), index).unwrap(), "2020-01-01T01:00:00Z");

    let error = |schema: &str, values: Values| read(schema, values, none()).unwrap_err();
    let fine = error("int64 t (TIMESTAMP(NANOS, true))", two(second * 1_000_000_000));
    assert_eq!(
        fine,
        "test.parquet, row 2, column 1 (`t`): `1577836800000000001` is not a multiple of 100 ns, the finest time there is"
    );
    assert!(
        error("int64 t (TIMESTAMP(MILLIS, true))", two(i64::MAX - 1))
            .contains("is not in the years 1 to 9999")
    );
    assert!(
        error("int64 time", two(5))
            .contains("column 1 (`time`) has numbers such as `5`, which could be times in")
    );
    let floats = Values::Floats(vec![second as f64; 2]);
    assert!(error("double time", floats).starts_with(
        "test.parquet: column 1 (`time`) holds floats, which can't be times: those are timestamps, dates, integers"
    ));
    assert!(error("int64 x", two(5)).contains("no column holds times that can be recognized"));
    let clocks = Values::Ints(vec![0, 1]);
    assert!(error("int64 t (TIME(MICROS, true))", clocks).contains("no column holds times"));
}

#[test]
fn clocks_that_are_set_back_are_told_by_the_order_of_rows() {
    // 02:30 twice in Berlin, on 2020-10-25.
    let wall = 1_603_593_000_000;
    let file = write(
        "required int64 t (TIMESTAMP(MILLIS, false)); required double v;",
        &[vec![(Values::Ints(vec![wall, wall]), None), (Values::Floats(vec![1.0, 2.0]), None)]],
    );
    let berlin = ParquetOptions { time_zone: Some("Europe/Berlin".to_owned()), ..ParquetOptions::default() };
    let read = read_with(file, berlin).unwrap();
    assert_eq!(read.times(), ["2020-10-25T00:30:00Z", "2020-10-25T01:30:00Z"]);
    assert_eq!(read.summary.folds, 2);
}

#[test]
fn values_of_all_kinds() {
    let fixed = |value: i128| value.to_be_bytes()[8..].to_vec();
    let schema = "required int64 time (TIMESTAMP(MILLIS, true)); required int32 a (DECIMAL(9, 2)); required int64 b \
                  (DECIMAL(18, 0)); required fixed_len_byte_array(8) c (DECIMAL(18, 3)); required int32 d \
                  (INTEGER(16, false)); required boolean e; optional int64 f (INTEGER(64, false)); required \
                  fixed_len_byte_array(2) g (FLOAT16); required binary h (JSON);";
    let file = write(
        schema,
        &[vec![
            (millis(2), None),
            (Values::Ints32(vec![-150, 1]), None),
            (Values::Ints(vec![7, -8]), None),
            (Values::Fixed(vec![fixed(-1500), fixed(1)]), None),
            (Values::Ints32(vec![65535, 0]), None),
            (Values::Bools(vec![true, false]), None),
            (Values::Ints(vec![-1]), Some(vec![0, 1])),
            (Values::Fixed(vec![vec![0, 0x3C], vec![0, 0xC0]]), None),
            (Values::Texts(vec!["{}", "{}"]), None),
        ]],
    );
    let read = read_with(file, ParquetOptions::default()).unwrap();
    assert_eq!(read.names, ["a", "b", "c", "d", "e", "f", "g"]);
    assert_values(&read.column("a"), &[-1.5, 0.01]);
    assert_values(&read.column("b"), &[7.0, -8.0]);
    assert_values(&read.column("c"), &[-1.5, 0.001]);
    assert_values(&read.column("d"), &[65535.0, 0.0]);
    assert_values(&read.column("e"), &[1.0, 0.0]);
    assert_values(&read.column("f"), &[f64::NAN, u64::MAX as f64]);
    assert_values(&read.column("g"), &[1.0, -2.0]);
    assert!(read.are_ints("b") && read.are_ints("d") && read.are_ints("e") && !read.are_ints("f"));
}

#[test]
fn columns_are_chosen_by_options() {
    let file = || {
        write(
            "required int64 begin (TIMESTAMP(MILLIS, true)); required int64 arrived (TIMESTAMP(MILLIS, true)); \
             required binary who (STRING); required int64 id; required double a; required double b;",
            &[vec![
                (millis(2), None),
                (Values::Ints(vec![0, 0]), None),
                (Values::Texts(vec!["x", "y"]), None),
                (Values::Ints(vec![7, 8]), None),
                (Values::Floats(vec![1.0, -999.0]), None),
                (Values::Floats(vec![3.0, 4.0]), None),
            ]],
        )
    };
    let read = read_with(file(), ParquetOptions::default()).unwrap();
    // `begin` is a usual name of times, `arrived` is not.
    assert_eq!(
        (read.names.join(" "), read.times()[1].as_str()),
        ("id a b".to_owned(), "2020-01-01T00:00:01Z")
    );
    let options = ParquetOptions {
        time_column: Some(ColumnRef::Number(2)),
        series_column: Some(ColumnRef::from("id")),
        value_columns: vec![ColumnRef::from("a")],
        missing: Some(vec!["-999".to_owned(), "none".to_owned()]),
        ..ParquetOptions::default()
    };
    let read = read_with(file(), options).unwrap();
    assert_eq!(read.long()[0], ("7", "1970-01-01T00:00:00Z".to_owned(), 1.0));
    assert!(read.long()[1].2.is_nan());
    let long = ParquetOptions { layout: Some(Layout::Long), ..ParquetOptions::default() };
    assert!(refused(file(), long.clone()).contains("a long table needs a column of values; name it with"));
    let long = ParquetOptions { ignored_columns: vec![ColumnRef::from("b"), ColumnRef::from("id")], ..long };
    assert_eq!(read_with(file(), long).unwrap().names, ["x", "y"]);
    let none = ParquetOptions { value_columns: vec![ColumnRef::from("who")], ..ParquetOptions::default() };
    assert!(refused(file(), none).ends_with("column 3 (`who`) holds text, which can't be values"));
    let none = ParquetOptions { time_column: Some(ColumnRef::from("c")), ..ParquetOptions::default() };
    let error = refused(file(), none);
    assert!(
        error.contains("there is no column `c` for option `time_column`; the columns are `begin`, `arrived`"),
        "{error}"
    );
}

#[test]
fn wrong_rows_are_refused_or_skipped_and_counted() {
    let file = || {
        write(
            "optional int64 time (TIMESTAMP(NANOS, true)); optional binary name (STRING); required double value;",
            &[vec![
                (Values::Ints(vec![0, 50, 100, 200]), Some(vec![1, 0, 1, 1, 1])),
                (
                    Values::Texts(vec!["a", "b", "a", ""]),
                    Some(vec![1, 1, 1, 1, 1][..4].iter().copied().chain([0]).collect()),
                ),
                (Values::Floats(vec![1.0, 2.0, 3.0, 4.0, 5.0]), None),
            ]],
        )
    };
    let error = refused(file(), ParquetOptions::default());
    assert_eq!(error, "test.parquet, row 2, column 1 (`time`): the time is missing");
    let skip = ParquetOptions { on_error: OnError::Skip, ..ParquetOptions::default() };
    let read = read_with(file(), skip).unwrap();
    assert_eq!(read.long(), [("a", "1970-01-01T00:00:00Z".to_owned(), 1.0)]);
    assert_eq!((read.summary.rows, read.summary.skipped), (1, 4));
    assert_eq!(
        read.summary.errors[1],
        "test.parquet, row 3, column 1 (`time`): `50` is not a multiple of 100 ns, the finest time there is"
    );
    assert_eq!(
        read.summary.errors[3],
        "test.parquet, row 5, column 2 (`name`): the name of the series is missing"
    );
}

/// Two that no float tells apart.
#[test]
fn large_numbers_are_names_like_others() {
    let file = write(
        "required int64 time (INTEGER(64, false)); required int64 meter_id (INTEGER(64, false)); required double value;",
        &[vec![
            (Values::Ints(vec![1_577_836_800, -1]), None),
            (Values::Ints(vec![-1, -2]), None),
            (Values::Floats(vec![1.0, 2.0]), None),
        ]],
    );
    let options = ParquetOptions {
        time_format: TimeFormat::UnixS,
        on_error: OnError::Skip,
        ..ParquetOptions::default()
    };
    let read = read_with(file, options).unwrap();
    assert_eq!(read.long(), [("18446744073709551615", "2020-01-01T00:00:00Z".to_owned(), 1.0)]);
    assert_eq!(
        read.summary.errors,
        ["test.parquet, row 2, column 1 (`time`): `18446744073709551615` is not in the years 1 to 9999"]
    );
}

#[test]
fn files_that_are_none() {
    let options = ParquetOptions::default;
    assert_eq!(refused(Vec::new(), options()), "test.parquet: no Parquet file has only 0 bytes");
    assert_eq!(refused(b"PAR1".to_vec(), options()), "test.parquet: no Parquet file has only 4 bytes");
    assert_eq!(
        refused(b"PAR1\xFF\xFF\xFF\x7FPAR1".to_vec(), options()),
        "test.parquet: the footer should have 2147483647 bytes, but there are only 0 before it ends"
    );
    assert!(refused(b"PAR1\0\0\0\0PAR1".to_vec(), options()).contains("the footer can't be read"));
    assert!(refused(b"time;v\n2020-01-01;1\n".to_vec(), options()).contains("it does not begin with `PAR1`"));
    assert!(refused(small_file()[..500].to_vec(), options()).contains("it does not end with `PAR1`"));
    let no_rows = write(WIDE, &[]);
    let read = read_with(no_rows, options()).unwrap();
    assert_eq!((read.names.join(""), read.summary.rows), ("v".to_owned(), 0));
    let no_columns = write("", &[]);
    assert!(refused(no_columns, options()).ends_with("The columns are none"));
    let twice =
        write("required int64 time (TIMESTAMP(MILLIS, true)); required double v; required double v;", &[]);
    assert!(refused(twice, options()).contains("columns 2 and 3 are both called `v`; leave one out"));
    let no_values = write("required int64 time (TIMESTAMP(MILLIS, true));", &[]);
    assert!(refused(no_values, options()).ends_with("there is no column with values"));
    let missing = ParquetReader::open(Input::file("/there/is/no/such.parquet"), options()).unwrap_err();
    assert_eq!(missing.to_string(), "can't open /there/is/no/such.parquet");
}

/// Whatever the bytes: an error, or values, soon and without a panic.
fn survives(bytes: Vec<u8>) -> Option<String> {
    let started = std::time::Instant::now();
    let result = read_with(bytes, ParquetOptions::default());
    assert!(started.elapsed().as_secs() < 10);
    result.err().map(|error| error.to_string())
}

#[test]
fn a_file_that_is_cut_off_is_an_error() {
    let whole = small_file();
    for len in 0..whole.len() {
        assert!(survives(whole[..len].to_vec()).is_some(), "{len}");
    }
}

#[test]
fn flipped_bytes_do_no_harm() {
    let mut files = vec![small_file()];
    let names = [
        "pandas_unnamed_index",
        "polars_wide",
        "polars_long",
        "duckdb_wide",
        "duckdb_long",
        "pyarrow_delta",
        "pyarrow_int96",
        "pyarrow_snappy",
        "pyarrow_lz4",
        "pyarrow_gzip",
    ];
    files.extend(names.map(|name| std::fs::read(fixture(&format!("{name}.parquet"))).unwrap()));
    let mut errors = 0;
    for (at, file) in files.iter().enumerate() {
        for byte in (at % 7..file.len()).step_by(7) {
            for flip in [0x01, 0x80] {
                let mut bytes = file.clone();
                bytes[byte] ^= flip;
                errors += usize::from(survives(bytes).is_some());
            }
        }
    }
    assert!(errors > 500, "{errors}");
}

/// The same file with other numbers in its footer.
fn with_footer(bytes: &[u8], change: impl Fn(RowGroupMetaData) -> RowGroupMetaData) -> Vec<u8> {
    let footer = u32::from_le_bytes(bytes[bytes.len() - 8..bytes.len() - 4].try_into().unwrap()) as usize;
    let begin = bytes.len() - 8 - footer;
    let metadata = ParquetMetaDataReader::decode_metadata(&bytes[begin..begin + footer]).unwrap();
    let file = metadata.file_metadata();
    let schema = file.schema_descr_ptr();
    let file = FileMetaData::new(file.version(), 0, None, None, schema, None);
    // How many rows are in the file is what all row groups have.
    let groups = metadata.row_groups().iter().cloned().map(change).collect();
    let mut whole = bytes[..begin].to_vec();
    let changed = ParquetMetaData::new(file, groups);
    ParquetMetaDataWriter::new(&mut whole, &changed).finish().unwrap();
    whole
}

#[test]
fn a_footer_that_claims_too_much() {
    let file = small_file();
    let options = ParquetOptions::default;
    assert_eq!(read_with(with_footer(&file, |group| group), options()).unwrap().summary.rows, 100);
    let many = i64::MAX / 4;
    let more = |group: RowGroupMetaData| group.into_builder().set_num_rows(many).build().unwrap();
    let error = refused(with_footer(&file, more), options());
    assert_eq!(
        error,
        "test.parquet, from row 1 on, column 1 (`time`): the file is damaged: the column ends before its row group does"
    );
    let negative = |group: RowGroupMetaData| group.into_builder().set_num_rows(-1).build().unwrap();
    assert!(refused(with_footer(&file, negative), options()).contains("it says to have -2 rows"));
    let fewer = |group: RowGroupMetaData| group.into_builder().set_num_rows(49).build().unwrap();
    assert!(refused(with_footer(&file, fewer), options()).contains("goes on after its row group has ended"));
    let far = |group: RowGroupMetaData| {
        let columns = group.columns().iter().cloned().map(|column| {
            column
                .into_builder()
                .set_data_page_offset(i64::MAX - 10)
                .set_total_compressed_size(1 << 40)
                .build()
                .unwrap()
        });
        let columns = columns.collect();
        group.into_builder().set_column_metadata(columns).build().unwrap()
    };
    let error = refused(with_footer(&file, far), options());
    assert!(error.contains("(`time`): the file is damaged: 1099511627776 bytes from"), "{error}");
}

#[test]
fn a_stream_is_read_like_a_file() {
    let bytes = small_file();
    let whole = read_with(bytes.clone(), ParquetOptions::default()).unwrap();
    let stream = Input::reader("body", std::io::Cursor::new(bytes.clone()).chain(std::io::empty()));
    let streamed = read_all(open_table(stream, &TableOptions::default()).unwrap()).unwrap();
    assert_eq!(streamed.starts(), whole.starts());
    assert_values(&streamed.column("v"), &whole.column("v"));
}

#[test]
fn tables_are_opened_by_what_they_are() {
    let open = |name: &str, bytes: &[u8], options: &TableOptions| {
        open_table(Input::bytes(name, bytes), options)
            .map(|table| table.place())
            .map_err(|error| error.to_string())
    };
    let auto = TableOptions::default();
    let text = b"time;v\n2020-01-01;1\n";
    assert_eq!(open("a.dat", &small_file(), &auto), Ok(Place::Row));
    assert_eq!(open("a.dat", text, &auto), Ok(Place::Line));
    assert!(open("a.parquet", text, &auto).unwrap_err().contains("it does not begin with `PAR1`"));
    let csv = TableOptions { format: Some(TableFormat::Csv), ..TableOptions::default() };
    assert!(open("a.dat", &small_file(), &csv).unwrap_err().contains("is a Parquet file"));
    let zone = CsvOptions { time_zone: Some("Mars/Base".to_owned()), ..CsvOptions::default() };
    let zone = TableOptions { csv: zone, ..TableOptions::default() };
    assert!(open("a.dat", &small_file(), &zone).unwrap_err().contains("unknown time zone `Mars/Base`"));
    assert_eq!("parquet".parse(), Ok(TableFormat::Parquet));
    assert_eq!(
        "xlsx".parse::<TableFormat>().unwrap_err().to_string(),
        "unknown kind of table `xlsx`; allowed: csv, parquet, json_lines, arrow_stream"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// What was written is read, whatever the gaps and the sizes of row groups.
    #[test]
    fn values_round_trip(
        rows in prop::collection::vec((any::<i32>(), prop::option::of(any::<i64>()), prop::option::of(any::<f64>())), 1..300),
        group in 1_usize..120,
    ) {
        let schema = "required int64 time (TIMESTAMP(MICROS, true)); optional int64 n; optional double v;";
        let groups: Vec<_> = rows.chunks(group).map(|rows| {
            let levels = |valid: Vec<bool>| Some(valid.into_iter().map(i16::from).collect());
            vec![
                (Values::Ints(rows.iter().map(|row| i64::from(row.0) * 1_000_000).collect()), None),
                (Values::Ints(rows.iter().filter_map(|row| row.1).collect()), levels(rows.iter().map(|row| row.1.is_some()).collect())),
                (Values::Floats(rows.iter().filter_map(|row| row.2).collect()), levels(rows.iter().map(|row| row.2.is_some()).collect())),
            ]
        }).collect();
        let read = read_with(write(schema, &groups), ParquetOptions::default()).unwrap();
        let starts: Vec<i64> =
            rows.iter().map(|row| Tick::UNIX_EPOCH.ticks() + i64::from(row.0) * Tick::PER_SECOND).collect();
        prop_assert_eq!(read.starts(), starts);
        let ints: Vec<f64> = rows.iter().map(|row| row.1.map_or(f64::NAN, |value| value as f64)).collect();
        assert_values(&read.column("n"), &ints);
        assert_values(&read.column("v"), &rows.iter().map(|row| row.2.unwrap_or(f64::NAN)).collect::<Vec<_>>());
    }
}
