//! Reading the steps of a plan: verified, in bounded memory, in order of time.

use std::collections::{BTreeMap, HashMap};
use std::ops::{Deref, DerefMut, Range};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sheaf_model::{Samples, Tick, TimeRange, Values};

use crate::error::{SeriesName, StoreError};
use crate::manifest::PieceKind;
use crate::plan::{How, Step, to_slots};
use crate::rows::{Rows, Starts, clear_bit, set_bit, with_both, with_values, zeros};
use crate::runs::{LONGEST_GAP, append_row};
use crate::segment::{PageBuffer, SegmentReader, StartsOf, copy_bits, set_bits};
use crate::segment_cache::SegmentsOf;
use crate::series::{Layout, Piece, SeriesView};

/// The most rows of a chunk. A quarter of a row group: large enough that the work per chunk does not show, small enough
/// that a chunk of doubles stays in the second-level cache of a server's core.
const CHUNK_ROWS: i64 = 1 << 17;

/// Rows of one series, chunk by chunk, in order of time. Made by [`Snapshot::scan`](crate::Snapshot::scan).
///
/// Chunks of a regular series are grids of at most 131 072 slots; slots where nothing is known are missing in them, and
/// longer stretches without any row are left out. Those of an irregular series are as many listed rows at most, but all
/// pieces that overlap a chunk are in memory while it is made. The iterator blocks while it reads. After an error it ends.
pub struct Scan {
    view: Arc<SeriesView>,
    segments: Arc<SegmentsOf>,
    steps: std::vec::IntoIter<Step>,
    /// What is left of the step that is being read.
    current: Option<Step>,
    /// Pieces that are read whole, until the scan is past them.
    whole: HashMap<usize, Arc<Rows>>,
    pages: PageBuffer,
}

/// Memory for samples, and what was read along with them: for one range after the other of a scan, by one thread.
#[derive(Default)]
pub struct SampleBuffer {
    samples: Option<Samples>,
    pages: PageBuffer,
}

/// Buffers for threads that take turns: each borrows one for as long as it works, most often one that was used before.
/// New memory would cost about as much as to decode what it is for.
#[derive(Default)]
pub struct SampleBuffers(Mutex<Vec<SampleBuffer>>);

impl SampleBuffers {
    /// A buffer, which comes back when it is dropped.
    pub fn lend(&self) -> LentBuffer<'_> {
        LentBuffer { buffers: self, buffer: self.idle().pop().unwrap_or_default() }
    }

    /// Those that nobody has. The list is whole after every line, so a panic does it no harm.
    fn idle(&self) -> MutexGuard<'_, Vec<SampleBuffer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A buffer that belongs to [`SampleBuffers`].
pub struct LentBuffer<'a> {
    buffers: &'a SampleBuffers,
    buffer: SampleBuffer,
}

impl Deref for LentBuffer<'_> {
    type Target = SampleBuffer;

    fn deref(&self) -> &SampleBuffer {
        &self.buffer
    }
}

impl DerefMut for LentBuffer<'_> {
    fn deref_mut(&mut self) -> &mut SampleBuffer {
        &mut self.buffer
    }
}

impl Drop for LentBuffer<'_> {
    fn drop(&mut self) {
        self.buffers.idle().push(std::mem::take(&mut self.buffer));
    }
}

impl Scan {
    pub(crate) fn new(view: Arc<SeriesView>, segments: Arc<SegmentsOf>, steps: Vec<Step>) -> Scan {
        Scan {
            view,
            segments,
            steps: steps.into_iter(),
            current: None,
            whole: HashMap::new(),
            pages: PageBuffer::default(),
        }
    }

    /// The part of the scan that starts in `range`: over the same state, from the same segments.
    pub fn within(&self, range: TimeRange) -> Scan {
        Scan::new(self.view.clone(), self.segments.clone(), self.steps_within(range).collect())
    }

    fn steps_within(&self, range: TimeRange) -> impl Iterator<Item = Step> + '_ {
        let range_of = move |step: &Step| {
            let range = to_slots(range, self.view.spec.layout)?.intersection(step.range)?;
            Some(Step { range, how: step.how.clone() })
        };
        let first = self.steps.as_slice().partition_point(|step| step.range.end() <= range.begin());
        let left = self.steps.as_slice()[first..].iter();
        let left = left.take_while(move |step| step.range.begin() < range.end());
        self.current.iter().chain(left).filter_map(range_of)
    }

    /// Whether nothing was ever written in `range`, so that there is nothing to read.
    pub fn is_empty_in(&self, range: TimeRange) -> bool {
        self.within(range).steps.as_slice().is_empty()
    }

    /// What the scan yields in `range`, as one run of slots of a regular series; those where nothing is known are missing.
    /// A phase is left out: a row belongs to the slot that it starts in.
    ///
    /// # Errors
    /// The series is irregular, the range does not begin and end with slots, or what the iterator says.
    pub fn samples(&self, range: TimeRange) -> Result<Samples, StoreError> {
        let mut buffer = SampleBuffer::default();
        self.read_samples(range, &mut buffer)
    }

    /// As [`Scan::samples`], in memory that is used again. That is fastest for short ranges, each behind the one before:
    /// no block of a segment is read twice, and what was read is still in the cache of the core when it is used.
    ///
    /// # Errors
    /// As [`Scan::samples`].
    pub fn samples_in<'a>(
        &self,
        range: TimeRange,
        buffer: &'a mut SampleBuffer,
    ) -> Result<&'a Samples, StoreError> {
        let samples = self.read_samples(range, buffer)?;
        Ok(buffer.samples.insert(samples))
    }

    /// As [`Scan::samples_in`], but the samples are the caller's: of the buffer it uses what was read of the pages.
    ///
    /// # Errors
    /// As [`Scan::samples`].
    pub fn samples_with(&self, range: TimeRange, buffer: &mut SampleBuffer) -> Result<Samples, StoreError> {
        self.read_samples(range, buffer)
    }

    fn read_samples(&self, range: TimeRange, buffer: &mut SampleBuffer) -> Result<Samples, StoreError> {
        let no_slots = || StoreError::NoSlots { key: self.view.spec.key.clone(), range };
        let Layout::Regular { period, phase_ticks } = self.view.spec.layout else { return Err(no_slots()) };
        if range.begin().ticks() % period.ticks() != 0 || range.ticks() % period.ticks() != 0 {
            return Err(no_slots());
        }
        let len = range.count(period) as usize;
        let first_ticks = range.begin().ticks() + phase_ticks;
        let slot = |ticks: i64| ((ticks - first_ticks) / period.ticks()) as usize;
        let data_type = self.view.spec.data_type;
        let used = buffer.samples.take().map(|samples| samples.into_parts().2);
        let mut values =
            used.filter(|used| used.data_type() == data_type).unwrap_or_else(|| zeros(data_type, 0));
        let mut out = Slots { values: &mut values, filled: 0, validity: None };
        for step in self.steps_within(range) {
            let at = slot(step.range.begin().ticks());
            match step.how {
                How::Direct(piece) => {
                    out.miss_until(at);
                    let piece = &self.view.pieces[piece];
                    let (reader, name) = self.reader(piece, step.range)?;
                    let rows = rows_of(piece, step.range, period.ticks());
                    reader
                        .read_values(rows, out.values, at, &mut out.validity, &mut buffer.pages)
                        .map_err(|source| StoreError::Segment { series: name, source: Box::new(source) })?;
                    out.filled = slot(step.range.end().ticks());
                }
                How::Overlay(_) => {
                    for rows in Scan::new(self.view.clone(), self.segments.clone(), vec![step]) {
                        let rows = rows?;
                        out.miss_until(slot(rows.start_ticks(0)));
                        out.put(&rows);
                    }
                }
            }
        }
        out.miss_until(len);
        let validity = out.validity;
        with_values!(&mut values, values => values.truncate(len));
        let samples = Samples::new(range.begin(), period, values);
        let samples = match (samples, validity) {
            (Ok(samples), Some(words)) => samples.with_validity(words),
            (samples, _) => samples,
        };
        samples.map_err(|error| StoreError::Task(error.to_string()))
    }

    fn chunk(&mut self, step: &Step) -> Result<Rows, StoreError> {
        match (&step.how, self.view.spec.layout) {
            (&How::Direct(piece), Layout::Regular { period, .. }) => {
                let view = self.view.clone();
                self.dense_rows(&view.pieces[piece], step.range, period.ticks())
            }
            (How::Overlay(layers), Layout::Regular { period, .. }) => {
                self.overlay_grid(step.range, layers, period.ticks())
            }
            (How::Overlay(layers), Layout::Irregular) => self.overlay_listed(step.range, layers),
            (&How::Direct(piece), Layout::Irregular) => self.overlay_listed(step.range, &[piece]),
        }
    }

    /// The first chunk of a step, and what is left of it; `None` if nothing is in it.
    fn split(&mut self, mut step: Step) -> Result<Option<(Step, Option<Step>)>, StoreError> {
        let view = self.view.clone();
        if let How::Overlay(layers) = &mut step.how {
            layers.retain(|&layer| view.pieces[layer].range.intersection(step.range).is_some());
        }
        let (begin, end) = (step.range.begin().ticks(), step.range.end().ticks());
        let (from, cut) = match (view.spec.layout, &step.how) {
            (Layout::Regular { period, .. }, How::Direct(_)) => {
                (begin, begin.saturating_add(period.ticks().saturating_mul(CHUNK_ROWS)))
            }
            (Layout::Regular { period, .. }, How::Overlay(layers)) => {
                match self.next_stretch(step.range, layers, period.ticks())? {
                    Some(stretch) => stretch,
                    None => return Ok(None),
                }
            }
            // As many whole pieces as fit in a chunk, but at least one; fewer rows of them where others lie over them.
            (Layout::Irregular, How::Overlay(layers)) => {
                let mut ends: Vec<_> = layers.iter().map(|&layer| &view.pieces[layer]).collect();
                ends.sort_by_key(|piece| piece.range.end());
                let mut rows = 0;
                let last = ends.into_iter().find(|piece| {
                    rows += piece.rows;
                    rows >= CHUNK_ROWS as u64
                });
                let cut = last.map_or(end, |piece| piece.range.end().ticks());
                (begin, self.cut_to_chunk(layers, begin, cut)?)
            }
            (Layout::Irregular, How::Direct(_)) => (begin, end),
        };
        let cut = cut.min(end);
        Ok(part(&step, from, cut).map(|now| (now, part(&step, cut, end))))
    }

    /// Where a chunk of irregular rows that begins at `begin` ends, at the latest at `end`.
    fn cut_to_chunk(&mut self, layers: &[usize], begin: i64, end: i64) -> Result<i64, StoreError> {
        let view = self.view.clone();
        let mut all = Vec::new();
        let Some(range) = ticks(begin, end) else { return Ok(end) };
        for &layer in layers.iter().filter(|&&layer| view.pieces[layer].is_data()) {
            if let Some(part) = view.pieces[layer].range.intersection(range) {
                let rows = self.whole(layer)?;
                all.extend(rows_within(&rows, part).map(|row| rows.start_ticks(row)));
            }
        }
        let most = CHUNK_ROWS as usize;
        if all.len() <= most {
            return Ok(end);
        }
        let (_, first_of_next, _) = all.select_nth_unstable(most);
        // Very many layers may have a row of the same start; of those one counts.
        Ok((*first_of_next).max(begin + 1))
    }

    /// Where the next rows of an overlay lie: from the first one on, to the first longer gap, at most a chunk. Rows may be
    /// years apart, and the slots between them must cost nothing.
    fn next_stretch(
        &mut self,
        range: TimeRange,
        layers: &[usize],
        step_ticks: i64,
    ) -> Result<Option<(i64, i64)>, StoreError> {
        let view = self.view.clone();
        let most = step_ticks.saturating_mul(CHUNK_ROWS);
        let mut parts: Vec<(TimeRange, usize)> = layers
            .iter()
            .filter(|&&layer| view.pieces[layer].is_data())
            .filter_map(|&layer| Some((view.pieces[layer].range.intersection(range)?, layer)))
            .collect();
        parts.sort_by_key(|(part, _)| part.begin());
        let mut first = i64::MAX;
        let mut spans: Vec<(i64, i64)> = Vec::new();
        for (part, layer) in parts {
            // What begins later is no part of this chunk, and is not read for it.
            if part.begin().ticks() > first.saturating_add(most) {
                break;
            }
            let before = spans.len();
            if view.pieces[layer].is_dense() {
                spans.push((part.begin().ticks(), part.end().ticks()));
            } else {
                let rows = self.whole(layer)?;
                let inside = rows_within(&rows, part);
                match &rows.starts {
                    _ if inside.is_empty() => {}
                    Starts::Grid { .. } => {
                        spans.push((
                            rows.start_ticks(inside.start),
                            rows.start_ticks(inside.end - 1) + step_ticks,
                        ));
                    }
                    Starts::Listed(starts) => {
                        let starts = &starts[inside];
                        let until = starts.partition_point(|&start| start < starts[0].saturating_add(most));
                        spans.extend(starts[..until].iter().map(|&start| (start, start + step_ticks)));
                    }
                }
            }
            first = spans[before..].iter().map(|span| span.0).fold(first, i64::min);
        }
        spans.sort_unstable();
        let Some(&(begin, mut end)) = spans.first() else { return Ok(None) };
        for &(next, next_end) in &spans {
            if next - end > (LONGEST_GAP as i64).saturating_mul(step_ticks) {
                break;
            }
            end = end.max(next_end);
        }
        Ok(Some((begin, end.min(begin.saturating_add(most)))))
    }

    fn dense_rows(&mut self, piece: &Piece, range: TimeRange, step_ticks: i64) -> Result<Rows, StoreError> {
        let starts = StartsOf::Grid { first_ticks: range.begin().ticks(), step_ticks };
        self.read(piece, rows_of(piece, range, step_ticks), starts, range)
    }

    fn read(
        &mut self,
        piece: &Piece,
        rows: Range<u64>,
        starts: StartsOf,
        range: TimeRange,
    ) -> Result<Rows, StoreError> {
        let (reader, name) = self.reader(piece, range)?;
        reader
            .read(rows, starts, &mut self.pages)
            .map_err(|source| StoreError::Segment { series: name, source: Box::new(source) })
    }

    /// What reads a piece, and what messages call it.
    fn reader(
        &self,
        piece: &Piece,
        range: TimeRange,
    ) -> Result<(Arc<SegmentReader>, SeriesName), StoreError> {
        let name = self.view.name_at(range);
        Ok((self.segments.open(piece.segment, self.view.spec.data_type, &name)?, name))
    }

    /// The rows of a piece that has no slots; kept until the scan is past it.
    fn whole(&mut self, index: usize) -> Result<Arc<Rows>, StoreError> {
        if let Some(rows) = self.whole.get(&index) {
            return Ok(rows.clone());
        }
        let view = self.view.clone();
        let piece = &view.pieces[index];
        let rows = match &piece.tail {
            Some(rows) => rows.clone(),
            None => {
                let rows = piece.first_row..piece.first_row + piece.rows;
                Arc::new(self.read(
                    piece,
                    rows,
                    StartsOf::Column(self.view.spec.layout.numbering()),
                    piece.range,
                )?)
            }
        };
        self.whole.insert(index, rows.clone());
        Ok(rows)
    }

    fn overlay_grid(
        &mut self,
        range: TimeRange,
        layers: &[usize],
        step_ticks: i64,
    ) -> Result<Rows, StoreError> {
        let view = self.view.clone();
        let data_type = view.spec.data_type;
        let first_ticks = range.begin().ticks();
        let len = (range.ticks() / step_ticks) as usize;
        let slot = |ticks: i64| ((ticks - first_ticks) / step_ticks) as usize;
        let mut out = zeros(data_type, len);
        let mut valid = (!data_type.is_float()).then(|| vec![0_u64; len.div_ceil(64)]);
        for &layer in layers {
            let piece = &view.pieces[layer];
            let Some(part) = piece.range.intersection(range) else { continue };
            if piece.kind == PieceKind::Tombstone {
                // A tombstone may begin and end anywhere: it hides the rows that start in it.
                let slots_before =
                    |ticks: i64| ((ticks - first_ticks + step_ticks - 1) / step_ticks) as usize;
                blank(
                    &mut out,
                    &mut valid,
                    slots_before(part.begin().ticks())..slots_before(part.end().ticks()),
                );
                continue;
            }
            let rows = if piece.is_dense() {
                Arc::new(self.dense_rows(piece, part, step_ticks)?)
            } else {
                self.whole(layer)?
            };
            let inside = rows_within(&rows, part);
            with_both!(&mut out, &rows.values, (to, from) => {
                for row in inside {
                    if rows.is_valid(row) {
                        let slot = slot(rows.start_ticks(row));
                        to[slot] = from[row];
                        if let Some(words) = &mut valid {
                            set_bit(words, slot);
                        }
                    }
                }
            });
        }
        let validity = valid.filter(|words| count_ones(words) < len);
        Ok(Rows { starts: Starts::Grid { first_ticks, step_ticks }, values: out, validity, estimated: None })
    }

    fn overlay_listed(&mut self, range: TimeRange, layers: &[usize]) -> Result<Rows, StoreError> {
        let view = self.view.clone();
        // By start: the layer that has it last, and its row there. A row without a value only counts where no other is.
        let mut found: BTreeMap<i64, (usize, usize)> = BTreeMap::new();
        for &layer in layers {
            let piece = &view.pieces[layer];
            let Some(part) = piece.range.intersection(range) else { continue };
            if piece.kind == PieceKind::Tombstone {
                let hidden: Vec<i64> =
                    found.range(part.begin().ticks()..part.end().ticks()).map(|(&start, _)| start).collect();
                hidden.iter().for_each(|start| {
                    found.remove(start);
                });
                continue;
            }
            let rows = self.whole(layer)?;
            for row in rows_within(&rows, part) {
                let start = rows.start_ticks(row);
                let replaces = match found.get(&start) {
                    Some(&(before, before_row)) => {
                        rows.is_valid(row)
                            || self.whole.get(&before).is_none_or(|rows| !rows.is_valid(before_row))
                    }
                    None => true,
                };
                if replaces {
                    found.insert(start, (layer, row));
                }
            }
        }
        let mut listed = Rows::none(view.spec.data_type);
        for (layer, row) in found.into_values() {
            if let Some(rows) = self.whole.get(&layer) {
                append_row(&mut listed, rows, row);
            }
        }
        Ok(listed)
    }
}

/// The rows of a dense piece that start in the range.
fn rows_of(piece: &Piece, range: TimeRange, step_ticks: i64) -> Range<u64> {
    let slots = |ticks: i64| (ticks / step_ticks) as u64;
    let from = piece.first_row + slots(range.begin().ticks() - piece.range.begin().ticks());
    from..from + slots(range.ticks())
}

/// Slots that are filled one after the other, in memory that is used again.
struct Slots<'a> {
    /// Of those that are filled, and whatever is behind them.
    values: &'a mut Values,
    filled: usize,
    /// Bits of the filled ones, once one is missing that can't be told from others.
    validity: Option<Vec<u64>>,
}

impl Slots<'_> {
    /// Slots up to this one are missing.
    fn miss_until(&mut self, end: usize) {
        fn fill<T: Copy>(values: &mut Vec<T>, range: Range<usize>, missing: T) {
            if values.len() < range.end {
                values.resize(range.end, missing);
            }
            values[range].fill(missing);
        }
        let range = self.filled..end;
        if range.is_empty() {
            return;
        }
        match &mut *self.values {
            Values::F32(values) => fill(values, range, f32::NAN),
            Values::F64(values) => fill(values, range, f64::NAN),
            other => {
                with_values!(other, values => fill(values, range, Default::default()));
                self.validity().resize(end.div_ceil(64), 0);
            }
        }
        self.filled = end;
    }

    /// The next slots have these rows.
    fn put(&mut self, rows: &Rows) {
        let at = self.filled;
        with_both!(&mut *self.values, &rows.values, (to, from) => {
            to.truncate(at);
            to.extend_from_slice(from);
        });
        if self.validity.is_some() || rows.validity.is_some() {
            let words = self.validity();
            match &rows.validity {
                Some(from) => copy_bits(words, at, from, 0..rows.len()),
                None => set_bits(words, at..at + rows.len()),
            }
        }
        self.filled += rows.len();
    }

    /// Bits of the filled slots: all valid, unless there are bits.
    fn validity(&mut self) -> &mut Vec<u64> {
        self.validity.get_or_insert_with(|| {
            let mut words = Vec::new();
            set_bits(&mut words, 0..self.filled);
            words
        })
    }
}

fn count_ones(words: &[u64]) -> usize {
    words.iter().map(|word| word.count_ones() as usize).sum()
}

/// Which rows start in the range.
fn rows_within(rows: &Rows, range: TimeRange) -> Range<usize> {
    let (begin, end) = (range.begin().ticks(), range.end().ticks());
    match &rows.starts {
        Starts::Grid { first_ticks, step_ticks } => {
            let from = |ticks: i64| ((ticks - first_ticks).max(0) + step_ticks - 1) / step_ticks;
            (from(begin) as usize).min(rows.len())..(from(end) as usize).min(rows.len())
        }
        Starts::Listed(starts) => {
            starts.partition_point(|&start| start < begin)..starts.partition_point(|&start| start < end)
        }
    }
}

fn blank(values: &mut Values, valid: &mut Option<Vec<u64>>, slots: Range<usize>) {
    match (values, valid) {
        (Values::F32(values), _) => values[slots].fill(f32::NAN),
        (Values::F64(values), _) => values[slots].fill(f64::NAN),
        (_, Some(words)) => slots.for_each(|slot| clear_bit(words, slot)),
        (_, None) => {}
    }
}

impl Iterator for Scan {
    type Item = Result<Rows, StoreError>;

    fn next(&mut self) -> Option<Result<Rows, StoreError>> {
        loop {
            let step = match self.current.take() {
                Some(step) => step,
                None => self.steps.next()?,
            };
            let (now, later) = match self.split(step) {
                Ok(Some(parts)) => parts,
                Ok(None) => continue,
                Err(error) => {
                    self.steps = Vec::new().into_iter();
                    return Some(Err(error));
                }
            };
            self.current = later;
            self.whole.retain(|&index, _| self.view.pieces[index].range.end() > now.range.begin());
            match self.chunk(&now) {
                Ok(rows) if (0..rows.len()).any(|row| is_row(&rows, row, self.view.spec.layout)) => {
                    return Some(Ok(rows));
                }
                Ok(_) => {}
                Err(error) => {
                    self.current = None;
                    self.steps = Vec::new().into_iter();
                    return Some(Err(error));
                }
            }
        }
    }
}

/// Whether there is something to show: a value, or any row of an irregular series.
fn is_row(rows: &Rows, row: usize, layout: Layout) -> bool {
    layout == Layout::Irregular || rows.is_valid(row)
}

/// A part of a step; `None` if it is empty.
fn part(step: &Step, begin: i64, end: i64) -> Option<Step> {
    Some(Step { range: ticks(begin, end)?, how: step.how.clone() })
}

fn ticks(begin: i64, end: i64) -> Option<TimeRange> {
    TimeRange::new(Tick::new(begin).ok()?, Tick::new(end).ok()?).ok()
}
