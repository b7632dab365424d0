//! Which traces belong to which projects.

use std::collections::{HashMap, HashSet};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use sheaf_db::datastore::{MappingFilter, Page, ProjectTrace, TraceListFilter};
use utoipa::ToSchema;

use super::body::Upload;
use super::bulk::{Done, MOST_OBJECTS, OnWrong, OneOrMany};
use super::fields::Fields;
use super::listing::{Listing, Paging, Row};
use super::refusals::{Errors, Refusal, Refusals, no_such};
use super::rights::Rights;
use crate::http::app::{App, Shared};
use crate::http::auth::Caller;
use crate::http::extract::Path;

/// That a trace is one of a project.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub(crate) struct MappingRow {
    id: i64,
    /// The id of the project's row.
    project_id: i64,
    /// The id of the trace's row.
    trace_id: i64,
}

impl Row for MappingRow {
    fn id(&self) -> i64 {
        self.id
    }
}

impl From<ProjectTrace> for MappingRow {
    fn from(mapping: ProjectTrace) -> MappingRow {
        MappingRow { id: mapping.id, project_id: mapping.project_id, trace_id: mapping.trace_id }
    }
}

fn pair(mut fields: Fields) -> Result<(i64, i64), Errors> {
    fields.also_called("project_id", "project");
    fields.also_called("trace_id", "trace");
    let project = fields.required("project_id", Fields::integer);
    let trace = fields.required("trace_id", Fields::integer);
    fields.done()?;
    Ok((project.unwrap_or_default(), trace.unwrap_or_default()))
}

/// Which traces belong to which projects, by the ids of these pairs.
#[utoipa::path(get, path = "/api/v1/project_trace_mappings", tag = "projects",
    params(
        ("projects" = Option<String>, Query, description = "Ids of projects"),
        ("traces" = Option<String>, Query, description = "Ids of traces"),
        Paging,
    ),
    responses((status = 200, body = Vec<MappingRow>), Refusals))]
pub(crate) async fn list(
    State(app): State<Shared>,
    caller: Caller,
    mut listing: Listing,
) -> Result<Response, Refusal> {
    let fields = &mut listing.filters;
    fields.also_called("projects", "project");
    fields.also_called("traces", "trace");
    let (projects, traces) = (fields.ids("projects"), fields.ids("traces"));
    fields.done()?;
    let projects = Rights::new(&app, &caller).visible_among(projects).await?;
    let filter = MappingFilter { ids: None, projects, traces };
    let datastore = app.data.database.datastore();
    listing
        .answer((datastore, filter), move |(datastore, filter), page| async move {
            let mappings = datastore.mappings(&filter, page).await?;
            Ok(mappings.into_iter().map(MappingRow::from).collect::<Vec<_>>())
        })
        .await
}

async fn upsert(app: &App, caller: &Caller, upload: Upload) -> Result<Done, Refusal> {
    let rights = Rights::new(app, caller);
    let pairs = upload.read(app, rights.require_user(), MOST_OBJECTS, pair).await?;
    let (projects, traces): (Vec<i64>, Vec<i64>) = pairs.rows.iter().map(|(_, pair)| *pair).unzip();
    let mut visible_projects = HashSet::new();
    for project in rights.projects(distinct(projects)).await? {
        rights.require_write_project(&project.project_id)?;
        visible_projects.insert(project.id);
    }
    let these = TraceListFilter { ids: Some(distinct(traces)), ..TraceListFilter::default() };
    let datastore = app.data.database.datastore();
    let these = rights.visible_traces(these).await?;
    let traces = datastore.traces(&these, Page::ALL).await?;
    let visible_traces: HashSet<i64> = traces.into_iter().map(|trace| trace.id).collect();
    let visible = |(project, trace): (i64, i64)| {
        let mut errors = Errors::default();
        if !visible_projects.contains(&project) {
            errors.add("project_id", no_such(project));
        }
        if !visible_traces.contains(&trace) {
            errors.add("trace_id", no_such(trace));
        }
        if errors.is_empty() { Ok((project, trace)) } else { Err(errors) }
    };
    pairs
        .try_map(visible)
        .upsert(async |pairs, on_error| Ok(datastore.upsert_mappings(&pairs, on_error).await?))
        .await
}

fn distinct(mut ids: Vec<i64>) -> Vec<i64> {
    ids.sort_unstable();
    ids.dedup();
    ids
}

async fn rows(app: &App, done: &Done) -> Result<HashMap<i64, MappingRow>, Refusal> {
    let these = MappingFilter { ids: Some(done.ids()), ..MappingFilter::default() };
    let mappings = app.data.database.datastore().mappings(&these, Page::ALL).await?;
    Ok(mappings.into_iter().map(|mapping| (mapping.id, mapping.into())).collect())
}

/// Says that a trace belongs to a project, or several pairs of them as a list.
#[utoipa::path(post, path = "/api/v1/project_trace_mappings", tag = "projects", request_body = Vec<Object>,
    responses((status = 201, description = "The pair, or the list of them", body = OneOrMany<MappingRow>), Refusals))]
pub(crate) async fn create(
    State(app): State<Shared>,
    caller: Caller,
    upload: Upload,
) -> Result<Response, Refusal> {
    let done = upsert(&app, &caller, upload).await?;
    let rows = rows(&app, &done).await?;
    Ok(done.one_or_all(&rows))
}

/// Says that traces belong to projects: all of them or none.
#[utoipa::path(post, path = "/api/v1/project_trace_mappings/bulk_upsert", tag = "projects",
    params(OnWrong),
    request_body = Vec<Object>,
    responses((status = 200, description = "How many became what", body = serde_json::Value),
        (status = 207, description = "Some were skipped", body = serde_json::Value), Refusals))]
pub(crate) async fn bulk_upsert(
    State(app): State<Shared>,
    caller: Caller,
    upload: Upload,
) -> Result<Response, Refusal> {
    Ok(upsert(&app, &caller, upload).await?.summary())
}

/// The same; answers with the pairs.
#[utoipa::path(post, path = "/api/v1/project_trace_mappings/bulk_upsert_verbose", tag = "projects",
    params(OnWrong),
    request_body = Vec<Object>,
    responses((status = 201, description = "In the order of the request", body = Vec<MappingRow>),
        (status = 207, description = "Some were skipped", body = serde_json::Value), Refusals))]
pub(crate) async fn bulk_upsert_verbose(
    State(app): State<Shared>,
    caller: Caller,
    upload: Upload,
) -> Result<Response, Refusal> {
    let done = upsert(&app, &caller, upload).await?;
    let rows = rows(&app, &done).await?;
    Ok(done.verbose(&rows))
}

/// Takes a trace out of a project. What was computed of it stays.
#[utoipa::path(delete, path = "/api/v1/project_trace_mappings/{id}", tag = "projects", params(("id" = i64, Path)),
    responses((status = 204, description = "It is gone"), Refusals))]
pub(crate) async fn delete(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Refusal> {
    let rights = Rights::new(&app, &caller);
    rights.require_user()?;
    let this = id.parse().ok().map(|id| MappingFilter { ids: Some(vec![id]), ..MappingFilter::default() });
    let this = this.ok_or_else(Refusal::not_found)?;
    let datastore = app.data.database.datastore();
    let mapping = datastore.mappings(&this, Page::ALL).await?.pop().ok_or_else(Refusal::not_found)?;
    rights.project_to_change(&mapping.project_id.to_string()).await?;
    datastore.delete_mappings(&this).await?;
    Ok(StatusCode::NO_CONTENT)
}
