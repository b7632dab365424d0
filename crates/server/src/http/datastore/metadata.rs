//! What else is known of projects; filters of groups look at it.

use std::collections::HashMap;

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use sheaf_db::datastore::{MetadataFilter, NewMetadata, Page, ProjectMetadata};
use utoipa::ToSchema;

use super::body::Upload;
use super::bulk::{Done, MOST_OBJECTS, OnWrong, OneOrMany};
use super::fields::Fields;
use super::listing::{Listing, Paging, Row};
use super::refusals::{Errors, Refusal, Refusals, no_such};
use super::rights::Rights;
use crate::http::app::{App, Shared};
use crate::http::auth::Caller;

/// The longest value, in characters.
const LONGEST_VALUE: usize = 100_000;

/// Something else that is known of a project.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub(crate) struct MetadataRow {
    id: i64,
    /// The id of the project's row.
    project_id: i64,
    key: String,
    value: String,
}

impl Row for MetadataRow {
    fn id(&self) -> i64 {
        self.id
    }
}

impl From<ProjectMetadata> for MetadataRow {
    fn from(known: ProjectMetadata) -> MetadataRow {
        MetadataRow { id: known.id, project_id: known.project_id, key: known.key, value: known.value }
    }
}

/// A project, as its people call it, or by the id of its row: a text or a number.
#[derive(Debug)]
enum Named {
    Name(String),
    Row(i64),
}

#[derive(Debug)]
struct New {
    project: Named,
    key: String,
    value: String,
}

fn new(mut fields: Fields) -> Result<New, Errors> {
    fields.also_called("project_id", "project");
    let project = match fields.is_number("project_id") {
        true => fields.required("project_id", Fields::integer).map(Named::Row),
        false => fields.required("project_id", |fields, name| fields.text(name, 255)).map(Named::Name),
    };
    let key = fields.required("key", |fields, name| fields.text(name, 255));
    let value = fields.required("value", |fields, name| fields.text(name, LONGEST_VALUE));
    fields.done()?;
    let project = project.unwrap_or(Named::Row(0));
    Ok(New { project, key: key.unwrap_or_default(), value: value.unwrap_or_default() })
}

/// What else is known of projects.
#[utoipa::path(get, path = "/api/v1/project_metadata", tag = "projects",
    params(
        ("projects" = Option<String>, Query, description = "Ids of projects"),
        ("key" = Option<String>, Query, description = "What it is"),
        Paging,
    ),
    responses((status = 200, body = Vec<MetadataRow>), Refusals))]
pub(crate) async fn list(
    State(app): State<Shared>,
    caller: Caller,
    mut listing: Listing,
) -> Result<Response, Refusal> {
    let fields = &mut listing.filters;
    fields.also_called("projects", "project");
    let (projects, key) = (fields.ids("projects"), fields.text("key", 1_000_000).flatten());
    fields.done()?;
    let projects = Rights::new(&app, &caller).visible_among(projects).await?;
    let filter = MetadataFilter { ids: None, projects, key };
    let datastore = app.data.database.datastore();
    listing
        .answer((datastore, filter), move |(datastore, filter), page| async move {
            let metadata = datastore.metadata(&filter, page).await?;
            Ok(metadata.into_iter().map(MetadataRow::from).collect::<Vec<_>>())
        })
        .await
}

async fn upsert(app: &App, caller: &Caller, upload: Upload) -> Result<Done, Refusal> {
    let rights = Rights::new(app, caller);
    let metadata = upload.read(app, rights.require_user(), MOST_OBJECTS, new).await?;
    let rows = metadata.rows.iter().filter_map(|(_, new)| match new.project {
        Named::Row(id) => Some(id),
        Named::Name(_) => None,
    });
    let projects = rights.projects(rows.collect()).await?;
    let names: HashMap<i64, String> =
        projects.into_iter().map(|project| (project.id, project.project_id)).collect();
    let metadata = metadata.try_map(|New { project, key, value }| {
        let project_id = match project {
            Named::Name(name) => name,
            Named::Row(id) => {
                names.get(&id).cloned().ok_or_else(|| Errors::one("project_id", no_such(id)))?
            }
        };
        Ok(NewMetadata { project_id, key, value })
    });
    for (_, new) in &metadata.rows {
        rights.require_write_project(&new.project_id)?;
    }
    let datastore = app.data.database.datastore();
    metadata.upsert(async |metadata, on_error| Ok(datastore.upsert_metadata(metadata, on_error).await?)).await
}

/// Says something of a project, or several things as a list.
#[utoipa::path(post, path = "/api/v1/project_metadata", tag = "projects", request_body = Vec<Object>,
    responses((status = 201, description = "What is known now, or the list of it", body = OneOrMany<MetadataRow>), Refusals))]
pub(crate) async fn create(
    State(app): State<Shared>,
    caller: Caller,
    upload: Upload,
) -> Result<Response, Refusal> {
    let done = upsert(&app, &caller, upload).await?;
    let these = MetadataFilter { ids: Some(done.ids()), ..MetadataFilter::default() };
    let metadata = app.data.database.datastore().metadata(&these, Page::ALL).await?;
    let rows: HashMap<i64, MetadataRow> =
        metadata.into_iter().map(|known| (known.id, known.into())).collect();
    Ok(done.one_or_all(&rows))
}

/// Says what else is known of projects: all of it or nothing.
#[utoipa::path(post, path = "/api/v1/project_metadata/bulk_upsert", tag = "projects",
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
