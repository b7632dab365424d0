//! Tables of any kind: which reader is the right one.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::csv::{CsvOptions, CsvReader};
use crate::error::{Shown, SourceError};
use crate::input::Input;
use crate::parquet::{MAGIC, ParquetOptions, ParquetReader};
use crate::table::Table;

/// How a table is written, whatever kind of file it is in.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TableOptions {
    /// The kind of file; recognized if it is not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<TableFormat>,
    /// How it is written. Of a Parquet file the columns, the times, the zone and what happens at errors count, see
    /// [`ParquetOptions`]; delimiters and the like don't.
    pub csv: CsvOptions,
}

/// A kind of file that holds a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TableFormat {
    /// Delimited text, compressed or not.
    Csv,
    /// Apache Parquet.
    Parquet,
}

impl fmt::Display for TableFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TableFormat::Csv => "csv",
            TableFormat::Parquet => "parquet",
        })
    }
}

impl FromStr for TableFormat {
    type Err = UnknownTableFormat;

    fn from_str(text: &str) -> Result<TableFormat, UnknownTableFormat> {
        match text {
            "csv" => Ok(TableFormat::Csv),
            "parquet" => Ok(TableFormat::Parquet),
            _ => Err(UnknownTableFormat { text: text.to_owned() }),
        }
    }
}

/// No kind of file that can be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown kind of table {}; allowed: csv, parquet", Shown(text))]
pub struct UnknownTableFormat {
    /// What was given.
    pub text: String,
}

/// Opens a table with the reader for it. A Parquet file is known by its first bytes, or, if it is empty or something else
/// altogether, by its name: so a damaged one is not taken for text.
///
/// # Errors
/// What [`CsvReader::open`] and [`ParquetReader::open`] say.
pub fn open_table(input: Input, options: &TableOptions) -> Result<Box<dyn Table>, SourceError> {
    let (magic, input) = input.peek()?;
    let is_named =
        || Path::new(input.name()).extension().is_some_and(|name| name == "parquet" || name == "pq");
    let format = options.format.unwrap_or_else(|| {
        if magic.starts_with(MAGIC) || is_named() { TableFormat::Parquet } else { TableFormat::Csv }
    });
    Ok(match format {
        TableFormat::Csv => Box::new(CsvReader::open(input, options.csv.clone())?),
        TableFormat::Parquet => {
            Box::new(ParquetReader::open(input, ParquetOptions::from(options.csv.clone()))?)
        }
    })
}
