//! Decoding of DELTA_BINARY_PACKED, the encoding of most integers: what each is above the one before.
//!
//! | page | bytes |
//! |---|---|
//! | values of a block, a multiple of 128 | a varint |
//! | mini blocks of a block; each has a multiple of 32 values | a varint |
//! | number of values | a varint |
//! | the first of them | a varint, zigzag |
//! | blocks of the differences to the others | |
//!
//! | block | bytes |
//! |---|---|
//! | the smallest difference | a varint, zigzag |
//! | for each mini block the bits that each difference takes beyond that | 1 |
//! | the mini blocks: so many bits of each, the lowest first | |
//!
//! The last mini block with a value is filled up, those behind it have a width, whatever it is, and no bytes. All sums are
//! taken modulo 2³² or 2⁶⁴.
//!
//! Differences are added up in registers, eight at a time: the sums of a group are known before those of the group in front
//! of it, so that a page is as slow as an addition for eight values and not for each.

use parquet::errors::ParquetError;
use sheaf_kernels::Level;

use super::packed::{Become, GROUP, unpack, varint, zigzag};

/// An integer that differences are taken of.
pub(super) trait DeltaInteger: Copy + Default + TryFrom<i64> {
    /// How many bits it has.
    const BITS: usize;

    /// The lowest bits.
    fn of(bits: u64) -> Self;

    /// The sum, without those that don't fit.
    fn plus(self, other: Self) -> Self;
}

macro_rules! delta_integer {
    ($integer:ty) => {
        impl DeltaInteger for $integer {
            const BITS: usize = <$integer>::BITS as usize;

            #[inline(always)]
            fn of(bits: u64) -> $integer {
                bits as $integer
            }

            #[inline(always)]
            fn plus(self, other: $integer) -> $integer {
                self.wrapping_add(other)
            }
        }
    };
}

delta_integer!(i32);
delta_integer!(i64);

/// Decodes a page of `len` values into `out`, in place of what was there.
///
/// # Errors
/// It is no such page, or has another number of values.
pub(super) fn decode<T: DeltaInteger>(
    level: Level,
    bytes: &[u8],
    len: usize,
    out: &mut Vec<T>,
) -> Result<(), ParquetError> {
    let mut bytes = bytes;
    let header = (varint(&mut bytes), varint(&mut bytes), varint(&mut bytes), zigzag(&mut bytes));
    let (Some(block), Some(mini_blocks), Some(found), Some(first)) = header else {
        return Err(invalid("a page is cut off in its header".to_owned()));
    };
    if block == 0 || !block.is_multiple_of(128) {
        return Err(invalid(format!("blocks of {block} values are not possible")));
    }
    if mini_blocks == 0 || !block.is_multiple_of(mini_blocks) || !(block / mini_blocks).is_multiple_of(32) {
        return Err(invalid(format!(
            "{mini_blocks} mini blocks in blocks of {block} values are not possible"
        )));
    }
    if usize::try_from(found) != Ok(len) {
        return Err(invalid(format!("a page has {found} values, its header says {len}")));
    }
    let first = integer(first)?;
    let (widths, mini_block) = (usize::try_from(mini_blocks)?, usize::try_from(block / mini_blocks)?);
    // All of it is overwritten. Memory is cleared where it is new.
    out.resize(len, T::default());
    let Some((start, mut left)) = out.split_first_mut() else {
        return if bytes.is_empty() { Ok(()) } else { Err(too_many(bytes)) };
    };
    *start = first;
    let mut sums = Sums { last: first, least: T::default() };
    while !left.is_empty() {
        let cut_off = || invalid("a page is cut off".to_owned());
        sums.least = integer(zigzag(&mut bytes).ok_or_else(cut_off)?)?;
        let (widths, mut packed) = bytes.split_at_checked(widths).ok_or_else(cut_off)?;
        for &width in widths {
            if left.is_empty() {
                break;
            }
            let width = usize::from(width);
            if width > T::BITS {
                return Err(invalid(format!("differences of {width} bits, not of {} at most", T::BITS)));
            }
            let (now, later) = left.split_at_mut(left.len().min(mini_block));
            if width == 0 {
                sums.steps(now);
            } else {
                // Those behind it are given along, as some bytes behind must be readable.
                unpack(level, packed, width, &mut sums, now).ok_or_else(cut_off)?;
                // After an incomplete group, that is no more than the sum of what fills it up. No value comes after it.
            }
            // Mini blocks have a multiple of eight values.
            let mini_block_bytes = (mini_block / 8).checked_mul(width);
            packed = mini_block_bytes.and_then(|bytes| packed.get(bytes..)).ok_or_else(cut_off)?;
            left = later;
        }
        bytes = packed;
    }
    if bytes.is_empty() { Ok(()) } else { Err(too_many(bytes)) }
}

/// Adds up differences.
struct Sums<T> {
    /// The value before the next.
    last: T,
    /// The smallest difference.
    least: T,
}

impl<T: DeltaInteger> Sums<T> {
    /// Values that are all the smallest difference apart.
    fn steps(&mut self, out: &mut [T]) {
        for value in out {
            self.last = self.last.plus(self.least);
            *value = self.last;
        }
    }
}

impl<T: DeltaInteger> Become for Sums<T> {
    type Value = T;

    const WIDE: bool = T::BITS > 32;

    #[inline(always)]
    fn next(&mut self, integers: [u64; GROUP]) -> [T; GROUP] {
        // Plain loops: the closures of iterators and arrays are inlined at will, not always.
        let mut sums = [T::default(); GROUP];
        let mut lane = 0;
        while lane < GROUP {
            sums[lane] = T::of(integers[lane]).plus(self.least);
            lane += 1;
        }
        // Sums of two, of four, of eight.
        let mut distance = 1;
        while distance < GROUP {
            let mut lane = GROUP - 1;
            while lane >= distance {
                sums[lane] = sums[lane].plus(sums[lane - distance]);
                lane -= 1;
            }
            distance *= 2;
        }
        let mut lane = 0;
        while lane < GROUP {
            sums[lane] = sums[lane].plus(self.last);
            lane += 1;
        }
        self.last = sums[GROUP - 1];
        sums
    }
}

fn integer<T: DeltaInteger>(number: i64) -> Result<T, ParquetError> {
    T::try_from(number).map_err(|_| invalid(format!("{number} has more than {} bits", T::BITS)))
}

fn too_many(bytes: &[u8]) -> ParquetError {
    invalid(format!("{} bytes are left over", bytes.len()))
}

fn invalid(what: String) -> ParquetError {
    ParquetError::General(format!("DELTA_BINARY_PACKED: {what}"))
}

#[cfg(test)]
mod tests;
