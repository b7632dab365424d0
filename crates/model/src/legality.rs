//! What may be asked: which period from which base, which kind of which type, which begin and end.
//!
//! | base → target | 1 s → 1 s | 1 s → 10 min | 10 min → 1 s |
//! |---|---|---|---|
//! | aggregation | ✓ | ✓ | ✗ |
//! | resampling | ✓ | ✓ | ✓ |
//!
//! Any positive period will do, also one that does not divide a day. The longer of the two periods must be a whole
//! number of the shorter ones. Begin and end are multiples of the requested period, counted from the year 1; they need
//! not be multiples of the base. All items of a request share one period.

use std::fmt;

use crate::text::Quoted;
use crate::{CatalogItem, DataType, Kind, RepresentationId, SamplePeriod, Tick, TimeRange};

/// Checks items that are read together, over the same range.
///
/// # Errors
/// The first rule that is broken, with the item that breaks it where it is one.
pub fn check(items: &[CatalogItem<'_>], range: TimeRange) -> Result<(), IllegalRequest> {
    let of_item =
        |item: &CatalogItem<'_>, problem| IllegalRequest { path: Some(item.path().to_string()), problem };
    for item in items {
        check_base(item.representation, item.base.sample_period, item.base.data_type)
            .map_err(|problem| of_item(item, problem))?;
    }
    let Some(first) = items.first() else { return Ok(()) };
    let period = first.representation.period;
    for item in items {
        check_one_period([period, item.representation.period]).map_err(|problem| of_item(item, problem))?;
    }
    check_range(period, range).map_err(|problem| IllegalRequest { path: None, problem })
}

/// Checks that samples of a period and a type can give a representation. An original is found and not made: it needs
/// samples of its own period.
///
/// # Errors
/// Periods that do not fit each other, or a kind that the type does not have.
pub fn check_base(wanted: RepresentationId, base: SamplePeriod, data_type: DataType) -> Result<(), Illegal> {
    let period = wanted.period;
    match wanted.kind {
        Kind::Original if period == base => Ok(()),
        Kind::Original => Err(Illegal::OriginalOfOtherPeriod { period, base }),
        Kind::Spread => Err(Illegal::SpreadOfRegular { base }),
        Kind::Resampled if period.is_multiple_of(base) || base.is_multiple_of(period) => Ok(()),
        Kind::Resampled => Err(Illegal::ResampledNoMultiple { period, base }),
        kind if kind.is_bitwise() && data_type.is_float() => Err(Illegal::BitwiseOnFloat { kind, data_type }),
        kind if period < base => Err(Illegal::FinerThanBase { kind, period, base }),
        kind if !period.is_multiple_of(base) => Err(Illegal::NoMultipleOfBase { kind, period, base }),
        _ => Ok(()),
    }
}

/// Checks that all periods are the same, and says which; `None` if there are none.
///
/// # Errors
/// Two of them differ.
pub fn check_one_period(
    periods: impl IntoIterator<Item = SamplePeriod>,
) -> Result<Option<SamplePeriod>, Illegal> {
    let mut common = None;
    for period in periods {
        let first = *common.get_or_insert(period);
        if first != period {
            return Err(Illegal::PeriodsDiffer { first, other: period });
        }
    }
    Ok(common)
}

/// Checks that a range is one of whole buckets.
///
/// # Errors
/// Begin or end lies inside a bucket.
pub fn check_range(period: SamplePeriod, range: TimeRange) -> Result<(), Illegal> {
    for (what, tick) in [("begin", range.begin()), ("end", range.end())] {
        if !period.divides(tick) {
            return Err(Illegal::InsideBucket { what, tick, period });
        }
    }
    Ok(())
}

/// A request that has no answer, and because of which path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IllegalRequest {
    /// The path, where it is one.
    pub path: Option<String>,
    /// Why.
    pub problem: Illegal,
}

impl fmt::Display for IllegalRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            Some(path) => write!(f, "{}: {}", Quoted(path), self.problem),
            None => self.problem.fmt(f),
        }
    }
}

impl std::error::Error for IllegalRequest {}

/// Why a request has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Illegal {
    /// Begin or end is no multiple of the period.
    #[error("{what} {tick} is not a multiple of {period}, counted from 0001-01-01; nearest: {}", nearest(*tick, *period))]
    InsideBucket {
        /// `begin` or `end`.
        what: &'static str,
        /// What was asked for.
        tick: Tick,
        /// The requested period.
        period: SamplePeriod,
    },
    /// Not all items have the same period.
    #[error("all paths of a request must have the same sample period, but there are {first} and {other}")]
    PeriodsDiffer {
        /// That of the first item.
        first: SamplePeriod,
        /// Another one.
        other: SamplePeriod,
    },
    /// An original where there are samples of another period.
    #[error("the samples are `{base}`, not `{period}`; for another period name a kind, like `{}`", other_kind(*period, *base))]
    OriginalOfOtherPeriod {
        /// The requested period.
        period: SamplePeriod,
        /// What there is.
        base: SamplePeriod,
    },
    /// Aggregation to a shorter period.
    #[error(
        "`{period}_{kind}` can't be computed from {base}: the period must be at least that of the base{}", resampled_instead(*period, *base)
    )]
    FinerThanBase {
        /// What was asked for.
        kind: Kind,
        /// At which period.
        period: SamplePeriod,
        /// What there is.
        base: SamplePeriod,
    },
    /// Aggregation to a period that is no multiple.
    #[error("`{period}_{kind}` can't be computed from {base}: the period must be a multiple of that of the base; nearest: {}", nearest_multiples(*period, *base))]
    NoMultipleOfBase {
        /// What was asked for.
        kind: Kind,
        /// At which period.
        period: SamplePeriod,
        /// What there is.
        base: SamplePeriod,
    },
    /// Resampling between periods of which none is a multiple of the other.
    #[error(
        "`{period}_resampled` can't be computed from {base}: one of the two periods must be a multiple of the other"
    )]
    ResampledNoMultiple {
        /// The requested period.
        period: SamplePeriod,
        /// What there is.
        base: SamplePeriod,
    },
    /// Bits of floating-point numbers.
    #[error("`{kind}` needs an integer data type, but the samples are {data_type}")]
    BitwiseOnFloat {
        /// What was asked for.
        kind: Kind,
        /// What there is.
        data_type: DataType,
    },
    /// Spreading the samples of a regular series.
    #[error("`spread` is for irregular series, but this one has a sample every `{base}`")]
    SpreadOfRegular {
        /// The period of the series.
        base: SamplePeriod,
    },
}

/// A kind that gives `period` from `base`, if there is one.
fn other_kind(period: SamplePeriod, base: SamplePeriod) -> String {
    if period > base { format!("{period}_mean") } else { format!("{period}_resampled") }
}

fn resampled_instead(period: SamplePeriod, base: SamplePeriod) -> String {
    if base.is_multiple_of(period) {
        format!("; to get a finer one use `{period}_resampled`")
    } else {
        String::new()
    }
}

fn nearest(tick: Tick, period: SamplePeriod) -> String {
    match period.ceil(tick) {
        Some(above) => format!("{} and {above}", period.floor(tick)),
        None => period.floor(tick).to_string(),
    }
}

fn nearest_multiples(period: SamplePeriod, base: SamplePeriod) -> String {
    let below = period.ticks() / base.ticks() * base.ticks();
    let multiples = [Some(below), below.checked_add(base.ticks())];
    let multiples = multiples.into_iter().flatten().filter_map(|ticks| SamplePeriod::from_ticks(ticks).ok());
    multiples.map(|period| period.to_string()).collect::<Vec<_>>().join(" and ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Properties, Representation, Resource, ResourceCatalog, ResourcePath};

    fn base(wanted: &str, base: &str) -> Result<(), Illegal> {
        check_base(wanted.parse().unwrap(), base.parse().unwrap(), DataType::Int32)
    }

    fn range(period: &str, begin: &str, end: &str) -> Result<(), Illegal> {
        let range = TimeRange::new(begin.parse().unwrap(), end.parse().unwrap()).unwrap();
        check_range(period.parse().unwrap(), range)
    }

    /// The table of combinations.
    #[test]
    fn combinations() {
        for kind in Kind::ALL.into_iter().filter(|kind| kind.is_aggregation()) {
            assert_eq!(base(&format!("1_s_{kind}"), "1_s"), Ok(()), "{kind}");
            assert_eq!(base(&format!("10_min_{kind}"), "1_s"), Ok(()), "{kind}");
            assert!(
                matches!(base(&format!("1_s_{kind}"), "10_min"), Err(Illegal::FinerThanBase { .. })),
                "{kind}"
            );
        }
        for (wanted, from) in
            [("1_s_resampled", "1_s"), ("10_min_resampled", "1_s"), ("1_s_resampled", "10_min")]
        {
            assert_eq!(base(wanted, from), Ok(()), "{wanted} from {from}");
        }
    }

    #[test]
    fn any_positive_period_will_do() {
        for wanted in ["7_d_mean", "11_min_sum", "2_d_max", "3652059_d_count", "130_ms_median"] {
            assert_eq!(base(wanted, "10_ms"), Ok(()), "{wanted}");
        }
        let message = |wanted: &str, from: &str| base(wanted, from).unwrap_err().to_string();
        assert_eq!(
            message("10_s_mean", "3_s"),
            "`10_s_mean` can't be computed from 3_s: the period must be a multiple of that of the base; nearest: 9_s and 12_s"
        );
        assert_eq!(
            message("10_s_resampled", "3_s"),
            "`10_s_resampled` can't be computed from 3_s: one of the two periods must be a multiple of the other"
        );
    }

    #[test]
    fn an_original_has_its_own_period() {
        assert_eq!(base("60_s", "1_min"), Ok(()));
        let message = |wanted: &str, from: &str| base(wanted, from).unwrap_err().to_string();
        assert_eq!(
            message("1_h", "1_min"),
            "the samples are `1_min`, not `1_h`; for another period name a kind, like `1_h_mean`"
        );
        assert!(message("1_s", "1_min").ends_with("like `1_s_resampled`"));
        assert!(message("1_s_mean", "1_min").ends_with("; to get a finer one use `1_s_resampled`"));
        assert!(message("7_s_mean", "10_s").ends_with("at least that of the base"));
    }

    #[test]
    fn items_are_checked_together() {
        let representations =
            ["1_s", "10_min"].map(|text| Representation::new(DataType::Float64, text.parse().unwrap()));
        let resource = |id: &str, index: usize| {
            let representations = vec![representations[index].clone()];
            Resource::new(id.parse().unwrap(), Properties::default(), representations).unwrap()
        };
        let resources = vec![resource("A", 0), resource("B", 1)];
        let catalog = ResourceCatalog::new("/C".parse().unwrap(), Properties::default(), resources).unwrap();
        let check = |paths: &[&str], begin: &str, end: &str| {
            let paths: Vec<ResourcePath> = paths.iter().map(|path| path.parse().unwrap()).collect();
            let items: Vec<_> = paths.iter().map(|path| catalog.find(path).unwrap()).collect();
            check(&items, TimeRange::new(begin.parse().unwrap(), end.parse().unwrap()).unwrap())
        };
        assert_eq!(check(&["/C/A/1_h_mean", "/C/B/60_min_max"], "2020-01-01", "2020-01-02"), Ok(()));
        assert_eq!(check(&[], "2020-01-01T00:00:00.1", "2020-01-02"), Ok(()));
        // Resampled: begin and end are multiples of the target, not of the base.
        assert_eq!(check(&["/C/B/1_s_resampled"], "2020-01-01T00:00:01", "2020-01-01T00:12:34"), Ok(()));

        let message = |paths: &[&str], end: &str| check(paths, "2020-01-01", end).unwrap_err().to_string();
        assert!(
            message(&["/C/A/1_s_mean", "/C/B/1_s_mean"], "2020-01-02")
                .starts_with("`/C/B/1_s_mean`: `1_s_mean`")
        );
        assert_eq!(
            message(&["/C/A/1_h_mean", "/C/B/1_d_mean"], "2020-01-02"),
            "`/C/B/1_d_mean`: all paths of a request must have the same sample period, but there are 1_h and 1_d"
        );
        assert!(
            message(&["/C/A/1_h_mean"], "2020-01-02T00:30").starts_with("end 2020-01-02T00:30:00Z is not")
        );
    }

    #[test]
    fn bits_and_spreads_have_their_own_rules() {
        let wanted = "1_min_max_bitwise".parse().unwrap();
        let second = "1_s".parse().unwrap();
        for data_type in DataType::ALL {
            let result = check_base(wanted, second, data_type);
            assert_eq!(result.is_err(), data_type.is_float(), "{data_type}");
        }
        assert!(matches!(base("1_h_spread", "1_s"), Err(Illegal::SpreadOfRegular { .. })));
    }

    #[test]
    fn ranges_are_whole_buckets() {
        assert_eq!(range("10_min", "2020-01-01", "2020-02-01"), Ok(()));
        assert_eq!(range("7_d", "2019-12-30", "2020-01-06"), Ok(()));
        assert_eq!(range("130_ms", "2020-01-01T00:00:00.050", "2020-01-02"), Ok(()));
        assert_eq!(range("1_d", "0001-01-01", "0001-01-02"), Ok(()));
        let message = range("10_min", "2020-01-01T00:05", "2020-02-01").unwrap_err().to_string();
        assert_eq!(
            message,
            "begin 2020-01-01T00:05:00Z is not a multiple of 10_min, counted from 0001-01-01; nearest: \
             2020-01-01T00:00:00Z and 2020-01-01T00:10:00Z"
        );
        assert!(matches!(
            range("7_d", "2019-12-30", "2020-01-01"),
            Err(Illegal::InsideBucket { what: "end", .. })
        ));
    }

    #[test]
    fn one_request_has_one_period() {
        let periods = |texts: &[&str]| check_one_period(texts.iter().map(|text| text.parse().unwrap()));
        assert_eq!(periods(&["60_s", "1_min"]), Ok(Some("1_min".parse().unwrap())));
        assert_eq!(periods(&[]), Ok(None));
        assert!(matches!(periods(&["60_s", "1_s"]), Err(Illegal::PeriodsDiffer { .. })));
    }
}
