//! A publisher with keys that the server never sees.

use jiff::SignedDuration;
use otter_fleet::Fleet;
use otter_protocol::admin::{NewArtifact, NewRelease, OnlineKeys};
use otter_protocol::release::{Artifact, Release};
use otter_protocol::{ArtifactKind, Sha256Digest, Timestamp};
use otter_trust::{
    ArtifactFacts, Document, PublicKey, RoleKeys, Root, SecretKey, SignedArtifact, TargetsDocument,
};

use super::World;
use super::ann;
use super::devices::{MODEL, model};

pub const YEAR: SignedDuration = SignedDuration::from_hours(365 * 24);

pub fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32])
}

pub fn public(value: &serde_json::Value) -> PublicKey {
    serde_json::from_value(value.clone()).unwrap()
}

pub fn sign(mut document: Document, keys: &[&SecretKey]) -> Vec<u8> {
    for key in keys {
        document.sign(key).unwrap();
    }
    document.to_bytes().unwrap()
}

/// One root key, one targets key, and what is signed so far.
pub struct Publisher {
    pub root_key: SecretKey,
    pub targets_key: SecretKey,
    pub root: Root,
    pub targets: TargetsDocument,
    now: Timestamp,
}

impl Publisher {
    /// Makes the keys and a root for the server's own keys.
    pub fn new(now: Timestamp, online: &OnlineKeys) -> Self {
        let root = Root {
            version: 1,
            expires: now.to_jiff() + YEAR,
            root: RoleKeys::new([key(101).public()], 1),
            targets: RoleKeys::new([key(102).public()], 1),
            snapshot: RoleKeys::new([public(&online.snapshot)], 1),
            timestamp: RoleKeys::new([public(&online.timestamp)], 1),
        };
        Self {
            root_key: key(101),
            targets_key: key(102),
            root,
            targets: TargetsDocument::new(),
            now,
        }
    }

    /// Makes them, and sends the root.
    pub async fn set_up(world: &World) -> Self {
        let publisher = Self::new(world.now(), &world.fleet.online_keys().await.unwrap());
        world
            .fleet
            .put_root(&ann(), &publisher.signed_root())
            .await
            .unwrap();
        publisher
    }

    pub fn signed_root(&self) -> Vec<u8> {
        sign(self.root.to_document().unwrap(), &[&self.root_key])
    }

    /// Signs the targets as they are, as the next version.
    pub fn signed_targets(&self) -> Vec<u8> {
        sign(
            self.targets.finish(self.now.to_jiff(), YEAR).unwrap(),
            &[&self.targets_key],
        )
    }

    /// Adds a release's artifacts under the next counter.
    pub fn add(&mut self, release: &Release) {
        let counter = self.targets.next_release_counter().unwrap();
        for artifact in targets_of(release, counter) {
            self.targets.add(&artifact).unwrap();
        }
    }

    /// Signs and sends the targets, which become what the next ones begin with.
    pub async fn send(&mut self, fleet: &Fleet) -> Result<(), otter_fleet::Error> {
        let bytes = self.signed_targets();
        fleet.put_targets(&ann(), &bytes).await?;
        self.targets = TargetsDocument::parse(&bytes).unwrap();
        Ok(())
    }

    /// Uploads, drafts, signs and publishes a release.
    pub async fn publish(&mut self, world: &World, version: &str) -> Release {
        let draft = draft(world, version).await;
        self.add(&draft);
        self.send(&world.fleet).await.unwrap();
        world.fleet.release(draft.id).await.unwrap().release
    }
}

/// Returns what a publisher signs of a draft.
pub fn targets_of(release: &Release, counter: u64) -> Vec<SignedArtifact> {
    let facts = |artifact: &Artifact| ArtifactFacts {
        models: artifact.models.iter().map(ToString::to_string).collect(),
        version: release.version.to_string(),
        release_counter: counter,
        min_version: release.min_version.as_ref().map(ToString::to_string),
        min_bootloader_version: release
            .min_bootloader_version
            .as_ref()
            .map(ToString::to_string),
        kind: artifact.kind,
        required: release.required,
        notes: release.notes.clone(),
        downgrade_permitted: false,
    };
    let signed = |artifact: &Artifact| SignedArtifact {
        sha256: artifact.sha256,
        length: artifact.size,
        facts: facts(artifact),
    };
    release.artifacts.iter().map(signed).collect()
}

/// A release to make of bytes that were uploaded.
pub fn new_release(version: &str, sha256: Sha256Digest) -> NewRelease {
    NewRelease {
        version: version.into(),
        notes: "Fewer bugs, more otters.".to_owned(),
        min_version: Some("0.9.0".into()),
        min_bootloader_version: None,
        required: false,
        artifacts: vec![NewArtifact {
            sha256,
            kind: ArtifactKind::Bundle,
            models: vec![model(MODEL)],
        }],
    }
}

/// Uploads bytes that no other version has and makes a draft of them.
pub async fn draft(world: &World, version: &str) -> Release {
    let stored = world
        .upload(format!("the bytes of {version}").as_bytes())
        .await;
    world
        .fleet
        .create_release(&ann(), &new_release(version, stored.sha256))
        .await
        .unwrap()
}
