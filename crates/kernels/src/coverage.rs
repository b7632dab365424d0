//! The gate: how many samples of a bucket may be missing before its number is withheld.

use crate::Error;

/// The share of valid samples a bucket must reach where nothing else is asked for. The same default as Nexus: ten
/// minutes of 1 s data may miss 6 of 600 samples, and a bucket of fewer than 100 samples none.
pub const DEFAULT_THRESHOLD: f64 = 0.99;

/// Decides whether a bucket holds enough valid samples to be finished into a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gate {
    /// The fewest valid samples that are enough.
    fewest: u64,
}

impl Gate {
    /// A gate for buckets of `expected` samples, of which the share `threshold` (0 to 1) must be valid.
    ///
    /// # Errors
    /// No sample expected, or a threshold that is not between 0 and 1 (NaN included).
    pub fn new(expected: u64, threshold: f64) -> Result<Gate, Error> {
        if expected == 0 {
            return Err(Error::EmptyBucket);
        }
        if !(0.0..=1.0).contains(&threshold) {
            return Err(Error::ThresholdOutOfRange { threshold });
        }
        // `valid / expected >= threshold`, compared in `f64` as Nexus does, so that 594 of 600 passes 0.99. More of them never
        // give a smaller share, so one number says it all.
        let is_enough = |valid: u64| valid as f64 / expected as f64 >= threshold;
        let mut fewest = (threshold * expected as f64) as u64;
        while fewest > 0 && is_enough(fewest - 1) {
            fewest -= 1;
        }
        while !is_enough(fewest) {
            fewest += 1;
        }
        Ok(Gate { fewest })
    }

    /// The fewest valid samples that are enough: all that tells one gate from another.
    pub fn fewest(self) -> u64 {
        self.fewest
    }

    /// Whether so many valid samples are enough.
    pub fn passes(self, valid: u64) -> bool {
        valid >= self.fewest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gate_compares_the_share_in_f64() {
        let gate = Gate::new(600, 0.99).unwrap();
        assert!(gate.passes(594));
        assert!(!gate.passes(593));
        // 11/12 = 0.9166…, 9/10 = 0.9 exactly as the literal rounds.
        assert!(Gate::new(12, 0.9).unwrap().passes(11));
        assert!(Gate::new(10, 0.9).unwrap().passes(9));
        assert!(!Gate::new(99, DEFAULT_THRESHOLD).unwrap().passes(98));
        assert!(Gate::new(1, 0.0).unwrap().passes(0));
        assert!(Gate::new(u64::MAX, 1.0).unwrap().passes(u64::MAX));
    }

    #[test]
    fn one_number_says_what_the_share_does() {
        let thresholds =
            [0.0, 1e-300, 0.01, 0.1, 1.0 / 3.0, 0.5, 0.9, 0.99, 0.999_999, 1.0 - f64::EPSILON, 1.0];
        for threshold in thresholds {
            for expected in (1..200).chain([6000, 60_000, 86_400_000, (1 << 53) - 1, 1 << 53]) {
                let gate = Gate::new(expected, threshold).unwrap();
                let near = (threshold * expected as f64) as u64;
                for valid in near.saturating_sub(3)..near + 4 {
                    let share = valid as f64 / expected as f64;
                    assert_eq!(gate.passes(valid), share >= threshold, "{valid} of {expected}, {threshold}");
                }
            }
        }
    }

    #[test]
    fn thresholds_outside_0_to_1_are_refused() {
        for threshold in [-0.1, 1.000_000_1, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(matches!(Gate::new(1, threshold), Err(Error::ThresholdOutOfRange { .. })), "{threshold}");
        }
        assert_eq!(Gate::new(0, 0.5), Err(Error::EmptyBucket));
    }
}
