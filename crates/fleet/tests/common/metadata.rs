//! The metadata files, read as devices do.

use otter_trust::{OnlineMetadata, verify_published};

use super::World;

pub async fn file(world: &World, name: &str) -> Vec<u8> {
    let bytes = world.fleet.trust_metadata(name).await.unwrap();
    bytes.unwrap_or_else(|| panic!("there is no {name}"))
}

/// Reads all metadata as a device that has seen none of it would, and verifies it.
pub async fn verify_as_device(world: &World, root: u64, targets: u64) {
    let root = file(world, &format!("{root}.root.json")).await;
    let timestamp = file(world, "timestamp.json").await;
    let named: serde_json::Value = serde_json::from_slice(&timestamp).unwrap();
    let snapshot = named["signed"]["meta"]["snapshot.json"]["version"]
        .as_u64()
        .unwrap();
    let snapshot = file(world, &format!("{snapshot}.snapshot.json")).await;
    let targets = file(world, &format!("{targets}.targets.json")).await;
    let online = OnlineMetadata {
        snapshot,
        timestamp,
    };
    verify_published(&root, &online, &targets, world.now().to_jiff()).unwrap();
}
