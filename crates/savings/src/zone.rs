//! Days of a time zone: 23 and 25 hours included.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::{DateTime, Time};
use jiff::tz::{Offset, TimeZone, TimeZoneDatabase};
use sheaf_model::Tick;

/// Ticks in 24 hours.
pub const TICKS_PER_DAY: i64 = 86_400 * Tick::PER_SECOND;

/// Ticks in an hour.
pub const TICKS_PER_HOUR: i64 = 3_600 * Tick::PER_SECOND;

/// A time zone, by which days begin and end (CalTRACK 3.3.3.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone(TimeZone);

impl Zone {
    /// Coordinated universal time, the default.
    pub const UTC: Zone = Zone(TimeZone::UTC);

    /// The zone of an IANA name like `America/Chicago`, by the database that comes with the program.
    ///
    /// # Errors
    /// Nobody knows the name.
    pub fn new(name: &str) -> Result<Zone, UnknownZone> {
        if name == "UTC" {
            return Ok(Zone::UTC);
        }
        let zone = TimeZoneDatabase::bundled().get(name);
        zone.map(Zone).map_err(|_| UnknownZone { name: name.to_owned() })
    }

    /// A zone without summer time, so many seconds east of Greenwich; `None` beyond 26 hours.
    pub fn fixed(offset_s: i32) -> Option<Zone> {
        Offset::from_seconds(offset_s).ok().map(|offset| Zone(offset.to_time_zone()))
    }

    /// A time as people write it: `2016-12-26T06:00Z` and `2016-12-26T00:00-06:00` say all, `2016-12-26` and `2016-12-26T06:00`
    /// are those of this zone. What is there twice when clocks are set back is the first one.
    ///
    /// # Errors
    /// It is no time, or no calendar reaches there.
    pub fn time(&self, text: &str) -> Result<Tick, UnknownTime> {
        let unknown = || UnknownTime { text: text.to_owned() };
        if text.parse::<Timestamp>().is_ok() {
            return text.parse().map_err(|_| unknown());
        }
        let civil: DateTime = text.parse().map_err(|_| unknown())?;
        let timestamp = self.0.to_timestamp(civil).map_err(|_| unknown())?;
        tick(timestamp).ok_or_else(unknown)
    }

    /// The date of a time in this zone, like `2016-12-26`; in UTC where no calendar reaches there.
    pub fn date(&self, time: Tick) -> String {
        match timestamp(time) {
            Some(timestamp) => self.0.to_datetime(timestamp).date().to_string(),
            None => time.to_string().chars().take(10).collect(),
        }
    }

    /// The bounds of days: from the begin of the day that `begin` lies in to the first end of a day that is not before `end`.
    /// Empty if `begin` is not before `end` or no calendar reaches there; else two at least.
    pub fn day_bounds(&self, begin: Tick, end: Tick) -> Vec<Tick> {
        if begin >= end {
            return Vec::new();
        }
        match self.0.to_fixed_offset() {
            Ok(offset) => fixed_day_bounds(i64::from(offset.seconds()) * Tick::PER_SECOND, begin, end),
            Err(_) => self.civil_day_bounds(begin, end).unwrap_or_default(),
        }
    }

    fn civil_day_bounds(&self, begin: Tick, end: Tick) -> Option<Vec<Tick>> {
        let mut date = self.0.to_datetime(timestamp(begin)?).date();
        let mut bounds =
            Vec::with_capacity((end.ticks() - begin.ticks()) as usize / TICKS_PER_DAY as usize + 2);
        loop {
            // Where summer time begins at midnight, the day begins at one.
            let start = self.0.to_timestamp(date.to_datetime(Time::midnight())).ok()?;
            let start = tick(start)?;
            bounds.push(start);
            if start >= end {
                return Some(bounds);
            }
            date = date.tomorrow().ok()?;
        }
    }
}

/// UTC.
impl Default for Zone {
    fn default() -> Zone {
        Zone::UTC
    }
}

/// The name, or the offset from Greenwich.
impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.iana_name(), self.0.to_fixed_offset()) {
            (Some(name), _) => f.write_str(name),
            (None, Ok(offset)) => offset.fmt(f),
            (None, Err(_)) => f.write_str("unknown"),
        }
    }
}

/// No time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no time; write one like 2016-12-26 or 2016-12-26T06:00Z")]
pub struct UnknownTime {
    /// What was given.
    pub text: String,
}

/// No time zone of this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown time zone {name:?}; write an IANA name like `America/Chicago`")]
pub struct UnknownZone {
    /// What was given.
    pub name: String,
}

/// Days between two times: elapsed time, so a day of 23 hours counts 23/24.
pub(crate) fn elapsed_days(begin: Tick, end: Tick) -> f64 {
    (end.ticks() - begin.ticks()) as f64 / TICKS_PER_DAY as f64
}

/// Whole days between two times, towards minus infinity.
pub(crate) const fn whole_days(begin: Tick, end: Tick) -> i64 {
    (end.ticks() - begin.ticks()).div_euclid(TICKS_PER_DAY)
}

fn fixed_day_bounds(offset_ticks: i64, begin: Tick, end: Tick) -> Vec<Tick> {
    let into_day = (begin.ticks() + offset_ticks).rem_euclid(TICKS_PER_DAY);
    let first = begin.ticks() - into_day;
    (0..)
        .map_while(|day| Tick::new(first + day * TICKS_PER_DAY).ok())
        .scan(false, |over, bound| {
            let keep = !*over;
            *over = bound >= end;
            keep.then_some(bound)
        })
        .collect()
}

fn timestamp(tick: Tick) -> Option<Timestamp> {
    let nanoseconds = tick.unix_ticks().rem_euclid(Tick::PER_SECOND) * Tick::NANOSECONDS;
    Timestamp::new(tick.unix_ticks().div_euclid(Tick::PER_SECOND), i32::try_from(nanoseconds).ok()?).ok()
}

fn tick(timestamp: Timestamp) -> Option<Tick> {
    let ticks = timestamp.as_second().checked_mul(Tick::PER_SECOND)?;
    Tick::UNIX_EPOCH.checked_add(ticks + i64::from(timestamp.subsec_nanosecond()) / Tick::NANOSECONDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(zone: &Zone, begin: &str, end: &str) -> Vec<i64> {
        let bounds = zone.day_bounds(begin.parse().unwrap(), end.parse().unwrap());
        bounds.windows(2).map(|pair| (pair[1].ticks() - pair[0].ticks()) / TICKS_PER_HOUR).collect()
    }

    #[test]
    fn days_have_23_and_25_hours() {
        let chicago = Zone::new("America/Chicago").unwrap();
        assert_eq!(hours(&chicago, "2017-03-11T12:00Z", "2017-03-13T05:00Z"), [24, 23]);
        assert_eq!(hours(&chicago, "2017-11-05T05:00Z", "2017-11-05T06:00Z"), [25]);
        // Summer time began at midnight here: the day begins at one o'clock.
        let sao_paulo = Zone::new("America/Sao_Paulo").unwrap();
        assert_eq!(hours(&sao_paulo, "2017-10-14T12:00Z", "2017-10-15T12:00Z"), [24, 23]);
        assert_eq!(hours(&Zone::UTC, "2017-03-11T12:00Z", "2017-03-13T00:00Z"), [24, 24]);
        assert_eq!(Zone::UTC.day_bounds("1500-01-01".parse().unwrap(), "1500-01-01".parse().unwrap()), []);
    }

    #[test]
    fn a_fixed_offset_moves_midnight() {
        let zone = Zone::fixed(-6 * 3600).unwrap();
        let bounds =
            zone.day_bounds("2017-01-01T05:59Z".parse().unwrap(), "2017-01-02T06:00Z".parse().unwrap());
        let expected = ["2016-12-31T06:00Z", "2017-01-01T06:00Z", "2017-01-02T06:00Z"];
        assert_eq!(bounds, expected.map(|text| text.parse::<Tick>().unwrap()));
    }

    #[test]
    fn times_without_an_offset_are_those_of_the_zone() {
        let chicago = Zone::new("America/Chicago").unwrap();
        let time = |text: &str| chicago.time(text).unwrap().to_string();
        assert_eq!(time("2016-12-26"), "2016-12-26T06:00:00Z");
        assert_eq!(time("2016-07-01T12:30"), "2016-07-01T17:30:00Z");
        assert_eq!(time("2016-12-26T00:00Z"), "2016-12-26T00:00:00Z");
        assert_eq!(time("2016-12-26T00:00-08:00"), "2016-12-26T08:00:00Z");
        // Two o'clock in the night when clocks are set back, and when they are set forward.
        assert_eq!(time("2016-11-06T01:30"), "2016-11-06T06:30:00Z");
        assert_eq!(time("2016-03-13T02:30"), "2016-03-13T08:30:00Z");
        assert_eq!(chicago.date("2016-12-26T05:59Z".parse().unwrap()), "2016-12-25");
        for wrong in ["", "yesterday", "2016-02-30", "2016-13-01", "26.12.2016", "2016-12-26T25:00"] {
            assert!(chicago.time(wrong).is_err(), "{wrong}");
        }
        assert_eq!([Zone::UTC, chicago].map(|zone| zone.to_string()), ["UTC", "America/Chicago"]);
    }

    #[test]
    fn a_name_nobody_knows_is_an_error() {
        assert!(Zone::new("America/Springfield").is_err());
    }
}
