//! systemd's notification protocol (sd_notify(3)): datagrams of `KEY=value` lines to the socket that systemd named.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::Watchdog;
use crate::history::Ended;
use crate::journal::Attempt;
use crate::observer::Observer;

/// How long a systemd that is busy is waited for: it takes few messages at a time.
const PATIENCE: Duration = Duration::from_secs(1);
/// In how many steps a download is told.
const STEPS: u64 = 10;
/// Nothing is being downloaded.
const NONE: u64 = u64::MAX;

/// Tells systemd how the agent gets on.
#[derive(Debug)]
pub struct Notifier {
    socket: UnixDatagram,
    systemd: SocketAddr,
    /// What the attempt under way is called.
    attempt: Mutex<String>,
    /// How much of a download was told, in steps.
    told: AtomicU64,
}

impl Notifier {
    /// Takes the socket that systemd put into the environment, where it did.
    pub fn of_environment() -> Option<Self> {
        let name = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty())?;
        Self::to(&name)
            .inspect_err(|error| {
                tracing::warn!("systemd can't be told anything, by {name:?}: {error}");
            })
            .ok()
    }

    /// Takes a socket by its path, or by its name in the abstract namespace, with an `@` before it.
    pub fn to(name: &OsStr) -> io::Result<Self> {
        let systemd = match name.as_bytes().split_first() {
            Some((b'@', abstract_name)) => SocketAddr::from_abstract_name(abstract_name)?,
            _ => SocketAddr::from_pathname(name)?,
        };
        let socket = UnixDatagram::unbound()?;
        // One that doesn't listen must not hold up an update.
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(Self {
            socket,
            systemd,
            attempt: Mutex::default(),
            told: AtomicU64::new(NONE),
        })
    }

    fn send(&self, text: &str) -> io::Result<()> {
        self.socket.send_to_addr(text.as_bytes(), &self.systemd)?;
        Ok(())
    }

    /// Says something that is good to know, but that nothing hangs on.
    fn tell(&self, text: &str) {
        if let Err(error) = self.send(text) {
            tracing::debug!("systemd isn't told `{text}`: {error}");
        }
    }

    fn status(&self, status: &str) {
        // A line's end would begin another key.
        let line: String = status.chars().filter(|c| !c.is_control()).collect();
        self.tell(&format!("STATUS={line}"));
    }
}

impl Observer for Notifier {
    fn booted(&self) {
        self.tell("READY=1");
    }

    fn idle(&self) {
        let last = self.attempt.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_empty() {
            self.status("idle");
        } else {
            self.status(&format!("idle; {last}"));
        }
    }

    fn step_begun(&self, attempt: &Attempt) {
        self.told.store(NONE, Ordering::Relaxed);
        let name = name(attempt.offer.attempt, &attempt.offer.version);
        let status = format!("{name}: {}", attempt.step);
        self.status(&status);
        *self.attempt.lock().unwrap_or_else(PoisonError::into_inner) = status;
    }

    fn bytes_taken(&self, taken: u64, total: u64) {
        let steps = taken.saturating_mul(STEPS).checked_div(total);
        let steps = steps.unwrap_or(STEPS);
        if self.told.swap(steps, Ordering::Relaxed) != steps {
            let doing = self.attempt.lock().unwrap_or_else(PoisonError::into_inner);
            self.status(&format!("{doing}, {} %", steps * 100 / STEPS));
        }
    }

    fn attempt_ended(&self, ended: &Ended) {
        let name = name(ended.offer.attempt, &ended.offer.version);
        let status = format!("{name}: {}", ended.outcome);
        self.status(&status);
        *self.attempt.lock().unwrap_or_else(PoisonError::into_inner) = status;
    }

    fn stopping(&self) {
        self.tell("STOPPING=1");
    }
}

fn name(attempt: otter_protocol::AttemptId, version: &otter_protocol::Version) -> String {
    format!("attempt {attempt}, version {version}")
}

/// systemd's watchdog, which kills a service that hangs.
#[derive(Debug)]
pub struct SystemdWatchdog {
    notifier: Arc<Notifier>,
    interval: Duration,
}

impl SystemdWatchdog {
    /// Takes the watchdog that systemd put into the environment for this process, where it did.
    pub fn of_environment(notifier: Arc<Notifier>) -> Option<Self> {
        let limit = std::env::var("WATCHDOG_USEC").ok();
        let pid = std::env::var("WATCHDOG_PID").ok();
        let interval = interval(limit.as_deref(), pid.as_deref(), std::process::id())?;
        Some(Self { notifier, interval })
    }

    /// Feeds so often.
    pub fn new(notifier: Arc<Notifier>, interval: Duration) -> Self {
        Self { notifier, interval }
    }
}

/// Returns how often to feed, from the watchdog's limit: well within half of it, as systemd advises.
fn interval(limit: Option<&str>, pid: Option<&str>, own_pid: u32) -> Option<Duration> {
    let is_ours = pid.is_none_or(|pid| pid.parse() == Ok(own_pid));
    let limit = limit?.parse().ok().filter(|limit| *limit > 0)?;
    is_ours.then_some(Duration::from_micros(limit).div_f64(3.0))
}

impl Watchdog for SystemdWatchdog {
    fn interval(&self) -> Duration {
        self.interval
    }

    fn feed(&mut self) -> io::Result<()> {
        self.notifier.send("WATCHDOG=1")
    }

    fn dismiss(&mut self) -> io::Result<()> {
        // systemd waits for a service that stops, and keeps another time for that.
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Step;
    use crate::testing;

    #[test]
    fn it_is_fed_well_within_half_of_its_limit_by_whom_it_is_for() {
        let sec = |sec| Some(Duration::from_secs(sec));
        let table = [
            (Some("30000000"), None, sec(10)),
            (Some("30000000"), Some("7"), sec(10)),
            (Some("30000000"), Some("8"), None),
            (Some("30000000"), Some("x"), None),
            (Some("0"), None, None),
            (Some("soon"), None, None),
            (None, Some("7"), None),
        ];
        for (limit, pid, expected) in table {
            assert_eq!(interval(limit, pid, 7), expected, "{limit:?} {pid:?}");
        }
    }

    fn heard(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 4096];
        let len = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..len].to_vec()).unwrap()
    }

    fn story(socket: &UnixDatagram, notifier: &Notifier) {
        socket
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        let attempt = testing::attempt(Step::Downloading);
        notifier.booted();
        notifier.idle();
        notifier.step_begun(&attempt);
        for taken in [0, 1, 99, 599, 600] {
            notifier.bytes_taken(taken, 1000);
        }
        notifier.step_begun(&testing::attempt(Step::HealthCheck));
        notifier.stopping();
        let story = [
            "READY=1",
            "STATUS=idle",
            "STATUS=attempt 7, version 2.0.0: downloading",
            "STATUS=attempt 7, version 2.0.0: downloading, 0 %",
            "STATUS=attempt 7, version 2.0.0: downloading, 50 %",
            "STATUS=attempt 7, version 2.0.0: downloading, 60 %",
            "STATUS=attempt 7, version 2.0.0: health check",
            "STOPPING=1",
        ];
        for line in story {
            assert_eq!(heard(socket), line);
        }
    }

    #[test]
    fn systemd_is_told_by_a_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        story(&socket, &Notifier::to(path.as_os_str()).unwrap());
    }

    #[test]
    fn systemd_is_told_by_an_abstract_name() {
        let name = format!("otter-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let socket = UnixDatagram::bind_addr(&address).unwrap();
        let name = format!("@{name}");
        story(&socket, &Notifier::to(OsStr::new(&name)).unwrap());
    }

    #[test]
    fn a_systemd_that_is_gone_or_does_not_listen_holds_up_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let notifier = Arc::new(Notifier::to(path.as_os_str()).unwrap());
        notifier.booted();
        let mut watchdog = SystemdWatchdog::new(notifier.clone(), Duration::from_secs(1));
        assert!(watchdog.feed().is_err());
        let _deaf = UnixDatagram::bind(&path).unwrap();
        // It has room for some.
        let begun = std::time::Instant::now();
        while watchdog.feed().is_ok() {
            assert!(begun.elapsed() < Duration::from_secs(60));
        }
    }
}
