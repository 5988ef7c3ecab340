//! People: local accounts with argon2id passwords.

use otter_protocol::admin::{ChangeKind, Role};
use otter_protocol::{ProblemCode, Timestamp};
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ColumnTrait, DatabaseTransaction, EntityTrait, PaginatorTrait, QueryFilter};
use serde_json::json;

use crate::actor::Actor;
use crate::audit::{self, Happening};
use crate::database::{self, locked};
use crate::entity::{secret as kept_secret, session, user};
use crate::error::{Error, Result, is_duplicate};
use crate::fleet::Fleet;
use crate::secret;
use crate::text::{check_name, role_of};

/// Under which name the hash of the set-up link's secret is kept.
const SETUP: &str = "setup";

/// A person with an account.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Person {
    /// The account's number.
    pub id: i64,
    /// The name he logs in with.
    pub name: String,
    /// What he may do.
    pub role: Role,
}

impl Fleet {
    /// Makes an account; `already_exists` for a name that is taken, `invalid_request` for a password under 12 characters.
    pub async fn add_person(
        &self,
        actor: &Actor,
        name: &str,
        password: &str,
        role: Role,
    ) -> Result<Person> {
        check_name("name", name, 64)?;
        check_password(password)?;
        let password_hash = self.inner.passwords.hash(password).await?;
        let tx = database::begin(self.db()).await?;
        let person = insert(&tx, actor, name, password_hash, role, self.now()).await?;
        tx.commit().await?;
        self.changed(ChangeKind::Settings, format!("person/{}", person.id));
        Ok(person)
    }

    /// Sets a password anew and ends all the person's sessions.
    pub async fn set_password(&self, actor: &Actor, name: &str, password: &str) -> Result<()> {
        check_password(password)?;
        let password_hash = self.inner.passwords.hash(password).await?;
        let tx = database::begin(self.db()).await?;
        let row = locked(
            &tx,
            user::Entity::find().filter(user::Column::Name.eq(name)),
        )
        .one(&tx)
        .await?;
        let row = row.ok_or_else(|| Error::not_found(format!("person named `{name}`")))?;
        let change = user::ActiveModel {
            id: Set(row.id),
            password_hash: Set(password_hash),
            ..Default::default()
        };
        user::Entity::update(change).exec(&tx).await?;
        let ended = session::Entity::delete_many()
            .filter(session::Column::UserId.eq(row.id))
            .exec(&tx)
            .await?;
        let happening = Happening::new(actor, "person.password", "person", name)
            .after(json!({ "sessions_ended": ended.rows_affected }));
        audit::record(&tx, self.now(), happening).await?;
        tx.commit().await?;
        self.inner.passwords.forgive_name(name);
        Ok(())
    }

    /// Checks a name and password, in equal time for unknown names; `unauthenticated` where they don't fit,
    /// `too_many_requests` after ten failures for a name or address within a quarter of an hour.
    pub async fn log_in(&self, name: &str, password: &str, address: &str) -> Result<Person> {
        // It counts as a failure until it is none, so that many tries at once are counted, too.
        self.inner.passwords.begin(name, address, self.now())?;
        let row = user::Entity::find()
            .filter(user::Column::Name.eq(name))
            .one(self.db())
            .await?;
        let row = row.filter(|row| row.disabled_at.is_none());
        let hash = row.as_ref().map(|row| row.password_hash.clone());
        let fits = self.inner.passwords.verify(password, hash).await?;
        match row.filter(|_| fits) {
            Some(row) => {
                self.inner.passwords.succeed(name, address);
                person_of(row)
            }
            None => Err(Error::problem(
                ProblemCode::Unauthenticated,
                "Name or password is wrong.",
            )),
        }
    }

    /// Returns a person by number, unless the account is gone or disabled.
    pub async fn person(&self, id: i64) -> Result<Option<Person>> {
        let active = user::Column::DisabledAt.is_null();
        let row = user::Entity::find_by_id(id)
            .filter(active)
            .one(self.db())
            .await?;
        row.map(person_of).transpose()
    }

    /// Tells whether there is any account yet.
    pub async fn has_people(&self) -> Result<bool> {
        Ok(user::Entity::find().one(self.db()).await?.is_some())
    }

    /// Makes the secret of the one-time set-up link where there is no account yet; a new one at each call.
    pub async fn setup_secret(&self) -> Result<Option<String>> {
        let secret = secret::generate("")?;
        let tx = database::begin(self.db()).await?;
        // Once nobody else writes, so that the log's times rise with its numbers.
        let now = self.now();
        if user::Entity::find().count(&tx).await? > 0 {
            return Ok(None);
        }
        let row = kept_secret::ActiveModel {
            name: Set(SETUP.to_owned()),
            value: Set(secret::hash(&secret)),
            created_at: Set(now.0),
        };
        let replace = OnConflict::column(kept_secret::Column::Name)
            .update_columns([kept_secret::Column::Value, kept_secret::Column::CreatedAt])
            .to_owned();
        kept_secret::Entity::insert(row)
            .on_conflict(replace)
            .exec_without_returning(&tx)
            .await?;
        audit::record(
            &tx,
            now,
            Happening::new(&Actor::Console, "setup.link", "setup", SETUP),
        )
        .await?;
        tx.commit().await?;
        Ok(Some(secret))
    }

    /// Makes the first account, an admin's, with the set-up link's secret, which then ends.
    pub async fn set_up(&self, secret: &str, name: &str, password: &str) -> Result<Person> {
        check_name("name", name, 64)?;
        check_password(password)?;
        // Before the costly hash: nobody without the secret gets as far.
        check_setup(
            kept_secret::Entity::find_by_id(SETUP)
                .one(self.db())
                .await?,
            secret,
        )?;
        let password_hash = self.inner.passwords.hash(password).await?;
        let tx = database::begin(self.db()).await?;
        let kept = locked(&tx, kept_secret::Entity::find_by_id(SETUP))
            .one(&tx)
            .await?;
        check_setup(kept, secret)?;
        if user::Entity::find().count(&tx).await? > 0 {
            return Err(Error::problem(
                ProblemCode::Conflict,
                "There is an account already; log in with it.",
            ));
        }
        kept_secret::Entity::delete_by_id(SETUP).exec(&tx).await?;
        let actor = Actor::User(name.to_owned());
        let person = insert(&tx, &actor, name, password_hash, Role::Admin, self.now()).await?;
        tx.commit().await?;
        self.changed(ChangeKind::Settings, format!("person/{}", person.id));
        Ok(person)
    }
}

async fn insert(
    tx: &DatabaseTransaction,
    actor: &Actor,
    name: &str,
    password_hash: String,
    role: Role,
    now: Timestamp,
) -> Result<Person> {
    let row = user::ActiveModel {
        id: NotSet,
        name: Set(name.to_owned()),
        password_hash: Set(password_hash),
        role: Set(role.as_str().to_owned()),
        created_at: Set(now.0),
        disabled_at: Set(None),
    };
    let row = user::Entity::insert(row)
        .exec_with_returning(tx)
        .await
        .map_err(|error| {
            if is_duplicate(&error) {
                Error::problem(
                    ProblemCode::AlreadyExists,
                    format!("There is a person named `{name}` already."),
                )
            } else {
                error.into()
            }
        })?;
    let person = person_of(row)?;
    audit::record(
        tx,
        now,
        Happening::new(actor, "person.add", "person", name).after(&person),
    )
    .await?;
    Ok(person)
}

fn check_password(password: &str) -> Result<()> {
    let length = password.chars().count();
    if (12..=512).contains(&length) {
        return Ok(());
    }
    Err(Error::invalid(
        "password",
        format!("The password must have 12 to 512 characters, this one has {length}."),
    ))
}

fn check_setup(kept: Option<kept_secret::Model>, secret: &str) -> Result<()> {
    if kept.is_some_and(|kept| kept.value == secret::hash(secret)) {
        return Ok(());
    }
    let detail =
        "The set-up link doesn't count (any more). Start the server anew to get a new one.";
    Err(Error::problem(ProblemCode::Unauthenticated, detail))
}

fn person_of(row: user::Model) -> Result<Person> {
    Ok(Person {
        role: role_of(&row.role)?,
        id: row.id,
        name: row.name,
    })
}
