//! Reads the rows of a block. What depends on the blocks before it is left to `reader`, or given here as a
//! [`Separator`]: so blocks can be read at the same time.

use std::collections::HashMap;

use super::detect::{Plan, Roles};
use super::number::{Number, parse_flag, parse_number, parse_plain};
use super::options::Decimal;
use super::record::{BadRecord, Records};
use super::time::TimeReader;
use super::zone::Instant;
use crate::error::{NumberProblem, RowError, RowProblem};
use crate::table::{ColumnValues, Place, Report, Seen};

/// Bytes of the name of a series in a long table, at most.
pub(crate) const LONGEST_NAME: usize = 1024;

/// How the rows of a table are read.
pub(crate) struct Parser {
    pub(crate) input: String,
    pub(crate) plan: Plan,
    pub(crate) time: TimeReader,
    pub(crate) comment: Option<Vec<u8>>,
    pub(crate) missing: Vec<Vec<u8>>,
    /// Whether a missing value may look like a number: `-999`.
    pub(crate) missing_numbers: bool,
    /// Whether `true` and `false` are numbers.
    pub(crate) flags: bool,
    /// Whether wrong rows are skipped.
    pub(crate) skip: bool,
}

/// The decimal separator, and whether it is certain. As long as there were only integers it is not.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Separator {
    pub(crate) decimal: Decimal,
    pub(crate) decided: bool,
}

/// The rows of a block. All lines are counted from 1 at its beginning.
pub(crate) struct Parsed {
    /// Lines of the block.
    pub(crate) lines: u64,
    /// The line in which each row begins.
    pub(crate) row_lines: Vec<u64>,
    /// The time of each row; the earlier one where the clocks showed it twice.
    pub(crate) starts: Vec<i64>,
    /// Rows whose times occurred twice, and their later times.
    pub(crate) folds: Vec<(usize, i64)>,
    pub(crate) values: ParsedValues,
    /// The separator before the block, and behind it.
    pub(crate) before: Separator,
    pub(crate) behind: Separator,
    /// Rows that were skipped, and the first of them.
    pub(crate) skipped: u64,
    pub(crate) errors: Vec<RowError>,
    /// The row that ends it all.
    pub(crate) failure: Option<RowError>,
}

pub(crate) enum ParsedValues {
    /// The values of each column.
    Wide(Vec<Values>),
    /// For each row which series it belongs to, as an index into `names`, and its value.
    Long { series: Vec<u32>, values: Values, names: Vec<Name> },
}

/// A series of a long table, in a block.
pub(crate) struct Name {
    pub(crate) name: Vec<u8>,
    /// What the column of units says in its first row.
    pub(crate) unit: Vec<u8>,
    pub(crate) seen: Seen,
    /// Its first row, and how many rows were skipped before that.
    pub(crate) first_row: usize,
    pub(crate) skipped: u64,
}

/// What is wrong with the row at hand, and in which column.
struct Wrong {
    column: Option<usize>,
    problem: RowProblem,
}

impl Wrong {
    fn number(column: usize, problem: NumberProblem) -> Wrong {
        Wrong { column: Some(column), problem: RowProblem::Number(problem) }
    }
}

impl From<RowProblem> for Wrong {
    fn from(problem: RowProblem) -> Wrong {
        Wrong { column: None, problem }
    }
}

impl Parser {
    /// Reads the rows of a text, up to the first one that ends it all.
    pub(crate) fn parse(&self, text: &[u8], separator: Separator) -> Parsed {
        let values = match &self.plan.roles {
            Roles::Wide { values } => ParsedValues::Wide(vec![Values::default(); values.len()]),
            Roles::Long { .. } => {
                ParsedValues::Long { series: Vec::new(), values: Values::default(), names: Vec::new() }
            }
        };
        let mut block = BlockParser {
            parser: self,
            text_bytes: text.len(),
            records: Records::new(text, self.plan.delimiter, self.comment.as_deref()),
            time: self.time.clone(),
            names: HashMap::new(),
            row: Vec::new(),
            joined: Vec::new(),
            parsed: Parsed {
                lines: 0,
                row_lines: Vec::new(),
                starts: Vec::new(),
                folds: Vec::new(),
                values,
                before: separator,
                behind: separator,
                skipped: 0,
                errors: Vec::new(),
                failure: None,
            },
        };
        block.run();
        block.parsed.lines = block.records.line() - 1;
        block.parsed
    }
}

struct BlockParser<'a> {
    parser: &'a Parser,
    text_bytes: usize,
    records: Records<'a>,
    time: TimeReader,
    /// Where a series of a long table is in the names, by its name.
    names: HashMap<Vec<u8>, u32>,
    /// The values of the row at hand: it counts as a whole or not at all.
    row: Vec<Option<Number>>,
    /// Date and time of day, put together.
    joined: Vec<u8>,
    parsed: Parsed,
}

impl BlockParser<'_> {
    fn run(&mut self) {
        loop {
            let (line, row) = match self.records.advance() {
                Ok(None) => return,
                Ok(Some(line)) => (line, self.row()),
                Err(BadRecord { line, problem }) => (line, Err(problem.into())),
            };
            match row {
                Ok(start) => {
                    if self.parsed.starts.is_empty() {
                        self.reserve();
                    }
                    self.parsed.starts.push(start);
                    self.parsed.row_lines.push(line);
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

    /// Makes room for as many rows as there will be if all are as long as the ones so far.
    fn reserve(&mut self) {
        let (bytes, all) = (self.records.position(), self.text_bytes);
        let rows = all / bytes.max(1) + 1;
        self.parsed.starts.reserve(rows);
        self.parsed.row_lines.reserve(rows);
        match &mut self.parsed.values {
            ParsedValues::Wide(columns) => columns.iter_mut().for_each(|values| values.reserve(rows)),
            ParsedValues::Long { series, values, .. } => {
                series.reserve(rows);
                values.reserve(rows);
            }
        }
    }

    /// Takes up the record at hand as a row, or nothing of it; its time.
    fn row(&mut self) -> Result<i64, Wrong> {
        let (found, wanted) = (self.records.len(), self.parser.plan.titles.len());
        // A delimiter at the end of a row makes no field.
        if found != wanted && (found != wanted + 1 || !self.records.field(wanted).is_empty()) {
            return Err(RowProblem::Fields { found, wanted }.into());
        }
        let instant = self.instant()?;
        let separator = match self.parser.plan.roles {
            Roles::Wide { .. } => self.wide_row()?,
            Roles::Long { series, value, unit } => self.long_row(series, value, unit)?,
        };
        // From here on nothing can go wrong.
        self.parsed.behind = separator;
        Ok(match instant {
            Instant::At(at) => at,
            Instant::Fold { earlier, later } => {
                self.parsed.folds.push((self.parsed.starts.len(), later));
                earlier
            }
        })
    }

    fn wide_row(&mut self) -> Result<Separator, Wrong> {
        let mut separator = self.parsed.behind;
        let (Roles::Wide { values: from }, ParsedValues::Wide(columns)) =
            (&self.parser.plan.roles, &mut self.parsed.values)
        else {
            return Ok(separator);
        };
        self.row.clear();
        for &column in from {
            let value = self.parser.number(self.records.field(column), &mut separator);
            self.row.push(value.map_err(|problem| Wrong::number(column, problem))?);
        }
        for (values, value) in columns.iter_mut().zip(&self.row) {
            values.push(*value);
        }
        Ok(separator)
    }

    fn long_row(&mut self, series: usize, value: usize, unit: Option<usize>) -> Result<Separator, Wrong> {
        let mut separator = self.parsed.behind;
        let ParsedValues::Long { series: of_rows, values, names } = &mut self.parsed.values else {
            return Ok(separator);
        };
        let name = self.records.field(series);
        if name.is_empty() {
            return Err(RowProblem::NoSeries.into());
        }
        if name.len() > LONGEST_NAME {
            let problem = RowProblem::LongName { most: LONGEST_NAME };
            return Err(Wrong { column: Some(series), problem });
        }
        let number = self.parser.number(self.records.field(value), &mut separator);
        let number = number.map_err(|problem| Wrong::number(value, problem))?;
        let index = match self.names.get(name) {
            Some(&index) => index,
            None => {
                // A block has fewer rows than that.
                let index = names.len() as u32;
                self.names.insert(name.to_vec(), index);
                names.push(Name {
                    name: name.to_vec(),
                    unit: unit.map(|unit| self.records.field(unit).to_vec()).unwrap_or_default(),
                    seen: Seen::default(),
                    first_row: of_rows.len(),
                    skipped: self.parsed.skipped,
                });
                index
            }
        };
        names[index as usize].seen.count(number);
        of_rows.push(index);
        values.push(number);
        Ok(separator)
    }

    fn instant(&mut self) -> Result<Instant, Wrong> {
        let plan = &self.parser.plan;
        let text = self.records.field(plan.time);
        let text = match plan.clock {
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
            let missing = text.is_empty() || self.parser.is_missing(text);
            let problem = if missing { RowProblem::NoTime } else { RowProblem::Time(problem) };
            Wrong { column: Some(plan.time), problem }
        })
    }

    /// A row that is wrong: the end, or one more that is skipped.
    #[cold]
    fn refuse(&mut self, line: u64, Wrong { column, problem }: Wrong) {
        let skip = self.parser.skip && !problem.is_fatal();
        self.parsed.skipped += u64::from(skip);
        if skip && self.parsed.errors.len() == Report::MOST_ERRORS {
            return;
        }
        let plan = &self.parser.plan;
        let text = match column {
            Some(column) if column == plan.time && plan.clock.is_some() => &self.joined,
            Some(column) => self.records.field(column),
            None => self.records.first_line(),
        };
        let error = RowError {
            input: self.parser.input.clone(),
            place: Place::Line,
            line,
            column: column.map(|column| plan.column(column)),
            text: RowError::excerpt(text),
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

    /// The number that a cell holds, if it holds any.
    #[inline]
    fn number(&self, text: &[u8], separator: &mut Separator) -> Result<Option<Number>, NumberProblem> {
        match parse_plain(text, separator.decimal.byte()) {
            Some(number) if separator.decided && !self.missing_numbers => Ok(Some(number)),
            _ => self.any_number(text, separator),
        }
    }

    fn any_number(&self, text: &[u8], separator: &mut Separator) -> Result<Option<Number>, NumberProblem> {
        if text.is_empty() || (self.missing_numbers && self.is_missing(text)) {
            return Ok(None);
        }
        match parse_number(text, separator.decimal.byte()) {
            Ok(number) => {
                separator.decided |= text.contains(&separator.decimal.byte());
                Ok(Some(number))
            }
            Err(_) if self.is_missing(text) => Ok(None),
            Err(NumberProblem::Comma) if !separator.decided => {
                *separator = Separator { decimal: Decimal::Comma, decided: true };
                parse_number(text, separator.decimal.byte()).map(Some)
            }
            Err(problem) => match parse_flag(text).filter(|_| self.flags) {
                Some(flag) => Ok(Some(flag)),
                None => Err(problem),
            },
        }
    }
}

impl Seen {
    #[inline]
    fn count(&mut self, value: Option<Number>) {
        match value {
            None => self.missing += 1,
            Some(Number::Float(_)) => self.fractions += 1,
            Some(Number::Int(value)) => self.count_integer(value),
        }
    }
}

/// Values of a column of a block: integers as long as there is nothing else.
#[derive(Clone, Default)]
pub(crate) struct Values {
    ints: Vec<i64>,
    /// Set where an integer is valid; empty as long as all are.
    valid: Vec<u64>,
    /// Everything, once there was a fraction.
    floats: Option<Vec<f64>>,
    pub(crate) seen: Seen,
}

impl Values {
    /// Makes room for so many values more, of the kind that there is.
    fn reserve(&mut self, values: usize) {
        match &mut self.floats {
            Some(floats) => floats.reserve(values),
            None => self.ints.reserve(values),
        }
    }

    #[inline]
    pub(crate) fn push(&mut self, value: Option<Number>) {
        match (&mut self.floats, value) {
            (Some(floats), Some(Number::Float(value))) => {
                self.seen.fractions += 1;
                floats.push(value);
            }
            _ => self.push_any(value),
        }
    }

    fn push_any(&mut self, value: Option<Number>) {
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

    pub(crate) fn finish(self) -> ColumnValues {
        match self.floats {
            Some(floats) => ColumnValues::Floats(floats),
            None => {
                let validity = (!self.valid.is_empty()).then_some(self.valid);
                ColumnValues::Ints { values: self.ints, validity }
            }
        }
    }
}
