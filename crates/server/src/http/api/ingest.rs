//! Tables into the store, over HTTP: what `sheaf ingest` does, with the body of a request.

use std::error::Error;
use std::str::FromStr;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE, EXPECT};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use clap::error::{ContextKind, ContextValue};
use clap::{ArgAction, CommandFactory, FromArgMatches};
use serde_json::json;
use sha2::{Digest, Sha256};
use sheaf_engine::{IngestError, IngestKey};
use sheaf_model::CatalogId;
use sheaf_sources::{Input, Table, TableFormat, TableOptions, open_table};
use sheaf_store::{StoreError, Watch};
use tokio::task::spawn_blocking;

use crate::data::blocking;
use crate::http::app::{App, Shared};
use crate::http::auth::Caller;
use crate::http::body::{Encoding, Incoming, WholeTable, forget};
use crate::http::errors::{ApiError, too_large_upload};
use crate::http::extract::{Json, Query};
use crate::ingesting::{IngestArgs, IngestFailure, Opener, Order, describe};

/// The header with which a client says that a request is the same as one before.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// How messages call a body.
const NAME: &str = "the body";

/// The parameters: those of `sheaf ingest`.
#[derive(clap::Parser)]
#[command(no_binary_name = true, disable_help_flag = true, disable_version_flag = true)]
struct Parameters {
    #[command(flatten)]
    args: IngestArgs,
}

/// Writes a table, all of it in one commit or nothing.
///
/// The body is CSV, Parquet, Arrow or JSON lines: `Content-Type` or `format` says so, or its first bytes do. The report
/// is that of `sheaf ingest --json`. With `onError=skip` rows that can't be read are left out; if there are any, the status is 207 and
/// the report has the first of them.
#[utoipa::path(post, path = "/api/v1/ingest", tag = "data",
    params(
        ("catalog" = String, Query, description = "Where the series go, like /plant/mast"),
        ("format" = Option<String>, Query, description = "csv, parquet, arrow_stream or json_lines"),
        ("type" = Option<String>, Query, description = "Type of all values, like FLOAT32"),
        ("period" = Option<String>, Query, description = "Sample period of all columns, like 10_min"),
        ("irregular" = Option<bool>, Query, description = "Rows have no period: bills, events"),
        ("align" = Option<bool>, Query, description = "Move rows to the nearest slots; of two in a slot the later one counts"),
        ("delimiter" = Option<String>, Query, description = "The character between fields"),
        ("decimal" = Option<String>, Query, description = "The decimal separator, a point or a comma"),
        ("header" = Option<String>, Query, description = "The line with the titles, counted from 1, or none"),
        ("comment" = Option<String>, Query, description = "What comment lines begin with, or none"),
        ("layout" = Option<String>, Query, description = "wide: a column for each resource; long: one that names it, and one of values"),
        ("timeColumn" = Option<String>, Query, description = "The column of times, by title or number"),
        ("clockColumn" = Option<String>, Query, description = "The column of times of day, where they stand apart from the date"),
        ("seriesColumn" = Option<String>, Query, description = "The column that names the resource of a row in a long table"),
        ("valueColumn" = Option<Vec<String>>, Query, description = "A column of values; all others are left out"),
        ("ignoreColumn" = Option<Vec<String>>, Query, description = "A column to leave out"),
        ("timeFormat" = Option<String>, Query, description = "auto, iso, unix-s, unix-ms, unix-us, unix-ns, excel, index, or a format like %d.%m.%Y %H:%M"),
        ("timeZone" = Option<String>, Query, description = "Zone of times without an offset, like Europe/Berlin; UTC if it is left out"),
        ("firstTime" = Option<String>, Query, description = "The time of the first row, where times are row numbers"),
        ("missing" = Option<Vec<String>>, Query, description = "A word for a missing value"),
        ("onError" = Option<String>, Query, description = "What happens at a row that can't be read: refuse (default) or skip"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same body and parameters with the same key are written once, however often they are sent"),
        ("Content-Encoding" = Option<String>, Header, description = "gzip or zstd"),
    ),
    request_body(description = "The table", content((String = "text/csv"), (Vec<u8> = "application/vnd.apache.parquet"),
        (Vec<u8> = "application/vnd.apache.arrow.stream"), (String = "application/x-ndjson"),
        (Vec<u8> = "application/octet-stream"))),
    responses(
        (status = 200, description = "The report; with `repeated` if all of it was written before", body = Object),
        (status = 207, description = "Some rows were skipped; the report says which", body = Object),
        (status = 400, description = "The query can't be read", body = String),
        (status = 401, description = "Nobody has signed in", body = String),
        (status = 403, description = "The catalog may not be written to", body = String),
        (status = 408, description = "The client stopped sending", body = String),
        (status = 409, description = "The idempotency key belongs to another body, or the catalog is read in place", body = String),
        (status = 413, description = "The body is too large", body = String),
        (status = 415, description = "The body is of no kind that can be read", body = String),
        (status = 422, description = "A parameter is wrong, or the table is: with its line and column", body = String),
    )
)]
pub(crate) async fn ingest(
    State(app): State<Shared>,
    caller: Result<Caller, ApiError>,
    headers: HeaderMap,
    parameters: Result<Query<Vec<(String, String)>>, ApiError>,
    body: Body,
) -> Result<Response, ApiError> {
    let wanted = match Wanted::new(&app, caller, &headers, parameters).await {
        Ok(wanted) => wanted,
        Err(error) => {
            // Who waits for a word before sending it needs none.
            if !headers.contains_key(EXPECT) {
                forget(body).await;
            }
            return Err(error);
        }
    };
    let Wanted { catalog, mut order, encoding, key, contents } = wanted;
    let limits = &app.settings.limits;
    let sum = key.is_some().then(|| Sha256::new_with_prefix(contents));
    let incoming = Incoming::new(body, limits.upload_bytes, limits.stall, sum);
    if let Some(key) = key {
        let key = stored_key(&catalog, &key);
        if let Some((commit, contents)) = app.data.store.write_with_key(&key).await? {
            return repeated(&app, incoming, commit, contents).await;
        }
        order = order.with_key(IngestKey { key, contents: incoming.contents() });
    }
    match written(&app, incoming.clone(), encoding, order).await {
        Ok(ingested) => {
            let is_part = ingested.summary.skipped > 0;
            let status = if is_part { StatusCode::MULTI_STATUS } else { StatusCode::OK };
            Ok((status, Json(describe(&ingested))).into_response())
        }
        Err(error) => {
            incoming.give_up().await;
            Err(match incoming.problem() {
                Some(problem) => refused(&app, problem),
                None => error.into(),
            })
        }
    }
}

/// What a client wants of a body, found right.
struct Wanted {
    catalog: CatalogId,
    order: Order,
    encoding: Encoding,
    key: Option<String>,
    /// All that says how the body is read.
    contents: String,
}

impl Wanted {
    async fn new(
        app: &App,
        caller: Result<Caller, ApiError>,
        headers: &HeaderMap,
        parameters: Result<Query<Vec<(String, String)>>, ApiError>,
    ) -> Result<Wanted, ApiError> {
        let (caller, Query(mut parameters)) = (caller?, parameters?);
        let format = take(&mut parameters, "format")?;
        let known = |name: String| {
            // As `GET /api/v1/series` calls it.
            let name = if name == "arrow" { "arrow_stream" } else { &name };
            TableFormat::from_str(name)
                .map_err(|error| ApiError::unprocessable(format!("parameter `format`: {error}")))
        };
        let format = match format.map(known).transpose()? {
            Some(format) => Some(format),
            None => format_of(headers)?,
        };
        let args = arguments(&parameters)?;
        let Some(catalog) = args.catalog.clone() else {
            return Err(ApiError::unprocessable(
                "parameter `catalog`: say which catalog the series go to, like /plant/mast",
            ));
        };
        let (encoding, key) = (encoding_of(headers)?, key_of(headers)?);
        caller.require_write(app, &catalog).await?;
        let mut order = args.order();
        order.table.format = format;
        Ok(Wanted { catalog, order, encoding, key, contents: canonical(&parameters, format, encoding) })
    }
}

/// Writes the table in a task of its own: what is committed gets its units, too. If the request ends early, so does the task.
async fn written(
    app: &Shared,
    incoming: Incoming,
    encoding: Encoding,
    order: Order,
) -> Result<sheaf_engine::Ingested, IngestFailure> {
    struct CancelOnDrop(Watch);

    impl Drop for CancelOnDrop {
        fn drop(&mut self) {
            self.0.cancel();
        }
    }

    let watch = Watch::default();
    let _cancel = CancelOnDrop(watch.clone());
    let app = app.clone();
    let task = tokio::spawn(async move {
        // What unpacks a body looks at its first bytes, and waits for them.
        let packed = incoming.clone();
        let reader = blocking(move || packed.reader(encoding)).await?;
        let reader = reader.map_err(|error| IngestFailure::Other(Box::new(error)))?;
        let open: Opener = Box::new(move |input: Input, options: &TableOptions| {
            let table = WholeTable::new(open_table(input, options)?, incoming.clone());
            Ok(Box::new(table) as Box<dyn Table>)
        });
        order.take(&app.data, Input::reader(NAME, reader), open, &watch).await
    });
    task.await.map_err(|error| IngestFailure::Other(Box::new(error)))?
}

/// The answer to a key that was used before.
async fn repeated(app: &App, incoming: Incoming, commit: i64, contents: u64) -> Result<Response, ApiError> {
    let body = incoming.clone();
    let drained = spawn_blocking(move || body.drain()).await;
    if let Some(problem) = incoming.problem() {
        return Err(refused(app, problem));
    }
    match drained {
        Ok(Ok(())) if incoming.contents().get() == Some(&contents) => {
            Ok(Json(json!({ "input": NAME, "commit": commit, "repeated": true })).into_response())
        }
        Ok(Ok(())) => Err(other_contents(commit)),
        Ok(Err(error)) => Err(ApiError::unprocessable(format!("{NAME} ended early: {error}"))),
        Err(error) => Err(ApiError::internal("reading the body failed", &error)),
    }
}

fn other_contents(commit: i64) -> ApiError {
    ApiError::conflict(format!(
        "header `Idempotency-Key`: commit {commit} has this key, with another body or other parameters; take a new key"
    ))
}

/// Why a body was not taken.
pub(in crate::http) fn refused(app: &App, problem: crate::http::body::Problem) -> ApiError {
    use crate::http::body::Problem;
    match problem {
        Problem::TooLarge => too_large_upload(),
        Problem::Stalled => ApiError::new(
            StatusCode::REQUEST_TIMEOUT,
            format!(
                "{NAME} stopped coming for {} s (limits.stall); nothing was written",
                app.settings.limits.stall.as_secs_f64()
            ),
        ),
    }
}

impl From<IngestFailure> for ApiError {
    fn from(error: IngestFailure) -> ApiError {
        match error {
            IngestFailure::Source(error) => IngestError::from(error).into(),
            IngestFailure::Ingest(error) => match &error {
                IngestError::Store { source, .. }
                    if let StoreError::KeyReused { commit, .. } = source.root() =>
                {
                    other_contents(*commit)
                }
                _ => error.into(),
            },
            IngestFailure::InPlace(_) => ApiError::conflict(error),
            IngestFailure::Data(error) => error.into(),
            IngestFailure::Cancelled(error) => error.into(),
            IngestFailure::Other(error) => ApiError::internal("reading the body failed", &*error),
        }
    }
}

/// Takes a parameter out that may be there once.
fn take(parameters: &mut Vec<(String, String)>, name: &str) -> Result<Option<String>, ApiError> {
    let (found, others): (Vec<_>, Vec<_>) =
        std::mem::take(parameters).into_iter().partition(|(other, _)| other == name);
    *parameters = others;
    let mut values = found.into_iter().map(|(_, value)| value);
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(ApiError::unprocessable(format!("parameter `{name}`: it is there twice"))),
        (value, None) => Ok(value),
    }
}

/// The parameters as those of the program.
fn arguments(parameters: &[(String, String)]) -> Result<IngestArgs, ApiError> {
    let command = Parameters::command();
    let mut arguments = Vec::new();
    for (name, value) in parameters {
        let wrong = |problem: &str| ApiError::unprocessable(format!("parameter `{name}`: {problem}"));
        let known = command
            .get_arguments()
            .find(|argument| argument.get_long().is_some_and(|long| camel(long) == *name));
        let Some((argument, long)) = known.and_then(|argument| Some((argument, argument.get_long()?))) else {
            let names: Vec<String> =
                command.get_arguments().filter_map(|argument| argument.get_long()).map(camel).collect();
            return Err(wrong(&format!(
                "there is no such parameter; there are format, {}",
                names.join(", ")
            )));
        };
        match (argument.get_action(), value.as_str()) {
            (ArgAction::SetTrue, "true" | "") => arguments.push(format!("--{long}")),
            (ArgAction::SetTrue, "false") => {}
            (ArgAction::SetTrue, _) => return Err(wrong("it is `true` or `false`")),
            _ => arguments.push(format!("--{long}={value}")),
        }
    }
    let matches = command.try_get_matches_from(arguments);
    let parameters = matches.and_then(|matches| Parameters::from_arg_matches(&matches));
    Ok(parameters.map_err(|error| ApiError::unprocessable(complaint(&error)))?.args)
}

/// `value-column` as `valueColumn`.
fn camel(long: &str) -> String {
    let mut words = long.split('-');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |mut name, word| {
        let (initial, rest) = word.split_at(word.len().min(1));
        name.push_str(&initial.to_ascii_uppercase());
        name.push_str(rest);
        name
    })
}

/// What is wrong with parameters, in their words.
fn complaint(error: &clap::Error) -> String {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    // `--value-column <COLUMN>`
    let name =
        |argument: &str| camel(argument.trim_start_matches('-').split([' ', '=']).next().unwrap_or_default());
    let argument = text(ContextKind::InvalidArg).map(name);
    match (argument, text(ContextKind::InvalidValue), error.source()) {
        (Some(argument), Some(value), Some(problem)) => {
            format!("parameter `{argument}`: `{value}`: {problem}")
        }
        (Some(argument), ..) => match text(ContextKind::PriorArg) {
            Some(other) if name(other) == argument => format!("parameter `{argument}`: it is there twice"),
            Some(other) => format!("parameter `{argument}` does not go together with `{}`", name(other)),
            None => format!("parameter `{argument}`: {}", error.kind()),
        },
        _ => error.to_string().lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned(),
    }
}

/// The kind of table that the client says the body is; none if that is to be seen from it.
fn format_of(headers: &HeaderMap) -> Result<Option<TableFormat>, ApiError> {
    let Some(kind) = headers.get(CONTENT_TYPE) else { return Ok(None) };
    let kind = kind.to_str().unwrap_or_default();
    let format = match kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        "text/csv" | "text/tab-separated-values" | "text/plain" => TableFormat::Csv,
        "application/vnd.apache.parquet" | "application/x-parquet" | "application/parquet" => {
            TableFormat::Parquet
        }
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" | "application/json-lines" => {
            TableFormat::JsonLines
        }
        "application/vnd.apache.arrow.stream" | "application/vnd.apache.arrow.file" => {
            TableFormat::ArrowStream
        }
        "" | "application/octet-stream" | "application/x-www-form-urlencoded" => return Ok(None),
        _ => {
            return Err(ApiError::unsupported(format!(
                "header `Content-Type`: `{kind}` is no table that can be read: it is text/csv, application/vnd.apache.parquet, \
                 application/vnd.apache.arrow.stream, application/x-ndjson, or application/octet-stream for any of them"
            )));
        }
    };
    Ok(Some(format))
}

pub(in crate::http) fn encoding_of(headers: &HeaderMap) -> Result<Encoding, ApiError> {
    let Some(encoding) = headers.get(CONTENT_ENCODING) else { return Ok(Encoding::Identity) };
    match encoding.to_str().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        "" | "identity" => Ok(Encoding::Identity),
        "gzip" | "x-gzip" => Ok(Encoding::Gzip),
        "zstd" => Ok(Encoding::Zstd),
        other => Err(ApiError::unsupported(format!(
            "header `Content-Encoding`: `{other}` is neither gzip nor zstd"
        ))),
    }
}

fn key_of(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(key) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    let key = key.to_str().ok().filter(|key| (1..=255).contains(&key.len()));
    let key = key.ok_or_else(|| {
        ApiError::unprocessable("header `Idempotency-Key`: it is a text of 1 to 255 characters")
    })?;
    Ok(Some(key.to_owned()))
}

/// The key under which the store remembers a write: those of different catalogs are different.
fn stored_key(catalog: &CatalogId, key: &str) -> String {
    let sum = Sha256::new().chain_update(catalog.as_str()).chain_update([0]).chain_update(key).finalize();
    sum.iter().fold("ingest/".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

/// All that says how a body is read, always the same for the same.
fn canonical(parameters: &[(String, String)], format: Option<TableFormat>, encoding: Encoding) -> String {
    let mut sorted = parameters.to_vec();
    // Those that may be there several times keep their order.
    sorted.sort_by(|a, b| a.0.cmp(&b.0));
    json!([sorted, format.map(|format| format.to_string()), format!("{encoding:?}")]).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments_of(parameters: &[(&str, &str)]) -> Result<IngestArgs, String> {
        let owned = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        arguments(&parameters.iter().map(owned).collect::<Vec<_>>()).map_err(|error| error.text().to_owned())
    }

    #[test]
    fn all_options_of_the_program_are_parameters() {
        let args = arguments_of(&[
            ("catalog", "/plant/mast"),
            ("period", "1_s"),
            ("align", "true"),
            ("irregular", "false"),
            ("valueColumn", "a"),
            ("valueColumn", "--b"),
            ("timeZone", "Europe/Berlin"),
            ("onError", "skip"),
        ]);
        let order = args.unwrap().order();
        assert_eq!(order.table.csv.value_columns.len(), 2);
        assert_eq!(order.table.csv.time_zone.as_deref(), Some("Europe/Berlin"));
        for argument in Parameters::command().get_arguments() {
            assert!(argument.get_long().is_some(), "{argument:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_in_words_of_the_request() {
        let wrong = |parameters: &[(&str, &str)]| arguments_of(parameters).err().unwrap();
        assert!(
            wrong(&[("colour", "red")])
                .starts_with("parameter `colour`: there is no such parameter; there are format, catalog,")
        );
        assert!(wrong(&[("catalog", "plant")]).starts_with("parameter `catalog`: `plant`: "));
        assert_eq!(wrong(&[("onError", "stop")]), "parameter `onError`: `stop`: it is `refuse` or `skip`");
        assert_eq!(wrong(&[("align", "yes")]), "parameter `align`: it is `true` or `false`");
        let both = wrong(&[("irregular", "true"), ("period", "1_s")]);
        assert!(both.contains("`irregular`") && both.contains("`period`"), "{both}");
        assert!(wrong(&[("period", "1_s"), ("period", "2_s")]).contains("`period`"));
    }
}
