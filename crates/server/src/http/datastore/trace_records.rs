//! Records of traces: what was metered from a time to that of the next record.
//!
//! They lie in the store as a series of each trace, so they have no ids of their own. What stands as `id` is made of the trace and
//! the position of the record: the third one of trace 12 is 1200000003. It is right until records are added before it.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;
use sheaf_db::datastore::{Page, Trace, TraceListFilter};
use sheaf_metering::records::{self, Reader, Record};
use sheaf_model::{EnergyUnit, Tick};
use tokio::task::JoinError;
use utoipa::ToSchema;

use super::body::Upload;
use super::bulk::{OnWrong, OneOrMany, Parsed, Wrong, report};
use super::fields::Fields;
use super::listing::{Listing, Paging, Row};
use super::refusals::{Errors, Refusal, Refusals, no_such};
use super::rights::Rights;
use super::times::{micros_of, of_data};
use super::traces::known;
use crate::http::app::{App, Shared};
use crate::http::auth::Caller;
use crate::http::errors::ApiError;
use crate::http::extract::Json;
use crate::loading::keep::write_records;
use crate::loading::traces::TIMES;

/// The most records of a request; each takes 64 bytes while it is kept in memory.
const MOST_RECORDS: usize = 5_000_000;

/// Ids of records that belong to a trace. Numbers of JSON are exact up to nine thousand million millions, so there may be ninety
/// million traces.
const IDS_OF_TRACE: i64 = 100_000_000;

/// A record.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub(crate) struct RecordRow {
    /// Made of the trace and the position of the record in it; not durable.
    id: i64,
    /// The id of the trace's row.
    trace_id: i64,
    start: String,
    /// In the unit of the trace; null if it is missing.
    value: Option<f64>,
    estimated: bool,
}

impl Row for RecordRow {
    fn id(&self) -> i64 {
        self.id
    }
}

impl RecordRow {
    fn new(trace_id: i64, index: u64, record: &Record) -> RecordRow {
        let position = i64::try_from(index).map_or(i64::MAX, |index| index.saturating_add(1));
        RecordRow {
            id: trace_id.saturating_mul(IDS_OF_TRACE).saturating_add(position),
            trace_id,
            start: of_data(micros_of(record.start)),
            value: record.value,
            estimated: record.estimated,
        }
    }

    /// How many records of the trace are at this id or before it.
    fn position(trace_id: i64, id: i64) -> u64 {
        let position = id.saturating_sub(trace_id.saturating_mul(IDS_OF_TRACE));
        u64::try_from(position).unwrap_or(0)
    }
}

/// A record that was read.
#[derive(Clone, Copy, Debug)]
struct NewRecord {
    trace: i64,
    record: Record,
    /// What its value is in, and how much that is in the unit of a trace.
    unit: Option<(EnergyUnit, f64)>,
}

fn new_record(mut fields: Fields) -> Result<NewRecord, Errors> {
    fields.also_called("trace_id", "trace");
    let trace = fields.required("trace_id", Fields::integer);
    let start = fields.required("start", Fields::tick);
    if let Some(start) = start
        && !TIMES.contains(&start)
    {
        fields.fail("start", "Records begin in the years 1800 to 2299.");
    }
    // Null is a value, but none at all may be a typing error.
    if !fields.has("value") {
        fields.fail("value", "This field is required; null where the value is missing.");
    }
    let value = fields.number("value");
    let estimated = fields.not_null("estimated", Fields::flag).unwrap_or(false);
    let unit = fields.choice("unit", EnergyUnit::parse, "KWH, WH and THERM").flatten();
    fields.done()?;
    let record = Record { start: start.unwrap_or(Tick::MIN), value: value.flatten(), estimated };
    Ok(NewRecord { trace: trace.unwrap_or_default(), record, unit })
}

impl NewRecord {
    /// The same in the unit of its trace.
    fn of_trace(mut self, traces: &HashMap<i64, Trace>) -> Result<NewRecord, Errors> {
        let Some(trace) = traces.get(&self.trace) else {
            return Err(Errors::one("trace_id", no_such(self.trace)));
        };
        if let Some((unit, factor)) = self.unit {
            if unit.to_string() != trace.unit {
                let text = format!("The trace is in {}; a value in {unit} can't be one of it.", trace.unit);
                return Err(Errors::one("unit", text));
            }
            self.record.value = self.record.value.map(|value| value * factor);
        }
        Ok(self)
    }
}

/// What was written.
struct Written {
    /// With their traces, in the order of the request.
    records: Vec<(i64, Record)>,
    /// The traces as they are now.
    traces: HashMap<i64, Trace>,
    wrong: Wrong,
}

/// Writes records in a task of its own: what is in the store gets its rows, too, if the client leaves.
async fn write(app: &Shared, new: Parsed<NewRecord>) -> Result<Written, Refusal> {
    let app = app.clone();
    let ended = |error: JoinError| ApiError::internal("writing records ended early", &error);
    tokio::spawn(async move { write_all(&app, new).await }).await.map_err(ended)?
}

async fn write_all(app: &App, new: Parsed<NewRecord>) -> Result<Written, Refusal> {
    let datastore = app.data.database.datastore();
    let mut ids: Vec<i64> = new.rows.iter().map(|(_, row)| row.trace).collect();
    ids.sort_unstable();
    ids.dedup();
    // Which series a trace is follows from all of its records, so one request after the other looks at them.
    let _writing = app.trace_records.lock().await;
    let these = TraceListFilter { ids: Some(ids), ..TraceListFilter::default() };
    let traces = datastore.traces(&these, Page::ALL).await?;
    let mut traces: HashMap<i64, Trace> = traces.into_iter().map(|trace| (trace.id, trace)).collect();
    let new = new.try_map(|row| row.of_trace(&traces)).accepted()?;
    let records: Vec<(i64, Record)> = new.rows.iter().map(|(_, row)| (row.trace, row.record)).collect();
    let mut by_trace: HashMap<i64, Vec<Record>> = HashMap::new();
    for (trace, record) in &records {
        by_trace.entry(*trace).or_default().push(*record);
    }
    let parts = by_trace.into_iter().filter_map(|(id, records)| Some((traces.get(&id)?.clone(), records)));
    for (trace, _) in write_records(&app.data, parts.collect()).await? {
        traces.insert(trace.id, trace);
    }
    Ok(Written { records, traces, wrong: new.wrong })
}

/// All records of traces, by the ids of these.
async fn read(app: &App, traces: &[&Trace]) -> Result<HashMap<i64, Vec<Record>>, Refusal> {
    let wanted = traces.iter().map(|trace| known(trace)).collect::<Result<Vec<_>, _>>()?;
    let records = records::read(&app.data.store, &wanted).await?;
    Ok(traces.iter().map(|trace| trace.id).zip(records).collect())
}

/// Records of a trace, in order of time.
#[utoipa::path(get, path = "/api/v1/trace_records", tag = "traces",
    params(
        ("trace" = i64, Query, description = "The id of the trace's row"),
        ("begin" = Option<String>, Query, description = "Only records that begin at this time or later"),
        ("end" = Option<String>, Query, description = "Only records that begin before this time"),
        Paging,
    ),
    responses((status = 200, body = Vec<RecordRow>), Refusals))]
pub(crate) async fn list(
    State(app): State<Shared>,
    caller: Caller,
    mut listing: Listing,
) -> Result<Response, Refusal> {
    let fields = &mut listing.filters;
    fields.also_called("trace", "trace_id");
    let id = fields.required("trace", Fields::integer);
    let (begin, end) = (fields.tick("begin").flatten(), fields.tick("end").flatten());
    fields.done()?;
    let id = id.unwrap_or_default();
    let trace = match Rights::new(&app, &caller).trace(&id.to_string()).await {
        Err(refusal) if refusal.is_not_found() => return Err(Errors::one("trace", no_such(id)).into()),
        trace => trace?,
    };
    let reader = Arc::new(Reader::open(&app.data.store, known(&trace)?).await?);
    let all: Option<Arc<[Record]>> = match reader.slots() {
        Some(_) => None,
        None => Some(reader.all().await?.into()),
    };
    // How many records begin before a time.
    let before = |time: Tick| match (&all, reader.slots()) {
        (None, Some(slots)) => slots.before(time),
        (all, _) => all.iter().flat_map(|all| all.iter()).filter(|record| record.start < time).count() as u64,
    };
    let (first, last) = (begin.map_or(0, before), end.map_or(u64::MAX, before));
    listing
        .answer((reader, all), move |(reader, all), page| {
            let first = first.max(RecordRow::position(id, page.after));
            let last = page.limit.map_or(last, |limit| last.min(first.saturating_add(limit as u64)));
            async move {
                let records = match (all, reader.slots().and_then(|slots| slots.part(first, last))) {
                    (None, Some(part)) => reader.part(part).await?,
                    (None, None) => Vec::new(),
                    (Some(all), _) => {
                        let place =
                            |number: u64| usize::try_from(number).unwrap_or(usize::MAX).min(all.len());
                        all.get(place(first)..place(last)).unwrap_or_default().to_vec()
                    }
                };
                let rows = (first..).zip(&records).map(|(index, record)| RecordRow::new(id, index, record));
                Ok(rows.collect::<Vec<_>>())
            }
        })
        .await
}

/// Adds a record, or several as a list. One that is there already is replaced.
#[utoipa::path(post, path = "/api/v1/trace_records", tag = "traces",
    params(OnWrong),
    request_body = Vec<Object>,
    responses((status = 201, description = "The record, or the list of them", body = OneOrMany<RecordRow>), Refusals))]
pub(crate) async fn create(
    State(app): State<Shared>,
    caller: Caller,
    upload: Upload,
) -> Result<Response, Refusal> {
    let may = Rights::new(&app, &caller).require_write_traces();
    let new = upload.read(&app, may, MOST_RECORDS, new_record).await?;
    let is_list = new.is_list;
    let written = write(&app, new).await?;
    let now = read(&app, &written.traces.values().collect::<Vec<_>>()).await?;
    let row = |(trace, record): &(i64, Record)| {
        let there = now.get(trace)?;
        let index = there.binary_search_by_key(&record.start, |there| there.start).ok()?;
        Some(RecordRow::new(*trace, index as u64, &there[index]))
    };
    let rows: Vec<RecordRow> = written.records.iter().filter_map(row).collect();
    match rows.first() {
        Some(row) if !is_list => Ok((StatusCode::CREATED, Json(row)).into_response()),
        _ => Ok(report(StatusCode::CREATED, rows, written.wrong)),
    }
}

async fn load(app: &Shared, caller: &Caller, upload: Upload) -> Result<Response, Refusal> {
    let may = Rights::new(app, caller).require_write_traces();
    let new = upload.read(app, may, MOST_RECORDS, new_record).await?;
    let written = write(app, new).await?;
    let summary = json!({ "written": written.records.len(), "traces": written.traces.len() });
    Ok(report(StatusCode::OK, summary, written.wrong))
}

/// Adds records, and replaces those that are there: all of them in one commit, or none.
#[utoipa::path(post, path = "/api/v1/trace_records/bulk_upsert", tag = "traces",
    params(OnWrong),
    request_body = Vec<Object>,
    responses((status = 200, description = "How many were written", body = serde_json::Value),
        (status = 207, description = "Some were skipped", body = serde_json::Value), Refusals))]
pub(crate) async fn bulk_upsert(
    State(app): State<Shared>,
    caller: Caller,
    upload: Upload,
) -> Result<Response, Refusal> {
    load(&app, &caller, upload).await
}

/// The same: a record that was sent twice is one record, however it is sent.
#[utoipa::path(post, path = "/api/v1/trace_records/bulk_insert", tag = "traces",
    params(OnWrong),
    request_body = Vec<Object>,
    responses((status = 200, description = "How many were written", body = serde_json::Value),
        (status = 207, description = "Some were skipped", body = serde_json::Value), Refusals))]
pub(crate) async fn bulk_insert(
    State(app): State<Shared>,
    caller: Caller,
    upload: Upload,
) -> Result<Response, Refusal> {
    load(&app, &caller, upload).await
}
