//! What the device trusts, and whether an offer is part of it.

use std::io;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use otter_protocol::check_in::Offer;
use otter_protocol::{Sha256Digest, Version};
use otter_trust::{Role, SignedArtifact, TrustError, Verifier, target_name};

use crate::agent::Agent;
use crate::clock;
use crate::disk;
use crate::net::{NetError, ServerMetadata};
use crate::trust_store::DiskStore;

const LARGEST_ROOT: u64 = 256 << 10;

/// Why an offer isn't trusted, or can't be judged now.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Distrust {
    /// It isn't signed for this device.
    #[error("{0}")]
    Refused(String),
    /// The server can't be asked now.
    #[error("{error:#}")]
    Later {
        /// Why not.
        error: anyhow::Error,
        /// When it wants to be asked again, where it says so.
        retry_after: Option<Duration>,
    },
}

impl Distrust {
    /// Returns what kept the server from being asked as it was, with the time that it wants to be left alone.
    pub(crate) fn into_error(self) -> anyhow::Error {
        match self {
            Self::Refused(why) => anyhow::Error::msg(why),
            Self::Later { error, .. } => error,
        }
    }
}

impl Agent {
    /// Makes sure that there is a root to begin with: pinned, kept, or else the first that the server gives.
    pub(crate) async fn pin_root(&self) -> Result<(), Distrust> {
        if let Err(TrustError::NoRoot) = self.open_verifier() {
            self.trust_first_root().await?;
        }
        Ok(())
    }

    fn open_verifier(&self) -> Result<Verifier<DiskStore>, TrustError> {
        let store_error = |source| TrustError::Store {
            name: "trust".to_owned(),
            source,
        };
        let store =
            DiskStore::open(self.disk.clone(), &self.config.state_dir).map_err(store_error)?;
        let pinned = self
            .config
            .root_metadata
            .as_ref()
            .map(|path| self.read_pinned(path))
            .transpose()
            .map_err(|source| TrustError::Store {
                name: "the pinned root".to_owned(),
                source,
            })?;
        Verifier::open(store, pinned.as_deref())
    }

    fn read_pinned(&self, path: &Path) -> io::Result<Vec<u8>> {
        let bytes = disk::read(self.disk.as_ref(), path, LARGEST_ROOT)?;
        bytes.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    async fn trust_first_root(&self) -> Result<(), Distrust> {
        let name = Role::Root.file_name(1);
        let fetched = self.client.trust_file(&name, LARGEST_ROOT).await;
        let Some(root) = fetched.map_err(|error| later(error.into()))? else {
            tracing::info!(
                "the server has no root metadata yet; it is asked again before the first update"
            );
            return Ok(());
        };
        let fingerprint = Sha256Digest::of(&root);
        if let Some(expected) = self.config.root_fingerprint
            && expected != fingerprint
        {
            return Err(Distrust::Refused(format!(
                "wrong root: the server's first root has the fingerprint {fingerprint}, but `root_fingerprint` says {expected}. \
                 Nothing was trusted: the device speaks with another server than its owner meant, or the server was stolen"
            )));
        }
        let store = DiskStore::open(self.disk.clone(), &self.config.state_dir)
            .context("the trust store can't be made")
            .map_err(later)?;
        Verifier::open(store, Some(&root))
            .context("the server's root metadata can't be used")
            .map_err(later)?;
        match self.config.root_fingerprint {
            Some(_) => {
                tracing::info!("the root with the fingerprint {fingerprint} is trusted from now on")
            }
            None => tracing::warn!(
                "the server's root metadata is trusted from now on, as the first one seen. Its fingerprint is {fingerprint}: \
                 compare it with the one in the dashboard's settings or from `otter trust show`"
            ),
        }
        Ok(())
    }

    /// Follows the server's metadata and returns what publishers signed under an offer's name.
    pub(crate) async fn judge(&self, offer: &Offer) -> Result<SignedArtifact, Distrust> {
        self.pin_root().await?;
        let mut verifier = self
            .open_verifier()
            .map_err(|error| distrust(error, None))?;
        let record = self.journal.record();
        let now = clock::trusted_now(record.trusted_time);
        let server = ServerMetadata::new(&self.client);
        verifier
            .refresh(&server, now)
            .await
            .map_err(|error| distrust(error, server.retry_after()))?;
        self.journal
            .change(|record| record.trusted_time = Some(now.into()))
            .map_err(|error| later(error.into()))?;
        let artifact = &offer.artifact;
        let name = target_name(offer.release_counter, &artifact.sha256);
        let installed = record
            .installed
            .map_or(0, |installed| installed.release_counter);
        let model = self.config.model.as_str();
        let signed = verifier
            .artifact(&server, &name, model, installed, now)
            .await
            .map_err(|error| distrust(error, server.retry_after()))?;
        equal(offer, &signed).map_err(Distrust::Refused)?;
        stepped(&self.version(), &signed).map_err(Distrust::Refused)?;
        let bootloader = self.bootloader.version().await;
        bootable(bootloader.as_ref(), &signed).map_err(Distrust::Refused)?;
        Ok(signed)
    }
}

/// What can't be fetched may be there later; everything else was an answer.
fn distrust(error: TrustError, retry_after: Option<Duration>) -> Distrust {
    match error {
        TrustError::Unreachable { .. } | TrustError::Store { .. } => Distrust::Later {
            error: error.into(),
            retry_after,
        },
        other => Distrust::Refused(other.to_string()),
    }
}

/// What went wrong now, and may not later.
fn later(error: anyhow::Error) -> Distrust {
    let retry_after = error
        .downcast_ref::<NetError>()
        .and_then(NetError::retry_after);
    Distrust::Later { error, retry_after }
}

/// Compares what was offered with what was signed: the server's word counts for nothing, so that a lie is worth a report.
fn equal(offer: &Offer, signed: &SignedArtifact) -> Result<(), String> {
    let differs = |what: &str, offered: &dyn std::fmt::Display, is: &dyn std::fmt::Display| {
        Err(format!(
            "wrong software: the server offers {what} {offered}, but {is} was signed. \
             Nothing was fetched; treat the server as stolen"
        ))
    };
    let facts = &signed.facts;
    if offer.artifact.size != signed.length {
        return differs("a length of", &offer.artifact.size, &signed.length);
    }
    if offer.version.as_str() != facts.version {
        return differs("version", &offer.version, &facts.version);
    }
    if offer.artifact.kind != facts.kind {
        return differs("the kind", &offer.artifact.kind, &facts.kind);
    }
    Ok(())
}

/// Refuses a release that needs another one first, where versions can be compared without the publishers' list.
fn stepped(running: &Version, signed: &SignedArtifact) -> Result<(), String> {
    let Some(needed) = signed.facts.min_version.as_deref().map(Version::from) else {
        return Ok(());
    };
    match (running.semantic(), needed.semantic()) {
        (Some(has), Some(needs)) if has < needs => Err(format!(
            "wrong software: {} needs version {needed} first, but the device runs {running}. \
             Roll {needed} out before it",
            signed.facts.version
        )),
        _ => Ok(()),
    }
}

/// Refuses a release that needs a newer boot loader, where both versions can be compared.
fn bootable(running: Option<&Version>, signed: &SignedArtifact) -> Result<(), String> {
    let needed = signed.facts.min_bootloader_version.as_deref();
    let (Some(running), Some(needed)) = (running, needed.map(Version::from)) else {
        return Ok(());
    };
    match (running.semantic(), needed.semantic()) {
        (Some(has), Some(needs)) if has < needs => Err(format!(
            "wrong software: {} needs boot loader {needed}, but the device has {running}. \
             Renew its boot loader first",
            signed.facts.version
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Step;
    use crate::testing;

    #[test]
    fn an_offer_must_equal_what_was_signed() {
        let signed = SignedArtifact::from(testing::signed(b"new"));
        let offer = testing::attempt(Step::Checking).offer;
        equal(&offer, &signed).unwrap();
        let lies: [fn(&mut Offer); 3] = [
            |offer| offer.artifact.size = 4,
            |offer| offer.version = "9.9.9".into(),
            |offer| offer.artifact.kind = otter_protocol::ArtifactKind::Image,
        ];
        for lie in lies {
            let mut offer = offer.clone();
            lie(&mut offer);
            let error = equal(&offer, &signed).unwrap_err();
            assert!(error.starts_with("wrong software"), "{error}");
        }
    }

    #[test]
    fn a_signed_minimum_holds_whatever_the_server_decides() {
        let mut signed = SignedArtifact::from(testing::signed(b"new"));
        stepped(&"0.1.0".into(), &signed).unwrap();
        signed.facts.min_version = Some("1.5.0".to_owned());
        let error = stepped(&"1.4.9".into(), &signed).unwrap_err();
        assert!(error.contains("1.5.0 first"), "{error}");
        stepped(&"1.5.0".into(), &signed).unwrap();
        stepped(&"summer".into(), &signed).unwrap();
    }

    #[test]
    fn a_signed_minimum_of_the_boot_loader_holds_where_it_is_known() {
        let mut signed = SignedArtifact::from(testing::signed(b"new"));
        bootable(Some(&"1.0.0".into()), &signed).unwrap();
        signed.facts.min_bootloader_version = Some("2.0.0".to_owned());
        let error = bootable(Some(&"1.9.0".into()), &signed).unwrap_err();
        assert!(error.contains("needs boot loader 2.0.0"), "{error}");
        bootable(Some(&"2.0.0".into()), &signed).unwrap();
        bootable(Some(&"winter".into()), &signed).unwrap();
        bootable(None, &signed).unwrap();
    }
}
