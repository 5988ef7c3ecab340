//! The site that `otter-server` embeds: script, wasm, CSS and public files in `target/site/`.
//!
//! Everything that changes with the dashboard is in `pkg/<hash of it all>/`, so that browsers may keep it forever.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

use crate::lock::SiteLock;
use crate::steps::Steps;
use crate::{css, paths, rust, wasm};

/// The kinds of files that are worth compressing.
const COMPRESSED: [&str; 4] = ["js", "css", "wasm", "svg"];

/// Builds the site, skipping whatever is as it was. Its caller keeps the lock until the server that embeds it is built.
pub(crate) fn build(steps: &mut Steps, _lock: &SiteLock, release: bool) -> Result<()> {
    let parts = paths::site_parts();
    fs::create_dir_all(&parts).context("cannot make the target folder")?;
    steps.run("wasm32 target", rust::ensure_wasm_target)?;
    let compiled = steps.run("dashboard wasm", || wasm::compile(release))?;
    let bound = bind(steps, &parts, &compiled, release)?;
    let style = steps.run("CSS", || css::bundle(&paths::root().join("app/style")))?;
    fs::write(parts.join("otter.css"), style)?;
    steps.run("site", || assemble(&parts, &bound, release))
}

/// wasm-bindgen and wasm-opt, unless their input is the same as last time.
fn bind(steps: &mut Steps, parts: &Path, compiled: &Path, release: bool) -> Result<PathBuf> {
    let folder = parts.join("wasm");
    let bytes =
        fs::read(compiled).with_context(|| format!("cannot read {}", compiled.display()))?;
    let key = hash(&[&bytes, &[u8::from(release)]]);
    let stamp = parts.join("wasm.key");
    if fs::read_to_string(&stamp).is_ok_and(|text| text == key)
        && folder.join("otter_bg.wasm").is_file()
    {
        return Ok(folder);
    }
    steps.run("wasm-bindgen", || wasm::bind(compiled, &folder))?;
    let complete = !release || steps.run("wasm-opt", || wasm::optimise(&folder))?;
    // Without wasm-opt there is no stamp, so that the next build tries again.
    if complete {
        fs::write(stamp, key)?;
    }
    Ok(folder)
}

/// Puts the parts together in `target/site/`, unless they are there as they are.
fn assemble(parts: &Path, bound: &Path, release: bool) -> Result<()> {
    let mut files = Vec::new();
    collect(bound, Path::new(""), &mut files)?;
    files.push((
        PathBuf::from("otter.css"),
        fs::read(parts.join("otter.css"))?,
    ));
    files.sort();
    let mut public = Vec::new();
    collect(
        &paths::root().join("app/public"),
        Path::new(""),
        &mut public,
    )?;
    public.sort();

    let package = PathBuf::from("pkg").join(hash_files(&files));
    let files: Vec<_> = files
        .into_iter()
        .map(|(path, bytes)| (package.join(path), bytes))
        .chain(public)
        .collect();
    let (site, stamp) = (paths::site(), parts.join("site.key"));
    let key = format!(
        "{}{}",
        hash_files(&files),
        if release { "-release" } else { "" }
    );
    if !(fs::read_to_string(&stamp).is_ok_and(|text| text == key) && site.join(&package).is_dir()) {
        write_site(&site, &files, release)?;
        fs::write(stamp, key)?;
    }
    if release {
        eprintln!(
            "  first visit: {} KiB with brotli",
            first_visit(&site.join(&package))? / 1024
        );
    }
    Ok(())
}

/// Writes files and their compressed forms beside the old site, then puts the new one in its place.
fn write_site(site: &Path, files: &[(PathBuf, Vec<u8>)], release: bool) -> Result<()> {
    let fresh = site.with_extension("new");
    if fresh.exists() {
        fs::remove_dir_all(&fresh)?;
    }
    for (path, bytes) in files {
        let path = fresh.join(path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&path, bytes)?;
        let extension = path
            .extension()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if COMPRESSED.contains(&extension.as_str()) {
            fs::write(
                path.with_extension(format!("{extension}.br")),
                brotli(bytes, release)?,
            )?;
            fs::write(
                path.with_extension(format!("{extension}.gz")),
                gzip(bytes, release)?,
            )?;
        }
    }
    if site.exists() {
        fs::remove_dir_all(site)?;
    }
    fs::rename(&fresh, site).context("cannot put the new site in its place")
}

fn brotli(bytes: &[u8], release: bool) -> Result<Vec<u8>> {
    let quality = if release { 11 } else { 4 };
    let mut writer = brotli::CompressorWriter::new(Vec::new(), 1 << 16, quality, 22);
    writer.write_all(bytes)?;
    writer.flush()?;
    Ok(writer.into_inner())
}

fn gzip(bytes: &[u8], release: bool) -> Result<Vec<u8>> {
    let level = flate2::Compression::new(if release { 9 } else { 4 });
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), level);
    writer.write_all(bytes)?;
    Ok(writer.finish()?)
}

/// Bytes that a browser fetches for its first page, the HTML aside.
fn first_visit(package: &Path) -> Result<u64> {
    let mut sum = 0;
    for name in ["otter.js.br", "otter_bg.wasm.br", "otter.css.br"] {
        sum += fs::metadata(package.join(name))
            .with_context(|| format!("no {name} in the site"))?
            .len();
    }
    Ok(sum)
}

/// Every file under `folder`, by its path relative to it; none where the folder is missing.
fn collect(folder: &Path, relative: &Path, into: &mut Vec<(PathBuf, Vec<u8>)>) -> Result<()> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Ok(());
    };
    for entry in entries {
        let path = entry?.path();
        let name = relative.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            collect(&path, &name, into)?;
        } else if path.extension().is_none_or(|extension| extension != "ts") {
            into.push((name, fs::read(&path)?));
        }
    }
    Ok(())
}

fn hash_files(files: &[(PathBuf, Vec<u8>)]) -> String {
    let parts: Vec<&[u8]> = files
        .iter()
        .flat_map(|(path, bytes)| [path.as_os_str().as_encoded_bytes(), bytes])
        .collect();
    hash(&parts)
}

/// The first 16 hexadecimal digits of SHA-256 over parts and their lengths.
pub(crate) fn hash(parts: &[&[u8]]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    let mut text = hex::encode(hasher.finalize());
    text.truncate(16);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_tell_files_apart_by_name_and_content() {
        let file = |name: &str, text: &str| (PathBuf::from(name), text.as_bytes().to_vec());
        let one = hash_files(&[file("a", "1"), file("b", "2")]);
        assert_eq!(one, hash_files(&[file("a", "1"), file("b", "2")]));
        assert_ne!(one, hash_files(&[file("a", "12"), file("b", "")]));
        assert_ne!(one, hash_files(&[file("c", "1"), file("b", "2")]));
        assert_eq!(one.len(), 16);
    }

    #[test]
    fn a_new_site_replaces_the_old_one_whole() {
        let scratch = tempfile::tempdir().unwrap();
        let site = scratch.path().join("site");
        write_site(
            &site,
            &[(PathBuf::from("pkg/1/otter.css"), b"a{}".to_vec())],
            false,
        )
        .unwrap();
        write_site(
            &site,
            &[(PathBuf::from("pkg/2/otter.css"), b"b{}".to_vec())],
            false,
        )
        .unwrap();
        assert!(!site.join("pkg/1").exists());
        let unpacked = {
            let mut text = String::new();
            let file = fs::File::open(site.join("pkg/2/otter.css.gz")).unwrap();
            std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(file), &mut text)
                .unwrap();
            text
        };
        assert_eq!(unpacked, "b{}");
        assert!(site.join("pkg/2/otter.css.br").is_file());
    }
}
