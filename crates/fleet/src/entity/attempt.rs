//! Attempts.

use sea_orm::entity::prelude::*;

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "attempts")]
pub(crate) struct Model {
    #[sea_orm(primary_key)]
    pub(crate) id: i32,
    #[sea_orm(column_type = "Text")]
    pub(crate) uuid: String,
    #[sea_orm(column_type = "Text")]
    pub(crate) device_id: String,
    pub(crate) rollout_id: i64,
    pub(crate) release_id: i64,
    #[sea_orm(column_type = "Text")]
    pub(crate) version: String,
    #[sea_orm(column_type = "Text")]
    pub(crate) from_version: String,
    pub(crate) phase: i32,
    #[sea_orm(column_type = "Text")]
    pub(crate) state: String,
    pub(crate) progress: Option<i32>,
    #[sea_orm(column_type = "Text", nullable)]
    pub(crate) message: Option<String>,
    pub(crate) last_sequence: i32,
    pub(crate) created_at: i64,
    pub(crate) updated_at: i64,
    pub(crate) finished_at: Option<i64>,
    pub(crate) purpose: String,
    pub(crate) unhealthy_at: Option<i64>,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
