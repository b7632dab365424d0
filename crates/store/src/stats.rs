//! What a store holds, in numbers.

use sheaf_model::DataType;

use crate::error::StoreError;
use crate::series::data_type_from_code;
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

impl Store {
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
