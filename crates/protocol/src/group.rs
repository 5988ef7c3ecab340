//! Named sets of devices.

use serde::{Deserialize, Serialize};

use crate::id::GroupName;
use crate::selector::Selector;

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
}
