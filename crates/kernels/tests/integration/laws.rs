//! Split anywhere, coarsen, and the sequential formulas, for every statistic.

use proptest::prelude::*;
use sheaf_kernels::testing::{
    Violation, check_coarsen, check_one_answer, check_sequential, check_split_anywhere,
};
use sheaf_kernels::{Grid, Statistic};

use super::series::{Recipe, SAMPLE_TYPES, Shape, recipes};

/// Buckets from single samples to longer than any run.
fn buckets() -> impl Strategy<Value = usize> {
    prop_oneof![1..20_usize, 20..3000_usize, Just(100_000)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn parts_merge_into_the_whole(
        recipe in recipes(5000),
        cuts in prop::collection::vec(0..5000_usize, 0..8),
        per_bucket in buckets(),
        offset in 0..4000_usize,
    ) {
        let series = recipe.series();
        let grid = Grid::new(per_bucket, offset).unwrap();
        // Cuts are scaled to the run, so that they fall into it.
        let cuts: Vec<usize> = cuts.iter().map(|cut| cut * recipe.len / 4999).collect();
        for statistic in Statistic::ALL {
            check_split_anywhere(statistic, series.run(), &cuts, grid)?;
        }
    }

    #[test]
    fn fine_buckets_merge_into_coarse_ones(
        recipe in recipes(5000),
        per_bucket in 1..700_usize,
        factor in 1..20_usize,
        offset in 0..4000_usize,
    ) {
        let series = recipe.series();
        for statistic in Statistic::ALL {
            check_coarsen(statistic, series.run(), per_bucket, factor, offset)?;
        }
    }

    #[test]
    fn families_answer_with_the_same_bits(
        recipe in recipes(5000),
        per_bucket in buckets(),
        offset in 0..4000_usize,
        factor in 1..20_usize,
    ) {
        let series = recipe.series();
        let grid = Grid::new(per_bucket, offset).unwrap();
        for statistic in Statistic::ALL {
            check_one_answer(statistic, series.run(), grid, factor)?;
        }
    }

    #[test]
    fn numbers_are_those_of_the_sequential_formulas(
        recipe in recipes(5000),
        per_bucket in buckets(),
        offset in 0..4000_usize,
    ) {
        let series = recipe.series();
        let grid = Grid::new(per_bucket, offset).unwrap();
        for statistic in Statistic::ALL {
            check_sequential(statistic, series.run(), grid)?;
        }
    }
}

/// Every single cut of a run that is longer than a block of lanes and crosses a word of validity bits.
#[test]
fn every_cut_of_a_run() {
    for sample_type in 0..SAMPLE_TYPES.len() {
        let missing = Recipe { missing_percent: Some(10), first_bit: 3, ..Recipe::plain(sample_type, 70) };
        for recipe in [Recipe::plain(sample_type, 70), missing] {
            let series = recipe.series();
            for (statistic, cut) in Statistic::ALL.into_iter().flat_map(|s| (0..=70).map(move |cut| (s, cut)))
            {
                for grid in [Grid::new(70, 0).unwrap(), Grid::new(25, 7).unwrap()] {
                    check_split_anywhere(statistic, series.run(), &[cut], grid).unwrap();
                }
            }
        }
    }
}

/// Longer than the entries a median keeps, so that parts and whole are coarsened, each in its own way.
#[test]
fn more_values_than_a_median_keeps_apart() {
    for (shape, seed) in [(Shape::Around0, 1), (Shape::Wide, 2)] {
        let recipe = Recipe { shape, seed, ..Recipe::plain(9, 300_000) };
        let series = recipe.series();
        let grid = Grid::new(recipe.len, 0).unwrap();
        check_split_anywhere(Statistic::Median, series.run(), &[1000, 90_000, 190_000], grid).unwrap();
        check_sequential(Statistic::Median, series.run(), grid).unwrap();
    }
}

/// Equal samples have no standard deviation, wherever they are split: not even a rounding error.
#[test]
fn equal_samples_split_anywhere_have_no_std() {
    use sheaf_kernels::{Gate, Moments, SampleRun, StateVec, finish, fold_piece, merge_partials};
    for value in [0.1, -12.3, 1e200, 5e-324, 1e308] {
        let values = vec![value; 5000];
        let run = SampleRun::new(&values);
        let gate = Gate::new(5000, 1.0).unwrap();
        let grid = Grid::new(5000, 0).unwrap();
        let parts = [0..17, 17..18, 18..2900, 2900..5000]
            .map(|part| fold_piece::<Moments, _>(run, grid, part).unwrap());
        assert_eq!(finish(&merge_partials(parts), Statistic::Std, gate).unwrap(), [0.0], "{value}");
        let whole = StateVec::fold(sheaf_kernels::Family::Moments, run.into(), grid).unwrap();
        assert_eq!(whole.finish(Statistic::Std, gate).unwrap(), [0.0], "{value}");
    }
}

/// A law that can't fail proves nothing: samples that differ must be told apart, and the text must say where.
#[test]
fn a_violation_says_what_differs() {
    let violation = Violation::Number {
        law: "split anywhere",
        family: sheaf_kernels::Family::Sums,
        statistic: Statistic::Mean,
        bucket: 3,
        expected: 1.5,
        found: 1.25,
        allowed: 1e-12,
    };
    assert_eq!(
        violation.to_string(),
        "split anywhere: mean of bucket 3 from sums states is 1.25, expected 1.5 within 1e-12 (they are 2.5e-1 apart)"
    );
}
