//! The checks that cargo runs. They share one build: the same profile and the same features everywhere.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use super::count::Count;
use crate::postgres::Postgres;
use crate::{paths, process, rust, tools};

/// Formatting, as rustfmt has it.
pub(super) fn formatting() -> Result<()> {
    process::run(rust::cargo().args(["fmt", "--all", "--check"]))
        .context("`cargo fmt` puts it right")
}

/// All that is built for tests, in two parts: with xtask among them, its features would be everybody's, and nothing that
/// `cargo xtask build` left would fit.
const PARTS: [&[&str]; 2] = [
    &["--workspace", "--exclude", "otter-xtask", "--all-targets"],
    &["--package", "otter-xtask", "--all-targets"],
];

/// Clippy over everything for this machine.
pub(super) fn clippy() -> Result<()> {
    for part in PARTS {
        let mut command = rust::cargo();
        process::run(
            command
                .arg("clippy")
                .args(part)
                .args(["--", "-D", "warnings"]),
        )?;
    }
    Ok(())
}

/// Clippy over the dashboard as the browser gets it.
pub(super) fn clippy_wasm() -> Result<()> {
    let mut command = rust::cargo();
    command.args([
        "clippy",
        "--package",
        "otter-hydrate",
        "--package",
        "otter-app",
        "--features",
        "otter-app/hydrate",
    ]);
    process::run(command.args(["--target", rust::WASM, "--", "-D", "warnings"]))
}

/// Builds programs and tests in one go, so that both have the same features and nothing is compiled twice.
pub(super) fn build() -> Result<()> {
    for part in PARTS {
        process::run(rust::cargo().arg("build").args(part))?;
    }
    Ok(())
}

/// Unit and integration tests, with a PostgreSQL of their own.
pub(super) fn tests(count: &mut Count) -> Result<()> {
    let database = Postgres::start()?;
    let outcomes = PARTS.map(|part| nextest(count, part, &database));
    outcomes.into_iter().collect()
}

fn nextest(count: &mut Count, part: &[&str], database: &Postgres) -> Result<()> {
    let report = paths::target().join("nextest/default/junit.xml");
    remove(&report)?;
    let mut command = tools::nextest();
    command.arg("run").args(part).args(["--no-tests", "pass"]);
    command.env("OTTER_TEST_POSTGRES_URL", database.url());
    let outcome = process::run(programs(&mut command));
    let report =
        fs::read_to_string(&report).context("nextest wrote no report; see its output above");
    finish(
        count,
        outcome,
        report.and_then(|report| Count::from_junit(&report)),
    )
}

/// Tells a test runner where the programs are that it may start.
pub(super) fn programs(command: &mut Command) -> &mut Command {
    let folder = paths::binaries(false);
    command
        .env("OTTER_SERVER_BIN", folder.join("otter-server"))
        .env("OTTER_AGENT_BIN", folder.join("otter-agent"))
        .env("OTTER_BIN", folder.join("otter"))
        .env("OTTER_GREETER_BIN", folder.join("greeter"))
}

/// Counts what a runner reports; fails where it failed, and where its report can't be read.
pub(super) fn finish(count: &mut Count, outcome: Result<()>, report: Result<Count>) -> Result<()> {
    match (outcome, report) {
        (Ok(()), Ok(tests)) => {
            count.add(tests);
            Ok(())
        }
        (Err(error), Ok(tests)) => {
            count.add(tests);
            ensure!(tests.failed > 0, error);
            bail!(
                "{} of {} tests failed",
                tests.failed,
                tests.failed + tests.passed
            )
        }
        (Ok(()), Err(error)) => Err(error),
        (Err(error), Err(report)) => Err(error.context(report)),
    }
}

/// Removes a former run's report, so that it can't pass for this one's.
pub(super) fn remove(report: &Path) -> Result<()> {
    match fs::remove_file(report) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", report.display()))
        }
        _ => Ok(()),
    }
}

/// Whether any crate has code in its documentation that runs: linking it costs, so it is not done for nothing.
pub(super) fn has_doc_tests() -> Result<bool> {
    for folder in ["crates", "agent", "app", "cli", "migrations", "server"] {
        if folder_has_doc_tests(&paths::root().join(folder))? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn folder_has_doc_tests(folder: &Path) -> Result<bool> {
    for entry in
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?
    {
        let path = entry?.path();
        let found = if path.is_dir() {
            folder_has_doc_tests(&path)?
        } else {
            path.extension().is_some_and(|extension| extension == "rs")
                && has_doc_test(&fs::read_to_string(&path)?)
        };
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}

fn has_doc_test(source: &str) -> bool {
    let fences = source.lines().filter_map(|line| {
        let line = line.trim_start();
        let text = line
            .strip_prefix("///")
            .or_else(|| line.strip_prefix("//!"))?;
        text.trim_start().strip_prefix("```")
    });
    // Every second fence closes a block.
    fences.step_by(2).any(|language| {
        language.split(',').map(str::trim).all(|word| {
            matches!(
                word,
                "" | "rust" | "no_run" | "should_panic" | "compile_fail"
            )
        })
    })
}

/// Runs the code in the documentation.
pub(super) fn doc_tests(count: &mut Count) -> Result<()> {
    let output = rust::cargo()
        .args(["test", "--workspace", "--exclude", "otter-xtask", "--doc"])
        .output()
        .context("cannot run cargo test")?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        eprintln!("{text}\n{}", String::from_utf8_lossy(&output.stderr));
    }
    let outcome = if output.status.success() {
        Ok(())
    } else {
        Err(anyhow::anyhow!(
            "`cargo test --workspace --doc` failed ({})",
            output.status
        ))
    };
    finish(count, outcome, Ok(Count::from_libtest(&text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_rust_in_documentation_is_a_test() {
        assert!(has_doc_test("/// ```\n/// assert!(true);\n/// ```\n"));
        assert!(has_doc_test("    //! ```rust,no_run\n    //! ```\n"));
        assert!(!has_doc_test(
            "/// ```text\n/// a\n/// ```\nfn f() {}\n// ```\n"
        ));
        assert!(!has_doc_test("//! ```ignore\n//! ```\n"));
    }

    #[test]
    fn a_failed_runner_fails_even_where_every_counted_test_passed() {
        let mut count = Count::default();
        let outcome = finish(
            &mut count,
            Err(anyhow::anyhow!("killed")),
            Ok(Count {
                passed: 3,
                failed: 0,
            }),
        );
        assert!(outcome.is_err());
        assert_eq!(
            count,
            Count {
                passed: 3,
                failed: 0
            }
        );
    }
}
