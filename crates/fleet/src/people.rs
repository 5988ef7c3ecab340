//! People: local accounts, what they may do, and whether they are open.

use std::collections::HashMap;

use otter_protocol::admin::{Account, AccountPatch, ChangeKind, Role};
use otter_protocol::{ProblemCode, Timestamp};
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ColumnTrait, Condition, DatabaseTransaction, EntityTrait, PaginatorTrait, QueryFilter,
    QueryOrder,
};

use crate::actor::Actor;
use crate::audit::{self, Happening};
use crate::database::{self, locked};
use crate::entity::{one_time_link, secret as kept_secret, user};
use crate::error::{Error, Result, is_duplicate};
use crate::fleet::Fleet;
use crate::password_rules::check_password;
use crate::secret;
use crate::sessions::end_sessions;
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
    /// Makes an account; `already_exists` for a name that is taken, `invalid_request` for a password that won't do.
    pub async fn add_person(
        &self,
        actor: &Actor,
        name: &str,
        password: &str,
        role: Role,
    ) -> Result<Person> {
        check_name("name", name, 64)?;
        check_password(password, name)?;
        let password_hash = self.inner.passwords.hash(password).await?;
        let tx = database::begin(self.db()).await?;
        let person = insert(&tx, actor, name, password_hash, role, self.now()).await?;
        tx.commit().await?;
        self.changed(ChangeKind::Settings, format!("person/{}", person.id));
        Ok(person)
    }

    /// Lists accounts by name, those that are closed last.
    pub async fn accounts(&self) -> Result<Vec<Account>> {
        let rows = user::Entity::find()
            .order_by_asc(user::Column::Name)
            .all(self.db())
            .await?;
        let links: HashMap<i64, Timestamp> = one_time_link::Entity::find()
            .filter(one_time_link::Column::ExpiresAt.gt(self.now().0))
            .all(self.db())
            .await?
            .into_iter()
            .map(|link| (link.user_id, Timestamp(link.expires_at)))
            .collect();
        let accounts = rows.into_iter().map(|row| {
            let link = links.get(&row.id).copied();
            account_of(row, link)
        });
        let mut accounts: Vec<Account> = accounts.collect::<Result<_>>()?;
        accounts.sort_by_key(|account| account.disabled_at.is_some());
        Ok(accounts)
    }

    /// Changes what a person may do, or closes or opens the account; `conflict` where no admin would be left.
    pub async fn change_account(
        &self,
        actor: &Actor,
        id: i64,
        patch: &AccountPatch,
    ) -> Result<Account> {
        let tx = database::begin(self.db()).await?;
        let now = self.now();
        // All admins at once, so that two who close each other's account don't both succeed.
        let concerned = Condition::any()
            .add(user::Column::Role.eq(Role::Admin.as_str()))
            .add(user::Column::Id.eq(id));
        let rows = user::Entity::find()
            .filter(concerned)
            .order_by_asc(user::Column::Id);
        let rows = locked(&tx, rows).all(&tx).await?;
        let others_can_manage = rows.iter().any(|row| row.id != id && can_manage(row));
        let before = rows.into_iter().find(|row| row.id == id);
        let before = before.ok_or_else(|| no_account(id))?;
        let mut after = before.clone();
        if let Some(role) = patch.role {
            after.role = role.as_str().to_owned();
        }
        match patch.disabled {
            Some(true) => after.disabled_at = before.disabled_at.or(Some(now.0)),
            Some(false) => after.disabled_at = None,
            None => {}
        }
        if can_manage(&before) && !can_manage(&after) && !others_can_manage {
            return Err(Error::problem(
                ProblemCode::Conflict,
                format!(
                    "{} is the last admin: make somebody else one first.",
                    before.name
                ),
            ));
        }
        if after == before {
            return account_of(after, None);
        }
        let change = user::ActiveModel {
            id: Set(id),
            role: Set(after.role.clone()),
            disabled_at: Set(after.disabled_at),
            ..Default::default()
        };
        user::Entity::update(change).exec(&tx).await?;
        if after.disabled_at.is_some() {
            end_sessions(&tx, id, Condition::all()).await?;
            one_time_link::Entity::delete_by_id(id).exec(&tx).await?;
        }
        let (before, after) = (account_of(before, None)?, account_of(after, None)?);
        let happening = Happening::new(actor, "person.change", "person", &after.name);
        audit::record(&tx, now, happening.before(&before).after(&after)).await?;
        tx.commit().await?;
        self.changed(ChangeKind::Settings, format!("person/{id}"));
        Ok(after)
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
        check_password(password, name)?;
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

pub(crate) async fn insert(
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
        password_changed_at: Set(now.0),
        last_login_at: Set(None),
        totp_secret: Set(None),
        totp_offered: Set(None),
        totp_step: Set(0),
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

fn check_setup(kept: Option<kept_secret::Model>, secret: &str) -> Result<()> {
    if kept.is_some_and(|kept| kept.value == secret::hash(secret)) {
        return Ok(());
    }
    let detail =
        "The set-up link doesn't count (any more). Start the server anew to get a new one.";
    Err(Error::problem(ProblemCode::Unauthenticated, detail))
}

/// Tells whether somebody can manage people: an admin who is in.
fn can_manage(row: &user::Model) -> bool {
    row.role == Role::Admin.as_str() && row.disabled_at.is_none() && !row.password_hash.is_empty()
}

pub(crate) fn no_account(id: i64) -> Error {
    Error::not_found(format!("account {id}"))
}

pub(crate) fn account_of(row: user::Model, link_expires_at: Option<Timestamp>) -> Result<Account> {
    Ok(Account {
        role: role_of(&row.role)?,
        id: row.id,
        name: row.name,
        created_at: Timestamp(row.created_at),
        disabled_at: row.disabled_at.map(Timestamp),
        last_login_at: row.last_login_at.map(Timestamp),
        has_password: !row.password_hash.is_empty(),
        has_second_factor: row.totp_secret.is_some(),
        link_expires_at,
    })
}

pub(crate) fn person_of(row: user::Model) -> Result<Person> {
    Ok(Person {
        role: role_of(&row.role)?,
        id: row.id,
        name: row.name,
    })
}
