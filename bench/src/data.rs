//! The samples of the benchmarks: made up, and the same on every machine.

use std::f64::consts::TAU;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// Samples of one day at 100 Hz.
pub const SAMPLES_PER_DAY: usize = 8_640_000;

/// Samples of ten minutes at 100 Hz.
pub const SAMPLES_PER_10_MIN: usize = 60_000;

/// One sample in so many is missing: 0.006 %.
const ONE_MISSING_IN: u64 = 16_667;

/// A channel at 100 Hz: a slow sine with noise on it, in thousandths.
///
/// The values stay between 2 and 22, so that no mean is near zero, where a relative comparison would mean nothing, and
/// the thousandths fit an `i16`.
pub struct Channel {
    /// Values with three decimals, NaN where one is missing.
    pub values: Vec<f64>,
    /// The same values in thousandths, none missing.
    pub thousandths: Vec<i16>,
}

impl Channel {
    /// The first `len` samples of the channel.
    pub fn new(len: usize) -> Channel {
        let mut channel = Channel { values: Vec::with_capacity(len), thousandths: Vec::with_capacity(len) };
        let mut random = SplitMix64(0);
        for index in 0..len {
            let sine = 12_000.0 + 8_000.0 * (TAU * index as f64 / SAMPLES_PER_DAY as f64).sin();
            let bits = random.next_u64();
            // The upper half of the bits makes the noise, the lower half the gaps.
            let noise = 2_000.0 * ((bits >> 32) as f64 / 2_f64.powi(31) - 1.0);
            let thousandths = (sine + noise).round() as i16;
            let is_missing = (bits & 0xffff_ffff) * ONE_MISSING_IN < 1 << 32;
            channel.values.push(if is_missing { f64::NAN } else { f64::from(thousandths) / 1_000.0 });
            channel.thousandths.push(thousandths);
        }
        channel
    }
}

/// The generator of Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators".
pub struct SplitMix64(u64);

impl SplitMix64 {
    /// Begins with this seed.
    pub fn new(seed: u64) -> SplitMix64 {
        SplitMix64(seed)
    }

    /// The next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// Writes numbers as they are, little end first, and waits until they are on the disk: writing on in the background
/// would disturb what is measured next.
///
/// # Errors
/// The file can't be written.
pub fn write_raw<T: Copy, const N: usize>(
    path: &Path,
    numbers: &[T],
    to_bytes: fn(T) -> [u8; N],
) -> io::Result<()> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    for &number in numbers {
        file.write_all(&to_bytes(number))?;
    }
    file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
}

/// Reads a file of `f64`, little end first.
///
/// # Errors
/// The file can't be read, or holds something else.
pub fn read_raw(path: &Path) -> io::Result<Vec<f64>> {
    let bytes = std::fs::read(path)?;
    let (numbers, rest) = bytes.as_chunks();
    if !rest.is_empty() {
        let message = format!("{}: {} bytes are no whole number of f64", path.display(), bytes.len());
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    Ok(numbers.iter().copied().map(f64::from_le_bytes).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_outputs_are_those_of_the_paper_s_reference_code() {
        let mut random = SplitMix64(0);
        assert_eq!(random.next_u64(), 0xe220_a839_7b1d_cdaf);
        assert_eq!(random.next_u64(), 0x6e78_9e6a_a1b9_65f4);
    }

    #[test]
    fn both_forms_of_the_channel_are_the_same_values() {
        let channel = Channel::new(200_000);
        let missing = channel.values.iter().filter(|value| value.is_nan()).count();
        assert!((4..=24).contains(&missing), "{missing} of 200 000 are missing, about 12 should be");
        for (&value, &thousandths) in channel.values.iter().zip(&channel.thousandths) {
            assert!(value.is_nan() || (value * 1_000.0).round() == f64::from(thousandths));
            assert!((2_000..=22_000).contains(&thousandths));
        }
    }
}
