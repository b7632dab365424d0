//! Values of several paths side by side.

use std::collections::HashMap;

use rayon::prelude::*;
use sheaf_model::{Kind, SamplePeriod, Threshold, TimeRange};
use sheaf_store::{LentBuffer, SampleBuffer, SampleBuffers, Snapshot, StoreError, Watch};

use crate::in_memory::ReadError;
use crate::resolve::{Base, Resolved};
use crate::spread::{Spread, read_spread};
use crate::stored::{Query, Reading, StoredQuery, Usage, read_in_place, read_many_stored};

/// Values that are held at once, of all columns together: 32 MiB.
const MOST_HELD: usize = 1 << 22;

/// So many groups for each thread are enough to keep it busy, one after the other.
const MANY_GROUPS: usize = 8;

/// In how many runs groups are shared out, for each thread.
const RUNS_PER_THREAD: usize = 16;

/// Values of several paths, block by block, in order of time: for each path a column, all of the same length. The iterator
/// blocks while it reads; after an error it ends.
///
/// Paths with the same samples and threshold are read together.
pub struct Columns {
    groups: Vec<Group>,
    paths: usize,
    /// For the threads that read them.
    buffers: SampleBuffers,
    /// Of groups that have ended.
    usage: Usage,
}

/// Values that a group is to have in memory of `all` columns, which share `values`.
fn share(values: usize, columns: usize, all: usize) -> usize {
    usize::try_from(values as u128 * columns as u128 / all.max(1) as u128).unwrap_or(usize::MAX)
}

/// Values of one series.
enum Values {
    Sampled(Box<Reading>),
    /// As many columns that are the same.
    Spread(Box<Spread>, usize),
}

impl Values {
    fn next(&mut self, buffer: Option<&mut SampleBuffer>) -> Option<Result<Vec<Vec<f64>>, ReadError>> {
        match self {
            Values::Sampled(reading) => reading.next_in(buffer),
            Values::Spread(spread, columns) => spread.next().map(|values| Ok(vec![values?; *columns])),
        }
    }

    fn usage(&self) -> Usage {
        match self {
            Values::Sampled(reading) => reading.usage(),
            Values::Spread(..) => Usage::default(),
        }
    }

    fn set_block(&mut self, values: usize) {
        match self {
            Values::Sampled(reading) => reading.set_block(values),
            Values::Spread(spread, columns) => spread.set_block(values / (*columns).max(1)),
        }
    }
}

/// What is read at once.
struct Group {
    values: Values,
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

    /// Reads on if nothing is left; whether something is then. On this thread alone, if there is a buffer for that.
    fn fill(&mut self, mut buffer: Option<&mut SampleBuffer>) -> Result<bool, ReadError> {
        while self.left() == 0 {
            match self.values.next(buffer.as_deref_mut()) {
                Some(block) => (self.block, self.used) = (block?, 0),
                None => return Ok(false),
            }
        }
        Ok(true)
    }
}

/// Begins to read paths over a range, at the period that they share. A threshold in a path comes before `threshold`.
///
/// # Errors
/// As [`read_many_stored`] and [`read_in_place`].
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
    let queries: Vec<(Query, &Base, Vec<usize>)> =
        order.iter().filter_map(|key| queries.remove(key)).collect();
    // Of records nothing else can be asked; whoever does so hears it from the others.
    let is_spread = |query: &Query, base: &Base| {
        base.period().is_none() && query.kinds.iter().all(|&kind| kind == Kind::Spread)
    };
    let stored = queries.iter().filter_map(|(query, base, _)| match base {
        Base::Stored { series, rollups, .. } if !is_spread(query, base) => {
            Some(StoredQuery { series: *series, query: query.clone(), rollups: rollups.as_ref() })
        }
        _ => None,
    });
    let mut stored = read_many_stored(snapshot, stored.collect()).await?.into_iter();
    let mut groups = Vec::with_capacity(queries.len());
    for (query, base, paths) in queries {
        let most_values = share(MOST_HELD, paths.len(), items.len());
        let sampled = |reading: Reading| Values::Sampled(Box::new(reading.in_blocks_of(most_values)));
        let values = match base {
            Base::Stored { series, .. } if is_spread(&query, base) => {
                let spread = read_spread(snapshot, *series, query.period, range).await?;
                Values::Spread(Box::new(spread.in_blocks_of(most_values)), paths.len())
            }
            Base::Stored { series, .. } => sampled(stored.next().ok_or(StoreError::UnknownSeries(*series))?),
            Base::InPlace { source, series, rollups } => {
                sampled(read_in_place(source, series, query, rollups.as_ref())?)
            }
        };
        groups.push(Group { values, paths, block: Vec::new(), used: 0 });
    }
    Ok(Columns { groups, paths: items.len(), buffers: SampleBuffers::default(), usage: Usage::default() })
}

impl Columns {
    /// Where the values that were given so far came from.
    pub fn usage(&self) -> Usage {
        self.groups.iter().map(|group| group.values.usage()).fold(self.usage, Usage::plus)
    }

    /// Whether all values are in memory, so that the iterator does not block.
    pub fn is_at_hand(&self) -> bool {
        self.groups.iter().all(|group| match &group.values {
            Values::Sampled(reading) => reading.is_at_hand(),
            Values::Spread(..) => false,
        })
    }

    /// From now on blocks have so many values at most, of all columns together, but one of each.
    pub fn set_block(&mut self, values: usize) {
        for group in &mut self.groups {
            group.values.set_block(share(values, group.paths.len(), self.paths));
        }
    }

    /// Ends the reading with [`StoreError::Cancelled`] once this is cancelled, as soon as possible.
    pub fn follow(&mut self, watch: &Watch) {
        for group in &mut self.groups {
            if let Values::Sampled(reading) = &mut group.values {
                reading.follow(watch);
            }
        }
    }

    /// Lets go of memory that only makes reading on faster: for a reader who is waited for. Blocks while it puts away what is
    /// worth keeping.
    pub fn release(&mut self) {
        self.buffers = SampleBuffers::default();
        for group in &mut self.groups {
            if group.left() == 0 {
                group.block = Vec::new();
            }
            if let Values::Sampled(reading) = &mut group.values {
                reading.release();
            }
        }
    }

    /// About how many bytes of values and states are in memory between two blocks, without buffers.
    pub fn held_bytes(&self) -> usize {
        let of_group = |group: &Group| {
            let block: usize = group.block.iter().map(|column| column.capacity() * size_of::<f64>()).sum();
            match &group.values {
                Values::Sampled(reading) => block + reading.held_bytes(),
                Values::Spread(..) => block,
            }
        };
        self.groups.iter().map(of_group).sum()
    }

    fn block(&mut self) -> Result<Option<Vec<Vec<f64>>>, ReadError> {
        let filled: Vec<bool> = if self.groups.len() < MANY_GROUPS * rayon::current_num_threads() {
            self.groups.iter_mut().map(|group| group.fill(None)).collect::<Result<_, _>>()?
        } else {
            // Each thread has series enough of its own, and those that follow each other lie in the same pages: a few runs
            // of them for each thread, so that none waits for long at the end.
            let in_a_row = self.groups.len() / (RUNS_PER_THREAD * rayon::current_num_threads());
            let groups = self.groups.par_iter_mut().with_max_len(in_a_row.max(1));
            let fill = |buffer: &mut LentBuffer<'_>, group: &mut Group| group.fill(Some(buffer));
            groups.map_init(|| self.buffers.lend(), fill).collect::<Result<_, _>>()?
        };
        if filled.contains(&false) {
            return Ok(None);
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
