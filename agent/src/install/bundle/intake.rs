//! Unpacks a bundle while it comes, so that its bytes are written once: as the files that they become, and only where those
//! differ from the old version's.
//!
//! Until the last byte is hashed nothing of it is trusted: it lies in a staging folder, and what unpacks it takes whatever
//! may come.

use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use otter_protocol::Sha256Digest;
use sha2::{Digest, Sha256};

use super::super::{InstallError, Intake};
use super::files::Files;
use super::unpack::unreadable;
use crate::journal::{Installed, Signed};

/// Pieces between the network and what unpacks them.
const PIECES: usize = 4;

/// A bundle that is unpacked while it comes. A restart of the agent begins it again.
pub(super) struct BundleIntake {
    files: Files,
    signed: Signed,
    in_use: Vec<Installed>,
    hasher: Sha256,
    taken: u64,
    /// All of it was unpacked by an earlier run.
    is_ready: bool,
    work: Option<Work>,
}

/// Whoever unpacks, and how it hears of more.
struct Work {
    pieces: SyncSender<Piece>,
    thread: JoinHandle<Result<(Installed, PathBuf), InstallError>>,
}

enum Piece {
    Bytes(Vec<u8>),
    End,
}

impl BundleIntake {
    /// Opens an intake; nothing is to be taken where all of it was unpacked already.
    pub(super) fn open(
        files: Files,
        signed: Signed,
        in_use: Vec<Installed>,
    ) -> Result<Self, InstallError> {
        let is_ready = files.ready(&signed.sha256)?.is_some();
        Ok(Self {
            taken: if is_ready { signed.length } else { 0 },
            files,
            signed,
            in_use,
            hasher: Sha256::new(),
            is_ready,
            work: None,
        })
    }

    fn begin(&mut self) -> Result<(), InstallError> {
        let (pieces, incoming) = sync_channel(PIECES);
        let (files, signed, in_use) =
            (self.files.clone(), self.signed.clone(), self.in_use.clone());
        let thread = std::thread::Builder::new()
            .name("unpack".to_owned())
            .spawn(move || {
                let mut incoming = Incoming::new(incoming);
                let unpacked = files.unpack(&signed, &mut incoming, &in_use)?;
                // An archive may end before its bytes do.
                io::copy(&mut incoming, &mut io::sink()).map_err(unreadable)?;
                Ok(unpacked)
            });
        let thread = thread.map_err(|cause| InstallError::Disk {
            what: "the bundle can't be unpacked".to_owned(),
            cause,
        })?;
        self.work = Some(Work { pieces, thread });
        Ok(())
    }

    fn send(&mut self, piece: Piece) -> Result<(), InstallError> {
        let is_heard = match &self.work {
            Some(work) => work.pieces.send(piece).is_ok(),
            None => false,
        };
        if is_heard {
            return Ok(());
        }
        // Who unpacks has seen enough.
        match self.end() {
            Some(Err(error)) => Err(error),
            _ => Err(InstallError::Unfit(
                "unpacking the bundle ended before the bundle did".to_owned(),
            )),
        }
    }

    /// Waits for what unpacks, and returns what came of it.
    fn end(&mut self) -> Option<Result<(Installed, PathBuf), InstallError>> {
        let Work { pieces, thread } = self.work.take()?;
        drop(pieces);
        Some(thread.join().unwrap_or_else(|_| {
            Err(InstallError::Unfit(
                "unpacking the bundle failed".to_owned(),
            ))
        }))
    }
}

impl Drop for BundleIntake {
    fn drop(&mut self) {
        // Nobody may write to the staging folder when it is removed.
        self.end();
    }
}

impl Intake for BundleIntake {
    fn taken(&self) -> u64 {
        self.taken
    }

    fn was_resumed(&self) -> bool {
        self.is_ready
    }

    fn take(&mut self, piece: &[u8]) -> Result<(), InstallError> {
        if self.work.is_none() {
            self.begin()?;
        }
        self.hasher.update(piece);
        self.taken += piece.len() as u64;
        self.send(Piece::Bytes(piece.to_vec()))
    }

    fn restart(&mut self) -> Result<(), InstallError> {
        self.end();
        self.hasher = Sha256::new();
        self.taken = 0;
        self.is_ready = false;
        Ok(())
    }

    fn digest(&self) -> Sha256Digest {
        if self.is_ready {
            // Hashed before it was noted to be ready.
            return self.signed.sha256;
        }
        Sha256Digest(self.hasher.clone().finalize().into())
    }

    fn finish(&mut self) -> Result<(), InstallError> {
        if self.is_ready {
            return Ok(());
        }
        if self.work.is_none() {
            self.begin()?;
        }
        self.send(Piece::End)?;
        let Some(unpacked) = self.end() else {
            return Ok(());
        };
        let (target, staging) = unpacked?;
        self.files
            .keep_ready(&self.signed.sha256, &target, &staging)
    }

    fn discard(&mut self) -> Result<(), InstallError> {
        // What was unpacked is removed with everything that no version needs.
        self.restart()
    }
}

/// What comes, as something to read.
struct Incoming {
    pieces: Receiver<Piece>,
    piece: io::Cursor<Vec<u8>>,
    is_over: bool,
}

impl Incoming {
    fn new(pieces: Receiver<Piece>) -> Self {
        Self {
            pieces,
            piece: io::Cursor::default(),
            is_over: false,
        }
    }
}

impl Read for Incoming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.piece.read(buffer)?;
            if read > 0 || buffer.is_empty() || self.is_over {
                return Ok(read);
            }
            match self.pieces.recv() {
                Ok(Piece::Bytes(bytes)) => self.piece = io::Cursor::new(bytes),
                Ok(Piece::End) => self.is_over = true,
                Err(_) => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use tar::{Builder, Header};

    use super::super::Limits;
    use super::*;
    use crate::disk::{CountingDisk, SimulatedDisk, Written};
    use crate::testing;

    const FILES: u32 = 200;

    /// A bundle of many files that don't compress, two of which say which version it is.
    fn bundle(version: &str) -> Vec<u8> {
        let mut builder = Builder::new(zstd::Encoder::new(Vec::new(), 1).unwrap());
        for number in 0..FILES {
            let version = if number < FILES / 100 { version } else { "" };
            let bytes: Vec<u8> = (0..300)
                .flat_map(|n| Sha256Digest::of(format!("{number} {n} {version}").as_bytes()).0)
                .collect();
            let mut header = Header::new_ustar();
            header.set_mode(0o644);
            header.set_size(bytes.len() as u64);
            let name = format!("{number}");
            builder
                .append_data(&mut header, name, bytes.as_slice())
                .unwrap();
        }
        builder.into_inner().unwrap().finish().unwrap()
    }

    fn files() -> (Written, Files) {
        let disk = CountingDisk::new(Arc::new(SimulatedDisk::default()));
        let written = disk.written();
        let files = Files {
            disk: Arc::new(disk),
            root: "/app".into(),
            limits: Limits {
                bytes: 100 << 20,
                entries: 1000,
            },
        };
        (written, files)
    }

    fn install(
        files: &Files,
        bytes: &[u8],
        in_use: &[Installed],
    ) -> Result<Installed, InstallError> {
        let signed = testing::signed(bytes);
        let mut intake = BundleIntake::open(files.clone(), signed.clone(), in_use.to_vec())?;
        for piece in bytes.chunks(5000) {
            intake.take(piece)?;
        }
        assert_eq!(
            (intake.taken(), intake.digest()),
            (signed.length, signed.sha256)
        );
        intake.finish()?;
        Ok(files.ready(&signed.sha256)?.unwrap())
    }

    #[test]
    fn a_release_that_changes_one_file_in_a_hundred_writes_less_than_three_per_cent() {
        let (written, files) = files();
        let first = install(&files, &bundle("1"), &[]).unwrap();
        let whole = written.bytes();
        let second = install(&files, &bundle("2"), std::slice::from_ref(&first)).unwrap();
        let more = written.bytes() - whole;
        assert!(more * 100 < whole * 3, "{more} of {whole} bytes");
        assert_eq!(
            files.disk.list(&files.folder(&second)).unwrap().len(),
            FILES as usize
        );
    }

    #[test]
    fn what_is_ready_is_not_taken_again_and_what_breaks_off_leaves_nothing() {
        let (_, files) = files();
        let bytes = bundle("1");
        let signed = testing::signed(&bytes);
        let open = || BundleIntake::open(files.clone(), signed.clone(), Vec::new()).unwrap();
        let mut intake = open();
        intake.take(&bytes[..bytes.len() / 2]).unwrap();
        drop(intake);
        assert_eq!((open().taken(), open().was_resumed()), (0, false));
        files.clean(&[]).unwrap();
        assert!(
            files
                .disk
                .list(Path::new("/app/versions"))
                .unwrap()
                .is_empty()
        );
        install(&files, &bytes, &[]).unwrap();
        let mut ready = open();
        assert_eq!(
            (ready.taken(), ready.digest()),
            (signed.length, signed.sha256)
        );
        ready.finish().unwrap();
    }

    #[test]
    fn what_is_no_bundle_is_refused_while_it_comes() {
        let (_, files) = files();
        let error = install(&files, &vec![b'x'; 1 << 20], &[])
            .unwrap_err()
            .to_string();
        assert!(error.contains("no whole .tar.zst"), "{error}");
        let mut torn = bundle("1");
        torn.truncate(torn.len() / 2);
        let error = install(&files, &torn, &[]).unwrap_err().to_string();
        assert!(error.contains("no whole .tar.zst"), "{error}");
    }
}
