//! Table `pieces`: pieces of series.

use sea_orm::entity::prelude::*;
use sheaf_store::manifest::PieceRow;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "pieces")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub series: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub commit: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub ordinal: i64,
    pub kind: i64,
    pub begin_ticks: i64,
    pub end_ticks: i64,
    pub segment: i64,
    pub first_row: i64,
    pub rows: i64,
    pub missing: i64,
    pub blob: Vec<u8>,
    pub checksum: i64,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

super::table!(
    PieceRow,
    [series, commit, ordinal, kind, begin_ticks, end_ticks, segment, first_row, rows, missing, blob]
);
