//! The publishers' side of the server: artifacts, drafts, signed metadata.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, put};
use axum::{Json, Router};
use otter_protocol::admin::{NewRelease, TrustStatus};
use otter_protocol::release::{Artifact, Release, ReleaseState};
use otter_protocol::{ProblemCode, ReleaseId, Sha256Digest, Timestamp};
use otter_trust::{
    Lists, OnlineKeys, OnlineMetadata, Role, SecretKey, SignedArtifact, TargetsDocument, renew,
    verify_root, verify_root_chain, verify_targets,
};
use serde_json::{Value, json};

use super::{Answer, Refusal, Shared, World, lock};

/// What publishers brought.
pub struct Publishing {
    pub artifacts: BTreeMap<String, Vec<u8>>,
    /// How many bytes came up the line.
    pub uploads: usize,
    pub releases: Vec<Release>,
    /// Metadata by its file name.
    pub files: BTreeMap<String, Vec<u8>>,
    pub root: Option<Vec<u8>>,
    pub targets: Option<Vec<u8>>,
    online: Option<OnlineMetadata>,
    keys: OnlineKeys,
    /// Publishes once just before somebody else does.
    pub rival: Option<SecretKey>,
}

impl Default for Publishing {
    fn default() -> Self {
        Self {
            artifacts: BTreeMap::new(),
            uploads: 0,
            releases: Vec::new(),
            files: BTreeMap::new(),
            root: None,
            targets: None,
            online: None,
            keys: OnlineKeys {
                snapshot: vec![SecretKey::from_seed(&[7; 32])],
                timestamp: vec![SecretKey::from_seed(&[8; 32])],
            },
            rival: None,
        }
    }
}

impl Publishing {
    fn status(&self) -> TrustStatus {
        let version = |file: &Option<Vec<u8>>| {
            let file = file.as_ref()?;
            otter_trust::Document::parse(file).unwrap().version().ok()
        };
        TrustStatus {
            root_version: version(&self.root),
            root_expires_at: None,
            targets_version: version(&self.targets),
            targets_expires_at: None,
            ..TrustStatus::default()
        }
    }

    /// Returns what is signed now.
    pub fn signed(&self) -> Vec<SignedArtifact> {
        let now = otter_trust::Timestamp::now();
        let root = self.root.as_ref().unwrap();
        verify_targets(root, self.targets.as_ref().unwrap(), now)
            .unwrap()
            .artifacts
    }

    fn put_targets(&mut self, bytes: Vec<u8>, now: otter_trust::Timestamp) -> Answer<()> {
        let refuse = |error: &dyn std::fmt::Display| Refusal::new(ProblemCode::Untrusted, error);
        let root = self.root.clone().unwrap();
        let verified = verify_targets(&root, &bytes, now).map_err(|e| refuse(&e))?;
        if Some(verified.version) <= self.status().targets_version {
            return Err(refuse(&"rollback"));
        }
        let lists = Lists::of(bytes.clone());
        let online = renew(&root, &lists, self.online.as_ref(), &self.keys, now);
        let online = online.map_err(|e| refuse(&e))?;
        for artifact in &verified.artifacts {
            self.publish(artifact)?;
        }
        let snapshot = Role::Snapshot.file_name(online.snapshot_version().unwrap());
        self.files.insert(snapshot, online.snapshot.clone());
        self.files
            .insert(Role::Timestamp.file_name(0), online.timestamp.clone());
        self.files
            .insert(Role::Targets.file_name(verified.version), bytes.clone());
        self.online = Some(online);
        self.targets = Some(bytes);
        Ok(())
    }

    fn publish(&mut self, signed: &SignedArtifact) -> Answer<()> {
        let stored = self.artifacts.get(&signed.sha256.to_string());
        if stored.is_none_or(|bytes| bytes.len() as u64 != signed.length) {
            return Err(Refusal::new(ProblemCode::DigestMismatch, "no such bytes"));
        }
        let release = self.releases.iter_mut().find(|release| {
            let of_it = |one: &Artifact| one.sha256 == signed.sha256;
            release.version.as_str() == signed.facts.version && release.artifacts.iter().any(of_it)
        });
        let release = release.expect("a draft of what is signed");
        release.state = ReleaseState::Published;
        release.release_counter = Some(signed.facts.release_counter);
        Ok(())
    }

    fn let_the_rival_publish(&mut self) {
        if let Some(key) = self.rival.take() {
            self.sign_again(&key, otter_trust::Timestamp::now(), 24);
        }
    }

    /// Publishes the list as it is, signed at another time, for so many hours.
    pub fn sign_again(&mut self, key: &SecretKey, at: otter_trust::Timestamp, hours: i64) {
        let targets = self.targets.as_ref();
        let targets = targets.map_or_else(TargetsDocument::new, |bytes| {
            TargetsDocument::parse(bytes).unwrap()
        });
        let life = jiff::SignedDuration::from_hours(hours);
        let mut document = targets.finish(at, life).unwrap();
        document.sign(key).unwrap();
        let published = self.put_targets(document.to_bytes().unwrap(), at);
        assert!(published.is_ok());
    }
}

pub fn routes() -> Router<Shared> {
    Router::new()
        .route("/artifacts/{sha256}", put(upload).get(stored))
        .route("/releases", get(list).post(create))
        .route("/releases/{id}", get(release))
        .route("/trust", get(status))
        .route("/trust/online-keys", get(online_keys))
        .route("/trust/root", put(put_root))
        .route("/trust/targets", put(put_targets))
}

pub async fn metadata(State(world): State<Shared>, Path(name): Path<String>) -> Answer<Vec<u8>> {
    let found = lock(&world).publishing.files.get(&name).cloned();
    found.ok_or_else(|| Refusal::new(ProblemCode::NotFound, format!("There is no {name}.")))
}

async fn upload(
    State(world): State<Shared>,
    Path(sha256): Path<Sha256Digest>,
    body: Bytes,
) -> Answer<(StatusCode, Json<Value>)> {
    if Sha256Digest::of(&body) != sha256 {
        return Err(Refusal::new(ProblemCode::DigestMismatch, "other bytes"));
    }
    let publishing = &mut lock(&world).publishing;
    publishing.uploads += 1;
    let size = body.len();
    publishing
        .artifacts
        .insert(sha256.to_string(), body.to_vec());
    let answer = json!({"sha256": sha256, "size": size});
    Ok((StatusCode::CREATED, Json(answer)))
}

async fn stored(State(world): State<Shared>, Path(sha256): Path<String>) -> Answer {
    match lock(&world).publishing.artifacts.get(&sha256) {
        Some(bytes) => Ok(Json(json!({"sha256": sha256, "size": bytes.len()}))),
        None => Err(Refusal::new(ProblemCode::NotFound, "no such bytes")),
    }
}

async fn list(State(world): State<Shared>) -> Json<Vec<Release>> {
    let releases = lock(&world).publishing.releases.clone();
    Json(releases.into_iter().rev().collect())
}

async fn create(
    State(world): State<Shared>,
    Json(new): Json<NewRelease>,
) -> Answer<(StatusCode, Json<Release>)> {
    let release = world.lock().unwrap().draft(&new)?;
    Ok((StatusCode::CREATED, Json(release)))
}

impl World {
    /// Makes a draft, as an upload in the dashboard does.
    pub fn draft(&mut self, new: &NewRelease) -> Answer<Release> {
        let publishing = &mut self.publishing;
        let is_known = |release: &Release| release.version == new.version;
        if publishing.releases.iter().any(is_known) {
            let detail = format!("There is a release {} already.", new.version);
            return Err(Refusal::new(ProblemCode::AlreadyExists, detail));
        }
        let artifacts = new.artifacts.iter().map(|artifact| Artifact {
            sha256: artifact.sha256,
            size: publishing.artifacts[&artifact.sha256.to_string()].len() as u64,
            kind: artifact.kind,
            models: artifact.models.clone(),
        });
        let release = Release {
            id: ReleaseId(publishing.releases.len() as i64 + 1),
            version: new.version.clone(),
            notes: new.notes.clone(),
            state: ReleaseState::Draft,
            min_version: new.min_version.clone(),
            min_bootloader_version: new.min_bootloader_version.clone(),
            required: new.required,
            release_counter: None,
            artifacts: artifacts.collect(),
            created_at: Timestamp(1_700_000_000_000),
            published_at: None,
            says_signed: false,
        };
        publishing.releases.push(release.clone());
        Ok(release)
    }
}

async fn release(State(world): State<Shared>, Path(id): Path<usize>) -> Answer {
    let world = lock(&world);
    let release = world.publishing.releases.get(id.wrapping_sub(1));
    let release = release
        .ok_or_else(|| Refusal::new(ProblemCode::NotFound, format!("There is no release {id}.")))?;
    let mut detail = serde_json::to_value(release).unwrap();
    detail["devices_on_it"] = json!(0);
    detail["rollouts"] = json!([]);
    Ok(Json(detail))
}

async fn status(State(world): State<Shared>) -> Json<TrustStatus> {
    Json(lock(&world).publishing.status())
}

async fn online_keys(State(world): State<Shared>) -> Json<Value> {
    let keys = &lock(&world).publishing.keys;
    Json(json!({
        "snapshot": keys.snapshot[0].public(), "timestamp": keys.timestamp[0].public(),
    }))
}

async fn put_root(State(world): State<Shared>, body: Bytes) -> Answer<Json<TrustStatus>> {
    let now = otter_trust::Timestamp::now();
    let publishing = &mut lock(&world).publishing;
    let checked = match &publishing.root {
        Some(old) => verify_root_chain(old, &body),
        None => verify_root(&body, now),
    };
    let root = checked.map_err(|e| Refusal::new(ProblemCode::Untrusted, e))?;
    publishing.root = Some(body.to_vec());
    publishing
        .files
        .insert(Role::Root.file_name(root.version), body.to_vec());
    Ok(Json(publishing.status()))
}

async fn put_targets(State(world): State<Shared>, body: Bytes) -> Answer<Json<TrustStatus>> {
    let publishing = &mut lock(&world).publishing;
    publishing.let_the_rival_publish();
    publishing.put_targets(body.to_vec(), otter_trust::Timestamp::now())?;
    Ok(Json(publishing.status()))
}
