//! A log that is kept away from the server: an export, and signed heads.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;

use otter_protocol::admin::ChainCheck;
use otter_protocol::audit_chain::{
    BEGINNING, ExportLine, ExportedEvent, Link, SignedHead, head_message,
};
use otter_trust::PublicKey;

use crate::Failure;

/// What files hold of a log, checked: the chain is unbroken, and every signature genuine.
#[derive(Debug)]
pub(super) struct Kept {
    /// The event before the first.
    pub base: Link,
    /// The last event; the base where there is none.
    pub last: Link,
    /// Signed heads by their event.
    pub heads: BTreeMap<i64, SignedHead>,
    /// Links of events that heads speak of, as far as they are here.
    seen: BTreeMap<i64, Link>,
}

impl Default for Kept {
    fn default() -> Self {
        Self {
            base: BEGINNING,
            last: BEGINNING,
            heads: BTreeMap::new(),
            seen: BTreeMap::new(),
        }
    }
}

impl Kept {
    /// Reads what `otter audit export` wrote.
    pub(super) fn export(path: &Path) -> Result<Self, Failure> {
        let mut kept = Self::default();
        for (number, line) in lines(path)? {
            match line {
                ExportLine::Base(base) if number == 1 => (kept.base, kept.last) = (base, base),
                ExportLine::Event(event) if number > 1 => kept.take(&event)?,
                ExportLine::Head(head) => kept.take_head(head)?,
                ExportLine::Base(_) | ExportLine::Event(_) => {
                    return Err(Failure::Refused(format!(
                        "{}, line {number}: an export begins with one line that says where the log begins",
                        path.display()
                    )));
                }
            }
        }
        kept.check_heads()?;
        Ok(kept)
    }

    /// Adds signed heads, as a server's file or syslog has them; other lines are passed over.
    pub(super) fn add_heads(&mut self, path: &Path) -> Result<(), Failure> {
        let file = open(path)?;
        for line in file.lines() {
            let line = line.map_err(|error| unreadable(path, &error))?;
            let json = line.find('{').and_then(|begin| line.get(begin..));
            if let Some(Ok(ExportLine::Head(head))) = json.map(serde_json::from_str) {
                self.take_head(head)?;
            }
        }
        self.check_heads()
    }

    /// Fails unless every head was signed by this key.
    pub(super) fn check_key(&self, key: &str) -> Result<(), Failure> {
        let other = self.heads.values().find(|head| head.public_key != key);
        other.map_or(Ok(()), |head| {
            Err(Failure::Refused(format!(
                "the head at event {} was signed by another key, {}",
                head.link.sequence, head.public_key
            )))
        })
    }

    fn take(&mut self, event: &ExportedEvent) -> Result<(), Failure> {
        if !event.continues(self.last) {
            return Err(tampered(self.last.sequence + 1));
        }
        self.last = event.link;
        self.seen.insert(event.link.sequence, event.link);
        Ok(())
    }

    fn take_head(&mut self, head: SignedHead) -> Result<(), Failure> {
        if !is_genuine(&head) {
            return Err(Failure::Refused(format!(
                "the signature of the head at event {} doesn't verify",
                head.link.sequence
            )));
        }
        self.heads.insert(head.link.sequence, head);
        Ok(())
    }

    /// Compares heads with the events that are here; those outside are the server's to show.
    fn check_heads(&self) -> Result<(), Failure> {
        for (sequence, link) in &self.seen {
            if self
                .heads
                .get(sequence)
                .is_some_and(|head| head.link != *link)
            {
                return Err(tampered(*sequence));
            }
        }
        Ok(())
    }

    /// Every event that is vouched for here: the last one of the export, and those of the heads.
    pub(super) fn vouched(&self) -> impl Iterator<Item = Link> {
        let last = (self.last.sequence > 0).then_some(self.last);
        let heads = self.heads.values().map(|head| head.link);
        heads.chain(last).collect::<Vec<_>>().into_iter()
    }

    /// Says what was found, as the server says it of its own log.
    pub(super) fn found(&self) -> ChainCheck {
        ChainCheck {
            events: u64::try_from(self.last.sequence - self.base.sequence).unwrap_or(0),
            head: (self.last.sequence > 0).then_some(self.last.hash),
            begins_after: self.base.sequence,
            signed_heads: self.heads.len() as u64,
            broken_at: None,
        }
    }

    /// Fails where a head vouches for an event that the export should have and hasn't: its end was cut off.
    pub(super) fn check_end(&self) -> Result<(), Failure> {
        match self.heads.keys().next_back() {
            Some(newest) if *newest > self.last.sequence => Err(tampered(self.last.sequence + 1)),
            _ => Ok(()),
        }
    }
}

/// Says that the log is not what it was.
pub(super) fn tampered(sequence: i64) -> Failure {
    Failure::Refused(format!(
        "the audit log was tampered with: event {sequence} is missing or doesn't fit the one before it. \
         Keep the database as it is and compare it with a backup"
    ))
}

fn is_genuine(head: &SignedHead) -> bool {
    let mut key = [0; 32];
    hex::decode_to_slice(&head.public_key, &mut key).is_ok()
        && PublicKey::from_bytes(key)
            .verifies(&head_message(head.link, head.signed_at), &head.signature)
}

fn open(path: &Path) -> Result<BufReader<std::fs::File>, Failure> {
    let file = std::fs::File::open(path).map_err(|error| unreadable(path, &error))?;
    Ok(BufReader::new(file))
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::Refused(format!("cannot read {}: {error}", path.display()))
}

/// Reads an export's lines with their numbers, from 1.
fn lines(path: &Path) -> Result<impl Iterator<Item = (u64, ExportLine)>, Failure> {
    let mut read = Vec::new();
    for (number, line) in (1..).zip(open(path)?.lines()) {
        let line = line.map_err(|error| unreadable(path, &error))?;
        let line = serde_json::from_str(&line).map_err(|error| {
            Failure::Refused(format!("{}, line {number}: {error}", path.display()))
        })?;
        read.push((number, line));
    }
    Ok(read.into_iter())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use otter_trust::SecretKey;

    use super::*;

    fn event(previous: Link) -> ExportedEvent {
        let sequence = previous.sequence + 1;
        let mut event = ExportedEvent {
            link: Link {
                sequence,
                hash: previous.hash,
            },
            at_ms: sequence,
            actor: "user:ann".to_owned(),
            action: "group.put".to_owned(),
            subject_kind: "group".to_owned(),
            subject: "g".to_owned(),
            before: None,
            after: None,
        };
        event.link.hash = event.hash_after(previous.hash);
        event
    }

    fn head(link: Link, key: &SecretKey) -> SignedHead {
        let signed_at = otter_protocol::Timestamp(7);
        SignedHead {
            link,
            signed_at,
            public_key: hex::encode(key.public().as_bytes()),
            signature: hex::encode(key.sign(&head_message(link, signed_at))),
        }
    }

    #[test]
    fn whatever_was_changed_or_cut_off_shows() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, lines: &[ExportLine]| {
            let path = folder.path().join(name);
            let text: Vec<String> = lines
                .iter()
                .map(|line| serde_json::to_string(line).unwrap())
                .collect();
            fs::write(&path, text.join("\n")).unwrap();
            path
        };
        let key = SecretKey::generate().unwrap();
        let first = event(BEGINNING);
        let second = event(first.link);
        let third = event(second.link);
        let base = ExportLine::Base(BEGINNING);
        let of = |event: &ExportedEvent| ExportLine::Event(event.clone());
        let whole = [base.clone(), of(&first), of(&second), of(&third)];
        let signed = ExportLine::Head(head(third.link, &key));

        let heads = folder.path().join("heads");
        let syslog = format!(
            "<109>1 - - otter-server - audit-head - {}\n",
            serde_json::to_string(&signed).unwrap()
        );
        fs::write(&heads, syslog).unwrap();
        let mut kept = Kept::export(&write("whole", &whole)).unwrap();
        kept.add_heads(&heads).unwrap();
        kept.check_end().unwrap();
        assert_eq!((kept.found().events, kept.found().signed_heads), (3, 1));
        kept.check_key(&hex::encode(key.public().as_bytes()))
            .unwrap();
        assert!(kept.check_key("00").is_err());

        let mut cut = Kept::export(&write("cut", &whole[..3])).unwrap();
        cut.add_heads(&heads).unwrap();
        assert!(cut.check_end().is_err(), "the end is missing");
        let mut changed = second.clone();
        changed.actor = "user:eve".to_owned();
        let lines = [base.clone(), of(&first), of(&changed), of(&third)];
        assert!(Kept::export(&write("changed", &lines)).is_err());
        let lines = [base.clone(), of(&first), of(&third)];
        assert!(Kept::export(&write("gap", &lines)).is_err());
        // Written anew from the second event on, it is a chain; the head tells that it is another.
        changed.link.hash = changed.hash_after(first.link.hash);
        let mut anew = event(changed.link);
        anew.link.hash = anew.hash_after(changed.link.hash);
        let lines = [base, of(&first), of(&changed), of(&anew)];
        let mut forged = Kept::export(&write("forged", &lines)).unwrap();
        assert!(forged.add_heads(&heads).is_err());
        let mut unsigned = head(third.link, &key);
        unsigned.link.sequence = 2;
        fs::write(
            &heads,
            serde_json::to_string(&ExportLine::Head(unsigned)).unwrap(),
        )
        .unwrap();
        assert!(kept.add_heads(&heads).is_err());
    }
}
