//! What can be wrong with an input, and where.

use std::fmt;
use std::io;

use sheaf_model::{SamplePeriod, write_quoted};

use crate::meters::MeterProblem;
use crate::source::SourceProblem;
use crate::table::Place;
use crate::weather::WeatherProblem;

/// An input that can't be read. No sample of it must be used then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// There is no such input, or it may not be read.
    #[error("can't open {input}")]
    Open {
        /// The input.
        input: String,
        /// Why not.
        source: io::Error,
    },
    /// Reading failed: the disk, or compressed data that are cut off or damaged.
    #[error("can't read {input} beyond line {line}")]
    Read {
        /// The input.
        input: String,
        /// The last line that was read.
        line: u64,
        /// Why not.
        source: io::Error,
    },
    /// Not text, or text of another encoding.
    #[error("{input} {problem}")]
    NotText {
        /// The input.
        input: String,
        /// What it is.
        problem: NotText,
    },
    /// An option that can't be.
    #[error("option `{option}`: {problem}")]
    Option {
        /// Its name.
        option: &'static str,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// The table as a whole: its columns, its header, its formats.
    #[error("{input}{}: {problem}", AtLine(*line))]
    Table {
        /// The input.
        input: String,
        /// The line, where there is one to show.
        line: Option<u64>,
        /// What is wrong, and what would be right.
        problem: Box<TableProblem>,
    },
    /// One row.
    #[error(transparent)]
    Row(Box<RowError>),
    /// A source of tables.
    #[error("{name}: {problem}")]
    Source {
        /// What it is called.
        name: String,
        /// What is wrong, and what would be right.
        problem: Box<SourceProblem>,
    },
    /// A binary file that is cut off, damaged, made to do harm, or written in a way that is not known here.
    #[error("{input}{}{}: {problem}", AtRow(*row), AtColumn(column.as_ref()))]
    Unreadable {
        /// The input.
        input: String,
        /// The row from which on nothing can be read, from 1.
        row: Option<u64>,
        /// The column, where it is one.
        column: Option<ColumnName>,
        /// What is wrong.
        problem: String,
    },
}

impl SourceError {
    /// A problem of a source with this name.
    pub fn of_source(name: &str, problem: SourceProblem) -> SourceError {
        SourceError::Source { name: name.to_owned(), problem: Box::new(problem) }
    }

    /// Whether the input is wrong, in contrast to a machine that can't read it.
    pub fn is_invalid_input(&self) -> bool {
        !matches!(self, SourceError::Open { .. } | SourceError::Read { .. }) && !self.is_unavailable()
    }

    /// Whether another server does not answer as it should, so that the same may work later.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, SourceError::Source { problem, .. } if problem.is_unavailable())
    }
}

struct AtLine(Option<u64>);

impl fmt::Display for AtLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(line) => write!(f, ", line {line}"),
            None => Ok(()),
        }
    }
}

struct AtRow(Option<u64>);

impl fmt::Display for AtRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(row) => write!(f, ", from row {row} on"),
            None => Ok(()),
        }
    }
}

struct AtColumn<'a>(Option<&'a ColumnName>);

impl fmt::Display for AtColumn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(column) => write!(f, ", {column}"),
            None => Ok(()),
        }
    }
}

/// What an input is instead of UTF-8 text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotText {
    /// UTF-16 or UTF-32.
    #[error("is text in {0}; save it as UTF-8")]
    Wide(&'static str),
    /// A format that is no text.
    #[error("is {what}; {instead}")]
    Format {
        /// What it is.
        what: &'static str,
        /// What to do.
        instead: &'static str,
    },
    /// No text at all.
    #[error(
        "is no text but binary data, with byte {byte:#04x} at offset {offset}; export it as delimited text"
    )]
    Binary {
        /// The first byte that text does not have.
        byte: u8,
        /// Where it is, from 0.
        offset: usize,
    },
}

/// What is wrong with a table as a whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TableProblem {
    /// Nothing in it.
    #[error("there is no table: no line that is neither blank nor a comment")]
    Empty,
    /// Nothing in JSON lines.
    #[error("there is no line with an object")]
    NoObjects,
    /// No line of JSON lines can be read.
    #[error("no line is a JSON object ({problem}), such as {}; write one object in each line", Shown(text))]
    NoJsonLines {
        /// What is wrong with the first one.
        problem: String,
        /// The first one.
        text: String,
    },
    /// Only one column.
    #[error(
        "`,`, `;`, tab and `|` all leave a single column ({}); say which character separates fields with option \
         `delimiter`",
        Shown(first)
    )]
    OneColumn {
        /// The first line.
        first: String,
    },
    /// Lines before the table.
    #[error(
        "this line has {}, but the table seems to begin in line {table_line}, with {}; say in which line the header \
         is with option `header`",
        Count(*fields),
        Count(*table_fields)
    )]
    Preamble {
        /// Fields of the first line.
        fields: usize,
        /// Where the table seems to begin.
        table_line: u64,
        /// Fields of the table.
        table_fields: usize,
    },
    /// The header line is not there.
    #[error("there is no line {wanted}, where the header should be")]
    NoHeaderLine {
        /// Where it should be.
        wanted: u64,
    },
    /// A column that is not there.
    #[error("there is no column {wanted} for option `{option}`; the columns are {columns}")]
    NoColumn {
        /// The option that names it.
        option: &'static str,
        /// How it was named.
        wanted: String,
        /// Those that are there.
        columns: String,
    },
    /// A name that several columns have.
    #[error(
        "columns {first} and {second} are both called {}; leave one out with option `ignored_columns`, by its number",
        Shown(name)
    )]
    SameName {
        /// The name.
        name: String,
        /// Number of the first one.
        first: usize,
        /// Number of the second one.
        second: usize,
    },
    /// A column that is used twice.
    #[error("{column} can't be both the column of `{first}` and of `{second}`")]
    SameColumn {
        /// The column.
        column: ColumnName,
        /// One use.
        first: &'static str,
        /// The other one.
        second: &'static str,
    },
    /// No column holds times.
    #[error(
        "no column holds times that can be recognized; name it with option `time_column`, and its form with \
         `time_format`. The columns are {columns}"
    )]
    NoTimeColumn {
        /// Those that are there.
        columns: String,
    },
    /// Several columns hold times.
    #[error("{first} and {second} both hold times; name the one that counts with option `time_column`")]
    SeveralTimeColumns {
        /// One.
        first: ColumnName,
        /// Another one.
        second: ColumnName,
    },
    /// Numbers that could be many kinds of time.
    #[error(
        "{column} has numbers such as {}, which could be times in several ways; say which with option `time_format`: \
         unix_s, unix_ms, unix_us, unix_ns, excel, or index with `begin` and `period`",
        Shown(text)
    )]
    UnclearNumbers {
        /// The column.
        column: ColumnName,
        /// One of them.
        text: String,
    },
    /// Times of no known form.
    #[error(
        "{column} has {}, which is no time in a known form; say how it is written with option `time_format`, like \
         `%d.%m.%Y %H:%M`",
        Shown(text)
    )]
    UnknownTimes {
        /// The column.
        column: ColumnName,
        /// One of them.
        text: String,
    },
    /// Day first or month first.
    #[error(
        "{column} has {}: is the day first, or the month? Say so with option `time_format`: `{day_first}` or \
         `{month_first}`",
        Shown(text)
    )]
    DayOrMonth {
        /// The column.
        column: ColumnName,
        /// One of the times.
        text: String,
        /// The format with the day first.
        day_first: String,
        /// The format with the month first.
        month_first: String,
    },
    /// Both kinds of decimal separators, or one that may separate thousands.
    #[error(
        "is the decimal separator a point or a comma? Both {} and {} are there; say so with option `decimal`",
        Shown(one),
        Shown(other)
    )]
    Decimal {
        /// A number with one.
        one: String,
        /// A number with the other.
        other: String,
    },
    /// A quoted number that may have groups of thousands.
    #[error(
        "{} may have a decimal comma or groups of thousands; say which with option `decimal`",
        Shown(text)
    )]
    Thousands {
        /// It.
        text: String,
    },
    /// Columns of text in a table of numbers.
    #[error(
        "{column} holds text such as {}. If it says which series a row belongs to, set option `layout` to long and \
         `series_column` to it; otherwise leave it out with `ignored_columns`",
        Shown(text)
    )]
    TextColumn {
        /// The column.
        column: ColumnName,
        /// An example.
        text: String,
    },
    /// A column of a type that can't be what it is to be.
    #[error("{column} holds {found}, which can't be {wanted}")]
    ColumnType {
        /// The column.
        column: ColumnName,
        /// What it holds.
        found: String,
        /// What it should be.
        wanted: &'static str,
    },
    /// A long table whose columns are not clear.
    #[error(
        "a long table needs a column of {what}; name it with option `{option}`. The columns are {columns}"
    )]
    LongColumn {
        /// What is missing.
        what: &'static str,
        /// The option that names it.
        option: &'static str,
        /// The columns that are there.
        columns: String,
    },
    /// Nothing but times.
    #[error("there is no column with values")]
    NoValues,
    /// Rows are counted, but from when?
    #[error(
        "the times are row counts, so option `{missing}` is needed{}",
        if *.from_comments { "; the comment lines of the file don't have it" } else { "" }
    )]
    NoBegin {
        /// Which option.
        missing: &'static str,
        /// Whether it could have been in the file.
        from_comments: bool,
    },
    /// Times with too few digits for their period.
    #[error(
        "times with {decimals} decimals can't tell slots of {period} apart; export them as `index` or `iso-8601`"
    )]
    TooCoarse {
        /// Digits that were written.
        decimals: usize,
        /// The period.
        period: SamplePeriod,
    },
    /// A weather file.
    #[error(transparent)]
    Weather(WeatherProblem),
    /// A file of meters.
    #[error(transparent)]
    Meters(MeterProblem),
}

/// A column in a message: its number from 1 and its title, or a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnName {
    /// Its number, from 1; 0 where columns have none but are keys.
    pub number: usize,
    /// Its title; empty where the file has none.
    pub title: String,
}

impl fmt::Display for ColumnName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.number == 0 {
            return write!(f, "key {}", Shown(&self.title));
        }
        write!(f, "column {}", self.number)?;
        if self.title.is_empty() { Ok(()) } else { write!(f, " ({})", Shown(&self.title)) }
    }
}

/// A row that can't be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowError {
    /// The input.
    pub input: String,
    /// What `line` counts.
    pub place: Place,
    /// The line in which the row begins, from 1; the number of the row where there are no lines.
    pub line: u64,
    /// The column, where it is one that is wrong.
    pub column: Option<ColumnName>,
    /// What stands there, at most [`RowError::LONGEST_TEXT`] characters of it: the field that is wrong, or the first line
    /// of the row.
    pub text: String,
    /// What is wrong, and what would be right.
    pub problem: RowProblem,
}

impl RowError {
    /// Characters of the offending text that are kept.
    pub const LONGEST_TEXT: usize = 80;

    /// The beginning of a text, as much of it as an error keeps.
    pub(crate) fn excerpt(text: &[u8]) -> String {
        // No character is longer than 4 bytes; one more shows that something is left out.
        let text = &text[..text.len().min(4 * (RowError::LONGEST_TEXT + 1))];
        String::from_utf8_lossy(text).chars().take(RowError::LONGEST_TEXT + 1).collect()
    }
}

impl fmt::Display for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {} {}", self.input, self.place, self.line)?;
        if let Some(column) = &self.column {
            write!(f, ", {column}")?;
        }
        f.write_str(": ")?;
        if self.problem.concerns_text() {
            return write!(f, "{} {}", Shown(&self.text), self.problem);
        }
        self.problem.fmt(f)?;
        if self.text.is_empty() { Ok(()) } else { write!(f, ": {}", Shown(&self.text)) }
    }
}

impl std::error::Error for RowError {}

impl From<RowError> for SourceError {
    fn from(error: RowError) -> SourceError {
        SourceError::Row(Box::new(error))
    }
}

/// What is wrong with a row.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RowProblem {
    /// Too many or too few fields.
    #[error("the row has {}, the table {}", Count(*found), Count(*wanted))]
    Fields {
        /// How many there are.
        found: usize,
        /// How many there should be.
        wanted: usize,
    },
    /// A quoted field that goes on after its quote.
    #[error("text follows a closing quote; a quote inside of a quoted field is written twice")]
    AfterQuote,
    /// A quoted field that never ends.
    #[error("a quote is opened here and never closed")]
    OpenQuote,
    /// A quoted field that goes on and on.
    #[error("a quote is opened here and not closed within {} MiB", most >> 20)]
    LongQuote {
        /// How long a record may be, in bytes.
        most: usize,
    },
    /// Longer than anything that makes sense.
    #[error("the line is longer than {} MiB", most >> 20)]
    TooLong {
        /// How long it may be, in bytes.
        most: usize,
    },
    /// More fields than can be columns.
    #[error("the row has more than {most} fields")]
    TooManyFields {
        /// How many it may have.
        most: usize,
    },
    /// A row without a time.
    #[error("the time is missing")]
    NoTime,
    /// A row without a series.
    #[error("the name of the series is missing")]
    NoSeries,
    /// A name that is too long for one.
    #[error("is too long for the name of a series, which has at most {most} bytes")]
    LongName {
        /// How long it may be.
        most: usize,
    },
    /// More series than can be held in memory.
    #[error("there are more than {most} series; does this column really name them?")]
    TooManySeries {
        /// How many there may be.
        most: usize,
    },
    /// A line that is no object in JSON.
    #[error("the line is no JSON object ({0})")]
    Json(String),
    /// A key that occurs twice.
    #[error("the key occurs twice in the line, the second time with")]
    KeyTwice,
    /// A truth value.
    #[error("is a truth value; those are numbers only with option `flags`")]
    Flag,
    /// An object or a list.
    #[error("is no number but an object or a list; leave the key out with option `ignored_columns`")]
    Nested,
    /// A value that is no number.
    #[error("{0}")]
    Number(NumberProblem),
    /// No time.
    #[error("{0}")]
    Time(TimeProblem),
    /// A line that ends too soon.
    #[error("the line has only {found} of {least} {what}; the file is cut off or damaged")]
    CutOff {
        /// How many it has.
        found: usize,
        /// How many it should have, at least.
        least: usize,
        /// Of what: characters or fields.
        what: &'static str,
    },
    /// A field without text.
    #[error("the {what} is missing")]
    Missing {
        /// What it should hold.
        what: &'static str,
    },
    /// A trace that means several things.
    #[error("is not {}, which an earlier row says of the same trace", Shown(before))]
    Differs {
        /// What the earlier row says.
        before: String,
    },
    /// A field that is not what it should be.
    #[error("is no {wanted}")]
    Form {
        /// What it should be, with an example.
        wanted: String,
    },
}

impl RowProblem {
    /// Whether the rows that follow can't be read any more, even if this one is skipped.
    pub fn is_fatal(&self) -> bool {
        matches!(
            self,
            RowProblem::OpenQuote
                | RowProblem::LongQuote { .. }
                | RowProblem::TooLong { .. }
                | RowProblem::TooManySeries { .. }
        )
    }

    fn concerns_text(&self) -> bool {
        matches!(
            self,
            RowProblem::Number(_)
                | RowProblem::Time(_)
                | RowProblem::LongName { .. }
                | RowProblem::Flag
                | RowProblem::Nested
                | RowProblem::Form { .. }
                | RowProblem::Differs { .. }
        )
    }
}

/// Why a text is no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NumberProblem {
    /// Another form.
    #[error("is no number like `-12.5` or `1.5e-3`, and none of the words for a missing value")]
    Form,
    /// A comma where points are expected.
    #[error("is no number with a decimal point; if it has a decimal comma, set option `decimal` to `,`")]
    Comma,
    /// A point where commas are expected.
    #[error("is no number with a decimal comma; if it has a decimal point, set option `decimal` to `.`")]
    Point,
    /// Beyond the largest float.
    #[error("is larger than any number that can be stored (1.8e308)")]
    TooLarge,
}

/// Why a text is no time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TimeProblem {
    /// Not ISO 8601.
    #[error(
        "is no time like `2020-01-31 12:00:00` or `2020-01-31T12:00:00.5+01:00`; others need option `time_format`"
    )]
    NotIso,
    /// Day first or month first.
    #[error(
        "may have the day first or the month; say which with option `time_format`: `{day_first}` or `{month_first}`"
    )]
    DayOrMonth {
        /// The format with the day first.
        day_first: String,
        /// The format with the month first.
        month_first: String,
    },
    /// A date that no calendar has.
    #[error("has a date that does not exist")]
    NoSuchDate,
    /// An hour, minute or second that no clock has.
    #[error("has a time of day that does not exist; hours go to 23, minutes and seconds to 59")]
    NoSuchClock,
    /// Midnight at the end of a day.
    #[error("has the hour 24; write midnight as 00:00 of the next day")]
    Hour24,
    /// Second 60.
    #[error("is a leap second, which can't be represented")]
    LeapSecond,
    /// A fraction of a tick.
    #[error("is not a multiple of 100 ns, the finest time there is")]
    TooFine,
    /// An offset that no zone has.
    #[error("has an offset from UTC that is not between -18:00 and +18:00")]
    Offset,
    /// Not between the years 1 and 9999.
    #[error("is not in the years 1 to 9999")]
    OutOfRange,
    /// A wall time that was skipped.
    #[error("does not exist in {zone}: the clocks were set forward over it")]
    Gap {
        /// The time zone.
        zone: String,
    },
    /// No number where the time is one.
    #[error("is no number, but the times of this table are {format}")]
    NotNumber {
        /// What they are.
        format: &'static str,
    },
    /// An Excel date from before Excel's calendar is right.
    #[error("is before 1900-03-01, where the calendars of spreadsheets differ")]
    ExcelRange,
    /// Not as the format says.
    #[error("does not fit the format {}: {reason}", Shown(format))]
    Custom {
        /// The format.
        format: String,
        /// Why not.
        reason: String,
    },
}

/// `1 field`, `2 fields`.
struct Count(usize);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} field{}", self.0, if self.0 == 1 { "" } else { "s" })
    }
}

/// Input between backticks: control characters escaped, and cut where it is long.
pub(crate) struct Shown<'a>(pub(crate) &'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_quoted(f, self.0, RowError::LONGEST_TEXT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_error_says_where_and_what() {
        let error = RowError {
            input: "a.csv".to_owned(),
            place: Place::Line,
            line: 3,
            column: Some(ColumnName { number: 2, title: "T1".to_owned() }),
            text: "12\u{0}x".to_owned(),
            problem: RowProblem::Number(NumberProblem::Form),
        };
        assert_eq!(
            error.to_string(),
            "a.csv, line 3, column 2 (`T1`): `12\\0x` is no number like `-12.5` or `1.5e-3`, and none of the words \
             for a missing value"
        );
        let error = RowError { column: None, problem: RowProblem::Fields { found: 1, wanted: 2 }, ..error };
        assert_eq!(error.to_string(), "a.csv, line 3: the row has 1 field, the table 2 fields: `12\\0x`");
    }

    #[test]
    fn long_texts_are_cut() {
        let text = RowError::excerpt("ä".repeat(1000).as_bytes());
        assert_eq!(Shown(&text).to_string(), format!("`{}…`", "ä".repeat(80)));
        assert_eq!(Shown(&RowError::excerpt(b"abc")).to_string(), "`abc`");
    }
}
