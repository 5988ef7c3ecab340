//! Links that work once: with one, a person chooses the password of an account that somebody made for him.

use otter_protocol::admin::{Account, ChangeKind, NewAccount};
use otter_protocol::{ProblemCode, Timestamp};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter};
use serde_json::json;

use crate::actor::Actor;
use crate::audit::{self, Happening};
use crate::database::{self, locked};
use crate::entity::{one_time_link, user};
use crate::error::{Error, Result};
use crate::fleet::Fleet;
use crate::log_ins::replace_password;
use crate::password_rules::check_password;
use crate::people::{Person, account_of, insert, no_account, person_of};
use crate::secret;
use crate::text::check_name;

/// How long a link may be used, in seconds: a day.
const LIFE_SEC: u64 = 24 * 3600;

impl Fleet {
    /// Makes an account without a password, and the secret of the link by which the person chooses one.
    pub async fn invite(&self, actor: &Actor, new: &NewAccount) -> Result<(Account, String)> {
        check_name("name", &new.name, 64)?;
        let tx = database::begin(self.db()).await?;
        let now = self.now();
        let person = insert(&tx, actor, &new.name, String::new(), new.role, now).await?;
        let made = put_link(&tx, actor, person.id, now).await?;
        tx.commit().await?;
        self.changed(ChangeKind::Settings, format!("person/{}", person.id));
        Ok(made)
    }

    /// Makes the secret of a link by which a person chooses another password; one made before ends.
    ///
    /// Until it is used, everything stays as it is; a second factor stays even then.
    pub async fn make_link(&self, actor: &Actor, id: i64) -> Result<(Account, String)> {
        let tx = database::begin(self.db()).await?;
        let made = put_link(&tx, actor, id, self.now()).await?;
        tx.commit().await?;
        self.changed(ChangeKind::Settings, format!("person/{id}"));
        Ok(made)
    }

    /// Tells whose link a secret is of, where it still counts.
    pub async fn link_owner(&self, secret: &str) -> Result<Person> {
        let link = one_time_link::Entity::find()
            .filter(one_time_link::Column::SecretHash.eq(secret::hash(secret)))
            .one(self.db())
            .await?;
        let link = counting(link, self.now())?;
        self.person(link.user_id).await?.ok_or_else(over)
    }

    /// Sets the password of the person whose link it is; the link ends, and so do all his sessions.
    pub async fn use_link(&self, secret: &str, password: &str) -> Result<Person> {
        // Before the costly hash: nobody without the secret gets as far.
        let owner = self.link_owner(secret).await?;
        check_password(password, &owner.name)?;
        let password_hash = self.inner.passwords.hash(password).await?;
        let tx = database::begin(self.db()).await?;
        let now = self.now();
        let link = one_time_link::Entity::find()
            .filter(one_time_link::Column::SecretHash.eq(secret::hash(secret)));
        let link = counting(locked(&tx, link).one(&tx).await?, now)?;
        let row = locked(&tx, user::Entity::find_by_id(link.user_id))
            .one(&tx)
            .await?;
        let row = row
            .filter(|row| row.disabled_at.is_none())
            .ok_or_else(over)?;
        let actor = Actor::User(row.name.clone());
        replace_password(&tx, &actor, &row, password_hash, now).await?;
        tx.commit().await?;
        self.inner.passwords.forgive_name(&row.name);
        self.changed(ChangeKind::Settings, format!("person/{}", row.id));
        person_of(row)
    }
}

async fn put_link(
    tx: &DatabaseTransaction,
    actor: &Actor,
    id: i64,
    now: Timestamp,
) -> Result<(Account, String)> {
    let row = locked(tx, user::Entity::find_by_id(id)).one(tx).await?;
    let row = row.ok_or_else(|| no_account(id))?;
    if row.disabled_at.is_some() {
        return Err(Error::problem(
            ProblemCode::Conflict,
            format!("The account of {} is closed; open it first.", row.name),
        ));
    }
    let secret = secret::generate("otl_")?;
    let expires_at = now.plus_sec(LIFE_SEC);
    let link = one_time_link::ActiveModel {
        user_id: Set(id),
        secret_hash: Set(secret::hash(&secret)),
        expires_at: Set(expires_at.0),
    };
    let replace = OnConflict::column(one_time_link::Column::UserId)
        .update_columns([
            one_time_link::Column::SecretHash,
            one_time_link::Column::ExpiresAt,
        ])
        .to_owned();
    one_time_link::Entity::insert(link)
        .on_conflict(replace)
        .exec_without_returning(tx)
        .await?;
    let happening = Happening::new(actor, "person.link", "person", &row.name)
        .after(json!({ "expires_at": expires_at }));
    audit::record(tx, now, happening).await?;
    Ok((account_of(row, Some(expires_at))?, secret))
}

fn counting(link: Option<one_time_link::Model>, now: Timestamp) -> Result<one_time_link::Model> {
    link.filter(|link| link.expires_at > now.0).ok_or_else(over)
}

fn over() -> Error {
    Error::problem(
        ProblemCode::Unauthenticated,
        "The link doesn't count (any more). Ask an admin for a new one.",
    )
}
