//! Releases.

use sea_orm::entity::prelude::*;

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "releases")]
pub(crate) struct Model {
    #[sea_orm(primary_key)]
    pub(crate) id: i64,
    #[sea_orm(column_type = "Text")]
    pub(crate) version: String,
    #[sea_orm(column_type = "Text")]
    pub(crate) notes: String,
    #[sea_orm(column_type = "Text")]
    pub(crate) state: String,
    #[sea_orm(column_type = "Text", nullable)]
    pub(crate) min_version: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub(crate) min_bootloader_version: Option<String>,
    pub(crate) required: bool,
    pub(crate) release_counter: Option<i64>,
    pub(crate) created_at: i64,
    #[sea_orm(column_type = "Text")]
    pub(crate) created_by: String,
    pub(crate) published_at: Option<i64>,
    pub(crate) says_signed: bool,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
