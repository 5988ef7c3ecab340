//! Signed heads of the audit log.

use sea_orm::entity::prelude::*;

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "event_signatures")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) sequence: i64,
    #[sea_orm(column_type = "Text")]
    pub(crate) hash: String,
    pub(crate) signed_at: i64,
    #[sea_orm(column_type = "Text")]
    pub(crate) public_key: String,
    #[sea_orm(column_type = "Text")]
    pub(crate) signature: String,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
