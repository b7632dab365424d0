//! Table `logins`: sign-ins that a provider has not answered yet.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "logins")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub state: Vec<u8>,
    pub scheme: String,
    pub nonce: String,
    pub verifier: String,
    pub return_url: String,
    pub expires_at_ms: i64,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

super::plain_table!([state, scheme, nonce, verifier, return_url, expires_at_ms]);
