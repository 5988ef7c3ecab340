//! What bundles need on a device.

use super::Files;
use crate::doctor::{Finding, storage};

impl Files {
    pub(super) fn examine(&self) -> Vec<Finding> {
        let disk = self.disk.as_ref();
        let versions = self.versions();
        let mut findings = vec![
            storage::writable(disk, "bundle root", "bundle.root", &self.root),
            storage::writable(disk, "versions", "bundle.root", &versions),
        ];
        findings.push(if storage::has_hard_links(disk, &versions) {
            Finding::ok("hard links", "what versions have in common is stored once")
        } else {
            Finding::warning(
                "hard links",
                "there are none, so that every version needs all of its space and is written whole",
                "set `bundle.root` to a file system with hard links: ext4, btrfs, xfs or f2fs, and no FAT",
            )
        });
        findings
    }
}
