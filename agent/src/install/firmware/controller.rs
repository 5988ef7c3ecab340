//! The controller: flashed, read out, and asked for its version by programs of others.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use otter_protocol::Version;
use tokio::time::Instant;

use super::super::exclusive::Exclusive;
use crate::config::FirmwareConfig;
use crate::service::Launch;

/// Longest version that makes sense, in bytes.
const LONGEST_VERSION: usize = 256;

/// The programs that speak to the controller.
#[derive(Debug)]
pub(super) struct Controller {
    pub(super) config: FirmwareConfig,
    pub(super) env: BTreeMap<String, String>,
    /// One program speaks to it at a time.
    pub(super) exclusive: Exclusive,
}

impl Controller {
    /// Flashes a file.
    pub(super) async fn flash(&self, file: &Path, version: &Version) -> Result<(), String> {
        let argv = filled(
            &self.config.flash,
            &[
                ("{artifact}", &shown(file)),
                ("{version}", version.as_str()),
            ],
        );
        self.run("flash", argv, Some(version), self.config.flash_timeout())
            .await
            .map(|_| ())
    }

    /// Reads what it runs into a file.
    pub(super) async fn read_out(&self, argv: &[String], file: &Path) -> Result<(), String> {
        let argv = filled(argv, &[("{file}", &shown(file))]);
        self.run("read_out", argv, None, self.config.flash_timeout())
            .await
            .map(|_| ())
    }

    /// Asks for its version, once.
    pub(super) async fn version(&self) -> Result<Version, String> {
        let argv = self.config.read_version.clone();
        let printed = self
            .run("read_version", argv, None, self.config.read_timeout())
            .await?;
        match printed.trim() {
            "" => Err("`firmware.read_version` printed nothing".to_owned()),
            long if long.len() > LONGEST_VERSION => Err(format!(
                "`firmware.read_version` printed {} bytes, and a version has at most {LONGEST_VERSION}",
                long.len()
            )),
            version => Ok(version.into()),
        }
    }

    /// Asks for its version until that is the one that is wanted, or any without one, as long as a controller may take to be
    /// up again.
    pub(super) async fn version_until(&self, wanted: Option<&Version>) -> Result<Version, String> {
        let deadline = Instant::now() + self.config.read_back();
        loop {
            let why = match (self.version().await, wanted) {
                (Ok(version), None) => return Ok(version),
                (Ok(version), Some(wanted)) if version == *wanted => return Ok(version),
                (Ok(version), Some(wanted)) => {
                    format!("the controller says that it runs {version}, not {wanted}")
                }
                (Err(why), _) => why,
            };
            if Instant::now() + self.config.read_interval() > deadline {
                return Err(format!(
                    "{why}, {:?} after it was first asked",
                    self.config.read_back()
                ));
            }
            tokio::time::sleep(self.config.read_interval()).await;
        }
    }

    async fn run(
        &self,
        key: &str,
        argv: Vec<String>,
        version: Option<&Version>,
        deadline: Duration,
    ) -> Result<String, String> {
        let mut env = self.env.clone();
        if let Some(version) = version {
            env.insert("OTTER_VERSION".to_owned(), version.to_string());
        }
        let launch = Launch {
            argv,
            folder: "/".into(),
            env,
        };
        let outcome = self.exclusive.run(&launch, deadline).await;
        outcome
            .and_then(|outcome| outcome.success())
            .map_err(|error| format!("`firmware.{key}` failed: {error}"))
    }
}

fn shown(file: &Path) -> String {
    file.to_string_lossy().into_owned()
}

/// Puts values where a command has their names. What is put in is not looked through again.
fn filled(argv: &[String], values: &[(&str, &str)]) -> Vec<String> {
    argv.iter()
        .map(|word| {
            let (mut filled, mut rest) = (String::new(), word.as_str());
            while let Some(next) = rest.chars().next() {
                match values.iter().find(|(name, _)| rest.starts_with(name)) {
                    Some((name, value)) => {
                        filled.push_str(value);
                        rest = rest.get(name.len()..).unwrap_or_default();
                    }
                    None => {
                        filled.push(next);
                        rest = rest.get(next.len_utf8()..).unwrap_or_default();
                    }
                }
            }
            filled
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_wherever_they_stand_and_once() {
        let argv = ["flash:w:{artifact}:r", "v{version}ö", "{other}", "{"].map(str::to_owned);
        let values = [("{artifact}", "/a/{version}.bin"), ("{version}", "1.2")];
        let words = ["flash:w:/a/{version}.bin:r", "v1.2ö", "{other}", "{"];
        assert_eq!(filled(&argv, &values), words);
    }
}
