//! Open segments: their footers are parsed once.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::sync::{Arc, Mutex, PoisonError};

use sheaf_model::DataType;

use crate::disk::Disk;
use crate::error::{SeriesName, StoreError};
use crate::manifest::{SegmentRow, SegmentStateRow, Stored};
use crate::publish::file_name;
use crate::segment::{SegmentFacts, SegmentReader};
use crate::series::data_type_from_code;
use crate::store::Inner;

/// The most segments that are kept open. Each holds a file descriptor, of which a process has 1 024 as a rule.
const MOST_OPEN: usize = 256;

/// Open segments, the most recently used ones.
#[derive(Debug, Default)]
pub(crate) struct SegmentCache(Mutex<Open>);

#[derive(Debug, Default)]
struct Open {
    clock: u64,
    readers: HashMap<i64, (Arc<SegmentReader>, u64)>,
}

impl SegmentCache {
    fn get(&self, nonce: i64) -> Option<Arc<SegmentReader>> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.clock += 1;
        let clock = open.clock;
        let (reader, used) = open.readers.get_mut(&nonce)?;
        *used = clock;
        Some(reader.clone())
    }

    fn put(&self, nonce: i64, reader: &Arc<SegmentReader>) {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if open.readers.len() >= MOST_OPEN
            && let Some(oldest) =
                open.readers.iter().min_by_key(|(_, (_, used))| *used).map(|(&nonce, _)| nonce)
        {
            open.readers.remove(&oldest);
        }
        let clock = open.clock;
        open.readers.insert(nonce, (reader.clone(), clock));
    }

    pub(crate) fn forget(&self, nonce: i64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).readers.remove(&nonce);
    }
}

/// The segments that some scans may need, by their ids, and where to find them.
pub(crate) struct SegmentsOf {
    inner: Arc<Inner>,
    facts: HashMap<i64, (i64, SegmentFacts)>,
    /// The first ones that were opened: the files stay readable when they are removed, and when the cache forgets them.
    held: Mutex<HashMap<i64, Arc<SegmentReader>>>,
}

/// So many segments scans that were made together hold open at most.
pub(crate) const MOST_HELD: usize = 128;

impl SegmentsOf {
    pub(crate) fn new(inner: Arc<Inner>, facts: HashMap<i64, (i64, SegmentFacts)>) -> SegmentsOf {
        SegmentsOf { inner, facts, held: Mutex::default() }
    }

    /// The reader of segment `id`, which has values of this type, for `series`.
    pub(crate) fn open(
        &self,
        id: i64,
        data_type: DataType,
        series: &SeriesName,
    ) -> Result<Arc<SegmentReader>, StoreError> {
        let damaged = |problem| StoreError::DamagedSeries {
            database: self.inner.manifest.describe(),
            series: series.clone(),
            problem,
        };
        let Some((nonce, facts)) = self.facts.get(&id) else {
            return Err(damaged(format!("it lies in segment {id}, which is not listed")));
        };
        if facts.data_type != data_type {
            return Err(damaged(format!(
                "it has {data_type} values, but segment {id} has {}",
                facts.data_type
            )));
        }
        if let Some(reader) = self.held.lock().unwrap_or_else(PoisonError::into_inner).get(&id) {
            return Ok(reader.clone());
        }
        if let Some(reader) = self.inner.readers.get(*nonce) {
            self.hold(id, &reader);
            return Ok(reader);
        }
        let reader = open(&*self.inner.disk, *nonce, facts, series)?;
        self.inner.readers.put(*nonce, &reader);
        self.hold(id, &reader);
        Ok(reader)
    }

    fn hold(&self, id: i64, reader: &Arc<SegmentReader>) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.len() < MOST_HELD {
            held.insert(id, reader.clone());
        }
    }
}

fn open(
    disk: &dyn Disk,
    nonce: i64,
    facts: &SegmentFacts,
    series: &SeriesName,
) -> Result<Arc<SegmentReader>, StoreError> {
    let name = file_name(nonce);
    match SegmentReader::open(disk, &name, facts) {
        Ok(reader) => Ok(Arc::new(reader)),
        Err(error) if error.io_kind() == Some(ErrorKind::NotFound) => {
            Err(StoreError::Vanished { series: series.clone(), file: disk.describe(&name) })
        }
        Err(source) => Err(StoreError::Segment { series: series.clone(), source: Box::new(source) }),
    }
}

/// The facts of a segment from its two rows, verified; the text says what is wrong.
pub(crate) fn facts(
    segment: Stored<SegmentRow>,
    state: &Stored<SegmentStateRow>,
) -> Result<(i64, SegmentFacts), String> {
    if !segment.is_intact() || !state.is_intact() {
        return Err(format!("the row of segment {} does not match its checksum", segment.row.id));
    }
    let row = segment.row;
    let data_type: DataType = data_type_from_code(row.data_type)?;
    let (sums, rest) = row.block_sums.as_chunks::<8>();
    if !rest.is_empty() || row.rows < 0 || row.bytes < 0 {
        return Err(format!("the row of segment {} makes no sense", row.id));
    }
    let facts = SegmentFacts {
        data_type,
        rows: row.rows as u64,
        bytes: row.bytes as u64,
        has_estimated: row.has_estimated != 0,
        block_sums: sums.iter().map(|&sum| u64::from_le_bytes(sum)).collect(),
    };
    Ok((state.row.file_nonce, facts))
}
