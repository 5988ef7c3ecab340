//! Keys of devices that wait for an operator.

use serde::{Deserialize, Serialize};

use crate::device::DeviceState;
use crate::digest::Sha256Digest;
use crate::id::{DeviceId, Model};
use crate::time::Timestamp;
use crate::version::Version;

/// Most devices that one request decides on.
pub const MAX_DECIDED: usize = 1000;

/// Another key with which a known device's name came: it waits, and the device's own key counts on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HeldKey {
    /// SHA-256 of the key.
    pub fingerprint: Sha256Digest,
    /// When it came first.
    pub at: Timestamp,
}

/// A key that waits for an operator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WaitingKey {
    /// The device whose key it would be.
    pub id: DeviceId,
    /// What hardware the device is.
    pub model: Model,
    /// What it runs.
    pub version: Version,
    /// How the device stands: pending, or known with another key.
    pub state: DeviceState,
    /// SHA-256 of the key that waits.
    pub fingerprint: Sha256Digest,
    /// SHA-256 of the key that it would replace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<Sha256Digest>,
    /// Since when it waits.
    pub since: Timestamp,
}

/// Which key is decided on, and why.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct KeyDecision {
    /// The key as it was looked at; without it there must be only one that can be meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<Sha256Digest>,
    /// Why, for the audit log.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// A device's key, as it was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KeyOf {
    /// The device.
    pub id: DeviceId,
    /// SHA-256 of the key.
    pub fingerprint: Sha256Digest,
}

/// Many keys that are decided on at once, at most 1000.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KeyDecisions {
    /// The keys.
    pub devices: Vec<KeyOf>,
    /// Why, for the audit log.
    #[serde(default)]
    pub reason: String,
}

/// What came of many decisions: each stands for itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KeysDecided {
    /// The devices whose key was decided on.
    pub decided: Vec<DeviceId>,
    /// Those whose key was not.
    pub failed: Vec<NotDecided>,
}

/// A key that could not be decided on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NotDecided {
    /// The device.
    pub id: DeviceId,
    /// Why not.
    pub detail: String,
}
