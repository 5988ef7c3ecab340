//! `otter simulate`: many devices that aren't there.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use otter_protocol::{DeviceId, Model, Version};

use crate::simulate::{self, Settings};
use crate::text::{bytes, duration};
use crate::{Context, Failure};

/// Runs many simulated devices against the server's device API.
#[derive(Debug, Args)]
pub struct Simulate {
    /// How many devices.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    devices: u32,
    /// Their models, taken in turn.
    #[arg(
        long,
        value_name = "A,B,…",
        value_delimiter = ',',
        default_value = "simulated"
    )]
    models: Vec<Model>,
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
        let settings = Settings {
            server: context.server.clone(),
            devices: self.devices,
            models: self.models,
            enrollment_token: self.enrollment_token,
            version: self.version,
            id_prefix: self.id_prefix,
            interval: self.interval,
            step: self.step,
            fail: self.fail,
            fail_devices: self.fail_devices,
            rate_bytes: self.rate_bytes,
            concurrency: self.concurrency.into(),
            state: self.state,
            until_idle: self.until_idle,
            duration: self.duration,
        };
        simulate::run(settings, context.output).await
    }
}

fn rate(text: &str) -> Result<NonZeroU64, String> {
    NonZeroU64::new(bytes(text)?).ok_or_else(|| "0 bytes a second would never end".to_owned())
}
