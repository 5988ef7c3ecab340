//! Takes an image's bytes straight to its slot, unpacking what was published packed.

use std::io::{self, Write};

use otter_protocol::Sha256Digest;
use sha2::{Digest, Sha256};
use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation, OutBuffer};

use super::super::{InstallError, Intake};
use super::slots::{Content, Progress, Slots, read_into};
use crate::disk::Slot;
use crate::journal::Signed;

/// What is compared and written at once: no flash has smaller pages that matter.
const BLOCK: usize = 4096;
/// How much is gathered before it is compared.
pub(super) const BUFFER: usize = 128 << 10;
/// The first bytes of a zstd frame (RFC 8878, 3.1.1).
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Frames that want a larger window than 8 MiB are refused: what `zstd -19` makes wants no more.
const LARGEST_WINDOW_LOG: u32 = 23;

/// An image that is taken into a slot.
pub(super) struct SlotIntake {
    slots: Slots,
    name: String,
    signed: Signed,
    hasher: Sha256,
    taken: u64,
    was_resumed: bool,
    /// Bytes before it is known what the image is.
    head: Vec<u8>,
    writer: Option<Writer>,
}

enum Writer {
    Plain(Blocks),
    Packed(Box<Unpacker>),
}

impl SlotIntake {
    /// Opens a slot for an image, and goes on with what an earlier try synced of it.
    pub(super) fn open(slots: &Slots, name: &str, signed: &Signed) -> Result<Self, InstallError> {
        let mut intake = Self {
            slots: slots.clone(),
            name: name.to_owned(),
            signed: signed.clone(),
            hasher: Sha256::new(),
            taken: 0,
            was_resumed: false,
            head: Vec::new(),
            writer: None,
        };
        let progress = slots.progress(name)?;
        match progress.filter(|progress| progress.artifact == signed.sha256) {
            Some(progress) if progress.taken > 0 => intake.resume(&progress)?,
            _ => slots.forget(name)?,
        }
        Ok(intake)
    }

    fn resume(&mut self, progress: &Progress) -> Result<(), InstallError> {
        self.was_resumed = true;
        self.taken = progress.taken;
        if progress.content.is_some() {
            // All of it was taken and hashed; it is read back before it counts.
            return Ok(());
        }
        let mut blocks = self.blocks()?;
        let read = read_into(blocks.slot.as_mut(), progress.taken, &mut self.hasher);
        self.disk(read)?;
        blocks.offset = progress.taken;
        blocks.hasher = self.hasher.clone();
        self.writer = Some(Writer::Plain(blocks));
        Ok(())
    }

    fn blocks(&self) -> Result<Blocks, InstallError> {
        Ok(Blocks {
            slot: self.slots.open(&self.name)?,
            offset: 0,
            synced: 0,
            buffer: Vec::with_capacity(BUFFER),
            old: vec![0; BUFFER],
            hasher: Sha256::new(),
        })
    }

    fn disk<T>(&self, result: io::Result<T>) -> Result<T, InstallError> {
        result.map_err(|cause| match cause.kind() {
            io::ErrorKind::StorageFull => InstallError::Unfit(format!(
                "the image is larger than slot `{}`. Make it smaller, or the slots larger",
                self.name
            )),
            io::ErrorKind::Other | io::ErrorKind::InvalidData => InstallError::Unfit(format!(
                "the image can't be unpacked: {cause}. Pack it with `zstd -19` or less, or not at all"
            )),
            _ => InstallError::Disk {
                what: format!("slot `{}` can't be written", self.name),
                cause,
            },
        })
    }

    /// Begins to write, once the first bytes say what the image is.
    fn begin(&mut self) -> Result<(), InstallError> {
        let blocks = self.blocks()?;
        let is_packed = self.head.starts_with(&ZSTD_MAGIC);
        if !is_packed && self.signed.length > blocks.slot.len() {
            return self.disk(Err(io::ErrorKind::StorageFull.into()));
        }
        let writer = if is_packed {
            Writer::Packed(Box::new(self.disk(Unpacker::new(blocks))?))
        } else {
            Writer::Plain(blocks)
        };
        self.writer = Some(writer);
        let head = std::mem::take(&mut self.head);
        self.write(&head)
    }

    fn write(&mut self, piece: &[u8]) -> Result<(), InstallError> {
        let written = match &mut self.writer {
            Some(Writer::Plain(blocks)) => blocks.write_all(piece),
            Some(Writer::Packed(unpacker)) => unpacker.take(piece),
            None => Ok(()),
        };
        self.disk(written)?;
        if let Some(Writer::Plain(blocks)) = &mut self.writer
            && blocks.offset - blocks.synced >= self.slots.sync_every
        {
            let synced = blocks.sync();
            let progress = Progress {
                artifact: self.signed.sha256,
                taken: blocks.offset,
                content: None,
            };
            self.disk(synced)?;
            self.slots.keep_progress(&self.name, &progress)?;
        }
        Ok(())
    }
}

impl Intake for SlotIntake {
    fn taken(&self) -> u64 {
        self.taken
    }

    fn was_resumed(&self) -> bool {
        self.was_resumed
    }

    fn take(&mut self, piece: &[u8]) -> Result<(), InstallError> {
        self.hasher.update(piece);
        self.taken += piece.len() as u64;
        if self.writer.is_some() {
            return self.write(piece);
        }
        self.head.extend_from_slice(piece);
        if self.head.len() >= ZSTD_MAGIC.len() {
            self.begin()?;
        }
        Ok(())
    }

    fn restart(&mut self) -> Result<(), InstallError> {
        self.slots.forget(&self.name)?;
        self.hasher = Sha256::new();
        self.taken = 0;
        self.was_resumed = false;
        self.head.clear();
        self.writer = None;
        Ok(())
    }

    fn digest(&self) -> Sha256Digest {
        if self.was_resumed && self.writer.is_none() && self.taken == self.signed.length {
            // Hashed when the last of it was taken; what the slot holds now is read back next.
            return self.signed.sha256;
        }
        Sha256Digest(self.hasher.clone().finalize().into())
    }

    fn finish(&mut self) -> Result<(), InstallError> {
        if self.writer.is_none() {
            if self.was_resumed {
                return Ok(());
            }
            self.begin()?;
        }
        let blocks = match self.writer.take() {
            Some(Writer::Plain(mut blocks)) => blocks.finish().map(|()| blocks),
            Some(Writer::Packed(unpacker)) => unpacker.finish(),
            None => return Ok(()),
        };
        let blocks = self.disk(blocks)?;
        let progress = Progress {
            artifact: self.signed.sha256,
            taken: self.taken,
            content: Some(Content {
                length: blocks.offset,
                sha256: Sha256Digest(blocks.hasher.finalize().into()),
            }),
        };
        self.slots.keep_progress(&self.name, &progress)
    }

    fn discard(&mut self) -> Result<(), InstallError> {
        self.writer = None;
        self.slots.forget(&self.name)
    }
}

/// Unpacks zstd frames on their way to a slot.
struct Unpacker {
    decoder: Decoder<'static>,
    /// What is unpacked at once.
    output: Vec<u8>,
    /// Whether the last frame is at its end.
    is_whole: bool,
    blocks: Blocks,
}

impl Unpacker {
    fn new(blocks: Blocks) -> io::Result<Self> {
        let mut decoder = Decoder::new()?;
        decoder.set_parameter(DParameter::WindowLogMax(LARGEST_WINDOW_LOG))?;
        Ok(Self {
            decoder,
            output: vec![0; BUFFER],
            is_whole: false,
            blocks,
        })
    }

    fn take(&mut self, piece: &[u8]) -> io::Result<()> {
        let mut input = InBuffer::around(piece);
        loop {
            let mut output = OutBuffer::around(self.output.as_mut_slice());
            let more = self.decoder.run(&mut input, &mut output)?;
            let written = output.pos();
            self.is_whole = more == 0;
            let unpacked = self.output.get(..written).unwrap_or_default();
            self.blocks.write_all(unpacked)?;
            // A full buffer may not be all that this input gives, unless the frame ends with it: asked once more, the decoder
            // would wait for the next one.
            let is_done = self.is_whole || written < self.output.len();
            if input.pos() == piece.len() && is_done {
                return Ok(());
            }
        }
    }

    fn finish(mut self) -> io::Result<Blocks> {
        if !self.is_whole {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "it ends in the middle of a frame",
            ));
        }
        self.blocks.finish()?;
        Ok(self.blocks)
    }
}

/// Writes to a slot block by block, and only those that differ from what it holds.
struct Blocks {
    slot: Box<dyn Slot>,
    /// Where the buffer goes.
    offset: u64,
    /// Up to where it is synced.
    synced: u64,
    buffer: Vec<u8>,
    old: Vec<u8>,
    hasher: Sha256,
}

impl Blocks {
    fn finish(&mut self) -> io::Result<()> {
        self.put()?;
        self.sync()
    }

    fn sync(&mut self) -> io::Result<()> {
        self.slot.sync()?;
        self.synced = self.offset;
        Ok(())
    }

    /// Writes what is in the buffer.
    fn put(&mut self) -> io::Result<()> {
        let length = self.buffer.len();
        let old = self.old.get_mut(..length).unwrap_or_default();
        if self.offset.saturating_add(length as u64) > self.slot.len() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.slot.read_at(self.offset, old)?;
        let mut run: Option<usize> = None;
        let places = (0..length).step_by(BLOCK);
        for place in places.chain([length]) {
            let end = (place + BLOCK).min(length);
            let differs = place < length && self.buffer.get(place..end) != old.get(place..end);
            match run {
                None if differs => run = Some(place),
                Some(begin) if !differs => {
                    let changed = self.buffer.get(begin..place).unwrap_or_default();
                    self.slot.write_at(self.offset + begin as u64, changed)?;
                    run = None;
                }
                _ => {}
            }
        }
        self.hasher.update(&self.buffer);
        self.offset += length as u64;
        self.buffer.clear();
        Ok(())
    }
}

impl Write for Blocks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = BUFFER - self.buffer.len();
        let taken = room.min(bytes.len());
        self.buffer.extend(bytes.iter().take(taken));
        if self.buffer.len() == BUFFER {
            self.put()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
