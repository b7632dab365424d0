//! Requests that made runs: how far these are, as numbers and as events, and what is done with all of them.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{HeaderName, HeaderValue};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::Stream;
use serde::Serialize;
use sheaf_db::RepositoryError;
use sheaf_db::datastore::{AggregationFilter, Batch, Datastore, Page, RunFilter};
use sheaf_store::in_full;
use utoipa::ToSchema;

use super::listing::{Listing, Paging, Row};
use super::refusals::{Refusal, Refusals};
use super::rights::Rights;
use super::runs::ProgressRow;
use super::times::{now, of_row};
use crate::http::app::{App, Shared};
use crate::http::auth::Caller;
use crate::http::extract::{Json, Path};
use crate::http::jobs::Owner;

/// How often a request is looked at while somebody follows it.
const LOOK: Duration = Duration::from_millis(500);

/// A request, and how far its runs are.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub(crate) struct BatchRow {
    id: i64,
    /// `meter_runs` or `aggregation_runs`.
    kind: String,
    label: Option<String>,
    /// Runs with a higher one come first.
    priority: i64,
    added: String,
    #[serde(flatten)]
    progress: ProgressRow,
}

impl Row for BatchRow {
    fn id(&self) -> i64 {
        self.id
    }
}

fn aggregations_of(batch: i64) -> AggregationFilter {
    AggregationFilter { batch: Some(batch), ..AggregationFilter::default() }
}

fn is_of_meter_runs(batch: &Batch) -> bool {
    batch.kind != "aggregation_runs"
}

async fn progress(datastore: &Datastore, batch: &Batch) -> Result<ProgressRow, RepositoryError> {
    let progress = match is_of_meter_runs(batch) {
        true => datastore.run_progress(&RunFilter::of_batch(batch.id)).await?,
        false => datastore.aggregation_progress(&aggregations_of(batch.id)).await?,
    };
    Ok(ProgressRow::new(&progress, now()))
}

async fn row(datastore: &Datastore, batch: Batch) -> Result<BatchRow, RepositoryError> {
    Ok(BatchRow {
        progress: progress(datastore, &batch).await?,
        id: batch.id,
        kind: batch.kind,
        label: batch.label,
        priority: batch.priority,
        added: of_row(batch.added),
    })
}

/// A request of the caller.
async fn own(app: &App, caller: &Caller, id: &str) -> Result<Batch, Refusal> {
    let user = Owner::of(caller)?;
    let Ok(id) = id.parse::<i64>() else { return Err(Refusal::not_found()) };
    match app.data.database.datastore().batch(id).await? {
        Some(batch) if batch.owner == user.id || caller.is_admin() => Ok(batch),
        _ => Err(Refusal::not_found()),
    }
}

/// The caller's requests for runs, or all if he is an administrator, by id.
#[utoipa::path(get, path = "/api/v1/batches", tag = "meter runs", params(Paging),
    responses((status = 200, body = Vec<BatchRow>), Refusals))]
pub(crate) async fn list(
    State(app): State<Shared>,
    caller: Caller,
    listing: Listing,
) -> Result<Response, Refusal> {
    let user = Owner::of(&caller)?;
    let owner = (!caller.is_admin()).then(|| user.id.to_owned());
    let datastore = app.data.database.datastore();
    listing
        .answer((datastore, owner), move |(datastore, owner), page| async move {
            let mut rows = Vec::new();
            for batch in datastore.batches(owner.as_deref(), page).await? {
                rows.push(row(&datastore, batch).await?);
            }
            Ok(rows)
        })
        .await
}

/// A request for runs, and how far these are.
#[utoipa::path(get, path = "/api/v1/batches/{id}", tag = "meter runs", params(("id" = i64, Path)),
    responses((status = 200, body = BatchRow), Refusals))]
pub(crate) async fn get(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<BatchRow>, Refusal> {
    let batch = own(&app, &caller, &id).await?;
    Ok(Json(row(&app.data.database.datastore(), batch).await?))
}

/// Cancels all runs of a request that have not ended.
#[utoipa::path(post, path = "/api/v1/batches/{id}/cancel", tag = "meter runs", params(("id" = i64, Path)),
    responses((status = 202, body = BatchRow), Refusals))]
pub(crate) async fn cancel(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<BatchRow>), Refusal> {
    let batch = to_change(&app, &caller, &id).await?;
    let datastore = app.data.database.datastore();
    match is_of_meter_runs(&batch) {
        true => datastore.cancel_runs(&RunFilter::of_batch(batch.id), now()).await?,
        false => datastore.cancel_aggregations(&aggregations_of(batch.id), now()).await?,
    };
    Ok((StatusCode::ACCEPTED, Json(row(&datastore, batch).await?)))
}

/// Puts all runs of a request that have failed or were cancelled back into the queue.
#[utoipa::path(post, path = "/api/v1/batches/{id}/retry", tag = "meter runs", params(("id" = i64, Path)),
    responses((status = 202, body = BatchRow), Refusals))]
pub(crate) async fn retry(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<BatchRow>), Refusal> {
    let batch = to_change(&app, &caller, &id).await?;
    let datastore = app.data.database.datastore();
    match is_of_meter_runs(&batch) {
        true => datastore.retry_runs(&RunFilter::of_batch(batch.id), now()).await?,
        false => datastore.retry_aggregations(&aggregations_of(batch.id), now()).await?,
    };
    app.runs.wake();
    Ok((StatusCode::ACCEPTED, Json(row(&datastore, batch).await?)))
}

/// A request of the caller whose runs he may change.
async fn to_change(app: &App, caller: &Caller, id: &str) -> Result<Batch, Refusal> {
    let batch = own(app, caller, id).await?;
    let datastore = app.data.database.datastore();
    let rights = Rights::new(app, caller);
    if caller.is_admin() {
        return Ok(batch);
    }
    if is_of_meter_runs(&batch) {
        let projects = datastore.projects_of_batch(batch.id).await?;
        if projects.contains(&None) {
            rights.require_write_traces()?;
        }
        rights.require_write_projects(projects.into_iter().flatten().collect()).await?;
    } else {
        for run in datastore.aggregations(&aggregations_of(batch.id), Page::ALL).await? {
            rights.require_write_aggregation(&run).await?;
        }
    }
    Ok(batch)
}

/// Follows a request, as server-sent events: `progress` whenever its runs have come further, then `end`.
#[utoipa::path(get, path = "/api/v1/batches/{id}/events", tag = "meter runs", params(("id" = i64, Path)), responses(
    (status = 200, body = String, content_type = "text/event-stream"), Refusals))]
pub(crate) async fn events(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, Refusal> {
    let batch = own(&app, &caller, &id).await?;
    let events = Sse::new(follow(app, batch)).keep_alive(KeepAlive::default());
    // Proxies must not gather what is to be seen at once.
    Ok(([(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"))], events))
}

/// The events of a request, until all of its runs have ended, or the server does.
fn follow(app: Shared, batch: Batch) -> impl Stream<Item = Result<Event, Infallible>> {
    let state = (app, batch, None::<u64>, false);
    futures_util::stream::unfold(state, move |(app, batch, last, has_ended)| async move {
        if has_ended {
            return None;
        }
        loop {
            if app.is_stopping() {
                return None;
            }
            let row = match row(&app.data.database.datastore(), batch.clone()).await {
                Ok(row) => row,
                Err(error) => {
                    tracing::warn!(batch = batch.id, cause = in_full(&error), "can't follow runs");
                    return None;
                }
            };
            let (ended, has_ended) = (row.progress.ended(), row.progress.has_ended());
            if has_ended || last != Some(ended) {
                let name = if has_ended { "end" } else { "progress" };
                let event = Event::default().event(name).json_data(&row);
                return event.ok().map(|event| (Ok(event), (app, batch, Some(ended), has_ended)));
            }
            tokio::time::sleep(LOOK).await;
        }
    })
}
