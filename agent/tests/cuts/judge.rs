//! What must be true of a device whenever it is started, and at its end.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use otter_agent::disk::{self, Disk, PUBLIC, SimulatedDisk};
use otter_agent::history::History;
use otter_agent::journal::Journal;
use otter_protocol::{ArtifactKind, AttemptState, Sha256Digest};

use super::world::{DATA, GRUB_ENV, SETTINGS, STATE, Scene, World, files};

impl Scene {
    /// Does what a boot loader does, and fails where what it starts isn't a whole version.
    pub fn boot_loader(&self, disk: &SimulatedDisk) -> Result<(), String> {
        if self.story.kind != ArtifactKind::Image {
            return self.whole_bundle(disk);
        }
        let bytes = read(disk, GRUB_ENV).ok_or("GRUB has no environment")?;
        if bytes.len() != 1024 {
            return Err(format!("GRUB's environment has {} bytes", bytes.len()));
        }
        let text = String::from_utf8_lossy(&bytes);
        let value = |name: &str| {
            let mut lines = text.lines();
            lines.find_map(|line| {
                line.strip_prefix(name)?
                    .strip_prefix('=')
                    .map(str::to_owned)
            })
        };
        let committed = value("otter_slot").ok_or("GRUB knows no slot")?;
        let slot = value("otter_try").unwrap_or_else(|| committed.clone());
        // A restart of the machine is on the medium; so is what GRUB writes.
        disk.settle();
        let env = grub_env(&format!("otter_slot={committed}\n"));
        disk.open_slot(Path::new(GRUB_ENV))
            .and_then(|mut block| block.write_at(0, &env))
            .map_err(|e| e.to_string())?;
        let line = format!("quiet otter.slot={slot}\n");
        disk::write_whole(disk, Path::new("/proc/cmdline"), line.as_bytes(), PUBLIC)
            .map_err(|e| e.to_string())?;
        disk.settle();
        self.records(disk)?;
        self.whole_slot(disk, &slot).map(|_| ())
    }

    /// Fails where the agent's record of a slot says what isn't so.
    fn records(&self, disk: &SimulatedDisk) -> Result<(), String> {
        for slot in ["a", "b"] {
            let Some(record) = read(disk, &format!("{STATE}/slots/{slot}.json")) else {
                continue;
            };
            let record: serde_json::Value =
                serde_json::from_slice(&record).map_err(|error| error.to_string())?;
            let length = record["content"]["length"].as_u64().unwrap_or_default();
            let bytes = slot_bytes(disk, slot, length as usize)?;
            let digest = Sha256Digest::of(&bytes).to_string();
            if record["content"]["sha256"] != digest {
                return Err(format!("the record of slot {slot} is a lie"));
            }
        }
        Ok(())
    }

    /// Returns the version that a slot holds whole.
    fn whole_slot(&self, disk: &SimulatedDisk, slot: &str) -> Result<&'static str, String> {
        let bytes = slot_bytes(disk, slot, self.old.len())?;
        if bytes == self.old {
            Ok("1.0.0")
        } else if bytes == self.new {
            Ok("2.0.0")
        } else {
            Err(format!(
                "slot {slot} is started, and holds no whole version"
            ))
        }
    }

    /// Fails unless `current` names a whole version, or nothing was ever installed.
    fn whole_bundle(&self, disk: &SimulatedDisk) -> Result<(), String> {
        if disk.kind(Path::new("/app/current")).is_err() {
            let was_there = disk.list(Path::new("/app/versions")).unwrap_or_default();
            let was_there = was_there
                .iter()
                .any(|name| !name.to_string_lossy().starts_with('.'));
            return match read(disk, "/state/history.json") {
                Some(_) if was_there => Err("there is no current version any more".to_owned()),
                _ => Ok(()),
            };
        }
        bundle_version(disk).map(|_| ())
    }

    /// Fails where the end isn't the one that an uncut run comes to.
    pub fn judge(&self, end: &World) -> Result<(), String> {
        if let Some(complaint) = end.memory.complaints.first() {
            return Err(complaint.clone());
        }
        let disk = SimulatedDisk::from(end.tree.clone());
        let (outcome, version, data) = if self.story.is_healthy {
            (AttemptState::Succeeded, "2.0.0", "by 2.0.0")
        } else {
            let data = "by 1.0.0, and again by 1.0.0";
            (AttemptState::RolledBack, "1.0.0", data)
        };
        let equal = |what: &str, is: &str, should: &str| {
            let words = end.memory.words.as_deref().unwrap_or_default();
            let text = format!("{what} is {is}, not {should} ({words})");
            if is == should { Ok(()) } else { Err(text) }
        };
        let record =
            Journal::look(&disk, Path::new(STATE)).map_err(|error| error.to_string())??;
        let installed = record
            .installed
            .map(|installed| installed.version.to_string());
        equal(
            "the journal's version",
            &installed.unwrap_or_default(),
            version,
        )?;
        equal(
            "the journal's attempt",
            &format!("{:?}", record.attempt),
            "None",
        )?;
        equal("what waits", &format!("{:?}", record.outbox), "[]")?;
        equal("what runs", &self.running(&disk)?, version)?;
        let ended = format!("{:?}", end.memory.ended);
        equal(
            "the server's outcome",
            &ended,
            &format!("{:?}", Some(outcome)),
        )?;
        let history = History::new(Arc::new(disk.clone()), Path::new(STATE), 100);
        let outcomes: Vec<AttemptState> = history
            .load()
            .map_err(|error| error.to_string())?
            .iter()
            .map(|ended| ended.outcome)
            .collect();
        equal(
            "the history",
            &format!("{outcomes:?}"),
            &format!("{:?}", [outcome]),
        )?;
        let found = read(&disk, DATA).unwrap_or_default();
        equal("the data", &String::from_utf8_lossy(&found), data)?;
        let found = read(&disk, SETTINGS).unwrap_or_default();
        let settings = format!("for {version}");
        equal("the settings", &String::from_utf8_lossy(&found), &settings)?;
        let names = disk.list(Path::new("/data")).map_err(|e| e.to_string())?;
        equal(
            "the data's folder",
            &format!("{names:?}"),
            "[\"database\", \"deep\", \"other\"]",
        )?;
        match read(&disk, "/state/journal.broken.json") {
            Some(_) => Err("the journal was lost once".to_owned()),
            None => Ok(()),
        }
    }

    fn running(&self, disk: &SimulatedDisk) -> Result<String, String> {
        if self.story.kind != ArtifactKind::Image {
            return bundle_version(disk);
        }
        let line = read(disk, "/proc/cmdline").unwrap_or_default();
        let line = String::from_utf8_lossy(&line).into_owned();
        let slot = line.trim().rsplit('=').next().unwrap_or_default();
        // It must be the committed one, too: the next restart must not go elsewhere.
        let env = read(disk, GRUB_ENV).unwrap_or_default();
        if env != grub_env(&format!("otter_slot={slot}\n")) {
            return Err(format!(
                "slot {slot} runs, but {}",
                String::from_utf8_lossy(&env)
            ));
        }
        self.whole_slot(disk, slot).map(str::to_owned)
    }
}

pub fn grub_env(lines: &str) -> Vec<u8> {
    let mut bytes = format!("# GRUB Environment Block\n{lines}").into_bytes();
    bytes.resize(1024, b'#');
    bytes
}

pub fn read(disk: &SimulatedDisk, path: &str) -> Option<Vec<u8>> {
    disk::read(disk, Path::new(path), 1 << 20).ok().flatten()
}

fn slot_bytes(disk: &SimulatedDisk, slot: &str, length: usize) -> Result<Vec<u8>, String> {
    let mut bytes = vec![0; length];
    disk.open_slot(&PathBuf::from(format!("/dev/{slot}")))
        .and_then(|mut slot| slot.read_at(0, &mut bytes))
        .map_err(|error| error.to_string())?;
    Ok(bytes)
}

/// Returns the version that `current` names; fails where it isn't whole.
fn bundle_version(disk: &SimulatedDisk) -> Result<String, String> {
    let version = read(disk, "/app/current/VERSION").unwrap_or_default();
    let version = String::from_utf8_lossy(&version).into_owned();
    for (name, text) in files(&version) {
        let is = read(disk, &format!("/app/current/{name}"));
        if is != Some(text.into_bytes()) {
            return Err(format!(
                "{name} of the current version `{version}` is not whole"
            ));
        }
    }
    match disk.list(Path::new("/app/current")) {
        Ok(names) if names == ["VERSION", "bin", "same"] => Ok(version),
        names => Err(format!("the current version has {names:?}")),
    }
}
