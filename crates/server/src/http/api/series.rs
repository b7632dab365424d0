//! Values for everybody else: JSON, CSV, Arrow and Parquet, one path or many, all values or as many as fit a screen.

use axum::extract::State;
use axum::http::header::{ACCEPT, HeaderMap};
use axum::response::Response;
use serde_json::{Value, json};
use sheaf_model::legality::{check_one_period, check_range};
use sheaf_model::{Kind, Properties, ResourcePath, SeriesKey, Threshold, Tick, TimeRange};
use sheaf_store::Write;
use utoipa::IntoParams;

use crate::data::Found;
use crate::http::app::{App, Shared};
use crate::http::auth::{Caller, Outcome};
use crate::http::errors::ApiError;
use crate::http::extract::{Json, Query};
use crate::http::values::{Reader, Sent, parse_paths};
use crate::http::wire::WireTick;
use crate::reading::encode::Format;
use crate::reading::{Request, RequestError, buckets, hull, snapshot};

/// The most buckets that are asked for: more than any screen has columns, and few enough to be held.
const MOST_POINTS: u64 = 100_000;

/// Which values, and how they are written.
#[derive(Debug, Default, IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub(crate) struct SeriesQuery {
    /// What to read, like `/plant/mast/T1/10_min_mean#base=1_s`; up to 100 times, all of the same period.
    #[param(min_items = 1, max_items = 100)]
    resource_path: Vec<String>,
    /// Begin of the first value; where the samples begin, if it is left out.
    begin: Option<WireTick>,
    /// End of the last value, which is not included; where the samples end, if it is left out.
    end: Option<WireTick>,
    /// The share of valid samples that a value needs, from 0 to 1; 0.99 if it is left out, and 0 with `maxPoints`.
    #[param(minimum = 0, maximum = 1)]
    threshold: Option<f64>,
    /// The most values of each path. If there are more samples in the range, the answer has buckets of the finest period at which
    /// there are no more than this: `count`, `mean`, `min` and `max` of each. The range becomes that of whole buckets. Paths
    /// name samples then, like `/plant/mast/T1/1_s`, whatever their period.
    #[param(minimum = 1, maximum = 100000)]
    max_points: Option<u64>,
    /// `json`, `csv`, `arrow`, `parquet` or `f64` (raw little-endian doubles, one path after the other); what `Accept` says, if it
    /// is left out, else JSON.
    format: Option<String>,
}

impl SeriesQuery {
    fn new(parameters: Vec<(String, String)>) -> Result<SeriesQuery, ApiError> {
        let mut query = SeriesQuery::default();
        for (name, value) in parameters {
            let wrong = |problem: &dyn std::fmt::Display| {
                ApiError::unprocessable(format!("parameter `{name}`: {problem}"))
            };
            match name.as_str() {
                "resourcePath" => query.resource_path.push(value),
                "begin" => query.begin = Some(value.parse().map_err(|problem: String| wrong(&problem))?),
                "end" => query.end = Some(value.parse().map_err(|problem: String| wrong(&problem))?),
                "threshold" => {
                    let share = value.parse().ok().filter(|share| Threshold::new(*share).is_some());
                    query.threshold =
                        Some(share.ok_or_else(|| wrong(&"it is a number from 0 to 1, like 0.99"))?);
                }
                "maxPoints" => {
                    let points = value.parse().ok().filter(|points| (1..=MOST_POINTS).contains(points));
                    let allowed = format!("it is a number from 1 to {MOST_POINTS}");
                    query.max_points = Some(points.ok_or_else(|| wrong(&allowed))?);
                }
                "format" => query.format = Some(value),
                _ => {
                    return Err(wrong(
                        &"there is no such parameter; there are resourcePath, begin, end, threshold, maxPoints and format",
                    ));
                }
            }
        }
        Ok(query)
    }

    fn threshold(&self) -> Option<Threshold> {
        self.threshold.and_then(Threshold::new)
    }
}

/// Values of one path or several, as JSON, CSV, Arrow stream or Parquet.
///
/// A missing value is null in JSON, Arrow and Parquet and an empty field in CSV. The answer has an `ETag`, which changes when the
/// samples may have: with `If-None-Match` it is not computed again.
#[utoipa::path(get, path = "/api/v1/series", tag = "data", params(SeriesQuery), responses(
    (status = 200, description = "The values", content(
        (Object = "application/json"),
        (String = "text/csv"),
        (Vec<u8> = "application/vnd.apache.arrow.stream"),
        (Vec<u8> = "application/vnd.apache.parquet"),
        (Vec<u8> = "application/octet-stream"),
    )),
    (status = 304, description = "What the client has still holds"),
    (status = 400, description = "The query can't be read", body = String),
    (status = 401, description = "Nobody has signed in", body = String),
    (status = 403, description = "A catalog may not be read", body = String),
    (status = 404, description = "There is no such series", body = String),
    (status = 422, description = "Parameters are wrong or do not fit each other", body = String),
    (status = 502, description = "A source fails", body = String),
    (status = 503, description = "Too many large answers are being read", body = String),
))]
pub(crate) async fn series(
    State(app): State<Shared>,
    reader: Reader,
    Query(parameters): Query<Vec<(String, String)>>,
) -> Result<Response, ApiError> {
    let query = SeriesQuery::new(parameters)?;
    let mut format = match &query.format {
        Some(name) => named(name)?,
        None => accepted(reader.headers()),
    };
    let paths = parse_paths(&query.resource_path)?;
    let (begin, end) = (query.begin.map(|tick| tick.0), query.end.map(|tick| tick.0));
    if let (Some(begin), Some(end)) = (begin, end) {
        TimeRange::new(begin, end)?;
    }
    let request = match query.max_points {
        None => {
            let period = check_one_period(paths.iter().map(ResourcePath::period));
            if let (Some(period), Some(begin), Some(end)) =
                (period.map_err(ApiError::unprocessable)?, begin, end)
            {
                // What is wrong whatever is there is said first.
                check_range(period, TimeRange::new(begin, end)?).map_err(ApiError::unprocessable)?;
            }
            let found = reader.find(&app, &paths).await?;
            Request::new(&app.data.store, found, begin, end, query.threshold()).await?
        }
        Some(most) => {
            let (request, columns) =
                screen(&app, &reader, paths, (begin, end), most, query.threshold()).await?;
            if let Format::Json { columns: of_series } = &mut format {
                *of_series = columns;
            }
            request
        }
    };
    let file = match format {
        Format::Csv => Some("series.csv"),
        Format::Parquet { .. } => Some("series.parquet"),
        Format::Arrow => Some("series.arrows"),
        Format::F64 => Some("data.bin"),
        Format::Json { .. } | Format::ArrowLists { .. } => None,
    };
    reader.answer(&app, request, Sent { format, file, is_kept: true }).await
}

/// A request for no more than so many values of each path, and how many columns each has.
async fn screen(
    app: &App,
    reader: &Reader,
    paths: Vec<ResourcePath>,
    (begin, end): (Option<Tick>, Option<Tick>),
    most: u64,
    threshold: Option<Threshold>,
) -> Result<(Request, usize), ApiError> {
    if let Some(path) = paths.iter().find(|path| path.kind() != Kind::Original) {
        return Err(ApiError::unprocessable(format!(
            "`{path}`: with `maxPoints` a path names samples, like `{}/{}/{}`; the answer has their {}",
            path.catalog(),
            path.resource(),
            path.base().unwrap_or(path.period()),
            buckets::KINDS.map(Kind::name).join(", "),
        )));
    }
    let found = reader.find(app, &paths).await?;
    let seen = snapshot(&app.data.store, &found).await?;
    let (begin, end) = match (begin, end) {
        (Some(begin), Some(end)) => (begin, end),
        (begin, end) => {
            let hull = hull(&seen, &found)?.ok_or(RequestError::NoSamples)?;
            (begin.unwrap_or(hull.begin()), end.unwrap_or(hull.end()))
        }
    };
    let range = TimeRange::new(begin, end)?;
    let periods: Vec<_> = paths.iter().map(ResourcePath::period).collect();
    let is_same = periods.iter().all(|period| *period == periods[0]);
    let store = &app.data.store;
    if let Ok(samples) = periods[0].widen(range)
        && is_same
        && samples.count(periods[0]) <= most
    {
        let (begin, end) = (Some(samples.begin()), Some(samples.end()));
        return Ok((Request::new(store, found, begin, end, threshold).await?, 1));
    }
    let Some((period, range)) = buckets::fit(range, &periods, most) else {
        return Err(ApiError::unprocessable(format!(
            "no period divides {range} into {most} buckets or less: take a shorter range or a larger `maxPoints`"
        )));
    };
    let wanted = found.into_iter().zip(&paths).flat_map(|(found, path)| {
        let Found { resolved, unit, .. } = found;
        let base = resolved.base;
        buckets::paths(path, path.period(), period, threshold).map(move |path| {
            let unit = unit.clone().filter(|_| path.kind() != Kind::Count);
            let resolved = sheaf_engine::Resolved { path, base: base.clone() };
            Found { resolved, unit, properties: Properties::default() }
        })
    });
    let (begin, end) = (Some(range.begin()), Some(range.end()));
    let request = Request::new(store, wanted.collect(), begin, end, None).await?;
    Ok((request, buckets::KINDS.len()))
}

const JSON: Format = Format::Json { columns: 1 };

fn named(name: &str) -> Result<Format, ApiError> {
    match name {
        "json" => Ok(JSON),
        "csv" => Ok(Format::Csv),
        "arrow" => Ok(Format::Arrow),
        "parquet" => Ok(Format::Parquet { group_values: None }),
        "f64" => Ok(Format::F64),
        _ => Err(ApiError::unprocessable(
            "parameter `format`: there is no such format; there are json, csv, arrow, parquet and f64",
        )),
    }
}

/// The first known format of those that a client takes, the ones it likes most first; JSON, if it names none.
fn accepted(headers: &HeaderMap) -> Format {
    let all = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut kinds: Vec<(f32, Format)> = Vec::new();
    for kind in all.flat_map(|value| value.split(',')) {
        let mut parts = kind.split(';').map(str::trim);
        let format = match parts.next().unwrap_or_default() {
            "application/json" => JSON,
            "text/csv" => Format::Csv,
            "application/vnd.apache.arrow.stream" => Format::Arrow,
            "application/vnd.apache.parquet" | "application/x-parquet" => {
                Format::Parquet { group_values: None }
            }
            "application/octet-stream" => Format::F64,
            _ => continue,
        };
        let weight = parts.find_map(|part| part.strip_prefix("q=")?.parse().ok()).unwrap_or(1.0);
        kinds.push((weight, format));
    }
    kinds.retain(|(weight, _)| *weight > 0.0);
    kinds.sort_by(|a, b| b.0.total_cmp(&a.0));
    kinds.first().map_or(JSON, |(_, format)| *format)
}

/// What is deleted.
#[derive(Debug, Default, IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub(crate) struct DeleteQuery {
    /// A series, like `/plant/mast/T1/10_ms`, or `/plant/bills` where it is irregular; up to 100 times.
    #[param(min_items = 1, max_items = 100)]
    path: Vec<String>,
    /// Begin of the range.
    begin: Option<WireTick>,
    /// End of the range; it is not included.
    end: Option<WireTick>,
    /// Delete all samples, in place of a range.
    all: bool,
}

impl DeleteQuery {
    fn new(parameters: Vec<(String, String)>) -> Result<DeleteQuery, ApiError> {
        let mut query = DeleteQuery::default();
        for (name, value) in parameters {
            let wrong = |problem: &dyn std::fmt::Display| {
                ApiError::unprocessable(format!("parameter `{name}`: {problem}"))
            };
            match name.as_str() {
                "path" => query.path.push(value),
                "begin" => query.begin = Some(value.parse().map_err(|problem: String| wrong(&problem))?),
                "end" => query.end = Some(value.parse().map_err(|problem: String| wrong(&problem))?),
                "all" => query.all = value.parse().map_err(|_| wrong(&"it is `true` or `false`"))?,
                _ => return Err(wrong(&"there is no such parameter; there are path, begin, end and all")),
            }
        }
        Ok(query)
    }

    fn range(&self) -> Result<TimeRange, ApiError> {
        Ok(match (self.begin, self.end, self.all) {
            (None, None, true) => TimeRange::new(Tick::MIN, Tick::MAX)?,
            (Some(begin), Some(end), false) => TimeRange::new(begin.0, end.0)?,
            _ => {
                return Err(ApiError::unprocessable(
                    "say what is to be deleted: with `begin` and `end`, or all samples with `all=true`",
                ));
            }
        })
    }
}

/// Deletes the samples of series in a range, all in one commit.
#[utoipa::path(delete, path = "/api/v1/series", tag = "data", params(DeleteQuery), responses(
    (status = 200, description = "What was deleted, and the commit", body = Object),
    (status = 400, description = "The query can't be read", body = String),
    (status = 401, description = "Nobody has signed in", body = String),
    (status = 403, description = "A catalog may not be written to", body = String),
    (status = 404, description = "There is no such series", body = String),
    (status = 422, description = "Parameters are wrong or do not fit each other", body = String),
))]
pub(crate) async fn delete(
    State(app): State<Shared>,
    caller: Caller,
    Query(parameters): Query<Vec<(String, String)>>,
) -> Result<Json<Value>, ApiError> {
    let query = DeleteQuery::new(parameters)?;
    let range = query.range()?;
    let keys: Vec<SeriesKey> = query
        .path
        .iter()
        .map(|path| path.parse().map_err(|error| ApiError::unprocessable(format!("`{path}`: {error}"))))
        .collect::<Result<_, _>>()?;
    if !(1..=crate::http::values::MOST_PATHS).contains(&keys.len()) {
        return Err(ApiError::unprocessable("name the series with `path`, from 1 to 100 of them"));
    }
    for key in &keys {
        caller.require_write(&app, &key.catalog).await?;
    }
    let texts: Vec<String> = keys.iter().map(ToString::to_string).collect();
    let mut write = Write::new();
    for (series, key) in app.data.store.find_all(&texts).await?.into_iter().zip(&texts) {
        let series = series.ok_or_else(|| ApiError::not_found(format!("there is no series `{key}`")))?;
        write = write.delete(series, range);
    }
    let receipt = app.data.store.write(write).await?;
    let (begin, end) = (range.begin().to_string(), range.end().to_string());
    let detail = json!({ "begin": begin, "end": end, "commit": receipt.commit });
    app.audit(&caller, "series.delete", texts.join(", "), Outcome::Done, detail).await?;
    Ok(Json(json!({ "series": texts, "begin": begin, "end": end, "commit": receipt.commit })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn the_format_is_what_the_client_likes_most() {
        let accepted = |accept: &'static str| {
            accepted(&HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))]))
        };
        assert_eq!(accepted("*/*"), JSON);
        assert_eq!(accepted("text/html,application/xhtml+xml,*/*;q=0.8"), JSON);
        assert_eq!(accepted("text/csv"), Format::Csv);
        assert_eq!(accepted("application/json;q=0.5, application/vnd.apache.arrow.stream"), Format::Arrow);
        assert_eq!(accepted("text/csv;q=0, application/json;q=0.1"), JSON);
    }
}
