//! How strong a wireless signal is, as far as the kernel says so.

use std::path::Path;

use crate::disk::{self, Disk};

const FILE: &str = "/proc/net/wireless";
const LARGEST: u64 = 64 << 10;
/// What a signal must change by to be news: it is never still, and each change is written down by the server.
const NEWS_DB: u32 = 6;

/// Returns an interface's signal in dBm, where it is wireless.
pub(super) fn signal_dbm(disk: &dyn Disk, interface: &str) -> Option<i32> {
    let bytes = disk::read(disk, Path::new(FILE), LARGEST).ok()??;
    level(&String::from_utf8_lossy(&bytes), interface)
}

/// Finds an interface's level in the kernel's table.
fn level(table: &str, interface: &str) -> Option<i32> {
    let row = table.lines().find_map(|line| {
        let (name, row) = line.split_once(':')?;
        (name.trim() == interface).then_some(row)
    })?;
    // Status, quality, level, noise. Levels that aren't negative aren't dBm.
    let level = row.split_whitespace().nth(2)?.trim_end_matches('.');
    level.parse().ok().filter(|dbm| *dbm < 0)
}

/// Returns the signal to tell of: the one told before, until it is news.
pub(super) fn steady(before: Option<i32>, now: i32) -> i32 {
    before
        .filter(|before| before.abs_diff(now) < NEWS_DB)
        .unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::disk::{PUBLIC, SimulatedDisk};

    const TABLE: &str = "\
Inter-| sta-|   Quality        |   Discarded packets               | Missed | WE
 face | tus | link level noise |  nwid  crypt   frag  retry   misc | beacon | 22
 wlan0: 0000   54.  -56.  -256        0      0      0      0      3        0
wlan10: 0000   70.  -40   -256        0      0      0      0      3        0
  old0: 0000   70.  199.  -256        0      0      0      0      3        0
 torn0: 0000
";

    #[test]
    fn the_kernels_table_is_read() {
        let table = [
            ("wlan0", Some(-56)),
            ("wlan10", Some(-40)),
            ("wlan1", None),
            ("old0", None),
            ("torn0", None),
            (" face | tus", None),
        ];
        for (interface, dbm) in table {
            assert_eq!(level(TABLE, interface), dbm, "{interface}");
        }
        assert_eq!(level("", "wlan0"), None);
    }

    #[test]
    fn machines_without_radio_have_no_signal() {
        let disk = SimulatedDisk::default();
        assert_eq!(signal_dbm(&disk, "wlan0"), None);
        disk::make_dirs(&disk, Path::new("/proc/net")).unwrap();
        let mut file = disk.write_new(Path::new(FILE), PUBLIC).unwrap();
        file.write_all(TABLE.as_bytes()).unwrap();
        assert_eq!(signal_dbm(&disk, "wlan0"), Some(-56));
    }

    #[test]
    fn a_signal_that_only_flickers_is_no_news() {
        let table = [
            (None, -50, -50),
            (Some(-50), -55, -50),
            (Some(-50), -45, -50),
            (Some(-50), -56, -56),
            (Some(-50), -44, -44),
        ];
        for (before, now, told) in table {
            assert_eq!(steady(before, now), told, "{before:?}, {now}");
        }
    }
}
