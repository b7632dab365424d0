//! Integers packed into bits one after the other, the lowest bit first, and numbers in seven bits a byte.

use sheaf_kernels::{Kernel, Level};

/// Integers that are unpacked at a time: so many begin and end with a whole byte, whatever their width.
pub(super) const GROUP: usize = 8;

/// Bytes behind a group that must be readable: integers are cut out of words of eight bytes.
pub(super) const BEYOND: usize = 8;

/// How many neighbours among the eight can be cut out of one word. They come out with one load, and shifts by constants.
const fn sharing(bits: usize) -> usize {
    let mut sharing = 4;
    while sharing > 1 {
        let mut lane = 0;
        while lane < GROUP && lane * bits % 8 + sharing * bits <= 64 {
            lane += sharing;
        }
        if lane >= GROUP {
            return sharing;
        }
        sharing /= 2;
    }
    sharing
}

/// Eight integers of `BITS` bits, from so many bytes and [`BEYOND`] more.
#[inline(always)]
pub(super) fn integers<const BITS: usize>(bytes: &[u8]) -> [u64; GROUP] {
    let sharing = const { sharing(BITS) };
    let mut integers = [0; GROUP];
    let mut lane = 0;
    while lane < GROUP {
        integers[lane] = integer(bytes, BITS, lane, lane / sharing * sharing);
        lane += 1;
    }
    integers
}

/// The integer of `bits` bits at `lane`, cut out of the word that begins with the byte where that at `begin` does.
#[inline(always)]
pub(super) fn integer(bytes: &[u8], bits: usize, lane: usize, begin: usize) -> u64 {
    let byte = begin * bits / 8;
    let shift = lane * bits - byte * 8;
    let word = &bytes[byte..byte + 8];
    let word = [word[0], word[1], word[2], word[3], word[4], word[5], word[6], word[7]];
    let mut word = u64::from_le_bytes(word) >> shift;
    if shift + bits > 64 {
        word |= u64::from(bytes[byte + 8]) << (64 - shift);
    }
    word & (u64::MAX >> (64 - bits))
}

/// What unpacked integers become, eight at a time and in order.
pub(super) trait Become {
    /// What one of them becomes.
    type Value: Copy + Default;

    /// Whether integers may have more than 32 bits: loops for those are made for no other.
    const WIDE: bool;

    /// What these become. Must be `#[inline(always)]`.
    fn next(&mut self, integers: [u64; GROUP]) -> [Self::Value; GROUP];
}

/// Integers of `BITS` bits, eight at a time.
struct Unpack<'a, B: Become, const BITS: usize> {
    packed: &'a [u8],
    values: &'a mut B,
    out: &'a mut [[B::Value; GROUP]],
}

impl<B: Become, const BITS: usize> Kernel for Unpack<'_, B, BITS> {
    /// Whether there were enough bytes.
    type Output = bool;

    #[inline(always)]
    fn run(self) -> bool {
        for (group, out) in self.out.iter_mut().enumerate() {
            // With a way out, as for ALP: the optimiser is to work on one group at a time.
            let Some(bytes) = self.packed.get(group * BITS..(group + 1) * BITS + BEYOND) else {
                return false;
            };
            *out = self.values.next(integers::<BITS>(bytes));
        }
        true
    }
}

/// The first of the integers of `bits` bits that are packed here, 1 to 64 or 1 to 32, as many as there is room for. `bytes`
/// must have all of these, whatever comes behind them. `None` where they don't, or the width is another.
pub(super) fn unpack<B: Become>(
    level: Level,
    bytes: &[u8],
    bits: usize,
    values: &mut B,
    out: &mut [B::Value],
) -> Option<()> {
    // Groups with enough bytes behind them, and the few others.
    let readable = bytes.len().saturating_sub(BEYOND) / bits.max(1);
    let (groups, _) = out.as_chunks_mut::<GROUP>();
    let whole = groups.len().min(readable);
    groups_of(level, bytes, bits, values, &mut groups[..whole])?;
    for (index, part) in out[whole * GROUP..].chunks_mut(GROUP).enumerate() {
        let bytes = bytes.get((whole + index) * bits..)?;
        let bytes = &bytes[..bytes.len().min(bits)];
        if bytes.len() < (part.len() * bits).div_ceil(8) {
            return None;
        }
        let mut padded = [0; 64 + BEYOND];
        padded.get_mut(..bytes.len())?.copy_from_slice(bytes);
        let mut group = [[B::Value::default(); GROUP]];
        groups_of(level, &padded, bits, values, &mut group)?;
        part.copy_from_slice(&group[0][..part.len()]);
    }
    Some(())
}

/// Whole groups, from bytes with [`BEYOND`] more behind them.
#[rustfmt::skip]
fn groups_of<B: Become>(
    level: Level,
    packed: &[u8],
    bits: usize,
    values: &mut B,
    out: &mut [[B::Value; GROUP]],
) -> Option<()> {
    macro_rules! of_width {
        ($($bits:literal)*) => {
            match bits {
                $($bits => level.run(Unpack::<B, $bits> { packed, values, out }),)*
                _ => false,
            }
        };
    }
    let is_done = if B::WIDE {
        of_width!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38
            39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63 64)
    } else {
        of_width!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32)
    };
    is_done.then_some(())
}

/// Takes a number in seven bits a byte, the lowest first; `None` where it is cut off, or has more than ten bytes.
pub(super) fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// Takes a number that counts 0, -1, 1, -2, 2 and so on.
pub(super) fn zigzag(bytes: &mut &[u8]) -> Option<i64> {
    let number = varint(bytes)?;
    Some((number >> 1) as i64 ^ -((number & 1) as i64))
}
