//! Named sets of devices.

use serde::{Deserialize, Serialize};

use crate::device::Device;
use crate::id::GroupName;
use crate::selector::Selector;
use crate::window::Window;

/// The rings that exist from the start, the most careful first.
pub const RINGS: [&str; 4] = ["canary", "internal", "pilot", "general"];

/// A named set of devices: members by hand, and whatever its selector takes in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Group {
    /// Its name.
    pub name: GroupName,
    /// What it is for, to people.
    #[serde(default)]
    pub description: String,
    /// Takes in devices by what they say and what is said of them.
    #[serde(default)]
    pub selector: Option<Selector>,
    /// When its members may start updates, beside what a rollout says; without one, at any time.
    #[serde(default)]
    pub window: Option<Window>,
}

impl Group {
    /// Tells whether a device is a member, by hand or by the selector.
    pub fn has(&self, device: &Device) -> bool {
        device.group.as_ref() == Some(&self.name)
            || self
                .selector
                .as_ref()
                .is_some_and(|selector| selector.matches(|key| device.value_of(key)))
    }
}
