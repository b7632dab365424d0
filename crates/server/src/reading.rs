//! Requests for values, and their values, step by step: for the program, which writes them into files, and for the server,
//! which sends them.

pub(crate) mod buckets;
pub(crate) mod encode;
mod json;
mod record_batches;

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use sheaf_engine::{Base, Columns, ReadError, Resolved, read_columns};
use sheaf_model::legality::{Illegal, check_one_period, check_range};
use sheaf_model::{DataType, SamplePeriod, Threshold, Tick, TimeRange, TimeRangeError};
use sheaf_sources::WriteColumn;
use sheaf_store::{Snapshot, Store, StoreError, Watch};
use tokio::runtime::Handle;

use crate::data::Found;

/// What is read, and from what.
pub(crate) struct Request {
    pub(crate) snapshot: Snapshot,
    pub(crate) items: Vec<Resolved>,
    pub(crate) units: Vec<Option<String>>,
    pub(crate) period: SamplePeriod,
    pub(crate) range: TimeRange,
    pub(crate) threshold: Option<Threshold>,
}

impl Request {
    /// A request for these paths. An end of the range that is not given is that of the samples.
    ///
    /// # Errors
    /// The paths have several periods, the range does not begin and end with values, there are no samples to take it from, or
    /// the store fails.
    pub(crate) async fn new(
        store: &Store,
        found: Vec<Found>,
        begin: Option<Tick>,
        end: Option<Tick>,
        threshold: Option<Threshold>,
    ) -> Result<Request, RequestError> {
        let period = check_one_period(found.iter().map(|found| found.resolved.path.period()))?;
        let period = period.ok_or(RequestError::NoPath)?;
        let snapshot = snapshot(store, &found).await?;
        let (begin, end) = match (begin, end) {
            (Some(begin), Some(end)) => (begin, end),
            (begin, end) => {
                let hull = hull(&snapshot, &found)?.ok_or(RequestError::NoSamples)?;
                let hull = period.widen(hull)?;
                (begin.unwrap_or(hull.begin()), end.unwrap_or(hull.end()))
            }
        };
        let range = TimeRange::new(begin, end)?;
        check_range(period, range)?;
        let (items, units) = found.into_iter().map(|found| (found.resolved, found.unit)).unzip();
        Ok(Request { snapshot, items, units, period, range, threshold })
    }

    /// Values of each path.
    pub(crate) fn rows(&self) -> u64 {
        self.range.count(self.period)
    }

    /// Values of all paths.
    pub(crate) fn values(&self) -> u64 {
        self.rows().saturating_mul(self.items.len() as u64)
    }

    /// The columns of a table of the values.
    pub(crate) fn columns(&self) -> Vec<WriteColumn> {
        let column = |(item, unit): (&Resolved, &Option<String>)| WriteColumn {
            title: item.path.to_string(),
            unit: unit.clone(),
            data_type: DataType::Float64,
        };
        self.items.iter().zip(&self.units).map(column).collect()
    }
}

/// One state of all series of the store behind these paths.
pub(crate) async fn snapshot(store: &Store, found: &[Found]) -> Result<Snapshot, StoreError> {
    let stored = found.iter().filter_map(|found| match &found.resolved.base {
        Base::Stored { series, .. } => Some(*series),
        Base::InPlace { .. } => None,
    });
    // Mostly they are in memory as they are now.
    store.snapshot_at(store.now().await?, &stored.collect::<Vec<_>>()).await
}

/// From the first to the last sample of all series behind these paths.
pub(crate) fn hull(snapshot: &Snapshot, found: &[Found]) -> Result<Option<TimeRange>, StoreError> {
    let mut hull: Option<TimeRange> = None;
    for found in found {
        let range = match &found.resolved.base {
            Base::Stored { series, .. } => snapshot.range(*series)?,
            // Of what never ends nobody wants all.
            Base::InPlace { series, .. } => series.range.filter(|_| !series.is_endless()),
        };
        if let Some(range) = range {
            hull = Some(hull.map_or(range, |hull| hull.hull(range)));
        }
    }
    Ok(hull)
}

/// Something that can't be read like that.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    /// Nothing is asked for.
    #[error("there is no path to read")]
    NoPath,
    /// Nobody says from when to when.
    #[error("these series have no samples, or no end: say from when to when with `begin` and `end`")]
    NoSamples,
    /// Periods and range do not fit each other.
    #[error(transparent)]
    Illegal(#[from] Illegal),
    /// The range is none.
    #[error(transparent)]
    Range(#[from] TimeRangeError),
    /// The store can't say what there is.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// In which order values come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Blocks with a column for each path.
    SideBySide,
    /// All values of a path, then those of the next one. So many values at most are held of short series, which are read
    /// together, but of so many paths at least.
    OneByOne {
        /// The values.
        most_values: u64,
        /// The paths.
        fewest_paths: usize,
    },
}

/// What comes next of the values.
pub(crate) enum Step {
    /// The values of the path with this number come.
    Begin(usize),
    /// Some of them.
    Values(Vec<f64>),
    /// That was all of the path.
    End,
    /// Values of all paths: a column for each, all of the same length.
    Block(Vec<Vec<f64>>),
}

/// The values of a request, step by step.
pub(crate) struct Steps {
    request: Arc<Request>,
    runtime: Handle,
    watch: Watch,
    /// Paths that are read together, and whether they are handed on side by side.
    together: usize,
    is_side_by_side: bool,
    /// What is being read.
    columns: Option<Columns>,
    paths: Range<usize>,
    ready: VecDeque<Step>,
}

impl Steps {
    /// The values in this order. Reading asks the database for help on a runtime, and ends early when `watch` is cancelled.
    pub(crate) fn new(request: Arc<Request>, order: Order, runtime: Handle, watch: Watch) -> Steps {
        let all = request.items.len();
        let together = match order {
            Order::SideBySide => all,
            Order::OneByOne { most_values, fewest_paths } => {
                let together = usize::try_from(most_values / request.rows().max(1)).unwrap_or(usize::MAX);
                together.max(fewest_paths).clamp(1, all.max(1))
            }
        };
        Steps {
            request,
            runtime,
            watch,
            together,
            is_side_by_side: order == Order::SideBySide,
            columns: None,
            paths: 0..0,
            ready: VecDeque::new(),
        }
    }

    /// The next step; `None` after the last one. Of values that are read now, so many come at most, of all paths together.
    /// Blocks.
    pub(crate) fn next(&mut self, most_values: usize) -> Result<Option<Step>, ReadError> {
        loop {
            if let Some(step) = self.ready.pop_front() {
                return Ok(Some(step));
            }
            let Some(mut columns) = self.columns.take() else {
                if self.paths.end >= self.request.items.len() {
                    return Ok(None);
                }
                self.begin()?;
                continue;
            };
            columns.set_block(most_values);
            let is_alone = !self.is_side_by_side && self.paths.len() == 1;
            if !self.is_side_by_side && !is_alone {
                self.gather(columns)?;
                continue;
            }
            match columns.next().transpose()? {
                Some(mut block) => {
                    self.columns = Some(columns);
                    let values = if is_alone { block.pop() } else { None };
                    return Ok(Some(values.map_or(Step::Block(block), Step::Values)));
                }
                None => self.ready.extend(is_alone.then_some(Step::End)),
            }
        }
    }

    /// Begins to read what comes first, if that was not done yet. Returns whether all values there are lie in memory, so that no
    /// step blocks.
    pub(crate) async fn begin_first(&mut self) -> Result<bool, ReadError> {
        if self.columns.is_none() && self.paths.end == 0 {
            let paths = self.next_paths();
            let columns = self.read(paths.clone()).await?;
            self.start(paths, columns);
        }
        let are_all = self.paths.end >= self.request.items.len();
        Ok(are_all && self.columns.as_ref().is_some_and(Columns::is_at_hand))
    }

    /// Begins to read the next paths. Blocks.
    fn begin(&mut self) -> Result<(), ReadError> {
        let paths = self.next_paths();
        let columns = self.runtime.block_on(self.read(paths.clone()))?;
        self.start(paths, columns);
        Ok(())
    }

    fn next_paths(&self) -> Range<usize> {
        self.paths.end..self.request.items.len().min(self.paths.end + self.together)
    }

    async fn read(&self, paths: Range<usize>) -> Result<Columns, ReadError> {
        let Request { snapshot, items, range, threshold, .. } = &*self.request;
        read_columns(snapshot, &items[paths], *range, *threshold).await
    }

    fn start(&mut self, paths: Range<usize>, mut columns: Columns) {
        columns.follow(&self.watch);
        self.columns = Some(columns);
        self.paths = paths;
        if !self.is_side_by_side && self.paths.len() == 1 {
            self.ready.push_back(Step::Begin(self.paths.start));
        }
    }

    /// Reads all values of short series.
    fn gather(&mut self, columns: Columns) -> Result<(), ReadError> {
        let mut all: Vec<Vec<f64>> = vec![Vec::new(); self.paths.len()];
        for block in columns {
            for (all, values) in all.iter_mut().zip(block?) {
                if all.is_empty() { *all = values } else { all.extend(values) }
            }
        }
        for (path, values) in self.paths.clone().zip(all) {
            self.ready.extend([Step::Begin(path), Step::Values(values), Step::End]);
        }
        Ok(())
    }

    /// Lets go of memory that only makes reading on faster.
    pub(crate) fn release(&mut self) {
        self.columns.iter_mut().for_each(Columns::release);
    }

    /// About how many bytes are in memory between two steps.
    pub(crate) fn held_bytes(&self) -> usize {
        let ready = self.ready.iter().map(|step| match step {
            Step::Values(values) => values.capacity() * size_of::<f64>(),
            _ => 0,
        });
        ready.sum::<usize>() + self.columns.as_ref().map_or(0, Columns::held_bytes)
    }
}
