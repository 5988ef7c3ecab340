//! A server whose every key is stolen.

use otter_protocol::Sha256Digest;
use otter_trust::{MemoryStore, Role, TrustError, TrustStore as _, Verifier};
use serde_json::json;

use super::{Repository, Source, forged, later, refresh};

/// Lets a device that is up to date meet a malicious server; returns what it says.
///
/// It says so after a restart, too, and what publishers signed is as it was both times.
pub fn attacked(device: &mut Verifier<MemoryStore>, server: &Source, hours: i64) -> TrustError {
    let before = device.store().clone();
    let error = refresh(device, server, later(hours)).unwrap_err();
    unmoved(&before, device.store(), &error);

    let mut restarted = Verifier::open(device.store().clone(), None).unwrap();
    let again = refresh(&mut restarted, server, later(hours)).unwrap_err();
    unmoved(&before, restarted.store(), &again);
    assert_eq!(again.to_string(), error.to_string());
    error
}

/// The server's own roles may have gone on, as far as its keys signed; publishers' may not.
fn unmoved(before: &MemoryStore, after: &MemoryStore, error: &TrustError) {
    for name in ["root.json", "targets.json"] {
        let (before, after) = (before.load(name).unwrap(), after.load(name).unwrap());
        assert_eq!(before, after, "{name}: {error}");
    }
}

/// Has stolen keys sign a snapshot and a timestamp for whatever targets file is given.
pub fn stolen(repository: &Repository, version: u64, targets: (u64, &[u8])) -> Source {
    let online = repository.online.as_ref().unwrap();
    let pin = |version: u64, file: &[u8]| {
        let sha256 = Sha256Digest::of(file);
        json!({"version": version, "length": file.len(), "hashes": {"sha256": sha256}})
    };
    let snapshot = forged(&online.snapshot, &[7], |signed| {
        signed["version"] = version.into();
        signed["meta"]["targets.json"] = pin(targets.0, targets.1);
    });
    let timestamp = forged(&online.timestamp, &[8], |signed| {
        signed["version"] = version.into();
        signed["meta"]["snapshot.json"] = pin(version, &snapshot);
    });
    repository
        .source()
        .with("timestamp.json", timestamp)
        .with(Role::Snapshot.file_name(version), snapshot)
        .with(Role::Targets.file_name(targets.0), targets.1.to_vec())
}

pub fn rolled_back(error: TrustError) -> (Role, u64, u64) {
    match error {
        TrustError::Rollback {
            role,
            trusted,
            offered,
        } => (role, trusted, offered),
        other => panic!("{other}"),
    }
}
