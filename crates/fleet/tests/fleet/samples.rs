//! What the fleet ran when, how many devices check in, and which need a person.

use otter_protocol::admin::{ImportDevice, Place};
use otter_protocol::timeline::{Span, Timeline};
use sea_orm::ConnectionTrait;
use serde_json::json;

use crate::common::devices::MODEL;
use crate::common::{World, ann, each_database};

const HOUR: i64 = 3600;

async fn fill(world: &World, ids: &[&str]) {
    let device = |id: &&str| {
        serde_json::from_value::<ImportDevice>(json!({"id": id, "model": MODEL})).unwrap()
    };
    let devices: Vec<_> = (1..).map(Place::Line).zip(ids.iter().map(device)).collect();
    world.fleet.import_devices(&ann(), &devices).await.unwrap();
    run(
        world,
        "UPDATE devices SET state = 'accepted', version = '1.0.0'",
    )
    .await;
}

async fn run(world: &World, sql: &str) {
    let database = world.database().await;
    database.execute_unprepared(sql).await.unwrap();
}

/// Takes a sample each minute for some hours, at the clock's pace.
async fn pass_hours(world: &World, hours: i64, every_sec: i64) {
    for _ in 0..hours * HOUR / every_sec {
        world.pass_sec(every_sec);
        world.fleet.take_sample().await.unwrap();
    }
}

async fn rows(world: &World) -> usize {
    world
        .texts("SELECT counts FROM version_samples")
        .await
        .len()
}

fn counts(timeline: &Timeline) -> Vec<(String, Vec<u64>)> {
    let of = |place: usize| {
        let devices = timeline.samples.iter();
        devices
            .filter_map(|sample| sample.devices.get(place).copied())
            .collect()
    };
    let names = timeline.versions.iter().map(ToString::to_string);
    names
        .enumerate()
        .map(|(place, name)| (name, of(place)))
        .collect()
}

each_database!(a_timeline_shows_what_ran_when, |database| {
    let world = &World::new(database).await;
    fill(world, &["a", "b", "c"]).await;
    let nothing = world.fleet.timeline(Span::Day).await.unwrap();
    assert!(nothing.samples.is_empty() && nothing.versions.is_empty());
    world.fleet.take_sample().await.unwrap();
    // Twice in a minute is once.
    world.fleet.take_sample().await.unwrap();
    assert_eq!(rows(world).await, 1);
    // A count takes its time, and the next waits a hundred times as long.
    world.pass_sec(20 * 60);
    run(
        world,
        "UPDATE devices SET version = '1.10.0' WHERE id <> 'a'",
    )
    .await;
    world.fleet.take_sample().await.unwrap();
    world.pass_sec(20 * 60);
    run(world, "UPDATE devices SET version = '1.9.0' WHERE id = 'a'").await;
    run(
        world,
        "UPDATE devices SET state = 'decommissioned' WHERE id = 'c'",
    )
    .await;
    world.fleet.take_sample().await.unwrap();
    let timeline = world.fleet.timeline(Span::Hour).await.unwrap();
    assert_eq!(
        counts(&timeline),
        [
            ("1.0.0".to_owned(), vec![3, 1, 0]),
            ("1.9.0".to_owned(), vec![0, 0, 1]),
            ("1.10.0".to_owned(), vec![0, 2, 1]),
        ]
    );
    assert_eq!(timeline.until.0 - timeline.samples[0].at.0, 40 * 60 * 1000);
    // A week is told by fewer samples, and by the newest.
    let week = world.fleet.timeline(Span::Week).await.unwrap();
    assert_eq!(week.samples.len(), 2);
    assert_eq!(week.samples[1].total(), 2);
});

each_database!(old_samples_are_let_go_the_finer_the_sooner, |database| {
    let world = &World::new(database).await;
    fill(world, &["a"]).await;
    pass_hours(world, 3, 120).await;
    let minutes = rows(world).await;
    // An hour by two minutes and a little more, and the quarters of the hours before.
    assert!((30..=32 + 12).contains(&minutes), "{minutes}");
    pass_hours(world, 70 * 24, 4 * HOUR).await;
    let kept = rows(world).await;
    // Thirty days by eight hours and two more, and of the last week what lies halfway between.
    assert!((90 + 21..=93 + 22).contains(&kept), "{kept}");
    let month = world.fleet.timeline(Span::Month).await.unwrap();
    assert!(
        (90..=92).contains(&month.samples.len()),
        "{}",
        month.samples.len()
    );
    assert!(month.samples.windows(2).all(|pair| pair[0].at < pair[1].at));
});

each_database!(one_server_counts_at_a_time, |database| {
    let world = &World::new(database).await;
    fill(world, &["a"]).await;
    let other = world.another_server().await;
    world.fleet.take_sample().await.unwrap();
    world.pass_sec(60);
    other.take_sample().await.unwrap();
    assert_eq!(rows(world).await, 1);
    // The first one fell silent; its lease ends.
    world.pass_sec(300);
    other.take_sample().await.unwrap();
    assert_eq!(rows(world).await, 2);
});

each_database!(devices_that_fail_or_fall_silent_need_a_person, |database| {
    let world = &World::new(database).await;
    fill(world, &["a", "b", "c", "d", "gone"]).await;
    let quiet = world.fleet.attention().await.unwrap();
    assert_eq!((quiet.failing_count, quiet.silent_count), (0, 0));
    run(
        world,
        "UPDATE devices SET failures_in_row = 1 WHERE id = 'a'",
    )
    .await;
    run(
        world,
        "UPDATE devices SET failures_in_row = 3 WHERE id IN ('b', 'gone')",
    )
    .await;
    run(
        world,
        "UPDATE devices SET state = 'decommissioned' WHERE id = 'gone'",
    )
    .await;
    let now = world.now().0;
    for (ids, ago) in [
        ("'c'", 2 * 86_400),
        ("'d', 'gone'", 3 * 86_400),
        ("'a'", 3600),
    ] {
        let seen = now - ago * 1000;
        run(
            world,
            &format!("UPDATE devices SET last_seen_at = {seen} WHERE id IN ({ids})"),
        )
        .await;
    }
    let found = world.fleet.attention().await.unwrap();
    let failing: Vec<_> = found
        .failing
        .iter()
        .map(|it| (it.id.as_str(), it.failures))
        .collect();
    assert_eq!(failing, [("b", 3), ("a", 1)]);
    let silent: Vec<_> = found.silent.iter().map(|it| it.id.as_str()).collect();
    assert_eq!(silent, ["c", "d"]);
    assert_eq!((found.failing_count, found.silent_count), (2, 2));
});
