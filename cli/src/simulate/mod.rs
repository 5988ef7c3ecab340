//! Devices that aren't there: they speak the real device API over HTTP, thousands in one process.
//!
//! | file | what |
//! |---|---|
//! | `fleet` | who the devices are, and running all of them until an end |
//! | `device` | one device: enrolls, checks in, goes through attempts |
//! | `temper` | how a device takes an update: well, badly, or not at all |
//! | `download` | one artifact on its way to one device: in pieces, hashed, resumed |
//! | `link` | requests, with their limits and retries |
//! | `store` | what the devices keep from one run to the next |
//! | `report` | what people and scripts get to see |
//! | `seed` | a large fleet in the registry alone |

mod device;
mod download;
mod fleet;
mod link;
mod metadata;
mod report;
mod seed;
mod store;
mod temper;

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use otter_protocol::{DeviceId, Model, Version};
use url::Url;

pub use fleet::run;
pub use report::Summary;
pub(crate) use seed::group_share;
pub use seed::{Seed, fill};
pub use temper::Tempers;

/// What is simulated, and for how long.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Address of the server.
    pub server: Url,
    /// How many devices.
    pub devices: u32,
    /// Their models, taken in turn; at least one.
    pub models: Vec<Model>,
    /// Lets them in at once.
    pub enrollment_token: Option<String>,
    /// What they run at first.
    pub version: Version,
    /// How their ids begin.
    pub id_prefix: String,
    /// Longest time between two check-ins.
    pub interval: Option<Duration>,
    /// Time that each of installing, rebooting and verifying takes.
    pub step: Duration,
    /// How many of them take updates otherwise than well.
    pub tempers: Tempers,
    /// Those that fail every attempt beside these.
    pub fail_devices: Vec<DeviceId>,
    /// Most bytes a second that one device downloads.
    pub rate_bytes: Option<NonZeroU64>,
    /// Most requests at once, and most downloads at once beside them.
    pub concurrency: usize,
    /// Folder that keeps them from one run to the next.
    pub state: Option<PathBuf>,
    /// Ends once no device has had anything to do for this time.
    pub until_idle: Option<Duration>,
    /// Ends after this time.
    pub duration: Option<Duration>,
}
