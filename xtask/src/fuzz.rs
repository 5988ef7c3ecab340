//! Feeds input that nobody would send to everything that reads what others send.

use anyhow::{Context as _, Result};

use crate::{paths, process, rust};

/// Every target in `fuzz/targets`.
const TARGETS: [&str; 3] = ["bundle", "configuration", "reports"];

/// What can be set.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// How long each target is fed.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Only this target.
    #[arg(long, value_parser = TARGETS)]
    target: Option<String>,
}

/// Feeds one target after another; fails at the first input that breaks one, which is then in `fuzz/artifacts`.
pub(crate) fn run(options: &Options) -> Result<()> {
    if !process::in_path("cargo-fuzz") {
        process::run(rust::cargo().args(["install", "cargo-fuzz", "--locked"]))?;
    }
    let only = options.target.as_deref();
    for target in TARGETS {
        if only.is_some_and(|only| only != target) {
            continue;
        }
        let limit = format!("-max_total_time={}", options.seconds);
        let mut command = rust::cargo();
        // Sanitizers are switched on by flags that a stable compiler takes only so.
        command
            .args(["fuzz", "run", "--fuzz-dir"])
            .arg(paths::root().join("fuzz"))
            .args([target, "--", &limit, "-max_len=65536", "-rss_limit_mb=2048"])
            .env("RUSTC_BOOTSTRAP", "1");
        process::run(&mut command).with_context(|| format!("the target `{target}` broke"))?;
    }
    Ok(())
}
