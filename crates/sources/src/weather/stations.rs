//! Which weather station is near? Positions of ZIP code areas and of stations, from two tables that come with the program.

use std::fmt;
use std::io::Read;
use std::sync::LazyLock;

use flate2::read::GzDecoder;

use crate::error::Shown;

/// The mean radius of the Earth, R₁ of GRS 80 (H. Moritz, Geodetic Reference System 1980, Journal of Geodesy 74, 2000).
const EARTH_RADIUS_KM: f64 = 6371.0088;

/// A place on Earth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Position {
    /// Degrees north, -90 to 90.
    pub latitude_deg: f64,
    /// Degrees east, -180 to 180.
    pub longitude_deg: f64,
}

impl Position {
    /// Along the surface of a sphere with the mean radius of the Earth: at most half a percent off.
    ///
    /// d = 2R·asin √(sin²(Δφ/2) + cos φ₁·cos φ₂·sin²(Δλ/2)), the haversine formula (R. W. Sinnott, Virtues of the Haversine,
    /// Sky and Telescope 68, 1984).
    pub fn distance_km(self, other: Position) -> f64 {
        let [from, to] = [self, other].map(|at| at.latitude_deg.to_radians());
        let north = ((to - from) / 2.0).sin();
        let east = ((other.longitude_deg - self.longitude_deg).to_radians() / 2.0).sin();
        let haversine = north * north + from.cos() * to.cos() * east * east;
        // Rounding may lead beyond 1 at the other side of the world.
        2.0 * EARTH_RADIUS_KM * haversine.min(1.0).sqrt().asin()
    }
}

/// A weather station of NOAA's Integrated Surface Database.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Station {
    /// Six characters, mostly digits; no two stations of the table have the same.
    pub usaf_id: &'static str,
    /// Five digits; `99999` where there is none.
    pub wban_id: &'static str,
    /// As the table has it, mostly in capitals.
    pub name: &'static str,
    /// The code of the airport, where there is one: `KLAX`.
    pub icao: Option<&'static str>,
    /// Where it is.
    pub position: Position,
    /// Metres above the sea, where that is known.
    pub elevation_m: Option<f64>,
    /// The state of the United States, or the like, where there is one: `CA`.
    pub state: Option<&'static str>,
    /// How complete its observations are.
    pub quality: StationQuality,
    /// Whether a typical meteorological year exists for it (TMY3).
    pub has_normal_year: bool,
}

/// How complete the hourly observations of a station were when the table was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StationQuality {
    /// Few, or none.
    Low,
    /// With gaps.
    Medium,
    /// Hardly any gaps in the years before.
    High,
}

/// A station, seen from somewhere.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NearStation {
    /// It.
    pub station: &'static Station,
    /// The distance in kilometres, along the surface.
    pub distance_km: f64,
}

/// An area of a ZIP code.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ZipArea {
    /// Five digits.
    pub zip: &'static str,
    /// Its centre.
    pub position: Position,
    /// `CA`.
    pub state: &'static str,
    /// The climate zone of the International Energy Conservation Code, 1 (hot) to 8 (arctic).
    pub iecc_climate_zone: Option<&'static str>,
    /// `A` (moist), `B` (dry) or `C` (marine); cold zones have none.
    pub iecc_moisture_regime: Option<&'static str>,
    /// The zone of the program Building America: `Mixed-Humid`.
    pub ba_climate_zone: Option<&'static str>,
}

/// The tables can't be used to answer this.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StationError {
    /// No ZIP code at all.
    #[error("{} is no ZIP code; write five digits like `60601`, or nine like `60601-1234`", Shown(text))]
    ZipForm {
        /// What was given.
        text: String,
    },
    /// A code without an area.
    #[error(
        "the Census has no area for ZIP code {zip}, so nobody knows where it is; many codes of post boxes have none. Name a \
         weather station or a position instead"
    )]
    UnknownZip {
        /// Five digits.
        zip: String,
    },
    /// No such station.
    #[error(
        "there is no weather station {}; write the six characters of its USAF id like `722874`, or with its WBAN id like \
         `722874-93134`",
        Shown(text)
    )]
    UnknownStation {
        /// What was given.
        text: String,
    },
    /// Another one has this USAF id.
    #[error("weather station {usaf_id} has the WBAN id {wban_id}, not {}", Shown(given))]
    OtherWban {
        /// The station.
        usaf_id: &'static str,
        /// Its WBAN id.
        wban_id: &'static str,
        /// What was given.
        given: String,
    },
}

/// All stations, in the order of the table.
pub fn stations() -> &'static [Station] {
    &STATIONS
}

/// The station with this id: `722874`, `722874-93134` or `72287493134`.
///
/// # Errors
/// There is none.
pub fn station(id: &str) -> Result<&'static Station, StationError> {
    let id = id.trim();
    let unknown = || StationError::UnknownStation { text: id.to_owned() };
    let (usaf, wban) = match id.split_once('-') {
        Some((usaf, wban)) => (usaf, Some(wban)),
        None if id.len() == 11 => {
            id.split_at_checked(6).map(|(usaf, wban)| (usaf, Some(wban))).ok_or_else(unknown)?
        }
        None => (id, None),
    };
    let station = STATIONS.iter().find(|station| station.usaf_id == usaf).ok_or_else(unknown)?;
    match wban {
        Some(given) if given != station.wban_id => Err(StationError::OtherWban {
            usaf_id: station.usaf_id,
            wban_id: station.wban_id,
            given: given.to_owned(),
        }),
        _ => Ok(station),
    }
}

/// The area of a ZIP code: of five digits, or of nine with a hyphen, of which the first five count.
///
/// # Errors
/// It is no ZIP code, or the table has no area for it.
pub fn zip_area(zip: &str) -> Result<ZipArea, StationError> {
    let text = zip.trim();
    let code = match text.split_once('-') {
        None => Some(text),
        Some((code, more)) => (more.len() == 4 && is_digits(more)).then_some(code),
    };
    let code = code
        .filter(|code| code.len() == 5 && is_digits(code))
        .ok_or_else(|| StationError::ZipForm { text: text.to_owned() })?;
    let found = ZIPS.lines.binary_search_by_key(&code, |&at| &ZIPS.text[at as usize..][..5]);
    let line = found.ok().and_then(|index| ZIPS.text[ZIPS.lines[index] as usize..].lines().next());
    line.and_then(zip_of_line).ok_or_else(|| StationError::UnknownZip { zip: code.to_owned() })
}

/// The areas of all ZIP codes, in their order, behind the first `skip`.
pub fn zip_areas(skip: usize) -> impl Iterator<Item = ZipArea> {
    let lines = ZIPS.lines.iter().skip(skip);
    lines.filter_map(|&line| ZIPS.text[line as usize..].lines().next().and_then(zip_of_line))
}

/// All stations, the nearest one first.
///
/// ```
/// use sheaf_sources::{StationQuality, nearest_stations, zip_area};
///
/// let home = zip_area("27401-1234")?.position;
/// let near = nearest_stations(home).find(|near| near.station.has_normal_year).expect("there are many");
/// assert_eq!(near.station.usaf_id, "723170");
/// assert!((12.0..20.0).contains(&near.distance_km));
/// let good = nearest_stations(home).filter(|near| near.station.quality == StationQuality::High);
/// assert!(good.take(10).map(|near| near.distance_km).is_sorted());
/// # Ok::<(), sheaf_sources::StationError>(())
/// ```
pub fn nearest_stations(position: Position) -> impl Iterator<Item = NearStation> {
    let with_distance = |station: &'static Station| NearStation {
        station,
        distance_km: position.distance_km(station.position),
    };
    let mut near: Vec<NearStation> = STATIONS.iter().map(with_distance).collect();
    near.sort_by(|a, b| a.distance_km.total_cmp(&b.distance_km));
    near.into_iter()
}

static STATION_TABLE: LazyLock<String> = LazyLock::new(|| unpack(include_bytes!("data/stations.csv.gz")));

static STATIONS: LazyLock<Vec<Station>> =
    LazyLock::new(|| STATION_TABLE.lines().skip(1).filter_map(station_of_line).collect());

/// The table of areas as text, and where its lines begin: a few are looked up, all of them hardly ever.
struct Zips {
    text: String,
    lines: Vec<u32>,
}

static ZIPS: LazyLock<Zips> = LazyLock::new(|| {
    let text = unpack(include_bytes!("data/zcta.csv.gz"));
    let ends = text.match_indices('\n').map(|(at, _)| at + 1);
    // Behind the titles, and without the end of the text.
    let lines = ends.filter(|&at| text.len() - at > 5).map(|at| at as u32).collect();
    Zips { text, lines }
});

/// What was packed when the program was built. The tests read all of it.
fn unpack(packed: &[u8]) -> String {
    let mut text = String::new();
    let unpacked = GzDecoder::new(packed).read_to_string(&mut text);
    debug_assert!(unpacked.is_ok(), "a table in the program is damaged");
    text
}

fn station_of_line(line: &'static str) -> Option<Station> {
    let fields: Vec<&str> = line.split(',').collect();
    let [usaf_id, wban_id, name, icao, latitude, longitude, elevation, state, quality, normal_year] =
        fields[..]
    else {
        return None;
    };
    Some(Station {
        usaf_id,
        wban_id,
        name,
        icao: filled(icao),
        position: Position { latitude_deg: latitude.parse().ok()?, longitude_deg: longitude.parse().ok()? },
        elevation_m: elevation.parse().ok(),
        state: filled(state),
        quality: match quality {
            "low" => StationQuality::Low,
            "medium" => StationQuality::Medium,
            "high" => StationQuality::High,
            _ => return None,
        },
        has_normal_year: normal_year == "1",
    })
}

fn zip_of_line(line: &'static str) -> Option<ZipArea> {
    let fields: Vec<&str> = line.split(',').collect();
    let [zip, latitude, longitude, state, climate, moisture, building_america] = fields[..] else {
        return None;
    };
    Some(ZipArea {
        zip,
        position: Position { latitude_deg: latitude.parse().ok()?, longitude_deg: longitude.parse().ok()? },
        state,
        iecc_climate_zone: filled(climate),
        iecc_moisture_regime: filled(moisture),
        ba_climate_zone: filled(building_america),
    })
}

fn filled(text: &'static str) -> Option<&'static str> {
    (!text.is_empty()).then_some(text)
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// `722874-93134 DOWNTOWN L.A./USC CAMPUS`.
impl fmt::Display for Station {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{} {}", self.usaf_id, self.wban_id, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(latitude_deg: f64, longitude_deg: f64) -> Position {
        Position { latitude_deg, longitude_deg }
    }

    #[test]
    fn distances_of_cities() {
        // Los Angeles to New York, Berlin to Paris; computed with the formula elsewhere.
        assert!((at(34.05, -118.25).distance_km(at(40.7128, -74.006)) - 3_936.381_407).abs() < 1e-6);
        assert!((at(52.52, 13.405).distance_km(at(48.8566, 2.3522)) - 877.464_538).abs() < 1e-6);
        // A quarter and a half of a great circle, also over the date line.
        let quarter = std::f64::consts::FRAC_PI_2 * EARTH_RADIUS_KM;
        assert!((at(0.0, 0.0).distance_km(at(90.0, 77.0)) - quarter).abs() < 1e-9);
        assert!((at(0.0, 135.0).distance_km(at(0.0, -135.0)) - quarter).abs() < 1e-9);
        // The formula is good to a metre at the other side of the world, and far better elsewhere.
        assert!((at(10.0, 20.0).distance_km(at(-10.0, -160.0)) - 2.0 * quarter).abs() < 1e-3);
        assert_eq!(at(10.0, 20.0).distance_km(at(10.0, 20.0)), 0.0);
    }

    #[test]
    fn every_line_of_the_tables_is_read() {
        assert_eq!(STATION_TABLE.lines().count(), 1 + stations().len());
        assert_eq!(stations().len(), 4814);
        assert_eq!(stations().iter().filter(|station| station.has_normal_year).count(), 1019);
        assert_eq!(ZIPS.lines.len(), 33_144);
        let zips = || ZIPS.lines.iter().map(|&line| &ZIPS.text[line as usize..][..5]);
        assert!(zips().is_sorted_by(|a, b| a < b));
        assert!(zip_areas(0).map(|area| area.zip).eq(zips()));
        assert_eq!(zip_areas(33_143).count(), 1);
        for zip in zips() {
            let area = zip_area(zip).unwrap();
            assert_eq!(area.zip, zip);
            assert!((-90.0..=90.0).contains(&area.position.latitude_deg), "{area:?}");
            assert!((-180.0..=180.0).contains(&area.position.longitude_deg), "{area:?}");
        }
        let mut ids: Vec<_> = stations().iter().map(|station| station.usaf_id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), stations().len());
    }

    #[test]
    fn a_station_has_two_ids() {
        let downtown = station("722874").unwrap();
        assert_eq!(downtown.to_string(), "722874-93134 DOWNTOWN L.A./USC CAMPUS");
        assert_eq!((downtown.icao, downtown.state), (Some("KCQT"), Some("CA")));
        assert_eq!((downtown.elevation_m, downtown.quality), (Some(54.6), StationQuality::Low));
        assert_eq!(downtown.position, at(34.024, -118.291));
        assert_eq!(station("722874-93134"), Ok(downtown));
        assert_eq!(station(" 72287493134"), Ok(downtown));
        assert_eq!(
            station("722874-99999").unwrap_err().to_string(),
            "weather station 722874 has the WBAN id 93134, not `99999`"
        );
        for unknown in ["", "000000", "-", "72287é93134", "KCQT"] {
            assert!(matches!(station(unknown), Err(StationError::UnknownStation { .. })), "{unknown}");
        }
    }

    #[test]
    fn a_zip_code_is_an_area() {
        let area = zip_area("90012").unwrap();
        assert_eq!((area.position, area.state), (at(34.06599, -118.23821), "CA"));
        assert_eq!((area.iecc_climate_zone, area.iecc_moisture_regime), (Some("3"), Some("B")));
        assert_eq!(area.ba_climate_zone, Some("Hot-Dry"));
        assert_eq!(zip_area(" 90012-4567 "), Ok(area));
        assert_eq!(zip_area("00601").unwrap().state, "PR");
        assert_eq!(zip_area("99929").unwrap().state, "AK");
        for wrong in ["", "9001", "900123", "9001a", "90012-", "90012-45", "90012-456a", "é0012"] {
            assert!(matches!(zip_area(wrong), Err(StationError::ZipForm { .. })), "{wrong}");
        }
        let unknown = zip_area("00000").unwrap_err().to_string();
        assert!(unknown.starts_with("the Census has no area for ZIP code 00000,"), "{unknown}");
    }

    #[test]
    fn the_nearest_station_comes_first() {
        let near: Vec<_> = nearest_stations(zip_area("90012").unwrap().position).collect();
        assert_eq!((near.len(), near[0].station.usaf_id), (stations().len(), "722874"));
        assert!((near[0].distance_km - 6.742_215).abs() < 1e-6, "{}", near[0].distance_km);
        assert!(near.is_sorted_by_key(|near| near.distance_km));
    }
}
