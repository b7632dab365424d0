//! Finds out what columns mean: from options, types, metadata, names, and first cells.

use std::fmt;

use super::content::{Cells, Content, is_valid};
use super::hints::Hints;
use crate::csv::{
    ColumnRef, Layout, SERIES_NAMES, TIME_NAMES, TimeFormat, TimeReader, UNIT_NAMES, VALUE_NAMES, Zone,
    clash, plain, rank, split_unit, unix_unit,
};
use crate::error::{ColumnName, RowError, SourceError, TableProblem};
use crate::parquet::ParquetOptions;

/// Cells that are looked at where the type of a column does not say what it is.
pub(crate) const SAMPLE_ROWS: usize = 200;

/// Columns of text that are looked at for times.
const SAMPLE_COLUMNS: usize = 32;

/// First cells of a column, of those that are there; `None` if there are none.
pub(crate) type Sampler<'a> = &'a dyn Fn(usize) -> Result<Option<Cells>, SourceError>;

/// How a file is to be read.
#[derive(Debug)]
pub(crate) struct Plan {
    /// What kind of file it is, for people.
    kind: &'static str,
    pub(crate) fields: Vec<Field>,
    pub(crate) time: usize,
    /// How times are written that are integers or texts, never [`TimeFormat::Auto`].
    pub(crate) format: TimeFormat,
    pub(crate) roles: Roles,
    pub(crate) ignored: Vec<usize>,
    pub(crate) hints: Hints,
}

/// A column as people see it: what is nested in it counts as one.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) title: String,
    pub(crate) content: Content,
    /// Its place among the columns that are stored.
    pub(crate) leaf: usize,
}

/// Which columns hold the values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Roles {
    Wide { values: Vec<usize> },
    Long { series: usize, value: usize, unit: Option<usize> },
}

impl Plan {
    pub(crate) fn column(&self, index: usize) -> ColumnName {
        column(&self.fields, index)
    }

    /// As what the cells of a column are read. Times and names that are unsigned integers stay integers, bit by bit: as
    /// values, those beyond the signed ones would be rounded.
    pub(crate) fn content(&self, index: usize) -> Content {
        let is_key =
            index == self.time || matches!(self.roles, Roles::Long { series, .. } if series == index);
        match self.fields[index].content {
            Content::Uint64 if is_key => Content::Int64,
            content => content,
        }
    }

    /// The columns that are read: times first.
    pub(crate) fn columns(&self) -> Vec<usize> {
        let mut columns = vec![self.time];
        match &self.roles {
            Roles::Wide { values } => columns.extend(values),
            Roles::Long { series, value, unit } => {
                columns.extend([*series, *value]);
                columns.extend(unit);
            }
        }
        columns
    }
}

/// One line for people: `wide table, times in column 1 (`time`) as timestamps in µs (UTC)`.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let layout = if matches!(self.roles, Roles::Wide { .. }) { Layout::Wide } else { Layout::Long };
        write!(f, "{layout} table in {}, times in {} as ", self.kind, self.column(self.time))?;
        let content = self.fields[self.time].content;
        if content.is_integer() || content == Content::Text {
            self.format.fmt(f)?;
        } else {
            f.write_str(&content.what())?;
        }
        for (at, &ignored) in self.ignored.iter().enumerate() {
            let what = self.fields[ignored].content.what();
            write!(f, "{} {} ({what})", if at == 0 { ", not read:" } else { "," }, self.column(ignored))?;
        }
        Ok(())
    }
}

fn column(fields: &[Field], index: usize) -> ColumnName {
    ColumnName {
        number: index + 1,
        title: fields.get(index).map(|field| field.title.clone()).unwrap_or_default(),
    }
}

/// Finds out what the columns of a file mean.
pub(crate) fn detect(
    input: &str,
    kind: &'static str,
    fields: Vec<Field>,
    hints: Hints,
    options: &ParquetOptions,
    sample: Sampler<'_>,
) -> Result<Plan, SourceError> {
    let detector = Detector { input, options, fields: &fields, hints: &hints, sample };
    let (time, format, roles) = detector.run()?;
    let mut plan = Plan { kind, time, format, roles, ignored: Vec::new(), fields, hints };
    let mut is_read = vec![false; plan.fields.len()];
    plan.columns().into_iter().for_each(|column| is_read[column] = true);
    plan.ignored = (0..is_read.len()).filter(|&column| !is_read[column]).collect();
    Ok(plan)
}

struct Detector<'a> {
    input: &'a str,
    options: &'a ParquetOptions,
    fields: &'a [Field],
    hints: &'a Hints,
    sample: Sampler<'a>,
}

impl Detector<'_> {
    fn run(&self) -> Result<(usize, TimeFormat, Roles), SourceError> {
        let mut free = vec![true; self.fields.len()];
        for column in &self.options.ignored_columns {
            free[self.find("ignored_columns", column)?] = false;
        }
        let free: Vec<usize> = (0..free.len()).filter(|&column| free[column]).collect();
        let time = self.time_column(&free)?;
        let format = self.time_format(time)?;
        let rest: Vec<usize> = free.into_iter().filter(|&column| column != time).collect();
        Ok((time, format, self.roles(time, &rest)?))
    }

    fn content(&self, column: usize) -> Content {
        self.fields[column].content
    }

    fn error(&self, problem: TableProblem) -> SourceError {
        SourceError::Table { input: self.input.to_owned(), line: None, problem: Box::new(problem) }
    }

    fn wrong_type(&self, index: usize, wanted: &'static str) -> SourceError {
        let (column, found) = (column(self.fields, index), self.content(index).what());
        self.error(TableProblem::ColumnType { column, found, wanted })
    }

    /// All columns, as messages list them.
    fn list(&self) -> String {
        const MOST: usize = 20;
        let names: Vec<String> = self
            .fields
            .iter()
            .take(MOST)
            .map(|field| crate::error::Shown(&field.title).to_string())
            .collect();
        let more = if self.fields.len() > MOST { " and more" } else { "" };
        if names.is_empty() { "none".to_owned() } else { names.join(", ") + more }
    }

    fn find(&self, option: &'static str, wanted: &ColumnRef) -> Result<usize, SourceError> {
        let found = match wanted {
            ColumnRef::Number(number) => number.checked_sub(1).filter(|&index| index < self.fields.len()),
            ColumnRef::Name(name) => {
                let name = name.trim();
                let title = self.fields.iter().position(|field| field.title == name);
                title.or_else(|| self.fields.iter().position(|field| split_unit(&field.title).0 == name))
            }
        };
        found.ok_or_else(|| {
            let wanted = wanted.to_string();
            self.error(TableProblem::NoColumn { option, wanted, columns: self.list() })
        })
    }

    /// The column with the name that is most likely for its purpose.
    fn named(&self, columns: &[usize], names: &[&str]) -> Option<usize> {
        let ranked =
            columns.iter().filter_map(|&column| Some((rank(&self.fields[column].title, names)?, column)));
        ranked.min().map(|(_, column)| column)
    }

    fn sample_ints(&self, column: usize) -> Result<Vec<f64>, SourceError> {
        Ok(match (self.sample)(column)? {
            Some(Cells::Ints(values, validity)) => {
                let valid = (0..values.len()).filter(|&row| is_valid(validity.as_ref(), row));
                valid.map(|row| values[row] as f64).collect()
            }
            Some(Cells::Floats(values)) => values.into_iter().filter(|value| !value.is_nan()).collect(),
            _ => Vec::new(),
        })
    }

    fn sample_texts(&self, column: usize) -> Result<Vec<Vec<u8>>, SourceError> {
        Ok(match (self.sample)(column)? {
            Some(Cells::Texts(values, validity)) => {
                let valid = (0..values.len()).filter(|&row| is_valid(validity.as_ref(), row));
                valid.map(|row| values[row].data().to_vec()).collect()
            }
            _ => Vec::new(),
        })
    }

    fn time_column(&self, free: &[usize]) -> Result<usize, SourceError> {
        const WANTED: &str =
            "times: those are timestamps, dates, integers that count from 1970, and texts in ISO 8601";
        if let Some(column) = &self.options.time_column {
            let column = self.find("time_column", column)?;
            return match self.content(column) {
                Content::Timestamp { .. } | Content::Int96 | Content::Date | Content::Text => Ok(column),
                content if content.is_integer() => Ok(column),
                _ => Err(self.wrong_type(column, WANTED)),
            };
        }
        let of = |fits: &dyn Fn(Content) -> bool| -> Vec<usize> {
            free.iter().copied().filter(|&column| fits(self.content(column))).collect()
        };
        let index: Vec<usize> = self
            .hints
            .index
            .iter()
            .filter_map(|name| free.iter().copied().find(|&column| self.fields[column].title == *name))
            .collect();
        let stamps = of(&Content::is_time);
        let dates = of(&|content| content == Content::Date);
        let typed = if stamps.is_empty() { dates } else { stamps };
        if let Some(&column) = index.iter().find(|column| typed.contains(column)) {
            return Ok(column);
        }
        match *typed {
            [one] => return Ok(one),
            [first, second, ..] => {
                return self.named(&typed, &TIME_NAMES).ok_or_else(|| {
                    let (first, second) = (column(self.fields, first), column(self.fields, second));
                    self.error(TableProblem::SeveralTimeColumns { first, second })
                });
            }
            [] => {}
        }
        // No type says so: texts and integers may, by the index of a data frame, their names, or their first cells.
        let texts = of(&|content| content == Content::Text);
        let ints = of(&Content::is_integer);
        let in_index: Vec<usize> =
            index.iter().copied().filter(|column| texts.contains(column) || ints.contains(column)).collect();
        for column in in_index {
            if self.holds_times(column)? {
                return Ok(column);
            }
        }
        if let Some(column) = self.named(&texts, &TIME_NAMES).or_else(|| self.named(&ints, &TIME_NAMES)) {
            return Ok(column);
        }
        for &column in
            texts.iter().take(SAMPLE_COLUMNS).chain(ints.first().filter(|first| free.first() == Some(first)))
        {
            if self.holds_times(column)? {
                return Ok(column);
            }
        }
        let counts = self.options.begin.is_some() && self.options.period.is_some();
        let is_count = |column: &usize| counts && plain(&self.fields[*column].title) == "index";
        if let Some(&column) = ints.iter().find(|column| is_count(column)) {
            return Ok(column);
        }
        if let Some(column) = self.named(&of(&Content::is_number), &TIME_NAMES) {
            return Err(self.wrong_type(column, WANTED));
        }
        Err(self.error(TableProblem::NoTimeColumn { columns: self.list() }))
    }

    /// Whether the first cells of a column of texts or integers can hardly be anything but times.
    fn holds_times(&self, column: usize) -> Result<bool, SourceError> {
        if self.content(column) == Content::Text {
            let texts = self.sample_texts(column)?;
            let format = match &self.options.time_format {
                TimeFormat::Custom(format) => TimeFormat::Custom(format.clone()),
                _ => TimeFormat::Iso,
            };
            let mut reader = TimeReader::new(format, Zone::new(None)?, None, None, false);
            return Ok(!texts.is_empty() && texts.iter().all(|text| reader.read(text).is_ok()));
        }
        let ints = self.sample_ints(column)?;
        let explicit =
            !matches!(self.options.time_format, TimeFormat::Auto | TimeFormat::Iso | TimeFormat::Custom(_));
        Ok(explicit
            || (unix_unit(ints.iter().copied()).is_some() && ints.is_sorted() && ints.first() < ints.last()))
    }

    fn time_format(&self, time: usize) -> Result<TimeFormat, SourceError> {
        let content = self.content(time);
        let format = match &self.options.time_format {
            TimeFormat::Auto if content.is_integer() => self.recognize_integers(time)?,
            TimeFormat::Auto => TimeFormat::Iso,
            format => format.clone(),
        };
        let is_typed = !content.is_integer() && content != Content::Text;
        if format == TimeFormat::Index && !is_typed {
            let missing = match self.options {
                ParquetOptions { begin: None, .. } => Some("begin"),
                ParquetOptions { period: None, .. } => Some("period"),
                _ => None,
            };
            if let Some(missing) = missing {
                return Err(self.error(TableProblem::NoBegin { missing, from_comments: false }));
            }
        }
        Ok(format)
    }

    fn recognize_integers(&self, time: usize) -> Result<TimeFormat, SourceError> {
        let counts = self.options.begin.is_some() && self.options.period.is_some();
        if counts && plain(&self.fields[time].title) == "index" {
            return Ok(TimeFormat::Index);
        }
        let ints = self.sample_ints(time)?;
        match unix_unit(ints.iter().copied()) {
            Some(format) => Ok(format),
            None if ints.is_empty() => Ok(TimeFormat::UnixS),
            None => {
                let text =
                    RowError::excerpt(ints.first().copied().unwrap_or_default().to_string().as_bytes());
                Err(self.error(TableProblem::UnclearNumbers { column: column(self.fields, time), text }))
            }
        }
    }

    fn roles(&self, time: usize, rest: &[usize]) -> Result<Roles, SourceError> {
        let mut chosen = Vec::new();
        for wanted in &self.options.value_columns {
            let value = self.find("value_columns", wanted)?;
            if value == time {
                let (first, second) = ("time_column", "value_columns");
                return Err(self.error(TableProblem::SameColumn {
                    column: column(self.fields, time),
                    first,
                    second,
                }));
            }
            if !self.content(value).is_number() {
                return Err(self.wrong_type(value, "values"));
            }
            if !chosen.contains(&value) {
                chosen.push(value);
            }
        }
        let numbers: Vec<usize> =
            rest.iter().copied().filter(|&column| self.content(column).is_number()).collect();
        let names: Vec<usize> = rest.iter().copied().filter(|&column| self.may_name_series(column)).collect();
        let is_long = match self.options.layout {
            Some(layout) => layout == Layout::Long,
            None if self.options.series_column.is_some() => true,
            None => chosen.is_empty() && self.is_long(&names, &numbers),
        };
        if is_long {
            return self.long_roles(time, rest, &names, &chosen);
        }
        let values = if chosen.is_empty() { numbers } else { chosen };
        if values.is_empty() {
            return Err(self.error(TableProblem::NoValues));
        }
        let mut titles: Vec<(&str, usize)> =
            values.iter().map(|&column| (&*self.fields[column].title, column)).collect();
        titles.sort_unstable();
        if let Some([(name, first), (_, second)]) = titles.array_windows().find(|[(a, _), (b, _)]| a == b) {
            let (name, first, second) = ((*name).to_owned(), first + 1, second + 1);
            return Err(self.error(TableProblem::SameName { name, first, second }));
        }
        Ok(Roles::Wide { values })
    }

    fn may_name_series(&self, column: usize) -> bool {
        self.content(column) == Content::Text || self.content(column).is_integer()
    }

    /// Whether names say that a column names the series of rows and another one has their values, or one such column of
    /// text stands beside a single one of numbers.
    fn is_long(&self, names: &[usize], numbers: &[usize]) -> bool {
        let Some(series) = self.named(names, &SERIES_NAMES) else { return false };
        let others: Vec<usize> = numbers.iter().copied().filter(|&column| column != series).collect();
        self.named(&others, &VALUE_NAMES).is_some()
            || (self.content(series) == Content::Text && others.len() == 1)
    }

    fn long_roles(
        &self,
        time: usize,
        rest: &[usize],
        names: &[usize],
        chosen: &[usize],
    ) -> Result<Roles, SourceError> {
        let only = |columns: &[usize], fits: &dyn Fn(usize) -> bool| {
            let mut fitting = columns.iter().copied().filter(|&column| fits(column));
            let first = fitting.next();
            first.filter(|_| fitting.next().is_none())
        };
        let missing =
            |what, option| self.error(TableProblem::LongColumn { what, option, columns: self.list() });
        let free: Vec<usize> = names.iter().copied().filter(|column| !chosen.contains(column)).collect();
        let series = match &self.options.series_column {
            Some(column) => self.find("series_column", column)?,
            None => self
                .named(&free, &SERIES_NAMES)
                .or_else(|| only(&free, &|column| self.content(column) == Content::Text))
                .ok_or_else(|| missing("names of series", "series_column"))?,
        };
        if series != time && !self.may_name_series(series) {
            return Err(self.wrong_type(series, "names of series: those are texts or integers"));
        }
        let numbers: Vec<usize> = rest
            .iter()
            .copied()
            .filter(|&column| column != series && self.content(column).is_number())
            .collect();
        let value = match chosen {
            [value, ..] => *value,
            [] => self
                .named(&numbers, &VALUE_NAMES)
                .or_else(|| only(&numbers, &|_| true))
                .ok_or_else(|| missing("values", "value_columns"))?,
        };
        if let Some(first) = clash(series, time, value) {
            let (column, second) = (column(self.fields, series), "series_column");
            return Err(self.error(TableProblem::SameColumn { column, first, second }));
        }
        let texts: Vec<usize> = rest
            .iter()
            .copied()
            .filter(|&column| column != series && self.content(column) == Content::Text)
            .collect();
        Ok(Roles::Long { series, value, unit: self.named(&texts, &UNIT_NAMES) })
    }
}
