//! Resampling equals its definition: the sample in whose slot a time lies.

use proptest::prelude::*;
use sheaf_kernels::{AnyRun, Sample, SampleRun, resample};

use super::series::recipes;

/// The definition, in one line for each time.
fn naive<T: Sample>(base: SampleRun<'_, T>, begin: i64, step: i64, len: usize) -> Vec<f64> {
    (0..len as i64)
        .map(|i| (begin + i * step - base.time(0)).div_euclid(base.step()))
        .map(|index| {
            usize::try_from(index).ok().and_then(|index| base.get(index)).map_or(f64::NAN, Sample::to_f64)
        })
        .collect()
}

fn naive_of_any(base: AnyRun<'_>, begin: i64, step: i64, len: usize) -> Vec<f64> {
    macro_rules! naive {
        ($($variant:ident),*) => { match base { $(AnyRun::$variant(base) => naive(base, begin, step, len)),* } };
    }
    naive!(U8, I8, U16, I16, U32, I32, U64, I64, F32, F64)
}

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|value| if value.is_nan() { f64::NAN } else { *value }.to_bits()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn any_period_to_any_other(
        recipe in recipes(200),
        begin_in_slots in -20.0..220.0,
        step in prop_oneof![1..20_i64, 1..100_000_i64, 1..10_000_000_i64],
        len in 0..300_usize,
    ) {
        let series = recipe.series();
        let begin = recipe.start + (begin_in_slots * recipe.step as f64) as i64;
        let mut out = vec![0.0; len];
        series.run().resample(begin, step, &mut out).unwrap();
        prop_assert_eq!(bits(&out), bits(&naive_of_any(series.run(), begin, step, len)));
    }

    #[test]
    fn whole_multiples_in_both_directions(
        recipe in recipes(200),
        factor in 1..50_i64,
        begin in -50..250_i64,
        len in 0..300_usize,
    ) {
        let mut finer = recipe.clone();
        finer.step = recipe.step * factor;
        for (base, step) in [(&finer, recipe.step), (&recipe, finer.step)] {
            let series = base.series();
            let begin = base.start + begin * step;
            let mut out = vec![0.0; len];
            series.run().resample(begin, step, &mut out).unwrap();
            prop_assert_eq!(bits(&out), bits(&naive_of_any(series.run(), begin, step, len)));
        }
    }
}

#[test]
fn the_whole_range_of_times_can_be_asked_for() {
    let values = [7_i16];
    let base = SampleRun::new(&values).at(-1, 2).unwrap();
    let mut out = [0.0; 3];
    resample(base, i64::MIN, i64::MAX / 2, &mut out).unwrap();
    assert_eq!(bits(&out), bits(&[f64::NAN, f64::NAN, f64::NAN]));
    resample(base, i64::MIN, i64::MAX, &mut out[..2]).unwrap();
    assert_eq!(bits(&out[..2]), bits(&[f64::NAN, 7.0]));
}
