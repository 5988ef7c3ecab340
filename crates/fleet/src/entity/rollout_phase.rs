//! Rollouts' phases with their attempts counted.

use sea_orm::entity::prelude::*;

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "rollout_phases")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) rollout_id: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) position: i32,
    pub(crate) succeeded: i64,
    pub(crate) failed: i64,
    pub(crate) rolled_back: i64,
    pub(crate) timed_out: i64,
    pub(crate) cancelled: i64,
    pub(crate) under_way: i64,
    pub(crate) waiting: Option<i64>,
    pub(crate) stepped: i64,
    pub(crate) unhealthy: i64,
    pub(crate) devices: i64,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
