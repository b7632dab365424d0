//! First and last know their times, before 1970 and before year 1 as well.

use proptest::prelude::*;
use sheaf_kernels::{AnyRun, Edges, Error, Family, Grid, SampleRun, State, coarsen, fold};

use super::series::recipes;

#[test]
fn negative_times_are_times() {
    let values = [f64::NAN, 2.0, 3.0, f64::NAN, 5.0, f64::NAN];
    let run = SampleRun::new(&values).at(-35, 10).unwrap();
    let states: Vec<Edges> = fold(run, Grid::new(2, 1).unwrap()).unwrap();
    let times: Vec<_> = states.iter().map(|state| (state.first_time(), state.last_time())).collect();
    assert_eq!(times, [(None, None), (Some(-25), Some(-15)), (Some(5), Some(5)), (None, None)]);

    let whole = coarsen(&states, Grid::new(4, 0).unwrap());
    assert_eq!((whole[0].first_time(), whole[0].last_time()), (Some(-25), Some(5)));
}

#[test]
fn the_earliest_and_the_latest_time_are_times() {
    for start in [i64::MIN, i64::MAX - 2] {
        let states: Vec<Edges> =
            fold(SampleRun::new(&[1_u8, 2]).at(start, 1).unwrap(), Grid::new(2, 0).unwrap()).unwrap();
        assert_eq!((states[0].first_time(), states[0].last_time()), (Some(start), Some(start + 1)));
    }
    let far = SampleRun::new(&[1_u8, 2]).at(i64::MIN, i64::MAX).unwrap();
    let states: Vec<Edges> = fold(far, Grid::new(2, 0).unwrap()).unwrap();
    assert_eq!(states[0].last_time(), Some(-1));
}

/// Times of the first and the last valid sample, by going through all.
fn times(run: AnyRun<'_>) -> Result<(Edges, Option<i64>, Option<i64>), Error> {
    macro_rules! times {
        ($($variant:ident),*) => {
            match run {
                $(AnyRun::$variant(run) => {
                    let valid = || (0..run.len()).filter(|&index| run.get(index).is_some());
                    let time = |index: usize| run.time(index);
                    let states = fold(run, Grid::new(run.len().max(1), 0)?)?;
                    let state = states.into_iter().next().unwrap_or_default();
                    Ok((state, valid().next().map(time), valid().last().map(time)))
                })*
            }
        };
    }
    times!(U8, I8, U16, I16, U32, I32, U64, I64, F32, F64)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn times_are_those_of_the_first_and_the_last_valid_sample(recipe in recipes(300)) {
        let series = recipe.series();
        let (state, first, last) = times(series.run()).unwrap();
        prop_assert_eq!((state.first_time(), state.last_time()), (first, last));
        prop_assert_eq!(Edges::FAMILY, Family::Edges);
    }
}
