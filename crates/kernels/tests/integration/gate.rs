//! The gate: valid/expected ≥ threshold in `f64`, for every statistic but the count.

use proptest::prelude::*;
use sheaf_kernels::{DEFAULT_THRESHOLD, Family, Gate, Grid, SampleRun, StateVec, Statistic, Validity};

/// Validity bits with the first `valid` of `len` set.
fn first_valid(len: usize, valid: usize) -> Vec<u64> {
    let mut words = vec![0; len.div_ceil(64)];
    (0..valid).for_each(|bit| words[bit / 64] |= 1_u64 << (bit % 64));
    words
}

fn check(len: usize, valid: usize, threshold: f64) {
    let values: Vec<i32> = (0..len as i32).map(|x| x % 360 - 40).collect();
    let words = first_valid(len, valid);
    let run = SampleRun::new(&values).with_validity(Validity::new(&words, 0)).unwrap();
    let grid = Grid::new(len, 0).unwrap();
    let passes = valid as f64 / len as f64 >= threshold;
    for family in Family::ALL {
        let states = StateVec::fold(family, run.into(), grid).unwrap();
        for statistic in Statistic::ALL.into_iter().filter(|statistic| family.answers(*statistic)) {
            let open = states.finish(statistic, Gate::new(len as u64, 0.0).unwrap()).unwrap()[0];
            let gated = states.finish(statistic, Gate::new(len as u64, threshold).unwrap()).unwrap()[0];
            if statistic == Statistic::Count {
                assert_eq!(gated, valid as f64, "a count is never withheld");
            } else if passes {
                assert!(
                    gated.to_bits() == open.to_bits() || (gated.is_nan() && open.is_nan()),
                    "{statistic}"
                );
            } else {
                assert!(gated.is_nan(), "{statistic} of {valid} of {len} at {threshold}");
            }
        }
    }
}

#[test]
fn ten_minutes_of_seconds_may_miss_six() {
    for (len, valid) in [(600, 594), (600, 593), (600, 0), (600, 600), (99, 98), (100, 99), (1, 0), (1, 1)] {
        check(len, valid, DEFAULT_THRESHOLD);
    }
}

#[test]
fn only_the_count_is_not_gated() {
    for statistic in Statistic::ALL {
        assert_eq!(statistic.is_gated(), statistic != Statistic::Count, "{statistic}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_share_is_compared_in_f64(len in 1..700_usize, missing in 0..700_usize, threshold in 0.0..=1.0) {
        let valid = len - missing.min(len);
        let share = valid as f64 / len as f64;
        // The interesting thresholds are the share itself and its neighbours.
        for threshold in [threshold, share, share.next_up().min(1.0), share.next_down().max(0.0), 0.0, 1.0] {
            check(len, valid, threshold);
        }
    }
}
