//! Table `keys`: idempotency keys.

use sea_orm::entity::prelude::*;
use sheaf_store::manifest::KeyRow;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "keys")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub key: String,
    pub payload: i64,
    pub commit: i64,
    pub at_ms: i64,
    pub checksum: i64,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

super::table!(KeyRow, [key, payload, commit, at_ms]);
