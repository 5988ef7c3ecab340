//! Where things are in the repository.

use std::path::{Path, PathBuf};

/// The repository's root folder.
pub(crate) fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Cargo's target folder, which `CARGO_TARGET_DIR` may move.
pub(crate) fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => root().join(folder),
        None => root().join("target"),
    }
}

/// The site that `otter-server` embeds: `server/src/site.rs` names the same folder, so `CARGO_TARGET_DIR` doesn't move it.
pub(crate) fn site() -> PathBuf {
    root().join("target/site")
}

/// What the site is put together from, kept so that unchanged steps are skipped.
pub(crate) fn site_parts() -> PathBuf {
    root().join("target/site-parts")
}

/// What holds off a second build of the site; beside it, so that `CARGO_TARGET_DIR` doesn't move it either.
pub(crate) fn site_lock() -> PathBuf {
    root().join("target/site.lock")
}

/// The folder that a profile's programs are in.
pub(crate) fn binaries(release: bool) -> PathBuf {
    target().join(if release { "release" } else { "debug" })
}

/// The end-to-end tests.
pub(crate) fn end2end() -> PathBuf {
    root().join("end2end")
}
