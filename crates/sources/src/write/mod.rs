//! Tables that are written: a column of times and one for each series, as text, JSON, Parquet or Arrow; and tables of records.

mod arrow;
mod csv;
mod json;
mod parquet;
mod records;
mod time_text;

use std::io;

use sheaf_model::{DataType, Tick, Values};

pub use self::arrow::{ArrowContainer, ArrowWriter};
pub use self::csv::CsvWriter;
pub use self::json::JsonLinesWriter;
pub use self::parquet::{ParquetWriter, TimeUnit};
pub use self::records::{RecordType, RecordValue, RecordsWriter};
pub(crate) use self::time_text::TimeText;

/// A column of a table that is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteColumn {
    /// Its title, without the unit.
    pub title: String,
    /// Its unit.
    pub unit: Option<String>,
    /// Type of its values.
    pub data_type: DataType,
}

impl WriteColumn {
    /// Title and unit, as readers of tables take them apart again: `T1 (°C)`.
    pub fn full_title(&self) -> String {
        match &self.unit {
            Some(unit) => format!("{} ({unit})", self.title),
            None => self.title.clone(),
        }
    }
}

/// Values of a column for some rows.
#[derive(Clone, Copy, Debug)]
pub struct WriteValues<'a> {
    /// The values. NaN is missing.
    pub values: &'a Values,
    /// A bit for each value, set where it is there; `None` where all are, but for NaN.
    pub validity: Option<&'a [u64]>,
}

impl WriteValues<'_> {
    pub(crate) fn is_valid(&self, row: usize) -> bool {
        let nan = match self.values {
            Values::F32(values) => values[row].is_nan(),
            Values::F64(values) => values[row].is_nan(),
            _ => false,
        };
        !nan && self.validity.is_none_or(|words| words[row / 64] >> (row % 64) & 1 == 1)
    }
}

/// Writes a table, row by row.
pub trait TableWriter: Send {
    /// Writes rows: when each begins, in ticks, and for each column their values, as many as there are starts.
    ///
    /// # Errors
    /// Nothing more can be written.
    fn write(&mut self, starts: &[i64], columns: &[WriteValues<'_>]) -> Result<(), WriteError>;

    /// Writes what is left; without it the table is not whole.
    ///
    /// # Errors
    /// It can't be written.
    fn finish(self: Box<Self>) -> Result<(), WriteError>;
}

/// A table that can't be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The output fails.
    #[error("can't write the table")]
    Io(#[from] io::Error),
    /// Parquet can't be made of it.
    #[error("can't write the table as Parquet")]
    Parquet(#[source] ::parquet::errors::ParquetError),
    /// Arrow can't be made of it.
    #[error("can't write the table as Arrow")]
    Arrow(#[source] ::arrow_schema::ArrowError),
    /// HDF5 can't be made of it.
    #[error("can't write the table as HDF5")]
    Hdf5(#[from] rust_hdf5::Hdf5Error),
    /// A time beyond what Parquet and Arrow can say.
    #[error(
        "Parquet and Arrow have times in nanoseconds from 1677-09-21 to 2262-04-11, and in microseconds at any time; {time} is \
         beyond the former and no multiple of the latter: take another format or range"
    )]
    Time {
        /// The first such time.
        time: Tick,
    },
    /// Columns and values do not fit each other.
    #[error(
        "the values of column `{title}` are {found}, {len} of them; {data_type} was announced, and {rows} rows"
    )]
    Column {
        /// Title of the column.
        title: String,
        /// What was given.
        found: DataType,
        /// How many values.
        len: usize,
        /// What was announced.
        data_type: DataType,
        /// How many rows there are.
        rows: usize,
    },
    /// A time that is none.
    #[error("row {row} would begin at tick {ticks}, beyond the time that can be named")]
    NoTime {
        /// Its number in the block.
        row: usize,
        /// The tick.
        ticks: i64,
    },
}

impl WriteError {
    /// The error of the output, if it is one: who reads may have had enough.
    pub fn io(&self) -> Option<&io::Error> {
        match self {
            WriteError::Io(error) => Some(error),
            WriteError::Parquet(::parquet::errors::ParquetError::External(error)) => error.downcast_ref(),
            WriteError::Arrow(::arrow_schema::ArrowError::IoError(_, error)) => Some(error),
            _ => None,
        }
    }
}

/// Checks that there is a value for each row of each column.
pub(crate) fn check(
    columns: &[WriteColumn],
    starts: &[i64],
    values: &[WriteValues<'_>],
) -> Result<(), WriteError> {
    for (index, column) in columns.iter().enumerate() {
        let (found, len) = match values.get(index) {
            Some(values) => (values.values.data_type(), values.values.len()),
            None => (column.data_type, 0),
        };
        if found != column.data_type || len != starts.len() {
            let (title, data_type, rows) = (column.title.clone(), column.data_type, starts.len());
            return Err(WriteError::Column { title, found, len, data_type, rows });
        }
    }
    Ok(())
}
