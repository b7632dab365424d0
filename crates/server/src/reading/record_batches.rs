//! Values as streams of Arrow record batches.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::Arc;

use arrow_array::{
    ArrayRef, FixedSizeListArray, Float32Array, Float64Array, Int32Array, Int64Array, ListArray, RecordBatch,
    TimestampMicrosecondArray, TimestampNanosecondArray,
};
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef, TimeUnit as ArrowUnit};
use sheaf_sources::{TimeUnit, WriteError};

use super::encode::{Encoder, Times};
use super::{Request, Step};

/// Name of the column of times.
const TIME: &str = "time";

/// A table: a column `time`, and one for each path, in which what is missing is null.
pub(super) struct TableEncoder<W: Write> {
    writer: StreamWriter<W>,
    schema: SchemaRef,
    unit: TimeUnit,
    times: Times,
}

impl<W: Write> TableEncoder<W> {
    /// Begins with the schema. What all columns share is in its metadata: `begin`, `end`, `samplePeriod`, `commit`; the unit
    /// of a column is in that of its field, as `unit`.
    pub(super) fn new(request: &Request, unit: TimeUnit, out: W) -> Result<TableEncoder<W>, WriteError> {
        let arrow_unit = match unit {
            TimeUnit::Nanoseconds => ArrowUnit::Nanosecond,
            TimeUnit::Microseconds => ArrowUnit::Microsecond,
        };
        let mut fields = vec![Field::new(TIME, DataType::Timestamp(arrow_unit, Some("UTC".into())), false)];
        for column in request.columns() {
            let unit = column.unit.map(|unit| ("unit".to_owned(), unit));
            let metadata: HashMap<String, String> = unit.into_iter().collect();
            fields.push(Field::new(column.title, DataType::Float64, true).with_metadata(metadata));
        }
        let metadata = HashMap::from([
            ("begin".to_owned(), request.range.begin().to_string()),
            ("end".to_owned(), request.range.end().to_string()),
            ("samplePeriod".to_owned(), request.period.to_string()),
            ("commit".to_owned(), request.snapshot.commit().to_string()),
        ]);
        let schema = Arc::new(Schema::new_with_metadata(fields, metadata));
        let writer = StreamWriter::try_new(out, &schema).map_err(failed)?;
        Ok(TableEncoder { writer, schema, unit, times: Times::new(request.range, request.period.ticks()) })
    }
}

impl<W: Write + Send> Encoder for TableEncoder<W> {
    fn take(&mut self, step: Step) -> Result<(), WriteError> {
        let Step::Block(block) = step else { return Ok(()) };
        let rows = block.first().map_or(0, Vec::len);
        let times: Vec<i64> =
            self.times.next(rows).map(|ticks| self.unit.of(ticks)).collect::<Result<_, _>>()?;
        let times: ArrayRef = match self.unit {
            TimeUnit::Nanoseconds => Arc::new(TimestampNanosecondArray::from(times).with_timezone("UTC")),
            TimeUnit::Microseconds => Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC")),
        };
        let mut columns = vec![times];
        columns.extend(block.into_iter().map(nullable));
        let batch = RecordBatch::try_new(self.schema.clone(), columns).map_err(failed)?;
        self.writer.write(&batch).map_err(failed)
    }

    fn finish(mut self: Box<Self>) -> Result<(), WriteError> {
        self.writer.finish().map_err(failed)
    }
}

/// A column in which NaN is null.
fn nullable(values: Vec<f64>) -> ArrayRef {
    if values.iter().any(|value| value.is_nan()) {
        Arc::new(
            values
                .into_iter()
                .map(|value| Some(value).filter(|value| !value.is_nan()))
                .collect::<Float64Array>(),
        )
    } else {
        Arc::new(Float64Array::from(values))
    }
}

/// What Nexus clients read: each row has the number of a resource, the number of its values that came before, and values.
pub(super) struct ListEncoder<W: Write> {
    writer: StreamWriter<W>,
    schema: SchemaRef,
    item: Arc<Field>,
    single: bool,
    resource: i32,
    offset: i64,
}

impl<W: Write> ListEncoder<W> {
    pub(super) fn new(single: bool, out: W) -> Result<ListEncoder<W>, WriteError> {
        let item =
            Arc::new(Field::new("item", if single { DataType::Float32 } else { DataType::Float64 }, false));
        let schema = Arc::new(Schema::new(vec![
            Field::new("resourceIndex", DataType::Int32, false),
            Field::new("offset", DataType::Int64, false),
            Field::new("values", DataType::List(item.clone()), false),
        ]));
        let writer = StreamWriter::try_new(out, &schema).map_err(failed)?;
        Ok(ListEncoder { writer, schema, item, single, resource: 0, offset: 0 })
    }
}

impl<W: Write + Send> Encoder for ListEncoder<W> {
    fn take(&mut self, step: Step) -> Result<(), WriteError> {
        match step {
            Step::Begin(path) => {
                self.resource = i32::try_from(path).map_err(io::Error::other)?;
                self.offset = 0;
            }
            Step::Values(values) if !values.is_empty() => {
                let len = values.len();
                let values: ArrayRef = if self.single {
                    Arc::new(values.into_iter().map(|value| value as f32).collect::<Float32Array>())
                } else {
                    Arc::new(Float64Array::from(values))
                };
                let size = i32::try_from(len).map_err(io::Error::other)?;
                let list =
                    FixedSizeListArray::try_new(self.item.clone(), size, values, None).map_err(failed)?;
                let columns: Vec<ArrayRef> = vec![
                    Arc::new(Int32Array::from(vec![self.resource])),
                    Arc::new(Int64Array::from(vec![self.offset])),
                    Arc::new(ListArray::from(list)),
                ];
                self.offset += len as i64;
                let batch = RecordBatch::try_new(self.schema.clone(), columns).map_err(failed)?;
                self.writer.write(&batch).map_err(failed)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<(), WriteError> {
        self.writer.finish().map_err(failed)
    }
}

fn failed(error: ArrowError) -> WriteError {
    WriteError::Io(match error {
        ArrowError::IoError(_, error) => error,
        other => io::Error::other(other),
    })
}
