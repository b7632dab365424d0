//! Table `segments`: what never changes about segments.

use sea_orm::entity::prelude::*;
use sheaf_store::manifest::SegmentRow;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "segments")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i64,
    pub data_type: i64,
    pub rows: i64,
    pub bytes: i64,
    pub has_estimated: i64,
    pub block_sums: Vec<u8>,
    pub checksum: i64,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

super::table!(SegmentRow, [id, data_type, rows, bytes, has_estimated, block_sums]);
