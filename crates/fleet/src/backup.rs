//! Back-ups of a fleet on SQLite: a copy of the database as it is at one moment, and of every artifact that it names.
//!
//! A back-up is a folder: `otter.db` (with everything but artifacts: devices and the hashes of their tokens, people, the audit
//! log, the server's own signing keys), `artifacts/`, and `manifest.json`, which is written last.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::{fs, io};

use otter_protocol::{ProblemCode, Sha256Digest, Timestamp};
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, FromQueryResult, Statement,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::artifact_store::{ArtifactPlace, name_of};
use crate::config::FleetConfig;
use crate::database;
use crate::error::{Error, Result};
use crate::schema;

const DATABASE: &str = "otter.db";
const ARTIFACTS: &str = "artifacts";
const MANIFEST: &str = "manifest.json";
/// The manner in which back-ups are laid out.
const FORMAT: u32 = 1;
/// Bytes copied at once.
const CHUNK: usize = 256 << 10;

/// What a back-up holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The manner in which it is laid out.
    format: u32,
    /// When it was made.
    pub made_at: Timestamp,
    /// The version of the server that made it.
    pub server: String,
    /// The schema's newest step.
    pub schema: String,
    /// The SHA-256 of the database's file.
    database_sha256: Sha256Digest,
    /// Whether the artifacts are not in it, but in a bucket, which has ways of its own to keep what it holds.
    pub in_bucket: bool,
    /// How many artifacts there are.
    pub artifacts: u64,
    /// How many bytes they have together.
    pub artifact_bytes: u64,
}

/// Writes a back-up into a folder that is empty or isn't there; the fleet may be served meanwhile.
///
/// Only of a fleet on SQLite (`invalid_request` for any other). Only the owner may read what is written: there are keys in it.
pub async fn back_up(config: &FleetConfig, to: &Path) -> Result<Manifest> {
    let file = sqlite_file(config)?;
    if !file.is_file() {
        let detail = format!("There is no database at {}.", file.display());
        return Err(Error::problem(ProblemCode::NotFound, detail));
    }
    check_empty(to)?;
    make_folder(to)?;
    let copy = to.join(DATABASE);
    let source = database::connect(&config.database_url).await?;
    vacuum_into(&source, &copy).await?;
    source.close().await?;
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o600))?;
    fs::File::open(&copy)?.sync_all()?;
    let opened = read_only(&copy).await?;
    let schema = schema::applied(&opened).await?.pop().unwrap_or_default();
    let artifacts = NamedArtifact::all(&opened).await?;
    opened.close().await?;
    let folder = artifacts_folder(config);
    let mut manifest = Manifest {
        format: FORMAT,
        made_at: config.clock.now(),
        server: env!("CARGO_PKG_VERSION").to_owned(),
        schema,
        database_sha256: blocking(move || hash(&copy)).await?,
        in_bucket: folder.is_none(),
        artifacts: 0,
        artifact_bytes: 0,
    };
    if let Some(folder) = folder {
        let copied = copy_artifacts(&artifacts, folder, &to.join(ARTIFACTS)).await?;
        (manifest.artifacts, manifest.artifact_bytes) = copied;
    }
    write_manifest(to, &manifest)?;
    Ok(manifest)
}

/// Puts a back-up where a fleet on SQLite is to be: the database's file must not be there and the artifacts' folder must be
/// empty (`conflict`). Every byte is compared with its SHA-256 on the way (`digest_mismatch`); the database comes last.
pub async fn restore(config: &FleetConfig, from: &Path) -> Result<Manifest> {
    let file = sqlite_file(config)?.to_owned();
    let manifest = read_manifest(from)?;
    if file.exists() {
        return Err(occupied(&file));
    }
    let folder = artifacts_folder(config);
    if manifest.in_bucket != folder.is_none() {
        let detail = "The back-up is of a fleet whose artifacts lie elsewhere, in a folder or in a bucket. Set OTTER_ARTIFACTS as it was then.";
        return Err(Error::problem(ProblemCode::Conflict, detail));
    }
    folder.map(check_empty).transpose()?;
    let source = from.join(DATABASE);
    let hashed = blocking({
        let source = source.clone();
        move || hash(&source)
    })
    .await?;
    if hashed != manifest.database_sha256 {
        return Err(differs(&source));
    }
    let opened = read_only(&source).await?;
    check_integrity(&opened, &source).await?;
    schema::pending(&opened).await?;
    let artifacts = NamedArtifact::all(&opened).await?;
    opened.close().await?;
    if let Some(folder) = folder {
        let copied = copy_artifacts(&artifacts, &from.join(ARTIFACTS), folder).await?;
        if copied != (manifest.artifacts, manifest.artifact_bytes) {
            return Err(differs(&from.join(MANIFEST)));
        }
    }
    let expected = manifest.database_sha256;
    blocking(move || {
        if let Some(folder) = file.parent().filter(|folder| *folder != Path::new("")) {
            make_folder(folder)?;
        }
        let unfinished = file.with_extension("restoring");
        let copied = copy_hashed(&source, &unfinished)?;
        if copied.0 != expected {
            return Err(differs(&source));
        }
        fs::rename(&unfinished, &file)?;
        sync_folder(file.parent())
    })
    .await?;
    Ok(manifest)
}

/// An artifact that the database names, whatever its schema is by now.
#[derive(FromQueryResult)]
struct NamedArtifact {
    sha256: String,
    is_used: bool,
}

impl NamedArtifact {
    async fn all(opened: &DatabaseConnection) -> Result<Vec<Self>> {
        let sql = "SELECT sha256, EXISTS (SELECT 1 FROM release_artifacts r WHERE r.sha256 = a.sha256) AS is_used
                   FROM artifacts a ORDER BY sha256";
        let statement = Statement::from_string(opened.get_database_backend(), sql);
        Ok(Self::find_by_statement(statement).all(opened).await?)
    }
}

/// Returns where the artifacts lie, where they lie in a folder.
fn artifacts_folder(config: &FleetConfig) -> Option<&Path> {
    match &config.artifacts {
        ArtifactPlace::Folder(folder) => Some(folder),
        ArtifactPlace::Objects { .. } => None,
    }
}

/// Copies artifacts, and returns how many there were and how many bytes they have. One that no release names may be gone: it
/// was let go of meanwhile.
async fn copy_artifacts(artifacts: &[NamedArtifact], from: &Path, to: &Path) -> Result<(u64, u64)> {
    let (mut count, mut bytes) = (0, 0);
    for artifact in artifacts {
        let sha256 = artifact
            .sha256
            .parse()
            .map_err(|_| Error::Corrupt(format!("the name of artifact {}", artifact.sha256)))?;
        let name = name_of(sha256);
        let (from, to) = (from.join(&name), to.join(&name));
        if !artifact.is_used && !from.exists() {
            continue;
        }
        bytes += blocking(move || copy_artifact(&from, &to, sha256)).await?;
        count += 1;
    }
    Ok((count, bytes))
}

fn sqlite_file(config: &FleetConfig) -> Result<&Path> {
    config.sqlite_file().ok_or_else(|| {
        let detail = "Only a fleet on SQLite is backed up and restored so; for PostgreSQL use pg_dump and pg_restore, and copy the \
                      folder of artifacts.";
        Error::invalid("database_url", detail)
    })
}

fn occupied(path: &Path) -> Error {
    let detail = format!(
        "{} is there already, and nothing is overwritten. Name a place that is empty, or move that away.",
        path.display()
    );
    Error::problem(ProblemCode::Conflict, detail)
}

fn differs(path: &Path) -> Error {
    let detail = format!(
        "{} isn't what was backed up: its SHA-256 differs. Take another back-up.",
        path.display()
    );
    Error::problem(ProblemCode::DigestMismatch, detail)
}

/// Checks that a folder is empty, but for what uploads leave behind, or isn't there.
fn check_empty(folder: &Path) -> Result<()> {
    match fs::read_dir(folder) {
        Ok(mut entries) => match entries.next() {
            Some(_) => Err(occupied(folder)),
            None => Ok(()),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn make_folder(folder: &Path) -> Result<()> {
    Ok(fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?)
}

async fn vacuum_into(source: &DatabaseConnection, copy: &Path) -> Result<()> {
    let path = copy.to_str().ok_or_else(|| {
        let detail = "The folder's path must be UTF-8.";
        Error::invalid("folder", detail)
    })?;
    let statement = Statement::from_sql_and_values(
        source.get_database_backend(),
        "VACUUM INTO ?",
        [path.into()],
    );
    source.execute_raw(statement).await?;
    Ok(())
}

async fn read_only(file: &Path) -> Result<DatabaseConnection> {
    let url = format!("sqlite://{}?mode=ro", file.display());
    let mut options = ConnectOptions::new(url);
    options.sqlx_logging(false).max_connections(1);
    Ok(Database::connect(options).await?)
}

async fn check_integrity(opened: &DatabaseConnection, file: &Path) -> Result<()> {
    let statement = Statement::from_string(opened.get_database_backend(), "PRAGMA integrity_check");
    let row = opened.query_one_raw(statement).await?;
    let said: Option<String> = row.and_then(|row| row.try_get_by_index(0).ok());
    if said.as_deref() == Some("ok") {
        return Ok(());
    }
    let what = said.unwrap_or_else(|| "nothing".to_owned());
    Err(Error::Corrupt(format!("{}: {what}", file.display())))
}

/// Copies an artifact, checks that it is what it is named, and returns its length.
fn copy_artifact(from: &Path, to: &Path, sha256: Sha256Digest) -> Result<u64> {
    let folder = to
        .parent()
        .ok_or_else(|| io::Error::other("an artifact without a folder"))?;
    make_folder(folder)?;
    let (copied, length) = copy_hashed(from, to)?;
    if copied != sha256 {
        return Err(differs(from));
    }
    sync_folder(Some(folder))?;
    Ok(length)
}

fn copy_hashed(from: &Path, to: &Path) -> Result<(Sha256Digest, u64)> {
    let mut source = fs::File::open(from).map_err(|error| named(from, &error))?;
    let mut options = fs::OpenOptions::new();
    let mut target = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(to)
        .map_err(|error| named(to, &error))?;
    let (mut sha256, mut length, mut chunk) = (Sha256::new(), 0_u64, vec![0; CHUNK]);
    loop {
        let got = source.read(&mut chunk)?;
        let Some(part) = chunk.get(..got).filter(|part| !part.is_empty()) else {
            break;
        };
        sha256.update(part);
        target.write_all(part)?;
        length += part.len() as u64;
    }
    target.sync_all()?;
    Ok((Sha256Digest(sha256.finalize().into()), length))
}

fn hash(file: &Path) -> Result<Sha256Digest> {
    let mut source = fs::File::open(file).map_err(|error| named(file, &error))?;
    let (mut sha256, mut chunk) = (Sha256::new(), vec![0; CHUNK]);
    loop {
        let got = source.read(&mut chunk)?;
        match chunk.get(..got).filter(|part| !part.is_empty()) {
            Some(part) => sha256.update(part),
            None => return Ok(Sha256Digest(sha256.finalize().into())),
        }
    }
}

fn write_manifest(folder: &Path, manifest: &Manifest) -> Result<()> {
    let text = serde_json::to_string_pretty(manifest)
        .map_err(|error| Error::Corrupt(error.to_string()))?;
    let mut options = fs::OpenOptions::new();
    let path = folder.join(MANIFEST);
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    sync_folder(Some(folder))
}

fn read_manifest(folder: &Path) -> Result<Manifest> {
    let path: PathBuf = folder.join(MANIFEST);
    let wrong = |why: String| {
        let detail = format!(
            "{} is no back-up: {why}. One that was broken off has no {MANIFEST}.",
            folder.display()
        );
        Error::invalid("folder", detail)
    };
    let text = fs::read(&path).map_err(|error| wrong(format!("{}: {error}", path.display())))?;
    let manifest: Manifest = serde_json::from_slice(&text)
        .map_err(|error| wrong(format!("{}: {error}", path.display())))?;
    if manifest.format != FORMAT {
        return Err(wrong(format!(
            "it is laid out in manner {}",
            manifest.format
        )));
    }
    Ok(manifest)
}

fn sync_folder(folder: Option<&Path>) -> Result<()> {
    if let Some(folder) = folder.filter(|folder| *folder != Path::new("")) {
        fs::File::open(folder)?.sync_all()?;
    }
    Ok(())
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| Error::Store(io::Error::other("the copy was broken off")))?
}
