//! How tables are written, as far as it is not to be found out: options of all commands that read tables.

use sheaf_model::{SamplePeriod, Tick};
use sheaf_sources::{
    ColumnRef, Comments, CsvOptions, Decimal, Header, Layout, OnError, TableOptions, TimeFormat,
};

/// How tables are written. What is not said is recognized.
#[derive(clap::Args)]
#[command(next_help_heading = "How the files are written (recognized, if it is not said)")]
pub(crate) struct TableArgs {
    /// The character between fields
    #[arg(long, value_name = "CHARACTER")]
    delimiter: Option<char>,
    /// The decimal separator
    #[arg(long, value_name = ".|,", value_parser = decimal)]
    decimal: Option<Decimal>,
    /// The line with the titles, counted from 1, or none
    #[arg(long, value_name = "LINE|none", value_parser = header)]
    header: Option<Header>,
    /// What comment lines begin with, or none
    #[arg(long, value_name = "TEXT|none", value_parser = comments)]
    comment: Option<Comments>,
    /// wide: one column for each resource; long: one that names the resource, and one of values
    #[arg(long, value_name = "wide|long", value_parser = layout)]
    layout: Option<Layout>,
    /// The column of times, by title or number
    #[arg(long, value_name = "COLUMN", value_parser = column)]
    time_column: Option<ColumnRef>,
    /// The column of times of day, where they stand apart from the date
    #[arg(long, value_name = "COLUMN", value_parser = column)]
    clock_column: Option<ColumnRef>,
    /// The column that names the resource of a row in a long table
    #[arg(long, value_name = "COLUMN", value_parser = column)]
    series_column: Option<ColumnRef>,
    /// A column of values; all others are left out. May be given several times
    #[arg(long = "value-column", value_name = "COLUMN", value_parser = column)]
    value_columns: Vec<ColumnRef>,
    /// A column to leave out. May be given several times
    #[arg(long = "ignore-column", value_name = "COLUMN", value_parser = column)]
    ignored_columns: Vec<ColumnRef>,
    /// How times are written: auto, iso, unix-s, unix-ms, unix-us, unix-ns, excel, index, or a format like %d.%m.%Y %H:%M
    #[arg(long, value_name = "FORMAT")]
    time_format: Option<TimeFormat>,
    /// Zone of times without an offset, like Europe/Berlin or +01:00 [default: UTC]
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    /// The time of the first row, where times are row numbers
    #[arg(long, value_name = "TIME")]
    first_time: Option<Tick>,
    /// A word for a missing value, instead of NaN, NA, null, - and the like. May be given several times
    #[arg(long = "missing", value_name = "WORD")]
    missing: Option<Vec<String>>,
    /// What happens at a row that can't be read
    #[arg(long, value_name = "refuse|skip", default_value = "refuse", value_parser = on_error)]
    on_error: OnError,
}

impl TableArgs {
    /// The same for a reader; `period` is that of the rows, if it is known.
    pub(crate) fn options(&self, period: Option<SamplePeriod>) -> TableOptions {
        let csv = CsvOptions {
            delimiter: self.delimiter,
            decimal: self.decimal,
            header: self.header.unwrap_or_default(),
            comments: self.comment.clone().unwrap_or_default(),
            layout: self.layout,
            time_column: self.time_column.clone(),
            clock_column: self.clock_column.clone(),
            series_column: self.series_column.clone(),
            value_columns: self.value_columns.clone(),
            ignored_columns: self.ignored_columns.clone(),
            time_format: self.time_format.clone().unwrap_or_default(),
            time_zone: self.time_zone.clone(),
            missing: self.missing.clone(),
            flags: false,
            begin: self.first_time,
            period,
            on_error: self.on_error,
        };
        TableOptions { csv, ..TableOptions::default() }
    }
}

fn decimal(text: &str) -> Result<Decimal, String> {
    match text {
        "." => Ok(Decimal::Point),
        "," => Ok(Decimal::Comma),
        _ => Err("it is `.` or `,`".to_owned()),
    }
}

fn header(text: &str) -> Result<Header, String> {
    match text {
        "none" => Ok(Header::None),
        _ => text.parse().map(Header::Line).map_err(|_| "it is the number of a line, or `none`".to_owned()),
    }
}

fn comments(text: &str) -> Result<Comments, String> {
    Ok(if text == "none" { Comments::None } else { Comments::Prefix(text.to_owned()) })
}

fn column(text: &str) -> Result<ColumnRef, String> {
    Ok(ColumnRef::from(text))
}

fn layout(text: &str) -> Result<Layout, String> {
    match text {
        "wide" => Ok(Layout::Wide),
        "long" => Ok(Layout::Long),
        _ => Err("it is `wide` or `long`".to_owned()),
    }
}

fn on_error(text: &str) -> Result<OnError, String> {
    match text {
        "refuse" => Ok(OnError::Refuse),
        "skip" => Ok(OnError::Skip),
        _ => Err("it is `refuse` or `skip`".to_owned()),
    }
}
