//! A service that the agent itself keeps running.

use std::io;

use async_trait::async_trait;
use tokio::sync::watch;

use super::{Launch, Run, Service, ServiceFiles, Status, Supervisor, Trial};
use crate::config::ServiceConfig;

/// A command under the supervisor.
#[derive(Debug)]
pub(super) struct Supervised {
    command: Vec<String>,
    supervisor: Supervisor,
}

impl Supervised {
    pub(super) fn begin(
        command: Vec<String>,
        config: ServiceConfig,
        files: ServiceFiles,
    ) -> io::Result<Self> {
        Ok(Self {
            command,
            supervisor: Supervisor::begin(config, files)?,
        })
    }
}

#[async_trait]
impl Service for Supervised {
    async fn start(&self, run: Run, trial: Trial) -> io::Result<()> {
        let launch = Launch::new(&self.command, &run.folder, &run.version, &run.env);
        self.supervisor.start(launch, trial).await
    }

    fn trust(&self) {
        self.supervisor.trust();
    }

    async fn stop(&self, _: Option<Run>) -> io::Result<()> {
        self.supervisor.stop().await
    }

    fn outlives_agent(&self) -> bool {
        false
    }

    fn output(&self) -> Vec<String> {
        self.supervisor.output()
    }

    fn status(&self) -> Option<watch::Receiver<Status>> {
        Some(self.supervisor.status())
    }
}
