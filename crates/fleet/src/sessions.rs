//! People's sessions, as the web framework stores them, and when they end: after a time without use, and after a time
//! however much they are used.

use otter_protocol::Timestamp;
use otter_protocol::admin::{ChangeKind, OpenSession};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ColumnTrait, Condition, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder,
    TryInsertResult,
};
use serde_json::json;

use crate::actor::Actor;
use crate::audit::{self, Happening};
use crate::database;
use crate::entity::session;
use crate::error::{Error, Result};
use crate::fleet::Fleet;
use crate::people::Person;
use crate::secret;

/// How long a session lasts at most, in seconds: seven days from the login.
pub const SESSION_LIFE_SEC: u64 = 7 * 24 * 3600;

/// How long a session lasts that isn't used, in seconds: a working day.
pub const SESSION_IDLE_SEC: u64 = 8 * 3600;

/// How long a session lasts that nobody is logged in to yet, in seconds: between a password and its second factor.
pub const VISIT_SEC: u64 = 10 * 60;

/// How exactly it is known when a session was used last, in seconds: so seldom a request writes.
const SEEN_EVERY_SEC: u64 = 60;

/// Most characters that are kept of what a browser says it is.
const AGENT_CHARS: usize = 200;

/// A session's data and end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSession {
    /// The session's id; kept hashed.
    pub id: String,
    /// Whose it is, once somebody has logged in.
    pub user_id: Option<i64>,
    /// The web framework's data, as JSON.
    pub data: String,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
    /// The address that the person logged in from.
    pub address: Option<String>,
    /// What the browser said it is.
    pub agent: Option<String>,
}

impl Fleet {
    /// Adds a session; false where the id is taken.
    pub async fn create_session(&self, session: &StoredSession) -> Result<bool> {
        let inserted = session::Entity::insert(self.new_row(session))
            .on_conflict_do_nothing_on([session::Column::Id])
            .exec_without_returning(self.db())
            .await?;
        Ok(matches!(inserted, TryInsertResult::Inserted(1)))
    }

    /// Writes a session, new or not; one that somebody is logged in to only while it lasts, and never for longer.
    ///
    /// So a request that was under way when the session was ended doesn't bring it back.
    pub async fn save_session(&self, session: &StoredSession) -> Result<()> {
        if session.user_id.is_some() {
            let change = session::ActiveModel {
                user_id: Set(session.user_id),
                data: Set(session.data.clone()),
                seen_at: Set(self.now().0),
                ..Default::default()
            };
            session::Entity::update_many()
                .set(change)
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
        session::Entity::insert(self.new_row(session))
            .on_conflict(update)
            .exec_without_returning(self.db())
            .await?;
        Ok(())
    }

    /// Returns a session that hasn't ended, and notes that it is used.
    pub async fn load_session(&self, id: &str) -> Result<Option<StoredSession>> {
        let now = self.now();
        let row = session::Entity::find_by_id(secret::hash(id))
            .filter(lasting(now))
            .one(self.db())
            .await?;
        let Some(row) = row else {
            return Ok(None);
        };
        if now.sec_since(Timestamp(row.seen_at)) >= SEEN_EVERY_SEC {
            let change = session::ActiveModel {
                seen_at: Set(now.0),
                ..Default::default()
            };
            session::Entity::update_many()
                .set(change)
                .filter(session::Column::Id.eq(&row.id))
                .exec(self.db())
                .await?;
        }
        Ok(Some(StoredSession {
            id: id.to_owned(),
            user_id: row.user_id,
            data: row.data,
            expires_at: Timestamp(row.expires_at),
            address: row.address,
            agent: row.agent,
        }))
    }

    /// Lists where a person is logged in, the latest first; `current` is the session that asks.
    pub async fn sessions_of(
        &self,
        person: i64,
        current: Option<&str>,
    ) -> Result<Vec<OpenSession>> {
        let current = current.map(secret::hash);
        let rows = session::Entity::find()
            .filter(session::Column::UserId.eq(person))
            .filter(lasting(self.now()))
            .order_by_desc(session::Column::CreatedAt)
            .all(self.db())
            .await?;
        let open = |row: session::Model| OpenSession {
            current: current.as_ref() == Some(&row.id),
            created_at: Timestamp(row.created_at),
            seen_at: Timestamp(row.seen_at),
            expires_at: Timestamp(row.expires_at),
            address: row.address,
            agent: row.agent,
            // Nobody finds the session's id by its hash.
            id: row.id,
        };
        Ok(rows.into_iter().map(open).collect())
    }

    /// Ends one session of a person, by the name that [`Fleet::sessions_of`] gives it.
    pub async fn end_session_of(&self, actor: &Actor, person: &Person, id: &str) -> Result<()> {
        let one = Condition::all().add(session::Column::Id.eq(id));
        match self.end_sessions_where(actor, person, one).await? {
            0 => Err(Error::not_found("such session of yours; it may have ended")),
            _ => Ok(()),
        }
    }

    /// Ends a person's sessions, all but the one that is to be kept; returns how many there were.
    pub async fn end_sessions_of(
        &self,
        actor: &Actor,
        person: &Person,
        keep: Option<&str>,
    ) -> Result<u64> {
        let others = keep.map(|id| session::Column::Id.ne(secret::hash(id)));
        let others = Condition::all().add_option(others);
        self.end_sessions_where(actor, person, others).await
    }

    async fn end_sessions_where(
        &self,
        actor: &Actor,
        person: &Person,
        which: Condition,
    ) -> Result<u64> {
        let tx = database::begin(self.db()).await?;
        let ended = end_sessions(&tx, person.id, which).await?;
        if ended > 0 {
            let happening = Happening::new(actor, "person.end_sessions", "person", &person.name)
                .after(json!({ "sessions_ended": ended }));
            audit::record(&tx, self.now(), happening).await?;
        }
        tx.commit().await?;
        self.changed(ChangeKind::Settings, format!("person/{}", person.id));
        Ok(ended)
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
        Ok(session::Entity::delete_many()
            .filter(lasting(self.now()).not())
            .exec(self.db())
            .await?
            .rows_affected)
    }

    fn new_row(&self, session: &StoredSession) -> session::ActiveModel {
        let now = self.now();
        let most = match session.user_id {
            Some(_) => SESSION_LIFE_SEC,
            None => VISIT_SEC,
        };
        let short = |text: &String| text.chars().take(AGENT_CHARS).collect();
        session::ActiveModel {
            id: Set(secret::hash(&session.id)),
            user_id: Set(session.user_id),
            data: Set(session.data.clone()),
            expires_at: Set(session.expires_at.min(now.plus_sec(most)).0),
            created_at: Set(now.0),
            seen_at: Set(now.0),
            address: Set(session.address.clone()),
            agent: Set(session.agent.as_ref().map(short)),
        }
    }
}

/// Sessions that have neither reached their end nor gone unused for too long.
fn lasting(now: Timestamp) -> Condition {
    Condition::all()
        .add(session::Column::ExpiresAt.gt(now.0))
        .add(session::Column::SeenAt.gt(now.minus_sec(SESSION_IDLE_SEC).0))
}

/// Ends those of a person's sessions that fit, within the transaction of what ends them.
pub(crate) async fn end_sessions(
    tx: &DatabaseTransaction,
    person: i64,
    which: Condition,
) -> Result<u64> {
    let ended = session::Entity::delete_many()
        .filter(session::Column::UserId.eq(person))
        .filter(which)
        .exec(tx)
        .await?;
    Ok(ended.rows_affected)
}
