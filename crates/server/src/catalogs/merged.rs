//! What sources, the store, and people say of a catalog, made one. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sheaf_model::{CatalogId, MergeError, Properties, Representation, Resource, ResourceCatalog, ResourceId};

use super::opened::OpenSource;

/// The catalog that the sources of a pipeline make up, one stage after the other. A resource knows which stage has provided
/// it first, and what that calls it.
pub(super) fn of_sources<'a>(
    id: &CatalogId,
    stages: impl IntoIterator<Item = (usize, &'a OpenSource)>,
) -> Result<ResourceCatalog, MergeError> {
    let mut catalog = ResourceCatalog::new(id.clone(), Properties::default(), Vec::new())?;
    for (position, stage) in stages {
        let mut resources: BTreeMap<&ResourceId, (Properties, Vec<Representation>)> = BTreeMap::new();
        for series in &stage.series {
            let entry = resources.entry(&series.resource).or_insert_with(|| {
                let mut properties = series.properties.clone();
                if catalog.resource(&series.resource).is_none() {
                    mark(&mut properties, &series.title, position);
                }
                (properties, Vec::new())
            });
            entry.1.push(Representation::new(series.data_type, series.period));
        }
        let resources = resources.into_iter().map(|(resource, (properties, mut representations))| {
            representations.sort_by_key(|representation| representation.sample_period);
            Resource::new(resource.clone(), properties, representations)
        });
        let resources = resources.collect::<Result<_, _>>()?;
        catalog = catalog.merge(ResourceCatalog::new(id.clone(), stage.properties.clone(), resources)?)?;
    }
    finest_first(catalog)
}

/// Says what the source calls a resource, and which stage provides it.
fn mark(properties: &mut Properties, title: &str, position: usize) {
    if properties.original_name().is_none() {
        properties.insert("original-name", title);
    }
    if properties.pipeline_position().is_none() {
        let position = Map::from_iter([("pipeline-position".to_owned(), Value::from(position))]);
        let nexus = Properties::from(Map::from_iter([("nexus".to_owned(), Value::Object(position))]));
        *properties = std::mem::take(properties).merge(nexus);
    }
}

/// Without a base, a path is computed from the finest representation, whoever provides it.
pub(super) fn finest_first(catalog: ResourceCatalog) -> Result<ResourceCatalog, MergeError> {
    let resources = catalog.resources().iter().map(|resource| {
        let mut representations = resource.representations().to_vec();
        representations.sort_by_key(|representation| representation.sample_period);
        Resource::new(resource.id().clone(), resource.properties().clone(), representations)
    });
    let resources = resources.collect::<Result<_, _>>()?;
    ResourceCatalog::new(catalog.id().clone(), catalog.properties().clone(), resources)
}

/// What people say of a catalog and its resources. Representations are only what sources and the store have, so those that
/// are named here mean nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Said {
    pub(crate) properties: Option<Properties>,
    pub(crate) resources: Option<Vec<SaidOfResource>>,
}

/// What people say of a resource.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SaidOfResource {
    pub(crate) id: ResourceId,
    pub(crate) properties: Option<Properties>,
}

impl Said {
    /// What is said of one resource.
    pub(super) fn of(&self, resource: &ResourceId) -> Option<&Properties> {
        let of = self.resources.iter().flatten().find(|of| of.id == *resource)?;
        of.properties.as_ref()
    }
}

/// Properties under others. Groups are named once.
pub(super) fn layered<'a>(under: Properties, over: impl IntoIterator<Item = &'a Properties>) -> Properties {
    let mut merged = over.into_iter().cloned().fold(under, Properties::merge);
    let groups: Vec<Value> = merged.groups().into_iter().map(Value::from).collect();
    if merged.get("groups").and_then(Value::as_array).is_some_and(|all| all.len() != groups.len()) {
        merged.insert("groups", groups);
    }
    merged
}

/// A catalog with what is known and said of it and its resources.
pub(super) fn with_properties(
    catalog: ResourceCatalog,
    known: &Properties,
    known_of: &BTreeMap<ResourceId, Properties>,
    said: &Said,
) -> Result<ResourceCatalog, MergeError> {
    let said_of: BTreeMap<&ResourceId, &Properties> =
        said.resources.iter().flatten().filter_map(|of| Some((&of.id, of.properties.as_ref()?))).collect();
    let resources = catalog.resources().iter().map(|resource| {
        let over = [known_of.get(resource.id()), said_of.get(resource.id()).copied()];
        let properties = layered(resource.properties().clone(), over.into_iter().flatten());
        Resource::new(resource.id().clone(), properties, resource.representations().to_vec())
    });
    let resources = resources.collect::<Result<_, _>>()?;
    let over = [Some(known), said.properties.as_ref()];
    let properties = layered(catalog.properties().clone(), over.into_iter().flatten());
    ResourceCatalog::new(catalog.id().clone(), properties, resources)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use sheaf_model::{DataType, SamplePeriod};
    use sheaf_sources::{SourceConfig, SourceKind, SourceSeries};

    use super::*;

    fn source(series: Vec<SourceSeries>, properties: Value) -> OpenSource {
        let config = SourceConfig::from_type(SourceKind::Sample.type_name(), None, Value::Null).unwrap();
        let properties = serde_json::from_value(properties).unwrap();
        OpenSource { source: config.open().unwrap(), series, properties }
    }

    fn series(resource: &str, period: &str, properties: Value) -> SourceSeries {
        let period: SamplePeriod = period.parse().unwrap();
        let mut series = SourceSeries::new(resource.parse().unwrap(), period, DataType::Float64);
        series.title = format!("{resource} of the source");
        series.properties = serde_json::from_value(properties).unwrap();
        series
    }

    #[test]
    fn stages_enrich_each_other() {
        let first = source(
            vec![series("T1", "1_s", json!({"unit": "K", "groups": ["a"]})), series("T2", "1_s", json!({}))],
            json!({"readme": "one"}),
        );
        let second = source(
            vec![
                series("T1", "1_ms", json!({"unit": "°C", "groups": ["b"]})),
                series("T3", "1_s", json!({})),
            ],
            json!({"readme": "two", "license": "L"}),
        );
        let id: CatalogId = "/a".parse().unwrap();
        let catalog = of_sources(&id, [(0, &first), (2, &second)]).unwrap();
        assert_eq!(
            serde_json::to_value(catalog.properties()).unwrap(),
            json!({"readme": "two", "license": "L"})
        );
        let properties = |name: &str| {
            serde_json::to_value(catalog.resource(&name.parse().unwrap()).unwrap().properties()).unwrap()
        };
        assert_eq!(
            properties("T1"),
            json!({"unit": "°C", "groups": ["a", "b"], "original-name": "T1 of the source", "nexus": {"pipeline-position": 0}})
        );
        assert_eq!(properties("T3")["nexus"], json!({"pipeline-position": 2}));
        let periods: Vec<String> =
            catalog.resources()[0].representations().iter().map(|one| one.id().to_string()).collect();
        assert_eq!(periods, ["1_ms", "1_s"], "the finest one first");

        let mut other = series("T1", "1_s", json!({}));
        other.data_type = DataType::Int64;
        let clash = source(vec![other], json!({}));
        let error = of_sources(&id, [(0, &first), (1, &clash)]).unwrap_err();
        assert!(error.to_string().contains("`1_s` of `T1`"), "{error}");
    }

    #[test]
    fn people_have_the_last_word_but_invent_no_samples() {
        let first =
            source(vec![series("T1", "1_s", json!({"unit": "K", "groups": ["a"]}))], json!({"readme": "v1"}));
        let id: CatalogId = "/a".parse().unwrap();
        let catalog = of_sources(&id, [(0, &first)]).unwrap();
        let said: Said = serde_json::from_value(json!({
            "id": "/a", "properties": {"readme": "v2"},
            "resources": [
                {"id": "T1", "properties": {"unit": null, "groups": ["a", "c"], "description": "said"},
                 "representations": [{"dataType": "FLOAT64", "samplePeriod": "00:00:01"}]},
                {"id": "T9", "properties": {"unit": "m"}, "representations": null}
            ]
        }))
        .unwrap();
        let known_of = BTreeMap::from([(
            "T1".parse().unwrap(),
            serde_json::from_value(json!({"description": "known"})).unwrap(),
        )]);
        let known: Properties = serde_json::from_value(json!({"title": "A"})).unwrap();
        let merged = with_properties(catalog, &known, &known_of, &said).unwrap();
        assert_eq!(serde_json::to_value(merged.properties()).unwrap(), json!({"readme": "v2", "title": "A"}));
        assert_eq!(merged.resources().len(), 1);
        let properties = merged.resources()[0].properties();
        assert_eq!((properties.unit(), properties.description()), (Some("K"), Some("said")));
        assert_eq!(properties.groups(), ["a", "c"]);
        assert_eq!(properties.get("groups"), Some(&json!(["a", "c"])));
    }
}
