//! Values as the clients of Nexus read them: raw numbers of one path, or a batch stream of many.

use std::collections::HashSet;

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use sheaf_model::legality::{check_one_period, check_range};
use sheaf_model::{ResourcePath, TimeRange};
use utoipa::{IntoParams, ToSchema};

use crate::http::app::Shared;
use crate::http::errors::ApiError;
use crate::http::extract::{Json, Query};
use crate::http::values::{MOST_PATHS, Reader, Sent, parse_paths};
use crate::http::wire::WireTick;
use crate::reading::Request;
use crate::reading::encode::Format;

/// Which values.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(crate) struct DataQuery {
    /// What to read, like `/plant/mast/T1/10_min_mean#base=1_s`.
    #[param(example = "/SAMPLE/LOCAL/T1/1_s")]
    resource_path: String,
    /// Begin of the first value.
    begin: WireTick,
    /// End of the last value; it is not included.
    end: WireTick,
}

/// Values of one path as little-endian doubles, one for each period from `begin` to `end`; NaN where one is missing.
///
/// All is checked before the first byte. If reading fails later, the connection ends before `Content-Length` is reached.
#[utoipa::path(get, path = "/api/v1/data", tag = "data", params(DataQuery), responses(
    (status = 200, description = "The values", body = Vec<u8>, content_type = "application/octet-stream"),
    (status = 400, description = "A parameter is missing or can't be read", body = String),
    (status = 401, description = "Nobody has signed in", body = String),
    (status = 403, description = "The catalog may not be read", body = String),
    (status = 404, description = "There is no such series", body = String),
    (status = 422, description = "Path, begin and end do not fit each other", body = String),
    (status = 502, description = "A source fails", body = String),
    (status = 503, description = "Too many large answers are being read", body = String),
))]
pub(crate) async fn data(
    State(app): State<Shared>,
    reader: Reader,
    Query(query): Query<DataQuery>,
) -> Result<Response, ApiError> {
    let paths = parse_paths(&[query.resource_path])?;
    // What is wrong whatever is there is said first.
    check_range(paths[0].period(), TimeRange::new(query.begin.0, query.end.0)?)
        .map_err(ApiError::unprocessable)?;
    let found = reader.find(&app, &paths).await?;
    let (begin, end) = (Some(query.begin.0), Some(query.end.0));
    let request = Request::new(&app.data.store, found, begin, end, None).await?;
    reader.answer(&app, request, Sent { format: Format::F64, file: Some("data.bin"), is_kept: false }).await
}

/// The type of values.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
pub(crate) enum Precision {
    /// 64-bit floats.
    #[default]
    #[serde(rename = "FLOAT64")]
    Float64,
    /// 32-bit floats, rounded to the nearest one.
    #[serde(rename = "FLOAT32")]
    Float32,
}

/// Which values of several paths.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BatchRequest {
    /// Begin of the first values.
    begin: WireTick,
    /// End of the last values; it is not included.
    end: WireTick,
    /// What to read: 1 to 100 different paths of the same period.
    #[schema(min_items = 1, max_items = 100)]
    resource_paths: Vec<String>,
    /// The type of the values.
    #[serde(default)]
    precision: Precision,
}

/// Values of several paths of one period as a stream of Arrow record batches.
///
/// The columns are `resourceIndex` (int32: the number of the path in the request), `offset` (int64: how many values of it came
/// before) and `values` (list of float64 or float32; NaN where one is missing).
#[utoipa::path(post, path = "/api/v2/data", tag = "data", request_body = BatchRequest, responses(
    (status = 200, description = "The values", body = Vec<u8>, content_type = "application/vnd.apache.arrow.stream"),
    (status = 400, description = "The body is no JSON", body = String),
    (status = 401, description = "Nobody has signed in", body = String),
    (status = 403, description = "A catalog may not be read", body = String),
    (status = 404, description = "There is no such series", body = String),
    (status = 413, description = "The body is too large", body = String),
    (status = 415, description = "The body is not said to be JSON", body = String),
    (status = 422, description = "Paths, begin and end do not fit each other", body = String),
    (status = 502, description = "A source fails", body = String),
    (status = 503, description = "Too many large answers are being read", body = String),
))]
pub(crate) async fn batch(
    State(app): State<Shared>,
    reader: Reader,
    Json(wanted): Json<BatchRequest>,
) -> Result<Response, ApiError> {
    let paths = parse_paths(&wanted.resource_paths)?;
    let mut seen = HashSet::new();
    if let Some(twice) = wanted.resource_paths.iter().find(|text| !seen.insert(text.as_str())) {
        return Err(ApiError::unprocessable(format!(
            "`{twice}` is there twice: a batch has up to {MOST_PATHS} different paths"
        )));
    }
    let range = TimeRange::new(wanted.begin.0, wanted.end.0)?;
    let period = check_one_period(paths.iter().map(ResourcePath::period)).map_err(ApiError::unprocessable)?;
    period.map_or(Ok(()), |period| check_range(period, range)).map_err(ApiError::unprocessable)?;
    let found = reader.find(&app, &paths).await?;
    let (begin, end) = (Some(wanted.begin.0), Some(wanted.end.0));
    let request = Request::new(&app.data.store, found, begin, end, None).await?;
    let single = matches!(wanted.precision, Precision::Float32);
    reader
        .answer(&app, request, Sent { format: Format::ArrowLists { single }, file: None, is_kept: false })
        .await
}
