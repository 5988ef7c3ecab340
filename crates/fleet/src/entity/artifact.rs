//! Bytes in the artifact store.

use otter_protocol::Sha256Digest;
use sea_orm::Select;
use sea_orm::entity::prelude::*;

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "artifacts")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) sha256: String,
    #[sea_orm(column_type = "Text")]
    pub(crate) sha1: String,
    #[sea_orm(column_type = "Text")]
    pub(crate) md5: String,
    pub(crate) size: i64,
    pub(crate) created_at: i64,
    #[sea_orm(column_type = "Text")]
    pub(crate) created_by: String,
    /// Until when it stays, whether it is part of a release or not.
    pub(crate) kept_until: i64,
    /// Since when it is to be removed: it counts as absent.
    pub(crate) condemned_at: Option<i64>,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Finds an artifact that is there to stay.
pub(crate) fn kept(sha256: Sha256Digest) -> Select<Entity> {
    Entity::find_by_id(sha256.to_string()).filter(Column::CondemnedAt.is_null())
}
