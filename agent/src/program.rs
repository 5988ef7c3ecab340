//! Programs of others that are run to their end: in a group of their own, for a bounded time, with bounded output.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::service::{Launch, last_line};

/// How much of a program's output is kept from its beginning, in bytes.
const MOST_OUTPUT: usize = 64 << 10;
/// How much of it is kept from its end: its last words are there.
const LAST_OUTPUT: usize = 4 << 10;

/// What a program came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// How it ended.
    pub(crate) status: ExitStatus,
    /// The beginning of what it printed.
    pub(crate) stdout: Vec<u8>,
    /// The last line that it complained with, or printed.
    pub(crate) words: Option<String>,
}

impl Outcome {
    /// Returns what it printed where it ended well, and otherwise how it ended, with its words.
    pub(crate) fn success(self) -> Result<String, String> {
        if self.status.success() {
            return Ok(String::from_utf8_lossy(&self.stdout).into_owned());
        }
        let words = self.words.map(|words| format!(": {words}"));
        Err(format!("{}{}", self.status, words.unwrap_or_default()))
    }
}

/// Ends a program's whole group when it is dropped: one that takes too long leaves nothing behind.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            // Nobody left is what is wanted.
            kill_process_group(pid, Signal::KILL).ok();
        }
    }
}

/// Runs a program to its end, and returns how it ended.
pub(crate) async fn run(launch: &Launch) -> io::Result<Outcome> {
    run_on(launch, Stdio::null()).await
}

/// Runs a program to its end on a standard input of its own, and returns how it ended.
pub(crate) async fn run_on(launch: &Launch, input: Stdio) -> io::Result<Outcome> {
    let (program, arguments) = launch
        .argv
        .split_first()
        .ok_or_else(|| io::Error::other("there is no program to run"))?;
    let mut child = crate::life::command(program)
        .args(arguments)
        .current_dir(&launch.folder)
        .envs(&launch.env)
        .stdin(input)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(|error| io::Error::new(error.kind(), format!("{program}: {error}")))?;
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
    let _group = Group(pid.and_then(Pid::from_raw));
    let (mut out, mut err) = (Bounded::default(), Bounded::default());
    let status = {
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        // What a program leaves running may hold its output open for ever.
        let outputs = async { tokio::join!(read(stdout, &mut out), read(stderr, &mut err)) };
        tokio::pin!(outputs);
        tokio::select! {
            _ = &mut outputs => child.wait().await?,
            status = child.wait() => {
                // What came until then is kept in any case.
                tokio::time::timeout(LAST_MOMENTS, outputs).await.ok();
                status?
            }
        }
    };
    Ok(Outcome {
        status,
        words: last_line(&err.last).or_else(|| last_line(&out.last)),
        stdout: out.first,
    })
}

/// How long output may still come when the program itself has ended.
const LAST_MOMENTS: Duration = Duration::from_millis(500);

/// Runs a program to its end; the error says how it failed, in words for a report.
pub(crate) async fn succeed(launch: &Launch, deadline: Duration) -> Result<String, String> {
    let shown = launch.argv.join(" ");
    match tokio::time::timeout(deadline, run(launch)).await {
        Err(_) => Err(format!("`{shown}` took longer than {deadline:?}")),
        Ok(Err(error)) => Err(format!("`{shown}`: {error}")),
        Ok(Ok(outcome)) => outcome
            .success()
            .map_err(|error| format!("`{shown}`: {error}")),
    }
}

#[derive(Debug, Default)]
struct Bounded {
    first: Vec<u8>,
    last: Vec<u8>,
}

/// Reads all of a program's output and keeps little of it: who prints a gigabyte is neither stopped nor remembered.
async fn read(output: Option<impl AsyncRead + Unpin>, kept: &mut Bounded) {
    let Some(mut output) = output else {
        return;
    };
    let mut buffer = vec![0; LAST_OUTPUT];
    // What was read until an error is all that there is to say.
    while let Ok(read) = output.read(&mut buffer).await {
        let Some(piece) = buffer.get(..read).filter(|piece| !piece.is_empty()) else {
            break;
        };
        let room = MOST_OUTPUT.saturating_sub(kept.first.len());
        kept.first.extend(piece.iter().take(room));
        kept.last.extend_from_slice(piece);
        let surplus = kept.last.len().saturating_sub(LAST_OUTPUT);
        kept.last.drain(..surplus);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn shell(script: &str, deadline: Duration) -> Result<String, String> {
        let launch = Launch {
            argv: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
            folder: "/".into(),
            env: Default::default(),
        };
        succeed(&launch, deadline).await
    }

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn says_what_it_printed_or_how_it_failed() {
        assert_eq!(shell("echo a; echo b", LONG).await.unwrap(), "a\nb\n");
        let error = shell("echo out; echo of otters >&2; exit 3", LONG).await;
        let error = error.unwrap_err();
        assert!(error.ends_with("exit status: 3: of otters"), "{error}");
    }

    #[tokio::test]
    async fn a_gigabyte_is_neither_kept_nor_an_error() {
        let script = "head -c 1000000000 /dev/zero; echo; echo done";
        assert_eq!(shell(script, LONG).await.unwrap().len(), MOST_OUTPUT);
    }

    #[tokio::test]
    async fn one_that_hangs_is_ended_with_all_that_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let pid = folder.path().join("pid");
        let script = format!("sleep 1000 & echo $! > {}; wait", pid.display());
        let error = shell(&script, Duration::from_millis(500)).await;
        assert!(error.unwrap_err().contains("took longer than 500ms"));
        let pid = std::fs::read_to_string(pid).unwrap();
        let state = || std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
        for _ in 0..500 {
            match state() {
                Ok(stat) if !stat.contains(" Z ") => tokio::time::sleep(LONG / 6000).await,
                _ => return,
            }
        }
        panic!("{:?}", state());
    }

    #[tokio::test]
    async fn what_it_leaves_running_holds_up_nothing() {
        let began = std::time::Instant::now();
        let printed = shell("sleep 60 & echo done", LONG).await.unwrap();
        assert_eq!(printed, "done\n");
        assert!(began.elapsed() < LONG / 2);
    }
}
