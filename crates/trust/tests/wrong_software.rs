//! Wrong software: the sixth way to cheat, and the one that would put software on a device.

#![allow(clippy::unwrap_used, clippy::panic, reason = "only tests stand here")]

mod common;

use common::thief::{attacked, stolen};
use common::{MODEL, Repository, Source, YEAR, artifact, judge, later, signed, start};
use otter_trust::{Role, TargetsDocument, TrustError, Trusted, Unfit, Verifier};

#[test]
fn wrong_software_that_no_publisher_signed() {
    let repository = Repository::new();
    // Every key of the server signs targets that name its own software.
    let mut targets = TargetsDocument::parse(&repository.current_targets).unwrap();
    targets.add(&artifact(2, b"malware")).unwrap();
    let document = targets.finish(start(), YEAR).unwrap();
    for (signers, valid) in [(vec![7, 8], 0), (vec![4, 7, 8], 1), (vec![], 0)] {
        let forged = signed(document.clone(), &signers);
        let server = stolen(&repository, 2, (2, &forged));
        match attacked(&mut repository.device(), &server, 1) {
            TrustError::TooFewSignatures {
                role,
                found,
                needed,
            } => assert_eq!((role, found, needed), (Role::Targets, valid, 2)),
            other => panic!("{other}"),
        }
    }
}

#[test]
fn wrong_software_by_a_decision_that_names_another_artifact() {
    let mut repository = Repository::new();
    let second = repository.release(b"release 2");
    repository.publish(later(1));
    let mut device = repository.device();
    assert_eq!(
        judge(&mut device, &second.name(), MODEL, 1, start()).unwrap(),
        second
    );
    let mut why = |name: &str, model: &str, counter: u64| match judge(
        &mut device,
        name,
        model,
        counter,
        start(),
    )
    .unwrap_err()
    {
        TrustError::WrongSoftware { why, .. } => why,
        other => panic!("{other}"),
    };
    let first = artifact(1, b"release 1");
    assert_eq!(
        why(&artifact(2, b"malware").name(), MODEL, 1),
        Unfit::NotSigned
    );
    let models = vec![MODEL.to_owned()];
    let model = "esp32".to_owned();
    assert_eq!(
        why(&second.name(), "esp32", 1),
        Unfit::Model { model, models }
    );
    let older = Unfit::OlderCounter {
        installed: 2,
        offered: 1,
    };
    assert_eq!(why(&first.name(), MODEL, 2), older);
}

#[test]
fn a_downgrade_takes_the_publishers_word() {
    let mut repository = Repository::new();
    repository.release(b"release 2");
    let first = artifact(1, b"release 1").name();
    repository.targets.permit_downgrade(&first, true).unwrap();
    repository.sign_targets();
    repository.publish(later(1));
    let mut device = repository.device();
    judge(&mut device, &first, MODEL, 2, start()).unwrap();
    assert!(judge(&mut device, &first, "esp32", 2, start()).is_err());
}

#[test]
fn a_device_without_a_refresh_installs_nothing() {
    let repository = Repository::new();
    let mut device = repository.device();
    let name = artifact(1, b"release 1").name();
    let Trusted { root, .. } = device.trusted(start()).unwrap();
    assert_eq!(root, 1);
    attacked(&mut device, &Source::new(Default::default()), 1);
    let restarted = Verifier::open(device.store().clone(), None).unwrap();
    for mut device in [device, restarted] {
        let error = judge(&mut device, &name, MODEL, 0, start()).unwrap_err();
        assert!(matches!(error, TrustError::NotRefreshed), "{error}");
    }
}

#[test]
fn wrong_software_that_was_withdrawn_whatever_names_it() {
    let mut repository = Repository::new();
    let first = artifact(1, b"release 1");
    repository
        .targets
        .withdraw(&first.name(), "it bites")
        .unwrap();
    repository.sign_targets();
    repository.publish(later(1));
    // The same bytes under another counter: publishers' tools refuse it, so it is forged with their keys here.
    let again = artifact(2, b"release 1");
    let bytes = common::forged(&repository.current_targets, &[4, 6], |signed| {
        signed["version"] = 3.into();
        signed["targets"][again.name()] = again.to_target();
    });
    repository.current_targets = bytes.clone();
    repository.files.insert("3.targets.json".to_owned(), bytes);
    repository.publish(later(2));
    let mut device = repository.device_at(later(2));
    for name in [first.name(), again.name()] {
        match judge(&mut device, &name, MODEL, 0, later(2)).unwrap_err() {
            TrustError::WrongSoftware { why, .. } => {
                let reason = "it bites".to_owned();
                assert_eq!(why, Unfit::Withdrawn { reason });
            }
            other => panic!("{other}"),
        }
    }
}
