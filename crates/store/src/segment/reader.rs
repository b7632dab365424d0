//! Reading a segment.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::column::reader::ColumnReaderImpl;
use parquet::data_type::{BoolType, DataType as ParquetType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use parquet::file::page_index::offset_index::PageLocation;
use parquet::file::reader::SerializedPageReader;
use parquet::schema::types::ColumnDescPtr;
use sheaf_model::{DataType, Values};

use super::bits::{copy_bits, count_bits, set_bits, word_at};
use super::blocks::{BlockFile, Window};
use super::native::Native;
use super::{BLOCK_BYTES, ESTIMATED, Numbering, SERIES, START, SegmentError, SegmentFacts, VALUE};
use crate::disk::Disk;
use crate::rows::{Rows, Starts, set_bit};

/// Values that are decoded at a time: whole vectors of ALP, and few enough for the fastest cache.
const BATCH: usize = 2048;

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
    /// The columns as required ones: we take the definition levels off before pages are decoded.
    required: Vec<ColumnDescPtr>,
    data_type: DataType,
    has_estimated: bool,
    /// Whether starts are numbers of slots; otherwise they are ticks.
    counts_slots: bool,
    /// First row of each row group, and the number of all rows.
    group_starts: Vec<u64>,
}

/// Values of a column.
struct Column<T> {
    values: Vec<T>,
    /// What `values` has where there is none.
    missing: T,
    /// Whether `missing` can also be a value, so that bits have to tell.
    is_ambiguous: bool,
    /// These bits, once anything is missing.
    validity: Option<Vec<u64>>,
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
        let required = super::required_columns(&schema).map_err(parquet)?;
        Ok(SegmentReader {
            metadata,
            required,
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
    pub(crate) fn read(&self, rows: Range<u64>, starts: StartsOf) -> Result<Rows, SegmentError> {
        self.check_range(&rows)?;
        let (values, validity) = match self.data_type {
            DataType::Uint8 => self.values::<u8>(&rows),
            DataType::Int8 => self.values::<i8>(&rows),
            DataType::Uint16 => self.values::<u16>(&rows),
            DataType::Int16 => self.values::<i16>(&rows),
            DataType::Uint32 => self.values::<u32>(&rows),
            DataType::Int32 => self.values::<i32>(&rows),
            DataType::Uint64 => self.values::<u64>(&rows),
            DataType::Int64 => self.values::<i64>(&rows),
            DataType::Float32 => self.values::<f32>(&rows),
            DataType::Float64 => self.values::<f64>(&rows),
        }?;
        let starts = match starts {
            StartsOf::Grid { first_ticks, step_ticks } => Starts::Grid { first_ticks, step_ticks },
            StartsOf::Column(numbering) => Starts::Listed(self.starts(&rows, numbering)?),
        };
        Ok(Rows { starts, values, validity, estimated: self.estimated(&rows)? })
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
        let series = self.column::<Int64Type>(SERIES, &rows, 0, false)?.values;
        Ok((series, self.starts(&rows, numbering)?))
    }

    /// Starts of the rows of this range in ticks.
    fn starts(&self, rows: &Range<u64>, numbering: Numbering) -> Result<Vec<i64>, SegmentError> {
        let mut starts = self.column::<Int64Type>(START, rows, 0, false)?.values;
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
        for group in self.group_starts.windows(2) {
            let rows = group[0]..group[1];
            self.keys(rows.clone(), Numbering::TICKS)?;
            self.read(rows, StartsOf::Grid { first_ticks: 0, step_ticks: 1 })?;
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

    fn values<N: Native>(&self, rows: &Range<u64>) -> Result<(Values, Option<Vec<u64>>), SegmentError>
    where
        Values: From<Vec<N>>,
    {
        // A missing float is a NaN, which says enough.
        let is_ambiguous = !self.data_type.is_float();
        let column = self.column::<N::Parquet>(VALUE, rows, N::MISSING.physical(), is_ambiguous)?;
        Ok((N::from_physical(column.values).into(), column.validity))
    }

    fn estimated(&self, rows: &Range<u64>) -> Result<Option<Vec<u64>>, SegmentError> {
        if !self.has_estimated {
            return Ok(None);
        }
        let flags = self.column::<BoolType>(ESTIMATED, rows, false, false)?.values;
        if !flags.contains(&true) {
            return Ok(None);
        }
        let mut words = vec![0; flags.len().div_ceil(64)];
        for (index, _) in flags.iter().enumerate().filter(|(_, flag)| **flag) {
            set_bit(&mut words, index);
        }
        Ok(Some(words))
    }

    /// The rows of this range of one column.
    fn column<P: ParquetType>(
        &self,
        column: usize,
        rows: &Range<u64>,
        missing: P::T,
        is_ambiguous: bool,
    ) -> Result<Column<P::T>, SegmentError>
    where
        P::T: Copy,
    {
        let len = (rows.end - rows.start) as usize;
        let mut out = Column { values: Vec::with_capacity(len), missing, is_ambiguous, validity: None };
        let mut group = self.group_starts.partition_point(|start| *start <= rows.start).saturating_sub(1);
        while out.values.len() < len {
            let (begin, end) = (self.group_starts[group], self.group_starts[group + 1]);
            let range = rows.start.max(begin) - begin..rows.end.min(end) - begin;
            if !range.is_empty() {
                let range = range.start as usize..range.end as usize;
                self.chunk::<P>(group, column, range, &mut out)
                    .map_err(|error| SegmentError::from_parquet(self.file.name(), error))?;
            }
            group += 1;
        }
        Ok(out)
    }

    /// Appends rows of a column chunk. All pages with any of them are read at once and decoded one by one.
    fn chunk<P: ParquetType>(
        &self,
        group: usize,
        column: usize,
        rows: Range<usize>,
        out: &mut Column<P::T>,
    ) -> Result<(), ParquetError>
    where
        P::T: Copy,
    {
        let metadata = self.metadata.row_group(group).column(column);
        let index = self.metadata.page_index_for_row_group(group);
        let locations = index.page_locations(column).ok_or_else(|| invalid("no offset index"))?;
        let row_count = (self.group_starts[group + 1] - self.group_starts[group]) as usize;
        let first =
            locations.partition_point(|page| page.first_row_index as usize <= rows.start).saturating_sub(1);
        let end = locations.partition_point(|page| (page.first_row_index as usize) < rows.end);
        let window = Window::read(&self.file, bytes_of(metadata, locations, first..end)?)
            .map_err(|error| ParquetError::External(Box::new(error)))?;
        let locations_read = Some(locations.clone());
        let mut pages = SerializedPageReader::new(Arc::new(window), metadata, row_count, locations_read)?;
        let feed = Feed::default();
        let mut decoder =
            ColumnReaderImpl::<P>::new(Arc::clone(&self.required[column]), Box::new(feed.clone()));
        if metadata.dictionary_page_offset().is_some() {
            feed.add(pages.get_next_page()?.ok_or_else(|| invalid("no dictionary"))?);
        }
        for _ in 0..first {
            pages.skip_next_page()?;
        }
        for page in first..end {
            let begin = locations[page].first_row_index as usize;
            let next = locations.get(page + 1).map_or(row_count, |page| page.first_row_index as usize);
            let range = rows.start.max(begin) - begin..rows.end.min(next) - begin;
            let page = pages.get_next_page()?.ok_or_else(|| invalid("a page is missing"))?;
            let (page, levels) = required_page(page, next - begin)?;
            let present = levels.as_deref().map_or(range.len(), |levels| count_bits(levels, range.clone()));
            // Of a page with values, all to the end of it are read, or else it is the last one.
            if present > 0 {
                let skipped =
                    levels.as_deref().map_or(range.start, |levels| count_bits(levels, 0..range.start));
                feed.add(page);
                if decoder.skip_records(skipped)? != skipped {
                    return Err(invalid("a page has too few values"));
                }
            }
            match levels {
                Some(levels) if present < range.len() => {
                    out.append_sparse(&levels, range, present, |count, values| {
                        read_exactly(&mut decoder, count, values)
                    })?;
                }
                _ => {
                    let before = out.values.len();
                    read_exactly(&mut decoder, present, &mut out.values)?;
                    if let Some(validity) = &mut out.validity {
                        set_bits(validity, before..out.values.len());
                    }
                }
            }
        }
        Ok(())
    }
}

impl<T: Copy> Column<T> {
    /// Appends the rows of this range of a page. `levels` says for each row if it has one of the `present` values, of
    /// which `read` appends the next so many.
    fn append_sparse<E>(
        &mut self,
        levels: &[u64],
        range: Range<usize>,
        present: usize,
        mut read: impl FnMut(usize, &mut Vec<T>) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.is_ambiguous {
            let before = self.values.len();
            let validity = self.validity.get_or_insert_with(|| {
                let mut words = Vec::new();
                set_bits(&mut words, 0..before);
                words
            });
            copy_bits(validity, before, levels, range.clone());
        }
        // Values are decoded where their rows begin, as many at a time as ever: the decoder is slow where it begins amid a
        // byte. Nothing is moved but those of a batch with something missing, while it is in the fastest cache.
        let (mut row, mut left) = (range.start, present);
        while row < range.end {
            let batch = left.min(BATCH);
            left -= batch;
            let end = end_of_present(levels, row..range.end, batch);
            let before = self.values.len();
            read(batch, &mut self.values)?;
            self.values.resize(before + (end - row), self.missing);
            expand(&mut self.values[before..], batch, levels, row..end, self.missing);
            row = end;
        }
        Ok(())
    }
}

/// Parts of a range of rows with as many as a word has bits; the last one is shorter.
fn word_ranges(rows: Range<usize>) -> impl DoubleEndedIterator<Item = Range<usize>> {
    rows.clone().step_by(64).map(move |from| from..rows.end.min(from + 64))
}

/// Where the first `count` present rows of this range end, with what is missing behind them.
fn end_of_present(levels: &[u64], rows: Range<usize>, mut count: usize) -> usize {
    for part in word_ranges(rows.clone()) {
        let mut word = word_at(levels, part.clone());
        let present = word.count_ones() as usize;
        if present > count {
            for _ in 0..count {
                word &= word - 1;
            }
            return part.start + word.trailing_zeros() as usize;
        }
        count -= present;
    }
    rows.end
}

/// Moves the first `present` of these values to the rows of this range that are present.
fn expand<T: Copy>(values: &mut [T], mut present: usize, levels: &[u64], rows: Range<usize>, missing: T) {
    // From the back, so that nothing is overwritten before it was moved.
    for part in word_ranges(rows.clone()).rev() {
        let to = part.start - rows.start..part.end - rows.start;
        if present == to.end {
            // Nothing is missing up to here.
            return;
        }
        let word = word_at(levels, part);
        let from = present - word.count_ones() as usize..present;
        present = from.start;
        if from.len() == to.len() {
            values.copy_within(from, to.start);
        } else {
            // A step for each value and none for what is missing: no branch depends on where that is.
            let mut expanded = [missing; 64];
            let mut places = word;
            for value in &values[from] {
                expanded[places.trailing_zeros() as usize % 64] = *value;
                places &= places.wrapping_sub(1);
            }
            let len = to.len();
            values[to].copy_from_slice(&expanded[..len]);
        }
    }
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

/// A page without its definition levels and nulls, and which of its rows have a value; `None` where all have.
fn required_page(page: Page, rows: usize) -> Result<(Page, Option<Vec<u64>>), ParquetError> {
    let Page::DataPageV2 {
        buf,
        num_values,
        encoding,
        num_nulls,
        num_rows,
        def_levels_byte_len,
        is_compressed,
        ..
    } = page
    else {
        return Err(invalid("a page is not a data page of version 2"));
    };
    let levels_end = def_levels_byte_len as usize;
    if num_rows as usize != rows || num_values != num_rows || num_nulls > num_values || levels_end > buf.len()
    {
        return Err(invalid("a page header contradicts the offset index"));
    }
    let present = num_values - num_nulls;
    let levels = (num_nulls > 0).then(|| decode_levels(&buf.slice(..levels_end), rows)).transpose()?;
    if levels.as_deref().is_some_and(|levels| count_bits(levels, 0..rows) != present as usize) {
        return Err(invalid("a page header contradicts the definition levels"));
    }
    let page = Page::DataPageV2 {
        buf: buf.slice(levels_end..),
        num_values: present,
        encoding,
        num_nulls: 0,
        num_rows: present,
        def_levels_byte_len: 0,
        rep_levels_byte_len: 0,
        is_compressed,
        statistics: None,
    };
    Ok((page, levels))
}

/// Definition levels of 0 and 1 as bits; bits beyond the last row mean nothing. The levels are stored in runs of one
/// level and in runs of bits, the first bit the lowest, behind a header in seven bits a byte that says which, and how
/// long.
fn decode_levels(bytes: &Bytes, rows: usize) -> Result<Vec<u64>, ParquetError> {
    let short = || invalid("too few definition levels");
    let mut words = vec![0; rows.div_ceil(64)];
    let mut bytes = bytes.iter().copied();
    let mut row = 0;
    while row < rows {
        let (mut header, mut shift) = (0_u64, 0);
        loop {
            let byte = bytes.next().ok_or_else(short)?;
            header |= u64::from(byte & 0x7f).checked_shl(shift).ok_or_else(short)?;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let len = usize::try_from(header >> 1)?;
        if header & 1 == 0 {
            let level = bytes.next().ok_or_else(short)?;
            let end = rows.min(row.saturating_add(len));
            if level != 0 {
                set_bits(&mut words, row..end);
            }
            row = end;
        } else {
            for _ in 0..len {
                let byte = u64::from(bytes.next().ok_or_else(short)?);
                // Eight levels at a time. They may be cut in two by the end of a word, and go beyond the last one.
                if let Some(word) = words.get_mut(row / 64) {
                    *word |= byte << (row % 64);
                }
                if let Some(word) = words.get_mut(row / 64 + 1).filter(|_| row % 64 > 56) {
                    *word |= byte >> (64 - row % 64);
                }
                row += 8;
            }
        }
        if len == 0 {
            return Err(short());
        }
    }
    Ok(words)
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
