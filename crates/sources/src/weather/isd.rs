//! NOAA's Integrated Surface Database: a report in each line, at fixed places.
//!
//! Layout and codes are those of NOAA's "Federal Climate Complex Data Documentation for Integrated Surface Data" (control
//! data section, mandatory data section). Times are in UTC. A station reports at any minute: hourly ones (FM-15), special
//! ones (FM-16), synoptic ones (FM-12), maybe two of the same minute from two networks; summaries of a day or a month (SOD,
//! SOM) have no temperature. All reports with one count, as in eeweather; what becomes of them is said at
//! [`hourly_means`](super::hourly_means). Unlike eeweather, temperatures whose quality code says suspect or erroneous are
//! left out, and counted.

use super::lines::{Lines, digits, text};
use super::{FileStation, Parts, Reading, Reports, WeatherProblem, position, utc};
use crate::error::{RowProblem, SourceError, TableProblem};

/// Control data and mandatory data; what follows is optional.
const LEAST_BYTES: usize = 105;

/// Whether a first line is a report.
pub(super) fn is_isd(line: &[u8]) -> bool {
    line.len() >= LEAST_BYTES
        && digits(&line[..4]).is_some()
        && line[4..10].iter().all(u8::is_ascii_alphanumeric)
        && line[10..27].iter().all(u8::is_ascii_digit)
        && matches!(line[28], b'+' | b'-')
        && matches!(line[34], b'+' | b'-')
}

pub(super) fn read(lines: &mut Lines) -> Result<Parts, SourceError> {
    let mut reports = Reports::default();
    let mut ids = [0; 11];
    while lines.advance()? {
        let line = lines.line();
        if line.len() < LEAST_BYTES {
            return Err(lines.cut_off(line.len(), LEAST_BYTES, "characters"));
        }
        if reports.report.rows == 0 {
            reports.station = station(line);
            ids.copy_from_slice(&line[4..15]);
        } else if line[4..15] != ids {
            let wanted = "station of the line above; write each station into a file of its own";
            return Err(lines.wrong(&line[4..15], RowProblem::Form { wanted: wanted.to_owned() }));
        }
        let at = time(&line[15..27]).ok_or_else(|| {
            lines.wrong(&line[15..27], RowProblem::Form { wanted: "time like `200701312359`".to_owned() })
        })?;
        let reading = temperature(&line[87..92], line[92]).ok_or_else(|| {
            let wanted = "temperature in tenths of a degree like `+0150`".to_owned();
            lines.wrong(&line[87..92], RowProblem::Form { wanted })
        })?;
        reports.add(at, reading).map_err(|problem| lines.refuse(TableProblem::Weather(problem)))?;
    }
    if reports.report.rows == 0 {
        return Err(lines.refuse(TableProblem::Weather(WeatherProblem::Header { wanted: "a report of ISD" })));
    }
    Ok(reports.into_parts())
}

fn station(line: &[u8]) -> FileStation {
    let thousandths = |field: &[u8]| signed(field).map(|number| f64::from(number) / 1000.0);
    FileStation {
        id: Some(format!("{}-{}", text(&line[4..10]), text(&line[10..15]))),
        name: None,
        // +99999 and +999999 are missing, and not on Earth.
        position: position(thousandths(&line[28..34]), thousandths(&line[34..41])),
        elevation_m: signed(&line[46..51]).filter(|metres| *metres != 9999).map(f64::from),
    }
}

fn time(field: &[u8]) -> Option<sheaf_model::Tick> {
    let [year, month, day, hour, minute] =
        [&field[..4], &field[4..6], &field[6..8], &field[8..10], &field[10..]].map(digits);
    utc(year?, month?, day?, hour?, minute?)
}

/// Tenths of a degree, and the code of its quality: 2 and 6 are suspect, 3 and 7 erroneous. All others passed, or were
/// put right by hand.
fn temperature(field: &[u8], quality: u8) -> Option<Reading> {
    let tenths = signed(field)?;
    Some(match quality {
        _ if tenths == 9999 => Reading::Missing,
        quality if is_rejected(quality) => Reading::Rejected,
        _ => Reading::Known(f64::from(tenths) / 10.0),
    })
}

/// Whether a quality code of ISD says that a value is suspect or erroneous.
pub(super) fn is_rejected(quality: u8) -> bool {
    matches!(quality, b'2' | b'3' | b'6' | b'7')
}

fn signed(field: &[u8]) -> Option<i32> {
    let (sign, number) = match field {
        [b'+', number @ ..] => (1, number),
        [b'-', number @ ..] => (-1, number),
        _ => return None,
    };
    digits(number).and_then(|number| i32::try_from(number).ok()).map(|number| sign * number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenths_and_their_quality() {
        let degc = |field: &[u8], quality| match temperature(field, quality) {
            Some(Reading::Known(degc)) => Some(degc),
            _ => None,
        };
        assert_eq!(degc(b"+0150", b'5'), Some(15.0));
        assert_eq!(degc(b"-0006", b'1'), Some(-0.6));
        assert_eq!(degc(b"-0932", b'C'), Some(-93.2));
        for quality in *b"2367" {
            assert!(matches!(temperature(b"+0150", quality), Some(Reading::Rejected)));
        }
        assert!(matches!(temperature(b"+9999", b'9'), Some(Reading::Missing)));
        for wrong in [&b"00150"[..], b"+01.5", b"+015 ", b" +150"] {
            assert!(temperature(wrong, b'5').is_none());
        }
    }

    #[test]
    fn times_are_those_of_a_calendar() {
        assert_eq!(time(b"200701312359").unwrap().to_string(), "2007-01-31T23:59:00Z");
        for wrong in [b"200702292359", b"200701312400", b"20070131 000"] {
            assert_eq!(time(wrong), None);
        }
    }
}
