//! Decoding of ALP, the encoding of most floats: pages of vectors, each of which can be decoded alone.
//!
//! ALP ("Adaptive Lossless floating-Point", Afroozeh, Kuffó and Boncz 2023) stores a float as a decimal: an integer, which
//! times 10^factor and times 10^-exponent is the float again, bit for bit. What is no such decimal is an *exception* and
//! stored as it is. Parquet's form of it, all numbers little end first:
//!
//! | page | bytes |
//! |---|---|
//! | compression mode, 0; integer encoding, 0 | 1, 1 |
//! | logarithm of the values of a vector, 3 to 15 | 1 |
//! | number of values | 4 |
//! | for each vector, where it begins, counted from here | 4 |
//! | the vectors, one right after the other | |
//!
//! | vector | bytes |
//! |---|---|
//! | exponent; factor, not above it | 1, 1 |
//! | number of exceptions | 2 |
//! | the smallest of the integers | 8, or 4 of `f32` |
//! | the bits that each integer takes beyond that | 1 |
//! | so many bits of each, the lowest first | |
//! | for each exception its place in the vector | 2 |
//! | for each exception its value | 8, or 4 of `f32` |
//!
//! The crate `parquet` decodes the same, in steps with a buffer between them. Here integers go from their bits to their
//! float in registers, eight at a time by a loop for each width that is compiled for each [`Level`], straight to where
//! they are wanted, and what is not wanted is not decoded.

use std::array;
use std::ops::Range;

use parquet::errors::ParquetError;
use sheaf_kernels::{Kernel, Level};

use super::packed::{BEYOND, GROUP, integer, integers};

/// Bytes in front of the offsets.
const HEADER_BYTES: usize = 7;

/// Bytes of an offset.
const OFFSET_BYTES: usize = 4;

/// Logarithms of the values of a vector that the format allows.
const LOG_VECTOR_LENS: Range<u8> = 3..16;

/// A page without its definition levels.
pub(super) struct AlpPage<'a> {
    /// Offsets and vectors.
    body: &'a [u8],
    log_vector_len: u32,
    len: usize,
}

/// A float that ALP stores.
pub(super) trait AlpFloat: Copy + Default {
    /// Bytes of the float and of its integer.
    const BYTES: usize;

    /// Powers of ten that are needed.
    const MOST_EXPONENT: u8;

    /// What turns unpacked integers of a vector into floats.
    type Scale: Copy;

    /// The scale of a vector with this smallest integer, and integers of so many bits beyond it; `None` where
    /// [`AlpFloat::scaled`] would round them differently from [`AlpFloat::exact`].
    fn scale(smallest: u64, bits: usize, factor: u8, exponent: u8) -> Option<Self::Scale>;

    /// What unpacks integers of so many bits, where there can be a scale for them.
    fn unpacker(bits: usize) -> Option<Unpacker<Self>>;

    /// The float of what an integer is above the smallest.
    fn scaled(above: u64, scale: Self::Scale) -> Self;

    /// The float of any integer, by definition.
    fn exact(integer: u64, factor: u8, exponent: u8) -> Self;

    /// The float that these bytes are, little end first.
    fn from_bytes(bytes: u64) -> Self;
}

/// The doubles of this range of a page of `len` values, for those who try what bytes it takes.
///
/// # Errors
/// The bytes are no such page, or it has no such range; the text says why.
#[cfg(any(test, feature = "testing"))]
pub fn decode_alp(bytes: &[u8], len: usize, level: Level, range: Range<usize>) -> Result<Vec<f64>, String> {
    let page = AlpPage::new(bytes, len).map_err(|error| error.to_string())?;
    let mut values = vec![0.0; range.len()];
    page.decode(level, range, &mut values).map_err(|error| error.to_string())?;
    Ok(values)
}

/// What a vector begins with, checked.
struct Vector<'a> {
    len: usize,
    exponent: u8,
    factor: u8,
    smallest: u64,
    bits: usize,
    /// The packed integers, and whatever comes behind them in the page.
    packed: &'a [u8],
    places: &'a [[u8; 2]],
    exceptions: &'a [u8],
}

impl<'a> AlpPage<'a> {
    /// A page of `len` values.
    ///
    /// # Errors
    /// It is none, or has another number of values.
    pub(super) fn new(bytes: &'a [u8], len: usize) -> Result<AlpPage<'a>, ParquetError> {
        let Some((&[mode, integers, log, a, b, c, d], body)) = bytes.split_first_chunk::<HEADER_BYTES>()
        else {
            return Err(invalid(format!("a page of {} bytes is too short for a header", bytes.len())));
        };
        if mode != 0 || integers != 0 {
            return Err(invalid(format!(
                "mode {mode} with integers {integers} is unknown, both should be 0"
            )));
        }
        if !LOG_VECTOR_LENS.contains(&log) {
            return Err(invalid(format!("vectors of 2^{log} values; 2^3 to 2^15 are allowed")));
        }
        let found = i32::from_le_bytes([a, b, c, d]);
        if usize::try_from(found) != Ok(len) {
            return Err(invalid(format!("a page has {found} values, its header says {len}")));
        }
        let page = AlpPage { body, log_vector_len: u32::from(log), len };
        if body.len() / OFFSET_BYTES < page.vectors() {
            return Err(invalid(format!("{} bytes are too few for {} vectors", body.len(), page.vectors())));
        }
        Ok(page)
    }

    fn vectors(&self) -> usize {
        self.len.div_ceil(1 << self.log_vector_len)
    }

    /// Decodes the values of this range, of which there must be as many as `out` has room for.
    ///
    /// # Errors
    /// The page has not so many values, or makes no sense where they are.
    pub(super) fn decode<F: AlpFloat>(
        &self,
        level: Level,
        range: Range<usize>,
        out: &mut [F],
    ) -> Result<(), ParquetError> {
        if range.end > self.len || range.len() != out.len() {
            return Err(invalid(format!("values {range:?} of a page with {} for {}", self.len, out.len())));
        }
        let (mut at, mut out) = (range.start, out);
        while !out.is_empty() {
            let index = at >> self.log_vector_len;
            let vector = self.vector::<F>(index)?;
            let from = at - (index << self.log_vector_len);
            let (now, later) = out.split_at_mut(out.len().min(vector.len - from));
            vector.decode(level, from, now)?;
            at += now.len();
            out = later;
        }
        Ok(())
    }

    /// Vector `index`, which exists.
    fn vector<F: AlpFloat>(&self, index: usize) -> Result<Vector<'a>, ParquetError> {
        let invalid = |what: String| invalid(format!("vector {index} of {}: {what}", self.vectors()));
        let offset = |index: usize| {
            let (offsets, _) = self.body.as_chunks::<OFFSET_BYTES>();
            if index < self.vectors() { u32::from_le_bytes(offsets[index]) as usize } else { self.body.len() }
        };
        let (begin, end) = (offset(index), offset(index + 1));
        let first = self.vectors() * OFFSET_BYTES;
        let is_misplaced = if index == 0 { begin != first } else { begin < first };
        let Some(vector) = self.body.get(begin..end).filter(|_| !is_misplaced) else {
            let len = self.body.len();
            return Err(invalid(format!("bytes {begin} to {end} of {first} to {len} can't be a vector's")));
        };
        let fixed_bytes = 4 + F::BYTES + 1;
        let Some((fixed, data)) = vector.split_at_checked(fixed_bytes) else {
            return Err(invalid(format!("it has {} bytes, too few to begin with", vector.len())));
        };
        let (exponent, factor) = (fixed[0], fixed[1]);
        let exceptions = usize::from(u16::from_le_bytes([fixed[2], fixed[3]]));
        let bits = usize::from(fixed[fixed_bytes - 1]);
        let len = (self.len - (index << self.log_vector_len)).min(1 << self.log_vector_len);
        if exponent > F::MOST_EXPONENT || factor > exponent {
            return Err(invalid(format!("exponent {exponent} and factor {factor} are not possible")));
        }
        if exceptions > len {
            return Err(invalid(format!("{exceptions} of its {len} values are exceptions")));
        }
        if bits > 8 * F::BYTES {
            return Err(invalid(format!("its integers have {bits} bits")));
        }
        let packed_bytes = (bits * len).div_ceil(8);
        let expected = packed_bytes + exceptions * (2 + F::BYTES);
        if data.len() != expected {
            return Err(invalid(format!("it has {} bytes of values, not {expected}", data.len())));
        }
        let (places, exceptions) = data[packed_bytes..].split_at(exceptions * 2);
        let packed = &self.body[begin + fixed_bytes..];
        let smallest = little_end_first(&fixed[4..4 + F::BYTES]);
        let places = places.as_chunks().0;
        Ok(Vector { len, exponent, factor, smallest, bits, packed, places, exceptions })
    }
}

impl Vector<'_> {
    /// Decodes as many values as `out` has room for; there are so many from `from` on.
    fn decode<F: AlpFloat>(&self, level: Level, from: usize, out: &mut [F]) -> Result<(), ParquetError> {
        let (factor, exponent) = (self.factor, self.exponent);
        let scale = F::scale(self.smallest, self.bits, factor, exponent);
        match (scale, F::unpacker(self.bits)) {
            _ if self.bits == 0 => out.fill(F::exact(self.smallest, factor, exponent)),
            (Some(scale), Some(unpack)) => {
                self.unpack(from, out, |packed, groups| unpack(level, packed, scale, groups))?;
            }
            _ => self.unpack(from, out, |packed, groups| {
                let exact = |above: u64| F::exact(self.smallest.wrapping_add(above), factor, exponent);
                for (group, out) in groups.iter_mut().enumerate() {
                    let bytes = &packed[group * self.bits..];
                    *out = array::from_fn(|lane| exact(integer(bytes, self.bits, lane, lane)));
                }
                groups.len()
            })?,
        }
        for (place, value) in self.places.iter().zip(self.exceptions.chunks_exact(F::BYTES)) {
            let place = usize::from(u16::from_le_bytes(*place));
            if place >= self.len {
                return Err(invalid(format!("an exception at {place} of a vector of {}", self.len)));
            }
            if let Some(out) = place.checked_sub(from).and_then(|place| out.get_mut(place)) {
                *out = F::from_bytes(little_end_first(value));
            }
        }
        Ok(())
    }

    /// Unpacks the integers from `from` on with `unpack`, which takes bytes with [`BEYOND`] more behind them.
    fn unpack<F: AlpFloat>(
        &self,
        from: usize,
        out: &mut [F],
        mut unpack: impl FnMut(&[u8], &mut [[F; GROUP]]) -> usize,
    ) -> Result<(), ParquetError> {
        let mut groups = |bytes: &[u8], out: &mut [[F; GROUP]]| {
            if unpack(bytes, out) == out.len() {
                Ok(())
            } else {
                Err(invalid(format!("{} bytes are too few to unpack", bytes.len())))
            }
        };
        let (mut group, lead) = (from / GROUP, from % GROUP);
        let (head, out) = out.split_at_mut(if lead > 0 { out.len().min(GROUP - lead) } else { 0 });
        if !head.is_empty() {
            let mut single = [[F::default(); GROUP]];
            groups(&self.padded(group)[..self.bits + BEYOND], &mut single)?;
            head.copy_from_slice(&single[0][lead..lead + head.len()]);
            group += 1;
        }
        // Groups with enough of the page behind them.
        let readable = (self.packed.len().saturating_sub(BEYOND) / self.bits).saturating_sub(group);
        let whole = (out.len() / GROUP).min(readable);
        let (body, tail) = out.split_at_mut(whole * GROUP);
        if whole > 0 {
            let bytes = group * self.bits..(group + whole) * self.bits + BEYOND;
            groups(&self.packed[bytes], body.as_chunks_mut().0)?;
            group += whole;
        }
        for (index, part) in tail.chunks_mut(GROUP).enumerate() {
            let mut single = [[F::default(); GROUP]];
            groups(&self.padded(group + index)[..self.bits + BEYOND], &mut single)?;
            part.copy_from_slice(&single[0][..part.len()]);
        }
        Ok(())
    }

    /// The bytes of a group, which may be the last, with zeros behind them.
    fn padded(&self, group: usize) -> [u8; 64 + BEYOND] {
        let mut padded = [0; 64 + BEYOND];
        let bytes = self.packed.get(group * self.bits..).unwrap_or_default();
        let bytes = &bytes[..bytes.len().min(self.bits)];
        padded[..bytes.len()].copy_from_slice(bytes);
        padded
    }
}

fn invalid(what: String) -> ParquetError {
    ParquetError::General(format!("ALP: {what}"))
}

/// At most eight bytes as a number.
fn little_end_first(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

/// Integers of `BITS` bits to floats, eight at a time.
struct Unpack<'a, F: AlpFloat, const BITS: usize> {
    packed: &'a [u8],
    scale: F::Scale,
    out: &'a mut [[F; GROUP]],
}

impl<F: AlpFloat, const BITS: usize> Kernel for Unpack<'_, F, BITS> {
    /// How many groups there were enough bytes for.
    type Output = usize;

    #[inline(always)]
    fn run(self) -> usize {
        for (group, out) in self.out.iter_mut().enumerate() {
            // The way out keeps the optimiser from working on several groups at once, lane by lane, which takes one and a
            // half times as long as four neighbours in a register.
            let Some(bytes) = self.packed.get(group * BITS..(group + 1) * BITS + BEYOND) else {
                return group;
            };
            // Plain loops: the closures of iterators and arrays are inlined at will, not always.
            let above = integers::<BITS>(bytes);
            let mut lane = 0;
            while lane < GROUP {
                out[lane] = F::scaled(above[lane], self.scale);
                lane += 1;
            }
        }
        self.out.len()
    }
}

/// Unpacks groups, from bytes with [`BEYOND`] more behind them, and says how many there were enough bytes for.
type Unpacker<F> = fn(Level, &[u8], <F as AlpFloat>::Scale, &mut [[F; GROUP]]) -> usize;

/// What unpacks integers of these widths, if it is one of them.
macro_rules! unpacker {
    ($given:expr, $float:ty: $($bits:literal)*) => {
        match $given {
            $($bits => Some(unpack::<$float, $bits>),)*
            _ => None,
        }
    };
}

fn unpack<F: AlpFloat, const BITS: usize>(
    level: Level,
    packed: &[u8],
    scale: F::Scale,
    out: &mut [[F; GROUP]],
) -> usize {
    level.run(Unpack::<F, BITS> { packed, scale, out })
}

/// 10^n.
const POWERS_F64: [f64; 19] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18];

/// 10^-n, which are no inverses to the last bit.
const TENTHS_F64: [f64; 19] = [
    1e-0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-11, 1e-12, 1e-13, 1e-14, 1e-15,
    1e-16, 1e-17, 1e-18,
];

/// 10^n.
const POWERS_F32: [f32; 11] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10];

/// 10^-n.
const TENTHS_F32: [f32; 11] = [1e-0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10];

/// From here on to twice as much, neighbouring doubles differ by one: an integer of less than half as much is added to the
/// bits of this, and what is above this is the integer as a double. No vector instruction below AVX-512 converts 64 bits.
const MIDDLE: f64 = 6_755_399_441_055_744.0;

/// Half the distance from [`MIDDLE`] to where doubles get wider or narrower.
const MOST_FROM_MIDDLE: i64 = 1 << 51;

impl AlpFloat for f64 {
    const BYTES: usize = 8;
    const MOST_EXPONENT: u8 = 18;

    /// The smallest integer above the middle, as bits; and the powers.
    type Scale = (u64, f64, f64);

    fn scale(smallest: u64, bits: usize, factor: u8, exponent: u8) -> Option<Self::Scale> {
        let smallest = smallest as i64;
        let largest = smallest.checked_add_unsigned(1_u64.checked_shl(bits as u32)? - 1)?;
        let range = -MOST_FROM_MIDDLE..MOST_FROM_MIDDLE;
        (range.contains(&smallest) && range.contains(&largest)).then(|| {
            let bits = MIDDLE.to_bits().wrapping_add(smallest as u64);
            (bits, POWERS_F64[usize::from(factor)], TENTHS_F64[usize::from(exponent)])
        })
    }

    #[rustfmt::skip]
    fn unpacker(bits: usize) -> Option<Unpacker<f64>> {
        // Wider ones don't fit between the doubles that are one apart.
        unpacker!(bits, f64: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32
            33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52)
    }

    #[inline(always)]
    fn scaled(above: u64, (smallest, power, tenth): Self::Scale) -> f64 {
        (f64::from_bits(smallest.wrapping_add(above)) - MIDDLE) * power * tenth
    }

    fn exact(integer: u64, factor: u8, exponent: u8) -> f64 {
        integer as i64 as f64 * POWERS_F64[usize::from(factor)] * TENTHS_F64[usize::from(exponent)]
    }

    fn from_bytes(bytes: u64) -> f64 {
        f64::from_bits(bytes)
    }
}

impl AlpFloat for f32 {
    const BYTES: usize = 4;
    const MOST_EXPONENT: u8 = 10;

    /// The smallest integer, and the powers.
    type Scale = (u32, f32, f32);

    fn scale(smallest: u64, _: usize, factor: u8, exponent: u8) -> Option<Self::Scale> {
        Some((smallest as u32, POWERS_F32[usize::from(factor)], TENTHS_F32[usize::from(exponent)]))
    }

    #[rustfmt::skip]
    fn unpacker(bits: usize) -> Option<Unpacker<f32>> {
        unpacker!(bits, f32: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32)
    }

    #[inline(always)]
    fn scaled(above: u64, (smallest, power, tenth): Self::Scale) -> f32 {
        smallest.wrapping_add(above as u32) as i32 as f32 * power * tenth
    }

    fn exact(integer: u64, factor: u8, exponent: u8) -> f32 {
        integer as u32 as i32 as f32 * POWERS_F32[usize::from(factor)] * TENTHS_F32[usize::from(exponent)]
    }

    fn from_bytes(bytes: u64) -> f32 {
        f32::from_bits(bytes as u32)
    }
}

#[cfg(test)]
mod tests;
