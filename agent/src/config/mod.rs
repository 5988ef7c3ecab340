//! `otter-agent.toml`: what a person writes. `otter-agent.example.toml` explains every key.

mod backup;
mod bootloader;
mod bundle;
mod check;
mod container;
mod firmware;
mod health;
mod image;
mod life;
mod link;
mod module;
mod money;
mod network;
mod policy;
mod restart;
mod seconds;
mod service;
mod tls;

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use otter_protocol::{ArtifactKind, DeviceId, Model, Sha256Digest};
use serde::Deserialize;
use url::Url;

pub use backup::BackupConfig;
pub use bootloader::BootloaderVersion;
pub use bundle::BundleConfig;
pub use check::{Check, MqttLogin, Probe};
pub use container::{ContainerConfig, Way};
pub use firmware::FirmwareConfig;
pub use health::HealthPolicy;
pub use image::{BootConfig, ImageConfig, SlotConfig};
pub use life::{IdleLed, LedConfig, WatchdogConfig};
pub use link::{LinkConfig, LinkKind, MeteredPolicy};
pub use module::{ModuleConfig, Verb};
pub use money::Money;
pub use network::{CheckInPolicy, DownloadPolicy, KeepPolicy, RetryPolicy, UploadLogs};
pub use policy::{PolicyConfig, SolarConfig};
pub use restart::RestartConfig;
pub use service::{ServiceConfig, ServiceKind};
pub use tls::TlsConfig;

/// Most keys of metadata beside those of links: the server takes 64.
const MOST_METADATA: usize = 60;

/// Everything that can be set.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The server's address; device API calls go to `/device/v1` under it.
    pub server: Url,
    /// The device's own name.
    pub device_id: DeviceId,
    /// What hardware it is.
    pub model: Model,
    /// Where journal, key, token, trusted metadata and downloads are kept; one agent each.
    pub state_dir: PathBuf,
    /// Lets the device in at enrollment.
    #[serde(default)]
    pub enrollment_token: Option<String>,
    /// A file that holds the enrollment token, read at enrollment.
    #[serde(default)]
    pub enrollment_token_file: Option<PathBuf>,
    /// Root metadata that came with the device; without it, the first one that the server gives is trusted.
    #[serde(default)]
    pub root_metadata: Option<PathBuf>,
    /// What the first root that the server gives must have as its SHA-256; another is not trusted.
    #[serde(default)]
    pub root_fingerprint: Option<Sha256Digest>,
    /// After how many days the device changes its key and token; without it only when `otter-agent rotate` says so.
    #[serde(default)]
    pub rotate_key_days: Option<NonZeroU32>,
    /// Certificates that the device trusts and shows, beside the system's.
    #[serde(default)]
    pub tls: TlsConfig,
    /// What the device says of itself.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
    /// The connections, in their order of preference; without any, the system's routes decide.
    #[serde(default)]
    pub link: Vec<LinkConfig>,
    /// What may be fetched over connections that cost.
    #[serde(default)]
    pub metered: MeteredPolicy,
    /// The HTTP proxy that the server is reached through, in place of the environment's.
    #[serde(default)]
    pub proxy: Option<Url>,
    /// How often to check in.
    #[serde(default)]
    pub check_in: CheckInPolicy,
    /// How to fetch.
    #[serde(default)]
    pub download: DownloadPolicy,
    /// Of which attempts the server gets the log.
    #[serde(default)]
    pub upload_logs: UploadLogs,
    /// Tells the boot loader's version, where the device has one that matters.
    #[serde(default)]
    pub bootloader_version: Option<BootloaderVersion>,
    /// How to try again.
    #[serde(default)]
    pub retry: RetryPolicy,
    /// How `bundle` artifacts are installed.
    #[serde(default)]
    pub bundle: Option<BundleConfig>,
    /// How `image` artifacts are installed.
    #[serde(default)]
    pub image: Option<ImageConfig>,
    /// How `firmware` artifacts are installed.
    #[serde(default)]
    pub firmware: Option<FirmwareConfig>,
    /// How `module` artifacts are installed.
    #[serde(default)]
    pub module: Option<ModuleConfig>,
    /// How `container` artifacts are installed.
    #[serde(default)]
    pub container: Option<ContainerConfig>,
    /// What is put back where an update is taken back.
    #[serde(default)]
    pub backup: BackupConfig,
    /// How the device restarts.
    #[serde(default)]
    pub restart: RestartConfig,
    /// What must hold for a new version to stay.
    #[serde(default)]
    pub health: HealthPolicy,
    /// What must hold for an update to begin.
    #[serde(default)]
    pub policy: PolicyConfig,
    /// The machine's own watchdog, where the agent is to feed it.
    #[serde(default)]
    pub watchdog: Option<WatchdogConfig>,
    /// The lamp that shows what the agent does, where there is one.
    #[serde(default)]
    pub led: Option<LedConfig>,
}

/// What the device installs: one kind of artifact.
#[derive(Debug, Clone, Copy)]
pub enum Software<'a> {
    /// Trees of files.
    Bundle(&'a BundleConfig),
    /// Whole systems in slots.
    Image(&'a ImageConfig),
    /// What a controller behind this device runs.
    Firmware(&'a FirmwareConfig),
    /// Whatever an executable of the user's takes.
    Module(&'a ModuleConfig),
    /// Images of containers.
    Container(&'a ContainerConfig),
}

impl Software<'_> {
    /// Returns the kind of artifact.
    pub fn kind(&self) -> ArtifactKind {
        match self {
            Self::Bundle(_) => ArtifactKind::Bundle,
            Self::Image(_) => ArtifactKind::Image,
            Self::Firmware(_) => ArtifactKind::Firmware,
            Self::Module(_) => ArtifactKind::Module,
            Self::Container(_) => ArtifactKind::Container,
        }
    }
}

/// A configuration can't be used; the text names the file, the place in it and what to do.
#[derive(Debug, thiserror::Error)]
#[error("{}: {reason}", file.display())]
pub struct ConfigError {
    file: PathBuf,
    reason: String,
}

impl Config {
    /// Reads a file. Relative paths in it are relative to its folder.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        let error = |reason: String| ConfigError {
            file: file.to_owned(),
            reason,
        };
        let text = std::fs::read_to_string(file).map_err(|cause| {
            error(format!(
                "can't be read: {cause}. Name another with --config, or begin with otter-agent.example.toml"
            ))
        })?;
        let file = std::path::absolute(file).map_err(|cause| error(cause.to_string()))?;
        let folder = file.parent().unwrap_or(Path::new("/"));
        Self::parse(&text, folder).map_err(error)
    }

    /// Reads text; relative paths are relative to `folder`.
    pub fn parse(text: &str, folder: &Path) -> Result<Self, String> {
        let mut config: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        for path in config.paths() {
            *path = folder.join(&*path);
        }
        config.check()?;
        Ok(config)
    }

    /// Returns the token to enroll with, where there is one.
    pub fn enrollment_token(&self) -> std::io::Result<Option<String>> {
        match (&self.enrollment_token, &self.enrollment_token_file) {
            (Some(token), _) => Ok(Some(token.trim().to_owned())),
            (None, Some(file)) => Ok(Some(std::fs::read_to_string(file)?.trim().to_owned())),
            (None, None) => Ok(None),
        }
    }

    /// Returns what the device installs. There is exactly one kind in a configuration that was parsed; embedders, who
    /// bring an installer of their own, have none.
    pub fn software(&self) -> Option<Software<'_>> {
        self.sections().next()
    }

    fn sections(&self) -> impl Iterator<Item = Software<'_>> {
        let bundle = self.bundle.as_ref().map(Software::Bundle);
        let image = self.image.as_ref().map(Software::Image);
        let firmware = self.firmware.as_ref().map(Software::Firmware);
        let module = self.module.as_ref().map(Software::Module);
        let container = self.container.as_ref().map(Software::Container);
        let sections = [bundle, image, container, firmware, module];
        sections.into_iter().flatten()
    }

    /// Returns the places that updates write to.
    pub(crate) fn written(&self) -> impl Iterator<Item = &Path> {
        let bundle = self.bundle.as_ref().map(|bundle| &bundle.root);
        let boot = self.image.as_ref().and_then(|image| image.boot.file());
        [&self.state_dir]
            .into_iter()
            .chain(bundle)
            .chain(boot)
            .chain(&self.backup.paths)
            .map(PathBuf::as_path)
    }

    /// Tells whether downloads are kept until they are installed.
    pub fn keeps_downloads(&self) -> bool {
        match self.download.keep {
            KeepPolicy::Always => true,
            KeepPolicy::Metered => self.link.iter().any(|link| link.is_metered),
            KeepPolicy::Never => false,
        }
    }

    /// Returns the service that goes with the software, where there is one.
    pub fn service(&self) -> Option<&ServiceConfig> {
        self.bundle.as_ref()?.service.as_ref()
    }

    fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        [&mut self.state_dir]
            .into_iter()
            .chain(&mut self.enrollment_token_file)
            .chain(&mut self.root_metadata)
            .chain(self.tls.paths())
            .chain(self.bundle.iter_mut().flat_map(BundleConfig::paths))
            .chain(self.image.iter_mut().flat_map(ImageConfig::paths))
            .chain(self.module.iter_mut().flat_map(ModuleConfig::paths))
            .chain(self.container.iter_mut().flat_map(ContainerConfig::paths))
            .chain(&mut self.backup.paths)
            .chain(self.policy.paths())
            .chain(
                self.bootloader_version
                    .iter_mut()
                    .flat_map(BootloaderVersion::paths),
            )
            .chain(self.health.check.iter_mut().flat_map(Check::paths))
            .chain(
                self.watchdog
                    .iter_mut()
                    .map(|watchdog| &mut watchdog.device),
            )
    }

    fn check(&self) -> Result<(), String> {
        if !matches!(self.server.scheme(), "http" | "https") || self.server.cannot_be_a_base() {
            return Err("`server` must be an http:// or https:// address".to_owned());
        }
        if self.enrollment_token.is_some() && self.enrollment_token_file.is_some() {
            return Err("set `enrollment_token` or `enrollment_token_file`, not both".to_owned());
        }
        self.check_network()?;
        self.tls.check()?;
        self.check_in.check()?;
        if let [first, second, ..] = self.sections().collect::<Vec<_>>().as_slice() {
            return Err(format!(
                "`[{}]` and `[{}]` are both there, but a device installs one kind of artifact",
                first.kind(),
                second.kind()
            ));
        }
        self.bundle.as_ref().map_or(Ok(()), BundleConfig::check)?;
        self.image.as_ref().map_or(Ok(()), ImageConfig::check)?;
        self.policy.check()?;
        let firmware = self.firmware.as_ref();
        firmware.map_or(Ok(()), FirmwareConfig::check)?;
        self.module.as_ref().map_or(Ok(()), ModuleConfig::check)?;
        let container = self.container.as_ref();
        container.map_or(Ok(()), ContainerConfig::check)?;
        if self.health.settle() >= self.health.deadline() {
            return Err("`health.settle_sec` must be less than `health.deadline_sec`".to_owned());
        }
        self.watchdog
            .as_ref()
            .map_or(Ok(()), WatchdogConfig::check)?;
        self.led.as_ref().map_or(Ok(()), LedConfig::check)?;
        let service = self.service();
        let is_watched = self.container.is_some() || service.is_some_and(ServiceConfig::is_watched);
        for (place, check) in self.health.check.iter().enumerate() {
            check
                .validate(is_watched, self.health.deadline())
                .map_err(|reason| format!("`[[health.check]]` number {}: {reason}", place + 1))?;
        }
        Ok(())
    }

    fn check_network(&self) -> Result<(), String> {
        let is_http = |proxy: &Url| matches!(proxy.scheme(), "http" | "https") && proxy.has_host();
        if !self.proxy.as_ref().is_none_or(is_http) {
            return Err("`proxy` must be an http:// or https:// address".to_owned());
        }
        let policy = &self.download;
        let timeouts = [
            policy.connect_timeout(),
            policy.stall_timeout(),
            policy.least_speed().over,
        ];
        if timeouts.iter().any(Duration::is_zero) {
            return Err("the times in `[download]` must be more than 0".to_owned());
        }
        if !self.link.is_empty() && self.metadata.len() > MOST_METADATA {
            return Err(format!(
                "`[metadata]` has more than {MOST_METADATA} keys, which leaves no room for what `[[link]]` adds"
            ));
        }
        link::check(&self.link)
    }
}

#[cfg(test)]
mod tests;
