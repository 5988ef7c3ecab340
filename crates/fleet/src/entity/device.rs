//! Devices.

use sea_orm::entity::prelude::*;

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "devices")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: String,
    #[sea_orm(column_type = "Text")]
    pub(crate) model: String,
    #[sea_orm(column_type = "Text")]
    pub(crate) version: String,
    #[sea_orm(column_type = "Text", nullable)]
    pub(crate) bootloader_version: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub(crate) agent_version: Option<String>,
    #[sea_orm(column_type = "Text")]
    pub(crate) state: String,
    #[sea_orm(column_type = "Text", nullable)]
    pub(crate) hold: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub(crate) group_name: Option<String>,
    #[sea_orm(column_type = "Text")]
    pub(crate) labels: String,
    #[sea_orm(column_type = "Text")]
    pub(crate) metadata: String,
    #[sea_orm(column_type = "Text")]
    pub(crate) conditions: String,
    #[sea_orm(column_type = "Text")]
    pub(crate) public_key: String,
    #[sea_orm(column_type = "Text", nullable)]
    pub(crate) token_hash: Option<String>,
    pub(crate) enrolled_at: i64,
    pub(crate) updated_at: i64,
    pub(crate) last_seen_at: Option<i64>,
    pub(crate) failures_in_row: i32,
    pub(crate) clock_off_sec: Option<i64>,
    #[sea_orm(column_type = "Text", nullable)]
    pub(crate) held_key: Option<String>,
    pub(crate) held_at: Option<i64>,
    #[sea_orm(column_type = "Text")]
    pub(crate) dialect: String,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
