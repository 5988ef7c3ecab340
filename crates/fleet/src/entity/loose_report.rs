//! The last word of a device on a version that it came to without an attempt.

use sea_orm::entity::prelude::*;

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "loose_reports")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) device_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) version: String,
    #[sea_orm(column_type = "Text")]
    pub(crate) state: String,
    pub(crate) progress: Option<i32>,
    #[sea_orm(column_type = "Text", nullable)]
    pub(crate) message: Option<String>,
    pub(crate) started_at: i64,
    pub(crate) reported_at: i64,
    pub(crate) finished_at: Option<i64>,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
