//! Samples that are made up: a catalog to try things out with, without any data.
//!
//! It has the resources of the catalog that Nexus brings along, so that notebooks made for that one run as they are; the
//! numbers are our own.

use serde::{Deserialize, Serialize};
use sheaf_model::{
    DataType, Properties, ResourceId, SamplePeriod, Samples, Tick, TimeRange, TimeUnit, Values,
};

use crate::error::SourceError;
use crate::source::{DataSource, Revision, SourceProblem, SourceSeries, slots_of};

/// Temperatures of one minute, in °C: one for each second of it.
const TEMPERATURES: [f64; 60] = [
    6.4, 6.5, 6.5, 6.7, 6.8, 6.8, 7.0, 7.1, 7.3, 7.2, 7.4, 7.5, 7.7, 7.6, 7.8, 7.9, 8.1, 8.0, 8.2, 8.3, 8.3,
    8.5, 8.4, 8.6, 8.7, 8.7, 8.9, 8.8, 9.0, 9.1, 9.0, 9.2, 9.1, 9.1, 8.9, 9.0, 8.8, 8.7, 8.8, 8.6, 8.5, 8.3,
    8.4, 8.2, 8.1, 7.9, 8.0, 7.8, 7.6, 7.7, 7.5, 7.3, 7.4, 7.2, 7.0, 6.9, 6.9, 6.7, 6.6, 6.5,
];

/// Wind speeds of one minute, in m/s.
const WIND_SPEEDS: [f64; 60] = [
    5.2, 5.9, 6.3, 5.7, 6.8, 7.4, 6.9, 8.2, 7.7, 8.8, 9.5, 8.9, 10.1, 9.6, 10.8, 11.3, 10.4, 11.9, 12.2,
    11.1, 12.7, 11.8, 12.9, 12.1, 11.4, 12.4, 11.6, 10.7, 11.2, 10.2, 9.8, 10.6, 9.3, 8.6, 9.1, 8.1, 7.9,
    8.4, 7.2, 6.6, 7.1, 6.1, 5.8, 6.4, 5.4, 4.9, 5.6, 4.7, 4.3, 5.1, 4.1, 3.8, 4.6, 3.6, 4.2, 3.9, 4.8, 4.4,
    5.3, 4.5,
];

/// The settings of the sample: there are none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SampleConfig {}

/// The sample: temperature and wind speed, which repeat each minute, and Unix time, for all of time.
#[derive(Debug, Default)]
pub struct SampleSource(());

/// What the samples of a series are.
#[derive(Clone, Copy)]
enum Content {
    /// The entry of a table for each second of a minute.
    Table(&'static [f64; 60]),
    /// Seconds since 1970.
    UnixTime,
}

struct Recipe {
    resource: &'static str,
    period: (u128, TimeUnit),
    content: Content,
    unit: &'static str,
    description: &'static str,
    group: &'static str,
}

/// All series, in the order of their names.
const RECIPES: [Recipe; 4] = [
    Recipe {
        resource: "T1",
        period: (1, TimeUnit::Second),
        content: Content::Table(&TEMPERATURES),
        unit: "°C",
        description: "Sample data: air temperature",
        group: "Group 1",
    },
    Recipe {
        resource: "V1",
        period: (1, TimeUnit::Second),
        content: Content::Table(&WIND_SPEEDS),
        unit: "m/s",
        description: "Sample data: wind speed",
        group: "Group 1",
    },
    Recipe {
        resource: "unix_time1",
        period: (40, TimeUnit::Millisecond),
        content: Content::UnixTime,
        unit: "s",
        description: "Sample data: seconds since 1970-01-01, 25 times a second",
        group: "Group 2",
    },
    Recipe {
        resource: "unix_time2",
        period: (1, TimeUnit::Second),
        content: Content::UnixTime,
        unit: "s",
        description: "Sample data: seconds since 1970-01-01",
        group: "Group 2",
    },
];

const README: &str = "# Sample\n\nSamples that are made up, for any time: to try things out with.\n";

impl SampleSource {
    /// The sample.
    pub fn new() -> SampleSource {
        SampleSource::default()
    }

    fn all() -> impl Iterator<Item = (SourceSeries, Content)> {
        RECIPES.iter().filter_map(|recipe| {
            let (count, unit) = recipe.period;
            let period = SamplePeriod::new(count, unit).ok()?;
            let mut series = SourceSeries::new(recipe.resource.parse().ok()?, period, DataType::Float64);
            series.properties.insert("unit", recipe.unit);
            series.properties.insert("description", recipe.description);
            series.properties.insert("groups", vec![recipe.group]);
            series.range = SourceSeries::endless_range(period);
            Some((series, recipe.content))
        })
    }

    fn content(&self, resource: &ResourceId, period: SamplePeriod) -> Result<Content, SourceError> {
        let found =
            SampleSource::all().find(|(series, _)| series.resource == *resource && series.period == period);
        found.map(|(_, content)| content).ok_or_else(|| {
            let all: Vec<SourceSeries> = SampleSource::all().map(|(series, _)| series).collect();
            SourceError::of_source(self.name(), SourceProblem::no_series(resource, period, &all))
        })
    }
}

impl DataSource for SampleSource {
    fn name(&self) -> &str {
        "the sample"
    }

    fn refresh(&self) -> Result<(), SourceError> {
        Ok(())
    }

    fn series(&self) -> Result<Vec<SourceSeries>, SourceError> {
        Ok(SampleSource::all().map(|(series, _)| series).collect())
    }

    fn properties(&self) -> Result<Properties, SourceError> {
        let mut properties = Properties::default();
        properties.insert("readme", README);
        Ok(properties)
    }

    fn read(
        &self,
        resource: &ResourceId,
        period: SamplePeriod,
        range: TimeRange,
    ) -> Result<Samples, SourceError> {
        let content = self.content(resource, period)?;
        let wrong = |problem| SourceError::of_source(self.name(), problem);
        let len = slots_of(resource, period, range).map_err(wrong)?;
        let begin = range.begin().unix_ticks();
        let value = |slot: usize| {
            let ticks = begin + slot as i64 * period.ticks();
            match content {
                // Both numbers are below 60.
                Content::Table(table) => table[ticks.div_euclid(Tick::PER_SECOND).rem_euclid(60) as usize],
                // In hundredths, because these are exact as floats: one division of such is rounded correctly.
                Content::UnixTime => (ticks / (Tick::PER_SECOND / 100)) as f64 / 100.0,
            }
        };
        let values = Values::F64((0..len).map(value).collect());
        Samples::new(range.begin(), period, values)
            .map_err(|error| wrong(SourceProblem::Setting { setting: "period", problem: error.to_string() }))
    }

    /// The same for ever, until the numbers in this file change.
    fn revision(
        &self,
        resource: &ResourceId,
        period: SamplePeriod,
        _: TimeRange,
    ) -> Result<Revision, SourceError> {
        self.content(resource, period).map(|_| Revision(1))
    }

    fn availability(&self, _: TimeRange) -> Result<Option<f64>, SourceError> {
        Ok(Some(1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(resource: &str, period: &str, begin: &str, end: &str) -> Vec<f64> {
        let range = TimeRange::new(begin.parse().unwrap(), end.parse().unwrap()).unwrap();
        let samples =
            SampleSource::new().read(&resource.parse().unwrap(), period.parse().unwrap(), range).unwrap();
        (0..samples.len()).map(|slot| samples.get(slot).unwrap()).collect()
    }

    #[test]
    fn tables_repeat_each_minute() {
        let values = read("T1", "1_s", "2020-01-01T00:00:58Z", "2020-01-01T00:01:02Z");
        assert_eq!(values, [6.6, 6.5, 6.4, 6.5]);
        // Also before 1970, and up to the end of time.
        assert_eq!(read("V1", "1_s", "1969-12-31T23:59:59Z", "1970-01-01T00:00:01Z"), [4.5, 5.2]);
        assert_eq!(read("V1", "1_s", "9999-12-31T23:59:58Z", "9999-12-31T23:59:59Z"), [5.3]);
    }

    #[test]
    fn unix_times_are_what_they_say() {
        assert_eq!(
            read("unix_time1", "40_ms", "2020-01-01T00:00:00.04Z", "2020-01-01T00:00:00.12Z"),
            [1_577_836_800.04, 1_577_836_800.08]
        );
        assert_eq!(
            read("unix_time2", "1_s", "0001-01-01T00:00:00Z", "0001-01-01T00:00:01Z"),
            [-62_135_596_800.0]
        );
        assert_eq!(read("unix_time1", "40_ms", "1969-12-31T23:59:59.96Z", "1970-01-01T00:00:00Z"), [-0.04]);
    }

    #[test]
    fn it_is_the_catalog_that_notebooks_know() {
        let all = SampleSource::new().series().unwrap();
        let said = |series: &SourceSeries| {
            let groups = series.properties.groups().join(" ");
            format!("{}/{} {} {groups}", series.resource, series.period, series.unit().unwrap())
        };
        assert_eq!(
            all.iter().map(said).collect::<Vec<_>>(),
            [
                "T1/1_s °C Group 1",
                "V1/1_s m/s Group 1",
                "unix_time1/40_ms s Group 2",
                "unix_time2/1_s s Group 2"
            ]
        );
        assert!(all.iter().all(SourceSeries::is_endless));
    }
}
