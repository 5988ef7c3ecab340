//! `systemctl`: asks systemd how a unit is, and has it started and stopped.

use std::path::PathBuf;
use std::time::Duration;

use crate::program;
use crate::service::Launch;

/// How long systemd may take to say how a unit is.
const ANSWER: Duration = Duration::from_secs(10);
const PROPERTIES: &str = "--property=LoadState,ActiveState,SubState,Result,MainPID,NRestarts";

/// The program that speaks to systemd.
#[derive(Debug, Clone)]
pub(crate) struct Systemctl(String);

impl Default for Systemctl {
    /// The one that is found in `PATH`.
    fn default() -> Self {
        Self::at("systemctl")
    }
}

impl Systemctl {
    /// Another program that takes the same arguments.
    pub(crate) fn at(program: impl Into<String>) -> Self {
        Self(program.into())
    }

    /// Returns how a unit is.
    pub(crate) async fn show(&self, unit: &str) -> Result<UnitState, String> {
        let printed = self.call(&["show", PROPERTIES, "--", unit], ANSWER).await?;
        Ok(UnitState::parse(&printed))
    }

    /// Has a unit started, stopped or whatever the verb says, and waits until it is.
    pub(crate) async fn order(
        &self,
        verb: &str,
        unit: &str,
        deadline: Duration,
    ) -> Result<(), String> {
        self.call(&[verb, "--", unit], deadline).await.map(|_| ())
    }

    async fn call(&self, arguments: &[&str], deadline: Duration) -> Result<String, String> {
        let words = [self.0.as_str()]
            .into_iter()
            .chain(arguments.iter().copied());
        let launch = Launch {
            argv: words.map(str::to_owned).collect(),
            folder: PathBuf::from("/"),
            env: Default::default(),
        };
        program::succeed(&launch, deadline).await
    }
}

/// How a unit is, in systemd's own words; empty where it says nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct UnitState {
    /// Whether systemd knows it: `loaded`, `not-found`, `masked` and so on.
    pub(crate) load: String,
    /// `active`, `failed` and so on.
    pub(crate) active: String,
    /// The same, finer: `running`, `exited`, `auto-restart` and so on.
    pub(crate) sub: String,
    /// How it ended the last time: `success`, `exit-code`, `signal` and so on.
    pub(crate) result: String,
    /// Its main process; 0 where it has none.
    pub(crate) main_pid: i32,
    /// How often systemd started it again by itself.
    pub(crate) restarts: u32,
}

impl UnitState {
    fn parse(printed: &str) -> Self {
        let mut state = Self::default();
        for (key, value) in printed.lines().filter_map(|line| line.split_once('=')) {
            let value = value.trim();
            match key {
                "LoadState" => state.load = value.to_owned(),
                "ActiveState" => state.active = value.to_owned(),
                "SubState" => state.sub = value.to_owned(),
                "Result" => state.result = value.to_owned(),
                "MainPID" => state.main_pid = value.parse().unwrap_or(0),
                "NRestarts" => state.restarts = value.parse().unwrap_or(0),
                _ => {}
            }
        }
        state
    }

    /// Tells whether the unit does its work.
    pub(crate) fn is_active(&self) -> bool {
        // A unit that reads its configuration again goes on working.
        matches!(self.active.as_str(), "active" | "reloading" | "refreshing")
    }

    /// Tells whether systemd is about to start it again, as it ended.
    pub(crate) fn is_between_restarts(&self) -> bool {
        self.sub.starts_with("auto-restart")
    }
}

impl std::fmt::Display for UnitState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if !matches!(self.load.as_str(), "" | "loaded") {
            return write!(f, "{}", self.load);
        }
        write!(f, "{} ({})", self.active, self.sub)?;
        if !matches!(self.result.as_str(), "" | "success") {
            write!(f, ", result {}", self.result)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_read_and_told_as_systemd_has_them() {
        let table = [
            (
                "LoadState=loaded\nActiveState=active\nSubState=running\nResult=success\nMainPID=7\nNRestarts=0\n",
                (true, false, "active (running)"),
            ),
            (
                "Result=exit-code\nLoadState=loaded\nActiveState=failed\nSubState=failed\n",
                (false, false, "failed (failed), result exit-code"),
            ),
            (
                "LoadState=loaded\nActiveState=activating\nSubState=auto-restart\nResult=signal\n",
                (false, true, "activating (auto-restart), result signal"),
            ),
            (
                "LoadState=not-found\nActiveState=inactive\nSubState=dead\nResult=success\n",
                (false, false, "not-found"),
            ),
            (
                "ActiveState=reloading\nSubState=reload\n",
                (true, false, "reloading (reload)"),
            ),
            ("nonsense", (false, false, " ()")),
        ];
        for (printed, (is_active, restarts, words)) in table {
            let state = UnitState::parse(printed);
            assert_eq!(state.is_active(), is_active, "{printed}");
            assert_eq!(state.is_between_restarts(), restarts, "{printed}");
            assert_eq!(state.to_string(), words);
        }
        assert_eq!(UnitState::parse("MainPID=7\nNRestarts=2").main_pid, 7);
        assert_eq!(UnitState::parse("MainPID=7\nNRestarts=2").restarts, 2);
    }
}
