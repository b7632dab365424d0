//! How a Parquet file is meant, as far as it does not say so.

use sheaf_model::{SamplePeriod, Tick};

use crate::csv::{ColumnRef, CsvOptions, Layout, OnError, TimeFormat};
use crate::error::SourceError;

/// How a Parquet file is meant. What is not said is recognized from its schema, its metadata and its first rows.
#[derive(Clone, Debug, Default)]
pub struct ParquetOptions {
    /// Wide or long.
    pub layout: Option<Layout>,
    /// The column of times.
    pub time_column: Option<ColumnRef>,
    /// The column that says which series a row of a long table belongs to.
    pub series_column: Option<ColumnRef>,
    /// The columns of values; all others are left out. A long table has one.
    pub value_columns: Vec<ColumnRef>,
    /// Columns to leave out.
    pub ignored_columns: Vec<ColumnRef>,
    /// How times are written that are integers or texts; timestamps and dates say so themselves.
    pub time_format: TimeFormat,
    /// The zone of times that are no points in time: of local timestamps, those of 96 bits, dates, and texts without an
    /// offset. `UTC` (the default), an offset like `+01:00`, or a name like `Europe/Berlin`.
    pub time_zone: Option<String>,
    /// Numbers that stand for a missing value, such as `-999`, beside nulls and NaN. Other words don't matter.
    pub missing: Option<Vec<String>>,
    /// The time of row 0, where times are row counts.
    pub begin: Option<Tick>,
    /// The distance between rows, where times are row counts.
    pub period: Option<SamplePeriod>,
    /// What happens at a row without a time or a series, or with one that can't be.
    pub on_error: OnError,
}

impl ParquetOptions {
    /// Refuses what can't be, before anything is read.
    pub(crate) fn check(&self) -> Result<(), SourceError> {
        // What both kinds of tables have is checked in one place.
        let options = CsvOptions {
            layout: self.layout,
            time_column: self.time_column.clone(),
            series_column: self.series_column.clone(),
            value_columns: self.value_columns.clone(),
            ignored_columns: self.ignored_columns.clone(),
            ..CsvOptions::default()
        };
        options.check()
    }
}

/// What options for text say of Parquet files, too.
impl From<CsvOptions> for ParquetOptions {
    fn from(options: CsvOptions) -> ParquetOptions {
        ParquetOptions {
            layout: options.layout,
            time_column: options.time_column,
            series_column: options.series_column,
            value_columns: options.value_columns,
            ignored_columns: options.ignored_columns,
            time_format: options.time_format,
            time_zone: options.time_zone,
            missing: options.missing,
            begin: options.begin,
            period: options.period,
            on_error: options.on_error,
        }
    }
}
