//! Several servers on one database, and engines that are killed in the middle of what they do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use otter_fleet::Fleet;
use otter_protocol::check_in::{CheckIn, Instruction};
use otter_protocol::rollout::{RolloutState, Steering};
use otter_protocol::{AttemptReport, AttemptState, Timestamp};
use serde_json::json;
use tokio::task::JoinSet;

use crate::common::publisher::Publisher;
use crate::common::{TestDatabase, World, ann, each_database};
use crate::device::Nature;
use crate::fleet::{SimulatedFleet, enroll_all, spec_of, under_way};

/// Polls and updates as a device does, again and again, at whichever server.
async fn live(
    servers: Vec<Fleet>,
    token: String,
    place: usize,
    stop: Arc<AtomicBool>,
    open: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
) -> bool {
    let mut version = "1.0.0".into();
    for turn in 0.. {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let server = &servers[(place + turn) % servers.len()];
        let known = server.device_by_token(&token).await.unwrap();
        let check_in = CheckIn {
            version,
            ..CheckIn::default()
        };
        version = check_in.version.clone();
        let reply = server.check_in(&known, check_in).await.unwrap();
        let Instruction::Install(offer) = reply.instruction else {
            tokio::task::yield_now().await;
            continue;
        };
        let now = open.fetch_add(1, Ordering::SeqCst) + 1;
        most.fetch_max(now, Ordering::SeqCst);
        let other = &servers[(place + turn + 1) % servers.len()];
        let known = other.device_by_token(&token).await.unwrap();
        // Counted down before the server hears of the end: what counts here is never more than what it holds.
        open.fetch_sub(1, Ordering::SeqCst);
        let report = AttemptReport {
            sequence: 1,
            state: AttemptState::Succeeded,
            progress: None,
            message: None,
            version: Some(offer.version.clone()),
            at: None,
        };
        let reply = other.report(&known, offer.attempt, &report).await.unwrap();
        assert!(reply.applied);
        return true;
    }
    false
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn three_engines_on_one_postgres_hold_every_limit() {
    let Some(database) = TestDatabase::postgres().await else {
        return;
    };
    let world = &World::new(&database).await;
    let devices = enroll_all(world, &[Nature::Good; 150], "device").await;
    let release = Publisher::set_up(world)
        .await
        .publish(world, "1.1.0")
        .await
        .id;
    let servers = vec![
        world.fleet.clone(),
        world.another_server().await,
        world.another_server().await,
    ];
    let spec = spec_of(json!({
        "name": "limited",
        "release": release,
        "phases": [{"name": "first", "scope": {"kind": "count", "devices": 20}, "gate": {"min_finished": 20}},
            {"name": "all", "scope": {"kind": "share", "share": 100}}],
        "max_in_flight": 7,
        "batch_size": 10,
    }));
    let rollout = world
        .fleet
        .create_rollout(&ann(), &spec, false)
        .await
        .unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let (open, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut running = JoinSet::new();
    let end = tokio_util::sync::CancellationToken::new();
    for server in servers.clone() {
        // Three engines, each of which would go on alone; the lease lets one.
        let end = end.clone();
        running.spawn(async move { server.run(end).await });
    }
    let mut lives = JoinSet::new();
    for (place, device) in devices.into_iter().enumerate() {
        let (stop, open, most) = (stop.clone(), open.clone(), most.clone());
        lives.spawn(live(servers.clone(), device.token, place, stop, open, most));
    }
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(90);
    loop {
        assert!(under_way(&servers[0], rollout.id).await <= 7);
        let now = servers[1].rollout(rollout.id).await.unwrap().summary;
        let (total, state) = (now.total, now.rollout.state);
        if state == RolloutState::Completed {
            break;
        }
        if now.rollout.current_phase == 0 {
            assert!(now.progress[0].tally.succeeded + now.progress[0].tally.under_way <= 20);
            assert_eq!(
                now.progress[1].tally.finished(),
                0,
                "no phase begins before its gate"
            );
        }
        // A pacing clock: what waits for time to pass gets some.
        world.pass_ms(200);
        assert!(
            tokio::time::Instant::now() < deadline,
            "it never ends: {total:?}, {:?}",
            now.rollout
        );
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    stop.store(true, Ordering::SeqCst);
    let mut updated = 0;
    while let Some(life) = lives.join_next().await {
        updated += usize::from(life.unwrap());
    }
    assert_eq!(updated, 150);
    assert!(most.load(Ordering::SeqCst) <= 7);
    end.cancel();
    while let Some(engine) = running.join_next().await {
        engine.unwrap();
    }
    let detail = world.fleet.rollout(rollout.id).await.unwrap();
    assert_eq!(detail.summary.total.succeeded, 150);
    assert_eq!(detail.summary.progress[0].tally.succeeded, 20);
}

/// Stops a future after so many turns, wherever it is.
async fn cut_after<F: Future>(future: F, turns: usize) -> bool {
    let mut future = std::pin::pin!(future);
    let mut left = turns;
    std::future::poll_fn(move |context| {
        if future.as_mut().poll(context).is_ready() {
            return std::task::Poll::Ready(false);
        }
        if left == 0 {
            return std::task::Poll::Ready(true);
        }
        left -= 1;
        std::task::Poll::Pending
    })
    .await
}

each_database!(an_engine_killed_anywhere_goes_on_from_there, |database| {
    let world = &World::with(database, |config| {
        config.check_in_interval_sec = 600;
        config.busy_check_in_interval_sec = 60;
    })
    .await;
    let devices = enroll_all(world, &[Nature::Good; 30], "device").await;
    let release = Publisher::set_up(world)
        .await
        .publish(world, "1.1.0")
        .await
        .id;
    let phase = |share: f64| json!({"name": "p", "scope": {"kind": "share", "share": share}, "gate": {"soak_sec": 300}});
    let spec = spec_of(json!({
        "name": "killed",
        "release": release,
        "phases": [phase(20.0), phase(60.0), phase(100.0)],
    }));
    let mut fleet = SimulatedFleet::begin(world, devices, &spec).await;
    let mut cuts = 0;
    let end = world.now().plus_sec(86_400);
    for turns in (0..).map(|number| number % 23) {
        if fleet.live_until(next_stop(&fleet, end)).await {
            break;
        }
        assert!(fleet.now() < end, "it never ends");
        fleet.server.count_anew();
        cuts += usize::from(cut_after(fleet.server.advance(), turns).await);
        // Another takes its place, once the dead one's lease is over.
        world.pass_sec(11);
        fleet.server = world.another_server().await;
    }
    assert!(cuts >= 10, "only {cuts} times cut");
    let detail = fleet.detail().await;
    assert_eq!(detail.summary.rollout.state, RolloutState::Completed);
    assert_eq!(detail.summary.total.succeeded, 30);
    fleet.check_end().await;
    let steps = world.events("rollout.next_phase").await.len();
    assert_eq!(steps, 2, "each step is taken and told once");
});

fn next_stop(fleet: &SimulatedFleet<'_>, end: Timestamp) -> Timestamp {
    fleet.now().plus_sec(97).min(end)
}

each_database!(a_pause_between_any_two_moments_stops_offers, |database| {
    let world = &World::with(database, |config| {
        config.check_in_interval_sec = 600;
        config.busy_check_in_interval_sec = 60;
    })
    .await;
    let devices = enroll_all(world, &[Nature::Good; 40], "device").await;
    let release = Publisher::set_up(world)
        .await
        .publish(world, "1.1.0")
        .await
        .id;
    let spec = spec_of(json!({
        "name": "paused",
        "release": release,
        "phases": [{"name": "all", "scope": {"kind": "share", "share": 100}}],
        "max_in_flight": 5,
    }));
    let mut fleet = SimulatedFleet::begin(world, devices, &spec).await;
    let id = fleet.rollout.id;
    for _ in 0..200 {
        if fleet.live_until(fleet.now().plus_sec(151)).await {
            break;
        }
        let pause = Steering::Pause;
        world
            .fleet
            .steer_rollout(&ann(), id, pause, "")
            .await
            .unwrap();
        let begun = fleet.begun.len();
        fleet.live_until(fleet.now().plus_sec(700)).await;
        assert_eq!(fleet.begun.len(), begun, "something began in a pause");
        let resume = Steering::Resume;
        world
            .fleet
            .steer_rollout(&ann(), id, resume, "")
            .await
            .unwrap();
    }
    assert_eq!(
        fleet.detail().await.summary.rollout.state,
        RolloutState::Completed
    );
    fleet.check_end().await;
});
