//! The names of versions' folders.

use otter_protocol::Version;

use crate::journal::Installed;

/// Longest version in a folder's name, in characters.
pub(super) const LONGEST_NAME: usize = 64;

/// Returns the folder's name for a version: `7-1.1.0`.
pub(super) fn folder_name(release_counter: u64, version: &Version) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+' | '_') {
            c
        } else {
            '_'
        }
    };
    let version: String = version
        .as_str()
        .chars()
        .take(LONGEST_NAME)
        .map(plain)
        .collect();
    format!("{release_counter}-{version}")
}

/// Reads a folder's name, as far as it tells.
pub(super) fn from_name(name: &str) -> Installed {
    let (counter, version) = name.split_once('-').unwrap_or(("0", name));
    let version = version.split('~').next().unwrap_or(version);
    Installed {
        version: version.into(),
        release_counter: counter.parse().unwrap_or(0),
        name: name.to_owned(),
    }
}
