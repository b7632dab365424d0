//! What columns hold, and how their cells are read.

use std::sync::Arc;

use parquet::basic::{ConvertedType, LogicalType, TimeUnit, Type};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl, get_column_reader};
use parquet::data_type::{AsBytes, ByteArray, DataType, Int96};
use parquet::errors::ParquetError;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::schema::types::ColumnDescriptor;
use sheaf_model::Tick;

use super::file::{ParquetFile, guarded};
use super::page::{Budget, Pages};
use crate::csv::{Number, parse_number};

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Bool,
    /// Up to 32 bits.
    Int32,
    Uint32,
    Int64,
    Uint64,
    Half,
    Float,
    Double,
    /// Digits, of which so many are after the point.
    Decimal {
        scale: u32,
    },
    Text,
    Date,
    Timestamp {
        unit: TimeUnit,
        /// Whether it is a point in time. Otherwise it is what a clock shows somewhere.
        utc: bool,
    },
    /// Timestamps of old writers: nanoseconds of a day, and the day.
    Int96,
    /// Nothing that is read here.
    Other(&'static str),
}

impl Content {
    /// What a column without children holds.
    pub(super) fn of(column: &ColumnDescriptor) -> Content {
        use Content::{
            Bool, Date, Decimal, Double, Float, Half, Int32, Int64, Other, Text, Timestamp, Uint32, Uint64,
        };
        if column.max_rep_level() > 0 {
            return Other("lists");
        }
        let int = |signed| match (column.physical_type(), signed) {
            (Type::INT32, true) => Int32,
            (Type::INT32, false) => Uint32,
            (_, true) => Int64,
            (_, false) => Uint64,
        };
        let decimal = |scale: i32, precision: i32| match u32::try_from(scale) {
            Ok(scale) if scale <= 38 && (1..=38).contains(&precision) && column.type_length() <= 16 => {
                Decimal { scale }
            }
            _ => Other("decimals of more than 38 digits"),
        };
        match (column.logical_type_ref(), column.converted_type(), column.physical_type()) {
            (Some(LogicalType::Decimal(decimals)), ..) => decimal(decimals.scale, decimals.precision),
            (_, ConvertedType::DECIMAL, _) => decimal(column.type_scale(), column.type_precision()),
            (Some(LogicalType::Timestamp(stamp)), _, Type::INT64) => {
                Timestamp { unit: stamp.unit, utc: stamp.is_adjusted_to_u_t_c }
            }
            (_, ConvertedType::TIMESTAMP_MILLIS, Type::INT64) => {
                Timestamp { unit: TimeUnit::MILLIS, utc: true }
            }
            (_, ConvertedType::TIMESTAMP_MICROS, Type::INT64) => {
                Timestamp { unit: TimeUnit::MICROS, utc: true }
            }
            (Some(LogicalType::Date), _, Type::INT32) | (_, ConvertedType::DATE, Type::INT32) => Date,
            (Some(LogicalType::Integer(int_type)), _, Type::INT32 | Type::INT64) => int(int_type.is_signed),
            (
                _,
                ConvertedType::UINT_8
                | ConvertedType::UINT_16
                | ConvertedType::UINT_32
                | ConvertedType::UINT_64,
                Type::INT32 | Type::INT64,
            ) => int(false),
            (
                _,
                ConvertedType::INT_8 | ConvertedType::INT_16 | ConvertedType::INT_32 | ConvertedType::INT_64,
                Type::INT32 | Type::INT64,
            )
            | (None, ConvertedType::NONE, Type::INT32 | Type::INT64) => int(true),
            (Some(LogicalType::Float16), _, Type::FIXED_LEN_BYTE_ARRAY) if column.type_length() == 2 => Half,
            (Some(LogicalType::Time(_)), ..)
            | (_, ConvertedType::TIME_MILLIS | ConvertedType::TIME_MICROS, _) => Other("times of day"),
            // Without a logical type it is text in files of many writers, and else it is not read as any.
            (Some(LogicalType::String | LogicalType::Enum) | None, _, Type::BYTE_ARRAY)
                if matches!(
                    column.converted_type(),
                    ConvertedType::UTF8 | ConvertedType::ENUM | ConvertedType::NONE
                ) =>
            {
                Text
            }
            (None, ConvertedType::NONE, Type::BOOLEAN) => Bool,
            (None, ConvertedType::NONE, Type::FLOAT) => Float,
            (None, ConvertedType::NONE, Type::DOUBLE) => Double,
            (None, _, Type::INT96) => Content::Int96,
            (_, ConvertedType::INTERVAL, _) => Other("intervals"),
            (Some(LogicalType::Unknown), ..) => Other("nothing"),
            _ => Other("bytes"),
        }
    }

    /// Whether it can be a series.
    pub(super) const fn is_number(self) -> bool {
        use Content::{Bool, Decimal, Double, Float, Half, Int32, Int64, Uint32, Uint64};
        matches!(self, Bool | Int32 | Uint32 | Int64 | Uint64 | Half | Float | Double | Decimal { .. })
    }

    pub(super) const fn is_integer(self) -> bool {
        matches!(self, Content::Int32 | Content::Uint32 | Content::Int64 | Content::Uint64)
    }

    /// Whether it is a time by its type.
    pub(super) const fn is_time(self) -> bool {
        matches!(self, Content::Timestamp { .. } | Content::Int96)
    }

    /// What it is, in messages.
    pub(super) fn what(self) -> String {
        match self {
            Content::Bool => "truth values".to_owned(),
            Content::Int32 | Content::Uint32 | Content::Int64 | Content::Uint64 => "integers".to_owned(),
            Content::Half | Content::Float | Content::Double => "floats".to_owned(),
            Content::Decimal { .. } => "decimals".to_owned(),
            Content::Text => "text".to_owned(),
            Content::Date => "dates".to_owned(),
            Content::Timestamp { unit, utc } => {
                let unit = match unit {
                    TimeUnit::MILLIS => "ms",
                    TimeUnit::MICROS => "µs",
                    TimeUnit::NANOS => "ns",
                };
                format!("timestamps in {unit}{}", if utc { " (UTC)" } else { "" })
            }
            Content::Int96 => "timestamps of 96 bits".to_owned(),
            Content::Other(what) => what.to_owned(),
        }
    }
}

/// Cells of a column.
#[derive(Debug)]
pub(super) enum Cells {
    /// Integers, and timestamps as they are stored; a bit for each, set where it is not missing, or `None` if none is.
    Ints(Vec<i64>, Option<Vec<u64>>),
    /// NaN where one is missing.
    Floats(Vec<f64>),
    Texts(Vec<ByteArray>, Option<Vec<u64>>),
    Int96(Vec<Int96>, Option<Vec<u64>>),
}

/// Whether the cell of a row is there.
pub(super) fn is_valid(validity: Option<&Vec<u64>>, row: usize) -> bool {
    validity.is_none_or(|words| words[row / 64] >> (row % 64) & 1 == 1)
}

/// Reads the cells of one column chunk, from the first one on.
pub(super) struct CellReader {
    content: Content,
    reader: ColumnReader,
    levels: Vec<i16>,
    max_level: i16,
}

impl CellReader {
    pub(super) fn open(
        file: &Arc<ParquetFile>,
        chunk: &ColumnChunkMetaData,
        content: Content,
        budget: &Budget,
    ) -> Result<CellReader, String> {
        let open = || {
            let pages = Pages::new(file, chunk, budget)?;
            Ok(get_column_reader(chunk.column_descr_ptr(), Box::new(pages)))
        };
        let max_level = chunk.column_descr().max_def_level();
        Ok(CellReader { content, reader: guarded(open)?, levels: Vec::new(), max_level })
    }

    /// The next cells, exactly so many; and whether they are the last ones has to be as `is_last` says.
    pub(super) fn read(&mut self, rows: usize, is_last: bool) -> Result<Cells, String> {
        guarded(|| self.cells(rows, is_last))
    }

    fn cells(&mut self, rows: usize, is_last: bool) -> Result<Cells, ParquetError> {
        let mut part = Part { rows, is_last, max_level: self.max_level, levels: &mut self.levels };
        let wide = |values: Vec<i32>| values.into_iter().map(i64::from).collect();
        Ok(match (&mut self.reader, self.content) {
            (ColumnReader::BoolColumnReader(reader), _) => {
                let (values, validity) = part.read(reader)?;
                Cells::Ints(values.into_iter().map(i64::from).collect(), validity)
            }
            (ColumnReader::Int32ColumnReader(reader), Content::Uint32) => {
                let (values, validity) = part.read(reader)?;
                Cells::Ints(values.into_iter().map(|value| i64::from(value as u32)).collect(), validity)
            }
            (ColumnReader::Int32ColumnReader(reader), Content::Decimal { scale }) => {
                let (values, validity) = part.read(reader)?;
                decimals(values.into_iter().map(i128::from), scale, validity)
            }
            (ColumnReader::Int32ColumnReader(reader), _) => {
                let (values, validity) = part.read(reader)?;
                Cells::Ints(wide(values), validity)
            }
            (ColumnReader::Int64ColumnReader(reader), Content::Uint64) => {
                let (values, validity) = part.read(reader)?;
                decimals(values.into_iter().map(|value| i128::from(value as u64)), 0, validity)
            }
            (ColumnReader::Int64ColumnReader(reader), Content::Decimal { scale }) => {
                let (values, validity) = part.read(reader)?;
                decimals(values.into_iter().map(i128::from), scale, validity)
            }
            (ColumnReader::Int64ColumnReader(reader), _) => {
                let (values, validity) = part.read(reader)?;
                Cells::Ints(values, validity)
            }
            (ColumnReader::FloatColumnReader(reader), _) => {
                let (values, validity) = part.read(reader)?;
                floats(values.into_iter().map(f64::from), validity)
            }
            (ColumnReader::DoubleColumnReader(reader), _) => {
                let (values, validity) = part.read(reader)?;
                match validity {
                    None => Cells::Floats(values),
                    validity => floats(values.into_iter(), validity),
                }
            }
            (ColumnReader::Int96ColumnReader(reader), _) => {
                let (values, validity) = part.read(reader)?;
                Cells::Int96(values, validity)
            }
            (ColumnReader::ByteArrayColumnReader(reader), Content::Decimal { scale }) => {
                let (values, validity) = part.read(reader)?;
                let bytes =
                    (0..values.len()).map(|row| is_valid(validity.as_ref(), row).then(|| values[row].data()));
                let numbers = big_endian(bytes)?;
                decimals(numbers, scale, validity)
            }
            (ColumnReader::ByteArrayColumnReader(reader), _) => {
                let (values, validity) = part.read(reader)?;
                Cells::Texts(values, validity)
            }
            (ColumnReader::FixedLenByteArrayColumnReader(reader), Content::Decimal { scale }) => {
                let (values, validity) = part.read(reader)?;
                // A missing one has no bytes at all, and asking for them panics.
                let bytes = (0..values.len())
                    .map(|row| is_valid(validity.as_ref(), row).then(|| values[row].as_bytes()));
                let numbers = big_endian(bytes)?;
                decimals(numbers, scale, validity)
            }
            (ColumnReader::FixedLenByteArrayColumnReader(reader), _) => {
                let (values, validity) = part.read(reader)?;
                let half = |row: usize| match values[row].as_bytes() {
                    [a, b] => f64::from(half::f16::from_le_bytes([*a, *b])),
                    _ => f64::NAN,
                };
                let all = (0..values.len())
                    .map(|row| if is_valid(validity.as_ref(), row) { half(row) } else { f64::NAN });
                Cells::Floats(all.collect())
            }
        })
    }
}

/// Values, and a bit for each that is set where it is not missing; `None` if none is.
type Read<T> = (Vec<T>, Option<Vec<u64>>);

/// The rows that are to be read.
struct Part<'a> {
    rows: usize,
    is_last: bool,
    max_level: i16,
    levels: &'a mut Vec<i16>,
}

impl Part<'_> {
    /// Values at their rows, and bits that say where there are any.
    fn read<T: DataType>(&mut self, reader: &mut ColumnReaderImpl<T>) -> Result<Read<T::T>, ParquetError> {
        self.levels.clear();
        let mut values = Vec::with_capacity(self.rows);
        let mut rows = 0;
        while rows < self.rows {
            match reader.read_records(self.rows - rows, Some(self.levels), None, &mut values)? {
                (0, ..) => break,
                (records, ..) => rows += records,
            }
        }
        let damaged = |what: &str| ParquetError::General(format!("the file is damaged: {what}"));
        if rows < self.rows {
            return Err(damaged("the column ends before its row group does"));
        }
        if self.is_last {
            let (mut levels, mut more) = (Vec::new(), Vec::new());
            if reader.read_records(1, Some(&mut levels), None, &mut more)?.0 > 0 {
                return Err(damaged("the column goes on after its row group has ended"));
            }
        }
        if self.max_level == 0 || values.len() == self.rows {
            return Ok((values, None));
        }
        if self.levels.len() != self.rows {
            return Err(damaged("there is not a level for each row"));
        }
        let mut from = values.len();
        values.resize(self.rows, T::T::default());
        let mut validity = vec![0_u64; self.rows.div_ceil(64)];
        // From the last one on, so that no value is overwritten before it is moved.
        for (row, &level) in self.levels.iter().enumerate().rev() {
            if level == self.max_level {
                from = from.checked_sub(1).ok_or_else(|| damaged("there are fewer values than levels"))?;
                values.swap(from, row);
                validity[row / 64] |= 1 << (row % 64);
            }
        }
        Ok((values, Some(validity)))
    }
}

fn floats(values: impl Iterator<Item = f64>, validity: Option<Vec<u64>>) -> Cells {
    let value = |(row, value)| if is_valid(validity.as_ref(), row) { value } else { f64::NAN };
    Cells::Floats(values.enumerate().map(value).collect())
}

/// Integers divided by a power of ten: integers where that is 1 and all fit, correctly rounded floats otherwise.
fn decimals(values: impl IntoIterator<Item = i128>, scale: u32, validity: Option<Vec<u64>>) -> Cells {
    let values: Vec<i128> = values.into_iter().collect();
    if scale == 0 {
        let ints: Result<Vec<i64>, _> = values.iter().map(|&value| i64::try_from(value)).collect();
        if let Ok(ints) = ints {
            return Cells::Ints(ints, validity);
        }
    }
    floats(values.into_iter().map(|value| decimal(value, scale)), validity)
}

/// An integer divided by a power of ten, correctly rounded.
fn decimal(value: i128, scale: u32) -> f64 {
    // Both are exact floats then, and one division of such is rounded correctly.
    if value.unsigned_abs() <= 1 << 53 && scale <= 22 {
        return value as f64 / 10_f64.powi(scale as i32);
    }
    match parse_number(format!("{value}e-{scale}").as_bytes(), b'.') {
        Ok(Number::Int(value)) => value as f64,
        Ok(Number::Float(value)) => value,
        // 39 digits are far from the end of floats.
        Err(_) => f64::NAN,
    }
}

/// Integers in two's complement; 0 where there is none.
fn big_endian<'a>(values: impl Iterator<Item = Option<&'a [u8]>>) -> Result<Vec<i128>, ParquetError> {
    let number = |bytes: Option<&[u8]>| {
        let bytes = bytes.unwrap_or_default();
        let fill = if bytes.first().is_none_or(|first| first & 0x80 == 0) { 0 } else { 0xFF };
        let Some(padding) = 16_usize.checked_sub(bytes.len()) else {
            let problem = format!("a decimal of {} bytes can't be read", bytes.len());
            return Err(ParquetError::General(problem));
        };
        let mut all = [fill; 16];
        all[padding..].copy_from_slice(bytes);
        Ok(i128::from_be_bytes(all))
    };
    values.map(number).collect()
}

/// What a timestamp of 96 bits says, in ticks as if its clock showed UTC, and the nanoseconds beyond.
pub(super) fn int96_ticks(stamp: &Int96) -> (i128, i64) {
    /// The Julian day of 1970-01-01.
    const EPOCH_DAY: i128 = 2_440_588;
    let [low, high, day] = *stamp.data() else { return (i128::MAX, 0) };
    let nanos = (i64::from(high) << 32) | i64::from(low);
    let days = i128::from(day as i32) - EPOCH_DAY;
    let ticks =
        days * 86_400 * i128::from(Tick::PER_SECOND) + i128::from(nanos.div_euclid(Tick::NANOSECONDS));
    (ticks + i128::from(Tick::UNIX_EPOCH.ticks()), nanos.rem_euclid(Tick::NANOSECONDS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_rounded_correctly() {
        assert_eq!(decimal(123, 2), 1.23);
        assert_eq!(decimal(-1, 38), -1e-38);
        assert_eq!(
            decimal(123_456_789_012_345_678_901_234_567_890, 10),
            12_345_678_901_234_567_890.123_456_789
        );
        assert_eq!(decimal(0, 5), 0.0);
        let bytes: [Option<&[u8]>; 4] = [Some(&[0xFF]), Some(&[0, 200]), None, Some(&[])];
        assert_eq!(big_endian(bytes.into_iter()).unwrap(), [-1, 200, 0, 0]);
        assert!(big_endian([Some(&[0_u8; 17][..])].into_iter()).is_err());
    }

    #[test]
    fn integers_stay_integers_while_they_fit() {
        assert!(matches!(decimals([1, 2], 0, None), Cells::Ints(values, None) if values == [1, 2]));
        let wide = i128::from(u64::MAX);
        assert!(
            matches!(decimals([1, wide], 0, None), Cells::Floats(values) if values == [1.0, wide as f64])
        );
    }

    #[test]
    fn timestamps_of_96_bits() {
        let mut stamp = Int96::new();
        // 2020-01-01T00:00:01.0000001Z: day 2458850, 1000000100 ns.
        stamp.set_data(1_000_000_100, 0, 2_458_850);
        let expected = "2020-01-01T00:00:01.0000001Z".parse::<Tick>().unwrap().ticks();
        assert_eq!(int96_ticks(&stamp), (i128::from(expected), 0));
        stamp.set_data(50, 0, 2_440_587);
        assert_eq!(int96_ticks(&stamp), (i128::from(Tick::UNIX_EPOCH.ticks()) - 864_000_000_000, 50));
    }
}
