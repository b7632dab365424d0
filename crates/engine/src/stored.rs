//! Samples in the store, read at another period: job by job, on all cores, in bounded memory.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;
use sheaf_kernels::{DEFAULT_THRESHOLD, Family, Gate, Grid, StateVec, Statistic};
use sheaf_model::legality::{check_base, check_range};
use sheaf_model::{
    DataType, Kind, RepresentationId, ResourceId, SamplePeriod, Samples, Threshold, Tick, TimeRange,
};
use sheaf_sources::{DataSource, SourceError, SourceSeries};
use sheaf_store::{
    Layout, Rollups, SampleBuffer, SampleBuffers, Scan, SeriesId, Snapshot, StoreError, Watch,
};

use crate::finalize::family;
use crate::in_memory::{ReadError, run};
use crate::kept::{Kept, Place, Validated, pays, states_per_chunk};
use crate::kept_values::{KeptValues, VALUES_PER_CHUNK, ValuePlace};
use crate::ladder::{JOB_SLOTS, Ladder};
use crate::resolve::SourceRollups;
use crate::rollup_key::{Folded, RollupKey, ValueKey, Whose};
use crate::statistic;
use crate::validity::{SourceReading, Stamp, Validity, Verdict};

/// Jobs that are given to the threads at once, for each of them: enough that none waits for long, few enough that what
/// comes of them stays small.
const JOBS_PER_THREAD: usize = 8;

/// The same where of many samples comes one value: so many that waiting for the last job does not show.
const JOBS_PER_THREAD_OF_FEW_VALUES: usize = 64;

/// What is few values of a job.
const FEW_VALUES: u64 = 1024;

/// Jobs that a thread does one after the other: what the end of one and the begin of the next share is read once.
const JOBS_IN_A_ROW: usize = 4;

/// Samples that are folded at a time, as far as buckets allow: they are read and folded in the second-level cache of a
/// core, beside the bytes they come from.
const PART_SLOTS: u64 = 1 << 14;

/// States of buckets that a thread makes values of at a time.
const PART_STATES: i64 = 4096;

/// Values that are looked up without another thread, of all columns together: some pages of the file, which are in memory for the
/// most part. To wait for a thread takes longer.
const FEW_TO_OPEN: u64 = 1 << 14;

/// States whose values are looked for ahead of those that are loaded: more of them as long as all are found.
const FEWEST_AHEAD: i64 = 1 << 14;
const MOST_AHEAD: i64 = 1 << 17;

/// What is asked of a series: kinds at one period, over a range.
#[derive(Clone, Debug)]
pub struct Query {
    /// The kinds, one column of values for each.
    pub kinds: Vec<Kind>,
    /// The period of the values.
    pub period: SamplePeriod,
    /// From the begin of the first value to the end of the last one.
    pub range: TimeRange,
    /// The share of valid samples that a value needs; 0.99 if none is given.
    pub threshold: Option<Threshold>,
}

/// Where the values of a reading came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Buckets at the fold period that rollups had the answer for, as states or as values.
    pub kept_buckets: u64,
    /// Buckets at the fold period that were folded from samples.
    pub folded_buckets: u64,
    /// Slots of samples that were read.
    pub scanned_samples: u64,
}

impl Usage {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Usage) -> Usage {
        Usage {
            kept_buckets: self.kept_buckets + other.kept_buckets,
            folded_buckets: self.folded_buckets + other.folded_buckets,
            scanned_samples: self.scanned_samples + other.scanned_samples,
        }
    }
}

/// Where samples are read from.
enum Origin {
    Stored(Box<Scan>),
    InPlace(Arc<dyn DataSource>, ResourceId),
}

/// What keeps states of a reading.
struct Keeping<'a> {
    rollups: &'a Arc<Rollups>,
    of: Whose,
    by: JudgedBy,
    /// How many series are read together.
    together: usize,
}

/// By what kept states are judged.
enum JudgedBy {
    /// The history of a snapshot with this stamp.
    Snapshot(Stamp),
    Source(Arc<SourceReading>),
}

impl JudgedBy {
    fn validity(&self, chunk_ticks: i64) -> Validity {
        match self {
            JudgedBy::Snapshot(stamp) => Validity::of_snapshot(*stamp),
            JudgedBy::Source(reading) => Validity::of_source(reading.clone(), chunk_ticks),
        }
    }
}

/// The values of a query, block by block, in order of time. The iterator blocks while it reads; after an error it ends.
/// Dropped before its end, it reads no further.
///
/// A block has a column for each kind, all of the same length. Values are `f64`, so integers beyond 2⁵³ are rounded. What
/// lies outside the samples is missing. The same snapshot always gives the same bits, with and without rollups.
pub struct Reading {
    /// None where what is kept answers all.
    origin: Option<Origin>,
    base: SamplePeriod,
    query: Query,
    ladder: Ladder,
    /// The statistic of each kind, and the family of states that it is made of.
    statistics: Vec<Option<(Statistic, Family)>>,
    /// Values that were given before, where states are kept of all families.
    values: Option<KeptValues>,
    /// What to begin before anything is read of a source of which states are kept.
    of_source: Option<Arc<SourceReading>>,
    /// Those of the families whose states are kept, at the fold period and of steps.
    kept: BTreeMap<Family, Kept>,
    kept_steps: BTreeMap<Family, Kept>,
    gate: Option<Gate>,
    /// Begin of the first value that has not been read.
    next: i64,
    usage: Usage,
    /// The most values of a column in a block.
    most_values: u64,
    /// States to look for ahead of those that are loaded.
    ahead: i64,
    /// For the threads that do its jobs.
    buffers: SampleBuffers,
    watch: Watch,
}

/// A query of a series of the store, with the help of rollups, if there are any, and adding to them.
pub struct StoredQuery<'a> {
    /// The series.
    pub series: SeriesId,
    /// What is asked of it.
    pub query: Query,
    /// Where states of it are kept.
    pub rollups: Option<&'a Arc<Rollups>>,
}

/// Begins to read a series of a snapshot.
///
/// # Errors
/// As [`read_many_stored`].
pub async fn read_stored(
    snapshot: &Snapshot,
    series: SeriesId,
    query: Query,
    rollups: Option<&Arc<Rollups>>,
) -> Result<Reading, ReadError> {
    let mut readings = read_many_stored(snapshot, vec![StoredQuery { series, query, rollups }]).await?;
    readings.pop().ok_or_else(|| StoreError::UnknownSeries(series).into())
}

/// Begins to read several series of a snapshot, one reading for each query. The database and the rollups are asked no
/// more often than for one.
///
/// # Errors
/// A series is not part of the snapshot or irregular, what [`sheaf_model::legality`] forbids, or what
/// [`Snapshot::scans`] says. Rollups cause none.
pub async fn read_many_stored(
    snapshot: &Snapshot,
    wanted: Vec<StoredQuery<'_>>,
) -> Result<Vec<Reading>, ReadError> {
    let series: Vec<SeriesId> = wanted.iter().map(|wanted| wanted.series).collect();
    let readings = wanted.into_iter().map(|wanted| reading(snapshot, wanted, series.len()));
    let readings: Vec<Reading> = readings.collect::<Result<_, _>>()?;
    // Each is looked for where what comes before it is not enough.
    let columns = |reading: &Reading| reading.values().saturating_mul(reading.statistics.len() as u64);
    let are_few = readings.iter().map(columns).fold(0, u64::saturating_add) <= FEW_TO_OPEN;
    let readings = open_kept(snapshot, &series, readings, are_few, Reading::kept_values).await?;
    let readings =
        open_kept(snapshot, &series, readings, false, |reading| each(&mut reading.kept_steps)).await?;
    let mut readings =
        open_kept(snapshot, &series, readings, false, |reading| each(&mut reading.kept)).await?;
    let (mut unanswered, mut scans) = (Vec::new(), Vec::new());
    for (reading, &series) in readings.iter_mut().zip(&series) {
        if !reading.is_answered() {
            // Samples that values are held from may begin before the range, and end after it.
            scans.push((series, Some(slots(reading.base, reading.query.range)?)));
            unanswered.push(reading);
        }
    }
    for (reading, scan) in unanswered.into_iter().zip(snapshot.scans(&scans).await?) {
        reading.origin = Some(Origin::Stored(Box::new(scan)));
    }
    Ok(readings)
}

/// A reading that has no samples yet, and has not looked into rollups; one of so many.
fn reading(snapshot: &Snapshot, wanted: StoredQuery<'_>, together: usize) -> Result<Reading, ReadError> {
    let StoredQuery { series, query, rollups } = wanted;
    let spec = snapshot.spec(series)?;
    let Layout::Regular { period: base, .. } = spec.layout else {
        return Err(ReadError::Irregular { key: spec.key.clone() });
    };
    let keeping = rollups.map(|rollups| Keeping {
        rollups,
        of: Whose::Stored { store: snapshot.store_id(), series },
        by: JudgedBy::Snapshot((snapshot.commit(), snapshot.nonce())),
        together,
    });
    reading_of(base, spec.data_type, query, keeping)
}

/// Begins to read a series of a source, with the help of rollups, if there are any, and adding to them. Nothing is asked
/// of the source yet.
///
/// # Errors
/// What [`sheaf_model::legality`] forbids.
pub fn read_in_place(
    source: &Arc<dyn DataSource>,
    series: &SourceSeries,
    query: Query,
    rollups: Option<&SourceRollups>,
) -> Result<Reading, ReadError> {
    let keeping = match rollups {
        Some(SourceRollups { rollups, source: identity }) => {
            let (ladder, _) = checked(series.period, series.data_type, &query)?;
            let most_states = Family::ALL.into_iter().map(states_per_chunk).max().unwrap_or_default() as i64;
            let longest = (ladder.per_step() as i64 * series.period.ticks()).saturating_mul(most_states);
            let longest = longest.max(query.period.ticks().saturating_mul(VALUES_PER_CHUNK));
            let reading = Arc::new(SourceReading::new(source, series, query.range, longest));
            let of = Whose::in_place(*identity, &series.resource);
            Some(Keeping { rollups, of, by: JudgedBy::Source(reading), together: 1 })
        }
        None => None,
    };
    let reading = reading_of(series.period, series.data_type, query, keeping)?;
    Ok(Reading { origin: Some(Origin::InPlace(source.clone(), series.resource.clone())), ..reading })
}

/// A reading that has no samples yet, and has not looked into rollups.
fn reading_of(
    base: SamplePeriod,
    data_type: DataType,
    query: Query,
    keeping: Option<Keeping<'_>>,
) -> Result<Reading, ReadError> {
    let (ladder, gate) = checked(base, data_type, &query)?;
    let is_kept = |family| keeping.is_some() && pays(family, ladder.per_fold, data_type);
    let statistics: Vec<_> = query
        .kinds
        .iter()
        .map(|&kind| statistic(kind).map(|statistic| (statistic, family(statistic, is_kept))))
        .collect();
    let kept_at = |samples: u64| -> BTreeMap<Family, Kept> {
        let Some(keeping) = &keeping else { return BTreeMap::new() };
        let families =
            statistics.iter().flatten().map(|&(_, family)| family).filter(|&family| is_kept(family));
        let kept = |family| {
            let fold_period_ticks = samples as i64 * base.ticks();
            let folded = Folded { of: keeping.of.clone(), base };
            let chunk_ticks = fold_period_ticks.saturating_mul(states_per_chunk(family) as i64);
            let place = Place {
                rollups: keeping.rollups.clone(),
                key: RollupKey { folded, family, fold_period_ticks },
                validity: keeping.by.validity(chunk_ticks),
                range: query.range,
                data_type,
                together: keeping.together,
            };
            (family, Kept::new(place))
        };
        families.map(kept).collect()
    };
    let kept = kept_at(ladder.per_fold);
    let kept_steps = if ladder.has_steps() { kept_at(ladder.per_step()) } else { BTreeMap::new() };
    let next = query.range.begin().ticks();
    let mut reading = Reading {
        origin: None,
        base,
        query,
        ladder,
        statistics,
        values: None,
        of_source: None,
        kept,
        kept_steps,
        gate,
        next,
        usage: Usage::default(),
        most_values: u64::MAX,
        ahead: FEWEST_AHEAD,
        buffers: SampleBuffers::default(),
        watch: Watch::default(),
    };
    let Some(keeping) = keeping else { return Ok(reading) };
    if let JudgedBy::Source(source) = &keeping.by
        && !reading.kept.is_empty()
    {
        reading.of_source = Some(source.clone());
    }
    if let (Some(gate), true) = (gate, reading.is_kept_alone()) {
        let period_ticks = reading.query.period.ticks();
        reading.values = Some(KeptValues::new(ValuePlace {
            rollups: keeping.rollups.clone(),
            key: ValueKey { folded: Folded { of: keeping.of, base }, period_ticks, gate },
            statistics: reading.statistics.iter().flatten().map(|(statistic, _)| *statistic).collect(),
            validity: keeping.by.validity(period_ticks.saturating_mul(VALUES_PER_CHUNK)),
            range: reading.query.range,
            together: keeping.together,
        }));
    }
    Ok(reading)
}

/// Whether samples of this period and type can answer a query, and how.
fn checked(
    base: SamplePeriod,
    data_type: DataType,
    query: &Query,
) -> Result<(Ladder, Option<Gate>), ReadError> {
    for &kind in &query.kinds {
        check_base(RepresentationId { period: query.period, kind }, base, data_type)?;
    }
    check_range(query.period, query.range)?;
    let aggregates = query.kinds.iter().any(|&kind| statistic(kind).is_some());
    // Kinds that aggregate nothing need no ladder; any one will do.
    let ladder = Ladder::new(base, if aggregates { query.period } else { base });
    let gate = aggregates
        .then(|| {
            let share = query.threshold.map_or(DEFAULT_THRESHOLD, Threshold::share);
            Gate::new(ladder.per_bucket(), share)
        })
        .transpose()?;
    Ok((ladder, gate))
}

/// The states of each family.
fn each(kept: &mut BTreeMap<Family, Kept>) -> Vec<&mut dyn Validated> {
    kept.values_mut().map(|kept| kept as &mut dyn Validated).collect()
}

/// Opens what is kept, and validates it against the snapshot; not of readings that have all they need. What is little is opened
/// on the spot.
async fn open_kept(
    snapshot: &Snapshot,
    series: &[SeriesId],
    mut readings: Vec<Reading>,
    is_little: bool,
    kept: fn(&mut Reading) -> Vec<&mut dyn Validated>,
) -> Result<Vec<Reading>, ReadError> {
    if readings.iter_mut().all(|reading| reading.is_answered() || kept(reading).is_empty()) {
        return Ok(readings);
    }
    let own = (snapshot.commit(), snapshot.nonce());
    let open = move || {
        let open = |reading: &mut Reading| match reading.is_answered() {
            true => HashSet::new(),
            false => kept(reading).into_iter().flat_map(Validated::open).collect(),
        };
        let mut stamps: Vec<HashSet<Stamp>> = readings.iter_mut().map(open).collect();
        for stamps in &mut stamps {
            stamps.remove(&own);
        }
        (readings, stamps)
    };
    let (mut readings, stamps) = if is_little {
        open()
    } else {
        tokio::task::spawn_blocking(open).await.map_err(|error| StoreError::Task(error.to_string()))?
    };
    let all: Vec<Stamp> = stamps.iter().flatten().copied().collect::<HashSet<_>>().into_iter().collect();
    // If that can't be said, what is kept is of no use now.
    let remembered = snapshot.remembers(&all).await.unwrap_or_else(|_| vec![false; all.len()]);
    let remembered: HashMap<Stamp, bool> = all.into_iter().zip(remembered).collect();
    for ((reading, &series), stamps) in readings.iter_mut().zip(series).zip(stamps) {
        let mut verdicts = HashMap::new();
        for stamp in stamps {
            let verdict = match remembered.get(&stamp) {
                Some(true) if stamp.0 > snapshot.commit() => Verdict::Apart,
                Some(true) => Verdict::Past(snapshot.changed_since(series, stamp.0)?),
                _ => Verdict::Void,
            };
            verdicts.insert(stamp, verdict);
        }
        kept(reading).into_iter().try_for_each(|kept| kept.judge(&verdicts))?;
    }
    Ok(readings)
}

/// What a job makes of its range.
struct Done {
    /// States that are merged as it was asked for.
    merged: BTreeMap<Family, StateVec>,
    /// States at the fold period that were not kept, from which bucket on.
    new: Vec<(i64, BTreeMap<Family, StateVec>)>,
    /// States of all steps, where there are any and they are to be kept.
    steps: Option<(i64, BTreeMap<Family, StateVec>)>,
    /// The samples of the range, where they are needed beside the states.
    samples: Option<Samples>,
    usage: Usage,
}

/// Buckets whose states are kept.
struct KeptPart {
    columns: Vec<Vec<f64>>,
    /// States of steps that were not kept, and shall be.
    steps: BTreeMap<Family, StateVec>,
}

impl Reading {
    /// The values that are kept, if any are.
    fn kept_values(&mut self) -> Vec<&mut dyn Validated> {
        self.values.iter_mut().map(|values| values as &mut dyn Validated).collect()
    }

    /// How many values each column has in all.
    pub fn values(&self) -> u64 {
        self.query.range.count(self.query.period)
    }

    /// The same in blocks of so many values at most, of all columns together, but of one for each: for those who read many
    /// series at once.
    #[must_use]
    pub fn in_blocks_of(mut self, values: usize) -> Reading {
        self.set_block(values);
        self
    }

    /// As [`Reading::in_blocks_of`], from the next block on.
    pub fn set_block(&mut self, values: usize) {
        self.most_values = (values / self.statistics.len().max(1)).max(1) as u64;
    }

    /// Ends with [`StoreError::Cancelled`] once this is cancelled.
    pub(crate) fn follow(&mut self, watch: &Watch) {
        self.watch = watch.clone();
    }

    /// Lets go of memory that only makes reading on faster; what was folded and is worth keeping is put away. Blocks.
    pub fn release(&mut self) {
        self.buffers = SampleBuffers::default();
        // Without samples to read, what is loaded is all there is.
        if self.origin.is_none() {
            return;
        }
        let from = self.fold_at(self.next);
        self.kept.values_mut().for_each(|kept| kept.release(from));
        let step = from.div_euclid(self.ladder.folds_per_step as i64);
        self.kept_steps.values_mut().for_each(|kept| kept.release(step));
        self.values.iter_mut().for_each(KeptValues::release);
    }

    /// About how many bytes of values and states are in memory.
    pub(crate) fn held_bytes(&self) -> usize {
        let states = self.kept.values().chain(self.kept_steps.values()).map(Kept::held_bytes);
        states.sum::<usize>() + self.values.as_ref().map_or(0, KeptValues::held_bytes)
    }

    fn most_values(&self) -> i64 {
        i64::try_from(self.most_values).unwrap_or(i64::MAX)
    }

    /// Where the values that were given so far came from.
    pub fn usage(&self) -> Usage {
        self.usage
    }

    /// Whether all values are in memory, so that the iterator does not block.
    pub fn is_at_hand(&self) -> bool {
        self.values.as_ref().is_some_and(KeptValues::is_answered)
    }

    /// Values in a job; 0 where one takes several jobs.
    fn values_per_job(&self) -> u64 {
        if self.gate.is_some() {
            return self.ladder.buckets_per_job().min(self.most_values);
        }
        // As many as there are slots under them, and no more than that of them.
        let (base, period) = (self.base.ticks(), self.query.period.ticks());
        (JOB_SLOTS as i64 / (period / base).max(1)).unsigned_abs().min(self.most_values)
    }

    /// The next values, and an error but once: on this thread alone, with samples read into `buffer`, if there is one. That
    /// is for those who read many series, each behind the one before.
    pub(crate) fn next_in(
        &mut self,
        buffer: Option<&mut SampleBuffer>,
    ) -> Option<Result<Vec<Vec<f64>>, ReadError>> {
        let end = self.query.range.end().ticks();
        if self.next >= end {
            return None;
        }
        let block = self.block(buffer);
        if block.is_err() {
            self.next = end;
        }
        if self.next >= end {
            // Nothing of it is needed any more, and there may be thousands of others.
            self.values = None;
            self.kept.clear();
            self.kept_steps.clear();
            self.origin = None;
            self.buffers = SampleBuffers::default();
        }
        Some(block)
    }

    fn block(&mut self, buffer: Option<&mut SampleBuffer>) -> Result<Vec<Vec<f64>>, ReadError> {
        if let Some(source) = &self.of_source {
            source.begin()?;
        }
        let most = self.most_values();
        let Some(values) = &mut self.values else { return self.made(buffer) };
        let first = values.number(self.next);
        if let Some(columns) = values.take(first, most)? {
            let count = columns.first().map_or(0, Vec::len);
            self.next += count as i64 * self.query.period.ticks();
            self.usage.kept_buckets += count as u64 * self.ladder.folds();
            return Ok(columns);
        }
        let columns = self.made(buffer)?;
        if let Some(values) = &mut self.values {
            values.add(first, &columns, self.ladder.per_bucket());
        }
        Ok(columns)
    }

    /// The next values, made of states or samples.
    fn made(&mut self, buffer: Option<&mut SampleBuffer>) -> Result<Vec<Vec<f64>>, ReadError> {
        self.watch.step("reading", 0, 0)?;
        if let Some(columns) = self.ahead()? {
            return Ok(columns);
        }
        if let Some(columns) = self.kept_buckets()? {
            return Ok(columns);
        }
        let (period, end) = (self.query.period.ticks(), self.query.range.end().ticks());
        match self.values_per_job() {
            0 => {
                let bucket = ticks(self.next, self.next + period)?;
                self.next += period;
                self.large_bucket(bucket)
            }
            values => {
                let per_thread = if self.gate.is_some() && values <= FEW_VALUES {
                    JOBS_PER_THREAD_OF_FEW_VALUES
                } else {
                    JOBS_PER_THREAD
                };
                let most = usize::try_from(self.most_values / values).unwrap_or(usize::MAX);
                let most = most.min(rayon::current_num_threads() * per_thread);
                let jobs = next_jobs(&mut self.next, values as i64 * period, end, most)?;
                self.cover(&jobs)?;
                let parts: Vec<(Vec<Vec<f64>>, Done)> = match buffer {
                    Some(buffer) => jobs
                        .into_iter()
                        .map(|job| self.small_buckets(job, buffer))
                        .collect::<Result<_, _>>()?,
                    None => jobs
                        .into_par_iter()
                        .with_min_len(JOBS_IN_A_ROW / 2)
                        .with_max_len(JOBS_IN_A_ROW)
                        .map_init(|| self.buffers.lend(), |buffer, job| self.small_buckets(job, buffer))
                        .collect::<Result<_, _>>()?,
                };
                let mut columns: Vec<Vec<f64>> = vec![Vec::new(); self.statistics.len()];
                for (part, done) in parts {
                    self.keep(done)?;
                    append_columns(&mut columns, part);
                }
                Ok(columns)
            }
        }
    }

    /// The next values straight from what is kept, where the buckets that are folded are those that are wanted, and not
    /// loaded.
    fn ahead(&mut self) -> Result<Option<Vec<Vec<f64>>>, ReadError> {
        let Some(gate) = self.gate.filter(|_| self.ladder.folds() == 1 && self.is_kept_alone()) else {
            return Ok(None);
        };
        let from = self.fold_at(self.next);
        if self.kept.values().any(|kept| kept.is_covered(from)) {
            return Ok(None);
        }
        let most = self.ahead.min(self.most_values());
        let end = self.fold_at(self.query.range.end().ticks()).min(from + most);
        let mut columns: Vec<Vec<f64>> = vec![Vec::new(); self.statistics.len()];
        for (&family, kept) in &self.kept {
            let wanted = self.statistics.iter().enumerate().filter_map(|(at, wanted)| Some((at, (*wanted)?)));
            let of_family = wanted.filter(|(_, (_, other))| *other == family);
            let (places, statistics): (Vec<usize>, Vec<Statistic>) =
                of_family.map(|(at, (statistic, _))| (at, statistic)).unzip();
            let finished = kept.finish_ahead(from..end, &statistics, gate)?;
            places.into_iter().zip(finished).for_each(|(at, column)| columns[at] = column);
        }
        let values = columns.iter().map(Vec::len).min().unwrap_or_default();
        // What is not known throughout is loaded, and looked at state by state.
        self.ahead =
            if values as i64 == end - from { (2 * self.ahead).min(MOST_AHEAD) } else { FEWEST_AHEAD };
        if values == 0 {
            return Ok(None);
        }
        columns.iter_mut().for_each(|column| column.truncate(values));
        self.next += values as i64 * self.query.period.ticks();
        self.usage.kept_buckets += values as u64;
        Ok(Some(columns))
    }

    /// The next values for which all states are kept, of steps or at the fold period, as far as these are loaded.
    fn kept_buckets(&mut self) -> Result<Option<Vec<Vec<f64>>>, ReadError> {
        if !self.is_kept_alone() {
            return Ok(None);
        }
        let (from, end) = (self.fold_at(self.next), self.fold_at(self.query.range.end().ticks()));
        let (steps, folds) = (self.ladder.steps as i64, self.ladder.folds() as i64);
        let per_step = self.ladder.folds_per_step as i64;
        let (step, last_step) = (from / per_step, end / per_step);
        let most_values = self.most_values();
        let buckets = (known(&mut self.kept_steps, step, last_step)? / steps).min(most_values);
        let (of_steps, buckets) = if buckets > 0 {
            (true, buckets)
        } else {
            (false, (known(&mut self.kept, from, end)? / folds).min(most_values))
        };
        if buckets == 0 {
            return Ok(None);
        }
        let (first, per_bucket) = if of_steps { (step, steps) } else { (from, folds) };
        let states = first..first + buckets * per_bucket;
        let per_part = (PART_STATES / per_bucket).max(1) * per_bucket;
        let part = |begin: i64| self.kept_part(begin..states.end.min(begin + per_part), of_steps);
        let begins: Vec<i64> = states.clone().step_by(per_part as usize).collect();
        let parts: Vec<KeptPart> = match begins[..] {
            [begin] => vec![part(begin)?],
            _ => begins.into_par_iter().map(part).collect::<Result<_, ReadError>>()?,
        };
        self.next += buckets * self.query.period.ticks();
        self.usage.kept_buckets += (buckets * folds).unsigned_abs();
        let mut columns: Vec<Vec<f64>> = vec![Vec::new(); self.statistics.len()];
        let mut step = step;
        for part in parts {
            append_columns(&mut columns, part.columns);
            let steps = part.steps.values().next().map_or(0, StateVec::len);
            self.keep_steps(step, part.steps)?;
            step += steps as i64;
        }
        Ok(Some(columns))
    }

    /// Whole buckets whose states are kept, of steps or at the fold period.
    fn kept_part(&self, states: Range<i64>, of_steps: bool) -> Result<KeptPart, ReadError> {
        let kept = if of_steps { &self.kept_steps } else { &self.kept };
        let merges_folds = !of_steps && self.ladder.has_steps();
        if !merges_folds && self.ladder.steps == 1 {
            // They are what is wanted.
            let column = |&(statistic, family): &(Statistic, Family)| match (kept.get(&family), self.gate) {
                (Some(kept), Some(gate)) => Ok(kept.finish(states.clone(), statistic, gate)?),
                _ => Ok(Vec::new()),
            };
            let columns = self.statistics.iter().flatten().map(column).collect::<Result<_, ReadError>>()?;
            return Ok(KeptPart { columns, steps: BTreeMap::new() });
        }
        let grid = Grid::new(self.ladder.folds_per_step as usize, 0)?;
        let steps = |kept: &Kept| {
            if merges_folds { kept.merged(states.clone(), grid) } else { kept.states(states.clone()) }
        };
        let steps: BTreeMap<Family, StateVec> =
            kept.iter().map(|(&family, kept)| (family, steps(kept))).collect();
        let merged: BTreeMap<Family, StateVec> = steps
            .iter()
            .map(|(&family, steps)| Ok((family, self.of_steps(steps)?)))
            .collect::<Result<_, ReadError>>()?;
        let column = |&(statistic, family): &(Statistic, Family)| self.finish(&merged[&family], statistic);
        let columns = self.statistics.iter().flatten().map(column).collect::<Result<_, ReadError>>()?;
        Ok(KeptPart { columns, steps: if merges_folds { steps } else { BTreeMap::new() } })
    }

    /// The states of wanted buckets, from those of all steps in them.
    fn of_steps(&self, states: &StateVec) -> Result<StateVec, ReadError> {
        let steps = Grid::new(self.ladder.steps as usize, 0)?;
        if self.ladder.buckets_per_job() > 0 || self.ladder.has_large_folds() {
            return Ok(states.coarsen(steps));
        }
        // In parts, as when they are folded.
        let per_part = Grid::new((self.ladder.per_part() / self.ladder.per_step()) as usize, 0)?;
        let steps = self.ladder.steps as usize;
        let mut all = StateVec::empty(states.family(), 0);
        for first in (0..states.len()).step_by(steps) {
            let parts = states.coarsen_range(first..first + steps, per_part);
            all.append(parts.coarsen(Grid::new(parts.len(), 0)?))?;
        }
        Ok(all)
    }

    /// Keeps states of steps, where there are any.
    fn keep_steps(&mut self, first: i64, steps: BTreeMap<Family, StateVec>) -> Result<(), ReadError> {
        for (family, steps) in steps {
            if let Some(kept) = self.kept_steps.get_mut(&family) {
                kept.cover(first, first + steps.len() as i64)?;
                kept.add(first, steps)?;
            }
        }
        Ok(())
    }

    /// The values of a job, which consists of whole buckets.
    fn small_buckets(
        &self,
        job: TimeRange,
        buffer: &mut SampleBuffer,
    ) -> Result<(Vec<Vec<f64>>, Done), ReadError> {
        let done = self.done(job, self.ladder.steps as usize, buffer)?;
        let column = |wanted: &Option<(Statistic, Family)>| match (wanted, &done.samples) {
            (Some((statistic, family)), _) => self.finish(&done.merged[family], *statistic),
            (None, Some(samples)) => {
                let mut values = vec![0.0; job.count(self.query.period) as usize];
                let period = self.query.period.ticks();
                run(samples, 0, samples.len())?.resample(job.begin().ticks(), period, &mut values)?;
                Ok(values)
            }
            (None, None) => Ok(Vec::new()),
        };
        Ok((self.statistics.iter().map(column).collect::<Result<_, _>>()?, done))
    }

    /// The values of one bucket that is larger than a job, merged from its parts in order.
    fn large_bucket(&mut self, bucket: TimeRange) -> Result<Vec<Vec<f64>>, ReadError> {
        let part_ticks = self.ladder.per_part() as i64 * self.base.ticks();
        let mut merged: BTreeMap<Family, StateVec> =
            self.families().map(|family| (family, StateVec::empty(family, 1))).collect();
        let mut next = bucket.begin().ticks();
        // Kinds that aggregate nothing need one sample of it, below.
        while !merged.is_empty() && next < bucket.end().ticks() {
            self.watch.step("reading", 0, 0)?;
            let most = rayon::current_num_threads() * JOBS_PER_THREAD_OF_FEW_VALUES;
            let parts = next_jobs(&mut next, part_ticks, bucket.end().ticks(), most)?;
            self.cover(&parts)?;
            let parts: Vec<Done> = parts
                .into_par_iter()
                .with_min_len(JOBS_IN_A_ROW / 2)
                .with_max_len(JOBS_IN_A_ROW)
                .map_init(|| self.buffers.lend(), |buffer, part| self.done(part, usize::MAX, buffer))
                .collect::<Result<_, ReadError>>()?;
            for part in parts {
                for (family, state) in &part.merged {
                    if let Some(merged) = merged.get_mut(family) {
                        merged.merge(state)?;
                    }
                }
                self.keep(part)?;
            }
        }
        if self.ladder.has_large_folds() {
            // Its parts are none that could be kept, but it is.
            let fold = self.fold_at(bucket.begin().ticks());
            self.keep(Done {
                new: vec![(fold, merged.clone())],
                merged: BTreeMap::new(),
                steps: None,
                samples: None,
                usage: Usage { folded_buckets: 1, ..Usage::default() },
            })?;
        }
        let column = |wanted: &Option<(Statistic, Family)>| match wanted {
            Some((statistic, family)) => self.finish(&merged[family], *statistic),
            None => {
                // The sample that begins the bucket.
                let begin = bucket.begin().ticks();
                let samples = self.samples(slots(self.base, ticks(begin, begin + 1)?)?)?;
                let mut value = vec![0.0];
                run(&samples, 0, samples.len())?.resample(begin, self.query.period.ticks(), &mut value)?;
                Ok(value)
            }
        };
        self.statistics.iter().map(column).collect()
    }

    /// The states of a job, which consists of whole steps, `steps_merged` of these merged at a time: those that are kept,
    /// and for the others samples are read.
    fn done(
        &self,
        job: TimeRange,
        steps_merged: usize,
        buffer: &mut SampleBuffer,
    ) -> Result<Done, ReadError> {
        // A source may take long for a job, and a block has many.
        self.watch.step("reading", 0, 0)?;
        let grid = Grid::new(steps_merged, 0)?;
        let step = Grid::new(self.ladder.folds_per_step as usize, 0)?;
        let mut done = Done {
            merged: BTreeMap::new(),
            new: Vec::new(),
            steps: None,
            samples: None,
            usage: Usage::default(),
        };
        let folds = self.fold_at(job.begin().ticks())..self.fold_at(job.end().ticks());
        let buckets = (folds.end - folds.start).unsigned_abs();
        // Part of a bucket that is larger than a job.
        let is_piece = self.ladder.has_large_folds();
        let missing = if is_piece { Vec::new() } else { self.missing(&folds) };
        if is_piece || missing == [folds.clone()] {
            let is_resampled = self.statistics.contains(&None);
            let range = if is_resampled { slots(self.base, job)? } else { job };
            let states = if is_resampled {
                let samples = self.samples_with(range, buffer)?;
                done.usage.scanned_samples = samples.len() as u64;
                let states = self.fold(&samples)?;
                done.samples = Some(samples);
                states
            } else if self.is_empty_in(range)? {
                self.empty(job)
            } else {
                done.usage.scanned_samples = range.count(self.base);
                self.fold_range(range, buffer)?
            };
            if !is_piece && !states.is_empty() {
                done.usage.folded_buckets = buckets;
            }
            if self.kept.is_empty() && steps_merged == 1 && !self.ladder.has_steps() {
                done.merged = states;
                return Ok(done);
            }
            let steps = states.iter().map(|(&family, states)| (family, states.coarsen(step))).collect();
            self.merge_steps(&mut done, folds.start, steps, grid);
            if !is_piece && !self.kept.is_empty() {
                done.new.push((folds.start, states));
            }
            return Ok(done);
        }
        done.usage.kept_buckets = buckets;
        for part in missing {
            let fold_ticks = self.ladder.per_fold as i64 * self.base.ticks();
            let range = ticks(part.start * fold_ticks, part.end * fold_ticks)?;
            let states = if self.is_empty_in(range)? {
                self.empty(range)
            } else {
                done.usage.scanned_samples += range.count(self.base);
                self.fold_range(range, buffer)?
            };
            let buckets = (part.end - part.start).unsigned_abs();
            done.usage.folded_buckets += buckets;
            done.usage.kept_buckets -= buckets;
            done.new.push((part.start, states));
        }
        let mut steps = BTreeMap::new();
        for (&family, kept) in &self.kept {
            let merged = if done.new.is_empty() {
                kept.merged(folds.clone(), step)
            } else {
                let mut states = kept.states(folds.clone());
                for (first, new) in &done.new {
                    let at = (first - folds.start) as usize;
                    states.put(at.., new[&family].clone())?;
                }
                states.coarsen(step)
            };
            steps.insert(family, merged);
        }
        self.merge_steps(&mut done, folds.start, steps, grid);
        Ok(done)
    }

    /// Merges steps that begin with this bucket at the fold period, and holds them to be kept.
    fn merge_steps(&self, done: &mut Done, fold: i64, steps: BTreeMap<Family, StateVec>, grid: Grid) {
        done.merged = steps.iter().map(|(&family, steps)| (family, steps.coarsen(grid))).collect();
        if !self.kept_steps.is_empty() {
            done.steps = Some((fold / self.ladder.folds_per_step as i64, steps));
        }
    }

    /// The buckets at the fold period for which some family has no state.
    fn missing(&self, folds: &Range<i64>) -> Vec<Range<i64>> {
        if !self.is_kept_alone() {
            return vec![folds.clone()];
        }
        let mut missing: Vec<Range<i64>> = Vec::new();
        let is_known = |fold| self.kept.values().all(|kept| kept.is_known(fold));
        for fold in folds.clone().filter(|&fold| !is_known(fold)) {
            match missing.last_mut() {
                Some(last) if last.end == fold => last.end += 1,
                _ => missing.push(fold..fold + 1),
            }
        }
        missing
    }

    /// The states of samples that begin with a bucket at the fold period.
    fn fold(&self, samples: &Samples) -> Result<BTreeMap<Family, StateVec>, ReadError> {
        let per_fold = self.ladder.per_fold.min(JOB_SLOTS) as usize;
        let mut states = BTreeMap::new();
        for family in self.families() {
            if let Entry::Vacant(entry) = states.entry(family) {
                let run = run(samples, 0, samples.len())?;
                entry.insert(StateVec::fold(family, run, Grid::new(per_fold, 0)?)?);
            }
        }
        Ok(states)
    }

    /// The states of a range that begins with a bucket at the fold period. Samples are read and folded some whole buckets at a
    /// time.
    fn fold_range(
        &self,
        range: TimeRange,
        buffer: &mut SampleBuffer,
    ) -> Result<BTreeMap<Family, StateVec>, ReadError> {
        let scan = match self.origin()? {
            Origin::Stored(scan) => scan,
            // Sources do best with long ranges.
            Origin::InPlace(..) => return self.fold(&self.samples(range)?),
        };
        let per_fold = self.ladder.per_fold.min(JOB_SLOTS);
        let part_ticks = (PART_SLOTS / per_fold).max(1) as i64 * per_fold as i64 * self.base.ticks();
        let mut states: BTreeMap<Family, StateVec> =
            self.families().map(|family| (family, StateVec::empty(family, 0))).collect();
        let mut next = range.begin().ticks();
        while !states.is_empty() && next < range.end().ticks() {
            let end = next.saturating_add(part_ticks).min(range.end().ticks());
            let samples = scan.samples_in(ticks(next, end)?, buffer)?;
            for (family, part) in self.fold(samples)? {
                if let Some(states) = states.get_mut(&family) {
                    states.append(part)?;
                }
            }
            next = end;
        }
        Ok(states)
    }

    /// What [`Reading::fold`] makes of a range in which all samples are missing.
    fn empty(&self, range: TimeRange) -> BTreeMap<Family, StateVec> {
        let buckets = range.count(self.base).div_ceil(self.ladder.per_fold.min(JOB_SLOTS)) as usize;
        self.families().map(|family| (family, StateVec::empty(family, buckets))).collect()
    }

    fn families(&self) -> impl Iterator<Item = Family> + '_ {
        self.statistics.iter().flatten().map(|(_, family)| *family)
    }

    /// The number of the bucket at the fold period that begins here; the first one begins with tick 0.
    fn fold_at(&self, ticks: i64) -> i64 {
        ticks.div_euclid(self.ladder.per_fold as i64 * self.base.ticks())
    }

    /// Whether kept states answer everything that is asked for, where there are any.
    fn is_kept_alone(&self) -> bool {
        let is_kept = |wanted: &Option<(Statistic, Family)>| {
            wanted.is_some_and(|(_, family)| self.kept.contains_key(&family))
        };
        !self.statistics.is_empty() && self.statistics.iter().all(is_kept)
    }

    /// Whether all values or all states are kept and loaded, the latter of steps or at the fold period.
    fn is_answered(&self) -> bool {
        if self.values.as_ref().is_some_and(KeptValues::is_answered) {
            return true;
        }
        let range = self.query.range;
        let (from, end) = (self.fold_at(range.begin().ticks()), self.fold_at(range.end().ticks()));
        let are_known = |kept: &BTreeMap<Family, Kept>, from: i64, end: i64| {
            !kept.is_empty() && kept.values().all(|kept| kept.known_until(from, end) == end)
        };
        let per_step = self.ladder.folds_per_step as i64;
        self.is_kept_alone()
            && (are_known(&self.kept_steps, from / per_step, end / per_step)
                || are_known(&self.kept, from, end))
    }

    /// Loads what is kept of these ranges.
    fn cover(&mut self, ranges: &[TimeRange]) -> Result<(), ReadError> {
        if let (Some(first), Some(last)) = (ranges.first(), ranges.last()) {
            let (from, until) =
                (self.fold_at(first.begin().ticks()), self.fold_at(last.end().ticks() - 1) + 1);
            self.kept.values_mut().try_for_each(|kept| kept.cover(from, until))?;
        }
        Ok(())
    }

    /// Keeps the states that a job has folded, and counts.
    fn keep(&mut self, done: Done) -> Result<(), ReadError> {
        self.usage = self.usage.plus(done.usage);
        if let Some((first, steps)) = done.steps {
            self.keep_steps(first, steps)?;
        }
        for (first, states) in done.new {
            for (family, states) in states {
                if let Some(kept) = self.kept.get_mut(&family) {
                    kept.add(first, states)?;
                }
            }
        }
        Ok(())
    }

    fn origin(&self) -> Result<&Origin, ReadError> {
        // There is one unless what is kept answers all, and that is loaded by then.
        let absent = || StoreError::Task("a reading without a scan asked for samples".to_owned());
        Ok(self.origin.as_ref().ok_or_else(absent)?)
    }

    fn samples(&self, range: TimeRange) -> Result<Samples, ReadError> {
        match self.origin()? {
            Origin::Stored(scan) => Ok(scan.samples(range)?),
            Origin::InPlace(source, resource) => Ok(source.read(resource, self.base, range)?),
        }
    }

    /// As [`Reading::samples`], with what a buffer holds of the pages.
    fn samples_with(&self, range: TimeRange, buffer: &mut SampleBuffer) -> Result<Samples, ReadError> {
        match self.origin()? {
            Origin::Stored(scan) => Ok(scan.samples_with(range, buffer)?),
            Origin::InPlace(..) => self.samples(range),
        }
    }

    /// Whether it is known without reading that a range has no samples.
    fn is_empty_in(&self, range: TimeRange) -> Result<bool, ReadError> {
        Ok(match self.origin()? {
            Origin::Stored(scan) => scan.is_empty_in(range),
            Origin::InPlace(..) => false,
        })
    }

    fn finish(&self, states: &StateVec, statistic: Statistic) -> Result<Vec<f64>, ReadError> {
        match self.gate {
            Some(gate) => Ok(states.finish(statistic, gate)?),
            None => Ok(Vec::new()),
        }
    }
}

/// The jobs of so many ticks that are done at once, no more than `most`, from `next` on, which moves to their end; the last
/// job ends at `end` at the latest.
fn next_jobs(next: &mut i64, job_ticks: i64, end: i64, most: usize) -> Result<Vec<TimeRange>, ReadError> {
    let jobs: Vec<TimeRange> = (0..i64::try_from(most).unwrap_or(i64::MAX))
        .map(|job| next.saturating_add(job.saturating_mul(job_ticks)))
        .take_while(|&begin| begin < end)
        .map(|begin| ticks(begin, begin.saturating_add(job_ticks).min(end)))
        .collect::<Result<_, _>>()?;
    *next = jobs.last().map_or(end, |job| job.end().ticks());
    Ok(jobs)
}

/// Puts these values behind those that are there, column by column.
fn append_columns(columns: &mut [Vec<f64>], part: Vec<Vec<f64>>) {
    for (column, part) in columns.iter_mut().zip(part) {
        if column.is_empty() { *column = part } else { column.extend(part) }
    }
}

/// How many states from number `from` on are known of all families, as far as they are loaded.
fn known(kept: &mut BTreeMap<Family, Kept>, from: i64, end: i64) -> Result<i64, ReadError> {
    let mut fewest: Option<i64> = None;
    for kept in kept.values_mut() {
        kept.cover(from, from + 1)?;
        let known = kept.known_until(from, end) - from;
        fewest = Some(fewest.map_or(known, |fewest| fewest.min(known)));
    }
    Ok(fewest.unwrap_or_default())
}

/// A range between ticks that lie in time.
pub(crate) fn ticks(begin: i64, end: i64) -> Result<TimeRange, ReadError> {
    let tick = |ticks| Tick::new(ticks).map_err(|_| ReadError::BeyondTime);
    TimeRange::new(tick(begin)?, tick(end)?).map_err(|_| ReadError::BeyondTime)
}

/// The slots that a range touches.
fn slots(base: SamplePeriod, range: TimeRange) -> Result<TimeRange, ReadError> {
    base.widen(range).map_err(|_| ReadError::BeyondTime)
}

impl Iterator for Reading {
    type Item = Result<Vec<Vec<f64>>, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_in(None)
    }
}

impl From<SourceError> for ReadError {
    fn from(error: SourceError) -> ReadError {
        ReadError::Source(Box::new(error))
    }
}

impl From<StoreError> for ReadError {
    fn from(error: StoreError) -> ReadError {
        ReadError::Store(Box::new(error))
    }
}
