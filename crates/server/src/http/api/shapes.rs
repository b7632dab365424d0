//! Catalogs, resources and representations as clients of Nexus read and write them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sheaf_model::{
    Arguments, Parameters, Properties, Representation, Resource, ResourceCatalog, SamplePeriod,
};
use utoipa::ToSchema;

use crate::http::wire::WireDuration;

/// Free-form properties, or null.
pub(crate) type WireProperties = Option<Map<String, Value>>;

/// A catalog with its resources.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = ResourceCatalog)]
pub(crate) struct WireCatalog {
    /// Its id.
    #[schema(example = "/SAMPLE/LOCAL")]
    pub(crate) id: String,
    /// What is known of it, like `readme` and `license`.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub(crate) properties: WireProperties,
    /// Its resources, by id.
    #[serde(default)]
    pub(crate) resources: Option<Vec<WireResource>>,
}

/// A resource with its representations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Resource)]
pub(crate) struct WireResource {
    /// Its id.
    #[schema(example = "T1")]
    pub(crate) id: String,
    /// What is known of it, like `unit`, `description` and `groups`.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub(crate) properties: WireProperties,
    /// Its representations, the finest one first; none if it is irregular.
    #[serde(default)]
    pub(crate) representations: Option<Vec<WireRepresentation>>,
}

/// A resource at one sample period.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Representation)]
pub(crate) struct WireRepresentation {
    /// The type of its values.
    #[schema(example = "FLOAT64")]
    pub(crate) data_type: String,
    /// The time from value to value.
    pub(crate) sample_period: WireDuration,
    /// What has to be given to read it.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub(crate) parameters: Option<Map<String, Value>>,
}

/// What a resource path names.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = CatalogItem)]
pub(crate) struct WireItem {
    /// The catalog, without its resources.
    pub(crate) catalog: WireCatalog,
    /// The resource, without its representations.
    pub(crate) resource: WireResource,
    /// What is read: the period that was asked for, and FLOAT64 if it is computed.
    pub(crate) representation: WireRepresentation,
    /// The arguments of the path.
    pub(crate) parameters: Option<BTreeMap<String, String>>,
}

/// Properties, or null where there are none.
pub(crate) fn properties(properties: &Properties) -> WireProperties {
    let map: Map<String, Value> =
        properties.iter().map(|(key, value)| (key.to_owned(), value.clone())).collect();
    Some(map).filter(|map| !map.is_empty())
}

/// The arguments of a path, or null where there are none.
pub(crate) fn arguments(arguments: &Arguments) -> Option<BTreeMap<String, String>> {
    let map: BTreeMap<String, String> =
        arguments.iter().map(|(key, value)| (key.to_string(), value.to_owned())).collect();
    Some(map).filter(|map| !map.is_empty())
}

impl WireRepresentation {
    /// A representation without parameters.
    pub(crate) fn new(data_type: sheaf_model::DataType, period: SamplePeriod) -> WireRepresentation {
        WireRepresentation {
            data_type: data_type.name().to_owned(),
            sample_period: period.into(),
            parameters: None,
        }
    }
}

impl From<&Representation> for WireRepresentation {
    fn from(representation: &Representation) -> WireRepresentation {
        let parameters =
            representation.parameters.as_ref().and_then(
                |parameters: &Parameters| match serde_json::to_value(parameters) {
                    Ok(Value::Object(parameters)) => Some(parameters),
                    _ => None,
                },
            );
        let own = WireRepresentation::new(representation.data_type, representation.sample_period);
        WireRepresentation { parameters, ..own }
    }
}

impl From<&Resource> for WireResource {
    fn from(resource: &Resource) -> WireResource {
        WireResource {
            id: resource.id().to_string(),
            properties: properties(resource.properties()),
            representations: Some(resource.representations().iter().map(Into::into).collect()),
        }
    }
}

impl From<&ResourceCatalog> for WireCatalog {
    fn from(catalog: &ResourceCatalog) -> WireCatalog {
        WireCatalog {
            id: catalog.id().to_string(),
            properties: properties(catalog.properties()),
            resources: Some(catalog.resources().iter().map(Into::into).collect()),
        }
    }
}

impl WireCatalog {
    /// A catalog without its resources.
    pub(crate) fn from_properties(catalog: &ResourceCatalog) -> WireCatalog {
        WireCatalog {
            id: catalog.id().to_string(),
            properties: properties(catalog.properties()),
            resources: None,
        }
    }
}

/// A kind of source or writer.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ExtensionDescription {
    /// Its name.
    #[serde(rename = "type")]
    #[schema(example = "Sheaf.Sources.Folder")]
    kind: String,
    /// Its version: that of the program.
    version: &'static str,
    /// What it is.
    description: Option<String>,
    /// Nothing: it is part of the program.
    project_url: Option<String>,
    /// Nothing: it is part of the program.
    repository_url: Option<String>,
    /// What a form for its settings needs.
    #[schema(value_type = Option<Object>)]
    additional_information: Option<Map<String, Value>>,
}

impl ExtensionDescription {
    pub(crate) fn new(
        kind: &str,
        description: &str,
        information: Map<String, Value>,
    ) -> ExtensionDescription {
        ExtensionDescription {
            kind: kind.to_owned(),
            version: env!("CARGO_PKG_VERSION"),
            description: Some(description.to_owned()),
            project_url: None,
            repository_url: None,
            additional_information: Some(information),
        }
    }
}
