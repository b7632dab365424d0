//! Catalogs: resources by name, and the way from a resource path to what it means.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::representation::ArgumentError;
use crate::resource::DuplicateRepresentation;
use crate::text::{DidYouMean, Quoted, list, suggest};
use crate::{
    Arguments, CatalogId, DataType, Kind, Properties, Representation, RepresentationId, Resource, ResourceId,
    ResourcePath, SamplePeriod,
};

/// A catalog with its resources, sorted by id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawCatalog")]
pub struct ResourceCatalog {
    id: CatalogId,
    #[serde(skip_serializing_if = "Properties::is_empty")]
    properties: Properties,
    resources: Vec<Resource>,
}

impl ResourceCatalog {
    /// A catalog with these resources, in any order.
    ///
    /// # Errors
    /// Two of them have the same id.
    pub fn new(
        id: CatalogId,
        properties: Properties,
        mut resources: Vec<Resource>,
    ) -> Result<ResourceCatalog, MergeError> {
        resources.sort_by(|a, b| a.id().cmp(b.id()));
        if let Some(pair) = resources.windows(2).find(|pair| pair[0].id() == pair[1].id()) {
            return Err(MergeError::DuplicateResource { catalog: id, resource: pair[0].id().clone() });
        }
        Ok(ResourceCatalog { id, properties, resources })
    }

    /// Its path.
    pub fn id(&self) -> &CatalogId {
        &self.id
    }

    /// Readme, licence and whatever else is known of it.
    pub fn properties(&self) -> &Properties {
        &self.properties
    }

    /// The resources, sorted by id.
    pub fn resources(&self) -> &[Resource] {
        &self.resources
    }

    /// The resource with this id.
    pub fn resource(&self, id: &ResourceId) -> Option<&Resource> {
        let index = self.resources.binary_search_by(|resource| resource.id().cmp(id)).ok()?;
        self.resources.get(index)
    }

    /// This catalog under `over`, resource by resource: what a source adds, or what an operator overrides.
    ///
    /// # Errors
    /// Different ids, or a representation on both sides that differs.
    pub fn merge(self, over: ResourceCatalog) -> Result<ResourceCatalog, MergeError> {
        if self.id != over.id {
            return Err(MergeError::Catalogs { left: self.id, right: over.id });
        }
        let mut resources: BTreeMap<_, _> = by_id(self.resources).collect();
        for (id, right) in by_id(over.resources) {
            let merged = match resources.remove(&id) {
                Some(left) => left.merge(right)?,
                None => right,
            };
            resources.insert(id, merged);
        }
        let resources = resources.into_values().collect();
        Ok(ResourceCatalog { id: self.id, properties: self.properties.merge(over.properties), resources })
    }

    /// What a path means here.
    ///
    /// The original of a period is the representation with that period. Every other kind is computed from a base: the
    /// representation that the path names by `#base=`, else the first one of the resource. Whether the base can give
    /// the period is another question, see [`legality`](crate::legality).
    ///
    /// # Errors
    /// No such resource or representation, or arguments that do not fit it.
    pub fn find<'a>(&'a self, path: &ResourcePath) -> Result<CatalogItem<'a>, FindError> {
        let error = |problem| FindError { path: Box::new(path.clone()), problem };
        if *path.catalog() != self.id {
            return Err(error(FindProblem::OtherCatalog { catalog: self.id.clone() }));
        }
        let no_resource = || error(FindProblem::NoResource { suggestion: self.suggest(path.resource()) });
        let resource = self.resource(path.resource()).ok_or_else(no_resource)?;
        let wanted = match path.kind() {
            Kind::Original => Some(path.period()),
            _ => path.base(),
        };
        let base = match wanted {
            Some(period) => resource.representation(RepresentationId::original(period)),
            None => resource.representations().first(),
        };
        let base = base.ok_or_else(|| {
            let available = resource.representations().iter().map(Representation::id).collect();
            error(FindProblem::NoRepresentation { wanted, available })
        })?;
        base.accept(path.arguments()).map_err(|problem| error(FindProblem::Arguments(problem)))?;
        Ok(CatalogItem {
            catalog: self,
            resource,
            representation: path.representation(),
            base,
            arguments: path.arguments().clone(),
        })
    }

    fn suggest(&self, id: &ResourceId) -> Option<ResourceId> {
        let ids = self.resources.iter().map(|resource| resource.id().as_str());
        suggest(id.as_str(), ids).and_then(|name| name.parse().ok())
    }
}

fn by_id(resources: Vec<Resource>) -> impl Iterator<Item = (ResourceId, Resource)> {
    resources.into_iter().map(|resource| (resource.id().clone(), resource))
}

/// A resource path, looked up.
#[derive(Clone, Debug, PartialEq)]
pub struct CatalogItem<'a> {
    /// The catalog.
    pub catalog: &'a ResourceCatalog,
    /// The resource in it.
    pub resource: &'a Resource,
    /// What was asked for.
    pub representation: RepresentationId,
    /// What it is made from; for an original, the representation itself.
    pub base: &'a Representation,
    /// What is handed to the source.
    pub arguments: Arguments,
}

impl CatalogItem<'_> {
    /// Type of the result: everything that is computed is FLOAT64.
    pub fn data_type(&self) -> DataType {
        match self.representation.kind {
            Kind::Original => self.base.data_type,
            _ => DataType::Float64,
        }
    }

    /// The path of the item, without a fragment: what is asked for, not how it is made. Base and threshold of the path
    /// that was looked up are not in it.
    pub fn path(&self) -> ResourcePath {
        ResourcePath::new(self.catalog.id().clone(), self.resource.id().clone(), self.representation)
            .with_arguments(self.arguments.clone())
    }
}

/// Nothing behind a path.
#[derive(Clone, Debug, PartialEq)]
pub struct FindError {
    path: Box<ResourcePath>,
    problem: FindProblem,
}

impl FindError {
    /// What was looked for.
    pub fn path(&self) -> &ResourcePath {
        &self.path
    }

    /// Why it is not there.
    pub fn problem(&self) -> &FindProblem {
        &self.problem
    }
}

impl fmt::Display for FindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (catalog, resource) = (self.path.catalog(), self.path.resource());
        let path = self.path.to_string();
        let path = Quoted(&path);
        match &self.problem {
            FindProblem::OtherCatalog { catalog } => {
                write!(f, "{path} does not lie in the catalog `{catalog}`")
            }
            FindProblem::NoResource { suggestion } => {
                let suggestion = DidYouMean(suggestion.as_ref().map(ResourceId::as_str));
                write!(f, "{path}: the catalog `{catalog}` has no resource `{resource}`{suggestion}")
            }
            FindProblem::NoRepresentation { available, .. } if available.is_empty() => write!(
                f,
                "{path}: the resource `{resource}` is irregular, so it has records and no representation; ask for \
                 its records, or for `{}_spread`, each of them spread evenly over its interval",
                self.path.period()
            ),
            FindProblem::NoRepresentation { wanted, available } => {
                let (wanted, available) = (of_period(*wanted), list(available));
                write!(
                    f,
                    "{path}: the resource `{resource}` has no representation{wanted}; available: {available}"
                )
            }
            FindProblem::Arguments(error) => write!(f, "{path} {error}"),
        }
    }
}

impl std::error::Error for FindError {}

/// Why a path has nothing behind it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum FindProblem {
    /// The path is that of another catalog.
    OtherCatalog {
        /// Where it was looked for.
        catalog: CatalogId,
    },
    /// The catalog has no such resource.
    NoResource {
        /// What was probably meant.
        suggestion: Option<ResourceId>,
    },
    /// The resource has no such representation, or none at all.
    NoRepresentation {
        /// The period of the original or of the base; `None` where any would have done.
        wanted: Option<SamplePeriod>,
        /// What there is.
        available: Vec<RepresentationId>,
    },
    /// Arguments and parameters do not fit.
    Arguments(ArgumentError),
}

fn of_period(period: Option<SamplePeriod>) -> String {
    period.map(|period| format!(" `{period}`")).unwrap_or_default()
}

/// Things that can't be made one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MergeError {
    /// Catalogs with different ids.
    #[error("the catalogs `{left}` and `{right}` can't be merged: their ids differ")]
    Catalogs {
        /// One of them.
        left: CatalogId,
        /// The other.
        right: CatalogId,
    },
    /// Resources with different ids.
    #[error("the resources `{left}` and `{right}` can't be merged: their ids differ")]
    Resources {
        /// One of them.
        left: ResourceId,
        /// The other.
        right: ResourceId,
    },
    /// One representation with two data types or parameters.
    #[error(
        "the representation `{representation}` of `{resource}` has another data type or other parameters on both sides"
    )]
    Representation {
        /// Of which resource.
        resource: ResourceId,
        /// Which one.
        representation: RepresentationId,
    },
    /// One resource id twice in a catalog.
    #[error("the catalog `{catalog}` has two resources `{resource}`")]
    DuplicateResource {
        /// Which catalog.
        catalog: CatalogId,
        /// Which id.
        resource: ResourceId,
    },
    /// One period twice in a resource.
    #[error(transparent)]
    DuplicateRepresentation(#[from] DuplicateRepresentation),
}

#[derive(Deserialize)]
struct RawCatalog {
    id: CatalogId,
    properties: Option<Properties>,
    resources: Option<Vec<Resource>>,
}

impl TryFrom<RawCatalog> for ResourceCatalog {
    type Error = MergeError;

    fn try_from(raw: RawCatalog) -> Result<ResourceCatalog, MergeError> {
        ResourceCatalog::new(raw.id, raw.properties.unwrap_or_default(), raw.resources.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Hierarchy, Registration};
    use serde_json::json;

    fn catalog(json: serde_json::Value) -> ResourceCatalog {
        serde_json::from_value(json).unwrap()
    }

    fn example(id: &str, resource: &str, periods: &[&str]) -> ResourceCatalog {
        let representations: Vec<_> =
            periods.iter().map(|period| json!({"dataType": "FLOAT32", "samplePeriod": period})).collect();
        catalog(json!({"id": id, "resources": [{"id": resource, "representations": representations}]}))
    }

    fn find<'a>(catalog: &'a ResourceCatalog, path: &str) -> Result<CatalogItem<'a>, FindError> {
        catalog.find(&path.parse().unwrap())
    }

    /// Reference 1.8, "find via item path" and "find must fail".
    #[test]
    fn items_of_the_reference() {
        let catalog = example("/A/B/C", "Resource1", &["1_s"]);
        let item = find(&catalog, "/A/B/C/Resource1/1_s").unwrap();
        assert_eq!(item.data_type(), DataType::Float32);
        assert_eq!(item.path().to_string(), "/A/B/C/Resource1/1_s");
        assert!(item.arguments.is_empty() && item.base.parameters.is_none());

        let arguments = find(&catalog, "/A/B/C/Resource1/1_s(param1=2)").unwrap_err();
        assert!(matches!(arguments.problem(), FindProblem::Arguments(_)), "{arguments}");
        let resource = find(&catalog, "/A/B/C/Resource2/1_s").unwrap_err();
        assert_eq!(
            resource.to_string(),
            "`/A/B/C/Resource2/1_s`: the catalog `/A/B/C` has no resource `Resource2`, did you mean `Resource1`?"
        );
        for path in ["/A/B/D/Resource1/1_s", "/A/B/D/Resource1/10_s#base=2_s"] {
            let error = find(&catalog, path).unwrap_err();
            assert!(matches!(error.problem(), FindProblem::OtherCatalog { .. }), "{error}");
        }
    }

    /// Reference 1.8, "TryFind": T1 has 1_ms and then 100_ms.
    #[test]
    fn bases_of_the_reference() {
        let catalog = example("/A/B/C", "T1", &["1_ms", "100_ms"]);
        let base = |path: &str| {
            let item = find(&catalog, path).unwrap();
            (item.base.id().to_string(), item.path().to_string(), item.data_type())
        };
        let (float32, float64) = (DataType::Float32, DataType::Float64);
        let expect =
            |base: &str, path: &str, data_type| (base.to_owned(), format!("/A/B/C/T1/{path}"), data_type);
        assert_eq!(base("/A/B/C/T1/1_ms"), expect("1_ms", "1_ms", float32));
        assert_eq!(base("/A/B/C/T1/100_ms"), expect("100_ms", "100_ms", float32));
        assert_eq!(base("/A/B/C/T1/1_s_mean_polar_deg"), expect("1_ms", "1_s_mean_polar_deg", float64));
        assert_eq!(base("/A/B/C/T1/1_s_min_bitwise#base=1_ms"), expect("1_ms", "1_s_min_bitwise", float64));
        assert_eq!(
            base("/A/B/C/T1/1_s_max_bitwise#base=100_ms"),
            expect("100_ms", "1_s_max_bitwise", float64)
        );
        // An original is what it is, whatever the fragment says: clients append it always.
        assert_eq!(base("/A/B/C/T1/100_ms#base=1_ms"), expect("100_ms", "100_ms", float32));

        let error = find(&catalog, "/A/B/C/T1/10_ms").unwrap_err();
        assert_eq!(
            error.to_string(),
            "`/A/B/C/T1/10_ms`: the resource `T1` has no representation `10_ms`; available: 1_ms, 100_ms"
        );
        let irregular = example("/A", "T1", &[]);
        let error = find(&irregular, "/A/T1/1_s_mean").unwrap_err();
        assert_eq!(
            error.to_string(),
            "`/A/T1/1_s_mean`: the resource `T1` is irregular, so it has records and no representation; ask for its \
             records, or for `1_s_spread`, each of them spread evenly over its interval"
        );
    }

    /// Reference 1.7: a path through a link is looked up in the catalog at its end, with all that it says.
    #[test]
    fn a_path_through_a_link_is_found() {
        let catalog = example("/A/B/C", "T1", &["1_s"]);
        let link = Registration {
            link: Some("/A/B/C".parse().unwrap()),
            ..Registration::new("/SOFT/A".parse().unwrap())
        };
        let hierarchy = Hierarchy::new([Registration::new(catalog.id().clone()), link]);
        let path: ResourcePath = "/SOFT/A/T1/1_min_mean#base=1_s&threshold=0.5".parse().unwrap();
        let target = hierarchy.find(path.catalog()).unwrap().unwrap().id.clone();
        let path = path.with_catalog(target);
        assert_eq!(path.to_string(), "/A/B/C/T1/1_min_mean#base=1_s&threshold=0.5");
        assert_eq!(catalog.find(&path).unwrap().resource.original_name(), "T1");
    }

    /// Reference 1.8, "merge" and "metadata override".
    #[test]
    fn merging_follows_the_reference() {
        let left = catalog(json!({
            "id": "/C", "properties": {"readme": "v1", "A": "A_0", "L": 1},
            "resources": [
                {"id": "R1", "properties": {"unit": "m"}, "representations": [{"dataType": "FLOAT32", "samplePeriod": "1_s"}]},
                {"id": "R2", "representations": []}
            ]
        }));
        let right = catalog(json!({
            "id": "/C", "properties": {"readme": "v2", "A": "A_1", "R": 2},
            "resources": [
                {"id": "R3"},
                {"id": "R1", "representations": [
                    {"dataType": "INT16", "samplePeriod": "1_min"}, {"dataType": "FLOAT32", "samplePeriod": "1_s"}
                ]}
            ]
        }));
        let merged = left.clone().merge(right).unwrap();
        assert_eq!(merged.properties().readme(), Some("v2"));
        assert_eq!(
            serde_json::to_value(merged.properties()).unwrap(),
            json!({"readme": "v2", "A": "A_1", "L": 1, "R": 2})
        );
        let ids: Vec<_> = merged.resources().iter().map(|resource| resource.id().as_str()).collect();
        assert_eq!(ids, ["R1", "R2", "R3"]);
        let periods: Vec<_> =
            merged.resources()[0].representations().iter().map(|r| r.id().to_string()).collect();
        assert_eq!(periods, ["1_s", "1_min"]);
        assert_eq!(merged.resources()[0].properties().unit(), Some("m"));

        let other = catalog(json!({"id": "/D"}));
        assert!(matches!(left.clone().merge(other), Err(MergeError::Catalogs { .. })));
        let other_type = catalog(json!({
            "id": "/C", "resources": [{"id": "R1", "representations": [{"dataType": "INT16", "samplePeriod": "1000_ms"}]}]
        }));
        assert!(matches!(left.clone().merge(other_type), Err(MergeError::Representation { .. })));
        let resources = left.resources();
        assert!(matches!(
            resources[0].clone().merge(resources[1].clone()),
            Err(MergeError::Resources { .. })
        ));
    }

    /// Reference 1.5: what is malformed and what is not found are two errors of two types.
    #[test]
    fn malformed_and_not_found_are_different() {
        let catalog = example("/A", "T1", &["1_s"]);
        for malformed in ["/A/T1/1_S", "/A/T1", "/A/T1/1_s#base=", "/A/T1/1_s_mean#x=1_s", "/A/T1/1_s\n"] {
            assert!(malformed.parse::<ResourcePath>().is_err(), "{malformed:?}");
        }
        for missing in ["/A/T2/1_s", "/A/T1/2_s", "/B/T1/1_s", "/A/T1/1_min_mean#base=2_s"] {
            assert!(find(&catalog, missing).is_err(), "{missing}");
        }
    }

    #[test]
    fn duplicates_are_refused() {
        let twice = json!({"id": "/C", "resources": [{"id": "R1"}, {"id": "R2"}, {"id": "R1"}]});
        let error = serde_json::from_value::<ResourceCatalog>(twice).unwrap_err();
        assert_eq!(error.to_string(), "the catalog `/C` has two resources `R1`");
        let one = json!({"dataType": "INT8", "samplePeriod": "60_s"});
        let other = json!({"dataType": "INT16", "samplePeriod": "1_min"});
        let error = serde_json::from_value::<Resource>(json!({"id": "R", "representations": [one, other]}));
        assert_eq!(error.unwrap_err().to_string(), "the resource `R` has two representations `1_min`");
    }
}
