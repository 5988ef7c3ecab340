//! Artifacts in an S3-compatible store.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use futures::StreamExt as _;
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use object_store::path::Path as Name;
use object_store::signer::Signer as _;
use object_store::{
    BackoffConfig, ClientOptions, GetOptions, ObjectStore as _, ObjectStoreExt as _, PutPayload,
    RetryConfig, WriteMultipart,
};
use tokio::fs::{self, File};
use tokio::io::AsyncReadExt as _;
use url::Url;

use super::{Bytestream, ObjectAccess};
use crate::error::{Error, Result};

/// Bytes of a part at least: S3 wants 5 MiB, and takes 10,000 parts.
const PART: u64 = 8 << 20;
const MOST_PARTS: u64 = 9_000;
/// Parts on their way at once: with their size, what an upload needs of memory.
const PARTS_AT_ONCE: usize = 4;
/// Bytes read at once.
const BUFFER: usize = 1 << 20;
/// How long a device may use an address that was signed for it: to begin with, and to go on by it after a short break.
const SIGNED_FOR: Duration = Duration::from_secs(15 * 60);
/// How long the store may be silent.
const SILENCE: Duration = Duration::from_secs(20);
/// How long a request is tried, repetitions included.
const TRIED_FOR: Duration = Duration::from_secs(30);

/// A bucket, or a part of it; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Objects {
    store: Arc<AmazonS3>,
    prefix: String,
}

impl Objects {
    /// Connects to nothing.
    pub(super) fn new(bucket: &str, prefix: &str, access: &ObjectAccess) -> Result<Self> {
        // A download lasts as long as its device takes: what counts is silence.
        let client = ClientOptions::new()
            .with_connect_timeout(Duration::from_secs(5))
            .with_read_timeout(SILENCE)
            .with_timeout_disabled();
        let retry = RetryConfig {
            backoff: BackoffConfig::default(),
            max_retries: 4,
            retry_timeout: TRIED_FOR,
        };
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(bucket)
            .with_client_options(client)
            .with_retry(retry);
        for (name, value) in access.variables() {
            // What isn't a store's business stands under such names, too.
            let Ok(key) = name.to_ascii_lowercase().parse() else {
                continue;
            };
            // A store of one's own often stands beside the server, without TLS: its address says so.
            if key == AmazonS3ConfigKey::Endpoint && value.starts_with("http://") {
                builder = builder.with_allow_http(true);
            }
            builder = builder.with_config(key, value);
        }
        Ok(Self {
            store: Arc::new(builder.build()?),
            prefix: prefix.to_owned(),
        })
    }

    /// Writes to the bucket once. A store that is away may come back: then only the log says so.
    pub(super) async fn ensure_writable(&self) -> Result<()> {
        let probe = self.name(&format!("probe-{}", uuid::Uuid::new_v4()));
        let written = self.store.put(&probe, PutPayload::new()).await;
        match written {
            Ok(_) => Ok(self.store.delete(&probe).await?),
            Err(error @ object_store::Error::Generic { .. }) => {
                tracing::error!(%error, "the artifact store can't be written to now");
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Uploads a file, in parts where it is large; the object is there whole, or it isn't there.
    pub(super) async fn put(&self, file: &Path, name: &str) -> Result<()> {
        let size = fs::metadata(file).await?.len();
        let part = PART.max(size.div_ceil(MOST_PARTS));
        let name = self.name(name);
        if size <= part {
            self.store.put(&name, fs::read(file).await?.into()).await?;
        } else {
            self.put_parts(file, &name, part).await?;
        }
        let found = self.store.head(&name).await?.size;
        if found == size {
            Ok(())
        } else {
            let what = format!("{size} bytes were written to {name}, which has {found}");
            Err(Error::Store(std::io::Error::other(what)))
        }
    }

    async fn put_parts(&self, file: &Path, name: &Name, part: u64) -> Result<()> {
        let part = usize::try_from(part).map_err(|error| Error::Corrupt(error.to_string()))?;
        let mut file = File::open(file).await?;
        let upload = self.store.put_multipart(name).await?;
        let mut parts = WriteMultipart::new_with_chunk_size(upload, part);
        match feed(&mut file, &mut parts).await {
            Ok(()) => {
                parts.finish().await?;
                Ok(())
            }
            Err(error) => {
                // Parts without an end cost money; what can't be removed now is removed by the bucket's own rule.
                let _ = parts.abort().await;
                Err(error)
            }
        }
    }

    /// Streams a part of an object.
    pub(super) async fn stream(&self, name: &str, range: Range<u64>) -> Result<Bytestream> {
        if range.is_empty() {
            return Ok(futures::stream::empty().boxed());
        }
        let options = GetOptions {
            range: Some(range.into()),
            ..GetOptions::default()
        };
        let found = self.store.get_opts(&self.name(name), options).await?;
        Ok(found
            .into_stream()
            .map(|part| part.map_err(std::io::Error::other))
            .boxed())
    }

    /// Returns an address by which anybody who has it gets the object for a while.
    pub(super) async fn signed_address(&self, name: &str) -> Result<Url> {
        let name = self.name(name);
        Ok(self
            .store
            .signed_url(http::Method::GET, &name, SIGNED_FOR)
            .await?)
    }

    /// Removes an object; fine where there is none.
    pub(super) async fn remove(&self, name: &str) -> Result<()> {
        match self.store.delete(&self.name(name)).await {
            Err(object_store::Error::NotFound { .. }) => Ok(()),
            removed => Ok(removed?),
        }
    }

    fn name(&self, name: &str) -> Name {
        Name::from(format!("{}{name}", self.prefix))
    }
}

/// Hands a file over, as fast as its parts get away.
async fn feed(file: &mut File, parts: &mut WriteMultipart) -> Result<()> {
    loop {
        parts.wait_for_capacity(PARTS_AT_ONCE).await?;
        let mut buffer = BytesMut::with_capacity(BUFFER);
        if file.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
        parts.put(buffer.freeze());
    }
}
