//! One artifact as publishers sign it: a TUF target with Otter's words in `custom`.

use std::collections::BTreeMap;

use otter_protocol::{ArtifactKind, Sha256Digest};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::delegated_role::encode;
use crate::document::malformed;
use crate::{TrustError, Unfit};

/// An artifact of a release, as signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedArtifact {
    /// SHA-256 of the whole artifact.
    pub sha256: Sha256Digest,
    /// Length of the whole artifact, in bytes.
    pub length: u64,
    /// What it is and whom it fits.
    pub facts: ArtifactFacts,
}

/// What publishers say of an artifact, in the target's `custom.otter`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactFacts {
    /// Models that it fits; never empty.
    pub models: Vec<String>,
    /// Version of the release; free text.
    pub version: String,
    /// Place of the release in the order of publication, from 1; the artifacts of one release share it.
    pub release_counter: u64,
    /// Version that a device must run before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_version: Option<String>,
    /// Version that a device's boot loader must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_bootloader_version: Option<String>,
    /// How it is installed.
    pub kind: ArtifactKind,
    /// Whether devices may not skip the release.
    #[serde(default)]
    pub required: bool,
    /// Notes of the release.
    #[serde(default)]
    pub notes: String,
    /// Publishers' permission to install it over a release with a higher counter.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub downgrade_permitted: bool,
}

#[derive(Deserialize)]
struct Target {
    length: u64,
    hashes: Hashes,
    custom: Option<Custom>,
}

#[derive(Deserialize)]
struct Hashes {
    sha256: Sha256Digest,
}

#[derive(Deserialize)]
struct Custom {
    otter: Option<ArtifactFacts>,
}

impl SignedArtifact {
    /// Returns the target's name, `r{release_counter}/{sha256}`: one of its kind in a release.
    #[must_use]
    pub fn name(&self) -> String {
        target_name(self.facts.release_counter, &self.sha256)
    }

    /// Returns its names on the list of a delegated role, one for each model, by the model.
    ///
    /// A device looks for the name with its own model, so that what a role was given decides whom it reaches.
    #[must_use]
    pub fn delegated_names(&self) -> BTreeMap<String, String> {
        let models = self.facts.models.iter();
        models
            .map(|model| (model.clone(), delegated_name(model, &self.name())))
            .collect()
    }

    /// Writes the target as TUF has it.
    #[must_use]
    pub fn to_target(&self) -> Value {
        json!({
            "length": self.length,
            "hashes": { "sha256": self.sha256 },
            "custom": { "otter": self.facts },
        })
    }

    /// Reads a target; fails where it is none of Otter's, or its name belongs to another.
    pub fn from_target(name: &str, target: &Value) -> Result<Self, TrustError> {
        let artifact = Self::read(name, target)?;
        if artifact.name() != name {
            return Err(malformed(
                &format!("target {name}"),
                format!("its name should be {}", artifact.name()),
            ));
        }
        Ok(artifact)
    }

    /// Reads a target from the list of a delegated role; its name must be that of one of its models.
    pub fn from_delegated_target(name: &str, target: &Value) -> Result<Self, TrustError> {
        let artifact = Self::read(name, target)?;
        let names = artifact.delegated_names();
        if names.values().any(|own| own == name) {
            return Ok(artifact);
        }
        let names: Vec<_> = names.into_values().collect();
        Err(malformed(
            &format!("target {name}"),
            format!("its name should be one of {}", names.join(", ")),
        ))
    }

    fn read(name: &str, target: &Value) -> Result<Self, TrustError> {
        let what = || format!("target {name}");
        let target = Target::deserialize(target).map_err(|error| malformed(&what(), error))?;
        let facts = target
            .custom
            .and_then(|custom| custom.otter)
            .ok_or_else(|| malformed(&what(), "it has no `otter` in `custom`"))?;
        let artifact = Self {
            sha256: target.hashes.sha256,
            length: target.length,
            facts,
        };
        artifact.check()?;
        Ok(artifact)
    }

    /// Fails where the facts make no sense: no model, no version, counter 0.
    pub fn check(&self) -> Result<(), TrustError> {
        let facts = &self.facts;
        let refused = |reason: &str| Err(malformed(&format!("target {}", self.name()), reason));
        if facts.models.is_empty() || facts.models.iter().any(String::is_empty) {
            return refused("it names no model");
        }
        if facts.version.is_empty() {
            return refused("it names no version");
        }
        if facts.release_counter == 0 {
            return refused("its release counter is 0; counters start at 1");
        }
        Ok(())
    }

    /// Returns `Ok` when a device of this model, on a release of this counter, may install it.
    ///
    /// `installed_counter` is 0 on a device that has no release yet.
    pub fn fits(&self, model: &str, installed_counter: u64) -> Result<(), TrustError> {
        let facts = &self.facts;
        let why = if !facts.models.iter().any(|signed| signed == model) {
            Unfit::Model {
                model: model.to_owned(),
                models: facts.models.clone(),
            }
        } else if facts.release_counter < installed_counter && !facts.downgrade_permitted {
            Unfit::OlderCounter {
                installed: installed_counter,
                offered: facts.release_counter,
            }
        } else {
            return Ok(());
        };
        Err(TrustError::WrongSoftware {
            name: self.name(),
            why,
        })
    }

    /// Returns `Ok` when bytes of this length and digest are those that were signed.
    pub fn matches(&self, length: u64, sha256: &Sha256Digest) -> Result<(), TrustError> {
        if self.length == length && self.sha256 == *sha256 {
            return Ok(());
        }
        Err(TrustError::WrongBytes {
            name: self.name(),
            signed: self.sha256,
            signed_length: self.length,
            actual: *sha256,
            length,
        })
    }
}

/// Returns the name of the target for an artifact of a release.
#[must_use]
pub fn target_name(release_counter: u64, sha256: &Sha256Digest) -> String {
    format!("r{release_counter}/{sha256}")
}

/// Returns the name for a model on a delegated role's list: `{model}/r{release_counter}/{sha256}`, the model encoded.
pub(crate) fn delegated_name(model: &str, name: &str) -> String {
    format!("{}/{name}", encode(model))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn artifact() -> SignedArtifact {
        SignedArtifact {
            sha256: Sha256Digest([0xab; 32]),
            length: 12,
            facts: ArtifactFacts {
                models: vec!["rpi4".to_owned(), "rpi5".to_owned()],
                version: "1.1.0".to_owned(),
                release_counter: 7,
                min_version: Some("1.0.0".to_owned()),
                min_bootloader_version: None,
                kind: ArtifactKind::Bundle,
                required: true,
                notes: "Otters, \"quoted\"\n\\ and über".to_owned(),
                downgrade_permitted: false,
            },
        }
    }

    #[test]
    fn target_round_trips() {
        let artifact = artifact();
        assert_eq!(artifact.name(), format!("r7/{}", "ab".repeat(32)));
        let target = artifact.to_target();
        assert_eq!(target["custom"]["otter"]["kind"], "bundle");
        assert!(
            target["custom"]["otter"]
                .get("downgrade_permitted")
                .is_none()
        );
        let read = SignedArtifact::from_target(&artifact.name(), &target).unwrap();
        assert_eq!(read, artifact);
    }

    #[test]
    fn unknown_words_are_left_for_newer_devices() {
        let mut target = artifact().to_target();
        target["custom"]["otter"]["colour"] = json!("brown");
        assert!(SignedArtifact::from_target(&artifact().name(), &target).is_ok());
    }

    #[test]
    fn a_name_that_is_not_its_own_is_refused() {
        let target = artifact().to_target();
        for name in [
            format!("r8/{}", "ab".repeat(32)),
            format!("r7/{}", "ac".repeat(32)),
        ] {
            let error = SignedArtifact::from_target(&name, &target).unwrap_err();
            assert!(matches!(error, TrustError::Malformed { .. }), "{error}");
        }
    }

    #[test]
    fn a_delegated_name_is_one_of_its_models() {
        let artifact = artifact();
        let target = artifact.to_target();
        let names = artifact.delegated_names();
        let expected = ["rpi4", "rpi5"].map(|model| format!("{model}/{}", artifact.name()));
        assert_eq!(names.into_values().collect::<Vec<_>>(), expected);
        for name in &expected {
            let read = SignedArtifact::from_delegated_target(name, &target).unwrap();
            assert_eq!(read, artifact);
            assert!(SignedArtifact::from_target(name, &target).is_err());
        }
        for other in [artifact.name(), format!("toaster/{}", artifact.name())] {
            assert!(SignedArtifact::from_delegated_target(&other, &target).is_err());
        }
    }

    #[test]
    fn facts_that_make_no_sense_are_refused() {
        let mut no_model = artifact();
        no_model.facts.models.clear();
        let mut no_version = artifact();
        no_version.facts.version.clear();
        let mut no_counter = artifact();
        no_counter.facts.release_counter = 0;
        for artifact in [no_model, no_version, no_counter] {
            assert!(SignedArtifact::from_target(&artifact.name(), &artifact.to_target()).is_err());
        }
        let foreign = json!({"length": 1, "hashes": {"sha256": "ab".repeat(32)}});
        assert!(SignedArtifact::from_target("r7/x", &foreign).is_err());
    }

    #[test]
    fn fits_its_models_and_goes_forward_only() {
        let mut artifact = artifact();
        for installed in [0, 6, 7] {
            artifact.fits("rpi5", installed).unwrap();
        }
        let why = |error| match error {
            TrustError::WrongSoftware { why, .. } => why,
            other => panic!("{other}"),
        };
        let older = Unfit::OlderCounter {
            installed: 8,
            offered: 7,
        };
        assert_eq!(why(artifact.fits("rpi5", 8).unwrap_err()), older);
        assert!(matches!(
            why(artifact.fits("rpi3", 0).unwrap_err()),
            Unfit::Model { .. }
        ));
        artifact.facts.downgrade_permitted = true;
        artifact.fits("rpi5", 8).unwrap();
        assert!(artifact.fits("rpi3", 8).is_err());
    }

    #[test]
    fn bytes_must_be_those_that_were_signed() {
        let artifact = artifact();
        artifact.matches(12, &Sha256Digest([0xab; 32])).unwrap();
        for (length, digest) in [(13, [0xab; 32]), (12, [0xac; 32])] {
            let error = artifact.matches(length, &Sha256Digest(digest)).unwrap_err();
            assert!(matches!(error, TrustError::WrongBytes { .. }), "{error}");
        }
    }
}
