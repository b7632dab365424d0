//! Decoding of RLE_DICTIONARY: places in a dictionary, which its column chunk begins with.
//!
//! A page has a byte with the width of a place in bits, and then runs. A run begins with a varint. Where that is even, half
//! of it says how often the place comes that follows, in as many bytes as are needed. Where it is odd, half of it says how
//! many groups of eight places follow, packed into bits, the lowest first. The last group may have more than there are.
//! No run has more than 2³¹ - 1 places.

use parquet::errors::ParquetError;
use sheaf_kernels::Level;

use super::packed::{Become, GROUP, unpack, varint};

/// The most places of a run, by the format.
const MOST_PLACES: usize = i32::MAX as usize;

/// Places become the entries there. Without memory for places in between, which would cost more than all else.
struct Entries<'a, T> {
    dictionary: &'a [T],
    /// A place that the dictionary does not have.
    no_place: Option<u64>,
}

impl<T: Copy + Default> Become for Entries<'_, T> {
    type Value = T;

    const WIDE: bool = false;

    #[inline(always)]
    fn next(&mut self, places: [u64; GROUP]) -> [T; GROUP] {
        let mut values = [T::default(); GROUP];
        let mut lane = 0;
        while lane < GROUP {
            match self.dictionary.get(places[lane] as usize) {
                Some(&value) => values[lane] = value,
                None => self.no_place = Some(places[lane]),
            }
            lane += 1;
        }
        values
    }
}

/// Decodes a page of `len` values into `out`, in place of what was there.
///
/// # Errors
/// It is no such page, has fewer values, or one that is not in the dictionary.
pub(super) fn decode<T: Copy + Default>(
    level: Level,
    bytes: &[u8],
    dictionary: &[T],
    len: usize,
    out: &mut Vec<T>,
) -> Result<(), ParquetError> {
    let cut_off = || invalid("a page is cut off".to_owned());
    let (&width, mut bytes) = bytes.split_first().ok_or_else(cut_off)?;
    let width = usize::from(width);
    if width > 32 {
        return Err(invalid(format!("places of {width} bits, not of 32 at most")));
    }
    let no_place = |place: u64| invalid(format!("place {place} in a dictionary of {}", dictionary.len()));
    // All of it is overwritten. Memory is cleared where it is new.
    out.resize(len, T::default());
    let mut left = &mut out[..];
    let mut entries = Entries { dictionary, no_place: None };
    while !left.is_empty() {
        let header = varint(&mut bytes).ok_or_else(cut_off)?;
        let count = usize::try_from(header >> 1)?;
        if count == 0 {
            return Err(invalid("a run of nothing".to_owned()));
        }
        let is_packed = header & 1 == 1;
        let places = if is_packed { count.saturating_mul(GROUP) } else { count };
        if places > MOST_PLACES {
            return Err(invalid(format!("a run of {places} places, not of {MOST_PLACES} at most")));
        }
        if !is_packed {
            let (place, rest) = bytes.split_at_checked(width.div_ceil(8)).ok_or_else(cut_off)?;
            bytes = rest;
            let place = place.iter().rev().fold(0, |place, &byte| place << 8 | u64::from(byte));
            if place >> width != 0 {
                return Err(invalid(format!("place {place} has more than {width} bits")));
            }
            let value = usize::try_from(place).ok().and_then(|place| dictionary.get(place));
            let (now, later) = left.split_at_mut(left.len().min(count));
            now.fill(*value.ok_or_else(|| no_place(place))?);
            left = later;
            continue;
        }
        let (now, later) = left.split_at_mut(left.len().min(places));
        let packed = bytes;
        bytes = bytes.get(count.checked_mul(width).ok_or_else(cut_off)?..).ok_or_else(cut_off)?;
        if width == 0 {
            now.fill(*dictionary.first().ok_or_else(|| no_place(0))?);
        } else {
            unpack(level, packed, width, &mut entries, now).ok_or_else(cut_off)?;
        }
        if let Some(place) = entries.no_place {
            return Err(no_place(place));
        }
        left = later;
    }
    Ok(())
}

fn invalid(what: String) -> ParquetError {
    ParquetError::General(format!("RLE_DICTIONARY: {what}"))
}

#[cfg(test)]
mod tests {
    use std::panic;

    use parquet::basic::Encoding;
    use parquet::column::page::Page;
    use parquet::data_type::Int32Type;
    use proptest::prelude::*;

    use super::*;
    use crate::segment::{fixed, reference};

    fn decoded_by_the_crate(dictionary: &Page, page: &[u8], len: usize) -> Result<Vec<i32>, ParquetError> {
        reference::decoded::<Int32Type>(Encoding::RLE_DICTIONARY, Some(dictionary), page, len)
    }

    fn decoded(level: Level, dictionary: &Page, page: &[u8], len: usize) -> Result<Vec<i32>, ParquetError> {
        let (mut entries, mut out) = (vec![7; 9], vec![7; 1000]);
        fixed::decode(level, dictionary.buffer(), false, dictionary.num_values() as usize, &mut entries)?;
        decode(level, page, &entries, len, &mut out)?;
        Ok(out)
    }

    /// Values of which some come again, at random and in runs.
    fn values() -> impl Strategy<Value = Vec<i32>> {
        (1..5000_usize, 0..20_u32, any::<u64>(), 0..4_u64).prop_map(|(len, width, seed, runs)| {
            let (mut state, mut last) = (seed, 0);
            (0..len)
                .map(|_| {
                    state =
                        state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    if (state >> 60) % (1 + 4 * runs) == 0 {
                        last = (state >> 32) as i32 & ((1 << width) - 1);
                    }
                    last.wrapping_mul(77_777)
                })
                .collect()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn values_come_back(values in values()) {
            let (dictionary, page) = reference::encoded_with_dictionary::<Int32Type>(&values);
            assert!(decoded_by_the_crate(&dictionary, &page, values.len()).unwrap() == values);
            for level in Level::available() {
                assert!(decoded(level, &dictionary, &page, values.len()).unwrap() == values, "{}", level.name());
            }
        }

        /// Where we take a page, the crate does, too, and both agree.
        #[test]
        fn a_damaged_page_is_no_page_or_another(
            values in values(),
            changes in proptest::collection::vec((0.0..1.0, any::<u8>()), 0..4),
            near_the_begin: bool,
            cut in 0..20_usize,
        ) {
            let (dictionary, page) = reference::encoded_with_dictionary::<Int32Type>(&values);
            let mut page = page.to_vec();
            for (place, byte) in changes {
                let span = if near_the_begin { page.len().min(6) } else { page.len() };
                page[(place * span as f64) as usize] = byte;
            }
            page.truncate(page.len() - cut.saturating_sub(15).min(page.len()));
            if let Ok(ours) = decoded(Level::best(), &dictionary, &page, values.len()) {
                let theirs = panic::catch_unwind(|| decoded_by_the_crate(&dictionary, &page, values.len()));
                prop_assert_eq!(theirs.ok().and_then(Result::ok), Some(ours));
            }
        }

        /// There was a page that we took and the crate did not.
        #[test]
        fn no_run_is_longer_than_the_format_has_it(places in MOST_PLACES as u64 + 1.., len in 1..300_usize) {
            let mut page = vec![1];
            let mut header = u128::from(places) << 1;
            while header >= 0x80 {
                page.push(header as u8 | 0x80);
                header >>= 7;
            }
            page.extend([header as u8, 0]);
            let (dictionary, _) = reference::encoded_with_dictionary::<Int32Type>(&[5, 6]);
            for level in Level::available() {
                prop_assert!(decoded(level, &dictionary, &page, len).is_err());
            }
        }

        #[test]
        fn no_bytes_break_it(bytes in proptest::collection::vec(any::<u8>(), 0..100), len in 0..300_usize) {
            for level in Level::available() {
                let _ = decode(level, &bytes, &[1, 2, 3], len, &mut Vec::new());
            }
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let decoded = |page: &[u8], len: usize| {
            let mut out = Vec::new();
            decode(Level::best(), page, &[10, 20, 30], len, &mut out).map(|()| out)
        };
        // Two places of two bits: four times the second, then a group.
        let page = [2, 8, 1, 3, 0b10_01_00_10, 0b00_00_00_01];
        assert_eq!(decoded(&page, 9).unwrap(), [20, 20, 20, 20, 30, 10, 20, 30, 20]);
        let message = |page: &[u8]| decoded(page, 9).unwrap_err().to_string();
        assert!(message(&[]).ends_with("a page is cut off"));
        assert!(message(&page[..3]).ends_with("a page is cut off"));
        assert!(message(&page[..5]).ends_with("a page is cut off"));
        assert!(message(&[33, 8, 1]).ends_with("places of 33 bits, not of 32 at most"));
        assert!(message(&[2, 0, 1]).ends_with("a run of nothing"));
        assert!(message(&[2, 8, 4]).ends_with("place 4 has more than 2 bits"));
        assert!(message(&[2, 8, 3]).ends_with("place 3 in a dictionary of 3"));
        assert!(message(&[2, 8, 1, 3, 0b11_00_00_00, 0]).ends_with("place 3 in a dictionary of 3"));
    }
}
