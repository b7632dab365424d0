//! Buckets for a screen: the finest period at which a range has no more than so many values.
//!
//! The period is one that people count in, and a multiple of the samples'. Each bucket is shown by how many samples it has,
//! their mean, the smallest and the largest: whoever draws the band between the latter two loses no spike.

use sheaf_model::{Kind, RepresentationId, ResourcePath, SamplePeriod, Threshold, Tick, TimeRange};

/// What is shown of a bucket.
pub(crate) const KINDS: [Kind; 4] = [Kind::Count, Kind::Mean, Kind::Min, Kind::Max];

const MICROSECOND: i64 = 10;
const SECOND: i64 = Tick::PER_SECOND;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// How many of a unit a bucket may be.
const OF_DECIMALS: [i64; 9] = [1, 2, 5, 10, 20, 50, 100, 200, 500];
const OF_SIXTY: [i64; 7] = [1, 2, 5, 10, 15, 20, 30];
const OF_DAY: [i64; 7] = [1, 2, 3, 4, 6, 8, 12];

/// Of longer ones, days. Weeks begin on Monday.
const DAYS: [i64; 10] = [1, 2, 7, 14, 28, 56, 112, 224, 448, 896];

/// A period that people count in is taken unless it is so many times longer than need be.
const FARTHEST: i64 = 3;

/// All periods that buckets may have, the shortest first.
fn periods() -> impl Iterator<Item = i64> {
    let of = |unit: i64, counts: &'static [i64]| counts.iter().map(move |count| count * unit);
    let decimals = [MICROSECOND, 1000 * MICROSECOND].into_iter().flat_map(move |unit| of(unit, &OF_DECIMALS));
    let clock = of(SECOND, &OF_SIXTY).chain(of(MINUTE, &OF_SIXTY)).chain(of(HOUR, &OF_DAY));
    decimals.chain(clock).chain(of(DAY, &DAYS))
}

/// The finest period at which a range, widened to whole buckets, has no more than `most` of them, and that all of these
/// periods divide; with the range. `None` if there is no such period.
pub(crate) fn fit(range: TimeRange, bases: &[SamplePeriod], most: u64) -> Option<(SamplePeriod, TimeRange)> {
    let fits = |ticks: i64| {
        let period = SamplePeriod::from_ticks(ticks).ok()?;
        if !bases.iter().all(|&base| period.is_multiple_of(base)) {
            return None;
        }
        let widened = period.widen(range).ok()?;
        (widened.count(period) <= most).then_some((period, widened))
    };
    // Of odd periods, multiples that are as round as can be.
    let common = bases.iter().try_fold(1_i64, |common, base| least_common_multiple(common, base.ticks()))?;
    let tens = std::iter::successors(Some(1_i64), |ten| ten.checked_mul(10));
    let multiples = tens.flat_map(|ten| [1, 2, 5].map(|count| ten.checked_mul(count)));
    let multiples = multiples.map_while(move |count| common.checked_mul(count?));
    match (periods().find_map(fits), multiples.into_iter().find_map(fits)) {
        (Some(found), Some(odd)) if odd.0.ticks() < found.0.ticks() / FARTHEST => Some(odd),
        (found, odd) => found.or(odd),
    }
}

fn least_common_multiple(a: i64, b: i64) -> Option<i64> {
    let (mut divisor, mut rest) = (a, b);
    while rest != 0 {
        (divisor, rest) = (rest, divisor % rest);
    }
    (a / divisor).checked_mul(b)
}

/// The paths of what is shown of the buckets of a series, in the order of [`KINDS`]. A bucket is shown once it has any sample,
/// unless a threshold says otherwise.
pub(crate) fn paths(
    path: &ResourcePath,
    base: SamplePeriod,
    period: SamplePeriod,
    threshold: Option<Threshold>,
) -> impl Iterator<Item = ResourcePath> {
    let threshold = path.threshold().or(threshold).or(Threshold::new(0.0));
    let (catalog, resource, arguments) =
        (path.catalog().clone(), path.resource().clone(), path.arguments().clone());
    KINDS.into_iter().map(move |kind| {
        let representation = RepresentationId { period, kind };
        let path = ResourcePath::new(catalog.clone(), resource.clone(), representation);
        let path = path.with_base(base).with_arguments(arguments.clone());
        threshold.map_or(path.clone(), |threshold| path.with_threshold(threshold))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fitted(begin: &str, end: &str, bases: &[&str], most: u64) -> Option<(String, u64)> {
        let range = TimeRange::new(begin.parse().unwrap(), end.parse().unwrap()).unwrap();
        let bases: Vec<SamplePeriod> = bases.iter().map(|base| base.parse().unwrap()).collect();
        let (period, widened) = fit(range, &bases, most)?;
        assert!(widened.begin() <= range.begin() && range.end() <= widened.end());
        Some((period.to_string(), widened.count(period)))
    }

    #[test]
    fn the_finest_period_that_fits() {
        let day = |bases: &[&str], most| fitted("2020-01-01", "2020-01-02", bases, most).unwrap();
        assert_eq!(day(&["1_s"], 86_400), ("1_s".to_owned(), 86_400));
        assert_eq!(day(&["1_s"], 86_399), ("2_s".to_owned(), 43_200));
        assert_eq!(day(&["10_ms"], 1000), ("2_min".to_owned(), 720));
        assert_eq!(day(&["1_min", "1_s"], 100_000), ("1_min".to_owned(), 1440));
        assert_eq!(day(&["1_s"], 1), ("1_d".to_owned(), 1));
        // Nothing that people count in is a multiple of these.
        assert_eq!(day(&["7_s"], 1000), ("140_s".to_owned(), 618));
        assert_eq!(day(&["4_s", "6_s"], 5000), ("1_min".to_owned(), 1440));
        assert_eq!(
            fitted("2020-01-01T00:00:00.3", "2020-01-01T00:00:01", &["100_ms"], 5).unwrap().0,
            "200_ms"
        );
    }

    #[test]
    fn a_range_is_widened_before_it_is_counted() {
        // 10:30 to 11:30 touches two hours.
        assert_eq!(
            fitted("2020-01-01T10:30", "2020-01-01T11:30", &["1_min"], 1).unwrap(),
            ("2_h".to_owned(), 1)
        );
        let years = fitted("2020-01-01", "2024-01-01", &["1_s"], 500).unwrap();
        assert_eq!(years, ("7_d".to_owned(), 209));
        assert!(fitted("0001-01-01", "9999-12-31", &["1_s"], 1).is_none());
    }

    #[test]
    fn periods_grow() {
        assert!(periods().is_sorted());
    }
}
