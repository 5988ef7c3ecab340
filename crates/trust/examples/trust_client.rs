//! A client with the interface that the TUF conformance suite asks for, over the agent's own verifier and store.
//!
//! ```text
//! trust-client --metadata-dir D init ROOT.json
//! trust-client --metadata-dir D --metadata-url U refresh
//! trust-client --metadata-dir D --metadata-url U --target-name T [--target-name …] \
//!     --target-base-url B --target-dir O download
//! ```
//!
//! Exit code 0 where all of it was done, else 1 with the reason on standard error. D holds the trusted metadata, each
//! file under its role's name. What doesn't verify is never written.
//!
//! Interface: <https://github.com/theupdateframework/tuf-conformance>, section "Creating a CLI protocol wrapper".

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Parser, Subcommand};
use otter_agent::disk::RealDisk;
use otter_agent::trust_store::DiskStore;
use otter_trust::{Limits, MetadataSource, SourceError, Timestamp, TrustStore as _, Verifier};
use reqwest::{Response, StatusCode};
use serde::Deserialize;
use sha2::{Digest as _, Sha256, Sha512};
use tempfile::NamedTempFile;
use url::Url;

/// How long a server may be silent.
const SILENCE: Duration = Duration::from_secs(30);

type Failure = Box<dyn Error + Send + Sync>;

#[derive(Parser)]
#[command(
    name = "trust-client",
    about = "A TUF client over the agent's verifier and store"
)]
struct Arguments {
    /// Folder of the trusted metadata.
    #[arg(long)]
    metadata_dir: PathBuf,
    /// Where the repository's metadata is.
    #[arg(long)]
    metadata_url: Option<Url>,
    /// Target to download; may be given several times.
    #[arg(long)]
    target_name: Vec<String>,
    /// Where the repository's targets are.
    #[arg(long)]
    target_base_url: Option<Url>,
    /// Folder that targets go to.
    #[arg(long)]
    target_dir: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Trusts a root as the first one.
    Init {
        /// The root's file.
        root: PathBuf,
    },
    /// Follows the repository to its newest metadata.
    Refresh,
    /// Refreshes, and fetches targets.
    Download,
}

/// What metadata says of a target.
#[derive(Deserialize)]
struct Target {
    length: u64,
    hashes: BTreeMap<String, String>,
}

/// A repository over HTTP.
struct Repository {
    client: reqwest::Client,
    metadata: Url,
}

impl MetadataSource for Repository {
    async fn fetch(&self, name: &str, max_len: u64) -> Result<Option<Vec<u8>>, SourceError> {
        let unreachable = |error: &dyn Error| SourceError::Unreachable(error.to_string());
        let url = below(&self.metadata, name).map_err(|error| unreachable(error.as_ref()))?;
        let answer = self.client.get(url).send().await;
        let mut answer = answer.map_err(|error| unreachable(&error))?;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND | StatusCode::FORBIDDEN => return Ok(None),
            status => return Err(SourceError::Unreachable(format!("it answers {status}"))),
        }
        let mut bytes = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(|error| unreachable(&error))? {
            if bytes.len() as u64 + piece.len() as u64 > max_len {
                return Err(SourceError::TooLarge);
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(Some(bytes))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    match run(&arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("trust-client: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Result<(), Failure> {
    let store = DiskStore::at(Arc::new(RealDisk), arguments.metadata_dir.clone())?;
    let limits = Limits {
        // The specification leaves it open; python-tuf follows as many.
        root_rotations: 256,
        ..Limits::default()
    };
    if let Command::Init { root } = &arguments.command {
        let root = std::fs::read(root)?;
        Verifier::open_with(store, Some(&root), limits)?;
        return Ok(());
    }
    if store.load("root.json")?.is_none() {
        return Err("nothing is trusted yet. Begin with `init`".into());
    }
    let repository = Repository {
        client: reqwest::Client::builder()
            .connect_timeout(SILENCE)
            .read_timeout(SILENCE)
            .build()?,
        metadata: needed(&arguments.metadata_url, "--metadata-url")?.clone(),
    };
    let mut verifier = Verifier::open_with(store, None, limits)?;
    verifier.refresh(&repository, Timestamp::now()).await?;
    if matches!(arguments.command, Command::Download) {
        let base = needed(&arguments.target_base_url, "--target-base-url")?;
        let folder = needed(&arguments.target_dir, "--target-dir")?;
        if arguments.target_name.is_empty() {
            return Err("--target-name is needed".into());
        }
        for name in &arguments.target_name {
            let found = verifier.find(&repository, name, Timestamp::now()).await?;
            let found = found.ok_or_else(|| format!("no role names the target {name}"))?;
            let target = Target::deserialize(found.target)?;
            let prefixed = verifier.has_consistent_snapshots();
            let url = below(base, &target.path(name, prefixed)?)?;
            let file = folder.join(file_name(name));
            if !target.is_in(&file)? {
                target
                    .download(repository.client.get(url).send().await?, &file)
                    .await?;
            }
        }
    }
    Ok(())
}

impl Target {
    /// Returns where a target is: under consistent snapshots its file's name begins with a hash.
    fn path(&self, name: &str, prefixed: bool) -> Result<String, Failure> {
        if !prefixed {
            return Ok(name.to_owned());
        }
        let known = ["sha256", "sha512"].into_iter();
        let hash = known.filter_map(|kind| self.hashes.get(kind)).next();
        let hash = hash.ok_or_else(|| format!("{name} has no hash that is known here"))?;
        Ok(match name.rsplit_once('/') {
            Some((folder, file)) => format!("{folder}/{hash}.{file}"),
            None => format!("{hash}.{name}"),
        })
    }

    /// Returns whether a file is there already, and is the target.
    fn is_in(&self, path: &Path) -> Result<bool, Failure> {
        let mut file = match std::fs::File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            file => file?,
        };
        let mut check = Check::new(self);
        let mut piece = vec![0; 64 << 10];
        loop {
            match file.read(&mut piece)? {
                0 => return Ok(check.finish().is_ok()),
                read => {
                    if check.take(piece.get(..read).unwrap_or_default()).is_err() {
                        return Ok(false);
                    }
                }
            }
        }
    }

    /// Writes what comes beside the file's place, hashing it on the way, and puts it there once it is known to be right.
    async fn download(&self, answer: Response, path: &Path) -> Result<(), Failure> {
        let mut answer = answer.error_for_status()?;
        let folder = path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        let mut file = NamedTempFile::new_in(folder)?;
        let mut check = Check::new(self);
        while let Some(piece) = answer.chunk().await? {
            check.take(&piece)?;
            file.write_all(&piece)?;
        }
        check.finish()?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    }
}

/// Length and hashes of bytes as they come.
struct Check<'a> {
    target: &'a Target,
    length: u64,
    sha256: Sha256,
    sha512: Sha512,
}

impl<'a> Check<'a> {
    fn new(target: &'a Target) -> Self {
        Self {
            target,
            length: 0,
            sha256: Sha256::new(),
            sha512: Sha512::new(),
        }
    }

    /// Takes more bytes; fails at the first that is too many.
    fn take(&mut self, piece: &[u8]) -> Result<(), Failure> {
        self.length += piece.len() as u64;
        if self.length > self.target.length {
            return Err(format!("endless data: {} bytes were signed", self.target.length).into());
        }
        self.sha256.update(piece);
        self.sha512.update(piece);
        Ok(())
    }

    /// Succeeds where the length is right, and every hash that is known here, of which there must be one.
    fn finish(self) -> Result<(), Failure> {
        if self.length != self.target.length {
            let signed = self.target.length;
            return Err(format!("{signed} bytes were signed, {} came", self.length).into());
        }
        let known = [
            ("sha256", hex::encode(self.sha256.finalize())),
            ("sha512", hex::encode(self.sha512.finalize())),
        ];
        let mut checked = false;
        for (kind, actual) in known {
            if let Some(signed) = self.target.hashes.get(kind) {
                if !signed.eq_ignore_ascii_case(&actual) {
                    return Err(
                        format!("wrong bytes: {kind} {signed} was signed, not {actual}").into(),
                    );
                }
                checked = true;
            }
        }
        if checked {
            Ok(())
        } else {
            Err("none of its hashes is known here".into())
        }
    }
}

fn needed<'a, T>(value: &'a Option<T>, option: &str) -> Result<&'a T, Failure> {
    value
        .as_ref()
        .ok_or_else(|| format!("{option} is needed").into())
}

/// Returns the address of what lies below another.
fn below(base: &Url, path: &str) -> Result<Url, Failure> {
    let base = base.as_str().trim_end_matches('/');
    Ok(Url::parse(&format!("{base}/{path}"))?)
}

/// Returns a file name for a target's, which may have folders in it, and worse.
fn file_name(target: &str) -> String {
    let keep = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let encode = |byte: u8| match keep(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    match target {
        "." | ".." => target.replace('.', "%2E"),
        _ => target.bytes().map(encode).collect(),
    }
}
