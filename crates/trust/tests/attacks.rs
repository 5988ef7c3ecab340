//! Ways to cheat that TUF names, each tried by a server whose every key is stolen: rollback, freeze,
//! mix-and-match, endless data, fast-forward. The sixth has `wrong_software.rs`.
//!
//! Whatever it tries: the device names the attack, and trusts what it trusted before.

#![allow(clippy::unwrap_used, clippy::panic, reason = "only tests stand here")]

mod common;

use common::thief::{attacked, rolled_back, stolen};
use common::{MODEL, Repository, Source, artifact, forged, later, refresh};
use otter_trust::{MemoryStore, Role, TrustError, Verifier};

/// A device that has seen release 2, its repository, and the server's files from before.
fn device_on_release_2() -> (Repository, Verifier<MemoryStore>, Source, Vec<u8>) {
    let mut repository = Repository::new();
    let (old, old_targets) = (repository.source(), repository.current_targets.clone());
    repository.release(b"release 2");
    repository.publish(later(1));
    let mut device = repository.device();
    let trusted = refresh(&mut device, &repository.source(), later(2)).unwrap();
    assert_eq!((trusted.timestamp, trusted.targets), (2, 2));
    (repository, device, old, old_targets)
}

#[test]
fn rollback_by_an_old_timestamp() {
    let (_, mut device, old, _) = device_on_release_2();
    let error = attacked(&mut device, &old, 3);
    assert_eq!(rolled_back(error), (Role::Timestamp, 2, 1));
}

#[test]
fn rollback_by_a_new_timestamp_of_an_old_snapshot() {
    let (repository, mut device, _, _) = device_on_release_2();
    let timestamp = &repository.online.as_ref().unwrap().timestamp;
    let timestamp = forged(timestamp, &[8], |signed| {
        signed["version"] = 9.into();
        signed["meta"]["snapshot.json"]["version"] = 1.into();
    });
    let server = repository.source().with("timestamp.json", timestamp);
    let error = attacked(&mut device, &server, 3);
    assert_eq!(rolled_back(error), (Role::Snapshot, 2, 1));
}

#[test]
fn rollback_by_a_new_snapshot_of_old_targets() {
    let (repository, mut device, _, old_targets) = device_on_release_2();
    let server = stolen(&repository, 9, (1, &old_targets));
    let error = attacked(&mut device, &server, 3);
    assert_eq!(rolled_back(error), (Role::Targets, 2, 1));
}

#[test]
fn rollback_in_two_steps_with_a_snapshot_that_never_comes() {
    let (repository, mut device, _, old_targets) = device_on_release_2();
    let server = stolen(&repository, 9, (1, &old_targets)).without("9.snapshot.json");
    let error = attacked(&mut device, &server, 3);
    assert!(matches!(error, TrustError::Missing { .. }), "{error}");

    // The agent starts anew; what it saw of targets must not be lost with the unfinished step.
    let mut device = Verifier::open(device.store().clone(), None).unwrap();
    let server = stolen(&repository, 9, (1, &old_targets));
    let error = attacked(&mut device, &server, 3);
    assert_eq!(rolled_back(error), (Role::Targets, 2, 1));
}

#[test]
fn rollback_after_a_new_root_that_leaves_the_servers_keys() {
    let (mut repository, mut device, old, _) = device_on_release_2();
    repository.rotate(&[11], |root| root.root.keys = common::publics(&[1, 2, 11]));
    let server = old.with("2.root.json", repository.current_root.clone());
    let error = refresh(&mut device, &server, later(3)).unwrap_err();
    assert_eq!(device.root_version(), 2);
    assert_eq!(rolled_back(error), (Role::Timestamp, 2, 1));
    let error = attacked(&mut device, &server, 3);
    assert_eq!(rolled_back(error), (Role::Timestamp, 2, 1));
}

#[test]
fn new_server_keys_let_publishers_go_back_and_nobody_else() {
    let (mut repository, mut device, _, old_targets) = device_on_release_2();
    repository.rotate(&[], |root| {
        root.snapshot.keys = common::publics(&[17]);
        root.timestamp.keys = common::publics(&[18]);
    });
    // Before: with the old keys, which the thief has, nothing older is to be had.
    let thief = stolen(&repository, 9, (1, &old_targets)).without("2.root.json");
    assert_eq!(
        rolled_back(attacked(&mut device, &thief, 3)),
        (Role::Targets, 2, 1)
    );
    // Under the new root the old keys sign nothing.
    let thief = stolen(&repository, 9, (1, &old_targets));
    let error = refresh(&mut device, &thief, later(3)).unwrap_err();
    assert!(
        matches!(error, TrustError::TooFewSignatures { .. }),
        "{error}"
    );
    // What the rightful keys name is taken, as TUF 5.3.11 has it: how a stolen targets key is recovered from.
    repository.snapshot_signers = vec![17];
    repository.timestamp_signers = vec![18];
    repository.online = None;
    repository.current_targets = old_targets;
    repository.publish(later(3));
    let trusted = refresh(&mut device, &repository.source(), later(4)).unwrap();
    assert_eq!((trusted.root, trusted.targets), (2, 1));
}

#[test]
fn rollback_of_the_root() {
    let mut repository = Repository::new();
    let first = repository.current_root.clone();
    repository.rotate(&[], |_| {});
    let mut device = repository.device();
    let server = repository.source().with("3.root.json", first);
    let error = attacked(&mut device, &server, 1);
    assert_eq!(rolled_back(error), (Role::Root, 2, 1));
}

#[test]
fn freeze_by_an_old_timestamp() {
    let repository = Repository::new();
    let mut device = repository.device();
    let error = attacked(&mut device, &repository.source(), 25);
    let TrustError::Freeze { role, expires } = error else {
        panic!("{error}")
    };
    assert_eq!((role, expires), (Role::Timestamp, later(24)));
}

#[test]
fn freeze_of_what_lies_below_a_fresh_timestamp() {
    let repository = Repository::new();
    let online = repository.online.as_ref().unwrap();
    let mut device = repository.device();
    let timestamp = forged(&online.timestamp, &[8], |signed| {
        signed["version"] = 2.into();
        signed["expires"] = "2039-01-01T00:00:00Z".into();
    });
    let server = repository.source().with("timestamp.json", timestamp);
    for (hours, frozen) in [(7 * 24 + 1, Role::Snapshot), (365 * 24 + 1, Role::Root)] {
        match attacked(&mut device, &server, hours) {
            TrustError::Freeze { role, .. } => assert_eq!(role, frozen),
            other => panic!("{other}"),
        }
    }
}

#[test]
fn freeze_after_a_refresh_long_past() {
    let repository = Repository::new();
    let mut device = repository.device();
    let name = artifact(1, b"release 1").name();
    common::judge(&mut device, &name, MODEL, 0, later(24)).unwrap();
    let error = common::judge(&mut device, &name, MODEL, 0, later(25)).unwrap_err();
    assert!(
        matches!(
            error,
            TrustError::Freeze {
                role: Role::Timestamp,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn mix_and_match_of_an_old_snapshot_with_a_new_timestamp() {
    let mut repository = Repository::new();
    let mut device = repository.device();
    let old_snapshot = repository.online.as_ref().unwrap().snapshot.clone();
    repository.release(b"release 2");
    repository.publish(later(1));
    let server = repository.source().with("2.snapshot.json", old_snapshot);
    let error = attacked(&mut device, &server, 2);
    assert!(matches!(error, TrustError::MixAndMatch { .. }), "{error}");
}

#[test]
fn mix_and_match_of_targets_that_another_snapshot_names() {
    let mut repository = Repository::new();
    let mut device = repository.device();
    let old_targets = repository.current_targets.clone();
    repository.release(b"release 2");
    repository.publish(later(1));
    let server = repository
        .source()
        .with("2.targets.json", old_targets.clone());
    let error = attacked(&mut device, &server, 2);
    assert!(matches!(error, TrustError::MixAndMatch { .. }), "{error}");

    // With the server's keys the pins can be made to fit, but not the version within.
    let server = stolen(&repository, 9, (2, &old_targets));
    let error = attacked(&mut device, &server, 2);
    assert!(matches!(error, TrustError::MixAndMatch { .. }), "{error}");
}

#[test]
fn endless_data_in_every_file() {
    let mut repository = Repository::new();
    let before = repository.device().store().clone();
    repository.release(b"release 2");
    repository.publish(later(1));
    repository.rotate(&[], |_| {});
    let names = [
        "2.root.json",
        "timestamp.json",
        "2.snapshot.json",
        "2.targets.json",
    ];
    for honest_about_length in [true, false] {
        for endless in names {
            let mut server = repository.source().with(endless, vec![b' '; 9 << 20]);
            server.honest_about_length = honest_about_length;
            // The root that comes before is sound and may be kept; it is not what is tested here.
            if endless != "2.root.json" {
                server = server.without("2.root.json");
            }
            let mut device = Verifier::open(before.clone(), None).unwrap();
            match attacked(&mut device, &server, 2) {
                TrustError::EndlessData { name, .. } => assert_eq!(name, endless),
                other => panic!("{endless}: {other}"),
            }
        }
    }
}

#[test]
fn endless_data_announced_in_a_pin() {
    let repository = Repository::new();
    let mut device = repository.device();
    let online = repository.online.as_ref().unwrap();
    let timestamp = forged(&online.timestamp, &[8], |signed| {
        signed["version"] = 2.into();
        signed["meta"]["snapshot.json"]["version"] = 2.into();
        signed["meta"]["snapshot.json"]["length"] = (1_u64 << 40).into();
    });
    let server = repository.source().with("timestamp.json", timestamp);
    let error = attacked(&mut device, &server, 1);
    assert!(matches!(error, TrustError::EndlessData { .. }), "{error}");
    assert!(!server.asked().contains(&"2.snapshot.json".to_owned()));
}

#[test]
fn fast_forward_of_the_root() {
    let mut repository = Repository::new();
    let mut device = repository.device();
    repository.rotate(&[], |_| {});
    repository.rotate(&[], |_| {});
    let server = repository
        .source()
        .with("2.root.json", repository.current_root.clone());
    match attacked(&mut device, &server, 1) {
        TrustError::FastForward {
            role,
            trusted,
            offered,
        } => assert_eq!((role, trusted, offered), (Role::Root, 1, 3)),
        other => panic!("{other}"),
    }
}

#[test]
fn fast_forward_to_targets_that_do_not_exist_installs_nothing() {
    let mut repository = Repository::new();
    let mut device = repository.device();
    let server =
        stolen(&repository, 1 << 50, (1 << 50, b"{}")).without("1125899906842624.targets.json");
    let error = attacked(&mut device, &server, 1);
    assert!(matches!(error, TrustError::Missing { .. }), "{error}");
    let name = artifact(1, b"release 1").name();
    assert!(common::judge(&mut device, &name, MODEL, 0, later(1)).is_err());
    // The rightful server goes on with new keys of its own.
    repository.rotate(&[], |root| {
        root.snapshot.keys = common::publics(&[17]);
        root.timestamp.keys = common::publics(&[18]);
    });
    repository.snapshot_signers = vec![17];
    repository.timestamp_signers = vec![18];
    repository.publish(later(2));
    let trusted = refresh(&mut device, &repository.source(), later(2)).unwrap();
    assert_eq!((trusted.snapshot, trusted.targets), (2, 1));
}

#[test]
fn fast_forward_of_the_servers_roles_is_recovered_from_by_new_keys() {
    for rotated in [
        vec![Role::Snapshot],
        vec![Role::Timestamp],
        vec![Role::Snapshot, Role::Timestamp],
    ] {
        let mut repository = Repository::new();
        let mut device = repository.device();
        let targets = repository.current_targets.clone();
        let thief = stolen(&repository, 1 << 50, (1, &targets));
        refresh(&mut device, &thief, later(1)).unwrap();
        repository.publish(later(2));
        let error = attacked(&mut device, &repository.source(), 2);
        assert_eq!(rolled_back(error), (Role::Timestamp, 1 << 50, 2));

        let keys = |role| common::publics(&[if role == Role::Snapshot { 17 } else { 18 }]);
        repository.rotate(&[], |root| {
            for role in &rotated {
                match role {
                    Role::Snapshot => root.snapshot.keys = keys(Role::Snapshot),
                    _ => root.timestamp.keys = keys(Role::Timestamp),
                }
            }
        });
        if rotated.contains(&Role::Snapshot) {
            repository.snapshot_signers = vec![17];
        }
        if rotated.contains(&Role::Timestamp) {
            repository.timestamp_signers = vec![18];
        }
        repository.publish(later(3));
        let trusted = refresh(&mut device, &repository.source(), later(4)).unwrap();
        assert!(
            trusted.timestamp < 10 && trusted.snapshot < 10,
            "{trusted:?}"
        );
        let reopened = Verifier::open(device.store().clone(), None).unwrap();
        assert_eq!(reopened.root_version(), 2);
    }
}
