//! The same plan gives the same bits, whatever threads carry it out.

use proptest::prelude::*;
use sheaf_kernels::testing::{Violation, check_threads};
use sheaf_kernels::{Error, Family, Grid};

use super::series::{Recipe, SAMPLE_TYPES, recipes};

const THREADS: [usize; 4] = [1, 2, 3, 7];

fn check(recipe: &Recipe, grid: Grid, piece_len: usize) {
    let series = recipe.series();
    for (family, threads) in Family::ALL.into_iter().flat_map(|f| THREADS.map(|threads| (f, threads))) {
        match check_threads(family, series.run(), grid, piece_len, threads) {
            Ok(()) => {}
            Err(Violation::Refused(Error::BitwiseOnFloat { .. })) if recipe.is_float() => {}
            Err(violation) => panic!("{violation}: {recipe:?}"),
        }
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    for sample_type in 0..SAMPLE_TYPES.len() {
        let recipe = Recipe { missing_percent: Some(5), first_bit: 9, ..Recipe::plain(sample_type, 9000) };
        check(&recipe, Grid::new(600, 17).unwrap(), 1000);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_cut_into_pieces_gives_the_same_bits(
        recipe in recipes(5000),
        per_bucket in 1..6000_usize,
        offset in 0..6000_usize,
        pieces in 1..40_usize,
    ) {
        check(&recipe, Grid::new(per_bucket, offset).unwrap(), recipe.len.div_ceil(pieces));
    }
}
