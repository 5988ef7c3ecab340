//! Images, built from nothing but a static program, as `docker save` packs them.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use otter_protocol::Sha256Digest;
use serde_json::{Value, json};
use tar::{Builder, EntryType, Header};

/// What an image's program is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    Fine,
    /// Exits with status 3 and last words.
    Broken,
    /// Runs, but its health check fails.
    Sick,
}

/// The parts of an image.
pub struct Image {
    pub config: Vec<u8>,
    pub layer: Vec<u8>,
}

pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", Sha256Digest::of(bytes))
}

/// Compiles the program, once per run of a test: statically, as an image from nothing has no libraries.
fn program() -> &'static [u8] {
    static PROGRAM: OnceLock<Vec<u8>> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let to: PathBuf = folder.path().join("greeter");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/container/program.rs");
        let compiled = Command::new("rustc")
            .args(["-C", "target-feature=+crt-static", "-C", "panic=abort"])
            .args(["-C", "strip=symbols", "--edition", "2024", "-o"])
            .args([&to, &source])
            .output()
            .unwrap();
        assert!(
            compiled.status.success(),
            "the static program can't be compiled; install gcc and the C library's static part (libc6-dev): {}",
            String::from_utf8_lossy(&compiled.stderr)
        );
        std::fs::read(to).unwrap()
    })
}

fn add(archive: &mut Builder<Vec<u8>>, name: &str, mode: u32, bytes: Option<&[u8]>) {
    let mut header = Header::new_ustar();
    header.set_mode(mode);
    if bytes.is_none() {
        header.set_entry_type(EntryType::Directory);
    }
    let bytes = bytes.unwrap_or_default();
    header.set_size(bytes.len() as u64);
    archive.append_data(&mut header, name, bytes).unwrap();
}

impl Image {
    pub fn new(version: &str, mood: Mood) -> Self {
        let mut layer = Builder::new(Vec::new());
        add(&mut layer, "greeter", 0o755, Some(program()));
        add(&mut layer, "out/", 0o755, None);
        let layer = layer.into_inner().unwrap();
        let mood_name = if mood == Mood::Broken {
            "broken"
        } else {
            "fine"
        };
        let mut settings = json!({
            "Entrypoint": ["/greeter"],
            "Env": [format!("GREETER={version}"), format!("MOOD={mood_name}")],
            "StopSignal": "SIGKILL",
        });
        if mood == Mood::Sick {
            settings["Healthcheck"] = json!({
                "Test": ["CMD", "/greeter", "--health"], "Interval": 100_000_000, "Timeout": 30_000_000_000_u64, "Retries": 1,
            });
        }
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        let config = json!({
            "architecture": architecture, "os": "linux", "config": settings,
            "rootfs": {"type": "layers", "diff_ids": [digest(&layer)]},
        });
        Self {
            config: config.to_string().into_bytes(),
            layer,
        }
    }

    /// The engine's name for it.
    pub fn id(&self) -> String {
        digest(&self.config)
    }

    /// Packs images as `docker save` does; all have the same tag, as releases do that are built by one recipe.
    pub fn archive(images: &[&Self]) -> Vec<u8> {
        let mut archive = Builder::new(Vec::new());
        let mut manifest = Vec::new();
        for (number, image) in images.iter().enumerate() {
            let (config, layer) = (
                Sha256Digest::of(&image.config),
                Sha256Digest::of(&image.layer),
            );
            let (config, layer) = (
                format!("{config}.json"),
                format!("{layer}-{number}/layer.tar"),
            );
            add(&mut archive, &config, 0o644, Some(&image.config));
            add(&mut archive, &layer, 0o644, Some(&image.layer));
            let tag = format!("greeter:latest{number}");
            manifest.push(json!({"Config": config, "RepoTags": [tag], "Layers": [layer]}));
        }
        let manifest = Value::from(manifest).to_string();
        add(
            &mut archive,
            "manifest.json",
            0o644,
            Some(manifest.as_bytes()),
        );
        archive.into_inner().unwrap()
    }

    /// Packs it with zstd.
    pub fn packed(&self) -> Vec<u8> {
        let mut packed = zstd::Encoder::new(Vec::new(), 3).unwrap();
        packed.write_all(&Self::archive(&[self])).unwrap();
        packed.finish().unwrap()
    }

    /// Packs it with gzip.
    pub fn zipped(&self) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let archive = folder.path().join("image.tar");
        std::fs::write(&archive, Self::archive(&[self])).unwrap();
        let zipped = Command::new("gzip")
            .arg("-1c")
            .arg(&archive)
            .output()
            .unwrap();
        assert!(zipped.status.success());
        zipped.stdout
    }
}
