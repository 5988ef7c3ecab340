//! What the server signs by itself, and when.

mod common;

use common::{Repository, YEAR, key, later, publics, start};
use otter_trust::{
    Document, Lists, OnlineKeys, Role, RoleKeys, SNAPSHOT_LIFE, TIMESTAMP_LIFE, TrustError, renew,
    verify_published,
};

#[test]
fn a_timestamp_lives_a_day_and_a_snapshot_a_week() {
    let repository = Repository::new();
    let online = repository.online.as_ref().unwrap();
    let expires = |bytes: &[u8]| Document::parse(bytes).unwrap().expires().unwrap();
    assert_eq!(expires(&online.timestamp), start() + TIMESTAMP_LIFE);
    assert_eq!(expires(&online.snapshot), start() + SNAPSHOT_LIFE);
    assert_eq!(
        (TIMESTAMP_LIFE.as_hours(), SNAPSHOT_LIFE.as_hours()),
        (24, 168)
    );
}

#[test]
fn renewal_is_due_at_half_a_life() {
    let repository = Repository::new();
    let online = repository.online.as_ref().unwrap();
    let due =
        |hours| online.needs_renewal(&repository.current_root, &repository.lists(), later(hours));
    assert!(!due(0) && !due(12) && due(13) && due(100));
}

#[test]
fn the_timestamp_is_renewed_daily_and_the_snapshot_only_when_due() {
    let mut repository = Repository::new();
    let versions = |repository: &Repository| {
        let online = repository.online.as_ref().unwrap();
        let snapshot = online.snapshot_version().unwrap();
        (online.timestamp_version().unwrap(), snapshot)
    };
    assert_eq!(versions(&repository), (1, 1));
    repository.publish(later(13));
    assert_eq!(versions(&repository), (2, 1));
    repository.publish(later(85));
    assert_eq!(versions(&repository), (3, 2));
    repository.release(b"release 2");
    let online = repository.online.clone().unwrap();
    assert!(online.needs_renewal(&repository.current_root, &repository.lists(), later(86)));
    repository.publish(later(86));
    assert_eq!(versions(&repository), (4, 3));
}

#[test]
fn new_server_keys_in_the_root_make_renewal_due() {
    let mut repository = Repository::new();
    for (role, seed) in [(Role::Snapshot, 17), (Role::Timestamp, 18)] {
        repository.rotate(&[], |root| match role {
            Role::Snapshot => root.snapshot = RoleKeys::new(publics(&[seed]), 1),
            _ => root.timestamp = RoleKeys::new(publics(&[seed]), 1),
        });
        match role {
            Role::Snapshot => repository.snapshot_signers = vec![seed],
            _ => repository.timestamp_signers = vec![seed],
        }
        let online = repository.online.clone().unwrap();
        let (root, lists) = (&repository.current_root, &repository.lists());
        assert!(online.needs_renewal(root, lists, start()), "{role}");
        repository.publish(start());
    }
}

#[test]
fn wrong_or_too_few_server_keys_are_noticed_before_publishing() {
    let mut repository = Repository::new();
    repository.rotate(&[], |root| {
        root.snapshot = RoleKeys::new(publics(&[7, 17]), 2);
    });
    let cases = [
        (vec![7], vec![8], Role::Snapshot),
        (vec![7, 9], vec![8], Role::Snapshot),
        (vec![7, 17], vec![9], Role::Timestamp),
        (vec![7, 17], vec![], Role::Timestamp),
    ];
    for (snapshot, timestamp, short) in cases {
        let keys = OnlineKeys {
            snapshot: snapshot.into_iter().map(key).collect(),
            timestamp: timestamp.into_iter().map(key).collect(),
        };
        let (root, lists) = (&repository.current_root, &repository.lists());
        match renew(root, lists, repository.online.as_ref(), &keys, start()).unwrap_err() {
            TrustError::TooFewSignatures { role, .. } => assert_eq!(role, short),
            other => panic!("{other}"),
        }
    }
}

#[test]
fn older_or_unsigned_targets_are_not_published() {
    let mut repository = Repository::new();
    let old = repository.current_targets.clone();
    repository.release(b"release 2");
    repository.publish(start());
    let renewed = |targets: &[u8]| {
        let online = repository.online.as_ref();
        let keys = repository.online_keys();
        let lists = Lists::of(targets);
        renew(&repository.current_root, &lists, online, &keys, start())
    };
    let error = renewed(&old).unwrap_err();
    let expected = matches!(
        error,
        TrustError::Rollback {
            role: Role::Targets,
            trusted: 2,
            offered: 1
        }
    );
    assert!(expected, "{error}");

    let unsigned = repository.targets.finish(start(), YEAR).unwrap();
    let error = renewed(&unsigned.to_bytes().unwrap()).unwrap_err();
    let expected = matches!(
        error,
        TrustError::TooFewSignatures {
            role: Role::Targets,
            found: 0,
            needed: 2
        }
    );
    assert!(expected, "{error}");
}

#[test]
fn what_is_published_verifies_until_it_expires() {
    let repository = Repository::new();
    let online = repository.online.as_ref().unwrap();
    let verify = |hours| {
        let (root, targets) = (&repository.current_root, &repository.current_targets);
        verify_published(root, online, targets, later(hours))
    };
    verify(24).unwrap();
    let error = verify(25).unwrap_err();
    assert!(matches!(error, TrustError::Freeze { .. }), "{error}");
}
