//! Keys for programs.

use otter_protocol::admin::{ApiKey, ChangeKind, NewApiKey, Role, Scope, WithSecret};
use otter_protocol::{ProblemCode, Timestamp};
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::{ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder};

use crate::actor::Actor;
use crate::audit::{self, Happening};
use crate::database::{self, locked};
use crate::entity::api_key;
use crate::error::{Error, Result};
use crate::fleet::Fleet;
use crate::groups::check_group;
use crate::secret;
use crate::text::{check_name, role_of};

/// How exactly it is known when a key was used last, in seconds.
const USED_EVERY_SEC: u64 = 60;

/// A program that showed a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiCaller {
    /// The key's name.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// With what of the fleet.
    pub scope: Scope,
}

impl Fleet {
    /// Makes a key; its secret is shown only in the answer.
    pub async fn create_api_key(
        &self,
        actor: &Actor,
        new: &NewApiKey,
    ) -> Result<WithSecret<ApiKey>> {
        check_name("name", &new.name, 100)?;
        let now = self.now();
        if new.expires_at.is_some_and(|end| end <= now) {
            return Err(Error::invalid(
                "expires_at",
                "The key would have ended already; give a time to come, or none.",
            ));
        }
        let secret = secret::generate("otk_")?;
        let tx = database::begin(self.db()).await?;
        check_scope(&tx, &new.scope).await?;
        let made = insert(&tx, actor, new, &secret, now).await?;
        tx.commit().await?;
        self.changed(ChangeKind::Settings, format!("api_key/{}", made.id));
        Ok(WithSecret { made, secret })
    }

    /// Lists keys, the newest first.
    pub async fn api_keys(&self) -> Result<Vec<ApiKey>> {
        let rows = api_key::Entity::find()
            .order_by_desc(api_key::Column::Id)
            .all(self.db())
            .await?;
        rows.into_iter().map(key_of).collect()
    }

    /// Takes a key back, at once.
    pub async fn revoke_api_key(&self, actor: &Actor, id: i64) -> Result<()> {
        let tx = database::begin(self.db()).await?;
        let row = locked(&tx, api_key::Entity::find_by_id(id))
            .one(&tx)
            .await?;
        let row = row.ok_or_else(|| Error::not_found(format!("API key {id}")))?;
        if row.revoked_at.is_some() {
            return Ok(());
        }
        revoke(&tx, actor, row, self.now()).await?;
        tx.commit().await?;
        self.changed(ChangeKind::Settings, format!("api_key/{id}"));
        Ok(())
    }

    /// Returns who showed a secret; `unauthenticated` where it doesn't count.
    pub async fn api_caller(&self, secret: &str) -> Result<ApiCaller> {
        let row = api_key::Entity::find()
            .filter(api_key::Column::TokenHash.eq(secret::hash(secret)))
            .one(self.db())
            .await?;
        match row.filter(|row| counts(row, self.now())) {
            Some(row) => {
                self.note_use(&row).await?;
                Ok(ApiCaller {
                    role: role_of(&row.role)?,
                    scope: scope_of(&row)?,
                    name: row.name,
                })
            }
            None => Err(Error::problem(
                ProblemCode::Unauthenticated,
                "The API key doesn't count: it is unknown, was taken back, or has ended.",
            )),
        }
    }

    /// Notes that a key is used; a write at most once a minute.
    async fn note_use(&self, row: &api_key::Model) -> Result<()> {
        let now = self.now();
        let last = row.last_used_at.map(Timestamp);
        if last.is_some_and(|last| now.sec_since(last) < USED_EVERY_SEC) {
            return Ok(());
        }
        let change = api_key::ActiveModel {
            last_used_at: Set(Some(now.0)),
            ..Default::default()
        };
        api_key::Entity::update_many()
            .set(change)
            .filter(api_key::Column::Id.eq(row.id))
            .exec(self.db())
            .await?;
        Ok(())
    }

    /// Makes sure that a key with this very secret exists and is an admin's: the key that the server's setup names.
    ///
    /// Another secret that the setup named so before ends.
    pub async fn ensure_api_key(&self, name: &str, secret: &str) -> Result<()> {
        check_name("name", name, 100)?;
        if secret.trim().is_empty() {
            return Err(Error::invalid(
                "api_key",
                "The API key of the setup must not be empty.",
            ));
        }
        let (now, actor, hash) = (self.now(), Actor::Console, secret::hash(secret));
        let tx = database::begin(self.db()).await?;
        let of_setup = api_key::Entity::find()
            .filter(api_key::Column::Name.eq(name))
            .filter(api_key::Column::CreatedBy.eq(actor.to_string()))
            .filter(api_key::Column::RevokedAt.is_null());
        for row in locked(&tx, of_setup).all(&tx).await? {
            if row.token_hash != hash {
                revoke(&tx, &actor, row, now).await?;
            }
        }
        let same = api_key::Entity::find().filter(api_key::Column::TokenHash.eq(&hash));
        match locked(&tx, same).one(&tx).await? {
            Some(row) => restore(&tx, &actor, row, now).await?,
            None => {
                let new = NewApiKey {
                    name: name.to_owned(),
                    role: Role::Admin,
                    expires_at: None,
                    scope: Scope::default(),
                };
                insert(&tx, &actor, &new, secret, now).await?;
            }
        }
        tx.commit().await?;
        Ok(())
    }
}

async fn insert(
    tx: &DatabaseTransaction,
    actor: &Actor,
    new: &NewApiKey,
    secret: &str,
    now: Timestamp,
) -> Result<ApiKey> {
    let row = api_key::Entity::insert(api_key::ActiveModel {
        id: NotSet,
        name: Set(new.name.clone()),
        token_hash: Set(secret::hash(secret)),
        role: Set(new.role.as_str().to_owned()),
        created_by: Set(actor.to_string()),
        created_at: Set(now.0),
        expires_at: Set(new.expires_at.map(|end| end.0)),
        revoked_at: Set(None),
        last_used_at: Set(None),
        scope: Set(written(&new.scope)?),
    })
    .exec_with_returning(tx)
    .await?;
    let key = key_of(row)?;
    audit::record(
        tx,
        now,
        Happening::new(actor, "api_key.create", "api_key", key.id).after(&key),
    )
    .await?;
    Ok(key)
}

async fn revoke(
    tx: &DatabaseTransaction,
    actor: &Actor,
    row: api_key::Model,
    now: Timestamp,
) -> Result<()> {
    let change = api_key::ActiveModel {
        id: Set(row.id),
        revoked_at: Set(Some(now.0)),
        ..Default::default()
    };
    let after = api_key::Entity::update(change).exec(tx).await?;
    let happening = Happening::new(actor, "api_key.revoke", "api_key", row.id);
    audit::record(
        tx,
        now,
        happening.before(key_of(row)?).after(key_of(after)?),
    )
    .await
}

/// Makes an old key count again, for good and for everything, where it doesn't.
async fn restore(
    tx: &DatabaseTransaction,
    actor: &Actor,
    row: api_key::Model,
    now: Timestamp,
) -> Result<()> {
    let reaches_all = scope_of(&row)?.is_everything();
    let is_admins = row.role == Role::Admin.as_str();
    if row.revoked_at.is_none() && row.expires_at.is_none() && is_admins && reaches_all {
        return Ok(());
    }
    let change = api_key::ActiveModel {
        id: Set(row.id),
        role: Set(Role::Admin.as_str().to_owned()),
        expires_at: Set(None),
        revoked_at: Set(None),
        scope: Set(written(&Scope::default())?),
        ..Default::default()
    };
    let after = api_key::Entity::update(change).exec(tx).await?;
    let happening = Happening::new(actor, "api_key.restore", "api_key", row.id);
    audit::record(
        tx,
        now,
        happening.before(key_of(row)?).after(key_of(after)?),
    )
    .await
}

fn counts(row: &api_key::Model, now: Timestamp) -> bool {
    row.revoked_at.is_none() && row.expires_at.is_none_or(|end| end > now.0)
}

/// Checks a scope to be given: groups that aren't there are most likely typed wrong.
async fn check_scope(tx: &DatabaseTransaction, scope: &Scope) -> Result<()> {
    for (field, named) in [
        ("scope.groups", scope.groups.len()),
        ("scope.models", scope.models.len()),
    ] {
        if named > Scope::MOST {
            let detail = format!("A key names at most {} of them, not {named}.", Scope::MOST);
            return Err(Error::invalid(field, detail));
        }
    }
    for (place, group) in scope.groups.iter().enumerate() {
        check_group(tx, &format!("scope.groups[{place}]"), group).await?;
    }
    Ok(())
}

fn written(scope: &Scope) -> Result<String> {
    serde_json::to_string(scope).map_err(|error| Error::Corrupt(error.to_string()))
}

/// Reads what a key reaches; one whose scope can't be read doesn't count at all.
fn scope_of(row: &api_key::Model) -> Result<Scope> {
    serde_json::from_str(&row.scope)
        .map_err(|error| Error::Corrupt(format!("the scope of API key {}: {error}", row.id)))
}

fn key_of(row: api_key::Model) -> Result<ApiKey> {
    let role = role_of(&row.role)?;
    let scope = scope_of(&row)?;
    Ok(ApiKey {
        id: row.id,
        spec: NewApiKey {
            name: row.name,
            role,
            expires_at: row.expires_at.map(Timestamp),
            scope,
        },
        created_by: row.created_by,
        created_at: Timestamp(row.created_at),
        revoked_at: row.revoked_at.map(Timestamp),
        last_used_at: row.last_used_at.map(Timestamp),
    })
}
