//! Outdoor temperatures from the files that weather services hand out, and the stations they come from.
//!
//! [`read_weather`] knows by its first lines what a file is, see [`WeatherFormat`], and gives one of three things, see
//! [`WeatherData`]: reports at odd times, temperatures of hours, or a normal year. [`WeatherFile::hours`] makes hours of the
//! first two. Everything is in °C and UTC; °F exist only in tables, and are converted as they are read.
//!
//! A value that the service itself holds for wrong does not count, and neither does one that is missing; the report says how
//! many there were. A line that can't be read ends the file with an error: it is damaged then.
//!
//! `stations` and its tables know where stations are. `lines` cuts text, `isd`, `ghcnh`, `tmy3`, `epw` and `table` read one
//! format each, `hourly` and `normal_year` are what comes out.

mod epw;
mod ghcnh;
mod hourly;
mod isd;
mod lines;
mod normal_year;
mod problem;
mod stations;
mod table;
mod tmy3;

use std::fmt;
use std::io::{Cursor, Read};
use std::str::FromStr;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use sheaf_model::Tick;

use crate::csv::{ColumnRef, CsvOptions};
use crate::error::{Shown, SourceError};
use crate::input::{Input, Opened};
use lines::Lines;

pub use hourly::{MOST_INTERPOLATED_MINUTES, hourly_means};
pub use normal_year::{HOURS_PER_NORMAL_YEAR, NormalYear};
pub use problem::WeatherProblem;
pub use stations::{
    NearStation, Position, Station, StationError, StationQuality, ZipArea, nearest_stations, station,
    stations, zip_area, zip_areas,
};

/// Reports of a file, at most: 19 years of a report each minute.
const MOST_REPORTS: usize = 10_000_000;

/// Bytes by which a format is recognized.
const HEAD_BYTES: usize = 4 << 10;

/// A temperature at a point in time, or of the hour from it on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Observation {
    /// When.
    pub at: Tick,
    /// Dry-bulb temperature in °C, never infinite or NaN in reports and hours.
    pub degc: f64,
}

/// What a weather file says.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct WeatherFile {
    /// How it is written.
    pub format: WeatherFormat,
    /// What it says of its station.
    pub station: FileStation,
    /// The temperatures.
    pub data: WeatherData,
    /// What was found on the way.
    pub report: WeatherReport,
}

impl WeatherFile {
    /// The mean temperature of each hour that has one, by time; [`hourly_means`] says how reports become hours. `None` of a
    /// normal year, whose hours are those of any year.
    pub fn hours(&self) -> Option<Vec<Observation>> {
        match &self.data {
            WeatherData::Reports(reports) => Some(hourly_means(reports)),
            WeatherData::Hourly(hours) => Some(hours.clone()),
            WeatherData::NormalYear(_) => None,
        }
    }
}

/// The temperatures of a file.
#[derive(Clone, Debug, PartialEq)]
pub enum WeatherData {
    /// What was measured, by time: at odd times, and several at one time where stations report so.
    Reports(Vec<Observation>),
    /// Means of hours, each from its time on, by time; hours may be missing.
    Hourly(Vec<Observation>),
    /// Typical temperatures of 8760 hours.
    NormalYear(NormalYear),
}

/// What a file says of the station it comes from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FileStation {
    /// Its id as the service writes it: `722874-93134` (ISD), `723170` (TMY3, EPW), `USW00093134` (GHCNh).
    pub id: Option<String>,
    /// Its name.
    pub name: Option<String>,
    /// Where it is.
    pub position: Option<Position>,
    /// Metres above the sea.
    pub elevation_m: Option<f64>,
}

/// What was found in a weather file. Each row with a time is one of known, missing, rejected or of a leap day.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct WeatherReport {
    /// Rows that were read, those without a temperature included.
    pub rows: u64,
    /// Rows without a temperature.
    pub missing: u64,
    /// Temperatures that the service holds for suspect or wrong, and that are left out.
    pub rejected: u64,
    /// Temperatures whose time or hour occurred before in the file. In reports they count all the same.
    pub duplicates: u64,
    /// Rows of February 29, which a normal year does not have.
    pub leap_day: u64,
    /// The first and the last time with a temperature; nothing in a normal year.
    pub times: Option<(Tick, Tick)>,
    /// The lowest and the highest temperature that counts, in °C.
    pub range_degc: Option<(f64, f64)>,
}

impl WeatherReport {
    fn see(&mut self, degc: f64) {
        let (lowest, highest) = self.range_degc.unwrap_or((degc, degc));
        self.range_degc = Some((lowest.min(degc), highest.max(degc)));
    }
}

/// How a weather file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WeatherFormat {
    /// NOAA's Integrated Surface Database, fixed width.
    Isd,
    /// NOAA's Global Historical Climatology Network hourly, the successor of ISD: text with `|` between fields.
    Ghcnh,
    /// Typical meteorological years of NREL, and those of others in the same form (CZ2010).
    Tmy3,
    /// EnergyPlus weather, taken for a normal year.
    Epw,
    /// Any table with times and temperatures, see [`crate::open_table`].
    Table,
}

impl WeatherFormat {
    /// All of them.
    pub const ALL: [WeatherFormat; 5] = [
        WeatherFormat::Isd,
        WeatherFormat::Ghcnh,
        WeatherFormat::Tmy3,
        WeatherFormat::Epw,
        WeatherFormat::Table,
    ];

    /// What options call it.
    pub const fn name(self) -> &'static str {
        match self {
            WeatherFormat::Isd => "isd",
            WeatherFormat::Ghcnh => "ghcnh",
            WeatherFormat::Tmy3 => "tmy3",
            WeatherFormat::Epw => "epw",
            WeatherFormat::Table => "table",
        }
    }

    /// What a text begins like; anything may be a table.
    fn of_text(head: &[u8]) -> WeatherFormat {
        let mut lines =
            head.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
        let (first, second) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
        if isd::is_isd(first) {
            WeatherFormat::Isd
        } else if ghcnh::is_ghcnh(first) {
            WeatherFormat::Ghcnh
        } else if epw::is_epw(first) {
            WeatherFormat::Epw
        } else if tmy3::is_tmy3(second) {
            WeatherFormat::Tmy3
        } else {
            WeatherFormat::Table
        }
    }
}

impl fmt::Display for WeatherFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for WeatherFormat {
    type Err = UnknownWeatherFormat;

    fn from_str(text: &str) -> Result<WeatherFormat, UnknownWeatherFormat> {
        let found = WeatherFormat::ALL.into_iter().find(|format| format.name() == text);
        found.ok_or_else(|| UnknownWeatherFormat { text: text.to_owned() })
    }
}

/// No weather file that can be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown kind of weather file {}; allowed: {}", Shown(text), WeatherFormat::ALL.map(WeatherFormat::name).join(", ")
)]
pub struct UnknownWeatherFormat {
    /// What was given.
    pub text: String,
}

/// What temperatures of a table are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TemperatureUnit {
    /// °C.
    Celsius,
    /// °F.
    Fahrenheit,
}

impl TemperatureUnit {
    /// The same temperature in °C: T = 32 + 1.8·t.
    pub fn to_degc(self, degrees: f64) -> f64 {
        match self {
            TemperatureUnit::Celsius => degrees,
            TemperatureUnit::Fahrenheit => (degrees - 32.0) / 1.8,
        }
    }
}

/// How a weather file is written, as far as it is not to be found out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WeatherOptions {
    /// The kind of file; recognized if it is not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<WeatherFormat>,
    /// The column of temperatures in a table; recognized by its title if there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature_column: Option<ColumnRef>,
    /// What they are in; recognized by the title of the column: `tempF`, `temperature_c`, `T (°C)`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<TemperatureUnit>,
    /// How a table is written: its times above all.
    pub csv: CsvOptions,
}

/// Reads a weather file, compressed or not.
///
/// ```
/// use sheaf_sources::{Input, WeatherData, WeatherOptions, read_weather};
///
/// let text = "time,tempF\n2017-01-01T00:00Z,50\n2017-01-01T01:00Z,\n2017-01-01T02:00Z,32\n";
/// let file = read_weather(Input::bytes("porch.csv", text), &WeatherOptions::default())?;
/// let WeatherData::Hourly(hours) = &file.data else { panic!("all times are full hours") };
/// assert_eq!(hours.iter().map(|hour| hour.degc).collect::<Vec<_>>(), [10.0, 0.0]);
/// assert_eq!((file.report.rows, file.report.missing), (3, 1));
/// # Ok::<(), sheaf_sources::SourceError>(())
/// ```
///
/// # Errors
/// The file can't be read, is damaged or cut off, or does not say what its numbers are.
pub fn read_weather(input: Input, options: &WeatherOptions) -> Result<WeatherFile, SourceError> {
    let Opened { name, mut text, .. } = input.unpack()?;
    let mut head = Vec::with_capacity(HEAD_BYTES);
    (&mut text).take(HEAD_BYTES as u64).read_to_end(&mut head).map_err(|source| SourceError::Read {
        input: name.clone(),
        line: 0,
        source,
    })?;
    if head.starts_with(b"\xEF\xBB\xBF") {
        head.drain(..3);
    }
    let format = options.format.unwrap_or_else(|| WeatherFormat::of_text(&head));
    let whole: Box<dyn Read + Send> = Box::new(Cursor::new(head).chain(text));
    let read: fn(&mut Lines) -> Result<Parts, SourceError> = match format {
        WeatherFormat::Table => return table::read(Input::reader(name, whole), options),
        WeatherFormat::Isd => isd::read,
        WeatherFormat::Ghcnh => ghcnh::read,
        WeatherFormat::Tmy3 => tmy3::read,
        WeatherFormat::Epw => epw::read,
    };
    let (station, data, report) = read(&mut Lines::new(name, whole))?;
    Ok(WeatherFile { format, station, data, report })
}

/// The parts of a file that are read.
type Parts = (FileStation, WeatherData, WeatherReport);

/// What a row says of the temperature.
enum Reading {
    Known(f64),
    Missing,
    /// The service holds it for wrong.
    Rejected,
}

/// Reports of a station in the making.
#[derive(Default)]
struct Reports {
    station: FileStation,
    list: Vec<Observation>,
    report: WeatherReport,
}

impl Reports {
    fn add(&mut self, at: Tick, reading: Reading) -> Result<(), WeatherProblem> {
        self.report.rows += 1;
        match reading {
            Reading::Known(degc) => {
                if self.list.len() == MOST_REPORTS {
                    return Err(WeatherProblem::TooMany { most: MOST_REPORTS });
                }
                self.report.see(degc);
                self.list.push(Observation { at, degc });
            }
            Reading::Missing => self.report.missing += 1,
            Reading::Rejected => self.report.rejected += 1,
        }
        Ok(())
    }

    /// By time, with what is to be counted in that order.
    fn sort(&mut self) {
        if !self.list.is_sorted_by_key(|observation| observation.at) {
            self.list.sort_by_key(|observation| observation.at);
        }
        self.report.times = self.list.first().zip(self.list.last()).map(|(first, last)| (first.at, last.at));
        let twice = self.list.windows(2).filter(|pair| pair[0].at == pair[1].at).count();
        self.report.duplicates = twice as u64;
    }

    fn into_parts(mut self) -> Parts {
        self.sort();
        (self.station, WeatherData::Reports(self.list), self.report)
    }
}

/// A time in UTC; `None` if there is none.
fn utc(year: u32, month: u32, day: u32, hour: u32, minute: u32) -> Option<Tick> {
    let small = |number: u32| i8::try_from(number).ok();
    let civil = DateTime::new(
        i16::try_from(year).ok()?,
        small(month)?,
        small(day)?,
        small(hour)?,
        small(minute)?,
        0,
        0,
    );
    let seconds = TimeZone::UTC.to_timestamp(civil.ok()?).ok()?.as_second();
    Tick::UNIX_EPOCH.checked_add(seconds * Tick::PER_SECOND)
}

/// A position, if both are known and on Earth.
fn position(latitude_deg: Option<f64>, longitude_deg: Option<f64>) -> Option<Position> {
    let latitude_deg = latitude_deg.filter(|degrees| (-90.0..=90.0).contains(degrees))?;
    let longitude_deg = longitude_deg.filter(|degrees| (-180.0..=180.0).contains(degrees))?;
    Some(Position { latitude_deg, longitude_deg })
}

/// A name or id, if there is one.
fn named(text: &[u8]) -> Option<String> {
    (!text.is_empty()).then(|| lines::text(text))
}
