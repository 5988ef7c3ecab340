use std::path::{Path, PathBuf};

use super::*;

/// A systemd of one unit that is a folder: `state` is what `show` prints, `asked` what it was asked for. A file `refuse` has
/// every start fail.
struct Systemd(tempfile::TempDir);

const ACTIVE: &str = "ActiveState=active\nSubState=running\nMainPID=7\nNRestarts=0\n";
const DEAD: &str = "ActiveState=inactive\nSubState=dead\nMainPID=0\nNRestarts=0\n";

impl Systemd {
    fn new() -> Self {
        use std::os::unix::fs::PermissionsExt;
        let systemd = Self(tempfile::tempdir().unwrap());
        let script = format!(
            "#!/bin/sh\ncd {}\ncase $1 in\nshow) exec cat state;;\n\
             start) test -e refuse && echo 'Unit x.service is masked.' >&2 && exit 1; cp next state;;\n\
             stop) cp dead state;;\nesac\necho $* >> asked\n",
            systemd.0.path().display()
        );
        systemd.put("next", ACTIVE);
        systemd.put("dead", DEAD);
        systemd.put("state", DEAD);
        systemd.put("asked", "");
        systemd.put("systemctl", &script);
        let program = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(systemd.path("systemctl"), program).unwrap();
        systemd
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Whole or not at all, as it is read meanwhile.
    fn put(&self, name: &str, text: &str) {
        std::fs::write(self.path("new"), text).unwrap();
        std::fs::rename(self.path("new"), self.path(name)).unwrap();
    }

    fn asked(&self) -> Vec<String> {
        let asked = std::fs::read_to_string(self.path("asked")).unwrap();
        asked.lines().map(str::to_owned).collect()
    }

    fn unit(&self) -> Unit {
        let systemctl = self.path("systemctl").display().to_string();
        let timeout = Duration::from_secs(60);
        Unit::new("x.service".to_owned(), timeout, Systemctl::at(systemctl))
    }
}

fn run() -> Run {
    Run {
        version: "2.0.0".into(),
        folder: Path::new("/").to_owned(),
        env: Default::default(),
    }
}

async fn end(unit: &Unit) -> String {
    let mut status = unit.status().unwrap();
    let ended = status.wait_for(|status| !matches!(status, Status::Running { .. }));
    let ended = tokio::time::timeout(Duration::from_secs(60), ended).await;
    match &*ended.expect("its end is noticed").unwrap() {
        Status::Exited(how) => how.clone(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_unit_is_started_once_and_stopped() {
    let systemd = Systemd::new();
    let unit = systemd.unit();
    unit.start(run(), Trial::OnTrial).await.unwrap();
    let status = unit.status().unwrap();
    assert_eq!(*status.borrow(), Status::Running { pid: 7 });
    unit.start(run(), Trial::Trusted).await.unwrap();
    unit.stop(None).await.unwrap();
    assert_eq!(*status.borrow(), Status::Stopped);
    let orders = [
        "reset-failed -- x.service",
        "start -- x.service",
        "stop -- x.service",
    ];
    assert_eq!(systemd.asked(), orders);
}

#[tokio::test]
async fn one_that_dies_on_trial_is_noticed() {
    let systemd = Systemd::new();
    let unit = systemd.unit();
    unit.start(run(), Trial::OnTrial).await.unwrap();
    systemd.put(
        "state",
        "ActiveState=failed\nSubState=failed\nResult=exit-code\n",
    );
    let how = end(&unit).await;
    assert!(
        how.contains("is failed (failed), result exit-code"),
        "{how}"
    );
}

#[tokio::test]
async fn one_that_systemd_restarts_behind_our_back_is_noticed() {
    let systemd = Systemd::new();
    let unit = systemd.unit();
    unit.start(run(), Trial::OnTrial).await.unwrap();
    systemd.put("state", &ACTIVE.replace("NRestarts=0", "NRestarts=1"));
    let how = end(&unit).await;
    assert!(how.contains("systemd starts it again"), "{how}");
}

#[tokio::test]
async fn what_an_agent_finds_running_is_judged_from_there() {
    let systemd = Systemd::new();
    let restarted = ACTIVE.replace("NRestarts=0", "NRestarts=3");
    systemd.put("state", &restarted);
    let unit = systemd.unit();
    unit.start(run(), Trial::Trusted).await.unwrap();
    assert!(systemd.asked().is_empty());
    assert_eq!(*unit.status().unwrap().borrow(), Status::Running { pid: 7 });
    systemd.put("state", &restarted.replace('3', "4"));
    assert!(end(&unit).await.contains("starts it again"));
}

#[tokio::test]
async fn one_that_dies_at_once_and_one_that_does_not_start_are_told() {
    let systemd = Systemd::new();
    let unit = systemd.unit();
    systemd.put("next", "ActiveState=activating\nSubState=auto-restart\n");
    unit.start(run(), Trial::OnTrial).await.unwrap();
    assert!(end(&unit).await.contains("activating (auto-restart)"));
    unit.stop(None).await.unwrap();
    systemd.put("refuse", "");
    let error = unit.start(run(), Trial::OnTrial).await.unwrap_err();
    assert!(error.to_string().ends_with("is masked."), "{error}");
}

#[tokio::test]
async fn nobody_is_asked_once_nobody_wants_to_know() {
    let systemd = Systemd::new();
    let unit = systemd.unit();
    unit.start(run(), Trial::OnTrial).await.unwrap();
    let status = unit.status().unwrap();
    assert_eq!(Arc::strong_count(&unit.watched), 2);
    drop(status);
    let gone = async {
        while Arc::strong_count(&unit.watched) > 1 {
            tokio::task::yield_now().await;
        }
    };
    let gone = tokio::time::timeout(Duration::from_secs(60), gone).await;
    gone.expect("the task that asks ends");
}
