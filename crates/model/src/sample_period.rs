//! Sample periods and their unit strings.

use std::fmt;
use std::num::NonZeroI64;
use std::str::FromStr;

use crate::text::{Allowed, Quoted, list, serde_as_text};
use crate::{Tick, TimeRange, TimeRangeError};

/// A unit of time in unit strings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TimeUnit {
    /// Nanosecond, `ns`.
    Nanosecond,
    /// Microsecond, `us`.
    Microsecond,
    /// Millisecond, `ms`.
    Millisecond,
    /// Second, `s`.
    Second,
    /// Minute, `min`.
    Minute,
    /// Hour, `h`.
    Hour,
    /// Day of 24 hours, `d`.
    Day,
}

impl TimeUnit {
    /// All units, smallest first.
    pub const ALL: [TimeUnit; 7] = [
        TimeUnit::Nanosecond,
        TimeUnit::Microsecond,
        TimeUnit::Millisecond,
        TimeUnit::Second,
        TimeUnit::Minute,
        TimeUnit::Hour,
        TimeUnit::Day,
    ];

    /// The symbol in unit strings.
    pub const fn symbol(self) -> &'static str {
        match self {
            TimeUnit::Nanosecond => "ns",
            TimeUnit::Microsecond => "us",
            TimeUnit::Millisecond => "ms",
            TimeUnit::Second => "s",
            TimeUnit::Minute => "min",
            TimeUnit::Hour => "h",
            TimeUnit::Day => "d",
        }
    }

    /// Nanoseconds in the unit.
    pub const fn nanoseconds(self) -> i64 {
        match self {
            TimeUnit::Nanosecond => 1,
            TimeUnit::Microsecond => 1_000,
            TimeUnit::Millisecond => 1_000_000,
            TimeUnit::Second => 1_000_000_000,
            TimeUnit::Minute => 60_000_000_000,
            TimeUnit::Hour => 3_600_000_000_000,
            TimeUnit::Day => 86_400_000_000_000,
        }
    }
}

/// The distance between two samples: a positive multiple of 100 ns.
///
/// Written as a unit string, `10_ms`, `1_s`, `10_min`, `7_d`. Any spelling of a length is read, the canonical one is
/// written: the largest unit that divides it. `600_s` is `10_min`, `36_h` stays `36_h`.
///
/// ```
/// use sheaf_model::SamplePeriod;
///
/// let period: SamplePeriod = "600_s".parse()?;
/// assert_eq!(period.to_string(), "10_min");
/// assert_eq!(period.ticks(), 6_000_000_000);
/// # Ok::<(), sheaf_model::PeriodError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SamplePeriod(NonZeroI64);

impl SamplePeriod {
    /// The longest period: all of the time there is, years 1 to 9999.
    pub const LONGEST_TICKS: i64 = Tick::MAX.ticks() + 1;

    /// A period of so many ticks of 100 ns.
    ///
    /// # Errors
    /// Zero, negative, or longer than the time from year 1 to 9999.
    pub fn from_ticks(ticks: i64) -> Result<SamplePeriod, PeriodError> {
        match NonZeroI64::new(ticks) {
            Some(nonzero) if ticks > 0 && ticks <= SamplePeriod::LONGEST_TICKS => Ok(SamplePeriod(nonzero)),
            Some(_) if ticks > 0 => Err(PeriodError::TooLong { text: format!("{ticks} ticks") }),
            _ => Err(PeriodError::NotPositive { text: format!("{ticks} ticks") }),
        }
    }

    /// A period of so many of a unit.
    ///
    /// # Errors
    /// Zero, not a multiple of 100 ns, or too long.
    pub fn new(count: u128, unit: TimeUnit) -> Result<SamplePeriod, PeriodError> {
        let text = || format!("{count}_{}", unit.symbol());
        let nanoseconds = count.checked_mul(unit.nanoseconds().unsigned_abs().into());
        let nanoseconds = nanoseconds.ok_or_else(|| PeriodError::TooLong { text: text() })?;
        if nanoseconds == 0 {
            return Err(PeriodError::NotPositive { text: text() });
        }
        if !nanoseconds.is_multiple_of(Tick::NANOSECONDS.unsigned_abs().into()) {
            return Err(PeriodError::NotWholeTicks { text: text() });
        }
        let ticks = i64::try_from(nanoseconds / u128::from(Tick::NANOSECONDS.unsigned_abs()));
        match ticks.map(SamplePeriod::from_ticks) {
            Ok(Ok(period)) => Ok(period),
            _ => Err(PeriodError::TooLong { text: text() }),
        }
    }

    /// Reads a period as people write it: `10 min`, `10min`, `10_MIN`, blanks around it.
    ///
    /// # Errors
    /// As for a unit string.
    pub fn parse_lenient(text: &str) -> Result<SamplePeriod, PeriodError> {
        let text = text.trim();
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let unit = text[digits..].trim_start_matches([' ', '_']).to_lowercase();
        format!("{}_{unit}", &text[..digits]).parse().map_err(|error| match error {
            PeriodError::Shape { .. } => PeriodError::Shape { text: text.to_owned() },
            other => other,
        })
    }

    /// Ticks of 100 ns, always positive.
    pub const fn ticks(self) -> i64 {
        self.0.get()
    }

    /// Whether this is a whole number of `other` periods.
    pub const fn is_multiple_of(self, other: SamplePeriod) -> bool {
        self.ticks() % other.ticks() == 0
    }

    /// Whether a bucket of this length begins at `tick`: whether it is a multiple of the period, counted from tick 0.
    pub const fn divides(self, tick: Tick) -> bool {
        tick.ticks() % self.ticks() == 0
    }

    /// The start of the bucket that `tick` lies in: the one place where time is rounded down.
    pub fn floor(self, tick: Tick) -> Tick {
        // Ticks are never negative, so truncation is rounding down, and the result is not below tick 0.
        tick.checked_add(-(tick.ticks() % self.ticks())).unwrap_or(Tick::MIN)
    }

    /// The first bucket start that is not before `tick`; `None` where it would lie beyond the year 9999.
    pub fn ceil(self, tick: Tick) -> Option<Tick> {
        let floor = self.floor(tick);
        if floor == tick { Some(tick) } else { floor.checked_add(self.ticks()) }
    }

    /// `range` widened to whole buckets.
    ///
    /// # Errors
    /// The last bucket ends beyond the year 9999.
    pub fn widen(self, range: TimeRange) -> Result<TimeRange, TimeRangeError> {
        let beyond = TimeRangeError::BeyondLastYear { end: range.end(), period: self };
        TimeRange::new(self.floor(range.begin()), self.ceil(range.end()).ok_or(beyond)?)
    }

    /// The canonical form: count and largest unit that divides it.
    fn canonical(self) -> (i128, TimeUnit) {
        let nanoseconds = i128::from(self.ticks()) * i128::from(Tick::NANOSECONDS);
        // Each unit is a multiple of the one before, so the largest that divides is the one that going up stops at.
        let unit =
            TimeUnit::ALL.into_iter().rev().find(|unit| nanoseconds % i128::from(unit.nanoseconds()) == 0);
        let unit = unit.unwrap_or(TimeUnit::Nanosecond);
        (nanoseconds / i128::from(unit.nanoseconds()), unit)
    }
}

/// The canonical unit string.
impl fmt::Display for SamplePeriod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, unit) = self.canonical();
        write!(f, "{count}_{}", unit.symbol())
    }
}

/// Digits, `_`, a unit.
impl FromStr for SamplePeriod {
    type Err = PeriodError;

    fn from_str(text: &str) -> Result<SamplePeriod, PeriodError> {
        let shape = || PeriodError::Shape { text: text.to_owned() };
        let (digits, symbol) = text.split_once('_').ok_or_else(shape)?;
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) || symbol.is_empty() {
            return Err(shape());
        }
        let unit = TimeUnit::ALL
            .into_iter()
            .find(|unit| unit.symbol() == symbol)
            .ok_or_else(|| PeriodError::UnknownUnit { unit: symbol.to_owned() })?;
        let count = digits.parse().map_err(|_| PeriodError::TooLong { text: text.to_owned() })?;
        SamplePeriod::new(count, unit)
    }
}

serde_as_text!(SamplePeriod);

/// No sample period.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PeriodError {
    /// Not a number, an underscore and a unit.
    #[error(
        "{} is no sample period: it must be a number, `_` and a unit ({}), like `10_min`",
        Quoted(text),
        units()
    )]
    Shape {
        /// What was given.
        text: String,
    },
    /// A unit that there is not.
    #[error("unknown unit {}{}", Quoted(unit), Allowed { suggestion: suggest_unit(unit), allowed: units() })]
    UnknownUnit {
        /// What was given.
        unit: String,
    },
    /// Zero or less.
    #[error("a sample period of {} is not positive; the shortest is `100_ns`", Quoted(text))]
    NotPositive {
        /// What was given.
        text: String,
    },
    /// A fraction of a tick.
    #[error("a sample period of {} is not a multiple of 100 ns", Quoted(text))]
    NotWholeTicks {
        /// What was given.
        text: String,
    },
    /// Longer than all of time.
    #[error(
        "a sample period of {} is too long; the longest is `3652059_d`, from year 1 to year 9999",
        Quoted(text)
    )]
    TooLong {
        /// What was given.
        text: String,
    },
}

fn units() -> String {
    list(TimeUnit::ALL.map(TimeUnit::symbol))
}

fn suggest_unit(unit: &str) -> Option<&'static str> {
    // Units are too short for slips: what helps are the other names they go by.
    match unit.to_lowercase().as_str() {
        _ if unit == "M" => None,
        "sec" | "secs" | "second" | "seconds" => Some("s"),
        "m" | "mn" | "mins" | "minute" | "minutes" => Some("min"),
        "hr" | "hrs" | "hour" | "hours" => Some("h"),
        "day" | "days" => Some("d"),
        "µs" | "μs" => Some("us"),
        other => TimeUnit::ALL.map(TimeUnit::symbol).into_iter().find(|symbol| *symbol == other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn period(text: &str) -> SamplePeriod {
        text.parse().unwrap()
    }

    /// Reference 1.8, "to unit string / from unit string".
    #[test]
    fn canonical_forms_of_the_reference() {
        for (ticks, text) in [
            (1, "100_ns"),
            (2, "200_ns"),
            (15, "1500_ns"),
            (10, "1_us"),
            (100, "10_us"),
            (1_000, "100_us"),
            (15_000, "1500_us"),
            (10_000, "1_ms"),
            (100_000, "10_ms"),
            (1_000_000, "100_ms"),
            (15_000_000, "1500_ms"),
            (10_000_000, "1_s"),
            (150_000_000, "15_s"),
            (600_000_000, "1_min"),
            (9_000_000_000, "15_min"),
        ] {
            assert_eq!(SamplePeriod::from_ticks(ticks).unwrap().to_string(), text);
            assert_eq!(period(text).ticks(), ticks);
        }
    }

    /// Reference 1.3, "canonicalisation matters".
    #[test]
    fn every_spelling_of_a_length_is_the_same() {
        for (text, canonical) in [
            ("60_s", "1_min"),
            ("1000_ms", "1_s"),
            ("24_h", "1_d"),
            ("1440_min", "1_d"),
            ("48_h", "2_d"),
            ("36_h", "36_h"),
            ("90_s", "90_s"),
            ("1500_ms", "1500_ms"),
            ("01_s", "1_s"),
            ("60_min", "1_h"),
            ("7_d", "7_d"),
            ("11_min", "11_min"),
        ] {
            assert_eq!(period(text).to_string(), canonical, "{text}");
        }
    }

    /// Reference 1.3, "parsing (UI only)".
    #[test]
    fn people_write_periods_in_many_ways() {
        for text in ["10 min", "10min", "10_MIN", "  10 __ Min ", "10_min"] {
            assert_eq!(SamplePeriod::parse_lenient(text), Ok(period("10_min")), "{text}");
        }
        for text in ["", "min", "10", "10 x", "-1 s", "1.5 s"] {
            assert!(SamplePeriod::parse_lenient(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_no_period_is_refused() {
        for text in
            ["", "1", "1s", "_s", "1_", "1 s", "-1_s", "+1_s", "1.5_s", "1_s\n", "٣_s", "1_s_", " 1_s"]
        {
            assert!(text.parse::<SamplePeriod>().is_err(), "{text:?}");
        }
        assert_eq!(
            "150_ns".parse::<SamplePeriod>(),
            Err(PeriodError::NotWholeTicks { text: "150_ns".to_owned() })
        );
        assert_eq!("0_s".parse::<SamplePeriod>(), Err(PeriodError::NotPositive { text: "0_s".to_owned() }));
        for text in ["99999999999999999999_s", "9223372036854775807_d", "3652060_d"] {
            assert!(matches!(text.parse::<SamplePeriod>(), Err(PeriodError::TooLong { .. })), "{text}");
        }
        assert_eq!(period("3652059_d").ticks(), SamplePeriod::LONGEST_TICKS);
        assert!(SamplePeriod::from_ticks(-1).is_err());
        assert!(SamplePeriod::from_ticks(i64::MAX).is_err());
    }

    #[test]
    fn an_unknown_unit_is_explained() {
        let message = |text: &str| text.parse::<SamplePeriod>().unwrap_err().to_string();
        assert_eq!(message("1_S"), "unknown unit `S`, did you mean `s`? allowed: ns, us, ms, s, min, h, d");
        assert_eq!(
            message("1_mins"),
            "unknown unit `mins`, did you mean `min`? allowed: ns, us, ms, s, min, h, d"
        );
        for text in ["1_w", "1_M", "1_y", "1_x", "1_hs"] {
            assert!(!message(text).contains("did you mean"), "{text}");
        }
        assert_eq!(message("1_month"), "unknown unit `month`; allowed: ns, us, ms, s, min, h, d");
    }

    #[test]
    fn weeks_start_on_monday() {
        let wednesday: Tick = "2020-01-01T12:00:00Z".parse().unwrap();
        assert_eq!(period("7_d").floor(wednesday).to_string(), "2019-12-30T00:00:00Z");
        assert_eq!(period("7_d").ceil(wednesday).unwrap().to_string(), "2020-01-06T00:00:00Z");
    }

    /// Reference 2.1: 130 ms does not divide a day, and buckets count from year 1.
    #[test]
    fn buckets_count_from_year_one() {
        let tick = |text: &str| text.parse::<Tick>().unwrap();
        let period = period("130_ms");
        assert!(!period.divides(tick("2020-01-01T00:00:00.000")));
        assert_eq!(period.floor(tick("2020-01-01")).to_string(), "2019-12-31T23:59:59.9200000Z");
        assert!(period.divides(tick("2020-01-01T00:00:00.050")));
        assert!(period.divides(tick("2020-01-02T00:00")));
    }

    #[test]
    fn rounding_at_the_ends_of_time() {
        let day = period("1_d");
        assert_eq!(day.floor(Tick::MIN), Tick::MIN);
        assert_eq!(day.ceil(Tick::MIN), Some(Tick::MIN));
        assert_eq!(day.ceil(Tick::MAX), None);
        assert_eq!(period("100_ns").ceil(Tick::MAX), Some(Tick::MAX));
        let before_1970 = "1969-12-31T23:59:59Z".parse().unwrap();
        assert_eq!(day.floor(before_1970).to_string(), "1969-12-31T00:00:00Z");
    }
}
