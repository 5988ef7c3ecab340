//! Which container is which: by names and labels, so that whoever comes after a cut finds out what was done.
//!
//! What runs has the configured name. The one before it is put aside as `NAME-old-COUNTER` until the new one is to stay.
//! Nothing here talks to the engine: these are the plans that are carried out one act after another.

use std::collections::BTreeMap;

use otter_protocol::Version;
use serde::Deserialize;

use crate::journal::Installed;

/// The label with a release's place in the publishers' count.
pub(super) const COUNTER: &str = "otter.release_counter";
/// The label with its version.
pub(super) const VERSION: &str = "otter.version";
/// The label with the image's id.
pub(super) const IMAGE: &str = "otter.image";

/// A container as the engine lists it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Listed {
    id: String,
    #[serde(default)]
    names: Option<Vec<String>>,
    #[serde(rename = "ImageID")]
    image: String,
    #[serde(default)]
    state: String,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
}

/// A container that has to do with the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) id: String,
    /// Its image's id.
    pub(super) image: String,
    /// Whether any process of it is there.
    pub(super) is_up: bool,
    /// What this agent wrote on it; nothing on one that came with the device.
    release: Option<(u64, Version)>,
}

impl Found {
    fn of(listed: &Listed) -> Self {
        let label = |key: &str| listed.labels.as_ref().and_then(|labels| labels.get(key));
        let counter = label(COUNTER).and_then(|text| text.parse().ok());
        let version = label(VERSION).map(|text| Version::from(text.as_str()));
        Self {
            id: listed.id.clone(),
            image: label(IMAGE).unwrap_or(&listed.image).clone(),
            is_up: matches!(listed.state.as_str(), "running" | "paused" | "restarting"),
            release: counter.zip(version),
        }
    }

    fn counter(&self) -> u64 {
        self.release.as_ref().map_or(0, |(counter, _)| *counter)
    }

    /// Tells whether it is a version's.
    pub(super) fn is(&self, version: &Installed) -> bool {
        self.counter() == version.release_counter && self.image == version.name
    }

    /// Returns which version it is; `initial` is what came with the device.
    pub(super) fn installed(&self, initial: Option<&Version>) -> Installed {
        let (release_counter, version) = self
            .release
            .clone()
            .unwrap_or_else(|| (0, initial.cloned().unwrap_or_default()));
        Installed {
            version,
            release_counter,
            name: self.image.clone(),
        }
    }
}

/// One act of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Act {
    /// A container is removed.
    Remove(String),
    /// A container gets another name.
    Rename(String, String),
    /// The container of a version is made.
    Create,
}

/// The containers that have the configured name, now or before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Arrangement {
    name: String,
    /// The one that has it now.
    pub(super) current: Option<Found>,
    /// Those that were put aside.
    aside: Vec<Found>,
}

impl Arrangement {
    /// Picks what has to do with a name.
    pub(super) fn of(name: &str, listed: &[Listed]) -> Self {
        let mut arrangement = Self {
            name: name.to_owned(),
            ..Self::default()
        };
        for container in listed {
            let names = container.names.iter().flatten();
            let names = names.filter_map(|name| name.strip_prefix('/'));
            for other in names.filter_map(|other| other.strip_prefix(name)) {
                let counter = other.strip_prefix("-old-");
                if other.is_empty() {
                    arrangement.current = Some(Found::of(container));
                } else if counter.is_some_and(|counter| counter.parse::<u64>().is_ok()) {
                    arrangement.aside.push(Found::of(container));
                }
            }
        }
        arrangement
    }

    fn old_name(&self, old: &Found) -> String {
        format!("{}-old-{}", self.name, old.counter())
    }

    fn bring_back(&self, old: &Found) -> Act {
        Act::Rename(old.id.clone(), self.name.clone())
    }

    /// Returns what makes a version the one that has the name.
    pub(super) fn to_apply(&self, new: &Installed) -> Vec<Act> {
        match &self.current {
            Some(current) if current.is(new) => Vec::new(),
            // What was put aside before isn't what ran last.
            Some(current) => {
                let mut acts = removed(&self.aside);
                acts.push(Act::Rename(current.id.clone(), self.old_name(current)));
                acts.push(Act::Create);
                acts
            }
            None => vec![Act::Create],
        }
    }

    /// Returns what gives the name back to the old version, or to whatever had it; what is neither old nor new stays.
    pub(super) fn to_roll_back(
        &self,
        new: Option<&Installed>,
        old: Option<&Installed>,
    ) -> Vec<Act> {
        let mut aside = self.aside.iter();
        let aside = aside.find(|found| old.is_none_or(|old| found.is(old)));
        match (&self.current, aside) {
            (Some(current), _) if old.is_some_and(|old| current.is(old)) => Vec::new(),
            (Some(current), aside) if new.is_some_and(|new| current.is(new)) => {
                let mut acts = vec![Act::Remove(current.id.clone())];
                acts.extend(aside.map(|aside| self.bring_back(aside)));
                acts
            }
            (None, Some(aside)) => vec![self.bring_back(aside)],
            _ => Vec::new(),
        }
    }

    /// Returns what the old version is given up with.
    pub(super) fn to_commit(&self) -> Vec<Act> {
        removed(&self.aside)
    }

    /// Returns what brings a version back that lost the name although it should run.
    pub(super) fn to_mend(&self, believed: &Installed) -> Vec<Act> {
        let mut aside = self.aside.iter();
        match (&self.current, aside.find(|found| found.is(believed))) {
            (None, Some(aside)) => vec![self.bring_back(aside)],
            _ => Vec::new(),
        }
    }

    /// Returns what removes those that nothing needs, as long as something has the name.
    pub(super) fn to_clean(&self, keep: &[Installed]) -> Vec<Act> {
        if self.current.is_none() {
            return Vec::new();
        }
        let is_needed = |found: &&Found| keep.iter().any(|version| found.is(version));
        let needless: Vec<Found> = self
            .aside
            .iter()
            .filter(|f| !is_needed(f))
            .cloned()
            .collect();
        removed(&needless)
    }
}

fn removed(containers: &[Found]) -> Vec<Act> {
    let ids = containers.iter().map(|found| found.id.clone());
    ids.map(Act::Remove).collect()
}

#[cfg(test)]
mod tests;
