//! The audit log's last event.

use sea_orm::entity::prelude::*;

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "event_head")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: i32,
    pub(crate) sequence: i64,
    #[sea_orm(column_type = "Text")]
    pub(crate) hash: String,
    pub(crate) base_sequence: i64,
    #[sea_orm(column_type = "Text")]
    pub(crate) base_hash: String,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
