//! A year that never was: typical temperatures of each hour, by month, day and hour.

use jiff::Timestamp;
use jiff::tz::Offset;
use sheaf_model::Tick;

use super::{Observation, WeatherReport};

const TICKS_PER_HOUR: i64 = 3_600 * Tick::PER_SECOND;

/// Hours of a year without a leap day.
pub const HOURS_PER_NORMAL_YEAR: usize = 8760;

/// Days of a year before each month.
const DAYS_BEFORE: [u32; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
const DAYS_OF: [u32; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/// Temperatures of a typical year, for each of its 8760 hours. Months of a file may come from different years; only month,
/// day and hour count.
#[derive(Clone, Debug, PartialEq)]
pub struct NormalYear {
    degc: Vec<f64>,
    utc_offset_s: i32,
}

impl NormalYear {
    /// °C of each hour of local standard time, from January 1, 00:00 on; NaN where the file has none.
    pub fn degc(&self) -> &[f64] {
        &self.degc
    }

    /// How far local standard time is ahead of UTC, in seconds; negative in America.
    pub const fn utc_offset_s(&self) -> i32 {
        self.utc_offset_s
    }

    /// The temperature of each hour that begins in [from, to), by time. Any number of years will do; February 29 has the
    /// temperatures of February 28. Hours begin at full hours of local standard time.
    pub fn hours(&self, from: Tick, to: Tick) -> impl Iterator<Item = Observation> + '_ {
        let offset = i64::from(self.utc_offset_s) * Tick::PER_SECOND;
        let first = (from.ticks() + offset).div_euclid(TICKS_PER_HOUR);
        let starts = (first..).map(move |hour| hour * TICKS_PER_HOUR - offset);
        starts
            .skip_while(move |&start| start < from.ticks())
            .take_while(move |&start| start < to.ticks())
            .filter_map(move |start| {
                let at = Tick::new(start).ok()?;
                let local =
                    Timestamp::from_second((at.unix_ticks() + offset).div_euclid(Tick::PER_SECOND)).ok()?;
                let local = Offset::UTC.to_datetime(local);
                let (month, day) = (local.month() as u32, local.day() as u32);
                let day = if (month, day) == (2, 29) { 28 } else { day };
                Some(Observation { at, degc: self.degc[slot(month, day, local.hour() as u32)?] })
            })
    }
}

/// Which hour of the year it is, from 0; `None` if there is no such hour.
fn slot(month: u32, day: u32, hour: u32) -> Option<usize> {
    let index = (month as usize).checked_sub(1)?;
    let exists = (1..=*DAYS_OF.get(index)?).contains(&day) && hour < 24;
    exists.then(|| ((DAYS_BEFORE[index] + day - 1) * 24 + hour) as usize)
}

/// A normal year in the making.
pub(super) struct Hours {
    sums: Vec<f64>,
    known: Vec<u32>,
    seen: Vec<bool>,
    utc_offset_s: i32,
    /// How many values an hour has, at most.
    per_hour: u32,
}

/// There is no such hour in any year.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoSuchHour;

impl Hours {
    pub(super) fn new(utc_offset_s: i32, per_hour: u32) -> Hours {
        Hours {
            sums: vec![0.0; HOURS_PER_NORMAL_YEAR],
            known: vec![0; HOURS_PER_NORMAL_YEAR],
            seen: vec![false; HOURS_PER_NORMAL_YEAR],
            utc_offset_s,
            per_hour: per_hour.max(1),
        }
    }

    /// Takes the value of a row whose hour ends at `hour`: 1 to 24.
    pub(super) fn add(
        &mut self,
        [month, day, hour]: [u32; 3],
        degc: Option<f64>,
        report: &mut WeatherReport,
    ) -> Result<(), NoSuchHour> {
        let hour = hour.checked_sub(1).ok_or(NoSuchHour)?;
        if (month, day) == (2, 29) && hour < 24 {
            report.leap_day += 1;
            return Ok(());
        }
        let slot = slot(month, day, hour).ok_or(NoSuchHour)?;
        self.seen[slot] = true;
        let Some(degc) = degc else {
            report.missing += 1;
            return Ok(());
        };
        if self.known[slot] == self.per_hour {
            report.duplicates += 1;
            return Ok(());
        }
        self.known[slot] += 1;
        self.sums[slot] += degc;
        report.see(degc);
        Ok(())
    }

    /// How many hours no row was about, and the first of them: `02-28 23:00`.
    pub(super) fn gaps(&self) -> Option<(usize, String)> {
        let count = self.seen.iter().filter(|seen| !**seen).count();
        let first = self.seen.iter().position(|seen| !seen)?;
        let (day, hour) = ((first / 24) as u32, first % 24);
        let month = DAYS_BEFORE.partition_point(|before| *before <= day);
        let day = day - DAYS_BEFORE[month - 1] + 1;
        Some((count, format!("{month:02}-{day:02} {hour:02}:00")))
    }

    pub(super) fn finish(self) -> NormalYear {
        let mean = |(sum, known): (f64, u32)| if known == 0 { f64::NAN } else { sum / f64::from(known) };
        NormalYear {
            degc: self.sums.into_iter().zip(self.known).map(mean).collect(),
            utc_offset_s: self.utc_offset_s,
        }
    }
}

/// An offset from UTC in hours, as headers have it, in seconds.
pub(super) fn offset_s(hours: f64) -> Option<i32> {
    (-14.0..=14.0).contains(&hours).then(|| (hours * 3600.0).round() as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A year in which each hour is as warm as its number says.
    fn numbers(utc_offset_s: i32) -> NormalYear {
        NormalYear { degc: (0..HOURS_PER_NORMAL_YEAR).map(|hour| hour as f64).collect(), utc_offset_s }
    }

    fn hours(year: &NormalYear, from: &str, to: &str) -> Vec<(String, f64)> {
        let hours = year.hours(from.parse().unwrap(), to.parse().unwrap());
        hours.map(|hour| (hour.at.to_string(), hour.degc)).collect()
    }

    #[test]
    fn each_hour_has_its_place() {
        assert_eq!(slot(1, 1, 0), Some(0));
        assert_eq!(slot(3, 1, 0), Some(59 * 24));
        assert_eq!(slot(12, 31, 23), Some(8759));
        for (month, day, hour) in [(0, 1, 0), (13, 1, 0), (2, 29, 0), (4, 31, 0), (1, 0, 0), (1, 1, 24)] {
            assert_eq!(slot(month, day, hour), None);
        }
    }

    #[test]
    fn any_year_is_made_of_it() {
        let eastern = numbers(-5 * 3600);
        // 00:00Z on New Year is still 19:00 of December 31 in the east of America.
        let first = hours(&eastern, "2017-01-01", "2017-01-01T07:00Z");
        assert_eq!(first[0], ("2017-01-01T00:00:00Z".to_owned(), 8755.0));
        assert_eq!(first[5], ("2017-01-01T05:00:00Z".to_owned(), 0.0));
        assert_eq!(first.len(), 7);
        assert_eq!(hours(&eastern, "2017-01-01", "2018-01-01").len(), 8760);
        assert!(hours(&eastern, "2018-01-01", "2017-01-01").is_empty());
    }

    #[test]
    fn a_leap_day_is_like_the_day_before() {
        let year = hours(&numbers(0), "2020-02-28", "2020-03-01T01:00Z");
        assert_eq!(year.len(), 49);
        assert_eq!(year[0].1, 58.0 * 24.0);
        assert_eq!(year[24], ("2020-02-29T00:00:00Z".to_owned(), 58.0 * 24.0));
        assert_eq!(year[48].1, 59.0 * 24.0);
    }

    #[test]
    fn half_hours_of_an_offset_are_kept() {
        let india = hours(&numbers(19_800), "2017-01-01", "2017-01-01T02:00Z");
        assert_eq!(india[0], ("2017-01-01T00:30:00Z".to_owned(), 6.0));
        assert_eq!(india.len(), 2);
    }

    #[test]
    fn the_ends_of_the_calendar_are_no_panic() {
        assert_eq!(numbers(-18_000).hours(Tick::MIN, "0001-01-02".parse().unwrap()).count(), 24);
        // Where no calendar says which day it is, there is no temperature.
        assert!(numbers(18_000).hours("9999-12-29".parse().unwrap(), Tick::MAX).count() >= 24);
    }

    #[test]
    fn what_is_twice_and_what_is_missing_is_counted() {
        let (mut hours, mut report) = (Hours::new(0, 1), WeatherReport::default());
        hours.add([1, 1, 1], Some(3.0), &mut report).unwrap();
        hours.add([1, 1, 1], Some(4.0), &mut report).unwrap();
        hours.add([1, 1, 2], None, &mut report).unwrap();
        hours.add([2, 29, 24], Some(4.0), &mut report).unwrap();
        for wrong in [[1, 1, 0], [1, 1, 25], [2, 30, 1], [0, 1, 1], [2, 29, 25]] {
            assert_eq!(hours.add(wrong, None, &mut report), Err(NoSuchHour), "{wrong:?}");
        }
        assert_eq!((report.duplicates, report.missing, report.leap_day), (1, 1, 1));
        assert_eq!(hours.gaps(), Some((8758, "01-01 02:00".to_owned())));
        let year = hours.finish();
        assert_eq!(year.degc()[0], 3.0);
        assert!(year.degc()[1].is_nan());
    }

    #[test]
    fn several_values_of_an_hour_are_averaged() {
        let (mut hours, mut report) = (Hours::new(0, 2), WeatherReport::default());
        for degc in [1.0, 2.0, 9.0] {
            hours.add([12, 31, 24], Some(degc), &mut report).unwrap();
        }
        assert_eq!(report.duplicates, 1);
        assert_eq!(hours.finish().degc()[8759], 1.5);
    }
}
