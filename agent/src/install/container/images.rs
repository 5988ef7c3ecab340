//! Images on their way to the engine and back out: which artifact brought which is written down in the state folder.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use otter_protocol::Sha256Digest;
use reqwest::{Body, Method, Response};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::super::{InstallError, on_disk};
use super::auth;
use super::engine::{Call, Engine, EngineError, optional};
use super::progress::Progress;
use super::source::{LONGEST_NAME_FILE, Packing, Reference, Source};
use crate::config::ContainerConfig;
use crate::disk::{self, Disk, PUBLIC};
use crate::journal::{Installed, Signed};

const LARGEST: u64 = 1 << 20;
const PIECE: usize = 256 << 10;
/// Pieces of an archive that wait for the engine.
const WAITING: usize = 4;

/// An image that an artifact is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Brought {
    artifact: Sha256Digest,
    image: String,
    /// Whether the engine had it before: then it isn't the agent's to remove.
    was_there: bool,
}

/// An artifact on its way, and the images that the engine had before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Pending {
    artifact: Sha256Digest,
    before: Vec<String>,
}

/// What is written down.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
struct Notes {
    images: Vec<Brought>,
    pending: Option<Pending>,
}

/// An image as the engine tells of it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Image {
    id: String,
}

/// The engine's images, as far as they are the agent's.
#[derive(Debug)]
pub(super) struct Images {
    engine: Arc<Engine>,
    disk: Arc<dyn Disk>,
    notes: PathBuf,
    auth_file: Option<PathBuf>,
    limit: Duration,
}

impl Images {
    pub(super) fn new(
        engine: Arc<Engine>,
        disk: Arc<dyn Disk>,
        config: &ContainerConfig,
        state: &Path,
    ) -> Self {
        Self {
            engine,
            disk,
            notes: state.join("images.json"),
            auth_file: config.auth_file.clone(),
            limit: config.image_timeout(),
        }
    }

    /// Brings an artifact's image to the engine, and returns its id; one that is there already is left alone.
    pub(super) async fn bring(
        &self,
        signed: &Signed,
        artifact: &Path,
    ) -> Result<String, InstallError> {
        let mut notes = self.load()?;
        let known: Vec<&Brought> = notes
            .images
            .iter()
            .filter(|brought| brought.artifact == signed.sha256)
            .collect();
        if let [known] = known.as_slice()
            && self.find(&known.image).await?.is_some()
        {
            return Ok(known.image.clone());
        }
        let source = self.source(artifact, signed.length)?;
        // What was cut says what the engine had before it began.
        let resumed = notes.pending.take().filter(|p| p.artifact == signed.sha256);
        let before = match resumed {
            Some(pending) => pending.before,
            None => self.all().await?,
        };
        notes.pending = Some(Pending {
            artifact: signed.sha256,
            before: before.clone(),
        });
        self.save(&notes)?;
        let brought = match source {
            Source::Named(reference) => self.pull(&reference).await,
            Source::Archive(packing) => self.load_archive(artifact, packing).await,
        };
        notes.pending = None;
        notes.images.retain(|b| b.artifact != signed.sha256);
        let ids = brought.as_deref().unwrap_or_default();
        for image in ids {
            let is_ours = |b: &Brought| b.image == *image && !b.was_there;
            let was_there = before.contains(image) && !notes.images.iter().any(is_ours);
            notes.images.push(Brought {
                artifact: signed.sha256,
                image: image.clone(),
                was_there,
            });
        }
        self.save(&notes)?;
        match brought?.as_slice() {
            [image] => Ok(image.clone()),
            images => Err(InstallError::Unfit(format!(
                "the archive holds {} images, but a release is one. Save one image only",
                images.len()
            ))),
        }
    }

    /// Fails unless the engine has an image.
    pub(super) async fn has(&self, image: &str) -> Result<(), InstallError> {
        match self.find(image).await? {
            Some(_) => Ok(()),
            None => Err(InstallError::Unfit(format!(
                "the engine does not have its image {image} any more"
            ))),
        }
    }

    /// Removes images that the agent brought and no version here needs.
    pub(super) async fn clean(&self, keep: &[Installed]) -> Result<(), InstallError> {
        let notes = self.load()?;
        let mut rest = notes.clone();
        rest.images.clear();
        for brought in &notes.images {
            let is_needed = keep.iter().any(|version| version.name == brought.image);
            if is_needed || !self.is_gone(brought).await? {
                rest.images.push(brought.clone());
            }
        }
        if rest != notes {
            self.save(&rest)?;
        }
        Ok(())
    }

    /// Tells whether an image is none of the agent's any more, after having removed it where it was.
    async fn is_gone(&self, brought: &Brought) -> Result<bool, InstallError> {
        if brought.was_there {
            return Ok(true);
        }
        let image = &brought.image;
        let call = Call::new(
            Method::DELETE,
            format!("/images/{image}"),
            format!("removing image {image}"),
        );
        match optional(self.engine.bytes(call, None).await) {
            Ok(_) => Ok(true),
            Err(error) if error.is_conflict() => {
                tracing::info!("image {image} is needed by something else: {error}");
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Returns an image's id by a name or id of it.
    async fn find(&self, name: &str) -> Result<Option<String>, EngineError> {
        let path = format!("/images/{name}/json");
        let call = Call::new(Method::GET, path, format!("looking for image {name}"));
        let image: Option<Image> = optional(self.engine.ask(call).await)?;
        Ok(image.map(|image| image.id))
    }

    async fn all(&self) -> Result<Vec<String>, EngineError> {
        let call = Call::new(Method::GET, "/images/json".to_owned(), "listing images");
        let images: Vec<Image> = self.engine.ask(call).await?;
        Ok(images.into_iter().map(|image| image.id).collect())
    }

    fn source(&self, artifact: &Path, length: u64) -> Result<Source, InstallError> {
        let mut head = Vec::new();
        let read = self
            .disk
            .open(artifact)
            .and_then(|file| file.take(LONGEST_NAME_FILE).read_to_end(&mut head));
        read.map_err(unreadable)?;
        Source::of(length, &head)
    }

    async fn pull(&self, reference: &Reference) -> Result<Vec<String>, InstallError> {
        let name = reference.to_string();
        let header = match &self.auth_file {
            None => None,
            Some(file) => {
                auth::header(self.disk.as_ref(), file, reference.registry()).map_err(|why| {
                    InstallError::Unfit(format!("`container.auth_file` {}: {why}", file.display()))
                })?
            }
        };
        let call = Call::new(
            Method::POST,
            "/images/create".to_owned(),
            format!("pulling {name}"),
        );
        let call = call
            .query("fromImage", reference.name.clone())
            .query("tag", reference.digest.clone())
            .within(self.limit);
        let response = self.engine.send(&call, |request| match header {
            Some(header) => request.header("X-Registry-Auth", header),
            None => request,
        });
        self.follow(&call, response.await?).await?;
        let id = self
            .find(&name)
            .await?
            .ok_or_else(|| EngineError::Nonsense {
                what: call.what,
                cause: "it says that all went well, but has no such image".to_owned(),
            })?;
        Ok(vec![id])
    }

    async fn load_archive(
        &self,
        artifact: &Path,
        packing: Packing,
    ) -> Result<Vec<String>, InstallError> {
        let call = Call::new(
            Method::POST,
            "/images/load".to_owned(),
            "loading the image archive",
        );
        let call = call.query("quiet", "1").within(self.limit);
        let file = self.disk.open(artifact).map_err(unreadable)?;
        let (pieces, waiting) = mpsc::channel(WAITING);
        let reading = on_disk(move || feed(file, packing, &pieces));
        let body = Body::wrap_stream(stream::unfold(waiting, async |mut waiting| {
            let piece: io::Result<Bytes> = waiting.recv().await?;
            Some((piece, waiting))
        }));
        let loading = async {
            let response = self.engine.send(&call, |request| {
                request
                    .header("content-type", "application/x-tar")
                    .body(body)
            });
            self.follow(&call, response.await?).await
        };
        let (read, loaded) = tokio::join!(reading, loading);
        // An archive that can't be read is no fault of the engine's.
        read?;
        let mut ids = Vec::new();
        for name in loaded? {
            let id = self
                .find(&name)
                .await?
                .ok_or_else(|| EngineError::Nonsense {
                    what: call.what.clone(),
                    cause: format!("it loaded {name}, but has no such image"),
                })?;
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        Ok(ids)
    }

    /// Reads what the engine says to the end, and returns the names of what was loaded.
    async fn follow(
        &self,
        call: &Call,
        mut response: Response,
    ) -> Result<Vec<String>, EngineError> {
        let refused = |message: String| EngineError::Refused {
            what: call.what.clone(),
            status: 200,
            message,
        };
        let mut progress = Progress::default();
        loop {
            let piece = response.chunk().await;
            match piece.map_err(|error| self.engine.lost(call, &error))? {
                Some(piece) => progress.take(&piece).map_err(refused)?,
                None => return progress.finish().map_err(refused),
            }
        }
    }

    fn load(&self) -> Result<Notes, InstallError> {
        let bytes = disk::read(self.disk.as_ref(), &self.notes, LARGEST);
        let bytes = bytes.map_err(|cause| self.unknown(cause))?;
        // What makes no sense says nothing: then images stay where they are.
        Ok(bytes
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default())
    }

    fn save(&self, notes: &Notes) -> Result<(), InstallError> {
        let bytes = serde_json::to_vec_pretty(notes).map_err(|error| self.unknown(error.into()))?;
        disk::write_whole(self.disk.as_ref(), &self.notes, &bytes, PUBLIC)
            .map_err(|cause| self.unknown(cause))
    }

    fn unknown(&self, cause: io::Error) -> InstallError {
        InstallError::Disk {
            what: format!("the list of images {} can't be kept", self.notes.display()),
            cause,
        }
    }
}

fn unreadable(cause: io::Error) -> InstallError {
    InstallError::Disk {
        what: "the download can't be read".to_owned(),
        cause,
    }
}

/// Reads an archive piece by piece, as fast as the engine takes it.
fn feed(
    file: Box<dyn Read + Send>,
    packing: Packing,
    pieces: &mpsc::Sender<io::Result<Bytes>>,
) -> Result<(), InstallError> {
    let mut file = packing.reader(file).map_err(unreadable)?;
    loop {
        let mut piece = Vec::with_capacity(PIECE);
        let read = file.by_ref().take(PIECE as u64).read_to_end(&mut piece);
        if let Err(cause) = read {
            // The engine must not take what came until now for all of it.
            pieces
                .blocking_send(Err(io::ErrorKind::InvalidData.into()))
                .ok();
            return Err(InstallError::Unfit(format!(
                "the image archive can't be unpacked: {cause}. Pack it with `zstd -19` or less, with gzip, or not at all"
            )));
        }
        // An engine that takes no more says why itself.
        if piece.is_empty() || pieces.blocking_send(Ok(piece.into())).is_err() {
            return Ok(());
        }
    }
}
