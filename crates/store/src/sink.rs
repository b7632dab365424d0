//! Runs of rows on their way into files: names that no collection removes, segments of bounded size, drafts of pieces.

use std::mem;
use std::ops::Range;
use std::sync::Arc;

use sheaf_model::DataType;

use crate::announce::Announced;
use crate::error::StoreError;
use crate::manifest::PieceKind;
use crate::publish::{Draft, NewFile, Place, file_name};
use crate::rows::{Rows, Starts};
use crate::runs::{RunSink, missing_grid};
use crate::segment::{Numbering, SegmentWriter};
use crate::series::{Layout, SeriesId};
use crate::store::{Inner, SEGMENTS};

/// Writes runs into segments of one data type. Blocks; must be used on a thread that may.
pub(crate) struct FileSink {
    inner: Arc<Inner>,
    announced: Arc<Announced>,
    data_type: DataType,
    has_estimated: bool,
    /// Whether the pieces are merged ones.
    merged: bool,
    series: SeriesId,
    numbering: Numbering,
    writer: Option<(i64, SegmentWriter)>,
    files: Vec<NewFile>,
    drafts: Vec<Draft>,
}

/// What a sink has written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Written {
    pub(crate) files: Vec<NewFile>,
    pub(crate) drafts: Vec<Draft>,
}

impl Written {
    /// With what was written after it.
    pub(crate) fn add(&mut self, later: Written) {
        self.files.extend(later.files);
        self.drafts.extend(later.drafts);
    }
}

impl FileSink {
    pub(crate) fn new(
        announced: Arc<Announced>,
        data_type: DataType,
        has_estimated: bool,
        merged: bool,
    ) -> FileSink {
        let (files, drafts) = (Vec::new(), Vec::new());
        FileSink {
            inner: announced.inner().clone(),
            announced,
            data_type,
            has_estimated,
            merged,
            series: SeriesId(0),
            numbering: Numbering::TICKS,
            writer: None,
            files,
            drafts,
        }
    }

    /// What follows belongs to this series.
    pub(crate) fn set_series(&mut self, series: SeriesId, layout: Layout) {
        self.series = series;
        self.numbering = layout.numbering();
    }

    /// How many drafts there are.
    pub(crate) fn drafts(&self) -> usize {
        self.drafts.len()
    }

    /// The writer, and the nonce of its file; a new file if the last one is full.
    fn writer(&mut self) -> Result<&mut (i64, SegmentWriter), StoreError> {
        if self
            .writer
            .as_ref()
            .is_some_and(|(_, writer)| writer.rows() >= self.inner.settings.segment_most_rows)
        {
            self.finish_file()?;
        }
        let writer = match self.writer.take() {
            Some(writer) => writer,
            None => {
                let nonce = rand::random();
                let name = file_name(nonce);
                self.announced.announce(&name)?;
                let settings = &self.inner.settings;
                let writer = SegmentWriter::new(
                    &*self.inner.disk,
                    &name,
                    self.data_type,
                    self.has_estimated,
                    settings.codec,
                );
                (nonce, writer.map_err(StoreError::SegmentWrite)?)
            }
        };
        Ok(self.writer.insert(writer))
    }

    fn finish_file(&mut self) -> Result<(), StoreError> {
        if let Some((nonce, writer)) = self.writer.take() {
            let facts = writer.finish().map_err(StoreError::SegmentWrite)?;
            self.files.push(NewFile { nonce, facts });
        }
        Ok(())
    }

    /// Ends the last file. Files and their names are durable then.
    pub(crate) fn finish(mut self) -> Result<Written, StoreError> {
        self.finish_file()?;
        if !self.files.is_empty() {
            let disk = &self.inner.disk;
            disk.sync_folder(SEGMENTS).map_err(|source| StoreError::Disk {
                action: "sync",
                file: disk.describe(SEGMENTS),
                source,
            })?;
        }
        Ok(Written { files: mem::take(&mut self.files), drafts: mem::take(&mut self.drafts) })
    }
}

impl Drop for FileSink {
    /// Files that will not be published go at once: after an error for want of space, space is what is needed.
    fn drop(&mut self) {
        let unfinished = self.writer.take().map(|(nonce, _)| nonce);
        remove(&self.inner, self.files.iter().map(|file| file.nonce).chain(unfinished));
    }
}

/// Finishes sinks: all of them, or none.
pub(crate) fn finish_all(sinks: impl Iterator<Item = FileSink>) -> Result<Vec<Written>, StoreError> {
    let mut all: Vec<Written> = Vec::new();
    for sink in sinks {
        let inner = sink.inner.clone();
        match sink.finish() {
            Ok(written) => all.push(written),
            Err(error) => {
                remove(&inner, all.iter().flat_map(|written| &written.files).map(|file| file.nonce));
                return Err(error);
            }
        }
    }
    Ok(all)
}

/// Removes files as far as that succeeds; collection finds the rest.
fn remove(inner: &Inner, nonces: impl Iterator<Item = i64>) {
    for nonce in nonces {
        let _collected_later = inner.disk.remove(&file_name(nonce));
    }
}

impl RunSink for FileSink {
    type Error = StoreError;

    fn dense(
        &mut self,
        rows: &Rows,
        range: Range<usize>,
        missing: usize,
        gap: Option<usize>,
    ) -> Result<(), StoreError> {
        let Starts::Grid { step_ticks, .. } = rows.starts else { return Ok(()) };
        let (begin_ticks, len) = (rows.start_ticks(range.start), range.len());
        let end_ticks = begin_ticks + len as i64 * step_ticks;
        let (series, numbering, merged) = (self.series, self.numbering, self.merged);
        let (nonce, writer) = self.writer()?;
        let (nonce, first_row) = (*nonce, writer.rows());
        // A run goes on where the last piece of the same file ends.
        let goes_on = gap.filter(|_| {
            self.drafts.last().is_some_and(|last| {
                last.series == series
                    && matches!(last.place, Place::File { nonce: other, first_row: other_row }
                        if other == nonce && other_row + last.rows == first_row)
            })
        });
        let Some((_, writer)) = &mut self.writer else { return Ok(()) };
        if let (Some(gap), Some(last)) = (goes_on, self.drafts.last_mut()) {
            let filler = missing_grid(rows.values.data_type(), last.end_ticks, step_ticks, gap);
            writer.push(series.0, numbering, &filler, 0..gap).map_err(StoreError::SegmentWrite)?;
            last.rows += (gap + len) as u64;
            last.missing += (gap + missing) as u64;
            last.end_ticks = end_ticks;
        } else {
            let kind = if merged { PieceKind::MergedDense } else { PieceKind::Dense };
            let place = Place::File { nonce, first_row };
            let (rows, missing) = (len as u64, missing as u64);
            self.drafts.push(Draft { series, kind, begin_ticks, end_ticks, place, rows, missing });
        }
        writer.push(series.0, numbering, rows, range).map_err(StoreError::SegmentWrite)
    }

    fn listed(&mut self, rows: &Rows) -> Result<(), StoreError> {
        let Some(last) = rows.len().checked_sub(1) else { return Ok(()) };
        let (series, numbering, merged) = (self.series, self.numbering, self.merged);
        let (nonce, writer) = self.writer()?;
        let place = Place::File { nonce: *nonce, first_row: writer.rows() };
        writer.push(series.0, numbering, rows, 0..rows.len()).map_err(StoreError::SegmentWrite)?;
        let missing = (0..rows.len()).filter(|&row| !rows.is_valid(row)).count() as u64;
        self.drafts.push(Draft {
            series,
            kind: if merged { PieceKind::MergedListed } else { PieceKind::Listed },
            begin_ticks: rows.start_ticks(0),
            // One tick is enough: a listed row belongs to a range by its start.
            end_ticks: rows.start_ticks(last) + 1,
            place,
            rows: rows.len() as u64,
            missing,
        });
        Ok(())
    }
}
