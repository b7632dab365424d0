//! Traces: what is known of them beside their records, which are series of the catalog `/traces`.

use std::collections::HashMap;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use sheaf_db::ResourceMetadata;
use sheaf_db::datastore::{Page, Trace, TraceListFilter, TracePatch};
use sheaf_metering::records::{self, Known, TRACES};
use sheaf_metering::trace_name::name_of;
use sheaf_model::{EnergyUnit, Interpretation, Properties, ResourceId};
use utoipa::ToSchema;

use super::body::{Object, Upload};
use super::bulk::{Done, MOST_OBJECTS, OnWrong};
use super::fields::{Field, Fields};
use super::listing::{Listing, Paging, Row};
use super::refusals::{Errors, Refusal, Refusals};
use super::rights::Rights;
use super::times::{now, of_data, of_row};
use crate::http::app::{App, Shared};
use crate::http::auth::Caller;
use crate::http::errors::ApiError;
use crate::http::extract::{Json, Path};
use crate::loading::LoadError;
use crate::loading::keep::describe;

/// A trace: a metered series of any number of projects.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub(crate) struct TraceRow {
    id: i64,
    /// What its people call it; unique.
    trace_id: String,
    /// What it means, by its long name.
    interpretation: String,
    /// `KWH` or `THERM`.
    unit: String,
    /// What its people say of the length of its intervals.
    interval: Option<String>,
    added: String,
    updated: String,
    /// How long its intervals are, like `15_min`; null where they differ.
    sample_period: Option<String>,
    n_records: i64,
    /// When its first record begins.
    first_start: Option<String>,
    /// When its last record begins.
    last_start: Option<String>,
    /// The path of its resource, for charts and exports.
    resource_path: String,
}

impl Row for TraceRow {
    fn id(&self) -> i64 {
        self.id
    }
}

impl From<Trace> for TraceRow {
    fn from(trace: Trace) -> TraceRow {
        TraceRow {
            id: trace.id,
            trace_id: trace.trace_id,
            interpretation: trace.interpretation,
            unit: trace.unit,
            interval: trace.interval,
            added: of_row(trace.added),
            updated: of_row(trace.updated),
            sample_period: trace.sample_period,
            n_records: trace.n_records,
            first_start: trace.first_start.map(of_data),
            last_start: trace.last_start.map(of_data),
            resource_path: format!("{TRACES}/{}", trace.name),
        }
    }
}

/// The ids of a trace.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub(crate) struct TraceIds {
    id: i64,
    trace_id: String,
}

impl Row for TraceIds {
    fn id(&self) -> i64 {
        self.id
    }
}

/// The resource of a trace.
pub(super) fn resource_of(trace: &Trace) -> Result<ResourceId, Refusal> {
    let damaged = |error| ApiError::internal(format!("the trace {} has no name", trace.id), &error);
    Ok(trace.name.parse().map_err(damaged)?)
}

/// A trace as its records are found.
pub(super) fn known(trace: &Trace) -> Result<Known, Refusal> {
    let damaged = |error| ApiError::internal(format!("the trace {} has no name", trace.id), &error);
    Ok(Known::of(trace).map_err(damaged)?)
}

fn trace_id(fields: &mut Fields, is_required: bool) -> Option<String> {
    let read = |fields: &mut Fields, name: &str| fields.text(name, 255);
    if is_required { fields.required("trace_id", read) } else { fields.not_null("trace_id", read) }
}

fn interpretation(fields: &mut Fields, name: &str) -> Field<String> {
    let long = |text: &str| text.parse().ok().map(|known: Interpretation| known.name().to_owned());
    let right =
        Interpretation::ALL.map(|known| format!("{} ({})", known.name(), known.short_name())).join(", ");
    fields.choice(name, long, &right)
}

/// A unit in which values are kept.
fn unit(fields: &mut Fields, name: &str) -> Field<String> {
    let known = fields.choice(name, EnergyUnit::parse, "KWH and THERM")?;
    let Some((unit, factor)) = known else { return Some(None) };
    if factor == 1.0 {
        return Some(Some(unit.to_string()));
    }
    let text = format!(
        "The values of a trace are kept in {unit}: make it with this unit, and let each record that is in Wh say so \
         (\"unit\": \"Wh\"), which makes its value a thousandth of it."
    );
    fields.fail(name, text);
    None
}

/// A new trace, or changes of one: what is left out stays.
fn patch(fields: &mut Fields, is_whole: bool) -> TracePatch {
    let (interpretation, unit) = match is_whole {
        true => (fields.required("interpretation", interpretation), fields.required("unit", unit)),
        false => (fields.not_null("interpretation", interpretation), fields.not_null("unit", unit)),
    };
    TracePatch { interpretation, unit, interval: fields.text("interval", 255), name: None }
}

/// The name of the resource of a trace.
fn name(trace_id: &str) -> Result<String, Errors> {
    let name = name_of(trace_id).map_err(|error| Errors::one("trace_id", error))?;
    Ok(name.to_string())
}

/// A trace with all that it must have.
fn whole(mut fields: Fields) -> Result<(String, TracePatch), Errors> {
    let (id, patch) = (trace_id(&mut fields, true), patch(&mut fields, true));
    fields.done()?;
    let id = id.unwrap_or_default();
    let name = Some(name(&id)?);
    Ok((id, TracePatch { name, ..patch }))
}

/// Traces, by id.
#[utoipa::path(get, path = "/api/v1/traces", tag = "traces",
    params(
        ("projects" = Option<String>, Query, description = "Ids of projects; a trace of one of them"),
        ("trace_id" = Option<String>, Query, description = "What its people call it"),
        ("interpretation" = Option<String>, Query, description = "What it means, by its long or short name"),
        Paging,
    ),
    responses((status = 200, body = Vec<TraceRow>), Refusals))]
pub(crate) async fn list(
    State(app): State<Shared>,
    caller: Caller,
    mut listing: Listing,
) -> Result<Response, Refusal> {
    let fields = &mut listing.filters;
    fields.also_called("projects", "project");
    let filter = TraceListFilter {
        ids: None,
        projects: fields.ids("projects"),
        trace_id: fields.text("trace_id", 1_000_000).flatten(),
        interpretation: interpretation(fields, "interpretation").flatten(),
        named: None,
    };
    fields.done()?;
    answer(&app, &caller, listing, filter, TraceRow::from).await
}

/// The ids of all traces.
#[utoipa::path(get, path = "/api/v1/traces/ids", tag = "traces", params(Paging),
    responses((status = 200, body = Vec<TraceIds>), Refusals))]
pub(crate) async fn ids(
    State(app): State<Shared>,
    caller: Caller,
    listing: Listing,
) -> Result<Response, Refusal> {
    let ids = |trace: Trace| TraceIds { id: trace.id, trace_id: trace.trace_id };
    answer(&app, &caller, listing, TraceListFilter::default(), ids).await
}

async fn answer<R: Row>(
    app: &App,
    caller: &Caller,
    listing: Listing,
    filter: TraceListFilter,
    row: fn(Trace) -> R,
) -> Result<Response, Refusal> {
    let filter = Rights::new(app, caller).visible_traces(filter).await?;
    let datastore = app.data.database.datastore();
    listing
        .answer((datastore, filter), move |(datastore, filter), page| async move {
            let traces = datastore.traces(&filter, page).await?;
            Ok(traces.into_iter().map(row).collect::<Vec<_>>())
        })
        .await
}

/// Adds a trace.
#[utoipa::path(post, path = "/api/v1/traces", tag = "traces", request_body = Object,
    responses((status = 201, body = TraceRow), Refusals))]
pub(crate) async fn create(
    State(app): State<Shared>,
    caller: Caller,
    Object(fields): Object,
) -> Result<(StatusCode, Json<TraceRow>), Refusal> {
    Rights::new(&app, &caller).require_write_traces()?;
    let (id, patch) = whole(fields)?;
    let trace = app.data.database.datastore().create_trace(id, patch, now()).await?;
    Ok((StatusCode::CREATED, Json(trace.into())))
}

/// A trace.
#[utoipa::path(get, path = "/api/v1/traces/{id}", tag = "traces", params(("id" = i64, Path)),
    responses((status = 200, body = TraceRow), Refusals))]
pub(crate) async fn get(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<TraceRow>, Refusal> {
    Ok(Json(Rights::new(&app, &caller).trace(&id).await?.into()))
}

/// Changes a trace. What is left out stays as it is.
#[utoipa::path(put, path = "/api/v1/traces/{id}", tag = "traces", params(("id" = i64, Path)), request_body = Object,
    responses((status = 200, body = TraceRow), Refusals))]
pub(crate) async fn replace(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
    Object(fields): Object,
) -> Result<Json<TraceRow>, Refusal> {
    change(&app, &caller, &id, fields, true).await
}

/// Changes some fields of a trace.
#[utoipa::path(patch, path = "/api/v1/traces/{id}", tag = "traces", params(("id" = i64, Path)), request_body = Object,
    responses((status = 200, body = TraceRow), Refusals))]
pub(crate) async fn update(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
    Object(fields): Object,
) -> Result<Json<TraceRow>, Refusal> {
    change(&app, &caller, &id, fields, false).await
}

async fn change(
    app: &App,
    caller: &Caller,
    id: &str,
    mut fields: Fields,
    is_whole: bool,
) -> Result<Json<TraceRow>, Refusal> {
    let rights = Rights::new(app, caller);
    rights.trace_to_change(id).await?;
    let (new_id, mut patch) = (trace_id(&mut fields, is_whole), patch(&mut fields, is_whole));
    fields.done()?;
    // No records come while the trace gets another name: they would go to the old one.
    let _writing = app.trace_records.lock().await;
    let trace = rights.trace(id).await?;
    if let Some(new_id) = new_id.as_deref().filter(|new_id| *new_id != trace.trace_id) {
        if trace.n_records > 0 {
            let text =
                "The trace has records, which are kept under this id; make another trace for another id.";
            return Err(Errors::one("trace_id", text).into());
        }
        patch.name = Some(name(new_id)?);
    }
    let changed = app.data.database.datastore().update_trace(trace.id, new_id, patch, now()).await?;
    let trace = changed.ok_or_else(Refusal::not_found)?;
    describe(&app.data, std::slice::from_ref(&trace)).await?;
    Ok(Json(trace.into()))
}

/// Removes a trace with its records and mappings, and its runs with all that came of them.
#[utoipa::path(delete, path = "/api/v1/traces/{id}", tag = "traces", params(("id" = i64, Path)),
    responses((status = 204, description = "It is gone"), Refusals))]
pub(crate) async fn delete(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Refusal> {
    let rights = Rights::new(&app, &caller);
    rights.trace_to_change(&id).await?;
    let _writing = app.trace_records.lock().await;
    let trace = rights.trace(&id).await?;
    let resource = resource_of(&trace)?;
    records::delete(&app.data.store, std::slice::from_ref(&resource)).await?;
    let nothing = ResourceMetadata {
        catalog: records::catalog().map_err(LoadError::from)?,
        resource,
        properties: Properties::default(),
    };
    app.data.database.metadata().set_resource(nothing).await?;
    app.data.database.datastore().delete_traces(&[trace.id]).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn upsert(
    app: &App,
    caller: &Caller,
    upload: Upload,
) -> Result<(Done, HashMap<i64, TraceRow>), Refusal> {
    let may = Rights::new(app, caller).require_write_traces();
    let traces = upload.read(app, may, MOST_OBJECTS, whole).await?;
    let datastore = app.data.database.datastore();
    let done = traces
        .upsert(async |traces, on_error| Ok(datastore.upsert_traces(traces, on_error, now()).await?))
        .await?;
    let these = TraceListFilter { ids: Some(done.ids()), ..TraceListFilter::default() };
    let traces = datastore.traces(&these, Page::ALL).await?;
    describe(&app.data, &traces).await?;
    Ok((done, traces.into_iter().map(|trace| (trace.id, TraceRow::from(trace))).collect()))
}

/// Adds traces, or changes those that are there: all of them or none.
#[utoipa::path(post, path = "/api/v1/traces/bulk_upsert", tag = "traces",
    params(OnWrong),
    request_body = Vec<Object>,
    responses((status = 200, description = "How many became what", body = serde_json::Value),
        (status = 207, description = "Some were skipped", body = serde_json::Value), Refusals))]
pub(crate) async fn bulk_upsert(
    State(app): State<Shared>,
    caller: Caller,
    upload: Upload,
) -> Result<Response, Refusal> {
    let (done, _) = upsert(&app, &caller, upload).await?;
    Ok(done.summary())
}

/// The same; answers with the traces.
#[utoipa::path(post, path = "/api/v1/traces/bulk_upsert_verbose", tag = "traces",
    params(OnWrong),
    request_body = Vec<Object>,
    responses((status = 201, description = "In the order of the request", body = Vec<TraceRow>),
        (status = 207, description = "Some were skipped", body = serde_json::Value), Refusals))]
pub(crate) async fn bulk_upsert_verbose(
    State(app): State<Shared>,
    caller: Caller,
    upload: Upload,
) -> Result<Response, Refusal> {
    let (done, rows) = upsert(&app, &caller, upload).await?;
    Ok(done.verbose(&rows))
}
