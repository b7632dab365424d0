//! Delimited text with titles in its first line, cut into blocks of rows.

use crate::csv::{BadRecord, Blocks, LONGEST_NAME, Records, decode, rank};
use crate::error::{ColumnName, RowError, RowProblem, SourceError, TableProblem};
use crate::input::{Input, Opened, Progress, binary};
use crate::meters::MeterProblem;
use crate::table::Place;

/// Bytes in which the titles must be.
const HEAD_BYTES: usize = 64 << 10;

/// A text behind its titles.
pub(super) struct Text {
    pub(super) titles: Titles,
    pub(super) blocks: Blocks,
    pub(super) progress: Progress,
    /// The line that the next block begins with.
    pub(super) line: u64,
}

/// What rows are read by, and how errors name their place.
#[derive(Clone)]
pub(super) struct Titles {
    pub(super) input: String,
    pub(super) delimiter: u8,
    titles: Vec<String>,
}

impl Text {
    /// Opens an input and reads its titles. The delimiter is the one of `,`, `;`, tab and `|` that they have most of.
    pub(super) fn open(input: Input, block_bytes: usize) -> Result<Text, SourceError> {
        let Opened { name: input, progress, text, .. } = input.open()?;
        let mut blocks = Blocks::new(text, block_bytes);
        let read = |source| SourceError::Read { input: input.clone(), line: 0, source };
        let (head, _) = blocks.peek(HEAD_BYTES).map_err(read)?;
        if let Some(problem) = binary(head) {
            return Err(SourceError::NotText { input, problem });
        }
        let first =
            head.trim_ascii_start().split(|byte| matches!(byte, b'\n' | b'\r')).next().unwrap_or_default();
        let count = |delimiter: u8| first.iter().filter(|&&byte| byte == delimiter).count();
        let delimiter =
            b",;\t|".iter().copied().rev().max_by_key(|&delimiter| count(delimiter)).unwrap_or(b',');
        let mut records = Records::new(head, delimiter, None);
        let bad = |BadRecord { line, problem }| RowError {
            input: input.clone(),
            place: Place::Line,
            line,
            column: None,
            text: String::new(),
            problem,
        };
        if records.advance().map_err(bad)?.is_none() {
            return Err(SourceError::Table { input, line: None, problem: Box::new(TableProblem::Empty) });
        }
        let titles = (0..records.len()).map(|index| decode(records.field(index)).0.into_owned()).collect();
        let (body, line) = (records.position(), records.line());
        blocks.start(body, delimiter, None);
        Ok(Text { titles: Titles { input, delimiter, titles }, blocks, progress, line })
    }
}

impl Titles {
    pub(super) fn len(&self) -> usize {
        self.titles.len()
    }

    pub(super) fn title(&self, index: usize) -> &str {
        &self.titles[index]
    }

    /// The column with the first of these names that there is.
    pub(super) fn find(&self, names: &[&str]) -> Option<usize> {
        let ranked = self.titles.iter().enumerate();
        ranked.filter_map(|(index, title)| Some((rank(title, names)?, index))).min().map(|(_, index)| index)
    }

    /// The same of a column that has to be there.
    pub(super) fn need(&self, wanted: &'static str, names: &[&str]) -> Result<usize, SourceError> {
        self.find(names).ok_or_else(|| SourceError::Table {
            input: self.input.clone(),
            line: None,
            problem: Box::new(TableProblem::Meters(MeterProblem::NoColumn {
                wanted,
                columns: self.titles.iter().map(|title| format!("`{title}`")).collect::<Vec<_>>().join(", "),
            })),
        })
    }

    /// What is wrong in a line, in a column if it is one.
    pub(super) fn wrong(
        &self,
        line: u64,
        column: Option<usize>,
        text: &[u8],
        problem: RowProblem,
    ) -> RowError {
        let name = |index: usize| ColumnName { number: index + 1, title: self.titles[index].clone() };
        RowError {
            input: self.input.clone(),
            place: Place::Line,
            line,
            column: column.map(name),
            text: RowError::excerpt(text),
            problem,
        }
    }

    /// The record at hand as a row of the table: as many fields as there are titles, or one more that is empty.
    pub(super) fn check(&self, records: &Records<'_>) -> Result<(), RowProblem> {
        let (found, wanted) = (records.len(), self.titles.len());
        let fits = found == wanted || found == wanted + 1 && records.field(wanted).is_empty();
        if fits { Ok(()) } else { Err(RowProblem::Fields { found, wanted }) }
    }
}

/// An id that has to be there and may not be endless.
pub(super) fn id(field: &[u8], what: &'static str) -> Result<(), RowProblem> {
    if field.is_empty() {
        return Err(RowProblem::Missing { what });
    }
    if field.len() > LONGEST_NAME {
        return Err(RowProblem::LongName { most: LONGEST_NAME });
    }
    Ok(())
}
