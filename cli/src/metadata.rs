//! The server's signed metadata, fetched and verified before anything is built on it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use futures::StreamExt as _;
use otter_protocol::admin::TrustStatus;
use otter_trust::{
    DelegatedRole, Delegations, Document, Limits, MemoryStore, MetadataSource, Role, SourceError,
    TargetsDocument, Timestamp, TrustError, Trusted, Verifier, verify_delegated, verify_root,
    verify_root_chain, verify_targets,
};

use crate::Failure;
use crate::api::{Client, network_reason};

/// The root that is trusted now, and the targets to go on from.
#[derive(Debug)]
pub struct Current {
    /// The root file.
    pub root: Vec<u8>,
    /// Targets as last published; empty where nothing was signed yet.
    pub targets: TargetsDocument,
    /// The file that they were read from; absent where nothing was signed yet.
    pub targets_file: Option<Vec<u8>>,
    /// Lists of the roles that are delegated to, as last published; the error where one isn't signed by those who may.
    pub delegated: BTreeMap<DelegatedRole, Result<TargetsDocument, TrustError>>,
    /// The versions that the server told of all lists, to see whether somebody was faster.
    pub versions: Versions,
}

/// Versions of the publishers' own list and of delegated roles' ones.
pub type Versions = (Option<u64>, BTreeMap<String, Option<u64>>);

/// Returns the versions of all lists.
pub fn versions(status: &TrustStatus) -> Versions {
    let delegated = status.delegated.iter();
    let delegated = delegated.map(|one| (one.role.clone(), one.version));
    (status.targets_version, delegated.collect())
}

/// What a server publishes at present.
#[derive(Debug)]
pub struct Newest {
    /// The root that devices begin with at enrollment.
    pub first_root: Vec<u8>,
    /// The newest root.
    pub root: Vec<u8>,
    /// The publishers' own list.
    pub targets: Option<Vec<u8>>,
    /// Delegated roles' lists.
    pub delegated: Vec<Vec<u8>>,
    snapshot: Option<Vec<u8>>,
    timestamp: Option<Vec<u8>>,
}

impl Newest {
    /// Returns the files that there are, in the order in which trust flows.
    pub fn files(&self) -> impl Iterator<Item = &[u8]> {
        let online = [&self.snapshot, &self.timestamp].into_iter().flatten();
        let lists = self.targets.iter().chain(&self.delegated);
        let others = lists.chain(online).map(Vec::as_slice);
        std::iter::once(self.root.as_slice()).chain(others)
    }
}

/// Fetches what the server publishes, to be looked at; `None` where nothing is trusted yet.
pub async fn newest(client: &Client) -> Result<Option<Newest>, Failure> {
    let status: TrustStatus = client.get(&["trust"]).await?;
    if status.root_version.is_none() {
        return Ok(None);
    }
    let targets = match status.targets_version {
        Some(version) => file(client, &Role::Targets.file_name(version)).await?,
        None => None,
    };
    let mut delegated = Vec::new();
    for one in &status.delegated {
        if let Some(version) = one.version {
            let name = DelegatedRole::new(&*one.role)?.file_name(version);
            delegated.extend(file(client, &name).await?);
        }
    }
    let timestamp = file(client, &Role::Timestamp.file_name(0)).await?;
    let snapshot = match timestamp.as_deref().and_then(snapshot_of) {
        Some(version) => file(client, &Role::Snapshot.file_name(version)).await?,
        None => None,
    };
    Ok(Some(Newest {
        first_root: first_root(client).await?,
        root: root_of(client, &status).await?,
        targets,
        delegated,
        snapshot,
        timestamp,
    }))
}

/// Reads which snapshot a timestamp names.
fn snapshot_of(timestamp: &[u8]) -> Option<u64> {
    let file: serde_json::Value = serde_json::from_slice(timestamp).ok()?;
    file.pointer("/signed/meta/snapshot.json/version")?.as_u64()
}

async fn file(client: &Client, name: &str) -> Result<Option<Vec<u8>>, Failure> {
    let limit = Limits::default().targets;
    let fetched = Source::new(client).fetch(name, limit).await;
    fetched.map_err(|error| Failure::Refused(format!("{name} could not be fetched: {error}")))
}

/// Fetches the first root, which devices without one in their image begin with.
pub async fn first_root(client: &Client) -> Result<Vec<u8>, Failure> {
    let name = Role::Root.file_name(1);
    let root = file(client, &name).await?;
    Ok(root.ok_or(TrustError::Missing { name })?)
}

/// Returns the server's newest root, verified from a pinned one where one is given.
pub async fn root(client: &Client, pinned: Option<&Path>) -> Result<Vec<u8>, Failure> {
    let status: TrustStatus = client.get(&["trust"]).await?;
    let newest = root_of(client, &status).await?;
    let Some(path) = pinned else {
        return Ok(newest);
    };
    let mut root = fs::read(path).map_err(Failure::file(path))?;
    let mut version = Document::parse(&root)?.version()?;
    while Some(version) < status.root_version {
        version += 1;
        let name = Role::Root.file_name(version);
        let next = file(client, &name)
            .await?
            .ok_or(TrustError::Missing { name })?;
        verify_root_chain(&root, &next)?;
        root = next;
    }
    Ok(root)
}

/// Follows the server from a root as a device would that has seen nothing else; returns the lists, the publishers' own first.
pub async fn walk(
    client: &Client,
    root: &[u8],
    now: Timestamp,
) -> Result<(Trusted, Vec<TargetsDocument>), Failure> {
    let source = Source::new(client);
    let mut verifier = Verifier::open(MemoryStore::default(), Some(root))?;
    let trusted = verifier.refresh(&source, now).await?;
    let targets = source.targets().unwrap_or_default();
    let own = TargetsDocument::parse(&targets)?;
    let mut lists = Vec::new();
    for role in own.delegations()?.0.into_keys() {
        let Some(list) = verifier.list(&source, &role, now).await? else {
            continue;
        };
        verify_delegated(&targets, &role, &list, now)?;
        lists.push(TargetsDocument::parse(&list)?);
    }
    lists.insert(0, own);
    Ok((trusted, lists))
}

/// Fetches the newest metadata and verifies it as a device would, from a pinned root where one is given.
///
/// Without one, the server's word on its root is taken. Expired targets are no hindrance, nor are some that the root
/// before this one trusted: signing anew is the cure.
pub async fn fetch(client: &Client, pinned: Option<&Path>) -> Result<Current, Failure> {
    let status: TrustStatus = client.get(&["trust"]).await?;
    let root = root(client, pinned).await?;
    let source = Source::new(client);
    let mut verifier = Verifier::open(MemoryStore::default(), Some(&root))?;
    let now = Timestamp::now();
    let refreshed = match verifier.refresh(&source, now).await {
        Err(TrustError::Freeze {
            role: Role::Targets,
            expires,
        }) => verifier.refresh(&source, expires).await,
        other => other,
    };
    let targets = match refreshed {
        Ok(_) => source.targets(),
        Err(TrustError::Missing { .. }) if status.targets_version.is_none() => None,
        Err(error) => match status.targets_version {
            Some(version) => Some(formerly_trusted(client, &root, version, error).await?),
            None => return Err(error.into()),
        },
    };
    Ok(Current {
        delegated: match &targets {
            Some(bytes) => delegated(client, &root, bytes, &status).await?,
            None => BTreeMap::new(),
        },
        root,
        targets: match &targets {
            Some(bytes) => TargetsDocument::parse(bytes)?,
            None => TargetsDocument::new(),
        },
        targets_file: targets,
        versions: versions(&status),
    })
}

/// Fetches the lists of the roles that these targets delegate to; one that has signed nothing yet begins empty.
async fn delegated(
    client: &Client,
    root: &[u8],
    targets: &[u8],
    status: &TrustStatus,
) -> Result<BTreeMap<DelegatedRole, Result<TargetsDocument, TrustError>>, Failure> {
    let Delegations(all) = TargetsDocument::parse(targets)?.delegations()?;
    let mut lists = BTreeMap::new();
    for role in all.into_keys() {
        let known = status
            .delegated
            .iter()
            .find(|one| one.role == role.as_str());
        let list = match known.and_then(|one| one.version) {
            None => Ok(TargetsDocument::delegated(role.clone())),
            Some(version) => team_list(client, root, targets, (&role, version)).await?,
        };
        lists.insert(role, list);
    }
    Ok(lists)
}

/// Fetches a role's list; it must be signed by those who may now, or who might under the publishers' list of an earlier day:
/// who got other keys or models goes on from there. Its life may be over.
async fn team_list(
    client: &Client,
    root: &[u8],
    targets: &[u8],
    (role, version): (&DelegatedRole, u64),
) -> Result<Result<TargetsDocument, TrustError>, Failure> {
    let name = role.file_name(version);
    let list = file(client, &name)
        .await?
        .ok_or(TrustError::Missing { name })?;
    let whenever = Timestamp::MIN;
    let error = match verify_delegated(targets, role, &list, whenever) {
        Ok(_) => return Ok(TargetsDocument::parse(&list)),
        Err(error) => error,
    };
    for version in (1..Document::parse(targets)?.version()?).rev() {
        let Some(earlier) = file(client, &Role::Targets.file_name(version)).await? else {
            break;
        };
        if verify_targets(root, &earlier, whenever).is_err() {
            break;
        }
        if verify_delegated(&earlier, role, &list, whenever).is_ok() {
            return Ok(TargetsDocument::parse(&list));
        }
    }
    Ok(Err(error))
}

/// Returns targets that one of the roots before this one trusted; fails as devices do where none did.
///
/// Each of those roots must have signed the one after it, so that a server can't bring one of its own.
async fn formerly_trusted(
    client: &Client,
    root: &[u8],
    targets: u64,
    error: TrustError,
) -> Result<Vec<u8>, Failure> {
    let name = Role::Targets.file_name(targets);
    let bytes = file(client, &name)
        .await?
        .ok_or(TrustError::Missing { name })?;
    // Their life may be over by now, and the roots' too: only the signatures count.
    let whenever = Timestamp::MIN;
    if verify_targets(root, &bytes, whenever).is_ok() {
        return Err(error.into());
    }
    let mut next = root.to_vec();
    for version in (1..Document::parse(root)?.version()?).rev() {
        let name = Role::Root.file_name(version);
        let before = file(client, &name)
            .await?
            .ok_or(TrustError::Missing { name })?;
        verify_root_chain(&before, &next)?;
        if verify_targets(&before, &bytes, whenever).is_ok() {
            return Ok(bytes);
        }
        next = before;
    }
    Err(error.into())
}

/// Fetches the root that the server says is the newest.
async fn root_of(client: &Client, status: &TrustStatus) -> Result<Vec<u8>, Failure> {
    let Some(version) = status.root_version else {
        return Err(Failure::Refused(
            "the server has no root yet, so it can't tell whose signature counts. \
             Set it up once with `otter trust init`"
                .to_owned(),
        ));
    };
    let name = Role::Root.file_name(version);
    let root = file(client, &name)
        .await?
        .ok_or(TrustError::Missing { name })?;
    verify_root(&root, Timestamp::MIN)?;
    Ok(root)
}

/// Reads metadata over HTTP, and keeps the targets that it read last.
#[derive(Debug)]
struct Source<'a> {
    client: &'a Client,
    targets: Mutex<Option<Vec<u8>>>,
}

impl<'a> Source<'a> {
    fn new(client: &'a Client) -> Self {
        Self {
            client,
            targets: Mutex::new(None),
        }
    }

    fn targets(&self) -> Option<Vec<u8>> {
        let targets = self.targets.lock();
        targets.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl MetadataSource for Source<'_> {
    async fn fetch(&self, name: &str, max_len: u64) -> Result<Option<Vec<u8>>, SourceError> {
        let unreachable = |failure: Failure| SourceError::Unreachable(failure.to_string());
        let Some(response) = self.client.metadata(name).await.map_err(unreachable)? else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        let mut pieces = response.bytes_stream();
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|e| SourceError::Unreachable(network_reason(&e)))?;
            bytes.extend_from_slice(&piece);
            if bytes.len() as u64 > max_len {
                return Err(SourceError::TooLarge);
            }
        }
        if name.ends_with(".targets.json") {
            let mut targets = self.targets.lock().unwrap_or_else(PoisonError::into_inner);
            *targets = Some(bytes.clone());
        }
        Ok(Some(bytes))
    }
}
