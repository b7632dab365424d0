//! Who sees and changes what: decision 30.
//!
//! A trace is a series of the catalog `/traces`, and a project is the catalog `/projects/<project>`; claims open them by these
//! ids, as they open all catalogs. Whoever may read a project sees its traces, too.

use std::collections::HashSet;

use sheaf_db::datastore::{
    AggregationRun, Datastore, MappingFilter, Page, Project, ProjectFilter, Seen, Trace, TraceListFilter,
};
use sheaf_metering::records::catalog;
use sheaf_metering::request::Target;
use sheaf_metering::trace_name::catalog_of_project;
use sheaf_model::CatalogId;

use super::refusals::{Errors, Refusal};
use crate::http::app::App;
use crate::http::auth::Caller;
use crate::http::auth::rights::Action;
use crate::http::errors::ApiError;

/// The catalog of all traces.
fn traces_catalog() -> Result<CatalogId, Refusal> {
    let of_ours = |error| ApiError::internal("the catalog of traces has no name", &error);
    Ok(catalog().map_err(of_ours)?)
}

/// The catalog of a project.
///
/// # Errors
/// The project's id is empty, or too long for a name.
pub(crate) fn catalog_of(project_id: &str) -> Result<CatalogId, Errors> {
    catalog_of_project(project_id).map_err(|error| Errors::one("project_id", error))
}

/// What a caller sees and may change.
#[derive(Clone, Copy)]
pub(crate) struct Rights<'a> {
    app: &'a App,
    caller: &'a Caller,
}

impl<'a> Rights<'a> {
    pub(crate) fn new(app: &'a App, caller: &'a Caller) -> Rights<'a> {
        Rights { app, caller }
    }

    fn datastore(&self) -> Datastore {
        self.app.data.database.datastore()
    }

    fn may(&self, action: Action, catalog: &CatalogId) -> bool {
        self.caller.may_by_id(self.app, action, catalog)
    }

    fn may_project(&self, action: Action, project_id: &str) -> bool {
        catalog_of(project_id).is_ok_and(|catalog| self.may(action, &catalog))
    }

    /// Whether all traces may be read.
    pub(crate) fn sees_all_traces(&self) -> Result<bool, Refusal> {
        Ok(self.may(Action::Read, &traces_catalog()?))
    }

    /// An error unless all traces may be read.
    pub(crate) fn require_read_traces(&self) -> Result<(), Refusal> {
        if self.sees_all_traces()? {
            Ok(())
        } else {
            Err(self.caller.refused("read the catalog /traces").into())
        }
    }

    /// An error unless traces, and what is about all of them, may be changed.
    pub(crate) fn require_write_traces(&self) -> Result<(), Refusal> {
        let may = self.may(Action::Write, &traces_catalog()?);
        if may { Ok(()) } else { Err(self.caller.refused("change the catalog /traces").into()) }
    }

    /// Whether a catalog may be read.
    pub(crate) fn may_read_catalog(&self, catalog: &CatalogId) -> bool {
        self.may(Action::Read, catalog)
    }

    /// An error unless a catalog may be written to.
    pub(crate) fn require_write_catalog(&self, catalog: &CatalogId) -> Result<(), Refusal> {
        let may = self.may(Action::Write, catalog);
        if may { Ok(()) } else { Err(self.caller.refused(&format!("change the catalog {catalog}")).into()) }
    }

    /// An error unless a project may be changed, or made.
    pub(crate) fn require_write_project(&self, project_id: &str) -> Result<(), Refusal> {
        let catalog = catalog_of(project_id)?;
        let may = self.may(Action::Write, &catalog);
        if may { Ok(()) } else { Err(self.caller.refused(&format!("change the catalog {catalog}")).into()) }
    }

    /// An error unless somebody has signed in: before the body of a request is read that changes something.
    pub(crate) fn require_user(&self) -> Result<(), Refusal> {
        self.caller.require_user()?;
        Ok(())
    }

    /// 404 for what is not there and what must not be seen; 401 for nobody.
    pub(crate) fn hidden(&self) -> Refusal {
        match self.require_user() {
            Ok(()) => Refusal::not_found(),
            Err(refusal) => refusal,
        }
    }

    /// The ids of the projects that may be read; `None` for all.
    pub(crate) async fn visible_projects(&self) -> Result<Option<Vec<i64>>, Refusal> {
        if self.caller.is_admin() {
            return Ok(None);
        }
        let all = self.datastore().project_ids().await?;
        let visible = all.into_iter().filter(|(_, name)| self.may_project(Action::Read, name));
        let visible: Vec<i64> = visible.map(|(id, _)| id).collect();
        // Nobody sees what is open to everybody, and nothing else.
        if visible.is_empty() && !self.sees_all_traces()? {
            self.require_user()?;
        }
        Ok(Some(visible))
    }

    /// Those of these projects, or of all, that may be read; `None` for all.
    pub(crate) async fn visible_among(&self, wanted: Option<Vec<i64>>) -> Result<Option<Vec<i64>>, Refusal> {
        Ok(match (wanted, self.visible_projects().await?) {
            (Some(mut wanted), Some(visible)) => {
                wanted.retain(|id| visible.binary_search(id).is_ok());
                Some(wanted)
            }
            (wanted, visible) => wanted.or(visible),
        })
    }

    /// The traces that a filter lets through and that may be read.
    pub(crate) async fn visible_traces(
        &self,
        mut filter: TraceListFilter,
    ) -> Result<TraceListFilter, Refusal> {
        if !self.sees_all_traces()? {
            filter.projects = self.visible_among(filter.projects).await?;
        }
        Ok(filter)
    }

    /// A project that may be read.
    pub(crate) async fn project(&self, pk: &str) -> Result<Project, Refusal> {
        let Ok(id) = pk.parse() else { return Err(self.hidden()) };
        match self.datastore().project(id).await? {
            Some(project) if self.may_project(Action::Read, &project.project_id) => Ok(project),
            _ => Err(self.hidden()),
        }
    }

    /// A project that may be changed.
    pub(crate) async fn project_to_change(&self, pk: &str) -> Result<Project, Refusal> {
        let project = self.project(pk).await?;
        self.require_write_project(&project.project_id)?;
        Ok(project)
    }

    /// Those of these projects that may be read.
    pub(crate) async fn projects(&self, ids: Vec<i64>) -> Result<Vec<Project>, Refusal> {
        let filter = ProjectFilter { allowed: Some(ids), ..ProjectFilter::default() };
        let mut projects = self.datastore().projects(&filter, Page::ALL).await?;
        projects.retain(|project| self.may_project(Action::Read, &project.project_id));
        Ok(projects)
    }

    /// A trace that may be read.
    pub(crate) async fn trace(&self, pk: &str) -> Result<Trace, Refusal> {
        let Ok(id) = pk.parse() else { return Err(self.hidden()) };
        match self.datastore().trace(id).await? {
            Some(trace) if self.sees_trace(id).await? => Ok(trace),
            _ => Err(self.hidden()),
        }
    }

    async fn sees_trace(&self, id: i64) -> Result<bool, Refusal> {
        if self.sees_all_traces()? {
            return Ok(true);
        }
        let of_trace = MappingFilter { traces: Some(vec![id]), ..MappingFilter::default() };
        let mappings = self.datastore().mappings(&of_trace, Page::ALL).await?;
        let projects = mappings.into_iter().map(|mapping| mapping.project_id).collect();
        Ok(!self.projects(projects).await?.is_empty())
    }

    /// A trace that may be changed.
    pub(crate) async fn trace_to_change(&self, pk: &str) -> Result<Trace, Refusal> {
        let trace = self.trace(pk).await?;
        self.require_write_traces()?;
        Ok(trace)
    }

    pub(crate) fn may_read_project(&self, project_id: &str) -> bool {
        self.may_project(Action::Read, project_id)
    }

    /// An error unless all of these projects may be changed, as whoever has them metered needs.
    pub(crate) async fn require_write_projects(&self, ids: HashSet<i64>) -> Result<(), Refusal> {
        self.require_user()?;
        if self.caller.is_admin() || ids.is_empty() {
            return Ok(());
        }
        let these = ProjectFilter { allowed: Some(ids.into_iter().collect()), ..ProjectFilter::default() };
        for project in self.datastore().projects(&these, Page::ALL).await? {
            self.require_write_project(&project.project_id)?;
        }
        Ok(())
    }

    /// Whether what was computed for a project may be seen; without one it may be where all traces are.
    pub(crate) async fn sees(&self, project: Option<i64>) -> Result<bool, Refusal> {
        match project {
            None => self.sees_all_traces(),
            Some(_) if self.caller.is_admin() => Ok(true),
            Some(project) => Ok(!self.projects(vec![project]).await?.is_empty()),
        }
    }

    /// Whose runs and results may be seen; `None` for all.
    pub(crate) async fn seen(&self) -> Result<Option<Seen>, Refusal> {
        let without_project = self.sees_all_traces()?;
        Ok(self.visible_projects().await?.map(|projects| Seen { projects, without_project }))
    }

    /// The user whose aggregations may be seen: those of others are about all traces.
    pub(crate) fn only_own(&self) -> Result<Option<String>, Refusal> {
        if self.sees_all_traces()? {
            return Ok(None);
        }
        Ok(Some(self.caller.require_user()?.user.id.clone()))
    }

    /// An error unless what an aggregation is of may be changed: its projects, or else the catalog of traces.
    pub(crate) async fn require_write_aggregation(&self, run: &AggregationRun) -> Result<(), Refusal> {
        match &run.projects.0[..] {
            [] => self.require_write_traces(),
            projects => self.require_write_projects(projects.iter().copied().collect()).await,
        }
    }

    /// Which of the projects and traces that targets name may be seen; `None` for all.
    pub(crate) async fn seen_of_targets(&self, targets: &[Target]) -> Result<Option<SeenOfTargets>, Refusal> {
        if self.caller.is_admin() {
            return Ok(None);
        }
        let ids = |of: fn(&Target) -> Option<i64>| targets.iter().filter_map(of).collect::<HashSet<i64>>();
        self.seen_among(ids(|target| target.project), ids(|target| target.trace)).await.map(Some)
    }

    /// Those of these projects and traces that may be seen.
    pub(crate) async fn seen_among(
        &self,
        projects: HashSet<i64>,
        traces: HashSet<i64>,
    ) -> Result<SeenOfTargets, Refusal> {
        let projects = self.projects(projects.into_iter().collect()).await?;
        let these = TraceListFilter { ids: Some(traces.into_iter().collect()), ..TraceListFilter::default() };
        let traces = self.datastore().traces(&self.visible_traces(these).await?, Page::ALL).await?;
        Ok(SeenOfTargets {
            projects: projects.into_iter().map(|project| project.id).collect(),
            traces: traces.into_iter().map(|trace| trace.id).collect(),
        })
    }
}

/// The projects and traces of a request that its sender may see.
pub(crate) struct SeenOfTargets {
    pub(crate) projects: HashSet<i64>,
    pub(crate) traces: HashSet<i64>,
}
