//! What unit tests share.

use otter_protocol::check_in::{Offer, OfferedArtifact};
use otter_protocol::{ArtifactKind, AttemptId, ReleaseId, RolloutId, Sha256Digest, Timestamp};

use otter_trust::ArtifactFacts;

use crate::journal::{Attempt, Signed, Step};

/// An attempt at release 2.0.0 whose artifact is `new`.
pub(crate) fn attempt(step: Step) -> Attempt {
    let offer = Offer {
        attempt: AttemptId(7),
        attempt_uuid: uuid::Uuid::from_u128(7),
        rollout: RolloutId(1),
        release: ReleaseId(2),
        version: "2.0.0".into(),
        release_counter: 2,
        required: false,
        artifact: OfferedArtifact {
            sha256: Sha256Digest::of(b"new"),
            size: 3,
            kind: ArtifactKind::Bundle,
            url: "/device/v1/artifacts/x".to_owned(),
        },
    };
    Attempt {
        step,
        started_at: Timestamp(0),
        ..Attempt::at(offer, 0)
    }
}

/// These bytes, signed as release 2.0.0.
pub(crate) fn signed(bytes: &[u8]) -> Signed {
    Signed {
        sha256: Sha256Digest::of(bytes),
        length: bytes.len() as u64,
        facts: ArtifactFacts {
            models: vec!["m".to_owned()],
            version: "2.0.0".to_owned(),
            release_counter: 2,
            min_version: None,
            min_bootloader_version: None,
            kind: ArtifactKind::Bundle,
            required: false,
            notes: String::new(),
            downgrade_permitted: false,
        },
    }
}
