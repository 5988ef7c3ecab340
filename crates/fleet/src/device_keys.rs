//! Devices' keys: accepted or rejected by operators, changed by the devices themselves.

use otter_protocol::admin::{
    DeviceSummary, KeyDecision, KeyDecisions, KeysDecided, MAX_DECIDED, NotDecided, WaitingKey,
};
use otter_protocol::check_in::{RotateReply, RotateRequest, rotation_message};
use otter_protocol::device::{Device, DeviceState};
use otter_protocol::{DeviceId, Model, ProblemCode, Sha256Digest, Timestamp};
use sea_orm::ActiveValue::Set;
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde_json::{Value, json};

use crate::actor::Actor;
use crate::audit::{self, Happening};
use crate::database;
use crate::device_changes::{locked_device, set_state};
use crate::devices::{fingerprint_of, held_key_of};
use crate::enrollment::{is_signed, public_key};
use crate::entity::device;
use crate::error::{Error, Result};
use crate::fleet::Fleet;
use crate::known_device::{KnownDevice, device_of};
use crate::secret;
use crate::text::check_text;

/// Most bytes of an operator's reason.
const MAX_REASON: usize = 1000;

/// Which of a device's keys a decision is about.
enum Chosen {
    /// The one that it came with first.
    Own,
    /// The one that came later and is held.
    Held(String),
}

/// What is decided.
#[derive(Debug, Clone, Copy)]
enum Verb {
    Accept,
    Reject,
}

impl Fleet {
    /// Lists keys that wait for an operator by device, at most `limit`: those of pending devices, and those that came under
    /// a known device's name.
    pub async fn waiting_keys(&self, limit: u64) -> Result<Vec<WaitingKey>> {
        self.waiting_keys_of(limit, |_| true).await
    }

    /// Lists those of certain devices.
    pub(crate) async fn waiting_keys_of(
        &self,
        limit: u64,
        is_asked_for: impl Fn(&Device) -> bool,
    ) -> Result<Vec<WaitingKey>> {
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        let (mut waiting, mut after) = (Vec::new(), String::new());
        loop {
            let rows = self.waiting_rows(&after, limit).await?;
            let Some(last) = rows.last() else { break };
            after.clone_from(&last.id);
            for row in rows {
                if is_asked_for(&device_of(row.clone())?) {
                    waiting.extend(waiting_of(&row)?);
                }
            }
            if waiting.len() >= most {
                break;
            }
        }
        waiting.truncate(most);
        Ok(waiting)
    }

    /// Reads the devices behind one whose keys wait.
    async fn waiting_rows(&self, after: &str, limit: u64) -> Result<Vec<device::Model>> {
        let waits = Condition::any()
            .add(device::Column::State.eq(DeviceState::Pending.as_str()))
            .add(device::Column::HeldKey.is_not_null());
        let rows = device::Entity::find()
            .filter(waits)
            .filter(device::Column::Id.gt(after))
            .order_by_asc(device::Column::Id)
            .limit(limit)
            .all(self.db())
            .await?;
        Ok(rows)
    }

    /// Lets a pending device take part, or takes the held key in place of the one that the device had, whose token ends: the
    /// next enrollment with the key that was accepted gets a token.
    ///
    /// `conflict` where nothing waits, or another key than the one that was looked at.
    pub async fn accept_device(
        &self,
        actor: &Actor,
        id: &DeviceId,
        decision: &KeyDecision,
    ) -> Result<DeviceSummary> {
        check_text("reason", &decision.reason, MAX_REASON)?;
        let tx = database::begin(self.db()).await?;
        let before = locked_device(&tx, id).await?;
        let now = self.now();
        let key = match chosen(&before, decision)? {
            Chosen::Own => before.public_key.clone(),
            Chosen::Held(key) => key,
        };
        let row = device::ActiveModel {
            id: Set(before.id.clone()),
            state: Set(DeviceState::Accepted.as_str().to_owned()),
            public_key: Set(key),
            token_hash: Set(None),
            held_key: Set(None),
            held_at: Set(None),
            updated_at: Set(now.0),
            ..Default::default()
        };
        let after = device::Entity::update(row).exec(&tx).await?;
        let happening = Happening::new(actor, "device.accept", "device", id)
            .before(facts_of(&before)?)
            .after(with_reason(facts_of(&after)?, &decision.reason));
        audit::record(&tx, now, happening).await?;
        tx.commit().await?;
        self.device_changed(id);
        self.device_summary(id).await
    }

    /// Turns away the key that waits: a held one is forgotten, and a pending device is revoked.
    ///
    /// `conflict` where nothing waits, or another key than the one that was looked at.
    pub async fn reject_device(
        &self,
        actor: &Actor,
        id: &DeviceId,
        decision: &KeyDecision,
    ) -> Result<DeviceSummary> {
        check_text("reason", &decision.reason, MAX_REASON)?;
        let tx = database::begin(self.db()).await?;
        let before = locked_device(&tx, id).await?;
        let now = self.now();
        if let Chosen::Own = chosen(&before, decision)? {
            let to = DeviceState::Revoked;
            set_state(&tx, actor, &before, to, &decision.reason, now).await?;
        } else {
            let row = device::ActiveModel {
                id: Set(before.id.clone()),
                held_key: Set(None),
                held_at: Set(None),
                updated_at: Set(now.0),
                ..Default::default()
            };
            let after = device::Entity::update(row).exec(&tx).await?;
            let happening = Happening::new(actor, "device.reject_key", "device", id)
                .before(facts_of(&before)?)
                .after(with_reason(facts_of(&after)?, &decision.reason));
            audit::record(&tx, now, happening).await?;
        }
        tx.commit().await?;
        self.device_changed(id);
        self.device_summary(id).await
    }

    /// Accepts many keys, each for itself.
    pub async fn accept_devices(
        &self,
        actor: &Actor,
        decisions: &KeyDecisions,
    ) -> Result<KeysDecided> {
        self.decide_each(actor, decisions, Verb::Accept).await
    }

    /// Rejects many keys, each for itself.
    pub async fn reject_devices(
        &self,
        actor: &Actor,
        decisions: &KeyDecisions,
    ) -> Result<KeysDecided> {
        self.decide_each(actor, decisions, Verb::Reject).await
    }

    async fn decide_each(
        &self,
        actor: &Actor,
        decisions: &KeyDecisions,
        verb: Verb,
    ) -> Result<KeysDecided> {
        let number = decisions.devices.len();
        if number > MAX_DECIDED {
            let detail =
                format!("One request decides on at most {MAX_DECIDED} keys, not {number}.");
            return Err(Error::invalid("devices", detail));
        }
        let mut done = KeysDecided::default();
        for key in &decisions.devices {
            let decision = KeyDecision {
                fingerprint: Some(key.fingerprint),
                reason: decisions.reason.clone(),
            };
            let decided = match verb {
                Verb::Accept => self.accept_device(actor, &key.id, &decision).await,
                Verb::Reject => self.reject_device(actor, &key.id, &decision).await,
            };
            match decided {
                Ok(_) => done.decided.push(key.id.clone()),
                Err(error @ (Error::Problem(_) | Error::Corrupt(_))) => {
                    done.failed.push(NotDecided {
                        id: key.id.clone(),
                        detail: error.to_problem().detail,
                    });
                }
                // A database that doesn't answer won't for the next one.
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    /// Changes a device's key and token at its own wish; both former ones end with that.
    ///
    /// `unauthenticated` where the token ended meanwhile or a proof doesn't verify, `conflict` where the device has no key.
    pub async fn rotate_device(
        &self,
        known: &KnownDevice,
        request: &RotateRequest,
    ) -> Result<RotateReply> {
        let id = &known.device.id;
        let new_key = public_key("public_key", &request.public_key)?;
        let device_token = secret::generate("otd_")?;
        let tx = database::begin(self.db()).await?;
        let before = locked_device(&tx, id).await?;
        let now = self.now();
        let token = current_token(&before, known)?;
        if before.public_key.is_empty() {
            let detail = format!("The device `{id}` has no key to change; it must enroll first.");
            return Err(Error::problem(ProblemCode::Conflict, detail));
        }
        let own_key = public_key("public_key", &before.public_key)?;
        let message = rotation_message(id, token, &hex::encode(new_key.as_bytes()));
        let is_proven = is_signed(&own_key, &message, &request.proof)
            && is_signed(&new_key, &message, &request.new_proof);
        if !is_proven {
            let detail =
                "The proofs must be this change's signatures by the present and the new key.";
            return Err(Error::problem(ProblemCode::Unauthenticated, detail));
        }
        let row = device::ActiveModel {
            id: Set(before.id.clone()),
            public_key: Set(hex::encode(new_key.as_bytes())),
            token_hash: Set(Some(secret::hash(&device_token))),
            updated_at: Set(now.0),
            ..Default::default()
        };
        let after = device::Entity::update(row).exec(&tx).await?;
        let actor = Actor::Device(id.clone());
        let happening = Happening::new(&actor, "device.rotate", "device", id)
            .before(facts_of(&before)?)
            .after(facts_of(&after)?);
        audit::record(&tx, now, happening).await?;
        tx.commit().await?;
        self.device_changed(id);
        Ok(RotateReply { device_token })
    }
}

/// Returns a device's keys that wait for an operator.
fn waiting_of(row: &device::Model) -> Result<Vec<WaitingKey>> {
    let own = fingerprint_of(row)?;
    let state = state_of(row)?;
    let one = |fingerprint, replaces, since| -> Result<WaitingKey> {
        let corrupt = |what| Error::Corrupt(format!("the {what} of device {}", row.id));
        Ok(WaitingKey {
            id: DeviceId::new(&row.id).map_err(|_| corrupt("id"))?,
            model: Model::new(&row.model).map_err(|_| corrupt("model"))?,
            version: row.version.as_str().into(),
            state,
            fingerprint,
            replaces,
            since,
        })
    };
    let mut waiting = Vec::new();
    if let (DeviceState::Pending, Some(own)) = (state, own) {
        waiting.push(one(own, None, Timestamp(row.enrolled_at))?);
    }
    if let Some(held) = held_key_of(row)? {
        waiting.push(one(held.fingerprint, own, held.at)?);
    }
    Ok(waiting)
}

/// Returns the hash of the token that a device has now; `unauthenticated` where it showed one that ended meanwhile.
fn current_token(row: &device::Model, known: &KnownDevice) -> Result<Option<Sha256Digest>> {
    let corrupt = |_| Error::Corrupt(format!("the token of device {}", row.id));
    let token = row.token_hash.as_deref().map(str::parse).transpose();
    let token: Option<Sha256Digest> = token.map_err(corrupt)?;
    let is_in = state_of(row)? == DeviceState::Accepted;
    // Without a token it is known by its certificate.
    if is_in && token.is_none_or(|token| token == known.token) {
        return Ok(token);
    }
    let detail = "The device token doesn't count any more; enroll the device again.";
    Err(Error::problem(ProblemCode::Unauthenticated, detail))
}

fn state_of(row: &device::Model) -> Result<DeviceState> {
    DeviceState::named(&row.state)
        .ok_or_else(|| Error::Corrupt(format!("the state of device {}", row.id)))
}

/// Finds the key that a decision is about.
fn chosen(row: &device::Model, decision: &KeyDecision) -> Result<Chosen> {
    let own = (state_of(row)? == DeviceState::Pending)
        .then(|| fingerprint_of(row))
        .transpose()?
        .flatten();
    let held = held_key_of(row)?.map(|held| held.fingerprint);
    let refused = |detail: String| Err(Error::problem(ProblemCode::Conflict, detail));
    let id = &row.id;
    let is_held = match (own, held, decision.fingerprint) {
        (None, None, _) => {
            return refused(format!(
                "No key of the device `{id}` waits for a decision; the device is {}.",
                row.state
            ));
        }
        (Some(_), Some(_), None) => {
            return refused(format!(
                "Two keys of the device `{id}` wait; name the fingerprint of the one that is meant."
            ));
        }
        (_, held, Some(meant)) if held == Some(meant) => true,
        (own, _, Some(meant)) if own == Some(meant) => false,
        (_, _, Some(_)) => {
            return refused(format!(
                "The key with this fingerprint doesn't wait for the device `{id}` any more; look at it again."
            ));
        }
        (_, held, None) => held.is_some(),
    };
    Ok(match &row.held_key {
        Some(key) if is_held => Chosen::Held(key.clone()),
        _ => Chosen::Own,
    })
}

fn facts_of(row: &device::Model) -> Result<Value> {
    let mut facts = json!({ "state": row.state, "fingerprint": fingerprint_of(row)? });
    if let (Some(held), Some(facts)) = (held_key_of(row)?, facts.as_object_mut()) {
        facts.insert("held_fingerprint".to_owned(), json!(held.fingerprint));
    }
    Ok(facts)
}

fn with_reason(mut facts: Value, reason: &str) -> Value {
    if let (Some(facts), false) = (facts.as_object_mut(), reason.is_empty()) {
        facts.insert("reason".to_owned(), json!(reason));
    }
    facts
}
