//! A team that signs for its models alone: what devices take from it, and what they don't, whoever holds the server.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "only tests stand here"
)]

mod common;

use common::thief::rolled_back;
use common::{
    MODEL, Repository, Source, YEAR, artifact, block_on, forged, key, later, refresh, start,
};
use otter_protocol::Sha256Digest;
use otter_trust::{
    DelegatedRole, MemoryStore, Role, SignedArtifact, TargetsDocument, TrustError, Unfit,
    VerifiedTargets, Verifier, verify_delegated, verify_targets,
};
use serde_json::json;

const TEAM: &str = "team-a";
/// Seeds of the team's keys.
const KEYS: [u8; 3] = [31, 32, 33];

/// Publishers who gave two models to a team, which signed a release for both.
fn with_team() -> (Repository, SignedArtifact) {
    let mut repository = Repository::new();
    repository.delegate(TEAM, &["esp32/v2", "gateway"], &KEYS, 2);
    let release = repository.team_release(TEAM, &["esp32/v2", "gateway"], b"team 1", &[31, 32]);
    repository.publish(start());
    (repository, release)
}

fn judge(
    repository: &Repository,
    (name, model, installed): (&str, &str, u64),
) -> Result<SignedArtifact, TrustError> {
    let mut device = repository.device_at(later(2));
    asked(&mut device, &repository.source(), (name, model, installed))
}

fn asked(
    device: &mut Verifier<MemoryStore>,
    source: &Source,
    (name, model, installed): (&str, &str, u64),
) -> Result<SignedArtifact, TrustError> {
    block_on(device.artifact(source, name, model, installed, later(2)))
}

/// Returns why something is not for a device, on whose list ever it was found.
fn unfit(error: TrustError) -> Unfit {
    match error {
        TrustError::WrongSoftware { why, .. } => why,
        TrustError::Delegated { source, .. } => unfit(*source),
        other => panic!("{other}"),
    }
}

fn verify(repository: &Repository) -> Result<VerifiedTargets, TrustError> {
    let role = DelegatedRole::new(TEAM).unwrap();
    let list = &repository.delegated[&role];
    verify_delegated(&repository.current_targets, &role, list, start())
}

/// A snapshot and a timestamp by stolen keys, for whatever the publishers and the team have signed.
fn stolen(repository: &mut Repository, list: Vec<u8>) {
    let online = repository.online.clone().unwrap();
    let pin = |version: u64, file: &[u8]| json!({"version": version, "length": file.len(), "hashes": {"sha256": Sha256Digest::of(file)}});
    let version = otter_trust::Document::parse(&list)
        .unwrap()
        .version()
        .unwrap();
    let snapshot = forged(&online.snapshot, &[7], |signed| {
        signed["version"] = 50.into();
        signed["meta"]["team-a.json"] = pin(version, &list);
    });
    let timestamp = forged(&online.timestamp, &[8], |signed| {
        signed["version"] = 50.into();
        signed["meta"]["snapshot.json"] = pin(50, &snapshot);
    });
    let files = [
        ("timestamp.json".to_owned(), timestamp),
        ("50.snapshot.json".to_owned(), snapshot),
        (format!("{version}.team-a.json"), list),
    ];
    repository.files.extend(files);
}

#[test]
fn a_team_signs_for_its_models() {
    let (repository, release) = with_team();
    let name = release.name();
    assert_eq!(release.facts.release_counter, 2);
    for model in ["esp32/v2", "gateway"] {
        assert_eq!(judge(&repository, (&name, model, 1)).unwrap(), release);
    }
    let why = unfit(judge(&repository, (&name, MODEL, 1)).unwrap_err());
    assert_eq!(why, Unfit::NotSigned);
    assert_eq!(verify(&repository).unwrap().artifacts, [release]);
    // The publishers' own list is what it was.
    let first = artifact(1, b"release 1");
    assert_eq!(
        judge(&repository, (&first.name(), MODEL, 1)).unwrap(),
        first
    );
    assert_eq!(repository.lists().artifacts().unwrap().len(), 2);
}

#[test]
fn what_a_team_signed_is_kept_and_not_asked_for_again() {
    let (repository, release) = with_team();
    let mut device = repository.device_at(later(2));
    asked(
        &mut device,
        &repository.source(),
        (&release.name(), "gateway", 1),
    )
    .unwrap();
    let mut restarted = Verifier::open(device.store().clone(), None).unwrap();
    let source = repository.source();
    refresh(&mut restarted, &source, later(2)).unwrap();
    asked(&mut restarted, &source, (&release.name(), "gateway", 1)).unwrap();
    assert_eq!(source.asked(), ["2.root.json", "timestamp.json"]);
}

#[test]
fn a_team_that_signs_for_another_model_reaches_nobody() {
    let (mut repository, _) = with_team();
    // A model more, and another model alone: the second is signed with every tool's checks turned off.
    let both = repository.team_release(TEAM, &["gateway", MODEL], b"too much", &[31, 32]);
    let error = verify(&repository).unwrap_err().to_string();
    assert!(
        error.contains("is signed by team-a for rpi4, which team-a was not given"),
        "{error}"
    );
    repository.publish(later(1));
    let why = |name: &str, model| unfit(judge(&repository, (name, model, 1)).unwrap_err());
    let model = MODEL.to_owned();
    let role = TEAM.to_owned();
    assert_eq!(
        why(&both.name(), "gateway"),
        Unfit::NotDelegated { role, model }
    );
    assert_eq!(why(&both.name(), MODEL), Unfit::NotSigned);
}

#[test]
fn names_that_lie_about_their_models_are_refused() {
    let (mut repository, _) = with_team();
    let mut lie = artifact(3, b"malware");
    lie.facts.models = vec!["gateway".to_owned()];
    let list = forged(&repository.files["1.team-a.json"], &[31, 32], |signed| {
        signed["version"] = 2.into();
        for name in [
            lie.name(),
            format!("rpi4/{}", lie.name()),
            format!("esp32%2Fv2/{}", lie.name()),
        ] {
            signed["targets"][name] = lie.to_target();
        }
    });
    stolen(&mut repository, list);
    for model in [MODEL, "esp32/v2", "gateway"] {
        let error = judge(&repository, (&lie.name(), model, 1)).unwrap_err();
        assert!(!error.to_string().is_empty());
        match (model, error) {
            // Under a name that was delegated to it, for a model that it doesn't name.
            ("esp32/v2", TrustError::Delegated { source, .. }) => {
                assert!(matches!(*source, TrustError::Malformed { .. }), "{source}");
            }
            (_, error) => assert_eq!(unfit(error), Unfit::NotSigned),
        }
    }
}

#[test]
fn too_few_of_the_team_are_not_enough() {
    let (mut repository, release) = with_team();
    for (signers, valid) in [(vec![31], 1), (vec![31, 4, 7], 1), (vec![], 0)] {
        let list = forged(&repository.files["1.team-a.json"], &signers, |signed| {
            signed["version"] = 2.into();
        });
        stolen(&mut repository, list.clone());
        let error = judge(&repository, (&release.name(), "gateway", 1)).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("(on the list of team-a)"), "{text}");
        assert!(
            text.contains(&format!("carries {valid} of the 2")),
            "{text}"
        );
        repository
            .delegated
            .insert(DelegatedRole::new(TEAM).unwrap(), list);
        assert!(verify(&repository).is_err());
    }
}

#[test]
fn what_is_taken_back_no_longer_counts_and_stays_named() {
    let (mut repository, release) = with_team();
    let mut device = repository.device();
    asked(
        &mut device,
        &repository.source(),
        (&release.name(), "gateway", 1),
    )
    .unwrap();
    repository.take_back(TEAM);
    repository.publish(later(1));
    refresh(&mut device, &repository.source(), later(2)).unwrap();
    let error = asked(
        &mut device,
        &repository.source(),
        (&release.name(), "gateway", 1),
    );
    assert_eq!(unfit(error.unwrap_err()), Unfit::NotSigned);
    // A server with every key of its own brings the older list of the publishers back: devices have seen the newer one.
    let older = repository.files["2.targets.json"].clone();
    let server = common::thief::stolen(&repository, 60, (2, &older));
    let error = refresh(&mut device, &server, later(2)).unwrap_err();
    assert_eq!(rolled_back(error), (Role::Targets, 3, 2));
    // The snapshot goes on naming the team's file, or devices would refuse it.
    let snapshot = repository.online.as_ref().unwrap().snapshot.clone();
    assert!(String::from_utf8(snapshot).unwrap().contains("team-a.json"));
    let mut forgetful = repository.lists();
    forgetful.delegated.clear();
    let online = repository.online.as_ref();
    let keys = repository.online_keys();
    let error = otter_trust::renew(
        &repository.current_root,
        &forgetful,
        online,
        &keys,
        later(1),
    );
    let error = error.unwrap_err();
    assert!(matches!(error, TrustError::MixAndMatch { .. }), "{error}");
}

#[test]
fn a_teams_list_goes_forward_only_and_ends() {
    let (mut repository, first) = with_team();
    let second = repository.team_release(TEAM, &["gateway"], b"team 2", &[32, 33]);
    repository.publish(later(1));
    assert_eq!(second.facts.release_counter, 3);
    let older = Unfit::OlderCounter {
        installed: 3,
        offered: 2,
    };
    let why = unfit(judge(&repository, (&first.name(), "gateway", 3)).unwrap_err());
    assert_eq!(why, older);

    let mut device = repository.device_at(later(2));
    let first_list = repository.files["1.team-a.json"].clone();
    stolen(&mut repository, first_list);
    let error = refresh(&mut device, &repository.source(), later(2)).unwrap_err();
    assert_eq!(rolled_back(error), (Role::Targets, 2, 1));

    let ended = forged(&repository.files["2.team-a.json"], &[31, 32], |signed| {
        signed["version"] = 3.into();
        signed["expires"] = "2029-12-31T00:00:00Z".into();
    });
    stolen(&mut repository, ended.clone());
    let text = judge(&repository, (&second.name(), "gateway", 1))
        .unwrap_err()
        .to_string();
    assert!(
        text.starts_with("freeze: targets metadata expired"),
        "{text}"
    );
    repository
        .delegated
        .insert(DelegatedRole::new(TEAM).unwrap(), ended);
    assert!(verify(&repository).is_err());
}

#[test]
fn what_a_team_withdrew_is_withdrawn_for_its_models_alone() {
    let (mut repository, release) = with_team();
    let mut list = repository.list(TEAM);
    list.withdraw(&release.name(), "it bites").unwrap();
    repository.sign_list(&list, &[31, 32]);
    repository.publish(later(1));
    let reason = "it bites".to_owned();
    let why = unfit(judge(&repository, (&release.name(), "gateway", 1)).unwrap_err());
    assert_eq!(why, Unfit::Withdrawn { reason });
    // What the team says of others' bytes is nothing to devices of other models.
    let first = artifact(1, b"release 1");
    let list = forged(&repository.files["2.team-a.json"], &[31, 32], |signed| {
        signed["version"] = 3.into();
        signed["x-otter-withdrawn"][first.sha256.to_string()] = "spite".into();
    });
    stolen(&mut repository, list);
    judge(&repository, (&first.name(), MODEL, 1)).unwrap();
}

#[test]
fn one_list_does_not_pass_for_another() {
    let (mut repository, release) = with_team();
    let role = DelegatedRole::new("team-b").unwrap();
    let list = TargetsDocument::delegated(role);
    let mut document = list.finish(start(), YEAR).unwrap();
    for seed in [31, 32] {
        document.sign(&key(seed)).unwrap();
    }
    let bytes = forged(&document.to_bytes().unwrap(), &[31, 32], |signed| {
        signed["version"] = 2.into()
    });
    stolen(&mut repository, bytes);
    let text = judge(&repository, (&release.name(), "gateway", 1))
        .unwrap_err()
        .to_string();
    assert!(text.contains("it is that of \"team-b\""), "{text}");

    // Somebody whose key may sign everything signed a team's list: it is no list of the publishers'.
    let list = forged(&repository.files["1.team-a.json"], &[4, 6], |signed| {
        signed["version"] = 3.into()
    });
    let error = verify_targets(&repository.current_root, &list, start()).unwrap_err();
    assert!(error.to_string().contains("it is team-a's"), "{error}");
    let server = common::thief::stolen(&repository, 60, (3, &list));
    let mut device =
        Verifier::open(MemoryStore::default(), Some(&repository.current_root)).unwrap();
    let error = refresh(&mut device, &server, later(1)).unwrap_err();
    assert!(
        error.to_string().contains("doesn't sign for every model"),
        "{error}"
    );
}

#[test]
fn other_keys_of_a_team_count_once_it_has_signed_with_them() {
    let (mut repository, release) = with_team();
    repository.delegate(TEAM, &["esp32/v2", "gateway"], &[34], 1);
    let untrusted = repository.lists().untrusted().unwrap();
    assert_eq!(untrusted.len(), 1);
    repository.publish(later(1));
    let text = judge(&repository, (&release.name(), "gateway", 1))
        .unwrap_err()
        .to_string();
    assert!(text.contains("carries 0 of the 1 signatures"), "{text}");
    let list = repository.list(TEAM);
    repository.sign_list(&list, &[34]);
    repository.publish(later(2));
    assert_eq!(
        judge(&repository, (&release.name(), "gateway", 1)).unwrap(),
        release
    );
    assert!(repository.lists().untrusted().unwrap().is_empty());
}
