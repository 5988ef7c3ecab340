//! People's sessions.

use sea_orm::entity::prelude::*;

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sessions")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: String,
    pub(crate) user_id: Option<i64>,
    #[sea_orm(column_type = "Text")]
    pub(crate) data: String,
    pub(crate) expires_at: i64,
    pub(crate) created_at: i64,
    pub(crate) seen_at: i64,
    #[sea_orm(column_type = "Text", nullable)]
    pub(crate) address: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub(crate) agent: Option<String>,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
