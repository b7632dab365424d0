//! Samples in memory, read at another period.

use sheaf_kernels::{
    AnyRun, DEFAULT_THRESHOLD, Error as KernelError, Gate, Grid, Sample, SampleRun, StateVec, Validity,
};
use sheaf_model::legality::{Illegal, check_base, check_range};
use sheaf_model::{RepresentationId, Samples, Threshold, Tick, TimeRange, Values};
use sheaf_sources::SourceError;
use sheaf_store::StoreError;

use crate::statistic;

/// The most values that one read gives. It bounds what is allocated for them and for their states; longer reads are
/// for a stream.
pub const MOST_VALUES: u64 = 1 << 24;

/// The values of a series over `range`, one for each period, made from its samples. What lies outside the samples is
/// missing. Values are `f64`, so integers beyond 2⁵³ are rounded. Kinds that are not gated pay no heed to the threshold.
///
/// # Errors
/// What [`sheaf_model::legality`] forbids, or more than [`MOST_VALUES`].
pub fn read_samples(
    samples: &Samples,
    wanted: RepresentationId,
    range: TimeRange,
    threshold: Option<Threshold>,
) -> Result<Vec<f64>, ReadError> {
    check_base(wanted, samples.period(), samples.values().data_type())?;
    check_range(wanted.period, range)?;
    let count = range.count(wanted.period);
    if count > MOST_VALUES {
        return Err(ReadError::TooMany { count, most: MOST_VALUES });
    }
    match statistic(wanted.kind) {
        None => resample(samples, wanted, range, count as usize),
        Some(statistic) => {
            let per_bucket = wanted.period.ticks() / samples.period().ticks();
            let share = threshold.map_or(DEFAULT_THRESHOLD, Threshold::share);
            let gate = Gate::new(per_bucket.unsigned_abs(), share)?;
            let family = statistic.lightest_family();
            let mut values = vec![f64::NAN; count as usize];
            if let [missing] = StateVec::empty(family, 1).finish(statistic, gate)?[..] {
                values.fill(missing);
            }
            let Some(overlap) = samples.range().and_then(|all| all.intersection(range)) else {
                return Ok(values);
            };
            // Begin and the samples lie on multiples of the base period, so these divisions leave no rest.
            let base = samples.period().ticks();
            let first = ((overlap.begin().ticks() - samples.start().ticks()) / base) as usize;
            let before = (overlap.begin().ticks() - range.begin().ticks()) / base;
            let len = (overlap.ticks() / base) as usize;
            let grid = Grid::new(per_bucket as usize, (before % per_bucket) as usize)?;
            let states = StateVec::fold(family, run(samples, first, len)?, grid)?;
            let first_bucket = (before / per_bucket) as usize;
            let finished = states.finish(statistic, gate)?;
            values[first_bucket..first_bucket + finished.len()].copy_from_slice(&finished);
            Ok(values)
        }
    }
}

/// Sample and hold; at the samples' own period that is the samples themselves.
fn resample(
    samples: &Samples,
    wanted: RepresentationId,
    range: TimeRange,
    count: usize,
) -> Result<Vec<f64>, ReadError> {
    let mut values = vec![0.0; count];
    run(samples, 0, samples.len())?.resample(range.begin().ticks(), wanted.period.ticks(), &mut values)?;
    Ok(values)
}

/// `len` samples from number `first` on, as the kernels take them.
pub(crate) fn run(samples: &Samples, first: usize, len: usize) -> Result<AnyRun<'_>, ReadError> {
    fn typed<'a, T: Sample>(samples: &'a Samples, values: &'a [T]) -> Result<SampleRun<'a, T>, KernelError> {
        let run = SampleRun::new(values).at(samples.start().ticks(), samples.period().ticks())?;
        match samples.validity() {
            Some(words) => run.with_validity(Validity::new(words, 0)),
            None => Ok(run),
        }
    }
    let part = first..first + len;
    Ok(match samples.values() {
        Values::U8(values) => typed(samples, values)?.slice(part).into(),
        Values::I8(values) => typed(samples, values)?.slice(part).into(),
        Values::U16(values) => typed(samples, values)?.slice(part).into(),
        Values::I16(values) => typed(samples, values)?.slice(part).into(),
        Values::U32(values) => typed(samples, values)?.slice(part).into(),
        Values::I32(values) => typed(samples, values)?.slice(part).into(),
        Values::U64(values) => typed(samples, values)?.slice(part).into(),
        Values::I64(values) => typed(samples, values)?.slice(part).into(),
        Values::F32(values) => typed(samples, values)?.slice(part).into(),
        Values::F64(values) => typed(samples, values)?.slice(part).into(),
    })
}

/// Values that can't be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The request has no answer.
    #[error(transparent)]
    Illegal(#[from] Illegal),
    /// The arithmetic has no answer.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// The store can't give the samples.
    #[error(transparent)]
    Store(Box<StoreError>),
    /// A source can't give the samples.
    #[error(transparent)]
    Source(Box<SourceError>),
    /// A series without slots.
    #[error("series `{key}` is irregular, so it has no samples at a period: read its rows")]
    Irregular {
        /// Its key.
        key: String,
    },
    /// Buckets before the first tick or after the last one.
    #[error("the range goes beyond the time that can be named, {} to {}", Tick::MIN, Tick::MAX)]
    BeyondTime,
    /// More values than one read gives.
    #[error(
        "{count} values were asked for; at most {most} are given at once: take a shorter range or a longer period"
    )]
    TooMany {
        /// What was asked for.
        count: u64,
        /// What is given.
        most: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(begin: &str, end: &str) -> TimeRange {
        TimeRange::new(begin.parse().unwrap(), end.parse().unwrap()).unwrap()
    }

    fn read(samples: &Samples, wanted: &str, begin: &str, end: &str) -> Result<Vec<f64>, ReadError> {
        read_samples(samples, wanted.parse().unwrap(), range(begin, end), None)
    }

    /// One sample per second from 00:00:30 on, 90 of them: their second of the minute.
    fn seconds() -> Samples {
        let values: Vec<i32> = (30..120).map(|second| second % 60).collect();
        Samples::new("2020-01-01T00:00:30".parse().unwrap(), "1_s".parse().unwrap(), values.into()).unwrap()
    }

    fn same(a: &[f64], b: &[f64]) -> bool {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a == b || (a.is_nan() && b.is_nan()))
    }

    #[test]
    fn what_lies_outside_the_samples_is_missing() {
        let (begin, end, nan) = ("2019-12-31T23:59", "2020-01-01T00:03", f64::NAN);
        assert_eq!(read(&seconds(), "1_min_count", begin, end).unwrap(), [0.0, 30.0, 60.0, 0.0]);
        assert!(same(&read(&seconds(), "1_min_mean", begin, end).unwrap(), &[nan, nan, 29.5, nan]));
        let half = Threshold::new(0.5);
        let wanted = "1_min_mean".parse().unwrap();
        let values = read_samples(&seconds(), wanted, range(begin, end), half).unwrap();
        assert!(same(&values, &[nan, 44.5, 29.5, nan]));
        let (begin, end) = ("2021-01-01", "2021-01-01T00:02");
        assert!(same(&read(&seconds(), "1_min_sum", begin, end).unwrap(), &[nan, nan]));
    }

    #[test]
    fn originals_and_resampled_ones() {
        let (begin, end, nan) = ("2020-01-01T00:00:29", "2020-01-01T00:00:32", f64::NAN);
        assert!(same(&read(&seconds(), "1_s", begin, end).unwrap(), &[nan, 30.0, 31.0]));
        let finer = read(&seconds(), "500_ms_resampled", begin, end).unwrap();
        assert!(same(&finer, &[nan, nan, 30.0, 30.0, 31.0, 31.0]));
        let coarser =
            read(&seconds(), "20_s_resampled", "2020-01-01T00:00:20", "2020-01-01T00:01:20").unwrap();
        assert!(same(&coarser, &[nan, 40.0, 0.0]));
    }

    #[test]
    fn what_has_no_answer_says_why() {
        let error = |wanted: &str, begin: &str, end: &str| read(&seconds(), wanted, begin, end).unwrap_err();
        assert!(matches!(error("1_min", "2020-01-01", "2020-01-02"), ReadError::Illegal(_)));
        assert!(matches!(error("100_ms_mean", "2020-01-01", "2020-01-02"), ReadError::Illegal(_)));
        assert!(matches!(error("1_h_mean", "2020-01-01T00:30", "2020-01-02"), ReadError::Illegal(_)));
        assert!(matches!(error("1_s", "0001-01-01", "9999-01-01"), ReadError::TooMany { .. }));
    }

    /// Reference 2.3: one bucket of 12, of which one is missing.
    #[test]
    fn a_table_of_the_reference_from_end_to_end() {
        let values = vec![0, 1, 2, 3, -4, 5, 6, 7, 0, 2, 97, 13];
        let start = "2020-01-01".parse().unwrap();
        let samples = Samples::new(start, "5_min".parse().unwrap(), Values::I32(values)).unwrap();
        let samples = samples.with_validity(vec![!(1 << 8)]).unwrap();
        let range = range("2020-01-01", "2020-01-01T01:00");
        for (kind, expected) in [("min", -4.0), ("max", 97.0), ("mean", 12.0), ("sum", 132.0)] {
            let wanted = format!("1_h_{kind}").parse().unwrap();
            assert_eq!(
                read_samples(&samples, wanted, range, Threshold::new(0.9)).unwrap(),
                [expected],
                "{kind}"
            );
            assert!(read_samples(&samples, wanted, range, None).unwrap()[0].is_nan(), "{kind}");
        }
    }
}
