//! People.

use sea_orm::entity::prelude::*;

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "users")]
pub(crate) struct Model {
    #[sea_orm(primary_key)]
    pub(crate) id: i64,
    #[sea_orm(column_type = "Text")]
    pub(crate) name: String,
    /// Empty for somebody who has yet to choose a password.
    #[sea_orm(column_type = "Text")]
    pub(crate) password_hash: String,
    #[sea_orm(column_type = "Text")]
    pub(crate) role: String,
    pub(crate) created_at: i64,
    pub(crate) disabled_at: Option<i64>,
    pub(crate) password_changed_at: i64,
    pub(crate) last_login_at: Option<i64>,
    #[sea_orm(column_type = "Text", nullable)]
    pub(crate) totp_secret: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub(crate) totp_offered: Option<String>,
    pub(crate) totp_step: i64,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
