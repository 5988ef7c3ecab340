//! Tokens that let devices in.

use otter_protocol::admin::{ChangeKind, EnrollmentToken, NewEnrollmentToken, WithSecret};
use otter_protocol::{GroupName, Model, Timestamp};
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::{ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder, Select};

use crate::actor::Actor;
use crate::audit::{self, Happening};
use crate::database::{self, locked};
use crate::entity::enrollment_token;
use crate::error::{Error, Result};
use crate::fleet::Fleet;
use crate::groups::check_group;
use crate::secret;
use crate::text::check_name;

impl Fleet {
    /// Makes a token; its secret is shown only in the answer.
    pub async fn create_enrollment_token(
        &self,
        actor: &Actor,
        new: &NewEnrollmentToken,
    ) -> Result<WithSecret<EnrollmentToken>> {
        let now = self.now();
        let quota = check(new, now)?;
        let models = serde_json::to_string(&new.models)
            .map_err(|error| Error::Corrupt(error.to_string()))?;
        let secret = secret::generate("ote_")?;
        let tx = database::begin(self.db()).await?;
        if let Some(group) = &new.group {
            check_group(&tx, "group", group).await?;
        }
        let row = enrollment_token::ActiveModel {
            id: NotSet,
            name: Set(new.name.clone()),
            token_hash: Set(secret::hash(&secret)),
            quota: Set(quota),
            used: Set(0),
            models: Set(models),
            group_name: Set(new.group.as_ref().map(ToString::to_string)),
            expires_at: Set(new.expires_at.map(|end| end.0)),
            created_by: Set(actor.to_string()),
            created_at: Set(now.0),
            revoked_at: Set(None),
        };
        let made = token_of(
            enrollment_token::Entity::insert(row)
                .exec_with_returning(&tx)
                .await?,
        )?;
        let happening = Happening::new(
            actor,
            "enrollment_token.create",
            "enrollment_token",
            made.id,
        )
        .after(&made);
        audit::record(&tx, now, happening).await?;
        tx.commit().await?;
        self.changed(
            ChangeKind::Settings,
            format!("enrollment_token/{}", made.id),
        );
        Ok(WithSecret { made, secret })
    }

    /// Lists tokens, the newest first.
    pub async fn enrollment_tokens(&self) -> Result<Vec<EnrollmentToken>> {
        let newest_first =
            enrollment_token::Entity::find().order_by_desc(enrollment_token::Column::Id);
        newest_first
            .all(self.db())
            .await?
            .into_iter()
            .map(token_of)
            .collect()
    }

    /// Takes a token back; devices that it let in stay.
    pub async fn revoke_enrollment_token(&self, actor: &Actor, id: i64) -> Result<()> {
        let tx = database::begin(self.db()).await?;
        // Once nobody else writes, so that the log's times rise with its numbers.
        let now = self.now();
        let row = locked(&tx, enrollment_token::Entity::find_by_id(id))
            .one(&tx)
            .await?;
        let before =
            token_of(row.ok_or_else(|| Error::not_found(format!("enrollment token {id}")))?)?;
        if before.revoked_at.is_some() {
            return Ok(());
        }
        let change = enrollment_token::ActiveModel {
            id: Set(id),
            revoked_at: Set(Some(now.0)),
            ..Default::default()
        };
        let after = token_of(enrollment_token::Entity::update(change).exec(&tx).await?)?;
        let happening = Happening::new(actor, "enrollment_token.revoke", "enrollment_token", id);
        audit::record(&tx, now, happening.before(before).after(after)).await?;
        tx.commit().await?;
        self.changed(ChangeKind::Settings, format!("enrollment_token/{id}"));
        Ok(())
    }
}

/// Checks a token to make; returns its quota as it is kept.
fn check(new: &NewEnrollmentToken, now: Timestamp) -> Result<Option<i32>> {
    check_name("name", &new.name, 100)?;
    if new.expires_at.is_some_and(|end| end <= now) {
        return Err(Error::invalid(
            "expires_at",
            "The token would have ended already; give a time to come, or none.",
        ));
    }
    let in_range = |quota: u32| i32::try_from(quota).ok().filter(|quota| *quota > 0);
    let refused = || {
        Error::invalid(
            "quota",
            "A quota goes from 1 to 2147483647; leave it out for no limit.",
        )
    };
    new.quota
        .map(|quota| in_range(quota).ok_or_else(refused))
        .transpose()
}

/// Finds the token of a secret.
pub(crate) fn find_token(secret: &str) -> Select<enrollment_token::Entity> {
    enrollment_token::Entity::find()
        .filter(enrollment_token::Column::TokenHash.eq(secret::hash(secret)))
}

/// Says why a token doesn't let a device in, where it doesn't.
pub(crate) fn refusal_of(
    token: Option<&enrollment_token::Model>,
    model: &Model,
    now: Timestamp,
) -> Option<String> {
    let Some(token) = token else {
        return Some("The enrollment token is unknown here; ask for another.".to_owned());
    };
    if token.revoked_at.is_some() {
        return Some("The enrollment token was taken back; ask for another.".to_owned());
    }
    if token.expires_at.is_some_and(|end| end <= now.0) {
        return Some("The enrollment token has ended; ask for another.".to_owned());
    }
    if let Some(quota) = token.quota.filter(|quota| token.used >= *quota) {
        return Some(format!(
            "The enrollment token has let in its {quota} devices; ask for another."
        ));
    }
    // A list that can't be read lets nobody in.
    let models: Option<Vec<Model>> = serde_json::from_str(&token.models).ok();
    let fits = models.is_some_and(|models| models.is_empty() || models.contains(model));
    (!fits).then(|| format!("The enrollment token isn't for the model `{model}`; ask for another."))
}

/// Counts one more device that a token let in; the caller has locked it.
pub(crate) async fn count_use(
    tx: &DatabaseTransaction,
    token: &enrollment_token::Model,
) -> Result<()> {
    let change = enrollment_token::ActiveModel {
        id: Set(token.id),
        used: Set(token.used + 1),
        ..Default::default()
    };
    enrollment_token::Entity::update(change).exec(tx).await?;
    Ok(())
}

fn token_of(row: enrollment_token::Model) -> Result<EnrollmentToken> {
    let corrupt = |what: &str| Error::Corrupt(format!("the {what} of enrollment token {}", row.id));
    let number = |number: i32, what: &str| u32::try_from(number).map_err(|_| corrupt(what));
    let spec = NewEnrollmentToken {
        quota: row.quota.map(|quota| number(quota, "quota")).transpose()?,
        expires_at: row.expires_at.map(Timestamp),
        models: serde_json::from_str(&row.models).map_err(|_| corrupt("models"))?,
        group: row
            .group_name
            .as_ref()
            .map(GroupName::new)
            .transpose()
            .map_err(|_| corrupt("group"))?,
        name: row.name.clone(),
    };
    Ok(EnrollmentToken {
        id: row.id,
        used: number(row.used, "count")?,
        spec,
        created_by: row.created_by,
        created_at: Timestamp(row.created_at),
        revoked_at: row.revoked_at.map(Timestamp),
    })
}
