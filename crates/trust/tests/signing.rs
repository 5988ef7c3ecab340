//! What publishers sign, and what is refused of it before it is published.

#![allow(clippy::unwrap_used, clippy::panic, reason = "only tests stand here")]

mod common;

use common::{Repository, YEAR, artifact, key, later, publics, refresh, signed, start};
use otter_trust::{
    Document, MemoryStore, Role, RoleKeys, Root, TrustError, Verifier, root_facts, signing_status,
    verify_root, verify_root_chain, verify_targets, verify_targets_succession,
};

fn too_few(error: TrustError) -> (Role, usize, usize) {
    match error {
        TrustError::TooFewSignatures {
            role,
            found,
            needed,
        } => (role, found, needed),
        other => panic!("{other}"),
    }
}

#[test]
fn signed_targets_verify_and_say_what_was_signed() {
    let repository = Repository::new();
    let verified = verify_targets(
        &repository.current_root,
        &repository.current_targets,
        start(),
    )
    .unwrap();
    assert_eq!(verified.version, 1);
    assert_eq!(verified.expires, start() + YEAR);
    let expected = artifact(1, b"release 1");
    assert_eq!(verified.artifact(&expected.name()), Some(&expected));
    assert_eq!(verified.artifacts, [expected]);
    let ids = [4, 6].map(|seed| key(seed).public().key_id());
    assert_eq!(verified.signed_by, ids);
}

#[test]
fn two_of_three_means_two_of_three() {
    let repository = Repository::new();
    let unsigned = repository.targets.finish(start(), YEAR).unwrap();
    let verify = |signers: &[u8]| {
        let targets = signed(unsigned.clone(), signers);
        verify_targets(&repository.current_root, &targets, start())
    };
    for enough in [&[4, 5][..], &[5, 6], &[6, 4], &[4, 5, 6], &[1, 4, 5]] {
        verify(enough).unwrap();
    }
    let cases = [
        (&[][..], 0),
        (&[4], 1),
        (&[4, 4], 1),
        (&[4, 1], 1),
        (&[7, 8], 0),
    ];
    for (signers, found) in cases {
        let error = verify(signers).unwrap_err();
        assert_eq!(too_few(error), (Role::Targets, found, 2), "{signers:?}");
    }
}

#[test]
fn one_signature_written_twice_counts_for_nothing() {
    let repository = Repository::new();
    let bytes = signed(repository.targets.finish(start(), YEAR).unwrap(), &[4]);
    let mut file: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    let one = file["signatures"][0].clone();
    file["signatures"] = serde_json::json!([one, one]);
    let bytes = serde_json::to_vec(&file).unwrap();
    let error = verify_targets(&repository.current_root, &bytes, start()).unwrap_err();
    assert!(matches!(error, TrustError::Malformed { .. }), "{error}");
}

#[test]
fn a_signature_under_anothers_name_or_over_other_words_is_no_signature() {
    let repository = Repository::new();
    let bytes = signed(repository.targets.finish(start(), YEAR).unwrap(), &[4, 5]);
    let file: serde_json::Value = serde_json::from_slice(&bytes).unwrap();

    let mut renamed = file.clone();
    renamed["signatures"][1]["keyid"] = key(6).public().key_id().into();
    let mut changed = file;
    changed["signed"]["version"] = 99.into();
    for (file, found) in [(renamed, 1), (changed, 0)] {
        let bytes = serde_json::to_vec(&file).unwrap();
        let error = verify_targets(&repository.current_root, &bytes, start()).unwrap_err();
        assert_eq!(too_few(error), (Role::Targets, found, 2));
        let status =
            signing_status(&repository.current_root, &Document::parse(&bytes).unwrap()).unwrap();
        assert_eq!(status.valid.len(), found);
        assert!(!status.is_complete());
    }
}

#[test]
fn expired_targets_and_targets_of_an_expired_root_are_refused() {
    let repository = Repository::new();
    let verify = |root: &[u8], targets: &[u8]| verify_targets(root, targets, later(366 * 24));
    let error = verify(&repository.current_root, &repository.current_targets).unwrap_err();
    assert!(
        matches!(
            error,
            TrustError::Freeze {
                role: Role::Root,
                ..
            }
        ),
        "{error}"
    );
    let mut lasting = repository.root.clone();
    lasting.expires = start() + YEAR * 2;
    let root = signed(lasting.to_document().unwrap(), &[1, 3]);
    let error = verify(&root, &repository.current_targets).unwrap_err();
    assert!(
        matches!(
            error,
            TrustError::Freeze {
                role: Role::Targets,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn targets_must_succeed_what_is_published() {
    let mut repository = Repository::new();
    let root = repository.current_root.clone();
    let first = verify_targets(&root, &repository.current_targets, start()).unwrap();
    repository.release(b"release 2");
    let second = verify_targets(&root, &repository.current_targets, start()).unwrap();
    verify_targets_succession(&first, &second).unwrap();
    for (old, new) in [(&second, &first), (&second, &second)] {
        let error = verify_targets_succession(old, new).unwrap_err();
        assert!(matches!(error, TrustError::Rollback { .. }), "{error}");
    }
}

#[test]
fn metadata_of_one_role_does_not_pass_for_another() {
    let repository = Repository::new();
    let root = &repository.current_root;
    let error = verify_targets(root, root, start()).unwrap_err();
    assert!(matches!(error, TrustError::Malformed { .. }), "{error}");
    assert!(Root::parse(&repository.current_targets).is_err());
    assert!(verify_root(&repository.current_targets, start()).is_err());
}

#[test]
fn status_names_who_signed_who_may_and_who_should_not_have() {
    let repository = Repository::new();
    let targets = signed(repository.targets.finish(start(), YEAR).unwrap(), &[5, 8]);
    let document = Document::parse(&targets).unwrap();
    let status = signing_status(&repository.current_root, &document).unwrap();
    let id = |seed| key(seed).public().key_id();
    assert_eq!(status.valid, [id(5)]);
    assert_eq!(status.strangers, [id(8)]);
    assert_eq!(status.missing.len(), 2);
    assert!(status.missing.contains(&id(4)) && status.missing.contains(&id(6)));
    assert!(!status.is_complete());
}

#[test]
fn root_facts_tell_of_a_root_that_waits_for_signatures() {
    let repository = Repository::new();
    let waiting = signed(repository.root.to_document().unwrap(), &[2]);
    let facts = root_facts(&waiting).unwrap();
    assert_eq!(facts.root, repository.root);
    assert_eq!(facts.signed.valid, [key(2).public().key_id()]);
    assert!(!facts.signed.is_complete());
    assert_eq!(
        too_few(verify_root(&waiting, start()).unwrap_err()),
        (Role::Root, 1, 2)
    );
    assert_eq!(
        verify_root(&repository.current_root, start()).unwrap(),
        repository.root
    );
}

#[test]
fn a_new_root_is_signed_by_the_old_keys_and_the_new() {
    let repository = Repository::new();
    let mut next = repository.root.next(start(), YEAR).unwrap();
    next.root = RoleKeys::new(publics(&[3, 11, 12]), 3);
    let document = next.to_document().unwrap();
    let verify = |signers: &[u8]| {
        verify_root_chain(&repository.current_root, &signed(document.clone(), signers))
    };
    assert_eq!(verify(&[1, 3, 11, 12]).unwrap(), next);
    assert_eq!(
        too_few(verify(&[3, 11, 12]).unwrap_err()),
        (Role::Root, 1, 2)
    );
    assert_eq!(too_few(verify(&[1, 2, 3]).unwrap_err()), (Role::Root, 1, 3));
    assert_eq!(
        too_few(verify(&[1, 2, 11, 12]).unwrap_err()),
        (Role::Root, 2, 3)
    );

    let mut skips = next.clone();
    skips.version = 3;
    let skips = signed(skips.to_document().unwrap(), &[1, 3, 11, 12]);
    let error = verify_root_chain(&repository.current_root, &skips).unwrap_err();
    assert!(matches!(error, TrustError::FastForward { .. }), "{error}");
    let error = verify_root_chain(&repository.current_root, &repository.current_root).unwrap_err();
    assert!(matches!(error, TrustError::Rollback { .. }), "{error}");
}

#[test]
fn devices_follow_rotation_of_every_key() {
    let mut repository = Repository::new();
    let mut device = repository.device();
    repository.rotate(&[11, 12, 13], |root| {
        root.root = RoleKeys::new(publics(&[11, 12, 13]), 3);
        root.targets = RoleKeys::new(publics(&[14]), 1);
        root.snapshot = RoleKeys::new(publics(&[17, 27]), 2);
        root.timestamp = RoleKeys::new(publics(&[18, 28]), 2);
    });
    repository.targets_signers = vec![14];
    repository.snapshot_signers = vec![17, 27];
    repository.timestamp_signers = vec![18, 28];
    let second = repository.release(b"release 2");
    repository.publish(later(1));
    let trusted = refresh(&mut device, &repository.source(), later(2)).unwrap();
    assert_eq!((trusted.root, trusted.targets), (2, 2));
    let found = common::judge(&mut device, &second.name(), common::MODEL, 1, later(2));
    assert_eq!(found.unwrap(), second);

    // The keys that were retired sign no further root.
    repository.root_signers = vec![1, 2, 3];
    repository.rotate(&[], |_| {});
    let store = device.store().clone();
    let error = refresh(&mut device, &repository.source(), later(2)).unwrap_err();
    assert_eq!(too_few(error), (Role::Root, 0, 3));
    assert_eq!(*device.store(), store);
}

#[test]
fn retired_targets_keys_sign_nothing_more() {
    let mut repository = Repository::new();
    let mut device = repository.device();
    repository.rotate(&[], |root| root.targets = RoleKeys::new(publics(&[14]), 1));
    let old_targets = repository.current_targets.clone();
    let error = verify_targets(&repository.current_root, &old_targets, start()).unwrap_err();
    assert_eq!(too_few(error), (Role::Targets, 0, 1));
    // The server has not noticed: what it publishes still names the old targets.
    let error = refresh(&mut device, &repository.source(), later(1)).unwrap_err();
    assert_eq!(too_few(error), (Role::Targets, 0, 1));
}

#[test]
fn a_device_with_nothing_pinned_trusts_nothing() {
    let error = Verifier::open(MemoryStore::default(), None).unwrap_err();
    assert!(matches!(error, TrustError::NoRoot), "{error}");
    let unsigned = Repository::new().root.to_document().unwrap();
    let root = signed(unsigned, &[1]);
    let error = Verifier::open(MemoryStore::default(), Some(&root)).unwrap_err();
    assert_eq!(too_few(error), (Role::Root, 1, 2));
}
