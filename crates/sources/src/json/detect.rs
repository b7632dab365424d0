//! Finds out what keys mean, from the first lines.

use std::collections::HashMap;
use std::fmt;

use super::object::{self, Cell, Kind};
use crate::csv::{
    ColumnRef, CsvOptions, DateCache, Layout, SERIES_NAMES, TIME_NAMES, TimeFormat, UNIT_NAMES, VALUE_NAMES,
    check_format, clash, parse_iso, parse_number, plain, rank, split_unit, unix_unit,
};
use crate::error::{ColumnName, RowError, SourceError, TableProblem};

/// Bytes that are looked at, if a line is not longer.
pub(super) const SAMPLE_BYTES: usize = 1 << 20;

/// Lines that are looked at.
const SAMPLE_LINES: usize = 1000;

/// How the lines are to be read.
#[derive(Debug)]
pub(super) struct Plan {
    /// The key of times.
    pub(super) time: String,
    /// Never [`TimeFormat::Auto`].
    pub(super) format: TimeFormat,
    pub(super) roles: Roles,
    /// Keys that are not read, as far as the first lines have them.
    ignored: Vec<String>,
    /// The keys of values, if they were chosen: all others are not read.
    chosen: Vec<String>,
}

/// Which keys hold the values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Roles {
    /// All that are left.
    Wide,
    Long {
        series: String,
        value: String,
        unit: Option<String>,
    },
}

/// What a key of a wide table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Time,
    Value,
    Ignored,
}

impl Plan {
    /// What a key of a wide table is, whether the first lines have it or not.
    pub(super) fn role(&self, key: &str) -> Role {
        let is_in = |keys: &[String]| keys.iter().any(|other| other == key);
        if key == self.time {
            Role::Time
        } else if is_in(&self.ignored) || (!self.chosen.is_empty() && !is_in(&self.chosen)) {
            Role::Ignored
        } else {
            Role::Value
        }
    }
}

/// One line for people: ``wide table in JSON lines, times in `time` as iso``.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let layout = if self.roles == Roles::Wide { Layout::Wide } else { Layout::Long };
        write!(f, "{layout} table in JSON lines, times in {} as {}", shown(&self.time), self.format)?;
        for (at, ignored) in self.ignored.iter().enumerate() {
            write!(f, "{} {}", if at == 0 { ", not read:" } else { "," }, shown(ignored))?;
        }
        Ok(())
    }
}

fn shown(key: &str) -> impl fmt::Display {
    ColumnName { number: 0, title: key.to_owned() }
}

/// What the values of a key were in the first lines.
#[derive(Debug, Default)]
struct Census {
    key: String,
    /// The first values that are there.
    values: Vec<String>,
    numbers: usize,
    /// Texts, and those of them that could be numbers or times in ISO 8601.
    texts: usize,
    number_texts: usize,
    iso_texts: usize,
    flags: usize,
    nested: usize,
}

impl Census {
    fn count(&mut self, cell: &Cell<'_>, missing: &[Vec<u8>]) {
        /// Values of each key that are kept.
        const FEW: usize = 100;
        let text = cell.text();
        let text = text.trim();
        match cell.kind() {
            Kind::Null => return,
            Kind::Number => self.numbers += 1,
            Kind::Bool => self.flags += 1,
            Kind::Nested => self.nested += 1,
            Kind::Text if text.is_empty() || missing.iter().any(|word| word == text.as_bytes()) => return,
            Kind::Text => {
                self.texts += 1;
                self.number_texts += usize::from(parse_number(text.as_bytes(), b'.').is_ok());
                self.iso_texts += usize::from(parse_iso(text.as_bytes(), &mut DateCache::default()).is_ok());
            }
        }
        if self.values.len() < FEW && cell.kind() != Kind::Nested {
            self.values.push(text.to_owned());
        }
    }

    fn is_empty(&self) -> bool {
        self.numbers + self.texts + self.flags + self.nested == 0
    }

    /// Whether it may hold values; a key that is always null may.
    fn may_be_values(&self, options: &CsvOptions) -> bool {
        let numbers = self.numbers + self.number_texts + if options.flags { self.flags } else { 0 };
        self.is_empty() || numbers > 0
    }

    /// Whether there is nothing but texts that are no numbers.
    fn is_text(&self) -> bool {
        self.texts > self.number_texts && self.numbers + self.flags + self.nested == 0
    }

    fn numbers(&self) -> impl Iterator<Item = f64> {
        let number = |text: &String| parse_number(text.as_bytes(), b'.').ok();
        self.values.iter().filter_map(number).map(crate::csv::Number::as_f64)
    }
}

/// Finds out what the keys of lines mean.
pub(super) fn detect(input: &str, lines: &[u8], options: &CsvOptions) -> Result<Plan, SourceError> {
    let missing = options.missing_words();
    let mut keys: Vec<Census> = Vec::new();
    let mut known: HashMap<String, usize> = HashMap::new();
    let mut cells = Vec::new();
    let all = lines.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    let (mut objects, mut first_failure) = (0, None);
    let is_list = |line: &&[u8]| line.starts_with(b"[");
    if let Some(line) = all.clone().next().filter(is_list) {
        let problem = TableProblem::NoJsonLines {
            problem: "a list begins here".to_owned(),
            text: RowError::excerpt(line),
        };
        return Err(SourceError::Table { input: input.to_owned(), line: None, problem: Box::new(problem) });
    }
    for line in all.take(SAMPLE_LINES) {
        // What is wrong with a line is told when it is read for good, unless all are.
        match object::read(line, &mut cells) {
            Ok(()) => objects += 1,
            Err(problem) => {
                first_failure.get_or_insert((problem, RowError::excerpt(line)));
                cells.clear();
            }
        }
        for cell in &cells {
            let index = *known.entry(cell.key.clone().into_owned()).or_insert_with(|| {
                keys.push(Census { key: cell.key.clone().into_owned(), ..Census::default() });
                keys.len() - 1
            });
            keys[index].count(cell, &missing);
        }
    }
    let detector = Detector { input, options, keys: &keys };
    match first_failure {
        Some((problem, text)) if objects == 0 => {
            Err(detector.error(TableProblem::NoJsonLines { problem, text }))
        }
        None if objects == 0 => Err(detector.error(TableProblem::NoObjects)),
        _ => detector.run(),
    }
}

struct Detector<'a> {
    input: &'a str,
    options: &'a CsvOptions,
    keys: &'a [Census],
}

impl Detector<'_> {
    fn run(&self) -> Result<Plan, SourceError> {
        let mut free = vec![true; self.keys.len()];
        for column in &self.options.ignored_columns {
            // A key may come later, so one that is not there is no mistake.
            if let Some(index) = self.position(column) {
                free[index] = false;
            }
        }
        let free: Vec<usize> = (0..free.len()).filter(|&index| free[index]).collect();
        let time = self.time_key(&free)?;
        let format = self.time_format(time)?;
        let rest: Vec<usize> = free.iter().copied().filter(|&index| index != time).collect();
        let mut chosen = Vec::new();
        for column in &self.options.value_columns {
            let key = self.name(column);
            if key == self.keys[time].key {
                return Err(self.same(time, "time_column", "value_columns"));
            }
            if !chosen.contains(&key) {
                chosen.push(key);
            }
        }
        let roles = self.roles(time, &rest, &chosen)?;
        let is_read = |index: &usize| {
            let key = &self.keys[*index].key;
            match &roles {
                Roles::Wide if chosen.is_empty() => {
                    rest.contains(index) && self.keys[*index].may_be_values(self.options)
                }
                Roles::Wide => chosen.contains(key),
                Roles::Long { series, value, unit } => {
                    key == series || key == value || Some(key) == unit.as_ref()
                }
            }
        };
        let others = (0..self.keys.len()).filter(|index| *index != time && !is_read(index));
        let mut ignored: Vec<String> = others.map(|index| self.keys[index].key.clone()).collect();
        // Those that come later, too.
        for column in &self.options.ignored_columns {
            let name = self.name(column);
            if !ignored.contains(&name) {
                ignored.push(name);
            }
        }
        if roles == Roles::Wide && chosen.is_empty() && ignored.len() + 1 == self.keys.len() {
            return Err(self.error(TableProblem::NoValues));
        }
        Ok(Plan { time: self.keys[time].key.clone(), format, roles, ignored, chosen })
    }

    fn error(&self, problem: TableProblem) -> SourceError {
        SourceError::Table { input: self.input.to_owned(), line: None, problem: Box::new(problem) }
    }

    fn same(&self, index: usize, first: &'static str, second: &'static str) -> SourceError {
        self.error(TableProblem::SameColumn { column: self.column(index), first, second })
    }

    fn column(&self, index: usize) -> ColumnName {
        ColumnName { number: 0, title: self.keys[index].key.clone() }
    }

    /// All keys, as messages list them.
    fn list(&self) -> String {
        const MOST: usize = 20;
        let names: Vec<String> =
            self.keys.iter().take(MOST).map(|of| crate::error::Shown(&of.key).to_string()).collect();
        let more = if self.keys.len() > MOST { " and more" } else { "" };
        if names.is_empty() { "none".to_owned() } else { names.join(", ") + more }
    }

    /// The key that an option names. Numbers count keys in the order in which they occur.
    fn position(&self, wanted: &ColumnRef) -> Option<usize> {
        match wanted {
            ColumnRef::Number(number) => {
                let by_name = self.keys.iter().position(|of| of.key == number.to_string());
                by_name.or_else(|| number.checked_sub(1).filter(|&index| index < self.keys.len()))
            }
            ColumnRef::Name(name) => {
                let name = name.trim();
                let whole = self.keys.iter().position(|of| of.key == name);
                whole.or_else(|| self.keys.iter().position(|of| split_unit(&of.key).0 == name))
            }
        }
    }

    /// The same, of a key that may come later.
    fn name(&self, wanted: &ColumnRef) -> String {
        match (self.position(wanted), wanted) {
            (Some(index), _) => self.keys[index].key.clone(),
            (None, ColumnRef::Name(name)) => name.trim().to_owned(),
            (None, ColumnRef::Number(number)) => number.to_string(),
        }
    }

    fn find(&self, option: &'static str, wanted: &ColumnRef) -> Result<usize, SourceError> {
        self.position(wanted).ok_or_else(|| {
            let wanted = wanted.to_string();
            self.error(TableProblem::NoColumn { option, wanted, columns: self.list() })
        })
    }

    /// The key with the name that is most likely for its purpose.
    fn named(&self, keys: &[usize], names: &[&str]) -> Option<usize> {
        keys.iter()
            .filter_map(|&key| Some((rank(&self.keys[key].key, names)?, key)))
            .min()
            .map(|(_, key)| key)
    }

    fn time_key(&self, free: &[usize]) -> Result<usize, SourceError> {
        if let Some(column) = &self.options.time_column {
            return self.find("time_column", column);
        }
        let may_be: Vec<usize> =
            free.iter().copied().filter(|&key| self.keys[key].numbers + self.keys[key].texts > 0).collect();
        if let Some(key) = self.named(&may_be, &TIME_NAMES) {
            return Ok(key);
        }
        let is_iso = |of: &Census| of.iso_texts > 0 && of.iso_texts == of.texts && of.numbers == 0;
        let iso: Vec<usize> = may_be.iter().copied().filter(|&key| is_iso(&self.keys[key])).collect();
        match *iso {
            [one] => return Ok(one),
            [first, second, ..] => {
                let (first, second) = (self.column(first), self.column(second));
                return Err(self.error(TableProblem::SeveralTimeColumns { first, second }));
            }
            [] => {}
        }
        let counts = self.options.begin.is_some() && self.options.period.is_some();
        let index = may_be.into_iter().find(|&key| counts && plain(&self.keys[key].key) == "index");
        index.ok_or_else(|| self.error(TableProblem::NoTimeColumn { columns: self.list() }))
    }

    fn time_format(&self, time: usize) -> Result<TimeFormat, SourceError> {
        let of = &self.keys[time];
        let format = match &self.options.time_format {
            TimeFormat::Auto if of.texts > of.number_texts || of.is_empty() => TimeFormat::Iso,
            TimeFormat::Auto => {
                let counts = self.options.begin.is_some() && self.options.period.is_some();
                match unix_unit(of.numbers()) {
                    _ if counts && plain(&of.key) == "index" => TimeFormat::Index,
                    Some(format) => format,
                    None => {
                        let text = of.values.first().cloned().unwrap_or_default();
                        let text = RowError::excerpt(text.as_bytes());
                        let column = self.column(time);
                        return Err(self.error(TableProblem::UnclearNumbers { column, text }));
                    }
                }
            }
            TimeFormat::Custom(format) => {
                check_format(format)
                    .map_err(|problem| SourceError::Option { option: "time_format", problem })?;
                TimeFormat::Custom(format.clone())
            }
            format => format.clone(),
        };
        let missing = match self.options {
            CsvOptions { begin: None, .. } => Some("begin"),
            CsvOptions { period: None, .. } => Some("period"),
            _ => None,
        };
        if let (TimeFormat::Index, Some(missing)) = (&format, missing) {
            return Err(self.error(TableProblem::NoBegin { missing, from_comments: false }));
        }
        Ok(format)
    }

    fn roles(&self, time: usize, rest: &[usize], chosen: &[String]) -> Result<Roles, SourceError> {
        let numbers: Vec<usize> = rest
            .iter()
            .copied()
            .filter(|&key| !self.keys[key].is_empty() && self.keys[key].may_be_values(self.options))
            .collect();
        let is_name = |of: &Census| of.nested + of.flags == 0 && of.texts + of.numbers > 0;
        let names: Vec<usize> = rest.iter().copied().filter(|&key| is_name(&self.keys[key])).collect();
        let is_long = match self.options.layout {
            Some(layout) => layout == Layout::Long,
            None if self.options.series_column.is_some() => true,
            None => chosen.is_empty() && self.is_long(&names, &numbers),
        };
        if !is_long {
            return Ok(Roles::Wide);
        }
        let missing =
            |what, option| self.error(TableProblem::LongColumn { what, option, columns: self.list() });
        let texts: Vec<usize> = names.iter().copied().filter(|&key| self.keys[key].is_text()).collect();
        let only = |keys: &[usize]| if let [one] = *keys { Some(one) } else { None };
        let series = match &self.options.series_column {
            Some(column) => self.find("series_column", column)?,
            None => self
                .named(&names, &SERIES_NAMES)
                .or_else(|| only(&texts))
                .ok_or_else(|| missing("names of series", "series_column"))?,
        };
        let numbers: Vec<usize> = numbers.into_iter().filter(|&key| key != series).collect();
        let value = match chosen {
            [value, ..] => value.clone(),
            [] => {
                let value = self.named(&numbers, &VALUE_NAMES).or_else(|| only(&numbers));
                self.keys[value.ok_or_else(|| missing("values", "value_columns"))?].key.clone()
            }
        };
        let value_index = self.keys.iter().position(|of| of.key == value).unwrap_or(usize::MAX);
        if let Some(first) = clash(series, time, value_index) {
            return Err(self.same(series, first, "series_column"));
        }
        let texts: Vec<usize> = texts.into_iter().filter(|&key| key != series).collect();
        let key = |index: usize| self.keys[index].key.clone();
        Ok(Roles::Long { series: key(series), value, unit: self.named(&texts, &UNIT_NAMES).map(key) })
    }

    /// Whether names say that a key names the series of lines and another one has their values, or one such key of text
    /// stands beside a single one of numbers.
    fn is_long(&self, names: &[usize], numbers: &[usize]) -> bool {
        let Some(series) = self.named(names, &SERIES_NAMES) else { return false };
        let others: Vec<usize> = numbers.iter().copied().filter(|&key| key != series).collect();
        self.named(&others, &VALUE_NAMES).is_some() || (self.keys[series].is_text() && others.len() == 1)
    }
}
