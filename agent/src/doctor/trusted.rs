//! Whether there is a root to trust, and for how long.

use std::path::Path;

use otter_trust::Root;

use super::Finding;
use crate::config::Config;
use crate::disk::{self, Disk};

const ABOUT: &str = "root metadata";
const LARGEST: u64 = 256 << 10;
/// A root that ends within this time should have a successor.
const SOON: jiff::SignedDuration = jiff::SignedDuration::from_hours(30 * 24);

/// Looks at the roots that were kept and pinned.
pub(super) fn examine(disk: &dyn Disk, config: &Config, now: jiff::Timestamp) -> Vec<Finding> {
    let kept = read(disk, &config.state_dir.join("trust/root.json"));
    let pinned = match &config.root_metadata {
        Some(path) => read(disk, path).and_then(|root| match root {
            Some(root) => Ok(Some(root)),
            None => Err(format!("{} is not there", path.display())),
        }),
        None => Ok(None),
    };
    let mut findings = Vec::new();
    let mut roots = Vec::new();
    for root in [kept, pinned] {
        match root {
            Ok(root) => roots.extend(root),
            Err(why) => findings.push(Finding::problem(
                ABOUT,
                why,
                "put the publishers' current root metadata there, and name it in `root_metadata`",
            )),
        }
    }
    let newest = roots.into_iter().max_by_key(|root| root.version);
    match newest {
        Some(root) => findings.push(judged(&root, now)),
        None if findings.is_empty() => findings.push(Finding::warning(
            ABOUT,
            "there is none, so that the first root that the server gives will be trusted",
            "bring the publishers' root metadata with the device, and name it in `root_metadata`",
        )),
        None => {}
    }
    findings
}

fn read(disk: &dyn Disk, path: &Path) -> Result<Option<Root>, String> {
    let bytes = disk::read(disk, path, LARGEST)
        .map_err(|error| format!("{} can't be read: {error}", path.display()))?;
    let root = bytes.map(|bytes| Root::parse(&bytes)).transpose();
    root.map_err(|error| format!("{} is no root metadata: {error}", path.display()))
}

fn judged(root: &Root, now: jiff::Timestamp) -> Finding {
    let text = format!("version {}, good until {}", root.version, root.expires);
    let mend = "publish a new root with `otter`, signed by the publishers' root keys; devices fetch it by themselves";
    if root.expires < now {
        let text = format!("version {} expired at {}", root.version, root.expires);
        Finding::problem(ABOUT, text, mend)
    } else if root.expires.duration_since(now) < SOON {
        Finding::warning(ABOUT, text, mend)
    } else {
        Finding::ok(ABOUT, text)
    }
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};
    use otter_trust::{RoleKeys, SecretKey};

    use super::*;
    use crate::doctor::Level;

    #[test]
    fn a_root_is_judged_by_the_rest_of_its_life() {
        let keys = || RoleKeys::new([SecretKey::from_seed(&[1; 32]).public()], 1);
        let root = Root {
            version: 3,
            expires: Timestamp::UNIX_EPOCH,
            root: keys(),
            targets: keys(),
            snapshot: keys(),
            timestamp: keys(),
        };
        let hour = SignedDuration::from_hours(1);
        let table = [
            (hour, Level::Problem),
            (-hour, Level::Warning),
            (-SOON, Level::Ok),
        ];
        for (since, level) in table {
            let finding = judged(&root, Timestamp::UNIX_EPOCH + since);
            assert_eq!(finding.level, level, "{finding:?}");
        }
    }
}
