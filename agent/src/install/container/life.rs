//! Whether a container lives, as the engine's answer says, and what it said last.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;

use crate::service::{Status, last_line};

/// The stream of complaints, in a log's frames.
const STDERR: u8 = 2;

/// What the engine says of a container.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Inspected {
    pub(super) id: String,
    #[serde(default)]
    pub(super) name: String,
    pub(super) state: State,
    #[serde(default)]
    pub(super) restart_count: u64,
    #[serde(default)]
    config: Settings,
}

#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Settings {
    #[serde(default)]
    tty: bool,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
}

/// How a container is.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct State {
    status: String,
    #[serde(default)]
    running: bool,
    #[serde(default)]
    restarting: bool,
    #[serde(default, rename = "OOMKilled")]
    out_of_memory: bool,
    #[serde(default)]
    pid: i32,
    #[serde(default)]
    exit_code: i64,
    #[serde(default)]
    error: String,
    #[serde(default)]
    started_at: String,
    #[serde(default)]
    finished_at: String,
    #[serde(default)]
    health: Option<Health>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Health {
    status: String,
    #[serde(default)]
    log: Option<Vec<Tried>>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Tried {
    #[serde(default)]
    output: String,
}

/// Whether a container lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Life {
    /// It was never started.
    New,
    /// It does.
    Lives(i32),
    /// It does, but its own health check says that it is unhealthy; the text is a sentence.
    Ails(String),
    /// It ended; the text is a sentence without the last words.
    Ended {
        /// Its exit status.
        code: i64,
        /// How it ended.
        how: String,
    },
}

impl Inspected {
    /// Tells whether it writes to a terminal, so that its log has no frames.
    pub(super) fn has_terminal(&self) -> bool {
        self.config.tty
    }

    /// Returns a label's text.
    pub(super) fn label(&self, key: &str) -> Option<&str> {
        Some(self.config.labels.as_ref()?.get(key)?.as_str())
    }

    /// Returns whether it lives.
    pub(super) fn life(&self) -> Life {
        let state = &self.state;
        if state.status == "created" && state.error.is_empty() {
            return Life::New;
        }
        if !state.running || state.restarting {
            return Life::Ended {
                code: state.exit_code,
                how: state.how_it_ended(),
            };
        }
        match &state.health {
            Some(health) if health.status == "unhealthy" => Life::Ails(health.complaint()),
            _ => Life::Lives(state.pid),
        }
    }
}

impl State {
    fn how_it_ended(&self) -> String {
        let how = if self.out_of_memory {
            "the container was killed for want of memory".to_owned()
        } else {
            format!("the container exited with status {}", self.exit_code)
        };
        let lived = lived(&self.started_at, &self.finished_at);
        let lived = lived.map(|sec| format!(" within {sec:.1} s"));
        let error = Some(super::engine::shortened(&self.error)).filter(|text| !text.is_empty());
        let error = error.map(|text| format!(" ({text})"));
        format!(
            "{how}{}{}",
            lived.unwrap_or_default(),
            error.unwrap_or_default()
        )
    }
}

fn lived(from: &str, to: &str) -> Option<f64> {
    let (from, to) = (
        from.parse::<Timestamp>().ok()?,
        to.parse::<Timestamp>().ok()?,
    );
    let lived = to.duration_since(from).as_secs_f64();
    (lived >= 0.0).then_some(lived)
}

impl Health {
    fn complaint(&self) -> String {
        let words = self.log.iter().flatten().next_back();
        let words = words.and_then(|tried| last_line(tried.output.as_bytes()));
        let words = words.map(|words| format!(": {words}"));
        format!(
            "the container's own health check says that it is unhealthy{}",
            words.unwrap_or_default()
        )
    }
}

/// Returns what a service's watch shows of a container: `words` is the last line of its log.
pub(super) fn status(life: Life, words: Option<String>) -> Status {
    match life {
        Life::New => Status::Stopped,
        Life::Lives(pid) => Status::Running { pid },
        Life::Ails(complaint) => Status::Exited(complaint),
        Life::Ended { how, .. } => {
            let words = words.map(|words| format!(": {words}"));
            Status::Exited(format!("{how}{}", words.unwrap_or_default()))
        }
    }
}

/// Returns the last line that a container complained with, or printed. The engine sends a log in frames with a header of
/// 8 bytes: the stream is the first, the length the last four. Where there is a terminal there are no frames.
pub(super) fn last_words(log: &[u8], has_terminal: bool) -> Option<String> {
    if has_terminal {
        return last_line(log);
    }
    let (mut printed, mut complained) = (Vec::new(), Vec::new());
    let mut rest = log;
    while let Some((header, behind)) = rest.split_first_chunk::<8>() {
        let [stream, _, _, _, length @ ..] = *header;
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        // A log that is cut short ends in the middle of a frame.
        let (frame, next) = behind.split_at_checked(length.min(behind.len()))?;
        // What came first of two streams is not known, as the engine reads each for itself.
        let text = if stream == STDERR {
            &mut complained
        } else {
            &mut printed
        };
        text.extend_from_slice(frame);
        rest = next;
    }
    last_line(&complained).or_else(|| last_line(&printed))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn life(state: serde_json::Value) -> Life {
        let inspected = json!({"Id": "a", "State": state});
        serde_json::from_value::<Inspected>(inspected)
            .unwrap()
            .life()
    }

    #[test]
    fn its_life_is_what_the_engine_says() {
        assert_eq!(life(json!({"Status": "created"})), Life::New);
        let lives = json!({"Status": "running", "Running": true, "Pid": 7, "Health": {"Status": "starting"}});
        assert_eq!(life(lives), Life::Lives(7));
        let ails = json!({"Status": "running", "Running": true, "Pid": 7,
            "Health": {"Status": "unhealthy", "Log": [{"Output": "fine"}, {"Output": "a\nno fish\n"}]}});
        let complaint = "the container's own health check says that it is unhealthy: no fish";
        assert_eq!(life(ails), Life::Ails(complaint.to_owned()));
        let ended = json!({"Status": "exited", "ExitCode": 3,
            "StartedAt": "2026-01-01T00:00:00.5Z", "FinishedAt": "2026-01-01T00:00:02.123456789Z"});
        let how = "the container exited with status 3 within 1.6 s".to_owned();
        assert_eq!(life(ended), Life::Ended { code: 3, how });
        let dies = json!({"Status": "restarting", "Running": true, "Restarting": true, "OOMKilled": true, "ExitCode": 137});
        let how = "the container was killed for want of memory".to_owned();
        assert_eq!(life(dies), Life::Ended { code: 137, how });
        let never = json!({"Status": "created", "ExitCode": 127, "Error": "exec: not\nfound"});
        let how = "the container exited with status 127 (exec: not found)".to_owned();
        assert_eq!(life(never), Life::Ended { code: 127, how });
    }

    #[test]
    fn last_words_come_out_of_their_frames() {
        let frame = |stream: u8, text: &str| {
            let mut bytes = vec![stream, 0, 0, 0];
            bytes.extend((text.len() as u32).to_be_bytes());
            bytes.extend(text.as_bytes());
            bytes
        };
        let log = [
            frame(2, "out of "),
            frame(2, "otters\n"),
            frame(1, "later\n"),
        ]
        .concat();
        assert_eq!(last_words(&log, false).unwrap(), "out of otters");
        assert_eq!(last_words(&frame(1, "a\nb\n"), false).unwrap(), "b");
        assert_eq!(
            last_words(b"out of otters\r\n", true).unwrap(),
            "out of otters"
        );
        let endless = [&[1, 0, 0, 0, 255, 255, 255, 255], b"cut".as_slice()].concat();
        assert_eq!(last_words(&endless, false).unwrap(), "cut");
        assert_eq!(last_words(b"", false), None);
        assert_eq!(last_words(b"1234567", false), None);
    }
}
