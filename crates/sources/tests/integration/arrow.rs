//! Arrow streams and files, as other programs write them, and as nobody should.

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Float32Array, Float64Array,
    Int16Array, Int64Array, LargeStringArray, ListArray, NullArray, RecordBatch, StringArray,
    StringViewArray, TimestampMicrosecondArray, TimestampMillisecondArray, TimestampNanosecondArray,
    TimestampSecondArray, UInt64Array,
};
use arrow_ipc::CompressionType;
use arrow_ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};
use arrow_schema::{DataType, Field, Schema};
use proptest::prelude::*;
use sheaf_model::Tick;
use sheaf_sources::{
    ArrowReader, Batch, ColumnValues, CsvOptions, Input, OnError, ParquetOptions, Rows, SourceError, Table,
    TableFormat, TableOptions, open_table,
};

/// 2020-01-01 in seconds.
const BEGIN: i64 = 1_577_836_800;

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)))
        .unwrap()
}

fn stream(batches: &[RecordBatch]) -> Vec<u8> {
    let mut writer = StreamWriter::try_new(Vec::new(), &batches[0].schema()).unwrap();
    batches.iter().for_each(|batch| writer.write(batch).unwrap());
    writer.into_inner().unwrap()
}

const CODECS: [CompressionType; 2] = [CompressionType::LZ4_FRAME, CompressionType::ZSTD];

/// A stream whose buffers are compressed.
fn packed(batches: &[RecordBatch], codec: CompressionType) -> Vec<u8> {
    let options = IpcWriteOptions::default().try_with_compression(Some(codec)).unwrap();
    let mut writer = StreamWriter::try_new_with_options(Vec::new(), &batches[0].schema(), options).unwrap();
    batches.iter().for_each(|batch| writer.write(batch).unwrap());
    writer.into_inner().unwrap()
}

struct Whole {
    reader: ArrowReader,
    batches: Vec<Batch>,
}

impl Whole {
    fn times(&self) -> Vec<String> {
        let starts = self.batches.iter().flat_map(|batch| &batch.starts);
        starts.map(|&start| Tick::new(start).unwrap().to_string()).collect()
    }

    fn wide(&self) -> &[ColumnValues] {
        match self.batches.as_slice() {
            [Batch { rows: Rows::Wide(columns), .. }] => columns,
            batches => panic!("{} batches", batches.len()),
        }
    }

    fn names(&self) -> Vec<&str> {
        self.reader.columns().iter().map(|column| column.name.as_str()).collect()
    }
}

fn read_with(bytes: impl Into<Vec<u8>>, options: ParquetOptions) -> Result<Whole, SourceError> {
    let mut reader = ArrowReader::open(Input::bytes("test.arrows", bytes), options)?;
    let mut batches = Vec::new();
    while let Some(batch) = reader.next_batch()? {
        assert_eq!(batch.starts.len(), batch.lines.len());
        batches.push(batch);
    }
    assert_eq!(reader.next_batch()?, None);
    Ok(Whole { reader, batches })
}

fn read(batches: &[RecordBatch]) -> Whole {
    read_with(stream(batches), ParquetOptions::default()).unwrap()
}

fn refused(bytes: impl Into<Vec<u8>>) -> String {
    match read_with(bytes, ParquetOptions::default()) {
        Ok(whole) => panic!("{} batches were read", whole.batches.len()),
        Err(error) => error.to_string(),
    }
}

fn seconds(starts: &[i64]) -> ArrayRef {
    Arc::new(TimestampSecondArray::from(starts.to_vec()).with_timezone("UTC"))
}

fn ints(values: &[i64]) -> ColumnValues {
    ColumnValues::Ints { values: values.to_vec(), validity: None }
}

#[test]
fn a_wide_stream_of_several_batches() {
    let one = batch(vec![
        ("time", seconds(&[BEGIN, BEGIN + 1])),
        ("T1 (°C)", Arc::new(Float64Array::from(vec![Some(1.5), None]))),
        ("n", Arc::new(Int16Array::from(vec![1, 2]))),
        ("note", Arc::new(StringArray::from(vec!["a", "b"]))),
    ]);
    let whole = read(&[one.clone(), one.slice(0, 0), one]);
    assert_eq!(whole.names(), ["T1", "n"]);
    assert_eq!(whole.reader.columns()[0].unit.as_deref(), Some("°C"));
    assert_eq!(whole.batches.len(), 2);
    assert_eq!(whole.batches[1].lines, [3, 4]);
    let Rows::Wide(columns) = &whole.batches[0].rows else { panic!("a long table") };
    assert!(columns[0].get(1).unwrap().is_nan());
    assert_eq!(columns[1], ints(&[1, 2]));
    let summary = whole.reader.summary();
    assert_eq!(summary.rows, 4);
    assert_eq!(
        summary.detected,
        "wide table in Arrow, times in column 1 (`time`) as timestamps in s (UTC), not read: column 4 (`note`) (text), time \
         zone UTC"
    );
}

#[test]
fn times_of_all_units_and_zones() {
    let value: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let first = |time: ArrayRef| read(&[batch(vec![("t", time), ("v", value.clone())])]).times()[0].clone();
    assert_eq!(first(seconds(&[BEGIN])), "2020-01-01T00:00:00Z");
    let zoned = TimestampMillisecondArray::from(vec![BEGIN * 1000 + 5]).with_timezone("Europe/Berlin");
    assert_eq!(first(Arc::new(zoned)), "2020-01-01T00:00:00.0050000Z");
    let micros = TimestampMicrosecondArray::from(vec![BEGIN * 1_000_000 + 5]);
    assert_eq!(first(Arc::new(micros.clone())), "2020-01-01T00:00:00.0000050Z");
    let nanos = TimestampNanosecondArray::from(vec![BEGIN * 1_000_000_000 + 500]);
    assert_eq!(first(Arc::new(nanos)), "2020-01-01T00:00:00.0000005Z");
    assert_eq!(first(Arc::new(Date32Array::from(vec![18_262]))), "2020-01-01T00:00:00Z");
    // Without a zone it is what a clock shows, here or there.
    let there = ParquetOptions { time_zone: Some("Europe/Berlin".to_owned()), ..ParquetOptions::default() };
    let bytes = stream(&[batch(vec![("t", Arc::new(micros)), ("v", value.clone())])]);
    assert_eq!(read_with(bytes, there.clone()).unwrap().times(), ["2019-12-31T23:00:00.0000050Z"]);
    let bytes = stream(&[batch(vec![("t", seconds(&[BEGIN])), ("v", value.clone())])]);
    assert_eq!(read_with(bytes, there).unwrap().times(), ["2020-01-01T00:00:00Z"]);
    // Texts, and integers that count.
    let texts = StringViewArray::from(vec!["2020-01-01T01:00:00+01:00"]);
    assert_eq!(first(Arc::new(texts)), "2020-01-01T00:00:00Z");
    let counts =
        read(&[batch(vec![("time", Arc::new(Int64Array::from(vec![BEGIN]))), ("v", value.clone())])]);
    assert_eq!(counts.times(), ["2020-01-01T00:00:00Z"]);
    let fine = TimestampNanosecondArray::from(vec![1]).with_timezone("UTC");
    let error = refused(stream(&[batch(vec![("t", Arc::new(fine)), ("v", value.clone())])]));
    assert!(error.contains("test.arrows, row 1, column 1 (`t`): `1` is not a multiple of 100 ns"), "{error}");
    let late = TimestampSecondArray::from(vec![i64::MAX]).with_timezone("UTC");
    let error = refused(stream(&[batch(vec![("t", Arc::new(late)), ("v", value)])]));
    assert!(error.contains("is not in the years 1 to 9999"), "{error}");
}

#[test]
fn values_of_all_kinds() {
    let whole = read(&[batch(vec![
        ("time", seconds(&[BEGIN, BEGIN + 1])),
        ("wide", Arc::new(Int64Array::from(vec![Some(i64::MAX), None]))),
        ("unsigned", Arc::new(UInt64Array::from(vec![1, u64::MAX]))),
        ("single", Arc::new(Float32Array::from(vec![0.5, -0.25]))),
        ("decimal", Arc::new(Decimal128Array::from(vec![125, -1]).with_precision_and_scale(10, 2).unwrap())),
        ("on", Arc::new(BooleanArray::from(vec![true, false]))),
        ("nothing", Arc::new(NullArray::new(2))),
    ])]);
    assert_eq!(whole.names(), ["wide", "unsigned", "single", "decimal", "on"]);
    let columns = whole.wide();
    assert_eq!(columns[0], ColumnValues::Ints { values: vec![i64::MAX, 0], validity: Some(vec![1]) });
    assert_eq!(columns[1], ColumnValues::Floats(vec![1.0, u64::MAX as f64]));
    assert_eq!(columns[2], ColumnValues::Floats(vec![0.5, -0.25]));
    assert_eq!(columns[3], ColumnValues::Floats(vec![1.25, -0.01]));
    assert_eq!(columns[4], ints(&[1, 0]));
}

#[test]
fn long_tables_name_their_series_by_text_or_dictionary() {
    let names = ["T1", "n", "T1", "n"];
    let dictionary: DictionaryArray<Int32Type> = names.into_iter().collect();
    let texts: [ArrayRef; 3] = [
        Arc::new(StringArray::from(names.to_vec())),
        Arc::new(LargeStringArray::from(names.to_vec())),
        Arc::new(dictionary),
    ];
    for text in texts {
        let whole = read(&[batch(vec![
            ("time", seconds(&[BEGIN, BEGIN, BEGIN + 1, BEGIN + 1])),
            ("series", text),
            ("value", Arc::new(Int64Array::from(vec![1, 2, 3, 4]))),
            ("unit", Arc::new(StringArray::from(vec!["°C", "1", "°C", "1"]))),
        ])]);
        assert_eq!(whole.names(), ["T1", "n"]);
        assert_eq!(whole.reader.columns()[0].unit.as_deref(), Some("°C"));
        let [Batch { rows: Rows::Long { series, values }, .. }] = whole.batches.as_slice() else { panic!() };
        assert_eq!((series.as_slice(), values), (&[0, 1, 0, 1][..], &ints(&[1, 2, 3, 4])));
    }
    // A row without a name is wrong, whether its key is missing or stands for nothing.
    let without: DictionaryArray<Int32Type> = [Some("T1"), None].into_iter().collect();
    let bytes = stream(&[batch(vec![
        ("time", seconds(&[BEGIN, BEGIN + 1])),
        ("series", Arc::new(without)),
        ("value", Arc::new(Int64Array::from(vec![1, 2]))),
    ])]);
    let error = refused(bytes.clone());
    assert!(error.contains("row 2, column 2 (`series`): the name of the series is missing"), "{error}");
    let skip = ParquetOptions { on_error: OnError::Skip, ..ParquetOptions::default() };
    let whole = read_with(bytes, skip).unwrap();
    assert_eq!((whole.reader.summary().rows, whole.reader.summary().skipped), (1, 1));
}

#[test]
fn units_are_in_metadata_of_fields() {
    let field = Field::new("T1", DataType::Int64, false)
        .with_metadata(HashMap::from([("unit".to_owned(), "°C".to_owned())]));
    let time = Field::new("time", seconds(&[]).data_type().clone(), false);
    let schema = Arc::new(Schema::new(vec![time, field]));
    let columns: Vec<ArrayRef> = vec![seconds(&[BEGIN]), Arc::new(Int64Array::from(vec![1]))];
    let whole = read(&[RecordBatch::try_new(schema, columns).unwrap()]);
    assert_eq!(whole.reader.columns()[0].unit.as_deref(), Some("°C"));
}

#[test]
fn it_is_recognized_whether_stream_or_file_or_compressed() {
    let rows = batch(vec![("time", seconds(&[BEGIN])), ("v", Arc::new(Int64Array::from(vec![1])))]);
    let mut file = FileWriter::try_new(Vec::new(), &rows.schema()).unwrap();
    file.write(&rows).unwrap();
    let file = file.into_inner().unwrap();
    let stream = stream(&[rows]);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(&stream).unwrap();
    for (name, bytes) in
        [("body", stream.clone()), ("a.feather", file), ("a.arrows.gz", packed.finish().unwrap())]
    {
        let mut table = open_table(Input::bytes(name, bytes), &TableOptions::default()).unwrap();
        assert_eq!(table.next_batch().unwrap().unwrap().len(), 1, "{name}");
        assert_eq!(table.next_batch().unwrap(), None, "{name}");
    }
    // A stream is read once.
    let body = Input::reader("body", std::io::Cursor::new(stream));
    let mut table = open_table(body, &TableOptions::default()).unwrap();
    assert_eq!(table.next_batch().unwrap().unwrap().len(), 1);
}

/// Columns of all layouts: of fixed and of changing width, bits, dictionaries, views, and such that are not read.
fn all_layouts(rows: i64) -> RecordBatch {
    let names: Vec<String> = (0..rows).map(|row| format!("a series with a long name, {}", row % 7)).collect();
    let dictionary: DictionaryArray<Int32Type> = names.iter().map(String::as_str).collect();
    let lists =
        ListArray::from_iter_primitive::<Int32Type, _, _>((0..rows).map(|row| Some([Some(row as i32)])));
    batch(vec![
        ("time", seconds(&(0..rows).map(|row| BEGIN + row).collect::<Vec<_>>())),
        ("text", Arc::new(StringArray::from(names.clone()))),
        ("view", Arc::new(StringViewArray::from_iter_values(&names))),
        ("nothing", Arc::new(NullArray::new(rows as usize))),
        ("list", Arc::new(lists)),
        ("dictionary", Arc::new(dictionary)),
        (
            "on",
            Arc::new(BooleanArray::from_iter((0..rows).map(|row| (row % 5 != 0).then_some(row % 2 == 0)))),
        ),
        ("v", Arc::new(Float64Array::from_iter_values((0..rows).map(|row| row as f64 / 8.0)))),
    ])
}

#[test]
fn buffers_may_be_compressed_in_streams_and_files() {
    let rows = all_layouts(5000);
    let plain = read(&[rows.clone(), rows.slice(0, 3)]);
    for codec in CODECS {
        let stream = packed(&[rows.clone(), rows.slice(0, 3)], codec);
        let options = IpcWriteOptions::default().try_with_compression(Some(codec)).unwrap();
        let mut file = FileWriter::try_new_with_options(Vec::new(), &rows.schema(), options).unwrap();
        file.write(&rows).unwrap();
        file.write(&rows.slice(0, 3)).unwrap();
        for bytes in [stream, file.into_inner().unwrap()] {
            let whole = read_with(bytes, ParquetOptions::default()).unwrap();
            assert_eq!(whole.batches, plain.batches, "{codec:?}");
            assert_eq!(whole.names(), ["on", "v"]);
        }
    }
}

#[test]
fn feather_as_pyarrow_writes_it() {
    let file = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/arrow").join(name);
        read_with(std::fs::read(path).unwrap(), ParquetOptions::default()).unwrap()
    };
    let (lz4, zstd) = (file("pyarrow.feather"), file("pyarrow_zstd.feather"));
    assert_eq!(format!("{:?}", lz4.batches), format!("{:?}", zstd.batches));
    assert_eq!(lz4.names(), ["T1", "n"]);
    assert_eq!(lz4.reader.columns()[0].unit.as_deref(), Some("°C"));
    assert_eq!(lz4.batches.iter().map(Batch::len).collect::<Vec<_>>(), [150, 50]);
    assert_eq!(lz4.times().last().map(String::as_str), Some("2020-01-02T09:10:00Z"));
    let Rows::Wide(columns) = &lz4.batches[0].rows else { panic!("a long table") };
    assert!(columns[0].get(3).unwrap().is_nan());
    assert_eq!((columns[0].get(149), columns[1].get(149)), (Some(37.25), Some(149.0)));
}

#[test]
fn dictionaries_may_be_compressed() {
    let names: Vec<String> = (0..2000).map(|row| format!("series {}", row % 500)).collect();
    let dictionary: DictionaryArray<Int32Type> = names.iter().map(String::as_str).collect();
    let rows = batch(vec![
        ("time", seconds(&(0..2000).map(|row| BEGIN + row).collect::<Vec<_>>())),
        ("series", Arc::new(dictionary)),
        ("value", Arc::new(Int64Array::from_iter_values(0..2000))),
    ]);
    let plain = read(std::slice::from_ref(&rows));
    for codec in CODECS {
        let whole = read_with(packed(std::slice::from_ref(&rows), codec), ParquetOptions::default()).unwrap();
        assert_eq!(whole.batches, plain.batches, "{codec:?}");
    }
}

/// Rows of one batch of the stream that are more than a batch of ours.
#[test]
fn large_batches_are_taken_apart() {
    let rows = 200_000;
    let starts: Vec<i64> = (0..rows).map(|row| BEGIN + row).collect();
    let values = Int64Array::from_iter((0..rows).map(|row| (row % 3 != 0).then_some(row)));
    let whole = read(&[batch(vec![("time", seconds(&starts)), ("v", Arc::new(values))])]);
    assert!(whole.batches.len() > 1);
    let mut row = 0_i64;
    for batch in &whole.batches {
        let Rows::Wide(columns) = &batch.rows else { panic!("a long table") };
        for at in 0..batch.len() {
            assert_eq!(batch.lines[at], row as u64 + 1);
            let value = columns[0].get(at).unwrap();
            assert!(if row % 3 == 0 { value.is_nan() } else { value == row as f64 });
            row += 1;
        }
    }
    assert_eq!(row, rows);
}

fn small() -> Vec<u8> {
    let dictionary: DictionaryArray<Int32Type> = ["T1", "n"].into_iter().collect();
    stream(&[batch(vec![
        ("time", seconds(&[BEGIN, BEGIN + 1])),
        ("series", Arc::new(dictionary)),
        ("value", Arc::new(Float64Array::from(vec![Some(1.0), None]))),
    ])])
}

#[test]
fn what_is_cut_off_is_an_error() {
    let whole = small();
    assert!(read_with(whole.clone(), ParquetOptions::default()).is_ok());
    for len in 0..whole.len() - 8 {
        let error = refused(&whole[..len]);
        assert!(error.starts_with("test.arrows"), "{len}: {error}");
    }
    // The end mark is what says that this was all.
    let error = refused(&whole[..whole.len() - 8]);
    assert!(error.contains("from row 3 on: it ends in the middle, without its end mark"), "{error}");
    assert!(refused("").contains("there is nothing in it"));
    assert!(refused("time,T1\n2020-01-01,1\n").starts_with("test.arrows: "));
}

#[test]
fn absurd_sizes_are_not_believed() {
    let error = refused(b"\xFF\xFF\xFF\xFF\xF0\xFF\xFF\x7F".to_vec());
    assert!(
        error.contains("a message says to be described by 2147483632 bytes, at most 67108864 are read"),
        "{error}"
    );
    let error = refused(b"\xFF\xFF\xFF\xFF\0\0\0\x01abc".to_vec());
    assert!(error.contains("it ends in the middle"), "{error}");
    // Every eight bytes become a large number once: none of them is allocated for.
    let whole = small();
    for at in (0..whole.len() - 8).step_by(4) {
        let mut bytes = whole.clone();
        bytes[at..at + 8].copy_from_slice(&(1_u64 << 62).to_le_bytes());
        let _ = read_with(bytes, ParquetOptions::default());
    }
}

/// Where the buffers of the last column of the one batch of [`all_layouts`] say how large they are.
fn last_prefix(bytes: &[u8], rows: u64) -> usize {
    let prefix = (8 * rows).to_le_bytes();
    (0..bytes.len() - 8).rev().find(|&at| bytes[at..at + 8] == prefix).unwrap()
}

#[test]
fn what_compressed_buffers_say_of_themselves_is_not_believed() {
    for codec in CODECS {
        let whole = packed(&[all_layouts(5000)], codec);
        let prefix = last_prefix(&whole, 5000);
        let with = |said: i64| {
            let mut bytes = whole.clone();
            bytes[prefix..prefix + 8].copy_from_slice(&said.to_le_bytes());
            refused(bytes)
        };
        let place = "test.arrows, from row 1 on: batch 1, column 8 (`v`), buffer 2: ";
        for (said, problem) in [
            (
                i64::MAX,
                "it says to have 9223372036854775807 bytes without compression, and all buffers of a batch have at \
                        most 1073741824 together; write smaller batches",
            ),
            (1 << 30, "it says to have 1073741824 bytes without compression"),
            (-2, "it says to have -2 bytes without compression"),
            (39_999, ""),
            (40_001, "it has not the 40001 bytes without compression that it says to have"),
        ] {
            let error = with(said);
            assert!(error.starts_with(&format!("{place}{problem}")), "{codec:?}: {error}");
        }
        // What is in it is no frame of the codec any more.
        let mut bytes = whole.clone();
        bytes[prefix + 8..prefix + 12].fill(0);
        assert!(refused(bytes).starts_with(&format!("{place}it is no ")));
    }
    // A bomb that LZ4 could not make.
    let whole = packed(&[all_layouts(5000)], CompressionType::LZ4_FRAME);
    let prefix = last_prefix(&whole, 5000);
    let mut bytes = whole.clone();
    bytes[prefix..prefix + 8].copy_from_slice(&(900_i64 << 20).to_le_bytes());
    let error = refused(bytes);
    assert!(error.contains("compressed bytes can't hold the 943718400 that they should"), "{error}");
}

#[test]
fn damage_of_compressed_batches_is_an_error_or_none() {
    for codec in CODECS {
        let whole = packed(&[all_layouts(40)], codec);
        for at in (0..whole.len() - 8).step_by(4) {
            let mut bytes = whole.clone();
            bytes[at..at + 8].copy_from_slice(&(1_u64 << 62).to_le_bytes());
            let _ = read_with(bytes, ParquetOptions::default());
        }
        for len in (0..whole.len() - 8).step_by(3) {
            let error = refused(&whole[..len]);
            assert!(error.starts_with("test.arrows"), "{len}: {error}");
        }
    }
}

proptest! {
    /// What is written is what is read.
    #[test]
    fn values_round_trip(
        rows in prop::collection::vec((0_i64..1_000_000_000_000, any::<Option<f64>>(), any::<Option<i64>>()), 1..200),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
    ) {
        let times = TimestampMicrosecondArray::from_iter_values(rows.iter().map(|(time, ..)| *time)).with_timezone("+02:00");
        let floats = Float64Array::from_iter(rows.iter().map(|(_, float, _)| *float));
        let ints = Int64Array::from_iter(rows.iter().map(|(.., int)| *int));
        let all = batch(vec![("time", Arc::new(times)), ("f", Arc::new(floats)), ("i", Arc::new(ints))]);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.index(rows.len())).collect();
        cuts.extend([0, rows.len()]);
        cuts.sort_unstable();
        let parts: Vec<RecordBatch> = cuts.windows(2).map(|cut| all.slice(cut[0], cut[1] - cut[0])).collect();
        let whole = read_with(stream(&parts), ParquetOptions::default()).unwrap();
        for codec in CODECS {
            let packed = read_with(packed(&parts, codec), ParquetOptions::default()).unwrap();
            // As text, in which NaN is like NaN.
            prop_assert_eq!(format!("{:?}", packed.batches), format!("{:?}", whole.batches));
        }
        let mut at = 0;
        for batch in &whole.batches {
            let Rows::Wide(columns) = &batch.rows else { panic!("a long table") };
            for row in 0..batch.len() {
                let (time, float, int) = rows[at];
                prop_assert_eq!(batch.starts[row], Tick::UNIX_EPOCH.ticks() + time * 10);
                let found = columns[0].get(row).unwrap();
                prop_assert!(float.map_or(found.is_nan(), |float| found.to_bits() == float.to_bits() || (found.is_nan() && float.is_nan())));
                let ColumnValues::Ints { values, validity } = &columns[1] else { panic!("floats") };
                let valid = validity.as_ref().is_none_or(|words| words[row / 64] >> (row % 64) & 1 == 1);
                prop_assert_eq!(valid.then(|| values[row]), int);
                at += 1;
            }
        }
        prop_assert_eq!(at, rows.len());
    }

    /// A damaged stream is refused or read, and nothing else happens.
    #[test]
    fn damage_is_no_panic(
        mut bytes in prop::sample::select(vec![
            small(), packed(&[all_layouts(40)], CODECS[0]), packed(&[all_layouts(40)], CODECS[1]),
        ]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let options = TableOptions { format: Some(TableFormat::ArrowStream), csv: CsvOptions::default() };
        if let Ok(mut table) = open_table(Input::bytes("test", bytes), &options) {
            while let Ok(Some(batch)) = table.next_batch() {
                prop_assert!(batch.len() <= 1 << 16);
            }
        }
    }
}
