//! U-Boot's environment, by `fw_printenv` and `fw_setenv` of libubootenv.
//!
//! `otter_slot` is started from now on. `otter_try` is started once: with `upgrade_available=1` U-Boot counts `bootcount`, and
//! where that is over `bootlimit` runs `altbootcmd`, which boots `otter_slot`. Several variables are set by one call with a
//! script, which writes the environment once; with two copies of it on the device that is whole or not at all.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;

use super::{BootError, BootFlow, slot_of_kernel};
use crate::disk::RealDisk;
use crate::program;
use crate::service::Launch;

const DEADLINE: Duration = Duration::from_secs(30);

/// U-Boot with an environment that Linux can write.
#[derive(Debug)]
pub(super) struct Uboot {
    config: PathBuf,
}

impl Uboot {
    pub(super) fn new(config: &Path) -> Self {
        Self {
            config: config.to_owned(),
        }
    }

    async fn call(&self, program: &str, arguments: &[&str]) -> Result<String, BootError> {
        let config = self.config.to_string_lossy();
        let mut argv = vec![program, "-c", &config];
        argv.extend(arguments);
        let launch = Launch {
            argv: argv.into_iter().map(str::to_owned).collect(),
            folder: PathBuf::from("/"),
            env: Default::default(),
        };
        program::succeed(&launch, DEADLINE).await.map_err(|error| {
            BootError(format!(
                "U-Boot's environment can't be used: {error}. Install libubootenv-tool, and check {config}"
            ))
        })
    }

    /// Sets variables, where they are not so already; an empty value removes one.
    async fn set(&self, wanted: &[(&str, &str)]) -> Result<(), BootError> {
        let now = self.call("fw_printenv", &[]).await?;
        let value = |name: &str| {
            now.lines()
                .filter_map(|line| line.split_once('='))
                .find(|(other, _)| *other == name)
                .map_or("", |(_, value)| value)
        };
        if wanted.iter().all(|(name, wanted)| value(name) == *wanted) {
            return Ok(());
        }
        let script = self.script(wanted)?;
        self.call("fw_setenv", &["-s", &script.path.to_string_lossy()])
            .await
            .map(|_| ())
    }

    fn script(&self, wanted: &[(&str, &str)]) -> Result<Script, BootError> {
        let script = Script {
            path: std::env::temp_dir().join(format!("otter-fw-{}", std::process::id())),
        };
        let mut text = Vec::new();
        for (name, value) in wanted {
            // Writing to memory can't fail.
            writeln!(text, "{name}={value}").ok();
        }
        std::fs::write(&script.path, text).map_err(|error| {
            BootError(format!(
                "{} can't be written: {error}",
                script.path.display()
            ))
        })?;
        Ok(script)
    }
}

/// A file for `fw_setenv`, removed after it.
struct Script {
    path: PathBuf,
}

impl Drop for Script {
    fn drop(&mut self) {
        std::fs::remove_file(&self.path).ok();
    }
}

#[async_trait]
impl BootFlow for Uboot {
    async fn current(&self) -> Result<String, BootError> {
        slot_of_kernel(&RealDisk)
    }

    async fn try_once(&self, slot: &str) -> Result<(), BootError> {
        self.set(&[
            ("otter_try", slot),
            ("upgrade_available", "1"),
            ("bootcount", "0"),
        ])
        .await
    }

    async fn commit(&self, slot: &str) -> Result<(), BootError> {
        self.set(&[
            ("otter_slot", slot),
            ("otter_try", ""),
            ("upgrade_available", "0"),
            ("bootcount", "0"),
        ])
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: usize = 0x4000;

    /// A device with two copies of U-Boot's environment, as files.
    struct Device {
        folder: tempfile::TempDir,
        flow: Uboot,
    }

    fn device() -> Device {
        let folder = tempfile::tempdir().unwrap();
        let mut config = String::new();
        for copy in ["first", "second"] {
            let path = folder.path().join(copy);
            std::fs::write(&path, vec![0; LENGTH]).unwrap();
            config += &format!("{} 0x0 {LENGTH:#x}\n", path.display());
        }
        std::fs::write(folder.path().join("fw_env.config"), config).unwrap();
        std::fs::write(
            folder.path().join("default"),
            "otter_slot=a\nbootlimit=1\nbootcmd=run otter\n",
        )
        .unwrap();
        let device = Device {
            flow: Uboot::new(&folder.path().join("fw_env.config")),
            folder,
        };
        let default = device.path("default");
        device.tool("fw_setenv", &["-f", &default, "-s", &default]);
        device
    }

    impl Device {
        fn path(&self, name: &str) -> String {
            self.folder.path().join(name).to_string_lossy().into_owned()
        }

        fn tool(&self, program: &str, arguments: &[&str]) -> String {
            let output = std::process::Command::new(program)
                .args(["-c", &self.path("fw_env.config")])
                .args(arguments)
                .output()
                .expect("U-Boot's tools are missing: install libubootenv-tool");
            assert!(output.status.success(), "{output:?}");
            String::from_utf8(output.stdout).unwrap()
        }

        fn environment(&self) -> Vec<String> {
            let printed = self.tool("fw_printenv", &[]);
            let mut lines: Vec<String> = printed.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        }

        fn copies(&self) -> Vec<Vec<u8>> {
            let copies = ["first", "second"];
            copies
                .map(|copy| std::fs::read(self.path(copy)).unwrap())
                .to_vec()
        }
    }

    #[tokio::test]
    async fn a_try_is_set_in_one_copy_at_a_time_and_a_commit_ends_it() {
        let device = device();
        let before = device.copies();
        device.flow.try_once("b").await.unwrap();
        let tried = [
            "bootcmd=run otter",
            "bootcount=0",
            "bootlimit=1",
            "otter_slot=a",
            "otter_try=b",
            "upgrade_available=1",
        ];
        assert_eq!(device.environment(), tried);
        let after = device.copies();
        let changed = before.iter().zip(&after).filter(|(a, b)| a != b).count();
        assert_eq!(changed, 1, "the other copy is what a power cut leaves");
        // What is so already is not written.
        device.flow.try_once("b").await.unwrap();
        assert!(device.copies() == after);
        device.flow.commit("b").await.unwrap();
        let committed = [
            "bootcmd=run otter",
            "bootcount=0",
            "bootlimit=1",
            "otter_slot=b",
            "upgrade_available=0",
        ];
        assert_eq!(device.environment(), committed);
    }

    #[tokio::test]
    async fn without_an_environment_nothing_is_tried() {
        let flow = Uboot::new(Path::new("/nowhere/fw_env.config"));
        let error = flow.try_once("b").await.unwrap_err().to_string();
        assert!(error.contains("/nowhere/fw_env.config"), "{error}");
    }
}
