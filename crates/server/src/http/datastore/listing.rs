//! Lists: bare arrays ordered by id, or lines of JSON, or CSV, page by page as the client takes them. With `limit` the answer is
//! one page, and the header `Link` says where the next one is.

use std::future::ready;
use std::io;

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CONTENT_TYPE, HeaderValue, LINK};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, StreamExt};
use serde::Serialize;
use serde_json::{Map, Value};
use sheaf_db::datastore::Page;
use utoipa::IntoParams;

use super::fields::Fields;
use super::refusals::Refusal;
use crate::http::app::Shared;
use crate::http::errors::ApiError;
use crate::http::extract::Query;

/// Rows that are fetched at once.
const PAGE: usize = 1000;

/// The most rows that a client may ask for as one page.
pub(super) const MOST_ROWS: i64 = 100_000;

/// A row of a list. Its default has all fields, so that a table without rows has a header.
pub(crate) trait Row: Serialize + Default + Send + 'static {
    fn id(&self) -> i64;
}

/// What a client wants of a list: the parameters that no list has of its own.
pub(crate) struct Listing {
    /// The others.
    pub(crate) filters: Fields,
    limit: Option<usize>,
    after: Option<i64>,
    format: Format,
    path: String,
    parameters: Vec<(String, String)>,
}

/// The parameters of every list, for the OpenAPI document.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described")]
pub(crate) struct Paging {
    /// The most rows; the header Link has the next page.
    #[param(minimum = 1, maximum = 100000)]
    limit: Option<i64>,
    /// Only rows with ids beyond this one.
    after: Option<i64>,
    /// json, ndjson or csv; or what Accept says.
    format: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Json,
    Lines,
    Csv,
}

impl FromRequestParts<Shared> for Listing {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Listing, Refusal> {
        let Query(parameters) = Query::<Vec<(String, String)>>::from_request_parts(parts, app).await?;
        let mut filters = Fields::of_query(parameters.clone());
        let limit = filters.integer("limit").flatten();
        if limit.is_some_and(|limit| !(1..=MOST_ROWS).contains(&limit)) {
            filters.fail("limit", format!("Ensure this value is from 1 to {MOST_ROWS}."));
        }
        let after = filters.integer("after").flatten();
        let word = |word: &str| match word {
            "json" => Some(Format::Json),
            "ndjson" => Some(Format::Lines),
            "csv" => Some(Format::Csv),
            _ => None,
        };
        let format = filters.choice("format", word, "json, ndjson and csv").flatten();
        filters.done()?;
        Ok(Listing {
            filters,
            limit: limit.and_then(|limit| usize::try_from(limit).ok()),
            after,
            format: format.unwrap_or_else(|| accepted(&parts.headers)),
            path: parts.uri.path().to_owned(),
            parameters,
        })
    }
}

/// The first format that the client takes.
fn accepted(headers: &HeaderMap) -> Format {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let known = |kind: &str| match kind.split(';').next().unwrap_or_default().trim() {
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Some(Format::Lines),
        "text/csv" => Some(Format::Csv),
        "application/json" => Some(Format::Json),
        _ => None,
    };
    accepted.flat_map(|value| value.split(',')).find_map(known).unwrap_or(Format::Json)
}

impl Listing {
    /// The answer. `fetch` gives a page of rows, by id, from what it needs for that; it is called until it gives fewer than it was
    /// asked for.
    pub(crate) async fn answer<S, R, F>(
        self,
        from: S,
        fetch: impl Fn(S, Page) -> F + Send + Sync + 'static,
    ) -> Result<Response, Refusal>
    where
        S: Clone + Send + Sync + 'static,
        R: Row,
        F: Future<Output = Result<Vec<R>, Refusal>> + Send,
    {
        let fetch = move |page| fetch(from.clone(), page);
        let (format, after) = (self.format, self.after.unwrap_or(i64::MIN));
        let kind = match format {
            Format::Json => "application/json",
            Format::Lines => "application/x-ndjson",
            Format::Csv => "text/csv; charset=utf-8",
        };
        let kind = [(CONTENT_TYPE, HeaderValue::from_static(kind))];
        if let Some(limit) = self.limit {
            // One more, to know whether there is a next page.
            let mut rows = fetch(Page { after, limit: Some(limit + 1) }).await?;
            let has_more = rows.len() > limit;
            rows.truncate(limit);
            let mut response = (kind, written(format, &rows, true, true)?).into_response();
            if has_more && let Some(last) = rows.last() {
                response.headers_mut().insert(LINK, next_page(&self.path, &self.parameters, last.id()));
            }
            return Ok(response);
        }
        // What goes wrong before the first byte is an answer.
        let (text, next) = piece(&fetch, format, Step { after, is_first: true }).await?;
        let rest = stream::unfold(next.map(|next| (next, fetch)), move |state| async move {
            let (step, fetch) = state?;
            Some(match piece(&fetch, format, step).await {
                Ok((text, next)) => (Ok(text), next.map(|next| (next, fetch))),
                Err(refusal) => (Err(io::Error::other(format!("a list ended early: {refusal:?}"))), None),
            })
        });
        // Those who take it may ask once more than there is.
        let body = Body::from_stream(stream::once(ready(Ok(text))).chain(rest).fuse());
        Ok((kind, body).into_response())
    }
}

/// Where the page of a list behind this id is.
pub(super) fn next_page(path: &str, parameters: &[(String, String)], after: i64) -> HeaderValue {
    let others = parameters.iter().filter(|(name, _)| name != "after");
    let pair = |name: &str, value: &str| format!("{}={}", encoded(name), encoded(value));
    let mut query: Vec<String> = others.map(|(name, value)| pair(name, value)).collect();
    query.push(pair("after", &after.to_string()));
    let link = format!("<{path}/?{}>; rel=\"next\"", query.join("&"));
    // All of it is ASCII that can be seen.
    HeaderValue::try_from(link).unwrap_or(HeaderValue::from_static(""))
}

fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// Where the next piece of a list begins.
struct Step {
    after: i64,
    is_first: bool,
}

/// A piece of a list, and where the next one begins.
async fn piece<R, F>(
    fetch: &(impl Fn(Page) -> F + Sync),
    format: Format,
    step: Step,
) -> Result<(Vec<u8>, Option<Step>), Refusal>
where
    R: Row,
    F: Future<Output = Result<Vec<R>, Refusal>> + Send,
{
    let rows = fetch(Page { after: step.after, limit: Some(PAGE) }).await?;
    let last = rows.last().filter(|_| rows.len() == PAGE);
    let next = last.map(|last| Step { after: last.id(), is_first: false });
    Ok((written(format, &rows, step.is_first, next.is_none())?, next))
}

/// Rows as text: the first ones of a list, or the last ones, or all.
fn written<R: Row>(format: Format, rows: &[R], is_first: bool, is_last: bool) -> Result<Vec<u8>, Refusal> {
    let text = match format {
        Format::Json => json(rows, is_first, is_last),
        Format::Lines => lines(rows),
        Format::Csv => csv(rows, is_first),
    };
    text.map_err(|error| ApiError::internal("the list can't be written", &error).into())
}

fn json<R: Row>(rows: &[R], is_first: bool, is_last: bool) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    if is_first {
        text.push(b'[');
    }
    for (index, row) in rows.iter().enumerate() {
        if index > 0 || !is_first {
            text.push(b',');
        }
        serde_json::to_writer(&mut text, row)?;
    }
    if is_last {
        text.push(b']');
    }
    Ok(text)
}

fn lines<R: Row>(rows: &[R]) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    for row in rows {
        serde_json::to_writer(&mut text, row)?;
        text.push(b'\n');
    }
    Ok(text)
}

/// Null is an empty field; lists and objects are JSON.
fn csv<R: Row>(rows: &[R], is_first: bool) -> io::Result<Vec<u8>> {
    let mut text = csv::Writer::from_writer(Vec::new());
    if is_first {
        text.write_record(values(&R::default())?.keys())?;
    }
    for row in rows {
        text.write_record(values(row)?.into_iter().map(|(_, value)| match value {
            Value::Null => String::new(),
            Value::String(text) => text,
            value => value.to_string(),
        }))?;
    }
    text.into_inner().map_err(|error| io::Error::other(error.to_string()))
}

fn values<R: Row>(row: &R) -> io::Result<Map<String, Value>> {
    match serde_json::to_value(row)? {
        Value::Object(values) => Ok(values),
        _ => Err(io::Error::other("a row is no object")),
    }
}
