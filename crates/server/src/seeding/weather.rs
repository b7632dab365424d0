//! The weather of the seeds: temperatures by the hour as they might have been, and a normal year, for the station that a ZIP
//! code is nearest to of those that have one.

use std::f64::consts::TAU;

use sheaf_db::ResourceMetadata;
use sheaf_metering::weather::{NORMAL, OBSERVED, catalog_of};
use sheaf_model::{DataType, Properties, ResourceId, SamplePeriod, Samples, SeriesKey, Values};
use sheaf_sources::{Station, StationQuality, nearest_stations, zip_area};
use sheaf_store::{Layout, SeriesSpec, Write};

use super::random::Random;
use super::{SeedError, TICKS_PER_HOUR, day, days_since_1970, impossible};
use crate::data::Data;

const DAYS_PER_YEAR: f64 = 365.2425;

/// The coldest day of a year, counted from its first.
const COLDEST_DAY: f64 = 20.0;

/// The warmest hour of a day, by the sun.
const WARMEST_HOUR: f64 = 15.0;

/// How much of the noise of an hour is that of the hour before: weather goes on for two or three days.
const PERSISTENCE: f64 = 0.985;

/// The year that normal years are kept under, see `sheaf_metering::weather`.
const NORMAL_YEAR: &str = "2015-01-01";
const HOURS_PER_NORMAL_YEAR: usize = 8760;

/// How warm it is in a region.
#[derive(Debug)]
pub(super) struct Climate {
    /// Where that is. The station near the first one has the weather of all.
    pub(super) zipcodes: &'static [&'static str],
    pub(super) mean_degc: f64,
    /// From the mean to the warmest and the coldest part of the year.
    pub(super) season_degc: f64,
    /// The same of a day.
    pub(super) day_degc: f64,
    /// The standard deviation of all else.
    pub(super) noise_degc: f64,
}

impl Climate {
    /// The nearest good station that has a normal year.
    pub(super) fn station(&self) -> Result<&'static Station, SeedError> {
        let zipcode = self.zipcodes.first().copied().unwrap_or_default();
        let is_good = |station: &Station| station.has_normal_year && station.quality == StationQuality::High;
        nearest_stations(zip_area(zipcode)?.position)
            .map(|near| near.station)
            .find(|station| is_good(station))
            .ok_or_else(|| impossible("the weather")(&format!("no station near {zipcode}")))
    }

    /// Temperatures from a day on, in °C: what was observed, or a normal year, which has less noise.
    fn hours(&self, first_day: i64, count: usize, is_normal: bool) -> Result<Vec<f64>, SeedError> {
        let station = self.station()?;
        let longitude_hours = station.position.longitude_deg / 15.0;
        let id = station.usaf_id.bytes().fold(0, |id, byte| id * 256 + u64::from(byte));
        let mut random = Random::new(if is_normal { 2 } else { 1 }, id);
        let noise_degc = if is_normal { 0.6 * self.noise_degc } else { self.noise_degc };
        let fresh = noise_degc * (1.0 - PERSISTENCE * PERSISTENCE).sqrt();
        let mut noise = 0.0;
        let hour = |index| {
            noise = PERSISTENCE * noise + fresh * random.normal();
            let hours = first_day as f64 * 24.0 + index as f64 + 0.5;
            let season = ((hours / 24.0 - COLDEST_DAY) / DAYS_PER_YEAR * TAU).cos();
            let time_of_day = ((hours + longitude_hours - WARMEST_HOUR) / 24.0 * TAU).cos();
            let degc = self.mean_degc - self.season_degc * season + self.day_degc * time_of_day + noise;
            // As thermometers are read. It also makes nothing of the last bits, which differ from machine to machine.
            (degc * 10.0).round() / 10.0
        };
        Ok((0..count).map(hour).collect())
    }

    /// Observed temperatures of whole days: those that are seeded.
    pub(super) fn observed(&self, first_day: i64, end_day: i64) -> Result<Vec<f64>, SeedError> {
        self.hours(first_day, 24 * usize::try_from(end_day - first_day).unwrap_or(0), false)
    }

    /// The normal year.
    pub(super) fn normal_year(&self) -> Result<Vec<f64>, SeedError> {
        self.hours(days_since_1970(NORMAL_YEAR)?, HOURS_PER_NORMAL_YEAR, true)
    }
}

/// The mean of each day of hours.
pub(super) fn daily_means(hours: &[f64]) -> Vec<f64> {
    hours.chunks_exact(24).map(|day| day.iter().sum::<f64>() / 24.0).collect()
}

/// Keeps the weather of climates, observed from one day to another, where there is none; how many series were written.
pub(super) async fn seed(
    data: &Data,
    climates: &[Climate],
    first_day: i64,
    end_day: i64,
) -> Result<usize, SeedError> {
    let period = SamplePeriod::from_ticks(TICKS_PER_HOUR).map_err(|error| impossible("an hour")(&error))?;
    let (mut specs, mut wanted) = (Vec::new(), Vec::new());
    for climate in climates {
        let catalog = catalog_of(climate.station()?.usaf_id)?;
        for name in [OBSERVED, NORMAL] {
            let resource: ResourceId = name.parse().map_err(|error| impossible("a resource")(&error))?;
            let key =
                SeriesKey { catalog: catalog.clone(), resource: resource.clone(), period: Some(period) };
            let layout = Layout::Regular { period, phase_ticks: 0 };
            specs.push(SeriesSpec { key: key.to_string(), data_type: DataType::Float64, layout });
            wanted.push((climate, catalog.clone(), resource));
        }
    }
    let series = data.store.create_series(&specs).await?;
    let snapshot = data.store.snapshot(&series).await?;
    let (mut write, mut metadata) = (Write::new(), Vec::new());
    for (series, (climate, catalog, resource)) in series.into_iter().zip(wanted) {
        if snapshot.range(series)?.is_some() {
            continue;
        }
        let (first_day, hours, description) = match resource.as_str() {
            NORMAL => (days_since_1970(NORMAL_YEAR)?, climate.normal_year()?, "a made-up normal year"),
            _ => (first_day, climate.observed(first_day, end_day)?, "made-up air temperature"),
        };
        let samples = Samples::new(day(first_day), period, Values::F64(hours));
        write = write.rows(series, samples.map_err(|error| impossible("the weather")(&error))?);
        let mut properties = Properties::default();
        properties.insert("unit", "°C");
        properties.insert("description", description);
        metadata.push(ResourceMetadata { catalog, resource, properties });
    }
    let written = metadata.len();
    if written > 0 {
        data.database.metadata().patch(Vec::new(), metadata).await?;
        data.store.write(write).await?;
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHICAGO: Climate =
        Climate { zipcodes: &["60601"], mean_degc: 10.0, season_degc: 14.0, day_degc: 4.0, noise_degc: 4.0 };

    #[test]
    fn weather_is_warm_in_summer_and_in_the_afternoon_and_always_the_same() {
        assert_eq!(CHICAGO.station().unwrap().usaf_id, "725340");
        let first = days_since_1970("2017-01-01").unwrap();
        let hours = CHICAGO.observed(first, first + 365).unwrap();
        assert_eq!(hours, CHICAGO.observed(first, first + 365).unwrap());
        let days = daily_means(&hours);
        let mean = |days: &[f64]| days.iter().sum::<f64>() / days.len() as f64;
        assert!((mean(&days) - 10.0).abs() < 1.5, "{}", mean(&days));
        assert!(mean(&days[185..215]) - mean(&days[5..35]) > 22.0);
        // 15:00 in Chicago is 21:00 UTC.
        let at = |hour: usize| mean(&hours.iter().copied().skip(hour).step_by(24).collect::<Vec<_>>());
        assert!(at(21) - at(9) > 7.0, "{} {}", at(21), at(9));
        assert_eq!(CHICAGO.normal_year().unwrap().len(), HOURS_PER_NORMAL_YEAR);
    }
}
