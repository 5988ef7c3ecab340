//! The signed metadata: checked before it is kept, kept fresh with the server's own keys.

use otter_protocol::admin::{ChangeKind, DelegatedStatus, OnlineKeys, TrustStatus, TrustWarning};
use otter_protocol::{ProblemCode, Sha256Digest, Timestamp};
use otter_trust::{
    Document, Limits, Lists, OnlineMetadata, Role, Root, TargetsDocument, TrustError, renew,
    verify_root, verify_root_chain, verify_targets,
};
use sea_orm::DatabaseTransaction;
use serde_json::{Value, json};

use crate::actor::Actor;
use crate::audit::{self, Happening};
use crate::database;
use crate::error::{Error, Result};
use crate::fleet::Fleet;
use crate::list_change::ListChange;
use crate::online_keys;
use crate::publication::{Publication, publications};
use crate::trust_files::{Newest, check_size, keep, sweep};

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
        let newest = Newest::load(self.db()).await?;
        let first = self.trust_metadata(&Role::Root.file_name(1)).await?;
        let head = |bytes: &[u8]| -> Result<(u64, Timestamp)> {
            let document = Document::parse(bytes)?;
            Ok((document.version()?, Timestamp::from(document.expires()?)))
        };
        let root = newest.root.as_deref();
        let lists = newest.lists.as_ref();
        let root_head = root.map(head).transpose()?;
        let targets_head = lists.map(|lists| head(&lists.targets)).transpose()?;
        let targets_untrusted = root.zip(lists).is_some_and(|(root, lists)| {
            // Whoever signed it, its life and the root's have warnings of their own.
            verify_targets(root, &lists.targets, otter_trust::Timestamp::MIN).is_err()
        });
        Ok(TrustStatus {
            root_version: root_head.map(|(version, _)| version),
            root_expires_at: root_head.map(|(_, expires)| expires),
            targets_version: targets_head.map(|(version, _)| version),
            targets_expires_at: targets_head.map(|(_, expires)| expires),
            root_fingerprint: first.map(|root| Sha256Digest::of(&root)),
            targets_untrusted,
            delegated: lists.map(delegated_status).transpose()?.unwrap_or_default(),
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
        if let Some(lists) = &newest.lists {
            let delegations = TargetsDocument::parse(&lists.targets)?.delegations()?;
            delegations.check(&root)?;
        }
        keep(&tx, bytes, now).await?;
        let mut happening =
            Happening::new(actor, "trust.root", "trust", Role::Root).after(facts_of(&root));
        if let Some(old) = &newest.root {
            happening = happening.before(facts_of(&Root::parse(old)?));
        }
        audit::record(&tx, now, happening).await?;
        // Targets that the new root doesn't trust wait for their publishers; devices refuse them until then.
        if let Some(lists) = newest
            .lists
            .filter(|lists| verify_targets(bytes, &lists.targets, now.to_jiff()).is_ok())
        {
            let is_due =
                |online: &OnlineMetadata| online.needs_renewal(bytes, &lists, now.to_jiff());
            if newest.online.as_ref().is_none_or(is_due) {
                sign_online(&tx, bytes, &lists, newest.online.as_ref(), &keys, now).await?;
            }
        }
        tx.commit().await?;
        self.inner.trust_files.forget();
        self.changed(ChangeKind::Settings, "trust");
        self.trust_status().await
    }

    /// Takes a signed list of artifacts, the publishers' own or a delegated role's: verifies it, checks each artifact against
    /// store and drafts, publishes the drafts that it completes, and signs the next snapshot and timestamp, all in one
    /// transaction.
    pub async fn put_targets(&self, actor: &Actor, bytes: &[u8]) -> Result<TrustStatus> {
        self.put_targets_if(actor, bytes, |_| Ok(())).await
    }

    /// Takes a signed list where what it changes is allowed, which `check` says.
    pub(crate) async fn put_targets_if(
        &self,
        actor: &Actor,
        bytes: &[u8],
        check: impl FnOnce(&ListChange) -> Result<()>,
    ) -> Result<TrustStatus> {
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
        let Some(change) = ListChange::verify(&root, newest.lists, bytes, now)? else {
            tx.rollback().await?;
            return self.trust_status().await;
        };
        check(&change)?;
        let found = change.found_after()?;
        let publications = publications(&tx, &change.found_before, &found).await?;
        keep(&tx, bytes, now).await?;
        record_list(&tx, actor, &change, now).await?;
        for publication in &publications {
            publication.publish(&tx, actor, now).await?;
        }
        let online = newest.online.as_ref();
        sign_online(&tx, &root, &change.lists, online, &keys, now).await?;
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
        let (Some(root), Some(lists)) = (newest.root, newest.lists) else {
            return Ok(false);
        };
        sign_online(&tx, &root, &lists, newest.online.as_ref(), &keys, now).await?;
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
    let (Some(root), Some(lists)) = (&newest.root, &newest.lists) else {
        return false;
    };
    newest
        .online
        .as_ref()
        .is_none_or(|online| online.needs_renewal(root, lists, now.to_jiff()))
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
    lists: &Lists,
    previous: Option<&OnlineMetadata>,
    keys: &otter_trust::OnlineKeys,
    now: Timestamp,
) -> Result<()> {
    let next = renew(root, lists, previous, keys, now.to_jiff())?;
    if previous.is_none_or(|previous| previous.snapshot != next.snapshot) {
        keep(tx, &next.snapshot, now).await?;
    }
    keep(tx, &next.timestamp, now).await
}

/// Says how each delegated role's list stands.
fn delegated_status(lists: &Lists) -> Result<Vec<DelegatedStatus>> {
    let untrusted = lists.untrusted()?;
    let delegations = TargetsDocument::parse(&lists.targets)?.delegations()?;
    let of = |(role, delegation): (&otter_trust::DelegatedRole, &otter_trust::Delegation)| {
        let list = lists.delegated.get(role);
        let document = list.map(|list| Document::parse(list)).transpose()?;
        let expires = document.as_ref().map(Document::expires).transpose()?;
        Ok(DelegatedStatus {
            role: role.to_string(),
            models: delegation.models.iter().cloned().collect(),
            version: document.as_ref().map(Document::version).transpose()?,
            expires_at: expires.map(Timestamp::from),
            untrusted: untrusted.contains_key(role),
        })
    };
    delegations.0.iter().map(of).collect()
}

async fn record_list(
    tx: &DatabaseTransaction,
    actor: &Actor,
    change: &ListChange,
    now: Timestamp,
) -> Result<()> {
    let role = change.role.as_ref();
    let subject = role.map_or(Role::Targets.as_str(), |role| role.as_str());
    let mut happening =
        Happening::new(actor, "trust.targets", "trust", subject).after(change.facts());
    if let Some(old) = &change.old {
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
