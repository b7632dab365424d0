//! Table `tokens`: tokens of users.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "tokens")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub user_id: String,
    pub name: String,
    pub secret: Vec<u8>,
    pub created_at_ms: i64,
    pub expires_at_ms: Option<i64>,
    pub claims: String,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

super::plain_table!([id, user_id, name, secret, created_at_ms, expires_at_ms, claims]);
