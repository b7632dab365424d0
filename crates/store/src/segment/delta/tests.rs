//! Against the decoder of the crate `parquet`, on what its encoder writes, on pages of every width, and on bytes that
//! nothing writes.

use std::fmt::Debug;
use std::panic;

use parquet::basic::Encoding;
use parquet::data_type::{DataType, Int32Type, Int64Type};
use proptest::prelude::*;

use super::*;
use crate::segment::reference;

/// An integer with the type that Parquet has for it.
trait Integer: DeltaInteger + Debug + PartialEq + 'static {
    type Parquet: DataType<T = Self>;
}

impl Integer for i32 {
    type Parquet = Int32Type;
}

impl Integer for i64 {
    type Parquet = Int64Type;
}

fn decoded_by_the_crate<T: Integer>(page: &[u8], len: usize) -> Result<Vec<T>, ParquetError> {
    reference::decoded::<T::Parquet>(Encoding::DELTA_BINARY_PACKED, None, page, len)
}

fn decoded<T: Integer>(level: Level, page: &[u8], len: usize) -> Result<Vec<T>, ParquetError> {
    // What was there before must not show.
    let mut out = vec![T::of(77); 1000];
    decode(level, page, len, &mut out)?;
    Ok(out)
}

fn check_page<T: Integer>(page: &[u8], expected: &[T]) {
    assert!(decoded_by_the_crate::<T>(page, expected.len()).unwrap() == expected);
    for level in Level::available() {
        assert!(decoded::<T>(level, page, expected.len()).unwrap() == expected, "{}", level.name());
    }
}

fn put_varint(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn put_zigzag(bytes: &mut Vec<u8>, number: i64) {
    put_varint(bytes, ((number << 1) ^ (number >> 63)) as u64);
}

/// A page by hand: `len` values in blocks of 256, whose mini blocks have differences of these widths, one after the other.
/// Widths without values are 0xff.
fn page_of_widths<T: Integer>(widths: &[usize], mini_blocks: usize, len: usize, least: i64) -> Vec<u8> {
    let mini_block = 256 / mini_blocks;
    let mut page = Vec::new();
    put_varint(&mut page, 256);
    put_varint(&mut page, mini_blocks as u64);
    put_varint(&mut page, len as u64);
    put_zigzag(&mut page, least.wrapping_mul(3) >> (64 - T::BITS));
    let mut state = len as u64;
    let mut number = 0;
    let mut left = len - 1;
    while left > 0 {
        put_zigzag(&mut page, least >> (64 - T::BITS));
        let at = page.len();
        page.resize(at + mini_blocks, 0xff);
        for index in 0..mini_blocks {
            if left == 0 {
                break;
            }
            let width = widths[number % widths.len()];
            number += 1;
            page[at + index] = width as u8;
            for _ in 0..mini_block * width / 8 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                page.push((state >> 56) as u8);
            }
            left = left.saturating_sub(mini_block);
        }
    }
    page
}

/// Every width, alone and beside others, in pages that end where a mini block does and where not.
fn widths<T: Integer>() {
    for width in 0..=T::BITS {
        for len in [1, 2, 9, 33, 64, 257, 258, 700] {
            for mini_blocks in [1, 2, 4, 8] {
                for least in [0, -1, i64::MIN, i64::MAX, 12_345 << 40] {
                    for widths in [&[width][..], &[width, 0, T::BITS - width, 3]] {
                        let page = page_of_widths::<T>(widths, mini_blocks, len, least);
                        check_page(&page, &decoded_by_the_crate::<T>(&page, len).unwrap());
                    }
                }
            }
        }
    }
}

#[test]
fn all_widths_of_32_bits() {
    widths::<i32>();
}

#[test]
fn all_widths_of_64_bits() {
    widths::<i64>();
}

/// Integers as a series may have them: counters, levels, states, anything.
fn values<T: Integer>() -> impl Strategy<Value = Vec<T>> {
    let len = prop_oneof![
        4 => 1..3000_usize,
        1 => proptest::sample::select(vec![1, 2, 32, 33, 64, 65, 128, 129, 257, 65_536]),
    ];
    (len, 0..=T::BITS, any::<u64>(), any::<u64>(), 0..4_u8).prop_map(|(len, width, seed, base, kind)| {
        let (mut state, mut last) = (seed, base);
        (0..len)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let random = (state ^ state >> 29).rotate_left(31);
                let small = if width == 0 { 0 } else { random >> (64 - width) };
                match kind {
                    0 => last = last.wrapping_add(small),
                    1 => last = base.wrapping_add(small),
                    2 if random.is_multiple_of(50) => last = last.wrapping_add(small),
                    2 => {}
                    _ => last = last.wrapping_sub(seed >> 50),
                }
                T::of(last)
            })
            .collect()
    })
}

fn layouts() -> impl Strategy<Value = (usize, usize)> {
    proptest::sample::select(vec![(128, 4), (128, 1), (256, 4), (512, 4), (1024, 4), (4096, 4), (65_536, 4)])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn words_come_back(values in values::<i32>(), (block, mini_blocks) in layouts()) {
        check_page(&reference::encoded::<Int32Type>(Encoding::DELTA_BINARY_PACKED, &values), &values);
        check_page(&reference::encoded_in_blocks::<Int32Type>(block, mini_blocks, &values), &values);
    }

    #[test]
    fn long_words_come_back(values in values::<i64>(), (block, mini_blocks) in layouts()) {
        check_page(&reference::encoded::<Int64Type>(Encoding::DELTA_BINARY_PACKED, &values), &values);
        check_page(&reference::encoded_in_blocks::<Int64Type>(block, mini_blocks, &values), &values);
    }

    /// Whatever the bytes are: an error, or as many values as there should be.
    #[test]
    fn no_bytes_break_it(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        len in 0..300_usize,
        with_header: bool,
    ) {
        let mut page = Vec::new();
        if with_header {
            put_varint(&mut page, 128);
            put_varint(&mut page, 4);
            put_varint(&mut page, len as u64);
        }
        page.extend(&bytes);
        for level in Level::available() {
            let words = decoded::<i32>(level, &page, len);
            prop_assert!(words.is_err() || words.is_ok_and(|words| words.len() == len));
            let words = decoded::<i64>(level, &page, len);
            prop_assert!(words.is_err() || words.is_ok_and(|words| words.len() == len));
        }
    }

    /// A page in which bytes were changed, or that was cut off: where both decoders take it, they agree, and what the crate
    /// refuses we refuse too.
    #[test]
    fn a_damaged_page_is_no_page_or_another(
        values in values::<i32>(),
        changes in proptest::collection::vec((0.0..1.0, any::<u8>()), 0..4),
        near_the_begin: bool,
        cut in 0..20_usize,
    ) {
        let mut page = reference::encoded::<Int32Type>(Encoding::DELTA_BINARY_PACKED, &values).to_vec();
        for (place, byte) in changes {
            let span = if near_the_begin { page.len().min(16) } else { page.len() };
            page[(place * span as f64) as usize] = byte;
        }
        page.truncate(page.len() - cut.saturating_sub(15).min(page.len()));
        let ours = decoded::<i32>(Level::best(), &page, values.len());
        // Some headers make the crate panic, or go on for ever: those are refused, too.
        if let Ok(ours) = &ours {
            let theirs = panic::catch_unwind(|| decoded_by_the_crate::<i32>(&page, values.len()));
            let theirs = theirs.ok().and_then(Result::ok);
            prop_assert_eq!(theirs.as_ref(), Some(ours));
        }
    }
}

#[test]
fn what_is_wrong_is_said() {
    let values: Vec<i32> = (0..40).map(|index| index * index).collect();
    let page = reference::encoded::<Int32Type>(Encoding::DELTA_BINARY_PACKED, &values).to_vec();
    // 128 as two bytes, 4, 40, 0; the smallest difference, four widths, mini blocks of seven and six bits.
    assert_eq!(page[..6], [128, 1, 4, 40, 0, 2]);
    assert_eq!(decoded::<i32>(Level::best(), &page, 40).unwrap(), values);
    let message = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut page = page.clone();
        change(&mut page);
        decoded::<i32>(Level::best(), &page, 40).unwrap_err().to_string()
    };
    let with = |index: usize, byte: u8| message(&|page: &mut Vec<u8>| page[index] = byte);
    assert!(message(&|page| page.truncate(3)).ends_with("a page is cut off in its header"));
    assert!(message(&|page| page.truncate(5)).ends_with("a page is cut off"));
    assert!(message(&|page| page.truncate(8)).ends_with("a page is cut off"));
    assert!(message(&|page| page.truncate(page.len() - 1)).ends_with("a page is cut off"));
    assert!(message(&|page| page.push(0)).ends_with("1 bytes are left over"));
    assert!(with(0, 129).ends_with("blocks of 129 values are not possible"));
    assert!(with(2, 0).ends_with("0 mini blocks in blocks of 128 values are not possible"));
    assert!(with(2, 8).ends_with("8 mini blocks in blocks of 128 values are not possible"));
    assert!(with(3, 41).ends_with("a page has 41 values, its header says 40"));
    assert!(with(6, 33).ends_with("differences of 33 bits, not of 32 at most"));
    let first = [128, 1, 4, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
    let error = decoded::<i32>(Level::best(), &first, 1).unwrap_err().to_string();
    assert!(error.ends_with("has more than 32 bits"), "{error}");
    assert_eq!(decoded::<i64>(Level::best(), &first, 1).unwrap(), [-(1 << 35)]);
}
