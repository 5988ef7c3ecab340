//! `otter device log`: what a device did in an attempt, in its own words.

use clap::Args;
use otter_protocol::{AttemptId, DeviceId};
use serde::Serialize;

use super::detail;
use crate::api::Client;
use crate::{Failure, Output};

/// Which log.
#[derive(Debug, Args)]
pub struct Log {
    /// The device's id.
    id: DeviceId,
    /// The attempt, as `otter device show` numbers it; the newest that has a log without it.
    #[arg(long)]
    attempt: Option<AttemptId>,
}

#[derive(Serialize)]
struct Found {
    attempt: AttemptId,
    log: String,
}

impl Log {
    pub(super) async fn run(self, output: Output, client: &Client) -> Result<(), Failure> {
        let detail = detail(client, &self.id).await?;
        let mut attempts = detail.attempts.iter().filter(|attempt| {
            let id = attempt.summary.id;
            attempt.has_log && self.attempt.is_none_or(|wanted| wanted == id)
        });
        let Some(attempt) = attempts.next().map(|attempt| attempt.summary.id) else {
            let which = match self.attempt {
                Some(attempt) => format!("attempt {attempt} of {}", self.id),
                None => format!("any of the latest attempts of {}", self.id),
            };
            return Err(Failure::Refused(format!(
                "there is no log of {which}. Agents send those of attempts that went wrong, unless `upload_logs` says otherwise"
            )));
        };
        let log = client
            .text(&["attempts", &attempt.to_string(), "log"])
            .await?;
        let found = Found { attempt, log };
        output.value(&found, |output| {
            found
                .log
                .lines()
                .try_for_each(|line| output.line(printable(line)))
        })
    }
}

/// A device's words are not to give a terminal orders.
fn printable(line: &str) -> String {
    let shown = |c: char| {
        if c.is_control() && c != '\t' {
            '\u{fffd}'
        } else {
            c
        }
    };
    line.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_given_no_orders() {
        assert_eq!(printable("a\tb \u{1b}[2J\u{9b}1m\rü"), "a\tb �[2J�1m�ü");
    }
}
