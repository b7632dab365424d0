//! States that were written before: one file per family and version, `tests/golden/<family>-v<version>.bin`.
//!
//! A file that is once committed is never written again, for it stands for the ones users have. After a change of the
//! layout (which raises [`CODEC_VERSION`]) or for a new family, the new files are made by
//!
//! ```text
//! SHEAF_WRITE_GOLDEN=1 cargo test -p sheaf-kernels --test integration golden
//! ```
//!
//! which writes only those that do not exist. To replace one that was never published, delete it first.

use std::path::PathBuf;

use sheaf_kernels::{CODEC_VERSION, Family, Gate, Grid, SampleRun, StateVec, Statistic, Validity};

/// How many buckets a file holds. The last is that of infinite samples, or of one where there are no such.
const BUCKETS: usize = 5;

/// Relative, as tests run in their package's folder: a target folder can be shared by clones.
fn path(family: Family, version: u8) -> PathBuf {
    PathBuf::from(format!("tests/golden/{family}-v{version}.bin"))
}

/// The samples behind the files: a first bucket with one of four samples, one with a missing sample, one of large
/// numbers, one without any, one of infinities.
const FLOATS: [f64; 17] = [
    1.5,
    -2.25,
    100.0,
    f64::NAN,
    7.0,
    1e200,
    359.0,
    350.0,
    -0.0,
    f64::NAN,
    f64::NAN,
    f64::NAN,
    f64::NAN,
    f64::INFINITY,
    1.0,
    f64::INFINITY,
    5.0,
];

const INTEGERS: [i64; 17] = [3, -2, -3, 99, 7, i64::MIN, i64::MAX, 0, 1, 0, 0, 0, 0, 168, 44, 1, 1];

fn states(family: Family) -> StateVec {
    let grid = Grid::new(4, 3).unwrap();
    match family {
        Family::Bits => {
            let words = [0b1_1110_0001_1111_0111];
            let run = SampleRun::new(&INTEGERS).with_validity(Validity::new(&words, 0)).unwrap();
            StateVec::fold(family, run.into(), grid).unwrap()
        }
        // Times before year 1 and after it, two hours apart in ticks.
        _ => StateVec::fold(
            family,
            SampleRun::new(&FLOATS).at(-500_000_000_000, 72_000_000_000).unwrap().into(),
            grid,
        )
        .unwrap(),
    }
}

/// The numbers in the files, for each statistic of the family.
fn numbers(family: Family) -> Vec<(Statistic, [f64; BUCKETS])> {
    const NAN: f64 = f64::NAN;
    const INF: f64 = f64::INFINITY;
    let count = (Statistic::Count, [1.0, 3.0, 4.0, 0.0, 4.0]);
    let sums = [
        (Statistic::Mean, [1.5, 104.75 / 3.0, 2.5e199, NAN, INF]),
        (Statistic::Sum, [1.5, 104.75, 1e200, NAN, INF]),
        count,
    ];
    match family {
        Family::Sums => sums.to_vec(),
        Family::Moments => [
            &sums[..],
            &[
                (Statistic::Min, [1.5, -2.25, -0.0, NAN, 1.0]),
                (Statistic::Max, [1.5, 100.0, 1e200, NAN, INF]),
                (Statistic::Std, [NAN, 56.5532566112097, INF, NAN, NAN]),
                (Statistic::Rms, [1.5, 57.890881550263735, INF, NAN, INF]),
            ],
        ]
        .concat(),
        Family::Polar => {
            vec![(Statistic::MeanPolarDeg, [1.5, 30.41707590086398, 14.14230803383655, NAN, NAN]), count]
        }
        Family::Bits => vec![
            (Statistic::MinBitwise, [3.0, 4.0, 0.0, NAN, 0.0]),
            (Statistic::MaxBitwise, [3.0, -1.0, -1.0, NAN, 173.0]),
            count,
        ],
        Family::Edges => vec![
            (Statistic::First, [1.5, -2.25, 1e200, NAN, INF]),
            (Statistic::Last, [1.5, 7.0, -0.0, NAN, 5.0]),
            count,
        ],
        Family::Quantiles => vec![(Statistic::Median, [1.5, 7.0, 354.5, NAN, INF]), count],
        _ => panic!("add the numbers of {family} states to this list"),
    }
}

fn check(family: Family, version: u8, bytes: &[u8]) {
    let read = StateVec::decode(family, bytes)
        .unwrap_or_else(|error| panic!("{family} states of version {version}: {error}"));
    for (statistic, expected) in numbers(family) {
        let found = read.finish(statistic, Gate::new(4, 0.0).unwrap()).unwrap();
        assert_eq!(found.len(), BUCKETS);
        for (bucket, (found, expected)) in found.into_iter().zip(expected).enumerate() {
            // Roots and angles may come out a last bit apart on another machine.
            let near = (found - expected).abs() <= 1e-9 * expected.abs();
            let same = found == expected || near || (found.is_nan() && expected.is_nan());
            assert!(same, "{statistic} of bucket {bucket}, version {version}: {found:?}, not {expected:?}");
        }
    }
    if version == CODEC_VERSION {
        assert_eq!(read.encode(), bytes, "{family}: written differently, so the version must be raised");
        assert_eq!(states(family).encode(), bytes, "{family}: the same samples give other states");
    }
}

#[test]
fn states_written_before_are_still_read() {
    for (family, version) in Family::ALL.into_iter().flat_map(|f| (1..=CODEC_VERSION).map(move |v| (f, v))) {
        let path = path(family, version);
        if !path.exists() && version == CODEC_VERSION && std::env::var_os("SHEAF_WRITE_GOLDEN").is_some() {
            std::fs::write(&path, states(family).encode()).unwrap();
        }
        let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        check(family, version, &bytes);
    }
}

#[test]
fn every_statistic_is_in_the_files() {
    for (family, statistic) in Family::ALL.into_iter().flat_map(|f| Statistic::ALL.map(move |s| (f, s))) {
        let listed = numbers(family).iter().any(|(other, _)| *other == statistic);
        assert_eq!(listed, family.answers(statistic), "{statistic} of {family} states");
    }
}
