//! Releases that can't be installed over what a device runs, and those on the way to them.

use super::*;

/// What a device on 1.0.0 is offered, where the rollout brings the first of these releases.
fn offered(releases: &[Release]) -> Option<(i64, AttemptPurpose)> {
    let plan = plan_for(rollout(), releases.to_vec(), Load::default(), vec![]);
    begins(&device(), &plan, NOW).map(|(release, purpose, _)| (release.0, purpose))
}

const STEP: AttemptPurpose = AttemptPurpose::Step;

#[test]
fn what_can_be_installed_is_offered_itself() {
    let between = numbered(2, "1.5.0", None);
    for min_version in [None, Some("1.0.0"), Some("0.9.0")] {
        let releases = [numbered(1, "2.0.0", min_version), between.clone()];
        assert_eq!(
            offered(&releases),
            Some((1, AttemptPurpose::Update)),
            "{min_version:?}"
        );
    }
}

#[test]
fn the_lowest_that_suffices_is_the_step() {
    let releases = [
        numbered(1, "2.0.0", Some("1.5.0")),
        numbered(2, "1.8.0", None),
        numbered(3, "1.4.0", None),
        numbered(4, "1.6.0", None),
        numbered(5, "2.1.0", None),
    ];
    assert_eq!(offered(&releases), Some((4, STEP)));
    let plan = plan_for(rollout(), releases.to_vec(), Load::default(), vec![]);
    let (_, said) = found(&device(), &plan, NOW, Rule::MinVersion);
    assert_eq!(
        said,
        "has 1.0.0, the release needs 1.5.0: goes by 1.6.0 first"
    );
    // Once there, it goes on to the goal.
    let stepped = Device {
        version: "1.6.0".into(),
        ..device()
    };
    let then = begins(&stepped, &plan, NOW);
    assert_eq!(then, Some((ReleaseId(1), AttemptPurpose::Update, 1)));
}

#[test]
fn a_chain_is_walked_from_its_beginning() {
    let releases = [
        numbered(1, "4.0.0", Some("3.0.0")),
        numbered(2, "3.0.0", Some("2.0.0")),
        numbered(3, "2.0.0", Some("1.5.0")),
        numbered(4, "1.5.0", None),
    ];
    assert_eq!(offered(&releases), Some((4, STEP)));
    let plan = plan_for(rollout(), releases.to_vec(), Load::default(), vec![]);
    let next = |version: &str| {
        let device = Device {
            version: version.into(),
            ..device()
        };
        begins(&device, &plan, NOW).map(|(release, _, _)| release.0)
    };
    assert_eq!(
        ["1.5.0", "2.0.0", "3.0.0"].map(next),
        [Some(3), Some(2), Some(1)]
    );
}

#[test]
fn a_dead_end_is_passed_over_and_nothing_else_is_offered() {
    let goal = numbered(1, "3.0.0", Some("2.0.0"));
    // The lowest that suffices can't be reached itself; the next can.
    let dead_end = numbered(2, "2.0.0", Some("1.9.0"));
    let way = numbered(3, "2.5.0", Some("1.0.0"));
    assert_eq!(
        offered(&[goal.clone(), dead_end.clone(), way]),
        Some((3, STEP))
    );
    let plan = plan_for(rollout(), vec![goal, dead_end], Load::default(), vec![]);
    assert_eq!(held_by(&device(), &plan, NOW), [Rule::MinVersion]);
    let (outcome, said) = found(&device(), &plan, NOW, Rule::MinVersion);
    assert_eq!(said, "has 1.0.0, against 2.0.0");
    assert!(outcome.is_lasting());
    assert_eq!(
        outcome.remedy(),
        Some("A published release on the way, which the device can take first.")
    );
}

#[test]
fn what_was_withdrawn_is_no_step() {
    let withdrawn = Release {
        state: ReleaseState::Withdrawn,
        ..numbered(2, "1.5.0", None)
    };
    let goal = numbered(1, "2.0.0", Some("1.5.0"));
    assert_eq!(offered(&[goal.clone(), withdrawn.clone()]), None);
    let other = numbered(3, "1.7.0", None);
    assert_eq!(offered(&[goal, withdrawn, other]), Some((3, STEP)));
}

#[test]
fn what_is_for_another_model_is_no_step() {
    let mut other = numbered(2, "1.5.0", None);
    other.artifacts[0].models = vec![Model::new("esp32").unwrap()];
    assert_eq!(offered(&[numbered(1, "2.0.0", Some("1.5.0")), other]), None);
}

/// Releases that need each other, or themselves, lead nowhere, and the search for a way ends.
#[test]
fn circles_end() {
    let releases = [
        numbered(1, "3.0.0", Some("2.0.0")),
        numbered(2, "2.0.0", Some("2.5.0")),
        numbered(3, "2.5.0", Some("2.0.0")),
        numbered(4, "2.7.0", Some("2.7.0")),
    ];
    assert_eq!(offered(&releases), None);
    let many: Vec<Release> = std::iter::once(numbered(1, "9.0.0", Some("2.0.0")))
        .chain((2..60).map(|n| numbered(n, &format!("3.{n}.0"), Some("2.0.0"))))
        .collect();
    assert_eq!(offered(&many), None);
}

#[test]
fn a_step_keeps_to_the_rules_of_its_own_release() {
    let step = Release {
        min_bootloader_version: Some("2".into()),
        ..numbered(2, "1.5.0", None)
    };
    let releases = vec![numbered(1, "2.0.0", Some("1.5.0")), step];
    let plan = plan_for(rollout(), releases, Load::default(), vec![]);
    assert_eq!(held_by(&device(), &plan, NOW), [Rule::MinBootloaderVersion]);
}
