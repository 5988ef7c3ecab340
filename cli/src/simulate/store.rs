//! What the devices keep from one run to the next: a file with a line for each change, the last line of a device counts.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use otter_protocol::{AttemptId, DeviceId, Model, Version};
use serde::{Deserialize, Serialize};

use crate::Failure;

/// The file, in the folder that was named.
const FILE: &str = "devices.jsonl";

/// All that a device remembers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// Its own name.
    pub(super) id: DeviceId,
    /// What hardware it is.
    pub(super) model: Model,
    /// What it runs.
    pub(super) version: Version,
    /// Its secret key, as `SecretKey` writes it.
    pub(super) key: String,
    /// Its device token, once it has one.
    pub(super) token: Option<String>,
    /// The attempt that it reported on last.
    pub(super) attempt: Option<AttemptId>,
    /// How many reports it sent on that.
    pub(super) sequence: u32,
}

/// Keeps records on disk, or nowhere.
#[derive(Debug, Default)]
pub(super) struct Store {
    file: Option<Mutex<File>>,
}

impl Store {
    /// Opens a folder and returns what it holds; it stays locked against other simulations.
    pub(super) fn open(folder: &Path) -> Result<(Self, HashMap<DeviceId, Record>), Failure> {
        fs::create_dir_all(folder).map_err(Failure::file(folder))?;
        let path = folder.join(FILE);
        let mut options = File::options();
        options.read(true).append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&path).map_err(Failure::file(&path))?;
        if file.try_lock().is_err() {
            return Err(Failure::Refused(format!(
                "{} is in use by another simulation. Name another folder with --state",
                folder.display()
            )));
        }
        let records = read(&file).map_err(Failure::file(&path))?;
        rewrite(&file, records.values()).map_err(Failure::file(&path))?;
        let file = Some(Mutex::new(file));
        Ok((Self { file }, records))
    }

    /// Keeps a record, before anything that it says reaches the server.
    pub(super) fn save(&self, record: &Record) -> io::Result<()> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        let line = line(record)?;
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(&line)
    }
}

/// Reads every line; one that was cut off by a kill is passed over.
fn read(file: &File) -> io::Result<HashMap<DeviceId, Record>> {
    let mut records = HashMap::new();
    for line in BufReader::new(file).split(b'\n') {
        if let Ok(record) = serde_json::from_slice::<Record>(&line?) {
            records.insert(record.id.clone(), record);
        }
    }
    Ok(records)
}

/// Leaves one line a device.
fn rewrite<'a>(file: &File, records: impl Iterator<Item = &'a Record>) -> io::Result<()> {
    let lines: Vec<u8> = records.map(line).collect::<io::Result<Vec<_>>>()?.concat();
    file.set_len(0)?;
    let mut file = file;
    file.write_all(&lines)?;
    file.sync_all()
}

fn line(record: &Record) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(record)?;
    line.push(b'\n');
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: &str, version: &str) -> Record {
        Record {
            id: DeviceId::new(id).unwrap(),
            model: Model::new("rpi4").unwrap(),
            version: version.into(),
            key: "secret".to_owned(),
            token: Some("otd_x".to_owned()),
            attempt: Some(AttemptId(3)),
            sequence: 4,
        }
    }

    #[test]
    fn the_last_line_of_a_device_counts_and_a_torn_one_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let (store, records) = Store::open(folder.path()).unwrap();
        assert!(records.is_empty());
        for (id, version) in [("a", "1.0.0"), ("b", "1.0.0"), ("a", "1.1.0")] {
            store.save(&record(id, version)).unwrap();
        }
        drop(store);
        let path = folder.path().join(FILE);
        let mut file = File::options().append(true).open(&path).unwrap();
        file.write_all(br#"{"id": "b", "mod"#).unwrap();

        let (_store, records) = Store::open(folder.path()).unwrap();
        let of = |id: &str| records.get(id).unwrap();
        assert_eq!(of("a"), &record("a", "1.1.0"));
        assert_eq!(of("b"), &record("b", "1.0.0"));
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 2);
    }

    #[test]
    fn two_simulations_do_not_share_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let _first = Store::open(folder.path()).unwrap();
        let error = Store::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("in use"), "{error}");
    }
}
