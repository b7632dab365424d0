//! What the columns of a Parquet file are, by its schema.

use std::sync::Arc;

use parquet::file::metadata::ParquetMetaData;

use super::column::{CellReader, content_of};
use super::file::ParquetFile;
use super::metadata::hints;
use super::options::ParquetOptions;
use super::page::Budget;
use crate::cells::{self, Cells, Content, Field, Plan, SAMPLE_ROWS};
use crate::error::{ColumnName, SourceError};

/// Finds out what the columns of a file mean.
pub(super) fn detect(
    file: &Arc<ParquetFile>,
    metadata: &ParquetMetaData,
    options: &ParquetOptions,
) -> Result<Plan, SourceError> {
    let schema = metadata.file_metadata().schema_descr();
    let roots = schema.root_schema().get_fields();
    let mut fields: Vec<Field> = Vec::with_capacity(roots.len());
    for leaf in 0..schema.num_columns() {
        let root = schema.get_column_root_idx(leaf);
        if root < fields.len() {
            continue;
        }
        let Some(field) = roots.get(root) else { continue };
        let descriptor = schema.column(leaf);
        let flat = descriptor.path().parts().len() == 1;
        let content = if flat { content_of(&descriptor) } else { Content::Other("nested columns") };
        fields.push(Field { title: field.name().to_owned(), content, leaf });
    }
    let known: Vec<(String, Content, usize)> =
        fields.iter().map(|field| (field.title.clone(), field.content, field.leaf)).collect();
    let sample = |column: usize| -> Result<Option<Cells>, SourceError> {
        let group = metadata.row_groups().iter().find(|group| group.num_rows() > 0);
        let Some(group) = group else { return Ok(None) };
        let rows = usize::try_from(group.num_rows()).unwrap_or(usize::MAX);
        let (title, content, leaf) = &known[column];
        let chunk = group.columns().get(*leaf);
        let reader = chunk.map(|chunk| CellReader::open(file, chunk, *content, &Budget::default()));
        let wrong = |problem| SourceError::Unreadable {
            input: file.name().to_owned(),
            row: Some(1),
            column: Some(ColumnName { number: column + 1, title: title.clone() }),
            problem,
        };
        let Some(mut reader) = reader.transpose().map_err(wrong)? else { return Ok(None) };
        reader.read(rows.min(SAMPLE_ROWS), rows <= SAMPLE_ROWS).map(Some).map_err(wrong)
    };
    let hints = hints(metadata.file_metadata().key_value_metadata());
    cells::detect(file.name(), "Parquet", fields, hints, options, &sample)
}
