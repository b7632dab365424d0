//! Tables as Arrow, which data frames read without copying: a file, or a stream that need not be read from its end.

use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;

use arrow_array::builder::{PrimitiveBuilder, TimestampMicrosecondBuilder, TimestampNanosecondBuilder};
use arrow_array::types::{
    ArrowPrimitiveType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_ipc::writer::{FileWriter, StreamWriter};
use arrow_schema::{ArrowError, DataType as ArrowType, Field, Schema, TimeUnit as ArrowUnit};
use sheaf_model::{DataType, Values};

use super::parquet::TimeUnit;
use super::{TableWriter, WriteColumn, WriteError, WriteValues, check};

/// Name of the column of times.
const TIME: &str = "time";

/// How batches lie one after the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ArrowContainer {
    /// A file with a table of contents at its end: batches can be read in any order (Feather 2).
    #[default]
    File,
    /// A stream: batches are read as they come.
    Stream,
}

/// Writes a table as Arrow: a column `time`, and one for each series, in which what is missing is null. A unit is in the
/// title and in the metadata of its field (`unit`). Each call of [`TableWriter::write`] makes a batch.
pub struct ArrowWriter<W: Write> {
    out: Container<W>,
    schema: Arc<Schema>,
    unit: TimeUnit,
    columns: Vec<WriteColumn>,
}

enum Container<W: Write> {
    File(FileWriter<W>),
    Stream(StreamWriter<W>),
}

impl<W: Write> ArrowWriter<W> {
    /// Begins with the schema.
    ///
    /// # Errors
    /// The output fails.
    pub fn new(
        out: W,
        columns: Vec<WriteColumn>,
        unit: TimeUnit,
        container: ArrowContainer,
    ) -> Result<ArrowWriter<W>, WriteError> {
        let time_unit = match unit {
            TimeUnit::Nanoseconds => ArrowUnit::Nanosecond,
            TimeUnit::Microseconds => ArrowUnit::Microsecond,
        };
        let mut fields = vec![Field::new(TIME, ArrowType::Timestamp(time_unit, Some("UTC".into())), false)];
        fields.extend(columns.iter().map(|column| {
            let field = Field::new(column.full_title(), arrow_type(column.data_type), true);
            let unit = column.unit.iter().map(|unit| ("unit".to_owned(), unit.clone()));
            field.with_metadata(unit.collect::<HashMap<_, _>>())
        }));
        let schema = Arc::new(Schema::new(fields));
        let out = match container {
            ArrowContainer::File => Container::File(FileWriter::try_new(out, &schema).map_err(failed)?),
            ArrowContainer::Stream => Container::Stream(StreamWriter::try_new(out, &schema).map_err(failed)?),
        };
        Ok(ArrowWriter { out, schema, unit, columns })
    }
}

fn failed(error: ArrowError) -> WriteError {
    match error {
        ArrowError::IoError(_, error) => WriteError::Io(error),
        error => WriteError::Arrow(error),
    }
}

impl<W: Write + Send> TableWriter for ArrowWriter<W> {
    fn write(&mut self, starts: &[i64], columns: &[WriteValues<'_>]) -> Result<(), WriteError> {
        check(&self.columns, starts, columns)?;
        if starts.is_empty() {
            return Ok(());
        }
        let mut arrays = Vec::with_capacity(columns.len() + 1);
        arrays.push(self.times(starts)?);
        arrays.extend(columns.iter().map(values));
        let batch = RecordBatch::try_new(self.schema.clone(), arrays).map_err(failed)?;
        match &mut self.out {
            Container::File(out) => out.write(&batch),
            Container::Stream(out) => out.write(&batch),
        }
        .map_err(failed)
    }

    fn finish(mut self: Box<Self>) -> Result<(), WriteError> {
        match &mut self.out {
            Container::File(out) => out.finish().and_then(|()| out.flush()),
            Container::Stream(out) => out.finish().and_then(|()| out.flush()),
        }
        .map_err(failed)
    }
}

impl<W: Write> ArrowWriter<W> {
    fn times(&self, starts: &[i64]) -> Result<ArrayRef, WriteError> {
        let times = starts.iter().map(|&start| self.unit.of(start)).collect::<Result<Vec<i64>, _>>()?;
        Ok(match self.unit {
            TimeUnit::Nanoseconds => {
                let mut builder = TimestampNanosecondBuilder::with_capacity(times.len()).with_timezone("UTC");
                builder.append_slice(&times);
                Arc::new(builder.finish())
            }
            TimeUnit::Microseconds => {
                let mut builder =
                    TimestampMicrosecondBuilder::with_capacity(times.len()).with_timezone("UTC");
                builder.append_slice(&times);
                Arc::new(builder.finish())
            }
        })
    }
}

const fn arrow_type(data_type: DataType) -> ArrowType {
    match data_type {
        DataType::Uint8 => ArrowType::UInt8,
        DataType::Int8 => ArrowType::Int8,
        DataType::Uint16 => ArrowType::UInt16,
        DataType::Int16 => ArrowType::Int16,
        DataType::Uint32 => ArrowType::UInt32,
        DataType::Int32 => ArrowType::Int32,
        DataType::Uint64 => ArrowType::UInt64,
        DataType::Int64 => ArrowType::Int64,
        DataType::Float32 => ArrowType::Float32,
        DataType::Float64 => ArrowType::Float64,
    }
}

fn values(column: &WriteValues<'_>) -> ArrayRef {
    match column.values {
        Values::U8(values) => array::<UInt8Type>(column, values),
        Values::I8(values) => array::<Int8Type>(column, values),
        Values::U16(values) => array::<UInt16Type>(column, values),
        Values::I16(values) => array::<Int16Type>(column, values),
        Values::U32(values) => array::<UInt32Type>(column, values),
        Values::I32(values) => array::<Int32Type>(column, values),
        Values::U64(values) => array::<UInt64Type>(column, values),
        Values::I64(values) => array::<Int64Type>(column, values),
        Values::F32(values) => array::<Float32Type>(column, values),
        Values::F64(values) => array::<Float64Type>(column, values),
    }
}

fn array<T: ArrowPrimitiveType>(column: &WriteValues<'_>, values: &[T::Native]) -> ArrayRef {
    let mut builder = PrimitiveBuilder::<T>::with_capacity(values.len());
    for (row, &value) in values.iter().enumerate() {
        builder.append_option(column.is_valid(row).then_some(value));
    }
    Arc::new(builder.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::Array;
    use arrow_array::cast::AsArray;
    use arrow_array::types::TimestampNanosecondType;
    use arrow_ipc::reader::{FileReader, StreamReader};
    use sheaf_model::Tick;
    use std::io::Cursor;

    fn written(container: ArrowContainer) -> Vec<u8> {
        let column = |title: &str, data_type| WriteColumn {
            title: title.to_owned(),
            unit: Some("kW".to_owned()),
            data_type,
        };
        let columns = vec![column("P", DataType::Float64), column("n", DataType::Uint8)];
        let mut bytes = Vec::new();
        let writer = ArrowWriter::new(&mut bytes, columns, TimeUnit::Nanoseconds, container);
        let mut writer = Box::new(writer.unwrap());
        let floats = Values::F64(vec![1.5, f64::NAN, f64::INFINITY]);
        let ints = Values::U8(vec![1, 2, 3]);
        let values = [
            WriteValues { values: &floats, validity: None },
            WriteValues { values: &ints, validity: Some(&[0b011]) },
        ];
        let begin = "2020-01-01".parse::<Tick>().unwrap().ticks();
        let starts: Vec<i64> = (0..3).map(|row| begin + row * Tick::PER_SECOND).collect();
        writer.write(&starts, &values).unwrap();
        writer.write(&[], &[]).unwrap();
        writer.finish().unwrap();
        bytes
    }

    fn check_batch(batch: &RecordBatch) {
        let times = batch.column(0).as_primitive::<TimestampNanosecondType>();
        assert_eq!(times.value(1) - times.value(0), 1_000_000_000);
        assert_eq!(times.value(0), 1_577_836_800_000_000_000);
        let floats = batch.column(1).as_primitive::<Float64Type>();
        assert_eq!((floats.value(0), floats.is_null(1), floats.value(2)), (1.5, true, f64::INFINITY));
        let ints = batch.column(2).as_primitive::<UInt8Type>();
        assert_eq!((ints.value(1), ints.is_null(2)), (2, true));
    }

    #[test]
    fn rows_come_back_from_a_file_and_from_a_stream() {
        let mut file = FileReader::try_new(Cursor::new(written(ArrowContainer::File)), None).unwrap();
        let schema = file.schema();
        assert_eq!(
            schema.fields().iter().map(|f| f.name().as_str()).collect::<Vec<_>>(),
            ["time", "P (kW)", "n (kW)"]
        );
        assert_eq!(schema.field(1).metadata()["unit"], "kW");
        check_batch(&file.next().unwrap().unwrap());
        let mut stream = StreamReader::try_new(Cursor::new(written(ArrowContainer::Stream)), None).unwrap();
        check_batch(&stream.next().unwrap().unwrap());
        assert!(stream.next().is_none());
    }
}
