//! What people are told of the links.

use std::fmt;

use otter_protocol::device::Pairs;
use serde::Serialize;

use super::{ledger, signal};
use crate::config::{Config, LinkConfig, LinkKind, Money};
use crate::disk::Disk;

/// The link that was used last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LinkInUse {
    /// What people call it.
    pub name: String,
    /// What it is.
    pub kind: LinkKind,
    /// It costs by the byte.
    pub is_metered: bool,
    /// How strong its signal is, where the kernel knows it.
    pub signal_dbm: Option<i32>,
    /// What it cost so far, where it has a price.
    pub cost: Option<Money>,
}

impl LinkInUse {
    pub(super) fn new(link: &LinkConfig, signal_dbm: Option<i32>, cost: Option<Money>) -> Self {
        Self {
            name: link.name.clone(),
            kind: link.kind,
            is_metered: link.is_metered,
            signal_dbm,
            cost,
        }
    }

    /// Adds it to what the device says of itself; what the configuration says there stays.
    pub fn add_to(&self, pairs: &mut Pairs) {
        let signal = self.signal_dbm.map(|dbm| dbm.to_string());
        let cost = self.cost.map(|cost| cost.roughly().to_string());
        let said = [
            ("link", Some(self.name.clone())),
            ("link_kind", Some(self.kind.to_string())),
            ("link_signal_dbm", signal),
            ("link_cost", cost),
        ];
        for (key, value) in said {
            if let Some(value) = value {
                pairs.entry(key.to_owned()).or_insert(value);
            }
        }
    }
}

impl fmt::Display for LinkInUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let metered = if self.is_metered { ", metered" } else { "" };
        write!(f, "{} ({}{metered})", self.name, self.kind)?;
        if let Some(dbm) = self.signal_dbm {
            write!(f, ", {dbm} dBm")?;
        }
        self.cost
            .map_or(Ok(()), |cost| write!(f, ", cost {cost} so far"))
    }
}

/// How links stand, as `status` tells it.
#[derive(Debug, Serialize)]
pub struct LinkStatus {
    /// The link that was used last.
    pub in_use: Option<LinkInUse>,
    /// Why something waits for a better link, where it does.
    pub waits: Option<String>,
}

impl LinkStatus {
    /// Returns what there is to say, each with its name.
    pub fn lines(&self) -> impl Iterator<Item = (&'static str, String)> {
        let none = "none was used yet".to_owned();
        let in_use = self.in_use.as_ref().map_or(none, LinkInUse::to_string);
        let waits = self.waits.clone().map(|why| ("waits for a link", why));
        [("link", in_use)].into_iter().chain(waits)
    }
}

/// Reads how links stand; `None` where none are configured.
pub fn status(config: &Config, disk: &dyn Disk) -> Option<LinkStatus> {
    if config.link.is_empty() {
        return None;
    }
    let entry = ledger::look(disk, &config.state_dir);
    let mut links = config.link.iter();
    let link = links.find(|link| Some(&link.name) == entry.link.as_ref());
    let in_use = link.map(|link| {
        let signal = link.interface.as_deref();
        let signal = signal.and_then(|interface| signal::signal_dbm(disk, interface));
        LinkInUse::new(link, signal, entry.costs.get(&link.name).copied())
    });
    Some(LinkStatus {
        in_use,
        waits: entry.waits,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_says_what_it_knows_and_keeps_its_own_words() {
        let link = LinkInUse {
            name: "modem".to_owned(),
            kind: LinkKind::Cellular,
            is_metered: true,
            signal_dbm: None,
            cost: serde_json::from_str("1.2345").ok(),
        };
        assert_eq!(
            link.to_string(),
            "modem (cellular, metered), cost 1.2345 so far"
        );
        let own = ("link_kind".to_owned(), "LTE-M".to_owned());
        let mut pairs = Pairs::from([own]);
        link.add_to(&mut pairs);
        let said: Vec<String> = pairs
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        assert_eq!(said, ["link=modem", "link_cost=1.2", "link_kind=LTE-M"]);
    }
}
