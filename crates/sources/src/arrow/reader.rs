//! Reads a stream, batch by batch.

use std::collections::VecDeque;
use std::fmt;
use std::io::{ErrorKind, Read};

use arrow_array::{Array, RecordBatch};
use arrow_ipc::reader::StreamReader;
use arrow_schema::{ArrowError, Schema};

use super::column::{cells, content_of};
use super::message::{FILE_MAGIC, Messages};
use crate::cells::{Assembler, Cells, Content, Field, Hints, SAMPLE_ROWS, detect, rows_of_batch};
use crate::error::{ColumnName, SourceError};
use crate::guard::caught;
use crate::input::{Input, Opened, Progress};
use crate::parquet::ParquetOptions;
use crate::table::{Batch, Column, Metadata, Place, Summary, Table};

/// Bytes before the first message of a file, at most.
const MOST_PADDING: usize = 128;

/// Columns, at most.
const MOST_COLUMNS: usize = 1 << 17;

/// Reads an Arrow stream, or a file of Arrow (Feather), as batches of samples.
///
/// It is one table: wide, with a column for each series, or long, with columns of series, time and value. What
/// [`ParquetOptions`] leave open is recognized as in Parquet files, see [`ParquetReader`](crate::ParquetReader): times by their
/// type, timestamps with a zone being points in time; texts may be in dictionaries; units are in titles or in the metadata of
/// fields (`unit`).
///
/// Memory is bounded whatever the stream says of itself: a batch of it has 1 GiB at most, and is taken apart in small ones.
/// A stream without its end mark is cut off, and that is an error. The buffers of batches may be compressed with LZ4 or ZSTD, as
/// Feather files are, and the stream as a whole in any way that an [`Input`] may be.
pub struct ArrowReader {
    stream: StreamReader<Messages>,
    progress: Progress,
    assembler: Assembler,
    /// What was read of the stream but not handed out yet.
    waiting: VecDeque<RecordBatch>,
    /// Rows before the next one.
    row: u64,
    finished: bool,
}

impl fmt::Debug for ArrowReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArrowReader")
            .field("input", &self.assembler.input())
            .field("summary", &self.assembler.summary)
            .finish_non_exhaustive()
    }
}

impl ArrowReader {
    /// Opens an input and finds out what its columns mean.
    ///
    /// # Errors
    /// The input can't be opened, is no Arrow stream or a damaged one, options can't be, or columns could be read in two ways.
    pub fn open(input: Input, options: ParquetOptions) -> Result<ArrowReader, SourceError> {
        options.check()?;
        let Opened { name, compression, progress, mut text } = input.unpack()?;
        let failed = |problem: String| SourceError::Unreadable {
            input: name.clone(),
            row: None,
            column: None,
            problem,
        };
        let mut first = Vec::new();
        let read = |source| SourceError::Read { input: name.clone(), line: 0, source };
        text.by_ref().take(8).read_to_end(&mut first).map_err(read)?;
        if first.is_empty() {
            return Err(failed("there is nothing in it".to_owned()));
        }
        if first.starts_with(FILE_MAGIC) {
            // Some writers fill up more than eight bytes.
            for _ in 0..MOST_PADDING / 4 {
                first.clear();
                text.by_ref().take(4).read_to_end(&mut first).map_err(read)?;
                if first != [0; 4] {
                    break;
                }
            }
        }
        let source: Box<dyn Read + Send> = Box::new(std::io::Cursor::new(first).chain(text));
        let stream = guarded(|| StreamReader::try_new(Messages::new(source), None));
        let stream = stream.map_err(|error| read_error(&name, None, error))?;
        let schema = stream.schema();
        if schema.fields().len() > MOST_COLUMNS {
            return Err(failed(format!("it has more than {MOST_COLUMNS} columns")));
        }
        let mut reader = Waiting { stream, name: &name, waiting: VecDeque::new() };
        // The first cells help to tell what columns are.
        let sample = reader.first_rows()?;
        let of_column = |column: usize| -> Result<Option<Cells>, SourceError> {
            let Some(sample) = &sample else { return Ok(None) };
            let rows = sample.num_rows().min(SAMPLE_ROWS);
            let content = content_of(sample.column(column).data_type());
            guarded_cells(sample, column, rows, content).map(Some).map_err(|problem| {
                SourceError::Unreadable {
                    input: name.clone(),
                    row: Some(1),
                    column: Some(ColumnName {
                        number: column + 1,
                        title: schema.field(column).name().clone(),
                    }),
                    problem,
                }
            })
        };
        let plan = detect(&name, "Arrow", fields(&schema), hints(&schema), &options, &of_column)?;
        let Waiting { stream, waiting, .. } = reader;
        let more = compression.map(|compression| format!(", compressed with {compression}"));
        let assembler = Assembler::new(&name, plan, &options, more.as_deref().unwrap_or_default())?;
        Ok(ArrowReader { stream, progress, assembler, waiting, row: 0, finished: false })
    }

    fn read_batch(&mut self) -> Result<Option<Batch>, SourceError> {
        loop {
            let batch = match self.waiting.pop_front() {
                Some(batch) => batch,
                None => match next(&mut self.stream, self.assembler.input(), self.row)? {
                    Some(batch) => batch,
                    None => return Ok(None),
                },
            };
            let columns = self.assembler.plan.columns();
            let rows = rows_of_batch(columns.len()).min(batch.num_rows());
            if rows == 0 {
                continue;
            }
            let mut read = Vec::with_capacity(columns.len());
            for column in columns {
                let content = self.assembler.plan.content(column);
                let found = guarded_cells(&batch, column, rows, content);
                read.push(found.map_err(|problem| self.assembler.unreadable(self.row + 1, column, problem))?);
            }
            if rows < batch.num_rows() {
                self.waiting.push_front(batch.slice(rows, batch.num_rows() - rows));
            }
            let first_row = self.row + 1;
            self.row += rows as u64;
            let batch = self.assembler.batch(first_row, read)?;
            if !batch.is_empty() {
                return Ok(Some(batch));
            }
        }
    }
}

/// A stream whose first batches are looked at.
struct Waiting<'a> {
    stream: StreamReader<Messages>,
    name: &'a str,
    waiting: VecDeque<RecordBatch>,
}

impl Waiting<'_> {
    /// The first batch with rows; it waits to be read for good.
    fn first_rows(&mut self) -> Result<Option<RecordBatch>, SourceError> {
        while let Some(batch) = next(&mut self.stream, self.name, 0)? {
            if batch.num_rows() > 0 {
                self.waiting.push_back(batch.clone());
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }
}

/// The next batch of the stream, behind so many rows.
fn next(
    stream: &mut StreamReader<Messages>,
    input: &str,
    row: u64,
) -> Result<Option<RecordBatch>, SourceError> {
    guarded(|| stream.next().transpose()).map_err(|error| read_error(input, Some(row + 1), error))
}

/// What the decoder gives.
fn guarded<T>(decode: impl FnOnce() -> Result<T, ArrowError>) -> Result<T, ArrowError> {
    caught(decode).unwrap_or_else(|problem| Err(ArrowError::IpcError(problem)))
}

/// The first cells of a column.
fn guarded_cells(batch: &RecordBatch, column: usize, rows: usize, content: Content) -> Result<Cells, String> {
    caught(|| cells(&batch.column(column).slice(0, rows), content)).unwrap_or_else(Err)
}

/// What is wrong with a stream.
fn read_error(input: &str, row: Option<u64>, error: ArrowError) -> SourceError {
    let problem = match error {
        // That one is ours, or the disk's.
        ArrowError::IoError(_, source) if source.kind() != ErrorKind::InvalidData => {
            return SourceError::Read { input: input.to_owned(), line: row.unwrap_or(1) - 1, source };
        }
        ArrowError::IoError(_, source) => source.to_string(),
        ArrowError::IpcError(problem) | ArrowError::ParseError(problem) => {
            format!("it is damaged: {problem}")
        }
        ArrowError::InvalidArgumentError(problem) => {
            format!("it is damaged, or written in a way that is not read here: {problem}")
        }
        other => other.to_string(),
    };
    SourceError::Unreadable { input: input.to_owned(), row, column: None, problem }
}

fn fields(schema: &Schema) -> Vec<Field> {
    let field = |(leaf, field): (usize, &arrow_schema::FieldRef)| Field {
        title: field.name().clone(),
        content: content_of(field.data_type()),
        leaf,
    };
    schema.fields().iter().enumerate().map(field).collect()
}

fn hints(schema: &Schema) -> Hints {
    let said = |key: &str| schema.metadata().get(key).map(String::as_str);
    let mut hints = Hints::of_data_frame(said("pandas"), said("PANDAS_ATTRS"));
    for field in schema.fields() {
        if let Some(unit) = field.metadata().get("unit").or_else(|| field.metadata().get("units")) {
            hints.add_unit(field.name(), unit);
        }
    }
    hints
}

impl Table for ArrowReader {
    fn name(&self) -> &str {
        self.assembler.input()
    }

    fn columns(&self) -> &[Column] {
        self.assembler.columns()
    }

    fn metadata(&self) -> &Metadata {
        &self.assembler.said
    }

    fn next_batch(&mut self) -> Result<Option<Batch>, SourceError> {
        if self.finished {
            return Ok(None);
        }
        let batch = self.read_batch();
        self.finished = !matches!(batch, Ok(Some(_)));
        batch
    }

    fn summary(&self) -> Summary {
        self.assembler.summary.clone()
    }

    fn progress(&self) -> (u64, Option<u64>) {
        self.progress.bytes()
    }

    fn place(&self) -> Place {
        Place::Row
    }
}
