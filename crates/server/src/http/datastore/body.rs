//! Bodies: one object, or many that are read one after the other, so that their text is never in memory as a whole.

use std::convert::Infallible;
use std::fmt;
use std::io::{BufReader, Read};

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_TYPE, EXPECT};
use serde::de::{Deserializer as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Deserializer, Map, Value};
use sheaf_db::datastore::OnError;
use sheaf_sources::{Input, SourceError, read_texts};

use super::bulk::{Parsed, on_error};
use super::fields::Fields;
use super::refusals::{Errors, NO_FIELD, Refusal};
use crate::data::blocking;
use crate::http::api::ingest::{encoding_of, refused};
use crate::http::app::{App, Shared};
use crate::http::auth::Caller;
use crate::http::body::{Incoming, forget};
use crate::http::errors::{ApiError, too_large_body};
use crate::http::extract::Query;

/// A body with one object, of somebody who has signed in; none at all is one without fields.
pub(crate) struct Object(pub(crate) Fields);

impl FromRequest<Shared> for Object {
    type Rejection = Refusal;

    async fn from_request(request: Request, app: &Shared) -> Result<Object, Refusal> {
        let (mut parts, body) = request.into_parts();
        Caller::from_request_parts(&mut parts, app).await?.require_user()?;
        if check_kind(&parts.headers)? == Kind::Csv {
            return Err(ApiError::unsupported("a single object is application/json".to_owned()).into());
        }
        let request = Request::from_parts(parts, body);
        let bytes =
            Bytes::from_request(request, app).await.map_err(|rejection| match rejection.status() {
                axum::http::StatusCode::PAYLOAD_TOO_LARGE => too_large_body(),
                status => ApiError::new(status, rejection.body_text()),
            })?;
        let value = match bytes.is_empty() {
            true => Value::Object(Map::new()),
            false => serde_json::from_slice(&bytes).map_err(|error| no_json(&error))?,
        };
        Ok(Object(Fields::new(value)?))
    }
}

/// Whether a body is JSON, or lines of it; what does not say what it is counts as JSON.
fn check_kind(headers: &HeaderMap) -> Result<Kind, Refusal> {
    let kind = headers.get(CONTENT_TYPE).map_or("", |kind| kind.to_str().unwrap_or("?"));
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match kind.as_str() {
        "" | "application/json" | "text/json" => Ok(Kind::Json),
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Ok(Kind::Lines),
        "text/csv" => Ok(Kind::Csv),
        _ => {
            let text = format!(
                "header `Content-Type`: {:?} can't be read here; send application/json, or application/x-ndjson or text/csv for many objects",
                kind.chars().take(100).collect::<String>()
            );
            Err(ApiError::unsupported(text).into())
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Json,
    Lines,
    /// Titles are names of fields; an empty cell is null.
    Csv,
}

fn no_json(error: &serde_json::Error) -> Errors {
    Errors::one(NO_FIELD, format!("JSON parse error - {error}. JSON has no NaN: a missing value is null."))
}

/// A body with many objects, or one; it is read once it is known that they may be written.
pub(crate) struct Upload {
    headers: HeaderMap,
    body: Body,
    on_error: Result<OnError, Refusal>,
}

impl FromRequest<Shared> for Upload {
    type Rejection = Infallible;

    async fn from_request(request: Request, app: &Shared) -> Result<Upload, Infallible> {
        let (mut parts, body) = request.into_parts();
        let on_error = match Query::from_request_parts(&mut parts, app).await {
            Ok(query) => on_error(query).map_err(Refusal::from),
            Err(error) => Err(error.into()),
        };
        Ok(Upload { headers: parts.headers, body, on_error })
    }
}

impl Upload {
    /// Reads the objects, if the caller `may` write any.
    ///
    /// # Errors
    /// The caller may not; the body is too large or no JSON, or has more than `most` objects. What is wrong with single ones is in
    /// the answer.
    pub(crate) async fn read<T: Send + 'static>(
        self,
        app: &App,
        may: Result<(), Refusal>,
        most: usize,
        read: fn(Fields) -> Result<T, Errors>,
    ) -> Result<Parsed<T>, Refusal> {
        let Upload { headers, body, on_error } = self;
        let wanted = || {
            may?;
            Ok::<_, Refusal>((on_error?, check_kind(&headers)?, encoding_of(&headers)?))
        };
        let (on_error, kind, encoding) = match wanted() {
            Ok(wanted) => wanted,
            Err(refusal) => {
                // Who waits for a word before sending it needs none.
                if !headers.contains_key(EXPECT) {
                    forget(body).await;
                }
                return Err(refusal);
            }
        };
        let limits = &app.settings.limits;
        let incoming = Incoming::new(body, limits.upload_bytes, limits.stall, None);
        let packed = incoming.clone();
        let parsed = blocking(move || {
            let reader = packed.reader(encoding).map_err(|error| Errors::one(NO_FIELD, error))?;
            let rows = Rows { parsed: Parsed::new(on_error), most, is_table: kind == Kind::Csv, read };
            objects(kind, BufReader::with_capacity(1 << 16, reader), rows)
        })
        .await
        .map_err(ApiError::from)?;
        match parsed {
            Ok(parsed) => Ok(parsed),
            Err(errors) => {
                incoming.give_up().await;
                Err(match incoming.problem() {
                    Some(problem) => refused(app, problem).into(),
                    None => errors.into(),
                })
            }
        }
    }
}

fn objects<T>(
    kind: Kind,
    reader: impl Read + Send + 'static,
    mut rows: Rows<T>,
) -> Result<Parsed<T>, Errors> {
    match kind {
        Kind::Json => {
            let mut json = Deserializer::from_reader(reader);
            let is_read = (&mut json).deserialize_any(&mut rows).and_then(|()| json.end());
            is_read.map_err(|error| no_json(&error))?;
        }
        Kind::Lines => {
            for value in Deserializer::from_reader(reader).into_iter::<Value>() {
                rows.push(value.map_err(|error| no_json(&error))?)
                    .map_err(|problem| Errors::one(NO_FIELD, problem))?;
            }
        }
        Kind::Csv => {
            let failed = |error: SourceError| Errors::one(NO_FIELD, error);
            for row in read_texts(Input::reader("the body", reader)).map_err(failed)? {
                match row {
                    Ok(row) => {
                        let cell = |(name, text): (String, Option<String>)| {
                            (name, text.map_or(Value::Null, Value::String))
                        };
                        let object = Value::Object(row.cells.into_iter().map(cell).collect());
                        rows.push(object).map_err(|problem| Errors::one(NO_FIELD, problem))?;
                    }
                    Err(SourceError::Row(error)) if !error.problem.is_fatal() => {
                        let index = rows.parsed.count();
                        rows.parsed.wrong.add(index, Errors::one(NO_FIELD, error));
                    }
                    Err(error) => return Err(failed(error)),
                }
            }
        }
    }
    Ok(rows.parsed)
}

/// What was read so far.
struct Rows<T> {
    parsed: Parsed<T>,
    most: usize,
    /// Whether empty cells stand for what is not there.
    is_table: bool,
    read: fn(Fields) -> Result<T, Errors>,
}

impl<T> Rows<T> {
    fn push(&mut self, value: Value) -> Result<(), String> {
        let index = self.parsed.count();
        if index == self.most {
            return Err(format!(
                "a request has at most {} objects; send the others with another one",
                self.most
            ));
        }
        match Fields::new(value).map(|fields| fields.of_a_table(self.is_table)).and_then(self.read) {
            Ok(row) => self.parsed.rows.push((index, row)),
            Err(errors) => self.parsed.wrong.add(index, errors),
        }
        Ok(())
    }
}

impl<'de, T> Visitor<'de> for &mut Rows<T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of objects, or an object")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(value) = list.next_element()? {
            self.push(value).map_err(serde::de::Error::custom)?;
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        let mut values = Map::new();
        while let Some((name, value)) = object.next_entry()? {
            values.insert(name, value);
        }
        self.parsed.is_list = false;
        self.push(Value::Object(values)).map_err(serde::de::Error::custom)
    }
}
