//! Reads the lines of a part of a block. What depends on the lines before it is left to `reader`: so parts can be read at
//! the same time.

use std::collections::HashMap;

use memchr::memchr;

use super::detect::{Plan, Role, Roles};
use super::lines::LONGEST_LINE;
use super::object::{self, Cell, Kind};
use crate::csv::{Instant, LONGEST_NAME, Number, TimeReader, Values, parse_flag, parse_number};
use crate::error::{ColumnName, NumberProblem, RowError, RowProblem};
use crate::table::{Place, Report};

/// How the lines of an input are read.
pub(super) struct Parser {
    pub(super) input: String,
    pub(super) plan: Plan,
    pub(super) time: TimeReader,
    pub(super) missing: Vec<Vec<u8>>,
    /// Whether a missing value may look like a number: `-999`.
    pub(super) missing_numbers: bool,
    /// Whether `true` and `false` are numbers.
    pub(super) flags: bool,
    /// Whether wrong rows are skipped.
    pub(super) skip: bool,
}

/// The rows of a part. All lines are counted from 1 at its beginning.
pub(super) struct Parsed {
    pub(super) lines: u64,
    /// The line of each row.
    pub(super) row_lines: Vec<u64>,
    /// The time of each row; the earlier one where the clocks showed it twice.
    pub(super) starts: Vec<i64>,
    /// Rows whose times occurred twice, and their later times.
    pub(super) folds: Vec<(usize, i64)>,
    /// What each series has, in the order in which they occur.
    pub(super) series: Vec<Part>,
    /// Rows that were skipped, and the first of them.
    pub(super) skipped: u64,
    pub(super) errors: Vec<RowError>,
    /// The row that ends it all.
    pub(super) failure: Option<RowError>,
}

/// Some values of a series.
pub(super) struct Part {
    /// The key of the series, or its name in a long table.
    pub(super) name: String,
    /// What the key of units says in its first row.
    pub(super) unit: Option<String>,
    /// For each value which of the rows it is of.
    pub(super) rows: Vec<u32>,
    pub(super) values: Values,
    /// The last line that had it.
    last_line: u64,
}

/// What a key of a wide table is.
#[derive(Clone, Copy)]
enum Slot {
    Time,
    Ignored,
    Series(u32),
}

/// What is wrong with the line at hand, and at which key.
struct Wrong {
    key: Option<String>,
    text: String,
    problem: RowProblem,
}

impl Wrong {
    fn at(cell: &Cell<'_>, problem: RowProblem) -> Wrong {
        Wrong { key: Some(cell.key.clone().into_owned()), text: cell.text().into_owned(), problem }
    }
}

impl From<RowProblem> for Wrong {
    fn from(problem: RowProblem) -> Wrong {
        Wrong { key: None, text: String::new(), problem }
    }
}

impl Parser {
    /// Reads the rows of a text, up to the first one that ends it all.
    pub(super) fn parse(&self, text: &[u8]) -> Parsed {
        let parsed = Parsed {
            lines: 0,
            row_lines: Vec::new(),
            starts: Vec::new(),
            folds: Vec::new(),
            series: Vec::new(),
            skipped: 0,
            errors: Vec::new(),
            failure: None,
        };
        let mut part = PartParser {
            parser: self,
            time: self.time.clone(),
            known: HashMap::new(),
            row: Vec::new(),
            parsed,
        };
        part.run(text);
        part.parsed
    }
}

struct PartParser<'a> {
    parser: &'a Parser,
    time: TimeReader,
    /// What a key is, or, in a long table, the name of a series.
    known: HashMap<String, Slot>,
    /// The values of the row at hand: it counts as a whole or not at all.
    row: Vec<(u32, Option<Number>)>,
    parsed: Parsed,
}

impl PartParser<'_> {
    fn run(&mut self, text: &[u8]) {
        let mut cells = Vec::new();
        let mut at = 0;
        while at < text.len() {
            let end = memchr(b'\n', &text[at..]).map_or(text.len(), |end| at + end);
            let line = text[at..end].trim_ascii();
            at = end + 1;
            self.parsed.lines += 1;
            if line.is_empty() {
                continue;
            }
            let row = if line.len() > LONGEST_LINE {
                Err(RowProblem::TooLong { most: LONGEST_LINE }.into())
            } else {
                object::read(line, &mut cells)
                    .map_err(|problem| RowProblem::Json(problem).into())
                    .and_then(|()| self.row(&cells))
            };
            cells.clear();
            match row {
                Ok(start) => {
                    let row = self.parsed.starts.len() as u32;
                    for (series, value) in self.row.drain(..) {
                        let series = &mut self.parsed.series[series as usize];
                        series.rows.push(row);
                        series.values.push(value);
                    }
                    self.parsed.starts.push(start);
                    self.parsed.row_lines.push(self.parsed.lines);
                }
                Err(wrong) => {
                    self.refuse(line, wrong);
                    if self.parsed.failure.is_some() {
                        return;
                    }
                }
            }
        }
    }

    /// The time of a row; its values are in `row` then.
    fn row(&mut self, cells: &[Cell<'_>]) -> Result<i64, Wrong> {
        self.row.clear();
        let mut instant = None;
        match &self.parser.plan.roles {
            Roles::Wide => {
                for cell in cells {
                    match self.slot(&cell.key) {
                        Slot::Time if instant.is_some() => {
                            return Err(Wrong::at(cell, RowProblem::KeyTwice));
                        }
                        Slot::Time => instant = Some(self.instant(cell)?),
                        Slot::Ignored => {}
                        Slot::Series(series) => {
                            let value = self.number(cell)?;
                            let line = self.parsed.lines;
                            let last_line = &mut self.parsed.series[series as usize].last_line;
                            if std::mem::replace(last_line, line) == line {
                                return Err(Wrong::at(cell, RowProblem::KeyTwice));
                            }
                            self.row.push((series, value));
                        }
                    }
                }
            }
            Roles::Long { series, value, unit } => {
                let find = |key: &str| {
                    let mut found = cells.iter().filter(|cell| cell.key == key);
                    match (found.next(), found.next()) {
                        (_, Some(second)) => Err(Wrong::at(second, RowProblem::KeyTwice)),
                        (first, None) => Ok(first),
                    }
                };
                instant = find(&self.parser.plan.time)?.map(|cell| self.instant(cell)).transpose()?;
                let name = find(series)?.filter(|cell| !matches!(cell.kind(), Kind::Null | Kind::Nested));
                let name = name.ok_or(RowProblem::NoSeries)?;
                let text = name.text();
                let text = text.trim();
                if text.is_empty() {
                    return Err(RowProblem::NoSeries.into());
                }
                if text.len() > LONGEST_NAME {
                    return Err(Wrong::at(name, RowProblem::LongName { most: LONGEST_NAME }));
                }
                let value = find(value)?.map(|cell| self.number(cell)).transpose()?.flatten();
                let unit = match unit {
                    Some(unit) => find(unit)?.map(Cell::text),
                    None => None,
                };
                let series = match self.known.get(text) {
                    Some(&Slot::Series(series)) => series,
                    _ => self.new_series(text, unit.as_deref()),
                };
                self.row.push((series, value));
            }
        }
        Ok(match instant.ok_or(RowProblem::NoTime)? {
            Instant::At(at) => at,
            Instant::Fold { earlier, later } => {
                self.parsed.folds.push((self.parsed.starts.len(), later));
                earlier
            }
        })
    }

    /// What a key of a wide table is.
    fn slot(&mut self, key: &str) -> Slot {
        if let Some(&slot) = self.known.get(key) {
            return slot;
        }
        let slot = match self.parser.plan.role(key) {
            Role::Time => Slot::Time,
            Role::Ignored => Slot::Ignored,
            Role::Value => return Slot::Series(self.new_series(key, None)),
        };
        self.known.insert(key.to_owned(), slot);
        slot
    }

    fn new_series(&mut self, name: &str, unit: Option<&str>) -> u32 {
        // A part has fewer bytes than that.
        let index = self.parsed.series.len() as u32;
        self.known.insert(name.to_owned(), Slot::Series(index));
        let unit = unit.map(str::trim).filter(|unit| !unit.is_empty()).map(str::to_owned);
        let (rows, values) = (Vec::new(), Values::default());
        self.parsed.series.push(Part { name: name.to_owned(), unit, rows, values, last_line: 0 });
        index
    }

    fn instant(&mut self, cell: &Cell<'_>) -> Result<Instant, Wrong> {
        let text = cell.text();
        let text = text.trim();
        match cell.kind() {
            Kind::Null => return Err(Wrong::at(cell, RowProblem::NoTime)),
            Kind::Text if text.is_empty() || self.parser.is_missing(text.as_bytes()) => {
                return Err(Wrong::at(cell, RowProblem::NoTime));
            }
            Kind::Bool | Kind::Nested | Kind::Number | Kind::Text => {}
        }
        self.time.read(text.as_bytes()).map_err(|problem| Wrong::at(cell, RowProblem::Time(problem)))
    }

    /// The number that a value is, if it is there.
    fn number(&self, cell: &Cell<'_>) -> Result<Option<Number>, Wrong> {
        let wrong = |problem| Wrong::at(cell, RowProblem::Number(problem));
        let text = cell.text();
        let text = text.trim().as_bytes();
        match cell.kind() {
            Kind::Null => Ok(None),
            Kind::Nested => Err(Wrong::at(cell, RowProblem::Nested)),
            Kind::Bool => match parse_flag(text).filter(|_| self.parser.flags) {
                Some(flag) => Ok(Some(flag)),
                None => Err(Wrong::at(cell, RowProblem::Flag)),
            },
            Kind::Number | Kind::Text => {
                if text.is_empty() || (self.parser.missing_numbers && self.parser.is_missing(text)) {
                    return Ok(None);
                }
                match parse_number(text, b'.') {
                    Ok(number) => Ok(Some(number)),
                    Err(_) if self.parser.is_missing(text) => Ok(None),
                    // A comma can't be said to be the separator of JSON.
                    Err(NumberProblem::Comma) => Err(wrong(NumberProblem::Form)),
                    Err(problem) => Err(wrong(problem)),
                }
            }
        }
    }

    /// A line that is wrong: the end, or one more that is skipped.
    #[cold]
    fn refuse(&mut self, line: &[u8], Wrong { key, text, problem }: Wrong) {
        // Whatever was taken up of it does not count.
        let row = self.parsed.starts.len();
        self.parsed.folds.retain(|(of, _)| *of < row);
        let skip = self.parser.skip && !problem.is_fatal();
        self.parsed.skipped += u64::from(skip);
        if skip && self.parsed.errors.len() == Report::MOST_ERRORS {
            return;
        }
        let text = if key.is_some() { RowError::excerpt(text.as_bytes()) } else { RowError::excerpt(line) };
        let error = RowError {
            input: self.parser.input.clone(),
            place: Place::Line,
            line: self.parsed.lines,
            column: key.map(|title| ColumnName { number: 0, title }),
            text,
            problem,
        };
        if skip {
            self.parsed.errors.push(error);
        } else {
            self.parsed.failure = Some(error);
        }
    }
}

impl Parser {
    fn is_missing(&self, text: &[u8]) -> bool {
        self.missing.iter().any(|word| word == text)
    }
}
