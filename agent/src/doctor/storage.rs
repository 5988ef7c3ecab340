//! Whether folders can be written to, as safely as the agent needs it, and have room.

use std::io;
use std::path::Path;

use super::Finding;
use crate::disk::{self, Disk, PUBLIC};

/// With less than this not even the journal is safe.
const LEAST_BYTES: u64 = 16 << 20;
/// With less than this many an artifact won't fit.
const FEW_BYTES: u64 = 256 << 20;
const PROBE: &str = ".otter-doctor";

/// Looks at the state folder.
pub(super) fn state(disk: &dyn Disk, folder: &Path) -> Vec<Finding> {
    let mut findings = vec![writable(disk, "state folder", "state_dir", folder)];
    if let Ok(bytes) = disk.free_bytes(existing(disk, folder)) {
        findings.push(space(bytes));
    }
    findings
}

/// Returns the folder, or the nearest one above it that is there.
pub(crate) fn existing<'a>(disk: &dyn Disk, folder: &'a Path) -> &'a Path {
    let mut folders = folder.ancestors();
    folders
        .find(|folder| disk.kind(folder).is_ok())
        .unwrap_or(folder)
}

/// Tells whether files in a folder can be made, synced, renamed and removed; `key` is the configuration's name for it.
pub(crate) fn writable(disk: &dyn Disk, about: &str, key: &str, folder: &Path) -> Finding {
    let place = existing(disk, folder);
    let shown = place.display();
    match probe(disk, place) {
        Ok(()) if place == folder => Finding::ok(
            about,
            format!("{shown} can be written, renamed in and synced"),
        ),
        Ok(()) => Finding::ok(
            about,
            format!(
                "{} is not there yet, and can be made in {shown}",
                folder.display()
            ),
        ),
        Err(error) => Finding::problem(
            about,
            format!("{shown} can't be written to, renamed in or synced: {error}"),
            format!(
                "let the agent's user write there, on a file system that is mounted read-write and is not full, or set `{key}` elsewhere"
            ),
        ),
    }
}

fn probe(disk: &dyn Disk, folder: &Path) -> io::Result<()> {
    let path = folder.join(PROBE);
    disk::write_whole(disk, &path, b"written by otter-agent doctor\n", PUBLIC)?;
    disk.remove(&path)
}

/// Tells whether a folder's file system has hard links, by which versions share what they have in common.
pub(crate) fn has_hard_links(disk: &dyn Disk, folder: &Path) -> bool {
    let folder = existing(disk, folder);
    let (file, link) = (folder.join(PROBE), folder.join(format!("{PROBE}-link")));
    let linked = disk::write_whole(disk, &file, b"", PUBLIC)
        .and_then(|()| disk::remove_if_there(disk, &link))
        .and_then(|()| disk.hard_link(&file, &link));
    for path in [file, link] {
        // What was not made needs no removal.
        disk::remove_if_there(disk, &path).ok();
    }
    linked.is_ok()
}

fn space(free: u64) -> Finding {
    let text = format!("{} MiB are free for downloads and the journal", free >> 20);
    let mend = "remove what isn't needed, or set `state_dir` to a larger disk";
    match free {
        0..LEAST_BYTES => Finding::problem("space", text, mend),
        LEAST_BYTES..FEW_BYTES => Finding::warning("space", text, mend),
        _ => Finding::ok("space", text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::SimulatedDisk;
    use crate::doctor::Level;

    #[test]
    fn space_is_judged_by_what_is_free() {
        let table = [
            (0, Level::Problem),
            (LEAST_BYTES - 1, Level::Problem),
            (LEAST_BYTES, Level::Warning),
            (FEW_BYTES, Level::Ok),
        ];
        for (free, level) in table {
            assert_eq!(space(free).level, level, "{free}");
        }
    }

    #[test]
    fn a_folder_is_probed_where_it_is_or_will_be_and_nothing_is_left() {
        let disk = SimulatedDisk::default();
        disk.make_dir(Path::new("/var")).unwrap();
        let look = |folder: &str| state(&disk, Path::new(folder));
        assert!(look("/var")[0].text.starts_with("/var can be written"));
        let text = &look("/var/lib/otter")[0].text;
        assert!(text.contains("can be made in /var"), "{text}");
        assert!(has_hard_links(&disk, Path::new("/var/versions")));
        assert!(disk.list(Path::new("/var")).unwrap().is_empty());
        disk.set_full(true);
        let findings = look("/var");
        assert_eq!([findings[0].level, findings[1].level], [Level::Problem; 2]);
    }
}
