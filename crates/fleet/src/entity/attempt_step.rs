//! Reports on attempts, as they were taken.

use sea_orm::entity::prelude::*;

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "attempt_steps")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) attempt_id: i32,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) sequence: i32,
    #[sea_orm(column_type = "Text")]
    pub(crate) state: String,
    pub(crate) progress: Option<i32>,
    #[sea_orm(column_type = "Text", nullable)]
    pub(crate) message: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub(crate) version: Option<String>,
    pub(crate) at: Option<i64>,
    pub(crate) received_at: i64,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
