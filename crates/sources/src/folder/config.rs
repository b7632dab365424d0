//! The settings of a folder, as they are stored.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sheaf_model::{DataType, ResourceId, SamplePeriod};

use crate::open::{TableFormat, TableOptions};

/// A folder with tables.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FolderConfig {
    /// The folder.
    pub root: PathBuf,
    /// Which files in it, see [`FolderSource`](crate::FolderSource).
    pub template: String,
    /// How they are written.
    #[serde(default)]
    pub table: TableOptions,
    /// How far rows may lie outside of what the names of their files say: a day's file that has the midnight at its end, too.
    /// Files next to a range are read along then. None by default, because each file is read once more for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin: Option<SamplePeriod>,
    /// Types of series, INT64 or FLOAT64, where the files that are looked at first are not like the others.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub data_types: BTreeMap<ResourceId, DataType>,
}

/// A JSON schema of the settings but for the folder itself: properties, and which of them have to be there.
pub(crate) fn schema() -> (Value, Value) {
    let text = |description: &str| json!({"type": "string", "description": description});
    let column = |description: &str| json!({"type": ["string", "integer"], "description": description});
    let columns = |description: &str| json!({"type": "array", "items": {"type": ["string", "integer"]}, "description": description});
    let one_of = |values: &[&str], description: &str| json!({"enum": values, "description": description});
    let csv = json!({
        "delimiter": text("The character between fields"),
        "decimal": one_of(&[".", ","], "The decimal separator"),
        "header": {"description": "Where the titles are: \"auto\", \"none\", or {\"line\": N} from 1"},
        "comments": {"description": "Which lines are comments: \"auto\" (#), \"none\", or {\"prefix\": TEXT}"},
        "layout": one_of(&["wide", "long"], "A column for each series, or one that names them and one of values"),
        "time_column": column("The column of times, by title or by number from 1"),
        "clock_column": column("The column of times of day, where they stand apart"),
        "series_column": column("The column that names the series of a row in a long table"),
        "value_columns": columns("The columns of values; all others are left out"),
        "ignored_columns": columns("Columns to leave out"),
        "time_format": text("auto, iso, unix_s, unix_ms, unix_us, unix_ns, excel, index, or one like %d.%m.%Y %H:%M"),
        "time_zone": text("The zone of times without an offset: UTC, +01:00 or Europe/Berlin"),
        "missing": {"type": "array", "items": {"type": "string"}, "description": "Words for a missing value"},
        "flags": {"type": "boolean", "description": "Whether true and false are the numbers 1 and 0"},
        "begin": text("The time of row 0, where times are row counts"),
        "period": text("The period of the rows, like 10_min"),
        "on_error": one_of(&["refuse", "skip"], "What happens at a row that can't be read"),
    });
    let table = json!({
        "format": one_of(&TableFormat::ALL.map(TableFormat::name), "The kind of file; recognized if it is not said"),
        "csv": {
            "type": "object",
            "description": "How a table is written; what is not said is recognized",
            "properties": csv,
            "additionalProperties": false,
        },
    });
    let properties = json!({
        "template": text("Which files, as a path below the folder: * ? ** {yyyy} {MM} {dd} {DDD} {HH} {mm}"),
        "table": {
            "type": "object",
            "description": "How the files are written; what is not said is recognized",
            "properties": table,
            "additionalProperties": false,
        },
        "margin": text("How far rows may lie outside of what the names of their files say, like 1_min"),
        "data_types": {
            "type": "object",
            "description": "Types of resources, where the files that are looked at first are not like the others",
            "additionalProperties": {"enum": ["INT64", "FLOAT64"]},
        },
    });
    (properties, json!(["template"]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::csv::CsvOptions;

    #[test]
    fn the_schema_has_all_options_of_tables() {
        let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        let (properties, _) = schema();
        let options = serde_json::to_value(CsvOptions { flags: true, ..CsvOptions::default() }).unwrap();
        let table = &properties["table"]["properties"];
        assert_eq!(names(&table["csv"]["properties"]), names(&options));
        assert_eq!(names(table), ["format", "csv"]);
    }
}
