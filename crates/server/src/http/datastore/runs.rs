//! What requests for meter runs and for aggregation runs have in common.

use axum::http::header::{HeaderMap, HeaderValue, LOCATION};
use serde::Serialize;
use serde_json::{Map, Value};
use sheaf_db::datastore::{Micros, Progress, RunStatus};
use utoipa::ToSchema;

use super::fields::Fields;
use super::refusals::Errors;
use super::times::of_row;
use crate::http::base_url::BaseUrl;
use crate::http::errors::ApiError;

/// The most wrong targets that an answer names.
pub(super) const MOST_SHOWN: usize = 100;

/// What is said about all runs of a request.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    /// Runs with a higher one come first.
    pub(super) priority: i64,
    /// What to call it.
    pub(super) label: Option<String>,
}

impl Wanted {
    pub(super) fn read(fields: &mut Fields) -> Wanted {
        let priority = fields.not_null("priority", Fields::integer).unwrap_or(0);
        if !(-1000..=1000).contains(&priority) {
            fields.fail("priority", format!("Ensure this value is from -1000 to 1000; it is {priority}."));
        }
        Wanted { priority, label: fields.text("label", 255).flatten() }
    }
}

/// JSON of a row.
pub(super) fn parsed(text: Option<String>) -> Option<Value> {
    serde_json::from_str(&text?).ok()
}

/// Settings of a model or a formatter: an object, or a text with one in it. What is wrong with them is said where they are
/// understood.
pub(super) fn kwargs(fields: &mut Fields, name: &str) -> Option<Value> {
    match fields.take(name)? {
        Value::Null => None,
        Value::String(text) => Some(serde_json::from_str(&text).unwrap_or(Value::String(text))),
        value => Some(value),
    }
}

/// Statuses, apart by commas: the words of runs and those of results.
pub(super) fn statuses(fields: &mut Fields) -> Vec<RunStatus> {
    let words = |text: &str| {
        let words = text.split([',', ' ', '+']).filter(|word| !word.is_empty());
        words.map(|word| word.to_ascii_uppercase().parse().ok()).collect::<Option<Vec<RunStatus>>>()
    };
    let right = "PENDING, RUNNING, SUCCESS, FAILED and CANCELLED";
    fields.choice("status", words, right).flatten().unwrap_or_default()
}

/// How many runs an answer to a request for many has.
pub(super) fn limit(query: Vec<(String, String)>) -> Result<Option<usize>, Errors> {
    let mut fields = Fields::of_query(query);
    let limit = fields.integer("limit").flatten();
    if limit.is_some_and(|limit| limit < 1) {
        fields.fail("limit", "Ensure this value is at least 1.");
    }
    fields.done()?;
    Ok(limit.and_then(|limit| usize::try_from(limit).ok()))
}

/// The objects of the list `targets`. What is wrong with them is in `fields`.
pub(super) fn targets<T>(
    fields: &mut Fields,
    most: usize,
    read: impl Fn(Fields) -> Result<T, Errors>,
) -> Option<Vec<T>> {
    let list = match fields.take("targets") {
        Some(Value::Array(list)) if list.len() <= most => list,
        Some(Value::Array(list)) => {
            fields.fail(
                "targets",
                format!("At most {most} targets are one request; there are {}.", list.len()),
            );
            return None;
        }
        Some(_) => {
            fields.fail("targets", "A list of objects is required.");
            return None;
        }
        None => {
            fields.fail("targets", "This field is required.");
            return None;
        }
    };
    let (mut targets, mut wrong) = (Vec::with_capacity(list.len()), 0);
    for (index, target) in list.into_iter().enumerate() {
        match Fields::new(target).and_then(&read) {
            Ok(target) => targets.push(target),
            Err(errors) => {
                for (field, messages) in errors.messages() {
                    fields.fail("targets", format!("targets[{index}].{field}: {messages}"));
                }
                wrong += 1;
                if wrong == MOST_SHOWN {
                    break;
                }
            }
        }
    }
    (wrong == 0).then_some(targets)
}

/// Ids in a list, or one alone; none if the field is missing.
pub(super) fn id_list(fields: &mut Fields, name: &str) -> Vec<i64> {
    let list = match fields.take(name) {
        None | Some(Value::Null) => return Vec::new(),
        Some(Value::Array(list)) => list,
        Some(one) => vec![one],
    };
    let mut ids = Vec::with_capacity(list.len());
    for value in list {
        let mut one =
            Fields::new(Value::Object(Map::from_iter([(name.to_owned(), value)]))).unwrap_or_default();
        match one.not_null(name, Fields::integer) {
            Some(id) => ids.push(id),
            None => {
                for (_, messages) in one.done().err().unwrap_or_default().messages() {
                    fields.fail(name, messages);
                }
                return Vec::new();
            }
        }
    }
    ids
}

/// Where what was asked for is followed.
pub(super) fn location(base: &BaseUrl, path: &str) -> HeaderMap {
    let url = HeaderValue::try_from(base.url(path));
    url.map(|url| HeaderMap::from_iter([(LOCATION, url)])).unwrap_or_default()
}

/// 409 for a run that has neither failed nor was cancelled.
pub(super) fn not_to_be_retried(id: i64, status: RunStatus) -> ApiError {
    ApiError::conflict(format!(
        "run {id} is {status}; only one that is FAILED or CANCELLED can be put back into the queue"
    ))
}

/// How far runs are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub(crate) struct ProgressRow {
    total: u64,
    pending: u64,
    running: u64,
    success: u64,
    failed: u64,
    cancelled: u64,
    /// From 0 to 1.
    progress: f64,
    /// When the first one was begun.
    started: Option<String>,
    /// When the last one ended; null until all have.
    finished: Option<String>,
    /// How many end in a second, since the first was begun.
    runs_per_second: Option<f64>,
    /// How long the others take at this rate.
    seconds_left: Option<f64>,
}

impl ProgressRow {
    pub(super) fn new(progress: &Progress, now: Micros) -> ProgressRow {
        let Progress { pending, running, success, failed, cancelled, first_started, last_finished } =
            *progress;
        let (ended, left) = (progress.ended(), progress.unended());
        let total = ended + left;
        let until = if left == 0 { last_finished } else { Some(now) };
        let seconds = first_started.zip(until).map(|(first, until)| (until.0 - first.0) as f64 / 1e6);
        let rate =
            seconds.filter(|seconds| *seconds > 0.0).map(|seconds| (success + failed) as f64 / seconds);
        ProgressRow {
            total,
            pending,
            running,
            success,
            failed,
            cancelled,
            progress: if total == 0 { 1.0 } else { ended as f64 / total as f64 },
            started: first_started.map(of_row),
            finished: last_finished.filter(|_| left == 0).map(of_row),
            runs_per_second: rate,
            seconds_left: rate.filter(|rate| *rate > 0.0).map(|rate| left as f64 / rate),
        }
    }

    /// How many have ended.
    pub(super) fn ended(&self) -> u64 {
        self.success + self.failed + self.cancelled
    }

    /// Whether nothing is left to be done.
    pub(super) fn has_ended(&self) -> bool {
        self.pending + self.running == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_says_how_long_it_takes() {
        let progress = Progress {
            pending: 30,
            running: 10,
            success: 15,
            failed: 5,
            cancelled: 40,
            first_started: Some(Micros(1_000_000)),
            last_finished: Some(Micros(10_000_000)),
        };
        let row = ProgressRow::new(&progress, Micros(11_000_000));
        assert_eq!((row.total, row.progress), (100, 0.6));
        // 20 in ten seconds; cancelled ones took no time.
        assert_eq!((row.runs_per_second, row.seconds_left), (Some(2.0), Some(20.0)));
        assert_eq!((row.finished.as_deref(), row.has_ended()), (None, false));
        let ended = ProgressRow::new(&Progress { pending: 0, running: 0, ..progress }, Micros(99_000_000));
        assert_eq!((ended.progress, ended.has_ended()), (1.0, true));
        assert_eq!(ended.finished.as_deref(), Some("1970-01-01T00:00:10.000000Z"));
        assert_eq!(ProgressRow::new(&Progress::default(), Micros(0)).progress, 1.0);
    }
}
