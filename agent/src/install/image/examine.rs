//! What images need on a device: two slots of one size, of which at most one is in use, and a boot loader to tell.

use std::path::Path;

use super::ImageInstaller;
use crate::config::{BootConfig, SlotConfig};
use crate::disk::{self, Disk};
use crate::doctor::{Finding, programs};

const MOUNTS: &str = "/proc/self/mounts";
const LARGEST_MOUNTS: u64 = 4 << 20;

impl ImageInstaller {
    pub(super) fn look(&self) -> Vec<Finding> {
        let disk = self.disk.as_ref();
        let slots = &self.config.slots;
        let lengths: Vec<_> = slots
            .iter()
            .map(|slot| (slot, length(disk, slot)))
            .collect();
        let mut findings: Vec<Finding> = lengths
            .iter()
            .map(|(slot, length)| slot_finding(slot, length))
            .collect();
        if let [(_, Ok(first)), (_, Ok(second))] = lengths.as_slice()
            && first != second
        {
            findings.push(Finding::warning(
                "slots",
                format!("they have {first} and {second} bytes, so that an image may fit only one of them"),
                "make both partitions the same size",
            ));
        }
        let mounts = disk::read(disk, Path::new(MOUNTS), LARGEST_MOUNTS);
        let mounts = mounts.ok().flatten().unwrap_or_default();
        findings.extend(in_use(slots, &String::from_utf8_lossy(&mounts)));
        findings.extend(boot(disk, &self.config.boot));
        findings
    }
}

fn length(disk: &dyn Disk, slot: &SlotConfig) -> Result<u64, String> {
    match disk.open_slot(&slot.device) {
        Ok(open) if open.is_empty() => Err("has no bytes".to_owned()),
        Ok(open) => Ok(open.len()),
        Err(error) => Err(format!("can't be opened: {error}")),
    }
}

fn slot_finding(slot: &SlotConfig, length: &Result<u64, String>) -> Finding {
    let about = format!("slot {}", slot.name);
    let device = slot.device.display();
    match length {
        Ok(length) => Finding::ok(&about, format!("{device} has {} MiB", length >> 20)),
        Err(why) => Finding::problem(
            &about,
            format!("{device} {why}"),
            "name a partition in `image.slots` that is there, and let the agent's user read and write it",
        ),
    }
}

/// The slot that runs is mounted; where both are, none can be written.
fn in_use(slots: &[SlotConfig], mounts: &str) -> Option<Finding> {
    let is_mounted = |slot: &SlotConfig| {
        // Mounts name partitions, and slots may be links to them.
        let real = std::fs::canonicalize(&slot.device).unwrap_or_else(|_| slot.device.clone());
        let mut devices = mounts
            .lines()
            .filter_map(|line| line.split_ascii_whitespace().next());
        devices.any(|device| Path::new(device) == real || Path::new(device) == slot.device)
    };
    (!slots.is_empty() && slots.iter().all(is_mounted)).then(|| {
        Finding::problem(
            "slots",
            "both are mounted, so that none can be written",
            "unmount the one that doesn't run, and remove it from /etc/fstab",
        )
    })
}

fn boot(disk: &dyn Disk, config: &BootConfig) -> Vec<Finding> {
    let root = Path::new("/");
    let program =
        |name: &str, key: &str| programs::examine("boot loader", key, &[name.to_owned()], root);
    match config {
        BootConfig::Grub { env } => {
            vec![file(disk, env, "make one with `grub-editenv FILE create`")]
        }
        BootConfig::Uboot { config } => vec![
            program("fw_printenv", "libubootenv-tool"),
            program("fw_setenv", "libubootenv-tool"),
            file(
                disk,
                config,
                "write where U-Boot's environment is, as fw_printenv(8) has it",
            ),
        ],
        BootConfig::Tryboot { autoboot, .. } => {
            vec![file(disk, autoboot, "mount the boot partition that has it")]
        }
        BootConfig::Command { command, .. } => {
            vec![programs::examine(
                "boot loader",
                "image.boot.command",
                command,
                root,
            )]
        }
    }
}

fn file(disk: &dyn Disk, path: &Path, mend: &str) -> Finding {
    let shown = path.display();
    match disk.open(path) {
        Ok(_) => Finding::ok("boot loader", format!("{shown} is there")),
        Err(error) => {
            let text = format!("{shown} can't be read: {error}");
            Finding::problem("boot loader", text, mend)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;

    use super::*;
    use crate::config::Config;
    use crate::disk::SimulatedDisk;
    use crate::doctor::Level;
    use crate::install::Installer;

    #[test]
    fn slots_are_there_equal_and_not_both_in_use() {
        let text = "server = \"http://localhost\"\ndevice_id = \"a\"\nmodel = \"m\"\nstate_dir = \"/s\"\n\
            [image]\nslots = [{ name = \"a\", device = \"/dev/a\" }, { name = \"b\", device = \"/dev/b\" }]\n\
            [image.boot]\nflow = \"grub\"\nenv = \"/grubenv\"\n";
        let config = Config::parse(text, Path::new("/")).unwrap();
        let disk = Arc::new(SimulatedDisk::default());
        for folder in ["/dev", "/proc", "/proc/self"] {
            disk.make_dir(Path::new(folder)).unwrap();
        }
        let installer = ImageInstaller::new(disk.clone(), &config.image.unwrap(), Path::new("/s"));
        let levels = || -> Vec<Level> {
            let findings = installer.examine();
            findings.iter().map(|finding| finding.level).collect()
        };
        assert_eq!(levels(), [Level::Problem; 3]);
        disk.make_slot(Path::new("/dev/a"), 1 << 20);
        disk.make_slot(Path::new("/dev/b"), 2 << 20);
        disk.write_new(Path::new("/grubenv"), 0o644).unwrap();
        assert_eq!(levels(), [Level::Ok, Level::Ok, Level::Warning, Level::Ok]);
        let mut mounts = disk.write_new(Path::new(MOUNTS), 0o644).unwrap();
        mounts.write_all(b"/dev/a / ext4 rw 0 0\n").unwrap();
        assert_eq!(levels().len(), 4);
        mounts.write_all(b"/dev/b /mnt ext4 rw 0 0\n").unwrap();
        assert_eq!(levels()[3], Level::Problem);
    }
}
