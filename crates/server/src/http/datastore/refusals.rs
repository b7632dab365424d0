//! What is wrong with a request, as Django REST framework says it: an object with a list of messages for each field, or
//! `{"detail": …}` where no field is to blame.

use std::fmt::Display;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use sheaf_db::RepositoryError;
use sheaf_metering::records::RecordsError;
use sheaf_metering::render::RenderError;
use sheaf_metering::weather::WeatherError;
use sheaf_store::{StoreError, in_full};
use utoipa::IntoResponses;
use utoipa::openapi::{ContentBuilder, ObjectBuilder, RefOr, Response as Described, ResponseBuilder};

use crate::http::errors::ApiError;
use crate::http::extract::Json;
use crate::loading::LoadError;

/// Where messages stand that are about no field, or about several.
pub(crate) const NO_FIELD: &str = "non_field_errors";

/// What is wrong with an object: messages by field.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Errors(Map<String, Value>);

impl Errors {
    pub(crate) fn one(field: &str, message: impl Display) -> Errors {
        let mut errors = Errors::default();
        errors.add(field, message);
        errors
    }

    pub(crate) fn add(&mut self, field: &str, message: impl Display) {
        let messages = self.0.entry(field).or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(messages) = messages {
            messages.push(message.to_string().into());
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many messages there are about a field.
    pub(crate) fn count(&self, field: &str) -> usize {
        self.0.get(field).and_then(Value::as_array).map_or(0, Vec::len)
    }

    /// All messages about a field in one line, for each of them.
    pub(crate) fn messages(&self) -> impl Iterator<Item = (&str, String)> {
        self.0.iter().map(|(field, messages)| {
            let words = messages.as_array().into_iter().flatten().filter_map(Value::as_str);
            (field.as_str(), words.collect::<Vec<_>>().join(" "))
        })
    }

    pub(crate) fn into_value(self) -> Value {
        Value::Object(self.0)
    }

    /// What the database finds wrong with an object; other errors are not the object's.
    pub(crate) fn of_row(error: RepositoryError) -> Result<Errors, ApiError> {
        match error {
            RepositoryError::Exists { what, field, .. } => {
                let words = field.replace('_', " ");
                Ok(Errors::one(field, format!("{what} with this {words} already exists.")))
            }
            RepositoryError::Missing { what, value } => {
                let field = if what == "project owner" {
                    "project_owner_id".to_owned()
                } else {
                    format!("{what}_id")
                };
                Ok(Errors::one(&field, no_such(&value)))
            }
            RepositoryError::Invalid { name, problem } => Ok(Errors::one(&name, problem)),
            error => Err(error.into()),
        }
    }
}

/// What a reference to an object says that is not there.
pub(crate) fn no_such(pk: impl Display) -> String {
    format!("Invalid pk \"{pk}\" - object does not exist.")
}

/// Why a request is refused.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// 400: fields are wrong.
    Fields(Value),
    Other(ApiError),
}

impl Refusal {
    /// 404.
    pub(crate) fn not_found() -> Refusal {
        Refusal::Other(ApiError::not_found("Not found."))
    }

    /// 404 for an input or an output that there is not, or not yet.
    pub(crate) fn none_yet() -> Refusal {
        Refusal::Other(ApiError::not_found("The run has not come so far that it has one."))
    }

    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Refusal::Other(error) if error.status() == StatusCode::NOT_FOUND)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Refusal::Fields(errors) => (StatusCode::BAD_REQUEST, Json(errors)).into_response(),
            Refusal::Other(error) => error.into_response(),
        }
    }
}

impl From<Errors> for Refusal {
    fn from(errors: Errors) -> Refusal {
        Refusal::Fields(errors.into_value())
    }
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Refusal {
        Refusal::Other(error)
    }
}

impl From<RepositoryError> for Refusal {
    fn from(error: RepositoryError) -> Refusal {
        match Errors::of_row(error) {
            Ok(errors) => errors.into(),
            Err(error) => error.into(),
        }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Refusal {
        Refusal::Other(error.into())
    }
}

impl From<RecordsError> for Refusal {
    fn from(error: RecordsError) -> Refusal {
        match error {
            RecordsError::Store(error) => error.into(),
            RecordsError::Value { .. } => Errors::one("value", error).into(),
            error => Refusal::Other(ApiError::internal("the records can't be kept", &error)),
        }
    }
}

impl From<LoadError> for Refusal {
    fn from(error: LoadError) -> Refusal {
        match error {
            LoadError::Records(error) => error.into(),
            LoadError::Repository(error) => error.into(),
            LoadError::Store(error) | LoadError::Weather(WeatherError::Store(error)) => error.into(),
            LoadError::Source(error) => Errors::one(NO_FIELD, in_full(&error)).into(),
            LoadError::Weather(error @ WeatherError::Station { .. }) => Errors::one("station", error).into(),
            LoadError::Weather(error @ WeatherError::Empty) => Errors::one(NO_FIELD, error).into(),
            LoadError::Refused(loaded) => {
                let text = LoadError::Refused(loaded.clone()).to_string();
                Refusal::Fields(json!({ NO_FIELD: [text], "rows": loaded.wrong.rows }))
            }
            error => ApiError::internal("loading failed", &error).into(),
        }
    }
}

impl From<RenderError> for Refusal {
    fn from(error: RenderError) -> Refusal {
        match error {
            RenderError::None => Refusal::none_yet(),
            RenderError::Gone { .. } => ApiError::new(StatusCode::GONE, error).into(),
            RenderError::Records(error) => error.into(),
            error => ApiError::internal("an input or an output can't be shown", &error).into(),
        }
    }
}

/// An error of what all routes share, in the form of this family. It answers 400 where others answer 422.
pub(in crate::http) fn in_words_of_ours(status: StatusCode, text: &str) -> (StatusCode, Value) {
    match status {
        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => {
            (StatusCode::BAD_REQUEST, Errors::one(NO_FIELD, text).into_value())
        }
        status => (status, json!({ "detail": text })),
    }
}

/// The answers that every route of this family may give, for the OpenAPI document.
pub(crate) struct Refusals;

impl IntoResponses for Refusals {
    fn responses() -> std::collections::BTreeMap<String, RefOr<Described>> {
        let of = |(status, description): (&str, &str)| {
            let content = ContentBuilder::new().schema(Some(ObjectBuilder::new().build())).build();
            let response =
                ResponseBuilder::new().description(description).content("application/json", content);
            (status.to_owned(), RefOr::T(response.build()))
        };
        [
            ("400", "Fields or parameters are wrong: lists of messages by their names"),
            ("401", "Nobody has signed in"),
            ("403", "Whoever asks may not do that"),
            ("404", "There is no such object for whoever asks"),
            ("413", "The body is too large"),
            ("415", "The body is of a kind that can't be read"),
            ("503", "The server is at one of its limits, or ends"),
        ]
        .into_iter()
        .map(of)
        .collect()
    }
}
