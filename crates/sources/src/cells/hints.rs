//! What data frames keep beside their columns: which one is the index, and which units they have.

use std::collections::HashMap;

use serde_json::Value;

/// What is known of columns by their titles.
#[derive(Debug, Default)]
pub(crate) struct Hints {
    /// The columns of the index, the first ones first.
    pub(crate) index: Vec<String>,
    pub(crate) units: HashMap<String, String>,
}

impl Hints {
    /// What pandas writes under `pandas`: the columns of the index, and types like `pint[degC]`; and under `PANDAS_ATTRS`, the
    /// attributes of a data frame: `{"units": {"T1": "°C"}}`. Whatever can't be read says nothing.
    pub(crate) fn of_data_frame(pandas: Option<&str>, attributes: Option<&str>) -> Hints {
        let mut hints = Hints::default();
        let json = |text: &str| serde_json::from_str::<Value>(text).ok();
        if let Some(pandas) = pandas.and_then(json) {
            hints.read_pandas(&pandas);
        }
        if let Some(attributes) = attributes.and_then(json) {
            for units in ["unit", "units"].iter().filter_map(|key| attributes[*key].as_object()) {
                for (column, unit) in units {
                    hints.add_unit(column, unit.as_str().unwrap_or_default());
                }
            }
        }
        hints
    }

    fn read_pandas(&mut self, pandas: &Value) {
        let index = pandas["index_columns"].as_array().into_iter().flatten();
        // A description instead of a name is a range that is not stored.
        self.index = index.filter_map(Value::as_str).map(str::to_owned).collect();
        for column in pandas["columns"].as_array().into_iter().flatten() {
            let name = column["field_name"].as_str().or(column["name"].as_str());
            let unit =
                column["numpy_type"].as_str().and_then(|name| name.strip_prefix("pint[")?.strip_suffix(']'));
            if let (Some(name), Some(unit)) = (name, unit) {
                // pint_pandas may name the type of the numbers, too: `pint[degC][Float64]`.
                self.add_unit(name, unit.split("][").next().unwrap_or(unit));
            }
        }
    }

    pub(crate) fn add_unit(&mut self, column: &str, unit: &str) {
        let unit = unit.trim();
        if !unit.is_empty() {
            self.units.insert(column.to_owned(), unit.to_owned());
        }
    }
}
