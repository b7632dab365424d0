//! Sample-and-hold: a series at another period, without arithmetic on its values.

use crate::{Error, Sample, SampleRun};

/// Fills `out[i]` with the sample that is valid at time `begin + i·step`: the one in whose slot
/// `[t, t + base.step())` that time lies. NaN where that sample is missing, or lies outside `base`.
///
/// One rule for both directions: to a finer period each sample is held over its slot, to a coarser one the sample at
/// the target's start is taken. Nothing is interpolated.
///
/// ```
/// use sheaf_kernels::{SampleRun, resample};
///
/// // One sample per second, time in milliseconds; from 0.5 s on, one value each half second.
/// let base = SampleRun::new(&[1.0, 2.0, 3.0]).at(0, 1000)?;
/// let mut finer = [0.0; 4];
/// resample(base, 500, 500, &mut finer)?;
/// assert_eq!(finer, [1.0, 2.0, 2.0, 3.0]);
///
/// let mut coarser = [0.0; 2];
/// resample(base, 0, 2000, &mut coarser)?;
/// assert_eq!(coarser, [1.0, 3.0]);
/// # Ok::<(), sheaf_kernels::Error>(())
/// ```
///
/// # Errors
/// A step of zero or less, or a last slot that ends beyond `i64`.
pub fn resample<T: Sample>(
    base: SampleRun<'_, T>,
    begin: i64,
    step: i64,
    out: &mut [f64],
) -> Result<(), Error> {
    if step <= 0 {
        return Err(Error::StepNotPositive { step });
    }
    let end = i128::from(begin) + out.len() as i128 * i128::from(step);
    if end > i128::from(i64::MAX) {
        return Err(Error::TimeOutOfRange { start: begin, step, len: out.len() });
    }
    // Where the first time lies: sample `index`, `place` after its start. From there on both only step ahead.
    let distance = i128::from(begin) - i128::from(base.time(0));
    let slot = i128::from(base.step());
    let mut index = distance.div_euclid(slot);
    let mut place = distance.rem_euclid(slot);
    let (whole, rest) = (i128::from(step) / slot, i128::from(step) % slot);
    for value in out {
        *value = usize::try_from(index).ok().and_then(|index| base.get(index)).map_or(f64::NAN, T::to_f64);
        index += whole;
        place += rest;
        if place >= slot {
            index += 1;
            place -= slot;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Validity;

    fn resampled(base: SampleRun<'_, i32>, begin: i64, step: i64, len: usize) -> Vec<f64> {
        let mut out = vec![0.0; len];
        resample(base, begin, step, &mut out).unwrap();
        out
    }

    fn same(a: &[f64], b: &[f64]) -> bool {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a == b || (a.is_nan() && b.is_nan()))
    }

    #[test]
    fn known_case_of_the_reference() {
        // 0, 1, 2 (missing), 3 at four targets each, from two targets into the first sample on.
        let values = [0, 1, 2, 3];
        let base = SampleRun::new(&values).at(0, 4).unwrap();
        let base = base.with_validity(Validity::new(&[0b1011], 0)).unwrap();
        let nan = f64::NAN;
        let expected = [0.0, 0.0, 1.0, 1.0, 1.0, 1.0, nan, nan, nan, nan, 3.0, 3.0];
        assert!(same(&resampled(base, 2, 1, 12), &expected));
    }

    #[test]
    fn a_window_inside_the_samples() {
        // 00:00:00.200 to 00:00:01.700 at 100 ms, from samples of 1 s: 8 of the first, 7 of the second.
        let values = [5, 6];
        let base = SampleRun::new(&values).at(0, 10).unwrap();
        let mut expected = vec![5.0; 8];
        expected.extend([6.0; 7]);
        assert_eq!(resampled(base, 2, 1, 15), expected);
    }

    #[test]
    fn coarser_takes_the_sample_at_the_start() {
        let values = [0, 1, 2, 3, 4, 5, 6];
        let base = SampleRun::new(&values).at(100, 10).unwrap();
        assert_eq!(resampled(base, 100, 30, 3), [0.0, 3.0, 6.0]);
        assert_eq!(resampled(base, 115, 30, 2), [1.0, 4.0]);
        assert_eq!(resampled(base, 100, 10, 7), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    }

    #[test]
    fn outside_the_samples_nothing_is_held() {
        let values = [7];
        let base = SampleRun::new(&values).at(-10, 5).unwrap();
        let nan = f64::NAN;
        assert!(same(&resampled(base, -15, 5, 3), &[nan, 7.0, nan]));
        assert!(same(&resampled(SampleRun::new(&[]), 0, 1, 2), &[nan, nan]));
        assert!(same(&resampled(base, i64::MIN, 1, 1), &[nan]));
    }

    #[test]
    fn times_beyond_the_range_are_refused() {
        let values = [7];
        let base = SampleRun::new(&values);
        assert_eq!(resample(base, 0, 0, &mut [0.0]), Err(Error::StepNotPositive { step: 0 }));
        assert!(matches!(resample(base, i64::MAX, 1, &mut [0.0]), Err(Error::TimeOutOfRange { .. })));
    }
}
