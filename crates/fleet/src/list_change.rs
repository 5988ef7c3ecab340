//! What a list of artifacts that publishers or a team bring changes, verified before anything is written.

use otter_protocol::{ProblemCode, Timestamp};
use otter_trust::{
    DelegatedRole, Delegations, Document, Lists, Root, SignedArtifact, TargetsDocument, TrustError,
    VerifiedTargets, verify_delegated, verify_targets, verify_targets_succession,
};
use serde_json::{Map, Value, json};

use crate::error::{Error, Result};

/// A list that verifies, and what it follows.
#[derive(Debug)]
pub(crate) struct ListChange {
    /// Whose list it is; `None` for the publishers' own.
    pub(crate) role: Option<DelegatedRole>,
    /// The list before it.
    pub(crate) old: Option<VerifiedTargets>,
    /// The list itself.
    pub(crate) new: VerifiedTargets,
    /// All lists as they are from now on.
    pub(crate) lists: Lists,
    /// What devices may find before.
    pub(crate) found_before: Vec<SignedArtifact>,
    /// To whom the publishers delegated before.
    delegated_before: Delegations,
    delegations: Delegations,
}

impl ListChange {
    /// Verifies a list against the root and, for a team's, against the publishers' own list; `None` where it is there already.
    pub(crate) fn verify(
        root: &[u8],
        lists: Option<Lists>,
        bytes: &[u8],
        now: Timestamp,
    ) -> Result<Option<Self>> {
        let role = Document::parse(bytes)?.delegated_role()?;
        let before = match (&role, &lists) {
            (None, lists) => lists.as_ref().map(|lists| lists.targets.as_slice()),
            (Some(role), Some(lists)) => lists.delegated.get(role).map(Vec::as_slice),
            (Some(role), None) => return Err(nothing_delegated(role)),
        };
        if before == Some(bytes) {
            return Ok(None);
        }
        let old = before.map(read_list).transpose()?;
        let found_before = match &lists {
            Some(lists) => lists.artifacts()?,
            None => Vec::new(),
        };
        let delegated_before = match &lists {
            Some(lists) => TargetsDocument::parse(&lists.targets)?.delegations()?,
            None => Delegations::default(),
        };
        let (new, lists) = match (&role, lists) {
            (Some(role), Some(lists)) => team_list(root, lists, role, bytes, now)?,
            (_, lists) => own_list(root, lists, bytes, now)?,
        };
        if let Some(old) = &old {
            verify_targets_succession(old, &new)?;
        }
        if role.is_some() {
            check_withdrawn(old.as_ref(), &new)?;
        }
        let delegations = TargetsDocument::parse(&lists.targets)?.delegations()?;
        Ok(Some(Self {
            role,
            old,
            new,
            lists,
            found_before,
            delegated_before,
            delegations,
        }))
    }

    /// Tells whether somebody else signs for some models from now on.
    pub(crate) fn changes_delegations(&self) -> bool {
        self.delegated_before != self.delegations
    }

    /// Returns what devices may find from now on.
    pub(crate) fn found_after(&self) -> Result<Vec<SignedArtifact>> {
        Ok(self.lists.artifacts()?)
    }

    /// Returns what the audit log keeps of it.
    pub(crate) fn facts(&self) -> Value {
        let mut facts = Map::from_iter([
            ("version".to_owned(), json!(self.new.version)),
            (
                "expires".to_owned(),
                json!(Timestamp::from(self.new.expires)),
            ),
            ("targets".to_owned(), json!(self.new.artifacts.len())),
            ("signed_by".to_owned(), json!(self.new.signed_by)),
        ]);
        if self.role.is_none() && !self.delegations.0.is_empty() {
            let delegated = self.delegations.0.iter().map(|(role, one)| {
                let keys = one.keys.keys.iter().map(otter_trust::PublicKey::key_id);
                let keys: Vec<_> = keys.collect();
                let facts =
                    json!({ "models": one.models, "keys": keys, "threshold": one.keys.threshold });
                (role.to_string(), facts)
            });
            let delegated: Map<_, _> = delegated.collect();
            facts.insert("delegated".to_owned(), delegated.into());
        }
        Value::Object(facts)
    }
}

/// Verifies the publishers' own list, and that whom it delegates to is nobody whom devices mustn't trust.
fn own_list(
    root: &[u8],
    lists: Option<Lists>,
    bytes: &[u8],
    now: Timestamp,
) -> Result<(VerifiedTargets, Lists)> {
    let new = verify_targets(root, bytes, now.to_jiff())?;
    let delegations = TargetsDocument::parse(bytes)?.delegations()?;
    delegations.check(&Root::parse(root)?)?;
    let lists = Lists {
        targets: bytes.to_vec(),
        delegated: lists.map(|lists| lists.delegated).unwrap_or_default(),
    };
    Ok((new, lists))
}

/// Verifies a team's list: its keys, its models, and that it takes no counter out of its turn.
fn team_list(
    root: &[u8],
    mut lists: Lists,
    role: &DelegatedRole,
    bytes: &[u8],
    now: Timestamp,
) -> Result<(VerifiedTargets, Lists)> {
    verify_targets(root, &lists.targets, now.to_jiff())?;
    let new = verify_delegated(&lists.targets, role, bytes, now.to_jiff())?;
    let mut last = 0;
    for list in std::iter::once(&lists.targets).chain(lists.delegated.values()) {
        last = last.max(TargetsDocument::parse(list)?.last_counter()?);
    }
    let given = TargetsDocument::parse(bytes)?.last_counter()?;
    if given > last.saturating_add(1) {
        return Err(TrustError::Refused(format!(
            "release counter {given} skips {}. Counters go up by one, for all teams together",
            last.saturating_add(1)
        ))
        .into());
    }
    lists.delegated.insert(role.clone(), bytes.to_vec());
    Ok((new, lists))
}

/// Lets a team withdraw what it has signed, and nothing of others'.
fn check_withdrawn(old: Option<&VerifiedTargets>, new: &VerifiedTargets) -> Result<()> {
    let is_its_own = |sha256| {
        old.is_some_and(|old| {
            let mut signed = old.artifacts.iter();
            old.withdrawn.contains_key(sha256) || signed.any(|artifact| artifact.sha256 == *sha256)
        })
    };
    match new.withdrawn.keys().find(|sha256| !is_its_own(*sha256)) {
        None => Ok(()),
        Some(sha256) => Err(TrustError::Refused(format!(
            "{sha256} is withdrawn on a list that never had it. A team withdraws what it has signed, and no more"
        ))
        .into()),
    }
}

/// Reads a list that was verified when it came: by now its keys may be others, or its life over.
fn read_list(bytes: &[u8]) -> Result<VerifiedTargets> {
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

fn nothing_delegated(role: &DelegatedRole) -> Error {
    let detail = format!(
        "Nothing is delegated to {role}. Whoever holds the targets keys does so with `otter trust delegate {role}`."
    );
    Error::problem(ProblemCode::Conflict, detail)
}
