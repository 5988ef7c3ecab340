//! The server's own keys, for the snapshot and the timestamp: made once, shared by all servers of a database.

use otter_protocol::Timestamp;
use otter_trust::{OnlineKeys, Role, Root, SecretKey, TrustError};
use sea_orm::ActiveValue::Set;
use sea_orm::{DatabaseConnection, DatabaseTransaction, EntityTrait, TryInsertResult};
use serde_json::json;

use crate::actor::Actor;
use crate::audit::{self, Happening};
use crate::database::{self, locked};
use crate::entity::secret;
use crate::error::{Error, Result};

const SNAPSHOT: &str = "trust.snapshot";
const TIMESTAMP: &str = "trust.timestamp";

/// Returns the keys; makes them where there are none.
pub(crate) async fn load_or_make(db: &DatabaseConnection, now: Timestamp) -> Result<OnlineKeys> {
    let snapshot = secret::Entity::find_by_id(SNAPSHOT).one(db).await?;
    let timestamp = secret::Entity::find_by_id(TIMESTAMP).one(db).await?;
    if let (Some(snapshot), Some(timestamp)) = (snapshot, timestamp) {
        return read(&snapshot, &timestamp);
    }
    let tx = database::begin(db).await?;
    for name in [SNAPSHOT, TIMESTAMP] {
        let key = SecretKey::generate()?;
        let row = secret::ActiveModel {
            name: Set(name.to_owned()),
            value: Set(key.to_text().to_string()),
            created_at: Set(now.0),
        };
        // Another server may have been faster: its key stands.
        let inserted = secret::Entity::insert(row)
            .on_conflict_do_nothing_on([secret::Column::Name])
            .exec_without_returning(&tx)
            .await?;
        if let TryInsertResult::Inserted(1) = inserted {
            let happening = Happening::new(&Actor::Engine, "trust.online_key", "trust", name)
                .after(json!({ "key": key.public().key_id() }));
            audit::record(&tx, now, happening).await?;
        }
    }
    let keys = lock(&tx).await?;
    tx.commit().await?;
    Ok(keys)
}

/// Returns the keys, and holds every other change of the trust back until the transaction ends.
pub(crate) async fn lock(tx: &DatabaseTransaction) -> Result<OnlineKeys> {
    let missing = || Error::Corrupt("the server's own keys are missing".into());
    let snapshot = locked(tx, secret::Entity::find_by_id(SNAPSHOT))
        .one(tx)
        .await?
        .ok_or_else(missing)?;
    let timestamp = secret::Entity::find_by_id(TIMESTAMP)
        .one(tx)
        .await?
        .ok_or_else(missing)?;
    read(&snapshot, &timestamp)
}

fn read(snapshot: &secret::Model, timestamp: &secret::Model) -> Result<OnlineKeys> {
    // A key's own error could tell of its text.
    let key = |row: &secret::Model| {
        SecretKey::from_text(&row.value)
            .map_err(|_| Error::Corrupt(format!("the key {}", row.name)))
    };
    Ok(OnlineKeys {
        snapshot: vec![key(snapshot)?],
        timestamp: vec![key(timestamp)?],
    })
}

/// Refuses a root under which the server couldn't sign what it has to.
pub(crate) fn check_named(root: &Root, keys: &OnlineKeys) -> Result<()> {
    for (role, own) in [
        (Role::Snapshot, &keys.snapshot),
        (Role::Timestamp, &keys.timestamp),
    ] {
        let named = root.role(role);
        let able = own
            .iter()
            .filter(|key| named.contains(&key.public()))
            .count();
        if able < named.threshold {
            let ids: Vec<String> = own.iter().map(|key| key.public().key_id()).collect();
            return Err(TrustError::Refused(format!(
                "the root asks for {} signatures of {role} keys, of which this server has {able}. \
                 Put its own key into the root: {}",
                named.threshold,
                ids.join(", ")
            ))
            .into());
        }
    }
    Ok(())
}
