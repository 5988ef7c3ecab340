//! When the server is asked, how artifacts are fetched, and how both are tried again.

use std::num::NonZeroU64;
use std::time::Duration;

use serde::Deserialize;

use crate::net::speed::LeastSpeed;

use super::seconds::Seconds;

/// Of which ended attempts the server gets the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UploadLogs {
    /// Of all.
    Always,
    /// Of those that didn't succeed.
    #[default]
    Failures,
    /// Of none.
    Never,
}

/// Bounds on the interval that the server asks for.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CheckInPolicy {
    min_interval_sec: Seconds,
    max_interval_sec: Seconds,
}

impl Default for CheckInPolicy {
    fn default() -> Self {
        Self {
            min_interval_sec: Seconds::of(1),
            max_interval_sec: Seconds::of(24 * 60 * 60),
        }
    }
}

impl CheckInPolicy {
    pub(super) fn check(&self) -> Result<(), String> {
        if self.min_interval_sec.get() > self.max_interval_sec.get() {
            return Err("`check_in.min_interval_sec` is more than `max_interval_sec`".to_owned());
        }
        Ok(())
    }

    /// Returns the least time between two check-ins.
    pub fn min_interval(&self) -> Duration {
        self.min_interval_sec.get()
    }

    /// Returns the time to wait where the server asks for `sec` seconds.
    pub fn interval(&self, sec: u32) -> Duration {
        let (min, max) = (self.min_interval_sec.get(), self.max_interval_sec.get());
        Duration::from_secs(sec.into()).min(max).max(min)
    }
}

/// Limits on a download.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DownloadPolicy {
    connect_timeout_sec: Seconds,
    stall_timeout_sec: Seconds,
    /// Whether what came is kept on the disk until it is installed.
    pub keep: KeepPolicy,
    /// Most bytes of artifacts that are taken in a second, on average.
    pub max_bytes_per_sec: Option<NonZeroU64>,
    min_bytes_per_sec: u64,
    min_speed_over_sec: Seconds,
    /// Largest artifact that is fetched, in bytes, whoever signed it.
    pub max_bytes: u64,
}

impl Default for DownloadPolicy {
    fn default() -> Self {
        Self {
            connect_timeout_sec: Seconds::of(10),
            stall_timeout_sec: Seconds::of(30),
            keep: KeepPolicy::default(),
            max_bytes_per_sec: None,
            min_bytes_per_sec: 16,
            min_speed_over_sec: Seconds::of(60),
            max_bytes: 16 << 30,
        }
    }
}

/// Whether a bundle's bytes are kept on the disk until all of them came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeepPolicy {
    /// They are where a link is metered: there bytes cost more than flash.
    #[default]
    Metered,
    /// They are: after a restart a download goes on where it was. Flash is written twice.
    Always,
    /// They are unpacked as they come: flash is written once, and only where something changed. A restart begins again.
    Never,
}

impl DownloadPolicy {
    /// Returns how long connecting may take.
    pub fn connect_timeout(&self) -> Duration {
        self.connect_timeout_sec.get()
    }

    /// Returns how fast artifacts must come.
    pub fn least_speed(&self) -> LeastSpeed {
        // A limit above what is taken would call the device's own restraint an attack.
        let most = self.max_bytes_per_sec.map_or(u64::MAX, NonZeroU64::get);
        LeastSpeed {
            bytes_per_sec: self.min_bytes_per_sec.min(most / 2),
            over: self.min_speed_over_sec.get(),
        }
    }

    /// Returns how long a server may send nothing.
    pub fn stall_timeout(&self) -> Duration {
        self.stall_timeout_sec.get()
    }
}

/// Times between tries: a random part of `base · 2^n`, at most `max`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetryPolicy {
    base_sec: Seconds,
    max_sec: Seconds,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            base_sec: Seconds::of(1),
            max_sec: Seconds::of(300),
        }
    }
}

impl RetryPolicy {
    /// Makes a policy of two times.
    pub fn new(base: Duration, max: Duration) -> Self {
        Self {
            base_sec: Seconds(base),
            max_sec: Seconds(max),
        }
    }

    /// Returns the longest time to wait after `failures` failures, counted from 1.
    pub fn ceiling(&self, failures: u32) -> Duration {
        let factor = 2u32.saturating_pow(failures.saturating_sub(1).min(31));
        self.base_sec
            .get()
            .saturating_mul(factor)
            .min(self.max_sec.get())
    }
}
