//! Samples in the store, read at another period: job by job, on all cores, in bounded memory.

use std::collections::BTreeMap;

use rayon::prelude::*;
use sheaf_kernels::{DEFAULT_THRESHOLD, Family, Gate, Grid, StateVec, Statistic};
use sheaf_model::legality::{check_base, check_range};
use sheaf_model::{Kind, RepresentationId, SamplePeriod, Threshold, Tick, TimeRange};
use sheaf_store::{Layout, SampleBuffer, Scan, SeriesId, Snapshot, StoreError};

use crate::in_memory::{ReadError, run};
use crate::ladder::{JOB_SLOTS, Ladder};
use crate::statistic;

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

/// The values of a query, block by block, in order of time. The iterator blocks while it reads; after an error it ends.
///
/// A block has a column for each kind, all of the same length. Values are `f64`, so integers beyond 2⁵³ are rounded. What
/// lies outside the samples is missing. The same snapshot always gives the same bits.
pub struct Reading {
    scan: Scan,
    base: SamplePeriod,
    query: Query,
    ladder: Ladder,
    /// The statistic of each kind, and the family of states that it is made of.
    statistics: Vec<Option<(Statistic, Family)>>,
    gate: Option<Gate>,
    /// Begin of the first value that has not been read.
    next: i64,
}

/// Begins to read a series of a snapshot.
///
/// # Errors
/// The series is not part of the snapshot or irregular, what [`sheaf_model::legality`] forbids, or what
/// [`Snapshot::scan`] says.
pub async fn read_stored(snapshot: &Snapshot, series: SeriesId, query: Query) -> Result<Reading, ReadError> {
    let spec = snapshot.spec(series)?;
    let Layout::Regular { period: base, .. } = spec.layout else {
        return Err(ReadError::Irregular { key: spec.key.clone() });
    };
    for &kind in &query.kinds {
        check_base(RepresentationId { period: query.period, kind }, base, spec.data_type)?;
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
    let statistics = query
        .kinds
        .iter()
        .map(|&kind| statistic(kind).map(|statistic| (statistic, statistic.lightest_family())));
    let statistics = statistics.collect();
    // Samples that values are held from may begin before the range, and end after it.
    let slots = slots(base, query.range)?;
    let scan = snapshot.scan(series, Some(slots)).await?;
    let next = query.range.begin().ticks();
    Ok(Reading { scan, base, query, ladder, statistics, gate, next })
}

impl Reading {
    /// How many values each column has in all.
    pub fn values(&self) -> u64 {
        self.query.range.count(self.query.period)
    }

    /// Values in a job; 0 where one takes several jobs.
    fn values_per_job(&self) -> u64 {
        if self.gate.is_some() {
            return self.ladder.buckets_per_job();
        }
        // As many as there are slots under them, and no more than that of them.
        let (base, period) = (self.base.ticks(), self.query.period.ticks());
        (JOB_SLOTS as i64 / (period / base).max(1)).unsigned_abs()
    }

    fn block(&mut self) -> Result<Vec<Vec<f64>>, ReadError> {
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
                let jobs = next_jobs(&mut self.next, values as i64 * period, end, per_thread)?;
                let parts: Vec<Vec<Vec<f64>>> = jobs
                    .into_par_iter()
                    .with_min_len(JOBS_IN_A_ROW / 2)
                    .with_max_len(JOBS_IN_A_ROW)
                    .map_init(SampleBuffer::default, |buffer, job| self.small_buckets(job, buffer))
                    .collect::<Result<_, _>>()?;
                let mut columns: Vec<Vec<f64>> = vec![Vec::new(); self.statistics.len()];
                for part in parts {
                    columns.iter_mut().zip(part).for_each(|(column, part)| column.extend(part));
                }
                Ok(columns)
            }
        }
    }

    /// The values of a job, which consists of whole buckets.
    fn small_buckets(&self, job: TimeRange, buffer: &mut SampleBuffer) -> Result<Vec<Vec<f64>>, ReadError> {
        let states = self.states(job, self.ladder.folds, buffer)?;
        let column = |wanted: &Option<(Statistic, Family)>| match wanted {
            Some((statistic, family)) => self.finish(&states[family], *statistic),
            None => {
                let samples = self.scan.samples(slots(self.base, job)?)?;
                let mut values = vec![0.0; job.count(self.query.period) as usize];
                let period = self.query.period.ticks();
                run(&samples, 0, samples.len())?.resample(job.begin().ticks(), period, &mut values)?;
                Ok(values)
            }
        };
        self.statistics.iter().map(column).collect()
    }

    /// The values of one bucket that is larger than a job, merged from its parts in order.
    fn large_bucket(&self, bucket: TimeRange) -> Result<Vec<Vec<f64>>, ReadError> {
        let part_ticks = self.ladder.per_part() as i64 * self.base.ticks();
        let mut merged: BTreeMap<Family, StateVec> =
            self.families().map(|family| (family, StateVec::empty(family, 1))).collect();
        let mut next = bucket.begin().ticks();
        // Kinds that aggregate nothing need one sample of it, below.
        while !merged.is_empty() && next < bucket.end().ticks() {
            let parts =
                next_jobs(&mut next, part_ticks, bucket.end().ticks(), JOBS_PER_THREAD_OF_FEW_VALUES)?;
            let states: Vec<BTreeMap<Family, StateVec>> = parts
                .into_par_iter()
                .with_min_len(JOBS_IN_A_ROW / 2)
                .with_max_len(JOBS_IN_A_ROW)
                .map_init(SampleBuffer::default, |buffer, part| self.states(part, u64::MAX, buffer))
                .collect::<Result<_, ReadError>>()?;
            for part in &states {
                for (family, state) in part {
                    if let Some(merged) = merged.get_mut(family) {
                        merged.merge(state)?;
                    }
                }
            }
        }
        let column = |wanted: &Option<(Statistic, Family)>| match wanted {
            Some((statistic, family)) => self.finish(&merged[family], *statistic),
            None => {
                // The sample that begins the bucket.
                let begin = bucket.begin().ticks();
                let samples = self.scan.samples(slots(self.base, ticks(begin, begin + 1)?)?)?;
                let mut value = vec![0.0];
                run(&samples, 0, samples.len())?.resample(begin, self.query.period.ticks(), &mut value)?;
                Ok(value)
            }
        };
        self.statistics.iter().map(column).collect()
    }

    fn families(&self) -> impl Iterator<Item = Family> + '_ {
        self.statistics.iter().flatten().map(|(_, family)| *family)
    }

    /// The states of a range that begins with a bucket, one for each `folds` buckets at the fold period. Samples are read and
    /// folded some whole buckets at a time.
    fn states(
        &self,
        range: TimeRange,
        folds: u64,
        buffer: &mut SampleBuffer,
    ) -> Result<BTreeMap<Family, StateVec>, ReadError> {
        let per_fold = self.ladder.per_fold.min(JOB_SLOTS);
        let part_ticks = (PART_SLOTS / per_fold).max(1) as i64 * per_fold as i64 * self.base.ticks();
        let mut fine: BTreeMap<Family, StateVec> =
            self.families().map(|family| (family, StateVec::empty(family, 0))).collect();
        let mut next = range.begin().ticks();
        while !fine.is_empty() && next < range.end().ticks() {
            let end = next.saturating_add(part_ticks).min(range.end().ticks());
            let samples = self.scan.samples_in(ticks(next, end)?, buffer)?;
            for (&family, states) in &mut fine {
                let run = run(samples, 0, samples.len())?;
                states.append(StateVec::fold(family, run, Grid::new(per_fold as usize, 0)?)?)?;
            }
            next = end;
        }
        let folds = usize::try_from(folds).unwrap_or(usize::MAX);
        if folds > 1 {
            let coarse = Grid::new(folds, 0)?;
            fine.values_mut().for_each(|states| *states = states.coarsen(coarse));
        }
        Ok(fine)
    }

    fn finish(&self, states: &StateVec, statistic: Statistic) -> Result<Vec<f64>, ReadError> {
        match self.gate {
            Some(gate) => Ok(states.finish(statistic, gate)?),
            None => Ok(Vec::new()),
        }
    }
}

/// The jobs of so many ticks that are done at once, from `next` on, which moves to their end; the last job ends at `end` at
/// the latest.
fn next_jobs(
    next: &mut i64,
    job_ticks: i64,
    end: i64,
    per_thread: usize,
) -> Result<Vec<TimeRange>, ReadError> {
    let most = (rayon::current_num_threads() * per_thread) as i64;
    let jobs: Vec<TimeRange> = (0..most)
        .map(|job| next.saturating_add(job.saturating_mul(job_ticks)))
        .take_while(|&begin| begin < end)
        .map(|begin| ticks(begin, begin.saturating_add(job_ticks).min(end)))
        .collect::<Result<_, _>>()?;
    *next = jobs.last().map_or(end, |job| job.end().ticks());
    Ok(jobs)
}

/// A range between ticks that lie in time.
fn ticks(begin: i64, end: i64) -> Result<TimeRange, ReadError> {
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
        let end = self.query.range.end().ticks();
        if self.next >= end {
            return None;
        }
        let block = self.block();
        if block.is_err() {
            self.next = end;
        }
        Some(block)
    }
}

impl From<StoreError> for ReadError {
    fn from(error: StoreError) -> ReadError {
        ReadError::Store(Box::new(error))
    }
}
