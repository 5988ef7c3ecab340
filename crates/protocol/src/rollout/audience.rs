//! Who a rollout is for, and who not.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::{DeviceId, GroupName};
use crate::selector::Selector;
use crate::share::Share;

/// Who a rollout is for, among the devices of the release's models.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Audience {
    /// All.
    #[default]
    All,
    /// A share, by cohort.
    Percent {
        /// How much.
        share: Share,
    },
    /// One part of a fleet that is split for a comparison, by a hash of its own: the same salt always splits alike, and
    /// apart from the cohort that the phases cut.
    Split {
        /// Names the split.
        salt: String,
        /// Where the part begins.
        from: Share,
        /// Where it ends, itself not included.
        until: Share,
    },
    /// Those listed.
    Devices {
        /// At least one.
        devices: Vec<DeviceId>,
    },
    /// A group's members.
    Group {
        /// Its name.
        group: GroupName,
    },
    /// Whatever a selector takes in.
    Selector {
        /// The selector.
        selector: Selector,
    },
}

impl fmt::Display for Audience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all devices"),
            Self::Percent { share } => write!(f, "{share} of devices"),
            Self::Split { salt, from, until } => {
                write!(f, "{from} to {until} of the split `{salt}`")
            }
            Self::Devices { devices } => write!(f, "{} listed devices", devices.len()),
            Self::Group { group } => write!(f, "group {group}"),
            Self::Selector { selector } => write!(f, "{selector}"),
        }
    }
}

/// Who a rollout is not for, whatever its audience says.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct Exclusions {
    /// These devices.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<DeviceId>,
    /// These groups' members.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<GroupName>,
    /// Whatever this selector takes in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<Selector>,
}

impl Exclusions {
    /// Tells whether nobody is excluded.
    pub fn is_empty(&self) -> bool {
        self.devices.is_empty() && self.groups.is_empty() && self.selector.is_none()
    }
}

impl Audience {
    /// Puts listed devices in order, each once, so that they are found quickly.
    pub fn put_in_order(&mut self) {
        if let Self::Devices { devices } = self {
            devices.sort();
            devices.dedup();
        }
    }
}
