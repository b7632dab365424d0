//! The tables as SeaORM knows them, one module each, and how their rows become those of the rest of the crate.

#![expect(unreachable_pub, reason = "SeaORM's derives make public items")]

pub(crate) mod access_state;
pub(crate) mod artifacts;
pub(crate) mod attachments;
pub(crate) mod audit;
pub(crate) mod catalogs;
pub(crate) mod claims;
pub(crate) mod commits;
pub(crate) mod datastore;
pub(crate) mod generations;
pub(crate) mod head;
pub(crate) mod jobs;
pub(crate) mod keys;
pub(crate) mod leases;
pub(crate) mod license_acceptances;
pub(crate) mod logins;
pub(crate) mod overrides;
pub(crate) mod pending;
pub(crate) mod pieces;
pub(crate) mod pipelines;
pub(crate) mod resources;
pub(crate) mod segment_states;
pub(crate) mod segments;
pub(crate) mod series;
pub(crate) mod sessions;
pub(crate) mod tokens;
pub(crate) mod users;

/// The id of the one row of `head`.
const HEAD: i64 = 1;

/// Implements [`crate::table::Table`] for a table of the manifest. The fields come in the order of the model, which is that of the columns in all
/// statements; before them a first column that always has the same value.
macro_rules! table {
    ($row:ident, [$($field:ident),* $(,)?] $(after $value:expr)?) => {
        impl crate::table::Table for Entity {
            type Row = sheaf_store::manifest::Stored<$row>;

            fn push_values(stored: sheaf_store::manifest::Stored<$row>, values: &mut Vec<sea_orm::Value>) {
                $(values.push($value.into());)?
                let $row { $($field),* } = stored.row;
                $(values.push($field.into());)*
                values.push(stored.checksum.into());
            }

            fn read(
                columns: &mut crate::table::Columns<'_>,
            ) -> Result<sheaf_store::manifest::Stored<$row>, sea_orm::DbErr> {
                $(columns.expect($value)?;)?
                $(let $field = columns.next()?;)*
                Ok(sheaf_store::manifest::Stored { row: $row { $($field),* }, checksum: columns.next()? })
            }
        }
    };
}
use table;

/// Implements [`crate::table::Table`] for a table without checksums; its rows are the models.
macro_rules! plain_table {
    ([$($field:ident),* $(,)?]) => {
        impl crate::table::Table for Entity {
            type Row = Model;

            fn push_values(row: Model, values: &mut Vec<sea_orm::Value>) {
                let Model { $($field),* } = row;
                $(values.push($field.into());)*
            }

            fn read(columns: &mut crate::table::Columns<'_>) -> Result<Model, sea_orm::DbErr> {
                $(let $field = columns.next()?;)*
                Ok(Model { $($field),* })
            }
        }
    };
}
use plain_table;
