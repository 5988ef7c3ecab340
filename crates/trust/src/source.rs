//! Where a device gets metadata from.

use std::future::Future;

/// A server that serves metadata files, trusted in nothing.
pub trait MetadataSource {
    /// Fetches a file: `3.root.json`, `timestamp.json`, `7.snapshot.json`, `9.targets.json`.
    ///
    /// `None` where the server has no such file (404). Must stop reading after `max_len` bytes with
    /// [`SourceError::TooLarge`]. Implement it as `async fn`.
    fn fetch(
        &self,
        name: &str,
        max_len: u64,
    ) -> impl Future<Output = Result<Option<Vec<u8>>, SourceError>> + Send;
}

/// Says why a file could not be fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The file has more bytes than it may have.
    #[error("it is too large")]
    TooLarge,
    /// The server could not be reached, answered with an error or broke off.
    #[error("{0}")]
    Unreachable(String),
}
