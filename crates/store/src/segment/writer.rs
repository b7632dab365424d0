//! Writing a segment.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnDescPtr;
use rayon::prelude::*;
use sheaf_model::{DataType, Values};

use super::bits::{copy_bits, set_bits};
use super::blocks::BlockWriter;
use super::encoding::{self, Chunk, Codec};
use super::{ESTIMATED, GROUP_ROWS, Numbering, SERIES, START, SegmentError, SegmentFacts, VALUE};
use crate::disk::Disk;
use crate::rows::{Rows, Starts, bit, with_both, with_values, zeros};

/// Row groups that are encoded at a time at most, whatever the number of cores: it bounds the memory.
const MAX_BATCH: usize = 8;

/// Writes one segment. Row groups are encoded on all cores and written in order; at most two batches of them, one being
/// encoded and one being written, are in memory.
pub(crate) struct SegmentWriter {
    name: String,
    data_type: DataType,
    has_estimated: bool,
    columns: Columns,
    file: SerializedFileWriter<BlockWriter>,
    group_rows: usize,
    batch: usize,
    rows: u64,
    /// Rows of several series or too few for a row group, full ones but for the last.
    buffers: Vec<Buffer>,
    encoded: Vec<Vec<Chunk>>,
}

/// What it takes to encode a row group.
struct Columns {
    columns: Vec<ColumnDescPtr>,
    required: Vec<ColumnDescPtr>,
    codec: Codec,
    has_estimated: bool,
}

/// Rows of a series one after the other.
#[derive(Clone, Copy, Debug)]
struct Run {
    series: i64,
    len: usize,
    numbers: RunNumbers,
}

/// The numbers of the starts of these rows.
#[derive(Clone, Copy, Debug)]
enum RunNumbers {
    Steps {
        first: i64,
        step: i64,
    },
    /// The list of starts goes on.
    Listed(Numbering),
}

/// Rows that were copied because they don't fill a row group.
struct Buffer {
    runs: Vec<Run>,
    listed: Vec<i64>,
    values: Values,
    validity: Option<Vec<u64>>,
    estimated: Option<Vec<u64>>,
}

/// A row group to be encoded.
struct Group<'a> {
    runs: Cow<'a, [Run]>,
    listed: &'a [i64],
    values: &'a Values,
    validity: Option<&'a [u64]>,
    estimated: Option<&'a [u64]>,
    /// Which of the values, and of the bits.
    range: Range<usize>,
}

impl SegmentWriter {
    /// A new file for values of this type; with `has_estimated`, rows may be estimated.
    ///
    /// # Errors
    /// There is such a file, or the disk fails.
    pub(crate) fn new(
        disk: &dyn Disk,
        name: &str,
        data_type: DataType,
        has_estimated: bool,
        codec: Codec,
    ) -> Result<SegmentWriter, SegmentError> {
        let described = disk.describe(name);
        let parquet = |error| SegmentError::from_parquet(&described, error);
        let file = disk.create(name).map_err(|source| SegmentError::Io {
            file: described.clone(),
            doing: "create".to_owned(),
            source,
        })?;
        let start = super::start_column(has_estimated);
        let schema = super::schema(data_type, start, has_estimated).map_err(parquet)?;
        let required = super::required_columns(&schema).map_err(parquet)?;
        let properties = Arc::new(WriterProperties::builder().build());
        let file = SerializedFileWriter::new(BlockWriter::new(file), schema, properties).map_err(parquet)?;
        let columns = file.schema_descr().columns().to_vec();
        Ok(SegmentWriter {
            name: described,
            data_type,
            has_estimated,
            columns: Columns { columns, required, codec, has_estimated },
            file,
            group_rows: GROUP_ROWS,
            batch: rayon::current_num_threads().clamp(1, MAX_BATCH),
            rows: 0,
            buffers: Vec::new(),
            encoded: Vec::new(),
        })
    }

    #[cfg(test)]
    pub(super) fn with_group_rows(self, group_rows: usize) -> SegmentWriter {
        SegmentWriter { group_rows, ..self }
    }

    /// How many rows were pushed: the number of the next one.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Appends the rows of this range, whose starts are numbered like this. Full row groups are encoded from where the rows are; the rest is copied.
    ///
    /// # Errors
    /// The rows are of another type, or estimated in a file without estimated rows, or the disk fails. Nothing more can
    /// be written then.
    pub(crate) fn push(
        &mut self,
        series: i64,
        numbering: Numbering,
        rows: &Rows,
        range: Range<usize>,
    ) -> Result<(), SegmentError> {
        let found = rows.values().data_type();
        if found != self.data_type {
            return Err(SegmentError::DataType { file: self.name.clone(), expected: self.data_type, found });
        }
        let estimated = rows.estimated().filter(|words| range.clone().any(|row| bit(words, row)));
        if estimated.is_some() && !self.has_estimated {
            return Err(SegmentError::Estimated { file: self.name.clone() });
        }
        let pushed = range.len() as u64;
        let mut left = range;
        while !left.is_empty() {
            let buffered = self.buffers.last().map_or(0, Buffer::len) % self.group_rows;
            if buffered == 0 && left.len() >= self.group_rows {
                let end = left.end - left.len() % self.group_rows;
                let buffers = std::mem::take(&mut self.buffers);
                let direct = (left.start..end).step_by(self.group_rows).map(|from| {
                    let range = from..from + self.group_rows;
                    Group::of_rows(series, numbering, rows, estimated, range)
                });
                self.encode(buffers.iter().map(Buffer::group).chain(direct).collect())?;
                left.start = end;
            } else {
                if buffered == 0 {
                    self.buffers.push(Buffer::new(self.data_type));
                }
                let end = left.end.min(left.start + self.group_rows - buffered);
                if let Some(buffer) = self.buffers.last_mut() {
                    buffer.push(series, numbering, rows, estimated, left.start..end);
                }
                left.start = end;
                if self.buffers.len() == self.batch
                    && self.buffers.last().map_or(0, Buffer::len) == self.group_rows
                {
                    let buffers = std::mem::take(&mut self.buffers);
                    self.encode(buffers.iter().map(Buffer::group).collect())?;
                }
            }
        }
        self.rows += pushed;
        Ok(())
    }

    /// Writes what is left and the footer, and makes the file durable, but not yet its name.
    ///
    /// # Errors
    /// The disk fails.
    pub(crate) fn finish(mut self) -> Result<SegmentFacts, SegmentError> {
        let buffers = std::mem::take(&mut self.buffers);
        self.encode(buffers.iter().map(Buffer::group).collect())?;
        let encoded = std::mem::take(&mut self.encoded);
        let parquet = |error| SegmentError::from_parquet(&self.name, error);
        write_groups(&mut self.file, encoded).map_err(parquet)?;
        let file = self.file.into_inner().map_err(parquet)?;
        let (block_sums, bytes) = file.finish().map_err(|source| SegmentError::Io {
            file: self.name.clone(),
            doing: "write".to_owned(),
            source,
        })?;
        Ok(SegmentFacts {
            data_type: self.data_type,
            rows: self.rows,
            bytes,
            has_estimated: self.has_estimated,
            block_sums,
        })
    }

    /// Encodes row groups, while those of the time before are being written.
    fn encode(&mut self, groups: Vec<Group<'_>>) -> Result<(), SegmentError> {
        for batch in groups.chunks(self.batch) {
            let before = std::mem::take(&mut self.encoded);
            let (file, columns) = (&mut self.file, &self.columns);
            let (written, encoded) = rayon::join(
                || write_groups(file, before),
                || batch.par_iter().map(|group| columns.encode(group)).collect::<Result<Vec<_>, _>>(),
            );
            written
                .and(encoded.map(|encoded| self.encoded = encoded))
                .map_err(|error| SegmentError::from_parquet(&self.name, error))?;
        }
        Ok(())
    }
}

fn write_groups(
    file: &mut SerializedFileWriter<BlockWriter>,
    groups: Vec<Vec<Chunk>>,
) -> Result<(), ParquetError> {
    for chunks in groups {
        let mut group = file.next_row_group()?;
        for chunk in chunks {
            group.append_column(&chunk.bytes, chunk.close)?;
        }
        group.close()?;
    }
    Ok(())
}

impl Columns {
    /// The chunks of a row group, in the order of the columns.
    fn encode(&self, group: &Group<'_>) -> Result<Vec<Chunk>, ParquetError> {
        let range = group.range.clone();
        let mut chunks = vec![self.series(group)?, self.starts(group)?];
        let (column, required) = (&self.columns[VALUE], &self.required[VALUE]);
        chunks.push(with_values!(group.values, values => {
            encoding::values(column, required, self.codec, values, group.validity, range.clone())
        })?);
        if self.has_estimated {
            chunks.push(encoding::bits(&self.columns[ESTIMATED], group.estimated, range)?);
        }
        Ok(chunks)
    }

    fn series(&self, group: &Group<'_>) -> Result<Chunk, ParquetError> {
        let column = &self.columns[SERIES];
        if let [Run { series, len, .. }] = group.runs[..] {
            return encoding::steps(column, series, 0, len);
        }
        let mut rows = group.rows();
        encoding::integers(column, group.range.len(), |page, out| {
            rows.next(page.len(), |run, _, len| out.extend(std::iter::repeat_n(run.series, len)));
        })
    }

    fn starts(&self, group: &Group<'_>) -> Result<Chunk, ParquetError> {
        let column = &self.columns[START];
        if let [Run { numbers: RunNumbers::Steps { first, step }, len, .. }] = group.runs[..] {
            return encoding::steps(column, first, step, len);
        }
        let mut rows = group.rows();
        let mut listed = group.listed;
        encoding::integers(column, group.range.len(), |page, out| {
            rows.next(page.len(), |run, from, len| match run.numbers {
                RunNumbers::Steps { first, step } => {
                    out.extend((from..from + len).map(|row| first + row as i64 * step));
                }
                RunNumbers::Listed(numbering) => {
                    let (now, later) = listed.split_at(len);
                    out.extend(now.iter().map(|&ticks| numbering.number(ticks)));
                    listed = later;
                }
            });
        })
    }
}

impl<'a> Group<'a> {
    fn of_rows(
        series: i64,
        numbering: Numbering,
        rows: &'a Rows,
        estimated: Option<&'a [u64]>,
        range: Range<usize>,
    ) -> Group<'a> {
        let (run, listed) = run_of(series, numbering, rows, range.clone());
        Group {
            runs: vec![run].into(),
            listed,
            values: rows.values(),
            validity: rows.validity(),
            estimated,
            range,
        }
    }

    fn rows(&self) -> RunCursor<'_> {
        RunCursor { runs: &self.runs, done: 0 }
    }
}

/// These rows as a run, and their starts if they are listed.
fn run_of(series: i64, numbering: Numbering, rows: &Rows, range: Range<usize>) -> (Run, &[i64]) {
    let len = range.len();
    match rows.starts() {
        Starts::Grid { step_ticks, .. } => {
            let first = numbering.number(rows.start_ticks(range.start));
            let numbers = RunNumbers::Steps { first, step: step_ticks / numbering.step_ticks };
            (Run { series, len, numbers }, &[])
        }
        Starts::Listed(starts) => {
            (Run { series, len, numbers: RunNumbers::Listed(numbering) }, &starts[range])
        }
    }
}

/// Walks through runs, some rows at a time.
struct RunCursor<'a> {
    runs: &'a [Run],
    done: usize,
}

impl RunCursor<'_> {
    /// Calls `take` with each run in the next `len` rows, the first row in it and how many of its rows.
    fn next(&mut self, mut len: usize, mut take: impl FnMut(&Run, usize, usize)) {
        while len > 0 {
            let [run, later @ ..] = self.runs else { return };
            let taken = len.min(run.len - self.done);
            take(run, self.done, taken);
            self.done += taken;
            len -= taken;
            if self.done == run.len {
                (self.runs, self.done) = (later, 0);
            }
        }
    }
}

impl Buffer {
    fn new(data_type: DataType) -> Buffer {
        Buffer {
            runs: Vec::new(),
            listed: Vec::new(),
            values: zeros(data_type, 0),
            validity: None,
            estimated: None,
        }
    }

    fn len(&self) -> usize {
        self.values.len()
    }

    fn push(
        &mut self,
        series: i64,
        numbering: Numbering,
        rows: &Rows,
        estimated: Option<&[u64]>,
        range: Range<usize>,
    ) {
        let before = self.len();
        let (run, listed) = run_of(series, numbering, rows, range.clone());
        self.runs.push(run);
        self.listed.extend_from_slice(listed);
        with_both!(&mut self.values, rows.values(), (to, from) => to.extend_from_slice(&from[range.clone()]));
        append_bits(&mut self.validity, before, rows.validity(), range.clone(), true);
        append_bits(&mut self.estimated, before, estimated, range, false);
    }

    fn group(&self) -> Group<'_> {
        Group {
            runs: self.runs.as_slice().into(),
            listed: &self.listed,
            values: &self.values,
            validity: self.validity.as_deref(),
            estimated: self.estimated.as_deref(),
            range: 0..self.len(),
        }
    }
}

/// Appends the bits of this range after `before` bits; where there are none, all of them are `absent`.
fn append_bits(
    to: &mut Option<Vec<u64>>,
    before: usize,
    from: Option<&[u64]>,
    range: Range<usize>,
    absent: bool,
) {
    if to.is_none() && from.is_none() {
        return;
    }
    let words = to.get_or_insert_with(|| {
        let mut words = Vec::new();
        set_bits(&mut words, 0..if absent { before } else { 0 });
        words
    });
    words.resize((before + range.len()).div_ceil(64), 0);
    match from {
        None if absent => set_bits(words, before..before + range.len()),
        None => {}
        Some(from) => copy_bits(words, before, from, range),
    }
}
