use super::*;
use crate::disk::{
    CountingDisk, Kind, Owner, PUBLIC, RealDisk, SECRET, SimulatedDisk, read, write_whole,
};

struct Device {
    disk: Arc<dyn Disk>,
    root: PathBuf,
    backups: Backups,
}

/// A device with data: a database that is written to, a large file that isn't, a folder and a link.
fn device(disk: Arc<dyn Disk>, root: &Path) -> Device {
    let mut config = BackupConfig::default();
    config.paths = ["data", "state.json", "none"]
        .map(|name| root.join(name))
        .to_vec();
    let device = Device {
        backups: Backups::new(disk.clone(), &root.join("agent"), &config),
        root: root.to_owned(),
        disk,
    };
    disk::make_dirs(device.disk.as_ref(), &root.join("data/deep")).unwrap();
    device.write("data/database", "1");
    device.write("data/large", &"x".repeat(100_000));
    device.write("data/deep/file", "deep");
    device.write("state.json", "{}");
    device
        .disk
        .symlink(Path::new("database"), &root.join("data/link"))
        .unwrap();
    device
}

impl Device {
    fn write(&self, name: &str, text: &str) {
        write_whole(
            self.disk.as_ref(),
            &self.root.join(name),
            text.as_bytes(),
            PUBLIC,
        )
        .unwrap();
    }

    fn read(&self, name: &str) -> Option<String> {
        let bytes = read(self.disk.as_ref(), &self.root.join(name), 1 << 20).unwrap();
        bytes.map(|bytes| String::from_utf8(bytes).unwrap())
    }

    fn spoil(&self) {
        let disk = self.disk.as_ref();
        self.write("data/database", "2, which the old version can't read");
        self.write("data/new", "new");
        self.write("none", "new");
        disk.set_mode(&self.root.join("data/large"), SECRET)
            .unwrap();
        disk::remove_tree(disk, &self.root.join("data/deep")).unwrap();
        self.write("data/deep", "a file where a folder was");
        disk.remove(&self.root.join("data/link")).unwrap();
        disk::make_dirs(disk, &self.root.join("data/link/folder")).unwrap();
    }

    fn is_as_before(&self) {
        assert_eq!(self.read("data/database").unwrap(), "1");
        assert_eq!(self.read("data/new"), None);
        assert_eq!(self.read("none"), None);
        assert_eq!(self.read("data/deep/file").unwrap(), "deep");
        let kind = self.disk.kind(&self.root.join("data/large")).unwrap();
        assert_eq!(
            kind,
            Kind::File {
                len: 100_000,
                mode: PUBLIC
            }
        );
        let link = self.disk.read_link(&self.root.join("data/link")).unwrap();
        assert_eq!(link, Path::new("database"));
        let names = self.disk.list(&self.root.join("data")).unwrap();
        assert_eq!(names, ["database", "deep", "large", "link"]);
    }
}

const FIRST: AttemptId = AttemptId(7);

#[tokio::test]
async fn what_was_there_is_put_back_and_what_was_not_goes() {
    let folder = tempfile::tempdir().unwrap();
    let disks: [(Arc<dyn Disk>, &Path); 2] = [
        (Arc::new(RealDisk), folder.path()),
        (Arc::new(SimulatedDisk::default()), Path::new("/")),
    ];
    for (disk, root) in disks {
        let device = device(disk, root);
        device.backups.keep_while_running(FIRST).await.unwrap();
        device.backups.keep_when_stopped(FIRST).await.unwrap();
        device.spoil();
        device.backups.put_back(FIRST).await.unwrap();
        device.is_as_before();
        // Once more changes nothing, and neither does another attempt that kept nothing.
        device.backups.put_back(FIRST).await.unwrap();
        device.backups.put_back(AttemptId(8)).await.unwrap();
        device.backups.go_on().await.unwrap();
        device.is_as_before();
    }
}

#[tokio::test]
async fn what_the_old_version_wrote_until_it_stopped_is_kept_too() {
    let device = device(Arc::new(SimulatedDisk::default()), Path::new("/"));
    device.backups.keep_while_running(FIRST).await.unwrap();
    device.write("data/database", "1 and a half");
    device.backups.keep_when_stopped(FIRST).await.unwrap();
    device.spoil();
    device.backups.put_back(FIRST).await.unwrap();
    assert_eq!(device.read("data/database").unwrap(), "1 and a half");
}

#[tokio::test]
async fn what_did_not_change_is_not_written_again() {
    let disk = CountingDisk::new(Arc::new(SimulatedDisk::default()));
    let written = disk.written();
    let device = device(Arc::new(disk), Path::new("/"));
    device.backups.keep_while_running(FIRST).await.unwrap();
    let before = written.bytes();
    device.write("data/database", "2");
    device.backups.keep_when_stopped(FIRST).await.unwrap();
    device
        .backups
        .keep_while_running(AttemptId(8))
        .await
        .unwrap();
    device.backups.clean().await.unwrap();
    let more = written.bytes() - before;
    assert!(more < 5_000, "{more} bytes for a change of one");
    let names = device.disk.list(Path::new("/agent/backup")).unwrap();
    assert_eq!(names, ["8-1"]);
    device.spoil();
    let before = written.bytes();
    device.backups.put_back(AttemptId(8)).await.unwrap();
    let more = written.bytes() - before;
    assert!(
        more < 110_000,
        "{more} bytes: only what differs is put back"
    );
    assert_eq!(device.read("data/database").unwrap(), "2");
}

#[tokio::test]
async fn owners_come_back() {
    let disk = SimulatedDisk::default();
    let device = device(Arc::new(disk.clone()), Path::new("/"));
    let owner = Owner { user: 7, group: 8 };
    disk.set_owner(Path::new("/data/database"), owner).unwrap();
    device.backups.keep_while_running(FIRST).await.unwrap();
    device.spoil();
    assert_ne!(disk.owner(Path::new("/data/database")).unwrap(), owner);
    device.backups.put_back(FIRST).await.unwrap();
    assert_eq!(disk.owner(Path::new("/data/database")).unwrap(), owner);
}

#[tokio::test]
async fn a_program_makes_the_data_ready_or_the_attempt_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let mut device = device(Arc::new(RealDisk), folder.path());
    let shell = |script: String| Some(["/bin/sh", "-c", &script].map(str::to_owned).to_vec());
    let database = folder.path().join("data/database");
    device.backups.before = shell(format!("echo dumped > {}", database.display()));
    device.backups.keep_while_running(FIRST).await.unwrap();
    device.spoil();
    device.backups.put_back(FIRST).await.unwrap();
    assert_eq!(device.read("data/database").unwrap(), "dumped\n");
    device.backups.before = shell("echo locked >&2; exit 1".to_owned());
    let error = device.backups.keep_while_running(AttemptId(8)).await;
    let error = error.unwrap_err().to_string();
    assert!(error.ends_with("exit status: 1: locked"), "{error}");
}
