//! Another implementation reads what we sign: python-tuf's client follows a root rotation down to
//! the targets, and refuses what was tampered with.

#![allow(clippy::unwrap_used, clippy::panic, reason = "only tests stand here")]

mod common;

use std::path::Path;
use std::process::Command;

use common::python::{python, run};
use common::{Repository, YEAR, publics};
use jiff::Timestamp;
use otter_trust::{RoleKeys, SignedArtifact};
use serde_json::{Map, Value, json};

/// A repository after a rotation of every role's keys, alive at present: python-tuf asks the clock.
fn repository() -> Repository {
    let now = Timestamp::now();
    let mut repository = Repository::new();
    repository.root.expires = now + YEAR;
    repository.publish_root();
    repository.rotate(&[11, 12], |root| {
        root.expires = now + YEAR;
        root.root = RoleKeys::new(publics(&[3, 11, 12]), 2);
        root.targets = RoleKeys::new(publics(&[4, 5, 14]), 3);
        root.timestamp = RoleKeys::new(publics(&[18, 28]), 2);
    });
    repository.targets_signers = vec![4, 5, 14];
    repository.timestamp_signers = vec![18, 28];
    repository.release(b"release 2");
    repository.delegate("team-a", &["esp32/v2", "gateway"], &[31, 32], 2);
    repository.team_release("team-a", &["esp32/v2", "gateway"], b"team 1", &[31, 32]);
    repository.publish(now);
    repository
}

fn expected(repository: &Repository) -> Value {
    let artifacts = repository.targets.artifacts().unwrap();
    let target = |artifact: &SignedArtifact| (artifact.name(), artifact.to_target());
    let targets: Map<_, _> = artifacts.iter().map(target).collect();
    let online = repository.online.as_ref().unwrap();
    let versions = json!([
        repository.root.version,
        online.timestamp_version().unwrap(),
        online.snapshot_version().unwrap(),
        repository.targets.version(),
    ]);
    let team = repository.list("team-a").artifacts().unwrap();
    let delegations = repository.targets.delegations().unwrap();
    let entries = |artifact: &SignedArtifact| {
        let names = artifact.delegated_names().into_iter();
        let given = names.filter(|(model, _)| delegations.role_for(model).is_some());
        let target = artifact.to_target();
        given
            .map(|(_, name)| (name, target.clone()))
            .collect::<Vec<_>>()
    };
    let delegated: Map<_, _> = team.iter().flat_map(entries).collect();
    json!({ "versions": versions, "targets": targets, "delegated": delegated })
}

fn client(repository: &Repository, folder: &Path) -> Command {
    for (name, bytes) in &repository.files {
        std::fs::write(folder.join(name), bytes).unwrap();
    }
    let expected_file = folder.join("expected.json");
    std::fs::write(&expected_file, expected(repository).to_string()).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python_tuf.py");
    let mut command = Command::new(python());
    command.arg(script).arg(folder).arg(expected_file);
    command
}

#[test]
fn python_tuf_reads_what_we_sign_and_refuses_what_was_changed() {
    let mut repository = repository();
    let folder = tempfile::tempdir().unwrap();
    let output = run(&mut client(&repository, folder.path()));
    assert_eq!(output.stdout, b"python-tuf agrees\n");

    // A list that the team's keys signed for a model that they weren't given is searched by nobody.
    let model = ["gateway", "rpi4"];
    let released = repository.team_release("team-a", &model, b"too much", &[31, 32]);
    repository.publish(Timestamp::now());
    let mut strange = client(&repository, folder.path());
    let name = format!("rpi4/{}", released.name());
    let output = run(strange.args(["--unknown", &name]));
    assert_eq!(output.stdout, b"python-tuf agrees\n");

    let name = "3.targets.json";
    let targets = String::from_utf8(repository.files[name].clone()).unwrap();
    let changed = targets.replace("Fewer bugs", "Fewer bufs");
    assert_ne!(targets, changed);
    repository
        .files
        .insert(name.to_owned(), changed.into_bytes());
    let output = client(&repository, folder.path()).output().unwrap();
    assert!(!output.status.success());
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("hash"), "{error}");
}
