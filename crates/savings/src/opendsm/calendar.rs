//! Which submodel a day belongs to: by its season and its part of the week.

use std::str::FromStr;

use jiff::civil::{Date, Weekday};
use serde_json::Value;

use super::StoredModelError;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Season {
    Summer,
    Shoulder,
    Winter,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DayPart {
    Weekday,
    Weekend,
}

/// Season and part of the week of a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DayKind {
    season: Season,
    part: DayPart,
}

impl DayKind {
    /// A bit for each of the six kinds.
    fn bit(self) -> u8 {
        1 << (self.season as u8 * 2 + self.part as u8)
    }
}

/// The days that a submodel covers, as a set of their kinds. Written `fw-su_sh_wi`: full week, in all three seasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Component(u8);

impl Component {
    pub(super) fn covers(self, kind: DayKind) -> bool {
        self.0 & kind.bit() != 0
    }

    pub(super) fn overlaps(self, other: Component) -> bool {
        self.0 & other.0 != 0
    }
}

/// The name is not that of a component.
pub(super) struct NotAComponent;

impl FromStr for Component {
    type Err = NotAComponent;

    fn from_str(name: &str) -> Result<Component, NotAComponent> {
        let (week, seasons) = name.split_once('-').ok_or(NotAComponent)?;
        let parts: &[DayPart] = match week {
            "fw" => &[DayPart::Weekday, DayPart::Weekend],
            "wd" => &[DayPart::Weekday],
            "we" => &[DayPart::Weekend],
            _ => return Err(NotAComponent),
        };
        let mut kinds = 0;
        for season in seasons.split('_') {
            let season = match season {
                "su" => Season::Summer,
                "sh" => Season::Shoulder,
                "wi" => Season::Winter,
                _ => return Err(NotAComponent),
            };
            for &part in parts {
                kinds |= DayKind { season, part }.bit();
            }
        }
        Ok(Component(kinds))
    }
}

/// The season of each month and the part of the week of each day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Calendar {
    /// January first.
    seasons: [Season; 12],
    /// Monday first.
    parts: [DayPart; 7],
}

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

const WEEKDAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// opendsm's own: winter November to February, summer June to September, Saturday and Sunday are the weekend.
const DEFAULT: Calendar = {
    use DayPart::{Weekday, Weekend};
    use Season::{Shoulder, Summer, Winter};
    Calendar {
        seasons: [
            Winter, Winter, Shoulder, Shoulder, Shoulder, Summer, Summer, Summer, Summer, Shoulder, Winter,
            Winter,
        ],
        parts: [Weekday, Weekday, Weekday, Weekday, Weekday, Weekend, Weekend],
    }
};

impl Calendar {
    /// The calendar of stored settings. What they leave out is as by default.
    pub(super) fn from_settings(settings: &Value) -> Result<Calendar, StoredModelError> {
        let mut calendar = DEFAULT;
        for (season, month) in calendar.seasons.iter_mut().zip(MONTHS) {
            *season = match setting(settings, "season", month) {
                None => continue,
                Some(Value::String(word)) if word == "summer" => Season::Summer,
                Some(Value::String(word)) if word == "shoulder" => Season::Shoulder,
                Some(Value::String(word)) if word == "winter" => Season::Winter,
                Some(other) => return Err(unknown(month, other, "summer, shoulder, winter")),
            };
        }
        for (part, day) in calendar.parts.iter_mut().zip(WEEKDAYS) {
            *part = match setting(settings, "weekday_weekend", day) {
                None => continue,
                Some(Value::String(word)) if word == "weekday" => DayPart::Weekday,
                Some(Value::String(word)) if word == "weekend" => DayPart::Weekend,
                Some(other) => return Err(unknown(day, other, "weekday, weekend")),
            };
        }
        Ok(calendar)
    }

    pub(super) fn kind_of(&self, date: Date) -> DayKind {
        let month = usize::from(date.month().unsigned_abs()) - 1;
        let weekday: Weekday = date.weekday();
        let day = usize::from(weekday.to_monday_zero_offset().unsigned_abs());
        DayKind { season: self.seasons[month], part: self.parts[day] }
    }
}

fn setting<'a>(settings: &'a Value, group: &str, key: &str) -> Option<&'a Value> {
    settings.get(group)?.get(key)
}

fn unknown(key: &'static str, found: &Value, allowed: &'static str) -> StoredModelError {
    StoredModelError::CalendarSetting { key, found: found.to_string(), allowed }
}
