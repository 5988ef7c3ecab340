//! QEMU, and what the machine says on its serial line.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::Signal;

use super::log_writes::SECTOR;
use crate::process::Background;

/// How long a machine may take from its start to the word of which system runs; one that panics starts several times.
const START: Duration = Duration::from_secs(300);

/// How long a machine with real hardware under it may take at most: with less, QEMU's own processor is the better one.
const FAST_START: Duration = Duration::from_secs(30);

/// What runs the machine's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Processor {
    /// The kernel's virtual machines.
    Kvm,
    /// QEMU itself: slower, and everywhere.
    Emulated,
}

impl Processor {
    /// Tries the kernel's virtual machines on a disk, which keeps what the machine writes; not every kernel that has them can start a BIOS.
    pub(super) fn find(disk: &Path, logs: &Path) -> Result<Self> {
        if !Path::new("/dev/kvm").exists() {
            return Ok(Self::Emulated);
        }
        let start = Machine::start(disk, Writes::Kept, Self::Kvm, logs, "kvm");
        let found = match start.and_then(|mut machine| machine.running_within(FAST_START)) {
            Ok(_) => Self::Kvm,
            Err(_) => Self::Emulated,
        };
        Ok(found)
    }

    fn arguments(self) -> [&'static str; 4] {
        match self {
            Self::Kvm => ["-accel", "kvm", "-cpu", "host"],
            Self::Emulated => ["-accel", "tcg", "-cpu", "max"],
        }
    }
}

/// A machine that is powered.
pub(super) struct Machine {
    process: Background,
    serial: PathBuf,
}

/// Which system a machine says it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Running {
    /// The slot's name.
    pub(super) slot: String,
    /// The partition that is mounted as its root.
    pub(super) root: String,
    /// How systemd finds the agent: `active` where it runs.
    pub(super) agent: String,
}

/// What happens to what a machine writes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Writes<'a> {
    /// It goes to the disk.
    Kept,
    /// It goes to the disk, and each request to a log.
    Logged(&'a Path),
}

impl Machine {
    /// Switches a machine on; its serial line goes to `NAME.serial` in `logs`, after what it said before.
    pub(super) fn start(
        disk: &Path,
        writes: Writes<'_>,
        processor: Processor,
        logs: &Path,
        name: &str,
    ) -> Result<Self> {
        let serial = logs.join(format!("{name}.serial"));
        // Each start is read by itself.
        let _ = fs::remove_file(&serial);
        let mut command = Command::new("qemu-system-x86_64");
        command
            .args([
                "-nodefaults",
                "-no-user-config",
                "-display",
                "none",
                "-monitor",
                "none",
            ])
            .args(["-machine", "pc"])
            .args(processor.arguments())
            .args(["-m", "256", "-rtc", "base=utc"])
            .args([
                "-netdev",
                "user,id=net",
                "-device",
                "virtio-net-pci,netdev=net,romfile=",
            ])
            .args(["-device", "virtio-rng-pci"])
            .arg("-serial")
            .arg(format!("file:{}", serial.display()));
        let file = format!("driver=file,filename={}", disk.display());
        match writes {
            Writes::Kept => {
                command.args(["-blockdev", &format!("{file},node-name=file")]);
                command.args(["-blockdev", "driver=raw,node-name=disk,file=file"]);
            }
            Writes::Logged(log) => {
                let log = format!("driver=file,node-name=log,filename={}", log.display());
                command.args(["-blockdev", &format!("{file},node-name=file")]);
                command.args(["-blockdev", &log, "-blockdev"]);
                command.arg(format!(
                    "driver=blklogwrites,node-name=disk,file=file,log=log,log-sector-size={SECTOR}"
                ));
            }
        }
        command.args(["-device", "virtio-blk-pci,drive=disk,bootindex=1"]);
        let log = logs.join(format!("{name}.log"));
        let process = Background::start(name, &mut command, &log)?;
        Ok(Self { process, serial })
    }

    /// Waits until the machine says which system runs.
    pub(super) fn running(&mut self) -> Result<Running> {
        self.running_within(START)
    }

    fn running_within(&mut self, limit: Duration) -> Result<Running> {
        let mut found = None;
        let serial = self.serial.clone();
        self.process
            .wait_until("said which system runs", limit, || {
                found = said(&serial);
                found.is_some()
            })?;
        found.context("the machine said nothing")
    }

    /// Cuts its power.
    pub(super) fn cut(mut self) -> Result<()> {
        self.process.signal(Signal::KILL)?;
        self.process.wait();
        Ok(())
    }

    /// Fails where QEMU has ended.
    pub(super) fn ensure_alive(&mut self) -> Result<()> {
        self.process.ensure_alive()
    }
}

/// What a machine said of itself since it was switched on; a line that is cut off doesn't count.
fn said(serial: &Path) -> Option<Running> {
    let text = fs::read(serial).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    text.lines().find_map(parse)
}

fn parse(line: &str) -> Option<Running> {
    let (_, rest) = line.split_once("otter-machine ")?;
    let mut words = rest.split_ascii_whitespace();
    let mut value = |name: &str| words.next()?.strip_prefix(name).map(str::to_owned);
    let running = Running {
        slot: value("slot=")?,
        root: value("root=")?,
        agent: value("agent=")?,
    };
    (words.next() == Some("end")).then_some(running)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_believed_when_its_line_is_whole() {
        let line = "[  3.1] otter-machine slot=b root=/dev/vda4 agent=active end\r";
        let running = parse(line).unwrap();
        assert_eq!(
            (running.slot.as_str(), running.root.as_str()),
            ("b", "/dev/vda4")
        );
        assert_eq!(running.agent, "active");
        for line in [
            "otter-machine slot=b root=/dev/vd",
            "otter-machine end",
            "Debian",
        ] {
            assert_eq!(parse(line), None);
        }
    }
}
