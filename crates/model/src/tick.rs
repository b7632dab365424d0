//! Points in time.

use std::fmt;
use std::str::FromStr;

use jiff::SignedDuration;
use jiff::civil::{DateTime, date};
use jiff::fmt::temporal::Pieces;

use crate::text::{Quoted, serde_as_text};

/// A point in time: a count of 100 ns since 0001-01-01T00:00:00Z, in the proleptic Gregorian calendar, without leap
/// seconds.
///
/// The range is that of the calendar years 1 to 9999, the one in which such times can be written down and that Nexus
/// has too. Tick 0 is a Monday; every bucket is aligned to it.
///
/// ```
/// use sheaf_model::Tick;
///
/// let tick: Tick = "2020-01-01T00:00:00.5Z".parse()?;
/// assert_eq!(tick.ticks(), 637_134_336_005_000_000);
/// assert_eq!(tick.to_string(), "2020-01-01T00:00:00.5000000Z");
/// assert_eq!("2020-01-01T01:00:00.5+01:00".parse::<Tick>()?, tick);
/// # Ok::<(), sheaf_model::TickError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tick(i64);

impl Tick {
    /// Nanoseconds in a tick.
    pub const NANOSECONDS: i64 = 100;
    /// Ticks in a second.
    pub const PER_SECOND: i64 = 10_000_000;
    /// 0001-01-01T00:00:00Z.
    pub const MIN: Tick = Tick(0);
    /// 9999-12-31T23:59:59.9999999Z.
    pub const MAX: Tick = Tick(3_155_378_975_999_999_999);
    /// 1970-01-01T00:00:00Z.
    pub const UNIX_EPOCH: Tick = Tick(621_355_968_000_000_000);

    /// The tick with this number.
    ///
    /// # Errors
    /// Before the year 1 or after the year 9999.
    pub fn new(ticks: i64) -> Result<Tick, TickError> {
        let tick = Tick(ticks);
        if (Tick::MIN..=Tick::MAX).contains(&tick) { Ok(tick) } else { Err(TickError::OutOfRange { ticks }) }
    }

    /// Ticks since 0001-01-01T00:00:00Z, never negative.
    pub const fn ticks(self) -> i64 {
        self.0
    }

    /// Ticks since 1970-01-01T00:00:00Z; negative before.
    pub const fn unix_ticks(self) -> i64 {
        self.0 - Tick::UNIX_EPOCH.0
    }

    /// The time so many ticks later (or earlier, if negative); `None` beyond the range.
    pub fn checked_add(self, ticks: i64) -> Option<Tick> {
        Tick::new(self.0.checked_add(ticks)?).ok()
    }

    fn civil(self) -> Option<DateTime> {
        let since_epoch = self.unix_ticks();
        let nanoseconds = (since_epoch % Tick::PER_SECOND * Tick::NANOSECONDS) as i32;
        unix_epoch().checked_add(SignedDuration::new(since_epoch / Tick::PER_SECOND, nanoseconds)).ok()
    }
}

/// The longest text that is read as a time, in bytes.
const LONGEST_TEXT: usize = 64;

/// The largest offset from UTC that ISO 8601 implementations agree on, in seconds.
const LARGEST_OFFSET_S: i32 = 18 * 3600;

fn unix_epoch() -> DateTime {
    date(1970, 1, 1).at(0, 0, 0, 0)
}

/// ISO 8601 in UTC, with no fraction of the second or all seven digits of it: `2020-01-01T00:00:00.5000000Z`. Other
/// numbers of digits are misread by some clients, six of them in silence.
impl fmt::Display for Tick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.civil() {
            Some(civil) if self.0 % Tick::PER_SECOND == 0 => write!(f, "{civil}Z"),
            Some(civil) => write!(f, "{civil:.7}Z"),
            // A tick lies in the years 1 to 9999, and so does its civil time.
            None => Err(fmt::Error),
        }
    }
}

/// ISO 8601 (RFC 3339 and its short forms): a date, or a date and a time with `Z`, an offset, or neither, which is UTC.
impl FromStr for Tick {
    type Err = TickError;

    fn from_str(text: &str) -> Result<Tick, TickError> {
        let invalid = |reason: &str| TickError::Invalid { text: text.to_owned(), reason: reason.to_owned() };
        if text.len() > LONGEST_TEXT {
            return Err(invalid("it is too long"));
        }
        if text.contains('[') {
            return Err(invalid(
                "brackets are not allowed; write the offset of the time zone, like `+01:00`",
            ));
        }
        let pieces = Pieces::parse(text).map_err(|_| {
            let plus = text
                .rsplit_once(' ')
                .is_some_and(|(time, offset)| time.contains('T') && offset.contains(':'));
            invalid(if plus {
                "the blank should probably be a `+`, which a URL writes as `%2B`"
            } else {
                "write year-month-day, then `T` and hour:minute:second, then `Z` or an offset like `+01:00`"
            })
        })?;
        // A second 60 is read as 59 by the parser; a wrong time is worse than none.
        let time_text = text.split_once(['T', 't', ' ']).map_or("", |(_, time)| time);
        if has_second_60(time_text) {
            return Err(invalid("leap seconds can't be represented"));
        }
        // So is an offset with a fraction of a second.
        if time_text.rsplit_once(['+', '-']).is_some_and(|(_, offset)| offset.contains(['.', ','])) {
            return Err(invalid("an offset has hours and minutes"));
        }
        let time = pieces.time().unwrap_or_default();
        if time.subsec_nanosecond() % Tick::NANOSECONDS as i32 != 0 {
            return Err(invalid("times are multiples of 100 ns, so the second has at most 7 digits"));
        }
        let offset = pieces.to_numeric_offset().map_or(0, jiff::tz::Offset::seconds);
        if offset % 60 != 0 || offset.abs() > LARGEST_OFFSET_S {
            return Err(invalid("an offset has hours and minutes, at most 18:00"));
        }
        let since_epoch = pieces.date().to_datetime(time).duration_since(unix_epoch());
        // Years of four digits: all of this is far from the limits of an i64.
        let ticks = (since_epoch.as_secs() - i64::from(offset)) * Tick::PER_SECOND
            + i64::from(since_epoch.subsec_nanos()) / Tick::NANOSECONDS;
        let range = || invalid("times range from 0001-01-01T00:00:00Z to 9999-12-31T23:59:59.9999999Z");
        Tick::UNIX_EPOCH.checked_add(ticks).ok_or_else(range)
    }
}

/// Whether the third group of two digits of a time (`T12:34:60`, `T123460`) is 60.
fn has_second_60(time: &str) -> bool {
    let digits: Vec<u8> = time.bytes().filter(u8::is_ascii_digit).take(6).collect();
    digits.len() == 6 && &digits[4..] == b"60"
}

serde_as_text!(Tick);

/// No point in time that can be represented.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TickError {
    /// Before the year 1 or after the year 9999.
    #[error("tick {ticks} is out of range: times range from {} (tick 0) to {} (tick {})", Tick::MIN, Tick::MAX, Tick::MAX.ticks())]
    OutOfRange {
        /// What was given.
        ticks: i64,
    },
    /// No time in ISO 8601.
    #[error("{} is no time like `2020-01-31T12:00:00Z`: {reason}", Quoted(text))]
    Invalid {
        /// What was given.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Tick {
        text.parse().unwrap()
    }

    #[test]
    fn known_ticks() {
        assert_eq!(parse("0001-01-01"), Tick::MIN);
        assert_eq!(parse("1970-01-01T00:00:00Z"), Tick::UNIX_EPOCH);
        assert_eq!(parse("9999-12-31T23:59:59.9999999Z"), Tick::MAX);
        assert_eq!(parse("1969-12-31T23:59:59.9999999").unix_ticks(), -1);
        assert_eq!(parse("2020-01-01 00:00+05:30"), parse("2019-12-31T18:30:00Z"));
        assert_eq!(Tick::MAX.to_string(), "9999-12-31T23:59:59.9999999Z");
        assert_eq!(Tick::MIN.to_string(), "0001-01-01T00:00:00Z");
        // Year 4 is the first leap year.
        assert_eq!(parse("0004-02-29").ticks() % (86_400 * Tick::PER_SECOND), 0);
    }

    /// Reference 7.4: no fraction, three digits or seven.
    #[test]
    fn clients_can_read_what_is_written() {
        for (ticks, text) in [(0, ""), (1, ".0000001"), (1_234_560, ".1234560"), (5_000_000, ".5000000")] {
            let tick = Tick::UNIX_EPOCH.checked_add(ticks).unwrap();
            assert_eq!(tick.to_string(), format!("1970-01-01T00:00:00{text}Z"));
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "now",
            "2020",
            "2020-02-30",
            "2020-01-01T24:00:00Z",
            "2020-01-01T25:00",
            "2020-06-30T23:59:60Z",
            "2020-06-30T235960Z",
            "20200630T235960Z",
            "+002020-06-30 23:59:60",
            "2020-01-01T00:00:00.12345678Z",
            "2020-01-01T00:00[Europe/Berlin]",
            "0001-01-01T00:00:00+01:00",
            "-0001-01-01",
            "9999-12-31T23:59:59-00:01",
            "2020-01-01T00:00:00Z\n",
            "2021-02-29",
            "12020-01-01",
            "2020-13-01",
            "2020-01-01T00:00:00Zjunk",
            "2020-01-01T00:00:00+01:00:30.5",
            "2020-01-01T00:00:00+01:00:30",
            "2020-01-01T00:00:00+25:59",
            "2020-01-01[u-ca=hebrew]",
            "2020-01-01T00:00:00 01:00",
            "1577836800",
            "2020-001",
        ] {
            let error = text.parse::<Tick>().unwrap_err();
            assert!(matches!(error, TickError::Invalid { .. }), "{text}: {error}");
        }
        let long = format!("2020-01-01T00:00:00Z{}", "x".repeat(1 << 20)).parse::<Tick>().unwrap_err();
        assert!(long.to_string().len() < 1000);
        let plus = "2020-01-01T00:00:00 01:00".parse::<Tick>().unwrap_err().to_string();
        assert!(plus.ends_with("the blank should probably be a `+`, which a URL writes as `%2B`"), "{plus}");
        assert!(Tick::new(-1).is_err());
        assert!(Tick::new(Tick::MAX.ticks() + 1).is_err());
        assert_eq!(Tick::MAX.checked_add(1), None);
        assert_eq!(Tick::MIN.checked_add(i64::MIN), None);
    }
}
