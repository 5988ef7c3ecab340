//! Devices in memory, by the hash of their token: what the decision needs, without a query.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use moka::sync::Cache;
use otter_protocol::attempt::AttemptPurpose;
use otter_protocol::device::{Conditions, Device, DeviceState, Dialect, OpenAttempt, PastAttempts};
use otter_protocol::{
    AttemptId, AttemptState, DeviceId, GroupName, Model, ProblemCode, ReleaseId, RolloutId,
    Sha256Digest, Timestamp,
};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};
use serde::de::DeserializeOwned;

use crate::attempts::purpose_of;
use crate::entity::{attempt, device};
use crate::error::{Error, Result};
use crate::fleet::Fleet;
use crate::pace::Pace;

/// An enrolled device that showed its token.
#[derive(Debug)]
pub struct KnownDevice {
    /// As the decision sees it.
    pub device: Device,
    /// The hash of its token; of its name, where it has none and is known by a certificate.
    pub(crate) token: Sha256Digest,
    /// When it was read from the database, or written to it.
    pub(crate) as_of: Timestamp,
    /// How far its clock was off when that was noted last.
    pub(crate) clock_off_sec: Option<i64>,
    /// Tells whether it has a key or a token: only who shows it then speaks for the device.
    pub proves_itself: bool,
    /// How often it asks: the same for as long as the device stays in memory, whatever else is read anew.
    pub pace: Arc<Pace>,
}

/// The devices in memory.
#[derive(Debug)]
pub(crate) struct KnownDevices {
    by_token: Cache<Sha256Digest, Arc<KnownDevice>>,
    tokens: Cache<DeviceId, Sha256Digest>,
    paces: Cache<DeviceId, Arc<Pace>>,
    /// Counts what was forgotten, so that a read that began before doesn't bring it back.
    forgotten: AtomicU64,
}

impl KnownDevices {
    pub(crate) fn new(most: u64) -> Self {
        Self {
            by_token: Cache::new(most),
            tokens: Cache::new(most),
            paces: Cache::new(most),
            forgotten: AtomicU64::new(0),
        }
    }

    fn put(&self, known: &Arc<KnownDevice>) {
        self.tokens.insert(known.device.id.clone(), known.token);
        self.by_token.insert(known.token, known.clone());
    }
}

impl Fleet {
    /// Returns the device that showed a token with this hash, where it is in memory.
    pub fn device_in_memory(&self, token: &Sha256Digest) -> Option<Arc<KnownDevice>> {
        self.inner.known.by_token.get(token)
    }

    /// Returns the device that showed a token; `unauthenticated` where it doesn't count (any more).
    pub async fn device_by_token(&self, token: &str) -> Result<Arc<KnownDevice>> {
        // Found by its hash: what a guess learns from timing is a hash's first bits, of no use against 256 random ones.
        let hash = Sha256Digest::of(token.as_bytes());
        if let Some(known) = self.inner.known.by_token.get(&hash) {
            return Ok(known);
        }
        let before = self.inner.known.forgotten.load(Ordering::SeqCst);
        let as_of = self.now();
        let row = device::Entity::find()
            .filter(device::Column::TokenHash.eq(hash.to_string()))
            .filter(device::Column::State.eq(DeviceState::Accepted.as_str()))
            .one(self.db())
            .await?;
        let Some(row) = row else {
            let detail = "The device token doesn't count; enroll the device again.";
            return Err(Error::problem(ProblemCode::Unauthenticated, detail));
        };
        self.take_in(row, hash, as_of, before).await
    }

    /// Returns the device that a verified certificate names; `unauthenticated` where it takes no part (any more).
    pub async fn device_by_certificate(&self, id: &DeviceId) -> Result<Arc<KnownDevice>> {
        let known = &self.inner.known;
        let token = known.tokens.get(id);
        // One that was let go may be in memory, too: somebody looked it up by its name.
        let takes_part = |known: &Arc<KnownDevice>| known.device.state == DeviceState::Accepted;
        let found = token.and_then(|token| known.by_token.get(&token));
        if let Some(known) = found.filter(takes_part) {
            return Ok(known);
        }
        let before = self.forgotten();
        let as_of = self.now();
        let row = device::Entity::find_by_id(id.as_str())
            .filter(device::Column::State.eq(DeviceState::Accepted.as_str()))
            .one(self.db())
            .await?;
        let Some(row) = row else {
            let detail = format!(
                "The certificate names the device `{id}`, which takes no part: enroll it, or register and accept it."
            );
            return Err(Error::problem(ProblemCode::Unauthenticated, detail));
        };
        let place = place_of(&row)?;
        self.take_in(row, place, as_of, before).await
    }

    /// Returns the device of a name, whether or not it takes part; `None` where there is none. The name proves nothing: see
    /// [`KnownDevice::proves_itself`].
    pub async fn device_by_name(&self, id: &DeviceId) -> Result<Option<Arc<KnownDevice>>> {
        let known = &self.inner.known;
        let token = known.tokens.get(id);
        if let Some(known) = token.and_then(|token| known.by_token.get(&token)) {
            return Ok(Some(known));
        }
        let before = self.forgotten();
        let as_of = self.now();
        let row = device::Entity::find_by_id(id.as_str())
            .one(self.db())
            .await?;
        let Some(row) = row else {
            return Ok(None);
        };
        // Only who takes part is found by a token: no other may stand in its place in memory.
        let takes_part = row.state == DeviceState::Accepted.as_str();
        let place = match takes_part {
            true => place_of(&row)?,
            false => place_of_name(id),
        };
        Ok(Some(self.take_in(row, place, as_of, before).await?))
    }

    async fn take_in(
        &self,
        row: device::Model,
        token: Sha256Digest,
        as_of: Timestamp,
        before: u64,
    ) -> Result<Arc<KnownDevice>> {
        let clock_off_sec = row.clock_off_sec;
        let proves_itself = row.token_hash.is_some() || !row.public_key.is_empty();
        let device = self.load_device(row).await?;
        let paces = &self.inner.known.paces;
        let known = Arc::new(KnownDevice {
            clock_off_sec,
            proves_itself,
            pace: paces.get_with(device.id.clone(), Arc::default),
            device,
            token,
            as_of,
        });
        self.remember(&known, before);
        Ok(known)
    }

    /// Forgets a device, so that its next request reads it anew.
    pub(crate) fn forget_device(&self, id: &DeviceId) {
        self.inner.known.forgotten.fetch_add(1, Ordering::SeqCst);
        if let Some(token) = self.inner.known.tokens.remove(id) {
            self.inner.known.by_token.invalidate(&token);
        }
    }

    /// Forgets all devices.
    pub(crate) fn forget_devices(&self) {
        self.inner.known.forgotten.fetch_add(1, Ordering::SeqCst);
        self.inner.known.by_token.invalidate_all();
    }

    /// Returns how often devices were forgotten; to be asked before a read whose result is to be remembered.
    pub(crate) fn forgotten(&self) -> u64 {
        self.inner.known.forgotten.load(Ordering::SeqCst)
    }

    /// Remembers a device, unless one was forgotten since `before`: what was read may be old by now.
    pub(crate) fn remember(&self, known: &Arc<KnownDevice>, before: u64) {
        if self.forgotten() == before {
            self.inner.known.put(known);
        }
    }

    /// Tells whether what is in memory of a device was read before a moment.
    pub(crate) fn is_behind(&self, id: &DeviceId, moment_ms: i64) -> bool {
        let token = self.inner.known.tokens.get(id);
        let known = token.and_then(|token| self.inner.known.by_token.get(&token));
        known.is_some_and(|known| known.as_of.0 < moment_ms)
    }

    /// Completes a device with its attempts.
    pub(crate) async fn load_device(&self, row: device::Model) -> Result<Device> {
        let rows = attempt::Entity::find()
            .filter(attempt::Column::DeviceId.eq(&row.id))
            .order_by_asc(attempt::Column::Id)
            .all(self.db())
            .await?;
        let mut device = device_of(row)?;
        for row in rows {
            let open = open_attempt_of(&row)?;
            if open.state.is_finished() {
                let past = device.past.entry(open.rollout).or_default();
                let finished = FinishedAttempt {
                    at: Timestamp(row.finished_at.unwrap_or(row.updated_at)),
                    phase: row.phase,
                    from_version: &row.from_version,
                    attempt: open,
                };
                add_finished(past, &finished)?;
            } else {
                device.attempt = Some(open);
            }
        }
        Ok(device)
    }
}

/// Returns a device's one place in memory, so that it is forgotten whole: its token's, or one that no token has.
fn place_of(row: &device::Model) -> Result<Sha256Digest> {
    match &row.token_hash {
        Some(hash) => hash
            .parse()
            .map_err(|_| Error::Corrupt(format!("the token of device {}", row.id))),
        None => Ok(place_of_name(&row.id)),
    }
}

fn place_of_name(id: &impl std::fmt::Display) -> Sha256Digest {
    Sha256Digest::of(format!("certificate\0{id}").as_bytes())
}

/// Reads an attempt as the decision sees it.
pub(crate) fn open_attempt_of(row: &attempt::Model) -> Result<OpenAttempt> {
    let state = AttemptState::named(&row.state)
        .ok_or_else(|| Error::Corrupt(format!("the state of attempt {}", row.id)))?;
    Ok(OpenAttempt {
        id: AttemptId(row.id),
        rollout: RolloutId(row.rollout_id),
        release: ReleaseId(row.release_id),
        purpose: purpose_of(row)?,
        state,
    })
}

/// An attempt that came to its end, as its device's story keeps it.
#[derive(Debug)]
pub(crate) struct FinishedAttempt<'a> {
    /// The attempt.
    pub(crate) attempt: OpenAttempt,
    /// When it ended.
    pub(crate) at: Timestamp,
    /// The phase in which it began.
    pub(crate) phase: i32,
    /// What the device ran when it began.
    pub(crate) from_version: &'a str,
}

/// Adds a finished attempt to those of its device at its rollout; they come in the order in which they began.
pub(crate) fn add_finished(past: &mut PastAttempts, finished: &FinishedAttempt<'_>) -> Result<()> {
    let FinishedAttempt { attempt, at, .. } = finished;
    if attempt.purpose == AttemptPurpose::RollBack {
        past.back.add(attempt.id, attempt.state, *at);
        return Ok(());
    }
    past.forth.add(attempt.id, attempt.state, *at);
    if past.phase.is_none() {
        let phase = u32::try_from(finished.phase);
        past.phase = Some(
            phase.map_err(|_| Error::Corrupt(format!("the phase of attempt {}", attempt.id)))?,
        );
    }
    // By way of another release it is what ran before the first of them.
    let is_brought =
        attempt.purpose == AttemptPurpose::Update && attempt.state == AttemptState::Succeeded;
    if past.began_from.is_none() {
        past.began_from = Some(finished.from_version.into());
    }
    if is_brought {
        past.former = past.began_from.clone();
    }
    Ok(())
}

/// Reads a device's row, without its attempts.
pub(crate) fn device_of(row: device::Model) -> Result<Device> {
    let corrupt = |what: &str| Error::Corrupt(format!("{what} of device {}", row.id));
    Ok(Device {
        id: DeviceId::new(&row.id).map_err(|_| corrupt("the id"))?,
        model: Model::new(&row.model).map_err(|_| corrupt("the model"))?,
        version: row.version.as_str().into(),
        bootloader_version: row.bootloader_version.as_deref().map(Into::into),
        state: DeviceState::named(&row.state).ok_or_else(|| corrupt("the state"))?,
        dialect: Dialect::named(&row.dialect).ok_or_else(|| corrupt("the dialect"))?,
        enrolled_at: Timestamp(row.enrolled_at),
        group: row
            .group_name
            .as_ref()
            .map(GroupName::new)
            .transpose()
            .map_err(|_| corrupt("the group"))?,
        labels: json::<BTreeMap<_, _>>(&row.labels).ok_or_else(|| corrupt("the labels"))?,
        metadata: json::<BTreeMap<_, _>>(&row.metadata).ok_or_else(|| corrupt("the metadata"))?,
        conditions: json::<Conditions>(&row.conditions).ok_or_else(|| corrupt("the conditions"))?,
        hold: row.hold,
        attempt: None,
        past: BTreeMap::new(),
    })
}

fn json<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_str(text).ok()
}
