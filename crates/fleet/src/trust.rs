//! The signed metadata: checked before it is kept, kept fresh with the server's own keys.

use otter_protocol::admin::{ChangeKind, OnlineKeys, TrustStatus, TrustWarning};
use otter_protocol::{ProblemCode, Sha256Digest, Timestamp};
use otter_trust::{
    Document, Limits, OnlineMetadata, Role, Root, TargetsDocument, TrustError, VerifiedTargets,
    renew, verify_root, verify_root_chain, verify_targets, verify_targets_succession,
};
use sea_orm::DatabaseTransaction;
use serde_json::{Value, json};

use crate::actor::Actor;
use crate::audit::{self, Happening};
use crate::database;
use crate::error::{Error, Result};
use crate::fleet::Fleet;
use crate::online_keys;
use crate::publication::{Publication, publications};
use crate::trust_files::{Newest, check_size, keep, latest, sweep};

impl Fleet {
    /// Returns the public halves of the server's own keys; they are made at the first call.
    pub async fn online_keys(&self) -> Result<OnlineKeys> {
        let keys = online_keys::load_or_make(self.db(), self.now()).await?;
        let public = |keys: &[otter_trust::SecretKey]| {
            let key = keys
                .first()
                .ok_or_else(|| Error::Corrupt("the server has no keys of its own".into()))?;
            serde_json::to_value(key.public()).map_err(|error| Error::Corrupt(error.to_string()))
        };
        Ok(OnlineKeys {
            snapshot: public(&keys.snapshot)?,
            timestamp: public(&keys.timestamp)?,
        })
    }

    /// Returns how the fleet's trust stands.
    pub async fn trust_status(&self) -> Result<TrustStatus> {
        let root = latest(self.db(), Role::Root).await?;
        let targets = latest(self.db(), Role::Targets).await?;
        let first = self.trust_metadata(&Role::Root.file_name(1)).await?;
        let version = |version: i64| u64::try_from(version).ok();
        let targets_untrusted =
            root.as_ref()
                .zip(targets.as_ref())
                .is_some_and(|(root, targets)| {
                    // Whoever signed it, its life and the root's have warnings of their own.
                    let whenever = otter_trust::Timestamp::MIN;
                    verify_targets(root.body.as_bytes(), targets.body.as_bytes(), whenever).is_err()
                });
        Ok(TrustStatus {
            root_version: root.as_ref().and_then(|row| version(row.version)),
            root_expires_at: root.map(|row| Timestamp(row.expires_at)),
            targets_version: targets.as_ref().and_then(|row| version(row.version)),
            targets_expires_at: targets.map(|row| Timestamp(row.expires_at)),
            root_fingerprint: first.map(|root| Sha256Digest::of(&root)),
            targets_untrusted,
        })
    }

    /// Returns what publishers have to do about the trust, the most urgent first.
    pub async fn trust_warnings(&self) -> Result<Vec<TrustWarning>> {
        Ok(self.trust_status().await?.warnings(self.now()))
    }

    /// Writes what publishers have to do to the log, at most once a day for each start of the server.
    pub(crate) async fn log_trust_warnings(&self) -> Result<()> {
        if !self.inner.trust_files.is_time_to_warn(self.now()) {
            return Ok(());
        }
        for warning in self.trust_warnings().await? {
            if warning.stops_updates() {
                tracing::error!("{warning}");
            } else {
                tracing::warn!("{warning}");
            }
        }
        Ok(())
    }

    /// Takes the first root, or the next version signed by old and new keys; it must name the server's own keys for
    /// snapshot and timestamp.
    pub async fn put_root(&self, actor: &Actor, bytes: &[u8]) -> Result<TrustStatus> {
        check_size(Role::Root, bytes, Limits::default().root)?;
        // Made before, so that there is a row to lock.
        online_keys::load_or_make(self.db(), self.now()).await?;
        let tx = database::begin(self.db()).await?;
        // Once nobody else writes, so that the log's times rise with its numbers.
        let now = self.now();
        let keys = online_keys::lock(&tx).await?;
        let newest = Newest::load(&tx).await?;
        if newest.root.as_deref() == Some(bytes) {
            tx.rollback().await?;
            return self.trust_status().await;
        }
        let root = check_root(newest.root.as_deref(), bytes, now)?;
        online_keys::check_named(&root, &keys)?;
        keep(&tx, bytes, now).await?;
        let mut happening =
            Happening::new(actor, "trust.root", "trust", Role::Root).after(facts_of(&root));
        if let Some(old) = &newest.root {
            happening = happening.before(facts_of(&Root::parse(old)?));
        }
        audit::record(&tx, now, happening).await?;
        // Targets that the new root doesn't trust wait for their publishers; devices refuse them until then.
        if let Some(targets) = newest
            .targets
            .filter(|targets| verify_targets(bytes, targets, now.to_jiff()).is_ok())
        {
            let is_due =
                |online: &OnlineMetadata| online.needs_renewal(bytes, &targets, now.to_jiff());
            if newest.online.as_ref().is_none_or(is_due) {
                sign_online(&tx, bytes, &targets, newest.online.as_ref(), &keys, now).await?;
            }
        }
        tx.commit().await?;
        self.inner.trust_files.forget();
        self.changed(ChangeKind::Settings, "trust");
        self.trust_status().await
    }

    /// Takes signed targets: verifies them, checks each against store and drafts, publishes the drafts that they
    /// complete, and signs the next snapshot and timestamp, all in one transaction.
    pub async fn put_targets(&self, actor: &Actor, bytes: &[u8]) -> Result<TrustStatus> {
        check_size(Role::Targets, bytes, Limits::default().targets)?;
        online_keys::load_or_make(self.db(), self.now()).await?;
        let tx = database::begin(self.db()).await?;
        // Once nobody else writes, so that the log's times rise with its numbers.
        let now = self.now();
        let keys = online_keys::lock(&tx).await?;
        let newest = Newest::load(&tx).await?;
        let Some(root) = newest.root else {
            let detail =
                "There is no root yet, so that nobody may sign. Make it with `otter trust init`.";
            return Err(Error::problem(ProblemCode::Conflict, detail));
        };
        if newest.targets.as_deref() == Some(bytes) {
            tx.rollback().await?;
            return self.trust_status().await;
        }
        let new = verify_targets(&root, bytes, now.to_jiff())?;
        let old = newest.targets.as_deref().map(read_targets).transpose()?;
        if let Some(old) = &old {
            verify_targets_succession(old, &new)?;
        }
        let old_artifacts = old.as_ref().map_or(&[][..], |old| &old.artifacts);
        let publications = publications(&tx, old_artifacts, &new.artifacts).await?;
        keep(&tx, bytes, now).await?;
        record_targets(&tx, actor, old.as_ref(), &new, now).await?;
        for publication in &publications {
            publication.publish(&tx, actor, now).await?;
        }
        sign_online(&tx, &root, bytes, newest.online.as_ref(), &keys, now).await?;
        tx.commit().await?;
        self.tell_published(&publications).await?;
        self.trust_status().await
    }

    async fn tell_published(&self, publications: &[Publication]) -> Result<()> {
        self.inner.trust_files.forget();
        if !publications.is_empty() {
            self.renew_plan().await?;
        }
        for publication in publications {
            self.changed(ChangeKind::Release, publication.release.id);
        }
        self.changed(ChangeKind::Settings, "trust");
        Ok(())
    }

    /// Signs the snapshot and timestamp anew where less than half of their life is left; tells whether it did.
    pub async fn renew_trust(&self) -> Result<bool> {
        // Asked without a lock at first: it is rarely time.
        if !is_due(&Newest::load(self.db()).await?, self.now()) {
            return Ok(false);
        }
        let tx = database::begin(self.db()).await?;
        // Once nobody else writes, so that the log's times rise with its numbers.
        let now = self.now();
        let keys = online_keys::lock(&tx).await?;
        let newest = Newest::load(&tx).await?;
        if !is_due(&newest, now) {
            return Ok(false);
        }
        let (Some(root), Some(targets)) = (newest.root, newest.targets) else {
            return Ok(false);
        };
        sign_online(&tx, &root, &targets, newest.online.as_ref(), &keys, now).await?;
        sweep(&tx, now).await?;
        audit::record(
            &tx,
            now,
            Happening::new(&Actor::Engine, "trust.renew", "trust", Role::Timestamp),
        )
        .await?;
        tx.commit().await?;
        self.inner.trust_files.forget();
        Ok(true)
    }
}

fn is_due(newest: &Newest, now: Timestamp) -> bool {
    let (Some(root), Some(targets)) = (&newest.root, &newest.targets) else {
        return false;
    };
    newest
        .online
        .as_ref()
        .is_none_or(|online| online.needs_renewal(root, targets, now.to_jiff()))
}

fn check_root(old: Option<&[u8]>, new: &[u8], now: Timestamp) -> Result<Root> {
    let Some(old) = old else {
        let root = verify_root(new, now.to_jiff())?;
        if root.version != 1 {
            let text = format!(
                "the first root must have version 1, this one has {}",
                root.version
            );
            return Err(TrustError::Refused(text).into());
        }
        return Ok(root);
    };
    let root = verify_root_chain(old, new)?;
    if root.expires <= now.to_jiff() {
        return Err(TrustError::Freeze {
            role: Role::Root,
            expires: root.expires,
        }
        .into());
    }
    Ok(root)
}

/// Signs the next timestamp, and the next snapshot where that is due, and keeps them.
async fn sign_online(
    tx: &DatabaseTransaction,
    root: &[u8],
    targets: &[u8],
    previous: Option<&OnlineMetadata>,
    keys: &otter_trust::OnlineKeys,
    now: Timestamp,
) -> Result<()> {
    let next = renew(root, targets, previous, keys, now.to_jiff())?;
    if previous.is_none_or(|previous| previous.snapshot != next.snapshot) {
        keep(tx, &next.snapshot, now).await?;
    }
    keep(tx, &next.timestamp, now).await
}

/// Reads targets that were verified when they came: by now their keys may be others, or their life over.
fn read_targets(bytes: &[u8]) -> Result<VerifiedTargets> {
    let document = Document::parse(bytes)?;
    let list = TargetsDocument::parse(bytes)?;
    Ok(VerifiedTargets {
        version: document.version()?,
        expires: document.expires()?,
        artifacts: list.artifacts()?,
        withdrawn: list.withdrawn()?,
        signed_by: Vec::new(),
    })
}

async fn record_targets(
    tx: &DatabaseTransaction,
    actor: &Actor,
    old: Option<&VerifiedTargets>,
    new: &VerifiedTargets,
    now: Timestamp,
) -> Result<()> {
    let after = json!({
        "version": new.version,
        "expires": Timestamp::from(new.expires),
        "targets": new.artifacts.len(),
        "signed_by": new.signed_by,
    });
    let mut happening = Happening::new(actor, "trust.targets", "trust", Role::Targets).after(after);
    if let Some(old) = old {
        happening =
            happening.before(json!({ "version": old.version, "targets": old.artifacts.len() }));
    }
    audit::record(tx, now, happening).await
}

fn facts_of(root: &Root) -> Value {
    let roles: serde_json::Map<String, Value> = Role::ALL
        .into_iter()
        .map(|role| {
            let keys = root.role(role);
            let ids: Vec<String> = keys
                .keys
                .iter()
                .map(otter_trust::PublicKey::key_id)
                .collect();
            (
                role.to_string(),
                json!({ "keys": ids, "threshold": keys.threshold }),
            )
        })
        .collect();
    json!({ "version": root.version, "expires": Timestamp::from(root.expires), "roles": roles })
}
