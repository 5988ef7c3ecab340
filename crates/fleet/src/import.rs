//! Devices registered in bulk before they enroll, as a factory does with what it has made.
//!
//! What was known before is never changed, and what is new no server has in memory yet: so one event for the whole request is
//! enough for everybody who follows the log.

use std::collections::{BTreeSet, HashMap};

use ed25519_dalek::VerifyingKey;
use otter_protocol::admin::{ChangeKind, ImportDevice, Imported, MAX_IMPORT_DEVICES, Place};
use otter_protocol::{Problem, ProblemCode, Timestamp};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter, QuerySelect,
    Statement, Value,
};
use serde_json::json;

use crate::actor::Actor;
use crate::audit::{self, Happening};
use crate::database::{self, is_postgres};
use crate::device_changes::{MAX_HOLD, check_labels};
use crate::entity::group;
use crate::error::{Error, Result};
use crate::fleet::Fleet;
use crate::text::check_text;

/// Rows in one statement.
const BATCH: usize = 2500;
/// Parameters of a row: a batch must stay under SQLite's 32,766.
const PARAMETERS: usize = 10;
/// Most keys of metadata, and most bytes of a key or a value, as in a check-in.
const MAX_METADATA: (usize, usize) = (64, 1024);

impl Fleet {
    /// Registers devices as accepted, without tokens, all or none; those known already are counted and stay as they are.
    ///
    /// A problem names the place of the device that it is about (`invalid_request`).
    pub async fn import_devices(
        &self,
        actor: &Actor,
        devices: &[(Place, ImportDevice)],
    ) -> Result<Imported> {
        check_number(devices)?;
        for (place, device) in devices {
            check(device).map_err(|error| at(*place, error))?;
        }
        let tx = database::begin(self.db()).await?;
        // Once nobody else writes, so that the log's times rise with its numbers.
        let now = self.now();
        check_groups(&tx, devices).await?;
        let mut created = Vec::with_capacity(devices.len());
        for batch in devices.chunks(BATCH) {
            created.extend(insert(&tx, batch, now).await?);
        }
        let imported = Imported {
            created: created.len() as u64,
            known: (devices.len() - created.len()) as u64,
        };
        let (Some(first), Some(last)) = (created.iter().min(), created.iter().max()) else {
            tx.rollback().await?;
            return Ok(imported);
        };
        let happening = Happening::new(actor, "device.import", "device", "import").after(json!({
            "devices": imported.created,
            "first": first,
            "last": last,
        }));
        audit::record(&tx, now, happening).await?;
        tx.commit().await?;
        self.changed(ChangeKind::Device, "import");
        Ok(imported)
    }
}

/// Says where a problem is, in its field and in its words.
fn at(place: Place, error: Error) -> Error {
    match error {
        Error::Problem(problem) => {
            let field = problem.field.as_deref().map(|field| place.field(field));
            Error::Problem(Problem {
                detail: format!("In {place}: {}", problem.detail),
                field: Some(field.unwrap_or_else(|| place.to_string())),
                ..problem
            })
        }
        other => other,
    }
}

fn check_number(devices: &[(Place, ImportDevice)]) -> Result<()> {
    if devices.len() > MAX_IMPORT_DEVICES {
        let detail = format!(
            "A request may hold {MAX_IMPORT_DEVICES} devices, this one has {}; send them in several.",
            devices.len()
        );
        return Err(Error::problem(ProblemCode::TooLarge, detail));
    }
    let mut seen = HashMap::with_capacity(devices.len());
    for (place, device) in devices {
        if let Some(before) = seen.insert(&device.id, place) {
            let detail = format!(
                "The device `{}` stands in {before} already; keep one of them.",
                device.id
            );
            return Err(at(*place, Error::invalid("id", detail)));
        }
    }
    Ok(())
}

fn check(device: &ImportDevice) -> Result<()> {
    check_text("version", device.version.as_str(), 100)?;
    check_labels(&device.labels)?;
    let (most, bytes) = MAX_METADATA;
    if device.metadata.len() > most {
        let detail = format!(
            "A device may have at most {most} keys of metadata, not {}.",
            device.metadata.len()
        );
        return Err(Error::invalid("metadata", detail));
    }
    for (key, value) in &device.metadata {
        let field = format!("metadata.{key}");
        check_text(&field, key, bytes)?;
        check_text(&field, value, bytes)?;
    }
    if let Some(hold) = &device.hold {
        check_text("hold", hold, MAX_HOLD)?;
    }
    match &device.public_key {
        Some(key) if key_of(key).is_none() => Err(Error::invalid(
            "public_key",
            "This is no Ed25519 public key in 64 hex digits.",
        )),
        _ => Ok(()),
    }
}

/// Returns a public key as the registry keeps it, in lower case.
fn key_of(text: &str) -> Option<String> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    VerifyingKey::from_bytes(&bytes).ok()?;
    Some(hex::encode(bytes))
}

async fn check_groups(tx: &DatabaseTransaction, devices: &[(Place, ImportDevice)]) -> Result<()> {
    let named: BTreeSet<&str> = devices
        .iter()
        .filter_map(|(_, device)| device.group.as_ref().map(|group| group.as_str()))
        .collect();
    if named.is_empty() {
        return Ok(());
    }
    let known: Vec<String> = group::Entity::find()
        .select_only()
        .column(group::Column::Name)
        .filter(group::Column::Name.is_in(named))
        .into_tuple()
        .all(tx)
        .await?;
    let known: BTreeSet<&str> = known.iter().map(String::as_str).collect();
    for (place, device) in devices {
        if let Some(group) = &device.group
            && !known.contains(group.as_str())
        {
            let detail = format!("There is no group `{group}`; make it first.");
            return Err(at(*place, Error::invalid("group", detail)));
        }
    }
    Ok(())
}

/// Writes the devices that aren't known yet, and returns their ids.
async fn insert(
    tx: &DatabaseTransaction,
    batch: &[(Place, ImportDevice)],
    now: Timestamp,
) -> Result<Vec<String>> {
    let backend = tx.get_database_backend();
    let mut values: Vec<Value> = Vec::with_capacity(batch.len() * PARAMETERS);
    for (_, device) in batch {
        values.extend(row(device, now)?);
    }
    let sql = statement(batch.len(), is_postgres(backend));
    let rows = tx
        .query_all_raw(Statement::from_sql_and_values(backend, sql, values))
        .await?;
    rows.iter()
        .map(|row| Ok(row.try_get_by_index(0)?))
        .collect()
}

fn statement(rows: usize, numbered: bool) -> String {
    let row = |place: usize| {
        let parameter = |n: usize| match numbered {
            true => format!("${}", place * PARAMETERS + n),
            false => "?".to_owned(),
        };
        let parameters: Vec<String> = (1..=PARAMETERS).map(parameter).collect();
        format!("({}, 'accepted', '{{}}')", parameters.join(", "))
    };
    let rows: Vec<String> = (0..rows).map(row).collect();
    format!(
        "INSERT INTO devices (id, model, version, hold, group_name, labels, metadata, public_key,
             enrolled_at, updated_at, state, conditions)
         VALUES {} ON CONFLICT (id) DO NOTHING RETURNING id",
        rows.join(", ")
    )
}

fn row(device: &ImportDevice, now: Timestamp) -> Result<[Value; PARAMETERS]> {
    let json = |pairs| {
        serde_json::to_string(pairs)
            .map_err(|error: serde_json::Error| Error::Corrupt(error.to_string()))
    };
    let hold = device.hold.as_deref().map(str::trim);
    // No key is an empty text: the column knows no other nothing.
    let key = device.public_key.as_deref().and_then(key_of);
    Ok([
        device.id.as_str().into(),
        device.model.as_str().into(),
        device.version.as_str().into(),
        hold.filter(|hold| !hold.is_empty()).into(),
        device.group.as_ref().map(|group| group.as_str()).into(),
        json(&device.labels)?.into(),
        json(&device.metadata)?.into(),
        key.unwrap_or_default().into(),
        now.0.into(),
        now.0.into(),
    ])
}
