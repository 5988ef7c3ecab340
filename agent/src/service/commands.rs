//! A service that somebody else keeps running, who is told by two programs. Nobody sees whether it runs.

use std::io;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use super::{Launch, Run, Service, Status, Trial};
use crate::program;

/// Two programs of the user's.
#[derive(Debug)]
pub(super) struct Commands {
    pub(super) start: Vec<String>,
    pub(super) stop: Vec<String>,
    pub(super) timeout: Duration,
}

impl Commands {
    async fn call(&self, argv: &[String], run: &Run) -> io::Result<()> {
        let launch = Launch::new(argv, &run.folder, &run.version, &run.env);
        program::succeed(&launch, self.timeout)
            .await
            .map(|_| ())
            .map_err(io::Error::other)
    }
}

#[async_trait]
impl Service for Commands {
    async fn start(&self, run: Run, _: Trial) -> io::Result<()> {
        self.call(&self.start, &run).await
    }

    fn trust(&self) {}

    async fn stop(&self, run: Option<Run>) -> io::Result<()> {
        match run {
            Some(run) => self.call(&self.stop, &run).await,
            // There never was a version to start.
            None => Ok(()),
        }
    }

    fn outlives_agent(&self) -> bool {
        true
    }

    fn status(&self) -> Option<watch::Receiver<Status>> {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn commands(start: &str, stop: &str) -> Commands {
        let shell = |script: &str| ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
        Commands {
            start: shell(start),
            stop: shell(stop),
            timeout: Duration::from_secs(30),
        }
    }

    fn run(folder: &Path) -> Run {
        Run {
            version: "2.0.0".into(),
            folder: folder.to_owned(),
            env: [("OUT".to_owned(), "said".to_owned())].into(),
        }
    }

    #[tokio::test]
    async fn they_run_in_the_versions_folder_and_are_told_which_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let commands = commands(
            "echo start $OTTER_VERSION >> $OUT",
            "echo stop $OTTER_VERSION >> $OUT",
        );
        let run = run(folder.path());
        commands.start(run.clone(), Trial::OnTrial).await.unwrap();
        commands.stop(Some(run)).await.unwrap();
        commands.stop(None).await.unwrap();
        let said = std::fs::read_to_string(folder.path().join("said")).unwrap();
        assert_eq!(said, "start 2.0.0\nstop 2.0.0\n");
    }

    #[tokio::test]
    async fn one_that_fails_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let commands = commands("echo no otters >&2; exit 2", "exit 3");
        let run = run(folder.path());
        let error = commands.start(run.clone(), Trial::Trusted).await;
        let error = error.unwrap_err().to_string();
        assert!(error.ends_with("exit status: 2: no otters"), "{error}");
        let error = commands.stop(Some(run)).await.unwrap_err().to_string();
        assert!(error.ends_with("exit status: 3"), "{error}");
    }
}
