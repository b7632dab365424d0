//! Table `pending`: files that are being written.

use sea_orm::entity::prelude::*;
use sheaf_store::manifest::PendingRow;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "pending")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub file: String,
    pub until_ms: i64,
    pub checksum: i64,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

super::table!(PendingRow, [file, until_ms]);
