//! What isn't worth a write of its own: counts and times of which a crash may cost a little.

use std::io;

use super::{FORMAT, Journal, Record};

impl Journal {
    /// Changes what the journal holds. That goes to the disk at once where `is_worth_a_write` says so of what is there and
    /// what would be, and otherwise with the next change.
    pub fn note(
        &self,
        change: impl FnOnce(&mut Record),
        is_worth_a_write: impl FnOnce(&Record, &Record) -> bool,
    ) -> io::Result<()> {
        let mut pages = self.lock();
        change(&mut pages.now);
        if pages.now == pages.on_disk || !is_worth_a_write(&pages.on_disk, &pages.now) {
            return Ok(());
        }
        let mut next = pages.now.clone();
        next.format = FORMAT;
        self.write(&mut pages, next)
    }
}
