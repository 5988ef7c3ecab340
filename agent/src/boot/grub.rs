//! GRUB's environment block: a file of 1024 bytes that GRUB reads and, with `save_env`, writes in place.
//!
//! The block's format is GRUB's own (grub-core/lib/envblk.c): a first line, then comments and `name=value` lines with `\` before
//! a line's end or another `\` in a value, then `#` up to its length.
//!
//! It is written in place, as GRUB itself does, and with all lines in its first sector, which a disk writes whole or not at all. A new file
//! that takes the block's name wouldn't do: GRUB reads no journal, so that after a power cut it may find the old file, whose
//! place on the disk others have got since, and write there. (`grub-editenv` truncates the file first, which a cut can meet.)

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;

use super::{BootError, BootFlow, slot_of_kernel};
use crate::disk::{self, Disk};

const SIGNATURE: &str = "# GRUB Environment Block\n";
const LENGTH: usize = 1024;
/// What every disk writes whole.
const SECTOR: usize = 512;
/// The slot that is started from now on.
const COMMITTED: &str = "otter_slot";
/// The slot that is started once: GRUB's script clears it before it does that.
const TRIED: &str = "otter_try";

/// GRUB with an environment block.
#[derive(Debug)]
pub(super) struct Grub {
    disk: Arc<dyn Disk>,
    path: PathBuf,
}

impl Grub {
    pub(super) fn new(disk: Arc<dyn Disk>, path: &Path) -> Self {
        Self {
            disk,
            path: path.to_owned(),
        }
    }

    fn change(&self, committed: Option<&str>, tried: Option<&str>) -> Result<(), BootError> {
        let trouble = |what: String| {
            BootError(format!(
                "GRUB's environment {} {what}. `grub-editenv` makes one",
                self.path.display()
            ))
        };
        let bytes = disk::read(self.disk.as_ref(), &self.path, LENGTH as u64)
            .map_err(|error| trouble(format!("can't be read: {error}")))?
            .ok_or_else(|| trouble("is not there".to_owned()))?;
        let mut block = Block::parse(&bytes).ok_or_else(|| trouble("makes no sense".to_owned()))?;
        if let Some(slot) = committed {
            block.set(COMMITTED, Some(slot));
        }
        block.set(TRIED, tried);
        let new = block
            .to_bytes()
            .ok_or_else(|| {
                trouble("has no room: with the two lines for slots, all must fit its first 512 bytes, which no power cut tears".to_owned())
            })?;
        if new == bytes {
            return Ok(());
        }
        self.write(&new)
            .map_err(|error| trouble(format!("can't be written: {error}")))
    }

    fn write(&self, block: &[u8]) -> io::Result<()> {
        let mut file = self.disk.open_slot(&self.path)?;
        file.write_at(0, block)?;
        file.sync()
    }
}

#[async_trait]
impl BootFlow for Grub {
    async fn current(&self) -> Result<String, BootError> {
        slot_of_kernel(self.disk.as_ref())
    }

    async fn try_once(&self, slot: &str) -> Result<(), BootError> {
        self.change(None, Some(slot))
    }

    async fn commit(&self, slot: &str) -> Result<(), BootError> {
        self.change(Some(slot), None)
    }
}

/// The lines of a block, as they are written, comments among them.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Block(Vec<String>);

impl Block {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let mut rest = text.strip_prefix(SIGNATURE)?;
        let mut lines = Vec::new();
        // What fills the block up is a comment without an end.
        while let Some(end) = line_end(rest) {
            let line = rest.get(..end)?;
            (line.starts_with('#') || line.contains('=')).then_some(())?;
            lines.push(line.to_owned());
            rest = rest.get(end + 1..)?;
        }
        rest.bytes().all(|byte| byte == b'#').then_some(Self(lines))
    }

    fn set(&mut self, name: &str, value: Option<&str>) {
        let is_it = |line: &String| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with('='))
        };
        // Slots' names have nothing that needs a backslash.
        let new = value.map(|value| format!("{name}={value}"));
        match (self.0.iter_mut().find(|line| is_it(line)), new) {
            (Some(line), Some(new)) => *line = new,
            (None, Some(new)) => self.0.push(new),
            (Some(_), None) => self.0.retain(|line| !is_it(line)),
            (None, None) => {}
        }
    }

    fn to_bytes(&self) -> Option<Vec<u8>> {
        let mut text = SIGNATURE.to_owned();
        for line in &self.0 {
            text.push_str(line);
            text.push('\n');
        }
        let mut bytes = text.into_bytes();
        if bytes.len() > SECTOR {
            return None;
        }
        bytes.resize(LENGTH, b'#');
        Some(bytes)
    }
}

/// Returns where a line ends: at the first end of line without a backslash before it.
fn line_end(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    text.bytes().position(|byte| {
        let ends = byte == b'\n' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        ends
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::disk::SimulatedDisk;

    fn block(lines: &str) -> Vec<u8> {
        let mut bytes = format!("{SIGNATURE}{lines}").into_bytes();
        bytes.resize(LENGTH, b'#');
        bytes
    }

    fn grub(content: &[u8]) -> (SimulatedDisk, Grub) {
        let disk = SimulatedDisk::default();
        let path = Path::new("/grubenv");
        disk.make_slot(path, content.len());
        let mut file = disk.open_slot(path).unwrap();
        file.write_at(0, content).unwrap();
        file.sync().unwrap();
        (disk.clone(), Grub::new(Arc::new(disk), path))
    }

    fn content(disk: &SimulatedDisk) -> Vec<u8> {
        disk::read(disk, Path::new("/grubenv"), 4096)
            .unwrap()
            .unwrap()
    }

    #[tokio::test]
    async fn a_try_is_set_and_a_commit_forgets_it_and_other_lines_stay() {
        let (disk, grub) = grub(&block("saved_entry=a\\\\b\\\nc=d\notter_slot=a\n"));
        grub.try_once("b").await.unwrap();
        let tried = block("saved_entry=a\\\\b\\\nc=d\notter_slot=a\notter_try=b\n");
        assert_eq!(content(&disk), tried);
        grub.try_once("b").await.unwrap();
        grub.commit("b").await.unwrap();
        assert_eq!(
            content(&disk),
            block("saved_entry=a\\\\b\\\nc=d\notter_slot=b\n")
        );
    }

    #[tokio::test]
    async fn comments_are_no_end() {
        let (disk, grub) = grub(&block("# WARNING: do not edit\notter_slot=a\n"));
        grub.commit("b").await.unwrap();
        let expected = block("# WARNING: do not edit\notter_slot=b\n");
        assert_eq!(content(&disk), expected);
    }

    #[tokio::test]
    async fn what_is_so_already_is_not_written() {
        let (disk, grub) = grub(&block("otter_slot=a\n"));
        let operations = Arc::new(AtomicUsize::new(0));
        let counter = operations.clone();
        disk.observe(move |_| {
            counter.fetch_add(1, Ordering::Relaxed);
        });
        grub.commit("a").await.unwrap();
        assert_eq!(operations.load(Ordering::Relaxed), 0);
        grub.commit("b").await.unwrap();
        assert!(operations.load(Ordering::Relaxed) > 0);
        assert!(!disk.tree().has_anything_to_lose());
    }

    #[tokio::test]
    async fn what_is_no_block_is_left_alone() {
        for content in [&b"hello"[..], b"", &block("no line")[..]] {
            let (disk, grub) = grub(content);
            let error = grub.try_once("b").await.unwrap_err().to_string();
            assert!(error.contains("makes no sense"), "{error}");
            assert_eq!(self::content(&disk), content);
        }
        let (_, grub) = grub(&block(&format!("long={}\n", "x".repeat(470))));
        let error = grub.try_once("b").await.unwrap_err().to_string();
        assert!(error.contains("no room"), "{error}");
    }

    #[tokio::test]
    async fn grubs_own_tool_reads_what_is_written_and_the_other_way_round() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("grubenv");
        let tool = |arguments: &[&str]| {
            let output = std::process::Command::new("grub-editenv")
                .arg(&path)
                .args(arguments)
                .output()
                .expect("grub-editenv is missing: install grub-common");
            assert!(output.status.success(), "{output:?}");
            String::from_utf8(output.stdout).unwrap()
        };
        tool(&["create"]);
        tool(&["set", "saved_entry=Debian \\ GNU/Linux", "otter_slot=a"]);
        let grub = Grub::new(Arc::new(disk::RealDisk), &path);
        grub.try_once("b").await.unwrap();
        let listed = tool(&["list"]);
        assert!(
            listed.contains("saved_entry=Debian \\ GNU/Linux"),
            "{listed}"
        );
        assert!(listed.contains("otter_slot=a\notter_try=b"), "{listed}");
        // As GRUB's script does it at the boot.
        tool(&["unset", "otter_try"]);
        grub.commit("b").await.unwrap();
        let listed = tool(&["list"]);
        assert!(listed.ends_with("otter_slot=b\n"), "{listed}");
    }
}
