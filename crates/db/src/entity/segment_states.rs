//! Table `segment_states`: what changes about segments.

use sea_orm::entity::prelude::*;
use sheaf_store::manifest::SegmentStateRow;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "segment_states")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i64,
    pub file_nonce: i64,
    pub data_type: i64,
    pub bytes: i64,
    pub rows: i64,
    pub live_rows: i64,
    pub live_pieces: i64,
    pub retired_ms: i64,
    pub checksum: i64,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

super::table!(SegmentStateRow, [id, file_nonce, data_type, bytes, rows, live_rows, live_pieces, retired_ms]);
