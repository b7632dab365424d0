//! Reads a file, batch by batch.

use std::fmt;
use std::sync::Arc;

use parquet::file::metadata::ParquetMetaData;
use rayon::prelude::*;

use super::column::CellReader;
use super::detect::detect;
use super::file::ParquetFile;
use super::options::ParquetOptions;
use super::page::Budget;
use crate::cells::{Assembler, Cells, rows_of_batch};
use crate::error::SourceError;
use crate::input::Input;
use crate::table::{Batch, Column, Metadata, Place, Summary, Table};

/// So few values are decoded before another thread is awake.
const FEW_VALUES: usize = 1 << 14;

/// Reads a Parquet file as batches of samples.
///
/// A file is one table: wide, with a column for each series, or long, with columns of series, time and value. What
/// [`ParquetOptions`] leave open is recognized, and [`Table::summary`] says how:
///
/// - Times are timestamps or dates by their type; else the index of a data frame, a column with a usual name, or one whose
///   first cells can hardly be anything else: texts in ISO 8601, or integers that count from 1970. Floats never are.
/// - Values are integers, floats, decimals and truth values. All other columns are left out, and listed.
/// - Units are in titles, like `T1 (°C)`, in the metadata of Arrow fields (`unit`), or of data frames.
///
/// Integers stay integers; unsigned ones beyond 64 bits and decimals with digits after the point are floats, correctly
/// rounded. A null and NaN are missing. The zone of local timestamps, wall times that occur twice, and rows that are
/// wrong are dealt with as in delimited text, see [`CsvReader`](crate::CsvReader).
///
/// Memory is bounded whatever the file says of itself: at a time there is one page of each column that is read, 1 GiB of
/// them at most, and one batch. Columns are decoded in parallel. A damaged file gives an error; as most writers add no
/// checksums, a flipped bit may also give another value.
pub struct ParquetReader {
    file: Arc<ParquetFile>,
    metadata: Arc<ParquetMetaData>,
    assembler: Assembler,
    budget: Budget,
    /// The row group at hand, its columns as the plan lists them, and rows that are left of it.
    group: usize,
    cells: Vec<CellReader>,
    group_rows_left: u64,
    /// Rows before the next one.
    row: u64,
    rows_in_file: u64,
    finished: bool,
}

impl fmt::Debug for ParquetReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParquetReader")
            .field("input", &self.file.name())
            .field("summary", &self.assembler.summary)
            .finish_non_exhaustive()
    }
}

impl ParquetReader {
    /// Opens an input and finds out what its columns mean. A stream is read to its end for that.
    ///
    /// # Errors
    /// The input can't be opened, is no Parquet file or a damaged one, options can't be, or columns could be read in two
    /// ways.
    pub fn open(input: Input, options: ParquetOptions) -> Result<ParquetReader, SourceError> {
        options.check()?;
        let file = Arc::new(ParquetFile::open(input)?);
        let metadata = Arc::new(file.metadata()?);
        let rows_in_file = check_rows(&file, &metadata)?;
        let plan = detect(&file, &metadata, &options)?;
        let groups = metadata.num_row_groups();
        let more = format!(", {groups} row group{}", if groups == 1 { "" } else { "s" });
        let assembler = Assembler::new(file.name(), plan, &options, &more)?;
        Ok(ParquetReader {
            file,
            metadata,
            assembler,
            budget: Budget::default(),
            group: 0,
            cells: Vec::new(),
            group_rows_left: 0,
            row: 0,
            rows_in_file,
            finished: false,
        })
    }

    fn read_batch(&mut self) -> Result<Option<Batch>, SourceError> {
        loop {
            if self.group_rows_left == 0 && !self.next_group()? {
                return Ok(None);
            }
            let first_row = self.row + 1;
            let cells = self.read_cells()?;
            let batch = self.assembler.batch(first_row, cells)?;
            if !batch.is_empty() {
                return Ok(Some(batch));
            }
        }
    }

    /// Opens the columns of the next row group that has rows.
    fn next_group(&mut self) -> Result<bool, SourceError> {
        self.cells.clear();
        let metadata = Arc::clone(&self.metadata);
        while let Some(group) = metadata.row_groups().get(self.group) {
            self.group += 1;
            let rows = u64::try_from(group.num_rows()).unwrap_or_default();
            if rows == 0 {
                continue;
            }
            for column in self.assembler.plan.columns() {
                let (field, content) =
                    (&self.assembler.plan.fields[column], self.assembler.plan.content(column));
                let chunk =
                    group.columns().get(field.leaf).ok_or_else(|| "there is no such column".to_owned());
                let cells =
                    chunk.and_then(|chunk| CellReader::open(&self.file, chunk, content, &self.budget));
                self.cells.push(cells.map_err(|problem| self.unreadable(column, problem))?);
            }
            self.group_rows_left = rows;
            return Ok(true);
        }
        Ok(false)
    }

    /// The next cells of all columns that are read, as the plan lists them.
    fn read_cells(&mut self) -> Result<Vec<Cells>, SourceError> {
        let most = rows_of_batch(self.cells.len());
        let rows = most.min(usize::try_from(self.group_rows_left).unwrap_or(usize::MAX));
        let is_last = rows as u64 == self.group_rows_left;
        let read = |cells: &mut CellReader| cells.read(rows, is_last);
        let cells: Vec<Result<Cells, String>> = if rows * self.cells.len() < FEW_VALUES {
            self.cells.iter_mut().map(read).collect()
        } else {
            self.cells.par_iter_mut().map(read).collect()
        };
        let mut all = Vec::with_capacity(cells.len());
        for (column, cells) in self.assembler.plan.columns().into_iter().zip(cells) {
            all.push(cells.map_err(|problem| self.unreadable(column, problem))?);
        }
        self.group_rows_left -= rows as u64;
        self.row += rows as u64;
        Ok(all)
    }

    fn unreadable(&self, column: usize, problem: String) -> SourceError {
        self.assembler.unreadable(self.row + 1, column, problem)
    }
}

impl Table for ParquetReader {
    fn name(&self) -> &str {
        self.file.name()
    }

    fn columns(&self) -> &[Column] {
        self.assembler.columns()
    }

    fn metadata(&self) -> &Metadata {
        &self.assembler.said
    }

    fn next_batch(&mut self) -> Result<Option<Batch>, SourceError> {
        if self.finished {
            return Ok(None);
        }
        let batch = self.read_batch();
        self.finished = !matches!(batch, Ok(Some(_)));
        if self.finished {
            self.cells.clear();
        }
        batch
    }

    fn summary(&self) -> Summary {
        self.assembler.summary.clone()
    }

    /// As if all rows took the same number of bytes.
    fn progress(&self) -> (u64, Option<u64>) {
        let bytes = self.file.len();
        let read = u128::from(bytes) * u128::from(self.row) / u128::from(self.rows_in_file.max(1));
        (u64::try_from(read).unwrap_or(bytes), Some(bytes))
    }

    fn place(&self) -> Place {
        Place::Row
    }
}

/// How many rows there are, if all parts of the footer agree on it.
fn check_rows(file: &ParquetFile, metadata: &ParquetMetaData) -> Result<u64, SourceError> {
    let groups = metadata.row_groups().iter().map(parquet::file::metadata::RowGroupMetaData::num_rows);
    let sum = groups.map(u64::try_from).try_fold(0_u64, |sum, rows| sum.checked_add(rows.ok()?));
    let said = metadata.file_metadata().num_rows();
    match sum {
        Some(rows) if u64::try_from(said) == Ok(rows) => Ok(rows),
        _ => Err(SourceError::Unreadable {
            input: file.name().to_owned(),
            row: None,
            column: None,
            problem: format!("the file is damaged: it says to have {said} rows, which its row groups don't"),
        }),
    }
}
