//! People's sessions, as the web framework stores them.

use otter_protocol::Timestamp;
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, TryInsertResult};

use crate::entity::session;
use crate::error::Result;
use crate::fleet::Fleet;
use crate::secret;

/// A session's data and end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSession {
    /// The session's id; kept hashed.
    pub id: String,
    /// Whose it is, once somebody has logged in.
    pub user_id: Option<i64>,
    /// The web framework's data, as JSON.
    pub data: String,
    /// When it ends.
    pub expires_at: Timestamp,
}

impl Fleet {
    /// Adds a session; false where the id is taken.
    pub async fn create_session(&self, session: &StoredSession) -> Result<bool> {
        let inserted = session::Entity::insert(row_of(session))
            .on_conflict_do_nothing_on([session::Column::Id])
            .exec_without_returning(self.db())
            .await?;
        Ok(matches!(inserted, TryInsertResult::Inserted(1)))
    }

    /// Writes a session, new or not; one that somebody is logged in to only while it lasts.
    ///
    /// So a request that was under way when the session was ended doesn't bring it back.
    pub async fn save_session(&self, session: &StoredSession) -> Result<()> {
        if session.user_id.is_some() {
            session::Entity::update_many()
                .set(row_of(session))
                .filter(session::Column::Id.eq(secret::hash(&session.id)))
                .exec(self.db())
                .await?;
            return Ok(());
        }
        let update = OnConflict::column(session::Column::Id)
            .update_columns([
                session::Column::UserId,
                session::Column::Data,
                session::Column::ExpiresAt,
            ])
            .to_owned();
        session::Entity::insert(row_of(session))
            .on_conflict(update)
            .exec_without_returning(self.db())
            .await?;
        Ok(())
    }

    /// Returns a session that hasn't ended.
    pub async fn load_session(&self, id: &str) -> Result<Option<StoredSession>> {
        let row = session::Entity::find_by_id(secret::hash(id))
            .filter(session::Column::ExpiresAt.gt(self.now().0))
            .one(self.db())
            .await?;
        Ok(row.map(|row| StoredSession {
            id: id.to_owned(),
            user_id: row.user_id,
            data: row.data,
            expires_at: Timestamp(row.expires_at),
        }))
    }

    /// Ends a session.
    pub async fn delete_session(&self, id: &str) -> Result<()> {
        session::Entity::delete_by_id(secret::hash(id))
            .exec(self.db())
            .await?;
        Ok(())
    }

    /// Removes sessions that have ended.
    pub async fn delete_expired_sessions(&self) -> Result<u64> {
        let ended = session::Column::ExpiresAt.lte(self.now().0);
        Ok(session::Entity::delete_many()
            .filter(ended)
            .exec(self.db())
            .await?
            .rows_affected)
    }
}

fn row_of(session: &StoredSession) -> session::ActiveModel {
    session::ActiveModel {
        id: Set(secret::hash(&session.id)),
        user_id: Set(session.user_id),
        data: Set(session.data.clone()),
        expires_at: Set(session.expires_at.0),
    }
}
