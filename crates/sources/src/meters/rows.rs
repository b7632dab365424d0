//! The small files of a loader's folder, row by row: projects, which traces they have, metadata, traces to leave out.

use std::collections::VecDeque;
use std::fmt;

use sheaf_model::Tick;

use super::text::{Text, Titles, id};
use crate::csv::{DateCache, Records, Step, decode, parse_iso};
use crate::error::{RowError, RowProblem, SourceError, TimeProblem};
use crate::input::Input;

/// Bytes of a block: few, because all its rows wait to be asked for.
const BLOCK_BYTES: usize = 64 << 10;

/// A project: a building, or what is done to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectRow {
    /// The line that it stands in, from 1.
    pub line: u64,
    /// Its id.
    pub project_id: String,
    /// Where it is; nothing if that is not said. Only looked at when weather is needed.
    pub zipcode: Option<String>,
    /// When the time before the intervention begins; nothing if as early as there are data.
    pub baseline_period_start: Option<Tick>,
    /// When it ends.
    pub baseline_period_end: Option<Tick>,
    /// When the time behind the intervention begins.
    pub reporting_period_start: Option<Tick>,
    /// When it ends; nothing if as late as there are data.
    pub reporting_period_end: Option<Tick>,
}

/// A trace belongs to a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappingRow {
    /// The line that it stands in, from 1.
    pub line: u64,
    /// The project.
    pub project_id: String,
    /// The trace.
    pub trace_id: String,
}

/// One thing that is said of a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataRow {
    /// The line that it stands in, from 1.
    pub line: u64,
    /// The project.
    pub project_id: String,
    /// What it is about.
    pub key: String,
    /// What it says, never empty.
    pub value: String,
}

/// A trace that is not to be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlacklistRow {
    /// The line that it stands in, from 1.
    pub line: u64,
    /// The trace.
    pub trace_id: String,
    /// Why, if that is said.
    pub reason: Option<String>,
}

/// A row of any table with titles: each text with the title of its column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextRow {
    /// The line that it stands in, from 1.
    pub line: u64,
    /// Titles and texts, in the order of the columns; nothing of cells without text.
    pub cells: Vec<(String, Option<String>)>,
}

/// The rows of a file. An error in a row ([`SourceError::Row`]) does not end the others; when nothing more can be read,
/// the error is the last item.
pub struct Rows<T> {
    text: Text,
    read: Box<ReadRow<T>>,
    ready: VecDeque<Result<T, SourceError>>,
    ended: bool,
}

type ReadRow<T> = dyn Fn(&Row<'_>, &mut VecDeque<Result<T, SourceError>>) -> Result<(), Box<RowError>> + Send;

impl<T> fmt::Debug for Rows<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows").field("input", &self.text.titles.input).finish_non_exhaustive()
    }
}

/// The row at hand.
struct Row<'a> {
    titles: &'a Titles,
    records: &'a Records<'a>,
    line: u64,
}

impl Row<'_> {
    fn wrong(&self, column: usize, problem: RowProblem) -> Box<RowError> {
        Box::new(self.titles.wrong(self.line, Some(column), self.records.field(column), problem))
    }

    fn text(&self, column: usize) -> Option<String> {
        let field = self.records.field(column);
        (!field.is_empty()).then(|| decode(field).0.into_owned())
    }

    fn id(&self, column: usize, what: &'static str) -> Result<String, Box<RowError>> {
        id(self.records.field(column), what).map_err(|problem| self.wrong(column, problem))?;
        Ok(decode(self.records.field(column)).0.into_owned())
    }

    /// A time; in UTC if it does not say its offset.
    fn time(&self, column: Option<usize>) -> Result<Option<Tick>, Box<RowError>> {
        let Some(column) = column.filter(|&column| !self.records.field(column).is_empty()) else {
            return Ok(None);
        };
        let problem = |problem| self.wrong(column, RowProblem::Time(problem));
        let wall = parse_iso(self.records.field(column), &mut DateCache::default()).map_err(problem)?;
        let ticks = wall.ticks - i64::from(wall.offset_s.unwrap_or(0)) * Tick::PER_SECOND;
        Tick::new(ticks).map(Some).map_err(|_| problem(TimeProblem::OutOfRange))
    }
}

impl<T> Iterator for Rows<T> {
    type Item = Result<T, SourceError>;

    fn next(&mut self) -> Option<Result<T, SourceError>> {
        while self.ready.is_empty() && !self.ended {
            self.read_block();
        }
        self.ready.pop_front()
    }
}

impl<T> Rows<T> {
    fn new(
        text: Text,
        read: impl Fn(&Row<'_>, &mut VecDeque<Result<T, SourceError>>) -> Result<(), Box<RowError>>
        + Send
        + 'static,
    ) -> Rows<T> {
        Rows { text, read: Box::new(read), ready: VecDeque::new(), ended: false }
    }

    fn read_block(&mut self) {
        let titles = &self.text.titles;
        let block = match self.text.blocks.next() {
            Ok(Some(block)) => block,
            Ok(None) => return self.ended = true,
            Err(source) => {
                let (input, line) = (titles.input.clone(), self.text.line - 1);
                self.ready.push_back(Err(SourceError::Read { input, line, source }));
                return self.ended = true;
            }
        };
        let mut records = Records::new(block.text(), titles.delimiter, None);
        let before = self.text.line - 1;
        loop {
            let row = match records.step() {
                Ok(Step::End) => break,
                Ok(Step::Nothing) => continue,
                Ok(Step::Record(line)) => {
                    let row = Row { titles, records: &records, line: line + before };
                    titles
                        .check(&records)
                        .map_err(|problem| {
                            Box::new(titles.wrong(row.line, None, records.first_line(), problem))
                        })
                        .and_then(|()| (self.read)(&row, &mut self.ready))
                }
                Err(bad) => {
                    Err(Box::new(titles.wrong(bad.line + before, None, records.first_line(), bad.problem)))
                }
            };
            if let Err(error) = row {
                self.ended = error.problem.is_fatal();
                self.ready.push_back(Err(SourceError::Row(error)));
                if self.ended {
                    return;
                }
            }
        }
        self.text.line += records.line() - 1;
        self.text.blocks.reuse(block);
    }
}

const PROJECT: [&str; 1] = ["project_id"];
const TRACE: [&str; 1] = ["trace_id"];

/// Reads any table of delimited text whose first line has titles.
///
/// # Errors
/// The file can't be read, or is empty.
pub fn read_texts(input: Input) -> Result<Rows<TextRow>, SourceError> {
    let text = Text::open(input, BLOCK_BYTES)?;
    Ok(Rows::new(text, move |row, ready| {
        let cell = |column| (row.titles.title(column).to_owned(), row.text(column));
        let cells = (0..row.titles.len()).map(cell).collect();
        ready.push_back(Ok(TextRow { line: row.line, cells }));
        Ok(())
    }))
}

/// Reads `projects/*.csv`: `project_id,zipcode,baseline_period_end,reporting_period_start`, in any order; other columns
/// are left out. Times without an offset are in UTC.
///
/// # Errors
/// The file can't be read, or has no column `project_id`.
pub fn read_projects(input: Input) -> Result<Rows<ProjectRow>, SourceError> {
    let text = Text::open(input, BLOCK_BYTES)?;
    let project = text.titles.need("`project_id`", &PROJECT)?;
    let zipcode = text.titles.find(&["zipcode", "zip_code", "zip"]);
    let times =
        ["baseline_period_start", "baseline_period_end", "reporting_period_start", "reporting_period_end"];
    let times = times.map(|time| text.titles.find(&[time]));
    Ok(Rows::new(text, move |row, ready| {
        let [baseline_start, baseline_end, reporting_start, reporting_end] = times;
        ready.push_back(Ok(ProjectRow {
            line: row.line,
            project_id: row.id(project, "id of the project")?,
            zipcode: zipcode.and_then(|column| row.text(column)),
            baseline_period_start: row.time(baseline_start)?,
            baseline_period_end: row.time(baseline_end)?,
            reporting_period_start: row.time(reporting_start)?,
            reporting_period_end: row.time(reporting_end)?,
        }));
        Ok(())
    }))
}

/// Reads `project-trace-mappings/*.csv`: `project_id,trace_id`.
///
/// # Errors
/// The file can't be read, or lacks one of the columns.
pub fn read_mappings(input: Input) -> Result<Rows<MappingRow>, SourceError> {
    let text = Text::open(input, BLOCK_BYTES)?;
    let project = text.titles.need("`project_id`", &PROJECT)?;
    let trace = text.titles.need("`trace_id`", &TRACE)?;
    Ok(Rows::new(text, move |row, ready| {
        let project_id = row.id(project, "id of the project")?;
        let trace_id = row.id(trace, "id of the trace")?;
        ready.push_back(Ok(MappingRow { line: row.line, project_id, trace_id }));
        Ok(())
    }))
}

/// Reads `project-metadata.csv`: tall with the columns `project_id`, `key` and `value` and no others, or wide with a column
/// for each key. Cells without text say nothing.
///
/// # Errors
/// The file can't be read, or has no column `project_id`.
pub fn read_metadata(input: Input) -> Result<Rows<MetadataRow>, SourceError> {
    let text = Text::open(input, BLOCK_BYTES)?;
    let project = text.titles.need("`project_id`", &PROJECT)?;
    let tall =
        text.titles.find(&["key"]).zip(text.titles.find(&["value"])).filter(|_| text.titles.len() == 3);
    Ok(Rows::new(text, move |row, ready| {
        let project_id = row.id(project, "id of the project")?;
        let item = |key: String, value: String| {
            Ok(MetadataRow { line: row.line, project_id: project_id.clone(), key, value })
        };
        if let Some((key, value)) = tall {
            let key = row.id(key, "key")?;
            ready.extend(row.text(value).map(|value| item(key, value)));
        } else {
            let keys = (0..row.titles.len()).filter(|&column| column != project);
            ready.extend(
                keys.filter_map(|column| Some(item(row.titles.title(column).to_owned(), row.text(column)?))),
            );
        }
        Ok(())
    }))
}

/// Reads `trace-blacklist.csv`: a column `trace_id`, and maybe one that says why (`reason`, `comment`, `notes`).
///
/// # Errors
/// The file can't be read, or has no column `trace_id`.
pub fn read_blacklist(input: Input) -> Result<Rows<BlacklistRow>, SourceError> {
    let text = Text::open(input, BLOCK_BYTES)?;
    let trace = text.titles.need("`trace_id`", &TRACE)?;
    let reason = text.titles.find(&["reason", "comment", "comments", "note", "notes"]);
    Ok(Rows::new(text, move |row, ready| {
        let trace_id = row.id(trace, "id of the trace")?;
        let reason = reason.and_then(|column| row.text(column));
        ready.push_back(Ok(BlacklistRow { line: row.line, trace_id, reason }));
        Ok(())
    }))
}
