use std::fs;
use std::path::Path;

use super::*;
use crate::config::Config;
use crate::disk::RealDisk;
use crate::doctor::Level;
use crate::testing;

/// The controller is a file whose first line is the version that it says, as that of one half flashed would be.
struct Rig {
    folder: tempfile::TempDir,
    installer: FirmwareInstaller,
}

impl Rig {
    fn new(flash: &str, more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().display();
        let text = format!(
            "server = \"http://localhost\"\ndevice_id = \"a\"\nmodel = \"m\"\nstate_dir = \"{place}\"\n[firmware]\n\
             flash = [\"/bin/sh\", \"-c\", \"echo $2 >> {place}/flashes; {flash}\", \"flash\", \"{{artifact}}\", \"{{version}}\"]\n\
             read_version = [\"/bin/sh\", \"-c\", \"head -n 1 {place}/controller\"]\n\
             flash_timeout_sec = 5\nread_back_sec = 0.1\nread_interval_sec = 0.02\n{more}"
        );
        let text = text.replace("CONTROLLER", &format!("{place}/controller"));
        let config = Config::parse(&text, Path::new("/")).unwrap();
        let disk = Arc::new(RealDisk);
        let config = config.firmware.unwrap();
        let installer = FirmwareInstaller::new(disk, &config, folder.path(), BTreeMap::new());
        Self { folder, installer }
    }

    fn controller(&self) -> String {
        fs::read_to_string(self.folder.path().join("controller")).unwrap()
    }

    fn set_controller(&self, text: &str) {
        fs::write(self.folder.path().join("controller"), text).unwrap();
    }

    fn flashes(&self) -> Vec<String> {
        let flashes = fs::read_to_string(self.folder.path().join("flashes"));
        let lines = flashes.unwrap_or_default();
        lines.lines().map(str::to_owned).collect()
    }

    async fn prepared(&self, bytes: &[u8]) -> Installed {
        let signed = testing::signed(bytes);
        let downloads = Downloads::new(Arc::new(RealDisk), self.folder.path());
        let intake = self.installer.intake(&signed, &downloads, &[]).await;
        let mut intake = intake.unwrap();
        intake.take(bytes).unwrap();
        intake.finish().unwrap();
        let prepared = self.installer.prepare(&signed, &downloads, &[]).await;
        prepared.unwrap()
    }

    async fn found(&self) -> Installed {
        self.installer.recover(None).await.unwrap().unwrap()
    }
}

const FLASH: &str = "cat $1 > CONTROLLER";
const READ_OUT: &str = "read_out = [\"/bin/cp\", \"CONTROLLER\", \"{file}\"]\n";

#[tokio::test]
async fn it_is_flashed_once_and_what_was_there_comes_back() {
    let rig = Rig::new(FLASH, READ_OUT);
    rig.set_controller("1.0.0\nold\n");
    let old = rig.found().await;
    assert_eq!(old.version, "1.0.0".into());
    let new = rig.prepared(b"2.0.0\nnew\n").await;
    let installer = &rig.installer;
    for _ in 0..2 {
        installer.back_up(Some(&old)).await.unwrap();
        installer.apply(&new).await.unwrap();
    }
    assert_eq!(rig.flashes(), ["2.0.0"], "the second finds it done");
    let started = installer.start(&new, Trial::OnTrial).await.unwrap();
    assert_eq!(started, Started::Running);
    installer.clean(&[new.clone(), old.clone()]).await.unwrap();
    for _ in 0..2 {
        installer.roll_back(Some(&new), Some(&old)).await.unwrap();
    }
    assert_eq!(rig.flashes(), ["2.0.0", "1.0.0"]);
    assert_eq!(rig.controller(), "1.0.0\nold\n");
    installer.start(&old, Trial::Trusted).await.unwrap();
    assert_eq!(installer.recover(Some(&old)).await.unwrap(), Some(old));
    // What the controller says is known by what is kept.
    rig.set_controller("2.0.0\n");
    assert_eq!(installer.recover(None).await.unwrap(), Some(new.clone()));
    let newer = Shelf::found("7.0.0".into(), 7);
    let found = installer.recover(Some(&newer)).await.unwrap().unwrap();
    assert_eq!((found.name, found.release_counter), (new.name, 7));
}

#[tokio::test]
async fn one_half_flashed_is_never_taken_for_whole_whatever_it_says() {
    let rig = Rig::new("head -n 1 $1 > CONTROLLER; exit 3", READ_OUT);
    rig.set_controller("1.0.0\nold\n");
    let old = rig.found().await;
    let new = rig.prepared(b"2.0.0\nnew\n").await;
    let installer = &rig.installer;
    installer.back_up(Some(&old)).await.unwrap();
    for _ in 0..2 {
        let error = installer.apply(&new).await.unwrap_err().to_string();
        assert!(
            error.contains("`firmware.flash` failed: exit status: 3"),
            "{error}"
        );
    }
    assert_eq!(rig.flashes().len(), 2, "it is done again from its start");
    let error = installer.start(&new, Trial::OnTrial).await.unwrap_err();
    assert!(error.to_string().contains("half flashed"), "{error}");
    let found = installer.recover(Some(&old)).await.unwrap().unwrap();
    assert_eq!(found.version, Version::default());
    assert_eq!(found.name, old.name, "what it was is not forgotten");
    // Not even going back is tried for ever: flash memory wears.
    rig.installer.flashed.write(&Flashed::Never).unwrap();
    let mut failures = 0;
    rig.set_controller("2.0.0\n");
    for _ in 0..2 * MOST_FAILURES {
        failures += u32::from(installer.roll_back(Some(&new), Some(&old)).await.is_err());
    }
    assert_eq!(failures, MOST_FAILURES);
    installer.start(&old, Trial::Trusted).await.unwrap_err();
}

#[tokio::test]
async fn one_that_was_interrupted_is_mended_at_the_next_start() {
    let rig = Rig::new(FLASH, READ_OUT);
    rig.set_controller("1.0.0\nold\n");
    let old = rig.found().await;
    rig.installer.back_up(Some(&old)).await.unwrap();
    let name = "another".to_owned();
    let begun = Flashed::Begun { name, failures: 0 };
    rig.installer.flashed.write(&begun).unwrap();
    rig.set_controller("1.0.0\nha");
    let found = rig.installer.recover(Some(&old)).await.unwrap();
    assert_eq!(found, Some(old));
    assert_eq!(rig.controller(), "1.0.0\nold\n");
}

#[tokio::test]
async fn a_controller_that_says_something_else_did_not_start() {
    let rig = Rig::new(FLASH, "");
    rig.set_controller("1.0.0\n");
    let old = rig.found().await;
    let new = rig.prepared(b"9.9.9\n").await;
    let installer = &rig.installer;
    installer.back_up(Some(&old)).await.unwrap();
    installer.apply(&new).await.unwrap();
    let error = installer.start(&new, Trial::OnTrial).await.unwrap_err();
    let error = error.to_string();
    assert!(
        error.contains("says that it runs 9.9.9, not 2.0.0"),
        "{error}"
    );
    // Nothing was kept of what it ran: that is told, and not tried for ever.
    installer.roll_back(Some(&new), Some(&old)).await.unwrap();
    let error = installer.start(&old, Trial::Trusted).await.unwrap_err();
    assert!(error.to_string().contains("9.9.9, not 1.0.0"), "{error}");
    let findings = installer.examine();
    let levels: Vec<Level> = findings.iter().map(|finding| finding.level).collect();
    assert_eq!(levels, [Level::Ok, Level::Ok, Level::Warning]);
}

#[tokio::test]
async fn one_that_says_nothing_is_unknown_until_it_speaks() {
    let rig = Rig::new(FLASH, "");
    assert_eq!(rig.installer.recover(None).await.unwrap(), None);
    rig.set_controller("1.0.0\n");
    let old = rig.found().await;
    rig.set_controller("");
    let unknown = rig.installer.recover(Some(&old)).await.unwrap().unwrap();
    assert_eq!((unknown.version.as_str(), &unknown.name), ("", &old.name));
    rig.set_controller("1.0.0\n");
    assert_eq!(
        rig.installer.recover(Some(&unknown)).await.unwrap(),
        Some(old)
    );
}

#[tokio::test]
async fn a_flasher_that_hangs_is_ended() {
    let rig = Rig::new("sleep 1000", "");
    rig.set_controller("1.0.0\n");
    let new = rig.prepared(b"2.0.0\n").await;
    let error = rig.installer.apply(&new).await.unwrap_err().to_string();
    assert!(error.contains("took longer than 5s"), "{error}");
}
