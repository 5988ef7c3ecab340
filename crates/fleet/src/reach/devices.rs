//! The devices in reach.

use std::time::{Duration, Instant};

use otter_protocol::admin::{
    DeviceDetail, DeviceFilter, DevicePatch, DeviceSummary, ImportDevice, Imported, KeyDecision,
    KeyDecisions, KeysDecided, NotDecided, Page, Place, WaitingKey,
};
use otter_protocol::device::{Conditions, Device, DeviceState};
use otter_protocol::{AttemptId, DeviceId, GroupName, ProblemCode};
use sea_orm::EntityTrait;

use super::{Bounds, Reach};
use crate::actor::Actor;
use crate::device_search::{self, Found};
use crate::entity::{attempt, device};
use crate::error::{Error, Result};
use crate::known_device::device_of;

/// How long a page's devices are looked for among those that are out of reach.
const PATIENCE: Duration = Duration::from_millis(500);

impl Reach {
    /// Lists the devices in reach by id, as [`Fleet::devices`](crate::Fleet::devices) does; a page may be short, or empty, and
    /// still have a next.
    pub async fn devices(&self, filter: &DeviceFilter) -> Result<Page<DeviceSummary>> {
        if self.scope.is_everything() {
            return self.fleet.devices(filter).await;
        }
        let bounds = self.bounds().await?;
        let nothing = Page {
            items: Vec::new(),
            next: None,
        };
        let Some(mut filter) = self.narrowed(filter, &bounds) else {
            return Ok(nothing);
        };
        let limit = filter.limit.unwrap_or(50).clamp(1, 500) as usize;
        let began = Instant::now();
        loop {
            let Found { rows, next } = device_search::page(self.fleet.db(), &filter, limit).await?;
            let mut kept = Vec::new();
            for row in rows {
                if bounds.has(&device_of(row.clone())?) {
                    kept.push(row);
                }
            }
            if !kept.is_empty() || next.is_none() || began.elapsed() >= PATIENCE {
                return self.fleet.summaries(kept, next).await;
            }
            filter.cursor = next;
        }
    }

    /// Counts the accepted devices in reach that fit a filter.
    pub(super) async fn count(&self, filter: DeviceFilter) -> Result<u64> {
        let bounds = self.bounds().await?;
        let Some(mut filter) = self.narrowed(&filter, &bounds) else {
            return Ok(0);
        };
        filter.state = Some(DeviceState::Accepted);
        let mut count = 0;
        loop {
            let Found { rows, next } = device_search::page(self.fleet.db(), &filter, 500).await?;
            for row in rows {
                count += u64::from(bounds.has(&device_of(row)?));
            }
            if next.is_none() {
                return Ok(count);
            }
            filter.cursor = next;
        }
    }

    /// Adds to a filter what of the scope an index finds; `None` where nothing can be in reach.
    fn narrowed(&self, filter: &DeviceFilter, bounds: &Bounds<'_>) -> Option<DeviceFilter> {
        let mut filter = filter.clone();
        match (&filter.model, self.scope.models.as_slice()) {
            (Some(model), _) if !self.scope.has_model(model) => return None,
            (None, [one]) => filter.model = Some(one.clone()),
            _ => {}
        }
        // Members by a selector are in no group by hand, or in another.
        let by_hand = bounds.groups.iter().all(|group| group.selector.is_none());
        if by_hand && !self.scope.groups.is_empty() {
            match (&filter.group, bounds.groups.as_slice()) {
                (_, []) => return None,
                (Some(group), _) if !self.scope.has_group(Some(group)) => return None,
                (None, [one]) => filter.group = Some(one.name.clone()),
                _ => {}
            }
        }
        Some(filter)
    }

    /// Returns a device with its story; one out of reach is as good as none.
    pub async fn device(&self, id: &DeviceId) -> Result<DeviceDetail> {
        self.check_device(id).await?;
        self.fleet.device(id).await
    }

    /// Changes labels, group or hold of a device in reach, which must stay there.
    pub async fn patch_device(
        &self,
        actor: &Actor,
        id: &DeviceId,
        patch: &DevicePatch,
    ) -> Result<DeviceSummary> {
        if let Some((mut device, bounds)) = self.check_device(id).await? {
            if let Some(labels) = &patch.labels {
                device.labels.clone_from(labels);
            }
            if let Some(group) = &patch.group {
                // One that isn't any group's name is refused below, by its own words.
                device.group = GroupName::new(group).ok();
            }
            if !bounds.has(&device) {
                return Err(self.beyond("this would take the device out of its reach"));
            }
        }
        self.fleet.patch_device(actor, id, patch).await
    }

    /// Ends the access of a device in reach.
    pub async fn revoke_device(
        &self,
        actor: &Actor,
        id: &DeviceId,
        reason: &str,
    ) -> Result<DeviceSummary> {
        self.check_device(id).await?;
        self.fleet.revoke_device(actor, id, reason).await
    }

    /// Ends the part of a device in reach for good.
    pub async fn decommission_device(
        &self,
        actor: &Actor,
        id: &DeviceId,
        reason: &str,
    ) -> Result<DeviceSummary> {
        self.check_device(id).await?;
        self.fleet.decommission_device(actor, id, reason).await
    }

    /// Registers devices; `forbidden` where one of them would be out of reach, and then none is.
    pub async fn import_devices(
        &self,
        actor: &Actor,
        devices: &[(Place, ImportDevice)],
    ) -> Result<Imported> {
        if !self.scope.is_everything() {
            let bounds = self.bounds().await?;
            let beyond = |(_, device): &&(Place, ImportDevice)| !bounds.has(&registered(device));
            if let Some((place, device)) = devices.iter().find(beyond) {
                let what = format!("`{}` in {place} is beyond that", device.id);
                return Err(self.beyond(&what));
            }
        }
        self.fleet.import_devices(actor, devices).await
    }

    /// Lists the keys of devices in reach that wait for an operator, at most `limit`.
    pub async fn waiting_keys(&self, limit: u64) -> Result<Vec<WaitingKey>> {
        let bounds = self.bounds().await?;
        self.fleet
            .waiting_keys_of(limit, |device| bounds.has(device))
            .await
    }

    /// Accepts the key that waits for a device in reach.
    pub async fn accept_device(
        &self,
        actor: &Actor,
        id: &DeviceId,
        decision: &KeyDecision,
    ) -> Result<DeviceSummary> {
        self.check_device(id).await?;
        self.fleet.accept_device(actor, id, decision).await
    }

    /// Rejects the key that waits for a device in reach.
    pub async fn reject_device(
        &self,
        actor: &Actor,
        id: &DeviceId,
        decision: &KeyDecision,
    ) -> Result<DeviceSummary> {
        self.check_device(id).await?;
        self.fleet.reject_device(actor, id, decision).await
    }

    /// Accepts many keys, each for itself.
    pub async fn accept_devices(
        &self,
        actor: &Actor,
        decisions: &KeyDecisions,
    ) -> Result<KeysDecided> {
        let (within, beyond) = self.divided(decisions).await?;
        let mut done = self.fleet.accept_devices(actor, &within).await?;
        done.failed.extend(beyond);
        Ok(done)
    }

    /// Rejects many keys, each for itself.
    pub async fn reject_devices(
        &self,
        actor: &Actor,
        decisions: &KeyDecisions,
    ) -> Result<KeysDecided> {
        let (within, beyond) = self.divided(decisions).await?;
        let mut done = self.fleet.reject_devices(actor, &within).await?;
        done.failed.extend(beyond);
        Ok(done)
    }

    /// Returns the log of an attempt of a device in reach.
    pub async fn attempt_log(&self, id: AttemptId) -> Result<Option<String>> {
        if !self.scope.is_everything() {
            let row = attempt::Entity::find_by_id(id.0)
                .one(self.fleet.db())
                .await?;
            let Some(row) = row else { return Ok(None) };
            let device = DeviceId::new(&row.device_id)
                .map_err(|_| Error::Corrupt(format!("the device of attempt {id}")))?;
            if !self.reaches(&device).await? {
                return Ok(None);
            }
        }
        self.fleet.attempt_log(id).await
    }

    /// Leaves out of many decisions those on devices out of reach.
    async fn divided(&self, decisions: &KeyDecisions) -> Result<(KeyDecisions, Vec<NotDecided>)> {
        let mut within = KeyDecisions {
            devices: Vec::new(),
            reason: decisions.reason.clone(),
        };
        let mut beyond = Vec::new();
        for key in &decisions.devices {
            if self.reaches(&key.id).await? {
                within.devices.push(key.clone());
            } else {
                beyond.push(NotDecided {
                    id: key.id.clone(),
                    detail: no_such(&key.id).to_problem().detail,
                });
            }
        }
        Ok((within, beyond))
    }

    /// Tells whether a device may be looked at: it is in reach, or nothing is out of it.
    pub(super) async fn reaches(&self, id: &DeviceId) -> Result<bool> {
        match self.check_device(id).await {
            Ok(_) => Ok(true),
            Err(Error::Problem(problem)) if problem.code == ProblemCode::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Refuses a device out of reach as one that isn't there; returns it where anything can be out of reach.
    async fn check_device(&self, id: &DeviceId) -> Result<Option<(Device, Bounds<'_>)>> {
        if self.scope.is_everything() {
            return Ok(None);
        }
        let row = device::Entity::find_by_id(id.as_str())
            .one(self.fleet.db())
            .await?;
        let device = device_of(row.ok_or_else(|| no_such(id))?)?;
        let bounds = self.bounds().await?;
        if bounds.has(&device) {
            Ok(Some((device, bounds)))
        } else {
            Err(no_such(id))
        }
    }
}

fn no_such(id: &DeviceId) -> Error {
    Error::not_found(format!("device `{id}`"))
}

/// Returns a device as it will be once it is registered, as far as groups and models see it.
fn registered(new: &ImportDevice) -> Device {
    Device {
        id: new.id.clone(),
        model: new.model.clone(),
        version: new.version.clone(),
        bootloader_version: None,
        state: DeviceState::Accepted,
        enrolled_at: otter_protocol::Timestamp(0),
        hold: new.hold.clone(),
        group: new.group.clone(),
        labels: new.labels.clone(),
        metadata: new.metadata.clone(),
        conditions: Conditions::default(),
        attempt: None,
        dialect: Default::default(),
        past: Default::default(),
    }
}
