//! Signs releases, and plays the server's part of signing.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use otter_protocol::check_in::{Offer, OfferedArtifact};
use otter_protocol::{ArtifactKind, AttemptId, ReleaseId, RolloutId, Sha256Digest};
use otter_trust::{
    ArtifactFacts, DelegatedRole, Delegation, Document, Lists, OnlineKeys, OnlineMetadata,
    RoleKeys, Root, SecretKey, SignedArtifact, TargetsDocument, renew,
};

use sha2::{Digest, Sha256};

use super::MODEL;
use super::pack::pack;

const YEAR: SignedDuration = SignedDuration::from_hours(365 * 24);

pub struct Publisher {
    root: Vec<u8>,
    targets: TargetsDocument,
    online: Option<OnlineMetadata>,
    keys: u8,
    /// The list of the team, where the publishers have one.
    list: Option<TargetsDocument>,
    delegated: BTreeMap<DelegatedRole, Vec<u8>>,
    pub targets_key: u8,
    /// The key that the root names for targets.
    pub honest_key: u8,
    /// Model that releases are signed for.
    pub model: String,
    /// Whether releases are signed as required.
    pub required: bool,
    /// What releases are, unless they are signed as something else.
    pub kind: ArtifactKind,
    /// When timestamp and snapshot were signed.
    pub now: Timestamp,
    /// Every file, by name.
    pub files: BTreeMap<String, Vec<u8>>,
}

/// A release, signed.
#[derive(Clone)]
pub struct Release {
    pub artifact: SignedArtifact,
    pub bytes: Vec<u8>,
}

impl Release {
    pub fn offer(&self, attempt: i32) -> Offer {
        Offer {
            attempt: AttemptId(attempt),
            attempt_uuid: uuid::Uuid::new_v4(),
            rollout: RolloutId(1),
            release: ReleaseId(self.artifact.facts.release_counter as i64),
            version: self.artifact.facts.version.as_str().into(),
            release_counter: self.artifact.facts.release_counter,
            required: self.artifact.facts.required,
            artifact: OfferedArtifact {
                sha256: self.artifact.sha256,
                size: self.artifact.length,
                kind: self.artifact.facts.kind,
                url: format!("/device/v1/artifacts/{}", self.artifact.sha256),
            },
        }
    }
}

/// The team's role.
pub const TEAM: &str = "team-a";
/// Seed of the team's key.
pub const TEAM_KEY: u8 = 90;

fn facts(
    models: &[&str],
    version: &str,
    release_counter: u64,
    kind: ArtifactKind,
) -> ArtifactFacts {
    ArtifactFacts {
        models: models.iter().map(ToString::to_string).collect(),
        version: version.to_owned(),
        release_counter,
        min_version: None,
        min_bootloader_version: None,
        kind,
        required: false,
        notes: String::new(),
        downgrade_permitted: false,
    }
}

pub fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32])
}

fn signed(mut document: Document, seed: u8) -> Vec<u8> {
    document.sign(&key(seed)).unwrap();
    document.to_bytes().unwrap()
}

/// Makes metadata name another file in the place of one, and signs it anew.
fn renamed(metadata: &[u8], name: &str, file: &[u8], seed: u8) -> Vec<u8> {
    let mut json: serde_json::Value = serde_json::from_slice(metadata).unwrap();
    let meta = &mut json["signed"]["meta"][name];
    meta["length"] = file.len().into();
    meta["hashes"] = serde_json::json!({"sha256": Sha256Digest::of(file)});
    json["signatures"] = serde_json::json!([]);
    let document = Document::parse(&serde_json::to_vec(&json).unwrap()).unwrap();
    signed(document, seed)
}

impl Publisher {
    pub fn new() -> Self {
        Self::with_keys(0)
    }

    /// Another publisher has other keys.
    pub fn with_keys(keys: u8) -> Self {
        let role = |seed| RoleKeys::new([key(keys + seed).public()], 1);
        let now = Timestamp::now();
        let root = Root {
            version: 1,
            expires: now + YEAR,
            root: role(1),
            targets: role(2),
            snapshot: role(3),
            timestamp: role(4),
        };
        let root = signed(root.to_document().unwrap(), keys + 1);
        let mut publisher = Self {
            files: BTreeMap::from([("1.root.json".to_owned(), root.clone())]),
            root,
            targets: TargetsDocument::new(),
            online: None,
            keys,
            list: None,
            delegated: BTreeMap::new(),
            targets_key: keys + 2,
            honest_key: keys + 2,
            model: MODEL.to_owned(),
            required: false,
            kind: ArtifactKind::Bundle,
            now,
        };
        publisher.publish();
        publisher
    }

    pub fn root(&self) -> &[u8] {
        &self.root
    }

    /// Makes the next root as somebody with these root keys can; it is followed where they are enough.
    pub fn rotate(&mut self, signers: &[u8], change: impl FnOnce(&mut Root)) {
        let mut root = Root::parse(&self.root)
            .unwrap()
            .next(Timestamp::now(), YEAR)
            .unwrap();
        change(&mut root);
        let mut document = root.to_document().unwrap();
        for signer in signers {
            document.sign(&key(*signer)).unwrap();
        }
        self.root = document.to_bytes().unwrap();
        let name = format!("{}.root.json", root.version);
        self.files.insert(name, self.root.clone());
    }

    /// Withdraws a release, for good.
    pub fn withdraw(&mut self, release: &Release, reason: &str) {
        self.targets
            .withdraw(&release.artifact.name(), reason)
            .unwrap();
        self.publish();
    }

    /// Permits devices to go back to a release.
    pub fn permit_downgrade(&mut self, release: &Release) {
        self.targets
            .permit_downgrade(&release.artifact.name(), true)
            .unwrap();
        self.publish();
    }

    /// Gives models to the team, or takes them all back; its key has this seed.
    pub fn delegate(&mut self, models: &[&str], key_seed: u8) {
        let role = DelegatedRole::new(TEAM).unwrap();
        let mut all = self.targets.delegations().unwrap();
        all.0.remove(&role);
        if !models.is_empty() {
            let delegation = Delegation {
                models: models.iter().map(ToString::to_string).collect(),
                keys: RoleKeys::new([key(key_seed).public()], 1),
            };
            all.0.insert(role.clone(), delegation);
        }
        self.targets.set_delegations(&all).unwrap();
        self.publish();
        self.list
            .get_or_insert_with(|| TargetsDocument::delegated(role));
    }

    /// Has the team sign a folder as a release for these models, whether they were given to it or not.
    pub fn team_release(&mut self, version: &str, folder: &Path, models: &[&str]) -> Release {
        self.team_release_until(version, folder, models, Timestamp::now() + YEAR)
    }

    /// The same, on a list that ends at another time.
    pub fn team_release_until(
        &mut self,
        version: &str,
        folder: &Path,
        models: &[&str],
        end: Timestamp,
    ) -> Release {
        let mut bytes = Vec::new();
        pack(folder, &mut bytes).unwrap();
        let list = self.list.as_mut().unwrap();
        list.know_counter(self.targets.last_counter().unwrap())
            .unwrap();
        let counter = list.next_release_counter().unwrap();
        let (sha256, length) = (Sha256Digest::of(&bytes), bytes.len() as u64);
        let facts = facts(models, version, counter, self.kind);
        let artifact = SignedArtifact {
            sha256,
            length,
            facts,
        };
        list.add(&artifact).unwrap();
        self.sign_list(end);
        Release { artifact, bytes }
    }

    /// Has the team sign its list with its key, as it is.
    pub fn sign_list(&mut self, end: Timestamp) {
        let list = self.list.as_ref().unwrap();
        let begin = end - YEAR;
        let document = list.finish(begin, YEAR).unwrap();
        let bytes = signed(document, TEAM_KEY);
        let list = TargetsDocument::parse(&bytes).unwrap();
        let role = list.role().unwrap().clone();
        self.files
            .insert(role.file_name(list.version()), bytes.clone());
        self.delegated.insert(role, bytes);
        self.list = Some(list);
        self.publish();
    }

    /// Changes the timestamp as a thief of the server's key can.
    pub fn forge_timestamp(&mut self, change: impl FnOnce(&mut serde_json::Value)) {
        let bytes = self.files.get("timestamp.json").unwrap();
        let mut json: serde_json::Value = serde_json::from_slice(bytes).unwrap();
        change(&mut json["signed"]);
        json["signatures"] = serde_json::json!([]);
        let document = Document::parse(&serde_json::to_vec(&json).unwrap()).unwrap();
        self.files
            .insert("timestamp.json".to_owned(), signed(document, self.keys + 4));
    }

    /// Signs a folder as a release.
    pub fn release(&mut self, version: &str, folder: &Path) -> Release {
        let mut bytes = Vec::new();
        pack(folder, &mut bytes).unwrap();
        self.release_bytes(version, bytes)
    }

    /// Signs any bytes as a release that is a bundle.
    pub fn release_bytes(&mut self, version: &str, bytes: Vec<u8>) -> Release {
        self.release_of(self.kind, version, bytes)
    }

    /// Signs any bytes as a release of a kind.
    pub fn release_of(&mut self, kind: ArtifactKind, version: &str, bytes: Vec<u8>) -> Release {
        let artifact = self.sign(kind, version, Sha256Digest::of(&bytes), bytes.len() as u64);
        Release { artifact, bytes }
    }

    /// Signs so many bytes of the server's one block, which nobody has to hold in memory.
    pub fn release_of_blocks(&mut self, kind: ArtifactKind, version: &str, length: u64) -> Release {
        let block = super::server::block();
        let mut hasher = Sha256::new();
        for _ in 0..length / block.len() as u64 {
            hasher.update(&block);
        }
        let sha256 = Sha256Digest(hasher.finalize().into());
        Release {
            artifact: self.sign(kind, version, sha256, length),
            bytes: Vec::new(),
        }
    }

    fn sign(
        &mut self,
        kind: ArtifactKind,
        version: &str,
        sha256: Sha256Digest,
        length: u64,
    ) -> SignedArtifact {
        let counter = self.next_counter();
        let artifact = SignedArtifact {
            sha256,
            length,
            facts: ArtifactFacts {
                required: self.required,
                ..facts(&[&self.model], version, counter, kind)
            },
        };
        self.targets.add(&artifact).unwrap();
        self.publish();
        artifact
    }

    /// Returns the counter after all that were given, by whomever.
    fn next_counter(&mut self) -> u64 {
        if let Some(list) = &self.list {
            self.targets
                .know_counter(list.last_counter().unwrap())
                .unwrap();
        }
        self.targets.next_release_counter().unwrap()
    }

    /// Returns all that is signed by hand, the team's list with it.
    fn lists(&self, targets: &[u8]) -> Lists {
        Lists {
            targets: targets.to_vec(),
            delegated: self.delegated.clone(),
        }
    }

    /// Signs targets with the key that this publisher has, then snapshot and timestamp.
    pub fn publish(&mut self) {
        let document = self.targets.finish(Timestamp::now(), YEAR).unwrap();
        let name = format!("{}.targets.json", document.version().unwrap());
        let honest = signed(document.clone(), self.honest_key);
        let targets = signed(document, self.targets_key);
        self.targets = TargetsDocument::parse(&honest).unwrap();
        let keys = OnlineKeys {
            snapshot: vec![key(self.keys + 3)],
            timestamp: vec![key(self.keys + 4)],
        };
        let lists = self.lists(&honest);
        let mut online = renew(&self.root, &lists, self.online.as_ref(), &keys, self.now).unwrap();
        if targets != honest {
            // A thief of the server's keys makes the rest fit what the thief signed.
            let (snapshot, timestamp) = (self.keys + 3, self.keys + 4);
            online.snapshot = renamed(&online.snapshot, "targets.json", &targets, snapshot);
            online.timestamp = renamed(
                &online.timestamp,
                "snapshot.json",
                &online.snapshot,
                timestamp,
            );
        }
        let snapshot = format!("{}.snapshot.json", online.snapshot_version().unwrap());
        self.files.insert(name, targets);
        self.files.insert(snapshot, online.snapshot.clone());
        self.files
            .insert("timestamp.json".to_owned(), online.timestamp.clone());
        self.online = Some(online);
    }
}
