//! States as bytes.
//!
//! Version 1, all numbers little-endian:
//!
//! | bytes | what |
//! |---|---|
//! | 4 | `SHST` |
//! | 1 | version, 1 |
//! | 1 | family: 0 sums, 1 moments, 2 polar, 3 bits, 4 edges, 5 quantiles |
//! | 2 | 0 |
//! | 8 | how many states |
//! | … | the states, one after the other |
//!
//! | family | a state |
//! |---|---|
//! | sums | n u64, sum f64, what rounding took from it f64, mean f64 |
//! | moments | sums, m2 f64, min f64, max f64 |
//! | polar | n u64, infinite u64, Σsin i128, Σcos i128 in units of 2⁻⁵¹ |
//! | bits | n u64, AND i128, OR i128 |
//! | edges | n u64, first: time i64, value f64, last: time i64, value f64 |
//! | quantiles | shift u8, entries u32, then for each the distance to the key before and the count, both LEB128 |
//!
//! Floats keep their bits; NaN has one form, so that the same samples give the same bytes on every machine. There is no
//! checksum: whoever stores the bytes has one over key and value.
//! Reading never panics and never allocates more than the input justifies; what would break a merge is refused, and so
//! is a second form of the same states. Whether numbers that belong together fit is not checked.

use std::fmt;

use crate::fold::append_numbers;
use crate::state::LARGEST_COUNT;
use crate::state::edges::Edge;
use crate::state::quantiles::{LARGEST_EXACT, key_range};
use crate::{Bits, Edges, Error, Family, Gate, Moments, Polar, Quantiles, State, Statistic, Sums};

/// The version that [`encode`] writes. A change of the layout, or of what a field means, raises it.
pub const CODEC_VERSION: u8 = 1;

/// States that are read before numbers are made of them.
const BATCH: usize = 128;

const MAGIC: [u8; 4] = *b"SHST";
const HEADER_LEN: usize = 16;

/// The largest shift that can be needed: 2¹⁶ entries hold all keys of 64 - 48 bits.
const LARGEST_SHIFT: u32 = 48;

/// Bytes that are not states of the wanted family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CodecError {
    /// The input ends inside a field.
    Truncated {
        /// Where the field begins.
        offset: usize,
        /// How many bytes it has.
        wanted: usize,
    },
    /// The input goes on behind the last state.
    TrailingBytes {
        /// Where the states end.
        offset: usize,
    },
    /// The input does not begin as states do.
    NotStates,
    /// A version that this build does not know: that of a later one, most likely.
    UnknownVersion {
        /// The version found.
        version: u8,
    },
    /// States, but of another family.
    WrongFamily {
        /// The family's number in the header.
        found: u8,
        /// The family that was asked for.
        wanted: Family,
    },
    /// A field holds what no state would.
    Impossible {
        /// Which field.
        field: &'static str,
        /// Where it ends.
        offset: usize,
    },
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CodecError::Truncated { offset, wanted } => {
                write!(f, "the states end early: {wanted} bytes were expected at byte {offset}")
            }
            CodecError::TrailingBytes { offset } => {
                write!(f, "the states end at byte {offset}, but the input goes on")
            }
            CodecError::NotStates => f.write_str("these are no states: they must begin with `SHST`"),
            CodecError::UnknownVersion { version } => {
                write!(f, "states of version {version}; this build reads versions 1 to {CODEC_VERSION}")
            }
            CodecError::WrongFamily { found, wanted } => {
                let name = Family::ALL.iter().find(|family| code(**family) == *found);
                match name {
                    Some(name) => write!(f, "{name} states where {wanted} states were expected"),
                    None => write!(f, "states of an unknown family ({found}) where {wanted} were expected"),
                }
            }
            CodecError::Impossible { field, offset } => {
                write!(f, "impossible {field} before byte {offset}")
            }
        }
    }
}

impl std::error::Error for CodecError {}

/// Writes states; [`decode`] gives the same ones back, bit for bit.
pub fn encode<S: Encode>(states: &[S]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER_LEN + states.len() * S::SMALLEST_LEN);
    out.extend(MAGIC);
    out.extend([CODEC_VERSION, code(S::FAMILY), 0, 0]);
    out.extend((states.len() as u64).to_le_bytes());
    for state in states {
        state.write(&mut out);
    }
    out
}

/// Reads what [`encode`] wrote.
///
/// # Errors
/// Anything but whole states of this family.
pub fn decode<S: Encode>(bytes: &[u8]) -> Result<Vec<S>, CodecError> {
    let (mut input, count) = begin::<S>(bytes)?;
    let mut states = Vec::with_capacity(count);
    for _ in 0..count {
        states.push(S::read(&mut input)?);
    }
    input.end()?;
    Ok(states)
}

/// As [`decode`] and [`finish`](crate::finish()), for each of these statistics, without the states in between.
///
/// # Errors
/// Anything but whole states of this family; it does not hold what a statistic needs.
pub fn finish_encoded<S: Encode>(
    bytes: &[u8],
    statistics: &[Statistic],
    gate: Gate,
) -> Result<Vec<Vec<f64>>, Error> {
    if let Some(&statistic) = statistics.iter().find(|statistic| !S::FAMILY.answers(**statistic)) {
        return Err(Error::NotInFamily { statistic, family: S::FAMILY });
    }
    let (mut input, count) = begin::<S>(bytes)?;
    let mut columns = vec![Vec::with_capacity(count); statistics.len()];
    // As many as stay in the fastest cache.
    let mut states: Vec<S> = Vec::with_capacity(count.min(BATCH));
    for begin in (0..count).step_by(BATCH) {
        states.clear();
        for _ in begin..count.min(begin + BATCH) {
            states.push(S::read(&mut input)?);
        }
        for (column, &statistic) in columns.iter_mut().zip(statistics) {
            append_numbers(&states, statistic, gate, column);
        }
    }
    input.end()?;
    Ok(columns)
}

/// Reads the header: how many states follow.
fn begin<S: Encode>(bytes: &[u8]) -> Result<(Input<'_>, usize), CodecError> {
    let mut input = Input::new(bytes);
    if input.array::<4>()? != MAGIC {
        return Err(CodecError::NotStates);
    }
    let [version] = input.array()?;
    if version != CODEC_VERSION {
        return Err(CodecError::UnknownVersion { version });
    }
    let [family] = input.array()?;
    if family != code(S::FAMILY) {
        return Err(CodecError::WrongFamily { found: family, wanted: S::FAMILY });
    }
    let reserved: [u8; 2] = input.array()?;
    input.check(reserved == [0, 0], "reserved bytes")?;
    let count = u64::from_le_bytes(input.array()?);
    // A count that the rest of the input can't hold is refused before anything is allocated for it.
    let most = input.rest.len() / S::SMALLEST_LEN;
    let count = usize::try_from(count).ok().filter(|count| *count <= most);
    let count = count.ok_or(CodecError::Impossible { field: "number of states", offset: input.offset() })?;
    Ok((input, count))
}

/// The number of a family in the header. Numbers are never given to another family.
const fn code(family: Family) -> u8 {
    match family {
        Family::Sums => 0,
        Family::Moments => 1,
        Family::Polar => 2,
        Family::Bits => 3,
        Family::Edges => 4,
        Family::Quantiles => 5,
    }
}

/// A state with a byte form.
pub trait Encode: State {
    /// The fewest bytes a state takes.
    #[doc(hidden)]
    const SMALLEST_LEN: usize;
    #[doc(hidden)]
    fn write(&self, out: &mut Vec<u8>);
    #[doc(hidden)]
    fn read(input: &mut Input<'_>) -> Result<Self, CodecError>;
}

/// The bytes being read.
#[doc(hidden)]
pub struct Input<'a> {
    /// What is left of them.
    rest: &'a [u8],
    /// How many there were.
    len: usize,
}

impl<'a> Input<'a> {
    fn new(bytes: &'a [u8]) -> Input<'a> {
        Input { rest: bytes, len: bytes.len() }
    }

    /// How many bytes were read.
    fn offset(&self) -> usize {
        self.len - self.rest.len()
    }

    /// That nothing is left.
    fn end(&self) -> Result<(), CodecError> {
        if self.rest.is_empty() { Ok(()) } else { Err(CodecError::TrailingBytes { offset: self.offset() }) }
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], CodecError> {
        let Some((field, rest)) = self.rest.split_first_chunk() else {
            return Err(CodecError::Truncated { offset: self.offset(), wanted: N });
        };
        self.rest = rest;
        Ok(*field)
    }

    /// Several numbers, one after the other.
    #[inline(always)]
    fn words<const N: usize>(&mut self) -> Result<[u64; N], CodecError> {
        let Some(bytes) = self.rest.as_chunks().0.first_chunk::<N>() else {
            return Err(CodecError::Truncated { offset: self.offset(), wanted: 8 * N });
        };
        self.rest = &self.rest[8 * N..];
        // Plain loops of constant length are unrolled.
        let (mut words, mut at) = ([0; N], 0);
        while at < N {
            words[at] = u64::from_le_bytes(bytes[at]);
            at += 1;
        }
        Ok(words)
    }

    /// Floats of these bits. All at once: which of them is none is of no interest.
    #[inline(always)]
    fn floats<const N: usize>(&self, bits: [u64; N]) -> Result<[f64; N], CodecError> {
        let (mut floats, mut possible, mut at) = ([0.0; N], true, 0);
        while at < N {
            floats[at] = f64::from_bits(bits[at]);
            possible &= canonical(floats[at]).to_bits() == bits[at];
            at += 1;
        }
        self.check(possible, "NaN")?;
        Ok(floats)
    }

    #[inline]
    fn u64(&mut self) -> Result<u64, CodecError> {
        self.array().map(u64::from_le_bytes)
    }

    #[inline]
    fn count(&mut self) -> Result<u64, CodecError> {
        let count = self.u64()?;
        self.check(count <= LARGEST_COUNT, "number of samples")?;
        Ok(count)
    }

    #[inline]
    fn i64(&mut self) -> Result<i64, CodecError> {
        self.array().map(i64::from_le_bytes)
    }

    #[inline]
    fn i128(&mut self) -> Result<i128, CodecError> {
        self.array().map(i128::from_le_bytes)
    }

    #[inline]
    fn f64(&mut self) -> Result<f64, CodecError> {
        let value = self.array().map(f64::from_le_bytes)?;
        self.check(value.to_bits() == canonical(value).to_bits(), "NaN")?;
        Ok(value)
    }

    /// LEB128 (DWARF 5, 7.6), at most ten bytes, none of them idle.
    fn varint(&mut self) -> Result<u64, CodecError> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            let bits = u64::from(byte & 0x7f);
            self.check(
                bits << shift >> shift == bits && (byte != 0 || shift == 0),
                "variable-length number",
            )?;
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(CodecError::Impossible { field: "variable-length number", offset: self.offset() })
    }

    #[inline(always)]
    fn check(&self, possible: bool, field: &'static str) -> Result<(), CodecError> {
        if possible { Ok(()) } else { Err(CodecError::Impossible { field, offset: self.offset() }) }
    }
}

/// The same number; of all NaN the one. Which of them arithmetic makes depends on the machine.
fn canonical(value: f64) -> f64 {
    if value.is_nan() { f64::NAN } else { value }
}

fn write_f64(value: f64, out: &mut Vec<u8>) {
    out.extend(canonical(value).to_le_bytes());
}

fn write_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

impl Encode for Sums {
    const SMALLEST_LEN: usize = 32;

    fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.n.to_le_bytes());
        for field in [self.sum, self.sum_low, self.mean] {
            write_f64(field, out);
        }
    }

    #[inline(always)]
    fn read(input: &mut Input<'_>) -> Result<Sums, CodecError> {
        let [n, fields @ ..] = input.words::<4>()?;
        input.check(n <= LARGEST_COUNT, "number of samples")?;
        let [sum, sum_low, mean] = input.floats(fields)?;
        let state = Sums { n, sum, sum_low, mean };
        input.check(state.sum_low.is_finite(), "low part of a sum")?;
        input.check(state.n > 0 || state == Sums::default(), "sums of no samples")?;
        Ok(state)
    }
}

impl Encode for Moments {
    const SMALLEST_LEN: usize = 56;

    fn write(&self, out: &mut Vec<u8>) {
        self.sums.write(out);
        for field in [self.m2, self.min, self.max] {
            write_f64(field, out);
        }
    }

    #[inline(always)]
    fn read(input: &mut Input<'_>) -> Result<Moments, CodecError> {
        let sums = Sums::read(input)?;
        let fields = input.words()?;
        let [m2, min, max] = input.floats(fields)?;
        let state = Moments { sums, m2, min, max };
        if state.sums.n == 0 {
            input.check(state == Moments::default(), "moments of no samples")?;
        } else {
            input.check(state.m2 >= 0.0 || state.m2.is_nan(), "m2")?;
            input.check(state.min <= state.max, "extremes")?;
        }
        Ok(state)
    }
}

impl Encode for Polar {
    const SMALLEST_LEN: usize = 48;

    fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.n.to_le_bytes());
        out.extend(self.infinite.to_le_bytes());
        out.extend(self.sin.to_le_bytes());
        out.extend(self.cos.to_le_bytes());
    }

    fn read(input: &mut Input<'_>) -> Result<Polar, CodecError> {
        let state =
            Polar { n: input.count()?, infinite: input.u64()?, sin: input.i128()?, cos: input.i128()? };
        input.check(state.infinite <= state.n, "number of infinite angles")?;
        let longest = u128::from(state.n - state.infinite) << 51;
        let possible = state.sin.unsigned_abs() <= longest && state.cos.unsigned_abs() <= longest;
        input.check(possible, "sum of unit vectors")?;
        Ok(state)
    }
}

impl Encode for Bits {
    const SMALLEST_LEN: usize = 40;

    fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.n.to_le_bytes());
        out.extend(self.and.to_le_bytes());
        out.extend(self.or.to_le_bytes());
    }

    fn read(input: &mut Input<'_>) -> Result<Bits, CodecError> {
        let state = Bits { n: input.count()?, and: input.i128()?, or: input.i128()? };
        // Between the smallest i64 and the largest u64, and no bit in all samples that is not in any.
        let integers = i128::from(i64::MIN)..=i128::from(u64::MAX);
        let possible = if state.n == 0 {
            state == Bits::default()
        } else {
            integers.contains(&state.and) && integers.contains(&state.or) && state.and & !state.or == 0
        };
        input.check(possible, "bits")?;
        Ok(state)
    }
}

impl Encode for Edges {
    const SMALLEST_LEN: usize = 40;

    fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.n.to_le_bytes());
        for edge in [self.first, self.last] {
            out.extend(edge.time.to_le_bytes());
            write_f64(edge.value, out);
        }
    }

    fn read(input: &mut Input<'_>) -> Result<Edges, CodecError> {
        let n = input.count()?;
        let first = Edge { time: input.i64()?, value: input.f64()? };
        let last = Edge { time: input.i64()?, value: input.f64()? };
        let state = Edges { n, first, last };
        let possible = match n {
            0 => state == Edges::default(),
            1 => first == last,
            _ => first.time < last.time && !first.value.is_nan() && !last.value.is_nan(),
        };
        input.check(possible, "edges")?;
        Ok(state)
    }
}

impl Encode for Quantiles {
    const SMALLEST_LEN: usize = 5;

    fn write(&self, out: &mut Vec<u8>) {
        let settled = self.settled();
        out.push(settled.shift as u8);
        out.extend((settled.entries.len() as u32).to_le_bytes());
        let mut before = 0;
        for &(key, count) in &settled.entries {
            write_varint(key - before, out);
            write_varint(count, out);
            before = key;
        }
    }

    fn read(input: &mut Input<'_>) -> Result<Quantiles, CodecError> {
        let [shift] = input.array()?;
        let shift = u32::from(shift);
        input.check(shift <= LARGEST_SHIFT, "shift")?;
        let len = u32::from_le_bytes(input.array()?) as usize;
        // Each entry takes two bytes at least.
        let possible = len <= LARGEST_EXACT && len <= input.rest.len() / 2;
        input.check(possible, "number of entries")?;
        // Each bit dropped halves the entries at most, and is dropped only where there were too many.
        input.check(shift == 0 || len > LARGEST_EXACT / 2, "shift")?;
        let mut entries = Vec::with_capacity(len);
        let (mut before, mut total) = (None, 0_u64);
        for _ in 0..len {
            let distance = input.varint()?;
            let key = match before {
                None => Some(distance),
                Some(before) => u64::checked_add(before, distance).filter(|key| *key > before),
            };
            let key = key.filter(|key| key_range(shift).contains(key));
            let key = key.ok_or(CodecError::Impossible { field: "key", offset: input.offset() })?;
            let count = input.varint()?;
            input.check(count > 0, "count")?;
            total = total.saturating_add(count);
            input.check(total <= LARGEST_COUNT, "number of samples")?;
            before = Some(key);
            entries.push((key, count));
        }
        Ok(Quantiles::from_entries(shift, entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Grid, SampleRun, fold};

    #[test]
    fn the_layout_is_as_documented() {
        let states: Vec<Moments> = fold(SampleRun::new(&[1.0, 3.0]), Grid::new(2, 0).unwrap()).unwrap();
        let mut expected = b"SHST\x01\x01\0\0\x01\0\0\0\0\0\0\0".to_vec();
        expected.extend(2_u64.to_le_bytes());
        for field in [4.0, 0.0, 2.0, 2.0, 1.0, 3.0_f64] {
            expected.extend(field.to_le_bytes());
        }
        assert_eq!(encode(&states), expected);
    }

    #[test]
    fn what_is_no_state_is_refused_by_name() {
        let bytes = encode(&[Sums::default()]);
        assert_eq!(decode::<Sums>(&bytes), Ok(vec![Sums::default()]));
        assert_eq!(decode::<Sums>(b"SHSX"), Err(CodecError::NotStates));
        assert_eq!(decode::<Sums>(b""), Err(CodecError::Truncated { offset: 0, wanted: 4 }));
        let truncated = decode::<Sums>(&bytes[..bytes.len() - 1]);
        assert_eq!(truncated, Err(CodecError::Impossible { field: "number of states", offset: 16 }));
        let longer = [&bytes[..], &[0]].concat();
        assert_eq!(decode::<Sums>(&longer), Err(CodecError::TrailingBytes { offset: bytes.len() }));
        let error = decode::<Moments>(&bytes).unwrap_err();
        assert_eq!(error.to_string(), "sums states where moments states were expected");

        let mut later = bytes.clone();
        later[4] = 2;
        let error = decode::<Sums>(&later).unwrap_err();
        assert_eq!(error.to_string(), "states of version 2; this build reads versions 1 to 1");

        let mut many = bytes.clone();
        many[8..16].fill(0xff);
        assert!(matches!(decode::<Sums>(&many), Err(CodecError::Impossible { .. })));
    }

    #[test]
    fn variable_length_numbers_have_one_form() {
        for value in [0, 1, 127, 128, 300, u64::MAX] {
            let mut bytes = Vec::new();
            write_varint(value, &mut bytes);
            assert_eq!(Input::new(&bytes).varint(), Ok(value));
        }
        for bytes in
            [&[0x80, 0x00][..], &[0xff; 11], &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]]
        {
            assert!(Input::new(bytes).varint().is_err(), "{bytes:?}");
        }
    }
}
