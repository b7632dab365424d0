//! Table `overrides`: what people say of catalogs, over what sources say.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "overrides")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub catalog: String,
    pub contact: Option<String>,
    pub groups: Option<String>,
    pub overrides: Option<String>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

super::plain_table!([catalog, contact, groups, overrides]);
