//! How it is known whether what is kept still holds.
//!
//! Each chunk of what is kept begins with a *stamp*, which names the samples that it was made of.
//!
//! Of a series of the store, that is the commit of a snapshot. A later snapshot whose history has that commit knows which
//! ranges changed since, and takes the rest as it is; so nothing is ever invalidated, and nothing stale is ever taken.
//!
//! Of a source that is read in place, it is the source's revision for the time of the chunk. The chunk holds as long as
//! the source names the same one; otherwise nothing of it does. What a reading makes of samples, or of chunks that it found
//! to hold, may only be kept if the source has not changed meanwhile: a source answers for different layers of chunks at
//! different times, and what is made of old samples must not get the name of new ones. So the revision of all that
//! is read is asked before the first sample is, and again before anything is put away. A change in between costs
//! entries, and nothing else.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use sheaf_model::{ResourceId, SamplePeriod, Tick, TimeRange};
use sheaf_sources::{DataSource, Revision, SourceError, SourceSeries};

/// Commit and nonce; of a source 0 and its revision.
pub(crate) type Stamp = (i64, i64);

/// What a stamp means for what is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Of its past; these ranges have changed since.
    Past(Vec<TimeRange>),
    /// Of its future, or nobody has looked: not to be used, and to be left alone.
    Apart,
    /// Of another history, or of samples that are no more.
    Void,
}

static UNCHANGED: Verdict = Verdict::Past(Vec::new());

/// By what the chunks of one layer are judged: states of one family at one period, or values.
pub(crate) enum Validity {
    /// By the history of a snapshot.
    Snapshot {
        /// The snapshot's own.
        stamp: Stamp,
        verdicts: HashMap<Stamp, Verdict>,
    },
    /// By the revisions of a source.
    Source {
        reading: Arc<SourceReading>,
        /// Length of a chunk of this layer.
        chunk_ticks: i64,
        /// The stamps of chunks, as far as the source was asked for them.
        asked: Mutex<BTreeMap<i64, Stamp>>,
    },
}

/// What is read of a source, for all layers together.
pub(crate) struct SourceReading {
    source: Arc<dyn DataSource>,
    resource: ResourceId,
    period: SamplePeriod,
    /// All that chunks of any layer may hold.
    range: TimeRange,
    /// Its revision before the first sample was read.
    begun: OnceLock<Revision>,
}

impl SourceReading {
    /// Chunks of any layer are at most `longest_chunk_ticks` long.
    pub(crate) fn new(
        source: &Arc<dyn DataSource>,
        series: &SourceSeries,
        range: TimeRange,
        longest_chunk_ticks: i64,
    ) -> SourceReading {
        let (begin, end) = (range.begin().ticks(), range.end().ticks());
        let around = begin.saturating_sub(longest_chunk_ticks)..end.saturating_add(longest_chunk_ticks);
        SourceReading {
            source: source.clone(),
            resource: series.resource.clone(),
            period: series.period,
            range: slots_within(series.period, around).unwrap_or(range),
            begun: OnceLock::new(),
        }
    }

    fn revision(&self, range: TimeRange) -> Result<Revision, SourceError> {
        self.source.revision(&self.resource, self.period, range)
    }

    /// To be called before the first sample is read. Blocks.
    pub(crate) fn begin(&self) -> Result<(), SourceError> {
        if self.begun.get().is_none() {
            let revision = self.revision(self.range)?;
            // A reading is one thread's, so nobody was faster.
            let _ = self.begun.set(revision);
        }
        Ok(())
    }

    /// Whether nothing has changed since the begin. Blocks.
    fn is_as_it_began(&self) -> bool {
        self.begun.get().is_some_and(|begun| self.revision(self.range).is_ok_and(|now| now == *begun))
    }
}

impl Validity {
    /// Of a snapshot with this stamp, which nothing else was compared with yet.
    pub(crate) fn of_snapshot(stamp: Stamp) -> Validity {
        Validity::Snapshot { stamp, verdicts: HashMap::from([(stamp, UNCHANGED.clone())]) }
    }

    /// Of a source, for chunks of this length.
    pub(crate) fn of_source(reading: Arc<SourceReading>, chunk_ticks: i64) -> Validity {
        Validity::Source { reading, chunk_ticks, asked: Mutex::default() }
    }

    /// Takes verdicts on commits.
    pub(crate) fn judge(&mut self, new: &HashMap<Stamp, Verdict>) {
        if let Validity::Snapshot { verdicts, .. } = self {
            verdicts.extend(new.iter().map(|(stamp, verdict)| (*stamp, verdict.clone())));
        }
    }

    /// What to think of the chunk with this number, which has this stamp. May block to ask the source.
    pub(crate) fn verdict(&self, chunk: i64, stamp: Stamp) -> Result<&Verdict, SourceError> {
        match self {
            Validity::Snapshot { verdicts, .. } => Ok(verdicts.get(&stamp).unwrap_or(&Verdict::Apart)),
            Validity::Source { .. } => {
                Ok(if self.stamp(chunk)? == Some(stamp) { &UNCHANGED } else { &Verdict::Void })
            }
        }
    }

    /// What this chunk is to be put away with, if [`Validity::may_put`] allows it; none if it lies beyond time. May block to
    /// ask the source.
    pub(crate) fn stamp(&self, chunk: i64) -> Result<Option<Stamp>, SourceError> {
        let (reading, chunk_ticks, asked) = match self {
            Validity::Snapshot { stamp, .. } => return Ok(Some(*stamp)),
            Validity::Source { reading, chunk_ticks, asked } => (reading, *chunk_ticks, asked),
        };
        if let Some(stamp) = lock(asked).get(&chunk) {
            return Ok(Some(*stamp));
        }
        let begin = chunk.saturating_mul(chunk_ticks);
        let Some(range) = slots_within(reading.period, begin..begin.saturating_add(chunk_ticks)) else {
            return Ok(None);
        };
        let stamp = (0, reading.revision(range)?.0.cast_signed());
        // Whoever was faster has asked earlier.
        Ok(Some(*lock(asked).entry(chunk).or_insert(stamp)))
    }

    /// Whether what was made since the begin may be put away, with stamps that were asked for before this question. May
    /// block to ask the source.
    pub(crate) fn may_put(&self) -> bool {
        match self {
            Validity::Snapshot { .. } => true,
            Validity::Source { reading, .. } => reading.is_as_it_began(),
        }
    }

    /// Forgets the chunks before this one.
    pub(crate) fn forget_before(&mut self, chunk: i64) {
        if let Validity::Source { asked, .. } = self {
            let asked = asked.get_mut().unwrap_or_else(PoisonError::into_inner);
            *asked = asked.split_off(&chunk);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Entries are put in whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The whole slots of a range, as far as they lie in time; none if there are none.
fn slots_within(period: SamplePeriod, ticks: Range<i64>) -> Option<TimeRange> {
    let tick = |ticks: i64| Tick::new(ticks.clamp(Tick::MIN.ticks(), Tick::MAX.ticks())).ok();
    TimeRange::new(period.floor(tick(ticks.start)?), period.floor(tick(ticks.end)?)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_at_the_ends_of_time_are_asked_for_as_far_as_they_lie_in_it() {
        let day: SamplePeriod = "1_d".parse().unwrap();
        let week = 7 * day.ticks();
        let first = slots_within(day, -week..week).unwrap();
        assert_eq!((first.begin(), first.count(day)), (Tick::MIN, 7));
        let last = slots_within(day, Tick::MAX.ticks() - week..i64::MAX).unwrap();
        assert!(day.divides(last.begin()) && day.divides(last.end()) && last.count(day) == 7);
        assert_eq!(slots_within(day, i64::MIN..-week), None);
    }
}
