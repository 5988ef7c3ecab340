use std::io::Write as _;

use super::*;
use crate::disk::{self, CountingDisk, Disk, PUBLIC, SimulatedDisk, Slot, Written};
use crate::testing;

const SLOT: usize = 1 << 20;

struct Device {
    disk: SimulatedDisk,
    written: Written,
    installer: ImageInstaller,
    downloads: Downloads,
}

/// A device that runs from slot a.
fn device() -> Device {
    let disk = SimulatedDisk::default();
    for folder in ["/proc", "/dev", "/state"] {
        disk.make_dir(Path::new(folder)).unwrap();
    }
    for slot in ["/dev/a", "/dev/b"] {
        disk.make_slot(Path::new(slot), SLOT);
    }
    let mut env = b"# GRUB Environment Block\notter_slot=a\n".to_vec();
    env.resize(1024, b'#');
    let path = Path::new("/grubenv");
    disk.make_slot(path, env.len());
    disk.open_slot(path).unwrap().write_at(0, &env).unwrap();
    disk.settle();
    let counting = CountingDisk::new(Arc::new(disk.clone()));
    let written = counting.written();
    let counting: Arc<dyn Disk> = Arc::new(counting);
    let config: ImageConfig = toml::from_str(
        "slots = [{name = \"a\", device = \"/dev/a\"}, {name = \"b\", device = \"/dev/b\"}]\n\
         boot = {flow = \"grub\", env = \"/grubenv\"}\ninitial_version = \"1.0.0\"\nsync_every_bytes = 65536",
    )
    .unwrap();
    let device = Device {
        installer: ImageInstaller::new(counting.clone(), &config, Path::new("/state")),
        downloads: Downloads::new(counting, Path::new("/state")),
        written,
        disk,
    };
    device.boots("a");
    device
}

impl Device {
    fn boots(&self, slot: &str) {
        let line = format!("quiet otter.slot={slot}\n");
        let path = Path::new("/proc/cmdline");
        disk::write_whole(&self.disk, path, line.as_bytes(), PUBLIC).unwrap();
    }

    async fn open(&self, signed: &Signed) -> Box<dyn Intake> {
        let opened = self.installer.intake(signed, &self.downloads, &[]);
        opened.await.unwrap()
    }

    async fn install(&self, bytes: &[u8]) -> Result<Installed, InstallError> {
        let signed = testing::signed(bytes);
        let mut intake = self.open(&signed).await;
        for piece in bytes.chunks(10_000) {
            intake.take(piece)?;
        }
        assert_eq!(intake.digest(), signed.sha256);
        intake.finish()?;
        self.installer.prepare(&signed, &self.downloads, &[]).await
    }

    fn slot(&self, path: &str) -> Box<dyn Slot> {
        self.disk.open_slot(Path::new(path)).unwrap()
    }

    fn holds(&self, bytes: &[u8]) {
        let mut is = vec![0; bytes.len()];
        self.slot("/dev/b").read_at(0, &mut is).unwrap();
        assert!(is == bytes);
    }

    fn env(&self) -> String {
        let bytes = disk::read(&self.disk, Path::new("/grubenv"), 1024).unwrap();
        String::from_utf8(bytes.unwrap()).unwrap()
    }
}

/// Bytes that don't repeat, as of a system.
fn image(seed: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut count = 0u32;
    while bytes.len() < 400_000 {
        let text = format!("{seed} {count}");
        bytes.extend_from_slice(&otter_protocol::Sha256Digest::of(text.as_bytes()).0);
        count += 1;
    }
    bytes
}

#[tokio::test]
async fn an_image_goes_to_the_other_slot_is_tried_and_stays() {
    let device = device();
    let old = device.installer.recover(None).await.unwrap().unwrap();
    assert_eq!((old.version.as_str(), old.name.as_str()), ("1.0.0", "a"));
    let bytes = image(1);
    let new = device.install(&bytes).await.unwrap();
    assert_eq!(new.name, "b");
    device.holds(&bytes);
    device.installer.apply(&new).await.unwrap();
    assert!(device.env().contains("otter_slot=a\notter_try=b\n"));
    let started = device.installer.start(&new, Trial::OnTrial).await.unwrap();
    assert_eq!(started, Started::ByRestart(None));
    device.boots("b");
    let started = device.installer.start(&new, Trial::OnTrial).await.unwrap();
    assert_eq!(started, Started::Running);
    device.installer.commit(&new).await.unwrap();
    assert!(device.env().contains("otter_slot=b\n#"));
    let found = device.installer.recover(Some(&old)).await.unwrap().unwrap();
    assert_eq!(found, new, "what runs is what counts");
    device
        .installer
        .roll_back(Some(&new), Some(&old))
        .await
        .unwrap();
    assert!(device.env().contains("otter_slot=a\n#"));
}

#[tokio::test]
async fn blocks_that_are_the_same_are_not_written() {
    let device = device();
    let mut bytes = image(1);
    device.install(&bytes).await.unwrap();
    let before = device.written.bytes();
    // One per cent of the image, in one place.
    bytes[100_000..104_000].fill(7);
    device.install(&bytes).await.unwrap();
    device.holds(&bytes);
    let written = device.written.bytes() - before;
    let most = bytes.len() as u64 * 3 / 100;
    assert!(
        written < most,
        "{written} bytes are written, {most} would be 3 %"
    );
}

#[tokio::test]
async fn what_was_synced_is_not_fetched_again() {
    let device = device();
    let bytes = image(1);
    let signed = testing::signed(&bytes);
    let mut intake = device.open(&signed).await;
    intake.take(&bytes[..300_000]).unwrap();
    drop(intake);
    let mut intake = device.open(&signed).await;
    let taken = intake.taken() as usize;
    assert!(
        (200_000..300_000).contains(&taken) && intake.was_resumed(),
        "{taken}"
    );
    intake.take(&bytes[taken..]).unwrap();
    assert_eq!(intake.digest(), signed.sha256);
    intake.finish().unwrap();
    // All of it is there now.
    assert_eq!(device.open(&signed).await.taken() as usize, bytes.len());
    let new = device
        .installer
        .prepare(&signed, &device.downloads, &[])
        .await;
    assert_eq!(new.unwrap().name, "b");
    device.holds(&bytes);
    // Another image begins anew.
    let other = testing::signed(&image(2));
    assert_eq!(device.open(&other).await.taken(), 0);
}

#[tokio::test]
async fn a_packed_image_is_unpacked_as_it_comes() {
    let device = device();
    let bytes = image(1);
    let packed = zstd::encode_all(bytes.as_slice(), 3).unwrap();
    device.install(&packed).await.unwrap();
    device.holds(&bytes);
    let mut torn = packed.clone();
    torn.truncate(packed.len() / 2);
    let error = device.install(&torn).await.unwrap_err().to_string();
    assert!(error.contains("can't be unpacked"), "{error}");
}

#[tokio::test]
async fn a_packed_image_may_have_any_length() {
    let device = device();
    let bytes = vec![5; 3 * intake::BUFFER];
    for length in [1, 2, 3].map(|times| times * intake::BUFFER) {
        for length in length - 1..=(length + 1).min(bytes.len()) {
            let bytes = &bytes[..length];
            for has_checksum in [false, true] {
                let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
                encoder.include_checksum(has_checksum).unwrap();
                encoder.write_all(bytes).unwrap();
                device.install(&encoder.finish().unwrap()).await.unwrap();
                let mut found = vec![0; length];
                device.slot("/dev/b").read_at(0, &mut found).unwrap();
                assert_eq!(found, bytes);
            }
        }
    }
}

#[tokio::test]
async fn an_image_that_does_not_fit_is_refused_in_words() {
    let device = device();
    let bomb = zstd::encode_all(vec![0u8; SLOT + 1].as_slice(), 3).unwrap();
    for bytes in [vec![1; SLOT + 1], bomb] {
        let error = device.install(&bytes).await.unwrap_err().to_string();
        assert!(error.contains("larger than slot `b`"), "{error}");
    }
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
    encoder.long_distance_matching(true).unwrap();
    encoder.window_log(27).unwrap();
    encoder.include_contentsize(false).unwrap();
    encoder.write_all(&image(1)).unwrap();
    let error = device.install(&encoder.finish().unwrap()).await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("zstd -19"), "{error}");
}

#[tokio::test]
async fn a_slot_that_reads_back_otherwise_is_never_started() {
    let device = device();
    let bytes = image(1);
    let signed = testing::signed(&bytes);
    let mut intake = device.open(&signed).await;
    intake.take(&bytes).unwrap();
    intake.finish().unwrap();
    device.slot("/dev/b").write_at(5000, &[0; 100]).unwrap();
    let error = device
        .installer
        .prepare(&signed, &device.downloads, &[])
        .await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("worn out"), "{error}");
    let claimed = Installed {
        version: "2.0.0".into(),
        release_counter: 2,
        name: "b".to_owned(),
    };
    let error = device.installer.apply(&claimed).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("does not hold version 2.0.0 whole")
    );
    assert!(!device.env().contains("otter_try"));
}

#[tokio::test]
async fn who_does_not_know_which_slot_runs_writes_to_none() {
    let device = device();
    for line in ["quiet", "otter.slot=c"] {
        let path = Path::new("/proc/cmdline");
        disk::write_whole(&device.disk, path, line.as_bytes(), PUBLIC).unwrap();
        let signed = testing::signed(b"new");
        let opened = device
            .installer
            .intake(&signed, &device.downloads, &[])
            .await;
        let error = opened.err().unwrap().to_string();
        assert!(error.contains("slot"), "{error}");
    }
}
