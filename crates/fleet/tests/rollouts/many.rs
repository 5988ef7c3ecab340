//! A fleet that takes several reads, counted and foreseen.

use sea_orm::ConnectionTrait as _;
use serde_json::json;

use crate::common::{World, each_database};
use crate::preview::{count, share};
use crate::world::{engine_looks, roll_out};

each_database!(a_fleet_of_many_reads_is_counted_whole, |database| {
    let world = &World::new(database).await;
    // More than two reads of 20,000, after one another and beside a model of few.
    let seed = "INSERT INTO devices (id, model, version, state, labels, metadata, conditions, public_key, enrolled_at, updated_at, last_seen_at)
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 41003)
        SELECT 'seeded-' || i, 'rpi4', CASE WHEN i % 10 = 0 THEN '1.1.0' ELSE '1.0.0' END, 'accepted', '{}', '{}', '{}', '', NOW, NOW, NULL FROM n";
    world
        .database()
        .await
        .execute_unprepared(&seed.replace("NOW", &world.now().0.to_string()))
        .await
        .unwrap();
    let rollout = roll_out(
        world,
        json!({"phases": [count(500), share(100.0, json!({}))]}),
    )
    .await;
    engine_looks(world).await;
    let detail = world.fleet.rollout(rollout.id).await.unwrap();
    let waiting: Vec<_> = detail
        .summary
        .progress
        .iter()
        .map(|one| one.tally.waiting)
        .collect();
    assert_eq!(waiting, [Some(500), Some(41_003 - 4100 - 500)]);
    let preview = world.fleet.preview_rollout(rollout.id).await.unwrap();
    assert_eq!((preview.devices, preview.on_it), (41_003, 4100));
    let left: Vec<u64> = preview.phases.iter().map(|phase| phase.left).collect();
    assert_eq!(left, [500, 41_003 - 4100 - 500]);
});
