//! Finds out how a table is written, from its first lines.
//!
//! Nothing is guessed in silence: what was recognized is reported, and what could be two things is an error that names
//! the option which decides.

use sheaf_model::{SamplePeriod, Tick};

use super::number::{parse_flag, parse_number};
use super::options::{ColumnRef, CsvOptions, Decimal, Header, Layout, TimeFormat};
use super::record::{BadRecord, Records};
use super::time::{DateCache, TimeReader, check_format, day_or_month, is_clock, parse_iso};
use super::title::{decode, read_comment, split_unit};
use super::zone::Zone;
use crate::error::{ColumnName, RowError, RowProblem, SourceError, TableProblem, TimeProblem};
use crate::table::{Metadata, Place};

/// How a table is to be read.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) delimiter: u8,
    /// `None` as long as there are only integers.
    pub(crate) decimal: Option<Decimal>,
    /// Where the rows begin, behind the titles: so many bytes from the beginning, in this line.
    pub(crate) body_at: usize,
    pub(crate) body_line: u64,
    /// The line of the titles.
    pub(crate) header_line: Option<u64>,
    pub(crate) titles: Vec<String>,
    pub(crate) latin1: bool,
    pub(crate) time: usize,
    pub(crate) clock: Option<usize>,
    pub(crate) roles: Roles,
    pub(crate) format: TimeFormat,
    pub(crate) metadata: Metadata,
    /// Whether the comments and titles are those of a Nexus export.
    pub(crate) nexus: bool,
    pub(crate) ignored: Vec<usize>,
}

impl Plan {
    pub(crate) fn column(&self, index: usize) -> ColumnName {
        ColumnName { number: index + 1, title: self.titles.get(index).cloned().unwrap_or_default() }
    }
}

/// Which columns hold the values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Roles {
    Wide { values: Vec<usize> },
    Long { series: usize, value: usize, unit: Option<usize> },
}

/// Records that are looked at.
const SAMPLE_RECORDS: usize = 200;

/// Bytes of an input that are looked at: if the first ones are not enough, so many more.
pub(crate) const SAMPLE_BYTES: [usize; 3] = [64 << 10, 1 << 20, 32 << 20];

/// Whether so much of an input is enough to recognize how it is written.
pub(crate) fn is_enough(sample: &[u8], options: &CsvOptions) -> bool {
    let before = match options.header {
        Header::Line(line) => usize::try_from(line).unwrap_or(usize::MAX),
        Header::Auto | Header::None => 0,
    };
    let is_comment = |line: &[u8]| options.comments.prefix().is_some_and(|prefix| line.starts_with(prefix));
    let lines = sample.split(|&byte| byte == b'\n' || byte == b'\r').skip(before);
    let lines = lines.filter(|line| !line.trim_ascii().is_empty() && !is_comment(line));
    // A few records do where they are long.
    let wanted = if sample.len() < SAMPLE_BYTES[1] { 2 * SAMPLE_RECORDS } else { 10 };
    lines.take(wanted).count() == wanted
}

/// The titles of times in a Nexus export, and what they mean.
const NEXUS_TITLES: [(&str, TimeFormat); 4] = [
    ("Index", TimeFormat::Index),
    ("Unix time", TimeFormat::UnixS),
    ("Excel time", TimeFormat::Excel),
    ("ISO 8601 time", TimeFormat::Iso),
];

/// Names of columns of times; those in front are preferred. Of a column that none of them is, the values decide.
#[rustfmt::skip]
pub(crate) const TIME_NAMES: [&str; 24] = [
    "time", "timestamp", "date_time", "datetime", "start", "begin", "start_time", "interval_start",
    "period_start", "from", "date", "ts", "dt", "zeit", "zeitstempel", "zeitpunkt", "datum", "datum_zeit",
    "time_utc", "utc", "unix_time", "unixtime", "epoch", "excel_time",
];
#[rustfmt::skip]
pub(crate) const SERIES_NAMES: [&str; 18] = [
    "series", "series_id", "name", "channel", "tag", "variable", "sensor", "sensor_id", "signal", "resource",
    "meter", "meter_id", "point", "parameter", "metric", "trace", "trace_id", "id",
];
pub(crate) const VALUE_NAMES: [&str; 7] = ["value", "values", "val", "reading", "wert", "messwert", "data"];
pub(crate) const UNIT_NAMES: [&str; 3] = ["unit", "units", "einheit"];

/// The option for the role that the column of series has, too, if there is one.
pub(crate) fn clash(series: usize, time: usize, value: usize) -> Option<&'static str> {
    if series == time {
        Some("time_column")
    } else if series == value {
        Some("value_columns")
    } else {
        None
    }
}

/// A title as it is compared with the names above.
pub(crate) fn plain(title: &str) -> String {
    split_unit(title).0.trim().to_lowercase().replace([' ', '-'], "_")
}

pub(crate) fn rank(title: &str, names: &[&str]) -> Option<usize> {
    let title = plain(title);
    names.iter().position(|name| *name == title)
}

/// The first records.
struct Sample {
    rows: Vec<SampleRow>,
    /// The comment before them.
    comment: Option<(u64, Vec<u8>)>,
    /// Records that can't be split, and the first of them.
    failures: usize,
    failure: Option<(u64, RowProblem)>,
    /// Where the first record ends, and the line behind it.
    first_end: (usize, u64),
}

struct SampleRow {
    line: u64,
    cells: Vec<SampleCell>,
}

struct SampleCell {
    text: Vec<u8>,
    quoted: bool,
    kind: CellKind,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum CellKind {
    Missing,
    Number,
    Time,
    DayOrMonth,
    Clock,
    Text,
}

/// How many cells of a column are what.
#[derive(Clone, Copy, Default)]
struct Census {
    filled: usize,
    numbers: usize,
    times: usize,
    day_or_month: usize,
    clocks: usize,
}

impl Census {
    /// Whether most cells with anything in them are these.
    fn most(self, count: usize) -> bool {
        count > 0 && 2 * count > self.filled
    }
}

/// Finds out how the table is written that begins with `sample`, which is all of it if it is `complete`.
pub(crate) fn detect(
    input: &str,
    sample: &[u8],
    complete: bool,
    options: &CsvOptions,
) -> Result<Plan, SourceError> {
    let detector = Detector { input, sample, complete, options, missing: options.missing_words() };
    detector.run()
}

struct Detector<'a> {
    input: &'a str,
    sample: &'a [u8],
    complete: bool,
    options: &'a CsvOptions,
    missing: Vec<Vec<u8>>,
}

/// What is known about the table when its columns are looked at.
struct Table {
    titles: Vec<String>,
    rows: Vec<SampleRow>,
    census: Vec<Census>,
}

impl Table {
    fn column(&self, index: usize) -> ColumnName {
        ColumnName { number: index + 1, title: self.titles[index].clone() }
    }

    /// The titles, for a message.
    fn list(&self) -> String {
        const MOST: usize = 20;
        let shown = (0..self.titles.len().min(MOST)).map(|index| {
            format!("{} (`{}`)", index + 1, RowError::excerpt(self.titles[index].as_bytes()).escape_debug())
        });
        let mut shown: Vec<String> = shown.collect();
        if self.titles.len() > MOST {
            shown.push(format!("… and {} more", self.titles.len() - MOST));
        }
        shown.join(", ")
    }

    fn cells(&self, column: usize) -> impl Iterator<Item = (u64, &SampleCell)> {
        self.rows.iter().filter_map(move |row| row.cells.get(column).map(|cell| (row.line, cell)))
    }

    /// The first cell of a kind in a column, as a message shows it.
    fn example(&self, column: usize, kind: impl Fn(CellKind) -> bool) -> (Option<u64>, String) {
        let mut cells = self.cells(column).filter(|(_, cell)| kind(cell.kind));
        cells.next().map_or((None, String::new()), |(line, cell)| (Some(line), RowError::excerpt(&cell.text)))
    }
}

impl Detector<'_> {
    fn error(&self, line: Option<u64>, problem: TableProblem) -> SourceError {
        SourceError::Table { input: self.input.to_owned(), line, problem: Box::new(problem) }
    }

    fn run(&self) -> Result<Plan, SourceError> {
        if let TimeFormat::Custom(format) = &self.options.time_format {
            check_format(format).map_err(|reason| SourceError::Option {
                option: "time_format",
                problem: format!("`{}` can't be used: {reason}", format.escape_debug()),
            })?;
        }
        let metadata = self.metadata();
        let delimiter = self.delimiter()?;
        let Sample { mut rows, comment, failure, first_end, .. } = self.sample(delimiter, SAMPLE_RECORDS);
        if rows.is_empty() {
            return Err(self.no_row(failure));
        }
        if let Header::Line(wanted) = self.options.header
            && rows[0].line != wanted
        {
            return Err(self.error(None, TableProblem::NoHeaderLine { wanted }));
        }
        self.check_preamble(&rows)?;
        let mut latin1 = false;
        let mut text = |bytes: &[u8]| {
            let (text, is_latin1) = decode(bytes);
            latin1 |= is_latin1;
            text.into_owned()
        };
        let mut header_line = None;
        let (mut body_at, mut body_line) = (0, 1);
        let titles: Vec<String> = if self.is_header(&rows) {
            let header = rows.remove(0);
            if failure.as_ref().is_some_and(|(line, _)| *line < header.line) {
                return Err(self.no_row(failure));
            }
            header_line = Some(header.line);
            (body_at, body_line) = first_end;
            header.cells.iter().map(|cell| text(&cell.text)).collect()
        } else if let Some((line, cells)) = self.header_in_comment(comment, delimiter, rows[0].cells.len()) {
            header_line = Some(line);
            cells.iter().map(|cell| text(&cell.text)).collect()
        } else {
            (1..=rows[0].cells.len()).map(|number| format!("column_{number}")).collect()
        };
        let mut table = Table { census: vec![Census::default(); titles.len()], titles, rows };
        // A delimiter at the end of the header alone makes no column.
        let width = table.titles.len();
        if table.titles[width - 1].is_empty()
            && width > 1
            && !table.rows.is_empty()
            && table.rows.iter().all(|row| row.cells.len() == width - 1)
        {
            table.titles.pop();
            table.census.pop();
        }
        self.count(&mut table);
        let ignored = self.ignored(&table)?;
        let nexus = metadata.begin.is_some()
            && metadata.period.is_some()
            && NEXUS_TITLES.iter().any(|(title, _)| *title == table.titles[0]);
        let metadata = Metadata {
            begin: self.options.begin.or(metadata.begin),
            period: self.options.period.or(metadata.period),
            catalog: metadata.catalog,
        };
        let time = self.time_column(&table, &ignored, nexus, &metadata)?;
        let clock = self.clock_column(&table, &ignored, time)?;
        let format = self.time_format(&table, time, clock, nexus, &metadata)?;
        let roles = self.roles(&table, &ignored, time, clock)?;
        let used: Vec<usize> = match &roles {
            Roles::Wide { values } => values.clone(),
            Roles::Long { series, value, unit } => {
                [Some(*series), Some(*value), *unit].into_iter().flatten().collect()
            }
        };
        let is_used = |column: &usize| used.contains(column) || *column == time || Some(*column) == clock;
        let ignored = if used.len() + 1 == table.titles.len() {
            Vec::new()
        } else {
            (0..table.titles.len()).filter(|column| !is_used(column)).collect()
        };
        let decimal = self.decimal(&table, &roles, delimiter)?;
        Ok(Plan {
            delimiter,
            decimal,
            body_at,
            body_line,
            header_line,
            titles: table.titles,
            latin1,
            time,
            clock,
            roles,
            format,
            metadata,
            nexus,
            ignored,
        })
    }

    /// What the comment lines before the table say.
    fn metadata(&self) -> Metadata {
        let mut metadata = Metadata::default();
        let Some(prefix) = self.options.comments.prefix() else { return metadata };
        for line in self.sample.split(|&byte| byte == b'\n' || byte == b'\r') {
            if let Some(comment) = line.strip_prefix(prefix) {
                read_comment(&mut metadata, &decode(comment).0);
            } else if !line.trim_ascii().is_empty() {
                break;
            }
        }
        metadata
    }

    /// The first records, cut at `delimiter`.
    fn sample(&self, delimiter: u8, most: usize) -> Sample {
        let prefix = self.options.comments.prefix();
        let mut records = Records::new(self.sample, delimiter, prefix);
        let mut sample =
            Sample { rows: Vec::new(), comment: None, failures: 0, failure: None, first_end: (0, 1) };
        if let Header::Line(line) = self.options.header {
            records.skip_lines(line - 1);
            records.set_comment(None);
        }
        while sample.rows.len() + sample.failures < most {
            let line = match records.advance() {
                Ok(Some(line)) => line,
                Err(BadRecord { line, problem }) => {
                    // Told when it is read for good, unless it is all there is.
                    sample.failures += 1;
                    let is_fatal = problem.is_fatal();
                    sample.failure.get_or_insert((line, problem));
                    if is_fatal {
                        break;
                    }
                    continue;
                }
                Ok(None) => break,
            };
            if sample.rows.is_empty() {
                sample.first_end = (records.position(), records.line());
                sample.comment = records.last_comment().map(|(line, text)| (line, text.to_vec()));
            }
            let mut cells: Vec<SampleCell> = (0..records.len())
                .map(|index| self.cell(records.field(index), records.is_quoted(index)))
                .collect();
            if let (Header::Line(_), true, Some(prefix)) =
                (self.options.header, sample.rows.is_empty(), prefix)
            {
                // A header line that was named may be a comment.
                if let Some(rest) = cells[0].text.strip_prefix(prefix) {
                    cells[0] = self.cell(rest.trim_ascii(), false);
                }
                records.set_comment(Some(prefix));
            }
            sample.rows.push(SampleRow { line, cells });
        }
        // The last record may be cut off.
        if !self.complete && records.position() == self.sample.len() {
            sample.rows.pop();
        }
        sample
    }

    /// There is no row; why not?
    fn no_row(&self, failure: Option<(u64, RowProblem)>) -> SourceError {
        match (failure, self.options.header) {
            (Some((line, problem)), _) => {
                let input = self.input.to_owned();
                RowError { input, place: Place::Line, line, column: None, text: String::new(), problem }
                    .into()
            }
            (None, Header::Line(wanted)) if !self.sample.is_empty() => {
                self.error(None, TableProblem::NoHeaderLine { wanted })
            }
            (None, _) => self.error(None, TableProblem::Empty),
        }
    }

    fn cell(&self, text: &[u8], quoted: bool) -> SampleCell {
        let kind = if text.is_empty() || self.missing.iter().any(|word| word == text) {
            CellKind::Missing
        } else if parse_number(text, b'.').is_ok()
            || parse_number(text, b',').is_ok()
            || (self.options.flags && parse_flag(text).is_some())
        {
            CellKind::Number
        } else {
            match parse_iso(text, &mut DateCache::default()) {
                Err(TimeProblem::NotIso) if is_clock(text) => CellKind::Clock,
                Err(TimeProblem::NotIso) => CellKind::Text,
                Err(TimeProblem::DayOrMonth { .. }) => CellKind::DayOrMonth,
                // A time that does not exist is still one.
                Ok(_) | Err(_) => CellKind::Time,
            }
        };
        SampleCell { text: text.to_vec(), quoted, kind }
    }

    fn delimiter(&self) -> Result<u8, SourceError> {
        if let Some(delimiter) = self.options.delimiter {
            // Checked to be ASCII.
            return Ok(u8::try_from(delimiter).unwrap_or(b','));
        }
        // A character that cuts all lines into as many fields is no accident. Commas come last, because there may be
        // one in every number.
        let mut best: Option<(f64, u8)> = None;
        for delimiter in [b'\t', b';', b'|', b','] {
            let sample = self.sample(delimiter, 100);
            let (fields, count) = mode(&sample.rows);
            if fields < 2 {
                continue;
            }
            let share = count as f64 / (sample.rows.len() + sample.failures) as f64;
            // A few rows may be ragged; that makes a later candidate no better.
            let share = if share >= 0.9 { 1.0 } else { share };
            if best.is_none_or(|(most, _)| share > most) {
                best = Some((share, delimiter));
            }
        }
        if let Some((_, delimiter)) = best {
            return Ok(delimiter);
        }
        let Sample { rows, failure, .. } = self.sample(b',', 1);
        let Some(first) = rows.first() else { return Err(self.no_row(failure)) };
        let problem = TableProblem::OneColumn { first: RowError::excerpt(&first.cells[0].text) };
        Err(self.error(Some(first.line), problem))
    }

    /// Refuses lines before the table that are no comments.
    fn check_preamble(&self, rows: &[SampleRow]) -> Result<(), SourceError> {
        if matches!(self.options.header, Header::Line(_)) || rows.len() < 3 {
            return Ok(());
        }
        let (table_fields, count) = mode(rows);
        let fields = rows[0].cells.len();
        let trailing = fields.abs_diff(table_fields) == 1
            && if fields < table_fields {
                rows[1..].iter().all(|row| row.cells.get(fields).is_none_or(|cell| cell.text.is_empty()))
            } else {
                rows[0].cells[fields - 1].text.is_empty()
            };
        if fields == table_fields || 2 * count <= rows.len() || trailing {
            return Ok(());
        }
        let table_line = rows.iter().find(|row| row.cells.len() == table_fields).map_or(1, |row| row.line);
        Err(self.error(Some(rows[0].line), TableProblem::Preamble { fields, table_line, table_fields }))
    }

    fn is_header(&self, rows: &[SampleRow]) -> bool {
        match self.options.header {
            Header::None => false,
            Header::Line(_) => true,
            Header::Auto => {
                let is_time = |kind| matches!(kind, CellKind::Time | CellKind::DayOrMonth);
                let cells = &rows[0].cells;
                // No time where all others have one.
                let titles_times = cells.iter().enumerate().any(|(column, cell)| {
                    let mut below = rows[1..].iter().filter_map(|row| row.cells.get(column)).peekable();
                    !is_time(cell.kind) && below.peek().is_some() && below.all(|cell| is_time(cell.kind))
                });
                let time = cells.iter().any(|cell| is_time(cell.kind));
                let number = |kind| matches!(kind, CellKind::Number | CellKind::Missing);
                let numbers = cells.iter().all(|cell| number(cell.kind))
                    && cells.iter().any(|cell| cell.kind == CellKind::Number);
                !time && (titles_times || !numbers)
            }
        }
    }

    /// The titles in the last comment before the table: as many as there are columns, and none of them a number.
    fn header_in_comment(
        &self,
        comment: Option<(u64, Vec<u8>)>,
        delimiter: u8,
        width: usize,
    ) -> Option<(u64, Vec<SampleCell>)> {
        let (line, comment) = comment.filter(|_| self.options.header == Header::Auto)?;
        let mut records = Records::new(&comment, delimiter, None);
        records.advance().ok()??;
        let cells: Vec<_> = (0..records.len()).map(|index| self.cell(records.field(index), false)).collect();
        let is_title = |cell: &SampleCell| cell.kind == CellKind::Text && !cell.text.contains(&b':');
        (cells.len() == width && width > 1 && cells.iter().all(is_title)).then_some((line, cells))
    }

    fn count(&self, table: &mut Table) {
        for row in &table.rows {
            for (census, cell) in table.census.iter_mut().zip(&row.cells) {
                census.filled += usize::from(cell.kind != CellKind::Missing);
                match cell.kind {
                    CellKind::Number => census.numbers += 1,
                    CellKind::Time => census.times += 1,
                    CellKind::DayOrMonth => census.day_or_month += 1,
                    CellKind::Clock => census.clocks += 1,
                    CellKind::Missing | CellKind::Text => {}
                }
            }
        }
    }

    fn find(&self, table: &Table, option: &'static str, wanted: &ColumnRef) -> Result<usize, SourceError> {
        let found = match wanted {
            ColumnRef::Number(number) => number.checked_sub(1).filter(|index| *index < table.titles.len()),
            ColumnRef::Name(name) => {
                let name = name.trim();
                let title = table.titles.iter().position(|title| title == name);
                title.or_else(|| table.titles.iter().position(|title| split_unit(title).0 == name))
            }
        };
        found.ok_or_else(|| {
            let wanted = wanted.to_string();
            self.error(None, TableProblem::NoColumn { option, wanted, columns: table.list() })
        })
    }

    /// For each column whether it is left out.
    fn ignored(&self, table: &Table) -> Result<Vec<bool>, SourceError> {
        // Delimiters at the end of every line make a column without title and values.
        let empty = table.titles.iter().zip(&table.census);
        let mut ignored: Vec<bool> = empty
            .map(|(title, census)| title.is_empty() && census.filled == 0 && !table.rows.is_empty())
            .collect();
        // A first column without title that counts rows is what data frames write in front.
        let mut counts = numbers(table, 0).enumerate();
        if table.titles[0].is_empty()
            && self.options.value_columns.is_empty()
            && table.census[0].numbers == table.rows.len()
            && counts.all(|(row, number)| number == row as f64)
        {
            ignored[0] = true;
        }
        for column in &self.options.ignored_columns {
            ignored[self.find(table, "ignored_columns", column)?] = true;
        }
        Ok(ignored)
    }

    fn time_column(
        &self,
        table: &Table,
        ignored: &[bool],
        nexus: bool,
        metadata: &Metadata,
    ) -> Result<usize, SourceError> {
        if let Some(column) = &self.options.time_column {
            return self.find(table, "time_column", column);
        }
        if nexus {
            return Ok(0);
        }
        let columns: Vec<usize> = (0..table.titles.len()).filter(|&column| !ignored[column]).collect();
        let census = |column: &usize| table.census[*column];
        let by_name = |columns: &[usize]| {
            let ranked = columns
                .iter()
                .filter_map(|&column| Some((rank(&table.titles[column], &TIME_NAMES)?, column)));
            ranked.min().map(|(_, column)| column)
        };
        let times: Vec<usize> = match &self.options.time_format {
            TimeFormat::Auto | TimeFormat::Iso => {
                let times = |column: &usize| census(column).most(census(column).times);
                let dates = |column: &usize| census(column).most(census(column).day_or_month);
                let found: Vec<usize> = columns.iter().copied().filter(times).collect();
                if found.is_empty() { columns.iter().copied().filter(dates).collect() } else { found }
            }
            TimeFormat::Custom(_) => {
                let Ok(zone) = Zone::new(None) else { return Err(self.no_time(table)) };
                let mut reader = TimeReader::new(self.options.time_format.clone(), zone, None, None, false);
                let mut fits = |cell: &SampleCell| {
                    reader.read(&cell.text).is_ok()
                        || (cell.kind == CellKind::DayOrMonth && cell.text.len() < 11)
                };
                let mut found = Vec::new();
                for &column in &columns {
                    let count = table.cells(column).filter(|(_, cell)| fits(cell)).count();
                    if census(&column).most(count) {
                        found.push(column);
                    }
                }
                found
            }
            _ => Vec::new(),
        };
        match *times {
            [one] => return Ok(one),
            [first, second, ..] => {
                return by_name(&times).ok_or_else(|| {
                    let (first, second) = (table.column(first), table.column(second));
                    self.error(None, TableProblem::SeveralTimeColumns { first, second })
                });
            }
            [] => {}
        }
        // Numbers, or nothing at all: the name decides.
        let is_number = |column: &usize| {
            let census = census(column);
            census.filled == 0 || census.most(census.numbers)
        };
        let numbers: Vec<usize> = columns.iter().copied().filter(is_number).collect();
        if let Some(column) = by_name(&numbers) {
            return Ok(column);
        }
        let counts = metadata.begin.is_some() && metadata.period.is_some();
        if counts
            && let Some(&column) = numbers.iter().find(|&&column| plain(&table.titles[column]) == "index")
        {
            return Ok(column);
        }
        // Or a first column that can hardly be anything else.
        if let Some(&column) = columns.first() {
            let format = self.unix_format(table, column);
            let explicit = !matches!(
                self.options.time_format,
                TimeFormat::Auto | TimeFormat::Iso | TimeFormat::Custom(_)
            );
            if numbers.contains(&column)
                && (explicit || (format.is_some() && self.is_increasing(table, column)))
            {
                return Ok(column);
            }
        }
        if let Some(column) = by_name(&columns) {
            if self.options.time_format != TimeFormat::Auto {
                // What does not fit is told row by row.
                return Ok(column);
            }
            let is_unknown = |kind| !matches!(kind, CellKind::Missing | CellKind::Time);
            let (line, text) = table.example(column, is_unknown);
            let column = table.column(column);
            return Err(self.error(line, TableProblem::UnknownTimes { column, text }));
        }
        Err(self.no_time(table))
    }

    fn no_time(&self, table: &Table) -> SourceError {
        self.error(None, TableProblem::NoTimeColumn { columns: table.list() })
    }

    /// The times of day, where date and time of day stand in two columns.
    fn clock_column(
        &self,
        table: &Table,
        ignored: &[bool],
        time: usize,
    ) -> Result<Option<usize>, SourceError> {
        if let Some(column) = &self.options.clock_column {
            return self.find(table, "clock_column", column).map(Some);
        }
        let has_clock = table.cells(time).any(|(_, cell)| cell.text.contains(&b':'));
        let text =
            matches!(self.options.time_format, TimeFormat::Auto | TimeFormat::Iso | TimeFormat::Custom(_));
        if has_clock || !text {
            return Ok(None);
        }
        let mut clocks = (0..table.titles.len()).filter(|&column| {
            let census = table.census[column];
            !ignored[column] && column != time && census.most(census.clocks)
        });
        let first = clocks.next();
        // Of several, none is more likely.
        Ok(first.filter(|_| clocks.next().is_none()))
    }

    fn time_format(
        &self,
        table: &Table,
        time: usize,
        clock: Option<usize>,
        nexus: bool,
        metadata: &Metadata,
    ) -> Result<TimeFormat, SourceError> {
        let format = self.recognize_format(table, time, clock, nexus, metadata)?;
        if format == TimeFormat::Index {
            let missing = match metadata {
                Metadata { begin: None, .. } => Some("begin"),
                Metadata { period: None, .. } => Some("period"),
                _ => None,
            };
            if let Some(missing) = missing {
                let from_comments = table.titles[time] == "Index";
                return Err(self.error(None, TableProblem::NoBegin { missing, from_comments }));
            }
        }
        if nexus && let Some(period) = metadata.period {
            too_coarse(&format, period).map_err(|problem| self.error(None, problem))?;
        }
        Ok(format)
    }

    fn recognize_format(
        &self,
        table: &Table,
        time: usize,
        clock: Option<usize>,
        nexus: bool,
        metadata: &Metadata,
    ) -> Result<TimeFormat, SourceError> {
        if self.options.time_format != TimeFormat::Auto {
            return Ok(self.options.time_format.clone());
        }
        let title = &table.titles[time];
        if nexus && let Some((_, format)) = NEXUS_TITLES.iter().find(|(known, _)| known == title) {
            return Ok(format.clone());
        }
        let census = table.census[time];
        if census.filled == 0 || census.most(census.times) {
            return Ok(TimeFormat::Iso);
        }
        let column = table.column(time);
        if census.day_or_month > 0 {
            let found = table.rows.iter().find_map(|row| {
                let cell = row.cells.get(time).filter(|cell| cell.kind == CellKind::DayOrMonth)?;
                let mut text = cell.text.clone();
                if let Some(clock) = clock.and_then(|clock| row.cells.get(clock)) {
                    text.push(b' ');
                    text.extend_from_slice(&clock.text);
                }
                Some((row.line, day_or_month(&text)?, RowError::excerpt(&text)))
            });
            if let Some((line, (day_first, month_first), text)) = found {
                let problem = TableProblem::DayOrMonth { column, text, day_first, month_first };
                return Err(self.error(Some(line), problem));
            }
        }
        if !census.most(census.numbers) {
            let (line, text) = table.example(time, |kind| matches!(kind, CellKind::Text | CellKind::Clock));
            return Err(self.error(line, TableProblem::UnknownTimes { column, text }));
        }
        if metadata.begin.is_some() && metadata.period.is_some() && plain(title) == "index" {
            return Ok(TimeFormat::Index);
        }
        if let Some(format) = self.unix_format(table, time) {
            return Ok(format);
        }
        let name = plain(title);
        let is_day = |number: f64| (20_000.0..80_000.0).contains(&number);
        let days = numbers(table, time).all(is_day);
        // Five digits alone could as well be seconds of a day.
        if name.contains("excel")
            || name.contains("ole_")
            || (days && (name.contains("date") || name.contains("datum")))
        {
            return Ok(TimeFormat::Excel);
        }
        let (line, text) = table.example(time, |kind| kind == CellKind::Number);
        Err(self.error(line, TableProblem::UnclearNumbers { column, text }))
    }

    fn unix_format(&self, table: &Table, column: usize) -> Option<TimeFormat> {
        unix_unit(numbers(table, column))
    }

    fn is_increasing(&self, table: &Table, column: usize) -> bool {
        let numbers: Vec<f64> = numbers(table, column).collect();
        numbers.is_sorted() && numbers.first() < numbers.last()
    }

    fn roles(
        &self,
        table: &Table,
        ignored: &[bool],
        time: usize,
        clock: Option<usize>,
    ) -> Result<Roles, SourceError> {
        if let Some(clock) = clock
            && clock == time
        {
            let (first, second) = ("time_column", "clock_column");
            return Err(
                self.error(None, TableProblem::SameColumn { column: table.column(time), first, second })
            );
        }
        let rest: Vec<usize> = (0..table.titles.len())
            .filter(|&column| !ignored[column] && column != time && Some(column) != clock)
            .collect();
        let named = |names: &[&str]| {
            let ranked =
                rest.iter().filter_map(|&column| Some((rank(&table.titles[column], names)?, column)));
            ranked.min().map(|(_, column)| column)
        };
        let mut chosen = Vec::new();
        for wanted in &self.options.value_columns {
            let column = self.find(table, "value_columns", wanted)?;
            if column == time || Some(column) == clock {
                let (first, second) = ("time_column", "value_columns");
                return Err(self
                    .error(None, TableProblem::SameColumn { column: table.column(column), first, second }));
            }
            if !chosen.contains(&column) {
                chosen.push(column);
            }
        }
        let is_long = match self.options.layout {
            Some(layout) => layout == Layout::Long,
            None if self.options.series_column.is_some() => true,
            None => chosen.is_empty() && named(&SERIES_NAMES).is_some() && named(&VALUE_NAMES).is_some(),
        };
        if is_long {
            return self.long_roles(table, &rest, &chosen, time);
        }
        let values = if chosen.is_empty() { rest } else { chosen.clone() };
        if values.is_empty() {
            return Err(self.error(None, TableProblem::NoValues));
        }
        for &column in &values {
            let census = table.census[column];
            if census.filled > 0 && census.numbers == 0 && !chosen.contains(&column) {
                let (line, text) = table.example(column, |kind| kind != CellKind::Missing);
                let column = table.column(column);
                return Err(self.error(line, TableProblem::TextColumn { column, text }));
            }
        }
        let mut titles: Vec<(&str, usize)> =
            values.iter().map(|&column| (&*table.titles[column], column)).collect();
        titles.sort_unstable();
        if let Some([(name, first), (_, second)]) = titles.array_windows().find(|[(a, _), (b, _)]| a == b) {
            let (name, first, second) = ((*name).to_owned(), first + 1, second + 1);
            return Err(self.error(None, TableProblem::SameName { name, first, second }));
        }
        Ok(Roles::Wide { values })
    }

    fn long_roles(
        &self,
        table: &Table,
        rest: &[usize],
        chosen: &[usize],
        time: usize,
    ) -> Result<Roles, SourceError> {
        let named = |names: &[&str], taken: &[usize]| {
            let free = rest.iter().filter(|column| !taken.contains(column));
            let ranked = free.filter_map(|&column| Some((rank(&table.titles[column], names)?, column)));
            ranked.min().map(|(_, column)| column)
        };
        let only = |taken: &[usize], fits: &dyn Fn(Census) -> bool| {
            let mut fitting =
                rest.iter().copied().filter(|&column| !taken.contains(&column) && fits(table.census[column]));
            let first = fitting.next();
            first.filter(|_| fitting.next().is_none())
        };
        let series = match &self.options.series_column {
            Some(column) => self.find(table, "series_column", column)?,
            None => named(&SERIES_NAMES, chosen)
                .or_else(|| only(chosen, &|census| census.filled > 0 && census.numbers == 0))
                .ok_or_else(|| self.no_long_column(table, "names of series", "series_column"))?,
        };
        let value = match chosen {
            [value, ..] => *value,
            [] => named(&VALUE_NAMES, &[series])
                .or_else(|| only(&[series], &|census| census.numbers > 0))
                .ok_or_else(|| self.no_long_column(table, "values", "value_columns"))?,
        };
        if let Some(first) = clash(series, time, value) {
            let (column, second) = (table.column(series), "series_column");
            return Err(self.error(None, TableProblem::SameColumn { column, first, second }));
        }
        Ok(Roles::Long { series, value, unit: named(&UNIT_NAMES, &[series, value]) })
    }

    fn no_long_column(&self, table: &Table, what: &'static str, option: &'static str) -> SourceError {
        self.error(None, TableProblem::LongColumn { what, option, columns: table.list() })
    }

    fn decimal(&self, table: &Table, roles: &Roles, delimiter: u8) -> Result<Option<Decimal>, SourceError> {
        if self.options.decimal.is_some() {
            return Ok(self.options.decimal);
        }
        let columns = match roles {
            Roles::Wide { values } => values.as_slice(),
            Roles::Long { value, .. } => std::slice::from_ref(value),
        };
        let cells = || {
            let cells = columns.iter().flat_map(|&column| table.cells(column));
            cells.filter(|(_, cell)| cell.kind == CellKind::Number)
        };
        let point = cells().find(|(_, cell)| cell.text.contains(&b'.'));
        let comma = cells().find(|(_, cell)| cell.text.contains(&b','));
        match (point, comma) {
            (Some((_, one)), Some((line, other))) => {
                let (one, other) = (RowError::excerpt(&one.text), RowError::excerpt(&other.text));
                Err(self.error(Some(line), TableProblem::Decimal { one, other }))
            }
            (None, Some((line, cell))) if delimiter == b',' => {
                let commas = || cells().filter(|(_, cell)| cell.text.contains(&b','));
                if commas().all(|(_, cell)| cell.quoted && is_thousands(&cell.text)) {
                    let text = RowError::excerpt(&cell.text);
                    return Err(self.error(Some(line), TableProblem::Thousands { text }));
                }
                Ok(Some(Decimal::Comma))
            }
            (None, Some(_)) => Ok(Some(Decimal::Comma)),
            (Some(_), None) => Ok(Some(Decimal::Point)),
            // Where commas separate fields, one in a number has to be asked for.
            (None, None) => Ok((delimiter == b',').then_some(Decimal::Point)),
        }
    }
}

/// The most common number of fields, the smaller one of two, and how many rows have it.
fn mode(rows: &[SampleRow]) -> (usize, usize) {
    let mut lengths: Vec<usize> = rows.iter().map(|row| row.cells.len()).collect();
    lengths.sort_unstable();
    let mut best = (0, 0);
    for same in lengths.chunk_by(|a, b| a == b) {
        if same.len() > best.1 {
            best = (same[0], same.len());
        }
    }
    best
}

/// The unit of Unix times, where all numbers lie between 1973 and 2286 in it. No number does in two units.
pub(crate) fn unix_unit(numbers: impl IntoIterator<Item = f64>) -> Option<TimeFormat> {
    let unit = |number: f64| match number {
        1e8..1e10 => Some(TimeFormat::UnixS),
        1e11..1e13 => Some(TimeFormat::UnixMs),
        1e14..1e16 => Some(TimeFormat::UnixUs),
        1e17..1e19 => Some(TimeFormat::UnixNs),
        _ => None,
    };
    let mut units = numbers.into_iter().map(unit);
    let first = units.next()??;
    units.all(|unit| unit.as_ref() == Some(&first)).then_some(first)
}

/// The numbers of a column.
fn numbers(table: &Table, column: usize) -> impl Iterator<Item = f64> {
    let cells = table.cells(column).filter(|(_, cell)| cell.kind == CellKind::Number);
    cells.filter_map(|(_, cell)| {
        let number = parse_number(&cell.text, b'.').or_else(|_| parse_number(&cell.text, b','));
        number.ok().map(super::number::Number::as_f64)
    })
}

/// Whether commas may separate thousands: `1,234`, but not `0,123` or `12,5`.
fn is_thousands(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").or_else(|| text.strip_prefix(b"+")).unwrap_or(text);
    let mut groups = digits.split(|&byte| byte == b',');
    let first = groups.next().is_some_and(|first| (1..=3).contains(&first.len()) && first[0] != b'0');
    first && groups.all(|group| group.len() == 3)
}

/// Refuses periods that the decimals of a Nexus export can't tell apart.
fn too_coarse(format: &TimeFormat, period: SamplePeriod) -> Result<(), TableProblem> {
    // 9 decimals of a day are 864 ticks, 5 of a second are 100.
    let (decimals, ticks) = match format {
        TimeFormat::Excel => (9, 864),
        TimeFormat::UnixS => (5, 100),
        _ => return Ok(()),
    };
    let exact = *format == TimeFormat::UnixS && period.ticks() % ticks == 0;
    if period.ticks() > ticks || exact { Ok(()) } else { Err(TableProblem::TooCoarse { decimals, period }) }
}

/// The time zone and the reader of times that a plan asks for.
pub(crate) fn time_reader(plan: &Plan, options: &CsvOptions) -> Result<TimeReader, SourceError> {
    let zone = Zone::new(options.time_zone.as_deref())?;
    // An export of Nexus says nothing of zones, because all its times are in UTC.
    let zone = if plan.nexus { Zone::new(None)? } else { zone };
    let begin: Option<Tick> = plan.metadata.begin;
    Ok(TimeReader::new(plan.format.clone(), zone, begin, plan.metadata.period, plan.nexus))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan_with(text: &str, options: CsvOptions) -> Result<Plan, String> {
        detect("test", text.as_bytes(), true, &options).map_err(|error| error.to_string())
    }

    fn plan(text: &str) -> Result<Plan, String> {
        plan_with(text, CsvOptions::default())
    }

    #[test]
    fn delimiters() {
        for (text, delimiter) in [
            ("time,T\n2020-01-01,1.5\n", b','),
            ("time;T\n2020-01-01;1,5\n", b';'),
            ("2020-01-01;1,5\n2020-01-02;1,5\n", b';'),
            ("time\tT\n2020-01-01 00:00\t1\n", b'\t'),
            ("time|T\n2020-01-01|1\n", b'|'),
            ("time,\"a;b\"\n2020-01-01,1\n", b','),
            ("time,\"a;b\"\n\"2020-01-01\",\"1\"\n", b','),
        ] {
            assert_eq!(plan(text).unwrap().delimiter, delimiter, "{text}");
        }
        let error = plan("2020-01-01 1.5\n2020-01-02 1.6\n").unwrap_err();
        assert!(
            error.starts_with(
                "test, line 1: `,`, `;`, tab and `|` all leave a single column (`2020-01-01 1.5`)"
            )
        );
        assert!(plan("\"time\"x,T\n").unwrap_err().starts_with("test, line 1: text follows a closing quote"));
        assert!(
            plan("\"time,T\n2020-01-01,1\n").unwrap_err().starts_with("test, line 1: a quote is opened here")
        );
        let options = CsvOptions { delimiter: Some(' '), ..CsvOptions::default() };
        assert_eq!(plan_with("2020-01-01 1.5\n2020-01-02 1.6\n", options).unwrap().delimiter, b' ');
    }

    #[test]
    fn headers() {
        let header = |text: &str| plan(text).map(|plan| (plan.header_line, plan.titles));
        let titles = |titles: [&str; 2]| titles.map(str::to_owned).to_vec();
        assert_eq!(header("time,T\n2020-01-01,1\n"), Ok((Some(1), titles(["time", "T"]))));
        assert_eq!(header("time,1001\n2020-01-01,1\n"), Ok((Some(1), titles(["time", "1001"]))));
        assert_eq!(header("2020-01-01,1\n"), Ok((None, titles(["column_1", "column_2"]))));
        assert_eq!(header("1577836800,1\n1577836801,1\n"), Ok((None, titles(["column_1", "column_2"]))));
        assert_eq!(header("\n# made by me\ntime,T\n2020-01-01,1\n"), Ok((Some(3), titles(["time", "T"]))));
        assert_eq!(header("# made by me\n# time,T\n2020-01-01,1\n"), Ok((Some(2), titles(["time", "T"]))));
        // A comment like any other, though it has a comma.
        assert_eq!(header("# by me: 1, 2\n2020-01-01,1\n").unwrap().0, None);
        let options = CsvOptions { header: Header::Line(3), ..CsvOptions::default() };
        let text = "Station,x,y\nno \"quotes\n#time,T\n2020-01-01,1\n";
        assert_eq!(plan_with(text, options.clone()).unwrap().titles, titles(["time", "T"]));
        assert_eq!(
            plan_with("a\n", options).unwrap_err(),
            "test: there is no line 3, where the header should be"
        );
        let error = plan("Station 5\n\ntime,T\n2020-01-01,1\n2020-01-02,1\n").unwrap_err();
        assert!(
            error.starts_with("test, line 1: this line has 1 field, but the table seems to begin in line 3")
        );
    }

    #[test]
    fn columns_of_times() {
        let time = |text: &str| plan(text).map(|plan| (plan.time, plan.format));
        assert_eq!(time("T,when\n1,2020-01-01\n"), Ok((1, TimeFormat::Iso)));
        assert_eq!(time("T,time\n1,1577836800\n"), Ok((1, TimeFormat::UnixS)));
        assert_eq!(time("time,T\n1577836800000,1\n"), Ok((0, TimeFormat::UnixMs)));
        assert_eq!(time("x,T\n1577836800000000,1\n1577836800000001,1\n"), Ok((0, TimeFormat::UnixUs)));
        assert_eq!(time("ts,T\n1577836800000000000,1\n"), Ok((0, TimeFormat::UnixNs)));
        assert_eq!(time("date,T\n43831.5,1\n"), Ok((0, TimeFormat::Excel)));
        assert_eq!(time("Excel time,T\n43831.5,1\n"), Ok((0, TimeFormat::Excel)));
        assert!(time("time,T\n36000.5,1\n").unwrap_err().contains("could be times in several ways"));
        assert!(time("time,T\n0,1\n1,1\n").unwrap_err().contains("`time_format`: unix_s, "));
        assert!(time("a,b\n1,1\n2,1\n").unwrap_err().contains("no column holds times"));
        assert!(time("a,b,c\n2020-01-01,2020-01-01,1\n").unwrap_err().contains("both hold times"));
        assert!(
            time("time,T\nsoon,1\n").unwrap_err().contains("has `soon`, which is no time in a known form")
        );
        let error = time("when,T\n01/02/2020 10:00,1\n13/02/2020 10:00,1\n").unwrap_err();
        assert!(error.contains("`%d/%m/%Y %H:%M` or `%m/%d/%Y %H:%M`"), "{error}");
        assert_eq!(plan("date,time,T\n2020-01-01,10:00,1\n").unwrap().clock, Some(1));
        let error = plan("date,time,T\n01.02.2020,10:00:00,1\n").unwrap_err();
        assert!(error.contains("`%d.%m.%Y %H:%M:%S`"), "{error}");
    }

    #[test]
    fn layouts() {
        let roles = |text: &str| plan(text).map(|plan| plan.roles);
        let long = |series, value, unit| Ok(Roles::Long { series, value, unit });
        assert_eq!(roles("time,a,b\n2020-01-01,1,2\n"), Ok(Roles::Wide { values: vec![1, 2] }));
        assert_eq!(roles("series,time,value\na,2020-01-01,1\n"), long(0, 2, None));
        assert_eq!(roles("value,unit,time,meter_id,x\n1,kWh,2020-01-01,1001,y\n"), long(3, 0, Some(1)));
        let error = roles("time,value,quality\n2020-01-01,1,good\n").unwrap_err();
        assert!(
            error.contains("column 3 (`quality`) holds text such as `good`. If it says which series"),
            "{error}"
        );
        let options = CsvOptions { layout: Some(Layout::Long), ..CsvOptions::default() };
        assert_eq!(
            plan_with("what,time,x\na,2020-01-01,1\n", options.clone()).unwrap().roles,
            Roles::Long { series: 0, value: 2, unit: None }
        );
        assert!(plan_with("time,x\n2020-01-01,1\n", options).unwrap_err().contains("`series_column`"));
        assert!(
            roles("time,a,a\n2020-01-01,1,2\n").unwrap_err().contains("columns 2 and 3 are both called `a`")
        );
        assert!(roles("time,\n2020-01-01,\n").unwrap_err().contains("no column with values"));
        // The index of a data frame, and a series without a title.
        assert_eq!(roles(",time,a\n0,2020-01-01,1\n1,2020-01-02,2\n"), Ok(Roles::Wide { values: vec![2] }));
        assert_eq!(roles(",time,a\n5,2020-01-01,1\n"), Ok(Roles::Wide { values: vec![0, 2] }));
        assert_eq!(roles("time,a,\n2020-01-01,1,\n"), Ok(Roles::Wide { values: vec![1] }));
        assert_eq!(roles("time,a,\n2020-01-01,1\n"), Ok(Roles::Wide { values: vec![1] }));
        assert_eq!(roles("time,a\n2020-01-01,1,\n2020-01-02,1,\n"), Ok(Roles::Wide { values: vec![1] }));
    }

    #[test]
    fn decimal_separators() {
        let decimal = |text: &str| plan(text).map(|plan| plan.decimal);
        assert_eq!(decimal("time;a\n2020-01-01;1,5\n"), Ok(Some(Decimal::Comma)));
        assert_eq!(decimal("time;a\n2020-01-01;1.5\n"), Ok(Some(Decimal::Point)));
        assert_eq!(decimal("time;a\n2020-01-01;15\n"), Ok(None));
        assert_eq!(decimal("time,a\n2020-01-01,\"1,5\"\n"), Ok(Some(Decimal::Comma)));
        assert!(decimal("time,a\n2020-01-01,\"1,500\"\n").unwrap_err().contains("groups of thousands"));
        assert!(decimal("time;a;b\n2020-01-01;1,5;1.5\n").unwrap_err().contains("Both `1.5` and `1,5`"));
    }
}
