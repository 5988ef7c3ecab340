//! A second factor: codes of an authenticator, and recovery codes for when it is lost.
//!
//! The authenticator's secret is shown while it is set up and never after; recovery codes are kept hashed.

use otter_protocol::admin::ChangeKind;
use otter_protocol::{ProblemCode, Timestamp};
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::{
    ColumnTrait, Condition, DatabaseTransaction, EntityTrait, PaginatorTrait, QueryFilter,
};
use serde_json::json;
use url::Url;

use crate::actor::Actor;
use crate::audit::{self, Happening};
use crate::database::{self, locked};
use crate::entity::{recovery_code, session, user};
use crate::error::{Error, Result};
use crate::fleet::Fleet;
use crate::people::{Person, no_account, person_of};
use crate::sessions::end_sessions;
use crate::{secret, totp};

/// How many recovery codes somebody gets.
const RECOVERY_CODES: usize = 10;

/// Bytes of an authenticator's secret: as many as SHA-1's digest has (RFC 4226, section 4).
const SECRET_BYTES: usize = 20;

/// Bytes of a recovery code, 24 characters: with 120 bits to guess, a plain hash will do.
const CODE_BYTES: usize = 15;

/// What an authenticator is set up with, shown once.
#[derive(Clone, PartialEq, Eq)]
pub struct FactorOffer {
    /// The secret, to type in, in base32.
    pub secret: String,
    /// The same as an `otpauth:` address, for a picture that authenticators read.
    pub address: String,
}

impl std::fmt::Debug for FactorOffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FactorOffer(secret)")
    }
}

impl Fleet {
    /// Begins to set up an authenticator: makes a secret, which counts once a code has shown that it arrived.
    pub async fn offer_second_factor(&self, person: &Person) -> Result<FactorOffer> {
        let bytes = secret::random::<SECRET_BYTES>()?;
        let tx = database::begin(self.db()).await?;
        let row = open_account(&tx, person.id).await?;
        if row.totp_secret.is_some() {
            return Err(conflict(
                "You have a second factor already; remove it first.",
            ));
        }
        let change = user::ActiveModel {
            id: Set(row.id),
            totp_offered: Set(Some(hex::encode(bytes))),
            ..Default::default()
        };
        user::Entity::update(change).exec(&tx).await?;
        tx.commit().await?;
        let secret = totp::base32(&bytes);
        Ok(FactorOffer {
            address: address(&person.name, &secret)?,
            secret,
        })
    }

    /// Returns what an authenticator is being set up with, until its code has shown that it arrived.
    pub async fn offered_second_factor(&self, person: &Person) -> Result<Option<FactorOffer>> {
        let row = user::Entity::find_by_id(person.id).one(self.db()).await?;
        let Some(offered) = row.and_then(|row| row.totp_offered) else {
            return Ok(None);
        };
        let secret = totp::base32(&bytes_of(&offered)?);
        Ok(Some(FactorOffer {
            address: address(&person.name, &secret)?,
            secret,
        }))
    }

    /// Takes the authenticator that was offered, once its code is right; returns recovery codes, shown only now.
    ///
    /// Other sessions end: they began without it. `keep` is the one that stays.
    pub async fn take_second_factor(
        &self,
        person: &Person,
        code: &str,
        keep: Option<&str>,
    ) -> Result<Vec<String>> {
        let tx = database::begin(self.db()).await?;
        let now = self.now();
        let row = open_account(&tx, person.id).await?;
        if row.totp_secret.is_some() {
            return Err(conflict(
                "You have a second factor already; remove it first.",
            ));
        }
        let offered = row
            .totp_offered
            .ok_or_else(|| conflict("No second factor is being set up; begin anew."))?;
        let step = totp::step_of(&bytes_of(&offered)?, &plain(code), now, 0).ok_or_else(|| {
            Error::invalid(
                "code",
                "The code is wrong. Type the one that is shown now; if it is refused again, check the clock of the \
                 device that shows it.",
            )
        })?;
        let change = user::ActiveModel {
            id: Set(row.id),
            totp_secret: Set(Some(offered)),
            totp_offered: Set(None),
            totp_step: Set(step),
            ..Default::default()
        };
        user::Entity::update(change).exec(&tx).await?;
        let codes = put_recovery_codes(&tx, row.id).await?;
        let others = keep.map(|id| session::Column::Id.ne(secret::hash(id)));
        end_sessions(&tx, row.id, Condition::all().add_option(others)).await?;
        record(
            &tx,
            &user_actor(person),
            "person.second_factor",
            &row.name,
            now,
        )
        .await?;
        tx.commit().await?;
        self.changed(ChangeKind::Settings, format!("person/{}", row.id));
        Ok(codes)
    }

    /// Takes a person's second factor away, with its recovery codes; nothing where there is none.
    pub async fn remove_second_factor(&self, actor: &Actor, id: i64) -> Result<()> {
        let tx = database::begin(self.db()).await?;
        let row = locked(&tx, user::Entity::find_by_id(id)).one(&tx).await?;
        let row = row.ok_or_else(|| no_account(id))?;
        if row.totp_secret.is_none() {
            return Ok(());
        }
        let change = user::ActiveModel {
            id: Set(id),
            totp_secret: Set(None),
            totp_offered: Set(None),
            ..Default::default()
        };
        user::Entity::update(change).exec(&tx).await?;
        delete_recovery_codes(&tx, id).await?;
        record(
            &tx,
            actor,
            "person.second_factor_removed",
            &row.name,
            self.now(),
        )
        .await?;
        tx.commit().await?;
        self.changed(ChangeKind::Settings, format!("person/{id}"));
        Ok(())
    }

    /// Makes new recovery codes, shown only now; those from before end.
    pub async fn renew_recovery_codes(&self, person: &Person) -> Result<Vec<String>> {
        let tx = database::begin(self.db()).await?;
        let row = open_account(&tx, person.id).await?;
        if row.totp_secret.is_none() {
            return Err(conflict(
                "Recovery codes belong to a second factor; set one up first.",
            ));
        }
        let codes = put_recovery_codes(&tx, row.id).await?;
        record(
            &tx,
            &user_actor(person),
            "person.recovery_codes",
            &row.name,
            self.now(),
        )
        .await?;
        tx.commit().await?;
        Ok(codes)
    }

    /// Returns how many recovery codes a person has left; none where there is no second factor.
    pub async fn recovery_codes_left(&self, person: &Person) -> Result<Option<u64>> {
        let row = user::Entity::find_by_id(person.id).one(self.db()).await?;
        if row.is_none_or(|row| row.totp_secret.is_none()) {
            return Ok(None);
        }
        let mine = recovery_code::Column::UserId.eq(person.id);
        let left = recovery_code::Entity::find().filter(mine);
        Ok(Some(left.count(self.db()).await?))
    }

    /// Checks a code of somebody whose password was right at `since`: an authenticator's or a recovery code, each once.
    ///
    /// `unauthenticated` where it doesn't fit, `too_many_requests` after five failures within a quarter of an hour.
    pub async fn check_code(
        &self,
        id: i64,
        code: &str,
        since: Timestamp,
        address: &str,
    ) -> Result<Person> {
        let now = self.now();
        let begun = self.inner.passwords.begin_code(id, address, now);
        begun.inspect_err(|_| tracing::warn!(address, "too many failed codes"))?;
        let tx = database::begin(self.db()).await?;
        let row = open_account(&tx, id).await?;
        // Whoever knew only a password of before has to begin anew.
        if row.password_changed_at > since.0 {
            return Err(wrong_code());
        }
        let code = plain(code);
        let by_app = match &row.totp_secret {
            Some(kept) => totp::step_of(&bytes_of(kept)?, &code, now, row.totp_step),
            None => return Err(wrong_code()),
        };
        match by_app {
            Some(step) => {
                let change = user::ActiveModel {
                    id: Set(id),
                    totp_step: Set(step),
                    ..Default::default()
                };
                user::Entity::update(change).exec(&tx).await?;
            }
            None => use_recovery_code(&tx, &row, &code, now, address).await?,
        }
        tx.commit().await?;
        self.inner.passwords.succeed_code(id, address);
        person_of(row)
    }
}

async fn open_account(tx: &DatabaseTransaction, id: i64) -> Result<user::Model> {
    let row = locked(tx, user::Entity::find_by_id(id)).one(tx).await?;
    row.filter(|row| row.disabled_at.is_none())
        .ok_or_else(|| no_account(id))
}

async fn use_recovery_code(
    tx: &DatabaseTransaction,
    row: &user::Model,
    code: &str,
    now: Timestamp,
    address: &str,
) -> Result<()> {
    let used = recovery_code::Entity::delete_many()
        .filter(recovery_code::Column::UserId.eq(row.id))
        .filter(recovery_code::Column::CodeHash.eq(secret::hash(code)))
        .exec(tx)
        .await?;
    if used.rows_affected == 0 {
        tracing::warn!(address, "a second factor's code was wrong");
        return Err(wrong_code());
    }
    let actor = Actor::User(row.name.clone());
    record(tx, &actor, "person.recovery_code_used", &row.name, now).await
}

async fn put_recovery_codes(tx: &DatabaseTransaction, id: i64) -> Result<Vec<String>> {
    delete_recovery_codes(tx, id).await?;
    let mut codes = Vec::with_capacity(RECOVERY_CODES);
    for _ in 0..RECOVERY_CODES {
        let code = totp::base32(&secret::random::<CODE_BYTES>()?).to_lowercase();
        let row = recovery_code::ActiveModel {
            id: NotSet,
            user_id: Set(id),
            code_hash: Set(secret::hash(&code)),
        };
        recovery_code::Entity::insert(row)
            .exec_without_returning(tx)
            .await?;
        codes.push(in_groups(&code));
    }
    Ok(codes)
}

async fn delete_recovery_codes(tx: &DatabaseTransaction, id: i64) -> Result<()> {
    recovery_code::Entity::delete_many()
        .filter(recovery_code::Column::UserId.eq(id))
        .exec(tx)
        .await?;
    Ok(())
}

async fn record(
    tx: &DatabaseTransaction,
    actor: &Actor,
    action: &'static str,
    name: &str,
    now: Timestamp,
) -> Result<()> {
    let happening = Happening::new(actor, action, "person", name).after(json!({}));
    audit::record(tx, now, happening).await
}

fn user_actor(person: &Person) -> Actor {
    Actor::User(person.name.clone())
}

/// A code as it is compared: without what people add to read it.
fn plain(code: &str) -> String {
    let kept = code.chars().filter(char::is_ascii_alphanumeric);
    kept.take(64).collect::<String>().to_ascii_lowercase()
}

fn in_groups(code: &str) -> String {
    let characters: Vec<char> = code.chars().collect();
    let groups: Vec<String> = characters
        .chunks(4)
        .map(|group| group.iter().collect())
        .collect();
    groups.join("-")
}

fn bytes_of(kept: &str) -> Result<Vec<u8>> {
    hex::decode(kept).map_err(|_| Error::Corrupt("an authenticator's secret".into()))
}

/// The address that authenticators read from a picture.
fn address(name: &str, secret: &str) -> Result<String> {
    let broken = |_| Error::Corrupt("an authenticator's address".into());
    let mut address = Url::parse("otpauth://totp/").map_err(broken)?;
    if let Ok(mut path) = address.path_segments_mut() {
        path.clear().push(&format!("Otter:{name}"));
    }
    address
        .query_pairs_mut()
        .append_pair("secret", secret)
        .append_pair("issuer", "Otter");
    Ok(address.into())
}

fn conflict(detail: &str) -> Error {
    Error::problem(ProblemCode::Conflict, detail)
}

fn wrong_code() -> Error {
    Error::problem(
        ProblemCode::Unauthenticated,
        "The code is wrong, or was used already.",
    )
}
