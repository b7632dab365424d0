//! From a resource path to the series that answers it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;

use sheaf_model::{
    CatalogId, DataType, FindError, Kind, MergeError, Properties, Representation, Resource, ResourceCatalog,
    ResourceId, ResourcePath, SamplePeriod, SeriesKey,
};
use sheaf_sources::{DataSource, SourceError, SourceSeries};
use sheaf_store::{Layout, Rollups, SeriesId, SeriesSpec, Store, StoreError};

use crate::rollup_key::SourceIdentity;

/// So many series of a catalog are looked at to find out what a misspelt resource was meant to be.
const MOST_SUGGESTED: usize = 10_000;

/// A path, and what it is computed from.
#[derive(Clone)]
pub struct Resolved {
    /// What was asked for.
    pub path: ResourcePath,
    /// The samples.
    pub base: Base,
}

/// The samples that something is computed from.
#[derive(Clone)]
pub enum Base {
    /// A series of the store.
    Stored {
        /// The series.
        series: SeriesId,
        /// What it is.
        spec: SeriesSpec,
        /// Where states are kept that are made of it; `None`, as it is found, if they are not.
        rollups: Option<Arc<Rollups>>,
    },
    /// A series of a source.
    InPlace {
        /// The source.
        source: Arc<dyn DataSource>,
        /// What it says of the series.
        series: SourceSeries,
        /// Where states are kept that are made of it; `None`, as it is found, if they are not.
        rollups: Option<SourceRollups>,
    },
}

/// Where states are kept that are made of a source, and what tells it from others.
#[derive(Clone, Debug)]
pub struct SourceRollups {
    /// What is kept.
    pub rollups: Arc<Rollups>,
    /// The source that the series is of.
    pub source: SourceIdentity,
}

impl Base {
    /// The period of the samples; `None` where they are irregular.
    pub fn period(&self) -> Option<SamplePeriod> {
        match self {
            Base::Stored { spec: SeriesSpec { layout: Layout::Regular { period, .. }, .. }, .. } => {
                Some(*period)
            }
            Base::Stored { .. } => None,
            Base::InPlace { series, .. } => Some(series.period),
        }
    }

    /// The type of the samples.
    pub fn data_type(&self) -> DataType {
        match self {
            Base::Stored { spec, .. } => spec.data_type,
            Base::InPlace { series, .. } => series.data_type,
        }
    }
}

/// Finds the series behind each path: the one of its base, of its own period for an original, the irregular one where it is
/// spread. Without a base, it is the finest one.
///
/// # Errors
/// There is no such catalog, resource or representation, or the store fails.
pub async fn resolve(store: &Store, paths: &[ResourcePath]) -> Result<Vec<Resolved>, ResolveError> {
    let mut found = named(store, paths).await?;
    let of_path = |path: &ResourcePath| SeriesKey::prefix_of_resource(path.catalog(), path.resource());
    let unnamed = paths.iter().zip(&found).filter(|(_, found)| found.is_none());
    let representations = representations(store, unnamed.map(|(path, _)| of_path(path)).collect()).await?;
    for (path, found) in paths.iter().zip(&mut found) {
        if found.is_none() {
            let series = representations.get(&of_path(path)).map(Vec::as_slice).unwrap_or_default();
            *found = Some(choose(store, path, series).await?);
        }
    }
    let resolved = paths.iter().zip(found.into_iter().flatten()).map(|(path, (series, spec))| Resolved {
        path: path.clone(),
        base: Base::Stored { series, spec, rollups: None },
    });
    Ok(resolved.collect())
}

/// The series of the paths that say which one it is.
async fn named(
    store: &Store,
    paths: &[ResourcePath],
) -> Result<Vec<Option<(SeriesId, SeriesSpec)>>, ResolveError> {
    let (mut places, mut keys) = (Vec::new(), Vec::new());
    for (place, path) in paths.iter().enumerate() {
        let period = match path.kind() {
            Kind::Original => Some(path.period()),
            _ => path.base(),
        };
        let is_irregular = path.kind() == Kind::Spread && period.is_none();
        if (period.is_some() || is_irregular) && path.arguments().is_empty() {
            places.push(place);
            keys.push(key(path, period));
        }
    }
    let mut found = vec![None; paths.len()];
    if keys.is_empty() {
        return Ok(found);
    }
    let ids = store.find_all(&keys).await?;
    let (places, ids): (Vec<usize>, Vec<SeriesId>) =
        places.into_iter().zip(ids).filter_map(|(place, id)| Some((place, id?))).unzip();
    for ((place, id), spec) in places.into_iter().zip(&ids).zip(store.specs(&ids).await?) {
        found[place] = Some((*id, spec.as_ref().clone()));
    }
    Ok(found)
}

fn key(path: &ResourcePath, period: Option<SamplePeriod>) -> String {
    let (catalog, resource) = (path.catalog().clone(), path.resource().clone());
    SeriesKey { catalog, resource, period }.to_string()
}

/// The series with a period of each resource, by the beginning of their keys.
async fn representations(
    store: &Store,
    resources: BTreeSet<String>,
) -> Result<HashMap<String, Vec<(SeriesId, SeriesSpec)>>, ResolveError> {
    // A period begins with a digit, and no name does; the colon is the character behind the digits.
    let range = |prefix: String| {
        let end = format!("{prefix}:");
        prefix..end
    };
    let ranges: Vec<Range<String>> = resources.into_iter().map(range).collect();
    if ranges.is_empty() {
        return Ok(HashMap::new());
    }
    let mut found: HashMap<String, Vec<(SeriesId, SeriesSpec)>> = HashMap::new();
    for (series, spec) in store.series_in(&ranges).await? {
        let prefix = spec.key.rfind('/').map_or("", |slash| &spec.key[..=slash]);
        found.entry(prefix.to_owned()).or_default().push((series, spec));
    }
    Ok(found)
}

/// The one of a resource's series that a path is computed from.
async fn choose(
    store: &Store,
    path: &ResourcePath,
    series: &[(SeriesId, SeriesSpec)],
) -> Result<(SeriesId, SeriesSpec), ResolveError> {
    let none = || ResolveError::NoCatalog { path: Box::new(path.clone()) };
    let around;
    let series = if series.is_empty() {
        // It is irregular, or it is not there, and something like it may be.
        let below = SeriesKey::prefix_of_catalog(path.catalog());
        around = store.series_below(&below, None, MOST_SUGGESTED).await?;
        if around.is_empty() {
            return Err(none());
        }
        &around
    } else {
        series
    };
    let known = catalog_of(path.catalog(), series.iter().map(|(_, spec)| spec))?;
    let item = known.find(path).map_err(|error| ResolveError::NotThere(Box::new(error)))?;
    let key = key(path, Some(item.base.sample_period));
    series.iter().find(|(_, spec)| spec.key == key).cloned().ok_or_else(none)
}

/// Finds the series of a source behind a path; the source is the catalog of the path.
///
/// # Errors
/// There is no such resource or representation, or the source fails.
pub fn resolve_in_place(source: &Arc<dyn DataSource>, path: &ResourcePath) -> Result<Resolved, ResolveError> {
    let all = source.series().map_err(|error| ResolveError::Source(Box::new(error)))?;
    let known = catalog_in_place(path.catalog(), &all)?;
    let item = known.find(path).map_err(|error| ResolveError::NotThere(Box::new(error)))?;
    let period = item.base.sample_period;
    let series =
        all.into_iter().find(|series| series.resource == *path.resource() && series.period == period);
    let series = series.ok_or_else(|| ResolveError::NoCatalog { path: Box::new(path.clone()) })?;
    let base = Base::InPlace { source: source.clone(), series, rollups: None };
    Ok(Resolved { path: path.clone(), base })
}

/// The catalog that the series of a source make up, with what it says of its resources; the finest representation of a
/// resource first.
///
/// # Errors
/// Two of the series have the same key.
pub fn catalog_in_place(id: &CatalogId, series: &[SourceSeries]) -> Result<ResourceCatalog, MergeError> {
    // Those of a resource stand together, in the order of their periods.
    let resources = series.chunk_by(|one, next| one.resource == next.resource).filter_map(|of| {
        let first = of.first()?;
        let representations =
            of.iter().map(|series| Representation::new(series.data_type, series.period)).collect();
        Some(Resource::new(first.resource.clone(), first.properties.clone(), representations))
    });
    let resources = resources.collect::<Result<_, _>>().map_err(MergeError::from)?;
    ResourceCatalog::new(id.clone(), Properties::default(), resources)
}

/// The catalog that these series make up, those of other catalogs left out; the finest representation of a resource first.
///
/// # Errors
/// Two of the series have the same key.
pub fn catalog_of<'a>(
    id: &CatalogId,
    series: impl IntoIterator<Item = &'a SeriesSpec>,
) -> Result<ResourceCatalog, MergeError> {
    let mut resources: BTreeMap<ResourceId, Vec<Representation>> = BTreeMap::new();
    for spec in series {
        let Ok(key) = spec.key.parse::<SeriesKey>() else { continue };
        if key.catalog == *id {
            let representations = resources.entry(key.resource).or_default();
            if let Layout::Regular { period, .. } = spec.layout {
                representations.push(Representation::new(spec.data_type, period));
            }
        }
    }
    let resources = resources.into_iter().map(|(resource, mut representations)| {
        representations.sort_by_key(|representation| representation.sample_period);
        Resource::new(resource, Properties::default(), representations)
    });
    ResourceCatalog::new(id.clone(), Properties::default(), resources.collect::<Result<_, _>>()?)
}

/// A path without a series behind it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// No series lies in the catalog or below it.
    #[error("`{path}`: there is no catalog `{}`", path.catalog())]
    NoCatalog {
        /// What was looked for.
        path: Box<ResourcePath>,
    },
    /// The catalog is there, and what was looked for in it is not.
    #[error(transparent)]
    NotThere(Box<FindError>),
    /// Series that make up no catalog.
    #[error(transparent)]
    Catalog(#[from] MergeError),
    /// The store can't be read.
    #[error(transparent)]
    Store(Box<StoreError>),
    /// The source can't be read.
    #[error(transparent)]
    Source(Box<SourceError>),
}

impl From<StoreError> for ResolveError {
    fn from(error: StoreError) -> ResolveError {
        ResolveError::Store(Box::new(error))
    }
}
