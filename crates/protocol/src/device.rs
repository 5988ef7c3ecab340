//! Things that poll, as the decision sees them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::attempt::{AttemptPurpose, AttemptState};
use crate::id::{AttemptId, DeviceId, GroupName, Model, ReleaseId, RolloutId};
use crate::time::Timestamp;
use crate::version::Version;

/// Flat key → text.
pub type Pairs = BTreeMap<String, String>;

/// Whether a device may take part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum DeviceState {
    /// Asked to enroll; an operator has to accept its key.
    Pending,
    /// Takes part.
    Accepted,
    /// Its token and key no longer count.
    Revoked,
    /// Gone for good; its story stays.
    Decommissioned,
}

impl DeviceState {
    /// Every state.
    pub const ALL: [Self; 4] = [
        Self::Pending,
        Self::Accepted,
        Self::Revoked,
        Self::Decommissioned,
    ];

    /// Returns the state as the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Accepted => "accepted",
            Self::Revoked => "revoked",
            Self::Decommissioned => "decommissioned",
        }
    }

    /// Returns the state that the API writes so.
    pub fn named(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// Which dialect of the device API a device speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    /// Otter's own: its devices verify signed metadata before they install anything.
    #[default]
    Native,
    /// The plain firmware API: its devices know an artifact by its SHA-256 alone.
    Firmware,
}

impl Dialect {
    /// Every dialect.
    pub const ALL: [Self; 2] = [Self::Native, Self::Firmware];

    /// Tells whether its devices install only what signed metadata names.
    pub fn verifies_signatures(self) -> bool {
        match self {
            Self::Native => true,
            Self::Firmware => false,
        }
    }

    /// Returns the dialect as the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Firmware => "firmware",
        }
    }

    /// Returns the dialect that the API writes so.
    pub fn named(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|dialect| dialect.as_str() == text)
    }
}

/// What a device says of its circumstances; whatever it doesn't say is unknown and holds nothing back.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct Conditions {
    /// Charge of its battery, 0 to 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub battery_percent: Option<u8>,
    /// Runs on mains, not on its battery.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_mains: Option<bool>,
    /// Its link costs by the byte.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_metered: Option<bool>,
    /// Free bytes where updates are put.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub free_bytes: Option<u64>,
    /// Crashes of what it runs since it started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crashes_since_boot: Option<u32>,
    /// Its health checks pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_healthy: Option<bool>,
    /// Its IANA time zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
}

/// An attempt that isn't at its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenAttempt {
    /// Its number.
    pub id: AttemptId,
    /// The rollout that it belongs to.
    pub rollout: RolloutId,
    /// What it installs.
    pub release: ReleaseId,
    /// What for.
    pub purpose: AttemptPurpose,
    /// Where it is.
    pub state: AttemptState,
}

/// A device's finished tries at one thing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tries {
    /// Those that ended as failures, the oldest first.
    pub failed: Vec<AttemptId>,
    /// How the last one ended, and when.
    pub last: Option<(AttemptState, Timestamp)>,
    /// Those that ended as successes, with what they brought.
    #[serde(default)]
    pub brought: Vec<(AttemptId, ReleaseId)>,
}

impl Tries {
    /// Returns the failures that count, where those up to an attempt are forgiven.
    pub fn failures_after(&self, forgiven: Option<AttemptId>) -> usize {
        let counts = |id: &&AttemptId| forgiven.is_none_or(|upto| **id > upto);
        self.failed.iter().filter(counts).count()
    }

    /// Returns how often a release was brought, where attempts up to one are forgiven.
    pub fn brought_after(&self, release: ReleaseId, forgiven: Option<AttemptId>) -> usize {
        let counts = |(id, brought): &&(AttemptId, ReleaseId)| {
            *brought == release && forgiven.is_none_or(|upto| *id > upto)
        };
        self.brought.iter().filter(counts).count()
    }

    /// Adds what a try brought that ended as a success.
    pub fn add_brought(&mut self, id: AttemptId, release: ReleaseId) {
        self.brought.push((id, release));
    }

    /// Adds a try that came to its end.
    pub fn add(&mut self, id: AttemptId, end: AttemptState, at: Timestamp) {
        if end.is_failure() {
            self.failed.push(id);
        }
        self.last = Some((end, at));
    }
}

/// A device's finished attempts at one rollout.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PastAttempts {
    /// Those that were to bring the release, or one on the way to it.
    pub forth: Tries,
    /// Those that were to bring back what it ran before.
    pub back: Tries,
    /// The phase in which it began, from 0, where it did.
    pub phase: Option<u32>,
    /// What it ran when it began.
    pub began_from: Option<Version>,
    /// The same, once the rollout's release was installed: what it would go back to.
    pub former: Option<Version>,
}

impl PastAttempts {
    /// Returns the tries for a purpose.
    pub fn tries(&self, purpose: AttemptPurpose) -> &Tries {
        match purpose {
            AttemptPurpose::Update | AttemptPurpose::Step => &self.forth,
            AttemptPurpose::RollBack => &self.back,
        }
    }
}

/// Everything about a device that the decision looks at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Device {
    /// Its own name.
    pub id: DeviceId,
    /// What hardware it is.
    pub model: Model,
    /// What it runs.
    pub version: Version,
    /// Its boot loader's version, where it says one.
    pub bootloader_version: Option<Version>,
    /// Whether it may take part.
    pub state: DeviceState,
    /// Which dialect of the device API it spoke last.
    #[serde(default)]
    pub dialect: Dialect,
    /// When it enrolled.
    pub enrolled_at: Timestamp,
    /// An operator's reason to hold it back, where there is one.
    pub hold: Option<String>,
    /// The group that it was put in by hand.
    pub group: Option<GroupName>,
    /// From the operator.
    pub labels: Pairs,
    /// From the device.
    pub metadata: Pairs,
    /// Its circumstances, as last said.
    pub conditions: Conditions,
    /// Its attempt under way.
    pub attempt: Option<OpenAttempt>,
    /// Its finished attempts, by rollout.
    pub past: BTreeMap<RolloutId, PastAttempts>,
}

impl Device {
    /// Returns the value of a selector's key: `model`, `version`, `group`, then labels, then metadata.
    pub fn value_of(&self, key: &str) -> Option<&str> {
        match key {
            "model" => Some(self.model.as_str()),
            "version" => Some(self.version.as_str()),
            "group" => self.group.as_ref().map(GroupName::as_str),
            _ => self
                .labels
                .get(key)
                .or_else(|| self.metadata.get(key))
                .map(String::as_str),
        }
    }
}
