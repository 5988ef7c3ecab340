//! Whom a rollout is for: exclusions, those who join later, halves of a fleet, and phases that take so many.

use super::*;
use crate::rollout::Exclusions;

fn group(name: &str) -> GroupName {
    GroupName::new(name).unwrap()
}

fn named(id: &str) -> Device {
    Device {
        id: DeviceId::new(id).unwrap(),
        ..device()
    }
}

fn plan_with(change: impl FnOnce(&mut Rollout)) -> Plan {
    let mut rollout = rollout();
    change(&mut rollout);
    plan_of(vec![rollout], release(), 0)
}

#[test]
fn exclusions_go_before_the_audience() {
    let pump = Device {
        labels: [("function".to_owned(), "pump".to_owned())].into(),
        ..device()
    };
    let excluded = [
        (
            Exclusions {
                devices: vec![named("z").id, device().id, named("a").id],
                ..Exclusions::default()
            },
            "excluded: it is listed",
        ),
        (
            Exclusions {
                groups: vec![group("none"), group("pumps")],
                ..Exclusions::default()
            },
            "excluded: group pumps",
        ),
        (
            Exclusions {
                selector: Some("function in (fan, pump)".parse().unwrap()),
                ..Exclusions::default()
            },
            "excluded: function in (fan, pump)",
        ),
    ];
    for (exclude, words) in excluded {
        let plan = plan_with(|rollout| rollout.spec.exclude = exclude);
        assert_eq!(held_by(&pump, &plan, NOW), [Rule::InAudience]);
        let (outcome, said) = found(&pump, &plan, NOW, Rule::InAudience);
        assert_eq!(said, words);
        assert!(outcome.is_lasting(), "nobody waits for it");
        assert!(
            begins(&named("device-002"), &plan, NOW).is_some(),
            "{words}: another is in"
        );
    }
}

#[test]
fn a_frozen_rollout_is_for_those_known_at_its_start() {
    let plan = plan_with(|rollout| rollout.spec.frozen = true);
    let enrolled = |at| Device {
        enrolled_at: at,
        ..device()
    };
    assert!(
        begins(&enrolled(NOW), &plan, NOW).is_some(),
        "at the same moment"
    );
    let late = enrolled(NOW.plus_sec(1));
    assert_eq!(held_by(&late, &plan, NOW.plus_sec(9)), [Rule::InAudience]);
    let (_, said) = found(&late, &plan, NOW, Rule::InAudience);
    assert_eq!(
        said,
        "joined at 2026-01-01T00:00:01Z, the rollout is for those known at 2026-01-01T00:00:00Z"
    );
    let open = plan_with(|_| {});
    assert!(
        begins(&late, &open, NOW).is_some(),
        "otherwise those who join later are in"
    );
}

#[test]
fn halves_are_apart_together_everybody_and_cut_across_the_cohort() {
    let half = Share::percent(50.0).unwrap();
    let part = |from, until| {
        plan_with(|rollout| {
            rollout.spec.audience = Audience::Split {
                salt: "a/b".into(),
                from,
                until,
            };
        })
    };
    let (first, second) = (part(Share::NONE, half), part(half, Share::ALL));
    let is_in = |plan: &Plan, device: &Device| is_in_audience(device, plan, &plan.rollouts()[0]);
    let (mut in_first, mut early_in_first, mut early) = (0, 0, 0);
    for number in 0..4_000 {
        let device = named(&format!("device-{number}"));
        assert_ne!(is_in(&first, &device), is_in(&second, &device));
        let is_early = cohort_of(&device, &first.rollouts()[0]).is_below(half);
        in_first += u32::from(is_in(&first, &device));
        early += u32::from(is_early);
        early_in_first += u32::from(is_early && is_in(&first, &device));
    }
    assert!((1_880..2_120).contains(&in_first), "{in_first} of 4000");
    let share = f64::from(early_in_first) / f64::from(early);
    assert!(
        (0.45..0.55).contains(&share),
        "of the early ones {share} are in the first half"
    );
}

#[test]
fn a_split_never_cuts_as_a_rollouts_own_cohort_does() {
    let device = device();
    let of_rollout = crate::cohort::Cohort::spread(RolloutId(7), &device.id);
    assert_ne!(crate::cohort::Cohort::of_split("7", &device.id), of_rollout);
    assert_ne!(
        crate::cohort::Cohort::of_split("", &device.id),
        crate::cohort::Cohort::fixed(&device.id)
    );
}

/// Phases of two devices, of three more, and of everybody else.
fn counted(open: u32, begun: [u64; 2]) -> Plan {
    let mut rollout = rollout();
    let scopes = [
        PhaseScope::Count { devices: 2 },
        PhaseScope::Count { devices: 3 },
        PhaseScope::Share { share: Share::ALL },
    ];
    rollout.spec.phases = scopes
        .into_iter()
        .map(|scope| Phase {
            name: "some".into(),
            scope,
            gate: Gate::default(),
        })
        .collect();
    rollout.current_phase = open;
    let load = |devices| PhaseLoad {
        begun: devices,
        devices,
        under_way: 0,
    };
    let load = Load {
        phases: begun.into_iter().chain([0, 0]).map(load).collect(),
        next_grant_at: None,
    };
    plan_for(rollout, vec![release()], load, vec![])
}

#[test]
fn phases_of_so_many_take_who_asks_first() {
    let phase =
        |open, begun| begins(&device(), &counted(open, begun), NOW).map(|(_, _, phase)| phase);
    assert_eq!(phase(0, [1, 0]), Some(0));
    assert_eq!(
        phase(0, [2, 0]),
        None,
        "it is full, and the next is not open"
    );
    assert_eq!(phase(1, [2, 0]), Some(1));
    assert_eq!(phase(1, [2, 3]), None);
    assert_eq!(phase(2, [2, 3]), Some(2));
    let (_, said) = found(&device(), &counted(0, [2, 0]), NOW, Rule::InOpenPhase);
    assert_eq!(said, "waits for phase some (3 devices), cohort 45.2 %");
}

#[test]
fn who_began_in_a_phase_of_so_many_stays_in_it() {
    let mut past = failed_times(0);
    past.phase = Some(0);
    let again = Device {
        past: [(RolloutId(1), past)].into(),
        ..device()
    };
    let phase = |open, begun| begins(&again, &counted(open, begun), NOW).map(|(_, _, phase)| phase);
    assert_eq!(phase(0, [2, 0]), Some(0), "full of others and itself");
    assert_eq!(phase(2, [2, 3]), Some(0));
}

#[test]
fn who_is_in_no_phase_is_told_so_and_not_waited_for() {
    let plan = plan_with(|rollout| {
        rollout.spec.phases.truncate(1);
        rollout.current_phase = 0;
    });
    let (outcome, said) = found(&device(), &plan, NOW, Rule::InOpenPhase);
    assert_eq!(said, "no phase takes it in, cohort 45.2 %");
    assert_eq!(
        outcome.remedy(),
        Some("A rollout with a phase that takes it in.")
    );
    let considered = &decide(&device(), &plan, NOW).considered[0];
    assert!(!considered.awaits());
    let later = plan_with(|rollout| rollout.current_phase = 0);
    assert!(decide(&device(), &later, NOW).considered[0].awaits());
}
