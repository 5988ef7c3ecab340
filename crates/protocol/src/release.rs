//! Versions of software and the bytes they come as.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::digest::Sha256Digest;
use crate::id::{Model, ReleaseId};
use crate::time::Timestamp;
use crate::version::Version;

/// What an artifact is, and so which installer takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ArtifactKind {
    /// A root file system for an A/B slot.
    Image,
    /// A tree of files: a tar archive, compressed with zstd.
    Bundle,
    /// A container image or compose file.
    Container,
    /// A file for a microcontroller.
    Firmware,
    /// Whatever an executable of the user's takes.
    Module,
}

impl ArtifactKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [
        Self::Image,
        Self::Bundle,
        Self::Container,
        Self::Firmware,
        Self::Module,
    ];

    /// Returns the kind as the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Bundle => "bundle",
            Self::Container => "container",
            Self::Firmware => "firmware",
            Self::Module => "module",
        }
    }
}

impl fmt::Display for ArtifactKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for ArtifactKind {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| {
                format!(
                    "`{text}` is no kind of artifact: image, bundle, container, firmware or module"
                )
            })
    }
}

/// Where a release is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ReleaseState {
    /// Waits for its signature; no device gets it.
    Draft,
    /// Signed: rollouts may carry it.
    Published,
    /// Taken back: no device gets it any more.
    Withdrawn,
}

impl ReleaseState {
    /// Returns the state as the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Published => "published",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// All states.
    pub const ALL: [Self; 3] = [Self::Draft, Self::Published, Self::Withdrawn];

    /// Returns the state of that name.
    pub fn named(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// The bytes of a release for some models.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Artifact {
    /// Names the bytes.
    pub sha256: Sha256Digest,
    /// Length in bytes.
    pub size: u64,
    /// What it is.
    pub kind: ArtifactKind,
    /// Models that it fits, at least one.
    pub models: Vec<Model>,
}

/// A version of the software, with its artifacts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Release {
    /// Its number on this server.
    pub id: ReleaseId,
    /// Its version.
    pub version: Version,
    /// What changed, to people.
    pub notes: String,
    /// Where it is in its life.
    pub state: ReleaseState,
    /// The lowest version that can update to it directly.
    pub min_version: Option<Version>,
    /// The lowest boot loader version that can start it.
    pub min_bootloader_version: Option<Version>,
    /// Devices pass over their own wishes (cohort share, metered links) for it.
    pub required: bool,
    /// Its place in the publishers' count of releases; from its signature, so absent in a draft and in firmware that nobody
    /// signed.
    pub release_counter: Option<u64>,
    /// Its bytes.
    pub artifacts: Vec<Artifact>,
    /// When it was made here.
    pub created_at: Timestamp,
    /// When its signature came; of firmware that nobody signed, when it was uploaded.
    pub published_at: Option<Timestamp>,
    /// The publisher says that the bytes carry a signature that a boot loader checks.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub says_signed: bool,
}

impl Release {
    /// Tells whether signed metadata names it: only then do devices take it that verify.
    pub fn is_signed(&self) -> bool {
        self.release_counter.is_some()
    }

    /// Returns the artifact that fits a model.
    pub fn artifact_for(&self, model: &Model) -> Option<&Artifact> {
        self.artifacts
            .iter()
            .find(|artifact| artifact.models.contains(model))
    }

    /// Returns the models that the release fits, each once.
    pub fn models(&self) -> Vec<Model> {
        let mut models: Vec<Model> = self
            .artifacts
            .iter()
            .flat_map(|artifact| artifact.models.clone())
            .collect();
        models.sort();
        models.dedup();
        models
    }
}
