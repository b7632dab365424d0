//! NOAA's Global Historical Climatology Network hourly (GHCNh), which succeeds ISD: text with `|` between fields and titles
//! in the first line, in two generations (`Station_ID` without, `STATION` with a column `DATE`).
//!
//! Times are in UTC, temperatures in °C, and a field without text is missing. Quality codes: none means that all checks were
//! passed. What came over from ISD (sources 313 to 346) keeps the codes of ISD; of all others a letter names the check that
//! failed, and digits mean what they mean in ISD.

use sheaf_model::Tick;

use super::isd::is_rejected;
use super::lines::{Lines, decimal, digits, text};
use super::{FileStation, Parts, Reading, Reports, WeatherProblem, named, position, utc};
use crate::csv::{DateCache, parse_iso};
use crate::error::{RowProblem, SourceError, TableProblem};

/// Numbers of the sources that were part of ISD.
const ISD_SOURCES: std::ops::RangeInclusive<u32> = 313..=346;

/// Whether a first line has the titles of such a file.
pub(super) fn is_ghcnh(line: &[u8]) -> bool {
    line.contains(&b'|') && {
        let titles = titles(line.split(|&byte| byte == b'|'));
        titles[0].starts_with("station") && titles.iter().any(|title| title == "temperature")
    }
}

/// Titles in small letters: the generations differ in them.
fn titles<'a>(fields: impl Iterator<Item = &'a [u8]>) -> Vec<String> {
    fields.map(|field| text(field.trim_ascii()).to_ascii_lowercase()).collect()
}

/// Where the columns are that count.
struct Columns {
    titles: Vec<String>,
    station: usize,
    when: When,
    temperature: usize,
    quality: Option<usize>,
    source: Option<usize>,
}

enum When {
    /// Year, month, day, hour and minute.
    Parts([usize; 5]),
    /// ISO 8601.
    Date(usize),
}

impl Columns {
    fn find(titles: Vec<String>) -> Result<Columns, WeatherProblem> {
        let find = |wanted: &str| titles.iter().position(|title| title == wanted);
        let need = |wanted: &'static str, names: &[&str]| {
            names
                .iter()
                .find_map(|name| find(name))
                .ok_or_else(|| WeatherProblem::NoColumn { wanted, columns: titles.join(", ") })
        };
        let parts = ["year", "month", "day", "hour", "minute"].map(find);
        let when = match parts {
            [Some(year), Some(month), Some(day), Some(hour), Some(minute)] => {
                When::Parts([year, month, day, hour, minute])
            }
            _ => When::Date(need("`DATE`, or `Year`, `Month`, `Day`, `Hour` and `Minute`", &["date"])?),
        };
        Ok(Columns {
            station: need("`STATION`", &["station_id", "station"])?,
            temperature: need("`temperature`", &["temperature"])?,
            quality: find("temperature_quality_code"),
            source: find("temperature_source_code"),
            when,
            titles,
        })
    }

    fn time(&self, fields: &[&[u8]], dates: &mut DateCache) -> Option<Tick> {
        match self.when {
            When::Parts(parts) => {
                let [year, month, day, hour, minute] = parts.map(|part| digits(fields[part]));
                utc(year?, month?, day?, hour?, minute?)
            }
            When::Date(column) => {
                let wall = parse_iso(fields[column], dates).ok()?;
                let offset = i64::from(wall.offset_s.unwrap_or(0)) * Tick::PER_SECOND;
                Tick::new(wall.ticks - offset).ok()
            }
        }
    }

    /// Where the time begins, for messages.
    fn time_column(&self) -> usize {
        match self.when {
            When::Parts([year, ..]) => year,
            When::Date(column) => column,
        }
    }

    fn station(&self, fields: &[&[u8]]) -> FileStation {
        let field =
            |wanted: &str| self.titles.iter().position(|title| title == wanted).map(|index| fields[index]);
        FileStation {
            id: named(fields[self.station]),
            name: field("station_name").and_then(named),
            position: position(field("latitude").and_then(decimal), field("longitude").and_then(decimal)),
            // -999.9 and the like are missing.
            elevation_m: field("elevation").and_then(decimal).filter(|metres| *metres > -900.0),
        }
    }
}

pub(super) fn read(lines: &mut Lines) -> Result<Parts, SourceError> {
    let wrong = |problem| TableProblem::Weather(problem);
    if !lines.advance()? {
        return Err(lines.refuse(wrong(WeatherProblem::Header { wanted: "the titles of a GHCNh file" })));
    }
    let titles = titles(fields(lines.line()).into_iter());
    let columns = Columns::find(titles).map_err(|problem| lines.refuse(wrong(problem)))?;
    let mut reports = Reports::default();
    let mut station = Vec::new();
    let mut dates = DateCache::default();
    while lines.advance()? {
        let fields = fields(lines.line());
        if fields.len() < columns.titles.len() {
            return Err(lines.cut_off(fields.len(), columns.titles.len(), "fields"));
        }
        let wrong_in = |column: usize, wanted: &str| {
            let problem = RowProblem::Form { wanted: wanted.to_owned() };
            lines.wrong_in(column, &columns.titles[column], fields[column], problem)
        };
        if reports.report.rows == 0 {
            reports.station = columns.station(&fields);
            station = fields[columns.station].to_vec();
        } else if fields[columns.station] != station {
            let wanted = "station of the line above; write each station into a file of its own";
            return Err(wrong_in(columns.station, wanted));
        }
        let at = columns
            .time(&fields, &mut dates)
            .ok_or_else(|| wrong_in(columns.time_column(), "time that exists, in UTC"))?;
        let quality = columns.quality.map_or(&b""[..], |column| fields[column]);
        let source = columns.source.and_then(|column| digits(fields[column]));
        let reading = temperature(fields[columns.temperature], quality, source)
            .ok_or_else(|| wrong_in(columns.temperature, "temperature in °C like `-3.9`"))?;
        reports.add(at, reading).map_err(|problem| lines.refuse(wrong(problem)))?;
    }
    Ok(reports.into_parts())
}

/// Remarks may hold quotes, which mean nothing here.
fn fields(line: &[u8]) -> Vec<&[u8]> {
    line.split(|&byte| byte == b'|').map(<[u8]>::trim_ascii).collect()
}

fn temperature(field: &[u8], quality: &[u8], source: Option<u32>) -> Option<Reading> {
    if field.is_empty() {
        return Some(Reading::Missing);
    }
    let degc = decimal(field)?;
    let is_of_isd = source.is_some_and(|source| ISD_SOURCES.contains(&source));
    let rejected = match quality {
        [] => false,
        [code] if is_of_isd || code.is_ascii_digit() => is_rejected(*code),
        _ => true,
    };
    Some(if rejected { Reading::Rejected } else { Reading::Known(degc) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quality_codes_mean_what_their_source_says() {
        let counts =
            |quality: &[u8], source| matches!(temperature(b"21.4", quality, source), Some(Reading::Known(_)));
        for quality in [&b""[..], b"0", b"1", b"4", b"5", b"9"] {
            assert!(counts(quality, None) && counts(quality, Some(335)), "{quality:?}");
        }
        for quality in [&b"2"[..], b"3", b"6", b"7", b"LK"] {
            assert!(!counts(quality, None) && !counts(quality, Some(335)), "{quality:?}");
        }
        // Accepted by hand in ISD; a climatological outlier elsewhere.
        assert!(counts(b"C", Some(313)) && !counts(b"C", Some(400)) && !counts(b"C", None));
        assert!(matches!(temperature(b"", b"L", None), Some(Reading::Missing)));
        assert!(temperature(b"warm", b"", None).is_none());
    }
}
