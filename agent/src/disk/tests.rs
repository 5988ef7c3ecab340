use super::*;

type Disks = Vec<(Box<dyn Disk>, PathBuf)>;

fn both() -> (tempfile::TempDir, Disks) {
    let folder = tempfile::tempdir().unwrap();
    let real = folder.path().join("a");
    std::fs::create_dir(&real).unwrap();
    let memory = PathBuf::from("/a");
    let memory_disk = SimulatedDisk::default();
    memory_disk.make_dir(&memory).unwrap();
    (
        folder,
        vec![(Box::new(RealDisk), real), (Box::new(memory_disk), memory)],
    )
}

#[test]
fn files_are_replaced_whole() {
    let (_folder, disks) = both();
    for (disk, root) in disks {
        let disk = disk.as_ref();
        let path = root.join("x");
        assert_eq!(read(disk, &path, 10).unwrap(), None);
        write_whole(disk, &path, b"one", SECRET).unwrap();
        write_whole(disk, &path, b"two!", PUBLIC).unwrap();
        assert_eq!(read(disk, &path, 4).unwrap().unwrap(), b"two!");
        assert!(read(disk, &path, 3).is_err());
        assert_eq!(disk.list(&root).unwrap(), ["x"]);
        let kind = Kind::File {
            len: 4,
            mode: PUBLIC,
        };
        assert_eq!(disk.kind(&path).unwrap(), kind);
    }
}

#[test]
fn names_are_not_taken_twice() {
    let (_folder, disks) = both();
    for (disk, root) in disks {
        let disk = disk.as_ref();
        let (x, y) = (root.join("x"), root.join("y"));
        disk.write_new(&x, PUBLIC).unwrap().write_all(b"1").unwrap();
        assert!(disk.write_new(&x, PUBLIC).is_err());
        assert!(disk.make_dir(&x).is_err());
        assert!(disk.append(&y).is_err());
        disk.append(&x).unwrap().write_all(b"2").unwrap();
        disk.hard_link(&x, &y).unwrap();
        assert!(disk.hard_link(&x, &y).is_err());
        assert_eq!(read(disk, &y, 9).unwrap().unwrap(), b"12");
        assert!(disk.write_new(&root.join("no/z"), PUBLIC).is_err());
        assert!(disk.remove_dir(&root).is_err());
    }
}

#[test]
fn links_switch_and_trees_go_without_following_them() {
    let (_folder, disks) = both();
    for (disk, root) in disks {
        let disk = disk.as_ref();
        make_dirs(disk, &root.join("v/1/deep")).unwrap();
        write_whole(disk, &root.join("v/1/deep/f"), b"", PUBLIC).unwrap();
        make_dirs(disk, &root.join("v/2")).unwrap();
        let current = root.join("current");
        for target in ["v/1", "v/2", "v/2"] {
            switch_link(disk, Path::new(target), &current).unwrap();
            assert_eq!(disk.read_link(&current).unwrap(), Path::new(target));
        }
        disk.symlink(&root.join("v/2"), &root.join("v/1/out"))
            .unwrap();
        remove_tree(disk, &root.join("v/1")).unwrap();
        assert_eq!(disk.list(&root.join("v")).unwrap(), ["2"]);
        remove_tree(disk, &current).unwrap();
        assert_eq!(disk.list(&root).unwrap(), ["v"]);
    }
}
