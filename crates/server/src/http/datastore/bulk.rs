//! Many objects of one request: all of them are kept or none, unless the client says that wrong ones are to be left out.

use std::collections::HashMap;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Value, json};
use sheaf_db::RepositoryError;
use sheaf_db::datastore::{Change, OnError, Upserted};
use utoipa::{IntoParams, ToSchema};

use super::fields::Fields;
use super::refusals::{Errors, NO_FIELD, Refusal};
use crate::http::extract::{Json, Query};

/// The most objects of a request; a few hundred bytes each while they are kept in memory.
pub(crate) const MOST_OBJECTS: usize = 1_000_000;

/// The most wrong objects that an answer has; of all others it says how many there are.
const MOST_SHOWN: usize = 100;

/// What answers to a request with an object, or with a list of them. It describes answers; they are written row by row.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) enum OneOrMany<T: ToSchema> {
    /// As a single object came.
    One(T),
    /// In the order of the request.
    Many(Vec<T>),
}

/// What is wrong with some of many objects.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wrong {
    count: usize,
    /// The first of them, by their places in the request, from 0.
    first: Vec<(usize, Errors)>,
}

impl Wrong {
    pub(crate) fn add(&mut self, index: usize, errors: Errors) {
        self.count += 1;
        if self.first.len() < MOST_SHOWN {
            self.first.push((index, errors));
        }
    }

    fn rows(mut self) -> Value {
        self.first.sort_by_key(|(index, _)| *index);
        let row = |(index, errors): (usize, Errors)| json!({ "row": index, "errors": errors.into_value() });
        self.first.into_iter().map(row).collect()
    }
}

/// Objects that were read, with their places in the request.
#[derive(Debug)]
pub(crate) struct Parsed<T> {
    /// Whether they came as a list, and not as a single one.
    pub(crate) is_list: bool,
    /// What happens with wrong ones.
    on_error: OnError,
    pub(crate) rows: Vec<(usize, T)>,
    pub(crate) wrong: Wrong,
}

impl<T> Parsed<T> {
    /// None so far.
    pub(crate) fn new(on_error: OnError) -> Parsed<T> {
        Parsed { is_list: true, on_error, rows: Vec::new(), wrong: Wrong::default() }
    }

    /// How many there were.
    pub(crate) fn count(&self) -> usize {
        self.rows.len() + self.wrong.count
    }

    /// The same as something else, or wrong.
    pub(crate) fn try_map<U>(self, mut map: impl FnMut(T) -> Result<U, Errors>) -> Parsed<U> {
        let rows = Vec::with_capacity(self.rows.len());
        let mut mapped = Parsed { is_list: self.is_list, on_error: self.on_error, rows, wrong: self.wrong };
        for (index, row) in self.rows {
            match map(row) {
                Ok(row) => mapped.rows.push((index, row)),
                Err(errors) => mapped.wrong.add(index, errors),
            }
        }
        mapped
    }

    /// The objects, if there are no others, or those may be left out.
    pub(crate) fn accepted(self) -> Result<Parsed<T>, Refusal> {
        match self.refusal(self.count()) {
            Some(refusal) => Err(refusal),
            None => Ok(self),
        }
    }

    /// Keeps them, by a change that answers for each of them.
    pub(crate) async fn upsert(
        self,
        change: impl AsyncFnOnce(Vec<T>, OnError) -> Result<Vec<Result<Upserted, RepositoryError>>, Refusal>,
    ) -> Result<Done, Refusal> {
        let count = self.count();
        let mut parsed = self.accepted()?;
        let (places, rows): (Vec<usize>, Vec<T>) = std::mem::take(&mut parsed.rows).into_iter().unzip();
        let mut upserted = Vec::with_capacity(rows.len());
        for (place, answer) in places.into_iter().zip(change(rows, parsed.on_error).await?) {
            match answer {
                Ok(row) => upserted.push(row),
                Err(error) => parsed.wrong.add(place, Errors::of_row(error)?),
            }
        }
        match parsed.refusal(count) {
            Some(refusal) => Err(refusal),
            None => Ok(Done { is_list: parsed.is_list, upserted, wrong: parsed.wrong }),
        }
    }

    /// The answer if wrong objects must not be left out, and there are any among so many.
    fn refusal(&self, count: usize) -> Option<Refusal> {
        let wrong = &self.wrong;
        if wrong.count == 0 {
            return None;
        }
        if !self.is_list
            && let Some((_, errors)) = wrong.first.first()
        {
            return Some(errors.clone().into());
        }
        (self.on_error == OnError::Refuse).then(|| {
            let text = format!(
                "{} of {count} objects are wrong, so nothing was written; the parameter on_error=skip leaves them out.",
                wrong.count
            );
            Refusal::Fields(json!({ NO_FIELD: [text], "rows": wrong.clone().rows() }))
        })
    }
}

/// What became of many objects.
#[derive(Debug)]
pub(crate) struct Done {
    is_list: bool,
    /// Of those that were right, in their order.
    pub(crate) upserted: Vec<Upserted>,
    wrong: Wrong,
}

impl Done {
    /// The ids of those that were right.
    pub(crate) fn ids(&self) -> Vec<i64> {
        self.upserted.iter().map(|row| row.id).collect()
    }

    /// How many became what.
    pub(crate) fn summary(self) -> Response {
        let number = |change| self.upserted.iter().filter(|row| row.change == change).count();
        let summary = json!({
            "created": number(Change::Created),
            "updated": number(Change::Updated),
            "unchanged": number(Change::Unchanged),
        });
        report(StatusCode::OK, summary, self.wrong)
    }

    /// The objects as they are now, in the order of the request; wrong ones are told with them.
    pub(crate) fn verbose<R: Serialize>(self, rows: &HashMap<i64, R>) -> Response {
        let objects: Vec<&R> = self.upserted.iter().filter_map(|row| rows.get(&row.id)).collect();
        report(StatusCode::CREATED, objects, self.wrong)
    }

    /// The one object that was sent as such, or all of them.
    pub(crate) fn one_or_all<R: Serialize>(self, rows: &HashMap<i64, R>) -> Response {
        match self.upserted.first().and_then(|row| rows.get(&row.id)) {
            Some(row) if !self.is_list => (StatusCode::CREATED, Json(row)).into_response(),
            _ => self.verbose(rows),
        }
    }
}

/// The answer to many objects; with 207 and what is wrong with the others if some were left out.
pub(crate) fn report(status: StatusCode, results: impl Serialize, wrong: Wrong) -> Response {
    if wrong.count == 0 {
        return (status, Json(results)).into_response();
    }
    #[derive(Serialize)]
    struct Part<T> {
        results: T,
        skipped: usize,
        rows: Value,
    }
    let part = Part { results, skipped: wrong.count, rows: wrong.rows() };
    (StatusCode::MULTI_STATUS, Json(part)).into_response()
}

/// The parameter of requests with many objects, for the OpenAPI document.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described")]
pub(crate) struct OnWrong {
    /// refuse (default) or skip: what happens if some are wrong.
    on_error: Option<String>,
}

/// What happens with wrong objects.
pub(crate) fn on_error(Query(parameters): Query<Vec<(String, String)>>) -> Result<OnError, Errors> {
    let mut fields = Fields::of_query(parameters);
    let word = |word: &str| match word {
        "refuse" => Some(OnError::Refuse),
        "skip" => Some(OnError::Skip),
        _ => None,
    };
    let on_error = fields.choice("on_error", word, "refuse and skip");
    fields.done()?;
    Ok(on_error.flatten().unwrap_or(OnError::Refuse))
}
