//! Half-open ranges of time.

use std::fmt;

use crate::{SamplePeriod, Tick};

/// The time from `begin`, included, to `end`, excluded. Never empty. As both are [`Tick`]s, a range ends before the last
/// 100 ns of the year 9999; so do all slots and buckets that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "RawTimeRange")]
pub struct TimeRange {
    begin: Tick,
    end: Tick,
}

impl TimeRange {
    /// From `begin` to `end`.
    ///
    /// # Errors
    /// `begin` is not before `end`.
    pub fn new(begin: Tick, end: Tick) -> Result<TimeRange, TimeRangeError> {
        if begin < end {
            Ok(TimeRange { begin, end })
        } else {
            Err(TimeRangeError::BeginNotBeforeEnd { begin, end })
        }
    }

    /// The first moment of the range.
    pub const fn begin(self) -> Tick {
        self.begin
    }

    /// The first moment after the range.
    pub const fn end(self) -> Tick {
        self.end
    }

    /// Length in ticks.
    pub const fn ticks(self) -> i64 {
        self.end.ticks() - self.begin.ticks()
    }

    /// How many whole periods fit in.
    pub const fn count(self, period: SamplePeriod) -> u64 {
        (self.ticks() / period.ticks()) as u64
    }

    /// Whether `tick` lies in the range.
    pub fn contains(self, tick: Tick) -> bool {
        self.begin <= tick && tick < self.end
    }

    /// From the earlier begin to the later end.
    pub fn hull(self, other: TimeRange) -> TimeRange {
        TimeRange { begin: self.begin.min(other.begin), end: self.end.max(other.end) }
    }

    /// What the ranges have in common.
    pub fn intersection(self, other: TimeRange) -> Option<TimeRange> {
        TimeRange::new(self.begin.max(other.begin), self.end.min(other.end)).ok()
    }
}

/// `[2020-01-01T00:00:00Z, 2020-01-02T00:00:00Z)`
impl fmt::Display for TimeRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {})", self.begin, self.end)
    }
}

#[derive(serde::Deserialize)]
struct RawTimeRange {
    begin: Tick,
    end: Tick,
}

impl TryFrom<RawTimeRange> for TimeRange {
    type Error = TimeRangeError;

    fn try_from(raw: RawTimeRange) -> Result<TimeRange, TimeRangeError> {
        TimeRange::new(raw.begin, raw.end)
    }
}

/// No range of time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TimeRangeError {
    /// Nothing lies between the two.
    #[error("begin {begin} is not before end {end}")]
    BeginNotBeforeEnd {
        /// The first moment asked for.
        begin: Tick,
        /// The first moment not asked for.
        end: Tick,
    },
    /// The bucket that holds the end is not over by the last tick.
    #[error("the bucket of {period} that ends at or after {end} reaches beyond {}", Tick::MAX)]
    BeyondLastYear {
        /// The end asked for.
        end: Tick,
        /// Length of the bucket.
        period: SamplePeriod,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(begin: &str, end: &str) -> Result<TimeRange, TimeRangeError> {
        TimeRange::new(begin.parse().unwrap(), end.parse().unwrap())
    }

    #[test]
    fn ranges_are_half_open_and_never_empty() {
        let day = range("2020-01-01", "2020-01-02").unwrap();
        assert!(day.contains(day.begin()) && !day.contains(day.end()));
        assert_eq!(day.count("10_min".parse().unwrap()), 144);
        let january = range("2020-01-01", "2020-02-01").unwrap();
        assert_eq!(day.hull(range("2020-01-31", "2020-02-01").unwrap()), january);
        assert_eq!(day.to_string(), "[2020-01-01T00:00:00Z, 2020-01-02T00:00:00Z)");
        assert_eq!(day.intersection(range("2020-01-02", "2020-01-03").unwrap()), None);
        let error = range("2020-01-01", "2020-01-01").unwrap_err();
        assert_eq!(error.to_string(), "begin 2020-01-01T00:00:00Z is not before end 2020-01-01T00:00:00Z");
    }

    #[test]
    fn widening_takes_whole_buckets() {
        let week: SamplePeriod = "7_d".parse().unwrap();
        let wide = week.widen(range("2020-01-01", "2020-01-07").unwrap()).unwrap();
        assert_eq!(wide, range("2019-12-30", "2020-01-13").unwrap());
        assert!(week.widen(range("9999-12-30", "9999-12-31T23:59:59").unwrap()).is_err());
    }

    #[test]
    fn json_is_checked_too() {
        let json = r#"{"begin":"2020-01-02T00:00:00Z","end":"2020-01-01T00:00:00Z"}"#;
        assert!(serde_json::from_str::<TimeRange>(json).unwrap_err().to_string().contains("is not before"));
    }
}
