use super::*;

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

#[test]
fn dropping_a_child_stops_its_whole_group() {
    let scratch = Scratch::new("process-test").unwrap();
    let mut child = Background::start(
        "sh",
        &mut shell("sleep 60 & echo started; wait"),
        &scratch.path().join("log"),
    )
    .unwrap();
    let log = scratch.path().join("log");
    child
        .wait_until("started", Duration::from_secs(10), || {
            std::fs::read_to_string(&log).unwrap().contains("started")
        })
        .unwrap();
    let group = child.group();
    drop(child);
    let deadline = Instant::now() + Duration::from_secs(10);
    while rustix::process::test_kill_process_group(group).is_ok() {
        assert!(Instant::now() < deadline, "the group is still alive");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn programs_of_a_folder_are_killed_and_no_others() {
    let scratch = Scratch::new("process-test").unwrap();
    let folder = scratch.path().canonicalize().unwrap();
    std::fs::copy("/bin/sleep", folder.join("nap")).unwrap();
    let mut inside = Command::new(folder.join("nap")).arg("60").spawn().unwrap();
    let mut outside = Command::new("/bin/sleep").arg("60").spawn().unwrap();
    kill_programs_in(&folder);
    assert!(!inside.wait().unwrap().success());
    assert!(outside.try_wait().unwrap().is_none());
    outside.kill().unwrap();
    outside.wait().unwrap();
}

#[test]
fn a_child_that_ends_early_is_quoted() {
    let scratch = Scratch::new("process-test").unwrap();
    let mut child = Background::start(
        "sh",
        &mut shell("echo no such luck; exit 3"),
        &scratch.path().join("log"),
    )
    .unwrap();
    let error = child
        .wait_until("answered", Duration::from_secs(10), || false)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("no such luck") && error.contains("exit status: 3"),
        "{error}"
    );
}
