//! Times as this family writes them: in UTC, those of rows with six digits of the second, those of data with as many as they have.

use sheaf_db::datastore::Micros;
use sheaf_metering::times;
pub(crate) use sheaf_metering::times::{micros as micros_of, now};
use sheaf_model::Tick;

/// A time of a row. What lies outside of the years 1 to 9999 is cut off; no row has such a time.
pub(crate) fn tick_of(time: Micros) -> Tick {
    times::tick(time).unwrap_or(if time.0 < 0 { Tick::MIN } else { Tick::MAX })
}

/// `2016-09-28T00:00:00Z`, with six digits of a fraction only where there is one.
pub(crate) fn of_data(time: Micros) -> String {
    let text = tick_of(time).to_string();
    match text.split_once('.') {
        // Seven digits, of which the last is a zero.
        Some((seconds, fraction)) => format!("{seconds}.{}Z", fraction.get(..6).unwrap_or("000000")),
        None => text,
    }
}

/// `2016-09-28T20:34:56.301000Z`: when a row was added or updated.
pub(crate) fn of_row(time: Micros) -> String {
    let text = of_data(time);
    if text.contains('.') { text } else { text.replace('Z', ".000000Z") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_the_samples_have_them() {
        let time = Micros(1_475_094_896_301_000);
        assert_eq!(of_row(time), "2016-09-28T20:34:56.301000Z");
        assert_eq!(of_data(time), "2016-09-28T20:34:56.301000Z");
        let second = Micros(1_475_094_896_000_000);
        assert_eq!(of_row(second), "2016-09-28T20:34:56.000000Z");
        assert_eq!(of_data(second), "2016-09-28T20:34:56Z");
        assert_eq!(of_data(Micros(-1)), "1969-12-31T23:59:59.999999Z");
        assert_eq!(micros_of(tick_of(Micros(-1))), Micros(-1));
        assert_eq!(of_data(Micros(i64::MIN)), "0001-01-01T00:00:00Z");
        assert_eq!(tick_of(Micros(i64::MAX)), Tick::MAX);
    }
}
