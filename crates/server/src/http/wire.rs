//! How times and durations are written in JSON and in queries, as clients of Nexus write and read them.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use jiff::SignedDuration;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sheaf_model::{SamplePeriod, Tick};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// A point in time. Written in UTC with no fraction of the second or seven digits of it; the first and the last one, which
/// stand for "unset" and "open", without a zone, as Nexus does. Read in any form of ISO 8601; without a zone it is UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct WireTick(pub(crate) Tick);

impl fmt::Display for WireTick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        let is_open = self.0 == Tick::MIN || self.0 == Tick::MAX;
        f.write_str(if is_open { text.trim_end_matches('Z') } else { &text })
    }
}

impl FromStr for WireTick {
    type Err = String;

    fn from_str(text: &str) -> Result<WireTick, String> {
        // A `+` that was not encoded arrives as a blank.
        let text = match text.rsplit_once(' ') {
            Some((time, offset)) if time.contains('T') && offset.len() == 5 => {
                Cow::Owned(format!("{time}+{offset}"))
            }
            _ => Cow::Borrowed(text),
        };
        text.parse().map(WireTick).map_err(|error: sheaf_model::TickError| error.to_string())
    }
}

/// A duration in ticks of 100 ns. Written as .NET does, `[d.]hh:mm:ss[.fffffff]`, with no digit of a fraction or seven. Read in
/// that form, as Python writes it (`1 day, 2:00:00`), in ISO 8601 (`PT1H`), and as a unit string (`10_min`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct WireDuration(pub(crate) i64);

const SECOND: i64 = Tick::PER_SECOND;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

impl From<SamplePeriod> for WireDuration {
    fn from(period: SamplePeriod) -> WireDuration {
        WireDuration(period.ticks())
    }
}

impl fmt::Display for WireDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ticks = self.0.unsigned_abs();
        let [second, minute, hour, day] = [SECOND, MINUTE, HOUR, DAY].map(i64::unsigned_abs);
        if self.0 < 0 {
            f.write_str("-")?;
        }
        if ticks >= day {
            write!(f, "{}.", ticks / day)?;
        }
        let (hours, minutes, seconds) = (ticks % day / hour, ticks % hour / minute, ticks % minute / second);
        write!(f, "{hours:02}:{minutes:02}:{seconds:02}")?;
        if !ticks.is_multiple_of(second) {
            write!(f, ".{:07}", ticks % second)?;
        }
        Ok(())
    }
}

impl FromStr for WireDuration {
    type Err = String;

    fn from_str(text: &str) -> Result<WireDuration, String> {
        let wrong = || {
            format!(
                "`{}` is no duration like 00:10:00, 1.00:00:00, `1 day, 0:10:00` or PT10M, in whole multiples of 100 ns",
                text.chars().take(64).collect::<String>().escape_debug()
            )
        };
        if text.starts_with(['P', 'p']) || text.starts_with("-P") {
            let duration: SignedDuration = text.parse().map_err(|_| wrong())?;
            let ticks = i128::from(Tick::NANOSECONDS);
            return match duration.as_nanos() {
                nanos if nanos % ticks == 0 => {
                    i64::try_from(nanos / ticks).map(WireDuration).map_err(|_| wrong())
                }
                _ => Err(wrong()),
            };
        }
        if let Ok(period) = text.parse::<SamplePeriod>() {
            return Ok(period.into());
        }
        clock(text).map(WireDuration).ok_or_else(wrong)
    }
}

/// `[-][d.]h:mm[:ss[.fffffff]]` or `[-]d day[s], h:mm:ss[.ffffff]`, in ticks. The sign of .NET is that of the whole, the
/// sign of Python that of the days.
fn clock(text: &str) -> Option<i64> {
    let number = |text: &str| -> Option<i64> {
        let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        is_plain.then(|| text.parse().ok()).flatten()
    };
    let (is_negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (days, time, is_python) = match unsigned.split_once(" day") {
        Some((days, rest)) => {
            (number(days)?, rest.strip_prefix('s').unwrap_or(rest).strip_prefix(", ")?, true)
        }
        None => match unsigned.split_once('.') {
            Some((days, time)) if time.contains(':') => (number(days)?, time, false),
            _ => (0, unsigned, false),
        },
    };
    let (time, fraction) = time.split_once('.').unwrap_or((time, ""));
    let mut parts = time.split(':');
    let (hours, minutes) = (number(parts.next()?)?, number(parts.next()?)?);
    let seconds = parts.next().map_or(Some(0), number)?;
    if parts.next().is_some() || hours > 23 || minutes > 59 || seconds > 59 || fraction.len() > 7 {
        return None;
    }
    let fraction = if fraction.is_empty() {
        if unsigned.ends_with('.') {
            return None;
        }
        0
    } else {
        number(fraction)? * 10_i64.pow(7 - fraction.len() as u32)
    };
    let time = hours * HOUR + minutes * MINUTE + seconds * SECOND + fraction;
    let days = days.checked_mul(DAY)?;
    match (is_negative, is_python) {
        (false, _) => days.checked_add(time),
        (true, true) => Some(time - days),
        (true, false) => days.checked_add(time).map(|ticks| -ticks),
    }
}

/// Serde and OpenAPI of a type that travels as text.
macro_rules! as_text {
    ($type:ty, $name:literal, $pattern:literal, $example:literal) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$type, D::Error> {
                let text = Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(D::Error::custom)
            }
        }

        impl PartialSchema for $type {
            fn schema() -> RefOr<Schema> {
                let object = ObjectBuilder::new()
                    .schema_type(Type::String)
                    .pattern(Some($pattern))
                    .examples([$example]);
                RefOr::T(Schema::Object(object.build()))
            }
        }

        impl ToSchema for $type {
            fn name() -> Cow<'static, str> {
                Cow::Borrowed($name)
            }
        }
    };
}

// Patterns rather than the formats `date-time` and `duration`: those have no times without a zone, and other durations.
as_text!(
    WireTick,
    "DateTime",
    r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,7})?(Z|[+-][0-9]{2}:[0-9]{2})?$",
    "2020-01-01T00:00:00Z"
);
as_text!(
    WireDuration,
    "Duration",
    r"^-?([0-9]+\.)?([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,7})?$",
    "00:10:00"
);

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(text: &str) -> Option<i64> {
        text.parse::<WireDuration>().ok().map(|duration| duration.0)
    }

    #[test]
    fn durations_are_written_as_dot_net_does() {
        for (ticks, text) in [
            (SECOND, "00:00:01"),
            (400_000, "00:00:00.0400000"),
            (DAY, "1.00:00:00"),
            (DAY + 10 * MINUTE + 1, "1.00:10:00.0000001"),
            (0, "00:00:00"),
            (-(DAY + HOUR), "-1.01:00:00"),
        ] {
            assert_eq!(WireDuration(ticks).to_string(), text);
            assert_eq!(text.parse(), Ok(WireDuration(ticks)));
        }
    }

    #[test]
    fn durations_of_all_clients_are_read() {
        assert_eq!(ticks("0.00:10:00.0000000"), Some(10 * MINUTE));
        assert_eq!(ticks("0:10:00"), Some(10 * MINUTE));
        assert_eq!(ticks("1 day, 2:00:00"), Some(DAY + 2 * HOUR));
        assert_eq!(ticks("2 days, 0:00:00.040000"), Some(2 * DAY + 400_000));
        assert_eq!(ticks("-1 day, 23:59:59"), Some(-SECOND));
        assert_eq!(ticks("PT1H"), Some(HOUR));
        assert_eq!(ticks("PT0.0000001S"), Some(1));
        assert_eq!(ticks("10_min"), Some(10 * MINUTE));
        for wrong in [
            "",
            "1",
            ":",
            "1:2:3:4",
            "25:00:00",
            "0:60:00",
            "0:00:00.12345678",
            "PT0.00000001S",
            "0:00:00.",
            "+1:00:00",
            "1 day",
            "99999999999999.00:00:00",
            "P1Y",
            "0:0x:00",
            "１:00:00",
        ] {
            assert_eq!(ticks(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn times_of_all_clients_are_read() {
        let tick = |text: &str| text.parse::<WireTick>().unwrap().0;
        assert_eq!(tick("2020-01-01T00:00:00"), tick("2020-01-01T00:00:00Z"));
        assert_eq!(tick("2020-01-01T02:00:00 02:00"), tick("2020-01-01T00:00:00Z"));
        assert_eq!(WireTick(Tick::MIN).to_string(), "0001-01-01T00:00:00");
        assert_eq!(WireTick(Tick::MAX).to_string(), "9999-12-31T23:59:59.9999999");
        assert_eq!(WireTick(tick("2020-01-01T00:00:00.5")).to_string(), "2020-01-01T00:00:00.5000000Z");
        assert_eq!(tick("9999-12-31T23:59:59.9999999"), Tick::MAX);
    }
}
