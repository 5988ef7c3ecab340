//! What publishers signed, as the journal keeps it.

use otter_protocol::{Sha256Digest, Version};
use otter_trust::{ArtifactFacts, SignedArtifact, TrustError};
use serde::{Deserialize, Serialize};

/// What publishers signed, as the journal keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// Digest of the artifact.
    pub sha256: Sha256Digest,
    /// Its length in bytes.
    pub length: u64,
    /// What it is and whom it fits.
    pub facts: ArtifactFacts,
}

impl Signed {
    /// Returns `Ok` when bytes of this length and digest are those that were signed.
    pub fn matches(&self, length: u64, digest: &Sha256Digest) -> Result<(), TrustError> {
        SignedArtifact::from(self.clone()).matches(length, digest)
    }

    /// Returns the release's version.
    pub fn version(&self) -> Version {
        self.facts.version.as_str().into()
    }
}

impl From<SignedArtifact> for Signed {
    fn from(artifact: SignedArtifact) -> Self {
        Self {
            sha256: artifact.sha256,
            length: artifact.length,
            facts: artifact.facts,
        }
    }
}

impl From<Signed> for SignedArtifact {
    fn from(signed: Signed) -> Self {
        Self {
            sha256: signed.sha256,
            length: signed.length,
            facts: signed.facts,
        }
    }
}
