//! Devices and their attempts, as people see them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::device_key::HeldKey;
use crate::attempt::{AttemptPurpose, AttemptState};
use crate::check_in::AttemptStep;
use crate::decision::Decision;
use crate::device::Conditions;
use crate::device::DeviceState;
use crate::device::Dialect;
use crate::device::Pairs;
use crate::digest::Sha256Digest;
use crate::id::AttemptId;
use crate::id::DeviceId;
use crate::id::GroupName;
use crate::id::Model;
use crate::id::ReleaseId;
use crate::id::RolloutId;
use crate::time::Timestamp;
use crate::version::Version;

/// Which devices to list; whatever is given must hold.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema, utoipa::IntoParams))]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
#[serde(default)]
pub struct DeviceFilter {
    /// Part of the id.
    pub search: Option<String>,
    /// The model.
    pub model: Option<Model>,
    /// What it runs.
    pub version: Option<Version>,
    /// Whether it takes part.
    pub state: Option<DeviceState>,
    /// The group that it was put in by hand.
    pub group: Option<GroupName>,
    /// The `next` of the page before.
    pub cursor: Option<String>,
    /// Most items, 1 to 500; 50 where absent.
    pub limit: Option<u32>,
}

/// A device in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeviceSummary {
    /// Its own name.
    pub id: DeviceId,
    /// What hardware it is.
    pub model: Model,
    /// What it runs.
    pub version: Version,
    /// Whether it takes part.
    pub state: DeviceState,
    /// Why an operator holds it, where one does.
    pub hold: Option<String>,
    /// The group that it was put in by hand.
    pub group: Option<GroupName>,
    /// From the operator.
    pub labels: Pairs,
    /// When it enrolled.
    pub enrolled_at: Timestamp,
    /// When it last checked in; up to half a minute behind.
    pub last_seen_at: Option<Timestamp>,
    /// Its newest attempt.
    pub attempt: Option<AttemptSummary>,
}

/// A device, with its story and what holds it back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeviceDetail {
    /// What a list shows.
    #[serde(flatten)]
    pub summary: DeviceSummary,
    /// From the device.
    pub metadata: Pairs,
    /// Its circumstances, as last said.
    pub conditions: Conditions,
    /// Which dialect of the device API it spoke last.
    #[serde(default)]
    pub dialect: Dialect,
    /// Its boot loader's version.
    pub bootloader_version: Option<Version>,
    /// Seconds that its clock is ahead of the server's, negative where it is behind; only where it is more than ten minutes
    /// off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_off_sec: Option<i64>,
    /// SHA-256 of its public key; absent where it was registered without one and hasn't enrolled yet.
    #[serde(default)]
    pub fingerprint: Option<Sha256Digest>,
    /// Another key that came under its name and waits for an operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_key: Option<HeldKey>,
    /// Its attempts, the newest first, at most 50.
    pub attempts: Vec<AttemptDetail>,
    /// Why it updates or doesn't: every rule of every live rollout for its model.
    pub decision: Decision,
    /// Names of the rollouts that the decision and the attempts speak of.
    pub rollout_names: BTreeMap<RolloutId, String>,
}

/// A change to a device; what is absent stays.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct DevicePatch {
    /// All its labels.
    pub labels: Option<Pairs>,
    /// Its group; an empty text takes it out of its group.
    pub group: Option<String>,
    /// Why it is held; an empty text lets it go.
    pub hold: Option<String>,
}

/// An attempt in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AttemptSummary {
    /// Its number.
    pub id: AttemptId,
    /// Its name that no other server has.
    pub uuid: uuid::Uuid,
    /// Whose it is.
    pub device: DeviceId,
    /// The rollout.
    pub rollout: RolloutId,
    /// The release.
    pub release: ReleaseId,
    /// The release's version.
    pub version: Version,
    /// What the device ran before.
    pub from_version: Version,
    /// The phase it began in, from 0; on the way back the one after the last.
    pub phase: u32,
    /// What it is for.
    #[serde(default)]
    pub purpose: AttemptPurpose,
    /// Since when the device says that it is unhealthy, though it succeeded.
    #[serde(default)]
    pub unhealthy_at: Option<Timestamp>,
    /// Where it is.
    pub state: AttemptState,
    /// How much of the state's work is done, 0 to 100.
    pub progress: Option<u8>,
    /// The device's own words.
    pub message: Option<String>,
    /// When it was offered.
    pub created_at: Timestamp,
    /// When something was last heard of it.
    pub updated_at: Timestamp,
    /// When it came to its end.
    pub finished_at: Option<Timestamp>,
}

/// An attempt with every step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AttemptDetail {
    /// What a list shows.
    #[serde(flatten)]
    pub summary: AttemptSummary,
    /// What the device reported, in its order.
    pub steps: Vec<AttemptStep>,
    /// Tells whether the device sent a log.
    pub has_log: bool,
}

/// A token to let devices in with, to make.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewEnrollmentToken {
    /// What it is for, to people.
    pub name: String,
    /// How many devices it lets in; without one, any number.
    #[serde(default)]
    pub quota: Option<u32>,
    /// When it ends.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
    /// Models that it lets in; none means any.
    #[serde(default)]
    pub models: Vec<Model>,
    /// The group that it puts devices in.
    #[serde(default)]
    pub group: Option<GroupName>,
}

/// A token to let devices in with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EnrollmentToken {
    /// Its number.
    pub id: i64,
    /// What it is and does.
    #[serde(flatten)]
    pub spec: NewEnrollmentToken,
    /// How many devices it has let in.
    pub used: u32,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at: Timestamp,
    /// When it was taken back.
    pub revoked_at: Option<Timestamp>,
}
