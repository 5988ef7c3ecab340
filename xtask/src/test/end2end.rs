//! The end-to-end tests: Playwright drives Chromium against the real server.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::count::Count;
use super::native;
use crate::{paths, process};

/// Runs all of `end2end/tests`.
pub(super) fn run(count: &mut Count) -> Result<()> {
    let folder = paths::end2end();
    let report = folder.join("test-results/report.json");
    native::remove(&report)?;
    process::run(Command::new(folder.join("node_modules/.bin/tsc")).current_dir(&folder))
        .context("the tests' types don't fit")?;
    let mut command = Command::new(folder.join("node_modules/.bin/playwright"));
    command
        .arg("test")
        .current_dir(&folder)
        .env("PLAYWRIGHT_JSON_OUTPUT_FILE", &report);
    let outcome = process::run(native::programs(&mut command));
    let report =
        fs::read_to_string(&report).context("Playwright wrote no report; see its output above");
    native::finish(
        count,
        outcome,
        report.and_then(|report| Count::from_playwright(&report)),
    )
}
