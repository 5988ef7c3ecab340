//! A publisher, a server and a device's view of them, small enough to read at once.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "only tests stand here, and each takes what it needs"
)]

pub mod python;
pub mod thief;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

use jiff::{SignedDuration, Timestamp};
use otter_protocol::{ArtifactKind, Sha256Digest};
use otter_trust::{
    ArtifactFacts, DelegatedRole, Delegation, Document, Lists, MemoryStore, MetadataSource,
    OnlineKeys, OnlineMetadata, PublicKey, Role, RoleKeys, Root, SecretKey, SignedArtifact,
    SourceError, TargetsDocument, TrustError, Trusted, Verifier, renew,
};

pub const YEAR: SignedDuration = SignedDuration::from_hours(365 * 24);
pub const MODEL: &str = "rpi4";

pub fn start() -> Timestamp {
    "2030-01-01T00:00:00Z".parse().unwrap()
}

pub fn later(hours: i64) -> Timestamp {
    start() + SignedDuration::from_hours(hours)
}

pub fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32])
}

pub fn publics(seeds: &[u8]) -> Vec<PublicKey> {
    seeds.iter().map(|seed| key(*seed).public()).collect()
}

pub fn artifact(release_counter: u64, bytes: &[u8]) -> SignedArtifact {
    SignedArtifact {
        sha256: Sha256Digest::of(bytes),
        length: bytes.len() as u64,
        facts: ArtifactFacts {
            models: vec![MODEL.to_owned()],
            version: format!("1.{release_counter}.0"),
            release_counter,
            min_version: None,
            min_bootloader_version: None,
            kind: ArtifactKind::Bundle,
            required: false,
            notes: "Fewer bugs, more otters — \"quoted\" \\ and\nbroken".to_owned(),
            downgrade_permitted: false,
        },
    }
}

/// Polls a future that never waits.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    match future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("nothing here waits"),
    }
}

/// The publishers' side and an honest server's, with the seeds of their keys.
pub struct Repository {
    pub root: Root,
    pub root_signers: Vec<u8>,
    pub targets_signers: Vec<u8>,
    pub snapshot_signers: Vec<u8>,
    pub timestamp_signers: Vec<u8>,
    pub targets: TargetsDocument,
    pub online: Option<OnlineMetadata>,
    pub current_root: Vec<u8>,
    pub current_targets: Vec<u8>,
    /// The newest list of each role that was ever delegated to.
    pub delegated: BTreeMap<DelegatedRole, Vec<u8>>,
    /// Every file ever published, by name; `timestamp.json` is the newest.
    pub files: BTreeMap<String, Vec<u8>>,
}

impl Repository {
    /// Two of three root keys, two of three targets keys, one key each of the server's; one release.
    pub fn new() -> Self {
        let root = Root {
            version: 1,
            expires: start() + YEAR,
            root: RoleKeys::new(publics(&[1, 2, 3]), 2),
            targets: RoleKeys::new(publics(&[4, 5, 6]), 2),
            snapshot: RoleKeys::new(publics(&[7]), 1),
            timestamp: RoleKeys::new(publics(&[8]), 1),
        };
        let mut repository = Self {
            root,
            root_signers: vec![1, 2],
            targets_signers: vec![4, 6],
            snapshot_signers: vec![7],
            timestamp_signers: vec![8],
            targets: TargetsDocument::new(),
            online: None,
            current_root: Vec::new(),
            current_targets: Vec::new(),
            delegated: BTreeMap::new(),
            files: BTreeMap::new(),
        };
        repository.publish_root();
        repository.release(b"release 1");
        repository.publish(start());
        repository
    }

    pub fn publish_root(&mut self) {
        let document = self.root.to_document().unwrap();
        self.current_root = signed(document, &self.root_signers);
        let name = Role::Root.file_name(self.root.version);
        self.files.insert(name, self.current_root.clone());
    }

    /// Begins the next root, has it changed, and signs it with the old signers and `and`.
    pub fn rotate(&mut self, and: &[u8], change: impl FnOnce(&mut Root)) {
        self.root = self.root.next(start(), YEAR).unwrap();
        change(&mut self.root);
        self.root_signers.extend_from_slice(and);
        self.publish_root();
    }

    /// Signs one more release of these bytes; not yet visible to devices.
    pub fn release(&mut self, bytes: &[u8]) -> SignedArtifact {
        let counter = self.targets.next_release_counter().unwrap();
        let artifact = artifact(counter, bytes);
        self.targets.add(&artifact).unwrap();
        self.sign_targets();
        artifact
    }

    pub fn sign_targets(&mut self) {
        let document = self.targets.finish(start(), YEAR).unwrap();
        let version = document.version().unwrap();
        self.current_targets = signed(document, &self.targets_signers);
        self.targets = TargetsDocument::parse(&self.current_targets).unwrap();
        let name = Role::Targets.file_name(version);
        self.files.insert(name, self.current_targets.clone());
    }

    /// Gives models to a role whose keys have these seeds; two of the targets keys sign it.
    pub fn delegate(&mut self, role: &str, models: &[&str], seeds: &[u8], threshold: usize) {
        let mut all = self.targets.delegations().unwrap();
        let delegation = Delegation {
            models: models.iter().map(ToString::to_string).collect(),
            keys: RoleKeys::new(publics(seeds), threshold),
        };
        all.0.insert(DelegatedRole::new(role).unwrap(), delegation);
        all.check(&self.root).unwrap();
        self.targets.set_delegations(&all).unwrap();
        self.sign_targets();
    }

    /// Takes back what was given to a role.
    pub fn take_back(&mut self, role: &str) {
        let mut all = self.targets.delegations().unwrap();
        all.0.remove(&DelegatedRole::new(role).unwrap()).unwrap();
        self.targets.set_delegations(&all).unwrap();
        self.sign_targets();
    }

    /// Returns a role's list as it is published, or one to begin with.
    pub fn list(&self, role: &str) -> TargetsDocument {
        let role = DelegatedRole::new(role).unwrap();
        match self.delegated.get(&role) {
            Some(bytes) => TargetsDocument::parse(bytes).unwrap(),
            None => TargetsDocument::delegated(role),
        }
    }

    /// Has a role sign one more release of these bytes for these models; not yet visible to devices.
    pub fn team_release(
        &mut self,
        role: &str,
        models: &[&str],
        bytes: &[u8],
        seeds: &[u8],
    ) -> SignedArtifact {
        let mut list = self.list(role);
        for other in std::iter::once(&self.targets).chain(&self.lists_of_others()) {
            list.know_counter(other.last_counter().unwrap()).unwrap();
        }
        let mut artifact = artifact(list.next_release_counter().unwrap(), bytes);
        artifact.facts.models = models.iter().map(ToString::to_string).collect();
        list.add(&artifact).unwrap();
        self.sign_list(&list, seeds);
        artifact
    }

    fn lists_of_others(&self) -> Vec<TargetsDocument> {
        let all = self.delegated.values();
        all.map(|bytes| TargetsDocument::parse(bytes).unwrap())
            .collect()
    }

    /// Signs a role's list as its next version.
    pub fn sign_list(&mut self, list: &TargetsDocument, seeds: &[u8]) {
        let document = list.finish(start(), YEAR).unwrap();
        let role = list.role().unwrap().clone();
        let name = role.file_name(document.version().unwrap());
        let bytes = signed(document, seeds);
        self.files.insert(name, bytes.clone());
        self.delegated.insert(role, bytes);
    }

    pub fn lists(&self) -> Lists {
        Lists {
            targets: self.current_targets.clone(),
            delegated: self.delegated.clone(),
        }
    }

    pub fn online_keys(&self) -> OnlineKeys {
        OnlineKeys {
            snapshot: self
                .snapshot_signers
                .iter()
                .map(|seed| key(*seed))
                .collect(),
            timestamp: self
                .timestamp_signers
                .iter()
                .map(|seed| key(*seed))
                .collect(),
        }
    }

    /// Renews snapshot and timestamp over the current targets.
    pub fn publish(&mut self, now: Timestamp) {
        let online = renew(
            &self.current_root,
            &self.lists(),
            self.online.as_ref(),
            &self.online_keys(),
            now,
        )
        .unwrap();
        let name = Role::Snapshot.file_name(online.snapshot_version().unwrap());
        self.files.insert(name, online.snapshot.clone());
        self.files
            .insert("timestamp.json".to_owned(), online.timestamp.clone());
        self.online = Some(online);
    }

    pub fn source(&self) -> Source {
        Source::new(self.files.clone())
    }

    /// A device with this repository's current root in its image, refreshed at the start.
    pub fn device(&self) -> Verifier<MemoryStore> {
        self.device_at(start())
    }

    /// The same, refreshed at another time.
    pub fn device_at(&self, now: Timestamp) -> Verifier<MemoryStore> {
        let mut device = Verifier::open(MemoryStore::default(), Some(&self.current_root)).unwrap();
        refresh(&mut device, &self.source(), now).unwrap();
        device
    }
}

/// Signs with the keys of these seeds, one after another, as people with files would.
pub fn signed(document: Document, seeds: &[u8]) -> Vec<u8> {
    let mut bytes = document.to_bytes().unwrap();
    for seed in seeds {
        let mut document = Document::parse(&bytes).unwrap();
        document.sign(&key(*seed)).unwrap();
        bytes = document.to_bytes().unwrap();
    }
    bytes
}

/// Changes what a file says and signs it anew: what a thief of these keys can do.
pub fn forged(bytes: &[u8], seeds: &[u8], change: impl FnOnce(&mut serde_json::Value)) -> Vec<u8> {
    let mut file: serde_json::Value = serde_json::from_slice(bytes).unwrap();
    change(&mut file["signed"]);
    file["signatures"] = serde_json::json!([]);
    let bytes = serde_json::to_vec(&file).unwrap();
    signed(Document::parse(&bytes).unwrap(), seeds)
}

/// A server that answers with whatever files it was given, and remembers what was asked.
pub struct Source {
    pub files: BTreeMap<String, Vec<u8>>,
    pub asked: Mutex<Vec<String>>,
    /// Whether it heeds the length limit, as an honest client library would.
    pub honest_about_length: bool,
}

impl Source {
    pub fn new(files: BTreeMap<String, Vec<u8>>) -> Self {
        Self {
            files,
            asked: Mutex::default(),
            honest_about_length: true,
        }
    }

    pub fn with(mut self, name: impl Into<String>, bytes: Vec<u8>) -> Self {
        self.files.insert(name.into(), bytes);
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.files.remove(name);
        self
    }

    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl MetadataSource for Source {
    async fn fetch(&self, name: &str, max_len: u64) -> Result<Option<Vec<u8>>, SourceError> {
        self.asked.lock().unwrap().push(name.to_owned());
        match self.files.get(name) {
            Some(bytes) if self.honest_about_length && bytes.len() as u64 > max_len => {
                Err(SourceError::TooLarge)
            }
            other => Ok(other.cloned()),
        }
    }
}

pub fn refresh<S: otter_trust::TrustStore>(
    device: &mut Verifier<S>,
    source: &Source,
    now: Timestamp,
) -> Result<Trusted, TrustError> {
    block_on(device.refresh(source, now))
}

/// Asks what may be installed, of a server that has nothing more to tell.
pub fn judge<S: otter_trust::TrustStore>(
    device: &mut Verifier<S>,
    name: &str,
    model: &str,
    installed: u64,
    now: Timestamp,
) -> Result<SignedArtifact, TrustError> {
    let nothing = Source::new(BTreeMap::new());
    block_on(device.artifact(&nothing, name, model, installed, now))
}

/// A store whose disk can fail, and that counts its saves.
#[derive(Default)]
pub struct FlakyStore {
    pub inner: MemoryStore,
    pub saves: RefCell<Vec<String>>,
    pub broken: bool,
}

impl otter_trust::TrustStore for FlakyStore {
    fn load(&self, name: &str) -> std::io::Result<Option<Vec<u8>>> {
        self.inner.load(name)
    }

    fn save(&mut self, name: &str, bytes: &[u8]) -> std::io::Result<()> {
        if self.broken {
            return Err(std::io::ErrorKind::StorageFull.into());
        }
        self.saves.borrow_mut().push(name.to_owned());
        self.inner.save(name, bytes)
    }
}
