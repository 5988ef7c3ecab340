//! Devices' rows, read by ranges of ids, and the devices made of them.

use std::collections::{BTreeMap, HashMap};

use otter_protocol::device::{Conditions, Device, DeviceState, Dialect, Pairs};
use otter_protocol::plan::PlannedRollout;
use otter_protocol::{DeviceId, GroupName, Model, Timestamp, Version};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect};
use serde::de::DeserializeOwned;

use super::{Scope, goes_back};
use crate::entity::device::{self, Column};
use crate::error::{Error, Result};
use crate::fleet::Fleet;

/// Most rows that are read at once.
pub(super) const CHUNK: usize = 20_000;

/// Most texts that are kept as read.
const MAX_KEPT: usize = 10_000;

/// What the rules need of a device's row.
#[derive(Debug, FromQueryResult)]
pub(super) struct DeviceRow {
    id: String,
    model: String,
    version: String,
    bootloader_version: Option<String>,
    state: String,
    dialect: String,
    hold: Option<String>,
    group_name: Option<String>,
    labels: String,
    metadata: String,
    conditions: String,
    enrolled_at: i64,
    last_seen_at: Option<i64>,
}

impl DeviceRow {
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn last_seen_at(&self) -> Option<i64> {
        self.last_seen_at
    }
}

impl Fleet {
    /// Reads the next rows of a model's devices after an id.
    pub(super) async fn device_rows(
        &self,
        planned: &PlannedRollout,
        model: &Model,
        scope: Scope,
        with_pairs: bool,
        after: &str,
    ) -> Result<Vec<DeviceRow>> {
        let states = match scope {
            Scope::Candidates => vec![DeviceState::Accepted],
            Scope::Everybody => vec![DeviceState::Accepted, DeviceState::Pending],
        };
        let mut select = device::Entity::find()
            .select_only()
            .columns([
                Column::Id,
                Column::Model,
                Column::Version,
                Column::BootloaderVersion,
                Column::State,
                Column::Dialect,
                Column::Hold,
                Column::GroupName,
                Column::Conditions,
                Column::EnrolledAt,
                Column::LastSeenAt,
            ])
            .filter(Column::Model.eq(model.as_str()))
            .filter(Column::Id.gt(after))
            .filter(Column::State.is_in(states.into_iter().map(DeviceState::as_str)))
            .order_by_asc(Column::Id)
            .limit(CHUNK as u64);
        if scope == Scope::Candidates {
            let version = planned.release.version.as_str();
            let on_it = if goes_back(planned) {
                Column::Version.eq(version)
            } else {
                Column::Version.ne(version)
            };
            select = select.filter(on_it).filter(Column::Hold.is_null());
        }
        select = if with_pairs {
            select.columns([Column::Labels, Column::Metadata])
        } else {
            select
                .column_as(Expr::val("{}"), Column::Labels)
                .column_as(Expr::val("{}"), Column::Metadata)
        };
        Ok(select.into_model().all(self.db()).await?)
    }
}

/// Makes devices of rows; what many have in common is read once.
#[derive(Debug, Default)]
pub(super) struct Reader {
    models: HashMap<String, Model>,
    versions: HashMap<String, Version>,
    groups: HashMap<String, GroupName>,
    pairs: HashMap<String, Pairs>,
    conditions: HashMap<String, Conditions>,
}

/// The texts of what a device was lent.
#[derive(Debug)]
pub(super) struct Lent {
    labels: String,
    metadata: String,
    conditions: String,
}

impl Reader {
    /// Makes a device, without its attempts; what it is lent is to be taken back.
    pub(super) fn device(&mut self, row: DeviceRow) -> Result<(Device, Lent)> {
        let corrupt = |what: &str| Error::Corrupt(format!("{what} of device {}", row.id));
        let device = Device {
            id: DeviceId::new(&row.id).map_err(|_| corrupt("the id"))?,
            model: kept(&mut self.models, &row.model, |text| Model::new(text).ok())
                .ok_or_else(|| corrupt("the model"))?,
            version: self.version(&row.version),
            bootloader_version: row
                .bootloader_version
                .as_deref()
                .map(|text| self.version(text)),
            state: DeviceState::named(&row.state).ok_or_else(|| corrupt("the state"))?,
            dialect: Dialect::named(&row.dialect).ok_or_else(|| corrupt("the dialect"))?,
            enrolled_at: Timestamp(row.enrolled_at),
            group: match row.group_name.as_deref() {
                Some(name) => Some(
                    kept(&mut self.groups, name, |text| GroupName::new(text).ok())
                        .ok_or_else(|| corrupt("the group"))?,
                ),
                None => None,
            },
            labels: lend(&mut self.pairs, &row.labels).ok_or_else(|| corrupt("the labels"))?,
            metadata: lend(&mut self.pairs, &row.metadata)
                .ok_or_else(|| corrupt("the metadata"))?,
            conditions: lend(&mut self.conditions, &row.conditions)
                .ok_or_else(|| corrupt("the conditions"))?,
            hold: row.hold,
            attempt: None,
            past: BTreeMap::new(),
        };
        let lent = Lent {
            labels: row.labels,
            metadata: row.metadata,
            conditions: row.conditions,
        };
        Ok((device, lent))
    }

    /// Takes back what a device was lent, for the next with the same texts.
    pub(super) fn take_back(&mut self, device: Device, lent: Lent) {
        give_back(&mut self.pairs, lent.labels, device.labels);
        give_back(&mut self.pairs, lent.metadata, device.metadata);
        give_back(&mut self.conditions, lent.conditions, device.conditions);
    }

    fn version(&mut self, text: &str) -> Version {
        let made = kept(&mut self.versions, text, |text| Some(text.into()));
        made.unwrap_or_else(|| text.into())
    }
}

/// Returns what a text reads as, made once.
fn kept<T: Clone>(
    known: &mut HashMap<String, T>,
    text: &str,
    make: impl FnOnce(&str) -> Option<T>,
) -> Option<T> {
    if let Some(known) = known.get(text) {
        return Some(known.clone());
    }
    let made = make(text)?;
    if known.len() < MAX_KEPT {
        known.insert(text.to_owned(), made.clone());
    }
    Some(made)
}

/// Lends what a JSON text reads as, without copying it; read anew where nothing is there to lend.
fn lend<T: DeserializeOwned>(known: &mut HashMap<String, T>, text: &str) -> Option<T> {
    match known.remove(text) {
        Some(known) => Some(known),
        None => serde_json::from_str(text).ok(),
    }
}

fn give_back<T>(known: &mut HashMap<String, T>, text: String, value: T) {
    if known.len() < MAX_KEPT {
        known.insert(text, value);
    }
}
