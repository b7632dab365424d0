//! From wall time to points in time.

use jiff::Timestamp;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use sheaf_model::Tick;

use crate::error::{Shown, SourceError, TimeProblem};

/// A point in time, or two of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Instant {
    At(i64),
    /// The clocks were set back: the wall time occurred twice.
    Fold {
        earlier: i64,
        later: i64,
    },
}

/// A time zone, with the rules of the moment at hand.
#[derive(Clone, Debug)]
pub(crate) struct Zone {
    name: String,
    /// None where the offset never changes.
    rules: Option<TimeZone>,
    /// The offset of all wall times from `from` to before `until`, each of which occurs once.
    offset_ticks: i64,
    from: i64,
    until: i64,
}

impl Zone {
    /// The zone of this name, or this offset; UTC if there is none.
    pub(crate) fn new(name: Option<&str>) -> Result<Zone, SourceError> {
        let fixed = |name: &str, seconds: i32| Zone {
            name: name.to_owned(),
            rules: None,
            offset_ticks: i64::from(seconds) * Tick::PER_SECOND,
            from: i64::MIN,
            until: i64::MAX,
        };
        let Some(name) = name else { return Ok(fixed("UTC", 0)) };
        if name.eq_ignore_ascii_case("utc") || name.eq_ignore_ascii_case("z") {
            return Ok(fixed("UTC", 0));
        }
        if let Some(seconds) = parse_offset(name.as_bytes()) {
            return Ok(fixed(name, seconds));
        }
        let rules = TimeZone::get(name).map_err(|_| SourceError::Option {
            option: "time_zone",
            problem: format!(
                "unknown time zone {}; write `UTC`, `+01:00` or a name like `Europe/Berlin`",
                Shown(name)
            ),
        })?;
        let name = rules.iana_name().unwrap_or(name).to_owned();
        Ok(Zone { name, rules: Some(rules), offset_ticks: 0, from: 0, until: 0 })
    }

    /// Whether the offset may change.
    pub(crate) fn has_rules(&self) -> bool {
        self.rules.is_some()
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The point in time at which the clocks show `wall`, in ticks as if they showed UTC.
    #[inline]
    pub(crate) fn instant(&mut self, wall: i64) -> Result<Instant, TimeProblem> {
        if self.from <= wall && wall < self.until {
            return in_range(wall - self.offset_ticks).map(Instant::At);
        }
        self.look_up(wall)
    }

    fn look_up(&mut self, wall: i64) -> Result<Instant, TimeProblem> {
        let Some(rules) = &self.rules else { return Err(TimeProblem::OutOfRange) };
        let out_of_range = |_| TimeProblem::OutOfRange;
        let civil = Offset::UTC.to_datetime(timestamp(wall).map_err(out_of_range)?);
        match rules.to_ambiguous_timestamp(civil).offset() {
            AmbiguousOffset::Gap { .. } => Err(TimeProblem::Gap { zone: self.name.clone() }),
            AmbiguousOffset::Fold { before, after } => Ok(Instant::Fold {
                earlier: in_range(wall - ticks(before))?,
                later: in_range(wall - ticks(after))?,
            }),
            AmbiguousOffset::Unambiguous { offset } => {
                self.offset_ticks = ticks(offset);
                let at = wall - self.offset_ticks;
                let second = timestamp(at).map_err(out_of_range)?;
                // The offset holds from the last change to the next one. The hours around a change are looked up each
                // time.
                self.until = rules.following(second).next().map_or(i64::MAX, |change| {
                    wall_of(change.timestamp(), self.offset_ticks.min(ticks(change.offset())))
                });
                let next_second = second.checked_add(jiff::SignedDuration::from_secs(1)).unwrap_or(second);
                self.from = rules.preceding(next_second).next().map_or(i64::MIN, |change| {
                    let before = change.timestamp().checked_sub(jiff::SignedDuration::from_secs(1));
                    let before = before.map_or(0, |before| ticks(rules.to_offset(before)));
                    wall_of(change.timestamp(), self.offset_ticks.max(before))
                });
                in_range(at).map(Instant::At)
            }
        }
    }
}

/// `±hh:mm`, `±hhmm` or `±hh`, at most 18 hours, in seconds.
pub(crate) fn parse_offset(text: &[u8]) -> Option<i32> {
    let (sign, digits) = match text {
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    let two = |a: u8, b: u8| {
        (a.is_ascii_digit() && b.is_ascii_digit()).then(|| i32::from(a - b'0') * 10 + i32::from(b - b'0'))
    };
    let (hours, minutes) = match *digits {
        [a, b] => (two(a, b)?, 0),
        [a, b, c, d] | [a, b, b':', c, d] => (two(a, b)?, two(c, d)?),
        _ => return None,
    };
    let seconds = (hours * 60 + minutes) * 60;
    (minutes < 60 && seconds <= 18 * 3600).then_some(sign * seconds)
}

/// `ticks` if that is a time.
pub(crate) fn in_range(ticks: i64) -> Result<i64, TimeProblem> {
    if (Tick::MIN.ticks()..=Tick::MAX.ticks()).contains(&ticks) {
        Ok(ticks)
    } else {
        Err(TimeProblem::OutOfRange)
    }
}

fn ticks(offset: Offset) -> i64 {
    i64::from(offset.seconds()) * Tick::PER_SECOND
}

/// The second that `ticks` lies in.
fn timestamp(ticks: i64) -> Result<Timestamp, jiff::Error> {
    let since_epoch = ticks - Tick::UNIX_EPOCH.ticks();
    Timestamp::from_second(since_epoch.div_euclid(Tick::PER_SECOND))
}

fn wall_of(time: Timestamp, offset_ticks: i64) -> i64 {
    time.as_second() * Tick::PER_SECOND + Tick::UNIX_EPOCH.ticks() + offset_ticks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tick(text: &str) -> i64 {
        text.parse::<Tick>().unwrap().ticks()
    }

    fn at(text: &str) -> Result<Instant, TimeProblem> {
        Ok(Instant::At(tick(text)))
    }

    #[test]
    fn clocks_are_set_forward_and_back() {
        let mut zone = Zone::new(Some("Europe/Berlin")).unwrap();
        // Twice, so that the second time the rules are at hand; and back in time.
        for _ in 0..2 {
            assert_eq!(zone.instant(tick("2020-03-29T01:59:59.9")), at("2020-03-29T00:59:59.9Z"));
            let gap = TimeProblem::Gap { zone: "Europe/Berlin".to_owned() };
            assert_eq!(zone.instant(tick("2020-03-29T02:00")), Err(gap.clone()));
            assert_eq!(zone.instant(tick("2020-03-29T02:59:59")), Err(gap));
            assert_eq!(zone.instant(tick("2020-03-29T03:00")), at("2020-03-29T01:00Z"));
            assert_eq!(zone.instant(tick("2020-07-01T00:00")), at("2020-06-30T22:00Z"));
            assert_eq!(zone.instant(tick("2020-10-25T01:59:59.9999999")), at("2020-10-24T23:59:59.9999999Z"));
            for (wall, earlier) in [("02:00", "00:00"), ("02:59:59", "00:59:59")] {
                let earlier = tick(&format!("2020-10-25T{earlier}Z"));
                let fold = Instant::Fold { earlier, later: earlier + 3600 * Tick::PER_SECOND };
                assert_eq!(zone.instant(tick(&format!("2020-10-25T{wall}"))), Ok(fold));
            }
            assert_eq!(zone.instant(tick("2020-10-25T03:00")), at("2020-10-25T02:00Z"));
            assert_eq!(zone.instant(tick("1850-01-01T00:00")), at("1849-12-31T23:06:32Z"));
        }
    }

    #[test]
    fn zones_of_all_kinds() {
        assert_eq!(Zone::new(None).unwrap().instant(tick("2020-01-01")), at("2020-01-01"));
        assert_eq!(Zone::new(Some("utc")).unwrap().name(), "UTC");
        assert_eq!(Zone::new(Some("+05:30")).unwrap().instant(tick("2020-01-01T05:30")), at("2020-01-01"));
        assert_eq!(Zone::new(Some("-0800")).unwrap().instant(tick("2019-12-31T16:00")), at("2020-01-01"));
        assert_eq!(Zone::new(Some("america/new_york")).unwrap().name(), "America/New_York");
        let error = Zone::new(Some("Mars/Base")).unwrap_err().to_string();
        assert!(error.starts_with("option `time_zone`: unknown time zone `Mars/Base`; "), "{error}");
        assert!(Zone::new(Some("+19:00")).is_err());
        assert_eq!(Zone::new(Some("+01:00")).unwrap().instant(0), Err(TimeProblem::OutOfRange));
    }

    /// What is at hand gives the same as looking up each time.
    #[test]
    fn the_rules_at_hand_are_right() {
        for name in
            ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "Pacific/Apia"]
        {
            let mut zone = Zone::new(Some(name)).unwrap();
            let begin = tick("2009-01-01");
            for step in 0..60_000 {
                let wall = begin + step * 1800 * Tick::PER_SECOND;
                let quick = zone.instant(wall);
                let slow = Zone::new(Some(name)).unwrap().instant(wall);
                assert_eq!(quick, slow, "{name} {}", Tick::new(wall).unwrap());
            }
        }
    }
}
