//! The server's signed metadata, fetched and verified before anything is built on it.

use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use futures::StreamExt as _;
use otter_protocol::admin::TrustStatus;
use otter_trust::{
    MemoryStore, MetadataSource, Role, SourceError, TargetsDocument, Timestamp, TrustError,
    TrustStore as _, Verifier, verify_root,
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
    /// The targets' version that the server told; absent where nothing was signed yet.
    pub targets_version: Option<u64>,
}

/// Fetches the newest metadata and verifies it as a device would, from a pinned root where one is given.
///
/// Without one, the server's word on its root is taken. Expired targets are no hindrance: signing anew is the cure.
pub async fn fetch(client: &Client, pinned: Option<&Path>) -> Result<Current, Failure> {
    let status: TrustStatus = client.get(&["trust"]).await?;
    let root = match pinned {
        Some(path) => fs::read(path).map_err(Failure::file(path))?,
        None => root_of(client, &status).await?,
    };
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
    match refreshed {
        Ok(_) => {}
        Err(TrustError::Missing { .. }) if status.targets_version.is_none() => {}
        Err(error) => return Err(error.into()),
    }
    let root = verifier
        .store()
        .load("root.json")
        .map_err(Failure::file("root.json"))?
        .unwrap_or(root);
    let targets = match source.targets() {
        Some(bytes) => TargetsDocument::parse(&bytes)?,
        None => TargetsDocument::new(),
    };
    Ok(Current {
        root,
        targets,
        targets_version: status.targets_version,
    })
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
    let root = Source::new(client).fetch(&name, MOST_ROOT_BYTES).await;
    let root = root
        .map_err(|error| Failure::Refused(format!("{name} could not be fetched: {error}")))?
        .ok_or(TrustError::Missing { name })?;
    verify_root(&root, Timestamp::now())?;
    Ok(root)
}

/// Largest root that is read, in bytes.
const MOST_ROOT_BYTES: u64 = 256 << 10;

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
