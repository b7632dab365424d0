//! What a Nexus answers, as far as it is of interest here.

use serde::Deserialize;
use serde_json::Value;
use sheaf_model::{DataType, Properties, ResourceId, SamplePeriod, Tick, TimeRange};

use crate::source::SourceSeries;

/// `GET catalogs/{id}`.
#[derive(Debug, Deserialize)]
pub(super) struct Catalog {
    properties: Option<Properties>,
    resources: Option<Vec<Resource>>,
}

#[derive(Debug, Deserialize)]
struct Resource {
    id: String,
    properties: Option<Properties>,
    representations: Option<Vec<Representation>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Representation {
    data_type: String,
    sample_period: String,
    #[serde(default)]
    parameters: Value,
}

/// `GET catalogs/{id}/timerange`.
#[derive(Debug, Deserialize)]
pub(super) struct CatalogTimeRange {
    begin: Option<Tick>,
    end: Option<Tick>,
}

/// `GET catalogs/{id}/availability`.
#[derive(Debug, Deserialize)]
pub(super) struct Availability {
    pub(super) data: Vec<Option<f64>>,
}

/// Properties that say how the server there works, and nothing of the data.
const OF_THE_SERVER: [&str; 3] = ["nexus", "original-name", "sheaf"];

impl Catalog {
    pub(super) fn properties(&self) -> Properties {
        described(self.properties.as_ref())
    }

    /// The series that can be read: those without parameters, of periods and types that are known here. Integers of 64 bits come as
    /// floats, because that is how they are sent.
    pub(super) fn series(&self, range: &CatalogTimeRange) -> Vec<SourceSeries> {
        let mut all = Vec::new();
        for resource in self.resources.iter().flatten() {
            let Ok(id) = resource.id.parse::<ResourceId>() else { continue };
            for representation in resource.representations.iter().flatten() {
                if representation.parameters.as_object().is_some_and(|parameters| !parameters.is_empty()) {
                    continue;
                }
                let (Ok(data_type), Some(period)) =
                    (representation.data_type.parse::<DataType>(), period(&representation.sample_period))
                else {
                    continue;
                };
                let data_type = match data_type {
                    DataType::Int64 | DataType::Uint64 => DataType::Float64,
                    exact => exact,
                };
                let mut series = SourceSeries::new(id.clone(), period, data_type);
                series.properties = described(resource.properties.as_ref());
                series.range = range.slots(period);
                all.push(series);
            }
        }
        all.sort_by(|one, other| (&one.resource, one.period).cmp(&(&other.resource, other.period)));
        all.dedup_by(|one, other| (&one.resource, one.period) == (&other.resource, other.period));
        all
    }
}

impl CatalogTimeRange {
    /// All slots that the range touches.
    fn slots(&self, period: SamplePeriod) -> Option<TimeRange> {
        let end = self.end?;
        let end = period.ceil(end).unwrap_or_else(|| period.floor(end));
        TimeRange::new(period.floor(self.begin?), end).ok()
    }
}

fn described(properties: Option<&Properties>) -> Properties {
    let mut described = Properties::default();
    for (key, value) in properties.into_iter().flat_map(Properties::iter) {
        if !OF_THE_SERVER.contains(&key) {
            described.insert(key, value.clone());
        }
    }
    described
}

/// A duration as .NET writes it: `[d.]hh:mm:ss[.fffffff]`.
fn period(text: &str) -> Option<SamplePeriod> {
    let number = |text: &str| -> Option<i64> {
        (!text.is_empty() && text.len() <= 8 && text.bytes().all(|byte| byte.is_ascii_digit()))
            .then(|| text.parse().ok())?
    };
    let (hours, rest) = text.split_once(':')?;
    let (minutes, seconds) = rest.split_once(':')?;
    let (days, hours) = match hours.split_once('.') {
        Some((days, hours)) => (number(days)?, hours),
        None => (0, hours),
    };
    let (seconds, fraction) = match seconds.split_once('.') {
        Some((seconds, fraction)) if (1..=7).contains(&fraction.len()) => {
            (seconds, number(fraction)? * 10_i64.pow(7 - fraction.len() as u32))
        }
        Some(_) => return None,
        None => (seconds, 0),
    };
    let seconds = ((days * 24 + number(hours)?) * 60 + number(minutes)?) * 60 + number(seconds)?;
    SamplePeriod::from_ticks(seconds.checked_mul(Tick::PER_SECOND)?.checked_add(fraction)?).ok()
}

/// The same the other way around.
pub(super) fn duration(ticks: i64) -> String {
    let (seconds, fraction) = (ticks / Tick::PER_SECOND, ticks % Tick::PER_SECOND);
    let (days, seconds) = (seconds / 86_400, seconds % 86_400);
    let days = if days > 0 { format!("{days}.") } else { String::new() };
    let clock = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    let fraction = if fraction > 0 { format!(".{fraction:07}") } else { String::new() };
    format!("{days}{clock}{fraction}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn durations_of_dotnet() {
        for (text, wanted) in [
            ("00:00:01", Some("1_s")),
            ("00:00:00.0400000", Some("40_ms")),
            ("00:00:00.04", Some("40_ms")),
            ("00:10:00", Some("10_min")),
            ("1.00:00:00", Some("1_d")),
            ("7.00:00:00", Some("7_d")),
            ("00:00:00.0000001", Some("100_ns")),
            ("00:00:00", None),
            ("-00:00:01", None),
            ("1_s", None),
            ("00:01", None),
            ("00:00:01.", None),
            ("00:00:01.00000001", None),
        ] {
            let found = period(text);
            assert_eq!(found.map(|period| period.to_string()).as_deref(), wanted, "{text}");
            if let Some(found) = found {
                assert_eq!(period(&duration(found.ticks())), Some(found));
            }
        }
        assert_eq!(duration(36_000_000_000 + 1), "01:00:00.0000001");
        assert_eq!(duration(8_640_000_000_000), "10.00:00:00");
    }

    #[test]
    fn only_what_can_be_read_is_a_series() {
        let catalog: Catalog = serde_json::from_value(json!({
            "id": "/A", "properties": {"readme": "Hi", "nexus": {"version": "2"}},
            "resources": [
                {"id": "b", "properties": {"unit": "°C", "nexus": {"pipeline-position": 0}, "original-name": "b"},
                 "representations": [
                    {"dataType": "FLOAT64", "samplePeriod": "00:01:00", "parameters": null},
                    {"dataType": "INT64", "samplePeriod": "00:00:01", "parameters": {}},
                    {"dataType": "FLOAT64", "samplePeriod": "00:00:02", "parameters": {"p": {"type": "input-integer"}}},
                    {"dataType": "DECIMAL", "samplePeriod": "00:00:03"},
                 ]},
                {"id": "a", "properties": null, "representations": [{"dataType": "UINT8", "samplePeriod": "00:00:01"}]},
                {"id": "c", "properties": null, "representations": null},
            ],
        }))
        .unwrap();
        let range: CatalogTimeRange =
            serde_json::from_value(json!({"begin": "2020-01-01T00:00:30Z", "end": "2020-01-02T00:00:00.5Z"}))
                .unwrap();
        let all: Vec<String> = catalog
            .series(&range)
            .iter()
            .map(|series| {
                let range = series.range.map(|range| range.to_string()).unwrap_or_default();
                format!("{}/{} {} {range}", series.resource, series.period, series.data_type)
            })
            .collect();
        assert_eq!(
            all,
            [
                "a/1_s UINT8 [2020-01-01T00:00:30Z, 2020-01-02T00:00:01Z)",
                "b/1_s FLOAT64 [2020-01-01T00:00:30Z, 2020-01-02T00:00:01Z)",
                "b/1_min FLOAT64 [2020-01-01T00:00:00Z, 2020-01-02T00:01:00Z)",
            ]
        );
        let b = &catalog.series(&range)[1];
        assert_eq!(b.properties.iter().collect::<Vec<_>>(), [("unit", &json!("°C"))]);
        assert_eq!(catalog.properties().iter().count(), 1);
        // All of time, and none.
        let endless = json!({"begin": "0001-01-01T00:00:00", "end": "9999-12-31T23:59:59.9999999"});
        let range: CatalogTimeRange = serde_json::from_value(endless).unwrap();
        assert!(catalog.series(&range).iter().all(SourceSeries::is_endless));
        for none in [json!({"begin": null, "end": null}), json!({"begin": "2020-01-02", "end": "2020-01-01"})]
        {
            let range: CatalogTimeRange = serde_json::from_value(none).unwrap();
            assert_eq!(catalog.series(&range)[2].range, None);
        }
    }
}
