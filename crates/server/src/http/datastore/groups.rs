//! Groups of traces: a name, and a filter that says which traces belong to it now.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use serde_json::Value;
use sheaf_db::datastore::{TraceFilter, TraceGroup, TraceListFilter};
use utoipa::ToSchema;

use super::body::Object;
use super::fields::{Field, Fields};
use super::listing::{Listing, Paging, Row};
use super::refusals::{Refusal, Refusals};
use super::rights::Rights;
use super::traces::TraceRow;
use crate::http::app::{App, Shared};
use crate::http::auth::Caller;
use crate::http::errors::ApiError;
use crate::http::extract::{Json, Path};

/// A group of traces.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub(crate) struct GroupRow {
    id: i64,
    name: String,
    /// Which traces belong to it; null for all.
    filter_specification: Option<Value>,
}

impl Row for GroupRow {
    fn id(&self) -> i64 {
        self.id
    }
}

impl TryFrom<TraceGroup> for GroupRow {
    type Error = Refusal;

    fn try_from(group: TraceGroup) -> Result<GroupRow, Refusal> {
        let damaged =
            |error| ApiError::internal(format!("the filter of the group {} is damaged", group.id), &error);
        let filter = group.filter_specification.as_deref().map(serde_json::from_str).transpose();
        Ok(GroupRow {
            id: group.id,
            name: group.name.clone(),
            filter_specification: filter.map_err(damaged)?,
        })
    }
}

/// A filter, checked, as the text that is kept.
fn filter(fields: &mut Fields) -> Field<String> {
    let mut specification = fields.take("filter_specification")?;
    match TraceFilter::parse(&specification) {
        Ok(None) => return Some(None),
        Ok(Some(_)) => {}
        Err(error) => {
            let at = if error.pointer.is_empty() { "/" } else { &error.pointer };
            fields.fail("filter_specification", format!("{at}: {}", error.problem));
            return None;
        }
    }
    // What came as a text with JSON in it is kept as that JSON.
    if let Value::String(text) = &specification
        && let Ok(inner) = serde_json::from_str(text)
    {
        specification = inner;
    }
    Some(Some(specification.to_string()))
}

fn name(fields: &mut Fields, is_required: bool) -> Option<String> {
    let read = |fields: &mut Fields, name: &str| fields.text(name, 255);
    if is_required { fields.required("name", read) } else { fields.not_null("name", read) }
}

/// Groups of traces, by id.
#[utoipa::path(get, path = "/api/v1/trace_groups", tag = "traces",
    params(Paging),
    responses((status = 200, body = Vec<GroupRow>), Refusals))]
pub(crate) async fn list(
    State(app): State<Shared>,
    caller: Caller,
    listing: Listing,
) -> Result<Response, Refusal> {
    Rights::new(&app, &caller).require_read_traces()?;
    let datastore = app.data.database.datastore();
    listing
        .answer(datastore, move |datastore, page| async move {
            datastore.groups(page).await?.into_iter().map(GroupRow::try_from).collect()
        })
        .await
}

/// Adds a group. Its filter is an object with `filter` or `filter_boolean`; null is all traces.
#[utoipa::path(post, path = "/api/v1/trace_groups", tag = "traces", request_body = Object,
    responses((status = 201, body = GroupRow), Refusals))]
pub(crate) async fn create(
    State(app): State<Shared>,
    caller: Caller,
    Object(mut fields): Object,
) -> Result<(StatusCode, Json<GroupRow>), Refusal> {
    Rights::new(&app, &caller).require_write_traces()?;
    let (name, filter) = (name(&mut fields, true), filter(&mut fields));
    fields.done()?;
    let group =
        app.data.database.datastore().create_group(name.unwrap_or_default(), filter.flatten()).await?;
    Ok((StatusCode::CREATED, Json(group.try_into()?)))
}

async fn group(app: &App, id: &str) -> Result<TraceGroup, Refusal> {
    let id = id.parse().map_err(|_| Refusal::not_found())?;
    app.data.database.datastore().group(id).await?.ok_or_else(Refusal::not_found)
}

/// A group.
#[utoipa::path(get, path = "/api/v1/trace_groups/{id}", tag = "traces", params(("id" = i64, Path)),
    responses((status = 200, body = GroupRow), Refusals))]
pub(crate) async fn get(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<GroupRow>, Refusal> {
    Rights::new(&app, &caller).require_read_traces()?;
    Ok(Json(group(&app, &id).await?.try_into()?))
}

/// The traces that belong to a group now.
#[utoipa::path(get, path = "/api/v1/trace_groups/{id}/traces", tag = "traces",
    params(
        ("id" = i64, Path),
        Paging,
    ),
    responses((status = 200, body = Vec<TraceRow>), Refusals))]
pub(crate) async fn members(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
    listing: Listing,
) -> Result<Response, Refusal> {
    Rights::new(&app, &caller).require_read_traces()?;
    let datastore = app.data.database.datastore();
    let id = group(&app, &id).await?.id;
    let members: Arc<[i64]> = datastore.group_members(id).await?.ok_or_else(Refusal::not_found)?.into();
    listing
        .answer((datastore, members), move |(datastore, members), page| async move {
            let first = members.partition_point(|member| *member <= page.after);
            let ids = members[first..].iter().take(page.limit.unwrap_or(usize::MAX)).copied().collect();
            let these = TraceListFilter { ids: Some(ids), ..TraceListFilter::default() };
            let traces = datastore.traces(&these, page).await?;
            Ok(traces.into_iter().map(TraceRow::from).collect::<Vec<_>>())
        })
        .await
}

/// Changes a group.
#[utoipa::path(put, path = "/api/v1/trace_groups/{id}", tag = "traces", params(("id" = i64, Path)), request_body = Object,
    responses((status = 200, body = GroupRow), Refusals))]
pub(crate) async fn replace(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
    Object(fields): Object,
) -> Result<Json<GroupRow>, Refusal> {
    change(&app, &caller, &id, fields, true).await
}

/// Changes the name or the filter of a group.
#[utoipa::path(patch, path = "/api/v1/trace_groups/{id}", tag = "traces", params(("id" = i64, Path)), request_body = Object,
    responses((status = 200, body = GroupRow), Refusals))]
pub(crate) async fn update(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
    Object(fields): Object,
) -> Result<Json<GroupRow>, Refusal> {
    change(&app, &caller, &id, fields, false).await
}

async fn change(
    app: &App,
    caller: &Caller,
    id: &str,
    mut fields: Fields,
    is_whole: bool,
) -> Result<Json<GroupRow>, Refusal> {
    Rights::new(app, caller).require_write_traces()?;
    let id = group(app, id).await?.id;
    let (name, filter) = (name(&mut fields, is_whole), filter(&mut fields));
    fields.done()?;
    let changed = app.data.database.datastore().update_group(id, name, filter).await?;
    Ok(Json(changed.ok_or_else(Refusal::not_found)?.try_into()?))
}

/// Removes a group, with the aggregation runs of it and all that came of them.
#[utoipa::path(delete, path = "/api/v1/trace_groups/{id}", tag = "traces", params(("id" = i64, Path)),
    responses((status = 204, description = "It is gone"), Refusals))]
pub(crate) async fn delete(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Refusal> {
    Rights::new(&app, &caller).require_write_traces()?;
    let id = group(&app, &id).await?.id;
    app.data.database.datastore().delete_group(id).await?;
    Ok(StatusCode::NO_CONTENT)
}
