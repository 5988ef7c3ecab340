//! Devices: lists, one device, and changes to it.

use leptos::prelude::*;
use otter_protocol::admin::{DeviceDetail, DeviceSummary, Page};
use serde::{Deserialize, Serialize};

use super::{ApiError, DeviceQuery};

/// A page of devices, and what its filter offers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct DeviceList {
    /// The page.
    pub(crate) page: Page<DeviceSummary>,
    /// Models that devices have said.
    pub(crate) models: Vec<String>,
    /// Groups.
    pub(crate) groups: Vec<String>,
}

/// A device, and the groups that it may be put in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct DevicePage {
    /// The device.
    pub(crate) device: DeviceDetail,
    /// Groups.
    pub(crate) groups: Vec<String>,
}

/// Lists devices.
#[server(prefix = "/ui", endpoint = "devices", input = leptos::server_fn::codec::GetUrl)]
pub(crate) async fn list_devices(
    #[server(default)] query: DeviceQuery,
) -> Result<DeviceList, ApiError> {
    let fleet = super::auth::viewer().await?.fleet;
    Ok(DeviceList {
        page: fleet.devices(&query.filter()?).await?,
        models: fleet
            .models()
            .await?
            .iter()
            .map(ToString::to_string)
            .collect(),
        groups: group_names(&fleet).await?,
    })
}

/// Returns a device with its story, and why it updates or doesn't.
#[server(prefix = "/ui", endpoint = "device", input = leptos::server_fn::codec::GetUrl)]
pub(crate) async fn get_device(id: String) -> Result<DevicePage, ApiError> {
    let fleet = super::auth::viewer().await?.fleet;
    let device = fleet.device(&device_id(&id)?).await?;
    Ok(DevicePage {
        device,
        groups: group_names(&fleet).await?,
    })
}

/// Sets a device's labels, a `key=value` a line, and its group.
#[server(prefix = "/ui", endpoint = "device-labels")]
pub(crate) async fn set_labels(
    id: String,
    #[server(default)] labels: String,
    #[server(default)] group: String,
) -> Result<(), ApiError> {
    let patch = otter_protocol::admin::DevicePatch {
        labels: Some(parse_labels(&labels).map_err(super::auth::fail)?),
        group: Some(group.trim().to_owned()),
        hold: None,
    };
    patch_device(&id, &patch).await
}

/// Holds a device back, for a reason; without one, lets it go.
#[server(prefix = "/ui", endpoint = "device-hold")]
pub(crate) async fn set_hold(
    id: String,
    #[server(default)] reason: String,
) -> Result<(), ApiError> {
    let hold = Some(reason.trim().to_owned());
    patch_device(
        &id,
        &otter_protocol::admin::DevicePatch {
            hold,
            ..Default::default()
        },
    )
    .await
}

/// Lets a pending device take part, or takes the key that is held in place of the one it had.
#[server(prefix = "/ui", endpoint = "device-accept")]
pub(crate) async fn accept_device(id: String, fingerprint: String) -> Result<(), ApiError> {
    let caller = super::auth::operator().await?;
    let decision = decision(&fingerprint)?;
    let accepted = caller
        .fleet
        .accept_device(&caller.actor, &device_id(&id)?, &decision)
        .await;
    accepted
        .map(drop)
        .map_err(|error| super::auth::fail(error.into()))
}

/// Turns away the key that waits.
#[server(prefix = "/ui", endpoint = "device-reject")]
pub(crate) async fn reject_device(id: String, fingerprint: String) -> Result<(), ApiError> {
    let caller = super::auth::operator().await?;
    let decision = decision(&fingerprint)?;
    let rejected = caller
        .fleet
        .reject_device(&caller.actor, &device_id(&id)?, &decision)
        .await;
    rejected
        .map(drop)
        .map_err(|error| super::auth::fail(error.into()))
}

/// The key as the page showed it, so that nobody decides on another one that came meanwhile.
#[cfg(feature = "ssr")]
fn decision(fingerprint: &str) -> Result<otter_protocol::admin::KeyDecision, ApiError> {
    let read = fingerprint.parse();
    let fingerprint = read.map_err(|_| {
        let detail = "This is no key's fingerprint; load the page anew.";
        ApiError::invalid("fingerprint", detail)
    })?;
    Ok(otter_protocol::admin::KeyDecision {
        fingerprint: Some(fingerprint),
        reason: String::new(),
    })
}

/// Ends a device's access.
#[server(prefix = "/ui", endpoint = "device-revoke")]
pub(crate) async fn revoke_device(
    id: String,
    #[server(default)] reason: String,
) -> Result<(), ApiError> {
    let caller = super::auth::admin().await?;
    let revoked = caller
        .fleet
        .revoke_device(&caller.actor, &device_id(&id)?, reason.trim())
        .await;
    revoked
        .map(drop)
        .map_err(|error| super::auth::fail(error.into()))
}

#[cfg(feature = "ssr")]
async fn patch_device(
    id: &str,
    patch: &otter_protocol::admin::DevicePatch,
) -> Result<(), ApiError> {
    let caller = super::auth::operator().await?;
    let patched = caller
        .fleet
        .patch_device(&caller.actor, &device_id(id)?, patch)
        .await;
    patched
        .map(drop)
        .map_err(|error| super::auth::fail(error.into()))
}

#[cfg(feature = "ssr")]
pub(crate) async fn group_names(fleet: &otter_fleet::Fleet) -> Result<Vec<String>, ApiError> {
    Ok(fleet
        .groups()
        .await?
        .iter()
        .map(|group| group.name.to_string())
        .collect())
}

#[cfg(feature = "ssr")]
fn device_id(text: &str) -> Result<otter_protocol::DeviceId, ApiError> {
    otter_protocol::DeviceId::new(text).map_err(|error| ApiError::invalid("id", error.to_string()))
}

/// Reads labels as a form writes them: a `key=value` a line.
#[cfg(any(feature = "ssr", test))]
fn parse_labels(text: &str) -> Result<otter_protocol::device::Pairs, ApiError> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines
        .map(|line| match line.split_once('=') {
            Some((key, value)) if !key.trim().is_empty() => {
                Ok((key.trim().to_owned(), value.trim().to_owned()))
            }
            _ => Err(ApiError::invalid(
                "labels",
                format!("`{line}` is no label; write one as key=value, each on a line of its own."),
            )),
        })
        .collect()
}

#[cfg(feature = "ssr")]
impl DeviceQuery {
    /// Returns the filter that the query's texts stand for.
    fn filter(&self) -> Result<otter_protocol::admin::DeviceFilter, ApiError> {
        use otter_protocol::device::DeviceState;
        use otter_protocol::{GroupName, Model, Version};
        let given = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let state = match given(&self.state) {
            Some(text) => Some(DeviceState::named(&text).ok_or_else(|| {
                ApiError::invalid(
                    "state",
                    format!("`{text}` is no state of a device; choose one from the list."),
                )
            })?),
            None => None,
        };
        let name =
            |error: otter_protocol::id::NameError| ApiError::invalid("filter", error.to_string());
        Ok(otter_protocol::admin::DeviceFilter {
            search: given(&self.search),
            model: given(&self.model)
                .map(Model::new)
                .transpose()
                .map_err(name)?,
            version: given(&self.version).map(Version::from),
            state,
            group: given(&self.group)
                .map(GroupName::new)
                .transpose()
                .map_err(name)?,
            cursor: given(&self.cursor),
            limit: Some(50),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_one_a_line() {
        let labels = parse_labels(" site = north \n\nrack=\r\n").unwrap();
        assert_eq!(labels.get("site").map(String::as_str), Some("north"));
        assert_eq!(labels.get("rack").map(String::as_str), Some(""));
        assert_eq!(
            parse_labels("north").unwrap_err().0.field.as_deref(),
            Some("labels")
        );
        assert!(parse_labels("=north").is_err());
    }
}
