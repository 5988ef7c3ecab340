//! What a list keeps, and what it refuses.

use otter_protocol::{ArtifactKind, Sha256Digest};

use super::*;
use crate::ArtifactFacts;

const LIFE: SignedDuration = SignedDuration::from_hours(24 * 365);

fn artifact(counter: u64, byte: u8) -> SignedArtifact {
    SignedArtifact {
        sha256: Sha256Digest([byte; 32]),
        length: 1,
        facts: ArtifactFacts {
            models: vec!["rpi4".to_owned()],
            version: format!("1.{counter}.0"),
            release_counter: counter,
            min_version: None,
            min_bootloader_version: None,
            kind: ArtifactKind::Image,
            required: false,
            notes: String::new(),
            downgrade_permitted: false,
        },
    }
}

fn reread(targets: &TargetsDocument) -> TargetsDocument {
    let document = targets.finish(Timestamp::UNIX_EPOCH, LIFE).unwrap();
    TargetsDocument::parse(&document.to_bytes().unwrap()).unwrap()
}

#[test]
fn versions_and_counters_go_up_by_one() {
    let mut targets = TargetsDocument::new();
    assert_eq!(targets.next_release_counter().unwrap(), 1);
    targets.add(&artifact(1, 1)).unwrap();
    targets.add(&artifact(1, 2)).unwrap();
    let mut targets = reread(&targets);
    assert_eq!(targets.version(), 1);
    assert_eq!(targets.next_release_counter().unwrap(), 2);
    targets.add(&artifact(2, 1)).unwrap();
    let targets = reread(&targets);
    assert_eq!(targets.version(), 2);
    let counters: Vec<_> = targets.artifacts().unwrap();
    assert_eq!(counters, [artifact(1, 1), artifact(1, 2), artifact(2, 1)]);
}

#[test]
fn a_withdrawn_counter_is_not_given_again() {
    let mut targets = TargetsDocument::new();
    targets.add(&artifact(1, 1)).unwrap();
    targets.withdraw(&artifact(1, 1).name(), "").unwrap();
    let targets = reread(&targets);
    assert_eq!(targets.artifacts().unwrap(), []);
    assert_eq!(targets.next_release_counter().unwrap(), 2);
}

#[test]
fn what_was_withdrawn_is_never_signed_again() {
    let mut targets = TargetsDocument::new();
    targets.add(&artifact(1, 1)).unwrap();
    targets
        .withdraw(&artifact(1, 1).name(), "it bites")
        .unwrap();
    let mut targets = reread(&targets);
    let list = targets.withdrawn().unwrap();
    assert_eq!(
        list.get(&artifact(1, 1).sha256).map(String::as_str),
        Some("it bites")
    );
    let error = targets.add(&artifact(2, 1)).unwrap_err().to_string();
    assert!(error.contains("were withdrawn"), "{error}");
    targets.add(&artifact(2, 2)).unwrap();
}

#[test]
fn doubles_gaps_and_strangers_are_refused_and_change_nothing() {
    let mut targets = TargetsDocument::new();
    targets.add(&artifact(1, 1)).unwrap();
    let before = targets.clone();
    assert!(targets.add(&artifact(1, 1)).is_err());
    assert!(targets.add(&artifact(3, 1)).is_err());
    assert!(targets.add(&artifact(0, 1)).is_err());
    assert!(targets.withdraw("r9/none", "").is_err());
    assert!(targets.permit_downgrade("r9/none", true).is_err());
    assert_eq!(targets, before);
}

#[test]
fn a_permission_to_downgrade_comes_and_goes() {
    let mut targets = TargetsDocument::new();
    targets.add(&artifact(1, 1)).unwrap();
    let name = artifact(1, 1).name();
    for permitted in [true, false] {
        targets.permit_downgrade(&name, permitted).unwrap();
        let [read] = &reread(&targets).artifacts().unwrap()[..] else {
            panic!("one artifact")
        };
        assert_eq!(read.facts.downgrade_permitted, permitted);
    }
}

#[test]
fn a_delegated_list_has_an_artifact_once_for_each_model() {
    let role = DelegatedRole::new("team-a").unwrap();
    let mut list = TargetsDocument::delegated(role.clone());
    list.know_counter(6).unwrap();
    let mut one = artifact(7, 1);
    one.facts.models.push("esp32/v2".to_owned());
    list.add(&one).unwrap();
    assert!(list.add(&one).is_err());
    let mut list = reread(&list);
    assert_eq!(list.role(), Some(&role));
    assert_eq!(list.artifacts().unwrap(), [one.clone()]);
    let names: Vec<_> = list.targets().map(|(name, _)| name.clone()).collect();
    let expected = ["esp32%2Fv2", "rpi4"].map(|model| format!("{model}/{}", one.name()));
    assert_eq!(names, expected);

    list.permit_downgrade(&one.name(), true).unwrap();
    assert!(list.artifacts().unwrap()[0].facts.downgrade_permitted);
    list.withdraw(&one.name(), "it bites").unwrap();
    assert_eq!(list.targets().count(), 0);
    assert_eq!(list.next_release_counter().unwrap(), 8);
    assert!(list.set_delegations(&Delegations::default()).is_err());
}

#[test]
fn a_model_that_is_missing_shows() {
    let mut list = TargetsDocument::delegated(DelegatedRole::new("team-a").unwrap());
    let mut one = artifact(1, 1);
    one.facts.models.push("rpi5".to_owned());
    list.add(&one).unwrap();
    let name = format!("rpi5/{}", one.name());
    list.targets_mut().unwrap().remove(&name);
    let error = list.artifacts().unwrap_err().to_string();
    assert!(error.contains("each of its models"), "{error}");
}

#[test]
fn the_publishers_take_over_what_a_role_signed() {
    let mut team = TargetsDocument::delegated(DelegatedRole::new("team-a").unwrap());
    for (counter, byte) in [(1, 1), (2, 2), (3, 3)] {
        team.add(&artifact(counter, byte)).unwrap();
    }
    team.withdraw(&artifact(2, 2).name(), "it bites").unwrap();
    let mut own = TargetsDocument::new();
    own.take_over(&team, false).unwrap();
    assert_eq!(own.artifacts().unwrap(), []);
    assert_eq!(own.next_release_counter().unwrap(), 4);
    assert!(own.add(&artifact(4, 2)).is_err());
    own.take_over(&team, true).unwrap();
    assert_eq!(own.artifacts().unwrap(), [artifact(1, 1), artifact(3, 3)]);
}

#[test]
fn what_a_newer_otter_wrote_is_kept() {
    let bytes = br#"{"signatures":[],"signed":{"_type":"targets","spec_version":"1.0.31",
        "version":4,"expires":"2030-01-01T00:00:00Z","targets":{},"x-new":{"a":1}}}"#;
    let document = TargetsDocument::parse(bytes)
        .unwrap()
        .finish(Timestamp::UNIX_EPOCH, LIFE)
        .unwrap();
    assert_eq!(document.signed()["x-new"]["a"], 1);
    assert_eq!(document.version().unwrap(), 5);
}
