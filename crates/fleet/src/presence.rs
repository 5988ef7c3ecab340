//! When devices were last seen and how they were, gathered in memory and written in batches.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use otter_protocol::device::Conditions;
use otter_protocol::{DeviceId, Timestamp};
use sea_orm::{ConnectionTrait, Statement, Value};

use crate::database;
use crate::error::{Error, Result};
use crate::fleet::Fleet;

/// Rows in one statement; each takes three of SQLite's 32,766 parameters.
const BATCH: usize = 1000;

/// What was gathered since the last write.
#[derive(Debug, Default)]
pub(crate) struct Presence {
    seen: Mutex<HashMap<DeviceId, Sighting>>,
}

#[derive(Debug)]
struct Sighting {
    at: Timestamp,
    /// How the device is, where that changed.
    conditions: Option<Conditions>,
}

impl Presence {
    /// Notes that a device checked in, and how it is where that changed.
    pub(crate) fn note(&self, device: &DeviceId, at: Timestamp, conditions: Option<Conditions>) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match seen.get_mut(device) {
            Some(sighting) => {
                sighting.at = at;
                sighting.conditions = conditions.or(sighting.conditions.take());
            }
            None => {
                seen.insert(device.clone(), Sighting { at, conditions });
            }
        }
    }

    /// Returns when a device was seen, where that isn't written yet.
    pub(crate) fn unwritten(&self, device: &DeviceId) -> Option<Timestamp> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(device).map(|sighting| sighting.at)
    }

    fn take(&self) -> HashMap<DeviceId, Sighting> {
        std::mem::take(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts back what couldn't be written, where nothing newer came.
    fn put_back(&self, unwritten: Vec<(DeviceId, Sighting)>) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        for (device, sighting) in unwritten {
            seen.entry(device).or_insert(sighting);
        }
    }
}

impl Fleet {
    /// Writes what was gathered; what can't be written stays gathered.
    pub(crate) async fn write_presence(&self) -> Result<()> {
        let mut gathered: Vec<(DeviceId, Sighting)> =
            self.inner.presence.take().into_iter().collect();
        // In one order on every server, so that none waits for another in a circle.
        gathered.sort_by(|(a, _), (b, _)| a.cmp(b));
        while !gathered.is_empty() {
            let rest = gathered.split_off(gathered.len().min(BATCH));
            if let Err(error) = self.write_sightings(&gathered).await {
                gathered.extend(rest);
                self.inner.presence.put_back(gathered);
                return Err(error);
            }
            gathered = rest;
        }
        Ok(())
    }

    async fn write_sightings(&self, batch: &[(DeviceId, Sighting)]) -> Result<()> {
        let backend = self.db().get_database_backend();
        let is_postgres = database::is_postgres(backend);
        let mut rows = Vec::with_capacity(batch.len());
        let mut values: Vec<Value> = Vec::with_capacity(batch.len() * 3);
        for (place, (device, sighting)) in batch.iter().enumerate() {
            let first = place * 3 + 1;
            rows.push(if is_postgres {
                format!(
                    "(${first}::text, ${}::bigint, ${}::text)",
                    first + 1,
                    first + 2
                )
            } else {
                "(?, ?, ?)".to_owned()
            });
            let conditions = sighting
                .conditions
                .as_ref()
                .map(serde_json::to_string)
                .transpose();
            let conditions = conditions.map_err(|error| Error::Corrupt(error.to_string()))?;
            values.extend([
                device.as_str().into(),
                sighting.at.0.into(),
                conditions.into(),
            ]);
        }
        let sql = format!(
            "UPDATE devices SET last_seen_at = seen.column2, conditions = coalesce(seen.column3, conditions)
             FROM (VALUES {}) AS seen WHERE devices.id = seen.column1",
            rows.join(", ")
        );
        self.db()
            .execute_raw(Statement::from_sql_and_values(backend, sql, values))
            .await?;
        Ok(())
    }
}
