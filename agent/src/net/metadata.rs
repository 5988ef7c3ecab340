//! Signed metadata from the server.

use otter_trust::{MetadataSource, SourceError};
use reqwest::{Method, StatusCode};

use super::{Client, NetError, read_body, refusal};

impl MetadataSource for Client {
    async fn fetch(&self, name: &str, max_len: u64) -> Result<Option<Vec<u8>>, SourceError> {
        match self.trust_file(name, max_len).await {
            Ok(bytes) => Ok(bytes),
            Err(NetError::TooLarge(_)) => Err(SourceError::TooLarge),
            Err(error) => Err(SourceError::Unreachable(error.to_string())),
        }
    }
}

impl Client {
    /// Fetches a file of signed metadata; `None` where the server has none of this name.
    pub async fn trust_file(&self, name: &str, max: u64) -> Result<Option<Vec<u8>>, NetError> {
        let call = self.call(Method::GET, &format!("device/v1/trust/{name}"))?;
        let answer = self.transport.send(call).await?;
        match answer.status {
            StatusCode::NOT_FOUND => Ok(None),
            status if status.is_success() => read_body(answer, max).await.map(Some),
            _ => Err(refusal(answer).await),
        }
    }
}
