//! What a command prints: tables on a terminal, aligned text in a pipe, JSON for scripts.

use std::io::{self, IsTerminal, Write};

use comfy_table::{ContentArrangement, Table as Comfy, presets};
use serde::Serialize;

use crate::Failure;
use crate::text::{one_line, printable};

/// Where results go, and in what form.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    json: bool,
    terminal: bool,
}

impl Output {
    /// Prints to standard output: JSON where asked, else for people.
    pub fn new(json: bool) -> Self {
        Self {
            json,
            terminal: io::stdout().is_terminal(),
        }
    }

    /// Tells whether results are for programs.
    pub fn is_json(self) -> bool {
        self.json
    }

    /// Tells whether a person is looking, so that what is shown may move.
    pub fn is_live(self) -> bool {
        self.terminal && !self.json
    }

    /// Prints a line for people; nothing where programs read.
    pub fn line(self, text: impl AsRef<str>) -> Result<(), Failure> {
        if self.json {
            return Ok(());
        }
        write(&printable(text.as_ref()))
    }

    /// Prints a value as one line of JSON where programs read, else what `show` prints.
    pub fn value<T: Serialize>(
        self,
        value: &T,
        show: impl FnOnce(Self) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        if !self.json {
            return show(self);
        }
        let text = serde_json::to_string(value)
            .map_err(|error| Failure::Refused(format!("the result can't be written: {error}")))?;
        write(&text)
    }

    /// Prints a table; one without rows says `empty` instead.
    pub fn table(self, table: Table, empty: &str) -> Result<(), Failure> {
        if table.rows.is_empty() {
            return self.line(empty);
        }
        if self.terminal {
            write(&table.drawn())
        } else {
            write(&table.aligned())
        }
    }

    /// Tells a person something beside the result, on standard error.
    pub fn note(self, text: impl AsRef<str>) {
        if !self.json {
            // Nobody is left to tell where standard error is closed.
            let _ = writeln!(io::stderr(), "{}", printable(text.as_ref()));
        }
    }
}

fn write(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        // The reader of a pipe has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(Failure::file("standard output")),
    }
}

/// Rows under a header.
#[derive(Debug, Clone)]
pub struct Table {
    header: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Begins a table.
    pub fn new(header: impl IntoIterator<Item = &'static str>) -> Self {
        Self {
            header: header.into_iter().collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows
            .push(cells.into_iter().map(|cell| one_line(&cell)).collect());
    }

    fn drawn(&self) -> String {
        let mut table = Comfy::new();
        table
            .load_style(presets::UTF8_FULL_CONDENSED)
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_header(&self.header);
        for row in &self.rows {
            table.add_row(row);
        }
        table.to_string()
    }

    /// Columns two spaces apart, no trailing spaces: for `grep` and `awk`.
    fn aligned(&self) -> String {
        let header: Vec<String> = self.header.iter().map(|cell| cell.to_uppercase()).collect();
        let lines: Vec<&Vec<String>> = std::iter::once(&header).chain(&self.rows).collect();
        let widths: Vec<usize> = (0..self.header.len())
            .map(|column| {
                let cells = lines.iter().filter_map(|line| line.get(column));
                cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
            })
            .collect();
        let lines = lines.into_iter().map(|line| {
            let cells = line.iter().zip(&widths);
            let padded: Vec<String> = cells
                .map(|(cell, width)| format!("{cell:<width$}"))
                .collect();
            padded.join("  ").trim_end().to_owned()
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piped_table_is_aligned_and_plain() {
        let mut table = Table::new(["id", "state"]);
        table.row(["pump-1".to_owned(), "accepted".to_owned()]);
        table.row(["é".to_owned(), "held\nfor now".to_owned()]);
        assert_eq!(
            table.aligned(),
            "ID      STATE\npump-1  accepted\né       held for now"
        );
    }

    #[test]
    fn a_drawn_table_holds_every_cell() {
        let mut table = Table::new(["id"]);
        table.row(["pump-1".to_owned()]);
        let drawn = table.drawn();
        assert!(drawn.contains("pump-1") && drawn.contains('│'), "{drawn}");
    }
}
