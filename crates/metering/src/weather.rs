//! Weather in the store: hourly temperatures of stations, and normal years.
//!
//! A station is the catalog `/weather/station_<id>` ([`catalog_of`] spells it), with two resources in °C, both by the hour:
//!
//! | series | |
//! |---|---|
//! | `/weather/station_722874/temperature/1_h` | what was observed: the mean of each hour |
//! | `/weather/station_722874/temperature_normal/1_h` | a normal year: 8760 hours of 2015, whose days are those that eemeter gives its normal years |
//!
//! So `/weather/station_722874/temperature/1_d_mean` is a path as any other, and charts and exports work. Where local standard time
//! is half an hour off, the hours of the normal year begin at half past.
//!
//! [`WeatherStore`] reads both back as models take them, in °F and with the days of a zone. Many meters share few stations, so
//! what was read is remembered for as long as nobody writes to it.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sheaf_model::{CatalogId, DataType, SamplePeriod, Tick, TimeRange, Values};
use sheaf_savings::weather::Weather;
use sheaf_savings::zone::{TICKS_PER_DAY, TICKS_PER_HOUR, Zone};
use sheaf_sources::{
    NearStation, Observation, WeatherData, WeatherFile, nearest_stations, station, zip_area,
};
use sheaf_store::{Layout, Rows, SeenSeries, SeriesId, SeriesSpec, Store, StoreError, Write};

use crate::note::note;
use crate::trace_name::name_of;

/// The catalog of all stations.
pub const WEATHER: &str = "/weather";

/// The resource of what was observed.
pub const OBSERVED: &str = "temperature";

/// The resource of a normal year.
pub const NORMAL: &str = "temperature_normal";

/// The year that a normal year is kept under, from its begin to its end.
const NORMAL_YEAR: [&str; 2] = ["2015-01-01", "2016-01-01"];

/// A station this far away is another climate, in km.
pub const FARTHEST_KM: f64 = 200.0;

/// The share of hours that must have a temperature.
pub const LEAST_COVERAGE: f64 = 0.9;

/// Series of weather that are remembered, at most: some 300 KB a piece.
const MOST_REMEMBERED: usize = 64;

/// Stations whose temperatures are looked at for one place.
const MOST_LOOKED_AT: usize = 20;

/// Places whose nearest stations are remembered, at most.
const MOST_PLACES: usize = 50_000;

/// Weather that can't be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WeatherError {
    /// The store fails.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A station that can't be called so.
    #[error("`{station}` can't be the id of a weather station: {problem}")]
    Station {
        /// What was given.
        station: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A file without temperatures.
    #[error("the file has no temperature")]
    Empty,
    /// A task failed.
    #[error("reading weather ended early: {0}")]
    Task(String),
}

/// What a station is called here: by its USAF id if it is one of the table of stations, however it is written, else as it is.
pub fn station_id(id: &str) -> &str {
    station(id).map_or(id, |known| known.usaf_id)
}

/// The catalog of a station: `/weather/station_722874`, also of `722874-93134`.
///
/// # Errors
/// The id is empty or too long.
pub fn catalog_of(station: &str) -> Result<CatalogId, WeatherError> {
    catalog(station_id(station))
}

/// The catalog of a station that is called so here.
fn catalog(station: &str) -> Result<CatalogId, WeatherError> {
    let wrong = |problem: String| WeatherError::Station { station: station.to_owned(), problem };
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let name = if !station.is_empty() && station.bytes().all(is_plain) && !station.starts_with("__") {
        station.to_owned()
    } else {
        name_of(station).map_err(|error| wrong(error.to_string()))?.to_string()
    };
    format!("{WEATHER}/station_{name}").parse().map_err(|error| wrong(format!("{error}")))
}

fn key(station: &str, resource: &str) -> Result<String, WeatherError> {
    Ok(format!("{}/{resource}/1_h", catalog(station)?))
}

/// What an import has done.
#[derive(Clone, Debug, PartialEq)]
pub struct Imported {
    /// The series.
    pub series: String,
    /// Hours with a temperature in the file.
    pub hours: usize,
    /// The commit that has them; nothing if all of them were there.
    pub commit: Option<i64>,
}

/// Keeps the temperatures of a file under a station. What is there already is not written again.
///
/// # Errors
/// The file has no temperature, the station can't be called so, or the store fails.
pub async fn import(store: &Store, station: &str, file: &WeatherFile) -> Result<Imported, WeatherError> {
    let [from, to] = NORMAL_YEAR.map(year_bound);
    let (resource, hours): (_, Vec<Observation>) = match &file.data {
        WeatherData::NormalYear(year) => {
            (NORMAL, year.hours(from, to).filter(|hour| hour.degc.is_finite()).collect())
        }
        _ => (OBSERVED, file.hours().unwrap_or_default()),
    };
    write(store, station_id(station), resource, &hours).await
}

/// Keeps hours of a station; each begins at the same minute of its hour.
async fn write(
    store: &Store,
    station: &str,
    resource: &str,
    hours: &[Observation],
) -> Result<Imported, WeatherError> {
    let (Some(first), Some(last)) = (hours.first(), hours.last()) else { return Err(WeatherError::Empty) };
    let key = key(station, resource)?;
    let period = SamplePeriod::from_ticks(TICKS_PER_HOUR).map_err(impossible)?;
    let layout = Layout::Regular { period, phase_ticks: first.at.ticks().rem_euclid(TICKS_PER_HOUR) };
    let spec = SeriesSpec { key: key.clone(), data_type: DataType::Float64, layout };
    let series = store.create_series(&[spec]).await?;
    let end = last.at.checked_add(TICKS_PER_HOUR).unwrap_or(Tick::MAX);
    let range = TimeRange::new(first.at, end).map_err(impossible)?;
    let mut imported = Imported { series: key, hours: hours.len(), commit: None };
    let Some(series) = series.first().copied() else { return Ok(imported) };
    let there: HashMap<Tick, u64> = read(store, series, Some(range))
        .await?
        .1
        .into_iter()
        .map(|(start, degc)| (start, degc.to_bits()))
        .collect();
    let new: Vec<&Observation> =
        hours.iter().filter(|hour| there.get(&hour.at) != Some(&hour.degc.to_bits())).collect();
    if !new.is_empty() {
        let starts = new.iter().map(|hour| hour.at).collect();
        let values = Values::F64(new.iter().map(|hour| hour.degc).collect());
        let rows = Rows::listed(starts, values).map_err(impossible)?;
        imported.commit = Some(store.write(Write::new().rows(series, rows)).await?.commit);
    }
    Ok(imported)
}

fn impossible(error: impl std::fmt::Display) -> StoreError {
    StoreError::Task(error.to_string())
}

fn year_bound(text: &str) -> Tick {
    text.parse().unwrap_or(Tick::UNIX_EPOCH)
}

/// The temperatures of a series, in °C and by time, with the commit and nonce of what was read.
async fn read(
    store: &Store,
    series: SeriesId,
    range: Option<TimeRange>,
) -> Result<((i64, i64), Vec<(Tick, f64)>), WeatherError> {
    let snapshot = store.snapshot(&[series]).await?;
    let scan = snapshot.scan(series, range).await?;
    let read = tokio::task::spawn_blocking(move || {
        let mut hours = Vec::new();
        for rows in scan {
            let rows = rows?;
            let Values::F64(values) = rows.values() else { continue };
            for (row, degc) in values.iter().enumerate().filter(|(row, _)| rows.is_valid(*row)) {
                hours.extend(Tick::new(rows.start_ticks(row)).map(|start| (start, *degc)));
            }
        }
        Ok::<_, StoreError>(hours)
    });
    let hours = read.await.map_err(|error| WeatherError::Task(error.to_string()))??;
    Ok(((snapshot.commit(), snapshot.nonce()), hours))
}

/// Which temperatures were used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// The series.
    pub series: String,
    /// The first hour.
    pub begin: Tick,
    /// The end of the last hour.
    pub end: Tick,
    /// The commit that they were read from.
    pub commit: i64,
}

/// Weather, and where it is from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// In °F, with the days of the zone that was asked for.
    pub weather: Arc<Weather>,
    /// Which temperatures they are.
    pub pin: Pin,
}

/// The weather of a place.
#[derive(Clone, Debug)]
pub struct Chosen {
    /// The station.
    pub station: String,
    /// How far it is from the place; nothing if nobody knows where either of them is.
    pub distance_km: Option<f64>,
    /// The share of the hours that were wanted that have a temperature.
    pub coverage: f64,
    /// Its weather.
    pub loaded: Loaded,
    /// What is to be said about it.
    pub warnings: Vec<Value>,
}

/// Where a project is, or which stations it wants.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Place {
    /// Its ZIP code.
    pub zipcode: Option<String>,
    /// Its station.
    pub station: Option<String>,
}

/// The weather of a store.
pub struct WeatherStore {
    store: Store,
    stations: tokio::sync::Mutex<Stations>,
    remembered: Mutex<HashMap<Key, Remembered>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    series: String,
    range: Option<(Tick, Tick)>,
    zone: String,
}

#[derive(Clone)]
struct Remembered {
    /// Commit and nonce.
    at: (i64, i64),
    loaded: Option<Loaded>,
}

impl WeatherStore {
    /// The weather of this store.
    pub fn new(store: Store) -> WeatherStore {
        WeatherStore { store, stations: tokio::sync::Mutex::default(), remembered: Mutex::default() }
    }

    /// What a station has observed in a range; nothing if it has no temperature there.
    ///
    /// # Errors
    /// The station can't be called so, or the store fails.
    pub async fn observed(
        &self,
        station: &str,
        range: TimeRange,
        zone: &Zone,
    ) -> Result<Option<Loaded>, WeatherError> {
        self.load(key(station_id(station), OBSERVED)?, Some(range), zone).await
    }

    /// The normal year of a station: all hours of 2015 in the zone. Nothing if it has none.
    ///
    /// # Errors
    /// The station can't be called so, or the store fails.
    pub async fn normal_year(&self, station: &str, zone: &Zone) -> Result<Option<Loaded>, WeatherError> {
        self.load(key(station_id(station), NORMAL)?, None, zone).await
    }

    /// What was used, as it is now; nothing if it is gone.
    ///
    /// # Errors
    /// The store fails.
    pub async fn pinned(&self, pin: &Pin, zone: &Zone) -> Result<Option<Loaded>, WeatherError> {
        let is_year = pin.series.ends_with(&format!("/{NORMAL}/1_h"));
        let range = TimeRange::new(pin.begin, pin.end).map_err(impossible)?;
        self.load(pin.series.clone(), (!is_year).then_some(range), zone).await
    }

    async fn load(
        &self,
        series: String,
        range: Option<TimeRange>,
        zone: &Zone,
    ) -> Result<Option<Loaded>, WeatherError> {
        let Some(id) = self.store.find_series(&series).await? else { return Ok(None) };
        let key = Key {
            series: series.clone(),
            range: range.map(|range| (range.begin(), range.end())),
            zone: zone.to_string(),
        };
        let before = self.remembered().get(&key).cloned();
        if let Some(before) = before
            && self.is_current(id, before.at, range).await?
        {
            return Ok(before.loaded);
        }
        let (at, hours) = read(&self.store, id, range).await?;
        let zone = zone.clone();
        let made = tokio::task::spawn_blocking(move || {
            let (first, last) = hours.first().zip(hours.last()).map(|(first, last)| (first.0, last.0))?;
            let end = last.checked_add(TICKS_PER_HOUR).unwrap_or(Tick::MAX);
            let pin = Pin { series, begin: first, end, commit: at.0 };
            let hours = if range.is_none() { local_year(hours, &zone) } else { hours };
            Some(Loaded { weather: Arc::new(Weather::from_degc(hours, zone)), pin })
        });
        let loaded = made.await.map_err(|error| WeatherError::Task(error.to_string()))?;
        let mut remembered = self.remembered();
        if remembered.len() >= MOST_REMEMBERED {
            remembered.clear();
        }
        remembered.insert(key, Remembered { at, loaded: loaded.clone() });
        Ok(loaded)
    }

    fn remembered(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Remembered>> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nothing was written to a range of a series since a commit.
    async fn is_current(
        &self,
        series: SeriesId,
        (commit, nonce): (i64, i64),
        range: Option<TimeRange>,
    ) -> Result<bool, StoreError> {
        if self.store.head().await? == (commit, nonce) {
            return Ok(true);
        }
        let snapshot = self.store.snapshot(&[series]).await?;
        if !snapshot.knows(commit, nonce).await? {
            return Ok(false);
        }
        let changed = snapshot.changed_since(series, commit)?;
        Ok(!changed.iter().any(|changed| range.is_none_or(|range| range.intersection(*changed).is_some())))
    }

    /// The observed weather for a place: that of its station, else of the nearest one that has enough, else of the one that
    /// has most within [`FARTHEST_KM`]. `read` is the range that is read, `wanted` the part of it that must be covered.
    ///
    /// # Errors
    /// A sentence that says which stations were looked at and what they lack; or the store fails.
    pub async fn observed_for(
        &self,
        place: &Place,
        range: TimeRange,
        wanted: TimeRange,
        zone: &Zone,
    ) -> Result<Result<Chosen, String>, WeatherError> {
        if let Some(station) = &place.station {
            let Some(loaded) = self.observed(station, range, zone).await? else {
                return Ok(Err(format!(
                    "station {station} has no observations from {} to {}; import some",
                    wanted.begin(),
                    wanted.end()
                )));
            };
            let distance_km = distance_km(place, station);
            return Ok(Ok(chosen(station_id(station).to_owned(), distance_km, wanted, loaded)));
        }
        let mut best: Option<Chosen> = None;
        let mut seen = Vec::new();
        let stations = match self.stations_near(place, OBSERVED).await? {
            Ok(stations) => stations,
            Err(problem) => return Ok(Err(problem)),
        };
        for (station, distance_km) in stations.iter().map(|(station, distance_km)| (station, *distance_km)) {
            let loaded = self.observed(station, range, zone).await?;
            let coverage = loaded.as_ref().map_or(0.0, |loaded| coverage(&loaded.weather, wanted));
            seen.push(format!("{station} ({distance_km:.0} km) covers {:.0} %", 100.0 * coverage));
            let Some(loaded) = loaded.filter(|_| coverage > 0.0) else { continue };
            let found = chosen(station.clone(), Some(distance_km), wanted, loaded);
            if coverage >= LEAST_COVERAGE {
                return Ok(Ok(found));
            }
            if distance_km <= FARTHEST_KM && best.as_ref().is_none_or(|best| best.coverage < coverage) {
                best = Some(found);
            }
        }
        let looked_at = if seen.is_empty() {
            "no station of the store has any".to_owned()
        } else {
            format!("looked at {}", seen.join(", "))
        };
        let none = || {
            let (begin, end) = (wanted.begin(), wanted.end());
            format!("no observed weather from {begin} to {end}: {looked_at}; import some, or name a station")
        };
        Ok(best.ok_or_else(none))
    }

    /// The normal year for a place: that of its station, else of the nearest one that has one.
    ///
    /// # Errors
    /// A sentence that says what is missing; or the store fails.
    pub async fn normal_year_for(
        &self,
        place: &Place,
        zone: &Zone,
    ) -> Result<Result<Chosen, String>, WeatherError> {
        let (station, distance_km) = match &place.station {
            Some(station) => (station_id(station).to_owned(), distance_km(place, station)),
            None => match self.stations_near(place, NORMAL).await? {
                Ok(stations) => match stations.first() {
                    Some((station, distance_km)) => (station.clone(), Some(*distance_km)),
                    None => {
                        return Ok(Err("no station of the store has a normal year; import one".to_owned()));
                    }
                },
                Err(problem) => return Ok(Err(problem)),
            },
        };
        let Some(loaded) = self.normal_year(&station, zone).await? else {
            return Ok(Err(format!("station {station} has no normal year; import one")));
        };
        let wanted = TimeRange::new(loaded.pin.begin, loaded.pin.end).map_err(impossible)?;
        let year = loaded.weather.degf().len() as f64 / (365.0 * 24.0);
        let mut found = chosen(station, distance_km, wanted, loaded);
        found.coverage = year.min(1.0);
        Ok(Ok(found))
    }

    /// The stations that have a series of such a resource, the nearest one first.
    async fn stations_near(
        &self,
        place: &Place,
        resource: &'static str,
    ) -> Result<Result<Near, String>, WeatherError> {
        let Some(zipcode) = &place.zipcode else {
            return Ok(Err("the project has neither a ZIP code nor a weather station".to_owned()));
        };
        let position = match zip_area(zipcode) {
            Ok(area) => area.position,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let mut known = self.stations.lock().await;
        known.update(&self.store).await?;
        let Stations { keys, near, .. } = &mut *known;
        if let Some(found) = near.get(&(zipcode.clone(), resource)) {
            return Ok(Ok(found.clone()));
        }
        let is_there =
            |near: &NearStation| key(near.station.usaf_id, resource).is_ok_and(|key| keys.contains(&key));
        let found: Vec<(String, f64)> = nearest_stations(position)
            .filter(is_there)
            .take(MOST_LOOKED_AT)
            .map(|near| (near.station.usaf_id.to_owned(), near.distance_km))
            .collect();
        let found = Arc::new(found);
        near.insert((zipcode.clone(), resource), found.clone());
        Ok(Ok(found))
    }
}

/// Stations with their distances in km, the nearest one first.
type Near = Arc<Vec<(String, f64)>>;

/// Which stations the store has, and which of them are near to where.
#[derive(Default)]
struct Stations {
    seen: SeenSeries,
    /// The keys of their series.
    keys: HashSet<String>,
    /// By ZIP code and resource.
    near: HashMap<(String, &'static str), Near>,
}

impl Stations {
    /// Costs one row where no series was made since.
    async fn update(&mut self, store: &Store) -> Result<(), StoreError> {
        let unseen = store.series_unseen(self.seen).await?;
        if unseen.is_all {
            self.keys.clear();
            self.near.clear();
        }
        let prefix = format!("{WEATHER}/");
        let of_weather =
            unseen.series.into_iter().map(|(_, spec)| spec.key).filter(|key| key.starts_with(&prefix));
        for key in of_weather {
            self.near.clear();
            self.keys.insert(key);
        }
        if self.near.len() > MOST_PLACES {
            self.near.clear();
        }
        self.seen = unseen.seen;
        Ok(())
    }
}

/// How far a station is from a place, as far as both are known.
fn distance_km(place: &Place, id: &str) -> Option<f64> {
    let area = zip_area(place.zipcode.as_deref()?);
    Some(area.ok()?.position.distance_km(station(id).ok()?.position))
}

fn chosen(station: String, distance_km: Option<f64>, wanted: TimeRange, loaded: Loaded) -> Chosen {
    let coverage = coverage(&loaded.weather, wanted);
    let mut warnings = Vec::new();
    if let Some(distance_km) = distance_km.filter(|distance_km| *distance_km > FARTHEST_KM) {
        let text = format!("weather station {station} is {distance_km:.0} km away");
        let data = json!({ "station": station, "distance_km": distance_km });
        warnings.push(note("sheaf.weather.far_station", &text, data));
    }
    if coverage < LEAST_COVERAGE && loaded.pin.series.ends_with(&format!("/{OBSERVED}/1_h")) {
        let text = format!(
            "weather station {station} has observed {:.1} % of the hours from {} to {}",
            100.0 * coverage,
            wanted.begin(),
            wanted.end()
        );
        let data = json!({ "station": station, "coverage": coverage });
        warnings.push(note("sheaf.weather.low_coverage", &text, data));
    }
    Chosen { station, distance_km, coverage, loaded, warnings }
}

/// The share of a range's hours that have a temperature.
fn coverage(weather: &Weather, wanted: TimeRange) -> f64 {
    let starts = weather.starts();
    let begin = starts.partition_point(|start| *start < wanted.begin());
    let end = starts.partition_point(|start| *start < wanted.end());
    let known =
        weather.degf().get(begin..end).unwrap_or_default().iter().filter(|degf| !degf.is_nan()).count();
    let hours = (wanted.ticks() as f64 / TICKS_PER_HOUR as f64).max(1.0);
    (known as f64 / hours).min(1.0)
}

/// The hours of a normal year in the order of a zone: from its New Year to the next one.
fn local_year(mut hours: Vec<(Tick, f64)>, zone: &Zone) -> Vec<(Tick, f64)> {
    const YEAR_TICKS: i64 = 365 * TICKS_PER_DAY;
    let [Ok(from), Ok(to)] = NORMAL_YEAR.map(|text| zone.time(text)) else { return hours };
    for (start, _) in &mut hours {
        let shift = if *start < from {
            YEAR_TICKS
        } else if *start >= to {
            -YEAR_TICKS
        } else {
            0
        };
        *start = start.checked_add(shift).unwrap_or(*start);
    }
    hours.sort_by_key(|(start, _)| *start);
    hours
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stations_have_catalogs() {
        assert_eq!(catalog_of("722874").unwrap().to_string(), "/weather/station_722874");
        assert_eq!(catalog_of("722874-93134").unwrap().to_string(), "/weather/station_722874");
        assert_eq!(catalog_of("USW00093134").unwrap().to_string(), "/weather/station_USW00093134");
        assert_eq!(catalog_of("my porch").unwrap().to_string(), "/weather/station___my_20porch");
        assert!(catalog_of("").is_err());
    }

    #[test]
    fn a_normal_year_is_a_year_of_the_zone() {
        let begin: Tick = "2015-01-01".parse().unwrap();
        let hours: Vec<(Tick, f64)> =
            (0..8760).map(|hour| (begin.checked_add(hour * TICKS_PER_HOUR).unwrap(), hour as f64)).collect();
        for (zone, first) in [("UTC", 0.0), ("America/Chicago", 6.0), ("Asia/Tokyo", 8751.0)] {
            let zone = Zone::new(zone).unwrap();
            let year = local_year(hours.clone(), &zone);
            assert_eq!((year.len(), year[0].1), (8760, first), "{zone}");
            let weather = Weather::from_degc(year, zone);
            assert_eq!(weather.day_degf().len(), 365);
            assert!(weather.day_degf().iter().all(|degf| !degf.is_nan()));
        }
    }
}
