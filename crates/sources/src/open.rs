//! Tables of any kind: which reader is the right one.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::arrow::{ArrowReader, CONTINUATION, FILE_MAGIC};
use crate::csv::{CsvOptions, CsvReader};
use crate::error::{Shown, SourceError};
use crate::input::Input;
use crate::json::JsonLinesReader;
use crate::parquet::{MAGIC, ParquetOptions, ParquetReader};
use crate::table::Table;

/// How a table is written, whatever kind of file it is in.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TableOptions {
    /// The kind of file; recognized if it is not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<TableFormat>,
    /// How it is written. Where a table is no delimited text, the columns, the times, the zone and what happens at errors
    /// count, see [`ParquetOptions`]; delimiters and the like don't.
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
    /// An object of JSON in each line, compressed or not.
    JsonLines,
    /// Messages of Arrow: a stream, or a file (Feather).
    ArrowStream,
}

impl TableFormat {
    /// All of them.
    pub const ALL: [TableFormat; 4] =
        [TableFormat::Csv, TableFormat::Parquet, TableFormat::JsonLines, TableFormat::ArrowStream];

    /// What options call it.
    pub const fn name(self) -> &'static str {
        match self {
            TableFormat::Csv => "csv",
            TableFormat::Parquet => "parquet",
            TableFormat::JsonLines => "json_lines",
            TableFormat::ArrowStream => "arrow_stream",
        }
    }

    /// Ends of names of such files, without the one of a compression. Any text is taken for CSV.
    pub const fn extensions(self) -> &'static [&'static str] {
        match self {
            TableFormat::Csv => &["csv", "tsv"],
            TableFormat::Parquet => &["parquet", "pq"],
            TableFormat::JsonLines => &["jsonl", "ndjson", "jsonlines"],
            TableFormat::ArrowStream => &["arrows", "arrow", "feather"],
        }
    }

    /// The kind that the name of a file says it is.
    fn of_name(name: &str) -> Option<TableFormat> {
        let path = Path::new(name);
        let extension = |path: &Path| path.extension()?.to_str().map(str::to_ascii_lowercase);
        let mut found = extension(path)?;
        if matches!(found.as_str(), "gz" | "zst") {
            found = extension(Path::new(path.file_stem()?))?;
        }
        TableFormat::ALL.into_iter().find(|format| format.extensions().contains(&found.as_str()))
    }

    /// The kind that the first bytes of a file say it is.
    fn of_bytes(bytes: &[u8]) -> Option<TableFormat> {
        if bytes.starts_with(MAGIC) {
            return Some(TableFormat::Parquet);
        }
        if bytes.starts_with(CONTINUATION) || bytes.starts_with(FILE_MAGIC) {
            return Some(TableFormat::ArrowStream);
        }
        let text = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes).trim_ascii_start();
        text.starts_with(b"{").then_some(TableFormat::JsonLines)
    }
}

impl fmt::Display for TableFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for TableFormat {
    type Err = UnknownTableFormat;

    fn from_str(text: &str) -> Result<TableFormat, UnknownTableFormat> {
        let found = TableFormat::ALL.into_iter().find(|format| format.name() == text);
        found.ok_or_else(|| UnknownTableFormat { text: text.to_owned() })
    }
}

/// No kind of file that can be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown kind of table {}; allowed: {}", Shown(text), TableFormat::ALL.map(TableFormat::name).join(", "))]
pub struct UnknownTableFormat {
    /// What was given.
    pub text: String,
}

/// Opens a table with the reader for it. Kinds are known by their first bytes, or, if those are something else altogether, by
/// the name of the file: so a damaged one is not taken for text. What is neither is CSV.
///
/// # Errors
/// What [`CsvReader::open`], [`JsonLinesReader::open`], [`ParquetReader::open`] and [`ArrowReader::open`] say.
pub fn open_table(input: Input, options: &TableOptions) -> Result<Box<dyn Table>, SourceError> {
    let (first, input) = input.peek()?;
    let recognized = || TableFormat::of_bytes(&first).or_else(|| TableFormat::of_name(input.name()));
    let format = options.format.or_else(recognized).unwrap_or(TableFormat::Csv);
    let csv = options.csv.clone();
    Ok(match format {
        TableFormat::Csv => Box::new(CsvReader::open(input, csv)?),
        TableFormat::Parquet => Box::new(ParquetReader::open(input, ParquetOptions::from(csv))?),
        TableFormat::JsonLines => Box::new(JsonLinesReader::open(input, csv)?),
        TableFormat::ArrowStream => Box::new(ArrowReader::open(input, ParquetOptions::from(csv))?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_known_by_bytes_and_by_name() {
        for (name, bytes, format) in [
            ("a.csv", &b"time,T1"[..], "csv"),
            ("a.csv", b"PAR1", "parquet"),
            ("body", b" \r\n{\"time\"", "json_lines"),
            ("body", b"\xEF\xBB\xBF{\"t", "json_lines"),
            ("a.NDJSON.gz", b"\x1F\x8B", "json_lines"),
            ("dir.jsonl/a.gz", b"\x1F\x8B", "csv"),
            ("a.pq", b"", "parquet"),
            ("body", b"\xFF\xFF\xFF\xFF\x80\0\0\0", "arrow_stream"),
            ("a.csv", b"ARROW1\0\0", "arrow_stream"),
            ("a.arrows.zst", b"\x28\xB5", "arrow_stream"),
            ("gz", b"", "csv"),
        ] {
            let found = TableFormat::of_bytes(bytes).or_else(|| TableFormat::of_name(name));
            assert_eq!(found.unwrap_or(TableFormat::Csv), format.parse().unwrap(), "{name}");
        }
        let error = "xlsx".parse::<TableFormat>().unwrap_err().to_string();
        assert_eq!(error, "unknown kind of table `xlsx`; allowed: csv, parquet, json_lines, arrow_stream");
    }
}
