//! Table `audit`: what was done, and by whom.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "audit")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub seq: i64,
    pub at_ms: i64,
    pub user_id: Option<String>,
    pub token_id: Option<String>,
    pub action: String,
    pub subject: String,
    pub outcome: String,
    pub detail: String,
    pub request: Option<String>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

super::plain_table!([seq, at_ms, user_id, token_id, action, subject, outcome, detail, request]);
