//! The byte form of the states: what was written is read, and nothing else is.

use proptest::prelude::*;
use sheaf_kernels::testing::{check_bytes_of_any_origin, check_codec};
use sheaf_kernels::{CODEC_VERSION, CodecError, Family, Gate, Grid, SampleRun, StateVec, Statistic};

use super::series::{Recipe, SAMPLE_TYPES, Shape, recipes};

/// Families that take the samples of a recipe.
fn families(recipe: &Recipe) -> impl Iterator<Item = Family> {
    let is_float = recipe.is_float();
    Family::ALL.into_iter().filter(move |family| *family != Family::Bits || !is_float)
}

/// The first bytes of `count` states: the layout is public, and the family's number is its place in the list.
fn header(family: Family, count: u64) -> Vec<u8> {
    let code = Family::ALL.iter().position(|other| *other == family).unwrap() as u8;
    let mut bytes = b"SHST".to_vec();
    bytes.extend([CODEC_VERSION, code, 0, 0]);
    bytes.extend(count.to_le_bytes());
    bytes
}

#[test]
fn the_header_is_as_documented() {
    for family in Family::ALL {
        assert_eq!(StateVec::empty(family, 0).encode(), header(family, 0), "{family}");
    }
}

#[test]
fn every_truncation_is_an_error() {
    for sample_type in 0..SAMPLE_TYPES.len() {
        let recipe = Recipe { shape: Shape::Few, ..Recipe::plain(sample_type, 20) };
        for family in families(&recipe) {
            let series = recipe.series();
            let bytes = StateVec::fold(family, series.run(), Grid::new(6, 1).unwrap()).unwrap().encode();
            for len in 0..bytes.len() {
                assert!(
                    StateVec::decode(family, &bytes[..len]).is_err(),
                    "{family}: {len} of {} bytes",
                    bytes.len()
                );
            }
            assert!(StateVec::decode(family, &bytes).is_ok());
            let longer = [&bytes[..], &[0]].concat();
            assert!(StateVec::decode(family, &longer).is_err(), "{family} with a byte too many");
        }
    }
}

#[test]
fn states_of_another_family_are_refused() {
    for (wanted, found) in Family::ALL.into_iter().flat_map(|a| Family::ALL.map(|b| (a, b))) {
        let decoded = StateVec::decode(wanted, &StateVec::empty(found, 2).encode());
        if wanted == found {
            assert_eq!(decoded.map(|states| states.len()), Ok(2));
        } else {
            let error = decoded.unwrap_err();
            assert!(matches!(error, CodecError::WrongFamily { .. }), "{error}");
            assert_eq!(error.to_string(), format!("{found} states where {wanted} states were expected"));
        }
    }
}

/// Infinite samples leave NaN in some fields: one and the same NaN, whatever the machine made of them.
#[test]
fn nan_has_one_form() {
    let fields = |family: Family, fields: &[u64]| {
        let mut bytes = header(family, 1);
        fields.iter().for_each(|field| bytes.extend(field.to_le_bytes()));
        bytes
    };
    let (minus, plus) = (f64::NEG_INFINITY.to_bits(), f64::INFINITY.to_bits());
    let of_nan = |nan: u64| {
        [
            (Family::Sums, fields(Family::Sums, &[2, nan, 0, nan])),
            (Family::Moments, fields(Family::Moments, &[2, nan, 0, nan, nan, minus, plus])),
        ]
    };
    let samples = [f64::NEG_INFINITY, f64::INFINITY];
    for (family, bytes) in of_nan(f64::NAN.to_bits()) {
        let grid = Grid::new(2, 0).unwrap();
        let states = StateVec::fold(family, SampleRun::new(&samples).into(), grid).unwrap();
        assert_eq!(states.encode(), bytes, "{family}");
        let read = StateVec::decode(family, &bytes).unwrap();
        let mean = read.finish(Statistic::Mean, Gate::new(2, 1.0).unwrap()).unwrap()[0];
        assert_eq!(mean.to_bits(), f64::NAN.to_bits());
    }
    for nan in [0xfff8_0000_0000_0000, 0x7ff8_0000_dead_beef, 0x7ff0_0000_0000_0001] {
        for (family, bytes) in of_nan(nan) {
            let error = StateVec::decode(family, &bytes).unwrap_err();
            assert!(matches!(error, CodecError::Impossible { field: "NaN", .. }), "{family}: {error}");
        }
    }
}

/// Counts from bytes stop where an `f64` can't tell them apart: merging any number of such states neither overflows nor
/// makes one that can't be read back.
#[test]
fn counts_stop_before_they_overflow() {
    let largest = 1_u64 << 53;
    let state = |family: Family| -> Vec<u8> {
        let n = largest.to_le_bytes();
        let one = 1.0_f64.to_le_bytes();
        let zero = 0.0_f64.to_le_bytes();
        match family {
            Family::Sums => [n, one, zero, one].concat(),
            Family::Moments => [n, one, zero, one, zero, one, one].concat(),
            Family::Polar => [&n[..], &[0; 8], &(i128::from(largest) << 51).to_le_bytes(), &[0; 16]].concat(),
            Family::Bits => [&n[..], &[0; 16], &[0; 16]].concat(),
            Family::Edges => [n, 1_u64.to_le_bytes(), one, 2_u64.to_le_bytes(), one].concat(),
            // One entry at the key of 1.0, as often as can be.
            Family::Quantiles => {
                let leb128 = |mut value: u64| {
                    let mut bytes = Vec::new();
                    while value >= 0x80 {
                        bytes.push(value as u8 | 0x80);
                        value >>= 7;
                    }
                    bytes.push(value as u8);
                    bytes
                };
                let key = 1.0_f64.to_bits() ^ (1 << 63);
                [vec![0, 1, 0, 0, 0], leb128(key), leb128(largest)].concat()
            }
            _ => panic!("add the largest {family} state to this list"),
        }
    };
    for family in Family::ALL {
        let count = 5000;
        let mut bytes = header(family, count);
        (0..count).for_each(|_| bytes.extend(state(family)));
        let states = StateVec::decode(family, &bytes).unwrap();
        let merged = states.coarsen(Grid::new(count as usize, 0).unwrap());
        let n = merged.finish(Statistic::Count, Gate::new(1, 0.0).unwrap()).unwrap();
        assert_eq!(n, [largest as f64], "{family}");
        assert_eq!(StateVec::decode(family, &merged.encode()), Ok(merged), "{family}");
    }
}

/// Claims of more states or entries than the bytes can hold must not be believed.
#[test]
fn large_counts_are_refused_before_memory_is_taken() {
    for family in Family::ALL {
        for count in [1, 1 << 32, u64::MAX] {
            assert!(StateVec::decode(family, &header(family, count)).is_err(), "{family} {count}");
        }
    }
    let mut entries = header(Family::Quantiles, 1);
    entries.extend([0, 0xff, 0xff, 0xff, 0xff]);
    assert!(StateVec::decode(Family::Quantiles, &entries).is_err());
}

/// Words that states are made of, so that random bodies get past the first checks.
fn word() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..4_u64,
        Just(1 << 53),
        Just((1 << 53) + 1),
        Just(u64::MAX),
        Just(1 << 63),
        any::<f64>().prop_map(f64::to_bits),
        any::<u64>(),
    ]
}

fn family() -> impl Strategy<Value = Family> {
    proptest::sample::select(&Family::ALL[..])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn states_are_read_as_they_were_written(
        recipe in recipes(3000),
        per_bucket in 1..2000_usize,
        offset in 0..2000_usize,
    ) {
        let series = recipe.series();
        for family in families(&recipe) {
            check_codec(family, series.run(), Grid::new(per_bucket, offset).unwrap())?;
        }
    }

    #[test]
    fn changed_bytes_are_refused_or_kept(
        recipe in recipes(60),
        per_bucket in 1..60_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
        insert in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
    ) {
        let series = recipe.series();
        for family in families(&recipe) {
            let states = StateVec::fold(family, series.run(), Grid::new(per_bucket, 0).unwrap()).unwrap();
            let mut bytes = states.encode();
            for (index, byte) in &changes {
                let index = index.index(bytes.len());
                bytes[index] = *byte;
            }
            if let Some((index, byte)) = insert {
                bytes.insert(index.index(bytes.len()), byte);
            }
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len()));
            }
            check_bytes_of_any_origin(family, &bytes)?;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn a_changed_bit_is_refused_or_kept(family in family(), seed in any::<u64>(), bit in any::<prop::sample::Index>()) {
        let recipe = Recipe { seed, shape: Shape::Few, ..Recipe::plain(5, 12) };
        let mut bytes = StateVec::fold(family, recipe.series().run(), Grid::new(4, 0).unwrap()).unwrap().encode();
        let bit = bit.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        check_bytes_of_any_origin(family, &bytes)?;
    }

    #[test]
    fn arbitrary_bytes_are_refused_or_kept(family in family(), bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        check_bytes_of_any_origin(family, &bytes)?;
        let behind_a_header = [header(family, 1), bytes].concat();
        check_bytes_of_any_origin(family, &behind_a_header)?;
    }

    #[test]
    fn plausible_words_are_refused_or_kept(
        family in family(),
        count in 0..4_u64,
        words in prop::collection::vec(word(), 0..21),
        shift in prop::option::of(0..52_u8),
    ) {
        let mut bytes = header(family, count);
        if let (Family::Quantiles, Some(shift)) = (family, shift) {
            bytes.extend([shift, 2, 0, 0, 0]);
        }
        words.iter().for_each(|word| bytes.extend(word.to_le_bytes()));
        check_bytes_of_any_origin(family, &bytes)?;
        // Sums, moments, bits, edges and polar states have no more than ten words.
        for words in 4..=words.len().min(10) {
            let mut one = header(family, 1);
            one.extend(&bytes[16..].iter().copied().take(words * 8).collect::<Vec<_>>());
            check_bytes_of_any_origin(family, &one)?;
        }
    }
}
