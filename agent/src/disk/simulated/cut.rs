//! What a power cut leaves.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::tree::{Body, Bytes, Change, Tree, Write};

/// What a block device writes whole or not at all.
const SECTOR: usize = 512;

/// What becomes of everything that wasn't synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// All of it is lost.
    All,
    /// All of it happens to be on the medium.
    Nothing,
    /// Names are kept and bytes are lost, as where a file system writes its own things first.
    Bytes,
    /// Each thing for itself is kept, lost or torn, as this seed has it.
    Torn(u64),
}

/// A sequence of numbers that is the same for the same seed.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// Begins a sequence.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x6a09_e667_f3bc_c909)
    }

    /// Returns a number from 0 to `sides` less one; 0 where there are none.
    pub fn roll(&mut self, sides: usize) -> usize {
        // xorshift64*: more than good enough to tear files.
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        (number as usize).checked_rem(sides).unwrap_or(0)
    }
}

impl Tree {
    /// Returns what is found when the power comes back.
    pub fn after_cut(&self, loss: Loss) -> Self {
        let mut after = self.clone();
        let waiting = std::mem::take(&mut after.waiting);
        let mut dice = Dice::new(match loss {
            Loss::Torn(seed) => seed,
            _ => 0,
        });
        for change in self.kept(waiting, loss, &mut dice) {
            after.make_synced(change);
        }
        for node in &mut after.nodes {
            match &mut node.body {
                Body::Folder { now, synced } => now.clone_from(synced),
                Body::File(bytes) => *bytes = found(bytes, loss, 1, &mut dice),
                Body::Slot(bytes) => *bytes = found(bytes, loss, SECTOR, &mut dice),
                Body::Link(_) => {}
            }
        }
        after
    }

    /// Tells whether a cut now can lose anything at all.
    pub fn has_anything_to_lose(&self) -> bool {
        let bytes_wait = |body: &Body| match body {
            Body::File(bytes) | Body::Slot(bytes) => !bytes.waiting.is_empty(),
            _ => false,
        };
        !self.waiting.is_empty() || self.nodes.iter().any(|node| bytes_wait(&node.body))
    }

    /// Feeds everything that is on the medium to a hasher.
    pub fn hash_synced(&self, hasher: &mut impl Hasher) {
        self.hash_node(0, hasher);
    }

    fn hash_node(&self, number: usize, hasher: &mut impl Hasher) {
        let Ok(node) = self.node(number) else {
            return;
        };
        (node.mode, node.owner.user, node.owner.group).hash(hasher);
        match &node.body {
            Body::File(bytes) | Body::Slot(bytes) => bytes.synced.hash(hasher),
            Body::Link(target) => target.hash(hasher),
            Body::Folder { synced, .. } => {
                for (name, number) in synced {
                    name.hash(hasher);
                    self.hash_node(*number, hasher);
                }
                synced.len().hash(hasher);
            }
        }
    }

    fn kept(&self, waiting: Vec<Change>, loss: Loss, dice: &mut Dice) -> Vec<Change> {
        match loss {
            Loss::All => Vec::new(),
            Loss::Nothing | Loss::Bytes => waiting,
            Loss::Torn(_) => match self.file_system {
                super::FileSystem::Ordered => {
                    let count = dice.roll(waiting.len() + 1);
                    waiting.into_iter().take(count).collect()
                }
                super::FileSystem::Unordered => {
                    waiting.into_iter().filter(|_| dice.roll(2) == 1).collect()
                }
            },
        }
    }
}

fn found(bytes: &Bytes, loss: Loss, sector: usize, dice: &mut Dice) -> Bytes {
    let content = match loss {
        Loss::All | Loss::Bytes => bytes.synced.clone(),
        Loss::Nothing => bytes.now.clone(),
        Loss::Torn(_) if bytes.waiting.is_empty() => bytes.synced.clone(),
        Loss::Torn(_) => {
            let mut torn = bytes.synced.to_vec();
            for write in &bytes.waiting {
                tear(write, sector, &mut torn, dice);
            }
            Arc::new(torn)
        }
    };
    Bytes {
        now: content.clone(),
        synced: content,
        waiting: Vec::new(),
    }
}

/// Keeps, loses or tears a write. A file may have got its length and not its bytes.
fn tear(write: &Write, sector: usize, to: &mut Vec<u8>, dice: &mut Dice) {
    let part = |len: usize| Write {
        offset: write.offset,
        bytes: write.bytes.get(..len).unwrap_or_default().into(),
    };
    match dice.roll(4) {
        0 => {}
        1 => write.apply(to),
        2 if sector == 1 => Write {
            offset: write.offset,
            bytes: vec![0; write.bytes.len()].into(),
        }
        .apply(to),
        _ => part(dice.roll(write.bytes.len() / sector + 1) * sector).apply(to),
    }
}
