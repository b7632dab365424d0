//! Values in the formats that others read.

use std::io::{self, Write};

use sheaf_model::{TimeRange, Values};
use sheaf_sources::{CsvWriter, ParquetWriter, TableWriter, TimeUnit, WriteError, WriteValues};

use super::json::JsonEncoder;
use super::record_batches::{ListEncoder, TableEncoder as ArrowEncoder};
use super::{Order, Request, Step};

/// How values are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Delimited text, one column for each path, times in ISO 8601.
    Csv,
    /// One object with arrays of values. So many paths after each other are the columns of one series, each under the name of
    /// its kind; a single one is under `values`.
    Json {
        /// How many.
        columns: usize,
    },
    /// One column for each path, real timestamps; rows are written once there are so many values, if it is said.
    Parquet {
        /// Values of a row group, of all columns together.
        group_values: Option<usize>,
    },
    /// A stream of Arrow, one column for each path, real timestamps.
    Arrow,
    /// A stream of Arrow in which each row has some values of one path: what Nexus calls a batch stream.
    ArrowLists {
        /// Whether the values are 32-bit floats.
        single: bool,
    },
    /// Raw little-endian doubles, one path after the other.
    F64,
}

impl Format {
    /// The order in which it takes values; of short series so many values may be held.
    pub(crate) fn order(self, most_values: u64) -> Order {
        match self {
            Format::Csv | Format::Parquet { .. } | Format::Arrow => Order::SideBySide,
            Format::Json { columns } => Order::OneByOne { most_values, fewest_paths: columns },
            Format::ArrowLists { .. } | Format::F64 => Order::OneByOne { most_values, fewest_paths: 1 },
        }
    }
}

/// Where an encoder writes to.
pub(crate) trait Sink: Write + Send {
    /// Writes values as little-endian doubles.
    fn write_values(&mut self, values: Vec<f64>) -> io::Result<()>;
}

/// A sink of bytes.
pub(crate) struct Plain<W> {
    out: W,
    bytes: Vec<u8>,
}

impl<W> Plain<W> {
    /// Writes into this.
    pub(crate) fn new(out: W) -> Plain<W> {
        Plain { out, bytes: Vec::new() }
    }
}

impl<W: Write> Write for Plain<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl<W: Write + Send> Sink for Plain<W> {
    fn write_values(&mut self, values: Vec<f64>) -> io::Result<()> {
        self.bytes.resize(size_of_val(&values[..]), 0);
        for (bytes, value) in self.bytes.as_chunks_mut().0.iter_mut().zip(values) {
            *bytes = value.to_le_bytes();
        }
        self.out.write_all(&self.bytes)
    }
}

/// Writes values in some format.
pub(crate) trait Encoder: Send {
    /// Writes what comes next.
    ///
    /// # Errors
    /// Nothing more can be written.
    fn take(&mut self, step: Step) -> Result<(), WriteError>;

    /// Writes what is left.
    ///
    /// # Errors
    /// It can't be written.
    fn finish(self: Box<Self>) -> Result<(), WriteError>;
}

/// An encoder for the values of a request.
///
/// # Errors
/// The format can't say the times of the request, or the sink fails.
pub(crate) fn encoder<'a>(
    format: Format,
    request: &Request,
    out: impl Sink + 'a,
) -> Result<Box<dyn Encoder + 'a>, WriteError> {
    let unit = || TimeUnit::for_times(request.range, request.period.ticks());
    let table = |writer: Box<dyn TableWriter + 'a>| TableEncoder {
        writer,
        starts: Vec::new(),
        times: Times::new(request.range, request.period.ticks()),
    };
    Ok(match format {
        Format::Csv => Box::new(table(Box::new(CsvWriter::new(out, request.columns())?))),
        Format::Parquet { group_values } => {
            let mut writer = ParquetWriter::new(out, request.columns(), unit()?)?;
            if let Some(values) = group_values {
                writer = writer.in_groups_of(values);
            }
            Box::new(table(Box::new(writer)))
        }
        Format::Json { columns } => Box::new(JsonEncoder::new(request, columns, out)?),
        Format::Arrow => Box::new(ArrowEncoder::new(request, unit()?, out)?),
        Format::ArrowLists { single } => Box::new(ListEncoder::new(single, out)?),
        Format::F64 => Box::new(F64Encoder(out)),
    })
}

/// The begins of values, block by block.
pub(super) struct Times {
    next: i64,
    step: i64,
}

impl Times {
    pub(super) fn new(range: TimeRange, step: i64) -> Times {
        Times { next: range.begin().ticks(), step }
    }

    /// Those of so many rows, in ticks.
    pub(super) fn next(&mut self, rows: usize) -> impl Iterator<Item = i64> + use<> {
        let (first, step) = (self.next, self.step);
        self.next += rows as i64 * step;
        (0..rows as i64).map(move |row| first + row * step)
    }
}

/// Rows of a table.
struct TableEncoder<'a> {
    writer: Box<dyn TableWriter + 'a>,
    starts: Vec<i64>,
    times: Times,
}

impl Encoder for TableEncoder<'_> {
    fn take(&mut self, step: Step) -> Result<(), WriteError> {
        let Step::Block(block) = step else { return Ok(()) };
        self.starts.clear();
        self.starts.extend(self.times.next(block.first().map_or(0, Vec::len)));
        let block: Vec<Values> = block.into_iter().map(Values::F64).collect();
        let values: Vec<_> = block.iter().map(|values| WriteValues { values, validity: None }).collect();
        self.writer.write(&self.starts, &values)
    }

    fn finish(self: Box<Self>) -> Result<(), WriteError> {
        self.writer.finish()
    }
}

/// Nothing but the values.
struct F64Encoder<S>(S);

impl<S: Sink> Encoder for F64Encoder<S> {
    fn take(&mut self, step: Step) -> Result<(), WriteError> {
        match step {
            Step::Values(values) => Ok(self.0.write_values(values)?),
            _ => Ok(()),
        }
    }

    fn finish(mut self: Box<Self>) -> Result<(), WriteError> {
        Ok(self.0.flush()?)
    }
}
