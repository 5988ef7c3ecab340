//! The audit log's chain, as whoever has its events can check it: on the server, or from an export far from it.

use serde::{Deserialize, Serialize};

use crate::digest::Sha256Digest;
use crate::time::Timestamp;

/// Where a log begins that nothing was taken off: no event, and a hash of zeros.
pub const BEGINNING: Link = Link {
    sequence: 0,
    hash: Sha256Digest([0; 32]),
};

/// The action of the event that says up to which one older events are no longer kept.
pub const RETAIN: &str = "audit.retain";

/// An event's place and hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Link {
    /// Its place, from 1.
    pub sequence: i64,
    /// Its hash, over the one before it.
    pub hash: Sha256Digest,
}

/// An event with the very texts that its hash is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ExportedEvent {
    /// Its place and hash.
    #[serde(flatten)]
    pub link: Link,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// Who.
    pub actor: String,
    /// What.
    pub action: String,
    /// To what kind of thing.
    pub subject_kind: String,
    /// To which.
    pub subject: String,
    /// How it was, JSON as the database has it.
    pub before: Option<String>,
    /// How it is, JSON as the database has it.
    pub after: Option<String>,
}

impl ExportedEvent {
    /// Hashes the event with the one before it. Lengths stand before texts, so that no two events read alike.
    pub fn hash_after(&self, previous: Sha256Digest) -> Sha256Digest {
        let (previous, sequence) = (previous.to_string(), self.link.sequence.to_string());
        let at = self.at_ms.to_string();
        let fields = [
            Some(previous.as_str()),
            Some(&sequence),
            Some(&at),
            Some(&self.actor),
            Some(&self.action),
            Some(&self.subject_kind),
            Some(&self.subject),
            self.before.as_deref(),
            self.after.as_deref(),
        ];
        let text: String = fields
            .into_iter()
            .map(|field| match field {
                Some(text) => format!("{}:{text}\n", text.len()),
                None => "-\n".to_owned(),
            })
            .collect();
        Sha256Digest::of(text.as_bytes())
    }

    /// Tells whether the event continues the one before it.
    pub fn continues(&self, previous: Link) -> bool {
        self.link.sequence == previous.sequence + 1
            && self.link.hash == self.hash_after(previous.hash)
    }
}

/// The log's last event at a moment, signed by the server: kept elsewhere, it shows where a log's end was cut off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SignedHead {
    /// That event.
    #[serde(flatten)]
    pub link: Link,
    /// When it was signed.
    pub signed_at: Timestamp,
    /// The server's Ed25519 key for this, 64 hex digits.
    pub public_key: String,
    /// Its signature of [`head_message`], 128 hex digits.
    pub signature: String,
}

/// Returns the bytes that the server signs of the log's end.
pub fn head_message(link: Link, signed_at: Timestamp) -> Vec<u8> {
    let (sequence, hash) = (link.sequence.to_string(), link.hash.to_string());
    let at = signed_at.0.to_string();
    ["otter-audit-head", &sequence, &hash, &at]
        .join("\0")
        .into_bytes()
}

/// A line of an export: where the log begins, its events in order, and the heads that were signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ExportLine {
    /// The event before the first one; the first line.
    Base(Link),
    /// An event.
    Event(ExportedEvent),
    /// A signed head.
    Head(SignedHead),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(sequence: i64, previous: Link) -> ExportedEvent {
        let mut event = ExportedEvent {
            link: Link {
                sequence,
                hash: BEGINNING.hash,
            },
            at_ms: 1000,
            actor: "user:ann".to_owned(),
            action: "rollout.pause".to_owned(),
            subject_kind: "rollout".to_owned(),
            subject: "1".to_owned(),
            before: None,
            after: Some("{\"share\":0.1}".to_owned()),
        };
        event.link.hash = event.hash_after(previous.hash);
        event
    }

    #[test]
    fn an_event_continues_the_one_before_it_and_no_other() {
        let first = event(1, BEGINNING);
        let second = event(2, first.link);
        assert!(first.continues(BEGINNING) && second.continues(first.link));
        assert!(!second.continues(BEGINNING));
        let mut changed = second;
        changed.before = Some(String::new());
        assert!(!changed.continues(first.link));
    }

    #[test]
    fn an_export_s_lines_are_read_as_they_were_written() {
        let event = event(1, BEGINNING);
        let head = SignedHead {
            link: event.link,
            signed_at: Timestamp(5),
            public_key: "00".to_owned(),
            signature: "11".to_owned(),
        };
        for line in [
            ExportLine::Base(BEGINNING),
            ExportLine::Event(event),
            ExportLine::Head(head),
        ] {
            let text = serde_json::to_string(&line).unwrap();
            assert_eq!(serde_json::from_str::<ExportLine>(&text).unwrap(), line);
        }
    }
}
