//! Samples that are made up: a catalog to try things out with, without any data.
//!
//! It has the resources of the catalog that Nexus brings along, so that notebooks made for that one run as they are; the
//! numbers are our own.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sheaf_model::{
    DataType, Properties, ResourceId, SamplePeriod, Samples, Tick, TimeRange, TimeUnit, Values,
};

use crate::error::SourceError;
use crate::registry::SourceKind;
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

/// The settings of the sample.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SampleConfig {
    /// Whether samples are there only for requests that bring along the user `test` and the password `1234`: to try out how
    /// clients hand on credentials.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub needs_sign_in: bool,
}

/// The sample: temperature and wind speed, which repeat each minute, and Unix time, for all of time.
#[derive(Debug, Default)]
pub struct SampleSource {
    /// Whether there are no samples, because nobody has signed in.
    is_locked: bool,
}

/// What a request's configuration says of the sample.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct OfRequest {
    user: String,
    password: String,
}

/// What opens the sample that needs it. It is no secret: there is nothing behind it.
const USER: &str = "test";
const PASSWORD: &str = "1234";

/// What a request's configuration calls the sample, in ours and in what notebooks for Nexus have.
const REQUEST_KEYS: [&str; 2] = [SourceKind::Sample.type_name(), "Nexus.Sources.Sample"];

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

/// The schema of the settings, and which of them are required.
pub(crate) fn schema() -> (Value, Value) {
    let needs_sign_in = json!({
        "type": "boolean",
        "default": false,
        "description": "Whether a request has to bring along a user and a password, to try out how clients hand them on",
    });
    (json!({ "needs_sign_in": needs_sign_in }), json!([]))
}

const README: &str = "# Sample\n\nSamples that are made up, for any time: to try things out with.\n";

impl SampleSource {
    /// The sample.
    pub fn new(config: &SampleConfig) -> SampleSource {
        SampleSource { is_locked: config.needs_sign_in }
    }

    fn wrong_request(&self, problem: impl Into<String>) -> SourceError {
        let type_name = SourceKind::Sample.type_name();
        SourceError::of_source(self.name(), SourceProblem::Request { type_name, problem: problem.into() })
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
        if self.is_locked {
            return Err(self.wrong_request(format!(
                "it is missing; these samples are read with `{{\"user\": \"{USER}\", \"password\": \"{PASSWORD}\"}}`"
            )));
        }
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

    fn with_request(&self, configuration: &Value) -> Result<Option<Arc<dyn DataSource>>, SourceError> {
        let Some(ours) = REQUEST_KEYS.iter().find_map(|key| configuration.get(key)) else { return Ok(None) };
        if !self.is_locked {
            return Ok(None);
        }
        let ours = OfRequest::deserialize(ours)
            .map_err(|_| self.wrong_request("write it like `{\"user\": \"…\", \"password\": \"…\"}`"))?;
        if ours != (OfRequest { user: USER.to_owned(), password: PASSWORD.to_owned() }) {
            return Err(self.wrong_request("no such user, or another password"));
        }
        Ok(Some(Arc::new(SampleSource { is_locked: false })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(resource: &str, period: &str, begin: &str, end: &str) -> Vec<f64> {
        let range = TimeRange::new(begin.parse().unwrap(), end.parse().unwrap()).unwrap();
        let samples =
            SampleSource::default().read(&resource.parse().unwrap(), period.parse().unwrap(), range).unwrap();
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
    fn the_one_that_needs_it_opens_for_a_request_that_signs_in() {
        let (resource, period) = ("T1".parse().unwrap(), "1_s".parse().unwrap());
        let range = TimeRange::new("2020-01-01".parse().unwrap(), "2020-01-02".parse().unwrap()).unwrap();
        let locked = SampleSource::new(&SampleConfig { needs_sign_in: true });
        assert_eq!(locked.series().unwrap().len(), 4);
        let problem = locked.read(&resource, period, range).unwrap_err().to_string();
        assert!(problem.contains("\"user\": \"test\""), "{problem}");
        assert!(locked.revision(&resource, period, range).is_err(), "a rollup would answer");
        for key in ["Sheaf.Sources.Sample", "Nexus.Sources.Sample"] {
            let with = |ours: Value| locked.with_request(&json!({ key: ours }));
            let open = with(json!({"user": "test", "password": "1234"})).unwrap().unwrap();
            assert_eq!(open.read(&resource, period, range).unwrap().len(), 86_400);
            for wrong in [json!({"user": "test", "password": "4321"}), json!({"user": "test"}), json!(null)] {
                assert!(with(wrong).is_err());
            }
        }
        assert!(locked.with_request(&json!({"Sheaf.Sources.Nexus": {}})).unwrap().is_none());
    }

    #[test]
    fn it_is_the_catalog_that_notebooks_know() {
        let all = SampleSource::default().series().unwrap();
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
