use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use super::program::{Place, Serving, text};

#[test]
fn an_unknown_key_in_the_file_is_named_with_the_file() {
    let place = Place::new();
    fs::write(
        place.path().join("otter.toml"),
        "listen = \"127.0.0.1:0\"\nlisten_adress = \"x\"\n",
    )
    .unwrap();
    for arguments in [&["config", "check"][..], &[]] {
        let output = place.run(arguments);
        let error = text(&output.stderr);
        assert!(!output.status.success());
        assert!(
            error.contains("otter.toml, line 2") && error.contains("listen_adress"),
            "{error}"
        );
    }
}

#[test]
fn the_settings_are_shown_without_secrets() {
    let place = Place::new();
    let output = place
        .command(&["config", "check", "--data-dir", "here"])
        .env("OTA_API_KEY", "hidden")
        .output()
        .unwrap();
    let shown = text(&output.stdout);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(shown.contains("sqlite://here/otter.db"), "{shown}");
    assert!(!shown.contains("hidden"), "{shown}");
}

#[test]
fn stores_that_this_server_can_not_use_are_refused() {
    let output = Place::new().run(&["config", "check", "--artifacts", "gs://bucket"]);
    assert!(!output.status.success());
    assert!(
        text(&output.stderr).contains("OTTER_ARTIFACTS: "),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn accounts_are_made_with_a_password_from_a_file_or_standard_input() {
    let place = Place::new();
    assert!(place.run(&["migrate"]).status.success());
    fs::write(place.path().join("password"), "correct horse battery\n").unwrap();
    let output = place.run(&[
        "user",
        "add",
        "anna",
        "--role",
        "admin",
        "--password-file",
        "password",
    ]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let again = place.run(&[
        "user",
        "add",
        "anna",
        "--role",
        "admin",
        "--password-file",
        "password",
    ]);
    assert!(!again.status.success());

    let mut child = place
        .command(&["user", "add", "bert", "--role", "viewer"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(b"another horse battery\n")
        .unwrap();
    assert!(child.wait().unwrap().success());

    fs::write(place.path().join("short"), "short\n").unwrap();
    let short = place.run(&[
        "user",
        "add",
        "carl",
        "--role",
        "viewer",
        "--password-file",
        "short",
    ]);
    assert!(!short.status.success());
    assert!(
        text(&short.stderr).contains("12"),
        "{}",
        text(&short.stderr)
    );
    assert!(
        !place
            .run(&["user", "add", "dora", "--role", "king"])
            .status
            .success()
    );
}

#[test]
fn whoever_is_locked_out_gets_a_link_at_the_servers_own_machine() {
    let place = Place::new();
    fs::write(place.path().join("password"), "correct horse battery\n").unwrap();
    let user = ["user", "add", "anna", "--role", "admin"];
    let added = place.run(&[&user[..], &["--password-file", "password"]].concat());
    assert!(added.status.success(), "{}", text(&added.stderr));
    let output = place.run(&["user", "link", "anna", "--remove-second-factor"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let link = text(&output.stdout);
    assert!(link.contains("/welcome?secret=otl_"), "{link}");
    let unknown = place.run(&["user", "link", "bert"]);
    assert!(!unknown.status.success());
    assert!(text(&unknown.stderr).contains("nobody is named bert"));
}

#[test]
fn the_first_start_leaves_a_link_that_only_the_owner_reads() {
    let place = Place::new();
    let link = place.path().join("data/setup-link");
    drop(Serving::start(&mut place.command(&[])));
    let text = fs::read_to_string(&link).unwrap();
    assert!(text.contains("/setup?secret="), "{text}");
    assert_eq!(
        fs::metadata(&link).unwrap().permissions().mode() & 0o777,
        0o600
    );

    fs::write(place.path().join("password"), "correct horse battery\n").unwrap();
    place.run(&[
        "user",
        "add",
        "anna",
        "--role",
        "admin",
        "--password-file",
        "password",
    ]);
    drop(Serving::start(&mut place.command(&[])));
    assert!(!link.exists());
}

#[test]
fn a_second_server_on_one_sqlite_database_is_refused_and_one_after_a_killed_one_is_not() {
    let place = Place::new();
    let mut first = Serving::start(&mut place.command(&[]));
    let output = place.run(&[]);
    let error = text(&output.stderr);
    assert!(!output.status.success());
    assert!(
        error.contains("another otter-server works in the folder data"),
        "{error}"
    );
    // What a person does beside a running server goes on.
    assert!(place.run(&["migrate"]).status.success());
    first.child.kill().unwrap();
    first.child.wait().unwrap();
    Serving::start(&mut place.command(&[]));
}
