//! EnergyPlus weather (EPW): eight lines about place and data, then rows in local standard time.
//!
//! As the data dictionary of EnergyPlus' auxiliary programs has it: hour 1 is 00:01 to 01:00, so its temperature becomes that
//! of the hour from 00:00; several rows of an hour are averaged. 99.9 °C and more are missing. Such files hold typical years
//! as a rule, made of months of different years, so years don't count; February 29 is left out where it is there.

use super::lines::{Lines, decimal, digits};
use super::normal_year::{Hours, offset_s};
use super::{FileStation, Parts, WeatherData, WeatherProblem, WeatherReport, named, position};
use crate::error::{RowProblem, SourceError, TableProblem};

/// Fields up to the temperature: year, month, day, hour, minute, flags.
const LEAST_FIELDS: usize = 7;
const TITLES: [&str; LEAST_FIELDS] =
    ["year", "month", "day", "hour", "minute", "flags", "dry bulb temperature"];
const TEMPERATURE: usize = 6;
const MISSING: f64 = 99.9;

/// Whether a first line is that of such a file.
pub(super) fn is_epw(line: &[u8]) -> bool {
    line.starts_with(b"LOCATION,")
}

pub(super) fn read(lines: &mut Lines) -> Result<Parts, SourceError> {
    let refuse = |lines: &Lines, problem| Err(lines.refuse(TableProblem::Weather(problem)));
    lines.advance()?;
    let Some((station, offset)) = location(&lines.fields(b',')) else {
        let wanted = "the line `LOCATION` with city, state, country, source, WMO number, latitude, longitude, offset from UTC \
                      in hours and elevation";
        return refuse(lines, WeatherProblem::Header { wanted });
    };
    let per_hour = loop {
        if !lines.advance()? {
            return refuse(lines, WeatherProblem::Header { wanted: "followed by a line `DATA PERIODS`" });
        }
        if let [b"DATA PERIODS", _periods, per_hour, ..] = lines.fields(b',')[..] {
            match digits(per_hour) {
                Some(per_hour @ 1..=60) => break per_hour,
                _ => {
                    let wanted = "`DATA PERIODS` with 1 to 60 records per hour as its second number";
                    return refuse(lines, WeatherProblem::Header { wanted });
                }
            }
        }
    };
    let (mut hours, mut report) = (Hours::new(offset, per_hour), WeatherReport::default());
    while lines.advance()? {
        report.rows += 1;
        let fields = lines.fields(b',');
        if fields.len() < LEAST_FIELDS {
            return Err(lines.cut_off(fields.len(), LEAST_FIELDS, "fields"));
        }
        let wrong = |column: usize, wanted: &str| {
            lines.wrong_in(
                column,
                TITLES[column],
                fields[column],
                RowProblem::Form { wanted: wanted.to_owned() },
            )
        };
        let number = |column: usize| digits(fields[column]).ok_or_else(|| wrong(column, "number"));
        let when = [number(1)?, number(2)?, number(3)?];
        let degc = decimal(fields[TEMPERATURE])
            .ok_or_else(|| wrong(TEMPERATURE, "temperature in °C like `-3.9`"))?;
        hours
            .add(when, (degc < MISSING).then_some(degc), &mut report)
            .map_err(|_| wrong(3, "hour of a day of a year; hours are 1 to 24"))?;
    }
    if let Some((count, first)) = hours.gaps() {
        return refuse(lines, WeatherProblem::Gaps { count, first });
    }
    Ok((station, WeatherData::NormalYear(hours.finish()), report))
}

/// `LOCATION,Chicago Ohare Intl Ap,IL,USA,TMY3,725300,41.98,-87.92,-6.0,201.0`, and the offset in seconds.
fn location(fields: &[&[u8]]) -> Option<(FileStation, i32)> {
    let [b"LOCATION", city, _state, _country, _source, wmo, latitude, longitude, offset, elevation, ..] =
        fields
    else {
        return None;
    };
    let station = FileStation {
        id: named(wmo),
        name: named(city),
        position: position(decimal(latitude), decimal(longitude)),
        elevation_m: decimal(elevation),
    };
    Some((station, offset_s(decimal(offset)?)?))
}
