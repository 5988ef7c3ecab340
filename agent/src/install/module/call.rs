//! Calls of the user's executable, and what its exit status means.

use std::collections::BTreeMap;
use std::path::PathBuf;

use otter_protocol::Version;

use super::super::InstallError;
use super::super::exclusive::Exclusive;
use crate::config::{ModuleConfig, Verb};
use crate::program::Outcome;
use crate::service::Launch;

/// `start`: the version runs once the device is restarted.
const AFTER_RESTART: i32 = 10;
/// The module doesn't know the verb: `EX_USAGE` of sysexits(3).
const UNKNOWN: i32 = 64;
/// Longest version that a module may print, in bytes.
const LONGEST_VERSION: usize = 256;

/// What a call is about; what isn't known is an empty variable.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) version: Option<Version>,
    pub(super) release_counter: Option<u64>,
    pub(super) old_version: Option<Version>,
    pub(super) artifact: Option<PathBuf>,
}

impl Facts {
    fn env(&self) -> [(&'static str, String); 4] {
        let text = |version: &Option<Version>| version.as_ref().map(Version::to_string);
        let counter = self.release_counter.map(|counter| counter.to_string());
        let artifact = self.artifact.as_ref();
        let artifact = artifact.map(|path| path.to_string_lossy().into_owned());
        [
            ("OTTER_VERSION", text(&self.version)),
            ("OTTER_RELEASE_COUNTER", counter),
            ("OTTER_OLD_VERSION", text(&self.old_version)),
            ("OTTER_ARTIFACT", artifact),
        ]
        .map(|(name, value)| (name, value.unwrap_or_default()))
    }
}

/// What a module answers.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It is done; this was printed.
    Done(String),
    /// It is done once the device is restarted.
    AfterRestart,
    /// The module has no such verb.
    Unknown,
}

/// The executable.
#[derive(Debug)]
pub(super) struct Module {
    pub(super) config: ModuleConfig,
    /// A folder for the module itself.
    pub(super) state: PathBuf,
    /// Beside the facts of a call.
    pub(super) env: BTreeMap<String, String>,
    pub(super) exclusive: Exclusive,
}

impl Module {
    /// Calls it once.
    pub(super) async fn call(&self, verb: Verb, facts: &Facts) -> Result<Answer, InstallError> {
        let executable = self.config.executable.to_string_lossy().into_owned();
        let mut env = self.config.env.clone();
        env.extend(self.env.clone());
        env.insert(
            "OTTER_STATE".to_owned(),
            self.state.to_string_lossy().into_owned(),
        );
        env.extend(facts.env().map(|(name, value)| (name.to_owned(), value)));
        let launch = Launch {
            argv: vec![executable, verb.word().to_owned()],
            folder: self.state.clone(),
            env,
        };
        let outcome = self
            .exclusive
            .run(&launch, self.config.timeout(verb))
            .await
            .map_err(|error| match self.trouble() {
                Some(trouble) => trouble,
                None => error,
            });
        outcome
            .and_then(|outcome| answer(verb, outcome))
            .map_err(|error| {
                InstallError::Unfit(format!("the module's `{}` failed: {error}", verb.word()))
            })
    }

    /// Returns why it can't be run, where that can be seen.
    pub(super) fn trouble(&self) -> Option<String> {
        let path = &self.config.executable;
        let why = crate::doctor::programs::trouble(path)?;
        Some(format!(
            "{} {why}. `module.executable` names what is called",
            path.display()
        ))
    }
}

/// Reads what a module's end means.
fn answer(verb: Verb, outcome: Outcome) -> Result<Answer, String> {
    match outcome.status.code() {
        Some(AFTER_RESTART) if verb == Verb::Start => Ok(Answer::AfterRestart),
        Some(UNKNOWN) if verb != Verb::Apply => Ok(Answer::Unknown),
        Some(UNKNOWN) => Err("the module doesn't know it, and every module must".to_owned()),
        _ => outcome.success().map(Answer::Done),
    }
}

/// Reads what `recover` printed: lines of `key=value`, of which `version` counts. Without it nothing is installed.
pub(super) fn version_in(printed: &str) -> Result<Option<Version>, String> {
    let mut versions = printed
        .lines()
        .filter_map(|line| line.trim().strip_prefix("version="))
        .map(str::trim);
    let Some(version) = versions.next().filter(|version| !version.is_empty()) else {
        return Ok(None);
    };
    if let Some(other) = versions.find(|other| *other != version) {
        return Err(format!("it printed version={version} and version={other}"));
    }
    if version.len() > LONGEST_VERSION {
        return Err(format!(
            "it printed a version of {} bytes, and at most {LONGEST_VERSION} make sense",
            version.len()
        ));
    }
    Ok(Some(version.into()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    use super::*;

    fn ended(wait_status: i32) -> Outcome {
        Outcome {
            status: ExitStatus::from_raw(wait_status),
            stdout: b"printed\n".to_vec(),
            words: Some("of otters".to_owned()),
        }
    }

    #[test]
    fn exit_statuses_mean_what_is_written() {
        let exit = |code: i32| ended(code << 8);
        let done = || Answer::Done("printed\n".to_owned());
        assert_eq!(answer(Verb::Commit, exit(0)), Ok(done()));
        assert_eq!(answer(Verb::Start, exit(10)), Ok(Answer::AfterRestart));
        assert_eq!(answer(Verb::Clean, exit(64)), Ok(Answer::Unknown));
        let errors = [
            (Verb::Apply, exit(64), "every module must"),
            (Verb::Apply, exit(10), "exit status: 10: of otters"),
            (Verb::Stop, exit(1), "exit status: 1: of otters"),
            (Verb::Stop, ended(9), "signal: 9"),
        ];
        for (verb, outcome, words) in errors {
            let error = answer(verb, outcome).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn versions_are_read_from_lines() {
        let table = [
            ("", None),
            ("hello\n", None),
            ("version=\n", None),
            ("version=1.2\n", Some("1.2")),
            ("slot=a\n version= 1.2 \r\n", Some("1.2")),
            ("version=1.2\nversion=1.2\n", Some("1.2")),
        ];
        for (printed, version) in table {
            assert_eq!(version_in(printed).unwrap(), version.map(Version::from));
        }
        version_in("version=1\nversion=2\n").unwrap_err();
        version_in(&format!("version={}", "1".repeat(300))).unwrap_err();
    }

    #[test]
    fn what_is_not_known_is_empty() {
        let facts = Facts {
            version: Some("2".into()),
            ..Facts::default()
        };
        let env = facts.env();
        assert_eq!(env[0], ("OTTER_VERSION", "2".to_owned()));
        assert!(env[1..].iter().all(|(_, value)| value.is_empty()));
    }
}
