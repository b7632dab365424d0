//! Marts: tables that whoever loads results elsewhere wants whole.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, HeaderValue, LINK};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, StreamExt};
use serde::Serialize;
use sheaf_db::datastore::{Datastore, MartType, MartValue, Page};
use utoipa::ToSchema;

use super::fields::Fields;
use super::listing::{MOST_ROWS, Paging, next_page};
use super::refusals::{Refusal, Refusals};
use super::rights::Rights;
use crate::http::app::Shared;
use crate::http::auth::Caller;
use crate::http::errors::ApiError;
use crate::http::extract::{Json, Path, Query};
use crate::marts::{AnyMart, Format, PAGE, Writer, all, id_of};

/// A mart.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct MartRow {
    name: &'static str,
    /// What its rows are.
    about: &'static str,
    columns: Vec<MartColumn>,
}

/// A column of a mart.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct MartColumn {
    name: &'static str,
    /// `integer`, `number`, `text` or `time`.
    r#type: &'static str,
}

impl From<AnyMart> for MartRow {
    fn from(mart: AnyMart) -> MartRow {
        let column = |(name, kind): &(&'static str, MartType)| MartColumn {
            name,
            r#type: match kind {
                MartType::Integer => "integer",
                MartType::Number => "number",
                MartType::Text => "text",
                MartType::Time => "time",
            },
        };
        MartRow {
            name: mart.name(),
            about: mart.about(),
            columns: mart.columns().iter().map(column).collect(),
        }
    }
}

/// Which marts there are, and what their columns hold.
#[utoipa::path(get, path = "/api/v1/marts", tag = "marts",
    responses((status = 200, body = Vec<MartRow>), Refusals))]
pub(crate) async fn list(State(app): State<Shared>, caller: Caller) -> Result<Json<Vec<MartRow>>, Refusal> {
    Rights::new(&app, &caller).require_read_traces()?;
    Ok(Json(all().map(MartRow::from).collect()))
}

/// The rows of a mart, by id. It is always current: rows that change meanwhile are there as they were or as they are.
#[utoipa::path(get, path = "/api/v1/marts/{name}", tag = "marts",
    params(
        ("name" = String, Path, description = "Also with warehouse_ before it"),
        Paging,
    ),
    responses(
        (status = 200, description = "The rows; with `format=parquet`, times are timestamps", content(
            (Vec<serde_json::Value> = "application/json"),
            (String = "application/x-ndjson"),
            (String = "text/csv"),
            (String = "application/vnd.apache.parquet"),
        )),
        Refusals,
    ))]
pub(crate) async fn get(
    State(app): State<Shared>,
    caller: Caller,
    Path(name): Path<String>,
    Query(parameters): Query<Vec<(String, String)>>,
) -> Result<Response, Refusal> {
    Rights::new(&app, &caller).require_read_traces()?;
    let mart = AnyMart::named(&name).map_err(|error| ApiError::not_found(error.to_string()))?;
    let mut fields = Fields::of_query(parameters.clone());
    let limit = fields.integer("limit").flatten();
    if limit.is_some_and(|limit| !(1..=MOST_ROWS).contains(&limit)) {
        fields.fail("limit", format!("Ensure this value is from 1 to {MOST_ROWS}."));
    }
    let after = fields.integer("after").flatten().unwrap_or(i64::MIN);
    let word = |word: &str| <Format as clap::ValueEnum>::from_str(word, false).ok();
    let format = fields.choice("format", word, "json, ndjson, csv and parquet").flatten();
    fields.done()?;
    let format = format.unwrap_or(Format::Json);
    let kind = [(
        CONTENT_TYPE,
        HeaderValue::from_static(match format {
            Format::Json => "application/json",
            Format::Ndjson => "application/x-ndjson",
            Format::Csv => "text/csv; charset=utf-8",
            Format::Parquet => "application/vnd.apache.parquet",
        }),
    )];
    let datastore = app.data.database.datastore();
    if let Some(limit) = limit.and_then(|limit| usize::try_from(limit).ok()) {
        // One more, to know whether there is a next page.
        let mut rows = mart.page(&datastore, Page { after, limit: Some(limit + 1) }).await?;
        let has_more = rows.len() > limit;
        rows.truncate(limit);
        let mut response = (kind, whole(mart, format, &rows)?).into_response();
        if has_more && let Some(last) = rows.last() {
            let next = next_page(&format!("/api/v1/marts/{}", mart.name()), &parameters, id_of(last));
            response.headers_mut().insert(LINK, next);
        }
        return Ok(response);
    }
    // What goes wrong before the first byte is an answer.
    let (text, rest) = Pieces::new(mart, format, datastore, after)?.next().await?;
    let pieces = stream::unfold((Some(text), rest), async |(text, rest)| {
        if let Some(text) = text {
            return Some((Ok(text), (None, rest)));
        }
        match rest?.next().await {
            Ok((text, rest)) => Some((Ok(text), (None, rest))),
            Err(refusal) => {
                Some((Err(io::Error::other(format!("a mart ended early: {refusal:?}"))), (None, None)))
            }
        }
    });
    // Those who take it may ask once more than there is.
    Ok((kind, Body::from_stream(pieces.fuse())).into_response())
}

fn whole(mart: AnyMart, format: Format, rows: &[Vec<MartValue>]) -> Result<Vec<u8>, Refusal> {
    let pipe = Pipe::default();
    let mut writer = Writer::new(mart, format, pipe.clone()).map_err(|error| unwritten(&error))?;
    writer.write(rows).map_err(|error| unwritten(&error))?;
    writer.finish().map_err(|error| unwritten(&error))?;
    Ok(pipe.take())
}

fn unwritten(error: &(dyn std::error::Error + 'static)) -> Refusal {
    ApiError::internal("the mart can't be written", error).into()
}

/// A mart that is written piece by piece.
struct Pieces {
    mart: AnyMart,
    datastore: Datastore,
    writer: Writer<Pipe>,
    pipe: Pipe,
    after: i64,
}

impl Pieces {
    fn new(mart: AnyMart, format: Format, datastore: Datastore, after: i64) -> Result<Pieces, Refusal> {
        let pipe = Pipe::default();
        let writer = Writer::new(mart, format, pipe.clone()).map_err(|error| unwritten(&error))?;
        Ok(Pieces { mart, datastore, writer, pipe, after })
    }

    /// The next piece, and what comes behind it.
    async fn next(mut self) -> Result<(Vec<u8>, Option<Pieces>), Refusal> {
        let page = Page { after: self.after, limit: Some(PAGE) };
        let rows = self.mart.page(&self.datastore, page).await?;
        self.writer.write(&rows).map_err(|error| unwritten(&error))?;
        match rows.last() {
            Some(last) if rows.len() == PAGE => {
                self.after = id_of(last);
                Ok((self.pipe.take(), Some(self)))
            }
            _ => {
                self.writer.finish().map_err(|error| unwritten(&error))?;
                Ok((self.pipe.take(), None))
            }
        }
    }
}

/// What was written and not taken yet.
#[derive(Clone, Debug, Default)]
struct Pipe(Arc<Mutex<Vec<u8>>>);

impl Pipe {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
