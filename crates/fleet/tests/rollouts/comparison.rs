//! Releases compared by what became of the attempts at them.

use otter_protocol::AttemptState;
use otter_protocol::check_in::Instruction;
use otter_protocol::comparison::{LEAST_ATTEMPTS, ReleaseRecord};
use otter_protocol::rollout::Rollout;
use sea_orm::ConnectionTrait;
use serde_json::json;

use crate::common::devices::model;
use crate::common::publisher::Publisher;
use crate::common::{World, ann, each_database, refuses_field};
use crate::world::{TestDevice, at_once, enroll_many, spec};

const LIMITLESS: &str = r#"{"max_failure_rate": null}"#;

/// Publishes two releases and rolls each out to one half of a split.
async fn two_halves(world: &World) -> [Rollout; 2] {
    let mut publisher = Publisher::set_up(world).await;
    let mut rollouts = Vec::new();
    for (version, from, until) in [("1.1.0", 0, 50), ("1.2.0", 50, 100)] {
        let release = publisher.publish(world, version).await.id;
        let gate = serde_json::from_str(LIMITLESS).unwrap();
        let audience = json!({"kind": "split", "salt": "trial", "from": from, "until": until});
        let spec = spec(
            release,
            json!({"audience": audience, "phases": at_once(gate)}),
        );
        let made = world.fleet.create_rollout(&ann(), &spec, false).await;
        rollouts.push(made.unwrap());
    }
    rollouts.try_into().unwrap()
}

/// Lets a device take its offer and end so after some seconds; returns the rollout that it was offered.
async fn ends(world: &World, device: &mut TestDevice, sec: i64, end: AttemptState) -> i64 {
    let reply = device.check_in(&world.fleet).await;
    let Instruction::Install(offer) = reply.instruction else {
        panic!("{} is offered nothing", device.id)
    };
    world.pass_sec(sec);
    let why = (end != AttemptState::Succeeded).then_some("no network");
    device.report(&world.fleet, end, why).await;
    offer.rollout.0
}

fn record(records: &[ReleaseRecord], rollout: &Rollout) -> ReleaseRecord {
    let release = rollout.spec.release;
    let found = records.iter().find(|record| record.release == release);
    found.unwrap().clone()
}

each_database!(the_halves_of_a_split_are_compared, |database| {
    let world = &World::new(database).await;
    let mut devices = enroll_many(world, 40).await;
    let [first, second] = two_halves(world).await;
    let (mut good, mut bad) = (0, 0);
    for device in &mut devices {
        let reply = device.check_in(&world.fleet).await;
        let Instruction::Install(offer) = reply.instruction else {
            panic!("everybody is in a half")
        };
        if offer.rollout == first.id {
            good += 1;
            // 10 s, 20 s, 30 s …, each from its own offer.
            let sec = good * 10;
            world.pass_sec(sec);
            device
                .report(&world.fleet, AttemptState::Succeeded, None)
                .await;
        } else {
            bad += 1;
            let message = if bad % 3 == 0 {
                "too hot"
            } else {
                "no network"
            };
            device
                .report(&world.fleet, AttemptState::RolledBack, Some(message))
                .await;
        }
    }
    assert!(good >= 10 && bad >= 10, "{good} and {bad}");
    let releases = [first.spec.release, second.spec.release];
    let compared = world.fleet.compare_releases(&releases, None, &[]).await;
    let compared = compared.unwrap();
    let (won, lost) = (
        record(&compared.records, &first),
        record(&compared.records, &second),
    );
    assert_eq!(
        (won.finished, won.ends.succeeded),
        (good as u64, good as u64)
    );
    assert_eq!(
        (lost.finished, lost.ends.rolled_back),
        (bad as u64, bad as u64)
    );
    assert_eq!(
        (won.rollouts, lost.rollouts),
        (vec![first.id], vec![second.id])
    );
    let time = won.time_to_update.unwrap();
    let rank = |percent: i64| ((good * percent + 99) / 100 * 10) as u64;
    assert_eq!((time.median_sec, time.p90_sec), (rank(50), rank(90)));
    assert_eq!(lost.time_to_update, None);
    let reasons: Vec<_> = lost
        .rollback_reasons
        .iter()
        .map(|one| one.reason.as_str())
        .collect();
    assert_eq!(reasons, ["no network", "too hot"]);
    let pair = &compared.pairs[0];
    assert_eq!((pair.first, pair.second), (releases[0], releases[1]));
    assert!(pair.difference.unwrap().is_certain, "{pair:?}");

    let within = world
        .fleet
        .compare_releases(&releases, Some(&model("rpi4")), &[first.id])
        .await
        .unwrap();
    assert_eq!(within.records.len(), 1);
    let none = world
        .fleet
        .compare_releases(&releases, Some(&model("other")), &[])
        .await;
    assert_eq!(none.unwrap().records, []);
});

each_database!(what_does_not_exist_is_not_compared, |database| {
    let world = &World::new(database).await;
    let nobody = otter_protocol::ReleaseId(999);
    refuses_field(
        world.fleet.compare_releases(&[nobody], None, &[]).await,
        "releases",
    );
    refuses_field(
        world.fleet.compare_releases(&[], None, &[]).await,
        "releases",
    );
});

each_database!(only_attempts_to_update_count, |database| {
    let world = &World::new(database).await;
    let mut devices = enroll_many(world, 2).await;
    let [first, second] = two_halves(world).await;
    for device in &mut devices {
        ends(world, device, 5, AttemptState::Succeeded).await;
    }
    let database = world.database().await;
    let sql = "UPDATE attempts SET purpose = 'roll_back'";
    database.execute_unprepared(sql).await.unwrap();
    let releases = [first.spec.release, second.spec.release];
    let compared = world.fleet.compare_releases(&releases, None, &[]).await;
    assert_eq!(compared.unwrap().records, []);
});

each_database!(
    a_release_is_recommended_once_it_has_proved_itself,
    |database| {
        let world = &World::new(database).await;
        let mut devices = enroll_many(world, LEAST_ATTEMPTS as usize).await;
        let mut publisher = Publisher::set_up(world).await;
        let release = publisher.publish(world, "1.1.0").await.id;
        publisher.publish(world, "1.2.0").await;
        let all = spec(release, json!({"phases": at_once(json!({}))}));
        world
            .fleet
            .create_rollout(&ann(), &all, false)
            .await
            .unwrap();
        let (last, others) = devices.split_last_mut().unwrap();
        for device in others {
            ends(world, device, 60, AttemptState::Succeeded).await;
        }
        let before = world.fleet.recommended(None).await.unwrap();
        assert_eq!((before.len(), &before[0].recommended), (1, &None));
        let most = format!("1.1.0 has the most, {}", LEAST_ATTEMPTS - 1);
        assert!(before[0].reason.contains(&most), "{}", before[0].reason);

        ends(world, last, 60, AttemptState::Succeeded).await;
        let after = world
            .fleet
            .recommended(Some(&before[0].model))
            .await
            .unwrap();
        let record = after[0].recommended.as_ref().unwrap();
        assert_eq!((record.release, record.finished), (release, LEAST_ATTEMPTS));
        assert_eq!(record.time_to_update.unwrap().median_sec, 60);
        assert!(
            after[0].reason.contains("at least 88.6 %"),
            "{}",
            after[0].reason
        );

        let unknown = world
            .fleet
            .recommended(Some(&model("toaster")))
            .await
            .unwrap();
        assert_eq!(unknown[0].recommended, None);
        assert!(unknown[0].reason.contains("No published release fits"));
    }
);
