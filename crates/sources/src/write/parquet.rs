//! Tables as Parquet that every reader can open: real timestamps in UTC, BYTE_STREAM_SPLIT and Zstandard.

use std::io::Write;
use std::sync::Arc;

use parquet::basic::{
    Compression, Encoding, LogicalType, Repetition, TimeUnit as Unit, Type as Physical, ZstdLevel,
};
use parquet::data_type::{DataType as ParquetType, DoubleType, FloatType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::{ColumnPath, Type};
use sheaf_model::{DataType, Tick, TimeRange, Values};

use super::{TableWriter, WriteColumn, WriteError, WriteValues, check};

/// Name of the column of times.
const TIME: &str = "time";

/// Values of a row group, of all columns together: 32 MiB in memory.
const GROUP_VALUES: usize = 1 << 22;

/// Rows of a row group at most, however few columns there are.
const GROUP_ROWS: usize = 1 << 20;

/// The unit of the times in a Parquet file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeUnit {
    /// Exact, from 1677-09-21 to 2262-04-11.
    Nanoseconds,
    /// At any time, for multiples of 10 ticks.
    Microseconds,
}

impl TimeUnit {
    /// The unit for times in a range, all of them multiples of `step_ticks` after its begin: nanoseconds if they fit, else
    /// microseconds.
    ///
    /// # Errors
    /// They fit neither.
    pub fn for_times(range: TimeRange, step_ticks: i64) -> Result<TimeUnit, WriteError> {
        let fits = |tick: Tick| tick.unix_ticks().checked_mul(Tick::NANOSECONDS).is_some();
        let micro = |ticks: i64| ticks % TICKS_PER_MICROSECOND == 0;
        if fits(range.begin()) && fits(range.end()) {
            Ok(TimeUnit::Nanoseconds)
        } else if micro(range.begin().ticks()) && micro(step_ticks) {
            Ok(TimeUnit::Microseconds)
        } else {
            Err(WriteError::Time { time: if fits(range.begin()) { range.end() } else { range.begin() } })
        }
    }

    /// A tick in this unit, since 1970.
    ///
    /// # Errors
    /// It does not fit.
    pub fn of(self, ticks: i64) -> Result<i64, WriteError> {
        let time = Tick::new(ticks).map_err(|_| WriteError::NoTime { row: 0, ticks })?;
        let beyond = || WriteError::Time { time };
        match self {
            TimeUnit::Nanoseconds => time.unix_ticks().checked_mul(Tick::NANOSECONDS).ok_or_else(beyond),
            TimeUnit::Microseconds if ticks % TICKS_PER_MICROSECOND == 0 => {
                Ok(time.unix_ticks() / TICKS_PER_MICROSECOND)
            }
            TimeUnit::Microseconds => Err(beyond()),
        }
    }
}

const TICKS_PER_MICROSECOND: i64 = 10;

/// Writes a table as Parquet: a column `time`, and one for each series, in which what is missing is null. Rows are kept
/// until a row group is full.
pub struct ParquetWriter<W: Write + Send> {
    file: SerializedFileWriter<W>,
    unit: TimeUnit,
    columns: Vec<WriteColumn>,
    group_rows: usize,
    times: Vec<i64>,
    values: Vec<Gathered>,
}

/// Values of a column that wait for their row group.
struct Gathered {
    values: Physicals,
    /// 1 for a value that is there, else 0.
    levels: Vec<i16>,
}

/// Values as Parquet stores them.
enum Physicals {
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Float(Vec<f32>),
    Double(Vec<f64>),
}

impl<W: Write + Send> ParquetWriter<W> {
    /// Begins a file with these columns. Units are in the titles and, with the names of the columns as keys, in the
    /// metadata of the file (`unit:<title>`).
    ///
    /// # Errors
    /// Two columns have the same title, or the output fails.
    pub fn new(out: W, columns: Vec<WriteColumn>, unit: TimeUnit) -> Result<ParquetWriter<W>, WriteError> {
        let parquet = WriteError::Parquet;
        let schema = Arc::new(schema(&columns, unit).map_err(parquet)?);
        let zstd = Compression::ZSTD(ZstdLevel::try_new(1).map_err(parquet)?);
        let mut properties = WriterProperties::builder()
            .set_compression(zstd)
            .set_column_encoding(ColumnPath::from(TIME), Encoding::DELTA_BINARY_PACKED)
            .set_column_dictionary_enabled(ColumnPath::from(TIME), false);
        for column in &columns {
            if column.data_type.is_float() {
                let path = ColumnPath::from(column.full_title());
                properties = properties
                    .set_column_dictionary_enabled(path.clone(), false)
                    .set_column_encoding(path, Encoding::BYTE_STREAM_SPLIT);
            }
        }
        let units = columns.iter().filter_map(|column| {
            Some(KeyValue::new(format!("unit:{}", column.full_title()), column.unit.clone()?))
        });
        let properties = properties.set_key_value_metadata(Some(units.collect())).build();
        let file = SerializedFileWriter::new(out, schema, Arc::new(properties)).map_err(parquet)?;
        let values = columns.iter().map(|column| Gathered::new(column.data_type)).collect();
        let group_rows = (GROUP_VALUES / (columns.len() + 1)).clamp(1, GROUP_ROWS);
        Ok(ParquetWriter { file, unit, columns, group_rows, times: Vec::new(), values })
    }

    /// Writes row groups of so many values, of all columns together, instead of 4 Mi: all of them are in memory until their
    /// group is written.
    #[must_use]
    pub fn in_groups_of(mut self, values: usize) -> ParquetWriter<W> {
        self.group_rows = (values / (self.columns.len() + 1)).clamp(1, GROUP_ROWS);
        self
    }

    fn write_group(&mut self) -> Result<(), ParquetError> {
        let mut group = self.file.next_row_group()?;
        write_column::<Int64Type, W>(&mut group, &self.times, None)?;
        self.times.clear();
        for Gathered { values, levels } in &mut self.values {
            match values {
                Physicals::Int32(values) => write_column::<Int32Type, W>(&mut group, values, Some(levels))?,
                Physicals::Int64(values) => write_column::<Int64Type, W>(&mut group, values, Some(levels))?,
                Physicals::Float(values) => write_column::<FloatType, W>(&mut group, values, Some(levels))?,
                Physicals::Double(values) => write_column::<DoubleType, W>(&mut group, values, Some(levels))?,
            }
            match values {
                Physicals::Int32(values) => values.clear(),
                Physicals::Int64(values) => values.clear(),
                Physicals::Float(values) => values.clear(),
                Physicals::Double(values) => values.clear(),
            }
            levels.clear();
        }
        group.close()?;
        Ok(())
    }
}

impl<W: Write + Send> TableWriter for ParquetWriter<W> {
    fn write(&mut self, starts: &[i64], columns: &[WriteValues<'_>]) -> Result<(), WriteError> {
        check(&self.columns, starts, columns)?;
        let mut next = 0;
        while next < starts.len() {
            let end = starts.len().min(next + self.group_rows - self.times.len());
            for &start in &starts[next..end] {
                self.times.push(self.unit.of(start)?);
            }
            for (gathered, column) in self.values.iter_mut().zip(columns) {
                (next..end).for_each(|row| gathered.push(column, row));
            }
            next = end;
            if self.times.len() == self.group_rows {
                self.write_group().map_err(WriteError::Parquet)?;
            }
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<(), WriteError> {
        if !self.times.is_empty() {
            self.write_group().map_err(WriteError::Parquet)?;
        }
        self.file.close().map_err(WriteError::Parquet)?;
        Ok(())
    }
}

impl Gathered {
    fn new(data_type: DataType) -> Gathered {
        let values = match data_type {
            DataType::Float64 => Physicals::Double(Vec::new()),
            DataType::Float32 => Physicals::Float(Vec::new()),
            DataType::Int64 | DataType::Uint64 => Physicals::Int64(Vec::new()),
            _ => Physicals::Int32(Vec::new()),
        };
        Gathered { values, levels: Vec::new() }
    }

    /// Takes up a value; unsigned integers keep their bits, as Parquet wants it.
    fn push(&mut self, column: &WriteValues<'_>, row: usize) {
        let is_valid = column.is_valid(row);
        self.levels.push(i16::from(is_valid));
        if !is_valid {
            return;
        }
        match (&mut self.values, column.values) {
            (Physicals::Double(all), Values::F64(values)) => all.push(values[row]),
            (Physicals::Float(all), Values::F32(values)) => all.push(values[row]),
            (Physicals::Int64(all), Values::I64(values)) => all.push(values[row]),
            (Physicals::Int64(all), Values::U64(values)) => all.push(values[row] as i64),
            (Physicals::Int32(all), Values::I32(values)) => all.push(values[row]),
            (Physicals::Int32(all), Values::U32(values)) => all.push(values[row] as i32),
            (Physicals::Int32(all), Values::I16(values)) => all.push(i32::from(values[row])),
            (Physicals::Int32(all), Values::U16(values)) => all.push(i32::from(values[row])),
            (Physicals::Int32(all), Values::I8(values)) => all.push(i32::from(values[row])),
            (Physicals::Int32(all), Values::U8(values)) => all.push(i32::from(values[row])),
            // `check` has compared the types.
            _ => {}
        }
    }
}

fn write_column<T: ParquetType, W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    values: &[T::T],
    levels: Option<&[i16]>,
) -> Result<(), ParquetError> {
    let Some(mut column) = group.next_column()? else {
        return Err(ParquetError::General("there are more columns than in the schema".to_owned()));
    };
    column.typed::<T>().write_batch(values, levels, None)?;
    column.close()
}

fn schema(columns: &[WriteColumn], unit: TimeUnit) -> Result<Type, ParquetError> {
    let unit = match unit {
        TimeUnit::Nanoseconds => Unit::NANOS,
        TimeUnit::Microseconds => Unit::MICROS,
    };
    let time = Type::primitive_type_builder(TIME, Physical::INT64)
        .with_repetition(Repetition::REQUIRED)
        .with_logical_type(Some(LogicalType::timestamp(true, unit)))
        .build()?;
    let mut fields = vec![Arc::new(time)];
    for column in columns {
        let title = column.full_title();
        if fields.iter().any(|field| field.name() == title) {
            return Err(ParquetError::General(format!("there are two columns `{title}`")));
        }
        let (physical, integer) = match column.data_type {
            DataType::Float64 => (Physical::DOUBLE, None),
            DataType::Float32 => (Physical::FLOAT, None),
            DataType::Int64 => (Physical::INT64, Some((64, true))),
            DataType::Uint64 => (Physical::INT64, Some((64, false))),
            DataType::Int32 => (Physical::INT32, Some((32, true))),
            DataType::Uint32 => (Physical::INT32, Some((32, false))),
            DataType::Int16 => (Physical::INT32, Some((16, true))),
            DataType::Uint16 => (Physical::INT32, Some((16, false))),
            DataType::Int8 => (Physical::INT32, Some((8, true))),
            DataType::Uint8 => (Physical::INT32, Some((8, false))),
        };
        let logical = integer.map(|(bit_width, is_signed)| LogicalType::integer(bit_width, is_signed));
        let field = Type::primitive_type_builder(&title, physical)
            .with_repetition(Repetition::OPTIONAL)
            .with_logical_type(logical)
            .build()?;
        fields.push(Arc::new(field));
    }
    Type::group_type_builder("samples").with_fields(fields).build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::RowAccessor;

    fn tick(text: &str) -> Tick {
        text.parse().unwrap()
    }

    #[test]
    fn rows_come_back() {
        let column = |title: &str, data_type| WriteColumn {
            title: title.to_owned(),
            unit: Some("kW".to_owned()),
            data_type,
        };
        let columns =
            vec![column("P", DataType::Float64), column("n", DataType::Uint64), column("s", DataType::Int8)];
        let mut bytes = Vec::new();
        let mut writer = Box::new(ParquetWriter::new(&mut bytes, columns, TimeUnit::Nanoseconds).unwrap());
        writer.group_rows = 3;
        let floats = Values::F64(vec![1.5, f64::NAN, -0.0, 4.0, f64::NEG_INFINITY]);
        let (longs, bytes_) = (Values::U64(vec![u64::MAX, 1, 2, 3, 4]), Values::I8(vec![-128, 1, 2, 3, 4]));
        let validity = [0b10111_u64];
        let values = [
            WriteValues { values: &floats, validity: None },
            WriteValues { values: &longs, validity: Some(&validity) },
            WriteValues { values: &bytes_, validity: None },
        ];
        let begin = tick("2020-01-01").ticks();
        let starts: Vec<i64> = (0..5).map(|row| begin + row).collect();
        writer.write(&starts, &values).unwrap();
        writer.finish().unwrap();

        let reader = SerializedFileReader::new(Bytes::from(bytes)).unwrap();
        assert_eq!(reader.num_row_groups(), 2);
        let names: Vec<_> = reader
            .metadata()
            .file_metadata()
            .schema()
            .get_fields()
            .iter()
            .map(|f| f.name().to_owned())
            .collect();
        assert_eq!(names, ["time", "P (kW)", "n (kW)", "s (kW)"]);
        let rows: Vec<_> = reader.get_row_iter(None).unwrap().map(Result::unwrap).collect();
        assert_eq!(rows.len(), 5);
        assert_eq!(rows[0].get_double(1).unwrap(), 1.5);
        assert!(rows[1].get_double(1).is_err(), "null");
        assert_eq!(rows[4].get_double(1).unwrap(), f64::NEG_INFINITY);
        assert_eq!(rows[0].get_ulong(2).unwrap(), u64::MAX);
        assert!(rows[3].get_ulong(2).is_err(), "null");
        assert_eq!(rows[0].get_byte(3).unwrap(), -128);
    }

    #[test]
    fn times_that_parquet_can_say() {
        let range = |begin: &str, end: &str| TimeRange::new(tick(begin), tick(end)).unwrap();
        assert_eq!(TimeUnit::for_times(range("1700-01-01", "2200-01-01"), 1).unwrap(), TimeUnit::Nanoseconds);
        assert_eq!(
            TimeUnit::for_times(range("0001-01-01", "2200-01-01"), 10).unwrap(),
            TimeUnit::Microseconds
        );
        let error = TimeUnit::for_times(range("2000-01-01", "3000-01-01"), 1).unwrap_err().to_string();
        assert!(error.contains("3000-01-01"), "{error}");
        assert_eq!(TimeUnit::Nanoseconds.of(tick("1969-12-31T23:59:59").ticks()).unwrap(), -1_000_000_000);
    }
}
