//! How devices come in: by a token, or once an operator accepts their key.

use ed25519_dalek::{Signature, VerifyingKey};
use otter_protocol::admin::ChangeKind;
use otter_protocol::check_in::{EnrollReply, EnrollRequest, enrollment_message};
use otter_protocol::device::{DeviceState, Dialect};
use otter_protocol::{ProblemCode, Sha256Digest, Timestamp};
use sea_orm::ActiveValue::Set;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, PaginatorTrait, QueryFilter,
};
use serde_json::{Value, json};

use crate::actor::Actor;
use crate::audit::{self, Happening};
use crate::database::{self, locked};
use crate::devices::fingerprint_of;
use crate::enrollment_tokens::{count_use, find_token, refusal_of};
use crate::entity::{device, enrollment_token};
use crate::error::{Error, Result, is_duplicate};
use crate::fleet::Fleet;
use crate::secret;
use crate::text::check_text;

/// Most devices that wait for an operator; who has no token could else fill the database.
const MOST_PENDING: u64 = 10_000;
/// Seconds until a pending device asks again.
const RETRY_AFTER_SEC: u32 = 30;
/// Most bytes of what a device says of itself.
const MAX_METADATA: usize = 16 << 10;

impl Fleet {
    /// Lets a device in, or notes that it waits for an operator.
    ///
    /// The proof must verify (`unauthenticated`). A device that comes again with its own key gets a new token (the old one
    /// ends); another key is held until an operator decides, and what the device had counts on. One that was registered
    /// without a key takes its first with an enrollment token.
    pub async fn enroll(&self, request: &EnrollRequest) -> Result<EnrollReply> {
        let applicant = Applicant::of(request)?;
        // Looked at without a lock first: most who are refused, and all who wait, write nothing.
        let (known, token) = find(self.db(), &applicant).await?;
        if let Verdict::Wait = applicant.judge(known.as_ref(), token.as_ref(), self.now())? {
            return Ok(applicant.pending());
        }
        // Two requests of one new device at once: the slower one sees the other's row at its second try.
        match self.let_in(&applicant).await {
            Err(Error::Database(error)) if is_duplicate(&error) => self.let_in(&applicant).await,
            result => result,
        }
    }

    async fn let_in(&self, applicant: &Applicant<'_>) -> Result<EnrollReply> {
        let tx = database::begin(self.db()).await?;
        // Once nobody else writes, so that the log's times rise with its numbers.
        let now = self.now();
        let (known, token) = find_locked(&tx, applicant).await?;
        let verdict = applicant.judge(known.as_ref(), token.as_ref(), now)?;
        let reply = match verdict {
            Verdict::Wait => return Ok(applicant.pending()),
            Verdict::NoteAsPending => {
                check_room(&tx).await?;
                write(&tx, applicant, None, None, now).await?;
                applicant.pending()
            }
            Verdict::HoldKey => {
                check_room_for_keys(&tx).await?;
                hold_key(&tx, applicant, now).await?;
                applicant.pending()
            }
            Verdict::Accept { by_token } => {
                let device_token = secret::generate("otd_")?;
                let token = token.filter(|_| by_token);
                if let Some(token) = &token {
                    count_use(&tx, token).await?;
                }
                write(
                    &tx,
                    applicant,
                    known.as_ref(),
                    Some((&device_token, token.as_ref())),
                    now,
                )
                .await?;
                EnrollReply::Accepted { device_token }
            }
        };
        tx.commit().await?;
        self.forget_device(&applicant.request.id);
        self.changed(ChangeKind::Device, &applicant.request.id);
        Ok(reply)
    }
}

/// Who asks to take part; its proof was verified.
struct Applicant<'a> {
    request: &'a EnrollRequest,
    public_key: String,
    fingerprint: Sha256Digest,
}

/// What is to be done with an applicant.
enum Verdict {
    /// It waits already.
    Wait,
    /// It is new and has no token.
    NoteAsPending,
    /// It is known with another key.
    HoldKey,
    /// It gets its device token; an enrollment token's quota is used where it needs one.
    Accept { by_token: bool },
}

impl<'a> Applicant<'a> {
    fn of(request: &'a EnrollRequest) -> Result<Self> {
        let key = public_key("public_key", &request.public_key)?;
        let message = enrollment_message(&request.id, request.enrollment_token.as_deref());
        let is_proven = is_signed(&key, &message, &request.proof);
        if !is_proven {
            let detail = "The proof is no signature of this enrollment by the device's key.";
            return Err(Error::problem(ProblemCode::Unauthenticated, detail));
        }
        check_text("version", request.version.as_str(), 100)?;
        let length: usize = request
            .metadata
            .iter()
            .map(|(key, value)| key.len() + value.len())
            .sum();
        if length > MAX_METADATA {
            let detail =
                format!("The metadata may have {MAX_METADATA} bytes in all, this has {length}.");
            return Err(Error::invalid("metadata", detail));
        }
        let fingerprint = Sha256Digest::of(key.as_bytes());
        Ok(Self {
            request,
            public_key: hex::encode(key.as_bytes()),
            fingerprint,
        })
    }

    fn pending(&self) -> EnrollReply {
        EnrollReply::Pending {
            fingerprint: self.fingerprint,
            retry_after_sec: RETRY_AFTER_SEC,
        }
    }

    fn judge(
        &self,
        known: Option<&device::Model>,
        token: Option<&enrollment_token::Model>,
        now: Timestamp,
    ) -> Result<Verdict> {
        let state = known.map(state_of).transpose()?;
        let has_key = known.is_some_and(|known| !known.public_key.is_empty());
        let is_other = known.is_some_and(|known| has_key && known.public_key != self.public_key);
        match state {
            Some(state) if is_other && state != DeviceState::Decommissioned => {
                return self.judge_other_key(known);
            }
            // Its key is enough; the token it came with at first may be used up by now.
            Some(DeviceState::Accepted) if has_key => {
                return Ok(Verdict::Accept { by_token: false });
            }
            // Nobody could tell whether a key that waits here is the registered device's.
            Some(DeviceState::Accepted) if self.request.enrollment_token.is_none() => {
                let detail = format!(
                    "The device `{}` is registered without a key; enroll it with an enrollment token.",
                    self.request.id
                );
                return Err(Error::problem(ProblemCode::Unauthenticated, detail));
            }
            Some(state @ (DeviceState::Revoked | DeviceState::Decommissioned)) => {
                let detail = format!(
                    "The device `{}` is {}; it can't enroll again.",
                    self.request.id,
                    state.as_str()
                );
                return Err(Error::problem(ProblemCode::Forbidden, detail));
            }
            Some(DeviceState::Pending | DeviceState::Accepted) | None => {}
        }
        if self.request.enrollment_token.is_none() {
            return Ok(if known.is_some() {
                Verdict::Wait
            } else {
                Verdict::NoteAsPending
            });
        }
        match refusal_of(token, &self.request.model, now) {
            None => Ok(Verdict::Accept { by_token: true }),
            Some(detail) => Err(Error::problem(ProblemCode::Unauthenticated, detail)),
        }
    }

    /// Nobody could tell whether a device with another key is the one that is known: an operator can, and only the first
    /// such key waits for him, so that others can't take its place.
    fn judge_other_key(&self, known: Option<&device::Model>) -> Result<Verdict> {
        match known.and_then(|known| known.held_key.as_deref()) {
            None => Ok(Verdict::HoldKey),
            Some(held) if held == self.public_key => Ok(Verdict::Wait),
            Some(_) => {
                let detail = format!(
                    "A device `{}` is known with another key, and a third one waits for an operator, who has to decide on that first.",
                    self.request.id
                );
                Err(Error::problem(ProblemCode::Conflict, detail))
            }
        }
    }
}

fn state_of(known: &device::Model) -> Result<DeviceState> {
    DeviceState::named(&known.state)
        .ok_or_else(|| Error::Corrupt(format!("the state of device {}", known.id)))
}

/// Reads an Ed25519 public key.
pub(crate) fn public_key(field: &str, text: &str) -> Result<VerifyingKey> {
    decode::<32>(text)
        .and_then(|bytes| VerifyingKey::from_bytes(&bytes).ok())
        .ok_or_else(|| Error::invalid(field, "This is no Ed25519 public key in 64 hex digits."))
}

/// Tells whether a text is a key's signature of a message.
pub(crate) fn is_signed(key: &VerifyingKey, message: &[u8], signature: &str) -> bool {
    decode::<64>(signature).is_some_and(|signature| {
        key.verify_strict(message, &Signature::from_bytes(&signature))
            .is_ok()
    })
}

fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    hex::decode_to_slice(text, &mut bytes).ok().map(|()| bytes)
}

type Found = (Option<device::Model>, Option<enrollment_token::Model>);

async fn find(db: &impl ConnectionTrait, applicant: &Applicant<'_>) -> Result<Found> {
    let known = device::Entity::find_by_id(applicant.request.id.as_str())
        .one(db)
        .await?;
    let token = match &applicant.request.enrollment_token {
        Some(token) => find_token(token).one(db).await?,
        None => None,
    };
    Ok((known, token))
}

async fn find_locked(tx: &DatabaseTransaction, applicant: &Applicant<'_>) -> Result<Found> {
    let known = locked(
        tx,
        device::Entity::find_by_id(applicant.request.id.as_str()),
    )
    .one(tx)
    .await?;
    let token = match &applicant.request.enrollment_token {
        Some(token) => locked(tx, find_token(token)).one(tx).await?,
        None => None,
    };
    Ok((known, token))
}

async fn check_room(tx: &DatabaseTransaction) -> Result<()> {
    let pending = device::Column::State.eq(DeviceState::Pending.as_str());
    if device::Entity::find().filter(pending).count(tx).await? < MOST_PENDING {
        return Ok(());
    }
    let detail =
        "Too many devices wait to be accepted. Accept or revoke some, or enroll with a token.";
    Err(Error::problem(ProblemCode::Unavailable, detail))
}

async fn check_room_for_keys(tx: &DatabaseTransaction) -> Result<()> {
    let held = device::Column::HeldKey.is_not_null();
    if device::Entity::find().filter(held).count(tx).await? < MOST_PENDING {
        return Ok(());
    }
    let detail = "Too many devices came with another key than theirs. Accept or reject some.";
    Err(Error::problem(ProblemCode::Unavailable, detail))
}

/// Notes another key beside a known device's own, with its event.
async fn hold_key(
    tx: &DatabaseTransaction,
    applicant: &Applicant<'_>,
    now: Timestamp,
) -> Result<()> {
    let request = applicant.request;
    let row = device::ActiveModel {
        id: Set(request.id.to_string()),
        held_key: Set(Some(applicant.public_key.clone())),
        held_at: Set(Some(now.0)),
        updated_at: Set(now.0),
        ..Default::default()
    };
    device::Entity::update(row).exec(tx).await?;
    let actor = Actor::Device(request.id.clone());
    let happening = Happening::new(&actor, "device.hold_key", "device", &request.id)
        .after(json!({ "held_fingerprint": applicant.fingerprint }));
    audit::record(tx, now, happening).await
}

/// Writes the device's row with its event; accepted, where it gets a token.
async fn write(
    tx: &DatabaseTransaction,
    applicant: &Applicant<'_>,
    known: Option<&device::Model>,
    accepted: Option<(&str, Option<&enrollment_token::Model>)>,
    now: Timestamp,
) -> Result<()> {
    let request = applicant.request;
    let state = if accepted.is_some() {
        DeviceState::Accepted
    } else {
        DeviceState::Pending
    };
    let enrollment_token = accepted.and_then(|(_, token)| token);
    let json = |value: serde_json::Result<String>| {
        value.map_err(|error| Error::Corrupt(error.to_string()))
    };
    let mut row = device::ActiveModel {
        id: Set(request.id.to_string()),
        model: Set(request.model.to_string()),
        state: Set(state.as_str().to_owned()),
        token_hash: Set(accepted.map(|(token, _)| secret::hash(token))),
        updated_at: Set(now.0),
        ..Default::default()
    };
    // A group that it was put in by name goes before the one that the token puts everybody in.
    let own_group = known.and_then(|known| known.group_name.clone());
    let group = own_group.or_else(|| enrollment_token?.group_name.clone());
    row.group_name = Set(group.clone());
    row.public_key = Set(applicant.public_key.clone());
    row.dialect = Set(Dialect::Native.as_str().to_owned());
    if known.is_none_or(|known| known.token_hash.is_none()) {
        // Later the check-in says what it runs; here it counts only until the first.
        row.version = Set(request.version.as_str().to_owned());
        row.metadata = Set(json(serde_json::to_string(&request.metadata))?);
        row.enrolled_at = Set(now.0);
    }
    match known {
        Some(_) => {
            device::Entity::update(row).exec(tx).await?;
        }
        None => {
            row.labels = Set("{}".to_owned());
            row.conditions = Set("{}".to_owned());
            device::Entity::insert(row)
                .exec_without_returning(tx)
                .await?;
        }
    }
    let actor = Actor::Device(request.id.clone());
    let mut happening =
        Happening::new(&actor, "device.enroll", "device", &request.id).after(json!({
            "state": state,
            "model": request.model,
            "group": group,
            "fingerprint": applicant.fingerprint,
            "enrollment_token": enrollment_token.map(|token| token.id),
        }));
    if let Some(known) = known {
        happening = happening.before(facts_of(known));
    }
    audit::record(tx, now, happening).await
}

fn facts_of(known: &device::Model) -> Value {
    json!({
        "state": known.state,
        "model": known.model,
        "group": known.group_name,
        "fingerprint": fingerprint_of(known).ok(),
    })
}
