//! Projects.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use sheaf_db::datastore::{MetadataFilter, Page, Project, ProjectFilter, ProjectPatch, Range};
use utoipa::ToSchema;

use super::body::{Object, Upload};
use super::bulk::{Done, MOST_OBJECTS, OnWrong};
use super::fields::Fields;
use super::listing::{Listing, Paging, Row};
use super::refusals::{Errors, Refusal, Refusals};
use super::rights::{Rights, catalog_of};
use super::times::{now, of_data, of_row};
use crate::http::app::{App, Shared};
use crate::http::auth::Caller;
use crate::http::extract::{Json, Path};

/// A project: a place where something is changed, and when.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub(crate) struct ProjectRow {
    /// When the change begins.
    baseline_period_end: Option<String>,
    baseline_period_start: Option<String>,
    id: i64,
    /// What its people call it; unique.
    project_id: String,
    project_owner_id: Option<i64>,
    reporting_period_end: Option<String>,
    /// When the change is over.
    reporting_period_start: Option<String>,
    zipcode: Option<String>,
    added: String,
    updated: String,
    /// The station whose weather counts, if not the one that the place chooses.
    weather_station: Option<String>,
    /// The station whose normal year counts, likewise.
    weather_normal_station: Option<String>,
    /// What else is known of it, with `with_attributes=True`.
    #[serde(skip_serializing_if = "Option::is_none")]
    attributes: Option<Vec<Attribute>>,
}

/// Something else that is known of a project.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Attribute {
    key: String,
    value: String,
}

impl Row for ProjectRow {
    fn id(&self) -> i64 {
        self.id
    }
}

impl From<Project> for ProjectRow {
    fn from(project: Project) -> ProjectRow {
        ProjectRow {
            baseline_period_end: project.baseline_period_end.map(of_data),
            baseline_period_start: project.baseline_period_start.map(of_data),
            id: project.id,
            project_id: project.project_id,
            project_owner_id: project.project_owner_id,
            reporting_period_end: project.reporting_period_end.map(of_data),
            reporting_period_start: project.reporting_period_start.map(of_data),
            zipcode: project.zipcode,
            added: of_row(project.added),
            updated: of_row(project.updated),
            weather_station: project.weather_station,
            weather_normal_station: project.weather_normal_station,
            attributes: None,
        }
    }
}

/// The ids of a project.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub(crate) struct ProjectIds {
    id: i64,
    project_id: String,
}

impl Row for ProjectIds {
    fn id(&self) -> i64 {
        self.id
    }
}

/// A new project, or changes of one: what is left out stays.
fn patch(fields: &mut Fields) -> ProjectPatch {
    fields.also_called("project_owner_id", "project_owner");
    ProjectPatch {
        baseline_period_start: fields.time("baseline_period_start"),
        baseline_period_end: fields.time("baseline_period_end"),
        reporting_period_start: fields.time("reporting_period_start"),
        reporting_period_end: fields.time("reporting_period_end"),
        zipcode: fields.text("zipcode", 10),
        project_owner_id: fields.integer("project_owner_id"),
        weather_station: fields.text("weather_station", 255),
        weather_normal_station: fields.text("weather_normal_station", 255),
    }
}

/// What its people call a project, checked to be the name of a catalog.
fn project_id(fields: &mut Fields, is_required: bool) -> Option<String> {
    let read = |fields: &mut Fields, name: &str| fields.text(name, 255);
    if is_required { fields.required("project_id", read) } else { fields.not_null("project_id", read) }
}

/// A project with all that it must have.
fn whole(mut fields: Fields) -> Result<(String, ProjectPatch), Errors> {
    let (name, patch) = (project_id(&mut fields, true), patch(&mut fields));
    fields.done()?;
    let name = name.unwrap_or_default();
    catalog_of(&name)?;
    Ok((name, patch))
}

/// The ranges of ids that a text has, like `1 3-5`; what is none is left out.
fn ranges(text: &str) -> Vec<RangeInclusive<i64>> {
    let range = |word: &str| match word.split_once('-') {
        Some((first, last)) => Some(first.parse().ok()?..=last.parse().ok()?),
        None => word.parse().ok().map(|id| id..=id),
    };
    text.split([' ', '+', ',']).filter_map(range).collect()
}

fn filter(fields: &mut Fields) -> Result<ProjectFilter, Errors> {
    let text = |fields: &mut Fields, name: &str| fields.text(name, 1_000_000).flatten();
    let range = |fields: &mut Fields, name: &str| Range {
        from: fields.time(&format!("{name}_0")).flatten(),
        to: fields.time(&format!("{name}_1")).flatten(),
    };
    let filter = ProjectFilter {
        ids: text(fields, "projects").map(|text| ranges(&text)),
        allowed: None,
        project_id: text(fields, "project_id"),
        zipcode: text(fields, "zipcode"),
        project_owner: fields.integer("project_owner").flatten(),
        baseline_period_end: range(fields, "baseline_period_end"),
        reporting_period_start: range(fields, "reporting_period_start"),
    };
    fields.done()?;
    Ok(filter)
}

/// Projects, by id.
#[utoipa::path(get, path = "/api/v1/projects", tag = "projects",
    params(
        ("projects" = Option<String>, Query, description = "Ids and ranges of them, like `1 3-5`"),
        ("project_id" = Option<String>, Query, description = "What its people call it"),
        ("zipcode" = Option<String>, Query, description = "Where it is"),
        ("project_owner" = Option<i64>, Query, description = "Whose it is"),
        ("baseline_period_end_0" = Option<String>, Query, description = "The baseline ends at this time or later"),
        ("baseline_period_end_1" = Option<String>, Query, description = "The baseline ends at this time or earlier"),
        ("reporting_period_start_0" = Option<String>, Query, description = "The reporting period begins at this time or later"),
        ("reporting_period_start_1" = Option<String>, Query, description = "The reporting period begins at this time or earlier"),
        ("with_attributes" = Option<String>, Query, description = "`True` for what else is known of each"),
        Paging,
    ),
    responses((status = 200, body = Vec<ProjectRow>), Refusals))]
pub(crate) async fn list(
    State(app): State<Shared>,
    caller: Caller,
    mut listing: Listing,
) -> Result<Response, Refusal> {
    let mut filter = filter(&mut listing.filters)?;
    filter.allowed = Rights::new(&app, &caller).visible_projects().await?;
    let with_attributes = listing.filters.take("with_attributes").is_some_and(|value| value == "True");
    let datastore = app.data.database.datastore();
    listing
        .answer((datastore, filter), move |(datastore, filter), page| async move {
            let projects = datastore.projects(&filter, page).await?;
            let mut rows: Vec<ProjectRow> = projects.into_iter().map(ProjectRow::from).collect();
            if with_attributes {
                let ids = rows.iter().map(|row| row.id).collect();
                let of_these = MetadataFilter { projects: Some(ids), ..MetadataFilter::default() };
                let mut attributes: HashMap<i64, Vec<Attribute>> = HashMap::new();
                for known in datastore.metadata(&of_these, Page::ALL).await? {
                    let attribute = Attribute { key: known.key, value: known.value };
                    attributes.entry(known.project_id).or_default().push(attribute);
                }
                for row in &mut rows {
                    row.attributes = Some(attributes.remove(&row.id).unwrap_or_default());
                }
            }
            Ok(rows)
        })
        .await
}

/// The ids of all projects.
#[utoipa::path(get, path = "/api/v1/projects/ids", tag = "projects", params(Paging),
    responses((status = 200, body = Vec<ProjectIds>), Refusals))]
pub(crate) async fn ids(
    State(app): State<Shared>,
    caller: Caller,
    listing: Listing,
) -> Result<Response, Refusal> {
    let allowed = Rights::new(&app, &caller).visible_projects().await?;
    let filter = ProjectFilter { allowed, ..ProjectFilter::default() };
    let datastore = app.data.database.datastore();
    listing
        .answer((datastore, filter), move |(datastore, filter), page| async move {
            let projects = datastore.projects(&filter, page).await?;
            let ids = |project: Project| ProjectIds { id: project.id, project_id: project.project_id };
            Ok(projects.into_iter().map(ids).collect::<Vec<_>>())
        })
        .await
}

/// Adds a project.
#[utoipa::path(post, path = "/api/v1/projects", tag = "projects", request_body = Object,
    responses((status = 201, body = ProjectRow), Refusals))]
pub(crate) async fn create(
    State(app): State<Shared>,
    caller: Caller,
    Object(fields): Object,
) -> Result<(StatusCode, Json<ProjectRow>), Refusal> {
    let (name, patch) = whole(fields)?;
    Rights::new(&app, &caller).require_write_project(&name)?;
    let project = app.data.database.datastore().create_project(name, patch, now()).await?;
    Ok((StatusCode::CREATED, Json(project.into())))
}

/// A project.
#[utoipa::path(get, path = "/api/v1/projects/{id}", tag = "projects", params(("id" = i64, Path)),
    responses((status = 200, body = ProjectRow), Refusals))]
pub(crate) async fn get(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<ProjectRow>, Refusal> {
    Ok(Json(Rights::new(&app, &caller).project(&id).await?.into()))
}

/// Changes a project. What is left out stays as it is.
#[utoipa::path(put, path = "/api/v1/projects/{id}", tag = "projects", params(("id" = i64, Path)), request_body = Object,
    responses((status = 200, body = ProjectRow), Refusals))]
pub(crate) async fn replace(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
    Object(fields): Object,
) -> Result<Json<ProjectRow>, Refusal> {
    change(&app, &caller, &id, fields, true).await
}

/// Changes some fields of a project.
#[utoipa::path(patch, path = "/api/v1/projects/{id}", tag = "projects", params(("id" = i64, Path)), request_body = Object,
    responses((status = 200, body = ProjectRow), Refusals))]
pub(crate) async fn update(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
    Object(fields): Object,
) -> Result<Json<ProjectRow>, Refusal> {
    change(&app, &caller, &id, fields, false).await
}

async fn change(
    app: &App,
    caller: &Caller,
    id: &str,
    mut fields: Fields,
    is_whole: bool,
) -> Result<Json<ProjectRow>, Refusal> {
    let rights = Rights::new(app, caller);
    let project = rights.project_to_change(id).await?;
    let (name, patch) = (project_id(&mut fields, is_whole), patch(&mut fields));
    fields.done()?;
    if let Some(name) = name.as_deref().filter(|name| *name != project.project_id) {
        rights.require_write_project(name)?;
    }
    let changed = app.data.database.datastore().update_project(project.id, name, patch, now()).await?;
    Ok(Json(changed.ok_or_else(Refusal::not_found)?.into()))
}

/// Removes a project with its mappings and metadata, and its runs with all that came of them. Its traces stay.
#[utoipa::path(delete, path = "/api/v1/projects/{id}", tag = "projects", params(("id" = i64, Path)),
    responses((status = 204, description = "It is gone"), Refusals))]
pub(crate) async fn delete(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Refusal> {
    let project = Rights::new(&app, &caller).project_to_change(&id).await?;
    app.data.database.datastore().delete_projects(&[project.id]).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn upsert(app: &App, caller: &Caller, upload: Upload) -> Result<Done, Refusal> {
    let rights = Rights::new(app, caller);
    let projects = upload.read(app, rights.require_user(), MOST_OBJECTS, whole).await?;
    for (_, (name, _)) in &projects.rows {
        rights.require_write_project(name)?;
    }
    let datastore = app.data.database.datastore();
    projects
        .upsert(async |projects, on_error| Ok(datastore.upsert_projects(projects, on_error, now()).await?))
        .await
}

/// Adds projects, or changes those that are there: all of them or none.
#[utoipa::path(post, path = "/api/v1/projects/bulk_upsert", tag = "projects",
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

/// The same; answers with the projects.
#[utoipa::path(post, path = "/api/v1/projects/bulk_upsert_verbose", tag = "projects",
    params(OnWrong),
    request_body = Vec<Object>,
    responses((status = 201, description = "In the order of the request", body = Vec<ProjectRow>),
        (status = 207, description = "Some were skipped", body = serde_json::Value), Refusals))]
pub(crate) async fn bulk_upsert_verbose(
    State(app): State<Shared>,
    caller: Caller,
    upload: Upload,
) -> Result<Response, Refusal> {
    let done = upsert(&app, &caller, upload).await?;
    let these = ProjectFilter { allowed: Some(done.ids()), ..ProjectFilter::default() };
    let projects = app.data.database.datastore().projects(&these, Page::ALL).await?;
    let rows = projects.into_iter().map(|project| (project.id, ProjectRow::from(project))).collect();
    Ok(done.verbose(&rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_of_projects_are_read_as_clients_write_them() {
        assert_eq!(ranges("1 3-5+x 7- -2 9"), [1..=1, 3..=5, 9..=9]);
        assert_eq!(ranges(""), []);
    }
}
