//! Releases: lists, one release, making and withdrawing them.

use leptos::prelude::*;
use otter_protocol::ReleaseId;
use otter_protocol::admin::ReleaseDetail;
use otter_protocol::release::Release;
use serde::{Deserialize, Serialize};

use super::ApiError;

/// Releases, and what their form offers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ReleaseList {
    /// The releases, the newest first.
    pub(crate) releases: Vec<Release>,
    /// Models that devices have said.
    pub(crate) models: Vec<String>,
}

/// A release of bytes that were uploaded.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ReleaseForm {
    /// Its version.
    pub(crate) version: String,
    /// Models that it fits, separated by commas.
    pub(crate) models: String,
    /// What the artifact is.
    pub(crate) kind: String,
    /// What changed.
    pub(crate) notes: String,
    /// The lowest version that can update to it directly; empty for any.
    pub(crate) min_version: String,
    /// `on` where devices pass over their own wishes.
    pub(crate) required: String,
    /// The bytes' SHA-256.
    pub(crate) sha256: String,
}

/// Lists releases.
#[server(prefix = "/ui", endpoint = "releases", input = leptos::server_fn::codec::GetUrl)]
pub(crate) async fn list_releases() -> Result<ReleaseList, ApiError> {
    let fleet = super::auth::viewer().await?.fleet;
    Ok(ReleaseList {
        releases: fleet.releases().await?,
        models: fleet
            .models()
            .await?
            .iter()
            .map(ToString::to_string)
            .collect(),
    })
}

/// Returns a release with where it runs.
#[server(prefix = "/ui", endpoint = "release", input = leptos::server_fn::codec::GetUrl)]
pub(crate) async fn get_release(id: ReleaseId) -> Result<ReleaseDetail, ApiError> {
    Ok(super::auth::viewer().await?.fleet.release(id).await?)
}

/// Makes a draft of bytes that were uploaded, and goes on to its page.
#[server(prefix = "/ui", endpoint = "create-release")]
pub(crate) async fn create_release(
    #[server(default)] form: ReleaseForm,
) -> Result<ReleaseId, ApiError> {
    use super::auth;
    let caller = auth::operator().await?;
    let new = form.new_release().map_err(auth::fail)?;
    let release = caller
        .fleet
        .create_release(&caller.actor, &new)
        .await
        .map_err(|error| auth::fail(error.into()))?;
    leptos_axum::redirect(&format!("/releases/{}", release.id));
    Ok(release.id)
}

/// Takes a release back.
#[server(prefix = "/ui", endpoint = "withdraw-release")]
pub(crate) async fn withdraw_release(
    id: ReleaseId,
    #[server(default)] reason: String,
) -> Result<(), ApiError> {
    let caller = super::auth::operator().await?;
    let withdrawn = caller
        .fleet
        .withdraw_release(&caller.actor, id, reason.trim())
        .await;
    withdrawn
        .map(drop)
        .map_err(|error| super::auth::fail(error.into()))
}

impl ReleaseForm {
    /// Checks what can be checked before the bytes are there.
    pub(crate) fn check(&self) -> Result<(), ApiError> {
        if self.version.trim().is_empty() {
            return Err(ApiError::invalid(
                "version",
                "A release needs a version, such as 1.2.0.",
            ));
        }
        if self.models().next().is_none() {
            return Err(ApiError::invalid(
                "models",
                "Name at least one model that the release fits.",
            ));
        }
        Ok(())
    }

    fn models(&self) -> impl Iterator<Item = &str> {
        self.models
            .split(',')
            .map(str::trim)
            .filter(|model| !model.is_empty())
    }

    /// Returns the release that the form describes; the error names the field that is wrong.
    #[cfg(any(feature = "ssr", test))]
    fn new_release(&self) -> Result<otter_protocol::admin::NewRelease, ApiError> {
        use otter_protocol::{Model, Version};
        self.check()?;
        let models: Result<Vec<_>, _> = self.models().map(Model::new).collect();
        let artifact = otter_protocol::admin::NewArtifact {
            sha256: self
                .sha256
                .parse()
                .map_err(|_| ApiError::invalid("file", "Choose the file to upload."))?,
            kind: self
                .kind
                .parse()
                .map_err(|error: String| ApiError::invalid("kind", error))?,
            models: models.map_err(|error| ApiError::invalid("models", error.to_string()))?,
        };
        let min_version = Some(self.min_version.trim())
            .filter(|text| !text.is_empty())
            .map(Version::from);
        Ok(otter_protocol::admin::NewRelease {
            version: Version::from(self.version.trim()),
            notes: self.notes.trim().to_owned(),
            min_version,
            min_bootloader_version: None,
            required: self.required == "on",
            artifacts: vec![artifact],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form() -> ReleaseForm {
        ReleaseForm {
            version: " 1.2.0 ".into(),
            models: "rpi4, esp32-v2,".into(),
            kind: "bundle".into(),
            sha256: "ab".repeat(32),
            ..ReleaseForm::default()
        }
    }

    #[test]
    fn a_form_becomes_a_release() {
        let release = form().new_release().unwrap();
        assert_eq!(release.version, "1.2.0".into());
        assert_eq!(release.artifacts[0].models.len(), 2);
        assert_eq!((release.min_version, release.required), (None, false));
    }

    #[test]
    fn each_fault_names_its_field() {
        let field = |change: fn(&mut ReleaseForm)| {
            let mut form = form();
            change(&mut form);
            form.new_release().unwrap_err().0.field.unwrap()
        };
        assert_eq!(field(|form| form.version = " ".into()), "version");
        assert_eq!(field(|form| form.models = ",".into()), "models");
        assert_eq!(field(|form| form.models = "a\u{7}".into()), "models");
        assert_eq!(field(|form| form.kind = "zip".into()), "kind");
        assert_eq!(field(|form| form.sha256 = "".into()), "file");
    }
}
