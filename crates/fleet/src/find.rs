//! Whatever has a name, by a part of it: bounded for any fleet, because each list is asked by an index.
//!
//! Releases and rollouts whose names begin with the text come from an index over all; those that have it elsewhere are looked
//! for among the newest [`LOOKED_AT`].

use otter_protocol::admin::{DeviceFilter, Found, FoundDevice, FoundRelease, FoundRollout};
use otter_protocol::release::ReleaseState;
use otter_protocol::rollout::RolloutState;
use otter_protocol::{GroupName, ReleaseId, RolloutId};
use sea_orm::{ConnectionTrait, Statement, Value};

use crate::database::is_postgres;
use crate::device_search::{behind, pattern};
use crate::error::{Error, Result};
use crate::fleet::Fleet;

/// Most things of each kind.
const MOST: usize = 6;
/// Newest releases and rollouts that are looked at for a part that their names don't begin with.
const LOOKED_AT: u32 = 2000;
/// The longest text that is looked for, in bytes.
const LONGEST: usize = 200;

/// A table of things with names.
#[derive(Debug, Clone, Copy)]
struct Named {
    table: &'static str,
    name: &'static str,
}

const RELEASES: Named = Named {
    table: "releases",
    name: "version",
};
const ROLLOUTS: Named = Named {
    table: "rollouts",
    name: "name",
};

/// Number, name and state, as they stand in the table.
type Row = (i64, String, String);

impl Named {
    /// Asks for one row, by its number.
    fn numbered(self, postgres: bool) -> String {
        let place = if postgres { "$1" } else { "?" };
        format!(
            "SELECT id, {} AS name, state FROM {} WHERE id = {place}",
            self.name, self.table
        )
    }

    /// Asks for rows whose names, in small letters, lie between two texts.
    fn between(self, postgres: bool) -> String {
        let Self { table, name } = self;
        if postgres {
            format!(
                "SELECT id, {name} AS name, state FROM {table} WHERE lower({name}) COLLATE \"C\" >= $1
                 AND lower({name}) COLLATE \"C\" < $2 ORDER BY lower({name}) COLLATE \"C\" LIMIT {MOST}"
            )
        } else {
            format!(
                "SELECT id, {name} AS name, state FROM {table} WHERE lower({name}) >= ? AND lower({name}) < ?
                 ORDER BY lower({name}) LIMIT {MOST}"
            )
        }
    }

    /// Asks for the newest rows whose names match a pattern.
    fn matching(self, postgres: bool) -> String {
        let Self { table, name } = self;
        let place = if postgres { "$1" } else { "?" };
        format!(
            "SELECT id, name, state FROM
                 (SELECT id, {name} AS name, state FROM {table} ORDER BY id DESC LIMIT {LOOKED_AT}) AS newest
             WHERE lower(name) LIKE {place} ESCAPE '\\' ORDER BY id DESC LIMIT {MOST}"
        )
    }
}

impl Fleet {
    /// Returns the devices, releases, rollouts and groups that have a text in their names; nothing for an empty text. A number
    /// finds the release and the rollout of that number, too.
    pub async fn find(&self, text: &str) -> Result<Found> {
        let text = text.trim();
        if text.is_empty() || text.len() > LONGEST || text.contains('\0') {
            return Ok(Found::default());
        }
        let filter = DeviceFilter {
            search: Some(text.to_owned()),
            limit: u32::try_from(MOST).ok(),
            ..DeviceFilter::default()
        };
        let devices = self.devices(&filter).await?.items;
        Ok(Found {
            devices: devices.into_iter().map(found_device).collect(),
            releases: rows(self.named(RELEASES, text).await?, |(id, version, state)| {
                Some(FoundRelease {
                    id: ReleaseId(id),
                    version: version.into(),
                    state: ReleaseState::named(&state)?,
                })
            })?,
            rollouts: rows(self.named(ROLLOUTS, text).await?, |(id, name, state)| {
                Some(FoundRollout {
                    id: RolloutId(id),
                    name,
                    state: RolloutState::named(&state)?,
                })
            })?,
            groups: self.groups_with(text),
        })
    }

    async fn named(&self, named: Named, text: &str) -> Result<Vec<Row>> {
        let postgres = is_postgres(self.db().get_database_backend());
        // As each database writes small letters: SQLite knows those of ASCII alone.
        let small = match postgres {
            true => text.to_lowercase(),
            false => text.to_ascii_lowercase(),
        };
        let mut found = Vec::new();
        if let Ok(number) = text.trim_start_matches('#').parse::<i64>() {
            found.extend(
                self.rows(named.numbered(postgres), vec![number.into()])
                    .await?,
            );
        }
        if let Some(behind) = behind(&small) {
            let bounds = vec![small.as_str().into(), behind.into()];
            found.extend(self.rows(named.between(postgres), bounds).await?);
        }
        if found.len() < MOST {
            let anywhere = vec![pattern(&small).into()];
            found.extend(self.rows(named.matching(postgres), anywhere).await?);
        }
        let mut seen = std::collections::HashSet::new();
        found.retain(|(id, ..)| seen.insert(*id));
        found.truncate(MOST);
        Ok(found)
    }

    async fn rows(&self, sql: String, values: Vec<Value>) -> Result<Vec<Row>> {
        let backend = self.db().get_database_backend();
        let statement = Statement::from_sql_and_values(backend, sql, values);
        let rows = self.db().query_all_raw(statement).await?;
        rows.iter()
            .map(|row| {
                Ok((
                    row.try_get_by_index(0)?,
                    row.try_get_by_index(1)?,
                    row.try_get_by_index(2)?,
                ))
            })
            .collect()
    }

    fn groups_with(&self, text: &str) -> Vec<GroupName> {
        let small = text.to_lowercase();
        let plan = self.plan();
        let mut names: Vec<_> = plan
            .groups()
            .map(|group| group.name.clone())
            .filter(|name| name.as_str().to_lowercase().contains(&small))
            .collect();
        names.sort_by_key(|name| {
            (
                !name.as_str().to_lowercase().starts_with(&small),
                name.clone(),
            )
        });
        names.truncate(MOST);
        names
    }
}

fn found_device(device: otter_protocol::admin::DeviceSummary) -> FoundDevice {
    FoundDevice {
        id: device.id,
        model: device.model,
        version: device.version,
    }
}

fn rows<T>(rows: Vec<Row>, read: impl Fn(Row) -> Option<T>) -> Result<Vec<T>> {
    rows.into_iter()
        .map(|row| {
            let id = row.0;
            read(row).ok_or_else(|| Error::Corrupt(format!("the state of number {id}")))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use sea_orm::{ConnectionTrait, Statement};

    use super::*;
    use crate::FleetConfig;

    #[tokio::test]
    async fn no_list_is_read_whole() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/otter.db", folder.path().display());
        let fleet = Fleet::open(FleetConfig::new(&url, folder.path().join("artifacts")))
            .await
            .unwrap();
        for named in [RELEASES, ROLLOUTS] {
            for (sql, index) in [
                (named.numbered(false), "PRIMARY KEY"),
                (named.between(false), "_by_name (<expr>>? AND <expr><?)"),
            ] {
                let explain = format!("EXPLAIN QUERY PLAN {sql}");
                let backend = fleet.db().get_database_backend();
                let values = [Value::from("a"), Value::from("b")];
                let values = values.into_iter().take(sql.matches('?').count());
                let statement = Statement::from_sql_and_values(backend, explain, values);
                let rows = fleet.db().query_all_raw(statement).await.unwrap();
                let plan: Vec<String> = rows
                    .iter()
                    .map(|row| row.try_get("", "detail").unwrap())
                    .collect();
                assert_eq!(plan.len(), 1, "{plan:?}");
                assert!(
                    plan[0].starts_with("SEARCH") && plan[0].contains(index),
                    "{plan:?}"
                );
            }
        }
    }
}
