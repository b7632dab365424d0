//! Reads a table, batch by batch.

use std::collections::HashMap;
use std::fmt;

use super::detect::{Plan, Roles, detect, is_enough, time_reader};
use super::number::{Number, parse_number};
use super::options::{CsvOptions, Decimal, Header, Layout, OnError};
use super::record::{RecordError, Records};
use super::time::TimeReader;
use super::title::{decode, nexus_title, split_unit};
use super::zone::Instant;
use crate::error::{NumberProblem, RowError, RowProblem, SourceError};
use crate::input::{Input, Opened};
use crate::table::{
    Batch, Column, ColumnValues, Detected, Metadata, Place, Report, Rows, Seen, Summary, Table,
};

/// Rows of a batch, at most.
const BATCH_ROWS: usize = 1 << 16;

/// Values of a batch, at most, unless a single row has more: 32 MiB.
const BATCH_VALUES: usize = 1 << 22;

/// Series of a long table, at most: more are taken for a mistake.
pub(crate) const MOST_SERIES: usize = 1_000_000;

/// Bytes of the name of a series in a long table, at most.
pub(crate) const LONGEST_NAME: usize = 1024;

/// Reads delimited text as batches of samples, in bounded memory whatever the input.
///
/// What [`CsvOptions`] leave open is recognized from the first records, and [`Report::detected`] says how. Text is
/// UTF-8; names that are not are taken as Latin-1. Blanks around fields don't count. A row may have a delimiter at its
/// end; otherwise each row has as many fields as the header.
///
/// Integers stay integers where a whole batch has nothing else, and [`Column::seen`] tells what a series had so far: the
/// caller decides about its type over all batches. Floats are always rounded correctly.
///
/// In a zone where clocks change, a wall time that occurs twice is told by the order of rows of the same series: the
/// first one is the earlier time, unless time would then go backwards. The other way around in files that go backwards.
/// These are counted in [`Report::folds`]. A wall time that does not exist is an error.
///
/// A file that Nexus exported is read without options, whatever its row index.
pub struct CsvReader {
    input: String,
    records: Records,
    plan: Plan,
    time: TimeReader,
    columns: Vec<Column>,
    /// Where a series of a long table is in `columns`, by its name in bytes.
    series: HashMap<Vec<u8>, u32>,
    /// For each series of a long table, or for all of a wide one, the last time.
    orders: Vec<Order>,
    missing: Vec<Vec<u8>>,
    /// Whether a missing value may look like a number: `-999`.
    missing_numbers: bool,
    decimal: Decimal,
    /// Whether the decimal separator is certain.
    decided: bool,
    skip: bool,
    finished: bool,
    report: Report,
    /// The values of the row at hand: it counts as a whole or not at all.
    row: Vec<Option<Number>>,
    /// Date and time of day, put together.
    joined: Vec<u8>,
}

impl fmt::Debug for CsvReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CsvReader")
            .field("input", &self.input)
            .field("report", &self.report)
            .finish_non_exhaustive()
    }
}

/// What is wrong with the row at hand, and in which column.
struct Wrong {
    column: Option<usize>,
    problem: RowProblem,
}

/// In which order the times of a series come.
#[derive(Clone, Copy, Default)]
pub(crate) struct Order {
    last: Option<i64>,
    descending: bool,
}

impl Order {
    /// The point in time, and whether it was one of two.
    pub(crate) fn resolve(self, instant: Instant) -> (i64, bool) {
        match instant {
            Instant::At(at) => (at, false),
            Instant::Fold { earlier, later } => {
                let at = match self.last {
                    None => earlier,
                    Some(last) if self.descending => {
                        if later < last {
                            later
                        } else {
                            earlier
                        }
                    }
                    Some(last) => {
                        if earlier > last {
                            earlier
                        } else {
                            later
                        }
                    }
                };
                (at, true)
            }
        }
    }

    pub(crate) fn follow(&mut self, at: i64) {
        if let Some(last) = self.last
            && last != at
        {
            self.descending = at < last;
        }
        self.last = Some(at);
    }
}

impl CsvReader {
    /// Opens an input and finds out how it is written.
    ///
    /// # Errors
    /// The input can't be opened or is no text, options can't be, there is no table, or it could be read in two ways.
    pub fn open(input: Input, options: CsvOptions) -> Result<CsvReader, SourceError> {
        options.check()?;
        let Opened { name: input, compression, text } = input.open()?;
        let mut records = Records::new(text, b',', options.comments.prefix());
        let peeked = records.peek(|sample| is_enough(sample, options.header));
        let (sample, complete) =
            peeked.map_err(|source| SourceError::Read { input: input.clone(), line: 0, source })?;
        let plan = detect(&input, sample, complete, &options)?;
        let time = time_reader(&plan, &options)?;
        let columns = match &plan.roles {
            Roles::Wide { values } => {
                let column = |&index: &usize| wide_column(&plan.titles[index], plan.nexus);
                values.iter().map(column).collect()
            }
            Roles::Long { .. } => Vec::new(),
        };
        let detected = Detected {
            compression,
            latin1: plan.latin1,
            delimiter: char::from(plan.delimiter),
            decimal: plan.decimal.map(|decimal| char::from(decimal.byte())),
            header_line: plan.header_line,
            layout: match plan.roles {
                Roles::Wide { .. } => Layout::Wide,
                Roles::Long { .. } => Layout::Long,
            },
            time_column: plan.column(plan.time),
            clock_column: plan.clock.map(|clock| plan.column(clock)),
            time_format: plan.format.clone(),
            time_zone: time.zone_name().to_owned(),
            nexus: plan.nexus,
            ignored: plan.ignored.iter().map(|&column| plan.column(column)).collect(),
        };
        let missing = options.missing_words();
        let looks_like_number =
            |word: &Vec<u8>| parse_number(word, b'.').is_ok() || parse_number(word, b',').is_ok();
        let mut reader = CsvReader {
            input,
            records,
            time,
            columns,
            series: HashMap::new(),
            orders: match plan.roles {
                Roles::Wide { .. } => vec![Order::default()],
                Roles::Long { .. } => Vec::new(),
            },
            missing_numbers: missing.iter().any(looks_like_number),
            missing,
            decimal: plan.decimal.unwrap_or(Decimal::Point),
            decided: plan.decimal.is_some(),
            skip: options.on_error == OnError::Skip,
            finished: false,
            report: Report { rows: 0, skipped: 0, errors: Vec::new(), folds: 0, detected },
            row: Vec::new(),
            joined: Vec::new(),
            plan,
        };
        reader.pass_header(&options).map_err(|error| reader.record_error(error))?;
        Ok(reader)
    }

    /// Goes on behind the titles.
    fn pass_header(&mut self, options: &CsvOptions) -> Result<(), RecordError> {
        self.records.set_delimiter(self.plan.delimiter);
        self.records.skip_lines(self.plan.skipped_lines)?;
        if self.plan.header_line.is_some() && !self.plan.header_in_comment {
            // A header line that was named may be a comment.
            let named = matches!(options.header, Header::Line(_));
            self.records.set_comment(options.comments.prefix().filter(|_| !named));
            self.records.advance()?;
            self.records.set_comment(options.comments.prefix());
        }
        Ok(())
    }

    /// How messages call the input.
    pub fn name(&self) -> &str {
        &self.input
    }

    /// The series: of a wide table one for each column of values; of a long table those that were met so far.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// What the comments of a Nexus export and the options say of the times.
    pub fn metadata(&self) -> &Metadata {
        &self.plan.metadata
    }

    /// What was read so far, and how.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// The next rows; `None` at the end, and after an error.
    ///
    /// # Errors
    /// The input can't be read, or a row is wrong. If rows are to be skipped, only where the next one can't be found.
    pub fn next_batch(&mut self) -> Result<Option<Batch>, SourceError> {
        if self.finished {
            return Ok(None);
        }
        let batch = self.read_batch();
        self.finished = !matches!(batch, Ok(Some(_)));
        batch
    }

    fn read_batch(&mut self) -> Result<Option<Batch>, SourceError> {
        let mut rows = match &self.plan.roles {
            Roles::Wide { values } => Builder::Wide(vec![Values::default(); values.len()]),
            Roles::Long { .. } => Builder::Long { series: Vec::new(), values: Values::default() },
        };
        let most = (BATCH_VALUES / self.columns.len().max(1)).clamp(1, BATCH_ROWS);
        let most = if matches!(rows, Builder::Wide(_)) { most } else { BATCH_ROWS };
        let (mut lines, mut starts) = (Vec::new(), Vec::new());
        while starts.len() < most {
            let line = match self.records.advance() {
                Ok(None) => break,
                Ok(Some(line)) => line,
                Err(RecordError::Record { line, problem }) if !problem.is_fatal() => {
                    self.refuse(line, Wrong { column: None, problem })?;
                    continue;
                }
                Err(error) => return Err(self.record_error(error)),
            };
            let start = match &mut rows {
                Builder::Wide(columns) => self.wide_row(columns),
                Builder::Long { series, values } => self.long_row(series, values),
            };
            match start {
                Ok(start) => {
                    starts.push(start);
                    lines.push(line);
                    self.report.rows += 1;
                }
                Err(wrong) => self.refuse(line, wrong)?,
            }
        }
        if starts.is_empty() {
            return Ok(None);
        }
        let rows = match rows {
            Builder::Wide(columns) => {
                for (column, values) in self.columns.iter_mut().zip(&columns) {
                    column.seen.add(values.seen);
                }
                Rows::Wide(columns.into_iter().map(Values::finish).collect())
            }
            Builder::Long { series, values } => Rows::Long { series, values: values.finish() },
        };
        Ok(Some(Batch { lines, starts, rows }))
    }

    /// Takes up the record at hand as a row of a wide table, or nothing of it.
    fn wide_row(&mut self, columns: &mut [Values]) -> Result<i64, Wrong> {
        self.check_width()?;
        let instant = self.instant()?;
        let (at, fold) = self.orders[0].resolve(instant);
        let Roles::Wide { values } = &self.plan.roles else { return Ok(at) };
        self.row.clear();
        let mut separator = Separator { decimal: self.decimal, decided: self.decided };
        for &column in values {
            let text = self.records.field(column);
            let value = self.number(text, &mut separator);
            self.row.push(value.map_err(|problem| Wrong::number(column, problem))?);
        }
        // From here on nothing can go wrong.
        for (values, value) in columns.iter_mut().zip(&self.row) {
            values.push(*value);
        }
        self.accept(0, at, fold, separator);
        Ok(at)
    }

    /// Takes up the record at hand as a row of a long table, or nothing of it.
    fn long_row(&mut self, batch_series: &mut Vec<u32>, batch_values: &mut Values) -> Result<i64, Wrong> {
        self.check_width()?;
        let instant = self.instant()?;
        let Roles::Long { series, value, unit } = self.plan.roles else { return Ok(0) };
        let name = self.records.field(series);
        let known = match self.series.get(name) {
            Some(&known) => Some(known),
            None if name.is_empty() => return Err(Wrong { column: None, problem: RowProblem::NoSeries }),
            None if name.len() > LONGEST_NAME => {
                let problem = RowProblem::LongName { most: LONGEST_NAME };
                return Err(Wrong { column: Some(series), problem });
            }
            None if self.columns.len() == MOST_SERIES => {
                let problem = RowProblem::TooManySeries { most: MOST_SERIES };
                return Err(Wrong { column: Some(series), problem });
            }
            None => None,
        };
        let order = known.map_or(Order::default(), |known| self.orders[known as usize]);
        let (at, fold) = order.resolve(instant);
        let mut separator = Separator { decimal: self.decimal, decided: self.decided };
        let text = self.records.field(value);
        let number = self.number(text, &mut separator).map_err(|problem| Wrong::number(value, problem))?;
        // From here on nothing can go wrong.
        let index = match known {
            Some(known) => known,
            None => self.new_series(series, unit),
        };
        self.columns[index as usize].seen.count(number);
        batch_series.push(index);
        batch_values.push(number);
        self.accept(index as usize, at, fold, separator);
        Ok(at)
    }

    fn new_series(&mut self, series: usize, unit: Option<usize>) -> u32 {
        let name = self.records.field(series);
        let (title, latin1) = decode(name);
        self.report.detected.latin1 |= latin1;
        let mut column = wide_column(&title, false);
        if let Some(unit) =
            unit.map(|unit| decode(self.records.field(unit)).0).filter(|unit| !unit.is_empty())
        {
            column.unit = Some(unit.into_owned());
        }
        // `MOST_SERIES` fit.
        let index = self.columns.len() as u32;
        self.series.insert(name.to_vec(), index);
        self.columns.push(column);
        self.orders.push(Order::default());
        index
    }

    fn accept(&mut self, order: usize, at: i64, fold: bool, separator: Separator) {
        self.orders[order].follow(at);
        self.report.folds += u64::from(fold);
        if separator.decided && !self.decided {
            self.decided = true;
            self.decimal = separator.decimal;
            self.report.detected.decimal = Some(char::from(separator.decimal.byte()));
        }
    }

    fn check_width(&self) -> Result<(), Wrong> {
        let (found, wanted) = (self.records.len(), self.plan.titles.len());
        // A delimiter at the end of a row makes no field.
        if found == wanted || (found == wanted + 1 && self.records.field(wanted).is_empty()) {
            return Ok(());
        }
        Err(Wrong { column: None, problem: RowProblem::Fields { found, wanted } })
    }

    fn instant(&mut self) -> Result<Instant, Wrong> {
        let text = self.records.field(self.plan.time);
        let text = match self.plan.clock {
            None => text,
            Some(clock) => {
                self.joined.clear();
                self.joined.extend_from_slice(text);
                self.joined.push(b' ');
                self.joined.extend_from_slice(self.records.field(clock));
                self.joined.trim_ascii()
            }
        };
        self.time.read(text).map_err(|problem| {
            let missing = text.is_empty() || self.missing.iter().any(|word| word == text);
            let problem = if missing { RowProblem::NoTime } else { RowProblem::Time(problem) };
            Wrong { column: Some(self.plan.time), problem }
        })
    }

    /// The number that a cell holds, if it holds any.
    #[inline]
    fn number(&self, text: &[u8], separator: &mut Separator) -> Result<Option<Number>, NumberProblem> {
        let is_missing = || self.missing.iter().any(|word| word == text);
        if text.is_empty() || (self.missing_numbers && is_missing()) {
            return Ok(None);
        }
        let number = parse_number(text, separator.decimal.byte());
        if separator.decided
            && let Ok(number) = number
        {
            return Ok(Some(number));
        }
        match number {
            Ok(number) => {
                separator.decided = text.contains(&separator.decimal.byte());
                Ok(Some(number))
            }
            Err(_) if is_missing() => Ok(None),
            Err(NumberProblem::Comma) if !separator.decided => {
                *separator = Separator { decimal: Decimal::Comma, decided: true };
                parse_number(text, separator.decimal.byte()).map(Some)
            }
            Err(problem) => Err(problem),
        }
    }

    /// A row that is wrong: an error, or one more that is skipped.
    fn refuse(&mut self, line: u64, Wrong { column, problem }: Wrong) -> Result<(), SourceError> {
        let keep = self.report.errors.len() < Report::MOST_ERRORS;
        let skip = self.skip && !problem.is_fatal();
        if skip && !keep {
            self.report.skipped += 1;
            return Ok(());
        }
        let field = |index: usize| if index < self.records.len() { self.records.field(index) } else { b"" };
        let text = match (column, self.plan.clock) {
            (Some(column), Some(_)) if column == self.plan.time => RowError::excerpt(&self.joined),
            (Some(column), _) => RowError::excerpt(field(column)),
            (None, _) => RowError::excerpt(field(0)),
        };
        let column = column.map(|column| self.plan.column(column));
        let error = RowError { input: self.input.clone(), place: Place::Line, line, column, text, problem };
        if !skip {
            return Err(error.into());
        }
        self.report.skipped += 1;
        self.report.errors.push(error);
        Ok(())
    }

    fn record_error(&self, error: RecordError) -> SourceError {
        let input = self.input.clone();
        match error {
            RecordError::Io(source) => {
                SourceError::Read { input, line: self.records.line().saturating_sub(1), source }
            }
            RecordError::Record { line, problem } => {
                RowError { input, place: Place::Line, line, column: None, text: String::new(), problem }
                    .into()
            }
        }
    }
}

impl Wrong {
    fn number(column: usize, problem: NumberProblem) -> Wrong {
        Wrong { column: Some(column), problem: RowProblem::Number(problem) }
    }
}

/// The decimal separator, and whether it is certain.
#[derive(Clone, Copy)]
struct Separator {
    decimal: Decimal,
    decided: bool,
}

fn wide_column(title: &str, nexus: bool) -> Column {
    let (name, unit) = split_unit(title);
    Column {
        title: title.to_owned(),
        name: name.to_owned(),
        unit: unit.map(str::to_owned),
        nexus: if nexus { nexus_title(name) } else { None },
        seen: Seen::default(),
    }
}

impl Seen {
    fn count(&mut self, value: Option<Number>) {
        match value {
            None => self.missing += 1,
            Some(Number::Float(_)) => self.fractions += 1,
            Some(Number::Int(value)) => self.count_integer(value),
        }
    }
}

enum Builder {
    Wide(Vec<Values>),
    Long { series: Vec<u32>, values: Values },
}

/// Values of a batch: integers as long as there is nothing else.
#[derive(Clone, Default)]
struct Values {
    ints: Vec<i64>,
    /// Set where an integer is valid; empty as long as all are.
    valid: Vec<u64>,
    /// Everything, once there was a fraction.
    floats: Option<Vec<f64>>,
    seen: Seen,
}

impl Values {
    #[inline]
    fn push(&mut self, value: Option<Number>) {
        self.seen.count(value);
        match (&mut self.floats, value) {
            (Some(floats), Some(value)) => floats.push(value.as_f64()),
            (Some(floats), None) => floats.push(f64::NAN),
            (None, Some(Number::Float(value))) => {
                let mut floats = self.to_floats();
                floats.push(value);
                self.floats = Some(floats);
            }
            (None, Some(Number::Int(value))) => {
                self.ints.push(value);
                if !self.valid.is_empty() {
                    self.set_valid(self.ints.len() - 1);
                }
            }
            (None, None) => {
                if self.valid.is_empty() {
                    (0..self.ints.len()).for_each(|index| self.set_valid(index));
                    self.valid.resize(self.ints.len() / 64 + 1, 0);
                }
                self.ints.push(0);
                self.valid.resize(self.ints.len().div_ceil(64), 0);
            }
        }
    }

    fn set_valid(&mut self, index: usize) {
        self.valid.resize(index / 64 + 1, 0);
        self.valid[index / 64] |= 1 << (index % 64);
    }

    fn to_floats(&self) -> Vec<f64> {
        let mut floats = Vec::with_capacity(self.ints.capacity().max(64));
        for (index, &value) in self.ints.iter().enumerate() {
            let valid = self.valid.get(index / 64).is_none_or(|word| word >> (index % 64) & 1 == 1);
            floats.push(if valid { value as f64 } else { f64::NAN });
        }
        floats
    }

    fn finish(self) -> ColumnValues {
        match self.floats {
            Some(floats) => ColumnValues::Floats(floats),
            None => {
                let validity = (!self.valid.is_empty()).then_some(self.valid);
                ColumnValues::Ints { values: self.ints, validity }
            }
        }
    }
}
impl Table for CsvReader {
    fn name(&self) -> &str {
        CsvReader::name(self)
    }

    fn columns(&self) -> &[Column] {
        CsvReader::columns(self)
    }

    fn metadata(&self) -> &Metadata {
        CsvReader::metadata(self)
    }

    fn next_batch(&mut self) -> Result<Option<Batch>, SourceError> {
        CsvReader::next_batch(self)
    }

    fn summary(&self) -> Summary {
        let report = self.report();
        Summary {
            rows: report.rows,
            skipped: report.skipped,
            errors: report.errors.iter().map(ToString::to_string).collect(),
            folds: report.folds,
            detected: report.detected.to_string(),
        }
    }
}
