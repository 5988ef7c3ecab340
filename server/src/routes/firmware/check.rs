//! The poll: a name, a model and a version in the address; what to install in the answer.

use axum::Json;
use axum::extract::State;
use otter_fleet::FirmwareOffer;
use otter_protocol::{DeviceId, Model, Version};
use serde::{Deserialize, Serialize};
use url::Url;

use super::Answer;
use super::caller::Shown;
use super::failure::Said;
use crate::extract::Query;
use crate::failure::Failure;
use crate::server::Server;

/// What a device says of itself.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Check {
    /// Its own name.
    #[param(value_type = String, min_length = 1, max_length = 128)]
    device_id: DeviceId,
    /// What hardware it is.
    #[param(value_type = String, min_length = 1, max_length = 64)]
    device_model: Model,
    /// What it runs.
    #[param(value_type = String, min_length = 1, max_length = 100)]
    current_version: Version,
}

/// What there is for a device.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Checked {
    /// Whether there is something to install.
    update_available: bool,
    /// What the device said that it runs.
    current_version: String,
    /// What it would be on; without an update its model's newest version, where there is one.
    latest_version: Option<String>,
    /// Where the bytes are, on this server.
    download_url: Option<String>,
    /// How many they are.
    file_size: Option<u64>,
    /// Their SHA-256 in 64 hex digits.
    checksum_sha256: Option<String>,
    /// What changed, to people.
    release_notes: Option<String>,
}

/// Tells a device whether there is firmware for it; registers it at first sight.
#[utoipa::path(get, path = "/api/firmware/check", tag = "Plain firmware API", operation_id = "firmware_check",
    params(Check),
    responses((status = 200, description = "What there is for the device", body = Checked)))]
pub(crate) async fn check(
    State(server): State<Server>,
    shown: Shown,
    Said(Query(said)): Said<Query<Check>>,
) -> Answer<Checked> {
    let Check {
        device_id,
        device_model: model,
        current_version: version,
    } = said;
    if version.as_str().trim().is_empty() {
        let detail = "The version must not be empty.";
        return Err(Failure::invalid("current_version", detail).into());
    }
    let known = shown
        .device_or_new(&server, &device_id, &model, &version)
        .await?;
    let fleet = server.fleet();
    let current_version = version.to_string();
    let answer = fleet.firmware_check(&known, &model, version).await?;
    let offer = answer.offer;
    let url = offer.as_ref().map(|offer| {
        let published = fleet.published_firmware();
        let mut same = published
            .iter()
            .filter(|one| one.release.version == offer.version);
        // Another model's bytes may have the same version.
        let is_plain = same.all(|one| one.artifact.sha256 == offer.sha256);
        address(offer, (!is_plain).then_some(&model))
    });
    let latest = offer.as_ref().map(|offer| offer.version.clone());
    Ok(Json(Checked {
        update_available: offer.is_some(),
        current_version,
        latest_version: latest.or(answer.newest).map(|version| version.to_string()),
        download_url: url,
        file_size: offer.as_ref().map(|offer| offer.size),
        checksum_sha256: offer.as_ref().map(|offer| offer.sha256.to_string()),
        release_notes: offer.map(|offer| offer.notes),
    }))
}

/// Writes where an offer's bytes are; versions are free text.
fn address(offer: &FirmwareOffer, model: Option<&Model>) -> String {
    let path = "/api/firmware/download";
    let Ok(mut url) = Url::parse("http://device.invalid") else {
        return format!("{path}/{}", offer.version);
    };
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.extend(["api", "firmware", "download", offer.version.as_str()]);
    }
    if let Some(model) = model {
        url.query_pairs_mut()
            .append_pair("device_model", model.as_str());
    }
    match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use otter_protocol::Sha256Digest;

    use super::*;

    #[test]
    fn versions_are_free_text_in_an_address_too() {
        let offer = |version: &str| FirmwareOffer {
            version: version.into(),
            size: 1,
            sha256: Sha256Digest::of(b"x"),
            notes: String::new(),
        };
        let model = Model::new("esp32 v2").unwrap();
        let plain = |version| address(&offer(version), None);
        assert_eq!(plain("1.1.0"), "/api/firmware/download/1.1.0");
        assert_eq!(plain("a/b ?"), "/api/firmware/download/a%2Fb%20%3F");
        assert_eq!(
            address(&offer("1"), Some(&model)),
            "/api/firmware/download/1?device_model=esp32+v2"
        );
    }
}
