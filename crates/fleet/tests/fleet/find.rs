//! What is found by a part of its name.

use otter_protocol::admin::ImportDevice;
use otter_protocol::admin::Place;
use sea_orm::ConnectionTrait;
use serde_json::json;

use crate::common::devices::MODEL;
use crate::common::{World, ann, each_database};

async fn fill(world: &World) {
    let devices: Vec<_> = ["pump-1", "pump-2", "old-pump", "lamp"]
        .iter()
        .map(|id| {
            serde_json::from_value::<ImportDevice>(json!({"id": id, "model": MODEL})).unwrap()
        })
        .collect();
    let devices: Vec<_> = (1..).map(Place::Line).zip(devices).collect();
    world.fleet.import_devices(&ann(), &devices).await.unwrap();
    let database = world.database().await;
    for sql in [
        "INSERT INTO releases (id, version, notes, state, required, created_at, created_by) VALUES
            (7, '1.2.0', '', 'draft', false, 0, 'ann'), (8, '1.2.1-PUMP', '', 'draft', false, 0, 'ann'),
            (9, '3.0.0', '', 'draft', false, 0, 'ann')",
        "INSERT INTO rollouts (id, name, release_id, spec, state, current_phase, created_at, created_by) VALUES
            (7, 'Pumps of June', 7, '{}', 'completed', 0, 0, 'ann'), (8, 'July, all pumps', 7, '{}', 'aborted', 0, 0, 'ann'),
            (9, '50%_off', 7, '{}', 'aborted', 0, 0, 'ann')",
        // Far more than are looked at, and newer: what begins with a text is found behind them all the same.
        "INSERT INTO rollouts (id, name, release_id, spec, state, current_phase, created_at, created_by)
            WITH RECURSIVE n (i) AS (SELECT 100 UNION ALL SELECT i + 1 FROM n WHERE i < 2200)
            SELECT i, 'nightly', 7, '{}', 'completed', 0, 0, 'ann' FROM n",
    ] {
        database.execute_unprepared(sql).await.unwrap();
    }
}

each_database!(whatever_has_a_name_is_found_by_a_part_of_it, |database| {
    let world = &World::new(database).await;
    fill(world).await;
    let found = world.fleet.find(" pump ").await.unwrap();
    let devices: Vec<_> = found.devices.iter().map(|it| it.id.as_str()).collect();
    assert_eq!(devices, ["pump-1", "pump-2", "old-pump"]);
    let releases: Vec<_> = found.releases.iter().map(|it| it.id.0).collect();
    assert_eq!(releases, [8]);
    let rollouts: Vec<_> = found.rollouts.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(rollouts, ["Pumps of June"]);
    let found = world.fleet.find("PIL").await.unwrap();
    assert_eq!(found.groups.len(), 1);
    assert!(found.devices.is_empty());
});

each_database!(numbers_and_odd_texts_mean_themselves, |database| {
    let world = &World::new(database).await;
    fill(world).await;
    let found = world.fleet.find("#7").await.unwrap();
    assert_eq!(
        found.releases.iter().map(|it| it.id.0).collect::<Vec<_>>(),
        [7]
    );
    assert_eq!(
        found.rollouts.iter().map(|it| it.id.0).collect::<Vec<_>>(),
        [7]
    );
    let of = async |text: &str| world.fleet.find(text).await.unwrap();
    assert_eq!(of("50%_").await.rollouts.len(), 1);
    assert_eq!(of("1.2.").await.releases.len(), 2);
    assert_eq!(of("nightly").await.rollouts.len(), 6);
    let nothing = ["", "  ", "%", "'", "\0", "5_%", &"x".repeat(300)];
    for text in nothing {
        let found = of(text).await;
        let count = found.devices.len() + found.releases.len() + found.groups.len();
        let off = found
            .rollouts
            .iter()
            .filter(|it| it.name != "50%_off")
            .count();
        assert_eq!(count + off, 0, "{text:?}");
    }
});
