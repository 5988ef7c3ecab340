use super::*;
use crate::disk::{PUBLIC, optional, read, write_whole};

const PATH: &str = "/f";

fn disk(file_system: FileSystem) -> SimulatedDisk {
    let disk = SimulatedDisk::new(file_system);
    write_whole(&disk, Path::new(PATH), b"old", PUBLIC).unwrap();
    disk
}

/// Every end that a cut may have, over many seeds.
fn ends(disk: &SimulatedDisk) -> BTreeSet<Option<Vec<u8>>> {
    let losses = [Loss::All, Loss::Nothing, Loss::Bytes]
        .into_iter()
        .chain((0..200).map(Loss::Torn));
    losses
        .map(|loss| {
            let after = SimulatedDisk::from(disk.tree().after_cut(loss));
            read(&after, Path::new(PATH), 100).unwrap()
        })
        .collect()
}

#[test]
fn what_is_synced_stays_whatever_is_cut() {
    for file_system in [FileSystem::Ordered, FileSystem::Unordered] {
        let disk = disk(file_system);
        assert!(!disk.tree().has_anything_to_lose());
        assert_eq!(ends(&disk), BTreeSet::from([Some(b"old".to_vec())]));
    }
}

#[test]
fn a_file_replaced_without_a_sync_can_be_empty_torn_or_zero() {
    for file_system in [FileSystem::Ordered, FileSystem::Unordered] {
        let disk = disk(file_system);
        let new = Path::new("/g");
        disk.write_new(new, PUBLIC)
            .unwrap()
            .write_all(b"new")
            .unwrap();
        <dyn Disk>::rename(&disk, new, Path::new(PATH)).unwrap();
        let ends = ends(&disk);
        for end in ["old", "new", "", "n", "\0\0\0"] {
            assert!(
                ends.contains(&Some(end.into())),
                "{file_system:?}: {ends:?}"
            );
        }
    }
}

#[test]
fn a_place_in_the_source_can_be_taken_away() {
    let disk = disk(FileSystem::Ordered);
    let sites = disk.sites();
    let kinds: Vec<&str> = sites.iter().map(|site| site.what).collect();
    assert_eq!(kinds, ["sync", "rename", "sync of names"], "{sites:?}");
    assert!(
        sites.iter().all(|site| site.file.ends_with("disk/mod.rs")),
        "{sites:?}"
    );
    for site in sites {
        let disk = self::disk(FileSystem::Unordered);
        disk.take_away(site);
        write_whole(&disk, Path::new(PATH), b"new", PUBLIC).unwrap();
        let ends = ends(&disk);
        assert!(
            ends.len() > 1 || site.what == "rename",
            "{site} changes nothing: {ends:?}"
        );
    }
}

#[test]
fn slots_are_torn_between_sectors() {
    let disk = SimulatedDisk::default();
    let path = Path::new("/slot");
    disk.make_slot(path, 2048);
    let mut slot = disk.open_slot(path).unwrap();
    slot.write_at(0, &[1; 2048]).unwrap();
    let mut lengths = BTreeSet::new();
    for seed in 0..200 {
        let after = SimulatedDisk::from(disk.tree().after_cut(Loss::Torn(seed)));
        let mut bytes = [0; 2048];
        after
            .open_slot(path)
            .unwrap()
            .read_at(0, &mut bytes)
            .unwrap();
        let ones = bytes.iter().take_while(|byte| **byte == 1).count();
        assert!(bytes[ones..].iter().all(|byte| *byte == 0));
        lengths.insert(ones);
    }
    assert_eq!(lengths, BTreeSet::from([0, 512, 1024, 1536, 2048]));
    slot.sync().unwrap();
    assert!(!disk.tree().has_anything_to_lose());
}

#[test]
fn unordered_names_come_one_by_one_and_ordered_ones_in_turn() {
    let pairs = |file_system| {
        let disk = SimulatedDisk::new(file_system);
        disk.make_dir(Path::new("/a")).unwrap();
        disk.make_dir(Path::new("/b")).unwrap();
        let mut seen = BTreeSet::new();
        for seed in 0..100 {
            let after = SimulatedDisk::from(disk.tree().after_cut(Loss::Torn(seed)));
            let is_there = |path| optional(after.kind(Path::new(path))).unwrap().is_some();
            seen.insert((is_there("/a"), is_there("/b")));
        }
        seen
    };
    assert_eq!(pairs(FileSystem::Unordered).len(), 4);
    let ordered = [(false, false), (true, false), (true, true)];
    assert_eq!(pairs(FileSystem::Ordered), BTreeSet::from(ordered));
}
