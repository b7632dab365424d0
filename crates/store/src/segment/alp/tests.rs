//! Against the decoder of the crate `parquet`, bit by bit, on what its encoder writes; and on bytes that nothing writes.

use std::fmt::Debug;

use bytes::Bytes;
use parquet::basic::Encoding;
use parquet::data_type::{DataType, DoubleType, FloatType};
use proptest::prelude::*;

use super::*;
use crate::segment::native::Bits;
use crate::segment::reference;

/// A float with the type that Parquet has for it.
trait Float: AlpFloat + Bits + Debug {
    type Parquet: DataType<T = Self>;
    fn from_u64(bits: u64) -> Self;
    /// A decimal with so many places.
    fn decimal(integer: i64, places: u32) -> Self;
}

impl Float for f64 {
    type Parquet = DoubleType;

    fn from_u64(bits: u64) -> f64 {
        f64::from_bits(bits)
    }

    fn decimal(integer: i64, places: u32) -> f64 {
        integer as f64 / 10_f64.powi(places as i32)
    }
}

impl Float for f32 {
    type Parquet = FloatType;

    fn from_u64(bits: u64) -> f32 {
        f32::from_bits(bits as u32)
    }

    fn decimal(integer: i64, places: u32) -> f32 {
        integer as f32 / 10_f32.powi(places as i32)
    }
}

/// One page of these values.
fn encoded<F: Float>(values: &[F]) -> Bytes {
    reference::encoded::<F::Parquet>(Encoding::ALP, values)
}

/// What the crate makes of a page.
fn decoded_by_the_crate<F: Float>(page: &[u8], len: usize) -> Result<Vec<F>, ParquetError> {
    reference::decoded::<F::Parquet>(Encoding::ALP, None, page, len)
}

fn decoded<F: Float>(
    page: &[u8],
    len: usize,
    level: Level,
    range: Range<usize>,
) -> Result<Vec<F>, ParquetError> {
    let mut out = vec![F::decimal(-77, 1); range.len()];
    AlpPage::new(page, len)?.decode(level, range, &mut out)?;
    Ok(out)
}

fn bits<F: Float>(values: &[F]) -> Vec<u64> {
    values.iter().map(|value| value.bits()).collect()
}

/// That a page comes back from both decoders, all of it and in parts, at each level.
fn check_page<F: Float>(page: &Bytes, expected: &[F], ranges: &[Range<usize>]) {
    let len = expected.len();
    assert_eq!(bits(&decoded_by_the_crate::<F>(page, len).unwrap()), bits(expected));
    for level in Level::available() {
        let all = decoded::<F>(page, len, level, 0..len).unwrap();
        assert_eq!(bits(&all), bits(expected), "{}", level.name());
        for range in ranges {
            let part = decoded::<F>(page, len, level, range.clone()).unwrap();
            assert_eq!(bits(&part), bits(&expected[range.clone()]), "{range:?} at {}", level.name());
        }
    }
}

fn check<F: Float>(values: &[F], ranges: &[Range<usize>]) {
    check_page(&encoded(values), values, ranges);
}

/// A vector of integers of this width, and its page. The encoder decides the width by itself, so this is by hand.
fn page_of_width<F: Float>(
    bits: usize,
    len: usize,
    smallest: u64,
    places: (u8, u8),
    random: &[u64],
) -> Bytes {
    let mut packed = vec![0_u8; (bits * len).div_ceil(8)];
    for index in 0..len {
        for bit in 0..bits {
            if random[index % random.len()].rotate_left(index as u32) >> bit & 1 == 1 {
                let at = index * bits + bit;
                packed[at / 8] |= 1 << (at % 8);
            }
        }
    }
    let log = 15_u8;
    let mut page = vec![0, 0, log];
    page.extend((len as i32).to_le_bytes());
    page.extend(4_u32.to_le_bytes());
    page.extend([places.1, places.0, 1, 0]);
    page.extend(&smallest.to_le_bytes()[..F::BYTES]);
    page.push(bits as u8);
    page.extend(packed);
    // One exception, in the last place.
    page.extend((len as u16 - 1).to_le_bytes());
    page.extend(&0x7ff0_1234_5678_9abc_u64.to_le_bytes()[..F::BYTES]);
    page.into()
}

/// Every width, around zero and far from it, of vectors that end where a group does and where not.
fn widths<F: Float>() {
    let random: Vec<u64> =
        (1..=64_u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17) ^ n).collect();
    for bits in 0..=8 * F::BYTES {
        for len in [1, 9, 64, 1023, 1025] {
            for smallest in [0, u64::MAX, -1234_i64 as u64, 1 << 51, (1 << 51) - 1, i64::MIN as u64, 1 << 31]
            {
                for places in [(0, 0), (0, 3), (2, 5), (F::MOST_EXPONENT, F::MOST_EXPONENT)] {
                    let page = page_of_width::<F>(bits, len, smallest, places, &random);
                    let expected = decoded_by_the_crate::<F>(&page, len).unwrap();
                    let (half, last) = (len / 2, len - 1);
                    check_page(&page, &expected, &[0..half, half..len, last..len, len / 3..half]);
                }
            }
        }
    }
}

#[test]
fn all_widths_of_doubles() {
    widths::<f64>();
}

#[test]
fn all_widths_of_floats() {
    widths::<f32>();
}

/// Values as a series may have them: mostly decimals, with anything in between.
fn values<F: Float>() -> impl Strategy<Value = Vec<F>> {
    let special = [
        f64::NAN.to_bits(),
        0x7ff0_0000_0000_0001,
        0xfff8_dead_beef_0001,
        f64::INFINITY.to_bits(),
        f64::NEG_INFINITY.to_bits(),
        (-0.0_f64).to_bits(),
        1,
        f64::MAX.to_bits(),
        0x7f80_0001,
        0xff80_0000,
        0x8000_0000,
    ];
    let len = prop_oneof![
        4 => 0..3000_usize,
        1 => proptest::sample::select(vec![0, 1, 7, 8, 1023, 1024, 1025, 2048, 2049]),
    ];
    let range = prop_oneof![0..50_u32, Just(62)];
    (len, range, 0..12_u32, 0..4_u32, any::<u64>(), any::<i64>()).prop_map(
        move |(len, width, places, exceptions, seed, base)| {
            let mut state = seed;
            let mut next = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                state ^ state >> 29
            };
            let base = if seed % 3 == 0 { base >> 20 } else { 0 };
            (0..len)
                .map(|_| {
                    let number = next();
                    match number % 64 {
                        0 if exceptions > 0 => F::from_u64(special[next() as usize % special.len()]),
                        1..9 if exceptions > 1 => F::from_u64(next()),
                        _ if exceptions > 2 && number % 3 == 0 => F::from_u64(next()),
                        _ => F::decimal(base.wrapping_add((next() >> (63 - width)) as i64), places),
                    }
                })
                .collect()
        },
    )
}

fn ranges(len: usize, cuts: &[(f64, f64)]) -> Vec<Range<usize>> {
    let part = |from: f64, share: f64| {
        let begin = (from * len as f64) as usize;
        begin..begin + (share * (len - begin) as f64) as usize
    };
    cuts.iter().map(|&(from, share)| part(from, share)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn doubles_come_back(
        values in values::<f64>(),
        cuts in proptest::collection::vec((0.0..1.0, 0.0..1.0), 0..4),
    ) {
        prop_assume!(!values.is_empty());
        check(&values, &ranges(values.len(), &cuts));
    }

    #[test]
    fn floats_come_back(
        values in values::<f32>(),
        cuts in proptest::collection::vec((0.0..1.0, 0.0..1.0), 0..4),
    ) {
        prop_assume!(!values.is_empty());
        check(&values, &ranges(values.len(), &cuts));
    }

    /// Whatever the bytes are: an error, or as many values as there should be.
    #[test]
    fn no_bytes_break_it(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        log in any::<u8>(),
        len in 0..300_usize,
        from in 0..300_usize,
    ) {
        let mut page = vec![0, 0, 3 + log % 14];
        page.extend((len as i32).to_le_bytes());
        page.extend(&bytes);
        for bytes in [&bytes, &page] {
            for level in Level::available() {
                let _ = decoded::<f64>(bytes, len, level, 0..len);
                let _ = decoded::<f32>(bytes, len, level, from.min(len)..len);
            }
        }
    }

    /// A page in which bytes were changed, or that was cut off: where both decoders take it, they agree, and what the crate
    /// refuses we refuse too.
    #[test]
    fn a_damaged_page_is_no_page_or_another(
        values in values::<f64>(),
        changes in proptest::collection::vec((0.0..1.0, any::<u8>()), 0..4),
        near_the_begin: bool,
        cut in 0..20_usize,
    ) {
        prop_assume!(!values.is_empty());
        let mut page = encoded(&values).to_vec();
        for (place, byte) in changes {
            let span = if near_the_begin { page.len().min(40) } else { page.len() };
            page[(place * span as f64) as usize] = byte;
        }
        page.truncate(page.len() - cut.saturating_sub(15).min(page.len()));
        let theirs = decoded_by_the_crate::<f64>(&page, values.len());
        let ours = decoded::<f64>(&page, values.len(), Level::best(), 0..values.len());
        match (&theirs, &ours) {
            (Ok(theirs), Ok(ours)) => prop_assert_eq!(bits(theirs), bits(ours)),
            (Err(_), Ok(_)) => prop_assert!(false, "{theirs:?}"),
            _ => {}
        }
    }
}

#[test]
fn what_is_wrong_is_said() {
    let page = encoded(&[1.5, 2.25, 3.0, f64::NAN]);
    let message = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut page = page.to_vec();
        change(&mut page);
        decoded::<f64>(&page, 4, Level::best(), 0..4).unwrap_err().to_string()
    };
    let with = |index: usize, byte: u8| message(&|page: &mut Vec<u8>| page[index] = byte);
    assert_eq!(decoded::<f64>(&page, 4, Level::best(), 1..3).unwrap(), [2.25, 3.0]);
    assert!(message(&|page| page.truncate(6)).ends_with("a page of 6 bytes is too short for a header"));
    assert!(message(&|page| page.truncate(9)).ends_with("2 bytes are too few for 1 vectors"));
    assert!(with(0, 1).ends_with("mode 1 with integers 0 is unknown, both should be 0"));
    assert!(with(2, 16).ends_with("vectors of 2^16 values; 2^3 to 2^15 are allowed"));
    assert!(with(3, 5).ends_with("a page has 5 values, its header says 4"));
    assert!(with(7, 5).contains("vector 0 of 1: bytes 5 to"));
    assert!(with(11, 19).contains("exponent 19 and factor"));
    assert!(with(12, 200).contains("and factor 200 are not possible"));
    assert!(with(13, 5).ends_with("5 of its 4 values are exceptions"));
    assert!(with(23, 65).ends_with("its integers have 65 bits"));
    assert!(message(&|page| page.push(0)).contains("bytes of values, not"));
    let error = AlpPage::new(&page, 4).unwrap().decode(Level::best(), 2..5, &mut [0.0; 3]).unwrap_err();
    assert!(error.to_string().ends_with("values 2..5 of a page with 4 for 3"));
}
