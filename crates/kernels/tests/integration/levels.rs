//! Every SIMD level gives the same bits.

use proptest::prelude::*;
use sheaf_kernels::testing::{Violation, check_levels};
use sheaf_kernels::{Error, Family, Grid, Level};

use super::series::{Recipe, SAMPLE_TYPES, Shape, recipes};

#[cfg(target_arch = "x86_64")]
const LEVELS: &[&str] = &["baseline", "AVX2", "AVX-512"];
#[cfg(not(target_arch = "x86_64"))]
const LEVELS: &[&str] = &["baseline"];

/// Around the sixteen lanes, the few that are taken in order, the words of validity bits and the blocks.
const LENGTHS: [usize; 26] = [
    0, 1, 2, 15, 16, 17, 31, 32, 33, 34, 47, 48, 49, 63, 64, 65, 127, 128, 129, 1000, 2047, 2048, 2049, 2081,
    4096, 4097,
];

/// Bitwise states refuse floats; everything else must hold.
fn check(family: Family, recipe: &Recipe, grid: Grid) {
    let series = recipe.series();
    match check_levels(family, series.run(), grid) {
        Ok(()) => assert!(family != Family::Bits || !recipe.is_float(), "bits of {recipe:?}"),
        Err(Violation::Refused(Error::BitwiseOnFloat { .. })) => {
            assert!(family == Family::Bits && recipe.is_float(), "{recipe:?}");
        }
        Err(violation) => panic!("{violation}: {recipe:?}, {grid:?}"),
    }
}

#[test]
fn the_levels_of_this_machine_are_reported() {
    let available: Vec<&str> = Level::available().into_iter().map(Level::name).collect();
    for name in LEVELS.iter().filter(|name| !available.contains(name)) {
        eprintln!("this machine does not have {name}: its bits were not compared");
    }
    assert!(available.iter().all(|name| LEVELS.contains(name)), "{available:?} has levels not listed here");
    assert_eq!(Level::available().last(), Some(&Level::best()));
    assert_eq!(Level::available()[0], Level::BASELINE);
}

#[test]
fn all_levels_give_the_same_bits_around_the_block_boundaries() {
    for (family, sample_type) in
        Family::ALL.into_iter().flat_map(|f| (0..SAMPLE_TYPES.len()).map(move |t| (f, t)))
    {
        for len in LENGTHS {
            let plain = Recipe { seed: len as u64, ..Recipe::plain(sample_type, len) };
            let missing =
                Recipe { missing_percent: Some(20), first_bit: 5, nan_percent: 10, ..plain.clone() };
            let special = Recipe { shape: Shape::Special, ..plain.clone() };
            let wide = Recipe { shape: Shape::Wide, nan_percent: 1, ..plain.clone() };
            let infinite = Recipe { shape: Shape::Infinite, ..plain.clone() };
            for recipe in [plain, missing, special, wide, infinite] {
                check(family, &recipe, Grid::new(len.max(1), 0).unwrap());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn all_levels_give_the_same_bits(
        recipe in recipes(6000),
        per_bucket in prop_oneof![1..100_usize, 100..6000_usize],
        offset in 0..6000_usize,
    ) {
        for family in Family::ALL {
            check(family, &recipe, Grid::new(per_bucket, offset).unwrap());
        }
    }
}
