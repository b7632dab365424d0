//! Table `head`: the one row that says which state the store is in.

use sea_orm::entity::prelude::*;
use sheaf_store::manifest::HeadRow;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "head")]
pub struct Model {
    /// 1.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i64,
    pub format: i64,
    pub store: i64,
    pub commit: i64,
    pub nonce: i64,
    pub series_count: i64,
    pub series_digest: i64,
    pub segment_count: i64,
    pub segment_digest: i64,
    pub tail_rows: i64,
    pub tail_bytes: i64,
    pub tail_since_ms: i64,
    pub next_series: i64,
    pub next_segment: i64,
    pub next_ordinal: i64,
    pub checksum: i64,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

super::table!(HeadRow, [format, store, commit, nonce, series_count, series_digest, segment_count, segment_digest, tail_rows, tail_bytes, tail_since_ms, next_series, next_segment, next_ordinal] after super::HEAD);
