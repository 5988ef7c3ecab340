//! Ten thousand devices through five phases, over days.

use otter_protocol::rollout::RolloutState;
use serde_json::json;

use crate::common::publisher::Publisher;
use crate::common::{TestDatabase, World};
use crate::device::Nature;
use crate::fleet::{SimulatedFleet, enroll_all, spec_of};

const LIMIT: usize = 400;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_devices_go_through_five_phases() {
    let database = TestDatabase::sqlite();
    let world = &World::with(&database, |config| {
        config.check_in_interval_sec = 14_400;
        config.busy_check_in_interval_sec = 600;
    })
    .await;
    let nature = |number: usize| match number % 200 {
        7 => Nature::Failing,
        19 | 119 => Nature::Flapping,
        31 => Nature::Silent,
        77 => Nature::Late,
        131 => Nature::Lying,
        _ => Nature::Good,
    };
    let natures: Vec<Nature> = (0..10_000).map(nature).collect();
    let devices = enroll_all(world, &natures, "device").await;
    let release = Publisher::set_up(world)
        .await
        .publish(world, "1.1.0")
        .await
        .id;
    let gate = json!({"min_finished": 30, "soak_sec": 3600, "max_failure_rate": 8});
    let phase = |share: f64| json!({"name": format!("{share} %"), "scope": {"kind": "share", "share": share}, "gate": gate});
    let nights = json!({"days": ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"],
        "start_minute": 1320, "end_minute": 360});
    let spec = spec_of(json!({
        "name": "five phases",
        "release": release,
        "phases": [phase(1.0), phase(5.0), phase(10.0), phase(50.0), phase(100.0)],
        "max_in_flight": LIMIT,
        "max_attempts": 2,
        "retry_after_sec": 1800,
        "attempt_deadline_sec": 1800,
        "unseen_after_sec": 86_400,
        "window": {"zone": "Europe/Helsinki", "spans": [nights]},
    }));
    let mut fleet = SimulatedFleet::begin(world, devices, &spec).await;
    fleet.watch = |fleet, now| {
        assert!(
            fleet.in_flight() <= LIMIT + silent_within(fleet),
            "too many are under way"
        );
        let local = now.to_jiff().in_tz("Europe/Helsinki").unwrap();
        assert!(
            local.hour() >= 22 || local.hour() < 6,
            "begun outside the window: {local}"
        );
    };
    let started = world.now();
    let is_over = fleet.live_until(started.plus_sec(6 * 86_400)).await;
    let detail = fleet.detail().await;
    assert!(
        is_over,
        "{:?} {:?}",
        detail.summary.rollout, detail.summary.progress
    );
    assert_eq!(
        detail.summary.rollout.state,
        RolloutState::Completed,
        "{:?}",
        detail.summary.rollout
    );
    assert!(
        world.now() > started.plus_sec(86_400),
        "it took more than a night"
    );
    let total = detail.summary.total;
    // Fifty fail twice, a hundred fail once; fifty each never come back, or too late.
    assert_eq!(
        (total.rolled_back, total.timed_out),
        (200, 100),
        "{total:?}"
    );
    assert_eq!(total.succeeded, 9_850, "{total:?}");
    fleet.check_end().await;
    let on_it = fleet
        .devices
        .iter()
        .filter(|device| device.version.as_str() == "1.1.0");
    assert_eq!(on_it.count(), 9_900, "the late ones, too");
}

/// Those that fell silent stay under way until their deadline by the server's word; their devices never say so.
fn silent_within(fleet: &SimulatedFleet<'_>) -> usize {
    fleet
        .devices
        .iter()
        .filter(|device| device.is_gone || device.nature == Nature::Late)
        .filter(|device| device.offer.is_some())
        .count()
}
