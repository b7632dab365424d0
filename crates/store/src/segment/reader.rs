//! Reading a segment.

use std::collections::VecDeque;
use std::mem;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::column::reader::ColumnReaderImpl;
use parquet::data_type::{BoolType, DataType as ParquetType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use parquet::file::page_index::offset_index::PageLocation;
use parquet::file::reader::SerializedPageReader;
use parquet::schema::types::ColumnDescPtr;
use sheaf_model::{DataType, Values};

use super::blocks::{BlockFile, Window};
use super::column::{BATCH, Column};
use super::native::Native;
use super::pages::{Chunk, PageBuffer};
use super::{BLOCK_BYTES, ESTIMATED, Numbering, SERIES, START, SegmentError, SegmentFacts, VALUE};
use crate::disk::Disk;
use crate::rows::{Rows, Starts, set_bit, with_values, zeros};

/// How the starts of rows are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StartsOf {
    /// From the first row and the step to the next: the column is not touched.
    Grid {
        /// Start of the first row that is read.
        first_ticks: i64,
        /// From a row to the next; positive.
        step_ticks: i64,
    },
    /// From the column, whose numbers mean this if they count slots.
    Column(Numbering),
}

/// Reads one segment. The footer and the offset index are read once; all else is read when it is asked for, and
/// verified each time.
#[derive(Debug)]
pub(crate) struct SegmentReader {
    file: Arc<BlockFile>,
    metadata: ParquetMetaData,
    data_type: DataType,
    has_estimated: bool,
    /// Whether starts are numbers of slots; otherwise they are ticks.
    counts_slots: bool,
    /// First row of each row group, and the number of all rows.
    group_starts: Vec<u64>,
}

impl SegmentReader {
    /// Opens a file of which the manifest knows these facts.
    ///
    /// # Errors
    /// There is none, it is damaged, or not the one the facts are about.
    pub(crate) fn open(
        disk: &dyn Disk,
        name: &str,
        facts: &SegmentFacts,
    ) -> Result<SegmentReader, SegmentError> {
        let file = Arc::new(BlockFile::open(disk, name, facts.bytes, &facts.block_sums)?);
        let parquet = |error| SegmentError::from_parquet(file.name(), error);
        // The footer of most files lies in the last block, their offset index in front of it.
        let window = Window::read(&file, facts.bytes.saturating_sub(BLOCK_BYTES as u64)..facts.bytes)?;
        let metadata = ParquetMetaDataReader::new()
            .with_offset_index_policy(PageIndexPolicy::Required)
            .parse_and_finish(&window)
            .map_err(parquet)?;
        let mismatch = |what, found: String, expected: String| SegmentError::Mismatch {
            file: file.name().to_owned(),
            what,
            found,
            expected,
        };
        let found = metadata.file_metadata().schema_descr();
        // Files of format 1 have ticks throughout.
        let has_ticks = found.columns().get(START).is_some_and(|column| column.name() == "start");
        let start = if has_ticks { "start" } else { super::start_column(facts.has_estimated) };
        let schema = super::schema(facts.data_type, start, facts.has_estimated).map_err(parquet)?;
        let expected = parquet::schema::types::SchemaDescriptor::new(Arc::clone(&schema));
        if found.columns() != expected.columns() {
            let names = |columns: &[ColumnDescPtr]| {
                let columns =
                    columns.iter().map(|column| format!("{} {}", column.name(), column.physical_type()));
                columns.collect::<Vec<_>>().join(", ")
            };
            return Err(mismatch("columns:", names(found.columns()), names(expected.columns())));
        }
        let mut group_starts = vec![0_u64];
        for group in metadata.row_groups() {
            let before = group_starts.last().copied().unwrap_or_default();
            group_starts.push(before + u64::try_from(group.num_rows()).unwrap_or_default());
        }
        let rows = group_starts.last().copied().unwrap_or_default();
        if rows != facts.rows {
            return Err(mismatch("rows:", rows.to_string(), facts.rows.to_string()));
        }
        check_pages(&metadata).map_err(parquet)?;
        Ok(SegmentReader {
            metadata,
            data_type: facts.data_type,
            has_estimated: facts.has_estimated,
            counts_slots: !has_ticks,
            group_starts,
            file,
        })
    }

    /// The rows of this range, as many of them as there are in it. Only pages with rows in it are touched.
    ///
    /// # Errors
    /// There are no such rows, the file is damaged, or the disk fails.
    pub(crate) fn read(
        &self,
        rows: Range<u64>,
        starts: StartsOf,
        buffer: &mut PageBuffer,
    ) -> Result<Rows, SegmentError> {
        self.check_range(&rows)?;
        let mut values = zeros(self.data_type, 0);
        let mut validity = None;
        with_values!(&mut values, values => {
            values.reserve_exact((rows.end - rows.start) as usize);
            self.append_values(&rows, values, 0, &mut validity, buffer)?;
        });
        let starts = match starts {
            StartsOf::Grid { first_ticks, step_ticks } => Starts::Grid { first_ticks, step_ticks },
            StartsOf::Column(numbering) => Starts::Listed(self.starts(&rows, numbering)?),
        };
        Ok(Rows { starts, values, validity, estimated: self.estimated(&rows)? })
    }

    /// The values of these rows in place of `values`, from `at` on. What is behind them is whatever it is. `validity` has
    /// bits for all values once one is missing that can't be told from others; before, all have been valid.
    ///
    /// # Errors
    /// `values` are of another type. There are no such rows, the file is damaged, or the disk fails.
    pub(crate) fn read_values(
        &self,
        rows: Range<u64>,
        values: &mut Values,
        at: usize,
        validity: &mut Option<Vec<u64>>,
        buffer: &mut PageBuffer,
    ) -> Result<(), SegmentError> {
        self.check_range(&rows)?;
        if values.data_type() != self.data_type {
            return Err(SegmentError::DataType {
                file: self.file.name().to_owned(),
                expected: self.data_type,
                found: values.data_type(),
            });
        }
        with_values!(values, values => self.append_values(&rows, values, at, validity, buffer))
    }

    /// Values behind the first `at` of these.
    fn append_values<N: Native>(
        &self,
        rows: &Range<u64>,
        values: &mut Vec<N>,
        at: usize,
        validity: &mut Option<Vec<u64>>,
        buffer: &mut PageBuffer,
    ) -> Result<(), SegmentError> {
        // A missing float is a NaN, which says enough.
        let is_ambiguous = !self.data_type.is_float();
        let mut column = Column::new(mem::take(values), at, validity.take(), N::MISSING, is_ambiguous);
        let read = self.each_group(rows, |group, rows| {
            let index = self.metadata.page_index_for_row_group(group);
            let locations = index.page_locations(VALUE).ok_or_else(|| invalid("no offset index"))?;
            let metadata = self.metadata.row_group(group).column(VALUE);
            let chunk = Chunk { file: &self.file, metadata, locations };
            for (page, page_rows, rows) in pages_of(locations, self.group_rows(group), rows).1 {
                buffer.append(chunk, page, page_rows, rows, &mut column)?;
            }
            Ok(())
        });
        (*values, *validity) = column.into_memory();
        read
    }

    /// Series and starts of the rows of this range.
    ///
    /// # Errors
    /// There are no such rows, the file is damaged, or the disk fails.
    pub(crate) fn keys(
        &self,
        rows: Range<u64>,
        numbering: Numbering,
    ) -> Result<(Vec<i64>, Vec<i64>), SegmentError> {
        self.check_range(&rows)?;
        let series = self.required::<Int64Type>(SERIES, &rows)?;
        Ok((series, self.starts(&rows, numbering)?))
    }

    /// Starts of the rows of this range in ticks.
    fn starts(&self, rows: &Range<u64>, numbering: Numbering) -> Result<Vec<i64>, SegmentError> {
        let mut starts = self.required::<Int64Type>(START, rows)?;
        if self.counts_slots && numbering != Numbering::TICKS {
            for start in &mut starts {
                *start = numbering.ticks(*start).ok_or_else(|| SegmentError::Mismatch {
                    file: self.file.name().to_owned(),
                    what: "a row in slot",
                    found: start.to_string(),
                    expected: "one that starts before the end of time".to_owned(),
                })?;
            }
        }
        Ok(starts)
    }

    /// Reads all there is: every block is as it was written, and every row of every column can be decoded.
    ///
    /// # Errors
    /// The file is damaged, or the disk fails.
    pub(crate) fn verify(&self) -> Result<(), SegmentError> {
        let step = 16 * BLOCK_BYTES as u64;
        let mut at = 0;
        while at < self.file.bytes() {
            let end = self.file.bytes().min(at + step);
            self.file.read(at..end)?;
            at = end;
        }
        let mut buffer = PageBuffer::default();
        for group in self.group_starts.windows(2) {
            let rows = group[0]..group[1];
            self.keys(rows.clone(), Numbering::TICKS)?;
            self.read(rows, StartsOf::Grid { first_ticks: 0, step_ticks: 1 }, &mut buffer)?;
        }
        Ok(())
    }

    fn check_range(&self, rows: &Range<u64>) -> Result<(), SegmentError> {
        let len = self.group_starts.last().copied().unwrap_or_default();
        if rows.start > rows.end || rows.end > len {
            return Err(SegmentError::NoSuchRows {
                file: self.file.name().to_owned(),
                rows: rows.clone(),
                len,
            });
        }
        Ok(())
    }

    fn estimated(&self, rows: &Range<u64>) -> Result<Option<Vec<u64>>, SegmentError> {
        if !self.has_estimated {
            return Ok(None);
        }
        let flags = self.required::<BoolType>(ESTIMATED, rows)?;
        if !flags.contains(&true) {
            return Ok(None);
        }
        let mut words = vec![0; flags.len().div_ceil(64)];
        for (index, _) in flags.iter().enumerate().filter(|(_, flag)| **flag) {
            set_bit(&mut words, index);
        }
        Ok(Some(words))
    }

    /// The rows of this range of a column in which none is missing.
    fn required<P: ParquetType>(&self, column: usize, rows: &Range<u64>) -> Result<Vec<P::T>, SegmentError> {
        let mut out = Vec::with_capacity((rows.end - rows.start) as usize);
        self.each_group(rows, |group, rows| self.required_chunk::<P>(group, column, rows, &mut out))?;
        Ok(out)
    }

    /// Appends rows of a column chunk in which none is missing.
    fn required_chunk<P: ParquetType>(
        &self,
        group: usize,
        column: usize,
        rows: Range<usize>,
        out: &mut Vec<P::T>,
    ) -> Result<(), ParquetError> {
        let metadata = self.metadata.row_group(group).column(column);
        let index = self.metadata.page_index_for_row_group(group);
        let locations = index.page_locations(column).ok_or_else(|| invalid("no offset index"))?;
        let row_count = self.group_rows(group);
        let (numbers, pages) = pages_of(locations, row_count, rows);
        // All pages with any of the rows are read at once and decoded one by one.
        let window = Window::read(&self.file, bytes_of(metadata, locations, numbers.clone())?)
            .map_err(|error| ParquetError::External(Box::new(error)))?;
        let locations_read = Some(locations.to_vec());
        let mut reader = SerializedPageReader::new(Arc::new(window), metadata, row_count, locations_read)?;
        let feed = Feed::default();
        let mut decoder = ColumnReaderImpl::<P>::new(metadata.column_descr_ptr(), Box::new(feed.clone()));
        if metadata.dictionary_page_offset().is_some() {
            feed.add(reader.get_next_page()?.ok_or_else(|| invalid("no dictionary"))?);
        }
        for _ in 0..numbers.start {
            reader.skip_next_page()?;
        }
        for (_, page_rows, rows) in pages {
            let page = reader.get_next_page()?.ok_or_else(|| invalid("a page is missing"))?;
            if page.num_values() as usize != page_rows {
                return Err(invalid("a page header contradicts the offset index"));
            }
            feed.add(page);
            // Of a page with values, all to the end of it are read, or else it is the last one.
            if decoder.skip_records(rows.start)? != rows.start {
                return Err(invalid("a page has too few values"));
            }
            read_exactly(&mut decoder, rows.len(), out)?;
        }
        Ok(())
    }

    /// Calls `read` with each row group that has rows of this range, and with these rows, counted from its first.
    fn each_group(
        &self,
        rows: &Range<u64>,
        mut read: impl FnMut(usize, Range<usize>) -> Result<(), ParquetError>,
    ) -> Result<(), SegmentError> {
        let mut row = rows.start;
        let mut group = self.group_starts.partition_point(|start| *start <= row).saturating_sub(1);
        while row < rows.end {
            let (begin, end) = (self.group_starts[group], self.group_starts[group + 1].min(rows.end));
            if row < end {
                read(group, (row - begin) as usize..(end - begin) as usize)
                    .map_err(|error| SegmentError::from_parquet(self.file.name(), error))?;
                row = end;
            }
            group += 1;
        }
        Ok(())
    }

    fn group_rows(&self, group: usize) -> usize {
        (self.group_starts[group + 1] - self.group_starts[group]) as usize
    }
}

/// Which pages have rows of this range of a chunk; of each its number, how many rows it has, and those that are wanted.
fn pages_of(
    locations: &[PageLocation],
    chunk_rows: usize,
    rows: Range<usize>,
) -> (Range<usize>, impl Iterator<Item = (usize, usize, Range<usize>)>) {
    let first =
        locations.partition_point(|page| page.first_row_index as usize <= rows.start).saturating_sub(1);
    let end = locations.partition_point(|page| (page.first_row_index as usize) < rows.end);
    let pages = (first..end).map(move |page| {
        let begin = locations[page].first_row_index as usize;
        let next = locations.get(page + 1).map_or(chunk_rows, |page| page.first_row_index as usize);
        (page, next - begin, rows.start.max(begin) - begin..rows.end.min(next) - begin)
    });
    (first..end, pages)
}

/// That the pages of each column chunk follow each other and are not beyond its rows.
fn check_pages(metadata: &ParquetMetaData) -> Result<(), ParquetError> {
    for (number, group) in metadata.row_groups().iter().enumerate() {
        let index = metadata.page_index_for_row_group(number);
        for column in 0..group.num_columns() {
            let pages = index.page_locations(column).ok_or_else(|| invalid("no offset index"))?;
            let rows = pages.iter().map(|page| page.first_row_index);
            let is_right = rows.clone().next().unwrap_or_default() == 0
                && (pages.is_empty() == (group.num_rows() == 0))
                && rows.clone().is_sorted_by(|a, b| a < b)
                && rows.clone().all(|row| row < group.num_rows());
            if !is_right {
                return Err(invalid("the offset index has pages in no order, or beyond the rows"));
            }
        }
    }
    Ok(())
}

/// Where these pages lie, with the dictionary if it is next to them.
fn bytes_of(
    metadata: &ColumnChunkMetaData,
    locations: &[PageLocation],
    pages: Range<usize>,
) -> Result<Range<u64>, ParquetError> {
    let [first, ..] = &locations[pages.clone()] else {
        return Err(invalid("the offset index has too few pages"));
    };
    let start = if pages.start == 0 { metadata.byte_range().0 } else { u64::try_from(first.offset)? };
    let last = &locations[pages.end - 1];
    let end = u64::try_from(last.offset)? + u64::try_from(last.compressed_page_size)?;
    Ok(start..end)
}

/// Appends so many values, some at a time: the decoder clears the memory before it fills it, which is for free while it
/// is in the fastest cache.
fn read_exactly<P: ParquetType>(
    decoder: &mut ColumnReaderImpl<P>,
    count: usize,
    values: &mut Vec<P::T>,
) -> Result<(), ParquetError> {
    let mut left = count;
    while left > 0 {
        let read = decoder.read_records(left.min(BATCH), None, None, values)?.1;
        if read == 0 {
            return Err(invalid("a page has too few values"));
        }
        left -= read;
    }
    Ok(())
}

fn invalid(what: &str) -> ParquetError {
    ParquetError::General(what.to_owned())
}

/// Pages for a decoder, one at a time.
#[derive(Clone, Default)]
struct Feed(Arc<Mutex<VecDeque<Page>>>);

impl Feed {
    fn pages(&self) -> std::sync::MutexGuard<'_, VecDeque<Page>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, page: Page) {
        self.pages().push_back(page);
    }
}

impl Iterator for Feed {
    type Item = Result<Page, ParquetError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl PageReader for Feed {
    fn get_next_page(&mut self) -> Result<Option<Page>, ParquetError> {
        Ok(self.pages().pop_front())
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>, ParquetError> {
        Ok(self.pages().front().map(|page| {
            let values = page.num_values() as usize;
            let is_dict = page.is_dictionary_page();
            let values = (!is_dict).then_some(values);
            PageMetadata { num_rows: values, num_levels: values, is_dict }
        }))
    }

    fn skip_next_page(&mut self) -> Result<(), ParquetError> {
        self.pages().pop_front();
        Ok(())
    }
}
