//! `otter`: keys, releases, rollouts, devices and simulated fleets from the command line.
//!
//! | file | what |
//! |---|---|
//! | `arguments` | the command line as a whole |
//! | [`commands`] | one file a command: its arguments, what it does, what it shows |
//! | [`api`] | the admin API |
//! | [`metadata`], [`signing`], [`passphrase`] | signed metadata: verified, changed, signed |
//! | [`import`] | devices on their way into the registry |
//! | [`bundle`], [`upload`] | artifacts: packed, hashed, sent |
//! | [`phases`], [`schedule`], [`text`] | what people write: phases, gates, windows, paces, durations, sizes |
//! | [`simulate`] | devices that aren't there |
//! | [`failure`], [`output`] | what people and scripts get to see |

pub mod api;
mod arguments;
pub mod bundle;
pub mod commands;
pub mod failure;
pub mod import;
pub mod metadata;
pub mod output;
pub mod passphrase;
pub mod phases;
pub mod schedule;
pub mod signing;
pub mod simulate;
pub mod text;
pub mod upload;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Parser as _;

pub use arguments::{Arguments, Context};
pub use failure::Failure;
pub use output::Output;

/// Runs the command line that the process was given.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Nobody is left to tell where the output is closed.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let json = arguments.json;
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            show(&failure, json);
            ExitCode::from(failure.exit_code())
        }
    }
}

fn run(arguments: Arguments) -> Result<(), Failure> {
    let runtime = tokio::runtime::Runtime::new()
        .map_err(|error| Failure::Refused(format!("no threads to work with: {error}")))?;
    let result = runtime.block_on(commands::run(arguments));
    // What still reads a file or resolves a name must not hold up the prompt.
    runtime.shutdown_background();
    result
}

fn show(failure: &Failure, json: bool) {
    let text = if json {
        failure.to_json().to_string()
    } else {
        format!("otter: {}", text::printable(&failure.to_string()))
    };
    // Nobody is left to tell where standard error is closed.
    let _ = writeln!(io::stderr(), "{text}");
}
