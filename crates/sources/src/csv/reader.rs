//! Reads a table, batch by batch: blocks of it at the same time, what depends on their order one after the other.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io;
use std::sync::Arc;

use super::ahead::Ahead;
use super::blocks::{Block, Blocks};
use super::detect::{Roles, SAMPLE_BYTES, detect, is_enough, time_reader};
use super::number::parse_number;
use super::options::{CsvOptions, Decimal, Layout, OnError};
use super::parse::{Name, Parsed, ParsedValues, Parser, Separator, Values};
use super::title::{decode, nexus_title, split_unit};
use crate::error::{RowError, RowProblem, SourceError};
use crate::input::{Input, Opened, Progress, binary};
use crate::table::{Batch, Column, Detected, Metadata, Place, Report, Rows, Seen, Summary, Table};

/// Bytes of a block: enough rows for a batch, few enough to stay in cache while they are read.
const BLOCK_BYTES: usize = 2 << 20;

/// Blocks that wait to be handed out, beside one for each thread.
const SPARE_BLOCKS: usize = 2;

/// Series of a long table, at most: more are taken for a mistake.
pub(crate) const MOST_SERIES: usize = 1_000_000;

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
/// Blocks of a few MiB are read on all cores, ahead of what is asked for. What comes out, errors included, is the same
/// as if all of it was read row by row; only where batches end depends on the blocks.
///
/// A file that Nexus exported is read without options, whatever its row index.
pub struct CsvReader {
    parser: Arc<Parser>,
    blocks: Blocks,
    /// Blocks that are being read, in order; and at the end why there are no more.
    ahead: VecDeque<Result<Ahead<(Block, Parsed)>, io::Error>>,
    most_ahead: usize,
    progress: Progress,
    /// The line that the next block begins with.
    line: u64,
    columns: Vec<Column>,
    /// Where a series of a long table is in `columns`, by its name in bytes.
    series: HashMap<Vec<u8>, u32>,
    /// For each series of a long table, or for all of a wide one, the last time.
    orders: Vec<Order>,
    separator: Separator,
    finished: bool,
    report: Report,
}

impl fmt::Debug for CsvReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CsvReader")
            .field("input", &self.parser.input)
            .field("report", &self.report)
            .finish_non_exhaustive()
    }
}

/// In which order the times of a series come.
#[derive(Clone, Copy, Default)]
pub(crate) struct Order {
    last: Option<i64>,
    descending: bool,
}

impl Order {
    /// Which one of two times is meant.
    pub(crate) fn resolve(self, earlier: i64, later: i64) -> i64 {
        match self.last {
            Some(last) if self.descending && later < last => later,
            Some(last) if !self.descending && earlier <= last => later,
            _ => earlier,
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
        let most_ahead = rayon::current_num_threads() + SPARE_BLOCKS;
        CsvReader::open_in_blocks(input, options, BLOCK_BYTES, most_ahead)
    }

    /// [`CsvReader::open`], with blocks of this size and so many of them at the same time. For tests: it changes nothing
    /// but where batches end.
    #[doc(hidden)]
    pub fn open_in_blocks(
        input: Input,
        options: CsvOptions,
        block_bytes: usize,
        most_ahead: usize,
    ) -> Result<CsvReader, SourceError> {
        options.check()?;
        let Opened { name: input, compression, progress, text } = input.open()?;
        let mut blocks = Blocks::new(text, block_bytes.max(1));
        let mut shown = 0;
        for bytes in SAMPLE_BYTES {
            shown = bytes;
            let peeked = blocks.peek(shown);
            let (sample, complete) =
                peeked.map_err(|source| SourceError::Read { input: input.clone(), line: 0, source })?;
            if let Some(problem) = binary(sample) {
                return Err(SourceError::NotText { input, problem });
            }
            if complete || is_enough(sample, &options) {
                break;
            }
        }
        let (sample, complete) = blocks.peek(shown).map_err(|source| SourceError::Read {
            input: input.clone(),
            line: 0,
            source,
        })?;
        let plan = detect(&input, sample, complete, &options)?;
        let time = time_reader(&plan, &options)?;
        blocks.start(plan.body_at, plan.delimiter, options.comments.prefix());
        let (columns, orders) = match &plan.roles {
            Roles::Wide { values } => {
                let column = |&index: &usize| wide_column(&plan.titles[index], plan.nexus);
                (values.iter().map(column).collect(), vec![Order::default()])
            }
            Roles::Long { .. } => (Vec::new(), Vec::new()),
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
        Ok(CsvReader {
            blocks,
            ahead: VecDeque::new(),
            most_ahead: most_ahead.max(1),
            progress,
            line: plan.body_line,
            columns,
            series: HashMap::new(),
            orders,
            separator: Separator {
                decimal: plan.decimal.unwrap_or(Decimal::Point),
                decided: plan.decimal.is_some(),
            },
            finished: false,
            report: Report { rows: 0, skipped: 0, errors: Vec::new(), folds: 0, detected },
            parser: Arc::new(Parser {
                input,
                plan,
                time,
                comment: options.comments.prefix().map(<[u8]>::to_vec),
                missing_numbers: missing.iter().any(looks_like_number),
                missing,
                flags: options.flags,
                skip: options.on_error == OnError::Skip,
            }),
        })
    }

    /// How messages call the input.
    pub fn name(&self) -> &str {
        &self.parser.input
    }

    /// The series: of a wide table one for each column of values; of a long table those that were met so far.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// What the comments of a Nexus export and the options say of the times.
    pub fn metadata(&self) -> &Metadata {
        &self.parser.plan.metadata
    }

    /// What was read so far, and how.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// How many bytes of the input were read, as it lies there, maybe compressed; and how many it has, where that is
    /// known. Reading is a few blocks ahead of the batches.
    pub fn progress(&self) -> (u64, Option<u64>) {
        self.progress.bytes()
    }

    /// The next rows; `None` at the end, and after an error.
    ///
    /// # Errors
    /// The input can't be read, or a row is wrong. If rows are to be skipped, only where the next one can't be found.
    pub fn next_batch(&mut self) -> Result<Option<Batch>, SourceError> {
        while !self.finished {
            let batch = self.next_block();
            self.finished = !matches!(batch, Ok(Some(_)));
            match batch {
                Ok(Some(batch)) if batch.is_empty() => {}
                batch => return batch,
            }
        }
        self.ahead.clear();
        Ok(None)
    }

    /// The rows of the next block, which may be none.
    fn next_block(&mut self) -> Result<Option<Batch>, SourceError> {
        self.read_ahead();
        let (block, mut parsed) = match self.ahead.pop_front() {
            None => return Ok(None),
            Some(Ok(ahead)) => ahead.wait(),
            Some(Err(source)) => {
                let (input, line) = (self.parser.input.clone(), self.line - 1);
                return Err(SourceError::Read { input, line, source });
            }
        };
        if parsed.before != self.separator {
            // A block before this one decided about the separator, after this one was begun.
            parsed = self.parser.parse(block.text(), self.separator);
        }
        self.blocks.reuse(block);
        self.take_up(parsed).map(Some)
    }

    /// Cuts blocks and has them read, as many as may be in memory.
    fn read_ahead(&mut self) {
        while self.ahead.len() < self.most_ahead && !matches!(self.ahead.back(), Some(Err(_))) {
            let block = match self.blocks.next() {
                Ok(Some(block)) => block,
                Ok(None) => return,
                Err(error) => return self.ahead.push_back(Err(error)),
            };
            let (parser, separator) = (Arc::clone(&self.parser), self.separator);
            self.ahead.push_back(Ok(Ahead::new(move || {
                let parsed = parser.parse(block.text(), separator);
                (block, parsed)
            })));
        }
    }

    /// Adds what is known only here: lines, columns, which one of two times.
    fn take_up(&mut self, parsed: Parsed) -> Result<Batch, SourceError> {
        let Parsed {
            row_lines: mut lines, mut starts, folds, values, mut skipped, errors, mut failure, ..
        } = parsed;
        let before = self.line - 1;
        lines.iter_mut().for_each(|line| *line += before);
        if parsed.behind != self.separator {
            self.separator = parsed.behind;
            self.report.detected.decimal = Some(char::from(parsed.behind.decimal.byte()));
        }
        let rows = match values {
            ParsedValues::Wide(columns) => {
                for (column, values) in self.columns.iter_mut().zip(&columns) {
                    column.seen.add(values.seen);
                }
                self.resolve(&mut starts, &folds, |_| 0);
                Rows::Wide(columns.into_iter().map(Values::finish).collect())
            }
            ParsedValues::Long { mut series, values, names } => {
                let mut indices = Vec::with_capacity(names.len());
                for name in &names {
                    let Some(index) = self.series_of(name) else {
                        // Rows before this one are counted, but not handed out.
                        failure = Some(self.too_many_series(name, lines[name.first_row] - before));
                        skipped = name.skipped;
                        lines.truncate(name.first_row);
                        starts.truncate(name.first_row);
                        series.truncate(name.first_row);
                        break;
                    };
                    self.columns[index as usize].seen.add(name.seen);
                    indices.push(index);
                }
                series.iter_mut().for_each(|series| *series = indices[*series as usize]);
                let folds = &folds[..folds.partition_point(|(row, _)| *row < starts.len())];
                self.resolve(&mut starts, folds, |row| series[row] as usize);
                Rows::Long { series, values: values.finish() }
            }
        };
        self.report.rows += starts.len() as u64;
        self.report.skipped += skipped;
        let room = Report::MOST_ERRORS - self.report.errors.len();
        let room = room.min(usize::try_from(skipped).unwrap_or(usize::MAX));
        let global = |mut error: RowError| {
            error.line += before;
            error
        };
        self.report.errors.extend(errors.into_iter().take(room).map(global));
        if let Some(failure) = failure {
            return Err(global(failure).into());
        }
        self.line += parsed.lines;
        Ok(Batch { lines, starts, rows })
    }

    /// Decides which one of two times is meant, by the order of rows.
    fn resolve(&mut self, starts: &mut [i64], folds: &[(usize, i64)], order: impl Fn(usize) -> usize) {
        self.report.folds += folds.len() as u64;
        if !self.parser.time.has_folds() {
            return;
        }
        let mut folds = folds.iter().peekable();
        for (row, start) in starts.iter_mut().enumerate() {
            let order = &mut self.orders[order(row)];
            if let Some((_, later)) = folds.next_if(|(at, _)| *at == row) {
                *start = order.resolve(*start, *later);
            }
            order.follow(*start);
        }
    }

    /// Which series a name is, a new one if there is room for it.
    fn series_of(&mut self, name: &Name) -> Option<u32> {
        if let Some(&index) = self.series.get(&name.name) {
            return Some(index);
        }
        if self.columns.len() == MOST_SERIES {
            return None;
        }
        let (title, latin1) = decode(&name.name);
        self.report.detected.latin1 |= latin1;
        let mut column = wide_column(&title, false);
        let unit = decode(&name.unit).0;
        if !unit.is_empty() {
            column.unit = Some(unit.into_owned());
        }
        // `MOST_SERIES` fit.
        let index = self.columns.len() as u32;
        self.series.insert(name.name.clone(), index);
        self.columns.push(column);
        self.orders.push(Order::default());
        Some(index)
    }

    fn too_many_series(&self, name: &Name, line: u64) -> RowError {
        let plan = &self.parser.plan;
        let column = match plan.roles {
            Roles::Long { series, .. } => Some(plan.column(series)),
            Roles::Wide { .. } => None,
        };
        RowError {
            input: self.parser.input.clone(),
            place: Place::Line,
            line,
            column,
            text: RowError::excerpt(&name.name),
            problem: RowProblem::TooManySeries { most: MOST_SERIES },
        }
    }
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

    fn progress(&self) -> (u64, Option<u64>) {
        CsvReader::progress(self)
    }
}
