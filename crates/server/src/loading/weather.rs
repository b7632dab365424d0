//! Temperatures of a station from the file of a weather service.

use serde::Serialize;
use sheaf_db::ResourceMetadata;
use sheaf_metering::weather::{Imported, import};
use sheaf_model::{Properties, SeriesKey};
use sheaf_sources::{Input, WeatherFile, WeatherOptions, read_weather};

use super::LoadError;
use crate::data::Data;

/// What became of a weather file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct LoadedWeather {
    /// Its name.
    pub(crate) input: String,
    /// How it is written.
    pub(crate) format: String,
    /// The series with its hours.
    pub(crate) series: String,
    /// How many hours have a temperature.
    pub(crate) hours: usize,
    /// How many of its rows have none.
    pub(crate) missing: u64,
    /// How many temperatures the service itself holds for wrong.
    pub(crate) rejected: u64,
    /// The commit with them; nothing if all of them were there.
    pub(crate) commit: Option<i64>,
}

/// Loads a file under a station.
///
/// # Errors
/// It can't be read or has no temperature, the station can't be called so, or the store or the database fails.
pub(crate) async fn weather(
    data: &Data,
    input: Input,
    station: &str,
    options: WeatherOptions,
) -> Result<LoadedWeather, LoadError> {
    let name = input.name().to_owned();
    let read = tokio::task::spawn_blocking(move || read_weather(input, &options));
    let file = read.await.map_err(|error| LoadError::Task(error.to_string()))??;
    let imported = import(&data.store, station, &file).await?;
    describe(data, station, &file, &imported).await?;
    Ok(LoadedWeather {
        input: name,
        format: file.format.to_string(),
        series: imported.series,
        hours: imported.hours,
        missing: file.report.missing,
        rejected: file.report.rejected,
        commit: imported.commit,
    })
}

async fn describe(
    data: &Data,
    station: &str,
    file: &WeatherFile,
    imported: &Imported,
) -> Result<(), LoadError> {
    let Ok(SeriesKey { catalog, resource, .. }) = imported.series.parse() else { return Ok(()) };
    let known = sheaf_sources::station(station).ok().map(|known| known.name.to_owned());
    let name = known.or_else(|| file.station.name.clone()).unwrap_or_else(|| station.to_owned());
    let kind = match file.hours() {
        Some(_) => "Hourly mean temperature observed at",
        None => "Hourly temperature of a normal year at",
    };
    let mut properties = Properties::default();
    properties.insert("unit", "°C".to_owned());
    properties.insert("description", format!("{kind} {name}"));
    let known = ResourceMetadata { catalog, resource, properties };
    data.database.metadata().patch(Vec::new(), vec![known]).await?;
    Ok(())
}
