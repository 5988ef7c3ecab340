//! What the engine says while it loads or pulls an image: lines of JSON, errors among them.

use serde::Deserialize;

/// Longest line, in bytes.
const LONGEST_LINE: usize = 64 << 10;
/// Most images that are remembered of one archive; one is all that is taken.
const MOST_IMAGES: usize = 16;

#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    stream: Option<String>,
    #[serde(default)]
    error: Option<String>,
    #[serde(default, rename = "errorDetail")]
    detail: Option<Detail>,
}

#[derive(Deserialize)]
struct Detail {
    #[serde(default)]
    message: String,
}

/// Reads lines as they come.
#[derive(Debug, Default)]
pub(super) struct Progress {
    begun: Vec<u8>,
    /// Names or ids of images that were loaded.
    pub(super) loaded: Vec<String>,
}

impl Progress {
    /// Takes a piece; the error is the engine's own, or says what is wrong with a line.
    pub(super) fn take(&mut self, piece: &[u8]) -> Result<(), String> {
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            self.begun.extend_from_slice(part);
            if self.begun.len() > LONGEST_LINE {
                return Err(format!("a line has more than {LONGEST_LINE} bytes"));
            }
            if part.ends_with(b"\n") {
                self.end_line()?;
            }
        }
        Ok(())
    }

    /// Takes the end.
    pub(super) fn finish(mut self) -> Result<Vec<String>, String> {
        self.end_line()?;
        Ok(self.loaded)
    }

    fn end_line(&mut self) -> Result<(), String> {
        let bytes = std::mem::take(&mut self.begun);
        let text = bytes.trim_ascii();
        if text.is_empty() {
            return Ok(());
        }
        let line: Line = serde_json::from_slice(text)
            .map_err(|error| format!("a line of its progress is no JSON: {error}"))?;
        let detail = line.detail.map(|detail| detail.message);
        if let Some(error) = line.error.or(detail) {
            return Err(super::engine::shortened(&error));
        }
        let loaded = line.stream.as_deref().and_then(|text| {
            let text = text.trim();
            let id = text.strip_prefix("Loaded image ID:");
            id.or_else(|| text.strip_prefix("Loaded image:"))
        });
        if let Some(loaded) = loaded.filter(|_| self.loaded.len() < MOST_IMAGES) {
            self.loaded.push(loaded.trim().to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes a text in pieces of a length.
    fn read(text: &str, length: usize) -> Result<Vec<String>, String> {
        let mut progress = Progress::default();
        for piece in text.as_bytes().chunks(length) {
            progress.take(piece)?;
        }
        progress.finish()
    }

    #[test]
    fn lines_are_read_however_they_are_cut() {
        let text = "{\"status\":\"Pulling\"}\r\n\n{\"stream\":\"Loaded image: a:1\\n\"}\n\
            {\"stream\":\"Loaded image ID: sha256:12\\n\"}";
        for length in 1..text.len() {
            assert_eq!(read(text, length).unwrap(), ["a:1", "sha256:12"]);
        }
    }

    #[test]
    fn errors_inside_are_errors() {
        let error = "{\"status\":\"x\"}\n{\"errorDetail\":{\"message\":\"no space\"},\"error\":\"no\\nspace\"}\n";
        assert_eq!(read(error, 7).unwrap_err(), "no space");
        let error = "{\"errorDetail\":{\"message\":\"no space\"}}";
        assert_eq!(read(error, 7).unwrap_err(), "no space");
        assert!(read("<html>", 3).unwrap_err().contains("no JSON"));
        let endless = "x".repeat(LONGEST_LINE + 1);
        assert!(read(&endless, 1000).unwrap_err().contains("more than"));
    }
}
