//! What QEMU's `blklogwrites` records: the log of the kernel's dm-log-writes target, version 1.
//!
//! The format is that of the kernel (drivers/md/dm-log-writes.c): a first sector with the superblock, then for each request a
//! sector with its entry, followed by the bytes that were written. Numbers are little-endian.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};

/// The length of a sector in the log, as the machine asks QEMU for it.
pub(super) const SECTOR: u64 = 512;
const MAGIC: u64 = 0x006a_7366_7773_6872;
const VERSION: u64 = 1;
const FLUSH: u64 = 1;
const DISCARD: u64 = 4;
const CHUNK: usize = 1 << 20;

/// One request of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    sector: u64,
    sectors: u64,
    flags: u64,
}

impl Entry {
    fn parse(bytes: &[u8]) -> Option<Self> {
        Some(Self {
            sector: number(bytes, 0)?,
            sectors: number(bytes, 8)?,
            flags: number(bytes, 16)?,
        })
    }

    fn is_flush(self) -> bool {
        self.flags & FLUSH != 0
    }

    /// Bytes that follow it in the log.
    fn length(self) -> u64 {
        if self.flags & DISCARD != 0 {
            return 0;
        }
        self.sectors * SECTOR
    }
}

/// A log that is played again onto a copy of the disk that it began with.
pub(super) struct Replay {
    log: BufReader<File>,
    disk: File,
    left: u64,
}

impl Replay {
    /// Opens a log, and the disk as it was when the log began.
    pub(super) fn open(log: &Path, disk: &Path) -> Result<Self> {
        let left = count(log)?;
        let mut reader = BufReader::with_capacity(CHUNK, File::open(log)?);
        reader.seek(SeekFrom::Start(SECTOR))?;
        let disk = File::options().write(true).open(disk)?;
        Ok(Self {
            log: reader,
            disk,
            left,
        })
    }

    /// Plays on to the next flush and through it; false where there is none any more.
    pub(super) fn advance(&mut self) -> Result<bool> {
        while self.left > 0 {
            self.left -= 1;
            let mut header = [0; SECTOR as usize];
            self.log
                .read_exact(&mut header)
                .context("the log is cut off")?;
            let entry = Entry::parse(&header).context("an entry is too short")?;
            self.write(entry)?;
            if entry.is_flush() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn write(&mut self, entry: Entry) -> Result<()> {
        self.disk.seek(SeekFrom::Start(entry.sector * SECTOR))?;
        let mut bytes = (&mut self.log).take(entry.length());
        let copied = std::io::copy(&mut bytes, &mut self.disk)?;
        ensure!(copied == entry.length(), "the log is cut off");
        self.disk.flush()?;
        Ok(())
    }
}

/// Counts a log's flushes.
pub(super) fn flushes(log: &Path) -> Result<usize> {
    let left = count(log)?;
    let mut file = File::open(log)?;
    let mut flushes = 0;
    let mut place = SECTOR;
    for _ in 0..left {
        file.seek(SeekFrom::Start(place))?;
        let mut header = [0; 24];
        file.read_exact(&mut header).context("the log is cut off")?;
        let entry = Entry::parse(&header).context("an entry is too short")?;
        flushes += usize::from(entry.is_flush());
        place += SECTOR + entry.length();
    }
    Ok(flushes)
}

/// Returns how many entries a log has.
fn count(log: &Path) -> Result<u64> {
    let mut bytes = [0; 28];
    File::open(log)
        .and_then(|mut file| file.read_exact(&mut bytes))
        .with_context(|| format!("cannot read {}", log.display()))?;
    superblock(&bytes)
}

fn superblock(bytes: &[u8]) -> Result<u64> {
    let sector = bytes.get(24..28).and_then(|bytes| bytes.try_into().ok());
    match (number(bytes, 0), number(bytes, 8), number(bytes, 16)) {
        (Some(MAGIC), Some(VERSION), Some(count))
            if sector.map(u32::from_le_bytes).map(u64::from) == Some(SECTOR) =>
        {
            Ok(count)
        }
        _ => bail!("this is no log of writes"),
    }
}

fn number(bytes: &[u8], place: usize) -> Option<u64> {
    let bytes = bytes.get(place..place + 8)?.try_into().ok()?;
    Some(u64::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(log: &mut Vec<u8>, sector: u64, flags: u64, data: &[u8]) {
        let sectors = data.len() as u64 / SECTOR;
        let mut header = Vec::new();
        for number in [sector, sectors, flags, data.len() as u64] {
            header.extend(number.to_le_bytes());
        }
        header.resize(SECTOR as usize, 0);
        log.extend(header);
        log.extend(data);
    }

    fn log(entries: u64) -> Vec<u8> {
        let mut log = Vec::new();
        for number in [MAGIC, VERSION, entries] {
            log.extend(number.to_le_bytes());
        }
        log.extend((SECTOR as u32).to_le_bytes());
        log.resize(SECTOR as usize, 0);
        log
    }

    #[test]
    fn a_log_is_played_flush_by_flush() {
        let folder = tempfile::tempdir().unwrap();
        let (path, disk) = (folder.path().join("log"), folder.path().join("disk"));
        let mut bytes = log(5);
        entry(&mut bytes, 1, 0, &[1; 1024]);
        entry(&mut bytes, 0, FLUSH, &[]);
        entry(&mut bytes, 2, 0, &[2; 512]);
        entry(&mut bytes, 0, FLUSH, &[3; 512]);
        entry(&mut bytes, 0, 0, &[9; 512]);
        std::fs::write(&path, &bytes).unwrap();
        std::fs::write(&disk, [0; 4 * 512]).unwrap();
        assert_eq!(flushes(&path).unwrap(), 2);
        let mut replay = Replay::open(&path, &disk).unwrap();
        let sectors = || {
            let bytes = std::fs::read(&disk).unwrap();
            bytes
                .chunks(512)
                .map(|sector| sector[0])
                .collect::<Vec<_>>()
        };
        assert!(replay.advance().unwrap());
        assert_eq!(sectors(), [0, 1, 1, 0]);
        assert!(replay.advance().unwrap());
        assert_eq!(sectors(), [3, 1, 2, 0]);
        assert!(!replay.advance().unwrap());
    }

    #[test]
    fn what_is_no_log_or_cut_off_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        std::fs::write(&path, [0; 512]).unwrap();
        assert!(flushes(&path).is_err());
        let mut bytes = log(2);
        entry(&mut bytes, 1, 0, &[1; 512]);
        std::fs::write(&path, &bytes).unwrap();
        assert!(flushes(&path).is_err());
    }
}
