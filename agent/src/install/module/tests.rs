use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use super::*;
use crate::config::Config;
use crate::disk::RealDisk;
use crate::testing;

/// Writes each call with what it is about; then does what the file of the verb's name says.
const MODULE: &str = r#"#!/bin/sh
echo "$1 new=$OTTER_VERSION/$OTTER_RELEASE_COUNTER old=$OTTER_OLD_VERSION artifact=${OTTER_ARTIFACT##*/}" >> calls
test "$(pwd -P)" = "$(cd "$OTTER_STATE" && pwd -P)" || exit 99
if [ -f "$1" ]; then . "./$1"; else exit 64; fi
"#;

struct Rig {
    folder: tempfile::TempDir,
    installer: ModuleInstaller,
}

impl Rig {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("module")).unwrap();
        let executable = folder.path().join("run");
        fs::write(&executable, MODULE).unwrap();
        fs::set_permissions(&executable, fs::Permissions::from_mode(0o755)).unwrap();
        let text = format!(
            "server = \"http://localhost\"\ndevice_id = \"a\"\nmodel = \"m\"\nstate_dir = \"{0}\"\n\
             [module]\nexecutable = \"{0}/run\"\n[module.verb_timeout_sec]\nstop = 2\n",
            folder.path().display()
        );
        let config = Config::parse(&text, Path::new("/")).unwrap();
        let installer = ModuleInstaller::new(
            Arc::new(RealDisk),
            &config.module.unwrap(),
            folder.path(),
            BTreeMap::new(),
        );
        Self { folder, installer }
    }

    fn verb(&self, verb: &str, script: &str) {
        fs::write(self.folder.path().join("module").join(verb), script).unwrap();
    }

    fn calls(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.folder.path().join("module/calls"));
        let lines = calls.unwrap_or_default();
        lines.lines().map(str::to_owned).collect()
    }

    /// Takes an artifact in and prepares it.
    async fn prepared(&self, old: &[Installed]) -> Installed {
        let signed = testing::signed(b"otters");
        let downloads = Downloads::new(Arc::new(RealDisk), self.folder.path());
        let intake = self.installer.intake(&signed, &downloads, old).await;
        let mut intake = intake.unwrap();
        if intake.taken() == 0 {
            intake.take(b"otters").unwrap();
        }
        intake.finish().unwrap();
        let prepared = self.installer.prepare(&signed, &downloads, old).await;
        prepared.unwrap()
    }
}

fn old() -> Installed {
    Installed {
        version: "1.0.0".into(),
        release_counter: 1,
        name: "old".to_owned(),
    }
}

#[tokio::test]
async fn each_verb_is_told_what_it_is_about_even_after_a_restart() {
    let rig = Rig::new();
    let verbs = [
        "prepare",
        "back-up",
        "stop",
        "apply",
        "start",
        "commit",
        "roll-back",
        "clean",
    ];
    for verb in verbs {
        rig.verb(verb, "exit 0");
    }
    let old = old();
    let new = rig.prepared(std::slice::from_ref(&old)).await;
    // Another agent goes on.
    let installer = &rig.installer;
    installer.back_up(Some(&old)).await.unwrap();
    installer.stop().await.unwrap();
    installer.apply(&new).await.unwrap();
    installer.start(&new, Trial::OnTrial).await.unwrap();
    installer.commit(&new).await.unwrap();
    installer.roll_back(Some(&new), Some(&old)).await.unwrap();
    installer.start(&old, Trial::Trusted).await.unwrap();
    let whole = format!(
        "new=2.0.0/2 old=1.0.0 artifact={}",
        testing::signed(b"otters").sha256
    );
    let calls = rig.calls();
    let (verbs, abouts): (Vec<_>, Vec<_>) = calls
        .iter()
        .filter(|call| !call.starts_with("recover"))
        .map(|call| call.split_once(' ').unwrap())
        .unzip();
    let order = [
        "prepare",
        "back-up",
        "stop",
        "apply",
        "start",
        "commit",
        "roll-back",
        "start",
    ];
    assert_eq!(verbs, order);
    assert!(abouts[..7].iter().all(|about| *about == whole), "{calls:?}");
    assert_eq!(abouts[7], "new=1.0.0/1 old= artifact=");
}

#[tokio::test]
async fn the_update_is_remembered_until_it_is_over() {
    let rig = Rig::new();
    let old = old();
    let new = rig.prepared(std::slice::from_ref(&old)).await;
    let installer = &rig.installer;
    installer.clean(&[old.clone(), new.clone()]).await.unwrap();
    assert!(installer.update().unwrap().is_some(), "under way");
    installer.clean(&[new.clone(), old.clone()]).await.unwrap();
    assert_eq!(installer.update().unwrap(), None, "committed");
    let calls = rig.calls();
    assert!(calls[1].starts_with("clean new=2.0.0/2 old=1.0.0 artifact="));
    assert_eq!(calls[2], "clean new=2.0.0/2 old=1.0.0 artifact=");
    let error = installer.apply(&new).await.unwrap_err().to_string();
    assert!(error.contains("nothing tells any more"), "{error}");
    let new = rig.prepared(&[]).await;
    installer.clean(std::slice::from_ref(&new)).await.unwrap();
    assert!(
        installer.update().unwrap().is_some(),
        "there was none before"
    );
    installer.clean(&[old]).await.unwrap();
    assert_eq!(installer.update().unwrap(), None, "given up");
}

#[tokio::test]
async fn what_is_installed_is_what_the_module_says_or_else_the_journal() {
    let rig = Rig::new();
    let installer = &rig.installer;
    let old = old();
    assert_eq!(installer.recover(None).await.unwrap(), None);
    assert_eq!(
        installer.recover(Some(&old)).await.unwrap(),
        Some(old.clone())
    );
    rig.verb("recover", "echo version=1.0.0");
    assert_eq!(
        installer.recover(Some(&old)).await.unwrap(),
        Some(old.clone())
    );
    rig.verb("recover", "echo version=0.9.0");
    let found = installer.recover(Some(&old)).await.unwrap().unwrap();
    assert_eq!((found.version, found.release_counter), ("0.9.0".into(), 1));
    rig.verb("recover", "exit 7");
    assert_eq!(
        installer.recover(Some(&old)).await.unwrap(),
        Some(old.clone())
    );
    rig.verb("recover", "exit 0");
    assert_eq!(installer.recover(Some(&old)).await.unwrap(), None);
}

#[tokio::test]
async fn a_start_that_is_another_version_is_no_success() {
    let rig = Rig::new();
    rig.verb("start", "exit 0");
    rig.verb("recover", "echo version=1.5.0");
    let error = rig.installer.start(&old(), Trial::OnTrial).await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("1.5.0 is installed, not 1.0.0"), "{error}");
    rig.verb("start", "exit 10");
    let started = rig.installer.start(&old(), Trial::OnTrial).await.unwrap();
    assert_eq!(started, Started::ByRestart(None));
}

#[tokio::test]
async fn whatever_a_module_does_is_an_error_in_words() {
    let rig = Rig::new();
    let installer = &rig.installer;
    let scripts = [
        ("exit 3", "`stop` failed: exit status: 3"),
        ("echo of otters >&2; exit 1", "exit status: 1: of otters"),
        ("kill -9 $$", "signal: 9"),
        ("sleep 1000", "longer than 2s"),
        ("sleep 1000 & sleep 1000", "longer than 2s"),
    ];
    for (script, words) in scripts {
        rig.verb("stop", script);
        let error = installer.stop().await.unwrap_err().to_string();
        assert!(error.contains(words), "{script}: {error}");
    }
    let began = Instant::now();
    rig.verb("commit", "head -c 1000000000 /dev/zero");
    installer.commit(&old()).await.unwrap();
    rig.verb("commit", "sleep 1000 & exit 0");
    installer.commit(&old()).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(120));

    let executable = rig.folder.path().join("run");
    fs::set_permissions(&executable, fs::Permissions::from_mode(0o644)).unwrap();
    let error = installer.stop().await.unwrap_err().to_string();
    assert!(error.contains("is not executable"), "{error}");
    fs::remove_file(&executable).unwrap();
    let error = installer.stop().await.unwrap_err().to_string();
    assert!(error.contains("is not there"), "{error}");
    assert!(error.contains("module.executable"), "{error}");
    assert_eq!(installer.examine()[0].level, crate::doctor::Level::Problem);
}
