//! Pages of the device list by parts of ids.

use otter_protocol::admin::{DeviceFilter, ImportDevice, Place};
use sea_orm::ConnectionTrait;
use serde_json::json;

use crate::common::devices::MODEL;
use crate::common::{World, ann, each_database};

async fn register(world: &World, ids: &[&str]) {
    let device = |id: &&str| -> ImportDevice {
        serde_json::from_value(json!({"id": id, "model": MODEL})).unwrap()
    };
    let devices: Vec<_> = (1..).map(Place::Line).zip(ids.iter().map(device)).collect();
    let imported = world.fleet.import_devices(&ann(), &devices).await.unwrap();
    assert_eq!(imported.created, ids.len() as u64);
}

/// Follows the pages to the end; returns the ids in order, and how many pages there were.
async fn all(world: &World, filter: DeviceFilter) -> (Vec<String>, usize) {
    let mut filter = filter;
    let (mut ids, mut pages) = (Vec::new(), 0);
    loop {
        let page = world.fleet.devices(&filter).await.unwrap();
        assert!(page.items.len() <= filter.limit.unwrap_or(50) as usize);
        ids.extend(page.items.into_iter().map(|device| device.id.to_string()));
        pages += 1;
        assert!(pages < 1000, "the list has no end");
        if page.next.is_none() {
            return (ids, pages);
        }
        filter.cursor = page.next;
    }
}

fn search(part: &str, limit: u32) -> DeviceFilter {
    DeviceFilter {
        search: Some(part.to_owned()),
        limit: Some(limit),
        ..DeviceFilter::default()
    }
}

each_database!(
    ids_that_begin_with_it_come_first_at_any_page_length,
    |database| {
        let world = &World::new(database).await;
        register(
            world,
            &[
                "a-pump", "pump-2", "pump-1", "PUMP-3", "z-Pump-4", "pumq", "pum", "a_b", "axb",
            ],
        )
        .await;
        let expected = ["pump-1", "pump-2", "PUMP-3", "a-pump", "z-Pump-4"];
        for limit in 1..=6 {
            assert_eq!(
                all(world, search("pump", limit)).await.0,
                expected,
                "{limit}"
            );
        }
        for limit in 1..=3 {
            assert_eq!(
                all(world, search("p-", limit)).await.0,
                ["PUMP-3", "pump-1", "pump-2", "z-Pump-4"]
            );
        }
        assert_eq!(all(world, search("_", 1)).await.0, ["a_b"]);
        assert_eq!(all(world, search("a_b", 1)).await.0, ["a_b"]);
        let none = [
            "\"",
            "a\"b",
            "%",
            "\\",
            "nothing",
            "a\nb",
            "\0",
            &"x".repeat(200),
        ];
        for part in none {
            assert!(all(world, search(part, 1)).await.0.is_empty(), "{part:?}");
        }
    }
);

each_database!(
    a_long_list_is_walked_to_its_end_whatever_a_page_takes,
    |database| {
        let world = &World::new(database).await;
        let fill = "INSERT INTO devices (id, model, version, state, group_name, labels, metadata, conditions, public_key,
            enrolled_at, updated_at)
        WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 120000)
        SELECT 'd' || (100000 + i), CASE WHEN i % 2 = 0 THEN 'rpi4' ELSE 'esp32' END, '1.0.0', 'accepted', NULL,
            '{}', '{}', '{}', '', 0, 0 FROM n";
        world
            .database()
            .await
            .execute_unprepared(fill)
            .await
            .unwrap();
        register(world, &["d999-zz-1", "e-zz-2"]).await;
        // Neither begins with it, two characters are too few for an index, and they stand at the end.
        let found = all(world, search("zz", 50)).await.0;
        assert_eq!(found, ["d999-zz-1", "e-zz-2"]);
        // Many, but only from the middle of the list on.
        let (many, _) = all(world, search("200", 500)).await;
        let expected = (1..=120_000).filter(|i| (100_000 + i).to_string().contains("200"));
        assert_eq!(many.len(), expected.count());
        let mut of_model = search("21999", 4);
        of_model.model = Some(crate::common::devices::model("esp32"));
        let (found, _) = all(world, of_model).await;
        let expected = [
            "d121999", "d219991", "d219993", "d219995", "d219997", "d219999",
        ];
        let mut sorted = found.clone();
        sorted.sort();
        assert_eq!(sorted, expected);
    }
);
