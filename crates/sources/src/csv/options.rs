//! How a table is written, as far as it is not to be found out.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sheaf_model::{SamplePeriod, Tick};

use crate::error::{Shown, SourceError};

/// How a delimited text is written. What is not said is recognized from its first lines.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CsvOptions {
    /// The character between fields. Recognized: `,`, `;`, tab and `|`.
    pub delimiter: Option<char>,
    /// The decimal separator. A comma is recognized where it is not the delimiter, or in quoted fields.
    pub decimal: Option<Decimal>,
    /// Where the titles are.
    pub header: Header,
    /// Which lines are comments.
    pub comments: Comments,
    /// Wide or long.
    pub layout: Option<Layout>,
    /// The column of times.
    pub time_column: Option<ColumnRef>,
    /// The column of times of day, where date and time of day stand in two columns.
    pub clock_column: Option<ColumnRef>,
    /// The column that says which series a row of a long table belongs to.
    pub series_column: Option<ColumnRef>,
    /// The columns of values; all others are left out. A long table has one.
    pub value_columns: Vec<ColumnRef>,
    /// Columns to leave out.
    pub ignored_columns: Vec<ColumnRef>,
    /// How times are written.
    pub time_format: TimeFormat,
    /// The zone of times without an offset: `UTC` (the default), an offset like `+01:00`, or a name like
    /// `Europe/Berlin`. Exports of Nexus are always in UTC.
    pub time_zone: Option<String>,
    /// The words for a missing value, instead of [`CsvOptions::MISSING`]. A field without text is always missing.
    pub missing: Option<Vec<String>>,
    /// Whether `true` and `false` are the numbers 1 and 0; otherwise they are text.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub flags: bool,
    /// The time of row 0, where times are row counts.
    pub begin: Option<Tick>,
    /// The distance between rows, where times are row counts; also makes coarse numbers exact, see [`TimeFormat`].
    pub period: Option<SamplePeriod>,
    /// What happens at a row that can't be read.
    pub on_error: OnError,
}

impl CsvOptions {
    /// The words for a missing value.
    pub const MISSING: [&str; 16] = [
        "NaN", "nan", "NAN", "-NaN", "-nan", "NA", "N/A", "n/a", "#N/A", "null", "Null", "NULL", "None", "-",
        "--", "?",
    ];

    pub(crate) fn missing_words(&self) -> Vec<Vec<u8>> {
        match &self.missing {
            Some(words) => words.iter().map(|word| word.trim().as_bytes().to_vec()).collect(),
            None => CsvOptions::MISSING.iter().map(|word| word.as_bytes().to_vec()).collect(),
        }
    }

    /// Refuses what can't be, before anything is read.
    pub(crate) fn check(&self) -> Result<(), SourceError> {
        let wrong = |option, problem: String| Err(SourceError::Option { option, problem });
        if let Some(delimiter) = self.delimiter
            && (!delimiter.is_ascii()
                || matches!(delimiter, '"' | '\n' | '\r' | '\0' | '0'..='9' | '+' | '-'))
        {
            return wrong(
                "delimiter",
                format!("{delimiter:?} can't separate fields; write one ASCII character"),
            );
        }
        if let Header::Line(0) = self.header {
            return wrong("header", "lines are counted from 1".to_owned());
        }
        if let Comments::Prefix(prefix) = &self.comments
            && (prefix.is_empty() || prefix.contains(['\n', '\r']))
        {
            return wrong("comments", format!("{} can't begin a comment", Shown(prefix)));
        }
        if self.layout == Some(Layout::Long) && self.value_columns.len() > 1 {
            return wrong("value_columns", "a long table has one column of values".to_owned());
        }
        if self.layout == Some(Layout::Wide) && self.series_column.is_some() {
            return wrong("series_column", "a wide table has none; set option `layout` to long".to_owned());
        }
        let columns = [&self.time_column, &self.clock_column, &self.series_column];
        let columns = columns.into_iter().flatten().chain(&self.value_columns).chain(&self.ignored_columns);
        if columns.into_iter().any(|column| *column == ColumnRef::Number(0)) {
            return wrong("column", "columns are counted from 1".to_owned());
        }
        Ok(())
    }
}

/// The decimal separator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Decimal {
    /// `1.5`.
    #[serde(rename = ".")]
    Point,
    /// `1,5`.
    #[serde(rename = ",")]
    Comma,
}

impl Decimal {
    pub(crate) const fn byte(self) -> u8 {
        match self {
            Decimal::Point => b'.',
            Decimal::Comma => b',',
        }
    }
}

/// Where the titles of the columns are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Header {
    /// In the first line of the table, if that is no row of it; or in the last comment before it, if that has as many
    /// fields.
    #[default]
    Auto,
    /// Nowhere; columns are named `column_1` and so on.
    None,
    /// In this line, counted from 1. Lines before it are not read.
    Line(u64),
}

/// Which lines are comments. A blank line is always one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Comments {
    /// Those that begin with `#`.
    #[default]
    Auto,
    /// None.
    None,
    /// Those that begin with this.
    Prefix(String),
}

impl Comments {
    pub(crate) fn prefix(&self) -> Option<&[u8]> {
        match self {
            Comments::Auto => Some(b"#"),
            Comments::None => None,
            Comments::Prefix(prefix) => Some(prefix.as_bytes()),
        }
    }
}

/// How a table is arranged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// A column of times, and one for each series.
    Wide,
    /// A column of times, one that names the series, and one of values.
    Long,
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Layout::Wide => "wide",
            Layout::Long => "long",
        })
    }
}

/// A column, by its title or its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ColumnRef {
    /// By its title, with or without the unit.
    Name(String),
    /// By its number, from 1.
    Number(usize),
}

/// Digits are a number, everything else is a title.
impl From<&str> for ColumnRef {
    fn from(text: &str) -> ColumnRef {
        match text.parse() {
            Ok(number) => ColumnRef::Number(number),
            Err(_) => ColumnRef::Name(text.to_owned()),
        }
    }
}

impl fmt::Display for ColumnRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ColumnRef::Name(name) => Shown(name).fmt(f),
            ColumnRef::Number(number) => number.fmt(f),
        }
    }
}

/// How times are written.
///
/// Times are exact to the tick of 100 ns: finer digits that are not zero are an error. Numbers with a fraction are
/// different, because programs print them rounded:
///
/// - Unix times in seconds, milliseconds and microseconds with more decimals than a tick has are rounded to the nearest
///   tick.
/// - An Excel date is the roundest time that it can be an image of: of whole seconds, tenths, and so on down to ticks,
///   the coarsest that lies within half a unit of its last decimal, but not more than half a millisecond away. So
///   `43831.023136574` is 2020-01-01T00:33:19Z.
/// - Where the period is known, from an option or from the comments of a Nexus export, an Excel date or a Unix time
///   with a fraction is the start of the slot that lies within this distance, if one does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TimeFormat {
    /// Recognized from the first rows. Never between day and month: what may be read in two ways is refused.
    #[default]
    Auto,
    /// ISO 8601: a date, or a date and a time with `T` or a blank between them; seconds and their fraction may be
    /// left out; then `Z`, an offset or nothing. A date may also be written `2020/01/31`.
    Iso,
    /// Seconds since 1970, maybe with a fraction.
    UnixS,
    /// Milliseconds since 1970.
    UnixMs,
    /// Microseconds since 1970.
    UnixUs,
    /// Nanoseconds since 1970, multiples of 100.
    UnixNs,
    /// Days since 1899-12-30, as in spreadsheets and OLE; from 1900-03-01 on.
    Excel,
    /// Counts of rows: row `n` is `n` periods after the begin.
    Index,
    /// With the directives of strftime: `%d.%m.%Y %H:%M:%S`.
    Custom(String),
}

impl TimeFormat {
    /// What times of this format are, in messages.
    pub(crate) const fn what(&self) -> &'static str {
        match self {
            TimeFormat::Auto | TimeFormat::Iso | TimeFormat::Custom(_) => "texts",
            TimeFormat::UnixS => "seconds since 1970 (unix_s)",
            TimeFormat::UnixMs => "milliseconds since 1970 (unix_ms)",
            TimeFormat::UnixUs => "microseconds since 1970 (unix_us)",
            TimeFormat::UnixNs => "nanoseconds since 1970 (unix_ns)",
            TimeFormat::Excel => "days since 1899-12-30 (excel)",
            TimeFormat::Index => "counts of rows (index)",
        }
    }
}

impl fmt::Display for TimeFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TimeFormat::Auto => "auto",
            TimeFormat::Iso => "iso",
            TimeFormat::UnixS => "unix_s",
            TimeFormat::UnixMs => "unix_ms",
            TimeFormat::UnixUs => "unix_us",
            TimeFormat::UnixNs => "unix_ns",
            TimeFormat::Excel => "excel",
            TimeFormat::Index => "index",
            TimeFormat::Custom(format) => return write!(f, "{}", Shown(format)),
        })
    }
}

/// A word, or anything with a `%`.
impl FromStr for TimeFormat {
    type Err = UnknownTimeFormat;

    fn from_str(text: &str) -> Result<TimeFormat, UnknownTimeFormat> {
        Ok(match text {
            "auto" => TimeFormat::Auto,
            "iso" => TimeFormat::Iso,
            "unix_s" => TimeFormat::UnixS,
            "unix_ms" => TimeFormat::UnixMs,
            "unix_us" => TimeFormat::UnixUs,
            "unix_ns" => TimeFormat::UnixNs,
            "excel" => TimeFormat::Excel,
            "index" => TimeFormat::Index,
            _ if text.contains('%') => TimeFormat::Custom(text.to_owned()),
            _ => return Err(UnknownTimeFormat { text: text.to_owned() }),
        })
    }
}

/// As text, like it is read.
impl Serialize for TimeFormat {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            // Without the quotes that messages have.
            TimeFormat::Custom(format) => serializer.serialize_str(format),
            word => serializer.collect_str(word),
        }
    }
}

impl<'de> Deserialize<'de> for TimeFormat {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<TimeFormat, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// No format of times.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown time format {}; allowed: auto, iso, unix_s, unix_ms, unix_us, unix_ns, excel, index, or a format like \
     `%d.%m.%Y %H:%M`",
    Shown(text)
)]
pub struct UnknownTimeFormat {
    /// What was given.
    pub text: String,
}

/// What happens at a row that can't be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// Reading ends with an error.
    #[default]
    Refuse,
    /// The row is left out, counted and reported.
    Skip,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_and_columns_are_read_from_text() {
        for text in ["auto", "iso", "unix_s", "unix_ms", "unix_us", "unix_ns", "excel", "index"] {
            assert_eq!(text.parse::<TimeFormat>().unwrap().to_string(), text);
        }
        assert_eq!("%H".parse(), Ok(TimeFormat::Custom("%H".to_owned())));
        assert!(
            "iso8601"
                .parse::<TimeFormat>()
                .unwrap_err()
                .to_string()
                .contains("`iso8601`; allowed: auto, iso,")
        );
        assert_eq!(ColumnRef::from("3"), ColumnRef::Number(3));
        assert_eq!(ColumnRef::from("T1"), ColumnRef::Name("T1".to_owned()));
    }

    #[test]
    fn options_that_cannot_be_are_refused() {
        let refused = |options: CsvOptions| options.check().unwrap_err().to_string();
        let base = CsvOptions::default;
        assert!(base().check().is_ok());
        assert!(refused(CsvOptions { delimiter: Some('"'), ..base() }).starts_with("option `delimiter`: "));
        assert!(refused(CsvOptions { delimiter: Some('€'), ..base() }).starts_with("option `delimiter`: "));
        assert!(refused(CsvOptions { header: Header::Line(0), ..base() }).starts_with("option `header`: "));
        let comments = Comments::Prefix(String::new());
        assert!(refused(CsvOptions { comments, ..base() }).starts_with("option `comments`: "));
        let time_column = Some(ColumnRef::Number(0));
        assert!(refused(CsvOptions { time_column, ..base() }).contains("counted from 1"));
    }
}
