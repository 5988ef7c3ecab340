//! The device's own time zone, by its IANA name: from `TZ`, `/etc/timezone`, or where `/etc/localtime` points to.

use std::path::Path;

use crate::disk::{self, Disk};

const TIMEZONE: &str = "/etc/timezone";
const LOCALTIME: &str = "/etc/localtime";
/// No name is longer.
const LONGEST: u64 = 64;

/// Reads the device's time zone; `None` where nothing names one that is known.
pub(super) fn of_device(disk: &dyn Disk) -> Option<String> {
    let variable = std::env::var("TZ").ok();
    let file = disk::read(disk, Path::new(TIMEZONE), LONGEST)
        .ok()
        .flatten();
    let file = file.and_then(|bytes| String::from_utf8(bytes).ok());
    let link = disk.read_link(Path::new(LOCALTIME)).ok();
    let link = link.as_deref().and_then(Path::to_str);
    name(variable.as_deref(), file.as_deref(), link)
}

/// Returns the first that names a zone.
fn name(variable: Option<&str>, file: Option<&str>, link: Option<&str>) -> Option<String> {
    // Colon and path are POSIX: `:Europe/Helsinki`, `:/usr/share/zoneinfo/Europe/Helsinki`.
    let variable = variable.map(|text| text.strip_prefix(':').unwrap_or(text));
    let variable = variable.map(|text| inside(text).unwrap_or(text));
    [variable, file, link.and_then(inside)]
        .into_iter()
        .flatten()
        .map(str::trim)
        .find_map(known)
}

/// Returns what a path names in the zones' folder.
fn inside(path: &str) -> Option<&str> {
    let (_, name) = path.split_once("zoneinfo/")?;
    let name = name
        .strip_prefix("posix/")
        .or(name.strip_prefix("right/"))
        .unwrap_or(name);
    Some(name)
}

fn known(name: &str) -> Option<String> {
    if name.is_empty() || name.len() as u64 > LONGEST {
        return None;
    }
    let zone = jiff::tz::TimeZone::get(name).ok()?;
    zone.iana_name().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_names_a_zone_counts() {
        let link = Some("/usr/share/zoneinfo/Europe/Berlin");
        let table = [
            (
                Some("Asia/Tokyo"),
                Some("Europe/Paris\n"),
                link,
                Some("Asia/Tokyo"),
            ),
            (Some(":Asia/Tokyo"), None, None, Some("Asia/Tokyo")),
            (
                Some(":/usr/share/zoneinfo/Asia/Tokyo"),
                None,
                None,
                Some("Asia/Tokyo"),
            ),
            (None, Some("Europe/Paris\n"), link, Some("Europe/Paris")),
            (None, None, link, Some("Europe/Berlin")),
            (
                None,
                None,
                Some("../usr/share/zoneinfo/posix/Etc/UTC"),
                Some("Etc/UTC"),
            ),
            // What isn't a zone's name is passed over.
            (
                Some("EET-2EEST,M3.5.0/3"),
                None,
                link,
                Some("Europe/Berlin"),
            ),
            (Some(""), Some("Mars/Olympus"), link, Some("Europe/Berlin")),
            (None, Some(""), Some("/etc/some/file"), None),
            (None, None, None, None),
        ];
        for (variable, file, link, zone) in table {
            let got = name(variable, file, link);
            assert_eq!(got.as_deref(), zone, "{variable:?} {file:?} {link:?}");
        }
    }
}
