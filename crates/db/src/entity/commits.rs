//! Table `commits`: published changes.

use sea_orm::entity::prelude::*;
use sheaf_store::manifest::CommitRow;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "commits")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub commit: i64,
    pub nonce: i64,
    pub at_ms: i64,
    pub checksum: i64,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

super::table!(CommitRow, [commit, nonce, at_ms]);
