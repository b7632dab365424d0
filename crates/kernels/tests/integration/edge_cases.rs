//! What every statistic makes of unusual samples: one test per kind, one column per statistic.

use sheaf_kernels::testing::{
    check_coarsen, check_codec, check_levels, check_sequential, check_split_anywhere,
};
use sheaf_kernels::{
    AnyRun, Error, Family, Gate, Grid, Moments, SampleRun, State, StateVec, Statistic, Validity,
};

const NAN: f64 = f64::NAN;
const INF: f64 = f64::INFINITY;
/// Two to the power of 63.
const TWO_63: f64 = 9_223_372_036_854_775_808.0;

/// One number for each statistic, in the order of [`Statistic::ALL`]; a new one does not compile until every case below
/// says what it is:
/// mean, mean_polar_deg, min, max, std, rms, sum, min_bitwise, max_bitwise, count, first, last, median.
type Row = [f64; Statistic::ALL.len()];

/// The same where nothing is valid.
const NOTHING: Row = [NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, 0.0, NAN, NAN, NAN];

/// What floats have in the columns of the bitwise statistics: the samples are refused.
const REFUSED: f64 = NAN;

/// Holds one bucket against a row, from every family that answers: folded whole, merged from single samples, and with
/// the formulas one by one. And all laws hold for it.
fn check<'a>(run: impl Into<AnyRun<'a>>, expected: Row) {
    let run = run.into();
    let grid = Grid::new(run.len().max(1), 0).unwrap();
    let gate = Gate::new(run.len().max(1) as u64, 0.0).unwrap();
    for (family, (statistic, expected)) in Family::ALL
        .into_iter()
        .flat_map(|f| Statistic::ALL.into_iter().zip(expected).map(move |pair| (f, pair)))
    {
        if family == Family::Bits && matches!(run, AnyRun::F32(_) | AnyRun::F64(_)) {
            assert!(matches!(StateVec::fold(family, run, grid), Err(Error::BitwiseOnFloat { .. })));
            continue;
        }
        let whole = StateVec::fold(family, run, grid).unwrap();
        if !family.answers(statistic) {
            let refused = whole.finish(statistic, gate);
            assert_eq!(refused, Err(Error::NotInFamily { statistic, family }));
            continue;
        }
        let singles = StateVec::fold(family, run, Grid::new(1, 0).unwrap()).unwrap();
        for (how, states) in [("whole", &whole), ("merged from single samples", &singles.coarsen(grid))] {
            // A run without samples has no buckets.
            let states = if run.is_empty() { &StateVec::empty(family, 1) } else { states };
            let found = states.finish(statistic, gate).unwrap()[0];
            assert!(
                agree(statistic, found, expected),
                "{statistic} of {family} states {how}: {found:?}, not {expected:?}"
            );
        }
    }
    for statistic in Statistic::ALL {
        check_sequential(statistic, run, grid).unwrap();
        check_split_anywhere(statistic, run, &[0, 1, 1, 2, 3], grid).unwrap();
        check_coarsen(statistic, run, 2, 2, 1).unwrap();
    }
    for family in Family::ALL {
        if StateVec::fold(family, run, grid).is_ok() {
            check_levels(family, run, grid).unwrap();
            check_codec(family, run, grid).unwrap();
        }
    }
}

fn agree(statistic: Statistic, found: f64, expected: f64) -> bool {
    if found.is_nan() || expected.is_nan() {
        return found.is_nan() && expected.is_nan();
    }
    match statistic {
        // These are samples: the sign of a zero is theirs too.
        Statistic::Min | Statistic::Max | Statistic::First | Statistic::Last => {
            found.to_bits() == expected.to_bits()
        }
        _ if found == expected => true,
        Statistic::Mean | Statistic::MeanPolarDeg | Statistic::Std | Statistic::Rms => {
            (found - expected).abs() <= 1e-12 * expected.abs()
        }
        _ => false,
    }
}

#[test]
fn empty() {
    check(SampleRun::<f64>::new(&[]), NOTHING);
    check(SampleRun::<u8>::new(&[]), NOTHING);
}

#[test]
fn one() {
    check(
        SampleRun::new(&[90.5]),
        [90.5, 90.5, 90.5, 90.5, NAN, 90.5, 90.5, REFUSED, REFUSED, 1.0, 90.5, 90.5, 90.5],
    );
    check(
        SampleRun::new(&[-90_i8]),
        [-90., 270., -90., -90., NAN, 90., -90., -90., -90., 1., -90., -90., -90.],
    );
    check(SampleRun::new(&[90_u16]), [90., 90., 90., 90., NAN, 90., 90., 90., 90., 1., 90., 90., 90.]);
}

#[test]
fn all_missing() {
    check(SampleRun::new(&[NAN; 3]), NOTHING);
    check(SampleRun::new(&[f32::NAN; 40]), NOTHING);
    let none = Validity::new(&[0, 0], 60);
    check(SampleRun::new(&[7_i32; 40]).with_validity(none).unwrap(), NOTHING);
    check(SampleRun::new(&[u64::MAX; 3]).with_validity(none).unwrap(), NOTHING);
    check(SampleRun::new(&[1.0; 3]).with_validity(none).unwrap(), NOTHING);
}

#[test]
fn nan_is_missing() {
    let sqrt_10 = 10.0_f64.sqrt();
    let row = [3.0, 3.0, 2.0, 4.0, 2.0_f64.sqrt(), sqrt_10, 6.0, REFUSED, REFUSED, 2.0, 2.0, 4.0, 3.0];
    check(SampleRun::new(&[NAN, 2.0, NAN, 4.0, NAN]), row);
    check(SampleRun::new(&[f32::NAN, 2.0, -f32::NAN, 4.0]), row);
    // Any bits of NaN, and a NaN whose validity bit is set.
    let signalling = f64::from_bits(0x7ff0_0000_0000_0001);
    let values = [2.0, signalling, 4.0, 9.0];
    let run = SampleRun::new(&values).with_validity(Validity::new(&[0b0111], 0)).unwrap();
    check(run, row);
}

#[test]
fn infinity() {
    let row = [INF, NAN, 1.0, INF, NAN, INF, INF, REFUSED, REFUSED, 3.0, 1.0, 3.0, 3.0];
    check(SampleRun::new(&[1.0, INF, 3.0]), row);
    check(SampleRun::new(&[1.0, f32::INFINITY, 3.0]), row);
    check(
        SampleRun::new(&[INF, INF]),
        [INF, NAN, INF, INF, NAN, INF, INF, REFUSED, REFUSED, 2.0, INF, INF, INF],
    );
}

#[test]
fn negative_infinity() {
    let row = [-INF, NAN, -INF, 3.0, NAN, INF, -INF, REFUSED, REFUSED, 3.0, 1.0, 3.0, 1.0];
    check(SampleRun::new(&[1.0, -INF, 3.0]), row);
    check(SampleRun::new(&[1.0, -f32::INFINITY, 3.0]), row);
}

#[test]
fn infinities_of_both_signs() {
    check(
        SampleRun::new(&[INF, 1.0, -INF]),
        [NAN, NAN, -INF, INF, NAN, INF, NAN, REFUSED, REFUSED, 3.0, INF, -INF, 1.0],
    );
    check(
        SampleRun::new(&[INF, -INF]),
        [NAN, NAN, -INF, INF, NAN, INF, NAN, REFUSED, REFUSED, 2.0, INF, -INF, NAN],
    );
}

#[test]
fn infinities_in_a_long_run() {
    let mut values = [1.0; 3000];
    (values[17], values[2500]) = (INF, INF);
    check(
        SampleRun::new(&values),
        [INF, NAN, 1.0, INF, NAN, INF, INF, REFUSED, REFUSED, 3000.0, 1.0, 1.0, 1.0],
    );
    values[2501] = -INF;
    check(
        SampleRun::new(&values),
        [NAN, NAN, -INF, INF, NAN, INF, NAN, REFUSED, REFUSED, 3000.0, 1.0, 1.0, 1.0],
    );
}

#[test]
fn negative_zero() {
    check(SampleRun::new(&[0.0, -0.0]), [0., 0., -0., 0., 0., 0., 0., REFUSED, REFUSED, 2., 0., -0., 0.]);
    check(SampleRun::new(&[-0.0_f32, 0.0]), [0., 0., -0., 0., 0., 0., 0., REFUSED, REFUSED, 2., -0., 0., 0.]);
    check(SampleRun::new(&[-0.0; 40]), [0., 0., -0., -0., 0., 0., 0., REFUSED, REFUSED, 40., -0., -0., 0.]);
    let mut values = [0.0; 40];
    check(SampleRun::new(&values), [0., 0., 0., 0., 0., 0., 0., REFUSED, REFUSED, 40., 0., 0., 0.]);
    values[33] = -0.0;
    check(SampleRun::new(&values), [0., 0., -0., 0., 0., 0., 0., REFUSED, REFUSED, 40., 0., 0., 0.]);
}

#[test]
fn subnormal() {
    // One and three units of 2⁻¹⁰⁷⁴. Their squares are 0, and so are std and rms; as angles they are 0 too.
    let (one, two, three, four) = (5e-324, 1e-323, 1.5e-323, 2e-323);
    check(
        SampleRun::new(&[one, three]),
        [two, 0.0, one, three, 0.0, 0.0, four, REFUSED, REFUSED, 2.0, one, three, two],
    );
    // A subnormal `f32` is a normal `f64`.
    let tiny = f32::from_bits(1);
    let x = f64::from(tiny);
    check(SampleRun::new(&[tiny, tiny]), [x, 0.0, x, x, 0.0, x, 2.0 * x, REFUSED, REFUSED, 2.0, x, x, x]);
}

#[test]
fn smallest_i64() {
    let x = -TWO_63;
    // 2⁶³ = 8 mod 360.
    check(SampleRun::new(&[i64::MIN; 2]), [x, 352.0, x, x, 0.0, TWO_63, 2.0 * x, x, x, 2.0, x, x, x]);
    let max = TWO_63;
    check(
        SampleRun::new(&[i64::MIN, i64::MAX]),
        [0.0, 0.0, x, max, 2.0_f64.sqrt() * max, max, 0.0, 0.0, -1.0, 2.0, x, max, 0.0],
    );
}

#[test]
fn largest_u64() {
    let x = 2.0 * TWO_63;
    // 2⁶⁴ = 16 mod 360.
    check(SampleRun::new(&[u64::MAX; 2]), [x, 16.0, x, x, 0.0, x, 2.0 * x, x, x, 2.0, x, x, x]);
    let half = TWO_63;
    let middle = f64::midpoint(x, half);
    check(
        SampleRun::new(&[u64::MAX, 1 << 63]),
        [
            middle,
            12.0,
            half,
            x,
            half / 2.0_f64.sqrt(),
            half * 2.5_f64.sqrt(),
            x + half,
            half,
            x,
            2.0,
            x,
            half,
            middle,
        ],
    );
}

#[test]
fn largest_u32() {
    // 4 294 967 295 = 255 mod 360; halfway to 0 the short way round is 307.5.
    let (x, half) = (4_294_967_295.0, 2_147_483_647.5);
    let over_root = x / 2.0_f64.sqrt();
    check(
        SampleRun::new(&[u32::MAX, 0]),
        [half, 307.5, 0.0, x, over_root, over_root, x, 0.0, x, 2.0, x, 0.0, half],
    );
    check(SampleRun::new(&[u32::MAX; 40]), [x, 255.0, x, x, 0.0, x, 40.0 * x, x, x, 40.0, x, x, x]);
}

#[test]
fn numbers_whose_sum_overflows() {
    // The sum is beyond `f64`, and so are the squares in the rms; the mean is not.
    let x = 1e308;
    let degrees = x % 360.0;
    for len in [2, 33, 5000] {
        let values = vec![x; len];
        let n = len as f64;
        check(SampleRun::new(&values), [x, degrees, x, x, 0.0, INF, INF, REFUSED, REFUSED, n, x, x, x]);
    }
    let down = vec![-x; 40];
    let degrees = 360.0 - degrees;
    check(SampleRun::new(&down), [-x, degrees, -x, -x, 0.0, INF, -INF, REFUSED, REFUSED, 40.0, -x, -x, -x]);
}

/// The mean of the largest numbers must not be rounded beyond them, in a block or between blocks.
#[test]
fn the_largest_numbers_have_a_mean() {
    for (len, x) in (1..80).chain([2049, 5000]).flat_map(|len| [(len, f64::MAX), (len, f64::MIN)]) {
        let values = vec![x; len];
        for per_bucket in [1, 3, 7, len] {
            let run = SampleRun::new(&values).into();
            let states = StateVec::fold(Family::Sums, run, Grid::new(per_bucket, 0).unwrap()).unwrap();
            let whole = states.coarsen(Grid::new(len, 0).unwrap());
            let mean = whole.finish(Statistic::Mean, Gate::new(1, 0.0).unwrap()).unwrap()[0];
            assert!((mean / x - 1.0).abs() < 1e-12, "mean of {len} times {x:e} is {mean:e}");
        }
    }
}

/// A sum that overflows is infinite only by its size: one infinity in the samples still decides the sum.
#[test]
fn an_infinity_beside_a_sum_that_overflows() {
    let max = f64::MAX;
    let row = [-INF, NAN, -INF, max, NAN, INF, -INF, REFUSED, REFUSED, 3.0, max, -INF, max];
    check(SampleRun::new(&[max, max, -INF]), row);
}

/// On the way a part may leave the range of `f64`; where the whole lies in it, it has a sum.
#[test]
fn parts_that_overflow_and_cancel() {
    let values = [1e308, 1e308, -1e308, -1e308];
    let run = SampleRun::new(&values);
    let halves = StateVec::fold(Family::Moments, run.into(), Grid::new(2, 0).unwrap()).unwrap();
    let whole = halves.coarsen(Grid::new(2, 0).unwrap());
    let gate = Gate::new(4, 1.0).unwrap();
    assert_eq!(halves.finish(Statistic::Sum, Gate::new(2, 1.0).unwrap()).unwrap(), [INF, -INF]);
    assert_eq!(whole.finish(Statistic::Sum, gate).unwrap(), [0.0]);
    assert_eq!(whole.finish(Statistic::Mean, gate).unwrap(), [0.0]);
}

#[test]
fn large_numbers_of_both_signs() {
    let x = 1e308;
    // Two directions mirrored at 0°: their sum points to 0 or to the other side.
    let opposite = if f64::to_radians(x % 360.0).cos() > 0.0 { 0.0 } else { 180.0 };
    check(SampleRun::new(&[x, -x]), [0.0, opposite, -x, x, INF, INF, 0.0, REFUSED, REFUSED, 2.0, x, -x, 0.0]);
}

/// Opposite directions but for a hair: the mean vector is 8.7·10⁻¹² long with 10⁻⁹ degrees, and a tenth of it with
/// 10⁻¹⁰, which is below the 10⁻¹² that make a direction.
#[test]
fn directions_that_cancel() {
    for (values, expected) in [
        (&[0.0, 180.0 + 1e-9][..], 270.0),
        (&[0.0, 180.0 + 1e-10], NAN),
        (&[0.0, 180.0], NAN),
        (&[0.0, 120.0, 240.0], NAN),
        (&[350.0, 10.0], 0.0),
        (&[-1e-30], 0.0),
    ] {
        let run = SampleRun::new(values);
        let grid = Grid::new(values.len(), 0).unwrap();
        let states = StateVec::fold(Family::Polar, run.into(), grid).unwrap();
        let gate = Gate::new(values.len() as u64, 1.0).unwrap();
        let found = states.finish(Statistic::MeanPolarDeg, gate).unwrap()[0];
        assert!(
            found.to_bits() == f64::to_bits(expected) || (found.is_nan() && expected.is_nan()),
            "{values:?}: {found}"
        );
        check_sequential(Statistic::MeanPolarDeg, run, grid).unwrap();
        check_split_anywhere(Statistic::MeanPolarDeg, run, &[1], grid).unwrap();
    }
}

/// Sums next to the largest number: what rounding took off must not itself overflow, and the mean must exist.
#[test]
fn sums_at_the_end_of_the_range() {
    let unit = 2.0_f64.powi(971);
    for values in [
        vec![f64::MAX, -1.5 * unit],
        vec![-1.5 * unit, f64::MAX],
        vec![f64::MAX, unit / 4.0, unit / 4.0],
        vec![f64::MAX, unit / 4.0, unit / 4.0, -f64::MAX],
        vec![-f64::MAX, 1.5 * unit, 3.0],
    ] {
        let run = SampleRun::new(&values);
        let grid = Grid::new(values.len(), 0).unwrap();
        for statistic in Statistic::ALL {
            let cuts: Vec<usize> = (0..values.len()).collect();
            check_split_anywhere(statistic, run, &cuts, grid).unwrap();
        }
        for family in [Family::Sums, Family::Moments] {
            let merged = StateVec::fold(family, run.into(), Grid::new(1, 0).unwrap()).unwrap().coarsen(grid);
            assert!(StateVec::decode(family, &merged.encode()).is_ok(), "{family} of {values:?}");
            let mean = merged.finish(Statistic::Mean, Gate::new(1, 0.0).unwrap()).unwrap()[0];
            assert!(mean.is_finite(), "mean of {values:?} is {mean}");
        }
    }
}

#[test]
fn every_case_has_a_value_without_the_gate() {
    for statistic in Statistic::ALL {
        assert_eq!(
            Moments::default().value(statistic).is_some(),
            Family::Moments.answers(statistic),
            "{statistic}"
        );
    }
}
