//! Whatever an archive says, nothing lands outside the folder that it is unpacked to.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use otter_agent::disk::{Disk, Kind, SimulatedDisk};
use otter_agent::install::bundle::{Limits, unpack};

const LIMITS: Limits = Limits {
    bytes: 1 << 20,
    entries: 100,
};

/// Plain archives are packed first: a fuzzer finds no way through a checksum of zstd.
fn packed(bytes: &[u8]) -> Vec<u8> {
    let is_packed = bytes.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]);
    if is_packed {
        return bytes.to_vec();
    }
    // One raw block a frame (RFC 8878, 3.1.1): magic, a descriptor for a single segment, its length, the last block.
    let length = bytes.len().min((1 << 17) - 1);
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0b1010_0000];
    frame.extend_from_slice(&(length as u32).to_le_bytes());
    frame.extend_from_slice(&((length as u32) << 3 | 1).to_le_bytes()[..3]);
    frame.extend_from_slice(&bytes[..length]);
    frame
}

/// Counts what lies below a folder; fails where it is neither file nor folder.
fn count(disk: &SimulatedDisk, folder: &Path) -> (u64, u64) {
    let mut found = (0, 0);
    for name in disk.list(folder).unwrap() {
        let path = folder.join(name);
        match disk.kind(&path).unwrap() {
            Kind::File { len, mode } => {
                assert!(mode == 0o644 || mode == 0o755, "{mode:o}");
                found.0 += 1;
                found.1 += len;
            }
            Kind::Folder => {
                let below = count(disk, &path);
                found.0 += below.0 + 1;
                found.1 += below.1;
            }
            other => panic!("{} is {other:?}", path.display()),
        }
    }
    found
}

fuzz_target!(|bytes: &[u8]| {
    let disk = SimulatedDisk::default();
    let into = Path::new("/root/into");
    disk.make_dir(Path::new("/root")).unwrap();
    disk.make_dir(into).unwrap();
    let unpacked = unpack(&disk, packed(bytes).as_slice(), into, None, LIMITS);
    assert_eq!(disk.list(Path::new("/")).unwrap(), ["root"]);
    assert_eq!(disk.list(Path::new("/root")).unwrap(), ["into"]);
    let (entries, length) = count(&disk, into);
    assert!(entries <= LIMITS.entries && length <= LIMITS.bytes);
    if let Ok(unpacked) = unpacked {
        assert_eq!(unpacked.bytes, length);
    }
});
