//! Whole files: written, read, measured, damaged.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parquet::basic::{Compression, Repetition, Type as Physical, ZstdLevel};
use parquet::data_type::{DoubleType, FloatType, Int32Type, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::Type;
use proptest::prelude::*;
use sheaf_model::{DataType, Values};

use super::*;
use crate::disk::{Change, Disk, DiskFile, DiskWriter, FileEntry, LocalDisk};
use crate::rows::{Rows, Starts, set_bit};

/// A small generator, so that a case says all there is to say by its seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// In [0, 1).
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }
}

const STEP: i64 = 100_000;

fn grid(values: Values) -> Rows {
    let starts = Starts::Grid { first_ticks: 638_000_000_000_000_000, step_ticks: STEP };
    Rows { starts, values, validity: None, estimated: None }
}

fn round3(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

fn sine3(len: usize, seed: u64) -> Vec<f64> {
    let mut random = Random(seed);
    let mut walk = 0.0;
    (0..len)
        .map(|index| {
            walk += random.unit() - 0.5;
            round3(20.0 + 10.0 * (index as f64 / 5000.0).sin() + 0.01 * walk + 0.3 * (random.unit() - 0.5))
        })
        .collect()
}

fn write_one(disk: &dyn Disk, name: &str, rows: &Rows, codec: Codec) -> SegmentFacts {
    let has_estimated = rows.estimated().is_some();
    let mut writer = SegmentWriter::new(disk, name, rows.values().data_type(), has_estimated, codec).unwrap();
    writer.push(7, Numbering::TICKS, rows, 0..rows.len()).unwrap();
    writer.finish().unwrap()
}

fn disk() -> (tempfile::TempDir, LocalDisk) {
    let folder = tempfile::tempdir().unwrap();
    let disk = LocalDisk::new(folder.path()).unwrap();
    (folder, disk)
}

/// A row as it should come back: start, bits of the value (`None` where it is missing) and whether it was estimated.
type Row = (i64, Option<u64>, bool);

fn rows_of(rows: &Rows) -> Vec<Row> {
    let bits = |index: usize| match rows.values() {
        Values::F32(values) => u64::from(values[index].to_bits()),
        Values::F64(values) => values[index].to_bits(),
        Values::I8(values) => values[index] as u64,
        Values::I16(values) => values[index] as u64,
        Values::I32(values) => values[index] as u64,
        Values::I64(values) => values[index] as u64,
        Values::U8(values) => u64::from(values[index]),
        Values::U16(values) => u64::from(values[index]),
        Values::U32(values) => u64::from(values[index]),
        Values::U64(values) => values[index],
    };
    (0..rows.len())
        .map(|index| {
            (rows.start_ticks(index), rows.is_valid(index).then(|| bits(index)), rows.is_estimated(index))
        })
        .collect()
}

fn values_of(data_type: DataType, len: usize, pattern: u64, random: &mut Random) -> Values {
    let special =
        [0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 5e-324, f64::MAX, f64::MIN_POSITIVE / 2.0];
    let mut walk = 1000_i64;
    let mut float = || match pattern {
        0 => f64::from_bits(random.next()),
        1 => round3(random.unit() * 100.0),
        2 => special[random.next() as usize % special.len()],
        3 => 21.5,
        _ => (random.next() % 5) as f64,
    };
    let floats: Vec<f64> = (0..len).map(|_| float()).collect();
    let mut integer = || match pattern {
        0 => random.next(),
        1 => {
            walk += random.next() as i64 % 5;
            walk as u64
        }
        2 => {
            [0, u64::MAX, i64::MAX as u64, i64::MIN as u64, 1 << 31, 0x7fff_ffff][random.next() as usize % 6]
        }
        3 => 42,
        _ => random.next() % 5,
    };
    let integers: Vec<u64> = (0..len).map(|_| integer()).collect();
    match data_type {
        DataType::Uint8 => Values::U8(integers.iter().map(|bits| *bits as u8).collect()),
        DataType::Int8 => Values::I8(integers.iter().map(|bits| *bits as i8).collect()),
        DataType::Uint16 => Values::U16(integers.iter().map(|bits| *bits as u16).collect()),
        DataType::Int16 => Values::I16(integers.iter().map(|bits| *bits as i16).collect()),
        DataType::Uint32 => Values::U32(integers.iter().map(|bits| *bits as u32).collect()),
        DataType::Int32 => Values::I32(integers.iter().map(|bits| *bits as i32).collect()),
        DataType::Uint64 => Values::U64(integers),
        DataType::Int64 => Values::I64(integers.iter().map(|bits| *bits as i64).collect()),
        // A pattern of bits of its own: a signalling NaN or a subnormal does not survive a conversion.
        DataType::Float32 if pattern == 0 => {
            Values::F32(integers.iter().map(|bits| f32::from_bits(*bits as u32)).collect())
        }
        DataType::Float32 => Values::F32(floats.iter().map(|value| *value as f32).collect()),
        DataType::Float64 => Values::F64(floats),
    }
}

fn random_bits(len: usize, per_cent: u64, random: &mut Random) -> Vec<u64> {
    let mut words = vec![0; len.div_ceil(64)];
    (0..len).filter(|_| random.next() % 100 < per_cent).for_each(|index| set_bit(&mut words, index));
    words
}

fn random_rows(data_type: DataType, len: usize, random: &mut Random) -> Rows {
    let pattern = random.next() % 5;
    let values = values_of(data_type, len, pattern, random);
    let starts = if random.next().is_multiple_of(2) {
        let step_ticks = 1 + (random.next() >> 40) as i64;
        Starts::Grid { first_ticks: random.next() as i64 >> 8, step_ticks }
    } else {
        let mut at = random.next() as i64 >> 8;
        Starts::Listed(
            (0..len)
                .map(|_| {
                    at += (random.next() >> 50) as i64;
                    at
                })
                .collect(),
        )
    };
    let valid = [None, Some(0), Some(50), Some(95), Some(100)][random.next() as usize % 5];
    let estimated = [None, Some(0), Some(3)][random.next() as usize % 3];
    let validity = valid.map(|valid| random_bits(len, valid, random));
    let estimated = estimated.map(|estimated| random_bits(len, estimated, random));
    Rows { starts, values, validity, estimated }
}

/// Writes rows of several series in several pushes, and reads all of them and many ranges.
fn round_trip(
    data_type: DataType,
    codec: Codec,
    seed: u64,
    group_rows: usize,
    pushes: usize,
    longest: usize,
) {
    let (_folder, disk) = disk();
    let mut random = Random(seed);
    let writer = SegmentWriter::new(&disk, "a.parquet", data_type, true, codec).unwrap();
    let mut writer = writer.with_group_rows(group_rows);
    let mut keys = Vec::new();
    let mut expected = Vec::new();
    for push in 0..pushes {
        let len = random.next() as usize % longest;
        let rows = random_rows(data_type, len, &mut random);
        let from = if len == 0 { 0 } else { random.next() as usize % len };
        let series = [3, i64::MAX, i64::MIN, push as i64][push % 4];
        assert_eq!(writer.rows(), expected.len() as u64);
        writer.push(series, Numbering::TICKS, &rows, from..len).unwrap();
        expected.extend_from_slice(&rows_of(&rows)[from..]);
        keys.resize(expected.len(), series);
    }
    let facts = writer.finish().unwrap();
    assert_eq!((facts.rows, facts.data_type, facts.has_estimated), (expected.len() as u64, data_type, true));
    let reader = SegmentReader::open(&disk, "a.parquet", &facts).unwrap();
    reader.verify().unwrap();
    // What one read leaves in the buffer must not show in the next.
    let mut buffer = PageBuffer::default();
    let mut check = |range: Range<usize>| {
        let rows = range.start as u64..range.end as u64;
        let read = reader.read(rows.clone(), StartsOf::Column(Numbering::TICKS), &mut buffer).unwrap();
        let expected = &expected[range.clone()];
        assert_eq!(rows_of(&read), expected, "rows {range:?}");
        let missing = expected.iter().any(|row| row.1.is_none());
        assert_eq!(read.validity().is_some(), missing && !data_type.is_float());
        assert_eq!(read.estimated().is_some(), expected.iter().any(|row| row.2));
        for (index, row) in expected.iter().enumerate().filter(|(_, row)| row.1.is_none()) {
            match read.values() {
                Values::F64(values) => assert_eq!(values[index].to_bits(), f64::NAN.to_bits(), "{row:?}"),
                Values::F32(values) => assert_eq!(values[index].to_bits(), f32::NAN.to_bits(), "{row:?}"),
                _ => {}
            }
        }
        let by_grid =
            reader.read(rows.clone(), StartsOf::Grid { first_ticks: 5, step_ticks: 3 }, &mut buffer).unwrap();
        assert_eq!(by_grid.starts(), &Starts::Grid { first_ticks: 5, step_ticks: 3 });
        assert!(
            rows_of(&by_grid).iter().map(|row| (row.1, row.2)).eq(expected.iter().map(|row| (row.1, row.2)))
        );
        let (series, starts) = reader.keys(rows, Numbering::TICKS).unwrap();
        assert_eq!(series, keys[range]);
        assert!(starts.iter().eq(expected.iter().map(|row| &row.0)));
    };
    check(0..expected.len());
    for _ in 0..20 {
        let from = random.next() as usize % (expected.len() + 1);
        let to = from + random.next() as usize % (expected.len() - from + 1);
        check(from..to);
    }
    check(expected.len()..expected.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// All types, missing and estimated rows, starts of both kinds, many series, ranges across row groups.
    #[test]
    fn rows_come_back(
        data_type in proptest::sample::select(DataType::ALL.to_vec()),
        codec in proptest::sample::select(vec![Codec::Alp, Codec::Portable]),
        seed: u64,
        group_rows in 1_usize..3000,
        pushes in 0_usize..12,
    ) {
        // Not more than some hundred row groups.
        round_trip(data_type, codec, seed, group_rows.max(pushes * 10), pushes, 1500);
    }
}

/// More than a page, with pages in a dictionary, and pages without any value.
#[test]
fn pages_come_back() {
    for (data_type, seed) in [(DataType::Float64, 1), (DataType::Int32, 2), (DataType::Uint8, 3)] {
        round_trip(data_type, Codec::Alp, seed, 2 * PAGE_ROWS + 100, 4, 2 * PAGE_ROWS);
    }
    let (_folder, disk) = disk();
    let mut values: Vec<f64> = (0..4 * PAGE_ROWS).map(|index| (index % 3) as f64).collect();
    values[PAGE_ROWS - 5..2 * PAGE_ROWS + 5].fill(f64::NAN);
    let rows = grid(Values::F64(values));
    let facts = write_one(&disk, "a.parquet", &rows, Codec::Alp);
    let reader = SegmentReader::open(&disk, "a.parquet", &facts).unwrap();
    let expected = rows_of(&rows);
    let page = PAGE_ROWS;
    for range in
        [0..4 * page, page - 6..page - 4, page..2 * page, 2 * page..2 * page + 6, 3 * page..3 * page + 1]
    {
        let starts = StartsOf::Grid { first_ticks: rows.start_ticks(range.start), step_ticks: STEP };
        let read =
            reader.read(range.start as u64..range.end as u64, starts, &mut PageBuffer::default()).unwrap();
        assert!(rows_of(&read) == expected[range]);
        assert_eq!(read.validity(), None);
    }
}

/// Few missing values as in most pages, runs of them, every other one, and some where words and pages begin and end; read
/// in ranges that begin and end anywhere.
#[test]
fn missing_values_keep_their_rows() {
    let mut random = Random(17);
    let page = PAGE_ROWS;
    for case in 0..24_usize {
        let len = 2 * page + [0, 1, 63, 64, 65, 777][case % 6];
        let mut validity = random_bits(len, 100, &mut random);
        let mut clear = |rows: Range<usize>| rows.for_each(|row| validity[row / 64] &= !(1 << (row % 64)));
        match case / 6 {
            0 => (0..8).for_each(|_| {
                let row = random.next() as usize % len;
                clear(row..row + 1);
            }),
            1 => (0..3000).for_each(|_| {
                let row = random.next() as usize % len;
                clear(row..len.min(row + random.next() as usize % 70));
            }),
            2 => (0..len).filter(|_| random.next().is_multiple_of(2)).for_each(|row| clear(row..row + 1)),
            _ => {
                clear(0..1);
                clear(63..65);
                clear(page - 65..page + 1);
                clear(len - 1..len);
            }
        }
        let floats = grid(Values::F64(sine3(len, case as u64))).with_validity(validity.clone()).unwrap();
        let shorts = Values::I16((0..len).map(|index| index as i16).collect());
        let shorts = grid(shorts).with_validity(validity).unwrap();
        for rows in [floats, shorts] {
            let (_folder, disk) = disk();
            let facts = write_one(&disk, "a.parquet", &rows, Codec::Alp);
            let reader = SegmentReader::open(&disk, "a.parquet", &facts).unwrap();
            let expected = rows_of(&rows);
            let mut buffer = PageBuffer::default();
            for round in 0..12 {
                let from = [0, page - 1, page, random.next() as usize % len][round % 4];
                let to =
                    [len, from + 1, len.min(from + 64), from + 1 + random.next() as usize % (len - from)];
                let range = from..to[round / 3];
                let starts = StartsOf::Grid { first_ticks: rows.start_ticks(from), step_ticks: STEP };
                let read = reader.read(range.start as u64..range.end as u64, starts, &mut buffer).unwrap();
                assert!(rows_of(&read) == expected[range.clone()], "case {case}, rows {range:?}");
                let missing = expected[range].iter().any(|row| row.1.is_none());
                assert_eq!(read.validity().is_some(), missing && !rows.values().data_type().is_float());
            }
        }
    }
}

/// What any reader of Parquet makes of a file, the one of the crate here: nothing depends on ours.
#[test]
fn other_readers_read_it() {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::RowAccessor;
    let (folder, disk) = disk();
    let rows = grid(Values::U16((0..200_000).map(|index| (index % 60_000) as u16).collect()));
    write_one(&disk, "a.parquet", &rows, Codec::Portable);
    let file = std::fs::File::open(folder.path().join("a.parquet")).unwrap();
    let reader = SerializedFileReader::new(file).unwrap();
    assert_eq!(reader.metadata().file_metadata().num_rows(), 200_000);
    for (index, row) in reader.get_row_iter(None).unwrap().enumerate() {
        let row = row.unwrap();
        assert_eq!(row.get_long(0).unwrap(), 7);
        assert_eq!(row.get_long(1).unwrap(), rows.start_ticks(index));
        assert_eq!(row.get_ushort(2).unwrap(), (index % 60_000) as u16);
    }
}

#[test]
fn no_rows() {
    let (_folder, disk) = disk();
    let writer = SegmentWriter::new(&disk, "a.parquet", DataType::Int8, true, Codec::Alp).unwrap();
    let facts = writer.finish().unwrap();
    assert_eq!(facts.rows, 0);
    let reader = SegmentReader::open(&disk, "a.parquet", &facts).unwrap();
    reader.verify().unwrap();
    let mut buffer = PageBuffer::default();
    let read = reader.read(0..0, StartsOf::Column(Numbering::TICKS), &mut buffer).unwrap();
    assert_eq!((read.len(), read.validity(), read.estimated()), (0, None, None));
    assert_eq!(reader.keys(0..0, Numbering::TICKS).unwrap(), (vec![], vec![]));
    assert!(matches!(
        reader.read(0..1, StartsOf::Column(Numbering::TICKS), &mut buffer),
        Err(SegmentError::NoSuchRows { len: 0, .. })
    ));
}

#[test]
fn regular_series_count_slots() {
    let (_folder, disk) = disk();
    let numbering = Numbering { origin_ticks: 17, step_ticks: STEP };
    let start = |slot: i64| 17 + slot * STEP;
    let listed = Rows {
        starts: Starts::Listed([3, 4, 1_000_000, 6_000_000_000_000].map(start).to_vec()),
        ..grid(Values::F64(vec![1.0, 2.0, 3.0, 4.0]))
    };
    let dense = Rows {
        starts: Starts::Grid { first_ticks: start(7), step_ticks: STEP },
        ..grid(Values::F64(vec![5.0; 3]))
    };
    let mut writer =
        SegmentWriter::new(&disk, "a.parquet", DataType::Float64, false, Codec::Portable).unwrap();
    writer.push(1, numbering, &listed, 0..4).unwrap();
    writer.push(2, numbering, &dense, 0..3).unwrap();
    let facts = writer.finish().unwrap();
    let reader = SegmentReader::open(&disk, "a.parquet", &facts).unwrap();
    assert_eq!(reader.read(0..4, StartsOf::Column(numbering), &mut PageBuffer::default()).unwrap(), listed);
    let (series, starts) = reader.keys(3..6, numbering).unwrap();
    assert_eq!((series, starts), (vec![1, 2, 2], vec![start(6_000_000_000_000), start(7), start(8)]));
    // What is in the file is small; no other period would fit.
    let (_, slots) = reader.keys(0..7, Numbering::TICKS).unwrap();
    assert_eq!(slots, [3, 4, 1_000_000, 6_000_000_000_000, 7, 8, 9]);
    let year = Numbering { origin_ticks: 0, step_ticks: 365 * 864_000_000_000 };
    let message = reader.keys(3..4, year).unwrap_err().to_string();
    assert!(
        message.ends_with("a row in slot 6000000000000, not one that starts before the end of time"),
        "{message}"
    );
}

#[test]
fn what_does_not_fit_is_refused() {
    let (folder, disk) = disk();
    let path = folder.path().join("a.parquet").display().to_string();
    let mut writer = SegmentWriter::new(&disk, "a.parquet", DataType::Int8, false, Codec::Alp).unwrap();
    let message = writer.push(1, Numbering::TICKS, &grid(Values::U8(vec![1])), 0..1).unwrap_err().to_string();
    assert_eq!(message, format!("{path} takes INT8 values, not UINT8"));
    let rows = grid(Values::I8(vec![1; 3])).with_estimated(vec![2]).unwrap();
    let message = writer.push(1, Numbering::TICKS, &rows, 0..3).unwrap_err().to_string();
    assert_eq!(message, format!("{path} has no column `estimated`, but estimated rows were written to it"));
    // None of these is estimated.
    writer.push(1, Numbering::TICKS, &rows, 2..3).unwrap();
    let facts = writer.finish().unwrap();
    let error = SegmentWriter::new(&disk, "a.parquet", DataType::Int8, false, Codec::Alp).err().unwrap();
    assert!(error.to_string().ends_with("a.parquet: can't create"), "{error}");
    let kind = std::error::Error::source(&error)
        .and_then(|source| source.downcast_ref::<io::Error>())
        .unwrap()
        .kind();
    assert_eq!(kind, io::ErrorKind::AlreadyExists);

    let reader = SegmentReader::open(&disk, "a.parquet", &facts).unwrap();
    let message = reader.keys(0..2, Numbering::TICKS).unwrap_err().to_string();
    assert_eq!(message, format!("{path} has 1 rows: there are no rows 0 to 2"));
    let open = |facts: SegmentFacts| SegmentReader::open(&disk, "a.parquet", &facts).unwrap_err().to_string();
    let message = open(SegmentFacts { rows: 2, ..facts.clone() });
    assert_eq!(message, format!("{path} is not what the manifest describes: rows: 1, not 2"));
    let message = open(SegmentFacts { data_type: DataType::Int16, ..facts.clone() });
    assert!(message.contains("is not what the manifest describes: columns: "), "{message}");
    let message = open(SegmentFacts { has_estimated: true, ..facts.clone() });
    assert!(message.ends_with("value INT32, estimated BOOLEAN"), "{message}");
    let message = open(SegmentFacts { block_sums: vec![], ..facts });
    assert!(message.ends_with("blocks with a checksum: 1, not 0"), "{message}");
}

#[test]
fn no_byte_can_change_unnoticed() {
    let (folder, disk) = disk();
    let path = folder.path().join("a.parquet");
    let rows = grid(Values::F64(sine3(500, 3)));
    let facts = write_one(&disk, "a.parquet", &rows, Codec::Alp);
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!(bytes.len() as u64, facts.bytes);
    for index in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[index] ^= 1 << (index % 8);
        std::fs::write(&path, changed).unwrap();
        let error = SegmentReader::open(&disk, "a.parquet", &facts).unwrap_err();
        assert!(matches!(&error, SegmentError::Damaged { block: 0, .. }), "{error}");
        assert!(error.to_string().starts_with(&path.display().to_string()), "{error}");
    }
    for len in [0, 1, 7, 8, 100, bytes.len() - 1, bytes.len() + 1, 2 * bytes.len()] {
        let changed: Vec<u8> = bytes.iter().copied().cycle().take(len).collect();
        std::fs::write(&path, changed).unwrap();
        let message = SegmentReader::open(&disk, "a.parquet", &facts).unwrap_err().to_string();
        let expected =
            format!("{} is damaged: it has {len} bytes, {} were written", path.display(), bytes.len());
        assert_eq!(message, expected);
    }
}

/// Larger files: rows from other blocks still come, those from the damaged one never do.
#[test]
fn damage_stays_in_its_block() {
    let (folder, disk) = disk();
    let path = folder.path().join("a.parquet");
    let mut random = Random(5);
    let rows = grid(Values::F64((0..300_000).map(|_| random.unit()).collect()));
    let facts = write_one(&disk, "a.parquet", &rows, Codec::Alp);
    assert!(facts.block_sums.len() > 20);
    let bytes = std::fs::read(&path).unwrap();
    let expected = rows_of(&rows);
    let (mut right, mut refused) = (0, 0);
    for _ in 0..30 {
        let index = random.next() as usize % bytes.len();
        let mut changed = bytes.clone();
        changed[index] ^= 1 << (random.next() % 8);
        std::fs::write(&path, changed).unwrap();
        let reader = match SegmentReader::open(&disk, "a.parquet", &facts) {
            Ok(reader) => reader,
            Err(error) => {
                assert!(error.to_string().starts_with(&path.display().to_string()), "{error}");
                continue;
            }
        };
        let mut buffer = PageBuffer::default();
        let block = (index / BLOCK_BYTES) as u64;
        let error = reader.verify().unwrap_err();
        assert!(matches!(error, SegmentError::Damaged { block: found, .. } if found == block));
        for from in (0..300_000).step_by(30_000) {
            match reader.read(from..from + 10_000, StartsOf::Column(Numbering::TICKS), &mut buffer) {
                Ok(read) => {
                    assert!(rows_of(&read) == expected[from as usize..from as usize + 10_000]);
                    right += 1;
                }
                Err(error) => {
                    assert!(matches!(error, SegmentError::Damaged { block: found, .. } if found == block));
                    refused += 1;
                }
            }
        }
    }
    assert!(right > 0 && refused > 0);
}

/// Bytes with right checksums that are no Parquet: an error, not a panic.
#[test]
fn what_is_no_parquet_is_an_error() {
    let (folder, disk) = disk();
    let rows = grid(Values::F64(sine3(500, 3)));
    let facts = write_one(&disk, "a.parquet", &rows, Codec::Alp);
    let bytes = std::fs::read(folder.path().join("a.parquet")).unwrap();
    for (number, cut) in [0, 4, 300, bytes.len() / 2, bytes.len() - 9].into_iter().enumerate() {
        let name = format!("{number}.parquet");
        std::fs::write(folder.path().join(&name), &bytes[..cut]).unwrap();
        let block_sums = bytes[..cut].chunks(BLOCK_BYTES).map(xxhash_rust::xxh3::xxh3_64).collect();
        let facts = SegmentFacts { bytes: cut as u64, block_sums, ..facts.clone() };
        let error = SegmentReader::open(&disk, &name, &facts).unwrap_err();
        assert!(matches!(&error, SegmentError::Parquet { .. }), "{error}");
        assert!(error.to_string().contains(&name), "{error}");
    }
}

/// A disk that counts what is read, and fails after so many written bytes.
#[derive(Debug)]
struct TestDisk {
    disk: LocalDisk,
    reads: Arc<AtomicU64>,
    bytes: Arc<AtomicU64>,
    space: u64,
}

#[derive(Debug)]
struct CountedFile(Box<dyn DiskFile>, Arc<AtomicU64>, Arc<AtomicU64>);

struct LimitedWriter(Box<dyn DiskWriter>, u64);

impl Disk for TestDisk {
    fn describe(&self, name: &str) -> String {
        self.disk.describe(name)
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DiskWriter>> {
        Ok(Box::new(LimitedWriter(self.disk.create(name)?, self.space)))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(CountedFile(self.disk.open(name)?, Arc::clone(&self.reads), Arc::clone(&self.bytes))))
    }

    fn list(&self, folder: &str) -> io::Result<Vec<FileEntry>> {
        self.disk.list(folder)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }

    fn sync_folder(&self, folder: &str) -> io::Result<()> {
        self.disk.sync_folder(folder)
    }

    fn update(&self, name: &str, change: &mut Change<'_>) -> io::Result<()> {
        self.disk.update(name, change)
    }
}

impl DiskFile for CountedFile {
    fn bytes(&self) -> io::Result<u64> {
        self.0.bytes()
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.2.fetch_add(buffer.len() as u64, Ordering::Relaxed);
        self.0.read_exact_at(buffer, offset)
    }
}

impl io::Write for LimitedWriter {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        if self.1 == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let written = self.0.write(&buffer[..buffer.len().min(self.1 as usize)])?;
        self.1 -= written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl DiskWriter for LimitedWriter {
    fn sync(&mut self) -> io::Result<()> {
        self.0.sync()
    }
}

fn test_disk(space: u64) -> (tempfile::TempDir, TestDisk) {
    let (folder, disk) = disk();
    (folder, TestDisk { disk, reads: Arc::default(), bytes: Arc::default(), space })
}

#[test]
fn a_narrow_read_touches_few_blocks() {
    let (_folder, disk) = test_disk(u64::MAX);
    let mut random = Random(9);
    let rows = grid(Values::F64((0..1_000_000).map(|_| random.unit()).collect()));
    let facts = write_one(&disk, "a.parquet", &rows, Codec::Alp);
    let reader = SegmentReader::open(&disk, "a.parquet", &facts).unwrap();
    assert!(disk.reads.load(Ordering::Relaxed) <= 4);
    let counted = |range: Range<u64>, starts: StartsOf| {
        disk.reads.store(0, Ordering::Relaxed);
        disk.bytes.store(0, Ordering::Relaxed);
        let read = reader.read(range.clone(), starts, &mut PageBuffer::default()).unwrap();
        assert_eq!(read.len() as u64, range.end - range.start);
        (disk.reads.load(Ordering::Relaxed), disk.bytes.load(Ordering::Relaxed))
    };
    let starts = StartsOf::Grid { first_ticks: 0, step_ticks: STEP };
    assert_eq!(counted(500_000..500_000, starts), (0, 0));
    // A page of random numbers takes seven or eight blocks.
    let (reads, bytes) = counted(500_000..500_001, starts);
    assert!(reads == 1 && bytes <= 10 * BLOCK_BYTES as u64, "{reads} reads of {bytes} bytes");
    // And each is read once, and no other.
    let (reads, bytes) = counted(500_000..600_000, starts);
    assert!(reads <= 3 && bytes <= 26 * BLOCK_BYTES as u64, "{reads} reads of {bytes} bytes");
    let (reads, bytes) = counted(500_000..500_001, StartsOf::Column(Numbering::TICKS));
    assert!(reads == 2 && bytes <= 11 * BLOCK_BYTES as u64, "{reads} reads of {bytes} bytes");
}

#[test]
fn a_full_disk_is_reported() {
    let mut random = Random(9);
    let rows = grid(Values::I64((0..400_000).map(|_| random.next() as i64).collect()));
    for space in [0, 1, 100_000, 2_000_000, 3_199_999] {
        let (_folder, disk) = test_disk(space);
        let writer = SegmentWriter::new(&disk, "a.parquet", DataType::Int64, false, Codec::Alp).unwrap();
        let mut writer = writer.with_group_rows(50_000);
        let error = writer
            .push(1, Numbering::TICKS, &rows, 0..rows.len())
            .and_then(|()| writer.finish().map(drop))
            .unwrap_err();
        assert!(
            matches!(&error, SegmentError::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull)
        );
        assert!(error.to_string().ends_with("a.parquet: can't write"), "{error}");
    }
}

/// Bytes of the file that others would write: zstd, dictionaries where they fit, a start and a value; and of its values
/// alone.
fn zstd_parquet(rows: &Rows) -> (usize, usize) {
    let optional = super::schema(rows.values().data_type(), "start", false).unwrap();
    let value = optional.get_fields()[VALUE].clone();
    let start = Type::primitive_type_builder("start", Physical::INT64).with_repetition(Repetition::OPTIONAL);
    let schema =
        Type::group_type_builder("schema").with_fields(vec![Arc::new(start.build().unwrap()), value]);
    let properties =
        WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default())).build();
    let schema = Arc::new(schema.build().unwrap());
    let mut file = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties)).unwrap();
    let mut value_bytes = 0;
    for from in (0..rows.len()).step_by(1 << 20) {
        let range = from..rows.len().min(from + (1 << 20));
        let mut group = file.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let starts: Vec<i64> = range.clone().map(|row| rows.start_ticks(row)).collect();
        column.typed::<Int64Type>().write_batch(&starts, Some(&vec![1; starts.len()]), None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let levels: Vec<i16> = range.clone().map(|row| i16::from(rows.is_valid(row))).collect();
        let valid = range.clone().filter(|row| rows.is_valid(*row));
        match rows.values() {
            Values::F64(values) => {
                let values: Vec<f64> = valid.map(|row| values[row]).collect();
                column.typed::<DoubleType>().write_batch(&values, Some(&levels), None).unwrap()
            }
            Values::I64(values) => {
                let values: Vec<i64> = valid.map(|row| values[row]).collect();
                column.typed::<Int64Type>().write_batch(&values, Some(&levels), None).unwrap()
            }
            Values::F32(values) => {
                let values: Vec<f32> = valid.map(|row| values[row]).collect();
                column.typed::<FloatType>().write_batch(&values, Some(&levels), None).unwrap()
            }
            other => {
                let values: Vec<i32> = valid.map(|row| other.get(row).unwrap() as i32).collect();
                column.typed::<Int32Type>().write_batch(&values, Some(&levels), None).unwrap()
            }
        };
        column.close().unwrap();
        value_bytes += group.close().unwrap().column(1).compressed_size() as usize;
    }
    (file.into_inner().unwrap().len(), value_bytes)
}

/// Shapes of data, and how much of a zstd Parquet file they may take.
fn shapes(len: usize) -> Vec<(&'static str, f64, Rows)> {
    let mut random = Random(11);
    let mut walk = 0.0;
    let mut steps = 0_i64;
    let mut floats = |make: &mut dyn FnMut(&mut Random, usize) -> f64| {
        grid(Values::F64((0..len).map(|index| make(&mut random, index)).collect()))
    };
    let mut shapes = vec![
        ("3 decimals, sine and noise", 0.5, grid(Values::F64(sine3(len, 4)))),
        (
            "3 decimals, random walk",
            0.5,
            floats(&mut |random, _| {
                walk += random.normal() * 0.1;
                round3(walk)
            }),
        ),
        ("random in 0..1", 1.05, floats(&mut |random, _| random.unit())),
        ("random normal", 1.05, floats(&mut |random, _| random.normal() * 1e3)),
        ("random bits", 1.05, floats(&mut |random, _| f64::from_bits(random.next() >> 2))),
        ("a constant", 1.05, floats(&mut |_, _| 21.123)),
        ("5 distinct floats", 1.05, floats(&mut |random, _| (random.next() % 5) as f64 * 0.1234567)),
        ("3000 distinct floats", 1.05, floats(&mut |random, _| ((random.next() % 3000) as f64).sqrt())),
        ("50 000 distinct floats", 1.05, floats(&mut |random, _| ((random.next() % 50_000) as f64).sqrt())),
        ("steps of 1000", 1.05, floats(&mut |_, index| ((index / 1000) as f64).sin())),
        ("a period of 5000", 1.05, floats(&mut |_, index| ((index % 5000) as f64).sin())),
        (
            "random, 1 of 10",
            1.05,
            floats(&mut |random, _| {
                let value = random.unit();
                if random.next() % 10 == 0 { value } else { f64::NAN }
            }),
        ),
        (
            "3 decimals, 1 of 10",
            1.05,
            floats(&mut |random, _| {
                let value = round3(random.unit() * 50.0);
                if random.next() % 10 == 0 { value } else { f64::NAN }
            }),
        ),
        (
            "3 decimals, 9 of 10",
            1.05,
            floats(&mut |random, _| {
                let value = round3(random.unit() * 50.0);
                if random.next() % 10 == 0 { f64::NAN } else { value }
            }),
        ),
        ("all missing", 1.05, floats(&mut |_, _| f64::NAN)),
        (
            "half constant, half random",
            1.05,
            floats(&mut |random, index| {
                if index < len / 2 { 1.5 } else { random.unit() }
            }),
        ),
    ];
    let mut integers = |make: &mut dyn FnMut(&mut Random, usize) -> i64| {
        grid(Values::I64((0..len).map(|index| make(&mut random, index)).collect()))
    };
    shapes.extend([
        (
            "integers, random walk",
            1.05,
            integers(&mut |random, _| {
                steps += random.next() as i64 % 50;
                steps
            }),
        ),
        ("integers, 0 to 9", 1.05, integers(&mut |random, _| (random.next() % 10) as i64)),
        ("integers, 0 to 999", 1.05, integers(&mut |random, _| (random.next() % 1000) as i64)),
        ("integers, random", 1.05, integers(&mut |random, _| random.next() as i64)),
        ("integers, a constant", 1.05, integers(&mut |_, _| 12345)),
        ("integers, a counter", 1.05, integers(&mut |_, index| 3 * index as i64)),
    ]);
    let singles = (0..len).map(|_| round3(random.unit() * 50.0) as f32).collect();
    shapes.push(("singles, 3 decimals", 1.05, grid(Values::F32(singles))));
    let singles = (0..len).map(|_| random.unit() as f32).collect();
    shapes.push(("singles, random", 1.05, grid(Values::F32(singles))));
    let bytes = (0..len).map(|_| random.next() as u8).collect();
    shapes.push(("bytes, random", 1.05, grid(Values::U8(bytes))));
    let shorts = (0..len).map(|_| random.next() as i16).collect();
    shapes.push(("shorts, random", 1.05, grid(Values::I16(shorts))));
    let words: Vec<i32> = (0..len).map(|_| random.next() as i32).collect();
    let half = random_bits(len, 50, &mut random);
    shapes.push(("words, random, half missing", 1.05, grid(Values::I32(words)).with_validity(half).unwrap()));
    shapes
}

/// Never more than 5 % larger than zstd Parquet, and half of it or less for decimal fractions.
#[test]
fn files_are_small() {
    let len = 150_000;
    for (name, allowed, rows) in shapes(len) {
        let (zstd, zstd_values) = zstd_parquet(&rows);
        let sizes = [Codec::Alp, Codec::Portable].map(|codec| {
            let (_folder, disk) = disk();
            let facts = write_one(&disk, "a.parquet", &rows, codec);
            let reader = SegmentReader::open(&disk, "a.parquet", &facts).unwrap();
            let read = reader
                .read(0..facts.rows, StartsOf::Column(Numbering::TICKS), &mut PageBuffer::default())
                .unwrap();
            assert!(rows_of(&read) == rows_of(&rows), "{name}");
            facts.bytes as f64
        });
        let [alp, portable] = sizes.map(|bytes| bytes / len as f64);
        let [zstd_row, zstd_value] = [zstd, zstd_values].map(|bytes| bytes as f64 / len as f64);
        println!(
            "{name:30} alp {alp:8.4} portable {portable:8.4} zstd {zstd_row:8.4}, values {zstd_value:8.4} bytes a row"
        );
        assert!(sizes[0] <= allowed * zstd as f64, "{name}: {sizes:?}, zstd {zstd}");
        assert!(sizes[1] <= 1.05 * zstd as f64, "{name}: {sizes:?}, zstd {zstd}");
        // Starts take much of their file and nothing of ours: the values alone have to do about as well, but for the footer,
        // headers and pages.
        let values = 1.1 * zstd_values as f64 + 3000.0 + 0.01 * len as f64;
        assert!(sizes.iter().all(|bytes| *bytes <= values), "{name}: {sizes:?}, zstd {zstd_values}");
    }
}
