//! Traces that are not to be used. Their records are kept all the same.

use std::collections::HashMap;

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use sheaf_db::datastore::{BlacklistedTrace, Page};
use utoipa::ToSchema;

use super::body::Upload;
use super::bulk::{Done, MOST_OBJECTS, OnWrong, OneOrMany};
use super::fields::Fields;
use super::listing::{Listing, Paging, Row};
use super::refusals::{Errors, Refusal, Refusals};
use super::rights::Rights;
use crate::http::app::{App, Shared};
use crate::http::auth::Caller;

/// A trace that is not to be used.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub(crate) struct BlacklistRow {
    id: i64,
    /// What its people call it; there need be no such trace.
    trace_id: String,
    /// Why.
    reason: Option<String>,
}

impl Row for BlacklistRow {
    fn id(&self) -> i64 {
        self.id
    }
}

impl From<BlacklistedTrace> for BlacklistRow {
    fn from(trace: BlacklistedTrace) -> BlacklistRow {
        BlacklistRow { id: trace.id, trace_id: trace.trace_id, reason: trace.reason }
    }
}

fn new(mut fields: Fields) -> Result<(String, Option<String>), Errors> {
    let trace_id = fields.required("trace_id", |fields, name| fields.text(name, 255));
    let reason = fields.text("reason", 10_000);
    fields.done()?;
    Ok((trace_id.unwrap_or_default(), reason.flatten()))
}

/// Traces that are not to be used, by id.
#[utoipa::path(get, path = "/api/v1/trace_blacklist", tag = "traces",
    params(Paging),
    responses((status = 200, body = Vec<BlacklistRow>), Refusals))]
pub(crate) async fn list(
    State(app): State<Shared>,
    caller: Caller,
    listing: Listing,
) -> Result<Response, Refusal> {
    Rights::new(&app, &caller).require_read_traces()?;
    let datastore = app.data.database.datastore();
    listing
        .answer(datastore, move |datastore, page| async move {
            let traces = datastore.blacklist(page).await?;
            Ok(traces.into_iter().map(BlacklistRow::from).collect::<Vec<_>>())
        })
        .await
}

async fn upsert(
    app: &App,
    caller: &Caller,
    upload: Upload,
) -> Result<(Done, HashMap<i64, BlacklistRow>), Refusal> {
    let may = Rights::new(app, caller).require_write_traces();
    let traces = upload.read(app, may, MOST_OBJECTS, new).await?;
    let datastore = app.data.database.datastore();
    let done = traces
        .upsert(async |traces, on_error| Ok(datastore.upsert_blacklist(traces, on_error).await?))
        .await?;
    // There are few.
    let all = datastore.blacklist(Page::ALL).await?;
    Ok((done, all.into_iter().map(|trace| (trace.id, trace.into())).collect()))
}

/// Says that a trace is not to be used, or several as a list.
#[utoipa::path(post, path = "/api/v1/trace_blacklist", tag = "traces", request_body = Vec<Object>,
    responses((status = 201, description = "The trace, or the list of them", body = OneOrMany<BlacklistRow>), Refusals))]
pub(crate) async fn create(
    State(app): State<Shared>,
    caller: Caller,
    upload: Upload,
) -> Result<Response, Refusal> {
    let (done, rows) = upsert(&app, &caller, upload).await?;
    Ok(done.one_or_all(&rows))
}

/// Says that traces are not to be used: all of them or none.
#[utoipa::path(post, path = "/api/v1/trace_blacklist/bulk_upsert_verbose", tag = "traces",
    params(OnWrong),
    request_body = Vec<Object>,
    responses((status = 201, description = "In the order of the request", body = Vec<BlacklistRow>),
        (status = 207, description = "Some were skipped", body = serde_json::Value), Refusals))]
pub(crate) async fn bulk_upsert_verbose(
    State(app): State<Shared>,
    caller: Caller,
    upload: Upload,
) -> Result<Response, Refusal> {
    let (done, rows) = upsert(&app, &caller, upload).await?;
    Ok(done.verbose(&rows))
}
