//! Devices on their way into the registry: pieces of a long list, several at once, with a bar that fills.

use std::time::Duration;

use futures::{Stream, TryStreamExt as _};
use indicatif::{ProgressBar, ProgressStyle};
use otter_protocol::ProblemCode;
use otter_protocol::admin::{ImportDevice, ImportOptions, Imported};

use crate::api::Client;
use crate::{Failure, Output};

/// Devices in one request: what a server on SQLite writes in a moment.
pub const PIECE: usize = 5000;
/// Requests under way at once: one is written while the next ones are read.
const AT_ONCE: usize = 3;
/// How often a piece is sent again to a server that is busy.
const TRIES: u32 = 30;
/// Time before a piece is sent again.
const WAIT: Duration = Duration::from_secs(2);

/// A piece of the list: an object in each line.
#[derive(Debug)]
pub struct Piece {
    /// The number of its first line within the whole.
    pub first_line: u64,
    /// The lines.
    pub lines: Vec<u8>,
    /// How many devices they hold.
    pub devices: u64,
}

impl Piece {
    /// Begins an empty piece.
    pub fn from_line(first_line: u64) -> Self {
        Self {
            first_line,
            lines: Vec::new(),
            devices: 0,
        }
    }

    /// Adds a line with a device.
    pub fn push(&mut self, device: &ImportDevice) -> Result<(), Failure> {
        serde_json::to_writer(&mut self.lines, device)
            .map_err(|error| Failure::Refused(format!("a device can't be written: {error}")))?;
        self.lines.push(b'\n');
        self.devices += 1;
        Ok(())
    }

    /// Adds a line without one, so that the lines after it keep their numbers.
    pub fn skip(&mut self) {
        self.lines.push(b'\n');
    }

    /// Tells whether it is to be sent before more is added.
    pub fn is_full(&self) -> bool {
        // A device has its place also where all are as long as can be.
        self.devices >= PIECE as u64 || self.lines.len() >= 4 << 20
    }
}

/// Sends every piece, and returns what became of the devices; ends at the first piece that is refused.
pub async fn send(
    client: &Client,
    total: u64,
    output: Output,
    pieces: impl Stream<Item = Result<Piece, Failure>>,
) -> Result<Imported, Failure> {
    let bar = bar(total, output);
    let sent = pieces
        .map_ok(|piece| send_piece(client, piece, &bar))
        .try_buffer_unordered(AT_ONCE)
        .try_fold(Imported::default(), async |sum, one| {
            Ok(Imported {
                created: sum.created + one.created,
                known: sum.known + one.known,
            })
        })
        .await;
    bar.finish_and_clear();
    sent
}

/// Sends a piece until the server has taken or refused it: what it has already it passes over.
async fn send_piece(client: &Client, piece: Piece, bar: &ProgressBar) -> Result<Imported, Failure> {
    let options = ImportOptions {
        first_line: Some(piece.first_line),
    };
    let mut tries = 0;
    loop {
        match client
            .post_lines(&["devices", "import"], &options, piece.lines.clone())
            .await
        {
            Err(failure) if is_busy(&failure) && tries < TRIES => tries += 1,
            Err(failure) => return Err(failure),
            Ok(imported) => {
                bar.inc(piece.devices);
                return Ok(imported);
            }
        }
        tokio::time::sleep(WAIT).await;
    }
}

fn is_busy(failure: &Failure) -> bool {
    matches!(
        failure.code(),
        Some(ProblemCode::Unavailable | ProblemCode::TooManyRequests)
    )
}

/// Makes a bar on standard error; it stays hidden where nobody looks.
fn bar(total: u64, output: Output) -> ProgressBar {
    if output.is_json() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(total).with_message("devices");
    let template = "{msg} {bar:40} {human_pos}/{human_len} {per_sec} {eta}";
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// Shows what an import did.
pub fn show(imported: Imported, output: Output) -> Result<(), Failure> {
    output.value(&imported, |output| {
        output.line(format!(
            "{} registered, {} known before.",
            crate::text::count(imported.created, "device"),
            imported.known
        ))
    })
}
