//! Long tables of readings: blocks of them at the same time, what depends on their order one after the other.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io;
use std::sync::Arc;

use sheaf_model::{EnergyUnit, Interpretation};

use super::text::{Text, Titles, id};
use crate::csv::{
    Ahead, Block, CsvOptions, Instant, MOST_SERIES, Order, Records, SERIES_NAMES, Step, TIME_NAMES,
    TimeFormat, TimeReader, UNIT_NAMES, VALUE_NAMES, Zone, decode, parse_number,
};
use crate::error::{RowError, RowProblem, SourceError};
use crate::input::Input;

/// Bytes of a block: enough rows for a batch, few enough to stay in cache while they are read.
const BLOCK_BYTES: usize = 2 << 20;

/// Blocks that wait to be handed out, beside one for each thread.
const SPARE_BLOCKS: usize = 2;

/// A trace of the file: what a meter, or a part of it, measured.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Trace {
    /// Its id.
    pub id: String,
    /// What it measures, if a column says so.
    pub interpretation: Option<Interpretation>,
    /// What its values are in, if a column says so; they are converted to it.
    pub unit: Option<EnergyUnit>,
    /// What a column `interval` says, as it is written in the first row.
    pub interval: Option<String>,
}

/// Readings, in the order of the file.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct TraceBatch {
    /// The line that each reading stands in, from 1.
    pub lines: Vec<u64>,
    /// Which trace it belongs to: an index into [`TraceReader::traces`].
    pub traces: Vec<u32>,
    /// The time from which on it counts, in ticks of 100 ns since 0001-01-01T00:00Z; neither sorted nor unique.
    pub starts: Vec<i64>,
    /// The energy up to the next reading of the trace, in the unit of the trace; NaN if missing.
    pub values: Vec<f64>,
    /// Whether somebody guessed the value.
    pub estimated: Vec<bool>,
    /// What is wrong with rows that are left out; of the first [`TraceBatch::MOST_ERRORS`].
    pub errors: Vec<RowError>,
    /// How many rows are left out.
    pub skipped: u64,
}

impl TraceBatch {
    /// Errors that a batch keeps.
    pub const MOST_ERRORS: usize = 1000;

    /// How many readings there are.
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// Whether there are none; there may be errors.
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    fn leave_out(&mut self, error: RowError) {
        self.skipped += 1;
        if self.errors.len() < TraceBatch::MOST_ERRORS {
            self.errors.push(error);
        }
    }
}

/// Reads a long table of readings, in bounded memory and on all cores.
///
/// Columns are known by their titles: `trace_id` (or `meter_id`, `series` and the like), `start` (or `timestamp` …), `value`;
/// and if they are there `estimated`, `interpretation` (short or long name), `unit` and `interval`. Others are left out. Values
/// have a decimal point; an empty one, `NaN`, `null` and so on is missing. Times are ISO 8601; those without an offset are in
/// the zone that is given, and what occurs twice there when clocks are set back is told by the order of rows of the trace.
///
/// ```
/// use sheaf_model::{EnergyUnit, Interpretation};
/// use sheaf_sources::{Input, TraceReader};
///
/// let text = "trace_id,start,interpretation,value,estimated,unit\n\
///             a,2016-01-01T00:00:00Z,E_C_S,1500,false,Wh\n\
///             a,2016-01-01T01:00:00Z,E_C_S,?,,Wh\n\
///             b,2016-13-01T00:00:00Z,E_C_S,1,,KWH\n";
/// let mut reader = TraceReader::open(Input::bytes("traces.csv", text), None)?;
/// let batch = reader.next_batch()?.expect("two readings");
/// assert_eq!((batch.values[0], batch.values[1].is_nan()), (1.5, true));
/// assert_eq!(batch.errors[0].to_string(), "traces.csv, line 4, column 2 (`start`): `2016-13-01T00:00:00Z` has a date that \
///     does not exist");
/// let [trace] = reader.traces() else { panic!("no reading of b") };
/// assert_eq!(trace.id, "a");
/// assert_eq!(trace.interpretation, Some(Interpretation::ElectricityConsumptionSupplied));
/// assert_eq!(trace.unit, Some(EnergyUnit::Kwh));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct TraceReader {
    parser: Arc<Parser>,
    text: Text,
    /// Blocks that are being read, in order; and at the end why there are no more.
    ahead: VecDeque<Result<Ahead<(Block, Parsed)>, io::Error>>,
    traces: Vec<Trace>,
    /// Where a trace is in `traces`, by its id in bytes.
    indices: HashMap<Vec<u8>, u32>,
    /// The last time of each.
    orders: Vec<Order>,
    rows: u64,
    skipped: u64,
    ended: bool,
}

impl fmt::Debug for TraceReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TraceReader").field("input", &self.parser.titles.input).finish_non_exhaustive()
    }
}

impl TraceReader {
    /// Opens a table. Times without an offset are those of `time_zone`: an offset like `-06:00` or a name like
    /// `America/Chicago`; UTC if there is none.
    ///
    /// # Errors
    /// The input can't be opened or is no text, lacks a column, or nobody knows the zone.
    pub fn open(input: Input, time_zone: Option<&str>) -> Result<TraceReader, SourceError> {
        TraceReader::open_in_blocks(input, time_zone, BLOCK_BYTES)
    }

    /// [`TraceReader::open`] with blocks of this size, for tests: it changes nothing but where batches end.
    #[doc(hidden)]
    pub fn open_in_blocks(
        input: Input,
        time_zone: Option<&str>,
        block_bytes: usize,
    ) -> Result<TraceReader, SourceError> {
        let zone = Zone::new(time_zone)?;
        let text = Text::open(input, block_bytes.max(1))?;
        let titles = text.titles.clone();
        let columns = Columns {
            trace: titles
                .need("`trace_id`", &["trace_id"])
                .or_else(|error| titles.find(&SERIES_NAMES).ok_or(error))?,
            start: titles
                .need("`start`", &["start"])
                .or_else(|error| titles.find(&TIME_NAMES).ok_or(error))?,
            value: titles.need("`value`", &VALUE_NAMES)?,
            estimated: titles.find(&["estimated", "is_estimated"]),
            interpretation: titles.find(&["interpretation"]),
            unit: titles.find(&UNIT_NAMES),
            interval: titles.find(&["interval"]),
        };
        let time = TimeReader::new(TimeFormat::Iso, zone, None, None, false);
        let missing = CsvOptions::default().missing_words();
        let parser = Arc::new(Parser { titles, columns, time, missing });
        Ok(TraceReader {
            parser,
            text,
            ahead: VecDeque::new(),
            traces: Vec::new(),
            indices: HashMap::new(),
            orders: Vec::new(),
            rows: 0,
            skipped: 0,
            ended: false,
        })
    }

    /// The traces that readings were met of so far.
    pub fn traces(&self) -> &[Trace] {
        &self.traces
    }

    /// How many readings were handed out, and how many rows were left out.
    pub fn counts(&self) -> (u64, u64) {
        (self.rows, self.skipped)
    }

    /// How many bytes of the input were read, and how many it has, if that is known.
    pub fn progress(&self) -> (u64, Option<u64>) {
        self.text.progress.bytes()
    }

    /// The next readings, with what is wrong between them; `None` behind the last ones.
    ///
    /// # Errors
    /// The input can't be read, or not on from some row. Nothing more comes then.
    pub fn next_batch(&mut self) -> Result<Option<TraceBatch>, SourceError> {
        while !self.ended {
            let batch = self.next_block();
            match batch {
                Ok(Some(batch)) if batch.is_empty() && batch.skipped == 0 => {}
                Ok(Some(batch)) => return Ok(Some(batch)),
                other => {
                    self.ended = true;
                    self.ahead.clear();
                    return other;
                }
            }
        }
        Ok(None)
    }

    fn next_block(&mut self) -> Result<Option<TraceBatch>, SourceError> {
        self.read_ahead();
        let (block, parsed) = match self.ahead.pop_front() {
            None => return Ok(None),
            Some(Ok(ahead)) => ahead.wait(),
            Some(Err(source)) => {
                let (input, line) = (self.parser.titles.input.clone(), self.text.line - 1);
                return Err(SourceError::Read { input, line, source });
            }
        };
        self.text.blocks.reuse(block);
        self.take_up(parsed).map(Some)
    }

    /// Cuts blocks and has them read, as many as may be in memory.
    fn read_ahead(&mut self) {
        let most = rayon::current_num_threads() + SPARE_BLOCKS;
        while self.ahead.len() < most && !matches!(self.ahead.back(), Some(Err(_))) {
            let block = match self.text.blocks.next() {
                Ok(Some(block)) => block,
                Ok(None) => return,
                Err(error) => return self.ahead.push_back(Err(error)),
            };
            let parser = Arc::clone(&self.parser);
            self.ahead.push_back(Ok(Ahead::new(move || {
                let parsed = parser.parse(block.text());
                (block, parsed)
            })));
        }
    }

    /// Adds what is known only here: lines, traces, which one of two times.
    fn take_up(&mut self, parsed: Parsed) -> Result<TraceBatch, SourceError> {
        let Parsed { mut batch, mut folds, names, failure, lines } = parsed;
        let before = self.text.line - 1;
        batch.lines.iter_mut().for_each(|line| *line += before);
        batch.errors.iter_mut().for_each(|error| error.line += before);
        if let Some(mut error) = failure {
            error.line += before;
            return Err(error.into());
        }
        let mut indices = Vec::with_capacity(names.len());
        for name in &names {
            indices.push(self.index_of(name)?);
        }
        let conflicts: Vec<Option<Conflict>> = names
            .iter()
            .zip(&indices)
            .map(|(name, &index)| self.traces[index as usize].conflict(name))
            .collect();
        if conflicts.iter().any(Option::is_some) {
            self.leave_out(&mut batch, &mut folds, &conflicts);
        }
        batch.traces.iter_mut().for_each(|trace| *trace = indices[*trace as usize]);
        if self.parser.time.has_folds() {
            self.resolve(&mut batch, &folds);
        }
        self.text.line += lines;
        self.rows += batch.len() as u64;
        self.skipped += batch.skipped;
        Ok(batch)
    }

    /// Which trace a name is, a new one if there is room for it.
    fn index_of(&mut self, name: &Name) -> Result<u32, SourceError> {
        if let Some(&index) = self.indices.get(&name.id) {
            return Ok(index);
        }
        if self.traces.len() == MOST_SERIES {
            let column = Some(self.parser.columns.trace);
            let problem = RowProblem::TooManySeries { most: MOST_SERIES };
            return Err(self.parser.titles.wrong(self.text.line, column, &name.id, problem).into());
        }
        // `MOST_SERIES` fit.
        let index = self.traces.len() as u32;
        self.traces.push(Trace {
            id: decode(&name.id).0.into_owned(),
            interpretation: name.interpretation,
            unit: name.unit.map(|(unit, _)| unit),
            interval: name.interval.as_deref().map(|interval| decode(interval).0.into_owned()),
        });
        self.orders.push(Order::default());
        self.indices.insert(name.id.clone(), index);
        Ok(index)
    }

    /// Decides which one of two times is meant, by the order of rows.
    fn resolve(&mut self, batch: &mut TraceBatch, folds: &[(usize, i64)]) {
        let mut folds = folds.iter().peekable();
        for (row, start) in batch.starts.iter_mut().enumerate() {
            let order = &mut self.orders[batch.traces[row] as usize];
            if let Some((_, later)) = folds.next_if(|(at, _)| *at == row) {
                *start = order.resolve(*start, *later);
            }
            order.follow(*start);
        }
    }

    /// Leaves out the rows that say something else of their trace than its first row. Traces are still those of the block.
    fn leave_out(
        &self,
        batch: &mut TraceBatch,
        folds: &mut Vec<(usize, i64)>,
        conflicts: &[Option<Conflict>],
    ) {
        let all = std::mem::take(batch);
        let mut all_folds = std::mem::take(folds).into_iter().peekable();
        *batch = TraceBatch { errors: all.errors, skipped: all.skipped, ..TraceBatch::default() };
        for (row, trace) in all.traces.into_iter().enumerate() {
            let later = all_folds.next_if(|(at, _)| *at == row).map(|(_, later)| later);
            if let Some(conflict) = &conflicts[trace as usize] {
                batch.leave_out(self.parser.conflict(all.lines[row], conflict));
                continue;
            }
            folds.extend(later.map(|later| (batch.starts.len(), later)));
            batch.lines.push(all.lines[row]);
            batch.traces.push(trace);
            batch.starts.push(all.starts[row]);
            batch.values.push(all.values[row]);
            batch.estimated.push(all.estimated[row]);
        }
        batch.errors.sort_by_key(|error| error.line);
    }
}

/// Rows that say something else of their trace than its first row.
struct Conflict {
    is_unit: bool,
    found: Vec<u8>,
    before: String,
}

impl Trace {
    fn conflict(&self, name: &Name) -> Option<Conflict> {
        let [interpretation, unit] = &name.words;
        if self.interpretation != name.interpretation {
            let before = self.interpretation.map_or(String::new(), |before| before.to_string());
            return Some(Conflict { is_unit: false, found: interpretation.clone(), before });
        }
        let before = self.unit.map_or(String::new(), |before| before.to_string());
        let differs = self.unit != name.unit.map(|(unit, _)| unit);
        differs.then(|| Conflict { is_unit: true, found: unit.clone(), before })
    }
}

#[derive(Clone, Copy)]
struct Columns {
    trace: usize,
    start: usize,
    value: usize,
    estimated: Option<usize>,
    interpretation: Option<usize>,
    unit: Option<usize>,
    interval: Option<usize>,
}

/// Reads blocks, in any order.
struct Parser {
    titles: Titles,
    columns: Columns,
    time: TimeReader,
    missing: Vec<Vec<u8>>,
}

/// A trace in a block, and what its rows say of it. Rows that say something else, or in other words, have a name of their
/// own: which of them are right is known only when the blocks before are.
struct Name {
    id: Vec<u8>,
    /// The interpretation and the unit as they are written.
    words: [Vec<u8>; 2],
    interpretation: Option<Interpretation>,
    /// The unit, and what values are multiplied by.
    unit: Option<(EnergyUnit, f64)>,
    interval: Option<Vec<u8>>,
}

/// The rows of a block. Traces are indices into `names`.
struct Parsed {
    batch: TraceBatch,
    /// Rows whose time occurs twice, and the later one.
    folds: Vec<(usize, i64)>,
    names: Vec<Name>,
    /// The row that ends it all.
    failure: Option<RowError>,
    lines: u64,
}

/// What is wrong with the row at hand, and in which column.
type Wrong = (Option<usize>, RowProblem);

/// One reading.
struct Row {
    trace: u32,
    start: i64,
    later: Option<i64>,
    value: f64,
    estimated: bool,
}

impl Parser {
    fn parse(&self, text: &[u8]) -> Parsed {
        let mut records = Records::new(text, self.titles.delimiter, None);
        let mut names = Names { list: Vec::new(), indices: HashMap::new(), last: 0 };
        let mut time = self.time.clone();
        let (mut batch, mut folds, mut failure) = (TraceBatch::default(), Vec::new(), None);
        loop {
            match records.step() {
                Ok(Step::End) => break,
                Ok(Step::Nothing) => {}
                Ok(Step::Record(line)) => match self.row(&records, &mut names, &mut time) {
                    Ok(row) => {
                        folds.extend(row.later.map(|later| (batch.starts.len(), later)));
                        batch.lines.push(line);
                        batch.traces.push(row.trace);
                        batch.starts.push(row.start);
                        batch.values.push(row.value);
                        batch.estimated.push(row.estimated);
                    }
                    Err((column, problem)) => {
                        let text = column.map_or(records.first_line(), |column| records.field(column));
                        batch.leave_out(self.titles.wrong(line, column, text, problem));
                    }
                },
                Err(bad) => {
                    let error = self.titles.wrong(bad.line, None, records.first_line(), bad.problem);
                    if error.problem.is_fatal() {
                        failure = Some(error);
                        break;
                    }
                    batch.leave_out(error);
                }
            }
        }
        Parsed { batch, folds, names: names.list, failure, lines: records.line() - 1 }
    }

    fn row(&self, records: &Records<'_>, names: &mut Names, time: &mut TimeReader) -> Result<Row, Wrong> {
        self.titles.check(records).map_err(|problem| (None, problem))?;
        let columns = self.columns;
        let wrong = |column: usize| move |problem: RowProblem| (Some(column), problem);
        let (start, later) = match time.read(records.field(columns.start)) {
            Ok(Instant::At(start)) => (start, None),
            Ok(Instant::Fold { earlier, later }) => (earlier, Some(later)),
            Err(_) if records.field(columns.start).is_empty() => {
                return Err(wrong(columns.start)(RowProblem::NoTime));
            }
            Err(problem) => return Err(wrong(columns.start)(RowProblem::Time(problem))),
        };
        let value = self.value(records.field(columns.value)).map_err(wrong(columns.value))?;
        let estimated = match columns.estimated {
            Some(column) => flag(records.field(column)).map_err(wrong(column))?,
            None => false,
        };
        let trace = self.trace(records, names)?;
        let factor = names.list[trace as usize].unit.map_or(1.0, |(_, factor)| factor);
        Ok(Row { trace, start, later, value: value * factor, estimated })
    }

    fn value(&self, field: &[u8]) -> Result<f64, RowProblem> {
        match parse_number(field, b'.') {
            Ok(number) => Ok(number.as_f64()),
            Err(_) if field.is_empty() || self.missing.iter().any(|word| word == field) => Ok(f64::NAN),
            Err(problem) => Err(RowProblem::Number(problem)),
        }
    }

    /// The trace of a row, as an index into `names`.
    fn trace(&self, records: &Records<'_>, names: &mut Names) -> Result<u32, Wrong> {
        let columns = self.columns;
        let name = records.field(columns.trace);
        let words = [columns.interpretation, columns.unit]
            .map(|column| column.map_or(&b""[..], |it| records.field(it)));
        if let Some(known) = names.find(name, words) {
            return Ok(known);
        }
        id(name, "id of the trace").map_err(|problem| (Some(columns.trace), problem))?;
        let interpretation = columns
            .interpretation
            .map(|column| interpretation(words[0]).map_err(|problem| (Some(column), problem)));
        let unit = columns.unit.map(|column| unit(words[1]).map_err(|problem| (Some(column), problem)));
        let interval = columns.interval.map(|column| records.field(column).to_vec());
        Ok(names.add(Name {
            id: name.to_vec(),
            words: words.map(<[u8]>::to_vec),
            interpretation: interpretation.transpose()?,
            unit: unit.transpose()?,
            interval: interval.filter(|text| !text.is_empty()),
        }))
    }

    fn conflict(&self, line: u64, conflict: &Conflict) -> RowError {
        let column = if conflict.is_unit { self.columns.unit } else { self.columns.interpretation };
        let problem = RowProblem::Differs { before: conflict.before.clone() };
        self.titles.wrong(line, column, &conflict.found, problem)
    }
}

/// The traces of a block.
struct Names {
    list: Vec<Name>,
    /// Where those with an id are in `list`.
    indices: HashMap<Vec<u8>, Vec<u32>>,
    /// That of the row before: most rows have the same.
    last: u32,
}

impl Names {
    fn find(&mut self, id: &[u8], words: [&[u8]; 2]) -> Option<u32> {
        let is_it = |index: u32| {
            let name = self.list.get(index as usize);
            name.is_some_and(|name| {
                name.id == id && name.words.iter().zip(words).all(|(known, word)| known == word)
            })
        };
        if is_it(self.last) {
            return Some(self.last);
        }
        let found = self.indices.get(id)?.iter().copied().find(|&index| is_it(index))?;
        self.last = found;
        Some(found)
    }

    fn add(&mut self, name: Name) -> u32 {
        // A block has fewer rows than 32 bits can count.
        let index = self.list.len() as u32;
        self.indices.entry(name.id.clone()).or_default().push(index);
        self.list.push(name);
        self.last = index;
        index
    }
}

fn interpretation(word: &[u8]) -> Result<Interpretation, RowProblem> {
    if word.is_empty() {
        return Err(RowProblem::Missing { what: "interpretation" });
    }
    let found = std::str::from_utf8(word).ok().and_then(|word| word.parse().ok());
    found.ok_or_else(|| {
        let names = Interpretation::ALL.map(|known| format!("{} ({})", known.name(), known.short_name()));
        RowProblem::Form { wanted: format!("interpretation; allowed: {}", names.join(", ")) }
    })
}

fn unit(word: &[u8]) -> Result<(EnergyUnit, f64), RowProblem> {
    if word.is_empty() {
        return Err(RowProblem::Missing { what: "unit" });
    }
    let found = std::str::from_utf8(word).ok().and_then(EnergyUnit::parse);
    found.ok_or_else(|| RowProblem::Form {
        wanted: "unit of energy known here; allowed: KWH, WH, THERM, THM".to_owned(),
    })
}

/// Whether a value is estimated; it is not if nothing is said.
fn flag(word: &[u8]) -> Result<bool, RowProblem> {
    match word {
        b"" | b"0" | b"false" | b"False" | b"FALSE" | b"f" | b"F" | b"no" | b"n" => Ok(false),
        b"1" | b"true" | b"True" | b"TRUE" | b"t" | b"T" | b"yes" | b"y" => Ok(true),
        _ => Err(RowProblem::Form {
            wanted: "answer to whether the value is estimated; write `true` or `false`".to_owned(),
        }),
    }
}
