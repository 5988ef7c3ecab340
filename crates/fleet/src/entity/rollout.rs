//! Rollouts.

use sea_orm::entity::prelude::*;

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "rollouts")]
pub(crate) struct Model {
    #[sea_orm(primary_key)]
    pub(crate) id: i64,
    #[sea_orm(column_type = "Text")]
    pub(crate) name: String,
    pub(crate) release_id: i64,
    #[sea_orm(column_type = "Text")]
    pub(crate) spec: String,
    #[sea_orm(column_type = "Text")]
    pub(crate) state: String,
    #[sea_orm(column_type = "Text", nullable)]
    pub(crate) state_reason: Option<String>,
    pub(crate) current_phase: i32,
    pub(crate) sampled_at: Option<i64>,
    #[sea_orm(column_type = "Text", nullable)]
    pub(crate) forgiven: Option<String>,
    pub(crate) created_at: i64,
    #[sea_orm(column_type = "Text")]
    pub(crate) created_by: String,
    pub(crate) started_at: Option<i64>,
    pub(crate) finished_at: Option<i64>,
    pub(crate) approved_by: Option<String>,
    pub(crate) gate_approved_by: Option<String>,
    pub(crate) retried_upto: Option<i32>,
    pub(crate) takes_back: bool,
    pub(crate) next_grant_at: Option<i64>,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
