//! Table `attachments`: files that belong to catalogs.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "attachments")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub catalog: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    pub bytes: i64,
    pub sha256: String,
    pub file: String,
    pub created_at_ms: i64,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

super::plain_table!([catalog, name, bytes, sha256, file, created_at_ms]);
