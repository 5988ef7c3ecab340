//! Programs of which one runs at a time, even where an agent before this one was killed and left one running.
//!
//! Their standard input is a locked file, as a service's is: the system unlocks it when the last process that has it is gone.
//! Whoever finds it locked ends what is left first, so that no two of them ever work on the same thing.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use crate::program::{self, Outcome};
use crate::service::{Launch, slot};

/// Runs programs one at a time.
#[derive(Debug)]
pub(super) struct Exclusive {
    lock: PathBuf,
    /// Within this agent they wait for each other.
    turn: tokio::sync::Mutex<()>,
}

impl Exclusive {
    /// Takes the file that tells whether one runs.
    pub(super) fn new(lock: &Path) -> Self {
        Self {
            lock: lock.to_owned(),
            turn: tokio::sync::Mutex::default(),
        }
    }

    /// Runs a program to its end, or to its deadline; the error says why it has no end of its own.
    pub(super) async fn run(&self, launch: &Launch, deadline: Duration) -> Result<Outcome, String> {
        let _turn = self.turn.lock().await;
        let input = slot::acquire(&self.lock)
            .await
            .map_err(|error| error.to_string())?;
        let run = program::run_on(launch, Stdio::from(input));
        match tokio::time::timeout(deadline, run).await {
            Err(_) => Err(format!(
                "it took longer than {deadline:?} and was ended, with all that it started"
            )),
            Ok(Err(error)) => Err(error.to_string()),
            Ok(Ok(outcome)) => Ok(outcome),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::time::Instant;

    fn shell(script: &str) -> Launch {
        Launch {
            argv: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
            folder: "/".into(),
            env: Default::default(),
        }
    }

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn what_an_agent_left_running_is_ended_before_the_next_begins() {
        let folder = tempfile::tempdir().unwrap();
        let lock = folder.path().join("lock");
        let pid = folder.path().join("pid");
        // As after `kill -9`: nobody waits for it any more, and it runs on.
        let input = slot::acquire(&lock).await.unwrap();
        let mut left = std::process::Command::new("/bin/sh")
            .args(["-c", &format!("echo $$ > {}; sleep 1000", pid.display())])
            .stdin(input)
            .spawn()
            .unwrap();
        let began = Instant::now();
        while !fs::read_to_string(&pid).is_ok_and(|text| text.ends_with('\n')) {
            assert!(began.elapsed() < LONG);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let exclusive = Exclusive::new(&lock);
        let outcome = exclusive.run(&shell("echo alone"), LONG).await.unwrap();
        assert_eq!(outcome.success().unwrap(), "alone\n");
        use std::os::unix::process::ExitStatusExt;
        assert_eq!(left.wait().unwrap().signal(), Some(9));
    }

    #[tokio::test]
    async fn one_that_is_ended_at_its_deadline_makes_room_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let exclusive = Exclusive::new(&folder.path().join("lock"));
        let short = Duration::from_millis(200);
        let error = exclusive.run(&shell("sleep 1000"), short).await;
        assert!(error.unwrap_err().contains("longer than 200ms"));
        let next = exclusive.run(&shell("exit 3"), LONG).await.unwrap();
        assert_eq!(next.status.code(), Some(3));
    }
}
