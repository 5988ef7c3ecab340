//! What can be wrong with signed metadata, named so that a device's report can say it.

use std::fmt;

use jiff::Timestamp;
use otter_protocol::Sha256Digest;

use crate::Role;

/// Says why metadata, a key or an artifact was refused, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// Older metadata was offered than the one already trusted.
    #[error(
        "rollback: {role} version {offered} was offered, but version {trusted} is already trusted. \
         Publish a version higher than {trusted}; if nobody went back on purpose, treat the server as stolen"
    )]
    Rollback {
        /// Role of the metadata that went back.
        role: Role,
        /// Version trusted before.
        trusted: u64,
        /// Version offered.
        offered: u64,
    },

    /// Metadata is past its expiry: somebody holds newer metadata back, or nobody renewed it.
    #[error(
        "freeze: {role} metadata expired at {expires}. {}",
        freeze_advice(*role)
    )]
    Freeze {
        /// Role of the expired metadata.
        role: Role,
        /// End of its life.
        expires: Timestamp,
    },

    /// Files that do not belong together were offered as one set.
    #[error(
        "mix-and-match: {reason}. Let the server renew its snapshot and timestamp; \
         if it just did, treat it as stolen"
    )]
    MixAndMatch {
        /// What differs from what.
        reason: String,
    },

    /// More bytes were offered than the file may have.
    #[error(
        "endless data: {name} is larger than {limit} bytes. Nothing of it was kept; \
         check what answers at the server's address"
    )]
    EndlessData {
        /// File that was too large.
        name: String,
        /// Limit, in bytes.
        limit: u64,
    },

    /// More root versions were offered in one refresh than a device follows at once.
    #[error(
        "endless data: more than {limit} new root versions in one refresh. \
         Those that were verified are kept; the next check goes on from there"
    )]
    EndlessRoots {
        /// Limit of root versions for one refresh.
        limit: u32,
    },

    /// A version was skipped, so that what lies between was never verified.
    #[error(
        "fast-forward: {role} version {offered} was offered after version {trusted}. \
         Publish every version, one after another"
    )]
    FastForward {
        /// Role of the metadata that jumped.
        role: Role,
        /// Version trusted before.
        trusted: u64,
        /// Version offered.
        offered: u64,
    },

    /// What is named to be installed is not signed for this device.
    #[error("wrong software: {name} {why}")]
    WrongSoftware {
        /// Name of the target.
        name: String,
        /// Why it may not be installed.
        why: Unfit,
    },

    /// Something is wrong with the list of a delegated role, so that nothing on it counts.
    #[error("{source} (on the list of {role})")]
    Delegated {
        /// The role's name.
        role: String,
        /// What is wrong.
        source: Box<TrustError>,
    },

    /// The bytes of an artifact are not those that were signed.
    #[error(
        "wrong software: {name} was signed with {signed_length} bytes, SHA-256 {signed}, \
         but has {length} bytes, SHA-256 {actual}. Fetch or upload it again"
    )]
    WrongBytes {
        /// Name of the target.
        name: String,
        /// Digest that was signed.
        signed: Sha256Digest,
        /// Length that was signed, in bytes.
        signed_length: u64,
        /// Digest that was found.
        actual: Sha256Digest,
        /// Length that was found, in bytes.
        length: u64,
    },

    /// Fewer valid signatures than the role asks for, among them none at all.
    #[error(
        "{role} metadata carries {found} of the {needed} signatures that the root asks for. \
         Sign it with a {role} key, or check that it was signed with the right one"
    )]
    TooFewSignatures {
        /// Role of the metadata.
        role: Role,
        /// Valid signatures found.
        found: usize,
        /// Signatures needed.
        needed: usize,
    },

    /// Metadata cannot be read, or breaks the rules of TUF.
    #[error("{what} cannot be used: {reason}. Make it again with `otter`")]
    Malformed {
        /// What was read.
        what: String,
        /// What is wrong with it.
        reason: String,
    },

    /// The server has no such file.
    #[error("the server has no {name}. Check its address and that its trust is set up")]
    Missing {
        /// Name of the file.
        name: String,
    },

    /// The server could not be reached, or broke off.
    #[error("{name} could not be fetched: {reason}. It is tried again with the next check")]
    Unreachable {
        /// Name of the file.
        name: String,
        /// What the network said.
        reason: String,
    },

    /// Nothing is trusted yet: neither a pinned root nor a stored one.
    #[error(
        "no root metadata is pinned or stored. Enroll the device, or put the root into its image"
    )]
    NoRoot,

    /// A target was asked for before a refresh succeeded.
    #[error("no targets metadata is trusted yet. Refresh first")]
    NotRefreshed,

    /// The device's own store could not be read or written.
    #[error("{name} in the trust store: {source}. Check the disk's space and permissions")]
    Store {
        /// Name of the file.
        name: String,
        /// What the system said.
        source: std::io::Error,
    },

    /// The passphrase does not open the key file.
    #[error(
        "wrong passphrase, or the key file was changed. Try again, or use a backup of the key file"
    )]
    WrongPassphrase,

    /// A key cannot be used as asked.
    #[error("{0}")]
    Key(String),

    /// A change to metadata makes no sense.
    #[error("{0}")]
    Refused(String),
}

/// Says why a named artifact is not for this device.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unfit {
    /// No publisher signed a target of this name.
    NotSigned,
    /// It is signed for other models.
    Model {
        /// Model of the device.
        model: String,
        /// Models it is signed for.
        models: Vec<String>,
    },
    /// A delegated role signed it for a model that it wasn't given.
    NotDelegated {
        /// The role's name.
        role: String,
        /// The model.
        model: String,
    },
    /// Publishers withdrew it.
    Withdrawn {
        /// Why, in their words; may be empty.
        reason: String,
    },
    /// It is older than what the device has, and no publisher permitted the downgrade.
    OlderCounter {
        /// Release counter of what the device runs.
        installed: u64,
        /// Release counter of what was offered.
        offered: u64,
    },
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSigned => write!(
                f,
                "is not in the signed targets. Sign the release, or withdraw the rollout"
            ),
            Self::Withdrawn { reason } => {
                f.write_str("was withdrawn by its publishers")?;
                if !reason.is_empty() {
                    write!(f, " ({reason})")?;
                }
                f.write_str(
                    ". Withdraw the rollout; if it goes on offering it, treat the server as stolen",
                )
            }
            Self::Model { model, models } => write!(
                f,
                "is signed for {}, not for {model}. Publish an artifact for {model}",
                models.join(", ")
            ),
            Self::NotDelegated { role, model } => write!(
                f,
                "is signed by {role} for {model}, which {role} was not given. \
                 Leave {model} out, or have whoever holds the targets keys run `otter trust delegate {role} --model …`"
            ),
            Self::OlderCounter { installed, offered } => write!(
                f,
                "has release counter {offered}, lower than {installed} which the device has. \
                 Sign a permission to downgrade, or publish it as a new release"
            ),
        }
    }
}

impl TrustError {
    /// Says on whose list it was found. What has nothing to do with the list is left as it is.
    pub(crate) fn on_the_list_of(self, role: &str) -> Self {
        match self {
            Self::Unreachable { .. } | Self::Store { .. } => self,
            source => Self::Delegated {
                role: role.to_owned(),
                source: Box::new(source),
            },
        }
    }
}

fn freeze_advice(role: Role) -> &'static str {
    match role {
        Role::Root | Role::Targets => "A publisher has to sign a new version",
        Role::Snapshot | Role::Timestamp => {
            "Check that the server runs and renews it, and that the clock is right"
        }
    }
}
