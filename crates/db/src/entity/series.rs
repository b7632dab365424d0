//! Table `series`: series.

use sea_orm::entity::prelude::*;
use sheaf_store::manifest::SeriesRow;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "series")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i64,
    #[sea_orm(unique)]
    pub key: String,
    pub data_type: i64,
    pub period_ticks: i64,
    pub phase_ticks: i64,
    pub piece_count: i64,
    pub piece_digest: i64,
    pub checksum: i64,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

super::table!(SeriesRow, [id, key, data_type, period_ticks, phase_ticks, piece_count, piece_digest]);
