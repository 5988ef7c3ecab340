//! Child processes: in the foreground until they end, or in the background until they are dropped.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process_group};

/// How long a child may take to stop when asked, before it is killed.
const GRACE: Duration = Duration::from_secs(10);

/// What must not outlive this process.
struct Leftovers {
    /// The foreground child: it shares the terminal's process group, so Ctrl-C reaches it anyway, but SIGTERM doesn't.
    foreground: Option<Pid>,
    groups: Vec<(Pid, Signal)>,
    folders: Vec<PathBuf>,
    /// Folders whose programs must not outlive this process, whoever started them.
    programs: Vec<PathBuf>,
}

static LEFTOVERS: Mutex<Leftovers> = Mutex::new(Leftovers {
    foreground: None,
    groups: Vec::new(),
    folders: Vec::new(),
    programs: Vec::new(),
});

fn leftovers() -> MutexGuard<'static, Leftovers> {
    LEFTOVERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes Ctrl-C, SIGTERM and SIGHUP stop every background child and delete every [`Scratch`] folder before this process ends
/// with status 130.
pub(crate) fn stop_children_on_interrupt() -> Result<()> {
    ctrlc::set_handler(|| {
        eprintln!("\nstopping");
        let left = leftovers();
        if let Some(child) = left.foreground {
            let _ = rustix::process::kill_process(child, Signal::TERM);
        }
        for (group, signal) in &left.groups {
            let _ = kill_process_group(*group, *signal);
        }
        let deadline = Instant::now() + GRACE;
        for (group, _) in &left.groups {
            while rustix::process::test_kill_process_group(*group).is_ok()
                && Instant::now() < deadline
            {
                // Whoever waits on the child in the main thread reaps it; here only its group can be asked.
                let _ =
                    rustix::process::waitpid(Some(*group), rustix::process::WaitOptions::NOHANG);
                std::thread::sleep(Duration::from_millis(20));
            }
            let _ = kill_process_group(*group, Signal::KILL);
        }
        for folder in &left.programs {
            kill_programs_in(folder);
        }
        for folder in &left.folders {
            let _ = std::fs::remove_dir_all(folder);
        }
        std::process::exit(130);
    })
    .context("cannot listen for Ctrl-C")
}

/// Makes Ctrl-C, SIGTERM and SIGHUP kill every process whose program lies in `folder`, too.
pub(crate) fn kill_on_interrupt(folder: &Path) {
    leftovers().programs.push(folder.to_owned());
}

/// Kills every process whose program lies in `folder`, and waits until they are gone: a child of a child that was killed lives
/// on in a group that nobody here knows.
pub(crate) fn kill_programs_in(folder: &Path) {
    let deadline = Instant::now() + GRACE;
    loop {
        let running = programs_in(folder);
        if running.is_empty() || Instant::now() >= deadline {
            return;
        }
        for process in running {
            let _ = rustix::process::kill_process(process, Signal::KILL);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Processes whose program lies in `folder`; a zombie has none any more.
fn programs_in(folder: &Path) -> Vec<Pid> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    let found = entries.flatten().filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let program = std::fs::read_link(entry.path().join("exe")).ok()?;
        program.starts_with(folder).then(|| Pid::from_raw(pid))?
    });
    found.collect()
}

/// A temporary folder that goes when it is dropped, and on Ctrl-C.
pub(crate) struct Scratch(tempfile::TempDir);

impl Scratch {
    /// Makes an empty folder in the system's temporary folder.
    pub(crate) fn new(name: &str) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix(&format!("otter-{name}-"))
            .tempdir()
            .context("cannot make a temporary folder")?;
        leftovers().folders.push(folder.path().to_owned());
        Ok(Self(folder))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        leftovers().folders.retain(|folder| folder != self.0.path());
    }
}

/// A background child in a process group of its own, with its output in a log file. Dropping it stops the whole group.
pub(crate) struct Background {
    child: Child,
    name: String,
    log: PathBuf,
    stop_signal: Signal,
}

impl Background {
    /// Starts `command`, its output going to the end of `log`.
    pub(crate) fn start(name: &str, command: &mut Command, log: &Path) -> Result<Self> {
        let output = File::options()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("cannot write {}", log.display()))?;
        let child = command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("cannot start {}", command.get_program().display()))?;
        leftovers()
            .groups
            .push((Pid::from_child(&child), Signal::TERM));
        Ok(Self {
            child,
            name: name.to_owned(),
            log: log.to_owned(),
            stop_signal: Signal::TERM,
        })
    }

    /// Makes `signal`, in place of SIGTERM, what asks it to stop.
    pub(crate) fn stopped_by(mut self, signal: Signal) -> Self {
        let group = self.group();
        for (other, stop_signal) in &mut leftovers().groups {
            if *other == group {
                *stop_signal = signal;
            }
        }
        self.stop_signal = signal;
        self
    }

    /// Waits until `ready` answers true, and fails with the end of the log when the child ends before, or after `limit`.
    pub(crate) fn wait_until(
        &mut self,
        what: &str,
        limit: Duration,
        mut ready: impl FnMut() -> bool,
    ) -> Result<()> {
        let deadline = Instant::now() + limit;
        while !ready() {
            if let Some(status) = self.child.try_wait()? {
                bail!(
                    "{} ended ({status}) before it {what}; its last words:\n{}",
                    self.name,
                    self.last_words()
                );
            }
            ensure!(
                Instant::now() < deadline,
                "{} has not {what} after {} s; its last words:\n{}",
                self.name,
                limit.as_secs(),
                self.last_words()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// The most memory that it has held at once, in bytes, by the kernel's count.
    pub(crate) fn peak_memory(&self) -> Result<u64> {
        let path = format!("/proc/{}/status", self.child.id());
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        let peak = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = peak.and_then(|peak| peak.trim().strip_suffix("kB"));
        let kib: u64 = kib
            .and_then(|kib| kib.trim().parse().ok())
            .with_context(|| format!("{path} has no VmHWM"))?;
        Ok(kib << 10)
    }

    /// Sends a signal to the whole group; SIGKILL is how a test crashes it.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        kill_process_group(self.group(), signal)
            .with_context(|| format!("cannot signal {}", self.name))
    }

    /// Waits until it has ended by itself or by a signal.
    pub(crate) fn wait(&mut self) {
        let _ = self.child.wait();
    }

    /// Fails with its last words where it has ended.
    pub(crate) fn ensure_alive(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!(
                "{} ended ({status}); its last words:\n{}\nAll of its log is in {}",
                self.name,
                self.last_words(),
                self.log.display()
            ),
        }
    }

    /// The last lines of its log.
    pub(crate) fn last_words(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines
            .get(lines.len().saturating_sub(20)..)
            .unwrap_or_default()
            .join("\n")
    }

    fn group(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    fn stop(&mut self) {
        // A group that is gone already can't be signalled, and need not be.
        let _ = self.signal(self.stop_signal);
        let deadline = Instant::now() + GRACE;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.signal(Signal::KILL);
        let _ = self.child.wait();
        let group = self.group();
        leftovers().groups.retain(|(other, _)| *other != group);
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Runs a command in the foreground, its output passing through, and fails when it does.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = status(command)?;
    ensure!(
        status.success(),
        "`{}` failed ({status})",
        describe(command)
    );
    Ok(())
}

/// Runs a command in the foreground and returns how it ended.
pub(crate) fn status(command: &mut Command) -> Result<ExitStatus> {
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot run `{}`", describe(command)))?;
    leftovers().foreground = Some(Pid::from_child(&child));
    let status = child.wait();
    leftovers().foreground = None;
    status.with_context(|| format!("cannot wait for `{}`", describe(command)))
}

/// Runs a command and returns what it wrote to standard output, trimmed.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("cannot run `{}`", describe(command)))?;
    ensure!(
        output.status.success(),
        "`{}` failed ({}): {}",
        describe(command),
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// A port of 127.0.0.1 that nobody listens on at this moment.
pub(crate) fn free_port() -> Result<u16> {
    let listener =
        std::net::TcpListener::bind(("127.0.0.1", 0)).context("cannot find a free port")?;
    Ok(listener.local_addr()?.port())
}

/// A free port of 127.0.0.1 for a server that is stopped and started again on it: below those that the system gives to outgoing
/// connections, one of which could take it in between.
pub(crate) fn lasting_port() -> Result<u16> {
    const PORTS: std::ops::Range<u16> = 20_000..32_000;
    let (least, count) = (PORTS.start, u32::from(PORTS.end - PORTS.start));
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    for _ in 0..count {
        // Two runs at the same time begin at different places.
        let turn = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let place = (std::process::id().wrapping_mul(37).wrapping_add(turn)) % count;
        let port = least + u16::try_from(place)?;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no port of 127.0.0.1 from {least} on is free")
}

/// Whether a program of this name is in `PATH`.
pub(crate) fn in_path(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
    })
}

fn describe(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(OsStr::to_string_lossy)
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests;
