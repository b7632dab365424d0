//! What columns hold by their schema, and how their cells are read.

use std::sync::Arc;

use parquet::basic::{ConvertedType, LogicalType, TimeUnit, Type};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl, get_column_reader};
use parquet::data_type::{AsBytes, DataType};
use parquet::errors::ParquetError;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::schema::types::ColumnDescriptor;

use super::file::{ParquetFile, guarded};
use super::page::{Budget, Pages};
use crate::cells::{Cells, Content, Unit, decimals, floats, is_valid};

/// What a column without children holds.
pub(super) fn content_of(column: &ColumnDescriptor) -> Content {
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
            let unit = match stamp.unit {
                TimeUnit::MILLIS => Unit::Millis,
                TimeUnit::MICROS => Unit::Micros,
                TimeUnit::NANOS => Unit::Nanos,
            };
            Timestamp { unit, utc: stamp.is_adjusted_to_u_t_c }
        }
        (_, ConvertedType::TIMESTAMP_MILLIS, Type::INT64) => Timestamp { unit: Unit::Millis, utc: true },
        (_, ConvertedType::TIMESTAMP_MICROS, Type::INT64) => Timestamp { unit: Unit::Micros, utc: true },
        (Some(LogicalType::Date), _, Type::INT32) | (_, ConvertedType::DATE, Type::INT32) => Date,
        (Some(LogicalType::Integer(int_type)), _, Type::INT32 | Type::INT64) => int(int_type.is_signed),
        (
            _,
            ConvertedType::UINT_8 | ConvertedType::UINT_16 | ConvertedType::UINT_32 | ConvertedType::UINT_64,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_of_bytes() {
        let bytes: [Option<&[u8]>; 4] = [Some(&[0xFF]), Some(&[0, 200]), None, Some(&[])];
        assert_eq!(big_endian(bytes.into_iter()).unwrap(), [-1, 200, 0, 0]);
        assert!(big_endian([Some(&[0_u8; 17][..])].into_iter()).is_err());
    }
}
