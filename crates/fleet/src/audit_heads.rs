//! The audit log's end, signed every day: kept elsewhere, a signed head shows where an end was cut off. And its beginning,
//! where older events are no longer kept.

use otter_protocol::admin::ChangeKind;
use otter_protocol::audit_chain::{Link, RETAIN, SignedHead, head_message};
use otter_protocol::{Sha256Digest, Timestamp};
use otter_trust::SecretKey;
use sea_orm::ActiveValue::Set;
use sea_orm::{
    ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};
use serde_json::json;

use crate::actor::Actor;
use crate::audit::{self, Happening};
use crate::database::{self, locked};
use crate::entity::{event, event_head, event_signature, secret};
use crate::error::{Error, Result};
use crate::fleet::Fleet;
use crate::webhooks::Notice;

/// How often the head is signed, in seconds.
const DAY_SEC: u64 = 24 * 60 * 60;
/// The name of the key's row.
const KEY: &str = "audit.head";
/// How long the right to look after the log lasts, in seconds.
const LEASE_SEC: u64 = 120;

impl Fleet {
    /// Signs the log's end where that is due, and lets go of what needn't be kept; one server at a time.
    pub(crate) async fn look_after_audit(&self) -> Result<()> {
        if !self.hold_lease("audit", LEASE_SEC).await? {
            return Ok(());
        }
        self.sign_audit_head().await?;
        self.retain_audit().await
    }

    /// Signs the log's end, unless that was done within a day or nothing was written since.
    pub async fn sign_audit_head(&self) -> Result<Option<SignedHead>> {
        let newest = event_signature::Entity::find()
            .order_by_desc(event_signature::Column::Sequence)
            .one(self.db())
            .await?;
        let due = newest.map_or(i64::MIN, |row| Timestamp(row.signed_at).plus_sec(DAY_SEC).0);
        if self.now().0 < due {
            return Ok(None);
        }
        let tx = database::begin(self.db()).await?;
        let key = self.audit_key(&tx).await?;
        let head = locked_head(&tx).await?;
        let is_signed = event_signature::Entity::find_by_id(head.sequence)
            .one(&tx)
            .await?
            .is_some();
        if is_signed {
            tx.rollback().await?;
            return Ok(None);
        }
        let now = self.now();
        let link = Link {
            sequence: head.sequence,
            hash: parsed(&head.hash)?,
        };
        let signed = SignedHead {
            link,
            signed_at: now,
            public_key: hex::encode(key.public().as_bytes()),
            signature: hex::encode(key.sign(&head_message(link, now))),
        };
        let row = event_signature::Model {
            sequence: head.sequence,
            hash: head.hash,
            signed_at: now.0,
            public_key: signed.public_key.clone(),
            signature: signed.signature.clone(),
        };
        event_signature::Entity::insert(event_signature::ActiveModel::from(row))
            .exec_without_returning(&tx)
            .await?;
        self.announce(&tx, &[Notice::audit_head(signed.clone())])
            .await?;
        tx.commit().await?;
        self.changed(ChangeKind::Settings, "audit_head");
        Ok(Some(signed))
    }

    /// Lists signed heads behind an event, the oldest first, at most `limit`.
    pub async fn audit_heads(&self, after: i64, limit: u64) -> Result<Vec<SignedHead>> {
        let rows = event_signature::Entity::find()
            .filter(event_signature::Column::Sequence.gt(after))
            .order_by_asc(event_signature::Column::Sequence)
            .limit(limit)
            .all(self.db())
            .await?;
        rows.into_iter().map(head_of).collect()
    }

    /// Returns the newest signed head.
    pub async fn newest_audit_head(&self) -> Result<Option<SignedHead>> {
        let newest = event_signature::Entity::find()
            .order_by_desc(event_signature::Column::Sequence)
            .one(self.db())
            .await?;
        newest.map(head_of).transpose()
    }

    /// Lets go of events that are older than the setup asks to keep, up to a signed head: an export that was made before still
    /// fits what stays, and the log says itself where it begins.
    pub async fn retain_audit(&self) -> Result<()> {
        let Some(days) = self.config().audit_keep_days else {
            return Ok(());
        };
        let kept_since =
            self.now().0 - i64::from(days) * i64::try_from(DAY_SEC * 1000).unwrap_or(i64::MAX);
        let tx = database::begin(self.db()).await?;
        let head = locked_head(&tx).await?;
        let oldest_kept = event::Entity::find()
            .filter(event::Column::At.gte(kept_since))
            .order_by_asc(event::Column::Sequence)
            .one(&tx)
            .await?;
        let end = oldest_kept.map_or(head.sequence, |row| row.sequence - 1);
        let border = event_signature::Entity::find()
            .filter(event_signature::Column::Sequence.lte(end))
            .order_by_desc(event_signature::Column::Sequence)
            .one(&tx)
            .await?;
        let Some(border) = border.filter(|border| border.sequence > head.base_sequence) else {
            tx.rollback().await?;
            return Ok(());
        };
        event::Entity::delete_many()
            .filter(event::Column::Sequence.lte(border.sequence))
            .exec(&tx)
            .await?;
        event_head::Entity::update(event_head::ActiveModel {
            id: Set(1),
            base_sequence: Set(border.sequence),
            base_hash: Set(border.hash.clone()),
            ..Default::default()
        })
        .exec(&tx)
        .await?;
        let base = Link {
            sequence: border.sequence,
            hash: parsed(&border.hash)?,
        };
        let happening = Happening::new(&Actor::Engine, RETAIN, "audit", "log")
            .before(json!({ "sequence": head.base_sequence }))
            .after(base);
        audit::record(&tx, self.now(), happening).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Returns the key that signs heads; makes it where there is none.
    async fn audit_key(&self, tx: &DatabaseTransaction) -> Result<SecretKey> {
        let find = || locked(tx, secret::Entity::find_by_id(KEY));
        if find().one(tx).await?.is_none() {
            let key = SecretKey::generate()?;
            let row = secret::ActiveModel {
                name: Set(KEY.to_owned()),
                value: Set(key.to_text().to_string()),
                created_at: Set(self.now().0),
            };
            // Only one server looks after the log; another one's attempt fails here, and is made again later.
            secret::Entity::insert(row)
                .exec_without_returning(tx)
                .await?;
            let happening = Happening::new(&Actor::Engine, "audit.key", "audit", "head")
                .after(json!({ "public_key": hex::encode(key.public().as_bytes()) }));
            audit::record(tx, self.now(), happening).await?;
            return Ok(key);
        }
        let row = find()
            .one(tx)
            .await?
            .ok_or_else(|| Error::Corrupt("the audit log's key is missing".into()))?;
        // A key's own error could tell of its text.
        SecretKey::from_text(&row.value).map_err(|_| Error::Corrupt(format!("the key {KEY}")))
    }
}

async fn locked_head(tx: &DatabaseTransaction) -> Result<event_head::Model> {
    let head = locked(tx, event_head::Entity::find_by_id(1))
        .one(tx)
        .await?;
    head.ok_or_else(|| Error::Corrupt("the audit log has no head".into()))
}

pub(crate) fn parsed(hash: &str) -> Result<Sha256Digest> {
    hash.parse()
        .map_err(|_| Error::Corrupt("a hash of the audit log".into()))
}

pub(crate) fn head_of(row: event_signature::Model) -> Result<SignedHead> {
    Ok(SignedHead {
        link: Link {
            sequence: row.sequence,
            hash: parsed(&row.hash)?,
        },
        signed_at: Timestamp(row.signed_at),
        public_key: row.public_key,
        signature: row.signature,
    })
}
