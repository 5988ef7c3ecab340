//! Tokens that let devices in.

use sea_orm::entity::prelude::*;

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "enrollment_tokens")]
pub(crate) struct Model {
    #[sea_orm(primary_key)]
    pub(crate) id: i64,
    #[sea_orm(column_type = "Text")]
    pub(crate) name: String,
    #[sea_orm(column_type = "Text")]
    pub(crate) token_hash: String,
    pub(crate) quota: Option<i32>,
    pub(crate) used: i32,
    #[sea_orm(column_type = "Text")]
    pub(crate) models: String,
    #[sea_orm(column_type = "Text", nullable)]
    pub(crate) group_name: Option<String>,
    pub(crate) expires_at: Option<i64>,
    #[sea_orm(column_type = "Text")]
    pub(crate) created_by: String,
    pub(crate) created_at: i64,
    pub(crate) revoked_at: Option<i64>,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
