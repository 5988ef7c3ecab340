//! Logging in: a password, a code where the account asks for one, and the password's change.

use otter_protocol::admin::ChangeKind;
use otter_protocol::{ProblemCode, Timestamp};
use sea_orm::ActiveValue::Set;
use sea_orm::{ColumnTrait, Condition, DatabaseTransaction, EntityTrait, QueryFilter};
use serde_json::json;

use crate::actor::Actor;
use crate::audit::{self, Happening};
use crate::database::{self, locked};
use crate::entity::{one_time_link, user};
use crate::error::{Error, Result};
use crate::fleet::Fleet;
use crate::password_rules::check_password;
use crate::people::{Person, person_of};
use crate::sessions::end_sessions;

/// Somebody whose password is right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogIn {
    /// Who it is.
    pub person: Person,
    /// Whether a code has to follow before he is in.
    pub needs_code: bool,
}

impl Fleet {
    /// Checks a name and password, in equal time for unknown names; `unauthenticated` where they don't fit,
    /// `too_many_requests` after ten failures for a name or address within a quarter of an hour.
    pub async fn log_in(&self, name: &str, password: &str, address: &str) -> Result<LogIn> {
        // It counts as a failure until it is none, so that many tries at once are counted, too.
        let begun = self.inner.passwords.begin(name, address, self.now());
        begun.inspect_err(|_| tracing::warn!(address, "too many failed tries to log in"))?;
        let row = user::Entity::find()
            .filter(user::Column::Name.eq(name))
            .one(self.db())
            .await?;
        let row = row.filter(|row| row.disabled_at.is_none() && !row.password_hash.is_empty());
        let hash = row.as_ref().map(|row| row.password_hash.clone());
        let fits = self.inner.passwords.verify(password, hash).await?;
        match row.filter(|_| fits) {
            Some(row) => {
                self.inner.passwords.succeed(name, address);
                Ok(LogIn {
                    needs_code: row.totp_secret.is_some(),
                    person: person_of(row)?,
                })
            }
            None => {
                tracing::warn!(address, "a try to log in failed");
                Err(Error::problem(
                    ProblemCode::Unauthenticated,
                    "Name or password is wrong.",
                ))
            }
        }
    }

    /// Notes that somebody is in, with all that was asked of him.
    pub async fn note_log_in(&self, person: &Person, address: &str) -> Result<()> {
        let tx = database::begin(self.db()).await?;
        let now = self.now();
        let change = user::ActiveModel {
            id: Set(person.id),
            last_login_at: Set(Some(now.0)),
            ..Default::default()
        };
        user::Entity::update(change).exec(&tx).await?;
        let actor = Actor::User(person.name.clone());
        let happening = Happening::new(&actor, "person.log_in", "person", &person.name)
            .after(json!({ "address": address }));
        audit::record(&tx, now, happening).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Sets a password anew and ends all the person's sessions.
    pub async fn set_password(&self, actor: &Actor, name: &str, password: &str) -> Result<()> {
        check_password(password, name)?;
        let password_hash = self.inner.passwords.hash(password).await?;
        let tx = database::begin(self.db()).await?;
        let row = locked(
            &tx,
            user::Entity::find().filter(user::Column::Name.eq(name)),
        )
        .one(&tx)
        .await?;
        let row = row.ok_or_else(|| Error::not_found(format!("person named `{name}`")))?;
        replace_password(&tx, actor, &row, password_hash, self.now()).await?;
        tx.commit().await?;
        self.inner.passwords.forgive_name(name);
        // Whoever is in by the old one hears at once that he is out.
        self.changed(ChangeKind::Settings, format!("person/{}", row.id));
        Ok(())
    }

    /// Changes a person's own password, who has to know the present one; ends all his sessions.
    pub async fn change_password(
        &self,
        person: &Person,
        current: &str,
        new: &str,
        address: &str,
    ) -> Result<()> {
        self.confirm_password(person, current, address).await?;
        if current == new {
            return Err(Error::invalid(
                "password",
                "This is the password that you have already.",
            ));
        }
        let actor = Actor::User(person.name.clone());
        self.set_password(&actor, &person.name, new).await
    }

    /// Checks that it is still the person himself, by his password; the problem is about the field `current`.
    pub async fn confirm_password(
        &self,
        person: &Person,
        password: &str,
        address: &str,
    ) -> Result<LogIn> {
        match self.log_in(&person.name, password, address).await {
            Err(Error::Problem(problem)) if problem.code == ProblemCode::Unauthenticated => {
                Err(Error::invalid("current", "This is not your password."))
            }
            other => other,
        }
    }
}

/// Puts a password in place of another: whoever knew only the old one is out.
pub(crate) async fn replace_password(
    tx: &DatabaseTransaction,
    actor: &Actor,
    row: &user::Model,
    password_hash: String,
    now: Timestamp,
) -> Result<()> {
    let change = user::ActiveModel {
        id: Set(row.id),
        password_hash: Set(password_hash),
        password_changed_at: Set(now.0),
        ..Default::default()
    };
    user::Entity::update(change).exec(tx).await?;
    one_time_link::Entity::delete_by_id(row.id).exec(tx).await?;
    let ended = end_sessions(tx, row.id, Condition::all()).await?;
    let happening = Happening::new(actor, "person.password", "person", &row.name)
        .after(json!({ "sessions_ended": ended }));
    audit::record(tx, now, happening).await
}
