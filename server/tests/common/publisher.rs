//! A publisher with keys of his own, as `otter` is one.

use jiff::SignedDuration;
use otter_protocol::admin::OnlineKeys;
use otter_protocol::release::Release;
use otter_protocol::{ArtifactKind, ReleaseId, Sha256Digest};
use otter_trust::{
    ArtifactFacts, Document, PublicKey, RoleKeys, Root, SecretKey, SignedArtifact, TargetsDocument,
    Timestamp,
};
use serde_json::{Value, json};

use super::{Answer, MODEL, TestApp};

const LIFE: SignedDuration = SignedDuration::from_hours(365 * 24);

/// A publisher whose root the server has.
pub struct Publisher {
    pub root_key: SecretKey,
    pub targets_key: SecretKey,
    pub targets: TargetsDocument,
}

impl Publisher {
    pub async fn new(app: &TestApp) -> Self {
        let publisher = Self {
            root_key: SecretKey::generate().unwrap(),
            targets_key: SecretKey::generate().unwrap(),
            targets: TargetsDocument::new(),
        };
        let root = publisher.root(app).await;
        app.admin()
            .put_bytes("/api/v1/trust/root", root)
            .await
            .expect_status(200);
        publisher
    }

    /// The first root, signed.
    pub async fn root(&self, app: &TestApp) -> Vec<u8> {
        let online: OnlineKeys = app
            .viewer()
            .get("/api/v1/trust/online-keys")
            .await
            .expect(200);
        let key_of = |value: Value| serde_json::from_value::<PublicKey>(value).unwrap();
        let root = Root {
            version: 1,
            expires: Timestamp::now() + LIFE,
            root: RoleKeys::new([self.root_key.public()], 1),
            targets: RoleKeys::new([self.targets_key.public()], 1),
            snapshot: RoleKeys::new([key_of(online.snapshot)], 1),
            timestamp: RoleKeys::new([key_of(online.timestamp)], 1),
        };
        signed(root.to_document().unwrap(), &self.root_key)
    }

    /// Uploads and drafts a release, unsigned.
    pub async fn draft(&self, app: &TestApp, version: &str, bytes: &[u8]) -> Release {
        upload(app, bytes).await;
        app.operator()
            .post("/api/v1/releases", &new_release(version, bytes))
            .await
            .expect(201)
    }

    /// Signs an artifact, with the targets before it, and sends that.
    pub async fn sign(&mut self, app: &TestApp, version: &str, bytes: &[u8]) -> Answer {
        let counter = self.targets.next_release_counter().unwrap();
        self.send(app, &signed_artifact(version, counter, bytes))
            .await
    }

    /// Signs this and sends it; what the server takes is what the next builds on.
    pub async fn send(&mut self, app: &TestApp, artifact: &SignedArtifact) -> Answer {
        let bytes = self.signed_with(artifact);
        let answer = app
            .operator()
            .put_bytes("/api/v1/trust/targets", bytes.clone())
            .await;
        if answer.status.is_success() {
            self.targets = TargetsDocument::parse(&bytes).unwrap();
        }
        answer
    }

    /// Signs this, with the targets before it.
    pub fn signed_with(&self, artifact: &SignedArtifact) -> Vec<u8> {
        self.signed_after(|targets| targets.add(artifact).unwrap())
    }

    /// Signs the targets as a change leaves them.
    pub fn signed_after(&self, change: impl FnOnce(&mut TargetsDocument)) -> Vec<u8> {
        let mut targets = self.targets.clone();
        change(&mut targets);
        signed(
            targets.finish(Timestamp::now(), LIFE).unwrap(),
            &self.targets_key,
        )
    }

    /// Uploads, drafts, signs and so publishes a release.
    pub async fn publish(&mut self, app: &TestApp, version: &str, bytes: &[u8]) -> ReleaseId {
        let draft = self.draft(app, version, bytes).await;
        self.sign(app, version, bytes).await.expect_status(200);
        draft.id
    }

    /// Publishes a release and offers it to everybody at once.
    pub async fn roll_out(&mut self, app: &TestApp, version: &str, bytes: &[u8]) -> i64 {
        let release = self.publish(app, version, bytes).await;
        let spec = json!({
            "name": format!("to {version}"), "release": release, "max_attempts": 1,
            "phases": [{"name": "all", "scope": {"kind": "share", "share": 100}, "gate": {}}],
        });
        let rollout: Value = app
            .operator()
            .post("/api/v1/rollouts", &spec)
            .await
            .expect(201);
        rollout["id"].as_i64().unwrap()
    }
}

async fn upload(app: &TestApp, bytes: &[u8]) {
    let path = format!("/api/v1/artifacts/{}", Sha256Digest::of(bytes));
    let answer = app.operator().put_bytes(&path, bytes).await;
    assert!(answer.status.is_success(), "{}", answer.text());
}

/// What drafts a release of bytes that were uploaded.
pub fn new_release(version: &str, bytes: &[u8]) -> Value {
    let artifact = json!({"sha256": Sha256Digest::of(bytes), "kind": "bundle", "models": [MODEL]});
    json!({"version": version, "artifacts": [artifact]})
}

/// What a publisher signs for bytes.
pub fn signed_artifact(version: &str, release_counter: u64, bytes: &[u8]) -> SignedArtifact {
    SignedArtifact {
        sha256: Sha256Digest::of(bytes),
        length: bytes.len() as u64,
        facts: ArtifactFacts {
            models: vec![MODEL.to_owned()],
            version: version.to_owned(),
            release_counter,
            min_version: None,
            min_bootloader_version: None,
            kind: ArtifactKind::Bundle,
            required: false,
            notes: String::new(),
            downgrade_permitted: false,
        },
    }
}

fn signed(mut document: Document, key: &SecretKey) -> Vec<u8> {
    document.sign(key).unwrap();
    document.to_bytes().unwrap()
}
