//! `cargo xtask test`: everything that must hold, in the order that finds faults soonest for the least building.

mod count;
mod dependencies;
mod end2end;
mod native;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};

use crate::lock::SiteLock;
use crate::steps::Steps;
use crate::{npm, paths, site, tools};
use count::Count;

/// Options of `cargo xtask test`.
#[derive(Args)]
pub(crate) struct Options {
    /// Runs only these checks, separated by commas, and what they need.
    #[arg(long, value_delimiter = ',', value_name = "CHECK")]
    only: Vec<Check>,
}

/// What `cargo xtask test` checks.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Check {
    /// Formatting.
    Fmt,
    /// Licences, sources and known vulnerabilities of what Otter is built from.
    Dependencies,
    /// Clippy for this machine, every warning an error.
    Clippy,
    /// Clippy for the dashboard's wasm.
    WasmClippy,
    /// Unit and integration tests, on SQLite and on PostgreSQL.
    Tests,
    /// The code in the documentation.
    DocTests,
    /// The end-to-end tests in a browser.
    E2e,
}

impl Options {
    fn wants(&self, check: Check) -> bool {
        self.only.is_empty() || self.only.contains(&check)
    }
}

/// Runs the checks; the last lines are the steps' times and one summary.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut steps = Steps::new();
    let mut count = Count::default();
    let outcome = checks(options, &mut steps, &mut count);
    eprintln!("\n{}\n", steps.table());
    println!("{} passed, {} failed", count.passed, count.failed);
    outcome?;
    match (steps.failures(), count.failed) {
        (0, 0) => Ok(()),
        (steps, tests) => bail!("{steps} steps and {tests} tests failed"),
    }
}

/// Runs what is wanted. An error means that nothing further could run; a failed check only counts.
fn checks(options: &Options, steps: &mut Steps, count: &mut Count) -> Result<()> {
    install(options, steps)?;
    if options.wants(Check::Fmt) {
        steps.attempt("formatting", native::formatting);
    }
    let runs = [Check::Tests, Check::E2e]
        .into_iter()
        .any(|check| options.wants(check));
    if options.wants(Check::Dependencies) {
        steps.attempt("dependencies", dependencies::policy);
        steps.attempt("advisories", dependencies::advisories);
    }
    // The server embeds the site: with the site first, the server is compiled once.
    let lock = if runs {
        let lock = SiteLock::take()?;
        site::build(steps, &lock, false)?;
        Some(lock)
    } else {
        None
    };
    if options.wants(Check::Clippy) {
        steps.attempt("clippy", native::clippy);
    }
    if options.wants(Check::WasmClippy) {
        steps.attempt("clippy wasm32", native::clippy_wasm);
    }
    if runs {
        steps.run("programs and tests", native::build)?;
    }
    drop(lock);
    if options.wants(Check::Tests) {
        steps.attempt("tests", || native::tests(count));
    }
    if options.wants(Check::DocTests) && native::has_doc_tests()? {
        steps.attempt("documentation tests", || native::doc_tests(count));
    }
    if options.wants(Check::E2e) {
        steps.attempt("end-to-end tests", || end2end::run(count));
    }
    Ok(())
}

/// Installs what the wanted checks need and this machine lacks.
fn install(options: &Options, steps: &mut Steps) -> Result<()> {
    let mut packages = Vec::new();
    if options.wants(Check::Tests) {
        packages.push(tools::POSTGRESQL);
        packages.extend([tools::GRUB, tools::UBOOT_ENV, tools::MOSQUITTO]);
        packages.extend([tools::DOCKER, tools::REGISTRY, tools::SYSTEMD, tools::CURL]);
    }
    if options.wants(Check::E2e) {
        packages.extend([tools::CHROMIUM, tools::FONTS, tools::NODE, tools::NPM]);
    }
    if !packages.is_empty() {
        steps.run("Debian packages", || tools::ensure_packages(&packages))?;
    }
    if options.wants(Check::Tests) {
        steps.run("cargo-nextest", tools::ensure_nextest)?;
    }
    if options.wants(Check::E2e) {
        steps.run("npm packages", || npm::ensure_packages(&paths::end2end()))?;
    }
    Ok(())
}
