//! `otter device import`: registers what a factory has made, before it enrolls.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use clap::Args;
use otter_protocol::admin::ImportDevice;

use crate::api::Client;
use crate::import::{self, Piece};
use crate::{Failure, Output};

mod table;

use table::Header;

/// Longest line, in bytes.
const LONGEST_LINE: u64 = 1 << 20;

/// Registers devices from a file, before they enroll.
///
/// A file that ends in .csv has a header with `id`, `model`, and where wanted `version`, `group`, `public_key`, `hold`,
/// `label:KEY` and `metadata:KEY`. Any other has an object in each line:
///
///   {"id":"gw-1","model":"rpi4","group":"pilot","labels":{"site":"north"},"public_key":"…"}
///
/// A device that comes with the key given here is let in at once; one registered without a key needs an enrollment token.
/// Devices that the server knows already are passed over, so that a run that broke off can simply be repeated.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Import {
    /// The file.
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

impl Import {
    pub(super) async fn run(self, output: Output, client: &Client) -> Result<(), Failure> {
        // All of it is read before anything is sent: a mistake in the last line is found at once.
        let path = self.file.clone();
        let read = tokio::task::spawn_blocking(move || pieces(&path)).await;
        let pieces =
            read.map_err(|error| Failure::Refused(format!("reading broke off: {error}")))??;
        let total = pieces.iter().map(|piece| piece.devices).sum();
        if total == 0 {
            return Err(Failure::Refused(format!(
                "{} holds no device",
                self.file.display()
            )));
        }
        let pieces = futures::stream::iter(pieces.into_iter().map(Ok));
        let imported = import::send(client, total, output, pieces).await?;
        import::show(imported, output)
    }
}

/// Reads a file and cuts it into pieces; lines keep their numbers.
fn pieces(path: &Path) -> Result<Vec<Piece>, Failure> {
    let is_table = path
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
    let file = File::open(path).map_err(Failure::file(path))?;
    let mut file = BufReader::new(file);
    let wrong = |number: u64, why: String| {
        Failure::Refused(format!("{}, line {number}: {why}", path.display()))
    };
    let (mut header, mut pieces): (Option<Header>, Vec<Piece>) = (None, Vec::new());
    let mut piece = Piece::from_line(1);
    for number in 1.. {
        let mut line = String::new();
        let read = file.by_ref().take(LONGEST_LINE).read_line(&mut line);
        if read.map_err(Failure::file(path))? == 0 {
            break;
        }
        if piece.is_full() {
            pieces.push(std::mem::replace(&mut piece, Piece::from_line(number)));
        }
        let line = line.trim_start_matches('\u{feff}').trim();
        let device: Result<ImportDevice, String> = match (&header, is_table) {
            _ if line.is_empty() => {
                piece.skip();
                continue;
            }
            (None, true) => {
                header = Some(Header::read(line).map_err(|why| wrong(number, why))?);
                piece.skip();
                continue;
            }
            (Some(header), true) => header.device(line),
            (_, false) => serde_json::from_str(line).map_err(|error| error.to_string()),
        };
        piece.push(&device.map_err(|why| wrong(number, why))?)?;
    }
    pieces.push(piece);
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, text: &str) -> Result<Vec<Piece>, Failure> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        pieces(&path)
    }

    #[test]
    fn lines_keep_their_numbers_across_pieces() {
        let mut text = String::from("\n");
        for number in 0..import::PIECE + 1 {
            text += &format!("{{\"id\":\"d{number}\",\"model\":\"m\"}}\n");
        }
        let pieces = read("devices.ndjson", &text).unwrap();
        let shape: Vec<_> = pieces
            .iter()
            .map(|piece| (piece.first_line, piece.devices))
            .collect();
        let full = import::PIECE as u64;
        assert_eq!(shape, [(1, full), (full + 2, 1)]);
        assert!(pieces[0].lines.starts_with(b"\n{\"id\":\"d0\""));
    }

    #[test]
    fn a_table_becomes_devices() {
        let text = "\u{feff}id,model,label:site\r\ngw-1,rpi4,\"Hall \"\"A\"\", north\"\r\n\r\ngw-2,rpi4,\r\n";
        let pieces = read("devices.CSV", text).unwrap();
        let lines = String::from_utf8(pieces[0].lines.clone()).unwrap();
        assert_eq!(
            lines,
            "\n{\"id\":\"gw-1\",\"model\":\"rpi4\",\"version\":\"\",\"labels\":{\"site\":\"Hall \\\"A\\\", north\"}}\n\
             \n{\"id\":\"gw-2\",\"model\":\"rpi4\",\"version\":\"\"}\n"
        );
    }

    #[test]
    fn a_mistake_is_told_by_its_line() {
        for (name, text, expected) in [
            (
                "d.ndjson",
                "{\"id\":\"a\",\"model\":\"m\"}\n{\"id\":\"b\"}\n",
                "line 2: missing field `model`",
            ),
            (
                "d.csv",
                "id,model\na,m\n,m\n",
                "line 3: id: a device id must not be empty",
            ),
            ("d.csv", "id\na\n", "line 1: there is no column `model`"),
            (
                "d.csv",
                "id,model,colour\n",
                "line 1: `colour` is no column",
            ),
            (
                "d.csv",
                "id,model\na\n",
                "line 2: 2 fields are needed, here is 1",
            ),
            ("d.csv", "id,model\n\"a,m\n", "line 2: a quote isn't closed"),
        ] {
            let error = read(name, text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
