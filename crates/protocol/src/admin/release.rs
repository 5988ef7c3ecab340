//! Releases, as people make and see them.

use serde::{Deserialize, Serialize};

use crate::admin::RolloutSummary;
use crate::digest::Sha256Digest;
use crate::id::Model;
use crate::release::ArtifactKind;
use crate::release::Release;
use crate::version::Version;

/// A release to make.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewRelease {
    /// Its version.
    pub version: Version,
    /// What changed, to people.
    #[serde(default)]
    pub notes: String,
    /// The lowest version that can update to it directly.
    #[serde(default)]
    pub min_version: Option<Version>,
    /// The lowest boot loader version that can start it.
    #[serde(default)]
    pub min_bootloader_version: Option<Version>,
    /// Passes over devices' own wishes.
    #[serde(default)]
    pub required: bool,
    /// Its bytes, uploaded before.
    pub artifacts: Vec<NewArtifact>,
}

/// An artifact of a release to make.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewArtifact {
    /// Names bytes that were uploaded.
    pub sha256: Sha256Digest,
    /// What it is.
    pub kind: ArtifactKind,
    /// Models that it fits.
    pub models: Vec<Model>,
}

/// Bytes that the store has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StoredArtifact {
    /// Names them.
    pub sha256: Sha256Digest,
    /// How many.
    pub size: u64,
}

/// A release with where it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReleaseDetail {
    /// The release.
    #[serde(flatten)]
    pub release: Release,
    /// Accepted devices that run its version, among its models.
    pub devices_on_it: u64,
    /// Its rollouts, the newest first.
    pub rollouts: Vec<RolloutSummary>,
}

/// The keys with which the server keeps snapshot and timestamp fresh, as TUF key objects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OnlineKeys {
    /// For the snapshot role.
    pub snapshot: serde_json::Value,
    /// For the timestamp role.
    pub timestamp: serde_json::Value,
}
