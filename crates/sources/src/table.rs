//! What readers hand on: batches of rows, columns, and a report.

use std::fmt;

use sheaf_model::{CatalogId, IdError, RepresentationId, ResourceId, SamplePeriod, Tick};

use crate::csv::{Layout, TimeFormat};
use crate::error::{ColumnName, RowError, SourceError};
use crate::input::Compression;

/// A table that is read from its first row to its last one, whatever kind of file it comes from.
pub trait Table: Send {
    /// The name of the input, as errors say it.
    fn name(&self) -> &str;

    /// The series of the table; those of a long table once a row of them was read.
    fn columns(&self) -> &[Column];

    /// What the input says about itself.
    fn metadata(&self) -> &Metadata;

    /// The next rows; `None` after the last ones.
    ///
    /// # Errors
    /// The input can't be read, or a row is wrong and wrong rows are not skipped. Nothing more comes then.
    fn next_batch(&mut self) -> Result<Option<Batch>, SourceError>;

    /// What was read so far, for people.
    fn summary(&self) -> Summary;

    /// How many bytes of the input were read, and how many it has, if that is known.
    fn progress(&self) -> (u64, Option<u64>) {
        (0, None)
    }

    /// What rows are counted in where an error names one.
    fn place(&self) -> Place {
        Place::Line
    }
}

/// What the numbers in [`Batch::lines`] count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Lines of a text.
    Line,
    /// Rows of a file that has no lines.
    Row,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Place::Line => "line",
            Place::Row => "row",
        })
    }
}

/// What was read of a table, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Rows that were read.
    pub rows: u64,
    /// Rows that were skipped because they are wrong.
    pub skipped: u64,
    /// The first of them, at most [`Report::MOST_ERRORS`].
    pub errors: Vec<String>,
    /// Times that occur twice, because the clocks were set back, and were told apart by the order of rows.
    pub folds: u64,
    /// How the input was read.
    pub detected: String,
}

/// Rows, in the order of the input.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// The line in which each row begins, from 1; the number of the row where there are no lines, see [`Table::place`].
    pub lines: Vec<u64>,
    /// The time of each row, in ticks of 100 ns since 0001-01-01T00:00Z; not sorted, and maybe not unique.
    pub starts: Vec<i64>,
    /// The values.
    pub rows: Rows,
}

impl Batch {
    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }
}

/// The values of a batch.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Rows {
    /// Each row has a value of every series: for each column the values of all rows.
    Wide(Vec<ColumnValues>),
    /// Each row has one value of one series.
    Long {
        /// Which column each row belongs to: an index into the reader's columns.
        series: Vec<u32>,
        /// The value of each row.
        values: ColumnValues,
    },
}

/// Values of one column of a batch.
#[derive(Clone, Debug, PartialEq)]
pub enum ColumnValues {
    /// All of them are integers, or missing.
    Ints {
        /// The values; anything where one is missing.
        values: Vec<i64>,
        /// A bit for each value, least significant first, set where it is not missing; `None` where none is.
        validity: Option<Vec<u64>>,
    },
    /// At least one has a fraction, an exponent or the sign of `-0`, or is beyond the integers of 64 bits. Missing
    /// ones are NaN, integers are rounded to the nearest float.
    Floats(Vec<f64>),
}

impl ColumnValues {
    /// How many there are, missing ones included.
    pub fn len(&self) -> usize {
        match self {
            ColumnValues::Ints { values, .. } => values.len(),
            ColumnValues::Floats(values) => values.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Value `index` as a float, NaN where it is missing; `None` beyond the end.
    pub fn get(&self, index: usize) -> Option<f64> {
        match self {
            ColumnValues::Floats(values) => values.get(index).copied(),
            ColumnValues::Ints { values, validity } => {
                let value = *values.get(index)?;
                let valid = validity.as_ref().is_none_or(|words| words[index / 64] >> (index % 64) & 1 == 1);
                Some(if valid { value as f64 } else { f64::NAN })
            }
        }
    }
}

/// A series of the input.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Column {
    /// The title in the header, or the name in the column of series, as it is.
    pub title: String,
    /// The title without the unit.
    pub name: String,
    /// The unit, from the title or from a column of units.
    pub unit: Option<String>,
    /// What the title says of resource and representation, in a file that Nexus exported.
    pub nexus: Option<NexusTitle>,
    /// What was read of it so far.
    pub seen: Seen,
}

impl Column {
    /// The resource that the column becomes: its name, with `_` for what no name of a resource has.
    ///
    /// # Errors
    /// Nothing is left of it, or it is too long.
    pub fn resource(&self) -> Result<ResourceId, IdError> {
        let name = self.nexus.as_ref().map_or(self.name.as_str(), |nexus| nexus.resource.as_str());
        let plain = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '_' };
        let mut cleaned: String = name.trim().chars().map(plain).collect();
        if cleaned.starts_with(|first: char| first.is_ascii_digit()) {
            cleaned.insert(0, '_');
        }
        cleaned.parse()
    }
}

/// A column title of a file that Nexus exported: `resource1_1_s (°C)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NexusTitle {
    /// The id of the resource: `resource1`.
    pub resource: String,
    /// The representation: `1_s`.
    pub representation: RepresentationId,
    /// The parameters, as they are written: `(k=v)`.
    pub parameters: Option<String>,
}

/// How many values of a series were what. Decides whether integers are enough for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Integers.
    pub integers: u64,
    /// Integers that no float holds exactly (beyond 2⁵³).
    pub wide_integers: u64,
    /// Other numbers.
    pub fractions: u64,
    /// No value.
    pub missing: u64,
}

impl Seen {
    pub(crate) fn count_integer(&mut self, value: i64) {
        self.integers += 1;
        // The saturated end of the range is no integer that a float holds.
        self.wide_integers += u64::from(value as f64 as i64 != value || value == i64::MAX);
    }

    pub(crate) fn add(&mut self, other: Seen) {
        self.integers += other.integers;
        self.wide_integers += other.wide_integers;
        self.fractions += other.fractions;
        self.missing += other.missing;
    }
}

/// What the comment lines of a file that Nexus exported say, and options override.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// `# date_time:`, the time of row 0.
    pub begin: Option<Tick>,
    /// `# sample_period:`.
    pub period: Option<SamplePeriod>,
    /// `# catalog_id:`.
    pub catalog: Option<CatalogId>,
}

/// What a reader did and found.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Report {
    /// Rows that were read.
    pub rows: u64,
    /// Rows that were skipped because they are wrong.
    pub skipped: u64,
    /// The first of them, at most [`Report::MOST_ERRORS`].
    pub errors: Vec<RowError>,
    /// Times that occur twice, because the clocks were set back, and were told apart by the order of rows.
    pub folds: u64,
    /// How the input was read.
    pub detected: Detected,
}

impl Report {
    /// How many errors are kept.
    pub const MOST_ERRORS: usize = 20;
}

/// How an input is read: what the options say, and for the rest what was recognized.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Detected {
    /// How the input is compressed.
    pub compression: Option<Compression>,
    /// Whether names are in Latin-1, because they are not in UTF-8.
    pub latin1: bool,
    /// The character between fields.
    pub delimiter: char,
    /// The decimal separator; `None` as long as only integers were read.
    pub decimal: Option<char>,
    /// The line with the titles.
    pub header_line: Option<u64>,
    /// Wide or long.
    pub layout: Layout,
    /// The column of times.
    pub time_column: ColumnName,
    /// The column of times of day, where they stand apart.
    pub clock_column: Option<ColumnName>,
    /// How times are written, never [`TimeFormat::Auto`].
    pub time_format: TimeFormat,
    /// The zone of times that don't say theirs.
    pub time_zone: String,
    /// Whether the file has the comment lines of a Nexus export.
    pub nexus: bool,
    /// Columns that are not read.
    pub ignored: Vec<ColumnName>,
}

/// One line for people: ``delimiter `;`, decimal `,`, titles in line 1, …``.
impl fmt::Display for Detected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let delimiter =
            if self.delimiter == '\t' { "tab".to_owned() } else { format!("`{}`", self.delimiter) };
        write!(f, "{} table, delimiter {delimiter}", self.layout)?;
        if let Some(decimal) = self.decimal {
            write!(f, ", decimal separator `{decimal}`")?;
        }
        match self.header_line {
            Some(line) => write!(f, ", titles in line {line}")?,
            None => f.write_str(", no titles")?,
        }
        write!(f, ", times in {}", self.time_column)?;
        if let Some(clock) = &self.clock_column {
            write!(f, " and {clock}")?;
        }
        write!(f, " as {}", self.time_format)?;
        if !matches!(self.time_format, TimeFormat::Index) {
            write!(f, ", time zone {}", self.time_zone)?;
        }
        if self.latin1 {
            f.write_str(", names in Latin-1")?;
        }
        Ok(())
    }
}
