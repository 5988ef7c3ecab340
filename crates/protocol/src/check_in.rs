//! What a device and the server exchange: `/device/v1`.
//!
//! Every field that a device may leave out has a default, and what a server doesn't know it passes over: devices are older
//! than servers, and newer.

use serde::{Deserialize, Serialize};

use crate::attempt::AttemptReport;
use crate::device::{Conditions, Pairs};
use crate::digest::Sha256Digest;
use crate::id::{AttemptId, DeviceId, Model, ReleaseId, RolloutId};
use crate::release::ArtifactKind;
use crate::rule::Rule;
use crate::time::Timestamp;
use crate::version::Version;

/// A device asks to take part: `POST /device/v1/enroll`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EnrollRequest {
    /// Its own name.
    pub id: DeviceId,
    /// What hardware it is.
    pub model: Model,
    /// What it runs.
    #[serde(default)]
    pub version: Version,
    /// Its Ed25519 public key, 64 hex digits.
    pub public_key: String,
    /// Proves that it has the private key: the Ed25519 signature of [`enrollment_message`], 128 hex digits.
    pub proof: String,
    /// Lets it in at once, where it is good for this model and not used up.
    #[serde(default)]
    pub enrollment_token: Option<String>,
    /// What it says of itself.
    #[serde(default)]
    pub metadata: Pairs,
}

/// Returns the bytes that a device signs to prove that it has its key.
pub fn enrollment_message(id: &DeviceId, enrollment_token: Option<&str>) -> Vec<u8> {
    ["otter-enroll", id.as_str(), enrollment_token.unwrap_or("")]
        .join("\0")
        .into_bytes()
}

/// The answer to an enrollment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum EnrollReply {
    /// It takes part (status 201).
    Accepted {
        /// Goes with every later request as `Authorization: Bearer …`; shown only here.
        device_token: String,
    },
    /// An operator has to accept its key; ask again later (status 202).
    Pending {
        /// What the operator sees of the key: its SHA-256.
        fingerprint: Sha256Digest,
        /// Seconds to wait before asking again.
        retry_after_sec: u32,
    },
}

/// A device changes its key and its token: `POST /device/v1/rotate`, with the token that it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RotateRequest {
    /// The Ed25519 public key from now on, 64 hex digits; the one it has, where only the token is to change.
    pub public_key: String,
    /// Its present key's signature of [`rotation_message`], 128 hex digits.
    pub proof: String,
    /// The new key's signature of the same, 128 hex digits.
    pub new_proof: String,
}

/// Returns the bytes that a device signs with its present and its new key to change to the new one.
///
/// The hash of its present token makes a signature good for this one change; without one, known by a certificate, it is left
/// empty.
pub fn rotation_message(id: &DeviceId, token: Option<Sha256Digest>, public_key: &str) -> Vec<u8> {
    let token = token.map(|hash| hash.to_string()).unwrap_or_default();
    ["otter-rotate", id.as_str(), &token, public_key]
        .join("\0")
        .into_bytes()
}

/// The answer to a rotation: the former key and token count no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RotateReply {
    /// Goes with every later request as `Authorization: Bearer …`; shown only here.
    pub device_token: String,
}

/// A device says how it is and asks what to do: `POST /device/v1/check-in`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CheckIn {
    /// What it runs.
    pub version: Version,
    /// Its boot loader's version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootloader_version: Option<Version>,
    /// The agent's own version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_version: Option<String>,
    /// What it says of itself; without it, what it said before holds: a client that says little must not leave its groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Pairs>,
    /// Its circumstances.
    #[serde(default)]
    pub conditions: Conditions,
    /// The attempt that it is at, where it is at one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<AttemptId>,
    /// Its clock, which may be wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

/// What the server answers to a check-in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CheckInReply {
    /// What to do.
    #[serde(flatten)]
    pub instruction: Instruction,
    /// Seconds until the next check-in, spread by the server.
    pub next_check_in_sec: u32,
    /// The server's clock.
    pub server_time: Timestamp,
    /// Seconds that the device's clock is ahead of the server's, negative where it is behind; only where it is more than ten
    /// minutes off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_off_sec: Option<i64>,
    /// When a rollout that waits for nothing but its window may take the device, spread so that a fleet doesn't come at
    /// once; a device that sleeps may sleep until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub come_back_at: Option<Timestamp>,
    /// Why not, where there is nothing to do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason>,
}

/// What a device is to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "decision", rename_all = "snake_case")]
pub enum Instruction {
    /// Install a release.
    Install(Offer),
    /// Nothing.
    Wait,
    /// Give up an attempt, unless it is being applied already.
    Cancel {
        /// That attempt.
        attempt: AttemptId,
    },
}

/// A release for one device, and the attempt at it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Offer {
    /// The attempt, to report on.
    pub attempt: AttemptId,
    /// The attempt's name that no other server has.
    pub attempt_uuid: uuid::Uuid,
    /// The rollout that offers it.
    pub rollout: RolloutId,
    /// The release.
    pub release: ReleaseId,
    /// Its version.
    pub version: Version,
    /// Its place in the publishers' count, part of the signed target's name.
    pub release_counter: u64,
    /// Passes over local wishes.
    pub required: bool,
    /// What to fetch.
    pub artifact: OfferedArtifact,
}

/// The bytes to fetch. Nothing here is to be trusted: the signed targets metadata rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OfferedArtifact {
    /// Names the bytes.
    pub sha256: Sha256Digest,
    /// Length in bytes.
    pub size: u64,
    /// What it is.
    pub kind: ArtifactKind,
    /// Where it is, relative to the server or absolute.
    pub url: String,
}

/// Why a device has to wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Reason {
    /// The rollout that doesn't offer.
    pub rollout: RolloutId,
    /// The rule that holds it back.
    pub rule: Rule,
    /// The same in words.
    pub text: String,
    /// When it changes by itself, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// The answer to an attempt's report: `POST /device/v1/attempts/{id}/reports`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReportReply {
    /// Tells whether the report changed something; one that is repeated or late doesn't.
    pub applied: bool,
    /// Where the attempt is now.
    pub state: crate::attempt::AttemptState,
}

/// A report as the attempt's story keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AttemptStep {
    /// What the device said.
    #[serde(flatten)]
    pub report: AttemptReport,
    /// When the server heard it.
    pub received_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_in_needs_little_and_passes_over_what_it_does_not_know() {
        let check_in: CheckIn =
            serde_json::from_str(r#"{"version":"1.0.0","moon_phase":3}"#).unwrap();
        assert_eq!(check_in.version, "1.0.0".into());
        assert!(serde_json::from_str::<CheckIn>("{}").is_err());
    }

    #[test]
    fn replies_are_flat() {
        let reply = CheckInReply {
            instruction: Instruction::Wait,
            next_check_in_sec: 60,
            come_back_at: None,
            clock_off_sec: None,
            server_time: Timestamp(0),
            reasons: vec![],
        };
        let json = serde_json::to_string(&reply).unwrap();
        assert_eq!(
            json,
            r#"{"decision":"wait","next_check_in_sec":60,"server_time":"1970-01-01T00:00:00Z"}"#
        );
        assert_eq!(serde_json::from_str::<CheckInReply>(&json).unwrap(), reply);
    }
}
