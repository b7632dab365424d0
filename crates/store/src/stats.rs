//! What a store and its series hold, in numbers.

use std::collections::{HashMap, HashSet};

use sheaf_model::{DataType, TimeRange};

use crate::error::StoreError;
use crate::plan::{How, plan};
use crate::series::{Layout, Piece, SeriesId, SeriesView, data_type_from_code};
use crate::store::Store;
use crate::view;

/// What a store holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Random number of the store.
    pub store: i64,
    /// Number of the last commit.
    pub commit: i64,
    /// How many series there are.
    pub series: u64,
    /// Samples in the tail.
    pub tail_rows: u64,
    /// Bytes of the tail, in the manifest.
    pub tail_bytes: u64,
    /// Segments with samples, by data type.
    pub segments: Vec<SegmentStats>,
    /// Segments that were replaced and wait for their removal.
    pub retired_segments: u64,
    /// Bytes of those.
    pub retired_bytes: u64,
    /// Files that are being written, or were when their writer ended.
    pub pending_files: u64,
}

/// The segments of one data type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SegmentStats {
    /// The type.
    pub data_type: DataType,
    /// How many there are.
    pub segments: u64,
    /// Their length in bytes.
    pub bytes: u64,
    /// Their rows; one for each slot in a dense run, with a value or without.
    pub rows: u64,
    /// The rows that may still be read. The others were overwritten, deleted, or merged elsewhere.
    pub live_rows: u64,
}

/// What a series holds, as far as it is known without reading samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SeriesStats {
    /// The series.
    pub series: SeriesId,
    /// From the first to the last row; `None` without any. As [`Snapshot::range`](crate::Snapshot::range).
    pub range: Option<TimeRange>,
    /// Its rows, with a value or without, at most: where writes lie over each other and may leave gaps, the slots of all
    /// count, or the rows of all, whatever is less.
    pub rows: u64,
    /// How many of the rows have no value, at most: what is cut from a run of rows counts all that the run lacks.
    pub missing: u64,
    /// Bytes on disk, roughly: its share of its segments, by rows, and what is in the tail.
    pub bytes: u64,
}

impl Store {
    /// What these series hold now, one answer for each.
    ///
    /// # Errors
    /// One of them is not there. The database fails or is damaged.
    pub async fn series_stats(&self, series: &[SeriesId]) -> Result<Vec<SeriesStats>, StoreError> {
        let mut read = self.0.manifest.read().await?;
        let head = view::head(&mut *read, &self.0).await?;
        let views = view::load(&mut *read, &self.0, &head, series).await?;
        let mut ids: Vec<i64> = views.values().flat_map(|view| view.segments()).collect();
        ids.sort_unstable();
        ids.dedup();
        let mut bytes_and_rows = HashMap::new();
        for state in read.segment_states(&ids).await? {
            if !state.is_intact() {
                let problem = format!("the state of segment {} does not match its checksum", state.row.id);
                return Err(self.0.damaged(problem));
            }
            bytes_and_rows.insert(state.row.id, (state.row.bytes, state.row.rows));
        }
        if let Some(id) = ids.iter().find(|id| !bytes_and_rows.contains_key(id)) {
            return Err(self.0.damaged(format!("pieces lie in segment {id}, but it is not listed")));
        }
        series
            .iter()
            .map(|id| {
                let view = views.get(id).ok_or(StoreError::UnknownSeries(*id))?;
                Ok(stats_of(view, &bytes_and_rows))
            })
            .collect()
    }

    /// What the store holds now.
    ///
    /// # Errors
    /// The database fails or is damaged.
    pub async fn stats(&self) -> Result<Stats, StoreError> {
        let mut read = self.0.manifest.read().await?;
        let head = view::head(&mut *read, &self.0).await?;
        let states = view::all_segment_states(&mut *read, &self.0, &head).await?;
        let count = |value: i64| value.max(0) as u64;
        let mut stats = Stats {
            store: head.store,
            commit: head.commit,
            series: count(head.series_count),
            tail_rows: count(head.tail_rows),
            tail_bytes: count(head.tail_bytes),
            segments: Vec::new(),
            retired_segments: 0,
            retired_bytes: 0,
            pending_files: read.pending().await?.len() as u64,
        };
        for state in states {
            let row = state.row;
            if row.live_pieces == 0 {
                stats.retired_segments += 1;
                stats.retired_bytes += count(row.bytes);
                continue;
            }
            let data_type = data_type_from_code(row.data_type).map_err(|problem| self.0.damaged(problem))?;
            let at = match stats.segments.iter().position(|segments| segments.data_type == data_type) {
                Some(at) => at,
                None => {
                    stats.segments.push(SegmentStats {
                        data_type,
                        segments: 0,
                        bytes: 0,
                        rows: 0,
                        live_rows: 0,
                    });
                    stats.segments.len() - 1
                }
            };
            let segments = &mut stats.segments[at];
            segments.segments += 1;
            segments.bytes += count(row.bytes);
            segments.rows += count(row.rows);
            segments.live_rows += count(row.live_rows);
        }
        stats.segments.sort_by_key(|segments| segments.data_type);
        Ok(stats)
    }
}

/// Counts rows along the plan, in which only what can be read occurs.
fn stats_of(view: &SeriesView, bytes_and_rows: &HashMap<i64, (i64, i64)>) -> SeriesStats {
    let slots = |range: TimeRange| match view.spec.layout {
        Layout::Regular { period, .. } => range.count(period),
        // Rows are at least a tick apart.
        Layout::Irregular => range.ticks() as u64,
    };
    let steps = plan(view, None);
    let (mut direct, mut overlay_slots, mut overlay_rows) = (0_u64, 0_u64, 0_u64);
    let mut seen = HashSet::new();
    for step in &steps {
        match &step.how {
            How::Direct(piece) => {
                direct += slots(step.range);
                seen.insert(*piece);
            }
            How::Overlay(layers) => {
                overlay_slots += slots(step.range);
                for &index in layers.iter().filter(|&&index| view.pieces[index].is_data()) {
                    let piece = &view.pieces[index];
                    let is_new = seen.insert(index);
                    overlay_rows += match step.range.intersection(piece.range) {
                        Some(range) if piece.is_dense() => slots(range),
                        // Where in its range the rows are is not known: they count with the first step.
                        _ if is_new => piece.rows,
                        _ => 0,
                    };
                }
            }
        }
    }
    let rows = direct + overlay_rows.min(overlay_slots);
    let missing: u64 = seen.iter().map(|&index| view.pieces[index].missing).sum();
    let bytes_of = |piece: &Piece| match bytes_and_rows.get(&piece.segment) {
        Some(&(bytes, rows)) if rows > 0 => {
            (u128::from(bytes.max(0) as u64) * u128::from(piece.rows) / rows as u128) as u64
        }
        _ => piece.blob_bytes as u64,
    };
    SeriesStats {
        series: view.id,
        range: steps.iter().map(|step| step.range).reduce(TimeRange::hull),
        rows,
        missing: missing.min(rows),
        bytes: view.pieces.iter().map(bytes_of).sum(),
    }
}
