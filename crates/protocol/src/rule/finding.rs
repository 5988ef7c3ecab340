//! What a rule found, as data.

use serde::{Deserialize, Serialize};

use crate::device::DeviceState;
use crate::id::{GroupName, RolloutId};
use crate::release::{ArtifactKind, ReleaseState};
use crate::rollout::RolloutState;
use crate::share::Share;
use crate::time::Timestamp;
use crate::version::Version;

/// Whose window is closed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "whose", rename_all = "snake_case")]
pub enum WhoseWindow {
    /// The rollout's.
    #[default]
    Rollout,
    /// That of a group of the device.
    Group {
        /// Its name.
        group: GroupName,
    },
}

/// What a rule found, with its numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "finding", rename_all = "snake_case")]
pub enum Finding {
    /// Nothing stands in the way, and there is no more to say.
    Passes,
    /// The device's state.
    DeviceState {
        /// As it is.
        state: DeviceState,
    },
    /// The release has nothing for the device's model.
    NoArtifact {
        /// The device's model.
        model: String,
    },
    /// The release isn't signed, and the device installs only what is.
    Unsigned,
    /// The device's dialect carries firmware, and the artifact is something else.
    NotFirmware {
        /// What it is.
        kind: ArtifactKind,
    },
    /// The device's dialect offers only the newest firmware of a model.
    NotNewest {
        /// That is this version.
        newest: Version,
    },
    /// The release's state.
    ReleaseState {
        /// As it is.
        state: ReleaseState,
    },
    /// Two versions that were compared.
    Versions {
        /// What the device has.
        device: Version,
        /// What the release has or asks for.
        release: Version,
    },
    /// The release asks for a boot loader version that the device doesn't say.
    BootloaderUnknown {
        /// What the release asks for.
        needed: Version,
    },
    /// The rollout's state.
    RolloutState {
        /// As it is.
        state: RolloutState,
        /// When it begins, where it is scheduled.
        starts_at: Option<Timestamp>,
    },
    /// A cohort against a share, both in percent.
    Cohort {
        /// The device's place, 0 to 100.
        cohort: f64,
        /// The share that is open.
        share: Share,
    },
    /// What it runs can't be updated to the release directly: it goes by another.
    GoesBy {
        /// What the device has.
        device: Version,
        /// The lowest version that the release can be installed over.
        needed: Version,
        /// What it is offered first.
        step: Version,
    },
    /// The rollout rolls back, and the device goes back to what it ran before.
    GoesBack {
        /// To that version.
        to: Version,
    },
    /// The rollout rolls back, and what the device ran before can't be had.
    NoFormerRelease {
        /// What it ran before, where the rollout updated it.
        former: Option<Version>,
    },
    /// The device is not one of the audience.
    NotInAudience {
        /// Who the rollout is for.
        audience: String,
    },
    /// The device is excluded.
    Excluded {
        /// By what.
        by: String,
    },
    /// The device joined after a rollout that is for those known at its start.
    JoinedLater {
        /// When it enrolled.
        enrolled_at: Timestamp,
        /// When the rollout began.
        started_at: Timestamp,
    },
    /// The open phases' scopes.
    Phase {
        /// The phase that takes the device in, from 0.
        phase: u32,
        /// That phase's name.
        name: String,
        /// The device's place, 0 to 100.
        cohort: f64,
    },
    /// None of the phases takes the device in.
    NoPhase {
        /// The device's place, 0 to 100.
        cohort: f64,
    },
    /// A window is closed.
    WindowClosed {
        /// When it opens, and every other that counts; `None` where that is over a year away.
        opens_at: Option<Timestamp>,
        /// In this zone.
        zone: String,
        /// When it opens as people there say it, such as `today at 22:00`.
        #[serde(default)]
        opens: Option<String>,
        /// Whose window it is.
        #[serde(default)]
        whose: WhoseWindow,
    },
    /// A number that must not be under its limit.
    AtLeast {
        /// As it is.
        got: u64,
        /// The limit.
        least: u64,
    },
    /// A number that must not be over its limit.
    AtMost {
        /// As it is.
        got: u64,
        /// The limit.
        most: u64,
    },
    /// A batch is under way; the next waits for its end.
    BatchUnderWay {
        /// How many go together.
        size: u32,
        /// Attempts of it that aren't at their end.
        under_way: u64,
    },
    /// As many began as may in the time.
    Paced {
        /// How many may begin in an hour.
        per_hour: u32,
        /// When the next may.
        next_at: Timestamp,
    },
    /// The device failed and waits before it tries again.
    BacksOff {
        /// How often it failed.
        failures: u32,
        /// Until then.
        until: Timestamp,
    },
    /// Another rollout gets the device first.
    Yields {
        /// Which.
        to: RolloutId,
        /// Its name.
        name: String,
        /// Tells whether the device is at it already.
        is_under_way: bool,
    },
    /// Runs on its battery.
    OnBattery,
    /// The link costs by the byte.
    Metered,
    /// The release is required, so a wish doesn't count.
    Required,
    /// An operator holds the device.
    Held {
        /// Why.
        reason: String,
    },
}
