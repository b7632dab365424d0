//! Stored rows as they are: of irregular series, which have no values at a period.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use sheaf_model::{SeriesKey, Tick, TimeRange, Values};
use sheaf_store::{Layout, Rows, Scan, StoreError};
use utoipa::{IntoParams, ToSchema};

use crate::data::blocking;
use crate::http::app::Shared;
use crate::http::auth::Caller;
use crate::http::errors::ApiError;
use crate::http::extract::{Json, Query};
use crate::http::wire::WireTick;

/// Rows of a page.
const DEFAULT_LIMIT: u64 = 1000;
const MOST_ROWS: u64 = 100_000;

/// Which rows.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(crate) struct RecordsQuery {
    /// The series: `/plant/bills`, or with its period where it has one.
    resource_path: String,
    /// Only rows that begin at this time or later.
    begin: Option<WireTick>,
    /// Only rows that begin before this time.
    end: Option<WireTick>,
    /// The most rows of the answer; 1000 if it is left out.
    #[param(minimum = 1, maximum = 100000)]
    limit: Option<u64>,
}

/// Some rows of a series, in order of time.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Records {
    records: Vec<Record>,
    /// The `begin` of the next page; null if this is the last one.
    next: Option<WireTick>,
}

/// A row.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Record {
    start: WireTick,
    /// Its value; null if it is missing.
    value: Option<f64>,
    /// Whether the value is an estimate.
    estimated: bool,
}

/// Rows of a series as they are stored, page by page.
#[utoipa::path(get, path = "/api/v1/records", tag = "data", params(RecordsQuery), responses(
    (status = 200, description = "Some rows", body = Records),
    (status = 400, description = "A parameter is missing or can't be read", body = String),
    (status = 401, description = "Nobody has signed in", body = String),
    (status = 403, description = "The catalog may not be read", body = String),
    (status = 404, description = "There is no such series", body = String),
    (status = 422, description = "Parameters are wrong or do not fit each other", body = String),
))]
pub(crate) async fn records(
    State(app): State<Shared>,
    caller: Caller,
    Query(query): Query<RecordsQuery>,
) -> Result<Json<Records>, ApiError> {
    let wrong = |problem: String| ApiError::unprocessable(problem);
    let path = query.resource_path;
    let key: SeriesKey =
        path.parse().map_err(|error| wrong(format!("parameter `resourcePath`: `{path}`: {error}")))?;
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MOST_ROWS).contains(&limit) {
        return Err(wrong(format!("parameter `limit`: it is a number from 1 to {MOST_ROWS}")));
    }
    let tick = |tick: Option<WireTick>, or: Tick| tick.map_or(or, |tick| tick.0);
    let range = TimeRange::new(tick(query.begin, Tick::MIN), tick(query.end, Tick::MAX))?;
    caller.require_read(&app, &key.catalog).await?;
    let home = app.data.catalogs.home(&key).await?;
    let series = app.data.store.find_series(&home.to_string()).await?;
    let series = series.ok_or_else(|| ApiError::not_found(format!("there is no series `{key}`")))?;
    let is_irregular = app.data.store.spec(series).await?.layout == Layout::Irregular;
    let scan = app.data.store.scan(series, Some(range)).await?;
    Ok(Json(blocking(move || page(scan, is_irregular, limit as usize)).await??))
}

/// The first rows of a scan: of a regular series, slots without a value are none.
fn page(scan: Scan, is_irregular: bool, limit: usize) -> Result<Records, StoreError> {
    let mut records = Vec::new();
    for rows in scan {
        let rows = rows?;
        for row in (0..rows.len()).filter(|&row| is_irregular || rows.is_valid(row)) {
            let Ok(start) = Tick::new(rows.start_ticks(row)).map(WireTick) else { continue };
            if records.len() == limit {
                return Ok(Records { records, next: Some(start) });
            }
            let value = Some(value(&rows, row)).filter(|value| rows.is_valid(row) && value.is_finite());
            records.push(Record { start, value, estimated: rows.is_estimated(row) });
        }
    }
    Ok(Records { records, next: None })
}

fn value(rows: &Rows, row: usize) -> f64 {
    match rows.values() {
        Values::U8(values) => f64::from(values[row]),
        Values::I8(values) => f64::from(values[row]),
        Values::U16(values) => f64::from(values[row]),
        Values::I16(values) => f64::from(values[row]),
        Values::U32(values) => f64::from(values[row]),
        Values::I32(values) => f64::from(values[row]),
        Values::U64(values) => values[row] as f64,
        Values::I64(values) => values[row] as f64,
        Values::F32(values) => f64::from(values[row]),
        Values::F64(values) => values[row],
    }
}
