//! Signed metadata from the server.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use otter_trust::{MetadataSource, SourceError};
use reqwest::StatusCode;

use super::answer::{read_body, refusal};
use super::{CALL_TIMEOUT, Client, NetError};

/// The server as a source of metadata, which remembers how long it asked to be left alone.
#[derive(Debug)]
pub struct ServerMetadata<'a> {
    client: &'a Client,
    retry_after: Mutex<Option<Duration>>,
}

impl<'a> ServerMetadata<'a> {
    /// Asks this client's server.
    pub fn new(client: &'a Client) -> Self {
        Self {
            client,
            retry_after: Mutex::new(None),
        }
    }

    /// Returns how long the server asked to be left alone, where it did.
    pub fn retry_after(&self) -> Option<Duration> {
        *self
            .retry_after
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl MetadataSource for ServerMetadata<'_> {
    async fn fetch(&self, name: &str, max_len: u64) -> Result<Option<Vec<u8>>, SourceError> {
        match self.client.trust_file(name, max_len).await {
            Ok(bytes) => Ok(bytes),
            Err(NetError::TooLarge(_)) => Err(SourceError::TooLarge),
            Err(error) => {
                let mut retry_after = self
                    .retry_after
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                *retry_after = error.retry_after();
                Err(SourceError::Unreachable(error.to_string()))
            }
        }
    }
}

impl Client {
    /// Fetches a file of signed metadata; `None` where the server has none of this name.
    pub async fn trust_file(&self, name: &str, max: u64) -> Result<Option<Vec<u8>>, NetError> {
        let answer = self.trust_answer(name, CALL_TIMEOUT).await?;
        match answer.status {
            StatusCode::NOT_FOUND => Ok(None),
            status if status.is_success() => read_body(answer, max).await.map(Some),
            _ => Err(refusal(answer).await),
        }
    }
}
