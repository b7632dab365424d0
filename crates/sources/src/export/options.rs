//! The writers: their names and options, as clients choose them and as they are described to clients.

use serde_json::{Map, Value, json};

use super::csv::{NexusCsv, RowIndex};
use super::{CatalogFormat, ExportFormat};
use crate::write::ArrowContainer;

/// The most figures that are written; .NET's own limit is far beyond, and no double has more than 17 that count.
const MOST_FIGURES: i64 = 30;

const ROW_INDEX: &str = "row-index-format";
const FIGURES: &str = "significant-figures";
const CONTAINER: &str = "container";

/// A writer, as clients show it to their users.
#[derive(Clone, Debug, PartialEq)]
pub struct WriterDescription {
    /// The name that it is chosen by.
    pub kind: &'static str,
    /// What it writes.
    pub label: &'static str,
    /// What that is good for.
    pub description: &'static str,
    /// Its options, each with type, label, default and legal values.
    pub options: Value,
}

const CSV: &str = "Nexus.Writers.Csv";
const HDF5: &str = "Nexus.Writers.Hdf5";
const PARQUET: &str = "Sheaf.Writers.Parquet";
const ARROW: &str = "Sheaf.Writers.Arrow";
const JSON: &str = "Sheaf.Writers.Json";

/// All writers, by label.
pub fn writer_descriptions() -> Vec<WriterDescription> {
    let index_label = |index: RowIndex| match index {
        RowIndex::Excel => "Excel time",
        RowIndex::Number => "Index-based",
        RowIndex::Iso8601 => "ISO 8601",
        RowIndex::Unix => "Unix time",
    };
    let indices: Map<String, Value> =
        RowIndex::ALL.into_iter().map(|index| (index.key().to_owned(), index_label(index).into())).collect();
    vec![
        WriterDescription {
            kind: ARROW,
            label: "Apache Arrow (*.arrow)",
            description: "A column of times and one for each resource, as data frames read them without copying",
            options: json!({
                CONTAINER: {
                    "type": "select", "label": "Container", "default": "file",
                    "items": {"file": "File (*.arrow)", "stream": "Stream (*.arrows)"},
                },
            }),
        },
        WriterDescription {
            kind: PARQUET,
            label: "Apache Parquet (*.parquet)",
            description: "A column of times and one for each resource, small and quick to read",
            options: json!({}),
        },
        WriterDescription {
            kind: CSV,
            label: "CSV + Schema (*.csv)",
            description: "Comma-separated values following the frictionless data standard",
            options: json!({
                // What is chosen for the user who chooses nothing in a form; without a form it is the index.
                ROW_INDEX: {
                    "type": "select", "label": "Row index format", "default": RowIndex::Excel.key(),
                    "items": indices,
                },
                FIGURES: {
                    "type": "input-integer", "label": "Significant figures", "default": 4,
                    "minimum": 0, "maximum": MOST_FIGURES,
                },
            }),
        },
        WriterDescription {
            kind: HDF5,
            label: "HDF5 1.10 (*.h5)",
            description: "All catalogs in one file, with a group for each catalog and resource",
            options: json!({}),
        },
        WriterDescription {
            kind: JSON,
            label: "JSON lines (*.jsonl)",
            description: "An object for each time, with all digits of the values",
            options: json!({}),
        },
    ]
}

/// A writer can't be used as asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// There is no such writer.
    #[error("there is no writer `{}`; allowed: {}", kind.escape_debug(), kinds())]
    Writer {
        /// What was asked for.
        kind: String,
    },
    /// Options that are none.
    #[error(
        "the options of a writer are a JSON object, like {{\"significant-figures\": \"4\"}}, and not {found}"
    )]
    NoObject {
        /// What kind of value it is.
        found: &'static str,
    },
    /// The writer has no such option.
    #[error(
        "the writer `{kind}` has no option `{}`; {}", option.escape_debug(),
        if allowed.is_empty() { "it has none".to_owned() } else { format!("allowed: {allowed}") }
    )]
    Option {
        /// The writer.
        kind: &'static str,
        /// The option.
        option: String,
        /// Those that it has.
        allowed: String,
    },
    /// The option can't have that value.
    #[error("the option `{option}` of the writer `{kind}` can't be `{}`; allowed: {allowed}", found.escape_debug())]
    Value {
        /// The writer.
        kind: &'static str,
        /// The option.
        option: &'static str,
        /// The value.
        found: String,
        /// What it can be.
        allowed: String,
    },
}

fn kinds() -> String {
    let kinds: Vec<_> = writer_descriptions().iter().map(|writer| format!("`{}`", writer.kind)).collect();
    kinds.join(", ")
}

pub(super) fn parse(kind: &str, options: &Value) -> Result<ExportFormat, ExportError> {
    let empty = Map::new();
    let options = match options {
        Value::Null => &empty,
        Value::Object(options) => options,
        other => return Err(ExportError::NoObject { found: name_of(other) }),
    };
    let per_catalog = match kind {
        CSV => {
            let options = Options::new(CSV, options, &[ROW_INDEX, FIGURES])?;
            let default = NexusCsv::default();
            let row_index = options.select(ROW_INDEX, RowIndex::ALL.map(|index| (index.key(), index)))?;
            let figures = options.integer(FIGURES)?.map(|figures| figures.clamp(0, MOST_FIGURES) as u8);
            CatalogFormat::NexusCsv(NexusCsv {
                row_index: row_index.unwrap_or(default.row_index),
                significant_figures: figures.unwrap_or(default.significant_figures),
            })
        }
        PARQUET => {
            Options::new(PARQUET, options, &[])?;
            CatalogFormat::Parquet
        }
        ARROW => {
            let options = Options::new(ARROW, options, &[CONTAINER])?;
            let containers = [("file", ArrowContainer::File), ("stream", ArrowContainer::Stream)];
            CatalogFormat::Arrow(options.select(CONTAINER, containers)?.unwrap_or_default())
        }
        JSON => {
            Options::new(JSON, options, &[])?;
            CatalogFormat::JsonLines
        }
        HDF5 => return Options::new(HDF5, options, &[]).map(|_| ExportFormat::Hdf5),
        _ => return Err(ExportError::Writer { kind: kind.to_owned() }),
    };
    Ok(ExportFormat::PerCatalog(per_catalog))
}

const fn name_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// The options that were given to a writer.
struct Options<'a> {
    kind: &'static str,
    given: &'a Map<String, Value>,
}

impl<'a> Options<'a> {
    fn new(
        kind: &'static str,
        given: &'a Map<String, Value>,
        allowed: &[&str],
    ) -> Result<Options<'a>, ExportError> {
        match given.keys().find(|option| !allowed.contains(&option.as_str())) {
            None => Ok(Options { kind, given }),
            Some(option) => {
                let allowed: Vec<_> = allowed.iter().map(|option| format!("`{option}`")).collect();
                Err(ExportError::Option { kind, option: option.clone(), allowed: allowed.join(", ") })
            }
        }
    }

    /// The value of an option, null being as good as none.
    fn value(&self, option: &str) -> Option<&'a Value> {
        self.given.get(option).filter(|value| !value.is_null())
    }

    fn wrong(&self, option: &'static str, found: &Value, allowed: impl Into<String>) -> ExportError {
        let found = found.as_str().map_or_else(|| found.to_string(), str::to_owned);
        ExportError::Value { kind: self.kind, option, found, allowed: allowed.into() }
    }

    fn select<T>(
        &self,
        option: &'static str,
        choices: impl IntoIterator<Item = (&'static str, T)> + Clone,
    ) -> Result<Option<T>, ExportError> {
        let Some(value) = self.value(option) else { return Ok(None) };
        let chosen = choices.clone().into_iter().find(|(key, _)| value.as_str() == Some(key));
        match chosen {
            Some((_, chosen)) => Ok(Some(chosen)),
            None => {
                let keys: Vec<_> = choices.into_iter().map(|(key, _)| format!("`{key}`")).collect();
                Err(self.wrong(option, value, keys.join(", ")))
            }
        }
    }

    /// An integer, as clients of Nexus write it, in a text, or as a number.
    fn integer(&self, option: &'static str) -> Result<Option<i64>, ExportError> {
        let Some(value) = self.value(option) else { return Ok(None) };
        let number = match value {
            Value::String(text) => text.trim().parse().ok(),
            value => value.as_i64(),
        };
        number.map(Some).ok_or_else(|| self.wrong(option, value, "an integer, like \"4\" or 4"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_as_texts_and_as_numbers() {
        let csv = |options| ExportFormat::new(CSV, &options);
        let expected = |row_index, significant_figures| {
            let csv = CatalogFormat::NexusCsv(NexusCsv { row_index, significant_figures });
            Ok(ExportFormat::PerCatalog(csv))
        };
        assert_eq!(csv(Value::Null), expected(RowIndex::Number, 4));
        assert_eq!(csv(json!({FIGURES: null, ROW_INDEX: null})), expected(RowIndex::Number, 4));
        assert_eq!(csv(json!({FIGURES: "7", ROW_INDEX: "excel"})), expected(RowIndex::Excel, 7));
        assert_eq!(csv(json!({FIGURES: 99})), expected(RowIndex::Number, 30));
        assert_eq!(csv(json!({FIGURES: "-3"})), expected(RowIndex::Number, 0));
        let arrow = ExportFormat::new(ARROW, &json!({CONTAINER: "stream"}));
        let expected = CatalogFormat::Arrow(ArrowContainer::Stream);
        assert_eq!(arrow, Ok(ExportFormat::PerCatalog(expected)));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let error = |kind: &str, options| ExportFormat::new(kind, &options).unwrap_err().to_string();
        assert!(
            error("Nexus.Writers.Mat73", json!({})).contains("`Nexus.Writers.Csv`, `Nexus.Writers.Hdf5`")
        );
        assert_eq!(
            error(CSV, json!({FIGURES: "four"})),
            "the option `significant-figures` of the writer `Nexus.Writers.Csv` can't be `four`; \
             allowed: an integer, like \"4\" or 4"
        );
        assert!(error(CSV, json!({FIGURES: 4.5})).contains("can't be `4.5`"));
        assert!(error(CSV, json!({ROW_INDEX: "iso"})).contains("`excel`, `index`, `iso-8601`, `unix`"));
        assert!(error(CSV, json!({"figures": "4"})).contains("no option `figures`"));
        assert!(error(PARQUET, json!({FIGURES: "4"})).ends_with("it has none"));
        assert!(error(CSV, json!([])).contains("not an array"));
    }

    #[test]
    fn every_writer_that_is_described_can_be_chosen() {
        let descriptions = writer_descriptions();
        assert!(descriptions.is_sorted_by_key(|writer| writer.label));
        for writer in descriptions {
            let options = writer.options.as_object().unwrap();
            let defaults: Map<String, Value> = options
                .iter()
                .map(|(option, description)| (option.clone(), description["default"].clone()))
                .collect();
            ExportFormat::new(writer.kind, &Value::Object(defaults)).unwrap();
        }
    }
}
