//! Tables of records as Parquet: columns of texts, numbers and times, in which anything may be missing.

use std::io::Write;
use std::sync::Arc;

use parquet::basic::{Compression, LogicalType, Repetition, TimeUnit as Unit, Type as Physical, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, DataType as ParquetType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::Type;

use super::WriteError;

/// Values of a row group at most, of all columns together: they are in memory until it is written, some twenty megabytes.
const GROUP_VALUES: usize = 1 << 19;

/// What a column of records holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "their names say it")]
pub enum RecordType {
    Integer,
    Number,
    Text,
    /// In microseconds since 1970, UTC.
    Time,
}

/// A value of a record. One that its column does not hold is missing.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(missing_docs, reason = "their names say it")]
pub enum RecordValue<'a> {
    Missing,
    Integer(i64),
    Number(f64),
    Text(&'a str),
    /// In microseconds since 1970.
    Time(i64),
}

/// Writes records as Parquet.
pub struct RecordsWriter<W: Write + Send> {
    file: SerializedFileWriter<W>,
    columns: Vec<Gathered>,
    rows: usize,
    group_rows: usize,
}

/// Values of a column that wait for their row group.
struct Gathered {
    values: Physicals,
    /// 1 for a value that is there, else 0.
    levels: Vec<i16>,
}

enum Physicals {
    Integers(Vec<i64>),
    Numbers(Vec<f64>),
    Texts(Vec<ByteArray>),
    Times(Vec<i64>),
}

impl<W: Write + Send> RecordsWriter<W> {
    /// Begins a file with these columns, whose names must differ.
    ///
    /// # Errors
    /// Two columns have the same name, or the output fails.
    pub fn new<'a>(
        out: W,
        columns: impl IntoIterator<Item = (&'a str, RecordType)> + Clone,
    ) -> Result<RecordsWriter<W>, WriteError> {
        let parquet = WriteError::Parquet;
        let schema = schema(columns.clone()).map_err(parquet)?;
        let zstd = Compression::ZSTD(ZstdLevel::try_new(3).map_err(parquet)?);
        let properties = WriterProperties::builder().set_compression(zstd).build();
        let file = SerializedFileWriter::new(out, Arc::new(schema), Arc::new(properties)).map_err(parquet)?;
        let columns: Vec<Gathered> = columns.into_iter().map(|(_, kind)| Gathered::new(kind)).collect();
        let group_rows = GROUP_VALUES / columns.len().max(1);
        Ok(RecordsWriter { file, columns, rows: 0, group_rows: group_rows.max(1) })
    }

    /// Writes a record: its values, in the order of the columns.
    ///
    /// # Errors
    /// The output fails.
    pub fn write<'a>(&mut self, values: impl IntoIterator<Item = RecordValue<'a>>) -> Result<(), WriteError> {
        let mut values = values.into_iter();
        for column in &mut self.columns {
            column.push(values.next().unwrap_or(RecordValue::Missing));
        }
        self.rows += 1;
        if self.rows == self.group_rows { self.write_group().map_err(WriteError::Parquet) } else { Ok(()) }
    }

    /// Ends the file.
    ///
    /// # Errors
    /// The output fails.
    pub fn finish(mut self) -> Result<(), WriteError> {
        if self.rows > 0 {
            self.write_group().map_err(WriteError::Parquet)?;
        }
        self.file.close().map_err(WriteError::Parquet)?;
        Ok(())
    }

    fn write_group(&mut self) -> Result<(), ParquetError> {
        let mut group = self.file.next_row_group()?;
        for Gathered { values, levels } in &mut self.columns {
            match values {
                Physicals::Integers(values) | Physicals::Times(values) => {
                    write_column::<Int64Type, W>(&mut group, values, levels)?;
                    values.clear();
                }
                Physicals::Numbers(values) => {
                    write_column::<DoubleType, W>(&mut group, values, levels)?;
                    values.clear();
                }
                Physicals::Texts(values) => {
                    write_column::<ByteArrayType, W>(&mut group, values, levels)?;
                    values.clear();
                }
            }
            levels.clear();
        }
        group.close()?;
        self.rows = 0;
        Ok(())
    }
}

impl Gathered {
    fn new(kind: RecordType) -> Gathered {
        let values = match kind {
            RecordType::Integer => Physicals::Integers(Vec::new()),
            RecordType::Number => Physicals::Numbers(Vec::new()),
            RecordType::Text => Physicals::Texts(Vec::new()),
            RecordType::Time => Physicals::Times(Vec::new()),
        };
        Gathered { values, levels: Vec::new() }
    }

    fn push(&mut self, value: RecordValue<'_>) {
        match (&mut self.values, value) {
            (Physicals::Integers(values), RecordValue::Integer(value))
            | (Physicals::Times(values), RecordValue::Time(value)) => values.push(value),
            (Physicals::Numbers(values), RecordValue::Number(value)) => values.push(value),
            (Physicals::Texts(values), RecordValue::Text(value)) => values.push(ByteArray::from(value)),
            _ => return self.levels.push(0),
        }
        self.levels.push(1);
    }
}

fn write_column<T: ParquetType, W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    values: &[T::T],
    levels: &[i16],
) -> Result<(), ParquetError> {
    let Some(mut column) = group.next_column()? else {
        return Err(ParquetError::General("there are more columns than in the schema".to_owned()));
    };
    column.typed::<T>().write_batch(values, Some(levels), None)?;
    column.close()
}

fn schema<'a>(columns: impl IntoIterator<Item = (&'a str, RecordType)>) -> Result<Type, ParquetError> {
    let mut fields: Vec<Arc<Type>> = Vec::new();
    for (name, kind) in columns {
        if fields.iter().any(|field| field.name() == name) {
            return Err(ParquetError::General(format!("there are two columns `{name}`")));
        }
        let (physical, logical) = match kind {
            RecordType::Integer => (Physical::INT64, None),
            RecordType::Number => (Physical::DOUBLE, None),
            RecordType::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
            RecordType::Time => (Physical::INT64, Some(LogicalType::timestamp(true, Unit::MICROS))),
        };
        let field = Type::primitive_type_builder(name, physical)
            .with_repetition(Repetition::OPTIONAL)
            .with_logical_type(logical)
            .build()?;
        fields.push(Arc::new(field));
    }
    Type::group_type_builder("records").with_fields(fields).build()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use parquet::file::reader::{FileReader, SerializedFileReader};

    use super::*;

    #[test]
    fn records_come_back_with_what_is_missing() {
        let columns = [
            ("id", RecordType::Integer),
            ("name", RecordType::Text),
            ("value", RecordType::Number),
            ("at", RecordType::Time),
        ];
        let mut bytes = Vec::new();
        let mut writer = RecordsWriter::new(&mut bytes, columns).unwrap();
        let count = writer.group_rows as i64 + 3;
        for id in 0..count {
            let odd = |value| if id % 2 == 1 { value } else { RecordValue::Missing };
            let (name, value) = (odd(RecordValue::Text("é")), odd(RecordValue::Number(id as f64 / 4.0)));
            writer.write([RecordValue::Integer(id), name, value, RecordValue::Time(id * 1_000_000)]).unwrap();
        }
        writer.finish().unwrap();
        let reader = SerializedFileReader::new(Bytes::from(bytes)).unwrap();
        assert_eq!(reader.metadata().num_row_groups(), 2);
        let rows: Vec<String> =
            reader.get_row_iter(None).unwrap().map(|row| row.unwrap().to_string()).collect();
        assert_eq!(rows.len() as i64, count);
        assert_eq!(rows[0], "{id: 0, name: null, value: null, at: 1970-01-01 00:00:00.000000 +00:00}");
        assert_eq!(rows[3], "{id: 3, name: \"é\", value: 0.75, at: 1970-01-01 00:00:03.000000 +00:00}");
        assert!(RecordsWriter::new(Vec::new(), [columns[0], columns[0]]).is_err());
    }
}
