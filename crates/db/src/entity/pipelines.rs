//! Table `pipelines`: sources that are read in place, in groups.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "pipelines")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub owner: Option<String>,
    pub registrations: String,
    pub release_pattern: Option<String>,
    pub visibility_pattern: Option<String>,
    pub created_at_ms: i64,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

super::plain_table!([id, owner, registrations, release_pattern, visibility_pattern, created_at_ms]);
