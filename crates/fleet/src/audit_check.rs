//! The whole audit log, checked or handed out: what shows that nothing was changed, taken out or cut off.

use std::collections::BTreeMap;

use futures::TryStreamExt;
use otter_protocol::admin::{AuditExport, ChainCheck};
use otter_protocol::audit_chain::{ExportedEvent, Link, RETAIN, SignedHead, head_message};
use otter_trust::PublicKey;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use crate::audit_heads::{head_of, parsed};
use crate::entity::{event, event_head, event_signature};
use crate::error::{Error, Result};
use crate::fleet::Fleet;

/// Most events of one part of an export.
pub(crate) const PART: u64 = 1000;

impl Fleet {
    /// Walks the whole log and checks that each event holds the hash of the one before it, that none is missing, and that
    /// every head that was signed is still there.
    pub async fn verify_audit(&self) -> Result<ChainCheck> {
        let head = self.event_head().await?;
        let base = base_of(&head)?;
        let mut signed = BTreeMap::new();
        for row in event_signature::Entity::find().all(self.db()).await? {
            signed.insert(row.sequence, head_of(row)?);
        }
        let signed = signed.split_off(&(base.sequence + 1));
        let mut rows = event::Entity::find()
            .order_by_asc(event::Column::Sequence)
            .stream(self.db())
            .await?;
        let (mut last, mut said_base) = (base, None);
        let mut broken_at = None;
        while let Some(row) = rows.try_next().await? {
            let event = exported(row)?;
            let fits = event.continues(last)
                && signed
                    .get(&event.link.sequence)
                    .is_none_or(|head| head.link == event.link && is_genuine(head));
            if !fits {
                broken_at = Some(last.sequence + 1);
                break;
            }
            if event.action == RETAIN {
                let after = event.after.as_deref();
                said_base = after.and_then(|text| serde_json::from_str::<Link>(text).ok());
            }
            last = event.link;
        }
        // Events written since the head was read only make the log longer.
        let newest_signed = signed.keys().last().copied().unwrap_or(0);
        if broken_at.is_none() && head.sequence.max(newest_signed) > last.sequence {
            broken_at = Some(last.sequence + 1);
        }
        if broken_at.is_none() && base.sequence > 0 && said_base != Some(base) {
            // Nobody let go of what is missing at the beginning.
            broken_at = Some(base.sequence + 1);
        }
        Ok(ChainCheck {
            events: u64::try_from(last.sequence - base.sequence).unwrap_or(0),
            head: (last.sequence > 0).then_some(last.hash),
            begins_after: base.sequence,
            signed_heads: signed.len() as u64,
            broken_at,
        })
    }

    /// Returns a part of the log behind an event, as it is to be kept elsewhere; the last part has the signed heads.
    pub async fn export_audit(&self, after: i64) -> Result<AuditExport> {
        let base = base_of(&self.event_head().await?)?;
        let rows = event::Entity::find()
            .filter(event::Column::Sequence.gt(after))
            .order_by_asc(event::Column::Sequence)
            .limit(PART)
            .all(self.db())
            .await?;
        let is_last = (rows.len() as u64) < PART;
        let heads = if is_last {
            self.audit_heads(base.sequence - 1, u64::from(u32::MAX))
                .await?
        } else {
            Vec::new()
        };
        Ok(AuditExport {
            base,
            events: rows.into_iter().map(exported).collect::<Result<_>>()?,
            heads,
            is_last,
        })
    }

    /// Returns where the log ends: number and hash of its newest event.
    pub async fn audit_head(&self) -> Result<Link> {
        let head = self.event_head().await?;
        Ok(Link {
            sequence: head.sequence,
            hash: parsed(&head.hash)?,
        })
    }

    async fn event_head(&self) -> Result<event_head::Model> {
        let head = event_head::Entity::find_by_id(1).one(self.db()).await?;
        head.ok_or_else(|| Error::Corrupt("the audit log has no head".into()))
    }
}

fn base_of(head: &event_head::Model) -> Result<Link> {
    Ok(Link {
        sequence: head.base_sequence,
        hash: parsed(&head.base_hash)?,
    })
}

fn is_genuine(head: &SignedHead) -> bool {
    let mut key = [0; 32];
    hex::decode_to_slice(&head.public_key, &mut key).is_ok()
        && PublicKey::from_bytes(key)
            .verifies(&head_message(head.link, head.signed_at), &head.signature)
}

pub(crate) fn exported(row: event::Model) -> Result<ExportedEvent> {
    Ok(ExportedEvent {
        link: Link {
            sequence: row.sequence,
            hash: parsed(&row.hash)?,
        },
        at_ms: row.at,
        actor: row.actor,
        action: row.action,
        subject_kind: row.subject_kind,
        subject: row.subject,
        before: row.before_json,
        after: row.after_json,
    })
}
