//! Typical meteorological years of NREL (TMY3), and those of others in the same form (CZ2010).
//!
//! As the "Users Manual for TMY3 Data Sets" (NREL/TP-581-43156) has it: a line about the station, with its offset from UTC in
//! hours; a line of titles; 8760 rows in local standard time. The months come from different years, so years don't count. A
//! row is stamped with the end of its hour, 01:00 to 24:00: its temperature becomes that of the hour before the stamp, as in
//! eeweather. -9900 is missing.

use super::lines::{Lines, decimal, digits, text};
use super::normal_year::{Hours, offset_s};
use super::{FileStation, Parts, WeatherData, WeatherProblem, WeatherReport, named, position};
use crate::error::{RowProblem, SourceError, TableProblem};

const TIME: &str = "Time (HH:MM)";
const TEMPERATURE: &str = "Dry-bulb (C)";
const MISSING: f64 = -9900.0;

/// Whether a second line has the titles of such a file.
pub(super) fn is_tmy3(line: &[u8]) -> bool {
    line.starts_with(b"Date (MM/DD/YYYY),Time (HH:MM)")
}

pub(super) fn read(lines: &mut Lines) -> Result<Parts, SourceError> {
    let header = "the line about the station: id, name, state, offset from UTC in hours, latitude, longitude, elevation";
    let refuse = |lines: &Lines, problem| Err(lines.refuse(TableProblem::Weather(problem)));
    lines.advance()?;
    let Some((station, offset)) = station(&lines.fields(b',')) else {
        return refuse(lines, WeatherProblem::Header { wanted: header });
    };
    lines.advance()?;
    let titles: Vec<String> = lines.fields(b',').into_iter().map(text).collect();
    let find = |wanted: &str| titles.iter().position(|title| title == wanted);
    let no_column = |wanted| WeatherProblem::NoColumn { wanted, columns: titles.join(", ") };
    let Some(time) = find(TIME).filter(|time| *time > 0) else {
        return refuse(lines, no_column("`Time (HH:MM)`"));
    };
    let Some(temperature) = find(TEMPERATURE) else { return refuse(lines, no_column("`Dry-bulb (C)`")) };

    let (mut hours, mut report) = (Hours::new(offset, 1), WeatherReport::default());
    while lines.advance()? {
        report.rows += 1;
        let fields = lines.fields(b',');
        if fields.len() < titles.len() {
            return Err(lines.cut_off(fields.len(), titles.len(), "fields"));
        }
        let wrong = |column: usize, wanted: &str| {
            lines.wrong_in(
                column,
                &titles[column],
                fields[column],
                RowProblem::Form { wanted: wanted.to_owned() },
            )
        };
        // The date stands before the time.
        let [month, day] = date(fields[time - 1]).ok_or_else(|| wrong(time - 1, "date like `12/31/1988`"))?;
        let clock = "end of an hour like `01:00` to `24:00`";
        let hour = end_of_hour(fields[time]).ok_or_else(|| wrong(time, clock))?;
        let degc = decimal(fields[temperature])
            .ok_or_else(|| wrong(temperature, "temperature in °C like `-3.9`"))?;
        hours
            .add([month, day, hour], (degc > MISSING).then_some(degc), &mut report)
            .map_err(|_| wrong(time - 1, "day of a year"))?;
    }
    if let Some((count, first)) = hours.gaps() {
        return refuse(lines, WeatherProblem::Gaps { count, first });
    }
    Ok((station, WeatherData::NormalYear(hours.finish()), report))
}

/// `723170,"GREENSBORO PIEDMONT TRIAD INT",NC,-5.0,36.100,-79.950,273`, and the offset in seconds.
fn station(fields: &[&[u8]]) -> Option<(FileStation, i32)> {
    let [id, name, _state, offset, latitude, longitude, elevation, ..] = fields else { return None };
    let station = FileStation {
        id: named(id),
        name: named(name),
        position: position(decimal(latitude), decimal(longitude)),
        elevation_m: decimal(elevation),
    };
    Some((station, offset_s(decimal(offset)?)?))
}

fn date(field: &[u8]) -> Option<[u32; 2]> {
    let mut parts = field.split(|&byte| byte == b'/').map(digits);
    let (month, day, year) = (parts.next()??, parts.next()??, parts.next()??);
    (parts.next().is_none() && year > 0).then_some([month, day])
}

fn end_of_hour(field: &[u8]) -> Option<u32> {
    let hour = digits(field.strip_suffix(b":00")?)?;
    (1..=24).contains(&hour).then_some(hour)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_ends_of_hours() {
        assert_eq!(date(b"12/31/1988"), Some([12, 31]));
        for wrong in [&b"12/31"[..], b"12/31/1988/1", b"12-31-1988", b"a/31/1988", b""] {
            assert_eq!(date(wrong), None);
        }
        assert_eq!((end_of_hour(b"01:00"), end_of_hour(b"24:00")), (Some(1), Some(24)));
        for wrong in [&b"00:00"[..], b"25:00", b"01:30", b"1"] {
            assert_eq!(end_of_hour(wrong), None);
        }
    }
}
