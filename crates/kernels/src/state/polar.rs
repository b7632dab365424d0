//! {n, Σsin, Σcos}: directions in degrees.
//!
//! Sine and cosine are ours, for two reasons. They work in degrees, so the reduction to one octant is exact and 180° is
//! opposite to 0° to the last bit. And they are a handful of multiplications without a branch, which the compiler turns
//! into SIMD: many times faster than a call per sample, and the same bits on every machine.
//!
//! The sums are integers: each sine and cosine is rounded to a multiple of 2⁻⁵¹ and added exactly. So any split, any
//! order and any number of threads give the same state.

use super::add_counts;
use crate::block::{Block, LANES, Lanes, Scratch, last_deal, reduce};
use crate::dispatch::Kernel;
use crate::{Family, Level, Sample, SampleRun, State, Statistic};

/// The sum of the unit vectors of the valid samples.
///
/// | statistic | from the state |
/// |---|---|
/// | count | n |
/// | mean_polar_deg | atan2(Σsin, Σcos) in degrees, 0 ≤ r < 360; NaN where √(Σsin² + Σcos²)/n < 10⁻¹² |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Polar {
    pub(crate) n: u64,
    /// How many of the n samples are infinite and point nowhere. One of them takes the meaning from the sum.
    pub(crate) infinite: u64,
    /// Σsin, in units of 2⁻⁵¹.
    pub(crate) sin: i128,
    /// Σcos, in units of 2⁻⁵¹.
    pub(crate) cos: i128,
}

/// Beyond this the nearest multiple of 90° has too many digits for an exact reduction in one step.
const LARGEST_QUICK_DEG: f64 = (1_u64 << 40) as f64;

/// Below this length of the mean vector its direction is made of rounding errors.
const SHORTEST_MEAN_VECTOR: f64 = 1e-12;

/// The unit of the sums, 2⁻⁵¹: what separates neighbouring `f64` in [2, 4], where `sin + 3` always lies.
pub(crate) const UNIT: f64 = 1.0 / (1_u64 << 51) as f64;

/// The sum of the unit vectors in each lane of a block, none of whose angles is beyond [`LARGEST_QUICK_DEG`].
struct UnitVectors<'a>(&'a [Lanes<f64>]);

impl Kernel for UnitVectors<'_> {
    /// Σsin and Σcos in [`UNIT`]s. All lanes together are at most 2048·2⁵¹ = 2⁶².
    type Output = (Lanes<i64>, Lanes<i64>);

    #[inline(always)]
    fn run(self) -> (Lanes<i64>, Lanes<i64>) {
        let mut sins = [0; LANES];
        let mut coss = [0; LANES];
        for x in self.0 {
            let mut sin = [0; LANES];
            let mut cos = [0; LANES];
            for lane in 0..LANES {
                let valid = if x[lane].is_nan() { 0 } else { -1 };
                let (s, c) = sin_cos_deg(x[lane]);
                (sin[lane], cos[lane]) = (to_units(s) & valid, to_units(c) & valid);
            }
            for lane in 0..LANES {
                sins[lane] += sin[lane];
            }
            for lane in 0..LANES {
                coss[lane] += cos[lane];
            }
        }
        (sins, coss)
    }
}

impl State for Polar {
    const FAMILY: Family = Family::Polar;

    fn append<T: Sample>(states: &mut Vec<Polar>, run: SampleRun<'_, T>, scratch: &mut Scratch) {
        scratch.append_merged(states, run, Polar::of_block);
    }

    fn merge(&mut self, later: &Polar) {
        self.n = add_counts(self.n, later.n);
        self.infinite = add_counts(self.infinite, later.infinite);
        // Where the count has stopped, so do the sums: a sum of unit vectors is no longer than their number.
        let longest = i128::from(self.n - self.infinite) << 51;
        self.sin = (self.sin + later.sin).clamp(-longest, longest);
        self.cos = (self.cos + later.cos).clamp(-longest, longest);
    }

    fn valid(&self) -> u64 {
        self.n
    }

    fn value(&self, statistic: Statistic) -> Option<f64> {
        match statistic {
            Statistic::Count => Some(self.n as f64),
            Statistic::MeanPolarDeg => Some(self.direction_deg()),
            _ => None,
        }
    }
}

impl Polar {
    fn of_block(level: Level, block: Block<'_>) -> Polar {
        let (min, max) = block.extremes(level);
        let quick = -LARGEST_QUICK_DEG..=LARGEST_QUICK_DEG;
        match block {
            Block::Dealt { deals, rest } if quick.contains(&min) && quick.contains(&max) => {
                let sum = |lanes| i128::from(reduce(lanes, |a: i64, b| a + b));
                let (sins, coss) = level.run(UnitVectors(deals));
                let (mut sin, mut cos) = (sum(sins), sum(coss));
                if let Some(last) = last_deal(rest, f64::NAN) {
                    let (sins, coss) = level.run(UnitVectors(&[last]));
                    (sin, cos) = (sin + sum(sins), cos + sum(coss));
                }
                Polar { n: block.count(level), infinite: 0, sin, cos }
            }
            _ => Polar::of_any(block),
        }
    }

    /// Few angles, or some beyond a million million degrees, or infinite ones.
    fn of_any(block: Block<'_>) -> Polar {
        let mut state = Polar::default();
        for x in block.valid() {
            state.n += 1;
            if x.is_infinite() {
                state.infinite += 1;
                continue;
            }
            // The remainder of two `f64` is exact.
            let (sin, cos) = sin_cos_deg(if x.abs() > LARGEST_QUICK_DEG { x % 360.0 } else { x });
            state.sin += i128::from(to_units(sin));
            state.cos += i128::from(to_units(cos));
        }
        state
    }

    fn direction_deg(&self) -> f64 {
        let (sin, cos) = (self.sin as f64, self.cos as f64);
        if self.n == 0 || self.infinite > 0 || sin.hypot(cos) * UNIT / (self.n as f64) < SHORTEST_MEAN_VECTOR
        {
            return f64::NAN;
        }
        let degrees = sin.atan2(cos).to_degrees();
        let degrees = if degrees < 0.0 { degrees + 360.0 } else { degrees };
        // A hair below 0 rounds to 360, which is 0. Adding 0 takes the sign from a zero.
        if degrees >= 360.0 { 0.0 } else { degrees + 0.0 }
    }
}

/// `x`, between -1 and 1, as a whole number of [`UNIT`]s, rounded to nearest: adding 3 leaves it in the low bits.
#[inline(always)]
fn to_units(x: f64) -> i64 {
    (x + 3.0).to_bits() as i64 - 3.0_f64.to_bits() as i64
}

/// Sine and cosine of an angle in degrees, |x| ≤ 2⁴⁰, to about 2⁻⁵².
///
/// The nearest multiple of 90° is taken off exactly (q·90 has at most 41 bits, and the difference is a multiple of
/// x's own last bit); the rest, at most 45°, goes into the Taylor series, whose first omitted terms are below 5·10⁻¹⁷.
#[inline(always)]
fn sin_cos_deg(x: f64) -> (f64, f64) {
    // Adding 1.5·2⁵² rounds to an integer and leaves it in the low bits.
    const ROUND: f64 = 1.5 * (1_u64 << 52) as f64;
    let rounded = x * (1.0 / 90.0) + ROUND;
    let quarter_turns = rounded.to_bits();
    let t = (x - (rounded - ROUND) * 90.0) * (std::f64::consts::PI / 180.0);
    let t2 = t * t;
    let sin = t + t * t2 * horner(t2, SIN_COEFFICIENTS);
    let cos = 1.0 + t2 * horner(t2, COS_COEFFICIENTS);

    let odd = quarter_turns & 1 == 1;
    let (sin, cos) = if odd { (cos, sin) } else { (sin, cos) };
    // Bit 1 is set in the second half turn: the sine's sign. The cosine's comes a quarter turn earlier.
    let sin_sign = (quarter_turns & 2) << 62;
    let cos_sign = (quarter_turns.wrapping_add(1) & 2) << 62;
    (f64::from_bits(sin.to_bits() ^ sin_sign), f64::from_bits(cos.to_bits() ^ cos_sign))
}

/// (sin t - t)/t³ as a polynomial in t²: (-1)ᵏ/(2k+1)!, k = 1…7.
const SIN_COEFFICIENTS: [f64; 7] = [
    -1.0 / 6.0,
    1.0 / 120.0,
    -1.0 / 5040.0,
    1.0 / 362_880.0,
    -1.0 / 39_916_800.0,
    1.0 / 6_227_020_800.0,
    -1.0 / 1_307_674_368_000.0,
];

/// (cos t - 1)/t² as a polynomial in t²: (-1)ᵏ/(2k)!, k = 1…8.
const COS_COEFFICIENTS: [f64; 8] = [
    -1.0 / 2.0,
    1.0 / 24.0,
    -1.0 / 720.0,
    1.0 / 40_320.0,
    -1.0 / 3_628_800.0,
    1.0 / 479_001_600.0,
    -1.0 / 87_178_291_200.0,
    1.0 / 20_922_789_888_000.0,
];

#[inline(always)]
fn horner<const N: usize>(x: f64, coefficients: [f64; N]) -> f64 {
    let mut sum = coefficients[N - 1];
    for index in (0..N - 1).rev() {
        sum = sum * x + coefficients[index];
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Grid, fold};

    fn direction(angles: &[f64]) -> f64 {
        let grid = Grid::new(angles.len().max(1), 0).unwrap();
        let states: Vec<Polar> = fold(SampleRun::new(angles), grid).unwrap();
        states.first().copied().unwrap_or_default().direction_deg()
    }

    #[test]
    fn sine_and_cosine_agree_with_the_library() {
        for step in -80_000..80_000 {
            let x = f64::from(step) * 0.012_345;
            let (sin, cos) = sin_cos_deg(x);
            // The library's angle is rounded on the way to radians: by up to 17·2⁻⁵³.
            assert!((sin - x.to_radians().sin()).abs() < 4e-15, "sin {x}");
            assert!((cos - x.to_radians().cos()).abs() < 4e-15, "cos {x}");
            assert!((sin * sin + cos * cos - 1.0).abs() < 6e-16, "{x}");
        }
        for quarter in -9_i32..9 {
            let expected = [(0.0, 1.0), (1.0, 0.0), (0.0, -1.0), (-1.0, 0.0)][quarter.rem_euclid(4) as usize];
            assert_eq!(sin_cos_deg(f64::from(quarter) * 90.0), expected, "{quarter} quarter turns");
        }
        let (sin, cos) = sin_cos_deg(30.0);
        assert!((sin - 0.5).abs() < 1.2e-16 && (cos - 0.75_f64.sqrt()).abs() < 1.2e-16);
    }

    #[test]
    fn directions_checkable_by_hand() {
        assert_eq!(direction(&[90.0]), 90.0);
        assert_eq!(direction(&[350.0, 10.0]), 0.0);
        assert_eq!(direction(&[-90.0]), 270.0);
        assert_eq!(direction(&[45.0, 45.0, 135.0, 135.0]), 90.0);
        assert!((direction(&[359.0, 0.0]) - 359.5).abs() < 1e-12);
        assert_eq!(direction(&[720.0 * 1e15]), 0.0);
    }

    #[test]
    fn what_points_nowhere_has_no_direction() {
        assert!(direction(&[]).is_nan());
        assert!(direction(&[0.0, 180.0]).is_nan());
        assert!(direction(&[0.0, 120.0, 240.0]).is_nan());
        assert!(direction(&[12.0, f64::INFINITY]).is_nan());
        assert!(direction(&[f64::NEG_INFINITY]).is_nan());
        let wheel: Vec<f64> = (0..3600).map(|step| f64::from(step) * 0.1).collect();
        assert!(direction(&wheel).is_nan());
    }

    #[test]
    fn large_angles_are_reduced_exactly() {
        let turns = 360.0 * (1_u64 << 43) as f64;
        assert_eq!(direction(&[turns + 90.0, 90.0, 90.0]), 90.0);
        assert_eq!(direction(&[f64::MAX]), direction(&[f64::MAX % 360.0]));
    }
}
