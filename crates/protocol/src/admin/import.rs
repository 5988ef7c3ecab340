//! Devices registered in bulk before they enroll: `POST /api/v1/devices/import`.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::device::Pairs;
use crate::id::{DeviceId, GroupName, Model};
use crate::version::Version;

/// Most devices in one request.
pub const MAX_IMPORT_DEVICES: usize = 10_000;
/// Most bytes in one request.
pub const MAX_IMPORT_BYTES: usize = 8 << 20;

/// A device to register before it enrolls; it is accepted, and has no token yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ImportDevice {
    /// Its own name.
    pub id: DeviceId,
    /// What hardware it is.
    pub model: Model,
    /// What it runs, where that is known.
    #[serde(default)]
    pub version: Version,
    /// The group to put it in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupName>,
    /// From the operator.
    #[serde(default, skip_serializing_if = "Pairs::is_empty")]
    pub labels: Pairs,
    /// What it will say of itself.
    #[serde(default, skip_serializing_if = "Pairs::is_empty")]
    pub metadata: Pairs,
    /// Its Ed25519 public key, 64 hex digits: who proves to have it is let in at once. Without one it needs an enrollment
    /// token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key: Option<String>,
    /// Why it is held, where it is to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<String>,
}

/// How an import is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema, utoipa::IntoParams))]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
#[serde(default)]
pub struct ImportOptions {
    /// The number of the first line within the whole file, where a file is sent in pieces; 1 where absent. Problems name
    /// lines by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_line: Option<u64>,
}

/// What an import did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Imported {
    /// Devices that were registered.
    pub created: u64,
    /// Devices that were known already; nothing of them was changed.
    pub known: u64,
}

/// Where in a request a device stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In a line, counted from 1.
    Line(u64),
    /// In an array, counted from 0.
    Element(usize),
}

impl Place {
    /// Names a field of the device that stands here, as problems do: `line 7: model`, `[6].model`.
    pub fn field(self, name: &str) -> String {
        match self {
            Self::Line(_) => format!("{self}: {name}"),
            Self::Element(_) => format!("{self}.{name}"),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(number) => write!(f, "line {number}"),
            Self::Element(number) => write!(f, "[{number}]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_needs_an_id_and_a_model() {
        let device: ImportDevice = serde_json::from_str(r#"{"id":"gw-1","model":"rpi4"}"#).unwrap();
        assert_eq!(
            serde_json::to_string(&device).unwrap(),
            r#"{"id":"gw-1","model":"rpi4","version":""}"#
        );
        assert!(serde_json::from_str::<ImportDevice>(r#"{"id":"gw-1"}"#).is_err());
    }

    #[test]
    fn places_are_named_as_their_form_does() {
        assert_eq!(Place::Line(7).field("labels.site"), "line 7: labels.site");
        assert_eq!(Place::Element(6).field("model"), "[6].model");
    }
}
