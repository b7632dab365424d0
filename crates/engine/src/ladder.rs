//! Between samples and wanted buckets: at which period samples are folded, and how buckets are shared out.
//!
//! Sums of floating-point numbers depend on the order of adding in their last bits. So that a value is the same however it
//! comes about, from one thread or many, from samples or from states that were kept, the order follows from the two periods
//! alone: samples fold into buckets of a *fold period*, and these merge into the wanted ones, first to last, in parts of a
//! fixed size where a bucket has very many.

use sheaf_model::{SamplePeriod, Tick};

/// Slots of a job at most: what a thread reads and folds at a time. A few pages of a segment, 2 MiB of doubles.
pub(crate) const JOB_SLOTS: u64 = 1 << 18;

/// The fewest samples of a bucket at the fold period: ten minutes of seconds. A state has at most 56 bytes and then stands
/// for 4800; smaller buckets would also take longer to fold.
const FEWEST_SAMPLES: i64 = 600;

/// The periods that samples fold at, where one of them fits. Coarser kinds of the same family are made of the same
/// states: 10 minutes, hours and weeks of 100 Hz all of half minutes, those of 1 Hz all of ten minutes. Ten seconds are
/// left out, as 100 Hz would fold there, into three times the states.
const RUNGS: [i64; 10] = [
    Tick::PER_SECOND / 1000,
    Tick::PER_SECOND / 100,
    Tick::PER_SECOND / 10,
    Tick::PER_SECOND,
    30 * Tick::PER_SECOND,
    60 * Tick::PER_SECOND,
    600 * Tick::PER_SECOND,
    3600 * Tick::PER_SECOND,
    6 * 3600 * Tick::PER_SECOND,
    86_400 * Tick::PER_SECOND,
];

/// The period that samples at `base` are folded at before they become those of `wanted`, which is a multiple of it; states
/// are kept at this period.
pub fn fold_period(base: SamplePeriod, wanted: SamplePeriod) -> SamplePeriod {
    let fold_ticks = Ladder::new(base, wanted).per_fold as i64 * base.ticks();
    SamplePeriod::from_ticks(fold_ticks).unwrap_or(wanted)
}

/// The fewest buckets at the fold period that are worth a step.
const FEWEST_FOLDS: i64 = 16;

/// How samples become wanted buckets: they fold, the folded ones merge into *steps*, and these into what is wanted. Steps are
/// a coarser rung, whose states are kept as well: months at 100 Hz need not be merged of half minutes every time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ladder {
    /// Samples of a bucket at the fold period.
    pub(crate) per_fold: u64,
    /// Buckets at the fold period in a step; 1 where there are no steps between.
    pub(crate) folds_per_step: u64,
    /// Steps in a wanted bucket.
    pub(crate) steps: u64,
}

impl Ladder {
    /// From samples at `base` to buckets of `wanted`, which is a multiple of it.
    pub(crate) fn new(base: SamplePeriod, wanted: SamplePeriod) -> Ladder {
        let (base, wanted) = (base.ticks(), wanted.ticks());
        // As each rung divides the next one, all periods that share a step share what it is made of.
        let rung_with = |fewest: i64| {
            let fits = |rung: &i64| {
                rung % base == 0 && wanted % rung == 0 && (fewest..=JOB_SLOTS as i64).contains(&(rung / base))
            };
            RUNGS.into_iter().find(fits)
        };
        let fold = rung_with(FEWEST_SAMPLES).unwrap_or(wanted);
        let step = rung_with(fold / base * FEWEST_FOLDS).unwrap_or(fold);
        Ladder {
            per_fold: (fold / base).unsigned_abs(),
            folds_per_step: (step / fold).unsigned_abs(),
            steps: (wanted / step).unsigned_abs(),
        }
    }

    /// Buckets at the fold period in a wanted one.
    pub(crate) fn folds(self) -> u64 {
        self.folds_per_step * self.steps
    }

    /// Samples of a step.
    pub(crate) fn per_step(self) -> u64 {
        self.per_fold * self.folds_per_step
    }

    /// Samples of a wanted bucket.
    pub(crate) fn per_bucket(self) -> u64 {
        self.per_step() * self.steps
    }

    /// Samples of the parts that a wanted bucket is merged from: whole steps, or a piece of a bucket at the fold period that
    /// is too large for a job.
    pub(crate) fn per_part(self) -> u64 {
        if self.per_step() > JOB_SLOTS { JOB_SLOTS } else { JOB_SLOTS / self.per_step() * self.per_step() }
    }

    /// Whether states of steps are others than those at the fold period.
    pub(crate) fn has_steps(self) -> bool {
        self.folds_per_step > 1
    }

    /// Whether a single bucket at the fold period takes several jobs. It then is the wanted one.
    pub(crate) fn has_large_folds(self) -> bool {
        self.per_fold > JOB_SLOTS
    }

    /// Wanted buckets in a job; 0 where one of them takes several.
    pub(crate) fn buckets_per_job(self) -> u64 {
        JOB_SLOTS / self.per_bucket()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ladder(base: &str, wanted: &str) -> (u64, u64) {
        let ladder = Ladder::new(base.parse().unwrap(), wanted.parse().unwrap());
        assert!(ladder.per_bucket() * ladder.buckets_per_job() <= JOB_SLOTS);
        assert!(ladder.per_part() <= JOB_SLOTS);
        assert_eq!(ladder.per_part() % ladder.per_step().min(JOB_SLOTS), 0);
        (ladder.per_fold, ladder.folds())
    }

    #[test]
    fn long_periods_share_the_states_of_short_ones() {
        assert_eq!(ladder("10_ms", "10_min"), (3000, 20));
        assert_eq!(ladder("10_ms", "1_h"), (3000, 120));
        assert_eq!(ladder("10_ms", "7_d"), (3000, 20_160));
        assert_eq!(ladder("1_s", "10_min"), (600, 1));
        assert_eq!(ladder("1_s", "1_h"), (600, 6));
        assert_eq!(ladder("1_s", "2_h"), (600, 12));
        assert_eq!(ladder("1_s", "90_min"), (600, 9));
        assert_eq!(ladder("1_h", "1_d"), (24, 1));
    }

    #[test]
    fn steps_lie_between_where_there_are_many_states() {
        let steps = |base: &str, wanted: &str| {
            let ladder = Ladder::new(base.parse().unwrap(), wanted.parse().unwrap());
            (ladder.folds_per_step, ladder.steps)
        };
        assert_eq!(steps("10_ms", "1_min"), (1, 2));
        assert_eq!(steps("10_ms", "10_min"), (20, 1));
        assert_eq!(steps("10_ms", "1_h"), (20, 6));
        assert_eq!(steps("1_s", "1_h"), (1, 6));
        assert_eq!(steps("1_s", "1_d"), (36, 4));
        // A step would be more than a job.
        assert_eq!(steps("100_us", "1_min"), (1, 600));
    }

    #[test]
    fn what_fits_nowhere_is_folded_as_it_is() {
        assert_eq!(ladder("10_ms", "10_s"), (1000, 1));
        assert_eq!(ladder("1_ms", "7777_ms"), (7777, 1));
        // A prime number of seconds, more than a job takes.
        assert_eq!(ladder("1_s", "1000003_s"), (1_000_003, 1));
        assert_eq!(Ladder::new("1_s".parse().unwrap(), "1000003_s".parse().unwrap()).per_part(), JOB_SLOTS);
    }
}
