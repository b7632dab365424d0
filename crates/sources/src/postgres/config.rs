//! The settings of a query on a database, as they are stored.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sheaf_model::{ResourceId, SamplePeriod};

use crate::secret::Secret;

/// A query on a PostgreSQL database.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PostgresConfig {
    /// Where the database is: `postgres://reader@db.example.org/plant`. Without the password.
    pub url: String,
    /// The password of the user in the URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// The query. It may use the begin of a range as `$1` and its end as `$2`, of type `timestamptz`; see
    /// [`PostgresSource`](crate::PostgresSource).
    pub query: String,
    /// The column of times; the only one of a type for them, if it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_column: Option<String>,
    /// The column that names the series of a row; without it, each column of values is a series.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series_column: Option<String>,
    /// The columns of values: all of numbers, if they are not said. With a column of series there is one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub value_columns: Vec<String>,
    /// The names in the column of series; all that the database finds, if they are not said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub series: Vec<String>,
    /// The distance from row to row.
    pub period: SamplePeriod,
    /// How long after multiples of the period rows are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<SamplePeriod>,
    /// Units of resources.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub units: BTreeMap<ResourceId, String>,
    /// The zone of times without one: UTC, if it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// A query whose rows are the same only as long as the data from `$1` to `$2` are, such as a count and the time of the last
    /// change. Without it, data are taken as changed each `ttl`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision_query: Option<String>,
    /// For how long data are taken as unchanged, once they were looked at; five minutes by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<SamplePeriod>,
    /// For how long a statement may run; a minute by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<SamplePeriod>,
}

/// A JSON schema of the settings but for the URL: properties, and which of them have to be there.
pub(crate) fn schema() -> (Value, Value) {
    let text = |description: &str| json!({"type": "string", "description": description});
    let texts =
        |description: &str| json!({"type": "array", "items": {"type": "string"}, "description": description});
    let properties = json!({
        "password": text("The password of the user in the URL"),
        "query": text("A SELECT that may use the begin of a range as $1 and its end as $2"),
        "time_column": text("The column of times"),
        "series_column": text("The column that names the series of a row; without it, each column of values is a series"),
        "value_columns": texts("The columns of values; all of numbers, if they are not said"),
        "series": texts("The names in the column of series; all that the database finds, if they are not said"),
        "period": text("The distance from row to row, like 10_min"),
        "phase": text("How long after multiples of the period rows are"),
        "units": {
            "type": "object",
            "description": "Units of resources",
            "additionalProperties": {"type": "string"},
        },
        "time_zone": text("The zone of times without one: UTC, +01:00 or Europe/Berlin"),
        "revision_query": text("A SELECT whose rows are the same only as long as the data from $1 to $2 are"),
        "ttl": text("For how long data are taken as unchanged, like 5_min"),
        "timeout": text("For how long a statement may run, like 60_s"),
    });
    (properties, json!(["query", "period"]))
}
