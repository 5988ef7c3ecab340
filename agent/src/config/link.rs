//! Connections in their order of preference, and what may travel over those that cost.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::money::Money;
use super::seconds::Seconds;

const LONGEST_NAME: usize = 64;
/// Linux's own limit.
const LONGEST_INTERFACE: usize = 15;

/// One connection.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkConfig {
    /// What people call it.
    pub name: String,
    /// What it is; for people.
    #[serde(default)]
    pub kind: LinkKind,
    /// The network interface that it goes out by.
    pub interface: Option<String>,
    /// The address of this device that it goes out from.
    pub source: Option<IpAddr>,
    /// It costs by the byte.
    #[serde(default)]
    pub is_metered: bool,
    /// What it costs, where that is known.
    pub price_per_mib: Option<Money>,
    /// Carries enrollment, check-ins and reports, and nothing else.
    #[serde(default)]
    pub trigger_only: bool,
    probe_timeout_sec: Option<Seconds>,
}

/// What a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkKind {
    /// Wireless LAN.
    Wifi,
    /// A mobile network.
    Cellular,
    /// A cable.
    Ethernet,
    /// Far, and slow.
    Lora,
    /// Something else.
    #[default]
    Other,
}

impl fmt::Display for LinkKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Wifi => "wifi",
            Self::Cellular => "cellular",
            Self::Ethernet => "ethernet",
            Self::Lora => "lora",
            Self::Other => "other",
        })
    }
}

impl LinkConfig {
    /// Returns how long connecting over it may take, where that differs from the others.
    pub fn probe_timeout(&self) -> Option<Duration> {
        self.probe_timeout_sec.map(Seconds::get)
    }

    fn check(&self) -> Result<(), String> {
        let is_name = |text: &str, most| {
            !text.trim().is_empty() && text.len() <= most && !text.contains(char::is_control)
        };
        if !is_name(&self.name, LONGEST_NAME) {
            return Err(format!("`name` needs 1 to {LONGEST_NAME} characters"));
        }
        let is_interface =
            |text: &str| is_name(text, LONGEST_INTERFACE) && !text.contains(['/', ' ']);
        if !self.interface.as_deref().is_none_or(is_interface) {
            return Err(
                "`interface` must be a network interface's name, such as \"wlan0\"".to_owned(),
            );
        }
        if self.price_per_mib.is_some() && !self.is_metered {
            return Err(
                "a link with `price_per_mib` costs by the byte: set `is_metered = true` too"
                    .to_owned(),
            );
        }
        if self.probe_timeout() == Some(Duration::ZERO) {
            return Err("`probe_timeout_sec` must be more than 0".to_owned());
        }
        Ok(())
    }
}

/// Checks all connections.
pub(super) fn check(links: &[LinkConfig]) -> Result<(), String> {
    for (place, link) in links.iter().enumerate() {
        let number = place + 1;
        link.check()
            .map_err(|reason| format!("`[[link]]` number {number}: {reason}"))?;
        let mut before = links.iter().take(place);
        if before.any(|other| other.name == link.name) {
            return Err(format!(
                "`[[link]]` number {number}: another link has the name `{}`",
                link.name
            ));
        }
    }
    Ok(())
}

/// What may be fetched over links that cost. Releases that their publishers signed as required always may.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MeteredPolicy {
    /// Artifacts may.
    pub allow: bool,
    /// Artifacts may whose missing bytes cost at most this.
    pub max_cost: Option<Money>,
}
