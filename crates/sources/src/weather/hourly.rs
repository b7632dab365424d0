//! From reports at odd times to the mean of each hour.

use sheaf_model::Tick;

use super::Observation;

const TICKS_PER_MINUTE: i64 = 60 * Tick::PER_SECOND;
const MINUTES_PER_HOUR: i64 = 60;

/// How far from a report the temperature is still interpolated: so nothing is missing between two reports that are up to
/// 121 minutes apart. The number is eeweather's (`limit=60`).
pub const MOST_INTERPOLATED_MINUTES: i64 = 60;

/// The mean temperature of each hour that has one, by time; hours without are left out.
///
/// The rule is that of eeweather (`fetch_isd_hourly_temp_data`), which feeds the reference implementation of CalTRACK. Reports
/// of the same minute are averaged, whatever their type: an hourly report, a special one and one of another network that say
/// the same time are as good as each other. Between reports the temperature is a straight line, minute by minute, for up to
/// [`MOST_INTERPOLATED_MINUTES`] after one and before the next; what is further from both is unknown. An hour is the mean
/// of its known minutes: 12:00 is that of 12:00 to 12:59, so a report at 12:51 counts most for the minutes around it and not
/// for the whole hour.
///
/// Reports may come in any order.
///
/// ```
/// use sheaf_sources::{Observation, hourly_means};
///
/// let at = |time: &str, degc| Observation { at: time.parse().expect("a time"), degc };
/// let hours = hourly_means(&[at("2007-01-01T00:30Z", 0.0), at("2007-01-01T01:30Z", 6.0)]);
/// // 0.0, 0.1 … 2.9 in the first half hour, 3.0 … 6.0 up to the last report.
/// assert!((hours[0].degc - 1.45).abs() < 1e-12);
/// assert!((hours[1].degc - 4.5).abs() < 1e-12);
/// assert_eq!(hours[1].at.to_string(), "2007-01-01T01:00:00Z");
/// ```
pub fn hourly_means(reports: &[Observation]) -> Vec<Observation> {
    let mut hours = Hours::default();
    let mut before: Option<Minute> = None;
    for minute in minutes(reports) {
        if let Some(before) = before {
            interpolate(before, minute, &mut hours);
        }
        hours.add(minute.number, minute.degc);
        before = Some(minute);
    }
    hours.finish()
}

/// A minute with a temperature.
#[derive(Clone, Copy)]
struct Minute {
    /// Minutes since tick 0.
    number: i64,
    degc: f64,
}

/// The minutes that have reports, by time, with the mean of theirs.
fn minutes(reports: &[Observation]) -> Vec<Minute> {
    let mut sorted: Vec<(i64, f64)> = reports
        .iter()
        .filter(|report| report.degc.is_finite())
        .map(|report| (report.at.ticks() / TICKS_PER_MINUTE, report.degc))
        .collect();
    sorted.sort_by_key(|&(number, _)| number);
    sorted
        .chunk_by(|a, b| a.0 == b.0)
        .map(|same| Minute {
            number: same[0].0,
            degc: same.iter().map(|(_, degc)| degc).sum::<f64>() / same.len() as f64,
        })
        .collect()
}

/// Adds the minutes between two that are known, as far as they are near enough to one of them.
fn interpolate(from: Minute, to: Minute, hours: &mut Hours) {
    let slope = (to.degc - from.degc) / (to.number - from.number) as f64;
    let behind = from.number + 1..to.number.min(from.number + MOST_INTERPOLATED_MINUTES + 1);
    let ahead = behind.end.max(to.number - MOST_INTERPOLATED_MINUTES)..to.number;
    for number in behind.chain(ahead) {
        hours.add(number, from.degc + slope * (number - from.number) as f64);
    }
}

/// Sums up minutes, which come by time.
#[derive(Default)]
struct Hours {
    done: Vec<Observation>,
    hour: i64,
    sum: f64,
    count: u32,
}

impl Hours {
    fn add(&mut self, minute: i64, degc: f64) {
        let hour = minute / MINUTES_PER_HOUR;
        if hour != self.hour {
            self.close();
            self.hour = hour;
        }
        self.sum += degc;
        self.count += 1;
    }

    fn close(&mut self) {
        // An hour that a minute lies in begins in the range of ticks, too.
        if self.count > 0
            && let Ok(at) = Tick::new(self.hour * MINUTES_PER_HOUR * TICKS_PER_MINUTE)
        {
            self.done.push(Observation { at, degc: self.sum / f64::from(self.count) });
        }
        self.sum = 0.0;
        self.count = 0;
    }

    fn finish(mut self) -> Vec<Observation> {
        self.close();
        self.done
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Hour 0 of the tests.
    fn begin() -> i64 {
        "2007-01-01".parse::<Tick>().unwrap().ticks()
    }

    fn report(minute: i64, degc: f64) -> Observation {
        Observation { at: Tick::new(begin() + minute * TICKS_PER_MINUTE).unwrap(), degc }
    }

    /// Hours since the first one, and their means.
    fn means(reports: &[Observation]) -> Vec<(i64, f64)> {
        let hour = |at: Tick| (at.ticks() - begin()) / (60 * TICKS_PER_MINUTE);
        hourly_means(reports).iter().map(|mean| (hour(mean.at), mean.degc)).collect()
    }

    #[test]
    fn none_one_and_nan() {
        assert!(means(&[]).is_empty());
        assert_eq!(means(&[report(47, 15.0)]), [(0, 15.0)]);
        assert_eq!(means(&[report(47, 15.0), report(50, f64::NAN), report(65, f64::INFINITY)]), [(0, 15.0)]);
    }

    #[test]
    fn reports_of_one_minute_are_averaged() {
        assert_eq!(means(&[report(0, 1.0), report(0, 4.0), report(0, 4.0)]), [(0, 3.0)]);
    }

    #[test]
    fn two_hours_are_bridged_and_more_are_not() {
        // 121 minutes apart: 60 from one and 60 from the other are all that lie between.
        let bridged = means(&[report(0, 0.0), report(121, 121.0)]);
        assert_eq!(bridged.len(), 3);
        assert!((bridged[0].1 - 29.5).abs() < 1e-12 && (bridged[1].1 - 89.5).abs() < 1e-12);
        assert!((bridged[2].1 - 120.5).abs() < 1e-12);
        // 5 hours apart: minute 60 is the last after the first, minute 240 the first before the second.
        let gap = means(&[report(0, 0.0), report(300, 300.0)]);
        assert_eq!(gap.iter().map(|(hour, _)| *hour).collect::<Vec<_>>(), [0, 1, 4, 5]);
        assert!((gap[0].1 - 29.5).abs() < 1e-12);
        assert!((gap[1].1 - 60.0).abs() < 1e-12);
        assert!((gap[2].1 - 269.5).abs() < 1e-12);
        assert_eq!(gap[3], (5, 300.0));
    }

    #[test]
    fn years_apart_take_no_time() {
        let far = hourly_means(&[
            Observation { at: Tick::MIN, degc: 1.0 },
            Observation { at: Tick::MAX, degc: 1.0 },
        ]);
        assert_eq!(far.len(), 4);
    }

    /// The same, minute by minute, as eeweather does it.
    fn by_minutes(reports: &[Observation]) -> Vec<(i64, f64)> {
        let known = minutes(reports);
        let mut hours: std::collections::BTreeMap<i64, Vec<f64>> = std::collections::BTreeMap::new();
        let (Some(first), Some(last)) = (known.first(), known.last()) else { return Vec::new() };
        for number in first.number..=last.number {
            let index = known.partition_point(|minute| minute.number < number);
            let after = known[index];
            let before = if after.number == number { after } else { known[index - 1] };
            if number - before.number > 60 && after.number - number > 60 {
                continue;
            }
            let share = if after.number == number {
                0.0
            } else {
                (number - before.number) as f64 / (after.number - before.number) as f64
            };
            let degc = before.degc + share * (after.degc - before.degc);
            hours.entry(number / 60 - begin() / (60 * TICKS_PER_MINUTE)).or_default().push(degc);
        }
        hours
            .into_iter()
            .map(|(hour, known)| (hour, known.iter().sum::<f64>() / known.len() as f64))
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn it_is_what_minutes_give(reports in prop::collection::vec((0_i64..3000, -40.0..40.0), 0..40)) {
            let reports: Vec<_> = reports.into_iter().map(|(minute, degc)| report(minute, degc)).collect();
            let (found, wanted) = (means(&reports), by_minutes(&reports));
            prop_assert_eq!(found.len(), wanted.len());
            for (found, wanted) in found.iter().zip(&wanted) {
                prop_assert_eq!(found.0, wanted.0);
                prop_assert!((found.1 - wanted.1).abs() < 1e-9, "{:?} {:?}", found, wanted);
            }
        }
    }
}
