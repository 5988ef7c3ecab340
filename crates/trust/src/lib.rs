//! Who may say what a device runs.
//!
//! Releases are trusted by TUF 1.0 (<https://theupdateframework.github.io/specification/>), not by
//! the server: publishers sign root and targets with keys that the server never sees, the server
//! signs snapshot and timestamp, and a device installs only what verifies. Pure: no network, no
//! database, no clock, no async runtime.
//!
//! | file | what |
//! |---|---|
//! | `role` | [`Role`]: the four roles that sign |
//! | `delegated_role` | [`DelegatedRole`]: the name of a role that signs for some models |
//! | `keys` | [`SecretKey`], [`PublicKey`]: Ed25519 |
//! | `key_file` | [`KeyFile`]: a key encrypted under a passphrase |
//! | `document` | [`Document`]: a metadata file, signed by one person after another |
//! | `root` | [`Root`], [`RoleKeys`]: which keys speak for which role, and how many it takes |
//! | `target` | [`SignedArtifact`], [`ArtifactFacts`]: one artifact, as publishers sign it |
//! | `targets` | [`TargetsDocument`]: the list of artifacts, while a publisher changes it |
//! | `delegations` | [`Delegations`], [`Delegation`]: which role signs for which models |
//! | `lists` | [`Lists`]: all lists of artifacts that are published together |
//! | `online` | [`renew`], [`OnlineMetadata`]: what the server signs by itself |
//! | `repository` | [`verify_targets`], [`verify_root_chain`], [`signing_status`]: checks before publishing |
//! | `verifier` | [`Verifier`], [`trusted_now`]: the device's side |
//! | `offer` | [`Verifier::artifact`]: what a device may install |
//! | `delegation` | [`FoundTarget`]: the search through delegated roles |
//! | `fetch` | [`Limits`]: how much a device reads |
//! | `store`, `source` | [`TrustStore`], [`MetadataSource`]: what a device brings along |
//! | `engine` | verification by `sigstore-tuf`, behind our words |
//! | `error` | [`TrustError`]: what can be wrong, by the name of the attack |

mod delegated_role;
mod delegation;
mod delegations;
mod document;
mod engine;
mod error;
mod fetch;
mod key_file;
mod keys;
mod lists;
mod offer;
mod online;
mod repository;
mod role;
mod root;
mod source;
mod store;
mod target;
mod targets;
mod verifier;

pub use delegated_role::DelegatedRole;
pub use delegation::FoundTarget;
pub use delegations::{Delegation, Delegations};
pub use document::Document;
pub use error::{TrustError, Unfit};
pub use fetch::Limits;
pub use jiff::Timestamp;
pub use key_file::KeyFile;
pub use keys::{PublicKey, SecretKey};
pub use lists::Lists;
pub use online::{
    OnlineKeys, OnlineMetadata, SNAPSHOT_LIFE, TIMESTAMP_LIFE, renew, verify_published,
};
pub use repository::{
    RootFacts, SigningStatus, VerifiedTargets, root_facts, signing_status, verify_delegated,
    verify_root, verify_root_chain, verify_targets, verify_targets_succession,
};
pub use role::Role;
pub use root::{RoleKeys, Root};
pub use source::{MetadataSource, SourceError};
pub use store::{MemoryStore, TrustStore};
pub use target::{ArtifactFacts, SignedArtifact, target_name};
pub use targets::TargetsDocument;
pub use verifier::{Trusted, Verifier, trusted_now};
