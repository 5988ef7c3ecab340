//! A program that must exit with status 0.

use super::{Patient, with_version};
use crate::program;
use crate::service::Launch;

/// Runs it once; who calls bounds its time.
pub(super) async fn probe(argv: &[String], patient: &Patient) -> Result<(), String> {
    let shown = format!("`{}`", argv.join(" "));
    let argv: Vec<String> = argv
        .iter()
        .map(|word| with_version(word, &patient.version))
        .collect();
    let launch = Launch::new(
        &argv,
        &patient.folder,
        &patient.version,
        &Default::default(),
    );
    let outcome = program::run(&launch)
        .await
        .map_err(|error| format!("{shown}: {error}"))?;
    outcome
        .success()
        .map(|_| ())
        .map_err(|error| format!("{shown}: {error}"))
}
