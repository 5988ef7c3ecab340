//! The example client against a repository that python-tuf signs: the cases of the TUF conformance suite, by its interface.

#![allow(clippy::unwrap_used, clippy::panic, reason = "only tests stand here")]

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::python::{python, run};

/// The example stands beside the tests, where cargo builds it with them.
fn client() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let path = tests
        .ancestors()
        .nth(2)
        .unwrap()
        .join("examples/trust-client");
    assert!(
        path.exists(),
        "{} isn't built. Run `cargo build -p otter-trust --examples`",
        path.display()
    );
    path
}

#[test]
fn trust_client_does_as_tuf_says() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/trust_client.py");
    let output = run(Command::new(python()).arg(script).arg(client()));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.ends_with("cases hold\n"), "{text}");
}
