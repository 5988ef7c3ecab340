//! How the fleet's trust stands, and what to warn of long before it hurts.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Sha256Digest, Timestamp};

/// How long before its end signed metadata is warned of, in seconds: thirty days.
pub const WARNED_BEFORE_SEC: u64 = 30 * 24 * 3600;

/// How the fleet's trust stands.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TrustStatus {
    /// The root's version; absent until one is set.
    pub root_version: Option<u64>,
    /// When the root ends.
    pub root_expires_at: Option<Timestamp>,
    /// The targets' version; absent until something was signed.
    pub targets_version: Option<u64>,
    /// When the targets end.
    pub targets_expires_at: Option<Timestamp>,
    /// SHA-256 of the first root: devices without a root of their own log the same at enrollment.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub root_fingerprint: Option<Sha256Digest>,
    /// Whether the newest root doesn't trust who signed the targets, so that devices refuse every release.
    #[serde(default)]
    pub targets_untrusted: bool,
    /// The roles that sign for some models alone.
    #[serde(default)]
    pub delegated: Vec<DelegatedStatus>,
}

/// How the list of a delegated role stands.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DelegatedStatus {
    /// The role's name.
    pub role: String,
    /// The models that it signs for.
    pub models: Vec<String>,
    /// The version of its list; absent until it has signed one.
    pub version: Option<u64>,
    /// When its list ends.
    pub expires_at: Option<Timestamp>,
    /// Whether its list isn't signed as the publishers' list asks, so that devices refuse what is on it.
    pub untrusted: bool,
}

/// What a publisher has to do about the trust, and until when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum TrustWarning {
    /// The root ends soon, or has.
    RootEnds {
        /// When.
        at: Timestamp,
        /// Whether it is over.
        is_over: bool,
    },
    /// The targets end soon, or have.
    TargetsEnd {
        /// When.
        at: Timestamp,
        /// Whether it is over.
        is_over: bool,
    },
    /// The newest root doesn't trust who signed the targets.
    TargetsUntrusted,
    /// A delegated role's list ends soon, or has.
    DelegatedEnds {
        /// The role's name.
        role: String,
        /// When.
        at: Timestamp,
        /// Whether it is over.
        is_over: bool,
    },
    /// A delegated role's list isn't signed as the publishers' list asks.
    DelegatedUntrusted {
        /// The role's name.
        role: String,
    },
}

impl TrustStatus {
    /// Returns what a publisher has to do about, the most urgent first.
    #[must_use]
    pub fn warnings(&self, now: Timestamp) -> Vec<TrustWarning> {
        let soon = |at: &Timestamp| at.minus_sec(WARNED_BEFORE_SEC) <= now;
        let root = self.root_expires_at.filter(soon).map(|at| {
            let is_over = at <= now;
            TrustWarning::RootEnds { at, is_over }
        });
        let targets = self.targets_expires_at.filter(soon).map(|at| {
            let is_over = at <= now;
            TrustWarning::TargetsEnd { at, is_over }
        });
        let untrusted = self
            .targets_untrusted
            .then_some(TrustWarning::TargetsUntrusted);
        let delegated = self.delegated.iter().filter_map(|one| one.warning(now));
        let own = untrusted.into_iter().chain(root).chain(targets);
        let mut warnings: Vec<_> = own.chain(delegated).collect();
        warnings.sort_by_key(|warning| !warning.stops_updates());
        warnings
    }
}

impl DelegatedStatus {
    /// Returns what the team has to do about its list.
    fn warning(&self, now: Timestamp) -> Option<TrustWarning> {
        let role = self.role.clone();
        if self.untrusted {
            return Some(TrustWarning::DelegatedUntrusted { role });
        }
        let at = self.expires_at?;
        (at.minus_sec(WARNED_BEFORE_SEC) <= now).then(|| TrustWarning::DelegatedEnds {
            role,
            at,
            is_over: at <= now,
        })
    }
}

impl TrustWarning {
    /// Returns whether no device, or none of a team's models, can update until somebody has done something.
    #[must_use]
    pub const fn stops_updates(&self) -> bool {
        match self {
            Self::RootEnds { is_over, .. }
            | Self::TargetsEnd { is_over, .. }
            | Self::DelegatedEnds { is_over, .. } => *is_over,
            Self::TargetsUntrusted | Self::DelegatedUntrusted { .. } => true,
        }
    }
}

impl fmt::Display for TrustWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const ROTATE: &str = "Sign the next one with `otter trust rotate`";
        const RENEW: &str = "Sign it anew with `otter trust renew`";
        const TEAM: &str = "Whoever holds its keys signs it anew with `otter trust renew`";
        let (what, at, is_over, mend) = match self {
            Self::DelegatedEnds { role, at, is_over } => {
                let when = if *is_over { "ended" } else { "ends" };
                return write!(
                    f,
                    "The list of {role} {when} at {at}; devices refuse what is on it from then on. {TEAM}"
                );
            }
            Self::DelegatedUntrusted { role } => {
                return write!(
                    f,
                    "The list of {role} isn't signed as the publishers' list asks: devices refuse what is on it. {TEAM}"
                );
            }
            Self::RootEnds { at, is_over } => ("The root", at, is_over, ROTATE),
            Self::TargetsEnd { at, is_over } => ("The list of artifacts", at, is_over, RENEW),
            Self::TargetsUntrusted => {
                return write!(
                    f,
                    "The list of artifacts isn't signed as the newest root asks: devices refuse every release. {RENEW}"
                );
            }
        };
        match is_over {
            true => write!(
                f,
                "{what} ended at {at}: devices refuse every release. {mend}"
            ),
            false => write!(
                f,
                "{what} ends at {at}; from then on devices refuse every release. {mend}"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 3600;

    #[test]
    fn an_end_is_warned_of_a_month_before_and_ever_after() {
        let now = Timestamp(1_900_000_000_000);
        let ends = |sec: u64| TrustStatus {
            root_expires_at: Some(now.plus_sec(sec)),
            ..TrustStatus::default()
        };
        assert_eq!(ends(31 * DAY).warnings(now), []);
        let at = now.plus_sec(30 * DAY);
        let is_over = false;
        assert_eq!(
            ends(30 * DAY).warnings(now),
            [TrustWarning::RootEnds { at, is_over }]
        );
        let is_over = true;
        assert_eq!(
            ends(0).warnings(now),
            [TrustWarning::RootEnds { at: now, is_over }]
        );
        assert!(
            ends(0).warnings(now)[0]
                .to_string()
                .contains("otter trust rotate")
        );
    }

    #[test]
    fn what_stops_updates_comes_first() {
        let now = Timestamp(1_900_000_000_000);
        let status = TrustStatus {
            root_expires_at: Some(now.plus_sec(DAY)),
            targets_expires_at: Some(now.minus_sec(DAY)),
            targets_untrusted: true,
            ..TrustStatus::default()
        };
        let stops: Vec<_> = status
            .warnings(now)
            .iter()
            .map(|one| one.stops_updates())
            .collect();
        assert_eq!(stops, [true, true, false]);
        assert_eq!(TrustStatus::default().warnings(now), []);
    }

    #[test]
    fn a_teams_list_is_warned_of_too() {
        let now = Timestamp(1_900_000_000_000);
        let team = |role: &str, sec: u64, untrusted| DelegatedStatus {
            role: role.to_owned(),
            expires_at: Some(now.plus_sec(sec)),
            untrusted,
            ..DelegatedStatus::default()
        };
        let fresh = DelegatedStatus::default();
        let status = TrustStatus {
            delegated: vec![
                team("a", 31 * DAY, false),
                team("b", DAY, false),
                team("c", 0, false),
                team("d", 31 * DAY, true),
                fresh,
            ],
            ..TrustStatus::default()
        };
        let warnings = status.warnings(now);
        let texts: Vec<_> = warnings.iter().map(ToString::to_string).collect();
        let begin = [
            "The list of c ended",
            "The list of d isn't",
            "The list of b ends",
        ];
        assert_eq!(texts.len(), 3);
        for (text, begin) in texts.iter().zip(begin) {
            assert!(text.starts_with(begin), "{text}");
        }
    }

    #[test]
    fn an_older_servers_answer_is_read() {
        let old = r#"{"root_version":1,"root_expires_at":null,"targets_version":null,"targets_expires_at":null}"#;
        let status: TrustStatus = serde_json::from_str(old).unwrap();
        assert_eq!(
            (status.root_fingerprint, status.targets_untrusted),
            (None, false)
        );
    }
}
