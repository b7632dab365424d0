//! The description of a CSV export: a tabular resource of the Frictionless standards.

use serde_json::{Map, Value, json};
use sheaf_model::{Properties, SamplePeriod};

use super::csv::RowIndex;
use super::files::physical_name;
use super::{ExportCatalog, ExportColumn};

/// The name of the description, and its text.
pub(super) fn sidecar(
    catalog: &ExportCatalog,
    files: &[String],
    period: SamplePeriod,
    row_index: RowIndex,
) -> (String, String) {
    let stem = format!("{}_{period}", physical_name(&catalog.id));
    let mut fields = vec![field(row_index.title(), row_index.field_type(), None)];
    fields.extend(
        catalog.columns.iter().map(|column: &ExportColumn| {
            field(&column.full_title(), "number", as_object(&column.properties))
        }),
    );
    let mut schema = Map::new();
    schema.insert("primaryKey".to_owned(), row_index.title().into());
    schema.insert("fields".to_owned(), fields.into());
    if let Some(properties) = as_object(&catalog.properties) {
        schema.insert("properties".to_owned(), properties);
    }
    let resource = json!({
        "encoding": "utf-8-sig",
        "format": "csv",
        "hashing": "md5",
        "name": stem.to_lowercase(),
        "profile": "tabular-data-resource",
        "scheme": "multipart",
        "path": files,
        "layout": {"headerRows": [4]},
        "schema": schema,
    });
    (format!("{stem}.resource.json"), format!("{resource:#}"))
}

fn field(name: &str, field_type: &str, properties: Option<Value>) -> Value {
    let mut field = json!({"name": name, "type": field_type, "constraints": {"required": true}});
    if let (Some(field), Some(properties)) = (field.as_object_mut(), properties) {
        field.insert("properties".to_owned(), properties);
    }
    field
}

fn as_object(properties: &Properties) -> Option<Value> {
    let object: Map<String, Value> =
        properties.iter().map(|(key, value)| (key.to_owned(), value.clone())).collect();
    (!object.is_empty()).then_some(Value::Object(object))
}
