//! Who a rollout is for, and who not, as the command line writes it.

use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;
use otter_protocol::rollout::{Audience, Exclusions};
use otter_protocol::selector::Selector;
use otter_protocol::{DeviceId, GroupName, Share};

use crate::Failure;

/// Who it is for, among the devices of the release's models.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(super) struct AudienceArgs {
    /// Only members of this group.
    #[arg(long)]
    group: Option<GroupName>,
    /// Only devices that a selector takes in, such as `location=warehouse,function!=sensor`.
    #[arg(long)]
    selector: Option<Selector>,
    /// Only devices in this file, an id a line; `#` begins a comment.
    #[arg(long, value_name = "FILE")]
    devices_file: Option<PathBuf>,
    /// Only this share of devices.
    #[arg(long, value_name = "PERCENT")]
    percent: Option<Share>,
    /// Only one part of a split, such as `trial:0-50`; the same name always splits alike.
    #[arg(long, value_name = "NAME:FROM-UNTIL", value_parser = split)]
    split: Option<Audience>,
}

/// Who it is not for, whatever the audience says.
#[derive(Debug, Args)]
pub(super) struct ExclusionArgs {
    /// Leaves this device out; may be repeated.
    #[arg(long, value_name = "ID")]
    exclude_device: Vec<DeviceId>,
    /// Leaves the devices in this file out, an id a line; `#` begins a comment.
    #[arg(long, value_name = "FILE")]
    exclude_devices_file: Option<PathBuf>,
    /// Leaves this group's members out; may be repeated.
    #[arg(long, value_name = "GROUP")]
    exclude_group: Vec<GroupName>,
    /// Leaves out whatever this selector takes in.
    #[arg(long, value_name = "SELECTOR")]
    exclude_selector: Option<Selector>,
}

impl AudienceArgs {
    /// Returns the audience; `None` where nothing was said of one.
    pub(super) fn audience(&self) -> Result<Option<Audience>, Failure> {
        Ok(if let Some(group) = self.group.clone() {
            Some(Audience::Group { group })
        } else if let Some(selector) = self.selector.clone() {
            Some(Audience::Selector { selector })
        } else if let Some(share) = self.percent {
            Some(Audience::Percent { share })
        } else if let Some(path) = &self.devices_file {
            let devices = read_devices(path)?;
            Some(Audience::Devices { devices })
        } else {
            self.split.clone()
        })
    }
}

impl ExclusionArgs {
    /// Returns who is left out; `None` where nothing was said of it.
    pub(super) fn exclusions(&self) -> Result<Option<Exclusions>, Failure> {
        let mut devices = self.exclude_device.clone();
        if let Some(path) = &self.exclude_devices_file {
            devices.extend(read_devices(path)?);
        }
        let exclude = Exclusions {
            devices,
            groups: self.exclude_group.clone(),
            selector: self.exclude_selector.clone(),
        };
        Ok(Some(exclude).filter(|exclude| !exclude.is_empty()))
    }
}

/// Reads `trial:0-50`.
fn split(text: &str) -> Result<Audience, String> {
    let wrong = || format!("`{text}` is no part of a split; write NAME:0-50");
    let (salt, part) = text.rsplit_once(':').ok_or_else(wrong)?;
    let (from, until) = part.split_once('-').ok_or_else(wrong)?;
    let share = |text: &str| Share::from_str(text).map_err(|error| error.to_string());
    Ok(Audience::Split {
        salt: salt.trim().to_owned(),
        from: share(from)?,
        until: share(until)?,
    })
}

fn read_devices(path: &Path) -> Result<Vec<DeviceId>, Failure> {
    let text = fs::read_to_string(path).map_err(Failure::file(path))?;
    let ids = text.lines().enumerate().filter_map(|(place, line)| {
        let id = line.split('#').next().unwrap_or_default().trim();
        (!id.is_empty()).then(|| {
            DeviceId::from_str(id).map_err(|error| {
                Failure::Refused(format!("{}:{}: {error}", path.display(), place + 1))
            })
        })
    });
    ids.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listed_devices_are_read_and_bad_lines_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("devices");
        fs::write(&path, "pump-1 # by the door\n\n# all others\npump-2\n").unwrap();
        let ids = read_devices(&path).unwrap();
        assert_eq!(
            ids,
            ["pump-1", "pump-2"].map(|id| DeviceId::new(id).unwrap())
        );

        fs::write(&path, format!("pump-1\n{}\n", "x".repeat(200))).unwrap();
        let error = read_devices(&path).unwrap_err().to_string();
        assert!(error.contains("devices:2:"), "{error}");
    }

    #[test]
    fn a_part_of_a_split_is_named_with_its_shares() {
        let part = split("spring trial:50-100").unwrap();
        let share = |percent| Share::percent(percent).unwrap();
        assert_eq!(
            part,
            Audience::Split {
                salt: "spring trial".to_owned(),
                from: share(50.0),
                until: share(100.0)
            }
        );
        for (bad, expected) in [("trial", "NAME:0-50"), ("trial:0-500", "0 to 100")] {
            let error = split(bad).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
