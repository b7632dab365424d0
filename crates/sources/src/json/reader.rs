//! Reads JSON lines, batch by batch: parts of a block at the same time, what depends on their order one after the other.

use std::collections::{HashMap, VecDeque};
use std::fmt;

use memchr::memchr;
use rayon::prelude::*;

use super::detect::{Roles, SAMPLE_BYTES, detect};
use super::lines::Lines;
use super::parse::{Parsed, Parser, Part};
use crate::csv::{CsvOptions, MOST_SERIES, OnError, Order, TimeReader, Zone, parse_number, split_unit};
use crate::error::{ColumnName, RowError, RowProblem, SourceError};
use crate::input::{Input, Opened, Progress, binary};
use crate::table::{Batch, Column, ColumnValues, Metadata, Place, Report, Rows, Seen, Summary, Table};

/// Bytes of a block: enough rows for a batch, few enough for memory, where a series may have a value in each of them.
const BLOCK_BYTES: usize = 4 << 20;

/// Bytes of the parts of a block that are read at the same time.
const PART_BYTES: usize = 256 << 10;

/// Reads JSON lines (also called NDJSON) as batches of samples, in bounded memory whatever the input.
///
/// Each line is an object. In a wide table it has a key for the time and one for each value, and not all keys in each line:
/// `{"time": "2020-01-31T12:00:00Z", "T1": 1.5, "T2": null}`. In a long one it has a time, a series and a value:
/// `{"time": 1580472000, "series": "T1", "value": 1.5}`. Which keys are what, and how times are written, is recognized from
/// the first lines, or said by the same options as for delimited text, as far as they make sense for JSON.
///
/// Numbers may be written as texts, and so may missing values; a null is missing, and so is a key that is not there. Keys of
/// nothing but text, objects and lists are not read, and listed in [`Table::summary`]. Keys may come up at any time. Numbers
/// are correctly rounded, integers stay integers; times, zones and rows that are wrong are dealt with as in delimited text,
/// see [`CsvReader`](crate::CsvReader).
///
/// As lines don't have all keys, rows come as [`Rows::Long`]: those of a series in their order, one series after the other.
pub struct JsonLinesReader {
    parser: Parser,
    lines: Lines,
    progress: Progress,
    /// The line that the next block begins with.
    line: u64,
    columns: Vec<Column>,
    /// Where a series is in `columns`.
    series: HashMap<String, u32>,
    /// For each series of a long table, or for all of a wide one, the last time.
    orders: Vec<Order>,
    /// What was read and is not handed out yet, and what comes behind it.
    ready: VecDeque<Batch>,
    failure: Option<SourceError>,
    finished: bool,
    summary: Summary,
    said: Metadata,
}

impl fmt::Debug for JsonLinesReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonLinesReader")
            .field("input", &self.parser.input)
            .field("summary", &self.summary)
            .finish_non_exhaustive()
    }
}

impl JsonLinesReader {
    /// Opens an input and finds out what its keys mean.
    ///
    /// # Errors
    /// The input can't be opened or is no JSON lines, options can't be, or keys could be read in two ways.
    pub fn open(input: Input, options: CsvOptions) -> Result<JsonLinesReader, SourceError> {
        options.check()?;
        if options.clock_column.is_some() {
            let problem = "JSON lines have date and time of day in one value".to_owned();
            return Err(SourceError::Option { option: "clock_column", problem });
        }
        let Opened { name: input, compression, progress, text } = input.open()?;
        let mut lines = Lines::new(text);
        let mut sample = lines.peek(SAMPLE_BYTES);
        if sample.is_empty() {
            // The first line is longer, or there is none.
            sample = lines.peek(super::lines::LONGEST_LINE);
        }
        if let Some(problem) = binary(sample) {
            return Err(SourceError::NotText { input, problem });
        }
        let plan = match detect(&input, sample, &options) {
            Ok(plan) => plan,
            // If that is because nothing can be read, this is what is to be told.
            Err(error) => match lines.next(1) {
                Err(source) => return Err(SourceError::Read { input, line: 0, source }),
                Ok(_) => return Err(error),
            },
        };
        let zone = Zone::new(options.time_zone.as_deref())?;
        let time = TimeReader::new(plan.format.clone(), zone, options.begin, options.period, false);
        let mut detected = format!("{plan}, time zone {}", time.zone_name());
        if let Some(compression) = compression {
            detected = format!("{detected}, compressed with {compression}");
        }
        let missing = options.missing_words();
        Ok(JsonLinesReader {
            lines,
            progress,
            line: 1,
            columns: Vec::new(),
            series: HashMap::new(),
            orders: if plan.roles == Roles::Wide { vec![Order::default()] } else { Vec::new() },
            ready: VecDeque::new(),
            failure: None,
            finished: false,
            summary: Summary { detected, ..Summary::default() },
            said: Metadata { begin: options.begin, period: options.period, catalog: None },
            parser: Parser {
                input,
                plan,
                time,
                missing_numbers: missing.iter().any(|word| parse_number(word, b'.').is_ok()),
                missing,
                flags: options.flags,
                skip: options.on_error == OnError::Skip,
            },
        })
    }

    fn read_block(&mut self) -> Result<(), SourceError> {
        let block = self.lines.next(BLOCK_BYTES).map_err(|source| SourceError::Read {
            input: self.parser.input.clone(),
            line: self.line - 1,
            source,
        })?;
        let Some(block) = block else {
            self.finished = true;
            return Ok(());
        };
        let parser = &self.parser;
        let parts: Vec<Parsed> = parts(&block).into_par_iter().map(|part| parser.parse(part)).collect();
        drop(block);
        let mut all = Gathered::default();
        for part in parts {
            self.take_up(part, &mut all);
            if self.failure.is_some() {
                break;
            }
        }
        self.ready.extend(all.into_batches());
        Ok(())
    }

    /// Adds what is known only here: lines, columns, which one of two times.
    fn take_up(&mut self, mut part: Parsed, all: &mut Gathered) {
        let before = self.line - 1;
        part.row_lines.iter_mut().for_each(|line| *line += before);
        self.line += part.lines;
        self.summary.rows += part.starts.len() as u64;
        self.summary.skipped += part.skipped;
        let room = Report::MOST_ERRORS - self.summary.errors.len();
        for mut error in part.errors.into_iter().take(room) {
            error.line += before;
            self.summary.errors.push(error.to_string());
        }
        self.summary.folds += part.folds.len() as u64;
        let is_wide = self.parser.plan.roles == Roles::Wide;
        let has_folds = self.parser.time.has_folds();
        if is_wide && has_folds {
            resolve(&mut self.orders[0], &mut part.starts, &part.folds, None);
        }
        for series in part.series {
            if series.rows.is_empty() {
                continue;
            }
            let Some(index) = self.series_of(&series) else {
                let line = series.rows.first().map_or(0, |&row| part.row_lines[row as usize]);
                self.failure = Some(self.too_many_series(&series, line).into());
                return;
            };
            if !is_wide && has_folds {
                let order = &mut self.orders[index as usize];
                resolve(order, &mut part.starts, &part.folds, Some(&series.rows));
            }
            all.add(index, &series, &part.starts, &part.row_lines);
            self.columns[index as usize].seen.add(series.values.seen);
            all.values.entry(index).or_default().push(series.values.finish());
        }
        if let Some(mut failure) = part.failure {
            failure.line += before;
            self.failure = Some(failure.into());
        }
    }

    /// Which column a series is, a new one if there is room for it.
    fn series_of(&mut self, part: &Part) -> Option<u32> {
        if let Some(&index) = self.series.get(&part.name) {
            return Some(index);
        }
        if self.columns.len() == MOST_SERIES {
            return None;
        }
        let (name, unit) = split_unit(&part.name);
        self.columns.push(Column {
            title: part.name.clone(),
            name: name.to_owned(),
            unit: part.unit.clone().or_else(|| unit.map(str::to_owned)),
            nexus: None,
            seen: Seen::default(),
        });
        // `MOST_SERIES` fit.
        let index = self.columns.len() as u32 - 1;
        self.series.insert(part.name.clone(), index);
        if self.parser.plan.roles != Roles::Wide {
            self.orders.push(Order::default());
        }
        Some(index)
    }

    fn too_many_series(&self, part: &Part, line: u64) -> RowError {
        let title = match &self.parser.plan.roles {
            Roles::Wide => part.name.clone(),
            Roles::Long { series, .. } => series.clone(),
        };
        RowError {
            input: self.parser.input.clone(),
            place: Place::Line,
            line,
            column: Some(ColumnName { number: 0, title }),
            text: RowError::excerpt(part.name.as_bytes()),
            problem: RowProblem::TooManySeries { most: MOST_SERIES },
        }
    }
}

impl Table for JsonLinesReader {
    fn name(&self) -> &str {
        &self.parser.input
    }

    fn columns(&self) -> &[Column] {
        &self.columns
    }

    fn metadata(&self) -> &Metadata {
        &self.said
    }

    fn next_batch(&mut self) -> Result<Option<Batch>, SourceError> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return Ok(Some(batch));
            }
            if let Some(failure) = self.failure.take() {
                self.finished = true;
                return Err(failure);
            }
            if self.finished {
                return Ok(None);
            }
            if let Err(error) = self.read_block() {
                self.finished = true;
                return Err(error);
            }
        }
    }

    fn summary(&self) -> Summary {
        self.summary.clone()
    }

    fn progress(&self) -> (u64, Option<u64>) {
        self.progress.bytes()
    }
}

/// Parts of whole lines.
fn parts(block: &[u8]) -> Vec<&[u8]> {
    let (mut parts, mut rest) = (Vec::new(), block);
    while !rest.is_empty() {
        let line_end = rest.get(PART_BYTES..).and_then(|behind| memchr(b'\n', behind));
        let (part, behind) = rest.split_at(line_end.map_or(rest.len(), |end| PART_BYTES + end + 1));
        parts.push(part);
        rest = behind;
    }
    parts
}

/// Decides which one of two times is meant, by the order of rows: of these, or of all.
fn resolve(order: &mut Order, starts: &mut [i64], folds: &[(usize, i64)], rows: Option<&[u32]>) {
    let all = starts.len();
    let mut one = |row: usize| {
        let start = &mut starts[row];
        if let Ok(at) = folds.binary_search_by_key(&row, |(row, _)| *row) {
            *start = order.resolve(*start, folds[at].1);
        }
        order.follow(*start);
    };
    match rows {
        Some(rows) => rows.iter().for_each(|&row| one(row as usize)),
        None => (0..all).for_each(one),
    }
}

/// The rows of a block, by their series.
#[derive(Default)]
struct Gathered {
    times: HashMap<u32, (Vec<i64>, Vec<u64>)>,
    values: HashMap<u32, Vec<ColumnValues>>,
}

impl Gathered {
    fn add(&mut self, index: u32, series: &Part, starts: &[i64], lines: &[u64]) {
        let (all_starts, all_lines) = self.times.entry(index).or_default();
        all_starts.extend(series.rows.iter().map(|&row| starts[row as usize]));
        all_lines.extend(series.rows.iter().map(|&row| lines[row as usize]));
    }

    /// One batch of the series that have nothing but integers, and one of all others: so no integer is rounded because another
    /// series has fractions.
    fn into_batches(mut self) -> Vec<Batch> {
        let with_times = |(index, parts)| {
            let (starts, lines) = self.times.remove(&index)?;
            Some((index, parts, starts, lines))
        };
        let mut all: Vec<_> = self.values.into_iter().filter_map(with_times).collect();
        all.sort_unstable_by_key(|(index, ..)| *index);
        let is_float =
            |parts: &[ColumnValues]| parts.iter().any(|part| matches!(part, ColumnValues::Floats(_)));
        let mut batches = Vec::new();
        for floats in [false, true] {
            let (mut lines, mut starts, mut series) = (Vec::new(), Vec::new(), Vec::new());
            let (mut ints, mut validity, mut has_missing) = (Vec::new(), Vec::new(), false);
            let mut all_floats = Vec::new();
            for (index, parts, own_starts, own_lines) in &all {
                if is_float(parts) != floats {
                    continue;
                }
                series.resize(series.len() + own_starts.len(), *index);
                starts.extend_from_slice(own_starts);
                lines.extend_from_slice(own_lines);
                for part in parts {
                    if floats {
                        all_floats.extend((0..part.len()).map(|row| part.get(row).unwrap_or(f64::NAN)));
                    } else if let ColumnValues::Ints { values, validity: valid } = part {
                        for (row, &value) in values.iter().enumerate() {
                            let is_valid =
                                valid.as_ref().is_none_or(|words| words[row / 64] >> (row % 64) & 1 == 1);
                            has_missing |= !is_valid;
                            validity.resize(ints.len() / 64 + 1, 0_u64);
                            validity[ints.len() / 64] |= u64::from(is_valid) << (ints.len() % 64);
                            ints.push(value);
                        }
                    }
                }
            }
            if starts.is_empty() {
                continue;
            }
            let values = if floats {
                ColumnValues::Floats(all_floats)
            } else {
                ColumnValues::Ints { values: ints, validity: has_missing.then_some(validity) }
            };
            batches.push(Batch { lines, starts, rows: Rows::Long { series, values } });
        }
        batches
    }
}
