//! One try of one device at one rollout, from offered to its end.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;
use crate::version::Version;

/// Where an attempt is. The order of the states under way is the order in which they come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum AttemptState {
    /// The server granted it.
    Offered,
    /// The artifact is on its way.
    Downloading,
    /// The artifact is there and is what was signed.
    Downloaded,
    /// It is being applied.
    Installing,
    /// The device restarts into it.
    Rebooting,
    /// It runs; its health is being checked.
    Verifying,
    /// Booted, healthy, and said so itself on the new version.
    Succeeded,
    /// Given up before the old version was left.
    Failed,
    /// The new version was tried, and the old one is back.
    RolledBack,
    /// Taken back by the server before it was applied.
    Cancelled,
    /// No word for its deadline.
    TimedOut,
    /// Another attempt took its place.
    Superseded,
}

impl AttemptState {
    /// Every state.
    pub const ALL: [Self; 12] = [
        Self::Offered,
        Self::Downloading,
        Self::Downloaded,
        Self::Installing,
        Self::Rebooting,
        Self::Verifying,
        Self::Succeeded,
        Self::Failed,
        Self::RolledBack,
        Self::Cancelled,
        Self::TimedOut,
        Self::Superseded,
    ];

    /// Tells whether the attempt has come to its end.
    pub fn is_finished(self) -> bool {
        self >= Self::Succeeded
    }

    /// Tells whether it ended as a failure in a rollout's rates.
    pub fn is_failure(self) -> bool {
        matches!(self, Self::Failed | Self::RolledBack | Self::TimedOut)
    }

    /// Tells whether the device hasn't begun to apply it, so that it can still be taken back.
    pub fn is_cancellable(self) -> bool {
        self <= Self::Downloaded
    }

    /// Tells whether a device may report it; the others are the server's to say.
    pub fn is_reportable(self) -> bool {
        !matches!(self, Self::Offered | Self::TimedOut | Self::Superseded)
    }

    /// Returns the state as the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Offered => "offered",
            Self::Downloading => "downloading",
            Self::Downloaded => "downloaded",
            Self::Installing => "installing",
            Self::Rebooting => "rebooting",
            Self::Verifying => "verifying",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::RolledBack => "rolled_back",
            Self::Cancelled => "cancelled",
            Self::TimedOut => "timed_out",
            Self::Superseded => "superseded",
        }
    }

    /// Returns the state that the API writes so.
    pub fn named(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

impl fmt::Display for AttemptState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What an attempt is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum AttemptPurpose {
    /// To bring the rollout's release.
    #[default]
    Update,
    /// To bring a release on the way to the rollout's, which can't be updated to directly.
    Step,
    /// To bring back what the device ran before the rollout.
    RollBack,
}

impl AttemptPurpose {
    /// Every purpose.
    pub const ALL: [Self; 3] = [Self::Update, Self::Step, Self::RollBack];

    /// Returns the purpose as the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Update => "update",
            Self::Step => "step",
            Self::RollBack => "roll_back",
        }
    }

    /// Returns the purpose that the API writes so.
    pub fn named(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|purpose| purpose.as_str() == text)
    }
}

/// A device's word on its attempt. Repeated, late or out of order, it never moves an attempt backwards.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AttemptReport {
    /// Counts the device's reports on this attempt, from 1.
    pub sequence: u32,
    /// Where the device says it is.
    pub state: AttemptState,
    /// How much of the state's work is done, 0 to 100.
    #[serde(default)]
    pub progress: Option<u8>,
    /// The device's own words: on a failure, why.
    #[serde(default)]
    pub message: Option<String>,
    /// What the device runs as it says this; must be the release's version where it says `succeeded`.
    #[serde(default)]
    pub version: Option<Version>,
    /// When it happened by the device's clock, which may be wrong.
    #[serde(default)]
    pub at: Option<Timestamp>,
}

/// What a report does to an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It is taken.
    Applied,
    /// It says what is known, or what is past; nothing changes.
    Ignored,
}

/// Why a report is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    /// A state that is the server's to say.
    #[error("a device can't report `{0}`: only the server says it")]
    NotReportable(AttemptState),
    /// Progress over 100.
    #[error("progress goes from 0 to 100, not {0}")]
    Progress(u8),
    /// `succeeded` from a device that doesn't run the release.
    #[error("`succeeded` must come with the version `{expected}`, not `{}`", .got.as_ref().map_or("none", Version::as_str))]
    WrongVersion {
        /// The release's version.
        expected: Version,
        /// What the device says it runs.
        got: Option<Version>,
    },
}

impl AttemptReport {
    /// Rules on a report to an attempt in `state` whose last report was `last_sequence` (0 for none).
    pub fn effect_on(
        &self,
        state: AttemptState,
        last_sequence: u32,
        release: &Version,
    ) -> Result<Effect, ReportError> {
        if !self.state.is_reportable() {
            return Err(ReportError::NotReportable(self.state));
        }
        if let Some(progress) = self.progress.filter(|progress| *progress > 100) {
            return Err(ReportError::Progress(progress));
        }
        if self.state == AttemptState::Succeeded && self.version.as_ref() != Some(release) {
            return Err(ReportError::WrongVersion {
                expected: release.clone(),
                got: self.version.clone(),
            });
        }
        let is_old = self.sequence <= last_sequence || self.state < state;
        Ok(if state.is_finished() || is_old {
            Effect::Ignored
        } else {
            Effect::Applied
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn report(sequence: u32, state: AttemptState) -> AttemptReport {
        AttemptReport {
            sequence,
            state,
            progress: None,
            message: None,
            version: Some("2".into()),
            at: None,
        }
    }

    #[test]
    fn names_come_back() {
        for state in AttemptState::ALL {
            assert_eq!(AttemptState::named(state.as_str()), Some(state));
            assert_eq!(
                serde_json::to_string(&state).unwrap(),
                format!("\"{state}\"")
            );
        }
    }

    #[test]
    fn success_needs_the_releases_version() {
        let mut success = report(1, AttemptState::Succeeded);
        assert_eq!(
            success.effect_on(AttemptState::Verifying, 0, &"2".into()),
            Ok(Effect::Applied)
        );
        success.version = None;
        assert!(matches!(
            success.effect_on(AttemptState::Verifying, 0, &"2".into()),
            Err(ReportError::WrongVersion { got: None, .. })
        ));
    }

    proptest! {
        /// However reports are repeated, lost or reordered, the state only moves forwards, and an end is an end.
        #[test]
        fn never_backwards(sequence in prop::collection::vec((0u32..20, 0usize..12), 0..40)) {
            let (mut state, mut last) = (AttemptState::Offered, 0);
            for (number, place) in sequence {
                let report = report(number, AttemptState::ALL[place]);
                if let Ok(Effect::Applied) = report.effect_on(state, last, &"2".into()) {
                    prop_assert!(!state.is_finished());
                    prop_assert!(report.state >= state);
                    prop_assert!(number > last);
                    (state, last) = (report.state, number);
                }
            }
        }
    }
}
