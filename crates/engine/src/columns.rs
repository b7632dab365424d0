//! Values of several paths side by side.

use std::collections::HashMap;

use sheaf_model::{SamplePeriod, Threshold, TimeRange};
use sheaf_store::Snapshot;

use crate::in_memory::ReadError;
use crate::resolve::{Base, Resolved};
use crate::stored::{Query, Reading, Usage, read_in_place, read_stored};

/// Values that are held at once, of all columns together: 64 MiB.
const MOST_HELD: usize = 1 << 23;

/// Values of several paths, block by block, in order of time: for each path a column, all of the same length. The iterator
/// blocks while it reads; after an error it ends.
///
/// Paths with the same samples and threshold are read together.
pub struct Columns {
    groups: Vec<Group>,
    paths: usize,
    /// Of groups that have ended.
    usage: Usage,
}

/// What is read at once.
struct Group {
    reading: Reading,
    /// Which paths its columns belong to.
    paths: Vec<usize>,
    block: Vec<Vec<f64>>,
    /// How much of the block was given out.
    used: usize,
}

impl Group {
    fn left(&self) -> usize {
        self.block.first().map_or(0, |column| column.len().saturating_sub(self.used))
    }
}

/// Begins to read paths over a range, at the period that they share. A threshold in a path comes before `threshold`.
///
/// # Errors
/// As [`read_stored`].
pub async fn read_columns(
    snapshot: &Snapshot,
    items: &[Resolved],
    range: TimeRange,
    threshold: Option<Threshold>,
) -> Result<Columns, ReadError> {
    type Key = (String, Option<SamplePeriod>, SamplePeriod, Option<u64>);
    let mut order: Vec<Key> = Vec::new();
    let mut queries: HashMap<Key, (Query, &Base, Vec<usize>)> = HashMap::new();
    for (at, Resolved { path, base }) in items.iter().enumerate() {
        let threshold = path.threshold().or(threshold);
        let bits = threshold.map(|threshold| threshold.share().to_bits());
        let resource = format!("{}/{}", path.catalog(), path.resource());
        let key = (resource, base.period(), path.period(), bits);
        let (query, _, paths) = queries.entry(key.clone()).or_insert_with(|| {
            order.push(key);
            (Query { kinds: Vec::new(), period: path.period(), range, threshold }, base, Vec::new())
        });
        query.kinds.push(path.kind());
        paths.push(at);
    }
    let mut groups = Vec::with_capacity(order.len());
    for key in order {
        if let Some((query, base, paths)) = queries.remove(&key) {
            let most_values = MOST_HELD * paths.len() / items.len();
            let reading = match base {
                Base::Stored { series, rollups, .. } => {
                    read_stored(snapshot, *series, query, rollups.as_ref()).await?
                }
                Base::InPlace { source, series } => read_in_place(source, series, query)?,
            };
            groups.push(Group {
                reading: reading.in_blocks_of(most_values),
                paths,
                block: Vec::new(),
                used: 0,
            });
        }
    }
    Ok(Columns { groups, paths: items.len(), usage: Usage::default() })
}

impl Columns {
    /// Where the values that were given so far came from.
    pub fn usage(&self) -> Usage {
        self.groups.iter().map(|group| group.reading.usage()).fold(self.usage, Usage::plus)
    }

    fn block(&mut self) -> Result<Option<Vec<Vec<f64>>>, ReadError> {
        for group in &mut self.groups {
            while group.left() == 0 {
                match group.reading.next() {
                    Some(block) => (group.block, group.used) = (block?, 0),
                    None => return Ok(None),
                }
            }
        }
        let rows = self.groups.iter().map(Group::left).min().unwrap_or_default();
        let mut columns = vec![Vec::new(); self.paths];
        for group in &mut self.groups {
            let part = group.used..group.used + rows;
            group.used = part.end;
            for (column, &path) in group.block.iter_mut().zip(&group.paths) {
                // A block that is given out whole is not copied.
                columns[path] = if part.len() == column.len() {
                    std::mem::take(column)
                } else {
                    column[part.clone()].to_vec()
                };
            }
        }
        Ok(Some(columns))
    }
}

impl Iterator for Columns {
    type Item = Result<Vec<Vec<f64>>, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.groups.is_empty() {
            return None;
        }
        let block = self.block().transpose();
        if !matches!(block, Some(Ok(_))) {
            self.usage = self.usage();
            self.groups.clear();
        }
        block
    }
}
