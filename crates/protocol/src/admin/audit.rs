//! The audit log, as people read it, and live changes.

use serde::{Deserialize, Serialize};

use crate::audit_chain::{ExportedEvent, Link, SignedHead};
use crate::digest::Sha256Digest;
use crate::time::Timestamp;

/// One line of the audit log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditEvent {
    /// Its place, from 1, without gaps.
    pub sequence: i64,
    /// When.
    pub at: Timestamp,
    /// Who: `user:…`, `key:…`, `device:…` or `engine`.
    pub actor: String,
    /// What, such as `rollout.pause`.
    pub action: String,
    /// To what kind of thing.
    pub subject_kind: String,
    /// To which.
    pub subject: String,
    /// How it was.
    pub before: Option<serde_json::Value>,
    /// How it is.
    pub after: Option<serde_json::Value>,
    /// Its hash, over the one before it.
    pub hash: Sha256Digest,
}

/// Which events to list.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema, utoipa::IntoParams))]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
#[serde(default)]
pub struct AuditFilter {
    /// Who.
    pub actor: Option<String>,
    /// What; a trailing `*` takes all that begin so.
    pub action: Option<String>,
    /// To what kind of thing.
    pub subject_kind: Option<String>,
    /// To which.
    pub subject: Option<String>,
    /// Not before this time.
    pub from: Option<Timestamp>,
    /// Before this time.
    pub until: Option<Timestamp>,
    /// The `next` of the page before.
    pub cursor: Option<String>,
    /// Most items, 1 to 500; 50 where absent.
    pub limit: Option<u32>,
}

/// What a check of the audit log's chain found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ChainCheck {
    /// Events checked.
    pub events: u64,
    /// The last event's hash; absent in an empty log.
    pub head: Option<Sha256Digest>,
    /// The event after which the log begins; 0 where nothing was let go of.
    #[serde(default)]
    pub begins_after: i64,
    /// Signed heads that were found to fit.
    #[serde(default)]
    pub signed_heads: u64,
    /// The first event that doesn't fit.
    pub broken_at: Option<i64>,
}

/// How events are written to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum FileFormat {
    /// One object: the log's `head`, and `events`, the newest first.
    #[default]
    Json,
    /// A line for each event, for spreadsheets.
    Csv,
}

/// How to write events to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema, utoipa::IntoParams))]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
#[serde(default)]
pub struct Download {
    /// In which format.
    #[cfg_attr(feature = "openapi", param(inline))]
    pub format: FileFormat,
}

/// Which part of the log to export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema, utoipa::IntoParams))]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
#[serde(default)]
pub struct ExportFilter {
    /// The event behind which the part begins: the last one of the part before.
    pub after: i64,
}

/// A part of the log, with the very texts that its hashes are made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditExport {
    /// The event after which the log begins.
    pub base: Link,
    /// Events in order, at most 1000.
    pub events: Vec<ExportedEvent>,
    /// In the last part, the signed heads.
    pub heads: Vec<SignedHead>,
    /// Nothing comes behind this part.
    pub is_last: bool,
}

/// A kind of thing that changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// A device, or its attempt.
    Device,
    /// A rollout, or an attempt of it.
    Rollout,
    /// A release.
    Release,
    /// A group.
    Group,
    /// People, keys, tokens, trust.
    Settings,
}

/// What changed, for open pages: they then ask for it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Change {
    /// What kind of thing.
    pub kind: ChangeKind,
    /// Which one.
    pub id: String,
}
