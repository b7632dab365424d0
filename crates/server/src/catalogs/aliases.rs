//! Traces in the catalogs of projects: `/projects/<project>/<trace>` is another name of `/traces/<trace>` for each mapping.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sheaf_db::datastore::{MappingFilter, Page, TraceListFilter};
use sheaf_db::{Database, RepositoryError};
use sheaf_metering::trace_name::catalog_of_project;
use sheaf_model::{CatalogId, ResourceId};

/// Which traces projects have.
#[derive(Debug, Default)]
pub(super) struct Aliases {
    /// The state of the mappings; nothing before they were read.
    pub(super) generation: Option<i64>,
    of: BTreeMap<CatalogId, BTreeSet<ResourceId>>,
}

impl Aliases {
    /// The mappings as they are now, at this generation or a later one.
    pub(super) async fn read(database: &Database, generation: i64) -> Result<Aliases, RepositoryError> {
        let datastore = database.datastore();
        let mappings = datastore.mappings(&MappingFilter::default(), Page::ALL).await?;
        let mut of: BTreeMap<CatalogId, BTreeSet<ResourceId>> = BTreeMap::new();
        if !mappings.is_empty() {
            let projects: HashMap<i64, String> = datastore.project_ids().await?.into_iter().collect();
            let traces = datastore.traces(&TraceListFilter::default(), Page::ALL).await?;
            let names: HashMap<i64, ResourceId> =
                traces.into_iter().filter_map(|trace| Some((trace.id, trace.name.parse().ok()?))).collect();
            for mapping in mappings {
                let project =
                    projects.get(&mapping.project_id).and_then(|project| catalog_of_project(project).ok());
                let (Some(project), Some(name)) = (project, names.get(&mapping.trace_id)) else { continue };
                of.entry(project).or_default().insert(name.clone());
            }
        }
        Ok(Aliases { generation: Some(generation), of })
    }

    /// The catalogs of projects with traces.
    pub(super) fn catalogs(&self) -> impl Iterator<Item = &CatalogId> {
        self.of.keys()
    }

    /// The traces of a project, by its catalog.
    pub(super) fn traces(&self, catalog: &CatalogId) -> impl Iterator<Item = &ResourceId> {
        self.of.get(catalog).into_iter().flatten()
    }

    /// Whether a resource is a trace of this project.
    pub(super) fn has(&self, catalog: &CatalogId, resource: &ResourceId) -> bool {
        self.of.get(catalog).is_some_and(|traces| traces.contains(resource))
    }
}
