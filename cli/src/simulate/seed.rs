//! A large fleet in the registry alone: devices as a server would know them after years, without one of them running.
//!
//! Each device follows from the seed and its number, so that a run that broke off is simply repeated.

use futures::StreamExt as _;
use otter_protocol::admin::ImportDevice;
use otter_protocol::device::Pairs;
use otter_protocol::{GroupName, Model};

use super::fleet::id_of;
use crate::api::Client;
use crate::import::{self, PIECE, Piece};
use crate::{Failure, Output};

/// Models and how many devices in a hundred have each, unless others are named.
const MODELS: [(&str, u64); 4] = [
    ("rpi4", 40),
    ("esp32-v2", 30),
    ("gateway-x1", 20),
    ("camera-2", 10),
];
/// Versions and how many devices in a hundred run each: most the last but one, some never came along.
const VERSIONS: [(&str, u64); 7] = [
    ("0.9.0", 3),
    ("0.9.2", 5),
    ("0.9.5", 12),
    ("1.0.0", 40),
    ("1.0.1", 22),
    ("1.0.2", 13),
    ("1.1.0", 5),
];
const LOCATIONS: [(&str, u64); 4] = [
    ("warehouse", 45),
    ("field", 30),
    ("office", 20),
    ("laboratory", 5),
];
const FUNCTIONS: [(&str, u64); 4] = [
    ("sensor", 55),
    ("gateway", 20),
    ("display", 15),
    ("pump", 10),
];
/// Why some devices are held: two in a thousand.
const HOLDS: [(&str, u64); 3] = [
    ("waits for a new battery", 1),
    ("customer asked for a freeze", 1),
    ("", 998),
];
/// How many sites the devices stand at.
const SITES: u64 = 500;

/// What fleet to make.
#[derive(Debug, Clone)]
pub struct Seed {
    /// How many devices.
    pub devices: u32,
    /// Their models, in equal parts; a usual mix where none is named.
    pub models: Vec<Model>,
    /// Groups, and how many devices in a hundred each has.
    pub groups: Vec<(GroupName, f64)>,
    /// How their ids begin.
    pub id_prefix: String,
    /// Another number makes another fleet under the same ids.
    pub seed: u64,
}

/// Fills the registry.
pub async fn fill(seed: Seed, client: &Client, output: Output) -> Result<(), Failure> {
    let total = seed.devices.into();
    let firsts = (1..=seed.devices).step_by(PIECE);
    let pieces = futures::stream::iter(firsts).map(|first| piece(&seed, first));
    let imported = import::send(client, total, output, pieces).await?;
    import::show(imported, output)
}

fn piece(seed: &Seed, first: u32) -> Result<Piece, Failure> {
    let mut piece = Piece::from_line(first.into());
    let last = first.saturating_add(PIECE as u32 - 1).min(seed.devices);
    for number in first..=last {
        piece.push(&device(seed, number)?)?;
    }
    Ok(piece)
}

fn device(seed: &Seed, number: u32) -> Result<ImportDevice, Failure> {
    let mut chance = Chance::new(seed.seed, number);
    let model = match seed
        .models
        .get(chance.below(seed.models.len() as u64) as usize)
    {
        Some(model) => model.clone(),
        None => Model::new(chance.weighed(&MODELS))
            .map_err(|error| Failure::Usage(format!("--models: {error}")))?,
    };
    let pair = |key: &str, value: String| (key.to_owned(), value);
    let hold = chance.weighed(&HOLDS);
    Ok(ImportDevice {
        id: id_of(&seed.id_prefix, number)?,
        model,
        version: chance.weighed(&VERSIONS).into(),
        group: chance.group(&seed.groups),
        labels: Pairs::from([
            pair("location", chance.weighed(&LOCATIONS).to_owned()),
            pair("function", chance.weighed(&FUNCTIONS).to_owned()),
            pair("site", format!("site-{:03}", 1 + chance.below(SITES))),
        ]),
        metadata: Pairs::from([
            pair("serial", format!("{:012x}", chance.next() >> 16)),
            pair("simulated", "true".to_owned()),
        ]),
        public_key: None,
        hold: (!hold.is_empty()).then(|| hold.to_owned()),
    })
}

/// Numbers that look random and are the same in every run: SplitMix64.
struct Chance(u64);

impl Chance {
    fn new(seed: u64, number: u32) -> Self {
        let mut chance = Self(seed);
        let start = chance.next() ^ u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self(start)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number below another; 0 below 0.
    fn below(&mut self, most: u64) -> u64 {
        self.next().checked_rem(most).unwrap_or(0)
    }

    fn weighed(&mut self, choices: &[(&'static str, u64)]) -> &'static str {
        let mut place = self.below(choices.iter().map(|(_, weight)| weight).sum());
        for (choice, weight) in choices {
            match place.checked_sub(*weight) {
                Some(rest) => place = rest,
                None => return choice,
            }
        }
        ""
    }

    fn group(&mut self, groups: &[(GroupName, f64)]) -> Option<GroupName> {
        let mut place = self.next() as f64 / u64::MAX as f64 * 100.0;
        for (group, share) in groups {
            if place < *share {
                return Some(group.clone());
            }
            place -= share;
        }
        None
    }
}

/// Reads `pilot=5`: a group and its share of the devices, in percent.
pub(crate) fn group_share(text: &str) -> Result<(GroupName, f64), String> {
    let error = || format!("`{text}` is no share of a group; write pilot=5");
    let (name, share) = text.split_once('=').ok_or_else(error)?;
    let share: f64 = share.trim().parse().map_err(|_| error())?;
    if !(0.0..=100.0).contains(&share) {
        return Err(format!("a share goes from 0 to 100 %, not {share}"));
    }
    let name = GroupName::new(name.trim()).map_err(|error| error.to_string())?;
    Ok((name, share))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn seed(number: u64) -> Seed {
        Seed {
            devices: 10_000,
            models: Vec::new(),
            groups: vec![group_share("pilot=5").unwrap()],
            id_prefix: "sim-".to_owned(),
            seed: number,
        }
    }

    #[test]
    fn the_same_seed_makes_the_same_fleet() {
        let devices = |number| -> Vec<ImportDevice> {
            let seed = seed(number);
            (1..=20).map(|n| device(&seed, n).unwrap()).collect()
        };
        assert_eq!(devices(1), devices(1));
        assert_ne!(devices(1), devices(2));
        assert_eq!(devices(1)[4].id.as_str(), "sim-0005");
    }

    #[test]
    fn the_mix_is_what_it_should_be() {
        let seed = seed(1);
        let mut counts: BTreeMap<String, u32> = BTreeMap::new();
        for number in 1..=seed.devices {
            let device = device(&seed, number).unwrap();
            for what in [
                device.model.to_string(),
                device.version.to_string(),
                device.labels["location"].clone(),
                device.group.map_or("none".to_owned(), String::from),
                device.hold.map_or("free".to_owned(), |_| "held".to_owned()),
            ] {
                *counts.entry(what).or_default() += 1;
            }
        }
        let near = |what: &str, expected: u32| {
            let got = counts.get(what).copied().unwrap_or(0);
            assert!(got.abs_diff(expected) < 40 + expected / 10, "{what}: {got}");
        };
        for (model, share) in MODELS {
            near(model, share as u32 * 100);
        }
        for (version, share) in VERSIONS {
            near(version, share as u32 * 100);
        }
        near("warehouse", 4500);
        near("pilot", 500);
        near("held", 20);
    }

    #[test]
    fn pieces_cover_the_fleet_once() {
        let mut seed = seed(1);
        seed.devices = PIECE as u32 + 1;
        let pieces: Vec<_> = [1, PIECE as u32 + 1]
            .map(|first| piece(&seed, first).unwrap())
            .into();
        assert_eq!((pieces[0].devices, pieces[1].devices), (PIECE as u64, 1));
    }

    #[test]
    fn shares_of_groups_are_read() {
        assert_eq!(group_share("pilot=5").unwrap().1, 5.0);
        for bad in ["pilot", "pilot=x", "=5", "pilot=101", "pilot=NaN"] {
            assert!(group_share(bad).is_err(), "{bad}");
        }
    }
}
