//! Table `jobs`: work that takes time.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "jobs")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub kind: String,
    pub owner: String,
    pub owner_name: String,
    pub parameters: String,
    pub state: i64,
    pub attempt: i64,
    pub max_attempts: i64,
    pub ready_at_ms: i64,
    pub holder: i64,
    pub until_ms: i64,
    pub progress: f64,
    pub activity: String,
    pub result: Option<String>,
    pub failure: Option<String>,
    pub cancel_requested: i64,
    pub created_at_ms: i64,
    pub started_at_ms: Option<i64>,
    pub finished_at_ms: Option<i64>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

super::plain_table!([
    id,
    kind,
    owner,
    owner_name,
    parameters,
    state,
    attempt,
    max_attempts,
    ready_at_ms,
    holder,
    until_ms,
    progress,
    activity,
    result,
    failure,
    cancel_requested,
    created_at_ms,
    started_at_ms,
    finished_at_ms,
]);
