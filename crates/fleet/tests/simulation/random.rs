//! Random fleets and random plans on the real database: whatever they are, the limits hold and every story ends.

use otter_protocol::rollout::RolloutState;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;

use crate::common::publisher::Publisher;
use crate::common::{World, each_database};
use crate::device::Nature;
use crate::fleet::{SimulatedFleet, enroll_all, spec_of};

/// How many fleets, on each database.
const FLEETS: u64 = 12;

fn natures(random: &mut StdRng) -> Vec<Nature> {
    let count = random.random_range(3..40);
    (0..count)
        .map(|_| match random.random_range(0..12) {
            0 => Nature::Failing,
            1 => Nature::Flapping,
            2 => Nature::Silent,
            3 => Nature::Late,
            4 => Nature::Lying,
            _ => Nature::Good,
        })
        .collect()
}

fn plan(random: &mut StdRng, release: otter_protocol::ReleaseId) -> serde_json::Value {
    let mut shares: Vec<u32> = (0..random.random_range(0..4))
        .map(|_| random.random_range(1..100))
        .collect();
    shares.push(100);
    shares.sort_unstable();
    shares.dedup();
    let gate = json!({
        "soak_sec": random.random_range(0..7200),
        "min_finished": random.random_bool(0.5).then_some(random.random_range(1..5)),
        "max_failure_rate": random.random_bool(0.5).then_some(random.random_range(5..60)),
    });
    let phases: Vec<_> = shares
        .iter()
        .map(|share| json!({"name": "p", "scope": {"kind": "share", "share": share}, "gate": gate}))
        .collect();
    let breach = ["pause", "abort", "roll_back"];
    json!({
        "name": "random",
        "release": release,
        "phases": phases,
        "cohort": if random.random_bool(0.5) { "spread" } else { "fixed" },
        "max_in_flight": random.random_bool(0.7).then_some(random.random_range(1..8)),
        "batch_size": random.random_bool(0.3).then_some(random.random_range(1..6)),
        "max_attempts": random.random_range(1..4),
        "retry_after_sec": random.random_range(0..1200),
        "attempt_deadline_sec": random.random_range(200..2000),
        "unseen_after_sec": 86_400,
        "on_breach": breach[random.random_range(0..3)],
    })
}

each_database!(
    random_fleets_keep_every_limit_and_come_to_their_end,
    |database| {
        let world = &World::with(database, |config| {
            config.check_in_interval_sec = 900;
            config.busy_check_in_interval_sec = 120;
        })
        .await;
        let mut random = StdRng::seed_from_u64(7);
        let mut publisher = Publisher::set_up(world).await;
        publisher.publish(world, "1.0.0").await;
        for number in 0..FLEETS {
            let natures = natures(&mut random);
            let devices = enroll_all_named(world, &natures, number).await;
            let release = publisher
                .publish(world, &format!("1.{}.0", number + 1))
                .await
                .id;
            let mut spec = plan(&mut random, release);
            spec["audience"] = json!({"kind": "selector", "selector": format!("batch={number}")});
            let spec = spec_of(spec);
            let mut fleet = SimulatedFleet::begin(world, devices, &spec).await;
            fleet.watch = |fleet, _| {
                let limit = fleet.rollout.spec.max_in_flight;
                let under_way = fleet.in_flight_by_the_server();
                assert!(
                    limit.is_none_or(|limit| under_way <= u64::from(limit)),
                    "{under_way} of {limit:?}"
                );
            };
            fleet.live_until(world.now().plus_sec(4 * 86_400)).await;
            let detail = fleet.detail().await;
            let state = detail.summary.rollout.state;
            let ends = state.is_over() || state == RolloutState::Paused;
            assert!(
                ends,
                "fleet {number}: {:?}\n{:?}",
                detail.summary.rollout, detail.summary.progress
            );
            fleet.check_end().await;
        }
    }
);

async fn enroll_all_named(
    world: &World,
    natures: &[Nature],
    number: u64,
) -> Vec<crate::device::SimulatedDevice> {
    let mut devices = enroll_all(world, natures, &format!("fleet-{number}")).await;
    for device in &mut devices {
        device.metadata = [("batch".to_owned(), number.to_string())].into();
    }
    devices
}
