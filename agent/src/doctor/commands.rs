//! Whether what the configuration runs is there: the service, health checks, what goes before back-ups, the restart, and the
//! watchdog's device.

use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use super::{Finding, programs};
use crate::config::{Config, Probe, ServiceConfig, ServiceKind, Software};
use crate::install::Installer;
use crate::journal::Record;

const WATCHDOG: &str = "/dev/watchdog";

pub(super) fn examine(
    config: &Config,
    record: &Record,
    installer: Option<&dyn Installer>,
) -> Vec<Finding> {
    // Programs of a version can be looked for once there is one.
    let folder = record
        .installed
        .as_ref()
        .zip(installer)
        .map(|(installed, installer)| installer.folder(installed));
    let in_version = |about: &str, key: &str, argv: &[String]| {
        let place = place(argv, folder.as_deref())?;
        Some(programs::examine(about, key, argv, &place))
    };
    let mut findings = Vec::new();
    for (key, argv) in config.service().map(service_programs).unwrap_or_default() {
        findings.extend(in_version("service", key, &argv));
    }
    for (number, check) in config.health.check.iter().enumerate() {
        if let Ok(Probe::Command(argv)) = check.probe() {
            let about = format!("health check {}", number + 1);
            findings.extend(in_version(&about, "health.check.command", &argv));
        }
    }
    let root = Path::new("/");
    if let Some(argv) = &config.backup.before {
        findings.push(programs::examine("back-up", "backup.before", argv, root));
    }
    let may_restart = matches!(
        config.software(),
        Some(Software::Image(_) | Software::Module(_))
    );
    if may_restart {
        let argv = &config.restart.command;
        findings.push(programs::examine("restart", "restart.command", argv, root));
    }
    findings.extend(watchdog(Path::new(WATCHDOG)));
    findings
}

/// Returns the programs that a service needs, with the keys that name them.
fn service_programs(service: &ServiceConfig) -> Vec<(&'static str, Vec<String>)> {
    match service.kind.clone() {
        ServiceKind::Command(argv) => vec![("bundle.service.command", argv)],
        ServiceKind::Unit { .. } => {
            vec![("bundle.service.unit", vec!["systemctl".to_owned()])]
        }
        ServiceKind::Commands { start, stop, .. } => vec![
            ("bundle.service.start", start),
            ("bundle.service.stop", stop),
        ],
    }
}

/// Returns where a command's program is looked for; `None` for one of a version that isn't there yet.
fn place(argv: &[String], version: Option<&Path>) -> Option<PathBuf> {
    let name = argv.first().map(Path::new);
    let is_in_version = name
        .is_some_and(|name| name.is_relative() && name.components().count() > 1)
        || argv.first().is_some_and(|name| name.starts_with("./"));
    match version {
        Some(folder) => Some(folder.to_owned()),
        None if is_in_version => None,
        None => Some(PathBuf::from("/")),
    }
}

/// Tells whether a watchdog's device can be opened. It is not: that would start it.
fn watchdog(device: &Path) -> Option<Finding> {
    let shown = device.display();
    if !device.exists() {
        return None;
    }
    Some(match access(device, Access::WRITE_OK) {
        Ok(()) => Finding::ok("watchdog", format!("{shown} can be opened by this user")),
        Err(error) => Finding::warning(
            "watchdog",
            format!("{shown} can't be opened by this user: {error}"),
            "let the agent's user write to it (a udev rule), or leave feeding it to somebody else",
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    #[test]
    fn programs_of_a_version_wait_until_there_is_one() {
        let argv = |name: &str| vec![name.to_owned()];
        let version = Path::new("/opt/versions/1");
        for name in ["./run", "bin/run"] {
            assert_eq!(place(&argv(name), None), None);
            assert_eq!(place(&argv(name), Some(version)).unwrap(), version);
        }
        for name in ["run", "/bin/run"] {
            assert_eq!(place(&argv(name), None).unwrap(), Path::new("/"));
        }
    }

    #[test]
    fn a_watchdog_is_looked_at_and_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        let device = folder.path().join("watchdog");
        assert_eq!(watchdog(&device), None);
        std::fs::write(&device, "").unwrap();
        assert_eq!(watchdog(&device).unwrap().level, Level::Ok);
    }
}
