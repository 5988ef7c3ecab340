//! When devices were last seen and how they were, gathered in memory and written in batches.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use otter_protocol::clock_off::notable;
use otter_protocol::device::Conditions;
use otter_protocol::{DeviceId, Timestamp};
use sea_orm::{ConnectionTrait, Statement, Value};

use crate::database;
use crate::error::{Error, Result};
use crate::fleet::Fleet;

/// Rows in one statement; each takes four of SQLite's 32,766 parameters.
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
    /// How many seconds its clock is ahead, where that changed.
    clock_off_sec: Option<i64>,
}

impl Presence {
    /// Notes that a device checked in, and where they changed, how it is and how many seconds its clock is ahead.
    pub(crate) fn note(
        &self,
        device: &DeviceId,
        at: Timestamp,
        conditions: Option<Conditions>,
        clock_off_sec: Option<i64>,
    ) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match seen.get_mut(device) {
            Some(sighting) => {
                sighting.at = at;
                sighting.conditions = conditions.or(sighting.conditions.take());
                sighting.clock_off_sec = clock_off_sec.or(sighting.clock_off_sec);
            }
            None => {
                let sighting = Sighting {
                    at,
                    conditions,
                    clock_off_sec,
                };
                seen.insert(device.clone(), sighting);
            }
        }
    }

    /// Returns when a device was seen, where that isn't written yet.
    pub(crate) fn unwritten(&self, device: &DeviceId) -> Option<Timestamp> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(device).map(|sighting| sighting.at)
    }

    /// Returns how many seconds a device's clock is ahead, where that changed and isn't written yet.
    pub(crate) fn unwritten_clock(&self, device: &DeviceId) -> Option<i64> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(device)?.clock_off_sec
    }

    /// Returns the devices that were seen since a time and for which that isn't written yet; none where more than `most`
    /// wait to be written.
    pub(crate) fn unwritten_devices(&self, since: Timestamp, most: usize) -> Vec<DeviceId> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() > most {
            return Vec::new();
        }
        let lately = seen.iter().filter(|(_, sighting)| sighting.at >= since);
        lately.map(|(device, _)| device.clone()).collect()
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
        let mut values: Vec<Value> = Vec::with_capacity(batch.len() * 4);
        for (place, (device, sighting)) in batch.iter().enumerate() {
            let first = place * 4 + 1;
            rows.push(if is_postgres {
                format!(
                    "(${first}::text, ${}::bigint, ${}::text, ${}::bigint)",
                    first + 1,
                    first + 2,
                    first + 3
                )
            } else {
                "(?, ?, ?, ?)".to_owned()
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
                // 0 is right; nothing leaves what is known.
                sighting
                    .clock_off_sec
                    .map(|off| notable(off).unwrap_or(0))
                    .into(),
            ]);
        }
        let sql = format!(
            "UPDATE devices SET last_seen_at = seen.column2, conditions = coalesce(seen.column3, conditions),
                 clock_off_sec = CASE WHEN seen.column4 IS NULL THEN clock_off_sec ELSE nullif(seen.column4, 0) END
             FROM (VALUES {}) AS seen WHERE devices.id = seen.column1",
            rows.join(", ")
        );
        self.db()
            .execute_raw(Statement::from_sql_and_values(backend, sql, values))
            .await?;
        Ok(())
    }
}
