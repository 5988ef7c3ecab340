//! What webhooks were told, and are still to be told.

use sea_orm::entity::prelude::*;

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "webhook_deliveries")]
pub(crate) struct Model {
    #[sea_orm(primary_key)]
    pub(crate) id: i64,
    pub(crate) webhook_id: i64,
    /// 0 where it is about no rollout.
    pub(crate) rollout_id: i64,
    #[sea_orm(column_type = "Text")]
    pub(crate) event: String,
    #[sea_orm(column_type = "Text")]
    pub(crate) body: String,
    #[sea_orm(column_type = "Text")]
    pub(crate) state: String,
    pub(crate) created_at: i64,
    pub(crate) next_at: i64,
    pub(crate) gives_up_at: i64,
    pub(crate) tries: i32,
    pub(crate) tried_at: Option<i64>,
    pub(crate) finished_at: Option<i64>,
    pub(crate) status: Option<i32>,
    pub(crate) took_ms: Option<i64>,
    #[sea_orm(column_type = "Text", nullable)]
    pub(crate) error: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub(crate) answer: Option<String>,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
