//! A program that must exit with status 0.

use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

use super::{Patient, with_version};
use crate::service::{Launch, last_line};

/// How much of a program's output is looked at, in bytes.
const MOST_OUTPUT: u64 = 64 << 10;

/// Ends a program's whole group when it is dropped: a check that takes too long leaves nothing behind.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            // Nobody left is what is wanted.
            kill_process_group(pid, Signal::KILL).ok();
        }
    }
}

/// Runs it once.
pub(super) async fn probe(argv: &[String], patient: &Patient) -> Result<(), String> {
    let shown = format!("`{}`", argv.join(" "));
    let argv: Vec<String> = argv
        .iter()
        .map(|word| with_version(word, &patient.version))
        .collect();
    let launch = Launch::new(
        &argv,
        &patient.folder,
        &patient.version,
        &Default::default(),
    );
    let (status, words) = run(&launch)
        .await
        .map_err(|error| format!("{shown}: {error}"))?;
    if status.success() {
        return Ok(());
    }
    let words = words.map(|words| format!(": {words}")).unwrap_or_default();
    Err(format!("{shown}: {status}{words}"))
}

async fn run(launch: &Launch) -> std::io::Result<(ExitStatus, Option<String>)> {
    let (program, arguments) = launch
        .argv
        .split_first()
        .ok_or_else(|| std::io::Error::other("there is no program to run"))?;
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir(&launch.folder)
        .envs(&launch.env)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()?;
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
    let _group = Group(pid.and_then(Pid::from_raw));
    let (out, err) = tokio::join!(
        beginning(child.stdout.take()),
        beginning(child.stderr.take())
    );
    let status = child.wait().await?;
    Ok((status, last_line(&err).or_else(|| last_line(&out))))
}

/// Reads a program's output as far as anyone wants it; what it prints beyond that meets a closed pipe.
async fn beginning(output: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(output) = output {
        // What was read until an error is all that there is to say.
        output.take(MOST_OUTPUT).read_to_end(&mut bytes).await.ok();
    }
    bytes
}
