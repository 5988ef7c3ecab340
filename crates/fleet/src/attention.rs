//! Devices that a person should look at: those whose updates fail, and those that fell silent.

use otter_protocol::admin::{Attention, FailingDevice, SilentDevice};
use otter_protocol::{DeviceId, Timestamp};
use sea_orm::{ConnectionTrait, Statement};

use crate::database::is_postgres;
use crate::error::{Error, Result};
use crate::fleet::Fleet;

/// Devices of each kind that are named.
const NAMED: usize = 5;
/// Devices that are counted at most.
const COUNTED: u64 = 1000;
/// A device that wasn't seen for so long is silent, in seconds.
const SILENT_AFTER_SEC: u64 = 86_400;

impl Fleet {
    /// Returns the devices that a person should look at.
    pub async fn attention(&self) -> Result<Attention> {
        let backend = self.db().get_database_backend();
        let failing = Statement::from_string(backend, failing());
        let rows = self.db().query_all_raw(failing).await?;
        let mut failing = Vec::new();
        for row in rows.iter().take(NAMED) {
            let failures: i32 = row.try_get_by_index(1)?;
            failing.push(FailingDevice {
                id: id_of(row.try_get_by_index(0)?)?,
                failures: u32::try_from(failures).unwrap_or(0),
            });
        }
        let failing_count = rows.len() as u64;
        let since = self.now().minus_sec(SILENT_AFTER_SEC);
        let silent =
            Statement::from_sql_and_values(backend, silent(is_postgres(backend)), [since.0.into()]);
        let rows = self.db().query_all_raw(silent).await?;
        let mut silent = Vec::new();
        let mut silent_count = 0;
        for row in &rows {
            let id = id_of(row.try_get_by_index(0)?)?;
            // Seen a moment ago, and not written yet.
            if self.inner.presence.unwritten(&id).is_some() {
                continue;
            }
            silent_count += 1;
            if silent.len() < NAMED {
                let last_seen_at = Timestamp(row.try_get_by_index(1)?);
                silent.push(SilentDevice { id, last_seen_at });
            }
        }
        Ok(Attention {
            failing,
            failing_count,
            silent,
            silent_count,
            counted: COUNTED,
        })
    }
}

/// Asks for devices whose newest attempts failed, those that failed most often first. It looks at so many at most, whatever
/// their state, so that the index of those that fail is the way to them, and not one of states.
fn failing() -> String {
    format!(
        "SELECT id, failures_in_row FROM (SELECT id, failures_in_row, state FROM devices WHERE failures_in_row > 0
             ORDER BY failures_in_row DESC, id DESC LIMIT {COUNTED}) AS worst
         WHERE state = 'accepted' ORDER BY failures_in_row DESC, id DESC"
    )
}

/// Asks for devices that weren't seen since a time, those seen last before the others. It looks at so many at most, whatever
/// their state, and so walks no further through the index where all the rest has left the fleet.
fn silent(postgres: bool) -> String {
    let place = if postgres { "$1" } else { "?" };
    format!(
        "SELECT id, last_seen_at FROM (SELECT id, last_seen_at, state FROM devices WHERE last_seen_at < {place}
             ORDER BY last_seen_at DESC LIMIT {COUNTED}) AS latest WHERE state = 'accepted' ORDER BY last_seen_at DESC"
    )
}

fn id_of(text: String) -> Result<DeviceId> {
    DeviceId::new(text).map_err(|error| Error::Corrupt(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FleetConfig;

    #[tokio::test]
    async fn the_fleet_is_never_read_whole() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/otter.db", folder.path().display());
        let fleet = Fleet::open(FleetConfig::new(&url, folder.path().join("artifacts")))
            .await
            .unwrap();
        let asked = [
            (failing(), "devices_failing"),
            (silent(false).replace('?', "1"), "devices_by_last_seen"),
        ];
        for (sql, index) in asked {
            let explain = format!("EXPLAIN QUERY PLAN {sql}");
            let statement = Statement::from_string(fleet.db().get_database_backend(), explain);
            let rows = fleet.db().query_all_raw(statement).await.unwrap();
            let plan: Vec<String> = rows
                .iter()
                .map(|row| row.try_get("", "detail").unwrap())
                .collect();
            assert!(plan.iter().any(|line| line.contains(index)), "{plan:?}");
            assert!(
                !plan
                    .iter()
                    .any(|line| line.starts_with("SCAN devices") && !line.contains("INDEX")),
                "{plan:?}"
            );
        }
    }
}
