//! Makes rows of cells: times from what stands there, names of series, and values.

use std::collections::HashMap;

use parquet::data_type::ByteArray;
use sheaf_model::Tick;

use super::content::{Cells, Content, Unit, int96_ticks, is_valid};
use super::detect::{Plan, Roles};
use crate::csv::{
    Instant, LONGEST_NAME, MOST_SERIES, Number, OnError, Order, TimeReader, Zone, decode, in_range,
    parse_number, split_unit,
};
use crate::error::{RowError, RowProblem, SourceError, TimeProblem};
use crate::parquet::ParquetOptions;
use crate::table::{Batch, Column, ColumnValues, Metadata, Place, Report, Rows, Seen, Summary};

/// Rows of a batch, at most.
const BATCH_ROWS: usize = 1 << 16;

/// Values of a batch, at most, unless a single row has more: 32 MiB.
const BATCH_VALUES: usize = 1 << 22;

/// How many rows of so many columns are a batch.
pub(crate) fn rows_of_batch(columns: usize) -> usize {
    (BATCH_VALUES / columns.max(1)).clamp(1, BATCH_ROWS)
}

/// Makes rows of the cells that a plan names.
pub(crate) struct Assembler {
    input: String,
    pub(crate) plan: Plan,
    time: TimeReader,
    zone: Zone,
    columns: Vec<Column>,
    /// Where a series of a long table is in `columns`, by its name in bytes.
    series: HashMap<Vec<u8>, u32>,
    /// For each series of a long table, or for all of a wide one, the last time.
    orders: Vec<Order>,
    /// Numbers that stand for none.
    missing: Vec<f64>,
    skip: bool,
    pub(crate) summary: Summary,
    pub(crate) said: Metadata,
}

/// What is wrong with a row.
struct Wrong {
    column: usize,
    text: String,
    problem: RowProblem,
}

impl Assembler {
    /// `more` is what is to be said of the file beside the plan.
    pub(crate) fn new(
        input: &str,
        plan: Plan,
        options: &ParquetOptions,
        more: &str,
    ) -> Result<Assembler, SourceError> {
        let zone = || Zone::new(options.time_zone.as_deref());
        let time = TimeReader::new(plan.format.clone(), zone()?, options.begin, options.period, false);
        let columns: Vec<Column> = match &plan.roles {
            Roles::Wide { values } => values.iter().map(|&value| wide_column(&plan, value)).collect(),
            Roles::Long { .. } => Vec::new(),
        };
        let words = options.missing.iter().flatten();
        let missing = words.filter_map(|word| parse_number(word.trim().as_bytes(), b'.').ok());
        let zone = zone()?;
        let detected = format!("{plan}, time zone {}{more}", zone.name());
        Ok(Assembler {
            input: input.to_owned(),
            orders: if columns.is_empty() { Vec::new() } else { vec![Order::default()] },
            missing: missing.map(Number::as_f64).collect(),
            skip: options.on_error == OnError::Skip,
            summary: Summary { detected, ..Summary::default() },
            said: Metadata { begin: options.begin, period: options.period, catalog: None },
            plan,
            time,
            zone,
            columns,
            series: HashMap::new(),
        })
    }

    /// How messages call the input.
    pub(crate) fn input(&self) -> &str {
        &self.input
    }

    pub(crate) fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The rows that begin with number `first_row`, from 1: cells of all columns that are read, as the plan lists them.
    pub(crate) fn batch(&mut self, first_row: u64, cells: Vec<Cells>) -> Result<Batch, SourceError> {
        let batch = match &self.plan.roles {
            Roles::Wide { .. } => self.wide_rows(first_row, cells)?,
            Roles::Long { .. } => self.long_rows(first_row, &cells)?,
        };
        self.summary.rows += batch.len() as u64;
        Ok(batch)
    }

    /// What is wrong with the file, from a row on.
    pub(crate) fn unreadable(&self, row: u64, column: usize, problem: String) -> SourceError {
        SourceError::Unreadable {
            input: self.input.clone(),
            row: Some(row),
            column: Some(self.plan.column(column)),
            problem,
        }
    }

    fn wide_rows(&mut self, first_row: u64, cells: Vec<Cells>) -> Result<Batch, SourceError> {
        let mut cells = cells.into_iter();
        let Some(times) = cells.next() else { return Ok(empty_batch(Vec::new())) };
        let rows = len(&times);
        let mut batch = empty_batch(Vec::new());
        let mut kept = Vec::with_capacity(rows);
        for row in 0..rows {
            match self.time_of(&times, row) {
                Ok(instant) => {
                    let (at, fold) = settle(self.orders[0], instant);
                    self.orders[0].follow(at);
                    self.summary.folds += u64::from(fold);
                    batch.lines.push(first_row + row as u64);
                    batch.starts.push(at);
                    kept.push(row);
                }
                Err(wrong) => self.refuse(first_row + row as u64, wrong)?,
            }
        }
        let missing = &self.missing;
        let kept = if kept.len() < rows { Some(kept.as_slice()) } else { None };
        let mut columns = Vec::with_capacity(cells.len());
        for (column, cells) in self.columns.iter_mut().zip(cells) {
            let values = values_of(cells, kept, missing);
            column.seen.add(seen_in(&values));
            columns.push(values);
        }
        batch.rows = Rows::Wide(columns);
        Ok(batch)
    }

    fn long_rows(&mut self, first_row: u64, cells: &[Cells]) -> Result<Batch, SourceError> {
        let [times, names, values, units @ ..] = cells else { return Ok(empty_batch(Vec::new())) };
        let Roles::Long { series: series_column, .. } = self.plan.roles else {
            return Ok(empty_batch(Vec::new()));
        };
        let rows = len(times);
        let (mut lines, mut starts, mut series) = (Vec::new(), Vec::new(), Vec::new());
        let mut kept = Vec::with_capacity(rows);
        let mut name = Vec::new();
        // Rows of a series often stand together.
        let mut last: Option<(Vec<u8>, u32)> = None;
        for row in 0..rows {
            let line = first_row + row as u64;
            let instant = match self.time_of(times, row) {
                Ok(instant) => instant,
                Err(wrong) => {
                    self.refuse(line, wrong)?;
                    continue;
                }
            };
            if let Err(problem) = name_of(names, self.plan.fields[series_column].content, row, &mut name) {
                self.refuse(line, Wrong { column: series_column, text: excerpt(&name), problem })?;
                continue;
            }
            let index = match &last {
                Some((known, index)) if *known == name => *index,
                _ => {
                    let index = match self.series.get(&name) {
                        Some(&index) => index,
                        None if self.columns.len() == MOST_SERIES => {
                            let problem = RowProblem::TooManySeries { most: MOST_SERIES };
                            let wrong = Wrong { column: series_column, text: excerpt(&name), problem };
                            return Err(self.row_error(line, wrong).into());
                        }
                        None => self.new_series(&name, units.first(), row),
                    };
                    last = Some((name.clone(), index));
                    index
                }
            };
            let (at, fold) = settle(self.orders[index as usize], instant);
            self.orders[index as usize].follow(at);
            self.summary.folds += u64::from(fold);
            lines.push(line);
            starts.push(at);
            series.push(index);
            kept.push(row);
        }
        let values = values_of_rows(values, &kept, &self.missing);
        for (row, &index) in series.iter().enumerate() {
            count(&mut self.columns[index as usize].seen, &values, row);
        }
        Ok(Batch { lines, starts, rows: Rows::Long { series, values } })
    }

    fn new_series(&mut self, name: &[u8], units: Option<&Cells>, row: usize) -> u32 {
        let (title, _) = decode(name);
        let mut column = column_of(&title, None);
        if let Some(Cells::Texts(texts, validity)) = units
            && is_valid(validity.as_ref(), row)
        {
            let unit = decode(texts[row].data()).0.trim().to_owned();
            column.unit = Some(unit).filter(|unit| !unit.is_empty()).or(column.unit);
        }
        // `MOST_SERIES` fit.
        let index = self.columns.len() as u32;
        self.series.insert(name.to_vec(), index);
        self.columns.push(column);
        self.orders.push(Order::default());
        index
    }

    /// The time in a row.
    fn time_of(&mut self, times: &Cells, row: usize) -> Result<Instant, Wrong> {
        let time = self.plan.time;
        let wrong = |text: String, problem| Wrong { column: time, text, problem };
        let no_time = || wrong(String::new(), RowProblem::NoTime);
        match times {
            Cells::Ints(values, validity) => {
                if !is_valid(validity.as_ref(), row) {
                    return Err(no_time());
                }
                let (value, content) = (values[row], self.plan.fields[time].content);
                let instant = match content {
                    Content::Timestamp { unit, utc } => self.timestamp(value, unit, utc),
                    Content::Date => {
                        let ticks = i128::from(value) * 86_400 * i128::from(Tick::PER_SECOND);
                        self.wall(ticks + i128::from(Tick::UNIX_EPOCH.ticks()))
                    }
                    _ => self.time.read(integer(value, content).as_bytes()),
                };
                instant.map_err(|problem| wrong(integer(value, content), RowProblem::Time(problem)))
            }
            Cells::Int96(values, validity) => {
                if !is_valid(validity.as_ref(), row) {
                    return Err(no_time());
                }
                let (ticks, beyond) = int96_ticks(&values[row]);
                let instant = if beyond == 0 { self.wall(ticks) } else { Err(TimeProblem::TooFine) };
                instant
                    .map_err(|problem| wrong(format!("{:?}", values[row].data()), RowProblem::Time(problem)))
            }
            Cells::Texts(values, validity) => {
                let text =
                    if is_valid(validity.as_ref(), row) { values[row].data().trim_ascii() } else { b"" };
                if text.is_empty() {
                    return Err(no_time());
                }
                self.time.read(text).map_err(|problem| wrong(excerpt(text), RowProblem::Time(problem)))
            }
            // No column of these is one of times.
            Cells::Floats(_) => Err(no_time()),
        }
    }

    fn timestamp(&mut self, value: i64, unit: Unit, utc: bool) -> Result<Instant, TimeProblem> {
        let value = i128::from(value);
        let ticks = match unit {
            Unit::Seconds => value * i128::from(Tick::PER_SECOND),
            Unit::Millis => value * 10_000,
            Unit::Micros => value * 10,
            Unit::Nanos if value % 100 != 0 => return Err(TimeProblem::TooFine),
            Unit::Nanos => value / 100,
        };
        let ticks = ticks + i128::from(Tick::UNIX_EPOCH.ticks());
        if !utc {
            return self.wall(ticks);
        }
        i64::try_from(ticks).map_err(|_| TimeProblem::OutOfRange).and_then(in_range).map(Instant::At)
    }

    /// The time at which clocks show these ticks.
    fn wall(&mut self, ticks: i128) -> Result<Instant, TimeProblem> {
        let wall = i64::try_from(ticks).map_err(|_| TimeProblem::OutOfRange).and_then(in_range)?;
        self.zone.instant(wall)
    }

    fn row_error(&self, line: u64, wrong: Wrong) -> RowError {
        let Wrong { column, text, problem } = wrong;
        let (input, column) = (self.input.clone(), Some(self.plan.column(column)));
        RowError { input, place: Place::Row, line, column, text, problem }
    }

    /// A row that is wrong: an error, or one more that is skipped.
    fn refuse(&mut self, line: u64, wrong: Wrong) -> Result<(), SourceError> {
        if !self.skip {
            return Err(self.row_error(line, wrong).into());
        }
        self.summary.skipped += 1;
        if self.summary.errors.len() < Report::MOST_ERRORS {
            let error = self.row_error(line, wrong).to_string();
            self.summary.errors.push(error);
        }
        Ok(())
    }
}

fn empty_batch(columns: Vec<ColumnValues>) -> Batch {
    Batch { lines: Vec::new(), starts: Vec::new(), rows: Rows::Wide(columns) }
}

fn wide_column(plan: &Plan, index: usize) -> Column {
    let title = &plan.fields[index].title;
    column_of(title, plan.hints.units.get(title))
}

/// A column with its unit, which metadata know better than titles.
fn column_of(title: &str, unit: Option<&String>) -> Column {
    let (name, unit_in_title) = split_unit(title);
    Column {
        title: title.to_owned(),
        name: name.to_owned(),
        unit: unit.cloned().or_else(|| unit_in_title.map(str::to_owned)),
        nexus: None,
        seen: Seen::default(),
    }
}

fn excerpt(text: &[u8]) -> String {
    RowError::excerpt(text)
}

fn len(cells: &Cells) -> usize {
    match cells {
        Cells::Ints(values, _) => values.len(),
        Cells::Floats(values) => values.len(),
        Cells::Texts(values, _) => values.len(),
        Cells::Int96(values, _) => values.len(),
    }
}

/// An integer that may be an unsigned one, see [`Plan::content`].
fn integer(value: i64, content: Content) -> String {
    if content == Content::Uint64 { (value as u64).to_string() } else { value.to_string() }
}

/// The name of the series of a row, put into `name`.
fn name_of(names: &Cells, content: Content, row: usize, name: &mut Vec<u8>) -> Result<(), RowProblem> {
    name.clear();
    match names {
        Cells::Texts(values, validity) if is_valid(validity.as_ref(), row) => {
            name.extend_from_slice(ByteArray::data(&values[row]).trim_ascii());
        }
        Cells::Ints(values, validity) if is_valid(validity.as_ref(), row) => {
            name.extend_from_slice(integer(values[row], content).as_bytes());
        }
        _ => {}
    }
    if name.is_empty() {
        return Err(RowProblem::NoSeries);
    }
    if name.len() > LONGEST_NAME { Err(RowProblem::LongName { most: LONGEST_NAME }) } else { Ok(()) }
}

/// The values of these rows, or of all, without those that stand for none.
fn values_of(cells: Cells, rows: Option<&[usize]>, missing: &[f64]) -> ColumnValues {
    match cells {
        cells if rows.is_some() => values_of_rows(&cells, rows.unwrap_or_default(), missing),
        Cells::Floats(values) if missing.is_empty() => ColumnValues::Floats(values),
        Cells::Ints(values, validity) if missing.is_empty() => ColumnValues::Ints { values, validity },
        cells => values_of_rows(&cells, &(0..len(&cells)).collect::<Vec<usize>>(), missing),
    }
}

fn values_of_rows(cells: &Cells, rows: &[usize], missing: &[f64]) -> ColumnValues {
    let is_missing = |value: f64| missing.contains(&value);
    match cells {
        Cells::Floats(values) => {
            let value = |&row: &usize| if is_missing(values[row]) { f64::NAN } else { values[row] };
            ColumnValues::Floats(rows.iter().map(value).collect())
        }
        Cells::Ints(values, validity) => {
            let mut words = vec![0_u64; rows.len().div_ceil(64)];
            let mut valid = 0;
            for (at, &row) in rows.iter().enumerate() {
                if is_valid(validity.as_ref(), row) && !is_missing(values[row] as f64) {
                    words[at / 64] |= 1 << (at % 64);
                    valid += 1;
                }
            }
            let values = rows.iter().map(|&row| values[row]).collect();
            ColumnValues::Ints { values, validity: (valid < rows.len()).then_some(words) }
        }
        // No column of these is one of values.
        Cells::Texts(..) | Cells::Int96(..) => ColumnValues::Floats(vec![f64::NAN; rows.len()]),
    }
}

/// The point in time, and whether it was one of two.
fn settle(order: Order, instant: Instant) -> (i64, bool) {
    match instant {
        Instant::At(at) => (at, false),
        Instant::Fold { earlier, later } => (order.resolve(earlier, later), true),
    }
}

fn seen_in(values: &ColumnValues) -> Seen {
    let mut seen = Seen::default();
    (0..values.len()).for_each(|row| count(&mut seen, values, row));
    seen
}

fn count(seen: &mut Seen, values: &ColumnValues, row: usize) {
    match values {
        ColumnValues::Floats(values) if values[row].is_nan() => seen.missing += 1,
        ColumnValues::Floats(_) => seen.fractions += 1,
        ColumnValues::Ints { validity, .. } if !is_valid(validity.as_ref(), row) => seen.missing += 1,
        ColumnValues::Ints { values, .. } => seen.count_integer(values[row]),
    }
}
