use std::collections::BTreeMap;
use std::sync::Arc;

mod back;
mod limits;
mod line;
mod phases;
mod properties;
mod rules;
mod steps;

use super::*;
use crate::attempt::AttemptState;
use crate::device::{Conditions, Dialect, OpenAttempt, PastAttempts};
use crate::digest::Sha256Digest;
use crate::gate::Gate;
use crate::group::Group;
use crate::id::{AttemptId, DeviceId, GroupName, Model};
use crate::plan::{Load, PhaseLoad};
use crate::release::{Artifact, ArtifactKind, Release, ReleaseState};
use crate::rollout::{
    Audience, Phase, PhaseScope, Requirements, Rollout, RolloutSpec, RolloutState,
};
use crate::rule::Rule;
use crate::share::Share;
use crate::version::Version;
use crate::window::{Weekday, WeeklySpan, Window};

const NOW: Timestamp = Timestamp(1_767_225_600_000);

fn release() -> Release {
    let artifact = Artifact {
        sha256: Sha256Digest([7; 32]),
        size: 1000,
        kind: ArtifactKind::Bundle,
        models: vec![Model::new("rpi4").unwrap()],
    };
    Release {
        id: ReleaseId(1),
        version: "1.1.0".into(),
        notes: String::new(),
        state: ReleaseState::Published,
        min_version: None,
        min_bootloader_version: None,
        required: false,
        release_counter: Some(1),
        artifacts: vec![artifact],
        created_at: NOW,
        published_at: Some(NOW),
        says_signed: false,
    }
}

fn rollout() -> Rollout {
    let phase = |percent: f64| Phase {
        name: format!("{percent}"),
        scope: PhaseScope::Share {
            share: Share::percent(percent).unwrap(),
        },
        gate: Gate::default(),
    };
    let spec = serde_json::json!({"name": "r", "release": 1, "phases": []});
    let spec = RolloutSpec {
        phases: vec![phase(5.0), phase(100.0)],
        ..serde_json::from_value(spec).unwrap()
    };
    Rollout {
        id: RolloutId(1),
        spec,
        state: RolloutState::Running,
        state_reason: None,
        current_phase: 1,
        sampled_at: None,
        created_at: NOW,
        created_by: "user:a".into(),
        started_at: Some(NOW),
        finished_at: None,
        approved_by: None,
        gate_approved_by: None,
        retried_upto: None,
        takes_back: false,
    }
}

fn device() -> Device {
    Device {
        id: DeviceId::new("device-001").unwrap(),
        model: Model::new("rpi4").unwrap(),
        version: "1.0.0".into(),
        bootloader_version: None,
        enrolled_at: Timestamp(0),
        state: DeviceState::Accepted,
        dialect: Dialect::Native,
        hold: None,
        group: None,
        labels: BTreeMap::new(),
        metadata: BTreeMap::new(),
        conditions: Conditions::default(),
        attempt: None,
        past: BTreeMap::new(),
    }
}

fn plan_of(rollouts: Vec<Rollout>, release: Release, in_flight: u64) -> Plan {
    let release = Arc::new(release);
    let planned = rollouts
        .into_iter()
        .map(|rollout| PlannedRollout {
            rollout: Arc::new(rollout),
            release: release.clone(),
            load: Load {
                phases: vec![PhaseLoad {
                    begun: in_flight,
                    devices: in_flight,
                    under_way: in_flight,
                }],
                next_grant_at: None,
            },
        })
        .collect();
    let group = Group {
        name: GroupName::new("pumps").unwrap(),
        description: String::new(),
        selector: Some("function=pump".parse().unwrap()),
        window: None,
    };
    Plan::new(planned, vec![release], vec![group])
}

fn blockers(device: &Device, rollout: Rollout, release: Release) -> Vec<Rule> {
    let decision = decide(device, &plan_of(vec![rollout], release, 0), NOW);
    decision.considered[0]
        .blockers()
        .map(|outcome| outcome.rule)
        .collect()
}

/// Attempts that failed long ago.
fn failed_times(failures: i32) -> PastAttempts {
    let mut past = PastAttempts::default();
    for id in 1..=failures {
        past.forth
            .add(AttemptId(id), crate::AttemptState::Failed, Timestamp(0));
    }
    past
}

/// A release of its own number and version, and the lowest version that it can be installed over.
fn numbered(id: i64, version: &str, min_version: Option<&str>) -> Release {
    Release {
        id: ReleaseId(id),
        version: version.into(),
        min_version: min_version.map(Into::into),
        ..release()
    }
}

/// A plan of one rollout of the first of these releases.
fn plan_for(rollout: Rollout, releases: Vec<Release>, load: Load, groups: Vec<Group>) -> Plan {
    let releases: Vec<Arc<Release>> = releases.into_iter().map(Arc::new).collect();
    let planned = PlannedRollout {
        rollout: Arc::new(rollout),
        release: releases[0].clone(),
        load,
    };
    let published = |release: &Arc<Release>| release.state == ReleaseState::Published;
    let releases = releases.into_iter().filter(published).collect();
    Plan::new(vec![planned], releases, groups)
}

/// What a rule found of a device before a rollout, and in words.
fn found(device: &Device, plan: &Plan, now: Timestamp, rule: Rule) -> (Outcome, String) {
    let decision = decide(device, plan, now);
    let outcomes = &decision.considered[0].outcomes;
    let outcome = outcomes
        .iter()
        .find(|outcome| outcome.rule == rule)
        .unwrap();
    (outcome.clone(), outcome.to_string())
}

/// The rules that hold a device back from a plan's first rollout.
fn held_by(device: &Device, plan: &Plan, now: Timestamp) -> Vec<Rule> {
    let decision = decide(device, plan, now);
    let blockers = decision.considered[0].blockers();
    blockers.map(|outcome| outcome.rule).collect()
}

/// What a device would begin.
fn begins(
    device: &Device,
    plan: &Plan,
    now: Timestamp,
) -> Option<(ReleaseId, AttemptPurpose, u32)> {
    match decide(device, plan, now).action {
        Action::Begin {
            release,
            purpose,
            phase,
            ..
        } => Some((release, purpose, phase)),
        _ => None,
    }
}
