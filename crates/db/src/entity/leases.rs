//! Table `leases`: leases.

use sea_orm::entity::prelude::*;
use sheaf_store::manifest::LeaseRow;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "leases")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    pub holder: i64,
    pub until_ms: i64,
    pub checksum: i64,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

super::table!(LeaseRow, [name, holder, until_ms]);
