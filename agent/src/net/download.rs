//! Fetches an artifact: hashed while it streams, resumed where it was cut, and never a byte more than was signed.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use otter_protocol::Sha256Digest;
use otter_trust::TrustError;
use reqwest::header::{CONTENT_RANGE, HeaderMap};
use reqwest::{Response, StatusCode};
use sha2::{Digest, Sha256};

use super::backoff::Backoff;
use super::{Client, NetError};
use crate::config::RetryPolicy;
use crate::disk::{self, Disk, DiskFile, Kind, PUBLIC};
use crate::journal::Signed;

/// How often a download may begin again from nothing before that is called the server's fault.
const MOST_RESTARTS: u32 = 3;

/// Why an artifact can't be had.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// The bytes aren't those that were signed.
    #[error(transparent)]
    WrongBytes(#[from] TrustError),
    /// More bytes come than were signed.
    #[error(
        "endless data: the server sends more than the {signed} bytes that were signed. \
         Nothing of it was kept; check what the server's artifact store holds"
    )]
    Endless {
        /// Bytes that were signed.
        signed: u64,
    },
    /// The server's artifact has another length than was signed.
    #[error(
        "wrong software: the server announces {announced} bytes, but {signed} were signed. \
         Check what the server's artifact store holds"
    )]
    WrongLength {
        /// Bytes that the server announces.
        announced: u64,
        /// Bytes that were signed.
        signed: u64,
    },
    /// The server won't give it, now or later.
    #[error("the artifact can't be fetched: {0}")]
    Refused(NetError),
    /// The server breaks off again and again before the end.
    #[error("the artifact can't be fetched: the server ends it too early, again and again")]
    TooShort,
    /// The device's disk said no.
    #[error("the download can't be written: {0}. Check the disk's space")]
    Disk(#[from] io::Error),
}

/// What to fetch, and where to.
#[derive(Debug)]
pub struct Download<'a> {
    /// The device's disk.
    pub disk: &'a dyn Disk,
    /// The folder of downloads.
    pub folder: &'a Path,
    /// What was signed.
    pub signed: &'a Signed,
    /// Where the server has it.
    pub url: &'a str,
    /// How to try again.
    pub retry: RetryPolicy,
}

/// How one try ended, other than in the end of the whole.
enum Cut {
    /// Go on from here, later.
    Later(NetError),
    /// What is there doesn't go with what comes: begin again.
    Again,
}

impl Download<'_> {
    /// Returns where the whole artifact is, or will be.
    pub fn path(&self) -> PathBuf {
        self.folder.join(self.signed.sha256.to_string())
    }

    /// Fetches until it is all there, however often it is cut; `progress` hears how many bytes are there.
    pub async fn run(
        &self,
        client: &Client,
        mut progress: impl FnMut(u64),
    ) -> Result<PathBuf, DownloadError> {
        if disk::find(self.disk, &self.path())?.is_some() {
            return Ok(self.path());
        }
        let mut part = Part::open(self.disk, self.folder, self.signed)?;
        let mut backoff = Backoff::new(self.retry);
        let mut restarts = 0;
        loop {
            let before = part.len;
            let result = self.fetch(client, &mut part, &mut progress).await;
            if part.len > before {
                backoff.succeeded();
            }
            match result {
                Ok(None) => match self.finish(&mut part) {
                    Err(DownloadError::WrongBytes(_)) if part.was_resumed => part.restart()?,
                    done => return done,
                },
                Ok(Some(Cut::Later(error))) => {
                    let wait = backoff.failed(error.retry_after());
                    tracing::info!(
                        "the download was cut at {} of {} bytes ({error}); it goes on in {wait:.1?}",
                        part.len,
                        self.signed.length
                    );
                    tokio::time::sleep(wait).await;
                }
                Ok(Some(Cut::Again)) => {
                    restarts += 1;
                    if restarts > MOST_RESTARTS {
                        return Err(DownloadError::TooShort);
                    }
                    part.restart()?;
                }
                Err(error) => {
                    part.remove()?;
                    return Err(error);
                }
            }
        }
    }

    /// Fetches what is missing, as far as the connection goes; `None` when nothing is missing any more.
    async fn fetch(
        &self,
        client: &Client,
        part: &mut Part<'_>,
        progress: &mut impl FnMut(u64),
    ) -> Result<Option<Cut>, DownloadError> {
        let signed = self.signed.length;
        if part.len == signed {
            return Ok(None);
        }
        let etag = format!("\"{}\"", self.signed.sha256);
        let mut response = match client.artifact(self.url, part.len, &etag).await {
            Ok(response) => response,
            Err(NetError::Refused { status, .. })
                if status == StatusCode::RANGE_NOT_SATISFIABLE =>
            {
                return Ok(Some(Cut::Again));
            }
            Err(error) if error.is_final() => return Err(DownloadError::Refused(error)),
            Err(error) => return Ok(Some(Cut::Later(error))),
        };
        if !self.goes_on_from(&response, part.len)? {
            if response.status() != StatusCode::OK {
                return Ok(Some(Cut::Again));
            }
            part.restart()?;
        }
        loop {
            match response.chunk().await {
                Ok(Some(piece)) if part.len + piece.len() as u64 > signed => {
                    return Err(DownloadError::Endless { signed });
                }
                Ok(Some(piece)) => part.write(&piece)?,
                Ok(None) if part.len < signed => {
                    let text = "it ended too early".to_owned();
                    return Ok(Some(Cut::Later(NetError::Unreachable(text))));
                }
                Ok(None) => return Ok(None),
                Err(error) => return Ok(Some(Cut::Later(error.into()))),
            }
            progress(part.len);
        }
    }

    /// Tells whether an answer begins where the part ends; fails where its whole length is not what was signed.
    fn goes_on_from(&self, response: &Response, len: u64) -> Result<bool, DownloadError> {
        let signed = self.signed.length;
        let (begins, total) = match response.status() {
            StatusCode::PARTIAL_CONTENT => {
                content_range(response.headers()).unwrap_or((None, None))
            }
            _ => (Some(0), response.content_length()),
        };
        match total {
            Some(announced) if announced != signed => {
                Err(DownloadError::WrongLength { announced, signed })
            }
            _ => Ok(begins == Some(len)),
        }
    }

    fn finish(&self, part: &mut Part<'_>) -> Result<PathBuf, DownloadError> {
        if let Err(error) = self.signed.matches(part.len, &part.digest()) {
            part.remove()?;
            return Err(error.into());
        }
        part.sync()?;
        self.disk.rename(&part.path, &self.path())?;
        self.disk.sync_dir(self.folder)?;
        Ok(self.path())
    }
}

/// Reads a range's first byte and the whole's length from `Content-Range: bytes 5-9/10`.
fn content_range(headers: &HeaderMap) -> Option<(Option<u64>, Option<u64>)> {
    let text = headers.get(CONTENT_RANGE)?.to_str().ok()?;
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, _) = range.split_once('-')?;
    Some((first.trim().parse().ok(), total.trim().parse().ok()))
}

/// The part of an artifact that is there.
struct Part<'a> {
    disk: &'a dyn Disk,
    path: PathBuf,
    file: Box<dyn DiskFile>,
    hasher: Sha256,
    len: u64,
    /// Its beginning was written by another try of the agent, so that a power cut may have torn it.
    was_resumed: bool,
}

impl<'a> Part<'a> {
    fn open(disk: &'a dyn Disk, folder: &Path, signed: &Signed) -> io::Result<Self> {
        disk::make_dirs(disk, folder)?;
        let path = folder.join(format!("{}.part", signed.sha256));
        let len = match disk::find(disk, &path)? {
            Some(Kind::File { len, .. }) if len <= signed.length => len,
            Some(_) => {
                disk::remove_tree(disk, &path)?;
                0
            }
            None => 0,
        };
        if len == 0 {
            disk::remove_if_there(disk, &path)?;
            let file = disk.write_new(&path, PUBLIC)?;
            return Ok(Self::new(disk, path, file));
        }
        let mut part = Self::new(disk, path.clone(), disk.append(&path)?);
        part.len = hash(disk, &path, &mut part.hasher)?;
        part.was_resumed = true;
        Ok(part)
    }

    fn new(disk: &'a dyn Disk, path: PathBuf, file: Box<dyn DiskFile>) -> Self {
        Self {
            disk,
            path,
            file,
            hasher: Sha256::new(),
            len: 0,
            was_resumed: false,
        }
    }

    fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        self.file.write_all(piece)?;
        self.hasher.update(piece);
        self.len += piece.len() as u64;
        Ok(())
    }

    fn restart(&mut self) -> io::Result<()> {
        self.remove()?;
        let file = self.disk.write_new(&self.path, PUBLIC)?;
        *self = Self::new(self.disk, std::mem::take(&mut self.path), file);
        Ok(())
    }

    fn remove(&self) -> io::Result<()> {
        disk::remove_if_there(self.disk, &self.path)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync()
    }

    fn digest(&self) -> Sha256Digest {
        Sha256Digest(self.hasher.clone().finalize().into())
    }
}

/// Feeds a file to a hasher and returns its length.
pub fn hash(disk: &dyn Disk, path: &Path, hasher: &mut Sha256) -> io::Result<u64> {
    let mut file = disk.open(path)?;
    let mut buffer = vec![0; 256 << 10];
    let mut len = 0;
    loop {
        let read = file.read(&mut buffer)?;
        let Some(piece) = buffer.get(..read).filter(|piece| !piece.is_empty()) else {
            return Ok(len);
        };
        hasher.update(piece);
        len += read as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges() {
        let parse = |text: &str| {
            content_range(&HeaderMap::from_iter([(
                CONTENT_RANGE,
                text.parse().unwrap(),
            )]))
        };
        assert_eq!(parse("bytes 5-9/10"), Some((Some(5), Some(10))));
        assert_eq!(parse("bytes 5-9/*"), Some((Some(5), None)));
        assert_eq!(parse("lines 5-9/10"), None);
    }

    #[test]
    fn a_part_goes_on_with_the_hash_of_what_is_there() {
        let disk = crate::disk::MemoryDisk::default();
        let signed = crate::testing::signed(b"otters swim");
        let open = || Part::open(&disk, Path::new("/d"), &signed).unwrap();
        open().write(b"otters").unwrap();
        let mut part = open();
        assert_eq!((part.len, part.was_resumed), (6, true));
        part.write(b" swim").unwrap();
        signed.matches(part.len, &part.digest()).unwrap();
        part.write(b"!").unwrap();
        assert_eq!(open().len, 0, "a part that is too long is of no use");
    }
}
