//! `otter simulate`: many devices that aren't there.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use otter_protocol::{DeviceId, GroupName, Model, Version};

use crate::simulate::{self, Seed, Settings, Tempers};
use crate::text::{bytes, duration};
use crate::{Context, Failure};

/// Runs many simulated devices against the server's device API.
#[derive(Debug, Args)]
pub struct Simulate {
    /// How many devices.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    devices: u32,
    /// Their models, taken in turn; `simulated` where none is named.
    #[arg(long, value_name = "A,B,…", value_delimiter = ',')]
    models: Vec<Model>,
    /// Fills the server's registry with so many devices, of which none runs, and ends; needs an API key.
    ///
    /// Models, versions, groups, labels and holds are a usual mix, and follow from --seed and the device's number. A run that
    /// broke off is simply repeated. With an enrollment token, `otter simulate` under the same --id-prefix wakes the first
    /// of them up.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000_000),
        conflicts_with_all = ["devices", "enrollment_token", "version", "interval", "step", "fail", "fail_devices",
            "unhealthy", "silent", "flapping", "rate_bytes", "concurrency", "state", "until_idle", "duration"])]
    seed_only: Option<u32>,
    /// With --seed-only: groups, and how many devices in a hundred each has.
    #[arg(long, value_name = "GROUP=PERCENT,…", value_delimiter = ',', value_parser = simulate::group_share,
        default_value = "canary=1,internal=2,pilot=5,general=20", requires = "seed_only")]
    group_share: Vec<(GroupName, f64)>,
    /// With --seed-only: another number makes another fleet under the same ids.
    #[arg(long, value_name = "N", default_value_t = 1, requires = "seed_only")]
    seed: u64,
    /// Lets them in at once; without it they wait until an operator accepts each.
    #[arg(
        long,
        env = "OTTER_ENROLLMENT_TOKEN",
        hide_env_values = true,
        value_name = "TOKEN"
    )]
    enrollment_token: Option<String>,
    /// What they run at first.
    #[arg(long, default_value = "1.0.0")]
    version: Version,
    /// How their ids begin; a number follows.
    #[arg(long, value_name = "TEXT", default_value = "sim-")]
    id_prefix: String,
    /// Longest time between two check-ins, where the server would let them wait longer.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    interval: Option<Duration>,
    /// Time that each of installing, rebooting and verifying takes.
    #[arg(long, value_name = "TIME", default_value = "500ms", value_parser = duration)]
    step: Duration,
    /// How many of the devices fail every attempt and roll back: always the same, those whose cohort is highest.
    #[arg(long, value_name = "N", default_value_t = 0)]
    fail: u32,
    /// How many report, some time after they succeeded, that they are unhealthy, until they run what they ran before.
    #[arg(long, value_name = "N", default_value_t = 0)]
    unhealthy: u32,
    /// How many begin an attempt and are not heard of again.
    #[arg(long, value_name = "N", default_value_t = 0)]
    silent: u32,
    /// How many fail the first attempt at a version, and succeed at the next.
    #[arg(long, value_name = "N", default_value_t = 0)]
    flapping: u32,
    /// A device that fails every attempt and rolls back; may be repeated.
    #[arg(long = "fail-device", value_name = "ID")]
    fail_devices: Vec<DeviceId>,
    /// Most bytes a second that one device downloads, such as 64KiB.
    #[arg(long, value_name = "BYTES", value_parser = rate)]
    rate_bytes: Option<NonZeroU64>,
    /// Most requests at once, and most downloads at once beside them.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    concurrency: u16,
    /// Folder that keeps keys, tokens and versions, so that the next run has the same devices.
    #[arg(long, value_name = "FOLDER")]
    state: Option<PathBuf>,
    /// Ends once no device has had anything to do for this time.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    until_idle: Option<Duration>,
    /// Ends after this time.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    duration: Option<Duration>,
}

impl Simulate {
    /// Runs the command.
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        if let Some(devices) = self.seed_only {
            let seed = Seed {
                devices,
                models: self.models,
                groups: self.group_share,
                id_prefix: self.id_prefix,
                seed: self.seed,
            };
            return simulate::fill(seed, &context.client()?, context.output).await;
        }
        let settings = Settings {
            server: context.server.clone(),
            devices: self.devices,
            models: self.models_or_default()?,
            enrollment_token: self.enrollment_token,
            version: self.version,
            id_prefix: self.id_prefix,
            interval: self.interval,
            step: self.step,
            tempers: Tempers {
                failing: self.fail,
                unhealthy: self.unhealthy,
                silent: self.silent,
                flapping: self.flapping,
            },
            fail_devices: self.fail_devices,
            rate_bytes: self.rate_bytes,
            concurrency: self.concurrency.into(),
            state: self.state,
            until_idle: self.until_idle,
            duration: self.duration,
        };
        simulate::run(settings, context.output).await
    }

    fn models_or_default(&self) -> Result<Vec<Model>, Failure> {
        if !self.models.is_empty() {
            return Ok(self.models.clone());
        }
        let model = Model::new("simulated").map_err(|error| Failure::Usage(error.to_string()))?;
        Ok(vec![model])
    }
}

fn rate(text: &str) -> Result<NonZeroU64, String> {
    NonZeroU64::new(bytes(text)?).ok_or_else(|| "0 bytes a second would never end".to_owned())
}
