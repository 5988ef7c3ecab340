//! A program of the user's that speaks to the boot loader: `current` prints the slot that runs, `try SLOT` has it started
//! once, `commit SLOT` for good. Exit status 0 is success.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;

use super::{BootError, BootFlow};
use crate::program;
use crate::service::Launch;

/// A program of the user's.
#[derive(Debug)]
pub(super) struct Command {
    argv: Vec<String>,
    deadline: Duration,
}

impl Command {
    pub(super) fn new(argv: Vec<String>, deadline: Duration) -> Self {
        Self { argv, deadline }
    }

    async fn call(&self, arguments: &[&str]) -> Result<String, BootError> {
        let mut argv = self.argv.clone();
        argv.extend(arguments.iter().map(|word| (*word).to_owned()));
        let launch = Launch {
            argv,
            folder: PathBuf::from("/"),
            env: Default::default(),
        };
        program::succeed(&launch, self.deadline)
            .await
            .map_err(|error| BootError(format!("the boot loader can't be told: {error}")))
    }
}

#[async_trait]
impl BootFlow for Command {
    async fn current(&self) -> Result<String, BootError> {
        let printed = self.call(&["current"]).await?;
        Ok(printed.trim().to_owned())
    }

    async fn try_once(&self, slot: &str) -> Result<(), BootError> {
        self.call(&["try", slot]).await.map(|_| ())
    }

    async fn commit(&self, slot: &str) -> Result<(), BootError> {
        self.call(&["commit", slot]).await.map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_program_is_called_with_what_is_wanted_and_its_words_are_passed_on() {
        let folder = tempfile::tempdir().unwrap();
        let said = folder.path().join("said");
        let script = format!(
            "case $1 in current) echo a;; commit) echo broken flash >&2; exit 7;; *) echo $* > {};; esac",
            said.display()
        );
        let argv = ["/bin/sh", "-c", &script, "boot"].map(str::to_owned);
        let flow = Command::new(argv.to_vec(), Duration::from_secs(30));
        assert_eq!(flow.current().await.unwrap(), "a");
        flow.try_once("b").await.unwrap();
        assert_eq!(std::fs::read_to_string(&said).unwrap(), "try b\n");
        let error = flow.commit("b").await.unwrap_err().to_string();
        assert!(error.ends_with("exit status: 7: broken flash"), "{error}");
    }
}
