//! Reading from a server that may send for ever.

use crate::engine::Pin;
use crate::{MetadataSource, SourceError, TrustError};

/// How much a device reads of what a server offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Largest root, in bytes.
    pub root: u64,
    /// Largest timestamp, in bytes.
    pub timestamp: u64,
    /// Largest snapshot, in bytes.
    pub snapshot: u64,
    /// Largest targets metadata, in bytes.
    pub targets: u64,
    /// Most root versions that one refresh follows.
    pub root_rotations: u32,
    /// Most roles that one search for a target visits.
    pub delegations: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            root: 256 << 10,
            timestamp: 16 << 10,
            snapshot: 64 << 10,
            targets: 8 << 20,
            root_rotations: 32,
            delegations: 32,
        }
    }
}

pub(crate) async fn fetch(
    source: &impl MetadataSource,
    name: &str,
    limit: u64,
) -> Result<Option<Vec<u8>>, TrustError> {
    let endless = || TrustError::EndlessData {
        name: name.to_owned(),
        limit,
    };
    match source.fetch(name, limit).await {
        // A source that overlooks the limit must not become the hole.
        Ok(Some(bytes)) if bytes.len() as u64 > limit => Err(endless()),
        Ok(bytes) => Ok(bytes),
        Err(SourceError::TooLarge) => Err(endless()),
        Err(SourceError::Unreachable(reason)) => Err(TrustError::Unreachable {
            name: name.to_owned(),
            reason,
        }),
    }
}

pub(crate) async fn required(
    source: &impl MetadataSource,
    name: &str,
    limit: u64,
) -> Result<Vec<u8>, TrustError> {
    fetch(source, name, limit)
        .await?
        .ok_or_else(|| TrustError::Missing {
            name: name.to_owned(),
        })
}

/// Fetches a file that another names, with the length that it names as the limit.
pub(crate) async fn pinned(
    source: &impl MetadataSource,
    name: &str,
    pin: Pin,
    limit: u64,
) -> Result<Vec<u8>, TrustError> {
    let length = pin.length.unwrap_or(limit);
    if length > limit {
        let name = name.to_owned();
        return Err(TrustError::EndlessData { name, limit });
    }
    required(source, name, length).await
}
