//! An attempt under way, and what it is about.

use otter_protocol::check_in::{Offer, OfferedArtifact};
use otter_protocol::{
    ArtifactKind, AttemptId, AttemptReport, ReleaseId, RolloutId, Sha256Digest, Timestamp, Version,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::log::AttemptLog;
use super::{Signed, Step};
use crate::clock;
use crate::policy::Held;

/// In the place of an attempt's number where no server gave it one: theirs begin at 1.
pub(crate) const BY_HAND: AttemptId = AttemptId(0);

/// A version on the device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installed {
    /// Its version.
    pub version: Version,
    /// Its place in the publishers' count; 0 for what came with the device.
    pub release_counter: u64,
    /// The installer's own name for it.
    pub name: String,
}

/// An attempt under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// What the server offered.
    pub offer: Offer,
    /// The step that was begun.
    pub step: Step,
    /// When the offer came.
    pub started_at: Timestamp,
    /// Bytes that the agent had written in its life when it began.
    #[serde(default)]
    pub written_before: u64,
    /// What was signed, once that is verified.
    pub signed: Option<Signed>,
    /// The new version, once it is beside the old one.
    pub target: Option<Installed>,
    /// Sequence number of the last report; 0 before the first.
    pub last_sequence: u32,
    /// How often the agent itself was started while the new version was.
    pub restarts: u32,
    /// How often the device was restarted into the new version.
    #[serde(default)]
    pub boots: u32,
    /// The system's run that is to end with the restart under way.
    #[serde(default)]
    pub restarting: Option<String>,
    /// Why the old version comes back, where it does.
    pub reason: Option<String>,
    /// Why the device's own policy holds it back, where it does.
    #[serde(default)]
    pub held: Option<Held>,
    /// Who wanted it.
    #[serde(default)]
    pub origin: Origin,
    /// What was done for it, oldest first.
    #[serde(default)]
    pub log: AttemptLog,
}

impl Attempt {
    /// Begins an attempt at what a server offered.
    pub fn at(offer: Offer, written_before: u64) -> Self {
        Self {
            offer,
            step: Step::Checking,
            started_at: clock::now(),
            written_before,
            signed: None,
            target: None,
            last_sequence: 0,
            restarts: 0,
            boots: 0,
            restarting: None,
            reason: None,
            held: None,
            origin: Origin::Offered,
            log: AttemptLog::default(),
        }
    }

    /// Begins to take a device back to a version that it kept. No server knows of it, so that it has no number.
    pub fn back_to(
        former: Installed,
        kind: ArtifactKind,
        reason: Option<String>,
        written_before: u64,
    ) -> Self {
        let offer = Offer {
            attempt: BY_HAND,
            attempt_uuid: Uuid::new_v4(),
            rollout: RolloutId(0),
            release: ReleaseId(0),
            version: former.version.clone(),
            release_counter: former.release_counter,
            required: false,
            artifact: OfferedArtifact {
                sha256: Sha256Digest([0; 32]),
                size: 0,
                kind,
                url: String::new(),
            },
        };
        Self {
            step: Step::BackingUp,
            target: Some(former),
            origin: Origin::ByHand { reason },
            ..Self::at(offer, written_before)
        }
    }

    /// Tells whether somebody at the device wanted it, and no server.
    pub fn is_by_hand(&self) -> bool {
        self.origin != Origin::Offered
    }

    /// Returns how people tell it from others.
    pub fn name(&self) -> String {
        self.origin.name(self.offer.attempt)
    }
}

/// Who wanted an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The server offered it.
    #[default]
    Offered,
    /// Somebody at the device takes it back to its former version.
    ByHand {
        /// Why, as far as that was said.
        reason: Option<String>,
    },
}

impl Origin {
    /// Returns how people tell an attempt of this origin from others.
    pub fn name(&self, attempt: AttemptId) -> String {
        match self {
            Self::Offered => format!("attempt {attempt}"),
            Self::ByHand { .. } => "the way back by hand".to_owned(),
        }
    }
}

/// A version that somebody at the device took it back from: it isn't installed again until somebody there says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenBack {
    /// That version.
    pub version: Version,
    /// Its place in the publishers' count.
    pub release_counter: u64,
    /// When.
    pub at: Timestamp,
    /// Why, as far as that was said.
    pub reason: Option<String>,
}

impl TakenBack {
    /// Tells whether an offer is of just that release.
    pub fn is(&self, offer: &Offer) -> bool {
        self.release_counter == offer.release_counter && self.version == offer.version
    }
}

/// A report that waits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Waiting {
    /// The attempt that it is about.
    pub attempt: AttemptId,
    /// The report.
    pub report: AttemptReport,
}
