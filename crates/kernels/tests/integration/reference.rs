//! The known numbers of the reference implementation, to the digits given there.

use sheaf_kernels::testing::{sequential, sequential_integers};
use sheaf_kernels::{AnyRun, Family, Gate, Grid, Sample, SampleRun, StateVec, Statistic, Validity, resample};

/// Folds one run of `i32` into buckets of `per_bucket` and finishes it from every family that answers.
fn numbers(
    values: &[i32],
    missing: &[usize],
    per_bucket: usize,
    statistic: Statistic,
    threshold: f64,
) -> Vec<f64> {
    let mut word = u64::MAX;
    missing.iter().for_each(|index| word &= !(1 << index));
    let words = [word];
    let run = SampleRun::new(values).with_validity(Validity::new(&words, 0)).unwrap();
    let gate = Gate::new(per_bucket as u64, threshold).unwrap();
    let mut answers = Family::ALL.into_iter().filter(|family| family.answers(statistic)).map(|family| {
        let states = StateVec::fold(family, run.into(), Grid::new(per_bucket, 0).unwrap()).unwrap();
        states.finish(statistic, gate).unwrap()
    });
    let first = answers.next().unwrap();
    for other in answers {
        assert_eq!(format!("{first:?}"), format!("{other:?}"), "{statistic}");
    }
    first
}

const FIRST_ROW: [i32; 12] = [0, 1, 2, 3, -4, 5, 6, 7, 0, 2, 97, 13];
const FIRST_MISSING: [usize; 1] = [8];

#[test]
fn one_bucket_of_eleven_valid_samples() {
    let number = |statistic| numbers(&FIRST_ROW, &FIRST_MISSING, 12, statistic, 0.90)[0];
    assert_eq!(number(Statistic::Min), -4.0);
    assert_eq!(number(Statistic::Max), 97.0);
    assert_eq!(number(Statistic::Mean), 12.0);
    assert_eq!(number(Statistic::Sum), 132.0);
    assert_eq!(format!("{:.2}", number(Statistic::MeanPolarDeg)), "9.25");
    assert_eq!(number(Statistic::Std), 28.527180021866865);
    assert_eq!(number(Statistic::Rms), 29.729079733792332);
    // Ours: -4 0 1 2 2 3 5 6 7 13 97, in order of time 0 … 13.
    assert_eq!(number(Statistic::Median), 3.0);
    assert_eq!(number(Statistic::First), 0.0);
    assert_eq!(number(Statistic::Last), 13.0);
    assert_eq!(number(Statistic::Count), 11.0);
}

#[test]
fn eleven_of_twelve_do_not_pass_099() {
    for statistic in Statistic::ALL {
        let number = numbers(&FIRST_ROW, &FIRST_MISSING, 12, statistic, 0.99)[0];
        if statistic == Statistic::Count {
            assert_eq!(number, 11.0);
        } else {
            assert!(number.is_nan(), "{statistic}");
        }
    }
}

#[test]
fn bitwise_with_nine_of_ten_valid() {
    let values = [2, 2, 2, 3, 2, 3, 65, 2, 98, 14];
    for (threshold, and, or) in [(0.90, 2.0, 111.0), (0.99, f64::NAN, f64::NAN)] {
        for (statistic, expected) in [(Statistic::MinBitwise, and), (Statistic::MaxBitwise, or)] {
            let number = numbers(&values, &[6], 10, statistic, threshold)[0];
            assert!(
                number == expected || (number.is_nan() && expected.is_nan()),
                "{statistic} at {threshold}"
            );
        }
    }
}

#[test]
fn two_buckets() {
    let values: Vec<i32> = FIRST_ROW.into_iter().chain([0, 1, 2, 3, -4, 5, 6, 7, 3, 2, 87, 12]).collect();
    assert_eq!(numbers(&values, &[8, 13], 12, Statistic::Sum, 0.90), [132.0, 123.0]);
}

#[test]
fn the_sequential_formulas_give_the_same_numbers() {
    let valid: Vec<f64> =
        FIRST_ROW.iter().enumerate().filter(|(index, _)| *index != 8).map(|(_, x)| f64::from(*x)).collect();
    for (statistic, expected) in [
        (Statistic::Mean, "12.000000000000"),
        (Statistic::Min, "-4.000000000000"),
        (Statistic::Max, "97.000000000000"),
        (Statistic::Sum, "132.000000000000"),
        (Statistic::Std, "28.527180021867"),
        (Statistic::Rms, "29.729079733792"),
    ] {
        assert_eq!(format!("{:.12}", sequential(statistic, &valid)), expected, "{statistic}");
    }
    assert_eq!(format!("{:.2}", sequential(Statistic::MeanPolarDeg, &valid)), "9.25");
    assert_eq!(sequential_integers(Statistic::MaxBitwise, &[2, 2, 2, 3, 2, 3, 2, 98, 14]), 111.0);
}

/// Runs a check for one value in each of the ten types.
macro_rules! for_each_type {
    ($check:ident: $($t:ty),*) => { $($check::<$t>();)* };
}

#[test]
fn bits_of_two_samples() {
    fn known<T: Sample>(samples: [T; 2], and: Option<f64>, or: Option<f64>)
    where
        for<'a> AnyRun<'a>: From<SampleRun<'a, T>>,
    {
        let run = AnyRun::from(SampleRun::new(&samples));
        let states = StateVec::fold(Family::Bits, run, Grid::new(2, 0).unwrap()).unwrap();
        let gate = Gate::new(2, 1.0).unwrap();
        for (statistic, expected) in [(Statistic::MinBitwise, and), (Statistic::MaxBitwise, or)] {
            if let Some(expected) = expected {
                assert_eq!(states.finish(statistic, gate).unwrap(), [expected], "{} {statistic}", T::NAME);
            }
        }
    }
    macro_rules! all {
        ($($t:ty),* => $samples:expr, $and:expr, $or:expr) => { $(known::<$t>($samples, $and, $or);)* };
    }
    all!(u8, i8, u16, i16, u32, i32, u64, i64 => [3, 4], None, Some(7.0));
    all!(i8, i16, i32, i64 => [-2, -3], None, Some(-1.0));
    all!(u8, u16, i16, u32, i32, u64, i64 => [168, 44], Some(40.0), None);
    all!(i8 => [-88, 44], Some(40.0), None);
}

#[test]
fn every_type_converts_to_f64() {
    fn converted<T: Sample>(value: T) -> f64 {
        let mut out = [0.0];
        resample(SampleRun::new(&[value]), 0, 1, &mut out).unwrap();
        out[0]
    }
    macro_rules! all {
        ($value:literal => $($t:ty),*) => { $(assert_eq!(converted::<$t>($value), f64::from($value));)* };
    }
    all!(99 => u8, u16, u32, u64, i8, i16, i32, i64);
    all!(-99 => i8, i16, i32, i64);
    assert_eq!(converted(-99.123_f32), f64::from(-99.123_f32));
    assert_eq!(converted(-99.123_f64), -99.123);
    assert_eq!(converted(u32::MAX), 4_294_967_295.0, "unsigned numbers stay positive");
    assert_eq!(converted(1_u64 << 63), 9_223_372_036_854_775_808.0, "unsigned numbers stay positive");
}

#[test]
fn missing_samples_become_nan() {
    fn known<T: Sample + From<u8>>() {
        // All ten types hold the numbers 1 to 8.
        let values: Vec<T> = (1..=8).map(T::from).collect();
        let words = [0b0101_0101];
        let run = SampleRun::new(&values).with_validity(Validity::new(&words, 0)).unwrap();
        let mut out = [0.0; 8];
        resample(run, 0, 1, &mut out).unwrap();
        let nan = f64::NAN;
        assert_eq!(
            format!("{out:?}"),
            format!("{:?}", [1.0, nan, 3.0, nan, 5.0, nan, 7.0, nan]),
            "{}",
            T::NAME
        );
    }
    for_each_type!(known: u8, u16, i16, u32, i32, u64, i64, f32, f64);

    let words = [0b01];
    let run = SampleRun::new(&[1_i8, 2]).with_validity(Validity::new(&words, 0)).unwrap();
    let mut out = [0.0; 2];
    resample(run, 0, 1, &mut out).unwrap();
    assert!(out[0] == 1.0 && out[1].is_nan());
}

#[test]
fn sample_and_hold() {
    // 0, 1, 2 (missing), 3; four targets in each, the first two of them before the request.
    let words = [0b1011];
    let base = SampleRun::new(&[0, 1, 2, 3]).at(0, 4).unwrap();
    let base = base.with_validity(Validity::new(&words, 0)).unwrap();
    let mut out = [0.0; 12];
    resample(base, 2, 1, &mut out).unwrap();
    let nan = f64::NAN;
    let expected = [0.0, 0.0, 1.0, 1.0, 1.0, 1.0, nan, nan, nan, nan, 3.0, 3.0];
    assert_eq!(format!("{out:?}"), format!("{expected:?}"));
}

#[test]
fn a_request_between_base_samples() {
    // 00:00:00.200 to 00:00:01.700 at 100 ms, from 1 s: 15 targets, of which the first 8 lie in the first second.
    let base = SampleRun::new(&[10, 11]).at(0, 1000).unwrap();
    let mut out = [0.0; 15];
    resample(base, 200, 100, &mut out).unwrap();
    assert_eq!(out[..8], [10.0; 8]);
    assert_eq!(out[8..], [11.0; 7]);
}
