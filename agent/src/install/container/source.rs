//! What an artifact of kind `container` is: an image archive, or a line that names an image by its digest.

use std::io::{self, Read};

use super::super::InstallError;

/// A file this long or longer is no line of text.
pub(super) const LONGEST_NAME_FILE: u64 = 64 << 10;
/// The first bytes of a zstd frame (RFC 8878, 3.1.1).
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// The first bytes of a gzip member (RFC 1952, 2.3.1).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// Where a tar header says that it is one.
const TAR_MAGIC: std::ops::Range<usize> = 257..262;
/// Frames that want a larger window than 8 MiB are refused: what `zstd -19` makes wants no more.
const LARGEST_WINDOW_LOG: u32 = 23;

/// What an artifact is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// An image in a registry.
    Named(Reference),
    /// An archive as `docker save` makes it.
    Archive(Packing),
}

/// How an archive is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    /// In a way that the engine unpacks itself.
    ByEngine,
    /// By zstd, which older engines don't know.
    Zstd,
}

/// An image in a registry, by its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reference {
    /// Registry and name.
    pub(super) name: String,
    /// `sha256:` and 64 hexadecimal digits.
    pub(super) digest: String,
}

impl Source {
    /// Tells by its length and first bytes what an artifact is; those of a short one are all of it.
    pub(super) fn of(length: u64, head: &[u8]) -> Result<Self, InstallError> {
        if head.starts_with(&ZSTD_MAGIC) {
            return Ok(Self::Archive(Packing::Zstd));
        }
        if head.starts_with(&GZIP_MAGIC) || head.get(TAR_MAGIC) == Some(b"ustar") {
            return Ok(Self::Archive(Packing::ByEngine));
        }
        let text = std::str::from_utf8(head).ok();
        match text.filter(|_| length < LONGEST_NAME_FILE) {
            Some(text) => Reference::parse(text)
                .map(Self::Named)
                .map_err(InstallError::Unfit),
            None => Err(InstallError::Unfit(
                "the artifact is neither an image archive as `docker save` makes it (plain, gzip or zstd), nor a line \
                 `registry/name@sha256:…`"
                    .to_owned(),
            )),
        }
    }
}

impl Reference {
    /// Reads the one line of a file.
    fn parse(text: &str) -> Result<Self, String> {
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let (Some(line), None) = (lines.next(), lines.next()) else {
            return Err("the artifact must be one line, `registry/name@sha256:…`".to_owned());
        };
        let wrong = |why: &str| {
            let shown: String = line.chars().filter(|c| !c.is_control()).take(100).collect();
            Err(format!("the artifact names the image `{shown}`: {why}"))
        };
        let Some((name, digest)) = line.split_once('@') else {
            return wrong(
                "name it by digest, `registry/name@sha256:…`; a tag may be moved after it was signed",
            );
        };
        let Some((registry, rest)) = name.split_once('/') else {
            return wrong("name its registry, too, as in `docker.io/library/name@sha256:…`");
        };
        if !(registry.contains(['.', ':']) || registry == "localhost") {
            return wrong(
                "it must begin with its registry, as in `docker.io/library/name@sha256:…`",
            );
        }
        if rest.contains(':') {
            return wrong("leave the tag out, the digest says it all");
        }
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
        let is_host = |c: char| c.is_ascii_alphanumeric() || ".-:[]".contains(c);
        let has_parts = rest
            .split('/')
            .all(|part| !part.is_empty() && !part.starts_with('.'));
        if !registry.chars().all(is_host) || !rest.chars().all(is_plain) || !has_parts {
            return wrong("no registry has such a name");
        }
        let hex = digest.strip_prefix("sha256:").unwrap_or_default();
        let is_hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        if hex.len() != 64 || !hex.chars().all(is_hex) {
            return wrong("its digest must be `sha256:` and 64 lower-case hexadecimal digits");
        }
        Ok(Self {
            name: name.to_owned(),
            digest: digest.to_owned(),
        })
    }

    /// Returns the registry's host.
    pub(super) fn registry(&self) -> &str {
        self.name.split('/').next().unwrap_or_default()
    }
}

impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}", self.name, self.digest)
    }
}

impl Packing {
    /// Unpacks what the engine may not know.
    pub(super) fn reader(self, file: Box<dyn Read + Send>) -> io::Result<Box<dyn Read + Send>> {
        match self {
            Self::ByEngine => Ok(file),
            Self::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::new(file)?;
                decoder.window_log_max(LARGEST_WINDOW_LOG)?;
                Ok(Box::new(decoder))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn of(text: &str) -> Result<Source, String> {
        Source::of(text.len() as u64, text.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn images_are_named_by_registry_and_digest() {
        for name in [
            "docker.io/library/nginx",
            "127.0.0.1:5000/otter/greeter",
            "localhost/a",
            "[::1]:5000/a",
        ] {
            for line in [
                format!("{name}@{DIGEST}"),
                format!("\n  {name}@{DIGEST} \r\n"),
            ] {
                let Source::Named(reference) = of(&line).unwrap() else {
                    panic!("{line}");
                };
                assert_eq!(reference.to_string(), format!("{name}@{DIGEST}"));
                assert_eq!(name.split('/').next(), Some(reference.registry()));
            }
        }
    }

    #[test]
    fn whatever_else_a_line_says_is_refused_in_words() {
        let cases = [
            ("nginx:latest".to_owned(), "a tag may be moved"),
            (String::new(), "one line"),
            (format!("a.b/c@{DIGEST}\na.b/c@{DIGEST}"), "one line"),
            (format!("nginx@{DIGEST}"), "name its registry"),
            (format!("library/nginx@{DIGEST}"), "begin with its registry"),
            (format!("a.b/c:1.0@{DIGEST}"), "leave the tag out"),
            (format!("a.b/../c@{DIGEST}"), "no registry"),
            (format!("a.b/c?x=y@{DIGEST}"), "no registry"),
            (format!("a.b//c@{DIGEST}"), "no registry"),
            ("a.b/c@sha256:12".to_owned(), "64 lower-case"),
            (format!("a.b/c@{}", DIGEST.to_uppercase()), "64 lower-case"),
        ];
        for (text, words) in cases {
            let error = of(&text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn archives_are_known_by_their_first_bytes() {
        let mut tar = vec![0; 512];
        tar[257..262].copy_from_slice(b"ustar");
        let cases: [(&[u8], Packing); 3] = [
            (&tar, Packing::ByEngine),
            (&[0x1f, 0x8b, 8], Packing::ByEngine),
            (&ZSTD_MAGIC, Packing::Zstd),
        ];
        for (head, packing) in cases {
            assert_eq!(Source::of(1 << 30, head).unwrap(), Source::Archive(packing));
        }
        let long = vec![b'x'; LONGEST_NAME_FILE as usize];
        for head in [[0xff, 0xfe].as_slice(), &long] {
            let error = Source::of(head.len() as u64, head).unwrap_err().to_string();
            assert!(error.contains("neither an image archive"), "{error}");
        }
    }
}
