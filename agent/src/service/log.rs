//! What the service prints: a file of bounded length, whose end says why the service ended.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Where the file is cut.
const LARGEST: u64 = 1 << 20;
const TAIL: u64 = 8 << 10;
/// Most lines that are passed on.
const MOST_LINES: usize = 80;
/// Longest words of a service that are passed on, in characters.
const LONGEST_WORDS: usize = 400;

/// A service's log.
#[derive(Debug, Clone)]
pub(super) struct Log {
    path: PathBuf,
    /// Where this run of the service begins.
    begins: u64,
}

impl Log {
    /// Opens the log for a run of the service: the handle to write to, and what reads it.
    pub(super) fn open(path: &Path) -> io::Result<(File, Self)> {
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        let begins = file.metadata()?.len();
        Ok((file, Self::of_running(path, begins)))
    }

    /// Takes the log of a service that is running already.
    pub(super) fn of_running(path: &Path, begins: u64) -> Self {
        Self {
            path: path.to_owned(),
            begins,
        }
    }

    /// Starts the file anew where it has become long; what was in it is kept beside it, once.
    pub(super) fn trim(&mut self) -> io::Result<()> {
        let Some(facts) = crate::disk::optional(fs::metadata(&self.path))? else {
            return Ok(());
        };
        if facts.len() > LARGEST {
            // The service holds the file open, so that it must stay the same file.
            fs::copy(&self.path, self.path.with_extension("log.1"))?;
            OpenOptions::new()
                .write(true)
                .open(&self.path)?
                .set_len(0)?;
            self.begins = 0;
        }
        Ok(())
    }

    /// Returns the last line that this run of the service printed.
    pub(super) fn last_words(&self) -> Option<String> {
        last_line(&self.tail()?)
    }

    /// Returns the last lines that this run of the service printed, oldest first.
    pub(super) fn last_lines(&self) -> Vec<String> {
        let tail = self.tail().unwrap_or_default();
        let text = String::from_utf8_lossy(&tail);
        let lines: Vec<&str> = text
            .lines()
            .filter(|line| !line.trim().is_empty())
            .collect();
        let surplus = lines.len().saturating_sub(MOST_LINES);
        lines.into_iter().skip(surplus).map(str::to_owned).collect()
    }

    fn tail(&self) -> Option<Vec<u8>> {
        let mut file = File::open(&self.path).ok()?;
        let len = file.metadata().ok()?.len();
        let begins = if self.begins > len { 0 } else { self.begins };
        file.seek(SeekFrom::Start(begins.max(len.saturating_sub(TAIL))))
            .ok()?;
        let mut tail = Vec::new();
        file.take(TAIL).read_to_end(&mut tail).ok()?;
        Some(tail)
    }
}

/// Returns the last line of a program's output that says something.
pub(crate) fn last_line(output: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(output);
    let printable = |line: &str| -> String { line.chars().filter(|c| !c.is_control()).collect() };
    let line = text
        .lines()
        .rev()
        .map(printable)
        .find(|line| !line.trim().is_empty())?;
    Some(line.trim().chars().take(LONGEST_WORDS).collect())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn last_words_are_of_this_run_and_the_file_stays_short() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("service.log");
        let (mut file, log) = Log::open(&path).unwrap();
        assert_eq!(log.last_words(), None);
        file.write_all(b"first\nout of otters \x1b\n\n").unwrap();
        assert_eq!(log.last_words().unwrap(), "out of otters");
        let (mut file, mut log) = Log::open(&path).unwrap();
        assert_eq!(log.last_words(), None);
        file.write_all(&vec![b'x'; LARGEST as usize + 1]).unwrap();
        log.trim().unwrap();
        file.write_all(b"after\n").unwrap();
        assert_eq!(log.last_words().unwrap(), "after");
        assert_eq!(fs::metadata(&path).unwrap().len(), 6);
    }
}
