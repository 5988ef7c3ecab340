//! One running service.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, getpgid, kill_process_group, pidfd_open};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::process::Child;

use super::log::Log;
use super::{FINGERPRINT, Launch, ServiceFiles, slot};

/// A process that was started here, or by an agent before this one.
#[derive(Debug)]
pub(super) struct Process {
    pid: Pid,
    fingerprint: String,
    log: Log,
    started: Instant,
    handle: Handle,
}

#[derive(Debug)]
enum Handle {
    Child(Child),
    /// Not a child of this process: how it ends can be seen, but not with which status.
    Adopted(AsyncFd<OwnedFd>),
}

impl Process {
    /// Starts a service, alone.
    pub(super) async fn spawn(launch: &Launch, files: &ServiceFiles) -> io::Result<Self> {
        let slot = slot::acquire(&files.lock).await?;
        let (out, mut log) = Log::open(&files.log)?;
        log.trim()?;
        let (program, arguments) = launch
            .argv
            .split_first()
            .ok_or_else(|| io::Error::other("there is no program to run"))?;
        let fingerprint = launch.fingerprint();
        let child = crate::life::command(program)
            .args(arguments)
            .current_dir(&launch.folder)
            .envs(&launch.env)
            .env(FINGERPRINT, &fingerprint)
            .stdin(Stdio::from(slot))
            .stdout(Stdio::from(out.try_clone()?))
            .stderr(Stdio::from(out))
            .process_group(0)
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("{program}: {error}")))?;
        let pid = child
            .id()
            .and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?))
            .ok_or_else(|| io::Error::other("the service ended at once"))?;
        Ok(Self {
            pid,
            fingerprint,
            log,
            started: Instant::now(),
            handle: Handle::Child(child),
        })
    }

    /// Finds the service that an agent before this one left running.
    pub(super) fn adopt(files: &ServiceFiles) -> io::Result<Option<Self>> {
        for pid in slot::holders(&files.lock)? {
            let is_leader = getpgid(Some(pid)).is_ok_and(|group| group == pid);
            let (true, Some(fingerprint)) = (is_leader, fingerprint_of(pid)) else {
                continue;
            };
            let Ok(pidfd) = pidfd_open(pid, PidfdFlags::NONBLOCK) else {
                continue;
            };
            let begins = crate::disk::optional(fs::metadata(&files.log))?;
            return Ok(Some(Self {
                pid,
                fingerprint,
                log: Log::of_running(&files.log, begins.map_or(0, |facts| facts.len())),
                started: Instant::now(),
                handle: Handle::Adopted(watched(pidfd)?),
            }));
        }
        Ok(None)
    }

    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    /// Tells whether this is just what would be launched.
    pub(super) fn is(&self, launch: &Launch) -> bool {
        self.fingerprint == launch.fingerprint()
    }

    pub(super) fn log(&self) -> Log {
        self.log.clone()
    }

    pub(super) fn age(&self) -> Duration {
        self.started.elapsed()
    }

    pub(super) fn trim_log(&mut self) -> io::Result<()> {
        self.log.trim()
    }

    /// Waits for its end; the wait can be broken off and begun again.
    pub(super) async fn wait(&mut self) -> Option<ExitStatus> {
        match &mut self.handle {
            Handle::Child(child) => child.wait().await.ok(),
            Handle::Adopted(pidfd) => {
                // A process whose handle can't be watched is taken for gone: the slot finds it before another starts.
                pidfd.readable().await.ok();
                None
            }
        }
    }

    /// Stops it and all of its group.
    pub(super) async fn stop(mut self, grace: Duration) {
        self.signal(Signal::TERM);
        if tokio::time::timeout(grace, self.wait()).await.is_err() {
            tracing::warn!("the service did not stop within {grace:.1?} and is killed");
        }
        self.signal(Signal::KILL);
        self.wait().await;
    }

    /// Ends what is left of its group, and says how it ended itself.
    pub(super) fn epitaph(&self, status: Option<ExitStatus>) -> String {
        let lived = self.age().as_secs_f64();
        self.signal(Signal::KILL);
        let how = match status {
            None => "ended".to_owned(),
            Some(status) => match (status.code(), status.signal()) {
                (Some(code), _) => format!("exited with status {code}"),
                (None, Some(signal)) => format!("was killed by signal {signal}"),
                (None, None) => "ended".to_owned(),
            },
        };
        let words = self.log.last_words();
        let words = words.map(|words| format!(": {words}")).unwrap_or_default();
        format!("the service {how} within {lived:.1} s{words}")
    }

    fn signal(&self, signal: Signal) {
        // Nobody left in the group is what stopping wants.
        kill_process_group(self.pid, signal).ok();
    }
}

#[allow(
    deprecated,
    reason = "the call in its place is unsafe, for what an OwnedFd promises anyway"
)]
fn watched(pidfd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(pidfd, Interest::READABLE)
}

/// Reads from a process's environment which launch it was.
fn fingerprint_of(pid: Pid) -> Option<String> {
    let environment = fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero())).ok()?;
    environment.split(|byte| *byte == 0).find_map(|variable| {
        let text = std::str::from_utf8(variable).ok()?;
        let value = text.strip_prefix(FINGERPRINT)?.strip_prefix('=')?;
        Some(value.to_owned())
    })
}
