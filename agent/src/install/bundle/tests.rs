use std::io::{Cursor, Write};
use std::path::Path;

use tar::{Builder, EntryType, Header};

use super::name::{folder_name, from_name};
use super::*;
use crate::disk::{Kind, RealDisk, SimulatedDisk};
use crate::testing;

const LIMITS: Limits = Limits {
    bytes: 10_000,
    entries: 20,
};

/// An entry of an archive, as a thief would write it.
struct Entry {
    name: Vec<u8>,
    kind: EntryType,
    mode: u32,
    body: Vec<u8>,
}

fn entry(name: impl AsRef<[u8]>, kind: EntryType, body: impl AsRef<[u8]>) -> Entry {
    Entry {
        name: name.as_ref().to_vec(),
        kind,
        mode: 0o644,
        body: body.as_ref().to_vec(),
    }
}

fn file(name: impl AsRef<[u8]>, body: impl AsRef<[u8]>) -> Entry {
    entry(name, EntryType::Regular, body)
}

fn archive(entries: impl IntoIterator<Item = Entry>) -> Vec<u8> {
    let mut builder = Builder::new(zstd::Encoder::new(Vec::new(), 1).unwrap());
    for entry in entries {
        let mut header = Header::new_ustar();
        // As bytes: the library's own setters refuse what a thief would write.
        let field = &mut header.as_mut_bytes()[..100];
        field[..entry.name.len()].copy_from_slice(&entry.name);
        header.set_entry_type(entry.kind);
        header.set_mode(entry.mode);
        header.set_size(entry.body.len() as u64);
        if matches!(entry.kind, EntryType::Symlink | EntryType::Link) {
            header.set_link_name("/etc/passwd").unwrap();
        }
        header.set_cksum();
        builder.append(&header, Cursor::new(entry.body)).unwrap();
    }
    builder.into_inner().unwrap().finish().unwrap()
}

fn pax(facts: &[(&str, &str)]) -> Entry {
    let mut body = String::new();
    for (key, value) in facts {
        let rest = format!(" {key}={value}\n");
        // The length counts its own digits.
        let len = (1..9).map(|digits| rest.len() + digits);
        let len = len
            .zip(1..)
            .find(|(len, digits)| len.to_string().len() == *digits);
        body.push_str(&format!("{}{rest}", len.unwrap().0));
    }
    entry("pax", EntryType::XHeader, body)
}

/// Unpacks in memory; returns the refusal and what was written.
fn refusal(archive: &[u8]) -> (String, Vec<std::ffi::OsString>) {
    let disk = SimulatedDisk::default();
    disk.make_dir(Path::new("/s")).unwrap();
    disk.make_dir(Path::new("/s/into")).unwrap();
    let into = Path::new("/s/into");
    let error = unpack(&disk, archive, into, None, LIMITS).unwrap_err();
    assert_eq!(
        disk.list(Path::new("/s")).unwrap(),
        ["into"],
        "something is outside"
    );
    assert_eq!(
        disk.list(Path::new("/")).unwrap(),
        ["s"],
        "something is outside"
    );
    (error.to_string(), disk.list(into).unwrap())
}

#[test]
fn hostile_archives_are_refused_by_name() {
    let setuid = Entry {
        mode: 0o4755,
        ..file("su", "x")
    };
    let deep = format!("{}x", "a/".repeat(45));
    let long = "a/".repeat(600);
    let cases = [
        (vec![file("../out", "x")], "`..`"),
        (vec![file("a/../../out", "x")], "`..`"),
        (vec![entry("..", EntryType::Directory, "")], "`..`"),
        (vec![file("/etc/passwd", "x")], "absolute"),
        (vec![file("a\\..\\b", "x")], "backslash"),
        (vec![file("a\nb", "x")], "control"),
        (vec![file(b"a\xff", "x")], "UTF-8"),
        (vec![entry("l", EntryType::Symlink, "")], "symbolic link"),
        (vec![entry("l", EntryType::Link, "")], "hard link"),
        (vec![entry("d", EntryType::Char, "")], "device"),
        (vec![entry("d", EntryType::Block, "")], "device"),
        (vec![entry("p", EntryType::Fifo, "")], "pipe"),
        (
            vec![entry("s", EntryType::GNUSparse, "")],
            "neither file nor folder",
        ),
        (vec![setuid], "setuid"),
        (vec![file("a", "1"), file("a", "2")], "twice"),
        (vec![file("read", "1"), file("READ", "2")], "case"),
        (vec![file("ä", "1"), file("Ä", "2")], "case"),
        (vec![file("a/x", "1"), file("A/y", "2")], "case"),
        (vec![file("a", "1"), file("a/b", "2")], "twice"),
        (vec![file("big", [0; 10_001])], "more than 10000 bytes"),
        (
            (0..21).map(|n| file(n.to_string(), "")).collect(),
            "more than 20 files",
        ),
        (vec![file(deep, "")], "more than 20 files"),
        (vec![pax(&[("path", &long)]), file("a", "")], "too long"),
        (
            vec![pax(&[("path", "/etc/passwd")]), file("a", "")],
            "absolute",
        ),
        (vec![pax(&[("size", "99")]), file("a", "")], "length"),
        (
            vec![pax(&[("GNU.sparse.major", "1")]), file("a", "")],
            "sparse",
        ),
        (
            vec![entry("n", EntryType::GNULongName, "../x\0"), file("a", "")],
            "`..`",
        ),
        (
            vec![
                entry("n", EntryType::GNULongName, vec![b'x'; 70_000]),
                file("a", ""),
            ],
            "64 KiB",
        ),
        (
            vec![entry("n", EntryType::GNULongLink, "x"), file("a", "")],
            "neither",
        ),
        (vec![], "empty"),
        (vec![entry("a", EntryType::Directory, "")], "empty"),
    ];
    for (entries, words) in cases {
        let name = String::from_utf8_lossy(&entries.first().map_or(vec![], |e| e.name.clone()))
            .into_owned();
        let (error, _) = refusal(&archive(entries));
        assert!(error.contains(words), "{name:?}: {error}");
    }
}

#[test]
fn nothing_of_a_link_or_an_outside_name_is_written() {
    for bad in [
        file("../x", "1"),
        entry("l", EntryType::Symlink, ""),
        file("/x", "1"),
    ] {
        let (_, written) = refusal(&archive([bad, file("after", "2")]));
        assert!(written.is_empty(), "{written:?}");
    }
}

#[test]
fn archives_that_end_too_early_or_never_are_refused() {
    let whole = archive([file("a", vec![b'x'; 5000]), file("b", vec![b'y'; 4000])]);
    let (error, _) = refusal(&whole[..whole.len() / 2]);
    assert!(error.contains("no whole .tar.zst"), "{error}");
    let (error, _) = refusal(b"this is no archive");
    assert!(error.contains("no whole .tar.zst"), "{error}");
    // A tar cut inside its last file, in a sound zstd frame.
    let tar = zstd::decode_all(&whole[..]).unwrap();
    let cut = zstd::encode_all(&tar[..512 + 700], 1).unwrap();
    let (error, _) = refusal(&cut);
    assert!(error.contains("no whole .tar.zst"), "{error}");
    // Zeros for ever, small when compressed.
    let mut bomb = zstd::Encoder::new(Vec::new(), 1).unwrap();
    bomb.write_all(&archive_head("big", 1 << 40)).unwrap();
    for _ in 0..64 {
        bomb.write_all(&[0; 1 << 16]).unwrap();
    }
    let (error, written) = refusal(&bomb.finish().unwrap());
    assert!(error.contains("more than 10000 bytes"), "{error}");
    assert!(written.is_empty());
}

/// A header that promises this many bytes.
fn archive_head(name: &str, size: u64) -> Vec<u8> {
    let mut header = Header::new_gnu();
    header.set_path(name).unwrap();
    header.set_mode(0o644);
    header.set_size(size);
    header.set_cksum();
    header.as_bytes().to_vec()
}

struct Device {
    _folder: tempfile::TempDir,
    files: Files,
}

fn device() -> Device {
    let folder = tempfile::tempdir().unwrap();
    let files = Files {
        disk: Arc::new(RealDisk),
        root: folder.path().join("root"),
        limits: LIMITS,
    };
    Device {
        _folder: folder,
        files,
    }
}

impl Device {
    fn prepare(&self, bytes: &[u8], in_use: &[Installed]) -> Result<Installed, InstallError> {
        let path = self.files.root.with_file_name("artifact");
        std::fs::write(&path, bytes).unwrap();
        self.files.prepare(&testing::signed(bytes), &path, in_use)
    }

    fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.files.root.join(path)).unwrap()
    }

    fn versions(&self) -> Vec<String> {
        let names = RealDisk.list(&self.files.versions()).unwrap();
        names
            .into_iter()
            .map(|name| name.into_string().unwrap())
            .collect()
    }
}

fn bundle(version: &str) -> Vec<u8> {
    let program = Entry {
        mode: 0o755,
        ..file("bin/run", "#!/bin/sh\n")
    };
    archive([
        entry("./", EntryType::Directory, ""),
        entry("bin", EntryType::Directory, ""),
        program,
        file("VERSION", version),
        file("same", vec![b's'; 3000]),
    ])
}

#[test]
fn versions_lie_side_by_side_and_one_is_current() {
    let device = device();
    let files = &device.files;
    let first = device.prepare(&bundle("1"), &[]).unwrap();
    assert_eq!(first.name, "2-2.0.0");
    assert_eq!(files.current().unwrap(), None);
    files.switch(Some(&first)).unwrap();
    assert_eq!(device.read("current/VERSION"), "1");
    assert_eq!(files.current().unwrap(), Some(first.clone()));
    let program = RealDisk.kind(&files.root.join("current/bin/run")).unwrap();
    assert!(matches!(program, Kind::File { mode: 0o755, .. }));

    // The same release once more takes nothing from the one that runs.
    let second = device
        .prepare(&bundle("2"), std::slice::from_ref(&first))
        .unwrap();
    assert_eq!(second.name, "2-2.0.0~2");
    assert_eq!(device.read("current/VERSION"), "1");
    files.switch(Some(&second)).unwrap();
    assert_eq!(device.read("current/VERSION"), "2");
    files.clean(&[second]).unwrap();
    assert_eq!(device.versions(), ["2-2.0.0~2"]);
    files.switch(None).unwrap();
    assert_eq!(files.current().unwrap(), None);
}

#[test]
fn unchanged_files_are_not_written_again() {
    use std::os::unix::fs::MetadataExt;
    let device = device();
    let old = device.prepare(&bundle("1"), &[]).unwrap();
    let new = device
        .prepare(&bundle("2"), std::slice::from_ref(&old))
        .unwrap();
    let inode = |version: &Installed, name: &str| {
        std::fs::metadata(device.files.folder(version).join(name))
            .unwrap()
            .ino()
    };
    assert_eq!(inode(&old, "same"), inode(&new, "same"));
    assert_eq!(inode(&old, "bin/run"), inode(&new, "bin/run"));
    assert_ne!(inode(&old, "VERSION"), inode(&new, "VERSION"));
}

#[test]
fn files_that_differ_late_are_written_whole() {
    let device = device();
    let mut body = vec![b'x'; 9000];
    let old = device.prepare(&archive([file("a", &body)]), &[]).unwrap();
    *body.last_mut().unwrap() = b'y';
    let new = device
        .prepare(&archive([file("a", &body)]), std::slice::from_ref(&old))
        .unwrap();
    let read = |version: &Installed| std::fs::read(device.files.folder(version).join("a")).unwrap();
    assert_eq!(read(&new), body);
    assert_eq!(*read(&old).last().unwrap(), b'x');
}

#[test]
fn what_was_left_half_done_is_removed_or_done_again() {
    let device = device();
    let versions = device.files.versions();
    let half = versions.join(".staging-2-2.0.0/deep");
    std::fs::create_dir_all(&half).unwrap();
    std::fs::write(half.join("x"), "half").unwrap();
    std::fs::create_dir_all(versions.join("2-2.0.0")).unwrap();
    let version = device.prepare(&bundle("1"), &[]).unwrap();
    assert_eq!(device.versions(), ["2-2.0.0"]);
    assert_eq!(device.read("versions/2-2.0.0/VERSION"), "1");
    std::fs::create_dir_all(versions.join(".staging-x/y")).unwrap();
    device.files.clean(&[version]).unwrap();
    assert_eq!(device.versions(), ["2-2.0.0"]);
}

#[test]
fn the_initial_version_is_copied_once() {
    let device = device();
    let initial = device.files.root.with_file_name("initial");
    std::fs::create_dir_all(initial.join("bin")).unwrap();
    std::fs::write(initial.join("bin/run"), "x").unwrap();
    let taken = device
        .files
        .take_initial(&initial, &"1.0.0".into())
        .unwrap();
    assert_eq!((taken.name.as_str(), taken.release_counter), ("0-1.0.0", 0));
    assert_eq!(device.read("current/bin/run"), "x");
    std::os::unix::fs::symlink("/etc", initial.join("link")).unwrap();
    let error = device
        .files
        .take_initial(&initial, &"1.0.1".into())
        .unwrap_err();
    assert!(
        error.to_string().contains("neither file nor folder"),
        "{error}"
    );
}

#[test]
fn names_of_folders_are_tame_and_tell_what_they_hold() {
    let table = [
        ("1.2.0-rc.1+b", "7-1.2.0-rc.1+b"),
        ("../../etc", "7-.._.._etc"),
        ("summer / 2026", "7-summer___2026"),
    ];
    for (version, name) in table {
        assert_eq!(folder_name(7, &version.into()), name);
    }
    assert!(folder_name(7, &"x".repeat(500).into()).len() <= name::LONGEST_NAME + 2);
    let read = from_name("7-1.2.0-rc.1~2");
    assert_eq!(
        (read.version.as_str(), read.release_counter),
        ("1.2.0-rc.1", 7)
    );
    assert_eq!(from_name("odd").release_counter, 0);
}

#[test]
fn long_names_unpack_as_gnu_and_pax_write_them() {
    let device = device();
    let long = format!("{0}/{0}/deep", "n".repeat(60));
    let mut gnu = Builder::new(zstd::Encoder::new(Vec::new(), 1).unwrap());
    let mut header = Header::new_gnu();
    header.set_mode(0o644);
    header.set_size(1);
    gnu.append_data(&mut header, &long, &b"x"[..]).unwrap();
    let gnu = gnu.into_inner().unwrap().finish().unwrap();
    let facts = [("mtime", "1767225600.5"), ("path", long.as_str())];
    let pax = archive([pax(&facts), file("short", "x")]);
    for bytes in [gnu, pax] {
        let version = device.prepare(&bytes, &[]).unwrap();
        let deep = device.files.folder(&version).join(&long);
        assert_eq!(std::fs::read_to_string(deep).unwrap(), "x");
    }
}
