//! Where artifacts lie, and whether devices are sent there.

use std::ffi::OsString;

use otter_fleet::{ArtifactPlace, ArtifactRedirect, FleetConfig, ObjectAccess};

use super::ConfigError;

/// Sets what was given; what is on its way to a bucket lies where the artifacts would lie otherwise.
pub(super) fn set(
    fleet: &mut FleetConfig,
    place: Option<&str>,
    redirect: Option<&str>,
) -> Result<(), ConfigError> {
    let wrong = |key| move |why| ConfigError::Value { key, why };
    if let (Some(place), ArtifactPlace::Folder(folder)) = (place, fleet.artifacts.clone()) {
        let is_text = |(name, value): (OsString, OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        let access = ObjectAccess::new(std::env::vars_os().filter_map(is_text));
        fleet.artifacts =
            ArtifactPlace::parse(place, folder, access).map_err(wrong("OTTER_ARTIFACTS"))?;
    }
    if let Some(redirect) = redirect {
        fleet.artifacts_redirect = ArtifactRedirect::parse(redirect, &fleet.artifacts)
            .map_err(wrong("OTTER_ARTIFACTS_REDIRECT"))?;
    }
    Ok(())
}
